/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fixture.h"
#include "plans.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* Jobs that are interrupted and tried again: a step “first” that writes a file, and a “second” that fails until the file
 * @gate is there. */

typedef struct {
  TestSlot test;
  char *gate;
  GString *steps;
  double begun; /* the first progress of the last run */
  gboolean cancel, keep;
  const char *first_action, *gate_class, *job_id;
  gboolean hang, needs_analysis;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  test_slot_set_up (&fixture->test, g_getenv ("DERUSH_TEST_WORKER"));
  fixture->gate = g_build_filename (fixture->test.top, "gate", NULL);
  g_unsetenv ("DERUSH_CHECKPOINT_AGE");
  fixture->steps = g_string_new (NULL);
  fixture->first_action = "write";
  fixture->job_id = "7";
  test_slot_open (&fixture->test);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  test_slot_tear_down (&fixture->test);
  g_string_free (fixture->steps, TRUE);
  g_free (fixture->gate);
}

static void
on_progress (const char *step, double progress, gpointer user_data)
{
  Fixture *fixture = user_data;

  if (fixture->begun < 0)
    fixture->begun = progress;
  if (!g_str_has_suffix (fixture->steps->str, step))
    g_string_append_printf (fixture->steps, " %s", step);
  if (progress > 0.5 && fixture->cancel) {
    if (fixture->keep)
      derush_slot_keep_checkpoint (fixture->test.slot);
    g_cancellable_cancel (fixture->test.cancellable);
  }
}

static DerushPlan *
make_plan (Fixture *fixture)
{
  DerushPlan *plan = plan_new (fixture->test.film, fixture->test.out);
  g_autofree char *gate =
      g_strdup_printf ("{\"path\":\"%s\",\"class\":\"%s\",\"hang\":%s}", fixture->gate,
                       fixture->gate_class ? fixture->gate_class : "resource", fixture->hang ? "true" : "false");

  plan->needs_analysis = fixture->needs_analysis;
  plan_add (plan, plan->needs_analysis ? "analyse" : "first", fixture->first_action,
            "{\"file\":\"a.txt\",\"text\":\"hello\",\"warn\":true}");
  plan_add (plan, "second", "gate", gate);
  return plan;
}

static void
run_plan (Fixture *fixture, DerushPlan *plan, guint attempt, guint attempts, gboolean checkpoints)
{
  DerushRunOptions options = {.job_id = fixture->job_id,
                              .queue = "films",
                              .attempt = attempt,
                              .attempts = attempts,
                              .checkpoints = checkpoints,
                              .progress = on_progress,
                              .user_data = fixture};

  fixture->begun = -1;
  g_string_truncate (fixture->steps, 0);
  test_slot_run (&fixture->test, plan, &options);
}

static void
run (Fixture *fixture, guint attempt, guint attempts)
{
  run_plan (fixture, make_plan (fixture), attempt, attempts, TRUE);
}

static void
open_gate (Fixture *fixture)
{
  g_assert_true (g_file_set_contents (fixture->gate, "", -1, NULL));
}

static char *
find_folder (Fixture *fixture, const char *prefix)
{
  g_autoptr (GDir) dir = g_dir_open (fixture->test.scratch, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (g_str_has_prefix (name, prefix))
      return g_build_filename (fixture->test.scratch, name, NULL);
  return NULL;
}

static void
assert_kept (Fixture *fixture, gboolean kept)
{
  g_autofree char *folder = find_folder (fixture, "job-"), *gone = find_folder (fixture, "gone-");

  g_assert_cmpint (folder != NULL, ==, kept);
  g_assert_null (gone);
}

static void
assert_completed (Fixture *fixture, const char *steps)
{
  if (!fixture->test.outcome->return_value)
    g_error ("%s", fixture->test.outcome->message);
  g_assert_cmpstr (fixture->steps->str, ==, steps);
  assert_kept (fixture, FALSE);
}

static void
assert_failed (Fixture *fixture, DerushErrorClass error_class)
{
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_cmpstr (derush_error_class_to_string (fixture->test.outcome->error_class), ==,
                   derush_error_class_to_string (error_class));
}

/* A first attempt that left its first step. */
static void
interrupt (Fixture *fixture)
{
  run (fixture, 1, 2);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE);
  g_assert_cmpstr (fixture->steps->str, ==, fixture->needs_analysis ? " analyse second" : " first second");
  assert_kept (fixture, TRUE);
}

/* ── Resuming ───────────────────────────────────────────────────────────── */

