/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "results-private.h"

#include <string.h>

/* What kind of value each column has. */
static const struct {
  const char *table;
  const char *columns;
} our_tables[] = {
    {"jobs", "id:id type:text status:text priority:text progress:number message:text stage:text input:json output:json "
             "error:text retryCount:number maxRetries:number startedAt:time completedAt:time duration:number "
             "metadata:json createdAt:time updatedAt:time userId:id videoId:id workflowId:id"},
    {"video_formats", "id:id format:text quality:text resolution:text fps:number bitrate:number filePath:text "
                      "fileSize:number duration:number width:number height:number isOptimized:boolean createdAt:time "
                      "updatedAt:time videoId:id jobId:id"},
    {"thumbnails", "id:id position:number time:number filePath:text fileSize:number width:number height:number "
                   "format:text quality:number score:number isGenerated:boolean createdAt:time updatedAt:time "
                   "videoId:id jobId:id"},
    {"highlights", "id:id rank:number startTime:number endTime:number duration:number type:text confidence:number "
                   "description:text tags:texts metadata:json createdAt:time updatedAt:time videoId:id jobId:id"},
    {"shorts", "id:id title:text description:text startTime:number endTime:number duration:number format:text "
               "platform:text filePath:text fileSize:number width:number height:number hasSubtitles:boolean "
               "hasMusic:boolean cropPath:text createdAt:time updatedAt:time videoId:id jobId:id"},
    {"transcriptions",
     "id:id text:text language:text model:text confidence:number hasTimestamps:boolean timestamps:json "
     "hasSpeakers:boolean speakers:json wordCount:number filePath:text createdAt:time updatedAt:time "
     "videoId:id jobId:id"},
    {"translations",
     "id:id originalText:text translatedText:text sourceLanguage:text targetLanguage:text model:text "
     "confidence:number context:text formality:text wordCount:number characterCount:number filePath:text "
     "createdAt:time updatedAt:time videoId:id jobId:id"},
    {"workflow_executions", "id:id status:text input:json output:json steps:json startedAt:time completedAt:time "
                            "duration:number error:text metadata:json createdAt:time updatedAt:time workflowId:id "
                            "jobId:id"},
};

const char *
rows_get_table (guint i)
{
  return i < G_N_ELEMENTS (our_tables) ? our_tables[i].table : NULL;
}

const char *
rows_get_table_columns (guint i)
{
  return our_tables[i].columns;
}

static GPtrArray *
changes_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify)change_free);
}

static void
set_time (Change *change, const char *column, gint64 time_ms)
{
  g_autofree char *text = time_ms > 0 ? derush_time_to_iso8601 (time_ms) : NULL;

  change_set_text (change, column, text);
}

static void
set_object (Change *change, const char *column, JsonObject *object)
{
  g_autofree char *text = object ? derush_json_object_to_string (object) : NULL;

  change_set_text (change, column, text);
}

/* A job's data may name signed addresses, which are nobody else's. */
static void
set_data (Change *change, const char *column, JsonObject *data)
{
  g_autofree char *text = data ? derush_json_object_to_string (data) : NULL;
  g_autofree char *redacted = text ? derush_log_redact (text) : NULL;

  change_set_text (change, column, redacted);
}

static void
set_id (Change *change, const char *column, const char *checked, JsonObject *data, const char *name)
{
  JsonNode *node = !checked && data ? json_object_get_member (data, name) : NULL;
  g_autofree char *number = NULL;

  if (node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) != G_TYPE_BOOLEAN) {
    if (json_node_get_value_type (node) == G_TYPE_STRING)
      checked = json_node_get_string (node);
    else
      checked = number = derush_json_node_to_string (node);
  }
  change_set_text (change, column, checked && *checked ? checked : NULL);
}

/* The backend's scale: words, or numbers from 1 (most urgent) to 4. */
static const char *
priority_of (JsonObject *data)
{
  static const char *const words[] = {"LOW", "NORMAL", "HIGH", "URGENT"};
  const char *text = derush_json_get_string (data, "priority", NULL);
  gint64 number = derush_json_get_int (data, "priority", 0);

  for (guint i = 0; text && i < G_N_ELEMENTS (words); i++)
    if (g_ascii_strcasecmp (text, words[i]) == 0)
      return words[i];
  if (text && g_ascii_strcasecmp (text, "CRITICAL") == 0)
    return "URGENT";
  if (number == 1)
    return "URGENT";
  if (number == 2)
    return "HIGH";
  return number >= 4 ? "LOW" : "NORMAL";
}

