/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/localmodels-private.h"
#include "steps/run-private.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

#define IDLE_CHECK_MS 10000

/* After so many failed starts in a row nobody tries any more until a job or an operator wants the worker: it needs mending,
 * which a log that grows does not do. */
#define MAX_FAILED_STARTS 10

/*
 * A slot has a thread that starts the worker, speaks with it and waits for it, so that its code reads from top to bottom
 * and hashing or copying a large file holds up nobody. The thread lives as long as the slot: a worker gets its death
 * signal when the thread that started it ends.
 */
struct _DerushSlot {
  char *name;
  GThread *thread;
  int wakeup; /* eventfd */

  GMutex lock;
  GTask *pending;
  GCancellable *running;   /* of the job that is running */
  GCancellable *preparing; /* (unowned): of the start of a worker without a job */
  gboolean prepare;
  gboolean restart;
  gboolean lasting;
  gboolean quit;
  gboolean busy;
  DerushConfig *next_config;  /* or NULL */
  gboolean for_next_job_only; /* it came after @pending */

  DerushRunner runner; /* of the thread */
};

typedef struct {
  DerushPlan *plan;
  char *job_id;
  char *queue;
  char *correlation_id;
  GStrv roots;
  DerushRunOptions options; /* its strings are those above */
  GCancellable *cancellable;
  GMainContext *context;
} Run;

static void
run_free (Run *run)
{
  derush_plan_unref (run->plan);
  g_free (run->job_id);
  g_free (run->queue);
  g_free (run->correlation_id);
  g_strfreev (run->roots);
  g_clear_object (&run->cancellable);
  g_main_context_unref (run->context);
  g_free (run);
}

/**
 * derush_outcome_free:
 * @outcome: an outcome
 */
void
derush_outcome_free (DerushOutcome *outcome)
{
  g_clear_pointer (&outcome->return_value, json_object_unref);
  g_clear_pointer (&outcome->whole, json_object_unref);
  g_clear_pointer (&outcome->outputs, g_ptr_array_unref);
  g_free (outcome->step);
  g_free (outcome->input);
  g_free (outcome->message);
  g_free (outcome->debug);
  g_free (outcome);
}

/**
 * derush_outcome_describe:
 * @outcome: an outcome
 *
 * Returns: (transfer full) (nullable): a failure in one line for people, or %NULL if there was none
 */
char *
derush_outcome_describe (DerushOutcome *outcome)
{
  if (!outcome->message)
    return NULL;
  if (!outcome->step)
    return g_strdup (outcome->message);
  if (!outcome->input)
    return g_strdup_printf (_ ("step “%s”: %s"), outcome->step, outcome->message);
  return g_strdup_printf (_ ("step “%s” of %s: %s"), outcome->step, outcome->input, outcome->message);
}

/* ── Progress ───────────────────────────────────────────────────────────── */

typedef struct {
  GTask *task;
  char *step;
  double progress;
} Report;

static void
report_free (Report *report)
{
  g_object_unref (report->task);
  g_free (report->step);
  g_free (report);
}

static gboolean
on_report (gpointer user_data)
{
  Report *report = user_data;
  Run *run = g_task_get_task_data (report->task);

  if (!g_task_get_completed (report->task))
    run->options.progress (report->step, report->progress, run->options.user_data);
  return G_SOURCE_REMOVE;
}

/* Attached by hand: g_main_context_invoke() would run it in this thread while nobody happens to iterate the context. */
static void
send_report (const char *step, double progress, gpointer user_data)
{
  GTask *task = user_data;
  Run *run = g_task_get_task_data (task);
  g_autoptr (GSource) source = NULL;
  Report *report;

  if (!run->options.progress)
    return;
  report = g_new0 (Report, 1);
  report->task = g_object_ref (task);
  report->step = g_strdup (step);
  report->progress = progress;
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_report, report, (GDestroyNotify)report_free);
  g_source_attach (source, run->context);
}

