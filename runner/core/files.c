/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define COPY_CHUNK (1024 * 1024)

static gboolean
fail (GError **error, int number, const char *format, const char *path)
{
  g_autofree char *what = g_strdup_printf (format, path);

  g_set_error (error, DERUSH_CORE_ERROR,
               number == ENOENT || number == ENOTDIR || number == EISDIR ? DERUSH_ERROR_BAD_INPUT
                                                                         : DERUSH_ERROR_RESOURCE,
               "%s: %s", what, g_strerror (number));
  return FALSE;
}

/**
 * derush_write_all:
 * @fd: a blocking descriptor
 * @data: what to write
 * @length: bytes of it
 *
 * Returns: whether all of it was written; errno says why not
 */
gboolean
derush_write_all (int fd, const void *data, gsize length)
{
  const char *left = data;

  while (length > 0) {
    gssize written = write (fd, left, length);

    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return FALSE;
    left += written;
    length -= written;
  }
  return TRUE;
}

/* A new file beside @path; the caller renames or removes it. */
static int
open_beside (const char *path, char **partial, GError **error)
{
  int fd;

  *partial = g_strdup_printf ("%s.XXXXXX.part", path);
  fd = g_mkstemp_full (*partial, O_RDWR | O_CLOEXEC, 0644);
  if (fd < 0) {
    int number = errno;

    fail (error, number, _ ("Could not create a file for %s"), path);
    g_clear_pointer (partial, g_free);
  }
  return fd;
}

/**
 * derush_file_write_atomically:
 * @path: where the file is to be
 * @contents: what it holds
 * @length: its length in bytes, or -1
 * @error: return location for an error
 *
 * Returns: %TRUE if @path now has exactly @contents; otherwise whatever was there before is still there
 */
gboolean
derush_file_write_atomically (const char *path, const char *contents, gssize length, GError **error)
{
  g_autofree char *partial = NULL;
  int number, fd = open_beside (path, &partial, error);

  if (fd < 0)
    return FALSE;
  if (length < 0)
    length = strlen (contents);
  if (derush_write_all (fd, contents, length) && fsync (fd) == 0 && g_close (fd, NULL) && g_rename (partial, path) == 0)
    return TRUE;
  number = errno;
  g_unlink (partial);
  return fail (error, number, _ ("Could not write %s"), path);
}

static gboolean
copy_contents (int from, int to)
{
  g_autofree char *chunk = NULL;

  for (;;) {
    gssize copied = copy_file_range (from, NULL, to, NULL, 1 << 30, 0);

    if (copied == 0)
      return TRUE;
    if (copied < 0)
      break;
  }
  /* Not every pair of file systems can; go on from wherever it got to. */
  chunk = g_malloc (COPY_CHUNK);
  for (;;) {
    gssize got = read (from, chunk, COPY_CHUNK);

    if (got == 0)
      return TRUE;
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0 || !derush_write_all (to, chunk, got))
      return FALSE;
  }
}

/**
 * derush_file_publish:
 * @source: a finished file
 * @directory: the folder it is for; it has to exist
 * @name: the name it is to have there; must be one component
 * @published: (out) (optional): the absolute path it got
 * @error: return location for an error
 *
 * Moves @source into @directory. Between file systems it is copied under another name first, so that @name only ever
 * stands for the whole file. A file of that name is replaced.
 */
gboolean
derush_file_publish (const char *source, const char *directory, const char *name, char **published, GError **error)
{
  g_autofree char *target = NULL, *partial = NULL;
  int from, to, number;

  g_return_val_if_fail (strchr (name, '/') == NULL && *name && *name != '.', FALSE);
  target = g_canonicalize_filename (name, directory);
  if (g_rename (source, target) == 0) {
    if (published)
      *published = g_steal_pointer (&target);
    return TRUE;
  }
  if (errno != EXDEV)
    return fail (error, errno, _ ("Could not put the finished file at %s"), target);
  from = open (source, O_RDONLY | O_CLOEXEC);
  if (from < 0)
    return fail (error, errno, _ ("Could not read the finished file %s"), source);
  to = open_beside (target, &partial, error);
  if (to < 0) {
    close (from);
    return FALSE;
  }
  if (copy_contents (from, to) && fsync (to) == 0 && g_close (to, NULL) && g_rename (partial, target) == 0) {
    close (from);
    g_unlink (source);
    if (published)
      *published = g_steal_pointer (&target);
    return TRUE;
  }
  number = errno;
  close (from);
  g_unlink (partial);
  return fail (error, number, _ ("Could not put the finished file at %s"), target);
}

static gboolean
remove_at (int parent, const char *name, guint depth)
{
  int fd;
  DIR *dir;
  struct dirent *entry;
  gboolean whole = TRUE;

  if (unlinkat (parent, name, 0) == 0 || errno == ENOENT)
    return TRUE;
  if ((errno != EISDIR && errno != EPERM) || depth > 32)
    return FALSE;
  /* A symbolic link is unlinked above and never followed. */
  fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return FALSE;
  dir = fdopendir (fd);
  while (dir && (entry = readdir (dir)))
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      whole &= remove_at (fd, entry->d_name, depth + 1);
  if (dir)
    closedir (dir);
  return unlinkat (parent, name, AT_REMOVEDIR) == 0 && whole;
}

