/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the edit lists of an MP4 file skip, and the duration that keeps qtdemux from ending too early by as much. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

/**
 * DerushMp4Edits:
 * @shift: seconds of media that an edit list skips, at most
 * @cuts_group: whether the picture begins in the middle of a group, so that its first pictures are not to be seen, but
 *   needed for those that are
 * @offset: of the movie's duration in the file
 * @length: of that duration, in bytes
 * @bytes: what must stand there
 */
typedef struct {
  double shift;
  gboolean cuts_group;
  guint64 offset;
  gsize length;
  guint8 bytes[8];
} DerushMp4Edits;

/* %FALSE: no MP4 file, or none whose edit lists skip anything. */
gboolean derush_mp4_edits_read (int fd, DerushMp4Edits *edits);

/*
 * AAC begins with samples that the encoder needs to get going, and mp4mux 1.22 says nothing of them, so that sound comes
 * late by as much: lets the edit list of an MP4 file that is open for writing skip them.
 *
 * Returns: whether there was such an edit list
 */
gboolean derush_mp4_edits_skip_priming (int fd, double seconds);

G_END_DECLS
