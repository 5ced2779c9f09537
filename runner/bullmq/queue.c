/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/connection-private.h"
#include "bullmq/pack-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* An operator waits for an answer, so unlike a worker a queue gives up. */
#define PATIENCE_MS 5000
#define MAX_PRIORITY 2097151
#define MAX_EVENTS "10000"

struct _DerushBullmqQueue {
  BullmqConnection *connection;
  char *base;
  gboolean opened, introduced;
};

/**
 * derush_bullmq_queue_new:
 * @address: the server
 * @prefix: (nullable): BullMQ's key prefix; %NULL: `bull`
 * @name: the queue's name
 *
 * Returns: (transfer full): the queue as a producer or an operator sees it; it connects when it is first asked something
 */
DerushBullmqQueue *
derush_bullmq_queue_new (const DerushRedisAddress *address, const char *prefix, const char *name)
{
  DerushBullmqQueue *self = g_new0 (DerushBullmqQueue, 1);

  self->connection = bullmq_connection_new (address, NULL, NULL, NULL);
  bullmq_connection_set_quiet (self->connection);
  self->base = g_strconcat (prefix && *prefix ? prefix : "bull", ":", name, ":", NULL);
  return self;
}

/**
 * derush_bullmq_queue_free:
 * @queue: (nullable): a queue
 *
 * Operations that are under way end with an error of class cancelled.
 */
void
derush_bullmq_queue_free (DerushBullmqQueue *self)
{
  if (!self)
    return;
  bullmq_connection_close (self->connection);
  g_free (self->base);
  g_free (self);
}

/* ── One operation: a task that ends with the last of its answers ───────── */

typedef struct {
  GTask *task;
  DerushBullmqQueue *queue;
  GSource *timer;
  guint n_missing;
  GError *error;
  JsonObject *object;
  char *id;
} Operation;

static void
operation_free (Operation *operation)
{
  g_source_destroy (operation->timer);
  g_source_unref (operation->timer);
  g_clear_error (&operation->error);
  g_clear_pointer (&operation->object, json_object_unref);
  g_free (operation->id);
  g_object_unref (operation->task);
  g_free (operation);
}

static gboolean
on_patience_ended (gpointer user_data)
{
  Operation *operation = user_data;

  /* What is on its way is given its own time; what never left must not be done later. */
  g_source_set_ready_time (operation->timer, -1);
  bullmq_connection_withdraw (operation->queue->connection, operation);
  return G_SOURCE_CONTINUE;
}

static Operation *
operation_new (DerushBullmqQueue *queue, gpointer tag, GCancellable *cancellable, GAsyncReadyCallback callback,
               gpointer user_data)
{
  Operation *operation = g_new0 (Operation, 1);

  operation->task = g_task_new (NULL, cancellable, callback, user_data);
  g_task_set_source_tag (operation->task, tag);
  operation->queue = queue;
  operation->timer = g_timeout_source_new (PATIENCE_MS);
  g_source_set_callback (operation->timer, on_patience_ended, operation, NULL);
  g_source_attach (operation->timer, g_task_get_context (operation->task));
  return operation;
}

static void
operation_send (Operation *operation, BullmqCommand *command, BullmqAnswerFunc func)
{
  operation->n_missing++;
  bullmq_connection_send (operation->queue->connection, command, BULLMQ_COMMAND_NONE, func, operation);
}

static void
operation_start (Operation *operation)
{
  if (operation->queue->opened)
    return;
  operation->queue->opened = TRUE;
  bullmq_connection_open (operation->queue->connection);
}

/* Returns FALSE when there is nothing to read in this answer. */
static gboolean
operation_take (Operation *operation, const BullmqAnswer *said)
{
  operation->n_missing--;
  if (said->error && !operation->error)
    operation->error = g_error_copy (said->error);
  return said->reply != NULL;
}

static void
operation_end_if_complete (Operation *operation)
{
  if (operation->n_missing > 0)
    return;
  if (operation->error)
    g_task_return_error (operation->task, g_steal_pointer (&operation->error));
  else if (operation->id)
    g_task_return_pointer (operation->task, g_steal_pointer (&operation->id), g_free);
  else
    g_task_return_pointer (operation->task, g_steal_pointer (&operation->object), (GDestroyNotify)json_object_unref);
  operation_free (operation);
}

/* ── Adding ─────────────────────────────────────────────────────────────── */

static gboolean
bad_option (GError **error, const char *text)
{
  g_set_error_literal (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_BAD_INPUT, text);
  return FALSE;
}

static gboolean
is_integer (const char *id)
{
  return *id != '\0' && strspn (*id == '-' ? id + 1 : id, "0123456789") == strlen (*id == '-' ? id + 1 : id) &&
         !(id[0] == '0' && id[1] != '\0');
}

