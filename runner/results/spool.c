/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * What waits on disk for a database that is away: a folder of files of lines. Lines are appended to the newest file and
 * synchronised; a file that is being read is never appended to again, so what a crash has torn is the end of a file, and
 * is left out. The folder of a process is locked while it lives: another one takes over what a dead one has left.
 */

#include "spool-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* A file that is at least this long is not appended to. */
#define FILE_BYTES (1024 * 1024)
#define LOCK_NAME "lock"

typedef struct {
  char *path;
  gint64 bytes;
  guint lines; /* that are not consumed */
  gint64 made; /* in ms since 1970 */
} File;

struct _Spool {
  char *top;    /* for all processes */
  char *folder; /* of this one; NULL before it is needed */
  int lock_fd;
  gint64 limit;

  GMutex files_lock; /* held while the disk is worked on */
  GQueue files;      /* of File, oldest first */
  int fd;            /* the newest one, while it may be appended to; -1 */
  guint next;        /* the number of the next one */
  GPtrArray *read;   /* lines of the oldest one that are not consumed; NULL: not read */

  GMutex size_lock; /* held for a moment only */
  SpoolSize size;
};

static void
file_free (gpointer data)
{
  File *file = data;

  g_free (file->path);
  g_free (file);
}

static void
update_size (Spool *spool)
{
  SpoolSize size = {0};

  for (GList *link = spool->files.head; link; link = link->next) {
    File *file = link->data;

    size.operations += file->lines;
    size.bytes += file->bytes;
    if (size.oldest == 0 && file->lines > 0)
      size.oldest = file->made;
  }
  g_mutex_lock (&spool->size_lock);
  spool->size = size;
  g_mutex_unlock (&spool->size_lock);
}

static void
sync_folder (const char *path)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd >= 0) {
    fsync (fd);
    close (fd);
  }
}

static gboolean
fail (GError **error, const char *path, int number)
{
  g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The spool %s, where rows wait for the database, cannot be used (make room there, or set "
                  "DERUSH_STATE_DIR to another folder): %s"),
               path, g_strerror (number));
  return FALSE;
}

/* ── Folders ────────────────────────────────────────────────────────────── */

/* Returns: a descriptor that holds @folder locked; -1 if another process has it */
static int
lock_folder (const char *folder)
{
  g_autofree char *path = g_build_filename (folder, LOCK_NAME, NULL);
  int fd = g_open (path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

  if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) != 0) {
    close (fd);
    fd = -1;
  }
  return fd;
}

static gboolean
make_folder (Spool *spool, GError **error)
{
  g_autofree char *name = NULL;

  if (spool->folder)
    return TRUE;
  if (g_mkdir_with_parents (spool->top, 0700) != 0)
    return fail (error, spool->top, errno);
  name = g_strdup_printf ("%015" G_GINT64_FORMAT "-%d-%08x", derush_time_now_ms (), (int)getpid (), g_random_int ());
  spool->folder = g_build_filename (spool->top, name, NULL);
  if (g_mkdir (spool->folder, 0700) == 0 && (spool->lock_fd = lock_folder (spool->folder)) >= 0) {
    sync_folder (spool->top);
    return TRUE;
  }
  fail (error, spool->folder, errno);
  g_clear_pointer (&spool->folder, g_free);
  return FALSE;
}

static void
remove_folder (const char *folder)
{
  g_autofree char *lock = g_build_filename (folder, LOCK_NAME, NULL);

  g_unlink (lock);
  g_rmdir (folder);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* Returns: (element-type utf8): the names in @folder, sorted */
static GPtrArray *
list (const char *folder)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  return names;
}

static char *
next_path (Spool *spool)
{
  g_autofree char *name = g_strdup_printf ("%08u.jsonl", spool->next++);

  return g_build_filename (spool->folder, name, NULL);
}

/* Returns: (element-type utf8): its whole lines */
static GPtrArray *
read_lines (File *file, gboolean warn)
{
  GPtrArray *lines = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize length = 0;
  char *line, *end;

  if (!g_file_get_contents (file->path, &text, &length, &error)) {
    derush_log (DERUSH_LOG_ERROR, NULL, "Rows that waited for the database are lost: %s", error->message);
    return lines;
  }
  for (line = text; (end = memchr (line, '\n', text + length - line)); line = end + 1)
    g_ptr_array_add (lines, g_strndup (line, end - line));
  if (warn && line < text + length)
    derush_log (
        DERUSH_LOG_WARN, NULL,
        "The last line of %s was torn by a crash and is left out: jobs whose rows it had are looked up in Redis",
        file->path);
  return lines;
}

