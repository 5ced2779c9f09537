/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"
#include "bullmq/bullmq.h"
#include "results/results.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n.h>

/* How long Redis may take to answer, in s, and how often a job is looked at while waiting for it, in ms. */
#define REDIS_TIMEOUT 5
#define WAIT_INTERVAL 300

/* ── One request to Redis at a time, waited for ─────────────────────────── */

typedef struct {
  DerushConfig *config;
  DerushRedisAddress *address;
  GMainLoop *loop;
  GAsyncResult *result;
  GCancellable *cancellable;
  guint timeout;
  gboolean timed_out;
} Connection;

static void
connection_init (Connection *connection, DerushConfig *config)
{
  connection->config = config;
  connection->address = derush_redis_address_new_from_config (config);
  connection->loop = g_main_loop_new (NULL, FALSE);
}

static void
connection_clear (Connection *connection)
{
  g_clear_pointer (&connection->address, derush_redis_address_free);
  g_clear_pointer (&connection->loop, g_main_loop_unref);
  g_clear_object (&connection->result);
  g_clear_object (&connection->cancellable);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Connection, connection_clear)

static gboolean
on_timeout (gpointer user_data)
{
  Connection *connection = user_data;

  connection->timeout = 0;
  connection->timed_out = TRUE;
  g_cancellable_cancel (connection->cancellable);
  return G_SOURCE_REMOVE;
}

static GCancellable *
begin (Connection *connection)
{
  g_clear_object (&connection->cancellable);
  connection->cancellable = g_cancellable_new ();
  connection->timed_out = FALSE;
  connection->timeout = g_timeout_add_seconds (REDIS_TIMEOUT, on_timeout, connection);
  return connection->cancellable;
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Connection *connection = user_data;

  g_set_object (&connection->result, result);
  g_main_loop_quit (connection->loop);
}

static GAsyncResult *
answer (Connection *connection)
{
  g_main_loop_run (connection->loop);
  if (connection->timeout)
    g_source_remove (connection->timeout);
  connection->timeout = 0;
  return connection->result;
}

static int
print_failure (Connection *connection, const GError *error)
{
  if (connection->timed_out)
    fprintf (stderr, _ ("derush: Redis at %s:%u does not answer; start it, or set REDIS_HOST and REDIS_PORT\n"),
             connection->address->host, connection->address->port);
  else
    fprintf (stderr, "derush: %s\n", error->message);
  return DERUSH_CLI_FAILED;
}

static DerushBullmqQueue *
open_queue (Connection *connection, const char *name)
{
  return derush_bullmq_queue_new (connection->address, derush_config_get_string (connection->config, "BULLMQ_PREFIX"),
                                  name);
}

static JsonObject *
get_job (Connection *connection, DerushBullmqQueue *queue, const char *id, GError **error)
{
  derush_bullmq_queue_get_job_async (queue, id, begin (connection), on_answer, connection);
  return derush_bullmq_queue_get_job_finish (queue, answer (connection), error);
}

/* Of `NAME,NAME=CONCURRENCY`, the names. */
GStrv
derush_cli_queues (DerushConfig *config)
{
  g_auto (GStrv) words = g_strsplit (derush_config_get_string (config, "DERUSH_QUEUES"), ",", -1);
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();

  for (guint i = 0; words[i]; i++) {
    char *sign = strrchr (words[i], '=');

    if (sign)
      *sign = '\0';
    if (*g_strstrip (words[i]))
      g_strv_builder_add (names, words[i]);
  }
  return g_strv_builder_end (names);
}

/* ── derush add ─────────────────────────────────────────────────────────── */

static gboolean
is_over (const char *state)
{
  return strcmp (state, "completed") == 0 || strcmp (state, "failed") == 0;
}

/* Progress is a number of percent or {step, progress, …}. */
static void
show_progress (DerushCliProgress *display, JsonObject *job)
{
  JsonObject *progress = derush_json_get_object (job, "progress");
  const char *step = derush_json_get_string (progress, "step", NULL);
  double percent =
      progress ? derush_json_get_number (progress, "progress", 0) : derush_json_get_number (job, "progress", 0);

  if (percent > 0)
    derush_cli_progress_update (display, step ? step : _ ("progress"), percent / 100);
}

static gboolean
on_tick (gpointer user_data)
{
  g_main_loop_quit (user_data);
  return G_SOURCE_REMOVE;
}

