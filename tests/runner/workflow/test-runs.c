/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow.h"

#include <string.h>

#define V "'jobType':'VIDEO_PROCESSING'"

/*
 * a → b (refers to a) → c (refers to b), a → d (only after a), e alone.
 * b may fail; the rest may not.
 */
#define GRAPH                                                                                                          \
  "{'id':'w','steps':["                                                                                                \
  "{'id':'a'," V ",'estimatedDuration':60,'maxRetries':2},"                                                            \
  "{'id':'b'," V ",'estimatedDuration':20,'dependencies':['a'],'jobData':{'x':'${steps.a.n}'},'onFailure':'skip'},"    \
  "{'id':'c'," V ",'estimatedDuration':10,'dependencies':['b'],'jobData':{'x':'${steps.b.n}'}},"                       \
  "{'id':'d'," V ",'estimatedDuration':10,'dependencies':['b']},"                                                      \
  "{'id':'e'," V ",'estimatedDuration':0}],"                                                                           \
  "'retryPolicy':{'retryDelay':1000,'backoffMultiplier':3}}"

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
begin (const char *definition, const char *input, GError **error)
{
  g_autoptr (JsonObject) object = object_of (definition), data = object_of (input);
  g_autoptr (DerushWorkflow) workflow = derush_workflow_new (object, error);

  g_assert_nonnull (workflow);
  return derush_workflow_run_new (workflow, data, "x1", 0, error);
}

/* Letters of the steps that can be started, and of the rest: w(aiting), r(unning), C, F, S, X (cancelled). */
static void
check (DerushWorkflowRun *run, gint64 now, const char *expected)
{
  static const char letters[] = "wrCFSX";
  guint n = derush_workflow_run_get_workflow (run)->steps->len;
  g_autoptr (GString) seen = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append_c (
        seen, derush_workflow_run_is_ready (run, i, now) ? '!' : letters[derush_workflow_run_get_step_status (run, i)]);
  g_assert_cmpstr (seen->str, ==, expected);
}

static void
complete (DerushWorkflowRun *run, guint step, const char *value)
{
  g_autoptr (JsonObject) object = object_of (value);

  derush_workflow_run_start (run, step, "j", 0);
  derush_workflow_run_complete (run, step, object, 0);
}

static gboolean
fail (DerushWorkflowRun *run, guint step, DerushErrorClass error_class, gint64 now)
{
  derush_workflow_run_start (run, step, "j", now);
  return derush_workflow_run_fail (run, step, error_class, "broken", now);
}

static void
test_order (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);

  check (run, 0, "!www!");
  derush_workflow_run_start (run, 4, "j", 0);
  check (run, 0, "!wwwr");
  complete (run, 0, "{'n':1}");
  check (run, 0, "C!wwr");
  complete (run, 1, "{'n':1}");
  check (run, 0, "CC!!r");
  complete (run, 2, "{}");
  complete (run, 3, "{}");
  g_assert_false (derush_workflow_run_has_ended (run));
  complete (run, 4, "{}");
  g_assert_true (derush_workflow_run_has_ended (run));
  g_assert_cmpint (derush_workflow_run_get_status (run), ==, DERUSH_WORKFLOW_STEP_COMPLETED);
}

static void
test_retries (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);

  g_assert_true (fail (run, 0, DERUSH_ERROR_RESOURCE, 100));
  check (run, 1099, "wwww!");
  check (run, 1100, "!www!");
  g_assert_cmpint (derush_workflow_run_get_next_retry (run), ==, 1100);
  g_assert_true (fail (run, 0, DERUSH_ERROR_STALLED, 2000));
  check (run, 4999, "wwww!");
  check (run, 5000, "!www!");
  g_assert_false (fail (run, 0, DERUSH_ERROR_RESOURCE, 6000));
  check (run, 1 << 30, "FSSSS");
  g_assert_cmpint (derush_workflow_run_get_attempts (run, 0), ==, 3);
  g_assert_cmpint (derush_workflow_run_get_next_retry (run), ==, -1);
}

