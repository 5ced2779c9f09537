/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Jobs: to add one, to look at it, to stop it, to try it again. */

#include "http-private.h"
#include "jobs/jobs.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_ID 255
#define MAX_LOG_ROWS 1000
#define LOG_ROWS 100

/* ── Finding one ────────────────────────────────────────────────────────── */

/* Whether a job can be called so: other keys of a queue must not be taken for jobs. */
gboolean
http_is_id (const char *text)
{
  static const char *const keys[] = {"active",           "completed", "delayed",       "events", "failed", "id",
                                     "limiter",          "marker",    "meta",          "paused", "pc",     "repeat",
                                     "prioritized",      "stalled",   "stalled-check", "wait",   "de",     "metrics",
                                     "waiting-children", NULL};
  gsize length = strlen (text);

  if (length == 0 || length > MAX_ID || g_strv_contains (keys, text) ||
      (strchr (text, ':') && !g_str_has_prefix (text, "repeat:")))
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (g_ascii_iscntrl (text[i]))
      return FALSE;
  return TRUE;
}

typedef struct {
  HttpRequest *request;
  char *id;
  guint queue; /* that is asked now */
  gboolean only_this;
  HttpJobFunc func;
  gpointer user_data;
} Search;

static void ask (Search *search);

static void
search_end (Search *search, JsonObject *job, const GError *error)
{
  const char *queue = job ? search->request->server->queues[search->queue] : NULL;

  search->func (search->request, queue, job, error, search->user_data);
  http_request_unref (search->request);
  g_free (search->id);
  g_free (search);
}

static void
on_job (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Search *search = user_data;
  DerushHttpServer *server = search->request->server;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) job = derush_bullmq_queue_get_job_finish (NULL, result, &error);

  if (job && !json_object_has_member (job, "name"))
    g_clear_pointer (&job, json_object_unref);
  if (!server || job || error || search->only_this || !server->queues[search->queue + 1]) {
    search_end (search, server ? job : NULL, error);
    return;
  }
  search->queue++;
  ask (search);
}

static void
ask (Search *search)
{
  DerushHttpServer *server = search->request->server;

  derush_bullmq_queue_get_job_async (http_server_get_queue (server, server->queues[search->queue]), search->id, NULL,
                                     on_job, search);
}

void
http_find_job (HttpRequest *request, const char *queue, const char *id, HttpJobFunc func, gpointer user_data)
{
  Search *search;
  guint i = 0;

  if (queue)
    while (request->server->queues[i] && strcmp (request->server->queues[i], queue) != 0)
      i++;
  if (!http_is_id (id) || !request->server->queues[i]) {
    func (request, NULL, NULL, NULL, user_data);
    return;
  }
  search = g_new0 (Search, 1);
  search->request = http_request_ref (request);
  search->id = g_strdup (id);
  search->queue = i;
  search->only_this = queue != NULL;
  search->func = func;
  search->user_data = user_data;
  ask (search);
}

/* The reason is for people, in their language; the stack has the class of the error. */
static gboolean
was_cancelled (JsonObject *job)
{
  JsonArray *stack = derush_json_get_array (job, "stacktrace");
  guint n = stack ? json_array_get_length (stack) : 0;
  JsonNode *last = n > 0 ? json_array_get_element (stack, n - 1) : NULL;
  const char *text = last && JSON_NODE_HOLDS_VALUE (last) ? json_node_get_string (last) : NULL;

  return text && strstr (text, "\n    class: cancelled");
}

/* What the backend calls the state. */
const char *
http_status_of_job (JsonObject *job)
{
  const char *state = derush_json_get_string (job, "state", "");

  if (strcmp (state, "completed") == 0)
    return "COMPLETED";
  if (strcmp (state, "failed") == 0)
    return was_cancelled (job) ? "CANCELLED" : "FAILED";
  if (strcmp (state, "active") == 0 || strcmp (state, "waiting-children") == 0)
    return "PROCESSING";
  if (strcmp (state, "delayed") == 0)
    return "DELAYED";
  if (strcmp (state, "waiting") == 0 || strcmp (state, "prioritized") == 0 || strcmp (state, "paused") == 0)
    return "QUEUED";
  return "PENDING";
}

