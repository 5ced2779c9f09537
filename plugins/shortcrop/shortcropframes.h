/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"
#include <gst/video/video.h>

G_BEGIN_DECLS

void short_crop_borrow_planes (const GstVideoFrame *frame, DerushPlanes *planes);
guint short_crop_read_boxes (GstBuffer *buffer, const GstVideoInfo *info, DerushCameraBox *boxes, guint most);
void short_crop_copy_region (GstBuffer *out, const GstVideoRegionOfInterestMeta *roi, const DerushCameraKey *key,
                             const GstVideoInfo *out_info);

G_END_DECLS
