/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "localmodels/localmodels-private.h"
#include "localmodels/text-private.h"

#include <math.h>
#include <string.h>

static const char garden[] =
    "Welcome to our garden. We plant tomatoes in the greenhouse. Tomatoes need warm soil and a lot of light. "
    "Put the tomato seeds one centimetre deep into the soil. Water the soil every morning but not too much. "
    "Good soil is the secret of a healthy garden. Now let us talk about bees. Bees are wonderful friends of every garden. "
    "A bee hive needs a quiet place in the sun. The bees carry pollen from flower to flower. "
    "Without bees the apple trees have no apples. We love our bees and give them flowers all summer. "
    "The last part is about winter. In winter the garden sleeps under the snow. We cover the roses against the frost. "
    "Frost can kill young plants in one night. Tools are cleaned and oiled in winter. The winter frost breaks the soil.";

static const char rocket[] =
    "The rocket stands on the launch pad. The engines burn liquid oxygen. Engineers check every valve of the engines. "
    "The countdown stops because of a broken valve. That was a terrible moment for the crew. The valve is repaired. "
    "The launch is loud. The rocket rises above the clouds. The first stage separates. The stage lands on a ship. "
    "The ship waits in the ocean. The landing of the stage failed. The capsule reaches the space station. "
    "Mr. Miller opens the hatch. The crew brings food to the station. The station is full of danger.";

/* Half a second for a word, and as much between sentences. */
static JsonArray *
make_segments (const char *text, double *duration)
{
  g_auto (GStrv) sentences = g_regex_split_simple ("(?<=[a-z]{3}[.])\\s+", text, 0, 0);
  JsonArray *segments = json_array_new ();
  double at = 0;

  for (guint i = 0; sentences[i]; i++) {
    g_auto (GStrv) words = g_strsplit (sentences[i], " ", -1);
    JsonObject *segment = json_object_new ();
    double length = 0.5 * g_strv_length (words);

    json_object_set_double_member (segment, "start", at);
    json_object_set_double_member (segment, "end", at + length);
    json_object_set_string_member (segment, "text", sentences[i]);
    json_array_add_object_element (segments, segment);
    at += length + 0.5;
  }
  *duration = at;
  return segments;
}

static JsonObject *
make_input (const char *text)
{
  JsonObject *input = json_object_new (), *transcript = json_object_new (), *parameters = json_object_new ();
  double duration = 60;

  if (text) {
    json_object_set_array_member (transcript, "segments", make_segments (text, &duration));
    json_object_set_string_member (transcript, "text", text);
    json_object_set_string_member (transcript, "language", "en");
    json_object_set_object_member (input, "transcript", transcript);
  } else {
    json_object_unref (transcript);
  }
  json_object_set_double_member (parameters, "duration", duration);
  json_object_set_object_member (input, "parameters", parameters);
  return input;
}

static JsonObject *
gather (const char *text)
{
  g_autoptr (JsonObject) input = make_input (text);

  return local_facts_gather (input, NULL);
}

static gboolean
contains (JsonArray *list, const char *text)
{
  for (guint i = 0; i < json_array_get_length (list); i++)
    if (strstr (json_array_get_string_element (list, i), text))
      return TRUE;
  return FALSE;
}

static void
test_keywords (void)
{
  g_autoptr (JsonObject) one = gather (garden), two = gather (rocket);

  g_assert_true (contains (derush_json_get_array (one, "tags"), "bee"));
  g_assert_true (contains (derush_json_get_array (one, "tags"), "soil"));
  g_assert_true (contains (derush_json_get_array (two, "tags"), "valve"));
  g_assert_false (contains (derush_json_get_array (two, "tags"), "bee"));
  g_assert_false (contains (derush_json_get_array (one, "tags"), "the"));
}

