/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "daemon-private.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>

/* What stopping the pipelines and telling Redis may take after the jobs' own time is over, in s. */
#define LAST_GRACE 5
#define STORE_CLOSE_TIMEOUT 5.0

/* How often it is looked for what unfinished jobs have left, in s. */
#define SWEEP_INTERVAL 600

/* How often systemd is told how it goes, in ms. */
#define NOTIFY_INTERVAL 2000

typedef struct {
  DerushDaemon daemon;
  GPtrArray *queues; /* of DerushDaemonQueue */
  guint open;        /* queues that have not closed */
  GMainLoop *loop;
  guint signals; /* how often it was asked to end */
  gboolean ending;
  DerushDaemonProgram orders;
  guint timer;
  guint sweeper;
  guint notifier;
  char *told;         /* what systemd was told last */
  GPtrArray *configs; /* earlier settings: what was read of them may still be in use */
  DerushDaemonMetrics *metrics;
  DerushDaemonBackend *backend;
  DerushDaemonReconcile *reconcile;
} Program;

/* ── Ending ─────────────────────────────────────────────────────────────── */

static gboolean
on_last_grace_over (gpointer user_data)
{
  Program *program = user_data;

  program->timer = 0;
  derush_log (DERUSH_LOG_WARN, NULL, "Ending before every job was told to Redis; its stalled check will find the rest");
  g_main_loop_quit (program->loop);
  return G_SOURCE_REMOVE;
}

static gboolean
give_back (gpointer user_data)
{
  Program *program = user_data;

  for (guint i = 0; i < program->queues->len; i++)
    derush_daemon_queue_give_back (program->queues->pdata[i]);
  program->timer = g_timeout_add_seconds (LAST_GRACE, on_last_grace_over, program);
  return G_SOURCE_REMOVE;
}

static void
on_queue_closed (gpointer queue, gpointer user_data)
{
  Program *program = user_data;

  if (--program->open == 0)
    g_main_loop_quit (program->loop);
}

/* Fetches nothing more, and ends with the last job that runs. */
static void
begin_to_end (Program *program)
{
  if (program->ending)
    return;
  program->ending = TRUE;
  derush_daemon_backend_set_draining (program->backend);
  derush_daemon_notify ("STOPPING=1\nSTATUS=Ending: waiting for the running jobs");
  for (guint i = 0; i < program->queues->len; i++)
    derush_daemon_queue_close (program->queues->pdata[i], on_queue_closed, program);
}

static gboolean
on_signal (gpointer user_data)
{
  Program *program = user_data;
  gint64 timeout = derush_config_get_int (program->daemon.config, "DERUSH_SHUTDOWN_TIMEOUT");

  program->signals++;
  if (program->signals == 1) {
    derush_log (DERUSH_LOG_INFO, NULL, "Ending: running jobs have %d s, then they are given back", (int)timeout);
    program->timer = g_timeout_add_seconds (timeout, give_back, program);
    begin_to_end (program);
  } else if (program->signals == 2) {
    derush_log (DERUSH_LOG_INFO, NULL, "Ending now: running jobs are given back");
    g_clear_handle_id (&program->timer, g_source_remove);
    give_back (program);
  } else {
    g_main_loop_quit (program->loop);
  }
  return G_SOURCE_CONTINUE;
}

/* What an operator orders over HTTP. A signal that comes later ends a patient end sooner. */
static void
end (gboolean patient, gpointer user_data)
{
  Program *program = user_data;

  if (!patient && program->signals == 0) {
    on_signal (program);
  } else if (patient && !program->ending) {
    derush_log (DERUSH_LOG_INFO, NULL, "Ending once the running jobs have ended");
    begin_to_end (program);
  }
}

/* ── systemd ────────────────────────────────────────────────────────────── */

/* Runs in the main loop: a loop that hangs tells nothing, and systemd restarts the daemon. */
static gboolean
on_notify (gpointer user_data)
{
  Program *program = user_data;
  g_autofree char *text = NULL;
  guint running = 0;

  for (guint i = 0; i < program->queues->len; i++)
    running += derush_daemon_queue_count_running (program->queues->pdata[i]);
  derush_daemon_notify ("WATCHDOG=1");
  if (program->ending)
    return G_SOURCE_CONTINUE;
  text = g_strdup_printf ("STATUS=%u queues, %u running jobs", program->queues->len, running);
  if (g_strcmp0 (text, program->told) != 0) {
    derush_daemon_notify (text);
    g_free (program->told);
    program->told = g_steal_pointer (&text);
  }
  return G_SOURCE_CONTINUE;
}

