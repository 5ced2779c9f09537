/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* Rows for the log that Redis has not taken yet; more of them are dropped, as a log must not fill the memory. */
#define MAX_WAITING_LOGS 256

/* `TIMES SINCE UNTIL`, as derush_bullmq_job_park() writes it; empty once that is over. */
static void
read_parked (DerushBullmqJob *job, const char *text)
{
  DerushBullmqParked parked = {0};

  if (sscanf (text, "%u %" SCNd64 " %" SCNd64, &parked.times, &parked.since, &parked.until) == 3)
    job->parked = parked;
}

/* @hash is the job's hash as field, value, field, …; a hash that was thrown away has hardly any. */
DerushBullmqJob *
bullmq_job_new (DerushBullmqWorker *worker, const redisReply *hash, const char *id, gsize id_length, const char *token)
{
  DerushBullmqJob *job = g_new0 (DerushBullmqJob, 1);

  g_atomic_ref_count_init (&job->references);
  job->worker = worker;
  job->queue = g_strdup (worker->queue);
  job->id = g_malloc (id_length + 1);
  memcpy (job->id, id, id_length);
  job->id[id_length] = '\0';
  job->id_length = id_length;
  job->token = g_strdup (token);
  job->cancellable = g_cancellable_new ();
  for (gsize i = 0; i + 1 < hash->elements; i += 2) {
    const redisReply *field = hash->element[i], *value = hash->element[i + 1];

    if (field->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING)
      continue;
    if (g_str_equal (field->str, "name"))
      job->name = g_strndup (value->str, value->len);
    else if (g_str_equal (field->str, "data"))
      job->data = value->len > 0 ? g_strndup (value->str, value->len) : g_strdup ("{}");
    else if (g_str_equal (field->str, "opts"))
      job->opts = derush_json_parse_object (value->str, value->len, NULL);
    else if (g_str_equal (field->str, "stacktrace"))
      job->stacktrace = g_strndup (value->str, value->len);
    else if (g_str_equal (field->str, "defa"))
      job->deferred_failure = g_strndup (value->str, value->len);
    else if (g_str_equal (field->str, "rjk"))
      job->scheduler = value->len > 0 ? g_strndup (value->str, value->len) : NULL;
    else if (g_str_equal (field->str, "parent"))
      job->parent = g_strndup (value->str, value->len);
    else if (g_str_equal (field->str, "atm"))
      job->attempts_made = g_ascii_strtoull (value->str, NULL, 10);
    else if (g_str_equal (field->str, BULLMQ_PARKED_FIELD))
      read_parked (job, value->str);
    else if (g_str_equal (field->str, "timestamp"))
      job->timestamp = g_ascii_strtoll (value->str, NULL, 10);
  }
  if (!job->opts)
    job->opts = json_object_new ();
  return job;
}

/**
 * derush_bullmq_job_ref:
 * @job: a job
 *
 * Jobs may be referenced and released by any thread.
 *
 * Returns: (transfer full): @job
 */
DerushBullmqJob *
derush_bullmq_job_ref (DerushBullmqJob *job)
{
  g_atomic_ref_count_inc (&job->references);
  return job;
}

/**
 * derush_bullmq_job_unref:
 * @job: (transfer full): a job
 */
void
derush_bullmq_job_unref (DerushBullmqJob *job)
{
  if (!g_atomic_ref_count_dec (&job->references))
    return;
  g_free (job->queue);
  g_free (job->id);
  g_free (job->token);
  g_free (job->name);
  g_free (job->data);
  json_object_unref (job->opts);
  g_free (job->stacktrace);
  g_free (job->deferred_failure);
  g_free (job->scheduler);
  g_free (job->parent);
  g_free (job->next_progress);
  g_object_unref (job->cancellable);
  g_free (job);
}

/* Whether anything may still be written of the job. */
gboolean
bullmq_job_is_held (DerushBullmqJob *job)
{
  return job->worker && !job->worker->freed && !job->ended && !job->lost;
}

gboolean
bullmq_job_has_id (DerushBullmqJob *job, const char *id, gsize id_length)
{
  return job->id_length == id_length && memcmp (job->id, id, id_length) == 0;
}

