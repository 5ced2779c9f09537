/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* A delay between two attempts is never longer, however often it has been multiplied: one day, in ms. */
#define MAX_DELAY 86400000.0

/* Below it the time that has passed says nothing of the time to come. */
#define MIN_PROGRESS 0.01

/* Members of the input that every step's data has, but for those that it names itself. */
static const char *const ids[] = {"videoId", "mediaId", "id", NULL};
static const char *const others[] = {"userId", "projectId", "outputDir", "metadata", "timeoutMs", "noProgressMs", NULL};

static DerushWorkflowStep *
definition_of (DerushWorkflowRun *run, guint i)
{
  return g_ptr_array_index (run->workflow->steps, i);
}

static gboolean
has_ended (const WorkflowStepState *step)
{
  return step->status != DERUSH_WORKFLOW_STEP_PENDING && step->status != DERUSH_WORKFLOW_STEP_RUNNING;
}

const char *
derush_workflow_status_to_string (DerushWorkflowStatus status)
{
  static const char *const names[] = {"PENDING", "RUNNING", "COMPLETED", "FAILED", "SKIPPED", "CANCELLED"};

  return names[status];
}

/* ── Beginning ──────────────────────────────────────────────────────────── */

typedef struct {
  JsonObject *input;
  GError **error;
  gboolean failed;
} InputCheck;

static void
check_input (const char *pointer, const WorkflowReference *reference, gpointer user_data)
{
  InputCheck *check = user_data;
  g_autoptr (GError) error = NULL;

  if (check->failed || !reference || strcmp (reference->words[0], "input") != 0 ||
      workflow_reference_follow (reference, 1, check->input, &error))
    return;
  check->failed = TRUE;
  g_set_error (check->error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The workflow cannot be run: %s refers to ${%s}, which its input does not have"), pointer,
               reference->text);
}

/**
 * derush_workflow_run_new:
 * @workflow: a workflow
 * @input: what it is run on: the film, ids, `outputDir`, and what its references ask for
 * @execution_id: names this run
 * @now: the time
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): a run none of whose steps has begun; %NULL if a reference asks for what @input
 *   does not have
 */
DerushWorkflowRun *
derush_workflow_run_new (DerushWorkflow *workflow, JsonObject *input, const char *execution_id, gint64 now,
                         GError **error)
{
  InputCheck check = {.input = input, .error = error};
  DerushWorkflowRun *run;

  for (guint i = 0; i < workflow->steps->len; i++) {
    DerushWorkflowStep *step = workflow->steps->pdata[i];
    g_autofree char *pointer = g_strdup_printf ("/steps/%u/jobData", i);
    g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), step->job_data);

    workflow_references_foreach (node, pointer, check_input, &check);
  }
  if (check.failed)
    return NULL;
  run = g_new0 (DerushWorkflowRun, 1);
  run->workflow = derush_workflow_ref (workflow);
  run->input = json_object_ref (input);
  run->execution_id = g_strdup (execution_id);
  run->started = now;
  run->steps = g_new0 (WorkflowStepState, workflow->steps->len);
  return run;
}

void
derush_workflow_run_free (DerushWorkflowRun *run)
{
  for (guint i = 0; i < run->workflow->steps->len; i++) {
    g_free (run->steps[i].job_id);
    g_free (run->steps[i].queue);
    g_free (run->steps[i].error);
    g_clear_pointer (&run->steps[i].return_value, json_object_unref);
  }
  g_free (run->steps);
  derush_workflow_unref (run->workflow);
  json_object_unref (run->input);
  g_free (run->execution_id);
  g_free (run);
}

DerushWorkflow *
derush_workflow_run_get_workflow (DerushWorkflowRun *run)
{
  return run->workflow;
}

/* ── What is next ───────────────────────────────────────────────────────── */

/**
 * derush_workflow_run_is_ready:
 * @run: a run
 * @step: the index of a step
 * @now: the time
 *
 * Returns: whether it can be started: all that it depends on has ended, and the time of its next attempt has come
 */