/* ── Thread ─────────────────────────────────────────────────────────────── */

static void
run_task (DerushSlot *slot, GTask *task)
{
  Run *run = g_task_get_task_data (task);
  DerushOutcome *outcome;

  outcome = derush_runner_run (&slot->runner, run->plan, &run->options, run->cancellable, send_report, task);
  g_mutex_lock (&slot->lock);
  slot->busy = FALSE;
  g_clear_object (&slot->running);
  g_mutex_unlock (&slot->lock);
  g_task_return_pointer (task, outcome, (GDestroyNotify)derush_outcome_free);
  g_object_unref (task);
}

static void
start_worker (DerushSlot *slot, DerushWorkerKind kind)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;
  DerushRunnerWorker *worker = &slot->runner.workers[kind];
  guint before = worker->failed_starts;

  g_mutex_lock (&slot->lock);
  slot->preparing = cancellable;
  if (slot->quit)
    g_cancellable_cancel (cancellable);
  g_mutex_unlock (&slot->lock);
  if (!derush_runner_ensure_process (&slot->runner, kind, 1, cancellable, &debug, &error) &&
      before < MAX_FAILED_STARTS && worker->failed_starts == MAX_FAILED_STARTS)
    derush_log (DERUSH_LOG_ERROR, NULL,
                "%s: its worker could not be started %d times in a row; the next job tries again, or derush restart %s",
                slot->name, MAX_FAILED_STARTS, slot->name);
  g_mutex_lock (&slot->lock);
  slot->preparing = NULL;
  g_mutex_unlock (&slot->lock);
}

/* Starts the workers that jobs have needed, or else the one that most need. */
static void
prepare (DerushSlot *slot)
{
  gboolean any = FALSE;

  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++)
    if (slot->runner.workers[kind].starts > 0) {
      any = TRUE;
      start_worker (slot, kind);
    }
  if (!any)
    start_worker (slot, DERUSH_WORKER_MEDIA);
}

/* How long a worker that ended by itself is to stay away, in ms; -1: until a job needs it. */
static int
time_until_start (DerushSlot *slot, DerushWorkerKind kind)
{
  DerushRunnerWorker *worker = &slot->runner.workers[kind];
  gboolean lasting;

  g_mutex_lock (&slot->lock);
  lasting = slot->lasting;
  g_mutex_unlock (&slot->lock);
  if (!lasting || worker->process || worker->failed_starts + worker->early_ends >= MAX_FAILED_STARTS ||
      (!worker->died && worker->failed_starts == 0))
    return -1;
  return MAX (worker->start_after - g_get_monotonic_time (), 0) / 1000;
}

/* Returns: whether one of them was due */
static gboolean
start_again (DerushSlot *slot)
{
  gboolean due = FALSE;

  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++)
    if (time_until_start (slot, kind) == 0) {
      due = TRUE;
      start_worker (slot, kind);
    }
  return due;
}

/* A worker may hang or grow while nobody asks anything of it. */
static void
check_idle (DerushSlot *slot, DerushWorkerKind kind)
{
  DerushRunner *runner = &slot->runner;
  DerushProcess *process = runner->workers[kind].process;
  g_autoptr (GError) error = NULL;

  if (!process)
    return;
  if (derush_process_look (process))
    derush_runner_heard (runner, kind);
  if (!derush_process_check_idle (process,
                                  derush_config_get_int (runner->config, "DERUSH_HEARTBEAT_TIMEOUT") * G_USEC_PER_SEC,
                                  derush_config_get_int (runner->config, "DERUSH_WORKER_MEMORY_LIMIT"), &error))
    derush_log (DERUSH_LOG_WARN, NULL, "%s: %s", slot->name, error->message);
  if (derush_process_is_alive (process))
    return;
  derush_log (DERUSH_LOG_WARN, NULL, "%s: %s worker %d ended by itself while it had nothing to do", slot->name,
              kind == DERUSH_WORKER_MODEL ? "model" : "media", derush_process_get_pid (process));
  derush_runner_check_processes (runner);
  derush_runner_died_idle (runner, kind);
}

