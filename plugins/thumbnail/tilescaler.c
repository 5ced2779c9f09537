/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "tilescaler.h"

#include "plugins/analysis/analysis.h"

#include <string.h>

struct _TileScaler {
  GstVideoInfo from;
  GstVideoConverter *converter; /* to the tile, or to the deep picture */
  /* On a detour: 16-bit pixels as a film of high dynamic range stores them, sRGB, and from there to the tile. */
  DerushToneMapper *mapper;
  GstVideoInfo deep_info, flat_info;
  GstBuffer *deep, *flat;
  GstVideoConverter *flat_converter;
};

static gboolean
prepare_detour (TileScaler *self, const GstVideoInfo *from, const GstVideoInfo *to, gboolean hdr)
{
  GstVideoInfo flat;

  gst_video_info_set_format (&self->flat_info, GST_VIDEO_FORMAT_RGBA, (guint)to->width, (guint)to->height);
  flat = self->flat_info;
  flat.fps_n = to->fps_n;
  flat.fps_d = to->fps_d;
  self->flat = gst_buffer_new_allocate (NULL, self->flat_info.size, NULL);
  self->flat_converter = gst_video_converter_new (&flat, to, NULL);
  if (hdr) {
    self->mapper =
        derush_tone_mapper_new (from->colorimetry.transfer == GST_VIDEO_TRANSFER_ARIB_STD_B67 ? DERUSH_HDR_TRANSFER_HLG
                                                                                              : DERUSH_HDR_TRANSFER_PQ);
    gst_video_info_set_format (&self->deep_info, GST_VIDEO_FORMAT_ARGB64, (guint)to->width, (guint)to->height);
    self->deep_info.fps_n = from->fps_n;
    self->deep_info.fps_d = from->fps_d;
    self->deep = gst_buffer_new_allocate (NULL, self->deep_info.size, NULL);
    self->converter = gst_video_converter_new (from, &self->deep_info, NULL);
  } else {
    self->converter = gst_video_converter_new (from, &flat, NULL);
  }
  return self->converter != NULL && self->flat_converter != NULL;
}

/* GStreamer's converter leaves the range as it is where format and matrix stay. */
static gboolean
needs_other_range (const GstVideoInfo *from, const GstVideoInfo *to)
{
  return !GST_VIDEO_INFO_IS_RGB (from) && !GST_VIDEO_INFO_IS_RGB (to) &&
         from->colorimetry.range != to->colorimetry.range;
}

/* @to: of the tile. Returns: %NULL when such frames cannot be converted */
TileScaler *
tile_scaler_new (const GstVideoInfo *from, const GstVideoInfo *to)
{
  TileScaler *self = g_new0 (TileScaler, 1);
  GstVideoTransferFunction transfer = from->colorimetry.transfer;
  GstVideoInfo source = *from, tile = *to;
  gboolean hdr = transfer == GST_VIDEO_TRANSFER_SMPTE2084 || transfer == GST_VIDEO_TRANSFER_ARIB_STD_B67;
  gboolean ok;

  /* The converter neither deinterlaces nor changes the rate; a tile is small enough to take both fields as a frame. */
  source.interlace_mode = GST_VIDEO_INTERLACE_MODE_PROGRESSIVE;
  tile.fps_n = source.fps_n;
  tile.fps_d = source.fps_d;
  self->from = *from;
  if (hdr || needs_other_range (from, to)) {
    ok = prepare_detour (self, &source, &tile, hdr);
  } else {
    self->converter = gst_video_converter_new (&source, &tile, NULL);
    ok = self->converter != NULL;
  }
  if (!ok)
    g_clear_pointer (&self, tile_scaler_free);
  return self;
}

void
tile_scaler_free (TileScaler *self)
{
  g_clear_pointer (&self->converter, gst_video_converter_free);
  g_clear_pointer (&self->flat_converter, gst_video_converter_free);
  g_clear_pointer (&self->mapper, derush_tone_mapper_free);
  gst_clear_buffer (&self->deep);
  gst_clear_buffer (&self->flat);
  g_free (self);
}

static gboolean
map_tones (TileScaler *self, GstVideoFrame *source, GstVideoFrame *flat)
{
  GstVideoFrame deep;

  if (!gst_video_frame_map (&deep, &self->deep_info, self->deep, GST_MAP_READWRITE))
    return FALSE;
  gst_video_converter_frame (self->converter, source, &deep);
  for (gint y = 0; y < deep.info.height; y++) {
    const guint8 *row = (const guint8 *)deep.data[0] + (gsize)y * (gsize)deep.info.stride[0];

    derush_tone_mapper_run (self->mapper, (const guint16 *)(gconstpointer)row,
                            (guint8 *)flat->data[0] + (gsize)y * (gsize)flat->info.stride[0], (gsize)deep.info.width);
  }
  gst_video_frame_unmap (&deep);
  return TRUE;
}

