/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What an operator orders over HTTP. */

#include "daemon-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* The answer to whoever ended the daemon is to leave before the daemon does, in ms. */
#define ANSWER_TIME 200

typedef struct {
  DerushDaemon *daemon;
  GPtrArray *queues;
  const DerushDaemonProgram *program;
  JsonObject *arguments;
} Order;

static void
order_free (gpointer data)
{
  Order *order = data;

  json_object_unref (order->arguments);
  g_free (order);
}

/* ── Workers ────────────────────────────────────────────────────────────── */

static void
add_name (const DerushDaemonWorker *worker, gpointer user_data)
{
  g_ptr_array_add (user_data, g_strdup (worker->name));
}

static char *
list_workers (GPtrArray *queues)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < queues->len; i++)
    derush_daemon_queue_foreach_worker (queues->pdata[i], add_name, names);
  g_ptr_array_add (names, NULL);
  return g_strjoinv (", ", (char **)names->pdata);
}

static void
command_worker (GTask *task, DerushDaemonWorkerCommand command, gboolean at_once)
{
  Order *order = g_task_get_task_data (task);
  const char *name = derush_json_get_string (order->arguments, "worker", "");
  g_autofree char *names = NULL;
  gboolean waits = FALSE;

  for (guint i = 0; i < order->queues->len; i++) {
    JsonObject *said;

    if (!derush_daemon_queue_command_worker (order->queues->pdata[i], name, command, at_once, &waits))
      continue;
    said = json_object_new ();
    json_object_set_string_member (said, "worker", name);
    json_object_set_boolean_member (said, "afterJob", waits);
    g_task_return_pointer (task, said, (GDestroyNotify)json_object_unref);
    return;
  }
  names = list_workers (order->queues);
  g_task_return_new_error (task, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
                           _ ("There is no worker “%s”; there are: %s"), name, names);
}

static void
restart_worker (GTask *task)
{
  Order *order = g_task_get_task_data (task);

  command_worker (task, DERUSH_DAEMON_WORKER_RESTART, derush_json_get_boolean (order->arguments, "now", FALSE));
}

static void
start_worker (GTask *task)
{
  command_worker (task, DERUSH_DAEMON_WORKER_START, FALSE);
}

static void
stop_worker_after_job (GTask *task)
{
  command_worker (task, DERUSH_DAEMON_WORKER_STOP, FALSE);
}

static void
stop_worker (GTask *task)
{
  command_worker (task, DERUSH_DAEMON_WORKER_STOP, TRUE);
}

/* ── Queues ─────────────────────────────────────────────────────────────── */

typedef struct {
  GTask *task;
  JsonObject *said;
  GError *error;
  guint missing;
} Pausing;

static void
pausing_end_if_complete (Pausing *pausing)
{
  if (pausing->missing > 0)
    return;
  if (pausing->error)
    g_task_return_error (pausing->task, pausing->error);
  else
    g_task_return_pointer (pausing->task, json_object_ref (pausing->said), (GDestroyNotify)json_object_unref);
  json_object_unref (pausing->said);
  g_object_unref (pausing->task);
  g_free (pausing);
}

static void
on_pause_set (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Pausing *pausing = user_data;
  g_autoptr (GError) error = NULL;

  if (!derush_bullmq_queue_set_paused_finish (NULL, result, &error) && !pausing->error)
    pausing->error = g_steal_pointer (&error);
  pausing->missing--;
  pausing_end_if_complete (pausing);
}

static DerushDaemonQueue *
find_queue (GPtrArray *queues, const char *name)
{
  for (guint i = 0; i < queues->len; i++)
    if (strcmp (derush_daemon_queue_get_name (queues->pdata[i]), name) == 0)
      return queues->pdata[i];
  return NULL;
}

static char *
list_queues (GPtrArray *queues)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) names = NULL;

  for (guint i = 0; i < queues->len; i++)
    g_strv_builder_add (builder, derush_daemon_queue_get_name (queues->pdata[i]));
  names = g_strv_builder_end (builder);
  return g_strjoinv (", ", names);
}

