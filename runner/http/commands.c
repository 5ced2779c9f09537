/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What an operator orders: the daemon does it, through its table of functions. */

#include "http-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

static void
on_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HttpRequest) request = user_data;
  g_autoptr (GError) error = NULL;
  JsonObject *said;

  /* The daemon has gone. */
  if (!request->server)
    return;
  said = request->server->backend->command_finish (request->server->daemon, result, &error);
  if (said)
    http_request_answer_object (request, SOUP_STATUS_OK, said);
  else if (derush_error_get_class (error) == DERUSH_ERROR_BAD_INPUT)
    http_request_refuse (request,
                         request->arguments && request->arguments[0] ? SOUP_STATUS_NOT_FOUND : SOUP_STATUS_CONFLICT,
                         "%s", error->message);
  else
    http_request_fail (request, error);
}

/* Hands the order on; @name: (nullable): what the path's name is the name of. Of the body only @flag is heeded. */
static void
order (HttpRequest *request, const char *verb, const char *name, const char *flag)
{
  g_autoptr (JsonObject) arguments = json_object_new (), body = http_request_get_object (request);
  JsonNode *node = body && flag ? json_object_get_member (body, flag) : NULL;

  if (!body)
    return;
  if (node && !(JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_BOOLEAN)) {
    http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("“%s” must be true or false"), flag);
    return;
  }
  if (!request->server->backend->command_async) {
    http_request_refuse (request, SOUP_STATUS_NOT_IMPLEMENTED, _ ("This daemon takes no orders"));
    return;
  }
  if (name)
    json_object_set_string_member (arguments, name, request->arguments[0]);
  if (node)
    json_object_set_boolean_member (arguments, flag, json_node_get_boolean (node));
  request->server->backend->command_async (request->server->daemon, verb, arguments, NULL, on_done,
                                           http_request_ref (request));
}

void
http_workers_restart (HttpRequest *request)
{
  order (request, "restart", "worker", "now");
}

void
http_workers_start (HttpRequest *request)
{
  order (request, "start", "worker", NULL);
}

void
http_workers_stop (HttpRequest *request)
{
  order (request, "stop", "worker", NULL);
}

void
http_workers_stop_after_job (HttpRequest *request)
{
  order (request, "stop-after-job", "worker", NULL);
}

void
http_queues_pause (HttpRequest *request)
{
  order (request, "pause", "queue", "local");
}

void
http_queues_resume (HttpRequest *request)
{
  order (request, "resume", "queue", "local");
}

void
http_orchestrator_pause (HttpRequest *request)
{
  order (request, "pause", NULL, "local");
}

void
http_orchestrator_resume (HttpRequest *request)
{
  order (request, "resume", NULL, "local");
}

void
http_orchestrator_drain (HttpRequest *request)
{
  order (request, "drain", NULL, NULL);
}

void
http_orchestrator_stop (HttpRequest *request)
{
  order (request, "stop", NULL, NULL);
}

void
http_orchestrator_reload (HttpRequest *request)
{
  order (request, "reload", NULL, NULL);
}

/* ── What goes ──────────────────────────────────────────────────────────── */

static void
on_purged (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HttpRequest) request = user_data;
  g_autoptr (GError) error = NULL;
  JsonObject *said;

  if (!request->server)
    return;
  said = request->server->backend->command_finish (request->server->daemon, result, &error);
  if (said)
    http_request_answer_object (request, SOUP_STATUS_OK, said);
  else if (derush_error_get_class (error) == DERUSH_ERROR_BAD_INPUT)
    http_request_refuse (request, SOUP_STATUS_CONFLICT, "%s", error->message);
  else
    http_request_fail (request, error);
}

static void
purge (HttpRequest *request, const char *of)
{
  g_autoptr (JsonObject) arguments = json_object_new ();
  const char *dry = http_request_get_query (request, "dryRun");

  if (dry && strcmp (dry, "true") != 0 && strcmp (dry, "false") != 0) {
    http_request_refuse (request, SOUP_STATUS_BAD_REQUEST, _ ("“%s” must be true or false"), "dryRun");
    return;
  }
  if (!request->server->backend->command_async) {
    http_request_refuse (request, SOUP_STATUS_NOT_IMPLEMENTED, _ ("This daemon takes no orders"));
    return;
  }
  if (!http_request_needs_redis (request))
    return;
  json_object_set_string_member (arguments, of, request->arguments[0]);
  json_object_set_boolean_member (arguments, "dryRun", g_strcmp0 (dry, "true") == 0);
  request->server->backend->command_async (request->server->daemon, "purge", arguments, NULL, on_purged,
                                           http_request_ref (request));
}

void
http_videos_purge (HttpRequest *request)
{
  purge (request, "video");
}

void
http_users_purge (HttpRequest *request)
{
  purge (request, "user");
}
