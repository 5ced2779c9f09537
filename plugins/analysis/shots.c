/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "frame-private.h"
#include "gradual-private.h"

#include <math.h>
#include <string.h>

/*
 * A cut is a frame that differs from the one before by what motion does not explain (block-compensated residual, taken
 * against the contrast of the two pictures) and in its colours (histograms); both together, and by far more than the
 * frames around it do. After a flash the picture is what it was before. Gradual transitions: gradual.c.
 */

/* The frames around a candidate, in seconds to either side, and how many at least. */
#define WINDOW 0.25
#define MIN_NEIGHBOURS 3
/* Of two changes this near only the greater can be a cut. */
#define NEAREST 0.09
#define LEAST_NEAREST 2
/* The longest flash, and how near the picture after it must be to the one before, against the flash itself. */
#define FLASH 0.35
#define ALIKE 0.35
/* What a moving still is added to the frames around, so that a silent scene does not fire at the faintest change. */
#define FLOOR 0.02
/* Correlation of the layouts before and after: the same picture in another light, and one that can be another. */
#define SAME_LAYOUT 0.9f
#define OTHER_LAYOUT 0.65f
/* A cut changes more of the picture than a caption does. */
#define LEAST_SPREAD 0.25f
/* How far around a jump to look whether the way goes on, and what going on means. */
#define STEPS 0.12
#define GOES_ON 2
/* Of the least score and of the threshold, in quiet scenes. */
#define QUIET_SHARE 0.3
#define QUIET_FACTOR 2.4
/* Repeated frames (animation on twos, pulldown) say nothing about how busy a scene is. */
#define REPEATED 0.0008f
#define MIN_DISTINCT_SHARE 0.2

typedef struct {
  DerushFrameFeatures features;
  float score;
  gboolean in_flash;
} Frame;

struct _DerushShotDetector {
  DerushShotOptions options;
  GArray *frames; /* of Frame, those still needed */
  guint64 dropped;
  guint next; /* the first undecided frame */
  GradualDetector *gradual;
  GQueue changes;
  double first_time;
  double last_change;
  DerushShotChange held; /* a fade-out, until it is known that no fade-in follows at once */
  gboolean holds;
  gboolean opens_with_fade;
};

static const char *const transition_names[] = {"cut", "fade-in", "fade-out", "dissolve", "wipe"};

G_STATIC_ASSERT (G_N_ELEMENTS (transition_names) == DERUSH_N_TRANSITIONS);

/**
 * derush_transition_to_string:
 * @transition: a transition
 *
 * Returns: (transfer none): `cut`, `fade-in`, `fade-out`, `dissolve` or `wipe`
 */
const char *
derush_transition_to_string (DerushTransition transition)
{
  g_return_val_if_fail ((guint)transition < DERUSH_N_TRANSITIONS, "cut");
  return transition_names[transition];
}

/**
 * derush_shot_options_init:
 * @options: (out caller-allocates): filled with the defaults: threshold 2.5, least score 0.2, 0.25 s, all transitions
 */
void
derush_shot_options_init (DerushShotOptions *options)
{
  *options = (DerushShotOptions){
      .threshold = 2.5, .min_score = 0.2, .min_duration = 0.25, .transitions = DERUSH_ALL_TRANSITIONS};
}

/**
 * derush_shot_detector_new:
 * @options: (nullable): how to decide; %NULL for the defaults
 *
 * Returns: (transfer full): a detector that has seen no frame
 */
DerushShotDetector *
derush_shot_detector_new (const DerushShotOptions *options)
{
  DerushShotDetector *self = g_new0 (DerushShotDetector, 1);

  derush_shot_options_init (&self->options);
  if (options)
    self->options = *options;
  self->frames = g_array_new (FALSE, FALSE, sizeof (Frame));
  self->gradual = gradual_detector_new ();
  g_queue_init (&self->changes);
  derush_shot_detector_reset (self);
  return self;
}

/**
 * derush_shot_detector_free:
 * @detector: (transfer full): a detector
 */
void
derush_shot_detector_free (DerushShotDetector *detector)
{
  g_queue_clear_full (&detector->changes, g_free);
  gradual_detector_free (detector->gradual);
  g_array_unref (detector->frames);
  g_free (detector);
}

/**
 * derush_shot_detector_set_options:
 * @detector: a detector
 * @options: how to decide from the next undecided frame on
 */
void
derush_shot_detector_set_options (DerushShotDetector *detector, const DerushShotOptions *options)
{
  detector->options = *options;
}

