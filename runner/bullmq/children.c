/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/add-private.h"
#include "bullmq/worker-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* The key of a job's hash; ids are bytes of any kind. */
static GString *
key_of (DerushBullmqWorker *worker, const char *queue, const char *id, gsize id_length)
{
  GString *key = g_string_new (worker->prefix);

  g_string_append_printf (key, ":%s:", queue);
  return g_string_append_len (key, id, id_length);
}

/**
 * derush_bullmq_job_get_child_key:
 * @job: a job that has not been ended
 * @queue: the queue of a child
 * @id: the child's id
 *
 * Returns: (transfer full): what stands for that child in derush_bullmq_job_get_children_finish()
 */
char *
derush_bullmq_job_get_child_key (DerushBullmqJob *job, const char *queue, const char *id)
{
  g_return_val_if_fail (job->worker != NULL, NULL);
  return g_string_free (key_of (job->worker, queue, id, strlen (id)), FALSE);
}

/* ── Several questions, answered together ───────────────────────────────── */

#define MAX_QUESTIONS 6

typedef struct _Questions Questions;

typedef struct {
  Questions *all;
  guint number;
} Question;

struct _Questions {
  DerushBullmqJob *job;
  GTask *task;
  guint n_missing;
  GError *error;
  Question single[MAX_QUESTIONS];
  void (*take) (Questions *questions, guint number, const redisReply *reply);
  void (*end) (Questions *questions);

  /* Of a child that is added. */
  char *base, *name, *data;
  JsonObject *options;
  gboolean is_linked, is_pending, has_ended, has_failed;

  /* Of children that are read. */
  JsonObject *children;
};

static Questions *
questions_new (DerushBullmqJob *job, gpointer tag, GCancellable *cancellable, GAsyncReadyCallback callback,
               gpointer user_data)
{
  Questions *self = g_new0 (Questions, 1);

  self->job = derush_bullmq_job_ref (job);
  self->task = g_task_new (NULL, cancellable, callback, user_data);
  g_task_set_source_tag (self->task, tag);
  for (guint i = 0; i < MAX_QUESTIONS; i++)
    self->single[i] = (Question){self, i};
  return self;
}

static void
questions_free (Questions *self)
{
  derush_bullmq_job_unref (self->job);
  g_object_unref (self->task);
  g_clear_error (&self->error);
  g_free (self->base);
  g_free (self->name);
  g_free (self->data);
  g_clear_pointer (&self->options, json_object_unref);
  g_clear_pointer (&self->children, json_object_unref);
  g_free (self);
}

/* Ends with self->error, which is set. */
static void
questions_fail (Questions *self)
{
  g_task_return_error (self->task, g_steal_pointer (&self->error));
  questions_free (self);
}

static void
on_answer (const BullmqAnswer *said, gpointer user_data)
{
  Question *question = user_data;
  Questions *self = question->all;

  self->n_missing--;
  if (said->error && !self->error)
    self->error = g_error_copy (said->error);
  else if (said->reply)
    self->take (self, question->number, said->reply);
  if (self->n_missing > 0)
    return;
  if (self->error || !bullmq_job_check_held (self->job, &self->error))
    questions_fail (self);
  else
    self->end (self);
}

/* Asks @command about what belongs to the job, with @argument if there is one. */
static void
ask (Questions *self, guint number, const char *command_name, const char *suffix, const GString *argument)
{
  BullmqCommand *command = bullmq_command_new (command_name);

  bullmq_job_add_key (self->job, command, suffix);
  if (argument)
    bullmq_command_add (command, argument->str, argument->len);
  self->n_missing++;
  bullmq_connection_send (self->job->worker->commands, command, BULLMQ_COMMAND_RESEND, on_answer,
                          &self->single[number]);
}

/* ── Adding a child ─────────────────────────────────────────────────────── */

