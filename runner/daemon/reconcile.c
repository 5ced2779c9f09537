/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * At the start: what Redis knows of jobs that have ended is compared with the rows, and rows are mended. A daemon may have
 * been killed between the two, or a disk may have been lost. Everything is done piece by piece, beside the jobs.
 */

#include "daemon-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* How many rows, and how many jobs of a queue and state, are looked at. */
#define MAX_ROWS 1000
#define MAX_JOBS 500
#define CHUNK 50
#define RETRY_S 15
#define DAY_MS (24 * 60 * 60 * (gint64)1000)

/*
 * Candidate: a job that is looked up in Redis
 *   queue     NULL: its row does not say of which queue it is
 *   id        of BullMQ
 *   from_row  whether its row says that it runs
 */
typedef struct {
  char *queue;
  char *id;
  gboolean from_row;
} Candidate;

struct _DerushDaemonReconcile {
  DerushDaemon *daemon;
  GStrv queues;
  guint references; /* its owner's, and one for each answer that is on its way */
  gboolean stopped;
  guint timer;
  guint listing;     /* lists that are on their way */
  GPtrArray *ended;  /* of texts: `queue:id` of jobs that have ended */
  GQueue candidates; /* of Candidate */
  GHashTable *known; /* ids of candidates, as rows have them */
  guint queue;       /* which one is asked for a candidate without */
  guint mended;
};

static void
candidate_free (gpointer data)
{
  Candidate *candidate = data;

  g_free (candidate->queue);
  g_free (candidate->id);
  g_free (candidate);
}

static void
unref (DerushDaemonReconcile *self)
{
  if (--self->references > 0)
    return;
  g_clear_handle_id (&self->timer, g_source_remove);
  g_strfreev (self->queues);
  g_ptr_array_unref (self->ended);
  g_hash_table_unref (self->known);
  g_queue_clear_full (&self->candidates, candidate_free);
  g_free (self);
}

static DerushDaemonReconcile *
ref (DerushDaemonReconcile *self)
{
  self->references++;
  return self;
}

static gboolean
serves (DerushDaemonReconcile *self, const char *queue)
{
  return g_strv_contains ((const char *const *)self->queues, queue);
}

static void
add_candidate (DerushDaemonReconcile *self, const char *store_id, gboolean from_row)
{
  const char *colon = strchr (store_id, ':');
  g_autofree char *queue = colon ? g_strndup (store_id, colon - store_id) : NULL;
  Candidate *candidate;

  if ((queue && !serves (self, queue)) || !g_hash_table_add (self->known, g_strdup (store_id)))
    return;
  candidate = g_new0 (Candidate, 1);
  candidate->queue = g_steal_pointer (&queue);
  candidate->id = g_strdup (colon ? colon + 1 : store_id);
  candidate->from_row = from_row;
  g_queue_push_tail (&self->candidates, candidate);
}

/* ── One job ────────────────────────────────────────────────────────────── */

static void look_at_next (DerushDaemonReconcile *self);

/* Its row may have gone on purpose. */
static gboolean
is_too_old (DerushDaemonReconcile *self, gint64 ended)
{
  gint64 days = derush_config_get_int (self->daemon->config, "DERUSH_RETENTION_ROWS_DAYS");

  return days > 0 && ended < derush_time_now_ms () - days * DAY_MS;
}

static void
mend_ended (DerushDaemonReconcile *self, const char *store_id, JsonObject *job, gboolean completed, gboolean from_row)
{
  JsonObject *data = derush_json_get_object (job, "data");
  const char *name = derush_json_get_string (job, "name", "");
  g_autoptr (DerushPlan) plan = data ? derush_plan_new (name, data, self->daemon->flags, NULL) : NULL;
  g_autoptr (DerushOutcome) answer = plan ? derush_plan_answer (plan) : NULL;
  g_autofree char *type = data ? derush_job_type_from_name (name, data) : NULL;
  g_autoptr (JsonObject) nothing = json_object_new ();
  JsonObject *value = derush_json_get_object (job, "returnvalue");
  DerushErrorClass error_class = DERUSH_ERROR_INTERNAL;
  DerushStoreEnd end = {
      .id = store_id,
      .job_type = type,
      .plan = plan,
      .data = data,
      .return_value = completed ? (value ? value : nothing) : NULL,
      .reason = derush_json_get_string (job, "failedReason", NULL),
      .attempts = derush_json_get_int (job, "attemptsMade", 1),
      .max_attempts = derush_json_get_int (derush_json_get_object (job, "opts"), "attempts", 1),
      .started = derush_json_get_int (job, "processedOn", 0),
      .ended = derush_json_get_int (job, "finishedOn", 0),
  };

  /* Those that are answered at once have no rows. */
  if ((answer && !from_row) || is_too_old (self, end.ended))
    return;
  end.cancelled =
      !completed && derush_daemon_step_read_class (job, &error_class) && error_class == DERUSH_ERROR_CANCELLED;
  derush_store_job_ended (self->daemon->store, &end);
  self->mended++;
}

