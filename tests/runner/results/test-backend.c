/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Rows in tables that a backend has made. */

#include "store-tests.h"

#include <string.h>

static char *folder, *server, *url, *script;
static guint n_databases;

static void
run_psql (const char *database, const char *option, const char *argument)
{
  const char *const arguments[] = {"psql", "-q", "-v", "ON_ERROR_STOP=1", option, argument, database, NULL};
  int status = -1;

  g_assert_true (
      g_spawn_sync (NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
  g_assert_true (g_spawn_check_wait_status (status, NULL));
}

static Database *
open_database (void)
{
  g_autoptr (GError) error = NULL;
  Database *database = postgresql_database_new (g_getenv ("DATABASE_URL"), &error);

  g_assert_no_error (error);
  return database;
}

/* A database of its own with the backend's tables; @more: (nullable): what is changed in them */
static void
use_backend (const char *more)
{
  g_autofree char *name = g_strdup_printf ("backend%u", ++n_databases),
                  *create = g_strdup_printf ("CREATE DATABASE %s", name), *with_schema = NULL;

  run_psql (server, "-c", create);
  g_free (url);
  url = g_strdup_printf ("postgresql://derush@localhost/%s?host=%s", name, folder);
  with_schema = g_strconcat (url, "&schema=public", NULL);
  run_psql (url, "-f", script);
  if (more)
    run_psql (url, "-c", more);
  g_setenv ("DATABASE_URL", with_schema, TRUE);
}

/* Everything that a database is but its rows, and without the lines that pg_dump makes up each time. */
static char *
dump_schema (void)
{
  const char *const arguments[] = {"sh", "-c", "pg_dump -s \"$0\" | grep -v restrict", url, NULL};
  char *text = NULL;
  int status = -1;

  g_assert_true (
      g_spawn_sync (NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text, NULL, &status, NULL));
  g_assert_true (g_spawn_check_wait_status (status, NULL));
  return text;
}

static DerushPlan *
plan_of (const char *type, const char *user, const char *video)
{
  g_autofree char *data = g_strdup_printf ("{'videoUrl':'/a.mp4','userId':'%s','videoId':'%s'}", user, video);

  return plan_for (type, data);
}

static void
test_used_as_they_are (void)
{
  DerushStore *store;
  g_autoptr (DerushPlan) video = NULL, shorts = NULL, highlights = NULL;
  g_autoptr (JsonObject) film = video_value ("/out/v1.mp4"), row = NULL;
  g_autoptr (JsonObject) cut =
      parse ("{'shorts':[{'startTime':1.25,'endTime':12.9,'duration':11.65,'format':'mp4+','platform':'youtube-shorts',"
             "'filePath':'/out/s.mp4','fileSize':5000000000,'width':1080,'height':1920,'cropPath':'/out/c.json'}]}");
  g_autoptr (JsonObject) found = parse (
      "{'highlights':[{'id':'h1','rank':1,'startTime':10,'endTime':14.5,'duration':4.5,'type':'AUDIO','confidence':0.75,"
      "'tags':['a\\\\b','c'],'metadata':{'signals':{}}},{'id':'h2','startTime':1,'endTime':2,'type':'NO_SUCH'}]}");
  g_autoptr (JsonObject) heard = parse ("{'jobType':'TRANSCRIPTION','text':'one','wordCount':1}"),
                         said = parse ("{'jobType':'TRANSLATION','originalText':'one','formality':'FORMAL',"
                                       "'translations':[{'translatedText':'un','targetLanguage':'fr'}]}");
  g_autofree char *before = NULL, *after = NULL;
  DerushStoreExecution run = {.id = "x1", .workflow = "mine", .job = "q:1", .status = "RUNNING", .started = 1000};

  use_backend ("INSERT INTO workflows (id, name, steps, \"updatedAt\") VALUES ('mine', 'Mine', '[]', now ())");
  before = dump_schema ();
  video = plan_of ("VIDEO_PROCESSING", "u1", "v1");
  shorts = plan_of ("SHORT_CREATION", "u1", "v1");
  highlights = plan_of ("HIGHLIGHT_DETECTION", "u1", "v1");
  store = open_store ();
  for (guint i = 0; i < 2; i++) {
    derush_store_job_started (store, "q:1", "VIDEO_PROCESSING", video, video->data, 1, 3);
    derush_store_job_progress (store, "q:1", 40, "transcode");
    derush_store_job_completed (store, "q:1", video, film, 1234);
    derush_store_job_completed (store, "q:2", shorts, cut, 5);
    derush_store_job_completed (store, "q:3", highlights, found, 5);
    derush_store_job_started (store, "q:4", "SHORT_CREATION", shorts, shorts->data, 1, 3);
    derush_store_job_failed (store, "q:4", "it broke", FALSE, FALSE, 7);
  }
  derush_store_execution (store, &run);
  derush_store_job_completed (store, "q:5", shorts, heard, 5);
  derush_store_job_completed (store, "q:6", shorts, said, 5);
  row = derush_store_get_job (store, "q:1", NULL);
  g_assert_cmpstr (derush_json_get_string (row, "status", NULL), ==, "COMPLETED");
  g_assert_cmpstr (derush_json_get_string (row, "userId", NULL), ==, "u1");
  g_assert_true (g_str_has_suffix (json_object_get_string_member (row, "startedAt"), "Z"));
  close_store (store);
  assert_count ("jobs", 6);
  assert_count ("transcriptions WHERE text = 'one' AND \"wordCount\" = 1 AND language = ''", 1);
  assert_count ("translations WHERE \"translatedText\" = 'un' AND formality = 'FORMAL' AND \"videoId\" = 'v1'", 1);
  assert_count ("jobs WHERE id = 'q:1' AND status = 'COMPLETED' AND type = 'VIDEO_PROCESSING' AND duration = 1234 AND "
                "\"userId\" = 'u1' AND \"videoId\" = 'v1' AND progress = 100 AND output->>'success' = 'true' AND "
                "\"updatedAt\" > now () AT TIME ZONE 'UTC' - interval '1 hour'",
                1);
  assert_count ("jobs WHERE id = 'q:4' AND status = 'FAILED' AND error = 'it broke'", 1);
  assert_count ("video_formats", 1);
  assert_count ("video_formats WHERE \"fileSize\" = 5000000000 AND resolution = '1280x720' AND \"videoId\" = 'v1'", 1);
  /* What the column cannot hold is rounded, cut or left out. */
  assert_count (
      "shorts WHERE platform = 'YOUTUBE_SHORTS' AND duration = 12 AND format = 'mp4' AND \"fileSize\" IS NULL "
      "AND title = ''",
      1);
  assert_count ("highlights WHERE id = 'h1' AND type = 'AUDIO' AND tags = ARRAY['a\\b', 'c']", 1);
  assert_count ("highlights WHERE id = 'h2' AND type = 'SCENE_CHANGE'", 1);
  assert_count ("workflow_executions WHERE status = 'RUNNING' AND \"workflowId\" = 'mine'", 1);
  after = dump_schema ();
  g_assert_cmpstr (before, ==, after);
}

/* The backend has made the row of the job before it has added it. */
static void
test_row_of_backend (void)
{
  DerushStore *store;
  g_autoptr (DerushPlan) plan = NULL;
  g_autoptr (JsonObject) value = video_value ("/out/v1.mp4"), row = NULL;

  use_backend ("INSERT INTO jobs (id, type, input, \"updatedAt\", \"userId\", \"maxRetries\", \"createdAt\") VALUES "
               "('clx1', 'VIDEO_PROCESSING', '{\"mine\":1}', now (), 'u1', 9, '2020-01-01')");
  plan = plan_of ("VIDEO_PROCESSING", "somebody", "v1");
  store = open_store ();
  derush_store_job_started (store, "q:clx1", "VIDEO_PROCESSING", plan, plan->data, 1, 3);
  row = derush_store_get_job (store, "q:clx1", NULL);
  g_assert_cmpstr (derush_json_get_string (row, "status", NULL), ==, "PROCESSING");
  derush_store_job_completed (store, "q:clx1", plan, value, 10);
  close_store (store);
  assert_count ("jobs", 1);
  assert_count ("jobs WHERE id = 'clx1' AND status = 'COMPLETED' AND input->>'mine' = '1' AND \"userId\" = 'u1' AND "
                "\"maxRetries\" = 9 AND \"createdAt\" = '2020-01-01' AND \"startedAt\" IS NOT NULL",
                1);
}

/* A video that the backend does not know is none; a user that it does not know costs the row, not the job. */
static void
test_unknown_references (void)
{
  DerushStore *store;
  g_autoptr (DerushPlan) video = NULL, user = NULL;
  g_autoptr (JsonObject) value = video_value ("/out/v1.mp4");

  use_backend (NULL);
  video = plan_of ("VIDEO_PROCESSING", "u1", "unknown");
  user = plan_of ("VIDEO_PROCESSING", "unknown", "v1");
  store = open_store ();
  derush_store_job_started (store, "q:1", "VIDEO_PROCESSING", video, video->data, 1, 3);
  derush_store_job_completed (store, "q:1", video, value, 1);
  derush_store_job_started (store, "q:2", "VIDEO_PROCESSING", user, user->data, 1, 3);
  derush_store_job_completed (store, "q:2", user, value, 1);
  derush_store_job_started (store, "q:3", "SELF_TEST", NULL, NULL, 1, 3);
  close_store (store);
  assert_count ("jobs", 1);
  assert_count ("jobs WHERE id = 'q:1' AND status = 'COMPLETED' AND \"videoId\" IS NULL", 1);
  assert_count ("video_formats", 1); /* of the second job: its video is known */
}

/* Keys of another type, times with a zone, fewer values, other names. */
static void
test_other_shapes (void)
{
  DerushStore *store;
  g_autoptr (DerushPlan) plan = NULL;
  g_autoptr (JsonObject) value = video_value ("/out/v1.mp4"), row = NULL;

  use_backend ("ALTER TABLE jobs ALTER id TYPE uuid USING md5 (id)::uuid, ALTER \"startedAt\" TYPE timestamptz, "
               "DROP COLUMN stage, DROP COLUMN message, ALTER output TYPE text;"
               "ALTER TABLE jobs RENAME COLUMN \"retryCount\" TO attempts;"
               "ALTER TABLE jobs RENAME TO \"Job\"; DROP TABLE highlights;"
               "ALTER TYPE \"JobStatus\" RENAME VALUE 'DELAYED' TO 'RETRYING';"
               "ALTER TYPE \"JobStatus\" RENAME VALUE 'COMPLETED' TO 'completed'");
  plan = plan_of ("VIDEO_PROCESSING", "u1", "v1");
  store = open_store ();
  derush_store_job_started (store, "q:1", "VIDEO_PROCESSING", plan, plan->data, 2, 3);
  derush_store_job_failed (store, "q:1", "once more", TRUE, FALSE, 1);
  row = derush_store_get_job (store, "q:1", NULL);
  g_assert_cmpstr (derush_json_get_string (row, "status", NULL), ==, "RETRYING");
  g_assert_true (g_str_has_suffix (json_object_get_string_member (row, "startedAt"), "Z"));
  derush_store_job_completed (store, "q:1", plan, value, 1);
  close_store (store);
  assert_count ("\"Job\" WHERE status = 'completed' AND attempts = 1 AND output LIKE '{%'", 1);
}

static void
assert_refused (const char *more, const char *said)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushConfig) config = NULL;
  g_autofree char *before = NULL, *after = NULL, *description = NULL;

  use_backend (more);
  before = dump_schema ();
  config = derush_config_load (NULL);
  g_assert_null (derush_store_open (config, &error));
  g_assert_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT);
  if (!strstr (error->message, said))
    g_error ("“%s” is not in: %s", said, error->message);
  g_clear_error (&error);
  g_assert_false (derush_store_check (config, &description, &error));
  g_assert_nonnull (strstr (error->message, said));
  after = dump_schema ();
  g_assert_cmpstr (before, ==, after);
}

