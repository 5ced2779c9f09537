/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "frames.h"

#include <glib/gstdio.h>
#include <string.h>

#define FRAME (GST_SECOND / 25)

static GstHarness *
new_harness (GstBus **bus, guint width, guint height, const char *rest)
{
  GstHarness *h = harness_new_with_bus ("spritesheet", bus);
  g_autofree char *caps = make_caps_string ("I420", width, height, rest);

  gst_harness_set_sink_caps_str (h, "video/x-raw,format=RGB");
  g_object_set (h->element, "columns", 3, "rows", 2, "tile-width", 32, "interval", GST_SECOND, NULL);
  gst_harness_set_src_caps_str (h, caps);
  return h;
}

static void
push_plain (GstHarness *h, guint width, guint height, guint luma, GstClockTime pts)
{
  g_assert_cmpint (gst_harness_push (h, make_frame ("I420", width, height, PATTERN_PLAIN, luma, pts, FRAME)), ==,
                   GST_FLOW_OK);
}

static void
page_size (GstHarness *h, guint *width, guint *height)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (h->sinkpad);
  GstVideoInfo info;

  g_assert_true (gst_video_info_from_caps (&info, caps));
  g_assert_cmpint (info.par_n, ==, info.par_d);
  g_assert_cmpint (info.fps_n, ==, 0);
  *width = (guint)info.width;
  *height = (guint)info.height;
}

static guint8
pixel (GstBuffer *page, guint width, guint x, guint y)
{
  guint8 value;

  /* The widths of the tests are multiples of the stride's unit of four bytes. */
  g_assert_cmpuint (width % 4, ==, 0);
  g_assert_cmpuint (gst_buffer_extract (page, (y * width + x) * 3, &value, 1), ==, 1);
  return value;
}

/* Luma of video range becomes RGB of full range. */
static void
assert_grey (guint8 value, guint luma)
{
  gint expected = (gint)((luma - 16) * 255 / 219);

  g_assert_cmpint (value, >=, expected - 2);
  g_assert_cmpint (value, <=, expected + 2);
}

static void
test_tiles_in_rows (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, 64, 36, "");
  g_autoptr (GPtrArray) messages = NULL;
  GstBuffer *page;
  guint width, height;

  /* Eight seconds; only the first frame of a second may be shown. */
  for (guint i = 0; i < 8 * 25; i++)
    push_plain (h, 64, 36, i % 25 == 0 ? 40 + i / 25 * 20 : 235, i * FRAME);
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 1);
  page = gst_harness_try_pull (h);
  page_size (h, &width, &height);
  g_assert_cmpuint (width, ==, 96);
  g_assert_cmpuint (height, ==, 36);
  g_assert_cmpuint (GST_BUFFER_PTS (page), ==, 0);
  for (guint k = 0; k < 6; k++) {
    for (guint corner = 0; corner < 4; corner++)
      assert_grey (pixel (page, width, k % 3 * 32 + (corner & 1) * 31, k / 3 * 18 + (corner >> 1) * 17), 40 + k * 20);
  }
  gst_buffer_unref (page);

  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  g_assert_nonnull (page);
  page_size (h, &width, &height);
  g_assert_cmpuint (width, ==, 96);
  g_assert_cmpuint (height, ==, 18);
  g_assert_cmpuint (GST_BUFFER_PTS (page), ==, 6 * GST_SECOND);
  assert_grey (pixel (page, width, 5, 5), 160);
  assert_grey (pixel (page, width, 37, 5), 180);
  g_assert_cmpuint (pixel (page, width, 70, 5), ==, 0);
  gst_buffer_unref (page);
  g_assert_null (gst_harness_try_pull (h));

  messages = take_messages (bus, "spritesheet");
  g_assert_cmpuint (messages->len, ==, 8);
  for (guint k = 0; k < 8; k++) {
    guint64 timestamp, stream_time, running_time, duration;
    guint index, number, x, y, tile_width, tile_height;

    g_assert_true (gst_structure_get (
        g_ptr_array_index (messages, k), "timestamp", GST_TYPE_CLOCK_TIME, &timestamp, "stream-time",
        GST_TYPE_CLOCK_TIME, &stream_time, "running-time", GST_TYPE_CLOCK_TIME, &running_time, "duration",
        GST_TYPE_CLOCK_TIME, &duration, "index", G_TYPE_UINT, &index, "page", G_TYPE_UINT, &number, "x", G_TYPE_UINT,
        &x, "y", G_TYPE_UINT, &y, "width", G_TYPE_UINT, &tile_width, "height", G_TYPE_UINT, &tile_height, NULL));
    g_assert_cmpuint (timestamp, ==, k * GST_SECOND);
    g_assert_cmpuint (stream_time, ==, k * GST_SECOND);
    g_assert_cmpuint (running_time, ==, k * GST_SECOND);
    g_assert_cmpuint (duration, ==, GST_SECOND);
    g_assert_cmpuint (index, ==, k);
    g_assert_cmpuint (number, ==, k / 6);
    g_assert_cmpuint (x, ==, k % 3 * 32);
    g_assert_cmpuint (y, ==, k % 6 / 3 * 18);
    g_assert_cmpuint (tile_width, ==, 32);
    g_assert_cmpuint (tile_height, ==, 18);
  }
  gst_harness_teardown (h);
}

