/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "results-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* What may wait for a database that is away; beyond it the oldest goes. */
#define MAX_WAITING_BYTES (64 * 1024 * 1024)
/* Operations in one transaction: one commit for many small rows, and a lock that is never held long. */
#define MAX_BATCH 64
#define FIRST_PAUSE_MS 100
#define LAST_PAUSE_MS 5000
#define READ_TIMEOUT_S 5

/*
 * Operation: what belongs together, written in one transaction
 *   job_id  of a progress that a newer one may replace; NULL otherwise
 *   select  of a question: what to ask; @row and @error are the answer once @done
 */
typedef struct {
  gatomicrefcount references;
  char *job_id;
  GPtrArray *statements;
  gsize size;
  Statement *select;
  gboolean done;
  GPtrArray *row;
  GError *error;
} Operation;

struct _DerushStore {
  gatomicrefcount references;
  guint collector;
  Database *database; /* of the thread, once it runs */
  GThread *thread;
  GMutex lock;
  GCond changed;
  /* Under the lock: */
  GQueue waiting;
  GHashTable *progress; /* job id → link of its waiting progress */
  gsize waiting_bytes;
  guint64 dropped;
  guint writing;      /* operations that the thread is at */
  gboolean stopping;  /* end when everything is written */
  gboolean abandoned; /* end now */
  char *trouble;      /* why the database is not written, if it is not */
  char *last_trouble; /* why it is not written, or was not the last time */
};

/* ── Metrics ────────────────────────────────────────────────────────────── */

static DerushMetric *
lost_operations (void)
{
  return derush_metrics_counter ("derush_store_lost_operations_total",
                                 "Changes of jobs that the database will never see.", NULL);
}

static void
collect_metrics (gpointer user_data)
{
  DerushStore *store = user_data;
  DerushMetric *up = derush_metrics_gauge ("derush_store_up", "Whether the result store can be written: 1 or 0.", NULL),
               *operations = derush_metrics_gauge ("derush_store_waiting_operations",
                                                   "Changes of jobs that wait to be written to the database.", NULL),
               *bytes =
                   derush_metrics_gauge ("derush_store_waiting_bytes", "Size of what waits for the database.", NULL);

  g_mutex_lock (&store->lock);
  derush_metric_set (up, store->trouble == NULL, NULL);
  derush_metric_set (operations, store->waiting.length + store->writing, NULL);
  derush_metric_set (bytes, store->waiting_bytes, NULL);
  g_mutex_unlock (&store->lock);
}

/* ── Operations ─────────────────────────────────────────────────────────── */

static Operation *
operation_new (GPtrArray *statements, Statement *select)
{
  Operation *operation = g_new0 (Operation, 1);

  g_atomic_ref_count_init (&operation->references);
  operation->statements = statements;
  operation->select = select;
  operation->size = sizeof *operation;
  for (guint i = 0; statements && i < statements->len; i++)
    operation->size += statement_get_size (g_ptr_array_index (statements, i));
  return operation;
}

static void
operation_unref (Operation *operation)
{
  if (!g_atomic_ref_count_dec (&operation->references))
    return;
  g_free (operation->job_id);
  g_clear_pointer (&operation->statements, g_ptr_array_unref);
  g_clear_pointer (&operation->select, statement_free);
  g_clear_pointer (&operation->row, g_ptr_array_unref);
  g_clear_error (&operation->error);
  g_free (operation);
}

/* Takes the link out of the queue. Called with the lock. */
static void
forget (DerushStore *store, GList *link)
{
  Operation *operation = link->data;

  if (operation->job_id && g_hash_table_lookup (store->progress, operation->job_id) == link)
    g_hash_table_remove (store->progress, operation->job_id);
  store->waiting_bytes -= operation->size;
  g_queue_delete_link (&store->waiting, link);
}

static void
drop_oldest (DerushStore *store)
{
  for (GList *link = store->waiting.head; link && store->waiting_bytes > MAX_WAITING_BYTES;) {
    GList *next = link->next;
    Operation *operation = link->data;

    if (!operation->select) {
      if (store->dropped++ == 0)
        derush_log (DERUSH_LOG_WARN, NULL,
                    "The result store has been away for so long that the oldest rows are given up (%s)",
                    store->trouble ? store->trouble : "it is too slow");
      derush_metric_add (lost_operations (), 1, NULL);
      forget (store, link);
      operation_unref (operation);
    }
    link = next;
  }
}