static void
mend_gone (DerushDaemonReconcile *self, const char *store_id)
{
  DerushStoreEnd end = {
      .id = store_id,
      .reason = _ ("The job is gone from Redis, and how it ended was not stored"),
      .ended = derush_time_now_ms (),
  };

  derush_store_job_ended (self->daemon->store, &end);
  self->mended++;
}

static void
on_job (GObject *source, GAsyncResult *result, gpointer user_data)
{
  DerushDaemonReconcile *self = user_data;
  Candidate *candidate = g_queue_peek_head (&self->candidates);
  const char *queue = candidate->queue ? candidate->queue : self->queues[self->queue];
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) job = derush_bullmq_queue_get_job_finish (NULL, result, &error);
  g_autofree char *store_id = g_strdup_printf ("%s:%s", queue, candidate->id);
  const char *state = job ? derush_json_get_string (job, "state", "") : "";

  if (self->stopped) {
    unref (self);
    return;
  }
  if (!error && !job && !candidate->queue && self->queues[self->queue + 1]) {
    self->queue++;
    look_at_next (self);
    unref (self);
    return;
  }
  if (strcmp (state, "completed") == 0 || strcmp (state, "failed") == 0)
    mend_ended (self, store_id, job, strcmp (state, "completed") == 0, candidate->from_row);
  else if (!error && !job && candidate->queue && candidate->from_row)
    mend_gone (self, store_id);
  self->queue = 0;
  candidate_free (g_queue_pop_head (&self->candidates));
  look_at_next (self);
  unref (self);
}

static void
look_at_next (DerushDaemonReconcile *self)
{
  Candidate *candidate = g_queue_peek_head (&self->candidates);

  if (candidate) {
    derush_bullmq_queue_get_job_async (
        derush_daemon_get_queue (self->daemon, candidate->queue ? candidate->queue : self->queues[self->queue]),
        candidate->id, NULL, on_job, ref (self));
    return;
  }
  if (self->mended > 0)
    derush_log (DERUSH_LOG_INFO, NULL, "%u rows were mended: Redis knew how their jobs had ended", self->mended);
}

/* ── What is to be looked at ────────────────────────────────────────────── */

/*
 * Question: asked of the store in a thread
 *   ids  what is asked about; NULL: which rows say that their jobs run
 */
typedef struct {
  DerushStore *store;
  GStrv ids;
} Question;

static void
question_free (gpointer data)
{
  Question *question = data;

  derush_store_unref (question->store);
  g_strfreev (question->ids);
  g_free (question);
}

static void
ask_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Question *question = data;
  g_autoptr (GStrvBuilder) open = g_strv_builder_new ();
  guint n = question->ids ? g_strv_length (question->ids) : 0;
  GError *error = NULL;

  if (!question->ids) {
    g_auto (GStrv) running = derush_store_list_running (question->store, MAX_ROWS, &error);

    if (running)
      g_strv_builder_addv (open, (const char **)running);
  }
  /* Rows of jobs that run now do not wait for all of it. */
  for (guint i = 0; !error && i < n; i += CHUNK) {
    g_autofree const char **some = g_new0 (const char *, CHUNK + 1);
    g_auto (GStrv) found = NULL;

    for (guint k = 0; k < CHUNK && i + k < n; k++)
      some[k] = question->ids[i + k];
    found = derush_store_list_open (question->store, some, &error);
    if (found)
      g_strv_builder_addv (open, (const char **)found);
  }
  if (error)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, g_strv_builder_end (open), (GDestroyNotify)g_strfreev);
}

