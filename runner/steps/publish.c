/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/publish-private.h"
#include "steps/source-private.h"
#include "steps/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define CHUNK (1024 * 1024)
#define NAME_MAX_LENGTH 100

/* ── Folder ─────────────────────────────────────────────────────────────── */

char *
derush_name_sanitise (const char *name)
{
  g_autofree char *valid = g_utf8_make_valid (name ? name : "", -1);
  GString *safe = g_string_new (NULL);

  for (const char *p = valid; *p && safe->len < NAME_MAX_LENGTH; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (g_unichar_isalnum (c) || c == '-' || c == '_' || (c == '.' && safe->len > 0))
      g_string_append_unichar (safe, c);
    else
      g_string_append_c (safe, '_');
  }
  if (safe->len == 0)
    g_string_append (safe, "job");
  return g_string_free (safe, FALSE);
}

static void
remember (DerushOutputFolder *folder, char *made)
{
  if (g_ptr_array_find_with_equal_func (folder->made, made, g_str_equal, NULL))
    g_free (made);
  else
    g_ptr_array_add (folder->made, made);
}

static int
enter (int parent, const char *name, gboolean *made)
{
  int fd, number;

  *made = mkdirat (parent, name, 0755) == 0;
  number = errno;
  fd = openat (parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  /* Of the two errors the one that says why there is none. */
  if (fd < 0 && errno == ENOENT && number != EEXIST && !*made)
    errno = number;
  return fd;
}

/* Component by component, so that a link which somebody puts into the way of the resolved path leads nowhere. */
static int
make_and_open (DerushOutputFolder *folder)
{
  g_auto (GStrv) parts = g_strsplit (folder->path, "/", -1);
  g_autoptr (GString) path = g_string_new (NULL);
  int fd = open ("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

  for (guint i = 0; fd >= 0 && parts[i]; i++) {
    gboolean made = FALSE;
    int next, number;

    if (parts[i][0] == '\0')
      continue;
    g_string_append_printf (path, "/%s", parts[i]);
    next = openat (fd, parts[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0 && errno == ENOENT)
      next = enter (fd, parts[i], &made);
    number = errno;
    if (made)
      remember (folder, g_strdup (path->str));
    close (fd);
    fd = next;
    errno = number;
  }
  return fd;
}

static void
fail_to_make (const char *path, int number, GError **error)
{
  struct stat status;

  if (number == ENOTDIR && lstat (path, &status) == 0 && S_ISREG (status.st_mode))
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The output folder %s is a file"), path);
  else if (number == ENOTDIR || number == ELOOP)
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The output folder %s cannot be used: a file or a new link is in its way"), path);
  else
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("The output folder %s cannot be made: %s"), path,
                 g_strerror (number));
}

/* Returns: the folder, open, or -1 */
static int
make_folders (DerushOutputFolder *folder, GError **error)
{
  int fd;

  /* Two jobs may make the same folder at once, or one unmake what another makes. */
  for (int tries = 0; (fd = make_and_open (folder)) < 0 && errno == ENOENT && tries < 10; tries++)
    ;
  if (fd < 0) {
    fail_to_make (folder->path, errno, error);
    return -1;
  }
  if (faccessat (fd, ".", W_OK | X_OK, 0) != 0 && errno != ENOENT) {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("The output folder %s cannot be written to: %s"),
                 folder->path, g_strerror (errno));
    close (fd);
    return -1;
  }
  return fd;
}

DerushOutputFolder *
derush_output_folder_open (DerushConfig *config, DerushPlan *plan, const char *job_id, const char *const *roots,
                           GError **error)
{
  g_autoptr (DerushOutputFolder) folder = g_new0 (DerushOutputFolder, 1);
  g_autofree char *wanted = NULL;
  int fd;

  folder->made = g_ptr_array_new_with_free_func (g_free);
  if (plan->output_dir) {
    wanted = derush_local_path (plan->output_dir, error);
    if (!wanted)
      return NULL;
    folder->path = derush_path_confine (wanted, roots, error);
  } else {
    /* The configured folder need not be among the roots of the jobs, but no link may lead out of it. */
    const char *base = derush_config_get_string (config, "DERUSH_OUTPUT_DIR");
    const char *const only[] = {base, NULL};
    g_autofree char *leaf = derush_name_sanitise (plan->video_id ? plan->video_id : job_id);

    wanted = g_build_filename (base, leaf, NULL);
    if (g_mkdir_with_parents (base, 0755) != 0) {
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
                   _ ("The output folder %s cannot be made; check DERUSH_OUTPUT_DIR: %s"), base, g_strerror (errno));
      return NULL;
    }
    folder->path = derush_path_confine (wanted, only, error);
  }
  fd = folder->path ? make_folders (folder, error) : -1;
  if (fd < 0)
    return NULL;
  close (fd);
  return g_steal_pointer (&folder);
}

