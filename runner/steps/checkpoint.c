/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/checkpoint-private.h"
#include "steps/scratch-private.h"
#include "steps/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/*
 *   job-SHA256/lock               held (flock) by who runs the job; its time is that of the last run
 *   job-SHA256/checkpoint.json    {version, key, steps: [{name, result, warnings, files: [{name, size, modified}]}]}
 *   job-SHA256/files/             the files, which are also (by hard links) in the folder that the job's worker writes to
 *   gone-XXXXXX/                  on its way out
 *
 * A file belongs to the step that wrote it last. A checkpoint names only files that are on disk by then, so it holds
 * after a power failure too.
 */
#define PREFIX "job-"
#define GONE_PREFIX "gone-"
#define LOCK_NAME "lock"
#define CHECKPOINT_NAME "checkpoint.json"
#define FILES_NAME "files"

#define VERSION 1
#define MAX_BYTES (64 * 1024 * 1024)

/* An attempt that is being stopped has ended by then. */
#define LOCK_PATIENCE (2 * G_USEC_PER_SEC)
#define LOCK_INTERVAL (50 * 1000)

typedef struct {
  char *name;
  gint64 size;
  gint64 modified; /* ns since 1970 */
} File;

struct _DerushCheckpoint {
  char *path;
  char *kept;      /* files/ */
  char *directory; /* of the worker */
  char *key;
  int lock;
  GPtrArray *steps;
};

static void
file_free (gpointer data)
{
  File *file = data;

  g_free (file->name);
  g_free (file);
}

static void
step_free (gpointer data)
{
  DerushCheckpointStep *step = data;

  g_free (step->name);
  g_clear_pointer (&step->result, json_object_unref);
  g_ptr_array_unref (step->warnings);
  g_ptr_array_unref (step->files);
  g_free (step);
}

static DerushCheckpointStep *
step_new (const char *name, JsonObject *result)
{
  DerushCheckpointStep *step = g_new0 (DerushCheckpointStep, 1);

  step->name = g_strdup (name);
  step->result = json_object_ref (result);
  step->warnings = g_ptr_array_new_with_free_func (g_free);
  step->files = g_ptr_array_new_with_free_func (file_free);
  return step;
}

static gint64
modified_of (const struct stat *status)
{
  return (gint64)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static gboolean
fail (GError **error, int number, const char *path)
{
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The folder %s cannot keep what finished steps made; check DERUSH_SCRATCH: %s"), path,
               g_strerror (number));
  return FALSE;
}

/* ── Folders and locks ──────────────────────────────────────────────────── */

static char *
folder_of (const char *parent, const char *job)
{
  g_autofree char *name = g_compute_checksum_for_string (G_CHECKSUM_SHA256, job, -1);
  g_autofree char *leaf = g_strconcat (PREFIX, name, NULL);

  return g_build_filename (parent, leaf, NULL);
}

