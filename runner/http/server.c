/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The server: who may ask, how much and how slowly; then to whoever answers. */

#include "http-private.h"

#include <string.h>
#include <sys/resource.h>
#include <glib/gi18n-lib.h>

#define MAX_CONNECTIONS 2000
#define BACKLOG 1024
#define MAX_FILES 4096
#define IDLE_SHARE 3 /* how much longer a connection may be idle than a request may take */
#define MAX_HEADERS (16 * 1024)
#define MAX_DISCARDED (64 * 1024 * 1024) /* of a body that was refused */
#define STATE "derush-http-state"

/* ── One request ────────────────────────────────────────────────────────── */

/* From the first byte of a request to the last one of its answer. */
typedef struct {
  DerushHttpServer *server;
  SoupServerMessage *message;
  guint timer;
  gsize received;
  gint64 came; /* when the request was whole, or was refused before, in µs */
  gboolean refused;
  const HttpRoute *route;
  HttpRequest *request;
} Exchange;

HttpRequest *
http_request_ref (HttpRequest *request)
{
  g_ref_count_inc (&request->references);
  return request;
}

void
http_request_unref (HttpRequest *request)
{
  if (!g_ref_count_dec (&request->references))
    return;
  g_clear_object (&request->message);
  g_clear_pointer (&request->query, g_hash_table_unref);
  g_strfreev (request->arguments);
  g_free (request);
}

const char *
http_request_get_query (HttpRequest *request, const char *name)
{
  const char *value = request->query ? g_hash_table_lookup (request->query, name) : NULL;

  return value && *value ? value : NULL;
}

/* The body; none is an empty object. NULL: it is something else, and the request was answered so. */
JsonObject *
http_request_get_object (HttpRequest *request)
{
  g_autoptr (GBytes) body = soup_message_body_flatten (soup_server_message_get_request_body (request->message));
  g_autoptr (GError) error = NULL;
  const char *type =
      soup_message_headers_get_content_type (soup_server_message_get_request_headers (request->message), NULL);
  JsonObject *object;
  gsize length;
  const char *text = g_bytes_get_data (body, &length);

  if (length == 0)
    return json_object_new ();
  /* Browsers send other types from any site without asking first. */
  if (g_strcmp0 (type, "application/json") != 0) {
    http_request_refuse (request, SOUP_STATUS_UNSUPPORTED_MEDIA_TYPE,
                         _ ("The body must be JSON, and Content-Type application/json"));
    return NULL;
  }
  object = derush_json_parse_object (text, length, &error);
  if (!object)
    http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("The body is no JSON object: %s"), error->message);
  return object;
}

static Exchange *
exchange_of (SoupServerMessage *message)
{
  return g_object_get_data (G_OBJECT (message), STATE);
}

/* Methods come from whoever asks: there may be any number of them. */
static const char *
known_method (const char *method)
{
  static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", NULL};

  return g_strv_contains (methods, method) ? method : "other";
}

static DerushMetric *
request_duration (void)
{
  static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

  return derush_metrics_histogram ("http_request_duration_seconds",
                                   "How long HTTP requests took, from the last byte of the request to the answer.",
                                   bounds, G_N_ELEMENTS (bounds), "method", "route", "status", NULL);
}

static void
count_request (SoupServerMessage *message, const HttpRoute *route, guint status)
{
  g_autofree char *code = g_strdup_printf ("%u", status), *class = g_strdup_printf ("%uxx", status / 100);
  Exchange *exchange = exchange_of (message);
  const char *path = route ? route->path : "none";
  gint64 took = exchange && exchange->came ? g_get_monotonic_time () - exchange->came : 0;

  derush_metric_add (derush_metrics_counter ("derush_http_requests_total", "HTTP requests that were answered.", "route",
                                             "status", NULL),
                     1, path, code, NULL);
  derush_metric_observe (request_duration (), took / (double)G_USEC_PER_SEC,
                         known_method (soup_server_message_get_method (message)), path, class, NULL);
}

