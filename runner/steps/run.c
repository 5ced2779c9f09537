/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/checkpoint-private.h"
#include "steps/network-private.h"
#include "steps/publish-private.h"
#include "steps/run-private.h"
#include "steps/source-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* Up to here a job needs free space in proportion to its source. */
#define SPACE_MAX (G_GINT64_CONSTANT (1024) * 1024 * 1024)
#define REPORT_INTERVAL (100 * 1000)
#define ANALYSIS_STEP "analyse"

/* Goes up when plans or results change their meaning without a new version of Derush. */
#define PLAN_VERSION 1

typedef struct {
  DerushRunner *runner;
  DerushPlan *plan;
  const DerushRunOptions *options;
  GCancellable *cancellable;
  DerushRunReport report;
  gpointer user_data;

  gint64 deadline;
  char *directory;
  DerushCheckpoint *checkpoint; /* or %NULL */
  guint resumed;                /* steps that an earlier attempt has finished */
  DerushSource *source;
  char *display;           /* (nullable): the source as messages may call it */
  const char *transfer;    /* (nullable): the name of the one that runs */
  const char *transferred; /* (nullable): the file that could not be sent */
  DerushOutputFolder *folder;
  char *analysis_path; /* where the analysis of the source is, or is to be, stored */
  int analysis;        /* the stored one, open, or -1 */
  JsonObject *results;
  JsonObject *whole; /* (nullable): the return value that was shortened */
  GPtrArray *outputs;
  GPtrArray *warnings;

  gboolean no_more_checkpoints;
  DerushPlanStep *step; /* the one that runs */
  double before;        /* the weights of those that have ended */
  double reported;
  gint64 reported_at;
  char *debug;
} Run;

/* ── Preparing ──────────────────────────────────────────────────────────── */

static gboolean
needs_worker (DerushPlan *plan)
{
  for (guint i = 0; i < plan->steps->len; i++)
    if (((DerushPlanStep *)plan->steps->pdata[i])->worker != DERUSH_STEP_DAEMON)
      return TRUE;
  return FALSE;
}

static gboolean
has_step_of (DerushPlan *plan, DerushStepWorker worker)
{
  for (guint i = 0; i < plan->steps->len; i++)
    if (((DerushPlanStep *)plan->steps->pdata[i])->worker == worker)
      return TRUE;
  return FALSE;
}

/* A source of 50 GB does not need 50 GB to become 720 lines; a quarter, bounded, tells a full disk from one with room. */
static gboolean
check_space (Run *run, const char *path, const char *setting, GError **error)
{
  gint64 needed = derush_config_get_int (run->runner->config, "DERUSH_MIN_FREE_SPACE");
  gint64 available = derush_disk_free (path);

  if (run->source)
    needed = MAX (needed, MIN (run->source->size / 4, SPACE_MAX));
  if (available >= 0 && available < needed) {
    derush_checkpoint_make_room (derush_config_get_string (run->runner->config, "DERUSH_SCRATCH"), path, needed);
    available = derush_disk_free (path);
  }
  if (available < 0 || available >= needed)
    return TRUE;
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("There is too little space left on the disk of %s; make room there or change %s: %" PRId64
                  " MiB are free, %" PRId64 " MiB are needed"),
               path, setting, available >> 20, (needed >> 20) + 1);
  return FALSE;
}

