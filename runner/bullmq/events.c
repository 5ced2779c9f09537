/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Reads the streams in which BullMQ writes what happens to the jobs of queues, whichever process did it. */

#include "bullmq/connection-private.h"

#include <string.h>

/* How long XREAD may block, and how much later the server has to have answered, in ms. */
#define BLOCK 5000
#define GRACE 2000
#define MAX_EVENTS 200 /* in one answer */

struct _DerushBullmqEvents {
  grefcount references;
  char *prefix;
  GStrv queues;
  GPtrArray *positions; /* of char *, as queues; NULL: not known yet */
  BullmqConnection *listener, *commands;
  guint asked; /* positions that are not answered */
  gboolean told;
  DerushBullmqEventsFunc func;
  DerushBullmqEventsReadyFunc ready;
  gpointer user_data;
  gboolean freed;
};

static void listen_on (DerushBullmqEvents *self);
static void on_listener (BullmqConnection *connection, gboolean ready, gpointer user_data);

static DerushBullmqEvents *
events_ref (DerushBullmqEvents *self)
{
  g_ref_count_inc (&self->references);
  return self;
}

static void
events_unref (DerushBullmqEvents *self)
{
  if (!g_ref_count_dec (&self->references))
    return;
  g_free (self->prefix);
  g_strfreev (self->queues);
  g_ptr_array_unref (self->positions);
  g_free (self);
}

static void
add_stream (BullmqCommand *command, DerushBullmqEvents *self, guint queue)
{
  g_autofree char *key = g_strdup_printf (":%s:events", self->queues[queue]);

  bullmq_command_add_key (command, self->prefix, key, -1);
}

static void
set_position (DerushBullmqEvents *self, guint queue, const char *id)
{
  g_free (self->positions->pdata[queue]);
  self->positions->pdata[queue] = g_strdup (id);
}

/* ── What stands in a stream ────────────────────────────────────────────── */

static JsonNode *
parse_value (const char *text, gsize length)
{
  g_autofree char *valid = g_utf8_make_valid (text, length);
  JsonNode *node = json_from_string (valid, NULL);

  return node ? node : json_node_init_string (json_node_alloc (), valid);
}

/* `[id, [field, value, …]]` → {event, id (of the job), …}. What BullMQ writes as JSON is read: progress, return values. */
static JsonObject *
read_entry (const redisReply *entry, const char **id)
{
  const redisReply *fields = entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 ? entry->element[1] : NULL;
  JsonObject *event;

  if (!fields || fields->type != REDIS_REPLY_ARRAY || entry->element[0]->type != REDIS_REPLY_STRING)
    return NULL;
  *id = entry->element[0]->str;
  event = json_object_new ();
  for (gsize i = 0; i + 1 < fields->elements; i += 2) {
    const redisReply *name = fields->element[i], *value = fields->element[i + 1];

    if (name->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING)
      continue;
    if (strcmp (name->str, "jobId") == 0 || strcmp (name->str, "event") == 0 || strcmp (name->str, "prev") == 0 ||
        strcmp (name->str, "name") == 0 || strcmp (name->str, "failedReason") == 0) {
      g_autofree char *text = g_utf8_make_valid (value->str, value->len);

      json_object_set_string_member (event, strcmp (name->str, "jobId") == 0 ? "id" : name->str, text);
    } else if (g_utf8_validate (name->str, name->len, NULL)) {
      json_object_set_member (event, strcmp (name->str, "data") == 0 ? "progress" : name->str,
                              parse_value (value->str, value->len));
    }
  }
  return event;
}

/* ── Listening ──────────────────────────────────────────────────────────── */

static gboolean
on_later (gpointer user_data)
{
  DerushBullmqEvents *self = user_data;

  if (!self->freed && bullmq_connection_is_ready (self->listener))
    on_listener (self->listener, TRUE, self);
  events_unref (self);
  return G_SOURCE_REMOVE;
}

/* The server refused, as while it loads. */
static void
listen_later (DerushBullmqEvents *self)
{
  g_autoptr (GSource) source = g_timeout_source_new (BLOCK);

  g_source_set_callback (source, on_later, events_ref (self), NULL);
  g_source_attach (source, g_main_context_get_thread_default ());
}

