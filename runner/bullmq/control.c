/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * What the processes of one prefix tell each other beside BullMQ, which knows no way to stop a job that another process
 * runs. The keys, behind the prefix:
 *
 *   :derush:control             stream: field `message` is JSON, such as {"command":"cancel","queue":"…","id":"…"}; every
 *                               daemon reads it and does what concerns its own jobs
 *   :derush:cancel:QUEUE:ID     there as long as that job is to be cancelled: for a daemon that gets the job later
 *   :derush:executions          hash: what has the name, of everything that may exist once only
 *
 * A stream and not a channel: who reconnects reads what it has missed.
 */

#include "bullmq/connection-private.h"

#include <string.h>

#define STREAM ":derush:control"
#define NAMES ":derush:executions"
#define MAX_MESSAGES 1000

/* How long XREAD may block, and how much later the server has to have answered, in ms. */
#define BLOCK 5000
#define GRACE 2000

/* How long a wish to cancel outlives its message, in s, and how long an asker waits for an answer, in ms. */
#define CANCEL_LIFE (7 * 24 * 3600)
#define PATIENCE 5000

/* Takes a name that nobody has, or that only ARGV[3] has; says who has it now. */
static const char claim_script[] =
    "local v=redis.call('HGET',KEYS[1],ARGV[1]) "
    "if not v or v==ARGV[3] then redis.call('HSET',KEYS[1],ARGV[1],ARGV[2]) return ARGV[2] end "
    "return v";
static const char leave_script[] = "if redis.call('HGET',KEYS[1],ARGV[1])==ARGV[2] then "
                                   "return redis.call('HDEL',KEYS[1],ARGV[1]) end return 0";

struct _DerushBullmqControl {
  grefcount references;
  char *prefix;
  BullmqConnection *commands, *listener; /* %NULL: closed, or not needed yet */
  DerushRedisAddress *address;
  char *last; /* the id of the last message that was read */
  DerushBullmqControlFunc func;
  gpointer user_data;
  gboolean freed;
};

static DerushBullmqControl *
control_ref (DerushBullmqControl *self)
{
  g_ref_count_inc (&self->references);
  return self;
}

static void
control_unref (DerushBullmqControl *self)
{
  if (!g_ref_count_dec (&self->references))
    return;
  g_free (self->prefix);
  g_free (self->last);
  derush_redis_address_free (self->address);
  g_free (self);
}

/**
 * derush_bullmq_control_new:
 * @address: the server
 * @prefix: (nullable): BullMQ's key prefix; %NULL: `bull`
 *
 * Returns: (transfer full): one side of what is said beside the queues; it connects when it is first used
 */
DerushBullmqControl *
derush_bullmq_control_new (const DerushRedisAddress *address, const char *prefix)
{
  DerushBullmqControl *self = g_new0 (DerushBullmqControl, 1);

  g_ref_count_init (&self->references);
  self->address = derush_redis_address_copy (address);
  self->prefix = g_strdup (prefix && *prefix ? prefix : "bull");
  return self;
}

/**
 * derush_bullmq_control_free:
 * @control: (nullable): one side
 *
 * Operations that are under way end with an error of class cancelled.
 */
void
derush_bullmq_control_free (DerushBullmqControl *self)
{
  if (!self)
    return;
  self->freed = TRUE;
  if (self->listener)
    bullmq_connection_close (g_steal_pointer (&self->listener));
  if (self->commands)
    bullmq_connection_close (g_steal_pointer (&self->commands));
  control_unref (self);
}

/* ── Listening ──────────────────────────────────────────────────────────── */

static void listen_on (DerushBullmqControl *self);
static void on_listener (BullmqConnection *connection, gboolean ready, gpointer user_data);

static gboolean
on_later (gpointer user_data)
{
  DerushBullmqControl *self = user_data;

  if (self->listener && !self->freed && bullmq_connection_is_ready (self->listener))
    on_listener (self->listener, TRUE, self);
  control_unref (self);
  return G_SOURCE_REMOVE;
}

/* The server refused, as while it loads. */
static void
listen_later (DerushBullmqControl *self)
{
  g_autoptr (GSource) source = g_timeout_source_new (BLOCK);

  g_source_set_callback (source, on_later, control_ref (self), NULL);
  g_source_attach (source, g_main_context_get_thread_default ());
}