/* A step that would like to have what another one returns, and can do without. */
static void
test_optional (void)
{
  static const char graph[] =
      "{'id':'w','steps':["
      "{'id':'a'," V ",'onFailure':'skip'},"
      "{'id':'b'," V
      ",'dependencies':['a'],'jobData':{'x':'${steps.a.n?}','y':'n ${steps.a.n?}!','z':'${input.z?}'}}]}";

  for (int failed = 0; failed < 2; failed++) {
    g_autoptr (DerushWorkflowRun) run = begin (graph, "{}", NULL);
    g_autoptr (JsonObject) data = NULL;
    g_autoptr (GError) error = NULL;

    if (failed)
      g_assert_false (fail (run, 0, DERUSH_ERROR_BAD_INPUT, 0));
    else
      complete (run, 0, "{'n':7}");
    check (run, 0, failed ? "F!" : "C!");
    data = derush_workflow_run_get_data (run, 1, &error);
    g_assert_no_error (error);
    g_assert_true (json_object_get_null_member (data, "z"));
    g_assert_cmpstr (derush_json_get_string (data, "y", NULL), ==, failed ? "n !" : "n 7!");
    if (failed)
      g_assert_true (json_object_get_null_member (data, "x"));
    else
      g_assert_cmpint (derush_json_get_int (data, "x", 0), ==, 7);
  }
}

static void
test_no_use (void)
{
  static const DerushErrorClass classes[] = {DERUSH_ERROR_BAD_INPUT, DERUSH_ERROR_UNSUPPORTED,
                                             DERUSH_ERROR_MISSING_PLUGIN, DERUSH_ERROR_CANCELLED};

  for (guint i = 0; i < G_N_ELEMENTS (classes); i++) {
    g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);

    g_assert_false (fail (run, 0, classes[i], 0));
    g_assert_cmpint (derush_workflow_run_get_step_status (run, 0), ==, DERUSH_WORKFLOW_STEP_FAILED);
  }
}

static void
test_fail (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);
  DerushErrorClass error_class;
  guint step;

  derush_workflow_run_start (run, 4, "j", 0);
  g_assert_false (fail (run, 0, DERUSH_ERROR_BAD_INPUT, 0));
  check (run, 0, "FSSSr");
  g_assert_true (derush_workflow_run_is_stopping (run));
  g_assert_nonnull (strstr (derush_workflow_run_get_step_error (run, 3), "“a”"));
  derush_workflow_run_cancel_step (run, 4, 0);
  check (run, 0, "FSSSX");
  g_assert_cmpint (derush_workflow_run_get_status (run), ==, DERUSH_WORKFLOW_STEP_FAILED);
  g_assert_true (derush_workflow_run_get_failure (run, &step, &error_class));
  g_assert_cmpuint (step, ==, 0);
  g_assert_cmpint (error_class, ==, DERUSH_ERROR_BAD_INPUT);
}

static void
test_skip_on_failure (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);

  complete (run, 0, "{'n':1}");
  complete (run, 4, "{}");
  g_assert_false (fail (run, 1, DERUSH_ERROR_UNSUPPORTED, 0));
  check (run, 0, "CFS!C");
  g_assert_nonnull (strstr (derush_workflow_run_get_step_error (run, 2), "“b”"));
  complete (run, 3, "{}");
  g_assert_cmpint (derush_workflow_run_get_status (run), ==, DERUSH_WORKFLOW_STEP_COMPLETED);
}

static void
test_skip (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);

  derush_workflow_run_skip (run, 0, "as asked");
  check (run, 0, "SSS!!");
  complete (run, 3, "{}");
  complete (run, 4, "{}");
  g_assert_cmpint (derush_workflow_run_get_status (run), ==, DERUSH_WORKFLOW_STEP_COMPLETED);
}

static void
test_cancel (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);

  derush_workflow_run_start (run, 0, "j", 0);
  derush_workflow_run_cancel (run);
  check (run, 0, "rXXXX");
  derush_workflow_run_cancel_step (run, 0, 0);
  g_assert_cmpint (derush_workflow_run_get_status (run), ==, DERUSH_WORKFLOW_STEP_CANCELLED);
}

/* It was stopped before the workflow was told. */
static void
test_cancel_last (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);

  for (guint i = 0; i < 4; i++)
    complete (run, i, "{}");
  derush_workflow_run_start (run, 4, "j", 0);
  derush_workflow_run_cancel_step (run, 4, 0);
  derush_workflow_run_cancel (run);
  g_assert_cmpint (derush_workflow_run_get_status (run), ==, DERUSH_WORKFLOW_STEP_CANCELLED);
}