static void
test_refused (void)
{
  assert_refused ("ALTER TABLE jobs DROP COLUMN status", "jobs has no column status");
  assert_refused ("ALTER TABLE jobs ALTER progress DROP DEFAULT, ALTER progress TYPE boolean USING true",
                  "jobs.progress is of the type bool");
  assert_refused ("ALTER TABLE jobs ADD \"tenantId\" TEXT NOT NULL", "jobs.tenantId must have a value");
  assert_refused ("ALTER TABLE shorts RENAME \"filePath\" TO url", "shorts has no column filePath");
  assert_refused ("ALTER TYPE \"JobStatus\" RENAME VALUE 'COMPLETED' TO 'OVER'", "jobs.status has no value");
  assert_refused ("DROP TABLE jobs", "a table video_formats, but no table jobs");
  assert_refused ("ALTER TABLE jobs ALTER id TYPE integer USING 1", "jobs.id is of the type int4");
}

/* The map is the user's to change. */
static void
test_own_map (void)
{
  DerushStore *store;
  g_autoptr (DerushPlan) plan = NULL;
  g_autofree char *installed = g_build_filename (g_getenv ("DERUSH_DATA_DIR"), "schemas", "prisma.ini", NULL),
                  *own = g_build_filename (g_get_user_config_dir (), "derush", "schemas", NULL),
                  *path = g_build_filename (own, "prisma.ini", NULL), *text = NULL, *changed = NULL;

  use_backend ("ALTER TABLE jobs ADD \"tenantId\" TEXT NOT NULL; ALTER TABLE jobs RENAME error TO \"whyNot\"");
  g_assert_true (g_file_get_contents (installed, &text, NULL, NULL));
  changed = g_strdup_printf ("%s\n[jobs]\nset.tenantId=t1\nerror=whyNot\n", text);
  g_assert_cmpint (g_mkdir_with_parents (own, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, changed, -1, NULL));
  plan = plan_of ("VIDEO_PROCESSING", "u1", "v1");
  store = open_store ();
  derush_store_job_started (store, "q:1", "VIDEO_PROCESSING", plan, plan->data, 1, 1);
  derush_store_job_failed (store, "q:1", "it broke", FALSE, FALSE, 1);
  close_store (store);
  assert_count ("jobs WHERE \"tenantId\" = 't1' AND \"whyNot\" = 'it broke'", 1);
  derush_directory_remove (own, NULL);
}

