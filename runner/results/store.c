/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "store-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define READ_TIMEOUT_S 5

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

static DerushStore *
store_open (DerushConfig *config, GError **error)
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
  store->database = database;
  g_mutex_init (&store->lock);
  g_cond_init (&store->changed);
  g_queue_init (&store->waiting);
  store->progress = g_hash_table_new (g_str_hash, g_str_equal);
  if (connect_error)
    store_set_trouble (store, connect_error->message);
  return store;
}

static void
start_thread (DerushStore *store, const char *name, GThreadFunc func)
{
  g_atomic_ref_count_inc (&store->references);
  g_mutex_lock (&store->lock);
  store->threads++;
  g_mutex_unlock (&store->lock);
  g_thread_unref (g_thread_new (name, func, store));
}

/* Operations that would be lost with this process. */
static guint
count_unsafe (DerushStore *store)
{
  guint n = 0;

  for (guint i = 0; store->writing && i < store->writing->len; i++)
    n += store_wants_spool (store->writing->pdata[i]);
  for (GList *link = store->waiting.head; link; link = link->next)
    n += store_wants_spool (link->data);
  return n;
}

static gboolean
is_busy (DerushStore *store)
{
  return store->threads > 0 && (store_count_in_memory (store) > 0 || store->spooling || store->replaying ||
                                store_get_spool_size (store).operations > 0);
}

/**
 * derush_store_open:
 * @config: the settings; `DATABASE_URL` and `DERUSH_STATE_DIR` are read
 * @error: return location for an error
 *
 * Opens the result store and brings its tables up to date: with an empty `DATABASE_URL` the file `derush.sqlite` in
 * `DERUSH_STATE_DIR`, readable by its owner alone; with `postgresql://…` the schema that the URL names as Prisma does
 * (`?schema=`), else `public`. Tables that another program has made there, as Prisma does, are used as they are, by the
 * map in `data/schemas/prisma.ini`; if rows cannot be written into them, that is an error.
 *
 * A database that is away for the moment is no error: rows wait on disk, in `spool` in `DERUSH_STATE_DIR`, until it is
 * back, and what an earlier process has left there is written first.
 *
 * Returns: (transfer full) (nullable): the store, or %NULL for what waiting cannot mend, such as a bad URL, a refused
 *   password or a folder that cannot be written
 */
DerushStore *
derush_store_open (DerushConfig *config, GError **error)
{
  g_autofree char *folder = g_build_filename (derush_config_get_string (config, "DERUSH_STATE_DIR"), "spool", NULL);
  DerushStore *store = store_open (config, error);
  Spool *spool = store ? spool_open (folder, derush_config_get_int (config, "DERUSH_SPOOL_LIMIT"), error) : NULL;
  SpoolSize size;

  if (!store || !spool) {
    if (store)
      store_unref (store);
    return NULL;
  }
  size = spool_get_size (spool);
  if (size.operations > 0)
    derush_log (DERUSH_LOG_INFO, NULL,
                "%" G_GUINT64_FORMAT " changes of jobs have waited in the spool %s and are written now",
                size.operations, folder);
  store->spool = spool;
  start_thread (store, "derush-spool", store_spool_thread);
  start_thread (store, "derush-results", store_write_thread);
  store_lost_operations ();
  store->collector = derush_metrics_add_collector (store_collect_metrics, store);
  return store;
}

/**
 * derush_store_open_to_read:
 * @config: the settings, as for derush_store_open()
 * @error: return location for an error
 *
 * Opens the result store for a program that only looks at it: what waits on disk stays there.
 *
 * Returns: (transfer full) (nullable): the store, or %NULL
 */
DerushStore *
derush_store_open_to_read (DerushConfig *config, GError **error)
{
  DerushStore *store = store_open (config, error);

  if (store)
    start_thread (store, "derush-results", store_write_thread);
  return store;
}

/**
 * derush_store_close:
 * @store: (transfer full) (nullable): a store
 * @timeout: how long to wait until everything is written, in seconds
 * @error: return location for an error
 *
 * What the database does not take in time stays on disk and is written when the store is opened again.
 *
 * Returns: %FALSE if something is neither in the database nor on disk; @error says why
 */