static void
begin_to_notify (Program *program)
{
  guint interval = derush_daemon_watchdog_interval ();

  if (!g_getenv ("NOTIFY_SOCKET"))
    return;
  derush_daemon_notify ("READY=1");
  on_notify (program);
  program->notifier =
      g_timeout_add (interval > 0 ? MIN (interval, NOTIFY_INTERVAL) : NOTIFY_INTERVAL, on_notify, program);
}

/* ── Starting ───────────────────────────────────────────────────────────── */

static gboolean
set_log_level (DerushConfig *config, GError **error)
{
  static const char *const names[] = {"error", "warn", "info", "debug"};
  const char *wanted = derush_config_get_string (config, "DERUSH_LOG_LEVEL");

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_ascii_strcasecmp (wanted, names[i]) == 0) {
      derush_log_set_level (i);
      return TRUE;
    }
  g_set_error (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("DERUSH_LOG_LEVEL is “%s”, but must be error, warn, info or debug"), wanted);
  return FALSE;
}

/* The folder of jobs that name none is theirs, too: the next job reads what the one before it left there. */
static GStrv
roots_of (DerushConfig *config)
{
  g_auto (GStrv) paths = derush_config_get_paths (config, "DERUSH_ALLOWED_ROOTS");
  g_autoptr (GStrvBuilder) roots = NULL;

  if (!paths[0]) {
    derush_log (DERUSH_LOG_WARN, NULL,
                "DERUSH_ALLOWED_ROOTS is empty: jobs may read and write whatever the user who runs derushd may");
    return NULL;
  }
  roots = g_strv_builder_new ();
  g_strv_builder_addv (roots, (const char **)paths);
  g_strv_builder_add (roots, derush_config_get_string (config, "DERUSH_OUTPUT_DIR"));
  return g_strv_builder_end (roots);
}

DerushBullmqQueue *
derush_daemon_get_queue (DerushDaemon *daemon, const char *name)
{
  DerushBullmqQueue *queue = g_hash_table_lookup (daemon->clients, name);

  if (queue)
    return queue;
  queue = derush_bullmq_queue_new (daemon->address, derush_config_get_string (daemon->config, "BULLMQ_PREFIX"), name);
  g_hash_table_insert (daemon->clients, g_strdup (name), queue);
  return queue;
}

static void
on_message (JsonObject *message, gpointer user_data)
{
  Program *program = user_data;
  const char *queue = derush_json_get_string (message, "queue", NULL),
             *id = derush_json_get_string (message, "id", NULL);

  if (!queue || !id || g_strcmp0 (derush_json_get_string (message, "command", NULL), "cancel") != 0)
    return;
  for (guint i = 0; i < program->queues->len; i++)
    derush_daemon_queue_cancel (program->queues->pdata[i], queue, id);
}

/* What workflows need beside the queues that are served. */
static void
set_up_workflows (Program *program)
{
  DerushDaemon *daemon = &program->daemon;

  daemon->control =
      derush_bullmq_control_new (daemon->address, derush_config_get_string (daemon->config, "BULLMQ_PREFIX"));
  daemon->clients = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)derush_bullmq_queue_free);
  daemon->learned =
      g_build_filename (derush_config_get_string (daemon->config, "DERUSH_STATE_DIR"), "workflow-durations.json", NULL);
}

static gboolean reload_now (gpointer user_data, GError **error);