/**
 * derush_shot_detector_reset:
 * @detector: a detector
 *
 * Forgets the frames so far, as after a seek: the next frame is the first of a film, and has number 0.
 */
void
derush_shot_detector_reset (DerushShotDetector *detector)
{
  g_array_set_size (detector->frames, 0);
  detector->dropped = 0;
  detector->next = 0;
  gradual_detector_reset (detector->gradual);
  g_queue_clear_full (&detector->changes, g_free);
  detector->last_change = -G_MAXDOUBLE;
  detector->holds = FALSE;
  detector->opens_with_fade = FALSE;
}

static inline Frame *
frame (const DerushShotDetector *self, guint i)
{
  return &g_array_index (self->frames, Frame, i);
}

static inline double
time_of (const DerushShotDetector *self, guint i)
{
  return frame (self, i)->features.time;
}

static float
score_of_change (const DerushFrameFeatures *f, const DerushFrameFeatures *previous)
{
  double contrast = (f->luma_deviation + previous->luma_deviation) / 2;
  double unexplained = MIN (1, f->residual / (0.02 + contrast));

  return sqrt (f->histogram_distance * unexplained);
}

/* ── Reporting ──────────────────────────────────────────────────────────── */

static void
report (DerushShotDetector *self, const DerushShotChange *change)
{
  if ((self->options.transitions & (1u << change->transition)) == 0)
    return;
  self->last_change = change->time;
  g_queue_push_tail (&self->changes, g_memdup2 (change, sizeof (*change)));
}

static void
release (DerushShotDetector *self)
{
  if (self->holds)
    report (self, &self->held);
  self->holds = FALSE;
}

/* Changes come in the order of time. Of two that are too near, the first stays, unless it only faded out. */
static void
consider (DerushShotDetector *self, const DerushShotChange *change)
{
  if (self->holds && change->time - self->held.time < self->options.min_duration)
    self->holds = FALSE;
  release (self);
  if (change->time - self->last_change < self->options.min_duration)
    return;
  /* The film rises out of black: that is how its first shot begins. */
  if (change->transition == DERUSH_TRANSITION_FADE_IN && self->last_change == -G_MAXDOUBLE &&
      change->time - self->first_time < 1) {
    self->opens_with_fade = TRUE;
    return;
  }
  if (change->transition == DERUSH_TRANSITION_FADE_OUT) {
    self->held = *change;
    self->holds = TRUE;
  } else {
    report (self, change);
  }
}

static void
take_gradual_changes (DerushShotDetector *self)
{
  DerushShotChange change;

  while (gradual_detector_pop (self->gradual, &change))
    consider (self, &change);
}

/* ── Deciding ───────────────────────────────────────────────────────────── */

static int
compare_floats (gconstpointer a, gconstpointer b)
{
  float p = *(const float *)a, q = *(const float *)b;

  return p < q ? -1 : p > q;
}

/* The frames from @from on (towards @step) within @seconds of frame @i, at least @least of them. */
static guint
count_within (const DerushShotDetector *self, guint i, int step, double seconds, guint least)
{
  guint n = 0, available = step < 0 ? i : self->frames->len - 1 - i;

  while (n < available &&
         (n < least || fabs (time_of (self, i + step * (int)(n + 1)) - time_of (self, i)) <= seconds + 0.001))
    n++;
  return n;
}

/* The median score of the frames from @first to @last but for @left_out, repeated ones left out as well. */
static float
median_score (const DerushShotDetector *self, guint first, guint last, guint left_out)
{
  g_autofree float *scores = g_new (float, last - first + 1);
  guint n = 0, all = 0;

  for (guint i = first; i <= last; i++) {
    if (i == left_out || self->dropped + i == 0)
      continue;
    all++;
    if (frame (self, i)->features.difference >= REPEATED)
      scores[n++] = frame (self, i)->score;
  }
  if (n == 0 || n < MIN_DISTINCT_SHARE * all)
    return 0;
  qsort (scores, n, sizeof (float), compare_floats);
  return scores[n / 2];
}

/* How much changes around frame @i, and on the busier side of it. */
static void
scores_around (const DerushShotDetector *self, guint i, float *around, float *busier)
{
  guint first = i - count_within (self, i, -1, WINDOW, MIN_NEIGHBOURS);
  guint last = i + count_within (self, i, 1, WINDOW, MIN_NEIGHBOURS);

  *around = median_score (self, first, last, i);
  *busier = MAX (median_score (self, first, i, i), median_score (self, i, last, i));
}

