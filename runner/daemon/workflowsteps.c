/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Adding the jobs of steps, and stopping them. */

#include "workflow-private.h"

#include <string.h>

Child *
child_new (Execution *self, guint step, const char *id)
{
  Child *child = g_new0 (Child, 1);

  child->self = self;
  child->step = step;
  child->queue = g_strdup (execution_get_queue (self, step));
  child->id = g_strdup (id);
  self->n_missing++;
  return child;
}

void
child_free (Child *child)
{
  g_free (child->queue);
  g_free (child->id);
  g_free (child->data);
  g_free (child);
}

/* ── Starting steps ─────────────────────────────────────────────────────── */

static void
on_added (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Child *child = user_data;
  Execution *self = child->self;
  g_autoptr (GError) error = NULL;
  g_autofree char *key = derush_bullmq_job_add_child_finish (self->job, result, &error);

  if (key) {
    JsonObject *fields = execution_log_fields (self);
    g_autofree char *row =
        g_strdup_printf ("step %s: job %s of %s", execution_get_step (self, child->step)->id, child->id, child->queue);

    derush_bullmq_job_add_log (self->job, row);
    json_object_set_string_member (fields, "step", execution_get_step (self, child->step)->id);
    derush_log (DERUSH_LOG_DEBUG, fields, "Step %s begins: job %s of %s", execution_get_step (self, child->step)->id,
                child->id, child->queue);
  } else if (derush_error_get_class (error) == DERUSH_ERROR_BAD_INPUT) {
    derush_workflow_run_give_up (self->run, child->step, error->message, derush_time_now_ms ());
  } else {
    execution_keep_error (self, g_steal_pointer (&error));
  }
  child_free (child);
  /* What could not be added may have ended the workflow, or made others ready. */
  execution_answered (self, execution_decide);
}

static JsonObject *
options_of (Execution *self, guint step, const char *id)
{
  DerushWorkflow *workflow = derush_workflow_run_get_workflow (self->run);
  DerushWorkflowStep *definition = execution_get_step (self, step);
  JsonObject *options = json_object_new (), *own = derush_bullmq_job_get_opts (self->job);
  static const char *const inherited[] = {"priority", "removeOnComplete", "removeOnFail"};

  json_object_set_string_member (options, "jobId", id);
  json_object_set_int_member (options, "attempts", definition->max_retries + 1);
  if (workflow->retry_delay > 0) {
    JsonObject *backoff = json_object_new ();

    json_object_set_string_member (backoff, "type", "exponential");
    json_object_set_int_member (backoff, "delay", workflow->retry_delay);
    json_object_set_double_member (backoff, "multiplier", workflow->backoff_multiplier);
    json_object_set_object_member (options, "backoff", backoff);
  }
  for (guint i = 0; i < G_N_ELEMENTS (inherited); i++)
    if (json_object_has_member (own, inherited[i]))
      json_object_set_member (options, inherited[i], json_node_copy (json_object_get_member (own, inherited[i])));
  json_object_set_boolean_member (
      options, definition->skip_on_failure ? "ignoreDependencyOnFailure" : "continueParentOnFailure", TRUE);
  json_object_set_string_member (options, DERUSH_STEP_OPTION, definition->id);
  return options;
}

static void
add_child (Child *child)
{
  Execution *self = child->self;
  g_autoptr (JsonObject) options = options_of (self, child->step, child->id);

  derush_bullmq_job_add_child_async (self->job, child->queue, execution_get_step (self, child->step)->job_type,
                                     child->data, options, NULL, on_added, child);
}

static void
on_removed_before (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Child *child = user_data;

  derush_bullmq_queue_remove_finish (derush_daemon_get_queue (child->self->daemon, child->queue), result, NULL);
  add_child (child);
}

/* A job of that name that this workflow does not know is from an execution that is over. */
static void
on_looked_up (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Child *child = user_data;
  Execution *self = child->self;
  DerushBullmqQueue *queue = derush_daemon_get_queue (self->daemon, child->queue);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) job = derush_bullmq_queue_get_job_finish (queue, result, &error);
  const char *state = derush_json_get_string (job, "state", "");

  if (error) {
    execution_keep_error (self, g_steal_pointer (&error));
    child_free (child);
    execution_answered (self, execution_decide);
  } else if (strcmp (state, "completed") == 0 || strcmp (state, "failed") == 0) {
    derush_bullmq_queue_remove_async (queue, child->id, FALSE, NULL, on_removed_before, child);
  } else {
    add_child (child);
  }
}

static void
look_up (Child *child)
{
  DerushBullmqQueue *queue = derush_daemon_get_queue (child->self->daemon, child->queue);

  derush_workflow_run_set_queue (child->self->run, child->step, child->queue);
  derush_bullmq_queue_get_job_async (queue, child->id, NULL, on_looked_up, child);
}