/* The lock of the folder that is at @path now: one that was opened just before the folder went away locks nothing. */
static int
take_lock (const char *path, int *number)
{
  g_autofree char *lock_path = g_build_filename (path, LOCK_NAME, NULL);
  struct stat folder, ours, named;
  int lock;

  *number = ENOTDIR;
  if (lstat (path, &folder) != 0 || !S_ISDIR (folder.st_mode))
    return -1;
  *number = EPERM;
  if (folder.st_uid != geteuid ())
    return -1;
  lock = open (lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock >= 0 && flock (lock, LOCK_EX | LOCK_NB) == 0 && fstat (lock, &ours) == 0) {
    if (stat (lock_path, &named) == 0 && ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
      return lock;
    errno = EWOULDBLOCK;
  }
  *number = errno;
  if (lock >= 0)
    close (lock);
  return -1;
}

/* Out of everybody's way first: who waits for the lock then makes a new folder. */
static void
remove_locked (const char *path, int lock)
{
  g_autofree char *parent = g_path_get_dirname (path);
  g_autofree char *gone = g_strdup_printf ("%s/" GONE_PREFIX "%08x%08x", parent, g_random_int (), g_random_int ());
  g_autoptr (GError) error = NULL;
  gboolean renamed = g_rename (path, gone) == 0;

  if (!derush_directory_remove (renamed ? gone : path, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "%s", error->message);
  close (lock);
}

static int
wait_for_lock (const char *path, GCancellable *cancellable, GError **error)
{
  gint64 end = g_get_monotonic_time () + LOCK_PATIENCE;

  for (;;) {
    int number, lock;

    if (g_mkdir (path, 0700) != 0 && errno != EEXIST) {
      fail (error, errno, path);
      return -1;
    }
    lock = take_lock (path, &number);
    if (lock >= 0)
      return lock;
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return -1;
    if ((number != EWOULDBLOCK && number != ENOENT && number != ENOTDIR) || g_get_monotonic_time () > end) {
      fail (error, number, path);
      return -1;
    }
    g_usleep (LOCK_INTERVAL);
  }
}

/* ── Reading ────────────────────────────────────────────────────────────── */

static gboolean
is_as_listed (const char *directory, const File *file)
{
  g_autofree char *path = g_build_filename (directory, file->name, NULL);
  struct stat status;

  return lstat (path, &status) == 0 && S_ISREG (status.st_mode) && status.st_size == file->size &&
         modified_of (&status) == file->modified;
}

static JsonObject *
object_at (JsonArray *array, guint i)
{
  JsonNode *node = json_array_get_element (array, i);

  return JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static gboolean
read_files (JsonArray *list, GPtrArray *files)
{
  for (guint i = 0; i < json_array_get_length (list); i++) {
    JsonObject *object = object_at (list, i);
    const char *name = derush_json_get_string (object, "name", "");
    File *file;

    if (*name == '\0' || *name == '.' || strchr (name, '/'))
      return FALSE;
    file = g_new0 (File, 1);
    file->name = g_strdup (name);
    file->size = derush_json_get_int (object, "size", -1);
    file->modified = derush_json_get_int (object, "modified", 0);
    g_ptr_array_add (files, file);
  }
  return TRUE;
}

static DerushCheckpointStep *
read_step (JsonObject *object)
{
  const char *name = derush_json_get_string (object, "name", NULL);
  JsonObject *result = derush_json_get_object (object, "result");
  JsonArray *warnings = derush_json_get_array (object, "warnings"), *files = derush_json_get_array (object, "files");
  DerushCheckpointStep *step;

  if (!name || !result || !warnings || !files)
    return NULL;
  step = step_new (name, result);
  for (guint i = 0; i < json_array_get_length (warnings); i++) {
    JsonNode *node = json_array_get_element (warnings, i);

    if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
      g_ptr_array_add (step->warnings, json_node_dup_string (node));
  }
  if (read_files (files, step->files))
    return step;
  step_free (step);
  return NULL;
}

static char *
read_text (const char *path, gsize *length)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  g_autofree char *text = NULL;
  struct stat status;
  gsize got = 0;

  if (fd < 0)
    return NULL;
  if (fstat (fd, &status) == 0 && S_ISREG (status.st_mode) && status.st_size <= MAX_BYTES) {
    text = g_malloc (status.st_size + 1);
    while (got < (gsize)status.st_size) {
      gssize n = read (fd, text + got, status.st_size - got);

      if (n <= 0)
        break;
      got += n;
    }
    text[got] = '\0';
  }
  close (fd);
  *length = got;
  return g_steal_pointer (&text);
}

/* Steps count up to the first whose files are not what they were: what came after it was made of them. */
static void
read_steps (DerushCheckpoint *checkpoint)
{
  g_autofree char *path = g_build_filename (checkpoint->path, CHECKPOINT_NAME, NULL);
  gsize length = 0;
  g_autofree char *text = read_text (path, &length);
  g_autoptr (JsonObject) object = NULL;
  g_autoptr (GError) error = NULL;
  JsonArray *steps;

  if (!text)
    return;
  object = derush_json_parse_object (text, length, &error);
  if (!object) {
    derush_log (DERUSH_LOG_WARN, NULL, "The checkpoint %s is damaged; its steps are done anew: %s", path,
                error->message);
    return;
  }
  if (derush_json_get_int (object, "version", 0) != VERSION ||
      strcmp (derush_json_get_string (object, "key", ""), checkpoint->key) != 0)
    return;
  steps = derush_json_get_array (object, "steps");
  for (guint i = 0; steps && i < json_array_get_length (steps); i++) {
    DerushCheckpointStep *step = read_step (object_at (steps, i));
    gboolean whole = step != NULL;

    for (guint k = 0; whole && k < step->files->len; k++)
      whole = is_as_listed (checkpoint->kept, step->files->pdata[k]);
    if (!whole) {
      derush_log (DERUSH_LOG_WARN, NULL, "The checkpoint %s is damaged; step %s and what follows are done anew", path,
                  step ? step->name : "?");
      g_clear_pointer (&step, step_free);
      return;
    }
    g_ptr_array_add (checkpoint->steps, step);
  }
}

static gboolean
is_listed (DerushCheckpoint *checkpoint, const char *name)
{
  for (guint i = 0; i < checkpoint->steps->len; i++) {
    DerushCheckpointStep *step = checkpoint->steps->pdata[i];

    for (guint k = 0; k < step->files->len; k++)
      if (strcmp (((File *)step->files->pdata[k])->name, name) == 0)
        return TRUE;
  }
  return FALSE;
}

/* Half a file of the step that was running would only confuse it when it runs again. */
static gboolean
remove_unlisted (DerushCheckpoint *checkpoint, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (checkpoint->kept, 0, NULL);
  g_autoptr (GPtrArray) unlisted = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (!is_listed (checkpoint, name))
      g_ptr_array_add (unlisted, g_build_filename (checkpoint->kept, name, NULL));
  for (guint i = 0; i < unlisted->len; i++)
    if (!derush_directory_remove (unlisted->pdata[i], error))
      return FALSE;
  return TRUE;
}

/**
 * derush_checkpoint_open:
 * @parent: DERUSH_SCRATCH
 * @job: what names the job, the same for all of its attempts
 * @key: a hash of all that the results of its steps depend on; steps that another key has left are forgotten
 * @cancellable: (nullable): ends the waiting
 * @error: return location for an error
 *
 * Takes the job's folder, which nobody else uses until it is closed. Another attempt of the same job that is just being
 * stopped is waited for, for 2 s.
 *
 * Returns: (transfer full) (nullable): what is kept of finished steps, or %NULL if the folder cannot be used
 */
DerushCheckpoint *
derush_checkpoint_open (const char *parent, const char *job, const char *key, GCancellable *cancellable, GError **error)
{
  DerushCheckpoint *checkpoint;
  g_autofree char *path = folder_of (parent, job);
  int lock = wait_for_lock (path, cancellable, error);

  if (lock < 0)
    return NULL;
  checkpoint = g_new0 (DerushCheckpoint, 1);
  checkpoint->path = g_steal_pointer (&path);
  checkpoint->kept = g_build_filename (checkpoint->path, FILES_NAME, NULL);
  checkpoint->key = g_strdup (key);
  checkpoint->lock = lock;
  checkpoint->steps = g_ptr_array_new_with_free_func (step_free);
  futimens (lock, NULL);
  if (g_file_test (checkpoint->kept, G_FILE_TEST_IS_SYMLINK) ||
      (g_mkdir (checkpoint->kept, 0700) != 0 && errno != EEXIST)) {
    fail (error, errno, checkpoint->path);
    derush_checkpoint_close (checkpoint, FALSE);
    return NULL;
  }
  read_steps (checkpoint);
  if (!remove_unlisted (checkpoint, error)) {
    derush_checkpoint_close (checkpoint, FALSE);
    return NULL;
  }
  return checkpoint;
}

/**
 * derush_checkpoint_restore:
 * @checkpoint: a checkpoint that nothing is taken from any more
 * @directory: the empty folder of the worker, on the same file system
 * @error: return location for an error; the steps are then forgotten
 *
 * Puts the files of the finished steps there. The worker may write to that folder only, so that what is kept of other
 * jobs is out of its reach.
 */
gboolean
derush_checkpoint_restore (DerushCheckpoint *checkpoint, const char *directory, GError **error)
{
  checkpoint->directory = g_strdup (directory);
  for (guint i = 0; i < checkpoint->steps->len; i++) {
    GPtrArray *files = ((DerushCheckpointStep *)checkpoint->steps->pdata[i])->files;

    for (guint k = 0; k < files->len; k++) {
      const char *name = ((File *)files->pdata[k])->name;
      g_autofree char *kept = g_build_filename (checkpoint->kept, name, NULL);
      g_autofree char *path = g_build_filename (directory, name, NULL);

      if (link (kept, path) != 0) {
        fail (error, errno, checkpoint->path);
        derush_checkpoint_truncate (checkpoint, 0);
        return FALSE;
      }
    }
  }
  return TRUE;
}

GPtrArray *
derush_checkpoint_get_steps (DerushCheckpoint *checkpoint)
{
  return checkpoint->steps;
}

/**
 * derush_checkpoint_truncate:
 * @checkpoint: a checkpoint
 * @n_steps: how many of its steps stay
 *
 * Forgets the others and their files.
 */
void
derush_checkpoint_truncate (DerushCheckpoint *checkpoint, guint n_steps)
{
  g_autoptr (GError) error = NULL;

  if (n_steps >= checkpoint->steps->len)
    return;
  g_ptr_array_set_size (checkpoint->steps, n_steps);
  if (!remove_unlisted (checkpoint, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "%s", error->message);
}

/* ── Writing ────────────────────────────────────────────────────────────── */

static JsonObject *
describe_file (const File *file)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "name", file->name);
  json_object_set_int_member (object, "size", file->size);
  json_object_set_int_member (object, "modified", file->modified);
  return object;
}

static JsonObject *
describe_step (const DerushCheckpointStep *step)
{
  JsonObject *object = json_object_new ();
  JsonArray *warnings = json_array_new (), *files = json_array_new ();

  for (guint i = 0; i < step->warnings->len; i++)
    json_array_add_string_element (warnings, step->warnings->pdata[i]);
  for (guint i = 0; i < step->files->len; i++)
    json_array_add_object_element (files, describe_file (step->files->pdata[i]));
  json_object_set_string_member (object, "name", step->name);
  json_object_set_object_member (object, "result", json_object_ref (step->result));
  json_object_set_array_member (object, "warnings", warnings);
  json_object_set_array_member (object, "files", files);
  return object;
}

static gboolean
write_steps (DerushCheckpoint *checkpoint, GError **error)
{
  g_autofree char *path = g_build_filename (checkpoint->path, CHECKPOINT_NAME, NULL), *text = NULL;
  g_autoptr (JsonObject) object = json_object_new ();
  JsonArray *steps = json_array_new ();

  for (guint i = 0; i < checkpoint->steps->len; i++)
    json_array_add_object_element (steps, describe_step (checkpoint->steps->pdata[i]));
  json_object_set_int_member (object, "version", VERSION);
  json_object_set_string_member (object, "key", checkpoint->key);
  json_object_set_array_member (object, "steps", steps);
  text = derush_json_object_to_string (object);
  return derush_file_write_atomically (path, text, -1, error);
}

/* Files that a later step has changed or removed are no longer those of the earlier one. */
static void
forget_changed (DerushCheckpoint *checkpoint)
{
  for (guint i = 0; i < checkpoint->steps->len; i++) {
    GPtrArray *files = ((DerushCheckpointStep *)checkpoint->steps->pdata[i])->files;

    for (guint k = files->len; k > 0; k--)
      if (!is_as_listed (checkpoint->directory, files->pdata[k - 1]))
        g_ptr_array_remove_index (files, k - 1);
  }
}

/* The same file under a second name: nothing is copied. */
static gboolean
keep_file (DerushCheckpoint *checkpoint, const char *path, const char *name)
{
  g_autofree char *kept = g_build_filename (checkpoint->kept, name, NULL);

  return (g_unlink (kept) == 0 || errno == ENOENT) && link (path, kept) == 0;
}

static gboolean
take_file (DerushCheckpoint *checkpoint, const char *name, GPtrArray *files)
{
  g_autofree char *path = g_build_filename (checkpoint->directory, name, NULL);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct stat status;
  gboolean done;

  /* Links and sockets are no files of a job; publishing says so. */
  if (fd < 0)
    return errno == ELOOP || errno == ENXIO;
  done = fstat (fd, &status) == 0;
  if (done && S_ISREG (status.st_mode) && (done = fsync (fd) == 0 && keep_file (checkpoint, path, name))) {
    File *file = g_new0 (File, 1);

    file->name = g_strdup (name);
    file->size = status.st_size;
    file->modified = modified_of (&status);
    g_ptr_array_add (files, file);
  }
  close (fd);
  return done;
}

static gboolean
sync_directory (const char *path)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean done = fd >= 0 && fsync (fd) == 0;

  if (fd >= 0)
    close (fd);
  return done;
}

