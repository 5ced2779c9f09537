/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* The longest list of moments that is read back from the file of a return value that was shortened. */
#define MAX_RESULT_BYTES (16 * 1024 * 1024)

typedef struct _Execution Execution;

/* A slot and the step on it. */
typedef struct {
  Execution *execution;
  DerushSlot *slot;
  gboolean busy;
  guint step;
  DerushPlan *plan;
  GCancellable *cancellable;
} Place;

struct _Execution {
  DerushConfig *config;
  DerushWorkflowRun *run;
  GMainLoop *loop;
  Place *places;
  guint n_places;
  DerushPlanFlags flags;
  GSource *retry;
  DerushWorkflowFunc func;
  gpointer user_data;
};

static void advance (Execution *execution);

static gint64
now_ms (void)
{
  return g_get_monotonic_time () / 1000;
}

static DerushWorkflowStep *
definition_of (Execution *execution, guint step)
{
  return derush_workflow_run_get_workflow (execution->run)->steps->pdata[step];
}

static void
tell (Execution *execution, DerushWorkflowEvent event, guint step)
{
  if (execution->func)
    execution->func (execution->run, event, step, execution->user_data);
}

/* ── One step ───────────────────────────────────────────────────────────── */

/* What steps refer to is all of a return value, not what was left of it for a queue. */
static JsonObject *
whole_return_value (JsonObject *value)
{
  const char *file = derush_json_get_string (value, "resultFile", NULL);
  g_autofree char *text = NULL;
  JsonObject *whole = NULL;
  gsize length;

  if (file && g_file_get_contents (file, &text, &length, NULL) && length <= MAX_RESULT_BYTES)
    whole = derush_json_parse_object (text, length, NULL);
  return whole ? whole : json_object_ref (value);
}

static void
take_failure (Execution *execution, guint step, DerushErrorClass error_class, gboolean can_retry, const char *message)
{
  gboolean retries = FALSE;

  if (can_retry || !derush_error_class_can_retry (error_class)) {
    retries = derush_workflow_run_fail (execution->run, step, error_class, message, now_ms ());
  } else {
    derush_workflow_run_set_error_class (execution->run, step, error_class);
    derush_workflow_run_give_up (execution->run, step, message, now_ms ());
  }
  tell (execution, retries ? DERUSH_WORKFLOW_EVENT_RETRIED : DERUSH_WORKFLOW_EVENT_ENDED, step);
}

static void
on_finished (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Place *place = user_data;
  Execution *execution = place->execution;
  g_autoptr (DerushOutcome) outcome = derush_slot_run_finish (place->slot, result);

  place->busy = FALSE;
  g_clear_pointer (&place->plan, derush_plan_unref);
  g_clear_object (&place->cancellable);
  if (outcome->return_value) {
    g_autoptr (JsonObject) whole = whole_return_value (outcome->return_value);

    derush_workflow_run_complete (execution->run, place->step, whole, now_ms ());
    tell (execution, DERUSH_WORKFLOW_EVENT_ENDED, place->step);
  } else if (outcome->error_class == DERUSH_ERROR_CANCELLED && derush_workflow_run_is_stopping (execution->run)) {
    derush_workflow_run_cancel_step (execution->run, place->step, now_ms ());
    tell (execution, DERUSH_WORKFLOW_EVENT_ENDED, place->step);
  } else {
    g_autofree char *message = derush_outcome_describe (outcome);

    take_failure (execution, place->step, outcome->error_class, outcome->can_retry, message);
  }
  advance (execution);
}

static void
on_progress (const char *name, double progress, gpointer user_data)
{
  Place *place = user_data;

  derush_workflow_run_report (place->execution->run, place->step, progress);
  tell (place->execution, DERUSH_WORKFLOW_EVENT_PROGRESS, place->step);
}

static void
start (Place *place, guint step, DerushPlan *plan)
{
  Execution *execution = place->execution;
  g_autofree char *id = g_uuid_string_random ();
  DerushRunOptions options = {.job_id = id, .progress = on_progress, .user_data = place};

  if (!place->slot) {
    g_autofree char *name = g_strdup_printf ("derush-%u", (guint)(place - execution->places) + 1);

    place->slot = derush_slot_new (execution->config, name);
  }
  place->busy = TRUE;
  place->step = step;
  place->plan = derush_plan_ref (plan);
  place->cancellable = g_cancellable_new ();
  derush_workflow_run_start (execution->run, step, id, now_ms ());
  options.attempt = derush_workflow_run_get_attempts (execution->run, step);
  tell (execution, DERUSH_WORKFLOW_EVENT_STARTED, step);
  derush_slot_run_async (place->slot, plan, &options, place->cancellable, on_finished, place);
}

static DerushPlan *
make_plan (Execution *execution, guint step, GError **error)
{
  g_autoptr (JsonObject) data = derush_workflow_run_get_data (execution->run, step, error);

  if (!data)
    return NULL;
  return derush_plan_new (definition_of (execution, step)->job_type, data, execution->flags, error);
}

/* ── All of them ────────────────────────────────────────────────────────── */

/* Two steps that measure one film at once would both decode it; the second finds what the first has measured. */
static gboolean
waits_for_analysis (Execution *execution, DerushPlan *plan)
{
  for (guint i = 0; plan->needs_analysis && i < execution->n_places; i++) {
    Place *place = &execution->places[i];

    if (place->busy && place->plan->needs_analysis && g_strcmp0 (place->plan->source, plan->source) == 0)
      return TRUE;
  }
  return FALSE;
}

