/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow.h"

#include <string.h>
#include <glib/gstdio.h>

#define S "'jobType':'SELF_TEST'"
#define STEPS                                                                                                          \
  "'steps':[{'id':'a'," S ",'estimatedDuration':30},"                                                                  \
  "{'id':'b'," S ",'estimatedDuration':60,'dependencies':['a'],'jobData':{'x':'${steps.a.n}'}},"                       \
  "{'id':'c'," S ",'estimatedDuration':10,'onFailure':'skip'}]"
#define JOB "{'workflowDefinition':{'id':'w'," STEPS "},'input':{'videoId':7,'videoUrl':'/f.mp4'}"

static JsonObject *
object_of (const char *text)
{
  g_autofree char *json = g_strdelimit (g_strdup (text), "'", '"');
  g_autoptr (GError) error = NULL;
  JsonObject *object = derush_json_parse_object (json, -1, &error);

  g_assert_no_error (error);
  return object;
}

static DerushWorkflowRun *
run_of (const char *data, gint64 now)
{
  g_autoptr (JsonObject) object = object_of (data);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushPlan) plan = derush_plan_new ("WORKFLOW_EXECUTION", object, DERUSH_PLAN_STRICT, &error);
  DerushWorkflowRun *run;

  g_assert_no_error (error);
  run = derush_workflow_run_new_for_job (plan, "5", now, &error);
  g_assert_no_error (error);
  return run;
}

static char *
save (DerushWorkflowRun *run)
{
  g_autoptr (JsonObject) state = derush_workflow_run_save (run);

  return derush_json_object_to_string (state);
}

static gboolean
restore (DerushWorkflowRun *run, const char *text)
{
  g_autoptr (JsonObject) state = derush_json_parse_object (text, -1, NULL);

  return derush_workflow_run_restore (run, state);
}

static void
start (DerushWorkflowRun *run, guint step, gint64 now)
{
  g_autofree char *id = derush_workflow_run_make_job_id (run, step);

  derush_workflow_run_start (run, step, id, now);
  derush_workflow_run_set_queue (run, step, "q");
}

static void
complete (DerushWorkflowRun *run, guint step, gint64 now)
{
  g_autoptr (JsonObject) value = object_of ("{'n':1}");

  derush_workflow_run_complete (run, step, value, now);
}

