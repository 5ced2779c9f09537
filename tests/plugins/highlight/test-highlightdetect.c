/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "../analysis/pictures.h"

#include <glib/gstdio.h>
#include <gst/check/gstharness.h>
#include <math.h>
#include <string.h>

typedef struct {
  GstStructure *structure; /* of the last message */
  guint n_messages;
  guint n_tocs;
  gboolean message_before_eos;
  GError *error;
} Result;

static void
clear_result (Result *result)
{
  g_clear_pointer (&result->structure, gst_structure_free);
  g_clear_error (&result->error);
}

/* Runs to EOS or to an error. */
static Result
run (const char *line)
{
  Result result = {NULL};
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, &error);
  g_autoptr (GstBus) bus = NULL;
  gboolean done = FALSE;

  g_assert_no_error (error);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (!done) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop (bus, 30 * GST_SECOND);

    g_assert_nonnull (message);
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      gst_message_parse_error (message, &result.error, NULL);
      done = TRUE;
    } else if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS) {
      result.message_before_eos = result.n_messages > 0;
      done = TRUE;
    } else if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_TOC) {
      /* Sinks post the event too. */
      result.n_tocs += g_str_has_prefix (GST_OBJECT_NAME (GST_MESSAGE_SRC (message)), "h");
    } else if (gst_message_has_name (message, "highlightdetect")) {
      g_clear_pointer (&result.structure, gst_structure_free);
      result.structure = gst_structure_copy (gst_message_get_structure (message));
      result.n_messages++;
    }
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return result;
}

static guint
count_highlights (const Result *result)
{
  return gst_value_list_get_size (gst_structure_get_value (result->structure, "highlights"));
}

static const GstStructure *
highlight (const Result *result, guint i)
{
  return gst_value_get_structure (
      gst_value_list_get_value (gst_structure_get_value (result->structure, "highlights"), i));
}

static double
get_seconds (const GstStructure *structure, const char *name)
{
  guint64 time;

  g_assert_true (gst_structure_get_uint64 (structure, name, &time));
  return (double)time / GST_SECOND;
}

/* One highlightdetect with both branches, fed by hand. */
typedef struct {
  GstElement *element;
  GstHarness *video;
  GstHarness *audio;
  GstBus *bus;
  Scene *scene;
  Scene *other;
  Picture *picture;
  double video_time;
  double audio_time;
} Stage;

#define RATE 44100
#define FPS 25
#define WIDTH 320
#define HEIGHT 180

static void
set_up (Stage *stage)
{
  *stage = (Stage){.element = gst_element_factory_make ("highlightdetect", "h"),
                   .bus = gst_bus_new (),
                   .scene = scene_new (WIDTH, HEIGHT, 1),
                   .other = scene_new (WIDTH, HEIGHT, 2),
                   .picture = picture_new (WIDTH, HEIGHT)};
  gst_object_ref_sink (stage->element);
  stage->video = gst_harness_new_with_element (stage->element, "video_sink", "video_src");
  stage->audio = gst_harness_new_with_element (stage->element, "audio_sink", "audio_src");
  gst_element_set_bus (stage->element, stage->bus);
  gst_harness_set_src_caps_str (stage->video, "video/x-raw, format=I420, width=320, height=180, framerate=25/1");
  gst_harness_set_src_caps_str (stage->audio, "audio/x-raw, format=F32LE, rate=44100, channels=1, layout=interleaved");
}

static void
tear_down (Stage *stage)
{
  gst_element_set_bus (stage->element, NULL);
  gst_harness_teardown (stage->audio);
  gst_harness_teardown (stage->video);
  gst_object_unref (stage->element);
  gst_object_unref (stage->bus);
  scene_free (stage->scene);
  scene_free (stage->other);
  picture_free (stage->picture);
}