static gboolean
check_options (JsonObject *options, GError **error)
{
  static const char *const about_parents[] = {"failParentOnFailure", "continueParentOnFailure",
                                              "ignoreDependencyOnFailure", "removeDependencyOnFailure"};
  const char *id = derush_json_get_string (options, "jobId", NULL);
  double priority = derush_json_get_number (options, "priority", 0);
  JsonObject *deduplication = derush_json_get_object (options, "deduplication");
  guint n_about_parents = 0;

  if (id && (is_integer (id) || strchr (id, ':')))
    return bad_option (error, _ ("The option jobId must not be a whole number nor contain a colon"));
  if (priority != floor (priority) || priority < 0 || priority > MAX_PRIORITY)
    return bad_option (error, _ ("The option priority must be a whole number from 0 to 2097151"));
  if (deduplication && !derush_json_get_string (deduplication, "id", NULL))
    return bad_option (error, _ ("The option deduplication needs an id"));
  if (options && (json_object_has_member (options, "parent") || json_object_has_member (options, "repeat")))
    return bad_option (error, _ ("The options parent and repeat are not for single jobs"));
  for (guint i = 0; i < G_N_ELEMENTS (about_parents); i++)
    n_about_parents += derush_json_get_boolean (options, about_parents[i], FALSE);
  if (n_about_parents > 1)
    return bad_option (error, _ ("Only one of the options about what a failure does to the parent can be set"));
  return TRUE;
}

static const char *
stored_name (const char *name)
{
  static const char *const names[][2] = {
      {"deduplication", "de"},
      {"failParentOnFailure", "fpof"},
      {"continueParentOnFailure", "cpof"},
      {"ignoreDependencyOnFailure", "idof"},
      {"removeDependencyOnFailure", "rdof"},
      {"keepLogs", "kl"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (name, names[i][0]))
      return names[i][1];
  return name;
}

static JsonObject *
stored_options (JsonObject *options)
{
  JsonObject *stored = json_object_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  json_object_set_int_member (stored, "attempts", 0);
  if (!options)
    return stored;
  json_object_iter_init (&iter, options);
  while (json_object_iter_next (&iter, &name, &value)) {
    if (g_str_equal (name, "backoff") && JSON_NODE_HOLDS_VALUE (value)) {
      JsonObject *backoff = json_object_new ();

      json_object_set_string_member (backoff, "type", "fixed");
      json_object_set_member (backoff, "delay", json_node_copy (value));
      json_object_set_object_member (stored, name, backoff);
    } else if (!JSON_NODE_HOLDS_NULL (value)) {
      json_object_set_member (stored, stored_name (name), json_node_copy (value));
    }
  }
  return stored;
}

static void
pack_arguments (DerushBullmqQueue *self, BullmqPack *pack, const char *name, JsonObject *options)
{
  const char *deduplication = derush_json_get_string (derush_json_get_object (options, "de"), "id", NULL);
  g_autofree char *key = deduplication ? g_strconcat (self->base, "de:", deduplication, NULL) : NULL;

  bullmq_pack_array (pack, 10);
  bullmq_pack_string (pack, self->base, -1);
  bullmq_pack_string (pack, derush_json_get_string (options, "jobId", ""), -1);
  bullmq_pack_string (pack, name, -1);
  bullmq_pack_int (pack, derush_json_get_int (options, "timestamp", derush_time_now_ms ()));
  for (guint i = 0; i < 4; i++)
    bullmq_pack_nil (pack);
  bullmq_pack_string (pack, key, -1);
  bullmq_pack_nil (pack);
}

static BullmqCommand *
add_command (DerushBullmqQueue *self, const char *name, const char *data, JsonObject *options)
{
  static const char *const standard[] = {"wait",    "paused", "meta",   "id",     "completed",
                                         "delayed", "active", "events", "marker", NULL};
  static const char *const delayed[] = {"marker", "meta", "id", "delayed", "completed", "events", NULL};
  static const char *const prioritized[] = {"marker",    "meta",   "id",     "prioritized", "delayed",
                                            "completed", "active", "events", "pc",          NULL};
  gboolean delay = derush_json_get_number (options, "delay", 0) > 0,
           priority = derush_json_get_number (options, "priority", 0) > 0;
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), options);
  BullmqCommand *command = bullmq_command_new_script (delay      ? BULLMQ_ADD_DELAYED_JOB
                                                      : priority ? BULLMQ_ADD_PRIORITIZED_JOB
                                                                 : BULLMQ_ADD_STANDARD_JOB);
  g_auto (BullmqPack) arguments = {0}, packed = {0};

  bullmq_pack_init (&arguments);
  bullmq_pack_init (&packed);
  pack_arguments (self, &arguments, name, options);
  bullmq_pack_node (&packed, node);
  bullmq_command_add_keys (command, self->base, delay ? delayed : priority ? prioritized : standard);
  bullmq_command_add (command, arguments.buffer.data, arguments.buffer.size);
  bullmq_command_add (command, data, -1);
  bullmq_command_add (command, packed.buffer.data, packed.buffer.size);
  return command;
}