gboolean
derush_workflow_run_is_ready (DerushWorkflowRun *run, guint step, gint64 now)
{
  GArray *dependencies = definition_of (run, step)->dependencies;

  if (run->steps[step].status != DERUSH_WORKFLOW_STEP_PENDING || run->steps[step].not_before > now)
    return FALSE;
  for (guint i = 0; i < dependencies->len; i++)
    if (!has_ended (&run->steps[g_array_index (dependencies, guint, i)]))
      return FALSE;
  return TRUE;
}

/**
 * derush_workflow_run_get_next_retry:
 * @run: a run
 *
 * Returns: when the next step may be tried again, or -1 if none waits for that
 */
gint64
derush_workflow_run_get_next_retry (DerushWorkflowRun *run)
{
  gint64 next = -1;

  for (guint i = 0; i < run->workflow->steps->len; i++) {
    WorkflowStepState *step = &run->steps[i];

    if (step->status == DERUSH_WORKFLOW_STEP_PENDING && step->attempts > 0 && (next < 0 || step->not_before < next))
      next = step->not_before;
  }
  return next;
}

static JsonNode *
look_up (const WorkflowReference *reference, gpointer user_data, GError **error)
{
  DerushWorkflowRun *run = user_data;
  guint step;

  if (strcmp (reference->words[0], "input") == 0)
    return workflow_reference_follow (reference, 1, run->input, error);
  derush_workflow_find_step (run->workflow, reference->words[1], &step);
  return workflow_reference_follow (reference, 2, run->steps[step].return_value, error);
}

static gboolean
has_any (JsonObject *object, const char *const *names)
{
  for (guint i = 0; names[i]; i++)
    if (json_object_has_member (object, names[i]))
      return TRUE;
  return FALSE;
}

static void
inherit (JsonObject *data, JsonObject *input, const char *const *names)
{
  for (guint i = 0; names[i]; i++)
    if (!json_object_has_member (data, names[i]) && json_object_has_member (input, names[i]))
      json_object_set_member (data, names[i], workflow_copy_node (json_object_get_member (input, names[i])));
}

/* Two jobs of one type would replace each other's files in one folder: all but the first get a folder of their own. */
static gboolean
needs_own_folder (DerushWorkflowRun *run, guint step)
{
  if (json_object_has_member (definition_of (run, step)->job_data, "outputDir"))
    return FALSE;
  for (guint i = 0; i < step; i++)
    if (strcmp (definition_of (run, i)->job_type, definition_of (run, step)->job_type) == 0)
      return TRUE;
  return FALSE;
}

/**
 * derush_workflow_run_get_data:
 * @run: a run
 * @step: the index of a step that is ready
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the data of its job; %NULL if a reference leads nowhere
 */
JsonObject *
derush_workflow_run_get_data (DerushWorkflowRun *run, guint step, GError **error)
{
  DerushWorkflowStep *definition = definition_of (run, step);
  g_autoptr (JsonNode) from = json_node_init_object (json_node_alloc (), definition->job_data);
  g_autoptr (JsonNode) node = workflow_references_resolve (from, look_up, run, error);
  const char *const *sources = derush_job_source_members ();
  JsonObject *data;
  const char *folder;

  if (!node)
    return NULL;
  data = json_node_dup_object (node);
  if (!has_any (data, sources))
    inherit (data, run->input, sources);
  if (!has_any (data, ids))
    inherit (data, run->input, ids);
  inherit (data, run->input, others);
  folder = derush_json_get_string (data, "outputDir", NULL);
  if (folder && needs_own_folder (run, step)) {
    g_autofree char *own = g_build_filename (folder, definition->id, NULL);

    json_object_set_string_member (data, "outputDir", own);
  }
  json_object_set_string_member (data, "workflowId", run->execution_id);
  json_object_set_string_member (data, "stepId", definition->id);
  return data;
}

/* ── What has happened ──────────────────────────────────────────────────── */

