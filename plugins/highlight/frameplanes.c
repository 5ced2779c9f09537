/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "frameplanes.h"

/* The planes of a mapped frame of one of FRAME_PLANES_FORMATS; of an interlaced stream, those of the top field. */
void
frame_planes_borrow (const GstVideoFrame *frame, DerushPlanes *planes)
{
  const GstVideoInfo *info = &frame->info;
  guint fields = GST_VIDEO_INFO_IS_INTERLACED (info) &&
                         GST_VIDEO_INFO_INTERLACE_MODE (info) != GST_VIDEO_INTERLACE_MODE_ALTERNATE &&
                         GST_VIDEO_INFO_HEIGHT (info) > 2
                     ? 2
                     : 1;
  guint components = GST_VIDEO_INFO_IS_GRAY (info) ? 1 : 3;

  *planes = (DerushPlanes){
      .width = GST_VIDEO_FRAME_COMP_WIDTH (frame, 0),
      .height = GST_VIDEO_FRAME_COMP_HEIGHT (frame, 0) / fields,
      .sample_bits = GST_VIDEO_INFO_COMP_DEPTH (info, 0) + GST_VIDEO_FORMAT_INFO_SHIFT (info->finfo, 0),
      .full_range = info->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255,
  };
  for (guint i = 0; i < components; i++) {
    planes->data[i] = GST_VIDEO_FRAME_COMP_DATA (frame, i);
    planes->stride[i] = (gsize)GST_VIDEO_FRAME_COMP_STRIDE (frame, i) * fields;
    planes->pixel_stride[i] = GST_VIDEO_FRAME_COMP_PSTRIDE (frame, i);
  }
  if (components == 3) {
    planes->chroma_width = GST_VIDEO_FRAME_COMP_WIDTH (frame, 1);
    planes->chroma_height = MAX (1, GST_VIDEO_FRAME_COMP_HEIGHT (frame, 1) / fields);
  }
}
