/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "frames.h"

#include <string.h>

char *
make_caps_string (const char *format, guint width, guint height, const char *rest)
{
  return g_strdup_printf ("video/x-raw,format=%s,width=%u,height=%u,framerate=25/1%s%s", format, width, height,
                          *rest != '\0' ? "," : "", rest);
}

static guint8
luma_at (Pattern pattern, guint variant, guint x, guint y)
{
  switch (pattern) {
  case PATTERN_TEXTURE:
    return (guint8)(30 + ((x / 3 * 7 + y / 3 * 13 + variant * 29) * (variant + 5) * 37) % 190);
  case PATTERN_BLURRED:
    return (guint8)(60 + (x + y + variant * 31) / 2 % 128);
  case PATTERN_BLACK:
    return 16;
  case PATTERN_BLOWN_OUT:
    return 235;
  case PATTERN_PLAIN:
  default:
    return (guint8)variant;
  }
}

GstBuffer *
make_frame (const char *format, guint width, guint height, Pattern pattern, guint variant, GstClockTime pts,
            GstClockTime duration)
{
  GstVideoInfo info;
  GstBuffer *buffer;
  GstVideoFrame frame;
  gboolean grey = pattern != PATTERN_TEXTURE && pattern != PATTERN_BLURRED;

  g_assert_true (gst_video_info_set_format (&info, gst_video_format_from_string (format), width, height));
  buffer = gst_buffer_new_allocate (NULL, info.size, NULL);
  g_assert_true (gst_video_frame_map (&frame, &info, buffer, GST_MAP_WRITE));
  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&frame); c++) {
    for (guint y = 0; y < (guint)GST_VIDEO_FRAME_COMP_HEIGHT (&frame, c); y++) {
      guint8 *row =
          (guint8 *)GST_VIDEO_FRAME_COMP_DATA (&frame, c) + y * (guint)GST_VIDEO_FRAME_COMP_STRIDE (&frame, c);

      for (guint x = 0; x < (guint)GST_VIDEO_FRAME_COMP_WIDTH (&frame, c); x++)
        row[x * (guint)GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c)] =
            c == 0 || !GST_VIDEO_FORMAT_INFO_IS_YUV (info.finfo) ? luma_at (pattern, variant, x, y)
            : grey                                               ? 128
                   : (guint8)(80 + (x / 8 + y / 8 + c * variant) % 6 * 16);
    }
  }
  gst_video_frame_unmap (&frame);
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = duration;
  return buffer;
}

GstHarness *
harness_new_with_bus (const char *element, GstBus **bus)
{
  GstHarness *h = gst_harness_new (element);

  *bus = gst_bus_new ();
  gst_element_set_bus (h->element, *bus);
  return h;
}

/* The structures of the element messages so named, in order. */
GPtrArray *
take_messages (GstBus *bus, const char *name)
{
  GPtrArray *structures = g_ptr_array_new_with_free_func ((GDestroyNotify)gst_structure_free);
  GstMessage *message;

  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT)) != NULL) {
    if (gst_message_has_name (message, name))
      g_ptr_array_add (structures, gst_structure_copy (gst_message_get_structure (message)));
    gst_message_unref (message);
  }
  return structures;
}
