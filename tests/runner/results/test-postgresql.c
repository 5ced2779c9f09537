/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "store-tests.h"

#include <signal.h>
#include <string.h>
#include <glib/gstdio.h>

static char *folder, *url, *state;

/* Runs tests/system/postgresql.sh. */
static void
cluster_do (const char *command)
{
  g_autofree char *script = g_build_filename (g_getenv ("DERUSH_SOURCE_DIR"), "tests", "system", "postgresql.sh", NULL);
  const char *const arguments[] = {script, command, folder, NULL};
  int status = -1;

  g_assert_true (
      g_spawn_sync (NULL, (char **)arguments, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status, NULL));
  g_assert_true (g_spawn_check_wait_status (status, NULL));
}

static void
use_empty_store (const char *name)
{
  static guint n;
  g_autofree char *own = g_strdup_printf ("%s&connection_limit=5&schema=test%%20%u&pgbouncer=true", url, ++n);

  g_setenv ("DATABASE_URL", own, TRUE);
  derush_directory_remove (state, NULL);
}

static Database *
open_database (void)
{
  g_autoptr (GError) error = NULL;
  Database *database = postgresql_database_new (g_getenv ("DATABASE_URL"), &error);

  g_assert_no_error (error);
  return database;
}

/* Runs @sql in the schema public of the test's database. */
static void
run_sql (const char *sql)
{
  const char *const arguments[] = {"psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, url, NULL};
  int status = -1;

  g_assert_true (
      g_spawn_sync (NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
  g_assert_true (g_spawn_check_wait_status (status, NULL));
}

static void
write_jobs (DerushStore *store, guint first, guint n)
{
  g_autoptr (DerushPlan) plan = plan_for ("VIDEO_PROCESSING", "{'videoId':'v','videoUrl':'/a.mp4'}");
  g_autoptr (JsonObject) value = video_value ("/out/v.mp4");

  for (guint i = first; i < first + n; i++) {
    g_autofree char *id = g_strdup_printf ("q:%u", i);

    derush_store_job_started (store, id, "VIDEO_PROCESSING", plan, plan->data, 1, 1);
    derush_store_job_progress (store, id, 50, "transcode");
    derush_store_job_completed (store, id, plan, value, 1);
  }
}

static void
test_killed_server (void)
{
  DerushStore *store;

  use_empty_store ("killed");
  store = open_store ();
  write_jobs (store, 0, 300);
  cluster_do ("kill");
  write_jobs (store, 300, 300);
  cluster_do ("start");
  write_jobs (store, 600, 300);
  close_store (store);
  assert_count ("jobs WHERE \"status\" = 'COMPLETED'", 900);
  assert_count ("video_formats", 900);
}

static void
test_server_away_at_start (void)
{
  DerushStore *store;
  g_autoptr (JsonObject) away = NULL, back = NULL, job = NULL;

  use_empty_store ("away");
  cluster_do ("stop");
  store = open_store ();
  write_jobs (store, 0, 10);
  away = derush_store_get_status (store);
  g_assert_false (json_object_get_boolean_member (away, "connected"));
  g_assert_cmpstr (json_object_get_string_member (away, "backend"), ==, "postgresql");
  g_assert_nonnull (strstr (json_object_get_string_member (away, "lastError"), "DATABASE_URL"));
  /* In memory, on the way to the disk, or there. */
  while (json_object_get_int_member (away, "waiting") + json_object_get_int_member (away, "spooled") < 10) {
    json_object_unref (away);
    away = derush_store_get_status (store);
  }
  cluster_do ("start");
  while (!(job = derush_store_get_job (store, "q:9", NULL)))
    ;
  back = derush_store_get_status (store);
  g_assert_true (json_object_get_boolean_member (back, "connected"));
  g_assert_cmpint (json_object_get_int_member (back, "waiting"), ==, 0);
  close_store (store);
  assert_count ("jobs", 10);
}

static guint64
count_spooled (DerushStore *store)
{
  g_autoptr (JsonObject) status = derush_store_get_status (store);

  return json_object_get_int_member (status, "spooled");
}

/* What the database has not taken is written by the next process, also if this one is killed. */
static void
test_server_away_at_end (void)
{
  DerushStore *store;
  g_autoptr (GError) error = NULL;

  use_empty_store ("away at end");
  store = open_store ();
  write_jobs (store, 0, 5);
  g_clear_pointer (&store, close_store);
  store = open_store ();
  cluster_do ("kill");
  write_jobs (store, 5, 10);
  g_assert_null (derush_store_get_job (store, "q:6", &error));
  g_assert_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE);
  g_clear_error (&error);
  g_assert_cmpuint (count_spooled (store), ==, 20);
  g_assert_true (derush_store_close (store, 0.2, &error));
  g_assert_no_error (error);
  store = open_store ();
  g_assert_cmpuint (count_spooled (store), ==, 20);
  write_jobs (store, 15, 5);
  cluster_do ("start");
  close_store (store);
  assert_count ("jobs WHERE \"status\" = 'COMPLETED'", 20);
  assert_count ("video_formats", 20);
}

/* Another daemon has done the job since: what waited on disk of an earlier attempt is old. */
static void
test_old_operations (void)
{
  DerushStore *store, *other;
  g_autoptr (DerushPlan) plan = plan_for ("VIDEO_PROCESSING", "{'videoId':'v','videoUrl':'/a.mp4'}");
  g_autofree char *state_of_other = g_strconcat (state, "-other", NULL);

  use_empty_store ("old");
  store = open_store ();
  cluster_do ("stop");
  derush_store_job_started (store, "q:1", "VIDEO_PROCESSING", plan, plan->data, 1, 2);
  g_assert_null (derush_store_get_job (store, "q:1", NULL));
  g_assert_true (derush_store_close (store, 0, NULL));
  cluster_do ("start");
  g_usleep (2000);
  g_setenv ("DERUSH_STATE_DIR", state_of_other, TRUE);
  other = open_store ();
  g_setenv ("DERUSH_STATE_DIR", state, TRUE);
  write_jobs (other, 1, 1);
  close_store (other);
  close_store (open_store ());
  assert_count ("jobs WHERE \"status\" = 'COMPLETED' AND \"progress\" = 100", 1);
  assert_count ("video_formats", 1);
  derush_directory_remove (state_of_other, NULL);
}

/* Signals the server's process that serves the store, which must be idle. */
static int
pid_of_store (void)
{
  g_autofree char *text =
      look_up ("SELECT pid FROM pg_stat_activity WHERE application_name = 'derush' AND pid <> pg_backend_pid ()");

  g_assert_nonnull (text);
  return atoi (text);
}

/* A server that takes statements and does not answer is as good as away: rows go to disk, and health says so. */
static void
test_silent_server (void)
{
  DerushStore *store;
  gboolean connected = TRUE;
  int pid;

  use_empty_store ("silent");
  store = open_store ();
  write_jobs (store, 0, 3);
  json_object_unref (derush_store_get_job (store, "q:2", NULL));
  pid = pid_of_store ();
  g_assert_cmpint (kill (pid, SIGSTOP), ==, 0);
  write_jobs (store, 3, 3);
  while (connected || count_spooled (store) < 6) {
    g_autoptr (JsonObject) status = derush_store_get_status (store);

    connected = json_object_get_boolean_member (status, "connected");
    g_usleep (10000);
  }
  g_assert_cmpint (kill (pid, SIGCONT), ==, 0);
  close_store (store);
  assert_count ("jobs WHERE \"status\" = 'COMPLETED'", 6);
  assert_count ("video_formats", 6);
}

/* A crash in the middle of a write costs the line that was torn, not those before it. */
static void
test_torn_spool (void)
{
  DerushStore *store;
  g_autofree char *top = g_build_filename (state, "spool", NULL), *inner = NULL, *path = NULL, *text = NULL;
  g_autoptr (GDir) dir = NULL;

  use_empty_store ("torn");
  store = open_store ();
  cluster_do ("kill");
  write_jobs (store, 0, 3);
  while (count_spooled (store) < 6)
    g_usleep (1000);
  g_assert_true (derush_store_close (store, 0, NULL));
  dir = g_dir_open (top, 0, NULL);
  inner = g_build_filename (top, g_dir_read_name (dir), "00000000.jsonl", NULL);
  g_assert_true (g_file_get_contents (inner, &text, NULL, NULL));
  path = g_strdup_printf ("%snot a line\n{\"version\":1,\"table\":\"jobs\",\"id\":\"q:", text);
  g_assert_true (g_file_set_contents (inner, path, -1, NULL));
  cluster_do ("start");
  store = open_store ();
  close_store (store);
  assert_count ("jobs WHERE \"status\" = 'COMPLETED'", 3);
  store = open_store ();
  g_assert_cmpuint (count_spooled (store), ==, 0);
  close_store (store);
}

/* A database that stays away for long costs old rows, not memory or disk without end. */
static void
test_bounded_spool (void)
{
  DerushStore *store;
  g_autofree char *megabyte = g_strnfill (1024 * 1024, 'x');
  g_autoptr (JsonObject) data = json_object_new (), last = NULL;

  json_object_set_string_member (data, "text", megabyte);
  use_empty_store ("bounded");
  g_setenv ("DERUSH_SPOOL_LIMIT", "10485760", TRUE);
  store = open_store ();
  g_unsetenv ("DERUSH_SPOOL_LIMIT");
  cluster_do ("kill");
  for (guint i = 0; i < 30; i++) {
    g_autofree char *id = g_strdup_printf ("q:%u", i);

    derush_store_job_started (store, id, "SELF_TEST", NULL, data, 1, 1);
  }
  cluster_do ("start");
  last = derush_store_get_job (store, "q:29", NULL);
  g_assert_nonnull (last);
  close_store (store);
  {
    g_autofree char *count = look_up ("SELECT count(*) FROM jobs");

    g_assert_cmpint (atoi (count), <=, 12); /* some were in memory */
    g_assert_cmpint (atoi (count), >=, 5);
  }
}

/* Where nothing can be written, rows wait in memory; what is lost at the end is said. */
static void
test_no_spool (void)
{
  DerushStore *store;
  g_autoptr (GError) error = NULL;
  g_autofree char *file = NULL;

  use_empty_store ("no spool");
  g_assert_cmpint (g_mkdir_with_parents (state, 0700), ==, 0);
  file = g_build_filename (state, "spool", NULL);
  g_assert_true (g_file_set_contents (file, "", -1, NULL));
  store = open_store ();
  cluster_do ("kill");
  write_jobs (store, 0, 3);
  cluster_do ("start");
  close_store (store);
  assert_count ("jobs WHERE \"status\" = 'COMPLETED'", 3);
  store = open_store ();
  cluster_do ("kill");
  write_jobs (store, 3, 10);
  g_assert_false (derush_store_close (store, 0.2, &error));
  g_assert_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE);
  g_assert_nonnull (strstr (error->message, "spool"));
  cluster_do ("start");
}

/* One row that the database refuses is lost alone. */
static void
test_refused_row (void)
{
  DerushStore *store;
  g_autoptr (JsonObject) data = parse ("{}");

  use_empty_store ("refused");
  store = open_store ();
  close_store (store);
  g_free (look_up ("SELECT 1"));
  {
    Database *database = open_database ();
    Failure failure;

    g_assert_true (database->class->connect (database, &failure, NULL));
    g_assert_true (database->class->begin (database, &failure, NULL));
    g_assert_true (
        database->class->run (database, "ALTER TABLE jobs ADD CHECK (\"id\" <> 'q:1'); COMMIT", &failure, NULL));
    database->class->free (database);
  }
  store = open_store ();
  for (guint i = 0; i < 3; i++) {
    g_autofree char *id = g_strdup_printf ("q:%u", i);

    derush_store_job_started (store, id, "SELF_TEST", NULL, data, 1, 1);
  }
  close_store (store);
  assert_count ("jobs", 2);
}

static void
assert_refused (const char *database_url, const char *said)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushConfig) config = NULL;

  g_setenv ("DATABASE_URL", database_url, TRUE);
  config = derush_config_load (NULL);
  g_assert_null (derush_store_open (config, &error));
  g_assert_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT);
  if (!strstr (error->message, said) || strstr (error->message, "hush-hush"))
    g_error ("%s", error->message);
}