static void
feed_audio (Stage *stage, double seconds, double volume)
{
  for (guint n = (guint)(seconds * 10 + 0.5); n > 0; n--) {
    float samples[RATE / 10];
    GstBuffer *buffer;

    for (guint i = 0; i < G_N_ELEMENTS (samples); i++)
      samples[i] = volume * sin (2 * G_PI * 440 * i / RATE);
    buffer = gst_buffer_new_memdup (samples, sizeof (samples));
    GST_BUFFER_PTS (buffer) = stage->audio_time * GST_SECOND + 0.5;
    GST_BUFFER_DURATION (buffer) = GST_SECOND / 10;
    stage->audio_time += 0.1;
    g_assert_cmpint (gst_harness_push (stage->audio, buffer), ==, GST_FLOW_OK);
    gst_buffer_unref (gst_harness_pull (stage->audio));
  }
}

/* @speed: of a pan to and fro, in pixels per frame. */
static void
feed_video (Stage *stage, double seconds, const Scene *scene, guint speed)
{
  for (guint n = (guint)(seconds * FPS + 0.5); n > 0; n--) {
    GstBuffer *buffer;
    guint x = n * speed % (2 * WIDTH);

    scene_show (scene, x < WIDTH ? x : 2 * WIDTH - x, stage->picture);
    buffer = gst_buffer_new_memdup (stage->picture->data, WIDTH * HEIGHT * 3 / 2);
    GST_BUFFER_PTS (buffer) = stage->video_time * GST_SECOND + 0.5;
    GST_BUFFER_DURATION (buffer) = GST_SECOND / FPS;
    stage->video_time += 1.0 / FPS;
    g_assert_cmpint (gst_harness_push (stage->video, buffer), ==, GST_FLOW_OK);
    gst_buffer_unref (gst_harness_pull (stage->video));
  }
}

static Result
finish (Stage *stage)
{
  Result result = {NULL};
  GstMessage *message;

  g_assert_true (gst_harness_push_event (stage->video, gst_event_new_eos ()));
  g_assert_null (gst_bus_peek (stage->bus));
  g_assert_true (gst_harness_push_event (stage->audio, gst_event_new_eos ()));
  while ((message = gst_bus_pop (stage->bus))) {
    result.n_tocs += GST_MESSAGE_TYPE (message) == GST_MESSAGE_TOC;
    if (gst_message_has_name (message, "highlightdetect")) {
      g_clear_pointer (&result.structure, gst_structure_free);
      result.structure = gst_structure_copy (gst_message_get_structure (message));
      result.n_messages++;
    }
    gst_message_unref (message);
  }
  return result;
}

/* Twenty quiet seconds, six loud ones, twenty quiet ones. */
static void
test_loud_passage (void)
{
  double score, sum = 0;
  const GstStructure *signals;
  Stage stage;
  Result r;

  set_up (&stage);
  feed_video (&stage, 46, stage.scene, 0);
  feed_audio (&stage, 20, 0.01);
  feed_audio (&stage, 6, 0.5);
  feed_audio (&stage, 20, 0.01);
  r = finish (&stage);
  g_assert_cmpuint (r.n_messages, ==, 1);
  g_assert_cmpuint (r.n_tocs, ==, 1);
  g_assert_cmpuint (count_highlights (&r), ==, 1);
  g_assert_cmpfloat_with_epsilon (get_seconds (highlight (&r, 0), "start"), 20, 0.6);
  g_assert_cmpfloat_with_epsilon (get_seconds (highlight (&r, 0), "end"), 26, 0.6);
  g_assert_cmpfloat_with_epsilon (get_seconds (r.structure, "duration"), 46, 0.05);
  g_assert_cmpfloat (get_seconds (r.structure, "stream-time"), ==, 0);
  g_assert_cmpfloat_with_epsilon (get_seconds (r.structure, "running-time"), 45.95, 0.06);
  g_assert_cmpfloat_with_epsilon (get_seconds (r.structure, "timestamp"), 45.95, 0.06);
  g_assert_cmpstr (gst_structure_get_string (highlight (&r, 0), "type"), ==, "AUDIO");
  g_assert_true (gst_structure_get_double (highlight (&r, 0), "score", &score));
  signals = gst_value_get_structure (gst_structure_get_value (highlight (&r, 0), "signals"));
  for (int i = 0; i < gst_structure_n_fields (signals); i++) {
    const GstStructure *one =
        gst_value_get_structure (gst_structure_get_value (signals, gst_structure_nth_field_name (signals, i)));
    double value, weight;

    g_assert_true (gst_structure_get (one, "value", G_TYPE_DOUBLE, &value, "weight", G_TYPE_DOUBLE, &weight, NULL));
    sum += value * weight;
  }
  g_assert_cmpfloat_with_epsilon (sum, score, 1e-12);
  clear_result (&r);
  tear_down (&stage);
}