/* @job_id: (nullable): the job whose waiting progress @operation makes pointless; @operation: (transfer full) */
static void
enqueue (DerushStore *store, const char *job_id, Operation *operation)
{
  GList *link;

  g_mutex_lock (&store->lock);
  link = job_id ? g_hash_table_lookup (store->progress, job_id) : NULL;
  if (link) {
    Operation *earlier = link->data;

    forget (store, link);
    operation_unref (earlier);
  }
  g_queue_push_tail (&store->waiting, operation);
  store->waiting_bytes += operation->size;
  if (operation->job_id)
    g_hash_table_insert (store->progress, operation->job_id, store->waiting.tail);
  drop_oldest (store);
  g_cond_broadcast (&store->changed);
  g_mutex_unlock (&store->lock);
}

/* ── The thread ─────────────────────────────────────────────────────────── */

static void
set_trouble (DerushStore *store, const char *trouble)
{
  g_mutex_lock (&store->lock);
  if (trouble && !store->trouble)
    derush_log (DERUSH_LOG_WARN, NULL, "The result store is not written for now, jobs go on: %s", trouble);
  else if (!trouble && store->trouble)
    derush_log (DERUSH_LOG_INFO, NULL, "The result store is written again (%" G_GUINT64_FORMAT " operations lost)",
                store->dropped);
  if (!trouble)
    store->dropped = 0;
  g_free (store->trouble);
  store->trouble = g_strdup (trouble);
  if (trouble) {
    g_free (store->last_trouble);
    store->last_trouble = g_strdup (trouble);
  }
  g_mutex_unlock (&store->lock);
}

/* Returns: %FALSE if the thread is to end */
static gboolean
wait_before_retry (DerushStore *store, guint *pause_ms)
{
  gint64 until = g_get_monotonic_time () + *pause_ms * G_TIME_SPAN_MILLISECOND;
  gboolean go_on;

  *pause_ms = MIN (*pause_ms * 2, LAST_PAUSE_MS);
  g_mutex_lock (&store->lock);
  while (!store->abandoned && g_cond_wait_until (&store->changed, &store->lock, until))
    ;
  go_on = !store->abandoned;
  g_mutex_unlock (&store->lock);
  return go_on;
}

/* Returns: (element-type Operation): the next operations, in order; empty if the thread is to end */
static GPtrArray *
take_batch (DerushStore *store)
{
  GPtrArray *batch = g_ptr_array_new_with_free_func ((GDestroyNotify)operation_unref);

  g_mutex_lock (&store->lock);
  while (!store->abandoned && !store->stopping && store->waiting.length == 0)
    g_cond_wait (&store->changed, &store->lock);
  while (!store->abandoned && store->waiting.length > 0 && batch->len < MAX_BATCH) {
    g_ptr_array_add (batch, store->waiting.head->data);
    forget (store, store->waiting.head);
  }
  store->writing = batch->len;
  g_mutex_unlock (&store->lock);
  return batch;
}

static gboolean
run (DerushStore *store, const char *sql, Failure *failure, GError **error)
{
  return store->database->class->run (store->database, sql, failure, error);
}

static gboolean
write_statements (DerushStore *store, Operation *operation, Failure *failure, GError **error)
{
  if (operation->select) {
    g_clear_pointer (&operation->row, g_ptr_array_unref);
    return store->database->class->execute (store->database, operation->select, &operation->row, failure, error);
  }
  for (guint i = 0; i < operation->statements->len; i++)
    if (!store->database->class->execute (store->database, g_ptr_array_index (operation->statements, i), NULL, failure,
                                          error))
      return FALSE;
  return TRUE;
}

/* One operation that the database refuses must not take its neighbours with it, nor stop those behind it. */
static gboolean
write_operation (DerushStore *store, Operation *operation, Failure *failure, GError **error)
{
  g_autoptr (GError) refused = NULL;

  if (!run (store, "SAVEPOINT operation", failure, error))
    return FALSE;
  if (write_statements (store, operation, failure, &refused))
    return run (store, "RELEASE SAVEPOINT operation", failure, error);
  if (*failure == FAILURE_WAIT) {
    g_propagate_error (error, g_steal_pointer (&refused));
    return FALSE;
  }
  derush_log (DERUSH_LOG_ERROR, NULL, "A row of the result store is lost: %s", refused->message);
  if (!operation->select)
    derush_metric_add (lost_operations (), 1, NULL);
  if (operation->select && !operation->error)
    operation->error = g_steal_pointer (&refused);
  return run (store, "ROLLBACK TO SAVEPOINT operation", failure, error) &&
         run (store, "RELEASE SAVEPOINT operation", failure, error);
}

