/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define KEY "sk-planted-0123456789abcdef"

/* What a server does, and what comes of it. */
typedef struct {
  const char *name;
  const char *task;
  const char *faults;
  int error_class;  /* -1: it goes well in the end */
  int requests;     /* how many the server saw; -1: any number */
  const char *says; /* (nullable): in the message or the debug text */
  int verdict;      /* of an error: what it says of another attempt at the job */
} Case;

enum { RETRY, FINAL, LATER };

static const Case cases[] = {
    {"one-429-without-a-delay-is-waited-out", "chat", "[{\"fault\":\"status\",\"status\":429}]", -1, 2},
    {"one-429-with-a-delay-is-waited-out", "chat",
     "[{\"fault\":\"status\",\"status\":429,\"headers\":{\"retry-after-ms\":\"30\"}}]", -1, 2},
    {"a-429-with-a-long-delay-is-not-waited-for", "chat",
     "[{\"fault\":\"status\",\"status\":429,\"headers\":{\"retry-after\":\"3600\"}}]", DERUSH_ERROR_MODEL, 1, "3600",
     LATER},
    {"a-503-with-a-long-delay-is-not-waited-for", "chat",
     "[{\"fault\":\"status\",\"status\":503,\"headers\":{\"retry-after\":\"121\"}}]", DERUSH_ERROR_MODEL, 1, "121",
     LATER},
    {"a-503-with-a-delay-is-waited-out", "transcribe",
     "[{\"fault\":\"status\",\"status\":503,\"headers\":{\"retry-after\":\"0.02\"}}]", -1, 2},
    {"a-payment-that-is-due-is-final", "chat", "[{\"fault\":\"status\",\"status\":402}]", DERUSH_ERROR_MODEL, 1,
     "credit", FINAL},
    {"a-key-that-may-not-is-final", "chat", "[{\"fault\":\"status\",\"status\":403}]", DERUSH_ERROR_MODEL, 1, "key",
     FINAL},
    {"a-request-that-is-refused-is-final", "chat",
     "[{\"fault\":\"status\",\"status\":400,\"body\":{\"error\":{\"message\":\"rejected by our safety system\",\"code\":"
     "\"content_policy_violation\"}}}]",
     DERUSH_ERROR_MODEL, 1, "safety", FINAL},
    {"a-part-of-a-key-is-not-shown", "image",
     "[{\"fault\":\"status\",\"status\":401,\"body\":{\"error\":{\"message\":\"Incorrect API key provided: "
     "sk-plant***********************cdef. You can find your key\",\"code\":\"invalid_api_key\"}}}]",
     DERUSH_ERROR_MODEL, 1, "[redacted]", FINAL},
    {"a-429-names-when-its-bucket-is-full-again", "chat",
     "[{\"fault\":\"status\",\"status\":429,\"headers\":{\"x-ratelimit-remaining-requests\":\"0\","
     "\"x-ratelimit-reset-requests\":\"20ms\"}}]",
     -1, 2},
    {"a-used-up-quota-is-final", "chat",
     "[{\"fault\":\"status\",\"status\":429,\"body\":{\"error\":{\"message\":\"You exceeded your current quota\",\"type\":"
     "\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"}}}]",
     DERUSH_ERROR_MODEL, 1, "credit", FINAL},
    {"one-503-is-waited-out", "chat", "[{\"fault\":\"status\",\"status\":503,\"headers\":{\"retry-after\":\"0.02\"}}]",
     -1, 2},
    {"503-until-the-attempts-are-used-up", "chat",
     "[{\"fault\":\"status\",\"status\":503,\"always\":true,\"headers\":{\"retry-after-ms\":\"5\"}}]",
     DERUSH_ERROR_MODEL, 4, "503"},
    {"a-model-that-is-being-loaded-is-waited-for", "chat",
     "[{\"fault\":\"status\",\"status\":503,\"body\":{\"error\":\"Model X is currently loading\",\"estimated_time\":0.1}}]",
     -1, 2},
    {"a-model-that-is-being-loaded-is-waited-for-however-often-it-is-asked-for", "chat",
     "[{\"fault\":\"status\",\"status\":503,\"times\":9,\"headers\":{\"retry-after-ms\":\"5\"},\"body\":{\"error\":{\"code\":"
     "503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}}]",
     -1, 10},
    {"a-server-that-forbids-a-second-try-is-obeyed", "chat",
     "[{\"fault\":\"status\",\"status\":500,\"headers\":{\"x-should-retry\":\"false\"}}]", DERUSH_ERROR_MODEL, 1,
     "500"},
    {"a-drip-ends-at-the-deadline", "chat", "[{\"fault\":\"drip\",\"always\":true}]", DERUSH_ERROR_RESOURCE, -1, NULL},
    {"silence-ends-at-the-deadline", "chat", "[{\"fault\":\"silent\",\"always\":true}]", DERUSH_ERROR_RESOURCE, -1,
     NULL},
    {"one-reset-is-tried-again", "chat", "[{\"fault\":\"reset\"}]", -1, -1},
    {"one-closed-connection-is-tried-again", "chat", "[{\"fault\":\"close\"}]", -1, -1},
    {"a-reset-during-the-upload-is-tried-again", "transcribe", "[{\"fault\":\"reset\",\"early\":true}]", -1, -1},
    {"json-that-is-cut-is-asked-for-again", "chat", "[{\"fault\":\"truncate\"}]", -1, 2},
    {"a-body-shorter-than-its-length-is-asked-for-again", "chat", "[{\"fault\":\"short\"}]", -1, 2},
    {"sound-that-is-cut-is-asked-for-again", "speak", "[{\"fault\":\"truncate\"}]", -1, 2},
    {"a-picture-that-is-cut-is-no-success", "image", "[{\"fault\":\"truncate\",\"always\":true}]", DERUSH_ERROR_MODEL,
     -1, NULL},
    {"invalid-json-until-the-attempts-are-used-up", "chat", "[{\"fault\":\"invalid-json\",\"always\":true}]",
     DERUSH_ERROR_MODEL, -1, "JSON"},
    {"a-wrong-type-does-no-harm", "chat", "[{\"fault\":\"wrong-type\"}]", -1, 1},
    {"a-wrong-type-of-sound-does-no-harm", "speak", "[{\"fault\":\"wrong-type\"}]", -1, 1},
    {"a-web-page-means-a-wrong-address", "chat", "[{\"fault\":\"html\",\"always\":true}]", DERUSH_ERROR_MODEL, 1,
     "web page"},
    {"a-web-page-is-no-sound", "speak", "[{\"fault\":\"html\",\"always\":true}]", DERUSH_ERROR_MODEL, 1, "text/html"},
    {"an-expired-key-is-final", "chat",
     "[{\"fault\":\"status\",\"status\":401,\"body\":{\"error\":{\"message\":\"Incorrect API key provided: " KEY
     "\",\"code\":\"invalid_api_key\"}}}]",
     DERUSH_ERROR_MODEL, 1, "key", FINAL},
    {"an-error-that-is-answered-as-a-success-is-an-error", "chat",
     "[{\"fault\":\"status\",\"status\":200,\"body\":{\"error\":{\"message\":\"upstream is busy\",\"code\":503}}}]", -1,
     2},
    {"an-error-without-a-code-that-is-answered-as-a-success-is-final", "speak",
     "[{\"fault\":\"status\",\"status\":200,\"body\":{\"error\":\"no such engine\"}}]", DERUSH_ERROR_MODEL, 1,
     "no such engine", FINAL},
    {"a-missing-model-is-final", "chat",
     "[{\"fault\":\"status\",\"status\":404,\"body\":{\"error\":{\"message\":\"no model\",\"code\":\"model_not_found\"}}}]",
     DERUSH_ERROR_MODEL, 1, "model", FINAL},
    {"too-much-at-once-is-final", "transcribe",
     "[{\"fault\":\"status\",\"status\":413,\"body\":{\"error\":{\"message\":\"too large\",\"type\":\"server_error\"}}}]",
     DERUSH_ERROR_MODEL, 1, "at once", FINAL},
    {"a-redirect-is-not-followed", "chat",
     "[{\"fault\":\"redirect\",\"location\":\"http://127.0.0.1:1/v1/chat/completions\"}]", DERUSH_ERROR_MODEL, 1,
     "elsewhere", FINAL},
    {"an-endless-body-is-given-up", "chat", "[{\"fault\":\"huge\",\"always\":true}]", DERUSH_ERROR_MODEL, -1,
     "longer than"},
    {"a-body-that-says-it-is-huge-is-not-read", "chat", "[{\"fault\":\"huge-length\",\"always\":true}]",
     DERUSH_ERROR_MODEL, -1, "longer than"},
    {"a-slow-upload-is-waited-for", "transcribe", "[{\"fault\":\"slow-upload\"}]", -1, 1},
    {"a-refusal-is-no-answer", "chat", "[{\"fault\":\"refusal\"}]", DERUSH_ERROR_MODEL, 1, "declined", FINAL},
    {"an-answer-that-was-filtered-is-an-error", "chat", "[{\"finish\":\"content_filter\"}]", DERUSH_ERROR_MODEL, 1,
     "filter", FINAL},
    {"an-answer-that-is-cut-by-its-limit-is-an-error", "chat", "[{\"finish\":\"length\",\"content\":\"{\\\"a\\\":\"}]",
     DERUSH_ERROR_MODEL, 1, "maxTokens", FINAL},
    {"an-answer-of-another-form-is-corrected-once", "chat",
     "[{\"content\":\"{\\\"summary\\\":7}\"},{\"content\":\"{\\\"summary\\\":\\\"good\\\"}\"}]", -1, 2},
    {"an-answer-of-another-form-twice-is-an-error", "chat",
     "[{\"content\":\"{\\\"summary\\\":7,\\\"x\\\":1}\"},{\"content\":\"no JSON\"}]", DERUSH_ERROR_MODEL, 2, "form"},
    {"an-answer-that-is-nested-too-deep-is-an-error", "chat",
     "[{\"content\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\","
     "\"times\":2}]",
     DERUSH_ERROR_MODEL, 2, "deep"},
    {"thoughts-and-fences-are-taken-off", "chat",
     "[{\"content\":\"<think>{\\\"summary\\\":1}</think>```json\\n{\\\"summary\\\":\\\"good\\\"}\\n```\"}]", -1, 1},
};

