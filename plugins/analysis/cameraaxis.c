/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "camera-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where to look: strips that change, and that differ from what the place usually shows while the camera stands still,
 * weighed by a window of the size of the crop that is highest in its middle. The track through the positions that
 * gathers the most, less what every move costs, is the subject (dynamic programming). So a subject that stops stays
 * the subject as long as nothing of its weight happens elsewhere, and the crop stays where it is when nothing happens.
 */

/* What it costs to move by the size of the crop: a second of a full-weight subject is 1. */
#define MOVE_COST 0.25f
/* What a second at half a crop beside the place of rest costs. */
#define PRIOR 0.05f
/* The weight of contrast beside that of change. */
#define EDGE_WEIGHT 0.02f
/* Change below that, in grey levels, is noise. */
#define CHANGE_FLOOR 0.25f
/* A cell that differs less from the background is background, in grey levels. */
#define FOREGROUND_FLOOR 4.0f
/* Chroma varies less than luma. */
#define CHROMA_WEIGHT 1.0f
/* Global motion (picture lengths per second) from which on there is no background. */
#define MOVING_CAMERA 0.03

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *)a, y = *(const float *)b;

  return (x > y) - (x < y);
}

static float
median_of (const float *values, guint count)
{
  float sorted[CAMERA_CELLS];

  memcpy (sorted, values, count * sizeof (float));
  qsort (sorted, count, sizeof (float), compare_floats);
  return sorted[count / 2];
}

void
camera_axis_init (CameraAxis *self, gboolean vertical, double size, double rest)
{
  double half, range;

  memset (self, 0, sizeof (*self));
  self->vertical = vertical;
  self->n_strips = vertical ? DERUSH_STRIP_ROWS : DERUSH_STRIP_COLUMNS;
  self->size = CLAMP (size, 1e-3, 1.0);
  half = self->size / 2;
  range = 1 - self->size;
  self->n_positions = range > 1e-6 ? CAMERA_POSITIONS : 1;
  self->first = half;
  self->step = range / MAX (1, self->n_positions - 1);
  rest = camera_axis_clamp (self, rest);
  for (guint p = 0; p < self->n_positions; p++) {
    double centre = camera_axis_get_position (self, p);

    /* A crop narrower than a strip still looks at the strips around it. */
    for (guint i = 0; i < self->n_strips; i++) {
      double off = fabs ((i + 0.5) / self->n_strips - centre) / MAX (half, 1.0 / self->n_strips);

      self->weights[p][i] = off < 1 ? (float)pow (cos (G_PI / 2 * off), 2) : 0;
    }
    self->prior[p] = -PRIOR * (float)pow ((centre - rest) / half, 2);
  }
}

double
camera_axis_get_position (const CameraAxis *self, guint index)
{
  return self->first + index * self->step;
}

double
camera_axis_clamp (const CameraAxis *self, double position)
{
  return CLAMP (position, self->size / 2, 1 - self->size / 2);
}

/* A camera that moves by less than the frame meter follows changes every edge alike: that much is taken off. */
void
camera_axis_look (const CameraAxis *self, const DerushFrameFeatures *frame, CameraEvidence *evidence)
{
  const guint8 *change = self->vertical ? frame->change_rows : frame->change_columns;
  const guint8 *edges = self->vertical ? frame->edge_rows : frame->edge_columns;
  float ratios[CAMERA_MAX_STRIPS], usual, usual_edge, sum = 0;

  memset (evidence, 0, sizeof (*evidence));
  for (guint i = 0; i < self->n_strips; i++) {
    evidence->change[i] = derush_strip_decode (change[i]);
    evidence->edges[i] = derush_strip_decode (edges[i]);
    ratios[i] = evidence->change[i] / (evidence->edges[i] + 1);
  }
  usual = median_of (ratios, self->n_strips);
  usual_edge = median_of (evidence->edges, self->n_strips);
  for (guint i = 0; i < self->n_strips; i++) {
    float explained = usual * (evidence->edges[i] + 1) + CHANGE_FLOOR;

    evidence->change[i] = MAX (0, evidence->change[i] - explained);
    evidence->mass += evidence->change[i];
    evidence->edges[i] = MAX (0, evidence->edges[i] - usual_edge);
    sum += evidence->edges[i];
  }
  for (guint i = 0; sum > 0 && i < self->n_strips; i++)
    evidence->edges[i] /= sum;
}

