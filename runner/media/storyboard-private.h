/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A storyboard that another action makes on its way, while it decodes the film for something else. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

typedef struct _DerushStoryboard DerushStoryboard;

/* @parameters: those of the action `storyboard`. @info and @parameters must outlive it. */
DerushStoryboard *derush_storyboard_new (DerushMediaJob *job, DerushMediaInfo *info, JsonObject *parameters,
                                         GError **error);
void derush_storyboard_free (DerushStoryboard *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushStoryboard, derush_storyboard_free)

/* Whether key frames alone would not do for the tiles of such a film. */
gboolean derush_storyboard_needs_all_frames (DerushMediaInfo *info);

/* The pipeline of a template that has the elements `pages` and `output`. */
DerushMediaPipeline *derush_storyboard_prepare (DerushStoryboard *self, const char *template_name, GError **error);

/* After the pipeline has run. Returns: (transfer full) (nullable): what the action `storyboard` answers */
JsonObject *derush_storyboard_finish (DerushStoryboard *self, GError **error);

/* Removes its files. */
void derush_storyboard_discard (DerushStoryboard *self);

G_END_DECLS
