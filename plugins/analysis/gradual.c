/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "frame-private.h"
#include "gradual-private.h"

#include <math.h>
#include <string.h>

/*
 * A gradual transition is a way from one picture to an unlike one that is straight, and busier than what lies around
 * it. Pictures are points (their grids); the way is the sum of the steps between them.
 *
 * - Straight in the sum of absolute differences: no cell turns back. So are dissolves, fades and wipes; motion is not.
 * - Straight as a Euclidean length: all cells move together. So are dissolves and fades only (linear blending).
 *
 * Windows of several lengths that end at each picture are scored; of overlapping ones the best stays.
 */

/* Pictures are this far apart at least, in seconds: single frames judder, as animation on twos does. */
#define STEP 0.06
/* Steps on either side that tell how busy it is around a window. */
#define FLANK 3
#define MIN_STEPS 3
/* The least straightness that is worth scoring. */
#define MIN_STRAIGHTNESS 0.5
/* One step that makes most of the way is a cut. */
#define MAX_STEP_SHARE 0.6
#define MIN_DISTANCE 0.03
/* From here on, Euclidean straightness speaks of blending. */
#define BLENDED 0.8
#define THRESHOLD_BLENDED 0.13
#define THRESHOLD_WIPE 0.24
#define MAX_WIPE_DURATION 1.5
/* A picture of one shade, or with little on it, such as a title on black. */
#define BLANK_DEVIATION 0.04f
#define BLANK_BLACK 0.10f
#define BLANK_WHITE 0.90f
/* Two windows of one transition touch. */
#define TOUCHING 0.1

static const double window_durations[] = {0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8};
#define LONGEST_WINDOW 2.8
/* Decide anyhow when unsettled windows go back this far, in seconds. */
#define LONGEST_WAIT 12.0

typedef struct {
  DerushFrameFeatures features;
  guint64 frame;
  /* Length of the way since the last break. */
  double way;
  double straight_way;
  /* Change of the frames taken so far, and the part of it that motion does not explain. */
  double difference;
  double residual;
  float step;
} Picture;

typedef struct {
  guint64 first; /* numbers of pictures since the last reset */
  guint64 last;
  float score;
  DerushShotChange change;
} Window;

struct _GradualDetector {
  GArray *pictures; /* of Picture, since the last break, old ones dropped */
  guint64 dropped;  /* pictures before those */
  guint next;       /* the first picture at which no window has been ended yet */
  GArray *windows;  /* of Window, above their threshold, not settled */
  GQueue changes;
};

GradualDetector *
gradual_detector_new (void)
{
  GradualDetector *self = g_new0 (GradualDetector, 1);

  self->pictures = g_array_new (FALSE, FALSE, sizeof (Picture));
  self->windows = g_array_new (FALSE, FALSE, sizeof (Window));
  g_queue_init (&self->changes);
  return self;
}

void
gradual_detector_free (GradualDetector *self)
{
  g_queue_clear_full (&self->changes, g_free);
  g_array_unref (self->pictures);
  g_array_unref (self->windows);
  g_free (self);
}

static void
forget_pictures (GradualDetector *self)
{
  self->dropped += self->pictures->len;
  g_array_set_size (self->pictures, 0);
  self->next = 0;
}

void
gradual_detector_reset (GradualDetector *self)
{
  forget_pictures (self);
  g_array_set_size (self->windows, 0);
  g_queue_clear_full (&self->changes, g_free);
}

static inline const Picture *
picture (const GradualDetector *self, guint i)
{
  return &g_array_index (self->pictures, Picture, i);
}

static gboolean
is_blank (const DerushFrameFeatures *f)
{
  return f->luma_deviation <= BLANK_DEVIATION && (f->luma_mean <= BLANK_BLACK || f->luma_mean >= BLANK_WHITE);
}

/* Whether @other shows more than the blank picture @f does. */
static gboolean
is_blank_beside (const DerushFrameFeatures *f, const DerushFrameFeatures *other)
{
  return is_blank (f) && other->luma_deviation > 1.5f * f->luma_deviation + 0.005f;
}

static float
largest_step (const GradualDetector *self, guint first, guint last)
{
  float most = 0;

  for (guint i = first + 1; i <= last; i++)
    most = MAX (most, picture (self, i)->step);
  return most;
}

/* How fast the way goes from @first to @last against @rate; as fast where there is nothing to compare with. */
static double
relative_rate (const GradualDetector *self, guint first, guint last, double rate)
{
  if (last <= first)
    return 1;
  return (picture (self, last)->way - picture (self, first)->way) / (last - first) / rate;
}

