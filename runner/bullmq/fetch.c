/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* As in BullMQ. Redis before 7.0.8 takes a wait under 2 ms for one without end. */
#define DRAIN_DELAY_MS 5000
#define MIN_BLOCK_MS 2
#define MAX_BLOCK_MS 10000
#define MAX_LIMIT_MS 30000
#define BLOCK_GRACE_MS 2000
#define FIRST_FAILURE_MS 1000
#define LAST_FAILURE_MS 15000
#define MAX_RECLAIMED 1000

static void
accept_job (DerushBullmqWorker *self, DerushBullmqJob *job)
{
  g_hash_table_add (self->jobs, job);
  bullmq_keeper_add (self->keeper, job);
  if (self->closing || self->paused) {
    job->ended = TRUE;
    bullmq_finish_give_back (job);
  } else if (job->scheduler) {
    bullmq_scheduler_advance (self, job);
  } else {
    bullmq_fetch_run (self, job);
  }
}

void
bullmq_fetch_run (DerushBullmqWorker *self, DerushBullmqJob *job)
{
  if (job->deferred_failure) {
    job->ended = TRUE;
    bullmq_finish_failed (job, job->deferred_failure, NULL, FALSE);
  } else if (!job->name || !job->data) {
    job->ended = TRUE;
    bullmq_finish_failed (job,
                          _ ("The job's name or data is gone from Redis, deleted or evicted for lack of memory; set "
                             "maxmemory-policy to noeviction"),
                          NULL, FALSE);
  } else {
    self->process (derush_bullmq_job_ref (job), self->user_data);
  }
}

/* ── Looking ────────────────────────────────────────────────────────────── */

void
bullmq_pack_fetch_options (DerushBullmqWorker *self, BullmqPack *pack, const char *token)
{
  bullmq_pack_string (pack, "token", -1);
  bullmq_pack_string (pack, token, -1);
  bullmq_pack_string (pack, "lockDuration", -1);
  bullmq_pack_int (pack, self->lock_duration);
  bullmq_pack_string (pack, "limiter", -1);
  if (self->limiter_max > 0) {
    bullmq_pack_map (pack, 2);
    bullmq_pack_string (pack, "max", -1);
    bullmq_pack_int (pack, self->limiter_max);
    bullmq_pack_string (pack, "duration", -1);
    bullmq_pack_int (pack, self->limiter_duration);
  } else {
    bullmq_pack_nil (pack);
  }
  bullmq_pack_string (pack, "name", -1);
  bullmq_pack_string (pack, self->name, -1);
}

static gint64
integer_of (const redisReply *reply)
{
  if (reply->type == REDIS_REPLY_INTEGER)
    return reply->integer;
  return reply->type == REDIS_REPLY_STRING ? (gint64)strtod (reply->str, NULL) : 0;
}

/* What the scripts that fetch answer: 0, or [hash, id, ms to wait for the rate limit, time of the next delayed job]. */
void
bullmq_fetch_take_reply (DerushBullmqWorker *self, const redisReply *reply, const char *token)
{
  gboolean complete = reply->type == REDIS_REPLY_ARRAY && reply->elements >= 4;
  gint64 limit = complete ? integer_of (reply->element[2]) : 0, next = complete ? integer_of (reply->element[3]) : 0;

  self->limit_until = limit > 0 ? derush_time_now_ms () + limit : 0;
  self->block_until = MAX (next, 0);
  self->drained = TRUE;
  if (complete && reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[1]->type == REDIS_REPLY_STRING) {
    self->drained = FALSE;
    accept_job (self, bullmq_job_new (self, reply->element[0], reply->element[1]->str, reply->element[1]->len, token));
  }
}

static gboolean
on_fetch_timer (gpointer user_data)
{
  DerushBullmqWorker *self = user_data;

  bullmq_worker_clear_timer (&self->fetch_timer);
  bullmq_fetch_pump (self);
  return G_SOURCE_REMOVE;
}

static void
fetch_failed (DerushBullmqWorker *self, const GError *error)
{
  gint64 pause = MIN (FIRST_FAILURE_MS << MIN (self->fetch_failures, 5), LAST_FAILURE_MS);

  bullmq_worker_log (self, self->fetch_failures == 0 ? DERUSH_LOG_ERROR : DERUSH_LOG_DEBUG, NULL,
                     "No job can be fetched, trying again: %s", error->message);
  self->fetch_failures++;
  self->drained = FALSE;
  bullmq_worker_set_timer (self, &self->fetch_timer, pause, on_fetch_timer);
}

typedef struct {
  DerushBullmqWorker *worker;
  char *token;
} Look;

static void
on_looked (const BullmqAnswer *said, gpointer user_data)
{
  Look *look = user_data;
  DerushBullmqWorker *self = look->worker;

  self->fetching = FALSE;
  if (self->freed) {
    /* Nobody waits for the answer. */
  } else if (said->lost) {
    self->reply_lost = TRUE;
  } else if (said->error) {
    if (!self->closing)
      fetch_failed (self, said->error);
  } else {
    self->fetch_failures = 0;
    bullmq_fetch_take_reply (self, said->reply, look->token);
    bullmq_fetch_pump (self);
  }
  bullmq_worker_check_closed (self);
  g_free (look->token);
  g_free (look);
  bullmq_worker_unref (self);
}

