/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shortcrop/cropscale.h"

#include <glib/gstdio.h>
#include <gst/check/gstharness.h>
#include <gst/video/navigation.h>
#include <gst/video/video.h>
#include <math.h>
#include <string.h>

#define FRAME (GST_SECOND / 25)

typedef struct {
  GstHarness *harness;
  GstBus *bus;
  GstVideoInfo info;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->harness = gst_harness_new ("shortcrop");
  f->bus = gst_bus_new ();
  gst_element_set_bus (f->harness->element, f->bus);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  gst_element_set_bus (f->harness->element, NULL);
  gst_harness_teardown (f->harness);
  gst_object_unref (f->bus);
}

static void
set_caps (Fixture *f, const char *fields)
{
  g_autofree char *text = g_strdup_printf ("video/x-raw, framerate=25/1, %s", fields);
  GstCaps *caps = gst_caps_from_string (text);

  g_assert_true (gst_video_info_from_caps (&f->info, caps));
  gst_harness_set_src_caps (f->harness, caps);
}

/* Grey, with a white bar of a tenth of the width around @bar (0..1); none below 0. */
static GstBuffer *
make_buffer (Fixture *f, guint number, double bar)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, f->info.size, NULL);
  GstVideoFrame frame;

  gst_buffer_memset (buffer, 0, 128, f->info.size);
  g_assert_true (gst_video_frame_map (&frame, &f->info, buffer, GST_MAP_WRITE));
  for (gint y = 0; bar >= 0 && y < f->info.height; y++) {
    guint8 *row = (guint8 *)GST_VIDEO_FRAME_COMP_DATA (&frame, 0) + y * GST_VIDEO_FRAME_COMP_STRIDE (&frame, 0);
    gint from = (gint)((bar - 0.05) * f->info.width), to = (gint)((bar + 0.05) * f->info.width);

    for (gint x = MAX (0, from); x < MIN (f->info.width, to); x++)
      row[x] = y / 8 % 2 ? 235 : 200;
  }
  gst_video_frame_unmap (&frame);
  GST_BUFFER_PTS (buffer) = number * FRAME;
  GST_BUFFER_DURATION (buffer) = FRAME;
  return buffer;
}

static void
push (Fixture *f, guint number, double bar)
{
  g_assert_cmpint (gst_harness_push (f->harness, make_buffer (f, number, bar)), ==, GST_FLOW_OK);
}

static void
end (Fixture *f)
{
  g_assert_true (gst_harness_push_event (f->harness, gst_event_new_eos ()));
}

static guint
pull_all (Fixture *f)
{
  GstBuffer *buffer;
  guint n = 0;

  while ((buffer = gst_harness_try_pull (f->harness))) {
    g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, n * FRAME);
    gst_buffer_unref (buffer);
    n++;
  }
  return n;
}

static void
assert_output (Fixture *f, int width, int height)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (f->harness->sinkpad);
  GstVideoInfo info;

  g_assert_nonnull (caps);
  g_assert_true (gst_video_info_from_caps (&info, caps));
  g_assert_cmpint (info.width, ==, width);
  g_assert_cmpint (info.height, ==, height);
  g_assert_cmpint (info.par_n, ==, info.par_d);
  g_assert_cmpint (info.fps_n, ==, 25);
}

typedef struct {
  const char *name;
  const char *caps;
  int aspect_n, aspect_d;
  int width, height;
} Size;

static const Size sizes[] = {
    {"tall-of-wide", "format=I420, width=1280, height=720", 9, 16, 406, 720},
    {"wide-of-tall", "format=NV12, width=360, height=640", 16, 9, 360, 202},
    {"square", "format=RGB, width=320, height=180", 1, 1, 180, 180},
    {"same-aspect", "format=I420, width=320, height=180", 16, 9, 320, 180},
    {"odd-size", "format=I420, width=321, height=181", 4, 5, 144, 182},
    {"narrow-pixels", "format=I420, width=720, height=576, pixel-aspect-ratio=8/9", 1, 1, 576, 576},
    {"wide-pixels", "format=Y444, width=720, height=576, pixel-aspect-ratio=16/11", 16, 9, 704, 396},
    {"grey", "format=GRAY8, width=64, height=36", 9, 16, 20, 36},
    {"tiny", "format=I420, width=4, height=2", 1, 1, 2, 2},
};

