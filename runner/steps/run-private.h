/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "steps/process-private.h"
#include "steps/scratch-private.h"

G_BEGIN_DECLS

/* What a slot's thread owns. */
typedef struct {
  DerushConfig *config;
  const char *name; /* (nullable): of the worker, for people */
  DerushScratch *scratch;
  DerushProcess *process;
  guint failed_starts; /* in a row */
  gint64 start_after;  /* no earlier, by the monotonic clock */
  int pid;             /* of the process, or 0; read by other threads */
  GMutex lock;         /* of what follows up to @refused */
  gint64 started;      /* the process, by the monotonic clock */
  gint64 heard;        /* when it last said anything, in ms since 1970 */
  guint starts;        /* of processes, that succeeded */
  guint refused;       /* as @failed_starts, for other threads */
  int keep;            /* whether the job that runs comes back though it is cancelled; set by other threads */
} DerushRunner;

typedef void (*DerushRunReport) (const char *step, double progress, gpointer user_data);

gboolean derush_runner_ensure_process (DerushRunner *runner, GCancellable *cancellable, char **debug, GError **error);
/* Replaces a worker that died, grew too large or too old. */
void derush_runner_check_process (DerushRunner *runner);
/* The worker has said something. */
void derush_runner_heard (DerushRunner *runner);
void derush_runner_drop_process (DerushRunner *runner);
void derush_runner_clear (DerushRunner *runner);

DerushOutcome *derush_runner_run (DerushRunner *runner, DerushPlan *plan, const DerushRunOptions *options,
                                  GCancellable *cancellable, DerushRunReport report, gpointer user_data);

G_END_DECLS
