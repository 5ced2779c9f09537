/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media/silences-private.h"
#include "models/action-private.h"
#include "models/actions/speech-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <glib/gstdio.h>

/*
 * The action is run on sounds in which every word has a loudness of its own, by a recogniser that knows nothing but these
 * loudnesses: whatever it is given, it answers the words that it can hear in it, and half words as rubbish.
 */

#define RATE 16000
#define WORD_LENGTH 0.3
#define FIRST_LEVEL 4000
#define LEVEL_STEP 60

JsonObject *derush_action_transcribe (DerushModelJob *job, GError **error);

/* ── Stand-ins ──────────────────────────────────────────────────────────── */

static struct {
  guint calls;
  double longest;
  double endures; /* in s: refuses what is longer; 0: nothing is */
  gboolean without_words;
  gboolean invents; /* says thanks wherever there is silence, as some do */
  double confidence;
  guint foreign_from, foreign_to; /* calls, from 1 on, that are refused for their language */
  GPtrArray *warnings;
} ear;

GQuark
derush_models_error_quark (void)
{
  return g_quark_from_static_string ("test");
}

void
derush_step_request_progress (DerushStepRequest *request, double progress)
{
}

void
derush_step_request_warn (DerushStepRequest *request, const char *message)
{
  g_ptr_array_add (ear.warnings, g_strdup (message));
}

static void
answer_word (JsonArray *words, const char *text, double start, double end)
{
  JsonObject *word = json_object_new ();

  json_object_set_string_member (word, "word", text);
  json_object_set_double_member (word, "start", start);
  json_object_set_double_member (word, "end", end);
  json_object_set_double_member (word, "confidence", ear.confidence);
  json_array_add_object_element (words, word);
}

static JsonArray *
listen (const gint16 *samples, gsize n)
{
  const gsize block = RATE / 100;
  JsonArray *words = json_array_new ();
  int current = -1;
  gsize since = 0;

  for (gsize i = 0; i <= n / block; i++) {
    int number = -1;
    double sum = 0;

    for (gsize k = i * block; i < n / block && k < (i + 1) * block; k++)
      sum += abs (samples[k]);
    if (sum / block >= FIRST_LEVEL - LEVEL_STEP / 4.0)
      number = (int)lround ((sum / block - FIRST_LEVEL) / LEVEL_STEP);
    if (number == current && i < n / block)
      continue;
    /* Where a block has the end of one sound and the beginning of the next there is nothing to hear. */
    if (current >= 0 && i - since > 2) {
      double start = since / 100.0, end = i / 100.0;
      g_autofree char *text = g_strdup_printf (end - start > WORD_LENGTH * 0.9 ? "w%d" : "rubbish%d", current);

      answer_word (words, text, start, end);
    }
    current = number;
    since = i;
  }
  return words;
}

static void
invent (JsonArray *words, const gint16 *samples, gsize n)
{
  gsize since = 0;

  for (gsize i = 0; i < n; i++) {
    if (samples[i] != 0)
      since = i + 1;
    if (i - since != 2 * RATE)
      continue;
    answer_word (words, "Thank", (double)i / RATE - 1.2, (double)i / RATE - 1);
    answer_word (words, "you.", (double)i / RATE - 1, (double)i / RATE - 0.8);
  }
}

JsonObject *
derush_models_call (DerushModels *models, const char *task, JsonObject *request, const DerushModelsContext *context,
                    GCancellable *cancellable, GError **error)
{
  g_autofree char *contents = NULL;
  g_autoptr (JsonArray) words = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  JsonObject *answer;
  gsize length;

  g_assert_cmpstr (task, ==, "transcribe");
  g_assert_true (g_file_get_contents (derush_json_get_string (request, "file", ""), &contents, &length, NULL));
  ear.calls++;
  if (ear.calls >= ear.foreign_from && ear.calls <= ear.foreign_to) {
    g_string_append (context->debug, "unsupported-language");
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_UNSUPPORTED, "call %u is foreign", ear.calls);
    return NULL;
  }
  answer = json_object_new ();
  ear.longest = MAX (ear.longest, (length - 44) / 2.0 / RATE);
  if (ear.endures > 0 && (length - 44) / 2.0 / RATE > ear.endures) {
    g_set_error_literal (error, derush_models_error_quark (), DERUSH_ERROR_BAD_INPUT, "too long");
    return NULL;
  }
  answer = json_object_new ();
  words = listen ((const gint16 *)(gconstpointer)(contents + 44), (length - 44) / 2);
  if (ear.invents)
    invent (words, (const gint16 *)(gconstpointer)(contents + 44), (length - 44) / 2);
  for (guint i = 0; i < json_array_get_length (words); i++)
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "",
                            derush_json_get_string (json_array_get_object_element (words, i), "word", ""));
  json_object_set_string_member (answer, "text", text->str);
  json_object_set_string_member (answer, "language", "en");
  if (!ear.without_words)
    json_object_set_array_member (answer, "words", g_steal_pointer (&words));
  json_object_set_string_member (answer, "provider", "test");
  json_object_set_string_member (answer, "engine", "ear");
  json_object_set_boolean_member (answer, "degraded", TRUE);
  json_object_set_double_member (answer, "cost", 0.25);
  return answer;
}

