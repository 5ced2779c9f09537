/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "plugins/analysis/analysis.h"

#include <math.h>
#include <string.h>

/* Bins of the scale per doubling of the variance of the Laplacian. */
#define BINS_PER_DOUBLING 4
/* A film that is soft throughout has no sharp frame: the reference never goes below this variance. */
#define LEAST_REFERENCE 30.0f
/* Frames further apart than this, in seconds, say nothing about motion. */
#define NEIGHBOUR_DISTANCE 0.2

/* What each quality weighs. Without known neighbours the others share the weight of steadiness. */
#define WEIGHT_SHARPNESS 0.35f
#define WEIGHT_EXPOSURE 0.30f
#define WEIGHT_COLOURFULNESS 0.15f
#define WEIGHT_STEADINESS 0.20f

/* ── Scale of sharpness ─────────────────────────────────────────────────── */

static guint
scale_bin (float sharpness)
{
  double bin = log2 (1 + MAX (0, (double)sharpness)) * BINS_PER_DOUBLING;

  return (guint)MIN (bin, G_N_ELEMENTS (((DerushStillScale *)NULL)->counts) - 1);
}

/**
 * derush_still_scale_add:
 * @scale: the scale of a film
 * @frame: one of its frames
 *
 * Counts a frame. Black and uniform frames, which titles and leaders have many of, are left out.
 */
void
derush_still_scale_add (DerushStillScale *scale, const DerushFrameFeatures *frame)
{
  if (frame->dark > 0.9f || frame->luma_deviation < 0.02f)
    return;
  scale->counts[scale_bin (frame->sharpness)]++;
  scale->total++;
}

/**
 * derush_still_scale_get_reference:
 * @scale: the scale of a film
 *
 * Returns: the sharpness (variance of the Laplacian) that counts as fully sharp in this film: its upper quartile
 */
float
derush_still_scale_get_reference (const DerushStillScale *scale)
{
  guint64 left = (scale->total + 3) / 4;

  for (gsize i = G_N_ELEMENTS (scale->counts); i-- > 0 && scale->total > 0;) {
    if (scale->counts[i] >= left)
      return MAX (LEAST_REFERENCE, (float)(exp2 ((i + 0.5) / BINS_PER_DOUBLING) - 1));
    left -= scale->counts[i];
  }
  return LEAST_REFERENCE;
}

/* ── Breaks ─────────────────────────────────────────────────────────────── */

/**
 * derush_still_breaks_push:
 * @breaks: what the frames before left
 * @frame: the next frame
 *
 * A still needs no verdict on what happened, only distance to it: unlike a shot detector this one takes a flash for a
 * break, too, and decides at once.
 *
 * Returns: whether the picture breaks off between the previous frame and @frame
 */
gboolean
derush_still_breaks_push (DerushStillBreaks *breaks, const DerushFrameFeatures *frame)
{
  gboolean far_apart = breaks->count > 0 && ABS (frame->time - breaks->previous_time) > 1;
  gboolean is_break = FALSE;

  if (breaks->count > 0 && !far_apart) {
    float usual = MAX (breaks->usual_difference, 0.004f);

    is_break = frame->difference > 3 * usual && frame->difference > 0.03f &&
               (frame->histogram_distance > 0.2f || frame->residual > 0.08f);
    if (!is_break)
      breaks->usual_difference += (frame->difference - breaks->usual_difference) * (breaks->count < 4 ? 0.5f : 0.15f);
  }
  if (is_break || far_apart)
    breaks->usual_difference = 0.01f;
  breaks->count = is_break || far_apart ? 1 : breaks->count + 1;
  breaks->previous_time = frame->time;
  return is_break;
}

/* ── Score ──────────────────────────────────────────────────────────────── */

/* 0 at @zero, 1 at @one, linear in between and level outside; @zero may be the greater. */
static float
ramp (float value, float zero, float one)
{
  return CLAMP ((value - zero) / (one - zero), 0.0f, 1.0f);
}

static float
share_of_highlights (const DerushFrameFeatures *frame)
{
  return (frame->luma_histogram[DERUSH_LUMA_BINS - 1] + frame->luma_histogram[DERUSH_LUMA_BINS - 2]) /
         (float)G_MAXUINT16;
}

