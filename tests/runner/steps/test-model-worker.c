/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fixture.h"
#include "plans.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <glib/gstdio.h>

/* Steps of models run in a process of their own, and derush-models beside it where it is needed. */

typedef struct {
  TestSlot test;
  char *started;
} Fixture;

/* A server that says where it listens, and writes its process id as one more line of the file `started`. */
#define SERVER                                                                                                         \
  "#!/bin/sh\n"                                                                                                        \
  "echo $$ >> '%s'\n"                                                                                                  \
  "env > '%s.environment'\n"                                                                                           \
  "echo 'some words'\n"                                                                                                \
  "echo \"listening http://127.0.0.1:$$/v1\"\n"                                                                        \
  "exec sleep 600\n"

static void
write_server (Fixture *fixture, const char *text)
{
  g_autofree char *path = g_build_filename (fixture->test.top, "derush-models", NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (g_chmod (path, 0755), ==, 0);
  g_setenv ("DERUSH_LOCAL_MODELS", path, TRUE);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *server = NULL;

  test_slot_set_up (&fixture->test, g_getenv ("DERUSH_TEST_WORKER"));
  fixture->started = g_build_filename (fixture->test.top, "started", NULL);
  g_setenv ("DERUSH_MODEL_WORKER", g_getenv ("DERUSH_TEST_WORKER"), TRUE);
  g_setenv ("REDIS_PASSWORD", "hidden-1", TRUE);
  g_setenv ("DATABASE_URL", "postgresql://me:hidden-2@host/db", TRUE);
  g_unsetenv ("OPENAI_API_KEY");
  g_unsetenv ("HUGGINGFACE_API_KEY");
  g_unsetenv ("DERUSH_MODEL_PROVIDERS");
  g_unsetenv ("DERUSH_LOCAL_MODELS_URL");
  server = g_strdup_printf (SERVER, fixture->started, fixture->started);
  write_server (fixture, server);
  test_slot_open (&fixture->test);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  test_slot_tear_down (&fixture->test);
  g_free (fixture->started);
}

/* Takes over @plan. */
static void
run (Fixture *fixture, DerushPlan *plan)
{
  DerushRunOptions options = {.job_id = "job 7", .attempt = 1};

  test_slot_run (&fixture->test, plan, &options);
}

static void
run_model_step (Fixture *fixture, const char *action)
{
  DerushPlan *plan = plan_new (NULL, fixture->test.out);

  plan_add (plan, "model", action, NULL);
  ((DerushPlanStep *)plan->steps->pdata[0])->worker = DERUSH_STEP_MODEL;
  run (fixture, plan);
}

static JsonObject *
result_of (Fixture *fixture, const char *step)
{
  if (!fixture->test.outcome->return_value)
    g_error ("%s", fixture->test.outcome->message);
  return derush_json_get_object (derush_json_get_object (fixture->test.outcome->return_value, "results"), step);
}

static const char *
variable (JsonObject *result, const char *name)
{
  JsonArray *environment = derush_json_get_array (result, "environment");
  gsize length = strlen (name);

  for (guint i = 0; i < json_array_get_length (environment); i++) {
    const char *line = json_array_get_string_element (environment, i);

    if (strncmp (line, name, length) == 0 && line[length] == '=')
      return line + length + 1;
  }
  return NULL;
}

static gboolean
mentions (JsonObject *result, const char *text)
{
  g_autofree char *json = derush_json_object_to_string (result);

  return strstr (json, text) != NULL;
}

/* The processes of derush-models that were started, newest last; 0 beyond. */
static GPid
server_pid (Fixture *fixture, guint i)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (fixture->started, &text, NULL, NULL))
    return 0;
  lines = g_strsplit (g_strchomp (text), "\n", -1);
  return i < g_strv_length (lines) ? atoi (lines[i]) : 0;
}

static gboolean
is_alive (GPid pid)
{
  return kill (pid, 0) == 0;
}

static void
wait_until_dead (GPid pid)
{
  while (is_alive (pid))
    g_usleep (10000);
}

