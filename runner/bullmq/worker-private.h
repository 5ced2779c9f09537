/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bullmq/bullmq.h"
#include "bullmq/connection-private.h"
#include "bullmq/pack-private.h"

G_BEGIN_DECLS

/* ── Options of a job, as its hash has them (options.c) ─────────────────── */

/* The wait in ms before the attempt after the @failures-th failed one; @random is from 0 to 1. 0: at once. */
gint64 bullmq_options_backoff (JsonObject *options, guint failures, double random);
void bullmq_options_pack_keep (BullmqPack *pack, JsonObject *options, const char *name, JsonObject *fallback);
char *bullmq_options_add_trace (const char *stacktrace, JsonObject *options, const char *reason, const char *stack);

/* ── Cron patterns (cron.c) ─────────────────────────────────────────────── */

/* The first time after @after_ms that @pattern names in @tz (NULL: the local one); -1: not a pattern, or never. */
gint64 bullmq_cron_next (const char *pattern, const char *tz, gint64 after_ms);

/* ── Keeper of locks (keeper.c) ─────────────────────────────────────────── */

typedef struct _BullmqKeeper BullmqKeeper;

BullmqKeeper *bullmq_keeper_new (const DerushRedisAddress *address, const char *base, gint64 lock_duration);
void bullmq_keeper_free (BullmqKeeper *keeper);
void bullmq_keeper_add (BullmqKeeper *keeper, DerushBullmqJob *job);
void bullmq_keeper_remove (BullmqKeeper *keeper, DerushBullmqJob *job);

/* ── Job (job.c) ────────────────────────────────────────────────────────── */

struct _DerushBullmqJob {
  gatomicrefcount references;
  DerushBullmqWorker *worker; /* NULL when that is gone */
  char *queue;
  char *id;
  gsize id_length; /* ids are bytes of any kind */
  char *token;
  char *name; /* NULL: the hash lacks it, so it was thrown away */
  char *data;
  JsonObject *opts;
  char *stacktrace;
  char *deferred_failure;
  char *scheduler;
  char *parent; /* JSON {id, queueKey, …} */
  guint attempts_made;
  DerushBullmqParked parked;
  gint64 timestamp;
  GCancellable *cancellable;
  gboolean ended;
  gboolean lost;
  gboolean asked_next; /* the end of this job was to bring the next one */
  gboolean sending_progress;
  char *next_progress;
  GQueue updates; /* tasks: new data, one at a time so that the last one stays */
};

DerushBullmqJob *bullmq_job_new (DerushBullmqWorker *worker, const redisReply *hash, const char *id, gsize id_length,
                                 const char *token);
gboolean bullmq_job_is_held (DerushBullmqJob *job);
gboolean bullmq_job_has_id (DerushBullmqJob *job, const char *id, gsize id_length);
void bullmq_job_add_key (DerushBullmqJob *job, BullmqCommand *command, const char *suffix);
void bullmq_job_flush_progress (DerushBullmqJob *job);
void bullmq_job_lose (DerushBullmqJob *job, const char *why);
gboolean bullmq_job_check_held (DerushBullmqJob *job, GError **error);
void bullmq_job_ask_lock (DerushBullmqJob *job, BullmqAnswerFunc func, gpointer user_data);
gboolean bullmq_job_owns_lock (DerushBullmqJob *job, const redisReply *reply);

/* ── Worker (worker.c) ──────────────────────────────────────────────────── */

struct _DerushBullmqWorker {
  grefcount references;
  GMainContext *loop;
  DerushRedisAddress *address;
  char *prefix, *queue, *name;
  char *base; /* what every key of the queue begins with */
  guint concurrency;
  gint64 lock_duration, stalled_interval;
  guint max_stalled_count, max_metrics, limiter_max;
  gint64 limiter_duration;
  JsonObject *remove_on_complete, *remove_on_fail;
  DerushBullmqProcess process;
  gpointer user_data;

  char *uuid;
  guint64 n_tokens;
  BullmqConnection *commands; /* scripts */
  BullmqConnection *waiter;   /* BZPOPMIN only */
  BullmqKeeper *keeper;
  GHashTable *jobs; /* those that this process holds, until Redis knows that they ended */
  guint server_version;
  gint64 time_asked;

  gboolean started, paused, closing, freed;
  gboolean fetching;               /* moveToActive is under way */
  gboolean waiting;                /* BZPOPMIN is under way */
  gboolean drained;                /* the last look found nothing */
  gboolean reply_lost;             /* a job may have been fetched without this process knowing it */
  guint reclaiming;                /* commands under way to find it */
  gint64 block_until, limit_until; /* wall clock, ms; 0: none */
  guint fetch_failures;
  GSource *limit_timer, *fetch_timer, *stalled_timer;
  GTask *close_task;
  gboolean closed;
};

DerushBullmqWorker *bullmq_worker_ref (DerushBullmqWorker *worker);
void bullmq_worker_unref (DerushBullmqWorker *worker);
void bullmq_worker_release (DerushBullmqWorker *worker, DerushBullmqJob *job);
void bullmq_worker_check_closed (DerushBullmqWorker *worker);
void bullmq_worker_log (DerushBullmqWorker *worker, DerushLogLevel level, DerushBullmqJob *job, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
void bullmq_worker_set_timer (DerushBullmqWorker *worker, GSource **timer, gint64 milliseconds, GSourceFunc func);
void bullmq_worker_clear_timer (GSource **timer);

/* ── Fetching (fetch.c) ─────────────────────────────────────────────────── */

void bullmq_fetch_pump (DerushBullmqWorker *worker);
void bullmq_fetch_take_reply (DerushBullmqWorker *worker, const redisReply *reply, const char *token);
void bullmq_fetch_reclaim (DerushBullmqWorker *worker);
void bullmq_fetch_run (DerushBullmqWorker *worker, DerushBullmqJob *job);
void bullmq_pack_fetch_options (DerushBullmqWorker *worker, BullmqPack *pack, const char *token);

/* ── Ends of jobs (finish.c) ────────────────────────────────────────────── */

/* Of a job's hash; BullMQ knows nothing of it. */
#define BULLMQ_PARKED_FIELD "derushParked"

/* What the scripts answer when they have not moved the job. */
enum {
  BULLMQ_CODE_NO_JOB = -1,
  BULLMQ_CODE_NO_LOCK = -2,
  BULLMQ_CODE_NOT_ACTIVE = -3,
  BULLMQ_CODE_PENDING_CHILDREN = -4,
  BULLMQ_CODE_NO_PARENT = -5,
  BULLMQ_CODE_OTHER_LOCK = -6,
  BULLMQ_CODE_OTHER_PARENT = -7,
  BULLMQ_CODE_OF_SCHEDULER = -8,
  BULLMQ_CODE_FAILED_CHILDREN = -9,
};

const char *bullmq_finish_describe_code (gint64 code);

void bullmq_finish_give_back (DerushBullmqJob *job);
void bullmq_finish_failed (DerushBullmqJob *job, const char *reason, const char *stack, gboolean can_retry);

/* ── Job schedulers (scheduler.c) ───────────────────────────────────────── */

void bullmq_scheduler_advance (DerushBullmqWorker *worker, DerushBullmqJob *job);

G_END_DECLS
