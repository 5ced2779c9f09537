/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/* Scales and converts the frames of a stream into pictures of another size and format, films of high dynamic range to
 * standard dynamic range. */
typedef struct _TileScaler TileScaler;

TileScaler *tile_scaler_new (const GstVideoInfo *from, const GstVideoInfo *to);
void tile_scaler_free (TileScaler *self);
gboolean tile_scaler_draw (TileScaler *self, GstBuffer *source, GstVideoFrame *tile);

void page_paint_black (GstVideoFrame *frame);
void page_get_part (const GstVideoFrame *page, guint x, guint y, guint width, guint height, GstVideoFrame *part);
GstBuffer *page_crop (const GstVideoInfo *page_info, GstBuffer *page, guint height, GstVideoInfo *info);

G_END_DECLS