/* The job as it ended, or NULL after printing why not. */
static JsonObject *
wait_for_job (Connection *connection, DerushBullmqQueue *queue, const char *id, DerushPlan *plan,
              GCancellable *interrupted)
{
  g_autoptr (DerushCliProgress) display = derush_cli_progress_new (derush_cli_progress_style (), plan);

  while (!g_cancellable_is_cancelled (interrupted)) {
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonObject) job = get_job (connection, queue, id, &error);

    if (error) {
      derush_cli_progress_end (display, FALSE);
      print_failure (connection, error);
      return NULL;
    }
    if (!job) {
      derush_cli_progress_end (display, FALSE);
      fprintf (stderr, _ ("derush: job %s is gone from its queue\n"), id);
      return NULL;
    }
    show_progress (display, job);
    if (is_over (derush_json_get_string (job, "state", ""))) {
      derush_cli_progress_end (display, TRUE);
      return g_steal_pointer (&job);
    }
    g_timeout_add (WAIT_INTERVAL, on_tick, connection->loop);
    g_main_loop_run (connection->loop);
  }
  derush_cli_progress_end (display, FALSE);
  fprintf (stderr, _ ("derush: stopped waiting; job %s goes on\n"), id);
  return NULL;
}

static int
print_ended (JsonObject *job, gboolean json)
{
  gboolean completed = strcmp (derush_json_get_string (job, "state", ""), "completed") == 0;
  JsonObject *return_value = derush_json_get_object (job, "returnvalue");

  if (json) {
    g_autofree char *text = derush_json_object_to_string (job);

    puts (text);
  } else if (completed && return_value) {
    derush_cli_print_result (return_value);
  } else if (!completed) {
    fprintf (stderr, "derush: %s\n", derush_json_get_string (job, "failedReason", ""));
  }
  return completed ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

typedef struct {
  char *queue, *output_dir, *data_file;
  char **assignments;
  gint64 attempts, priority, delay;
  gboolean json, wait;
} AddOptions;

static void
add_options_clear (AddOptions *options)
{
  g_free (options->queue);
  g_free (options->output_dir);
  g_free (options->data_file);
  g_strfreev (options->assignments);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AddOptions, add_options_clear)

static JsonObject *
job_options (const AddOptions *options)
{
  JsonObject *object = json_object_new ();

  if (options->attempts > 0)
    json_object_set_int_member (object, "attempts", options->attempts);
  if (options->priority > 0)
    json_object_set_int_member (object, "priority", options->priority);
  if (options->delay > 0)
    json_object_set_int_member (object, "delay", options->delay);
  return object;
}

static int
add_job (DerushConfig *config, const AddOptions *options, DerushCliJob *job)
{
  g_auto (Connection) connection = {0};
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushPlan) plan = NULL;
  g_autoptr (DerushBullmqQueue) queue = NULL;
  g_autoptr (JsonObject) opts = job_options (options), ended = NULL;
  g_autofree char *data = derush_json_object_to_string (job->data), *id = NULL;
  const char *name = options->queue ? options->queue : derush_job_type_get_queue (job->type);

  /* Data that the daemon would refuse for good is refused here, where somebody sees it. */
  plan = derush_plan_new (job->type, job->data, DERUSH_PLAN_NONE, &error);
  if (!plan) {
    fprintf (stderr, "derush: %s\n", error->message);
    return DERUSH_CLI_FAILED;
  }
  for (guint i = 0; i < plan->warnings->len; i++)
    fprintf (stderr, _ ("derush: warning: %s\n"), (char *)g_ptr_array_index (plan->warnings, i));

  connection_init (&connection, config);
  queue = open_queue (&connection, name);
  derush_bullmq_queue_add_async (queue, job->type, data, opts, begin (&connection), on_answer, &connection);
  id = derush_bullmq_queue_add_finish (queue, answer (&connection), &error);
  if (!id)
    return print_failure (&connection, error);
  if (options->json && !options->wait) {
    g_autoptr (JsonObject) added = json_object_new ();
    g_autofree char *text = NULL;

    json_object_set_string_member (added, "id", id);
    json_object_set_string_member (added, "queue", name);
    json_object_set_string_member (added, "type", job->type);
    text = derush_json_object_to_string (added);
    puts (text);
  } else if (!options->json) {
    puts (id);
  }
  if (!options->wait)
    return DERUSH_CLI_COMPLETED;

  fflush (stdout);
  g_autoptr (GCancellable) interrupted = derush_cli_catch_signals ();
  ended = wait_for_job (&connection, queue, id, plan, interrupted);
  return ended ? print_ended (ended, options->json) : DERUSH_CLI_FAILED;
}