/* Each sentence of the summary is one of the text, once. */
static void
test_summary (void)
{
  g_autoptr (JsonObject) one = gather (garden), two = gather (rocket);
  const char *summary = derush_json_get_string (one, "summary", "");
  g_auto (GStrv) sentences = g_regex_split_simple ("(?<=[.])\\s+", summary, 0, 0);

  g_assert_cmpuint (g_strv_length (sentences), >=, 2);
  g_assert_cmpuint (g_strv_length (sentences), <=, 5);
  for (guint i = 0; sentences[i]; i++) {
    g_assert_nonnull (strstr (garden, sentences[i]));
    for (guint k = 0; k < i; k++)
      g_assert_cmpstr (sentences[k], !=, sentences[i]);
  }
  g_assert_cmpstr (summary, !=, derush_json_get_string (two, "summary", ""));
}

static void
test_summary_of_repeats (void)
{
  g_autoptr (JsonObject) said = gather ("The river carries old boats. The river carries old boats. "
                                        "The river carries old boats. The river carries old boats.");

  g_assert_cmpstr (derush_json_get_string (said, "summary", ""), ==, "The river carries old boats.");
}

/* Subjects change at the seventh and the thirteenth sentence. */
static void
test_chapters (void)
{
  g_autoptr (JsonObject) said = gather (garden), other = gather (rocket);
  JsonArray *chapters = derush_json_get_array (said, "chapters"), *segments;
  double duration, before = -10, wanted;
  gboolean found = FALSE;

  segments = make_segments (garden, &duration);
  wanted = derush_json_get_number (json_array_get_object_element (segments, 6), "start", 0);
  json_array_unref (segments);
  g_assert_cmpuint (json_array_get_length (chapters), >=, 3);
  for (guint i = 0; i < json_array_get_length (chapters); i++) {
    JsonObject *chapter = json_array_get_object_element (chapters, i);
    double start = derush_json_get_number (chapter, "start", -1);

    g_assert_cmpfloat (start, >=, before + 10);
    g_assert_cmpfloat (start, <=, duration - 10);
    if (i == 0)
      g_assert_cmpfloat (start, ==, 0);
    found |= fabs (start - wanted) < 4;
    g_assert_cmpstr (derush_json_get_string (chapter, "title", ""), !=, "");
    before = start;
  }
  g_assert_true (found);
}

static char *
member_to_string (JsonObject *said, const char *name)
{
  return json_to_string (json_object_get_member (said, name), FALSE);
}

/* What comes early, what reaches far and what stands beside what is another in another order. */
static void
test_shuffled (void)
{
  static const char *const members[] = {"summary", "topics", "tags", "hashtags", "chapters", "moments"};
  g_autoptr (JsonObject) said = gather (garden);

  for (guint step = 3; step < 12; step += 2) {
    g_auto (GStrv) sentences = g_strsplit (garden, ". ", -1);
    guint n = g_strv_length (sentences);
    g_autofree char *shuffled = NULL;
    g_autoptr (JsonObject) other = NULL;

    for (guint i = 0; i < n; i++) {
      guint k = (i * 7 + step) % n;
      char *swap = sentences[i];

      sentences[i] = sentences[k];
      sentences[k] = swap;
    }
    shuffled = g_strjoinv (". ", sentences);
    other = gather (shuffled);
    for (guint m = 0; m < G_N_ELEMENTS (members); m++) {
      g_autofree char *a = member_to_string (said, members[m]), *b = member_to_string (other, members[m]);

      g_assert_cmpstr (a, !=, b);
    }
  }
}

/* Two films share neither. */
static void
test_two_films (void)
{
  static const char *const lists[] = {"topics", "tags", "hashtags"};
  g_autoptr (JsonObject) one = gather (garden), two = gather (rocket);

  for (guint i = 0; i < G_N_ELEMENTS (lists); i++) {
    JsonArray *list = derush_json_get_array (one, lists[i]);

    g_assert_cmpuint (json_array_get_length (list), >=, 3);
    for (guint k = 0; k < json_array_get_length (list); k++)
      g_assert_false (contains (derush_json_get_array (two, lists[i]), json_array_get_string_element (list, k)));
  }
}

/* ── Speech ─────────────────────────────────────────────────────────────── */

