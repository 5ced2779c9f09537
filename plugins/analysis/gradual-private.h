/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"

G_BEGIN_DECLS

/* Finds the transitions that take more than one frame. */
typedef struct _GradualDetector GradualDetector;

GradualDetector *gradual_detector_new (void);
void gradual_detector_free (GradualDetector *self);
void gradual_detector_reset (GradualDetector *self);
void gradual_detector_push (GradualDetector *self, const DerushFrameFeatures *features, guint64 frame);
void gradual_detector_break (GradualDetector *self);
gboolean gradual_detector_pop (GradualDetector *self, DerushShotChange *change);

G_END_DECLS
