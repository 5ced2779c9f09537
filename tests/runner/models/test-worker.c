/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fake.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define KEY "sk-planted-0123456789abcdef"

/* ── A worker ───────────────────────────────────────────────────────────── */

typedef struct {
  GPid pid;
  int socket;
  char *errors; /* the file that its stderr goes to */
} Worker;

static Worker *
worker_start (Fake *fake, const char *const *settings)
{
  Worker *worker = g_new0 (Worker, 1);
  const char *argv[] = {g_getenv ("DERUSH_MODEL_WORKER"), NULL};
  g_auto (GStrv) environment = g_get_environ ();
  const int target = 3;
  g_autoptr (GError) error = NULL;
  g_autofree char *state = g_build_filename (fake->folder, "state", NULL);
  FILE *errors;
  int ends[2];

  environment = g_environ_setenv (environment, "DERUSH_LOG_LEVEL", "debug", TRUE);
  environment = g_environ_setenv (environment, "DERUSH_STATE_DIR", state, TRUE);
  environment = g_environ_setenv (environment, "DERUSH_MODEL_CACHE_SIZE", "0", TRUE);
  environment = g_environ_setenv (environment, "DERUSH_MODEL_ATTEMPTS", "2", TRUE);
  for (guint i = 0; settings[i]; i += 2)
    environment = g_environ_setenv (environment, settings[i], settings[i + 1], TRUE);
  worker->errors = g_build_filename (fake->folder, "errors", NULL);
  errors = fopen (worker->errors, "we");
  g_assert_nonnull (errors);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
  g_spawn_async_with_pipes_and_fds (NULL, argv, (const char *const *)environment, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                    -1, fileno (errors), fileno (errors), &ends[1], &target, 1, &worker->pid, NULL,
                                    NULL, NULL, &error);
  g_assert_no_error (error);
  fclose (errors);
  close (ends[1]);
  worker->socket = ends[0];
  return worker;
}

static void
worker_stop (Worker *worker)
{
  close (worker->socket);
  waitpid (worker->pid, NULL, 0);
  g_free (worker->errors);
  g_free (worker);
}

/* The next message of one of the types, with what came before it. */
static JsonObject *
worker_read (Worker *worker, const char *type, GString *all)
{
  for (;;) {
    g_autoptr (GString) line = g_string_new (NULL);
    g_autoptr (JsonObject) message = NULL;
    char c;

    while (read (worker->socket, &c, 1) == 1 && c != '\n')
      g_string_append_c (line, c);
    g_assert_cmpuint (line->len, >, 0);
    g_string_append (all, line->str);
    message = fake_json (line->str);
    if (strstr (type, derush_json_get_string (message, "type", "-")))
      return g_steal_pointer (&message);
  }
}

static void
worker_ask (Worker *worker, Fake *fake, const char *text)
{
  g_autofree char *line = g_strdup_printf (
      "{\"type\":\"run\",\"id\":1,\"action\":\"ask\",\"parameters\":{\"task\":\"chat\",\"request\":{\"name\":\"answer\","
      "\"content\":\"%s\"}},\"results\":{},\"directory\":\"%s\",\"inputs\":[]}\n",
      text, fake->folder);

  g_assert_cmpint (write (worker->socket, line, strlen (line)), ==, strlen (line));
}

/* ── Keys ───────────────────────────────────────────────────────────────── */

static char *
read_proc (GPid pid, const char *name)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/%s", pid, name);
  char *text = NULL;
  gsize length = 0;

  g_file_get_contents (path, &text, &length, NULL);
  for (gsize i = 0; i < length; i++)
    if (text[i] == '\0')
      text[i] = ' ';
  return text;
}