static float
score_exposure (const DerushFrameFeatures *frame)
{
  float level = MIN (ramp (frame->luma_mean, 0.05f, 0.25f), ramp (frame->luma_mean, 0.95f, 0.68f));
  float contrast = ramp (frame->luma_deviation, 0.02f, 0.18f);
  float detail = ramp (frame->entropy, 3, 7);
  float clipped = ramp (frame->clipped, 0.45f, 0.05f);

  return level * (0.3f + 0.7f * contrast * detail) * (0.4f + 0.6f * clipped);
}

/**
 * derush_still_score:
 * @still: (out): where to store the verdict
 * @frame: a frame
 * @context: what surrounds it
 * @scale: the scale of its film
 *
 * The score is the weighted mean of sharpness, exposure, colourfulness and steadiness. Faults that no quality makes up
 * for multiply it: black, blown out, of one colour, blurred, in or next to a transition.
 *
 * Sharpness is the variance of the Laplacian (Pech-Pacheco and others, 2000) on a logarithmic scale against the
 * film's upper quartile, as only frames of the same film can be compared; colourfulness is that of Hasler and
 * Süsstrunk (2003).
 */
void
derush_still_score (DerushStill *still, const DerushFrameFeatures *frame, const DerushStillContext *context,
                    const DerushStillScale *scale)
{
  float reference = derush_still_scale_get_reference (scale);
  float highlights = share_of_highlights (frame);
  float weight = WEIGHT_SHARPNESS + WEIGHT_EXPOSURE + WEIGHT_COLOURFULNESS, sum;
  float light, variety;
  gboolean in_transition = context->transition_distance < DERUSH_STILL_CUT_DISTANCE;

  memset (still, 0, sizeof (*still));
  still->time = frame->time;
  still->sharpness = CLAMP (1 + log2f (MAX (frame->sharpness, 1e-3f) / reference) / 3.3f, 0.0f, 1.0f);
  still->exposure = score_exposure (frame);
  still->colourfulness = ramp (frame->colourfulness, 0, 60);
  still->steadiness = -1;
  sum = WEIGHT_SHARPNESS * still->sharpness + WEIGHT_EXPOSURE * still->exposure +
        WEIGHT_COLOURFULNESS * still->colourfulness;
  if (context->difference >= 0) {
    float strides = context->difference / 0.03f;

    still->steadiness = 1 / (1 + strides * strides);
    sum += WEIGHT_STEADINESS * still->steadiness;
    weight += WEIGHT_STEADINESS;
  }

  /* A title on black has a bright line and a mean of next to nothing; a night scene has more than a line. */
  light = MIN (ramp (frame->dark, 0.97f, 0.7f), ramp (frame->luma_mean, 0.02f, 0.08f));
  variety = MIN (ramp (frame->luma_deviation, 0.01f, 0.06f), ramp (frame->entropy, 1, 3.5f));
  still->score = sum / weight;
  still->score *= 0.03f + 0.97f * light;
  still->score *= 0.05f + 0.95f * variety;
  still->score *= 0.1f + 0.9f * ramp (highlights, 0.75f, 0.3f);
  still->score *= 0.4f + 0.6f * ramp (still->sharpness, 0.05f, 0.4f);
  if (in_transition)
    still->score *= 0.25f;

  still->traits = (still->sharpness >= 0.7f ? DERUSH_STILL_SHARP : 0) |
                  (still->exposure >= 0.6f ? DERUSH_STILL_EXPOSED : 0) |
                  (still->colourfulness >= 0.5f ? DERUSH_STILL_COLOURFUL : 0) |
                  (still->steadiness >= 0.7f ? DERUSH_STILL_STEADY : 0) | (light < 0.35f ? DERUSH_STILL_BLACK : 0) |
                  (light >= 0.35f && frame->luma_mean < 0.15f ? DERUSH_STILL_DARK : 0) |
                  (highlights > 0.5f || frame->luma_mean > 0.88f ? DERUSH_STILL_BRIGHT : 0) |
                  (light >= 0.35f && variety < 0.3f ? DERUSH_STILL_UNIFORM : 0) |
                  (light >= 0.35f && variety >= 0.3f && still->sharpness < 0.25f ? DERUSH_STILL_BLURRED : 0) |
                  (still->steadiness >= 0 && still->steadiness < 0.25f ? DERUSH_STILL_MOVING : 0) |
                  (in_transition ? DERUSH_STILL_TRANSITION : 0);
  if (still->traits & (DERUSH_STILL_BLACK | DERUSH_STILL_UNIFORM))
    still->traits &= ~(guint)(DERUSH_STILL_SHARP | DERUSH_STILL_EXPOSED | DERUSH_STILL_COLOURFUL | DERUSH_STILL_STEADY);
}