static void
test_resumes (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->test.out, "a.txt", NULL), *text = NULL;
  JsonArray *resumed;

  interrupt (fixture);
  /* Another process would find no less. */
  test_slot_open (&fixture->test);
  open_gate (fixture);
  run (fixture, 2, 2);
  assert_completed (fixture, " second");
  g_assert_cmpfloat (fixture->begun, ==, 0.5);
  resumed = derush_json_get_array (fixture->test.outcome->return_value, "resumedSteps");
  g_assert_cmpuint (json_array_get_length (resumed), ==, 1);
  g_assert_cmpstr (json_array_get_string_element (resumed, 0), ==, "first");
  g_assert_cmpint (derush_json_get_int (fixture->test.outcome->return_value, "warnings", 0), ==, 1);
  g_assert_cmpuint (fixture->test.outcome->outputs->len, ==, 1);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "hello");
}

static void
test_says_nothing_else (Fixture *fixture, gconstpointer data)
{
  open_gate (fixture);
  run (fixture, 1, 2);
  assert_completed (fixture, " first second");
  g_assert_false (json_object_has_member (fixture->test.outcome->return_value, "resumedSteps"));
}

static void
test_again_and_again (Fixture *fixture, gconstpointer data)
{
  run (fixture, 1, 3);
  run (fixture, 2, 3);
  g_assert_cmpstr (fixture->steps->str, ==, " second");
  assert_kept (fixture, TRUE);
  open_gate (fixture);
  run (fixture, 3, 3);
  assert_completed (fixture, " second");
}

static void
test_half_files (Fixture *fixture, gconstpointer data)
{
  g_autofree char *folder = NULL, *half = NULL, *whole = NULL;

  interrupt (fixture);
  folder = find_folder (fixture, "job-");
  half = g_build_filename (folder, "files", "half.txt", NULL);
  whole = g_build_filename (folder, "files", "a.txt", NULL);
  g_assert_false (g_file_test (half, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (whole, G_FILE_TEST_EXISTS));
  /* As a process that was killed would leave it. */
  g_assert_true (g_file_set_contents (half, "half", -1, NULL));
  open_gate (fixture);
  run (fixture, 2, 2);
  assert_completed (fixture, " second");
  g_assert_cmpuint (fixture->test.outcome->outputs->len, ==, 1);
}

static void
test_given_back (Fixture *fixture, gconstpointer data)
{
  fixture->cancel = fixture->keep = fixture->hang = TRUE;
  run (fixture, 1, 1);
  assert_failed (fixture, DERUSH_ERROR_CANCELLED);
  assert_kept (fixture, TRUE);
  fixture->cancel = FALSE;
  open_gate (fixture);
  run (fixture, 1, 1);
  assert_completed (fixture, " second");
}

static void
test_analysis (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;

  fixture->needs_analysis = TRUE;
  interrupt (fixture);
  open_gate (fixture);
  run (fixture, 2, 2);
  assert_completed (fixture, " second");
  path = g_strdup (derush_json_get_string (fixture->test.outcome->return_value, "analysisPath", NULL));
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));

  /* Another job takes what is stored, which is cleared away before its second attempt. */
  g_unlink (fixture->gate);
  fixture->job_id = "8";
  fixture->first_action = "ok";
  interrupt (fixture);
  g_assert_cmpint (g_unlink (path), ==, 0);
  open_gate (fixture);
  run (fixture, 2, 2);
  assert_completed (fixture, " analyse second");
}

/* ── Beginning anew ─────────────────────────────────────────────────────── */

static void
change_source (Fixture *fixture)
{
  struct stat before;
  struct timespec times[2];

  /* Of the same length, and as old as before. */
  g_assert_cmpint (g_stat (fixture->test.film, &before), ==, 0);
  times[0] = before.st_atim;
  times[1] = before.st_mtim;
  g_usleep (20000);
  g_assert_true (g_file_set_contents (fixture->test.film, "b film", -1, NULL));
  g_assert_cmpint (utimensat (AT_FDCWD, fixture->test.film, times, 0), ==, 0);
}

static void
change_parameters (Fixture *fixture)
{
  fixture->gate_class = "stalled";
}

static void
change_job (Fixture *fixture)
{
  fixture->job_id = "8";
}

static char *
path_in_folder (Fixture *fixture, const char *name)
{
  g_autofree char *folder = find_folder (fixture, "job-");

  return g_build_filename (folder, name, NULL);
}

static void
shorten_file (Fixture *fixture)
{
  g_autofree char *path = path_in_folder (fixture, "files/a.txt");

  g_assert_cmpint (truncate (path, 2), ==, 0);
}

static void
remove_file (Fixture *fixture)
{
  g_autofree char *path = path_in_folder (fixture, "files/a.txt");

  g_assert_cmpint (g_unlink (path), ==, 0);
}

