/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:workflow
 * @title: workflow
 * @short_description: definitions of workflows, the graph of their steps, running one on slots of its own, and keeping one
 *   that a queue runs
 *
 * A workflow is a graph of jobs. Its definition is JSON:
 * `{id, name, steps: [{id, jobType, jobData, dependencies, estimatedDuration, maxRetries, onFailure}],
 * retryPolicy: {maxRetries, retryDelay, backoffMultiplier}}`.
 *
 * The data of a step's job is its `jobData` over what the workflow's input has in common for all jobs (the film, the
 * ids, `outputDir`, `metadata`). A text in it may hold references: `${input.MEMBER}` is a member of the input,
 * `${steps.ID.MEMBER}` one of the return value of a step that this one depends on, if only by way of others; further
 * names and numbers behind dots reach into objects and lists. A text that is one reference becomes its value, of
 * whatever type; inside of a longer text it must be a text, a number or a boolean. `${…?}` is null, or nothing in a
 * longer text, where there is no such value: a step that refers to another one only in this way runs without it as well.
 * `$${` stands for `${`.
 *
 * A step that fails is tried again if its error class says that this can help, `maxRetries` times, after `retryDelay`
 * milliseconds times `backoffMultiplier` to the power of the retries before. If it still fails and its `onFailure` is
 * `fail`, the workflow fails: what runs is cancelled and what waits is skipped. If its `onFailure` is `skip`, the rest
 * goes on: steps whose data refers to it are skipped, and those that refer to these; steps that only come after it run.
 *
 * A run in a queue is the job WORKFLOW_EXECUTION, and each step a child of it, `EXECUTION-STEP`, with BullMQ's own
 * `attempts` and `backoff` for its retries. Between two looks at it the job waits in Redis (`waiting-children`); what
 * derush_workflow_run_save() makes of the run is in its data then, what the steps returned is where BullMQ keeps it. So
 * any daemon can go on with it after any other.
 */

#pragma once

#include "core/core.h"
#include "jobs/jobs.h"
#include "steps/steps.h"

G_BEGIN_DECLS

#define DERUSH_WORKFLOW_ERROR (derush_workflow_error_quark ())
GQuark derush_workflow_error_quark (void);

/* ── Definitions ────────────────────────────────────────────────────────── */

/* A longer text is refused before it is read. */
#define DERUSH_WORKFLOW_MAX_BYTES (1024 * 1024)
#define DERUSH_WORKFLOW_MAX_STEPS 256

/**
 * DerushWorkflowStep:
 * @id: letters, digits, `_` and `-`; unique in the definition
 * @job_type: as the jobs room spells it
 * @job_data: what the job's data has besides the workflow's input, with references
 * @dependencies: (element-type guint): the indices of the steps that must have ended before
 * @references: (element-type guint): those of the steps that @job_data refers to and cannot do without
 * @estimated_duration: in seconds; the step's weight in the progress of the whole
 * @max_retries: how often it is tried again
 * @skip_on_failure: whether the workflow goes on when it has failed
 */
typedef struct {
  char *id;
  char *job_type;
  JsonObject *job_data;
  GArray *dependencies;
  GArray *references;
  double estimated_duration;
  guint max_retries;
  gboolean skip_on_failure;
} DerushWorkflowStep;

/**
 * DerushWorkflow:
 * @id: the workflow's name for programs
 * @name: its name for people
 * @description: (nullable): one line
 * @path: (nullable): the file it is from
 * @steps: (element-type DerushWorkflowStep): in the order of the definition
 * @retry_delay: in milliseconds, before the first retry
 * @backoff_multiplier: what each further retry multiplies it by
 * @max_concurrent_steps: how many may run at once; 0: as many as there are slots
 * @warnings: (element-type utf8): members that nothing reads
 * @definition: the JSON it was read from
 */
typedef struct {
  gatomicrefcount reference_count;
  char *id;
  char *name;
  char *description;
  char *path;
  GPtrArray *steps;
  gint64 retry_delay;
  double backoff_multiplier;
  guint max_concurrent_steps;
  GPtrArray *warnings;
  JsonObject *definition;
} DerushWorkflow;

DerushWorkflow *derush_workflow_new (JsonObject *definition, GError **error);
DerushWorkflow *derush_workflow_parse (const char *text, gssize length, GError **error);
DerushWorkflow *derush_workflow_load (const char *name, GError **error);
GPtrArray *derush_workflow_list (GPtrArray *faults);
DerushWorkflow *derush_workflow_ref (DerushWorkflow *workflow);
void derush_workflow_unref (DerushWorkflow *workflow);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushWorkflow, derush_workflow_unref)

gboolean derush_workflow_find_step (DerushWorkflow *workflow, const char *id, guint *index);
double derush_workflow_get_estimated_duration (DerushWorkflow *workflow);

/* ── A run: which steps are ready, how they ended, how far the whole is ──── */

typedef enum {
  DERUSH_WORKFLOW_STEP_PENDING, /* waits for others, or to be tried again */
  DERUSH_WORKFLOW_STEP_RUNNING,
  DERUSH_WORKFLOW_STEP_COMPLETED,
  DERUSH_WORKFLOW_STEP_FAILED,
  DERUSH_WORKFLOW_STEP_SKIPPED,
  DERUSH_WORKFLOW_STEP_CANCELLED,
} DerushWorkflowStatus;

const char *derush_workflow_status_to_string (DerushWorkflowStatus status);

typedef struct _DerushWorkflowRun DerushWorkflowRun;

/* Times are in milliseconds by any clock that does not go back. */
DerushWorkflowRun *derush_workflow_run_new (DerushWorkflow *workflow, JsonObject *input, const char *execution_id,
                                            gint64 now, GError **error);