static void
test_motion (void)
{
  Stage stage;
  Result r;

  set_up (&stage);
  feed_audio (&stage, 25, 0.1);
  feed_video (&stage, 10, stage.scene, 0);
  feed_video (&stage, 5, stage.scene, 8);
  feed_video (&stage, 10, stage.scene, 0);
  r = finish (&stage);
  g_assert_cmpuint (count_highlights (&r), ==, 1);
  g_assert_cmpfloat_with_epsilon (get_seconds (highlight (&r, 0), "start"), 10, 0.6);
  g_assert_cmpfloat_with_epsilon (get_seconds (highlight (&r, 0), "end"), 15, 0.6);
  g_assert_cmpstr (gst_structure_get_string (highlight (&r, 0), "type"), ==, "MOTION");
  clear_result (&r);
  tear_down (&stage);
}

/* A gap in the audio is silence, and what follows it stays where it is. */
static void
test_audio_gap (void)
{
  Stage stage;
  Result r;

  set_up (&stage);
  feed_video (&stage, 45, stage.scene, 0);
  feed_audio (&stage, 10, 0.01);
  stage.audio_time += 12;
  feed_audio (&stage, 5, 0.01);
  feed_audio (&stage, 5, 0.5);
  feed_audio (&stage, 10, 0.01);
  r = finish (&stage);
  g_assert_cmpuint (count_highlights (&r), ==, 1);
  g_assert_cmpfloat_with_epsilon (get_seconds (highlight (&r, 0), "start"), 27, 0.6);
  g_assert_cmpfloat_with_epsilon (get_seconds (highlight (&r, 0), "end"), 32, 0.6);
  clear_result (&r);
  tear_down (&stage);
}

static void
test_seek (void)
{
  GstHarness *harnesses[2];
  Stage stage;
  Result r;

  set_up (&stage);
  harnesses[0] = stage.video;
  harnesses[1] = stage.audio;
  feed_video (&stage, 4, stage.scene, 8);
  feed_audio (&stage, 4, 0.9);
  for (guint i = 0; i < 2; i++) {
    GstSegment segment;

    gst_segment_init (&segment, GST_FORMAT_TIME);
    g_assert_true (gst_harness_push_event (harnesses[i], gst_event_new_flush_start ()));
    g_assert_true (gst_harness_push_event (harnesses[i], gst_event_new_flush_stop (TRUE)));
    g_assert_true (gst_harness_push_event (harnesses[i], gst_event_new_segment (&segment)));
  }
  stage.audio_time = stage.video_time = 0;
  feed_video (&stage, 10, stage.scene, 0);
  feed_audio (&stage, 10, 0.1);
  r = finish (&stage);
  g_assert_cmpuint (count_highlights (&r), ==, 0);
  g_assert_cmpfloat_with_epsilon (get_seconds (r.structure, "duration"), 10, 0.05);
  clear_result (&r);
  tear_down (&stage);
}

static void
test_black_and_silent (void)
{
  Result r = run (
      "highlightdetect name=h "
      "videotestsrc num-buffers=250 pattern=black ! video/x-raw,width=320,height=180 ! h.video_sink h.video_src ! fakesink "
      "audiotestsrc num-buffers=400 wave=silence ! h.audio_sink h.audio_src ! fakesink");

  g_assert_no_error (r.error);
  g_assert_true (r.message_before_eos);
  g_assert_cmpuint (count_highlights (&r), ==, 0);
  g_assert_cmpuint (r.n_tocs, ==, 0);
  clear_result (&r);
}

