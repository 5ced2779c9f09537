/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* derush-models: serves until its standard input ends, which it does with whoever has started it. */

#include "localmodels/localmodels.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>

static gboolean
on_signal (gpointer user_data)
{
  g_main_loop_quit (user_data);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_input (int fd, GIOCondition condition, gpointer user_data)
{
  char buffer[512];

  if (read (fd, buffer, sizeof buffer) > 0)
    return G_SOURCE_CONTINUE;
  g_main_loop_quit (user_data);
  return G_SOURCE_REMOVE;
}

/* A terminal or /dev/null says nothing about who has started us. */
static gboolean
is_of_the_parent (int fd)
{
  struct stat status;

  return fstat (fd, &status) == 0 && (S_ISFIFO (status.st_mode) || S_ISSOCK (status.st_mode));
}

int
main (int argc, char **argv)
{
  gboolean engine = FALSE, version = FALSE;
  int port = 0;
  const GOptionEntry entries[] = {
      {"port", 0, 0, G_OPTION_ARG_INT, &port, N_ ("port on 127.0.0.1; 0: any that is free"), N_ ("PORT")},
      {"engine", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &engine, NULL, NULL},
      {"version", 0, 0, G_OPTION_ARG_NONE, &version, N_ ("print the version and end"), NULL},
      G_OPTION_ENTRY_NULL};
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (DerushLocalServer) server = NULL;
  g_autoptr (GMainLoop) loop = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  const char *token = g_getenv ("DERUSH_MODELS_TOKEN");

  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  signal (SIGPIPE, SIG_IGN);
  g_option_context_set_summary (context,
                                _ ("Serves the speech, translation and text engines of this machine in the shape "
                                   "of OpenAI's interface."));
  g_option_context_set_translation_domain (context, GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("derush-models: %s\n", error->message);
    return 2;
  }
  if (version) {
    g_print ("derush-models %s\n", PACKAGE_VERSION);
    return 0;
  }
  if (engine)
    return derush_local_engine_main ();
  if (!token || !*token || port < 0 || port > 65535) {
    g_printerr ("derush-models: %s\n", port < 0 || port > 65535
                                           ? _ ("--port must be from 0 to 65535")
                                           : _ ("set DERUSH_MODELS_TOKEN to the token that clients must send"));
    return 2;
  }
  server = derush_local_server_new (program ? program : argv[0], token, (guint16)port, &error);
  if (!server) {
    g_printerr ("derush-models: %s\n", error->message);
    return 1;
  }
  g_unsetenv ("DERUSH_MODELS_TOKEN");
  loop = g_main_loop_new (NULL, FALSE);
  g_unix_signal_add (SIGTERM, on_signal, loop);
  g_unix_signal_add (SIGINT, on_signal, loop);
  g_unix_signal_add (SIGHUP, on_signal, loop);
  if (is_of_the_parent (STDIN_FILENO))
    g_unix_fd_add (STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, on_input, loop);
  printf ("listening http://127.0.0.1:%u/v1\n", derush_local_server_get_port (server));
  fflush (stdout);
  g_main_loop_run (loop);
  return 0;
}
