/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "harness.h"

#include "media/media-private.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

static char *film; /* a small one with picture and sound */
static char *directory;

/* ── What the shipped templates promise ─────────────────────────────────── */

static void
every_template_builds (void)
{
  g_autoptr (GPtrArray) names = derush_template_list ();

  g_assert_cmpuint (names->len, >=, 4);
  for (guint i = 0; i < names->len; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushTemplate) one = derush_template_load (g_ptr_array_index (names, i), &error);
    g_autoptr (GstElement) pipeline = NULL;

    g_assert_no_error (error);
    g_assert_nonnull (derush_template_get_description (one));
    pipeline = derush_template_build (one, &error);
    g_assert_no_error (error);
    g_assert_nonnull (pipeline);
  }
}

static char *
print (const char *name, const char *source, const char *output)
{
  g_autofree char *quoted_source = g_shell_quote (source);
  g_autofree char *quoted_output = g_shell_quote (output);

  return test_shell (directory, "\"$DERUSH_MEDIA_WORKER\" --print-pipeline %s %s%s %s%s", name,
                     source[0] ? "source=" : "", source[0] ? quoted_source : "", output[0] ? "output=" : "",
                     output[0] ? quoted_output : "");
}

static void
every_printed_line_runs (void)
{
  g_autoptr (GPtrArray) names = derush_template_list ();

  /* The second input of a mixing template, as its text names it. */
  g_free (test_shell (directory, "ffmpeg -v error -f lavfi -i sine=d=1:r=16000 voice.wav"));
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    g_autoptr (DerushTemplate) one = derush_template_load (name, NULL);
    g_autofree char *line = print (name, derush_template_get_input_element (one) ? film : "",
                                   derush_template_get_output_element (one) ? "result.bin" : "");
    g_autofree char *said = NULL;

    g_strchomp (line);
    said = test_shell (directory, "timeout 30 %s -q", line);
    g_assert_cmpstr (said, ==, "");
    if (derush_template_get_output_element (one)) {
      g_autofree char *result = g_build_filename (directory, "result.bin", NULL);

      g_assert_true (g_file_test (result, G_FILE_TEST_EXISTS));
      g_unlink (result);
    }
  }
}

static void
the_printed_line_takes_any_file_name (void)
{
  static const char *const names[] = {
      "plain.mp4",       "with blanks.mp4", "quotes ' and \".mp4",   "$HOME `id` ! fakesink.mp4",
      "back\\slash.mp4", "é#;&|(*).mp4",    "ends with backslash\\",
  };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (directory, names[i], NULL);
    g_autofree char *line = print ("transcode-mp4", film, path);
    g_autofree char *said = NULL;

    g_strchomp (line);
    said = test_shell (directory, "timeout 30 %s -q", line);
    g_assert_cmpstr (said, ==, "");
    g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
    g_unlink (path);
  }
}

static void
one_side_alone_keeps_the_shape (void)
{
  static const struct {
    const char *given, *wanted;
  } sides[] = {{"height=90", "width=160,height=90"}, {"width=640", "width=640,height=360"}};

  for (guint i = 0; i < G_N_ELEMENTS (sides); i++) {
    g_autofree char *line = test_shell (
        directory, "\"$DERUSH_MEDIA_WORKER\" --print-pipeline transcode-mp4 source=%s %s", film, sides[i].given);

    if (!strstr (line, sides[i].wanted))
      g_error ("%s is not in %s", sides[i].wanted, line);
  }
}

/* ── Values that must not pass ──────────────────────────────────────────── */

static guint
count_elements (GstElement *pipeline)
{
  return (guint)GST_BIN_NUMCHILDREN (pipeline);
}