int
derush_cli_add (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_auto (AddOptions) options = {0};
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (DerushCliJob) job = NULL;
  g_autoptr (GError) error = NULL;
  gboolean unknown_type;
  guint n;
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output_dir, N_ ("Put the files into DIR"), N_ ("DIR")},
      {"param", 'p', 0, G_OPTION_ARG_FILENAME_ARRAY, &options.assignments,
       N_ ("Set a member of the job's data; dots reach into objects"), N_ ("NAME=VALUE")},
      {"data", 0, 0, G_OPTION_ARG_FILENAME, &options.data_file,
       N_ ("Take the job's data from FILE (“-”: standard input)"), N_ ("FILE")},
      {"queue", 0, 0, G_OPTION_ARG_STRING, &options.queue, N_ ("Add to QUEUE instead of the type's own"), N_ ("QUEUE")},
      {"attempts", 0, 0, G_OPTION_ARG_INT64, &options.attempts, N_ ("How often the job may be tried"), N_ ("N")},
      {"priority", 0, 0, G_OPTION_ARG_INT64, &options.priority,
       N_ ("1 is the highest; without it the job is ahead of all that have one"), N_ ("N")},
      {"delay", 0, 0, G_OPTION_ARG_INT64, &options.delay, N_ ("Wait so long before the first attempt"), N_ ("MS")},
      {"wait", 0, 0, G_OPTION_ARG_NONE, &options.wait, N_ ("Wait until the job has ended and show its result"), NULL},
      {"json", 0, 0, G_OPTION_ARG_NONE, &options.json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, _ ("TYPE [INPUT]"), _ ("Adds a job to its queue and prints the job's id."),
                         _ ("Redis is found by REDIS_HOST, REDIS_PORT and REDIS_PASSWORD.\n\n"
                            "Exit status: 0 added (with --wait: completed), 1 failed, 2 wrong usage."),
                         entries))
    return DERUSH_CLI_USAGE;
  n = g_strv_length (arguments);
  if (n < 2 || n > 3)
    return derush_cli_usage_error ("add", "%s", n < 2 ? _ ("TYPE is missing") : _ ("one TYPE and one INPUT, please"));
  if (options.attempts < 0 || options.priority < 0 || options.priority > 2097152 || options.delay < 0)
    return derush_cli_usage_error ("add", "%s", _ ("--attempts, --priority and --delay take whole numbers from 0 on"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  job = derush_cli_job_new (arguments[1], arguments[2], options.output_dir, (const char *const *)options.assignments,
                            options.data_file, &unknown_type, &error);
  if (!job)
    return derush_cli_usage_error ("add", "%s", error->message);
  return add_job (config, &options, job);
}

/* ── derush status ──────────────────────────────────────────────────────── */

/* How often --watch looks, and how soon it hears that it is interrupted, in ms. */
#define WATCH_INTERVAL 1000
#define WATCH_STEP 50

/* The counts of @queues by their name; NULL after printing why not. */
static JsonObject *
get_counts (Connection *connection, const char *const *queues)
{
  g_autoptr (JsonObject) all = json_object_new ();

  for (guint i = 0; queues[i]; i++) {
    g_autoptr (DerushBullmqQueue) queue = open_queue (connection, queues[i]);
    g_autoptr (GError) error = NULL;
    JsonObject *counts;

    derush_bullmq_queue_get_counts_async (queue, begin (connection), on_answer, connection);
    counts = derush_bullmq_queue_get_counts_finish (queue, answer (connection), &error);
    if (!counts) {
      print_failure (connection, error);
      return NULL;
    }
    json_object_set_object_member (all, queues[i], counts);
  }
  return g_steal_pointer (&all);
}

/* What `/api/status` says, with the counts among its queues. @counts: (nullable); @why: (out): why no daemon was asked */
static JsonObject *
get_overview (DerushConfig *config, JsonObject *counts, char **why)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) answer = derush_cli_ask_daemon (config, "GET", "/api/status", NULL, NULL, &error);
  JsonObject *known = derush_json_get_object (answer, "data"),
             *overview = known ? json_object_ref (known) : json_object_new (),
             *served = derush_json_get_object (overview, "queues"),
             *admitted = derush_json_get_object (derush_json_get_object (overview, "admission"), "queues");
  g_autoptr (GList) names = counts ? json_object_get_members (counts) : NULL;

  if (!known) {
    json_object_set_boolean_member (overview, "running", FALSE);
    *why = g_strdup (error ? error->message : "");
  }
  for (GList *name = names; name; name = name->next) {
    JsonObject *own = json_object_get_object_member (counts, name->data),
               *said = derush_json_get_object (served, name->data);

    if (said) {
      json_object_set_int_member (own, "concurrency", derush_json_get_int (said, "concurrency", 0));
      json_object_set_int_member (own, "running", derush_json_get_int (said, "active", 0));
      json_object_set_boolean_member (own, "pausedHere", derush_json_get_boolean (said, "pausedHere", FALSE));
      json_object_set_string_member (
          own, "heldBack", derush_json_get_string (derush_json_get_object (admitted, name->data), "reason", "none"));
    }
  }
  if (counts)
    json_object_set_object_member (overview, "queues", json_object_ref (counts));
  return overview;
}