static gboolean
find_analysis (Run *run, GError **error)
{
  g_autofree char *fingerprint = NULL, *name = NULL;

  if (!run->plan->needs_analysis || !run->source)
    return TRUE;
  fingerprint = derush_source_get_fingerprint (run->source, run->cancellable, error);
  if (!fingerprint)
    return FALSE;
  name = g_strconcat (fingerprint, ".derush", NULL);
  run->analysis_path =
      g_build_filename (derush_config_get_string (run->runner->config, "DERUSH_CACHE"), "analysis", name, NULL);
  run->analysis = open (run->analysis_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  /* What was used lately is kept longest, whatever the file system notes by itself. */
  if (run->analysis >= 0)
    futimens (run->analysis, (const struct timespec[]){{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}});
  return TRUE;
}

static JsonObject *
parameters_of (Run *run, DerushPlanStep *step)
{
  JsonObject *parameters = json_object_new (), *limits;
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (step->parameters) {
    json_object_iter_init (&iter, step->parameters);
    while (json_object_iter_next (&iter, &name, &node))
      json_object_set_member (parameters, name, json_node_copy (node));
  }
  if (strcmp (step->action, "probe") != 0)
    return parameters;
  limits = json_object_new ();
  json_object_set_int_member (limits, "maxBytes",
                              derush_config_get_int (run->runner->config, "DERUSH_MAX_INPUT_BYTES"));
  json_object_set_int_member (limits, "maxPixels", derush_config_get_int (run->runner->config, "DERUSH_MAX_PIXELS"));
  json_object_set_int_member (limits, "maxDuration",
                              derush_config_get_int (run->runner->config, "DERUSH_MAX_DURATION"));
  json_object_set_int_member (limits, "maxStreams", derush_config_get_int (run->runner->config, "DERUSH_MAX_STREAMS"));
  json_object_set_object_member (parameters, "limits", limits);
  return parameters;
}

static void
add_warning (Run *run, const char *message)
{
  if (!g_ptr_array_find_with_equal_func (run->warnings, message, g_str_equal, NULL))
    g_ptr_array_add (run->warnings, g_strdup (message));
}

static void
take_warnings (Run *run, JsonObject *result)
{
  JsonArray *warnings = derush_json_get_array (result, "warnings");

  for (guint i = 0; warnings && i < json_array_get_length (warnings); i++) {
    JsonNode *node = json_array_get_element (warnings, i);

    if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
      add_warning (run, json_node_get_string (node));
  }
}

/* ── What an earlier attempt has finished ───────────────────────────────── */

/* One step alone is done, or it is not. */
static gboolean
keeps_steps (Run *run)
{
  return run->options->checkpoints && run->plan->steps->len > 1 && needs_worker (run->plan) &&
         derush_config_get_int (run->runner->config, "DERUSH_CHECKPOINT_AGE") > 0;
}

static JsonObject *
log_fields (Run *run)
{
  JsonObject *fields = json_object_new ();

  json_object_set_string_member (fields, "jobId", run->options->job_id);
  if (run->options->queue)
    json_object_set_string_member (fields, "queue", run->options->queue);
  json_object_set_int_member (fields, "attempt", run->options->attempt);
  json_object_set_string_member (fields, "jobType", run->plan->job_type);
  if (run->step)
    json_object_set_string_member (fields, "step", run->step->name);
  if (run->plan->workflow_id)
    json_object_set_string_member (fields, "workflowId", run->plan->workflow_id);
  if (run->options->correlation_id)
    json_object_set_string_member (fields, "correlationId", run->options->correlation_id);
  return fields;
}

/* Daemons that serve one queue on one machine share their scratch, and so the folders of its jobs. */
static char *
checkpoint_name (DerushConfig *config, const char *queue, const char *job_id)
{
  return g_strdup_printf ("%s\n%s\n%s", derush_config_get_string (config, "BULLMQ_PREFIX"), queue ? queue : "", job_id);
}

static char *
checkpoint_job (Run *run)
{
  return checkpoint_name (run->runner->config, run->options->queue, run->options->job_id);
}

/**
 * derush_checkpoints_forget:
 * @config: the settings
 * @queue: (nullable): the job's queue
 * @job_id: its id
 *
 * Removes what finished steps of earlier attempts of a job made that will not run again.
 */
void
derush_checkpoints_forget (DerushConfig *config, const char *queue, const char *job_id)
{
  g_autofree char *job = checkpoint_name (config, queue, job_id);

  derush_checkpoint_discard (derush_config_get_string (config, "DERUSH_SCRATCH"), job);
}

static void
add_object (GChecksum *checksum, JsonObject *object)
{
  g_autofree char *text = object ? derush_json_object_to_string (object) : g_strdup ("");

  g_checksum_update (checksum, (guchar *)text, strlen (text) + 1);
}

/* Everything that the results of the steps follow from. Of the source, what the file system says stands for its contents:
 * nobody can set the time of the last change (ctime), and reading the whole of a long film would cost more than many a
 * step. One that was fetched is new each time, so its fingerprint stands for it. A source that was only touched is taken for another one. */
static char *
checkpoint_key (Run *run)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GString) head = g_string_new (PACKAGE_VERSION);
  struct stat status;

  g_string_append_printf (head, "\n%d\n%s\n", PLAN_VERSION, run->plan->job_type);
  if (run->source && derush_transfer_is_remote (run->plan->source)) {
    g_autofree char *fingerprint = derush_source_get_fingerprint (run->source, run->cancellable, NULL);

    g_string_append_printf (head, "%s\n", fingerprint ? fingerprint : "");
  } else if (run->source && fstat (run->source->fd, &status) == 0) {
    g_string_append_printf (head, "%s\n%" PRId64 " %" PRId64 ".%09ld %" PRId64 ".%09ld\n", run->source->path,
                            (gint64)status.st_size, (gint64)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                            (gint64)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  }
  g_checksum_update (checksum, (guchar *)head->str, head->len);
  add_object (checksum, run->plan->data);
  for (guint i = 0; i < run->plan->steps->len; i++) {
    DerushPlanStep *step = run->plan->steps->pdata[i];
    g_autoptr (JsonObject) parameters = parameters_of (run, step);

    g_checksum_update (checksum, (guchar *)step->name, strlen (step->name) + 1);
    g_checksum_update (checksum, (guchar *)step->action, strlen (step->action) + 1);
    add_object (checksum, parameters);
  }
  return g_strdup (g_checksum_get_string (checksum));
}