/* Motion explains much of a pan, and nothing of a blend: 1 where it explains less than two fifths. */
static double
unexplained (const Picture *from, const Picture *to)
{
  double difference = to->difference - from->difference;

  return difference > 0 ? MIN (1, (to->residual - from->residual) / difference / 0.6) : 1;
}

/* The first picture of the window at which @share of the way is done. */
static const Picture *
picture_at (const GradualDetector *self, guint first, guint last, double share)
{
  double start = picture (self, first)->way, whole = picture (self, last)->way - start;

  for (guint i = first + 1; i < last; i++) {
    if (picture (self, i)->way - start >= share * whole)
      return picture (self, i);
  }
  return picture (self, last);
}

static void
describe (const GradualDetector *self, guint first, guint last, gboolean blended, DerushShotChange *change)
{
  const Picture *from = picture (self, first), *to = picture (self, last), *at;

  if (is_blank_beside (&from->features, &to->features)) {
    change->transition = DERUSH_TRANSITION_FADE_IN;
    at = picture_at (self, first, last, 0.1);
  } else if (is_blank_beside (&to->features, &from->features)) {
    change->transition = DERUSH_TRANSITION_FADE_OUT;
    at = picture_at (self, first, last, 0.9);
  } else {
    change->transition = blended ? DERUSH_TRANSITION_DISSOLVE : DERUSH_TRANSITION_WIPE;
    at = picture_at (self, first, last, 0.5);
  }
  change->time = at->features.time;
  change->frame = at->frame;
  change->transition_start = from->features.time;
  change->transition_end = to->features.time;
}

static void
score_window (GradualDetector *self, guint first, guint last)
{
  const Picture *from = picture (self, first), *to = picture (self, last);
  double way = to->way - from->way, straight_way = to->straight_way - from->straight_way;
  guint before = first > FLANK ? first - FLANK : 0, after = MIN (last + FLANK, self->pictures->len - 1);
  double straightness, rate, unlike, contrast, score, threshold;
  float distance, length, correlation;
  gboolean blended;
  Window window = {.first = self->dropped + first, .last = self->dropped + last};

  frame_features_distances (&from->features, &to->features, &distance, &length);
  if (distance < MIN_DISTANCE || distance < MIN_STRAIGHTNESS * way ||
      largest_step (self, first, last) > MAX_STEP_SHARE * distance)
    return;
  straightness = MIN (1, distance / way);
  blended = length >= BLENDED * straight_way;
  if (!blended && to->features.time - from->features.time > MAX_WIPE_DURATION)
    return;
  correlation = frame_features_correlation (&from->features, &to->features);
  unlike = 1 - MAX (0, correlation) * MAX (0, correlation);
  contrast = MIN (1, distance / (0.02 + from->features.luma_deviation + to->features.luma_deviation));
  rate = distance / (last - first);
  score = contrast * straightness * straightness * unlike /
          (1 + relative_rate (self, before, first, rate) + relative_rate (self, last, after, rate));
  if (blended)
    score *= unexplained (from, to) * unexplained (from, to);
  threshold = blended ? THRESHOLD_BLENDED : THRESHOLD_WIPE;
  window.score = score / threshold;
  if (window.score < 1)
    return;
  describe (self, first, last, blended, &window.change);
  window.change.score = window.score;
  g_array_append_val (self->windows, window);
}

static void
score_windows_ending_at (GradualDetector *self, guint last)
{
  double end = picture (self, last)->features.time;
  guint first = last;

  for (guint i = 0; i < G_N_ELEMENTS (window_durations); i++) {
    while (first > 0 && end - picture (self, first)->features.time < window_durations[i] - STEP / 2)
      first--;
    if (end - picture (self, first)->features.time < window_durations[i] - STEP / 2)
      return;
    if (last - first >= MIN_STEPS)
      score_window (self, first, last);
  }
}

/* ── Settling which windows stay ────────────────────────────────────────── */

static int
compare_scores (gconstpointer a, gconstpointer b)
{
  const Window *p = a, *q = b;

  if (p->score != q->score)
    return p->score < q->score ? 1 : -1;
  return p->first < q->first ? -1 : p->first > q->first;
}

static int
compare_starts (gconstpointer a, gconstpointer b)
{
  const Window *p = a, *q = b;

  return p->first < q->first ? -1 : p->first > q->first;
}

