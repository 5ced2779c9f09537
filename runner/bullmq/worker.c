/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <string.h>

/* ── Helpers of the other files ─────────────────────────────────────────── */

DerushBullmqWorker *
bullmq_worker_ref (DerushBullmqWorker *self)
{
  g_ref_count_inc (&self->references);
  return self;
}

void
bullmq_worker_unref (DerushBullmqWorker *self)
{
  if (!g_ref_count_dec (&self->references))
    return;
  g_main_context_unref (self->loop);
  derush_redis_address_free (self->address);
  g_free (self->prefix);
  g_free (self->queue);
  g_free (self->name);
  g_free (self->base);
  g_free (self->uuid);
  g_clear_pointer (&self->remove_on_complete, json_object_unref);
  g_clear_pointer (&self->remove_on_fail, json_object_unref);
  g_hash_table_unref (self->jobs);
  g_free (self);
}

void
bullmq_worker_log (DerushBullmqWorker *self, DerushLogLevel level, DerushBullmqJob *job, const char *format, ...)
{
  JsonObject *fields = json_object_new ();
  g_autofree char *message = NULL;
  va_list args;

  json_object_set_string_member (fields, "queue", self->queue);
  if (job) {
    g_autofree char *id = g_utf8_make_valid (job->id, -1);

    json_object_set_string_member (fields, "jobId", id);
    if (job->name)
      json_object_set_string_member (fields, "jobType", job->name);
  }
  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  derush_log (level, fields, "%s", message);
}

void
bullmq_worker_clear_timer (GSource **timer)
{
  if (!*timer)
    return;
  g_source_destroy (*timer);
  g_clear_pointer (timer, g_source_unref);
}

void
bullmq_worker_set_timer (DerushBullmqWorker *self, GSource **timer, gint64 milliseconds, GSourceFunc func)
{
  bullmq_worker_clear_timer (timer);
  *timer = g_timeout_source_new (CLAMP (milliseconds, 1, G_MAXINT));
  g_source_set_callback (*timer, func, self, NULL);
  g_source_attach (*timer, self->loop);
}

/* The job has ended for this process: its place is free. */
void
bullmq_worker_release (DerushBullmqWorker *self, DerushBullmqJob *job)
{
  bullmq_keeper_remove (self->keeper, job);
  g_hash_table_remove (self->jobs, job);
}

static void
end_connections (DerushBullmqWorker *self)
{
  bullmq_worker_clear_timer (&self->limit_timer);
  bullmq_worker_clear_timer (&self->fetch_timer);
  bullmq_worker_clear_timer (&self->stalled_timer);
  bullmq_connection_close (g_steal_pointer (&self->waiter));
  bullmq_connection_close (g_steal_pointer (&self->commands));
  bullmq_keeper_free (g_steal_pointer (&self->keeper));
}

void
bullmq_worker_check_closed (DerushBullmqWorker *self)
{
  if (!self->closing || self->closed || self->freed || self->fetching || self->reclaiming ||
      g_hash_table_size (self->jobs) > 0)
    return;
  self->closed = TRUE;
  end_connections (self);
  if (self->close_task) {
    g_autoptr (GTask) task = g_steal_pointer (&self->close_task);

    g_task_return_boolean (task, TRUE);
  }
}

/* ── The server ─────────────────────────────────────────────────────────── */

static void
on_info (const BullmqAnswer *said, gpointer user_data)
{
  DerushBullmqWorker *self = user_data;
  BullmqServer server = {0};

  if (said->reply && said->reply->type == REDIS_REPLY_STRING && !self->freed) {
    bullmq_server_parse (&server, said->reply->str);
    if (self->server_version != server.version)
      bullmq_server_warn (&server, self->base);
    self->server_version = server.version;
    bullmq_server_clear (&server);
  }
  bullmq_worker_unref (self);
}

static void
on_time (const BullmqAnswer *said, gpointer user_data)
{
  DerushBullmqWorker *self = user_data;
  gint64 skew = said->reply ? bullmq_server_skew (said->reply, self->time_asked, derush_time_now_ms ()) : 0;

  if (ABS (skew) > 1000)
    bullmq_worker_log (self, DERUSH_LOG_WARN, NULL,
                       "The clock of this machine is %.1f s %s that of Redis: delayed jobs will run at the wrong time; "
                       "synchronise both",
                       ABS (skew) / 1000.0, skew > 0 ? "ahead of" : "behind");
  bullmq_worker_unref (self);
}

static void
ask_server (DerushBullmqWorker *self)
{
  bullmq_connection_send (self->commands, bullmq_command_new ("INFO"), BULLMQ_COMMAND_NONE, on_info,
                          bullmq_worker_ref (self));
  self->time_asked = derush_time_now_ms ();
  bullmq_connection_send (self->commands, bullmq_command_new ("TIME"), BULLMQ_COMMAND_NONE, on_time,
                          bullmq_worker_ref (self));
}

/* ── Stalled jobs ───────────────────────────────────────────────────────── */