static const char lecture_en[] =
    "Welcome to this lecture about the history of coffee. Coffee was first grown in Ethiopia a thousand years ago. "
    "Monks made a drink from the coffee berries to stay awake. From Ethiopia coffee travelled to Yemen. "
    "People met in coffee houses to talk and to play chess. "
    "Now let us move on to the brewing of coffee. Water that is too hot makes the cup bitter. "
    "Water that is too cold leaves the cup sour. A fine grind needs thirty seconds in an espresso machine. "
    "The last topic today is the effect of caffeine on sleep. Caffeine makes the brain stay awake. "
    "Half of the caffeine is in your blood five hours later. Old people break down caffeine slowly. Thank you for listening.";
static const char lecture_fr[] =
    "Bonjour et bienvenue dans cette vidéo sur la fabrication du pain. Le pain au levain demande du temps. "
    "Il faut nourrir le levain avec de la farine et de l'eau. La farine complète donne un pain plus nourrissant. "
    "Passons maintenant à la cuisson du pain. Le four doit être très chaud. Un bol d'eau dans le four crée de la vapeur. "
    "La vapeur rend la croûte brillante. Enfin, parlons de la conservation. "
    "Le pain au levain se garde cinq jours dans un torchon propre. Il ne faut jamais mettre le pain au froid. Merci.";
static const char lecture_de[] =
    "Herzlich willkommen zu diesem Film über Fahrräder. Ein Fahrrad braucht regelmäßige Pflege. "
    "Die Kette muss alle zweihundert Kilometer geölt werden. Eine trockene Kette verschleißt die Zahnräder schnell. "
    "Kommen wir nun zu den Bremsen. Die Bremsbeläge sind abgenutzt, wenn die Rillen verschwunden sind. "
    "Scheibenbremsen brauchen saubere Bremsscheiben ohne Fett. Zum Schluss sprechen wir über Beleuchtung. "
    "Das Vorderlicht darf den Gegenverkehr nicht blenden. Ein Dynamo liefert Strom ohne Batterien. Vielen Dank.";

/* Chapters begin where the speaker says so, and are called what he says; no list has small words or thanks. */
static void
test_announced (void)
{
  static const struct {
    const char *language, *text, *titles[3], *tags[2], *never[3];
    guint starts[3];
  } films[] = {
      {"en",
       lecture_en,
       {"The history of coffee", "The brewing of coffee", "The effect of caffeine on sleep"},
       {"caffeine", "coffee"},
       {"thank", "people", "seconds"},
       {0, 5, 9}},
      {"fr",
       lecture_fr,
       {"La fabrication du pain", "La cuisson du pain", "La conservation"},
       {"pain au levain", "farine"},
       {"merci", "vidéo", "l'eau"},
       {0, 4, 8}},
      {"de",
       lecture_de,
       {"Fahrräder", "Bremsen", "Beleuchtung"},
       {"kette", "pflege"},
       {"dank", "film", "braucht"},
       {0, 4, 7}},
  };

  for (guint f = 0; f < G_N_ELEMENTS (films); f++) {
    g_autoptr (JsonObject) input = json_object_new (), said = NULL;
    JsonObject *transcript = json_object_new ();
    double duration;
    JsonArray *segments = make_segments (films[f].text, &duration), *chapters;

    json_object_set_array_member (transcript, "segments", segments);
    json_object_set_object_member (input, "transcript", transcript);
    said = local_facts_gather (input, NULL);
    g_assert_cmpstr (derush_json_get_string (said, "language", ""), ==, films[f].language);
    chapters = derush_json_get_array (said, "chapters");
    g_assert_cmpuint (json_array_get_length (chapters), ==, 3);
    for (guint i = 0; i < 3; i++) {
      JsonObject *chapter = json_array_get_object_element (chapters, i),
                 *segment = json_array_get_object_element (segments, films[f].starts[i]);

      g_assert_cmpstr (derush_json_get_string (chapter, "title", ""), ==, films[f].titles[i]);
      g_assert_cmpfloat (derush_json_get_number (chapter, "start", -1), ==,
                         derush_json_get_number (segment, "start", -2));
    }
    g_assert_cmpstr (derush_json_get_string (said, "title", ""), ==, films[f].titles[0]);
    for (guint i = 0; i < 2; i++)
      g_assert_true (contains (derush_json_get_array (said, "tags"), films[f].tags[i]));
    for (guint i = 0; i < 3; i++)
      g_assert_false (contains (derush_json_get_array (said, "tags"), films[f].never[i]));
    g_assert_null (strstr (derush_json_get_string (said, "summary", ""), "hank"));
  }
}