static void
take_message (DerushBullmqControl *self, const redisReply *entry)
{
  const redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;

  if (!fields || fields->type != REDIS_REPLY_ARRAY || entry->element[0]->type != REDIS_REPLY_STRING)
    return;
  g_free (self->last);
  self->last = g_strdup (entry->element[0]->str);
  for (gsize i = 0; i + 1 < fields->elements; i += 2) {
    g_autoptr (JsonObject) message = NULL;

    if (g_strcmp0 (fields->element[i]->str, "message") != 0)
      continue;
    message = derush_json_parse_object (fields->element[i + 1]->str, fields->element[i + 1]->len, NULL);
    if (message && !self->freed)
      self->func (message, self->user_data);
  }
}

static void
on_messages (const BullmqAnswer *said, gpointer user_data)
{
  DerushBullmqControl *self = user_data;
  const redisReply *streams = said->reply, *entries = NULL;

  if (streams && streams->type == REDIS_REPLY_ARRAY && streams->elements == 1 && streams->element[0]->elements == 2)
    entries = streams->element[0]->element[1];
  for (gsize i = 0; entries && i < entries->elements; i++)
    take_message (self, entries->element[i]);
  /* Without a connection it goes on with the next one. */
  if (said->reply && self->listener && !self->freed)
    listen_on (self);
  else if (said->error && !said->lost)
    listen_later (self);
  control_unref (self);
}

static void
listen_on (DerushBullmqControl *self)
{
  BullmqCommand *command = bullmq_command_new ("XREAD");

  bullmq_command_add (command, "COUNT", -1);
  bullmq_command_add_int (command, 100);
  bullmq_command_add (command, "BLOCK", -1);
  bullmq_command_add_int (command, BLOCK);
  bullmq_command_add (command, "STREAMS", -1);
  bullmq_command_add_key (command, self->prefix, STREAM, -1);
  bullmq_command_add (command, self->last, -1);
  command->patience = (BLOCK + GRACE) * 1000;
  bullmq_connection_send (self->listener, command, BULLMQ_COMMAND_NONE, on_messages, control_ref (self));
}

/* Where the stream ends now: messages of before concern jobs of before, which have their keys. */
static void
on_end_of_stream (const BullmqAnswer *said, gpointer user_data)
{
  DerushBullmqControl *self = user_data;
  const redisReply *reply = said->reply;

  if (reply && self->listener && !self->freed) {
    if (!self->last)
      self->last = g_strdup (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->elements > 0
                                 ? reply->element[0]->element[0]->str
                                 : "0-0");
    listen_on (self);
  } else if (said->error && !said->lost) {
    listen_later (self);
  }
  control_unref (self);
}

static void
on_listener (BullmqConnection *connection, gboolean ready, gpointer user_data)
{
  DerushBullmqControl *self = user_data;
  BullmqCommand *command;

  if (!ready)
    return;
  if (self->last) {
    listen_on (self);
    return;
  }
  command = bullmq_command_new ("XREVRANGE");
  bullmq_command_add_key (command, self->prefix, STREAM, -1);
  bullmq_command_add (command, "+", -1);
  bullmq_command_add (command, "-", -1);
  bullmq_command_add (command, "COUNT", -1);
  bullmq_command_add_int (command, 1);
  bullmq_connection_send (connection, command, BULLMQ_COMMAND_NONE, on_end_of_stream, control_ref (self));
}

/**
 * derush_bullmq_control_listen:
 * @control: one side
 * @func: called for each message
 * @user_data: for @func
 *
 * Listens from now on until the end.
 */
void
derush_bullmq_control_listen (DerushBullmqControl *self, DerushBullmqControlFunc func, gpointer user_data)
{
  g_return_if_fail (self->listener == NULL);
  self->func = func;
  self->user_data = user_data;
  self->listener = bullmq_connection_new (self->address, NULL, on_listener, self);
  bullmq_connection_set_quiet (self->listener);
  bullmq_connection_open (self->listener);
}

/* ── Asking ─────────────────────────────────────────────────────────────── */

typedef struct {
  GTask *task;
  DerushBullmqControl *control;
  GSource *timer;
} Question;

static gboolean
on_patience_ended (gpointer user_data)
{
  Question *question = user_data;

  g_source_set_ready_time (question->timer, -1);
  bullmq_connection_withdraw (question->control->commands, question);
  return G_SOURCE_CONTINUE;
}

