/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "interest-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps of time as long as a block of audio; longer ones for films of more than a day. */
#define STEP DERUSH_AUDIO_BLOCK_DURATION
#define MAX_STEPS 1000000

/* How much a signal adds to the score where everything can be measured. */
static const double full_weights[DERUSH_N_SIGNALS] = {
    [DERUSH_SIGNAL_LOUDNESS] = 0.25, [DERUSH_SIGNAL_CROWD] = 0.30,        [DERUSH_SIGNAL_SPEECH] = 0.10,
    [DERUSH_SIGNAL_MOTION] = 0.25,   [DERUSH_SIGNAL_SCENE_CHANGE] = 0.10,
};
static const guint detection_of_signal[DERUSH_N_SIGNALS] = {
    [DERUSH_SIGNAL_LOUDNESS] = DERUSH_DETECTION_AUDIO,
    [DERUSH_SIGNAL_CROWD] = DERUSH_DETECTION_AUDIO,
    [DERUSH_SIGNAL_SPEECH] = DERUSH_DETECTION_AUDIO,
    [DERUSH_SIGNAL_MOTION] = DERUSH_DETECTION_MOTION,
    [DERUSH_SIGNAL_SCENE_CHANGE] = DERUSH_DETECTION_SCENE_CHANGE,
};
static const char *const signal_names[] = {"LOUDNESS", "CROWD", "SPEECH", "MOTION", "SCENE_CHANGE"};

G_STATIC_ASSERT (G_N_ELEMENTS (signal_names) == DERUSH_N_SIGNALS);

/* A film as loud or as lively throughout as this (LU, picture lengths per second) has no loud or lively moments. */
#define LEAST_LOUDNESS_RANGE 8.0f
#define LEAST_MOTION_RANGE 0.04f
/* The share of the film below the moment that counts as fully loud or lively. */
#define FULL_SHARE 0.98
/* Shot changes within so many seconds to either side, and how many of them count fully. */
#define CHANGES_WITHIN 2.5
#define MANY_CHANGES 5

/* Below that, in LUFS, nobody was meant to hear anything. */
#define INAUDIBLE (-60.0f)

/* Speech and crowds are told apart over so many blocks to either side. */
#define AROUND 6

/**
 * derush_signal_to_string:
 * @signal: a signal
 *
 * Returns: (transfer none): its name in results, such as `LOUDNESS`
 */
const char *
derush_signal_to_string (DerushSignal signal)
{
  g_return_val_if_fail ((guint)signal < DERUSH_N_SIGNALS, "");
  return signal_names[signal];
}

static int
compare_floats (gconstpointer a, gconstpointer b)
{
  float p = *(const float *)a, q = *(const float *)b;

  return p < q ? -1 : p > q;
}

/* The value that @share of all values do not exceed. */
static float
quantile (const float *values, guint n, double share)
{
  g_autofree float *sorted = g_memdup2 (values, MAX (1, n) * sizeof (float));

  if (n == 0)
    return 0;
  qsort (sorted, n, sizeof (float), compare_floats);
  return sorted[(guint)(share * (n - 1) + 0.5)];
}

/* ── Speech and crowds ──────────────────────────────────────────────────── */

static float
ramp (float value, float zero, float one)
{
  return CLAMP ((value - zero) / (one - zero), 0.0f, 1.0f);
}

static float
mean_of (const float *values, guint first, guint end)
{
  float sum = 0;

  for (guint i = first; i < end; i++)
    sum += values[i];
  return sum / (end - first);
}

/*
 * How strongly the envelope swings at 2 to 8 Hz, the rate of syllables, in dB: the root mean square of the difference
 * between a short and a long running mean.
 */
static float
syllabic_swing (const float *envelope, guint first, guint end)
{
  float squares = 0;

  for (guint i = first; i < end; i++) {
    guint near_first = MAX (i, first + 1) - 1, near_end = MIN (i + 2, end);
    guint far_first = i > first + 9 ? i - 9 : first, far_end = MIN (i + 10, end);
    float d = mean_of (envelope, near_first, near_end) - mean_of (envelope, far_first, far_end);

    squares += d * d;
  }
  return sqrtf (squares / (end - first));
}

/* The loudness that three quarters of the film, silence left out, do not exceed. */
static float
usual_loudness (const DerushAudioBlock *blocks, guint n_blocks)
{
  g_autofree float *loudness = g_new (float, MAX (1, n_blocks));
  guint n = 0;

  for (guint i = 0; i < n_blocks; i++) {
    if (blocks[i].loudness > INAUDIBLE)
      loudness[n++] = blocks[i].loudness;
  }
  return n > 0 ? quantile (loudness, n, 0.75) : 0;
}

