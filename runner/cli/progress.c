/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <glib/gi18n.h>

#define STEP_COLUMNS 12
#define PERCENT_COLUMNS 6
#define MAX_BAR 40

struct _DerushCliProgress {
  DerushCliProgressStyle style;
  DerushPlan *plan;
  char *step;  /* the one on display */
  int percent; /* of it, as last drawn */
  gboolean utf8;
};

/* Bars need a terminal that can go back to the start of a line. */
DerushCliProgressStyle
derush_cli_progress_style (void)
{
  return isatty (STDERR_FILENO) && g_strcmp0 (g_getenv ("TERM"), "dumb") != 0 ? DERUSH_CLI_PROGRESS_BAR
                                                                              : DERUSH_CLI_PROGRESS_LINES;
}

/*
 * derush_cli_progress_new:
 * @plan: (nullable): the plan whose weights tell how far a step is when the job is at some fraction; without it the
 *   fractions are taken to be the step's own
 */
DerushCliProgress *
derush_cli_progress_new (DerushCliProgressStyle style, DerushPlan *plan)
{
  DerushCliProgress *progress = g_new0 (DerushCliProgress, 1);

  progress->style = style;
  progress->plan = plan ? derush_plan_ref (plan) : NULL;
  progress->percent = -1;
  progress->utf8 = g_get_charset (NULL);
  return progress;
}

void
derush_cli_progress_free (DerushCliProgress *progress)
{
  g_clear_pointer (&progress->plan, derush_plan_unref);
  g_free (progress->step);
  g_free (progress);
}

static double
fraction_of_step (DerushPlan *plan, const char *step, double fraction)
{
  double before = 0;

  for (guint i = 0; plan && i < plan->steps->len; i++) {
    DerushPlanStep *candidate = g_ptr_array_index (plan->steps, i);

    if (strcmp (candidate->name, step) == 0)
      return candidate->weight > 0 ? CLAMP ((fraction - before) / candidate->weight, 0, 1) : 1;
    before += candidate->weight;
  }
  return CLAMP (fraction, 0, 1);
}

/*
 * derush_cli_progress_draw:
 * @columns: width of the terminal; 0 where it is not known
 *
 * Returns: (transfer full): the step's name, a bar that fits, and the percentage, on one line without its end
 */
char *
derush_cli_progress_draw (const char *step, double fraction, guint columns, gboolean utf8)
{
  GString *line = g_string_new (NULL);
  int percent = (int)lround (CLAMP (fraction, 0, 1) * 100);
  int room = (columns ? (int)columns : 80) - STEP_COLUMNS - PERCENT_COLUMNS - 2;
  int width = CLAMP (room, 0, MAX_BAR), full = width * percent / 100;

  g_string_append_printf (line, "%-*s ", STEP_COLUMNS, step);
  for (int i = 0; i < width; i++) {
    if (utf8)
      g_string_append (line, i < full ? "█" : "░");
    else
      g_string_append_c (line, i < full ? '#' : '.');
  }
  g_string_append_printf (line, " %3d %%", percent);
  return g_string_free (line, FALSE);
}

static void
draw (DerushCliProgress *progress, double fraction)
{
  struct winsize size = {0};
  g_autofree char *line = NULL;

  ioctl (STDERR_FILENO, TIOCGWINSZ, &size);
  line = derush_cli_progress_draw (progress->step, fraction, size.ws_col, progress->utf8);
  fprintf (stderr, "\r%s\033[K", line);
  fflush (stderr);
}

/* The step on display is over. */
static void
end_step (DerushCliProgress *progress, gboolean completed)
{
  if (!progress->step)
    return;
  if (progress->style == DERUSH_CLI_PROGRESS_BAR) {
    if (completed)
      draw (progress, 1);
    fputc ('\n', stderr);
  } else if (completed && progress->style == DERUSH_CLI_PROGRESS_LINES && progress->percent < 100) {
    fprintf (stderr, "%s: 100 %%\n", progress->step);
  }
  g_clear_pointer (&progress->step, g_free);
}

/**
 * derush_cli_progress_update:
 * @step: the step that is running
 * @fraction: of the whole job, 0 to 1
 */
void
derush_cli_progress_update (DerushCliProgress *progress, const char *step, double fraction)
{
  double own = fraction_of_step (progress->plan, step, fraction);
  int percent = (int)lround (own * 100);

  if (progress->style == DERUSH_CLI_PROGRESS_NONE)
    return;
  if (g_strcmp0 (step, progress->step) != 0) {
    end_step (progress, TRUE);
    progress->step = g_strdup (step);
    progress->percent = -1;
  }
  if (progress->style == DERUSH_CLI_PROGRESS_BAR) {
    if (percent != progress->percent)
      draw (progress, own);
    progress->percent = percent;
  } else if (progress->percent < 0 ? percent >= 25 : percent / 25 > progress->percent / 25) {
    fprintf (stderr, "%s: %d %%\n", step, percent);
    progress->percent = percent;
  }
}

void
derush_cli_progress_end (DerushCliProgress *progress, gboolean completed)
{
  end_step (progress, completed);
}