/* ── Sounds ─────────────────────────────────────────────────────────────── */

typedef struct {
  char *directory;
  GArray *samples;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->directory = g_dir_make_tmp ("derush-transcribe-XXXXXX", NULL);
  fixture->samples = g_array_new (FALSE, TRUE, sizeof (gint16));
  memset (&ear, 0, sizeof ear);
  ear.confidence = 0.9;
  ear.warnings = g_ptr_array_new_with_free_func (g_free);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  derush_directory_remove (fixture->directory, NULL);
  g_free (fixture->directory);
  g_array_unref (fixture->samples);
  g_ptr_array_unref (ear.warnings);
}

/* @level: half of the samples are so much above the middle, half below */
static void
add_sound (Fixture *fixture, double seconds, int level)
{
  guint n = (guint)lround (seconds * RATE);

  for (guint i = 0; i < n; i++) {
    gint16 sample = (gint16)((i / 8) % 2 ? level : -level);

    g_array_append_val (fixture->samples, sample);
  }
}

static void
write_sound (Fixture *fixture)
{
  g_autofree char *wav = g_build_filename (fixture->directory, "speech.wav", NULL);
  g_autofree char *json = g_build_filename (fixture->directory, "speech.json", NULL);
  g_autoptr (DerushVoice) voice = derush_voice_new (RATE);
  g_autoptr (GByteArray) levels = g_byte_array_new ();
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GArray) silences = NULL;
  DerushSilences found;

  g_array_append_vals (voice->samples, fixture->samples->data, fixture->samples->len);
  g_assert_true (derush_voice_write (voice, wav, NULL));
  for (guint i = 0; i < fixture->samples->len; i += RATE / 20) {
    guint8 level = (guint8)derush_level_of (&g_array_index (fixture->samples, gint16, i),
                                            MIN (RATE / 20, fixture->samples->len - i));

    g_byte_array_append (levels, &level, 1);
  }
  silences = derush_silences_find ((const gint8 *)levels->data, levels->len, 5, &found);
  g_string_printf (text, "{\"rate\":%d,\"samples\":%u,\"interval\":0.05,\"silences\":[", RATE, fixture->samples->len);
  for (guint i = 0; i < silences->len; i++) {
    DerushSilence *silence = &g_array_index (silences, DerushSilence, i);

    g_string_append_printf (text, "%s[%.2f,%.2f]", i > 0 ? "," : "", silence->start * 0.05, silence->end * 0.05);
  }
  g_string_append (text, "],\"levels\":[");
  for (guint i = 0; i < levels->len; i++)
    g_string_append_printf (text, "%s%d", i > 0 ? "," : "", (gint8)levels->data[i]);
  g_string_append (text, "]}");
  g_assert_true (g_file_set_contents (json, text->str, -1, NULL));
}

static JsonObject *
try_to_transcribe (Fixture *fixture, const char *parameters_text, GError **error)
{
  g_autoptr (JsonObject) parameters = derush_json_parse_object (parameters_text, -1, NULL);
  g_autoptr (JsonObject) results =
      derush_json_parse_object ("{\"speech-audio\":{\"file\":\"speech.wav\",\"data\":\"speech.json\"}}", -1, NULL);
  g_autoptr (GString) debug = g_string_new (NULL);
  DerushModelJob job = {
      .directory = fixture->directory, .parameters = parameters, .results = results, .context.debug = debug};

  derush_error_domain_register (DERUSH_MODELS_ERROR);
  write_sound (fixture);
  return derush_action_transcribe (&job, error);
}

static JsonObject *
transcribe (Fixture *fixture, const char *parameters_text)
{
  g_autoptr (GError) error = NULL;
  JsonObject *result = try_to_transcribe (fixture, parameters_text, &error);

  g_assert_no_error (error);
  return result;
}