/* Drains what idle workers write, asks whether they are there, and notices their end. */
static void
idle (DerushSlot *slot)
{
  GPollFD fds[1 + 2 * DERUSH_N_WORKERS] = {{.fd = slot->wakeup, .events = G_IO_IN}};
  guint n = 1;
  guint64 count;
  int wait = -1;

  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++) {
    int start = time_until_start (slot, kind);

    if (start >= 0 && (wait < 0 || start < wait))
      wait = start;
  }
  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++)
    if (slot->runner.workers[kind].process)
      n += derush_process_get_pollfds (slot->runner.workers[kind].process, fds + n);
  if (n > 1 && (wait < 0 || wait > IDLE_CHECK_MS))
    wait = IDLE_CHECK_MS;
  g_poll (fds, n, wait);
  if ((fds[0].revents & G_IO_IN) && read (slot->wakeup, &count, sizeof count) < 0 && errno != EAGAIN)
    g_warning ("%s", g_strerror (errno));
  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++)
    check_idle (slot, kind);
}

static gpointer
slot_thread (gpointer user_data)
{
  DerushSlot *slot = user_data;

  for (;;) {
    GTask *task;
    gboolean start, quit, restart;

    g_mutex_lock (&slot->lock);
    restart = slot->restart;
    slot->restart = FALSE;
    if (slot->next_config && !(slot->pending && slot->for_next_job_only)) {
      derush_config_unref (slot->runner.config);
      slot->runner.config = g_steal_pointer (&slot->next_config);
    }
    task = g_steal_pointer (&slot->pending);
    start = slot->prepare;
    slot->prepare = FALSE;
    quit = slot->quit;
    g_mutex_unlock (&slot->lock);
    if (restart) {
      derush_runner_drop_processes (&slot->runner);
      derush_runner_forgive (&slot->runner);
    }
    if (task)
      run_task (slot, task);
    else if (quit)
      break;
    else if (start)
      prepare (slot);
    else if (!start_again (slot))
      idle (slot);
  }
  derush_runner_clear (&slot->runner);
  return NULL;
}

static void
wake (DerushSlot *slot)
{
  guint64 one = 1;

  if (write (slot->wakeup, &one, sizeof one) < 0)
    g_warning ("%s", g_strerror (errno));
}

/* ── Interface ──────────────────────────────────────────────────────────── */

/**
 * derush_slot_new:
 * @config: the settings
 * @name: of the worker, for log lines and metrics, such as `video-processing-1`; unique in the process
 *
 * Returns: (transfer full): a slot that has started nothing yet
 */
DerushSlot *
derush_slot_new (DerushConfig *config, const char *name)
{
  DerushSlot *slot = g_new0 (DerushSlot, 1);

  slot->name = g_strdup (name);
  slot->runner.config = derush_config_ref (config);
  slot->runner.name = slot->name;
  slot->wakeup = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  g_mutex_init (&slot->lock);
  g_mutex_init (&slot->runner.lock);
  derush_local_models_ref ();
  slot->thread = g_thread_new ("slot", slot_thread, slot);
  return slot;
}

/**
 * derush_slot_free:
 * @slot: a slot
 *
 * Cancels what is running, whose callback is still called, ends the worker and removes the slot's folder. What finished
 * steps of the job made is kept, as by derush_slot_keep_checkpoint().
 */