static Change *
job_change (ChangeKind kind, const char *id, const char *job_type, DerushPlan *plan, JsonObject *data, guint attempt,
            guint max_attempts, gint64 started, gint64 now)
{
  Change *change = change_new (kind, "jobs");
  g_autofree char *metadata = plan && plan->metadata ? derush_json_node_to_string (plan->metadata) : NULL;

  if (!data && plan)
    data = plan->data;
  if (!job_type || !*job_type)
    job_type = plan ? plan->job_type : "UNKNOWN";
  change_set_text (change, "id", id);
  change_set_text (change, "type", job_type);
  change_set_text (change, "status", "PROCESSING");
  change_set_text (change, "priority", priority_of (data));
  change_set_integer (change, "progress", 0);
  set_data (change, "input", data);
  change_set_integer (change, "retryCount", attempt > 0 ? attempt - 1 : 0);
  change_set_integer (change, "maxRetries", max_attempts > 0 ? max_attempts - 1 : 0);
  set_time (change, "startedAt", started);
  set_time (change, "createdAt", now);
  set_time (change, "updatedAt", now);
  set_id (change, "userId", plan ? plan->user_id : NULL, data, "userId");
  set_id (change, "videoId", plan ? plan->video_id : NULL, data, "videoId");
  set_id (change, "workflowId", plan ? plan->workflow_id : NULL, data, "workflowId");
  change_set_text (change, "metadata", metadata);
  return change;
}

GPtrArray *
rows_started (const char *id, const char *job_type, DerushPlan *plan, JsonObject *data, guint attempt,
              guint max_attempts, gint64 now)
{
  static const char *const ends[] = {"message", "stage", "output", "error", "completedAt", "duration"};
  GPtrArray *changes = changes_new ();
  Change *change = job_change (CHANGE_PUT, id, job_type, plan, data, attempt, max_attempts, now, now);

  /* A second attempt is the same job; a first one under a known id is another job, as after Redis was emptied. */
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    change_set_text (change, ends[i], NULL);
  g_ptr_array_add (changes, change);
  return changes;
}

GPtrArray *
rows_progress (const char *id, int percent, const char *stage, gint64 now)
{
  GPtrArray *changes = changes_new ();
  Change *change = change_new (CHANGE_UPDATE, "jobs");

  change_set_integer (change, "progress", CLAMP (percent, 0, 100));
  change_set_text (change, "stage", stage);
  change_set_text (change, "message", stage);
  set_time (change, "updatedAt", now);
  change_where (change, "id", id);
  change_where (change, "status", "PROCESSING");
  g_ptr_array_add (changes, change);
  return changes;
}

/* Text keys that a second run of the same job makes again. */
char *
rows_asset_id (const char *job_id, const char *table, guint i)
{
  g_autofree char *text = g_strdup_printf ("%s\n%s\n%u", job_id, table, i);
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);

  return g_strdup_printf ("c%.24s", hash);
}

static void
set_asset_id (Change *change, const char *job_id, const char *table, guint i)
{
  g_autofree char *id = rows_asset_id (job_id, table, i);

  change_set_text (change, "id", id);
}

static Change *
format_change (const char *id, guint i, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Change *change = change_new (CHANGE_PUT, "video_formats");

  set_asset_id (change, id, "video_formats", i);
  change_set_text (change, "format", derush_json_get_string (row, "format", NULL));
  change_set_text (change, "quality", derush_json_get_string (row, "quality", NULL));
  change_set_text (change, "resolution", derush_json_get_string (row, "resolution", NULL));
  change_set_real (change, "fps", derush_json_get_number (row, "fps", 0));
  change_set_integer (change, "bitrate", derush_json_get_int (row, "bitrate", 0));
  change_set_text (change, "filePath", derush_json_get_string (row, "filePath", NULL));
  change_set_integer (change, "fileSize", derush_json_get_int (row, "fileSize", 0));
  change_set_real (change, "duration", derush_json_get_number (row, "duration", 0));
  change_set_integer (change, "width", derush_json_get_int (row, "width", 0));
  change_set_integer (change, "height", derush_json_get_int (row, "height", 0));
  change_set_boolean (change, "isOptimized", derush_json_get_boolean (row, "isOptimized", FALSE));
  set_time (change, "createdAt", now);
  set_time (change, "updatedAt", now);
  change_set_text (change, "videoId", plan ? plan->video_id : NULL);
  change_set_text (change, "jobId", id);
  return change;
}