/* Every word once, in its order and at its time. */
static void
check_words (JsonObject *result, guint n, double first, double distance)
{
  JsonArray *segments = derush_json_get_array (result, "segments");
  guint i = 0;

  for (guint s = 0; s < json_array_get_length (segments); s++) {
    JsonArray *words = derush_json_get_array (json_array_get_object_element (segments, s), "words");

    for (guint w = 0; w < json_array_get_length (words); w++, i++) {
      JsonObject *word = json_array_get_object_element (words, w);
      g_autofree char *expected = g_strdup_printf ("w%u", i);

      g_assert_cmpstr (derush_json_get_string (word, "word", NULL), ==, expected);
      g_assert_cmpfloat_with_epsilon (derush_json_get_number (word, "start", -1), first + i * distance, 0.05);
      g_assert_cmpfloat_with_epsilon (derush_json_get_number (word, "end", -1), first + i * distance + WORD_LENGTH,
                                      0.05);
    }
  }
  g_assert_cmpuint (i, ==, n);
}

/* ── Tests ──────────────────────────────────────────────────────────────── */

static void
plant (Fixture *fixture, guint n, int between)
{
  add_sound (fixture, 1, between);
  for (guint i = 0; i < n; i++) {
    add_sound (fixture, WORD_LENGTH, (int)(FIRST_LEVEL + i * LEVEL_STEP));
    add_sound (fixture, 0.4, between);
  }
}

static void
test_silences (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = NULL;

  plant (fixture, 300, 0);
  result = transcribe (fixture, "{}");
  check_words (result, 300, 1, 0.7);
  g_assert_cmpuint (ear.calls, >=, 4);
  g_assert_cmpuint (ear.calls, <=, 6);
  g_assert_cmpfloat (ear.longest, <=, 60);
  g_assert_cmpstr (derush_json_get_string (result, "engine", NULL), ==, "ear");
  g_assert_true (derush_json_get_boolean (result, "degraded", FALSE));
  g_assert_cmpfloat_with_epsilon (derush_json_get_number (result, "cost", 0), ear.calls * 0.25, 1e-9);
}

static void
test_without_silences (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = NULL;

  plant (fixture, 300, FIRST_LEVEL * 3 / 4);
  result = transcribe (fixture, "{}");
  g_assert_cmpuint (ear.calls, >=, 4);
  check_words (result, 300, 1, 0.7);
}

/* Some hear half a minute at a time, and say so only when they are asked for more. */
static void
test_short (Fixture *fixture, gconstpointer data)
{
  static const int between[] = {0, FIRST_LEVEL * 3 / 4};

  ear.endures = 30;
  for (guint i = 0; i < G_N_ELEMENTS (between); i++) {
    g_autoptr (JsonObject) result = NULL;

    g_array_set_size (fixture->samples, 0);
    plant (fixture, 200, between[i]);
    result = transcribe (fixture, "{}");
    check_words (result, 200, 1, 0.7);
  }
}

static void
test_words_without_times (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = NULL;
  g_autoptr (GString) expected = g_string_new ("w0");
  JsonArray *segments;
  double last = 0;

  ear.without_words = TRUE;
  plant (fixture, 200, 0);
  result = transcribe (fixture, "{}");
  for (guint i = 1; i < 200; i++)
    g_string_append_printf (expected, " w%u", i);
  g_assert_cmpstr (derush_json_get_string (result, "text", NULL), ==, expected->str);
  segments = derush_json_get_array (result, "segments");
  for (guint i = 0; i < json_array_get_length (segments); i++) {
    JsonObject *segment = json_array_get_object_element (segments, i);

    g_assert_cmpfloat (derush_json_get_number (segment, "start", -1), >=, last);
    last = derush_json_get_number (segment, "end", -1);
    g_assert_cmpuint (json_array_get_length (derush_json_get_array (segment, "words")), ==, 0);
  }
  g_assert_cmpfloat (last, <=, 141.1);
}

static void
test_inventions (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = NULL;

  ear.invents = TRUE;
  plant (fixture, 2, 0);
  add_sound (fixture, 5, 0);
  add_sound (fixture, WORD_LENGTH, FIRST_LEVEL + 2 * LEVEL_STEP);
  add_sound (fixture, 1, 0);
  result = transcribe (fixture, "{}");
  g_assert_cmpstr (derush_json_get_string (result, "text", NULL), ==, "w0 w1 w2");
  g_assert_cmpint (derush_json_get_int (result, "removedWords", 0), ==, 2);
}