/* Servers that show a wrong key in their answer, in plain or in part. */
static void
test_keys (void)
{
  static const char *const faults[] = {
      "[]",
      "[{\"fault\":\"status\",\"status\":500,\"body\":\"the key " KEY " is bad\",\"always\":true}]",
      "[{\"fault\":\"status\",\"status\":401,\"body\":{\"error\":{\"message\":\"Incorrect API key: " KEY
      "\"}},\"headers\":{\"x-request-id\":\"" KEY "\"}}]",
  };
  g_autoptr (Fake) fake = fake_start ("openai.mjs", NULL);
  const char *settings[] = {"OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", fake->base_url, NULL};

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    Worker *worker = worker_start (fake, settings);
    g_autoptr (GString) all = g_string_new (NULL);
    g_autoptr (JsonObject) ready = worker_read (worker, "ready", all), ended = NULL;
    g_autofree char *command = read_proc (worker->pid, "cmdline"), *limits = read_proc (worker->pid, "limits");
    g_autofree char *errors = NULL, *grep = g_strdup_printf ("grep -rl -e '%s' '%s'", KEY, fake->folder), *found = NULL;

    g_assert_null (strstr (command, KEY));
    g_assert_true (g_regex_match_simple ("Max core file size +0 +0 ", limits, 0, 0));
    fake_plan (fake, faults[i]);
    worker_ask (worker, fake, "Hello.");
    ended = worker_read (worker, "result error", all);
    g_assert_cmpstr (derush_json_get_string (ended, "type", NULL), ==, i == 0 ? "result" : "error");
    g_file_get_contents (worker->errors, &errors, NULL, NULL);
    /* It did write what it does. */
    g_assert_nonnull (strstr (errors, "/v1/chat/completions"));
    g_assert_null (strstr (errors, KEY));
    g_assert_null (strstr (all->str, KEY));
    g_spawn_command_line_sync (grep, &found, NULL, NULL, NULL);
    g_assert_cmpstr (found, ==, "");
    worker_stop (worker);
  }
}

/* ── Trust ──────────────────────────────────────────────────────────────── */

static JsonObject *
ask (DerushConfig *config, GError **error)
{
  g_autoptr (DerushModels) models = derush_models_new (config, error);
  g_autoptr (JsonObject) request = fake_json ("{\"name\":\"answer\",\"content\":\"Hello.\"}");

  return models ? derush_models_call (models, "chat", request, NULL, NULL, error) : NULL;
}

static void
test_certificate (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", "--tls", "--key", KEY, NULL);
  g_autofree char *certificate = g_build_filename (g_getenv ("DERUSH_SOURCE_DIR"), "tests/fakes/certificate.pem", NULL);
  g_autoptr (DerushConfig) distrusting =
      fake_config (fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", fake->base_url, NULL);
  g_autoptr (DerushConfig) trusting = fake_config (fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", fake->base_url,
                                                   "DERUSH_MODEL_CA_FILE", certificate, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) refused = ask (distrusting, &error), answer = NULL;

  g_assert_null (refused);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_assert_nonnull (strstr (error->message, "TLS"));
  g_clear_error (&error);
  answer = ask (trusting, &error);
  g_assert_no_error (error);
  g_assert_nonnull (derush_json_get_string (answer, "text", NULL));
}

static void
test_proxy (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", "--tls", "--key", KEY, NULL);
  const char *port = strrchr (fake->base_url, ':') + 1;
  g_autofree char *number = g_strndup (port, strspn (port, "0123456789"));
  g_autoptr (Fake) proxy = fake_start ("proxy.mjs", "--to", number, NULL);
  g_autofree char *certificate = g_build_filename (g_getenv ("DERUSH_SOURCE_DIR"), "tests/fakes/certificate.pem", NULL);
  g_autofree char *address = g_strndup (proxy->base_url, strlen (proxy->base_url) - strlen ("/v1"));
  g_autoptr (DerushConfig) config =
      fake_config (fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", "https://fake.invalid/v1", "DERUSH_MODEL_CA_FILE",
                   certificate, "DERUSH_MODEL_PROXY", address, "DERUSH_MODEL_CACHE_SIZE", "0", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = ask (config, &error);

  g_assert_no_error (error);
  g_assert_nonnull (derush_json_get_string (answer, "text", NULL));
  /* Whoever is to be reached without it is: there is no such host. */
  g_clear_pointer (&answer, json_object_unref);
  g_setenv ("no_proxy", "localhost, invalid", TRUE);
  answer = ask (config, &error);
  g_unsetenv ("no_proxy");
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE);
}

/* A server elsewhere names an address on this machine, or in this network, for what it made. */
static void
test_private_address (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", "--tls", "--dialect", "localai", NULL);
  const char *port = strrchr (fake->base_url, ':') + 1;
  g_autofree char *number = g_strndup (port, strspn (port, "0123456789"));
  g_autoptr (Fake) proxy = fake_start ("proxy.mjs", "--to", number, NULL);
  g_autofree char *certificate = g_build_filename (g_getenv ("DERUSH_SOURCE_DIR"), "tests/fakes/certificate.pem", NULL);
  g_autofree char *address = g_strndup (proxy->base_url, strlen (proxy->base_url) - strlen ("/v1"));
  g_autoptr (DerushConfig) config =
      fake_config (fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", "https://fake.invalid/v1", "DERUSH_MODEL_CA_FILE",
                   certificate, "DERUSH_MODEL_PROXY", address, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushModels) models = derush_models_new (config, &error);
  g_autoptr (JsonObject) request = fake_json ("{\"prompt\":\"a drill\",\"n\":1,\"width\":512,\"height\":512}");
  DerushModelsContext context = {.directory = fake->folder};
  g_autoptr (JsonObject) answer = derush_models_call (models, "image", request, &context, NULL, &error);

  g_assert_null (answer);
  g_assert_nonnull (strstr (error->message, "not a public one"));
}

static void
test_no_encryption (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", NULL);
  g_autoptr (DerushConfig) config =
      fake_config (fake, "OPENAI_API_KEY", KEY, "OPENAI_BASE_URL", "http://192.0.2.1/v1", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = ask (config, &error);

  g_assert_null (answer);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL);
  g_assert_nonnull (strstr (error->message, "DERUSH_MODEL_ALLOW_HTTP"));
}

/* ── Who answers ────────────────────────────────────────────────────────── */

static JsonObject *
list_at (Fake *fake, const char *base_url, const char *key, const char *setting, const char *value)
{
  g_autoptr (DerushConfig) config =
      fake_config (fake, "OPENAI_API_KEY", key, "OPENAI_BASE_URL", base_url, setting, value, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushModels) models = derush_models_new (config, &error);
  g_autoptr (JsonObject) list = derush_models_list (models, NULL, &error);
  g_autofree char *text = derush_json_object_to_string (list);

  g_assert_no_error (error);
  g_assert_true (!*key || !strstr (text, key));
  g_test_message ("%s", text);
  return json_object_ref (json_array_get_object_element (derush_json_get_array (list, "providers"), 0));
}

static void
assert_problem (JsonObject *provider, const char *word, gboolean there)
{
  JsonArray *problems = derush_json_get_array (provider, "problems");
  gboolean found = FALSE;

  for (guint i = 0; i < json_array_get_length (problems); i++)
    found |= strstr (json_array_get_string_element (problems, i), word) != NULL;
  g_assert_true (found == there);
}

static void
test_list (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", "--key", KEY, NULL);
  g_autoptr (JsonObject) good = list_at (fake, fake->base_url, KEY, "DERUSH_OPENAI_MODEL_CHAT", "fake-1");

  g_assert_true (derush_json_get_boolean (good, "answers", FALSE));
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (good, "available")), ==, 1);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (good, "tasks")), ==, 5);
  assert_problem (good, "whisper-1", TRUE);
  assert_problem (good, "fake-1", FALSE);
  assert_problem (good, "/audio/transcriptions", FALSE);
  assert_problem (good, "DERUSH_PRICES", FALSE);
}

