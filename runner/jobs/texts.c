/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What the jobs of the models have in common: languages, cues, the speech of a film, and who answered. */

#include "jobs-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_CUES 20000
#define MAX_CUE_TEXT 5000
#define MAX_TIME 604800 /* a week */
#define MAX_TRANSCRIPT 500000

/* `es_ES` → `es-ES`, `spa` and `Spanish` → `es`: a BCP 47 code as far as anybody needs one; NULL if it is none */
static char *
canonical_language (const char *text)
{
  g_autofree char *dashed = g_strstrip (g_strdelimit (g_strdup (text), "_", '-'));
  const char *code = derush_language_from_name (text);
  g_auto (GStrv) parts = NULL;

  if (code)
    return g_strdup (code);

  if (!g_regex_match_simple ("^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\\z", dashed, 0, 0))
    return NULL;
  parts = g_strsplit (dashed, "-", -1);
  for (guint i = 0; parts[i]; i++) {
    gsize length = strlen (parts[i]);

    for (char *c = parts[i]; *c; c++)
      *c = i > 0 && length == 2 ? g_ascii_toupper (*c) : g_ascii_tolower (*c);
    if (i > 0 && length == 4 && g_ascii_isalpha (parts[i][0]))
      parts[i][0] = g_ascii_toupper (parts[i][0]);
  }
  if ((code = derush_language_from_name (parts[0]))) {
    g_free (parts[0]);
    parts[0] = g_strdup (code);
  }
  return g_strjoinv ("-", parts);
}

static char *
language_of (Checker *checker, const char *text, const char *pointer)
{
  char *code = canonical_language (text);
  g_autofree char *quoted = NULL;

  if (!code) {
    quoted = text_quote (text);
    checker_fault (checker, pointer, _ ("is %s, must be the code of a language, such as en, es or pt-BR"), quoted);
  }
  return code;
}

char *
language_read (Checker *checker, JsonObject *values, const char *name)
{
  const char *text = derush_json_get_string (values, name, NULL);

  if (!text || g_ascii_strcasecmp (text, "auto") == 0)
    return NULL;
  return language_of (checker, text, checker_pointer (checker, name));
}

JsonArray *
languages_read (Checker *checker, JsonObject *values, const char *name, guint max)
{
  JsonNode *node = json_object_get_member (values, name);
  JsonArray *items = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL,
            *read = json_array_new ();
  const char *pointer = checker_pointer (checker, name), *alone = derush_json_get_string (values, name, NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint length = items ? json_array_get_length (items) : alone && *alone ? 1 : 0;

  if (node && !items && !alone) {
    g_autofree char *value = json_node_quote (node);

    checker_fault (checker, pointer, _ ("is %s, must be the code of a language or a list of them"), value);
    return read;
  }
  if (length > max) {
    checker_fault (checker, pointer, _ ("has %u items, may have %u at most"), length, max);
    return read;
  }
  for (guint i = 0; i < length; i++) {
    g_autofree char *place = items ? g_strdup_printf ("%s/%u", pointer, i) : g_strdup (pointer), *code = NULL;
    const char *text = items ? string_element (items, i) : alone;

    if (!text) {
      checker_fault (checker, place, _ ("must be the code of a language, such as en, es or pt-BR"));
      continue;
    }
    code = language_of (checker, text, place);
    if (code && !g_hash_table_contains (seen, code)) {
      json_array_add_string_element (read, code);
      g_hash_table_add (seen, g_steal_pointer (&code));
    }
  }
  return read;
}

/* ── Cues ───────────────────────────────────────────────────────────────── */

static double
time_of (JsonObject *item, const char *name, const char *other)
{
  JsonNode *node = item ? json_object_get_member (item, name) : NULL;

  if (item && !node)
    node = json_object_get_member (item, other);
  if (!node || !JSON_NODE_HOLDS_VALUE (node) ||
      (json_node_get_value_type (node) != G_TYPE_INT64 && json_node_get_value_type (node) != G_TYPE_DOUBLE))
    return NAN;
  return json_node_get_double (node);
}

static void
read_cue (Checker *checker, JsonNode *node, const char *pointer, JsonArray *cues)
{
  JsonObject *item = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *cue;
  double start = time_of (item, "start", "startTime"), end = time_of (item, "end", "endTime");
  const char *text = derush_json_get_string (item, "text", NULL);

  if (!item || !text || !(start >= 0 && start <= MAX_TIME) || !(end >= start && end <= MAX_TIME) ||
      g_utf8_strlen (text, -1) > MAX_CUE_TEXT) {
    checker_fault (checker, pointer,
                   _ ("must be an object with start and end in seconds, start first, and text of at most %d "
                      "characters"),
                   MAX_CUE_TEXT);
    return;
  }
  cue = json_object_new ();
  json_object_set_double_member (cue, "start", start);
  json_object_set_double_member (cue, "end", end);
  json_object_set_string_member (cue, "text", text);
  if (derush_json_get_string (item, "speaker", NULL))
    copy_member (item, "speaker", cue, NULL);
  json_array_add_object_element (cues, cue);
}

JsonArray *
cues_read (Checker *checker, JsonNode *list, const char *pointer)
{
  JsonArray *cues = json_array_new (), *items;
  guint length;

  if (!JSON_NODE_HOLDS_ARRAY (list)) {
    g_autofree char *value = json_node_quote (list);

    checker_fault (checker, pointer, _ ("is %s, must be a list of objects with start, end and text"), value);
    return cues;
  }
  items = json_node_get_array (list);
  length = json_array_get_length (items);
  if (length > MAX_CUES) {
    checker_fault (checker, pointer, _ ("has %u items, may have %u at most"), length, MAX_CUES);
    return cues;
  }
  for (guint i = 0; i < length; i++) {
    g_autofree char *place = g_strdup_printf ("%s/%u", pointer, i);

    read_cue (checker, json_array_get_element (items, i), place, cues);
  }
  return cues;
}

static char *
join_cues (JsonArray *cues)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (cues); i++)
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "",
                            derush_json_get_string (json_array_get_object_element (cues, i), "text", ""));
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* The first of them that has items. */
static const char *
find_times (JsonObject *object)
{
  static const char *const names[] = {"timestamps", "segments", "cues"};

  for (guint i = 0; object && i < G_N_ELEMENTS (names); i++) {
    JsonNode *node = json_object_get_member (object, names[i]);

    if (node && !JSON_NODE_HOLDS_NULL (node) &&
        (!JSON_NODE_HOLDS_ARRAY (node) || json_array_get_length (json_node_get_array (node)) > 0))
      return names[i];
  }
  return NULL;
}