static const struct {
  const char *parameter;
  const char *value;
} hostile[] = {
    {"crf", "20 ! fakesink"},
    {"crf", "23 speed-preset=placebo"},
    {"crf", "-1"},
    {"crf", "51"},
    {"crf", "23.5"},
    {"crf", "abc"},
    {"crf", ""},
    {"crf", "99999999999999999999"},
    {"crf", " 23"},
    {"crf", "23\n"},
    {"crf", "0x17"},
    {"preset", "nosuch"},
    {"preset", "veryfast ! fakesink"},
    {"preset", "\"veryfast\""},
    {"preset", "placebo"},
    {"aspect-ratio", "9"},
    {"aspect-ratio", "9/0"},
    {"aspect-ratio", "-9/16"},
    {"aspect-ratio", "9/16 ! fakesink"},
    {"aspect-ratio", "0.5625"},
    {"aspect-ratio", "99999999999/1"},
    {"audio-bitrate", "4294967296128000"},
    {"audio-bitrate", "true"},
    {"width", "640,height=2"},
    {"width", "15"},
    {"width", "640 ! fakesink"},
    {"scaling", "1"},
    {"faststart-file", "a\nb"},
    {"faststart-file", "a\x01"},
    {"faststart-file", "\xff\xfe"},
    {"no-such-parameter", "1"},
    {"video-encoder.bitrate", "1"},
    {"name", "x"},
};

static void
hostile_values_are_refused (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (hostile); i++) {
    g_autoptr (DerushTemplate) one = derush_template_load ("transcode-mp4", NULL);
    g_autoptr (GError) error = NULL;

    g_assert_nonnull (one);
    if (derush_template_set_string (one, hostile[i].parameter, hostile[i].value, &error)) {
      g_autoptr (GstElement) pipeline = derush_template_build (one, &error);

      g_assert_null (pipeline);
    }
    g_assert_nonnull (error);
    g_assert_cmpint (derush_error_get_class (error), ==, DERUSH_ERROR_BAD_INPUT);
    g_assert_null (strchr (error->message, '\n'));
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
  }
}