/* Skips what refers to a step that brought nothing, and what refers to that, and so on. */
static void
skip_dependants (DerushWorkflowRun *run)
{
  gboolean changed = TRUE;

  while (changed) {
    changed = FALSE;
    for (guint i = 0; i < run->workflow->steps->len; i++) {
      GArray *references = definition_of (run, i)->references;
      WorkflowStepState *step = &run->steps[i];

      for (guint r = 0; step->status == DERUSH_WORKFLOW_STEP_PENDING && r < references->len; r++) {
        guint on = g_array_index (references, guint, r);

        if (!has_ended (&run->steps[on]) || run->steps[on].status == DERUSH_WORKFLOW_STEP_COMPLETED)
          continue;
        step->status = DERUSH_WORKFLOW_STEP_SKIPPED;
        step->error = g_strdup_printf (run->steps[on].status == DERUSH_WORKFLOW_STEP_FAILED
                                           ? _ ("needs what step “%s” returns, which failed")
                                           : _ ("needs what step “%s” returns, which was skipped"),
                                       definition_of (run, on)->id);
        changed = TRUE;
      }
    }
  }
}

static void
end_pending (DerushWorkflowRun *run, DerushWorkflowStatus status, const char *reason)
{
  for (guint i = 0; i < run->workflow->steps->len; i++) {
    WorkflowStepState *step = &run->steps[i];

    if (step->status != DERUSH_WORKFLOW_STEP_PENDING)
      continue;
    step->status = step->attempts > 0 ? DERUSH_WORKFLOW_STEP_CANCELLED : status;
    if (!step->error)
      step->error = g_strdup (reason);
  }
}

static void
end_attempt (WorkflowStepState *step, DerushWorkflowStatus status, gint64 now)
{
  step->status = status;
  if (step->attempts > 0)
    step->processing_time += MAX (now - step->started, 0);
}

void
derush_workflow_run_start (DerushWorkflowRun *run, guint i, const char *job_id, gint64 now)
{
  WorkflowStepState *step = &run->steps[i];

  step->status = DERUSH_WORKFLOW_STEP_RUNNING;
  g_free (step->job_id);
  step->job_id = g_strdup (job_id);
  step->attempts++;
  step->progress = 0;
  step->started = now;
  g_clear_pointer (&step->error, g_free);
}

/**
 * derush_workflow_run_report:
 * @run: a run
 * @i: the index of a step that runs
 * @progress: of it, 0 to 1
 */
void
derush_workflow_run_report (DerushWorkflowRun *run, guint i, double progress)
{
  run->steps[i].progress = CLAMP (progress, 0, 1);
}

/**
 * derush_workflow_run_raise_progress:
 * @run: a run
 * @progress: of the whole, 0 to 1, as others have seen it
 *
 * It will not be less from now on.
 */
void
derush_workflow_run_raise_progress (DerushWorkflowRun *run, double progress)
{
  run->progress = CLAMP (progress, run->progress, 1);
}

void
derush_workflow_run_complete (DerushWorkflowRun *run, guint i, JsonObject *return_value, gint64 now)
{
  end_attempt (&run->steps[i], DERUSH_WORKFLOW_STEP_COMPLETED, now);
  run->steps[i].return_value = json_object_ref (return_value);
}

/**
 * derush_workflow_run_give_up:
 * @run: a run
 * @i: the index of a step that runs, or of one whose data could not be made
 * @message: one line for people
 * @now: the time
 *
 * The step has failed for good, as others know who tried it again.
 */
void
derush_workflow_run_give_up (DerushWorkflowRun *run, guint i, const char *message, gint64 now)
{
  DerushWorkflowStep *definition = definition_of (run, i);
  WorkflowStepState *step = &run->steps[i];

  end_attempt (step, DERUSH_WORKFLOW_STEP_FAILED, now);
  g_free (step->error);
  step->error = g_strdup (message);
  if (definition->skip_on_failure) {
    skip_dependants (run);
  } else if (!derush_workflow_run_is_stopping (run)) {
    g_autofree char *reason = g_strdup_printf (_ ("the workflow failed at step “%s”"), definition->id);

    run->has_failed = TRUE;
    run->failed_step = i;
    end_pending (run, DERUSH_WORKFLOW_STEP_SKIPPED, reason);
  }
}

/**
 * derush_workflow_run_fail:
 * @run: a run
 * @i: the index of a step that runs, or of one whose data could not be made
 * @error_class: whether a retry can help
 * @message: one line for people
 * @now: the time
 *
 * Returns: whether the step will be tried again
 */