/* BullMQ's script may be run twice for the same child only while that has not ended: after its end the child would be
 * added to those that the parent waits for, or run again if its hash was removed. So what the parent knows is asked first,
 * and again when the connection breaks. */

enum { ASK_PARENT_OF_CHILD, ASK_DEPENDENCIES, ASK_PROCESSED, ASK_IGNORED, ASK_UNSUCCESSFUL, ASK_FAILED };

static void ask_about_child (Questions *self);

static void
end_added (Questions *self, const char *id)
{
  g_task_return_pointer (self->task, g_strconcat (self->base, id, NULL), g_free);
  questions_free (self);
}

static void
on_child_added (const BullmqAnswer *said, gpointer user_data)
{
  Questions *self = user_data;
  const char *id = derush_json_get_string (self->options, "jobId", "");
  gint64 code = said->reply && said->reply->type == REDIS_REPLY_INTEGER ? said->reply->integer : 0;

  if (said->lost && bullmq_job_is_held (self->job)) {
    ask_about_child (self);
    return;
  }
  if (code == BULLMQ_CODE_NO_PARENT)
    bullmq_job_lose (self->job, bullmq_finish_describe_code (BULLMQ_CODE_NO_JOB));
  if (said->error)
    self->error = g_error_copy (said->error);
  else if (code == BULLMQ_CODE_OTHER_PARENT)
    self->error = g_error_new (DERUSH_BULLMQ_ERROR, DERUSH_ERROR_BAD_INPUT,
                               _ ("The job %s cannot be added as a child: it is the child of another job"), id);
  else if (code < 0 && bullmq_job_check_held (self->job, &self->error))
    self->error = g_error_new (DERUSH_BULLMQ_ERROR, DERUSH_ERROR_INTERNAL,
                               _ ("The job could not be added: the script answered %lld"), (long long)code);
  if (self->error)
    questions_fail (self);
  else
    end_added (self, id);
}

static void
take_about_child (Questions *self, guint number, const redisReply *reply)
{
  gboolean yes = reply->type == REDIS_REPLY_INTEGER ? reply->integer != 0 : reply->type == REDIS_REPLY_STRING;

  switch (number) {
  case ASK_PARENT_OF_CHILD: {
    g_autoptr (GString) key = key_of (self->job->worker, self->job->queue, self->job->id, self->job->id_length);

    self->is_linked = yes && reply->len == key->len && memcmp (reply->str, key->str, key->len) == 0;
    break;
  }
  case ASK_DEPENDENCIES:
    self->is_pending = yes;
    break;
  case ASK_FAILED:
    self->has_failed = yes;
    break;
  default:
    self->has_ended |= yes;
    break;
  }
}

static void
send_child (Questions *self)
{
  DerushBullmqJob *job = self->job;
  const char *id = derush_json_get_string (self->options, "jobId", "");
  g_autofree char *queue_key = NULL;
  BullmqParent parent;

  if (self->has_ended || (self->is_linked && self->is_pending) ||
      (self->is_linked && self->has_failed && derush_json_get_boolean (self->options, "rdof", FALSE))) {
    end_added (self, id);
    return;
  }
  if (self->has_failed) {
    self->error = g_error_new (DERUSH_BULLMQ_ERROR, DERUSH_ERROR_BAD_INPUT,
                               _ ("The job %s cannot be added as a child: it has failed already; remove it first"), id);
    questions_fail (self);
    return;
  }
  queue_key = g_strconcat (job->worker->prefix, ":", job->queue, NULL);
  parent = (BullmqParent){queue_key, job->id, job->id_length};
  bullmq_connection_send (job->worker->commands,
                          bullmq_add_command (self->base, self->name, self->data, self->options, &parent),
                          BULLMQ_COMMAND_NONE, on_child_added, self);
}

