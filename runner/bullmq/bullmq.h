/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:bullmq
 * @title: bullmq
 * @short_description: BullMQ's worker and queue in C
 *
 * Speaks to Redis as the npm package bullmq does, by the same Lua scripts. Knows nothing of video.
 * Objects belong to the thread-default main context of the thread that made them; the keeper of the locks has a thread
 * and a connection of its own, so that nothing the process does can delay it.
 */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

#define DERUSH_BULLMQ_ERROR (derush_bullmq_error_quark ())
GQuark derush_bullmq_error_quark (void);

/**
 * DerushRedisAddress:
 * @host: name or address; resolved anew for every connection
 * @port: TCP port
 * @username: (nullable): ACL user
 * @password: (nullable): password
 * @db: number of the database
 */
typedef struct {
  char *host;
  guint16 port;
  char *username;
  char *password;
  guint db;
} DerushRedisAddress;

DerushRedisAddress *derush_redis_address_new_from_config (DerushConfig *config);
DerushRedisAddress *derush_redis_address_copy (const DerushRedisAddress *address);
JsonObject *derush_redis_check (const DerushRedisAddress *address, GError **error);
void derush_redis_address_free (DerushRedisAddress *address);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushRedisAddress, derush_redis_address_free)

/* ── A job that this process holds ──────────────────────────────────────── */

typedef struct _DerushBullmqJob DerushBullmqJob;

DerushBullmqJob *derush_bullmq_job_ref (DerushBullmqJob *job);
void derush_bullmq_job_unref (DerushBullmqJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushBullmqJob, derush_bullmq_job_unref)

const char *derush_bullmq_job_get_id (DerushBullmqJob *job);
const char *derush_bullmq_job_get_queue (DerushBullmqJob *job);
const char *derush_bullmq_job_get_name (DerushBullmqJob *job);
const char *derush_bullmq_job_get_data (DerushBullmqJob *job);
JsonObject *derush_bullmq_job_get_opts (DerushBullmqJob *job);
guint derush_bullmq_job_get_attempts_made (DerushBullmqJob *job);
guint derush_bullmq_job_get_attempts (DerushBullmqJob *job);
gint64 derush_bullmq_job_get_timestamp (DerushBullmqJob *job);

/**
 * DerushBullmqParked:
 * @times: how often the job was parked since it was added, or tried again after its end
 * @since: the first time, in ms since 1970
 * @until: the last time until when, in ms since 1970; somebody has released it, if it runs before
 */
typedef struct {
  guint times;
  gint64 since;
  gint64 until;
} DerushBullmqParked;

const DerushBullmqParked *derush_bullmq_job_get_parked (DerushBullmqJob *job);

/* Cancelled when the lock is lost: the job then belongs to somebody else and nothing of it may be published. */
GCancellable *derush_bullmq_job_get_cancellable (DerushBullmqJob *job);

/* Best effort: never fails a job. @progress_json is any JSON value. */
void derush_bullmq_job_set_progress (DerushBullmqJob *job, const char *progress_json);
void derush_bullmq_job_add_log (DerushBullmqJob *job, const char *row);

/* Each job is ended by exactly one of these. */
void derush_bullmq_job_complete (DerushBullmqJob *job, const char *returnvalue_json);
void derush_bullmq_job_fail (DerushBullmqJob *job, const char *reason, const char *stack, gboolean can_retry);
void derush_bullmq_job_give_back (DerushBullmqJob *job);
void derush_bullmq_job_delay (DerushBullmqJob *job, gint64 delay);
void derush_bullmq_job_park (DerushBullmqJob *job, gint64 delay);

