/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/bullmq.h"

#include <glib-unix.h>
#include <stdlib.h>

/* A worker for tests: the job's data says how it ends. {do: ok | fail | fatal | slow | progress | giveback | delay |
 * parent}, durationMs: how long it takes. A parent stores its stage, adds `children` [{queue, name, data, options}], each
 * `times` times, waits for them and completes with what it read of them. QUEUE_NAME, WORKER_NAME, WORKER_CONCURRENCY and
 * Derush's own settings come from the environment. */
typedef struct {
  GMainLoop *loop;
  DerushBullmqWorker *worker;
} Program;

typedef struct {
  DerushBullmqJob *job;
  JsonObject *data;
  guint timer;
  gulong cancelled;
  guint n_missing;
  GError *error;
} Run;

static void
end_run (Run *run)
{
  DerushBullmqJob *job = run->job;
  const char *what = derush_json_get_string (run->data, "do", "");

  if (run->cancelled)
    g_cancellable_disconnect (derush_bullmq_job_get_cancellable (job), run->cancelled);
  if (g_str_equal (what, "ok") || g_str_equal (what, "slow") || g_str_equal (what, "progress"))
    derush_bullmq_job_complete (job, "{\"done\":true}");
  else if (g_str_equal (what, "fail"))
    derush_bullmq_job_fail (job, "asked to fail", "    at test", TRUE);
  else if (g_str_equal (what, "giveback"))
    derush_bullmq_job_give_back (job);
  else
    derush_bullmq_job_fail (job, "unusable data", NULL, FALSE);
  json_object_unref (run->data);
  derush_bullmq_job_unref (job);
  g_free (run);
}

static gboolean
on_timer (gpointer user_data)
{
  end_run (user_data);
  return G_SOURCE_REMOVE;
}

static gboolean
end_cancelled (gpointer user_data)
{
  Run *run = user_data;

  g_printerr ("cancelled %s\n", derush_bullmq_job_get_id (run->job));
  g_source_remove (run->timer);
  end_run (run);
  return G_SOURCE_REMOVE;
}

static void
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  g_idle_add (end_cancelled, user_data);
}

/* ── Jobs that come back: parents and delayed ones ──────────────────────── */

static void
free_run (Run *run)
{
  json_object_unref (run->data);
  derush_bullmq_job_unref (run->job);
  g_free (run);
}

static void
fail_run (Run *run, GError *error)
{
  g_printerr ("error %d of %s: %s\n", derush_error_get_class (error), derush_bullmq_job_get_id (run->job),
              error->message);
  derush_bullmq_job_fail (run->job, error->message, NULL, derush_error_get_class (error) == DERUSH_ERROR_RESOURCE);
  g_error_free (error);
  free_run (run);
}

static void
on_children (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;
  GError *error = NULL;
  g_autoptr (JsonObject) children = derush_bullmq_job_get_children_finish (run->job, result, &error);
  g_autoptr (JsonNode) node = NULL;
  g_autofree char *text = NULL;

  if (!children) {
    fail_run (run, error);
    return;
  }
  json_object_set_int_member (children, "stage", derush_json_get_int (run->data, "stage", 0));
  node = json_node_init_object (json_node_alloc (), children);
  text = derush_json_node_to_string (node);
  derush_bullmq_job_complete (run->job, text);
  free_run (run);
}

static void
on_waited (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;
  GError *error = NULL;

  switch (derush_bullmq_job_wait_for_children_finish (run->job, result, &error)) {
  case DERUSH_BULLMQ_CHILDREN_ERROR:
    fail_run (run, error);
    break;
  case DERUSH_BULLMQ_CHILDREN_WAITING:
    g_printerr ("waiting %s\n", derush_bullmq_job_get_id (run->job));
    free_run (run);
    break;
  case DERUSH_BULLMQ_CHILDREN_NONE_PENDING:
    derush_bullmq_job_get_children_async (run->job, NULL, on_children, run);
    break;
  }
}

static gboolean
wait_for_children (gpointer user_data)
{
  Run *run = user_data;

  derush_bullmq_job_wait_for_children_async (run->job, on_waited, run);
  return G_SOURCE_REMOVE;
}

static void
on_added (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;
  g_autofree char *key = derush_bullmq_job_add_child_finish (run->job, result, &run->error);

  if (key)
    g_printerr ("child %s\n", key);
  if (--run->n_missing > 0)
    return;
  if (run->error)
    fail_run (run, g_steal_pointer (&run->error));
  else
    g_timeout_add (derush_json_get_int (run->data, "durationMs", 0), wait_for_children, run);
}