static void
test_refused (void)
{
  g_autofree char *other = g_strdup_printf ("postgresql://derush:hush-hush@localhost/no_such_one?host=%s", folder);

  assert_refused (other, "no_such_one");
  assert_refused ("postgresql://u:hush-hush@host:badport:1/db", "DATABASE_URL");
}

static void
test_urls (void)
{
  static const struct {
    const char *url, *conninfo, *schema;
  } cases[] = {
      {"postgresql://u:p@h:5432/db", "postgresql://u:p@h:5432/db", NULL},
      {"postgresql://u:p@h:5432/db?schema=public", "postgresql://u:p@h:5432/db", "public"},
      {"postgres://h/db?schema=My%20Own&sslmode=require", "postgres://h/db?sslmode=require", "My Own"},
      {"postgresql://h/db?connection_limit=5&pool_timeout=2&connect_timeout=9&pgbouncer=true&schema=",
       "postgresql://h/db?connect_timeout=9", NULL},
      {"postgresql://h/db?host=/run/postgresql&schema=a&schema=b", "postgresql://h/db?host=/run/postgresql", "b"},
      {"postgresql://h/db?", "postgresql://h/db", NULL},
      {"postgresql://u:p%40ss@h/db?nonsense", "postgresql://u:p%40ss@h/db", NULL},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *schema = NULL, *conninfo = postgresql_url_parse (cases[i].url, &schema, &error);

    g_assert_no_error (error);
    g_assert_cmpstr (conninfo, ==, cases[i].conninfo);
    g_assert_cmpstr (schema, ==, cases[i].schema);
  }
}