gboolean
derush_store_close (DerushStore *store, double timeout, GError **error)
{
  gint64 until = g_get_monotonic_time () + (gint64)(CLAMP (timeout, 0, 1e6) * G_TIME_SPAN_SECOND);
  gboolean safe;
  SpoolSize size;

  if (!store)
    return TRUE;
  derush_metrics_remove_collector (store->collector);
  g_mutex_lock (&store->lock);
  store->stopping = TRUE;
  g_cond_broadcast (&store->changed);
  while (is_busy (store) && g_cond_wait_until (&store->changed, &store->lock, until))
    ;
  /* The last that is in memory goes to disk, too. */
  if (store->spool && !store->spooling && store_spool_time (store) >= 0)
    store_spool (store);
  while (store->spooling)
    g_cond_wait (&store->changed, &store->lock);
  store_forget_spooled (store);
  safe = count_unsafe (store) == 0;
  size = store_get_spool_size (store);
  if (!safe)
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The result store was closed before the last %u changes of jobs were written: %s"),
                 count_unsafe (store),
                 store->spool_trouble ? store->spool_trouble
                 : store->trouble     ? store->trouble
                                      : _ ("it is too slow"));
  else if (size.operations > 0)
    derush_log (DERUSH_LOG_WARN, NULL,
                "The database did not take %" G_GUINT64_FORMAT
                " changes of jobs: they wait in the spool %s until derushd starts again",
                size.operations, spool_get_folder (store->spool));
  store->abandoned = TRUE;
  g_cond_broadcast (&store->changed);
  /* Idle threads end at once; one inside of the database ends when that returns, and frees what is left. */
  while (store->threads > 0 && g_cond_wait_until (&store->changed, &store->lock, until + G_TIME_SPAN_SECOND))
    ;
  g_mutex_unlock (&store->lock);
  store_unref (store);
  return safe;
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
  SpoolSize size;

  json_object_set_boolean_member (status, "connected", FALSE);
  json_object_set_string_member (status, "backend", store ? store->database->class->name : "none");
  json_object_set_null_member (status, "lastError");
  json_object_set_int_member (status, "waiting", 0);
  json_object_set_int_member (status, "spooled", 0);
  json_object_set_int_member (status, "spooledBytes", 0);
  if (!store)
    return status;
  g_mutex_lock (&store->lock);
  json_object_set_boolean_member (status, "connected", store_is_up (store));
  if (!store->trouble && !store_is_up (store))
    json_object_set_string_member (status, "lastError", _ ("it does not answer"));
  else if (store->last_trouble)
    json_object_set_string_member (status, "lastError", store->last_trouble);
  json_object_set_int_member (status, "waiting", store_count_in_memory (store));
  g_mutex_unlock (&store->lock);
  size = store_get_spool_size (store);
  json_object_set_int_member (status, "spooled", size.operations);
  json_object_set_int_member (status, "spooledBytes", size.bytes);
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
  gint64 now;

  if (!store)
    return;
  now = store_next_time (store);
  store_enqueue (store,
                 operation_new ("jobs", id, now, rows_started (id, job_type, plan, data, attempt, max_attempts, now)));
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
  gint64 now;

  if (!store)
    return;
  now = store_next_time (store);
  operation = operation_new ("jobs", id, now, rows_progress (id, percent, stage, now));
  operation->progress = TRUE;
  store_enqueue (store, operation);
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
  gint64 now;

  if (!store)
    return;
  now = store_next_time (store);
  store_enqueue (store, operation_new ("jobs", id, now, rows_completed (id, plan, return_value, duration_ms, now)));
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
  gint64 now;

  if (!store)
    return;
  now = store_next_time (store);
  store_enqueue (store,
                 operation_new ("jobs", id, now, rows_failed (id, reason, will_retry, cancelled, duration_ms, now)));
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
  gint64 now;

  if (!store)
    return;
  now = store_next_time (store);
  store_enqueue (store, operation_new ("workflow_executions", execution->id, now, rows_execution (execution, now)));
}

/**
 * derush_store_job_ended:
 * @store: (nullable): a store
 * @end: how a job has ended, as Redis says
 *
 * Writes what is missing of the job's row. If that says already that the job has ended, it stays as it is.
 */
void
derush_store_job_ended (DerushStore *store, const DerushStoreEnd *end)
{
  Operation *operation;

  if (!store)
    return;
  operation = operation_new ("jobs", end->id, end->ended, rows_ended (end));
  operation->mends = TRUE;
  store_enqueue (store, operation);
}

/* ── Questions ──────────────────────────────────────────────────────────── */

DerushStore *
derush_store_ref (DerushStore *store)
{
  g_atomic_ref_count_inc (&store->references);
  return store;
}

void
derush_store_unref (DerushStore *store)
{
  store_unref (store);
}

/* Asks once everything that was stored before is written. @operation: (transfer none) */
gboolean
store_ask (DerushStore *store, Operation *operation, GError **error)
{
  gint64 until = g_get_monotonic_time () + READ_TIMEOUT_S * G_TIME_SPAN_SECOND;

  store_enqueue (store, operation_ref (operation));
  g_mutex_lock (&store->lock);
  while (!operation->done && !store->abandoned && g_cond_wait_until (&store->changed, &store->lock, until))
    ;
  if (!operation->done)
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE, _ ("The result store does not answer: %s"),
                 store->trouble ? store->trouble : _ ("it is too slow"));
  else if (operation->error)
    g_propagate_error (error, g_error_copy (operation->error));
  g_mutex_unlock (&store->lock);
  return operation->done && !operation->error;
}

typedef struct {
  char *id;
  JsonObject *found;
} Row;

static void
row_free (gpointer data)
{
  Row *row = data;

  g_free (row->id);
  g_clear_pointer (&row->found, json_object_unref);
  g_free (row);
}

static gboolean
select_job (Database *database, gpointer data, Failure *failure, GError **error)
{
  Row *row = data;
  g_autoptr (GPtrArray) rows = NULL;
  gboolean good = database->class->find_job (database, row->id, &rows, failure, error);

  g_clear_pointer (&row->found, json_object_unref);
  if (good && rows->len > 0)
    row->found = rows_read_job (rows->pdata[0]);
  return good;
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
  Row *row = g_new0 (Row, 1);
  Operation *operation = operation_new_question (select_job, row, row_free);
  JsonObject *object = NULL;

  row->id = g_strdup (id);
  if (store_ask (store, operation, error) && row->found)
    object = json_object_ref (row->found);
  operation_unref (operation);
  return object;
}