void
derush_slot_free (DerushSlot *slot)
{
  g_mutex_lock (&slot->lock);
  slot->quit = TRUE;
  derush_slot_keep_checkpoint (slot);
  if (slot->running)
    g_cancellable_cancel (slot->running);
  if (slot->preparing)
    g_cancellable_cancel (slot->preparing);
  g_mutex_unlock (&slot->lock);
  wake (slot);
  g_thread_join (slot->thread);
  derush_local_models_unref ();
  derush_config_unref (slot->runner.config);
  close (slot->wakeup);
  g_clear_pointer (&slot->next_config, derush_config_unref);
  g_mutex_clear (&slot->lock);
  g_mutex_clear (&slot->runner.lock);
  g_free (slot->name);
  g_free (slot);
}

/**
 * derush_slot_prepare:
 * @slot: a slot
 *
 * Starts its worker already, so that the next job need not wait for it.
 */
void
derush_slot_prepare (DerushSlot *slot)
{
  g_mutex_lock (&slot->lock);
  slot->prepare = TRUE;
  g_mutex_unlock (&slot->lock);
  wake (slot);
}

static void
on_cancelled (GCancellable *theirs, gpointer ours)
{
  g_cancellable_cancel (ours);
}

/**
 * derush_slot_run_async:
 * @slot: a slot that is not busy
 * @plan: what to do
 * @options: for whom; copied
 * @cancellable: (nullable): stops the job within a second
 * @callback: called in the thread-default main context of the caller
 * @user_data: for @callback
 */
void
derush_slot_run_async (DerushSlot *slot, DerushPlan *plan, const DerushRunOptions *options, GCancellable *cancellable,
                       GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, NULL, callback, user_data);
  Run *run = g_new0 (Run, 1);

  g_return_if_fail (!derush_slot_is_busy (slot));
  run->plan = derush_plan_ref (plan);
  run->options = *options;
  run->options.job_id = run->job_id = g_strdup (options->job_id);
  run->options.queue = run->queue = g_strdup (options->queue);
  run->options.correlation_id = run->correlation_id = g_strdup (options->correlation_id);
  run->roots = g_strdupv ((char **)options->roots);
  run->options.roots = (const char *const *)run->roots;
  run->cancellable = g_cancellable_new ();
  run->context = g_main_context_ref_thread_default ();
  g_atomic_int_set (&slot->runner.keep, FALSE);
  g_task_set_task_data (task, run, (GDestroyNotify)run_free);
  if (cancellable)
    g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), g_object_ref (run->cancellable), g_object_unref);
  g_mutex_lock (&slot->lock);
  slot->busy = TRUE;
  slot->running = g_object_ref (run->cancellable);
  slot->pending = task;
  g_mutex_unlock (&slot->lock);
  wake (slot);
}

/**
 * derush_slot_run_finish:
 * @slot: a slot
 * @result: what the callback was given
 *
 * Returns: (transfer full): how the job ended; never %NULL, failures are in it
 */
DerushOutcome *
derush_slot_run_finish (DerushSlot *slot, GAsyncResult *result)
{
  return g_task_propagate_pointer (G_TASK (result), NULL);
}

/**
 * derush_slot_keep_checkpoint:
 * @slot: a slot whose job is about to be cancelled, only to be run again
 *
 * Keeps what the finished steps of that job made, as after a failure that can be retried. Without this a job that is
 * cancelled leaves nothing.
 */
void
derush_slot_keep_checkpoint (DerushSlot *slot)
{
  g_atomic_int_set (&slot->runner.keep, TRUE);
}

/**
 * derush_slot_restart:
 * @slot: a slot
 * @again: whether to start another worker at once, rather than with the next job
 *
 * Ends the slot's workers, and all that they hold: now if it idles, else after the job that runs.
 */
void
derush_slot_restart (DerushSlot *slot, gboolean again)
{
  g_mutex_lock (&slot->lock);
  slot->restart = TRUE;
  slot->prepare = again;
  g_mutex_unlock (&slot->lock);
  wake (slot);
}

/**
 * derush_slot_set_lasting:
 * @slot: a slot
 * @lasting: whether a worker that ends by itself is started again without waiting for the next job
 *
 * It is not by default. Between starts that fail there is a pause that grows; after ten of them only a job or
 * derush_slot_restart() makes another attempt.
 */
