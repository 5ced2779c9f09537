/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Workflows that daemons run: jobs WORKFLOW_EXECUTION in Redis. */

#include "cli/cli-private.h"
#include "bullmq/bullmq.h"

#include <stdio.h>
#include <string.h>
#include <glib/gi18n.h>

#define JOB_TYPE "WORKFLOW_EXECUTION"
#define STATE "workflowState"

/* How long Redis may take for all answers when a list can do without it, and when it cannot, in ms. */
#define SHORT_PATIENCE 700
#define PATIENCE 5000

/* How long a cancelled workflow, or job, may take to end before the command ends without it, and how often it looks, in ms. */
#define CANCEL_PATIENCE 15000
#define JOB_PATIENCE 5000
#define LOOK_INTERVAL 100

/* ── Redis, one question after the other ────────────────────────────────── */

typedef struct {
  DerushConfig *config;
  DerushRedisAddress *address;
  DerushBullmqControl *control;
  GHashTable *queues; /* DerushBullmqQueue by name */
  GMainLoop *loop;
  GAsyncResult *result; /* NULL: the time is over */
  gint64 deadline;
} Redis;

static Redis *
redis_new (DerushConfig *config, gint64 patience)
{
  Redis *redis = g_new0 (Redis, 1);

  redis->config = config;
  redis->address = derush_redis_address_new_from_config (config);
  redis->control = derush_bullmq_control_new (redis->address, derush_config_get_string (config, "BULLMQ_PREFIX"));
  redis->queues = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)derush_bullmq_queue_free);
  redis->loop = g_main_loop_new (NULL, FALSE);
  redis->deadline = g_get_monotonic_time () + patience * 1000;
  return redis;
}

static void
redis_free (Redis *redis)
{
  derush_bullmq_control_free (redis->control);
  g_hash_table_unref (redis->queues);
  derush_redis_address_free (redis->address);
  /* What was under way calls back now. */
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_clear_object (&redis->result);
  g_main_loop_unref (redis->loop);
  g_free (redis);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Redis, redis_free)

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Redis *redis = user_data;

  g_set_object (&redis->result, result);
  g_main_loop_quit (redis->loop);
}

static gboolean
on_late (gpointer user_data)
{
  Redis *redis = user_data;

  g_clear_object (&redis->result);
  g_main_loop_quit (redis->loop);
  return G_SOURCE_REMOVE;
}

static GAsyncResult *
answer (Redis *redis, GError **error)
{
  gint64 left = MAX (redis->deadline - g_get_monotonic_time (), 1000) / 1000;
  g_autoptr (GSource) timer = g_timeout_source_new (left);

  g_clear_object (&redis->result);
  g_source_set_callback (timer, on_late, redis, NULL);
  g_source_attach (timer, NULL);
  g_main_loop_run (redis->loop);
  g_source_destroy (timer);
  if (!redis->result)
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("Redis at %s:%u does not answer; start it, or set REDIS_HOST and REDIS_PORT"), redis->address->host,
                 redis->address->port);
  return redis->result;
}

static DerushBullmqQueue *
get_queue (Redis *redis, const char *name)
{
  DerushBullmqQueue *queue = g_hash_table_lookup (redis->queues, name);

  if (!queue) {
    queue = derush_bullmq_queue_new (redis->address, derush_config_get_string (redis->config, "BULLMQ_PREFIX"), name);
    g_hash_table_insert (redis->queues, g_strdup (name), queue);
  }
  return queue;
}

static JsonObject *
get_job (Redis *redis, const char *queue, const char *id, GError **error)
{
  derush_bullmq_queue_get_job_async (get_queue (redis, queue), id, NULL, on_answer, redis);
  return answer (redis, error) ? derush_bullmq_queue_get_job_finish (get_queue (redis, queue), redis->result, error)
                               : NULL;
}

static JsonObject *
get_names (Redis *redis, GError **error)
{
  derush_bullmq_control_list_async (redis->control, on_answer, redis);
  return answer (redis, error) ? derush_bullmq_control_list_finish (redis->control, redis->result, error) : NULL;
}

/* ── Executions ─────────────────────────────────────────────────────────── */

