/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <string.h>
#include <glib/gstdio.h>

static void
test_bar_fits (void)
{
  for (guint columns = 20; columns <= 200; columns += 9) {
    for (int percent = 0; percent <= 100; percent += 10) {
      g_autofree char *ascii = derush_cli_progress_draw ("transcode", percent / 100.0, columns, FALSE);
      g_autofree char *utf8 = derush_cli_progress_draw ("transcode", percent / 100.0, columns, TRUE);

      g_assert_cmpuint (strlen (ascii), <, columns);
      g_assert_cmpint (g_utf8_strlen (utf8, -1), ==, strlen (ascii));
    }
  }
}

static void
test_bar_grows (void)
{
  g_autofree char *none = derush_cli_progress_draw ("probe", 0, 80, FALSE);
  g_autofree char *half = derush_cli_progress_draw ("probe", .5, 80, FALSE);
  g_autofree char *full = derush_cli_progress_draw ("probe", 1, 80, FALSE);

  g_assert_true (g_str_has_prefix (none, "probe"));
  g_assert_null (strchr (none, '#'));
  g_assert_nonnull (strstr (half, "#."));
  g_assert_true (g_str_has_suffix (half, " 50 %"));
  g_assert_null (strchr (full, '.'));
  g_assert_true (g_str_has_suffix (full, "100 %"));
}

static void
test_times (void)
{
  static const struct {
    double seconds;
    const char *text;
  } cases[] = {
      {0, "0:00.0"},     {-1, "0:00.0"},         {59.96, "1:00.0"},
      {61.54, "1:01.5"}, {3599.96, "1:00:00.0"}, {3725.26, "1:02:05.3"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = derush_cli_format_time (cases[i].seconds);

    g_assert_cmpstr (text, ==, cases[i].text);
  }
}

static DerushCliJob *
job_new (const char *input, const char *output, const char *const *assignments, const char *file, GError **error)
{
  gboolean unknown_type;

  return derush_cli_job_new ("video-processing", input, output, assignments, file, &unknown_type, error);
}

static void
test_paths_are_absolute (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *film = g_canonicalize_filename ("a \"film\"!.mp4", NULL);
  g_autofree char *folder = g_canonicalize_filename ("out", NULL);
  g_autoptr (DerushCliJob) job = job_new ("a \"film\"!.mp4", "./x/../out", NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (job->type, ==, "VIDEO_PROCESSING");
  g_assert_cmpstr (json_object_get_string_member (job->data, "videoUrl"), ==, film);
  g_assert_cmpstr (json_object_get_string_member (job->data, "outputDir"), ==, folder);
  g_assert_cmpstr (job->input, ==, "a \"film\"!.mp4");
}

static void
test_urls_stay (void)
{
  static const char *const urls[] = {"https://example.org/a.mp4?x=1", "file:///films/a%20b.mp4"};

  for (guint i = 0; i < G_N_ELEMENTS (urls); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushCliJob) job = job_new (urls[i], NULL, NULL, NULL, &error);

    g_assert_no_error (error);
    g_assert_cmpstr (json_object_get_string_member (job->data, "videoUrl"), ==, urls[i]);
  }
}

static void
test_no_input (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushCliJob) job = job_new ("-", NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_false (json_object_has_member (job->data, "videoUrl"));
  g_assert_null (job->input);
}

static char *
write_file (const char *contents)
{
  char *path = NULL;
  int fd = g_file_open_tmp ("derush-XXXXXX.json", &path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  g_assert_true (g_file_set_contents (path, contents, -1, NULL));
  return path;
}

static void
test_command_line_wins (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *file =
      write_file ("{\"inputPath\":\"/a.mp4\",\"outputDir\":\"/b\",\"videoId\":\"v\",\"quality\":\"low\"}");
  g_autoptr (DerushCliJob) job =
      job_new ("/c.mp4", "/d", (const char *[]){"quality=high", "options.duration=5", NULL}, file, &error);
  g_autoptr (DerushPlan) plan = NULL;
  gboolean found = FALSE;

  g_unlink (file);
  g_assert_no_error (error);
  g_assert_false (json_object_has_member (job->data, "inputPath"));
  g_assert_cmpstr (json_object_get_string_member (job->data, "videoUrl"), ==, "/c.mp4");
  g_assert_cmpstr (json_object_get_string_member (job->data, "outputDir"), ==, "/d");
  g_assert_cmpstr (json_object_get_string_member (job->data, "videoId"), ==, "v");
  plan = derush_plan_new (job->type, job->data, DERUSH_PLAN_NONE, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, i);

    if (strcmp (step->name, "transcode") != 0)
      continue;
    g_assert_cmpstr (derush_json_get_string (step->parameters, "quality", NULL), ==, "high");
    found = TRUE;
  }
  g_assert_true (found);
  g_assert_cmpint (derush_json_get_int (derush_json_get_object (job->data, "options"), "duration", 0), ==, 5);
}

static void
test_data_keeps_its_source (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *file = write_file ("{\"inputPath\":\"/a.mp4\",\"thumbnailRequest\":{\"count\":3}}");
  g_autoptr (DerushCliJob) job = job_new ("-", NULL, (const char *[]){"thumbnailRequest.width=64", NULL}, file, &error);
  JsonObject *request;

  g_unlink (file);
  g_assert_no_error (error);
  g_assert_cmpstr (json_object_get_string_member (job->data, "inputPath"), ==, "/a.mp4");
  request = derush_json_get_object (job->data, "thumbnailRequest");
  g_assert_cmpint (derush_json_get_int (request, "count", 0), ==, 3);
  g_assert_cmpint (derush_json_get_int (request, "width", 0), ==, 64);
}

static void
test_wrong_usage (void)
{
  g_autofree char *broken = write_file ("{\"a\":"), *array = write_file ("[1]");
  const struct {
    const char *assignment, *file, *names;
  } cases[] = {
      {"count", NULL, "count"}, {"=5", NULL, "=5"},   {"title=\xff", NULL, "title"},
      {NULL, broken, broken},   {NULL, array, array}, {NULL, "/nonexistent/data.json", "/nonexistent/data.json"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushCliJob) job =
        job_new ("-", NULL, (const char *[]){cases[i].assignment, NULL}, cases[i].file, &error);

    g_assert_null (job);
    g_assert_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT);
    g_assert_nonnull (strstr (error->message, cases[i].names));
  }
  g_unlink (broken);
  g_unlink (array);
}