static void
look_now (DerushBullmqWorker *self)
{
  static const char *const keys[] = {"wait",    "active", "prioritized", "events", "stalled", "limiter",
                                     "delayed", "paused", "meta",        "pc",     "marker",  NULL};
  BullmqCommand *command;
  Look *look;
  g_auto (BullmqPack) options = {0};

  if (!bullmq_connection_is_ready (self->commands))
    return;
  look = g_new0 (Look, 1);
  look->worker = bullmq_worker_ref (self);
  look->token = g_strdup_printf ("%s:%" G_GUINT64_FORMAT, self->uuid, self->n_tokens++);
  bullmq_pack_init (&options);
  bullmq_pack_map (&options, 4);
  bullmq_pack_fetch_options (self, &options, look->token);
  command = bullmq_command_new_script (BULLMQ_MOVE_TO_ACTIVE);
  bullmq_command_add_keys (command, self->base, keys);
  bullmq_command_add (command, self->base, -1);
  bullmq_command_add_int (command, derush_time_now_ms ());
  bullmq_command_add (command, options.buffer.data, options.buffer.size);
  self->fetching = TRUE;
  bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, on_looked, look);
}

/* ── Waiting ────────────────────────────────────────────────────────────── */

static void
on_waited (const BullmqAnswer *said, gpointer user_data)
{
  DerushBullmqWorker *self = user_data;
  const redisReply *reply = said->reply;
  gint64 until = 0, before = self->block_until;

  self->waiting = FALSE;
  if (self->freed || self->closing || said->lost) {
    bullmq_worker_unref (self);
    return;
  }
  self->block_until = 0;
  if (said->error) {
    fetch_failed (self, said->error);
    bullmq_worker_unref (self);
    return;
  }
  /* [key, member, score]: the score is 0, or when the next delayed job is due, which may have a fraction. */
  if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3) {
    until = floor (strtod (reply->element[2]->str, NULL));
    if (before > 0 && until > before)
      until = before;
  }
  if (until - derush_time_now_ms () >= 1)
    self->block_until = until;
  else
    self->drained = FALSE;
  bullmq_fetch_pump (self);
  bullmq_worker_unref (self);
}

static void
add_timeout (DerushBullmqWorker *self, BullmqCommand *command, gint64 milliseconds)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  /* Fractions are known since Redis 6. */
  if (self->server_version != 0 && self->server_version < 60000)
    bullmq_command_add_int (command, (milliseconds + 999) / 1000);
  else
    bullmq_command_add (command, g_ascii_formatd (text, sizeof text, "%.3f", milliseconds / 1000.0), -1);
}

static void
wait_for_marker (DerushBullmqWorker *self)
{
  gint64 time = DRAIN_DELAY_MS;
  BullmqCommand *command;

  if (self->block_until > 0) {
    time = self->block_until - derush_time_now_ms ();
    if (time <= 0) {
      self->block_until = 0;
      look_now (self);
      return;
    }
    time = CLAMP (time, MIN_BLOCK_MS, MAX_BLOCK_MS);
  }
  if (!bullmq_connection_is_ready (self->waiter))
    return;
  command = bullmq_command_new ("BZPOPMIN");
  bullmq_command_add_key (command, self->base, "marker", -1);
  add_timeout (self, command, time);
  /* A server that is silent beyond the time asked for is gone, whatever the socket says. */
  command->patience = (time + BLOCK_GRACE_MS) * 1000;
  self->waiting = TRUE;
  bullmq_connection_send (self->waiter, command, BULLMQ_COMMAND_NONE, on_waited, bullmq_worker_ref (self));
}

/* ── Deciding ───────────────────────────────────────────────────────────── */

static gboolean
on_limit_timer (gpointer user_data)
{
  DerushBullmqWorker *self = user_data;

  bullmq_worker_clear_timer (&self->limit_timer);
  self->drained = FALSE;
  self->limit_until = 0;
  bullmq_fetch_pump (self);
  return G_SOURCE_REMOVE;
}

/* Does the next thing that brings a job, if one is wanted; at most one look and one wait are under way. */
void
bullmq_fetch_pump (DerushBullmqWorker *self)
{
  gint64 limited;

  if (!self->started || self->paused || self->closing || self->reclaiming || self->fetching || self->fetch_timer ||
      self->limit_timer || g_hash_table_size (self->jobs) >= self->concurrency)
    return;
  limited = self->limit_until - derush_time_now_ms ();
  if (limited > 0)
    bullmq_worker_set_timer (self, &self->limit_timer, MIN (limited, MAX_LIMIT_MS), on_limit_timer);
  else if (self->waiting)
    return;
  else if (self->drained)
    wait_for_marker (self);
  else
    look_now (self);
}

/* ── Jobs whose reply was lost ──────────────────────────────────────────── */

