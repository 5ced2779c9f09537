/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <inttypes.h>
#include <string.h>
#include <glib/gi18n-lib.h>

const char *
bullmq_finish_describe_code (gint64 code)
{
  switch (code) {
  case BULLMQ_CODE_NO_JOB:
    return "its hash is gone from Redis";
  case BULLMQ_CODE_NO_LOCK:
    return "its lock had expired";
  case BULLMQ_CODE_NOT_ACTIVE:
    return "it is not active any more";
  case BULLMQ_CODE_OTHER_LOCK:
    return "another worker has its lock";
  default:
    return "the script refused it";
  }
}

/* Every end begins here. Of a lost job nothing is written; its place becomes free. */
static gboolean
begin_end (DerushBullmqJob *job)
{
  DerushBullmqWorker *worker = job->worker;

  g_return_val_if_fail (!job->ended, FALSE);
  job->ended = TRUE;
  if (!worker || worker->freed)
    return FALSE;
  if (!job->lost) {
    bullmq_job_flush_progress (job);
    return TRUE;
  }
  bullmq_worker_ref (worker);
  bullmq_worker_release (worker, job);
  bullmq_worker_check_closed (worker);
  bullmq_fetch_pump (worker);
  bullmq_worker_unref (worker);
  return FALSE;
}

static void
refused (DerushBullmqJob *job, gint64 code, gboolean resent)
{
  /* After a reconnect the first of two equal commands has most likely done it. */
  if (resent)
    bullmq_worker_log (job->worker, DERUSH_LOG_INFO, job,
                       "The end of this job was sent twice, as the connection broke; the second time %s",
                       bullmq_finish_describe_code (code));
  else
    bullmq_worker_log (job->worker, DERUSH_LOG_WARN, job, "The end of this job could not be stored: %s",
                       bullmq_finish_describe_code (code));
}

static void
on_ended (const BullmqAnswer *said, gpointer user_data)
{
  g_autoptr (DerushBullmqJob) job = user_data;
  DerushBullmqWorker *worker = job->worker;
  const redisReply *reply = said->reply;
  gint64 code = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;

  if (!worker || worker->freed)
    return;
  if (code == BULLMQ_CODE_FAILED_CHILDREN) {
    bullmq_finish_failed (job, _ ("The job cannot complete: at least one of its children failed"), NULL, FALSE);
    return;
  }
  if (code == BULLMQ_CODE_PENDING_CHILDREN) {
    bullmq_finish_failed (job, _ ("The job cannot complete: it still has unfinished children"), NULL, TRUE);
    return;
  }
  bullmq_worker_ref (worker);
  bullmq_worker_release (worker, job);
  if (said->error && !said->lost)
    bullmq_worker_log (worker, DERUSH_LOG_ERROR, job, "The end of this job could not be stored: %s",
                       said->error->message);
  else if (code < 0)
    refused (job, code, said->resent);
  if (reply && code == 0 && job->asked_next)
    bullmq_fetch_take_reply (worker, reply, job->token);
  else if (said->resent && job->asked_next)
    bullmq_fetch_reclaim (worker);
  bullmq_worker_check_closed (worker);
  bullmq_fetch_pump (worker);
  bullmq_worker_unref (worker);
}

static void
send_end (DerushBullmqJob *job, BullmqCommand *command, gboolean asked_next)
{
  job->asked_next = asked_next;
  bullmq_connection_send (job->worker->commands, command, BULLMQ_COMMAND_RESEND, on_ended, derush_bullmq_job_ref (job));
}

static gboolean
wants_next (DerushBullmqWorker *worker)
{
  return !worker->closing && !worker->paused && g_hash_table_size (worker->jobs) <= worker->concurrency;
}

static void
pack_flag (BullmqPack *pack, JsonObject *options, const char *name)
{
  bullmq_pack_string (pack, name, -1);
  bullmq_pack_boolean (pack, derush_json_get_boolean (options, name, FALSE));
}

/* Each member is there whatever the options say: the script releases the lock before it reads some of them. */
static void
pack_finish_options (DerushBullmqJob *job, BullmqPack *pack, gboolean completed)
{
  DerushBullmqWorker *worker = job->worker;

  bullmq_pack_map (pack, 11);
  bullmq_pack_fetch_options (worker, pack, job->token);
  bullmq_pack_string (pack, "keepJobs", -1);
  bullmq_options_pack_keep (pack, job->opts, completed ? "removeOnComplete" : "removeOnFail",
                            completed ? worker->remove_on_complete : worker->remove_on_fail);
  bullmq_pack_string (pack, "attempts", -1);
  bullmq_pack_int (pack, derush_json_get_int (job->opts, "attempts", 0));
  bullmq_pack_string (pack, "maxMetricsSize", -1);
  if (worker->max_metrics > 0)
    bullmq_pack_int (pack, worker->max_metrics);
  else
    bullmq_pack_string (pack, "", 0);
  pack_flag (pack, job->opts, "fpof");
  pack_flag (pack, job->opts, "cpof");
  pack_flag (pack, job->opts, "idof");
  pack_flag (pack, job->opts, "rdof");
}

