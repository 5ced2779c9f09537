/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/source-private.h"
#include "steps/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

#define WHOLE_MAX (64 * 1024 * 1024)
#define PART (16 * 1024 * 1024)
#define CHUNK (1024 * 1024)

/* ── Names ──────────────────────────────────────────────────────────────── */

/* Many backends write "file://" before a path and leave it at that, so a name that decodes to nothing that exists is
 * also tried as it stands. */
static char *
path_of_file_uri (const char *uri, GError **error)
{
  g_autofree char *host = NULL, *path = g_filename_from_uri (uri, &host, NULL);
  const char *literal = uri + strlen ("file:");

  if (g_str_has_prefix (literal, "///"))
    literal += 2;
  if (literal[0] == '/' && literal[1] != '/' && (!path || !g_file_test (path, G_FILE_TEST_EXISTS)) &&
      g_file_test (literal, G_FILE_TEST_EXISTS))
    return g_strdup (literal);
  if (path && (!host || g_ascii_strcasecmp (host, "localhost") == 0))
    return g_steal_pointer (&path);
  if (path)
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The file of %s is on another machine: %s"), uri,
                 host);
  else
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("%s is no valid file: URI; write file:///path/of/the/film with %%20 for a blank"), uri);
  return NULL;
}

char *
derush_local_path (const char *name, GError **error)
{
  g_autofree char *scheme = NULL;

  if (g_path_is_absolute (name))
    return g_strdup (name);
  scheme = g_uri_parse_scheme (name);
  if (scheme && strcmp (scheme, "file") == 0)
    return path_of_file_uri (name, error);
  if (scheme && strstr (name, "://"))
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_UNSUPPORTED,
                 _ ("%s cannot be fetched by this version; give the path of a file on this machine"), name);
  else
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The path %s is not absolute; a job has no current folder, so give the whole path"), name);
  return NULL;
}

/* ── Opening ────────────────────────────────────────────────────────────── */

static gboolean
check_kind (const char *name, const struct stat *status, GError **error)
{
  if (S_ISREG (status->st_mode)) {
    if (status->st_size > 0)
      return TRUE;
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The file %s is empty"), name);
  } else if (S_ISDIR (status->st_mode)) {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s is a folder; give the path of a file"),
                 name);
  } else {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("%s is no ordinary file but a pipe, a socket or a device; give the path of a file"), name);
  }
  return FALSE;
}

static gboolean
fail_to_open (const char *name, int number, GError **error)
{
  if (number == ENOENT || number == ENOTDIR)
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no file %s"), name);
  else if (number == EACCES || number == EPERM)
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The file %s may not be read by the user who runs this; change its permissions"), name);
  else if (number == ENAMETOOLONG || number == ELOOP)
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The path %s cannot be used: %s"), name,
                 g_strerror (number));
  else
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("The file %s cannot be opened: %s"), name,
                 g_strerror (number));
  return FALSE;
}

/**
 * derush_source_open:
 * @name: an absolute path or a `file:` URI
 * @roots: (nullable): the folders it must be in
 * @error: return location for an error; its message names the file and what is wrong with it
 */
DerushSource *
derush_source_open (const char *name, const char *const *roots, GError **error)
{
  g_autoptr (DerushSource) source = g_new0 (DerushSource, 1);
  g_autofree char *given = derush_local_path (name, error);
  struct stat status;

  source->fd = -1;
  if (!given)
    return NULL;
  source->path = derush_path_confine (given, roots, error);
  if (!source->path)
    return NULL;
  /* Opening a device or a pipe can itself do something: look first. */
  if (stat (source->path, &status) != 0) {
    fail_to_open (given, errno, error);
    return NULL;
  }
  if (!check_kind (given, &status, error))
    return NULL;
  source->fd = derush_path_open (source->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (source->fd < 0 || fstat (source->fd, &status) != 0) {
    fail_to_open (given, errno, error);
    return NULL;
  }
  if (!check_kind (given, &status, error))
    return NULL;
  source->size = status.st_size;
  return g_steal_pointer (&source);
}

void
derush_source_free (DerushSource *source)
{
  if (source->fd >= 0)
    close (source->fd);
  g_free (source->path);
  g_free (source);
}

/* ── Fingerprint ────────────────────────────────────────────────────────── */

static gboolean
hash_part (DerushSource *source, GChecksum *checksum, gint64 start, gint64 end, GCancellable *cancellable,
           GError **error)
{
  g_autofree guchar *chunk = g_malloc (CHUNK);

  while (start < end) {
    gssize length = pread (source->fd, chunk, MIN (CHUNK, end - start), start);

    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
    if (length < 0 && errno == EINTR)
      continue;
    if (length <= 0) {
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("The file %s cannot be read: %s"), source->path,
                   length < 0 ? g_strerror (errno) : _ ("it became shorter meanwhile"));
      return FALSE;
    }
    g_checksum_update (checksum, chunk, length);
    start += length;
  }
  return TRUE;
}

/**
 * derush_source_get_fingerprint:
 * @source: a source
 * @cancellable: (nullable): ends the reading
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): a name for the contents: SHA-256 over the size and the whole file up to 64 MiB,
 *   beyond that over the size and the first, middle and last 16 MiB. Two films that differ only elsewhere and have the
 *   same size to the byte do not occur in practice: the index of a container sits at its start or its end.
 */
char *
derush_source_get_fingerprint (DerushSource *source, GCancellable *cancellable, GError **error)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *size = g_strdup_printf ("%" G_GINT64_FORMAT ":", source->size);
  gint64 middle = source->size / 2 - PART / 2;

  g_checksum_update (checksum, (guchar *)size, -1);
  if (source->size <= WHOLE_MAX) {
    if (!hash_part (source, checksum, 0, source->size, cancellable, error))
      return NULL;
  } else if (!hash_part (source, checksum, 0, PART, cancellable, error) ||
             !hash_part (source, checksum, middle, middle + PART, cancellable, error) ||
             !hash_part (source, checksum, source->size - PART, source->size, cancellable, error)) {
    return NULL;
  }
  return g_strdup (g_checksum_get_string (checksum));
}
