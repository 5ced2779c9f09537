/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "plugins/analysis/analysis.h"

/* Pictures this far apart (derush_frame_features_distance()) are seen as two different ones. */
#define DIFFERENT_PICTURE 0.2f
/* What a still of a shot that is already shown counts for. */
#define SAME_SHOT 0.7f
/* Stills closer than this, in seconds, are one and the same moment. */
#define LEAST_DISTANCE 0.1

typedef struct {
  DerushStill *stills;
  const DerushFrameFeatures *frames;
  gsize n_stills;
  double *nearest_time;   /* to the chosen ones */
  float *nearest_picture; /* to the chosen ones */
  gboolean *same_shot;    /* as a chosen one */
  gboolean *is_candidate;
} Selection;

static gboolean
is_acceptable (const DerushStill *still, float min_score)
{
  return still->score >= min_score && !(still->traits & (DERUSH_STILL_BLACK | DERUSH_STILL_UNIFORM));
}

static double
value_of (const Selection *selection, gsize i, double even_distance)
{
  double picture = MIN (1, selection->nearest_picture[i] / DIFFERENT_PICTURE);
  double spread = MIN (1, selection->nearest_time[i] / MAX (even_distance, 1e-9));

  return selection->stills[i].score * (0.35 + 0.65 * picture) * (0.6 + 0.4 * spread) *
         (selection->same_shot[i] ? SAME_SHOT : 1);
}

static void
take (Selection *selection, gsize chosen)
{
  const DerushStill *stills = selection->stills;

  selection->is_candidate[chosen] = FALSE;
  for (gsize i = 0; i < selection->n_stills; i++) {
    if (!selection->is_candidate[i])
      continue;
    selection->nearest_time[i] = MIN (selection->nearest_time[i], ABS (stills[i].time - stills[chosen].time));
    selection->nearest_picture[i] =
        MIN (selection->nearest_picture[i],
             derush_frame_features_distance (&selection->frames[i], &selection->frames[chosen]));
    selection->same_shot[i] |= stills[i].shot == stills[chosen].shot;
  }
}

/* The best candidate that keeps @min_distance, or n_stills. */
static gsize
find_best (const Selection *selection, double min_distance, double even_distance)
{
  gsize best = selection->n_stills;
  double best_value = -1;

  for (gsize i = 0; i < selection->n_stills; i++) {
    double value;

    if (!selection->is_candidate[i] || selection->nearest_time[i] < min_distance)
      continue;
    value = value_of (selection, i, even_distance);
    if (value > best_value) {
      best_value = value;
      best = i;
    }
  }
  return best;
}

/**
 * derush_stills_select:
 * @stills: (array length=n_stills): scored frames in the order of time; those chosen may get %DERUSH_STILL_APART
 * @frames: (array length=n_stills): their features
 * @n_stills: their number
 * @request: what is wanted
 * @chosen: (out caller-allocates): room for @request.count indices, the best still first
 *
 * Takes one still after the other, each time the one whose score is best after what it has in common with those taken
 * before: its time, its shot, its picture. The wanted distance in time is halved when no still keeps it. Black and
 * uniform frames, and those below the wanted score, are taken only if there is nothing else at all.
 *
 * Returns: the number of stills chosen: at least one if there is a frame, at most what was asked for
 */
gsize
derush_stills_select (DerushStill *stills, const DerushFrameFeatures *frames, gsize n_stills,
                      const DerushStillRequest *request, gsize *chosen)
{
  g_autofree double *nearest_time = NULL;
  g_autofree float *nearest_picture = NULL;
  g_autofree gboolean *same_shot = NULL;
  g_autofree gboolean *is_candidate = NULL;
  Selection selection = {stills, frames, n_stills, NULL, NULL, NULL, NULL};
  double even_distance, min_distance;
  gsize n = 0, acceptable = 0;

  if (n_stills == 0 || request->count == 0)
    return 0;
  selection.nearest_time = nearest_time = g_new (double, n_stills);
  selection.nearest_picture = nearest_picture = g_new (float, n_stills);
  selection.same_shot = same_shot = g_new0 (gboolean, n_stills);
  selection.is_candidate = is_candidate = g_new (gboolean, n_stills);
  for (gsize i = 0; i < n_stills; i++) {
    nearest_time[i] = G_MAXDOUBLE;
    nearest_picture[i] = 1;
    is_candidate[i] = is_acceptable (&stills[i], request->min_score);
    acceptable += is_candidate[i];
  }
  for (gsize i = 0; i < n_stills && acceptable == 0; i++)
    is_candidate[i] = TRUE;

  even_distance = (stills[n_stills - 1].time - stills[0].time) / request->count;
  min_distance = request->min_distance > 0 ? request->min_distance : even_distance / 2;
  while (n < request->count) {
    gsize best = find_best (&selection, min_distance, even_distance);

    if (best < n_stills) {
      chosen[n++] = best;
      take (&selection, best);
    } else if (min_distance > LEAST_DISTANCE) {
      min_distance /= 2;
    } else {
      break;
    }
  }
  for (gsize i = 0; i < n && n > 1; i++) {
    float nearest = 1;

    for (gsize k = 0; k < n; k++)
      if (k != i)
        nearest = MIN (nearest, derush_frame_features_distance (&frames[chosen[i]], &frames[chosen[k]]));
    if (nearest >= DIFFERENT_PICTURE)
      stills[chosen[i]].traits |= DERUSH_STILL_APART;
  }
  return n;
}
