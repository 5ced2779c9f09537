/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/actions/text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* Segments that stay together when a transcript is shortened: single sentences out of their place say little. */
#define RUN 8
/* Of a word, and of all that is said: what is heard with less confidence may never have been said. */
#define DOUBTFUL_WORD 0.3
#define DOUBTFUL 0.55

/* ── Prompts ────────────────────────────────────────────────────────────── */

char *
derush_text_data_read (const char *name, GError **error)
{
  const char *own = g_getenv ("DERUSH_MODELS_DIR"), *data = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *mine = own && *own ? g_build_filename (own, name, NULL) : NULL;
  g_autofree char *ours = g_build_filename (data && *data ? data : DERUSH_PKGDATADIR, "models", name, NULL);
  const char *path = mine && g_file_test (mine, G_FILE_TEST_IS_REGULAR) ? mine : ours;
  g_autoptr (GError) failure = NULL;
  char *text;

  if (!g_file_get_contents (path, &text, NULL, &failure)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL,
                 _ ("A file of Derush for models cannot be read; install it again: %s"), failure->message);
    return NULL;
  }
  if (g_utf8_validate (text, -1, NULL))
    return text;
  g_free (text);
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL, _ ("The file %s is not written in UTF-8; mend it"),
               path);
  return NULL;
}

JsonObject *
derush_text_schema_read (const char *name, GError **error)
{
  g_autofree char *file = g_strdup_printf ("schemas/%s.json", name), *text = derush_text_data_read (file, error);
  g_autoptr (GError) failure = NULL;
  JsonObject *schema;

  if (!text)
    return NULL;
  schema = derush_json_parse_object (text, -1, &failure);
  if (!schema)
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL, _ ("The file %s is no JSON object; mend it: %s"),
                 file, failure->message);
  return schema;
}

gboolean
derush_text_prompt_read (const char *name, char **system, char **task, GError **error)
{
  g_autofree char *file = g_strdup_printf ("prompts/%s.txt", name), *text = derush_text_data_read (file, error);
  char *line;

  if (!text)
    return FALSE;
  line = strstr (text, "\n---\n");
  if (!line) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL,
                 _ ("The file %s has no line “---” between the system message and the task; mend it"), file);
    return FALSE;
  }
  *system = g_strstrip (g_strndup (text, line - text));
  *task = g_strstrip (g_strdup (line + strlen ("\n---\n")));
  return TRUE;
}

/* In one pass, so that a value that looks like a name stays as it is. */
char *
derush_text_fill (const char *text, ...)
{
  g_autoptr (GHashTable) values = g_hash_table_new (g_str_hash, g_str_equal);
  GString *filled = g_string_new (NULL);
  const char *name, *p = text;
  va_list pairs;

  va_start (pairs, text);
  while ((name = va_arg (pairs, const char *)))
    g_hash_table_insert (values, (gpointer)name, (gpointer)va_arg (pairs, const char *));
  va_end (pairs);
  for (;;) {
    const char *open = strstr (p, "{{"), *close = open ? strstr (open, "}}") : NULL;
    g_autofree char *word = close ? g_strndup (open + 2, close - open - 2) : NULL;
    gpointer value;

    if (!close)
      break;
    g_string_append_len (filled, p, open - p);
    if (g_hash_table_lookup_extended (values, word, NULL, &value)) {
      g_string_append (filled, value ? value : "");
      p = close + 2;
    } else {
      g_string_append (filled, "{{");
      p = open + 2;
    }
  }
  g_string_append (filled, p);
  return g_string_free (filled, FALSE);
}

char *
derush_text_fence (const char *data)
{
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, data, -1);

  return g_strdup_printf ("<data id=\"%.16s\">\n%s\n</data id=\"%.16s\">", hash, data, hash);
}

/* ── What is said ───────────────────────────────────────────────────────── */

