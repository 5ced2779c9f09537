/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Server-Sent Events: answers that do not end, for as long as their readers keep up.
 *
 * What happens to jobs is read from the streams of BullMQ, so that all of it is told, whichever process does it. The id of an
 * event is the position in the stream of each queue, with commas between them: who was away says it as Last-Event-ID and gets
 * what it has missed, from this daemon or from another one of the same queues, as far back as BullMQ keeps it; `gap` says that
 * this is not far enough. What this daemon says of itself (`job`, `queue`) has no id and is not told again. */

#include "http-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_CLIENTS 256
#define MAX_PENDING (256 * 1024)
#define LOW_PENDING (64 * 1024) /* from here on more of what was missed is read */
#define CHUNK 50                /* events that are read at once */
#define KEEP_ALIVE 15           /* s between comments, so that proxies do not cut a quiet connection */

typedef struct {
  grefcount references;
  HttpEvents *events; /* NULL: gone */
  SoupServerMessage *message;
  gsize pending; /* bytes that its reader has not taken */
  gulong written, finished;
  char *queue, *job; /* what it wants to hear of; NULL: all */
  GStrv names;
  GPtrArray *positions; /* of char *: what it has heard, by queue; NULL: from now on */
  gboolean live;        /* it has heard all that was before now */
  gboolean reading;
  gboolean stranger; /* what it says that it has heard is of other queues, or of another server */
  gboolean lost;     /* it was told that more happened than BullMQ keeps */
} Client;

struct _HttpEvents {
  DerushHttpServer *server;
  GPtrArray *clients;
  DerushBullmqEvents *reader; /* while there are clients */
  guint timer;
};

static void catch_up (Client *client);

/* ── Positions ──────────────────────────────────────────────────────────── */

static gboolean
parse_id (const char *text, guint64 *ms, guint64 *number)
{
  g_auto (GStrv) parts = g_strsplit (text, "-", 3);

  return g_strv_length (parts) == 2 && g_ascii_string_to_unsigned (parts[0], 10, 0, G_MAXUINT64, ms, NULL) &&
         g_ascii_string_to_unsigned (parts[1], 10, 0, G_MAXUINT64, number, NULL);
}

GStrv
http_events_parse_position (const char *text, guint n_queues)
{
  g_auto (GStrv) ids = g_strsplit (text, ",", -1);
  guint64 ms, number;

  if (g_strv_length (ids) != n_queues)
    return NULL;
  for (guint i = 0; ids[i]; i++)
    if (!parse_id (ids[i], &ms, &number))
      return NULL;
  return g_steal_pointer (&ids);
}

int
http_events_compare (const char *a, const char *b)
{
  guint64 ms[2] = {0}, number[2] = {0};

  parse_id (a, &ms[0], &number[0]);
  parse_id (b, &ms[1], &number[1]);
  if (ms[0] != ms[1])
    return ms[0] < ms[1] ? -1 : 1;
  return number[0] < number[1] ? -1 : number[0] > number[1];
}

static char *
describe_position (Client *client)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < client->positions->len; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? "," : "", (const char *)client->positions->pdata[i]);
  return g_strdup (text->str);
}

static void
set_position (Client *client, guint queue, const char *id)
{
  g_free (client->positions->pdata[queue]);
  client->positions->pdata[queue] = g_strdup (id);
}

/* ── One client ─────────────────────────────────────────────────────────── */

static void
client_unref (Client *client)
{
  if (!g_ref_count_dec (&client->references))
    return;
  g_free (client->queue);
  g_free (client->job);
  g_strfreev (client->names);
  g_ptr_array_unref (client->positions);
  g_object_unref (client->message);
  g_free (client);
}

/* It is gone, but something may still be read for it. */
static void
client_leave (gpointer data)
{
  Client *client = data;

  client->events = NULL;
  g_signal_handler_disconnect (client->message, client->written);
  g_signal_handler_disconnect (client->message, client->finished);
  client_unref (client);
}

