/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "plans.h"

#include <string.h>

/* What the room steps needs of the room jobs, for plans made by hand. */

static void
step_free (gpointer data)
{
  DerushPlanStep *step = data;

  g_free (step->name);
  g_free (step->action);
  g_free (step->needs);
  g_clear_pointer (&step->parameters, json_object_unref);
  g_free (step);
}

DerushPlan *
plan_new (const char *source, const char *output_dir)
{
  DerushPlan *plan = g_new0 (DerushPlan, 1);

  g_atomic_ref_count_init (&plan->references);
  plan->job_type = g_strdup ("TEST");
  plan->source = g_strdup (source);
  plan->output_dir = g_strdup (output_dir);
  plan->steps = g_ptr_array_new_with_free_func (step_free);
  return plan;
}

void
plan_add (DerushPlan *plan, const char *name, const char *action, const char *parameters)
{
  DerushPlanStep *step = g_new0 (DerushPlanStep, 1);

  step->name = g_strdup (name);
  step->action = g_strdup (action);
  step->worker = DERUSH_STEP_MEDIA;
  step->parameters = parameters ? derush_json_parse_object (parameters, -1, NULL) : NULL;
  g_assert_true (!parameters || step->parameters);
  g_ptr_array_add (plan->steps, step);
  for (guint i = 0; i < plan->steps->len; i++)
    ((DerushPlanStep *)plan->steps->pdata[i])->weight = 1.0 / plan->steps->len;
}

DerushPlan *
derush_plan_ref (DerushPlan *plan)
{
  g_atomic_ref_count_inc (&plan->references);
  return plan;
}

void
derush_plan_unref (DerushPlan *plan)
{
  if (!g_atomic_ref_count_dec (&plan->references))
    return;
  g_free (plan->job_type);
  g_free (plan->video_id);
  g_free (plan->source);
  g_free (plan->output_dir);
  g_ptr_array_unref (plan->steps);
  g_free (plan);
}

void
derush_output_free (DerushOutput *output)
{
  g_free (output->file);
  g_free (output->role);
  g_free (output->path);
  g_free (output->sha256);
  g_free (output);
}

GPtrArray *
derush_plan_get_outputs (DerushPlan *plan, JsonObject *results)
{
  GPtrArray *outputs = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_output_free);

  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = plan->steps->pdata[i];
    JsonObject *result = derush_json_get_object (results, step->name);
    const char *file = derush_json_get_string (result, "file", NULL);

    if (file && strcmp (step->name, "analyse") != 0) {
      DerushOutput *output = g_new0 (DerushOutput, 1);

      output->file = g_strdup (file);
      output->role = g_strdup ("data");
      g_ptr_array_add (outputs, output);
    }
  }
  return outputs;
}

JsonObject *
derush_plan_return_value (DerushPlan *plan, JsonObject *results, GPtrArray *outputs, GPtrArray *warnings,
                          const char *analysis_path, gint64 processing_time)
{
  JsonObject *value = json_object_new ();

  json_object_set_object_member (value, "results", json_object_ref (results));
  json_object_set_int_member (value, "warnings", warnings->len);
  if (analysis_path)
    json_object_set_string_member (value, "analysisPath", analysis_path);
  return value;
}

void
derush_plan_assign_uploads (DerushPlan *plan, GPtrArray *outputs, GPtrArray *warnings)
{
}

char *
derush_plan_get_result_name (DerushPlan *plan)
{
  return g_strconcat (plan->job_type, ".json", NULL);
}
