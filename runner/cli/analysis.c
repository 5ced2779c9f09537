/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <inttypes.h>
#include <stdio.h>
#include <glib/gi18n.h>

/* Members of every return value that say nothing about the film. */
static const char *const job_members[] = {"success", "jobType",  "videoId", "processingTime",
                                          "outputs", "metadata", "cost"};

static void
on_progress (const char *step, double progress, gpointer user_data)
{
  derush_cli_progress_update (user_data, step, progress);
}

static void
print_json (JsonObject *return_value)
{
  g_autoptr (JsonObject) answer = json_object_new ();
  g_autofree char *text = NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;

  json_object_iter_init_ordered (&iter, return_value);
  while (json_object_iter_next_ordered (&iter, &name, &member)) {
    gboolean of_job = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS (job_members); i++)
      of_job |= g_str_equal (name, job_members[i]);
    if (!of_job)
      json_object_set_member (answer, name, json_node_copy (member));
  }
  text = derush_json_object_to_string (answer);
  puts (text);
}

static void
print_table (JsonObject *return_value)
{
  JsonArray *shots = derush_json_get_array (return_value, "shots");
  guint n = shots ? json_array_get_length (shots) : 0;
  g_autofree char *duration = derush_cli_format_time (derush_json_get_number (return_value, "duration", 0));

  printf (ngettext ("%s, %" PRId64 " frames, %u shot\n", "%s, %" PRId64 " frames, %u shots\n", n), duration,
          derush_json_get_int (return_value, "frames", 0), n);
  for (guint i = 0; i < n; i++) {
    JsonObject *shot = json_array_get_object_element (shots, i);
    g_autofree char *start = derush_cli_format_time (derush_json_get_number (shot, "start", 0));
    g_autofree char *end = derush_cli_format_time (derush_json_get_number (shot, "end", 0));

    printf ("%4u. %9s – %-9s %8" G_GINT64_FORMAT "  %s\n", i + 1, start, end,
            derush_json_get_int (shot, "firstFrame", 0), derush_json_get_string (shot, "transition", ""));
  }
}

int
derush_cli_analysis (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  gboolean json = FALSE, unknown_type;
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (DerushCliJob) job = NULL;
  g_autoptr (DerushPlan) plan = NULL;
  g_autoptr (DerushCliProgress) progress = NULL;
  g_autoptr (DerushOutcome) outcome = NULL;
  g_autoptr (GCancellable) cancellable = NULL;
  g_autoptr (GError) error = NULL;
  const GOptionEntry entries[] = {
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, _ ("FILE"),
                         _ ("Measures a film once and shows its shots; asking again decodes nothing."), NULL, entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 2)
    return derush_cli_usage_error ("analysis", "%s", _ ("one FILE, please"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  job = derush_cli_job_new ("ANALYSIS", arguments[1], NULL, NULL, NULL, &unknown_type, &error);
  if (job)
    plan = derush_plan_new (job->type, job->data, DERUSH_PLAN_NONE, &error);
  if (!plan) {
    fprintf (stderr, "derush: %s\n", error->message);
    return DERUSH_CLI_FAILED;
  }
  cancellable = derush_cli_catch_signals ();
  progress = derush_cli_progress_new (derush_cli_progress_style (), plan);
  outcome = derush_cli_run_plan (config, plan, cancellable, on_progress, progress);
  derush_cli_progress_end (progress, outcome->return_value != NULL);
  if (!outcome->return_value) {
    g_autofree char *described = derush_outcome_describe (outcome);

    fprintf (stderr, "derush: %s\n", described);
    return DERUSH_CLI_FAILED;
  }
  if (json)
    print_json (outcome->return_value);
  else
    print_table (outcome->return_value);
  return fflush (stdout) == 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}