/* The key of the job's hash, or with a @suffix of what belongs to it. */
void
bullmq_job_add_key (DerushBullmqJob *job, BullmqCommand *command, const char *suffix)
{
  g_autoptr (GString) name = g_string_new_len (job->id, job->id_length);

  g_string_append (name, suffix);
  bullmq_command_add_key (command, job->worker->base, name->str, name->len);
}

/**
 * derush_bullmq_job_get_id:
 * @job: a job
 *
 * Returns: (transfer none): its id, unique in its queue; any text, also one without valid UTF-8
 */
const char *
derush_bullmq_job_get_id (DerushBullmqJob *job)
{
  return job->id;
}

/**
 * derush_bullmq_job_get_queue:
 * @job: a job
 *
 * Returns: (transfer none): the name of its queue, without the prefix
 */
const char *
derush_bullmq_job_get_queue (DerushBullmqJob *job)
{
  return job->queue;
}

/**
 * derush_bullmq_job_get_name:
 * @job: a job
 *
 * Returns: (transfer none): the name that it was added with
 */
const char *
derush_bullmq_job_get_name (DerushBullmqJob *job)
{
  return job->name;
}

/**
 * derush_bullmq_job_get_data:
 * @job: a job
 *
 * Returns: (transfer none): its data, JSON as the producer sent it and unchecked, or what was stored last by
 *   derush_bullmq_job_update_data_async(); it stays until the next such call ends
 */
const char *
derush_bullmq_job_get_data (DerushBullmqJob *job)
{
  return job->data;
}

/**
 * derush_bullmq_job_get_opts:
 * @job: a job
 *
 * Returns: (transfer none): its options, with the short names that BullMQ stores (`kl` for keepLogs, …)
 */
JsonObject *
derush_bullmq_job_get_opts (DerushBullmqJob *job)
{
  return job->opts;
}

/**
 * derush_bullmq_job_get_attempts_made:
 * @job: a job
 *
 * Returns: how many attempts ended before this one
 */
guint
derush_bullmq_job_get_attempts_made (DerushBullmqJob *job)
{
  return job->attempts_made;
}

/**
 * derush_bullmq_job_get_attempts:
 * @job: a job
 *
 * Returns: how many attempts it may have in all, at least 1
 */
guint
derush_bullmq_job_get_attempts (DerushBullmqJob *job)
{
  return CLAMP (derush_json_get_int (job->opts, "attempts", 1), 1, G_MAXINT);
}

/**
 * derush_bullmq_job_get_timestamp:
 * @job: a job
 *
 * Returns: when it was added, in ms since 1970
 */
gint64
derush_bullmq_job_get_timestamp (DerushBullmqJob *job)
{
  return job->timestamp;
}

/**
 * derush_bullmq_job_get_parked:
 * @job: a job
 *
 * Returns: (transfer none): how it was parked by derush_bullmq_job_park(); all 0 if it never was
 */
const DerushBullmqParked *
derush_bullmq_job_get_parked (DerushBullmqJob *job)
{
  return &job->parked;
}

/**
 * derush_bullmq_job_get_cancellable:
 * @job: a job
 *
 * Returns: (transfer none): cancelled when the lock is lost: the job then belongs to somebody else, and nothing of it may
 *   be published. It is still ended by one of the functions for that, which then only frees the worker's place.
 */
GCancellable *
derush_bullmq_job_get_cancellable (DerushBullmqJob *job)
{
  return job->cancellable;
}

void
bullmq_job_lose (DerushBullmqJob *job, const char *why)
{
  if (!bullmq_job_is_held (job))
    return;
  job->lost = TRUE;
  bullmq_worker_log (job->worker, DERUSH_LOG_WARN, job,
                     "This job is stopped here, it belongs to this worker no more: %s", why);
  bullmq_keeper_remove (job->worker->keeper, job);
  g_cancellable_cancel (job->cancellable);
}