static gboolean
is_greatest_nearby (const DerushShotDetector *self, guint i)
{
  guint before = count_within (self, i, -1, NEAREST, LEAST_NEAREST);
  guint after = count_within (self, i, 1, NEAREST, LEAST_NEAREST);

  for (guint j = i - before; j <= i + after; j++) {
    if (frame (self, j)->score > frame (self, i)->score || (j < i && frame (self, j)->score == frame (self, i)->score))
      return FALSE;
  }
  return TRUE;
}

/* How many frames the flash that begins with frame @i lasts; 0 if none does. */
static guint
length_of_flash (const DerushShotDetector *self, guint i)
{
  const DerushFrameFeatures *before = &frame (self, i - 1)->features;
  float jump = derush_frame_features_distance (before, &frame (self, i)->features);

  for (guint k = 1; i + k < self->frames->len && time_of (self, i + k) - time_of (self, i) <= FLASH; k++) {
    if (derush_frame_features_distance (before, &frame (self, i + k)->features) < ALIKE * jump)
      return k;
  }
  return 0;
}

/* Whether the jump at frame @i is but a step of a longer way, as the first or last one of a fade. */
static gboolean
is_part_of_more (const DerushShotDetector *self, guint i)
{
  const DerushFrameFeatures *before = &frame (self, i - 1)->features, *after = &frame (self, i)->features;
  guint back = count_within (self, i, -1, STEPS, MIN_NEIGHBOURS), on = count_within (self, i, 1, STEPS, MIN_NEIGHBOURS);
  float jump = derush_frame_features_distance (before, after);

  return derush_frame_features_distance (before, &frame (self, i + on)->features) > GOES_ON * jump ||
         derush_frame_features_distance (&frame (self, i - back)->features, after) > GOES_ON * jump;
}

/* How far beyond what a cut needs frame @i is; below 1 it is none. */
static double
cut_score (const DerushShotDetector *self, guint i)
{
  const DerushShotOptions *options = &self->options;
  float score = frame (self, i)->score, around, busier;
  float alike = frame_features_correlation (&frame (self, i - 1)->features, &frame (self, i)->features);

  scores_around (self, i, &around, &busier);
  if (alike >= SAME_LAYOUT ||
      frame_features_spread (&frame (self, i - 1)->features, &frame (self, i)->features) < LEAST_SPREAD)
    return 0;
  if (score >= options->min_score)
    return MIN (score / options->min_score, score / (options->threshold * around + FLOOR));
  /* In dark and flat scenes little changes, but where next to nothing did, and into something else. What rises from
   * black is busy on one side. */
  if (score >= QUIET_SHARE * options->min_score && alike <= OTHER_LAYOUT)
    return MIN (score / (QUIET_SHARE * options->min_score),
                score / (QUIET_FACTOR * options->threshold * busier + FLOOR));
  return 0;
}

static void
decide (DerushShotDetector *self, guint i)
{
  Frame *current = frame (self, i);
  double least = QUIET_SHARE * self->options.min_score, score;

  if (i == 0)
    return;
  if (!current->in_flash && current->score >= least) {
    guint flash = length_of_flash (self, i);

    for (guint k = 0; k < flash; k++)
      frame (self, i + k)->in_flash = TRUE;
  }
  if (current->in_flash || frame (self, i - 1)->in_flash || current->score < least)
    return;
  score = cut_score (self, i);
  if (score >= 1 && is_greatest_nearby (self, i) && !is_part_of_more (self, i)) {
    DerushShotChange change = {
        .time = time_of (self, i),
        .frame = self->dropped + i,
        .transition = DERUSH_TRANSITION_CUT,
        .score = score,
        .transition_start = time_of (self, i - 1),
        .transition_end = time_of (self, i),
    };

    gradual_detector_break (self->gradual);
    take_gradual_changes (self);
    consider (self, &change);
  }
}

static void
decide_next (DerushShotDetector *self)
{
  guint i = self->next++;

  decide (self, i);
  if (!frame (self, i)->in_flash)
    gradual_detector_push (self->gradual, &frame (self, i)->features, self->dropped + i);
  take_gradual_changes (self);
}

/**
 * derush_shot_detector_push:
 * @detector: a detector
 * @features: the next frame; one that goes back in time is taken to be at the time of the frame before
 *
 * A cut is known about 0.4 seconds of the film later, a gradual transition up to 4 seconds after its end, and a fade
 * to black when its successor is. Changes are given in the order of time, so that of a transition may hold back none
 * but later ones.
 */