/* A step that took the stored analysis left none of its own; that one may have been cleared away since. */
static gboolean
lacks_analysis (Run *run, DerushCheckpointStep *done)
{
  return strcmp (done->name, ANALYSIS_STEP) == 0 && run->plan->needs_analysis && run->analysis < 0 &&
         !derush_json_get_string (done->result, "file", NULL);
}

static void
take_finished (Run *run)
{
  GPtrArray *finished = derush_checkpoint_get_steps (run->checkpoint);
  g_autoptr (GString) names = g_string_new (NULL);

  derush_checkpoint_truncate (run->checkpoint, run->plan->steps->len);
  for (guint i = 0; i < finished->len; i++) {
    DerushCheckpointStep *done = finished->pdata[i];
    DerushPlanStep *step = run->plan->steps->pdata[i];

    if (strcmp (done->name, step->name) != 0 || lacks_analysis (run, done)) {
      derush_checkpoint_truncate (run->checkpoint, i);
      break;
    }
    json_object_set_object_member (run->results, step->name, json_object_ref (done->result));
    take_warnings (run, done->result);
    for (guint k = 0; k < done->warnings->len; k++)
      add_warning (run, done->warnings->pdata[k]);
    run->before += step->weight;
    run->resumed++;
    g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", step->name);
  }
  if (run->resumed > 0)
    derush_log (DERUSH_LOG_INFO, log_fields (run), "Resumed: an earlier attempt has finished %s", names->str);
}

static gboolean
open_directory (Run *run, GError **error)
{
  run->directory = derush_scratch_add_folder (run->runner->scratch, "job", error);
  if (!run->directory)
    return FALSE;
  if (keeps_steps (run)) {
    g_autofree char *job = checkpoint_job (run), *key = checkpoint_key (run);
    g_autoptr (GError) local = NULL;

    run->checkpoint = derush_checkpoint_open (derush_config_get_string (run->runner->config, "DERUSH_SCRATCH"), job,
                                              key, run->cancellable, &local);
    if (run->checkpoint) {
      take_finished (run);
      return derush_checkpoint_restore (run->checkpoint, run->directory, error);
    }
    if (g_cancellable_set_error_if_cancelled (run->cancellable, error))
      return FALSE;
    derush_log (DERUSH_LOG_WARN, log_fields (run), "This attempt starts anew and keeps no steps: %s", local->message);
  }
  return TRUE;
}

/* Whether another attempt of the job can be expected. */
static gboolean
comes_back (Run *run, DerushOutcome *outcome)
{
  if (outcome->return_value)
    return FALSE;
  if (outcome->error_class == DERUSH_ERROR_CANCELLED)
    return g_atomic_int_get (&run->runner->keep);
  return outcome->can_retry && (run->options->attempt < run->options->attempts || outcome->retry_at > 0);
}

