/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* High dynamic range in a running pipeline. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

/* Puts a tone mapper between the scaling element and the capsfilter behind it, if the film needs one. */
gboolean derush_tone_map_insert (DerushMediaPipeline *pipeline, DerushMediaInfo *info, const char *scale_name,
                                 const char *size_name, GError **error);

G_END_DECLS
