/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <string.h>

/**
 * derush_bullmq_job_get_parent:
 * @job: a job, which may have been ended
 * @queue: (out) (transfer full): the queue of its parent
 * @id: (out) (transfer full): the parent's id
 *
 * Returns: %FALSE if it has none, or one of another prefix
 */
gboolean
derush_bullmq_job_get_parent (DerushBullmqJob *job, char **queue, char **id)
{
  g_autoptr (JsonObject) parent = job->parent ? derush_json_parse_object (job->parent, -1, NULL) : NULL;
  const char *key = derush_json_get_string (parent, "queueKey", ""),
             *name = derush_json_get_string (parent, "id", NULL);
  gsize length = job->worker ? strlen (job->worker->prefix) : 0;

  if (!job->worker || !name || strncmp (key, job->worker->prefix, length) != 0 || key[length] != ':')
    return FALSE;
  *queue = g_strdup (key + length + 1);
  *id = g_strdup (name);
  return TRUE;
}

/**
 * derush_bullmq_job_wake_parent:
 * @job: a job that has been ended just now
 *
 * Lets the job's parent go on, if it waits for its children, though others of them may not have ended. Best effort: when
 * the connection breaks meanwhile, the parent waits for its last child.
 */
void
derush_bullmq_job_wake_parent (DerushBullmqJob *job)
{
  g_autofree char *queue = NULL, *id = NULL;

  if (!job->worker || job->worker->freed || job->lost || !derush_bullmq_job_get_parent (job, &queue, &id))
    return;
  /* Behind the command that ends the job, as it is the same connection. */
  bullmq_connection_send (job->worker->commands, bullmq_command_new_wake (job->worker->prefix, queue, id),
                          BULLMQ_COMMAND_NONE, NULL, NULL);
}
