/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "videoplanes.h"

#include <string.h>

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

/* Of interlaced frames one field: two would look like an edge at every line. */
static void
borrow_planes (const GstVideoFrame *frame, DerushPlanes *planes)
{
  guint fields = GST_VIDEO_INFO_IS_INTERLACED (&frame->info) && GST_VIDEO_FRAME_HEIGHT (frame) > 1 ? 2 : 1;
  guint components = GST_VIDEO_INFO_IS_YUV (&frame->info) ? 3 : 1;

  memset (planes, 0, sizeof (*planes));
  for (guint i = 0; i < components; i++) {
    planes->data[i] = GST_VIDEO_FRAME_COMP_DATA (frame, i);
    planes->stride[i] = (gsize)GST_VIDEO_FRAME_COMP_STRIDE (frame, i) * fields;
    planes->pixel_stride[i] = (guint)GST_VIDEO_FRAME_COMP_PSTRIDE (frame, i);
  }
  planes->width = (guint)GST_VIDEO_FRAME_WIDTH (frame);
  planes->height = (guint)GST_VIDEO_FRAME_HEIGHT (frame) / fields;
  if (components == 3) {
    planes->chroma_width = (guint)GST_VIDEO_FRAME_COMP_WIDTH (frame, 1);
    planes->chroma_height = MAX (1, (guint)GST_VIDEO_FRAME_COMP_HEIGHT (frame, 1) / fields);
  }
  planes->sample_bits = GST_VIDEO_FRAME_COMP_DEPTH (frame, 0) + (guint)frame->info.finfo->shift[0];
  planes->full_range = frame->info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;
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
  borrow_planes (&frame, &planes);
  ok = derush_frame_meter_push (meter, &planes, time, features);
  gst_video_frame_unmap (&frame);
  return ok;
}