/* One frame is a film, too. */
static void
test_size (Fixture *f, gconstpointer data)
{
  const Size *size = data;

  gst_util_set_object_arg (G_OBJECT (f->harness->element), "aspect-ratio", "1/1");
  g_object_set (f->harness->element, "aspect-ratio", size->aspect_n, size->aspect_d, NULL);
  set_caps (f, size->caps);
  push (f, 0, -1);
  end (f);
  assert_output (f, size->width, size->height);
  g_assert_cmpuint (pull_all (f), ==, 1);
}

static void
test_downstream_decides (Fixture *f, gconstpointer data)
{
  gst_harness_set_sink_caps_str (f->harness, "video/x-raw, width=108, height=192");
  set_caps (f, "format=I420, width=320, height=180");
  push (f, 0, -1);
  end (f);
  assert_output (f, 108, 192);
}

static void
test_every_frame (Fixture *f, gconstpointer data)
{
  set_caps (f, "format=I420, width=320, height=180");
  for (guint i = 0; i < 40; i++)
    push (f, i, 0.5);
  end (f);
  g_assert_cmpuint (pull_all (f), ==, 40);
}

static void
test_no_hurry (Fixture *f, gconstpointer data)
{
  set_caps (f, "format=I420, width=320, height=180");
  for (guint i = 0; i < 12; i++)
    push (f, i, 0.5);
  g_assert_cmpuint (gst_harness_buffers_received (f->harness), ==, 0);
  for (guint i = 12; i < 20; i++)
    push (f, i, 0.5);
  /* Half a second is held. */
  g_assert_cmpuint (gst_harness_buffers_received (f->harness), ==, 7);
  g_assert_cmpuint (gst_harness_query_latency (f->harness), ==, 500 * GST_MSECOND);
}

static void
test_pass_through (Fixture *f, gconstpointer data)
{
  GstBuffer *in, *out;

  g_object_set (f->harness->element, "aspect-ratio", 16, 9, NULL);
  set_caps (f, "format=I420, width=320, height=180");
  in = gst_buffer_ref (make_buffer (f, 0, 0.3));
  g_assert_cmpint (gst_harness_push (f->harness, in), ==, GST_FLOW_OK);
  out = gst_harness_pull (f->harness);
  g_assert_true (in == out);
  gst_buffer_unref (in);
  gst_buffer_unref (out);
}

static GstBuffer *
crop_once (Fixture *f, double bar)
{
  push (f, 0, bar);
  end (f);
  return gst_harness_pull (f->harness);
}

static void
test_fixed (Fixture *f, gconstpointer data)
{
  g_autoptr (GstBuffer) out = NULL;
  GstMapInfo map;

  gst_util_set_object_arg (G_OBJECT (f->harness->element), "mode", "fixed");
  g_object_set (f->harness->element, "x", 0.8, NULL);
  set_caps (f, "format=I420, width=320, height=180");
  out = crop_once (f, 0.8);
  g_assert_true (gst_buffer_map (out, &map, GST_MAP_READ));
  /* The bar is in the middle, and nothing is at the sides. */
  g_assert_cmpuint (map.data[51], >=, 195);
  g_assert_cmpuint (map.data[2], ==, 128);
  g_assert_cmpuint (map.data[98], ==, 128);
  gst_buffer_unmap (out, &map);
}

static void
test_controlled (Fixture *f, gconstpointer data)
{
  g_assert_true (g_object_class_find_property (G_OBJECT_GET_CLASS (f->harness->element), "x")->flags &
                 GST_PARAM_CONTROLLABLE);
  gst_util_set_object_arg (G_OBJECT (f->harness->element), "mode", "fixed");
  g_object_set (f->harness->element, "aspect-ratio", 16, 9, "zoom", 2.0, "x", 0.25, "y", 0.25, NULL);
  set_caps (f, "format=I420, width=320, height=180");
  push (f, 0, 0.25);
  assert_output (f, 320, 180);
  g_assert_cmpuint (gst_harness_buffers_received (f->harness), ==, 1);
}