/* Who resumes a queue wants its jobs to be done, whatever kept them from it. */
static void
set_paused (GTask *task, gboolean paused)
{
  Order *order = g_task_get_task_data (task);
  const char *wanted = derush_json_get_string (order->arguments, "queue", NULL);
  gboolean local = derush_json_get_boolean (order->arguments, "local", FALSE);
  JsonArray *names = json_array_new ();
  Pausing *pausing;

  if (wanted && !find_queue (order->queues, wanted)) {
    g_autofree char *known = list_queues (order->queues);

    json_array_unref (names);
    g_task_return_new_error (task, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
                             _ ("This daemon does not serve the queue “%s”, but %s"), wanted, known);
    return;
  }
  pausing = g_new0 (Pausing, 1);
  pausing->task = g_object_ref (task);
  pausing->said = json_object_new ();
  pausing->missing = 1;
  for (guint i = 0; i < order->queues->len; i++) {
    DerushDaemonQueue *queue = order->queues->pdata[i];
    const char *name = derush_daemon_queue_get_name (queue);

    if (wanted && strcmp (name, wanted) != 0)
      continue;
    json_array_add_string_element (names, name);
    if (local || !paused)
      derush_daemon_queue_set_paused (queue, paused);
    if (local)
      continue;
    pausing->missing++;
    derush_bullmq_queue_set_paused_async (derush_daemon_get_queue (order->daemon, name), paused, NULL, on_pause_set,
                                          pausing);
  }
  json_object_set_array_member (pausing->said, "queues", names);
  json_object_set_boolean_member (pausing->said, "paused", paused);
  json_object_set_boolean_member (pausing->said, "local", local);
  pausing->missing--;
  pausing_end_if_complete (pausing);
}

static void
pause_queues (GTask *task)
{
  set_paused (task, TRUE);
}

static void
resume_queues (GTask *task)
{
  set_paused (task, FALSE);
}

/* ── The daemon ─────────────────────────────────────────────────────────── */

static gboolean
end_patiently (gpointer user_data)
{
  const DerushDaemonProgram *program = user_data;

  program->end (TRUE, program->user_data);
  return G_SOURCE_REMOVE;
}

static gboolean
end_soon (gpointer user_data)
{
  const DerushDaemonProgram *program = user_data;

  program->end (FALSE, program->user_data);
  return G_SOURCE_REMOVE;
}

static void
end (GTask *task, GSourceFunc how)
{
  Order *order = g_task_get_task_data (task);
  JsonObject *said = json_object_new ();
  guint running = 0;

  for (guint i = 0; i < order->queues->len; i++)
    running += derush_daemon_queue_count_running (order->queues->pdata[i]);
  json_object_set_boolean_member (said, "draining", TRUE);
  json_object_set_int_member (said, "running", running);
  g_timeout_add (ANSWER_TIME, how, (gpointer)order->program);
  g_task_return_pointer (task, said, (GDestroyNotify)json_object_unref);
}

static void
drain (GTask *task)
{
  end (task, end_patiently);
}

static void
stop (GTask *task)
{
  Order *order = g_task_get_task_data (task);

  if (json_object_has_member (order->arguments, "worker"))
    stop_worker (task);
  else
    end (task, end_soon);
}

static void
reload (GTask *task)
{
  Order *order = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;
  JsonObject *said;

  if (!order->program->reload (order->program->user_data, &error)) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  said = json_object_new ();
  json_object_set_boolean_member (said, "reloaded", TRUE);
  g_task_return_pointer (task, said, (GDestroyNotify)json_object_unref);
}

static void
purge (GTask *task)
{
  Order *order = g_task_get_task_data (task);

  derush_daemon_purge (order->daemon, order->queues, order->arguments, task);
}

/* ── Interface ──────────────────────────────────────────────────────────── */

static const struct {
  const char *verb;
  void (*obey) (GTask *task);
} verbs[] = {
    {"restart", restart_worker},
    {"start", start_worker},
    {"stop-after-job", stop_worker_after_job},
    {"stop", stop},
    {"pause", pause_queues},
    {"resume", resume_queues},
    {"drain", drain},
    {"reload", reload},
    {"purge", purge},
};

void
derush_daemon_command_async (DerushDaemon *daemon, GPtrArray *queues, const DerushDaemonProgram *program,
                             const char *verb, JsonObject *arguments, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Order *order = g_new0 (Order, 1);

  g_task_set_source_tag (task, derush_daemon_command_async);
  order->daemon = daemon;
  order->queues = queues;
  order->program = program;
  order->arguments = arguments ? json_object_ref (arguments) : json_object_new ();
  g_task_set_task_data (task, order, order_free);
  for (guint i = 0; i < G_N_ELEMENTS (verbs); i++)
    if (strcmp (verbs[i].verb, verb) == 0) {
      g_autofree char *text = derush_json_object_to_string (order->arguments);

      derush_log (DERUSH_LOG_INFO, NULL, "Ordered: %s %s", verb, text);
      verbs[i].obey (task);
      return;
    }
  g_task_return_new_error (task, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no command “%s”"), verb);
}

JsonObject *
derush_daemon_command_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