static void
test_needs_no_property (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = harness_new_with_bus ("spritesheet", &bus);
  GstBuffer *page;
  guint width, height;

  gst_harness_set_src_caps_str (h, "video/x-raw,format=I420,width=640,height=360,framerate=25/1");
  push_plain (h, 640, 360, 100, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  g_assert_nonnull (page);
  page_size (h, &width, &height);
  g_assert_cmpuint (width, ==, 1600);
  g_assert_cmpuint (height, ==, 90);
  gst_buffer_unref (page);
  gst_harness_teardown (h);
}

typedef struct {
  const char *name;
  guint width, height;
  const char *rest;
  guint page_width, page_height;
} ShapeCase;

static const ShapeCase shape_cases[] = {
    {"wide", 64, 36, "", 96, 18},
    {"odd", 33, 19, "", 96, 18},
    {"upright", 36, 64, "", 96, 56},
    {"anamorphic", 36, 36, "pixel-aspect-ratio=16/9", 96, 18},
    {"interlaced", 64, 36, "interlace-mode=interleaved", 96, 18},
    {"one-pixel", 1, 1, "", 96, 32},
};

static void
test_shapes (gconstpointer data)
{
  const ShapeCase *c = data;
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, c->width, c->height, c->rest);
  GstBuffer *page;
  guint width, height;

  push_plain (h, c->width, c->height, 120, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  g_assert_nonnull (page);
  page_size (h, &width, &height);
  g_assert_cmpuint (width, ==, c->page_width);
  g_assert_cmpuint (height, ==, c->page_height);
  assert_grey (pixel (page, width, 1, height / 2), 120);
  assert_grey (pixel (page, width, 30, height - 1), 120);
  gst_buffer_unref (page);
  gst_harness_teardown (h);
}

static void
test_a_tile_height_letterboxes (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, 64, 32, "");
  GstBuffer *page;
  guint width, height;

  g_object_set (h->element, "tile-height", 32, NULL);
  /* Sizes are read when the caps come. */
  gst_harness_set_src_caps_str (h, "video/x-raw,format=I420,width=64,height=32,framerate=24/1");
  push_plain (h, 64, 32, 200, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  page_size (h, &width, &height);
  g_assert_cmpuint (height, ==, 32);
  g_assert_cmpuint (pixel (page, width, 16, 3), ==, 0);
  assert_grey (pixel (page, width, 16, 16), 200);
  g_assert_cmpuint (pixel (page, width, 16, 28), ==, 0);
  gst_buffer_unref (page);
  gst_harness_teardown (h);
}

static void
test_page_formats (gconstpointer data)
{
  const char *format = data;
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = harness_new_with_bus ("spritesheet", &bus);
  g_autofree char *caps = g_strdup_printf ("video/x-raw,format=%s", format);
  GstBuffer *page;
  GstVideoInfo info;
  GstVideoFrame frame;

  gst_harness_set_sink_caps_str (h, caps);
  g_object_set (h->element, "columns", 3, "rows", 2, "tile-width", 30, "interval", GST_SECOND, NULL);
  gst_harness_set_src_caps_str (h, "video/x-raw,format=I420,width=64,height=36,framerate=25/1");
  for (guint i = 0; i < 4; i++)
    push_plain (h, 64, 36, 60 + i * 40, i * GST_SECOND);
  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  g_assert_nonnull (page);
  {
    g_autoptr (GstCaps) page_caps = gst_pad_get_current_caps (h->sinkpad);

    g_assert_true (gst_video_info_from_caps (&info, page_caps));
  }
  g_assert_cmpstr (gst_video_format_to_string (GST_VIDEO_INFO_FORMAT (&info)), ==, format);
  g_assert_true (gst_video_frame_map (&frame, &info, page, GST_MAP_READ));
  for (guint k = 0; k < 6; k++) {
    guint x = k % 3 * 30 + 15, y = k / 3 * 16 + 8;

    for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&frame); c++) {
      guint cx = (guint)GST_VIDEO_FORMAT_INFO_SCALE_WIDTH (info.finfo, c, x);
      guint cy = (guint)GST_VIDEO_FORMAT_INFO_SCALE_HEIGHT (info.finfo, c, y);
      guint8 value =
          ((guint8 *)GST_VIDEO_FRAME_COMP_DATA (&frame, c))[cy * (guint)GST_VIDEO_FRAME_COMP_STRIDE (&frame, c) +
                                                            cx * (guint)GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c)];

      if (c == 3)
        continue;
      if (GST_VIDEO_INFO_IS_YUV (&info) && c > 0)
        g_assert_cmpint (ABS (value - 128), <=, 1);
      else if (GST_VIDEO_INFO_IS_YUV (&info))
        g_assert_cmpint (ABS (value - (k < 4 ? (gint)(60 + k * 40) : 16)), <=, 1);
      else if (k < 4)
        assert_grey (value, 60 + k * 40);
      else
        g_assert_cmpint (value, ==, 0);
    }
  }
  gst_video_frame_unmap (&frame);
  gst_buffer_unref (page);
  gst_harness_teardown (h);
}

