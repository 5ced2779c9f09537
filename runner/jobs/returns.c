/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <math.h>
#include <string.h>

#define MAX_RETURN_WARNINGS 32

/**
 * derush_output_free:
 * @output: (nullable) (transfer full): an output
 */
void
derush_output_free (DerushOutput *output)
{
  if (!output)
    return;
  g_free (output->file);
  g_free (output->role);
  g_free (output->path);
  g_free (output->sha256);
  g_free (output->upload_url);
  g_strfreev (output->upload_headers);
  g_free (output->url);
  g_free (output);
}

void
outputs_add (GPtrArray *outputs, const char *file, const char *role)
{
  DerushOutput *output;

  if (!file || !*file)
    return;
  output = g_new0 (DerushOutput, 1);
  output->file = g_strdup (file);
  output->role = g_strdup (role);
  g_ptr_array_add (outputs, output);
}

const DerushOutput *
finished_find_output (const Finished *finished, const char *file)
{
  for (guint i = 0; file && finished->outputs && i < finished->outputs->len; i++) {
    const DerushOutput *output = g_ptr_array_index (finished->outputs, i);

    if (g_strcmp0 (output->file, file) == 0)
      return output;
  }
  return NULL;
}

/* Where @file was published; empty if it was not. */
const char *
finished_path (const Finished *finished, const char *file)
{
  const DerushOutput *output = finished_find_output (finished, file);

  return output && output->path ? output->path : "";
}

static double
finite_or_zero (double number)
{
  return isfinite (number) ? number : 0;
}

void
set_seconds (JsonObject *object, const char *name, double seconds)
{
  json_object_set_double_member (object, name, round (finite_or_zero (seconds) * 1000) / 1000);
}

void
set_number (JsonObject *object, const char *name, double number)
{
  json_object_set_double_member (object, name, round (finite_or_zero (number) * 1e6) / 1e6);
}

void
set_whole (JsonObject *object, const char *name, double number)
{
  json_object_set_int_member (object, name,
                              fabs (finite_or_zero (number)) < 9e15 ? llround (finite_or_zero (number)) : 0);
}

/* The item as text; NULL if it is anything else, which json_array_get_string_element() must not be asked for. */
const char *
string_element (JsonArray *array, guint i)
{
  JsonNode *node = json_array_get_element (array, i);

  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node)
                                                                                          : NULL;
}

/* A copy that can be changed, and whose numbers JSON can write: infinity, which an exponent may bring, becomes null. */
JsonNode *
json_copy_finite (JsonNode *node)
{
  JsonNode *copy;

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *object = json_object_new ();

    copy_members (json_node_get_object (node), object);
    copy = json_node_init_object (json_node_alloc (), object);
    json_object_unref (object);
    return copy;
  }
  if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *from = json_node_get_array (node);
    g_autoptr (JsonArray) array = json_array_new ();

    for (guint i = 0; i < json_array_get_length (from); i++)
      json_array_add_element (array, json_copy_finite (json_array_get_element (from, i)));
    return json_node_init_array (json_node_alloc (), array);
  }
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_DOUBLE &&
      !isfinite (json_node_get_double (node)))
    return json_node_init_null (json_node_alloc ());
  copy = json_node_copy (node);
  json_node_set_parent (copy, NULL);
  return copy;
}

/* @from: (nullable): has no members then */
void
copy_member (JsonObject *from, const char *name, JsonObject *to, const char *to_name)
{
  JsonNode *node = from ? json_object_get_member (from, name) : NULL;

  if (node)
    json_object_set_member (to, to_name ? to_name : name, json_copy_finite (node));
}

void
copy_members (JsonObject *from, JsonObject *to)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, from);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    json_object_set_member (to, name, json_copy_finite (node));
}

/**
 * derush_plan_get_outputs:
 * @plan: a plan
 * @results: step name → that step's result
 *
 * Returns: (transfer full) (element-type DerushOutput): the files of @results that people get, in order, with file and
 *   role set; whoever publishes them sets the rest
 */
GPtrArray *
derush_plan_get_outputs (DerushPlan *plan, JsonObject *results)
{
  GPtrArray *outputs = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_output_free);
  const JobType *type = job_type_find (plan->job_type);

  if (type->outputs && results)
    type->outputs (plan, results, outputs);
  return outputs;
}

static void
set_text (JsonObject *object, const char *name, const char *text)
{
  if (text)
    json_object_set_string_member (object, name, text);
  else
    json_object_set_null_member (object, name);
}

static JsonArray *
describe_outputs (GPtrArray *outputs)
{
  JsonArray *array = json_array_new ();

  for (guint i = 0; outputs && i < outputs->len; i++) {
    const DerushOutput *output = g_ptr_array_index (outputs, i);
    JsonObject *object = json_object_new ();

    set_text (object, "role", output->role);
    set_text (object, "path", output->path);
    json_object_set_int_member (object, "size", output->size);
    set_text (object, "sha256", output->sha256);
    if (output->url)
      json_object_set_string_member (object, "url", output->url);
    json_array_add_object_element (array, object);
  }
  return array;
}