/* Scripts without blanks, and from right to left. */
static void
test_other_scripts (void)
{
  static const struct {
    const char *text, *language, *tag, *title;
  } films[] = {
      {"今日は日本の温泉について話します。温泉は火山の多い国でよく見つかります。温泉に入る前に体を洗ってください。",
       "ja", "温泉", "日本の温泉"},
      {"مرحبا بكم في هذا الفيديو عن القهوة العربية. تعود القهوة العربية إلى اليمن. يضاف الهيل إلى القهوة العربية.",
       "ar", "القهوة العربية", "القهوة العربية"},
      {"今天我们介绍北京大学的历史。北京大学成立于一八九八年。很多学生想去北京大学学习。", "zh", "北京大学", NULL},
  };

  for (guint f = 0; f < G_N_ELEMENTS (films); f++) {
    g_autoptr (JsonObject) input = json_object_new (), said = NULL;
    JsonObject *transcript = json_object_new ();
    JsonArray *tags;

    json_object_set_string_member (transcript, "text", films[f].text);
    json_object_set_object_member (input, "transcript", transcript);
    said = local_facts_gather (input, NULL);
    g_assert_cmpstr (derush_json_get_string (said, "language", ""), ==, films[f].language);
    tags = derush_json_get_array (said, "tags");
    g_assert_true (contains (tags, films[f].tag));
    for (guint i = 0; i < json_array_get_length (tags); i++)
      g_assert_cmpint (g_utf8_strlen (json_array_get_string_element (tags, i), -1), <=, 24);
    if (films[f].title)
      g_assert_cmpstr (derush_json_get_string (said, "title", ""), ==, films[f].title);
    g_assert_null (strstr (derush_json_get_string (said, "summary", ""), "。."));
  }
}

static JsonObject *
gather_heard (double confidence)
{
  g_autoptr (JsonObject) input = make_input (rocket);
  JsonArray *segments = derush_json_get_array (derush_json_get_object (input, "transcript"), "segments");

  for (guint i = 0; i < json_array_get_length (segments); i++) {
    JsonArray *doubtful = json_array_new ();

    json_array_add_string_element (doubtful, "valve");
    json_object_set_double_member (json_array_get_object_element (segments, i), "confidence", confidence);
    json_object_set_array_member (json_array_get_object_element (segments, i), "doubtful", doubtful);
  }
  return local_facts_gather (input, NULL);
}

/* Where nothing sounds like speech, words that were not heard well are none. */
static void
test_words_in_music (void)
{
  static const struct {
    double speech, confidence;
    gboolean kept;
  } cases[] = {{0.01, 0.5, FALSE}, {0.01, 0.9, TRUE}, {0.8, 0.5, TRUE}};

  for (guint c = 0; c < G_N_ELEMENTS (cases); c++) {
    g_autoptr (JsonObject) input = make_input (rocket), said = NULL;
    g_autofree char *signals = g_strdup_printf ("{\"audio\":{\"speech\":%.2f}}", cases[c].speech);
    JsonArray *segments = derush_json_get_array (derush_json_get_object (input, "transcript"), "segments");

    for (guint i = 0; i < json_array_get_length (segments); i++)
      json_object_set_double_member (json_array_get_object_element (segments, i), "confidence", cases[c].confidence);
    json_object_set_object_member (input, "signals", derush_json_parse_object (signals, -1, NULL));
    said = local_facts_gather (input, NULL);
    g_assert_cmpint (json_array_get_length (derush_json_get_array (said, "tags")) > 0, ==, cases[c].kept);
  }
}