static void
on_added (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;

  if (operation_take (operation, said)) {
    if (said->reply->type == REDIS_REPLY_STRING)
      operation->id = g_strndup (said->reply->str, said->reply->len);
    else
      operation->error = g_error_new (DERUSH_BULLMQ_ERROR, DERUSH_ERROR_INTERNAL,
                                      _ ("The job could not be added: the script answered %lld"), said->reply->integer);
  }
  operation_end_if_complete (operation);
}

/* What BullMQ's own Queue writes when it is made; boards read it. */
static void
introduce (DerushBullmqQueue *self)
{
  g_autofree char *version = g_strconcat ("bullmq:", bullmq_script_version (), NULL);
  BullmqCommand *command = bullmq_command_new ("HSET");

  bullmq_command_add_key (command, self->base, "meta", -1);
  bullmq_command_add (command, "opts.maxLenEvents", -1);
  bullmq_command_add (command, MAX_EVENTS, -1);
  bullmq_command_add (command, "version", -1);
  bullmq_command_add (command, version, -1);
  bullmq_connection_send (self->connection, command, BULLMQ_COMMAND_NONE, NULL, NULL);
  self->introduced = TRUE;
}

/**
 * derush_bullmq_queue_add_async:
 * @queue: a queue
 * @name: the job's name
 * @data_json: its data, any JSON value
 * @options: (nullable): as `queue.add()` takes them: jobId, delay, priority, lifo, attempts, backoff, removeOnComplete, …
 * @cancellable: (nullable): a cancellable
 * @callback: called when the job is added
 * @user_data: for @callback
 *
 * Adds a job. After an error of class resource it may have been added all the same if the connection broke in between;
 * with a jobId, adding it again is harmless.
 */
