/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading single frames of a film at any time, and making picture files of them. */

#pragma once

#include "media-private.h"

#include "plugins/analysis/analysis.h"

G_BEGIN_DECLS

/* ── Frames of a film ───────────────────────────────────────────────────── */

typedef struct _DerushStillReader DerushStillReader;

/**
 * DerushStillFrameFunc:
 * @sample: the frame, upright and progressive
 * @time: its stream time in seconds
 *
 * Returns: whether more frames are wanted
 */
typedef gboolean (*DerushStillFrameFunc) (GstSample *sample, double time, gpointer user_data);

DerushStillReader *derush_still_reader_new (DerushMediaJob *job, DerushMediaInfo *info, GError **error);
void derush_still_reader_free (DerushStillReader *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushStillReader, derush_still_reader_free)

/* In seconds; 0: unknown. */
double derush_still_reader_get_duration (DerushStillReader *self);

/* What a time of the film played from its start, as the analysis has it, is ahead of the times used here. */
double derush_still_reader_get_offset (DerushStillReader *self);

/* What broke off on the way, or %NULL. */
const char *derush_still_reader_get_break (DerushStillReader *self);

/* Gives the frames from @from on, or from the key frame before it, until @func has enough or the film ends. */
gboolean derush_still_reader_read (DerushStillReader *self, double from, gboolean from_key_frame,
                                   DerushStillFrameFunc func, gpointer user_data, GError **error);

/**
 * DerushStillFrame:
 * @sample: the frame
 * @time: its stream time in seconds
 * @features: what is measured of it
 * @context: what is known of its neighbours
 */
typedef struct {
  GstSample *sample;
  double time;
  DerushFrameFeatures features;
  DerushStillContext context;
} DerushStillFrame;

void derush_still_frame_clear (DerushStillFrame *frame);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (DerushStillFrame, derush_still_frame_clear)

/* The frame that is on the screen at @time; the last one when the film has ended by then. */
gboolean derush_still_reader_get_frame (DerushStillReader *self, double time, DerushStillFrame *frame, GError **error);

/* The key frame at or before @time, and nothing else is decoded for it; where a film cannot be entered in the middle, the
 * frame at @time. */
gboolean derush_still_reader_get_key_frame (DerushStillReader *self, double time, DerushStillFrame *frame,
                                            GError **error);

/* The frame that is on the screen when the film ends. */
gboolean derush_still_reader_get_last_frame (DerushStillReader *self, DerushStillFrame *frame, GError **error);

/* Measures frames of one size after the other. */
typedef struct _DerushStillMeter DerushStillMeter;

DerushStillMeter *derush_still_meter_new (void);
void derush_still_meter_free (DerushStillMeter *self);
void derush_still_meter_reset (DerushStillMeter *self);
gboolean derush_still_meter_push (DerushStillMeter *self, GstSample *sample, double time,
                                  DerushFrameFeatures *features);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushStillMeter, derush_still_meter_free)

/* ── Pictures ───────────────────────────────────────────────────────────── */

typedef enum {
  DERUSH_STILL_FIT_CONTAIN,
  DERUSH_STILL_FIT_COVER,
  DERUSH_STILL_FIT_FILL,
} DerushStillFit;

/**
 * DerushStillPicture:
 * @width: wanted width in pixels; 0: follows the height, or the film
 * @height: wanted height in pixels; 0: follows the width, or the film
 * @least_side: no side becomes shorter, as some formats want
 * @enlarge: whether a picture may become larger than the film's
 * @fit: what is done when both are given: within them, cut to fill them, or stretched
 * @alpha: whether transparency is kept, rather than laid on black
 *
 * What is made of a frame.
 */
typedef struct {
  guint width;
  guint height;
  guint least_side;
  gboolean enlarge;
  DerushStillFit fit;
  gboolean alpha;
} DerushStillPicture;

/**
 * DerushStillLayout:
 * @width: of the new picture
 * @height: of the new picture
 * @crop_x: what of the frame is shown, in its own pixels
 *
 * How a frame becomes a picture.
 */
typedef struct {
  guint width, height;
  guint crop_x, crop_y, crop_width, crop_height;
} DerushStillLayout;

void derush_still_layout_init (DerushStillLayout *layout, const DerushStillPicture *picture, guint frame_width,
                               guint frame_height, guint par_n, guint par_d);

/* Cropped, scaled to square pixels, in sRGB. Returns: (transfer full) (nullable): RGB or RGBA */
GstSample *derush_still_picture_make (const DerushStillPicture *picture, GstSample *frame, GError **error);

/* The first picture of a file that is no film; else the error is bad-input. */
GstSample *derush_still_picture_read (DerushMediaJob *job, int fd, const char *display, GError **error);

/* Whether a picture file decodes. */
gboolean derush_still_picture_check (DerushMediaJob *job, const char *path, GError **error);

/* Encodes a picture by the template still-FORMAT and checks it. */
gboolean derush_still_picture_write (DerushMediaJob *job, GstSample *picture, const char *format, int quality,
                                     const char *path, GError **error);

G_END_DECLS
