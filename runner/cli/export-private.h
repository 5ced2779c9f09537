/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What `derush export` writes: the moments of a film in the formats that editors read. No files are touched here. */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/**
 * DerushExportRange:
 * @start: seconds from the beginning of the film
 * @end: where it ends, in seconds
 * @name: what an editor shows
 * @comment: (nullable): why it was chosen
 */
typedef struct {
  double start, end;
  char *name;
  char *comment;
} DerushExportRange;

/**
 * DerushExport:
 * @path: the film, absolute
 * @uri: the same as `file://` URI
 * @duration: in seconds
 * @rate_numerator: frames per second; 0: it has no constant rate
 * @rate_denominator: what @rate_numerator is divided by
 * @width: of the picture in square pixels, upright; 0: there is no picture
 * @height: its height
 * @sample_rate: of the sound; 0: there is none
 * @channels: of the sound
 * @clips: (element-type DerushExportRange): what becomes a clip, in the order of the film
 * @markers: (element-type DerushExportRange): what is marked in the clips
 */
typedef struct {
  char *path;
  char *uri;
  double duration;
  int rate_numerator, rate_denominator;
  int width, height;
  int sample_rate, channels;
  GPtrArray *clips;
  GPtrArray *markers;
} DerushExport;

DerushExport *derush_export_new (void);
void derush_export_free (DerushExport *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushExport, derush_export_free)
void derush_export_add (GPtrArray *ranges, double start, double end, const char *name, const char *comment);

/* Frames of the rate that the formats count in; a film without a constant one is counted in 25 a second. */
gint64 derush_export_to_frame (const DerushExport *self, double seconds);

/* `HH:MM:SS:FF`, with drop-frame counting (SMPTE 12M) and `;` at 30000/1001 and its double. */
char *derush_export_timecode (int rate_numerator, int rate_denominator, gint64 frame);

char *derush_export_to_xges (const DerushExport *self);
char *derush_export_to_otio (const DerushExport *self);
char *derush_export_to_edl (const DerushExport *self);
char *derush_export_to_vtt (const DerushExport *self);

G_END_DECLS