static gboolean
write_batch (DerushStore *store, GPtrArray *batch, Failure *failure, GError **error)
{
  if (!store->database->class->begin (store->database, failure, error))
    return FALSE;
  for (guint i = 0; i < batch->len; i++)
    if (!write_operation (store, g_ptr_array_index (batch, i), failure, error))
      return FALSE;
  return run (store, "COMMIT", failure, error);
}

static void
finish_batch (DerushStore *store, GPtrArray *batch)
{
  g_mutex_lock (&store->lock);
  for (guint i = 0; i < batch->len; i++)
    ((Operation *)g_ptr_array_index (batch, i))->done = TRUE;
  store->writing = 0;
  g_cond_broadcast (&store->changed);
  g_mutex_unlock (&store->lock);
}

static void
store_unref (DerushStore *store)
{
  if (!g_atomic_ref_count_dec (&store->references))
    return;
  for (GList *link = store->waiting.head; link; link = link->next)
    operation_unref (link->data);
  g_queue_clear (&store->waiting);
  g_hash_table_unref (store->progress);
  store->database->class->free (store->database);
  g_free (store->trouble);
  g_free (store->last_trouble);
  g_mutex_clear (&store->lock);
  g_cond_clear (&store->changed);
  g_free (store);
}

/* Every statement may be repeated: a connection lost in COMMIT leaves open whether the batch was written. */
static gpointer
write_thread (gpointer data)
{
  DerushStore *store = data;
  gboolean connected = store->trouble == NULL, go_on = TRUE;
  guint pause_ms = FIRST_PAUSE_MS;

  while (go_on) {
    g_autoptr (GPtrArray) batch = take_batch (store);

    if (batch->len == 0)
      break;
    for (;;) {
      g_autoptr (GError) error = NULL;
      Failure failure = FAILURE_WAIT;

      if (connected || store->database->class->connect (store->database, &failure, &error)) {
        connected = TRUE;
        if (write_batch (store, batch, &failure, &error))
          break;
      }
      store->database->class->close (store->database);
      connected = FALSE;
      set_trouble (store, error->message);
      if (!(go_on = wait_before_retry (store, &pause_ms)))
        break;
    }
    if (go_on) {
      set_trouble (store, NULL);
      pause_ms = FIRST_PAUSE_MS;
      finish_batch (store, batch);
    }
  }
  store->database->class->close (store->database);
  g_mutex_lock (&store->lock);
  store->thread = NULL;
  store->writing = 0;
  g_cond_broadcast (&store->changed);
  g_mutex_unlock (&store->lock);
  store_unref (store);
  return NULL;
}

/* ── Opening and closing ────────────────────────────────────────────────── */

static Database *
database_for (DerushConfig *config, GError **error)
{
  const char *url = derush_config_get_string (config, "DATABASE_URL");
  g_autofree char *scheme = *url ? g_uri_parse_scheme (url) : NULL, *path = NULL;
  const char *missing = NULL;

  if (*url == '\0') {
#ifdef HAVE_SQLITE
    path = g_build_filename (derush_config_get_string (config, "DERUSH_STATE_DIR"), "derush.sqlite", NULL);
    return sqlite_database_new (path);
#else
    missing = "SQLite";
#endif
  } else if (scheme &&
             (g_ascii_strcasecmp (scheme, "postgresql") == 0 || g_ascii_strcasecmp (scheme, "postgres") == 0)) {
#ifdef HAVE_POSTGRESQL
    return postgresql_database_new (url, error);
#else
    missing = "PostgreSQL";
#endif
  }
  if (missing)
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_UNSUPPORTED,
                 _ ("This build of Derush has no result store in %s; build it with that option or change DATABASE_URL"),
                 missing);
  else
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("DATABASE_URL begins with “%.20s”, but must be postgresql://… or empty for SQLite"),
                 scheme ? scheme : "");
  return NULL;
}

