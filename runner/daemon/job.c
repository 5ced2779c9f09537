/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "daemon-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* How often progress is written, in µs: to Redis, where people watch it, and to the database. */
#define PROGRESS_INTERVAL (G_USEC_PER_SEC / 4)
#define STORE_INTERVAL (2 * G_USEC_PER_SEC)
#define REPORT_INTERVAL G_USEC_PER_SEC /* to the workflow that the job is a step of */

struct _DerushDaemonJob {
  DerushDaemon *daemon;
  DerushDaemonQueue *queue;
  DerushBullmqJob *job;
  DerushPlan *plan;
  DerushSlot *slot; /* NULL: it has not begun */
  GCancellable *cancellable;
  gulong lost_handler;
  gboolean giving_back;
  gboolean is_step; /* of a workflow */
  DerushDaemonJobEnded ended;
  gpointer user_data;

  char *id;       /* as valid UTF-8 */
  char *store_id; /* `<queue>:<id>` */
  guint attempt;
  gint64 started;
  char *step;
  int percent;
  gint64 progress_written;
  gint64 progress_stored;
  gint64 progress_reported;
};

static void
job_free (DerushDaemonJob *job)
{
  if (job->lost_handler)
    g_cancellable_disconnect (derush_bullmq_job_get_cancellable (job->job), job->lost_handler);
  derush_bullmq_job_unref (job->job);
  g_clear_pointer (&job->plan, derush_plan_unref);
  g_clear_object (&job->cancellable);
  g_free (job->id);
  g_free (job->store_id);
  g_free (job->step);
  g_free (job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushDaemonJob, job_free)

/* ── What is said of it ─────────────────────────────────────────────────── */

static void
set_text (JsonObject *fields, const char *name, const char *text)
{
  g_autofree char *valid = text ? g_utf8_make_valid (text, -1) : NULL;

  if (valid)
    json_object_set_string_member (fields, name, valid);
}

static const char *
type_of (DerushDaemonJob *job)
{
  return job->plan ? job->plan->job_type : derush_bullmq_job_get_name (job->job);
}

/* The same for all that belongs together, from the backend's request to the lines of the worker. */
static const char *
correlation_of (DerushDaemonJob *job)
{
  const char *id = job->plan ? derush_plan_get_correlation_id (job->plan) : NULL;

  return id ? id : job->store_id;
}

static JsonObject *
log_fields (DerushDaemonJob *job)
{
  JsonObject *fields = json_object_new ();

  json_object_set_string_member (fields, "jobId", job->id);
  set_text (fields, "jobType", type_of (job));
  set_text (fields, "queue", derush_bullmq_job_get_queue (job->job));
  json_object_set_int_member (fields, "attempt", job->attempt);
  if (job->plan && job->plan->workflow_id)
    set_text (fields, "workflowId", job->plan->workflow_id);
  set_text (fields, "correlationId", correlation_of (job));
  return fields;
}

static gint64
duration_of (DerushDaemonJob *job)
{
  return (g_get_monotonic_time () - job->started) / 1000;
}

/* What Node shows below the reason as the stack: where it failed, then the details. */
static char *
stack_of (const char *step, const char *input, const char *debug)
{
  GString *stack = g_string_new (NULL);
  g_auto (GStrv) lines = g_strsplit (debug ? debug : "", "\n", -1);
  g_autofree char *redacted = NULL;

  if (step)
    g_string_append_printf (stack, "    at %s (%s)", step, input ? input : "derushd");
  for (guint i = 0; lines[i]; i++)
    if (lines[i][0] != '\0')
      g_string_append_printf (stack, "%s    %s", stack->len > 0 ? "\n" : "", lines[i]);
  redacted = derush_log_redact (stack->str);
  g_string_free (stack, TRUE);
  return g_steal_pointer (&redacted);
}

/* ── Its end ────────────────────────────────────────────────────────────── */

static void
fail_job (DerushDaemonJob *job, DerushErrorClass error_class, gboolean can_retry, const char *what, const char *step,
          const char *input, const char *debug, gboolean quiet)
{
  gboolean will_retry = can_retry && job->attempt < derush_bullmq_job_get_attempts (job->job);
  g_autofree char *reason = derush_log_redact (what);
  g_autofree char *stack = NULL, *described = NULL;
  JsonObject *fields;

  g_strdelimit (reason, "\r\n", ' ');
  if (job->is_step || error_class == DERUSH_ERROR_CANCELLED)
    debug = described = derush_daemon_step_describe_class (error_class, debug);
  stack = stack_of (step, input, debug);
  if (!quiet) {
    fields = log_fields (job);
    set_text (fields, "step", step);
    json_object_set_int_member (fields, "processingTime", duration_of (job));
    json_object_set_string_member (fields, "class", derush_error_class_to_string (error_class));
    set_text (fields, "debug", debug);
    derush_log (will_retry ? DERUSH_LOG_WARN : DERUSH_LOG_ERROR, fields, "%s%s", reason,
                will_retry ? " (will be tried again)" : "");
    derush_store_job_failed (job->daemon->store, job->store_id, reason, will_retry,
                             error_class == DERUSH_ERROR_CANCELLED, duration_of (job));
  }
  derush_daemon_metrics_job_failed (job->job, type_of (job), error_class, will_retry, duration_of (job));
  if (!will_retry) {
    DerushEnded ended = {.type = type_of (job),
                         .plan = job->plan,
                         .reason = reason,
                         .error_class = error_class,
                         .duration = duration_of (job)};

    derush_daemon_tell (job->daemon, job->job, &ended);
  }
  derush_bullmq_job_fail (job->job, reason, stack, can_retry);
  if (error_class == DERUSH_ERROR_CANCELLED)
    derush_bullmq_control_forget_cancel (job->daemon->control, derush_bullmq_job_get_queue (job->job), job->id);
  if (job->is_step && !will_retry)
    derush_bullmq_job_wake_parent (job->job);
}

static void
log_warnings (DerushDaemonJob *job, JsonObject *return_value)
{
  JsonArray *warnings = derush_json_get_array (return_value, "warnings");

  for (guint i = 0; warnings && i < json_array_get_length (warnings); i++) {
    JsonNode *node = json_array_get_element (warnings, i);
    g_autofree char *row = NULL;

    if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
      continue;
    row = g_strconcat ("warning: ", json_node_get_string (node), NULL);
    derush_bullmq_job_add_log (job->job, row);
  }
}

/* A row for each step that ran is there already. */
static void
log_resumed (DerushDaemonJob *job, JsonObject *return_value)
{
  JsonArray *steps = derush_json_get_array (return_value, "resumedSteps");
  g_autoptr (GString) row = g_string_new (NULL);

  for (guint i = 0; steps && i < json_array_get_length (steps); i++)
    g_string_append_printf (row, "%s%s", i == 0 ? "taken from an earlier attempt: " : ", ",
                            json_array_get_string_element (steps, i));
  if (row->len > 0)
    derush_bullmq_job_add_log (job->job, row->str);
}

static void
complete_job (DerushDaemonJob *job, JsonObject *return_value, JsonObject *whole, gboolean quiet)
{
  g_autofree char *text = derush_json_object_to_string (return_value);
  DerushEnded ended = {.type = type_of (job), .plan = job->plan, .value = return_value, .duration = duration_of (job)};
  JsonObject *fields;

  if (!quiet) {
    fields = log_fields (job);
    json_object_set_int_member (fields, "processingTime", duration_of (job));
    json_object_set_object_member (fields, "result", json_object_ref (return_value));
    derush_log (DERUSH_LOG_INFO, fields, "Completed in %.1f s", duration_of (job) / 1000.0);
    derush_store_job_completed (job->daemon->store, job->store_id, job->plan, whole ? whole : return_value,
                                duration_of (job));
    log_resumed (job, return_value);
    log_warnings (job, return_value);
    derush_bullmq_job_set_progress (job->job, "100");
  }
  derush_daemon_metrics_job_ended (job->job, type_of (job), "completed", duration_of (job));
  derush_daemon_tell (job->daemon, job->job, &ended);
  derush_bullmq_job_complete (job->job, text);
  if (job->is_step)
    derush_bullmq_job_wake_parent (job->job);
}

/* The job belongs to somebody else, or shall: nothing more is written of it. */
static void
let_go (DerushDaemonJob *job)
{
  derush_log (DERUSH_LOG_WARN, log_fields (job),
              job->giving_back ? "Stopped and given back to the queue" : "Stopped, because its lock was lost");
  derush_daemon_metrics_job_ended (job->job, type_of (job), job->giving_back ? "given-back" : "lost",
                                   duration_of (job));
  derush_bullmq_job_give_back (job->job);
}

typedef struct {
  DerushConfig *config;
  char *queue;
  char *id;
} Attempts;

static void
attempts_free (gpointer data)
{
  Attempts *attempts = data;

  derush_config_unref (attempts->config);
  g_free (attempts->queue);
  g_free (attempts->id);
  g_free (attempts);
}

static void
forget_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Attempts *attempts = data;

  derush_checkpoints_forget (attempts->config, attempts->queue, attempts->id);
  g_task_return_boolean (task, TRUE);
}

