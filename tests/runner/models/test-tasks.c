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
set_up (Fixture *fixture, const char *provider, const char *dialect, const char *model)
{
  g_autofree char *program = g_strconcat (provider, ".mjs", NULL), *upper = g_ascii_strup (provider, -1);
  g_autofree char *key = g_strconcat (upper, "_API_KEY", NULL), *url = g_strconcat (upper, "_BASE_URL", NULL);
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (GError) error = NULL;

  fixture->fake = fake_start (program, "--dialect", dialect, "--key", KEY, NULL);
  config = fake_config (fixture->fake, key, KEY, url, fixture->fake->base_url, "DERUSH_OPENAI_MODEL_IMAGE", model,
                        "DERUSH_OPENAI_MODEL_SPEAK", "tts-1", NULL);
  fixture->models = derush_models_new (config, &error);
  g_assert_no_error (error);
  fixture->context.directory = fixture->fake->folder;
  fixture->provider = provider;
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

  g_assert_cmpstr (derush_json_get_string (answer, "text", NULL), ==, "never a planted word is lost.");
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

  g_assert_cmpstr (derush_json_get_string (json, "summary", NULL), ==, "a text");
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

static void
test_dialect (gconstpointer dialect)
{
  Fixture fixture = {0};
  gboolean only_speech = g_str_equal (dialect, "whispercpp");

  set_up (&fixture, "openai", dialect, g_str_equal (dialect, "openai") ? "gpt-image-1" : "own-model");
  if (g_str_equal (dialect, "gpt4o"))
    check_transcription (&fixture, 0, 0);
  else
    check_transcription (&fixture, 1, g_str_equal (dialect, "speaches") ? 0 : 6);
  if (!only_speech) {
    check_speech (&fixture, "alloy");
    check_chat (&fixture);
    check_translation (&fixture);
    if (!g_str_equal (dialect, "plain"))
      check_images (&fixture);
  }
  if (g_str_equal (dialect, "openai"))
    check_log (&fixture);
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

int
main (int argc, char **argv)
{
  static const char *const dialects[] = {"openai",   "gpt4o",   "whispercpp", "speaches", "kokoro",
                                         "llamacpp", "localai", "vllm",       "ollama",   "plain"};

  g_setenv ("SOUP_FORCE_HTTP1", "1", FALSE);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (dialects); i++) {
    g_autofree char *name = g_strdup_printf ("/models/tasks/every-task-works-with-%s", dialects[i]);

    g_test_add_data_func (name, dialects[i], test_dialect);
  }
  g_test_add_data_func ("/models/tasks/every-task-works-with-hugging-face", "plain", test_huggingface);
  g_test_add_data_func ("/models/tasks/hugging-face-may-answer-addresses-of-files", "addresses", test_huggingface);
  g_test_add_data_func ("/models/tasks/hugging-face-may-take-no-parameters", "picky", test_huggingface);
  return g_test_run ();
}