static JsonNode *
node_of (const redisReply *reply)
{
  g_autofree char *text = NULL;
  JsonArray *array;
  JsonNode *node;

  switch (reply->type) {
  case REDIS_REPLY_INTEGER:
    return json_node_init_int (json_node_alloc (), reply->integer);
  case REDIS_REPLY_STRING:
  case REDIS_REPLY_STATUS:
    text = g_utf8_make_valid (reply->str, reply->len);
    return json_node_init_string (json_node_alloc (), text);
  case REDIS_REPLY_ARRAY:
    array = json_array_new ();
    for (gsize i = 0; i < reply->elements; i++)
      json_array_add_element (array, node_of (reply->element[i]));
    node = json_node_init_array (json_node_alloc (), array);
    json_array_unref (array);
    return node;
  default:
    return json_node_init_null (json_node_alloc ());
  }
}

static void
on_answer (const BullmqAnswer *said, gpointer user_data)
{
  Question *question = user_data;

  if (said->reply && !said->error)
    g_task_return_pointer (question->task, node_of (said->reply), (GDestroyNotify)json_node_unref);
  else
    g_task_return_error (question->task, g_error_copy (said->error));
  g_source_destroy (question->timer);
  g_source_unref (question->timer);
  g_object_unref (question->task);
  control_unref (question->control);
  g_free (question);
}

static void
open_commands (DerushBullmqControl *self)
{
  if (self->commands)
    return;
  self->commands = bullmq_connection_new (self->address, NULL, NULL, NULL);
  bullmq_connection_set_quiet (self->commands);
  bullmq_connection_open (self->commands);
}

static void
ask (DerushBullmqControl *self, BullmqCommand *command, GAsyncReadyCallback callback, gpointer user_data)
{
  Question *question = g_new0 (Question, 1);

  open_commands (self);
  question->task = g_task_new (NULL, NULL, callback, user_data);
  question->control = control_ref (self);
  question->timer = g_timeout_source_new (PATIENCE);
  g_source_set_callback (question->timer, on_patience_ended, question, NULL);
  g_source_attach (question->timer, g_task_get_context (question->task));
  bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, on_answer, question);
}

static void
tell (DerushBullmqControl *self, BullmqCommand *command)
{
  open_commands (self);
  bullmq_connection_send (self->commands, command, BULLMQ_COMMAND_NONE, NULL, NULL);
}

static char *
cancel_name (const char *queue, const char *id)
{
  return g_strconcat (":derush:cancel:", queue, ":", id, NULL);
}

/**
 * derush_bullmq_control_cancel_async:
 * @control: one side
 * @queue: the queue of a job
 * @id: its id
 * @callback: called when Redis knows it
 * @user_data: for @callback
 *
 * Tells every listener that the job is to be stopped, and keeps that for whoever gets it later.
 */
void
derush_bullmq_control_cancel_async (DerushBullmqControl *self, const char *queue, const char *id,
                                    GAsyncReadyCallback callback, gpointer user_data)
{
  BullmqCommand *keep = bullmq_command_new ("SET"), *command = bullmq_command_new ("XADD");
  g_autofree char *name = cancel_name (queue, id), *text = NULL;
  g_autoptr (JsonObject) message = json_object_new ();

  bullmq_command_add_key (keep, self->prefix, name, -1);
  bullmq_command_add_int (keep, derush_time_now_ms ());
  bullmq_command_add (keep, "EX", -1);
  bullmq_command_add_int (keep, CANCEL_LIFE);
  tell (self, keep);
  json_object_set_string_member (message, "command", "cancel");
  json_object_set_string_member (message, "queue", queue);
  json_object_set_string_member (message, "id", id);
  text = derush_json_object_to_string (message);
  bullmq_command_add_key (command, self->prefix, STREAM, -1);
  bullmq_command_add (command, "MAXLEN", -1);
  bullmq_command_add (command, "~", -1);
  bullmq_command_add_int (command, MAX_MESSAGES);
  bullmq_command_add (command, "*", -1);
  bullmq_command_add (command, "message", -1);
  bullmq_command_add (command, text, -1);
  ask (self, command, callback, user_data);
}

gboolean
derush_bullmq_control_cancel_finish (DerushBullmqControl *self, GAsyncResult *result, GError **error)
{
  g_autoptr (JsonNode) node = g_task_propagate_pointer (G_TASK (result), error);

  return node != NULL;
}

