/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fake.h"

#include <string.h>

#define KEY "sk-planted-0123456789abcdef"

typedef struct {
  Fake *fake;
  DerushModels *models;
  DerushModelsContext context;
  const char *provider;
} Fixture;

static void
set_up_at (Fixture *fixture, const char *provider, const char *dialect, const char *model, const char *option,
           const char *value)
{
  g_autofree char *program = g_strconcat (provider, ".mjs", NULL), *upper = g_ascii_strup (provider, -1);
  g_autofree char *key = g_strconcat (upper, "_API_KEY", NULL), *url = g_strconcat (upper, "_BASE_URL", NULL);
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (GError) error = NULL;

  fixture->fake = fake_start (program, "--dialect", dialect, "--key", KEY, option, value, NULL);
  config = fake_config (fixture->fake, key, KEY, url, fixture->fake->base_url, "DERUSH_OPENAI_MODEL_IMAGE", model,
                        "DERUSH_OPENAI_MODEL_SPEAK", "tts-1", NULL);
  fixture->models = derush_models_new (config, &error);
  g_assert_no_error (error);
  fixture->context.directory = fixture->fake->folder;
  fixture->provider = provider;
}

static void
set_up (Fixture *fixture, const char *provider, const char *dialect, const char *model)
{
  set_up_at (fixture, provider, dialect, model, NULL, NULL);
}

static void
tear_down (Fixture *fixture)
{
  derush_models_free (fixture->models);
  fake_stop (fixture->fake);
}

static JsonObject *
call (Fixture *fixture, const char *task, const char *request)
{
  g_autoptr (JsonObject) json = fake_json (request);
  g_autoptr (GError) error = NULL;
  JsonObject *answer = derush_models_call (fixture->models, task, json, &fixture->context, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (derush_json_get_string (answer, "provider", NULL), ==, fixture->provider);
  g_assert_nonnull (derush_json_get_string (answer, "engine", NULL));
  g_assert_false (derush_json_get_boolean (answer, "degraded", TRUE));
  g_assert_true (json_object_has_member (answer, "cost"));
  return answer;
}

static void
check_transcription (Fixture *fixture, int n_segments, int n_words)
{
  g_autofree char *speech = fake_make_speech (fixture->fake, 6);
  g_autofree char *request = g_strdup_printf ("{\"file\":\"%s\"}", speech);
  g_autoptr (JsonObject) answer = call (fixture, "transcribe", request);
  JsonArray *words = derush_json_get_array (answer, "words");

  g_assert_true (g_str_has_prefix (derush_json_get_string (answer, "text", ""), "never a planted "));
  g_assert_cmpfloat_with_epsilon (derush_json_get_number (answer, "duration", 0), 6, 0.01);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (answer, "segments")), ==, n_segments);
  g_assert_cmpuint (json_array_get_length (words), ==, n_words);
  if (n_words == 0)
    return;
  g_assert_cmpstr (derush_json_get_string (json_array_get_object_element (words, 2), "word", NULL), ==, "planted");
  g_assert_cmpfloat_with_epsilon (derush_json_get_number (json_array_get_object_element (words, 2), "start", 0), 2,
                                  0.01);
}

static void
check_speech (Fixture *fixture, const char *voice)
{
  g_autoptr (JsonObject) answer = call (fixture, "speak",
                                        "{\"text\":\"A sentence that is long enough to be measured, and spoken.\","
                                        "\"format\":\"wav\",\"file\":\"voice.wav\"}");
  g_autofree char *path = g_build_filename (fixture->fake->folder, "voice.wav", NULL), *data = NULL;
  gsize length;

  g_assert_cmpstr (derush_json_get_string (answer, "format", NULL), ==, "wav");
  g_assert_cmpstr (derush_json_get_string (answer, "voice", NULL), ==, voice);
  g_assert_true (g_file_get_contents (path, &data, &length, NULL));
  g_assert_cmpuint (length, >, 30000);
}

