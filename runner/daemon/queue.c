/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "daemon-private.h"

#include <string.h>

struct _DerushDaemonQueue {
  DerushDaemon *daemon;
  char *name;
  guint concurrency;
  DerushBullmqWorker *worker;
  GPtrArray *slots;      /* made as they are needed, then kept */
  GHashTable *stopped;   /* of those: what gets no job */
  gboolean paused;       /* in this daemon only */
  GPtrArray *jobs;       /* those that run */
  GHashTable *cancelled; /* ids of those that are being looked for, to fail them */
  gboolean started;

  GFunc closed;
  gpointer closed_data;
};

static void
on_job_ended (DerushDaemonJob *job, gpointer user_data)
{
  DerushDaemonQueue *queue = user_data;

  g_ptr_array_remove_fast (queue->jobs, job);
}

static void
on_job (DerushBullmqJob *bullmq_job, gpointer user_data)
{
  DerushDaemonQueue *queue = user_data;
  DerushDaemonJob *job = derush_daemon_job_start (queue->daemon, queue, bullmq_job, on_job_ended, queue);

  if (job)
    g_ptr_array_add (queue->jobs, job);
}

DerushDaemonQueue *
derush_daemon_queue_new (DerushDaemon *daemon, const DerushRedisAddress *address, const DerushQueueSetting *setting)
{
  DerushDaemonQueue *queue = g_new0 (DerushDaemonQueue, 1);
  DerushConfig *config = daemon->config;
  DerushBullmqWorkerOptions options = {
      .prefix = derush_config_get_string (config, "BULLMQ_PREFIX"),
      .queue = setting->name,
      .concurrency = setting->concurrency,
      .lock_duration = derush_config_get_int (config, "WORKER_LOCK_DURATION"),
      .stalled_interval = derush_config_get_int (config, "WORKER_STALLED_INTERVAL"),
      .max_stalled_count = derush_config_get_int (config, "WORKER_MAX_STALLED_COUNT"),
      .max_metrics = derush_config_get_int (config, "WORKER_METRICS_MAX"),
      .limiter_max = derush_config_get_int (config, "WORKER_LIMITER_MAX"),
      .limiter_duration = derush_config_get_int (config, "WORKER_LIMITER_DURATION"),
  };

  queue->daemon = daemon;
  queue->name = g_strdup (setting->name);
  queue->concurrency = setting->concurrency;
  queue->slots = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_slot_free);
  queue->stopped = g_hash_table_new (NULL, NULL);
  queue->jobs = g_ptr_array_new ();
  queue->cancelled = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  queue->worker = derush_bullmq_worker_new (address, &options, on_job, queue);
  return queue;
}

void
derush_daemon_queue_free (DerushDaemonQueue *queue)
{
  /* What still runs at a forced end is cancelled here and told to BullMQ while there is a worker to tell. */
  g_ptr_array_unref (queue->slots);
  while (queue->jobs->len > 0)
    g_main_context_iteration (NULL, TRUE);
  derush_bullmq_worker_free (queue->worker);
  g_ptr_array_unref (queue->jobs);
  g_hash_table_unref (queue->cancelled);
  g_hash_table_unref (queue->stopped);
  g_free (queue->name);
  g_free (queue);
}

void
derush_daemon_queue_start (DerushDaemonQueue *queue)
{
  queue->started = TRUE;
  derush_bullmq_worker_start (queue->worker);
}

static void
on_closed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  DerushDaemonQueue *queue = user_data;

  /* Freed before it was closed, at a forced end: nobody waits any more. */
  if (derush_bullmq_worker_close_finish (queue->worker, result, NULL))
    queue->closed (queue, queue->closed_data);
}

void
derush_daemon_queue_close (DerushDaemonQueue *queue, GFunc closed, gpointer user_data)
{
  queue->closed = closed;
  queue->closed_data = user_data;
  derush_bullmq_worker_close_async (queue->worker, on_closed, queue);
}

/* There is a slot for each job that is fetched: as many as may run at once, without those that were stopped. */
static void
apply_concurrency (DerushDaemonQueue *queue)
{
  guint usable = MAX (queue->concurrency, queue->slots->len) - g_hash_table_size (queue->stopped);

  derush_bullmq_worker_set_concurrency (queue->worker, MIN (queue->concurrency, usable));
}

