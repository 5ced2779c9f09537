/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/action-private.h"

#include <locale.h>
#include <string.h>
#include <glib/gi18n-lib.h>

static int
list (DerushModels *models)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) providers = derush_models_list (models, NULL, &error);
  g_autofree char *text = providers ? derush_json_object_to_string (providers) : NULL;

  if (!text) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  g_print ("%s\n", text);
  return 0;
}

static int
usage (void)
{
  g_printerr (_ ("Usage: derush-model-worker --list | --version\n"
                 "Without arguments it takes its work from a socket: derushd and derush start it.\n"));
  return 2;
}

/* The programs that start workers have checked it. */
static void
set_log_level (DerushConfig *config)
{
  static const char *const names[] = {"error", "warn", "info", "debug"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_ascii_strcasecmp (derush_config_get_string (config, "DERUSH_LOG_LEVEL"), names[i]) == 0)
      derush_log_set_level (i);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (DerushModels) models = NULL;

  derush_memory_keep_private ();
  /* Of HTTP/2 libsoup 3.2 has faults that were mended later; before any thread reads the environment. */
  g_setenv ("SOUP_FORCE_HTTP1", "1", FALSE);
  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  if (argc > 1 && strcmp (argv[1], "--version") == 0) {
    g_print ("derush-model-worker %s\n", PACKAGE_VERSION);
    return 0;
  }
  if (argc > 2 || (argc == 2 && strcmp (argv[1], "--list") != 0))
    return usage ();
  config = derush_config_load (&error);
  models = config ? derush_models_new (config, &error) : NULL;
  if (!models) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  set_log_level (config);
  return argc == 2 ? list (models)
                   : derush_step_server_run (DERUSH_STEP_SOCKET_FD, NULL, derush_model_worker_handle, models);
}