static gboolean
is_over (JsonObject *job)
{
  const char *state = derush_json_get_string (job, "state", "");

  return strcmp (state, "completed") == 0 || strcmp (state, "failed") == 0;
}

/* FALSE: it was answered. */
static gboolean
is_found (HttpRequest *request, JsonObject *job, const GError *error)
{
  if (job)
    return TRUE;
  if (error)
    http_request_fail (request, error);
  else
    http_request_refuse (request, SOUP_STATUS_NOT_FOUND, _ ("There is no job %s"), request->arguments[0]);
  return FALSE;
}

/* ── GET /api/jobs/:id ──────────────────────────────────────────────────── */

static void
on_found_to_show (HttpRequest *request, const char *queue, JsonObject *job, const GError *error, gpointer user_data)
{
  g_autofree char *type = NULL;

  if (!is_found (request, job, error))
    return;
  type = derush_job_type_from_name (derush_json_get_string (job, "name", NULL), derush_json_get_object (job, "data"));
  json_object_set_string_member (job, "queue", queue);
  json_object_set_string_member (job, "type", type ? type : derush_json_get_string (job, "name", ""));
  json_object_set_string_member (job, "status", http_status_of_job (job));
  http_request_answer_object (request, SOUP_STATUS_OK, json_object_ref (job));
}

void
http_jobs_get (HttpRequest *request)
{
  if (http_request_needs_redis (request))
    http_find_job (request, http_request_get_query (request, "queue"), request->arguments[0], on_found_to_show, NULL);
}

/* ── POST /api/jobs ─────────────────────────────────────────────────────── */

typedef struct {
  HttpRequest *request;
  JsonObject *said; /* what is answered, but the id */
} Addition;

static void
on_added (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Addition *addition = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *id = derush_bullmq_queue_add_finish (NULL, result, &error);

  if (id) {
    json_object_set_string_member (addition->said, "id", id);
    http_request_answer_object (addition->request, SOUP_STATUS_OK, json_object_ref (addition->said));
  } else {
    http_request_fail (addition->request, error);
  }
  json_object_unref (addition->said);
  http_request_unref (addition->request);
  g_free (addition);
}

/* Where jobs of @type go: what the request says, where they belong, or the queue that is served at all. */
static const char *
choose_queue (DerushHttpServer *server, const char *wanted, const char *type)
{
  const char *own = wanted ? wanted : derush_job_type_get_queue (type);

  for (guint i = 0; own && server->queues[i]; i++)
    if (strcmp (server->queues[i], own) == 0)
      return server->queues[i];
  return wanted ? NULL : server->queues[0];
}

static JsonArray *
describe_warnings (DerushPlan *plan)
{
  JsonArray *warnings = json_array_new ();

  for (guint i = 0; i < plan->warnings->len; i++)
    json_array_add_string_element (warnings, plan->warnings->pdata[i]);
  return warnings;
}

static gboolean
has_object_or_nothing (HttpRequest *request, JsonObject *body, const char *name)
{
  JsonNode *node = json_object_get_member (body, name);

  if (!node || JSON_NODE_HOLDS_NULL (node) || JSON_NODE_HOLDS_OBJECT (node))
    return TRUE;
  http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("“%s” must be an object"), name);
  return FALSE;
}

