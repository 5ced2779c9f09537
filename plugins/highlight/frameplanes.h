/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"
#include <gst/video/video.h>

G_BEGIN_DECLS

/* The raw formats whose luma and chroma can be measured as they are. */
#define FRAME_PLANES_FORMATS                                                                                           \
  "{ I420, YV12, NV12, NV21, Y42B, Y444, Y41B, YUV9, NV16, NV24, YUY2, UYVY, AYUV, GRAY8, I420_10LE, I422_10LE, "      \
  "Y444_10LE, I420_12LE, I422_12LE, Y444_12LE, P010_10LE, P012_LE, P016_LE, GRAY16_LE }"

void frame_planes_borrow (const GstVideoFrame *frame, DerushPlanes *planes);

G_END_DECLS