static JsonObject *
request_for (Fake *fake, const char *task)
{
  g_autofree char *speech = NULL, *text = NULL;

  if (strcmp (task, "chat") == 0)
    return fake_json ("{\"name\":\"answer\",\"content\":\"Hello.\",\"schema\":{\"type\":\"object\",\"properties\":{"
                      "\"summary\":{\"type\":\"string\"}},\"required\":[\"summary\"],\"additionalProperties\":false}}");
  if (strcmp (task, "speak") == 0)
    return fake_json ("{\"text\":\"A sentence that is long enough to be measured, and that is spoken until its end.\","
                      "\"format\":\"mp3\",\"file\":\"voice.mp3\"}");
  if (strcmp (task, "image") == 0)
    return fake_json ("{\"prompt\":\"a drill\",\"n\":1,\"width\":1024,\"height\":1024}");
  speech = fake_make_speech (fake, 20);
  text = g_strdup_printf ("{\"file\":\"%s\",\"language\":\"en\"}", speech);
  return fake_json (text);
}

static void
assert_no_key (Fake *fake)
{
  g_autofree char *command = g_strdup_printf ("grep -rl --exclude=settings -e '%s' '%s'", KEY, fake->folder),
                  *found = NULL;

  g_spawn_command_line_sync (command, &found, NULL, NULL, NULL);
  g_assert_cmpstr (found, ==, "");
}

