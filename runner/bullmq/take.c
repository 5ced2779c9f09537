/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <string.h>

/* BullMQ only fails jobs that are active, so a job that is cancelled while it waits is made active first: here, whatever its
 * place in the queue. A job that has ended, or is gone, needs no wish to cancel it any more. */
static const char take_script[] =
    "local id=ARGV[1] "
    "if redis.call('EXISTS',KEYS[1])==0 or redis.call('ZSCORE',KEYS[9],id) or redis.call('ZSCORE',KEYS[10],id) then "
    "redis.call('DEL',KEYS[3]) return 0 end "
    "if redis.call('ZSCORE',KEYS[8],id) then return 1 end "
    "if not (redis.call('LREM',KEYS[4],1,id)==1 or redis.call('LREM',KEYS[5],1,id)==1 or "
    "redis.call('ZREM',KEYS[6],id)==1 or redis.call('ZREM',KEYS[7],id)==1) then return 0 end "
    "redis.call('LPUSH',KEYS[11],id) "
    "redis.call('SET',KEYS[2],ARGV[2],'PX',ARGV[3]) "
    "redis.call('HSET',KEYS[1],'processedOn',ARGV[4],'delay',0) "
    "redis.call('HINCRBY',KEYS[1],'ats',1) "
    "redis.call('XADD',KEYS[12],'*','event','active','jobId',id,'prev','waiting') "
    "return redis.call('HGETALL',KEYS[1])";
#define N_KEYS 12

typedef struct {
  DerushBullmqWorker *worker;
  char *id;
  char *token;
  DerushBullmqTaken taken;
  gpointer user_data;
} Take;

static void
accept_job (DerushBullmqWorker *self, DerushBullmqJob *job)
{
  g_hash_table_add (self->jobs, job);
  bullmq_keeper_add (self->keeper, job);
  if (self->closing) {
    job->ended = TRUE;
    bullmq_finish_give_back (job);
  } else if (job->scheduler) {
    bullmq_scheduler_advance (self, job);
  } else {
    bullmq_fetch_run (self, job);
  }
}

static void
on_taken (const BullmqAnswer *said, gpointer user_data)
{
  Take *take = user_data;
  DerushBullmqWorker *self = take->worker;
  const redisReply *reply = said->reply;
  gboolean waits = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;

  if (said->lost)
    self->reply_lost = TRUE;
  if (!self->freed) {
    if (reply && reply->type == REDIS_REPLY_ARRAY)
      accept_job (self, bullmq_job_new (self, reply, take->id, strlen (take->id), take->token));
    take->taken (take->id, waits, take->user_data);
  }
  g_free (take->id);
  g_free (take->token);
  g_free (take);
  bullmq_worker_unref (self);
}

/**
 * derush_bullmq_worker_take:
 * @worker: a worker that was started
 * @id: a job that is to be cancelled
 * @taken: called once Redis has answered, after the worker's function has got the job
 * @user_data: for @taken
 *
 * If the job waits, for its turn or its time, the worker gets it at once, though it may have as many jobs as it can run.
 * Nothing happens to one that is being run or has ended. @taken is not called once the worker was freed.
 */
void
derush_bullmq_worker_take (DerushBullmqWorker *self, const char *id, DerushBullmqTaken taken, gpointer user_data)
{
  static const char *const keys[] = {"wait",      "paused", "prioritized", "delayed", "waiting-children",
                                     "completed", "failed", "active",      "events",  NULL};
  BullmqCommand *command = bullmq_command_new ("EVAL");
  g_autofree char *lock = g_strconcat (id, ":lock", NULL),
                  *cancel = g_strconcat (":derush:cancel:", self->queue, ":", id, NULL);
  Take *take = g_new0 (Take, 1);

  take->worker = bullmq_worker_ref (self);
  take->id = g_strdup (id);
  take->token = g_strdup_printf ("%s:%" G_GUINT64_FORMAT, self->uuid, self->n_tokens++);
  take->taken = taken;
  take->user_data = user_data;
  bullmq_command_add (command, take_script, -1);
  bullmq_command_add_int (command, N_KEYS);
  bullmq_command_add_key (command, self->base, id, -1);
  bullmq_command_add_key (command, self->base, lock, -1);
  bullmq_command_add_key (command, self->prefix, cancel, -1);
  bullmq_command_add_keys (command, self->base, keys);
  bullmq_command_add (command, id, -1);
  bullmq_command_add (command, take->token, -1);
  bullmq_command_add_int (command, self->lock_duration);
  bullmq_command_add_int (command, derush_time_now_ms ());
  bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, on_taken, take);
}
