/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Removes what there is of a video or a user: first it is looked whether all of its jobs have ended, then files, analyses,
 * checkpoints and rows go, and last the jobs in Redis: whatever stops in between can be repeated.
 */

#include "sweep-private.h"

#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

/* Of rows at one go, and of jobs of each queue and state in Redis. */
#define MAX_ROWS 2000
#define MAX_JOBS 1000

typedef struct {
  GTask *task;
  DerushDaemon *daemon;
  GStrv queues;
  char *video;
  char *user;
  DerushSweep *sweep;
  JsonArray *rows;
  GHashTable *ids;   /* `queue:id` of jobs that may be of it */
  GPtrArray *to_ask; /* the same, in order */
  guint n_from_rows; /* how many of them have rows */
  guint next;
  GPtrArray *found; /* of Found: those in Redis */
  GPtrArray *open;  /* of texts: those that have not ended */
  guint listing;
  guint64 n_rows;
  guint64 n_redis;
  guint64 n_jobs;
  guint64 n_analyses;
  GError *error;
} Purge;

typedef struct {
  char *queue;
  char *id;
} Found;

static void
found_free (gpointer data)
{
  Found *found = data;

  g_free (found->queue);
  g_free (found->id);
  g_free (found);
}

static void
purge_free (Purge *purge)
{
  g_object_unref (purge->task);
  g_strfreev (purge->queues);
  g_free (purge->video);
  g_free (purge->user);
  derush_sweep_free (purge->sweep);
  g_clear_pointer (&purge->rows, json_array_unref);
  g_hash_table_unref (purge->ids);
  g_ptr_array_unref (purge->to_ask);
  g_ptr_array_unref (purge->found);
  g_ptr_array_unref (purge->open);
  g_clear_error (&purge->error);
  g_free (purge);
}

static void
fail (Purge *purge, GError *error)
{
  g_task_return_error (purge->task, error);
  purge_free (purge);
}

static void
consider (Purge *purge, const char *id)
{
  char *copy;

  if (g_hash_table_contains (purge->ids, id))
    return;
  copy = g_strdup (id);
  g_ptr_array_add (purge->to_ask, copy);
  g_hash_table_add (purge->ids, copy);
}

/* ── Last: Redis ────────────────────────────────────────────────────────── */

static void
succeed (Purge *purge)
{
  JsonObject *said = json_object_new ();

  json_object_set_boolean_member (said, "dryRun", purge->sweep->dry_run);
  json_object_set_boolean_member (said, "complete", json_array_get_length (purge->rows) < MAX_ROWS);
  json_object_set_int_member (said, "jobs", purge->n_jobs);
  json_object_set_array_member (said, "files", json_array_ref (purge->sweep->files));
  json_object_set_int_member (said, "bytes", purge->sweep->n_bytes);
  json_object_set_int_member (said, "rows", purge->n_rows);
  json_object_set_int_member (said, "redisJobs", purge->n_redis);
  json_object_set_int_member (said, "analyses", purge->n_analyses);
  json_object_set_array_member (said, "kept", json_array_ref (purge->sweep->kept));
  g_task_return_pointer (purge->task, said, (GDestroyNotify)json_object_unref);
  purge_free (purge);
}

static void remove_next (Purge *purge);

static void
on_removed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Purge *purge = user_data;
  g_autoptr (GError) error = NULL;

  if (derush_bullmq_queue_remove_finish (NULL, result, &error))
    purge->n_redis++;
  else if (error && derush_error_get_class (error) != DERUSH_ERROR_BAD_INPUT && !purge->error)
    purge->error = g_steal_pointer (&error);
  remove_next (purge);
}

static void
remove_next (Purge *purge)
{
  if (purge->error) {
    fail (purge, g_steal_pointer (&purge->error));
  } else if (purge->next < purge->found->len) {
    Found *found = purge->found->pdata[purge->next++];

    derush_bullmq_queue_remove_async (derush_daemon_get_queue (purge->daemon, found->queue), found->id, FALSE, NULL,
                                      on_removed, purge);
  } else {
    succeed (purge);
  }
}

/* ── Third: files and rows ──────────────────────────────────────────────── */

static void
remove_analysis (Purge *purge, JsonObject *row)
{
  JsonObject *output = derush_json_get_object (row, "output");
  const char *said = output ? derush_json_get_string (output, "analysisPath", "") : "";
  g_autofree char *name = g_path_get_basename (said);
  g_autofree char *path =
      g_build_filename (derush_config_get_string (purge->sweep->config, "DERUSH_CACHE"), "analysis", name, NULL);

  if (!derush_sweep_is_analysis (name) || access (path, F_OK) != 0)
    return;
  if (purge->sweep->dry_run || unlink (path) == 0)
    purge->n_analyses++;
}

