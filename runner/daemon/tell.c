/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What webhooks are told of a job that has ended for good. */

#include "daemon-private.h"

#include <string.h>

static void
set_text (JsonObject *object, const char *name, const char *text)
{
  g_autofree char *valid = text ? g_utf8_make_valid (text, -1) : NULL;

  if (valid)
    json_object_set_string_member (object, name, valid);
}

/* Where the job itself wants to be told of, if that is an address. */
static char *
wanted_by (DerushBullmqJob *job)
{
  const char *text = derush_bullmq_job_get_data (job), *url;
  g_autoptr (JsonObject) data = NULL;

  if (!strstr (text, "webhookUrl"))
    return NULL;
  data = derush_json_parse_object (text, -1, NULL);
  url = data ? derush_json_get_string (data, "webhookUrl", NULL) : NULL;
  return url && derush_transfer_is_remote (url) && g_uri_is_valid (url, G_URI_FLAGS_NONE, NULL) ? g_strdup (url) : NULL;
}

static JsonObject *
describe (DerushBullmqJob *job, const DerushEnded *ended)
{
  JsonObject *said = json_object_new ();
  g_autofree char *parent_queue = NULL, *parent_id = NULL;

  set_text (said, "id", derush_bullmq_job_get_id (job));
  set_text (said, "queue", derush_bullmq_job_get_queue (job));
  set_text (said, "type", ended->type ? ended->type : derush_bullmq_job_get_name (job));
  set_text (said, "state", ended->value ? "completed" : "failed");
  json_object_set_int_member (said, "attemptsMade", derush_bullmq_job_get_attempts_made (job) + 1);
  json_object_set_int_member (said, "duration", ended->duration);
  if (ended->value)
    json_object_set_object_member (said, "returnvalue", json_object_ref (ended->value));
  set_text (said, "failedReason", ended->reason);
  if (ended->reason)
    set_text (said, "class", derush_error_class_to_string (ended->error_class));
  if (ended->plan) {
    set_text (said, "videoId", ended->plan->video_id);
    set_text (said, "userId", ended->plan->user_id);
    if (ended->plan->metadata)
      json_object_set_member (said, "metadata", json_node_copy (ended->plan->metadata));
  }
  if (derush_bullmq_job_get_parent (job, &parent_queue, &parent_id)) {
    JsonObject *parent = json_object_new ();

    set_text (parent, "queue", parent_queue);
    set_text (parent, "id", parent_id);
    set_text (parent, "step", derush_json_get_string (derush_bullmq_job_get_opts (job), DERUSH_STEP_OPTION, NULL));
    json_object_set_object_member (said, "parent", parent);
  }
  return said;
}

void
derush_daemon_tell (DerushDaemon *daemon, DerushBullmqJob *job, const DerushEnded *ended)
{
  gboolean workflow = g_strcmp0 (ended->type, "WORKFLOW_EXECUTION") == 0;
  const char *event = workflow       ? (ended->value ? "workflow.completed" : "workflow.failed")
                      : ended->value ? "job.completed"
                                     : "job.failed";
  g_autofree char *url = wanted_by (job);
  g_autoptr (JsonObject) data = NULL;

  if (!url && !derush_webhooks_wants (daemon->webhooks, event))
    return;
  data = describe (job, ended);
  if (derush_webhooks_wants (daemon->webhooks, event))
    derush_webhooks_send (daemon->webhooks, NULL, event, data);
  if (url)
    derush_webhooks_send (daemon->webhooks, url, event, data);
}
