/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/* Formats of 8 bits per component, each component at a constant distance from the next. */
#define CROP_SCALE_FORMATS                                                                                              \
  "{ I420, YV12, NV12, NV21, Y42B, NV16, Y444, NV24, AYUV, GRAY8, RGB, BGR, RGBx, BGRx, xRGB, xBGR, RGBA, BGRA, ARGB, " \
  "ABGR }"

typedef struct _CropScaler CropScaler;

CropScaler *crop_scaler_new (void);
void crop_scaler_free (CropScaler *scaler);
void crop_scaler_run (CropScaler *scaler, const GstVideoFrame *in, GstVideoFrame *out, double x, double y, double width,
                      double height);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CropScaler, crop_scaler_free)

G_END_DECLS
