/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fixture.h"
#include "plans.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

typedef struct {
  TestSlot test;
  char *films;

  /* of the last run */
  GString *steps;
  double progress;
  gboolean cancel_at_progress;
  int kill_at_progress;
  const char *remove_at_progress;
} Fixture;

static char *
write_film (Fixture *fixture, const char *name, const char *text)
{
  char *path = g_build_filename (fixture->films, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *outputs = NULL;

  test_slot_set_up (&fixture->test, g_getenv ("DERUSH_TEST_WORKER"));
  fixture->films = g_build_filename (fixture->test.top, "films", NULL);
  outputs = g_build_filename (fixture->test.top, "outputs", NULL);
  g_mkdir (fixture->films, 0755);
  g_mkdir (fixture->test.out, 0755);
  g_free (fixture->test.film);
  fixture->test.film = write_film (fixture, "film.mp4", "a film");
  g_setenv ("DERUSH_OUTPUT_DIR", outputs, TRUE);
  g_unsetenv ("DERUSH_STALL_TIMEOUT");
  g_unsetenv ("DERUSH_HEARTBEAT_TIMEOUT");
  g_unsetenv ("DERUSH_WORKER_MEMORY_LIMIT");
  g_unsetenv ("WORKER_MEMORY_THRESHOLD");
  g_unsetenv ("WORKER_UPTIME_THRESHOLD");
  fixture->steps = g_string_new (NULL);
  test_slot_open (&fixture->test);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  test_slot_tear_down (&fixture->test);
  g_string_free (fixture->steps, TRUE);
  g_free (fixture->films);
}

static void
on_progress (const char *step, double progress, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_cmpfloat (progress, >=, fixture->progress);
  fixture->progress = progress;
  if (!g_str_has_suffix (fixture->steps->str, step))
    g_string_append_printf (fixture->steps, " %s", step);
  if (progress > 0 && fixture->cancel_at_progress)
    g_cancellable_cancel (fixture->test.cancellable);
  if (progress > 0 && fixture->remove_at_progress)
    g_rmdir (fixture->remove_at_progress);
  if (progress > 0 && fixture->kill_at_progress) {
    kill (derush_slot_get_media_pid (fixture->test.slot), fixture->kill_at_progress);
    fixture->kill_at_progress = 0;
  }
}

/* Takes over @plan. */
static DerushOutcome *
run_within (Fixture *fixture, DerushPlan *plan, const char *const *roots)
{
  DerushRunOptions options = {
      .job_id = "1", .attempt = 1, .roots = roots, .progress = on_progress, .user_data = fixture};

  fixture->progress = 0;
  g_string_truncate (fixture->steps, 0);
  test_slot_run (&fixture->test, plan, &options);
  g_assert_false (derush_slot_is_busy (fixture->test.slot));
  return fixture->test.outcome;
}

static DerushOutcome *
run (Fixture *fixture, const char *action, const char *parameters)
{
  DerushPlan *plan = plan_new (fixture->test.film, fixture->test.out);

  plan_add (plan, action, action, parameters);
  return run_within (fixture, plan, NULL);
}

static JsonObject *
result_of (Fixture *fixture, const char *step)
{
  if (!fixture->test.outcome->return_value)
    g_error ("%s", fixture->test.outcome->message);
  return derush_json_get_object (derush_json_get_object (fixture->test.outcome->return_value, "results"), step);
}

static guint
count_files (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint count = 0;

  while (dir && g_dir_read_name (dir))
    count++;
  return count;
}

/* The slot's folder with its lock and the worker's home is all that may stand in the scratch. */
static void
assert_nothing_left (Fixture *fixture)
{
  g_autoptr (GDir) dir = g_dir_open (fixture->test.scratch, 0, NULL);
  const char *name;

  g_assert_cmpuint (count_files (fixture->test.out), ==, 0);
  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *slot = g_build_filename (fixture->test.scratch, name, NULL);

    g_assert_cmpuint (count_files (slot), ==, 2);
  }
}

static void
assert_failed (Fixture *fixture, DerushErrorClass error_class, const char *part)
{
  g_assert_null (fixture->test.outcome->return_value);
  if (!strstr (fixture->test.outcome->message, part))
    g_error ("“%s” does not mention “%s”", fixture->test.outcome->message, part);
  g_assert_null (strchr (fixture->test.outcome->message, '\n'));
  g_assert_cmpstr (derush_error_class_to_string (fixture->test.outcome->error_class), ==,
                   derush_error_class_to_string (error_class));
  assert_nothing_left (fixture);
}