/* Also of an attempt that failed before it got to its folder. */
static void
close_checkpoint (Run *run, DerushOutcome *outcome)
{
  gboolean keep = comes_back (run, outcome);

  if (run->checkpoint) {
    derush_checkpoint_close (g_steal_pointer (&run->checkpoint), keep);
  } else if (!keep && keeps_steps (run)) {
    g_autofree char *job = checkpoint_job (run);

    derush_checkpoint_discard (derush_config_get_string (run->runner->config, "DERUSH_SCRATCH"), job);
  }
}

/* @from: where the transfer begins in the progress of the job; @share: how much of it it is. */
static void
report_transfer (Run *run, const char *name, double from, double share, double progress)
{
  double whole = from + CLAMP (progress, 0, 1) * share;
  gint64 now = g_get_monotonic_time ();

  if (whole < run->reported + 0.0005 || now < run->reported_at + REPORT_INTERVAL)
    return;
  run->reported = whole;
  run->reported_at = now;
  run->report (name, whole, run->user_data);
}

static void
on_download_progress (double progress, gpointer user_data)
{
  Run *run = user_data;

  report_transfer (run, DERUSH_DOWNLOAD_STEP, 0, run->plan->download_weight, progress);
}

static void
on_upload_progress (double progress, gpointer user_data)
{
  Run *run = user_data;

  report_transfer (run, DERUSH_UPLOAD_STEP, 1 - run->plan->upload_weight, run->plan->upload_weight, progress);
}

static DerushNetwork
network_of (Run *run, DerushTransferProgress progress)
{
  return (DerushNetwork){.config = run->runner->config,
                         .plan = run->plan,
                         .deadline = run->deadline,
                         .progress = progress,
                         .user_data = run,
                         .cancellable = run->cancellable};
}

/* The file is removed as soon as it is open, so nothing can be left of it. */
static gboolean
fetch_source (Run *run, GError **error)
{
  DerushNetwork network = network_of (run, on_download_progress);
  g_autofree char *folder = NULL, *path = NULL;
  gboolean complete;

  if (!derush_runner_ensure_scratch (run->runner, error))
    return FALSE;
  folder = derush_scratch_add_folder (run->runner->scratch, "source", error);
  if (!folder)
    return FALSE;
  path = g_build_filename (folder, "source", NULL);
  run->transfer = DERUSH_DOWNLOAD_STEP;
  run->report (DERUSH_DOWNLOAD_STEP, 0, run->user_data);
  if (!derush_network_fetch (&network, path, &complete, error))
    return FALSE;
  run->source = derush_source_open (path, NULL, error);
  unlink (path);
  if (!run->source)
    return FALSE;
  if (!complete)
    add_warning (run, _ ("The server did not say how long the source is, so a part of it may be missing"));
  run->transfer = NULL;
  return TRUE;
}

static gboolean
prepare (Run *run, GError **error)
{
  DerushPlan *plan = run->plan;
  gboolean remote = plan->source && derush_transfer_is_remote (plan->source);

  if (plan->source && !remote) {
    run->source = derush_source_open (plan->source, run->options->roots, error);
    if (!run->source)
      return FALSE;
  }
  /* What a model makes may be files, or a return value that is too long for Redis, and it may do without a film. */
  if (plan->output_dir || (!run->options->in_full && (plan->source || has_step_of (plan, DERUSH_STEP_MODEL)))) {
    run->folder =
        derush_output_folder_open (run->runner->config, plan, run->options->job_id, run->options->roots, error);
    if (!run->folder || !check_space (run, run->folder->path, "outputDir", error))
      return FALSE;
  }
  if (remote && !fetch_source (run, error))
    return FALSE;
  if (!find_analysis (run, error))
    return FALSE;
  if (!needs_worker (plan))
    return TRUE;
  /* The model worker is started when its turn comes: it may have nothing to do. */
  if (!derush_runner_ensure_scratch (run->runner, error) ||
      (has_step_of (plan, DERUSH_STEP_MEDIA) &&
       !derush_runner_ensure_process (run->runner, DERUSH_WORKER_MEDIA, DERUSH_RUNNER_START_TRIES, run->cancellable,
                                      &run->debug, error)))
    return FALSE;
  return open_directory (run, error) &&
         check_space (run, derush_config_get_string (run->runner->config, "DERUSH_SCRATCH"), "DERUSH_SCRATCH", error);
}

