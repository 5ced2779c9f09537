/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"

G_BEGIN_DECLS

#define CAMERA_POSITIONS 64
#define CAMERA_MAX_STRIPS DERUSH_STRIP_COLUMNS
#define CAMERA_CELLS (DERUSH_GRID_ROWS * DERUSH_GRID_COLUMNS)
#define CAMERA_CHROMA_CELLS (DERUSH_CHROMA_GRID_ROWS * DERUSH_CHROMA_GRID_COLUMNS)

G_STATIC_ASSERT (DERUSH_STRIP_ROWS <= CAMERA_MAX_STRIPS);

/* Of what is seen in one frame, as strips across one axis. */
typedef struct {
  float change[CAMERA_MAX_STRIPS]; /* change and foreground, in grey levels */
  float edges[CAMERA_MAX_STRIPS];  /* contrast above the usual, adds up to 1 or 0 */
  float mass;                      /* sum of @change */
} CameraEvidence;

/* What the cells of the grids usually show. */
typedef struct {
  float luma[CAMERA_CELLS];
  float u[CAMERA_CHROMA_CELLS];
  float v[CAMERA_CHROMA_CELLS];
} CameraBackground;

/* One direction the crop can move in. Positions are the centre of the crop, as a fraction of the picture. */
typedef struct {
  gboolean vertical;
  guint n_strips;
  guint n_positions; /* 1: it cannot move */
  double size;       /* of the crop, as a fraction */
  double first;
  double step;
  float weights[CAMERA_POSITIONS][CAMERA_MAX_STRIPS];
  float prior[CAMERA_POSITIONS];
} CameraAxis;

void camera_axis_init (CameraAxis *self, gboolean vertical, double size, double rest);
double camera_axis_get_position (const CameraAxis *self, guint index);
double camera_axis_clamp (const CameraAxis *self, double position);
void camera_axis_look (const CameraAxis *self, const DerushFrameFeatures *frame, CameraEvidence *evidence);
void camera_axis_add_foreground (const CameraAxis *self, const DerushFrameFeatures *frame,
                                 const CameraBackground *background, float weight, CameraEvidence *evidence);
void camera_axis_score (const CameraAxis *self, const CameraEvidence *evidence, float scale, float *scores);
void camera_axis_advance (const CameraAxis *self, float *totals, const float *scores, double duration, guint8 *back);
guint camera_axis_get_best (const CameraAxis *self, const float *totals);
float camera_foreground_weight (double global_motion);

/* What a shot has to show at least, in grey levels summed over the strips, to be followed at all. */
#define CAMERA_LEAST_MASS 8.0f
/* A crop that rests holds a subject up to that many dead zones off its middle. */
#define CAMERA_REST_ZONES 2.5
/* Frames further apart count as this far, in seconds. */
#define CAMERA_LONGEST_FRAME 0.2

G_END_DECLS