/* What is meant to be heard is about as loud as the rest of the film, however softly that was recorded. */
static float
audibility (float loudness, float full)
{
  return ramp (loudness, full - 12, full) * ramp (loudness, INAUDIBLE, INAUDIBLE + 10);
}

/**
 * derush_audio_likeness:
 * @blocks: (array length=n_blocks): consecutive blocks
 * @n_blocks: their number
 * @speech: (out caller-allocates) (array length=n_blocks): how much each block sounds like speech, 0..1
 * @crowd: (out caller-allocates) (array length=n_blocks): how much each block sounds like a crowd, 0..1
 *
 * Speech swings at the rate of syllables and is tonal at times. The noise of many (cheering, applause; also rain and
 * surf) is noise throughout and steady. Both must be about as loud as the film is otherwise. Over 0.6 s to either side.
 */
void
derush_audio_likeness (const DerushAudioBlock *blocks, guint n_blocks, float *speech, float *crowd)
{
  g_autofree float *envelope = g_new (float, MAX (1, (gsize)n_blocks * DERUSH_AUDIO_SLICES));
  float usual = usual_loudness (blocks, n_blocks);

  for (guint i = 0; i < n_blocks; i++)
    for (guint k = 0; k < DERUSH_AUDIO_SLICES; k++)
      envelope[i * DERUSH_AUDIO_SLICES + k] = MAX (-70, blocks[i].envelope[k]);
  for (guint i = 0; i < n_blocks; i++) {
    guint first = i > AROUND ? i - AROUND : 0, end = MIN (i + AROUND + 1, n_blocks), noisy = 0;
    float swing = syllabic_swing (envelope, first * DERUSH_AUDIO_SLICES, end * DERUSH_AUDIO_SLICES);
    float least = 1, flatness = 0, loudness = 0;

    for (guint j = first; j < end; j++) {
      least = MIN (least, blocks[j].least_flatness);
      flatness += blocks[j].least_flatness / (end - first);
      noisy += blocks[j].least_flatness > 0.4f;
      loudness = j == first ? blocks[j].loudness : MAX (loudness, blocks[j].loudness);
    }
    speech[i] = ramp (swing, 3, 6) * ramp (least, 0.45f, 0.3f) * audibility (loudness, usual - 12);
    crowd[i] = ramp (flatness, 0.35f, 0.48f) * ramp (swing, 6, 3) * audibility (blocks[i].loudness, usual - 6) *
               ramp ((float)noisy / (end - first), 0.5f, 0.9f);
  }
}

/* ── Curves ─────────────────────────────────────────────────────────────── */

/* Where a value lies between the median of the film and its greatest values. */
static void
normalise (const float *values, guint n, float median, float least_range, float *out)
{
  float range = MAX (least_range, quantile (values, n, FULL_SHARE) - median);

  for (guint i = 0; i < n; i++)
    out[i] = CLAMP ((values[i] - median) / range, 0.0f, 1.0f);
}

/* The step that @time falls into. */
static guint
step_at (const Interest *self, double time)
{
  if (!(time > 0))
    return 0;
  return time >= self->step * self->n ? self->n - 1 : (guint)(time / self->step);
}

/* Averages samples at increasing times into steps; steps without one repeat the one before. */
typedef struct {
  float *out;
  guint *counts;
} Averager;

static void
add_sample (const Interest *self, Averager *averager, double time, float value)
{
  guint i = step_at (self, time);

  averager->out[i] += value;
  averager->counts[i]++;
}

static void
finish_average (const Interest *self, Averager *averager, float missing, double longest_gap)
{
  guint since = G_MAXUINT;

  for (guint i = 0; i < self->n; i++) {
    if (averager->counts[i] > 0) {
      averager->out[i] /= averager->counts[i];
      since = 0;
    } else if (since < longest_gap / self->step) {
      averager->out[i] = averager->out[i - 1];
      since++;
    } else {
      averager->out[i] = missing;
    }
  }
}

static void
fill_audio (Interest *self, const DerushAnalysis *analysis)
{
  g_autofree float *speech = g_new (float, analysis->n_audio), *crowd = g_new (float, analysis->n_audio);
  g_autofree guint *counts = g_new0 (guint, 3 * (gsize)self->n);
  Averager loudness = {self->loudness, counts}, speeches = {self->values[DERUSH_SIGNAL_SPEECH], counts + self->n},
           crowds = {self->values[DERUSH_SIGNAL_CROWD], counts + 2 * (gsize)self->n};

  derush_audio_likeness (analysis->audio, analysis->n_audio, speech, crowd);
  for (guint i = 0; i < analysis->n_audio; i++) {
    double time = analysis->audio[i].time + DERUSH_AUDIO_BLOCK_DURATION / 2;

    add_sample (self, &loudness, time, analysis->audio[i].loudness);
    add_sample (self, &speeches, time, speech[i]);
    add_sample (self, &crowds, time, crowd[i]);
  }
  finish_average (self, &loudness, -70, 2 * STEP);
  finish_average (self, &speeches, 0, 2 * STEP);
  finish_average (self, &crowds, 0, 2 * STEP);
  self->median_loudness = quantile (self->loudness, self->n, 0.5);
  /* Against silence, everything would be loud. */
  normalise (self->loudness, self->n, MAX (self->median_loudness, INAUDIBLE), LEAST_LOUDNESS_RANGE,
             self->values[DERUSH_SIGNAL_LOUDNESS]);
}

