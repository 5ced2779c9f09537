/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <stdio.h>
#include <glib/gi18n.h>

static const char *
shown_value (const char *value, gboolean secret)
{
  return secret && *value ? "***" : value;
}

static void
print_setting (const char *name, const char *value, const char *origin, gboolean secret, gpointer user_data)
{
  printf ("%-36s %-40s %s\n", name, shown_value (value, secret), _ (origin));
}

static void
add_setting (const char *name, const char *value, const char *origin, gboolean secret, gpointer user_data)
{
  JsonObject *setting = json_object_new ();

  json_object_set_string_member (setting, "value", shown_value (value, secret));
  json_object_set_string_member (setting, "origin", origin);
  json_object_set_object_member (user_data, name, setting);
}

int
derush_cli_config (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autoptr (DerushConfig) config = NULL;
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, NULL,
                         _ ("Shows every setting, its value and where it comes from: the environment, a configuration "
                            "file or the default. Secrets are hidden."),
                         NULL, entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 1)
    return derush_cli_usage_error ("config", "%s", _ ("no arguments, please"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_FAILED;
  if (json) {
    g_autoptr (JsonObject) settings = json_object_new ();
    g_autofree char *text = NULL;

    derush_config_foreach (config, add_setting, settings);
    text = derush_json_object_to_string (settings);
    puts (text);
  } else {
    derush_config_foreach (config, print_setting, NULL);
  }
  return DERUSH_CLI_COMPLETED;
}