/* Removes what the steps that earlier attempts have finished have left. */
static void
forget_attempts (DerushDaemonJob *job)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);
  Attempts *attempts = g_new0 (Attempts, 1);

  attempts->config = derush_config_ref (job->daemon->config);
  attempts->queue = g_strdup (derush_bullmq_job_get_queue (job->job));
  attempts->id = g_strdup (job->id);
  g_task_set_task_data (task, attempts, attempts_free);
  g_task_run_in_thread (task, forget_in_thread);
}

/* ── Parking ────────────────────────────────────────────────────────────── */

/* A job is parked no more often, and no shorter, in ms. */
#define PARKED_TIMES 100
#define PARKED_LEAST 1000

/* Whether the job, which cannot be done now, can be later, and may wait for that: all in all as long as DERUSH_MODEL_PARK. */
static gboolean
may_park (DerushDaemonJob *job, DerushOutcome *outcome)
{
  const DerushBullmqParked *parked = derush_bullmq_job_get_parked (job->job);
  gint64 limit = 1000 * derush_config_get_int (job->daemon->config, "DERUSH_MODEL_PARK"),
         since = parked->times > 0 ? parked->since : derush_time_now_ms ();

  return outcome->can_retry && outcome->retry_at > 0 && outcome->retry_at - since <= limit &&
         parked->times < PARKED_TIMES;
}