/* A connection that breaks between the script and its reply leaves a job that is active under a lock of this worker, but
 * that nobody runs. Instead of waiting until it stalls, the worker looks for its own locks among the active jobs. */
typedef struct {
  DerushBullmqWorker *worker;
  GPtrArray *ids; /* GBytes */
  char *token;
  GBytes *id;
} Reclaim;

static void
reclaim_free (Reclaim *reclaim)
{
  bullmq_worker_unref (reclaim->worker);
  g_clear_pointer (&reclaim->ids, g_ptr_array_unref);
  g_clear_pointer (&reclaim->id, g_bytes_unref);
  g_free (reclaim->token);
  g_free (reclaim);
}

static void
reclaim_end (DerushBullmqWorker *self, const BullmqAnswer *said)
{
  self->reclaiming--;
  if (self->freed)
    return;
  if (said->lost)
    self->reply_lost = TRUE;
  bullmq_worker_check_closed (self);
  if (!self->closed)
    bullmq_fetch_pump (self);
}

static gboolean
is_held (DerushBullmqWorker *self, GBytes *id)
{
  GHashTableIter iter;
  gpointer job;

  g_hash_table_iter_init (&iter, self->jobs);
  while (g_hash_table_iter_next (&iter, &job, NULL))
    if (bullmq_job_has_id (job, g_bytes_get_data (id, NULL), g_bytes_get_size (id)))
      return TRUE;
  return FALSE;
}

static void
on_reclaimed_hash (const BullmqAnswer *said, gpointer user_data)
{
  Reclaim *reclaim = user_data;
  DerushBullmqWorker *self = reclaim->worker;

  if (said->reply && said->reply->type == REDIS_REPLY_ARRAY && !self->freed && !is_held (self, reclaim->id)) {
    DerushBullmqJob *job = bullmq_job_new (self, said->reply, g_bytes_get_data (reclaim->id, NULL),
                                           g_bytes_get_size (reclaim->id), reclaim->token);

    bullmq_worker_log (self, DERUSH_LOG_INFO, job, "This job was fetched when the connection broke, and runs now");
    self->drained = FALSE;
    accept_job (self, job);
  }
  reclaim_end (self, said);
  reclaim_free (reclaim);
}

static void
on_reclaim_locks (const BullmqAnswer *said, gpointer user_data)
{
  Reclaim *reclaim = user_data;
  DerushBullmqWorker *self = reclaim->worker;
  const redisReply *reply = said->reply;
  gsize uuid_length = strlen (self->uuid);

  for (gsize i = 0; reply && !self->freed && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
    const redisReply *token = reply->element[i];
    BullmqCommand *command;
    Reclaim *one;

    if (token->type != REDIS_REPLY_STRING || token->len <= uuid_length ||
        memcmp (token->str, self->uuid, uuid_length) != 0 || is_held (self, reclaim->ids->pdata[i]))
      continue;
    one = g_new0 (Reclaim, 1);
    one->worker = bullmq_worker_ref (self);
    one->token = g_strndup (token->str, token->len);
    one->id = g_bytes_ref (reclaim->ids->pdata[i]);
    command = bullmq_command_new ("HGETALL");
    bullmq_command_add_key (command, self->base, g_bytes_get_data (one->id, NULL), g_bytes_get_size (one->id));
    self->reclaiming++;
    bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, on_reclaimed_hash, one);
  }
  reclaim_end (self, said);
  reclaim_free (reclaim);
}

static void
on_reclaim_active (const BullmqAnswer *said, gpointer user_data)
{
  Reclaim *reclaim = user_data;
  DerushBullmqWorker *self = reclaim->worker;
  const redisReply *reply = said->reply;
  BullmqCommand *command;

  if (!reply || self->freed || reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
    reclaim_end (self, said);
    reclaim_free (reclaim);
    return;
  }
  command = bullmq_command_new ("MGET");
  reclaim->ids = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  for (gsize i = 0; i < reply->elements; i++) {
    g_autoptr (GString) lock = g_string_new_len (reply->element[i]->str, reply->element[i]->len);

    g_ptr_array_add (reclaim->ids, g_bytes_new (lock->str, lock->len));
    g_string_append (lock, ":lock");
    bullmq_command_add_key (command, self->base, lock->str, lock->len);
  }
  bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, on_reclaim_locks, reclaim);
}

void
bullmq_fetch_reclaim (DerushBullmqWorker *self)
{
  BullmqCommand *command;
  Reclaim *reclaim;

  self->reply_lost = TRUE;
  if (self->reclaiming > 0 || !bullmq_connection_is_ready (self->commands))
    return;
  self->reply_lost = FALSE;
  self->reclaiming++;
  reclaim = g_new0 (Reclaim, 1);
  reclaim->worker = bullmq_worker_ref (self);
  command = bullmq_command_new ("LRANGE");
  bullmq_command_add_key (command, self->base, "active", -1);
  bullmq_command_add_int (command, 0);
  bullmq_command_add_int (command, MAX_RECLAIMED - 1);
  bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, on_reclaim_active, reclaim);
}
