/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "results-private.h"

#include <string.h>

#define JOB_COLUMNS                                                                                                      \
  "\"id\", \"type\", \"status\", \"priority\", \"progress\", \"input\", \"retryCount\", \"maxRetries\", \"startedAt\", " \
  "\"createdAt\", \"updatedAt\", \"userId\", \"videoId\", \"workflowId\", \"metadata\""
#define JOB_VALUES "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15"

static const char insert_job[] =
    "INSERT INTO jobs (" JOB_COLUMNS ") VALUES (" JOB_VALUES ") ON CONFLICT (\"id\") DO NOTHING";

/* A second attempt is the same job; a first one under a known id is another job, as after Redis was emptied. */
static const char start_job[] =
    "INSERT INTO jobs (" JOB_COLUMNS ") VALUES (" JOB_VALUES ") ON CONFLICT (\"id\") DO UPDATE SET "
    "\"type\" = excluded.\"type\", \"status\" = excluded.\"status\", \"priority\" = excluded.\"priority\", "
    "\"progress\" = excluded.\"progress\", \"input\" = excluded.\"input\", \"retryCount\" = excluded.\"retryCount\", "
    "\"maxRetries\" = excluded.\"maxRetries\", \"startedAt\" = excluded.\"startedAt\", "
    "\"createdAt\" = CASE WHEN excluded.\"retryCount\" > 0 THEN jobs.\"createdAt\" ELSE excluded.\"createdAt\" END, "
    "\"updatedAt\" = excluded.\"updatedAt\", \"userId\" = excluded.\"userId\", \"videoId\" = excluded.\"videoId\", "
    "\"workflowId\" = excluded.\"workflowId\", \"metadata\" = excluded.\"metadata\", \"message\" = NULL, "
    "\"stage\" = NULL, \"output\" = NULL, \"error\" = NULL, \"completedAt\" = NULL, \"duration\" = NULL";

static const char progress_job[] =
    "UPDATE jobs SET \"progress\" = $1, \"stage\" = $2, \"message\" = $3, \"updatedAt\" = $4 "
    "WHERE \"id\" = $5 AND \"status\" = 'PROCESSING'";

static const char complete_job[] =
    "UPDATE jobs SET \"status\" = 'COMPLETED', \"progress\" = 100, \"stage\" = 'completed', \"message\" = $1, "
    "\"output\" = $2, \"error\" = NULL, \"completedAt\" = $3, \"duration\" = $4, \"updatedAt\" = $5 WHERE \"id\" = $6";

static const char fail_job[] =
    "UPDATE jobs SET \"status\" = $1, \"error\" = $2, \"completedAt\" = $3, \"duration\" = $4, \"updatedAt\" = $5 "
    "WHERE \"id\" = $6";

