/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "frames.h"

#define FRAME (GST_SECOND / 25)

static void
push (GstHarness *h, Pattern pattern, guint variant, guint i)
{
  g_assert_cmpint (gst_harness_push (h, make_frame ("I420", 320, 180, pattern, variant, i * FRAME, FRAME)), ==,
                   GST_FLOW_OK);
}

static void
set_caps (GstHarness *h, const char *format, guint width, guint height)
{
  g_autofree char *caps = make_caps_string (format, width, height, "");

  gst_harness_set_src_caps_str (h, caps);
}

static GstHarness *
new_harness (GstBus **bus)
{
  GstHarness *h = harness_new_with_bus ("bestframe", bus);

  set_caps (h, "I420", 320, 180);
  return h;
}

static GstClockTime
pull_pts (GstHarness *h)
{
  GstBuffer *buffer = gst_harness_try_pull (h);
  GstClockTime pts;

  if (buffer == NULL)
    return GST_CLOCK_TIME_NONE;
  pts = GST_BUFFER_PTS (buffer);
  gst_buffer_unref (buffer);
  return pts;
}

typedef struct {
  const char *name;
  Pattern spoilt;
} PlantedCase;

static const PlantedCase planted_cases[] = {
    {"blurred", PATTERN_BLURRED},
    {"black", PATTERN_BLACK},
    {"blown-out", PATTERN_BLOWN_OUT},
};

/* A film that is spoilt but for one second: the frame comes from that second, unchanged. */
static void
test_planted (gconstpointer data)
{
  const PlantedCase *c = data;
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  g_autoptr (GPtrArray) messages = NULL;
  GstBuffer *buffer, *expected;
  GstMapInfo map;
  guint i;

  g_object_set (h->element, "count", 1, NULL);
  for (i = 0; i < 125; i++)
    push (h, i >= 50 && i < 75 ? PATTERN_TEXTURE : c->spoilt, 1, i);
  gst_harness_push_event (h, gst_event_new_eos ());
  buffer = gst_harness_try_pull (h);
  g_assert_nonnull (buffer);
  i = (guint)(GST_BUFFER_PTS (buffer) / FRAME);
  g_assert_cmpuint (i, >=, 57);
  g_assert_cmpuint (i, <, 68);
  g_assert_cmpuint (GST_BUFFER_DURATION (buffer), ==, FRAME);
  expected = make_frame ("I420", 320, 180, PATTERN_TEXTURE, 1, 0, 0);
  gst_buffer_map (expected, &map, GST_MAP_READ);
  g_assert_cmpuint (gst_buffer_get_size (buffer), ==, map.size);
  g_assert_cmpint (gst_buffer_memcmp (buffer, 0, map.data, map.size), ==, 0);
  gst_buffer_unmap (expected, &map);
  gst_buffer_unref (expected);
  gst_buffer_unref (buffer);
  g_assert_null (gst_harness_try_pull (h));

  messages = take_messages (bus, "bestframe");
  g_assert_cmpuint (messages->len, ==, 1);
  {
    GstStructure *message = g_ptr_array_index (messages, 0);
    guint64 timestamp, stream_time, running_time, duration;
    double score, sharpness;
    guint index;

    g_assert_true (gst_structure_get (
        message, "timestamp", GST_TYPE_CLOCK_TIME, &timestamp, "stream-time", GST_TYPE_CLOCK_TIME, &stream_time,
        "running-time", GST_TYPE_CLOCK_TIME, &running_time, "duration", GST_TYPE_CLOCK_TIME, &duration, "index",
        G_TYPE_UINT, &index, "score", G_TYPE_DOUBLE, &score, "sharpness", G_TYPE_DOUBLE, &sharpness, NULL));
    g_assert_cmpuint (timestamp, ==, i * FRAME);
    g_assert_cmpuint (stream_time, ==, i * FRAME);
    g_assert_cmpuint (running_time, ==, i * FRAME);
    g_assert_cmpuint (duration, ==, FRAME);
    g_assert_cmpuint (index, ==, 0);
    g_assert_cmpfloat (score, >, 0.5);
    g_assert_cmpfloat (sharpness, >, 0.5);
    g_assert_cmpuint (gst_value_array_get_size (gst_structure_get_value (message, "reasons")), >, 0);
  }
  gst_harness_teardown (h);
}

static void
test_frames_in_order_of_time (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  GstClockTime last = 0, pts;
  guint n = 0;

  for (guint i = 0; i < 500; i++)
    push (h, PATTERN_TEXTURE, i / 50, i);
  gst_harness_push_event (h, gst_event_new_eos ());
  while (GST_CLOCK_TIME_IS_VALID (pts = pull_pts (h))) {
    if (n > 0)
      g_assert_cmpuint (pts, >=, last + 2 * GST_SECOND);
    last = pts;
    n++;
  }
  g_assert_cmpuint (n, ==, 5);
  gst_harness_teardown (h);
}

