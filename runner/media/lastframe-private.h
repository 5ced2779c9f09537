/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The last frames of films of variable frame rate. */

#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Watches what leaves @parser (nullable) for mp4mux, and gives the last sample the duration that its edit list needs. */
void derush_last_frame_keep (GstElement *parser);

G_END_DECLS
