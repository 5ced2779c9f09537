/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Server-Sent Events: answers that do not end, for as long as their readers keep up. */

#include "http-private.h"

#include <glib/gi18n-lib.h>

#define MAX_CLIENTS 256
#define MAX_PENDING (256 * 1024)
#define KEEP_ALIVE 15 /* s between comments, so that proxies do not cut a quiet connection */

typedef struct {
  HttpEvents *events;
  SoupServerMessage *message;
  gsize pending; /* bytes that its reader has not taken */
  gulong written, finished;
} Client;

struct _HttpEvents {
  DerushHttpServer *server;
  GPtrArray *clients;
  guint64 last; /* number of the last event */
  guint timer;
};

static void
client_free (gpointer data)
{
  Client *client = data;

  g_signal_handler_disconnect (client->message, client->written);
  g_signal_handler_disconnect (client->message, client->finished);
  g_object_unref (client->message);
  g_free (client);
}

static void
on_written (SoupServerMessage *message, guint size, gpointer user_data)
{
  Client *client = user_data;

  client->pending -= MIN (size, client->pending);
}

static void
on_finished (SoupServerMessage *message, gpointer user_data)
{
  Client *client = user_data;

  g_ptr_array_remove_fast (client->events->clients, client);
}

static gboolean
is_alive (SoupServerMessage *message)
{
  GSocket *socket = soup_server_message_get_socket (message);

  return socket && g_socket_is_connected (socket);
}

static void
send_text (HttpEvents *self, const char *text, gsize length)
{
  for (guint i = self->clients->len; i > 0; i--) {
    Client *client = self->clients->pdata[i - 1];

    client->pending += length;
    if (client->pending > MAX_PENDING && is_alive (client->message)) {
      /* Its end comes as any other broken connection. */
      g_socket_shutdown (soup_server_message_get_socket (client->message), TRUE, TRUE, NULL);
      continue;
    }
    soup_message_body_append (soup_server_message_get_response_body (client->message), SOUP_MEMORY_COPY, text, length);
    soup_server_message_unpause (client->message);
  }
}

static gboolean
on_quiet (gpointer user_data)
{
  send_text (user_data, ": \n\n", 4);
  return G_SOURCE_CONTINUE;
}

HttpEvents *
http_events_new (DerushHttpServer *server)
{
  HttpEvents *self = g_new0 (HttpEvents, 1);

  self->server = server;
  self->clients = g_ptr_array_new_with_free_func (client_free);
  self->timer = g_timeout_add_seconds (KEEP_ALIVE, on_quiet, self);
  return self;
}

void
http_events_free (HttpEvents *self)
{
  g_source_remove (self->timer);
  g_ptr_array_unref (self->clients);
  g_free (self);
}

void
http_events_publish (HttpEvents *self, const char *event, JsonObject *data)
{
  g_autofree char *json = NULL, *text = NULL;

  self->last++;
  if (self->clients->len == 0)
    return;
  json = derush_json_object_to_string (data);
  text = g_strdup_printf ("id: %" G_GUINT64_FORMAT "\nevent: %s\ndata: %s\n\n", self->last, event, json);
  send_text (self, text, strlen (text));
}

void
http_events_serve (HttpRequest *request)
{
  static const char hello[] = "retry: 2000\n: connected\n\n";
  HttpEvents *self = request->server->events;
  SoupMessageHeaders *headers;
  Client *client;

  if (self->clients->len >= MAX_CLIENTS) {
    http_request_refuse (request, SOUP_STATUS_SERVICE_UNAVAILABLE, _ ("Too many clients listen to the events already"));
    return;
  }
  client = g_new0 (Client, 1);
  client->events = self;
  client->message = http_request_take (request);
  client->written = g_signal_connect (client->message, "wrote-body-data", G_CALLBACK (on_written), client);
  client->finished = g_signal_connect (client->message, "finished", G_CALLBACK (on_finished), client);
  headers = soup_server_message_get_response_headers (client->message);
  soup_message_headers_set_encoding (headers, SOUP_ENCODING_CHUNKED);
  soup_message_headers_replace (headers, "Content-Type", "text/event-stream");
  soup_message_headers_replace (headers, "Cache-Control", "no-store");
  soup_message_headers_replace (headers, "X-Accel-Buffering", "no");
  soup_message_body_set_accumulate (soup_server_message_get_response_body (client->message), FALSE);
  soup_server_message_set_status (client->message, SOUP_STATUS_OK, NULL);
  soup_message_body_append (soup_server_message_get_response_body (client->message), SOUP_MEMORY_STATIC, hello,
                            sizeof hello - 1);
  g_ptr_array_add (self->clients, client);
}
