/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* How a job WORKFLOW_EXECUTION ends, or waits. */

#include "workflow-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* How long the job rests after something that another try may mend, in ms. */
#define REST 5000

/* Redis, or something else that is no fault of the workflow: it goes on later. */
void
execution_rest (Execution *self, const GError *error)
{
  if (derush_error_get_class (error) == DERUSH_ERROR_CANCELLED) {
    derush_log (DERUSH_LOG_WARN, execution_log_fields (self), "Let go, because its lock was lost");
    derush_bullmq_job_give_back (self->job);
  } else {
    derush_log (DERUSH_LOG_WARN, execution_log_fields (self), "The workflow goes on in %d s: %s", REST / 1000,
                error->message);
    derush_bullmq_job_delay (self->job, REST);
  }
  execution_free (self);
}

/* ── Its end ────────────────────────────────────────────────────────────── */

static gint64
elapsed (Execution *self)
{
  return self->run ? derush_workflow_run_get_elapsed (self->run, derush_time_now_ms ()) : 0;
}

/* The row of the whole; that of its job is like any other's. */
void
execution_store (Execution *self, JsonObject *output, const char *error)
{
  gint64 now = derush_time_now_ms ();
  DerushStoreExecution row = {
      .id = derush_workflow_run_get_execution_id (self->run),
      .workflow = derush_workflow_run_get_workflow (self->run)->id,
      .job = self->store_id,
      .input = derush_workflow_run_get_input (self->run),
      .output = output,
      .metadata = self->plan->metadata,
      .error = error,
      .started = now - elapsed (self),
      .ended = output || error ? now : 0,
      .status = "RUNNING",
  };

  if (output || error)
    row.status = derush_workflow_status_to_string (derush_workflow_run_get_status (self->run));
  row.steps = derush_workflow_run_describe_steps (self->run, FALSE);
  derush_store_execution (self->daemon->store, &row);
  json_array_unref (row.steps);
}

void
execution_fail (Execution *self, DerushErrorClass error_class, const char *message)
{
  g_autofree char *reason = derush_log_redact (message);
  DerushEnded ended = {.type = self->plan->job_type,
                       .plan = self->plan,
                       .reason = reason,
                       .error_class = error_class,
                       .duration = elapsed (self)};
  JsonObject *fields = execution_log_fields (self);

  g_strdelimit (reason, "\r\n", ' ');
  json_object_set_int_member (fields, "processingTime", elapsed (self));
  json_object_set_string_member (fields, "class", derush_error_class_to_string (error_class));
  derush_log (DERUSH_LOG_ERROR, fields, "%s", reason);
  derush_store_job_failed (self->daemon->store, self->store_id, reason, FALSE, error_class == DERUSH_ERROR_CANCELLED,
                           elapsed (self));
  derush_daemon_metrics_job_failed (self->job, self->plan->job_type, error_class, FALSE, elapsed (self));
  derush_daemon_tell (self->daemon, self->job, &ended);
  derush_bullmq_job_fail (self->job, reason, error_class == DERUSH_ERROR_CANCELLED ? "    class: cancelled" : NULL,
                          FALSE);
  execution_free (self);
}

static void
complete (Execution *self)
{
  JsonObject *value = derush_workflow_run_get_return_value (self->run, FALSE, derush_time_now_ms ()), *fields;
  g_autofree char *text = NULL;

  if (self->plan->video_id)
    json_object_set_string_member (value, "videoId", self->plan->video_id);
  if (self->plan->metadata)
    json_object_set_member (value, "metadata", json_node_copy (self->plan->metadata));
  derush_return_value_shorten (&value);
  fields = execution_log_fields (self);
  json_object_set_int_member (fields, "processingTime", elapsed (self));
  json_object_set_object_member (fields, "result", json_object_ref (value));
  derush_log (DERUSH_LOG_INFO, fields, "Completed in %.1f s", elapsed (self) / 1000.0);
  derush_store_job_completed (self->daemon->store, self->store_id, self->plan, value, elapsed (self));
  execution_store (self, value, NULL);
  text = derush_json_object_to_string (value);
  derush_daemon_metrics_job_ended (self->job, self->plan->job_type, "completed", elapsed (self));
  derush_daemon_tell (
      self->daemon, self->job,
      &(DerushEnded){.type = self->plan->job_type, .plan = self->plan, .value = value, .duration = elapsed (self)});
  derush_bullmq_job_complete (self->job, text);
  json_object_unref (value);
  execution_free (self);
}

