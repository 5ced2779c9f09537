/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

/* New data is stored in two steps, as the script does not look at the lock. When the connection breaks in between, both
 * are done again. One update waits for the other, so that the last one is what stays. */

static void ask_lock (GTask *task);

static DerushBullmqJob *
job_of (GTask *task)
{
  return ((DerushBullmqJob **)g_task_get_task_data (task))[0];
}

static const char *
data_of (GTask *task)
{
  return ((char **)g_task_get_task_data (task))[1];
}

static void
free_task_data (gpointer data)
{
  gpointer *members = data;

  derush_bullmq_job_unref (members[0]);
  g_free (members[1]);
  g_free (members);
}

/* @error: (transfer full) (nullable) */
static void
end_update (GTask *task, GError *error)
{
  g_autoptr (DerushBullmqJob) job = derush_bullmq_job_ref (job_of (task));
  GTask *next;

  g_queue_pop_head (&job->updates);
  if (error) {
    g_task_return_error (task, error);
  } else {
    g_free (job->data);
    job->data = g_strdup (data_of (task));
    g_task_return_boolean (task, TRUE);
  }
  g_object_unref (task);
  next = g_queue_peek_head (&job->updates);
  if (next)
    ask_lock (next);
}

static void
on_updated (const BullmqAnswer *said, gpointer user_data)
{
  GTask *task = user_data;
  DerushBullmqJob *job = job_of (task);
  GError *error = NULL;

  if (said->lost && bullmq_job_is_held (job)) {
    ask_lock (task);
    return;
  }
  if (said->error) {
    error = g_error_copy (said->error);
  } else if (said->reply->type == REDIS_REPLY_INTEGER && said->reply->integer < 0) {
    bullmq_job_lose (job, bullmq_finish_describe_code (said->reply->integer));
    bullmq_job_check_held (job, &error);
  }
  end_update (task, error);
}

static void
on_lock (const BullmqAnswer *said, gpointer user_data)
{
  GTask *task = user_data;
  DerushBullmqJob *job = job_of (task);
  BullmqCommand *command;
  GError *error = NULL;

  if (said->reply && !bullmq_job_owns_lock (job, said->reply))
    bullmq_job_lose (job, bullmq_finish_describe_code (said->reply->type == REDIS_REPLY_NIL ? BULLMQ_CODE_NO_LOCK
                                                                                            : BULLMQ_CODE_OTHER_LOCK));
  if (said->error)
    error = g_error_copy (said->error);
  else
    bullmq_job_check_held (job, &error);
  if (error) {
    end_update (task, error);
    return;
  }
  command = bullmq_command_new_script (BULLMQ_UPDATE_DATA);
  bullmq_job_add_key (job, command, "");
  bullmq_command_add (command, data_of (task), -1);
  bullmq_connection_send (job->worker->commands, command, BULLMQ_COMMAND_NONE, on_updated, task);
}

static void
ask_lock (GTask *task)
{
  GError *error = NULL;

  if (bullmq_job_check_held (job_of (task), &error))
    bullmq_job_ask_lock (job_of (task), on_lock, task);
  else
    end_update (task, error);
}

/**
 * derush_bullmq_job_update_data_async:
 * @job: a job that has not been ended
 * @data_json: its new data, any JSON value
 * @cancellable: (nullable): a cancellable
 * @callback: called when Redis has it
 * @user_data: for @callback
 *
 * Replaces the job's data in Redis, where whoever gets the job next finds it, also after a crash. Updates are stored in
 * the order of the calls; end the job or let it wait for its children after the last one has called back. While the
 * server is away, this waits for it.
 */
void
derush_bullmq_job_update_data_async (DerushBullmqJob *job, const char *data_json, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);
  gpointer *members = g_new (gpointer, 2);
  g_autoptr (JsonNode) node = NULL;
  GError *error = NULL;

  g_task_set_source_tag (task, derush_bullmq_job_update_data_async);
  members[0] = derush_bullmq_job_ref (job);
  members[1] = g_strdup (data_json);
  g_task_set_task_data (task, members, free_task_data);
  node = derush_json_parse (data_json, -1, &error);
  if (!node) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  g_queue_push_tail (&job->updates, task);
  if (job->updates.length == 1)
    ask_lock (task);
}

/**
 * derush_bullmq_job_update_data_finish:
 * @job: the job
 * @result: what the callback was given
 * @error: return location for an error; of class cancelled when the job or its lock is gone, so that it belongs to
 *   somebody else
 *
 * Returns: %TRUE if the data is in Redis
 */
gboolean
derush_bullmq_job_update_data_finish (DerushBullmqJob *job, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
