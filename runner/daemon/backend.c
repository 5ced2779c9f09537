/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What the daemon tells of itself over HTTP. All of it is known here: nothing waits for Redis, a database or a disk. */

#include "daemon-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MINUTES 60
#define MAX_DURATIONS 1000

struct _DerushDaemonBackend {
  DerushDaemon *daemon;
  GPtrArray *queues; /* of DerushDaemonQueue */
  const DerushDaemonProgram *program;
  DerushDaemonDisk *disk;
  gint64 began; /* monotonic, in µs */
  gboolean draining;
  DerushHttpServer *http;

  GHashTable *types;  /* type → (state → number) */
  GArray *durations;  /* of the last jobs that completed, in ms */
  guint next;         /* which of them is replaced */
  guint64 n_duration; /* since the start */
  double sum;
  guint ended[MINUTES]; /* by the minute, a ring */
  gint64 minute;        /* the last one that has a number in it */
};

/* ── What has ended ─────────────────────────────────────────────────────── */

/* Makes place for the minutes since something was counted. */
static void
advance (DerushDaemonBackend *self)
{
  gint64 now = (g_get_monotonic_time () - self->began) / (60 * G_USEC_PER_SEC);

  for (gint64 m = MAX (self->minute + 1, now - MINUTES + 1); m <= now; m++)
    self->ended[m % MINUTES] = 0;
  self->minute = now;
}

static void
count (DerushDaemonBackend *self, const char *type, const char *state)
{
  JsonObject *states = g_hash_table_lookup (self->types, type);

  if (!states) {
    states = json_object_new ();
    g_hash_table_insert (self->types, g_strdup (type), states);
  }
  json_object_set_int_member (states, state, derush_json_get_int (states, state, 0) + 1);
}

static void
on_job_ended (DerushBullmqJob *job, const char *type, const char *state, gint64 duration, gpointer user_data)
{
  DerushDaemonBackend *self = user_data;
  g_autoptr (JsonObject) event = json_object_new ();
  g_autofree char *id = g_utf8_make_valid (derush_bullmq_job_get_id (job), -1);
  double ms = duration;

  count (self, type, state);
  if (strcmp (state, "completed") == 0) {
    advance (self);
    self->ended[self->minute % MINUTES]++;
    self->sum += ms;
    self->n_duration++;
    if (self->durations->len < MAX_DURATIONS)
      g_array_append_val (self->durations, ms);
    else
      g_array_index (self->durations, double, self->next++ % MAX_DURATIONS) = ms;
  }
  json_object_set_string_member (event, "id", id);
  json_object_set_string_member (event, "queue", derush_bullmq_job_get_queue (job));
  json_object_set_string_member (event, "type", type);
  json_object_set_string_member (event, "state", state);
  json_object_set_int_member (event, "duration", duration);
  derush_http_server_publish (self->http, "job", event);
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *)a, y = *(const double *)b;

  return x < y ? -1 : x > y;
}

static JsonObject *
describe_latency (DerushDaemonBackend *self)
{
  JsonObject *latency = json_object_new ();
  g_autoptr (GArray) sorted = g_array_copy (self->durations);

  g_array_sort (sorted, compare_doubles);
  json_object_set_double_member (latency, "mean", self->n_duration ? self->sum / self->n_duration : 0);
  json_object_set_double_member (
      latency, "p95", sorted->len ? g_array_index (sorted, double, (guint)((sorted->len - 1) * 0.95 + 0.5)) : 0);
  return latency;
}

static double
uptime_of (DerushDaemonBackend *self)
{
  return (g_get_monotonic_time () - self->began) / (double)G_USEC_PER_SEC;
}

static JsonObject *
get_statistics (gpointer data)
{
  DerushDaemonBackend *self = data;
  JsonObject *said = json_object_new (), *by_type = json_object_new (), *throughput = json_object_new ();
  gint64 completed = 0, failed = 0;
  guint hour = 0;
  GHashTableIter iter;
  gpointer type, states;

  g_hash_table_iter_init (&iter, self->types);
  while (g_hash_table_iter_next (&iter, &type, &states)) {
    g_autofree char *text = derush_json_object_to_string (states);

    completed += derush_json_get_int (states, "completed", 0);
    failed += derush_json_get_int (states, "failed", 0);
    json_object_set_object_member (by_type, type, derush_json_parse_object (text, -1, NULL));
  }
  advance (self);
  for (guint i = 0; i < MINUTES; i++)
    hour += self->ended[i];
  json_object_set_double_member (throughput, "jobsPerMinute", hour / CLAMP (uptime_of (self) / 60, 1, MINUTES));
  json_object_set_int_member (throughput, "lastHour", hour);
  json_object_set_double_member (said, "uptime", uptime_of (self));
  json_object_set_object_member (said, "byType", by_type);
  json_object_set_object_member (said, "throughput", throughput);
  json_object_set_object_member (said, "latency", describe_latency (self));
  json_object_set_double_member (said, "failureRate", completed + failed ? failed / (double)(completed + failed) : 0);
  return said;
}

