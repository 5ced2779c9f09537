/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bullmq/bullmq.h"
#include "http/http.h"
#include "results/results.h"
#include "steps/steps.h"
#include "transfer/transfer.h"
#include "webhooks/webhooks.h"
#include "workflow/workflow.h"

G_BEGIN_DECLS

#define DERUSH_DAEMON_ERROR (derush_daemon_error_quark ())
GQuark derush_daemon_error_quark (void);

typedef struct _DerushDaemonQueue DerushDaemonQueue;
typedef struct _DerushDaemonGovernor DerushDaemonGovernor;

/**
 * DerushDaemon:
 * @config: the settings
 * @store: where results go
 * @roots: (nullable) (array zero-terminated=1): the folders of the jobs; %NULL: no limit
 * @flags: how strictly data is read
 * @address: of Redis
 * @control: what is said beside the queues
 * @clients: queues as a producer sees them, by name
 * @learned: the file of how long steps of workflows take
 * @governor: says how many jobs may run at once
 * @webhooks: tells other servers what has ended
 */
typedef struct {
  DerushConfig *config;
  DerushStore *store;
  GStrv roots;
  DerushPlanFlags flags;
  DerushRedisAddress *address;
  DerushBullmqControl *control;
  GHashTable *clients;
  char *learned;
  DerushDaemonGovernor *governor;
  DerushWebhooks *webhooks;
} DerushDaemon;

/* The queue @name as a producer sees it; made when it is first wanted. */
DerushBullmqQueue *derush_daemon_get_queue (DerushDaemon *daemon, const char *name);

/* ── Settings ───────────────────────────────────────────────────────────── */

/**
 * DerushQueueSetting:
 * @name: of the queue
 * @minimum: jobs at once when little is to be done
 * @concurrency: jobs at once when much is
 */
typedef struct {
  char *name;
  guint minimum;
  guint concurrency;
} DerushQueueSetting;

void derush_queue_setting_free (DerushQueueSetting *setting);

/* The queues of DERUSH_QUEUES: (element-type DerushQueueSetting), at least one. */
GPtrArray *derush_queue_settings_new (DerushConfig *config, GError **error);

/* Whether what @fresh changes against @held can be changed while the daemon runs; @error names what cannot. */
gboolean derush_settings_can_follow (DerushConfig *held, DerushConfig *fresh, GError **error);

/* ── systemd ────────────────────────────────────────────────────────────── */

void derush_daemon_notify (const char *text);
guint derush_daemon_watchdog_interval (void);

/* ── A queue and its slots ──────────────────────────────────────────────── */

DerushDaemonQueue *derush_daemon_queue_new (DerushDaemon *daemon, const DerushRedisAddress *address,
                                            const DerushQueueSetting *setting);
void derush_daemon_queue_free (DerushDaemonQueue *queue);
void derush_daemon_queue_start (DerushDaemonQueue *queue);

/* Fetches nothing more; @closed is called once the last job has ended. */
void derush_daemon_queue_close (DerushDaemonQueue *queue, GFunc closed, gpointer user_data);

/* How many jobs may run at once from now on. */
void derush_daemon_queue_set_concurrency (DerushDaemonQueue *queue, guint concurrency);

/* Ends workers that do nothing, so that no more than @n_slots are left. */
void derush_daemon_queue_trim (DerushDaemonQueue *queue, guint n_slots);

/* The settings of the daemon are others now. */
void derush_daemon_queue_reload (DerushDaemonQueue *queue);

guint derush_daemon_queue_count_running (DerushDaemonQueue *queue);

/* Stops the running jobs and gives them back to the queue. */
void derush_daemon_queue_give_back (DerushDaemonQueue *queue);

/* Stops the job @id, if it is run here, or the steps of the workflow that it is; if it waits in this queue, it fails now. */
void derush_daemon_queue_cancel (DerushDaemonQueue *queue, const char *queue_name, const char *id);

/* Whether the job @id, that has just come, is to be cancelled. */
gboolean derush_daemon_queue_cancels (DerushDaemonQueue *queue, const char *id);

const char *derush_daemon_queue_get_name (DerushDaemonQueue *queue);
guint derush_daemon_queue_get_concurrency (DerushDaemonQueue *queue);
guint derush_daemon_queue_get_n_running (DerushDaemonQueue *queue);

/* The jobs that are held, how many of them keep a worker busy, and what those have in memory: all of them, and the largest. */
void derush_daemon_queue_measure (DerushDaemonQueue *queue, guint *running, guint *busy, gint64 *memory, gint64 *peak);

/**
 * DerushDaemonWorker:
 * @name: as people call it, such as `video-processing-1`
 * @queue: whose jobs it does
 * @state: idle, active, starting, failing or stopped
 * @stopping: whether it is stopped after the job that it does
 * @job: (nullable): the id of that
 * @error: (nullable): why it could not be started
 * @slot: the rest
 */
typedef struct {
  const char *name;
  const char *queue;
  const char *state;
  gboolean stopping;
  const char *job;
  const char *error;
  DerushSlotStatus slot;
} DerushDaemonWorker;

