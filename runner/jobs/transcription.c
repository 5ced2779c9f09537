/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* TRANSCRIPTION: what is said in a film or a sound, as text and as subtitles. */

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_TERMS 200
#define MAX_TERM 100
#define MAX_PROMPT 2000

static const Field fields[] = {
    {"language", FIELD_TEXT, .max = 40},
    {"sourceLanguage", FIELD_TEXT, "language", .max = 40},
    {"format", FIELD_CHOICE, .choices = "json srt vtt ass txt webvtt=vtt text=txt verbose_json=json ssa=ass"},
    {"model", FIELD_TEXT, .max = 200},
    {"prompt", FIELD_TEXT, .max = MAX_PROMPT},
    {"customVocabulary", FIELD_ANY, "vocabulary"},
    {"vocabulary", FIELD_ANY},
    {"includeTimestamps", FIELD_BOOLEAN},
    {"includeConfidence", FIELD_BOOLEAN},
    {"speakerDiarization", FIELD_BOOLEAN, "speakers"},
    {"diarization", FIELD_BOOLEAN, "speakers"},
    {"requireAudio", FIELD_BOOLEAN},
    {"accuracy", FIELD_ANY},
    {"title", FIELD_ANY},
    {"feedVideoId", FIELD_ANY},
    {NULL},
};

static const char *const containers[] = {"transcriptionRequest", "options", NULL};

/* Names and terms that are said, which recognisers are told as if they had been said before. */
static void
read_vocabulary (JsonObject *values, JsonObject *parameters, Checker *checker)
{
  JsonNode *node = json_object_get_member (values, "vocabulary");
  JsonArray *terms = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  const char *prompt = derush_json_get_string (values, "prompt", NULL);
  g_autoptr (GString) text = g_string_new (prompt);
  gboolean good = !node || terms != NULL;

  good &= !terms || json_array_get_length (terms) <= MAX_TERMS;
  for (guint i = 0; good && terms && i < json_array_get_length (terms); i++) {
    const char *term = string_element (terms, i);

    good = term && g_utf8_strlen (term, -1) <= MAX_TERM;
    if (good && *term)
      g_string_append_printf (text, "%s%s", text->len > 0 ? ", " : "", term);
  }
  if (!good)
    checker_fault (checker, checker_pointer (checker, "vocabulary"),
                   _ ("must be a list of at most %d words, each of at most %d characters"), MAX_TERMS, MAX_TERM);
  else if (text->len > 0)
    json_object_set_string_member (parameters, "prompt", text->str);
}

static void
plan_transcription (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *base = plan_base_name (plan), *language = language_read (checker, values, "language");
  JsonObject *parameters, *sound;

  plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
  plan_add_transcription (plan, language, 0.95);
  sound = plan_find_step (plan, "speech-audio")->parameters;
  copy_member (values, "requireAudio", sound, NULL);
  parameters = plan_find_step (plan, "transcribe")->parameters;
  read_vocabulary (values, parameters, checker);
  copy_member (values, "model", parameters, NULL);
  copy_member (values, "speakers", parameters, NULL);
  copy_member (values, "format", parameters, NULL);
  copy_member (values, "includeTimestamps", parameters, NULL);
  copy_member (values, "includeConfidence", parameters, NULL);
  json_object_set_string_member (parameters, "name", base);
}

static JsonObject *
result_of (JsonObject *results)
{
  return derush_json_get_object (results, "transcribe");
}

static const char *const formats[] = {"txt", "json", "srt", "vtt", "ass"};

static void
transcription_outputs (DerushPlan *plan, JsonObject *results, GPtrArray *outputs)
{
  JsonObject *files = derush_json_get_object (result_of (results), "files");

  for (guint i = 0; files && i < G_N_ELEMENTS (formats); i++)
    outputs_add (outputs, derush_json_get_string (files, formats[i], NULL),
                 i == 0   ? "transcript"
                 : i == 1 ? "data"
                          : "subtitles");
}

