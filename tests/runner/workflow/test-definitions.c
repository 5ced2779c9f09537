/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow.h"

#include <string.h>
#include <glib/gstdio.h>

#define V "'jobType':'VIDEO_PROCESSING'"
#define A "{'id':'a'," V "}"

/* JSON with single quotes. */
static DerushWorkflow *
parse (const char *text, GError **error)
{
  g_autofree char *json = g_strdelimit (g_strdup (text), "'", '"');

  return derush_workflow_parse (json, -1, error);
}

static const struct {
  const char *definition, *pointer, *said;
} faulty[] = {
    {"{'steps':[" A "]}", "/id", "missing"},
    {"{'id':'a b','steps':[" A "]}", "/id", "letters"},
    {"{'id':'w','name':5,'steps':[" A "]}", "/name", "text"},
    {"{'id':'w'}", "/steps", "missing"},
    {"{'id':'w','steps':[]}", "/steps", "list of 1 to"},
    {"{'id':'w','steps':{}}", "/steps", "list of 1 to"},
    {"{'id':'w','steps':[7]}", "/steps/0", "object"},
    {"{'id':'w','steps':[" A "," A "]}", "/steps/1/id", "unique"},
    {"{'id':'w','steps':[{'id':'a'}]}", "/steps/0/jobType", "missing"},
    {"{'id':'w','steps':[" A ",{'id':'b','jobType':'VIDEO_POLISHING'}]}", "/steps/1/jobType", "VIDEO_POLISHING"},
    {"{'id':'w','steps':[{'id':'a','jobType':'WORKFLOW_EXECUTION'}]}", "/steps/0/jobType", "cannot be a step"},
    {"{'id':'w','steps':[{'id':'a'," V ",'jobData':[]}]}", "/steps/0/jobData", "object"},
    {"{'id':'w','steps':[{'id':'a'," V ",'dependencies':'b'}]}", "/steps/0/dependencies", "list"},
    {"{'id':'w','steps':[{'id':'a'," V ",'dependencies':['b']}]}", "/steps/0/dependencies/0", "no step"},
    {"{'id':'w','steps':[{'id':'a'," V ",'dependencies':[0]}]}", "/steps/0/dependencies/0", "no step"},
    {"{'id':'w','steps':[{'id':'a'," V ",'dependencies':['a']}]}", "/steps", "a → a"},
    {"{'id':'w','steps':[" A ",{'id':'b'," V ",'dependencies':['c','a']},{'id':'c'," V ",'dependencies':['d']},"
     "{'id':'d'," V ",'dependencies':['b']},{'id':'e'," V ",'dependencies':['d']}]}",
     "/steps", "b → c → d → b"},
    {"{'id':'w','steps':[{'id':'a'," V ",'maxRetries':-1}]}", "/steps/0/maxRetries", "whole number from 0"},
    {"{'id':'w','steps':[{'id':'a'," V ",'maxRetries':1.5}]}", "/steps/0/maxRetries", "whole number"},
    {"{'id':'w','steps':[{'id':'a'," V ",'estimatedDuration':'long'}]}", "/steps/0/estimatedDuration", "number"},
    {"{'id':'w','steps':[{'id':'a'," V ",'estimatedDuration':1e999}]}", "/steps/0/estimatedDuration", "number"},
    {"{'id':'w','steps':[{'id':'a'," V ",'onFailure':'panic'}]}", "/steps/0/onFailure", "fail or skip"},
    {"{'id':'w','steps':[" A "],'retryPolicy':3}", "/retryPolicy", "object"},
    {"{'id':'w','steps':[" A "],'retryPolicy':{'backoffMultiplier':0}}", "/retryPolicy/backoffMultiplier", "from 1"},
    {"{'id':'w','steps':[{'id':'a'," V ",'jobData':{'x':'${steps.b.c}'}}]}", "/steps/0/jobData/x", "no step “b”"},
    {"{'id':'w','steps':[" A ",{'id':'b'," V ",'jobData':{'x':['-${steps.a.c}']}}]}", "/steps/1/jobData/x/0",
     "dependencies"},
    {"{'id':'w','steps':[{'id':'a'," V ",'jobData':{'x':'${steps.a.c}'}}]}", "/steps/0/jobData/x", "dependencies"},
    {"{'id':'w','steps':[{'id':'a'," V ",'jobData':{'x/y':{'~':'${film}'}}}]}", "/steps/0/jobData/x~1y/~0", "${film}"},
    {"{'id':'w','steps':[{'id':'a'," V ",'jobData':{'x':'${steps.a}'}}]}", "/steps/0/jobData/x", "MEMBER"},
    {"{'id':'w','steps':[{'id':'a'," V ",'jobData':{'x':'${input..y}'}}]}", "/steps/0/jobData/x", "MEMBER"},
    {"{'id':'w','steps':[{'id':'a'," V ",'jobData':{'x':'${input.y'}}]}", "/steps/0/jobData/x", "without"},
};