static void
test_long_silence (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = NULL;

  add_sound (fixture, 30, 0);
  add_sound (fixture, WORD_LENGTH, FIRST_LEVEL);
  add_sound (fixture, 100, 0);
  result = transcribe (fixture, "{}");
  g_assert_cmpuint (ear.calls, ==, 1);
  g_assert_cmpfloat (ear.longest, <, 2);
  check_words (result, 1, 30, 1);
}

static void
test_noise (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = NULL;

  add_sound (fixture, 5, FIRST_LEVEL / 2);
  result = transcribe (fixture, "{\"name\":\"v1\"}");
  g_assert_cmpstr (derush_json_get_string (result, "text", NULL), ==, "");
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (result, "segments")), ==, 0);
  g_assert_cmpuint (ear.warnings->len, ==, 1);
}

static void
test_doubt (Fixture *fixture, gconstpointer data)
{
  static const struct {
    double confidence;
    const char *parameters;
    guint warnings;
  } cases[] = {{0.9, "{}", 0}, {0.3, "{}", 1}, {0.3, "{\"language\":\"en\"}", 1}};

  plant (fixture, 3, 0);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (JsonObject) result = NULL;

    ear.confidence = cases[i].confidence;
    result = transcribe (fixture, cases[i].parameters);
    g_assert_cmpuint (ear.warnings->len, ==, cases[i].warnings);
  }
  g_assert_nonnull (strstr (ear.warnings->pdata[0], "0.30"));
}

/* Parts of up to a minute: 300 words are four to six of them. */
static void
test_guest (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = NULL;
  g_autofree char *text = NULL;

  ear.foreign_from = ear.foreign_to = 1;
  plant (fixture, 300, 0);
  result = transcribe (fixture, "{}");
  text = g_strdup (derush_json_get_string (result, "text", ""));
  g_assert_true (g_str_has_suffix (text, " w298 w299"));
  g_assert_false (g_str_has_prefix (text, "w0 "));
  g_assert_cmpuint (ear.warnings->len, ==, 1);
  g_assert_nonnull (strstr (ear.warnings->pdata[0], "call 1 is foreign"));
}

static void
test_foreign (Fixture *fixture, gconstpointer data)
{
  static const struct {
    guint from, to;
    const char *parameters;
    guint calls; /* 0: all */
  } cases[] = {{1, 99, "{}", 3}, {2, 99, "{}", 0}, {1, 1, "{\"language\":\"fr\"}", 1}};

  plant (fixture, 300, 0);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    ear.calls = 0;
    ear.foreign_from = cases[i].from;
    ear.foreign_to = cases[i].to;
    g_assert_null (try_to_transcribe (fixture, cases[i].parameters, &error));
    g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_UNSUPPORTED);
    g_assert_cmpuint (ear.calls, >=, MAX (cases[i].calls, 1));
    if (cases[i].calls)
      g_assert_cmpuint (ear.calls, ==, cases[i].calls);
    g_assert_cmpuint (ear.warnings->len, ==, 0);
  }
}

static void
test_optional (Fixture *fixture, gconstpointer data)
{
  static const char *const parameters[] = {"{\"optional\":true}", "{\"optional\":true,\"language\":\"fr\"}"};

  plant (fixture, 3, 0);
  for (guint i = 0; i < G_N_ELEMENTS (parameters); i++) {
    g_autoptr (JsonObject) result = NULL;

    ear.foreign_from = 1;
    ear.foreign_to = 99;
    result = transcribe (fixture, parameters[i]);
    g_assert_cmpstr (derush_json_get_string (result, "text", NULL), ==, "");
    g_assert_cmpuint (ear.warnings->len, ==, i + 1);
    g_assert_nonnull (strstr (ear.warnings->pdata[i], "unsupported-language"));
    g_assert_true (derush_json_get_boolean (result, "unheard", FALSE));
  }
}