static void
text_that_looks_like_elements_stays_text (void)
{
  static const char *const texts[] = {"/tmp/x ! fakesink videotestsrc ! filesink location=/tmp/y", "\" ! fakesink \"",
                                      "' ! fakesink '", "$(id) `id` \\", "a=b name=mux"};
  g_autoptr (DerushTemplate) plain = derush_template_load ("transcode-mp4", NULL);
  g_autoptr (GstElement) plain_pipeline = derush_template_build (plain, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (DerushTemplate) one = derush_template_load ("transcode-mp4", NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (GstElement) pipeline = NULL;
    g_autoptr (GstElement) mux = NULL;
    g_autofree char *read = NULL;

    derush_template_set_string (one, "faststart-file", texts[i], &error);
    g_assert_no_error (error);
    pipeline = derush_template_build (one, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (count_elements (pipeline), ==, count_elements (plain_pipeline));
    mux = gst_bin_get_by_name (GST_BIN (pipeline), "mux");
    g_object_get (mux, "faststart-file", &read, NULL);
    g_assert_cmpstr (read, ==, texts[i]);
  }
}

static void
json_of_the_wrong_type_is_refused (void)
{
  static const struct {
    const char *parameter;
    const char *json;
    gboolean fine;
  } cases[] = {
      {"crf", "20", TRUE},
      {"crf", "20.0", TRUE},
      {"crf", "20.5", FALSE},
      {"crf", "\"20\"", FALSE},
      {"crf", "true", FALSE},
      {"crf", "null", FALSE},
      {"crf", "[20]", FALSE},
      {"crf", "{\"a\":1}", FALSE},
      {"crf", "1e300", FALSE},
      {"preset", "\"fast\"", TRUE},
      {"preset", "3", FALSE},
      {"preset", "[\"fast\"]", FALSE},
      {"crf", "-20", FALSE},
      {"aspect-ratio", "\"9/16\"", TRUE},
      {"aspect-ratio", "0.5", FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DerushTemplate) one = derush_template_load ("transcode-mp4", NULL);
    g_autoptr (JsonNode) node = json_from_string (cases[i].json, NULL);
    g_autoptr (GError) error = NULL;

    if (!node)
      node = json_node_new (JSON_NODE_NULL);
    g_assert_cmpint (derush_template_set (one, cases[i].parameter, node, &error), ==, cases[i].fine);
    g_assert_cmpint (error == NULL, ==, cases[i].fine);
  }
}

static void
values_reach_the_elements (void)
{
  g_autoptr (DerushTemplate) one = derush_template_load ("transcode-mp4", NULL);
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) encoder = NULL;
  g_autoptr (GstElement) size = NULL;
  g_autoptr (GstElement) crop = NULL;
  g_autoptr (GstCaps) caps = NULL;
  g_autoptr (GError) error = NULL;
  guint quantizer;
  int width, numerator, denominator;

  derush_template_set_int (one, "crf", 31, &error);
  derush_template_set_int (one, "width", 642, &error);
  derush_template_set_string (one, "aspect-ratio", "9/16", &error);
  g_assert_no_error (error);
  pipeline = derush_template_build (one, &error);
  g_assert_no_error (error);
  encoder = gst_bin_get_by_name (GST_BIN (pipeline), "video-encoder");
  g_object_get (encoder, "quantizer", &quantizer, NULL);
  g_assert_cmpuint (quantizer, ==, 31);
  size = gst_bin_get_by_name (GST_BIN (pipeline), "size");
  g_object_get (size, "caps", &caps, NULL);
  g_assert_true (gst_structure_get_int (gst_caps_get_structure (caps, 0), "width", &width));
  g_assert_cmpint (width, ==, 642);
  g_assert_cmpstr (gst_structure_get_string (gst_caps_get_structure (caps, 0), "format"), ==, "I420");
  crop = gst_bin_get_by_name (GST_BIN (pipeline), "crop");
  {
    g_auto (GValue) aspect = G_VALUE_INIT;

    g_value_init (&aspect, GST_TYPE_FRACTION);
    g_object_get_property (G_OBJECT (crop), "aspect-ratio", &aspect);
    numerator = gst_value_get_fraction_numerator (&aspect);
    denominator = gst_value_get_fraction_denominator (&aspect);
  }
  g_assert_cmpint (numerator, ==, 9);
  g_assert_cmpint (denominator, ==, 16);
}

/* ── Broken templates ───────────────────────────────────────────────────── */

static void
write_template (const char *text, const char *contract)
{
  g_autofree char *gst = g_build_filename (directory, "broken.gst", NULL);
  g_autofree char *ini = g_build_filename (directory, "broken.ini", NULL);

  g_assert_true (g_file_set_contents (gst, text, -1, NULL));
  g_assert_true (g_file_set_contents (ini, contract, -1, NULL));
}

static void
broken_templates_say_what_is_wrong (void)
{
  static const struct {
    const char *text;
    const char *contract;
    DerushErrorClass error_class;
    const char *mentions;
  } cases[] = {
      {"fakesrc name=a ! fakesink\n", "[param x]\nbind=b.c\ntype=int\n", DERUSH_ERROR_INTERNAL, "param x"},
      {"fakesrc name=a ! fakesink\n", "[param x]\nbind=a.nosuch\ntype=int\ndefault=1\n", DERUSH_ERROR_INTERNAL,
       "nosuch"},
      {"fakesrc name=a ! nosuchelement ! fakesink\n", "[template]\nname=broken\n", DERUSH_ERROR_MISSING_PLUGIN,
       "nosuchelement"},
      {"fakesrc name=a ! fakesink name=b\n", "[branch audio]\nelements=a\n", DERUSH_ERROR_INTERNAL, "branch audio"},
      {"fakesrc name=\"a\" ! fakesink\n", "[template]\nname=broken\n", DERUSH_ERROR_INTERNAL, "quotes"},
      {"# nothing\n", "[template]\nname=broken\n", DERUSH_ERROR_INTERNAL, "broken"},
  };
  g_autofree char *before = g_strdup (g_getenv ("DERUSH_PIPELINES_DIR"));

  g_setenv ("DERUSH_PIPELINES_DIR", directory, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushTemplate) one = NULL;

    write_template (cases[i].text, cases[i].contract);
    one = derush_template_load ("broken", &error);
    if (one) {
      g_autoptr (GstElement) pipeline = derush_template_build (one, &error);

      g_assert_null (pipeline);
    }
    g_assert_nonnull (error);
    g_assert_cmpint (derush_error_get_class (error), ==, cases[i].error_class);
    g_assert_nonnull (strstr (error->message, cases[i].mentions));
  }
  g_setenv ("DERUSH_PIPELINES_DIR", before, TRUE);
}

static void
template_names_cannot_leave_their_folder (void)
{
  static const char *const names[] = {
      "../pipelines/transcode-mp4", "/etc/passwd", "", ".", "..", "nosuch", "profiles/medium"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushTemplate) one = derush_template_load (names[i], &error);

    g_assert_null (one);
    g_assert_cmpint (derush_error_get_class (error), ==, DERUSH_ERROR_BAD_INPUT);
  }
}