/* Among the delayed jobs it takes no place and spends no attempt. */
static void
park_job (DerushDaemonJob *job, DerushOutcome *outcome, const char *what)
{
  gint64 now = derush_time_now_ms (), delay = MAX (outcome->retry_at - now, PARKED_LEAST);
  g_autofree char *reason = derush_log_redact (what), *until = derush_time_to_iso8601 (now + delay), *row = NULL;
  JsonObject *fields = log_fields (job);

  g_strdelimit (reason, "\r\n", ' ');
  row = g_strdup_printf ("delayed until %s, not counted as an attempt: %s", until, reason);
  set_text (fields, "step", outcome->step);
  json_object_set_int_member (fields, "processingTime", duration_of (job));
  json_object_set_string_member (fields, "class", derush_error_class_to_string (outcome->error_class));
  set_text (fields, "debug", outcome->debug);
  derush_log (DERUSH_LOG_WARN, fields, "Delayed until %s: %s", until, reason);
  derush_store_job_failed (job->daemon->store, job->store_id, reason, TRUE, FALSE, duration_of (job));
  derush_daemon_metrics_job_ended (job->job, type_of (job), "delayed", duration_of (job));
  derush_bullmq_job_add_log (job->job, row);
  derush_bullmq_job_park (job->job, delay);
}