static gint64
thumbnail_quality (DerushPlan *plan)
{
  for (guint i = 0; plan && i < plan->steps->len; i++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, i);

    if (strcmp (step->action, "thumbnails") == 0)
      return derush_json_get_int (step->parameters, "quality", 0);
  }
  return 0;
}

static Change *
thumbnail_change (const char *id, guint i, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Change *change = change_new (CHANGE_PUT, "thumbnails");

  set_asset_id (change, id, "thumbnails", i);
  change_set_real (change, "position", derush_json_get_number (row, "position", 0));
  change_set_real (change, "time", derush_json_get_number (row, "time", 0));
  change_set_text (change, "filePath", derush_json_get_string (row, "filePath", NULL));
  change_set_integer (change, "fileSize", derush_json_get_int (row, "fileSize", 0));
  change_set_integer (change, "width", derush_json_get_int (row, "width", 0));
  change_set_integer (change, "height", derush_json_get_int (row, "height", 0));
  change_set_text (change, "format", derush_json_get_string (row, "format", NULL));
  change_set_integer (change, "quality", thumbnail_quality (plan));
  change_set_real (change, "score", derush_json_get_number (row, "score", 0));
  change_set_boolean (change, "isGenerated", TRUE);
  set_time (change, "createdAt", now);
  set_time (change, "updatedAt", now);
  change_set_text (change, "videoId", plan ? plan->video_id : NULL);
  change_set_text (change, "jobId", id);
  return change;
}

static GStrv
texts_of (JsonArray *array)
{
  g_autoptr (GStrvBuilder) texts = g_strv_builder_new ();

  for (guint i = 0; array && i < json_array_get_length (array); i++) {
    JsonNode *node = json_array_get_element (array, i);

    if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
      g_strv_builder_add (texts, json_node_get_string (node));
  }
  return g_strv_builder_end (texts);
}

static Change *
highlight_change (const char *id, guint i, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Change *change = change_new (CHANGE_PUT, "highlights");
  const char *own = derush_json_get_string (row, "id", NULL);

  if (own)
    change_set_text (change, "id", own);
  else
    set_asset_id (change, id, "highlights", i);
  change_set_integer (change, "rank", derush_json_get_int (row, "rank", i + 1));
  change_set_real (change, "startTime", derush_json_get_number (row, "startTime", 0));
  change_set_real (change, "endTime", derush_json_get_number (row, "endTime", 0));
  change_set_real (change, "duration", derush_json_get_number (row, "duration", 0));
  change_set_text (change, "type", derush_json_get_string (row, "type", NULL));
  change_set_real (change, "confidence", derush_json_get_number (row, "confidence", 0));
  change_set_text (change, "description", derush_json_get_string (row, "description", NULL));
  change_set_texts (change, "tags", texts_of (derush_json_get_array (row, "tags")));
  set_object (change, "metadata", derush_json_get_object (row, "metadata"));
  set_time (change, "createdAt", now);
  set_time (change, "updatedAt", now);
  change_set_text (change, "videoId", plan ? plan->video_id : NULL);
  change_set_text (change, "jobId", id);
  return change;
}

static const char *
text_or_null (JsonObject *row, const char *name)
{
  const char *text = derush_json_get_string (row, name, NULL);

  return text && *text ? text : NULL;
}

static Change *
short_change (const char *id, guint i, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Change *change = change_new (CHANGE_PUT, "shorts");

  set_asset_id (change, id, "shorts", i);
  change_set_text (change, "title", text_or_null (row, "title"));
  change_set_text (change, "description", text_or_null (row, "description"));
  change_set_real (change, "startTime", derush_json_get_number (row, "startTime", 0));
  change_set_real (change, "endTime", derush_json_get_number (row, "endTime", 0));
  change_set_real (change, "duration", derush_json_get_number (row, "duration", 0));
  change_set_text (change, "format", derush_json_get_string (row, "format", NULL));
  change_set_text (change, "platform", text_or_null (row, "platform"));
  change_set_text (change, "filePath", derush_json_get_string (row, "filePath", NULL));
  change_set_integer (change, "fileSize", derush_json_get_int (row, "fileSize", 0));
  change_set_integer (change, "width", derush_json_get_int (row, "width", 0));
  change_set_integer (change, "height", derush_json_get_int (row, "height", 0));
  change_set_boolean (change, "hasSubtitles", derush_json_get_boolean (row, "hasSubtitles", FALSE));
  change_set_boolean (change, "hasMusic", derush_json_get_boolean (row, "hasMusic", FALSE));
  change_set_text (change, "cropPath", text_or_null (row, "cropPath"));
  set_time (change, "createdAt", now);
  set_time (change, "updatedAt", now);
  change_set_text (change, "videoId", plan ? plan->video_id : NULL);
  change_set_text (change, "jobId", id);
  return change;
}