/**
 * derush_bullmq_control_is_cancelled_async:
 * @control: one side
 * @queue: the queue of a job
 * @id: its id
 * @callback: called when Redis has answered
 * @user_data: for @callback
 *
 * Asks whether someone wants the job stopped.
 */
void
derush_bullmq_control_is_cancelled_async (DerushBullmqControl *self, const char *queue, const char *id,
                                          GAsyncReadyCallback callback, gpointer user_data)
{
  BullmqCommand *command = bullmq_command_new ("EXISTS");
  g_autofree char *name = cancel_name (queue, id);

  bullmq_command_add_key (command, self->prefix, name, -1);
  ask (self, command, callback, user_data);
}

gboolean
derush_bullmq_control_is_cancelled_finish (DerushBullmqControl *self, GAsyncResult *result, GError **error)
{
  g_autoptr (JsonNode) node = g_task_propagate_pointer (G_TASK (result), error);

  return node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_int (node) > 0;
}

/* The job has ended: a later one of that id, or another try, is not meant. */
void
derush_bullmq_control_forget_cancel (DerushBullmqControl *self, const char *queue, const char *id)
{
  BullmqCommand *command = bullmq_command_new ("DEL");
  g_autofree char *name = cancel_name (queue, id);

  bullmq_command_add_key (command, self->prefix, name, -1);
  tell (self, command);
}

static BullmqCommand *
names_script (DerushBullmqControl *self, const char *script)
{
  BullmqCommand *command = bullmq_command_new ("EVAL");

  bullmq_command_add (command, script, -1);
  bullmq_command_add_int (command, 1);
  bullmq_command_add_key (command, self->prefix, NAMES, -1);
  return command;
}

/**
 * derush_bullmq_control_claim_async:
 * @control: one side
 * @name: a name that only one may have
 * @owner: who wants it
 * @instead_of: (nullable): who may have had it and is no more
 * @callback: called when Redis has answered
 * @user_data: for @callback
 *
 * Takes a name.
 */
void
derush_bullmq_control_claim_async (DerushBullmqControl *self, const char *name, const char *owner,
                                   const char *instead_of, GAsyncReadyCallback callback, gpointer user_data)
{
  BullmqCommand *command = names_script (self, claim_script);

  bullmq_command_add (command, name, -1);
  bullmq_command_add (command, owner, -1);
  bullmq_command_add (command, instead_of ? instead_of : "", -1);
  ask (self, command, callback, user_data);
}

/**
 * derush_bullmq_control_claim_finish:
 * @control: one side
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): who has the name now
 */
char *
derush_bullmq_control_claim_finish (DerushBullmqControl *self, GAsyncResult *result, GError **error)
{
  g_autoptr (JsonNode) node = g_task_propagate_pointer (G_TASK (result), error);

  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_dup_string (node) : NULL;
}

/* Gives a name back, if @owner has it. */
void
derush_bullmq_control_leave (DerushBullmqControl *self, const char *name, const char *owner)
{
  BullmqCommand *command = names_script (self, leave_script);

  bullmq_command_add (command, name, -1);
  bullmq_command_add (command, owner, -1);
  tell (self, command);
}

/**
 * derush_bullmq_control_list_async:
 * @control: one side
 * @callback: called when Redis has answered
 * @user_data: for @callback
 *
 * Asks for all names that are taken.
 */
void
derush_bullmq_control_list_async (DerushBullmqControl *self, GAsyncReadyCallback callback, gpointer user_data)
{
  BullmqCommand *command = bullmq_command_new ("HGETALL");

  bullmq_command_add_key (command, self->prefix, NAMES, -1);
  ask (self, command, callback, user_data);
}

/**
 * derush_bullmq_control_list_finish:
 * @control: one side
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): name → owner
 */
JsonObject *
derush_bullmq_control_list_finish (DerushBullmqControl *self, GAsyncResult *result, GError **error)
{
  g_autoptr (JsonNode) node = g_task_propagate_pointer (G_TASK (result), error);
  JsonArray *pairs = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  JsonObject *names;

  if (!node)
    return NULL;
  names = json_object_new ();
  for (guint i = 0; pairs && i + 1 < json_array_get_length (pairs); i += 2)
    json_object_set_string_member (names, json_array_get_string_element (pairs, i),
                                   json_array_get_string_element (pairs, i + 1));
  return names;
}