static void
fail_run (DerushDaemonJob *job, DerushOutcome *outcome, const char *reason)
{
  fail_job (job, outcome->error_class, outcome->can_retry, reason, outcome->step, outcome->input, outcome->debug,
            FALSE);
  /* They were kept for when it comes back, which it does not. */
  if (outcome->retry_at > 0 && job->attempt >= derush_bullmq_job_get_attempts (job->job))
    forget_attempts (job);
}

static void
on_run_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (DerushDaemonJob) job = user_data;
  g_autoptr (DerushOutcome) outcome = derush_slot_run_finish (job->slot, result);
  g_autofree char *reason = derush_outcome_describe (outcome);
  gboolean lost = g_cancellable_is_cancelled (derush_bullmq_job_get_cancellable (job->job));

  derush_daemon_governor_leave (job->daemon->governor, job);
  job->ended (job, job->user_data);
  derush_daemon_metrics_job_runs (job->job, job->plan->job_type, FALSE);
  if (lost || (job->giving_back && !outcome->return_value && outcome->error_class == DERUSH_ERROR_CANCELLED))
    let_go (job);
  else if (outcome->return_value)
    complete_job (job, outcome->return_value, outcome->whole, FALSE);
  else if (may_park (job, outcome))
    park_job (job, outcome, reason);
  else
    fail_run (job, outcome, reason);
}

/* ── Its run ────────────────────────────────────────────────────────────── */

static void
write_progress (DerushDaemonJob *job, int percent)
{
  gint64 now = g_get_monotonic_time ();
  char text[16];

  if (percent == job->percent || now < job->progress_written + PROGRESS_INTERVAL)
    return;
  job->percent = percent;
  job->progress_written = now;
  g_snprintf (text, sizeof text, "%d", percent);
  derush_bullmq_job_set_progress (job->job, text);
  if (job->is_step && now >= job->progress_reported + REPORT_INTERVAL) {
    job->progress_reported = now;
    derush_daemon_workflow_report (job->daemon, job->job);
  }
  if (now < job->progress_stored + STORE_INTERVAL)
    return;
  job->progress_stored = now;
  derush_store_job_progress (job->daemon->store, job->store_id, percent, job->step);
}

/* Which part of the job @name is: BullMQ's progress is one number, so a reader needs this to draw a bar for each step. */
static char *
describe_step (DerushPlan *plan, const char *name)
{
  double from = plan->download_weight;

  if (strcmp (name, DERUSH_DOWNLOAD_STEP) == 0)
    return g_strdup_printf ("step %s, 0 to %.0f %%", name, from * 100);
  if (strcmp (name, DERUSH_UPLOAD_STEP) == 0)
    return g_strdup_printf ("step %s, %.0f to 100 %%", name, (1 - plan->upload_weight) * 100);
  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = plan->steps->pdata[i];

    if (strcmp (step->name, name) == 0)
      return g_strdup_printf ("step %s, %.0f to %.0f %%", name, from * 100, (from + step->weight) * 100);
    from += step->weight;
  }
  return g_strconcat ("step ", name, NULL);
}

static void
on_progress (const char *step, double progress, gpointer user_data)
{
  DerushDaemonJob *job = user_data;

  if (g_strcmp0 (step, job->step) != 0) {
    g_autofree char *now = derush_time_to_iso8601 (derush_time_now_ms ());
    g_autofree char *described = describe_step (job->plan, step);
    g_autofree char *row = g_strconcat (now, " ", described, NULL);
    JsonObject *fields = log_fields (job);

    g_free (job->step);
    job->step = g_strdup (step);
    derush_bullmq_job_add_log (job->job, row);
    json_object_set_string_member (fields, "step", step);
    derush_log (DERUSH_LOG_DEBUG, fields, "Step %s begins", step);
  }
  /* 100 is for the job that has ended. */
  write_progress (job, MIN ((int)(progress * 100), 99));
}

static void
on_lock_lost (GCancellable *lost, gpointer user_data)
{
  g_cancellable_cancel (user_data);
}

typedef struct {
  DerushBullmqControl *control;
  GCancellable *cancellable;
} Question;