static Fake *fake; /* of all cases */

static void
test_case (gconstpointer data)
{
  const Case *one = data;
  g_autofree char *record = g_build_filename (fake->folder, "record", NULL), *all = NULL;
  g_autoptr (DerushConfig) config = fake_config (
      fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", fake->base_url, "DERUSH_OPENAI_MODEL_SPEAK", "tts-1",
      "DERUSH_MODEL_TIMEOUT", strstr (one->name, "deadline") ? "1" : "60", "DERUSH_MODEL_RECORD", record, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushModels) models = derush_models_new (config, &error);
  g_autoptr (JsonObject) request = request_for (fake, one->task), answer = NULL;
  g_autoptr (GString) debug = g_string_new (NULL);
  g_autoptr (JsonArray) log = NULL;
  DerushModelsContext context = {.directory = fake->folder, .debug = debug};

  g_assert_no_error (error);
  fake_plan (fake, one->faults);
  answer = derush_models_call (models, one->task, request, &context, NULL, &error);
  log = fake_log (fake);
  if (one->error_class < 0)
    g_assert_no_error (error);
  else
    g_assert_error (error, DERUSH_MODELS_ERROR, one->error_class);
  g_assert_true ((answer != NULL) == (one->error_class < 0));
  if (error) {
    g_assert_cmpint (derush_error_can_retry (error), ==, one->verdict != FINAL);
    g_assert_cmpint (derush_error_get_retry_at (error) > derush_time_now_ms () + 60000, ==, one->verdict == LATER);
    g_assert_true (one->verdict == LATER || derush_error_get_retry_at (error) == 0);
  }
  if (one->requests >= 0)
    g_assert_cmpint (json_array_get_length (log), ==, one->requests);
  all = g_strconcat (error ? error->message : "", "\n", debug->str, NULL);
  if (one->says)
    g_assert_nonnull (strstr (all, one->says));
  g_assert_null (strstr (all, KEY));
  assert_no_key (fake);
}

