/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The arithmetic of storyboard pages, without GStreamer: sizes of tiles and pages, the automatic interval, file names
 * of pages and the WebVTT text. Times are in nanoseconds. */

/* WebP, the tightest of the formats that pages are stored in, ends here. */
#define SHEET_MAX_SIDE 16383

typedef struct {
  guint columns, rows;
  guint tile_width, tile_height; /* the cell */
  guint width, height;           /* the picture inside the cell: less than the cell when both sides were asked for */
  guint x, y;                    /* where the picture stands in its cell */
} SheetGeometry;

typedef struct {
  guint64 start, end; /* stream time */
  guint page;         /* as in the file name */
  guint x, y, width, height;
} SheetCue;

gboolean sheet_geometry_init (SheetGeometry *geometry, guint source_width, guint source_height, guint par_n,
                              guint par_d, guint columns, guint rows, guint tile_width, guint tile_height);
guint64 sheet_choose_interval (guint64 duration, guint tiles_per_page);
gboolean sheet_url_template_is_valid (const char *url_template);
char *sheet_expand_url (const char *url_template, guint page);
char *sheet_format_vtt (const SheetCue *cues, guint n_cues, const char *url_template);

G_END_DECLS
