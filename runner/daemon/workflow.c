/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * A job WORKFLOW_EXECUTION. It needs no slot: it reads how its children ended, adds those that can begin, keeps its state
 * in its own data and waits in Redis (`waiting-children`), where it has no place of the queue. Whoever ends a child wakes
 * it, so the next daemon that has a place goes on, this one or another. Only the one that holds the job decides anything.
 */

#include "daemon-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* How long the job rests after something that another try may mend, in ms. */
#define REST 5000

/* The longest return value that is read back from the file of one that was shortened. */
#define MAX_RESULT_BYTES (16 * 1024 * 1024)

typedef struct {
  DerushDaemon *daemon;
  DerushBullmqJob *job;
  DerushPlan *plan;
  JsonObject *data;
  DerushWorkflowRun *run;

  char *id;       /* as valid UTF-8 */
  char *store_id; /* `<queue>:<id>` */
  char *owner;    /* how this job is called among those that have taken names */
  char *other;    /* who else has the name of this execution */
  gboolean cancelled;
  guint n_missing; /* answers */
  GError *error;   /* the first of several */
} Execution;

static void read_children (Execution *self);
static void claim (Execution *self);
static void save (Execution *self);
static void decide (Execution *self);

static DerushWorkflowStep *
definition_of (Execution *self, guint step)
{
  return derush_workflow_run_get_workflow (self->run)->steps->pdata[step];
}

static guint
n_steps (Execution *self)
{
  return derush_workflow_run_get_workflow (self->run)->steps->len;
}

static const char *
queue_of (Execution *self, guint step)
{
  const char *known = derush_workflow_run_get_queue (self->run, step);

  return known ? known
               : derush_daemon_route (derush_bullmq_job_get_queue (self->job), definition_of (self, step)->job_type);
}

/* The job has ended, or waits: it is not this daemon's any more. */
static void
workflow_free (Execution *self)
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

static JsonObject *
log_fields (Execution *self)
{
  JsonObject *fields = json_object_new ();

  json_object_set_string_member (fields, "jobId", self->id);
  json_object_set_string_member (fields, "jobType", self->plan->job_type);
  json_object_set_string_member (fields, "queue", derush_bullmq_job_get_queue (self->job));
  json_object_set_int_member (fields, "attempt", derush_bullmq_job_get_attempts_made (self->job) + 1);
  if (self->run)
    json_object_set_string_member (fields, "workflowId", derush_workflow_run_get_execution_id (self->run));
  return fields;
}

/* Redis, or something else that is no fault of the workflow: it goes on later. */
static void
rest (Execution *self, const GError *error)
{
  if (derush_error_get_class (error) == DERUSH_ERROR_CANCELLED) {
    derush_log (DERUSH_LOG_WARN, log_fields (self), "Let go, because its lock was lost");
    derush_bullmq_job_give_back (self->job);
  } else {
    derush_log (DERUSH_LOG_WARN, log_fields (self), "The workflow goes on in %d s: %s", REST / 1000, error->message);
    derush_bullmq_job_delay (self->job, REST);
  }
  workflow_free (self);
}

/* ── Its end ────────────────────────────────────────────────────────────── */

static gint64
elapsed (Execution *self)
{
  return self->run ? derush_workflow_run_get_elapsed (self->run, derush_time_now_ms ()) : 0;
}

static void
fail (Execution *self, DerushErrorClass error_class, const char *message)
{
  g_autofree char *reason = derush_log_redact (message);
  JsonObject *fields = log_fields (self);

  g_strdelimit (reason, "\r\n", ' ');
  json_object_set_int_member (fields, "processingTime", elapsed (self));
  json_object_set_string_member (fields, "class", derush_error_class_to_string (error_class));
  derush_log (DERUSH_LOG_ERROR, fields, "%s", reason);
  derush_store_job_failed (self->daemon->store, self->store_id, reason, FALSE, error_class == DERUSH_ERROR_CANCELLED,
                           elapsed (self));
  derush_bullmq_job_fail (self->job, reason, NULL, FALSE);
  workflow_free (self);
}

