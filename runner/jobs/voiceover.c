/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* VOICEOVER: a text spoken; of cues each in its time; with a film, mixed into its sound. */

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_TEXT 100000
/* Longer voices are not made in one job, in s. */
#define MAX_TIME 14400

static const Field fields[] = {
    {"text", FIELD_TEXT, .max = MAX_TEXT},
    {"narrationScript", FIELD_TEXT, "text", .max = MAX_TEXT},
    {"script", FIELD_TEXT, "text", .max = MAX_TEXT},
    {"cues", FIELD_ANY},
    {"segments", FIELD_ANY, "cues"},
    {"voice", FIELD_TEXT, .max = 100},
    {"voiceId", FIELD_TEXT, "voice", .max = 100},
    {"language", FIELD_TEXT, .max = 40},
    {"format", FIELD_CHOICE, .choices = "mp3 wav flac opus m4a aac=m4a ogg=opus mpeg=mp3 !pcm !webm"},
    {"speed", FIELD_NUMBER, .min = 0.25, .max = 4},
    {"pitch", FIELD_NUMBER, .min = -24, .max = 24},
    {"emotion", FIELD_TEXT, .max = 100},
    {"mix", FIELD_ANY},
    {"platform", FIELD_NAME, .choices = "X=TWITTER"},
    {"model", FIELD_TEXT, .max = 200},
    {"sceneId", FIELD_ID, .max = 512},
    {"provider", FIELD_ANY},
    {"quality", FIELD_ANY},
    {NULL},
};

static const Field mix_fields[] = {
    {"duckDb", FIELD_NUMBER, "duckGain", .min = -60, .max = 0},
    {"duckGain", FIELD_NUMBER, .min = -60, .max = 0},
    {"keepBackground", FIELD_BOOLEAN},
    {"targetLufs", FIELD_NUMBER, .min = -40, .max = -8},
    {NULL},
};

static const char *const containers[] = {"voiceoverRequest", "options", NULL};

/* Notes, dots and pictures are shown in subtitles, but no voice can say them. */
static JsonArray *
take_spoken (JsonArray *cues)
{
  JsonArray *spoken = json_array_new ();

  for (guint i = 0; i < json_array_get_length (cues); i++) {
    JsonObject *cue = json_array_get_object_element (cues, i);

    if (count_words (derush_json_get_string (cue, "text", "")) > 0)
      json_array_add_object_element (spoken, json_object_ref (cue));
  }
  json_array_unref (cues);
  return spoken;
}

/* Exactly one of them; the times say more. */
static void
read_words (JsonObject *values, JsonObject *parameters, Checker *checker)
{
  JsonNode *list = json_object_get_member (values, "cues");
  JsonArray *cues;

  if (list) {
    cues = take_spoken (cues_read (checker, list, checker_pointer (checker, "cues")));
    for (guint i = 0; i < json_array_get_length (cues); i++)
      if (derush_json_get_number (json_array_get_object_element (cues, i), "end", 0) > MAX_TIME) {
        checker_fault (checker, checker_pointer (checker, "cues"),
                       _ ("must end within %d s; split it into several jobs"), MAX_TIME);
        break;
      }
    if (json_array_get_length (cues) == 0 && checker->faults->len == 0)
      checker_fault (checker, checker_pointer (checker, "cues"), _ ("has no words: there is nothing to be spoken"));
    json_object_set_array_member (parameters, "cues", cues);
    if (json_object_has_member (values, "text"))
      checker_warn (checker, _ ("%s is ignored, because %s says something else"), checker_pointer (checker, "text"),
                    checker_pointer (checker, "cues"));
    return;
  }
  if (json_object_has_member (values, "text") && count_words (derush_json_get_string (values, "text", "")) == 0)
    checker_fault (checker, checker_pointer (checker, "text"), _ ("has no words: there is nothing to be spoken"));
  else if (json_object_has_member (values, "text"))
    copy_member (values, "text", parameters, NULL);
  else if (checker->faults->len == 0)
    checker_fault (checker, "/text", _ ("is missing: give the text or the cues that are to be spoken"));
}

static void
read_mix (DerushPlan *plan, JsonObject *values, JsonObject *parameters, Checker *checker)
{
  JsonNode *node = json_object_get_member (values, "mix");
  const Field *const tables[] = {mix_fields, NULL};

  if (node && !JSON_NODE_HOLDS_OBJECT (node)) {
    g_autofree char *value = json_node_quote (node);

    checker_fault (checker, checker_pointer (checker, "mix"), _ ("is %s, must be an object"), value);
  } else if (node) {
    checker_read (checker, json_node_get_object (node), checker_pointer (checker, "mix"), mix_fields, parameters);
    checker_read_rest (checker, json_node_get_object (node), checker_pointer (checker, "mix"), tables);
    if (!plan->source)
      checker_warn (checker, _ ("%s is ignored, because the job names no film"), checker_pointer (checker, "mix"));
  }
  copy_member (values, "platform", parameters, NULL);
}

