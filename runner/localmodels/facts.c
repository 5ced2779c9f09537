/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What can be said of a film without understanding it, from its speech and from what was measured, each with its basis. */

#include "localmodels-private.h"
#include "text-private.h"

#include <math.h>
#include <string.h>

#define MAX_TAGS 15
#define MAX_TOPICS 6
#define MAX_MOMENTS 10
#define MAX_SCENES 50
#define SUMMARY 700 /* characters */
#define SUMMARY_SENTENCES 4
/* A short film that is all moments has none. */
#define PER_MOMENT 20.0 /* s */
#define FEW_MOMENTS 3
/* Share of the time below which words have to be heard with a confidence of at least HEARD_WELL. */
#define LITTLE_SPEECH 0.1
#define MUCH_SPEECH 0.4
#define HEARD_WELL 0.7

static void
take (JsonObject *object, const char *name, char *text)
{
  json_object_set_string_member (object, name, text);
  g_free (text);
}

static void
fill_in (char **text, const char *name, const char *value)
{
  g_auto (GStrv) parts = g_strsplit (*text, name, -1);

  g_free (*text);
  *text = g_strjoinv (value, parts);
}

/* ── Colours and light ──────────────────────────────────────────────────── */

/* The key of its name in phrases.ini. */
static const char *
name_colour (const char *hex)
{
  static const struct {
    double below; /* degrees of hue */
    const char *name;
  } hues[] = {{15, "red"},   {45, "orange"},  {70, "yellow"}, {165, "green"}, {200, "cyan"},
              {255, "blue"}, {290, "violet"}, {340, "pink"},  {361, "red"}};
  guint64 number = *hex == '#' ? g_ascii_strtoull (hex + 1, NULL, 16) : 0;
  double r = (double)(number >> 16 & 255) / 255, g = (double)(number >> 8 & 255) / 255,
         b = (double)(number & 255) / 255;
  double high = MAX (r, MAX (g, b)), low = MIN (r, MIN (g, b)), hue;

  if (high < 0.15)
    return "black";
  if (high - low < 0.12 * MAX (high, 0.5))
    return high > 0.85 ? "white" : "grey";
  if (high == r)
    hue = 60 * fmod ((g - b) / (high - low) + 6, 6);
  else
    hue = high == g ? 60 * ((b - r) / (high - low) + 2) : 60 * ((r - g) / (high - low) + 4);
  for (guint i = 0; i < G_N_ELEMENTS (hues); i++)
    if (hue < hues[i].below)
      return strcmp (hues[i].name, "orange") == 0 && high < 0.6 ? "brown" : hues[i].name;
  return "red";
}

/* The most frequent ones first; at most @most. */
static char *
name_colours (JsonArray *frames, guint first, guint n, guint most, const char *language)
{
  static const char *const all[] = {"black", "white", "grey", "red",    "orange", "brown", "yellow",
                                    "green", "cyan",  "blue", "violet", "pink",   NULL};
  double weights[G_N_ELEMENTS (all)] = {0};
  GString *names = g_string_new (NULL);

  for (guint f = first; f < first + n; f++) {
    JsonNode *node = json_array_get_element (frames, f);
    JsonArray *colours =
        JSON_NODE_HOLDS_OBJECT (node) ? derush_json_get_array (json_node_get_object (node), "colours") : NULL;

    for (guint c = 0; colours && c < json_array_get_length (colours); c++) {
      JsonNode *colour = json_array_get_element (colours, c);
      const char *name =
          json_node_get_value_type (colour) == G_TYPE_STRING ? name_colour (json_node_get_string (colour)) : NULL;

      for (guint i = 0; name && all[i]; i++)
        if (strcmp (all[i], name) == 0)
          weights[i] += 1.0 / (c + 1);
    }
  }
  for (guint k = 0; k < most; k++) {
    guint best = 0;
    g_autofree char *name = NULL, *key = NULL;

    for (guint i = 1; all[i]; i++)
      if (weights[i] > weights[best])
        best = i;
    if (weights[best] <= 0)
      break;
    weights[best] = 0;
    key = g_strconcat ("colour-", all[best], NULL);
    name = local_phrase (language, key);
    g_string_append_printf (names, "%s%s", k > 0 ? ", " : "", name);
  }
  return g_string_free (names, FALSE);
}

static double
mean_of (JsonArray *frames, const char *name, double fallback)
{
  double sum = 0;
  guint n = 0;

  for (guint i = 0; frames && i < json_array_get_length (frames); i++) {
    JsonNode *node = json_array_get_element (frames, i);

    if (!JSON_NODE_HOLDS_OBJECT (node) || !json_object_has_member (json_node_get_object (node), name))
      continue;
    sum += derush_json_get_number (json_node_get_object (node), name, 0);
    n++;
  }
  return n > 0 ? sum / n : fallback;
}