static void
respond (SoupServerMessage *message, const HttpRoute *route, guint status, const char *type, const char *text,
         gssize length)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (message);

  soup_message_headers_replace (headers, "Cache-Control", "no-store");
  soup_message_headers_replace (headers, "X-Content-Type-Options", "nosniff");
  soup_server_message_set_status (message, status, NULL);
  soup_server_message_set_response (message, type, SOUP_MEMORY_COPY, text, length < 0 ? strlen (text) : (gsize)length);
  count_request (message, route, status);
}

static void
respond_with_error (SoupServerMessage *message, const HttpRoute *route, guint status, const char *text)
{
  g_autoptr (JsonObject) said = json_object_new ();
  g_autofree char *valid = g_utf8_make_valid (text, -1), *json = NULL;

  json_object_set_boolean_member (said, "success", FALSE);
  json_object_set_string_member (said, "error", valid);
  json = derush_json_object_to_string (said);
  respond (message, route, status, "application/json", json, -1);
}

static void
cut (SoupServerMessage *message)
{
  GSocket *socket = soup_server_message_get_socket (message);

  if (socket)
    g_socket_shutdown (socket, TRUE, TRUE, NULL);
}

static gboolean
on_too_slow (gpointer user_data)
{
  Exchange *exchange = user_data;

  exchange->timer = 0;
  cut (exchange->message);
  return G_SOURCE_REMOVE;
}

static void
give_time (Exchange *exchange, guint seconds)
{
  g_clear_handle_id (&exchange->timer, g_source_remove);
  if (seconds > 0)
    exchange->timer = g_timeout_add_seconds (seconds, on_too_slow, exchange);
}

void
http_request_answer_text (HttpRequest *request, guint status, const char *type, const char *text, gssize length)
{
  Exchange *exchange;

  g_return_if_fail (!request->answered);
  request->answered = TRUE;
  if (!request->server || request->gone)
    return;
  exchange = exchange_of (request->message);
  respond (request->message, exchange->route, status, type, text, length);
  give_time (exchange, request->server->timeout * 4);
  if (request->paused)
    soup_server_message_unpause (request->message);
}

void
http_request_answer (HttpRequest *request, guint status, JsonNode *data)
{
  g_autoptr (JsonObject) said = json_object_new ();
  g_autofree char *json = NULL;

  json_object_set_boolean_member (said, "success", status < 400);
  json_object_set_member (said, status < 400 ? "data" : "details", data);
  json = derush_json_object_to_string (said);
  http_request_answer_text (request, status, "application/json", json, -1);
}

void
http_request_answer_object (HttpRequest *request, guint status, JsonObject *data)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);

  json_node_take_object (node, data);
  http_request_answer (request, status, node);
}

void
http_request_refuse (HttpRequest *request, guint status, const char *format, ...)
{
  g_autoptr (JsonObject) said = json_object_new ();
  g_autofree char *text = NULL, *valid = NULL, *json = NULL;
  va_list arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  valid = g_utf8_make_valid (text, -1);
  json_object_set_boolean_member (said, "success", FALSE);
  json_object_set_string_member (said, "error", valid);
  json = derush_json_object_to_string (said);
  http_request_answer_text (request, status, "application/json", json, -1);
}

void
http_request_fail (HttpRequest *request, const GError *error)
{
  guint status = SOUP_STATUS_INTERNAL_SERVER_ERROR;

  switch (derush_error_get_class (error)) {
  case DERUSH_ERROR_BAD_INPUT:
  case DERUSH_ERROR_UNSUPPORTED:
    status = SOUP_STATUS_BAD_REQUEST;
    break;
  case DERUSH_ERROR_RESOURCE:
  case DERUSH_ERROR_CANCELLED:
    status = SOUP_STATUS_SERVICE_UNAVAILABLE;
    break;
  case DERUSH_ERROR_MISSING_PLUGIN:
  case DERUSH_ERROR_MODEL:
  case DERUSH_ERROR_STALLED:
  case DERUSH_ERROR_INTERNAL:
    break;
  }
  http_request_refuse (request, status, "%s", error->message);
}

SoupServerMessage *
http_request_take (HttpRequest *request)
{
  Exchange *exchange = exchange_of (request->message);

  request->answered = TRUE;
  give_time (exchange, 0);
  count_request (request->message, exchange->route, SOUP_STATUS_OK);
  return g_object_ref (request->message);
}