void derush_workflow_run_free (DerushWorkflowRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushWorkflowRun, derush_workflow_run_free)
DerushWorkflow *derush_workflow_run_get_workflow (DerushWorkflowRun *run);

gboolean derush_workflow_run_is_ready (DerushWorkflowRun *run, guint step, gint64 now);
gint64 derush_workflow_run_get_next_retry (DerushWorkflowRun *run);
JsonObject *derush_workflow_run_get_data (DerushWorkflowRun *run, guint step, GError **error);

void derush_workflow_run_start (DerushWorkflowRun *run, guint step, const char *job_id, gint64 now);
void derush_workflow_run_report (DerushWorkflowRun *run, guint step, double progress);
void derush_workflow_run_raise_progress (DerushWorkflowRun *run, double progress);
void derush_workflow_run_complete (DerushWorkflowRun *run, guint step, JsonObject *return_value, gint64 now);
gboolean derush_workflow_run_fail (DerushWorkflowRun *run, guint step, DerushErrorClass error_class,
                                   const char *message, gint64 now);
void derush_workflow_run_give_up (DerushWorkflowRun *run, guint step, const char *message, gint64 now);
void derush_workflow_run_skip (DerushWorkflowRun *run, guint step, const char *reason);
void derush_workflow_run_cancel_step (DerushWorkflowRun *run, guint step, gint64 now);
void derush_workflow_run_cancel (DerushWorkflowRun *run);

gboolean derush_workflow_run_has_ended (DerushWorkflowRun *run);
gboolean derush_workflow_run_is_stopping (DerushWorkflowRun *run);
DerushWorkflowStatus derush_workflow_run_get_status (DerushWorkflowRun *run);
DerushWorkflowStatus derush_workflow_run_get_step_status (DerushWorkflowRun *run, guint step);
guint derush_workflow_run_get_attempts (DerushWorkflowRun *run, guint step);
void derush_workflow_run_set_attempts (DerushWorkflowRun *run, guint step, guint attempts, gint64 processing_time);
const char *derush_workflow_run_get_job_id (DerushWorkflowRun *run, guint step);
void derush_workflow_run_set_error_class (DerushWorkflowRun *run, guint step, DerushErrorClass error_class);
void derush_workflow_run_set_queue (DerushWorkflowRun *run, guint step, const char *queue);
const char *derush_workflow_run_get_queue (DerushWorkflowRun *run, guint step);
const char *derush_workflow_run_get_execution_id (DerushWorkflowRun *run);
JsonObject *derush_workflow_run_get_input (DerushWorkflowRun *run);
gint64 derush_workflow_run_get_elapsed (DerushWorkflowRun *run, gint64 now);
const char *derush_workflow_run_get_step_error (DerushWorkflowRun *run, guint step);
gboolean derush_workflow_run_get_failure (DerushWorkflowRun *run, guint *step, DerushErrorClass *error_class);

/**
 * DerushWorkflowProgress:
 * @progress: of the whole, 0 to 1, never falling
 * @current_step: how many steps have begun or ended
 * @total_steps: how many there are
 * @remaining: seconds that the rest will take if it goes on as so far
 */
typedef struct {
  double progress;
  guint current_step;
  guint total_steps;
  double remaining;
} DerushWorkflowProgress;

void derush_workflow_run_get_progress (DerushWorkflowRun *run, gint64 now, DerushWorkflowProgress *progress);

JsonArray *derush_workflow_run_describe_steps (DerushWorkflowRun *run, gboolean with_return_values);
JsonObject *derush_workflow_run_get_return_value (DerushWorkflowRun *run, gboolean with_return_values, gint64 now);

/* ── A run in a queue: what a job WORKFLOW_EXECUTION asks for, and how it is kept ── */

DerushWorkflowRun *derush_workflow_run_new_for_job (DerushPlan *plan, const char *job_id, gint64 now, GError **error);
char *derush_workflow_run_make_job_id (DerushWorkflowRun *run, guint step);

JsonObject *derush_workflow_run_save (DerushWorkflowRun *run);
gboolean derush_workflow_run_restore (DerushWorkflowRun *run, JsonObject *state);
void derush_workflow_run_set_return_value (DerushWorkflowRun *run, guint step, JsonObject *return_value);

typedef double (*DerushWorkflowProgressFunc) (const char *step, JsonObject *saved, gpointer user_data);
gboolean derush_workflow_saved_get_progress (JsonObject *state, gint64 now, DerushWorkflowProgressFunc func,
                                             gpointer user_data, DerushWorkflowProgress *progress);
JsonObject *derush_workflow_progress_to_json (const DerushWorkflowProgress *progress, const char *job_id,
                                              const char *message);

/* ── How long steps took ────────────────────────────────────────────────── */

void derush_workflow_learn (const char *path, DerushWorkflowRun *run);
void derush_workflow_recall (const char *path, DerushWorkflow *workflow);

/* ── Running one here and now, on slots of its own ──────────────────────── */

typedef enum {
  DERUSH_WORKFLOW_EVENT_STARTED,
  DERUSH_WORKFLOW_EVENT_PROGRESS,
  DERUSH_WORKFLOW_EVENT_RETRIED, /* has failed and will be tried again */
  DERUSH_WORKFLOW_EVENT_ENDED,
} DerushWorkflowEvent;

typedef void (*DerushWorkflowFunc) (DerushWorkflowRun *run, DerushWorkflowEvent event, guint step, gpointer user_data);

void derush_workflow_execute (DerushConfig *config, DerushWorkflowRun *run, guint n_slots, GCancellable *cancellable,
                              DerushWorkflowFunc func, gpointer user_data);

G_END_DECLS
