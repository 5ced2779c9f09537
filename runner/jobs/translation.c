/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* TRANSLATION: a text, cues, a file of subtitles or the speech of a film, into one or more languages. */

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_TEXT 200000
#define MAX_LANGUAGES 20
#define MAX_TERMS 500
#define MAX_TERM 200

static const Field fields[] = {
    {"originalText", FIELD_TEXT, "text", .max = MAX_TEXT},
    {"text", FIELD_TEXT, .max = MAX_TEXT},
    {"cues", FIELD_ANY},
    {"segments", FIELD_ANY, "cues"},
    {"transcript", FIELD_ANY},
    {"transcription", FIELD_ANY, "transcript"},
    {"subtitlePath", FIELD_TEXT, "subtitles", .max = 8192},
    {"subtitleUrl", FIELD_TEXT, "subtitles", .max = 8192},
    {"subtitleFile", FIELD_TEXT, "subtitles", .max = 8192},
    {"subtitleFormat", FIELD_CHOICE, "format", .choices = "srt vtt txt ass json webvtt=vtt text=txt ssa=ass !ttml"},
    {"format", FIELD_CHOICE, .choices = "srt vtt txt ass json webvtt=vtt text=txt ssa=ass !ttml"},
    {"sourceLanguage", FIELD_TEXT, .max = 40},
    {"targetLanguages", FIELD_ANY, "targets"},
    {"targetLanguage", FIELD_ANY, "targets"},
    {"formality", FIELD_CHOICE, .choices = "FORMAL NEUTRAL INFORMAL default=NEUTRAL"},
    {"glossary", FIELD_ANY},
    {"context", FIELD_TEXT, .max = 4000},
    {"tone", FIELD_TEXT, .max = 200},
    {"accuracy", FIELD_ANY},
    {"maxLineLength", FIELD_INTEGER, .min = 10, .max = 200},
    {"model", FIELD_TEXT, .max = 200},
    {NULL},
};

static const char *const containers[] = {"translationRequest", "options", NULL};

static gboolean
is_term (const char *text)
{
  return text && *text && g_utf8_strlen (text, -1) <= MAX_TERM;
}

/* `{"Blue Moon": "Luna Azul"}`, or a list of `{source, target}`. */
static void
read_glossary (JsonObject *values, JsonObject *parameters, Checker *checker)
{
  JsonNode *node = json_object_get_member (values, "glossary");
  const char *pointer = checker_pointer (checker, "glossary");
  g_autoptr (JsonObject) terms = json_object_new ();
  gboolean good = TRUE;

  if (!node)
    return;
  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    json_object_iter_init_ordered (&iter, json_node_get_object (node));
    while (json_object_iter_next_ordered (&iter, &name, &value)) {
      const char *term = derush_json_get_string (json_node_get_object (node), name, NULL);

      good &= is_term (name) && is_term (term);
      json_object_set_string_member (terms, name, term ? term : "");
    }
  } else if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *list = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (list); i++) {
      JsonNode *item = json_array_get_element (list, i);
      JsonObject *pair = JSON_NODE_HOLDS_OBJECT (item) ? json_node_get_object (item) : NULL;
      const char *source = derush_json_get_string (pair, "source", NULL),
                 *target = derush_json_get_string (pair, "target", NULL);

      good &= is_term (source) && is_term (target);
      json_object_set_string_member (terms, source ? source : "", target ? target : "");
    }
  } else {
    good = FALSE;
  }
  if (!good || json_object_get_size (terms) > MAX_TERMS)
    checker_fault (checker, pointer,
                   _ ("must be an object of at most %d terms and their translations, each of 1 to %d characters"),
                   MAX_TERMS, MAX_TERM);
  else if (json_object_get_size (terms) > 0)
    json_object_set_object_member (parameters, "glossary", g_steal_pointer (&terms));
}