/* As JPEG wants it. */
static void
test_full_range (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = harness_new_with_bus ("spritesheet", &bus);
  static const guint lumas[] = {16, 126, 235};
  GstBuffer *page;

  gst_harness_set_sink_caps_str (h, "video/x-raw,format=I420,colorimetry=1:4:0:1");
  g_object_set (h->element, "columns", 4, "rows", 1, "tile-width", 32, "interval", GST_SECOND, NULL);
  gst_harness_set_src_caps_str (h, "video/x-raw,format=I420,width=64,height=36,framerate=25/1");
  for (guint i = 0; i < 3; i++)
    push_plain (h, 64, 36, lumas[i], i * GST_SECOND);
  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  g_assert_nonnull (page);
  for (guint i = 0; i < 3; i++) {
    guint8 value;

    gst_buffer_extract (page, 8 * 128 + i * 32 + 16, &value, 1);
    assert_grey (value, lumas[i]);
  }
  {
    guint8 unused;

    gst_buffer_extract (page, 8 * 128 + 3 * 32 + 16, &unused, 1);
    g_assert_cmpuint (unused, ==, 0);
  }
  gst_buffer_unref (page);
  gst_harness_teardown (h);
}

static void
test_caps_change_within_a_page (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, 64, 36, "");
  GstBuffer *page;
  guint width, height;

  push_plain (h, 64, 36, 60, 0);
  /* Another size of the same shape goes on the same page. */
  gst_harness_set_src_caps_str (h, "video/x-raw,format=I420,width=128,height=72,framerate=25/1");
  push_plain (h, 128, 72, 100, GST_SECOND);
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 0);
  /* Another shape begins a new page. */
  gst_harness_set_src_caps_str (h, "video/x-raw,format=I420,width=64,height=64,framerate=25/1");
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 1);
  page = gst_harness_try_pull (h);
  g_assert_cmpuint (gst_buffer_get_size (page), ==, 96 * 18 * 3);
  assert_grey (pixel (page, 96, 5, 5), 60);
  assert_grey (pixel (page, 96, 37, 5), 100);
  gst_buffer_unref (page);
  push_plain (h, 64, 64, 140, 2 * GST_SECOND);
  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  page_size (h, &width, &height);
  g_assert_cmpuint (height, ==, 32);
  assert_grey (pixel (page, width, 5, 5), 140);
  gst_buffer_unref (page);
  gst_harness_teardown (h);
}

static void
test_flush_starts_afresh (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, 64, 36, "");
  GstSegment segment;
  GstBuffer *page;

  push_plain (h, 64, 36, 60, 0);
  push_plain (h, 64, 36, 60, GST_SECOND);
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = segment.position = 30 * GST_SECOND;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push_plain (h, 64, 36, 200, 30 * GST_SECOND);
  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  g_assert_nonnull (page);
  g_assert_cmpuint (GST_BUFFER_PTS (page), ==, 30 * GST_SECOND);
  assert_grey (pixel (page, 96, 5, 5), 200);
  g_assert_cmpuint (pixel (page, 96, 37, 5), ==, 0);
  gst_buffer_unref (page);
  g_assert_null (gst_harness_try_pull (h));
  gst_harness_teardown (h);
}

