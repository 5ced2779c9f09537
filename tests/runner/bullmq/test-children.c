/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "test-server.h"

#include <signal.h>

typedef struct {
  TestServer server;
  DerushBullmqQueue *parents, *children;
  DerushBullmqWorker *worker;
  GQueue jobs; /* that the worker got */
  GQueue results;
} Fixture;

static void
process (DerushBullmqJob *job, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_queue_push_tail (&fixture->jobs, job);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  DerushBullmqWorkerOptions options = {.queue = "parents", .concurrency = 1, .max_stalled_count = 1};

  test_server_start (&fixture->server, TRUE);
  fixture->parents = derush_bullmq_queue_new (fixture->server.address, NULL, "parents");
  fixture->children = derush_bullmq_queue_new (fixture->server.address, NULL, "children");
  fixture->worker = derush_bullmq_worker_new (fixture->server.address, &options, process, fixture);
  derush_bullmq_worker_start (fixture->worker);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  derush_bullmq_worker_free (fixture->worker);
  derush_bullmq_queue_free (fixture->parents);
  derush_bullmq_queue_free (fixture->children);
  g_queue_clear_full (&fixture->jobs, (GDestroyNotify)derush_bullmq_job_unref);
  test_server_stop (&fixture->server);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_queue_push_tail (&fixture->results, g_object_ref (result));
}

static gpointer
wait_for (GQueue *queue)
{
  while (g_queue_is_empty (queue))
    g_main_context_iteration (NULL, TRUE);
  return g_queue_pop_head (queue);
}

/* Adds a job and waits until the worker holds it. */
static DerushBullmqJob *
run_parent (Fixture *fixture)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autofree char *id = NULL;

  derush_bullmq_queue_add_async (fixture->parents, "parent", "{\"stage\":0}", NULL, NULL, on_result, fixture);
  result = wait_for (&fixture->results);
  id = derush_bullmq_queue_add_finish (fixture->parents, result, NULL);
  g_assert_nonnull (id);
  return wait_for (&fixture->jobs);
}

static char *
add_child (Fixture *fixture, DerushBullmqJob *job, const char *id, GError **error)
{
  g_autoptr (JsonObject) options = json_object_new ();
  g_autoptr (GAsyncResult) result = NULL;

  json_object_set_string_member (options, "jobId", id);
  derush_bullmq_job_add_child_async (job, "children", "child", "{}", options, NULL, on_result, fixture);
  result = wait_for (&fixture->results);
  return derush_bullmq_job_add_child_finish (job, result, error);
}

static DerushBullmqChildrenWait
wait_for_children (Fixture *fixture, DerushBullmqJob *job, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  derush_bullmq_job_wait_for_children_async (job, on_result, fixture);
  result = wait_for (&fixture->results);
  return derush_bullmq_job_wait_for_children_finish (job, result, error);
}

static JsonObject *
get_job (Fixture *fixture, DerushBullmqQueue *queue, const char *id)
{
  g_autoptr (GAsyncResult) result = NULL;

  derush_bullmq_queue_get_job_async (queue, id, NULL, on_result, fixture);
  result = wait_for (&fixture->results);
  return derush_bullmq_queue_get_job_finish (queue, result, NULL);
}

static gboolean
remove_job (Fixture *fixture, DerushBullmqQueue *queue, const char *id, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  derush_bullmq_queue_remove_async (queue, id, TRUE, NULL, on_result, fixture);
  result = wait_for (&fixture->results);
  return derush_bullmq_queue_remove_finish (queue, result, error);
}

static void
test_wait (Fixture *fixture, gconstpointer data)
{
  g_autoptr (DerushBullmqJob) job = run_parent (fixture), other = NULL, again = NULL;
  g_autofree char *key = add_child (fixture, job, "a", NULL), *wanted = NULL;
  g_autoptr (JsonObject) seen = NULL;
  g_autoptr (GError) error = NULL;

  wanted = derush_bullmq_job_get_child_key (job, "children", "a");
  g_assert_cmpstr (key, ==, "bull:children:a");
  g_assert_cmpstr (key, ==, wanted);
  g_assert_cmpint (wait_for_children (fixture, job, &error), ==, DERUSH_BULLMQ_CHILDREN_WAITING);
  g_assert_no_error (error);
  g_assert_cmpuint (derush_bullmq_worker_get_running (fixture->worker), ==, 0);
  seen = get_job (fixture, fixture->parents, derush_bullmq_job_get_id (job));
  g_assert_cmpstr (derush_json_get_string (seen, "state", NULL), ==, "waiting-children");

  /* The only place is free, for another job; the removal of the last child then brings the parent back. */
  other = run_parent (fixture);
  g_assert_true (remove_job (fixture, fixture->children, "a", &error));
  derush_bullmq_job_complete (other, NULL);
  again = wait_for (&fixture->jobs);
  g_assert_cmpstr (derush_bullmq_job_get_id (again), ==, derush_bullmq_job_get_id (job));
  g_assert_cmpint (wait_for_children (fixture, again, &error), ==, DERUSH_BULLMQ_CHILDREN_NONE_PENDING);
  g_assert_no_error (error);
  g_assert_cmpuint (derush_bullmq_worker_get_running (fixture->worker), ==, 1);
  derush_bullmq_job_complete (again, NULL);
}