/* How far a background can be known, from 0 (the camera moves) to 1 (it stands). */
float
camera_foreground_weight (double global_motion)
{
  return (float)(0.5 * MAX (0, 1 - global_motion / MOVING_CAMERA));
}

/* A change of light, which all cells share, is no foreground. */
static void
add_differences (const CameraAxis *self, const guint8 *grid, const float *usual, guint columns, guint rows,
                 float weight, CameraEvidence *evidence)
{
  guint cells = self->vertical ? rows : columns, across = self->vertical ? columns : rows;
  float differences[CAMERA_CELLS], sums[MAX (DERUSH_GRID_COLUMNS, DERUSH_GRID_ROWS)] = {0}, light;

  for (guint i = 0; i < columns * rows; i++)
    differences[i] = grid[i] - usual[i];
  light = median_of (differences, columns * rows);
  for (guint i = 0; i < columns * rows; i++)
    sums[self->vertical ? i / columns : i % columns] += MAX (0, fabsf (differences[i] - light) - FOREGROUND_FLOOR);
  for (guint i = 0; i < self->n_strips; i++) {
    float value = weight * sums[(2 * i + 1) * cells / (2 * self->n_strips)] / across;

    evidence->change[i] += value;
    evidence->mass += value;
  }
}

void
camera_axis_add_foreground (const CameraAxis *self, const DerushFrameFeatures *frame,
                            const CameraBackground *background, float weight, CameraEvidence *evidence)
{
  if (weight <= 0)
    return;
  add_differences (self, frame->luma_grid, background->luma, DERUSH_GRID_COLUMNS, DERUSH_GRID_ROWS, weight, evidence);
  add_differences (self, frame->u_grid, background->u, DERUSH_CHROMA_GRID_COLUMNS, DERUSH_CHROMA_GRID_ROWS,
                   CHROMA_WEIGHT * weight, evidence);
  add_differences (self, frame->v_grid, background->v, DERUSH_CHROMA_GRID_COLUMNS, DERUSH_CHROMA_GRID_ROWS,
                   CHROMA_WEIGHT * weight, evidence);
}

/* @scale: the mass of a subject; what is less counts less. */
void
camera_axis_score (const CameraAxis *self, const CameraEvidence *evidence, float scale, float *scores)
{
  float combined[CAMERA_MAX_STRIPS];

  scale = MAX (scale, MAX (evidence->mass, CAMERA_LEAST_MASS));
  for (guint i = 0; i < self->n_strips; i++)
    combined[i] = evidence->change[i] / scale + EDGE_WEIGHT * evidence->edges[i];
  for (guint p = 0; p < self->n_positions; p++) {
    float sum = self->prior[p];

    for (guint i = 0; i < self->n_strips; i++)
      sum += self->weights[p][i] * combined[i];
    scores[p] = sum;
  }
}

/*
 * @totals: in, of the best track to each position at the frame before; out, at this one
 * @back: from which position it came
 */
void
camera_axis_advance (const CameraAxis *self, float *totals, const float *scores, double duration, guint8 *back)
{
  float cost = MOVE_COST * (float)(self->step / self->size), seconds = (float)CLAMP (duration, 0, CAMERA_LONGEST_FRAME);
  guint n = self->n_positions;

  for (guint p = 0; p < n; p++)
    back[p] = (guint8)p;
  for (guint p = 1; p < n; p++) {
    if (totals[p - 1] - cost > totals[p]) {
      totals[p] = totals[p - 1] - cost;
      back[p] = back[p - 1];
    }
  }
  for (guint p = n - 1; p-- > 0;) {
    if (totals[p + 1] - cost > totals[p]) {
      totals[p] = totals[p + 1] - cost;
      back[p] = back[p + 1];
    }
  }
  for (guint p = 0; p < n; p++)
    totals[p] += seconds * scores[p];
}

guint
camera_axis_get_best (const CameraAxis *self, const float *totals)
{
  guint best = 0;

  for (guint p = 1; p < self->n_positions; p++) {
    if (totals[p] > totals[best])
      best = p;
  }
  return best;
}