static int
find_queue (DerushBullmqEvents *self, const redisReply *key)
{
  for (guint i = 0; self->queues[i]; i++) {
    g_autofree char *name = g_strdup_printf ("%s:%s:events", self->prefix, self->queues[i]);

    if (g_strcmp0 (name, key->str) == 0)
      return i;
  }
  return -1;
}

static void
on_events (const BullmqAnswer *said, gpointer user_data)
{
  DerushBullmqEvents *self = user_data;
  const redisReply *streams = said->reply;

  for (gsize s = 0; streams && streams->type == REDIS_REPLY_ARRAY && s < streams->elements; s++) {
    const redisReply *stream = streams->element[s];
    int queue = stream->elements == 2 ? find_queue (self, stream->element[0]) : -1;

    for (gsize i = 0; queue >= 0 && i < stream->element[1]->elements && !self->freed; i++) {
      const char *id;
      g_autoptr (JsonObject) event = read_entry (stream->element[1]->element[i], &id);

      if (!event)
        continue;
      set_position (self, queue, id);
      self->func (self->queues[queue], id, event, self->user_data);
    }
  }
  /* Without a connection it goes on with the next one. */
  if (said->reply && !self->freed)
    listen_on (self);
  else if (said->error && !said->lost && !self->freed)
    listen_later (self);
  events_unref (self);
}

static void
listen_on (DerushBullmqEvents *self)
{
  BullmqCommand *command = bullmq_command_new ("XREAD");

  bullmq_command_add (command, "COUNT", -1);
  bullmq_command_add_int (command, MAX_EVENTS);
  bullmq_command_add (command, "BLOCK", -1);
  bullmq_command_add_int (command, BLOCK);
  bullmq_command_add (command, "STREAMS", -1);
  for (guint i = 0; self->queues[i]; i++)
    add_stream (command, self, i);
  for (guint i = 0; self->queues[i]; i++)
    bullmq_command_add (command, self->positions->pdata[i], -1);
  command->patience = (BLOCK + GRACE) * 1000;
  bullmq_connection_send (self->listener, command, BULLMQ_COMMAND_NONE, on_events, events_ref (self));
}

typedef struct {
  DerushBullmqEvents *events;
  guint queue;
} Asked;

static void
on_end_of_stream (const BullmqAnswer *said, gpointer user_data)
{
  Asked *asked = user_data;
  DerushBullmqEvents *self = asked->events;
  const redisReply *reply = said->reply;

  self->asked--;
  if (reply && !self->positions->pdata[asked->queue])
    set_position (self, asked->queue,
                  reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->elements > 0
                      ? reply->element[0]->element[0]->str
                      : "0-0");
  if (!self->freed && self->asked == 0) {
    if (derush_bullmq_events_is_ready (self)) {
      listen_on (self);
      if (!self->told)
        self->ready (self->user_data);
      self->told = TRUE;
    } else if (!said->lost) {
      listen_later (self);
    }
  }
  events_unref (self);
  g_free (asked);
}

static void
on_listener (BullmqConnection *connection, gboolean ready, gpointer user_data)
{
  DerushBullmqEvents *self = user_data;

  if (!ready)
    return;
  if (derush_bullmq_events_is_ready (self)) {
    listen_on (self);
    return;
  }
  for (guint i = 0; self->queues[i]; i++) {
    BullmqCommand *command = bullmq_command_new ("XREVRANGE");
    Asked *asked = g_new0 (Asked, 1);

    add_stream (command, self, i);
    bullmq_command_add (command, "+", -1);
    bullmq_command_add (command, "-", -1);
    bullmq_command_add (command, "COUNT", -1);
    bullmq_command_add_int (command, 1);
    asked->events = events_ref (self);
    asked->queue = i;
    self->asked++;
    bullmq_connection_send (connection, command, BULLMQ_COMMAND_NONE, on_end_of_stream, asked);
  }
}

/**
 * derush_bullmq_events_new:
 * @address: the server
 * @prefix: (nullable): BullMQ's key prefix; %NULL: `bull`
 * @queues: (array zero-terminated=1): names, at least one
 * @ready: called once, when it is known where the streams end: from then on nothing is missed
 * @func: called for everything that happens then
 * @user_data: for both
 *
 * Returns: (transfer full): who listens to the queues, from now on
 */