static void
on_worker_known (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Child *child = user_data;
  Execution *self = child->self;
  g_autoptr (GError) error = NULL;

  if (!derush_bullmq_control_has_worker_finish (self->daemon->control, child->queue, result, &error) && !error) {
    derush_log (DERUSH_LOG_WARN, execution_log_fields (self),
                "Nobody takes jobs from the queue %s: the step %s goes to the queue of the workflow", child->queue,
                execution_get_step (self, child->step)->id);
    g_free (child->queue);
    child->queue = g_strdup (derush_bullmq_job_get_queue (self->job));
  }
  look_up (child);
}

static void
start_step (Execution *self, guint step, JsonObject *data)
{
  g_autofree char *id = derush_workflow_run_make_job_id (self->run, step);
  Child *child = child_new (self, step, id);

  child->data = derush_json_object_to_string (data);
  derush_workflow_run_start (self->run, step, id, derush_time_now_ms ());
  /* In a queue that nobody works on, the step would wait for ever. */
  if (strcmp (child->queue, derush_bullmq_job_get_queue (self->job)) == 0)
    look_up (child);
  else
    derush_bullmq_control_has_worker_async (self->daemon->control, child->queue, on_worker_known, child);
}

/* Two steps that measure one film at once would both decode it; the second finds what the first has measured. */
static gboolean
waits_for_analysis (Execution *self, DerushPlan *plan, GPtrArray *running)
{
  for (guint i = 0; plan->needs_analysis && i < running->len; i++) {
    DerushPlan *other = running->pdata[i];

    if (other->needs_analysis && g_strcmp0 (other->source, plan->source) == 0)
      return TRUE;
  }
  return FALSE;
}

static DerushPlan *
plan_of (Execution *self, guint step, JsonObject *data)
{
  return data ? derush_plan_new (execution_get_step (self, step)->job_type, data, self->daemon->flags, NULL) : NULL;
}

void
execution_start_ready (Execution *self)
{
  guint limit = derush_workflow_run_get_workflow (self->run)->max_concurrent_steps;
  g_autoptr (GPtrArray) plans = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_plan_unref);
  guint n_running = 0;

  for (guint i = 0; i < execution_get_n_steps (self); i++) {
    g_autoptr (JsonObject) data = NULL;
    DerushPlan *plan;

    if (derush_workflow_run_get_step_status (self->run, i) != DERUSH_WORKFLOW_STEP_RUNNING)
      continue;
    n_running++;
    data = derush_workflow_run_get_data (self->run, i, NULL);
    plan = plan_of (self, i, data);
    if (plan)
      g_ptr_array_add (plans, plan);
  }
  for (guint i = 0; i < execution_get_n_steps (self); i++) {
    g_autoptr (JsonObject) data = NULL;
    g_autoptr (DerushPlan) plan = NULL;
    g_autoptr (GError) error = NULL;

    if (limit > 0 && n_running >= limit)
      return;
    if (derush_workflow_run_is_stopping (self->run) ||
        !derush_workflow_run_is_ready (self->run, i, derush_time_now_ms ()))
      continue;
    data = derush_workflow_run_get_data (self->run, i, &error);
    if (!data) {
      derush_workflow_run_give_up (self->run, i, error->message, derush_time_now_ms ());
      /* It may have made others ready, if only those before it. */
      execution_start_ready (self);
      return;
    }
    plan = plan_of (self, i, data);
    if (plan && waits_for_analysis (self, plan, plans))
      continue;
    n_running++;
    start_step (self, i, data);
    if (plan)
      g_ptr_array_add (plans, g_steal_pointer (&plan));
  }
}

/* ── Stopping them ──────────────────────────────────────────────────────── */

static void
on_told_to_stop (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Child *child = user_data;
  Execution *self = child->self;
  g_autoptr (GError) error = NULL;

  if (!derush_bullmq_control_cancel_finish (self->daemon->control, result, &error))
    execution_keep_error (self, g_steal_pointer (&error));
  child_free (child);
  execution_answered (self, execution_save);
}

static void
on_removed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Child *child = user_data;
  Execution *self = child->self;
  g_autoptr (GError) error = NULL;

  if (derush_bullmq_queue_remove_finish (derush_daemon_get_queue (self->daemon, child->queue), result, &error)) {
    derush_workflow_run_cancel_step (self->run, child->step, derush_time_now_ms ());
  } else if (error) {
    execution_keep_error (self, g_steal_pointer (&error));
  } else {
    /* Somebody runs it, and ends it soon. */
    derush_bullmq_control_cancel_async (self->daemon->control, child->queue, child->id, on_told_to_stop, child);
    return;
  }
  child_free (child);
  execution_answered (self, execution_save);
}

void
execution_stop_running (Execution *self)
{
  for (guint i = 0; i < execution_get_n_steps (self); i++) {
    Child *child;

    if (derush_workflow_run_get_step_status (self->run, i) != DERUSH_WORKFLOW_STEP_RUNNING)
      continue;
    child = child_new (self, i, derush_workflow_run_get_job_id (self->run, i));
    derush_bullmq_queue_remove_async (derush_daemon_get_queue (self->daemon, child->queue), child->id, FALSE, NULL,
                                      on_removed, child);
  }
}