static void
on_cancel_known (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Question *question = user_data;

  if (derush_bullmq_control_is_cancelled_finish (question->control, result, NULL))
    g_cancellable_cancel (question->cancellable);
  g_object_unref (question->cancellable);
  g_free (question);
}

static void
ask_whether_cancelled (DerushDaemonJob *job, const char *queue, const char *id)
{
  Question *question = g_new0 (Question, 1);

  question->control = job->daemon->control;
  question->cancellable = g_object_ref (job->cancellable);
  derush_bullmq_control_is_cancelled_async (question->control, queue, id, on_cancel_known, question);
}

/* It, or its workflow, may have been cancelled while nobody was there to hear it. */
static void
look_for_cancel (DerushDaemonJob *job)
{
  g_autofree char *queue = NULL, *id = NULL;

  ask_whether_cancelled (job, derush_bullmq_job_get_queue (job->job), job->id);
  if (job->is_step && derush_bullmq_job_get_parent (job->job, &queue, &id))
    ask_whether_cancelled (job, queue, id);
}

/* It was cancelled while it waited. What earlier attempts have left may be long films. */
static void
fail_cancelled (DerushDaemonJob *job)
{
  derush_store_job_started (job->daemon->store, job->store_id, job->plan->job_type, job->plan, job->plan->data,
                            job->attempt, derush_bullmq_job_get_attempts (job->job));
  fail_job (job, DERUSH_ERROR_CANCELLED, FALSE, _ ("The job was cancelled"), NULL, NULL, NULL, FALSE);
  forget_attempts (job);
}

/* It was given back, or lost, before it began: what earlier attempts have left stays. */
static void
end_without_run (DerushDaemonJob *ended)
{
  g_autoptr (DerushDaemonJob) job = ended;

  derush_daemon_governor_leave (job->daemon->governor, job);
  job->ended (job, job->user_data);
  derush_daemon_metrics_job_runs (job->job, job->plan->job_type, FALSE);
  let_go (job);
}

static void
begin (gpointer user_data)
{
  DerushDaemonJob *job = user_data;
  DerushRunOptions options = {
      .job_id = job->id,
      .queue = derush_bullmq_job_get_queue (job->job),
      .correlation_id = correlation_of (job),
      .attempt = job->attempt,
      .attempts = derush_bullmq_job_get_attempts (job->job),
      .checkpoints = TRUE,
      .released = derush_bullmq_job_get_parked (job->job)->until > derush_time_now_ms () + PARKED_LEAST,
      .roots = (const char *const *)job->daemon->roots,
      .progress = on_progress,
      .user_data = job,
  };

  if (job->giving_back || g_cancellable_is_cancelled (derush_bullmq_job_get_cancellable (job->job))) {
    end_without_run (job);
    return;
  }
  job->slot = derush_daemon_queue_take_slot (job->queue);
  derush_slot_run_async (job->slot, job->plan, &options, job->cancellable, on_run_ended, job);
}

static void
run (DerushDaemonJob *job)
{
  derush_log (DERUSH_LOG_INFO, log_fields (job), "Started%s%s", job->plan->source ? " on " : "",
              job->plan->source ? job->plan->source : "");
  derush_store_job_started (job->daemon->store, job->store_id, job->plan->job_type, job->plan, job->plan->data,
                            job->attempt, derush_bullmq_job_get_attempts (job->job));
  job->cancellable = g_cancellable_new ();
  job->lost_handler = g_cancellable_connect (derush_bullmq_job_get_cancellable (job->job), G_CALLBACK (on_lock_lost),
                                             g_object_ref (job->cancellable), g_object_unref);
  look_for_cancel (job);
  derush_daemon_metrics_job_runs (job->job, job->plan->job_type, TRUE);
  derush_daemon_governor_enter (job->daemon->governor, job->queue, job->cancellable, begin, job);
}

static JsonObject *
read_data (DerushBullmqJob *job, GError **error)
{
  g_autoptr (GError) local = NULL;
  JsonObject *data = derush_json_parse_object (derush_bullmq_job_get_data (job), -1, &local);

  if (!data)
    g_set_error (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The job's data cannot be used: %s"),
                 local->message);
  return data;
}