DerushBullmqEvents *
derush_bullmq_events_new (const DerushRedisAddress *address, const char *prefix, const char *const *queues,
                          DerushBullmqEventsReadyFunc ready, DerushBullmqEventsFunc func, gpointer user_data)
{
  DerushBullmqEvents *self = g_new0 (DerushBullmqEvents, 1);

  g_ref_count_init (&self->references);
  self->prefix = g_strdup (prefix && *prefix ? prefix : "bull");
  self->queues = g_strdupv ((GStrv)queues);
  self->positions = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_set_size (self->positions, g_strv_length (self->queues));
  self->ready = ready;
  self->func = func;
  self->user_data = user_data;
  self->commands = bullmq_connection_new (address, NULL, NULL, NULL);
  self->listener = bullmq_connection_new (address, NULL, on_listener, self);
  bullmq_connection_set_quiet (self->commands);
  bullmq_connection_set_quiet (self->listener);
  bullmq_connection_open (self->commands);
  bullmq_connection_open (self->listener);
  return self;
}

/**
 * derush_bullmq_events_free:
 * @events: (nullable): who listens
 *
 * What is being read ends with an error.
 */
void
derush_bullmq_events_free (DerushBullmqEvents *self)
{
  if (!self)
    return;
  self->freed = TRUE;
  bullmq_connection_close (self->listener);
  bullmq_connection_close (self->commands);
  events_unref (self);
}

/**
 * derush_bullmq_events_is_ready:
 * @events: who listens
 *
 * Returns: whether it is known where all streams end
 */
gboolean
derush_bullmq_events_is_ready (DerushBullmqEvents *self)
{
  for (guint i = 0; self->queues[i]; i++)
    if (!self->positions->pdata[i])
      return FALSE;
  return TRUE;
}

/**
 * derush_bullmq_events_get_position:
 * @events: who listens, and is ready
 * @queue: the number of a queue, as in derush_bullmq_events_new()
 *
 * Returns: the id of the last event of the queue that was heard; `0-0`: of none
 */
const char *
derush_bullmq_events_get_position (DerushBullmqEvents *self, guint queue)
{
  return self->positions->pdata[queue];
}

/* ── Reading what was ───────────────────────────────────────────────────── */

typedef struct {
  GTask *task;
  DerushBullmqEvents *events;
} Reading;

static void
on_range (const BullmqAnswer *said, gpointer user_data)
{
  Reading *reading = user_data;
  const redisReply *entries = said->reply;

  if (said->error) {
    g_task_return_error (reading->task, g_error_copy (said->error));
  } else {
    JsonArray *events = json_array_new ();

    for (gsize i = 0; entries->type == REDIS_REPLY_ARRAY && i < entries->elements; i++) {
      const char *id;
      JsonObject *event = read_entry (entries->element[i], &id);

      if (!event)
        continue;
      json_object_set_string_member (event, "position", id);
      json_array_add_object_element (events, event);
    }
    g_task_return_pointer (reading->task, events, (GDestroyNotify)json_array_unref);
  }
  g_object_unref (reading->task);
  events_unref (reading->events);
  g_free (reading);
}

/**
 * derush_bullmq_events_read_async:
 * @events: who listens
 * @queue: the number of a queue, as in derush_bullmq_events_new()
 * @from: the id of the first event to read
 * @max: how many at most
 * @callback: (nullable): called when they are there
 * @user_data: for @callback
 *
 * Reads what has happened already, as far back as BullMQ keeps it.
 */
void
derush_bullmq_events_read_async (DerushBullmqEvents *self, guint queue, const char *from, guint max,
                                 GAsyncReadyCallback callback, gpointer user_data)
{
  BullmqCommand *command = bullmq_command_new ("XRANGE");
  Reading *reading = g_new0 (Reading, 1);

  reading->task = g_task_new (NULL, NULL, callback, user_data);
  reading->events = events_ref (self);
  add_stream (command, self, queue);
  bullmq_command_add (command, from, -1);
  bullmq_command_add (command, "+", -1);
  bullmq_command_add (command, "COUNT", -1);
  bullmq_command_add_int (command, max);
  bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, on_range, reading);
}

/**
 * derush_bullmq_events_read_finish:
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable) (element-type JsonObject): the events, oldest first, each with its id as `position`
 */
JsonArray *
derush_bullmq_events_read_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