static const char *
name_light (double luma)
{
  return luma < 0.25 ? "dark" : luma > 0.6 ? "bright" : "medium";
}

static JsonArray *
describe_scenes (const LocalFacts *facts)
{
  JsonArray *scenes = json_array_new ();

  for (guint i = 0; facts->frames && i < json_array_get_length (facts->frames) && i < MAX_SCENES; i++) {
    JsonNode *node = json_array_get_element (facts->frames, i);
    JsonObject *frame = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *scene;
    g_autofree char *light = NULL, *colours = NULL, *sharpness = NULL;
    char *text;

    if (!frame)
      continue;
    light = local_phrase (facts->text->language, name_light (derush_json_get_number (frame, "luma", 0.4)));
    sharpness = local_phrase (facts->text->language,
                              derush_json_get_number (frame, "sharpness", 0.5) < 0.15 ? "soft" : "sharp");
    colours = name_colours (facts->frames, i, 1, 2, facts->text->language);
    text = local_phrase (facts->text->language, "scene");
    fill_in (&text, "{light}", light);
    fill_in (&text, "{sharpness}", sharpness);
    fill_in (&text, "{colours}", colours);
    scene = json_object_new ();
    json_object_set_double_member (scene, "time", derush_json_get_number (frame, "time", 0));
    json_object_set_double_member (scene, "start", derush_json_get_number (frame, "time", 0));
    take (scene, "title", g_strdup (text));
    take (scene, "description", text);
    json_array_add_object_element (scenes, scene);
  }
  return scenes;
}

/* ── The film as a whole ────────────────────────────────────────────────── */

static char *
describe_silent (const LocalFacts *facts)
{
  JsonArray *shots = derush_json_get_array (facts->signals, "shots"),
            *highlights = derush_json_get_array (facts->signals, "highlights");
  guint n_frames = facts->frames ? json_array_get_length (facts->frames) : 0;
  const char *language = facts->text->language;
  g_autofree char *seconds =
      local_phrase_of_number (language, "seconds", (guint)round (facts->duration > 0 ? MAX (facts->duration, 1) : 0));
  g_autofree char *n_shots = local_phrase_of_number (language, "shots", shots ? json_array_get_length (shots) : 0);
  g_autofree char *parts =
      local_phrase_of_number (language, "parts", highlights ? json_array_get_length (highlights) : 0);
  g_autofree char *light = local_phrase (language, name_light (mean_of (facts->frames, "luma", 0.4)));
  g_autofree char *colours = n_frames > 0 ? name_colours (facts->frames, 0, n_frames, 3, language) : NULL;
  g_autofree char *key = g_strconcat (facts->text->unclear ? "unclear" : "silent",
                                      shots && json_array_get_length (shots) == 0 ? "-unpictured"
                                      : colours && *colours                       ? ""
                                                                                  : "-unseen",
                                      NULL);
  char *text = local_phrase (language, key);

  fill_in (&text, "{seconds}", seconds);
  fill_in (&text, "{shots}", n_shots);
  fill_in (&text, "{parts}", parts);
  fill_in (&text, "{light}", light);
  if (colours)
    fill_in (&text, "{colours}", colours);
  return text;
}

static JsonArray *
list_tags (const LocalFacts *facts)
{
  JsonArray *list = json_array_new ();
  guint n = local_count_good_phrases (facts->phrases, MAX_TAGS);

  for (guint i = 0; i < n; i++) {
    g_autofree char *tag = g_utf8_strdown (((LocalPhrase *)g_ptr_array_index (facts->phrases, i))->text, -1);

    json_array_add_string_element (list, tag);
  }
  return list;
}

/* What the speaker announces, then what is spoken of most. */
static JsonArray *
list_topics (const LocalFacts *facts)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < facts->chapters->len && json_array_get_length (list) < MAX_TOPICS; i++) {
    LocalChapter *chapter = g_ptr_array_index (facts->chapters, i);

    if (chapter->announced)
      json_array_add_string_element (list, chapter->title);
  }
  for (guint i = 0; i < facts->phrases->len && json_array_get_length (list) < MAX_TOPICS; i++)
    json_array_add_string_element (list, ((LocalPhrase *)g_ptr_array_index (facts->phrases, i))->text);
  return list;
}