gboolean
http_request_needs_redis (HttpRequest *request)
{
  if (!http_watch_is_silent (request->server->watch))
    return TRUE;
  http_request_refuse (request, SOUP_STATUS_SERVICE_UNAVAILABLE, _ ("Redis does not answer"));
  return FALSE;
}

DerushBullmqQueue *
http_server_get_queue (DerushHttpServer *self, const char *name)
{
  return g_hash_table_lookup (self->clients, name);
}

/* ── What is answered at once ───────────────────────────────────────────── */

static void
get_queues (HttpRequest *request)
{
  if (http_request_needs_redis (request))
    http_request_answer_object (request, SOUP_STATUS_OK, http_watch_get_counts (request->server->watch));
}

static JsonObject *
health_of (DerushHttpServer *self, gboolean *healthy)
{
  JsonObject *health = self->backend->get_health (self->daemon), *details = derush_json_get_object (health, "details");

  if (!details) {
    details = json_object_new ();
    json_object_set_object_member (health, "details", details);
  }
  json_object_set_object_member (details, "redis", http_watch_get_redis (self->watch));
  *healthy = derush_json_get_boolean (health, "healthy", FALSE) && !http_watch_is_silent (self->watch);
  json_object_set_boolean_member (health, "healthy", *healthy);
  if (http_watch_is_silent (self->watch)) {
    JsonArray *known = derush_json_get_array (health, "problems"), *problems = json_array_new ();

    json_array_add_string_element (problems, _ ("Redis does not answer"));
    for (guint i = 0; known && i < json_array_get_length (known); i++)
      json_array_add_string_element (problems, json_array_get_string_element (known, i));
    json_object_set_array_member (health, "problems", problems);
    json_object_set_string_member (health, "status", "unhealthy");
  }
  return health;
}

/* The body is whole either way, whatever the status: who is paged wants to know why. */
static void
get_health (HttpRequest *request)
{
  g_autoptr (JsonObject) said = json_object_new ();
  g_autofree char *json = NULL;
  gboolean healthy;
  JsonObject *health = health_of (request->server, &healthy);
  JsonArray *problems = derush_json_get_array (health, "problems");

  json_object_set_object_member (said, "data", health);
  json_object_set_boolean_member (said, "success", healthy);
  if (!healthy)
    json_object_set_string_member (said, "error",
                                   problems && json_array_get_length (problems) > 0
                                       ? json_array_get_string_element (problems, 0)
                                       : _ ("The daemon is not healthy"));
  json = derush_json_object_to_string (said);
  http_request_answer_text (request, healthy ? SOUP_STATUS_OK : SOUP_STATUS_SERVICE_UNAVAILABLE, "application/json",
                            json, -1);
}

/* Whether a queue is paused is known by Redis only. */
static void
get_status (HttpRequest *request)
{
  DerushHttpServer *self = request->server;
  JsonObject *status = self->backend->get_status (self->daemon), *queues = derush_json_get_object (status, "queues");
  g_autoptr (JsonObject) counts = http_watch_get_counts (self->watch);
  g_autoptr (GList) names = queues ? json_object_get_members (queues) : NULL;

  for (GList *name = names; name; name = name->next)
    json_object_set_boolean_member (
        json_object_get_object_member (queues, name->data), "paused",
        derush_json_get_boolean (derush_json_get_object (counts, name->data), "paused", FALSE));
  http_request_answer_object (request, SOUP_STATUS_OK, status);
}

static void
get_statistics (HttpRequest *request)
{
  DerushHttpServer *self = request->server;
  JsonObject *statistics = self->backend->get_statistics (self->daemon), *totals = json_object_new ();
  g_autoptr (JsonObject) queues = http_watch_get_counts (self->watch);
  static const char *const states[] = {"waiting", "active",           "completed", "failed",
                                       "delayed", "waiting-children", "total"};
  g_autoptr (GList) members = json_object_get_values (queues);

  for (guint i = 0; i < G_N_ELEMENTS (states); i++) {
    gint64 sum = 0;

    for (GList *member = members; member; member = member->next)
      sum += derush_json_get_int (json_node_get_object (member->data), states[i], 0);
    json_object_set_int_member (totals, states[i], sum);
  }
  json_object_set_object_member (statistics, "byStatus", totals);
  http_request_answer_object (request, SOUP_STATUS_OK, statistics);
}