static void
on_written (SoupServerMessage *message, guint size, gpointer user_data)
{
  Client *client = user_data;

  client->pending -= MIN (size, client->pending);
  if (!client->live && client->pending <= LOW_PENDING)
    catch_up (client);
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
send_text (Client *client, const char *text)
{
  gsize length = strlen (text);

  client->pending += length;
  if (client->live && client->pending > MAX_PENDING && is_alive (client->message)) {
    /* Its end comes as any other broken connection. */
    g_socket_shutdown (soup_server_message_get_socket (client->message), TRUE, TRUE, NULL);
    return;
  }
  soup_message_body_append (soup_server_message_get_response_body (client->message), SOUP_MEMORY_COPY, text, length);
  soup_server_message_unpause (client->message);
}

static gboolean
wants (Client *client, const char *name, JsonObject *data)
{
  if (client->names && !g_strv_contains ((const char *const *)client->names, name))
    return FALSE;
  if (client->queue && g_strcmp0 (client->queue, derush_json_get_string (data, "queue", NULL)) != 0)
    return FALSE;
  return !client->job || g_strcmp0 (client->job, derush_json_get_string (data, "id", NULL)) == 0;
}

static void
send_event (Client *client, const char *id, const char *name, JsonObject *data)
{
  g_autofree char *json = NULL, *text = NULL;

  if (!wants (client, name, data))
    return;
  json = derush_json_object_to_string (data);
  text = id ? g_strdup_printf ("id: %s\nevent: %s\ndata: %s\n\n", id, name, json)
            : g_strdup_printf ("event: %s\ndata: %s\n\n", name, json);
  send_text (client, text);
}

/* What stood in the stream of a queue, and is taken from @event. */
static void
send_stored (Client *client, guint queue, const char *position, JsonObject *event)
{
  g_autofree char *name = g_strdup (derush_json_get_string (event, "event", "")), *id = NULL;

  set_position (client, queue, position);
  /* BullMQ's, and nothing that could break a line. */
  if (*name == '\0' || strpbrk (name, "\r\n"))
    return;
  id = describe_position (client);
  json_object_remove_member (event, "event");
  json_object_set_string_member (event, "queue", client->events->server->queues[queue]);
  send_event (client, id, name, event);
}

/* ── What it has missed ─────────────────────────────────────────────────── */

static void
say_lost (Client *client)
{
  if (!client->lost)
    send_text (client, "event: gap\ndata: {}\n\n");
  client->lost = TRUE;
}

static void
go_live (Client *client)
{
  static const char hello[] = "retry: 2000\n: connected\n\n";

  client->live = TRUE;
  if (client->stranger)
    say_lost (client);
  send_text (client, hello);
}

typedef struct {
  Client *client;
  guint queue;
  char *from;
} CatchUp;

static void
on_missed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  CatchUp *past = user_data;
  Client *client = past->client;
  g_autoptr (JsonArray) missed = derush_bullmq_events_read_finish (result, NULL);
  const char *position;

  client->reading = FALSE;
  if (client->events && missed) {
    for (guint i = 0; i < json_array_get_length (missed); i++) {
      JsonObject *event = json_array_get_object_element (missed, i);
      g_autofree char *id = g_strdup (derush_json_get_string (event, "position", "0-0"));

      /* The first one is what it has heard last, if that is still there. */
      if (i == 0 && strcmp (id, past->from) != 0 && strcmp (past->from, "0-0") != 0)
        say_lost (client);
      json_object_remove_member (event, "position");
      if (http_events_compare (id, past->from) > 0)
        send_stored (client, past->queue, id, event);
    }
    position = derush_bullmq_events_get_position (client->events->reader, past->queue);
    if (strcmp (client->positions->pdata[past->queue], past->from) == 0) {
      /* The stream has been removed. */
      say_lost (client);
      set_position (client, past->queue, position);
    }
    catch_up (client);
  } else if (client->events) {
    g_socket_shutdown (soup_server_message_get_socket (client->message), TRUE, TRUE, NULL);
  }
  client_unref (client);
  g_free (past->from);
  g_free (past);
}

/* Reads what is between what @client has heard and what was heard here, queue by queue. */
static void
catch_up (Client *client)
{
  HttpEvents *self = client->events;

  if (client->live || client->reading || client->pending > LOW_PENDING || !self->reader ||
      !derush_bullmq_events_is_ready (self->reader))
    return;
  for (guint i = 0; i < client->positions->len; i++) {
    const char *position = derush_bullmq_events_get_position (self->reader, i), *heard = client->positions->pdata[i];
    CatchUp *past;

    if (heard && http_events_compare (heard, position) < 0) {
      past = g_new0 (CatchUp, 1);
      g_ref_count_inc (&client->references);
      past->client = client;
      past->queue = i;
      past->from = g_strdup (heard);
      client->reading = TRUE;
      derush_bullmq_events_read_async (self->reader, i, heard, CHUNK, on_missed, past);
      return;
    }
    if (!heard)
      set_position (client, i, position);
  }
  go_live (client);
}