static void
replace_by_link (Fixture *fixture)
{
  g_autofree char *path = path_in_folder (fixture, "files/a.txt");

  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (symlink (fixture->test.film, path), ==, 0);
}

static void
damage_list (Fixture *fixture)
{
  g_autofree char *path = path_in_folder (fixture, "checkpoint.json");

  g_assert_true (g_file_set_contents (path, "{\"version\":1,\"ke", -1, NULL));
}

static void
empty_list (Fixture *fixture)
{
  g_autofree char *path = path_in_folder (fixture, "checkpoint.json");

  g_assert_true (g_file_set_contents (path, "", -1, NULL));
}

/* Whatever its members are, none is trusted. */
static void
distort_list (Fixture *fixture)
{
  g_autofree char *path = path_in_folder (fixture, "checkpoint.json"), *text = NULL;
  g_autoptr (JsonObject) object = NULL;
  JsonArray *steps = json_array_new ();

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  object = derush_json_parse_object (text, -1, NULL);
  json_array_add_null_element (steps);
  json_object_set_array_member (object, "steps", steps);
  g_free (text);
  text = derush_json_object_to_string (object);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static const struct {
  const char *name;
  void (*change) (Fixture *fixture);
  const char *steps;
} changes[] = {
    {"the-contents-of-the-source", change_source, " first second"},
    {"the-parameters-of-a-step", change_parameters, " first second"},
    {"a-file-that-is-shorter", shorten_file, " first second"},
    {"a-file-that-is-gone", remove_file, " first second"},
    {"a-file-that-is-a-link", replace_by_link, " first second"},
    {"a-list-that-ends-in-the-middle", damage_list, " first second"},
    {"a-list-that-is-empty", empty_list, " first second"},
    {"a-list-of-nothing", distort_list, " first second"},
};

static void
test_change (Fixture *fixture, gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  g_autofree char *path = g_build_filename (fixture->test.out, "a.txt", NULL), *text = NULL;

  interrupt (fixture);
  changes[i].change (fixture);
  open_gate (fixture);
  run (fixture, 2, 2);
  assert_completed (fixture, changes[i].steps);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "hello");
}

static void
test_other_job (Fixture *fixture, gconstpointer data)
{
  interrupt (fixture);
  change_job (fixture);
  open_gate (fixture);
  run (fixture, 1, 2);
  g_assert_nonnull (fixture->test.outcome->return_value);
  g_assert_cmpstr (fixture->steps->str, ==, " first second");
  /* The first one's steps are still its own. */
  assert_kept (fixture, TRUE);
  fixture->job_id = "7";
  run (fixture, 2, 2);
  assert_completed (fixture, " second");
}

/* ── Leaving nothing ────────────────────────────────────────────────────── */

static void
test_final_failures (Fixture *fixture, gconstpointer data)
{
  run (fixture, 1, 1);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE);
  assert_kept (fixture, FALSE);
  interrupt (fixture);
  run (fixture, 2, 2);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE);
  assert_kept (fixture, FALSE);
  fixture->gate_class = "bad-input";
  run (fixture, 1, 5);
  assert_failed (fixture, DERUSH_ERROR_BAD_INPUT);
  assert_kept (fixture, FALSE);
}

static void
test_cancelled (Fixture *fixture, gconstpointer data)
{
  fixture->cancel = fixture->hang = TRUE;
  run (fixture, 1, 5);
  assert_failed (fixture, DERUSH_ERROR_CANCELLED);
  assert_kept (fixture, FALSE);
}

static void
test_fails_before_its_folder (Fixture *fixture, gconstpointer data)
{
  interrupt (fixture);
  g_assert_cmpint (g_unlink (fixture->test.film), ==, 0);
  run (fixture, 2, 5);
  assert_failed (fixture, DERUSH_ERROR_BAD_INPUT);
  assert_kept (fixture, FALSE);
}

static void
test_off (Fixture *fixture, gconstpointer data)
{
  run_plan (fixture, make_plan (fixture), 1, 2, FALSE);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE);
  assert_kept (fixture, FALSE);
  g_setenv ("DERUSH_CHECKPOINT_AGE", "0", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, 1, 2);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE);
  assert_kept (fixture, FALSE);
}

/* ── Trouble ────────────────────────────────────────────────────────────── */

static void
test_cannot_be_written (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;

  interrupt (fixture);
  path = path_in_folder (fixture, "checkpoint.json");
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_mkdir (path, 0700), ==, 0);
  open_gate (fixture);
  run (fixture, 2, 2);
  assert_completed (fixture, " first second");
}

