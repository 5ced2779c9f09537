/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-test.h"

#include <string.h>

#define TARGETS                                                                                                        \
  "{'videoUrl':'/a.mp4','uploads':["                                                                                   \
  "{'role':'thumbnail','url':'https://s.example/1?sig=x'},"                                                            \
  "{'role':'video','url':'https://s.example/v','headers':{'x-ms-blob-type':'BlockBlob'}},"                             \
  "{'role':'vtt','url':'https://s.example/in/{file}?sig=y'},"                                                          \
  "'https://s.example/any']}"

static void
add (GPtrArray *outputs, const char *file, const char *role)
{
  DerushOutput *output = g_new0 (DerushOutput, 1);

  output->file = g_strdup (file);
  output->role = g_strdup (role);
  g_ptr_array_add (outputs, output);
}

static void
test_each_file_gets_the_address_of_its_role (void)
{
  static const char *const wanted[] = {
      "https://s.example/1?sig=x",        "https://s.example/v",   "https://s.example/in/a%20b.vtt?sig=y",
      "https://s.example/in/c.vtt?sig=y", "https://s.example/any", NULL};
  g_autoptr (DerushPlan) plan = plan_from ("VIDEO_PROCESSING", TARGETS);
  g_autoptr (GPtrArray) outputs = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_output_free);
  g_autoptr (GPtrArray) warnings = g_ptr_array_new_with_free_func (g_free);

  add (outputs, "t1.jpg", "thumbnail");
  add (outputs, "v.mp4", "video");
  add (outputs, "a b.vtt", "vtt");
  add (outputs, "c.vtt", "vtt");
  add (outputs, "t2.jpg", "thumbnail");
  add (outputs, "t3.jpg", "thumbnail");
  derush_plan_assign_uploads (plan, outputs, warnings);
  for (guint i = 0; i < outputs->len; i++)
    g_assert_cmpstr (((DerushOutput *)outputs->pdata[i])->upload_url, ==, wanted[i]);
  g_assert_cmpstr (((DerushOutput *)outputs->pdata[1])->upload_headers[0], ==, "x-ms-blob-type");
  g_assert_cmpstr (((DerushOutput *)outputs->pdata[1])->upload_headers[1], ==, "BlockBlob");
  g_assert_cmpuint (warnings->len, ==, 1);
  g_assert_nonnull (strstr (warnings->pdata[0], "t3.jpg"));
}

static void
test_weights_leave_room_for_the_sending (void)
{
  g_autoptr (DerushPlan) plan =
      plan_from ("VIDEO_PROCESSING", "{'videoUrl':'https://s.example/a.mp4','uploads':['https://s.example/v']}");
  double sum = plan->download_weight + plan->upload_weight;

  g_assert_cmpfloat (plan->upload_weight, >, 0);
  for (guint i = 0; i < plan->steps->len; i++)
    sum += ((DerushPlanStep *)plan->steps->pdata[i])->weight;
  g_assert_cmpfloat_with_epsilon (sum, 1, 1e-9);
}

static const struct {
  const char *uploads, *pointer;
} bad[] = {
    {"'https://s.example/v'", "/uploads "},
    {"[5]", "/uploads/0 "},
    {"['ftp://s.example/v']", "/uploads/0/url "},
    {"['/srv/v.mp4']", "/uploads/0/url "},
    {"['https://s.example/v',{'role':'video'}]", "/uploads/1/url "},
    {"[{'url':'https://s.example/v','headers':['x']}]", "/uploads/0/headers "},
    {"[{'url':'https://s.example/v','headers':{'Host':'other'}}]", "/uploads/0/headers "},
    {"[{'url':'https://s.example/v','headers':{'content-length':'5'}}]", "/uploads/0/headers "},
    {"[{'url':'https://s.example/v','headers':{'x y':'5'}}]", "/uploads/0/headers "},
    {"[{'url':'https://s.example/v','headers':{'x':'a\\nHost: b'}}]", "/uploads/0/headers "},
    {"[{'url':'https://s.example/v','headers':{'x':5}}]", "/uploads/0/headers "},
};

static void
test_a_fault_names_the_member (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *text = g_strdup_printf ("{'videoUrl':'/a.mp4','uploads':%s}", bad[i].uploads);
    g_autoptr (JsonObject) data = data_from (text);
    g_autoptr (GError) error = NULL;

    if (derush_plan_new ("VIDEO_PROCESSING", data, DERUSH_PLAN_NONE, &error))
      g_error ("%s was taken", bad[i].uploads);
    g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
    if (!strstr (error->message, bad[i].pointer))
      g_error ("%s: %s", bad[i].uploads, error->message);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/jobs/uploads/each-file-gets-the-address-of-its-role", test_each_file_gets_the_address_of_its_role);
  g_test_add_func ("/jobs/uploads/weights-leave-room-for-the-sending", test_weights_leave_room_for_the_sending);
  g_test_add_func ("/jobs/uploads/a-fault-names-the-member", test_a_fault_names_the_member);
  return g_test_run ();
}