/* What is wrong is said in a way that can be mended. */
static void
test_list_of_troubles (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", "--key", KEY, NULL);
  const struct {
    char *url;
    const char *key;
    const char *faults;
    const char *says;
  } cases[] = {
      {g_strdup (fake->base_url), "sk-another-0123456789", "[]", "refuses the key"},
      {g_strdup (fake->base_url), "", "[]", "set OPENAI_API_KEY"},
      {g_strconcat (fake->base_url, "/v2", NULL), KEY, "[]", "usually ends with /v1"},
      {g_strdup ("http://127.0.0.1:9/v1"), KEY, "[]", "cannot be reached"},
      {g_strdup (fake->base_url), KEY, "[{\"fault\":\"silent\",\"always\":true}]", "no whole answer within 3 s"},
      {g_strdup (fake->base_url), KEY, "[{\"fault\":\"drip\",\"always\":true}]", "no whole answer within 3 s"},
      {g_strdup (fake->base_url), KEY, "[{\"fault\":\"html\",\"always\":true}]", "web page"},
      {g_strdup (fake->base_url), KEY, "[{\"fault\":\"status\",\"status\":503,\"always\":true}]", "status 503"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (JsonObject) provider = NULL;

    fake_plan (fake, cases[i].faults);
    provider = list_at (fake, cases[i].url, cases[i].key, "DERUSH_MODEL_CACHE_SIZE", "0");
    g_assert_false (derush_json_get_boolean (provider, "answers", TRUE));
    g_assert_nonnull (strstr (derush_json_get_string (provider, "error", ""), cases[i].says));
    g_free (cases[i].url);
  }
}

/* A server for one task answers; that the others will fail there is said. */
static void
test_list_of_parts (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", "--dialect", "whispercpp", NULL);
  g_autoptr (JsonObject) provider = list_at (fake, fake->base_url, KEY, "DERUSH_MODEL_PROVIDERS_IMAGE", "local");

  g_assert_true (derush_json_get_boolean (provider, "answers", FALSE));
  g_assert_false (json_object_has_member (provider, "available"));
  assert_problem (provider, "transcribe", FALSE);
  assert_problem (provider, "DERUSH_MODEL_PROVIDERS_SPEAK", TRUE);
  assert_problem (provider, "image", FALSE);
}

/* ── Settings ───────────────────────────────────────────────────────────── */

static void
test_settings (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", "--key", KEY, NULL);
  g_autofree char *host = g_strndup (fake->base_url, strlen (fake->base_url) - strlen ("/v1"));
  const struct {
    char *url;
    const char *key;
    const char *fault; /* (nullable): it works */
  } cases[] = {
      {g_strdup (fake->base_url), KEY, NULL},
      {g_strdup (host), KEY, NULL},
      {g_strconcat (host, "/", NULL), KEY, NULL},
      {g_strconcat (fake->base_url, "/chat/completions", NULL), KEY, NULL},
      {g_strdup (fake->base_url), " " KEY "\n", NULL},
      {g_strdup (fake->base_url), "two\nlines", "characters"},
      {g_strdup ("https://me:hidden-password@host.invalid/v1"), KEY, "password"},
      {g_strdup ("https://host.invalid/v1?api-key=hidden-password"), KEY, "question mark"},
      {g_strdup ("nonsense"), KEY, "https://host/v1"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DerushConfig) config = fake_config (fake, "OPENAI_API_KEY", cases[i].key, "OPENAI_BASE_URL",
                                                   cases[i].url, "DERUSH_MODEL_CACHE_SIZE", "0", NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonObject) answer = ask (config, &error);

    g_test_message ("%s: %s", cases[i].url, error ? error->message : "works");
    if (!cases[i].fault)
      g_assert_no_error (error);
    else
      g_assert_nonnull (strstr (error->message, cases[i].fault));
    g_assert_true (!error || !strstr (error->message, "hidden"));
    g_free (cases[i].url);
  }
}

/* ── Connections ────────────────────────────────────────────────────────── */

static void
test_connections (void)
{
  g_autoptr (Fake) fake = fake_start ("openai.mjs", NULL);
  g_autoptr (DerushConfig) config =
      fake_config (fake, "OPENAI_BASE_URL", fake->base_url, "DERUSH_MODEL_CACHE_SIZE", "0", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushModels) models = derush_models_new (config, &error);
  g_autoptr (JsonObject) request = fake_json ("{\"name\":\"answer\",\"content\":\"Hello.\"}");
  g_autoptr (JsonArray) log = NULL;
  gint64 first;

  fake_plan (fake, "[]");
  for (guint i = 0; i < 3; i++) {
    g_autoptr (JsonObject) answer = derush_models_call (models, "chat", request, NULL, NULL, &error);

    g_assert_no_error (error);
  }
  log = fake_log (fake);
  g_assert_cmpuint (json_array_get_length (log), ==, 3);
  first = derush_json_get_int (fake_asked (log, 0), "connection", 0);
  g_assert_cmpint (first, >, 0);
  for (guint i = 1; i < 3; i++)
    g_assert_cmpint (derush_json_get_int (fake_asked (log, i), "connection", 0), ==, first);
}

int
main (int argc, char **argv)
{
  g_setenv ("SOUP_FORCE_HTTP1", "1", FALSE);
  /* Nothing listens there: what is on this machine is reached without it. */
  g_setenv ("http_proxy", "http://127.0.0.1:1", TRUE);
  g_setenv ("https_proxy", "http://127.0.0.1:1", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/models/worker/keys-are-in-no-log-file-message-or-command-line", test_keys);
  g_test_add_func ("/models/worker/a-certificate-that-nobody-vouches-for-is-refused", test_certificate);
  g_test_add_func ("/models/worker/a-proxy-can-be-used", test_proxy);
  g_test_add_func ("/models/worker/what-an-answer-names-is-not-fetched-from-this-network", test_private_address);
  g_test_add_func ("/models/worker/keys-are-not-sent-without-encryption", test_no_encryption);
  g_test_add_func ("/models/worker/providers-are-listed-with-what-they-answer", test_list);
  g_test_add_func ("/models/worker/a-list-says-what-is-wrong-and-what-to-do", test_list_of_troubles);
  g_test_add_func ("/models/worker/a-list-says-what-a-server-does-not-do", test_list_of_parts);
  g_test_add_func ("/models/worker/addresses-and-keys-are-read-as-people-write-them", test_settings);
  g_test_add_func ("/models/worker/one-connection-serves-several-calls", test_connections);
  return g_test_run ();
}