static void
ask (DerushDaemonReconcile *self, GStrv ids, GAsyncReadyCallback callback)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, ref (self));
  Question *question = g_new0 (Question, 1);

  question->store = derush_store_ref (self->daemon->store);
  question->ids = ids;
  g_task_set_task_data (task, question, question_free);
  g_task_run_in_thread (task, ask_in_thread);
}

static gboolean
on_again (gpointer user_data)
{
  DerushDaemonReconcile *self = user_data;

  self->timer = 0;
  derush_daemon_reconcile_run (self);
  return G_SOURCE_REMOVE;
}

/* Redis or the database is away. */
static void
try_later (DerushDaemonReconcile *self)
{
  g_queue_clear_full (&self->candidates, candidate_free);
  g_hash_table_remove_all (self->known);
  g_ptr_array_set_size (self->ended, 0);
  if (self->timer == 0)
    self->timer = g_timeout_add_seconds (RETRY_S, on_again, self);
}

static void
on_open (GObject *source, GAsyncResult *result, gpointer user_data)
{
  DerushDaemonReconcile *self = user_data;
  g_auto (GStrv) open = g_task_propagate_pointer (G_TASK (result), NULL);

  if (!self->stopped && !open)
    try_later (self);
  for (guint i = 0; !self->stopped && open && open[i]; i++)
    add_candidate (self, open[i], FALSE);
  if (!self->stopped && open)
    look_at_next (self);
  unref (self);
}

typedef struct {
  DerushDaemonReconcile *self;
  char *queue;
} Listing;

static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Listing *listing = user_data;
  DerushDaemonReconcile *self = listing->self;
  g_autoptr (JsonObject) said = derush_bullmq_queue_list_finish (NULL, result, NULL);
  JsonArray *ids = said ? derush_json_get_array (said, "ids") : NULL;

  for (guint i = 0; ids && i < json_array_get_length (ids); i++)
    g_ptr_array_add (self->ended, g_strdup_printf ("%s:%s", listing->queue, json_array_get_string_element (ids, i)));
  self->listing--;
  if (!self->stopped && !said)
    try_later (self);
  if (!self->stopped && self->listing == 0 && self->timer == 0) {
    g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

    for (guint i = 0; i < self->ended->len; i++)
      g_strv_builder_add (builder, self->ended->pdata[i]);
    g_ptr_array_set_size (self->ended, 0);
    ask (self, g_strv_builder_end (builder), on_open);
  }
  g_free (listing->queue);
  g_free (listing);
  unref (self);
}

static void
on_running (GObject *source, GAsyncResult *result, gpointer user_data)
{
  static const char *const states[] = {"completed", "failed"};
  DerushDaemonReconcile *self = user_data;
  g_auto (GStrv) running = g_task_propagate_pointer (G_TASK (result), NULL);

  if (!self->stopped && !running)
    try_later (self);
  for (guint i = 0; !self->stopped && running && running[i]; i++)
    add_candidate (self, running[i], TRUE);
  for (guint i = 0; !self->stopped && running && self->queues[i]; i++)
    for (guint k = 0; k < G_N_ELEMENTS (states); k++) {
      Listing *listing = g_new0 (Listing, 1);

      listing->self = ref (self);
      listing->queue = g_strdup (self->queues[i]);
      self->listing++;
      derush_bullmq_queue_list_async (derush_daemon_get_queue (self->daemon, self->queues[i]), states[k], MAX_JOBS,
                                      NULL, on_ended, listing);
    }
  unref (self);
}

/* @queues: (transfer full): those that are served */
DerushDaemonReconcile *
derush_daemon_reconcile_new (DerushDaemon *daemon, GStrv queues)
{
  DerushDaemonReconcile *self = g_new0 (DerushDaemonReconcile, 1);

  self->references = 1;
  self->daemon = daemon;
  self->queues = queues;
  self->ended = g_ptr_array_new_with_free_func (g_free);
  g_queue_init (&self->candidates);
  self->known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

/* Begins; once. */
void
derush_daemon_reconcile_run (DerushDaemonReconcile *self)
{
  ask (self, NULL, on_running);
}

void
derush_daemon_reconcile_free (DerushDaemonReconcile *self)
{
  self->stopped = TRUE;
  g_clear_handle_id (&self->timer, g_source_remove);
  unref (self);
}
