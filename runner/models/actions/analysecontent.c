/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* AI_ANALYSIS: what is said, some frames and our own measurements of a film, and what a model makes of them. */

#include "models/actions/text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* About 15 000 tokens: what models of a small window still take. */
#define MAX_TRANSCRIPT 60000
#define MAX_TOKENS 4000
#define MAX_SHOTS 200
/* YouTube and players like it show no fewer and no shorter chapters. */
#define LEAST_CHAPTERS 3
#define LEAST_CHAPTER 10.0 /* s */

static const char *const own_members[] = {"summary", "topics",    "tags",    "chapters", "moments",
                                          "people",  "sentiment", "objects", "scenes"};

static gboolean
is_asked (JsonArray *types, const char *name)
{
  for (guint i = 0; types && i < json_array_get_length (types); i++)
    if (g_strcmp0 (json_array_get_string_element (types, i), name) == 0)
      return TRUE;
  return FALSE;
}

static char *
join_types (JsonArray *types)
{
  g_autoptr (GString) joined = g_string_new (NULL);

  for (guint i = 0; types && i < json_array_get_length (types); i++)
    g_string_append_printf (joined, "%s%s", i > 0 ? ", " : "", json_array_get_string_element (types, i));
  return g_strdup (joined->str);
}

static void
copy (JsonObject *from, const char *name, JsonObject *to)
{
  JsonNode *node = from ? json_object_get_member (from, name) : NULL;

  if (node)
    json_object_set_member (to, name, json_node_copy (node));
}

/* ── What is asked ──────────────────────────────────────────────────────── */

/* The facts, for engines that read no prose: see README.md of data/models. */
static JsonObject *
make_input (DerushModelJob *job, JsonObject *transcript, double duration)
{
  static const char *const echoed[] = {"analysisTypes", "customPrompt", "language", "maxMoments"};
  JsonObject *input = json_object_new (), *parameters = json_object_new (),
             *frames = derush_json_get_object (job->results, "frames");

  for (guint i = 0; i < G_N_ELEMENTS (echoed); i++)
    copy (job->parameters, echoed[i], parameters);
  json_object_set_double_member (parameters, "duration", duration);
  json_object_set_object_member (input, "parameters", parameters);
  if (transcript)
    json_object_set_object_member (input, "transcript", json_object_ref (transcript));
  else if (derush_text_is_unheard (job))
    json_object_set_boolean_member (input, "unheard", TRUE);
  copy (frames, "signals", input);
  if (frames && derush_json_get_array (frames, "frames"))
    copy (frames, "frames", input);
  else
    json_object_set_array_member (input, "frames", json_array_new ());
  return input;
}

static void
append_times (GString *text, JsonArray *list, const char *title, const char *format, guint max)
{
  guint n = list ? json_array_get_length (list) : 0;

  if (n == 0)
    return;
  g_string_append_printf (text, "%s:", title);
  for (guint i = 0; i < MIN (n, max); i++) {
    JsonObject *item = json_array_get_object_element (list, i);

    g_string_append_printf (text, " %.1f-%.1f", derush_json_get_number (item, "start", 0),
                            derush_json_get_number (item, "end", 0));
    if (*format)
      g_string_append_printf (text, " (%.2f)", derush_json_get_number (item, format, 0));
  }
  g_string_append_c (text, '\n');
}

/* The same facts as text: this is all that models are told that comes from the film. */
static char *
describe_film (JsonObject *input)
{
  g_autoptr (GString) text = g_string_new (NULL);
  JsonObject *signals = derush_json_get_object (input, "signals"),
             *transcript = derush_json_get_object (input, "transcript"),
             *audio = derush_json_get_object (signals, "audio");
  JsonArray *segments = derush_json_get_array (transcript, "segments");

  append_times (text, derush_json_get_array (signals, "shots"), "shots, in seconds", "", MAX_SHOTS);
  append_times (text, derush_json_get_array (signals, "highlights"), "most eventful parts (score)", "score", 20);
  append_times (text, derush_json_get_array (signals, "silences"), "silences", "", 50);
  if (audio)
    g_string_append_printf (text, "speech: %.0f %% of the time; loudness: %.1f LUFS\n",
                            derush_json_get_number (audio, "speech", 0) * 100,
                            derush_json_get_number (audio, "loudness", -70));
  else
    g_string_append (text, "the film has no sound\n");
  if (!transcript) {
    g_string_append (text, json_object_has_member (input, "unheard")
                               ? "what is said is not known: no engine here has its language\n"
                               : "nothing is said\n");
  } else {
    g_string_append (text, "what is said, each line with its start and end in seconds:\n");
    for (guint i = 0; segments && i < json_array_get_length (segments); i++) {
      JsonObject *segment = json_array_get_object_element (segments, i);

      g_string_append_printf (text, "[%.1f-%.1f] %s\n", derush_json_get_number (segment, "start", 0),
                              derush_json_get_number (segment, "end", 0), derush_json_get_string (segment, "text", ""));
    }
    if (!segments || json_array_get_length (segments) == 0)
      g_string_append_printf (text, "%s\n", derush_json_get_string (transcript, "text", ""));
  }
  return derush_text_fence (text->str);
}

