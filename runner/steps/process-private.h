/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "steps/steps.h"

G_BEGIN_DECLS

/* The workers of a slot: one for films and sounds, one for what models are asked. */
typedef enum {
  DERUSH_WORKER_MEDIA,
  DERUSH_WORKER_MODEL,
} DerushWorkerKind;

#define DERUSH_N_WORKERS 2

/* A worker process, seen from the thread that started it; not to be used by any other. */
typedef struct _DerushProcess DerushProcess;

/**
 * DerushProcessWatch:
 * @cancellable: (nullable): ends the request
 * @deadline: when the request is to end, by the monotonic clock; 0: never
 * @stall: µs without progress after which the request is given up
 * @heartbeat: µs after which a worker that does not answer is killed
 * @memory_limit: bytes at which the worker is killed
 * @cpu_limit: µs of processor time that the request may take
 * @job_id: for the log lines
 * @queue: (nullable): for the log lines
 * @step: for the log lines
 * @attempt: for the log lines
 * @job_type: for the log lines
 * @workflow_id: (nullable): for the log lines
 * @correlation_id: (nullable): for the log lines
 * @heard: called when the worker says anything
 * @progress: called with the step's progress
 * @warning: called with a line for people
 */
typedef struct {
  GCancellable *cancellable;
  gint64 deadline;
  gint64 stall;
  gint64 heartbeat;
  gint64 memory_limit;
  gint64 cpu_limit;
  const char *job_id;
  const char *queue;
  const char *step;
  guint attempt;
  const char *job_type;
  const char *workflow_id;
  const char *correlation_id;
  void (*heard) (gpointer user_data);
  void (*progress) (double progress, gpointer user_data);
  void (*warning) (const char *message, gpointer user_data);
  gpointer user_data;
} DerushProcessWatch;

DerushProcess *derush_process_start (DerushWorkerKind kind, DerushConfig *config, const char *home,
                                     const char *const *more, GCancellable *cancellable, char **debug, GError **error);
void derush_process_free (DerushProcess *process);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushProcess, derush_process_free)

JsonObject *derush_process_request (DerushProcess *process, JsonObject *request, const int *fds, guint n_fds,
                                    const DerushProcessWatch *watch, char **debug, GError **error);

GPid derush_process_get_pid (DerushProcess *process);
gint64 derush_process_get_memory (DerushProcess *process);
gint64 derush_process_memory_of (GPid pid);
gint64 derush_process_get_age (DerushProcess *process);

/* FALSE once it has ended or been killed. */
gboolean derush_process_is_alive (DerushProcess *process);

/* What to poll while it idles; then derush_process_look() reads what came. */
guint derush_process_get_pollfds (DerushProcess *process, GPollFD *fds);
gboolean derush_process_look (DerushProcess *process);

/* Whether it still answers and keeps to its memory while it idles; a worker that does not is killed. */
gboolean derush_process_check_idle (DerushProcess *process, gint64 heartbeat, gint64 memory_limit, GError **error);

G_END_DECLS