static void
test_folder_is_a_file (Fixture *fixture, gconstpointer data)
{
  g_autofree char *folder = NULL;

  interrupt (fixture);
  folder = find_folder (fixture, "job-");
  g_assert_true (derush_directory_remove (folder, NULL));
  g_assert_cmpint (symlink (fixture->test.top, folder), ==, 0);
  open_gate (fixture);
  run (fixture, 2, 2);
  g_assert_nonnull (fixture->test.outcome->return_value);
  g_assert_cmpstr (fixture->steps->str, ==, " first second");
  g_assert_true (g_file_test (fixture->test.film, G_FILE_TEST_EXISTS));
  g_unlink (folder);
}

static void
test_locked (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL, *kept = NULL;
  int lock;

  interrupt (fixture);
  path = path_in_folder (fixture, "lock");
  kept = path_in_folder (fixture, "files/a.txt");
  lock = open (path, O_RDWR | O_CLOEXEC);
  g_assert_cmpint (flock (lock, LOCK_EX | LOCK_NB), ==, 0);
  open_gate (fixture);
  run (fixture, 2, 2);
  g_assert_nonnull (fixture->test.outcome->return_value);
  g_assert_cmpstr (fixture->steps->str, ==, " first second");
  /* What another attempt is using is as it was. */
  g_assert_true (g_file_test (kept, G_FILE_TEST_EXISTS));
  close (lock);
}

/* ── Sweeping ───────────────────────────────────────────────────────────── */

static void
make_old (Fixture *fixture)
{
  static const char *const names[] = {"lock", "checkpoint.json"};
  const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = path_in_folder (fixture, names[i]);

    g_assert_cmpint (utimensat (AT_FDCWD, path, times, 0), ==, 0);
  }
}

static void
test_sweep (Fixture *fixture, gconstpointer data)
{
  g_autofree char *gone = g_build_filename (fixture->test.scratch, "gone-1", "files", NULL), *path = NULL;
  int lock;

  interrupt (fixture);
  g_mkdir_with_parents (gone, 0700);
  derush_checkpoints_sweep (fixture->test.config);
  assert_kept (fixture, TRUE);
  make_old (fixture);
  path = path_in_folder (fixture, "lock");
  lock = open (path, O_RDWR | O_CLOEXEC);
  g_assert_cmpint (flock (lock, LOCK_EX | LOCK_NB), ==, 0);
  derush_checkpoints_sweep (fixture->test.config);
  assert_kept (fixture, TRUE);
  close (lock);
  derush_checkpoints_sweep (fixture->test.config);
  assert_kept (fixture, FALSE);
}

static void
test_makes_room (Fixture *fixture, gconstpointer data)
{
  interrupt (fixture);
  g_setenv ("DERUSH_MIN_FREE_SPACE", "9000000000000000000", TRUE);
  test_slot_open (&fixture->test);
  fixture->job_id = "8";
  run (fixture, 1, 2);
  assert_failed (fixture, DERUSH_ERROR_RESOURCE);
  assert_kept (fixture, FALSE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
#define ADD(name, func) g_test_add ("/steps/checkpoint/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("a-retried-job-starts-at-its-first-unfinished-step", test_resumes);
  ADD ("a-job-that-was-not-interrupted-says-nothing-of-it", test_says_nothing_else);
  ADD ("it-lasts-for-several-attempts", test_again_and_again);
  ADD ("half-files-of-the-unfinished-step-are-removed", test_half_files);
  ADD ("a-job-that-is-given-back-resumes", test_given_back);
  ADD ("the-analysis-is-stored-and-kept", test_analysis);
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    g_autofree char *name = g_strconcat ("/steps/checkpoint/begins-anew/", changes[i].name, NULL);

    g_test_add (name, Fixture, GUINT_TO_POINTER (i), set_up, test_change, tear_down);
  }
  ADD ("another-job-has-its-own", test_other_job);
  ADD ("a-job-that-has-failed-for-good-leaves-nothing", test_final_failures);
  ADD ("a-cancelled-job-leaves-nothing", test_cancelled);
  ADD ("an-attempt-that-fails-for-good-before-its-first-step-leaves-nothing", test_fails_before_its_folder);
  ADD ("nothing-is-kept-where-it-is-off", test_off);
  ADD ("a-checkpoint-that-cannot-be-written-fails-no-job", test_cannot_be_written);
  ADD ("a-link-in-the-place-of-the-folder-is-not-followed", test_folder_is_a_file);
  ADD ("two-attempts-never-share-a-folder", test_locked);
  ADD ("what-unfinished-jobs-left-is-swept-by-age", test_sweep);
  ADD ("what-unfinished-jobs-left-makes-room", test_makes_room);
#undef ADD
  return g_test_run ();
}