static void
assert_next_job_completes (Fixture *fixture)
{
  run (fixture, "ok", NULL);
  g_assert_nonnull (result_of (fixture, "ok"));
}

/* ── Files ──────────────────────────────────────────────────────────────── */

static void
test_publishes (Fixture *fixture, gconstpointer data)
{
  g_autofree char *folder = g_build_filename (fixture->test.out, "new", "folder", NULL);
  g_autofree char *path = g_build_filename (folder, "a.txt", NULL);
  g_autofree char *text = NULL;
  DerushPlan *plan = plan_new (fixture->test.film, folder);
  DerushOutput *output;

  plan_add (plan, "first", "write", "{\"file\":\"a.txt\",\"text\":\"hello\",\"warn\":true}");
  plan_add (plan, "second", "slow", "{\"file\":\"b.txt\",\"seconds\":0.5}");
  run_within (fixture, plan, NULL);
  g_assert_nonnull (result_of (fixture, "second"));
  g_assert_cmpuint (fixture->test.outcome->outputs->len, ==, 2);
  output = fixture->test.outcome->outputs->pdata[0];
  g_assert_cmpstr (output->path, ==, path);
  g_assert_cmpint (output->size, ==, 5);
  g_assert_cmpstr (output->sha256, ==, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "hello");
  g_assert_cmpuint (count_files (folder), ==, 2);
  g_assert_cmpstr (fixture->steps->str, ==, " first second");
  g_assert_cmpfloat (fixture->progress, ==, 1);
  g_assert_cmpint (derush_json_get_int (fixture->test.outcome->return_value, "warnings", 0), ==, 1);
}

static void
test_default_folder (Fixture *fixture, gconstpointer data)
{
  DerushPlan *plan = plan_new (fixture->test.film, NULL);
  g_autofree char *expected = g_build_filename (g_getenv ("DERUSH_OUTPUT_DIR"), "_.._.._etc_passwd", "out.txt", NULL);

  plan->video_id = g_strdup ("/../../etc/passwd");
  plan_add (plan, "write", "write", NULL);
  run_within (fixture, plan, NULL);
  g_assert_cmpuint (fixture->test.outcome->outputs->len, ==, 1);
  g_assert_cmpstr (((DerushOutput *)fixture->test.outcome->outputs->pdata[0])->path, ==, expected);
}

static void
test_publish_fails (Fixture *fixture, gconstpointer data)
{
  g_autofree char *old = g_build_filename (fixture->test.out, "a.txt", NULL);
  g_autofree char *blocked = g_build_filename (fixture->test.out, "b.txt", NULL);
  g_autofree char *text = NULL;
  DerushPlan *plan = plan_new (fixture->test.film, fixture->test.out);

  g_assert_true (g_file_set_contents (old, "old", -1, NULL));
  g_assert_cmpint (g_mkdir (blocked, 0755), ==, 0);
  plan_add (plan, "first", "write", "{\"file\":\"a.txt\"}");
  plan_add (plan, "second", "write", "{\"file\":\"b.txt\"}");
  run_within (fixture, plan, NULL);
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_nonnull (strstr (fixture->test.outcome->message, "b.txt"));
  g_assert_true (g_file_get_contents (old, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "old");
  g_assert_cmpuint (count_files (fixture->test.out), ==, 2);
}

static void
test_folder_vanishes (Fixture *fixture, gconstpointer data)
{
  g_autofree char *folder = g_build_filename (fixture->test.out, "shared", NULL);
  DerushPlan *plan = plan_new (fixture->test.film, folder);

  plan_add (plan, "slow", "slow", NULL);
  fixture->remove_at_progress = folder;
  run_within (fixture, plan, NULL);
  g_assert_nonnull (result_of (fixture, "slow"));
  g_assert_cmpuint (count_files (folder), ==, 1);
}

static void
test_failure_unmakes_folder (Fixture *fixture, gconstpointer data)
{
  g_autofree char *folder = g_build_filename (fixture->test.out, "new", "folder", NULL);
  DerushPlan *plan = plan_new (fixture->test.film, folder);

  plan_add (plan, "fail", "fail", "{\"class\":\"resource\"}");
  run_within (fixture, plan, NULL);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "on purpose");
  g_assert_cmpstr (fixture->test.outcome->step, ==, "fail");
  g_assert_cmpstr (fixture->test.outcome->input, ==, fixture->test.film);
  g_assert_cmpstr (fixture->test.outcome->debug, ==, "element0: 42");
}