/* A word that was hardly heard names nothing; a text that was hardly heard says nothing. */
static void
test_hardly_heard (void)
{
  g_autoptr (JsonObject) well = gather_heard (0.9), badly = gather_heard (0.2);

  g_assert_true (contains (derush_json_get_array (well, "tags"), "stage"));
  g_assert_false (contains (derush_json_get_array (well, "tags"), "valve"));
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (badly, "tags")), ==, 0);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (badly, "chapters")), ==, 0);
  g_assert_null (strstr (derush_json_get_string (badly, "summary", ""), "rocket"));
  g_assert_nonnull (strstr (derush_json_get_string (badly, "summary", ""), "hardly"));
}

static void
test_sentiment (void)
{
  g_autoptr (JsonObject) one = gather (garden), two = gather (rocket), neither = gather (NULL);

  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (one, "sentiment"), "label", ""), ==, "positive");
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (two, "sentiment"), "label", ""), ==, "negative");
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (neither, "sentiment"), "label", ""), ==, "unknown");
  g_assert_nonnull (
      strstr (derush_json_get_string (derush_json_get_object (one, "sentiment"), "basis", ""), "word list"));
}

static void
test_silent (void)
{
  g_autoptr (JsonObject) said = gather (NULL);

  g_assert_cmpuint (json_array_get_length (derush_json_get_array (said, "chapters")), ==, 0);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (said, "tags")), ==, 0);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (said, "moments")), ==, 0);
  g_assert_nonnull (strstr (derush_json_get_string (said, "summary", ""), "60 seconds"));
  g_assert_nonnull (strstr (derush_json_get_string (said, "summary", ""), "without speech"));
}

static void
test_unwritten (void)
{
  g_autoptr (JsonObject) input = make_input (NULL), said = NULL;

  json_object_set_object_member (input, "signals", derush_json_parse_object ("{\"audio\":{\"speech\":0.9}}", -1, NULL));
  said = local_facts_gather (input, NULL);
  g_assert_null (strstr (derush_json_get_string (said, "summary", ""), "without speech"));
}

/* Others have found that there is speech, in a language that they do not know. */
static void
test_unheard (void)
{
  g_autoptr (JsonObject) input = make_input (NULL), said = NULL;

  json_object_set_boolean_member (input, "unheard", TRUE);
  said = local_facts_gather (input, NULL);
  g_assert_null (strstr (derush_json_get_string (said, "summary", ""), "without speech"));
}

static void
test_numbers (void)
{
  static const struct {
    const char *language, *name, *text;
    guint n;
  } phrases[] = {{"en", "shots", "0 shots", 0},     {"en", "shots", "1 shot", 1},
                 {"en", "shots", "2 shots", 2},     {"fr", "shots", "0 plan", 0},
                 {"fr", "shots", "1 plan", 1},      {"fr", "parts", "2 passages animés", 2},
                 {"de", "seconds", "1 Sekunde", 1}, {"es", "words", "11 palabras halladas", 11},
                 {"xx", "shots", "1 shot", 1}};

  for (guint i = 0; i < G_N_ELEMENTS (phrases); i++) {
    g_autofree char *text = local_phrase_of_number (phrases[i].language, phrases[i].name, phrases[i].n);

    g_assert_cmpstr (text, ==, phrases[i].text);
  }
}

