/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/add-private.h"
#include "bullmq/connection-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* An operator waits for an answer, so unlike a worker a queue gives up. */
#define PATIENCE_MS 5000
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
  gboolean answers_boolean, done;
  gboolean paused;
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
  else if (operation->answers_boolean)
    g_task_return_boolean (operation->task, operation->done);
  else if (operation->id)
    g_task_return_pointer (operation->task, g_steal_pointer (&operation->id), g_free);
  else
    g_task_return_pointer (operation->task, g_steal_pointer (&operation->object), (GDestroyNotify)json_object_unref);
  operation_free (operation);
}

/* ── Adding ────────────────────────────────────────────────────────────── */

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

  if (!bullmq_add_check_options (options, &operation->error) ||
      !(data = derush_json_parse (data_json, -1, &operation->error))) {
    operation_end_if_complete (operation);
    return;
  }
  stored = bullmq_add_stored_options (options);
  if (!self->introduced)
    introduce (self);
  operation_send (operation, bullmq_add_command (self->base, name, data_json, stored, NULL), on_added);
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

static void
on_listed (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;
  JsonArray *ids = json_array_new ();

  if (operation_take (operation, said) && said->reply->type == REDIS_REPLY_ARRAY)
    for (gsize i = 0; i < said->reply->elements; i++)
      if (said->reply->element[i]->type == REDIS_REPLY_STRING &&
          g_utf8_validate (said->reply->element[i]->str, said->reply->element[i]->len, NULL))
        json_array_add_string_element (ids, said->reply->element[i]->str);
  json_object_set_array_member (operation->object, "ids", ids);
  operation_end_if_complete (operation);
}

/**
 * derush_bullmq_queue_list_async:
 * @queue: a queue
 * @state: `completed`, `failed`, `wait`, `active`, `delayed`, `prioritized` or `waiting-children`
 * @n: how many at most
 * @cancellable: (nullable): a cancellable
 * @callback: called when the answer is there
 * @user_data: for @callback
 *
 * Lists jobs of a state.
 */
void
derush_bullmq_queue_list_async (DerushBullmqQueue *self, const char *state, guint n, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data)
{
  Operation *operation = operation_new (self, derush_bullmq_queue_list_async, cancellable, callback, user_data);
  /* What waits and what is being run are lists, to which new ones are added in front. */
  BullmqCommand *command =
      bullmq_command_new (strcmp (state, "wait") == 0 || strcmp (state, "active") == 0 ? "LRANGE" : "ZREVRANGE");

  operation->object = json_object_new ();
  bullmq_command_add_key (command, self->base, state, -1);
  bullmq_command_add_int (command, 0);
  bullmq_command_add_int (command, (gint64)n - 1);
  operation_send (operation, command, on_listed);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_list_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): `{ids: […]}`, the newest first; %NULL on error
 */
JsonObject *
derush_bullmq_queue_list_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ── Removing ───────────────────────────────────────────────────────────── */

static void
on_removed (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;

  if (operation_take (operation, said)) {
    operation->done = said->reply->type != REDIS_REPLY_INTEGER || said->reply->integer == 1;
    if (said->reply->type == REDIS_REPLY_INTEGER && said->reply->integer < 0)
      operation->error =
          g_error_new_literal (DERUSH_BULLMQ_ERROR, DERUSH_ERROR_BAD_INPUT,
                               _ ("The job belongs to a job scheduler and cannot be removed alone; remove that"));
  }
  operation_end_if_complete (operation);
}

/**
 * derush_bullmq_queue_remove_async:
 * @queue: a queue
 * @id: a job's id
 * @remove_children: whether its children go too, of whatever queue and state
 * @cancellable: (nullable): a cancellable
 * @callback: called when it is done
 * @user_data: for @callback
 *
 * Removes a job and all that belongs to it, whatever its state, unless it is being run. A parent that waited for it alone
 * goes on without it.
 */
void
derush_bullmq_queue_remove_async (DerushBullmqQueue *self, const char *id, gboolean remove_children,
                                  GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  Operation *operation = operation_new (self, derush_bullmq_queue_remove_async, cancellable, callback, user_data);
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_REMOVE_JOB);

  operation->answers_boolean = TRUE;
  bullmq_command_add_keys (command, self->base, (const char *const[]){id, "repeat", NULL});
  bullmq_command_add (command, id, -1);
  bullmq_command_add_int (command, remove_children ? 1 : 0);
  bullmq_command_add (command, self->base, -1);
  operation_send (operation, command, on_removed);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_remove_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error; of class bad input for a job of a job scheduler
 *
 * Returns: %TRUE if the job is gone, or never was; %FALSE without @error if nothing was removed as the job, or with
 *   `remove_children` an unfinished child of it, is being run
 */