/* ── Steps ──────────────────────────────────────────────────────────────── */

static void
report (Run *run, double progress, gboolean at_once)
{
  double whole = CLAMP (run->before + run->step->weight * progress, 0, 1);
  gint64 now = g_get_monotonic_time ();

  whole = MAX (whole, run->reported);
  if (!at_once && (whole < run->reported + 0.0005 || now < run->reported_at + REPORT_INTERVAL))
    return;
  run->reported = whole;
  run->reported_at = now;
  run->report (run->step->name, whole, run->user_data);
}

static DerushWorkerKind
kind_of (DerushPlanStep *step)
{
  return step->worker == DERUSH_STEP_MODEL ? DERUSH_WORKER_MODEL : DERUSH_WORKER_MEDIA;
}

static void
on_heard (gpointer user_data)
{
  Run *run = user_data;

  derush_runner_heard (run->runner, kind_of (run->step));
}

static void
on_progress (double progress, gpointer user_data)
{
  report (user_data, progress, FALSE);
}

static void
on_warning (const char *message, gpointer user_data)
{
  add_warning (user_data, message);
}

static void
add_input (JsonArray *inputs, int *fds, guint *n_fds, const char *name, const char *display, int fd)
{
  JsonObject *input = json_object_new ();

  json_object_set_string_member (input, "name", name);
  json_object_set_string_member (input, "display", display);
  json_array_add_object_element (inputs, input);
  fds[(*n_fds)++] = fd;
}

static JsonObject *
request_of (Run *run, int *fds, guint *n_fds)
{
  JsonObject *request = json_object_new ();
  JsonArray *inputs = json_array_new ();

  json_object_set_string_member (request, "type", "run");
  json_object_set_string_member (request, "action", run->step->action);
  json_object_set_object_member (request, "parameters", parameters_of (run, run->step));
  json_object_set_object_member (request, "results", json_object_ref (run->results));
  json_object_set_string_member (request, "directory", run->directory);
  json_object_set_string_member (request, "job", run->options->job_id);
  if (run->options->released)
    json_object_set_boolean_member (request, "released", TRUE);
  if (run->source)
    add_input (inputs, fds, n_fds, "source", run->display, run->source->fd);
  if (run->analysis >= 0)
    add_input (inputs, fds, n_fds, "analysis", run->analysis_path, run->analysis);
  json_object_set_array_member (request, "inputs", inputs);
  return request;
}

/* In s. Without a setting, no more than the job's time on every processor. */
static gint64
cpu_limit (DerushConfig *config)
{
  gint64 limit = derush_config_get_int (config, "DERUSH_WORKER_CPU_LIMIT");

  return limit > 0 ? limit : derush_config_get_int (config, "DERUSH_JOB_TIMEOUT") * g_get_num_processors ();
}

/* How many providers a model worker may ask one after the other. */
#define PROVIDERS 3

/* Whoever waits for a model makes no progress, and has a time limit of its own for each provider. In µs. */
static gint64
stall_of (Run *run)
{
  DerushConfig *config = run->runner->config;
  gint64 seconds = derush_config_get_int (config, "DERUSH_STALL_TIMEOUT");

  if (run->plan->no_progress > 0)
    return run->plan->no_progress * 1000;
  if (run->step->worker == DERUSH_STEP_MODEL)
    seconds += PROVIDERS * derush_config_get_int (config, "DERUSH_MODEL_TIMEOUT");
  return seconds * G_USEC_PER_SEC;
}