static const GstStructure *
next_message (Fixture *f, GstMessage **message)
{
  while ((*message = gst_bus_pop_filtered (f->bus, GST_MESSAGE_ELEMENT))) {
    if (gst_message_has_name (*message, "shortcrop"))
      return gst_message_get_structure (*message);
    gst_message_unref (*message);
  }
  return NULL;
}

/* A subject that crosses the picture: the crop keeps it, without a jump. */
static void
test_follows (Fixture *f, gconstpointer data)
{
  GstMessage *message;
  const GstStructure *structure;
  double before = -1;
  guint n = 0;

  g_object_set (f->harness->element, "interval", G_GUINT64_CONSTANT (0), NULL);
  set_caps (f, "format=I420, width=320, height=180");
  for (guint i = 0; i < 150; i++)
    push (f, i, 0.2 + 0.6 * CLAMP ((i - 25.0) / 100, 0, 1));
  end (f);
  while ((structure = next_message (f, &message))) {
    double x, width, bar = 320 * (0.2 + 0.6 * CLAMP ((n - 25.0) / 100, 0, 1));

    g_assert_true (gst_structure_get (structure, "x", G_TYPE_DOUBLE, &x, "width", G_TYPE_DOUBLE, &width, NULL));
    g_assert_cmpfloat (x, >=, 0);
    g_assert_cmpfloat (x + width, <=, 320.001);
    if (n > 40) {
      g_assert_cmpfloat (bar, >, x);
      g_assert_cmpfloat (bar, <, x + width);
      g_assert_cmpfloat (fabs (x - before), <=, 320 * 0.6 / 25 + 0.01);
    }
    before = x;
    n++;
    gst_message_unref (message);
  }
  g_assert_cmpuint (n, ==, 150);
}

static void
test_stands (Fixture *f, gconstpointer data)
{
  GstMessage *message;
  const GstStructure *structure;

  g_object_set (f->harness->element, "interval", G_GUINT64_CONSTANT (0), NULL);
  set_caps (f, "format=I420, width=320, height=180");
  for (guint i = 0; i < 60; i++)
    push (f, i, -1);
  end (f);
  while ((structure = next_message (f, &message))) {
    double x, width;

    g_assert_true (gst_structure_get (structure, "x", G_TYPE_DOUBLE, &x, "width", G_TYPE_DOUBLE, &width, NULL));
    g_assert_cmpfloat_with_epsilon (x + width / 2, 160, 1e-6);
    gst_message_unref (message);
  }
}

static void
add_region (GstBuffer *buffer, guint x)
{
  GstVideoRegionOfInterestMeta *roi = gst_buffer_add_video_region_of_interest_meta (buffer, "face", x, 60, 40, 40);

  gst_video_region_of_interest_meta_add_param (roi,
                                               gst_structure_new ("detection", "confidence", G_TYPE_DOUBLE, 0.9, NULL));
}

static guint
count_regions (GstBuffer *buffer, GstVideoRegionOfInterestMeta **first)
{
  gpointer position = NULL;
  GstMeta *meta;
  guint n = 0;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &position, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    if (n++ == 0)
      *first = (GstVideoRegionOfInterestMeta *)meta;
  }
  return n;
}

static void
test_regions (Fixture *f, gconstpointer data)
{
  GstVideoRegionOfInterestMeta *roi = NULL;
  GstBuffer *buffer;
  g_autoptr (GstBuffer) out = NULL;

  gst_util_set_object_arg (G_OBJECT (f->harness->element), "mode", "fixed");
  gst_harness_set_sink_caps_str (f->harness, "video/x-raw, width=180, height=360");
  set_caps (f, "format=I420, width=320, height=180");
  buffer = make_buffer (f, 0, -1);
  add_region (buffer, 140);
  add_region (buffer, 0);
  gst_buffer_add_video_caption_meta (buffer, GST_VIDEO_CAPTION_TYPE_CEA708_RAW, (const guint8 *)"abc", 3);
  g_assert_cmpint (gst_harness_push (f->harness, buffer), ==, GST_FLOW_OK);
  out = gst_harness_pull (f->harness);
  g_assert_cmpuint (count_regions (out, &roi), ==, 1);
  /* Twice as large, from the crop's corner at 115,0 on. */
  g_assert_cmpuint (roi->x, ==, 50);
  g_assert_cmpuint (roi->y, ==, 120);
  g_assert_cmpuint (roi->w, ==, 80);
  g_assert_cmpuint (roi->h, ==, 80);
  g_assert_nonnull (gst_video_region_of_interest_meta_get_param (roi, "detection"));
  g_assert_nonnull (gst_buffer_get_video_caption_meta (out));
}