/* ── Tests ──────────────────────────────────────────────────────────────── */

static void
test_two_processes (Fixture *fixture, gconstpointer data)
{
  DerushPlan *plan = plan_new (NULL, fixture->test.out);
  JsonObject *media, *model;
  DerushSlotStatus status;

  g_setenv ("OPENAI_API_KEY", "sk-of-openai", TRUE);
  g_setenv ("HUGGINGFACE_API_KEY", "hf-of-the-other", TRUE);
  test_slot_open (&fixture->test);
  plan_add (plan, "media", "environment", NULL);
  plan_add (plan, "model", "environment", NULL);
  ((DerushPlanStep *)plan->steps->pdata[1])->worker = DERUSH_STEP_MODEL;
  run (fixture, plan);
  media = result_of (fixture, "media");
  model = result_of (fixture, "model");
  g_assert_cmpint (derush_json_get_int (media, "pid", 0), !=, derush_json_get_int (model, "pid", 0));
  g_assert_false (mentions (media, "sk-of-openai"));
  g_assert_false (mentions (media, "hf-of-the-other"));
  g_assert_cmpstr (variable (model, "OPENAI_API_KEY"), ==, "sk-of-openai");
  g_assert_cmpstr (variable (model, "HUGGINGFACE_API_KEY"), ==, "hf-of-the-other");
  g_assert_false (mentions (model, "hidden"));
  g_assert_cmpint (derush_json_get_int (model, "noNewPrivileges", 0), ==, 1);
  g_assert_cmpint (derush_json_get_int (model, "coreLimit", 1), ==, 0);
  derush_slot_get_status (fixture->test.slot, &status);
  g_assert_cmpint (status.pid, ==, derush_json_get_int (media, "pid", 0));
  g_assert_cmpint (status.model_pid, ==, derush_json_get_int (model, "pid", 0));
  g_assert_cmpint (status.memory, >, 0);
  g_assert_cmpint (status.heartbeat, >, 0);
  /* With a key nobody asked for the local server. */
  g_assert_cmpint (server_pid (fixture, 0), ==, 0);
}

static void
test_only_models (Fixture *fixture, gconstpointer data)
{
  DerushSlotStatus status;
  gint64 pid;

  run_model_step (fixture, "environment");
  pid = derush_json_get_int (result_of (fixture, "model"), "pid", 0);
  g_assert_cmpstr (derush_json_get_string (result_of (fixture, "model"), "job", NULL), ==, "job 7");
  derush_slot_get_status (fixture->test.slot, &status);
  g_assert_cmpint (status.pid, ==, 0);
  g_assert_cmpint (status.model_pid, ==, pid);
  run_model_step (fixture, "environment");
  g_assert_cmpint (derush_json_get_int (result_of (fixture, "model"), "pid", 0), ==, pid);
  g_assert_cmpint (server_pid (fixture, 1), ==, 0);
}

static void
test_nothing_to_do (Fixture *fixture, gconstpointer data)
{
  for (int made = 0; made < 2; made++) {
    DerushPlan *plan = plan_new (NULL, fixture->test.out);
    DerushPlanStep *step;

    plan_add (plan, "first", made ? "write" : "ok", NULL);
    plan_add (plan, "model", "ok", NULL);
    step = plan->steps->pdata[1];
    step->worker = DERUSH_STEP_MODEL;
    step->needs = g_strdup ("first");
    run (fixture, plan);
    g_assert_cmpint (derush_json_get_boolean (result_of (fixture, "model"), "skipped", FALSE), ==, !made);
    g_assert_cmpint (derush_slot_get_model_pid (fixture->test.slot) != 0, ==, made);
  }
}

static void
test_crash (Fixture *fixture, gconstpointer data)
{
  run_model_step (fixture, "crash");
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_nonnull (strstr (fixture->test.outcome->message, "The model worker was killed by signal 11"));
  run_model_step (fixture, "ok");
  g_assert_nonnull (result_of (fixture, "model"));
}

