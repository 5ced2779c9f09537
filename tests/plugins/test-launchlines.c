/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

/*
 * Runs the launch line of every element's SECTION comment, in an empty folder, with the sample film in the place of
 * `video.mp4`.
 */

#define EXAMPLE "video.mp4"

/* The lines between `|[` and `]|`, without the comment's stars; continued lines are joined. */
static char *
next_block (const char **text)
{
  const char *start = strstr (*text, "|["), *end = start ? strstr (start, "]|") : NULL;
  g_autoptr (GString) block = g_string_new (NULL);
  g_autofree char *inner = NULL;
  g_auto (GStrv) lines = NULL;

  if (!end)
    return NULL;
  *text = end + 2;
  inner = g_strndup (start + 2, end - start - 2);
  lines = g_strsplit (inner, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    char *line = g_strstrip (lines[i]);

    if (*line == '*')
      line = g_strchug (line + 1);
    if (g_str_has_suffix (line, "\\"))
      line[strlen (line) - 1] = '\0';
    if (*line)
      g_string_append_printf (block, "%s ", line);
  }
  return g_string_free (g_steal_pointer (&block), FALSE);
}

static void
remove_directory (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *child = g_build_filename (path, name, NULL);

    g_unlink (child);
  }
  g_assert_cmpint (g_rmdir (path), ==, 0);
}

static void
run_line (const char *line)
{
  g_autofree char *directory = g_dir_make_tmp ("derush-launch-XXXXXX", NULL);
  g_autofree char *film = g_build_filename (g_getenv ("DERUSH_DATA_DIR"), "samples", "sintel_trailer-720p.mp4", NULL);
  g_autofree char *quoted = g_shell_quote (film), *command = NULL, *script = NULL, *output = NULL;
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) parts = g_strsplit (line, EXAMPLE, -1);

  command = g_strjoinv (quoted, parts);
  script = g_strdup_printf ("timeout 100 %s", command);
  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
  g_subprocess_launcher_set_cwd (launcher, directory);
  process = g_subprocess_launcher_spawn (launcher, &error, "sh", "-c", script, NULL);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_communicate_utf8 (process, NULL, NULL, &output, NULL, &error));
  g_test_message ("%s", command);
  if (!g_subprocess_get_successful (process))
    g_test_message ("%s", output);
  g_assert_true (g_subprocess_get_successful (process));
  remove_directory (directory);
}

static void
test_file (gconstpointer data)
{
  g_autofree char *contents = NULL, *line = NULL;
  const char *position;
  guint lines = 0;

  g_assert_true (g_file_get_contents (data, &contents, NULL, NULL));
  position = contents;
  while ((line = next_block (&position))) {
    g_assert_true (g_str_has_prefix (line, "gst-launch-1.0 "));
    run_line (line);
    g_clear_pointer (&line, g_free);
    lines++;
  }
  g_assert_cmpuint (lines, >, 0);
}

static void
add_file (const char *path)
{
  g_autofree char *contents = NULL, *element = NULL, *test = NULL;
  const char *section, *end;

  g_assert_true (g_file_get_contents (path, &contents, NULL, NULL));
  section = strstr (contents, "SECTION:element-");
  if (!section)
    return;
  section += strlen ("SECTION:element-");
  end = strchr (section, '\n');
  element = g_strstrip (g_strndup (section, end - section));
  test = g_strdup_printf ("/launch-lines/%s-runs-as-its-documentation-says", element);
  g_test_add_data_func_full (test, g_strdup (path), test_file, g_free);
}

static guint
add_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  guint n = 0;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *child = g_build_filename (path, name, NULL);

    if (g_file_test (child, G_FILE_TEST_IS_DIR)) {
      n += add_folder (child);
    } else if (g_str_has_suffix (name, ".c")) {
      add_file (child);
      n++;
    }
  }
  return n;
}

int
main (int argc, char **argv)
{
  g_autofree char *plugins = g_build_filename (g_getenv ("DERUSH_SOURCE_DIR"), "plugins", NULL);

  g_test_init (&argc, &argv, NULL);
  g_assert_cmpuint (add_folder (plugins), >, 0);
  return g_test_run ();
}