static void
test_unknown_type (void)
{
  g_autoptr (GError) error = NULL;
  gboolean unknown = FALSE;
  g_autoptr (DerushCliJob) job = derush_cli_job_new ("nonsense", "-", NULL, NULL, NULL, &unknown, &error);

  g_assert_null (job);
  g_assert_true (unknown);
  g_assert_nonnull (strstr (error->message, "nonsense"));
  g_assert_nonnull (strstr (error->message, "VIDEO_PROCESSING"));
}

static void
test_names_that_are_not_text (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushCliJob) job = job_new ("caf\xe9.mp4", NULL, NULL, NULL, &error);

  g_assert_null (job);
  g_assert_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/progress/a-bar-fits-the-terminal", test_bar_fits);
  g_test_add_func ("/cli/progress/a-bar-grows-with-the-progress", test_bar_grows);
  g_test_add_func ("/cli/times-are-rounded-to-tenths", test_times);
  g_test_add_func ("/cli/job/relative-paths-become-absolute", test_paths_are_absolute);
  g_test_add_func ("/cli/job/urls-stay-as-they-are", test_urls_stay);
  g_test_add_func ("/cli/job/a-hyphen-is-no-input", test_no_input);
  g_test_add_func ("/cli/job/the-command-line-wins-over-the-file", test_command_line_wins);
  g_test_add_func ("/cli/job/a-file-of-data-keeps-its-own-source", test_data_keeps_its_source);
  g_test_add_func ("/cli/job/what-cannot-be-data-is-wrong-usage", test_wrong_usage);
  g_test_add_func ("/cli/job/an-unknown-type-is-named-beside-the-known-ones", test_unknown_type);
  g_test_add_func ("/cli/job/a-name-that-is-not-utf-8-is-refused-in-utf-8", test_names_that_are_not_text);
  return g_test_run ();
}