static gboolean
set_up (Program *program, GError **error)
{
  DerushDaemon *daemon = &program->daemon;
  g_autoptr (GPtrArray) settings = NULL;
  const DerushRedisAddress *address;

  program->configs = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_config_unref);
  daemon->config = derush_config_load (error);
  if (!daemon->config || !set_log_level (daemon->config, error))
    return FALSE;
  settings = derush_queue_settings_new (daemon->config, error);
  if (!settings)
    return FALSE;
  /* Better now than job by job. */
  if (strcmp (derush_config_get_string (daemon->config, "DERUSH_SANDBOX"), "required") == 0) {
    g_autoptr (JsonObject) containment = derush_containment_probe (daemon->config, error);

    if (!containment)
      return FALSE;
  }
  daemon->store = derush_store_open (daemon->config, error);
  if (!daemon->store)
    return FALSE;
  daemon->webhooks = derush_webhooks_new (daemon->config, error);
  if (!daemon->webhooks)
    return FALSE;
  daemon->roots = roots_of (daemon->config);
  daemon->flags =
      derush_config_get_boolean (daemon->config, "DERUSH_STRICT_DATA") ? DERUSH_PLAN_STRICT : DERUSH_PLAN_NONE;
  address = daemon->address = derush_redis_address_new_from_config (daemon->config);
  set_up_workflows (program);
  program->queues = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_daemon_queue_free);
  for (guint i = 0; i < settings->len; i++)
    g_ptr_array_add (program->queues, derush_daemon_queue_new (daemon, address, settings->pdata[i]));
  program->open = program->queues->len;
  program->metrics = derush_daemon_metrics_new (daemon, settings);
  daemon->governor = derush_daemon_governor_new (daemon, program->queues, settings, program->metrics);
  program->orders = (DerushDaemonProgram){.reload = reload_now, .end = end, .user_data = program};
  if (!derush_daemon_backend_start (daemon, program->queues, &program->orders, &program->backend, error))
    return FALSE;
  for (guint i = 0; i < settings->len; i++) {
    DerushQueueSetting *setting = settings->pdata[i];
    JsonObject *fields = json_object_new ();

    json_object_set_string_member (fields, "queue", setting->name);
    if (setting->minimum < setting->concurrency)
      derush_log (DERUSH_LOG_INFO, fields, "Serving the queue %s of %s:%d, %u to %u jobs at once", setting->name,
                  address->host, address->port, setting->minimum, setting->concurrency);
    else
      derush_log (DERUSH_LOG_INFO, fields, "Serving the queue %s of %s:%d, %u jobs at once", setting->name,
                  address->host, address->port, setting->concurrency);
  }
  return TRUE;
}