static gboolean
draw_by_detour (TileScaler *self, GstVideoFrame *source, GstVideoFrame *tile)
{
  GstVideoFrame flat;
  gboolean ok = TRUE;

  if (!gst_video_frame_map (&flat, &self->flat_info, self->flat, GST_MAP_READWRITE))
    return FALSE;
  if (self->mapper != NULL)
    ok = map_tones (self, source, &flat);
  else
    gst_video_converter_frame (self->converter, source, &flat);
  gst_video_converter_frame (self->flat_converter, &flat, tile);
  gst_video_frame_unmap (&flat);
  return ok;
}

/* @tile: a mapped frame of the tile's size, which may lie within a larger one. */
gboolean
tile_scaler_draw (TileScaler *self, GstBuffer *buffer, GstVideoFrame *tile)
{
  GstVideoFrame source;
  gboolean ok = TRUE;

  if (!gst_video_frame_map (&source, &self->from, buffer, GST_MAP_READ))
    return FALSE;
  source.flags &= ~GST_VIDEO_FRAME_FLAG_INTERLACED; /* as the converter was told */
  if (self->flat_converter != NULL)
    ok = draw_by_detour (self, &source, tile);
  else
    gst_video_converter_frame (self->converter, &source, tile);
  gst_video_frame_unmap (&source);
  return ok;
}

/* ── Pages ──────────────────────────────────────────────────────────────── */

/* @frame is of one of the formats that pages have. */
void
page_paint_black (GstVideoFrame *frame)
{
  const GstVideoFormatInfo *format = frame->info.finfo;

  for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES (frame); plane++) {
    guint8 value = 0;

    if (GST_VIDEO_FORMAT_INFO_IS_YUV (format))
      value = plane > 0 ? 128 : frame->info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255 ? 0 : 16;
    memset (GST_VIDEO_FRAME_PLANE_DATA (frame, plane), value,
            (gsize)GST_VIDEO_FRAME_PLANE_STRIDE (frame, plane) *
                GST_VIDEO_FORMAT_INFO_SCALE_HEIGHT (format, plane == 0 ? 0 : 1, GST_VIDEO_FRAME_HEIGHT (frame)));
  }
}

/* A frame of its own that lies on a part of @page. */
void
page_get_part (const GstVideoFrame *page, guint x, guint y, guint width, guint height, GstVideoFrame *part)
{
  const GstVideoFormatInfo *format = page->info.finfo;

  *part = *page;
  part->info.width = (gint)width;
  part->info.height = (gint)height;
  for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES (page); plane++) {
    guint component = plane; /* true of every format of the template: packed ones have a single plane */
    guint8 *data = page->data[plane];

    data += (gsize)GST_VIDEO_FORMAT_INFO_SCALE_HEIGHT (format, component, y) * (gsize)page->info.stride[plane];
    data += (gsize)GST_VIDEO_FORMAT_INFO_SCALE_WIDTH (format, component, x) *
            (gsize)GST_VIDEO_FORMAT_INFO_PSTRIDE (format, component);
    part->data[plane] = data;
  }
}

/* The used rows of a page, which has unused ones at its end. */
GstBuffer *
page_crop (const GstVideoInfo *page_info, GstBuffer *page, guint height, GstVideoInfo *info)
{
  GstBuffer *cropped;
  GstVideoFrame from, part, to;

  gst_video_info_set_interlaced_format (info, GST_VIDEO_INFO_FORMAT (page_info), GST_VIDEO_INTERLACE_MODE_PROGRESSIVE,
                                        (guint)page_info->width, height);
  info->colorimetry = page_info->colorimetry;
  info->chroma_site = page_info->chroma_site;
  info->fps_n = page_info->fps_n;
  info->fps_d = page_info->fps_d;
  cropped = gst_buffer_new_allocate (NULL, info->size, NULL);
  if (cropped == NULL || !gst_video_frame_map (&from, page_info, page, GST_MAP_READ)) {
    gst_clear_buffer (&cropped);
    return NULL;
  }
  if (gst_video_frame_map (&to, info, cropped, GST_MAP_WRITE)) {
    page_get_part (&from, 0, 0, (guint)info->width, height, &part);
    gst_video_frame_copy (&to, &part);
    gst_video_frame_unmap (&to);
  } else {
    gst_clear_buffer (&cropped);
  }
  gst_video_frame_unmap (&from);
  return cropped;
}