static void
test_faults (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (faulty); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushWorkflow) workflow = parse (faulty[i].definition, &error);
    g_autofree char *pointer = g_strconcat (" ", faulty[i].pointer, " ", NULL);

    if (workflow || !strstr (error->message, pointer) || !strstr (error->message, faulty[i].said) ||
        error->code != DERUSH_ERROR_BAD_INPUT)
      g_error ("%s: %s", faulty[i].definition, workflow ? "is accepted" : error->message);
  }
}

static void
test_every_fault_is_named (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushWorkflow) workflow =
      parse ("{'id':'','steps':[{'id':'a','jobType':'X','dependencies':['q']},{'id':'a'," V "}]}", &error);

  g_assert_null (workflow);
  g_assert_nonnull (strstr (error->message, "/id "));
  g_assert_nonnull (strstr (error->message, "/steps/0/jobType "));
  g_assert_nonnull (strstr (error->message, "/steps/0/dependencies/0 "));
  g_assert_nonnull (strstr (error->message, "/steps/1/id "));
}

static void
test_size (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) deep = g_string_new ("{\"id\":\"w\",\"steps\":");
  gsize length = 10 * 1024 * 1024;
  g_autofree char *large = g_malloc (length);
  g_autoptr (GString) many = g_string_new ("{'id':'w','steps':[");

  memset (large, ' ', length);
  g_assert_null (derush_workflow_parse (large, length, &error));
  g_assert_nonnull (strstr (error->message, "too long"));
  g_clear_error (&error);
  for (guint i = 0; i < 1000; i++)
    g_string_append_c (deep, '[');
  g_assert_null (derush_workflow_parse (deep->str, deep->len, &error));
  g_assert_nonnull (strstr (error->message, "deep"));
  g_clear_error (&error);
  for (guint i = 0; i < 1000; i++)
    g_string_append_printf (many, "%s{'id':'s%u'," V "}", i ? "," : "", i);
  g_string_append (many, "]}");
  g_assert_null (parse (many->str, &error));
  g_assert_nonnull (strstr (error->message, "/steps "));
}

static void
test_members (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushWorkflow) workflow =
      parse ("{'id':'w','steps':[" A ",{'id':'b','jobType':'generate-captions','dependencies':['a','a'],'maxRetries':0,"
             "'estimatedDuration':7.5,'onFailure':'SKIP','dependancies':[],"
             "'jobData':{'x':'${steps.a.outputPath}','y':'$${literal}'}}],"
             "'retryPolicy':{'maxRetries':9,'retryDelay':10,'backoffMultiplier':1.5}}",
             &error);
  DerushWorkflowStep *a, *b;

  g_assert_no_error (error);
  a = workflow->steps->pdata[0];
  b = workflow->steps->pdata[1];
  g_assert_cmpstr (workflow->name, ==, "w");
  g_assert_cmpuint (a->max_retries, ==, 9);
  g_assert_false (a->skip_on_failure);
  g_assert_cmpstr (b->job_type, ==, "TRANSCRIPTION");
  g_assert_cmpuint (b->max_retries, ==, 0);
  g_assert_cmpfloat (b->estimated_duration, ==, 7.5);
  g_assert_true (b->skip_on_failure);
  g_assert_cmpuint (b->dependencies->len, ==, 1);
  g_assert_cmpuint (b->references->len, ==, 1);
  g_assert_cmpuint (workflow->warnings->len, ==, 1);
  g_assert_nonnull (strstr (workflow->warnings->pdata[0], "/steps/1/dependancies"));
}