void
http_jobs_add (HttpRequest *request)
{
  DerushHttpServer *server = request->server;
  DerushPlanFlags flags =
      derush_config_get_boolean (server->config, "DERUSH_STRICT_DATA") ? DERUSH_PLAN_STRICT : DERUSH_PLAN_NONE;
  g_autoptr (JsonObject) body = http_request_get_object (request), data = NULL;
  g_autoptr (DerushPlan) plan = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL, *id = NULL;
  const char *name, *queue, *job_id;
  JsonObject *given, *options;
  Addition *addition;

  if (!body || !has_object_or_nothing (request, body, "data") || !has_object_or_nothing (request, body, "options"))
    return;
  name = derush_json_get_string (body, "type", NULL);
  given = derush_json_get_object (body, "data");
  options = derush_json_get_object (body, "options");
  data = given ? json_object_ref (given) : json_object_new ();
  if (!name) {
    http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("“type” is missing: the type of the job"));
    return;
  }
  job_id = derush_json_get_string (options, "jobId", NULL);
  if (job_id && !http_is_id (job_id)) {
    http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("“%s” cannot be the id of a job"), job_id);
    return;
  }
  plan = derush_plan_new (name, data, flags, &error);
  if (!plan) {
    http_request_fail (request, error);
    return;
  }
  queue = choose_queue (server, derush_json_get_string (body, "queue", NULL), plan->job_type);
  if (!queue) {
    http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("This daemon does not serve the queue “%s”"),
                         derush_json_get_string (body, "queue", ""));
    return;
  }
  if (!http_request_needs_redis (request))
    return;
  addition = g_new0 (Addition, 1);
  addition->request = http_request_ref (request);
  addition->said = json_object_new ();
  json_object_set_string_member (addition->said, "queue", queue);
  json_object_set_string_member (addition->said, "type", plan->job_type);
  json_object_set_string_member (addition->said, "status", "QUEUED");
  json_object_set_array_member (addition->said, "warnings", describe_warnings (plan));
  text = derush_json_object_to_string (data);
  derush_bullmq_queue_add_async (http_server_get_queue (server, queue), name, text, options, NULL, on_added, addition);
}

/* ── Stopping, trying again ─────────────────────────────────────────────── */

typedef struct {
  HttpRequest *request;
  char *queue, *id;
} Order;

static Order *
order_new (HttpRequest *request, const char *queue, const char *id)
{
  Order *order = g_new0 (Order, 1);

  order->request = http_request_ref (request);
  order->queue = g_strdup (queue);
  order->id = g_strdup (id);
  return order;
}

static void
order_answer (Order *order, const char *state)
{
  JsonObject *said = json_object_new ();

  json_object_set_string_member (said, "id", order->id);
  json_object_set_string_member (said, "queue", order->queue);
  json_object_set_string_member (said, "state", state);
  http_request_answer_object (order->request, SOUP_STATUS_OK, said);
}

static void
order_free (Order *order)
{
  http_request_unref (order->request);
  g_free (order->queue);
  g_free (order->id);
  g_free (order);
}

static void
on_cancelled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Order *order = user_data;
  g_autoptr (GError) error = NULL;

  if (derush_bullmq_control_cancel_finish (NULL, result, &error))
    order_answer (order, "cancelling");
  else if (error)
    http_request_fail (order->request, error);
  else
    http_request_refuse (order->request, SOUP_STATUS_SERVICE_UNAVAILABLE, _ ("Redis does not answer"));
  order_free (order);
}

static void
on_found_to_cancel (HttpRequest *request, const char *queue, JsonObject *job, const GError *error, gpointer user_data)
{
  const char *id = job ? derush_json_get_string (job, "id", "") : "";

  if (!is_found (request, job, error))
    return;
  if (is_over (job)) {
    http_request_refuse (request, SOUP_STATUS_CONFLICT, _ ("Job %s has ended already: %s"), id,
                         derush_json_get_string (job, "state", ""));
    return;
  }
  derush_bullmq_control_cancel_async (request->server->control, queue, id, on_cancelled,
                                      order_new (request, queue, id));
}

void
http_jobs_cancel (HttpRequest *request)
{
  if (http_request_needs_redis (request))
    http_find_job (request, http_request_get_query (request, "queue"), request->arguments[0], on_found_to_cancel, NULL);
}