/* Takes the files of a process that is dead. */
static gboolean
adopt (Spool *spool, const char *folder, GError **error)
{
  int fd = lock_folder (folder);
  g_autoptr (GPtrArray) names = NULL;

  if (fd < 0)
    return TRUE;
  names = list (folder);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_build_filename (folder, names->pdata[i], NULL);
    g_autoptr (GPtrArray) lines = NULL;
    GStatBuf status;
    File *file;

    if (!g_str_has_suffix (names->pdata[i], ".jsonl") || g_stat (path, &status) != 0)
      continue;
    if (!make_folder (spool, error)) {
      close (fd);
      return FALSE;
    }
    file = g_new0 (File, 1);
    file->path = next_path (spool);
    file->bytes = status.st_size;
    file->made = (gint64)status.st_mtime * 1000;
    if (g_rename (path, file->path) != 0) {
      fail (error, path, errno);
      file_free (file);
      close (fd);
      return FALSE;
    }
    lines = read_lines (file, FALSE);
    file->lines = lines->len;
    g_queue_push_tail (&spool->files, file);
  }
  if (spool->folder)
    sync_folder (spool->folder);
  remove_folder (folder);
  close (fd);
  return TRUE;
}

/*
 * spool_open:
 * @top: the folder for the spools of all processes
 * @limit: how many bytes may wait
 *
 * Takes over what processes that are no more have left in @top. Nothing is made there before it is needed.
 */
Spool *
spool_open (const char *top, gint64 limit, GError **error)
{
  Spool *spool = g_new0 (Spool, 1);
  g_autoptr (GPtrArray) names = list (top);

  spool->top = g_strdup (top);
  spool->lock_fd = spool->fd = -1;
  spool->limit = limit;
  g_mutex_init (&spool->files_lock);
  g_mutex_init (&spool->size_lock);
  g_queue_init (&spool->files);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *folder = g_build_filename (top, names->pdata[i], NULL);

    /* Links are not followed: what is moved from here is removed later. */
    if (g_file_test (folder, G_FILE_TEST_IS_SYMLINK) || !g_file_test (folder, G_FILE_TEST_IS_DIR) ||
        g_strcmp0 (folder, spool->folder) == 0)
      continue;
    if (!adopt (spool, folder, error)) {
      spool_free (spool);
      return NULL;
    }
  }
  update_size (spool);
  return spool;
}

void
spool_free (Spool *spool)
{
  if (!spool)
    return;
  if (spool->fd >= 0)
    close (spool->fd);
  if (spool->folder && spool->files.length == 0)
    remove_folder (spool->folder);
  if (spool->lock_fd >= 0)
    close (spool->lock_fd);
  g_queue_clear_full (&spool->files, file_free);
  g_clear_pointer (&spool->read, g_ptr_array_unref);
  g_mutex_clear (&spool->files_lock);
  g_mutex_clear (&spool->size_lock);
  g_free (spool->top);
  g_free (spool->folder);
  g_free (spool);
}

SpoolSize
spool_get_size (Spool *spool)
{
  SpoolSize size;

  g_mutex_lock (&spool->size_lock);
  size = spool->size;
  g_mutex_unlock (&spool->size_lock);
  return size;
}

const char *
spool_get_folder (Spool *spool)
{
  return spool->top;
}

/* ── Writing ────────────────────────────────────────────────────────────── */

static void
seal (Spool *spool)
{
  if (spool->fd >= 0)
    close (spool->fd);
  spool->fd = -1;
}

static void
remove_oldest (Spool *spool)
{
  File *file = g_queue_pop_head (&spool->files);

  if (spool->files.length == 0)
    seal (spool);
  g_clear_pointer (&spool->read, g_ptr_array_unref);
  g_unlink (file->path);
  file_free (file);
}