static void
get_metrics (HttpRequest *request)
{
  g_autofree char *text = derush_metrics_to_text ();

  http_request_answer_text (request, SOUP_STATUS_OK, "text/plain; version=0.0.4; charset=utf-8", text, -1);
}

static void
get_alive (HttpRequest *request)
{
  http_request_answer_text (request, SOUP_STATUS_OK, "text/plain; charset=utf-8", "ok\n", -1);
}

static void
get_ready (HttpRequest *request)
{
  DerushHttpServer *self = request->server;
  g_autoptr (JsonObject) status = self->backend->get_status (self->daemon);
  gboolean silent = http_watch_is_silent (self->watch), draining = derush_json_get_boolean (status, "draining", FALSE);

  http_request_answer_text (request, silent || draining ? SOUP_STATUS_SERVICE_UNAVAILABLE : SOUP_STATUS_OK,
                            "text/plain; charset=utf-8",
                            silent     ? "redis does not answer\n"
                            : draining ? "draining\n"
                                       : "ready\n",
                            -1);
}

static void
get_openapi (HttpRequest *request)
{
  const char *named = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *path = g_build_filename (named && *named ? named : DERUSH_PKGDATADIR, "openapi.json", NULL),
                  *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  if (g_file_get_contents (path, &text, &length, &error))
    http_request_answer_text (request, SOUP_STATUS_OK, "application/json", text, length);
  else
    http_request_refuse (request, SOUP_STATUS_NOT_FOUND, _ ("The description of the API is not installed"));
}

static const HttpRoute routes[] = {
    {"GET", "/healthz", get_alive, .open = TRUE},
    {"GET", "/readyz", get_ready, .open = TRUE},
    {"GET", "/metrics", get_metrics},
    {"GET", "/api/metrics", get_metrics},
    {"GET", "/api/openapi.json", get_openapi},
    {"GET", "/api/health/workers", get_health},
    {"GET", "/api/status", get_status},
    {"GET", "/api/events", http_events_serve},
    {"GET", "/api/jobs/queues/status", get_queues},
    {"GET", "/api/jobs/statistics", get_statistics},
    {"POST", "/api/jobs", http_jobs_add},
    {"GET", "/api/jobs/:id", http_jobs_get},
    {"POST", "/api/jobs/:id/cancel", http_jobs_cancel},
    {"POST", "/api/jobs/:id/retry", http_jobs_retry},
    {"GET", "/api/jobs/:id/logs", http_jobs_get_logs},
    {"DELETE", "/api/videos/:id", http_videos_purge},
    {"DELETE", "/api/users/:id", http_users_purge},
    {"POST", "/api/workflows/execute", http_workflows_execute},
    {"GET", "/api/workflows/templates", http_workflows_get_templates},
    {"GET", "/api/workflows/statistics", http_workflows_get_statistics},
    {"GET", "/api/workflows/active", http_workflows_list},
    {"GET", "/api/workflows/:id", http_workflows_get},
    {"POST", "/api/workflows/:id/cancel", http_workflows_cancel},
    {"POST", "/api/workers/:name/restart", http_workers_restart},
    {"POST", "/api/workers/:name/start", http_workers_start},
    {"POST", "/api/workers/:name/stop", http_workers_stop},
    {"POST", "/api/workers/:name/stop-after-job", http_workers_stop_after_job},
    {"POST", "/api/queues/:name/pause", http_queues_pause},
    {"POST", "/api/queues/:name/resume", http_queues_resume},
    {"POST", "/api/orchestrator/pause", http_orchestrator_pause},
    {"POST", "/api/orchestrator/resume", http_orchestrator_resume},
    {"POST", "/api/orchestrator/drain", http_orchestrator_drain},
    {"POST", "/api/orchestrator/stop", http_orchestrator_stop},
    {"POST", "/api/orchestrator/reload", http_orchestrator_reload},
    {NULL},
};