void
derush_daemon_queue_set_concurrency (DerushDaemonQueue *queue, guint concurrency)
{
  if (queue->concurrency == concurrency)
    return;
  queue->concurrency = concurrency;
  apply_concurrency (queue);
}

/* Until its process has ended may take a moment. */
static void
free_slot_in_thread (GTask *task, gpointer source, gpointer slot, GCancellable *cancellable)
{
  derush_slot_free (slot);
  g_task_return_boolean (task, TRUE);
}

void
derush_daemon_queue_trim (DerushDaemonQueue *queue, guint n_slots)
{
  /* From the end, for they are named by their number. */
  while (queue->slots->len > n_slots && !derush_slot_is_busy (queue->slots->pdata[queue->slots->len - 1]) &&
         !g_hash_table_contains (queue->stopped, queue->slots->pdata[queue->slots->len - 1])) {
    g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);

    g_task_set_task_data (task, g_ptr_array_steal_index (queue->slots, queue->slots->len - 1), NULL);
    g_task_run_in_thread (task, free_slot_in_thread);
  }
}

void
derush_daemon_queue_reload (DerushDaemonQueue *queue)
{
  for (guint i = 0; i < queue->slots->len; i++)
    derush_slot_set_config (queue->slots->pdata[i], queue->daemon->config);
}

guint
derush_daemon_queue_count_running (DerushDaemonQueue *queue)
{
  return queue->jobs->len;
}

void
derush_daemon_queue_give_back (DerushDaemonQueue *queue)
{
  for (guint i = 0; i < queue->jobs->len; i++)
    derush_daemon_job_give_back (queue->jobs->pdata[i]);
}

/* A job whose steps were stopped must not wait for others that have not begun. */
static void
on_taken (const char *id, gboolean waits_for_children, gpointer user_data)
{
  DerushDaemonQueue *queue = user_data;

  g_hash_table_remove (queue->cancelled, id);
  if (waits_for_children)
    derush_bullmq_control_wake_async (queue->daemon->control, queue->name, id, NULL, NULL);
}

void
derush_daemon_queue_cancel (DerushDaemonQueue *queue, const char *queue_name, const char *id)
{
  gboolean is_mine = strcmp (queue->name, queue_name) == 0;

  for (guint i = 0; i < queue->jobs->len; i++) {
    DerushDaemonJob *job = queue->jobs->pdata[i];

    if (derush_daemon_job_is (job, queue_name, id)) {
      derush_daemon_job_cancel (job);
      is_mine &= derush_daemon_job_is_step (job);
    }
  }
  if (!is_mine || !queue->started || queue->closed)
    return;
  g_hash_table_add (queue->cancelled, g_strdup (id));
  derush_bullmq_worker_take (queue->worker, id, on_taken, queue);
}

gboolean
derush_daemon_queue_cancels (DerushDaemonQueue *queue, const char *id)
{
  return g_hash_table_contains (queue->cancelled, id);
}

static DerushSlot *
add_slot (DerushDaemonQueue *queue)
{
  g_autofree char *name = g_strdup_printf ("%s-%u", queue->name, queue->slots->len + 1);
  DerushSlot *slot = derush_slot_new (queue->daemon->config, name);

  derush_slot_set_lasting (slot, TRUE);
  g_ptr_array_add (queue->slots, slot);
  return slot;
}

DerushSlot *
derush_daemon_queue_take_slot (DerushDaemonQueue *queue)
{
  for (guint i = 0; i < queue->slots->len; i++)
    if (!derush_slot_is_busy (queue->slots->pdata[i]) &&
        !g_hash_table_contains (queue->stopped, queue->slots->pdata[i]))
      return queue->slots->pdata[i];
  return add_slot (queue);
}

const char *
derush_daemon_queue_get_name (DerushDaemonQueue *queue)
{
  return queue->name;
}

guint
derush_daemon_queue_get_concurrency (DerushDaemonQueue *queue)
{
  return queue->concurrency;
}

guint
derush_daemon_queue_get_n_running (DerushDaemonQueue *queue)
{
  return queue->jobs->len;
}

void
derush_daemon_queue_measure (DerushDaemonQueue *queue, guint *running, guint *busy, gint64 *memory, gint64 *peak)
{
  *running = derush_bullmq_worker_get_running (queue->worker);
  *busy = 0;
  *memory = *peak = 0;
  for (guint i = 0; i < queue->slots->len; i++) {
    DerushSlotStatus status;

    if (!derush_slot_is_busy (queue->slots->pdata[i]))
      continue;
    derush_slot_get_status (queue->slots->pdata[i], &status);
    *memory += status.memory;
    *peak = MAX (*peak, status.memory);
    ++*busy;
  }
}