static void
add_warning (GPtrArray *all, const char *warning)
{
  if (warning && all->len < MAX_RETURN_WARNINGS && !g_ptr_array_find_with_equal_func (all, warning, g_str_equal, NULL))
    g_ptr_array_add (all, (gpointer)warning);
}

/* Those of the plan, of the runner and of every step, each once. */
static JsonArray *
collect_warnings (DerushPlan *plan, JsonObject *results, GPtrArray *warnings)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new ();
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < plan->warnings->len; i++)
    add_warning (all, g_ptr_array_index (plan->warnings, i));
  for (guint i = 0; warnings && i < warnings->len; i++)
    add_warning (all, g_ptr_array_index (warnings, i));
  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, i);
    JsonArray *said = derush_json_get_array (derush_json_get_object (results, step->name), "warnings");

    for (guint w = 0; said && w < json_array_get_length (said); w++)
      add_warning (all, string_element (said, w));
  }
  for (guint i = 0; i < all->len; i++)
    json_array_add_string_element (array, g_ptr_array_index (all, i));
  return array;
}

static JsonObject *
collect_versions (DerushPlan *plan, JsonObject *results)
{
  JsonObject *versions = json_object_new ();

  json_object_set_string_member (versions, "derush", PACKAGE_VERSION);
  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, i);
    JsonObject *said = derush_json_get_object (derush_json_get_object (results, step->name), "versions");

    if (said)
      copy_members (said, versions);
  }
  return versions;
}

/* Step → CPU seconds and pictures decoded, of the steps that a worker did. */
static JsonObject *
collect_cost (DerushPlan *plan, JsonObject *results)
{
  JsonObject *cost = json_object_new ();

  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, i);
    JsonObject *spent = derush_json_get_object (derush_json_get_object (results, step->name), "cost"), *item;

    if (!spent)
      continue;
    item = json_object_new ();
    set_seconds (item, "cpuTime", derush_json_get_number (spent, "cpuTime", 0));
    copy_member (spent, "decodedFrames", item, NULL);
    json_object_set_object_member (cost, step->name, item);
  }
  return cost;
}

/* The job's own, beside what the type has to say of how it came about. */
static void
add_metadata (DerushPlan *plan, JsonObject *value)
{
  JsonObject *ours = derush_json_get_object (value, "metadata"), *both;

  if (!plan->metadata)
    return;
  if (!ours) {
    json_object_set_member (value, "metadata", json_copy_finite (plan->metadata));
    return;
  }
  if (!JSON_NODE_HOLDS_OBJECT (plan->metadata))
    return;
  both = json_object_new ();
  copy_members (json_node_get_object (plan->metadata), both);
  copy_members (ours, both);
  json_object_set_object_member (value, "metadata", both);
}

/**
 * derush_plan_return_value:
 * @plan: a plan whose steps have all finished
 * @results: step name → that step's result
 * @outputs: (element-type DerushOutput): the published files
 * @warnings: (nullable) (element-type utf8): what the runner has to say; those of @plan and @results are added
 * @analysis_path: (nullable): where the analysis is stored
 * @processing_time: how long the job took, in milliseconds
 *
 * Returns: (transfer full): what the job returns: the members that all types share, and the type's own
 */
JsonObject *
derush_plan_return_value (DerushPlan *plan, JsonObject *results, GPtrArray *outputs, GPtrArray *warnings,
                          const char *analysis_path, gint64 processing_time)
{
  const Finished finished = {results, outputs, analysis_path};
  const JobType *type = job_type_find (plan->job_type);
  JsonObject *value = json_object_new ();

  json_object_set_boolean_member (value, "success", TRUE);
  json_object_set_string_member (value, "jobType", plan->job_type);
  set_text (value, "videoId", plan->video_id);
  if (plan->user_id)
    json_object_set_string_member (value, "userId", plan->user_id);
  if (plan->project_id)
    json_object_set_string_member (value, "projectId", plan->project_id);
  if (plan->workflow_id)
    json_object_set_string_member (value, "workflowId", plan->workflow_id);
  json_object_set_int_member (value, "processingTime", MAX (processing_time, 0));
  type->returns (plan, &finished, value);
  json_object_set_array_member (value, "outputs", describe_outputs (outputs));
  json_object_set_array_member (value, "warnings", collect_warnings (plan, results, warnings));
  json_object_set_object_member (value, "versions", collect_versions (plan, results));
  json_object_set_object_member (value, "cost", collect_cost (plan, results));
  add_metadata (plan, value);
  return value;
}
