/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"

G_BEGIN_DECLS

/* @sum: as derush_frame_features_distance(); @length: the same as a Euclidean length. */
void frame_features_distances (const DerushFrameFeatures *a, const DerushFrameFeatures *b, float *sum, float *length);
float frame_features_correlation (const DerushFrameFeatures *a, const DerushFrameFeatures *b);
float frame_features_spread (const DerushFrameFeatures *a, const DerushFrameFeatures *b);

G_END_DECLS