/* A face in a still picture. */
static void
test_region_is_subject (Fixture *f, gconstpointer data)
{
  GstVideoRegionOfInterestMeta *roi = NULL;
  GstBuffer *out;

  set_caps (f, "format=I420, width=320, height=180");
  for (guint i = 0; i < 50; i++) {
    GstBuffer *buffer = make_buffer (f, i, -1);

    add_region (buffer, 20);
    g_assert_cmpint (gst_harness_push (f->harness, buffer), ==, GST_FLOW_OK);
  }
  end (f);
  while ((out = gst_harness_try_pull (f->harness))) {
    g_assert_cmpuint (count_regions (out, &roi), ==, 1);
    g_assert_cmpuint (roi->w, ==, 40);
    gst_buffer_unref (out);
  }
}

static void
test_navigation (Fixture *f, gconstpointer data)
{
  GstEvent *event;
  double x = 0, y = 0;

  gst_util_set_object_arg (G_OBJECT (f->harness->element), "mode", "fixed");
  gst_harness_set_sink_caps_str (f->harness, "video/x-raw, width=180, height=360");
  set_caps (f, "format=I420, width=320, height=180");
  push (f, 0, -1);
  gst_harness_push_upstream_event (f->harness, gst_navigation_event_new_mouse_move (50, 120, 0));
  while ((event = gst_harness_try_pull_upstream_event (f->harness))) {
    if (GST_EVENT_TYPE (event) == GST_EVENT_NAVIGATION)
      g_assert_true (gst_navigation_event_get_coordinates (event, &x, &y));
    gst_event_unref (event);
  }
  g_assert_cmpfloat_with_epsilon (x, 140, 0.01);
  g_assert_cmpfloat_with_epsilon (y, 60, 0.01);
}

static void
test_new_caps (Fixture *f, gconstpointer data)
{
  set_caps (f, "format=I420, width=320, height=180");
  for (guint i = 0; i < 5; i++)
    push (f, i, 0.5);
  set_caps (f, "format=I420, width=640, height=360");
  g_assert_cmpuint (gst_harness_buffers_received (f->harness), ==, 5);
  push (f, 5, 0.5);
  end (f);
  assert_output (f, 202, 360);
  g_assert_cmpuint (pull_all (f), ==, 6);
}

