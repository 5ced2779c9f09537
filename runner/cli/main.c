/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <glib/gi18n.h>

typedef struct {
  const char *name;
  int (*function) (GStrv arguments);
  const char *summary;
} Command;

static const Command commands[] = {
    {"run", derush_cli_run, N_ ("Run a job here and now, without Redis or a daemon")},
    {"add", derush_cli_add, N_ ("Add a job to a queue")},
    {"status", derush_cli_status, N_ ("Show the queues and the daemon’s workers, or one job")},
    {"cancel", derush_cli_cancel, N_ ("Stop a job that waits or is being run")},
    {"retry", derush_cli_retry, N_ ("Run a job again that has ended, or one that is delayed at once")},
    {"health", derush_cli_health, N_ ("Show whether the daemon can do its jobs")},
    {"stats", derush_cli_stats, N_ ("Show what the daemon has done")},
    {"restart", derush_cli_order, N_ ("Give a worker of the daemon a new process")},
    {"stop-after-job", derush_cli_order, N_ ("Stop a worker of the daemon after its job")},
    {"start", derush_cli_order, N_ ("Start a worker of the daemon that was stopped")},
    {"pause", derush_cli_order, N_ ("Let no job of a queue begin")},
    {"resume", derush_cli_order, N_ ("Let the jobs of a queue begin again")},
    {"drain", derush_cli_order, N_ ("End the daemon once its jobs have ended")},
    {"stop", derush_cli_order, N_ ("End the daemon as SIGTERM does")},
    {"reload", derush_cli_order, N_ ("Have the daemon read its settings again")},
    {"purge", derush_cli_purge, N_ ("Remove what there is of a video or a user")},
    {"workflow", derush_cli_workflow, N_ ("Run a workflow of several jobs here and now, or list them")},
    {"analysis", derush_cli_analysis, N_ ("Measure a film and show its shots")},
    {"export", derush_cli_export, N_ ("Write shots and highlights for editing programs")},
    {"models", derush_cli_models, N_ ("Show who is asked for speech, text and pictures")},
    {"pipeline", derush_cli_pipeline, N_ ("Print a pipeline for gst-launch-1.0")},
    {"doctor", derush_cli_doctor, N_ ("Look whether this machine has what jobs need")},
    {"report", derush_cli_report, N_ ("Gather what a bug report needs")},
    {"config", derush_cli_config, N_ ("Show the settings and where they come from")},
};

static void
print_help (void)
{
  fputs (_ ("Usage: derush COMMAND [ARGUMENT…]\n"
            "\n"
            "Goes through raw footage and keeps the best of it.\n"
            "\n"
            "Commands:\n"),
         stdout);
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    printf ("  %-14s %s\n", commands[i].name, _ (commands[i].summary));
  fputs (_ ("\n"
            "“derush COMMAND --help” shows what a command takes.\n"
            "  --help     this text\n"
            "  --version  the version\n"),
         stdout);
}

static guint
edit_distance (const char *a, const char *b)
{
  gsize length = strlen (b);
  g_autofree guint *row = g_new (guint, length + 1);

  for (gsize j = 0; j <= length; j++)
    row[j] = j;
  for (gsize i = 0; a[i]; i++) {
    guint diagonal = row[0];

    row[0] = i + 1;
    for (gsize j = 0; j < length; j++) {
      guint above = row[j + 1];
      guint replaced = diagonal + (a[i] != b[j]);

      row[j + 1] = MIN (replaced, MIN (above, row[j]) + 1);
      diagonal = above;
    }
  }
  return row[length];
}

static const char *
nearest_command (const char *word)
{
  const char *nearest = NULL;
  guint best = 3;

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    guint distance = g_str_has_prefix (commands[i].name, word) ? 1 : edit_distance (word, commands[i].name);

    if (distance < best) {
      best = distance;
      nearest = commands[i].name;
    }
  }
  return nearest;
}

static int
run_command (GStrv arguments)
{
  const char *word = arguments[0];
  const char *nearest;

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strcmp (commands[i].name, word) == 0)
      return commands[i].function (arguments);
  nearest = word[0] ? nearest_command (word) : NULL;
  if (nearest)
    return derush_cli_usage_error (NULL, _ ("there is no command “%s”; did you mean “%s”?"), word, nearest);
  return derush_cli_usage_error (NULL, _ ("there is no command “%s”"), word);
}

int
main (int argc, char **argv)
{
  g_auto (GStrv) arguments = NULL;

  derush_memory_keep_private ();
  /* The HTTP/2 of libsoup before 3.6 has faults that HTTP/1.1 has not. */
  g_setenv ("SOUP_FORCE_HTTP1", "1", FALSE);
  setlocale (LC_ALL, "");
  /* Numbers are the same in every language: they are read by scripts as well. */
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  signal (SIGPIPE, SIG_IGN);
  g_set_prgname ("derush");

  if (argc < 2)
    return derush_cli_usage_error (NULL, "%s", _ ("which command?"));
  if (strcmp (argv[1], "--version") == 0 || strcmp (argv[1], "-V") == 0) {
    printf ("derush %s\n", PACKAGE_VERSION);
    return DERUSH_CLI_COMPLETED;
  }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0 || strcmp (argv[1], "help") == 0) {
    print_help ();
    return DERUSH_CLI_COMPLETED;
  }
  if (argv[1][0] == '-')
    return derush_cli_usage_error (NULL, _ ("unknown option %s"), argv[1]);
  arguments = g_strdupv (argv + 1);
  return run_command (arguments);
}