static void
test_vtt (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *directory = g_dir_make_tmp ("derush-sheet-XXXXXX", &error);
  g_autofree char *path = g_build_filename (directory, "sheet.vtt", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, 64, 36, "");
  GstSegment segment;
  GstBuffer *page;

  g_assert_no_error (error);
  g_object_set (h->element, "vtt-location", path, "url-template", "p-%02u.png", NULL);
  /* A film that starts at 100 s and has no frame in its third and fourth second, as when key frames are rare. */
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.position = 100 * GST_SECOND;
  segment.stop = 106500 * GST_MSECOND;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push_plain (h, 64, 36, 60, 100040 * GST_MSECOND);
  push_plain (h, 64, 36, 60, 101200 * GST_MSECOND);
  push_plain (h, 64, 36, 60, 104900 * GST_MSECOND);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  gst_harness_push_event (h, gst_event_new_eos ());
  page = gst_harness_try_pull (h);
  g_assert_nonnull (page);
  gst_buffer_unref (page);
  g_assert_true (g_file_get_contents (path, &text, NULL, &error));
  g_assert_cmpstr (text, ==,
                   "WEBVTT\n"
                   "\n00:00:00.000 --> 00:00:01.000\np-00.png#xywh=0,0,32,18\n"
                   "\n00:00:01.000 --> 00:00:04.000\np-00.png#xywh=32,0,32,18\n"
                   "\n00:00:04.000 --> 00:00:06.500\np-00.png#xywh=64,0,32,18\n");
  gst_harness_teardown (h);
  g_remove (path);
  g_assert_cmpint (g_rmdir (directory), ==, 0); /* nothing else was left there */
}

/* An error message, and no page. */
static char *
take_error (GstBus *bus)
{
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  if (message == NULL)
    return NULL;
  gst_message_parse_error (message, &error, NULL);
  return g_strdup (error->message);
}

static void
test_too_wide_is_an_error (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, 64, 36, "");
  g_autofree char *error = NULL;

  g_object_set (h->element, "columns", 1000, NULL);
  gst_harness_push_event (
      h, gst_event_new_caps (gst_caps_from_string ("video/x-raw,format=I420,width=64,height=36,framerate=30/1")));
  error = take_error (bus);
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error, "16383"));
  gst_harness_teardown (h);
}

static void
test_unwritable_vtt_is_an_error (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, 64, 36, "");
  g_autofree char *error = NULL;

  g_object_set (h->element, "vtt-location", "/nonexistent/folder/sheet.vtt", NULL);
  push_plain (h, 64, 36, 60, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  error = take_error (bus);
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error, "/nonexistent/folder/sheet.vtt"));
  gst_harness_teardown (h);
}

static void
test_no_frame (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus, 64, 36, "");

  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  g_assert_null (gst_harness_try_pull (h));
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  static const char *const formats[] = {"RGB",  "BGR",  "RGBx", "xBGR", "RGBA", "ARGB",
                                        "I420", "YV12", "NV12", "Y42B", "Y444"};

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/thumbnail/spritesheet/tiles-stand-in-rows-and-the-last-page-is-cropped", test_tiles_in_rows);
  g_test_add_func ("/thumbnail/spritesheet/a-single-frame-without-any-property-gives-a-page", test_needs_no_property);
  for (gsize i = 0; i < G_N_ELEMENTS (shape_cases); i++) {
    g_autofree char *path = g_strdup_printf ("/thumbnail/spritesheet/display-aspect-is-kept/%s", shape_cases[i].name);

    g_test_add_data_func (path, &shape_cases[i], test_shapes);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *path = g_strdup_printf ("/thumbnail/spritesheet/page-format/%s", formats[i]);

    g_test_add_data_func (path, formats[i], test_page_formats);
  }
  g_test_add_func ("/thumbnail/spritesheet/a-page-of-full-range", test_full_range);
  g_test_add_func ("/thumbnail/spritesheet/a-tile-height-letterboxes", test_a_tile_height_letterboxes);
  g_test_add_func ("/thumbnail/spritesheet/a-caps-change-ends-a-page-only-if-the-shape-changes",
                   test_caps_change_within_a_page);
  g_test_add_func ("/thumbnail/spritesheet/a-flush-starts-afresh", test_flush_starts_afresh);
  g_test_add_func ("/thumbnail/spritesheet/cues-are-contiguous-and-end-with-the-film", test_vtt);
  g_test_add_func ("/thumbnail/spritesheet/too-wide-a-page-is-an-error", test_too_wide_is_an_error);
  g_test_add_func ("/thumbnail/spritesheet/an-unwritable-vtt-file-is-an-error", test_unwritable_vtt_is_an_error);
  g_test_add_func ("/thumbnail/spritesheet/no-frame-gives-no-page", test_no_frame);
  return g_test_run ();
}
