/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * A job WORKFLOW_EXECUTION. It needs no slot: it reads how its children ended, adds those that can begin, keeps its state
 * in its own data and waits in Redis (`waiting-children`), where it has no place of the queue. Whoever ends a child wakes
 * it, so the next daemon that has a place goes on, this one or another. Only the one that holds the job decides anything.
 */

#include "workflow-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* The longest return value that is read back from the file of one that was shortened. */
#define MAX_RESULT_BYTES (16 * 1024 * 1024)

static void claim (Execution *self);

DerushWorkflowStep *
execution_get_step (Execution *self, guint step)
{
  return derush_workflow_run_get_workflow (self->run)->steps->pdata[step];
}

guint
execution_get_n_steps (Execution *self)
{
  return derush_workflow_run_get_workflow (self->run)->steps->len;
}

const char *
execution_get_queue (Execution *self, guint step)
{
  const char *known = derush_workflow_run_get_queue (self->run, step);

  return known
             ? known
             : derush_daemon_route (derush_bullmq_job_get_queue (self->job), execution_get_step (self, step)->job_type);
}

/* The job has ended, or waits: it is not this daemon's any more. */
void
execution_free (Execution *self)
{
  derush_bullmq_job_unref (self->job);
  derush_plan_unref (self->plan);
  json_object_unref (self->data);
  g_clear_pointer (&self->run, derush_workflow_run_free);
  g_free (self->id);
  g_free (self->store_id);
  g_free (self->owner);
  g_free (self->other);
  g_clear_error (&self->error);
  g_free (self);
}

/* As its steps have it, whose workflow it is. */
static const char *
correlation_of (Execution *self)
{
  const char *id = derush_plan_get_correlation_id (self->plan);

  if (id)
    return id;
  return self->run ? derush_workflow_run_get_execution_id (self->run) : self->store_id;
}

JsonObject *
execution_log_fields (Execution *self)
{
  JsonObject *fields = json_object_new ();

  json_object_set_string_member (fields, "jobId", self->id);
  json_object_set_string_member (fields, "jobType", self->plan->job_type);
  json_object_set_string_member (fields, "queue", derush_bullmq_job_get_queue (self->job));
  json_object_set_int_member (fields, "attempt", derush_bullmq_job_get_attempts_made (self->job) + 1);
  if (self->run)
    json_object_set_string_member (fields, "workflowId", derush_workflow_run_get_execution_id (self->run));
  json_object_set_string_member (fields, "correlationId", correlation_of (self));
  return fields;
}

/* ── Answers ────────────────────────────────────────────────────────────── */

void
execution_answered (Execution *self, void (*next) (Execution *))
{
  if (--self->n_missing > 0)
    return;
  if (self->error)
    execution_rest (self, self->error);
  else
    next (self);
}

void
execution_keep_error (Execution *self, GError *error)
{
  if (self->error)
    g_error_free (error);
  else
    self->error = error;
}

/* ── What is next ───────────────────────────────────────────────────────── */

void
execution_decide (Execution *self)
{
  if (self->cancelled)
    derush_workflow_run_cancel (self->run);
  /* The count holds it back until all questions are asked. */
  self->n_missing = 1;
  if (!derush_workflow_run_is_stopping (self->run))
    execution_start_ready (self);
  /* What is being added is there when this is done again. */
  if (derush_workflow_run_is_stopping (self->run) && self->n_missing == 1)
    execution_stop_running (self);
  execution_answered (self, execution_save);
}

/* ── What has happened ──────────────────────────────────────────────────── */

static gboolean
is_small_file (const char *path)
{
  GStatBuf info;

  return g_stat (path, &info) == 0 && S_ISREG (info.st_mode) && info.st_size <= MAX_RESULT_BYTES;
}

/* What steps refer to is all of a return value, not what was left of it for the queue. */
static JsonObject *
whole_return_value (Execution *self, JsonObject *value)
{
  const char *file = derush_json_get_string (value, "resultFile", NULL);
  g_autofree char *path = NULL, *text = NULL;
  JsonObject *whole = NULL;
  gsize length;

  if (file)
    path = self->daemon->roots ? derush_path_confine (file, (const char *const *)self->daemon->roots, NULL)
                               : g_strdup (file);
  if (path && is_small_file (path) && g_file_get_contents (path, &text, &length, NULL))
    whole = derush_json_parse_object (text, length, NULL);
  return whole ? whole : json_object_ref (value);
}