static gboolean
is_over (const char *state)
{
  return g_strcmp0 (state, "completed") == 0 || g_strcmp0 (state, "failed") == 0;
}

static void
add_steps (JsonObject *execution, JsonObject *state)
{
  JsonObject *steps = derush_json_get_object (state, "steps");
  JsonArray *array = json_array_new ();
  JsonObjectIter iter;
  const char *id;
  JsonNode *node;

  json_object_set_array_member (execution, "steps", array);
  if (!steps)
    return;
  json_object_iter_init_ordered (&iter, steps);
  while (json_object_iter_next_ordered (&iter, &id, &node)) {
    static const char *const copied[] = {"status", "queue", "jobId", "attempts", "processingTime", "error"};
    JsonObject *step = json_object_new (), *from = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

    json_object_set_string_member (step, "id", id);
    for (guint i = 0; from && i < G_N_ELEMENTS (copied); i++)
      if (json_object_has_member (from, copied[i]))
        json_object_set_member (step, copied[i], json_node_copy (json_object_get_member (from, copied[i])));
    json_array_add_object_element (array, step);
  }
}

static JsonObject *
describe (const char *execution_id, const char *queue, JsonObject *job)
{
  JsonObject *execution = json_object_new (), *data = derush_json_get_object (job, "data"),
             *state = derush_json_get_object (data, STATE);
  const char *reason = derush_json_get_string (job, "failedReason", NULL);

  json_object_set_string_member (execution, "executionId", derush_json_get_string (state, "executionId", execution_id));
  json_object_set_string_member (
      execution, "workflow",
      derush_json_get_string (state, "workflow", derush_json_get_string (data, "templateId", "")));
  json_object_set_string_member (execution, "queue", queue);
  json_object_set_string_member (execution, "id", derush_json_get_string (job, "id", ""));
  json_object_set_string_member (execution, "state", derush_json_get_string (job, "state", "unknown"));
  if (derush_json_get_object (job, "progress"))
    json_object_set_object_member (execution, "progress", json_object_ref (derush_json_get_object (job, "progress")));
  if (reason)
    json_object_set_string_member (execution, "failedReason", reason);
  add_steps (execution, state);
  return execution;
}

static JsonObject *
get_execution (Redis *redis, const char *name, const char *owner, GError **error)
{
  g_autoptr (JsonObject) place = derush_json_parse_object (owner, -1, NULL), job = NULL;
  const char *queue = derush_json_get_string (place, "queue", NULL), *id = derush_json_get_string (place, "id", NULL);

  job = queue && id ? get_job (redis, queue, id, error) : NULL;
  return job ? describe (name, queue, job) : NULL;
}

/**
 * derush_cli_executions:
 * @config: the settings
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the executions that have not ended, `{executionId, workflow, queue, id, state,
 *   progress, steps}`; %NULL if Redis does not answer
 */
JsonArray *
derush_cli_executions (DerushConfig *config, GError **error)
{
  g_autoptr (Redis) redis = redis_new (config, SHORT_PATIENCE);
  g_autoptr (JsonObject) names = get_names (redis, error);
  JsonArray *executions;
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (!names)
    return NULL;
  executions = json_array_new ();
  redis->deadline += (PATIENCE - SHORT_PATIENCE) * 1000;
  json_object_iter_init_ordered (&iter, names);
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    g_autoptr (JsonObject) execution = get_execution (redis, name, json_node_get_string (node), NULL);

    /* One whose daemon died as it ended is still among the names. */
    if (execution && !is_over (derush_json_get_string (execution, "state", NULL)))
      json_array_add_object_element (executions, g_steal_pointer (&execution));
  }
  return executions;
}

/* One that has begun, or a job that has not; NULL without an error: there is none. */
static JsonObject *
find (Redis *redis, const char *name, GError **error)
{
  const char *queue = derush_job_type_get_queue (JOB_TYPE);
  g_autoptr (GError) local = NULL;
  g_autoptr (JsonObject) names = get_names (redis, &local), job = NULL;
  g_autofree char *type = NULL;
  JsonObject *execution = NULL;

  if (names && json_object_has_member (names, name))
    execution = get_execution (redis, name, json_object_get_string_member (names, name), &local);
  if (!execution && !local)
    job = get_job (redis, queue, name, &local);
  if (local) {
    g_propagate_error (error, g_steal_pointer (&local));
    return NULL;
  }
  type =
      job ? derush_job_type_from_name (derush_json_get_string (job, "name", NULL), derush_json_get_object (job, "data"))
          : NULL;
  return execution ? execution : g_strcmp0 (type, JOB_TYPE) == 0 ? describe (name, queue, job) : NULL;
}

