/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib-unix.h>
#include <glib/gi18n.h>

/* ── Running a plan ─────────────────────────────────────────────────────── */

/* How long after the first signal a second one ends the program at once, in µs. */
#define PATIENCE (5 * G_USEC_PER_SEC)

static gint64 first_signal;

static gboolean
on_signal (gpointer user_data)
{
  GCancellable *cancellable = user_data;
  gint64 now = g_get_monotonic_time ();

  if (g_cancellable_is_cancelled (cancellable)) {
    if (now - first_signal > PATIENCE)
      _exit (DERUSH_CLI_FAILED);
    return G_SOURCE_CONTINUE;
  }
  first_signal = now;
  g_cancellable_cancel (cancellable);
  return G_SOURCE_CONTINUE;
}

/* Cancelled by SIGINT, SIGTERM and SIGHUP, so that nothing unfinished is left behind. */
GCancellable *
derush_cli_catch_signals (void)
{
  GCancellable *cancellable = g_cancellable_new ();

  g_unix_signal_add_full (G_PRIORITY_HIGH, SIGINT, on_signal, g_object_ref (cancellable), g_object_unref);
  g_unix_signal_add_full (G_PRIORITY_HIGH, SIGTERM, on_signal, g_object_ref (cancellable), g_object_unref);
  g_unix_signal_add_full (G_PRIORITY_HIGH, SIGHUP, on_signal, g_object_ref (cancellable), g_object_unref);
  return cancellable;
}

typedef struct {
  DerushSlot *slot;
  GMainLoop *loop;
  DerushOutcome *outcome;
} Waiting;

static void
on_run_finished (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Waiting *waiting = user_data;

  waiting->outcome = derush_slot_run_finish (waiting->slot, result);
  g_main_loop_quit (waiting->loop);
}

/*
 * derush_cli_run_plan:
 * @progress: (nullable): called while the plan runs
 *
 * Runs @plan on workers of its own and waits for it and for them.
 */
DerushOutcome *
derush_cli_run_plan (DerushConfig *config, DerushPlan *plan, GCancellable *cancellable, DerushRunProgress progress,
                     gpointer user_data)
{
  g_autoptr (DerushSlot) slot = derush_slot_new (config, "derush");
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autofree char *id = g_uuid_string_random ();
  DerushRunOptions options = {
      .job_id = id,
      .attempt = 1,
      .in_full = plan->output_dir == NULL,
      .progress = progress,
      .user_data = user_data,
  };
  Waiting waiting = {.slot = slot, .loop = loop};

  derush_slot_run_async (slot, plan, &options, cancellable, on_run_finished, &waiting);
  g_main_loop_run (loop);
  return waiting.outcome;
}

/* ── derush run ─────────────────────────────────────────────────────────── */

/* The least change of the whole job's progress that is worth a line. */
#define PROGRESS_GRAIN 0.005

typedef struct {
  DerushCliReport report;
  DerushCliProgress *display;
  char *step;
  double progress;
} Running;

static void
on_progress (const char *step, double progress, gpointer user_data)
{
  Running *running = user_data;
  gboolean same_step = g_strcmp0 (running->step, step) == 0;
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  g_autofree char *line = NULL;

  if (!running->report.json) {
    derush_cli_progress_update (running->display, step, progress);
    return;
  }
  if (same_step && progress - running->progress < PROGRESS_GRAIN)
    return;
  if (!same_step) {
    g_free (running->step);
    running->step = g_strdup (step);
  }
  running->progress = progress;
  /* By hand: json-glib would print 0.03 with seventeen digits. Names of steps need no escapes. */
  g_ascii_formatd (number, sizeof number, "%.3f", progress);
  line = g_strdup_printf ("{\"event\":\"progress\",\"step\":\"%s\",\"progress\":%s}", step, number);
  derush_cli_report_line (&running->report, line);
}