/* With its times where it has some. That nothing was said is no fault. */
static void
read_transcript (JsonObject *values, JsonObject *parameters, Checker *checker)
{
  g_autoptr (JsonObject) transcript = transcript_read (checker, values, "transcript");
  JsonObject *returned = derush_json_get_object (values, "transcript");
  JsonArray *segments = derush_json_get_array (transcript, "segments"),
            *cues = derush_json_get_array (returned, "cues");
  const char *text = derush_json_get_string (transcript, "text", "");

  /* Cues can be read in their time; segments may last half a minute. */
  if (cues && json_array_get_length (cues) > 0) {
    g_autofree char *place = g_strconcat (checker_pointer (checker, "transcript"), "/cues", NULL);

    json_object_set_array_member (parameters, "cues",
                                  cues_read (checker, json_object_get_member (returned, "cues"), place));
  } else if (segments || !*text) {
    json_object_set_array_member (parameters, "cues", segments ? json_array_ref (segments) : json_array_new ());
  } else {
    json_object_set_string_member (parameters, "text", text);
  }
  if (*derush_json_get_string (transcript, "language", "") &&
      g_ascii_strcasecmp (derush_json_get_string (values, "sourceLanguage", "auto"), "auto") == 0)
    copy_member (transcript, "language", values, "sourceLanguage");
}

/* What is translated: exactly one thing, the first that there is. */
static void
read_material (DerushPlan *plan, JsonObject *values, JsonObject *parameters, Checker *checker)
{
  static const char *const kinds[] = {"text", "cues", "transcript", "subtitles"};
  const char *chosen = NULL, *format = derush_json_get_string (values, "format", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    if (!json_object_has_member (values, kinds[i]))
      continue;
    if (chosen)
      checker_warn (checker, _ ("%s is ignored, because %s says something else"), checker_pointer (checker, kinds[i]),
                    checker_pointer (checker, chosen));
    else
      chosen = kinds[i];
  }
  if (g_strcmp0 (chosen, "text") == 0) {
    copy_member (values, "text", parameters, NULL);
    /* Only the film's name: nothing of it is read. */
    g_clear_pointer (&plan->source, g_free);
  } else if (g_strcmp0 (chosen, "cues") == 0) {
    json_object_set_array_member (
        parameters, "cues",
        cues_read (checker, json_object_get_member (values, "cues"), checker_pointer (checker, "cues")));
    g_clear_pointer (&plan->source, g_free);
  } else if (g_strcmp0 (chosen, "transcript") == 0) {
    read_transcript (values, parameters, checker);
    g_clear_pointer (&plan->source, g_free);
  } else if (g_strcmp0 (chosen, "subtitles") == 0) {
    plan_set_source (plan, derush_json_get_string (values, "subtitles", NULL), checker_pointer (checker, "subtitles"),
                     checker);
    json_object_set_boolean_member (parameters, "subtitles", TRUE);
  } else if (plan->source) {
    json_object_set_boolean_member (parameters, "film", TRUE);
  } else if (checker->faults->len == 0) {
    checker_fault (checker, "/originalText",
                   _ ("is missing: give originalText, cues, a transcript, subtitlePath or a film (videoUrl) to be "
                      "translated"));
  }
  /* Subtitles without a format keep their own; the speech of a film has none. */
  if (format)
    json_object_set_string_member (parameters, "format", format);
  else if (json_object_has_member (parameters, "cues") || !chosen)
    json_object_set_string_member (parameters, "format", "vtt");
}

static void
plan_translation (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *base = NULL, *source = NULL;
  g_autoptr (JsonArray) targets = languages_read (checker, values, "targets", MAX_LANGUAGES);
  g_autoptr (JsonObject) parameters = json_object_new ();

  if (json_array_get_length (targets) == 0 && !json_object_has_member (values, "targets"))
    checker_fault (checker, "/targetLanguage", _ ("is missing, must be the code of a language or a list of them"));
  else if (json_array_get_length (targets) == 0 && checker->faults->len == 0)
    checker_fault (checker, checker_pointer (checker, "targets"), _ ("is an empty list"));
  base = plan_base_name (plan);
  read_material (plan, values, parameters, checker);
  source = language_read (checker, values, "sourceLanguage");
  if (json_object_has_member (parameters, "subtitles") && !plan->video_id && plan->source) {
    g_free (base);
    base = plan_base_name (plan);
  }
  if (source)
    json_object_set_string_member (parameters, "sourceLanguage", source);
  json_object_set_array_member (parameters, "targetLanguages", g_steal_pointer (&targets));
  json_object_set_string_member (parameters, "formality", derush_json_get_string (values, "formality", "NEUTRAL"));
  json_object_set_string_member (parameters, "name", base);
  copy_member (values, "context", parameters, NULL);
  copy_member (values, "tone", parameters, NULL);
  copy_member (values, "maxLineLength", parameters, NULL);
  copy_member (values, "model", parameters, NULL);
  read_glossary (values, parameters, checker);
  if (json_object_has_member (parameters, "film")) {
    plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
    plan_add_transcription (plan, source, 0.65);
  }
  copy_members (parameters, plan_add_step (plan, "translate", DERUSH_STEP_MODEL,
                                           json_object_has_member (parameters, "film") ? 0.30 : 1));
}