typedef void (*DerushDaemonWorkerFunc) (const DerushDaemonWorker *worker, gpointer user_data);
void derush_daemon_queue_foreach_worker (DerushDaemonQueue *queue, DerushDaemonWorkerFunc func, gpointer user_data);

typedef enum {
  DERUSH_DAEMON_WORKER_START,
  DERUSH_DAEMON_WORKER_STOP,
  DERUSH_DAEMON_WORKER_RESTART,
} DerushDaemonWorkerCommand;

/* FALSE: there is no worker @name. @at_once: a job that it does is given back, else it ends first; *@waits: it does. */
gboolean derush_daemon_queue_command_worker (DerushDaemonQueue *queue, const char *name,
                                             DerushDaemonWorkerCommand command, gboolean at_once, gboolean *waits);

/* Whether this daemon takes jobs of the queue; other daemons are not concerned. */
void derush_daemon_queue_set_paused (DerushDaemonQueue *queue, gboolean paused);
gboolean derush_daemon_queue_is_paused (DerushDaemonQueue *queue);

/* A slot that is free. */
DerushSlot *derush_daemon_queue_take_slot (DerushDaemonQueue *queue);

/* ── A job ──────────────────────────────────────────────────────────────── */

typedef struct _DerushDaemonJob DerushDaemonJob;

typedef void (*DerushDaemonJobEnded) (DerushDaemonJob *job, gpointer user_data);

/* Does the job, and calls @ended at its end, unless it ended at once: then it answers NULL. */
DerushDaemonJob *derush_daemon_job_start (DerushDaemon *daemon, DerushDaemonQueue *queue, DerushBullmqJob *bullmq_job,
                                          DerushDaemonJobEnded ended, gpointer user_data);
void derush_daemon_job_give_back (DerushDaemonJob *job);
gboolean derush_daemon_job_is_step (DerushDaemonJob *job);
gboolean derush_daemon_job_is (DerushDaemonJob *job, const char *queue, const char *id);
void derush_daemon_job_cancel (DerushDaemonJob *job);
DerushSlot *derush_daemon_job_get_slot (DerushDaemonJob *job);
const char *derush_daemon_job_get_id (DerushDaemonJob *job);

/* ── Metrics ────────────────────────────────────────────────────────────── */

/* What Prometheus is told of jobs. @type: (nullable): the job's type, or the name that stands in its place. */
void derush_daemon_metrics_job_taken (DerushBullmqJob *job);
void derush_daemon_metrics_job_runs (DerushBullmqJob *job, const char *type, gboolean runs);
void derush_daemon_metrics_job_ended (DerushBullmqJob *job, const char *type, const char *state, gint64 duration_ms);
void derush_daemon_metrics_job_failed (DerushBullmqJob *job, const char *type, DerushErrorClass error_class,
                                       gboolean will_retry, gint64 duration_ms);

/* Told of every attempt that ends here; @state as in the metric derush_jobs_total. */
typedef void (*DerushDaemonEndedFunc) (DerushBullmqJob *job, const char *type, const char *state, gint64 duration_ms,
                                       gpointer user_data);
void derush_daemon_metrics_listen (DerushDaemonEndedFunc func, gpointer user_data);

/* Looks at the queues of @settings (element-type DerushQueueSetting) and at the disk every few seconds. */
typedef struct _DerushDaemonMetrics DerushDaemonMetrics;
DerushDaemonMetrics *derush_daemon_metrics_new (DerushDaemon *daemon, GPtrArray *settings);
void derush_daemon_metrics_set_concurrency (const char *queue, guint concurrency);
/* Jobs that could begin, as Redis last said. */
guint derush_daemon_metrics_get_waiting (DerushDaemonMetrics *metrics, const char *queue);
void derush_daemon_metrics_free (DerushDaemonMetrics *metrics);

/* ── How many jobs at once ──────────────────────────────────────────────── */

/* From now on, and with @settings (element-type DerushQueueSetting), that belong to @queues (element-type
 * DerushDaemonQueue) in their order. */
DerushDaemonGovernor *derush_daemon_governor_new (DerushDaemon *daemon, GPtrArray *queues, GPtrArray *settings,
                                                  DerushDaemonMetrics *metrics);
void derush_daemon_governor_reload (DerushDaemonGovernor *governor, GPtrArray *settings);
JsonObject *derush_daemon_governor_describe (DerushDaemonGovernor *governor);

/* Calls @begin when a job of @queue that was fetched may begin its work, or is cancelled: now or soon. */
void derush_daemon_governor_enter (DerushDaemonGovernor *governor, DerushDaemonQueue *queue, GCancellable *cancellable,
                                   void (*begin) (gpointer user_data), gpointer user_data);
/* What has begun has ended. */
void derush_daemon_governor_leave (DerushDaemonGovernor *governor, gpointer user_data);
void derush_daemon_governor_free (DerushDaemonGovernor *governor);

/* ── Webhooks ───────────────────────────────────────────────────────────── */