static char *
summarise (const LocalFacts *facts)
{
  g_autofree double *ranks = local_rank_by_parts (facts->text, facts->ranks, facts->chapters, SUMMARY_SENTENCES);

  return local_summarise (facts->text, ranks, SUMMARY_SENTENCES, SUMMARY);
}

static JsonArray *
list_chapters (const LocalFacts *facts)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < facts->chapters->len; i++) {
    LocalChapter *chapter = g_ptr_array_index (facts->chapters, i);
    JsonObject *object = json_object_new ();

    json_object_set_double_member (object, "start", chapter->start);
    json_object_set_double_member (object, "end", chapter->end);
    json_object_set_double_member (object, "duration", chapter->end - chapter->start);
    json_object_set_string_member (object, "title", chapter->title);
    json_object_set_string_member (object, "description", chapter->title);
    json_array_add_object_element (list, object);
  }
  return list;
}

static JsonArray *
list_moments (const LocalFacts *facts)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < facts->moments->len; i++) {
    LocalMoment *moment = g_ptr_array_index (facts->moments, i);
    JsonObject *object = json_object_new ();

    json_object_set_double_member (object, "start", moment->start);
    json_object_set_double_member (object, "end", moment->end);
    json_object_set_double_member (object, "duration", moment->end - moment->start);
    json_object_set_string_member (object, "title", moment->title);
    json_object_set_string_member (object, "reason", moment->reason);
    json_object_set_string_member (object, "description", moment->reason);
    json_object_set_double_member (object, "score", moment->score);
    json_object_set_string_member (object, "type", "highlight");
    json_array_add_object_element (list, object);
  }
  return list;
}

static JsonArray *
list_sentences (const LocalFacts *facts)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < facts->text->sentences->len; i++) {
    const LocalSentence *sentence = local_text_get_sentence (facts->text, i);
    JsonObject *object = json_object_new ();

    json_object_set_double_member (object, "start", sentence->start);
    json_object_set_double_member (object, "end", sentence->end);
    json_object_set_string_member (object, "text", sentence->text);
    json_object_set_double_member (object, "score", facts->ranks[i]);
    json_array_add_object_element (list, object);
  }
  return list;
}

static JsonObject *
describe_sentiment (const LocalFacts *facts)
{
  JsonObject *object = json_object_new ();
  LocalSentiment sentiment;
  const char *label = "unknown";
  g_autofree char *found = NULL;
  char *basis;

  local_measure_sentiment (facts->text, &sentiment);
  if (sentiment.found > 1) {
    double weaker = MIN (sentiment.positive, sentiment.negative),
           stronger = MAX (sentiment.positive, sentiment.negative);

    label = fabs (sentiment.score) < 0.25 ? (weaker > 4 && weaker > 0.6 * stronger ? "mixed" : "neutral")
            : sentiment.score > 0         ? "positive"
                                          : "negative";
  } else if (sentiment.listed && facts->text->words->len > 0) {
    label = "neutral";
  }
  found = local_phrase_of_number (facts->text->language, "words", sentiment.found);
  basis = local_phrase (facts->text->language, sentiment.listed ? "sentiment-basis" : "sentiment-no-list");
  fill_in (&basis, "{words}", found);
  json_object_set_string_member (object, "label", label);
  json_object_set_double_member (object, "score", sentiment.score);
  take (object, "basis", basis);
  return object;
}

