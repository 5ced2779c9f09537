/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/run-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* The self-test without a duration: whether jobs get through at all. */
JsonObject *
derush_step_answer (DerushPlanStep *step, GError **error)
{
  const char *what = derush_json_get_string (step->parameters, "do", "fail");
  JsonObject *result;

  if (strcmp (step->action, "self-test") != 0) {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL, _ ("The step “%s” is unknown here"), step->action);
    return NULL;
  }
  if (strcmp (what, "ok") != 0) {
    g_set_error_literal (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
                         _ ("The self-test failed, as it was asked to; with \"do\": \"ok\" it succeeds"));
    return NULL;
  }
  result = json_object_new ();
  json_object_set_string_member (result, "done", "ok");
  return result;
}

/**
 * derush_plan_answer:
 * @plan: a plan
 *
 * Returns: (transfer full) (nullable): the outcome, or %NULL if @plan needs a slot
 */
DerushOutcome *
derush_plan_answer (DerushPlan *plan)
{
  DerushPlanStep *step = plan->steps->len == 1 ? plan->steps->pdata[0] : NULL;
  g_autoptr (JsonObject) result = NULL, results = NULL;
  g_autoptr (GPtrArray) warnings = NULL;
  g_autoptr (GError) error = NULL;
  DerushOutcome *outcome;

  if (!step || step->worker != DERUSH_STEP_DAEMON || plan->source)
    return NULL;
  outcome = g_new0 (DerushOutcome, 1);
  outcome->outputs = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_output_free);
  result = derush_step_answer (step, &error);
  if (!result) {
    outcome->error_class = derush_error_get_class (error);
    outcome->can_retry = derush_error_can_retry (error);
    outcome->message = g_strdup (error->message);
    outcome->step = g_strdup (step->name);
    return outcome;
  }
  results = json_object_new ();
  json_object_set_object_member (results, step->name, g_steal_pointer (&result));
  warnings = plan->warnings ? g_ptr_array_ref (plan->warnings) : g_ptr_array_new ();
  outcome->return_value = derush_plan_return_value (plan, results, outcome->outputs, warnings, NULL, 0);
  return outcome;
}
