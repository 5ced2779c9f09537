/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/action-private.h"
#include "models/actions/text-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* One task, as it is asked: what actions do not have to do themselves. */
static JsonObject *
ask (DerushModelJob *job, GError **error)
{
  static const char *const tasks[] = {"transcribe", "speak", "translate", "chat", "image", NULL};
  const char *task = derush_json_get_string (job->parameters, "task", "");
  JsonObject *request = derush_json_get_object (job->parameters, "request");

  if (g_strv_contains (tasks, task) && request)
    return derush_models_call (job->models, task, request, &job->context, job->cancellable, error);
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("Models do not know the task “%s”"), task);
  return NULL;
}

static const struct {
  const char *name;
  DerushModelAction function;
} actions[] = {
    {"ask", ask},
    {"translate", derush_action_translate},
    {"analyse-content", derush_action_analyse_content},
    {"content", derush_action_content},
    {"image", derush_action_image},
    {"transcribe", derush_action_transcribe},
    {"speak", derush_action_speak},
};

/* Returns: (nullable): what a step of this name does */
DerushModelAction
derush_model_action_find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    if (strcmp (actions[i].name, name) == 0)
      return actions[i].function;
  return NULL;
}

static void
warn (const char *message, gpointer request)
{
  derush_step_request_warn (request, message);
}

/* A #DerushStepHandler. */
JsonObject *
derush_model_worker_handle (DerushStepRequest *request, gpointer models, GError **error)
{
  g_autoptr (GString) debug = g_string_new (NULL);
  DerushModelJob job = {
      .request = request,
      .action = derush_step_request_get_action (request),
      .directory = derush_step_request_get_directory (request),
      .parameters = derush_step_request_get_parameters (request),
      .results = derush_step_request_get_results (request),
      .cancellable = derush_step_request_get_cancellable (request),
      .models = models,
  };
  DerushModelAction action = derush_model_action_find (job.action);
  g_autofree char *folder = g_path_get_basename (job.directory);
  JsonObject *result;

  job.context.directory = job.directory;
  job.context.job_id = derush_step_request_get_job_id (request) ? derush_step_request_get_job_id (request) : folder;
  job.context.warn = warn;
  job.context.warn_data = request;
  job.context.debug = debug;
  if (!action) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_UNSUPPORTED, _ ("The model worker has no action “%s”"),
                 job.action);
    return NULL;
  }
  if (derush_step_request_is_released (request))
    derush_models_forget_waits (models);
  result = action (&job, error);
  if (!result && debug->len)
    derush_step_request_set_debug (request, debug->str);
  return result;
}