/*
 * A text, a list of {start, end, text}, or what TRANSCRIPTION returns: an object with text and, maybe, timestamps, segments
 * or cues. Returns: (transfer full) (nullable): {text, segments?, language?}; %NULL if there is none, or a fault
 */
JsonObject *
transcript_read (Checker *checker, JsonObject *values, const char *name)
{
  JsonNode *node = json_object_get_member (values, name);
  const char *pointer = checker_pointer (checker, name);
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *transcript;
  const char *times = find_times (object), *text = object ? derush_json_get_string (object, "text", NULL)
                                                          : derush_json_get_string (values, name, NULL);
  g_autofree char *place = times ? g_strconcat (pointer, "/", times, NULL) : g_strdup (pointer), *joined = NULL;
  g_autoptr (JsonArray) cues = NULL;

  if (!node || (!object && text && !*text))
    return NULL;
  if (times || JSON_NODE_HOLDS_ARRAY (node))
    cues = cues_read (checker, times ? json_object_get_member (object, times) : node, place);
  if (cues && (!text || !*text))
    text = joined = join_cues (cues);
  if (!text || g_utf8_strlen (text, -1) > MAX_TRANSCRIPT) {
    checker_fault (checker, pointer,
                   _ ("must be a text of at most %d characters, or an object with text and timestamps as "
                      "TRANSCRIPTION returns"),
                   MAX_TRANSCRIPT);
    return NULL;
  }
  transcript = json_object_new ();
  json_object_set_string_member (transcript, "text", text);
  if (cues)
    json_object_set_array_member (transcript, "segments", g_steal_pointer (&cues));
  if (object && derush_json_get_string (object, "language", NULL))
    copy_member (object, "language", transcript, NULL);
  return transcript;
}

/* ── Speech ─────────────────────────────────────────────────────────────── */

void
plan_add_transcription (DerushPlan *plan, const char *language, double weight)
{
  JsonObject *parameters;

  plan_add_step (plan, "speech-audio", DERUSH_STEP_MEDIA, weight * 0.15);
  parameters = plan_add_step (plan, "transcribe", DERUSH_STEP_MODEL, weight * 0.85);
  if (language)
    json_object_set_string_member (parameters, "language", language);
  plan_find_step (plan, "transcribe")->needs = g_strdup ("speech-audio");
}

/* ── Texts of return values ─────────────────────────────────────────────── */

/* Runs of letters and digits, with what stands inside of them; each ideograph is a word. */
guint
count_words (const char *text)
{
  gboolean inside = FALSE;
  guint n = 0;

  for (const char *p = text; p && *p; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    GUnicodeScript script = g_unichar_get_script (c);
    gboolean alone =
        script == G_UNICODE_SCRIPT_HAN || script == G_UNICODE_SCRIPT_HIRAGANA || script == G_UNICODE_SCRIPT_KATAKANA;

    if (alone || (g_unichar_isalnum (c) && !inside))
      n++;
    if (alone || g_unichar_isspace (c))
      inside = FALSE;
    else if (g_unichar_isalnum (c))
      inside = TRUE;
  }
  return n;
}

void
set_counts (JsonObject *object, const char *text)
{
  json_object_set_int_member (object, "wordCount", count_words (text));
  json_object_set_int_member (object, "characterCount", text ? g_utf8_strlen (text, -1) : 0);
}

/* Who answered a step of a model: what every one of them says of itself. */
JsonObject *
model_metadata (JsonObject *result)
{
  static const char *const members[] = {"reason", "cost", "cached", "usage", "timestamp"};
  JsonObject *metadata = json_object_new (), *usage = derush_json_get_object (result, "usage");
  const char *engine = derush_json_get_string (result, "engine", "");

  json_object_set_string_member (metadata, "model", engine);
  json_object_set_string_member (metadata, "provider", derush_json_get_string (result, "provider", ""));
  json_object_set_string_member (metadata, "engine", engine);
  json_object_set_boolean_member (metadata, "degraded", derush_json_get_boolean (result, "degraded", FALSE));
  set_whole (metadata, "processingTime", derush_json_get_number (result, "processingTime", 0));
  json_object_set_string_member (metadata, "timestamp", "");
  set_whole (metadata, "tokensUsed",
             derush_json_get_number (usage, "inputTokens", 0) + derush_json_get_number (usage, "outputTokens", 0));
  for (guint i = 0; result && i < G_N_ELEMENTS (members); i++)
    copy_member (result, members[i], metadata, NULL);
  return metadata;
}
