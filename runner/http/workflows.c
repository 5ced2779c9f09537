/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Workflows: to run one, to see how far it is, to stop it. */

#include "http-private.h"
#include "jobs/jobs.h"
#include "workflow/workflow.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define JOB_TYPE "WORKFLOW_EXECUTION"
#define STATE "workflowState"
#define MAX_LISTED 200

/* What the backend answers, word for word: its programs compare it. */
#define INVALID "Définition de workflow invalide"

/* ── POST /api/workflows/execute ────────────────────────────────────────── */

typedef struct {
  HttpRequest *request;
  char *execution, *queue;
} Start;

static void
on_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Start *start = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *id = derush_bullmq_queue_add_finish (NULL, result, &error);

  if (id) {
    JsonObject *said = json_object_new ();

    json_object_set_string_member (said, "executionId", start->execution);
    json_object_set_string_member (said, "jobId", id);
    json_object_set_string_member (said, "queue", start->queue);
    http_request_answer_object (start->request, SOUP_STATUS_OK, said);
  } else {
    http_request_fail (start->request, error);
  }
  http_request_unref (start->request);
  g_free (start->execution);
  g_free (start->queue);
  g_free (start);
}

static void
refuse_definition (HttpRequest *request, const char *why)
{
  g_autoptr (JsonObject) said = json_object_new ();
  g_autofree char *json = NULL;

  json_object_set_boolean_member (said, "success", FALSE);
  json_object_set_string_member (said, "error", INVALID);
  json_object_set_string_member (said, "details", why);
  json = derush_json_object_to_string (said);
  http_request_answer_text (request, SOUP_STATUS_BAD_REQUEST, "application/json", json, -1);
}

static const char *
choose_queue (DerushHttpServer *server)
{
  const char *own = derush_job_type_get_queue (JOB_TYPE);

  for (guint i = 0; server->queues[i]; i++)
    if (g_strcmp0 (server->queues[i], own) == 0)
      return server->queues[i];
  return server->queues[0];
}

/* Everything that can be wrong with it is said now, not by a job that fails later. */
static gboolean
check (JsonObject *data, const char *execution, GError **error)
{
  g_autoptr (DerushPlan) plan = derush_plan_new (JOB_TYPE, data, DERUSH_PLAN_NONE, error);
  g_autoptr (DerushWorkflowRun) run =
      plan ? derush_workflow_run_new_for_job (plan, execution, derush_time_now_ms (), error) : NULL;

  return run != NULL;
}

void
http_workflows_execute (HttpRequest *request)
{
  DerushHttpServer *server = request->server;
  g_autoptr (JsonObject) body = http_request_get_object (request), options = json_object_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *execution = NULL, *text = NULL;
  Start *start;

  if (!body)
    return;
  execution = g_strdup (derush_json_get_string (body, "executionId", NULL));
  if (!execution)
    execution = g_uuid_string_random ();
  json_object_set_string_member (body, "executionId", execution);
  json_object_remove_member (body, STATE);
  if (!http_is_id (execution)) {
    http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("“%s” cannot be the id of a job"), execution);
    return;
  }
  if (!json_object_has_member (body, "workflowDefinition") && !json_object_has_member (body, "templateId") &&
      !json_object_has_member (body, "workflowName")) {
    refuse_definition (request, _ ("“workflowDefinition” is missing, or “templateId”"));
    return;
  }
  if (!check (body, execution, &error)) {
    refuse_definition (request, error->message);
    return;
  }
  if (!http_request_needs_redis (request))
    return;
  start = g_new0 (Start, 1);
  start->request = http_request_ref (request);
  start->queue = g_strdup (choose_queue (server));
  json_object_set_string_member (options, "jobId", execution);
  start->execution = g_steal_pointer (&execution);
  text = derush_json_object_to_string (body);
  derush_bullmq_queue_add_async (http_server_get_queue (server, start->queue), JOB_TYPE, text, options, NULL,
                                 on_started, start);
}

/* ── Describing one ─────────────────────────────────────────────────────── */

static JsonArray *
describe_steps (JsonObject *job)
{
  JsonObject *state = derush_json_get_object (derush_json_get_object (job, "data"), STATE),
             *steps = derush_json_get_object (state, "steps");
  JsonArray *ended = derush_json_get_array (derush_json_get_object (job, "returnvalue"), "steps"), *array;
  JsonObjectIter iter;
  const char *id;
  JsonNode *node;

  if (ended)
    return json_array_ref (ended);
  array = json_array_new ();
  if (!steps)
    return array;
  json_object_iter_init_ordered (&iter, steps);
  while (json_object_iter_next_ordered (&iter, &id, &node)) {
    static const char *const copied[] = {"status", "queue", "jobId", "attempts", "processingTime", "error"};
    JsonObject *step = json_object_new (), *from = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

    json_object_set_string_member (step, "id", id);
    for (guint i = 0; from && i < G_N_ELEMENTS (copied); i++)
      if (json_object_has_member (from, copied[i]))
        json_object_set_member (step, copied[i], json_node_copy (json_object_get_member (from, copied[i])));
    json_array_add_object_element (array, step);
  }
  return array;
}