static void
complete (Execution *self)
{
  JsonObject *value = derush_workflow_run_get_return_value (self->run, FALSE, derush_time_now_ms ()), *fields;
  g_autofree char *text = NULL;

  derush_return_value_shorten (&value);
  fields = log_fields (self);
  json_object_set_int_member (fields, "processingTime", elapsed (self));
  json_object_set_object_member (fields, "result", json_object_ref (value));
  derush_log (DERUSH_LOG_INFO, fields, "Completed in %.1f s", elapsed (self) / 1000.0);
  derush_store_job_completed (self->daemon->store, self->store_id, self->plan, value, elapsed (self));
  text = derush_json_object_to_string (value);
  derush_bullmq_job_complete (self->job, text);
  json_object_unref (value);
  workflow_free (self);
}

static void
finish (Execution *self)
{
  DerushBullmqControl *control = self->daemon->control;
  DerushErrorClass error_class = DERUSH_ERROR_CANCELLED;
  g_autofree char *message = NULL;
  guint step;

  derush_workflow_learn (self->daemon->learned, self->run);
  derush_bullmq_control_leave (control, derush_workflow_run_get_execution_id (self->run), self->owner);
  for (guint i = 0; i < n_steps (self); i++)
    if (derush_workflow_run_get_step_status (self->run, i) == DERUSH_WORKFLOW_STEP_CANCELLED)
      derush_bullmq_control_forget_cancel (control, queue_of (self, i), derush_workflow_run_get_job_id (self->run, i));
  derush_bullmq_control_forget_cancel (control, derush_bullmq_job_get_queue (self->job), self->id);
  if (derush_workflow_run_get_status (self->run) == DERUSH_WORKFLOW_STEP_COMPLETED) {
    complete (self);
    return;
  }
  if (derush_workflow_run_get_failure (self->run, &step, &error_class))
    message = g_strdup_printf (_ ("The workflow failed at step “%s”: %s"), definition_of (self, step)->id,
                               derush_workflow_run_get_step_error (self->run, step));
  else
    message = g_strdup (_ ("The workflow was cancelled"));
  fail (self, error_class, message);
}

/* ── Waiting ────────────────────────────────────────────────────────────── */

static void
on_waits (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (GError) error = NULL;

  switch (derush_bullmq_job_wait_for_children_finish (self->job, result, &error)) {
  case DERUSH_BULLMQ_CHILDREN_WAITING:
    workflow_free (self);
    break;
  case DERUSH_BULLMQ_CHILDREN_NONE_PENDING:
    read_children (self);
    break;
  case DERUSH_BULLMQ_CHILDREN_ERROR:
    rest (self, error);
    break;
  }
}

static const char *
name_running (Execution *self)
{
  const char *name = NULL;

  for (guint i = 0; i < n_steps (self) && !name; i++)
    if (derush_workflow_run_get_step_status (self->run, i) == DERUSH_WORKFLOW_STEP_RUNNING)
      name = definition_of (self, i)->id;
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
    rest (self, error);
    return;
  }
  tell_progress (self);
  if (derush_workflow_run_has_ended (self->run))
    finish (self);
  else
    derush_bullmq_job_wait_for_children_async (self->job, on_waits, self);
}

/* What the backend sent, and beside it how far the workflow is. */
static void
save (Execution *self)
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

/* One of several answers is there. */
static void
answered (Execution *self, void (*next) (Execution *))
{
  if (--self->n_missing > 0)
    return;
  if (self->error)
    rest (self, self->error);
  else
    next (self);
}

static void
keep_error (Execution *self, GError *error)
{
  if (self->error)
    g_error_free (error);
  else
    self->error = error;
}

/* ── Starting steps ─────────────────────────────────────────────────────── */

typedef struct {
  Execution *self;
  guint step;
  char *queue;
  char *id;
  char *key;
  char *data;
} Child;

static Child *
child_new (Execution *self, guint step, const char *id)
{
  Child *child = g_new0 (Child, 1);

  child->self = self;
  child->step = step;
  child->queue = g_strdup (queue_of (self, step));
  child->id = g_strdup (id);
  self->n_missing++;
  return child;
}

static void
child_free (Child *child)
{
  g_free (child->queue);
  g_free (child->id);
  g_free (child->key);
  g_free (child->data);
  g_free (child);
}