static void
add_text (JsonArray *content, const char *text)
{
  JsonObject *part = json_object_new ();

  json_object_set_string_member (part, "text", text);
  json_array_add_object_element (content, part);
}

static void
add_frames (DerushModelJob *job, JsonArray *content)
{
  JsonArray *frames = derush_json_get_array (derush_json_get_object (job->results, "frames"), "frames");

  for (guint i = 0; frames && i < json_array_get_length (frames); i++) {
    JsonObject *frame = json_array_get_object_element (frames, i), *part = json_object_new ();
    const char *file = derush_json_get_string (frame, "file", "");
    g_autofree char *path = g_build_filename (job->directory, file, NULL),
                    *caption = g_strdup_printf ("Frame at %.1f s:", derush_json_get_number (frame, "time", 0));

    add_text (content, caption);
    json_object_set_string_member (part, "image", path);
    json_array_add_object_element (content, part);
  }
}

static JsonObject *
make_request (DerushModelJob *job, JsonObject *input, gboolean with_frames, GError **error)
{
  JsonObject *parameters = job->parameters, *transcript = derush_json_get_object (input, "transcript");
  JsonArray *frames = derush_json_get_array (input, "frames");
  g_autofree char *system = NULL, *task = NULL, *filled = NULL, *types = NULL, *film = NULL, *duration = NULL,
                  *n_frames = NULL, *question = NULL;
  const char *asked = derush_json_get_string (parameters, "customPrompt", ""),
             *language = derush_json_get_string (parameters, "language", NULL);
  g_autoptr (JsonObject) schema = derush_text_schema_read ("video_analysis", error);
  g_autoptr (JsonArray) content = json_array_new ();
  JsonObject *request;

  if (!schema || !derush_text_prompt_read ("video-analysis", &system, &task, error))
    return NULL;
  if (!language)
    language = derush_json_get_string (transcript, "language", "the language of the film's speech, else English");
  types = join_types (derush_json_get_array (parameters, "analysisTypes"));
  duration =
      g_strdup_printf ("%.1f", derush_json_get_number (derush_json_get_object (input, "parameters"), "duration", 0));
  n_frames = g_strdup_printf ("%u", with_frames ? json_array_get_length (frames) : 0);
  question =
      *asked ? g_strdup_printf ("answer: to this question about the film: %s", asked) : g_strdup ("answer: empty.");
  filled = derush_text_fill (task, "types", types, "language", language, "duration", duration, "frames", n_frames,
                             "question", question, NULL);
  film = describe_film (input);
  add_text (content, filled);
  add_text (content, film);
  if (with_frames)
    add_frames (job, content);
  request = json_object_new ();
  json_object_set_string_member (request, "name", "video_analysis");
  json_object_set_string_member (request, "system", system);
  json_object_set_array_member (request, "content", g_steal_pointer (&content));
  json_object_set_object_member (request, "schema", g_steal_pointer (&schema));
  json_object_set_object_member (request, "input", json_object_ref (input));
  json_object_set_int_member (request, "maxTokens", MAX_TOKENS);
  copy (parameters, "model", request);
  return request;
}

/* ── What is answered ───────────────────────────────────────────────────── */

typedef struct {
  double duration;
  JsonArray *types;
} Check;

static gboolean
check (JsonNode *json, gpointer user_data, GError **error)
{
  Check *self = user_data;

  return derush_analysis_check (json_node_get_object (json), self->duration, self->types, error);
}

/* Models without eyes refuse pictures; then they are asked without. */
static JsonObject *
ask (DerushModelJob *job, JsonObject *input, double duration, GError **error)
{
  JsonArray *frames = derush_json_get_array (input, "frames");
  gboolean with_frames = json_array_get_length (frames) > 0;
  Check meaning = {duration, derush_json_get_array (job->parameters, "analysisTypes")};
  DerushModelsContext context = job->context;
  g_autoptr (JsonObject) request = make_request (job, input, with_frames, error);
  g_autoptr (GError) failure = NULL;
  JsonObject *answer;

  if (!request)
    return NULL;
  context.check = check;
  context.check_data = &meaning;
  answer = derush_models_call (job->models, "chat", request, &context, job->cancellable, &failure);
  if (!answer && with_frames && derush_error_get_class (failure) == DERUSH_ERROR_MODEL) {
    g_autoptr (GError) again = NULL;

    g_clear_pointer (&request, json_object_unref);
    request = make_request (job, input, FALSE, error);
    if (!request)
      return NULL;
    answer = derush_models_call (job->models, "chat", request, &context, job->cancellable, &again);
    if (answer)
      derush_text_warn (job, _ ("The model was asked again without the frames of the film: %s"), failure->message);
  }
  if (!answer)
    g_propagate_error (error, g_steal_pointer (&failure));
  return answer;
}