/* The end of a run belongs to its beginning, so both are one statement. */
static const char put_execution[] =
    "INSERT INTO workflow_executions (\"id\", \"status\", \"input\", \"output\", \"steps\", \"startedAt\", "
    "\"completedAt\", \"duration\", \"error\", \"metadata\", \"createdAt\", \"updatedAt\", \"workflowId\", \"jobId\") "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (\"id\") DO UPDATE SET "
    "\"status\" = excluded.\"status\", \"input\" = excluded.\"input\", \"output\" = excluded.\"output\", "
    "\"steps\" = excluded.\"steps\", \"startedAt\" = excluded.\"startedAt\", "
    "\"completedAt\" = excluded.\"completedAt\", \"duration\" = excluded.\"duration\", \"error\" = excluded.\"error\", "
    "\"metadata\" = excluded.\"metadata\", \"updatedAt\" = excluded.\"updatedAt\", "
    "\"workflowId\" = excluded.\"workflowId\", \"jobId\" = excluded.\"jobId\"";

static const char insert_format[] =
    "INSERT INTO video_formats (\"id\", \"format\", \"quality\", \"resolution\", \"fps\", \"bitrate\", \"filePath\", "
    "\"fileSize\", \"duration\", \"width\", \"height\", \"isOptimized\", \"createdAt\", \"updatedAt\", \"videoId\", "
    "\"jobId\") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

static const char insert_thumbnail[] =
    "INSERT INTO thumbnails (\"id\", \"position\", \"time\", \"filePath\", \"fileSize\", \"width\", \"height\", "
    "\"format\", \"quality\", \"score\", \"isGenerated\", \"createdAt\", \"updatedAt\", \"videoId\", \"jobId\") "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

/* A highlight has its id from its film and times: another job that finds it again finds the same one. */
static const char insert_highlight[] =
    "INSERT INTO highlights (\"id\", \"rank\", \"startTime\", \"endTime\", \"duration\", \"type\", \"confidence\", "
    "\"description\", \"tags\", \"metadata\", \"createdAt\", \"updatedAt\", \"videoId\", \"jobId\") "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (\"id\") DO UPDATE SET "
    "\"rank\" = excluded.\"rank\", \"startTime\" = excluded.\"startTime\", \"endTime\" = excluded.\"endTime\", "
    "\"duration\" = excluded.\"duration\", \"type\" = excluded.\"type\", \"confidence\" = excluded.\"confidence\", "
    "\"description\" = excluded.\"description\", \"tags\" = excluded.\"tags\", \"metadata\" = excluded.\"metadata\", "
    "\"updatedAt\" = excluded.\"updatedAt\", \"videoId\" = excluded.\"videoId\", \"jobId\" = excluded.\"jobId\"";

static const char insert_short[] =
    "INSERT INTO shorts (\"id\", \"title\", \"description\", \"startTime\", \"endTime\", \"duration\", \"format\", "
    "\"platform\", \"filePath\", \"fileSize\", \"width\", \"height\", \"hasSubtitles\", \"hasMusic\", \"cropPath\", "
    "\"createdAt\", \"updatedAt\", \"videoId\", \"jobId\") "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

static GPtrArray *
statements_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify)statement_free);
}

static void
add_time (Statement *statement, gint64 time_ms)
{
  g_autofree char *text = derush_time_to_iso8601 (time_ms);

  statement_add_text (statement, text);
}

static void
add_object (Statement *statement, JsonObject *object)
{
  g_autofree char *text = object ? derush_json_object_to_string (object) : NULL;

  statement_add_text (statement, text);
}

/* A job's data may name signed addresses, which are nobody else's. */
static void
add_data (Statement *statement, JsonObject *data)
{
  g_autofree char *text = data ? derush_json_object_to_string (data) : NULL;
  g_autofree char *redacted = derush_log_redact (text);

  statement_add_text (statement, redacted);
}

static void
add_id (Statement *statement, const char *checked, JsonObject *data, const char *name)
{
  JsonNode *node = !checked && data ? json_object_get_member (data, name) : NULL;
  g_autofree char *number = NULL;

  if (node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) != G_TYPE_BOOLEAN) {
    if (json_node_get_value_type (node) == G_TYPE_STRING)
      checked = json_node_get_string (node);
    else
      checked = number = derush_json_node_to_string (node);
  }
  statement_add_text (statement, checked && *checked ? checked : NULL);
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

static Statement *
job_statement (const char *sql, const char *id, const char *job_type, DerushPlan *plan, JsonObject *data, guint attempt,
               guint max_attempts, gint64 started, gint64 now)
{
  Statement *statement = statement_new (sql);
  g_autofree char *metadata = plan && plan->metadata ? derush_json_node_to_string (plan->metadata) : NULL;

  if (!data && plan)
    data = plan->data;
  if (!job_type || !*job_type)
    job_type = plan ? plan->job_type : "UNKNOWN";
  statement_add_text (statement, id);
  statement_add_text (statement, job_type);
  statement_add_text (statement, "PROCESSING");
  statement_add_text (statement, priority_of (data));
  statement_add_integer (statement, 0);
  add_data (statement, data);
  statement_add_integer (statement, attempt > 0 ? attempt - 1 : 0);
  statement_add_integer (statement, max_attempts > 0 ? max_attempts - 1 : 0);
  add_time (statement, started);
  add_time (statement, now);
  add_time (statement, now);
  add_id (statement, plan ? plan->user_id : NULL, data, "userId");
  add_id (statement, plan ? plan->video_id : NULL, data, "videoId");
  add_id (statement, plan ? plan->workflow_id : NULL, data, "workflowId");
  statement_add_text (statement, metadata);
  return statement;
}