/* The words of a segment that were hardly heard. */
static void
add_doubtful (JsonObject *item, JsonObject *segment)
{
  JsonArray *words = derush_json_get_array (item, "words"), *doubtful = json_array_new ();

  for (guint i = 0; words && i < json_array_get_length (words); i++) {
    JsonNode *node = json_array_get_element (words, i);
    JsonObject *word = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

    if (word && derush_json_get_number (word, "confidence", 1) < DOUBTFUL_WORD)
      json_array_add_string_element (doubtful,
                                     derush_json_get_string (word, "word", derush_json_get_string (word, "text", "")));
  }
  if (json_array_get_length (doubtful) > 0)
    json_object_set_array_member (segment, "doubtful", json_array_ref (doubtful));
  json_array_unref (doubtful);
}

static void
add_segments (JsonArray *from, JsonArray *to)
{
  for (guint i = 0; i < json_array_get_length (from); i++) {
    JsonNode *node = json_array_get_element (from, i);
    JsonObject *item = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *segment;
    const char *text = derush_json_get_string (item, "text", "");

    if (!item || !*text)
      continue;
    segment = json_object_new ();
    json_object_set_double_member (segment, "start", derush_json_get_number (item, "start", 0));
    json_object_set_double_member (segment, "end", derush_json_get_number (item, "end", 0));
    json_object_set_string_member (segment, "text", text);
    if (json_object_has_member (item, "confidence"))
      json_object_set_double_member (segment, "confidence", derush_json_get_number (item, "confidence", 1));
    add_doubtful (item, segment);
    json_array_add_object_element (to, segment);
  }
}

/* Where the segments are: in the result itself, or in the file beside it. */
static JsonArray *
find_segments (DerushModelJob *job, JsonObject *result, JsonObject **file)
{
  JsonArray *segments = derush_json_get_array (result, "segments");
  const char *name = derush_json_get_string (derush_json_get_object (result, "files"), "json", "transcript.json");
  g_autofree char *path = NULL, *text = NULL;
  gsize length;

  if (!segments)
    segments = derush_json_get_array (result, "timestamps");
  if (segments || !job->directory || strchr (name, '/') || *name == '.')
    return segments;
  path = g_build_filename (job->directory, name, NULL);
  if (!g_file_get_contents (path, &text, &length, NULL))
    return NULL;
  *file = derush_json_parse_object (text, (gssize)length, NULL);
  segments = derush_json_get_array (*file, "segments");
  return segments ? segments : derush_json_get_array (*file, "timestamps");
}

JsonObject *
derush_text_transcript (DerushModelJob *job)
{
  JsonObject *result = derush_json_get_object (job->results, "transcribe"), *transcript;
  const char *text = derush_json_get_string (result, "text", ""),
             *language = derush_json_get_string (result, "language", NULL);
  g_autoptr (JsonObject) file = NULL;
  g_autoptr (JsonArray) segments = json_array_new ();
  JsonArray *found = result ? find_segments (job, result, &file) : NULL;

  if (found)
    add_segments (found, segments);
  if (!*text)
    text = derush_json_get_string (file, "text", "");
  if (!*text && json_array_get_length (segments) == 0)
    return NULL;
  transcript = json_object_new ();
  json_object_set_string_member (transcript, "text", text);
  if (language)
    json_object_set_string_member (transcript, "language", language);
  json_object_set_array_member (transcript, "segments", g_steal_pointer (&segments));
  return transcript;
}

static const char *
text_of (JsonArray *segments, guint i)
{
  return derush_json_get_string (json_array_get_object_element (segments, i), "text", "");
}

static gsize
length_of (JsonArray *segments)
{
  gsize length = 0;

  for (guint i = 0; segments && i < json_array_get_length (segments); i++)
    length += strlen (text_of (segments, i)) + 1;
  return length;
}

