/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The bicubic scaler of shortcrop in front of the general one, which then has nothing to do: for plain pictures it takes half
 * the time, and its kernel is the one that people know from FFmpeg.
 */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

/* Between the elements `crop` and `scale`; a picture that is cut to another shape is not for it. */
gboolean derush_rescale_insert (DerushMediaPipeline *pipeline, DerushMediaInfo *info, int width, int height,
                                GError **error);

G_END_DECLS