static char *
contents_of (Fixture *fixture, const char *name)
{
  g_autofree char *path = g_build_filename (fixture->directory, name, NULL);
  char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

static void
test_files (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = NULL, json = NULL;
  g_autofree char *srt = NULL, *vtt = NULL, *ass = NULL, *txt = NULL, *whole = NULL;
  JsonObject *files;

  plant (fixture, 5, 0);
  result = transcribe (fixture, "{\"name\":\"v1\",\"language\":\"en\"}");
  files = derush_json_get_object (result, "files");
  g_assert_cmpstr (derush_json_get_string (files, "srt", NULL), ==, "v1.srt");
  srt = contents_of (fixture, "v1.srt");
  vtt = contents_of (fixture, "v1.vtt");
  ass = contents_of (fixture, "v1.ass");
  txt = contents_of (fixture, "v1.txt");
  whole = contents_of (fixture, "v1.json");
  g_assert_cmpstr (txt, ==, "w0 w1 w2 w3 w4\n");
  g_assert_cmpstr (srt, ==, "1\n00:00:01,000 --> 00:00:04,100\nw0 w1 w2 w3 w4\n\n");
  g_assert_cmpstr (vtt, ==, "WEBVTT\nLanguage: en\n\n00:00:01.000 --> 00:00:04.100\nw0 w1 w2 w3 w4\n");
  g_assert_nonnull (strstr (ass, "Dialogue: 0,0:00:01.00,0:00:04.10,Default,,0,0,0,,w0 w1 w2 w3 w4\n"));
  json = derush_json_parse_object (whole, -1, NULL);
  g_assert_nonnull (json);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (json, "cues")), ==, 1);
  g_assert_false (g_file_test ("speech-part-0001.wav", G_FILE_TEST_EXISTS));
}

/* ── Words ──────────────────────────────────────────────────────────────── */

/* `Hello@1-1.5 world.@2-2.4`; `|` before a word: it begins a segment; `name:` a speaker */
static GPtrArray *
words_from (const char *drawing)
{
  g_auto (GStrv) parts = g_strsplit (drawing, " ", -1);
  GPtrArray *words = derush_words_new ();

  for (guint i = 0; parts[i]; i++) {
    const char *text = parts[i], *at = strrchr (text, '@'), *dash = at ? strchr (at, '-') : NULL, *colon;
    g_autofree char *plain = NULL, *speaker = NULL;
    DerushWord *word;
    gboolean first = *text == '|';

    if (!dash)
      continue;
    text += first;
    colon = strchr (text, ':');
    if (colon && colon < at) {
      speaker = g_strndup (text, colon - text);
      text = colon + 1;
    }
    plain = g_strndup (text, at - text);
    word = derush_word_new (g_ascii_strtod (at + 1, NULL), g_ascii_strtod (dash + 1, NULL), plain);
    word->first = first;
    word->speaker = g_steal_pointer (&speaker);
    g_ptr_array_add (words, word);
  }
  return words;
}

static void
test_join (void)
{
  static const struct {
    const char *words, *next;
    double start, overlap;
    const char *joined;
  } cases[] = {
      {"a@1-2 b@3-4", "c@5-6 d@7-8", 5, 0, "a b c d"},
      {"a@1-2 b@3-4 c@5-6", "b@3.1-4 c@5-6.1 d@7-8", 2.5, 4, "a b c d"},
      /* What stands at the edges may be half a word. */
      {"a@1-2 b@3-4 c@5-6 mis@6.5-7", "chief@2.4-2.8 b@3.1-4 c@5-6.1 mischief@6.5-8", 2.5, 4.5, "a b c mischief"},
      /* No word in common: the middle. */
      {"a@1-2 bee@3-4 sea@5-6", "be@3-4 see@5-6 d@7-8", 2.5, 4, "a bee see d"},
      /* The same word twice is two words. */
      {"no@1-1.3 no@2-2.3 no@3-3.3", "no@2-2.3 no@3-3.3 no@4-4.3", 1.8, 2, "no no no no"},
      {"a@1-2", "", 1.5, 2, "a"},
      {"", "a@1-2", 0.5, 2, "a"},
      {"Hello,@1-2 World.@3-4", "hello@1-2 world@3-4 again@5-6", 0.5, 4, "Hello, World. again"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GPtrArray) words = words_from (cases[i].words);
    g_autofree char *text = NULL;

    derush_words_join (words, words_from (cases[i].next), cases[i].start, cases[i].overlap);
    text = derush_words_to_text (words);
    g_assert_cmpstr (text, ==, cases[i].joined);
  }
}

static DerushSpeech *
quiet_speech (double duration, double silence_start, double silence_end)
{
  g_autofree char *text =
      g_strdup_printf ("{\"rate\":100,\"samples\":%d,\"interval\":0.05,\"levels\":[],\"silences\":[[%.2f,%.2f]]}",
                       (int)(duration * 100), silence_start, silence_end);
  g_autoptr (JsonObject) data = derush_json_parse_object (text, -1, NULL);

  return derush_speech_new (data);
}