static const char *
name_of (JsonObject *data)
{
  const char *name = derush_json_get_string (data, "templateId", derush_json_get_string (data, "workflowName", NULL));

  return name ? name : derush_json_get_string (derush_json_get_object (data, "workflowDefinition"), "id", "");
}

static JsonObject *
describe (const char *queue, JsonObject *job)
{
  static const char *const copied[] = {"progress",  "failedReason", "returnvalue",
                                       "timestamp", "processedOn",  "finishedOn"};
  JsonObject *said = json_object_new (), *data = derush_json_get_object (job, "data"),
             *state = derush_json_get_object (data, STATE);
  const char *id = derush_json_get_string (job, "id", ""), *status = http_status_of_job (job);

  json_object_set_string_member (
      said, "executionId",
      derush_json_get_string (state, "executionId", derush_json_get_string (data, "executionId", id)));
  json_object_set_string_member (said, "workflow", derush_json_get_string (state, "workflow", name_of (data)));
  json_object_set_string_member (said, "queue", queue);
  json_object_set_string_member (said, "jobId", id);
  json_object_set_string_member (said, "state", derush_json_get_string (job, "state", "unknown"));
  /* WorkflowExecutionStatus has no more than these five. */
  json_object_set_string_member (said, "status",
                                 strcmp (status, "PROCESSING") == 0                                  ? "RUNNING"
                                 : strcmp (status, "QUEUED") == 0 || strcmp (status, "DELAYED") == 0 ? "PENDING"
                                                                                                     : status);
  for (guint i = 0; i < G_N_ELEMENTS (copied); i++)
    if (json_object_has_member (job, copied[i]))
      json_object_set_member (said, copied[i], json_node_copy (json_object_get_member (job, copied[i])));
  json_object_set_array_member (said, "steps", describe_steps (job));
  return said;
}

/* ── Those that have not ended ──────────────────────────────────────────── */

typedef struct {
  HttpRequest *request;
  GPtrArray *places; /* of JsonObject: {queue, id} */
  guint next;
  JsonArray *executions;
  gboolean count_only;
} List;

static void
list_answer (List *list)
{
  if (list->count_only) {
    g_autoptr (JsonObject) all = list->request->server->backend->get_statistics (list->request->server->daemon);
    JsonObject *own = derush_json_get_object (derush_json_get_object (all, "byType"), JOB_TYPE),
               *said = own ? json_object_ref (own) : json_object_new ();

    json_object_set_int_member (said, "active", json_array_get_length (list->executions));
    http_request_answer_object (list->request, SOUP_STATUS_OK, said);
  } else {
    JsonNode *node = json_node_new (JSON_NODE_ARRAY);

    json_node_set_array (node, list->executions);
    http_request_answer (list->request, SOUP_STATUS_OK, node);
  }
}

static void
list_free (List *list)
{
  http_request_unref (list->request);
  g_ptr_array_unref (list->places);
  json_array_unref (list->executions);
  g_free (list);
}

static void list_next (List *list);

static void
on_listed (HttpRequest *request, const char *queue, JsonObject *job, const GError *error, gpointer user_data)
{
  List *list = user_data;
  const char *state = job ? derush_json_get_string (job, "state", "") : "";

  if (error || !request->server) {
    if (error)
      http_request_fail (request, error);
    list_free (list);
    return;
  }
  /* One whose daemon died as it ended is still among the names. */
  if (job && strcmp (state, "completed") != 0 && strcmp (state, "failed") != 0)
    json_array_add_object_element (list->executions, describe (queue, job));
  list_next (list);
}

static void
list_next (List *list)
{
  while (list->next < list->places->len && list->next < MAX_LISTED) {
    JsonObject *place = list->places->pdata[list->next++];
    const char *queue = derush_json_get_string (place, "queue", NULL), *id = derush_json_get_string (place, "id", NULL);

    if (!queue || !id || !http_server_get_queue (list->request->server, queue) || !http_is_id (id))
      continue;
    http_find_job (list->request, queue, id, on_listed, list);
    return;
  }
  list_answer (list);
  list_free (list);
}

static void
on_names (GObject *source, GAsyncResult *result, gpointer user_data)
{
  List *list = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) names = derush_bullmq_control_list_finish (NULL, result, &error);
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (!names || !list->request->server) {
    if (error)
      http_request_fail (list->request, error);
    list_free (list);
    return;
  }
  json_object_iter_init_ordered (&iter, names);
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    const char *text = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
    JsonObject *place = text ? derush_json_parse_object (text, -1, NULL) : NULL;

    if (place)
      g_ptr_array_add (list->places, place);
  }
  list_next (list);
}

