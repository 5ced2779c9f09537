/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* WORKFLOW_EXECUTION: which workflow, on what. The workflow itself is for the room workflow/ to read. */

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* What a step's job is called begins with it. */
#define MAX_EXECUTION_ID 128

static const Field fields[] = {
    {"templateId", FIELD_TEXT, .max = 64},
    {"workflowName", FIELD_TEXT, .max = 64},
    {"name", FIELD_TEXT, .max = 512},
    {"workflowDefinition", FIELD_ANY},
    {"executionId", FIELD_ID, .max = MAX_EXECUTION_ID},
    {"workflowId", FIELD_ID, .max = 512},
    {"input", FIELD_ANY},
    {"workflowState", FIELD_ANY},
    {NULL},
};

static gboolean
holds_nothing (JsonNode *node)
{
  return !node || JSON_NODE_HOLDS_NULL (node);
}

static JsonObject *
read_object (Checker *checker, JsonObject *data, const char *name)
{
  JsonNode *node = json_object_get_member (data, name);
  g_autofree char *pointer = g_strconcat ("/", name, NULL), *value = NULL;

  if (holds_nothing (node))
    return NULL;
  if (JSON_NODE_HOLDS_OBJECT (node))
    return json_node_get_object (node);
  value = json_node_quote (node);
  checker_fault (checker, pointer, _ ("is %s, must be an object"), value);
  return NULL;
}

/* Only what is installed: a path would let a job read files that are none of its business. */
static const char *
read_template (Checker *checker, JsonObject *values)
{
  static const char *const members[] = {"templateId", "workflowName", "name", "workflowId"};
  g_autofree char *pointer = NULL, *quoted = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (members); i++) {
    const char *text = derush_json_get_string (values, members[i], NULL);

    if (!text)
      continue;
    if (!strchr (text, '/') && !g_str_has_suffix (text, ".json"))
      return text;
    pointer = g_strconcat ("/", members[i], NULL);
    quoted = text_quote (text);
    checker_fault (checker, pointer, _ ("is %s, must be the id of an installed workflow, not a file"), quoted);
    return NULL;
  }
  if (checker->faults->len == 0)
    checker_fault (checker, "/templateId",
                   _ ("is missing: name an installed workflow, or give one as workflowDefinition"));
  return NULL;
}

/* `input` over what the data has beside it, so that a backend may leave out the object. */
static JsonObject *
read_input (JsonObject *data, JsonObject *given)
{
  JsonObject *input = json_object_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, data);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    if (!field_find (fields, name) && strcmp (name, "type") != 0 && strcmp (name, "jobType") != 0)
      json_object_set_member (input, name, json_copy_finite (node));
  if (given)
    copy_members (given, input);
  return input;
}

static char *
text_of (JsonObject *input, const char *const *names)
{
  for (guint i = 0; names[i]; i++) {
    JsonNode *node = json_object_get_member (input, names[i]);

    if (holds_nothing (node) || !JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) == G_TYPE_BOOLEAN)
      continue;
    if (json_node_get_value_type (node) == G_TYPE_STRING)
      return g_strdup (json_node_get_string (node));
    return derush_json_node_to_string (node);
  }
  return NULL;
}

/* The rows of the whole have the same ids as those of its steps. */
static void
take_ids (DerushPlan *plan, JsonObject *input)
{
  if (!plan->video_id)
    plan->video_id = text_of (input, (const char *const[]){"videoId", "mediaId", "id", NULL});
  if (!plan->user_id)
    plan->user_id = text_of (input, (const char *const[]){"userId", NULL});
  if (!plan->project_id)
    plan->project_id = text_of (input, (const char *const[]){"projectId", NULL});
}

static void
plan_workflow (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  JsonObject *given = read_object (checker, plan->data, "input"), *parameters,
             *definition = read_object (checker, plan->data, "workflowDefinition");
  const char *template = NULL, *execution = derush_json_get_string (values, "executionId", NULL);

  if (!definition)
    template = read_template (checker, values);
  if (checker->faults->len > 0)
    return;
  parameters = plan_add_step (plan, "workflow", DERUSH_STEP_DAEMON, 1);
  if (definition)
    json_object_set_member (parameters, "definition",
                            json_copy_finite (json_object_get_member (plan->data, "workflowDefinition")));
  else
    json_object_set_string_member (parameters, "templateId", template);
  json_object_set_object_member (parameters, "input", read_input (plan->data, given));
  take_ids (plan, derush_json_get_object (parameters, "input"));
  g_free (plan->workflow_id);
  plan->workflow_id = g_strdup (execution);
}

/* What it returns is made by those who run its steps. */
static void
workflow_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
}

const JobType workflow_execution = {
    .name = "WORKFLOW_EXECUTION",
    .queue = "video-processing",
    .aliases = "EXECUTE_WORKFLOW",
    .fields = fields,
    .labels = TRUE,
    .own_ids = TRUE,
    .plan = plan_workflow,
    .returns = workflow_returns,
};