static void
add_overview (GString *text, JsonObject *overview, const char *why, gboolean is_off)
{
  JsonObject *queues = derush_json_get_object (overview, "queues"),
             *workers = derush_json_get_object (overview, "workers");

  if (!why) {
    derush_cli_add_daemon (text, overview);
    g_string_append_c (text, '\n');
  }
  if (queues)
    derush_cli_add_counts (text, queues);
  if (workers) {
    g_string_append_c (text, '\n');
    derush_cli_add_workers (text, workers);
  }
  if (why && !is_off)
    g_string_append_printf (text, "\n%s\n", why);
}

/* Prints it once. */
static int
show_overview (Connection *connection, const char *const *queues, gboolean json, gboolean clear)
{
  g_autoptr (JsonObject) counts = get_counts (connection, queues), overview = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *why = NULL;

  overview = get_overview (connection->config, counts, &why);
  if (!counts && why)
    return DERUSH_CLI_FAILED;
  if (json) {
    g_autofree char *line = derush_json_object_to_string (overview);

    g_string_append_printf (text, "%s\n", line);
  } else {
    add_overview (text, overview, why,
                  strcmp (derush_config_get_string (connection->config, "DERUSH_HTTP_ADDRESS"), "off") == 0);
  }
  if (clear)
    fputs ("\033[H\033[J", stdout);
  if (fputs (text->str, stdout) < 0 || fflush (stdout) != 0)
    return DERUSH_CLI_FAILED;
  return counts ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

/* Until it is interrupted, or nobody reads it any more. */
static int
watch_overview (Connection *connection, const char *const *queues, gboolean json)
{
  g_autoptr (GCancellable) interrupted = derush_cli_catch_signals ();
  gboolean clear = !json && isatty (STDOUT_FILENO);

  for (guint n = 0; !g_cancellable_is_cancelled (interrupted) && !ferror (stdout); n++) {
    if (n > 0 && !clear && !json)
      putchar ('\n');
    show_overview (connection, queues, json, clear);
    for (guint i = 0; i < WATCH_INTERVAL / WATCH_STEP && !g_cancellable_is_cancelled (interrupted); i++) {
      g_timeout_add (WATCH_STEP, on_tick, connection->loop);
      g_main_loop_run (connection->loop);
    }
  }
  return ferror (stdout) ? DERUSH_CLI_FAILED : DERUSH_CLI_COMPLETED;
}

/* A line of two columns. printf() would pad by bytes, of which labels with accents have more than characters. */
static void
print_field (const char *label, const char *value)
{
  printf ("%s%*s %s\n", label, (int)MAX (12 - g_utf8_strlen (label, -1), 0), "", value);
}

static void
print_time (const char *label, JsonObject *job, const char *member)
{
  gint64 ms = derush_json_get_int (job, member, 0);
  g_autofree char *text = ms > 0 ? derush_time_to_iso8601 (ms) : NULL;

  if (text)
    print_field (label, text);
}

static void
print_job (const char *queue, JsonObject *job)
{
  const char *reason = derush_json_get_string (job, "failedReason", "");
  JsonNode *progress = json_object_get_member (job, "progress");
  JsonObject *return_value = derush_json_get_object (job, "returnvalue");
  g_autofree char *name = g_strdup_printf ("%s:%s", queue, derush_json_get_string (job, "id", ""));
  g_autofree char *attempts = g_strdup_printf ("%" G_GINT64_FORMAT, derush_json_get_int (job, "attemptsMade", 0));

  print_field (_ ("job"), name);
  print_field (_ ("type"), derush_json_get_string (job, "name", ""));
  print_field (_ ("state"), derush_json_get_string (job, "state", ""));
  if (progress && !JSON_NODE_HOLDS_NULL (progress)) {
    g_autofree char *text = derush_json_node_to_string (progress);

    print_field (_ ("progress"), text);
  }
  print_field (_ ("attempts"), attempts);
  print_time (_ ("added"), job, "timestamp");
  print_time (_ ("started"), job, "processedOn");
  print_time (_ ("ended"), job, "finishedOn");
  if (*reason)
    print_field (_ ("reason"), reason);
  if (return_value)
    derush_cli_print_result (return_value);
}

/* The store keeps what Redis has dropped. */
static JsonObject *
get_stored_job (DerushConfig *config, const char *queue, const char *id)
{
  g_autofree char *row_id = g_strconcat (queue, ":", id, NULL);
  g_autoptr (GError) error = NULL;
  DerushStore *store = derush_store_open_to_read (config, &error);
  JsonObject *row = NULL;

  if (store) {
    row = derush_store_get_job (store, row_id, &error);
    derush_store_close (store, 1, NULL);
  }
  return row;
}

static void
print_row (JsonObject *row)
{
  static const char *const columns[] = {"id", "type", "status", "progress", "error", "startedAt", "completedAt"};

  for (guint i = 0; i < G_N_ELEMENTS (columns); i++) {
    JsonNode *node = json_object_get_member (row, columns[i]);
    g_autofree char *text = NULL;

    if (!node || JSON_NODE_HOLDS_NULL (node))
      continue;
    text = JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
               ? g_strdup (json_node_get_string (node))
               : derush_json_node_to_string (node);
    printf ("%-12s %s\n", columns[i], text);
  }
}

static int
show_job (Connection *connection, const char *const *queues, const char *id, gboolean json)
{
  g_autoptr (JsonObject) row = NULL;

  for (guint i = 0; queues[i]; i++) {
    g_autoptr (DerushBullmqQueue) queue = open_queue (connection, queues[i]);
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonObject) job = get_job (connection, queue, id, &error);

    if (error)
      return print_failure (connection, error);
    if (!job)
      continue;
    if (json) {
      g_autofree char *text = NULL;

      json_object_set_string_member (job, "queue", queues[i]);
      text = derush_json_object_to_string (job);
      puts (text);
    } else {
      print_job (queues[i], job);
    }
    return DERUSH_CLI_COMPLETED;
  }
  for (guint i = 0; queues[i] && !row; i++)
    row = get_stored_job (connection->config, queues[i], id);
  if (!row) {
    g_autofree char *names = g_strjoinv (", ", (GStrv)queues);

    fprintf (stderr, _ ("derush: no job %s in %s\n"), id, names);
    return DERUSH_CLI_FAILED;
  }
  if (json) {
    g_autofree char *text = derush_json_object_to_string (row);

    puts (text);
  } else {
    print_row (row);
  }
  return DERUSH_CLI_COMPLETED;
}

