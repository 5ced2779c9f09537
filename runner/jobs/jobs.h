/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:jobs
 * @title: jobs
 * @short_description: from a job's data to checked parameters, a plan of steps, and the return value
 *
 * Pure functions: no file, process, clock or network is touched here.
 */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

#define DERUSH_JOBS_ERROR (derush_jobs_error_quark ())
GQuark derush_jobs_error_quark (void);

typedef enum {
  DERUSH_STEP_DAEMON, /* answered by the process that runs the plan */
  DERUSH_STEP_MEDIA,
  DERUSH_STEP_MODEL,
} DerushStepWorker;

/**
 * DerushPlanStep:
 * @name: what people see: `probe`, `transcode`, `thumbnails`, …; unique in the plan
 * @action: what the worker is asked to do
 * @worker: who does it
 * @weight: its share of the job's progress; those of a plan, its @download_weight and its @upload_weight add up to 1
 * @parameters: checked parameters of @action
 * @needs: (nullable): an earlier step that must have made a `file`, else this one is left out: its result then is
 *   `{"skipped":true}`
 */
typedef struct {
  char *name;
  char *action;
  DerushStepWorker worker;
  double weight;
  JsonObject *parameters;
  char *needs;
} DerushPlanStep;

/**
 * DerushPlan:
 * @job_type: `VIDEO_PROCESSING`, …
 * @video_id: (nullable): echoed in the return value and stored
 * @user_id: (nullable): stored
 * @project_id: (nullable): stored
 * @workflow_id: (nullable): stored and logged
 * @source: (nullable): the film or sound as the job names it: an absolute path, `file:`, `https:` or `http:`; %NULL
 *     without one
 * @output_dir: (nullable): where the files are to go; %NULL for the configured folder
 * @metadata: (nullable): echoed in the return value
 * @timeout: seconds the whole job may take; 0 for the configured limit
 * @no_progress: ms that a step may take without getting any further; 0 for the configured limit
 * @needs_analysis: whether the runner should offer the stored analysis of @source, and store a new one
 * @download_weight: the share of the job's progress that fetching @source has; 0 for a local one
 * @uploads: (nullable): the addresses that derush_plan_assign_uploads() gives to the files
 * @upload_weight: the share of the job's progress that sending the files has; 0 without @uploads
 * @steps: (element-type DerushPlanStep): in the order they run
 * @warnings: (element-type utf8): what was ignored or changed
 * @data: the job's data, as it came
 */
typedef struct {
  gatomicrefcount references;
  char *job_type;
  char *video_id;
  char *user_id;
  char *project_id;
  char *workflow_id;
  char *source;
  char *output_dir;
  JsonNode *metadata;
  gint64 timeout;
  gint64 no_progress;
  gboolean needs_analysis;
  double download_weight;
  GPtrArray *uploads;
  double upload_weight;
  GPtrArray *steps;
  GPtrArray *warnings;
  JsonObject *data;
} DerushPlan;

typedef enum {
  DERUSH_PLAN_NONE = 0,
  DERUSH_PLAN_STRICT = 1 << 0, /* an unknown member is a fault instead of a warning */
} DerushPlanFlags;

char *derush_job_type_from_name (const char *job_name, JsonObject *data);
const char *derush_job_type_get_queue (const char *job_type);
const char *const *derush_job_types (void);
const char *const *derush_job_source_members (void);

DerushPlan *derush_plan_new (const char *job_name, JsonObject *data, DerushPlanFlags flags, GError **error);
const char *derush_plan_get_correlation_id (DerushPlan *plan);
DerushPlan *derush_plan_ref (DerushPlan *plan);
void derush_plan_unref (DerushPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushPlan, derush_plan_unref)

/**
 * DerushOutput:
 * @file: the name that a step's result uses, relative to the job's folder
 * @role: `video`, `thumbnail`, `storyboard`, `vtt`, `data`
 * @path: where the file now is, absolute
 * @size: in bytes
 * @sha256: of the contents, in hexadecimal
 * @upload_url: (nullable): the address that it is sent to; it may hold secrets
 * @upload_headers: (nullable) (array zero-terminated=1): names and values in turn to send with it
 * @url: (nullable): where it was sent, without what is secret
 */
typedef struct {
  char *file;
  char *role;
  char *path;
  gint64 size;
  char *sha256;
  char *upload_url;
  GStrv upload_headers;
  char *url;
} DerushOutput;

void derush_output_free (DerushOutput *output);

/* The files of all step results that are to be published, in order: (element-type DerushOutput) with file and role. */
GPtrArray *derush_plan_get_outputs (DerushPlan *plan, JsonObject *results);

/* The name of the file that keeps a whole return value of @plan: jobs that share a folder must not write over another's. */
char *derush_plan_get_result_name (DerushPlan *plan);

void derush_plan_assign_uploads (DerushPlan *plan, GPtrArray *outputs, GPtrArray *warnings);

/* @results: step name → that step's result; @outputs: as published; @analysis_path: where the analysis is stored. */
JsonObject *derush_plan_return_value (DerushPlan *plan, JsonObject *results, GPtrArray *outputs, GPtrArray *warnings,
                                      const char *analysis_path, gint64 processing_time);

/* For `derush run`: {NAME=VALUE…} dotted names become members of @data; those of the type's own …Request may stand alone. */
gboolean derush_job_data_set (JsonObject *data, const char *job_type, const char *assignment, GError **error);

G_END_DECLS
