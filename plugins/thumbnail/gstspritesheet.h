/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_SPRITESHEET (gst_spritesheet_get_type ())
G_DECLARE_FINAL_TYPE (GstSpritesheet, gst_spritesheet, GST, SPRITESHEET, GstElement)

GST_ELEMENT_REGISTER_DECLARE (spritesheet)

G_END_DECLS