/* Whether and when another attempt helps comes through from the worker, in the words of the protocol. */
static void
test_failure_says_when_to_retry (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *parameters;
    gboolean can_retry;
    gint64 retry_at;
  } cases[] = {
      {"{\"class\":\"model\"}", TRUE, 0},
      {"{\"class\":\"model\",\"final\":true}", FALSE, 0},
      {"{\"class\":\"model\",\"retryAt\":1764000000500}", TRUE, 1764000000500},
      {"{\"class\":\"model\",\"retryAt\":1764000000500,\"final\":true}", FALSE, 0},
      {"{\"class\":\"bad-input\",\"retryAt\":1764000000500}", FALSE, 0},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    DerushPlan *plan = plan_new (fixture->test.film, NULL);

    plan_add (plan, "fail", "fail", cases[i].parameters);
    run_within (fixture, plan, NULL);
    g_assert_cmpint (fixture->test.outcome->can_retry, ==, cases[i].can_retry);
    g_assert_cmpint (fixture->test.outcome->retry_at, ==, cases[i].retry_at);
  }
}

static void
test_link_as_output (Fixture *fixture, gconstpointer data)
{
  run (fixture, "link", NULL);
  assert_failed (fixture, DERUSH_ERROR_INTERNAL, "out.txt");
}

static void
test_spares_source (Fixture *fixture, gconstpointer data)
{
  DerushPlan *plan = plan_new (fixture->test.film, fixture->films);
  g_autofree char *text = NULL;

  plan_add (plan, "write", "write", "{\"file\":\"film.mp4\"}");
  run_within (fixture, plan, NULL);
  assert_failed (fixture, DERUSH_ERROR_BAD_INPUT, "its own source");
  g_assert_true (g_file_get_contents (fixture->test.film, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "a film");
}

static void
test_full_disk (Fixture *fixture, gconstpointer data)
{
  run (fixture, "full", NULL);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "No space left");
  g_setenv ("DERUSH_MIN_FREE_SPACE", "9000000000000000000", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "write", NULL);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "too little space");
}

static void
test_long_value (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL, *whole = NULL;

  run (fixture, "list", NULL);
  g_assert_nonnull (fixture->test.outcome->return_value);
  text = derush_json_object_to_string (fixture->test.outcome->return_value);
  g_assert_cmpuint (strlen (text), <=, 16384);
  g_assert_true (g_file_get_contents (derush_json_get_string (fixture->test.outcome->return_value, "resultFile", ""),
                                      &whole, NULL, NULL));
  g_assert_nonnull (strstr (whole, "4999"));
  g_assert_true (g_str_has_suffix (json_object_get_string_member (fixture->test.outcome->return_value, "resultFile"),
                                   "/TEST.json"));
}

static void
test_analysis (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL, *text = NULL;

  for (int round = 0; round < 2; round++) {
    DerushPlan *plan = plan_new (fixture->test.film, fixture->test.out);

    plan->needs_analysis = TRUE;
    plan_add (plan, "analyse", round == 0 ? "write" : "ok", "{\"file\":\"analysis.derush\",\"text\":\"measured\"}");
    run_within (fixture, plan, NULL);
    g_assert_cmpint (derush_json_get_boolean (result_of (fixture, "analyse"), "analysis", FALSE), ==, round == 1);
    g_free (path);
    path = g_strdup (derush_json_get_string (fixture->test.outcome->return_value, "analysisPath", NULL));
    g_assert_nonnull (path);
  }
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "measured");
  assert_nothing_left (fixture);
}