gboolean
derush_workflow_run_fail (DerushWorkflowRun *run, guint i, DerushErrorClass error_class, const char *message,
                          gint64 now)
{
  DerushWorkflowStep *definition = definition_of (run, i);
  WorkflowStepState *step = &run->steps[i];
  gboolean retries = derush_error_class_can_retry (error_class) && step->attempts <= definition->max_retries &&
                     step->status == DERUSH_WORKFLOW_STEP_RUNNING && !derush_workflow_run_is_stopping (run);
  double delay;

  if (!retries) {
    step->has_class = TRUE;
    step->error_class = error_class;
    derush_workflow_run_give_up (run, i, message, now);
    return FALSE;
  }
  end_attempt (step, DERUSH_WORKFLOW_STEP_FAILED, now);
  g_free (step->error);
  step->error = g_strdup (message);
  delay = run->workflow->retry_delay * pow (run->workflow->backoff_multiplier, step->attempts - 1);
  step->status = DERUSH_WORKFLOW_STEP_PENDING;
  step->progress = 0;
  step->not_before = now + (gint64)MIN (delay, MAX_DELAY);
  return TRUE;
}

/**
 * derush_workflow_run_skip:
 * @run: a run
 * @i: the index of a step that has not begun
 * @reason: one line for people
 *
 * Skips the step, and those that refer to it.
 */
void
derush_workflow_run_skip (DerushWorkflowRun *run, guint i, const char *reason)
{
  WorkflowStepState *step = &run->steps[i];

  if (step->status != DERUSH_WORKFLOW_STEP_PENDING)
    return;
  step->status = DERUSH_WORKFLOW_STEP_SKIPPED;
  g_free (step->error);
  step->error = g_strdup (reason);
  skip_dependants (run);
}

/* A step that runs has been stopped, because the workflow is. */
void
derush_workflow_run_cancel_step (DerushWorkflowRun *run, guint i, gint64 now)
{
  WorkflowStepState *step = &run->steps[i];

  /* It may be the last one to end, after which nothing could be cancelled any more. */
  if (!run->has_failed)
    run->cancelled = TRUE;
  end_attempt (step, DERUSH_WORKFLOW_STEP_CANCELLED, now);
  g_free (step->error);
  step->error = run->has_failed ? g_strdup_printf (_ ("the workflow failed at step “%s”"),
                                                   definition_of (run, run->failed_step)->id)
                                : g_strdup (_ ("the workflow was cancelled"));
}

/* Nothing more is started. What runs is for the caller to stop. */
void
derush_workflow_run_cancel (DerushWorkflowRun *run)
{
  if (derush_workflow_run_has_ended (run))
    return;
  run->cancelled = TRUE;
  end_pending (run, DERUSH_WORKFLOW_STEP_CANCELLED, _ ("the workflow was cancelled"));
}

/* ── How it stands ──────────────────────────────────────────────────────── */

gboolean
derush_workflow_run_has_ended (DerushWorkflowRun *run)
{
  for (guint i = 0; i < run->workflow->steps->len; i++)
    if (!has_ended (&run->steps[i]))
      return FALSE;
  return TRUE;
}

/* Whether what still runs is to be stopped. */
gboolean
derush_workflow_run_is_stopping (DerushWorkflowRun *run)
{
  return run->has_failed || run->cancelled;
}

DerushWorkflowStatus
derush_workflow_run_get_status (DerushWorkflowRun *run)
{
  if (!derush_workflow_run_has_ended (run))
    return DERUSH_WORKFLOW_STEP_RUNNING;
  if (run->has_failed)
    return DERUSH_WORKFLOW_STEP_FAILED;
  return run->cancelled ? DERUSH_WORKFLOW_STEP_CANCELLED : DERUSH_WORKFLOW_STEP_COMPLETED;
}

DerushWorkflowStatus
derush_workflow_run_get_step_status (DerushWorkflowRun *run, guint step)
{
  return run->steps[step].status;
}

guint
derush_workflow_run_get_attempts (DerushWorkflowRun *run, guint step)
{
  return run->steps[step].attempts;
}

/* Returns: (nullable): what start() was told */
const char *
derush_workflow_run_get_job_id (DerushWorkflowRun *run, guint step)
{
  return run->steps[step].job_id;
}

/* Why it is about to fail for good, if anybody knows. */
void
derush_workflow_run_set_error_class (DerushWorkflowRun *run, guint step, DerushErrorClass error_class)
{
  run->steps[step].has_class = TRUE;
  run->steps[step].error_class = error_class;
}