static void
on_retried (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Order *order = user_data;
  g_autoptr (GError) error = NULL;

  if (derush_bullmq_queue_retry_finish (NULL, result, &error))
    order_answer (order, "waiting");
  else if (error)
    http_request_fail (order->request, error);
  else
    http_request_refuse (order->request, SOUP_STATUS_CONFLICT, _ ("Job %s waits or runs already"), order->id);
  order_free (order);
}

static void
on_promoted (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Order *order = user_data;
  g_autoptr (GError) error = NULL;

  if (derush_bullmq_queue_promote_finish (NULL, result, &error))
    order_answer (order, "waiting");
  else if (error)
    http_request_fail (order->request, error);
  else
    http_request_refuse (order->request, SOUP_STATUS_CONFLICT, _ ("Job %s waits or runs already"), order->id);
  order_free (order);
}

static void
on_found_to_retry (HttpRequest *request, const char *queue, JsonObject *job, const GError *error, gpointer user_data)
{
  const char *id = job ? derush_json_get_string (job, "id", "") : "";

  if (!is_found (request, job, error))
    return;
  if (strcmp (derush_json_get_string (job, "state", ""), "delayed") == 0) {
    derush_bullmq_queue_promote_async (http_server_get_queue (request->server, queue), id, NULL, on_promoted,
                                       order_new (request, queue, id));
    return;
  }
  if (!is_over (job)) {
    http_request_refuse (request, SOUP_STATUS_CONFLICT, _ ("Job %s waits or runs already"), id);
    return;
  }
  /* Who tries it again does not want it cancelled any more. */
  derush_bullmq_control_forget_cancel (request->server->control, queue, id);
  derush_bullmq_queue_retry_async (http_server_get_queue (request->server, queue), id,
                                   derush_json_get_string (job, "state", ""), NULL, on_retried,
                                   order_new (request, queue, id));
}

void
http_jobs_retry (HttpRequest *request)
{
  if (http_request_needs_redis (request))
    http_find_job (request, http_request_get_query (request, "queue"), request->arguments[0], on_found_to_retry, NULL);
}

/* ── GET /api/jobs/:id/logs ─────────────────────────────────────────────── */

static gboolean
read_number (HttpRequest *request, const char *name, guint64 min, guint64 max, guint *number)
{
  const char *text = http_request_get_query (request, name);
  guint64 value;

  if (!text)
    return TRUE;
  if (!g_ascii_string_to_unsigned (text, 10, min, max, &value, NULL)) {
    http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("“%s” must be a whole number from %u to %u"), name,
                         (guint)min, (guint)max);
    return FALSE;
  }
  *number = value;
  return TRUE;
}

static void
on_logs (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HttpRequest) request = user_data;
  g_autoptr (GError) error = NULL;
  JsonObject *logs = derush_bullmq_queue_get_logs_finish (NULL, result, &error);

  if (logs)
    http_request_answer_object (request, SOUP_STATUS_OK, logs);
  else
    http_request_fail (request, error);
}

static void
on_found_to_read (HttpRequest *request, const char *queue, JsonObject *job, const GError *error, gpointer user_data)
{
  guint start = 0, limit = LOG_ROWS;

  if (!is_found (request, job, error) || !read_number (request, "start", 0, G_MAXINT32, &start) ||
      !read_number (request, "limit", 1, MAX_LOG_ROWS, &limit))
    return;
  derush_bullmq_queue_get_logs_async (http_server_get_queue (request->server, queue),
                                      derush_json_get_string (job, "id", ""), start, limit, NULL, on_logs,
                                      http_request_ref (request));
}

void
http_jobs_get_logs (HttpRequest *request)
{
  if (http_request_needs_redis (request))
    http_find_job (request, http_request_get_query (request, "queue"), request->arguments[0], on_found_to_read, NULL);
}
