/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What waits for the database, and the two threads that bring it there. */

#include "store-private.h"

#include <string.h>

/* What may wait in memory, where even the spool cannot be written; beyond it the oldest goes. */
#define MAX_WAITING_BYTES (64 * 1024 * 1024)
/* Operations in one transaction: one commit for many small rows, and a lock that is never held long. */
#define MAX_BATCH 64
#define FIRST_PAUSE_MS 100
#define LAST_PAUSE_MS 5000
/* How long an operation may wait in memory, where a crash would lose it, although the database does not complain. */
#define SPOOL_AFTER (G_TIME_SPAN_SECOND)
/* How often a database is asked whether it is still there while there is nothing to write. */
#define IDLE_INTERVAL (10 * G_TIME_SPAN_SECOND)
#define HANG_LIMIT (3 * G_TIME_SPAN_SECOND)
#define SPOOL_RETRY (5 * G_TIME_SPAN_SECOND)

SpoolSize
store_get_spool_size (DerushStore *store)
{
  SpoolSize none = {0};

  return store->spool ? spool_get_size (store->spool) : none;
}

guint
store_count_in_memory (DerushStore *store)
{
  return store->waiting.length + (store->writing ? store->writing->len : 0);
}

/* ── Metrics ────────────────────────────────────────────────────────────── */

DerushMetric *
store_lost_operations (void)
{
  return derush_metrics_counter ("derush_store_lost_operations_total",
                                 "Changes of jobs that the database will never see.", NULL);
}

void
store_collect_metrics (gpointer user_data)
{
  DerushStore *store = user_data;
  SpoolSize size = store_get_spool_size (store);
  DerushMetric *up = derush_metrics_gauge ("derush_store_up", "Whether the result store can be written: 1 or 0.", NULL),
               *operations = derush_metrics_gauge ("derush_store_waiting_operations",
                                                   "Changes of jobs that wait to be written to the database.", NULL),
               *bytes =
                   derush_metrics_gauge ("derush_store_waiting_bytes", "Size of what waits for the database.", NULL),
               *spooled = derush_metrics_gauge ("derush_store_spool_operations",
                                                "Changes of jobs that wait on disk for the database.", NULL),
               *spool_bytes = derush_metrics_gauge ("derush_store_spool_bytes", "Size of what waits on disk.", NULL),
               *age = derush_metrics_gauge ("derush_store_spool_age_seconds",
                                            "How long the oldest change of a job has waited on disk.", NULL);

  g_mutex_lock (&store->lock);
  derush_metric_set (up, store_is_up (store), NULL);
  derush_metric_set (operations, store_count_in_memory (store) + size.operations, NULL);
  derush_metric_set (bytes, store->waiting_bytes + size.bytes, NULL);
  g_mutex_unlock (&store->lock);
  derush_metric_set (spooled, size.operations, NULL);
  derush_metric_set (spool_bytes, size.bytes, NULL);
  derush_metric_set (age, size.oldest ? MAX (derush_time_now_ms () - size.oldest, 0) / 1000.0 : 0, NULL);
}

/* A database that takes what it is given, but does not come back, cannot be written either. */
gboolean
store_is_up (DerushStore *store)
{
  return !store->trouble && (store->asking == 0 || g_get_monotonic_time () - store->asking < HANG_LIMIT);
}

/* ── What waits in memory ───────────────────────────────────────────────── */

/* Takes the link out of the queue. Called with the lock. */
static void
forget (DerushStore *store, GList *link)
{
  Operation *operation = link->data;

  if (operation->progress && g_hash_table_lookup (store->progress, operation->id) == link)
    g_hash_table_remove (store->progress, operation->id);
  store->waiting_bytes -= operation->size;
  g_queue_delete_link (&store->waiting, link);
}

static void
lose (DerushStore *store, guint64 n, const char *why)
{
  if (store->dropped == 0)
    derush_log (DERUSH_LOG_ERROR, NULL,
                "The database has been away for so long that the oldest rows are given up (%s): make it reachable, "
                "or raise DERUSH_SPOOL_LIMIT",
                why);
  store->dropped += n;
  derush_metric_add (store_lost_operations (), n, NULL);
}

static void
drop_oldest (DerushStore *store)
{
  for (GList *link = store->waiting.head; link && store->waiting_bytes > MAX_WAITING_BYTES;) {
    GList *next = link->next;
    Operation *operation = link->data;

    if (!operation->func) {
      lose (store, 1, store->spool_trouble ? store->spool_trouble : store->trouble ? store->trouble : "it is too slow");
      forget (store, link);
      operation_unref (operation);
    }
    link = next;
  }
}