/* ── From the first byte to the handler ─────────────────────────────────── */

static void
exchange_free (gpointer data)
{
  Exchange *exchange = data;

  g_clear_handle_id (&exchange->timer, g_source_remove);
  if (exchange->request) {
    exchange->request->gone = TRUE;
    http_request_unref (exchange->request);
  }
  g_free (exchange);
}

/* ── Connections between two requests ───────────────────────────────────── */

typedef struct {
  DerushHttpServer *server;
  GSocket *socket;
} Idle;

static gboolean
on_idle_over (gpointer user_data)
{
  Idle *idle = user_data;

  g_hash_table_steal (idle->server->idle, idle->socket);
  g_socket_shutdown (idle->socket, TRUE, TRUE, NULL);
  return G_SOURCE_REMOVE;
}

static void
idle_free (gpointer data)
{
  Idle *idle = data;

  g_object_unref (idle->socket);
  g_free (idle);
}

static void
remove_timer (gpointer timer)
{
  g_source_remove (GPOINTER_TO_UINT (timer));
}

static void
become_idle (DerushHttpServer *self, GSocket *socket)
{
  Idle *idle;
  guint timer;

  if (!socket || g_socket_is_closed (socket))
    return;
  idle = g_new0 (Idle, 1);
  idle->server = self;
  idle->socket = g_object_ref (socket);
  timer = g_timeout_add_seconds_full (G_PRIORITY_DEFAULT, self->timeout * IDLE_SHARE, on_idle_over, idle, idle_free);
  g_hash_table_replace (self->idle, socket, GUINT_TO_POINTER (timer));
}

/* Some idle connection makes place for one that is not. */
static void
close_idle (DerushHttpServer *self)
{
  GHashTableIter iter;
  gpointer socket;

  g_hash_table_iter_init (&iter, self->idle);
  if (!g_hash_table_iter_next (&iter, &socket, NULL))
    return;
  g_socket_shutdown (socket, TRUE, TRUE, NULL);
  g_hash_table_iter_remove (&iter);
}

static void
on_exchange_over (SoupServerMessage *message, gpointer user_data)
{
  DerushHttpServer *self = user_data;

  g_hash_table_remove (self->connections, message);
  become_idle (self, soup_server_message_get_socket (message));
  /* Its timer and its request go with it. */
  g_object_set_data (G_OBJECT (message), STATE, NULL);
}

static void
on_started (SoupServer *soup, SoupServerMessage *message, gpointer user_data)
{
  DerushHttpServer *self = user_data;
  Exchange *exchange;

  if (exchange_of (message))
    return;
  exchange = g_new0 (Exchange, 1);
  exchange->server = self;
  exchange->message = message;
  g_object_set_data_full (G_OBJECT (message), STATE, exchange, exchange_free);
  g_hash_table_add (self->connections, message);
  g_hash_table_remove (self->idle, soup_server_message_get_socket (message));
  if (g_hash_table_size (self->connections) + g_hash_table_size (self->idle) > self->max_connections)
    close_idle (self);
  if (g_hash_table_size (self->connections) > self->max_connections)
    cut (message);
  else
    give_time (exchange, self->timeout);
  g_signal_connect (message, "finished", G_CALLBACK (on_exchange_over), self);
  g_signal_connect (message, "disconnected", G_CALLBACK (on_exchange_over), self);
}

static void
refuse_early (Exchange *exchange, guint status, const char *text)
{
  SoupServerMessage *message = exchange->message;

  exchange->refused = TRUE;
  soup_message_body_set_accumulate (soup_server_message_get_request_body (message), FALSE);
  soup_message_headers_replace (soup_server_message_get_response_headers (message), "Connection", "close");
  respond_with_error (message, exchange->route, status, text);
}

static void
on_chunk (SoupServerMessage *message, GBytes *chunk, gpointer user_data)
{
  Exchange *exchange = exchange_of (message);

  if (!exchange)
    return;
  exchange->received += g_bytes_get_size (chunk);
  if (exchange->received > MAX_DISCARDED)
    cut (message);
  else if (exchange->received > exchange->server->max_body && !exchange->refused)
    refuse_early (exchange, SOUP_STATUS_REQUEST_ENTITY_TOO_LARGE, _ ("The body is too large"));
}