GPtrArray *
rows_started (const char *id, const char *job_type, DerushPlan *plan, JsonObject *data, guint attempt,
              guint max_attempts)
{
  GPtrArray *statements = statements_new ();
  gint64 now = derush_time_now_ms ();

  g_ptr_array_add (statements, job_statement (start_job, id, job_type, plan, data, attempt, max_attempts, now, now));
  return statements;
}

GPtrArray *
rows_progress (const char *id, int percent, const char *stage)
{
  GPtrArray *statements = statements_new ();
  Statement *statement = statement_new (progress_job);

  statement_add_integer (statement, CLAMP (percent, 0, 100));
  statement_add_text (statement, stage);
  statement_add_text (statement, stage);
  add_time (statement, derush_time_now_ms ());
  statement_add_text (statement, id);
  g_ptr_array_add (statements, statement);
  return statements;
}

/* Text keys that a second run of the same job makes again. */
static void
add_asset_id (Statement *statement, const char *job_id, const char *table, guint i)
{
  g_autofree char *text = g_strdup_printf ("%s\n%s\n%u", job_id, table, i);
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
  g_autofree char *id = g_strdup_printf ("c%.24s", hash);

  statement_add_text (statement, id);
}

static Statement *
format_statement (const char *id, guint i, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Statement *statement = statement_new (insert_format);

  add_asset_id (statement, id, "video_formats", i);
  statement_add_text (statement, derush_json_get_string (row, "format", NULL));
  statement_add_text (statement, derush_json_get_string (row, "quality", NULL));
  statement_add_text (statement, derush_json_get_string (row, "resolution", NULL));
  statement_add_real (statement, derush_json_get_number (row, "fps", 0));
  statement_add_integer (statement, derush_json_get_int (row, "bitrate", 0));
  statement_add_text (statement, derush_json_get_string (row, "filePath", NULL));
  statement_add_integer (statement, derush_json_get_int (row, "fileSize", 0));
  statement_add_real (statement, derush_json_get_number (row, "duration", 0));
  statement_add_integer (statement, derush_json_get_int (row, "width", 0));
  statement_add_integer (statement, derush_json_get_int (row, "height", 0));
  statement_add_boolean (statement, derush_json_get_boolean (row, "isOptimized", FALSE));
  add_time (statement, now);
  add_time (statement, now);
  statement_add_text (statement, plan ? plan->video_id : NULL);
  statement_add_text (statement, id);
  return statement;
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

static Statement *
thumbnail_statement (const char *id, guint i, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Statement *statement = statement_new (insert_thumbnail);

  add_asset_id (statement, id, "thumbnails", i);
  statement_add_real (statement, derush_json_get_number (row, "position", 0));
  statement_add_real (statement, derush_json_get_number (row, "time", 0));
  statement_add_text (statement, derush_json_get_string (row, "filePath", NULL));
  statement_add_integer (statement, derush_json_get_int (row, "fileSize", 0));
  statement_add_integer (statement, derush_json_get_int (row, "width", 0));
  statement_add_integer (statement, derush_json_get_int (row, "height", 0));
  statement_add_text (statement, derush_json_get_string (row, "format", NULL));
  statement_add_integer (statement, thumbnail_quality (plan));
  statement_add_real (statement, derush_json_get_number (row, "score", 0));
  statement_add_boolean (statement, TRUE);
  add_time (statement, now);
  add_time (statement, now);
  statement_add_text (statement, plan ? plan->video_id : NULL);
  statement_add_text (statement, id);
  return statement;
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

static Statement *
highlight_statement (const char *id, guint i, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Statement *statement = statement_new (insert_highlight);
  const char *own = derush_json_get_string (row, "id", NULL);

  if (own)
    statement_add_text (statement, own);
  else
    add_asset_id (statement, id, "highlights", i);
  statement_add_integer (statement, derush_json_get_int (row, "rank", i + 1));
  statement_add_real (statement, derush_json_get_number (row, "startTime", 0));
  statement_add_real (statement, derush_json_get_number (row, "endTime", 0));
  statement_add_real (statement, derush_json_get_number (row, "duration", 0));
  statement_add_text (statement, derush_json_get_string (row, "type", NULL));
  statement_add_real (statement, derush_json_get_number (row, "confidence", 0));
  statement_add_text (statement, derush_json_get_string (row, "description", NULL));
  statement_add_texts (statement, texts_of (derush_json_get_array (row, "tags")));
  add_object (statement, derush_json_get_object (row, "metadata"));
  add_time (statement, now);
  add_time (statement, now);
  statement_add_text (statement, plan ? plan->video_id : NULL);
  statement_add_text (statement, id);
  return statement;
}

static const char *
text_or_null (JsonObject *row, const char *name)
{
  const char *text = derush_json_get_string (row, name, NULL);

  return text && *text ? text : NULL;
}

static Statement *
short_statement (const char *id, guint i, JsonObject *row, gint64 now, DerushPlan *plan)
{
  Statement *statement = statement_new (insert_short);

  add_asset_id (statement, id, "shorts", i);
  statement_add_text (statement, text_or_null (row, "title"));
  statement_add_text (statement, text_or_null (row, "description"));
  statement_add_real (statement, derush_json_get_number (row, "startTime", 0));
  statement_add_real (statement, derush_json_get_number (row, "endTime", 0));
  statement_add_real (statement, derush_json_get_number (row, "duration", 0));
  statement_add_text (statement, derush_json_get_string (row, "format", NULL));
  statement_add_text (statement, text_or_null (row, "platform"));
  statement_add_text (statement, derush_json_get_string (row, "filePath", NULL));
  statement_add_integer (statement, derush_json_get_int (row, "fileSize", 0));
  statement_add_integer (statement, derush_json_get_int (row, "width", 0));
  statement_add_integer (statement, derush_json_get_int (row, "height", 0));
  statement_add_boolean (statement, derush_json_get_boolean (row, "hasSubtitles", FALSE));
  statement_add_boolean (statement, derush_json_get_boolean (row, "hasMusic", FALSE));
  statement_add_text (statement, text_or_null (row, "cropPath"));
  add_time (statement, now);
  add_time (statement, now);
  statement_add_text (statement, plan ? plan->video_id : NULL);
  statement_add_text (statement, id);
  return statement;
}

/* What an earlier run of the job left in @table goes in the same transaction. */
static void
add_assets (GPtrArray *statements, const char *id, JsonArray *rows, const char *forget,
            Statement *(*make) (const char *, guint, JsonObject *, gint64, DerushPlan *), gint64 now, DerushPlan *plan)
{
  Statement *statement;

  if (!rows)
    return;
  statement = statement_new (forget);
  statement_add_text (statement, id);
  g_ptr_array_add (statements, statement);
  for (guint i = 0; i < json_array_get_length (rows); i++) {
    JsonNode *node = json_array_get_element (rows, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      g_ptr_array_add (statements, make (id, i, json_node_get_object (node), now, plan));
  }
}

GPtrArray *
rows_completed (const char *id, DerushPlan *plan, JsonObject *return_value, gint64 duration_ms)
{
  GPtrArray *statements = statements_new ();
  gint64 now = derush_time_now_ms ();
  Statement *statement = statement_new (complete_job);
  JsonArray *warnings = derush_json_get_array (return_value, "warnings");
  g_auto (GStrv) said = texts_of (warnings);
  g_autofree char *message = g_strjoinv ("; ", said);

  g_ptr_array_add (statements, job_statement (insert_job, id, derush_json_get_string (return_value, "jobType", NULL),
                                              plan, NULL, 1, 0, now - MAX (duration_ms, 0), now));
  statement_add_text (statement, *message ? message : NULL);
  add_object (statement, return_value);
  add_time (statement, now);
  statement_add_integer (statement, duration_ms);
  add_time (statement, now);
  statement_add_text (statement, id);
  g_ptr_array_add (statements, statement);
  add_assets (statements, id, derush_json_get_array (return_value, "formats"),
              "DELETE FROM video_formats WHERE \"jobId\" = $1", format_statement, now, plan);
  add_assets (statements, id, derush_json_get_array (return_value, "thumbnails"),
              "DELETE FROM thumbnails WHERE \"jobId\" = $1", thumbnail_statement, now, plan);
  add_assets (statements, id, derush_json_get_array (return_value, "highlights"),
              "DELETE FROM highlights WHERE \"jobId\" = $1", highlight_statement, now, plan);
  add_assets (statements, id, derush_json_get_array (return_value, "shorts"), "DELETE FROM shorts WHERE \"jobId\" = $1",
              short_statement, now, plan);
  return statements;
}

GPtrArray *
rows_failed (const char *id, const char *reason, gboolean will_retry, gboolean cancelled, gint64 duration_ms)
{
  GPtrArray *statements = statements_new ();
  Statement *statement = statement_new (fail_job);
  gint64 now = derush_time_now_ms ();

  statement_add_text (statement, cancelled ? "CANCELLED" : will_retry ? "DELAYED" : "FAILED");
  statement_add_text (statement, reason);
  if (will_retry && !cancelled)
    statement_add_text (statement, NULL);
  else
    add_time (statement, now);
  statement_add_integer (statement, duration_ms);
  add_time (statement, now);
  statement_add_text (statement, id);
  g_ptr_array_add (statements, statement);
  return statements;
}

static void
add_time_or_null (Statement *statement, gint64 time_ms)
{
  if (time_ms > 0)
    add_time (statement, time_ms);
  else
    statement_add_text (statement, NULL);
}

GPtrArray *
rows_execution (const DerushStoreExecution *execution)
{
  GPtrArray *statements = statements_new ();
  Statement *statement = statement_new (put_execution);
  g_autofree char *metadata = execution->metadata ? derush_json_node_to_string (execution->metadata) : NULL,
                  *steps = NULL;
  gint64 now = derush_time_now_ms ();

  if (execution->steps) {
    g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), execution->steps);

    steps = derush_json_node_to_string (node);
  }
  statement_add_text (statement, execution->id);
  statement_add_text (statement, execution->status);
  add_object (statement, execution->input);
  add_object (statement, execution->output);
  statement_add_text (statement, steps);
  add_time_or_null (statement, execution->started);
  add_time_or_null (statement, execution->ended);
  if (execution->ended > 0)
    statement_add_real (statement, MAX (execution->ended - execution->started, 0) / 1000.0);
  else
    statement_add_text (statement, NULL);
  statement_add_text (statement, execution->error);
  statement_add_text (statement, metadata);
  add_time (statement, execution->started > 0 ? execution->started : now);
  add_time (statement, now);
  statement_add_text (statement, execution->workflow);
  statement_add_text (statement, execution->job);
  g_ptr_array_add (statements, statement);
  return statements;
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

Statement *
rows_select_job (const char *id)
{
  Statement *statement = statement_new (
      "SELECT \"id\", \"type\", \"status\", \"priority\", \"progress\", \"message\", \"stage\", \"input\", \"output\", "
      "\"error\", \"retryCount\", \"maxRetries\", \"startedAt\", \"completedAt\", \"duration\", \"metadata\", "
      "\"createdAt\", \"updatedAt\", \"userId\", \"videoId\", \"workflowId\" FROM jobs WHERE \"id\" = $1");

  statement_add_text (statement, id);
  return statement;
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