gboolean
bullmq_job_check_held (DerushBullmqJob *job, GError **error)
{
  if (bullmq_job_is_held (job))
    return TRUE;
  g_set_error (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_CANCELLED,
               _ ("The job %s does not belong to this worker any more"), job->id);
  return FALSE;
}

/* Asks whose the job's lock is; for bullmq_job_owns_lock(). */
void
bullmq_job_ask_lock (DerushBullmqJob *job, BullmqAnswerFunc func, gpointer user_data)
{
  BullmqCommand *command = bullmq_command_new ("GET");

  bullmq_job_add_key (job, command, ":lock");
  bullmq_connection_send (job->worker->commands, command, BULLMQ_COMMAND_RESEND, func, user_data);
}

gboolean
bullmq_job_owns_lock (DerushBullmqJob *job, const redisReply *reply)
{
  return reply->type == REDIS_REPLY_STRING && strlen (job->token) == reply->len &&
         memcmp (job->token, reply->str, reply->len) == 0;
}

/* ── Progress and log ───────────────────────────────────────────────────── */

static void send_progress (DerushBullmqJob *job, const char *progress);

static void
on_progress (const BullmqAnswer *said, gpointer user_data)
{
  g_autoptr (DerushBullmqJob) job = user_data;
  g_autofree char *next = g_steal_pointer (&job->next_progress);

  job->sending_progress = FALSE;
  if (said->reply && said->reply->type == REDIS_REPLY_INTEGER && said->reply->integer < 0)
    bullmq_job_lose (job, "its hash is gone from Redis");
  else if (next && bullmq_job_is_held (job))
    send_progress (job, next);
}

static void
send_progress (DerushBullmqJob *job, const char *progress)
{
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_UPDATE_PROGRESS);

  bullmq_job_add_key (job, command, "");
  bullmq_command_add_keys (command, job->worker->base, (const char *const[]){"events", "meta", NULL});
  bullmq_command_add (command, job->id, job->id_length);
  bullmq_command_add (command, progress, -1);
  job->sending_progress = TRUE;
  bullmq_connection_send (job->worker->commands, command, BULLMQ_COMMAND_NONE, on_progress,
                          derush_bullmq_job_ref (job));
}

/* The newest progress goes out before the command that ends the job. */
void
bullmq_job_flush_progress (DerushBullmqJob *job)
{
  g_autofree char *next = g_steal_pointer (&job->next_progress);

  if (next)
    send_progress (job, next);
}

/**
 * derush_bullmq_job_set_progress:
 * @job: a job that has not been ended
 * @progress_json: any JSON value
 *
 * Best effort: never fails a job. While one progress is on its way, only the newest waits behind it.
 */
void
derush_bullmq_job_set_progress (DerushBullmqJob *job, const char *progress_json)
{
  g_autoptr (JsonNode) node = derush_json_parse (progress_json, -1, NULL);

  g_return_if_fail (node != NULL);
  if (!bullmq_job_is_held (job))
    return;
  if (job->sending_progress) {
    g_free (job->next_progress);
    job->next_progress = g_strdup (progress_json);
  } else {
    send_progress (job, progress_json);
  }
}

/**
 * derush_bullmq_job_add_log:
 * @job: a job that has not been ended
 * @row: one line for the job's log in Redis
 *
 * Best effort: never fails a job.
 */
void
derush_bullmq_job_add_log (DerushBullmqJob *job, const char *row)
{
  BullmqCommand *command;
  gint64 keep = derush_json_get_int (job->opts, "kl", 0);

  if (!bullmq_job_is_held (job) || bullmq_connection_get_n_waiting (job->worker->commands) > MAX_WAITING_LOGS)
    return;
  command = bullmq_command_new_script (BULLMQ_ADD_LOG);
  bullmq_job_add_key (job, command, "");
  bullmq_job_add_key (job, command, ":logs");
  bullmq_command_add (command, job->id, job->id_length);
  bullmq_command_add (command, row, -1);
  if (keep > 0)
    bullmq_command_add_int (command, keep);
  else
    bullmq_command_add (command, "", 0);
  bullmq_connection_send (job->worker->commands, command, BULLMQ_COMMAND_NONE, NULL, NULL);
}