static char *
file_base (DerushPlan *plan, JsonObject *values, const char *language)
{
  g_autofree char *base = plan_base_name (plan), *scene = NULL;
  const char *id = derush_json_get_string (values, "sceneId", NULL);
  GString *name = g_string_new (base);

  if (id) {
    scene = file_name_from_id (id);
    g_string_append_printf (name, "-%s", scene);
  }
  g_string_append (name, "-voiceover");
  if (language)
    g_string_append_printf (name, "-%s", language);
  return g_string_free (name, FALSE);
}

static void
plan_voiceover (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *language = language_read (checker, values, "language"), *base = file_base (plan, values, language);
  g_autofree char *mixed = g_strconcat (base, "-mix", NULL);
  const char *format = derush_json_get_string (values, "format", "mp3");
  JsonObject *spoken, *encoded, *mix = json_object_new ();

  if (plan->source)
    plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
  spoken = plan_add_step (plan, "speak", DERUSH_STEP_MODEL, plan->source ? 0.55 : 0.9);
  read_words (values, spoken, checker);
  copy_member (values, "voice", spoken, NULL);
  copy_member (values, "speed", spoken, NULL);
  copy_member (values, "model", spoken, NULL);
  if (language)
    json_object_set_string_member (spoken, "language", language);
  if (derush_json_get_number (values, "pitch", 0) != 0)
    checker_warn (checker, _ ("%s is ignored: voices are spoken at their own pitch"),
                  checker_pointer (checker, "pitch"));
  if (json_object_has_member (values, "provider") && *derush_json_get_string (values, "provider", "?"))
    checker_warn (checker, _ ("%s is ignored: DERUSH_MODEL_PROVIDERS_SPEAK says who speaks"),
                  checker_pointer (checker, "provider"));
  if (json_object_has_member (values, "emotion"))
    checker_warn (checker, _ ("%s is ignored: choose another voice instead"), checker_pointer (checker, "emotion"));
  encoded = plan_add_step (plan, "voice-encode", DERUSH_STEP_MEDIA, 0.1);
  json_object_set_string_member (encoded, "format", format);
  json_object_set_string_member (encoded, "name", base);
  read_mix (plan, values, mix, checker);
  if (plan->source) {
    JsonObject *parameters = plan_add_step (plan, "voice-mix", DERUSH_STEP_MEDIA, 0.3);

    copy_members (mix, parameters);
    json_object_set_string_member (parameters, "format", format);
    json_object_set_string_member (parameters, "name", mixed);
  }
  json_object_unref (mix);
}

static JsonObject *
result_of (JsonObject *results, const char *step)
{
  return derush_json_get_object (results, step);
}

static void
voiceover_outputs (DerushPlan *plan, JsonObject *results, GPtrArray *outputs)
{
  JsonObject *mix = result_of (results, "voice-mix");
  gboolean film = strcmp (derush_json_get_string (mix, "format", ""), "mp4") == 0;

  outputs_add (outputs, derush_json_get_string (result_of (results, "voice-encode"), "file", NULL), "audio");
  outputs_add (outputs, derush_json_get_string (mix, "file", NULL), film ? "video" : "audio");
}

static void
voiceover_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *spoken = result_of (finished->results, "speak"), *mix = result_of (finished->results, "voice-mix");
  const char *file = derush_json_get_string (result_of (finished->results, "voice-encode"), "file", NULL);
  const DerushOutput *output = finished_find_output (finished, file);
  const char *voice = derush_json_get_string (spoken, "voice", "");
  JsonObject *encoding = plan_find_step (plan, "voice-encode")->parameters;

  json_object_set_string_member (value, "filePath", finished_path (finished, file));
  json_object_set_string_member (value, "audioUrl", finished_path (finished, file));
  set_seconds (value, "duration", derush_json_get_number (spoken, "duration", 0));
  json_object_set_string_member (value, "format", derush_json_get_string (encoding, "format", "mp3"));
  json_object_set_int_member (value, "size", output ? output->size : 0);
  json_object_set_string_member (value, "voice", *voice ? voice : derush_json_get_string (spoken, "engine", ""));
  json_object_set_array_member (value, "cues", json_array_new ());
  if (derush_json_get_array (spoken, "cues"))
    copy_member (spoken, "cues", value, NULL);
  json_object_set_string_member (value, "mixedPath",
                                 finished_path (finished, derush_json_get_string (mix, "file", NULL)));
  if (mix) {
    copy_member (mix, "loudness", value, NULL);
    copy_member (mix, "truePeak", value, NULL);
    copy_member (mix, "pictureCopied", value, NULL);
  }
  json_object_set_string_member (value, "model", derush_json_get_string (spoken, "engine", ""));
  json_object_set_string_member (value, "provider", derush_json_get_string (spoken, "provider", ""));
  json_object_set_string_member (value, "engine", derush_json_get_string (spoken, "engine", ""));
  json_object_set_boolean_member (value, "degraded", derush_json_get_boolean (spoken, "degraded", FALSE));
  json_object_set_object_member (value, "metadata", model_metadata (spoken));
}

const JobType voiceover = {
    .name = "VOICEOVER",
    .queue = "ai-processing",
    .aliases = "VOICE_OVER GENERATE_VOICEOVER",
    .fields = fields,
    .containers = containers,
    .plan = plan_voiceover,
    .outputs = voiceover_outputs,
    .returns = voiceover_returns,
};
