/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"
#include "workflow/workflow.h"

#include <stdio.h>
#include <string.h>
#include <glib/gi18n.h>

/* How many steps run at once. */
#define SLOTS 2

/* The least change of the whole workflow's progress that is worth a line. */
#define PROGRESS_GRAIN 0.005

/* ── derush workflow run ────────────────────────────────────────────────── */

typedef struct {
  DerushCliReport report;
  gboolean is_terminal;
  guint step;
  double progress;
} Running;

static gint64
now_ms (void)
{
  return g_get_monotonic_time () / 1000;
}

static DerushWorkflowStep *
step_at (DerushWorkflowRun *run, guint step)
{
  return derush_workflow_run_get_workflow (run)->steps->pdata[step];
}

static void
report_progress (Running *running, DerushWorkflowRun *run, guint step, gboolean at_once)
{
  DerushWorkflowProgress progress;
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  g_autofree char *line = NULL;

  derush_workflow_run_get_progress (run, now_ms (), &progress);
  if (!at_once && step == running->step && progress.progress - running->progress < PROGRESS_GRAIN)
    return;
  running->step = step;
  running->progress = progress.progress;
  g_ascii_formatd (number, sizeof number, "%.3f", progress.progress);
  line = g_strdup_printf ("{\"event\":\"progress\",\"step\":\"%s\",\"progress\":%s,\"currentStep\":%u,"
                          "\"totalSteps\":%u,\"estimatedTimeRemaining\":%.0f}",
                          step_at (run, step)->id, number, progress.current_step, progress.total_steps,
                          progress.remaining);
  derush_cli_report_line (&running->report, line);
}

/* One line for what runs, over and over, where there is a terminal. */
static void
draw (Running *running, DerushWorkflowRun *run)
{
  DerushWorkflowProgress progress;
  g_autoptr (GString) names = g_string_new (NULL);

  if (!running->is_terminal)
    return;
  derush_workflow_run_get_progress (run, now_ms (), &progress);
  for (guint i = 0; i < progress.total_steps; i++)
    if (derush_workflow_run_get_step_status (run, i) == DERUSH_WORKFLOW_STEP_RUNNING)
      g_string_append_printf (names, "%s%s", names->len ? ", " : "", step_at (run, i)->id);
  fprintf (stderr, "\r%3.0f %%  %.60s\033[K", progress.progress * 100, names->str);
  fflush (stderr);
}

static void
print_step (Running *running, DerushWorkflowRun *run, guint step)
{
  DerushWorkflowStatus status = derush_workflow_run_get_step_status (run, step);
  const char *error = derush_workflow_run_get_step_error (run, step);

  fprintf (stderr, "%s%s: %s%s%s\n", running->is_terminal ? "\r\033[K" : "", step_at (run, step)->id,
           status == DERUSH_WORKFLOW_STEP_PENDING ? _ ("failed, will be tried again")
                                                  : derush_workflow_status_to_string (status),
           error ? ": " : "", error ? error : "");
}

static void
on_event (DerushWorkflowRun *run, DerushWorkflowEvent event, guint step, gpointer user_data)
{
  Running *running = user_data;

  if (running->report.json) {
    report_progress (running, run, step, event != DERUSH_WORKFLOW_EVENT_PROGRESS);
    if (event == DERUSH_WORKFLOW_EVENT_RETRIED) {
      g_autofree char *line = g_strdup_printf (_ ("step “%s” failed and will be tried again: %s"),
                                               step_at (run, step)->id, derush_workflow_run_get_step_error (run, step));

      derush_cli_report_warning (&running->report, line);
    }
    return;
  }
  if (event == DERUSH_WORKFLOW_EVENT_ENDED || event == DERUSH_WORKFLOW_EVENT_RETRIED)
    print_step (running, run, step);
  draw (running, run);
}