static void
set_array (Change *change, const char *column, JsonArray *array)
{
  g_autoptr (JsonNode) node = array ? json_node_init_array (json_node_alloc (), array) : NULL;
  g_autofree char *text = node ? derush_json_node_to_string (node) : NULL;

  change_set_text (change, column, text);
}

static void
end_asset (Change *change, const char *id, gint64 now, DerushPlan *plan)
{
  set_time (change, "createdAt", now);
  set_time (change, "updatedAt", now);
  change_set_text (change, "videoId", plan ? plan->video_id : NULL);
  change_set_text (change, "jobId", id);
}

static Change *
transcription_change (const char *id, JsonObject *value, gint64 now, DerushPlan *plan)
{
  Change *change = change_new (CHANGE_PUT, "transcriptions");

  set_asset_id (change, id, "transcriptions", 0);
  change_set_text (change, "text", derush_json_get_string (value, "text", NULL));
  change_set_text (change, "language", text_or_null (value, "language"));
  change_set_text (change, "model", text_or_null (value, "model"));
  change_set_real (change, "confidence", derush_json_get_number (value, "confidence", 0));
  change_set_boolean (change, "hasTimestamps", derush_json_get_boolean (value, "hasTimestamps", FALSE));
  set_array (change, "timestamps", derush_json_get_array (value, "timestamps"));
  change_set_boolean (change, "hasSpeakers", derush_json_get_boolean (value, "hasSpeakers", FALSE));
  set_array (change, "speakers", derush_json_get_array (value, "speakers"));
  change_set_integer (change, "wordCount", derush_json_get_int (value, "wordCount", 0));
  change_set_text (change, "filePath", text_or_null (value, "filePath"));
  end_asset (change, id, now, plan);
  return change;
}

static Change *
translation_change (const char *id, guint i, JsonObject *value, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Change *change = change_new (CHANGE_PUT, "translations");

  set_asset_id (change, id, "translations", i);
  change_set_text (change, "originalText", derush_json_get_string (value, "originalText", NULL));
  change_set_text (change, "translatedText", derush_json_get_string (row, "translatedText", NULL));
  change_set_text (change, "sourceLanguage", text_or_null (value, "sourceLanguage"));
  change_set_text (change, "targetLanguage", text_or_null (row, "targetLanguage"));
  change_set_text (change, "model",
                   text_or_null (row, "model") ? text_or_null (row, "model") : text_or_null (value, "model"));
  change_set_real (change, "confidence", derush_json_get_number (row, "confidence", 0));
  change_set_text (change, "context", text_or_null (value, "context"));
  change_set_text (change, "formality", text_or_null (value, "formality"));
  change_set_integer (change, "wordCount", derush_json_get_int (row, "wordCount", 0));
  change_set_integer (change, "characterCount", derush_json_get_int (row, "characterCount", 0));
  change_set_text (change, "filePath", text_or_null (row, "file"));
  end_asset (change, id, now, plan);
  return change;
}

static void
add_forget (GPtrArray *changes, const char *id, const char *table, guint n)
{
  Change *forget = change_new (CHANGE_DELETE, table);

  change_set_integer (forget, "first", n);
  change_where (forget, "jobId", id);
  g_ptr_array_add (changes, forget);
}