gboolean
derush_bullmq_queue_remove_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * derush_bullmq_queue_remove_unprocessed_children_async:
 * @queue: a queue
 * @id: the id of a parent
 * @cancellable: (nullable): a cancellable
 * @callback: called when it is done
 * @user_data: for @callback
 *
 * Removes the children of a job that have not ended and are not being run, of whatever queue, and theirs. If it waited for
 * them and none is left, it goes on.
 */
void
derush_bullmq_queue_remove_unprocessed_children_async (DerushBullmqQueue *self, const char *id,
                                                       GCancellable *cancellable, GAsyncReadyCallback callback,
                                                       gpointer user_data)
{
  Operation *operation =
      operation_new (self, derush_bullmq_queue_remove_unprocessed_children_async, cancellable, callback, user_data);
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_REMOVE_UNPROCESSED_CHILDREN);

  operation->answers_boolean = TRUE;
  bullmq_command_add_keys (command, self->base, (const char *const[]){id, "meta", NULL});
  bullmq_command_add (command, self->base, -1);
  bullmq_command_add (command, id, -1);
  operation_send (operation, command, on_removed);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_remove_unprocessed_children_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: %TRUE if no child waits to be run any more
 */
gboolean
derush_bullmq_queue_remove_unprocessed_children_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ── Trying again ───────────────────────────────────────────────────────── */

static void
on_retried (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;

  if (operation_take (operation, said))
    operation->done = said->reply->type == REDIS_REPLY_INTEGER && said->reply->integer == 1;
  operation_end_if_complete (operation);
}

/**
 * derush_bullmq_queue_retry_async:
 * @queue: a queue
 * @id: a job's id
 * @state: the state it ended in: `failed` or `completed`
 * @cancellable: (nullable): a cancellable
 * @callback: called when it is done
 * @user_data: for @callback
 *
 * What `job.retry()` does: the job waits again, as if it had never been tried.
 */
void
derush_bullmq_queue_retry_async (DerushBullmqQueue *self, const char *id, const char *state, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data)
{
  const char *keys[] = {id, "events", state, "wait", "meta", "active", "marker", "prioritized", "pc", NULL};
  Operation *operation = operation_new (self, derush_bullmq_queue_retry_async, cancellable, callback, user_data);
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_REPROCESS_JOB);

  operation->answers_boolean = TRUE;
  bullmq_command_add_keys (command, self->base, keys);
  bullmq_command_add (command, id, -1);
  bullmq_command_add (command, "LPUSH", -1);
  bullmq_command_add (command, g_str_equal (state, "failed") ? "failedReason" : "returnvalue", -1);
  bullmq_command_add (command, state, -1);
  bullmq_command_add (command, "1", -1);
  bullmq_command_add (command, "1", -1);
  operation_send (operation, command, on_retried);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_retry_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: %TRUE if the job waits; %FALSE without @error if it was not in the state that was named
 */
gboolean
derush_bullmq_queue_retry_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
on_promoted (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;

  if (operation_take (operation, said))
    operation->done = said->reply->type == REDIS_REPLY_INTEGER && said->reply->integer == 0;
  operation_end_if_complete (operation);
}

/**
 * derush_bullmq_queue_promote_async:
 * @queue: a queue
 * @id: a job's id
 * @cancellable: (nullable): a cancellable
 * @callback: called when it is done
 * @user_data: for @callback
 *
 * What `job.promote()` does: a job that is delayed waits for its turn instead.
 */
void
derush_bullmq_queue_promote_async (DerushBullmqQueue *self, const char *id, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data)
{
  static const char *const keys[] = {"delayed", "wait", "paused", "meta",   "prioritized",
                                     "active",  "pc",   "events", "marker", NULL};
  Operation *operation = operation_new (self, derush_bullmq_queue_promote_async, cancellable, callback, user_data);
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_PROMOTE);

  operation->answers_boolean = TRUE;
  bullmq_command_add_keys (command, self->base, keys);
  bullmq_command_add (command, self->base, -1);
  bullmq_command_add (command, id, -1);
  operation_send (operation, command, on_promoted);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_promote_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: %TRUE if the job waits; %FALSE without @error if it is not delayed
 */
