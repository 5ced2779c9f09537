/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The server: on the loopback interface only, for whoever has the token, bodies of the size that OpenAI takes. */

#include "server-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define CALL "derush-local-call"
/* Of a body that was refused, before the connection is cut; clients send all of it before they read the answer. */
#define MAX_DISCARDED ((gsize)64 * 1024 * 1024)

struct _DerushLocalServer {
  SoupServer *soup;
  LocalQueue *queue;
  char *digest;
  guint16 port;
};

LocalQueue *
local_call_get_queue (LocalCall *call)
{
  return call->server->queue;
}

/* ── Answers ────────────────────────────────────────────────────────────── */

void
local_call_answer (LocalCall *call, guint status, const char *type, GBytes *body)
{
  SoupMessageBody *response = soup_server_message_get_response_body (call->message);
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->message);

  soup_message_headers_replace (headers, "Content-Type", type);
  soup_message_headers_replace (headers, "Cache-Control", "no-store");
  soup_message_headers_replace (headers, "X-Content-Type-Options", "nosniff");
  soup_server_message_set_status (call->message, status, NULL);
  soup_message_body_truncate (response);
  soup_message_body_append_bytes (response, body);
  if (call->paused) {
    call->paused = FALSE;
    soup_server_message_unpause (call->message);
  }
}

static void
answer_object (LocalCall *call, guint status, JsonObject *answer)
{
  char *text = derush_json_object_to_string (answer);
  g_autoptr (GBytes) body = g_bytes_new_take (text, strlen (text));

  local_call_answer (call, status, "application/json", body);
}

/* Takes @answer. */
void
local_call_answer_json (LocalCall *call, JsonObject *answer)
{
  answer_object (call, SOUP_STATUS_OK, answer);
  json_object_unref (answer);
}

void
local_call_set_engine (LocalCall *call, const char *engine)
{
  soup_message_headers_replace (soup_server_message_get_response_headers (call->message), "X-Derush-Engine", engine);
}

void
local_call_refuse (LocalCall *call, guint status, const char *code, const char *parameter, const char *message)
{
  g_autoptr (JsonObject) said = json_object_new ();
  g_autofree char *valid = g_utf8_make_valid (message, -1);
  JsonObject *fault = json_object_new ();

  json_object_set_string_member (fault, "message", valid);
  json_object_set_string_member (fault, "type", status < 500 ? "invalid_request_error" : "server_error");
  if (parameter)
    json_object_set_string_member (fault, "param", parameter);
  else
    json_object_set_null_member (fault, "param");
  if (code)
    json_object_set_string_member (fault, "code", code);
  else
    json_object_set_null_member (fault, "code");
  json_object_set_object_member (said, "error", fault);
  answer_object (call, status, said);
}

void
local_call_fail (LocalCall *call, const GError *error)
{
  guint status = SOUP_STATUS_INTERNAL_SERVER_ERROR;

  switch (derush_error_get_class (error)) {
  case DERUSH_ERROR_BAD_INPUT:
  case DERUSH_ERROR_UNSUPPORTED:
  case DERUSH_ERROR_MISSING_PLUGIN:
    status = SOUP_STATUS_BAD_REQUEST;
    break;
  case DERUSH_ERROR_RESOURCE:
  case DERUSH_ERROR_CANCELLED:
    status = SOUP_STATUS_SERVICE_UNAVAILABLE;
    break;
  case DERUSH_ERROR_MODEL:
  case DERUSH_ERROR_STALLED:
  case DERUSH_ERROR_INTERNAL:
    break;
  }
  local_call_refuse (call, status, derush_local_error_get_code (error), derush_local_error_get_parameter (error),
                     error->message);
}

/* ── Requests ───────────────────────────────────────────────────────────── */

static void
call_free (gpointer data)
{
  LocalCall *call = data;

  local_call_abandon (call);
  g_clear_pointer (&call->request, json_object_unref);
  g_free (call);
}

static void
on_over (SoupServerMessage *message, gpointer user_data)
{
  g_object_set_data (G_OBJECT (message), CALL, NULL);
}

static void
refuse_early (LocalCall *call, guint status, const char *code, const char *message)
{
  call->refused = TRUE;
  soup_message_body_set_accumulate (soup_server_message_get_request_body (call->message), FALSE);
  local_call_refuse (call, status, code, NULL, message);
}

static void
refuse_size (LocalCall *call)
{
  g_autofree char *message =
      g_strdup_printf (_ ("The body is larger than %d bytes; cut the sound at a silence"), DERUSH_LOCALMODELS_MAX_BODY);

  refuse_early (call, SOUP_STATUS_REQUEST_ENTITY_TOO_LARGE, "request_too_large", message);
}

