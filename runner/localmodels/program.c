/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Data files, and programs that are executed because their licence or their size keeps them out of this one. */

#include "localmodels-private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

/* Below data/models of the sources or of what is installed. */
char *
local_data_path (const char *name, ...)
{
  const char *data = g_getenv ("DERUSH_DATA_DIR"), *own = g_getenv ("DERUSH_MODELS_DIR");
  g_autofree char *below = NULL, *changed = NULL;
  va_list arguments;

  va_start (arguments, name);
  below = g_build_filename_valist (name, &arguments);
  va_end (arguments);
  changed = own && *own ? g_build_filename (own, below, NULL)
                        : g_build_filename (g_get_user_config_dir (), "derush", "models", below, NULL);
  if (g_file_test (changed, G_FILE_TEST_IS_REGULAR))
    return g_steal_pointer (&changed);
  return g_build_filename (data && *data ? data : DERUSH_PKGDATADIR, "models", below, NULL);
}

/* The last line of what a program said on standard error. */
static char *
last_line (GBytes *text)
{
  gsize length;
  const char *data = text ? g_bytes_get_data (text, &length) : NULL;
  g_autofree char *valid = data ? g_utf8_make_valid (data, length) : g_strdup ("");
  g_auto (GStrv) lines = g_strsplit (g_strstrip (valid), "\n", -1);
  guint n = g_strv_length (lines);

  return g_strdup (n > 0 ? lines[n - 1] : "");
}

/**
 * local_run:
 * @arguments: (array zero-terminated=1): the program and its arguments
 * @input: (nullable): what it reads
 * @output: (out): what it wrote
 * @said: (out) (optional): the last line of its standard error, also when it failed
 *
 * Runs a program to its end. Cancelling kills it.
 *
 * Returns: %FALSE if it is not installed, failed or was killed
 */
gboolean
local_run (const char *const *arguments, GBytes *input, GBytes **output, char **said, GCancellable *cancellable,
           GError **error)
{
  GSubprocessFlags flags = G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GBytes) errors = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *line = NULL;

  *output = NULL;
  if (input)
    flags |= G_SUBPROCESS_FLAGS_STDIN_PIPE;
  process = g_subprocess_newv (arguments, flags, &local);
  if (!process) {
    local_set_error (error, DERUSH_ERROR_MISSING_PLUGIN, "not_installed", NULL,
                     _ ("%s could not be started; install the package %s: %s"), arguments[0], arguments[0],
                     local->message);
    return FALSE;
  }
  if (!g_subprocess_communicate (process, input, cancellable, output, &errors, &local)) {
    g_subprocess_force_exit (process);
    if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      local_set_error (error, DERUSH_ERROR_CANCELLED, NULL, NULL, _ ("Cancelled"));
    else
      local_set_error (error, DERUSH_ERROR_MODEL, NULL, NULL, _ ("%s broke off: %s"), arguments[0], local->message);
    return FALSE;
  }
  line = last_line (errors);
  if (said)
    *said = g_strdup (line);
  if (!g_subprocess_get_successful (process)) {
    g_clear_pointer (output, g_bytes_unref);
    local_set_error (error, DERUSH_ERROR_MODEL, NULL, NULL, _ ("%s failed: %s"), arguments[0], line);
    return FALSE;
  }
  return TRUE;
}

/* For programs that have to seek in what they read: a descriptor that they can open as /proc/PID/fd/N. -1: an error. */
int
local_memory_file (GBytes *contents, GError **error)
{
  gsize length;
  const char *data = g_bytes_get_data (contents, &length);
  int fd = memfd_create ("derush-models", MFD_CLOEXEC);

  for (gsize done = 0; fd >= 0 && done < length;) {
    gssize written = write (fd, data + done, length - done);

    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0) {
      int saved = errno;

      close (fd);
      fd = -1;
      errno = saved;
      break;
    }
    done += (gsize)written;
  }
  if (fd < 0)
    local_set_error (error, DERUSH_ERROR_RESOURCE, NULL, NULL, _ ("There is no memory for the file: %s"),
                     g_strerror (errno));
  return fd;
}
