/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What Prometheus is told of jobs and queues. Queues are asked from time to time, so that reading the metrics never waits for
 * Redis nor for a disk. */

#include "daemon-private.h"

#include <string.h>
#include <sys/statvfs.h>

#define INTERVAL 5 /* s */

static const double duration_bounds[] = {0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200};
static const double wait_bounds[] = {0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400};

static const char *const queue_states[] = {"waiting", "active",      "completed",       "failed",
                                           "delayed", "prioritized", "waiting-children"};

/* ── Jobs ───────────────────────────────────────────────────────────────── */

/* Names of jobs that are no types come from whoever adds jobs: there may be any number of them. */
static const char *
known_type (const char *type)
{
  return type && g_strv_contains (derush_job_types (), type) ? type : "unknown";
}

static DerushMetric *
jobs_total (void)
{
  return derush_metrics_counter (
      "derush_jobs_total",
      "Attempts of jobs that have ended here, by how: completed, failed, retried (failed, to "
      "be tried again), delayed (until its models answer), cancelled, given-back, lost.",
      "queue", "type", "state", NULL);
}

static DerushMetric *
job_failures (void)
{
  return derush_metrics_counter ("derush_job_failures_total", "Failed attempts of jobs, by the class of the error.",
                                 "queue", "type", "class", NULL);
}

static DerushMetric *
job_duration (void)
{
  return derush_metrics_histogram ("derush_job_duration_seconds", "How long attempts of jobs took.", duration_bounds,
                                   G_N_ELEMENTS (duration_bounds), "queue", "type", "state", NULL);
}

static DerushMetric *
jobs_running (void)
{
  return derush_metrics_gauge ("derush_jobs_running", "Jobs that run here now.", "queue", "type", NULL);
}

static DerushMetric *
job_wait (void)
{
  return derush_metrics_histogram ("derush_job_wait_seconds",
                                   "How long jobs waited for their first attempt, without the delay they asked for.",
                                   wait_bounds, G_N_ELEMENTS (wait_bounds), "queue", NULL);
}

/* The backend's own dashboard reads this one. */
static DerushMetric *
exports_total (void)
{
  return derush_metrics_counter ("video_export_jobs_total", "VIDEO_PROCESSING jobs that have ended, by how.", "status",
                                 NULL);
}

static DerushDaemonEndedFunc ended_func;
static gpointer ended_data;

void
derush_daemon_metrics_listen (DerushDaemonEndedFunc func, gpointer user_data)
{
  ended_func = func;
  ended_data = user_data;
}

void
derush_daemon_metrics_job_taken (DerushBullmqJob *job)
{
  gint64 waited = derush_time_now_ms () - derush_bullmq_job_get_timestamp (job) -
                  derush_json_get_int (derush_bullmq_job_get_opts (job), "delay", 0);

  if (derush_bullmq_job_get_attempts_made (job) == 0)
    derush_metric_observe (job_wait (), MAX (waited, 0) / 1000.0, derush_bullmq_job_get_queue (job), NULL);
}

void
derush_daemon_metrics_job_runs (DerushBullmqJob *job, const char *type, gboolean runs)
{
  derush_metric_add (jobs_running (), runs ? 1 : -1, derush_bullmq_job_get_queue (job), known_type (type), NULL);
}

void
derush_daemon_metrics_job_ended (DerushBullmqJob *job, const char *type, const char *state, gint64 duration_ms)
{
  const char *queue = derush_bullmq_job_get_queue (job), *known = known_type (type);

  derush_metric_add (jobs_total (), 1, queue, known, state, NULL);
  derush_metric_observe (job_duration (), duration_ms / 1000.0, queue, known, state, NULL);
  if (strcmp (known, "VIDEO_PROCESSING") == 0)
    derush_metric_add (exports_total (), 1, state, NULL);
  if (ended_func)
    ended_func (job, known, state, duration_ms, ended_data);
}

void
derush_daemon_metrics_job_failed (DerushBullmqJob *job, const char *type, DerushErrorClass error_class,
                                  gboolean will_retry, gint64 duration_ms)
{
  const char *state = will_retry ? "retried" : error_class == DERUSH_ERROR_CANCELLED ? "cancelled" : "failed";

  derush_daemon_metrics_job_ended (job, type, state, duration_ms);
  if (error_class != DERUSH_ERROR_CANCELLED)
    derush_metric_add (job_failures (), 1, derush_bullmq_job_get_queue (job), known_type (type),
                       derush_error_class_to_string (error_class), NULL);
}

/* ── Queues ─────────────────────────────────────────────────────────────── */

static DerushMetric *
queue_jobs (void)
{
  return derush_metrics_gauge ("derush_queue_jobs",
                               "Jobs in the queue, by their state in Redis, as last heard (see "
                               "derush_queue_last_answer_timestamp_seconds).",
                               "queue", "state", NULL);
}

static DerushMetric *
queue_paused (void)
{
  return derush_metrics_gauge ("derush_queue_paused", "Whether the queue is paused: 1 or 0.", "queue", NULL);
}

static DerushMetric *
queue_concurrency (void)
{
  return derush_metrics_gauge ("derush_queue_concurrency", "Jobs of the queue that may run here at once.", "queue",
                               NULL);
}

static DerushMetric *
queue_answered (void)
{
  return derush_metrics_gauge ("derush_queue_last_answer_timestamp_seconds",
                               "When Redis last told how the queue is, in seconds since 1970.", "queue", NULL);
}

static DerushMetric *
redis_round_trip (void)
{
  return derush_metrics_gauge ("derush_redis_round_trip_seconds", "How long Redis last took to tell how the queue is.",
                               "queue", NULL);
}