static JsonObject *
run_on_worker (Run *run, GError **error)
{
  DerushConfig *config = run->runner->config;
  DerushProcessWatch watch = {
      .cancellable = run->cancellable,
      .deadline = run->deadline,
      .stall = stall_of (run),
      .heartbeat = derush_config_get_int (config, "DERUSH_HEARTBEAT_TIMEOUT") * G_USEC_PER_SEC,
      .memory_limit = derush_config_get_int (config, "DERUSH_WORKER_MEMORY_LIMIT"),
      .cpu_limit = cpu_limit (config) * G_USEC_PER_SEC,
      .job_id = run->options->job_id,
      .queue = run->options->queue,
      .step = run->step->name,
      .attempt = run->options->attempt,
      .job_type = run->plan->job_type,
      .workflow_id = run->plan->workflow_id,
      .correlation_id = run->options->correlation_id,
      .heard = on_heard,
      .progress = on_progress,
      .warning = on_warning,
      .user_data = run,
  };
  g_autoptr (JsonObject) request = NULL;
  int fds[4];
  guint n_fds = 0;

  if (!derush_runner_ensure_process (run->runner, kind_of (run->step), DERUSH_RUNNER_START_TRIES, run->cancellable,
                                     &run->debug, error))
    return NULL;
  request = request_of (run, fds, &n_fds);
  return derush_process_request (run->runner->workers[kind_of (run->step)].process, request, fds, n_fds, &watch,
                                 &run->debug, error);
}

/* Whether the step has nothing to work on, as the speech of a film without sound. */
static gboolean
lacks_file (Run *run)
{
  JsonObject *result = run->step->needs ? derush_json_get_object (run->results, run->step->needs) : NULL;

  return run->step->needs && !derush_json_get_string (result, "file", NULL);
}

static JsonObject *
run_step (Run *run, GError **error)
{
  if (lacks_file (run)) {
    JsonObject *result = json_object_new ();

    json_object_set_boolean_member (result, "skipped", TRUE);
    return result;
  }
  return run->step->worker == DERUSH_STEP_DAEMON ? derush_step_answer (run->step, error) : run_on_worker (run, error);
}

/* A checkpoint spares the next attempt work; that it could not be written is no reason to fail this one. */
static void
keep_step (Run *run, JsonObject *result, guint n_warnings)
{
  g_autoptr (GError) error = NULL;

  if (!run->checkpoint || run->no_more_checkpoints)
    return;
  if (derush_checkpoint_add_step (run->checkpoint, run->step->name, result, run->warnings, n_warnings, &error))
    return;
  run->no_more_checkpoints = TRUE;
  derush_log (DERUSH_LOG_WARN, log_fields (run), "Step %s could not be kept for another attempt: %s", run->step->name,
              error->message);
}

static DerushMetric *
analysis_requests (void)
{
  return derush_metrics_counter ("derush_analysis_cache_requests_total",
                                 "Jobs that wanted the analysis of a film: it was stored (hit) or made (miss).",
                                 "result", NULL);
}

/**
 * derush_steps_register_metrics:
 *
 * Lets the metrics of this room begin with 0: else the first step of each would not be seen as one.
 */
void
derush_steps_register_metrics (void)
{
  derush_metric_add (analysis_requests (), 0, "hit", NULL);
  derush_metric_add (analysis_requests (), 0, "miss", NULL);
}

/* Whether the film was measured, or somebody had done so before. */
static void
count_analysis (Run *run, JsonObject *result)
{
  if (strcmp (run->step->name, ANALYSIS_STEP) == 0 && run->plan->needs_analysis)
    derush_metric_add (analysis_requests (), 1, derush_json_get_boolean (result, "cached", FALSE) ? "hit" : "miss",
                       NULL);
}

static gboolean
run_steps (Run *run, GError **error)
{
  for (guint i = run->resumed; i < run->plan->steps->len; i++) {
    guint n_warnings = run->warnings->len;
    JsonObject *result;

    if (g_cancellable_set_error_if_cancelled (run->cancellable, error))
      return FALSE;
    run->step = run->plan->steps->pdata[i];
    report (run, 0, TRUE);
    result = run_step (run, error);
    if (!result)
      return FALSE;
    take_warnings (run, result);
    count_analysis (run, result);
    json_object_set_object_member (run->results, run->step->name, result);
    keep_step (run, result, n_warnings);
    report (run, 1, TRUE);
    run->before += run->step->weight;
  }
  return TRUE;
}

/* ── Ending ─────────────────────────────────────────────────────────────── */

