/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <glib/gi18n.h>

GQuark
derush_cli_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-cli-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

/*
 * derush_cli_parse:
 * @arguments: (inout): the command's name and arguments; options are taken out
 * @usage: what follows the command's name in the first line of the help
 *
 * Returns: %FALSE after a wrong option, which has been printed
 */
gboolean
derush_cli_parse (GStrv *arguments, const char *usage, const char *summary, const char *description,
                  const GOptionEntry *entries)
{
  g_autofree char *command = g_strdup ((*arguments)[0]);
  g_autofree char *program = g_strconcat ("derush ", command, NULL);
  g_autoptr (GOptionContext) context = g_option_context_new (usage);
  g_autoptr (GError) error = NULL;

  g_set_prgname (program);
  g_option_context_set_translation_domain (context, GETTEXT_PACKAGE);
  g_option_context_set_summary (context, summary);
  if (description)
    g_option_context_set_description (context, description);
  if (entries)
    g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse_strv (context, arguments, &error)) {
    derush_cli_usage_error (command, "%s", error->message);
    return FALSE;
  }
  for (guint i = 1; (*arguments)[i]; i++) {
    if (strcmp ((*arguments)[i], "--") == 0) {
      g_free ((*arguments)[i]);
      for (; (*arguments)[i]; i++)
        (*arguments)[i] = (*arguments)[i + 1];
      break;
    }
  }
  return TRUE;
}

int
derush_cli_usage_error (const char *command, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  fprintf (stderr, "derush: %s\n", message);
  if (command)
    fprintf (stderr, _ ("“derush %s --help” shows what it takes.\n"), command);
  else
    fputs (_ ("“derush --help” lists the commands.\n"), stderr);
  return DERUSH_CLI_USAGE;
}

/* The settings, or NULL after printing what is wrong with them. The runner's log lines stay out of the way of what the
 * command itself says, unless somebody asked for them. */
DerushConfig *
derush_cli_load_config (void)
{
  g_autoptr (GError) error = NULL;
  DerushConfig *config = derush_config_load (&error);

  if (!config) {
    fprintf (stderr, "derush: %s\n", error->message);
    return NULL;
  }
  if (!g_getenv ("DERUSH_LOG_LEVEL"))
    derush_log_set_level (DERUSH_LOG_ERROR);
  return config;
}