static void
test_flush (Fixture *f, gconstpointer data)
{
  GstSegment segment;

  set_caps (f, "format=I420, width=320, height=180");
  for (guint i = 0; i < 5; i++)
    push (f, i, 0.5);
  g_assert_true (gst_harness_push_event (f->harness, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (f->harness, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_true (gst_harness_push_event (f->harness, gst_event_new_segment (&segment)));
  push (f, 0, 0.5);
  end (f);
  g_assert_cmpuint (pull_all (f), ==, 1);
}

/* Two shots, of which a `shotdetect` upstream would tell. */
static void
test_path (Fixture *f, gconstpointer data)
{
  g_autofree char *directory = g_dir_make_tmp ("derush-crop-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "in.json", NULL);
  g_autofree char *copy = g_build_filename (directory, "out.json", NULL);
  g_autofree char *contents = NULL;
  GstMessage *message;
  const GstStructure *structure;
  guint n = 0;

  g_assert_true (g_file_set_contents (path,
                                      "{\"version\":1,\"source\":{\"width\":640,\"height\":360},\"keyframes\":["
                                      "{\"time\":0,\"x\":0,\"y\":0,\"width\":202.5,\"height\":360},"
                                      "{\"time\":0.4,\"x\":100,\"y\":0,\"width\":202.5,\"height\":360},"
                                      "{\"time\":0.4,\"x\":400,\"y\":0,\"width\":202.5,\"height\":360}]}",
                                      -1, NULL));
  gst_harness_teardown (f->harness);
  f->harness = gst_harness_new_parse ("shortcrop name=crop interval=0");
  gst_element_set_bus (f->harness->element, f->bus);
  gst_element_set_state (f->harness->element, GST_STATE_NULL);
  gst_child_proxy_set (GST_CHILD_PROXY (f->harness->element), "crop::path", path, "crop::path-location", copy, NULL);
  gst_harness_play (f->harness);
  set_caps (f, "format=I420, width=320, height=180");
  for (guint i = 0; i < 20; i++)
    push (f, i, -1);
  end (f);
  while ((structure = next_message (f, &message))) {
    gboolean new_shot;
    double x;

    g_assert_true (gst_structure_get (structure, "x", G_TYPE_DOUBLE, &x, "new-shot", G_TYPE_BOOLEAN, &new_shot, NULL));
    g_assert_cmpfloat_with_epsilon (x, n < 10 ? n * 5.0 : 200, 1);
    g_assert_cmpint (new_shot, ==, n == 0 || n == 10);
    n++;
    gst_message_unref (message);
  }
  g_assert_cmpuint (n, ==, 20);
  g_assert_true (g_file_get_contents (copy, &contents, NULL, NULL));
  g_test_message ("%s", contents);
  g_assert_nonnull (strstr (contents, "\"width\": 320"));
  g_unlink (path);
  g_unlink (copy);
  g_rmdir (directory);
}

static void
test_no_path (void)
{
  g_autoptr (GstElement) element = gst_element_factory_make ("shortcrop", NULL);

  g_object_set (element, "path", "/nonexistent/crop.json", NULL);
  gst_element_set_state (element, GST_STATE_READY);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
  gst_element_set_state (element, GST_STATE_NULL);
}

/* ── The scaler ─────────────────────────────────────────────────────────── */

static GstBuffer *
scale (const GstVideoInfo *in_info, GstBuffer *in, const GstVideoInfo *out_info, double x, double width)
{
  g_autoptr (CropScaler) scaler = crop_scaler_new ();
  GstBuffer *out = gst_buffer_new_allocate (NULL, out_info->size, NULL);
  GstVideoFrame from, to;

  g_assert_true (gst_video_frame_map (&from, in_info, in, GST_MAP_READ));
  g_assert_true (gst_video_frame_map (&to, out_info, out, GST_MAP_WRITE));
  crop_scaler_run (scaler, &from, &to, x, 0, width, in_info->height);
  gst_video_frame_unmap (&from);
  gst_video_frame_unmap (&to);
  return out;
}

/* A ramp of luma shows where a sample was taken from. */
static void
test_between_pixels (void)
{
  g_autoptr (GstBuffer) in = NULL, out = NULL;
  GstVideoInfo in_info, out_info;
  GstMapInfo map;

  gst_video_info_set_format (&in_info, GST_VIDEO_FORMAT_GRAY8, 64, 16);
  gst_video_info_set_format (&out_info, GST_VIDEO_FORMAT_GRAY8, 16, 16);
  in = gst_buffer_new_allocate (NULL, in_info.size, NULL);
  g_assert_true (gst_buffer_map (in, &map, GST_MAP_WRITE));
  for (guint i = 0; i < map.size; i++)
    map.data[i] = (guint8)(i % 64 * 4);
  gst_buffer_unmap (in, &map);
  for (guint quarter = 0; quarter < 4; quarter++) {
    out = scale (&in_info, in, &out_info, 10 + quarter / 4.0, 16);
    g_assert_true (gst_buffer_map (out, &map, GST_MAP_READ));
    for (guint x = 0; x < 16; x++)
      g_assert_cmpint (abs (map.data[x] - (int)(4 * (10 + x) + quarter)), <=, 1);
    gst_buffer_unmap (out, &map);
    gst_clear_buffer (&out);
  }
}

/* Lines of one pixel become grey, not stripes. */
static void
test_no_aliasing (void)
{
  g_autoptr (GstBuffer) in = NULL, out = NULL;
  GstVideoInfo in_info, out_info;
  GstMapInfo map;

  gst_video_info_set_format (&in_info, GST_VIDEO_FORMAT_GRAY8, 300, 30);
  gst_video_info_set_format (&out_info, GST_VIDEO_FORMAT_GRAY8, 100, 10);
  in = gst_buffer_new_allocate (NULL, in_info.size, NULL);
  g_assert_true (gst_buffer_map (in, &map, GST_MAP_WRITE));
  for (guint i = 0; i < map.size; i++)
    map.data[i] = i % 2 ? 255 : 0;
  gst_buffer_unmap (in, &map);
  out = scale (&in_info, in, &out_info, 0, 300);
  g_assert_true (gst_buffer_map (out, &map, GST_MAP_READ));
  for (guint x = 4; x < 96; x++)
    g_assert_cmpint (abs (map.data[x] - 128), <, 16);
  gst_buffer_unmap (out, &map);
}

/* A flat picture stays flat in every format, size and place. */
static void
test_flat (void)
{
  static const GstVideoFormat formats[] = {
      GST_VIDEO_FORMAT_I420, GST_VIDEO_FORMAT_NV12, GST_VIDEO_FORMAT_NV21,
      GST_VIDEO_FORMAT_Y42B, GST_VIDEO_FORMAT_Y444, GST_VIDEO_FORMAT_AYUV,
      GST_VIDEO_FORMAT_RGB,  GST_VIDEO_FORMAT_BGRA, GST_VIDEO_FORMAT_GRAY8,
  };

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    for (guint size = 1; size < 40; size += 3) {
      g_autoptr (GstBuffer) in = NULL, out = NULL;
      GstVideoInfo in_info, out_info;
      GstVideoFrame frame;

      gst_video_info_set_format (&in_info, formats[i], size, 20);
      gst_video_info_set_format (&out_info, formats[i], 23, size);
      in = gst_buffer_new_allocate (NULL, in_info.size, NULL);
      gst_buffer_memset (in, 0, 77, in_info.size);
      out = scale (&in_info, in, &out_info, size / 3.0, size / 2.0);
      g_assert_true (gst_video_frame_map (&frame, &out_info, out, GST_MAP_READ));
      for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&frame); c++) {
        for (gint y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT (&frame, c); y++) {
          const guint8 *row =
              (guint8 *)GST_VIDEO_FRAME_COMP_DATA (&frame, c) + y * GST_VIDEO_FRAME_COMP_STRIDE (&frame, c);

          for (gint x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH (&frame, c); x++)
            g_assert_cmpuint (row[x * GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c)], ==, 77);
        }
      }
      gst_video_frame_unmap (&frame);
    }
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define add(name, func) g_test_add (name, Fixture, NULL, set_up, func, tear_down)
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree char *path = g_strdup_printf ("/shortcrop/size/%s", sizes[i].name);

    g_test_add (path, Fixture, &sizes[i], set_up, test_size, tear_down);
  }
  add ("/shortcrop/downstream-decides-the-size", test_downstream_decides);
  add ("/shortcrop/every-frame-comes-out", test_every_frame);
  add ("/shortcrop/the-lookahead-is-held-and-reported", test_no_hurry);
  add ("/shortcrop/the-same-size-passes-through", test_pass_through);
  add ("/shortcrop/a-fixed-crop-is-where-it-was-put", test_fixed);
  add ("/shortcrop/zoom-at-the-same-size", test_controlled);
  add ("/shortcrop/the-crop-follows-its-subject", test_follows);
  add ("/shortcrop/the-crop-stands-when-nothing-happens", test_stands);
  add ("/shortcrop/regions-are-moved-and-captions-kept", test_regions);
  add ("/shortcrop/a-region-is-a-subject", test_region_is_subject);
  add ("/shortcrop/navigation-finds-its-way-back", test_navigation);
  add ("/shortcrop/new-caps-in-the-middle", test_new_caps);
  add ("/shortcrop/a-flush-drops-what-is-held", test_flush);
  add ("/shortcrop/a-path-is-followed-and-written", test_path);
  g_test_add_func ("/shortcrop/a-missing-path-is-an-error", test_no_path);
  g_test_add_func ("/shortcrop/scaler/positions-lie-between-pixels", test_between_pixels);
  g_test_add_func ("/shortcrop/scaler/fine-lines-do-not-alias", test_no_aliasing);
  g_test_add_func ("/shortcrop/scaler/a-flat-picture-stays-flat", test_flat);
  return g_test_run ();
}
