/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/environment-private.h"
#include "steps/localmodels-private.h"

#include <glib/gi18n-lib.h>

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
  /* That it does not start is told with it: others may answer. */
  if (!derush_local_models_start (config, &local, cancellable, &not_started))
    derush_log (DERUSH_LOG_WARN, NULL, "%s", not_started->message);
  list = ask_worker (config, &local, cancellable, error);
  derush_local_models_unref ();
  return list;
}