/**
 * derush_bullmq_control_has_worker_async:
 * @control: one side
 * @queue: a queue
 * @callback: called when Redis has answered
 * @user_data: for @callback
 *
 * Asks whether any worker, ours or one in Node, takes jobs from @queue now.
 */
void
derush_bullmq_control_has_worker_async (DerushBullmqControl *self, const char *queue, GAsyncReadyCallback callback,
                                        gpointer user_data)
{
  BullmqCommand *command = bullmq_command_new ("CLIENT");

  bullmq_command_add (command, "LIST", -1);
  ask (self, command, callback, user_data);
}

/**
 * derush_bullmq_control_has_worker_finish:
 * @control: one side
 * @queue: the queue
 * @result: what the callback was given
 * @error: return location for an error, such as that of a server that does not say who is connected
 *
 * Returns: whether there is one
 */
gboolean
derush_bullmq_control_has_worker_finish (DerushBullmqControl *self, const char *queue, GAsyncResult *result,
                                         GError **error)
{
  g_autoptr (JsonNode) node = g_task_propagate_pointer (G_TASK (result), error);
  g_autofree char *encoded = g_base64_encode ((const guchar *)queue, strlen (queue)), *name = NULL;
  const char *text = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL, *found;

  /* The names that workers give their connections, alone or before `:w:` and a name of their own. */
  name = g_strconcat (" name=", self->prefix, ":", encoded, NULL);
  for (found = text ? strstr (text, name) : NULL; found; found = strstr (found + 1, name))
    if (found[strlen (name)] == ' ' || g_str_has_prefix (found + strlen (name), ":w:"))
      return TRUE;
  return FALSE;
}

/* ── Jobs that others run ───────────────────────────────────────────────── */

/**
 * derush_bullmq_control_set_progress:
 * @control: one side
 * @queue: the queue of a job
 * @id: its id
 * @progress_json: any JSON value
 *
 * Sets the progress of a job that need not be held, such as one that waits for its children. Best effort.
 */
void
derush_bullmq_control_set_progress (DerushBullmqControl *self, const char *queue, const char *id,
                                    const char *progress_json)
{
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_UPDATE_PROGRESS);
  g_autofree char *base = g_strconcat (self->prefix, ":", queue, ":", NULL);

  bullmq_command_add_key (command, base, id, -1);
  bullmq_command_add_keys (command, base, (const char *const[]){"events", "meta", NULL});
  bullmq_command_add (command, id, -1);
  bullmq_command_add (command, progress_json, -1);
  tell (self, command);
}

/**
 * derush_bullmq_control_wake_async:
 * @control: one side
 * @queue: the queue of a job
 * @id: its id
 * @callback: (nullable): called when Redis has answered
 * @user_data: for @callback
 *
 * Lets a job go on that waits for its children, though some of them may not have ended; any other job stays where it is.
 */
void
derush_bullmq_control_wake_async (DerushBullmqControl *self, const char *queue, const char *id,
                                  GAsyncReadyCallback callback, gpointer user_data)
{
  ask (self, bullmq_command_new_wake (self->prefix, queue, id), callback, user_data);
}

gboolean
derush_bullmq_control_wake_finish (DerushBullmqControl *self, GAsyncResult *result, GError **error)
{
  g_autoptr (JsonNode) node = g_task_propagate_pointer (G_TASK (result), error);

  return node != NULL;
}

/*
 * BullMQ's script moves a parent that waits and whose set of pending children is empty, and is told which set that is:
 * one that is never there lets the parent go on in every case.
 */
BullmqCommand *
bullmq_command_new_wake (const char *prefix, const char *queue, const char *id)
{
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_RELEASE_PARENT_IF_NO_PENDING_DEPENDENCIES);
  g_autofree char *key = g_strconcat (prefix, ":", queue, NULL), *base = g_strconcat (key, ":", NULL),
                  *none = g_strconcat (id, ":derush:none", NULL);

  bullmq_command_add_key (command, base, id, -1);
  bullmq_command_add_key (command, base, none, -1);
  bullmq_command_add (command, key, -1);
  bullmq_command_add (command, id, -1);
  bullmq_command_add_int (command, derush_time_now_ms ());
  return command;
}