static gboolean
take_new_files (DerushCheckpoint *checkpoint, GPtrArray *files, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (checkpoint->directory, 0, NULL);
  gboolean done = dir != NULL;
  const char *name;

  while (done && (name = g_dir_read_name (dir)))
    done = is_listed (checkpoint, name) || take_file (checkpoint, name, files);
  if (done && (files->len == 0 || sync_directory (checkpoint->kept)))
    return TRUE;
  return fail (error, errno, checkpoint->path);
}

/**
 * derush_checkpoint_add_step:
 * @checkpoint: a checkpoint
 * @name: a step that has just finished
 * @result: its result
 * @warnings: (element-type utf8): what the job has warned of
 * @first_warning: from which on that was this step
 * @error: return location for an error
 *
 * Returns: whether the step and the files that it wrote are safely on disk; if not, the checkpoint is what it was
 */
gboolean
derush_checkpoint_add_step (DerushCheckpoint *checkpoint, const char *name, JsonObject *result, GPtrArray *warnings,
                            guint first_warning, GError **error)
{
  DerushCheckpointStep *step = step_new (name, result);

  for (guint i = first_warning; i < warnings->len; i++)
    g_ptr_array_add (step->warnings, g_strdup (warnings->pdata[i]));
  forget_changed (checkpoint);
  if (!take_new_files (checkpoint, step->files, error)) {
    step_free (step);
    return FALSE;
  }
  g_ptr_array_add (checkpoint->steps, step);
  if (write_steps (checkpoint, error))
    return TRUE;
  g_ptr_array_set_size (checkpoint->steps, checkpoint->steps->len - 1);
  return FALSE;
}