/**
 * derush_cli_execution:
 * @config: the settings
 * @name: an execution's id, or the id of its job
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the execution as derush_cli_executions() has it; %NULL without an error if there is
 *   none
 */
JsonObject *
derush_cli_execution (DerushConfig *config, const char *name, GError **error)
{
  g_autoptr (Redis) redis = redis_new (config, SHORT_PATIENCE);

  return find (redis, name, error);
}

/* ── What people read ───────────────────────────────────────────────────── */

void
derush_cli_print_executions (JsonArray *executions)
{
  guint n = json_array_get_length (executions);

  if (n > 0)
    printf ("\n%s\n", _ ("Running:"));
  for (guint i = 0; i < n; i++) {
    JsonObject *execution = json_array_get_object_element (executions, i),
               *progress = derush_json_get_object (execution, "progress");

    printf ("%-30s %-30s %3d %%  %s\n", derush_json_get_string (execution, "executionId", ""),
            derush_json_get_string (execution, "workflow", ""), (int)derush_json_get_int (progress, "progress", 0),
            derush_json_get_string (progress, "message", derush_json_get_string (execution, "state", "")));
  }
}

void
derush_cli_print_execution (JsonObject *execution)
{
  JsonArray *steps = derush_json_get_array (execution, "steps");
  JsonObject *progress = derush_json_get_object (execution, "progress");
  const char *reason = derush_json_get_string (execution, "failedReason", NULL);

  printf (_ ("%s: workflow %s, job %s of %s, %s"), derush_json_get_string (execution, "executionId", ""),
          derush_json_get_string (execution, "workflow", ""), derush_json_get_string (execution, "id", ""),
          derush_json_get_string (execution, "queue", ""), derush_json_get_string (execution, "state", ""));
  if (progress)
    printf (", %d %%", (int)derush_json_get_int (progress, "progress", 0));
  printf ("\n");
  if (reason)
    printf ("%s\n", reason);
  for (guint i = 0; steps && i < json_array_get_length (steps); i++) {
    JsonObject *step = json_array_get_object_element (steps, i);
    const char *error = derush_json_get_string (step, "error", NULL);

    printf ("%3u. %-16s %-10s %s%s%s\n", i + 1, derush_json_get_string (step, "id", ""),
            derush_json_get_string (step, "status", ""), derush_json_get_string (step, "jobId", ""), error ? "  " : "",
            error ? error : "");
  }
}

/* ── derush workflow cancel ─────────────────────────────────────────────── */

static gboolean
on_time (gpointer user_data)
{
  g_main_loop_quit (user_data);
  return G_SOURCE_REMOVE;
}