static double *
list_cuts (const LocalFacts *facts, guint *n)
{
  JsonArray *shots = derush_json_get_array (facts->signals, "shots");
  guint length = shots ? json_array_get_length (shots) : 0;
  double *cuts = g_new0 (double, length + 1);

  *n = 0;
  for (guint i = 0; i < length; i++) {
    JsonNode *node = json_array_get_element (shots, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      cuts[(*n)++] = derush_json_get_number (json_node_get_object (node), "start", 0);
  }
  return cuts;
}

static char *
join_segments (JsonArray *segments)
{
  GString *joined = g_string_new (NULL);

  for (guint i = 0; segments && i < json_array_get_length (segments); i++) {
    JsonNode *node = json_array_get_element (segments, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      g_string_append_printf (joined, "%s ", derush_json_get_string (json_node_get_object (node), "text", ""));
  }
  return g_string_free (joined, FALSE);
}

/* Words that were found where hardly anything sounds like speech: music and noise, unless they were heard well. */
static gboolean
is_imagined (JsonArray *segments, JsonObject *signals)
{
  JsonObject *audio = derush_json_get_object (signals, "audio");
  double sum = 0, weight = 0;

  if (!audio || derush_json_get_number (audio, "speech", 1) >= LITTLE_SPEECH)
    return FALSE;
  for (guint i = 0; segments && i < json_array_get_length (segments); i++) {
    JsonNode *node = json_array_get_element (segments, i);
    JsonObject *segment = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    double length = (double)strlen (derush_json_get_string (segment, "text", ""));

    if (!segment)
      continue;
    sum += length * derush_json_get_number (segment, "confidence", 1);
    weight += length;
  }
  return weight > 0 && sum / weight < HEARD_WELL;
}

/* What is said, in the language that is wanted if that can be had here: else in its own. */
static LocalText *
read_transcript (JsonObject *transcript, JsonObject *signals, const char *wanted, double duration,
                 GCancellable *cancellable)
{
  JsonArray *segments = derush_json_get_array (transcript, "segments");
  const char *said = derush_json_get_string (transcript, "text", "");
  const char *named = derush_json_get_string (transcript, "language", "");
  g_autofree char *language = *named ? local_language_normalise (named) : NULL;
  g_autofree char *target = *wanted ? local_language_normalise (wanted) : NULL;
  g_autoptr (JsonObject) request = NULL, answer = NULL;
  g_autoptr (JsonArray) translated = NULL;
  g_autoptr (LocalText) text = NULL;
  g_autoptr (GBytes) none = NULL;
  JsonArray *texts;

  if (!language) {
    g_autofree char *joined = *said ? g_strdup (said) : join_segments (segments);

    language = local_language_guess (joined);
  }
  if (is_imagined (segments, signals)) {
    text = local_text_new (NULL, NULL, language, duration);
    text->unclear = TRUE;
    return g_steal_pointer (&text);
  }
  text = local_text_new (said, segments, language, duration);
  if (!target || strcmp (target, language) == 0 || text->sentences->len == 0)
    return g_steal_pointer (&text);
  request = json_object_new ();
  texts = json_array_new ();
  for (guint i = 0; i < text->sentences->len; i++)
    json_array_add_string_element (texts, local_text_get_sentence (text, i)->text);
  json_object_set_array_member (request, "texts", texts);
  json_object_set_string_member (request, "source", language);
  json_object_set_string_member (request, "target", target);
  answer = derush_local_translate (request, NULL, &none, cancellable, NULL);
  if (!answer)
    return g_steal_pointer (&text);
  texts = derush_json_get_array (answer, "texts");
  translated = json_array_new ();
  for (guint i = 0; i < text->sentences->len; i++) {
    const LocalSentence *sentence = local_text_get_sentence (text, i);
    g_autofree char *polished = local_text_polish (json_array_get_string_element (texts, i));
    JsonObject *segment = json_object_new ();

    json_object_set_double_member (segment, "start", sentence->start);
    json_object_set_double_member (segment, "end", sentence->end);
    json_object_set_string_member (segment, "text", polished);
    json_array_add_object_element (translated, segment);
  }
  {
    LocalText *other = local_text_new (NULL, translated, target, duration);

    other->timed = text->timed;
    other->unclear = text->unclear;
    return other;
  }
}

/* A wish without what only says that it is one: “write a title about”. */
char *
local_find_topic (const char *prompt)
{
  g_autofree char *language = local_language_guess (prompt), *pattern = local_phrase (language, "asking");
  g_autoptr (GRegex) regex = g_regex_new (pattern, G_REGEX_CASELESS, 0, NULL);
  char *topic = regex ? g_regex_replace_literal (regex, prompt, -1, 0, "", 0, NULL) : NULL;

  return topic && *g_strstrip (topic) ? topic : (g_free (topic), g_strdup (prompt));
}

static double
judge_confidence (const LocalFacts *facts)
{
  double words = MIN (facts->text->words->len / 200.0, 1),
         seen = facts->frames && json_array_get_length (facts->frames) > 0;

  return round ((0.1 + 0.4 * words + 0.1 * seen) * 100) / 100;
}

/* ── Gathering ──────────────────────────────────────────────────────────── */

static void
facts_clear (LocalFacts *facts)
{
  g_clear_pointer (&facts->text, local_text_free);
  g_clear_pointer (&facts->wish, local_text_free);
  g_clear_pointer (&facts->phrases, g_ptr_array_unref);
  g_clear_pointer (&facts->chapters, g_ptr_array_unref);
  g_clear_pointer (&facts->moments, g_ptr_array_unref);
  g_clear_pointer (&facts->ranks, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (LocalFacts, facts_clear)

static JsonObject *
say (const LocalFacts *facts)
{
  JsonObject *said = json_object_new ();
  JsonArray *people = json_array_new ();
  g_autoptr (GPtrArray) found = local_find_people (facts->text);
  gboolean spoken = facts->text->sentences->len > 0;
  const char *question = derush_json_get_string (facts->parameters, "customPrompt", "");

  for (guint i = 0; i < found->len; i++)
    json_array_add_string_element (people, g_ptr_array_index (found, i));
  json_object_set_string_member (said, "language", facts->text->language);
  take (said, "summary", spoken ? summarise (facts) : describe_silent (facts));
  json_object_set_array_member (said, "topics", list_topics (facts));
  json_object_set_array_member (said, "tags", list_tags (facts));
  json_object_set_array_member (said, "chapters", list_chapters (facts));
  json_object_set_array_member (said, "moments", list_moments (facts));
  json_object_set_object_member (said, "sentiment", describe_sentiment (facts));
  json_object_set_array_member (said, "people", people);
  json_object_set_array_member (said, "objects", json_array_new ());
  json_object_set_array_member (said, "scenes", describe_scenes (facts));
  json_object_set_array_member (said, "segments", list_sentences (facts));
  take (said, "answer", *question && spoken && facts->wish ? local_answer (facts->text, facts->wish) : g_strdup (""));
  json_object_set_double_member (said, "confidence", judge_confidence (facts));
  json_object_set_double_member (said, "duration", facts->duration);
  json_object_set_string_member (said, "generated_by", "heuristic");
  local_content_add (facts, said);
  return said;
}

/**
 * local_facts_gather:
 * @input: `transcript`, `signals`, `frames`, `parameters`, as data/models/README.md has them
 *
 * Returns: (transfer full): all that can be said, by its usual names
 */
JsonObject *
local_facts_gather (JsonObject *input, GCancellable *cancellable)
{
  g_auto (LocalFacts) facts = {0};
  g_autoptr (JsonObject) nothing = json_object_new ();
  JsonObject *transcript = derush_json_get_object (input, "transcript");
  const char *prompt, *wanted;
  g_autofree double *cuts = NULL;
  guint n_cuts;

  facts.parameters = derush_json_get_object (input, "parameters");
  if (!facts.parameters)
    facts.parameters = nothing;
  facts.signals = derush_json_get_object (input, "signals");
  if (!facts.signals)
    facts.signals = nothing;
  facts.frames = derush_json_get_array (input, "frames");
  facts.duration =
      derush_json_get_number (facts.parameters, "duration", derush_json_get_number (facts.signals, "duration", 0));
  wanted = derush_json_get_string (facts.parameters, "language", "");
  prompt = derush_json_get_string (facts.parameters, "customPrompt",
                                   derush_json_get_string (facts.parameters, "prompt", ""));
  facts.text = read_transcript (transcript ? transcript : nothing, facts.signals, wanted, facts.duration, cancellable);
  if (*prompt) {
    g_autofree char *topic = local_find_topic (prompt), *language = local_language_guess (topic);

    if (facts.text->sentences->len == 0) {
      /* There is nothing but the wish: what is written is about that. */
      g_clear_pointer (&facts.text, local_text_free);
      facts.text = local_text_new (json_object_has_member (facts.parameters, "customPrompt") ? "" : topic, NULL,
                                   language, facts.duration);
    } else {
      facts.wish = local_text_new (topic, NULL, facts.text->language, 0);
    }
  } else if (facts.text->sentences->len == 0 && *wanted) {
    g_autofree char *code = local_language_normalise (wanted);

    if (code) {
      g_free (facts.text->language);
      facts.text->language = g_steal_pointer (&code);
    }
  }
  /* Speech that nobody could write down is not silence. */
  if (facts.text->sentences->len == 0 &&
      (derush_json_get_boolean (input, "unheard", FALSE) ||
       derush_json_get_number (derush_json_get_object (facts.signals, "audio"), "speech", 0) >= MUCH_SPEECH))
    facts.text->unclear = TRUE;
  /* A question has an answer of its own; what is to be written about has its sentences first. */
  facts.ranks =
      local_rank_sentences (facts.text, json_object_has_member (facts.parameters, "customPrompt") ? NULL : facts.wish);
  facts.phrases = local_find_phrases (facts.text, 0, facts.text->sentences->len);
  cuts = list_cuts (&facts, &n_cuts);
  facts.chapters = local_find_chapters (facts.text, cuts, n_cuts);
  facts.moments =
      local_find_moments (facts.text, facts.ranks, derush_json_get_array (facts.signals, "highlights"),
                          (guint)MAX (FEW_MOMENTS, facts.duration / PER_MOMENT),
                          (guint)CLAMP (derush_json_get_int (facts.parameters, "maxMoments", MAX_MOMENTS), 1, 50));
  return say (&facts);
}