/* The rows of what was heard, and of what it was translated into. */
static void
add_texts (GPtrArray *changes, const char *id, JsonObject *value, gint64 now, DerushPlan *plan)
{
  const char *type = derush_json_get_string (value, "jobType", "");
  JsonArray *made = derush_json_get_array (value, "translations");

  if (strcmp (type, "TRANSCRIPTION") == 0) {
    add_forget (changes, id, "transcriptions", 1);
    g_ptr_array_add (changes, transcription_change (id, value, now, plan));
  }
  if (strcmp (type, "TRANSLATION") != 0 || !made)
    return;
  add_forget (changes, id, "translations", json_array_get_length (made));
  for (guint i = 0; i < json_array_get_length (made); i++) {
    JsonNode *node = json_array_get_element (made, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      g_ptr_array_add (changes, translation_change (id, i, value, json_node_get_object (node), now, plan));
  }
}

/* What an earlier run of the job left in @table goes in the same transaction. */
static void
add_assets (GPtrArray *changes, const char *id, JsonArray *rows, const char *table,
            Change *(*make) (const char *, guint, JsonObject *, gint64, DerushPlan *), gint64 now, DerushPlan *plan)
{
  if (!rows)
    return;
  add_forget (changes, id, table, json_array_get_length (rows));
  for (guint i = 0; i < json_array_get_length (rows); i++) {
    JsonNode *node = json_array_get_element (rows, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      g_ptr_array_add (changes, make (id, i, json_node_get_object (node), now, plan));
  }
}

GPtrArray *
rows_completed (const char *id, DerushPlan *plan, JsonObject *return_value, gint64 duration_ms, gint64 now)
{
  GPtrArray *changes = changes_new ();
  Change *change = change_new (CHANGE_UPDATE, "jobs");
  g_auto (GStrv) said = texts_of (derush_json_get_array (return_value, "warnings"));
  g_autofree char *message = g_strjoinv ("; ", said);

  g_ptr_array_add (changes, job_change (CHANGE_INSERT, id, derush_json_get_string (return_value, "jobType", NULL), plan,
                                        NULL, 1, 0, now - MAX (duration_ms, 0), now));
  change_set_text (change, "status", "COMPLETED");
  change_set_integer (change, "progress", 100);
  change_set_text (change, "stage", "completed");
  change_set_text (change, "message", *message ? message : NULL);
  set_object (change, "output", return_value);
  change_set_text (change, "error", NULL);
  set_time (change, "completedAt", now);
  change_set_integer (change, "duration", duration_ms);
  set_time (change, "updatedAt", now);
  change_where (change, "id", id);
  g_ptr_array_add (changes, change);
  add_assets (changes, id, derush_json_get_array (return_value, "formats"), "video_formats", format_change, now, plan);
  add_assets (changes, id, derush_json_get_array (return_value, "thumbnails"), "thumbnails", thumbnail_change, now,
              plan);
  add_assets (changes, id, derush_json_get_array (return_value, "highlights"), "highlights", highlight_change, now,
              plan);
  add_assets (changes, id, derush_json_get_array (return_value, "shorts"), "shorts", short_change, now, plan);
  add_texts (changes, id, return_value, now, plan);
  return changes;
}

GPtrArray *
rows_failed (const char *id, const char *reason, gboolean will_retry, gboolean cancelled, gint64 duration_ms,
             gint64 now)
{
  GPtrArray *changes = changes_new ();
  Change *change = change_new (CHANGE_UPDATE, "jobs");

  change_set_text (change, "status", cancelled ? "CANCELLED" : will_retry ? "DELAYED" : "FAILED");
  change_set_text (change, "error", reason);
  set_time (change, "completedAt", will_retry && !cancelled ? 0 : now);
  change_set_integer (change, "duration", duration_ms);
  set_time (change, "updatedAt", now);
  change_where (change, "id", id);
  g_ptr_array_add (changes, change);
  return changes;
}

GPtrArray *
rows_execution (const DerushStoreExecution *execution, gint64 now)
{
  GPtrArray *changes = changes_new ();
  Change *change = change_new (CHANGE_PUT, "workflow_executions");
  g_autofree char *metadata = execution->metadata ? derush_json_node_to_string (execution->metadata) : NULL,
                  *steps = NULL;

  if (execution->steps) {
    g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), execution->steps);

    steps = derush_json_node_to_string (node);
  }
  /* The end of a run belongs to its beginning, so both are one row. */
  change_set_text (change, "id", execution->id);
  change_set_text (change, "status", execution->status);
  set_object (change, "input", execution->input);
  set_object (change, "output", execution->output);
  change_set_text (change, "steps", steps);
  set_time (change, "startedAt", execution->started);
  set_time (change, "completedAt", execution->ended);
  if (execution->ended > 0)
    change_set_real (change, "duration", MAX (execution->ended - execution->started, 0) / 1000.0);
  else
    change_set_text (change, "duration", NULL);
  change_set_text (change, "error", execution->error);
  change_set_text (change, "metadata", metadata);
  set_time (change, "createdAt", execution->started > 0 ? execution->started : now);
  set_time (change, "updatedAt", now);
  change_set_text (change, "workflowId", execution->workflow);
  change_set_text (change, "jobId", execution->job);
  g_ptr_array_add (changes, change);
  return changes;
}

