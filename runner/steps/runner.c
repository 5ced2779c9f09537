/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/environment-private.h"
#include "steps/localmodels-private.h"
#include "steps/run-private.h"

#include <signal.h>
#include <glib/gi18n-lib.h>

#define BACKOFF_MIN (G_USEC_PER_SEC / 4)
#define BACKOFF_MAX (30 * G_USEC_PER_SEC)

/* As metrics call it. */
static char *
process_name (DerushRunner *runner, DerushWorkerKind kind)
{
  return kind == DERUSH_WORKER_MODEL ? g_strconcat (runner->name, "-model", NULL) : g_strdup (runner->name);
}

static void
watch (DerushRunner *runner, DerushWorkerKind kind, GPid pid)
{
  g_autofree char *name = runner->name ? process_name (runner, kind) : NULL;

  if (name)
    derush_metrics_watch_process (name, pid);
}

static void
drop_process (DerushRunner *runner, DerushWorkerKind kind)
{
  DerushRunnerWorker *worker = &runner->workers[kind];

  g_atomic_int_set (&worker->pid, 0);
  if (worker->process)
    watch (runner, kind, 0);
  g_clear_pointer (&worker->process, derush_process_free);
}

void
derush_runner_drop_processes (DerushRunner *runner)
{
  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++)
    drop_process (runner, kind);
}

void
derush_runner_heard (DerushRunner *runner, DerushWorkerKind kind)
{
  g_mutex_lock (&runner->lock);
  runner->workers[kind].heard = derush_time_now_ms ();
  g_mutex_unlock (&runner->lock);
}

static void
tell_starting (DerushRunner *runner, DerushRunnerWorker *worker)
{
  g_mutex_lock (&runner->lock);
  worker->starting = TRUE;
  g_mutex_unlock (&runner->lock);
}

static void
tell_start (DerushRunner *runner, DerushRunnerWorker *worker, gboolean started, const char *why_not)
{
  char *error = g_strdup (why_not);

  g_mutex_lock (&runner->lock);
  worker->starting = FALSE;
  worker->refused = worker->failed_starts + worker->early_ends;
  g_free (worker->start_error);
  worker->start_error = error;
  if (started) {
    worker->starts++;
    worker->started = g_get_monotonic_time ();
    worker->heard = derush_time_now_ms ();
  }
  g_mutex_unlock (&runner->lock);
}

gboolean
derush_runner_ensure_scratch (DerushRunner *runner, GError **error)
{
  if (runner->scratch && !derush_scratch_is_there (runner->scratch)) {
    derush_runner_drop_processes (runner);
    g_clear_pointer (&runner->scratch, derush_scratch_free);
  }
  if (!runner->scratch)
    runner->scratch = derush_scratch_new (derush_config_get_string (runner->config, "DERUSH_SCRATCH"), error);
  return runner->scratch != NULL;
}

static gboolean
sleep_until (gint64 time, GCancellable *cancellable, GError **error)
{
  while (g_get_monotonic_time () < time) {
    GPollFD fd;
    gboolean watched = g_cancellable_make_pollfd (cancellable, &fd);

    g_poll (watched ? &fd : NULL, watched ? 1 : 0, (time - g_get_monotonic_time ()) / 1000 + 1);
    if (watched)
      g_cancellable_release_fd (cancellable);
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
  }
  return TRUE;
}

/* Sees to it that derush-models runs, where it is wanted. A model worker that knows it by an older address, or that was started
 * with older settings, of which keys are some, is replaced. */
static gboolean
ensure_local_models (DerushRunner *runner, DerushLocalModels *local, GCancellable *cancellable, GError **error)
{
  if (!derush_local_models_start (runner->config, local, cancellable, error))
    return FALSE;
  if (g_strcmp0 (runner->local_models, local->url) != 0 || runner->model_config != runner->config)
    drop_process (runner, DERUSH_WORKER_MODEL);
  g_clear_pointer (&runner->model_config, derush_config_unref);
  runner->model_config = derush_config_ref (runner->config);
  g_free (runner->local_models);
  runner->local_models = g_strdup (local->url);
  return TRUE;
}

static void
set_back (DerushRunnerWorker *worker, guint failures)
{
  worker->start_after = g_get_monotonic_time () + MIN (BACKOFF_MAX, BACKOFF_MIN << MIN (failures, 8));
}

/* A worker that dies at its start is started again only after a pause that grows from one failure to the next, also from
 * job to job: a broken installation must neither spin nor burn the jobs of a whole queue within seconds. */
