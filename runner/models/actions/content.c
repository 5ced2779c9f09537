/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* CONTENT_GENERATION: titles, descriptions, posts … that fit where they are to be published. */

#include "models/actions/text-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_TRANSCRIPT 40000
#define MAX_TOKENS 4000

typedef struct {
  DerushModelJob *job;
  const char *type;
  DerushTextLimits limits;
  double duration; /* of the film; 0: there is none */
  JsonObject *input;
  DerushTextTally tally;
} Content;

static gboolean
is_type (Content *self, const char *name)
{
  return strcmp (self->type, name) == 0;
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
make_input (Content *self)
{
  static const char *const echoed[] = {"type", "platform", "tone", "language", "length", "prompt", "brandProfile"};
  JsonObject *frames = derush_json_get_object (self->job->results, "frames"),
             *given = derush_json_get_object (self->job->parameters, "transcript");
  JsonObject *input = json_object_new (), *parameters = json_object_new (), *limits = json_object_new ();
  g_autoptr (JsonObject) whole = given ? json_object_ref (given) : derush_text_transcript (self->job),
                         transcript = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (echoed); i++)
    copy (self->job->parameters, echoed[i], parameters);
  json_object_set_int_member (limits, "characters", self->limits.characters);
  json_object_set_int_member (limits, "hashtags", self->limits.hashtags);
  json_object_set_object_member (parameters, "limits", limits);
  json_object_set_object_member (input, "parameters", parameters);
  if (whole) {
    transcript = derush_text_transcript_shorten (whole, MAX_TRANSCRIPT);
    if (transcript != whole)
      derush_text_warn (self->job, "%s",
                        _ ("More is said in the film than a model can be given: it got parts from all of it"));
    json_object_set_object_member (input, "transcript", g_steal_pointer (&transcript));
  }
  if (!whole && derush_text_is_unheard (self->job))
    json_object_set_boolean_member (input, "unheard", TRUE);
  copy (frames, "signals", input);
  return input;
}

/* What is told that comes from the film, and nothing of it anywhere else; NULL: nothing does. */
static char *
describe_film (Content *self)
{
  JsonObject *transcript = derush_json_get_object (self->input, "transcript"),
             *signals = derush_json_get_object (self->input, "signals");
  JsonArray *segments = derush_json_get_array (transcript, "segments"),
            *shots = derush_json_get_array (signals, "shots");
  g_autoptr (GString) text = g_string_new (NULL);

  if (!transcript && !signals)
    return NULL;
  if (self->duration > 0)
    g_string_append_printf (text, "The film lasts %.1f seconds and has %u shots.\n", self->duration,
                            shots ? json_array_get_length (shots) : 0);
  g_string_append (text, transcript                                        ? "What is said:\n"
                         : json_object_has_member (self->input, "unheard") ? "What is said is not known.\n"
                                                                           : "Nothing is said.\n");
  for (guint i = 0; segments && i < json_array_get_length (segments); i++) {
    JsonObject *segment = json_array_get_object_element (segments, i);

    g_string_append_printf (text, "[%.1f] %s\n", derush_json_get_number (segment, "start", 0),
                            derush_json_get_string (segment, "text", ""));
  }
  if (transcript && (!segments || json_array_get_length (segments) == 0))
    g_string_append (text, derush_json_get_string (transcript, "text", ""));
  return derush_text_fence (text->str);
}

static void
append_list (GString *text, const char *title, JsonArray *list)
{
  guint n = list ? json_array_get_length (list) : 0;

  if (n > 0)
    g_string_append_printf (text, "%s: ", title);
  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "%s%s", json_array_get_string_element (list, i), i + 1 < n ? ", " : ".\n");
}

static char *
describe_brand (JsonObject *brand)
{
  static const struct {
    const char *member, *title;
  } lines[] = {{"name", "Brand"}, {"voice", "Its voice"}, {"tone", "Its tone"}, {"targetAudience", "Its audience"}};
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; brand && i < G_N_ELEMENTS (lines); i++)
    if (derush_json_get_string (brand, lines[i].member, NULL))
      g_string_append_printf (text, "%s: %s\n", lines[i].title, derush_json_get_string (brand, lines[i].member, ""));
  append_list (text, "Words that should stand in it", derush_json_get_array (brand, "keywords"));
  append_list (text, "Hashtags of the brand, which come first", derush_json_get_array (brand, "hashtags"));
  return g_strdup (text->str);
}