/* @operation: (transfer full) */
void
store_enqueue (DerushStore *store, Operation *operation)
{
  GList *link;

  g_mutex_lock (&store->lock);
  link = operation->id ? g_hash_table_lookup (store->progress, operation->id) : NULL;
  if (link) {
    Operation *earlier = link->data;

    forget (store, link);
    operation_unref (earlier);
  }
  g_queue_push_tail (&store->waiting, operation);
  store->waiting_bytes += operation->size;
  if (operation->progress)
    g_hash_table_insert (store->progress, operation->id, store->waiting.tail);
  drop_oldest (store);
  g_cond_broadcast (&store->changed);
  g_mutex_unlock (&store->lock);
}

/* The time of something that happens now. */
gint64
store_next_time (DerushStore *store)
{
  gint64 time;

  g_mutex_lock (&store->lock);
  time = store->last_time = MAX (derush_time_now_ms (), store->last_time);
  g_mutex_unlock (&store->lock);
  return time;
}

void
store_set_trouble (DerushStore *store, const char *trouble)
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
  g_cond_broadcast (&store->changed);
  g_mutex_unlock (&store->lock);
}

void
store_unref (DerushStore *store)
{
  if (!g_atomic_ref_count_dec (&store->references))
    return;
  for (GList *link = store->waiting.head; link; link = link->next)
    operation_unref (link->data);
  g_queue_clear (&store->waiting);
  g_clear_pointer (&store->writing, g_ptr_array_unref);
  g_hash_table_unref (store->progress);
  store->database->class->free (store->database);
  spool_free (store->spool);
  g_free (store->trouble);
  g_free (store->last_trouble);
  g_free (store->spool_trouble);
  g_mutex_clear (&store->lock);
  g_cond_clear (&store->changed);
  g_free (store);
}

static void
end_thread (DerushStore *store)
{
  g_mutex_lock (&store->lock);
  store->threads--;
  g_cond_broadcast (&store->changed);
  g_mutex_unlock (&store->lock);
  store_unref (store);
}

/* ── The spooler ────────────────────────────────────────────────────────── */

gboolean
store_wants_spool (Operation *operation)
{
  return !operation->spooled && !operation->func;
}

/* When the spooler has something to do: 0: now; -1: not before something changes. Called with the lock. */
gint64
store_spool_time (DerushStore *store)
{
  Operation *oldest = NULL;

  for (guint i = 0; store->writing && !oldest && i < store->writing->len; i++)
    if (store_wants_spool (store->writing->pdata[i]))
      oldest = store->writing->pdata[i];
  for (GList *link = store->waiting.head; link && !oldest; link = link->next)
    if (store_wants_spool (link->data))
      oldest = link->data;
  if (!oldest)
    return -1;
  return store->trouble || store->abandoned ? 0 : oldest->since + SPOOL_AFTER;
}

/*
 * Returns: (element-type Operation): what has to be safe, in order. The progress of a job is not worth it: it goes. Called
 * with the lock.
 */
static GPtrArray *
take_for_spool (DerushStore *store)
{
  GPtrArray *taken = g_ptr_array_new_with_free_func ((GDestroyNotify)operation_unref);

  for (guint i = 0; store->writing && i < store->writing->len; i++)
    if (store_wants_spool (store->writing->pdata[i]))
      g_ptr_array_add (taken, operation_ref (store->writing->pdata[i]));
  for (GList *link = store->waiting.head; link;) {
    GList *next = link->next;

    if (store_wants_spool (link->data)) {
      g_ptr_array_add (taken, link->data);
      forget (store, link);
    }
    link = next;
  }
  return taken;
}

