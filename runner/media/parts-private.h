/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Parts of one film, each as a film of its own. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

/* ── One part ───────────────────────────────────────────────────────────── */

/* A pipeline that makes a part, and the file that it writes. */
typedef struct _DerushEncode DerushEncode;

/* By the parameters of `transcode` that @job has; @fed: see derush_media_pipeline_new_fed(). Returns: (nullable) */
DerushEncode *derush_encode_new (const DerushMediaJob *job, DerushMediaInfo *info, gboolean fed, GError **error);
/* Stops it; the file goes as well, unless derush_encode_finish() has succeeded. */
void derush_encode_free (DerushEncode *encode);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushEncode, derush_encode_free)
DerushMediaPipeline *derush_encode_get_pipeline (DerushEncode *encode);
/* After the end of the pipeline. Returns: (transfer full) (nullable): the result of `transcode` */
JsonObject *derush_encode_finish (DerushEncode *encode, GError **error);

/* ── Many parts ─────────────────────────────────────────────────────────── */

/**
 * DerushPart:
 * @parameters: (nullable): of `transcode`; %NULL: there is nothing to make
 * @sound: (nullable): what the template's `level` does
 * @result: (nullable): of `transcode`
 * @error: (nullable): why there is none
 */
typedef struct {
  JsonObject *parameters;
  DerushSound *sound;
  JsonObject *result;
  GError *error;
} DerushPart;

void derush_part_clear (DerushPart *part);

/**
 * derush_parts_make:
 * @parts: in any order; they may overlap
 * @error: what ends the job: it was cancelled, or nothing can be made here at all
 *
 * Makes all of them in as few passes over the film as memory allows. What is wrong with one part only is its own error.
 */
gboolean derush_parts_make (DerushMediaJob *job, DerushMediaInfo *info, DerushPart *parts, guint n_parts,
                            GError **error);

/**
 * DerushSpan:
 * @start: stream time in nanoseconds
 * @end: stream time in nanoseconds; %GST_CLOCK_TIME_NONE: to the end of the film
 * @index: of the part
 */
typedef struct {
  GstClockTime start;
  GstClockTime end;
  guint index;
} DerushSpan;

/* How many encoders of that size may be open at a time. */
guint derush_spans_limit (int width, int height, int source_width, int source_height, const char *preset);

/* Takes from @spans, which are sorted, as many as one pass over the film can make with @limit encoders. Returns:
 * (transfer full) (element-type DerushSpan): at least one */
GArray *derush_spans_take (GArray *spans, guint limit);

/* How many of @spans, from @first on, are read without entering the film anew. */
guint derush_spans_group (GArray *spans, guint first, GstClockTime gap);

/* The most of them that are open at a time. */
guint derush_spans_overlap (GArray *spans);

/* ── One pass over the film ─────────────────────────────────────────────── */

/* Reads the film once for the @spans and makes the result of their parts; those that could not be made this way have none.
 * %FALSE: the job was cancelled. */
gboolean derush_spans_read (DerushMediaJob *job, DerushMediaInfo *info, GArray *spans, DerushPart *parts, guint limit,
                            GError **error);

G_END_DECLS