/* Remembers to which queue the jobs of the step go. */
void
derush_workflow_run_set_queue (DerushWorkflowRun *run, guint step, const char *queue)
{
  char *copy = g_strdup (queue);

  g_free (run->steps[step].queue);
  run->steps[step].queue = copy;
}

/* Returns: (nullable): what set_queue() was told */
const char *
derush_workflow_run_get_queue (DerushWorkflowRun *run, guint step)
{
  return run->steps[step].queue;
}

JsonObject *
derush_workflow_run_get_input (DerushWorkflowRun *run)
{
  return run->input;
}

/* Returns: the milliseconds since it began */
gint64
derush_workflow_run_get_elapsed (DerushWorkflowRun *run, gint64 now)
{
  return MAX (now - run->started, 0);
}

const char *
derush_workflow_run_get_execution_id (DerushWorkflowRun *run)
{
  return run->execution_id;
}

/* What a queue says of a job that others have tried several times. */
void
derush_workflow_run_set_attempts (DerushWorkflowRun *run, guint step, guint attempts, gint64 processing_time)
{
  run->steps[step].attempts = attempts;
  run->steps[step].processing_time = processing_time;
}

/* Returns: (nullable): why it failed, was skipped or cancelled */
const char *
derush_workflow_run_get_step_error (DerushWorkflowRun *run, guint step)
{
  return run->steps[step].error;
}

gboolean
derush_workflow_run_get_failure (DerushWorkflowRun *run, guint *step, DerushErrorClass *error_class)
{
  if (!run->has_failed)
    return FALSE;
  *step = run->failed_step;
  *error_class =
      run->steps[run->failed_step].has_class ? run->steps[run->failed_step].error_class : DERUSH_ERROR_INTERNAL;
  return TRUE;
}

/**
 * derush_workflow_run_get_progress:
 * @run: a run
 * @now: the time
 * @progress: (out): how far it is
 *
 * Steps count by their estimated durations; those that were skipped or have failed do not count. The remaining time is what the rest takes at the pace so far; at the
 * beginning, the estimates.
 */
void
derush_workflow_run_get_progress (DerushWorkflowRun *run, gint64 now, DerushWorkflowProgress *progress)
{
  double total = 0, done = 0, elapsed = MAX (now - run->started, 0) / 1000.0;

  progress->current_step = 0;
  progress->total_steps = run->workflow->steps->len;
  for (guint i = 0; i < run->workflow->steps->len; i++) {
    WorkflowStepState *step = &run->steps[i];
    double weight = MAX (definition_of (run, i)->estimated_duration, 0.001);

    if (has_ended (step) || step->attempts > 0)
      progress->current_step++;
    /* What is left out takes no time, so it says nothing of the pace either. */
    if (has_ended (step) && step->status != DERUSH_WORKFLOW_STEP_COMPLETED)
      continue;
    total += weight;
    if (step->status == DERUSH_WORKFLOW_STEP_COMPLETED)
      done += weight;
    else if (step->status == DERUSH_WORKFLOW_STEP_RUNNING)
      done += weight * step->progress;
  }
  if (total > 0)
    run->progress = MAX (run->progress, done / total);
  if (derush_workflow_run_get_status (run) == DERUSH_WORKFLOW_STEP_COMPLETED)
    run->progress = 1;
  progress->progress = run->progress;
  progress->remaining =
      run->progress < MIN_PROGRESS ? total * (1 - run->progress) : elapsed * (1 - run->progress) / run->progress;
}

/* ── What it returns ────────────────────────────────────────────────────── */

static void
set_text (JsonObject *object, const char *name, const char *text)
{
  if (text)
    json_object_set_string_member (object, name, text);
  else
    json_object_set_null_member (object, name);
}

/**
 * derush_workflow_run_describe_steps:
 * @run: a run
 * @with_return_values: whether to add what each step returned
 *
 * Returns: (transfer full): `[{id, jobType, jobId, status, attempts, processingTime, error}]`
 */
