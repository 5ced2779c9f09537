/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/run-private.h"

#include <signal.h>
#include <glib/gi18n-lib.h>

#define START_TRIES 3
#define BACKOFF_MIN (G_USEC_PER_SEC / 4)
#define BACKOFF_MAX (30 * G_USEC_PER_SEC)

void
derush_runner_drop_process (DerushRunner *runner)
{
  g_atomic_int_set (&runner->pid, 0);
  if (runner->name && runner->process)
    derush_metrics_watch_process (runner->name, 0);
  g_clear_pointer (&runner->process, derush_process_free);
}

void
derush_runner_heard (DerushRunner *runner)
{
  g_mutex_lock (&runner->lock);
  runner->heard = derush_time_now_ms ();
  g_mutex_unlock (&runner->lock);
}

static void
tell_start (DerushRunner *runner, gboolean started)
{
  g_mutex_lock (&runner->lock);
  runner->refused = runner->failed_starts;
  if (started) {
    runner->starts++;
    runner->started = g_get_monotonic_time ();
    runner->heard = derush_time_now_ms ();
  }
  g_mutex_unlock (&runner->lock);
}

static gboolean
ensure_scratch (DerushRunner *runner, GError **error)
{
  if (runner->scratch && !derush_scratch_is_there (runner->scratch)) {
    derush_runner_drop_process (runner);
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

/* A worker that dies at its start is started again only after a pause that grows from one failure to the next, also from
 * job to job: a broken installation must neither spin nor burn the jobs of a whole queue within seconds. */
gboolean
derush_runner_ensure_process (DerushRunner *runner, GCancellable *cancellable, char **debug, GError **error)
{
  if (!ensure_scratch (runner, error))
    return FALSE;
  for (guint tries = 1; !runner->process; tries++) {
    g_autoptr (GError) local = NULL;
    gint64 started;

    if (!sleep_until (runner->start_after, cancellable, error))
      return FALSE;
    g_clear_pointer (debug, g_free);
    started = g_get_monotonic_time ();
    runner->process = derush_process_start (runner->config, runner->scratch->home, cancellable, debug, &local);
    if (runner->process) {
      runner->failed_starts = 0;
      tell_start (runner, TRUE);
      g_atomic_int_set (&runner->pid, derush_process_get_pid (runner->process));
      if (runner->name)
        derush_metrics_watch_process (runner->name, derush_process_get_pid (runner->process));
      derush_log (DERUSH_LOG_DEBUG, NULL, "Started media worker %d in %d ms", derush_process_get_pid (runner->process),
                  (int)((g_get_monotonic_time () - started) / 1000));
      break;
    }
    if (derush_error_get_class (local) == DERUSH_ERROR_CANCELLED) {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
    runner->failed_starts++;
    tell_start (runner, FALSE);
    runner->start_after = g_get_monotonic_time () + MIN (BACKOFF_MAX, BACKOFF_MIN << MIN (runner->failed_starts, 8));
    derush_log (DERUSH_LOG_WARN, NULL, "%s", local->message);
    if (tries == START_TRIES) {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  }
  return TRUE;
}

void
derush_runner_check_process (DerushRunner *runner)
{
  gint64 memory, age;

  if (!runner->process)
    return;
  memory = derush_process_get_memory (runner->process);
  age = derush_process_get_age (runner->process) / G_USEC_PER_SEC;
  if (derush_process_is_alive (runner->process) &&
      memory <= derush_config_get_int (runner->config, "WORKER_MEMORY_THRESHOLD") &&
      age <= derush_config_get_int (runner->config, "WORKER_UPTIME_THRESHOLD"))
    return;
  derush_log (DERUSH_LOG_DEBUG, NULL,
              "Replacing media worker %d: %s, %" G_GINT64_FORMAT " bytes, %" G_GINT64_FORMAT " s old",
              derush_process_get_pid (runner->process),
              derush_process_is_alive (runner->process) ? "beyond a threshold" : "dead", memory, age);
  derush_runner_drop_process (runner);
}

void
derush_runner_clear (DerushRunner *runner)
{
  derush_runner_drop_process (runner);
  if (runner->name)
    derush_metrics_unwatch_process (runner->name);
  g_clear_pointer (&runner->scratch, derush_scratch_free);
}
