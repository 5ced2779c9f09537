/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A film that is decoded to be made into another is measured on the way. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

/* Where the action `analyse` and this put their measures, in the job's folder. */
#define DERUSH_ANALYSIS_FILE "analysis.derush"

/* Puts a `highlightdetect` behind the elements `upright` and `audio-in` of a transcoding pipeline, if the job asks for it and
 * the pictures there are those that the action `analyse` would see. */
gboolean derush_alongside_insert (DerushMediaPipeline *pipeline, DerushMediaJob *job, DerushMediaInfo *info,
                                  GError **error);

G_END_DECLS