static void
test_no_worker (Fixture *fixture, gconstpointer data)
{
  g_setenv ("DERUSH_MODEL_WORKER", "/nowhere/derush-model-worker", TRUE);
  run_model_step (fixture, "ok");
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_nonnull (strstr (fixture->test.outcome->message, "The model worker cannot be started"));
  g_assert_nonnull (strstr (fixture->test.outcome->message, "/nowhere/derush-model-worker"));
}

static void
test_local_server (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_strconcat (fixture->started, ".environment", NULL), *environment = NULL, *url = NULL;
  JsonObject *model;
  const char *token;
  GPid pid;

  run_model_step (fixture, "environment");
  model = result_of (fixture, "model");
  pid = server_pid (fixture, 0);
  g_assert_cmpint (pid, >, 0);
  url = g_strdup_printf ("http://127.0.0.1:%d/v1", pid);
  token = variable (model, "DERUSH_MODELS_TOKEN");
  g_assert_cmpstr (variable (model, "DERUSH_LOCAL_MODELS_URL"), ==, url);
  g_assert_cmpuint (strlen (token), >=, 32);
  g_assert_true (g_file_get_contents (path, &environment, NULL, NULL));
  g_assert_nonnull (strstr (environment, token));
  g_assert_null (strstr (environment, "hidden"));
  g_clear_pointer (&fixture->test.slot, derush_slot_free);
  g_assert_false (is_alive (pid));
}

static void
test_local_beside_a_key (Fixture *fixture, gconstpointer data)
{
  g_setenv ("OPENAI_API_KEY", "sk-of-openai", TRUE);
  run_model_step (fixture, "ok");
  g_clear_pointer (&fixture->test.slot, derush_slot_free);
  g_assert_cmpint (server_pid (fixture, 0), >, 0);
  g_assert_true (g_remove (fixture->started) == 0);
  test_slot_open (&fixture->test);
  run_model_step (fixture, "ok");
  g_assert_cmpint (server_pid (fixture, 0), ==, 0);
}

static void
test_who_wants_it (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *name, *value;
    gboolean wanted;
  } cases[] = {
      {"OPENAI_API_KEY", "sk-1", FALSE},
      {"OPENAI_BASE_URL", "http://127.0.0.1:11434/v1", FALSE},
      {"DERUSH_MODEL_PROVIDERS", "openai", FALSE},
      {"DERUSH_MODEL_PROVIDERS", "openai,local", TRUE},
      {"DERUSH_MODEL_PROVIDERS_SPEAK", "local", TRUE},
      {"DERUSH_LOCAL_MODELS_URL", "http://127.0.0.1:9/v1", FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_setenv (cases[i].name, cases[i].value, TRUE);
    test_slot_open (&fixture->test);
    run_model_step (fixture, "environment");
    g_assert_cmpstr (variable (result_of (fixture, "model"), cases[i].name), ==, cases[i].value);
    g_assert_cmpint (variable (result_of (fixture, "model"), "DERUSH_MODELS_TOKEN") != NULL, ==, cases[i].wanted);
    g_unsetenv (cases[i].name);
  }
  /* What nobody has set is not set there either. */
  test_slot_open (&fixture->test);
  run_model_step (fixture, "environment");
  g_assert_null (variable (result_of (fixture, "model"), "OPENAI_BASE_URL"));
}

static void
test_restart (Fixture *fixture, gconstpointer data)
{
  g_autofree char *url = NULL;
  gint64 worker;
  GPid pid;

  run_model_step (fixture, "environment");
  worker = derush_json_get_int (result_of (fixture, "model"), "pid", 0);
  pid = server_pid (fixture, 0);
  kill (pid, SIGKILL);
  wait_until_dead (pid);
  run_model_step (fixture, "environment");
  g_assert_cmpint (server_pid (fixture, 1), >, 0);
  url = g_strdup_printf ("http://127.0.0.1:%d/v1", server_pid (fixture, 1));
  g_assert_cmpstr (variable (result_of (fixture, "model"), "DERUSH_LOCAL_MODELS_URL"), ==, url);
  g_assert_cmpint (derush_json_get_int (result_of (fixture, "model"), "pid", 0), !=, worker);
}