DerushDaemonJob *
derush_daemon_job_start (DerushDaemon *daemon, DerushDaemonQueue *queue, DerushBullmqJob *bullmq_job,
                         DerushDaemonJobEnded ended, gpointer user_data)
{
  g_autoptr (DerushDaemonJob) job = g_new0 (DerushDaemonJob, 1);
  g_autoptr (JsonObject) data = NULL;
  g_autoptr (DerushOutcome) answer = NULL;
  g_autoptr (GError) error = NULL;

  job->daemon = daemon;
  job->queue = queue;
  job->job = bullmq_job;
  job->ended = ended;
  job->user_data = user_data;
  job->id = g_utf8_make_valid (derush_bullmq_job_get_id (bullmq_job), -1);
  job->store_id = g_strdup_printf ("%s:%s", derush_bullmq_job_get_queue (bullmq_job), job->id);
  job->attempt = derush_bullmq_job_get_attempts_made (bullmq_job) + 1;
  job->started = g_get_monotonic_time ();
  job->percent = -1;
  job->is_step = json_object_has_member (derush_bullmq_job_get_opts (bullmq_job), DERUSH_STEP_OPTION);
  derush_daemon_metrics_job_taken (bullmq_job);
  data = read_data (bullmq_job, &error);
  if (data)
    job->plan = derush_plan_new (derush_bullmq_job_get_name (bullmq_job), data, daemon->flags, &error);
  if (!job->plan) {
    g_autofree char *type = data ? derush_job_type_from_name (derush_bullmq_job_get_name (bullmq_job), data) : NULL;

    derush_store_job_started (daemon->store, job->store_id, type ? type : "", NULL, data, job->attempt,
                              derush_bullmq_job_get_attempts (bullmq_job));
    fail_job (job, derush_error_get_class (error), derush_error_can_retry (error), error->message, NULL, NULL, NULL,
              FALSE);
    return NULL;
  }
  if (strcmp (job->plan->job_type, "WORKFLOW_EXECUTION") == 0) {
    derush_daemon_workflow_start (daemon, derush_bullmq_job_ref (bullmq_job), job->plan);
    return NULL;
  }
  if (derush_daemon_queue_cancels (queue, job->id)) {
    fail_cancelled (job);
    return NULL;
  }
  answer = derush_plan_answer (job->plan);
  if (answer && answer->return_value) {
    complete_job (job, answer->return_value, NULL, TRUE);
    return NULL;
  }
  if (answer) {
    fail_job (job, answer->error_class, answer->can_retry, answer->message, answer->step, NULL, NULL, TRUE);
    return NULL;
  }
  run (job);
  return g_steal_pointer (&job);
}

void
derush_daemon_job_give_back (DerushDaemonJob *job)
{
  job->giving_back = TRUE;
  if (job->slot)
    derush_slot_keep_checkpoint (job->slot);
  g_cancellable_cancel (job->cancellable);
}

/* Whether it is the job @id of @queue, or a step of the workflow that is. */
gboolean
derush_daemon_job_is (DerushDaemonJob *job, const char *queue, const char *id)
{
  g_autofree char *parent_queue = NULL, *parent = NULL;

  if (strcmp (derush_bullmq_job_get_queue (job->job), queue) == 0 && strcmp (job->id, id) == 0)
    return TRUE;
  return job->is_step && derush_bullmq_job_get_parent (job->job, &parent_queue, &parent) &&
         strcmp (parent_queue, queue) == 0 && strcmp (parent, id) == 0;
}

/* Whether it is a step of a workflow. */
gboolean
derush_daemon_job_is_step (DerushDaemonJob *job)
{
  return job->is_step;
}

/* Stops it for good. */
void
derush_daemon_job_cancel (DerushDaemonJob *job)
{
  g_cancellable_cancel (job->cancellable);
}

DerushSlot *
derush_daemon_job_get_slot (DerushDaemonJob *job)
{
  return job->slot;
}

const char *
derush_daemon_job_get_id (DerushDaemonJob *job)
{
  return job->id;
}