/* ── Films ──────────────────────────────────────────────────────────────── */

static float
difference_to_neighbours (const DerushFrameFeatures *frames, gsize n_frames, gsize i)
{
  float difference = -1;

  if (i > 0 && frames[i].time - frames[i - 1].time <= NEIGHBOUR_DISTANCE)
    difference = frames[i].difference;
  if (i + 1 < n_frames && frames[i + 1].time - frames[i].time <= NEIGHBOUR_DISTANCE)
    difference = MAX (difference, frames[i + 1].difference);
  return difference;
}

static double
distance_to_span (double time, const DerushStillSpan *span)
{
  return time < span->start ? span->start - time : MAX (0, time - span->end);
}

/**
 * derush_stills_score_film:
 * @stills: (out caller-allocates) (array length=n_frames): where to store the verdicts
 * @frames: (array length=n_frames): the frames of a film in the order of time, all of them or samples
 * @n_frames: their number
 * @transitions: (array length=n_transitions) (nullable): cuts and gradual transitions that are known, in the order of
 *   time
 * @n_transitions: their number
 *
 * Scores each frame of a film. Breaks between neighbouring frames are found here and need not be among @transitions.
 */
void
derush_stills_score_film (DerushStill *stills, const DerushFrameFeatures *frames, gsize n_frames,
                          const DerushStillSpan *transitions, gsize n_transitions)
{
  g_autofree double *distances = g_new (double, MAX (n_frames, 1));
  g_autofree guint *shots = g_new (guint, MAX (n_frames, 1));
  DerushStillScale scale = {{0}, 0};
  DerushStillBreaks breaks = {0, 0, 0};
  double last_break = -G_MAXDOUBLE, next_break = G_MAXDOUBLE;
  gsize transition = 0;
  guint shot = 0;

  for (gsize i = 0; i < n_frames; i++) {
    double time = frames[i].time;

    derush_still_scale_add (&scale, &frames[i]);
    while (transition < n_transitions && transitions[transition].start <= time) {
      if (last_break < transitions[transition].start - DERUSH_STILL_CUT_DISTANCE)
        shot++;
      last_break = MAX (last_break, transitions[transition].start);
      transition++;
    }
    if (derush_still_breaks_push (&breaks, &frames[i])) {
      if (last_break < time - DERUSH_STILL_CUT_DISTANCE)
        shot++;
      last_break = time;
      distances[i] = -1;
    } else {
      distances[i] = time - last_break;
    }
    shots[i] = shot;
    for (gsize k = transition > 2 ? transition - 2 : 0; k < MIN (transition + 1, n_transitions); k++)
      distances[i] = distances[i] < 0 ? distances[i] : MIN (distances[i], distance_to_span (time, &transitions[k]));
  }
  for (gsize i = n_frames; i-- > 0;) {
    DerushStillContext context = {difference_to_neighbours (frames, n_frames, i), 0};

    if (distances[i] < 0) {
      next_break = frames[i].time;
      distances[i] = 0;
    }
    context.transition_distance = MIN (distances[i], next_break - frames[i].time);
    derush_still_score (&stills[i], &frames[i], &context, &scale);
    stills[i].shot = shots[i];
  }
}

/**
 * derush_still_list_reasons:
 * @traits: #DerushStillTraits of a still
 * @reasons: (out): where to store the words
 *
 * Returns: the number of reasons: what speaks for and against a still, in plain English words
 */
guint
derush_still_list_reasons (guint traits, const char *reasons[DERUSH_STILL_MAX_REASONS])
{
  static const char *const words[DERUSH_STILL_MAX_REASONS] = {
      "sharp",      "well exposed",  "colourful", "steady", "unlike the others", "black", "dark",
      "too bright", "of one colour", "blurred",   "moving", "near a cut",
  };
  guint n = 0;

  for (guint i = 0; i < DERUSH_STILL_MAX_REASONS; i++)
    if (traits & (1u << i))
      reasons[n++] = words[i];
  return n;
}