static void
test_shapes (void)
{
  static const struct {
    const char *data, *execution, *workflow, *source;
  } shapes[] = {
      {"{'templateId':'video_transformation_basic','executionId':'x1','input':{'videoUrl':'/a.mp4'}}", "x1",
       "video_transformation_basic", "/a.mp4"},
      {"{'name':'video_transformation_advanced','videoUrl':'/a.mp4'}", "5", "video_transformation_advanced", "/a.mp4"},
      {"{'workflowId':'video_transformation_basic','executionId':12,'inputPath':'/b.mp4','input':{'videoUrl':'/a.mp4'}}",
       "12", "video_transformation_basic", "/a.mp4"},
      {"{'templateId':'nonesuch','workflowId':'row-7','workflowDefinition':{'id':'w'," STEPS
       "},'input':{'videoUrl':'/a.mp4'}}",
       "5", "w", "/a.mp4"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    g_autoptr (DerushWorkflowRun) run = run_of (shapes[i].data, 0);

    g_assert_cmpstr (derush_workflow_run_get_execution_id (run), ==, shapes[i].execution);
    g_assert_cmpstr (derush_workflow_run_get_workflow (run)->id, ==, shapes[i].workflow);
    g_assert_cmpstr (derush_json_get_string (derush_workflow_run_get_input (run), "videoUrl", NULL), ==,
                     shapes[i].source);
  }
}

static void
test_saved (void)
{
  g_autoptr (DerushWorkflowRun) run = run_of (JOB "}", 1000), other = run_of (JOB "}", 9000);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) value = object_of ("{'n':'ok'}"), data = NULL;
  g_autofree char *saved = NULL, *again = NULL;

  start (run, 0, 1000);
  complete (run, 0, 3000);
  derush_workflow_run_set_attempts (run, 0, 2, 2000);
  start (run, 2, 1500);
  derush_workflow_run_set_error_class (run, 2, DERUSH_ERROR_UNSUPPORTED);
  derush_workflow_run_give_up (run, 2, "broken", 2500);
  saved = save (run);
  g_assert_false (restore (other, saved));
  again = save (other);
  g_assert_cmpstr (saved, ==, again);
  g_assert_cmpstr (derush_workflow_run_get_job_id (other, 0), ==, "5-a");
  g_assert_cmpstr (derush_workflow_run_get_step_error (other, 2), ==, "broken");
  g_assert_cmpint (derush_workflow_run_get_elapsed (other, 9000), ==, 8000);
  /* What steps returned is not in it, and is put back. */
  derush_workflow_run_set_return_value (other, 0, value);
  g_assert_true (derush_workflow_run_is_ready (other, 1, 9000));
  data = derush_workflow_run_get_data (other, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (json_object_get_string_member (data, "x"), ==, "ok");
}

static void
test_another_round (void)
{
  g_autoptr (DerushWorkflowRun) run = run_of (JOB ",'executionId':'a:b'}", 0), stopping = NULL, other = NULL;
  g_autofree char *early = NULL, *saved = NULL, *id = NULL, *kept = NULL;

  start (run, 0, 0);
  start (run, 2, 0);
  complete (run, 0, 1000);
  start (run, 1, 1000);
  derush_workflow_run_give_up (run, 1, "broken", 2000);
  /* One of its steps runs still: whoever goes on stops it. */
  early = save (run);
  stopping = run_of (JOB ",'executionId':'a:b'}", 0);
  g_assert_false (restore (stopping, early));
  g_assert_true (derush_workflow_run_is_stopping (stopping));
  derush_workflow_run_cancel_step (run, 2, 2500);
  saved = save (run);
  other = run_of (JOB ",'executionId':'a:b'}", 0);
  g_assert_true (restore (other, saved));
  g_assert_false (derush_workflow_run_is_stopping (other));
  g_assert_cmpint (derush_workflow_run_get_step_status (other, 0), ==, DERUSH_WORKFLOW_STEP_COMPLETED);
  g_assert_cmpint (derush_workflow_run_get_step_status (other, 1), ==, DERUSH_WORKFLOW_STEP_PENDING);
  g_assert_cmpint (derush_workflow_run_get_step_status (other, 2), ==, DERUSH_WORKFLOW_STEP_PENDING);
  kept = g_strdup (derush_workflow_run_get_job_id (other, 0));
  id = derush_workflow_run_make_job_id (other, 1);
  g_assert_cmpstr (kept, ==, "a_b-a");
  g_assert_cmpstr (id, ==, "a_b-b-2");
}

static double
half (const char *step, JsonObject *saved, gpointer user_data)
{
  g_assert_cmpstr (step, ==, "b");
  g_assert_cmpstr (json_object_get_string_member (saved, "jobId"), ==, "5-b");
  return 0.5;
}

static void
test_progress (void)
{
  g_autoptr (DerushWorkflowRun) run = run_of (JOB "}", 0);
  g_autoptr (JsonObject) none = json_object_new (), state = NULL;
  DerushWorkflowProgress known, seen;

  start (run, 0, 0);
  complete (run, 0, 30000);
  start (run, 1, 30000);
  state = derush_workflow_run_save (run);
  g_assert_false (derush_workflow_saved_get_progress (none, 60000, half, NULL, &seen));
  g_assert_true (derush_workflow_saved_get_progress (state, 60000, half, NULL, &seen));
  derush_workflow_run_report (run, 1, 0.5);
  derush_workflow_run_get_progress (run, 60000, &known);
  g_assert_cmpfloat (known.progress, ==, 0.6);
  g_assert_cmpfloat (seen.progress, ==, known.progress);
  g_assert_cmpfloat (seen.remaining, ==, known.remaining);
  g_assert_cmpuint (seen.current_step, ==, known.current_step);
  g_assert_cmpuint (seen.total_steps, ==, 3);
}

/* Durations in seconds of a and b in run after run; c never completes. */
static void
take (const char *path, double a, double b)
{
  g_autoptr (DerushWorkflowRun) run = run_of (JOB "}", 0);

  start (run, 0, 0);
  complete (run, 0, 0);
  derush_workflow_run_set_attempts (run, 0, 1, a * 1000);
  start (run, 1, 0);
  complete (run, 1, 0);
  derush_workflow_run_set_attempts (run, 1, 1, b * 1000);
  start (run, 2, 0);
  derush_workflow_run_give_up (run, 2, "broken", 500000);
  derush_workflow_learn (path, run);
}

static void
check (const char *path, double a, double b, double c)
{
  g_autoptr (DerushWorkflowRun) run = run_of (JOB "}", 0);
  DerushWorkflow *workflow = derush_workflow_run_get_workflow (run);
  const double expected[] = {a, b, c};

  derush_workflow_recall (path, workflow);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_cmpfloat_with_epsilon (((DerushWorkflowStep *)workflow->steps->pdata[i])->estimated_duration, expected[i],
                                    1e-9);
}

static void
test_learned (void)
{
  g_autofree char *folder = g_dir_make_tmp ("derush-learned-XXXXXX", NULL),
                  *path = g_build_filename (folder, "durations.json", NULL);

  check (path, 30, 60, 10);
  take (path, 3, 6);
  check (path, 3, 6, 1);
  take (path, 300, 600);
  take (path, 5, 8);
  check (path, 5, 8, 13 / 90.0 * 10);
  /* Old runs count no more. */
  for (guint i = 0; i < 9; i++)
    take (path, 2, 1);
  check (path, 2, 1, 3 / 90.0 * 10);
  g_assert_true (g_file_set_contents (path, "{broken", -1, NULL));
  check (path, 30, 60, 10);
  take (path, 3, 6);
  check (path, 3, 6, 1);
  g_unlink (path);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/workflow/saved/every-shape-of-a-job-names-its-workflow-and-input", test_shapes);
  g_test_add_func ("/workflow/saved/another-goes-on-where-the-first-was", test_saved);
  g_test_add_func ("/workflow/saved/what-had-failed-is-tried-again-in-another-round", test_another_round);
  g_test_add_func ("/workflow/saved/its-progress-is-seen-from-outside", test_progress);
  g_test_add_func ("/workflow/saved/durations-are-learned-as-medians", test_learned);
  return g_test_run ();
}