static void
check_translation (Fixture *fixture)
{
  g_autoptr (JsonObject) answer =
      call (fixture, "translate", "{\"texts\":[\"good day\",\"\",\"{name}\"],\"target\":\"fr\"}");
  JsonArray *texts = derush_json_get_array (answer, "texts");

  g_assert_cmpuint (json_array_get_length (texts), ==, 3);
  g_assert_nonnull (json_array_get_string_element (texts, 0));
}

/* Between languages that are both named. */
static void
check_pair (Fixture *fixture, const char *translated)
{
  g_autoptr (JsonObject) answer =
      call (fixture, "translate", "{\"texts\":[\"good day\",\"\",\"good night\"],\"source\":\"en\",\"target\":\"fr\"}");
  JsonArray *texts = derush_json_get_array (answer, "texts");

  g_assert_cmpuint (json_array_get_length (texts), ==, 3);
  g_assert_cmpstr (json_array_get_string_element (texts, 0), ==, translated);
}

static void
check_chat (Fixture *fixture)
{
  g_autoptr (JsonObject) answer =
      call (fixture, "chat",
            "{\"name\":\"video_analysis\",\"system\":\"Say what you see.\",\"content\":\"Hello.\",\"temperature\":0,"
            "\"maxTokens\":100,\"seed\":7,\"schema\":{\"type\":\"object\",\"properties\":{\"summary\":{\"type\":"
            "\"string\"},\"score\":{\"type\":\"number\",\"minimum\":0.5}},\"required\":[\"summary\",\"score\"],"
            "\"additionalProperties\":false}}");
  JsonObject *json = derush_json_get_object (answer, "json");

  g_assert_true (g_str_has_prefix (derush_json_get_string (json, "summary", ""), "a text of "));
  g_assert_cmpfloat (derush_json_get_number (json, "score", 0), ==, 0.5);
}

static void
check_images (Fixture *fixture)
{
  g_autoptr (JsonObject) answer =
      call (fixture, "image", "{\"prompt\":\"a drill\",\"n\":2,\"width\":1280,\"height\":720}");
  JsonArray *images = derush_json_get_array (answer, "images");
  JsonObject *second;
  g_autofree char *path = NULL;

  g_assert_cmpuint (json_array_get_length (images), ==, 2);
  second = json_array_get_object_element (images, 1);
  path = g_build_filename (fixture->fake->folder, derush_json_get_string (second, "file", NULL), NULL);
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));
  g_assert_cmpint (derush_json_get_int (second, "width", 0), >, derush_json_get_int (second, "height", 0));
}

/* Whoever speaks OpenAI's own language never has to ask twice. */
static void
check_log (Fixture *fixture)
{
  g_autoptr (JsonArray) log = fake_log (fixture->fake);

  for (guint i = 0; i < json_array_get_length (log); i++)
    g_assert_cmpstr (derush_json_get_string (fake_asked (log, i), "refused", NULL), ==, NULL);
}

/* What a server of this kind has: how many segments and words a transcription gets (-1: it has none), and which other tasks. */
typedef struct {
  const char *name, *image_model;
  int segments, words;
  const char *tasks; /* s: speech, c: chat, i: images */
} Dialect;

static void
test_dialect (gconstpointer data)
{
  const Dialect *dialect = data;
  Fixture fixture = {0};

  set_up (&fixture, "openai", dialect->name, dialect->image_model);
  if (dialect->segments >= 0)
    check_transcription (&fixture, dialect->segments, dialect->words);
  if (strchr (dialect->tasks, 's'))
    check_speech (&fixture, g_str_equal (dialect->name, "plain") ? "" : "alloy");
  if (strchr (dialect->tasks, 'c')) {
    check_chat (&fixture);
    check_translation (&fixture);
  }
  if (strchr (dialect->tasks, 'i'))
    check_images (&fixture);
  if (g_str_equal (dialect->name, "openai"))
    check_log (&fixture);
  tear_down (&fixture);
}

/* ── What is found out is remembered, and what was guessed in vain is not ───── */