static void
test_progress (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, "{}", NULL);
  DerushWorkflowProgress progress;

  derush_workflow_run_get_progress (run, 0, &progress);
  g_assert_cmpfloat (progress.progress, ==, 0);
  g_assert_cmpfloat_with_epsilon (progress.remaining, 100, 0.1);
  g_assert_cmpuint (progress.current_step, ==, 0);
  g_assert_cmpuint (progress.total_steps, ==, 5);
  derush_workflow_run_start (run, 0, "j", 0);
  derush_workflow_run_report (run, 0, 0.5);
  derush_workflow_run_get_progress (run, 6000, &progress);
  g_assert_cmpfloat_with_epsilon (progress.progress, 0.3, 0.001);
  g_assert_cmpfloat_with_epsilon (progress.remaining, 14, 0.1);
  g_assert_cmpuint (progress.current_step, ==, 1);
  derush_workflow_run_fail (run, 0, DERUSH_ERROR_RESOURCE, "broken", 6000);
  derush_workflow_run_get_progress (run, 6000, &progress);
  g_assert_cmpfloat_with_epsilon (progress.progress, 0.3, 0.001);
  g_assert_cmpuint (progress.current_step, ==, 1);
  complete (run, 0, "{}");
  derush_workflow_run_skip (run, 1, "as asked");
  derush_workflow_run_get_progress (run, 6000, &progress);
  g_assert_cmpfloat_with_epsilon (progress.progress, 60.0 / 70, 0.001);
  g_assert_cmpuint (progress.current_step, ==, 3);
  complete (run, 3, "{}");
  complete (run, 4, "{}");
  derush_workflow_run_get_progress (run, 6000, &progress);
  g_assert_cmpfloat (progress.progress, ==, 1);
}

#define DATA(data) "{'id':'w','steps':[{'id':'a'," V "},{'id':'b'," V ",'dependencies':['a'],'jobData':{" data "}}]}"
#define INPUT "{'videoUrl':'/f.mp4','videoId':'v','outputDir':'/o','quality':'low','n':5,'userId':'u'}"
#define RETURNED "{'text':'t','n':2.5,'yes':true,'list':[{'start':1},{'start':4}],'nothing':null}"

/* The data of step b; “error” stands for an error that says the rest. */
static const struct {
  const char *data, *member, *expected;
} resolved[] = {
    {"'x':'${steps.a.text}'", "x", "\"t\""},
    {"'x':'${steps.a.n}'", "x", "2.5"},
    {"'x':'${steps.a.yes}'", "x", "true"},
    {"'x':'${steps.a.nothing}'", "x", "null"},
    {"'x':'${steps.a.list}'", "x", "[{\"start\":1},{\"start\":4}]"},
    {"'x':'${steps.a.list.1.start}'", "x", "4"},
    {"'x':{'y':['${steps.a.list.0}']}", "x", "{\"y\":[{\"start\":1}]}"},
    {"'x':'${input.n}'", "x", "5"},
    {"'x':'a ${input.n}/${steps.a.text}.'", "x", "\"a 5/t.\""},
    {"'x':'${input.n}${input.n}'", "x", "\"55\""},
    {"'x':'$${input.n} $ {'", "x", "\"${input.n} $ {\""},
    {"", "videoUrl", "\"/f.mp4\""},
    {"", "videoId", "\"v\""},
    {"", "userId", "\"u\""},
    {"", "workflowId", "\"x1\""},
    {"", "stepId", "\"b\""},
    {"", "quality", NULL},
    {"'inputPath':'${steps.a.text}'", "videoUrl", NULL},
    {"'mediaId':'m'", "videoId", NULL},
    {"", "outputDir", "\"/o/b\""},
    {"'outputDir':'${input.outputDir}/small'", "outputDir", "\"/o/small\""},
    {"'x':'${steps.a.nobody}'", "error", "${steps.a.nobody}"},
    {"'x':'${steps.a.list.2}'", "error", "${steps.a.list.2}"},
    {"'x':'${steps.a.list.-1}'", "error", "not there"},
    {"'x':'${steps.a.text.y}'", "error", "not there"},
    {"'x':'a ${steps.a.list}'", "error", "inside of a longer text"},
};