static void
test_circles (void)
{
  static const struct {
    const char *text, *left;
  } cases[] = {
      {"no no no no no", "no no no no no"},
      {"la la la la la la la la la la", "la"},
      {"I mean it I mean it I mean it", "I mean it I mean it I mean it"},
      {"so thank you. Thank you. Thank you. Thank you. Thank you. bye", "so thank you. bye"},
      {"a b c", "a b c"},
  };
  g_autoptr (DerushSpeech) speech = quiet_speech (100, 99, 100);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (GStrv) parts = g_strsplit (cases[i].text, " ", -1);
    g_autoptr (GPtrArray) words = derush_words_new ();
    g_autofree char *text = NULL;

    for (guint k = 0; parts[k]; k++)
      g_ptr_array_add (words, derush_word_new (k, k + 0.5, parts[k]));
    derush_words_filter (words, speech);
    text = derush_words_to_text (words);
    g_assert_cmpstr (text, ==, cases[i].left);
  }
}

static void
test_guesses (void)
{
  g_autoptr (DerushSpeech) speech = quiet_speech (100, 99, 100);
  g_autoptr (GPtrArray) words = words_from ("|what@1-2 is@2-3 |said@3-4 here@4-5 |surely@5-6");
  static const double confidence[] = {0.9, 0.05, 0.02, 0.06, -1};
  g_autofree char *text = NULL;

  for (guint i = 0; i < words->len; i++)
    ((DerushWord *)words->pdata[i])->confidence = confidence[i];
  g_assert_cmpuint (derush_words_filter (words, speech), ==, 2);
  text = derush_words_to_text (words);
  g_assert_cmpstr (text, ==, "what is surely");
}

static void
test_reading (void)
{
  static const struct {
    const char *answer, *segments;
  } cases[] = {
      /* Punctuation and capitals are the segments', times the words'. */
      {"{\"text\":\"Hello, World. Bye.\",\"segments\":[{\"start\":0,\"end\":2,\"text\":\"Hello, World.\"},"
       "{\"start\":2,\"end\":3,\"text\":\"Bye.\",\"speaker\":\"B\"}],\"words\":[{\"word\":\"hello\",\"start\":0.1,"
       "\"end\":0.5},{\"word\":\"world\",\"start\":0.6,\"end\":1},{\"word\":\"bye\",\"start\":2.2,\"end\":2.6}]}",
       "10.1-11.0 Hello, World.|12.2-12.6 B: Bye."},
      /* Segments only. */
      {"{\"segments\":[{\"start\":0,\"end\":2,\"text\":\"one two\"}]}", "10.0-12.0 one two"},
      /* Text only. */
      {"{\"text\":\"one two\"}", "10.0-15.0 one two"},
      {"{\"text\":\"\",\"segments\":[],\"words\":[]}", ""},
      /* Punctuation as words. */
      {"{\"words\":[{\"word\":\"月\",\"start\":0,\"end\":1},{\"word\":\"。\",\"start\":1,\"end\":1},{\"word\":\"Hi\","
       "\"start\":2,\"end\":3},{\"word\":\"!\",\"start\":3,\"end\":3}]}",
       "10.0-13.0 月。Hi!"},
      /* A segment that says nothing, and one beyond the end. */
      {"{\"segments\":[{\"start\":0,\"end\":1,\"text\":\" \"},{\"start\":4,\"end\":9,\"text\":\"late\"}]}",
       "14.0-15.0 late"},
      /* Wrong types are as good as nothing. */
      {"{\"segments\":[7],\"words\":[{\"word\":7},null,{\"word\":\"x\",\"start\":-1,\"end\":2}]}", ""},
  };
  g_autoptr (DerushSpeech) speech = quiet_speech (100, 99, 100);
  const DerushPart part = {.start = 10, .end = 15};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (JsonObject) answer = derush_json_parse_object (cases[i].answer, -1, NULL);
    g_autoptr (GPtrArray) words = derush_words_read (answer, speech, &part);
    g_autoptr (JsonArray) segments = derush_words_to_segments (words, TRUE);
    g_autoptr (GString) text = g_string_new (NULL);

    for (guint k = 0; k < json_array_get_length (segments); k++) {
      JsonObject *segment = json_array_get_object_element (segments, k);
      const char *speaker = derush_json_get_string (segment, "speaker", NULL);

      g_string_append_printf (text, "%s%.1f-%.1f %s%s%s", k > 0 ? "|" : "",
                              derush_json_get_number (segment, "start", 0), derush_json_get_number (segment, "end", 0),
                              speaker ? speaker : "", speaker ? ": " : "",
                              derush_json_get_string (segment, "text", ""));
    }
    g_assert_cmpstr (text->str, ==, cases[i].segments);
  }
}

/* ── Cues ───────────────────────────────────────────────────────────────── */