static Place *
find_place (Execution *execution)
{
  for (guint i = 0; i < execution->n_places; i++)
    if (!execution->places[i].busy)
      return &execution->places[i];
  return NULL;
}

static gboolean
is_idle (Execution *execution)
{
  for (guint i = 0; i < execution->n_places; i++)
    if (execution->places[i].busy)
      return FALSE;
  return TRUE;
}

static gboolean
on_retry (gpointer user_data)
{
  Execution *execution = user_data;

  g_clear_pointer (&execution->retry, g_source_unref);
  advance (execution);
  return G_SOURCE_REMOVE;
}

static void
wait_for_retry (Execution *execution)
{
  gint64 next = derush_workflow_run_get_next_retry (execution->run), now = now_ms ();

  if (execution->retry) {
    g_source_destroy (execution->retry);
    g_clear_pointer (&execution->retry, g_source_unref);
  }
  /* One whose time has come waits for a place, or for an analysis: the end of another step brings it on. */
  if (next < 0 || next <= now)
    return;
  execution->retry = g_timeout_source_new (MIN (next - now, G_MAXINT));
  g_source_set_callback (execution->retry, on_retry, execution, NULL);
  g_source_attach (execution->retry, g_main_context_get_thread_default ());
}

/* Starts the steps that can be, as long as there is room. A step without a usable plan ends at once, which may make
 * others ready, so they are looked at again. */
static void
start_ready (Execution *execution)
{
  guint n = derush_workflow_run_get_workflow (execution->run)->steps->len;
  gboolean again = TRUE;

  while (again) {
    again = FALSE;
    for (guint step = 0; step < n; step++) {
      g_autoptr (DerushPlan) plan = NULL;
      g_autoptr (GError) error = NULL;
      Place *place = find_place (execution);

      if (!place)
        return;
      if (!derush_workflow_run_is_ready (execution->run, step, now_ms ()))
        continue;
      plan = make_plan (execution, step, &error);
      if (!plan) {
        derush_workflow_run_start (execution->run, step, NULL, now_ms ());
        take_failure (execution, step, derush_error_get_class (error), derush_error_can_retry (error), error->message);
        again = TRUE;
      } else if (!waits_for_analysis (execution, plan)) {
        start (place, step, plan);
      }
    }
  }
}

static void
stop_running (Execution *execution)
{
  for (guint i = 0; i < execution->n_places; i++)
    if (execution->places[i].busy)
      g_cancellable_cancel (execution->places[i].cancellable);
}

static void
advance (Execution *execution)
{
  if (!derush_workflow_run_is_stopping (execution->run))
    start_ready (execution);
  if (derush_workflow_run_is_stopping (execution->run))
    stop_running (execution);
  if (derush_workflow_run_has_ended (execution->run) && is_idle (execution))
    g_main_loop_quit (execution->loop);
  else
    wait_for_retry (execution);
}

static gboolean
on_advance (gpointer user_data)
{
  advance (user_data);
  return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  Execution *execution = user_data;

  derush_workflow_run_cancel (execution->run);
  advance (execution);
  return G_SOURCE_REMOVE;
}

/**
 * derush_workflow_execute:
 * @config: the settings
 * @run: a run that has just begun
 * @n_slots: how many steps may run at once, each in processes of its own
 * @cancellable: (nullable): cancels the workflow
 * @func: (nullable): told of all that happens
 * @user_data: for @func
 *
 * Runs every step that can be, and waits for all of them and for their processes. Iterates the thread-default main
 * context meanwhile. How it went is in @run.
 */
void
derush_workflow_execute (DerushConfig *config, DerushWorkflowRun *run, guint n_slots, GCancellable *cancellable,
                         DerushWorkflowFunc func, gpointer user_data)
{
  guint limit = derush_workflow_run_get_workflow (run)->max_concurrent_steps;
  GMainContext *context = g_main_context_get_thread_default ();
  Execution execution = {.config = config, .run = run, .func = func, .user_data = user_data};
  g_autoptr (GSource) first = g_idle_source_new (), cancelled = NULL;

  execution.loop = g_main_loop_new (context, FALSE);
  execution.n_places = limit > 0 ? MIN (limit, n_slots) : n_slots;
  execution.places = g_new0 (Place, execution.n_places);
  execution.flags = derush_config_get_boolean (config, "DERUSH_STRICT_DATA") ? DERUSH_PLAN_STRICT : DERUSH_PLAN_NONE;
  for (guint i = 0; i < execution.n_places; i++)
    execution.places[i].execution = &execution;
  g_source_set_callback (first, on_advance, &execution, NULL);
  g_source_attach (first, context);
  if (cancellable) {
    cancelled = g_cancellable_source_new (cancellable);
    g_source_set_callback (cancelled, G_SOURCE_FUNC (on_cancelled), &execution, NULL);
    g_source_attach (cancelled, context);
  }
  g_main_loop_run (execution.loop);

  g_source_destroy (first);
  if (cancelled)
    g_source_destroy (cancelled);
  if (execution.retry)
    g_source_destroy (execution.retry);
  g_clear_pointer (&execution.retry, g_source_unref);
  for (guint i = 0; i < execution.n_places; i++)
    g_clear_pointer (&execution.places[i].slot, derush_slot_free);
  g_free (execution.places);
  g_main_loop_unref (execution.loop);
}