void
derush_shot_detector_push (DerushShotDetector *detector, const DerushFrameFeatures *features)
{
  Frame next = {.features = *features};
  guint count = detector->frames->len;

  if (count == 0) {
    detector->first_time = features->time;
  } else {
    next.features.time = MAX (features->time, time_of (detector, count - 1));
    next.score = score_of_change (features, &frame (detector, count - 1)->features);
  }
  g_array_append_val (detector->frames, next);
  while (detector->next + MIN_NEIGHBOURS < detector->frames->len &&
         next.features.time - time_of (detector, detector->next) > MAX (FLASH, WINDOW))
    decide_next (detector);
  if (detector->holds && features->time - detector->held.time > 2 * detector->options.min_duration + 4)
    release (detector);
  if (detector->next > 256) {
    guint old = detector->next;

    while (old > 0 && (detector->next - old < MIN_NEIGHBOURS + 1 ||
                       time_of (detector, detector->next) - time_of (detector, old) < 2 * WINDOW))
      old--;
    g_array_remove_range (detector->frames, 0, old);
    detector->dropped += old;
    detector->next -= old;
  }
}

/**
 * derush_shot_detector_finish:
 * @detector: a detector
 *
 * Decides about the frames that are left. To go on, reset first.
 */
void
derush_shot_detector_finish (DerushShotDetector *detector)
{
  double end = detector->frames->len > 0 ? time_of (detector, detector->frames->len - 1) : 0;

  while (detector->next < detector->frames->len)
    decide_next (detector);
  gradual_detector_break (detector->gradual);
  take_gradual_changes (detector);
  /* Nothing but black after it: the film is over, no shot begins. */
  if (detector->holds && end - detector->held.time < MAX (1, detector->options.min_duration))
    detector->holds = FALSE;
  release (detector);
}

/**
 * derush_shot_detector_pop:
 * @detector: a detector
 * @change: (out caller-allocates): the next shot change in the order of time
 *
 * Returns: %FALSE if no further change is known yet
 */
gboolean
derush_shot_detector_pop (DerushShotDetector *detector, DerushShotChange *change)
{
  g_autofree DerushShotChange *next = g_queue_pop_head (&detector->changes);

  if (!next)
    return FALSE;
  *change = *next;
  return TRUE;
}

/**
 * derush_shot_detector_opens_with_fade:
 * @detector: a detector
 *
 * Returns: whether the first shot rises out of black (known some seconds later)
 */
gboolean
derush_shot_detector_opens_with_fade (DerushShotDetector *detector)
{
  return detector->opens_with_fade;
}

/**
 * derush_shots_find:
 * @frames: (array length=n_frames): all frames of a film
 * @n_frames: their number, may be 0
 * @duration: of the film in seconds; the last shot ends there, or at the last frame if that is later
 * @options: (nullable): how to decide; %NULL for the defaults
 *
 * Returns: (transfer full) (element-type DerushShot): the shots, without gaps from the first frame to the end; none if
 *   there is no frame
 */
GArray *
derush_shots_find (const DerushFrameFeatures *frames, guint n_frames, double duration, const DerushShotOptions *options)
{
  g_autoptr (DerushShotDetector) detector = derush_shot_detector_new (options);
  GArray *shots = g_array_new (FALSE, FALSE, sizeof (DerushShot));
  DerushShot shot = {0};
  DerushShotChange change;

  if (n_frames == 0)
    return shots;
  for (guint i = 0; i < n_frames; i++)
    derush_shot_detector_push (detector, &frames[i]);
  derush_shot_detector_finish (detector);
  shot.start = shot.transition_start = shot.transition_end = frames[0].time;
  if (derush_shot_detector_opens_with_fade (detector))
    shot.transition = DERUSH_TRANSITION_FADE_IN;
  while (derush_shot_detector_pop (detector, &change)) {
    shot.end = change.time;
    g_array_append_val (shots, shot);
    shot = (DerushShot){.start = change.time,
                        .transition_start = change.transition_start,
                        .transition_end = change.transition_end,
                        .first_frame = (guint32)change.frame,
                        .transition = change.transition,
                        .score = change.score};
  }
  shot.end = MAX (duration, frames[n_frames - 1].time);
  g_array_append_val (shots, shot);
  return shots;
}