void
derush_bullmq_queue_add_async (DerushBullmqQueue *self, const char *name, const char *data_json, JsonObject *options,
                               GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  Operation *operation = operation_new (self, derush_bullmq_queue_add_async, cancellable, callback, user_data);
  g_autoptr (JsonObject) stored = NULL;
  g_autoptr (JsonNode) data = NULL;

  if (!check_options (options, &operation->error) || !(data = derush_json_parse (data_json, -1, &operation->error))) {
    operation_end_if_complete (operation);
    return;
  }
  stored = stored_options (options);
  if (!self->introduced)
    introduce (self);
  operation_send (operation, add_command (self, name, data_json, stored), on_added);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_add_finish:
 * @queue: a queue
 * @result: from the callback
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the job's id
 */
char *
derush_bullmq_queue_add_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ── Reading ────────────────────────────────────────────────────────────── */

typedef enum { FIELD_TEXT, FIELD_JSON, FIELD_NUMBER } FieldType;

static const struct {
  const char *field;
  const char *member;
  FieldType type;
} job_fields[] = {
    {"name", "name", FIELD_TEXT},
    {"data", "data", FIELD_JSON},
    {"opts", "opts", FIELD_JSON},
    {"progress", "progress", FIELD_JSON},
    {"returnvalue", "returnvalue", FIELD_JSON},
    {"failedReason", "failedReason", FIELD_TEXT},
    {"stacktrace", "stacktrace", FIELD_JSON},
    {"atm", "attemptsMade", FIELD_NUMBER},
    {"timestamp", "timestamp", FIELD_NUMBER},
    {"processedOn", "processedOn", FIELD_NUMBER},
    {"finishedOn", "finishedOn", FIELD_NUMBER},
};

static void
set_text (JsonObject *object, const char *member, const redisReply *value)
{
  g_autofree char *text = g_utf8_make_valid (value->str, value->len);

  json_object_set_string_member (object, member, text);
}

static void
set_field (JsonObject *object, guint i, const redisReply *value)
{
  const char *member = job_fields[i].member;
  JsonNode *node;

  switch (job_fields[i].type) {
  case FIELD_TEXT:
    set_text (object, member, value);
    break;
  case FIELD_JSON:
    node = derush_json_parse (value->str, value->len, NULL);
    if (node)
      json_object_set_member (object, member, node);
    else
      set_text (object, member, value);
    break;
  case FIELD_NUMBER:
    json_object_set_int_member (object, member, g_ascii_strtoll (value->str, NULL, 10));
    break;
  }
}

static void
on_hash (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;
  const redisReply *hash = said->reply;

  if (operation_take (operation, said) && hash->type == REDIS_REPLY_ARRAY && hash->elements > 0) {
    json_object_set_int_member (operation->object, "attemptsMade", 0);
    for (gsize i = 0; i + 1 < hash->elements; i += 2)
      for (guint f = 0; f < G_N_ELEMENTS (job_fields); f++)
        if (g_str_equal (hash->element[i]->str, job_fields[f].field))
          set_field (operation->object, f, hash->element[i + 1]);
  } else {
    g_clear_pointer (&operation->object, json_object_unref);
  }
  operation_end_if_complete (operation);
}

static void
on_state (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;

  /* The hash may have been answered first, with nothing. */
  if (operation_take (operation, said) && operation->object && said->reply->type == REDIS_REPLY_STRING)
    set_text (operation->object, "state", said->reply);
  operation_end_if_complete (operation);
}

/**
 * derush_bullmq_queue_get_job_async:
 * @queue: a queue
 * @id: a job's id
 * @cancellable: (nullable): a cancellable
 * @callback: called when the answer is there
 * @user_data: for @callback
 *
 * Reads a job as it stands in Redis, and its state.
 */
void
derush_bullmq_queue_get_job_async (DerushBullmqQueue *self, const char *id, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data)
{
  static const char *const states[] = {"completed", "failed",           "delayed",     "active", "wait",
                                       "paused",    "waiting-children", "prioritized", NULL};
  Operation *operation = operation_new (self, derush_bullmq_queue_get_job_async, cancellable, callback, user_data);
  BullmqCommand *state = bullmq_command_new_script (BULLMQ_GET_STATE_V2), *hash = bullmq_command_new ("HGETALL");

  operation->object = json_object_new ();
  json_object_set_string_member (operation->object, "id", id);
  bullmq_command_add_keys (state, self->base, states);
  bullmq_command_add (state, id, -1);
  bullmq_command_add_key (hash, self->base, id, -1);
  operation_send (operation, state, on_state);
  operation_send (operation, hash, on_hash);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_get_job_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the job's members and its `state`; %NULL without @error if
 * there is no such job
 */
JsonObject *
derush_bullmq_queue_get_job_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static const char *const count_states[][2] = {
    {"wait", "waiting"},
    {"active", "active"},
    {"completed", "completed"},
    {"failed", "failed"},
    {"delayed", "delayed"},
    {"prioritized", "prioritized"},
    {"waiting-children", "waiting-children"},
};

static void
on_counts (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;
  gint64 total = 0;

  if (operation_take (operation, said) && said->reply->type == REDIS_REPLY_ARRAY) {
    for (guint i = 0; i < G_N_ELEMENTS (count_states) && i < said->reply->elements; i++) {
      json_object_set_int_member (operation->object, count_states[i][1], said->reply->element[i]->integer);
      total += said->reply->element[i]->integer;
    }
    json_object_set_int_member (operation->object, "total", total);
  }
  operation_end_if_complete (operation);
}

static void
on_paused (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;

  if (operation_take (operation, said))
    json_object_set_boolean_member (operation->object, "paused", said->reply->integer != 0);
  operation_end_if_complete (operation);
}

/**
 * derush_bullmq_queue_get_counts_async:
 * @queue: a queue
 * @cancellable: (nullable): a cancellable
 * @callback: called when the answer is there
 * @user_data: for @callback
 *
 * Counts the jobs of each state.
 */
void
derush_bullmq_queue_get_counts_async (DerushBullmqQueue *self, GCancellable *cancellable, GAsyncReadyCallback callback,
                                      gpointer user_data)
{
  Operation *operation = operation_new (self, derush_bullmq_queue_get_counts_async, cancellable, callback, user_data);
  BullmqCommand *counts = bullmq_command_new_script (BULLMQ_GET_COUNTS), *paused = bullmq_command_new ("HEXISTS");

  operation->object = json_object_new ();
  bullmq_command_add_key (counts, self->base, "", 0);
  for (guint i = 0; i < G_N_ELEMENTS (count_states); i++)
    bullmq_command_add (counts, count_states[i][0], -1);
  bullmq_command_add_key (paused, self->base, "meta", -1);
  bullmq_command_add (paused, "paused", -1);
  operation_send (operation, counts, on_counts);
  operation_send (operation, paused, on_paused);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_get_counts_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): a number by the name of each state; %NULL on error
 */
JsonObject *
derush_bullmq_queue_get_counts_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
