/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What an operator orders a daemon that runs to do. */

#include "cli/cli-private.h"

#include <stdio.h>
#include <string.h>
#include <glib/gi18n.h>

/* How often it is looked whether a daemon that ends has ended, in µs. */
#define LOOK_INTERVAL 300000

typedef enum {
  OF_DAEMON,
  OF_WORKER,
  OF_WORKER_OR_DAEMON,
  OF_QUEUE_OR_ALL,
} Object;

typedef struct {
  const char *command;
  Object object;
  const char *flag; /* (nullable): of the body, and as an option */
  const char *flag_help;
  const char *summary;
} Order;

static const Order orders[] = {
    {"restart", OF_WORKER, "now", N_ ("Give its job back to the queue instead of letting it end"),
     N_ ("Gives a worker a new process, after its job if it has one, and starts it if it was stopped.")},
    {"start", OF_WORKER, NULL, NULL, N_ ("Lets a worker that was stopped do jobs again.")},
    {"stop-after-job", OF_WORKER, NULL, NULL, N_ ("Lets a worker do no more jobs after the one that it does.")},
    {"stop", OF_WORKER_OR_DAEMON, NULL, NULL,
     N_ ("Ends the daemon as SIGTERM does: running jobs have DERUSH_SHUTDOWN_TIMEOUT seconds, then they are given back.\n"
         "With WORKER, stops that only, and gives its job back to the queue.")},
    {"pause", OF_QUEUE_OR_ALL, "local", N_ ("In this daemon only: other workers of the queue go on"),
     N_ ("Lets no job of a queue begin, in whatever worker, as BullMQ’s queue.pause() does; running jobs go on.")},
    {"resume", OF_QUEUE_OR_ALL, "local", N_ ("In this daemon only: a queue that is paused for all stays so"),
     N_ ("Lets the jobs of a queue begin again, as BullMQ’s queue.resume() does.")},
    {"drain", OF_DAEMON, NULL, NULL,
     N_ ("Ends the daemon once its running jobs have ended, however long they take; it takes no others.")},
    {"reload", OF_DAEMON, NULL, NULL, N_ ("Has the daemon read its settings again, as SIGHUP does.")},
};

static const char *
usage_of (const Order *order)
{
  switch (order->object) {
  case OF_WORKER:
    return _ ("WORKER");
  case OF_WORKER_OR_DAEMON:
    return _ ("[WORKER]");
  case OF_QUEUE_OR_ALL:
    return _ ("[QUEUE]");
  case OF_DAEMON:
    break;
  }
  return NULL;
}

static char *
path_of (const Order *order, const char *name)
{
  g_autofree char *escaped = name ? g_uri_escape_string (name, NULL, FALSE) : NULL;

  return !name ? g_strdup_printf ("/api/orchestrator/%s", order->command)
               : g_strdup_printf ("/api/%s/%s/%s", order->object == OF_QUEUE_OR_ALL ? "queues" : "workers", escaped,
                                  order->command);
}

static void
print_queues (JsonObject *said)
{
  JsonArray *queues = derush_json_get_array (said, "queues");
  gboolean paused = derush_json_get_boolean (said, "paused", FALSE),
           local = derush_json_get_boolean (said, "local", FALSE);

  for (guint i = 0; queues && i < json_array_get_length (queues); i++) {
    const char *name = json_array_get_string_element (queues, i);

    if (paused)
      printf (local ? _ ("The queue %s is paused in this daemon\n") : _ ("The queue %s is paused\n"), name);
    else
      printf (local ? _ ("This daemon takes jobs of the queue %s again\n") : _ ("The queue %s goes on\n"), name);
  }
}

static void
print_worker (const Order *order, JsonObject *said)
{
  const char *name = derush_json_get_string (said, "worker", "");
  gboolean later = derush_json_get_boolean (said, "afterJob", FALSE);

  if (strcmp (order->command, "restart") == 0)
    printf (later ? _ ("Worker %s is restarted after its job\n") : _ ("Worker %s is restarted\n"), name);
  else if (strcmp (order->command, "start") == 0)
    printf (_ ("Worker %s does jobs\n"), name);
  else
    printf (later ? _ ("Worker %s is stopped after its job\n") : _ ("Worker %s is stopped\n"), name);
}