static void
on_chunk (SoupServerMessage *message, GBytes *chunk, gpointer user_data)
{
  LocalCall *call = g_object_get_data (G_OBJECT (message), CALL);

  if (!call)
    return;
  call->received += g_bytes_get_size (chunk);
  if (call->received > MAX_DISCARDED)
    g_socket_shutdown (soup_server_message_get_socket (message), TRUE, TRUE, NULL);
  else if (call->received > DERUSH_LOCALMODELS_MAX_BODY && !call->refused)
    refuse_size (call);
}

/* Compared by their hashes, so that the time it takes tells nothing. */
static gboolean
has_token (DerushLocalServer *self, SoupServerMessage *message)
{
  const char *said = soup_message_headers_get_one (soup_server_message_get_request_headers (message), "Authorization");
  g_autofree char *digest = NULL;

  if (!said || g_ascii_strncasecmp (said, "Bearer ", 7) != 0)
    return FALSE;
  digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, said + 7, -1);
  return strcmp (digest, self->digest) == 0;
}

static void
on_headers (SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user_data)
{
  DerushLocalServer *self = user_data;
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (message);
  LocalCall *call = g_new0 (LocalCall, 1);
  gboolean other_method;

  call->server = self;
  call->message = message;
  g_object_set_data_full (G_OBJECT (message), CALL, call, call_free);
  g_signal_connect (message, "finished", G_CALLBACK (on_over), NULL);
  g_signal_connect (message, "disconnected", G_CALLBACK (on_over), NULL);
  g_signal_connect (message, "got-chunk", G_CALLBACK (on_chunk), NULL);
  call->route = local_route_find (soup_server_message_get_method (message), path, &other_method);
  if (!(call->route && call->route->open) && !has_token (self, message)) {
    soup_message_headers_replace (soup_server_message_get_response_headers (message), "WWW-Authenticate", "Bearer");
    refuse_early (call, SOUP_STATUS_UNAUTHORIZED, "invalid_api_key",
                  _ ("The token of DERUSH_MODELS_TOKEN is needed: Authorization: Bearer …"));
  } else if (!call->route) {
    refuse_early (call, other_method ? SOUP_STATUS_METHOD_NOT_ALLOWED : SOUP_STATUS_NOT_FOUND, "not_found",
                  other_method ? _ ("This path has no such method") : _ ("There is nothing at this path"));
  } else if (soup_message_headers_get_content_length (headers) > DERUSH_LOCALMODELS_MAX_BODY) {
    refuse_size (call);
  }
}

/* A connection that a client closes between two requests would stay open in libsoup 3.2: it serves one request. */
static void
on_started (SoupServer *soup, SoupServerMessage *message, gpointer user_data)
{
  soup_message_headers_replace (soup_server_message_get_response_headers (message), "Connection", "close");
}

static void
on_request (SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user_data)
{
  LocalCall *call = g_object_get_data (G_OBJECT (message), CALL);
  g_autoptr (GBytes) body = NULL;

  if (!call || call->refused)
    return;
  body = soup_message_body_flatten (soup_server_message_get_request_body (message));
  call->route->handle (call, body);
  if (call->job) {
    call->paused = TRUE;
    soup_server_message_pause (message);
  }
}

/* ── The server ─────────────────────────────────────────────────────────── */

/**
 * derush_local_server_new:
 * @program: what is executed with `--engine` for each request: derush-models itself
 * @token: what clients must send as bearer token
 * @port: 0: any that is free
 *
 * Serves in the main context of the thread that calls it.
 *
 * Returns: (nullable): a server
 */
DerushLocalServer *
derush_local_server_new (const char *program, const char *token, guint16 port, GError **error)
{
  g_autoptr (DerushLocalServer) self = g_new0 (DerushLocalServer, 1);
  GSList *uris;

  self->queue = local_queue_new (program);
  self->digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, token, -1);
  self->soup = soup_server_new ("server-header", "derush-models", NULL);
  g_signal_connect (self->soup, "request-started", G_CALLBACK (on_started), NULL);
  soup_server_add_early_handler (self->soup, NULL, on_headers, self, NULL);
  soup_server_add_handler (self->soup, NULL, on_request, self, NULL);
  if (!soup_server_listen_local (self->soup, port, SOUP_SERVER_LISTEN_IPV4_ONLY, error))
    return NULL;
  uris = soup_server_get_uris (self->soup);
  self->port = uris ? (guint16)g_uri_get_port (uris->data) : 0;
  g_slist_free_full (uris, (GDestroyNotify)g_uri_unref);
  return g_steal_pointer (&self);
}

guint16
derush_local_server_get_port (DerushLocalServer *self)
{
  return self->port;
}

void
derush_local_server_free (DerushLocalServer *self)
{
  if (self->queue)
    g_clear_pointer (&self->queue, local_queue_free);
  soup_server_disconnect (self->soup);
  g_object_unref (self->soup);
  g_free (self->digest);
  g_free (self);
}