static void
execution_finish (Execution *self)
{
  DerushBullmqControl *control = self->daemon->control;
  DerushErrorClass error_class = DERUSH_ERROR_CANCELLED;
  g_autofree char *message = NULL;
  guint step;

  derush_workflow_learn (self->daemon->learned, self->run);
  derush_bullmq_control_leave (control, derush_workflow_run_get_execution_id (self->run), self->owner);
  for (guint i = 0; i < execution_get_n_steps (self); i++)
    if (derush_workflow_run_get_step_status (self->run, i) == DERUSH_WORKFLOW_STEP_CANCELLED)
      derush_bullmq_control_forget_cancel (control, execution_get_queue (self, i),
                                           derush_workflow_run_get_job_id (self->run, i));
  derush_bullmq_control_forget_cancel (control, derush_bullmq_job_get_queue (self->job), self->id);
  if (derush_workflow_run_get_status (self->run) == DERUSH_WORKFLOW_STEP_COMPLETED) {
    complete (self);
    return;
  }
  if (derush_workflow_run_get_failure (self->run, &step, &error_class))
    message = g_strdup_printf (_ ("The workflow failed at step “%s”: %s"), execution_get_step (self, step)->id,
                               derush_workflow_run_get_step_error (self->run, step));
  else
    message = g_strdup (_ ("The workflow was cancelled"));
  execution_store (self, NULL, message);
  execution_fail (self, error_class, message);
}

/* ── Waiting ────────────────────────────────────────────────────────────── */

static void
on_waits (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (GError) error = NULL;

  switch (derush_bullmq_job_wait_for_children_finish (self->job, result, &error)) {
  case DERUSH_BULLMQ_CHILDREN_WAITING:
    execution_free (self);
    break;
  case DERUSH_BULLMQ_CHILDREN_NONE_PENDING:
    execution_read_children (self);
    break;
  case DERUSH_BULLMQ_CHILDREN_ERROR:
    execution_rest (self, error);
    break;
  }
}

static const char *
name_running (Execution *self)
{
  const char *name = NULL;

  for (guint i = 0; i < execution_get_n_steps (self) && !name; i++)
    if (derush_workflow_run_get_step_status (self->run, i) == DERUSH_WORKFLOW_STEP_RUNNING)
      name = execution_get_step (self, i)->id;
  return name;
}

static void
tell_progress (Execution *self)
{
  DerushWorkflowProgress progress;
  g_autoptr (JsonObject) object = NULL;
  g_autofree char *text = NULL;

  derush_workflow_run_get_progress (self->run, derush_time_now_ms (), &progress);
  object = derush_workflow_progress_to_json (&progress, self->id, name_running (self));
  text = derush_json_object_to_string (object);
  derush_bullmq_job_set_progress (self->job, text);
  derush_store_job_progress (self->daemon->store, self->store_id, (int)(progress.progress * 100), name_running (self));
}

static void
on_saved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (GError) error = NULL;

  if (!derush_bullmq_job_update_data_finish (self->job, result, &error)) {
    execution_rest (self, error);
    return;
  }
  tell_progress (self);
  if (derush_workflow_run_has_ended (self->run))
    execution_finish (self);
  else
    derush_bullmq_job_wait_for_children_async (self->job, on_waits, self);
}

/* What the backend sent, and beside it how far the workflow is. */
void
execution_save (Execution *self)
{
  g_autoptr (JsonObject) data = json_object_new ();
  g_autofree char *text = NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, self->data);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    if (strcmp (name, DERUSH_WORKFLOW_STATE) != 0)
      json_object_set_member (data, name, json_node_copy (node));
  json_object_set_object_member (data, DERUSH_WORKFLOW_STATE, derush_workflow_run_save (self->run));
  text = derush_json_object_to_string (data);
  derush_bullmq_job_update_data_async (self->job, text, NULL, on_saved, self);
}