/* Runs of segments from everywhere. */
static JsonArray *
thin_out (JsonArray *segments, double share)
{
  JsonArray *kept = json_array_new ();
  double due = 1 - share;

  for (guint i = 0; segments && i < json_array_get_length (segments); i += RUN) {
    due += share;
    if (due < 1)
      continue;
    due -= 1;
    for (guint k = i; k < MIN (i + RUN, json_array_get_length (segments)); k++)
      json_array_add_object_element (kept, json_object_ref (json_array_get_object_element (segments, k)));
  }
  return kept;
}

JsonObject *
derush_text_transcript_shorten (JsonObject *transcript, gsize length)
{
  JsonArray *segments = derush_json_get_array (transcript, "segments"), *kept;
  const char *text = derush_json_get_string (transcript, "text", ""),
             *language = derush_json_get_string (transcript, "language", NULL);
  gsize all = MAX (length_of (segments), strlen (text));
  g_autoptr (GString) joined = NULL;
  JsonObject *shorter;

  if (all <= length)
    return json_object_ref (transcript);
  shorter = json_object_new ();
  joined = g_string_new (NULL);
  kept = thin_out (segments, (double)length / all);
  for (guint i = 0; i < json_array_get_length (kept); i++)
    g_string_append_printf (joined, "%s%s", i > 0 ? " " : "", text_of (kept, i));
  if (joined->len == 0)
    g_string_append (joined, text);
  if (joined->len > length) {
    const char *end = g_utf8_find_prev_char (joined->str, joined->str + length + 1);

    g_string_truncate (joined, end ? end - joined->str : 0);
  }
  json_object_set_string_member (shorter, "text", joined->str);
  if (language)
    json_object_set_string_member (shorter, "language", language);
  json_object_set_array_member (shorter, "segments", kept);
  return shorter;
}

/* ── Answers ────────────────────────────────────────────────────────────── */

/* Tokens, seconds, characters, images …: whatever it is counted in. */
static void
add_usage (DerushTextTally *tally, JsonObject *usage)
{
  JsonObjectIter iter;
  const char *name;

  if (!usage)
    return;
  if (!tally->usage)
    tally->usage = json_object_new ();
  json_object_iter_init_ordered (&iter, usage);
  while (json_object_iter_next_ordered (&iter, &name, NULL)) {
    double sum = derush_json_get_number (usage, name, 0) + derush_json_get_number (tally->usage, name, 0);

    if (sum == floor (sum))
      json_object_set_int_member (tally->usage, name, (gint64)sum);
    else
      json_object_set_double_member (tally->usage, name, sum);
  }
}

/* `one, other` */
static void
note_name (char **names, const char *name)
{
  g_auto (GStrv) known = *names ? g_strsplit (*names, ", ", -1) : NULL;
  char *all;

  if (*name == '\0' || (known && g_strv_contains ((const char *const *)known, name)))
    return;
  all = *names ? g_strconcat (*names, ", ", name, NULL) : g_strdup (name);
  g_free (*names);
  *names = all;
}

void
derush_text_tally_add (DerushTextTally *tally, JsonObject *answer)
{
  JsonNode *cost = json_object_get_member (answer, "cost");
  gboolean priced = cost && !JSON_NODE_HOLDS_NULL (cost),
           degraded = derush_json_get_boolean (answer, "degraded", FALSE);

  note_name (&tally->provider, derush_json_get_string (answer, "provider", ""));
  note_name (&tally->engine, derush_json_get_string (answer, "engine", ""));
  /* An answer that somebody else had to give says more than those that went well. */
  if (tally->n_answers == 0 || (degraded && !tally->degraded)) {
    g_free (tally->reason);
    tally->reason = g_strdup (derush_json_get_string (answer, "reason", NULL));
  }
  g_free (tally->last_engine);
  tally->last_engine = g_strdup (derush_json_get_string (answer, "engine", ""));
  tally->priced = (tally->n_answers == 0 || tally->priced) && priced;
  tally->cached = (tally->n_answers == 0 || tally->cached) && derush_json_get_boolean (answer, "cached", FALSE);
  tally->degraded |= degraded;
  tally->cost += derush_json_get_number (answer, "cost", 0);
  add_usage (tally, derush_json_get_object (answer, "usage"));
  tally->n_answers++;
}

