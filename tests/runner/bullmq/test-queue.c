/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "test-server.h"

typedef struct {
  TestServer server;
  DerushBullmqQueue *queue;
  GAsyncResult *result;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  test_server_start (&fixture->server, data == NULL);
  fixture->queue = derush_bullmq_queue_new (fixture->server.address, NULL, "work");
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  derush_bullmq_queue_free (fixture->queue);
  test_server_stop (&fixture->server);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_null (fixture->result);
  fixture->result = g_object_ref (result);
}

static GAsyncResult *
wait_for_result (Fixture *fixture)
{
  while (!fixture->result)
    g_main_context_iteration (NULL, TRUE);
  return g_steal_pointer (&fixture->result);
}

static char *
add (Fixture *fixture, const char *data, const char *options, GError **error)
{
  g_autoptr (JsonObject) object = options ? derush_json_parse_object (options, -1, NULL) : NULL;
  g_autoptr (GAsyncResult) result = NULL;

  derush_bullmq_queue_add_async (fixture->queue, "a name", data, object, NULL, on_result, fixture);
  result = wait_for_result (fixture);
  return derush_bullmq_queue_add_finish (fixture->queue, result, error);
}

static JsonObject *
get_job (Fixture *fixture, const char *id, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  derush_bullmq_queue_get_job_async (fixture->queue, id, NULL, on_result, fixture);
  result = wait_for_result (fixture);
  return derush_bullmq_queue_get_job_finish (fixture->queue, result, error);
}

static JsonObject *
get_counts (Fixture *fixture, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  derush_bullmq_queue_get_counts_async (fixture->queue, NULL, on_result, fixture);
  result = wait_for_result (fixture);
  return derush_bullmq_queue_get_counts_finish (fixture->queue, result, error);
}

static void
test_add (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *options;
    const char *state;
    const char *stored; /* options in the hash */
  } cases[] = {
      {NULL, "wait", "{\"attempts\":0}"},
      {"{\"attempts\":3,\"backoff\":500}", "wait", "{\"attempts\":3,\"backoff\":{\"type\":\"fixed\",\"delay\":500}}"},
      {"{\"delay\":60000}", "delayed", "{\"attempts\":0,\"delay\":60000}"},
      {"{\"priority\":7,\"keepLogs\":5}", "prioritized", "{\"attempts\":0,\"priority\":7,\"kl\":5}"},
      {"{\"lifo\":true,\"removeOnComplete\":true}", "wait", "{\"attempts\":0,\"lifo\":true,\"removeOnComplete\":true}"},
      {"{\"jobId\":\"mine “…”\"}", "wait", "{\"attempts\":0,\"jobId\":\"mine “…”\"}"},
  };
  g_autoptr (JsonObject) counts = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *id = add (fixture, "{\"film\":[1,\"ü\"]}", cases[i].options, &error);
    g_autoptr (JsonObject) job = NULL;
    g_autoptr (JsonNode) stored = derush_json_parse (cases[i].stored, -1, NULL);

    g_assert_no_error (error);
    job = get_job (fixture, id, &error);
    g_assert_no_error (error);
    g_assert_cmpstr (derush_json_get_string (job, "id", NULL), ==, id);
    g_assert_cmpstr (derush_json_get_string (job, "name", NULL), ==, "a name");
    g_assert_cmpstr (derush_json_get_string (job, "state", NULL), ==,
                     g_str_equal (cases[i].state, "wait") ? "waiting" : cases[i].state);
    g_assert_cmpint (derush_json_get_int (job, "attemptsMade", -1), ==, 0);
    g_assert_cmpint (derush_json_get_int (job, "timestamp", 0), >, 0);
    g_assert_cmpuint (json_array_get_length (derush_json_get_array (derush_json_get_object (job, "data"), "film")), ==,
                      2);
    g_assert_true (json_node_equal (json_object_get_member (job, "opts"), stored));
  }
  counts = get_counts (fixture, &error);
  g_assert_no_error (error);
  g_assert_cmpint (derush_json_get_int (counts, "waiting", -1), ==, 4);
  g_assert_cmpint (derush_json_get_int (counts, "delayed", -1), ==, 1);
  g_assert_cmpint (derush_json_get_int (counts, "prioritized", -1), ==, 1);
  g_assert_cmpint (derush_json_get_int (counts, "active", -1), ==, 0);
  g_assert_cmpint (derush_json_get_int (counts, "total", -1), ==, 6);
  g_assert_false (derush_json_get_boolean (counts, "paused", TRUE));
}