/* Branches end when they like; a source that is not linked on drops. */
static const char *const endings[] = {
    "highlightdetect name=h videotestsrc num-buffers=1 ! h.video_sink h.video_src ! fakesink "
    "audiotestsrc num-buffers=200 ! h.audio_sink h.audio_src ! fakesink",
    "highlightdetect name=h videotestsrc num-buffers=200 ! h.video_sink h.video_src ! fakesink "
    "audiotestsrc num-buffers=1 ! h.audio_sink h.audio_src ! fakesink",
    "highlightdetect name=h videotestsrc num-buffers=30 ! h.video_sink h.video_src ! fakesink "
    "audiotestsrc num-buffers=0 ! h.audio_sink h.audio_src ! fakesink",
    "highlightdetect name=h videotestsrc num-buffers=30 ! h.video_sink h.video_src ! fakesink "
    "audiotestsrc num-buffers=30 ! h.audio_sink",
    "highlightdetect name=h videotestsrc num-buffers=1 ! h.video_sink h.video_src ! fakesink "
    "audiotestsrc num-buffers=2000 ! h.audio_sink",
    "videotestsrc num-buffers=30 ! highlightdetect name=h ! fakesink",
    "audiotestsrc num-buffers=30 ! highlightdetect name=h ! fakesink",
};

static void
test_endings (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (endings); i++) {
    Result r = run (endings[i]);

    g_test_message ("%s", endings[i]);
    g_assert_no_error (r.error);
    g_assert_true (r.message_before_eos);
    clear_result (&r);
  }
}

static void
test_analysis (void)
{
  g_autofree char *directory = g_dir_make_tmp ("derush-highlightdetect-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "film.analysis", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushAnalysisFile) file = NULL;
  const DerushAnalysis *analysis;
  Stage stage;
  Result r;

  set_up (&stage);
  g_object_set (stage.element, "analysis-location", path, NULL);
  feed_video (&stage, 2, stage.scene, 0);
  feed_video (&stage, 2, stage.other, 0);
  feed_audio (&stage, 4, 0.1);
  r = finish (&stage);
  file = derush_analysis_file_open (path, &error);
  g_assert_no_error (error);
  analysis = derush_analysis_file_get (file);
  g_assert_cmpuint (analysis->n_frames, ==, 100);
  g_assert_cmpuint (analysis->n_audio, ==, 40);
  g_assert_cmpuint (analysis->n_shots, ==, 2);
  g_assert_cmpuint (analysis->shots[1].first_frame, ==, 50);
  g_assert_cmpfloat_with_epsilon (analysis->shots[1].start, 2, 1e-6);
  g_assert_cmpfloat_with_epsilon (analysis->duration, 4, 0.01);
  g_assert_cmpuint (analysis->width, ==, WIDTH);
  g_assert_cmpuint (analysis->height, ==, HEIGHT);
  g_unlink (path);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
  clear_result (&r);
  tear_down (&stage);
}

static void
test_not_writable (void)
{
  Result r =
      run ("videotestsrc num-buffers=10 ! highlightdetect analysis-location=/nowhere/at/all/film.analysis ! fakesink");

  g_assert_error (r.error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE);
  g_assert_nonnull (strstr (r.error->message, "/nowhere/at/all/film.analysis"));
  clear_result (&r);
}

static void
test_no_messages (void)
{
  Stage stage;
  Result r;

  set_up (&stage);
  g_object_set (stage.element, "post-messages", FALSE, NULL);
  feed_video (&stage, 15, stage.scene, 0);
  feed_audio (&stage, 10, 0.01);
  feed_audio (&stage, 5, 0.5);
  r = finish (&stage);
  g_assert_cmpuint (r.n_messages, ==, 0);
  g_assert_cmpuint (r.n_tocs, ==, 0);
  clear_result (&r);
  tear_down (&stage);
}

static void
test_limits (void)
{
  double length;
  guint rejected;
  Stage stage;
  Result r;

  set_up (&stage);
  g_object_set (stage.element, "max-highlights", 1, "min-duration", 10 * GST_SECOND, "max-duration", 11 * GST_SECOND,
                NULL);
  for (guint i = 0; i < 2; i++) {
    feed_audio (&stage, 20, 0.01);
    feed_audio (&stage, 6, 0.5);
  }
  feed_audio (&stage, 20, 0.01);
  feed_video (&stage, 72, stage.scene, 0);
  r = finish (&stage);
  g_assert_cmpuint (count_highlights (&r), ==, 1);
  length = get_seconds (highlight (&r, 0), "end") - get_seconds (highlight (&r, 0), "start");
  g_assert_cmpfloat (length, >=, 9.99);
  g_assert_cmpfloat (length, <=, 11.01);
  g_assert_true (gst_structure_get_uint (r.structure, "rejected", &rejected));
  g_assert_cmpuint (rejected, >=, 1);
  clear_result (&r);
  tear_down (&stage);
}

/* The same sound in every raw format gives the same loudness. */
static void
test_audio_formats (void)
{
  static const char *const formats[] = {"F32LE",
                                        "S16LE",
                                        "S16BE",
                                        "S24LE",
                                        "S32LE",
                                        "U8",
                                        "F64LE",
                                        "F32LE,layout=non-interleaved",
                                        "S16LE,layout=non-interleaved"};
  g_autofree char *directory = g_dir_make_tmp ("derush-highlightdetect-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "film.analysis", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *line = g_strdup_printf (
        "audiotestsrc num-buffers=20 samplesperbuffer=4800 freq=997 volume=0.1 ! audio/x-raw,rate=48000,channels=2 ! "
        "audioconvert ! audio/x-raw,format=%s ! highlightdetect analysis-location=%s ! fakesink",
        formats[i], path);
    Result r = run (line);
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushAnalysisFile) file = NULL;
    const DerushAnalysis *analysis;

    g_assert_no_error (r.error);
    file = derush_analysis_file_open (path, &error);
    g_assert_no_error (error);
    analysis = derush_analysis_file_get (file);
    g_test_message ("%s: %f", formats[i], analysis->audio[10].loudness);
    g_assert_cmpuint (analysis->n_audio, ==, 20);
    g_assert_cmpfloat_with_epsilon (analysis->audio[10].loudness, -20, 0.2);
    clear_result (&r);
  }
  g_unlink (path);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