void derush_bullmq_job_update_data_async (DerushBullmqJob *job, const char *data_json, GCancellable *cancellable,
                                          GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_job_update_data_finish (DerushBullmqJob *job, GAsyncResult *result, GError **error);

/* ── Children of a job that this process holds ──────────────────────────── */

/**
 * DerushBullmqChildrenWait:
 * @DERUSH_BULLMQ_CHILDREN_ERROR: the job is where it was; see the #GError
 * @DERUSH_BULLMQ_CHILDREN_WAITING: the job waits in Redis for its children and is no longer held; like one that was
 *   ended, it must not be used any more. When all its children have ended, a worker gets it anew.
 * @DERUSH_BULLMQ_CHILDREN_NONE_PENDING: all children have ended, the job is still held and goes on
 */
typedef enum {
  DERUSH_BULLMQ_CHILDREN_ERROR,
  DERUSH_BULLMQ_CHILDREN_WAITING,
  DERUSH_BULLMQ_CHILDREN_NONE_PENDING,
} DerushBullmqChildrenWait;

/* What stands for a child in what is read of the children: the key of its hash, such as `bull:queue:id`. */
char *derush_bullmq_job_get_child_key (DerushBullmqJob *job, const char *queue, const char *id);

void derush_bullmq_job_add_child_async (DerushBullmqJob *job, const char *queue, const char *name,
                                        const char *data_json, JsonObject *options, GCancellable *cancellable,
                                        GAsyncReadyCallback callback, gpointer user_data);
char *derush_bullmq_job_add_child_finish (DerushBullmqJob *job, GAsyncResult *result, GError **error);

void derush_bullmq_job_get_children_async (DerushBullmqJob *job, GCancellable *cancellable,
                                           GAsyncReadyCallback callback, gpointer user_data);
JsonObject *derush_bullmq_job_get_children_finish (DerushBullmqJob *job, GAsyncResult *result, GError **error);

void derush_bullmq_job_wait_for_children_async (DerushBullmqJob *job, GAsyncReadyCallback callback, gpointer user_data);
DerushBullmqChildrenWait derush_bullmq_job_wait_for_children_finish (DerushBullmqJob *job, GAsyncResult *result,
                                                                     GError **error);

/* ── The parent of a job that this process holds ────────────────────────── */

gboolean derush_bullmq_job_get_parent (DerushBullmqJob *job, char **queue, char **id);
void derush_bullmq_job_wake_parent (DerushBullmqJob *job);

/* ── Worker ─────────────────────────────────────────────────────────────── */

/**
 * DerushBullmqWorkerOptions:
 * @prefix: BullMQ's key prefix, such as `bull`
 * @queue: the queue's name
 * @name: (nullable): this worker's name among the clients of Redis
 * @concurrency: jobs at once
 * @lock_duration: how long a lock lives without renewal, in ms
 * @stalled_interval: time between two checks for stalled jobs, in ms
 * @max_stalled_count: how often a job may stall
 * @max_metrics: minutes of metrics kept in Redis; 0: none
 * @limiter_max: jobs in @limiter_duration; 0: no limit
 * @limiter_duration: in ms
 * @remove_on_complete: (nullable): what is kept of completed jobs where the job does not say: BullMQ's `keepJobs` object
 * @remove_on_fail: (nullable): the same for failed jobs
 */
typedef struct {
  const char *prefix;
  const char *queue;
  const char *name;
  guint concurrency;
  gint64 lock_duration;
  gint64 stalled_interval;
  guint max_stalled_count;
  guint max_metrics;
  guint limiter_max;
  gint64 limiter_duration;
  JsonObject *remove_on_complete;
  JsonObject *remove_on_fail;
} DerushBullmqWorkerOptions;

typedef struct _DerushBullmqWorker DerushBullmqWorker;

/**
 * DerushBullmqProcess:
 * @job: (transfer full): a job whose lock this process now holds; end it by derush_bullmq_job_complete(), _fail() or
 *   _give_back(), at once or later
 * @user_data: what derush_bullmq_worker_new() got
 */
typedef void (*DerushBullmqProcess) (DerushBullmqJob *job, gpointer user_data);

DerushBullmqWorker *derush_bullmq_worker_new (const DerushRedisAddress *address,
                                              const DerushBullmqWorkerOptions *options, DerushBullmqProcess process,
                                              gpointer user_data);
void derush_bullmq_worker_free (DerushBullmqWorker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushBullmqWorker, derush_bullmq_worker_free)
void derush_bullmq_worker_start (DerushBullmqWorker *worker);
void derush_bullmq_worker_set_concurrency (DerushBullmqWorker *worker, guint concurrency);
void derush_bullmq_worker_pause (DerushBullmqWorker *worker);
void derush_bullmq_worker_resume (DerushBullmqWorker *worker);

/* Fetches nothing more; calls back when the last running job has ended and Redis knows it. */
void derush_bullmq_worker_close_async (DerushBullmqWorker *worker, GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_worker_close_finish (DerushBullmqWorker *worker, GAsyncResult *result, GError **error);

/**
 * DerushBullmqTaken:
 * @id: what derush_bullmq_worker_take() got
 * @waits_for_children: whether the job waits for its children, and was left there
 * @user_data: what derush_bullmq_worker_take() got
 */
typedef void (*DerushBullmqTaken) (const char *id, gboolean waits_for_children, gpointer user_data);

void derush_bullmq_worker_take (DerushBullmqWorker *worker, const char *id, DerushBullmqTaken taken,
                                gpointer user_data);

guint derush_bullmq_worker_get_running (DerushBullmqWorker *worker);
gboolean derush_bullmq_worker_is_connected (DerushBullmqWorker *worker);

/* ── Queue: what a producer or an operator does ─────────────────────────── */

typedef struct _DerushBullmqQueue DerushBullmqQueue;

DerushBullmqQueue *derush_bullmq_queue_new (const DerushRedisAddress *address, const char *prefix, const char *name);
void derush_bullmq_queue_free (DerushBullmqQueue *queue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushBullmqQueue, derush_bullmq_queue_free)

/* Options as `queue.add()` takes them: jobId, delay, priority, lifo, attempts, backoff, removeOnComplete, … */
void derush_bullmq_queue_add_async (DerushBullmqQueue *queue, const char *name, const char *data_json,
                                    JsonObject *options, GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
char *derush_bullmq_queue_add_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* {id, name, state, data, opts, progress, returnvalue, failedReason, stacktrace, attemptsMade, timestamp, processedOn,
 * finishedOn}, or NULL without an error when there is no such job. */
void derush_bullmq_queue_get_job_async (DerushBullmqQueue *queue, const char *id, GCancellable *cancellable,
                                        GAsyncReadyCallback callback, gpointer user_data);
JsonObject *derush_bullmq_queue_get_job_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* FALSE without an error: the job, or one of its unfinished children, is being run and stays. */
void derush_bullmq_queue_remove_async (DerushBullmqQueue *queue, const char *id, gboolean remove_children,
                                       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_queue_remove_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* Those that wait, in any queue; those that are being run or have ended stay. */
void derush_bullmq_queue_remove_unprocessed_children_async (DerushBullmqQueue *queue, const char *id,
                                                            GCancellable *cancellable, GAsyncReadyCallback callback,
                                                            gpointer user_data);
gboolean derush_bullmq_queue_remove_unprocessed_children_finish (DerushBullmqQueue *queue, GAsyncResult *result,
                                                                 GError **error);

/* A job that has ended waits to be run again, with all its attempts. FALSE without an error: it has not ended. */
void derush_bullmq_queue_retry_async (DerushBullmqQueue *queue, const char *id, const char *state,
                                      GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_queue_retry_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* A delayed job waits for its turn from now on. FALSE without an error: it is not delayed. */
void derush_bullmq_queue_promote_async (DerushBullmqQueue *queue, const char *id, GCancellable *cancellable,
                                        GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_queue_promote_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* What jobs have logged by `job.log()`: a row each, oldest first. */
void derush_bullmq_queue_get_logs_async (DerushBullmqQueue *queue, const char *id, guint start, guint n_rows,
                                         GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
JsonObject *derush_bullmq_queue_get_logs_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* {waiting, active, completed, failed, delayed, prioritized, waiting-children, paused (boolean), total} */
void derush_bullmq_queue_get_counts_async (DerushBullmqQueue *queue, GCancellable *cancellable,
                                           GAsyncReadyCallback callback, gpointer user_data);
JsonObject *derush_bullmq_queue_get_counts_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* What `queue.pause()` and `queue.resume()` do, for every worker of the queue; running jobs go on. */
void derush_bullmq_queue_set_paused_async (DerushBullmqQueue *queue, gboolean paused, GCancellable *cancellable,
                                           GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_queue_set_paused_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* {ids: […]}: the newest @n of the state @state, such as `completed`, `failed`, `wait`, `active` or `delayed` */
void derush_bullmq_queue_list_async (DerushBullmqQueue *queue, const char *state, guint n, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer user_data);
JsonObject *derush_bullmq_queue_list_finish (DerushBullmqQueue *queue, GAsyncResult *result, GError **error);

/* ── What happens to the jobs of queues ─────────────────────────────────── */

typedef struct _DerushBullmqEvents DerushBullmqEvents;

/**
 * DerushBullmqEventsFunc:
 * @queue: where it happened
 * @position: the id of the event in the stream of the queue
 * @event: `{event, id, …}` as BullMQ has it: `added`, `waiting`, `active`, `progress`, `completed`, `failed`, …
 * @user_data: what derush_bullmq_events_new() got
 */
typedef void (*DerushBullmqEventsFunc) (const char *queue, const char *position, JsonObject *event, gpointer user_data);
typedef void (*DerushBullmqEventsReadyFunc) (gpointer user_data);

DerushBullmqEvents *derush_bullmq_events_new (const DerushRedisAddress *address, const char *prefix,
                                              const char *const *queues, DerushBullmqEventsReadyFunc ready,
                                              DerushBullmqEventsFunc func, gpointer user_data);
void derush_bullmq_events_free (DerushBullmqEvents *events);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushBullmqEvents, derush_bullmq_events_free)
gboolean derush_bullmq_events_is_ready (DerushBullmqEvents *events);
const char *derush_bullmq_events_get_position (DerushBullmqEvents *events, guint queue);
void derush_bullmq_events_read_async (DerushBullmqEvents *events, guint queue, const char *from, guint max,
                                      GAsyncReadyCallback callback, gpointer user_data);
JsonArray *derush_bullmq_events_read_finish (GAsyncResult *result, GError **error);

/* ── What the processes of one prefix tell each other, beside BullMQ ────── */

typedef struct _DerushBullmqControl DerushBullmqControl;

/**
 * DerushBullmqControlFunc:
 * @message: such as `{"command":"cancel","queue":"…","id":"…"}`
 * @user_data: what derush_bullmq_control_listen() got
 */
typedef void (*DerushBullmqControlFunc) (JsonObject *message, gpointer user_data);

DerushBullmqControl *derush_bullmq_control_new (const DerushRedisAddress *address, const char *prefix);
void derush_bullmq_control_free (DerushBullmqControl *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushBullmqControl, derush_bullmq_control_free)
void derush_bullmq_control_listen (DerushBullmqControl *control, DerushBullmqControlFunc func, gpointer user_data);

void derush_bullmq_control_cancel_async (DerushBullmqControl *control, const char *queue, const char *id,
                                         GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_control_cancel_finish (DerushBullmqControl *control, GAsyncResult *result, GError **error);
void derush_bullmq_control_is_cancelled_async (DerushBullmqControl *control, const char *queue, const char *id,
                                               GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_control_is_cancelled_finish (DerushBullmqControl *control, GAsyncResult *result, GError **error);
void derush_bullmq_control_forget_cancel (DerushBullmqControl *control, const char *queue, const char *id);

void derush_bullmq_control_claim_async (DerushBullmqControl *control, const char *name, const char *owner,
                                        const char *instead_of, GAsyncReadyCallback callback, gpointer user_data);
char *derush_bullmq_control_claim_finish (DerushBullmqControl *control, GAsyncResult *result, GError **error);
void derush_bullmq_control_leave (DerushBullmqControl *control, const char *name, const char *owner);
void derush_bullmq_control_list_async (DerushBullmqControl *control, GAsyncReadyCallback callback, gpointer user_data);
JsonObject *derush_bullmq_control_list_finish (DerushBullmqControl *control, GAsyncResult *result, GError **error);

void derush_bullmq_control_has_worker_async (DerushBullmqControl *control, const char *queue,
                                             GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_control_has_worker_finish (DerushBullmqControl *control, const char *queue, GAsyncResult *result,
                                                  GError **error);
void derush_bullmq_control_set_progress (DerushBullmqControl *control, const char *queue, const char *id,
                                         const char *progress_json);
void derush_bullmq_control_wake_async (DerushBullmqControl *control, const char *queue, const char *id,
                                       GAsyncReadyCallback callback, gpointer user_data);
gboolean derush_bullmq_control_wake_finish (DerushBullmqControl *control, GAsyncResult *result, GError **error);

G_END_DECLS
