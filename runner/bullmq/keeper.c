/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <string.h>

#define MAX_PATIENCE_MS 15000

/* Renews the locks of running jobs from a thread with a main context and a connection of its own. */
struct _BullmqKeeper {
  DerushRedisAddress *address;
  char *base;
  gint64 lock_duration; /* ms */
  GMainContext *owner;  /* who hears of lost locks */
  GMainContext *loop;
  GMainLoop *main_loop;
  GThread *thread;

  GMutex mutex;
  GHashTable *renewed; /* job → monotonic time of its last renewal; guarded by @mutex */

  /* Of the thread alone. */
  BullmqConnection *connection;
  gboolean asking;
  gint64 asked;
};

typedef struct {
  BullmqKeeper *keeper;
  GPtrArray *jobs;
} Batch;

static const double bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

static DerushMetric *
renewal_seconds (void)
{
  return derush_metrics_histogram ("derush_lock_renewal_seconds",
                                   "How long Redis took to renew the locks of the running jobs.", bounds,
                                   G_N_ELEMENTS (bounds), NULL);
}

static DerushMetric *
locks_lost (void)
{
  return derush_metrics_counter ("derush_locks_lost_total", "Jobs that were stopped because their lock was lost.",
                                 NULL);
}

static gboolean
lose_in_owner (gpointer user_data)
{
  bullmq_job_lose (user_data, "its lock could not be renewed");
  return G_SOURCE_REMOVE;
}

static void
lose (BullmqKeeper *self, DerushBullmqJob *job)
{
  gboolean held;

  g_mutex_lock (&self->mutex);
  held = g_hash_table_contains (self->renewed, job);
  g_mutex_unlock (&self->mutex);
  if (!held)
    return;
  derush_metric_add (locks_lost (), 1, NULL);
  g_main_context_invoke_full (self->owner, G_PRIORITY_HIGH, lose_in_owner, derush_bullmq_job_ref (job),
                              (GDestroyNotify)derush_bullmq_job_unref);
}

static void
set_renewed (BullmqKeeper *self, DerushBullmqJob *job, gint64 time)
{
  gint64 *renewed;

  g_mutex_lock (&self->mutex);
  renewed = g_hash_table_lookup (self->renewed, job);
  if (renewed)
    *renewed = time;
  g_mutex_unlock (&self->mutex);
}

static gboolean
is_among (DerushBullmqJob *job, const redisReply *ids)
{
  for (gsize i = 0; i < ids->elements; i++)
    if (ids->element[i]->type == REDIS_REPLY_STRING &&
        bullmq_job_has_id (job, ids->element[i]->str, ids->element[i]->len))
      return TRUE;
  return FALSE;
}

static void
on_extended (const BullmqAnswer *said, gpointer user_data)
{
  Batch *batch = user_data;
  BullmqKeeper *self = batch->keeper;
  gint64 took = (g_get_monotonic_time () - self->asked) / 1000;

  self->asking = FALSE;
  if (said->reply)
    derush_metric_observe (renewal_seconds (), (g_get_monotonic_time () - self->asked) / (double)G_USEC_PER_SEC, NULL);
  if (said->reply && said->reply->type == REDIS_REPLY_ARRAY) {
    for (guint i = 0; i < batch->jobs->len; i++) {
      if (is_among (batch->jobs->pdata[i], said->reply))
        lose (self, batch->jobs->pdata[i]);
      else
        set_renewed (self, batch->jobs->pdata[i], self->asked);
    }
    if (took > self->lock_duration / 3)
      derush_log (DERUSH_LOG_WARN, NULL,
                  "Redis took %" G_GINT64_FORMAT " ms to renew locks that live %" G_GINT64_FORMAT
                  " ms: raise WORKER_LOCK_DURATION, or jobs may run twice",
                  took, self->lock_duration);
  } else if (said->error && !said->lost) {
    derush_log (DERUSH_LOG_ERROR, NULL, "Locks could not be renewed: %s", said->error->message);
  }
  g_ptr_array_unref (batch->jobs);
  g_free (batch);
}

static void
send_renewal (BullmqKeeper *self, GPtrArray *jobs)
{
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_EXTEND_LOCKS);
  g_auto (BullmqPack) tokens = {0}, ids = {0};
  Batch *batch = g_new0 (Batch, 1);

  bullmq_pack_init (&tokens);
  bullmq_pack_init (&ids);
  bullmq_pack_array (&tokens, jobs->len);
  bullmq_pack_array (&ids, jobs->len);
  for (guint i = 0; i < jobs->len; i++) {
    DerushBullmqJob *job = jobs->pdata[i];

    bullmq_pack_string (&tokens, job->token, -1);
    bullmq_pack_string (&ids, job->id, job->id_length);
  }
  bullmq_command_add_key (command, self->base, "stalled", -1);
  bullmq_command_add (command, self->base, -1);
  bullmq_command_add (command, tokens.buffer.data, tokens.buffer.size);
  bullmq_command_add (command, ids.buffer.data, ids.buffer.size);
  bullmq_command_add_int (command, self->lock_duration);
  command->patience = MIN (self->lock_duration / 2, MAX_PATIENCE_MS) * 1000;
  batch->keeper = self;
  batch->jobs = g_ptr_array_ref (jobs);
  self->asking = TRUE;
  self->asked = g_get_monotonic_time ();
  bullmq_connection_send (self->connection, command, BULLMQ_COMMAND_NONE, on_extended, batch);
}