/* What was asked for, and no more: an engine that knows nothing of people must not seem to have seen none. */
static JsonObject *
pick (DerushModelJob *job, JsonObject *json)
{
  JsonArray *types = derush_json_get_array (job->parameters, "analysisTypes");
  JsonObject *result = json_object_new ();

  for (guint i = 0; i < G_N_ELEMENTS (own_members); i++)
    if (is_asked (types, own_members[i]))
      copy (json, own_members[i], result);
  copy (json, "language", result);
  if (*derush_json_get_string (job->parameters, "customPrompt", ""))
    copy (json, "answer", result);
  copy (json, "confidence", result);
  return result;
}

/* Chapters may be right and yet be shown nowhere. */
static void
check_chapters (DerushModelJob *job, JsonArray *chapters, double duration)
{
  guint n = chapters ? json_array_get_length (chapters) : 0;
  gboolean shown = n == 0 || n >= LEAST_CHAPTERS;

  for (guint i = 0; i < n && shown; i++) {
    double start = derush_json_get_number (json_array_get_object_element (chapters, i), "start", 0);
    double end =
        i + 1 < n ? derush_json_get_number (json_array_get_object_element (chapters, i + 1), "start", 0) : duration;

    shown = (i + 1 == n && duration <= 0) || end - start >= LEAST_CHAPTER;
  }
  if (!shown)
    derush_text_warn (job,
                      _ ("YouTube does not show these chapters: there must be at least %d, each of %d seconds or more"),
                      LEAST_CHAPTERS, (int)LEAST_CHAPTER);
}

/* What was asked for and rules cannot give. */
static void
warn_of_rules (DerushModelJob *job, JsonObject *json)
{
  JsonArray *types = derush_json_get_array (job->parameters, "analysisTypes");
  const char *question = derush_json_get_string (job->parameters, "customPrompt", "");

  derush_text_check_hearing (job);
  if (is_asked (types, "objects") || is_asked (types, "people"))
    derush_text_warn (job, "%s",
                      _ ("No model has looked at the frames: objects are not named, and of people only those that are "
                         "called by a title"));
  if (*question && !*derush_json_get_string (json, "answer", ""))
    derush_text_warn (job, "%s", _ ("Nothing of what is said answers the question of customPrompt"));
}

static double
find_duration (DerushModelJob *job)
{
  JsonObject *signals = derush_json_get_object (derush_json_get_object (job->results, "frames"), "signals");
  double duration = derush_json_get_number (signals, "duration", 0);

  return duration > 0 ? duration
                      : derush_json_get_number (derush_json_get_object (job->results, "probe"), "duration", 0);
}

/*
 * Parameters: analysisTypes, customPrompt, language, maxMoments, model. Takes the results of the steps `frames`,
 * `highlights` and `transcribe`, as far as there are any.
 */
JsonObject *
derush_action_analyse_content (DerushModelJob *job, GError **error)
{
  g_autoptr (JsonObject) whole = derush_text_transcript (job),
                         transcript = whole ? derush_text_transcript_shorten (whole, MAX_TRANSCRIPT) : NULL;
  double duration = find_duration (job);
  g_autoptr (JsonObject) input = make_input (job, transcript, duration), answer = NULL;
  JsonArray *measured = derush_json_get_array (derush_json_get_object (job->results, "highlights"), "highlights");
  g_auto (DerushTextTally) tally = {.started = g_get_monotonic_time ()};
  JsonObject *json, *result;

  if (whole != transcript)
    derush_text_warn (job, "%s", _ ("More is said in the film than a model can be given: it got parts from all of it"));
  answer = ask (job, input, duration, error);
  if (!answer)
    return NULL;
  derush_text_tally_add (&tally, answer);
  json = derush_json_get_object (answer, "json");
  derush_text_check_language (job, derush_json_get_string (json, "language", NULL));
  if (is_asked (derush_json_get_array (job->parameters, "analysisTypes"), "chapters"))
    check_chapters (job, derush_json_get_array (json, "chapters"), duration);
  if (derush_text_is_by_rules (&tally)) {
    warn_of_rules (job, json);
    derush_text_check_translated (job, transcript, derush_json_get_string (json, "language", NULL));
  }
  result = json_object_new ();
  json_object_set_object_member (result, "result", pick (job, json));
  json_object_set_array_member (result, "highlights",
                                derush_moments_merge (derush_json_get_array (json, "moments"), measured, duration,
                                                      (guint)derush_json_get_int (job->parameters, "maxMoments", 10)));
  derush_text_tally_sign (&tally, result);
  return result;
}
