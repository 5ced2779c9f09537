/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bullmq/bullmq.h"
#include "results/results.h"
#include "steps/steps.h"

G_BEGIN_DECLS

#define DERUSH_DAEMON_ERROR (derush_daemon_error_quark ())
GQuark derush_daemon_error_quark (void);

typedef struct _DerushDaemonQueue DerushDaemonQueue;

/**
 * DerushDaemon:
 * @config: the settings
 * @store: where results go
 * @roots: (nullable) (array zero-terminated=1): the folders of the jobs; %NULL: no limit
 * @flags: how strictly data is read
 */
typedef struct {
  DerushConfig *config;
  DerushStore *store;
  GStrv roots;
  DerushPlanFlags flags;
} DerushDaemon;

/* ── Settings ───────────────────────────────────────────────────────────── */

typedef struct {
  char *name;
  guint concurrency;
} DerushQueueSetting;

void derush_queue_setting_free (DerushQueueSetting *setting);

/* The queues of DERUSH_QUEUES: (element-type DerushQueueSetting), at least one. */
GPtrArray *derush_queue_settings_new (DerushConfig *config, GError **error);

/* ── A queue and its slots ──────────────────────────────────────────────── */

DerushDaemonQueue *derush_daemon_queue_new (DerushDaemon *daemon, const DerushRedisAddress *address,
                                            const DerushQueueSetting *setting);
void derush_daemon_queue_free (DerushDaemonQueue *queue);
void derush_daemon_queue_start (DerushDaemonQueue *queue);

/* Fetches nothing more; @closed is called once the last job has ended. */
void derush_daemon_queue_close (DerushDaemonQueue *queue, GFunc closed, gpointer user_data);

/* Stops the running jobs and gives them back to the queue. */
void derush_daemon_queue_give_back (DerushDaemonQueue *queue);

/* A slot that is free. */
DerushSlot *derush_daemon_queue_take_slot (DerushDaemonQueue *queue);

/* ── A job ──────────────────────────────────────────────────────────────── */

typedef struct _DerushDaemonJob DerushDaemonJob;

typedef void (*DerushDaemonJobEnded) (DerushDaemonJob *job, gpointer user_data);

/* Does the job, and calls @ended at its end, unless it ended at once: then it answers NULL. */
DerushDaemonJob *derush_daemon_job_start (DerushDaemon *daemon, DerushDaemonQueue *queue, DerushBullmqJob *bullmq_job,
                                          DerushDaemonJobEnded ended, gpointer user_data);
void derush_daemon_job_give_back (DerushDaemonJob *job);

G_END_DECLS