void
derush_slot_set_lasting (DerushSlot *slot, gboolean lasting)
{
  g_mutex_lock (&slot->lock);
  slot->lasting = lasting;
  g_mutex_unlock (&slot->lock);
  wake (slot);
}

/**
 * derush_slot_get_start_error:
 * @slot: a slot
 *
 * Returns: (transfer full) (nullable): why one of its workers could not be started the last time; %NULL if all could
 */
char *
derush_slot_get_start_error (DerushSlot *slot)
{
  char *error = NULL;

  g_mutex_lock (&slot->runner.lock);
  for (guint kind = 0; kind < DERUSH_N_WORKERS && !error; kind++)
    error = g_strdup (slot->runner.workers[kind].start_error);
  g_mutex_unlock (&slot->runner.lock);
  return error;
}

/**
 * derush_slot_set_config:
 * @slot: a slot
 * @config: settings; the limits among them count from the next job on, what workers are started with for the next worker
 */
void
derush_slot_set_config (DerushSlot *slot, DerushConfig *config)
{
  g_mutex_lock (&slot->lock);
  g_clear_pointer (&slot->next_config, derush_config_unref);
  slot->next_config = derush_config_ref (config);
  slot->for_next_job_only = slot->pending != NULL;
  g_mutex_unlock (&slot->lock);
  wake (slot);
}

/**
 * derush_slot_get_status:
 * @slot: a slot
 * @status: (out caller-allocates): how it is
 *
 * Answers at once, whatever the worker does.
 */
void
derush_slot_get_status (DerushSlot *slot, DerushSlotStatus *status)
{
  DerushRunner *runner = &slot->runner;

  *status = (DerushSlotStatus){.busy = derush_slot_is_busy (slot),
                               .pid = derush_slot_get_media_pid (slot),
                               .model_pid = derush_slot_get_model_pid (slot)};
  g_mutex_lock (&runner->lock);
  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++) {
    const DerushRunnerWorker *worker = &runner->workers[kind];
    gboolean runs = g_atomic_int_get (&worker->pid) != 0;

    status->heartbeat = MAX (status->heartbeat, worker->heard);
    status->restarts += MAX (worker->starts, 1) - 1;
    status->starting |= worker->starting;
    if (!runs || g_get_monotonic_time () - worker->started < DERUSH_RUNNER_EARLY)
      status->failed_starts = MAX (status->failed_starts, worker->refused);
    status->failing |= !runs && worker->refused > 0;
    if (runs)
      status->age = MAX (status->age, (g_get_monotonic_time () - worker->started) / G_USEC_PER_SEC);
  }
  g_mutex_unlock (&runner->lock);
  if (status->pid)
    status->memory += derush_process_memory_of (status->pid);
  if (status->model_pid)
    status->memory += derush_process_memory_of (status->model_pid);
}

/**
 * derush_slot_is_busy:
 * @slot: a slot
 *
 * Returns: whether a job runs in it
 */
gboolean
derush_slot_is_busy (DerushSlot *slot)
{
  gboolean busy;

  g_mutex_lock (&slot->lock);
  busy = slot->busy;
  g_mutex_unlock (&slot->lock);
  return busy;
}

/**
 * derush_slot_get_media_pid:
 * @slot: a slot
 *
 * Returns: the process of its media worker, 0 if none runs
 */
GPid
derush_slot_get_media_pid (DerushSlot *slot)
{
  return g_atomic_int_get (&slot->runner.workers[DERUSH_WORKER_MEDIA].pid);
}

/**
 * derush_slot_get_model_pid:
 * @slot: a slot
 *
 * Returns: the process of its model worker, 0 if none runs
 */
GPid
derush_slot_get_model_pid (DerushSlot *slot)
{
  return g_atomic_int_get (&slot->runner.workers[DERUSH_WORKER_MODEL].pid);
}