/* Where a shot changes, the picture moves without motion. */
static gboolean
is_in_transition (const DerushAnalysis *analysis, guint *shot, double time)
{
  while (*shot + 1 < analysis->n_shots && analysis->shots[*shot + 1].transition_end < time)
    ++*shot;
  return *shot + 1 < analysis->n_shots && time > analysis->shots[*shot + 1].transition_start &&
         time <= analysis->shots[*shot + 1].transition_end;
}

static void
fill_video (Interest *self, const DerushAnalysis *analysis)
{
  g_autofree guint *counts = g_new0 (guint, self->n);
  Averager motion = {self->motion, counts};
  float *changes = self->values[DERUSH_SIGNAL_SCENE_CHANGE];
  guint shot = 0;

  for (guint i = 1; i < analysis->n_frames; i++) {
    if (!is_in_transition (analysis, &shot, analysis->frames[i].time))
      add_sample (self, &motion, analysis->frames[i].time, analysis->frames[i].motion);
  }
  finish_average (self, &motion, 0, 2);
  self->median_motion = quantile (self->motion, self->n, 0.5);
  normalise (self->motion, self->n, self->median_motion, LEAST_MOTION_RANGE, self->values[DERUSH_SIGNAL_MOTION]);
  /* The first change makes no busy scene: two shots are the least an edit has. */
  for (guint i = 1; i < analysis->n_shots; i++) {
    guint first = step_at (self, analysis->shots[i].start - CHANGES_WITHIN);
    guint last = step_at (self, analysis->shots[i].start + CHANGES_WITHIN);

    for (guint j = first; j <= last; j++)
      changes[j] += 1;
  }
  for (guint i = 0; i < self->n; i++)
    changes[i] = CLAMP ((changes[i] - 1) / (MANY_CHANGES - 1), 0.0f, 1.0f);
}

static void
choose_weights (Interest *self, const DerushAnalysis *analysis, guint detections)
{
  double sum = 0;

  for (guint i = 0; i < DERUSH_N_SIGNALS; i++) {
    gboolean measured =
        detection_of_signal[i] == DERUSH_DETECTION_AUDIO ? analysis->n_audio > 0 : analysis->n_frames > 1;

    if (measured && (detections & detection_of_signal[i]))
      self->weights[i] = full_weights[i];
    sum += self->weights[i];
  }
  for (guint i = 0; sum > 0 && i < DERUSH_N_SIGNALS; i++)
    self->weights[i] /= sum;
}

/* Never %NULL; of a film without anything to measure, a curve without steps. */
Interest *
interest_new (const DerushAnalysis *analysis, guint detections)
{
  Interest *self = g_new0 (Interest, 1);
  double duration = analysis->duration;

  if (analysis->n_frames > 0)
    duration = MAX (duration, analysis->frames[analysis->n_frames - 1].time);
  if (analysis->n_audio > 0)
    duration = MAX (duration, analysis->audio[analysis->n_audio - 1].time + DERUSH_AUDIO_BLOCK_DURATION);
  self->step = MAX (STEP, duration / MAX_STEPS);
  self->n = analysis->n_frames > 0 || analysis->n_audio > 0 ? MAX (1, (guint)ceil (duration / self->step - 0.01)) : 0;
  for (guint i = 0; i < DERUSH_N_SIGNALS; i++)
    self->values[i] = g_new0 (float, MAX (1, self->n));
  self->loudness = g_new0 (float, MAX (1, self->n));
  self->motion = g_new0 (float, MAX (1, self->n));
  if (self->n == 0)
    return self;
  choose_weights (self, analysis, detections);
  if (analysis->n_audio > 0)
    fill_audio (self, analysis);
  if (analysis->n_frames > 1)
    fill_video (self, analysis);
  return self;
}

void
interest_free (Interest *self)
{
  for (guint i = 0; i < DERUSH_N_SIGNALS; i++)
    g_free (self->values[i]);
  g_free (self->loudness);
  g_free (self->motion);
  g_free (self);
}

double
interest_mean (const float *values, guint first, guint end)
{
  double sum = 0;

  for (guint i = first; i < end; i++)
    sum += values[i];
  return end > first ? sum / (end - first) : 0;
}