/* A copy of a segment; without the confidence where nobody wants it. */
static JsonObject *
timestamp (JsonObject *segment, gboolean confidence)
{
  JsonObject *item = json_object_new ();
  JsonArray *words = derush_json_get_array (segment, "words"), *list = json_array_new ();

  copy_member (segment, "start", item, NULL);
  copy_member (segment, "end", item, NULL);
  copy_member (segment, "text", item, NULL);
  copy_member (segment, "speaker", item, NULL);
  if (confidence)
    copy_member (segment, "confidence", item, NULL);
  for (guint i = 0; words && i < json_array_get_length (words); i++) {
    JsonNode *node = json_array_get_element (words, i);
    JsonObject *word = json_object_new ();

    if (JSON_NODE_HOLDS_OBJECT (node))
      copy_members (json_node_get_object (node), word);
    if (!confidence)
      json_object_remove_member (word, "confidence");
    json_array_add_object_element (list, word);
  }
  json_object_set_array_member (item, "words", list);
  return item;
}

static void
set_timestamps (DerushPlan *plan, JsonObject *result, JsonObject *value)
{
  JsonObject *parameters = plan_find_step (plan, "transcribe")->parameters;
  gboolean wanted = derush_json_get_boolean (parameters, "includeTimestamps", TRUE),
           confidence = derush_json_get_boolean (parameters, "includeConfidence", TRUE);
  JsonArray *segments = derush_json_get_array (result, "segments"), *list = json_array_new ();

  for (guint i = 0; wanted && segments && i < json_array_get_length (segments); i++) {
    JsonNode *node = json_array_get_element (segments, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      json_array_add_object_element (list, timestamp (json_node_get_object (node), confidence));
  }
  json_object_set_boolean_member (value, "hasTimestamps", json_array_get_length (list) > 0);
  json_object_set_array_member (value, "timestamps", list);
}

static void
transcription_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *result = result_of (finished->results), *files = derush_json_get_object (result, "files");
  JsonObject *parameters = plan_find_step (plan, "transcribe")->parameters, *paths = json_object_new ();
  const char *text = derush_json_get_string (result, "text", ""),
             *format = derush_json_get_string (parameters, "format", "json");
  JsonArray *speakers = derush_json_get_array (result, "speakers");

  json_object_set_string_member (value, "text", text);
  json_object_set_string_member (
      value, "language",
      derush_json_get_string (result, "language", derush_json_get_string (parameters, "language", "")));
  json_object_set_string_member (value, "model", derush_json_get_string (result, "engine", ""));
  set_number (value, "confidence", derush_json_get_number (result, "confidence", 0));
  set_timestamps (plan, result, value);
  json_object_set_array_member (value, "cues", json_array_new ());
  if (derush_json_get_array (result, "cues"))
    copy_member (result, "cues", value, NULL);
  json_object_set_boolean_member (value, "hasSpeakers", speakers && json_array_get_length (speakers) > 0);
  if (speakers)
    copy_member (result, "speakers", value, NULL);
  else
    json_object_set_array_member (value, "speakers", json_array_new ());
  set_counts (value, text);
  set_seconds (value, "duration",
               derush_json_get_number (derush_json_get_object (finished->results, "speech-audio"), "duration", 0));
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    json_object_set_string_member (paths, formats[i],
                                   finished_path (finished, derush_json_get_string (files, formats[i], NULL)));
  json_object_set_string_member (value, "format", format);
  json_object_set_string_member (value, "filePath", derush_json_get_string (paths, format, ""));
  json_object_set_object_member (value, "files", paths);
  json_object_set_string_member (value, "provider", derush_json_get_string (result, "provider", ""));
  json_object_set_string_member (value, "engine", derush_json_get_string (result, "engine", ""));
  json_object_set_boolean_member (value, "degraded", derush_json_get_boolean (result, "degraded", FALSE));
  json_object_set_object_member (value, "metadata", model_metadata (result));
}

const JobType transcription = {
    .name = "TRANSCRIPTION",
    .queue = "ai-processing",
    .aliases = "GENERATE_CAPTIONS TRANSCRIBE",
    .fields = fields,
    .containers = containers,
    .needs_source = TRUE,
    .plan = plan_transcription,
    .outputs = transcription_outputs,
    .returns = transcription_returns,
};