static void
ask_about_child (Questions *self)
{
  const char *id = derush_json_get_string (self->options, "jobId", "");
  g_autoptr (GString) key = g_string_new (self->base);
  BullmqCommand *parent_of_child = bullmq_command_new ("HGET"), *failed = bullmq_command_new ("ZSCORE");

  self->is_linked = self->is_pending = self->has_ended = self->has_failed = FALSE;
  g_string_append (key, id);
  bullmq_command_add (parent_of_child, key->str, key->len);
  bullmq_command_add (parent_of_child, "parentKey", -1);
  bullmq_command_add_key (failed, self->base, "failed", -1);
  bullmq_command_add (failed, id, -1);
  /* In the order in which a child moves, so that one that moves meanwhile is seen. */
  self->n_missing = 2;
  bullmq_connection_send (self->job->worker->commands, parent_of_child, BULLMQ_COMMAND_RESEND, on_answer,
                          &self->single[ASK_PARENT_OF_CHILD]);
  ask (self, ASK_DEPENDENCIES, "SISMEMBER", ":dependencies", key);
  ask (self, ASK_PROCESSED, "HEXISTS", ":processed", key);
  ask (self, ASK_IGNORED, "HEXISTS", ":failed", key);
  ask (self, ASK_UNSUCCESSFUL, "ZSCORE", ":unsuccessful", key);
  bullmq_connection_send (self->job->worker->commands, failed, BULLMQ_COMMAND_RESEND, on_answer,
                          &self->single[ASK_FAILED]);
}

static gboolean
check_child (JsonObject *options, const char *data, GError **error)
{
  g_autoptr (JsonNode) node = NULL;

  if (!bullmq_add_check_options (options, error))
    return FALSE;
  if (!derush_json_get_string (options, "jobId", NULL) || json_object_has_member (options, "deduplication")) {
    g_set_error_literal (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_BAD_INPUT,
                         _ ("A child needs the option jobId, and cannot have deduplication"));
    return FALSE;
  }
  node = derush_json_parse (data, -1, error);
  return node != NULL;
}

/**
 * derush_bullmq_job_add_child_async:
 * @job: a job that has not been ended; it becomes the parent
 * @queue: the queue of the child, which may be any with the same prefix
 * @name: the child's name
 * @data_json: its data, any JSON value
 * @options: as `queue.add()` takes them; `jobId` is needed, `deduplication` and `parent` are not possible. At most one of
 *   `ignoreDependencyOnFailure` (a failed child is known by its reason, the parent goes on when the rest has ended),
 *   `continueParentOnFailure` (the same, and the parent goes on at once), `failParentOnFailure` (the parent fails) and
 *   `removeDependencyOnFailure` (a failed child is forgotten); without any the parent waits for ever for a failed child
 * @cancellable: (nullable): a cancellable
 * @callback: called when the child is there
 * @user_data: for @callback
 *
 * Adds a child of the job, which a worker of its queue runs like any other job, if need be after its `delay`. A child that
 * this parent has already, whether it waits, runs or has ended, is left as it is, so that a parent that runs again can add
 * all its children again. A job that had been completed before, on its own, gives its result to the parent. While the
 * server is away, this waits for it.
 */
void
derush_bullmq_job_add_child_async (DerushBullmqJob *job, const char *queue, const char *name, const char *data_json,
                                   JsonObject *options, GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data)
{
  Questions *self = questions_new (job, derush_bullmq_job_add_child_async, cancellable, callback, user_data);
  g_autofree char *id = g_utf8_make_valid (job->id, job->id_length), *queue_key = NULL;
  JsonObject *parent;

  if (!bullmq_job_check_held (job, &self->error) || !check_child (options, data_json, &self->error)) {
    questions_fail (self);
    return;
  }
  self->base = g_strconcat (job->worker->prefix, ":", queue, ":", NULL);
  self->name = g_strdup (name);
  self->data = g_strdup (data_json);
  self->options = bullmq_add_stored_options (options);
  queue_key = g_strconcat (job->worker->prefix, ":", job->queue, NULL);
  parent = json_object_new ();
  json_object_set_string_member (parent, "id", id);
  json_object_set_string_member (parent, "queue", queue_key);
  json_object_set_object_member (self->options, "parent", parent);
  self->take = take_about_child;
  self->end = send_child;
  ask_about_child (self);
}