static void
add_text (JsonArray *content, const char *text)
{
  JsonObject *part = json_object_new ();

  json_object_set_string_member (part, "text", text);
  json_array_add_object_element (content, part);
}

static const char *
parameter (Content *self, const char *name, const char *fallback)
{
  const char *value = derush_json_get_string (self->job->parameters, name, "");

  return *value ? value : fallback;
}

/* @complaint: (nullable): what was wrong with the answer before */
static JsonObject *
make_request (Content *self, const char *complaint, GError **error)
{
  g_autofree char *system = NULL, *task = NULL, *filled = NULL, *film = NULL, *limit = NULL, *hashtags = NULL,
                  *brand = describe_brand (derush_json_get_object (self->job->parameters, "brandProfile"));
  g_autoptr (JsonObject) schema = derush_text_schema_read ("video_content", error);
  g_autoptr (JsonArray) content = json_array_new ();
  JsonObject *request;

  if (!schema || !derush_text_prompt_read ("video-content", &system, &task, error))
    return NULL;
  limit = self->limits.characters > 0 ? g_strdup_printf ("%u", self->limits.characters)
                                      : g_strdup ("as many as are needed");
  hashtags = is_type (self, "HASHTAGS")
                 ? g_strdup_printf ("up to %u", self->limits.hashtags)
                 : g_strdup_printf ("at most %u, none if they do not fit the type", self->limits.hashtags);
  filled = derush_text_fill (task, "type", self->type, "platform", parameter (self, "platform", "any platform"), "tone",
                             parameter (self, "tone", "as fits"), "language",
                             parameter (self, "language", "that of the wish, else of what is said"), "length",
                             parameter (self, "length", "medium"), "limit", limit, "hashtags", hashtags, "brand", brand,
                             "wish", parameter (self, "prompt", "a text about the film"), NULL);
  film = describe_film (self);
  add_text (content, filled);
  if (film)
    add_text (content, film);
  if (complaint)
    add_text (content, complaint);
  request = json_object_new ();
  json_object_set_string_member (request, "name", "video_content");
  json_object_set_string_member (request, "system", system);
  json_object_set_array_member (request, "content", g_steal_pointer (&content));
  json_object_set_object_member (request, "schema", g_steal_pointer (&schema));
  json_object_set_object_member (request, "input", json_object_ref (self->input));
  json_object_set_int_member (request, "maxTokens", MAX_TOKENS);
  copy (self->job->parameters, "seed", request);
  copy (self->job->parameters, "model", request);
  return request;
}

/* ── What is answered ───────────────────────────────────────────────────── */

static gboolean
check (JsonNode *json, gpointer user_data, GError **error)
{
  Content *self = user_data;
  JsonObject *answer = json_node_get_object (json);
  const char *text = derush_json_get_string (answer, "text", "");
  JsonArray *parts = derush_json_get_array (answer, "parts");

  if (!is_type (self, "HASHTAGS") && !*text && (!parts || json_array_get_length (parts) == 0)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("text is empty"));
    return FALSE;
  }
  return !is_type (self, "DESCRIPTION") || derush_text_chapters_check (text, self->duration, error);
}

static JsonObject *
ask (Content *self, const char *complaint, GError **error)
{
  g_autoptr (JsonObject) request = make_request (self, complaint, error), answer = NULL;
  DerushModelsContext context = self->job->context;

  if (!request)
    return NULL;
  context.check = check;
  context.check_data = self;
  answer = derush_models_call (self->job->models, "chat", request, &context, self->job->cancellable, error);
  if (!answer)
    return NULL;
  derush_text_tally_add (&self->tally, answer);
  return json_object_ref (derush_json_get_object (answer, "json"));
}

/* How long the longest text is that has to keep the limit. */
static guint
longest (Content *self, JsonObject *answer)
{
  JsonArray *parts = derush_json_get_array (answer, "parts");
  guint length = 0;

  if (!is_type (self, "THREAD") || !parts || json_array_get_length (parts) == 0)
    return (guint)g_utf8_strlen (derush_json_get_string (answer, "text", ""), -1);
  for (guint i = 0; i < json_array_get_length (parts); i++)
    length = MAX (length, (guint)g_utf8_strlen (json_array_get_string_element (parts, i), -1));
  return length;
}

static gboolean
fits (Content *self, JsonObject *answer)
{
  return self->limits.characters == 0 || is_type (self, "HASHTAGS") ||
         longest (self, answer) <= self->limits.characters;
}