static int
run_job (DerushConfig *config, DerushCliJob *job, Running *running)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushPlan) plan = NULL;
  g_autoptr (DerushOutcome) outcome = NULL;
  g_autofree char *described = NULL;
  gboolean strict = derush_config_get_boolean (config, "DERUSH_STRICT_DATA");

  plan = derush_plan_new (job->type, job->data, strict ? DERUSH_PLAN_STRICT : DERUSH_PLAN_NONE, &error);
  if (!plan)
    return derush_cli_report_failed (&running->report, derush_error_get_class (error), NULL, job->input, error->message,
                                     NULL, error->message);
  if (strcmp (plan->job_type, "WORKFLOW_EXECUTION") == 0) {
    const char *said =
        _ ("A workflow is no single job: use derush workflow run, or derush add for one that daemons run");

    return derush_cli_report_failed (&running->report, DERUSH_ERROR_UNSUPPORTED, NULL, job->input, said, NULL, said);
  }
  for (guint i = 0; i < plan->warnings->len; i++)
    derush_cli_report_warning (&running->report, g_ptr_array_index (plan->warnings, i));

  running->display =
      derush_cli_progress_new (running->report.json ? DERUSH_CLI_PROGRESS_NONE : derush_cli_progress_style (), plan);
  outcome = derush_cli_run_plan (config, plan, running->report.cancellable, on_progress, running);
  derush_cli_progress_end (running->display, outcome->return_value != NULL);
  if (outcome->return_value)
    return derush_cli_report_completed (&running->report, outcome->return_value);
  described = derush_outcome_describe (outcome);
  running->report.final = !outcome->can_retry;
  running->report.retry_at = outcome->retry_at;
  return derush_cli_report_failed (&running->report, outcome->error_class, outcome->step,
                                   outcome->input ? outcome->input : job->input,
                                   outcome->message ? outcome->message : described, NULL, described);
}

int
derush_cli_run (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autofree char *output_dir = NULL, *data_file = NULL;
  g_auto (GStrv) assignments = NULL;
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (DerushCliJob) job = NULL;
  g_autoptr (GError) error = NULL;
  Running running = {0};
  gboolean unknown_type;
  int status;
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output_dir, N_ ("Put the files into DIR (made if it is missing)"),
       N_ ("DIR")},
      {"param", 'p', 0, G_OPTION_ARG_FILENAME_ARRAY, &assignments,
       N_ ("Set a member of the job's data; dots reach into objects"), N_ ("NAME=VALUE")},
      {"data", 0, 0, G_OPTION_ARG_FILENAME, &data_file, N_ ("Take the job's data from FILE (“-”: standard input)"),
       N_ ("FILE")},
      {"json", 0, 0, G_OPTION_ARG_NONE, &running.report.json, N_ ("Print JSON lines"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, _ ("TYPE INPUT"), _ ("Runs one job in its own processes, without Redis."),
                         _ ("TYPE is a job type such as VIDEO_PROCESSING, THUMBNAIL_GENERATION or HIGHLIGHT_DETECTION, "
                            "in any case.\nINPUT is a film, or “-” for types that need none. Without -o the files go "
                            "into the current folder.\n\nExit status: 0 completed, 1 failed, 2 wrong usage.\n\n"
                            "Example: derush run thumbnail-generation film.mp4 -o thumbnails -p count=3"),
                         entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 3)
    return derush_cli_usage_error ("run", "%s",
                                   g_strv_length (arguments) > 3 ? _ ("one TYPE and one INPUT, please")
                                                                 : _ ("TYPE and INPUT are missing"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  job = derush_cli_job_new (arguments[1], arguments[2], output_dir, (const char *const *)assignments, data_file,
                            &unknown_type, &error);
  if (!job) {
    if (running.report.json)
      derush_cli_report_failed (&running.report, DERUSH_ERROR_BAD_INPUT, NULL, arguments[2], error->message, NULL,
                                NULL);
    return derush_cli_usage_error ("run", "%s", error->message);
  }
  if (!json_object_has_member (job->data, "outputDir")) {
    g_autofree char *here = g_get_current_dir ();

    json_object_set_string_member (job->data, "outputDir", here);
  }
  running.report.cancellable = derush_cli_catch_signals ();
  running.progress = -1;
  status = run_job (config, job, &running);

  g_clear_pointer (&running.display, derush_cli_progress_free);
  derush_cli_report_clear (&running.report);
  g_free (running.step);
  return status;
}