/**
 * derush_directory_remove:
 * @path: a folder
 * @error: return location for an error
 *
 * Removes @path and what is in it; links are not followed. That it does not exist is no error.
 */
gboolean
derush_directory_remove (const char *path, GError **error)
{
  return remove_at (AT_FDCWD, path, 0) || fail (error, errno, _ ("Could not remove the folder %s"), path);
}

static gboolean
is_within (const char *path, const char *root)
{
  gsize length = strlen (root);

  while (length > 1 && root[length - 1] == '/')
    length--;
  return strncmp (path, root, length) == 0 && (length == 1 || path[length] == '\0' || path[length] == '/');
}

/**
 * derush_path_confine:
 * @path: a path; its last components need not exist yet
 * @roots: (array zero-terminated=1): the folders it must be in; with an empty list every absolute path will do
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): @path with every link resolved, or %NULL if that lies outside of @roots
 */
char *
derush_path_confine (const char *path, const char *const *roots, GError **error)
{
  g_autofree char *absolute = NULL, *existing = NULL, *resolved = NULL, *whole = NULL;
  const char *rest;

  if (!g_path_is_absolute (path)) {
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The path %s is not absolute"), path);
    return NULL;
  }
  absolute = g_canonicalize_filename (path, "/");
  existing = g_strdup (absolute);
  while (!(resolved = realpath (existing, NULL))) {
    char *slash = strrchr (existing, '/');
    struct stat status;

    /* A dangling link could point anywhere once somebody makes its target. */
    if (!slash || lstat (existing, &status) == 0) {
      g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The path %s cannot be resolved"), path);
      return NULL;
    }
    if (slash == existing)
      slash++;
    *slash = '\0';
  }
  rest = absolute + strlen (existing);
  whole = *rest == '\0' ? g_strdup (resolved) : g_build_filename (resolved, rest, NULL);
  if (!roots || !roots[0])
    return g_steal_pointer (&whole);
  for (guint i = 0; roots[i]; i++) {
    g_autofree char *root = realpath (roots[i], NULL);

    if (root && is_within (whole, root))
      return g_steal_pointer (&whole);
  }
  g_set_error (
      error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT,
      _ ("The path %s is outside of the allowed folders; add its folder to DERUSH_ALLOWED_ROOTS if it may be used"),
      path);
  return NULL;
}

/**
 * derush_path_open:
 * @resolved: what derush_path_confine() has returned
 * @flags: as for open(); a file is not made
 *
 * Opens @resolved and nothing else: a link that somebody has put into its way since it was resolved is not followed.
 *
 * Returns: a descriptor, or -1 with `errno` set, to ELOOP or ENOTDIR where there is such a link
 */
int
derush_path_open (const char *resolved, int flags)
{
  g_auto (GStrv) parts = g_strsplit (resolved, "/", -1);
  int fd = open ("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

  for (guint i = 0; fd >= 0 && parts[i]; i++) {
    int next, number;

    if (parts[i][0] == '\0' && parts[i + 1])
      continue;
    next = openat (fd, parts[i][0] == '\0' ? "." : parts[i],
                   (parts[i + 1] ? O_PATH | O_DIRECTORY : flags) | O_NOFOLLOW | O_CLOEXEC);
    number = errno;
    close (fd);
    fd = next;
    errno = number;
  }
  return fd;
}

/**
 * derush_time_now_ms:
 *
 * Returns: the wall clock in milliseconds since 1970, as BullMQ counts
 */
gint64
derush_time_now_ms (void)
{
  return g_get_real_time () / 1000;
}

/**
 * derush_time_to_iso8601:
 * @time_ms: milliseconds since 1970
 *
 * Returns: (transfer full): the time in UTC, as JavaScript's `Date.toISOString()` writes it
 */
char *
derush_time_to_iso8601 (gint64 time_ms)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (time_ms / 1000);
  g_autofree char *seconds = g_date_time_format (time, "%Y-%m-%dT%H:%M:%S");

  return g_strdup_printf ("%s.%03dZ", seconds, (int)(time_ms % 1000));
}

/* The floor that is the default is no larger share of a small disk. */
#define FLOOR_SHARE 0.02

/**
 * derush_disk_floor:
 * @config: the settings
 * @size: of a disk, in bytes
 *
 * Returns: what is to stay free of it, in bytes, by `DERUSH_DISK_FLOOR`: below that no job begins
 */
gint64
derush_disk_floor (DerushConfig *config, gint64 size)
{
  gint64 floor = derush_config_get_int (config, "DERUSH_DISK_FLOOR");

  return derush_config_is_default (config, "DERUSH_DISK_FLOOR") ? MIN (floor, (gint64)(size * FLOOR_SHARE)) : floor;
}