/**
 * DerushEnded:
 * @type: (nullable): the job's type
 * @plan: (nullable): what was made of its data
 * @value: (nullable): what it returns; %NULL: it failed
 * @reason: (nullable): why it failed, as Redis has it
 * @error_class: of the failure
 * @duration: of the last attempt, in ms
 */
typedef struct {
  const char *type;
  DerushPlan *plan;
  JsonObject *value;
  const char *reason;
  DerushErrorClass error_class;
  gint64 duration;
} DerushEnded;

/* Before Redis is told: what is told twice can be told apart, what is told to nobody is lost. */
void derush_daemon_tell (DerushDaemon *daemon, DerushBullmqJob *job, const DerushEnded *ended);

/* ── What goes ──────────────────────────────────────────────────────────── */

/* Removes in a thread what is beyond its time or quota. */
void derush_daemon_sweep (DerushDaemon *daemon);

/*
 * Removes what there is of a video or a user: `{video | user, dryRun}`. The task, whose source is nothing, is given
 * `{dryRun, complete, jobs, files, bytes, rows, redisJobs, analyses, kept}`.
 */
void derush_daemon_purge (DerushDaemon *daemon, GPtrArray *queues, JsonObject *arguments, GTask *task);

/* ── Rows against Redis ─────────────────────────────────────────────────── */

/* Mends rows of jobs that have ended while nobody could say so. */
typedef struct _DerushDaemonReconcile DerushDaemonReconcile;
DerushDaemonReconcile *derush_daemon_reconcile_new (DerushDaemon *daemon, GStrv queues);
void derush_daemon_reconcile_run (DerushDaemonReconcile *reconcile);
void derush_daemon_reconcile_free (DerushDaemonReconcile *reconcile);

/* ── HTTP ───────────────────────────────────────────────────────────────── */

/**
 * DerushDaemonProgram:
 * @reload: reads the settings again
 * @end: takes nothing more and ends: once the running jobs have ended, or, without @patient, as SIGTERM does it
 * @user_data: for both
 *
 * What the whole program can be told to do.
 */
typedef struct {
  gboolean (*reload) (gpointer user_data, GError **error);
  void (*end) (gboolean patient, gpointer user_data);
  gpointer user_data;
} DerushDaemonProgram;

/* What is told of the daemon over HTTP, and the server, unless DERUSH_HTTP_ADDRESS is off. @queues: (element-type
 * DerushDaemonQueue). *@started is to be freed even after an error. */
typedef struct _DerushDaemonBackend DerushDaemonBackend;
gboolean derush_daemon_backend_start (DerushDaemon *daemon, GPtrArray *queues, const DerushDaemonProgram *program,
                                      DerushDaemonBackend **started, GError **error);
void derush_daemon_backend_set_draining (DerushDaemonBackend *backend);
void derush_daemon_backend_free (DerushDaemonBackend *backend);

/* Orders (command.c): verbs and arguments as data/openapi.json has them. */
void derush_daemon_command_async (DerushDaemon *daemon, GPtrArray *queues, const DerushDaemonProgram *program,
                                  const char *verb, JsonObject *arguments, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
JsonObject *derush_daemon_command_finish (GAsyncResult *result, GError **error);

/* ── Health (health.c) ──────────────────────────────────────────────────── */

/* Looks at the disks every few seconds, in a thread: one that hangs holds up nobody. */
typedef struct _DerushDaemonDisk DerushDaemonDisk;
DerushDaemonDisk *derush_daemon_disk_new (DerushDaemon *daemon);
void derush_daemon_disk_free (DerushDaemonDisk *disk);

JsonObject *derush_daemon_describe_workers (GPtrArray *queues);

/* @uptime: of the daemon, in s */
JsonObject *derush_daemon_get_health (DerushDaemon *daemon, GPtrArray *queues, DerushDaemonDisk *disk, double uptime);

/* ── A workflow ─────────────────────────────────────────────────────────── */

/* The member of the data of a job WORKFLOW_EXECUTION that says how far it is. */
#define DERUSH_WORKFLOW_STATE "workflowState"

/* The option of a job that is a step of a workflow; its value is the step's id. */
#define DERUSH_STEP_OPTION "workflowStep"

/* Does what can be done of the workflow now; then its job has ended, or waits in Redis. */
void derush_daemon_workflow_start (DerushDaemon *daemon, DerushBullmqJob *job, DerushPlan *plan);

/* The queue for the steps of @job_type of a workflow that came from @queue. */
const char *derush_daemon_route (const char *queue, const char *job_type);

/* The class of a step's failure, for the stack of its job, where the workflow finds it. */
char *derush_daemon_step_describe_class (DerushErrorClass error_class, const char *debug);
gboolean derush_daemon_step_read_class (JsonObject *job, DerushErrorClass *error_class);

/* Says on the workflow's job how far the whole is, now that a step has got further. */
double derush_daemon_workflow_read_progress (JsonObject *job);
void derush_daemon_workflow_report (DerushDaemon *daemon, DerushBullmqJob *step);

G_END_DECLS