/* Tags that stand in a text count as well. */
static JsonArray *
tags_of (Content *self, JsonObject *answer)
{
  JsonArray *own = derush_json_get_array (derush_json_get_object (self->job->parameters, "brandProfile"), "hashtags");
  g_autoptr (JsonArray) found = json_array_new ();
  JsonArray *said = derush_json_get_array (answer, "hashtags");
  g_auto (GStrv) words = g_strsplit_set (derush_json_get_string (answer, "text", ""), " \t\n,", -1);

  for (guint i = 0; said && i < json_array_get_length (said); i++)
    json_array_add_element (found, json_node_copy (json_array_get_element (said, i)));
  for (guint i = 0; words[i]; i++)
    if (words[i][0] == '#')
      json_array_add_string_element (found, words[i]);
  return derush_text_hashtags (is_type (self, "HASHTAGS") || json_array_get_length (found) > 0 ? own : NULL, found,
                               self->limits.hashtags);
}

/* Rules have nothing else to say when they are asked again. */
static gboolean
lacks_tags (Content *self, JsonObject *answer)
{
  g_autoptr (JsonArray) tags = tags_of (self, answer);

  return is_type (self, "HASHTAGS") && json_array_get_length (tags) == 0 && !self->tally.degraded;
}

/* An answer that is too long, or none, is asked for once more; a worse one is not taken. */
static JsonObject *
ask_for_fitting (Content *self, GError **error)
{
  g_autoptr (JsonObject) answer = ask (self, NULL, error), second = NULL;
  g_autofree char *complaint = NULL;
  g_autoptr (GError) failure = NULL;
  gboolean empty;

  if (!answer)
    return NULL;
  empty = lacks_tags (self, answer);
  if (!empty && fits (self, answer))
    return g_steal_pointer (&answer);
  complaint = empty ? g_strdup ("An earlier answer had no hashtags. Write some.")
                    : g_strdup_printf ("An earlier answer was %u characters long and could not be published: at most "
                                       "%u are possible. Write a shorter one.",
                                       longest (self, answer), self->limits.characters);
  second = ask (self, complaint, &failure);
  if (!second && derush_error_get_class (failure) == DERUSH_ERROR_CANCELLED) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  return second && (empty || longest (self, second) < longest (self, answer)) ? g_steal_pointer (&second)
                                                                              : g_steal_pointer (&answer);
}

static char *
fit (Content *self, const char *text)
{
  guint length = (guint)g_utf8_strlen (text, -1);

  if (self->limits.characters == 0 || length <= self->limits.characters)
    return g_strdup (text);
  derush_text_warn (self->job, _ ("The text was %u characters long and was cut at a word: at most %u are possible"),
                    length, self->limits.characters);
  return derush_text_cut (text, self->limits.characters);
}

static JsonArray *
fit_parts (Content *self, JsonObject *answer)
{
  JsonArray *parts = derush_json_get_array (answer, "parts"), *fitting = json_array_new ();

  for (guint i = 0; is_type (self, "THREAD") && parts && i < json_array_get_length (parts); i++) {
    g_autofree char *part = fit (self, json_array_get_string_element (parts, i));

    json_array_add_string_element (fitting, part);
  }
  /* A text that came whole is a thread of one. */
  if (is_type (self, "THREAD") && json_array_get_length (fitting) == 0) {
    g_autofree char *part = fit (self, derush_json_get_string (answer, "text", ""));

    json_array_add_string_element (fitting, part);
  }
  return fitting;
}

static char *
join (JsonArray *texts, const char *separator)
{
  g_autoptr (GString) joined = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (texts); i++)
    g_string_append_printf (joined, "%s%s", i > 0 ? separator : "", json_array_get_string_element (texts, i));
  return g_strdup (joined->str);
}

/* Nothing that is said or wished for makes a tag: what the job says of its brand and platform does. */
static JsonArray *
tags_of_job (Content *self)
{
  JsonArray *keywords =
      derush_json_get_array (derush_json_get_object (self->job->parameters, "brandProfile"), "keywords");
  g_auto (GStrv) words = g_strsplit_set (parameter (self, "platform", ""), "_-", -1);
  g_autoptr (GString) platform = g_string_new (NULL);
  g_autoptr (JsonArray) names = json_array_new ();

  for (guint i = 0; words[i]; i++) {
    g_autofree char *lower = g_ascii_strdown (words[i], -1);

    lower[0] = g_ascii_toupper (lower[0]);
    g_string_append (platform, lower);
  }
  json_array_add_string_element (names, platform->str);
  derush_text_warn (self->job, "%s",
                    _ ("Nothing was found that makes a hashtag, but what the job says of brand and platform"));
  return derush_text_hashtags (keywords, names, self->limits.hashtags);
}