static void
set_paused (Fixture *fixture, gboolean paused)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  derush_bullmq_queue_set_paused_async (fixture->queue, paused, NULL, on_result, fixture);
  result = wait_for_result (fixture);
  g_assert_true (derush_bullmq_queue_set_paused_finish (fixture->queue, result, &error));
  g_assert_no_error (error);
}

static void
test_pause (Fixture *fixture, gconstpointer data)
{
  g_autofree char *id = add (fixture, "{}", NULL, NULL);

  for (guint i = 0; i < 4; i++) {
    gboolean paused = i < 2;
    g_autoptr (JsonObject) counts = NULL;

    set_paused (fixture, paused);
    counts = get_counts (fixture, NULL);
    g_assert_cmpint (derush_json_get_boolean (counts, "paused", !paused), ==, paused);
    g_assert_cmpint (derush_json_get_int (counts, "waiting", -1), ==, 1);
  }
}

static void
test_same_id (Fixture *fixture, gconstpointer data)
{
  for (guint i = 0; i < 2; i++) {
    g_autofree char *id = add (fixture, "{}", "{\"jobId\":\"once\"}", NULL);
    g_autoptr (JsonObject) counts = get_counts (fixture, NULL);

    g_assert_cmpstr (id, ==, "once");
    g_assert_cmpint (derush_json_get_int (counts, "total", -1), ==, 1);
  }
}

static gboolean
remove_job (Fixture *fixture, const char *id, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  derush_bullmq_queue_remove_async (fixture->queue, id, TRUE, NULL, on_result, fixture);
  result = wait_for_result (fixture);
  return derush_bullmq_queue_remove_finish (fixture->queue, result, error);
}

static void
test_remove (Fixture *fixture, gconstpointer data)
{
  g_autofree char *waiting = add (fixture, "{}", NULL, NULL), *delayed = add (fixture, "{}", "{\"delay\":60000}", NULL);
  const char *const ids[] = {waiting, delayed, "no such"};
  g_autoptr (JsonObject) counts = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (ids); i++) {
    g_assert_true (remove_job (fixture, ids[i], &error));
    g_assert_no_error (error);
    g_assert_null (get_job (fixture, ids[i], &error));
    g_assert_no_error (error);
  }
  counts = get_counts (fixture, NULL);
  g_assert_cmpint (derush_json_get_int (counts, "total", -1), ==, 0);
}

static void
test_unknown_job (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (get_job (fixture, "no such", &error));
  g_assert_no_error (error);
}

static void
test_bad_options (Fixture *fixture, gconstpointer data)
{
  static const char *const bad[][2] = {
      {"{}", "{\"jobId\":\"17\"}"},
      {"{}", "{\"jobId\":\"a:b\"}"},
      {"{}", "{\"priority\":-1}"},
      {"{}", "{\"priority\":1.5}"},
      {"{}", "{\"priority\":2097152}"},
      {"{}", "{\"deduplication\":{}}"},
      {"{}", "{\"parent\":{}}"},
      {"{}", "{\"failParentOnFailure\":true,\"ignoreDependencyOnFailure\":true}"},
      {"{", "{}"},
      {"", "{}"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (add (fixture, bad[i][0], bad[i][1], &error));
    g_assert_nonnull (error);
    g_assert_cmpint (derush_error_get_class (error), ==, DERUSH_ERROR_BAD_INPUT);
  }
}

static void
test_no_server (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (add (fixture, "{}", NULL, &error));
  g_assert_error (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_RESOURCE);
  g_assert_nonnull (g_strrstr (error->message, "localhost"));
}

static void
test_free_in_between (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  derush_bullmq_queue_get_counts_async (fixture->queue, NULL, on_result, fixture);
  derush_bullmq_queue_free (g_steal_pointer (&fixture->queue));
  result = wait_for_result (fixture);
  g_assert_null (derush_bullmq_queue_get_counts_finish (NULL, result, &error));
  g_assert_error (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_CANCELLED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
#define ADD(name, data, func) g_test_add ("/bullmq/queue/" name, Fixture, data, set_up, func, tear_down)
  ADD ("adds-jobs-as-node-does", NULL, test_add);
  ADD ("adds-an-id-only-once", NULL, test_same_id);
  ADD ("removes-jobs-that-wait-and-knows-no-others", NULL, test_remove);
  ADD ("pauses-and-resumes", NULL, test_pause);
  ADD ("an-unknown-job-is-none", NULL, test_unknown_job);
  ADD ("bad-options-are-refused", NULL, test_bad_options);
  ADD ("without-a-server-it-gives-up", "none", test_no_server);
  ADD ("freed-in-between-it-cancels", NULL, test_free_in_between);
  return g_test_run ();
}