static void
test_one_frame (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);

  push (h, PATTERN_BLACK, 0, 0);
  g_assert_null (gst_harness_try_pull (h));
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_cmpuint (pull_pts (h), ==, 0);
  g_assert_null (gst_harness_try_pull (h));
  gst_harness_teardown (h);
}

static void
test_no_frame (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);

  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  g_assert_null (gst_harness_try_pull (h));
  gst_harness_teardown (h);
}

static void
test_window_mode_pushes_as_it_goes (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  GstClockTime pts;

  gst_util_set_object_arg (G_OBJECT (h->element), "mode", "window");
  g_object_set (h->element, "interval", 2 * GST_SECOND, NULL);
  for (guint i = 0; i < 125; i++)
    push (h, i % 50 == 20 || i % 50 == 21 || i % 50 == 22 ? PATTERN_TEXTURE : PATTERN_PLAIN, 100, i);
  /* Two windows are over; the third is not. */
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 2);
  pts = pull_pts (h);
  g_assert_cmpuint (pts, >=, 20 * FRAME);
  g_assert_cmpuint (pts, <=, 22 * FRAME);
  pts = pull_pts (h);
  g_assert_cmpuint (pts, >=, 70 * FRAME);
  g_assert_cmpuint (pts, <=, 72 * FRAME);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_cmpuint (pull_pts (h), >=, 100 * FRAME);
  g_assert_null (gst_harness_try_pull (h));
  gst_harness_teardown (h);
}

static void
test_min_score_leaves_one (void)
{
  static const char *const modes[] = {"best", "window"};

  for (guint k = 0; k < 2; k++) {
    g_autoptr (GstBus) bus = NULL;
    GstHarness *h = new_harness (&bus);

    gst_util_set_object_arg (G_OBJECT (h->element), "mode", modes[k]);
    g_object_set (h->element, "interval", GST_SECOND, "min-score", 1.0, "count", 1, NULL);
    for (guint i = 0; i < 100; i++)
      push (h, i == 60 ? PATTERN_BLURRED : PATTERN_BLACK, 0, i);
    gst_harness_push_event (h, gst_event_new_eos ());
    g_assert_cmpuint (pull_pts (h), ==, 60 * FRAME);
    g_assert_null (gst_harness_try_pull (h));
    gst_harness_teardown (h);
  }
}

static void
test_flush_starts_afresh (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  GstSegment segment;

  g_object_set (h->element, "count", 1, NULL);
  for (guint i = 0; i < 50; i++)
    push (h, PATTERN_TEXTURE, 1, i);
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  for (guint i = 100; i < 110; i++)
    push (h, PATTERN_BLURRED, 1, i);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_cmpuint (pull_pts (h), >=, 100 * FRAME);
  g_assert_null (gst_harness_try_pull (h));
  gst_harness_teardown (h);
}

static void
test_positions_are_stream_time (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  g_autoptr (GPtrArray) messages = NULL;
  GstSegment segment;
  guint64 stream_time, running_time, timestamp;

  /* As a Matroska film that starts at 27 h and is played from its tenth second on. */
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = 100000 * GST_SECOND;
  segment.time = 10 * GST_SECOND;
  segment.position = segment.start;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  for (guint i = 0; i < 25; i++)
    push (h, PATTERN_TEXTURE, 1, 2500000 + i);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus, "bestframe");
  g_assert_cmpuint (messages->len, >, 0);
  for (guint i = 0; i < messages->len; i++) {
    g_assert_true (gst_structure_get (g_ptr_array_index (messages, i), "timestamp", GST_TYPE_CLOCK_TIME, &timestamp,
                                      "stream-time", GST_TYPE_CLOCK_TIME, &stream_time, "running-time",
                                      GST_TYPE_CLOCK_TIME, &running_time, NULL));
    g_assert_cmpuint (timestamp, ==, pull_pts (h));
    g_assert_cmpuint (stream_time, ==, timestamp - segment.start + segment.time);
    g_assert_cmpuint (running_time, ==, timestamp - segment.start);
  }
  gst_harness_teardown (h);
}

static void
test_new_segment_ends_the_choice (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  GstSegment segment;

  g_object_set (h->element, "count", 1, NULL);
  for (guint i = 0; i < 25; i++)
    push (h, PATTERN_TEXTURE, 1, i);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = GST_SECOND;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 1);
  /* The same segment once more says nothing new. */
  for (guint i = 0; i < 10; i++)
    push (h, PATTERN_TEXTURE, 1, i);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 1);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 2);
  gst_harness_teardown (h);
}

