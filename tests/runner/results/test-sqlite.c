/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "store-tests.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

static char *top;

static void
use_empty_store (const char *name)
{
  g_autofree char *folder = g_build_filename (top, name, "state", NULL);

  g_unsetenv ("DATABASE_URL");
  g_setenv ("DERUSH_STATE_DIR", folder, TRUE);
}

static Database *
open_database (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("DERUSH_STATE_DIR"), "derush.sqlite", NULL);

  return sqlite_database_new (path);
}

static void
assert_mode (const char *path, guint mode)
{
  GStatBuf info;

  g_assert_cmpint (g_stat (path, &info), ==, 0);
  g_assert_cmpuint (info.st_mode & 0777, ==, mode);
}

static void
test_private (void)
{
  DerushStore *store;
  g_autoptr (JsonObject) data = parse ("{}");
  const char *folder;

  use_empty_store ("private");
  folder = g_getenv ("DERUSH_STATE_DIR");
  store = open_store ();
  derush_store_job_started (store, "q:1", "SELF_TEST", NULL, data, 1, 1);
  assert_mode (folder, 0700);
  for (guint i = 0; i < 3; i++) {
    static const char *const endings[] = {"", "-wal", "-shm"};
    g_autofree char *path = g_strdup_printf ("%s/derush.sqlite%s", folder, endings[i]);

    assert_mode (path, 0600);
  }
  close_store (store);
}

static void
assert_refused (DerushErrorClass error_class, const char *said)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushConfig) config = derush_config_load (NULL);

  g_assert_null (derush_store_open (config, &error));
  g_assert_error (error, DERUSH_RESULTS_ERROR, (int)error_class);
  g_assert_nonnull (strstr (error->message, said));
}

static void
test_no_database (void)
{
  g_autofree char *path = NULL;

  use_empty_store ("broken");
  path = g_build_filename (g_getenv ("DERUSH_STATE_DIR"), "derush.sqlite", NULL);
  g_assert_cmpint (g_mkdir_with_parents (g_getenv ("DERUSH_STATE_DIR"), 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, "This is a letter, and has been one for a long time.", -1, NULL));
  assert_refused (DERUSH_ERROR_INTERNAL, path);
}

/* A database, but another program's. */
static void
test_other_tables (void)
{
  g_autofree char *path = NULL;
  Database *other;
  Failure failure;

  use_empty_store ("other");
  path = g_build_filename (g_getenv ("DERUSH_STATE_DIR"), "derush.sqlite", NULL);
  close_store (open_store ());
  other = open_database ();
  g_assert_true (other->class->connect (other, &failure, NULL));
  g_assert_true (other->class->run (other, "DROP TABLE shorts; CREATE TABLE shorts (id TEXT)", &failure, NULL));
  other->class->free (other);
  assert_refused (DERUSH_ERROR_BAD_INPUT, "The table shorts of");
  assert_refused (DERUSH_ERROR_BAD_INPUT, path);
}

static void
test_no_folder (void)
{
  g_autofree char *folder = g_build_filename (top, "file", "state", NULL), *file = g_build_filename (top, "file", NULL);

  g_assert_true (g_file_set_contents (file, "", -1, NULL));
  g_unsetenv ("DATABASE_URL");
  g_setenv ("DERUSH_STATE_DIR", folder, TRUE);
  assert_refused (DERUSH_ERROR_RESOURCE, "DERUSH_STATE_DIR");
}

static void
test_other_databases (void)
{
  g_setenv ("DATABASE_URL", "mysql://user:secret@host/db", TRUE);
  assert_refused (DERUSH_ERROR_BAD_INPUT, "mysql");
  g_setenv ("DATABASE_URL", "nonsense", TRUE);
  assert_refused (DERUSH_ERROR_BAD_INPUT, "postgresql://");
  g_unsetenv ("DATABASE_URL");
}

/* Another process holds the lock for longer than SQLite waits: rows come late, jobs do not. */
static void
test_locked (void)
{
  DerushStore *store;
  Database *other;
  g_autoptr (JsonObject) data = parse ("{}");
  g_autoptr (GError) error = NULL;
  Failure failure;

  use_empty_store ("locked");
  store = open_store ();
  other = open_database ();
  g_assert_true (other->class->connect (other, &failure, NULL));
  g_assert_true (other->class->begin (other, &failure, NULL));
  derush_store_job_started (store, "q:1", "SELF_TEST", NULL, data, 1, 1);
  g_assert_null (derush_store_get_job (store, "q:1", &error));
  g_assert_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE);
  g_assert_true (other->class->run (other, "ROLLBACK", &failure, NULL));
  other->class->free (other);
  close_store (store);
  assert_count ("jobs", 1);
}

int
main (int argc, char *argv[])
{
  int status;

  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
  top = g_dir_make_tmp ("derush-results-XXXXXX", NULL);
  store_tests_add ("/results/sqlite", use_empty_store, open_database);
  g_test_add_func ("/results/sqlite/files-are-for-their-owner-alone", test_private);
  g_test_add_func ("/results/sqlite/a-file-that-is-no-database-is-refused", test_no_database);
  g_test_add_func ("/results/sqlite/tables-of-another-program-are-refused-by-name", test_other_tables);
  g_test_add_func ("/results/sqlite/a-folder-that-cannot-be-made-is-named", test_no_folder);
  g_test_add_func ("/results/sqlite/other-databases-are-refused-by-name", test_other_databases);
  g_test_add_func ("/results/sqlite/a-locked-file-is-written-when-it-is-free", test_locked);
  status = g_test_run ();
  derush_directory_remove (top, NULL);
  return status;
}
