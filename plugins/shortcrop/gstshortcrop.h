/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/video/gstvideofilter.h>

G_BEGIN_DECLS

#define GST_TYPE_SHORT_CROP (gst_short_crop_get_type ())
G_DECLARE_FINAL_TYPE (GstShortCrop, gst_short_crop, GST, SHORT_CROP, GstVideoFilter)

GST_ELEMENT_REGISTER_DECLARE (shortcrop)

G_END_DECLS