static JsonObject *
make_result (Content *self, JsonObject *answer)
{
  JsonArray *parts = fit_parts (self, answer), *tags = tags_of (self, answer);
  g_autofree char *text = NULL;
  JsonObject *result = json_object_new ();

  if (is_type (self, "HASHTAGS") && json_array_get_length (tags) == 0) {
    json_array_unref (tags);
    tags = tags_of_job (self);
  }
  if (is_type (self, "HASHTAGS")) {
    /* Whole tags, as many as there is room for. */
    while (self->limits.characters > 0 && json_array_get_length (tags) > 1) {
      g_autofree char *line = join (tags, " ");

      if ((guint)g_utf8_strlen (line, -1) <= self->limits.characters)
        break;
      json_array_remove_element (tags, json_array_get_length (tags) - 1);
    }
    text = join (tags, " ");
  } else if (is_type (self, "THREAD")) {
    text = join (parts, "\n\n");
  } else {
    text = fit (self, derush_json_get_string (answer, "text", ""));
  }
  json_object_set_string_member (result, "text", text);
  json_object_set_string_member (result, "language",
                                 derush_json_get_string (answer, "language", parameter (self, "language", "")));
  json_object_set_array_member (result, "parts", parts);
  json_object_set_array_member (result, "hashtags", tags);
  derush_text_tally_sign (&self->tally, result);
  return result;
}

/* What was asked for and rules do not follow. */
static void
warn_of_rules (Content *self)
{
  static const char *const brief[] = {"TITLE", "HOOK", "HASHTAGS", NULL};
  static const char *const members[] = {"voice", "tone", "targetAudience"};
  JsonObject *brand = derush_json_get_object (self->job->parameters, "brandProfile");
  g_autoptr (GString) ignored = g_string_new (*parameter (self, "tone", "") ? "tone" : "");

  derush_text_check_hearing (self->job);
  if (!json_object_has_member (self->input, "transcript") && !json_object_has_member (self->input, "signals") &&
      !g_strv_contains (brief, self->type))
    derush_text_warn (self->job, "%s",
                      _ ("Without a language model nothing is made up: the text has what the prompt says, and no more; "
                         "give a film, a transcript or a key"));
  if (!json_object_has_member (self->input, "transcript") && json_object_has_member (self->input, "signals") &&
      !json_object_has_member (self->input, "unheard") && !*parameter (self, "prompt", ""))
    derush_text_warn (
        self->job, "%s",
        _ ("Nothing is said in the film, and no model has looked at it: the text has only what was measured"));
  for (guint i = 0; brand && i < G_N_ELEMENTS (members); i++)
    if (*derush_json_get_string (brand, members[i], ""))
      g_string_append_printf (ignored, "%sbrandProfile.%s", ignored->len > 0 ? ", " : "", members[i]);
  if (ignored->len > 0)
    derush_text_warn (self->job,
                      _ ("Without a language model the text is put together from what is said; it does not follow: %s"),
                      ignored->str);
}

/*
 * Parameters: type, prompt, platform, tone, language, length, maxLength, brandProfile, transcript, seed, model. Takes the
 * results of the steps `frames` and `transcribe` where there is a film.
 */
JsonObject *
derush_action_content (DerushModelJob *job, GError **error)
{
  Content self = {
      .job = job,
      .type = derush_json_get_string (job->parameters, "type", "POST"),
      .duration = derush_json_get_number (
          derush_json_get_object (derush_json_get_object (job->results, "frames"), "signals"), "duration", 0),
      .tally = {.started = g_get_monotonic_time ()}};
  g_autoptr (JsonObject) answer = NULL;
  JsonObject *result = NULL;

  if (!derush_text_limits_load (&self.limits, derush_json_get_string (job->parameters, "platform", NULL), self.type,
                                (guint)derush_json_get_int (job->parameters, "maxLength", 0), error))
    return NULL;
  self.input = make_input (&self);
  answer = ask_for_fitting (&self, error);
  if (answer) {
    result = make_result (&self, answer);
    derush_text_check_language (job, derush_json_get_string (result, "language", NULL));
    if (derush_text_is_by_rules (&self.tally)) {
      warn_of_rules (&self);
      derush_text_check_translated (job, derush_json_get_object (self.input, "transcript"),
                                    derush_json_get_string (result, "language", NULL));
    }
  }
  derush_text_tally_clear (&self.tally);
  json_object_unref (self.input);
  return result;
}
