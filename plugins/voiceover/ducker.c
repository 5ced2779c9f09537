/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "ducker.h"

#include <math.h>
#include <string.h>

/* A voice is looked at in slices; so many of them are the window whose level counts. */
#define SLICES 10
#define LONGEST_WINDOW 0.010
/* Rumble, wind and offsets are no voice. */
#define LOWEST_FREQUENCY 80.0
/* How fast the depth follows when it is changed while the voice speaks, in decibels per second. */
#define DEPTH_SPEED 300.0
/* Nothing that is meant to be heard is louder. */
#define LOUDEST 1e4f

/* Second-order high-pass in transposed direct form II, for one channel. */
typedef struct {
  double s1;
  double s2;
} FilterState;

struct _Ducker {
  guint rate;
  guint channels;
  guint look_ahead; /* in frames, as all the following */
  guint slice;
  guint lead;     /* the most that an attack may take to be through when the voice begins */
  guint64 heard;  /* of the voice */
  guint64 played; /* of the program */
  guint64 duck_until;
  GArray *spoken; /* of guint64: where slices with a voice end, as far as the program is not there yet */

  double b0, b1, b2, a1, a2;
  FilterState *filters;
  double *sums; /* of squares in this slice, per channel */
  guint in_slice;
  double powers[SLICES]; /* of the last slices */
  guint next_slice;
  gboolean silent; /* nothing but digital silence in filters and slices */

  double position; /* 0 the program as it is, 1 ducked */
  double depth;    /* in decibels */
};

/* Butterworth, from the bilinear transform. */
static void
design_filter (Ducker *self)
{
  double k = tan (G_PI * MIN (LOWEST_FREQUENCY / self->rate, 0.45)), norm = 1 / (1 + G_SQRT2 * k + k * k);

  self->b0 = norm;
  self->b1 = -2 * norm;
  self->b2 = norm;
  self->a1 = 2 * (k * k - 1) * norm;
  self->a2 = (1 - G_SQRT2 * k + k * k) * norm;
}

/**
 * ducker_new:
 * @rate: samples per second and channel, at least 1
 * @channels: of the voice, at least 1
 * @look_ahead: seconds that the voice is heard before the program is played, at least 0
 *
 * Decides from a voice how loud the program is to be. All positions are counted from the first frame.
 *
 * Returns: (transfer full): a ducker
 */
Ducker *
ducker_new (guint rate, guint channels, double look_ahead)
{
  Ducker *self = g_new0 (Ducker, 1);
  double window = look_ahead > 0 ? MIN (LONGEST_WINDOW, look_ahead / 2) : LONGEST_WINDOW;

  self->rate = rate;
  self->channels = channels;
  self->look_ahead = (guint)(look_ahead * rate + 0.5);
  self->slice = MAX (1, (guint)(window * rate / SLICES));
  /* A voice may begin just after a slice did. */
  if (self->look_ahead > (SLICES + 1) * self->slice)
    self->lead = self->look_ahead - (SLICES + 1) * self->slice;
  self->filters = g_new0 (FilterState, channels);
  self->sums = g_new0 (double, channels);
  self->silent = TRUE;
  self->spoken = g_array_new (FALSE, FALSE, sizeof (guint64));
  design_filter (self);
  return self;
}

/**
 * ducker_free:
 * @self: (transfer full): a ducker
 */
void
ducker_free (Ducker *self)
{
  g_free (self->filters);
  g_free (self->sums);
  g_array_unref (self->spoken);
  g_free (self);
}

/**
 * ducker_look_ahead:
 * @self: a ducker
 *
 * Returns: how many frames of the voice must have been heard beyond those that gains are asked for
 */
guint
ducker_look_ahead (const Ducker *self)
{
  return self->look_ahead;
}

