/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:steps
 * @title: steps
 * @short_description: worker processes, the protocol they speak, and running a plan on them
 *
 * The protocol is written down in PROTOCOL.md beside this file. DerushSlot is the side of the daemon and of the command
 * line; DerushStepServer is the side of the workers.
 */

#pragma once

#include "core/core.h"
#include "jobs/jobs.h"

G_BEGIN_DECLS

#define DERUSH_STEPS_ERROR (derush_steps_error_quark ())
GQuark derush_steps_error_quark (void);

/* ── The side that runs plans ───────────────────────────────────────────── */

/* What progress and failures call the fetching of a source and the sending of files. */
#define DERUSH_DOWNLOAD_STEP "download"
#define DERUSH_UPLOAD_STEP "upload"

typedef struct _DerushSlot DerushSlot;

/**
 * DerushRunProgress:
 * @step: the step that is running
 * @progress: of the whole job, 0 to 1, never falling
 * @user_data: from #DerushRunOptions
 */
typedef void (*DerushRunProgress) (const char *step, double progress, gpointer user_data);

/**
 * DerushRunOptions:
 * @job_id: names the job's folder and its log lines
 * @queue: (nullable): for the log lines
 * @correlation_id: (nullable): for the log lines
 * @attempt: counted from 1
 * @attempts: how many there may be; with @checkpoints only
 * @checkpoints: what finished steps made is kept for the next attempt of the job of this id and queue, which then starts
 *     at its first unfinished step
 * @released: whether somebody lets the job run before the time that a failure named
 * @roots: (nullable) (array zero-terminated=1): the folders that the job may read and write; %NULL: no limit
 * @in_full: the return value is not for Redis: it is neither shortened nor kept in a file, and only a folder that the job
 *     itself names is made
 * @progress: (nullable): called when the progress has changed
 * @user_data: for @progress
 */
typedef struct {
  const char *job_id;
  const char *queue;
  const char *correlation_id;
  guint attempt;
  guint attempts;
  gboolean checkpoints;
  gboolean released;
  const char *const *roots;
  gboolean in_full;
  DerushRunProgress progress;
  gpointer user_data;
} DerushRunOptions;

/**
 * DerushOutcome:
 * @return_value: (nullable): what the job returns; %NULL if it failed
 * @whole: (nullable): the same before it was made small enough for Redis; %NULL if it was small already
 * @outputs: (nullable) (element-type DerushOutput): the published files
 * @error_class: the class of the failure
 * @can_retry: whether another attempt may end differently
 * @retry_at: before when it would not, in ms since 1970; 0: any time
 * @step: (nullable): the step that failed
 * @input: (nullable): on which input
 * @message: (nullable): one line for people: what failed, on what, what to do
 * @debug: (nullable): numbers and details, several lines
 */
typedef struct {
  JsonObject *return_value;
  JsonObject *whole;
  GPtrArray *outputs;
  DerushErrorClass error_class;
  gboolean can_retry;
  gint64 retry_at;
  char *step;
  char *input;
  char *message;
  char *debug;
} DerushOutcome;

void derush_outcome_free (DerushOutcome *outcome);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushOutcome, derush_outcome_free)

/* `step “transcode” of /films/a.mp4: …` as failedReason has it: one line. */
char *derush_outcome_describe (DerushOutcome *outcome);

DerushSlot *derush_slot_new (DerushConfig *config, const char *name);
void derush_slot_free (DerushSlot *slot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushSlot, derush_slot_free)

/* Starts the slot's media worker ahead of its first job, if it is not running. */
void derush_slot_prepare (DerushSlot *slot);

/* One plan at a time. Cancelling stops the worker's pipeline within a second, removes what was made, and ends with an
 * outcome of class cancelled. The outcome is never NULL: every failure is in it. */
