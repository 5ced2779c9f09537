/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/video/video.h>

#include "plugins/analysis/analysis.h"

G_BEGIN_DECLS

/* Lends the frames of a stream to the analysis as planes: those of YUV formats directly, others after conversion. */
typedef struct {
  GstVideoInfo info;
  GstVideoConverter *converter; /* NULL for formats that have the planes already */
  GstVideoInfo converted_info;
  GstBuffer *converted;
} VideoPlanes;

gboolean video_planes_init (VideoPlanes *self, const GstVideoInfo *info);
void video_planes_clear (VideoPlanes *self);
gboolean video_planes_measure (VideoPlanes *self, GstBuffer *buffer, double time, DerushFrameMeter *meter,
                               DerushFrameFeatures *features);

G_END_DECLS