static DerushMetric *
disk_free (void)
{
  return derush_metrics_gauge ("derush_disk_free_bytes", "Space that is free where the daemon keeps its files.",
                               "folder", NULL);
}

typedef struct {
  DerushDaemonMetrics *metrics;
  char *name;
  guint waiting; /* jobs that could begin */
  gint64 asked;  /* 0: nothing is asked */
} Watched;

struct _DerushDaemonMetrics {
  gatomicrefcount references;
  DerushDaemon *daemon; /* NULL when it has ended */
  GPtrArray *queues;    /* of Watched */
  guint timer;
};

static void
watched_free (gpointer data)
{
  Watched *watched = data;

  g_free (watched->name);
  g_free (watched);
}

static void
metrics_unref (DerushDaemonMetrics *self)
{
  if (!g_atomic_ref_count_dec (&self->references))
    return;
  g_ptr_array_unref (self->queues);
  g_free (self);
}

static void
on_counts (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Watched *watched = user_data;
  DerushDaemonMetrics *self = watched->metrics;
  g_autoptr (JsonObject) counts = NULL;
  double took = (g_get_monotonic_time () - watched->asked) / (double)G_USEC_PER_SEC;

  watched->asked = 0;
  if (self->daemon)
    counts =
        derush_bullmq_queue_get_counts_finish (derush_daemon_get_queue (self->daemon, watched->name), result, NULL);
  if (counts) {
    for (guint i = 0; i < G_N_ELEMENTS (queue_states); i++)
      derush_metric_set (queue_jobs (), derush_json_get_int (counts, queue_states[i], 0), watched->name,
                         queue_states[i], NULL);
    watched->waiting =
        derush_json_get_boolean (counts, "paused", FALSE)
            ? 0
            : derush_json_get_int (counts, "waiting", 0) + derush_json_get_int (counts, "prioritized", 0);
    derush_metric_set (queue_paused (), derush_json_get_boolean (counts, "paused", FALSE), watched->name, NULL);
    derush_metric_set (queue_answered (), derush_time_now_ms () / 1000.0, watched->name, NULL);
    derush_metric_set (redis_round_trip (), took, watched->name, NULL);
  }
  metrics_unref (self);
}

static void
look_at_queue (Watched *watched)
{
  DerushDaemonMetrics *self = watched->metrics;

  /* While Redis hangs one question waits, not one more every time. */
  if (watched->asked)
    return;
  watched->asked = g_get_monotonic_time ();
  g_atomic_ref_count_inc (&self->references);
  derush_bullmq_queue_get_counts_async (derush_daemon_get_queue (self->daemon, watched->name), NULL, on_counts,
                                        watched);
}

static void
look_at_folder (DerushConfig *config, const char *setting, const char *folder)
{
  struct statvfs status;

  if (statvfs (derush_config_get_string (config, setting), &status) == 0)
    derush_metric_set (disk_free (), (double)status.f_bavail * status.f_frsize, folder, NULL);
  else
    derush_metric_forget (disk_free (), folder, NULL);
}

/* A network file system may hang. */
static void
look_at_disk (GTask *task, gpointer source, gpointer config, GCancellable *cancellable)
{
  look_at_folder (config, "DERUSH_OUTPUT_DIR", "outputs");
  look_at_folder (config, "DERUSH_STATE_DIR", "state");
  look_at_folder (config, "DERUSH_SCRATCH", "scratch");
  look_at_folder (config, "DERUSH_CACHE", "cache");
  g_task_return_boolean (task, TRUE);
}

static gboolean
look (gpointer user_data)
{
  DerushDaemonMetrics *self = user_data;
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);

  for (guint i = 0; i < self->queues->len; i++)
    look_at_queue (self->queues->pdata[i]);
  g_task_set_task_data (task, derush_config_ref (self->daemon->config), (GDestroyNotify)derush_config_unref);
  g_task_run_in_thread (task, look_at_disk);
  return G_SOURCE_CONTINUE;
}

void
derush_daemon_metrics_set_concurrency (const char *queue, guint concurrency)
{
  derush_metric_set (queue_concurrency (), concurrency, queue, NULL);
}

guint
derush_daemon_metrics_get_waiting (DerushDaemonMetrics *self, const char *queue)
{
  for (guint i = 0; i < self->queues->len; i++) {
    Watched *watched = self->queues->pdata[i];

    if (strcmp (watched->name, queue) == 0)
      return watched->waiting;
  }
  return 0;
}

DerushDaemonMetrics *
derush_daemon_metrics_new (DerushDaemon *daemon, GPtrArray *settings)
{
  DerushDaemonMetrics *self = g_new0 (DerushDaemonMetrics, 1);

  g_atomic_ref_count_init (&self->references);
  self->daemon = daemon;
  self->queues = g_ptr_array_new_with_free_func (watched_free);
  for (guint i = 0; i < settings->len; i++) {
    DerushQueueSetting *setting = settings->pdata[i];
    Watched *watched = g_new0 (Watched, 1);

    watched->metrics = self;
    watched->name = g_strdup (setting->name);
    g_ptr_array_add (self->queues, watched);
    derush_daemon_metrics_set_concurrency (setting->name, setting->concurrency);
  }
  derush_steps_register_metrics ();
  look (self);
  self->timer = g_timeout_add_seconds (INTERVAL, look, self);
  return self;
}

void
derush_daemon_metrics_free (DerushDaemonMetrics *self)
{
  g_clear_handle_id (&self->timer, g_source_remove);
  self->daemon = NULL;
  metrics_unref (self);
}
