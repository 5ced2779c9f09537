/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/video/gstvideofilter.h>

G_BEGIN_DECLS

#define GST_TYPE_SHOT_DETECT (gst_shot_detect_get_type ())
G_DECLARE_FINAL_TYPE (GstShotDetect, gst_shot_detect, GST, SHOT_DETECT, GstVideoFilter)

GST_ELEMENT_REGISTER_DECLARE (shotdetect);

G_END_DECLS
