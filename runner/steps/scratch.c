/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/scratch-private.h"
#include "steps/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define PREFIX "slot-"
#define LOCK_NAME "lock"

static gboolean
fail (GError **error, int number, const char *path)
{
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The working folder %s cannot be made; check DERUSH_SCRATCH: %s"), path, g_strerror (number));
  return FALSE;
}

static int
open_lock (const char *folder)
{
  g_autofree char *path = g_build_filename (folder, LOCK_NAME, NULL);

  return open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* A folder whose lock can be had belongs to nobody. Locks of a file work across containers, where process ids do not. */
static void
sweep (const char *parent)
{
  g_autoptr (GDir) dir = g_dir_open (parent, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *folder = g_build_filename (parent, name, NULL);
    int lock;

    if (!g_str_has_prefix (name, PREFIX))
      continue;
    lock = open_lock (folder);
    if (lock < 0)
      continue;
    if (flock (lock, LOCK_EX | LOCK_NB) == 0)
      derush_directory_remove (folder, NULL);
    close (lock);
  }
}

/* Keeps two processes from sweeping a folder that is being made. */
static int
lock_parent (const char *parent)
{
  int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd >= 0 && flock (fd, LOCK_EX) != 0) {
    close (fd);
    return -1;
  }
  return fd;
}

DerushScratch *
derush_scratch_new (const char *parent, GError **error)
{
  g_autoptr (GError) local = NULL;
  DerushScratch *scratch;
  int guard;

  if (g_mkdir_with_parents (parent, 0700) != 0 || (guard = lock_parent (parent)) < 0) {
    fail (error, errno, parent);
    return NULL;
  }
  sweep (parent);
  scratch = g_new0 (DerushScratch, 1);
  scratch->lock = -1;
  scratch->path = g_build_filename (parent, PREFIX "XXXXXX", NULL);
  if (!g_mkdtemp_full (scratch->path, 0700)) {
    fail (error, errno, parent);
    g_clear_pointer (&scratch->path, g_free);
    g_clear_pointer (&scratch, derush_scratch_free);
  } else if ((scratch->lock = open_lock (scratch->path)) < 0 || flock (scratch->lock, LOCK_EX | LOCK_NB) != 0) {
    fail (error, errno, scratch->path);
    g_clear_pointer (&scratch, derush_scratch_free);
  } else {
    scratch->home = derush_scratch_add_folder (scratch, "home", error);
    if (!scratch->home)
      g_clear_pointer (&scratch, derush_scratch_free);
  }
  close (guard);
  return scratch;
}

void
derush_scratch_free (DerushScratch *scratch)
{
  g_autoptr (GError) error = NULL;

  if (scratch->path && !derush_directory_remove (scratch->path, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "%s", error->message);
  if (scratch->lock >= 0)
    close (scratch->lock);
  g_free (scratch->path);
  g_free (scratch->home);
  g_free (scratch);
}

/* Cleaners of /tmp remove what looks old. */
gboolean
derush_scratch_is_there (DerushScratch *scratch)
{
  struct stat open_lock_file, named;
  g_autofree char *path = g_build_filename (scratch->path, LOCK_NAME, NULL);

  return fstat (scratch->lock, &open_lock_file) == 0 && stat (path, &named) == 0 &&
         open_lock_file.st_ino == named.st_ino && g_file_test (scratch->home, G_FILE_TEST_IS_DIR);
}

char *
derush_scratch_add_folder (DerushScratch *scratch, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (scratch->path, name, NULL);

  if (!derush_directory_remove (path, error))
    return NULL;
  if (g_mkdir (path, 0700) != 0) {
    fail (error, errno, path);
    return NULL;
  }
  return g_steal_pointer (&path);
}

gint64
derush_disk_free (const char *path)
{
  struct statvfs status;

  return statvfs (path, &status) == 0 ? (gint64)(status.f_bavail * status.f_frsize) : -1;
}