/* ── What is running ────────────────────────────────────────────────────── */

static JsonObject *
get_health (gpointer data)
{
  DerushDaemonBackend *self = data;

  return derush_daemon_get_health (self->daemon, self->queues, self->disk, uptime_of (self));
}

static JsonObject *
get_status (gpointer data)
{
  DerushDaemonBackend *self = data;
  JsonObject *status = json_object_new (), *queues = json_object_new ();

  for (guint i = 0; i < self->queues->len; i++) {
    JsonObject *queue = json_object_new ();

    json_object_set_int_member (queue, "concurrency", derush_daemon_queue_get_concurrency (self->queues->pdata[i]));
    json_object_set_int_member (queue, "active", derush_daemon_queue_get_n_running (self->queues->pdata[i]));
    json_object_set_boolean_member (queue, "pausedHere", derush_daemon_queue_is_paused (self->queues->pdata[i]));
    json_object_set_object_member (queues, derush_daemon_queue_get_name (self->queues->pdata[i]), queue);
  }
  json_object_set_boolean_member (status, "running", TRUE);
  json_object_set_boolean_member (status, "draining", self->draining);
  json_object_set_string_member (status, "host", g_get_host_name ());
  json_object_set_int_member (status, "pid", getpid ());
  json_object_set_string_member (status, "version", PACKAGE_VERSION);
  json_object_set_double_member (status, "uptime", uptime_of (self));
  json_object_set_object_member (status, "queues", queues);
  json_object_set_object_member (status, "admission", derush_daemon_governor_describe (self->daemon->governor));
  json_object_set_object_member (status, "workers", derush_daemon_describe_workers (self->queues));
  return status;
}

static void
command_async (gpointer data, const char *verb, JsonObject *arguments, GCancellable *cancellable,
               GAsyncReadyCallback callback, gpointer user_data)
{
  DerushDaemonBackend *self = data;

  derush_daemon_command_async (self->daemon, self->queues, self->program, verb, arguments, cancellable, callback,
                               user_data);
}

static JsonObject *
command_finish (gpointer data, GAsyncResult *result, GError **error)
{
  return derush_daemon_command_finish (result, error);
}

static const DerushHttpBackend backend = {
    .get_health = get_health,
    .get_status = get_status,
    .get_statistics = get_statistics,
    .command_async = command_async,
    .command_finish = command_finish,
};

gboolean
derush_daemon_backend_start (DerushDaemon *daemon, GPtrArray *queues, const DerushDaemonProgram *program,
                             DerushDaemonBackend **started, GError **error)
{
  DerushDaemonBackend *self = g_new0 (DerushDaemonBackend, 1);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) names = NULL;
  GError *local = NULL;

  self->daemon = daemon;
  self->queues = queues;
  self->program = program;
  self->disk = derush_daemon_disk_new (daemon);
  self->began = g_get_monotonic_time ();
  self->types = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_object_unref);
  self->durations = g_array_new (FALSE, FALSE, sizeof (double));
  *started = self;
  for (guint i = 0; i < queues->len; i++)
    g_strv_builder_add (builder, derush_daemon_queue_get_name (queues->pdata[i]));
  names = g_strv_builder_end (builder);
  derush_daemon_metrics_listen (on_job_ended, self);
  self->http = derush_http_server_new (daemon->config, daemon->store, daemon->address, (const char *const *)names,
                                       &backend, self, &local);
  if (!local)
    return TRUE;
  g_propagate_error (error, local);
  return FALSE;
}

void
derush_daemon_backend_set_draining (DerushDaemonBackend *self)
{
  self->draining = TRUE;
}

void
derush_daemon_backend_free (DerushDaemonBackend *self)
{
  derush_daemon_metrics_listen (NULL, NULL);
  derush_http_server_free (self->http);
  derush_daemon_disk_free (self->disk);
  g_hash_table_unref (self->types);
  g_array_unref (self->durations);
  g_free (self);
}