static void
test_moments (void)
{
  g_autoptr (JsonObject) input = make_input (rocket), said = NULL;
  JsonNode *signals =
      derush_json_parse ("{\"highlights\":[{\"start\":20,\"end\":28,\"score\":0.9,\"reasons\":[\"loud\",\"motion\"]},"
                         "{\"start\":21,\"end\":27,\"score\":0.8},{\"start\":9000,\"end\":9100,\"score\":1}]}",
                         -1, NULL);
  JsonArray *moments;
  double before = 0;
  guint loud = 0;

  json_object_set_member (input, "signals", signals);
  said = local_facts_gather (input, NULL);
  moments = derush_json_get_array (said, "moments");
  g_assert_cmpuint (json_array_get_length (moments), >, 1);
  for (guint i = 0; i < json_array_get_length (moments); i++) {
    JsonObject *moment = json_array_get_object_element (moments, i);
    double start = derush_json_get_number (moment, "start", -1), end = derush_json_get_number (moment, "end", -1);

    g_assert_cmpfloat (start, >=, before);
    g_assert_cmpfloat (end, >, start);
    g_assert_cmpfloat (end, <=, derush_json_get_number (said, "duration", 0));
    loud += strcmp (derush_json_get_string (moment, "reason", ""), "loud, motion") == 0;
    before = start;
  }
  g_assert_cmpuint (loud, ==, 1);
}

static void
test_people (void)
{
  g_autoptr (JsonObject) said = gather (rocket);
  JsonArray *people = derush_json_get_array (said, "people");

  g_assert_cmpuint (json_array_get_length (people), ==, 1);
  g_assert_cmpstr (json_array_get_string_element (people, 0), ==, "Mr Miller");
}

/* Recognised speech has no full stops: pauses part it. */
static void
test_without_full_stops (void)
{
  JsonNode *node = derush_json_parse ("[{\"start\":0,\"end\":2,\"text\":\"the north wind and the sun were arguing\"},"
                                      "{\"start\":3,\"end\":5,\"text\":\"which of them was the stronger one\"},"
                                      "{\"start\":5.1,\"end\":6,\"text\":\"they said\"}]",
                                      -1, NULL);
  g_autoptr (LocalText) text = local_text_new (NULL, json_node_get_array (node), "en", 6);

  g_assert_cmpuint (text->sentences->len, ==, 2);
  g_assert_cmpfloat (local_text_get_sentence (text, 1)->end, ==, 6);
  json_node_unref (node);
}

static void
test_shorten (void)
{
  static const struct {
    const char *text, *wanted;
    guint characters;
  } cases[] = {{"short", "short", 10},
               {"one two three four", "one two three…", 15},
               {"When winter comes, the garden sleeps", "When winter comes", 24},
               {"Überraschungsmoment", "Überrasc…", 9},
               {"", "", 5},
               {"abc", "", 0}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = local_text_shorten (cases[i].text, cases[i].characters);

    g_assert_cmpstr (text, ==, cases[i].wanted);
    g_assert_cmpint (g_utf8_strlen (text, -1), <=, MAX (cases[i].characters, 0));
  }
}

static char *
write_content (const char *text, const char *type, guint characters, JsonArray **parts)
{
  g_autoptr (JsonObject) input = make_input (text), said = NULL;
  JsonObject *parameters = derush_json_get_object (input, "parameters"), *limits = json_object_new ();

  json_object_set_string_member (parameters, "type", type);
  json_object_set_int_member (limits, "characters", characters);
  json_object_set_int_member (limits, "hashtags", 3);
  json_object_set_object_member (parameters, "limits", limits);
  said = local_facts_gather (input, NULL);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (said, "hashtags")), <=, 3);
  if (parts)
    *parts = json_array_ref (derush_json_get_array (said, "parts"));
  return g_strdup (derush_json_get_string (said, "text", ""));
}

static void
test_content_limits (void)
{
  static const char *const types[] = {"POST",     "CAPTION",     "SCRIPT", "ARTICLE", "HOOK",
                                      "HASHTAGS", "DESCRIPTION", "TITLE",  "STORY"};

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    for (guint characters = 20; characters < 2000; characters *= 3) {
      g_autofree char *one = write_content (garden, types[i], characters, NULL);
      g_autofree char *two = write_content (rocket, types[i], characters, NULL);

      g_assert_cmpstr (one, !=, "");
      g_assert_cmpint (g_utf8_strlen (one, -1), <=, characters);
      g_assert_cmpint (g_utf8_strlen (two, -1), <=, characters);
      g_assert_cmpstr (one, !=, two);
    }
  }
}