static void
test_cues (void)
{
  static const struct {
    const char *words, *cues;
  } cases[] = {
      {"Hi.@1-1.2", "1.0-2.0 Hi."},
      /* A pause ends a cue, and so does another speaker. */
      {"One@1-1.3 two@1.4-1.7 three@5-5.5", "1.0-2.0 One two|5.0-6.0 three"},
      {"A:One@1-1.3 B:two@1.4-1.9", "1.0-1.3 One|1.4-2.4 two"},
      {"A:No@1-1.05 B:yes@1.06-1.9", "1.0-1.1 No|1.1-2.1 yes"},
      /* Two lines, as even as can be. */
      {"The@0-0.2 quick@0.2-0.5 brown@0.5-0.8 fox@0.8-1.1 jumps@1.1-1.4 over@1.4-1.7 the@1.7-1.9 lazy@1.9-2.2 "
       "dog@2.2-2.5 again.@2.5-3.2",
       "0.0-3.2 The quick brown fox jumps/over the lazy dog again."},
      /* A sentence ends a cue rather than any other word. */
      {"We@0-0.2 went@0.2-0.4 down@0.4-0.6 to@0.6-0.8 the@0.8-1 river@1-1.4 yesterday@1.4-2 morning.@2-2.5 Nobody@2.6-3 "
       "was@3-3.2 there,@3.2-3.5 and@3.5-3.7 everything@3.7-4.2 had@4.2-4.4 changed@4.4-4.9 completely.@4.9-5.6",
       "0.0-2.5 We went down to the/river yesterday morning.|2.6-5.8 Nobody was there,/and everything had changed "
       "completely."},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GPtrArray) words = words_from (cases[i].words);
    g_autoptr (DerushSubtitles) subtitles = derush_cues_new (words, &derush_cue_layout_default);
    GPtrArray *cues = subtitles->cues;
    g_autoptr (GString) text = g_string_new (NULL);

    for (guint k = 0; k < cues->len; k++) {
      const DerushSubtitle *cue = cues->pdata[k];
      g_autofree char *lines = g_strdelimit (g_strdup (cue->text), "\n", '/');

      g_string_append_printf (text, "%s%.1f-%.1f %s", k > 0 ? "|" : "", cue->start, cue->end, lines);
    }
    g_assert_cmpstr (text->str, ==, cases[i].cues);
  }
}

/* Whatever is said, its cues ascend, do not overlap, and keep to lines and time. */
static void
test_cue_limits (void)
{
  const DerushCueLayout *layout = &derush_cue_layout_default;
  g_autoptr (GPtrArray) words = derush_words_new ();
  g_autoptr (DerushSubtitles) subtitles = NULL;
  GPtrArray *cues;
  double time = 0;

  for (guint i = 0; i < 2000; i++) {
    g_autofree char *text = g_strnfill (1 + (i * 7919) % 13, (char)('a' + i % 26));
    g_autofree char *marked = g_strconcat (text, i % 11 == 0 ? "." : i % 5 == 0 ? "," : "", NULL);

    g_ptr_array_add (words, derush_word_new (time, time + 0.25, marked));
    time += 0.3 + (i % 37 == 0 ? 2 : 0);
  }
  subtitles = derush_cues_new (words, layout);
  cues = subtitles->cues;
  for (guint i = 0; i < cues->len; i++) {
    const DerushSubtitle *cue = cues->pdata[i];
    g_auto (GStrv) lines = g_strsplit (cue->text, "\n", -1);

    g_assert_cmpuint (g_strv_length (lines), <=, layout->lines);
    for (guint k = 0; lines[k]; k++)
      g_assert_cmpuint (strlen (lines[k]), <=, layout->line_length);
    g_assert_cmpfloat (cue->end - cue->start, <=, layout->longest + 1e-9);
    g_assert_cmpfloat (cue->end, >, cue->start);
    if (i + 1 < cues->len)
      g_assert_cmpfloat (cue->end, <=, ((DerushSubtitle *)cues->pdata[i + 1])->start);
  }
}

