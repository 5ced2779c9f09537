/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "steps/process-private.h"
#include "steps/scratch-private.h"

G_BEGIN_DECLS

/**
 * DerushRunnerWorker:
 * @process: (nullable): while it runs
 * @failed_starts: in a row
 * @early_ends: in a row, of processes that had no job yet
 * @died: the last process ended by itself, and no other was started
 * @start_after: no earlier, by the monotonic clock
 * @pid: of @process, or 0; read by other threads
 * @started: the process, by the monotonic clock; this and what follows is guarded by the runner's lock
 * @heard: when it last said anything, in ms since 1970
 * @starts: of processes, that succeeded
 * @refused: @failed_starts and @early_ends, for other threads
 * @starting: whether one is being started
 * @start_error: (nullable): why the last start failed; %NULL: it did not
 */
typedef struct {
  DerushProcess *process;
  guint failed_starts;
  guint early_ends;
  gboolean died;
  gint64 start_after;
  int pid;
  gint64 started;
  gint64 heard;
  guint starts;
  guint refused;
  gboolean starting;
  char *start_error;
} DerushRunnerWorker;

/* What a slot's thread owns. */
typedef struct {
  DerushConfig *config;
  const char *name; /* (nullable): of the worker, for people */
  DerushScratch *scratch;
  DerushRunnerWorker workers[DERUSH_N_WORKERS];
  DerushConfig *model_config; /* what the model worker that runs was started with, or NULL */
  char *local_models;         /* where the model worker that runs was told to find derush-models, or NULL */
  GMutex lock;
  int keep; /* whether the job that runs comes back though it is cancelled; set by other threads */
} DerushRunner;

typedef void (*DerushRunReport) (const char *step, double progress, gpointer user_data);

gboolean derush_runner_ensure_scratch (DerushRunner *runner, GError **error);
/* A worker that ends sooner than this, in µs, has not really started. */
#define DERUSH_RUNNER_EARLY (10 * G_USEC_PER_SEC)

/* How often a job tries to have a worker. */
#define DERUSH_RUNNER_START_TRIES 3

gboolean derush_runner_ensure_process (DerushRunner *runner, DerushWorkerKind kind, guint tries,
                                       GCancellable *cancellable, char **debug, GError **error);
/* The worker ended while it had nothing to do. */
void derush_runner_died_idle (DerushRunner *runner, DerushWorkerKind kind);
/* Starts that failed count no more. */
void derush_runner_forgive (DerushRunner *runner);
/* Replaces workers that died, grew too large or too old. */
void derush_runner_check_processes (DerushRunner *runner);
/* A worker has said something. */
void derush_runner_heard (DerushRunner *runner, DerushWorkerKind kind);
void derush_runner_drop_processes (DerushRunner *runner);
void derush_runner_clear (DerushRunner *runner);

/* What is answered by the process that runs the plan. */
JsonObject *derush_step_answer (DerushPlanStep *step, GError **error);

DerushOutcome *derush_runner_run (DerushRunner *runner, DerushPlan *plan, const DerushRunOptions *options,
                                  GCancellable *cancellable, DerushRunReport report, gpointer user_data);

G_END_DECLS