/* ── Ending ─────────────────────────────────────────────────────────────── */

/**
 * derush_checkpoint_close:
 * @checkpoint: (transfer full): a checkpoint
 * @keep: whether there will be another attempt; what the unfinished step made is removed all the same
 */
void
derush_checkpoint_close (DerushCheckpoint *checkpoint, gboolean keep)
{
  if (keep && checkpoint->steps->len > 0) {
    remove_unlisted (checkpoint, NULL);
    futimens (checkpoint->lock, NULL);
    close (checkpoint->lock);
  } else {
    remove_locked (checkpoint->path, checkpoint->lock);
  }
  g_ptr_array_unref (checkpoint->steps);
  g_free (checkpoint->path);
  g_free (checkpoint->kept);
  g_free (checkpoint->directory);
  g_free (checkpoint->key);
  g_free (checkpoint);
}

void
derush_checkpoint_discard (const char *parent, const char *job)
{
  g_autofree char *path = folder_of (parent, job);
  int number, lock = take_lock (path, &number);

  if (lock >= 0)
    remove_locked (path, lock);
}

/* ── What jobs that never came back have left ───────────────────────────── */

typedef struct {
  char *path;
  gint64 used; /* when, in µs since 1970 */
} Left;

static void
left_free (gpointer data)
{
  Left *left = data;

  g_free (left->path);
  g_free (left);
}