static void
move_to_finished (DerushBullmqJob *job, gboolean completed, const char *value, BullmqPack *fields)
{
  static const char *const first_keys[] = {"wait",    "active", "prioritized", "events", "stalled", "limiter",
                                           "delayed", "paused", "meta",        "pc",     NULL};
  DerushBullmqWorker *worker = job->worker;
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_MOVE_TO_FINISHED);
  const char *target = completed ? "completed" : "failed";
  gboolean next = wants_next (worker);
  g_auto (BullmqPack) options = {0};

  bullmq_pack_init (&options);
  pack_finish_options (job, &options, completed);
  bullmq_command_add_keys (command, worker->base, first_keys);
  bullmq_command_add_key (command, worker->base, target, -1);
  bullmq_job_add_key (job, command, "");
  bullmq_command_add_key (command, worker->base, completed ? "metrics:completed" : "metrics:failed", -1);
  bullmq_command_add_key (command, worker->base, "marker", -1);
  bullmq_command_add (command, job->id, job->id_length);
  bullmq_command_add_int (command, derush_time_now_ms ());
  bullmq_command_add (command, completed ? "returnvalue" : "failedReason", -1);
  bullmq_command_add (command, value, -1);
  bullmq_command_add (command, target, -1);
  bullmq_command_add_int (command, next);
  bullmq_command_add (command, worker->base, -1);
  bullmq_command_add (command, options.buffer.data, options.buffer.size);
  if (fields)
    bullmq_command_add (command, fields->buffer.data, fields->buffer.size);
  else
    bullmq_command_add (command, "", 0);
  send_end (job, command, next);
}

/* @fields: (nullable): that change in the job's hash; @failed: whether this was an attempt */
static void
move_to_delayed (DerushBullmqJob *job, gint64 delay, BullmqPack *fields, gboolean failed)
{
  static const char *const first_keys[] = {"marker", "active", "prioritized", "delayed", NULL};
  static const char *const last_keys[] = {"events", "meta", "stalled", "wait", "limiter", "pc", NULL};
  DerushBullmqWorker *worker = job->worker;
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_MOVE_TO_DELAYED);
  gboolean next = wants_next (worker);
  g_auto (BullmqPack) options = {0};

  bullmq_pack_init (&options);
  bullmq_pack_map (&options, 4);
  bullmq_pack_fetch_options (worker, &options, job->token);
  bullmq_command_add_keys (command, worker->base, first_keys);
  bullmq_job_add_key (job, command, "");
  bullmq_command_add_keys (command, worker->base, last_keys);
  bullmq_command_add (command, worker->base, -1);
  bullmq_command_add_int (command, derush_time_now_ms ());
  bullmq_command_add (command, job->id, job->id_length);
  bullmq_command_add (command, job->token, -1);
  bullmq_command_add_int (command, delay);
  bullmq_command_add_int (command, !failed);
  if (fields)
    bullmq_command_add (command, fields->buffer.data, fields->buffer.size);
  else
    bullmq_command_add (command, "", 0);
  bullmq_command_add_int (command, next);
  bullmq_command_add (command, options.buffer.data, options.buffer.size);
  send_end (job, command, next);
}

static void
retry_at_once (DerushBullmqJob *job, BullmqPack *fields)
{
  static const char *const first_keys[] = {"active", "wait", "paused", NULL};
  static const char *const last_keys[] = {"meta", "events", "delayed", "prioritized", "pc", "marker", "stalled", NULL};
  DerushBullmqWorker *worker = job->worker;
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_RETRY_JOB);

  bullmq_command_add_keys (command, worker->base, first_keys);
  bullmq_job_add_key (job, command, "");
  bullmq_command_add_keys (command, worker->base, last_keys);
  bullmq_command_add (command, worker->base, -1);
  bullmq_command_add_int (command, derush_time_now_ms ());
  bullmq_command_add (command, derush_json_get_boolean (job->opts, "lifo", FALSE) ? "RPUSH" : "LPUSH", -1);
  bullmq_command_add (command, job->id, job->id_length);
  bullmq_command_add (command, job->token, -1);
  bullmq_command_add (command, fields->buffer.data, fields->buffer.size);
  send_end (job, command, FALSE);
}

static void
pack_parked (BullmqPack *fields, const char *value)
{
  bullmq_pack_string (fields, BULLMQ_PARKED_FIELD, -1);
  bullmq_pack_string (fields, value, -1);
}

/* Whoever tries a job again that has ended begins anew in this, too. */
static void
move_to_completed (DerushBullmqJob *job, const char *value)
{
  g_auto (BullmqPack) fields = {0};

  if (job->parked.times == 0) {
    move_to_finished (job, TRUE, value, NULL);
    return;
  }
  bullmq_pack_init (&fields);
  bullmq_pack_array (&fields, 2);
  pack_parked (&fields, "");
  move_to_finished (job, TRUE, value, &fields);
}