static void
test_sweep (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dead = g_build_filename (fixture->test.scratch, "slot-dead", "job", NULL);
  g_autofree char *alive = g_build_filename (fixture->test.scratch, "slot-alive", NULL);
  g_autofree char *lock_path = g_build_filename (alive, "lock", NULL);
  int lock;

  g_mkdir_with_parents (dead, 0700);
  g_mkdir_with_parents (alive, 0700);
  lock = open (lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  g_assert_cmpint (flock (lock, LOCK_EX), ==, 0);
  run (fixture, "ok", NULL);
  g_assert_false (g_file_test (dead, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (alive, G_FILE_TEST_EXISTS));
  close (lock);
  derush_directory_remove (alive, NULL);
  g_clear_pointer (&fixture->test.slot, derush_slot_free);
  g_assert_cmpuint (count_files (fixture->test.scratch), ==, 0);
}

/* ── Sources ────────────────────────────────────────────────────────────── */

static void
test_bad_sources (Fixture *fixture, gconstpointer data)
{
  g_autofree char *fifo = g_build_filename (fixture->films, "pipe.mp4", NULL);
  g_autofree char *empty = write_film (fixture, "empty.mp4", "");
  g_autofree char *outside = g_build_filename (fixture->test.top, "secret.mp4", NULL);
  g_autofree char *link = g_build_filename (fixture->films, "link.mp4", NULL);
  g_autofree char *dangling = g_build_filename (fixture->films, "dangling.mp4", NULL);
  g_autofree char *climbing = g_build_filename (fixture->films, "..", "secret.mp4", NULL);
  const char *const roots[] = {fixture->films, fixture->test.out, NULL};
  const struct {
    const char *source, *part;
    DerushErrorClass error_class;
    gboolean confined;
  } cases[] = {
      {"/nowhere/film.mp4", "There is no file /nowhere/film.mp4", DERUSH_ERROR_BAD_INPUT},
      {fixture->films, "is a folder", DERUSH_ERROR_BAD_INPUT},
      {fifo, "is no ordinary file", DERUSH_ERROR_BAD_INPUT},
      {"/dev/zero", "is no ordinary file", DERUSH_ERROR_BAD_INPUT},
      {empty, "is empty", DERUSH_ERROR_BAD_INPUT},
      {"film.mp4", "is not absolute", DERUSH_ERROR_BAD_INPUT},
      {"", "is not absolute", DERUSH_ERROR_BAD_INPUT},
      {"s3://bucket/film.mp4", "cannot be fetched", DERUSH_ERROR_UNSUPPORTED},
      {"file://elsewhere/film.mp4", "another machine", DERUSH_ERROR_BAD_INPUT},
      {"file:///nowhere/a%20b.mp4", "There is no file /nowhere/a b.mp4", DERUSH_ERROR_BAD_INPUT},
      {dangling, "cannot be resolved", DERUSH_ERROR_BAD_INPUT},
      {outside, "outside of the allowed folders", DERUSH_ERROR_BAD_INPUT, TRUE},
      {link, "outside of the allowed folders", DERUSH_ERROR_BAD_INPUT, TRUE},
      {climbing, "outside of the allowed folders", DERUSH_ERROR_BAD_INPUT, TRUE},
  };

  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_true (g_file_set_contents (outside, "secret", -1, NULL));
  g_assert_cmpint (symlink (outside, link), ==, 0);
  g_assert_cmpint (symlink ("/nowhere", dangling), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    DerushPlan *plan = plan_new (cases[i].source, fixture->test.out);

    plan_add (plan, "read", "read", NULL);
    run_within (fixture, plan, cases[i].confined ? roots : NULL);
    assert_failed (fixture, cases[i].error_class, cases[i].part);
    g_assert_null (fixture->test.outcome->step);
  }
}

static void
test_output_outside (Fixture *fixture, gconstpointer data)
{
  g_autofree char *outside = g_build_filename (fixture->test.top, "elsewhere", "deep", NULL);
  const char *const roots[] = {fixture->films, NULL};
  DerushPlan *plan = plan_new (fixture->test.film, outside);

  plan_add (plan, "write", "write", NULL);
  run_within (fixture, plan, roots);
  assert_failed (fixture, DERUSH_ERROR_BAD_INPUT, "outside of the allowed folders");
  g_assert_false (g_file_test (outside, G_FILE_TEST_EXISTS));
}

static void
test_odd_names (Fixture *fixture, gconstpointer data)
{
  static const char *const names[] = {"a \"quoted\" 'film' ! fakesink.mp4", "100% & more; $(rm).mp4", "#1?.mp4",
                                      "caf\303\251 \360\237\216\254.mp4", "a%20b.mp4"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = write_film (fixture, names[i], names[i]);
    g_autofree char *escaped = g_filename_to_uri (path, NULL, NULL);
    g_autofree char *plain = g_strconcat ("file://", path, NULL);
    const char *const sources[] = {path, escaped, plain};

    for (guint k = 0; k < G_N_ELEMENTS (sources); k++) {
      DerushPlan *plan = plan_new (sources[k], fixture->test.out);

      plan_add (plan, "read", "read", NULL);
      run_within (fixture, plan, NULL);
      g_assert_cmpstr (derush_json_get_string (result_of (fixture, "read"), "text", NULL), ==, names[i]);
    }
  }
}

/* ── Workers that misbehave ─────────────────────────────────────────────── */

static void
test_crash (Fixture *fixture, gconstpointer data)
{
  run (fixture, "crash", NULL);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "killed by signal 11 (Segmentation fault)");
  g_assert_nonnull (strstr (fixture->test.outcome->debug, "about to crash"));
  assert_next_job_completes (fixture);
  run (fixture, "exit", NULL);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "status 3");
  assert_next_job_completes (fixture);
}