/* Called with the lock, which is given up meanwhile. */
gboolean
store_spool (DerushStore *store)
{
  g_autoptr (GPtrArray) taken = take_for_spool (store), lines = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  guint64 lost = 0;
  gboolean good;

  store->spooling = TRUE;
  g_mutex_unlock (&store->lock);
  for (guint i = 0; i < taken->len; i++)
    if (!((Operation *)taken->pdata[i])->progress)
      g_ptr_array_add (lines, operation_to_line (taken->pdata[i]));
  good = lines->len == 0 || spool_append (store->spool, lines, &lost, &error);
  g_mutex_lock (&store->lock);
  store->spooling = FALSE;
  if (lost > 0)
    lose (store, lost, "the spool is full");
  for (guint i = taken->len; i-- > 0;) {
    Operation *operation = taken->pdata[i];
    gboolean being_written = FALSE;

    for (guint w = 0; store->writing && w < store->writing->len; w++)
      being_written |= store->writing->pdata[w] == operation;
    if (good) {
      operation->spooled = TRUE;
    } else if (!being_written) {
      g_queue_push_head (&store->waiting, operation_ref (operation));
      store->waiting_bytes += operation->size;
    }
  }
  if (!good && g_strcmp0 (store->spool_trouble, error->message) != 0)
    derush_log (DERUSH_LOG_ERROR, NULL, "%s", error->message);
  g_free (store->spool_trouble);
  store->spool_trouble = good ? NULL : g_strdup (error->message);
  drop_oldest (store);
  g_cond_broadcast (&store->changed);
  return good;
}

gpointer
store_spool_thread (gpointer data)
{
  DerushStore *store = data;

  g_mutex_lock (&store->lock);
  while (!store->abandoned) {
    gint64 until = store_spool_time (store);

    if (until < 0 || store->spooling)
      g_cond_wait (&store->changed, &store->lock);
    else if (until > g_get_monotonic_time ())
      g_cond_wait_until (&store->changed, &store->lock, until);
    else if (!store_spool (store))
      for (until = g_get_monotonic_time () + SPOOL_RETRY;
           !store->abandoned && g_cond_wait_until (&store->changed, &store->lock, until);)
        ;
  }
  g_mutex_unlock (&store->lock);
  end_thread (store);
  return NULL;
}

/* ── The writer ─────────────────────────────────────────────────────────── */

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

/*
 * What the writer has taken and could not write is written again, unless it can be read from the disk. Questions are then
 * asked after that. Called with the lock.
 */
void
store_forget_spooled (DerushStore *store)
{
  gboolean any = FALSE;

  for (guint i = 0; store->writing && i < store->writing->len; i++)
    any |= ((Operation *)store->writing->pdata[i])->spooled;
  for (guint i = any ? store->writing->len : 0; i-- > 0;) {
    Operation *operation = store->writing->pdata[i];

    if (operation->spooled)
      continue;
    g_queue_push_head (&store->waiting, operation_ref (operation));
    store->waiting_bytes += operation->size;
  }
  if (any)
    g_clear_pointer (&store->writing, g_ptr_array_unref);
}

/* Returns: whether there is something to write or to ask; otherwise the thread is to end */
static gboolean
wait_for_work (DerushStore *store)
{
  gint64 until = g_get_monotonic_time () + IDLE_INTERVAL;
  gboolean work;

  g_mutex_lock (&store->lock);
  for (;;) {
    store_forget_spooled (store);
    work = store->writing || store->waiting.length > 0 || store_get_spool_size (store).operations > 0;
    if (store->abandoned || (!store->spooling && (work || store->stopping)))
      break;
    if (!store->database->class->remote) {
      g_cond_wait (&store->changed, &store->lock);
    } else if (!g_cond_wait_until (&store->changed, &store->lock, until)) {
      work = TRUE;
      break;
    }
  }
  work &= !store->abandoned;
  g_mutex_unlock (&store->lock);
  return work;
}

static gpointer
ref_operation (gconstpointer operation, gpointer user_data)
{
  return operation_ref ((Operation *)operation);
}

/*
 * Returns: (element-type Operation) (nullable): the next operations, in order. What has been taken from memory and not
 * been written comes first: what is on disk then is younger. NULL: not now.
 */
static GPtrArray *
take_batch (DerushStore *store, char **first_line, guint *n_lines)
{
  g_autoptr (GPtrArray) lines = NULL, batch = NULL;

  g_mutex_lock (&store->lock);
  store_forget_spooled (store);
  if (!store->writing && !store->spooling && store_get_spool_size (store).operations == 0 &&
      store->waiting.length > 0) {
    store->writing = g_ptr_array_new_with_free_func ((GDestroyNotify)operation_unref);
    while (store->waiting.length > 0 && store->writing->len < MAX_BATCH) {
      g_ptr_array_add (store->writing, store->waiting.head->data);
      forget (store, store->waiting.head);
    }
  }
  if (store->writing)
    batch = g_ptr_array_copy (store->writing, ref_operation, NULL);
  else
    store->replaying = store->spool && !store->spooling;
  g_mutex_unlock (&store->lock);
  if (batch || !store->replaying)
    return g_steal_pointer (&batch);
  lines = spool_peek (store->spool, MAX_BATCH);
  if (lines->len == 0)
    return NULL;
  *first_line = g_strdup (lines->pdata[0]);
  *n_lines = lines->len;
  batch = g_ptr_array_new_with_free_func ((GDestroyNotify)operation_unref);
  for (guint i = 0; i < lines->len; i++) {
    Operation *operation = operation_from_line (lines->pdata[i]);

    if (operation) {
      g_ptr_array_add (batch, operation);
      continue;
    }
    derush_log (DERUSH_LOG_ERROR, NULL, "A line of the spool %s is broken, and left out",
                spool_get_folder (store->spool));
    derush_metric_add (store_lost_operations (), 1, NULL);
  }
  return g_steal_pointer (&batch);
}