static void
add_children (Run *run)
{
  JsonArray *children = derush_json_get_array (run->data, "children");
  guint n_children = children ? json_array_get_length (children) : 0;

  run->n_missing = 1;
  for (gint64 i = 0; i < derush_json_get_int (run->data, "times", 1) * n_children; i++) {
    JsonObject *child = json_array_get_object_element (children, i % n_children);
    g_autofree char *data = derush_json_node_to_string (json_object_get_member (child, "data"));

    run->n_missing++;
    derush_bullmq_job_add_child_async (run->job, json_object_get_string_member (child, "queue"), "child", data,
                                       json_object_get_object_member (child, "options"), NULL, on_added, run);
  }
  if (--run->n_missing == 0)
    wait_for_children (run);
}

static void
on_stored (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;
  GError *error = NULL;

  if (!derush_bullmq_job_update_data_finish (run->job, result, &error)) {
    fail_run (run, error);
  } else if (g_str_equal (derush_json_get_string (run->data, "do", ""), "parent")) {
    add_children (run);
  } else {
    derush_bullmq_job_delay (run->job, derush_json_get_int (run->data, "durationMs", 0));
    free_run (run);
  }
}

static void
run_stage (Run *run)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), run->data);
  gint64 stage = derush_json_get_int (run->data, "stage", 0) + 1;
  g_autofree char *text = NULL;

  json_object_set_int_member (run->data, "stage", stage);
  text = derush_json_node_to_string (node);
  if (stage > 1 && g_str_equal (derush_json_get_string (run->data, "do", ""), "delay")) {
    derush_bullmq_job_complete (run->job, "{\"done\":true}");
    free_run (run);
  } else {
    derush_bullmq_job_update_data_async (run->job, text, NULL, on_stored, run);
  }
}

static void
process (DerushBullmqJob *job, gpointer user_data)
{
  g_autoptr (JsonObject) data = derush_json_parse_object (derush_bullmq_job_get_data (job), -1, NULL);
  Run *run = g_new0 (Run, 1);
  gint64 duration;

  run->job = job;
  run->data = data ? g_steal_pointer (&data) : json_object_new ();
  if (g_str_equal (derush_json_get_string (run->data, "do", ""), "parent") ||
      g_str_equal (derush_json_get_string (run->data, "do", ""), "delay")) {
    run_stage (run);
    return;
  }
  duration = derush_json_get_int (run->data, "durationMs",
                                  g_str_equal (derush_json_get_string (run->data, "do", ""), "slow") ? 2500 : 0);
  if (g_str_equal (derush_json_get_string (run->data, "do", ""), "progress")) {
    for (guint i = 0; i <= 100; i += 10) {
      g_autofree char *progress = g_strdup_printf ("%u", i);

      derush_bullmq_job_set_progress (job, progress);
    }
    derush_bullmq_job_add_log (job, "a row");
  }
  if (duration == 0) {
    end_run (run);
    return;
  }
  run->timer = g_timeout_add (duration, on_timer, run);
  run->cancelled =
      g_cancellable_connect (derush_bullmq_job_get_cancellable (job), G_CALLBACK (on_cancelled), run, NULL);
}

static void
on_closed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Program *program = user_data;

  derush_bullmq_worker_close_finish (program->worker, result, NULL);
  g_main_loop_quit (program->loop);
}

static gboolean
on_term (gpointer user_data)
{
  Program *program = user_data;

  derush_bullmq_worker_close_async (program->worker, on_closed, program);
  return G_SOURCE_REMOVE;
}

int
main (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushConfig) config = derush_config_load (&error);
  g_autoptr (DerushRedisAddress) address = NULL;
  const char *concurrency = g_getenv ("WORKER_CONCURRENCY"), *queue = g_getenv ("QUEUE_NAME");
  Program program = {g_main_loop_new (NULL, FALSE)};
  DerushBullmqWorkerOptions options = {0};

  if (!config || !queue) {
    g_printerr ("%s\n", error ? error->message : "QUEUE_NAME is not set");
    return 2;
  }
  address = derush_redis_address_new_from_config (config);
  options.prefix = derush_config_get_string (config, "BULLMQ_PREFIX");
  options.queue = queue;
  options.name = g_getenv ("WORKER_NAME");
  options.concurrency = concurrency ? atoi (concurrency) : 1;
  options.lock_duration = derush_config_get_int (config, "WORKER_LOCK_DURATION");
  options.stalled_interval = derush_config_get_int (config, "WORKER_STALLED_INTERVAL");
  options.max_stalled_count = derush_config_get_int (config, "WORKER_MAX_STALLED_COUNT");
  options.max_metrics = derush_config_get_int (config, "WORKER_METRICS_MAX");
  options.limiter_max = derush_config_get_int (config, "WORKER_LIMITER_MAX");
  options.limiter_duration = derush_config_get_int (config, "WORKER_LIMITER_DURATION");
  program.worker = derush_bullmq_worker_new (address, &options, process, &program);
  g_unix_signal_add (SIGTERM, on_term, &program);
  derush_bullmq_worker_start (program.worker);
  g_main_loop_run (program.loop);
  derush_bullmq_worker_free (program.worker);
  g_main_loop_unref (program.loop);
  return 0;
}