static void
test_references (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (resolved); i++) {
    g_autofree char *definition = g_strconcat (DATA ("%"), NULL);
    g_auto (GStrv) parts = g_strsplit (definition, "%", 2);
    g_autofree char *whole = g_strconcat (parts[0], resolved[i].data, parts[1], NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushWorkflowRun) run = begin (whole, INPUT, &error);
    g_autoptr (JsonObject) data = NULL;
    g_autofree char *seen = NULL;
    JsonNode *member;

    g_assert_no_error (error);
    complete (run, 0, RETURNED);
    data = derush_workflow_run_get_data (run, 1, &error);
    if (strcmp (resolved[i].member, "error") == 0) {
      g_assert_null (data);
      g_assert_nonnull (strstr (error->message, resolved[i].expected));
      continue;
    }
    g_assert_no_error (error);
    member = json_object_get_member (data, resolved[i].member);
    seen = member ? derush_json_node_to_string (member) : NULL;
    g_assert_cmpstr (seen, ==, resolved[i].expected);
  }
}

static void
test_input (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (begin (DATA ("'x':['${input.music}']"), INPUT, &error));
  g_assert_cmpint (error->code, ==, DERUSH_ERROR_BAD_INPUT);
  g_assert_nonnull (strstr (error->message, "/steps/1/jobData/x/0"));
  g_assert_nonnull (strstr (error->message, "${input.music}"));
}

static void
test_return_value (void)
{
  g_autoptr (DerushWorkflowRun) run = begin (GRAPH, INPUT, NULL);
  g_autoptr (JsonObject) value = NULL;
  JsonObject *a, *b, *c;
  JsonArray *steps;

  complete (run, 0, "{'n':1,'outputs':[{'role':'video','path':'/o/v.mp4'}],'warnings':['hm']}");
  fail (run, 1, DERUSH_ERROR_UNSUPPORTED, 0);
  complete (run, 3, "{'outputs':[{'role':'video','path':'/o/w.mp4'}]}");
  complete (run, 4, "{}");
  value = derush_workflow_run_get_return_value (run, FALSE, 1500);
  g_assert_cmpstr (json_object_get_string_member (value, "executionId"), ==, "x1");
  g_assert_cmpstr (json_object_get_string_member (value, "status"), ==, "COMPLETED");
  g_assert_cmpfloat (json_object_get_double_member (value, "duration"), ==, 1.5);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "outputs")), ==, 2);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "warnings")), ==, 3);
  steps = json_object_get_array_member (value, "steps");
  a = json_array_get_object_element (steps, 0);
  b = json_array_get_object_element (steps, 1);
  c = json_array_get_object_element (steps, 2);
  g_assert_cmpstr (json_object_get_string_member (a, "jobType"), ==, "VIDEO_PROCESSING");
  g_assert_true (json_object_get_null_member (a, "error"));
  g_assert_cmpint (json_object_get_int_member (a, "attempts"), ==, 1);
  g_assert_cmpstr (json_object_get_string_member (b, "status"), ==, "FAILED");
  g_assert_cmpstr (json_object_get_string_member (b, "error"), ==, "broken");
  g_assert_cmpstr (json_object_get_string_member (c, "status"), ==, "SKIPPED");
  g_assert_cmpint (json_object_get_int_member (c, "attempts"), ==, 0);
  g_assert_true (json_object_get_null_member (c, "jobId"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/workflow/runs/a-step-can-do-without-what-it-only-would-like-to-have", test_optional);
  g_test_add_func ("/workflow/runs/steps-become-ready-when-what-they-depend-on-has-ended", test_order);
  g_test_add_func ("/workflow/runs/a-retry-waits-longer-each-time", test_retries);
  g_test_add_func ("/workflow/runs/what-a-retry-cannot-help-is-not-tried-again", test_no_use);
  g_test_add_func ("/workflow/runs/a-failure-ends-the-workflow", test_fail);
  g_test_add_func ("/workflow/runs/a-failure-that-may-be-skips-only-what-refers-to-it", test_skip_on_failure);
  g_test_add_func ("/workflow/runs/a-skipped-step-skips-what-refers-to-it", test_skip);
  g_test_add_func ("/workflow/runs/cancelling-starts-nothing-more", test_cancel);
  g_test_add_func ("/workflow/runs/a-workflow-whose-last-step-was-cancelled-is-cancelled", test_cancel_last);
  g_test_add_func ("/workflow/runs/progress-counts-durations-and-never-falls", test_progress);
  g_test_add_func ("/workflow/runs/references-become-values", test_references);
  g_test_add_func ("/workflow/runs/input-that-is-missing-is-named", test_input);
  g_test_add_func ("/workflow/runs/the-return-value-names-every-step", test_return_value);
  return g_test_run ();
}
