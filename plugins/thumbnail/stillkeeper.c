/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "stillkeeper.h"

#include <math.h>

/* Frames closer than this, in seconds, compete for one place while they wait for what comes after them. */
#define SLOT 0.1
/* Frames further apart than this, in seconds, say nothing about motion. */
#define NEIGHBOUR_DISTANCE 0.2

struct _StillKeeper {
  StillCopyFunc copy;
  gpointer user_data;
  GDestroyNotify free_frame;
  double first_window, window; /* seconds; 0 capacity: fixed, else doubled whenever there are too many */
  guint capacity;

  DerushStillScale scale;
  DerushStillBreaks breaks;     /* at once, but cuts and flashes only */
  DerushShotDetector *detector; /* some seconds late, and gradual transitions, too */
  double last_break;
  guint shot;
  double latest;

  GArray *waiting; /* KeptStill: candidates whose neighbourhood ahead is not known yet */
  GArray *kept;    /* KeptStill: the best of each window so far */
};

static void
kept_still_clear (StillKeeper *self, KeptStill *kept)
{
  if (kept->frame != NULL)
    g_clear_pointer (&kept->frame, self->free_frame);
}

static void
clear_array (StillKeeper *self, GArray *array)
{
  for (guint i = 0; i < array->len; i++)
    kept_still_clear (self, &g_array_index (array, KeptStill, i));
  g_array_set_size (array, 0);
}

/**
 * still_keeper_new:
 * @window: the best frame of each window of so many seconds is kept
 * @capacity: most frames to keep, at least 2; windows are doubled whenever there are more. 0: no limit, for a caller
 *     that takes what is settled
 * @copy: makes of a pushed frame what can be kept; may answer %NULL to refuse it
 * @user_data: for @copy
 * @free_frame: frees what @copy made
 *
 * Besides what is kept, a few frames wait until it is known that no transition follows within
 * %DERUSH_STILL_CUT_DISTANCE.
 *
 * Returns: (transfer full): a keeper
 */
StillKeeper *
still_keeper_new (double window, guint capacity, StillCopyFunc copy, gpointer user_data, GDestroyNotify free_frame)
{
  StillKeeper *self = g_new0 (StillKeeper, 1);

  self->first_window = window;
  self->capacity = capacity;
  self->detector = derush_shot_detector_new (NULL);
  self->copy = copy;
  self->user_data = user_data;
  self->free_frame = free_frame;
  self->waiting = g_array_new (FALSE, FALSE, sizeof (KeptStill));
  self->kept = g_array_new (FALSE, FALSE, sizeof (KeptStill));
  still_keeper_reset (self);
  return self;
}

void
still_keeper_free (StillKeeper *self)
{
  still_keeper_reset (self);
  g_array_unref (self->waiting);
  g_array_unref (self->kept);
  derush_shot_detector_free (self->detector);
  g_free (self);
}

void
still_keeper_reset (StillKeeper *self)
{
  clear_array (self, self->waiting);
  clear_array (self, self->kept);
  self->window = self->first_window;
  self->scale = (DerushStillScale){{0}, 0};
  self->breaks = (DerushStillBreaks){0, 0, 0};
  derush_shot_detector_reset (self->detector);
  self->last_break = -G_MAXDOUBLE;
  self->shot = 0;
  self->latest = -G_MAXDOUBLE;
}

static void
score (StillKeeper *self, KeptStill *kept)
{
  guint shot = kept->still.shot;

  derush_still_score (&kept->still, &kept->features, &kept->context, &self->scale);
  kept->still.shot = shot;
}

static gint64
window_of (const StillKeeper *self, double time)
{
  return (gint64)floor (time / self->window);
}

/* Of two windows that become one, the better frame stays. */
static void
double_windows (StillKeeper *self)
{
  guint n = 0;

  self->window *= 2;
  still_keeper_rescore (self);
  for (guint i = 0; i < self->kept->len; i++) {
    KeptStill *kept = &g_array_index (self->kept, KeptStill, i);
    KeptStill *last = n > 0 ? &g_array_index (self->kept, KeptStill, n - 1) : NULL;

    kept->window = window_of (self, kept->features.time);
    if (last != NULL && last->window == kept->window) {
      if (kept->still.score > last->still.score) {
        KeptStill worse = *last;

        *last = *kept;
        kept_still_clear (self, &worse);
      } else {
        kept_still_clear (self, kept);
      }
    } else if (n++ != i) {
      g_array_index (self->kept, KeptStill, n - 1) = *kept;
    }
  }
  g_array_set_size (self->kept, n);
}

static void
settle (StillKeeper *self, KeptStill *candidate)
{
  KeptStill *last = self->kept->len > 0 ? &g_array_index (self->kept, KeptStill, self->kept->len - 1) : NULL;

  candidate->window = window_of (self, candidate->features.time);
  score (self, candidate);
  if (last != NULL && last->window == candidate->window) {
    score (self, last);
    if (candidate->still.score > last->still.score) {
      kept_still_clear (self, last);
      *last = *candidate;
    } else {
      kept_still_clear (self, candidate);
    }
    return;
  }
  g_array_append_val (self->kept, *candidate);
  while (self->capacity > 0 && self->kept->len > self->capacity)
    double_windows (self);
}

/* Settles what lies far enough behind @time. */
static void
settle_waiting (StillKeeper *self, double time)
{
  guint n = 0;

  while (n < self->waiting->len &&
         ABS (time - g_array_index (self->waiting, KeptStill, n).features.time) >= DERUSH_STILL_CUT_DISTANCE)
    settle (self, &g_array_index (self->waiting, KeptStill, n++));
  if (n > 0)
    g_array_remove_range (self->waiting, 0, n);
}