/* The row of the run is found by the job that it is. */
static Change *
execution_end (const DerushStoreEnd *end)
{
  Change *change = change_new (CHANGE_UPDATE, "workflow_executions");

  change_set_text (change, "status", end->return_value ? "COMPLETED" : end->cancelled ? "CANCELLED" : "FAILED");
  if (end->return_value)
    set_object (change, "output", end->return_value);
  change_set_text (change, "error", end->return_value ? NULL : end->reason);
  set_time (change, "completedAt", end->ended);
  set_time (change, "updatedAt", end->ended);
  change_where (change, "jobId", end->id);
  return change;
}

GPtrArray *
rows_ended (const DerushStoreEnd *end)
{
  gint64 duration = end->started > 0 ? MAX (end->ended - end->started, 0) : 0;
  GPtrArray *changes = end->return_value
                           ? rows_completed (end->id, end->plan, end->return_value, duration, end->ended)
                           : rows_failed (end->id, end->reason, FALSE, end->cancelled, duration, end->ended);

  if (end->data)
    g_ptr_array_insert (changes, 0,
                        job_change (CHANGE_INSERT, end->id, end->job_type, end->plan, end->data, end->attempts,
                                    end->max_attempts, end->started, end->ended));
  if (g_strcmp0 (end->job_type, "WORKFLOW_EXECUTION") == 0)
    g_ptr_array_add (changes, execution_end (end));
  return changes;
}

/* ── Reading ────────────────────────────────────────────────────────────── */

static const struct {
  const char *name;
  enum { COLUMN_TEXT, COLUMN_INTEGER, COLUMN_JSON, COLUMN_DATE } type;
} columns[] = {
    {"id", COLUMN_TEXT},        {"type", COLUMN_TEXT},          {"status", COLUMN_TEXT},
    {"priority", COLUMN_TEXT},  {"progress", COLUMN_INTEGER},   {"message", COLUMN_TEXT},
    {"stage", COLUMN_TEXT},     {"input", COLUMN_JSON},         {"output", COLUMN_JSON},
    {"error", COLUMN_TEXT},     {"retryCount", COLUMN_INTEGER}, {"maxRetries", COLUMN_INTEGER},
    {"startedAt", COLUMN_DATE}, {"completedAt", COLUMN_DATE},   {"duration", COLUMN_INTEGER},
    {"metadata", COLUMN_JSON},  {"createdAt", COLUMN_DATE},     {"updatedAt", COLUMN_DATE},
    {"userId", COLUMN_TEXT},    {"videoId", COLUMN_TEXT},       {"workflowId", COLUMN_TEXT},
};

const char *
rows_get_column (guint i)
{
  return i < G_N_ELEMENTS (columns) ? columns[i].name : NULL;
}

/* `2026-01-02 03:04:05.06` as PostgreSQL writes it → `2026-01-02T03:04:05.060Z` */
static char *
date_to_iso8601 (const char *text)
{
  const char *dot = strchr (text, '.');
  g_autoptr (GString) date = g_string_new (text);

  if (g_str_has_suffix (text, "Z"))
    return g_strdup (text);
  g_string_replace (date, " ", "T", 1);
  if (!dot)
    g_string_append (date, ".000");
  for (gsize digits = dot ? strlen (dot + 1) : 3; digits < 3; digits++)
    g_string_append_c (date, '0');
  g_string_append_c (date, 'Z');
  return g_string_free (g_steal_pointer (&date), FALSE);
}

static JsonNode *
value_of (guint column, const char *text)
{
  g_autofree char *date = NULL;
  JsonNode *node = NULL;

  if (!text)
    return json_node_init_null (json_node_alloc ());
  switch (columns[column].type) {
  case COLUMN_INTEGER:
    return json_node_init_int (json_node_alloc (), g_ascii_strtoll (text, NULL, 10));
  case COLUMN_JSON:
    node = derush_json_parse (text, -1, NULL);
    return node ? node : json_node_init_null (json_node_alloc ());
  case COLUMN_DATE:
    date = date_to_iso8601 (text);
    return json_node_init_string (json_node_alloc (), date);
  case COLUMN_TEXT:
    break;
  }
  return json_node_init_string (json_node_alloc (), text);
}

JsonObject *
rows_read_job (GPtrArray *row)
{
  JsonObject *object = json_object_new ();

  for (guint i = 0; i < MIN (row->len, G_N_ELEMENTS (columns)); i++)
    json_object_set_member (object, columns[i].name, value_of (i, g_ptr_array_index (row, i)));
  return object;
}