/* The analysis is kept also when a later step failed: the next attempt then measures nothing. */
static void
store_analysis (Run *run)
{
  JsonObject *result = derush_json_get_object (run->results, ANALYSIS_STEP);
  const char *file = derush_json_get_string (result, "file", NULL);
  g_autofree char *path = NULL, *folder = NULL, *name = NULL;
  g_autoptr (GError) error = NULL;

  if (!run->analysis_path || !run->directory || !file || strchr (file, '/') || *file == '.' || *file == '\0')
    return;
  path = g_build_filename (run->directory, file, NULL);
  folder = g_path_get_dirname (run->analysis_path);
  name = g_path_get_basename (run->analysis_path);
  if (g_mkdir_with_parents (folder, 0700) != 0 || g_file_test (path, G_FILE_TEST_IS_SYMLINK) ||
      !derush_file_publish (path, folder, name, NULL, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "The analysis of %s could not be kept for the next job: %s", run->display,
                error ? error->message : g_strerror (errno));
}

/* The whole of a return value that is too long for Redis becomes one more file. */
static gboolean
shorten (Run *run, JsonObject **value, GError **error)
{
  g_autofree char *whole = derush_json_object_to_string (*value), *name = NULL, *path = NULL;
  DerushOutput *output;

  g_autoptr (JsonObject) all = json_object_ref (*value);

  if (run->options->in_full || !derush_return_value_shorten (value))
    return TRUE;
  run->whole = g_steal_pointer (&all);
  if (!run->folder || !run->directory)
    return TRUE;
  name = derush_plan_get_result_name (run->plan);
  path = g_build_filename (run->directory, name, NULL);
  if (!derush_file_write_atomically (path, whole, -1, error))
    return FALSE;
  output = g_new0 (DerushOutput, 1);
  output->file = g_steal_pointer (&name);
  output->role = g_strdup ("data");
  g_ptr_array_add (run->outputs, output);
  if (!derush_outputs_measure (run->outputs, run->directory, run->folder->path, run->cancellable, error))
    return FALSE;
  json_object_set_string_member (*value, "resultFile", output->path);
  return TRUE;
}

/* A job whose output folder is that of its source must not eat its source. */
static gboolean
spares_source (Run *run, GError **error)
{
  struct stat source, output;

  if (!run->source || fstat (run->source->fd, &source) != 0)
    return TRUE;
  for (guint i = 0; i < run->outputs->len; i++) {
    const char *path = ((DerushOutput *)run->outputs->pdata[i])->path;

    if (stat (path, &output) == 0 && source.st_dev == output.st_dev && source.st_ino == output.st_ino) {
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT,
                   _ ("The job would replace its own source %s; give another outputDir"), path);
      return FALSE;
    }
  }
  return TRUE;
}

static void
tell_resumed (Run *run, JsonObject *value)
{
  JsonArray *names;

  if (run->resumed == 0)
    return;
  names = json_array_new ();
  for (guint i = 0; i < run->resumed; i++)
    json_array_add_string_element (names, ((DerushPlanStep *)run->plan->steps->pdata[i])->name);
  json_object_set_array_member (value, "resumedSteps", names);
}

/* Before the files are in their folder: of a job that fails here, none is there. */
static gboolean
send_outputs (Run *run, GError **error)
{
  DerushNetwork network = network_of (run, on_upload_progress);

  if (!run->plan->uploads)
    return TRUE;
  derush_plan_assign_uploads (run->plan, run->outputs, run->warnings);
  run->transfer = DERUSH_UPLOAD_STEP;
  run->report (DERUSH_UPLOAD_STEP, 1 - run->plan->upload_weight, run->user_data);
  if (!derush_network_send (&network, run->outputs, run->directory, &run->transferred, error))
    return FALSE;
  run->transfer = NULL;
  return TRUE;
}

