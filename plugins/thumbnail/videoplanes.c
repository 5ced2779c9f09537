/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "videoplanes.h"

#include "highlight/frameplanes.h"

static gboolean
has_planes (const GstVideoInfo *info)
{
  switch (GST_VIDEO_INFO_FORMAT (info)) {
  case GST_VIDEO_FORMAT_I420:
  case GST_VIDEO_FORMAT_YV12:
  case GST_VIDEO_FORMAT_NV12:
  case GST_VIDEO_FORMAT_NV21:
  case GST_VIDEO_FORMAT_NV16:
  case GST_VIDEO_FORMAT_NV24:
  case GST_VIDEO_FORMAT_Y41B:
  case GST_VIDEO_FORMAT_Y42B:
  case GST_VIDEO_FORMAT_Y444:
  case GST_VIDEO_FORMAT_A420:
  case GST_VIDEO_FORMAT_GRAY8:
  case GST_VIDEO_FORMAT_I420_10LE:
  case GST_VIDEO_FORMAT_I422_10LE:
  case GST_VIDEO_FORMAT_Y444_10LE:
  case GST_VIDEO_FORMAT_I420_12LE:
  case GST_VIDEO_FORMAT_I422_12LE:
  case GST_VIDEO_FORMAT_Y444_12LE:
  case GST_VIDEO_FORMAT_P010_10LE:
    return TRUE;
  default:
    return FALSE;
  }
}

/* Small enough to be cheap, large enough for the picture that sharpness is measured on. */
static gboolean
prepare_conversion (VideoPlanes *self)
{
  GstVideoInfo from = self->info;
  guint longer = (guint)MAX (from.width, from.height);
  guint width = (guint)from.width, height = (guint)from.height;

  if (longer > DERUSH_SHARPNESS_PICTURE_SIZE) {
    width = MAX (1, width * DERUSH_SHARPNESS_PICTURE_SIZE / longer);
    height = MAX (1, height * DERUSH_SHARPNESS_PICTURE_SIZE / longer);
  }
  if (!gst_video_info_set_format (&self->converted_info, GST_VIDEO_FORMAT_I420, width, height))
    return FALSE;
  from.interlace_mode = GST_VIDEO_INTERLACE_MODE_PROGRESSIVE;
  self->converted_info.fps_n = from.fps_n;
  self->converted_info.fps_d = from.fps_d;
  self->converter = gst_video_converter_new (&from, &self->converted_info, NULL);
  self->converted = gst_buffer_new_allocate (NULL, self->converted_info.size, NULL);
  return self->converter != NULL && self->converted != NULL;
}

gboolean
video_planes_init (VideoPlanes *self, const GstVideoInfo *info)
{
  video_planes_clear (self);
  self->info = *info;
  return has_planes (info) || prepare_conversion (self);
}

void
video_planes_clear (VideoPlanes *self)
{
  g_clear_pointer (&self->converter, gst_video_converter_free);
  gst_clear_buffer (&self->converted);
}

static gboolean
convert (VideoPlanes *self, GstBuffer *buffer)
{
  GstVideoFrame from, to;

  if (!gst_video_frame_map (&from, &self->info, buffer, GST_MAP_READ))
    return FALSE;
  from.flags &= ~GST_VIDEO_FRAME_FLAG_INTERLACED; /* as the converter was told */
  if (!gst_video_frame_map (&to, &self->converted_info, self->converted, GST_MAP_WRITE)) {
    gst_video_frame_unmap (&from);
    return FALSE;
  }
  gst_video_converter_frame (self->converter, &from, &to);
  gst_video_frame_unmap (&to);
  gst_video_frame_unmap (&from);
  return TRUE;
}

gboolean
video_planes_measure (VideoPlanes *self, GstBuffer *buffer, double time, DerushFrameMeter *meter,
                      DerushFrameFeatures *features)
{
  const GstVideoInfo *info = self->converter != NULL ? &self->converted_info : &self->info;
  GstVideoFrame frame;
  DerushPlanes planes;
  gboolean ok;

  if (self->converter != NULL && !convert (self, buffer))
    return FALSE;
  if (!gst_video_frame_map (&frame, info, self->converter != NULL ? self->converted : buffer, GST_MAP_READ))
    return FALSE;
  frame_planes_borrow (&frame, &planes);
  ok = derush_frame_meter_push (meter, &planes, time, features);
  gst_video_frame_unmap (&frame);
  return ok;
}
