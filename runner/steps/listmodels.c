/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/environment-private.h"
#include "steps/localmodels-private.h"

#include <glib/gi18n-lib.h>

/* Who asks has less patience than a job, in s. */
#define PATIENCE 5

typedef struct {
  GMutex lock;
  GCond ended;
  gboolean over;
  GCancellable *cancellable;
} Wait;

static gpointer
limit_wait (gpointer user_data)
{
  Wait *wait = user_data;
  gint64 until = g_get_monotonic_time () + PATIENCE * G_USEC_PER_SEC;

  g_mutex_lock (&wait->lock);
  while (!wait->over && g_cond_wait_until (&wait->ended, &wait->lock, until))
    ;
  if (!wait->over)
    g_cancellable_cancel (wait->cancellable);
  g_mutex_unlock (&wait->lock);
  return NULL;
}

static void
start_local (DerushConfig *config, DerushLocalModels *local, GError **error)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Wait wait = {.cancellable = cancellable};
  GThread *thread = g_thread_new ("patience", limit_wait, &wait);

  if (!derush_local_models_start (config, local, cancellable, error) && g_cancellable_is_cancelled (cancellable)) {
    g_clear_error (error);
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The server of local models was not ready after %d s"), PATIENCE);
  }
  g_mutex_lock (&wait.lock);
  wait.over = TRUE;
  g_cond_signal (&wait.ended);
  g_mutex_unlock (&wait.lock);
  g_thread_join (thread);
  g_mutex_clear (&wait.lock);
  g_cond_clear (&wait.ended);
}

/* The worker knows only that it was given no address. */
static void
set_reason (JsonObject *list, const GError *reason)
{
  JsonArray *providers = derush_json_get_array (list, "providers");

  for (guint i = 0; providers && i < json_array_get_length (providers); i++) {
    JsonObject *provider = json_array_get_object_element (providers, i);

    if (g_strcmp0 (derush_json_get_string (provider, "provider", NULL), "local") == 0)
      json_object_set_string_member (provider, "error", reason->message);
  }
}

static JsonObject *
ask_worker (DerushConfig *config, const DerushLocalModels *local, GCancellable *cancellable, GError **error)
{
  const char *more[] = {local->url ? "DERUSH_LOCAL_MODELS_URL" : NULL, local->url, "DERUSH_MODELS_TOKEN", local->token,
                        NULL};
  g_autofree char *program = derush_worker_program (DERUSH_WORKER_MODEL), *output = NULL, *errors = NULL;
  g_auto (GStrv) environment = derush_worker_environment (DERUSH_WORKER_MODEL, config, g_get_tmp_dir (), more);
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) local_error = NULL;

  g_subprocess_launcher_set_environ (launcher, environment);
  process = g_subprocess_launcher_spawn (launcher, &local_error, program, "--list", NULL);
  if (!process || !g_subprocess_communicate_utf8 (process, NULL, cancellable, &output, &errors, &local_error)) {
    if (process)
      g_subprocess_force_exit (process);
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("%s cannot be started: %s; is Derush installed completely? %s"),
                 derush_worker_title (DERUSH_WORKER_MODEL), program, local_error->message);
    return NULL;
  }
  if (g_subprocess_get_successful (process))
    return derush_json_parse_object (output, -1, error);
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT, "%s", g_strstrip (errors));
  return NULL;
}

/**
 * derush_models_who_answers:
 * @config: the settings
 * @cancellable: (nullable): ends it
 * @error: return location for an error
 *
 * Starts a model worker, and derush-models where it may be needed, and has them ask every provider. Blocks.
 *
 * Returns: (transfer full) (nullable): {providers[{provider, baseUrl, key: whether there is one, tasks[], models{}, answers,
 *   available[]?, error?}]}
 */
JsonObject *
derush_models_who_answers (DerushConfig *config, GCancellable *cancellable, GError **error)
{
  g_auto (DerushLocalModels) local = {0};
  g_autoptr (GError) not_started = NULL;
  JsonObject *list;

  derush_local_models_ref ();
  start_local (config, &local, &not_started);
  list = ask_worker (config, &local, cancellable, error);
  /* That it does not start is told with it: others may answer. */
  if (list && not_started)
    set_reason (list, not_started);
  derush_local_models_unref ();
  return list;
}
