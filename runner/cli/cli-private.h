/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the commands of `derush` share. */

#pragma once

#include "core/core.h"
#include "jobs/jobs.h"
#include "steps/steps.h"

G_BEGIN_DECLS

#define DERUSH_CLI_ERROR (derush_cli_error_quark ())
GQuark derush_cli_error_quark (void);

/* Exit statuses that scripts rely on. */
enum {
  DERUSH_CLI_COMPLETED = 0,
  DERUSH_CLI_FAILED = 1,
  DERUSH_CLI_USAGE = 2,
};

/* ── Commands: arguments without the program's name, the command's first ── */

int derush_cli_run (GStrv arguments);
int derush_cli_add (GStrv arguments);
int derush_cli_status (GStrv arguments);
int derush_cli_cancel (GStrv arguments);
int derush_cli_retry (GStrv arguments);
int derush_cli_health (GStrv arguments);
int derush_cli_stats (GStrv arguments);
int derush_cli_order (GStrv arguments);
int derush_cli_purge (GStrv arguments);
int derush_cli_workflow (GStrv arguments);
int derush_cli_analysis (GStrv arguments);
int derush_cli_export (GStrv arguments);
int derush_cli_models (GStrv arguments);
int derush_cli_pipeline (GStrv arguments);
int derush_cli_config (GStrv arguments);
int derush_cli_doctor (GStrv arguments);
int derush_cli_report (GStrv arguments);

/* ── Arguments ── */

gboolean derush_cli_parse (GStrv *arguments, const char *usage, const char *summary, const char *description,
                           const GOptionEntry *entries);
int derush_cli_usage_error (const char *command, const char *format, ...) G_GNUC_PRINTF (2, 3);
DerushConfig *derush_cli_load_config (void);

/**
 * DerushCliJob:
 * @type: the job's type, in its canonical spelling
 * @data: the job's data as a producer would have sent it
 * @input: (nullable): what people call the input: the command line's word
 */
typedef struct {
  char *type;
  JsonObject *data;
  char *input;
} DerushCliJob;

void derush_cli_job_free (DerushCliJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushCliJob, derush_cli_job_free)

DerushCliJob *derush_cli_job_new (const char *type, const char *input, const char *output_dir,
                                  const char *const *assignments, const char *data_file, gboolean *unknown_type,
                                  GError **error);

/* ── Progress ── */

typedef struct _DerushCliProgress DerushCliProgress;

typedef enum {
  DERUSH_CLI_PROGRESS_NONE,
  DERUSH_CLI_PROGRESS_LINES, /* a line for each step and each quarter of it */
  DERUSH_CLI_PROGRESS_BAR,   /* a bar for each step, on a terminal */
} DerushCliProgressStyle;

DerushCliProgressStyle derush_cli_progress_style (void);
DerushCliProgress *derush_cli_progress_new (DerushCliProgressStyle style, DerushPlan *plan);
void derush_cli_progress_update (DerushCliProgress *progress, const char *step, double fraction);
void derush_cli_progress_end (DerushCliProgress *progress, gboolean completed);
void derush_cli_progress_free (DerushCliProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushCliProgress, derush_cli_progress_free)
char *derush_cli_progress_draw (const char *step, double fraction, guint columns, gboolean utf8);

/* ── Running a plan in this process tree ── */

DerushOutcome *derush_cli_run_plan (DerushConfig *config, DerushPlan *plan, GCancellable *cancellable,
                                    DerushRunProgress progress, gpointer user_data);
GCancellable *derush_cli_catch_signals (void);

/* ── Lines that end with a result or an error ── */

/**
 * DerushCliReport:
 * @json: whether they are JSON
 * @cancellable: cancelled when nobody reads them any more
 * @warned: what has been said
 * @final: whether another attempt would fail in the same way
 * @retry_at: before when it would, in ms since 1970; 0: it is not known
 */
typedef struct {
  gboolean json;
  GCancellable *cancellable;
  GHashTable *warned;
  gboolean final;
  gint64 retry_at;
} DerushCliReport;

void derush_cli_report_line (DerushCliReport *report, const char *line);
void derush_cli_report_warning (DerushCliReport *report, const char *message);
int derush_cli_report_failed (DerushCliReport *report, DerushErrorClass error_class, const char *step,
                              const char *input, const char *message, JsonArray *steps, const char *described);
int derush_cli_report_completed (DerushCliReport *report, JsonObject *return_value);
void derush_cli_report_clear (DerushCliReport *report);

/* ── Workflows that daemons run ── */

JsonArray *derush_cli_executions (DerushConfig *config, GError **error);
JsonObject *derush_cli_execution (DerushConfig *config, const char *name, GError **error);
void derush_cli_print_executions (JsonArray *executions);
void derush_cli_print_execution (JsonObject *execution);
int derush_cli_workflow_cancel (GStrv arguments);

/* ── A daemon that runs ── */

JsonObject *derush_cli_ask_daemon (DerushConfig *config, const char *method, const char *path, JsonObject *body,
                                   guint *status, GError **error);
void derush_cli_add_daemon (GString *text, JsonObject *status);
void derush_cli_add_counts (GString *text, JsonObject *queues);
void derush_cli_add_workers (GString *text, JsonObject *workers);

/* ── Whether the machine has what jobs need ── */

JsonObject *derush_cli_examine (DerushConfig **config, JsonObject **inventory);
char *derush_cli_describe_examination (JsonObject *examination);

/* The names of DERUSH_QUEUES. */
GStrv derush_cli_queues (DerushConfig *config);

/* ── What people read ── */

void derush_cli_print_result (JsonObject *return_value);
char *derush_cli_format_time (double seconds);

G_END_DECLS