/* ── Time ───────────────────────────────────────────────────────────────── */

static gpointer
cancel_soon (gpointer cancellable)
{
  g_usleep (150000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

/* Where a call hangs when it is told to end. */
typedef struct {
  const char *name;
  const char *task;
  const char *faults; /* of the fake; NULL: it is a socket that nobody reads from */
  const char *scheme; /* of that socket */
  gboolean full;      /* nobody is let in there any more */
  gboolean second;    /* the call before has been answered */
} Hang;

static const Hang hangs[] = {
    {"connecting-can-be-cancelled", "chat", NULL, "http", TRUE},
    {"a-greeting-that-nobody-answers-can-be-cancelled", "chat", NULL, "https", FALSE},
    {"an-upload-that-nobody-reads-can-be-cancelled", "transcribe", NULL, "http", FALSE},
    {"silence-can-be-cancelled", "chat", "[{\"fault\":\"silent\"}]"},
    {"a-drip-can-be-cancelled", "chat", "[{\"fault\":\"drip\"}]"},
    {"a-wait-for-another-attempt-can-be-cancelled", "chat",
     "[{\"fault\":\"status\",\"status\":503,\"headers\":{\"retry-after\":\"30\"}}]"},
    {"a-wait-for-the-rate-that-is-allowed-can-be-cancelled", "chat",
     "[{\"headers\":{\"x-ratelimit-remaining-requests\":\"0\",\"x-ratelimit-reset-requests\":\"60s\"}}]",
     .second = TRUE},
};

/* A socket whose connections are never read from; @others: those that wait to be let in. */
static int
open_hole (gboolean full, int others[2], char **base_url, const char *scheme)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 0), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&address, &length), ==, 0);
  for (guint i = 0; i < 2; i++) {
    others[i] = full ? socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (full && connect (others[i], (struct sockaddr *)&address, sizeof address) != 0)
      g_assert_cmpint (errno, ==, EINPROGRESS);
  }
  *base_url = g_strdup_printf ("%s://127.0.0.1:%d/v1", scheme, ntohs (address.sin_port));
  return fd;
}

static DerushModels *
models_at (const char *base_url)
{
  g_autoptr (DerushConfig) config =
      fake_config (fake, "OPENAI_BASE_URL", base_url, "OPENAI_API_KEY", KEY, "DERUSH_MODEL_CACHE_SIZE", "0", NULL);
  g_autoptr (GError) error = NULL;
  DerushModels *models = derush_models_new (config, &error);

  g_assert_no_error (error);
  return models;
}