/**
 * derush_store_open:
 * @config: the settings; `DATABASE_URL` and `DERUSH_STATE_DIR` are read
 * @error: return location for an error
 *
 * Opens the result store and brings its tables up to date: with an empty `DATABASE_URL` the file `derush.sqlite` in
 * `DERUSH_STATE_DIR`, readable by its owner alone; with `postgresql://…` the schema that the URL names as Prisma does
 * (`?schema=`), else `public`. A schema where another program has tables of these names is left alone; the tables are
 * then in the schema `derush`.
 *
 * A database that is away for the moment is no error: rows wait until it is back.
 *
 * Returns: (transfer full) (nullable): the store, or %NULL for what waiting cannot mend, such as a bad URL, a refused
 *   password or a folder that cannot be written
 */
DerushStore *
derush_store_open (DerushConfig *config, GError **error)
{
  g_autoptr (GError) connect_error = NULL;
  Database *database = database_for (config, error);
  Failure failure = FAILURE_REFUSED;
  DerushStore *store;

  if (!database)
    return NULL;
  if (!database->class->connect (database, &failure, &connect_error) && failure == FAILURE_REFUSED) {
    g_propagate_error (error, g_steal_pointer (&connect_error));
    database->class->free (database);
    return NULL;
  }
  store = g_new0 (DerushStore, 1);
  g_atomic_ref_count_init (&store->references);
  g_atomic_ref_count_inc (&store->references); /* the thread's */
  store->database = database;
  g_mutex_init (&store->lock);
  g_cond_init (&store->changed);
  g_queue_init (&store->waiting);
  store->progress = g_hash_table_new (g_str_hash, g_str_equal);
  if (connect_error)
    set_trouble (store, connect_error->message);
  store->thread = g_thread_new ("derush-results", write_thread, store);
  g_thread_unref (store->thread);
  lost_operations ();
  store->collector = derush_metrics_add_collector (collect_metrics, store);
  return store;
}

/**
 * derush_store_close:
 * @store: (transfer full) (nullable): a store
 * @timeout: how long to wait until everything is written, in seconds
 * @error: return location for an error
 *
 * Returns: %FALSE if the database did not take everything in time; @error says why
 */
gboolean
derush_store_close (DerushStore *store, double timeout, GError **error)
{
  gint64 until = g_get_monotonic_time () + (gint64)(CLAMP (timeout, 0, 1e6) * G_TIME_SPAN_SECOND);
  gboolean written;

  if (!store)
    return TRUE;
  derush_metrics_remove_collector (store->collector);
  g_mutex_lock (&store->lock);
  store->stopping = TRUE;
  g_cond_broadcast (&store->changed);
  while (store->thread && (store->waiting.length > 0 || store->writing > 0) &&
         g_cond_wait_until (&store->changed, &store->lock, until))
    ;
  written = store->waiting.length == 0 && store->writing == 0;
  if (!written)
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The result store was closed before the last %u changes of jobs were written: %s"),
                 store->waiting.length + store->writing, store->trouble ? store->trouble : _ ("it is too slow"));
  store->abandoned = TRUE;
  g_cond_broadcast (&store->changed);
  /* An idle thread ends at once; one inside of the database ends when that returns, and frees what is left. */
  while (written && store->thread && g_cond_wait_until (&store->changed, &store->lock, until + G_TIME_SPAN_SECOND))
    ;
  g_mutex_unlock (&store->lock);
  store_unref (store);
  return written;
}

/**
 * derush_store_get_status:
 * @store: (nullable): a store
 *
 * Answers at once from what the store's thread saw last.
 *
 * Returns: (transfer full): `{connected, backend, lastError, waiting, spooled, spooledBytes}`: whether the database can be
 *   written, `postgresql`, `sqlite` or `none`, why it cannot be written or could not the last time (null if it always
 *   could), changes of jobs that wait in memory, and those on disk with their size
 */
JsonObject *
derush_store_get_status (DerushStore *store)
{
  JsonObject *status = json_object_new ();

  json_object_set_boolean_member (status, "connected", FALSE);
  json_object_set_string_member (status, "backend", store ? store->database->class->name : "none");
  json_object_set_null_member (status, "lastError");
  json_object_set_int_member (status, "waiting", 0);
  json_object_set_int_member (status, "spooled", 0);
  json_object_set_int_member (status, "spooledBytes", 0);
  if (!store)
    return status;
  g_mutex_lock (&store->lock);
  json_object_set_boolean_member (status, "connected", store->trouble == NULL);
  if (store->last_trouble)
    json_object_set_string_member (status, "lastError", store->last_trouble);
  json_object_set_int_member (status, "waiting", store->waiting.length + store->writing);
  g_mutex_unlock (&store->lock);
  return status;
}