/**
 * derush_bullmq_job_add_child_finish:
 * @job: the parent
 * @result: what the callback was given
 * @error: return location for an error; of class bad input for options that cannot be, and when a job of that id is the
 *   child of another parent or failed without one; of class cancelled when the parent is gone
 *
 * Returns: (transfer full) (nullable): the child's key, see derush_bullmq_job_get_child_key()
 */
char *
derush_bullmq_job_add_child_finish (DerushBullmqJob *job, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ── Reading the children ───────────────────────────────────────────────── */

enum { READ_DEPENDENCIES, READ_PROCESSED, READ_IGNORED, READ_UNSUCCESSFUL };

static const char *const groups[] = {"unprocessed", "processed", "ignored", "failed"};

static JsonNode *
value_of (guint number, const redisReply *reply)
{
  JsonNode *value = number == READ_PROCESSED ? derush_json_parse (reply->str, reply->len, NULL) : NULL;
  g_autofree char *text = NULL;

  if (value)
    return value;
  text = g_utf8_make_valid (reply->str, reply->len);
  return json_node_init_string (json_node_alloc (), text);
}

static void
take_children (Questions *self, guint number, const redisReply *reply)
{
  gboolean pairs = number == READ_PROCESSED || number == READ_IGNORED;
  JsonObject *object = json_object_get_object_member (self->children, groups[READ_PROCESSED]);
  JsonArray *keys = NULL;

  if (reply->type != REDIS_REPLY_ARRAY)
    return;
  if (pairs)
    object = json_object_get_object_member (self->children, groups[number]);
  else
    keys = json_object_get_array_member (self->children, groups[number]);
  for (gsize i = 0; i + pairs < reply->elements; i += pairs ? 2 : 1) {
    g_autofree char *key = g_utf8_make_valid (reply->element[i]->str, reply->element[i]->len);

    if (pairs)
      json_object_set_member (object, key, value_of (number, reply->element[i + 1]));
    else
      json_array_add_string_element (keys, key);
  }
}

/* A child that ended between two of the questions is in two groups. */
static void
end_children (Questions *self)
{
  JsonObject *processed = json_object_get_object_member (self->children, groups[READ_PROCESSED]),
             *ignored = json_object_get_object_member (self->children, groups[READ_IGNORED]);
  JsonArray *before = json_object_get_array_member (self->children, groups[READ_DEPENDENCIES]),
            *pending = json_array_new ();

  for (guint i = 0; i < json_array_get_length (before); i++) {
    const char *key = json_array_get_string_element (before, i);

    if (!json_object_has_member (processed, key) && !json_object_has_member (ignored, key))
      json_array_add_string_element (pending, key);
  }
  json_object_set_array_member (self->children, groups[READ_DEPENDENCIES], pending);
  g_task_return_pointer (self->task, g_steal_pointer (&self->children), (GDestroyNotify)json_object_unref);
  questions_free (self);
}

/**
 * derush_bullmq_job_get_children_async:
 * @job: a job that has not been ended
 * @cancellable: (nullable): a cancellable
 * @callback: called when the answer is there
 * @user_data: for @callback
 *
 * Reads how the job's children ended. While the server is away, this waits for it.
 */
void
derush_bullmq_job_get_children_async (DerushBullmqJob *job, GCancellable *cancellable, GAsyncReadyCallback callback,
                                      gpointer user_data)
{
  Questions *self = questions_new (job, derush_bullmq_job_get_children_async, cancellable, callback, user_data);
  BullmqCommand *unsuccessful;

  if (!bullmq_job_check_held (job, &self->error)) {
    questions_fail (self);
    return;
  }
  self->children = json_object_new ();
  json_object_set_array_member (self->children, groups[READ_DEPENDENCIES], json_array_new ());
  json_object_set_object_member (self->children, groups[READ_PROCESSED], json_object_new ());
  json_object_set_object_member (self->children, groups[READ_IGNORED], json_object_new ());
  json_object_set_array_member (self->children, groups[READ_UNSUCCESSFUL], json_array_new ());
  self->take = take_children;
  self->end = end_children;
  ask (self, READ_DEPENDENCIES, "SMEMBERS", ":dependencies", NULL);
  ask (self, READ_PROCESSED, "HGETALL", ":processed", NULL);
  ask (self, READ_IGNORED, "HGETALL", ":failed", NULL);
  unsuccessful = bullmq_command_new ("ZRANGE");
  bullmq_job_add_key (job, unsuccessful, ":unsuccessful");
  bullmq_command_add_int (unsuccessful, 0);
  bullmq_command_add_int (unsuccessful, -1);
  self->n_missing++;
  bullmq_connection_send (job->worker->commands, unsuccessful, BULLMQ_COMMAND_RESEND, on_answer,
                          &self->single[READ_UNSUCCESSFUL]);
}

/**
 * derush_bullmq_job_get_children_finish:
 * @job: the job
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): as `getDependencies()` has it: `processed`, the children's return values by their
 *   keys; `ignored`, the reasons why children failed, by their keys; `failed`, an array of the keys of those that make
 *   the job fail; `unprocessed`, an array of the keys of those that have not ended
 */
JsonObject *
derush_bullmq_job_get_children_finish (DerushBullmqJob *job, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ── Waiting for the children ───────────────────────────────────────────── */

typedef struct {
  DerushBullmqJob *job;
  GTask *task;
  gint64 code;
} Wait;

static void
wait_free (Wait *wait)
{
  derush_bullmq_job_unref (wait->job);
  g_object_unref (wait->task);
  g_free (wait);
}

/* The job is somebody else's or nobody's now; its place here is free. */
static void
end_as_waiting (Wait *wait)
{
  DerushBullmqWorker *worker = bullmq_worker_ref (wait->job->worker);

  bullmq_worker_release (worker, wait->job);
  g_task_return_int (wait->task, DERUSH_BULLMQ_CHILDREN_WAITING);
  wait_free (wait);
  bullmq_worker_check_closed (worker);
  bullmq_fetch_pump (worker);
  bullmq_worker_unref (worker);
}

/* The job is still in this worker's hands, or it was lost; an @error is taken. */
static void
end_as_held (Wait *wait, GError *error)
{
  if (!error && wait->code == BULLMQ_CODE_FAILED_CHILDREN)
    error = g_error_new_literal (DERUSH_BULLMQ_ERROR, DERUSH_ERROR_BAD_INPUT,
                                 _ ("The job cannot complete: at least one of its children failed"));
  wait->job->ended = FALSE;
  if (error)
    g_task_return_error (wait->task, error);
  else
    g_task_return_int (wait->task, DERUSH_BULLMQ_CHILDREN_NONE_PENDING);
  wait_free (wait);
}

static void
on_lock_after_wait (const BullmqAnswer *said, gpointer user_data)
{
  Wait *wait = user_data;

  if (said->reply && !bullmq_job_owns_lock (wait->job, said->reply))
    end_as_waiting (wait);
  else
    end_as_held (wait, said->error ? g_error_copy (said->error) : NULL);
}

static void
on_waits (const BullmqAnswer *said, gpointer user_data)
{
  Wait *wait = user_data;
  DerushBullmqJob *job = wait->job;
  GError *error = NULL;

  wait->code = said->reply && said->reply->type == REDIS_REPLY_INTEGER ? said->reply->integer : 0;
  if (said->error) {
    end_as_held (wait, g_error_copy (said->error));
  } else if (wait->code == 0) {
    end_as_waiting (wait);
  } else if (wait->code == 1 || wait->code == BULLMQ_CODE_FAILED_CHILDREN) {
    /* Neither looks at the lock. The first of two equal commands may have moved the job, and its children ended since. */
    if (said->resent)
      bullmq_job_ask_lock (job, on_lock_after_wait, wait);
    else
      end_as_held (wait, NULL);
  } else if (said->resent) {
    bullmq_worker_log (job->worker, DERUSH_LOG_INFO, job,
                       "This job was sent to wait for its children twice, as the connection broke; the second time %s",
                       bullmq_finish_describe_code (wait->code));
    end_as_waiting (wait);
  } else {
    job->ended = FALSE;
    bullmq_job_lose (job, bullmq_finish_describe_code (wait->code));
    bullmq_job_check_held (job, &error);
    end_as_held (wait, error);
  }
}

static void
send_wait (Wait *wait)
{
  static const char *const first_keys[] = {"active", "waiting-children", NULL};
  static const char *const last_keys[] = {"stalled", "events", NULL};
  DerushBullmqJob *job = wait->job;
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_MOVE_TO_WAITING_CHILDREN);

  bullmq_command_add_keys (command, job->worker->base, first_keys);
  bullmq_job_add_key (job, command, "");
  bullmq_job_add_key (job, command, ":dependencies");
  bullmq_job_add_key (job, command, ":unsuccessful");
  bullmq_command_add_keys (command, job->worker->base, last_keys);
  bullmq_command_add (command, job->token, -1);
  bullmq_command_add (command, "", 0); /* any child */
  bullmq_command_add_int (command, derush_time_now_ms ());
  bullmq_command_add (command, job->id, job->id_length);
  bullmq_command_add (command, job->worker->base, -1);
  bullmq_connection_send (job->worker->commands, command, BULLMQ_COMMAND_RESEND, on_waits, wait);
}

/**
 * derush_bullmq_job_wait_for_children_async:
 * @job: a job that has not been ended, all of whose calls have called back
 * @callback: called when Redis has decided
 * @user_data: for @callback
 *
 * Lets the job wait for its children, without a place in this worker, unless all of them have ended. Until @callback is
 * called, the job must not be ended or used; afterwards it is as derush_bullmq_job_wait_for_children_finish() says. When
 * the last child has ended, a worker gets the job anew, with the data it has in Redis, and it is no further attempt.
 * While the server is away, this waits for it.
 */
void
derush_bullmq_job_wait_for_children_async (DerushBullmqJob *job, GAsyncReadyCallback callback, gpointer user_data)
{
  Wait *wait = g_new0 (Wait, 1);
  GError *error = NULL;

  wait->job = derush_bullmq_job_ref (job);
  wait->task = g_task_new (NULL, NULL, callback, user_data);
  g_task_set_source_tag (wait->task, derush_bullmq_job_wait_for_children_async);
  if (!bullmq_job_check_held (job, &error)) {
    g_task_return_error (wait->task, error);
    wait_free (wait);
    return;
  }
  bullmq_job_flush_progress (job);
  job->ended = TRUE;
  send_wait (wait);
}

/**
 * derush_bullmq_job_wait_for_children_finish:
 * @job: the job
 * @result: what the callback was given
 * @error: return location for an error; of class bad input when a child failed that was to make its parent fail, which a
 *   retry does not help; of class cancelled when the job was lost
 *
 * Returns: where the job is now. After an error it is still to be ended; if it was lost, that only frees its place.
 */
DerushBullmqChildrenWait
derush_bullmq_job_wait_for_children_finish (DerushBullmqJob *job, GAsyncResult *result, GError **error)
{
  gssize outcome = g_task_propagate_int (G_TASK (result), error);

  return outcome < 0 ? DERUSH_BULLMQ_CHILDREN_ERROR : (DerushBullmqChildrenWait)outcome;
}