static void
test_killed (Fixture *fixture, gconstpointer data)
{
  GPid first;

  fixture->kill_at_progress = SIGKILL;
  run (fixture, "slow", "{\"seconds\":600}");
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "killed by signal 9 (Killed)");
  assert_next_job_completes (fixture);
  first = derush_slot_get_media_pid (fixture->test.slot);
  assert_next_job_completes (fixture);
  g_assert_cmpint (derush_slot_get_media_pid (fixture->test.slot), ==, first);
}

static void
test_cancel (Fixture *fixture, gconstpointer data)
{
  GPid first;

  assert_next_job_completes (fixture);
  first = derush_slot_get_media_pid (fixture->test.slot);
  fixture->cancel_at_progress = TRUE;
  run (fixture, "slow", "{\"seconds\":600}");
  assert_failed (fixture, DERUSH_ERROR_CANCELLED, "cancelled");
  fixture->cancel_at_progress = FALSE;
  assert_next_job_completes (fixture);
  g_assert_cmpint (derush_slot_get_media_pid (fixture->test.slot), ==, first);
}

static void
test_cancel_hanging (Fixture *fixture, gconstpointer data)
{
  DerushPlan *plan = plan_new (fixture->test.film, fixture->test.out);

  plan_add (plan, "write", "write", NULL);
  plan_add (plan, "hang", "hang", NULL);
  fixture->cancel_at_progress = TRUE;
  run_within (fixture, plan, NULL);
  assert_failed (fixture, DERUSH_ERROR_CANCELLED, "cancelled");
  fixture->cancel_at_progress = FALSE;
  assert_next_job_completes (fixture);
}

static void
test_slot_freed_while_running (Fixture *fixture, gconstpointer data)
{
  DerushPlan *plan = plan_new (fixture->test.film, fixture->test.out);
  DerushRunOptions options = {.job_id = "1", .attempt = 1};

  plan_add (plan, "hang", "hang", NULL);
  test_slot_start (&fixture->test, plan, &options);
  g_clear_pointer (&fixture->test.slot, derush_slot_free);
  while (!fixture->test.outcome)
    g_main_context_iteration (NULL, TRUE);
  assert_failed (fixture, DERUSH_ERROR_CANCELLED, "cancelled");
  g_assert_cmpuint (count_files (fixture->test.scratch), ==, 0);
}

static void
test_stalled (Fixture *fixture, gconstpointer data)
{
  DerushPlan *plan;

  g_setenv ("DERUSH_STALL_TIMEOUT", "1", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "silent", "{\"seconds\":600}");
  assert_failed (fixture, DERUSH_ERROR_STALLED, "No progress for 1 s");
  assert_next_job_completes (fixture);
  plan = plan_new (fixture->test.film, fixture->test.out);
  plan->timeout = 1;
  plan_add (plan, "slow", "slow", "{\"seconds\":600}");
  run_within (fixture, plan, NULL);
  assert_failed (fixture, DERUSH_ERROR_STALLED, "longer than it may");
  g_setenv ("DERUSH_STALL_TIMEOUT", "600", TRUE);
  test_slot_open (&fixture->test);
  plan = plan_new (fixture->test.film, fixture->test.out);
  plan->no_progress = 1000;
  plan_add (plan, "silent", "silent", "{\"seconds\":600}");
  run_within (fixture, plan, NULL);
  assert_failed (fixture, DERUSH_ERROR_STALLED, "No progress for 1 s");
}

