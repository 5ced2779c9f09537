/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fake.h"

#include <string.h>
#include <glib/gstdio.h>

#define KEY "sk-planted-0123456789abcdef"

static Fake *fake;

/* Of the fake's models: chat for 1 dollar per million of tokens read and 10 000 written, speech for 10 000 per million. */
static char *
write_prices (void)
{
  char *path = g_build_filename (fake->folder, "prices.ini", NULL);

  g_assert_true (g_file_set_contents (path,
                                      "[127.0.0.1/gpt-4o-mini*]\ninput=1\noutput=10000\n"
                                      "[127.0.0.1/tts-1]\ncharacters=10000\n[127.0.0.1/gpt-image-1]\nimage=0.25\n",
                                      -1, NULL));
  return path;
}

static DerushModels *
models_with (const char *setting, const char *value)
{
  g_autofree char *prices = write_prices (), *state = g_build_filename (fake->folder, "state", NULL);
  g_autofree char *cache = g_build_filename (fake->folder, "cache", NULL);
  g_autoptr (DerushConfig) config =
      fake_config (fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", fake->base_url, "DERUSH_OPENAI_MODEL_SPEAK", "tts-1",
                   "DERUSH_PRICES", prices, "DERUSH_MODEL_ATTEMPTS", "2", setting, value, NULL);
  g_autoptr (GError) error = NULL;
  DerushModels *models;

  derush_directory_remove (state, NULL);
  derush_directory_remove (cache, NULL);
  fake_plan (fake, "[]");
  models = derush_models_new (config, &error);
  g_assert_no_error (error);
  return models;
}

static JsonObject *
call (DerushModels *models, const char *job, const char *task, const char *text, GError **error)
{
  g_autoptr (JsonObject) request = fake_json (text);
  DerushModelsContext context = {.directory = fake->folder, .job_id = job};

  return derush_models_call (models, task, request, &context, NULL, error);
}

static guint
count_requests (void)
{
  g_autoptr (JsonArray) log = fake_log (fake);

  return json_array_get_length (log);
}

/* The lines of the ledger, all days. */
static char *
read_ledger (void)
{
  g_autofree char *folder = g_build_filename (fake->folder, "state", "models", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  GString *all = g_string_new (NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL), *text = NULL;

    g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
    g_string_append (all, text);
  }
  return g_string_free (all, FALSE);
}

#define SPEAK                                                                                                          \
  "{\"text\":\"One hundred characters of speech, more or less, which somebody has to pay for when it is spoken.\","    \
  "\"format\":\"wav\",\"file\":\"voice.wav\"}"
#define CHAT "{\"name\":\"answer\",\"content\":\"Hello.\",\"temperature\":0,\"maxTokens\":10}"

static void
test_cost (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_DAY", "100");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) spoken = call (models, "job-1", "speak", SPEAK, &error);
  g_autoptr (JsonObject) said = NULL;
  g_autofree char *ledger = NULL;

  g_assert_no_error (error);
  g_assert_cmpfloat_with_epsilon (derush_json_get_number (spoken, "cost", 0), 0.96, 0.05);
  said = call (models, "job-1", "chat", CHAT, &error);
  g_assert_no_error (error);
  /* 20 tokens were written. */
  g_assert_cmpfloat_with_epsilon (derush_json_get_number (said, "cost", 0), 0.2, 0.01);
  ledger = read_ledger ();
  g_assert_nonnull (strstr (ledger, "\"state\":\"sent\""));
  g_assert_nonnull (strstr (ledger, "\"state\":\"answered\""));
  g_assert_nonnull (strstr (ledger, "\"jobId\":\"job-1\""));
  g_assert_null (strstr (ledger, KEY));
}

static void
test_cache (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_DAY", "1.5");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) first = call (models, "job-1", "speak", SPEAK, &error), second = NULL, third = NULL;
  g_autofree char *path = g_build_filename (fake->folder, "voice.wav", NULL), *before = NULL, *after = NULL;
  gsize length, again;

  g_assert_no_error (error);
  g_assert_false (derush_json_get_boolean (first, "cached", TRUE));
  g_assert_true (g_file_get_contents (path, &before, &length, NULL));
  g_assert_cmpint (g_unlink (path), ==, 0);
  second = call (models, "job-2", "speak", SPEAK, &error);
  g_assert_no_error (error);
  g_assert_true (derush_json_get_boolean (second, "cached", FALSE));
  g_assert_cmpfloat (derush_json_get_number (second, "cost", 1), ==, 0);
  g_assert_cmpstr (derush_json_get_string (second, "engine", NULL), ==, derush_json_get_string (first, "engine", ""));
  g_assert_true (g_file_get_contents (path, &after, &again, NULL));
  g_assert_cmpmem (before, length, after, again);
  g_assert_cmpuint (count_requests (), ==, 1);
  third = call (models, "job-2", "speak", "{\"text\":\"Something else.\",\"format\":\"wav\",\"file\":\"voice.wav\"}",
                &error);
  g_assert_no_error (error);
  g_assert_false (derush_json_get_boolean (third, "cached", TRUE));
}