static void
a_dropped_branch_is_gone_from_the_line (void)
{
  g_autoptr (DerushTemplate) one = derush_template_load ("transcode-mp4", NULL);
  g_autofree char *line = NULL;

  derush_template_drop_branch (one, "audio");
  line = derush_template_print (one, NULL);
  g_assert_null (strstr (line, "avenc_aac"));
  g_assert_nonnull (strstr (line, "x264enc"));
  g_assert_false (derush_template_has_parameter (one, "audio-bitrate"));
}

/* ── Sizes ──────────────────────────────────────────────────────────────── */

static void
sizes_are_even_bounded_and_never_enlarged_unasked (void)
{
  static const struct {
    int source_width, source_height;
    const char *aspect;
    int width, height;
    gboolean enlarge;
    int expected_width, expected_height;
  } cases[] = {
      {1280, 720, NULL, 0, 0, FALSE, 1280, 720},    {1920, 1080, NULL, 0, 720, FALSE, 1280, 720},
      {641, 359, NULL, 0, 0, FALSE, 640, 358},      {640, 360, NULL, 0, 720, FALSE, 640, 360},
      {640, 360, NULL, 1920, 0, FALSE, 640, 360},   {640, 360, NULL, 1920, 1080, FALSE, 1920, 1080},
      {1920, 1080, "9:16", 0, 0, FALSE, 608, 1080}, {1920, 1080, "1:1", 0, 720, FALSE, 720, 720},
      {1080, 1920, "16:9", 0, 0, FALSE, 1080, 608}, {1920, 1080, "9:16", 1080, 1920, FALSE, 1080, 1920},
      {640, 360, NULL, 0, 720, TRUE, 1280, 720},    {640, 360, "9:16", 1080, 0, TRUE, 1080, 1920},
      {640, 360, NULL, 0, 0, TRUE, 640, 360},       {2, 2, NULL, 0, 0, FALSE, 16, 16},
      {2048, 64, NULL, 640, 0, FALSE, 640, 20},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    int width, height;

    derush_transcode_fit (cases[i].source_width, cases[i].source_height, cases[i].aspect, cases[i].width,
                          cases[i].height, cases[i].enlarge, &width, &height);
    g_assert_cmpint (width, ==, cases[i].expected_width);
    g_assert_cmpint (height, ==, cases[i].expected_height);
  }
}

int
main (int argc, char **argv)
{
  g_autofree char *made = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  g_assert_true (derush_media_init (NULL, NULL, NULL));
  directory = test_directory_new ();
  film = g_build_filename (directory, "film.mp4", NULL);
  made = test_shell (directory,
                     "ffmpeg -v error -nostdin -f lavfi -i testsrc2=s=320x180:r=25:d=1 -f lavfi -i sine=r=48000:d=1 "
                     "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac film.mp4");
  g_test_add_func ("/media/templates/every-template-builds", every_template_builds);
  g_test_add_func ("/media/templates/every-printed-line-runs", every_printed_line_runs);
  g_test_add_func ("/media/templates/the-printed-line-takes-any-file-name", the_printed_line_takes_any_file_name);
  g_test_add_func ("/media/templates/one-side-alone-keeps-the-shape", one_side_alone_keeps_the_shape);
  g_test_add_func ("/media/templates/hostile-values-are-refused", hostile_values_are_refused);
  g_test_add_func ("/media/templates/text-that-looks-like-elements-stays-text",
                   text_that_looks_like_elements_stays_text);
  g_test_add_func ("/media/templates/json-of-the-wrong-type-is-refused", json_of_the_wrong_type_is_refused);
  g_test_add_func ("/media/templates/values-reach-the-elements", values_reach_the_elements);
  g_test_add_func ("/media/templates/broken-templates-say-what-is-wrong", broken_templates_say_what_is_wrong);
  g_test_add_func ("/media/templates/names-cannot-leave-their-folder", template_names_cannot_leave_their_folder);
  g_test_add_func ("/media/templates/a-dropped-branch-is-gone-from-the-line", a_dropped_branch_is_gone_from_the_line);
  g_test_add_func ("/media/templates/sizes-are-even-bounded-and-never-enlarged-unasked",
                   sizes_are_even_bounded_and_never_enlarged_unasked);
  status = g_test_run ();
  test_directory_free (directory);
  g_free (film);
  return status;
}