static void
forget_checkpoint (Purge *purge, const char *id)
{
  const char *colon = strchr (id, ':');
  g_autofree char *queue = colon ? g_strndup (id, colon - id) : NULL;

  if (queue)
    derush_checkpoints_forget (purge->sweep->config, queue, colon + 1);
  for (guint i = 0; !queue && purge->queues[i]; i++)
    derush_checkpoints_forget (purge->sweep->config, purge->queues[i], id);
}

static void
remove_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Purge *purge = data;
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) ids = NULL;
  GError *error = NULL;

  if (!derush_sweep_note_use (purge->sweep, &error)) {
    g_task_return_error (task, error);
    return;
  }
  for (guint i = 0; i < json_array_get_length (purge->rows); i++) {
    JsonObject *row = json_array_get_object_element (purge->rows, i);

    derush_sweep_outputs (purge->sweep, row, NULL, NULL);
    remove_analysis (purge, row);
    g_strv_builder_add (builder, derush_json_get_string (row, "id", ""));
  }
  ids = g_strv_builder_end (builder);
  if (purge->sweep->dry_run) {
    purge->n_rows = g_strv_length (ids);
  } else {
    for (guint i = 0; i < purge->to_ask->len; i++)
      if (g_hash_table_contains (purge->ids, purge->to_ask->pdata[i]))
        forget_checkpoint (purge, purge->to_ask->pdata[i]);
    if (!derush_store_remove_jobs (purge->sweep->store, (const char *const *)ids, purge->video, &purge->n_rows,
                                   &error)) {
      g_task_return_error (task, error);
      return;
    }
  }
  g_task_return_boolean (task, TRUE);
}

static void
on_files_removed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Purge *purge = user_data;
  GError *error = NULL;

  if (!g_task_propagate_boolean (G_TASK (result), &error)) {
    fail (purge, error);
    return;
  }
  purge->next = 0;
  if (purge->sweep->dry_run) {
    purge->n_redis = purge->found->len;
    succeed (purge);
  } else {
    remove_next (purge);
  }
}

static void
remove_all (Purge *purge)
{
  g_autoptr (GTask) task = NULL;
  g_autofree char *ids = NULL;

  if (purge->open->len > 0) {
    g_ptr_array_add (purge->open, NULL);
    ids = g_strjoinv (", ", (char **)purge->open->pdata);
    fail (purge, g_error_new (DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
                              _ ("Nothing is removed: jobs have not ended; cancel them, or wait: %s"), ids));
    return;
  }
  task = g_task_new (NULL, NULL, on_files_removed, purge);
  g_task_set_task_data (task, purge, NULL);
  g_task_run_in_thread (task, remove_in_thread);
}

/* ── Second: what Redis knows ───────────────────────────────────────────── */

static void ask_next (Purge *purge);

static gboolean
is_of_it (Purge *purge, JsonObject *job)
{
  JsonObject *data = derush_json_get_object (job, "data");
  g_autoptr (DerushPlan) plan = data ? derush_plan_new (derush_json_get_string (job, "name", ""), data, 0, NULL) : NULL;
  const char *video = plan   ? plan->video_id
                      : data ? derush_json_get_string (data, "videoId", NULL)
                             : NULL,
             *user = plan   ? plan->user_id
                     : data ? derush_json_get_string (data, "userId", NULL)
                            : NULL;

  return purge->video ? g_strcmp0 (video, purge->video) == 0 : g_strcmp0 (user, purge->user) == 0;
}

static void
on_job (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Purge *purge = user_data;
  const char *id = purge->to_ask->pdata[purge->next], *colon = strchr (id, ':');
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) job = derush_bullmq_queue_get_job_finish (NULL, result, &error);
  const char *state = job ? derush_json_get_string (job, "state", "") : "";

  gboolean from_list = purge->next >= purge->n_from_rows;

  purge->next++;
  if (error) {
    fail (purge, g_steal_pointer (&error));
    return;
  }
  if (job && is_of_it (purge, job)) {
    if (strcmp (state, "completed") == 0 || strcmp (state, "failed") == 0) {
      Found *found = g_new0 (Found, 1);

      found->queue = g_strndup (id, colon - id);
      found->id = g_strdup (colon + 1);
      g_ptr_array_add (purge->found, found);
    } else {
      g_ptr_array_add (purge->open, g_strdup (id));
    }
  }
  if (job ? !is_of_it (purge, job) : from_list)
    g_hash_table_remove (purge->ids, id);
  else
    purge->n_jobs += from_list;
  ask_next (purge);
}