static void
on_stalled (const BullmqAnswer *said, gpointer user_data)
{
  DerushBullmqWorker *self = user_data;
  const redisReply *reply = said->reply;

  if (said->error && !said->lost)
    bullmq_worker_log (self, DERUSH_LOG_ERROR, NULL, "Stalled jobs could not be looked for: %s", said->error->message);
  for (gsize i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
    g_autofree char *id = g_utf8_make_valid (reply->element[i]->str, reply->element[i]->len);

    bullmq_worker_log (self, DERUSH_LOG_WARN, NULL, "Job %s had stalled and waits again: its worker lost its lock", id);
  }
  bullmq_worker_unref (self);
}

static gboolean
look_for_stalled (gpointer user_data)
{
  static const char *const keys[] = {"stalled", "wait",   "active", "stalled-check", "meta",
                                     "paused",  "marker", "events", "repeat",        NULL};
  DerushBullmqWorker *self = user_data;
  BullmqCommand *command;

  if (!bullmq_connection_is_ready (self->commands) || self->paused)
    return G_SOURCE_CONTINUE;
  command = bullmq_command_new_script (BULLMQ_MOVE_STALLED_JOBS_TO_WAIT);
  bullmq_command_add_keys (command, self->base, keys);
  bullmq_command_add_int (command, self->max_stalled_count);
  bullmq_command_add (command, self->base, -1);
  bullmq_command_add_int (command, derush_time_now_ms ());
  bullmq_command_add_int (command, self->stalled_interval);
  bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, on_stalled, bullmq_worker_ref (self));
  return G_SOURCE_CONTINUE;
}

/* ── Connections ────────────────────────────────────────────────────────── */

static void
on_commands (BullmqConnection *connection, gboolean ready, gpointer user_data)
{
  DerushBullmqWorker *self = user_data;

  if (!ready)
    return;
  ask_server (self);
  if (!self->closing)
    look_for_stalled (self);
  /* Whatever happened meanwhile, its marker may be gone: look before waiting. */
  self->drained = FALSE;
  if (self->reply_lost)
    bullmq_fetch_reclaim (self);
  else
    bullmq_fetch_pump (self);
}

static void
on_waiter (BullmqConnection *connection, gboolean ready, gpointer user_data)
{
  DerushBullmqWorker *self = user_data;

  if (!ready)
    return;
  self->drained = FALSE;
  bullmq_fetch_pump (self);
}

/* The name by which BullMQ's `getWorkers()` and boards find the workers of a queue. */
static char *
client_name (DerushBullmqWorker *self)
{
  g_autofree char *queue = g_base64_encode ((const guchar *)self->queue, strlen (self->queue));

  return g_strconcat (self->prefix, ":", queue, self->name ? ":w:" : "", self->name, NULL);
}

/* ── Interface ──────────────────────────────────────────────────────────── */

/**
 * derush_bullmq_worker_new:
 * @address: the server
 * @options: what to work on, and how
 * @process: called for each job, in the main context that was thread-default when the worker was made
 * @user_data: for @process
 *
 * Makes a worker that does nothing yet. It connects, and fetches jobs, from derush_bullmq_worker_start() on; when the
 * server goes away, it comes back to it for ever.
 *
 * Returns: (transfer full): the worker
 */
DerushBullmqWorker *
derush_bullmq_worker_new (const DerushRedisAddress *address, const DerushBullmqWorkerOptions *options,
                          DerushBullmqProcess process, gpointer user_data)
{
  DerushBullmqWorker *self = g_new0 (DerushBullmqWorker, 1);
  g_autofree char *name = NULL;

  g_ref_count_init (&self->references);
  self->loop = g_main_context_ref_thread_default ();
  self->address = derush_redis_address_copy (address);
  self->prefix = g_strdup (options->prefix && *options->prefix ? options->prefix : "bull");
  self->queue = g_strdup (options->queue);
  self->name = options->name && *options->name ? g_strdup (options->name) : NULL;
  self->base = g_strconcat (self->prefix, ":", self->queue, ":", NULL);
  self->concurrency = MAX (options->concurrency, 1);
  self->lock_duration = options->lock_duration > 0 ? options->lock_duration : 30000;
  self->stalled_interval = options->stalled_interval > 0 ? options->stalled_interval : 30000;
  self->max_stalled_count = options->max_stalled_count;
  self->max_metrics = options->max_metrics;
  self->limiter_max = options->limiter_max;
  self->limiter_duration = options->limiter_duration;
  self->remove_on_complete = options->remove_on_complete ? json_object_ref (options->remove_on_complete) : NULL;
  self->remove_on_fail = options->remove_on_fail ? json_object_ref (options->remove_on_fail) : NULL;
  self->process = process;
  self->user_data = user_data;
  self->uuid = g_uuid_string_random ();
  self->jobs = g_hash_table_new_full (NULL, NULL, (GDestroyNotify)derush_bullmq_job_unref, NULL);
  name = client_name (self);
  self->commands = bullmq_connection_new (address, NULL, on_commands, self);
  self->waiter = bullmq_connection_new (address, name, on_waiter, self);
  bullmq_connection_set_quiet (self->waiter);
  return self;
}