static JsonObject *
finish (Run *run, gint64 started, GError **error)
{
  const char *target = run->folder ? run->folder->path : NULL;
  const char *analysis = NULL;
  g_autoptr (JsonObject) value = NULL;

  run->outputs = derush_plan_get_outputs (run->plan, run->results);
  if (run->outputs->len > 0 && (!target || !run->directory)) {
    g_set_error_literal (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL, _ ("The job made files but has no folder"));
    return NULL;
  }
  if (!derush_outputs_measure (run->outputs, run->directory, target, run->cancellable, error))
    return NULL;
  store_analysis (run);
  if (!spares_source (run, error) || !send_outputs (run, error))
    return NULL;
  if (run->analysis_path && g_file_test (run->analysis_path, G_FILE_TEST_EXISTS))
    analysis = run->analysis_path;
  value = derush_plan_return_value (run->plan, run->results, run->outputs, run->warnings, analysis,
                                    (g_get_monotonic_time () - started) / 1000);
  tell_resumed (run, value);
  if (!shorten (run, &value, error) ||
      !derush_output_folder_publish (run->folder, run->outputs, run->directory, run->cancellable, error))
    return NULL;
  return g_steal_pointer (&value);
}

static void
describe_failure (Run *run, DerushOutcome *outcome, GError *error)
{
  outcome->error_class = derush_error_get_class (error);
  outcome->can_retry = derush_error_can_retry (error);
  outcome->retry_at = outcome->can_retry ? derush_error_get_retry_at (error) : 0;
  outcome->message = outcome->error_class == DERUSH_ERROR_CANCELLED ? g_strdup (_ ("The job was cancelled"))
                                                                    : g_strdup (error->message);
  g_strdelimit (outcome->message, "\r\n", ' ');
  outcome->step = g_strdup (run->transfer ? run->transfer : run->step ? run->step->name : NULL);
  outcome->input = g_strdup (run->transferred ? run->transferred : run->display);
  if (run->debug && *run->debug)
    outcome->debug = g_steal_pointer (&run->debug);
}

static void
clean_up (Run *run)
{
  g_autoptr (GError) error = NULL;

  if (run->directory && !derush_directory_remove (run->directory, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "%s", error->message);
  g_free (run->directory);
  g_clear_pointer (&run->folder, derush_output_folder_close);
  g_clear_pointer (&run->source, derush_source_free);
  if (run->analysis >= 0)
    close (run->analysis);
  g_free (run->analysis_path);
  g_free (run->display);
  g_clear_pointer (&run->results, json_object_unref);
  g_clear_pointer (&run->whole, json_object_unref);
  g_clear_pointer (&run->outputs, g_ptr_array_unref);
  g_clear_pointer (&run->warnings, g_ptr_array_unref);
  g_free (run->debug);
}

/* Runs a plan from its source to its published files; blocks. */
DerushOutcome *
derush_runner_run (DerushRunner *runner, DerushPlan *plan, const DerushRunOptions *options, GCancellable *cancellable,
                   DerushRunReport report_func, gpointer user_data)
{
  gint64 started = g_get_monotonic_time ();
  gint64 timeout = plan->timeout > 0 ? plan->timeout : derush_config_get_int (runner->config, "DERUSH_JOB_TIMEOUT");
  Run run = {.runner = runner,
             .plan = plan,
             .options = options,
             .cancellable = cancellable,
             .report = report_func,
             .user_data = user_data,
             .analysis = -1,
             .reported = -1};
  DerushOutcome *outcome = g_new0 (DerushOutcome, 1);
  g_autoptr (GError) error = NULL;

  run.deadline = started + timeout * G_USEC_PER_SEC;
  run.display = plan->source ? derush_transfer_describe (plan->source) : NULL;
  run.before = plan->download_weight;
  run.results = json_object_new ();
  run.warnings = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; plan->warnings && i < plan->warnings->len; i++)
    add_warning (&run, plan->warnings->pdata[i]);
  if (!g_cancellable_set_error_if_cancelled (cancellable, &error) && prepare (&run, &error)) {
    if (run_steps (&run, &error)) {
      run.step = NULL;
      outcome->return_value = finish (&run, started, &error);
    } else if (!g_cancellable_is_cancelled (cancellable)) {
      store_analysis (&run);
    }
  }
  if (outcome->return_value) {
    outcome->outputs = g_steal_pointer (&run.outputs);
    outcome->whole = g_steal_pointer (&run.whole);
  } else
    describe_failure (&run, outcome, error);
  derush_runner_check_processes (runner);
  close_checkpoint (&run, outcome);
  clean_up (&run);
  return outcome;
}
