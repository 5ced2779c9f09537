/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "brightness-private.h"

#include <gst/video/video.h>

#define GRID 32

struct _DerushBrightness {
  GMutex lock;
  double interval;
  double last_time;
  double maximum;
  guint samples;
};

DerushBrightness *
derush_brightness_new (double interval)
{
  DerushBrightness *self = g_new0 (DerushBrightness, 1);

  g_mutex_init (&self->lock);
  self->interval = interval;
  self->last_time = -G_MAXDOUBLE;
  self->maximum = -1;
  return self;
}

void
derush_brightness_free (DerushBrightness *self)
{
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* The mean of one component on a grid, 0 to 1. */
static double
mean_of_component (const GstVideoFrame *frame, guint component)
{
  const guint8 *data = GST_VIDEO_FRAME_COMP_DATA (frame, component);
  guint width = GST_VIDEO_FRAME_COMP_WIDTH (frame, component);
  guint height = GST_VIDEO_FRAME_COMP_HEIGHT (frame, component);
  guint depth = GST_VIDEO_FRAME_COMP_DEPTH (frame, component);
  guint shift = GST_VIDEO_FORMAT_INFO_SHIFT (frame->info.finfo, component);
  gsize stride = GST_VIDEO_FRAME_COMP_STRIDE (frame, component);
  gsize step = GST_VIDEO_FRAME_COMP_PSTRIDE (frame, component);
  guint64 sum = 0;

  for (guint row = 0; row < GRID; row++) {
    const guint8 *line = data + (gsize)(height * row / GRID) * stride;

    for (guint column = 0; column < GRID; column++) {
      const guint8 *sample = line + (gsize)(width * column / GRID) * step;

      sum += depth <= 8 ? sample[0] : (guint)(GST_READ_UINT16_LE (sample) >> shift);
    }
  }
  return (double)sum / (GRID * GRID) / ((1u << depth) - 1);
}

/* -1: this layout is not read. */
static double
brightness (const GstVideoFrame *frame)
{
  const GstVideoFormatInfo *format = frame->info.finfo;
  guint depth = GST_VIDEO_FORMAT_INFO_DEPTH (format, 0);
  double highest = 0;

  if (GST_VIDEO_FORMAT_INFO_IS_COMPLEX (format) || GST_VIDEO_FORMAT_INFO_IS_TILED (format) || depth > 16 ||
      (depth > 8 && !GST_VIDEO_FORMAT_INFO_IS_LE (format)))
    return -1;
  if (!GST_VIDEO_FORMAT_INFO_IS_RGB (format)) {
    double luma = mean_of_component (frame, 0);

    /* Video range: black is 16 of 255. */
    return frame->info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255 ? luma : (luma * 255 - 16) / 219;
  }
  for (guint i = 0; i < 3; i++)
    highest = MAX (highest, mean_of_component (frame, i));
  return highest;
}

static GstPadProbeReturn
look (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  DerushBrightness *self = data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  double time = GST_BUFFER_PTS_IS_VALID (buffer) ? (double)GST_BUFFER_PTS (buffer) / GST_SECOND : self->last_time;
  g_autoptr (GstCaps) caps = NULL;
  GstVideoInfo video_info;
  GstVideoFrame frame;

  if (time >= self->last_time && time - self->last_time < self->interval)
    return GST_PAD_PROBE_OK;
  self->last_time = time;
  caps = gst_pad_get_current_caps (pad);
  if (!caps || !gst_video_info_from_caps (&video_info, caps) ||
      !gst_video_frame_map (&frame, &video_info, buffer, GST_MAP_READ))
    return GST_PAD_PROBE_OK;
  g_mutex_lock (&self->lock);
  self->maximum = MAX (self->maximum, brightness (&frame));
  self->samples++;
  g_mutex_unlock (&self->lock);
  gst_video_frame_unmap (&frame);
  return GST_PAD_PROBE_OK;
}

void
derush_brightness_watch (DerushBrightness *self, GstElement *element)
{
  g_autoptr (GstPad) pad = element ? gst_element_get_static_pad (element, "sink") : NULL;

  if (pad)
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, look, self, NULL);
}

double
derush_brightness_get_maximum (DerushBrightness *self)
{
  double maximum;

  g_mutex_lock (&self->lock);
  maximum = self->maximum;
  g_mutex_unlock (&self->lock);
  return maximum;
}
