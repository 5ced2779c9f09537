/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/bullmq.h"

#include <glib-unix.h>
#include <stdlib.h>

/* A worker for tests: the job's data says how it ends. {do: ok | fail | fatal | slow | progress | giveback},
 * durationMs: how long it takes. QUEUE_NAME, WORKER_NAME, WORKER_CONCURRENCY and Derush's own settings come from the
 * environment. */
typedef struct {
  GMainLoop *loop;
  DerushBullmqWorker *worker;
} Program;

typedef struct {
  DerushBullmqJob *job;
  JsonObject *data;
  guint timer;
  gulong cancelled;
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

static void
process (DerushBullmqJob *job, gpointer user_data)
{
  g_autoptr (JsonObject) data = derush_json_parse_object (derush_bullmq_job_get_data (job), -1, NULL);
  Run *run = g_new0 (Run, 1);
  gint64 duration;

  run->job = job;
  run->data = data ? g_steal_pointer (&data) : json_object_new ();
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