/* Pictures are left to chance: a retry of the same job gets the one that was paid for, another job another one. */
static void
test_cache_of_chance (void)
{
  static const char request[] = "{\"prompt\":\"a drill\",\"n\":1,\"width\":1024,\"height\":1024}";
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_DAY", "100");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) first = call (models, "job-1", "image", request, &error);
  g_autoptr (JsonObject) retry = call (models, "job-1", "image", request, &error);
  g_autoptr (JsonObject) other = call (models, "job-2", "image", request, &error);

  g_assert_no_error (error);
  g_assert_true (derush_json_get_boolean (retry, "cached", FALSE));
  g_assert_false (derush_json_get_boolean (other, "cached", TRUE));
}

static void
test_small_cache (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_CACHE_SIZE", "200000");
  g_autofree char *folder = g_build_filename (fake->folder, "cache", "models", NULL);
  g_autofree char *command = g_strdup_printf ("find '%s' -type f -printf '%%s\\n'", folder), *sizes = NULL;
  g_auto (GStrv) lines = NULL;
  gint64 total = 0;

  for (int i = 0; i < 12; i++) {
    g_autofree char *request =
        g_strdup_printf ("{\"text\":\"Sentence number %d, which takes a few seconds to say aloud.\","
                         "\"format\":\"wav\",\"file\":\"voice.wav\"}",
                         i);
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonObject) answer = call (models, "job", "speak", request, &error);

    g_assert_no_error (error);
  }
  g_assert_true (g_spawn_command_line_sync (command, &sizes, NULL, NULL, NULL));
  lines = g_strsplit (sizes, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    total += g_ascii_strtoll (lines[i], NULL, 10);
  g_assert_cmpint (total, >, 50000);
  g_assert_cmpint (total, <=, 200000);
}