/* ── All of them ────────────────────────────────────────────────────────── */

static void
on_ready (gpointer user_data)
{
  HttpEvents *self = user_data;

  for (guint i = self->clients->len; i > 0; i--)
    catch_up (self->clients->pdata[i - 1]);
}

static void
on_event (const char *queue, const char *position, JsonObject *event, gpointer user_data)
{
  HttpEvents *self = user_data;
  g_autofree char *name = g_strdup (derush_json_get_string (event, "event", ""));
  guint n = 0;

  while (strcmp (self->server->queues[n], queue) != 0)
    n++;
  for (guint i = self->clients->len; i > 0; i--) {
    Client *client = self->clients->pdata[i - 1];

    /* Who comes from another daemon may have heard more there. */
    if (!client->live || http_events_compare (position, client->positions->pdata[n]) <= 0)
      continue;
    json_object_set_string_member (event, "event", name);
    send_stored (client, n, position, event);
  }
}

/* Whoever hears of one job only has got further all the same: an id by itself is no event. */
static gboolean
on_quiet (gpointer user_data)
{
  HttpEvents *self = user_data;

  if (self->clients->len == 0)
    g_clear_pointer (&self->reader, derush_bullmq_events_free);
  for (guint i = self->clients->len; i > 0; i--) {
    Client *client = self->clients->pdata[i - 1];
    g_autofree char *id = client->live ? describe_position (client) : NULL,
                    *text = id ? g_strdup_printf (": \nid: %s\n\n", id) : NULL;

    if (text)
      send_text (client, text);
  }
  return G_SOURCE_CONTINUE;
}

HttpEvents *
http_events_new (DerushHttpServer *server)
{
  HttpEvents *self = g_new0 (HttpEvents, 1);

  self->server = server;
  self->clients = g_ptr_array_new_with_free_func (client_leave);
  self->timer = g_timeout_add_seconds (KEEP_ALIVE, on_quiet, self);
  return self;
}

void
http_events_free (HttpEvents *self)
{
  g_source_remove (self->timer);
  g_ptr_array_unref (self->clients);
  derush_bullmq_events_free (self->reader);
  g_free (self);
}

void
http_events_publish (HttpEvents *self, const char *event, JsonObject *data)
{
  for (guint i = self->clients->len; i > 0; i--) {
    Client *client = self->clients->pdata[i - 1];

    if (client->live)
      send_event (client, NULL, event, data);
  }
}

static void
read_wishes (Client *client, HttpRequest *request)
{
  const char *names = http_request_get_query (request, "events"),
             *since = soup_message_headers_get_one (soup_server_message_get_request_headers (request->message),
                                                    "Last-Event-ID");
  guint n_queues = g_strv_length (request->server->queues);
  g_auto (GStrv) heard = NULL;

  client->queue = g_strdup (http_request_get_query (request, "queue"));
  client->job = g_strdup (http_request_get_query (request, "job"));
  client->names = names ? g_strsplit (names, ",", -1) : NULL;
  g_ptr_array_set_size (client->positions, n_queues);
  if (!since)
    since = http_request_get_query (request, "lastEventId");
  if (!since)
    return;
  heard = http_events_parse_position (since, n_queues);
  client->stranger = !heard;
  for (guint i = 0; heard && i < n_queues; i++)
    set_position (client, i, heard[i]);
}

void
http_events_serve (HttpRequest *request)
{
  DerushHttpServer *server = request->server;
  HttpEvents *self = server->events;
  SoupMessageHeaders *headers;
  Client *client;

  if (self->clients->len >= MAX_CLIENTS) {
    http_request_refuse (request, SOUP_STATUS_SERVICE_UNAVAILABLE, _ ("Too many clients listen to the events already"));
    return;
  }
  if (!http_request_needs_redis (request))
    return;
  client = g_new0 (Client, 1);
  g_ref_count_init (&client->references);
  client->events = self;
  client->positions = g_ptr_array_new_with_free_func (g_free);
  read_wishes (client, request);
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
  g_ptr_array_add (self->clients, client);
  /* Nothing is said before nothing can be missed any more. */
  soup_server_message_pause (client->message);
  if (!self->reader)
    self->reader =
        derush_bullmq_events_new (server->address, derush_config_get_string (server->config, "BULLMQ_PREFIX"),
                                  (const char *const *)server->queues, on_ready, on_event, self);
  else
    catch_up (client);
}