static gsize
size_of_headers (SoupMessageHeaders *headers)
{
  SoupMessageHeadersIter iter;
  const char *name, *value;
  gsize size = 0;

  soup_message_headers_iter_init (&iter, headers);
  while (soup_message_headers_iter_next (&iter, &name, &value))
    size += strlen (name) + strlen (value);
  return size;
}

/* Without a token a page of any site could ask a browser on this machine to ask us: by a name of its own that leads here, or
 * from a page of its own. */
static gboolean
comes_from_a_page (SoupMessageHeaders *headers, SoupServerMessage *message)
{
  const char *host = g_uri_get_host (soup_server_message_get_uri (message));

  return soup_message_headers_get_one (headers, "Origin") != NULL ||
         (host && !g_hostname_is_ip_address (host) && g_ascii_strcasecmp (host, "localhost") != 0);
}

/* Who has two lengths to choose from may be misled about where the next request begins. */
static gboolean
has_two_lengths (SoupMessageHeaders *headers)
{
  return soup_message_headers_get_list (headers, "Transfer-Encoding") &&
         soup_message_headers_get_list (headers, "Content-Length");
}

static void
on_headers (SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user_data)
{
  DerushHttpServer *self = user_data;
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (message);
  g_autofree char *allowed = NULL;
  Exchange *exchange;
  HttpRouteResult found;

  on_started (soup, message, self);
  exchange = exchange_of (message);
  g_signal_connect (message, "got-chunk", G_CALLBACK (on_chunk), NULL);
  found = http_route_find (routes, soup_server_message_get_method (message), path, &exchange->route, NULL, &allowed);
  if (has_two_lengths (headers)) {
    refuse_early (exchange, SOUP_STATUS_BAD_REQUEST, _ ("A request has either Content-Length or Transfer-Encoding"));
  } else if (size_of_headers (headers) > MAX_HEADERS) {
    refuse_early (exchange, 431, _ ("The headers are too large"));
  } else if (self->token && !(exchange->route && exchange->route->open) &&
             !http_token_matches (self->token, soup_message_headers_get_one (headers, "Authorization"))) {
    soup_message_headers_replace (soup_server_message_get_response_headers (message), "WWW-Authenticate", "Bearer");
    refuse_early (exchange, SOUP_STATUS_UNAUTHORIZED,
                  _ ("The token of DERUSH_HTTP_TOKEN is needed: Authorization: Bearer …"));
  } else if (!self->token && comes_from_a_page (headers, message)) {
    refuse_early (exchange, SOUP_STATUS_FORBIDDEN, _ ("Web pages may not ask this server; set DERUSH_HTTP_TOKEN"));
  } else if (found == HTTP_ROUTE_UNKNOWN) {
    refuse_early (exchange, SOUP_STATUS_NOT_FOUND, _ ("There is nothing at this path"));
  } else if (found == HTTP_ROUTE_OTHER_METHOD) {
    soup_message_headers_replace (soup_server_message_get_response_headers (message), "Allow", allowed);
    refuse_early (exchange, SOUP_STATUS_METHOD_NOT_ALLOWED, _ ("This path has no such method"));
  } else if (soup_message_headers_get_content_length (headers) > (goffset)self->max_body) {
    refuse_early (exchange, SOUP_STATUS_REQUEST_ENTITY_TOO_LARGE, _ ("The body is too large"));
  }
}

static void
on_request (SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user_data)
{
  DerushHttpServer *self = user_data;
  Exchange *exchange = exchange_of (message);
  HttpRequest *request;

  if (!exchange || exchange->refused || exchange->request)
    return;
  give_time (exchange, 0);
  exchange->came = g_get_monotonic_time ();
  request = exchange->request = g_new0 (HttpRequest, 1);
  g_ref_count_init (&request->references);
  request->server = self;
  request->message = g_object_ref (message);
  request->query = query ? g_hash_table_ref (query) : NULL;
  http_route_find (routes, soup_server_message_get_method (message), path, &exchange->route, &request->arguments, NULL);
  exchange->route->handler (request);
  if (!request->answered) {
    request->paused = TRUE;
    soup_server_message_pause (message);
  }
}