static void
test_shipped (void)
{
  static const char *const dependencies[] = {"", "process", "process", "highlights transcription", "process"};
  g_autoptr (GPtrArray) faults = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) workflows = derush_workflow_list (faults);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushWorkflow) basic = derush_workflow_load ("video_transformation_basic", &error), advanced = NULL;

  g_assert_cmpuint (faults->len, ==, 0);
  g_assert_cmpuint (workflows->len, >=, 3);
  for (guint i = 0; i < workflows->len; i++)
    g_assert_cmpuint (((DerushWorkflow *)workflows->pdata[i])->warnings->len, ==, 0);
  g_assert_no_error (error);
  g_assert_cmpfloat (derush_workflow_get_estimated_duration (basic), ==, 420);
  advanced = derush_workflow_load ("video_transformation_advanced", &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (derush_workflow_get_estimated_duration (advanced), ==, 1440);
  g_assert_cmpuint (advanced->steps->len, ==, 5);
  for (guint i = 0; i < 5; i++) {
    DerushWorkflowStep *step = advanced->steps->pdata[i];

    g_autoptr (GString) on = g_string_new (NULL);

    for (guint k = 0; k < step->dependencies->len; k++)
      g_string_append_printf (
          on, "%s%s", k > 0 ? " " : "",
          ((DerushWorkflowStep *)advanced->steps->pdata[g_array_index (step->dependencies, guint, k)])->id);
    g_assert_cmpstr (on->str, ==, dependencies[i]);
    g_assert_cmpint (step->skip_on_failure, ==, strcmp (step->id, "transcription") == 0);
  }
}

static void
test_folder (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *top = g_dir_make_tmp ("derush-test-XXXXXX", &error),
                  *folder = g_build_filename (top, "workflows", NULL),
                  *one = g_build_filename (folder, "one.json", NULL),
                  *two = g_build_filename (folder, "two.json", NULL),
                  *broken = g_build_filename (folder, "broken.json", NULL);
  const char *before = g_getenv ("DERUSH_PIPELINES_DIR");
  g_autofree char *kept = g_strdup (before);
  const char *text = "{\"id\":\"same\",\"steps\":[{\"id\":\"a\",\"jobType\":\"SELF_TEST\"}]}";
  g_autoptr (DerushWorkflow) named = NULL;

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (one, text, -1, NULL));
  g_assert_true (g_file_set_contents (two, text, -1, NULL));
  g_assert_true (g_file_set_contents (broken, "{", -1, NULL));
  g_setenv ("DERUSH_PIPELINES_DIR", top, TRUE);
  g_assert_null (derush_workflow_load ("same", &error));
  g_assert_nonnull (strstr (error->message, one));
  g_assert_nonnull (strstr (error->message, two));
  g_clear_error (&error);
  g_assert_null (derush_workflow_load ("broken", &error));
  g_assert_nonnull (strstr (error->message, "JSON"));
  g_clear_error (&error);
  g_assert_null (derush_workflow_load ("other", &error));
  g_assert_nonnull (strstr (error->message, "same"));
  g_clear_error (&error);
  g_assert_null (derush_workflow_load (folder, &error));
  g_assert_nonnull (strstr (error->message, "not a file"));
  g_clear_error (&error);
  g_assert_null (derush_workflow_load ("/nonexistent.json", &error));
  g_assert_nonnull (strstr (error->message, "/nonexistent.json"));
  named = derush_workflow_load (two, NULL);
  g_assert_nonnull (named);
  if (kept)
    g_setenv ("DERUSH_PIPELINES_DIR", kept, TRUE);
  else
    g_unsetenv ("DERUSH_PIPELINES_DIR");
  g_assert_true (derush_directory_remove (top, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/workflow/definitions/a-fault-is-named-with-its-pointer", test_faults);
  g_test_add_func ("/workflow/definitions/every-fault-is-named", test_every_fault_is_named);
  g_test_add_func ("/workflow/definitions/too-long-too-deep-and-too-many-steps-are-refused", test_size);
  g_test_add_func ("/workflow/definitions/members-and-their-defaults", test_members);
  g_test_add_func ("/workflow/definitions/those-that-are-shipped-are-sound", test_shipped);
  g_test_add_func ("/workflow/definitions/names-are-looked-up-and-doubles-refused", test_folder);
  return g_test_run ();
}