static void
print_done (const Order *order, JsonObject *said)
{
  guint n = derush_json_get_int (said, "running", 0);

  if (json_object_has_member (said, "worker"))
    print_worker (order, said);
  else if (json_object_has_member (said, "queues"))
    print_queues (said);
  else if (json_object_has_member (said, "reloaded"))
    puts (_ ("The settings were read again"));
  else
    printf (ngettext ("The daemon ends after %u running job\n", "The daemon ends after %u running jobs\n", n), n);
}

static void
wait_for_end (DerushConfig *config)
{
  for (;;) {
    g_autoptr (JsonObject) answer = NULL;
    guint status;

    g_usleep (LOOK_INTERVAL);
    answer = derush_cli_ask_daemon (config, "GET", "/api/status", NULL, &status, NULL);
    if (status == 0)
      return;
  }
}

static int
give_order (DerushConfig *config, const Order *order, const char *name, gboolean flag, gboolean wait, gboolean json)
{
  g_autoptr (JsonObject) body = json_object_new (), answer = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = path_of (order, name);
  JsonObject *said;

  if (flag)
    json_object_set_boolean_member (body, order->flag, TRUE);
  answer = derush_cli_ask_daemon (config, "POST", path, body, NULL, &error);
  if (!answer) {
    fprintf (stderr, "derush: %s\n", error->message);
    return DERUSH_CLI_FAILED;
  }
  said = derush_json_get_object (answer, "data");
  if (wait)
    wait_for_end (config);
  if (json) {
    g_autofree char *text = derush_json_object_to_string (said);

    puts (text);
  } else if (wait) {
    puts (_ ("The daemon has ended"));
  } else {
    print_done (order, said);
  }
  return fflush (stdout) == 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

static const Order *
find_order (const char *command)
{
  for (guint i = 0; i < G_N_ELEMENTS (orders); i++)
    if (strcmp (orders[i].command, command) == 0)
      return &orders[i];
  g_assert_not_reached ();
}

int
derush_cli_order (GStrv given)
{
  const Order *order = find_order (given[0]);
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autoptr (DerushConfig) config = NULL;
  gboolean flag = FALSE, wait = FALSE, json = FALSE;
  GOptionEntry entries[4] = {{"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL}};
  guint n = 1, n_words;

  if (order->flag)
    entries[n++] = (GOptionEntry){order->flag, 0, 0, G_OPTION_ARG_NONE, &flag, order->flag_help, NULL};
  if (order->object == OF_DAEMON && strcmp (order->command, "drain") == 0)
    entries[n++] = (GOptionEntry){"wait", 0, 0, G_OPTION_ARG_NONE, &wait, N_ ("Wait until the daemon has ended"), NULL};
  if (!derush_cli_parse (&arguments, usage_of (order), _ (order->summary),
                         _ ("The daemon is asked at DERUSH_HTTP_ADDRESS, with DERUSH_HTTP_TOKEN. “derush status” shows "
                            "workers and queues.\nExit status: 0 done, 1 failed, 2 wrong usage."),
                         entries))
    return DERUSH_CLI_USAGE;
  n_words = g_strv_length (arguments);
  if (order->object == OF_WORKER && n_words != 2)
    return derush_cli_usage_error (order->command, "%s", _ ("one WORKER, please"));
  if (order->object == OF_DAEMON && n_words > 1)
    return derush_cli_usage_error (order->command, _ ("“%s” is one argument too many"), arguments[1]);
  if (n_words > 2)
    return derush_cli_usage_error (order->command, _ ("“%s” is one argument too many"), arguments[2]);
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  return give_order (config, order, arguments[1], flag, wait, json);
}