static void
test_stopped_worker (Fixture *fixture, gconstpointer data)
{
  g_setenv ("DERUSH_HEARTBEAT_TIMEOUT", "1", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "stop", NULL);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "did not answer");
  assert_next_job_completes (fixture);
}

static void
test_status (Fixture *fixture, gconstpointer data)
{
  DerushSlotStatus status;
  GPid first;

  derush_slot_get_status (fixture->test.slot, &status);
  g_assert_false (status.busy);
  g_assert_cmpint (status.pid, ==, 0);
  g_assert_cmpint (status.heartbeat, ==, 0);
  assert_next_job_completes (fixture);
  derush_slot_get_status (fixture->test.slot, &status);
  first = status.pid;
  g_assert_cmpint (first, ==, derush_slot_get_media_pid (fixture->test.slot));
  g_assert_cmpint (status.memory, >, 100000);
  g_assert_cmpint (status.heartbeat, >, derush_time_now_ms () - 3600000);
  g_assert_cmpint (status.heartbeat, <=, derush_time_now_ms ());
  g_assert_cmpuint (status.restarts, ==, 0);
  derush_slot_restart (fixture->test.slot, TRUE);
  do {
    g_usleep (5000);
    derush_slot_get_status (fixture->test.slot, &status);
  } while (status.pid == 0 || status.pid == first);
  g_assert_cmpuint (status.restarts, ==, 1);
  derush_slot_restart (fixture->test.slot, FALSE);
  do {
    g_usleep (5000);
    derush_slot_get_status (fixture->test.slot, &status);
  } while (status.pid != 0);
  assert_next_job_completes (fixture);
  derush_slot_get_status (fixture->test.slot, &status);
  g_assert_cmpuint (status.restarts, ==, 2);
}

static DerushSlotStatus
wait_for_worker (Fixture *fixture, guint restarts)
{
  DerushSlotStatus status;

  do {
    g_usleep (5000);
    derush_slot_get_status (fixture->test.slot, &status);
  } while (status.restarts < restarts || status.pid == 0);
  return status;
}

static void
test_lasting (Fixture *fixture, gconstpointer data)
{
  GPid first;
  DerushSlotStatus status;

  derush_slot_set_lasting (fixture->test.slot, TRUE);
  assert_next_job_completes (fixture);
  first = derush_slot_get_media_pid (fixture->test.slot);
  kill (first, SIGKILL);
  status = wait_for_worker (fixture, 1);
  g_assert_cmpint (status.pid, !=, first);
  g_assert_cmpuint (status.restarts, ==, 1);
  g_assert_false (status.busy);
  run (fixture, "crash", NULL);
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_cmpuint (wait_for_worker (fixture, 2).restarts, ==, 2);
  /* What an operator ends stays away. */
  derush_slot_restart (fixture->test.slot, FALSE);
  do {
    g_usleep (5000);
    derush_slot_get_status (fixture->test.slot, &status);
  } while (status.pid != 0);
  g_usleep (300000);
  derush_slot_get_status (fixture->test.slot, &status);
  g_assert_cmpint (status.pid, ==, 0);
  g_assert_cmpuint (status.restarts, ==, 2);
}

static void
test_hostile_worker (Fixture *fixture, gconstpointer data)
{
  run (fixture, "no-json", NULL);
  assert_failed (fixture, DERUSH_ERROR_INTERNAL, "protocol");
  assert_next_job_completes (fixture);
  run (fixture, "long-line", NULL);
  assert_failed (fixture, DERUSH_ERROR_INTERNAL, "protocol");
  assert_next_job_completes (fixture);
  run (fixture, "noise", NULL);
  g_assert_nonnull (result_of (fixture, "noise"));
}