void
derush_text_tally_sign (const DerushTextTally *tally, JsonObject *result)
{
  g_autofree char *now = derush_time_to_iso8601 (derush_time_now_ms ());

  json_object_set_string_member (result, "provider", tally->provider ? tally->provider : "");
  json_object_set_string_member (result, "engine", tally->engine ? tally->engine : "");
  json_object_set_boolean_member (result, "degraded", tally->degraded);
  if (tally->degraded && tally->reason)
    json_object_set_string_member (result, "reason", tally->reason);
  json_object_set_boolean_member (result, "cached", tally->cached);
  if (tally->priced)
    json_object_set_double_member (result, "cost", tally->cost);
  else
    json_object_set_null_member (result, "cost");
  json_object_set_object_member (result, "usage", tally->usage ? json_object_ref (tally->usage) : json_object_new ());
  json_object_set_string_member (result, "timestamp", now);
  if (tally->started > 0)
    json_object_set_int_member (result, "processingTime", (g_get_monotonic_time () - tally->started) / 1000);
}

void
derush_text_tally_clear (DerushTextTally *tally)
{
  g_clear_pointer (&tally->provider, g_free);
  g_clear_pointer (&tally->engine, g_free);
  g_clear_pointer (&tally->reason, g_free);
  g_clear_pointer (&tally->last_engine, g_free);
  g_clear_pointer (&tally->usage, json_object_unref);
}

/* ── Asking ─────────────────────────────────────────────────────────────── */

JsonObject *
derush_text_ask (const char *task, JsonObject *request, gpointer user_data, GError **error)
{
  DerushModelJob *job = user_data;

  return derush_models_call (job->models, task, request, &job->context, job->cancellable, error);
}

void
derush_text_warn (DerushModelJob *job, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  if (job->context.warn)
    job->context.warn (message, job->context.warn_data);
}

static gboolean
same_language (const char *one, const char *other)
{
  gsize length = strcspn (one, "-_");

  return length == strcspn (other, "-_") && g_ascii_strncasecmp (one, other, length) == 0;
}

/* Rules, and some models, write in the language of what they were given, whatever they were asked for. */
void
derush_text_check_language (DerushModelJob *job, const char *answered)
{
  const char *asked = derush_json_get_string (job->parameters, "language", "");

  if (*asked && strcmp (asked, "auto") != 0 && answered && *answered && !same_language (asked, answered))
    derush_text_warn (job, _ ("The text is in the language %s, not in %s as asked"), answered, asked);
}

gboolean
derush_text_is_by_rules (const DerushTextTally *tally)
{
  return g_strcmp0 (tally->provider, "local") == 0;
}

gboolean
derush_text_is_unheard (DerushModelJob *job)
{
  return derush_json_get_boolean (derush_json_get_object (job->results, "transcribe"), "unheard", FALSE);
}

/* Models of language mend what was misheard; rules write it down. */
void
derush_text_check_hearing (DerushModelJob *job)
{
  JsonObject *heard = derush_json_get_object (job->results, "transcribe");
  double confidence = derush_json_get_number (heard, "confidence", 1);

  if (*derush_json_get_string (heard, "text", "") && confidence > 0 && confidence < DOUBTFUL)
    derush_text_warn (
        job,
        _ ("What is said was heard with a confidence of %.2f: what is written about it may be wrong; give a "
           "transcript or a key of a better model"),
        confidence);
}

void
derush_text_check_translated (DerushModelJob *job, JsonObject *transcript, const char *answered)
{
  const char *said = derush_json_get_string (transcript, "language", "");

  if (*said && answered && *answered && !same_language (said, answered))
    derush_text_warn (
        job,
        _ ("What is said was translated from %s into %s by the rules of this machine: read the text before "
           "it is published"),
        said, answered);
}
