/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* AI_ANALYSIS: what a film is about. What is said, some frames and our own measurements go to a model; what we measure
 * ourselves needs none. */

#include "jobs-private.h"

#include <string.h>

#define MAX_TYPES 32
#define MAX_QUESTION 4000
#define MAX_FRAMES 50
#define DEFAULT_FRAMES 12
/* Of the shots in a return value. */
#define MAX_SHOTS 100

#define TYPES                                                                                                          \
  "summary topics tags chapters moments sentiment people objects scenes scene-detection audio-analysis "               \
  "content-analysis highlights=moments keywords=tags faces=people face-detection=people object-detection=objects "     \
  "scene_detection=scene-detection audio_analysis=audio-analysis content_analysis=content-analysis "                   \
  "face_detection=people object_detection=objects"

static const Field fields[] = {
    {"analysisTypes", FIELD_CHOICES, "types", .max_items = MAX_TYPES, .choices = TYPES},
    {"analysisType", FIELD_CHOICES, "types", .max_items = MAX_TYPES, .choices = TYPES},
    {"customPrompt", FIELD_TEXT, "question", .max = MAX_QUESTION},
    {"language", FIELD_TEXT, .max = 40},
    {"sourceLanguage", FIELD_TEXT, .max = 40},
    {"maxFrames", FIELD_INTEGER, .min = 0, .max = MAX_FRAMES},
    {"maxMoments", FIELD_INTEGER, .min = 1, .max = MAX_MOMENTS},
    {"model", FIELD_TEXT, .max = 200},
    {NULL},
};

static const char *const containers[] = {"analysisRequest", "options", NULL};

/* What `content-analysis` stands for, and nothing asked at all. */
static const char *const content_types[] = {"summary",   "topics", "tags",    "chapters", "moments",
                                            "sentiment", "people", "objects", "scenes",   NULL};
/* What needs no model. */
static const char *const measured_types[] = {"scene-detection", "audio-analysis", NULL};

static void
add_type (JsonArray *types, const char *name)
{
  for (guint i = 0; i < json_array_get_length (types); i++)
    if (strcmp (json_array_get_string_element (types, i), name) == 0)
      return;
  json_array_add_string_element (types, name);
}

static JsonArray *
read_types (JsonObject *values)
{
  JsonArray *asked = derush_json_get_array (values, "types"), *types = json_array_new ();

  for (guint i = 0; asked && i < json_array_get_length (asked); i++) {
    const char *name = json_array_get_string_element (asked, i);

    if (strcmp (name, "content-analysis") != 0)
      add_type (types, name);
    for (guint k = 0; strcmp (name, "content-analysis") == 0 && content_types[k]; k++)
      add_type (types, content_types[k]);
  }
  for (guint k = 0; !asked && content_types[k]; k++)
    add_type (types, content_types[k]);
  for (guint k = 0; !asked && measured_types[k]; k++)
    add_type (types, measured_types[k]);
  return types;
}

static gboolean
needs_model (JsonArray *types, gboolean question)
{
  for (guint i = 0; i < json_array_get_length (types); i++)
    if (!g_strv_contains (measured_types, json_array_get_string_element (types, i)))
      return TRUE;
  return question;
}

void
plan_add_film (DerushPlan *plan, const char *language, gint64 n_frames, double weight)
{
  JsonObject *frames, *highlights;

  plan->needs_analysis = TRUE;
  plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, weight * 0.05);
  plan_add_step (plan, "analyse", DERUSH_STEP_MEDIA, weight * 0.45);
  highlights = plan_add_step (plan, "highlights", DERUSH_STEP_MEDIA, weight * 0.02);
  json_object_set_int_member (highlights, "maxHighlights", 10);
  json_object_set_string_member (highlights, "sensitivity", "medium");
  json_object_set_double_member (highlights, "minDuration", 3);
  json_object_set_double_member (highlights, "maxDuration", 60);
  json_object_set_array_member (highlights, "detectionTypes", json_array_new ());
  json_array_add_string_element (derush_json_get_array (highlights, "detectionTypes"), "MOTION");
  json_array_add_string_element (derush_json_get_array (highlights, "detectionTypes"), "AUDIO");
  json_array_add_string_element (derush_json_get_array (highlights, "detectionTypes"), "SCENE_CHANGE");
  frames = plan_add_step (plan, "frames", DERUSH_STEP_MEDIA, weight * 0.08);
  json_object_set_int_member (frames, "count", n_frames);
  json_object_set_int_member (frames, "size", 768);
  plan_add_transcription (plan, language, weight * 0.40);
  json_object_set_boolean_member (plan_find_step (plan, "transcribe")->parameters, "optional", TRUE);
}