/* Scripts without blanks, and such as are written from the right, keep to lines and times as well, and lose nothing. */
static void
test_cues_of_scripts (void)
{
  static const char *const sentences[] = {"今日は朝から雨が降っていました。それでも私たちは、「海」へ行くことにした！",
                                          "โลกนี้กว้างใหญ่และสวยงามมากผมอยากเดินทางไปทุกที่ครับ",
                                          "ذهبنا إلى البحر في الصباح، وكان الجو جميلا جدا اليوم.",
                                          "오늘은 아침부터 비가 내렸습니다."};
  g_autoptr (DerushSpeech) speech = quiet_speech (200, 199, 200);
  const DerushPart part = {.start = 0, .end = 40};

  for (guint i = 0; i < G_N_ELEMENTS (sentences); i++) {
    g_autofree char *text = g_strjoin (i < 2 ? "" : " ", sentences[i], sentences[i], sentences[i], sentences[i], NULL);
    g_autoptr (JsonObject) answer = json_object_new ();
    g_autoptr (GPtrArray) words = NULL;
    g_autoptr (DerushSubtitles) cues = NULL;
    g_autofree char *said = NULL;

    json_object_set_string_member (answer, "text", text);
    words = derush_words_read (answer, speech, &part);
    said = derush_words_to_text (words);
    g_assert_cmpstr (said, ==, text);
    cues = derush_cues_new (words, &derush_cue_layout_default);
    g_assert_cmpuint (cues->cues->len, >=, 4);
    for (guint k = 0; k < cues->cues->len; k++) {
      const DerushSubtitle *cue = cues->cues->pdata[k];
      g_auto (GStrv) lines = g_strsplit (cue->text, "\n", -1);

      g_assert_cmpfloat (cue->end - cue->start, <=, 7.01);
      g_assert_cmpuint (g_strv_length (lines), <=, 2);
      for (guint n = 0; lines[n]; n++) {
        g_assert_cmpuint (derush_subtitle_width (lines[n]), <=, 42);
        g_assert_null (g_utf8_strchr ("。、！」,.", -1, g_utf8_get_char (lines[n])));
      }
    }
  }
}

static void
test_split_text (void)
{
  static const struct {
    const char *text;
    guint longest;
    const char *parts;
  } cases[] = {
      {"One. Two! Three?", 100, "One. Two! Three?"},
      {"One. Two! Three?", 10, "One. Two!|Three?"},
      {"One, two and three", 8, "One,|two and|three"},
      {"abcdefghij", 4, "abcd|efgh|ij"},
      {"Version 1.5 is here. It works.", 22, "Version 1.5 is here.|It works."},
      {"彼は来た。私は行く。", 6, "彼は来た。|私は行く。"},
      {"  ", 5, ""},
      {"", 5, ""},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GPtrArray) parts = derush_text_split (cases[i].text, cases[i].longest);
    g_autofree char *joined = NULL;

    g_ptr_array_add (parts, NULL);
    joined = g_strjoinv ("|", (char **)parts->pdata);
    g_assert_cmpstr (joined, ==, cases[i].parts);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, test) g_test_add ("/models/transcribe/" path, Fixture, NULL, set_up, test, tear_down)
  ADD ("a-long-speech-is-cut-in-its-silences-and-has-every-word-once-in-its-time", test_silences);
  ADD ("where-there-is-no-silence-parts-overlap-and-no-word-is-doubled", test_without_silences);
  ADD ("an-engine-that-hears-half-a-minute-at-a-time-gets-no-more", test_short);
  ADD ("an-engine-without-times-loses-no-words", test_words_without_times);
  ADD ("words-in-silence-are-left-out", test_inventions);
  ADD ("long-silences-are-sent-to-nobody", test_long_silence);
  ADD ("doubtful-words-of-a-language-nobody-named-are-a-warning", test_doubt);
  ADD ("a-guest-in-another-language-is-left-out-with-a-warning", test_guest);
  ADD ("mostly-in-another-language-is-an-error", test_foreign);
  ADD ("where-the-text-is-optional-the-rest-goes-on-without-it", test_optional);
  ADD ("noise-is-an-empty-text-with-a-warning", test_noise);
  ADD ("every-format-is-written", test_files);
  g_test_add_func ("/models/words/are-joined-at-a-word-that-both-parts-have", test_join);
  g_test_add_func ("/models/words/that-go-round-in-circles-are-said-once", test_circles);
  g_test_add_func ("/models/words/that-their-engine-does-not-believe-in-are-left-out", test_guesses);
  g_test_add_func ("/models/words/are-read-from-whatever-an-engine-knows", test_reading);
  g_test_add_func ("/models/cues/end-where-a-reader-would-pause", test_cues);
  g_test_add_func ("/models/cues/keep-to-lines-and-times", test_cue_limits);
  g_test_add_func ("/models/cues/of-scripts-without-blanks-keep-to-lines-and-times", test_cues_of_scripts);
  g_test_add_func ("/models/texts/are-split-behind-sentences", test_split_text);
  return g_test_run ();
}