/* From PAUSED back and forth again: no frame of the first run counts in the second one. */
static void
test_run_again (void)
{
  g_autofree char *directory = g_dir_make_tmp ("derush-highlightdetect-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "film.analysis", NULL);
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("videotestsrc num-buffers=20 ! highlightdetect name=h ! fakesink", NULL);
  g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (pipeline), "h");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  g_object_set (element, "analysis-location", path, NULL);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (DerushAnalysisFile) file = NULL;

    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    message = gst_bus_timed_pop_filtered (bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_nonnull (message);
    g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
    gst_element_set_state (pipeline, i == 0 ? GST_STATE_READY : GST_STATE_NULL);
    file = derush_analysis_file_open (path, NULL);
    g_assert_nonnull (file);
    g_assert_cmpuint (derush_analysis_file_get (file)->n_frames, ==, 20);
  }
  g_unlink (path);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/highlightdetect/a-loud-passage-is-posted-before-eos", test_loud_passage);
  g_test_add_func ("/highlightdetect/motion-is-posted", test_motion);
  g_test_add_func ("/highlightdetect/a-gap-in-the-audio-moves-nothing", test_audio_gap);
  g_test_add_func ("/highlightdetect/a-seek-begins-anew", test_seek);
  g_test_add_func ("/highlightdetect/a-black-and-silent-film-has-none", test_black_and_silent);
  g_test_add_func ("/highlightdetect/branches-may-be-missing-or-end-early", test_endings);
  g_test_add_func ("/highlightdetect/the-analysis-is-stored", test_analysis);
  g_test_add_func ("/highlightdetect/a-file-that-cannot-be-written-is-an-error", test_not_writable);
  g_test_add_func ("/highlightdetect/no-messages-if-not-wanted", test_no_messages);
  g_test_add_func ("/highlightdetect/limits-hold", test_limits);
  g_test_add_func ("/highlightdetect/every-audio-format-is-measured", test_audio_formats);
  g_test_add_func ("/highlightdetect/it-can-run-again", test_run_again);
  return g_test_run ();
}