static void
finish_slice (Ducker *self, const DuckerOptions *options)
{
  double threshold = pow (10, options->threshold / 10), power = 0, mean = 0;

  for (guint c = 0; c < self->channels; c++) {
    power = MAX (power, self->sums[c] / self->slice);
    self->sums[c] = 0;
  }
  self->in_slice = 0;
  self->powers[self->next_slice] = power;
  self->next_slice = (self->next_slice + 1) % SLICES;
  self->silent = TRUE;
  for (guint i = 0; i < SLICES; i++) {
    mean += self->powers[i] / SLICES;
    if (self->powers[i] > 0)
      self->silent = FALSE;
  }
  if (mean >= threshold)
    g_array_append_val (self->spoken, self->heard);
  /* What rings on below hearing is silence: it would keep every later slice busy. */
  if (mean < 1e-15) {
    memset (self->powers, 0, sizeof (self->powers));
    memset (self->filters, 0, self->channels * sizeof (FilterState));
    self->silent = TRUE;
  }
}

/**
 * ducker_listen:
 * @self: a ducker
 * @options: how to duck
 * @voice: (nullable): interleaved samples, full scale ±1; %NULL is silence
 * @frames: samples per channel
 *
 * Hears what follows of the voice.
 */
void
ducker_listen (Ducker *self, const DuckerOptions *options, const float *voice, gsize frames)
{
  if (!voice && self->silent) {
    self->heard += frames;
    self->in_slice = (self->in_slice + frames) % self->slice;
    return;
  }
  self->silent = FALSE;
  for (gsize i = 0; i < frames; i++) {
    for (guint c = 0; c < self->channels; c++) {
      FilterState *filter = &self->filters[c];
      float sample = voice ? voice[i * self->channels + c] : 0;
      double x = fabsf (sample) < LOUDEST ? sample : 0, y = self->b0 * x + filter->s1;

      filter->s1 = self->b1 * x - self->a1 * y + filter->s2;
      filter->s2 = self->b2 * x - self->a2 * y;
      self->sums[c] += y * y;
    }
    self->heard++;
    if (++self->in_slice == self->slice)
      finish_slice (self, options);
  }
}

/* The middle of an attack or release is its steepest part, and both ends are smooth. */
static double
ease (double x)
{
  return x * x * (3 - 2 * x);
}

/**
 * ducker_gains:
 * @self: a ducker
 * @options: how to duck
 * @gains: (out caller-allocates) (array length=frames): factors for the program
 * @frames: how many
 *
 * Says how loud the next frames of the program are. ducker_look_ahead() more frames of the voice should have been heard,
 * unless the voice has come to its end. With look-ahead, an attack is through when the voice begins: it takes less time
 * than asked for where the look-ahead is too short for it.
 */
void
ducker_gains (Ducker *self, const DuckerOptions *options, float *gains, gsize frames)
{
  guint attack = (guint)(options->attack * self->rate + 0.5), release = (guint)(options->release * self->rate + 0.5);
  guint hold = (guint)(options->hold * self->rate + 0.5), spoken = 0;
  double rise, fall, depth_step = DEPTH_SPEED / self->rate;
  float ducked;

  if (self->look_ahead > 0)
    attack = MIN (attack, self->lead);
  rise = 1.0 / MAX (attack, 1);
  fall = 1.0 / MAX (release, 1);
  /* Nothing was louder before the beginning, so nothing has to fade. */
  if (self->played == 0 && self->spoken->len > 0 && g_array_index (self->spoken, guint64, 0) <= self->look_ahead) {
    self->position = 1;
    self->depth = options->duck_gain;
  }
  ducked = (float)pow (10, self->depth / 20);
  for (gsize i = 0; i < frames; i++) {
    guint64 frame = self->played + i;
    gboolean duck;

    for (; spoken < self->spoken->len; spoken++) {
      guint64 end = g_array_index (self->spoken, guint64, spoken);

      if (end > frame + self->look_ahead)
        break;
      self->duck_until = end + hold;
    }
    duck = frame < self->duck_until;
    self->position = duck ? MIN (1, self->position + rise) : MAX (0, self->position - fall);
    if (self->depth != options->duck_gain) {
      if (self->position <= rise)
        self->depth = options->duck_gain;
      else
        self->depth += CLAMP (options->duck_gain - self->depth, -depth_step, depth_step);
      ducked = (float)pow (10, self->depth / 20);
    }
    if (self->position == 0)
      gains[i] = 1;
    else if (self->position == 1)
      gains[i] = ducked;
    else
      gains[i] = (float)pow (10, self->depth * ease (self->position) / 20);
  }
  self->played += frames;
  g_array_remove_range (self->spoken, 0, spoken);
}