static JsonObject *
return_value_of (Execution *self, JsonObject *children, const char *key)
{
  JsonNode *node = json_object_get_member (json_object_get_object_member (children, "processed"), key);
  g_autoptr (JsonObject) none = json_object_new ();

  /* A worker of the backend's own may return anything. */
  return whole_return_value (self, node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : none);
}

/* The end of a step, with what its job says of its attempts. */
static void
end_step (Execution *self, guint step, JsonObject *value, const char *reason)
{
  gint64 now = derush_time_now_ms ();

  if (value)
    derush_workflow_run_complete (self->run, step, value, now);
  else if (derush_workflow_run_is_stopping (self->run) || self->cancelled)
    derush_workflow_run_cancel_step (self->run, step, now);
  else
    derush_workflow_run_give_up (self->run, step, reason, now);
}

typedef struct {
  Child child;
  JsonObject *value;
  char *reason;
} Ended;

static void
on_child_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Ended *ended = user_data;
  Execution *self = ended->child.self;
  g_autoptr (JsonObject) job =
      derush_bullmq_queue_get_job_finish (derush_daemon_get_queue (self->daemon, ended->child.queue), result, NULL);
  DerushErrorClass error_class;
  gint64 begun = derush_json_get_int (job, "processedOn", 0), over = derush_json_get_int (job, "finishedOn", 0),
         attempts = derush_json_get_int (job, "attemptsMade", 1),
         time = over >= begun && begun > 0 ? over - begun : derush_json_get_int (ended->value, "processingTime", 0);

  if (!ended->value && derush_daemon_step_read_class (job, &error_class))
    derush_workflow_run_set_error_class (self->run, ended->child.step, error_class);
  end_step (self, ended->child.step, ended->value, ended->reason);
  derush_workflow_run_set_attempts (self->run, ended->child.step, CLAMP (attempts, 1, G_MAXINT), MAX (time, 0));
  g_clear_pointer (&ended->value, json_object_unref);
  g_free (ended->reason);
  child_free (&ended->child);
  execution_answered (self, execution_decide);
}

static void
read_ended (Execution *self, guint step, const char *id, JsonObject *value, const char *reason)
{
  Ended *ended = g_new0 (Ended, 1);

  ended->child.self = self;
  ended->child.step = step;
  ended->child.queue = g_strdup (execution_get_queue (self, step));
  ended->child.id = g_strdup (id);
  ended->value = value ? json_object_ref (value) : NULL;
  ended->reason = g_strdup (reason);
  self->n_missing++;
  derush_bullmq_queue_get_job_async (derush_daemon_get_queue (self->daemon, ended->child.queue), id, NULL,
                                     on_child_read, ended);
}

/* How far a step is that runs; nothing depends on the answer. */
static void
on_step_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Child *child = user_data;
  Execution *self = child->self;
  g_autoptr (JsonObject) job =
      derush_bullmq_queue_get_job_finish (derush_daemon_get_queue (self->daemon, child->queue), result, NULL);

  derush_workflow_run_report (self->run, child->step, derush_json_get_number (job, "progress", 0) / 100);
  child_free (child);
  execution_answered (self, execution_decide);
}

static void
read_running (Execution *self, guint step, const char *id)
{
  Child *child = child_new (self, step, id);

  derush_bullmq_queue_get_job_async (derush_daemon_get_queue (self->daemon, child->queue), id, NULL, on_step_read,
                                     child);
}

static void
on_self_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  DerushBullmqQueue *queue = derush_daemon_get_queue (self->daemon, derush_bullmq_job_get_queue (self->job));
  g_autoptr (JsonObject) job = derush_bullmq_queue_get_job_finish (queue, result, NULL);

  derush_workflow_run_raise_progress (self->run, derush_daemon_workflow_read_progress (job));
  execution_answered (self, execution_decide);
}

/* What those have told who run the steps. */
static void
read_self (Execution *self)
{
  DerushBullmqQueue *queue = derush_daemon_get_queue (self->daemon, derush_bullmq_job_get_queue (self->job));

  self->n_missing++;
  derush_bullmq_queue_get_job_async (queue, self->id, NULL, on_self_read, self);
}