static void
test_thread (void)
{
  g_autoptr (JsonArray) parts = NULL;
  g_autofree char *text = write_content (garden, "THREAD", 100, &parts);

  g_assert_cmpuint (json_array_get_length (parts), >, 1);
  for (guint i = 0; i < json_array_get_length (parts); i++)
    g_assert_cmpint (g_utf8_strlen (json_array_get_string_element (parts, i), -1), <=, 100);
  g_assert_nonnull (strstr (text, json_array_get_string_element (parts, 0)));
}

/* ── Schemas ────────────────────────────────────────────────────────────── */

static JsonNode *
project (const char *schema, GError **error)
{
  g_autoptr (JsonObject) said = gather (garden), wanted = derush_json_parse_object (schema, -1, NULL);
  g_autoptr (JsonNode) facts = json_node_init_object (json_node_alloc (), said);

  g_assert_nonnull (wanted);
  return local_schema_project (facts, wanted, error);
}

static void
test_schema (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = project (
      "{\"type\":\"object\",\"required\":[\"headline\",\"keywords\",\"Sentiment\",\"keyMoments\",\"overall\"],\"properties\":{"
      "\"headline\":{\"type\":\"string\",\"maxLength\":20},"
      "\"keywords\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"$ref\":\"#/$defs/word\"}},"
      "\"Sentiment\":{\"type\":\"string\",\"enum\":[\"NEGATIVE\",\"POSITIVE\"]},"
      "\"keyMoments\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"start_time\",\"why\",\"note\"],\"properties\":{"
      "\"start_time\":{\"type\":\"integer\"},\"why\":{\"type\":\"string\"},\"note\":{\"type\":[\"string\",\"null\"]}}}},"
      "\"overall\":{\"type\":\"object\",\"properties\":{\"summary\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}}},"
      "\"unknown\":{\"type\":\"number\"}},"
      "\"$defs\":{\"word\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"}}}}}",
      &error);
  JsonObject *object;

  g_assert_no_error (error);
  object = json_node_get_object (node);
  g_assert_cmpint (g_utf8_strlen (derush_json_get_string (object, "headline", ""), -1), <=, 20);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (object, "keywords")), ==, 2);
  g_assert_cmpstr (derush_json_get_string (object, "Sentiment", ""), ==, "POSITIVE");
  g_assert_true (json_object_get_null_member (
      json_array_get_object_element (derush_json_get_array (object, "keyMoments"), 0), "note"));
  g_assert_nonnull (derush_json_get_string (derush_json_get_object (object, "overall"), "summary", NULL));
  g_assert_false (json_object_has_member (object, "unknown"));
}

static void
test_unknown_property (void)
{
  static const char *const schemas[] = {
      "{\"type\":\"object\",\"required\":[\"wingspan\"],\"properties\":{\"wingspan\":{\"type\":\"number\"}}}",
      "{\"type\":\"object\",\"required\":[\"chapters\"],\"properties\":{\"chapters\":{\"type\":\"array\",\"items\":"
      "{\"type\":\"object\",\"required\":[\"wingspan\"],\"properties\":{\"wingspan\":{\"type\":\"number\"}}}}}}",
      "{\"type\":\"object\",\"required\":[\"wingspan\"],\"properties\":{\"wingspan\":{\"type\":\"array\"}}}"};

  for (guint i = 0; i < G_N_ELEMENTS (schemas); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (project (schemas[i], &error));
    g_assert_error (error, DERUSH_LOCALMODELS_ERROR, DERUSH_ERROR_UNSUPPORTED);
    g_assert_nonnull (strstr (error->message, "wingspan"));
    g_assert_cmpstr (derush_local_error_get_code (error), ==, "unsupported_property");
  }
}

/* A schema that refers to itself ends. */
static void
test_endless_schema (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node =
      project ("{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"$ref\":\"#\"}}}", &error);

  g_assert_true (node || error);
}