static void
on_added (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Child *child = user_data;
  Execution *self = child->self;
  g_autoptr (GError) error = NULL;
  g_autofree char *key = derush_bullmq_job_add_child_finish (self->job, result, &error);

  if (key) {
    JsonObject *fields = log_fields (self);
    g_autofree char *row =
        g_strdup_printf ("step %s: job %s of %s", definition_of (self, child->step)->id, child->id, child->queue);

    derush_bullmq_job_add_log (self->job, row);
    json_object_set_string_member (fields, "step", definition_of (self, child->step)->id);
    derush_log (DERUSH_LOG_DEBUG, fields, "Step %s begins: job %s of %s", definition_of (self, child->step)->id,
                child->id, child->queue);
  } else if (derush_error_get_class (error) == DERUSH_ERROR_BAD_INPUT) {
    derush_workflow_run_give_up (self->run, child->step, error->message, derush_time_now_ms ());
  } else {
    keep_error (self, g_steal_pointer (&error));
  }
  child_free (child);
  /* What could not be added may have ended the workflow, or made others ready. */
  answered (self, decide);
}

static JsonObject *
options_of (Execution *self, guint step, const char *id)
{
  DerushWorkflow *workflow = derush_workflow_run_get_workflow (self->run);
  DerushWorkflowStep *definition = definition_of (self, step);
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

  derush_bullmq_job_add_child_async (self->job, child->queue, definition_of (self, child->step)->job_type, child->data,
                                     options, NULL, on_added, child);
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
    keep_error (self, g_steal_pointer (&error));
    child_free (child);
    answered (self, decide);
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
    derush_log (DERUSH_LOG_WARN, log_fields (self),
                "Nobody takes jobs from the queue %s: the step %s goes to the queue of the workflow", child->queue,
                definition_of (self, child->step)->id);
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
  return data ? derush_plan_new (definition_of (self, step)->job_type, data, self->daemon->flags, NULL) : NULL;
}

static void
start_ready (Execution *self)
{
  guint limit = derush_workflow_run_get_workflow (self->run)->max_concurrent_steps;
  g_autoptr (GPtrArray) plans = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_plan_unref);
  guint n_running = 0;

  for (guint i = 0; i < n_steps (self); i++) {
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
  for (guint i = 0; i < n_steps (self); i++) {
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
      start_ready (self);
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
    keep_error (self, g_steal_pointer (&error));
  child_free (child);
  answered (self, save);
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
    keep_error (self, g_steal_pointer (&error));
  } else {
    /* Somebody runs it, and ends it soon. */
    derush_bullmq_control_cancel_async (self->daemon->control, child->queue, child->id, on_told_to_stop, child);
    return;
  }
  child_free (child);
  answered (self, save);
}

static void
stop_running (Execution *self)
{
  for (guint i = 0; i < n_steps (self); i++) {
    Child *child;

    if (derush_workflow_run_get_step_status (self->run, i) != DERUSH_WORKFLOW_STEP_RUNNING)
      continue;
    child = child_new (self, i, derush_workflow_run_get_job_id (self->run, i));
    derush_bullmq_queue_remove_async (derush_daemon_get_queue (self->daemon, child->queue), child->id, FALSE, NULL,
                                      on_removed, child);
  }
}

static void
decide (Execution *self)
{
  if (self->cancelled)
    derush_workflow_run_cancel (self->run);
  /* The count holds it back until all questions are asked. */
  self->n_missing = 1;
  if (!derush_workflow_run_is_stopping (self->run))
    start_ready (self);
  /* What is being added is there when this is done again. */
  if (derush_workflow_run_is_stopping (self->run) && self->n_missing == 1)
    stop_running (self);
  answered (self, save);
}

/* ── What has happened ──────────────────────────────────────────────────── */

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
  if (path && g_file_get_contents (path, &text, &length, NULL) && length <= MAX_RESULT_BYTES)
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
  answered (self, decide);
}