static gboolean
unmake (const char *path)
{
  g_autofree char *parent = g_path_get_dirname (path), *name = g_path_get_basename (path);
  int fd = derush_path_open (parent, O_PATH | O_DIRECTORY);
  gboolean done = fd >= 0 && unlinkat (fd, name, AT_REMOVEDIR) == 0;

  if (fd >= 0)
    close (fd);
  return done;
}

void
derush_output_folder_close (DerushOutputFolder *folder)
{
  for (guint i = folder->made->len; i > 0; i--)
    if (!unmake (folder->made->pdata[i - 1]))
      break;
  g_ptr_array_unref (folder->made);
  g_free (folder->path);
  g_free (folder);
}

/* ── Files ──────────────────────────────────────────────────────────────── */

static gboolean
is_one_component (const char *name)
{
  return name && *name && *name != '.' && !strchr (name, '/') && strlen (name) <= 200;
}

/* The worker decodes hostile media: a link that it left must not lead the runner anywhere. */
static int
open_made_file (const char *directory, const char *name, gint64 *size, GError **error)
{
  g_autofree char *path = NULL;
  struct stat status;
  int fd;

  if (!is_one_component (name)) {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
                 _ ("The worker named its file “%s”, which is no name"), name ? name : "");
    return -1;
  }
  path = g_build_filename (directory, name, NULL);
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd >= 0 && fstat (fd, &status) == 0 && S_ISREG (status.st_mode)) {
    *size = status.st_size;
    return fd;
  }
  if (fd >= 0)
    close (fd);
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
               _ ("The file %s that the worker reported is not there"), name);
  return -1;
}

static gboolean
hash (int fd, GChecksum *checksum, GCancellable *cancellable, GError **error)
{
  g_autofree guchar *chunk = g_malloc (CHUNK);

  for (;;) {
    gssize length = read (fd, chunk, CHUNK);

    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
    if (length == 0)
      return TRUE;
    if (length > 0) {
      g_checksum_update (checksum, chunk, length);
    } else if (errno != EINTR) {
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("A finished file cannot be read: %s"),
                   g_strerror (errno));
      return FALSE;
    }
  }
}

gboolean
derush_outputs_measure (GPtrArray *outputs, const char *directory, const char *target, GCancellable *cancellable,
                        GError **error)
{
  for (guint i = 0; i < outputs->len; i++) {
    DerushOutput *output = outputs->pdata[i];
    g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
    int fd = open_made_file (directory, output->file, &output->size, error);
    gboolean done = fd >= 0 && hash (fd, checksum, cancellable, error);

    if (fd >= 0)
      close (fd);
    if (!done)
      return FALSE;
    for (guint k = 0; k < i; k++)
      if (strcmp (((DerushOutput *)outputs->pdata[k])->file, output->file) == 0) {
        g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL, _ ("Two files of one job are called %s"),
                     output->file);
        return FALSE;
      }
    g_free (output->path);
    g_free (output->sha256);
    output->path = g_build_filename (target, output->file, NULL);
    output->sha256 = g_strdup (g_checksum_get_string (checksum));
  }
  return TRUE;
}

static gboolean
fail_to_put (const char *path, int number, GError **error)
{
  DerushErrorClass error_class =
      number == EISDIR || number == ENAMETOOLONG ? DERUSH_ERROR_BAD_INPUT : DERUSH_ERROR_RESOURCE;

  g_set_error (error, DERUSH_STEPS_ERROR, error_class, _ ("The finished file cannot be put at %s: %s"), path,
               g_strerror (number));
  return FALSE;
}