static void
test_two_slots (Fixture *fixture, gconstpointer data)
{
  DerushSlot *first = g_steal_pointer (&fixture->test.slot);

  test_slot_open (&fixture->test);
  run_model_step (fixture, "ok");
  derush_slot_free (first);
  g_assert_true (is_alive (server_pid (fixture, 0)));
  run_model_step (fixture, "ok");
  g_assert_cmpint (server_pid (fixture, 1), ==, 0);
}

static void
test_no_server (Fixture *fixture, gconstpointer data)
{
  write_server (fixture, "#!/bin/sh\necho 'there is no voice' >&2\nexit 1\n");
  for (int i = 0; i < 2; i++) {
    run_model_step (fixture, "ok");
    g_assert_null (fixture->test.outcome->return_value);
    g_assert_nonnull (
        strstr (fixture->test.outcome->message, "The server of local models does not start: there is no voice"));
    g_assert_cmpstr (derush_error_class_to_string (fixture->test.outcome->error_class), ==, "resource");
  }
}

static void
test_new_key (Fixture *fixture, gconstpointer data)
{
  g_autoptr (DerushConfig) fresh = NULL;
  gint64 first;

  g_setenv ("OPENAI_API_KEY", "key-before", TRUE);
  test_slot_open (&fixture->test);
  run_model_step (fixture, "environment");
  first = derush_json_get_int (result_of (fixture, "model"), "pid", 0);
  g_assert_cmpstr (variable (result_of (fixture, "model"), "OPENAI_API_KEY"), ==, "key-before");
  g_setenv ("OPENAI_API_KEY", "key-after", TRUE);
  fresh = derush_config_load (NULL);
  g_assert_nonnull (fresh);
  derush_slot_set_config (fixture->test.slot, fresh);
  run_model_step (fixture, "environment");
  g_assert_cmpstr (variable (result_of (fixture, "model"), "OPENAI_API_KEY"), ==, "key-after");
  g_assert_cmpint (derush_json_get_int (result_of (fixture, "model"), "pid", 0), !=, first);
}

static void
test_no_server_but_others (Fixture *fixture, gconstpointer data)
{
  write_server (fixture, "#!/bin/sh\nexit 1\n");
  g_setenv ("OPENAI_API_KEY", "sk-of-openai", TRUE);
  g_setenv ("DERUSH_MODEL_PROVIDERS", "openai,local", TRUE);
  test_slot_open (&fixture->test);
  run_model_step (fixture, "environment");
  g_assert_null (variable (result_of (fixture, "model"), "DERUSH_LOCAL_MODELS_URL"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_unsetenv ("DERUSH_ALLOWED_ROOTS");
  derush_log_set_level (DERUSH_LOG_ERROR);
#define ADD(path, test) g_test_add ("/steps/model-worker/" path, Fixture, NULL, set_up, test, tear_down)
  ADD ("has-the-keys-that-the-media-worker-has-not", test_two_processes);
  ADD ("is-replaced-when-a-key-has-changed", test_new_key);
  ADD ("runs-alone-where-no-step-needs-media-and-is-kept", test_only_models);
  ADD ("is-not-started-where-an-earlier-step-made-nothing-to-work-on", test_nothing_to_do);
  ADD ("is-named-when-it-crashes-and-replaced", test_crash);
  ADD ("is-named-when-it-does-not-start", test_no_worker);
  ADD ("is-told-where-the-local-server-is-which-ends-with-the-slot", test_local_server);
  ADD ("has-no-local-server-where-there-is-a-key", test_local_beside_a_key);
  ADD ("has-a-local-server-where-one-is-wanted", test_who_wants_it);
  ADD ("follows-a-local-server-that-was-started-again", test_restart);
  ADD ("shares-the-local-server-with-other-slots", test_two_slots);
  ADD ("says-why-the-local-server-does-not-start", test_no_server);
  ADD ("asks-the-other-providers-where-the-local-server-does-not-start", test_no_server_but_others);
  return g_test_run ();
}