static gboolean
has_text (JsonArray *array, const char *text)
{
  for (guint i = 0; array && i < json_array_get_length (array); i++)
    if (g_strcmp0 (json_array_get_string_element (array, i), text) == 0)
      return TRUE;
  return FALSE;
}

/* What the queue knows of a step's job. */
typedef struct {
  char *id;
  char *key;
  gboolean processed, pending;
  const char *reason; /* why it failed */
} Known;

static void
known_clear (Known *known)
{
  g_free (known->id);
  g_free (known->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Known, known_clear)

static gboolean
look_for_child (Execution *self, JsonObject *children, const char *queue, Known *known)
{
  g_free (known->key);
  known->key = derush_bullmq_job_get_child_key (self->job, queue, known->id);
  known->processed = json_object_has_member (json_object_get_object_member (children, "processed"), known->key);
  known->pending = has_text (json_object_get_array_member (children, "unprocessed"), known->key);
  known->reason = derush_json_get_string (json_object_get_object_member (children, "ignored"), known->key, NULL);
  return known->processed || known->pending || known->reason;
}

static void
take_child (Execution *self, guint step, JsonObject *children)
{
  DerushWorkflowStatus status = derush_workflow_run_get_step_status (self->run, step);
  const char *job_id = derush_workflow_run_get_job_id (self->run, step), *own = derush_bullmq_job_get_queue (self->job);
  g_auto (Known) known = {.id = job_id ? g_strdup (job_id) : derush_workflow_run_make_job_id (self->run, step)};
  g_autoptr (JsonObject) value = NULL;

  if (status > DERUSH_WORKFLOW_STEP_COMPLETED)
    return;
  /* A daemon that died before it could say so may have put it into the queue of the workflow. */
  if (!look_for_child (self, children, execution_get_queue (self, step), &known) &&
      status == DERUSH_WORKFLOW_STEP_PENDING && look_for_child (self, children, own, &known))
    derush_workflow_run_set_queue (self->run, step, own);
  if (known.processed || status == DERUSH_WORKFLOW_STEP_COMPLETED)
    value = return_value_of (self, children, known.key);
  if (status == DERUSH_WORKFLOW_STEP_COMPLETED) {
    derush_workflow_run_set_return_value (self->run, step, value);
    return;
  }
  if (status == DERUSH_WORKFLOW_STEP_PENDING && (known.processed || known.pending || known.reason)) {
    derush_workflow_run_start (self->run, step, known.id, derush_time_now_ms ());
    derush_workflow_run_set_queue (self->run, step, execution_get_queue (self, step));
  }
  if (known.processed || (known.reason && !known.pending))
    read_ended (self, step, known.id, value, known.reason);
  else if (status == DERUSH_WORKFLOW_STEP_RUNNING && !known.pending)
    end_step (self, step, NULL, _ ("its job was removed from the queue"));
  else if (known.pending)
    read_running (self, step, known.id);
}

static void
on_children (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) children = derush_bullmq_job_get_children_finish (self->job, result, &error);

  if (!children) {
    execution_rest (self, error);
    return;
  }
  self->n_missing = 1;
  read_self (self);
  for (guint i = 0; i < execution_get_n_steps (self); i++)
    take_child (self, i, children);
  execution_answered (self, execution_decide);
}

static void
on_cancel_known (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (GError) error = NULL;

  self->cancelled = derush_bullmq_control_is_cancelled_finish (self->daemon->control, result, &error);
  if (error)
    execution_rest (self, error);
  else
    derush_bullmq_job_get_children_async (self->job, NULL, on_children, self);
}

/* The wish to cancel may have come since the last look, and may be why a step has ended. */
void
execution_read_children (Execution *self)
{
  derush_bullmq_control_is_cancelled_async (self->daemon->control, derush_bullmq_job_get_queue (self->job), self->id,
                                            on_cancel_known, self);
}

/* ── Beginning ──────────────────────────────────────────────────────────── */

