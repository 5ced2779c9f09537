/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"

G_BEGIN_DECLS

/* The signals of a film in equal steps of time, from 0 on. */
typedef struct {
  double step; /* seconds */
  guint n;
  float *values[DERUSH_N_SIGNALS]; /* each 0..1 */
  double weights[DERUSH_N_SIGNALS];
  /* What the reasons quote. */
  float *loudness; /* LUFS */
  float *motion;   /* picture lengths per second */
  float median_loudness;
  float median_motion;
} Interest;

Interest *interest_new (const DerushAnalysis *analysis, guint detections);
void interest_free (Interest *self);
double interest_mean (const float *values, guint first, guint end);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Interest, interest_free)

G_END_DECLS