/* ── What happens to jobs ───────────────────────────────────────────────── */

/**
 * derush_store_job_started:
 * @store: (nullable): a store; %NULL stores nothing
 * @id: the key of the row, `<queue>:<job id>`
 * @job_type: (nullable): the type, if it is known
 * @plan: (nullable): the plan, unless the data was refused
 * @data: (nullable): the job's data
 * @attempt: counted from 1; a first attempt under a known id makes a new job of the row
 * @max_attempts: how often it may be tried
 */
void
derush_store_job_started (DerushStore *store, const char *id, const char *job_type, DerushPlan *plan, JsonObject *data,
                          guint attempt, guint max_attempts)
{
  if (!store)
    return;
  enqueue (store, id, operation_new (rows_started (id, job_type, plan, data, attempt, max_attempts), NULL));
}

/**
 * derush_store_job_progress:
 * @store: (nullable): a store
 * @id: the key of the row
 * @percent: 0 to 100
 * @stage: (nullable): the step that is running
 *
 * Only the newest progress of a job is written if the database is slower than the job.
 */
void
derush_store_job_progress (DerushStore *store, const char *id, int percent, const char *stage)
{
  Operation *operation;

  if (!store)
    return;
  operation = operation_new (rows_progress (id, percent, stage), NULL);
  operation->job_id = g_strdup (id);
  enqueue (store, id, operation);
}

/**
 * derush_store_job_completed:
 * @store: (nullable): a store
 * @id: the key of the row
 * @plan: (nullable): the plan
 * @return_value: what the job returned; its assets become rows that replace those of an earlier run of the job
 * @duration_ms: how long the job took, in milliseconds
 */
void
derush_store_job_completed (DerushStore *store, const char *id, DerushPlan *plan, JsonObject *return_value,
                            gint64 duration_ms)
{
  if (!store)
    return;
  enqueue (store, id, operation_new (rows_completed (id, plan, return_value, duration_ms), NULL));
}

/**
 * derush_store_job_failed:
 * @store: (nullable): a store
 * @id: the key of the row
 * @reason: (nullable): one line for people
 * @will_retry: whether there will be another attempt; the status is then `DELAYED`
 * @cancelled: whether it was stopped on request; the status is then `CANCELLED`
 * @duration_ms: how long the attempt took, in milliseconds
 */
void
derush_store_job_failed (DerushStore *store, const char *id, const char *reason, gboolean will_retry,
                         gboolean cancelled, gint64 duration_ms)
{
  if (!store)
    return;
  enqueue (store, id, operation_new (rows_failed (id, reason, will_retry, cancelled, duration_ms), NULL));
}

/**
 * derush_store_execution:
 * @store: (nullable): a store
 * @execution: a run of a workflow, as it is now
 *
 * Writes the run's own row.
 */
void
derush_store_execution (DerushStore *store, const DerushStoreExecution *execution)
{
  if (!store)
    return;
  enqueue (store, NULL, operation_new (rows_execution (execution), NULL));
}

/**
 * derush_store_get_job:
 * @store: a store
 * @id: the key of the row
 * @error: return location for an error
 *
 * Blocks until everything that was stored before is written, for five seconds at most.
 *
 * Returns: (transfer full) (nullable): the row, columns as members; %NULL without an error if there is none
 */
JsonObject *
derush_store_get_job (DerushStore *store, const char *id, GError **error)
{
  Operation *operation = operation_new (NULL, rows_select_job (id));
  gint64 until = g_get_monotonic_time () + READ_TIMEOUT_S * G_TIME_SPAN_SECOND;
  JsonObject *object = NULL;

  g_atomic_ref_count_inc (&operation->references);
  enqueue (store, NULL, operation);
  g_mutex_lock (&store->lock);
  while (!operation->done && g_cond_wait_until (&store->changed, &store->lock, until))
    ;
  if (!operation->done)
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE, _ ("The result store does not answer: %s"),
                 store->trouble ? store->trouble : _ ("it is too slow"));
  else if (operation->error)
    g_propagate_error (error, g_steal_pointer (&operation->error));
  else if (operation->row)
    object = rows_read_job (operation->row);
  g_mutex_unlock (&store->lock);
  operation_unref (operation);
  return object;
}