static void
clean_up (Program *program)
{
  g_autoptr (GError) error = NULL;

  g_clear_handle_id (&program->timer, g_source_remove);
  g_clear_handle_id (&program->sweeper, g_source_remove);
  g_clear_pointer (&program->backend, derush_daemon_backend_free);
  g_clear_pointer (&program->reconcile, derush_daemon_reconcile_free);
  g_clear_handle_id (&program->notifier, g_source_remove);
  g_clear_pointer (&program->daemon.governor, derush_daemon_governor_free);
  g_clear_pointer (&program->metrics, derush_daemon_metrics_free);
  g_clear_pointer (&program->queues, g_ptr_array_unref);
  g_clear_pointer (&program->daemon.webhooks, derush_webhooks_free);
  g_clear_pointer (&program->daemon.control, derush_bullmq_control_free);
  g_clear_pointer (&program->daemon.clients, g_hash_table_unref);
  g_clear_pointer (&program->daemon.address, derush_redis_address_free);
  g_clear_pointer (&program->daemon.learned, g_free);
  if (program->daemon.store && !derush_store_close (program->daemon.store, STORE_CLOSE_TIMEOUT, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "%s", error->message);
  g_clear_pointer (&program->daemon.roots, g_strfreev);
  g_clear_pointer (&program->daemon.config, derush_config_unref);
  g_clear_pointer (&program->configs, g_ptr_array_unref);
  g_clear_pointer (&program->told, g_free);
  g_clear_pointer (&program->loop, g_main_loop_unref);
}

static void
begin_to_reconcile (Program *program)
{
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();

  for (guint i = 0; i < program->queues->len; i++)
    g_strv_builder_add (names, derush_daemon_queue_get_name (program->queues->pdata[i]));
  program->reconcile = derush_daemon_reconcile_new (&program->daemon, g_strv_builder_end (names));
  derush_daemon_reconcile_run (program->reconcile);
}

static gboolean
on_sweep (gpointer user_data)
{
  Program *program = user_data;

  derush_daemon_sweep (&program->daemon);
  return G_SOURCE_CONTINUE;
}

/* ── Other settings ─────────────────────────────────────────────────────── */

/* All of the new settings count from now on, or none of them. */
static gboolean
reload (Program *program, GError **error)
{
  DerushDaemon *daemon = &program->daemon;
  g_autoptr (DerushConfig) config = derush_config_load (error);
  g_autoptr (GPtrArray) settings = NULL;

  if (!config || !derush_settings_can_follow (daemon->config, config, error))
    return FALSE;
  settings = derush_queue_settings_new (config, error);
  if (!settings || !set_log_level (config, error))
    return FALSE;
  g_ptr_array_add (program->configs, daemon->config);
  daemon->config = g_steal_pointer (&config);
  g_clear_pointer (&daemon->roots, g_strfreev);
  daemon->roots = roots_of (daemon->config);
  daemon->flags =
      derush_config_get_boolean (daemon->config, "DERUSH_STRICT_DATA") ? DERUSH_PLAN_STRICT : DERUSH_PLAN_NONE;
  for (guint i = 0; i < program->queues->len; i++)
    derush_daemon_queue_reload (program->queues->pdata[i]);
  derush_daemon_governor_reload (daemon->governor, settings);
  return TRUE;
}

/* Also told to systemd, to whoever asked, and to the log. */
static gboolean
reload_now (gpointer user_data, GError **error)
{
  Program *program = user_data;
  g_autofree char *begin = g_strdup_printf ("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time ());
  g_autoptr (GError) local = NULL;

  derush_daemon_notify (begin);
  if (reload (program, &local))
    derush_log (DERUSH_LOG_INFO, NULL, "The settings were read again");
  else
    derush_log (DERUSH_LOG_ERROR, NULL, "The settings stay as they were: %s", local->message);
  derush_daemon_notify ("READY=1");
  if (!local)
    return TRUE;
  g_propagate_prefixed_error (error, g_steal_pointer (&local), "%s: ", _ ("The settings stay as they were"));
  return FALSE;
}

static gboolean
on_reload (gpointer user_data)
{
  Program *program = user_data;

  if (!program->ending)
    reload_now (program, NULL);
  return G_SOURCE_CONTINUE;
}

static void
serve (Program *program)
{
  static const int signals[] = {SIGTERM, SIGINT};

  signal (SIGPIPE, SIG_IGN);
  program->loop = g_main_loop_new (NULL, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (signals); i++)
    g_unix_signal_add (signals[i], on_signal, program);
  g_unix_signal_add (SIGHUP, on_reload, program);
  derush_daemon_sweep (&program->daemon);
  program->sweeper = g_timeout_add_seconds (SWEEP_INTERVAL, on_sweep, program);
  for (guint i = 0; i < program->queues->len; i++)
    derush_daemon_queue_start (program->queues->pdata[i]);
  derush_bullmq_control_listen (program->daemon.control, on_message, program);
  begin_to_reconcile (program);
  begin_to_notify (program);
  g_main_loop_run (program->loop);
  derush_log (DERUSH_LOG_INFO, NULL, "Ended");
}

static gboolean
parse_options (int *argc, char ***argv, gboolean *version, GError **error)
{
  const GOptionEntry entries[] = {
      {"version", 'V', 0, G_OPTION_ARG_NONE, version, N_ ("Print the version and exit"), NULL},
      {NULL},
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);

  g_option_context_set_translation_domain (context, GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  g_option_context_set_summary (context, _ ("Takes video jobs from BullMQ queues in Redis and runs them."));
  g_option_context_set_description (
      context,
      _ ("All settings come from the environment or /etc/derush/derush.conf: REDIS_HOST, REDIS_PORT, "
         "REDIS_PASSWORD, DERUSH_QUEUES\n(“NAME,NAME=JOBS-AT-ONCE”), DERUSH_ALLOWED_ROOTS, DERUSH_OUTPUT_DIR, "
         "DATABASE_URL and more.\nSIGTERM ends it once the running jobs have ended, SIGHUP reads the settings again."));
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc > 1) {
    g_set_error (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is no option; see derushd --help"),
                 (*argv)[1]);
    return FALSE;
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  Program program = {0};
  g_autoptr (GError) error = NULL;
  gboolean version = FALSE;

  derush_memory_keep_private ();
  /* The HTTP/2 of libsoup before 3.6 has faults that HTTP/1.1 has not. */
  g_setenv ("SOUP_FORCE_HTTP1", "1", FALSE);
  setlocale (LC_ALL, "");
  /* Numbers are the same in every language: they are read by programs as well. */
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  if (!parse_options (&argc, &argv, &version, &error)) {
    fprintf (stderr, "derushd: %s\n", error->message);
    return 2;
  }
  if (version) {
    printf ("derushd %s\n", PACKAGE_VERSION);
    return 0;
  }
  if (!set_up (&program, &error)) {
    fprintf (stderr, "derushd: %s\n", error->message);
    clean_up (&program);
    return 2;
  }
  serve (&program);
  clean_up (&program);
  return 0;
}