static void
ask_next (Purge *purge)
{
  while (purge->next < purge->to_ask->len) {
    const char *id = purge->to_ask->pdata[purge->next], *colon = strchr (id, ':');
    g_autofree char *queue = colon ? g_strndup (id, colon - id) : NULL;

    if (queue) {
      derush_bullmq_queue_get_job_async (derush_daemon_get_queue (purge->daemon, queue), colon + 1, NULL, on_job,
                                         purge);
      return;
    }
    purge->next++;
  }
  remove_all (purge);
}

typedef struct {
  Purge *purge;
  char *queue;
} Listing;

static void
on_listed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Listing *listing = user_data;
  Purge *purge = listing->purge;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) said = derush_bullmq_queue_list_finish (NULL, result, &error);
  JsonArray *ids = said ? derush_json_get_array (said, "ids") : NULL;

  for (guint i = 0; ids && i < json_array_get_length (ids); i++) {
    g_autofree char *id = g_strdup_printf ("%s:%s", listing->queue, json_array_get_string_element (ids, i));

    consider (purge, id);
  }
  if (error && !purge->error)
    purge->error = g_steal_pointer (&error);
  g_free (listing->queue);
  g_free (listing);
  if (--purge->listing > 0)
    return;
  if (purge->error)
    fail (purge, g_steal_pointer (&purge->error));
  else
    ask_next (purge);
}

/* ── First: the rows ────────────────────────────────────────────────────── */

static void
list_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Purge *purge = data;
  DerushStoreFilter filter = {.video = purge->video, .user = purge->user, .newest_first = TRUE, .n = MAX_ROWS};
  GError *error = NULL;

  /* Of two jobs that wrote the same file the later one's row tells of it. */
  purge->rows = derush_store_list_jobs (purge->sweep->store, &filter, &error);
  if (purge->rows)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
on_rows (GObject *source, GAsyncResult *result, gpointer user_data)
{
  static const char *const states[] = {"completed", "failed",      "active",          "wait",
                                       "delayed",   "prioritized", "waiting-children"};
  Purge *purge = user_data;
  GError *error = NULL;

  if (!g_task_propagate_boolean (G_TASK (result), &error)) {
    fail (purge, error);
    return;
  }
  for (guint i = 0; i < json_array_get_length (purge->rows); i++) {
    const char *id = derush_json_get_string (json_array_get_object_element (purge->rows, i), "id", "");

    /* A row that the backend has made does not say of which queue its job is. */
    for (guint q = 0; !strchr (id, ':') && purge->queues[q]; q++) {
      g_autofree char *whole = g_strdup_printf ("%s:%s", purge->queues[q], id);

      consider (purge, whole);
    }
    if (strchr (id, ':'))
      consider (purge, id);
  }
  purge->n_from_rows = purge->to_ask->len;
  purge->n_jobs = json_array_get_length (purge->rows);
  for (guint i = 0; purge->queues[i]; i++)
    for (guint k = 0; k < G_N_ELEMENTS (states); k++) {
      Listing *listing = g_new0 (Listing, 1);

      listing->purge = purge;
      listing->queue = g_strdup (purge->queues[i]);
      purge->listing++;
      derush_bullmq_queue_list_async (derush_daemon_get_queue (purge->daemon, purge->queues[i]), states[k], MAX_JOBS,
                                      NULL, on_listed, listing);
    }
}

void
derush_daemon_purge (DerushDaemon *daemon, GPtrArray *queues, JsonObject *arguments, GTask *task)
{
  Purge *purge = g_new0 (Purge, 1);
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();
  g_autoptr (GTask) first = g_task_new (NULL, NULL, on_rows, purge);

  purge->task = g_object_ref (task);
  purge->daemon = daemon;
  for (guint i = 0; i < queues->len; i++)
    g_strv_builder_add (names, derush_daemon_queue_get_name (queues->pdata[i]));
  purge->queues = g_strv_builder_end (names);
  purge->video = g_strdup (derush_json_get_string (arguments, "video", NULL));
  purge->user = g_strdup (derush_json_get_string (arguments, "user", NULL));
  purge->sweep = derush_sweep_new (daemon->config, daemon->store, daemon->roots);
  purge->sweep->dry_run = derush_json_get_boolean (arguments, "dryRun", FALSE);
  purge->sweep->forget = FALSE;
  purge->sweep->files = json_array_new ();
  purge->sweep->kept = json_array_new ();
  purge->ids = g_hash_table_new (g_str_hash, g_str_equal);
  purge->to_ask = g_ptr_array_new_with_free_func (g_free);
  purge->found = g_ptr_array_new_with_free_func (found_free);
  purge->open = g_ptr_array_new_with_free_func (g_free);
  g_task_set_task_data (first, purge, NULL);
  g_task_run_in_thread (first, list_in_thread);
}
