/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "steps/process-private.h"
#include "steps/scratch-private.h"

G_BEGIN_DECLS

/**
 * DerushRunnerWorker:
 * @process: (nullable): while it runs
 * @failed_starts: in a row
 * @start_after: no earlier, by the monotonic clock
 * @pid: of @process, or 0; read by other threads
 * @started: the process, by the monotonic clock; this and what follows is guarded by the runner's lock
 * @heard: when it last said anything, in ms since 1970
 * @starts: of processes, that succeeded
 * @refused: as @failed_starts, for other threads
 */
typedef struct {
  DerushProcess *process;
  guint failed_starts;
  gint64 start_after;
  int pid;
  gint64 started;
  gint64 heard;
  guint starts;
  guint refused;
} DerushRunnerWorker;

/* What a slot's thread owns. */
typedef struct {
  DerushConfig *config;
  const char *name; /* (nullable): of the worker, for people */
  DerushScratch *scratch;
  DerushRunnerWorker workers[DERUSH_N_WORKERS];
  char *local_models; /* where the model worker that runs was told to find derush-models, or NULL */
  GMutex lock;
  int keep; /* whether the job that runs comes back though it is cancelled; set by other threads */
} DerushRunner;

typedef void (*DerushRunReport) (const char *step, double progress, gpointer user_data);

gboolean derush_runner_ensure_scratch (DerushRunner *runner, GError **error);
gboolean derush_runner_ensure_process (DerushRunner *runner, DerushWorkerKind kind, GCancellable *cancellable,
                                       char **debug, GError **error);
/* Replaces workers that died, grew too large or too old. */
void derush_runner_check_processes (DerushRunner *runner);
/* A worker has said something. */
void derush_runner_heard (DerushRunner *runner, DerushWorkerKind kind);
void derush_runner_drop_processes (DerushRunner *runner);
void derush_runner_clear (DerushRunner *runner);

DerushOutcome *derush_runner_run (DerushRunner *runner, DerushPlan *plan, const DerushRunOptions *options,
                                  GCancellable *cancellable, DerushRunReport report, gpointer user_data);

G_END_DECLS