static void
read_ended (Execution *self, guint step, const char *id, JsonObject *value, const char *reason)
{
  Ended *ended = g_new0 (Ended, 1);

  ended->child.self = self;
  ended->child.step = step;
  ended->child.queue = g_strdup (queue_of (self, step));
  ended->child.id = g_strdup (id);
  ended->value = value ? json_object_ref (value) : NULL;
  ended->reason = g_strdup (reason);
  self->n_missing++;
  derush_bullmq_queue_get_job_async (derush_daemon_get_queue (self->daemon, ended->child.queue), id, NULL,
                                     on_child_read, ended);
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
  if (!look_for_child (self, children, queue_of (self, step), &known) && status == DERUSH_WORKFLOW_STEP_PENDING &&
      look_for_child (self, children, own, &known))
    derush_workflow_run_set_queue (self->run, step, own);
  if (known.processed || status == DERUSH_WORKFLOW_STEP_COMPLETED)
    value = return_value_of (self, children, known.key);
  if (status == DERUSH_WORKFLOW_STEP_COMPLETED) {
    derush_workflow_run_set_return_value (self->run, step, value);
    return;
  }
  if (status == DERUSH_WORKFLOW_STEP_PENDING && (known.processed || known.pending || known.reason)) {
    derush_workflow_run_start (self->run, step, known.id, derush_time_now_ms ());
    derush_workflow_run_set_queue (self->run, step, queue_of (self, step));
  }
  if (known.processed || (known.reason && !known.pending))
    read_ended (self, step, known.id, value, known.reason);
  else if (status == DERUSH_WORKFLOW_STEP_RUNNING && !known.pending)
    end_step (self, step, NULL, _ ("its job was removed from the queue"));
}

static void
on_children (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) children = derush_bullmq_job_get_children_finish (self->job, result, &error);

  if (!children) {
    rest (self, error);
    return;
  }
  self->n_missing = 1;
  for (guint i = 0; i < n_steps (self); i++)
    take_child (self, i, children);
  answered (self, decide);
}

static void
read_children (Execution *self)
{
  derush_bullmq_job_get_children_async (self->job, NULL, on_children, self);
}

/* ── Beginning ──────────────────────────────────────────────────────────── */

static void
on_cancel_known (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Execution *self = user_data;
  g_autoptr (GError) error = NULL;

  self->cancelled = derush_bullmq_control_is_cancelled_finish (self->daemon->control, result, &error);
  if (error)
    rest (self, error);
  else
    read_children (self);
}

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
    rest (self, error);
  } else if (!job || g_strv_contains ((const char *const[]){"completed", "failed", "unknown", NULL}, state)) {
    claim (self);
  } else {
    message =
        g_strdup_printf (_ ("The execution “%s” cannot be run: job %s of the queue %s has this executionId and has "
                            "not ended; use another executionId"),
                         derush_workflow_run_get_execution_id (self->run), id, queue);
    fail (self, DERUSH_ERROR_BAD_INPUT, message);
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
    rest (self, error);
    return;
  }
  if (strcmp (owner, self->owner) == 0) {
    derush_bullmq_control_is_cancelled_async (self->daemon->control, derush_bullmq_job_get_queue (self->job), self->id,
                                              on_cancel_known, self);
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
  if (state)
    derush_workflow_run_restore (self->run, state);
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

void
derush_daemon_workflow_start (DerushDaemon *daemon, DerushBullmqJob *job, DerushPlan *plan)
{
  Execution *self = g_new0 (Execution, 1);
  gboolean begins = !json_object_has_member (plan->data, DERUSH_WORKFLOW_STATE);
  g_autoptr (GError) error = NULL;

  self->daemon = daemon;
  self->job = job;
  self->plan = derush_plan_ref (plan);
  self->data = json_object_ref (plan->data);
  self->id = g_utf8_make_valid (derush_bullmq_job_get_id (job), -1);
  self->store_id = g_strdup_printf ("%s:%s", derush_bullmq_job_get_queue (job), self->id);
  self->owner = describe_owner (self);
  if (begins)
    derush_store_job_started (daemon->store, self->store_id, plan->job_type, plan, plan->data,
                              derush_bullmq_job_get_attempts_made (job) + 1, derush_bullmq_job_get_attempts (job));
  if (!make_run (self, &error)) {
    fail (self, derush_error_get_class (error), error->message);
    return;
  }
  if (begins)
    derush_log (DERUSH_LOG_INFO, log_fields (self), "Started the workflow %s",
                derush_workflow_run_get_workflow (self->run)->id);
  claim (self);
}