gboolean
derush_bullmq_queue_promote_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ── Pausing ────────────────────────────────────────────────────────────── */

static void send_paused (Operation *operation, gboolean emit_event);

/* Older versions moved the jobs of a paused queue to another list; a part of them comes back with each call. */
static void
on_pause_set (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;

  if (operation_take (operation, said)) {
    operation->done = TRUE;
    if (!operation->paused && said->reply->type == REDIS_REPLY_INTEGER && said->reply->integer > 0)
      send_paused (operation, FALSE);
  }
  operation_end_if_complete (operation);
}

static void
send_paused (Operation *operation, gboolean emit_event)
{
  const char *keys[] = {operation->paused ? "wait" : "paused",
                        operation->paused ? "paused" : "wait",
                        "meta",
                        "prioritized",
                        "events",
                        "delayed",
                        "marker",
                        NULL};
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_PAUSE);

  bullmq_command_add_keys (command, operation->queue->base, keys);
  bullmq_command_add (command, operation->paused ? "paused" : "resumed", -1);
  bullmq_command_add (command, emit_event ? "1" : "0", -1);
  operation_send (operation, command, on_pause_set);
}

/**
 * derush_bullmq_queue_set_paused_async:
 * @queue: a queue
 * @paused: whether its jobs are to wait
 * @cancellable: (nullable): a cancellable
 * @callback: called when it is done
 * @user_data: for @callback
 *
 * What `queue.pause()` and `queue.resume()` do: no worker of the queue, wherever it runs, begins another job until it is
 * resumed. Doing it twice is harmless.
 */
void
derush_bullmq_queue_set_paused_async (DerushBullmqQueue *self, gboolean paused, GCancellable *cancellable,
                                      GAsyncReadyCallback callback, gpointer user_data)
{
  Operation *operation = operation_new (self, derush_bullmq_queue_set_paused_async, cancellable, callback, user_data);

  operation->answers_boolean = TRUE;
  operation->paused = paused;
  send_paused (operation, TRUE);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_set_paused_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: %TRUE if it is done
 */
gboolean
derush_bullmq_queue_set_paused_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ── What a job has logged ──────────────────────────────────────────────── */

static void
on_log_rows (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;
  JsonArray *rows = json_array_new ();

  if (operation_take (operation, said) && said->reply->type == REDIS_REPLY_ARRAY)
    for (gsize i = 0; i < said->reply->elements; i++) {
      g_autofree char *row = g_utf8_make_valid (said->reply->element[i]->str, said->reply->element[i]->len);

      json_array_add_string_element (rows, row);
    }
  json_object_set_array_member (operation->object, "logs", rows);
  operation_end_if_complete (operation);
}

static void
on_log_count (const BullmqAnswer *said, gpointer user_data)
{
  Operation *operation = user_data;

  if (operation_take (operation, said))
    json_object_set_int_member (operation->object, "count", said->reply->integer);
  operation_end_if_complete (operation);
}

/**
 * derush_bullmq_queue_get_logs_async:
 * @queue: a queue
 * @id: a job's id
 * @start: the first row, from 0
 * @n_rows: how many at most, from 1
 * @cancellable: (nullable): a cancellable
 * @callback: called when the answer is there
 * @user_data: for @callback
 *
 * Reads what was logged of a job.
 */
void
derush_bullmq_queue_get_logs_async (DerushBullmqQueue *self, const char *id, guint start, guint n_rows,
                                    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  Operation *operation = operation_new (self, derush_bullmq_queue_get_logs_async, cancellable, callback, user_data);
  BullmqCommand *rows = bullmq_command_new ("LRANGE"), *count = bullmq_command_new ("LLEN");
  g_autofree char *name = g_strconcat (id, ":logs", NULL);

  operation->object = json_object_new ();
  bullmq_command_add_key (rows, self->base, name, -1);
  bullmq_command_add_int (rows, start);
  bullmq_command_add_int (rows, (gint64)start + n_rows - 1);
  bullmq_command_add_key (count, self->base, name, -1);
  operation_send (operation, rows, on_log_rows);
  operation_send (operation, count, on_log_count);
  operation_start (operation);
}

/**
 * derush_bullmq_queue_get_logs_finish:
 * @queue: a queue
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): `{logs, count}`: the rows, and how many there are in all
 */
JsonObject *
derush_bullmq_queue_get_logs_finish (DerushBullmqQueue *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