static void
test_memory (Fixture *fixture, gconstpointer data)
{
  GPid first;

  g_setenv ("DERUSH_WORKER_MEMORY_LIMIT", "200000000", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "grow", "{\"bytes\":300000000,\"seconds\":600}");
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "more memory than it may");
  g_setenv ("WORKER_MEMORY_THRESHOLD", "50000000", TRUE);
  test_slot_open (&fixture->test);
  assert_next_job_completes (fixture);
  first = derush_slot_get_media_pid (fixture->test.slot);
  run (fixture, "grow", "{\"bytes\":100000000,\"seconds\":0}");
  g_assert_nonnull (result_of (fixture, "grow"));
  assert_next_job_completes (fixture);
  g_assert_cmpint (derush_slot_get_media_pid (fixture->test.slot), !=, first);
}

static void
test_age (Fixture *fixture, gconstpointer data)
{
  GPid first;

  g_setenv ("WORKER_UPTIME_THRESHOLD", "1", TRUE);
  test_slot_open (&fixture->test);
  assert_next_job_completes (fixture);
  first = derush_slot_get_media_pid (fixture->test.slot);
  run (fixture, "silent", "{\"seconds\":2.1}");
  g_assert_cmpint (derush_json_get_int (result_of (fixture, "silent"), "pid", 0), ==, first);
  assert_next_job_completes (fixture);
  g_assert_cmpint (derush_slot_get_media_pid (fixture->test.slot), !=, first);
}

static void
test_no_start (Fixture *fixture, gconstpointer data)
{
  g_autofree char *script = g_build_filename (fixture->test.top, "worker", NULL);

  g_assert_true (g_file_set_contents (script, "#!/bin/sh\necho 'a library is missing' >&2\nexit 127\n", -1, NULL));
  g_chmod (script, 0755);
  g_setenv ("DERUSH_MEDIA_WORKER", script, TRUE);
  run (fixture, "ok", NULL);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "a library is missing");
  g_assert_nonnull (strstr (fixture->test.outcome->message, "status 127"));
  g_setenv ("DERUSH_MEDIA_WORKER", "/nowhere/worker", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "ok", NULL);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE, "/nowhere/worker");
  g_setenv ("DERUSH_MEDIA_WORKER", g_getenv ("DERUSH_TEST_WORKER"), TRUE);
  test_slot_open (&fixture->test);
  assert_next_job_completes (fixture);
}

static gboolean
is_listed (JsonArray *list, const char *text)
{
  for (guint i = 0; i < json_array_get_length (list); i++)
    if (strstr (json_array_get_string_element (list, i), text))
      return TRUE;
  return FALSE;
}

static void
test_environment (Fixture *fixture, gconstpointer data)
{
  JsonObject *result;
  JsonArray *environment, *fds;
  int extra = open ("/dev/null", O_RDONLY);

  g_setenv ("REDIS_PASSWORD", "hidden-1", TRUE);
  g_setenv ("DATABASE_URL", "postgresql://me:hidden-2@host/db", TRUE);
  g_setenv ("OPENAI_API_KEY", "hidden-3", TRUE);
  g_setenv ("AWS_SECRET_ACCESS_KEY", "hidden-4", TRUE);
  run (fixture, "environment", NULL);
  result = result_of (fixture, "environment");
  environment = derush_json_get_array (result, "environment");
  fds = derush_json_get_array (result, "fds");
  g_assert_false (is_listed (environment, "hidden"));
  g_assert_true (is_listed (environment, "PATH="));
  g_assert_true (is_listed (environment, "GST_REGISTRY="));
  g_assert_true (is_listed (environment, DERUSH_PLUGINSDIR));
  g_assert_true (is_listed (environment, "HOME="));
  /* stdin, output twice, the socket, two of GLib's main loop, the film */
  g_assert_true (g_str_equal (json_array_get_string_element (fds, 0), "/dev/null"));
  g_assert_cmpuint (json_array_get_length (fds), <=, 8);
  g_assert_true (g_str_has_prefix (derush_json_get_string (result, "cwd", ""), fixture->test.scratch));
  g_assert_cmpint (derush_json_get_int (result, "group", 0), ==, derush_json_get_int (result, "pid", 1));
  close (extra);
}