/**
 * derush_bullmq_worker_free:
 * @worker: (nullable): a worker
 *
 * Ends a worker at once. Jobs that have not been ended stay active in Redis until another worker finds them stalled; their
 * cancellables are cancelled. To end well, use derush_bullmq_worker_close_async() first.
 */
void
derush_bullmq_worker_free (DerushBullmqWorker *self)
{
  g_autoptr (GList) jobs = NULL;

  if (!self)
    return;
  self->freed = self->closing = TRUE;
  jobs = g_hash_table_get_keys (self->jobs);
  for (GList *link = jobs; link; link = link->next)
    derush_bullmq_job_ref (link->data);
  end_connections (self);
  g_hash_table_remove_all (self->jobs);
  for (GList *link = jobs; link; link = link->next) {
    DerushBullmqJob *job = link->data;

    job->worker = NULL;
    if (!job->ended)
      g_cancellable_cancel (job->cancellable);
    derush_bullmq_job_unref (job);
  }
  if (self->close_task) {
    g_autoptr (GTask) task = g_steal_pointer (&self->close_task);

    g_task_return_new_error (task, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_CANCELLED, "The worker was freed");
  }
  bullmq_worker_unref (self);
}

/**
 * derush_bullmq_worker_start:
 * @worker: a worker that was not started before
 *
 * Connects, and fetches jobs as soon as Redis answers. It may only be called once, and not after derush_bullmq_worker_close_async().
 */
void
derush_bullmq_worker_start (DerushBullmqWorker *self)
{
  g_return_if_fail (!self->started && !self->closing);
  self->started = TRUE;
  self->keeper = bullmq_keeper_new (self->address, self->base, self->lock_duration);
  bullmq_worker_set_timer (self, &self->stalled_timer, self->stalled_interval, look_for_stalled);
  bullmq_connection_open (self->commands);
  bullmq_connection_open (self->waiter);
}

/**
 * derush_bullmq_worker_set_concurrency:
 * @worker: a worker
 * @concurrency: jobs at once; 0: none is fetched until there may be some again
 *
 * Running jobs go on.
 */
void
derush_bullmq_worker_set_concurrency (DerushBullmqWorker *self, guint concurrency)
{
  gboolean more = concurrency > self->concurrency;

  self->concurrency = concurrency;
  if (!more)
    return;
  self->drained = FALSE;
  bullmq_fetch_pump (self);
}

/**
 * derush_bullmq_worker_pause:
 * @worker: a worker
 *
 * Fetches no more until derush_bullmq_worker_resume(); running jobs go on. Other workers of the queue are not concerned.
 */
void
derush_bullmq_worker_pause (DerushBullmqWorker *self)
{
  self->paused = TRUE;
}

/**
 * derush_bullmq_worker_resume:
 * @worker: a worker
 *
 * Fetches jobs again after derush_bullmq_worker_pause().
 */
void
derush_bullmq_worker_resume (DerushBullmqWorker *self)
{
  if (!self->paused)
    return;
  self->paused = FALSE;
  self->drained = FALSE;
  bullmq_fetch_pump (self);
}

/**
 * derush_bullmq_worker_close_async:
 * @worker: a worker
 * @callback: called when it is closed
 * @user_data: for @callback
 *
 * Fetches nothing more; calls back when the last running job has ended and Redis knows it. A job that was already on its
 * way is given back. Locks are renewed to the end. While the server is away, this waits for it.
 */
void
derush_bullmq_worker_close_async (DerushBullmqWorker *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, user_data);

  g_return_if_fail (self->close_task == NULL);
  g_task_set_source_tag (task, derush_bullmq_worker_close_async);
  if (self->closed) {
    g_task_return_boolean (task, TRUE);
    return;
  }
  self->close_task = g_steal_pointer (&task);
  self->closing = TRUE;
  bullmq_worker_clear_timer (&self->limit_timer);
  bullmq_worker_clear_timer (&self->fetch_timer);
  bullmq_worker_clear_timer (&self->stalled_timer);
  bullmq_connection_close (g_steal_pointer (&self->waiter));
  bullmq_worker_check_closed (self);
}

/**
 * derush_bullmq_worker_close_finish:
 * @worker: a worker
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: %TRUE if every running job has ended
 */
gboolean
derush_bullmq_worker_close_finish (DerushBullmqWorker *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * derush_bullmq_worker_get_running:
 * @worker: a worker
 *
 * Returns: the number of jobs that this worker holds
 */
guint
derush_bullmq_worker_get_running (DerushBullmqWorker *self)
{
  return g_hash_table_size (self->jobs);
}

/**
 * derush_bullmq_worker_is_connected:
 * @worker: a worker
 *
 * Returns: whether the server answers
 */
gboolean
derush_bullmq_worker_is_connected (DerushBullmqWorker *self)
{
  return bullmq_connection_is_ready (self->commands);
}