static void
translation_outputs (DerushPlan *plan, JsonObject *results, GPtrArray *outputs)
{
  JsonArray *made = derush_json_get_array (derush_json_get_object (results, "translate"), "translations");

  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonNode *item = json_array_get_element (made, i);

    if (JSON_NODE_HOLDS_OBJECT (item))
      outputs_add (outputs, derush_json_get_string (json_node_get_object (item), "file", NULL), "subtitles");
  }
}

static JsonObject *
translation_row (JsonObject *made, const Finished *finished)
{
  const char *text = derush_json_get_string (made, "text", ""), *file = derush_json_get_string (made, "file", NULL);
  JsonObject *row = json_object_new ();

  json_object_set_string_member (row, "targetLanguage", derush_json_get_string (made, "targetLanguage", ""));
  json_object_set_string_member (row, "translatedText", text);
  json_object_set_string_member (row, "file", file ? finished_path (finished, file) : "");
  set_number (row, "confidence", CLAMP (derush_json_get_number (made, "confidence", 0), 0, 1));
  json_object_set_string_member (row, "model", derush_json_get_string (made, "model", ""));
  set_whole (row, "cues", derush_json_get_number (made, "cues", 0));
  set_counts (row, text);
  return row;
}

/* The members of the first language stand beside the list of all. */
static void
translation_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  static const char *const first_of[] = {"translatedText", "targetLanguage", "confidence", "wordCount",
                                         "characterCount"};
  JsonObject *parameters = plan_find_step (plan, "translate")->parameters;
  JsonObject *result = derush_json_get_object (finished->results, "translate"), *first = NULL;
  JsonArray *made = derush_json_get_array (result, "translations"), *rows = json_array_new ();
  const char *asked = derush_json_get_string (parameters, "sourceLanguage", "");
  g_autoptr (JsonObject) none = json_object_new ();

  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonNode *item = json_array_get_element (made, i);

    if (JSON_NODE_HOLDS_OBJECT (item))
      json_array_add_object_element (rows, translation_row (json_node_get_object (item), finished));
  }
  first = json_array_get_length (rows) > 0 ? json_object_ref (json_array_get_object_element (rows, 0))
                                           : translation_row (none, finished);
  json_object_set_string_member (value, "originalText", derush_json_get_string (result, "originalText", ""));
  json_object_set_string_member (value, "sourceLanguage", derush_json_get_string (result, "sourceLanguage", asked));
  for (guint i = 0; i < G_N_ELEMENTS (first_of); i++)
    copy_member (first, first_of[i], value, NULL);
  json_object_set_string_member (value, "model", derush_json_get_string (result, "engine", ""));
  json_object_set_string_member (value, "formality", derush_json_get_string (parameters, "formality", "NEUTRAL"));
  json_object_set_string_member (value, "context", derush_json_get_string (parameters, "context", ""));
  json_object_set_array_member (value, "translations", rows);
  json_object_set_array_member (value, "failedLanguages", json_array_new ());
  copy_member (result, "failed", value, "failedLanguages");
  json_object_set_object_member (value, "metadata", model_metadata (result));
  json_object_unref (first);
}

const JobType translation = {
    .name = "TRANSLATION",
    .queue = "ai-processing",
    .aliases = "TRANSLATE",
    .fields = fields,
    .containers = containers,
    .plan = plan_translation,
    .outputs = translation_outputs,
    .returns = translation_returns,
};