static void
plan_ai_analysis (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *language = language_read (checker, values, "language"),
                  *spoken = language_read (checker, values, "sourceLanguage");
  gint64 n_frames = derush_json_get_int (values, "maxFrames", DEFAULT_FRAMES);
  gboolean question = json_object_has_member (values, "question");
  g_autoptr (JsonArray) types = read_types (values);
  JsonObject *parameters;

  if (!needs_model (types, question)) {
    JsonObject *frames;

    plan->needs_analysis = TRUE;
    plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
    plan_add_step (plan, "analyse", DERUSH_STEP_MEDIA, 0.90);
    frames = plan_add_step (plan, "frames", DERUSH_STEP_MEDIA, 0.05);
    json_object_set_int_member (frames, "count", 0);
    json_object_set_array_member (frames, "analysisTypes", g_steal_pointer (&types));
    return;
  }
  plan_add_film (plan, spoken, n_frames, 0.85);
  parameters = plan_add_step (plan, "analyse-content", DERUSH_STEP_MODEL, 0.15);
  json_object_set_array_member (parameters, "analysisTypes", g_steal_pointer (&types));
  if (language)
    json_object_set_string_member (parameters, "language", language);
  json_object_set_string_member (parameters, "customPrompt", derush_json_get_string (values, "question", ""));
  json_object_set_int_member (parameters, "maxMoments", derush_json_get_int (values, "maxMoments", 10));
  copy_member (values, "model", parameters, NULL);
}

static gboolean
is_asked (DerushPlan *plan, const char *name)
{
  DerushPlanStep *step = plan_find_step (plan, "analyse-content");
  JsonArray *types =
      derush_json_get_array ((step ? step : plan_find_step (plan, "frames"))->parameters, "analysisTypes");

  for (guint i = 0; types && i < json_array_get_length (types); i++)
    if (g_strcmp0 (string_element (types, i), name) == 0)
      return TRUE;
  return FALSE;
}

static void
add_measured (DerushPlan *plan, JsonObject *signals, JsonObject *result)
{
  if (is_asked (plan, "scene-detection")) {
    JsonArray *shots = derush_json_get_array (signals, "shots"), *kept = json_array_new ();

    for (guint i = 0; shots && i < MIN (json_array_get_length (shots), MAX_SHOTS); i++)
      json_array_add_element (kept, json_copy_finite (json_array_get_element (shots, i)));
    json_object_set_int_member (result, "shotCount", shots ? json_array_get_length (shots) : 0);
    json_object_set_array_member (result, "shots", kept);
  }
  if (is_asked (plan, "audio-analysis")) {
    if (derush_json_get_object (signals, "audio"))
      copy_member (signals, "audio", result, NULL);
    else
      json_object_set_null_member (result, "audio");
  }
}

static void
ai_analysis_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *step = derush_json_get_object (finished->results, "analyse-content");
  JsonObject *signals = derush_json_get_object (derush_json_get_object (finished->results, "frames"), "signals");
  JsonObject *result = json_object_new (), *metadata;
  JsonArray *found = derush_json_get_array (step, "highlights"), *rows;
  gboolean modelled = plan_find_step (plan, "analyse-content") != NULL;

  if (derush_json_get_object (step, "result"))
    copy_members (derush_json_get_object (step, "result"), result);
  add_measured (plan, signals, result);
  json_object_set_string_member (value, "type", modelled ? "content-analysis" : "signals");
  json_object_set_object_member (value, "result", result);
  set_number (value, "confidence",
              modelled ? CLAMP (derush_json_get_number (derush_json_get_object (step, "result"), "confidence", 0), 0, 1)
                       : 1);
  if (modelled) {
    rows = json_array_new ();
    for (guint i = 0; found && i < json_array_get_length (found); i++) {
      JsonNode *item = json_array_get_element (found, i);

      if (JSON_NODE_HOLDS_OBJECT (item))
        json_array_add_object_element (rows, highlight_row (plan, json_node_get_object (item), i + 1));
    }
    json_object_set_array_member (value, "highlights", rows);
  }
  metadata = model_metadata (step);
  if (!modelled) {
    json_object_set_string_member (metadata, "provider", "derush");
    json_object_set_string_member (metadata, "engine", "measurements");
    json_object_set_string_member (metadata, "model", "measurements");
  }
  json_object_set_object_member (value, "metadata", metadata);
  json_object_set_string_member (value, "analysisPath", finished->analysis_path ? finished->analysis_path : "");
}

const JobType ai_analysis = {
    .name = "AI_ANALYSIS",
    .queue = "ai-processing",
    .aliases = "ANALYZE_MEDIA ANALYSE_MEDIA AI_ANALYZE",
    .fields = fields,
    .containers = containers,
    .needs_source = TRUE,
    .plan = plan_ai_analysis,
    .returns = ai_analysis_returns,
};