static void
note_break (StillKeeper *self, double time)
{
  self->last_break = time;
  self->shot++;
  for (guint i = 0; i < self->waiting->len; i++) {
    KeptStill *waiting = &g_array_index (self->waiting, KeptStill, i);

    waiting->context.transition_distance =
        MIN (waiting->context.transition_distance, ABS (time - waiting->features.time));
    score (self, waiting);
  }
}

static void
mark_transition (StillKeeper *self, GArray *array, const DerushShotChange *change)
{
  for (guint i = 0; i < array->len; i++) {
    KeptStill *kept = &g_array_index (array, KeptStill, i);
    double time = kept->features.time;
    double distance =
        time < change->transition_start ? change->transition_start - time : MAX (0, time - change->transition_end);

    if (distance < kept->context.transition_distance) {
      kept->context.transition_distance = distance;
      score (self, kept);
    }
  }
}

/* What turns out to lie within a dissolve falls behind, and other frames take its place. */
static void
note_transitions (StillKeeper *self)
{
  DerushShotChange change;

  while (derush_shot_detector_pop (self->detector, &change)) {
    mark_transition (self, self->kept, &change);
    mark_transition (self, self->waiting, &change);
    self->last_break = MAX (self->last_break, change.transition_end);
  }
}

/* Now that the next frame is known: so much does it differ. */
static void
note_difference (StillKeeper *self, const DerushFrameFeatures *next)
{
  KeptStill *last;

  if (self->waiting->len == 0)
    return;
  last = &g_array_index (self->waiting, KeptStill, self->waiting->len - 1);
  if (last->features.time == self->latest && ABS (next->time - self->latest) <= NEIGHBOUR_DISTANCE) {
    last->context.difference = MAX (last->context.difference, next->difference);
    score (self, last);
  }
}

/**
 * still_keeper_push:
 * @self: a keeper
 * @features: features of the next frame
 * @frame: the frame itself, borrowed
 *
 * Looks at the next frame of the stream and copies it if it may be the best of its window.
 */
void
still_keeper_push (StillKeeper *self, const DerushFrameFeatures *features, gpointer frame)
{
  KeptStill candidate = {*features, {-1, G_MAXDOUBLE}, {0}, NULL, 0};
  const KeptStill *best = NULL, *last_waiting = NULL;
  gboolean competes;

  derush_still_scale_add (&self->scale, features);
  note_difference (self, features);
  if (derush_still_breaks_push (&self->breaks, features))
    note_break (self, features->time);
  derush_shot_detector_push (self->detector, features);
  note_transitions (self);
  settle_waiting (self, features->time);

  if (ABS (features->time - self->latest) <= NEIGHBOUR_DISTANCE)
    candidate.context.difference = features->difference;
  candidate.context.transition_distance = ABS (features->time - self->last_break);
  candidate.still.shot = self->shot;
  candidate.window = window_of (self, features->time);
  score (self, &candidate);
  self->latest = features->time;

  if (self->kept->len > 0)
    best = &g_array_index (self->kept, KeptStill, self->kept->len - 1);
  if (best != NULL && best->window == candidate.window && best->still.score >= candidate.still.score)
    return;
  if (self->waiting->len > 0)
    last_waiting = &g_array_index (self->waiting, KeptStill, self->waiting->len - 1);
  competes = last_waiting != NULL && ABS (features->time - last_waiting->features.time) < SLOT &&
             last_waiting->window == candidate.window;
  if (competes && last_waiting->still.score >= candidate.still.score)
    return;
  candidate.frame = self->copy (frame, self->user_data);
  if (candidate.frame == NULL)
    return;
  if (competes) {
    kept_still_clear (self, &g_array_index (self->waiting, KeptStill, self->waiting->len - 1));
    g_array_set_size (self->waiting, self->waiting->len - 1);
  }
  g_array_append_val (self->waiting, candidate);
}

/**
 * still_keeper_finish:
 * @self: a keeper
 *
 * No frame follows: everything settles, with scores by the whole stream's scale of sharpness.
 */
void
still_keeper_finish (StillKeeper *self)
{
  derush_shot_detector_finish (self->detector);
  note_transitions (self);
  settle_waiting (self, G_MAXDOUBLE);
  still_keeper_rescore (self);
}

/**
 * still_keeper_rescore:
 * @self: a keeper
 *
 * Brings the scores of the kept frames up to what is known of the stream's sharpness by now.
 */
void
still_keeper_rescore (StillKeeper *self)
{
  for (guint i = 0; i < self->kept->len; i++)
    score (self, &g_array_index (self->kept, KeptStill, i));
}

guint
still_keeper_get_n_kept (StillKeeper *self)
{
  return self->kept->len;
}

KeptStill *
still_keeper_get_kept (StillKeeper *self, guint i)
{
  return &g_array_index (self->kept, KeptStill, i);
}

/**
 * still_keeper_is_settled:
 * @self: a keeper
 * @i: number of a kept frame
 *
 * Returns: whether no later frame can take the place of this one, as its window is over
 */
gboolean
still_keeper_is_settled (StillKeeper *self, guint i)
{
  const KeptStill *kept = &g_array_index (self->kept, KeptStill, i);
  gint64 next =
      self->waiting->len > 0 ? g_array_index (self->waiting, KeptStill, 0).window : window_of (self, self->latest);

  return next != kept->window;
}

/**
 * still_keeper_take:
 * @self: a keeper
 * @i: number of a kept frame
 * @kept: (out): where to store what is known of it; its frame is the caller's
 *
 * Returns: (transfer full): the frame, which is no longer kept
 */
gpointer
still_keeper_take (StillKeeper *self, guint i, KeptStill *kept)
{
  *kept = g_array_index (self->kept, KeptStill, i);
  g_array_remove_index (self->kept, i);
  return kept->frame;
}
