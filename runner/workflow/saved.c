/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* A run that lives in a job's data: whoever has the job goes on where the last one stopped. */

#include "workflow/workflow-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* Below it the time that has passed says nothing of the time to come. */
#define MIN_PROGRESS 0.01

static DerushWorkflowStep *
definition_of (DerushWorkflowRun *run, guint i)
{
  return g_ptr_array_index (run->workflow->steps, i);
}

/* ── Beginning ──────────────────────────────────────────────────────────── */

static DerushWorkflow *
load (JsonObject *parameters, GError **error)
{
  JsonObject *definition = derush_json_get_object (parameters, "definition");
  g_autofree char *text = NULL;
  gsize length;

  if (!definition)
    return derush_workflow_load (derush_json_get_string (parameters, "templateId", ""), error);
  text = derush_json_object_to_string (definition);
  length = strlen (text);
  if (length <= DERUSH_WORKFLOW_MAX_BYTES)
    return derush_workflow_new (definition, error);
  g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The workflow cannot be used: /workflowDefinition is too long: it has %zu bytes, %d are allowed"),
               length, DERUSH_WORKFLOW_MAX_BYTES);
  return NULL;
}

/**
 * derush_workflow_run_new_for_job:
 * @plan: that of a job WORKFLOW_EXECUTION
 * @job_id: the job's id; names the execution if the job's data does not
 * @now: the time
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): a run none of whose steps has begun
 */
DerushWorkflowRun *
derush_workflow_run_new_for_job (DerushPlan *plan, const char *job_id, gint64 now, GError **error)
{
  DerushPlanStep *step = plan->steps->pdata[0];
  g_autoptr (DerushWorkflow) workflow = load (step->parameters, error);

  if (!workflow)
    return NULL;
  return derush_workflow_run_new (workflow, derush_json_get_object (step->parameters, "input"),
                                  plan->workflow_id ? plan->workflow_id : job_id, now, error);
}

/**
 * derush_workflow_run_make_job_id:
 * @run: a run
 * @step: the index of a step
 *
 * Returns: (transfer full): `EXECUTION-STEP`, which is what the job of a step is called in every try to run it: adding
 *   it twice adds it once. When the whole workflow is tried again, `EXECUTION-STEP-2` and so on.
 */
char *
derush_workflow_run_make_job_id (DerushWorkflowRun *run, guint step)
{
  g_autofree char *execution = g_strdelimit (g_strdup (run->execution_id), ":", '_');

  if (run->round == 0)
    return g_strdup_printf ("%s-%s", execution, definition_of (run, step)->id);
  return g_strdup_printf ("%s-%s-%u", execution, definition_of (run, step)->id, run->round + 1);
}

/* ── Saving ─────────────────────────────────────────────────────────────── */

static JsonObject *
save_step (DerushWorkflowRun *run, guint i)
{
  WorkflowStepState *step = &run->steps[i];
  JsonObject *saved = json_object_new ();

  json_object_set_string_member (saved, "status", derush_workflow_status_to_string (step->status));
  json_object_set_double_member (saved, "weight", definition_of (run, i)->estimated_duration);
  if (step->job_id)
    json_object_set_string_member (saved, "jobId", step->job_id);
  if (step->queue)
    json_object_set_string_member (saved, "queue", step->queue);
  if (step->attempts > 0)
    json_object_set_int_member (saved, "attempts", step->attempts);
  if (step->processing_time > 0)
    json_object_set_int_member (saved, "processingTime", step->processing_time);
  if (step->error)
    json_object_set_string_member (saved, "error", step->error);
  if (step->has_class)
    json_object_set_string_member (saved, "errorClass", derush_error_class_to_string (step->error_class));
  return saved;
}

/**
 * derush_workflow_run_save:
 * @run: a run
 *
 * Returns: (transfer full): all of it but the workflow, its input and what the steps returned
 */
JsonObject *
derush_workflow_run_save (DerushWorkflowRun *run)
{
  JsonObject *state = json_object_new (), *steps = json_object_new ();

  json_object_set_int_member (state, "version", 1);
  json_object_set_string_member (state, "executionId", run->execution_id);
  json_object_set_string_member (state, "workflow", run->workflow->id);
  json_object_set_int_member (state, "startedAt", run->started);
  json_object_set_int_member (state, "round", run->round);
  json_object_set_double_member (state, "progress", run->progress);
  json_object_set_string_member (state, "status",
                                 derush_workflow_status_to_string (derush_workflow_run_get_status (run)));
  if (run->has_failed)
    json_object_set_string_member (state, "failedStep", definition_of (run, run->failed_step)->id);
  if (run->cancelled)
    json_object_set_boolean_member (state, "cancelled", TRUE);
  for (guint i = 0; i < run->workflow->steps->len; i++)
    json_object_set_object_member (steps, definition_of (run, i)->id, save_step (run, i));
  json_object_set_object_member (state, "steps", steps);
  return state;
}

static DerushWorkflowStatus
status_from_string (const char *text)
{
  for (guint i = DERUSH_WORKFLOW_STEP_PENDING; i <= DERUSH_WORKFLOW_STEP_CANCELLED; i++)
    if (g_strcmp0 (text, derush_workflow_status_to_string (i)) == 0)
      return i;
  return DERUSH_WORKFLOW_STEP_PENDING;
}