static gboolean
begin_file (Spool *spool, GError **error)
{
  File *newest = g_queue_peek_tail (&spool->files);

  if (spool->fd >= 0 && newest->bytes < FILE_BYTES)
    return TRUE;
  seal (spool);
  if (!make_folder (spool, error))
    return FALSE;
  newest = g_new0 (File, 1);
  newest->path = next_path (spool);
  newest->made = derush_time_now_ms ();
  spool->fd = g_open (newest->path, O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (spool->fd < 0) {
    fail (error, newest->path, errno);
    file_free (newest);
    /* Somebody has removed the folder: the next one that is needed is made anew. */
    if (!g_file_test (spool->folder, G_FILE_TEST_IS_DIR)) {
      close (spool->lock_fd);
      spool->lock_fd = -1;
      g_clear_pointer (&spool->folder, g_free);
    }
    return FALSE;
  }
  g_queue_push_tail (&spool->files, newest);
  sync_folder (spool->folder);
  return TRUE;
}

static gboolean
append (Spool *spool, GString *text, guint n_lines, guint64 *lost, GError **error)
{
  File *file;

  while (spool->files.length > 0 && spool_get_size (spool).bytes + (gint64)text->len > spool->limit) {
    *lost += ((File *)g_queue_peek_head (&spool->files))->lines;
    remove_oldest (spool);
    update_size (spool);
  }
  if (!begin_file (spool, error))
    return FALSE;
  file = g_queue_peek_tail (&spool->files);
  if (derush_write_all (spool->fd, text->str, text->len) && fdatasync (spool->fd) == 0) {
    file->bytes += text->len;
    file->lines += n_lines;
    update_size (spool);
    return TRUE;
  }
  fail (error, file->path, errno);
  if (ftruncate (spool->fd, file->bytes) != 0)
    seal (spool);
  return FALSE;
}

/*
 * spool_append:
 * @lines: (element-type utf8): without line ends
 * @lost: (out): how many of the oldest lines had to go to make room
 *
 * Returns: %TRUE once all of @lines are safely on disk; otherwise some of them may be there
 */
gboolean
spool_append (Spool *spool, GPtrArray *lines, guint64 *lost, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean good = TRUE;
  guint n = 0;

  *lost = 0;
  g_mutex_lock (&spool->files_lock);
  for (guint i = 0; good && i < lines->len; i++) {
    g_string_append (text, lines->pdata[i]);
    g_string_append_c (text, '\n');
    n++;
    if (text->len < FILE_BYTES && i + 1 < lines->len)
      continue;
    good = append (spool, text, n, lost, error);
    g_string_truncate (text, 0);
    n = 0;
  }
  g_mutex_unlock (&spool->files_lock);
  return good;
}

/* ── Reading ────────────────────────────────────────────────────────────── */

/*
 * spool_peek:
 * @n: how many lines at most
 *
 * Returns: (element-type utf8): the oldest lines, which stay; empty if nothing waits
 */
GPtrArray *
spool_peek (Spool *spool, guint n)
{
  GPtrArray *lines = g_ptr_array_new_with_free_func (g_free);

  g_mutex_lock (&spool->files_lock);
  while (lines->len == 0 && spool->files.length > 0) {
    File *file = g_queue_peek_head (&spool->files);

    if (!spool->read) {
      if (spool->files.length == 1)
        seal (spool);
      spool->read = read_lines (file, TRUE);
      file->lines = spool->read->len;
    }
    if (file->lines == 0) {
      remove_oldest (spool);
      continue;
    }
    for (guint i = spool->read->len - file->lines; i < spool->read->len && lines->len < n; i++)
      g_ptr_array_add (lines, g_strdup (spool->read->pdata[i]));
  }
  update_size (spool);
  g_mutex_unlock (&spool->files_lock);
  return lines;
}

/* The lines @first that spool_peek() gave are in the database: takes away the @n oldest, if they are still there. */
void
spool_consume (Spool *spool, const char *first, guint n)
{
  g_mutex_lock (&spool->files_lock);
  if (spool->read && spool->files.length > 0) {
    File *file = g_queue_peek_head (&spool->files);

    if (file->lines >= n && strcmp (spool->read->pdata[spool->read->len - file->lines], first) == 0) {
      file->lines -= n;
      if (file->lines == 0)
        remove_oldest (spool);
    }
  }
  update_size (spool);
  g_mutex_unlock (&spool->files_lock);
}