/* Returns: (transfer full) (nullable): the state in which the job is at last; NULL: see @error */
static char *
cancel (Redis *redis, const char *queue, const char *id, gint64 patience, GError **error)
{
  gint64 end = g_get_monotonic_time () + patience * 1000;

  derush_bullmq_control_cancel_async (redis->control, queue, id, on_answer, redis);
  if (!answer (redis, error) || !derush_bullmq_control_cancel_finish (redis->control, redis->result, error))
    return NULL;
  for (;;) {
    g_autoptr (JsonObject) job = NULL;
    g_autoptr (GError) local = NULL;
    const char *state;

    redis->deadline = g_get_monotonic_time () + PATIENCE * 1000;
    job = get_job (redis, queue, id, &local);
    if (local) {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
    state = derush_json_get_string (job, "state", "failed");
    if (is_over (state) || g_get_monotonic_time () > end)
      return g_strdup (state);
    /* Only a daemon that holds it can end it. */
    if (strcmp (state, "waiting-children") == 0) {
      derush_bullmq_control_wake_async (redis->control, queue, id, on_answer, redis);
      if (!answer (redis, error))
        return NULL;
    }
    g_timeout_add (LOOK_INTERVAL, on_time, redis->loop);
    g_main_loop_run (redis->loop);
  }
}

static int
say_cancelled (const char *name, JsonObject *execution, const char *state, gboolean json)
{
  if (json) {
    g_autoptr (JsonObject) said = json_object_new ();
    g_autofree char *text = NULL;

    json_object_set_string_member (said, "executionId", name);
    json_object_set_string_member (said, "queue", derush_json_get_string (execution, "queue", ""));
    json_object_set_string_member (said, "id", derush_json_get_string (execution, "id", ""));
    json_object_set_string_member (said, "state", state);
    text = derush_json_object_to_string (said);
    puts (text);
  } else if (strcmp (state, "failed") == 0) {
    printf (_ ("The execution “%s” was cancelled\n"), name);
  } else if (strcmp (state, "completed") == 0) {
    printf (_ ("The execution “%s” completed before it could be cancelled\n"), name);
  } else {
    printf (_ ("The execution “%s” will be cancelled as soon as a daemon has a place for it\n"), name);
  }
  return fflush (stdout) == 0 && strcmp (state, "completed") != 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

int
derush_cli_workflow_cancel (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (Redis) redis = NULL;
  g_autoptr (JsonObject) execution = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *state = NULL;
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, _ ("EXECUTION"),
                         _ ("Cancels a workflow that daemons run: its steps are stopped, and its job fails."),
                         _ ("EXECUTION is one of those that “derush workflow list” shows, or the id of its job."),
                         entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 2)
    return derush_cli_usage_error ("workflow cancel", "%s", _ ("one EXECUTION, please"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  redis = redis_new (config, PATIENCE);
  execution = find (redis, arguments[1], &error);
  if (!execution && !error)
    g_set_error (&error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("there is no execution “%s”; see derush workflow list"), arguments[1]);
  else if (execution && is_over (derush_json_get_string (execution, "state", NULL)))
    g_set_error (&error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("the execution “%s” has ended already: %s"),
                 arguments[1], derush_json_get_string (execution, "state", ""));
  else if (execution)
    state = cancel (redis, json_object_get_string_member (execution, "queue"),
                    json_object_get_string_member (execution, "id"), CANCEL_PATIENCE, &error);
  if (state)
    return say_cancelled (arguments[1], execution, state, json);
  fprintf (stderr, "derush: %s\n", error ? error->message : "");
  return DERUSH_CLI_FAILED;
}

/* ── derush cancel ──────────────────────────────────────────────────────── */

static void
print_job_state (const char *queue, const char *id, const char *state)
{
  g_autoptr (JsonObject) said = json_object_new ();
  g_autofree char *text = NULL;

  json_object_set_string_member (said, "queue", queue);
  json_object_set_string_member (said, "id", id);
  json_object_set_string_member (said, "state", state);
  text = derush_json_object_to_string (said);
  puts (text);
}

static int
say_job_cancelled (const char *queue, const char *id, const char *state, gboolean json)
{
  if (json) {
    print_job_state (queue, id, state);
  } else if (strcmp (state, "failed") == 0) {
    printf (_ ("Job %s was cancelled\n"), id);
  } else if (strcmp (state, "completed") == 0) {
    printf (_ ("Job %s completed before it could be cancelled\n"), id);
  } else {
    printf (_ ("Job %s will be cancelled as soon as a daemon takes it\n"), id);
  }
  return fflush (stdout) == 0 && strcmp (state, "completed") != 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

/* Returns: (transfer full) (nullable): the state of the job @id, and in @queue the first queue of @queues that has it */
static char *
find_job (Redis *redis, GStrv queues, const char *id, const char **queue, GError **error)
{
  for (guint i = 0; queues[i]; i++) {
    g_autoptr (GError) local = NULL;
    g_autoptr (JsonObject) job = get_job (redis, queues[i], id, &local);

    if (local) {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
    *queue = queues[i];
    if (job)
      return g_strdup (derush_json_get_string (job, "state", ""));
  }
  return NULL;
}

/* Returns: (transfer full) (nullable): the state in which the job is at last; NULL: see @error */
typedef char *(*Order) (Redis *redis, const char *queue, const char *id, const char *before, GError **error);

static char *
cancel_job (Redis *redis, const char *queue, const char *id, const char *before, GError **error)
{
  if (!is_over (before))
    return cancel (redis, queue, id, JOB_PATIENCE, error);
  g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("job %s has ended already: %s"), id, before);
  return NULL;
}

/* What the command @name does to the job of its one argument; returns the exit status. */
static int
order_job (GStrv given, const char *name, const char *summary, const char *statuses, Order order,
           int (*say) (const char *queue, const char *id, const char *state, gboolean json))
{
  g_auto (GStrv) arguments = g_strdupv (given), queues = NULL;
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (Redis) redis = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *wanted = NULL, *before = NULL, *state = NULL;
  const char *queue = NULL;
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
      {"queue", 0, 0, G_OPTION_ARG_STRING, &wanted, N_ ("Look in QUEUE instead of those that the daemon serves"),
       N_ ("QUEUE")},
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, _ ("ID"), summary, statuses, entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 2)
    return derush_cli_usage_error (name, "%s", _ ("one ID, please"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  queues = wanted ? g_strsplit (wanted, ",", -1) : derush_cli_queues (config);
  redis = redis_new (config, PATIENCE);
  before = find_job (redis, queues, arguments[1], &queue, &error);
  if (!before && !error) {
    g_autofree char *names = g_strjoinv (", ", queues);

    g_set_error (&error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("there is no job %s in %s"), arguments[1], names);
  } else if (before) {
    state = order (redis, queue, arguments[1], before, &error);
  }
  if (state)
    return say (queue, arguments[1], state, json);
  fprintf (stderr, "derush: %s\n", error ? error->message : "");
  return DERUSH_CLI_FAILED;
}

int
derush_cli_cancel (GStrv given)
{
  return order_job (
      given, "cancel", _ ("Cancels a job: it is stopped, what it made is removed, and it fails for good."),
      _ ("Exit status: 0 cancelled, or going to be, 1 failed, 2 wrong usage."), cancel_job, say_job_cancelled);
}

/* ── derush retry ───────────────────────────────────────────────────────── */

/* Who tries it again does not want it cancelled any more; the answer to the question says that this has arrived. */
static gboolean
forget_cancel (Redis *redis, const char *queue, const char *id, GError **error)
{
  derush_bullmq_control_forget_cancel (redis->control, queue, id);
  derush_bullmq_control_is_cancelled_async (redis->control, queue, id, on_answer, redis);
  if (!answer (redis, error))
    return FALSE;
  derush_bullmq_control_is_cancelled_finish (redis->control, redis->result, NULL);
  return TRUE;
}

static char *
retry_job (Redis *redis, const char *queue, const char *id, const char *before, GError **error)
{
  DerushBullmqQueue *client = get_queue (redis, queue);
  gboolean is_delayed = strcmp (before, "delayed") == 0, done = FALSE;
  g_autoptr (GError) local = NULL;

  if (is_delayed) {
    derush_bullmq_queue_promote_async (client, id, NULL, on_answer, redis);
    done = answer (redis, &local) && derush_bullmq_queue_promote_finish (client, redis->result, &local);
  } else if (is_over (before) && forget_cancel (redis, queue, id, &local)) {
    derush_bullmq_queue_retry_async (client, id, before, NULL, on_answer, redis);
    done = answer (redis, &local) && derush_bullmq_queue_retry_finish (client, redis->result, &local);
  }
  if (done)
    return g_strdup ("waiting");
  if (local)
    g_propagate_error (error, g_steal_pointer (&local));
  else
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("job %s waits or runs already"), id);
  return NULL;
}

static int
say_job_retried (const char *queue, const char *id, const char *state, gboolean json)
{
  if (json)
    print_job_state (queue, id, state);
  else
    printf (_ ("Job %s waits to be run\n"), id);
  return fflush (stdout) == 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

int
derush_cli_retry (GStrv given)
{
  return order_job (given, "retry",
                    _ ("Lets a job that has ended run again with all its attempts, and one that is delayed at once."),
                    _ ("Exit status: 0 it waits, 1 failed, 2 wrong usage."), retry_job, say_job_retried);
}
