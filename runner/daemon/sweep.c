/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * What goes by itself: analyses beyond their quota, files and rows beyond their time or quota. Runs in a thread: a film of
 * many gigabytes takes its time. A file goes only if a row says that Derush wrote it, and it is still as it was written.
 */

#include "sweep-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define DAY_MS (24 * 60 * 60 * (gint64)1000)
#define HOUR_MS (60 * 60 * (gint64)1000)
#define PAGE 100
/* At one go; the rest has its turn in the next one. */
#define MAX_PAGES 200
/* A file may have been written this much after its job is said to have ended: clocks of file systems are coarse. */
#define CLOCK_SLACK_S 2

/* ── One file ───────────────────────────────────────────────────────────── */

static gboolean
keep (DerushSweep *sweep, const char *path, const char *why)
{
  JsonObject *kept;

  derush_log (DERUSH_LOG_DEBUG, NULL, "The file %s stays: %s", path, why);
  if (!sweep->kept)
    return FALSE;
  kept = json_object_new ();
  json_object_set_string_member (kept, "path", path);
  json_object_set_string_member (kept, "reason", why);
  json_array_add_object_element (sweep->kept, kept);
  return FALSE;
}

/* An empty folder goes as well, if it is below that of outputs. */
static void
remove_empty_folders (DerushSweep *sweep, const char *path)
{
  const char *top = derush_config_get_string (sweep->config, "DERUSH_OUTPUT_DIR");
  g_autofree char *real = realpath (top, NULL), *folder = g_path_get_dirname (path);
  gsize length = real ? strlen (real) : 0;

  while (real && strncmp (folder, real, length) == 0 && folder[length] == '/' && g_rmdir (folder) == 0) {
    char *parent = g_path_get_dirname (folder);

    g_free (folder);
    folder = parent;
  }
}

/* Returns: whether it is gone, or would be */
static gboolean
remove_file (DerushSweep *sweep, const char *path, gint64 size, gint64 ended)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *resolved = NULL;
  struct stat status;

  if (g_hash_table_contains (sweep->in_use, path))
    return keep (sweep, path, _ ("a job that has not ended uses it"));
  resolved = derush_path_confine (path, (const char *const *)sweep->roots, &error);
  if (!resolved)
    return keep (sweep, path, error->message);
  if (lstat (resolved, &status) != 0)
    return errno == ENOENT || errno == ENOTDIR ? TRUE : keep (sweep, path, g_strerror (errno));
  if (!S_ISREG (status.st_mode))
    return keep (sweep, path, _ ("it is no regular file"));
  if (size >= 0 && status.st_size != size)
    return keep (sweep, path, _ ("it has another size than the one that was written"));
  if (ended > 0 && status.st_mtim.tv_sec > ended / 1000 + CLOCK_SLACK_S)
    return keep (sweep, path, _ ("it was changed after its job had ended"));
  if (!sweep->dry_run && unlink (resolved) != 0)
    return keep (sweep, path, g_strerror (errno));
  sweep->n_files++;
  sweep->n_bytes += status.st_size;
  if (sweep->files)
    json_array_add_string_element (sweep->files, path);
  if (!sweep->dry_run)
    remove_empty_folders (sweep, resolved);
  return TRUE;
}

/* ── The files of a job ─────────────────────────────────────────────────── */

/* Texts anywhere in the data of a job that has not ended: its source may be the output of another one. */
static void
note_texts (JsonNode *node, GHashTable *texts)
{
  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObjectIter iter;
    const char *name;
    JsonNode *member;

    json_object_iter_init (&iter, json_node_get_object (node));
    while (json_object_iter_next (&iter, &name, &member))
      note_texts (member, texts);
  } else if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (array); i++)
      note_texts (json_array_get_element (array, i), texts);
  } else if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING) {
    const char *text = json_node_get_string (node);
    g_autofree char *path = g_str_has_prefix (text, "file:") ? g_filename_from_uri (text, NULL, NULL) : g_strdup (text);

    if (path && *path == '/')
      g_hash_table_add (texts, g_steal_pointer (&path));
  }
}

gboolean
derush_sweep_note_use (DerushSweep *sweep, GError **error)
{
  g_auto (GStrv) running = derush_store_list_running (sweep->store, 10000, error);

  for (guint i = 0; running && running[i]; i++) {
    g_autoptr (JsonObject) row = derush_store_get_job (sweep->store, running[i], NULL);
    JsonNode *input = row ? json_object_get_member (row, "input") : NULL;

    if (input)
      note_texts (input, sweep->in_use);
  }
  return running != NULL;
}

static void
add_path (GPtrArray *paths, const char *path)
{
  if (path && *path == '/')
    g_ptr_array_add (paths, g_strdup (path));
}