static gboolean
renew (gpointer user_data)
{
  BullmqKeeper *self = user_data;
  g_autoptr (GPtrArray) due = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_bullmq_job_unref);
  gint64 before = g_get_monotonic_time () - self->lock_duration * 1000 / 8;
  GHashTableIter iter;
  gpointer job, renewed;

  if (self->asking || !bullmq_connection_is_ready (self->connection))
    return G_SOURCE_CONTINUE;
  g_mutex_lock (&self->mutex);
  g_hash_table_iter_init (&iter, self->renewed);
  while (g_hash_table_iter_next (&iter, &job, &renewed))
    if (*(gint64 *)renewed < before)
      g_ptr_array_add (due, derush_bullmq_job_ref (job));
  g_mutex_unlock (&self->mutex);
  if (due->len > 0)
    send_renewal (self, due);
  return G_SOURCE_CONTINUE;
}

static void
on_connection (BullmqConnection *connection, gboolean ready, gpointer user_data)
{
  if (ready)
    renew (user_data);
}

static gpointer
keeper_thread (gpointer data)
{
  BullmqKeeper *self = data;
  g_autoptr (GSource) timer = g_timeout_source_new (MAX (self->lock_duration / 4, 10));

  g_main_context_push_thread_default (self->loop);
  self->connection = bullmq_connection_new (self->address, NULL, on_connection, self);
  bullmq_connection_set_quiet (self->connection);
  bullmq_connection_open (self->connection);
  g_source_set_callback (timer, renew, self, NULL);
  g_source_attach (timer, self->loop);
  g_main_loop_run (self->main_loop);
  g_source_destroy (timer);
  bullmq_connection_close (self->connection);
  g_main_context_pop_thread_default (self->loop);
  return NULL;
}

/* Lost locks are told in the caller's thread-default main context. */
BullmqKeeper *
bullmq_keeper_new (const DerushRedisAddress *address, const char *base, gint64 lock_duration)
{
  BullmqKeeper *self = g_new0 (BullmqKeeper, 1);

  renewal_seconds ();
  locks_lost ();
  self->address = derush_redis_address_copy (address);
  self->base = g_strdup (base);
  self->lock_duration = lock_duration;
  self->owner = g_main_context_ref_thread_default ();
  self->loop = g_main_context_new ();
  self->main_loop = g_main_loop_new (self->loop, FALSE);
  g_mutex_init (&self->mutex);
  self->renewed = g_hash_table_new_full (NULL, NULL, (GDestroyNotify)derush_bullmq_job_unref, g_free);
  self->thread = g_thread_new ("bullmq-locks", keeper_thread, self);
  return self;
}

static gboolean
quit (gpointer user_data)
{
  g_main_loop_quit (user_data);
  return G_SOURCE_REMOVE;
}

void
bullmq_keeper_free (BullmqKeeper *self)
{
  g_autoptr (GSource) source = NULL;

  if (!self)
    return;
  /* From inside its loop, so that it also ends when the loop has not begun to run yet. */
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_HIGH);
  g_source_set_callback (source, quit, self->main_loop, NULL);
  g_source_attach (source, self->loop);
  g_thread_join (self->thread);
  g_main_loop_unref (self->main_loop);
  g_main_context_unref (self->loop);
  g_main_context_unref (self->owner);
  g_hash_table_unref (self->renewed);
  g_mutex_clear (&self->mutex);
  derush_redis_address_free (self->address);
  g_free (self->base);
  g_free (self);
}

void
bullmq_keeper_add (BullmqKeeper *self, DerushBullmqJob *job)
{
  gint64 *now = g_new (gint64, 1);

  *now = g_get_monotonic_time ();
  g_mutex_lock (&self->mutex);
  g_hash_table_replace (self->renewed, derush_bullmq_job_ref (job), now);
  g_mutex_unlock (&self->mutex);
}

void
bullmq_keeper_remove (BullmqKeeper *self, DerushBullmqJob *job)
{
  g_mutex_lock (&self->mutex);
  g_hash_table_remove (self->renewed, job);
  g_mutex_unlock (&self->mutex);
}