static void
on_owner (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (JsonObject) owner = derush_json_parse_object (self->other, -1, NULL);
  const char *queue = derush_json_get_string (owner, "queue", ""), *id = derush_json_get_string (owner, "id", "");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) job =
      derush_bullmq_queue_get_job_finish (derush_daemon_get_queue (self->daemon, queue), result, &error);
  const char *state = derush_json_get_string (job, "state", "unknown");
  g_autofree char *message = NULL;

  if (error) {
    execution_rest (self, error);
  } else if (!job || g_strv_contains ((const char *const[]){"completed", "failed", "unknown", NULL}, state)) {
    claim (self);
  } else {
    message =
        g_strdup_printf (_ ("The execution “%s” cannot be run: job %s of the queue %s has this executionId and has "
                            "not ended; use another executionId"),
                         derush_workflow_run_get_execution_id (self->run), id, queue);
    execution_fail (self, DERUSH_ERROR_BAD_INPUT, message);
  }
}

static void
on_claimed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *owner = derush_bullmq_control_claim_finish (self->daemon->control, result, &error);
  g_autoptr (JsonObject) other = NULL;
  const char *queue, *id;

  if (!owner) {
    execution_rest (self, error);
    return;
  }
  if (strcmp (owner, self->owner) == 0) {
    if (self->begins) {
      execution_store (self, NULL, NULL);
      derush_log (DERUSH_LOG_INFO, execution_log_fields (self), "Started the workflow %s",
                  derush_workflow_run_get_workflow (self->run)->id);
    }
    execution_read_children (self);
    return;
  }
  other = derush_json_parse_object (owner, -1, NULL);
  queue = derush_json_get_string (other, "queue", NULL);
  id = derush_json_get_string (other, "id", NULL);
  g_free (self->other);
  self->other = g_steal_pointer (&owner);
  if (queue && id)
    derush_bullmq_queue_get_job_async (derush_daemon_get_queue (self->daemon, queue), id, NULL, on_owner, self);
  else
    claim (self);
}

static void
claim (Execution *self)
{
  derush_bullmq_control_claim_async (self->daemon->control, derush_workflow_run_get_execution_id (self->run),
                                     self->owner, self->other, on_claimed, self);
}

static gboolean
make_run (Execution *self, GError **error)
{
  JsonObject *state = derush_json_get_object (self->data, DERUSH_WORKFLOW_STATE);

  self->run = derush_workflow_run_new_for_job (self->plan, self->id, derush_time_now_ms (), error);
  if (!self->run)
    return FALSE;
  derush_workflow_recall (self->daemon->learned, derush_workflow_run_get_workflow (self->run));
  self->begins = !state || derush_workflow_run_restore (self->run, state);
  return TRUE;
}

static char *
describe_owner (Execution *self)
{
  g_autoptr (JsonObject) owner = json_object_new ();

  json_object_set_string_member (owner, "queue", derush_bullmq_job_get_queue (self->job));
  json_object_set_string_member (owner, "id", self->id);
  return derush_json_object_to_string (owner);
}

/* Job ids are unique in their queue only, executions everywhere. */
static char *
name_execution (Execution *self)
{
  const char *queue = derush_bullmq_job_get_queue (self->job);

  return strcmp (queue, derush_job_type_get_queue (self->plan->job_type)) == 0
             ? g_strdup (self->id)
             : g_strconcat (queue, "-", self->id, NULL);
}

static void
store_beginning (Execution *self)
{
  if (self->begins)
    derush_store_job_started (self->daemon->store, self->store_id, self->plan->job_type, self->plan, self->plan->data,
                              derush_bullmq_job_get_attempts_made (self->job) + 1,
                              derush_bullmq_job_get_attempts (self->job));
}

void
derush_daemon_workflow_start (DerushDaemon *daemon, DerushBullmqJob *job, DerushPlan *plan)
{
  Execution *self = g_new0 (Execution, 1);
  g_autoptr (GError) error = NULL;

  self->daemon = daemon;
  self->job = job;
  self->plan = derush_plan_ref (plan);
  self->data = json_object_ref (plan->data);
  self->id = g_utf8_make_valid (derush_bullmq_job_get_id (job), -1);
  self->store_id = g_strdup_printf ("%s:%s", derush_bullmq_job_get_queue (job), self->id);
  self->owner = describe_owner (self);
  if (!plan->workflow_id)
    plan->workflow_id = name_execution (self);
  self->begins = TRUE;
  if (make_run (self, &error)) {
    store_beginning (self);
    claim (self);
  } else {
    store_beginning (self);
    execution_fail (self, derush_error_get_class (error), error->message);
  }
}