void derush_slot_run_async (DerushSlot *slot, DerushPlan *plan, const DerushRunOptions *options,
                            GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
DerushOutcome *derush_slot_run_finish (DerushSlot *slot, GAsyncResult *result);

/* Runs a plan that needs neither a worker nor a file, at once: the self-test without a duration. NULL for any other. */
DerushOutcome *derush_plan_answer (DerushPlan *plan);

/* Makes a return value small enough for Redis by cutting its longest lists and texts; FALSE if it was small already. */
gboolean derush_return_value_shorten (JsonObject **value);

/* What runs is about to be cancelled, but only to be run again: its finished steps are kept, as after a failure that can
 * be retried. */
void derush_slot_keep_checkpoint (DerushSlot *slot);

/* Removes what earlier attempts of the job have left, as one that is cancelled while it waits. Blocks; any thread. */
void derush_checkpoints_forget (DerushConfig *config, const char *queue, const char *job_id);

/* Removes what jobs have left that did not come back for DERUSH_CHECKPOINT_AGE seconds. Blocks; any thread may call it. */
void derush_checkpoints_sweep (DerushConfig *config);

void derush_steps_register_metrics (void);

/**
 * DerushSlotStatus:
 * @busy: whether a job runs
 * @pid: the process of its media worker; 0: none runs
 * @model_pid: the process of its model worker; 0: none runs
 * @memory: what these have in memory, in bytes
 * @age: how long the older one has been running, in s
 * @heartbeat: when one was last heard, in ms since 1970; 0: never
 * @restarts: how often a worker was started after the first one of its kind
 * @failed_starts: how often in a row a worker could not be started
 * @starting: whether one is being started
 * @failing: whether one does not run because it could not be started
 */
typedef struct {
  gboolean busy;
  GPid pid;
  GPid model_pid;
  gint64 memory;
  gint64 age;
  gint64 heartbeat;
  guint restarts;
  guint failed_starts;
  gboolean starting;
  gboolean failing;
} DerushSlotStatus;

void derush_slot_get_status (DerushSlot *slot, DerushSlotStatus *status);

/* Ends the slot's workers: now, or after the job that runs. @again: and starts another one, else with the next job. */
void derush_slot_restart (DerushSlot *slot, gboolean again);

/* A worker that ends by itself is started again, with pauses that grow and a limit. */
void derush_slot_set_lasting (DerushSlot *slot, gboolean lasting);

/* Why one of its workers could not be started the last time; NULL: it could. */
char *derush_slot_get_start_error (DerushSlot *slot);

/* The settings of the jobs to come. */
void derush_slot_set_config (DerushSlot *slot, DerushConfig *config);

gboolean derush_slot_is_busy (DerushSlot *slot);
GPid derush_slot_get_media_pid (DerushSlot *slot);
GPid derush_slot_get_model_pid (DerushSlot *slot);

/* Where the programs of model steps are: derush-model-worker, derush-models. Returns: (transfer full) */
char *derush_model_worker_program (void);
char *derush_local_models_program (void);
JsonObject *derush_models_who_answers (DerushConfig *config, GCancellable *cancellable, GError **error);

/* ── What workers may do ────────────────────────────────────────────────── */

/* "seccomp", "landlock", …: (array zero-terminated=1) */
extern const char *const derush_containment_layers[];

JsonObject *derush_containment_get (void);
JsonObject *derush_containment_probe (DerushConfig *config, GError **error);

/* Where the memory of a process with this /proc/self/cgroup and /proc/self/mountinfo is accounted, and by which version
 * of control groups; NULL if nowhere that can be seen. */
char *derush_cgroup_find (const char *membership, const char *mounts, int *version);

/* ── The side of the workers ────────────────────────────────────────────── */

/* Where a worker that a slot started finds its end of the socket pair. */
#define DERUSH_STEP_SOCKET_FD 3

typedef struct _DerushStepRequest DerushStepRequest;

typedef struct {
  char *name;    /* "source", "analysis", … */
  char *display; /* how people call it: a path or URL, for messages only */
  int fd;        /* open for reading, seekable */
} DerushStepInput;

/**
 * DerushStepHandler:
 * @request: what is asked
 * @user_data: from derush_step_server_run()
 * @error: return location for an error of any domain; its class is read by derush_error_get_class()
 *
 * Runs in a thread of its own, so it may block; it should end soon after the request's cancellable is cancelled.
 *
 * Returns: (transfer full) (nullable): the step's result
 */
typedef JsonObject *(*DerushStepHandler) (DerushStepRequest *request, gpointer user_data, GError **error);

int derush_step_server_run (int socket_fd, JsonObject *containment, DerushStepHandler handler, gpointer user_data);

/* Takes all rights from this process that a decoder does not need; see contain.c. */
JsonObject *derush_contain_self (const char *folder, const char *const *readable);

const char *derush_step_request_get_action (DerushStepRequest *request);
JsonObject *derush_step_request_get_parameters (DerushStepRequest *request);
JsonObject *derush_step_request_get_results (DerushStepRequest *request);
const char *derush_step_request_get_directory (DerushStepRequest *request);
const char *derush_step_request_get_job_id (DerushStepRequest *request);
gboolean derush_step_request_is_released (DerushStepRequest *request);
const DerushStepInput *derush_step_request_get_input (DerushStepRequest *request, const char *name);
GCancellable *derush_step_request_get_cancellable (DerushStepRequest *request);
void derush_step_request_progress (DerushStepRequest *request, double progress);
void derush_step_request_warn (DerushStepRequest *request, const char *message);

/* The text beside the message of the error that the handler returns: numbers, element names, GStreamer's debug string. */
void derush_step_request_set_debug (DerushStepRequest *request, const char *debug);

G_END_DECLS
