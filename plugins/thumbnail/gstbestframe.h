/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_BESTFRAME (gst_bestframe_get_type ())
G_DECLARE_FINAL_TYPE (GstBestframe, gst_bestframe, GST, BESTFRAME, GstElement)

GST_ELEMENT_REGISTER_DECLARE (bestframe)

G_END_DECLS