static gboolean
run (DerushStore *store, const char *sql, Failure *failure, GError **error)
{
  return store->database->class->run (store->database, sql, failure, error);
}

/* One operation that the database refuses must not take its neighbours with it, nor stop those behind it. */
static gboolean
write_operation (DerushStore *store, Operation *operation, Failure *failure, GError **error)
{
  g_autoptr (GError) refused = NULL;

  if (!run (store, "SAVEPOINT operation", failure, error))
    return FALSE;
  if (operation_write (operation, store->database, failure, &refused))
    return run (store, "RELEASE SAVEPOINT operation", failure, error);
  if (*failure == FAILURE_WAIT) {
    g_propagate_error (error, g_steal_pointer (&refused));
    return FALSE;
  }
  if (!operation->func) {
    derush_log (DERUSH_LOG_ERROR, NULL, "A row of the result store is lost: %s", refused->message);
    derush_metric_add (store_lost_operations (), 1, NULL);
  } else if (!operation->error) {
    operation->error = g_steal_pointer (&refused);
  }
  return run (store, "ROLLBACK TO SAVEPOINT operation", failure, error) &&
         run (store, "RELEASE SAVEPOINT operation", failure, error);
}

static gboolean
write_batch (DerushStore *store, GPtrArray *batch, Failure *failure, GError **error)
{
  if (!store->database->class->begin (store->database, failure, error))
    return FALSE;
  for (guint i = 0; i < batch->len; i++)
    if (!write_operation (store, batch->pdata[i], failure, error))
      return FALSE;
  return run (store, "COMMIT", failure, error);
}

static void
note_asking (DerushStore *store)
{
  g_mutex_lock (&store->lock);
  store->asking = g_get_monotonic_time ();
  g_mutex_unlock (&store->lock);
}

/* Every change may be repeated: a connection lost in COMMIT leaves open whether the batch was written. */
gpointer
store_write_thread (gpointer data)
{
  DerushStore *store = data;
  gboolean connected = store->trouble == NULL, go_on = TRUE;
  guint pause_ms = FIRST_PAUSE_MS;

  while (go_on && wait_for_work (store)) {
    g_autoptr (GPtrArray) batch = NULL;
    g_autoptr (GError) error = NULL;
    g_autofree char *first_line = NULL;
    Failure failure = FAILURE_WAIT;
    guint n_lines = 0;
    gboolean good;

    note_asking (store);
    if (!connected)
      connected = store->database->class->connect (store->database, &failure, &error);
    good = connected;
    if (good) {
      batch = take_batch (store, &first_line, &n_lines);
      good = batch ? write_batch (store, batch, &failure, &error) : run (store, "SELECT 1", &failure, &error);
    }
    if (good && n_lines > 0)
      spool_consume (store->spool, first_line, n_lines);
    g_mutex_lock (&store->lock);
    store->asking = 0;
    store->replaying = FALSE;
    if (good && batch && n_lines == 0) {
      for (guint i = 0; i < batch->len; i++)
        ((Operation *)batch->pdata[i])->done = TRUE;
      g_clear_pointer (&store->writing, g_ptr_array_unref);
    }
    g_cond_broadcast (&store->changed);
    g_mutex_unlock (&store->lock);
    if (good) {
      store_set_trouble (store, NULL);
      pause_ms = FIRST_PAUSE_MS;
    } else {
      store->database->class->close (store->database);
      connected = FALSE;
      store_set_trouble (store, error->message);
      go_on = wait_before_retry (store, &pause_ms);
    }
  }
  store->database->class->close (store->database);
  end_thread (store);
  return NULL;
}