static void
test_caps_change (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  static const guint widths[] = {320, 160};

  g_object_set (h->element, "count", 2, NULL);
  for (guint i = 0; i < 50; i++)
    push (h, PATTERN_TEXTURE, 1, i);
  set_caps (h, "NV12", 160, 90);
  for (guint i = 50; i < 100; i++)
    g_assert_cmpint (gst_harness_push (h, make_frame ("NV12", 160, 90, PATTERN_TEXTURE, 2, i * FRAME, FRAME)), ==,
                     GST_FLOW_OK);
  gst_harness_push_event (h, gst_event_new_eos ());
  /* Each frame comes after the caps it is of. */
  for (guint k = 0; k < 2; k++) {
    GstBuffer *buffer = gst_harness_try_pull (h);

    g_assert_nonnull (buffer);
    g_assert_cmpuint (gst_buffer_get_size (buffer), ==, widths[k] * widths[k] * 9 / 16 * 3 / 2);
    gst_buffer_unref (buffer);
  }
  {
    g_autoptr (GstCaps) caps = gst_pad_get_current_caps (h->sinkpad);
    int width;

    gst_structure_get_int (gst_caps_get_structure (caps, 0), "width", &width);
    g_assert_cmpint (width, ==, 160);
  }
  gst_harness_teardown (h);
}

static void
test_formats (gconstpointer data)
{
  const char *format = data;
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = harness_new_with_bus ("bestframe", &bus);
  GstVideoInfo info;
  GstBuffer *buffer;

  {
    g_autofree char *caps = make_caps_string (format, 33, 17, "interlace-mode=interleaved");

    gst_harness_set_src_caps_str (h, caps);
  }
  gst_video_info_set_interlaced_format (&info, gst_video_format_from_string (format),
                                        GST_VIDEO_INTERLACE_MODE_INTERLEAVED, 33, 17);
  g_object_set (h->element, "count", 1, NULL);
  for (guint i = 0; i < 30; i++) {
    buffer = gst_buffer_new_allocate (NULL, info.size, NULL);
    gst_buffer_memset (buffer, 0, (guint8)(i * 7), info.size);
    GST_BUFFER_PTS (buffer) = i * FRAME;
    g_assert_cmpint (gst_harness_push (h, buffer), ==, GST_FLOW_OK);
  }
  gst_harness_push_event (h, gst_event_new_eos ());
  buffer = gst_harness_try_pull (h);
  g_assert_nonnull (buffer);
  g_assert_cmpuint (gst_buffer_get_size (buffer), ==, info.size);
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
}

/* Upstream's buffers are back in their pool although frames are kept. */
static void
test_no_buffer_of_upstream_is_held (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  GstBuffer *buffers[50];

  for (guint i = 0; i < 50; i++) {
    buffers[i] = make_frame ("I420", 320, 180, PATTERN_TEXTURE, i, i * FRAME, FRAME);
    g_assert_cmpint (gst_harness_push (h, gst_buffer_ref (buffers[i])), ==, GST_FLOW_OK);
  }
  for (guint i = 0; i < 50; i++) {
    g_assert_cmpint (GST_MINI_OBJECT_REFCOUNT_VALUE (buffers[i]), ==, 1);
    gst_buffer_unref (buffers[i]);
  }
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  static const char *const formats[] = {"I420",      "NV12",      "Y444", "GRAY8", "RGB",  "BGRA",      "YUY2",
                                        "I420_10LE", "P010_10LE", "A420", "AYUV",  "Y410", "GRAY16_LE", "v210"};

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (planted_cases); i++) {
    g_autofree char *path =
        g_strdup_printf ("/thumbnail/bestframe/no-frame-is-chosen-that-is/%s", planted_cases[i].name);

    g_test_add_data_func (path, &planted_cases[i], test_planted);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *path = g_strdup_printf ("/thumbnail/bestframe/format/%s", formats[i]);

    g_test_add_data_func (path, formats[i], test_formats);
  }
  g_test_add_func ("/thumbnail/bestframe/frames-come-in-the-order-of-time", test_frames_in_order_of_time);
  g_test_add_func ("/thumbnail/bestframe/a-single-black-frame-is-given", test_one_frame);
  g_test_add_func ("/thumbnail/bestframe/no-frame-gives-none", test_no_frame);
  g_test_add_func ("/thumbnail/bestframe/a-window-is-pushed-when-it-is-over", test_window_mode_pushes_as_it_goes);
  g_test_add_func ("/thumbnail/bestframe/a-minimum-score-leaves-the-least-bad-frame", test_min_score_leaves_one);
  g_test_add_func ("/thumbnail/bestframe/a-flush-starts-afresh", test_flush_starts_afresh);
  g_test_add_func ("/thumbnail/bestframe/positions-are-stream-time", test_positions_are_stream_time);
  g_test_add_func ("/thumbnail/bestframe/a-new-segment-ends-the-choice", test_new_segment_ends_the_choice);
  g_test_add_func ("/thumbnail/bestframe/frames-follow-their-own-caps", test_caps_change);
  g_test_add_func ("/thumbnail/bestframe/no-buffer-of-upstream-is-held", test_no_buffer_of_upstream_is_held);
  return g_test_run ();
}
