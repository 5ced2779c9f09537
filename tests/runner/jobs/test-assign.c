/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-test.h"

#include <string.h>

static const struct {
  const char *type, *assignments[4], *data;
} cases[] = {
    {"THUMBNAIL_GENERATION", {"count=5"}, "{'thumbnailRequest':{'count':5}}"},
    {"THUMBNAIL_GENERATION", {"thumbnailRequest.count=5"}, "{'thumbnailRequest':{'count':5}}"},
    {"thumbnail-generation", {"positions=[0.1, 0.5]"}, "{'thumbnailRequest':{'positions':[0.1,0.5]}}"},
    {"THUMBNAIL_GENERATION", {"storyboard.columns=4"}, "{'thumbnailRequest':{'storyboard':{'columns':4}}}"},
    {"THUMBNAIL_GENERATION", {"storyboard=false"}, "{'thumbnailRequest':{'storyboard':false}}"},
    {"THUMBNAIL_GENERATION", {"count=5", "count=6"}, "{'thumbnailRequest':{'count':6}}"},
    {"HIGHLIGHT_DETECTION",
     {"maxHighlights=3", "minDuration=2.5"},
     "{'highlightRequest':{'maxHighlights':3,'minDuration':2.5}}"},
    {"VIDEO_PROCESSING", {"aspectRatio=9:16"}, "{'options':{'aspectRatio':'9:16'}}"},
    {"VIDEO_PROCESSING", {"resolution=720", "quality=low"}, "{'options':{'resolution':720,'quality':'low'}}"},
    {"VIDEO_PROCESSING", {"videoId=007"}, "{'videoId':'007'}"},
    {"VIDEO_PROCESSING", {"userId=12"}, "{'userId':'12'}"},
    {"VIDEO_PROCESSING", {"timeoutMs=5000"}, "{'timeoutMs':5000}"},
    {"VIDEO_PROCESSING", {"metadata.a.b=1e3", "metadata.c="}, "{'metadata':{'a':{'b':1000.0},'c':''}}"},
    {"CONTENT_GENERATION", {"options.type=TITLE"}, "{'options':{'type':'TITLE'}}"},
    {"CONTENT_GENERATION",
     {"prompt=moon", "tone=dry", "options={\"type\":\"TITLE\",\"tone\":\"warm\"}"},
     "{'options':{'prompt':'moon','tone':'warm','type':'TITLE'}}"},
    {"CONTENT_GENERATION",
     {"options={\"type\":\"TITLE\"}", "prompt=moon"},
     "{'options':{'type':'TITLE','prompt':'moon'}}"},
    {"SELF_TEST", {"do=ok", "durationMs=5"}, "{'do':'ok','durationMs':5}"},
    {NULL, {"a=true", "b=truely", "c={\"d\":[1]}", "e={broken"}, "{'a':true,'b':'truely','c':{'d':[1]},'e':'{broken'}"},
    {NULL, {"a=x=y", "b= 5", "c=0x10", "d=-1.5"}, "{'a':'x=y','b':' 5','c':'0x10','d':-1.5}"},
    {NULL, {"a=1e999"}, "{'a':null}"},
};

static void
test_values (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (JsonObject) data = json_object_new ();

    for (guint a = 0; a < 4 && cases[i].assignments[a]; a++) {
      g_autoptr (GError) error = NULL;

      g_assert_true (derush_job_data_set (data, cases[i].type, cases[i].assignments[a], &error));
      g_assert_no_error (error);
    }
    assert_same_json (data, cases[i].data);
  }
}

static void
test_refused (void)
{
  static const char *const bad[] = {"", "=", "=5", "count", "a..b=1", ".a=1", "a.=1", "x.y=1", "a=\xff"};
  g_autofree char *deep = NULL;
  g_autoptr (GString) name = g_string_new ("a");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) data = json_object_new ();

  json_object_set_int_member (data, "x", 5);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_assert_false (derush_job_data_set (data, "VIDEO_PROCESSING", bad[i], &error));
    g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
    g_clear_error (&error);
  }
  for (guint i = 0; i < 10000; i++)
    g_string_append (name, ".a");
  g_string_append (name, "=1");
  g_assert_false (derush_job_data_set (data, "VIDEO_PROCESSING", name->str, &error));
  g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_cmpuint (strlen (error->message), <, 400);
  assert_same_json (data, "{'x':5}");
}

static void
test_wins_over_the_file (void)
{
  g_autoptr (JsonObject) file = data_from ("{'thumbnailRequest':{'count':3,'width':64},'videoUrl':'/a'}");
  g_autoptr (JsonObject) data = json_object_new ();
  g_autoptr (DerushPlan) plan = NULL;

  json_object_set_string_member (data, "videoUrl", "/a");
  json_object_set_object_member (data, "thumbnailRequest",
                                 json_object_ref (json_object_get_object_member (file, "thumbnailRequest")));
  g_assert_true (derush_job_data_set (data, "THUMBNAIL_GENERATION", "count=7", NULL));
  plan = derush_plan_new ("THUMBNAIL_GENERATION", data, DERUSH_PLAN_STRICT, NULL);
  g_assert_nonnull (plan);
  g_assert_cmpint (derush_json_get_int (parameters_of (plan, "thumbnails"), "count", 0), ==, 7);
  g_assert_cmpint (derush_json_get_int (parameters_of (plan, "thumbnails"), "width", 0), ==, 64);
  assert_same_json (json_object_get_object_member (file, "thumbnailRequest"), "{'count':3,'width':64}");
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/jobs/assign/values-have-the-type-they-look-like-or-the-member-wants", test_values);
  g_test_add_func ("/jobs/assign/what-is-no-assignment-is-refused-and-changes-nothing", test_refused);
  g_test_add_func ("/jobs/assign/an-assignment-wins-over-the-data-file", test_wins_over_the_file);
  return g_test_run ();
}