static JsonObject *
make_input (const char *film, const char *output_dir, GStrv assignments, GError **error)
{
  g_autoptr (DerushCliJob) job = NULL;
  gboolean unknown_type;

  job = derush_cli_job_new ("WORKFLOW_EXECUTION", film, output_dir, (const char *const *)assignments, NULL,
                            &unknown_type, error);
  if (!job)
    return NULL;
  if (!json_object_has_member (job->data, "outputDir")) {
    g_autofree char *here = g_get_current_dir ();

    json_object_set_string_member (job->data, "outputDir", here);
  }
  return json_object_ref (job->data);
}

static int
report_end (Running *running, DerushWorkflowRun *run, const char *film)
{
  g_autoptr (JsonArray) steps = derush_workflow_run_describe_steps (run, TRUE);
  g_autofree char *described = NULL;
  DerushErrorClass error_class = DERUSH_ERROR_CANCELLED;
  guint step = 0;

  if (derush_workflow_run_get_status (run) == DERUSH_WORKFLOW_STEP_COMPLETED) {
    g_autoptr (JsonObject) value = derush_workflow_run_get_return_value (run, TRUE, now_ms ());

    return derush_cli_report_completed (&running->report, value);
  }
  if (!derush_workflow_run_get_failure (run, &step, &error_class))
    return derush_cli_report_failed (&running->report, error_class, NULL, film, _ ("The workflow was cancelled"), steps,
                                     _ ("The workflow was cancelled"));
  described = g_strdup_printf (_ ("the workflow failed at step “%s”: %s"), step_at (run, step)->id,
                               derush_workflow_run_get_step_error (run, step));
  return derush_cli_report_failed (&running->report, error_class, step_at (run, step)->id, film,
                                   derush_workflow_run_get_step_error (run, step), steps, described);
}

static int
fail_before (Running *running, const char *film, GError *error)
{
  return derush_cli_report_failed (&running->report, derush_error_get_class (error), NULL, film, error->message, NULL,
                                   error->message);
}

static gboolean
skip_steps (DerushWorkflowRun *run, GStrv ids, GError **error)
{
  DerushWorkflow *workflow = derush_workflow_run_get_workflow (run);

  for (guint i = 0; ids && ids[i]; i++) {
    guint step;

    if (!derush_workflow_find_step (workflow, ids[i], &step)) {
      g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("the workflow “%s” has no step “%s”"),
                   workflow->id, ids[i]);
      return FALSE;
    }
    derush_workflow_run_skip (run, step, _ ("as asked"));
  }
  return TRUE;
}

static int
execute (Running *running, DerushConfig *config, DerushWorkflow *workflow, JsonObject *input, const char *film,
         GStrv skipped)
{
  g_autofree char *id = g_uuid_string_random ();
  g_autoptr (DerushWorkflowRun) run = NULL;
  g_autoptr (GError) error = NULL;

  run = derush_workflow_run_new (workflow, input, id, now_ms (), &error);
  if (!run)
    return fail_before (running, film, error);
  if (!skip_steps (run, skipped, &error)) {
    if (running->report.json)
      fail_before (running, film, error);
    return derush_cli_usage_error ("workflow run", "%s", error->message);
  }
  for (guint i = 0; i < workflow->warnings->len; i++)
    derush_cli_report_warning (&running->report, workflow->warnings->pdata[i]);
  running->is_terminal = !running->report.json && derush_cli_progress_style () == DERUSH_CLI_PROGRESS_BAR;
  derush_workflow_execute (config, run, SLOTS, running->report.cancellable, on_event, running);
  if (running->is_terminal)
    fputs ("\r\033[K", stderr);
  return report_end (running, run, film);
}