static JsonObject *
refused (Fixture *fixture, const char *task, const char *request, DerushErrorClass class, const char *said)
{
  g_autoptr (JsonObject) json = fake_json (request);
  g_autoptr (GError) error = NULL;
  JsonObject *answer = derush_models_call (fixture->models, task, json, &fixture->context, NULL, &error);

  g_assert_null (answer);
  g_assert_error (error, DERUSH_MODELS_ERROR, (int)class);
  g_assert_nonnull (strstr (error->message, said));
  return answer;
}

static guint
count_requests (Fixture *fixture)
{
  g_autoptr (JsonArray) log = fake_log (fixture->fake);

  return json_array_get_length (log);
}

/* Whether the request @i has a member, or a field, of this name and value. */
static gboolean
asked_for (Fixture *fixture, guint i, const char *name, const char *value)
{
  g_autoptr (JsonArray) log = fake_log (fixture->fake);
  JsonObject *asked = fake_asked (log, i), *json = derush_json_get_object (asked, "json");
  JsonArray *field = derush_json_get_array (derush_json_get_object (asked, "form"), name);

  if (json)
    return json_object_has_member (json, name);
  return field && g_strcmp0 (json_array_get_string_element (field, 0), value) == 0;
}

static char *
speech_request (Fixture *fixture, double seconds)
{
  g_autofree char *speech = fake_make_speech (fixture->fake, seconds);

  return g_strdup_printf ("{\"file\":\"%s\"}", speech);
}

/* An upload may be limited to less than OpenAI takes: shorter sound is the way out of that, too. */
static void
test_small_uploads (void)
{
  static const char *const dialects[] = {"openai", "groq"};

  for (guint i = 0; i < G_N_ELEMENTS (dialects); i++) {
    Fixture fixture = {0};
    g_autofree char *request = NULL, *other = NULL;
    g_autoptr (JsonObject) answer = NULL;

    set_up_at (&fixture, "openai", dialects[i], "own-model", "--limit", "1000000");
    request = speech_request (&fixture, 60);
    refused (&fixture, "transcribe", request, DERUSH_ERROR_BAD_INPUT, "hears at once");
    other = speech_request (&fixture, 28);
    answer = call (&fixture, "transcribe", other);
    tear_down (&fixture);
  }
}

static void
test_short_clips (void)
{
  Fixture fixture = {0};
  g_autofree char *request = NULL, *other = NULL;
  g_autoptr (JsonObject) answer = NULL;
  guint n;

  set_up (&fixture, "openai", "vllm", "own-model");
  request = speech_request (&fixture, 40);
  refused (&fixture, "transcribe", request, DERUSH_ERROR_BAD_INPUT, "hears at once");
  n = count_requests (&fixture);
  other = speech_request (&fixture, 41);
  refused (&fixture, "transcribe", other, DERUSH_ERROR_BAD_INPUT, "hears at once");
  g_assert_cmpuint (count_requests (&fixture), ==, n);
  g_clear_pointer (&other, g_free);
  other = speech_request (&fixture, 20);
  answer = call (&fixture, "transcribe", other);
  g_assert_cmpuint (count_requests (&fixture), ==, n + 1);
  tear_down (&fixture);
}

static void
test_limit (void)
{
  Fixture fixture = {0};
  g_autoptr (JsonObject) first = NULL, second = NULL;

  set_up (&fixture, "openai", "ollama", "own-model");
  first = call (&fixture, "chat", "{\"content\":\"One.\",\"maxTokens\":100}");
  second = call (&fixture, "chat", "{\"content\":\"Two.\",\"maxTokens\":100}");
  g_assert_true (asked_for (&fixture, 0, "max_completion_tokens", NULL));
  g_assert_true (asked_for (&fixture, 1, "max_tokens", NULL));
  g_assert_false (asked_for (&fixture, 1, "max_completion_tokens", NULL));
  tear_down (&fixture);
}

static void
test_english (void)
{
  Fixture fixture = {0};
  g_autofree char *request = NULL, *other = NULL;
  g_autoptr (JsonObject) first = NULL, second = NULL;

  set_up_at (&fixture, "openai", "whispercpp", "own-model", "--inference-path", "/v1/audio/transcriptions");
  request = speech_request (&fixture, 6);
  first = call (&fixture, "transcribe", request);
  g_assert_true (g_str_has_prefix (derush_json_get_string (first, "text", ""), "never a planted "));
  g_assert_cmpuint (count_requests (&fixture), ==, 2);
  other = speech_request (&fixture, 5);
  second = call (&fixture, "transcribe", other);
  g_assert_cmpuint (count_requests (&fixture), ==, 3);
  g_assert_true (asked_for (&fixture, 2, "language", "auto"));
  tear_down (&fixture);
}

