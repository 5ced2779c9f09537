/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shortcropframes.h"

#include "highlight/frameplanes.h"

/* What a camera looks at. */
void
short_crop_borrow_planes (const GstVideoFrame *frame, DerushPlanes *planes)
{
  if (!GST_VIDEO_INFO_IS_RGB (&frame->info)) {
    frame_planes_borrow (frame, planes);
    return;
  }
  /* Green is most of luma. */
  *planes = (DerushPlanes){
      .data = {GST_VIDEO_FRAME_COMP_DATA (frame, 1)},
      .stride = {(gsize)GST_VIDEO_FRAME_COMP_STRIDE (frame, 1)},
      .pixel_stride = {GST_VIDEO_FRAME_COMP_PSTRIDE (frame, 1)},
      .width = GST_VIDEO_FRAME_WIDTH (frame),
      .height = GST_VIDEO_FRAME_HEIGHT (frame),
      .sample_bits = 8,
      .full_range = TRUE,
  };
}

/* The regions of interest of a frame, at most @most of them. Returns: their number */
guint
short_crop_read_boxes (GstBuffer *buffer, const GstVideoInfo *info, DerushCameraBox *boxes, guint most)
{
  double width = info->width, height = info->height;
  GstVideoRegionOfInterestMeta *roi;
  gpointer position = NULL;
  guint n = 0;

  while (n < most && (roi = (GstVideoRegionOfInterestMeta *)gst_buffer_iterate_meta_filtered (
                          buffer, &position, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    double confidence = 1;

    for (GList *p = roi->params; p; p = p->next) {
      if (gst_structure_get_double (p->data, "confidence", &confidence))
        break;
    }
    boxes[n++] =
        (DerushCameraBox){roi->x / width, roi->y / height, roi->w / width, roi->h / height, CLAMP (confidence, 0, 1)};
  }
  return n;
}

/* Where a region is in the crop @key of its frame; one outside of it is left out. */
void
short_crop_copy_region (GstBuffer *out, const GstVideoRegionOfInterestMeta *roi, const DerushCameraKey *key,
                        const GstVideoInfo *out_info)
{
  double scale_x = out_info->width / key->width, scale_y = out_info->height / key->height;
  double left = MAX (0, (roi->x - key->x) * scale_x), top = MAX (0, (roi->y - key->y) * scale_y);
  double right = MIN (out_info->width, ((double)roi->x + roi->w - key->x) * scale_x);
  double bottom = MIN (out_info->height, ((double)roi->y + roi->h - key->y) * scale_y);
  GstVideoRegionOfInterestMeta *copy;

  if (right - left < 1 || bottom - top < 1)
    return;
  copy = gst_buffer_add_video_region_of_interest_meta_id (out, roi->roi_type, (guint)(left + 0.5), (guint)(top + 0.5),
                                                          (guint)(right - left + 0.5), (guint)(bottom - top + 0.5));
  copy->id = roi->id;
  copy->parent_id = roi->parent_id;
  for (GList *p = roi->params; p; p = p->next)
    gst_video_region_of_interest_meta_add_param (copy, gst_structure_copy (p->data));
}