/* ── The server ─────────────────────────────────────────────────────────── */

static gboolean
listen_on (DerushHttpServer *self, const char *text, const char *host, guint16 port, gboolean *taken, GError **error)
{
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string (host, port);
  g_autoptr (GError) local = NULL;
  g_autoptr (GSocket) socket = NULL;
  GInetAddress *inet;

  if (!address) {
    g_set_error (error, DERUSH_HTTP_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("DERUSH_HTTP_ADDRESS is “%s”: no such address"),
                 text);
    return FALSE;
  }
  inet = g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address));
  if (!self->token && !g_inet_address_get_is_loopback (inet)) {
    g_set_error (error, DERUSH_HTTP_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("DERUSH_HTTP_ADDRESS is “%s”, which others can reach: set DERUSH_HTTP_TOKEN, or use 127.0.0.1"),
                 text);
    return FALSE;
  }
  socket = g_socket_new (g_inet_address_get_family (inet), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &local);
  if (socket) {
    /* libsoup's own sockets drop clients that come at once. */
    g_socket_set_listen_backlog (socket, BACKLOG);
    if (g_socket_bind (socket, address, TRUE, &local) && g_socket_listen (socket, &local) &&
        soup_server_listen_socket (self->soup, socket, 0, &local))
      return TRUE;
  }
  *taken = g_error_matches (local, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_set_error (error, DERUSH_HTTP_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("derushd cannot serve HTTP at %s; change DERUSH_HTTP_ADDRESS, or set it to off: %s"), text,
               local->message);
  return FALSE;
}

/* Shells and systemd allow few open files where nobody asks for more. */
static guint
allow_files (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) != 0)
    return 1024;
  if (limit.rlim_cur < MAX_FILES && limit.rlim_max > limit.rlim_cur) {
    struct rlimit more = {.rlim_cur = MIN (limit.rlim_max, MAX_FILES), .rlim_max = limit.rlim_max};

    if (setrlimit (RLIMIT_NOFILE, &more) == 0)
      limit = more;
  }
  return MIN (limit.rlim_cur, G_MAXINT);
}

static void
introduce (DerushHttpServer *self, const char *host)
{
  g_autoptr (JsonObject) fields = json_object_new ();

  json_object_set_string_member (fields, "host", host);
  json_object_set_int_member (fields, "port", derush_http_server_get_port (self));
  derush_log (DERUSH_LOG_INFO, g_steal_pointer (&fields), "Serving HTTP at http://%s:%u", host,
              derush_http_server_get_port (self));
}

/**
 * derush_http_server_new:
 * @config: the settings: `DERUSH_HTTP_ADDRESS`, `DERUSH_HTTP_TOKEN`, `DERUSH_HTTP_MAX_BODY`, `DERUSH_HTTP_TIMEOUT`
 * @store: where results are
 * @address: of Redis
 * @queues: (array zero-terminated=1): those that the daemon serves
 * @backend: (transfer none): what the daemon tells of itself; must outlive the server
 * @daemon: for the functions of @backend
 * @error: return location for an error of class bad input: the address cannot be used, or has no token but others can
 *   reach it
 *
 * Returns: (transfer full) (nullable): the server, which serves from now on; %NULL without an error if there is to be none, or another
 *   program has the port that nobody asked for
 */