JsonArray *
derush_workflow_run_describe_steps (DerushWorkflowRun *run, gboolean with_return_values)
{
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < run->workflow->steps->len; i++) {
    WorkflowStepState *step = &run->steps[i];
    JsonObject *object = json_object_new ();

    json_object_set_string_member (object, "id", definition_of (run, i)->id);
    json_object_set_string_member (object, "jobType", definition_of (run, i)->job_type);
    set_text (object, "jobId", step->job_id);
    json_object_set_string_member (object, "status", derush_workflow_status_to_string (step->status));
    json_object_set_int_member (object, "attempts", step->attempts);
    json_object_set_int_member (object, "processingTime", step->processing_time);
    set_text (object, "error", step->error);
    if (step->status == DERUSH_WORKFLOW_STEP_FAILED && step->has_class)
      json_object_set_string_member (object, "errorClass", derush_error_class_to_string (step->error_class));
    if (with_return_values && step->return_value)
      json_object_set_object_member (object, "returnvalue", json_object_ref (step->return_value));
    json_array_add_object_element (array, object);
  }
  return array;
}

static void
collect (DerushWorkflowRun *run, const char *name, JsonArray *all)
{
  for (guint i = 0; i < run->workflow->steps->len; i++) {
    JsonArray *own = derush_json_get_array (run->steps[i].return_value, name);

    for (guint k = 0; own && k < json_array_get_length (own); k++)
      json_array_add_element (all, workflow_copy_node (json_array_get_element (own, k)));
  }
}

static void
add_warnings (DerushWorkflowRun *run, JsonArray *warnings)
{
  for (guint i = 0; i < run->workflow->warnings->len; i++)
    json_array_add_string_element (warnings, run->workflow->warnings->pdata[i]);
  for (guint i = 0; i < run->workflow->steps->len; i++) {
    WorkflowStepState *step = &run->steps[i];
    JsonArray *own = derush_json_get_array (step->return_value, "warnings");
    const char *id = definition_of (run, i)->id;

    if (step->error) {
      g_autofree char *line = g_strdup_printf (
          step->status == DERUSH_WORKFLOW_STEP_FAILED ? _ ("step “%s” failed: %s") : _ ("step “%s” was skipped: %s"),
          id, step->error);

      json_array_add_string_element (warnings, line);
    }
    for (guint k = 0; own && k < json_array_get_length (own); k++) {
      g_autofree char *line = g_strdup_printf (_ ("step “%s”: %s"), id, json_array_get_string_element (own, k));

      json_array_add_string_element (warnings, line);
    }
  }
}

/**
 * derush_workflow_run_get_return_value:
 * @run: a run that has completed
 * @with_return_values: whether to add what each step returned
 * @now: the time
 *
 * Returns: (transfer full): what the job WORKFLOW_EXECUTION returns; `duration` is in seconds
 */
JsonObject *
derush_workflow_run_get_return_value (DerushWorkflowRun *run, gboolean with_return_values, gint64 now)
{
  JsonObject *value = json_object_new (), *versions = json_object_new ();
  JsonArray *outputs = json_array_new (), *warnings = json_array_new ();
  DerushWorkflowStatus status = derush_workflow_run_get_status (run);
  gint64 elapsed = MAX (now - run->started, 0);

  json_object_set_boolean_member (value, "success", status == DERUSH_WORKFLOW_STEP_COMPLETED);
  json_object_set_string_member (value, "jobType", "WORKFLOW_EXECUTION");
  set_text (value, "videoId", derush_json_get_string (run->input, "videoId", NULL));
  json_object_set_int_member (value, "processingTime", elapsed);
  json_object_set_string_member (value, "executionId", run->execution_id);
  json_object_set_string_member (value, "templateId", run->workflow->id);
  json_object_set_string_member (value, "status", derush_workflow_status_to_string (status));
  json_object_set_array_member (value, "steps", derush_workflow_run_describe_steps (run, with_return_values));
  json_object_set_double_member (value, "duration", elapsed / 1000.0);
  collect (run, "outputs", outputs);
  json_object_set_array_member (value, "outputs", outputs);
  add_warnings (run, warnings);
  json_object_set_array_member (value, "warnings", warnings);
  json_object_set_string_member (versions, "derush", PACKAGE_VERSION);
  json_object_set_object_member (value, "versions", versions);
  return value;
}