static int
run_workflow (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given), skipped = NULL, assignments = NULL;
  g_autofree char *output_dir = NULL;
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (DerushWorkflow) workflow = NULL;
  g_autoptr (JsonObject) input = NULL;
  g_autoptr (GError) error = NULL;
  Running running = {.progress = -1};
  int status;
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output_dir, N_ ("Put the files into DIR (made if it is missing)"),
       N_ ("DIR")},
      {"param", 'p', 0, G_OPTION_ARG_FILENAME_ARRAY, &assignments,
       N_ ("Set a member of the workflow's input, to which its definition may refer"), N_ ("NAME=VALUE")},
      {"skip", 0, 0, G_OPTION_ARG_STRING_ARRAY, &skipped,
       N_ ("Leave out the step STEP, and those that need what it returns; may be repeated"), N_ ("STEP")},
      {"json", 0, 0, G_OPTION_ARG_NONE, &running.report.json, N_ ("Print JSON lines"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, _ ("NAME|FILE INPUT"), _ ("Runs a workflow in its own processes, without Redis."),
                         _ ("NAME is one of those that “derush workflow list” shows; FILE is a definition in JSON.\n"
                            "INPUT is a film. Without -o the files go into the current folder. Files of steps that\n"
                            "completed stay when a later one fails.\n\n"
                            "Exit status: 0 completed, 1 failed, 2 wrong usage.\n\n"
                            "Example: derush workflow run video_transformation_basic film.mp4 -o out"),
                         entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 3)
    return derush_cli_usage_error ("workflow run", "%s", _ ("one NAME or FILE and one INPUT, please"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  input = make_input (arguments[2], output_dir, assignments, &error);
  if (!input) {
    if (running.report.json)
      fail_before (&running, arguments[2], error);
    return derush_cli_usage_error ("workflow run", "%s", error->message);
  }
  running.report.cancellable = derush_cli_catch_signals ();
  workflow = derush_workflow_load (arguments[1], &error);
  status = workflow ? execute (&running, config, workflow, input, arguments[2], skipped)
                    : fail_before (&running, arguments[1], error);
  derush_cli_report_clear (&running.report);
  return status;
}

/* ── derush workflow list, show ─────────────────────────────────────────── */

static JsonObject *
describe (DerushWorkflow *workflow)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "id", workflow->id);
  json_object_set_string_member (object, "name", workflow->name);
  if (workflow->description)
    json_object_set_string_member (object, "description", workflow->description);
  json_object_set_int_member (object, "steps", workflow->steps->len);
  json_object_set_double_member (object, "estimatedTotalDuration", derush_workflow_get_estimated_duration (workflow));
  json_object_set_string_member (object, "path", workflow->path);
  return object;
}

/* @executions: (nullable): %NULL if nobody could be asked */
static void
print_list (GPtrArray *workflows, JsonArray *executions, gboolean json)
{
  g_autoptr (JsonObject) answer = json_object_new ();
  JsonArray *array = json_array_new ();
  g_autofree char *text = NULL;

  json_object_set_array_member (answer, "workflows", array);
  for (guint i = 0; i < workflows->len; i++) {
    DerushWorkflow *workflow = workflows->pdata[i];

    if (json)
      json_array_add_object_element (array, describe (workflow));
    else
      printf ("%-30s %s\n", workflow->id, workflow->description ? workflow->description : workflow->name);
  }
  if (!json) {
    if (executions)
      derush_cli_print_executions (executions);
    return;
  }
  if (executions)
    json_object_set_array_member (answer, "executions", json_array_ref (executions));
  else
    json_object_set_null_member (answer, "executions");
  text = derush_json_object_to_string (answer);
  puts (text);
}

static int
list_workflows (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autoptr (GPtrArray) faults = g_ptr_array_new_with_free_func (g_free), workflows = NULL;
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (JsonArray) executions = NULL;
  g_autoptr (GError) error = NULL;
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, NULL,
                         _ ("Lists the workflows that can be run by name, and those that daemons run now."), NULL,
                         entries))
    return DERUSH_CLI_USAGE;
  if (arguments[1])
    return derush_cli_usage_error ("workflow list", "%s", _ ("this takes no arguments"));
  workflows = derush_workflow_list (faults);
  for (guint i = 0; i < faults->len; i++)
    fprintf (stderr, _ ("derush: warning: %s\n"), (const char *)faults->pdata[i]);
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  executions = derush_cli_executions (config, &error);
  print_list (workflows, executions, json);
  if (!executions)
    fprintf (stderr, _ ("derush: what daemons run is not shown: %s\n"), error->message);
  return fflush (stdout) == 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