int
derush_cli_status (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given), queues = NULL;
  g_auto (Connection) connection = {0};
  g_autoptr (DerushConfig) config = NULL;
  g_autofree char *queue = NULL;
  gboolean json = FALSE, watch = FALSE;
  const GOptionEntry entries[] = {
      {"queue", 0, 0, G_OPTION_ARG_STRING, &queue, N_ ("Look at QUEUE instead of those that the daemon serves"),
       N_ ("QUEUE")},
      {"watch", 'w', 0, G_OPTION_ARG_NONE, &watch, N_ ("Show it again every second, until it is interrupted"), NULL},
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (
          &arguments, _ ("[ID]"),
          _ ("Counts the jobs of each queue and shows the workers of the daemon, or one job: its state, progress "
             "and result."),
          _ ("Redis is asked for the jobs, the daemon at DERUSH_HTTP_ADDRESS for its workers."), entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) > 2)
    return derush_cli_usage_error ("status", "%s", _ ("one ID, please"));
  if (watch && arguments[1])
    return derush_cli_usage_error ("status", "%s", _ ("--watch shows the queues, not a job"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  queues = queue ? g_strsplit (queue, ",", -1) : derush_cli_queues (config);
  connection_init (&connection, config);
  if (arguments[1])
    return show_job (&connection, (const char *const *)queues, arguments[1], json);
  return watch ? watch_overview (&connection, (const char *const *)queues, json)
               : show_overview (&connection, (const char *const *)queues, json, FALSE);
}