static void
test_after_waiting (Fixture *fixture, gconstpointer data)
{
  g_autoptr (DerushBullmqJob) job = run_parent (fixture);
  g_autofree char *key = add_child (fixture, job, "a", NULL), *none = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (wait_for_children (fixture, job, NULL), ==, DERUSH_BULLMQ_CHILDREN_WAITING);
  none = add_child (fixture, job, "b", &error);
  g_assert_null (none);
  g_assert_error (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_cmpint (wait_for_children (fixture, job, &error), ==, DERUSH_BULLMQ_CHILDREN_ERROR);
  g_assert_error (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_CANCELLED);
}

static void
test_update (Fixture *fixture, gconstpointer data)
{
  g_autoptr (DerushBullmqJob) job = run_parent (fixture);
  g_autoptr (JsonObject) seen = NULL;

  /* One that cannot be is refused, the others are stored in their order. */
  for (guint i = 1; i <= 5; i++) {
    g_autofree char *text = g_strdup_printf ("{\"stage\":%u}", i);

    derush_bullmq_job_update_data_async (job, i == 3 ? "{" : text, NULL, on_result, fixture);
  }
  for (guint i = 1, n_refused = 0; i <= 5; i++) {
    g_autoptr (GAsyncResult) result = wait_for (&fixture->results);
    g_autoptr (GError) error = NULL;

    if (!derush_bullmq_job_update_data_finish (job, result, &error)) {
      g_assert_cmpint (derush_error_get_class (error), ==, DERUSH_ERROR_BAD_INPUT);
      g_assert_cmpuint (++n_refused, ==, 1);
    }
  }
  g_assert_cmpstr (derush_bullmq_job_get_data (job), ==, "{\"stage\":5}");
  seen = get_job (fixture, fixture->parents, derush_bullmq_job_get_id (job));
  g_assert_cmpint (derush_json_get_int (derush_json_get_object (seen, "data"), "stage", 0), ==, 5);
  derush_bullmq_job_complete (job, NULL);
}

static void
test_remove_busy (Fixture *fixture, gconstpointer data)
{
  g_autoptr (DerushBullmqJob) job = run_parent (fixture);
  g_autofree char *key = add_child (fixture, job, "a", NULL);
  g_autoptr (JsonObject) child = NULL, gone = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (remove_job (fixture, fixture->parents, derush_bullmq_job_get_id (job), &error));
  g_assert_no_error (error);
  child = get_job (fixture, fixture->children, "a");
  g_assert_cmpstr (derush_json_get_string (child, "state", NULL), ==, "waiting");

  derush_bullmq_queue_remove_unprocessed_children_async (fixture->parents, derush_bullmq_job_get_id (job), NULL,
                                                         on_result, fixture);
  result = wait_for (&fixture->results);
  g_assert_true (derush_bullmq_queue_remove_unprocessed_children_finish (fixture->parents, result, &error));
  g_assert_no_error (error);
  g_assert_null (get_job (fixture, fixture->children, "a"));
  derush_bullmq_job_fail (job, "cancelled", NULL, FALSE);
}

static void
test_remove_family (Fixture *fixture, gconstpointer data)
{
  g_autoptr (DerushBullmqJob) job = run_parent (fixture);
  g_autofree char *key = add_child (fixture, job, "a", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (wait_for_children (fixture, job, NULL), ==, DERUSH_BULLMQ_CHILDREN_WAITING);
  g_assert_true (remove_job (fixture, fixture->parents, derush_bullmq_job_get_id (job), &error));
  g_assert_no_error (error);
  g_assert_null (get_job (fixture, fixture->children, "a"));
  g_assert_null (get_job (fixture, fixture->parents, derush_bullmq_job_get_id (job)));
}

/* The worker goes away while Redis is silent; whatever is done in the callbacks then is harmless. */
static void
on_freed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  DerushBullmqJob *job = user_data;
  g_autoptr (GError) error = NULL;

  g_assert_false (g_task_propagate_boolean (G_TASK (result), &error));
  g_assert_nonnull (error);
  derush_bullmq_job_set_progress (job, "1");
  derush_bullmq_job_add_log (job, "a row");
  derush_bullmq_job_add_child_async (job, "children", "child", "{}", NULL, NULL, NULL, NULL);
}

static void
test_free_in_between (Fixture *fixture, gconstpointer data)
{
  g_autoptr (DerushBullmqJob) job = run_parent (fixture);
  g_autoptr (JsonObject) options = derush_json_parse_object ("{\"jobId\":\"a\"}", -1, NULL);

  test_server_signal (&fixture->server, SIGSTOP);
  derush_bullmq_job_update_data_async (job, "{}", NULL, on_freed, job);
  derush_bullmq_job_update_data_async (job, "[]", NULL, on_freed, job);
  derush_bullmq_job_add_child_async (job, "children", "child", "{}", options, NULL, on_result, fixture);
  derush_bullmq_job_get_children_async (job, NULL, on_result, fixture);
  derush_bullmq_job_wait_for_children_async (job, on_result, fixture);
  g_main_context_iteration (NULL, FALSE);
  derush_bullmq_worker_free (g_steal_pointer (&fixture->worker));
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GTask) task = wait_for (&fixture->results);

    g_assert_true (g_task_had_error (task));
  }
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_true (g_cancellable_is_cancelled (derush_bullmq_job_get_cancellable (job)));
  derush_bullmq_job_fail (job, "late", NULL, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
#define ADD(name, func) g_test_add ("/bullmq/children/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("a-parent-that-waits-is-not-held", test_wait);
  ADD ("after-it-waits-a-parent-is-nobodys", test_after_waiting);
  ADD ("new-data-is-stored-in-order", test_update);
  ADD ("what-is-being-run-is-not-removed", test_remove_busy);
  ADD ("a-parent-is-removed-with-its-children", test_remove_family);
  ADD ("freed-in-between-it-cancels", test_free_in_between);
  return g_test_run ();
}