/* Another schema is ours, beside that of the backend. */
static void
test_beside (void)
{
  DerushStore *store;
  g_autofree char *own = NULL;

  use_backend (NULL);
  own = g_strconcat (url, "&schema=derush", NULL);
  g_setenv ("DATABASE_URL", own, TRUE);
  store = open_store ();
  derush_store_job_started (store, "q:1", "SELF_TEST", NULL, NULL, 1, 1);
  close_store (store);
  assert_count ("derush.jobs", 1);
  assert_count ("public.jobs", 0);
}

int
main (int argc, char *argv[])
{
  g_autofree char *top = g_dir_make_tmp ("derush-backend-XXXXXX", NULL), *state = g_build_filename (top, "state", NULL);
  int status;

  /* Before GLib remembers another one. */
  g_setenv ("XDG_CONFIG_HOME", top, TRUE);
  g_setenv ("DERUSH_STATE_DIR", state, TRUE);
  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
  folder = g_strdup (g_getenv ("DERUSH_POSTGRESQL_DIR"));
  server = g_strdup (g_getenv ("DERUSH_POSTGRESQL_URL"));
  script = g_build_filename (g_getenv ("DERUSH_SOURCE_DIR"), "tests", "runner", "results", "prisma.sql", NULL);
  store_tests_use (NULL, open_database);
  g_test_add_func ("/results/backend/its-tables-are-used-as-they-are", test_used_as_they_are);
  g_test_add_func ("/results/backend/a-row-that-it-has-made-is-filled-in", test_row_of_backend);
  g_test_add_func ("/results/backend/what-it-does-not-know-costs-no-more-than-it-must", test_unknown_references);
  g_test_add_func ("/results/backend/other-names-types-and-values-will-do", test_other_shapes);
  g_test_add_func ("/results/backend/tables-that-will-not-do-are-refused-by-name", test_refused);
  g_test_add_func ("/results/backend/the-map-is-the-users-to-change", test_own_map);
  g_test_add_func ("/results/backend/another-schema-is-ours", test_beside);
  status = g_test_run ();
  derush_directory_remove (top, NULL);
  return status;
}