static void
test_self_test (Fixture *fixture, gconstpointer data)
{
  for (int ok = 0; ok < 2; ok++) {
    DerushPlan *plan = plan_new (NULL, NULL);
    g_autoptr (DerushOutcome) answer = NULL;

    plan_add (plan, "self-test", "self-test", ok ? "{\"do\":\"ok\"}" : "{\"do\":\"fail\"}");
    ((DerushPlanStep *)plan->steps->pdata[0])->worker = DERUSH_STEP_DAEMON;
    answer = derush_plan_answer (plan);
    g_assert_nonnull (answer);
    run_within (fixture, plan, NULL);
    g_assert_cmpint (answer->return_value != NULL, ==, ok);
    g_assert_cmpint (fixture->test.outcome->return_value != NULL, ==, ok);
    g_assert_cmpstr (fixture->test.outcome->message, ==, answer->message);
  }
  g_assert_cmpint (derush_slot_get_media_pid (fixture->test.slot), ==, 0);
}

static void
test_describe (void)
{
  DerushOutcome outcome = {.message = (char *)"too dark"};
  g_autofree char *plain = derush_outcome_describe (&outcome), *full = NULL;

  g_assert_cmpstr (plain, ==, "too dark");
  outcome.step = (char *)"probe";
  outcome.input = (char *)"/films/a.mp4";
  full = derush_outcome_describe (&outcome);
  g_assert_cmpstr (full, ==, "step “probe” of /films/a.mp4: too dark");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_unsetenv ("DERUSH_ALLOWED_ROOTS");
  derush_log_set_level (DERUSH_LOG_ERROR);
#define ADD(path, test) g_test_add ("/steps/slot/" path, Fixture, NULL, set_up, test, tear_down)
  ADD ("a-plan-runs-and-its-files-are-published", test_publishes);
  ADD ("without-a-folder-the-configured-one-is-used-and-not-left", test_default_folder);
  ADD ("when-one-file-cannot-be-published-none-is", test_publish_fails);
  ADD ("a-failure-leaves-no-folder-that-the-job-made", test_failure_unmakes_folder);
  ADD ("a-failure-says-whether-and-when-another-attempt-helps", test_failure_says_when_to_retry);
  ADD ("a-folder-that-another-job-unmade-is-made-again", test_folder_vanishes);
  ADD ("a-link-left-by-the-worker-is-not-published", test_link_as_output);
  ADD ("a-job-never-replaces-its-own-source", test_spares_source);
  ADD ("a-full-disk-fails-the-attempt-and-leaves-nothing", test_full_disk);
  ADD ("a-long-return-value-goes-to-a-file", test_long_value);
  ADD ("an-analysis-is-stored-once-and-offered-again", test_analysis);
  ADD ("folders-of-dead-processes-are-swept", test_sweep);
  ADD ("a-bad-source-is-named-in-one-line", test_bad_sources);
  ADD ("an-output-folder-outside-of-the-roots-is-refused", test_output_outside);
  ADD ("odd-names-are-only-names", test_odd_names);
  ADD ("a-crash-fails-one-job-and-names-its-cause", test_crash);
  ADD ("a-killed-worker-is-replaced-and-the-next-kept", test_killed);
  ADD ("a-cancelled-job-leaves-nothing-and-keeps-the-worker", test_cancel);
  ADD ("a-worker-that-ignores-a-cancel-is-killed", test_cancel_hanging);
  ADD ("a-slot-can-be-freed-while-it-runs", test_slot_freed_while_running);
  ADD ("no-progress-or-too-much-time-is-a-stall", test_stalled);
  ADD ("tells-how-its-worker-is-and-restarts-it", test_status);
  ADD ("a-lasting-worker-is-started-again-unless-it-was-ended", test_lasting);
  ADD ("a-worker-that-does-not-answer-is-killed", test_stopped_worker);
  ADD ("a-worker-that-breaks-the-protocol-is-killed", test_hostile_worker);
  ADD ("memory-is-limited", test_memory);
  ADD ("a-worker-past-its-age-is-replaced-after-its-job", test_age);
  ADD ("a-worker-that-does-not-start-is-named", test_no_start);
  ADD ("a-worker-sees-no-secret-and-no-foreign-descriptor", test_environment);
  ADD ("a-self-test-without-duration-needs-no-worker", test_self_test);
  g_test_add_func ("/steps/outcome/a-failure-is-described-in-one-line", test_describe);
  return g_test_run ();
}
