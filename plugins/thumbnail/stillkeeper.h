/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <glib.h>

#include "plugins/analysis/analysis.h"

G_BEGIN_DECLS

/* Keeps the best frames of a stream in bounded memory, without GStreamer: what a frame carries is opaque here, and is
 * copied only when the frame is good enough to be kept for now. */

typedef gpointer (*StillCopyFunc) (gpointer frame, gpointer user_data);

typedef struct {
  DerushFrameFeatures features;
  DerushStillContext context;
  DerushStill still;
  gpointer frame; /* the copy */
  gint64 window;
} KeptStill;

typedef struct _StillKeeper StillKeeper;

StillKeeper *still_keeper_new (double window, guint capacity, StillCopyFunc copy, gpointer user_data,
                               GDestroyNotify free_frame);
void still_keeper_free (StillKeeper *self);
void still_keeper_reset (StillKeeper *self);
void still_keeper_push (StillKeeper *self, const DerushFrameFeatures *features, gpointer frame);
void still_keeper_finish (StillKeeper *self);
guint still_keeper_get_n_kept (StillKeeper *self);
KeptStill *still_keeper_get_kept (StillKeeper *self, guint i);
gboolean still_keeper_is_settled (StillKeeper *self, guint i);
gpointer still_keeper_take (StillKeeper *self, guint i, KeptStill *kept);
void still_keeper_rescore (StillKeeper *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (StillKeeper, still_keeper_free)

G_END_DECLS