static void
print_workflow (DerushWorkflow *workflow)
{
  printf ("%s\n", workflow->name);
  if (workflow->description)
    printf ("%s\n", workflow->description);
  for (guint i = 0; i < workflow->steps->len; i++) {
    DerushWorkflowStep *step = workflow->steps->pdata[i];
    g_autoptr (GString) after = g_string_new (NULL);

    for (guint d = 0; d < step->dependencies->len; d++) {
      DerushWorkflowStep *on = workflow->steps->pdata[g_array_index (step->dependencies, guint, d)];

      g_string_append_printf (after, "%s%s", d ? ", " : "", on->id);
    }
    printf ("%3u. %-16s %-24s %s%s%s\n", i + 1, step->id, step->job_type, after->len ? _ ("after ") : "", after->str,
            step->skip_on_failure ? _ (" (may fail)") : "");
  }
}

/* Returns: FALSE if daemons know no such execution either */
static gboolean
show_execution (const char *name, gboolean json)
{
  g_autoptr (DerushConfig) config = derush_cli_load_config ();
  g_autoptr (JsonObject) execution = config ? derush_cli_execution (config, name, NULL) : NULL;

  if (!execution)
    return FALSE;
  if (json) {
    g_autofree char *text = derush_json_object_to_string (execution);

    puts (text);
  } else {
    derush_cli_print_execution (execution);
  }
  return TRUE;
}

static int
show_workflow (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autoptr (DerushWorkflow) workflow = NULL;
  g_autoptr (GError) error = NULL;
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print it as JSON"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, _ ("NAME|FILE|EXECUTION"),
                         _ ("Checks a workflow and shows its steps, or shows how far the steps of one are that runs."),
                         NULL, entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 2)
    return derush_cli_usage_error ("workflow show", "%s", _ ("one NAME, FILE or EXECUTION, please"));
  workflow = derush_workflow_load (arguments[1], &error);
  if (!workflow && !strchr (arguments[1], '/') && show_execution (arguments[1], json))
    return fflush (stdout) == 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
  if (!workflow) {
    fprintf (stderr, "derush: %s\n", error->message);
    return DERUSH_CLI_FAILED;
  }
  for (guint i = 0; i < workflow->warnings->len; i++)
    fprintf (stderr, _ ("derush: warning: %s\n"), (const char *)workflow->warnings->pdata[i]);
  if (json) {
    g_autofree char *text = derush_json_object_to_string (workflow->definition);

    puts (text);
  } else {
    print_workflow (workflow);
  }
  return fflush (stdout) == 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

int
derush_cli_workflow (GStrv given)
{
  static const struct {
    const char *name;
    int (*function) (GStrv arguments);
  } commands[] = {
      {"run", run_workflow}, {"list", list_workflows}, {"show", show_workflow}, {"cancel", derush_cli_workflow_cancel}};
  const char *word = given[1];

  for (guint i = 0; word && i < G_N_ELEMENTS (commands); i++) {
    if (strcmp (commands[i].name, word) == 0) {
      g_auto (GStrv) arguments = g_strdupv (given + 1);

      /* What the help and wrong usage call the command. */
      g_free (arguments[0]);
      arguments[0] = g_strconcat ("workflow ", word, NULL);
      return commands[i].function (arguments);
    }
  }
  if (word && (strcmp (word, "--help") == 0 || strcmp (word, "-h") == 0)) {
    fputs (_ ("Usage:\n"
              "  derush workflow run NAME|FILE INPUT [-o DIR] [-p NAME=VALUE]… [--skip STEP]… [--json]\n"
              "  derush workflow list [--json]\n"
              "  derush workflow show NAME|FILE|EXECUTION [--json]\n"
              "  derush workflow cancel EXECUTION [--json]\n"
              "\n"
              "Runs, lists, shows and cancels workflows: jobs that depend on each other.\n"),
           stdout);
    return DERUSH_CLI_COMPLETED;
  }
  if (word)
    return derush_cli_usage_error ("workflow",
                                   _ ("there is no command “workflow %s”; there are run, list, show and cancel"), word);
  return derush_cli_usage_error ("workflow", "%s", _ ("run, list, show or cancel?"));
}