static DerushDaemonJob *
job_on (DerushDaemonQueue *queue, DerushSlot *slot)
{
  for (guint i = 0; i < queue->jobs->len; i++)
    if (derush_daemon_job_get_slot (queue->jobs->pdata[i]) == slot)
      return queue->jobs->pdata[i];
  return NULL;
}

static const char *
state_of (DerushDaemonQueue *queue, DerushSlot *slot, const DerushSlotStatus *status)
{
  if (!status->busy && g_hash_table_contains (queue->stopped, slot))
    return "stopped";
  if (status->failing)
    return "failing";
  return status->starting ? "starting" : status->busy ? "active" : "idle";
}

void
derush_daemon_queue_foreach_worker (DerushDaemonQueue *queue, DerushDaemonWorkerFunc func, gpointer user_data)
{
  /* Those that were never needed are there all the same. */
  for (guint i = 0; i < MAX (queue->concurrency, queue->slots->len); i++) {
    DerushSlot *slot = i < queue->slots->len ? queue->slots->pdata[i] : NULL;
    DerushDaemonJob *job = slot ? job_on (queue, slot) : NULL;
    g_autofree char *name = g_strdup_printf ("%s-%u", queue->name, i + 1);
    g_autofree char *error = slot ? derush_slot_get_start_error (slot) : NULL;
    DerushDaemonWorker worker = {.name = name, .queue = queue->name, .state = "idle", .error = error};

    if (slot) {
      derush_slot_get_status (slot, &worker.slot);
      worker.state = state_of (queue, slot, &worker.slot);
      worker.stopping = worker.slot.busy && g_hash_table_contains (queue->stopped, slot);
    }
    worker.job = job ? derush_daemon_job_get_id (job) : NULL;
    func (&worker, user_data);
  }
}

/* ── What operators order ───────────────────────────────────────────────── */

/* The slot @name, made if it was never needed; NULL: the queue has none of this name. */
static DerushSlot *
find_slot (DerushDaemonQueue *queue, const char *name)
{
  const char *rest = g_str_has_prefix (name, queue->name) ? name + strlen (queue->name) : "";
  guint64 number;

  if (*rest != '-' || rest[1] == '0' ||
      !g_ascii_string_to_unsigned (rest + 1, 10, 1, MAX (MAX (queue->concurrency, queue->slots->len), 1), &number,
                                   NULL))
    return NULL;
  while (queue->slots->len < number)
    add_slot (queue);
  return queue->slots->pdata[number - 1];
}

gboolean
derush_daemon_queue_command_worker (DerushDaemonQueue *queue, const char *name, DerushDaemonWorkerCommand command,
                                    gboolean at_once, gboolean *waits)
{
  DerushSlot *slot = find_slot (queue, name);
  DerushDaemonJob *job = slot ? job_on (queue, slot) : NULL;

  if (!slot)
    return FALSE;
  switch (command) {
  case DERUSH_DAEMON_WORKER_START:
    if (g_hash_table_remove (queue->stopped, slot))
      derush_slot_prepare (slot);
    break;
  case DERUSH_DAEMON_WORKER_STOP:
    if (g_hash_table_add (queue->stopped, slot))
      derush_slot_restart (slot, FALSE);
    break;
  case DERUSH_DAEMON_WORKER_RESTART:
    g_hash_table_remove (queue->stopped, slot);
    derush_slot_restart (slot, TRUE);
    break;
  }
  apply_concurrency (queue);
  if (job && at_once && command != DERUSH_DAEMON_WORKER_START)
    derush_daemon_job_give_back (job);
  *waits = derush_slot_is_busy (slot) && !at_once;
  return TRUE;
}

void
derush_daemon_queue_set_paused (DerushDaemonQueue *queue, gboolean paused)
{
  queue->paused = paused;
  if (paused)
    derush_bullmq_worker_pause (queue->worker);
  else
    derush_bullmq_worker_resume (queue->worker);
}

gboolean
derush_daemon_queue_is_paused (DerushDaemonQueue *queue)
{
  return queue->paused;
}
