/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <stdio.h>
#include <string.h>
#include <glib/gi18n.h>

/* Of a list of models that is longer. */
#define SHOWN 8

static void
print_tasks (JsonObject *provider)
{
  JsonArray *tasks = derush_json_get_array (provider, "tasks");
  JsonObject *models = derush_json_get_object (provider, "models");

  for (guint i = 0; tasks && i < json_array_get_length (tasks); i++) {
    const char *task = json_array_get_string_element (tasks, i);

    printf ("  %-11s %s\n", task, derush_json_get_string (models, task, "-"));
  }
}

/* What an entry of a server's list is called, and what derush-models says of it. */
static void
print_model (JsonObject *model)
{
  const char *task = derush_json_get_string (model, "task", NULL);

  printf ("    %s", derush_json_get_string (model, "id", "-"));
  if (task)
    printf (" (%s)", task);
  if (json_object_has_member (model, "real") && !derush_json_get_boolean (model, "real", TRUE))
    printf (" %s", _ ("rules, no model"));
  printf ("\n");
}

static void
print_problems (JsonObject *provider)
{
  JsonArray *problems = derush_json_get_array (provider, "problems");

  for (guint i = 0; problems && i < json_array_get_length (problems); i++)
    printf ("  ! %s\n", json_array_get_string_element (problems, i));
}

static void
print_provider (JsonObject *provider)
{
  JsonArray *available = derush_json_get_array (provider, "available");
  guint n = available ? json_array_get_length (available) : 0;

  printf ("%s  %s  %s\n", derush_json_get_string (provider, "provider", "-"),
          derush_json_get_string (provider, "baseUrl", "-"),
          derush_json_get_boolean (provider, "key", FALSE) ? _ ("with a key") : _ ("without a key"));
  print_tasks (provider);
  if (!derush_json_get_boolean (provider, "answers", FALSE)) {
    printf ("  %s: %s\n", _ ("cannot be used"), derush_json_get_string (provider, "error", "-"));
    print_problems (provider);
    return;
  }
  if (!available) {
    printf ("  %s\n", _ ("answers, but has no list of models"));
    print_problems (provider);
    return;
  }
  printf (ngettext ("  answers with %u model\n", "  answers with %u models\n", n), n);
  for (guint i = 0; i < n && i < SHOWN; i++) {
    JsonNode *node = json_array_get_element (available, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      print_model (json_node_get_object (node));
  }
  if (n > SHOWN)
    printf ("    …\n");
  print_problems (provider);
}

/* Who is asked for what, the first first. */
static void
print_order (JsonObject *order)
{
  g_autoptr (GList) tasks = order ? json_object_get_members (order) : NULL;

  for (GList *l = tasks; l; l = l->next) {
    JsonArray *names = derush_json_get_array (order, l->data);
    guint n = names ? json_array_get_length (names) : 0;

    printf ("%-11s ", (const char *)l->data);
    for (guint i = 0; i < n; i++)
      printf ("%s%s", i > 0 ? _ (", then ") : "", json_array_get_string_element (names, i));
    printf ("%s\n", n == 0 ? _ ("nobody; see DERUSH_MODEL_PROVIDERS") : "");
  }
  printf ("\n");
}

/* Whether there is one that answers. */
static gboolean
print_list (JsonObject *list, gboolean json)
{
  JsonArray *providers = derush_json_get_array (list, "providers");
  g_autofree char *text = json ? derush_json_object_to_string (list) : NULL;
  gboolean any = FALSE;

  if (text)
    printf ("%s\n", text);
  else
    print_order (derush_json_get_object (list, "tasks"));
  for (guint i = 0; providers && i < json_array_get_length (providers); i++) {
    JsonObject *provider = json_array_get_object_element (providers, i);

    any |= derush_json_get_boolean (provider, "answers", FALSE);
    if (!json)
      print_provider (provider);
  }
  return any;
}

int
derush_cli_models (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Write JSON"), NULL},
      {NULL},
  };
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) list = NULL;

  if (!derush_cli_parse (&arguments, "",
                         _ ("Lists who is asked for speech, text and pictures, and whether they answer."),
                         _ ("Keys are never shown. The order is that of DERUSH_MODEL_PROVIDERS."), entries))
    return DERUSH_CLI_USAGE;
  if (arguments[1])
    return derush_cli_usage_error ("models", "%s", _ ("this takes no arguments"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_FAILED;
  /* A signal ends this process, and with it those that it has started. */
  list = derush_models_who_answers (config, NULL, &error);
  if (!list) {
    fprintf (stderr, "derush: %s\n", error->message);
    return DERUSH_CLI_FAILED;
  }
  return print_list (list, json) ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}
