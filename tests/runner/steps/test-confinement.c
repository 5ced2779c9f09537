/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "plans.h"
#include "steps/publish-private.h"
#include "steps/source-private.h"
#include "steps/steps.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* Somebody who may write to an allowed folder swaps a folder in it for a link that leads out, again and again, while jobs
 * read and write through that folder. */

#define ROUNDS 4000

typedef struct {
  char *top, *inside, *outside, *folder, *link, *scratch;
  DerushConfig *config;
  GThread *thread;
  int stop;
} Fixture;

static gpointer
swap (gpointer user_data)
{
  Fixture *fixture = user_data;

  while (!g_atomic_int_get (&fixture->stop))
    g_assert_cmpint (renameat2 (AT_FDCWD, fixture->folder, AT_FDCWD, fixture->link, RENAME_EXCHANGE), ==, 0);
  return NULL;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *settings = NULL;

  fixture->top = g_dir_make_tmp ("derush-confinement-XXXXXX", NULL);
  fixture->inside = g_build_filename (fixture->top, "inside", NULL);
  fixture->outside = g_build_filename (fixture->top, "outside", NULL);
  fixture->folder = g_build_filename (fixture->inside, "films", NULL);
  fixture->link = g_build_filename (fixture->inside, "link", NULL);
  fixture->scratch = g_build_filename (fixture->top, "scratch", NULL);
  settings = g_build_filename (fixture->top, "derush.conf", NULL);
  g_assert_cmpint (g_mkdir (fixture->inside, 0755), ==, 0);
  g_assert_cmpint (g_mkdir (fixture->outside, 0755), ==, 0);
  g_assert_cmpint (g_mkdir (fixture->folder, 0755), ==, 0);
  g_assert_cmpint (g_mkdir (fixture->scratch, 0755), ==, 0);
  g_assert_cmpint (symlink (fixture->outside, fixture->link), ==, 0);
  g_assert_true (g_file_set_contents (settings, "", -1, NULL));
  g_setenv ("DERUSH_CONFIG", settings, TRUE);
  fixture->config = derush_config_load (&error);
  g_assert_no_error (error);
}

static void
start (Fixture *fixture)
{
  fixture->thread = g_thread_new ("swap", swap, fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_atomic_int_set (&fixture->stop, TRUE);
  g_thread_join (fixture->thread);
  derush_config_unref (fixture->config);
  derush_directory_remove (fixture->top, NULL);
  g_free (fixture->top);
  g_free (fixture->inside);
  g_free (fixture->outside);
  g_free (fixture->folder);
  g_free (fixture->link);
  g_free (fixture->scratch);
}

static void
write_text (const char *folder, const char *text)
{
  g_autofree char *path = g_build_filename (folder, "film.mp4", NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
test_source (Fixture *fixture, gconstpointer data)
{
  const char *const roots[] = {fixture->inside, NULL};
  g_autofree char *path = g_build_filename (fixture->folder, "film.mp4", NULL);
  guint opened = 0;

  write_text (fixture->folder, "a");
  write_text (fixture->outside, "a secret");
  start (fixture);
  for (guint i = 0; i < 10 * ROUNDS; i++) {
    g_autoptr (DerushSource) source = derush_source_open (path, roots, NULL);
    char byte[8];

    if (!source)
      continue;
    opened++;
    g_assert_cmpint (read (source->fd, byte, sizeof byte), ==, 1);
  }
  g_assert_cmpuint (opened, >, 0);
}

static DerushOutput *
make_output (Fixture *fixture)
{
  DerushOutput *output = g_new0 (DerushOutput, 1);
  g_autofree char *path = g_build_filename (fixture->scratch, "made.mp4", NULL);

  g_assert_true (g_file_set_contents (path, "made", -1, NULL));
  output->file = g_strdup ("made.mp4");
  return output;
}

static void
output_free (gpointer data)
{
  DerushOutput *output = data;

  g_free (output->file);
  g_free (output->path);
  g_free (output->sha256);
  g_free (output);
}

static void
test_output (Fixture *fixture, gconstpointer data)
{
  const char *const roots[] = {fixture->inside, NULL};
  g_autofree char *wanted = g_build_filename (fixture->folder, "new", NULL);
  g_autofree char *made = g_build_filename (wanted, "made.mp4", NULL);
  g_autofree char *other = g_build_filename (fixture->link, "new", "made.mp4", NULL);
  g_autofree char *beyond = g_build_filename (fixture->outside, "new", NULL);
  guint published = 0;

  start (fixture);
  for (guint i = 0; i < ROUNDS; i++) {
    DerushPlan *plan = plan_new (NULL, wanted);
    g_autoptr (DerushOutputFolder) folder = derush_output_folder_open (fixture->config, plan, "1", roots, NULL);
    g_autoptr (GPtrArray) outputs = g_ptr_array_new_with_free_func (output_free);

    derush_plan_unref (plan);
    if (!folder)
      continue;
    g_ptr_array_add (outputs, make_output (fixture));
    if (derush_outputs_measure (outputs, fixture->scratch, folder->path, NULL, NULL) &&
        derush_output_folder_publish (folder, outputs, fixture->scratch, NULL, NULL))
      published++;
    /* So that the folder is made and unmade again, under either name that it has at the time. */
    g_unlink (made);
    g_unlink (other);
    g_assert_false (g_file_test (beyond, G_FILE_TEST_EXISTS));
  }
  g_assert_cmpuint (published, >, 0);
}

static void
test_open (Fixture *fixture, gconstpointer data)
{
  g_autofree char *plain = g_build_filename (fixture->folder, "film.mp4", NULL);
  g_autofree char *linked = g_build_filename (fixture->link, "film.mp4", NULL);
  int fd;

  write_text (fixture->folder, "a");
  write_text (fixture->outside, "a secret");
  fd = derush_path_open (plain, O_RDONLY);
  g_assert_cmpint (fd, >=, 0);
  close (fd);
  g_assert_cmpint (derush_path_open (linked, O_RDONLY), ==, -1);
  g_assert_cmpint (derush_path_open (fixture->link, O_RDONLY), ==, -1);
  fd = derush_path_open ("/", O_PATH | O_DIRECTORY);
  g_assert_cmpint (fd, >=, 0);
  close (fd);
  start (fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
#define ADD(path, test) g_test_add ("/steps/confinement/" path, Fixture, NULL, set_up, test, tear_down)
  ADD ("a-resolved-path-is-opened-without-following-links", test_open);
  ADD ("a-source-is-never-read-from-outside", test_source);
  ADD ("a-file-is-never-written-outside", test_output);
  return g_test_run ();
}