/* Between file systems. By chunks, as a cancelled job must not go on copying for minutes. */
static gboolean
copy (int from, int folder, const char *partial, const char *path, GCancellable *cancellable, GError **error)
{
  g_autofree guchar *chunk = g_malloc (CHUNK);
  int to = openat (folder, partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  gboolean done = FALSE;

  if (to < 0)
    return fail_to_put (path, errno, error);
  for (;;) {
    gssize length = read (from, chunk, CHUNK);

    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      break;
    if (length < 0 && errno == EINTR)
      continue;
    if (length == 0 && fsync (to) == 0) {
      done = TRUE;
      break;
    }
    if (length <= 0 || !derush_write_all (to, chunk, length)) {
      fail_to_put (path, errno, error);
      break;
    }
  }
  if (close (to) != 0 && done)
    done = fail_to_put (path, errno, error);
  if (!done)
    unlinkat (folder, partial, 0);
  return done;
}

/* Brings one file into the folder under a name that nobody takes for the finished one. */
static char *
bring (DerushOutput *output, int folder, const char *directory, GCancellable *cancellable, GError **error)
{
  g_autofree char *source = g_build_filename (directory, output->file, NULL);
  g_autofree char *partial = g_strdup_printf (".%s.%08x.part", output->file, g_random_int ());
  struct stat status;
  gint64 size;
  gboolean done;
  int fd;

  if (fstatat (folder, output->file, &status, 0) == 0 && S_ISDIR (status.st_mode)) {
    fail_to_put (output->path, EISDIR, error);
    return NULL;
  }
  fd = open_made_file (directory, output->file, &size, error);
  if (fd < 0)
    return NULL;
  fchmod (fd, 0644);
  if (fsync (fd) == 0 && renameat (AT_FDCWD, source, folder, partial) == 0)
    done = TRUE;
  else
    done = errno == EXDEV ? copy (fd, folder, partial, output->path, cancellable, error)
                          : fail_to_put (output->path, errno, error);
  close (fd);
  return done ? g_steal_pointer (&partial) : NULL;
}

static gboolean
publish (GPtrArray *outputs, int folder, const char *directory, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) partials = g_ptr_array_new_with_free_func (g_free);
  guint named = 0;
  gboolean done = TRUE;

  for (guint i = 0; done && i < outputs->len; i++) {
    char *partial = bring (outputs->pdata[i], folder, directory, cancellable, error);

    done = partial != NULL;
    if (partial)
      g_ptr_array_add (partials, partial);
  }
  /* The last moment at which the job can still be somebody else's. */
  done = done && !g_cancellable_set_error_if_cancelled (cancellable, error);
  while (done && named < outputs->len) {
    DerushOutput *output = outputs->pdata[named];

    if (renameat (folder, partials->pdata[named], folder, output->file) == 0)
      named++;
    else
      done = fail_to_put (output->path, errno, error);
  }
  if (done)
    return TRUE;
  for (guint i = 0; i < partials->len; i++)
    unlinkat (folder, i < named ? ((DerushOutput *)outputs->pdata[i])->file : (char *)partials->pdata[i], 0);
  return FALSE;
}

/* Another job that had made the folder unmakes it when it ends without a file: makes it again, and puts something into
 * it that keeps it. Returns: the folder, open, or -1 */
static int
hold_folder (DerushOutputFolder *folder, const char *hold, GError **error)
{
  for (int tries = 0; tries < 10; tries++) {
    int directory = make_folders (folder, error), fd, number;

    if (directory < 0)
      return -1;
    fd = openat (directory, hold, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    number = errno;
    if (fd >= 0) {
      close (fd);
      return directory;
    }
    close (directory);
    errno = number;
    if (number != ENOENT)
      break;
  }
  fail_to_put (folder->path, errno, error);
  return -1;
}

gboolean
derush_output_folder_publish (DerushOutputFolder *folder, GPtrArray *outputs, const char *directory,
                              GCancellable *cancellable, GError **error)
{
  g_autofree char *hold = g_strdup_printf (".%08x.part", g_random_int ());
  gboolean done;
  int fd;

  if (outputs->len == 0)
    return !g_cancellable_set_error_if_cancelled (cancellable, error);
  fd = hold_folder (folder, hold, error);
  if (fd < 0)
    return FALSE;
  done = publish (outputs, fd, directory, cancellable, error);
  unlinkat (fd, hold, 0);
  close (fd);
  return done;
}