/* Somebody has changed tables that are ours. */
static void
test_changed_tables (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushConfig) config = NULL;
  Database *database;
  Failure failure;

  use_empty_store ("changed");
  close_store (open_store ());
  database = open_database ();
  g_assert_true (database->class->connect (database, &failure, NULL));
  g_assert_true (database->class->begin (database, &failure, NULL));
  g_assert_true (database->class->run (database, "ALTER TABLE thumbnails DROP score; COMMIT", &failure, NULL));
  database->class->free (database);
  config = derush_config_load (NULL);
  g_assert_null (derush_store_open (config, &error));
  g_assert_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_nonnull (strstr (error->message, "table thumbnails has no column score"));
}

static void
test_public (void)
{
  DerushStore *store;

  g_setenv ("DATABASE_URL", url, TRUE);
  store = open_store ();
  write_jobs (store, 0, 1);
  close_store (store);
  run_sql ("DO $$ BEGIN ASSERT (SELECT \"userId\" IS NULL FROM jobs); END $$");
  assert_count ("public.video_formats", 1);
}

int
main (int argc, char *argv[])
{
  g_autofree char *top = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
  folder = g_strdup (g_getenv ("DERUSH_POSTGRESQL_DIR"));
  url = g_strdup (g_getenv ("DERUSH_POSTGRESQL_URL"));
  top = g_dir_make_tmp ("derush-results-XXXXXX", NULL);
  state = g_build_filename (top, "state", NULL);
  g_setenv ("DERUSH_STATE_DIR", state, TRUE);
  if (!folder || !url)
    g_error ("run this test by tests/system/postgresql.sh with …");
  store_tests_add ("/results/postgresql", use_empty_store, open_database);
  g_test_add_func ("/results/postgresql/a-server-killed-in-the-middle-loses-nothing", test_killed_server);
  g_test_add_func ("/results/postgresql/a-server-that-starts-later-gets-all-rows", test_server_away_at_start);
  g_test_add_func ("/results/postgresql/what-a-server-misses-is-written-by-the-next-process", test_server_away_at_end);
  g_test_add_func ("/results/postgresql/what-waited-on-disk-does-not-undo-what-came-after", test_old_operations);
  g_test_add_func ("/results/postgresql/a-server-that-does-not-answer-is-away", test_silent_server);
  g_test_add_func ("/results/postgresql/a-torn-spool-loses-what-is-torn", test_torn_spool);
  g_test_add_func ("/results/postgresql/rows-that-wait-are-bounded", test_bounded_spool);
  g_test_add_func ("/results/postgresql/without-a-spool-rows-wait-in-memory", test_no_spool);
  g_test_add_func ("/results/postgresql/a-refused-row-is-lost-alone", test_refused_row);
  g_test_add_func ("/results/postgresql/what-waiting-cannot-mend-is-refused-without-secrets", test_refused);
  g_test_add_func ("/results/postgresql/urls-of-prisma-are-understood", test_urls);
  g_test_add_func ("/results/postgresql/changed-tables-of-ours-are-refused-by-name", test_changed_tables);
  g_test_add_func ("/results/postgresql/without-a-schema-tables-are-public", test_public);
  status = g_test_run ();
  derush_directory_remove (top, NULL);
  return status;
}
