/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_HIGHLIGHT_DETECT (gst_highlight_detect_get_type ())
G_DECLARE_FINAL_TYPE (GstHighlightDetect, gst_highlight_detect, GST, HIGHLIGHT_DETECT, GstElement)

GST_ELEMENT_REGISTER_DECLARE (highlightdetect);

G_END_DECLS