static gboolean
overlaps_one (GArray *kept, const Window *window)
{
  for (guint i = 0; i < kept->len; i++) {
    const Window *other = &g_array_index (kept, Window, i);

    if (window->first < other->last && window->last > other->first)
      return TRUE;
  }
  return FALSE;
}

/* A long transition may fall into several windows; what rises from black or sinks into it ends there. */
static gboolean
continues (const DerushShotChange *change, const DerushShotChange *next)
{
  if (next->transition_start - change->transition_end > TOUCHING)
    return FALSE;
  if (change->transition == DERUSH_TRANSITION_FADE_OUT)
    return next->transition == DERUSH_TRANSITION_FADE_OUT;
  if (next->transition == DERUSH_TRANSITION_FADE_IN)
    return change->transition == DERUSH_TRANSITION_FADE_IN;
  return change->transition != DERUSH_TRANSITION_FADE_IN || next->transition != DERUSH_TRANSITION_FADE_OUT;
}

static void
join (DerushShotChange *change, const DerushShotChange *next)
{
  change->transition_end = next->transition_end;
  change->score = MAX (change->score, next->score);
  if (next->transition == DERUSH_TRANSITION_FADE_OUT) {
    change->transition = next->transition;
    change->time = next->time;
    change->frame = next->frame;
  }
}

static void
settle (GradualDetector *self)
{
  g_autoptr (GArray) kept = g_array_new (FALSE, FALSE, sizeof (Window));

  g_array_sort (self->windows, compare_scores);
  for (guint i = 0; i < self->windows->len; i++) {
    const Window *window = &g_array_index (self->windows, Window, i);

    if (!overlaps_one (kept, window))
      g_array_append_val (kept, *window);
  }
  g_array_sort (kept, compare_starts);
  for (guint i = 0; i < kept->len; i++) {
    Window *window = &g_array_index (kept, Window, i);

    while (i + 1 < kept->len && continues (&window->change, &g_array_index (kept, Window, i + 1).change)) {
      join (&window->change, &g_array_index (kept, Window, i + 1).change);
      i++;
    }
    g_queue_push_tail (&self->changes, g_memdup2 (&window->change, sizeof (window->change)));
  }
  g_array_set_size (self->windows, 0);
}

static void
settle_if_final (GradualDetector *self, double now)
{
  double first = G_MAXDOUBLE, last = 0;

  for (guint i = 0; i < self->windows->len; i++) {
    const Window *window = &g_array_index (self->windows, Window, i);

    first = MIN (first, window->change.transition_start);
    last = MAX (last, window->change.transition_end);
  }
  if (self->windows->len > 0 && (now - last > LONGEST_WINDOW || now - first > LONGEST_WAIT))
    settle (self);
}

/* Drops what no window can reach any more. */
static void
drop_old_pictures (GradualDetector *self, double now)
{
  guint old = 0;

  while (old + FLANK < self->next && now - picture (self, old + FLANK)->features.time > 2 * LONGEST_WINDOW)
    old++;
  if (old < 32)
    return;
  g_array_remove_range (self->pictures, 0, old);
  self->dropped += old;
  self->next -= old;
}

/* The next frame that no flash falls on; @frame is its number. */
void
gradual_detector_push (GradualDetector *self, const DerushFrameFeatures *features, guint64 frame)
{
  Picture next = {.features = *features, .frame = frame};

  if (self->pictures->len > 0) {
    const Picture *previous = picture (self, self->pictures->len - 1);
    float step, length;

    if (features->time - previous->features.time < STEP)
      return;
    frame_features_distances (&previous->features, features, &step, &length);
    next.step = step;
    next.way = previous->way + step;
    next.straight_way = previous->straight_way + length;
    next.difference = previous->difference + features->difference;
    next.residual = previous->residual + features->residual;
  }
  g_array_append_val (self->pictures, next);
  while (self->next + FLANK < self->pictures->len)
    score_windows_ending_at (self, self->next++);
  settle_if_final (self, features->time);
  drop_old_pictures (self, features->time);
}

/* A cut or the end: what comes now has nothing to do with the pictures so far. */
void
gradual_detector_break (GradualDetector *self)
{
  while (self->next < self->pictures->len)
    score_windows_ending_at (self, self->next++);
  settle (self);
  forget_pictures (self);
}

gboolean
gradual_detector_pop (GradualDetector *self, DerushShotChange *change)
{
  g_autofree DerushShotChange *next = g_queue_pop_head (&self->changes);

  if (!next)
    return FALSE;
  *change = *next;
  return TRUE;
}