/* An outage is no reason to do without the times of words for ever after, nor is a wrong address. */
static void
test_guesses (void)
{
  Fixture fixture = {0};
  g_autofree char *request = NULL, *other = NULL;
  g_autoptr (JsonObject) answer = NULL;
  guint n;

  set_up (&fixture, "openai", "openai", "own-model");
  request = speech_request (&fixture, 6);
  fake_plan (fixture.fake, "[{\"fault\":\"status\",\"status\":500,\"body\":\"Internal Server Error\",\"always\":true,"
                           "\"headers\":{\"x-should-retry\":\"false\"}}]");
  refused (&fixture, "transcribe", request, DERUSH_ERROR_MODEL, "500");
  fake_plan (fixture.fake, "[{\"fault\":\"status\",\"status\":404,\"body\":\"Not Found\",\"always\":true}]");
  refused (&fixture, "transcribe", request, DERUSH_ERROR_MODEL, "address");
  fake_plan (fixture.fake, "[]");
  n = count_requests (&fixture);
  other = speech_request (&fixture, 5);
  answer = call (&fixture, "transcribe", other);
  g_assert_cmpuint (count_requests (&fixture), ==, n + 1);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (answer, "words")), ==, 6);
  tear_down (&fixture);
}

static void
test_voices (void)
{
  static const struct {
    const char *dialect, *request;
    DerushErrorClass class;
    const char *said;
  } cases[] = {
      {"openai", "{\"text\":\"Hello.\",\"voice\":\"nobody\",\"file\":\"v.wav\"}", DERUSH_ERROR_BAD_INPUT,
       "no such voice"},
      {"kokoro", "{\"text\":\"Hello.\",\"voice\":\"nobody\",\"file\":\"v.wav\"}", DERUSH_ERROR_BAD_INPUT, "af_heart"},
      {"plain", "{\"text\":\"Hello.\",\"voice\":\"nobody\",\"file\":\"v.wav\"}", DERUSH_ERROR_BAD_INPUT, "amy, joe"},
      /* It has to be given one, and who names none is told which there are. */
      {"groq", "{\"text\":\"Hello.\",\"file\":\"v.wav\"}", DERUSH_ERROR_MODEL, "Fritz"},
      {"speaches", "{\"text\":\"Hello.\",\"file\":\"v.wav\",\"model\":\"absent\"}", DERUSH_ERROR_MODEL,
       "not installed"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Fixture fixture = {0};

    set_up (&fixture, "openai", cases[i].dialect, "own-model");
    refused (&fixture, "speak", cases[i].request, cases[i].class, cases[i].said);
    tear_down (&fixture);
  }
}

/* A server that makes WAV alone is asked for it from the second time on. */
static void
test_format (void)
{
  static const char *const requests[] = {"{\"text\":\"One.\",\"format\":\"mp3\",\"voice\":\"amy\",\"file\":\"v\"}",
                                         "{\"text\":\"Two.\",\"format\":\"mp3\",\"voice\":\"amy\",\"file\":\"v\"}"};
  Fixture fixture = {0};

  set_up (&fixture, "openai", "plain", "own-model");
  for (guint i = 0; i < G_N_ELEMENTS (requests); i++) {
    g_autoptr (JsonObject) answer = call (&fixture, "speak", requests[i]);

    g_assert_cmpstr (derush_json_get_string (answer, "format", NULL), ==, "wav");
  }
  g_assert_cmpuint (count_requests (&fixture), ==, 3);
  tear_down (&fixture);
}

static void
test_gone (void)
{
  Fixture fixture = {0};

  set_up (&fixture, "huggingface", "gone", "unused");
  refused (&fixture, "speak", "{\"text\":\"Hello.\",\"file\":\"v.wav\"}", DERUSH_ERROR_MODEL, "router.huggingface.co");
  tear_down (&fixture);
}

static void
test_huggingface (gconstpointer dialect)
{
  Fixture fixture = {0};

  set_up (&fixture, "huggingface", dialect, "unused");
  check_transcription (&fixture, g_str_equal (dialect, "picky") ? 0 : 2, 0);
  check_speech (&fixture, "");
  check_chat (&fixture);
  check_translation (&fixture);
  check_pair (&fixture, g_str_equal (dialect, "picky") ? "fr:good day" : "fra_Latn:good day");
  check_images (&fixture);
  tear_down (&fixture);
}

/* A minute, with a vocabulary that these models do not take. */
static void
test_speakers (void)
{
  Fixture fixture = {0};
  g_autofree char *speech = NULL, *request = NULL;
  g_autoptr (JsonObject) answer = NULL;
  JsonArray *segments;

  set_up (&fixture, "openai", "openai", "gpt-image-1");
  speech = fake_make_speech (fixture.fake, 60);
  request = g_strdup_printf (
      "{\"file\":\"%s\",\"speakers\":true,\"prompt\":\"Ana\",\"model\":\"gpt-4o-transcribe-diarize\"}", speech);
  answer = call (&fixture, "transcribe", request);
  segments = derush_json_get_array (answer, "segments");
  g_assert_cmpuint (json_array_get_length (segments), ==, 2);
  for (guint i = 0; i < 2; i++)
    g_assert_cmpstr (derush_json_get_string (json_array_get_object_element (segments, i), "speaker", NULL), ==,
                     i == 0 ? "A" : "B");
  check_log (&fixture);
  tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  static const Dialect dialects[] = {
      {"openai", "gpt-image-1", 1, 6, "sci"}, {"gpt4o", "own-model", 0, 0, "sci"},
      {"whispercpp", "own-model", 1, 6, ""},  {"speaches", "own-model", 1, 6, "s"},
      {"kokoro", "own-model", -1, 0, "s"},    {"llamacpp", "own-model", -1, 0, "c"},
      {"localai", "own-model", 1, 0, "sci"},  {"vllm", "own-model", 0, 0, "c"},
      {"ollama", "own-model", 0, 0, "c"},     {"groq", "own-model", 1, 6, "c"},
      {"plain", "own-model", 1, 6, "sci"},
  };

  g_setenv ("SOUP_FORCE_HTTP1", "1", FALSE);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (dialects); i++) {
    g_autofree char *name = g_strdup_printf ("/models/tasks/every-task-works-with-%s", dialects[i].name);

    g_test_add_data_func (name, &dialects[i], test_dialect);
  }
  g_test_add_data_func ("/models/tasks/every-task-works-with-hugging-face", "plain", test_huggingface);
  g_test_add_data_func ("/models/tasks/hugging-face-may-answer-addresses-of-files", "addresses", test_huggingface);
  g_test_add_data_func ("/models/tasks/hugging-face-may-take-no-parameters", "picky", test_huggingface);
  g_test_add_func ("/models/tasks/speakers-are-those-that-a-model-tells-apart", test_speakers);
  g_test_add_func ("/models/tasks/the-host-that-was-given-up-is-named", test_gone);
  g_test_add_func ("/models/quirks/clips-that-are-too-long-are-not-sent-again", test_short_clips);
  g_test_add_func ("/models/quirks/uploads-that-are-too-large-are-asked-for-in-shorter-parts", test_small_uploads);
  g_test_add_func ("/models/quirks/a-limit-that-is-passed-over-is-told-by-its-older-name", test_limit);
  g_test_add_func ("/models/quirks/english-is-not-taken-for-granted", test_english);
  g_test_add_func ("/models/quirks/a-guess-that-does-not-help-is-forgotten", test_guesses);
  g_test_add_func ("/models/quirks/a-format-that-is-not-made-is-asked-for-once", test_format);
  g_test_add_func ("/models/quirks/voices-and-models-that-are-not-there-are-told", test_voices);
  return g_test_run ();
}