gint64
derush_sweep_size_of (JsonObject *row)
{
  JsonObject *output = derush_json_get_object (row, "output");
  JsonArray *outputs = output ? derush_json_get_array (output, "outputs") : NULL;
  gint64 size = 0;

  for (guint i = 0; outputs && i < json_array_get_length (outputs); i++) {
    JsonNode *node = json_array_get_element (outputs, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      size += MAX (derush_json_get_int (json_node_get_object (node), "size", 0), 0);
  }
  return size;
}

/* Removes the files that the job of @row has made; @told: (optional): whether its row says so now */
gboolean
derush_sweep_outputs (DerushSweep *sweep, JsonObject *row, gboolean *told, GError **error)
{
  JsonObject *output = derush_json_get_object (row, "output");
  JsonArray *outputs = output ? derush_json_get_array (output, "outputs") : NULL;
  g_autoptr (GPtrArray) gone = g_ptr_array_new_with_free_func (g_free);
  gboolean whole = TRUE;

  for (guint i = 0; outputs && i < json_array_get_length (outputs); i++) {
    JsonNode *node = json_array_get_element (outputs, i);
    JsonObject *file = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    const char *path = file ? derush_json_get_string (file, "path", NULL) : NULL;

    if (!path || *path != '/')
      continue;
    if (remove_file (sweep, path, derush_json_get_int (file, "size", -1), derush_json_get_int (row, "endedAt", 0)))
      add_path (gone, path);
    else
      whole &= !g_hash_table_contains (sweep->in_use, path);
  }
  /* What is in use now has its turn later; what has become somebody else's is never looked at again. */
  if (told)
    *told = !sweep->dry_run && whole && sweep->forget;
  if (sweep->dry_run || !whole || !sweep->forget)
    return TRUE;
  g_ptr_array_add (gone, NULL);
  return derush_store_forget_outputs (sweep->store, derush_json_get_string (row, "id", ""),
                                      (const char *const *)gone->pdata, error);
}

/* ── Analyses ───────────────────────────────────────────────────────────── */

typedef struct {
  char *path;
  gint64 size;
  gint64 used; /* s since 1970 */
} Analysis;

static void
analysis_free (gpointer data)
{
  g_free (((Analysis *)data)->path);
  g_free (data);
}

static int
compare_use (gconstpointer a, gconstpointer b)
{
  const Analysis *one = *(Analysis *const *)a, *other = *(Analysis *const *)b;

  return one->used < other->used ? -1 : one->used > other->used;
}

/* A fingerprint, and nothing that somebody else may have put there. */
gboolean
derush_sweep_is_analysis (const char *name)
{
  return strspn (name, "0123456789abcdef") == 64 && strcmp (name + 64, ".derush") == 0;
}

/* Those that were used longest ago go; a job that is at one has it open, and loses nothing. */
static void
sweep_analyses (DerushConfig *config)
{
  gint64 quota = derush_config_get_int (config, "DERUSH_CACHE_QUOTA"), total = 0;
  g_autofree char *folder = g_build_filename (derush_config_get_string (config, "DERUSH_CACHE"), "analysis", NULL);
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (analysis_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint n = 0;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    struct stat status;
    Analysis *analysis;

    if (!derush_sweep_is_analysis (name) || lstat (path, &status) != 0 || !S_ISREG (status.st_mode))
      continue;
    analysis = g_new0 (Analysis, 1);
    analysis->path = g_steal_pointer (&path);
    analysis->size = status.st_size;
    analysis->used = MAX (status.st_atim.tv_sec, status.st_mtim.tv_sec);
    total += analysis->size;
    g_ptr_array_add (list, analysis);
  }
  derush_metric_set (
      derush_metrics_gauge ("derush_analysis_cache_bytes", "Size of the stored analyses of films.", NULL), total, NULL);
  if (quota == 0 || total <= quota)
    return;
  g_ptr_array_sort (list, compare_use);
  for (; n < list->len && total > quota; n++) {
    Analysis *analysis = list->pdata[n];

    if (unlink (analysis->path) == 0)
      total -= analysis->size;
  }
  derush_log (DERUSH_LOG_INFO, NULL, "%u analyses of films that were used longest ago are gone: the quota is full", n);
  derush_metric_set (derush_metrics_gauge ("derush_analysis_cache_bytes", NULL, NULL), total, NULL);
}

/* ── Files ──────────────────────────────────────────────────────────────── */

/* Those of jobs that ended before @ended_before. */
static gboolean
sweep_old_outputs (DerushSweep *sweep, gint64 ended_before, GError **error)
{
  DerushStoreFilter filter = {.ended_before = ended_before, .with_outputs = TRUE, .n = PAGE};

  for (guint page = 0; page < MAX_PAGES; page++) {
    g_autoptr (JsonArray) rows = derush_store_list_jobs (sweep->store, &filter, error);

    if (!rows)
      return FALSE;
    for (guint i = 0; i < json_array_get_length (rows); i++) {
      gboolean told = FALSE;

      if (!derush_sweep_outputs (sweep, json_array_get_object_element (rows, i), &told, error))
        return FALSE;
      filter.skip += !told;
    }
    if (json_array_get_length (rows) < PAGE)
      break;
  }
  return TRUE;
}

/* When the oldest job ended whose files the quota has room for. */
static gboolean
find_limit (DerushSweep *sweep, gint64 quota, gint64 *limit, GError **error)
{
  DerushStoreFilter filter = {.with_outputs = TRUE, .newest_first = TRUE, .n = PAGE};
  gint64 total = 0;

  *limit = 0;
  filter.ended_before = derush_time_now_ms () + DAY_MS;
  for (; *limit == 0; filter.skip += PAGE) {
    g_autoptr (JsonArray) rows = derush_store_list_jobs (sweep->store, &filter, error);

    if (!rows)
      return FALSE;
    for (guint i = 0; i < json_array_get_length (rows) && *limit == 0; i++) {
      JsonObject *row = json_array_get_object_element (rows, i);

      total += derush_sweep_size_of (row);
      if (total > quota)
        *limit = derush_json_get_int (row, "endedAt", 0) + 1;
    }
    if (json_array_get_length (rows) < PAGE)
      break;
  }
  return TRUE;
}

/* The next step of a workflow of somebody else's may be about to read what was just made: an hour is spared. */
static gboolean
sweep_outputs (DerushSweep *sweep, GError **error)
{
  gint64 days = derush_config_get_int (sweep->config, "DERUSH_RETENTION_OUTPUTS_DAYS"),
         quota = derush_config_get_int (sweep->config, "DERUSH_OUTPUT_QUOTA"), now = derush_time_now_ms (), limit = 0;

  if (days == 0 && quota == 0)
    return TRUE;
  if (!derush_sweep_note_use (sweep, error))
    return FALSE;
  if (days > 0 && !sweep_old_outputs (sweep, now - days * DAY_MS, error))
    return FALSE;
  if (quota > 0 && (!find_limit (sweep, quota, &limit, error) ||
                    (limit > 0 && !sweep_old_outputs (sweep, MIN (limit, now - HOUR_MS), error))))
    return FALSE;
  if (sweep->n_files > 0)
    derush_log (DERUSH_LOG_INFO, NULL, "%" G_GUINT64_FORMAT " files of jobs are gone, as their time or quota says",
                sweep->n_files);
  return TRUE;
}

/* ── Rows ───────────────────────────────────────────────────────────────── */

static gboolean
sweep_rows (DerushSweep *sweep, GError **error)
{
  gint64 days = derush_config_get_int (sweep->config, "DERUSH_RETENTION_ROWS_DAYS");
  DerushStoreFilter filter = {.ended_before = derush_time_now_ms () - days * DAY_MS, .n = PAGE};
  guint64 removed = 0;

  /* A backend's rows are for itself to keep. */
  if (days == 0 || derush_store_is_of_backend (sweep->store))
    return TRUE;
  for (guint page = 0; page < MAX_PAGES; page++) {
    g_autoptr (JsonArray) rows = derush_store_list_jobs (sweep->store, &filter, error);
    g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
    g_auto (GStrv) ids = NULL;
    guint64 n = 0;

    if (!rows)
      return FALSE;
    for (guint i = 0; i < json_array_get_length (rows); i++)
      g_strv_builder_add (builder, derush_json_get_string (json_array_get_object_element (rows, i), "id", ""));
    ids = g_strv_builder_end (builder);
    if (ids[0] && !derush_store_remove_jobs (sweep->store, (const char *const *)ids, NULL, &n, error))
      return FALSE;
    removed += n;
    if (json_array_get_length (rows) < PAGE)
      break;
  }
  if (removed > 0)
    derush_log (DERUSH_LOG_INFO, NULL,
                "%" G_GUINT64_FORMAT " rows of old jobs are gone, as DERUSH_RETENTION_ROWS_DAYS says", removed);
  return TRUE;
}

/* ── Interface ──────────────────────────────────────────────────────────── */

DerushSweep *
derush_sweep_new (DerushConfig *config, DerushStore *store, GStrv roots)
{
  DerushSweep *sweep = g_new0 (DerushSweep, 1);

  sweep->config = derush_config_ref (config);
  sweep->store = derush_store_ref (store);
  sweep->roots = g_strdupv (roots);
  sweep->in_use = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  sweep->forget = TRUE;
  return sweep;
}

void
derush_sweep_free (DerushSweep *sweep)
{
  derush_config_unref (sweep->config);
  derush_store_unref (sweep->store);
  g_strfreev (sweep->roots);
  g_hash_table_unref (sweep->in_use);
  g_clear_pointer (&sweep->files, json_array_unref);
  g_clear_pointer (&sweep->kept, json_array_unref);
  g_free (sweep);
}

static void
sweep_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  DerushSweep *sweep = data;
  g_autoptr (GError) error = NULL;

  derush_checkpoints_sweep (sweep->config);
  sweep_analyses (sweep->config);
  if (!sweep_outputs (sweep, &error) || !sweep_rows (sweep, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "What is old could not be removed: %s", error->message);
  g_task_return_boolean (task, TRUE);
}

void
derush_daemon_sweep (DerushDaemon *daemon)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);

  g_task_set_task_data (task, derush_sweep_new (daemon->config, daemon->store, daemon->roots),
                        (GDestroyNotify)derush_sweep_free);
  g_task_run_in_thread (task, sweep_in_thread);
}