void
bullmq_finish_failed (DerushBullmqJob *job, const char *reason, const char *stack, gboolean can_retry)
{
  g_autofree char *why = g_utf8_make_valid (reason, -1), *where = stack ? g_utf8_make_valid (stack, -1) : NULL,
                  *stacktrace = bullmq_options_add_trace (job->stacktrace, job->opts, why, where);
  gint64 delay = bullmq_options_backoff (job->opts, job->attempts_made + 1, g_random_double ());
  gboolean ends = !can_retry || job->attempts_made + 1 >= derush_bullmq_job_get_attempts (job),
           was_parked = ends && job->parked.times > 0;
  g_auto (BullmqPack) fields = {0};

  bullmq_pack_init (&fields);
  bullmq_pack_array (&fields, was_parked ? 6 : 4);
  bullmq_pack_string (&fields, "failedReason", -1);
  bullmq_pack_string (&fields, why, -1);
  bullmq_pack_string (&fields, "stacktrace", -1);
  bullmq_pack_string (&fields, stacktrace, -1);
  if (was_parked)
    pack_parked (&fields, "");
  if (ends)
    move_to_finished (job, FALSE, why, &fields);
  else if (delay > 0)
    move_to_delayed (job, delay, &fields, TRUE);
  else
    retry_at_once (job, &fields);
}

void
bullmq_finish_give_back (DerushBullmqJob *job)
{
  static const char *const keys[] = {"active",  "wait",        "stalled", "paused", "meta",
                                     "limiter", "prioritized", "marker",  "events", NULL};
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_MOVE_JOB_FROM_ACTIVE_TO_WAIT);

  bullmq_command_add_keys (command, job->worker->base, keys);
  bullmq_command_add (command, job->id, job->id_length);
  bullmq_command_add (command, job->token, -1);
  bullmq_job_add_key (job, command, "");
  send_end (job, command, FALSE);
}

/**
 * derush_bullmq_job_complete:
 * @job: a job that has not been ended
 * @returnvalue_json: (nullable): what the job returns, any JSON value; %NULL: null
 *
 * Ends the job as completed.
 */
void
derush_bullmq_job_complete (DerushBullmqJob *job, const char *returnvalue_json)
{
  const char *value = returnvalue_json ? returnvalue_json : "null";
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;

  if (!begin_end (job))
    return;
  /* Text that is not JSON would end every QueueEvents that reads it. */
  node = derush_json_parse (value, -1, &error);
  if (node)
    move_to_completed (job, value);
  else
    bullmq_finish_failed (job, _ ("The job's return value is not JSON; this is a fault of Derush"), error->message,
                          FALSE);
}

/**
 * derush_bullmq_job_fail:
 * @job: a job that has not been ended
 * @reason: one line: what failed, on what, what to do
 * @stack: (nullable): more lines, for the job's stacktrace
 * @can_retry: whether another attempt may help
 *
 * Ends this attempt: if @can_retry and the job has attempts left, it waits for the next one as its backoff says,
 * else the job has failed.
 */
void
derush_bullmq_job_fail (DerushBullmqJob *job, const char *reason, const char *stack, gboolean can_retry)
{
  if (begin_end (job))
    bullmq_finish_failed (job, reason ? reason : "", stack, can_retry);
}

/**
 * derush_bullmq_job_give_back:
 * @job: a job that has not been ended
 *
 * Puts the job back to the front of its queue, for another worker; it does not count as an attempt.
 */
void
derush_bullmq_job_give_back (DerushBullmqJob *job)
{
  if (begin_end (job))
    bullmq_finish_give_back (job);
}

/**
 * derush_bullmq_job_delay:
 * @job: a job that has not been ended
 * @delay: when it is to run again, in ms from now
 *
 * Ends this run: the job goes among the delayed ones of its queue, and a worker gets it anew when the time has come. It
 * does not count as an attempt.
 */
void
derush_bullmq_job_delay (DerushBullmqJob *job, gint64 delay)
{
  if (begin_end (job))
    move_to_delayed (job, MAX (delay, 0), NULL, FALSE);
}

/**
 * derush_bullmq_job_park:
 * @job: a job that has not been ended
 * @delay: when it is to run again, in ms from now
 *
 * As derush_bullmq_job_delay(), for a job that cannot be done before that time: how often and since when it has been so is
 * kept with it, see derush_bullmq_job_get_parked(), until it ends.
 */
void
derush_bullmq_job_park (DerushBullmqJob *job, gint64 delay)
{
  gint64 now = derush_time_now_ms ();
  g_autofree char *parked = g_strdup_printf ("%u %" PRId64 " %" PRId64, job->parked.times + 1,
                                             job->parked.times > 0 ? job->parked.since : now, now + delay);
  g_auto (BullmqPack) fields = {0};

  if (!begin_end (job))
    return;
  bullmq_pack_init (&fields);
  bullmq_pack_array (&fields, 2);
  pack_parked (&fields, parked);
  move_to_delayed (job, MAX (delay, 0), &fields, FALSE);
}