gboolean
derush_runner_ensure_process (DerushRunner *runner, DerushWorkerKind kind, guint tries, GCancellable *cancellable,
                              char **debug, GError **error)
{
  DerushRunnerWorker *worker = &runner->workers[kind];
  g_auto (DerushLocalModels) local = {0};
  const char *more[] = {NULL, NULL, NULL, NULL, NULL};

  if (!derush_runner_ensure_scratch (runner, error) ||
      (kind == DERUSH_WORKER_MODEL && !ensure_local_models (runner, &local, cancellable, error)))
    return FALSE;
  if (local.url) {
    more[0] = "DERUSH_LOCAL_MODELS_URL";
    more[1] = local.url;
    more[2] = "DERUSH_MODELS_TOKEN";
    more[3] = local.token;
  }
  while (!worker->process) {
    g_autoptr (GError) local_error = NULL;
    gint64 started;

    if (!sleep_until (worker->start_after, cancellable, error))
      return FALSE;
    g_clear_pointer (debug, g_free);
    started = g_get_monotonic_time ();
    tell_starting (runner, worker);
    worker->process =
        derush_process_start (kind, runner->config, runner->scratch->home, more, cancellable, debug, &local_error);
    if (worker->process) {
      worker->failed_starts = 0;
      worker->died = FALSE;
      tell_start (runner, worker, TRUE, NULL);
      g_atomic_int_set (&worker->pid, derush_process_get_pid (worker->process));
      watch (runner, kind, derush_process_get_pid (worker->process));
      derush_log (DERUSH_LOG_DEBUG, NULL, "Started %s worker %d in %d ms",
                  kind == DERUSH_WORKER_MODEL ? "model" : "media", derush_process_get_pid (worker->process),
                  (int)((g_get_monotonic_time () - started) / 1000));
      break;
    }
    if (derush_error_get_class (local_error) == DERUSH_ERROR_CANCELLED) {
      tell_start (runner, worker, FALSE, worker->start_error);
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
    worker->failed_starts++;
    tell_start (runner, worker, FALSE, local_error->message);
    set_back (worker, worker->failed_starts);
    derush_log (DERUSH_LOG_WARN, NULL, "%s", local_error->message);
    if (--tries == 0) {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  }
  return TRUE;
}

static void
check_process (DerushRunner *runner, DerushWorkerKind kind)
{
  DerushProcess *process = runner->workers[kind].process;
  gint64 memory, age;
  gboolean alive;

  if (!process)
    return;
  alive = derush_process_is_alive (process);
  memory = derush_process_get_memory (process);
  age = derush_process_get_age (process) / G_USEC_PER_SEC;
  if (alive && memory <= derush_config_get_int (runner->config, "WORKER_MEMORY_THRESHOLD") &&
      age <= derush_config_get_int (runner->config, "WORKER_UPTIME_THRESHOLD"))
    return;
  derush_log (DERUSH_LOG_DEBUG, NULL,
              "Replacing %s worker %d: %s, %" G_GINT64_FORMAT " bytes, %" G_GINT64_FORMAT " s old",
              kind == DERUSH_WORKER_MODEL ? "model" : "media", derush_process_get_pid (process),
              alive ? "beyond a threshold" : "dead", memory, age);
  drop_process (runner, kind);
  runner->workers[kind].died = !alive;
}

void
derush_runner_check_processes (DerushRunner *runner)
{
  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++)
    check_process (runner, kind);
}

void
derush_runner_died_idle (DerushRunner *runner, DerushWorkerKind kind)
{
  DerushRunnerWorker *worker = &runner->workers[kind];

  worker->early_ends = g_get_monotonic_time () - worker->started < DERUSH_RUNNER_EARLY ? worker->early_ends + 1 : 0;
  if (worker->early_ends > 0)
    set_back (worker, worker->early_ends);
  tell_start (runner, worker, FALSE, worker->early_ends > 0 ? _ ("The worker ended soon after its start") : NULL);
}

void
derush_runner_forgive (DerushRunner *runner)
{
  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++) {
    DerushRunnerWorker *worker = &runner->workers[kind];

    worker->failed_starts = worker->early_ends = 0;
    worker->start_after = 0;
    worker->died = FALSE;
    tell_start (runner, worker, FALSE, NULL);
  }
}

void
derush_runner_clear (DerushRunner *runner)
{
  derush_runner_drop_processes (runner);
  for (guint kind = 0; runner->name && kind < DERUSH_N_WORKERS; kind++) {
    g_autofree char *name = process_name (runner, kind);

    derush_metrics_unwatch_process (name);
  }
  for (guint kind = 0; kind < DERUSH_N_WORKERS; kind++)
    g_clear_pointer (&runner->workers[kind].start_error, g_free);
  g_clear_pointer (&runner->local_models, g_free);
  g_clear_pointer (&runner->model_config, derush_config_unref);
  g_clear_pointer (&runner->scratch, derush_scratch_free);
}