static void
test_cap_of_job (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_JOB", "0.15");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = call (models, "job-1", "speak", SPEAK, &error);

  g_assert_null (answer);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_assert_nonnull (strstr (error->message, "0.9"));
  g_assert_nonnull (strstr (error->message, "0.15"));
  g_assert_nonnull (strstr (error->message, "DERUSH_MODEL_COST_JOB"));
  g_assert_false (derush_error_can_retry (error));
  g_assert_cmpuint (count_requests (), ==, 0);
  g_clear_error (&error);
  /* What is cheap enough is done, until the job has had its share. */
  answer = call (models, "job-1", "chat", CHAT, &error);
  g_assert_no_error (error);
  g_clear_pointer (&answer, json_object_unref);
  answer = call (models, "job-1", "chat",
                 "{\"name\":\"answer\",\"content\":\"Another.\",\"temperature\":0,\"maxTokens\":10}", &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_clear_error (&error);
  answer = call (models, "job-2", "chat",
                 "{\"name\":\"answer\",\"content\":\"Another.\",\"temperature\":0,\"maxTokens\":10}", &error);
  g_assert_no_error (error);
}

/* A day's money is one purse for all processes and jobs. */
static void
test_cap_of_day (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_DAY", "1");
  g_autofree char *prices = write_prices ();
  g_autoptr (DerushConfig) config = fake_config (fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", fake->base_url,
                                                 "DERUSH_PRICES", prices, "DERUSH_MODEL_COST_DAY", "1", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushModels) other = derush_models_new (config, &error);
  g_autoptr (JsonObject) answer = call (models, "job-1", "speak", SPEAK, &error);

  g_assert_no_error (error);
  g_clear_pointer (&answer, json_object_unref);
  answer = call (other, "job-2", "chat", CHAT, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_assert_nonnull (strstr (error->message, "DERUSH_MODEL_COST_DAY"));
  /* At midnight there is a new purse, for what fits in there. */
  g_assert_true (derush_error_can_retry (error));
  g_assert_cmpint (derush_error_get_retry_at (error), >, derush_time_now_ms () - 60000);
  g_assert_cmpint (derush_error_get_retry_at (error) % (24 * 3600 * 1000), ==, 0);
  g_clear_error (&error);
  g_clear_pointer (&models, derush_models_free);
  models = models_with ("DERUSH_MODEL_COST_DAY", "0.15");
  answer = call (models, "job-3", "speak", SPEAK, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_assert_false (derush_error_can_retry (error));
}

typedef struct {
  DerushModels *models[3]; /* as three workers have them */
  int next;
  int answered;
} Crowd;

static gpointer
ask_in_crowd (gpointer user_data)
{
  Crowd *crowd = user_data;
  int n = g_atomic_int_add (&crowd->next, 1);
  g_autofree char *request =
      g_strdup_printf ("{\"name\":\"answer\",\"content\":\"Number %d.\",\"temperature\":0,\"maxTokens\":20}", n);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = call (crowd->models[n % 3], "job-1", "chat", request, &error);

  if (answer)
    g_atomic_int_inc (&crowd->answered);
  else
    g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  return NULL;
}

/* Each costs 0.2 and a little: what the first ones may still cost is taken off before they have answered. */
static void
test_crowd (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_DAY", "1.1");
  g_autofree char *prices = write_prices ();
  g_autoptr (DerushConfig) config = fake_config (fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", fake->base_url,
                                                 "DERUSH_PRICES", prices, "DERUSH_MODEL_COST_DAY", "1.1", NULL);
  g_autoptr (DerushModels) second = derush_models_new (config, NULL), third = derush_models_new (config, NULL);
  Crowd crowd = {.models = {models, second, third}};
  GThread *threads[10];

  fake_plan (fake, "[{\"fault\":\"delay\",\"delay\":100,\"always\":true}]");
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("asker", ask_in_crowd, &crowd);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (crowd.answered, ==, 5);
  g_assert_cmpuint (count_requests (), ==, 5);
}

static void
test_unknown_price (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_JOB", "1");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer =
      call (models, "job-1", "chat", "{\"name\":\"answer\",\"content\":\"Hello.\",\"model\":\"own-model\"}", &error);

  g_assert_no_error (error);
  g_assert_true (json_object_get_null_member (answer, "cost"));
}

static void
test_refused_costs_nothing (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_JOB", "0.15");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = NULL;

  fake_plan (fake, "[{\"fault\":\"status\",\"status\":400}]");
  answer = call (models, "job-1", "chat", CHAT, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_clear_error (&error);
  answer = call (models, "job-1", "chat", CHAT, &error);
  g_assert_no_error (error);
}

/* An answer that was lost on its way may have been paid for. */
static void
test_lost_answer_counts (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_JOB", "0.15");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = NULL;

  fake_plan (fake, "[{\"fault\":\"reset\",\"always\":true}]");
  answer = call (models, "job-1", "chat", CHAT, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE);
  g_clear_error (&error);
  fake_plan (fake, "[]");
  answer = call (models, "job-1", "chat", CHAT, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_assert_nonnull (strstr (error->message, "DERUSH_MODEL_COST_JOB"));
}

static double
sum_of (const char *ledger, const char *state, const char *member)
{
  g_auto (GStrv) lines = g_strsplit (ledger, "\n", -1);
  double sum = 0;

  for (guint i = 0; lines[i] && *lines[i]; i++) {
    g_autoptr (JsonObject) line = derush_json_parse_object (lines[i], -1, NULL);

    if (line && g_str_equal (derush_json_get_string (line, "state", ""), state))
      sum += derush_json_get_number (line, member, 0);
  }
  return sum;
}

/* The first answer came half, the second request was refused: the first may be on the bill all the same. */
static void
test_lost_then_refused (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_JOB", "0.15");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = NULL;
  g_autofree char *ledger = NULL;

  fake_plan (fake, "[{\"fault\":\"truncate\"},{\"fault\":\"status\",\"status\":400}]");
  answer = call (models, "job-1", "chat", CHAT, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_clear_error (&error);
  ledger = read_ledger ();
  g_assert_cmpfloat_with_epsilon (sum_of (ledger, "unknown", "possiblyBilled"), 0.1, 0.01);
  answer = call (models, "job-1", "chat", CHAT, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_assert_nonnull (strstr (error->message, "DERUSH_MODEL_COST_JOB"));
}

/* What is known to have been paid is the cost; what may have been paid besides is on the account as well. */
static void
test_lost_then_answered (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_JOB", "5");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = NULL;
  g_autofree char *ledger = NULL;

  fake_plan (fake, "[{\"fault\":\"reset\"}]");
  answer = call (models, "job-1", "chat", CHAT, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat_with_epsilon (derush_json_get_number (answer, "cost", 0), 0.2, 0.01);
  ledger = read_ledger ();
  g_assert_cmpfloat_with_epsilon (sum_of (ledger, "answered", "amount"), 0.2, 0.01);
  g_assert_cmpfloat_with_epsilon (sum_of (ledger, "answered", "possiblyBilled"), 0.1, 0.01);
}

/* Of a correction that fails, the answer that was to be corrected was paid. */
static void
test_useless_answer_counts (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_JOB", "5");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = NULL;
  g_autofree char *ledger = NULL;

  fake_plan (fake, "[{\"content\":\"no JSON\"},{\"fault\":\"status\",\"status\":400}]");
  answer = call (models, "job-1", "chat",
                 "{\"name\":\"answer\",\"content\":\"Hello.\",\"maxTokens\":10,\"schema\":{\"type\":\"object\","
                 "\"properties\":{},\"required\":[],\"additionalProperties\":false}}",
                 &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  ledger = read_ledger ();
  g_assert_cmpfloat_with_epsilon (sum_of (ledger, "unknown", "amount"), 0.1, 0.01);
}

/* A process that is killed while it writes leaves half a line: neither it nor the next one spoils the account. */
static void
test_half_line (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_DAY", "1");
  g_autofree char *folder = g_build_filename (fake->folder, "state", "models", NULL);
  g_autofree char *command = g_strdup_printf ("sh -c 'printf \"{\\\"id\\\":\" >> \"%s\"/*.jsonl'", folder);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = call (models, "job-1", "chat", CHAT, &error);
  int status;

  g_assert_no_error (error);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, &status, NULL) && status == 0);
  g_clear_pointer (&answer, json_object_unref);
  answer = call (models, "job-1", "speak", SPEAK, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_clear_error (&error);
  for (int i = 0; i < 4; i++) {
    g_autofree char *text =
        g_strdup_printf ("{\"name\":\"answer\",\"content\":\"Number %d.\",\"temperature\":0,\"maxTokens\":10}", i);

    g_clear_pointer (&answer, json_object_unref);
    answer = call (models, "job-1", "chat", text, &error);
    g_assert_no_error (error);
  }
  g_clear_pointer (&answer, json_object_unref);
  answer =
      call (models, "job-1", "chat", "{\"name\":\"answer\",\"content\":\"One too many.\",\"maxTokens\":10}", &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
}

/* Of pictures that are made one by one, those that were paid for are not asked for again. */
static void
test_pictures_one_by_one (void)
{
  static const char request[] =
      "{\"prompt\":\"a drill\",\"n\":3,\"width\":1024,\"height\":1024,\"model\":\"dall-e-3\"}";
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_COST_DAY", "");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = NULL;

  fake_plan (fake, "[{},{},{\"fault\":\"status\",\"status\":500,\"headers\":{\"x-should-retry\":\"false\"}}]");
  answer = call (models, "job-1", "image", request, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_clear_error (&error);
  g_assert_cmpuint (count_requests (), ==, 3);
  fake_plan (fake, "[]");
  answer = call (models, "job-1", "image", request, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (count_requests (), ==, 1);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (answer, "images")), ==, 3);
  for (guint i = 0; i < 3; i++) {
    JsonObject *image = json_array_get_object_element (derush_json_get_array (answer, "images"), i);
    g_autofree char *path = g_build_filename (fake->folder, derush_json_get_string (image, "file", ""), NULL);

    g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));
  }
}

/* ── Fallback ───────────────────────────────────────────────────────────── */

static void
take_warning (const char *message, gpointer warnings)
{
  g_string_append (warnings, message);
}

static void
test_fallback (void)
{
  g_autoptr (Fake) local = fake_start ("openai.mjs", "--dialect", "large", NULL);
  g_autoptr (DerushConfig) config =
      fake_config (local, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", fake->base_url, "DERUSH_LOCAL_MODELS_URL",
                   local->base_url, "DERUSH_MODEL_PROVIDERS", "openai,local", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushModels) models = derush_models_new (config, &error);
  g_autoptr (JsonObject) request = fake_json (SPEAK), answer = NULL;
  g_autoptr (GString) warnings = g_string_new (NULL);
  DerushModelsContext context = {.directory = local->folder, .warn = take_warning, .warn_data = warnings};

  g_assert_no_error (error);
  fake_plan (fake, "[{\"fault\":\"status\",\"status\":401,\"always\":true}]");
  answer = derush_models_call (models, "speak", request, &context, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (derush_json_get_string (answer, "provider", NULL), ==, "local");
  g_assert_true (derush_json_get_boolean (answer, "degraded", FALSE));
  g_assert_nonnull (strstr (derush_json_get_string (answer, "reason", ""), "openai"));
  g_assert_nonnull (strstr (warnings->str, "openai"));
  /* A key that was refused is not tried with every call. */
  g_clear_pointer (&answer, json_object_unref);
  json_object_set_string_member (request, "text", "Other words that are long enough.");
  answer = derush_models_call (models, "speak", request, &context, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (count_requests (), ==, 1);
}

static void
test_no_fallback (void)
{
  g_autoptr (DerushModels) models = models_with ("DERUSH_MODEL_PROVIDERS", "openai");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = NULL;

  fake_plan (fake, "[{\"fault\":\"status\",\"status\":401,\"always\":true}]");
  answer = call (models, "job-1", "speak", SPEAK, &error);
  g_assert_null (answer);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
}

/* ── Recorded answers ───────────────────────────────────────────────────── */

static void
test_replay (void)
{
  g_autofree char *folder = g_build_filename (fake->folder, "recorded", NULL);
  g_autoptr (DerushModels) recording = models_with ("DERUSH_MODEL_RECORD", folder);
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (DerushModels) replaying = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) first = NULL, second = NULL, third = NULL;

  first = call (recording, "job-1", "chat", CHAT, &error);
  g_assert_no_error (error);
  /* Without a key, and without a server. */
  config = fake_config (fake, "OPENAI_BASE_URL", "http://127.0.0.1:9/v1", "DERUSH_MODEL_REPLAY", folder,
                        "DERUSH_MODEL_ATTEMPTS", "1", NULL);
  replaying = derush_models_new (config, &error);
  g_assert_no_error (error);
  second = call (replaying, "job-2", "chat", CHAT, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (derush_json_get_string (second, "text", NULL), ==, derush_json_get_string (first, "text", ""));
  g_assert_cmpfloat (derush_json_get_number (second, "cost", 1), ==, 0);
  third = call (replaying, "job-2", "chat", "{\"name\":\"answer\",\"content\":\"Never asked.\"}", &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_assert_nonnull (strstr (error->message, "DERUSH_MODEL_REPLAY"));
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    void (*function) (void);
  } tests[] = {
      {"what-a-call-costs-is-told-and-written-down", test_cost},
      {"the-same-call-again-costs-nothing", test_cache},
      {"pictures-are-kept-for-a-retry-of-their-job", test_cache_of_chance},
      {"the-cache-keeps-to-its-size", test_small_cache},
      {"a-job-cannot-spend-more-than-its-cap", test_cap_of_job},
      {"a-day-cannot-spend-more-than-its-cap", test_cap_of_day},
      {"a-cap-holds-when-many-ask-at-once", test_crowd},
      {"a-server-on-this-machine-is-free-unless-it-has-a-price", test_unknown_price},
      {"a-refused-call-costs-nothing", test_refused_costs_nothing},
      {"an-answer-that-was-lost-counts", test_lost_answer_counts},
      {"an-answer-that-was-lost-counts-though-another-attempt-was-refused", test_lost_then_refused},
      {"an-answer-that-was-lost-counts-besides-the-one-that-came", test_lost_then_answered},
      {"an-answer-that-was-of-no-use-counts", test_useless_answer_counts},
      {"half-a-line-does-not-spoil-the-account", test_half_line},
      {"pictures-that-were-paid-for-are-not-asked-for-again", test_pictures_one_by_one},
      {"another-provider-answers-and-says-so", test_fallback},
      {"a-provider-alone-is-not-replaced", test_no_fallback},
      {"recorded-answers-are-given-again-without-a-server", test_replay},
  };
  int status;

  g_setenv ("SOUP_FORCE_HTTP1", "1", FALSE);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree char *name = g_strconcat ("/models/money/", tests[i].name, NULL);

    g_test_add_func (name, tests[i].function);
  }
  fake = fake_start ("openai.mjs", "--key", KEY, NULL);
  status = g_test_run ();
  fake_stop (fake);
  return status;
}