static void
test_shipped_schemas (void)
{
  static const char *const names[] = {"video_analysis.json", "video_content.json"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = local_data_path ("schemas", names[i], NULL), *text = NULL;
    const char *const films[] = {garden, rocket, NULL};

    g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
    for (guint f = 0; f < G_N_ELEMENTS (films); f++) {
      g_autoptr (JsonObject) said = gather (films[f]), schema = derush_json_parse_object (text, -1, NULL);
      g_autoptr (JsonNode) facts = json_node_init_object (json_node_alloc (), said), node = NULL;
      g_autoptr (GError) error = NULL;

      node = local_schema_project (facts, schema, &error);
      g_assert_no_error (error);
    }
  }
}

static void
test_other_tasks (void)
{
  g_autoptr (JsonObject) request = derush_json_parse_object (
      "{\"messages\":[{\"role\":\"user\",\"content\":\"Write a poem\"}],\"response_format\":{\"type\":\"json_schema\","
      "\"json_schema\":{\"name\":\"poem\",\"schema\":{\"type\":\"object\"}}}}",
      -1, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (derush_local_extract (request, NULL, NULL, NULL, &error));
  g_assert_cmpstr (derush_local_error_get_code (error), ==, "unsupported_task");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/localmodels/text/keywords-are-those-of-the-film", test_keywords);
  g_test_add_func ("/localmodels/text/a-summary-is-made-of-different-sentences", test_summary);
  g_test_add_func ("/localmodels/text/what-is-said-again-is-in-a-summary-once", test_summary_of_repeats);
  g_test_add_func ("/localmodels/text/chapters-begin-where-the-subject-changes", test_chapters);
  g_test_add_func ("/localmodels/text/another-order-is-another-result", test_shuffled);
  g_test_add_func ("/localmodels/text/two-films-share-no-tags", test_two_films);
  g_test_add_func ("/localmodels/text/chapters-are-what-speakers-announce", test_announced);
  g_test_add_func ("/localmodels/text/other-scripts-have-words-too", test_other_scripts);
  g_test_add_func ("/localmodels/text/what-was-hardly-heard-is-not-written-about", test_hardly_heard);
  g_test_add_func ("/localmodels/text/words-in-music-are-none", test_words_in_music);
  g_test_add_func ("/localmodels/text/sentiment-is-that-of-the-words", test_sentiment);
  g_test_add_func ("/localmodels/text/a-silent-film-has-what-was-measured", test_silent);
  g_test_add_func ("/localmodels/text/one-thing-is-no-plural", test_numbers);
  g_test_add_func ("/localmodels/text/speech-that-nobody-wrote-down-is-no-silence", test_unwritten);
  g_test_add_func ("/localmodels/text/speech-in-an-unknown-language-is-not-silence", test_unheard);
  g_test_add_func ("/localmodels/text/moments-ascend-inside-of-the-film", test_moments);
  g_test_add_func ("/localmodels/text/people-are-named-with-a-title", test_people);
  g_test_add_func ("/localmodels/text/pauses-part-what-has-no-full-stops", test_without_full_stops);
  g_test_add_func ("/localmodels/text/long-texts-end-at-a-clause-or-word", test_shorten);
  g_test_add_func ("/localmodels/content/texts-keep-to-the-limit-and-differ", test_content_limits);
  g_test_add_func ("/localmodels/content/posts-of-a-thread-keep-to-the-limit", test_thread);
  g_test_add_func ("/localmodels/schema/properties-are-found-by-their-names", test_schema);
  g_test_add_func ("/localmodels/schema/an-unknown-property-is-named", test_unknown_property);
  g_test_add_func ("/localmodels/schema/one-that-contains-itself-ends", test_endless_schema);
  g_test_add_func ("/localmodels/schema/those-that-are-shipped-are-filled", test_shipped_schemas);
  g_test_add_func ("/localmodels/schema/other-tasks-are-refused", test_other_tasks);
  return g_test_run ();
}