static void
restore_step (DerushWorkflowRun *run, guint i, JsonObject *saved)
{
  WorkflowStepState *step = &run->steps[i];

  step->status = status_from_string (derush_json_get_string (saved, "status", NULL));
  step->job_id = g_strdup (derush_json_get_string (saved, "jobId", NULL));
  step->queue = g_strdup (derush_json_get_string (saved, "queue", NULL));
  step->attempts = CLAMP (derush_json_get_int (saved, "attempts", 0), 0, G_MAXINT);
  step->processing_time = MAX (derush_json_get_int (saved, "processingTime", 0), 0);
  step->error = g_strdup (derush_json_get_string (saved, "error", NULL));
  step->has_class =
      derush_error_class_from_string (derush_json_get_string (saved, "errorClass", ""), &step->error_class);
  definition_of (run, i)->estimated_duration =
      derush_json_get_number (saved, "weight", definition_of (run, i)->estimated_duration);
}

/* The whole is tried again after it had ended: what has completed stays, the rest begins anew. */
static void
begin_round (DerushWorkflowRun *run)
{
  run->round++;
  for (guint i = 0; i < run->workflow->steps->len; i++) {
    WorkflowStepState *step = &run->steps[i];

    if (step->status == DERUSH_WORKFLOW_STEP_COMPLETED)
      continue;
    g_free (step->job_id);
    g_free (step->queue);
    g_free (step->error);
    memset (step, 0, sizeof *step);
  }
}

/**
 * derush_workflow_run_restore:
 * @run: a run that has just been made
 * @state: what derush_workflow_run_save() made of a run of the same workflow
 *
 * Makes @run what the other one was. If that had failed or was cancelled and has ended, a new round begins: the steps
 * that have completed stay so, and the rest is tried again.
 *
 * Returns: whether a new round begins
 */
gboolean
derush_workflow_run_restore (DerushWorkflowRun *run, JsonObject *state)
{
  JsonObject *steps = derush_json_get_object (state, "steps");
  const char *failed = derush_json_get_string (state, "failedStep", NULL);

  run->started = derush_json_get_int (state, "startedAt", run->started);
  run->round = CLAMP (derush_json_get_int (state, "round", 0), 0, G_MAXINT);
  run->progress = CLAMP (derush_json_get_number (state, "progress", 0), 0, 1);
  for (guint i = 0; i < run->workflow->steps->len; i++) {
    JsonObject *saved = derush_json_get_object (steps, definition_of (run, i)->id);

    if (saved)
      restore_step (run, i, saved);
  }
  run->has_failed = failed && derush_workflow_find_step (run->workflow, failed, &run->failed_step);
  run->cancelled = derush_json_get_boolean (state, "cancelled", FALSE);
  if (!derush_workflow_run_has_ended (run) || !derush_workflow_run_is_stopping (run))
    return FALSE;
  run->has_failed = run->cancelled = FALSE;
  begin_round (run);
  return TRUE;
}

void
derush_workflow_run_set_return_value (DerushWorkflowRun *run, guint step, JsonObject *return_value)
{
  g_clear_pointer (&run->steps[step].return_value, json_object_unref);
  run->steps[step].return_value = json_object_ref (return_value);
}

/* ── How far it is, for those who only see what is saved ────────────────── */

/**
 * derush_workflow_saved_get_progress:
 * @state: a saved run
 * @now: the time
 * @func: (scope call): how far the step with this id is that runs, 0 to 1
 * @user_data: for @func
 * @progress: (out): how far the whole is
 *
 * Returns: %FALSE if @state is none
 */
gboolean
derush_workflow_saved_get_progress (JsonObject *state, gint64 now, DerushWorkflowProgressFunc func, gpointer user_data,
                                    DerushWorkflowProgress *progress)
{
  JsonObject *steps = derush_json_get_object (state, "steps");
  double total = 0, done = 0, elapsed = MAX (now - derush_json_get_int (state, "startedAt", now), 0) / 1000.0;
  JsonObjectIter iter;
  const char *id;
  JsonNode *node;

  if (!steps)
    return FALSE;
  progress->current_step = progress->total_steps = 0;
  json_object_iter_init (&iter, steps);
  while (json_object_iter_next (&iter, &id, &node)) {
    JsonObject *step = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    DerushWorkflowStatus status = status_from_string (derush_json_get_string (step, "status", NULL));
    double weight = MAX (derush_json_get_number (step, "weight", 1), 0.001);

    progress->total_steps++;
    if (status != DERUSH_WORKFLOW_STEP_PENDING)
      progress->current_step++;
    if (status > DERUSH_WORKFLOW_STEP_COMPLETED)
      continue;
    total += weight;
    if (status == DERUSH_WORKFLOW_STEP_COMPLETED)
      done += weight;
    else if (status == DERUSH_WORKFLOW_STEP_RUNNING)
      done += weight * CLAMP (func (id, step, user_data), 0, 1);
  }
  progress->progress = CLAMP (total > 0 ? done / total : 0, derush_json_get_number (state, "progress", 0), 1);
  progress->remaining = progress->progress < MIN_PROGRESS ? total * (1 - progress->progress)
                                                          : elapsed * (1 - progress->progress) / progress->progress;
  return TRUE;
}

/**
 * derush_workflow_progress_to_json:
 * @progress: how far a run is
 * @job_id: (nullable): of the job that it is
 * @message: (nullable): what is going on
 *
 * Returns: (transfer full): what the job's progress is; `progress` is in percent, `estimatedTimeRemaining` in seconds
 */
JsonObject *
derush_workflow_progress_to_json (const DerushWorkflowProgress *progress, const char *job_id, const char *message)
{
  JsonObject *object = json_object_new ();

  json_object_set_int_member (object, "progress", (gint64)(progress->progress * 100));
  json_object_set_int_member (object, "currentStep", progress->current_step);
  json_object_set_int_member (object, "totalSteps", progress->total_steps);
  json_object_set_int_member (object, "estimatedTimeRemaining", (gint64)(progress->remaining + 0.5));
  if (job_id)
    json_object_set_string_member (object, "jobId", job_id);
  if (message)
    json_object_set_string_member (object, "message", message);
  return object;
}