static gint64
used_at (const char *folder)
{
  static const char *const names[] = {LOCK_NAME, CHECKPOINT_NAME};
  gint64 used = 0;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (folder, names[i], NULL);
    struct stat status;

    if (lstat (path, &status) == 0)
      used = MAX (used, modified_of (&status) / 1000);
  }
  return used;
}

static int
compare_left (gconstpointer a, gconstpointer b)
{
  const Left *left = *(Left *const *)a, *right = *(Left *const *)b;

  return left->used < right->used ? -1 : left->used > right->used;
}

/* Those that are there, oldest first; what was on its way out when its process died goes at once. */
static GPtrArray *
list_left (const char *parent)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (left_free);
  g_autoptr (GDir) dir = g_dir_open (parent, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (parent, name, NULL);

    if (g_str_has_prefix (name, GONE_PREFIX)) {
      derush_directory_remove (path, NULL);
    } else if (g_str_has_prefix (name, PREFIX)) {
      Left *left = g_new0 (Left, 1);

      left->used = used_at (path);
      left->path = g_steal_pointer (&path);
      g_ptr_array_add (list, left);
    }
  }
  g_ptr_array_sort (list, compare_left);
  return list;
}

static void
remove_left (const Left *left)
{
  int number, lock = take_lock (left->path, &number);

  if (lock < 0)
    return;
  /* It may have been used, and closed again, since the list was made. */
  if (used_at (left->path) > left->used) {
    close (lock);
    return;
  }
  derush_log (DERUSH_LOG_DEBUG, NULL, "Removing %s, which an unfinished job has left", left->path);
  remove_locked (left->path, lock);
}

/**
 * derush_checkpoints_sweep:
 * @config: the settings: DERUSH_SCRATCH, DERUSH_CHECKPOINT_AGE
 *
 * Removes what jobs have left that did not come back for DERUSH_CHECKPOINT_AGE seconds. Blocks; any thread may call it.
 */
void
derush_checkpoints_sweep (DerushConfig *config)
{
  gint64 oldest = g_get_real_time () - derush_config_get_int (config, "DERUSH_CHECKPOINT_AGE") * G_USEC_PER_SEC;
  g_autoptr (GPtrArray) list = list_left (derush_config_get_string (config, "DERUSH_SCRATCH"));

  for (guint i = 0; i < list->len && ((Left *)list->pdata[i])->used < oldest; i++)
    remove_left (list->pdata[i]);
}

void
derush_checkpoint_make_room (const char *parent, const char *path, gint64 needed)
{
  g_autoptr (GPtrArray) list = NULL;
  struct stat theirs, ours;

  if (stat (parent, &ours) != 0 || stat (path, &theirs) != 0 || ours.st_dev != theirs.st_dev)
    return;
  list = list_left (parent);
  for (guint i = 0; i < list->len && derush_disk_free (path) < needed; i++)
    remove_left (list->pdata[i]);
}