DerushHttpServer *
derush_http_server_new (DerushConfig *config, DerushStore *store, const DerushRedisAddress *address,
                        const char *const *queues, const DerushHttpBackend *backend, gpointer daemon, GError **error)
{
  const char *text = derush_config_get_string (config, "DERUSH_HTTP_ADDRESS"),
             *token = derush_config_get_string (config, "DERUSH_HTTP_TOKEN"),
             *prefix = derush_config_get_string (config, "BULLMQ_PREFIX");
  g_autofree char *host = NULL;
  guint16 port;
  gboolean off, taken = FALSE;
  g_autoptr (GError) failure = NULL;
  DerushHttpServer *self;

  if (!http_address_parse (text, &host, &port, &off, error) || off)
    return NULL;
  self = g_new0 (DerushHttpServer, 1);
  self->config = derush_config_ref (config);
  self->address = derush_redis_address_copy (address);
  self->queues = g_strdupv ((GStrv)queues);
  self->backend = backend;
  self->daemon = daemon;
  self->token = *token ? g_strdup (token) : NULL;
  self->max_body = derush_config_get_int (config, "DERUSH_HTTP_MAX_BODY");
  self->timeout = derush_config_get_int (config, "DERUSH_HTTP_TIMEOUT");
  self->connections = g_hash_table_new (NULL, NULL);
  self->idle = g_hash_table_new_full (NULL, NULL, NULL, remove_timer);
  self->max_connections = MIN (MAX_CONNECTIONS, allow_files () / 2);
  self->clients = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)derush_bullmq_queue_free);
  self->soup = g_object_new (SOUP_TYPE_SERVER, "raw-paths", TRUE, "server-header", "derushd", NULL);
  soup_server_add_early_handler (self->soup, NULL, on_headers, self, NULL);
  soup_server_add_handler (self->soup, NULL, on_request, self, NULL);
  g_signal_connect (self->soup, "request-started", G_CALLBACK (on_started), self);
  if (!listen_on (self, text, host, port, &taken, &failure)) {
    /* Where nobody asked for this port, the first of several daemons has it. */
    if (taken && derush_config_is_default (config, "DERUSH_HTTP_ADDRESS"))
      derush_log (DERUSH_LOG_WARN, NULL, "%s is in use, by another derushd perhaps: this one serves no HTTP", text);
    else
      g_propagate_error (error, g_steal_pointer (&failure));
    derush_http_server_free (self);
    return NULL;
  }
  for (guint i = 0; queues[i]; i++)
    g_hash_table_insert (self->clients, g_strdup (queues[i]), derush_bullmq_queue_new (address, prefix, queues[i]));
  self->control = derush_bullmq_control_new (address, prefix);
  self->events = http_events_new (self);
  self->watch = http_watch_new (self);
  introduce (self, host);
  return self;
}

/**
 * derush_http_server_free:
 * @server: (nullable): a server
 *
 * Stops serving; requests that are not answered yet are cut.
 */
void
derush_http_server_free (DerushHttpServer *self)
{
  g_autoptr (GList) open = NULL;

  if (!self)
    return;
  open = g_hash_table_get_keys (self->connections);
  g_clear_pointer (&self->watch, http_watch_free);
  g_clear_pointer (&self->events, http_events_free);
  for (GList *message = open; message; message = message->next) {
    Exchange *exchange = exchange_of (message->data);

    g_signal_handlers_disconnect_by_data (message->data, self);
    if (exchange && exchange->request)
      exchange->request->server = NULL;
    g_object_set_data (message->data, STATE, NULL);
  }
  g_signal_handlers_disconnect_by_data (self->soup, self);
  soup_server_disconnect (self->soup);
  g_object_unref (self->soup);
  g_clear_pointer (&self->control, derush_bullmq_control_free);
  g_hash_table_unref (self->clients);
  g_hash_table_unref (self->connections);
  g_clear_pointer (&self->idle, g_hash_table_unref);
  derush_config_unref (self->config);
  derush_redis_address_free (self->address);
  g_strfreev (self->queues);
  if (self->token)
    explicit_bzero (self->token, strlen (self->token));
  g_free (self->token);
  g_free (self);
}

/**
 * derush_http_server_get_port:
 * @server: a server
 *
 * Returns: the port it listens on, which the system chose if the address has port 0
 */
guint
derush_http_server_get_port (DerushHttpServer *self)
{
  GSList *uris = soup_server_get_uris (self->soup);
  guint port = uris ? g_uri_get_port (uris->data) : 0;

  g_slist_free_full (uris, (GDestroyNotify)g_uri_unref);
  return port;
}

/**
 * derush_http_server_publish:
 * @server: (nullable): a server
 * @event: what happened: `job`, …
 * @data: more about it
 *
 * Tells everybody who listens to /api/events.
 */
void
derush_http_server_publish (DerushHttpServer *self, const char *event, JsonObject *data)
{
  if (self)
    http_events_publish (self->events, event, data);
}