/* One who waits for an answer that never ends is no burden to others, and is gone soon after it is told to. */
static void
test_cancelling (gconstpointer data)
{
  const Hang *hang = data;
  int others[2] = {-1, -1}, hole = -1;
  g_autofree char *base_url = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushModels) models = NULL;
  g_autoptr (JsonObject) request = request_for (fake, hang->task), answer = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *thread;
  gint64 started;

  if (hang->faults)
    fake_plan (fake, hang->faults);
  else
    hole = open_hole (hang->full, others, &base_url, hang->scheme);
  if (strcmp (hang->task, "transcribe") == 0)
    /* More than lies between two ends of a connection. */
    g_free (fake_make_sparse_speech (fake, 24 << 20));
  models = models_at (hang->faults ? fake->base_url : base_url);
  if (hang->second)
    json_object_unref (derush_models_call (models, hang->task, request, NULL, NULL, &error));
  g_assert_no_error (error);
  thread = g_thread_new ("cancel", cancel_soon, cancellable);
  started = g_get_monotonic_time ();
  answer = derush_models_call (models, hang->task, request, NULL, cancellable, &error);
  g_test_message ("ended %.1f ms after it was told to", (g_get_monotonic_time () - started) / 1e3 - 150);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_CANCELLED);
  g_clear_error (&error);
  g_thread_join (thread);
  if (hole >= 0)
    close (hole);
  for (guint i = 0; i < 2; i++)
    if (others[i] >= 0)
      close (others[i]);
  if (!hang->faults || hang->second)
    return;
  /* The thread of the network has to be free again: this would wait for it. */
  fake_plan (fake, "[]");
  answer = derush_models_call (models, hang->task, request, NULL, NULL, &error);
  g_assert_no_error (error);
}

/* ── Memory ─────────────────────────────────────────────────────────────── */

static long
peak_memory (void)
{
  g_autofree char *status = NULL;
  const char *line;

  g_file_get_contents ("/proc/self/status", &status, NULL, NULL);
  line = strstr (status, "VmHWM:");
  g_assert_nonnull (line);
  return atol (line + strlen ("VmHWM:"));
}

/* In kB. */
#define ALLOWED (20 * 1024)

static void
test_memory (void)
{
  g_autoptr (Fake) large = fake_start ("openai.mjs", "--dialect", "large", NULL);
  g_autofree char *token = g_strdup ("local-token");
  g_autoptr (DerushConfig) config = fake_config (large, "DERUSH_LOCAL_MODELS_URL", large->base_url,
                                                 "DERUSH_MODELS_TOKEN", token, "DERUSH_MODEL_PROVIDERS", "local", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushModels) models = derush_models_new (config, &error);
  g_autofree char *speech = fake_make_sparse_speech (large, 200 << 20), *text = NULL;
  g_autoptr (JsonObject) request = NULL, answer = NULL;
  long before, after;

  text = g_strdup_printf ("{\"file\":\"%s\",\"language\":\"en\"}", speech);
  request = fake_json (text);
  before = peak_memory ();
  answer = derush_models_call (models, "transcribe", request, NULL, NULL, &error);
  after = peak_memory ();
  g_assert_no_error (error);
  g_test_message ("peak before %ld kB, after %ld kB", before, after);
  g_assert_cmpint (after - before, <, ALLOWED);
}

int
main (int argc, char **argv)
{
  int status;

  g_setenv ("SOUP_FORCE_HTTP1", "1", FALSE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/models/faults/a-file-of-200-MB-is-sent-without-being-held-in-memory", test_memory);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *name = g_strconcat ("/models/faults/", cases[i].name, NULL);

    g_test_add_data_func (name, &cases[i], test_case);
  }
  for (guint i = 0; i < G_N_ELEMENTS (hangs); i++) {
    g_autofree char *name = g_strconcat ("/models/faults/", hangs[i].name, NULL);

    g_test_add_data_func (name, &hangs[i], test_cancelling);
  }
  fake = fake_start ("openai.mjs", "--key", KEY, NULL);
  status = g_test_run ();
  fake_stop (fake);
  return status;
}