static void
begin_list (HttpRequest *request, gboolean count_only)
{
  List *list;

  if (!http_request_needs_redis (request))
    return;
  list = g_new0 (List, 1);
  list->request = http_request_ref (request);
  list->places = g_ptr_array_new_with_free_func ((GDestroyNotify)json_object_unref);
  list->executions = json_array_new ();
  list->count_only = count_only;
  derush_bullmq_control_list_async (request->server->control, on_names, list);
}

void
http_workflows_list (HttpRequest *request)
{
  begin_list (request, FALSE);
}

void
http_workflows_get_statistics (HttpRequest *request)
{
  begin_list (request, TRUE);
}

/* ── One of them ────────────────────────────────────────────────────────── */

typedef struct {
  HttpRequest *request;
  HttpJobFunc func;
} Wanted;

static void
on_own_name (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Wanted *wanted = user_data;
  g_autoptr (HttpRequest) request = wanted->request;
  HttpJobFunc func = wanted->func;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) names = derush_bullmq_control_list_finish (NULL, result, &error), place = NULL;
  const char *text, *id = request->arguments[0], *queue = NULL;

  g_free (wanted);
  if (!request->server)
    return;
  if (error) {
    http_request_fail (request, error);
    return;
  }
  /* Its job may be called otherwise, if a producer added it. */
  text = derush_json_get_string (names, id, NULL);
  place = text ? derush_json_parse_object (text, -1, NULL) : NULL;
  if (place && http_server_get_queue (request->server, derush_json_get_string (place, "queue", ""))) {
    queue = derush_json_get_string (place, "queue", NULL);
    id = derush_json_get_string (place, "id", id);
  }
  http_find_job (request, queue, id, func, NULL);
}

static void
find (HttpRequest *request, HttpJobFunc func)
{
  Wanted *wanted;

  if (!http_request_needs_redis (request))
    return;
  wanted = g_new0 (Wanted, 1);
  wanted->request = http_request_ref (request);
  wanted->func = func;
  derush_bullmq_control_list_async (request->server->control, on_own_name, wanted);
}

static gboolean
is_workflow (HttpRequest *request, JsonObject *job, const GError *error)
{
  g_autofree char *type =
      job ? derush_job_type_from_name (derush_json_get_string (job, "name", NULL), derush_json_get_object (job, "data"))
          : NULL;

  if (g_strcmp0 (type, JOB_TYPE) == 0)
    return TRUE;
  if (error)
    http_request_fail (request, error);
  else
    http_request_refuse (request, SOUP_STATUS_NOT_FOUND, _ ("There is no execution %s of a workflow"),
                         request->arguments[0]);
  return FALSE;
}

static void
on_found_to_show (HttpRequest *request, const char *queue, JsonObject *job, const GError *error, gpointer user_data)
{
  if (is_workflow (request, job, error))
    http_request_answer_object (request, SOUP_STATUS_OK, describe (queue, job));
}

void
http_workflows_get (HttpRequest *request)
{
  find (request, on_found_to_show);
}

static void
on_cancelled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HttpRequest) request = user_data;
  g_autoptr (GError) error = NULL;

  if (derush_bullmq_control_cancel_finish (NULL, result, &error)) {
    JsonObject *said = json_object_new ();

    json_object_set_string_member (said, "executionId", request->arguments[0]);
    json_object_set_string_member (said, "state", "cancelling");
    http_request_answer_object (request, SOUP_STATUS_OK, said);
  } else if (error) {
    http_request_fail (request, error);
  } else {
    http_request_refuse (request, SOUP_STATUS_SERVICE_UNAVAILABLE, _ ("Redis does not answer"));
  }
}

static void
on_found_to_cancel (HttpRequest *request, const char *queue, JsonObject *job, const GError *error, gpointer user_data)
{
  const char *state;

  if (!is_workflow (request, job, error))
    return;
  state = derush_json_get_string (job, "state", "");
  if (strcmp (state, "completed") == 0 || strcmp (state, "failed") == 0) {
    http_request_refuse (request, SOUP_STATUS_CONFLICT, _ ("Job %s has ended already: %s"),
                         derush_json_get_string (job, "id", ""), state);
    return;
  }
  derush_bullmq_control_cancel_async (request->server->control, queue, derush_json_get_string (job, "id", ""),
                                      on_cancelled, http_request_ref (request));
}

void
http_workflows_cancel (HttpRequest *request)
{
  find (request, on_found_to_cancel);
}

/* ── Templates ──────────────────────────────────────────────────────────── */

void
http_workflows_get_templates (HttpRequest *request)
{
  g_autoptr (GPtrArray) workflows = derush_workflow_list (NULL);
  JsonNode *node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < workflows->len; i++) {
    DerushWorkflow *workflow = workflows->pdata[i];
    g_autofree char *text = derush_json_object_to_string (workflow->definition);
    JsonObject *said = derush_json_parse_object (text, -1, NULL);

    if (!said)
      continue;
    json_object_set_double_member (said, "estimatedTotalDuration", derush_workflow_get_estimated_duration (workflow));
    json_array_add_object_element (array, said);
  }
  json_node_take_array (node, array);
  http_request_answer (request, SOUP_STATUS_OK, node);
}
