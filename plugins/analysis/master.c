/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Brings a piece of sound to a loudness without letting its peaks out of bounds. The whole of it is heard first, so that the
 * gain can go down before a peak and come back after it, in a smooth curve, and so that the loudness with that curve is known:
 * integrated loudness (ITU-R BS.1770-4: mean over 400 ms blocks that overlap by 75 %, gated at -70 LUFS and at 10 LU below
 * the mean of what is left) is counted from the energy of each millisecond times the square of its gain.
 */

#include "analysis.h"

#include <math.h>
#include <string.h>

#ifdef HAVE_EBUR128
#include <ebur128.h>
#endif

#define SILENCE (-70.0)
#define RELATIVE_GATE (-10.0)
#define OFFSET 0.691 /* BS.1770-4, of a loudness against its energy */
#define SLICES_PER_BLOCK 100
#define SLICES_PER_WINDOW 400
/* Slices of a millisecond. The gain begins to fall this long before a peak, and is back this long after it: shorter, and low
 * tones would be bent; longer, and one would hear it breathe. */
#define REACH 40
/* How near the loudness is brought, in LU, and in how many steps. */
#define CLOSE 0.02
#define STEPS 24

struct _DerushMaster {
  guint channels, rate;
  guint64 frames;
  GArray *peaks;    /* float: true peak of each millisecond */
  GArray *energies; /* float: of each millisecond, weighted by frequency */
#ifdef HAVE_EBUR128
  ebur128_state *meter;
#endif
};

static double
to_energy (double loudness)
{
  return pow (10, (loudness + OFFSET) / 10);
}

static double
to_loudness (double energy)
{
  return energy > 0 ? 10 * log10 (energy) - OFFSET : -HUGE_VAL;
}

/**
 * derush_master_new:
 * @channels: interleaved channels
 * @rate: samples per second
 *
 * Returns: (transfer full) (nullable): %NULL without libebur128
 */
DerushMaster *
derush_master_new (guint channels, guint rate)
{
#ifdef HAVE_EBUR128
  DerushMaster *self = g_new0 (DerushMaster, 1);

  self->channels = channels;
  self->rate = rate;
  self->peaks = g_array_new (FALSE, FALSE, sizeof (float));
  self->energies = g_array_new (FALSE, FALSE, sizeof (float));
  self->meter = ebur128_init (channels, rate, EBUR128_MODE_M | EBUR128_MODE_TRUE_PEAK);
  if (self->meter)
    return self;
  derush_master_free (self);
#endif
  return NULL;
}

void
derush_master_free (DerushMaster *self)
{
#ifdef HAVE_EBUR128
  if (self->meter)
    ebur128_destroy (&self->meter);
#endif
  g_array_unref (self->peaks);
  g_array_unref (self->energies);
  g_free (self);
}

#ifdef HAVE_EBUR128
static void
end_slice (DerushMaster *self)
{
  double loudness;
  float peak = 0, energy = 0;

  for (guint c = 0; c < self->channels; c++) {
    double value = 0;

    ebur128_prev_true_peak (self->meter, c, &value);
    peak = MAX (peak, (float)value);
  }
  g_array_append_val (self->peaks, peak);
  if (ebur128_loudness_window (self->meter, 1, &loudness) == EBUR128_SUCCESS && isfinite (loudness))
    energy = (float)to_energy (loudness);
  g_array_append_val (self->energies, energy);
}
#endif

/**
 * derush_master_add:
 * @self: the sound
 * @samples: interleaved
 * @n_frames: samples of each channel
 *
 * Hears the next piece.
 */
void
derush_master_add (DerushMaster *self, const float *samples, gsize n_frames)
{
#ifdef HAVE_EBUR128
  while (n_frames > 0) {
    /* A slice ends at the whole millisecond, also at 44100 Hz. */
    guint64 next = (guint64)(self->peaks->len + 1) * self->rate / 1000;
    gsize n = MIN (n_frames, (gsize)(next - self->frames));
    gboolean whole = self->frames + n == next;

    ebur128_add_frames_float (self->meter, samples, n);
    self->frames += n;
    samples += n * self->channels;
    n_frames -= n;
    if (whole)
      end_slice (self);
  }
#endif
}

/* @gains: (nullable): of each slice */
static double
integrate (DerushMaster *self, const double *gains, double factor)
{
  const float *slices = (const float *)(gconstpointer)self->energies->data;
  double gate = to_energy (SILENCE), sum, mean;
  guint n, n_blocks = self->energies->len < SLICES_PER_WINDOW
                          ? 0
                          : (self->energies->len - SLICES_PER_WINDOW) / SLICES_PER_BLOCK + 1;
  g_autofree double *energies = g_new (double, n_blocks + 1);

  for (guint i = 0; i < n_blocks; i++) {
    sum = 0;
    for (guint k = i * SLICES_PER_BLOCK; k < i * SLICES_PER_BLOCK + SLICES_PER_WINDOW; k++)
      sum += slices[k] * (gains ? gains[k] * gains[k] : 1);
    energies[i] = sum / SLICES_PER_WINDOW * factor * factor;
  }
  for (guint pass = 0; pass < 2; pass++) {
    sum = 0;
    n = 0;
    for (guint i = 0; i < n_blocks; i++)
      if (energies[i] >= gate) {
        sum += energies[i];
        n++;
      }
    mean = n > 0 ? sum / n : 0;
    if (pass == 0)
      gate = MAX (gate, mean * pow (10, RELATIVE_GATE / 10));
  }
  return to_loudness (mean);
}

/* In LUFS; minus infinity: nothing above the gate, or less than 400 ms. */
double
derush_master_get_loudness (DerushMaster *self)
{
  return integrate (self, NULL, 1);
}

/* In dBTP; minus infinity: silence. */
double
derush_master_get_true_peak (DerushMaster *self)
{
  float peak = 0;

  for (guint i = 0; i < self->peaks->len; i++)
    peak = MAX (peak, g_array_index (self->peaks, float, i));
  return 20 * log10 (peak);
}

/* The gains that keep every slice below @most after @factor: each slice's own need, the least of all within reach, and that
 * averaged under a Hann window as long as the reach, which stays at or below each slice's own need. */
static double *
limit (DerushMaster *self, double factor, double most)
{
  guint n = self->peaks->len;
  g_autofree double *needs = g_new (double, n + 1), *least = g_new (double, n + 1);
  double *gains = g_new (double, n + 1), window[2 * REACH + 1], total = 0;

  for (guint k = 0; k <= 2 * REACH; k++)
    total += window[k] = 0.5 - 0.5 * cos (2 * G_PI * (k + 1) / (2 * REACH + 2));
  for (guint i = 0; i < n; i++) {
    /* The interpolation behind true peaks is late by a part of a slice. */
    float peak = MAX (g_array_index (self->peaks, float, i), g_array_index (self->peaks, float, MIN (i + 1, n - 1)));

    needs[i] = peak * factor > most ? most / (peak * factor) : 1;
  }
  for (guint i = 0; i < n; i++) {
    least[i] = 1;
    for (guint k = i > REACH ? i - REACH : 0; k <= MIN (i + REACH, n - 1); k++)
      least[i] = MIN (least[i], needs[k]);
  }
  for (guint i = 0; i < n; i++) {
    double sum = 0;

    for (int k = -REACH; k <= REACH; k++)
      sum += window[k + REACH] * least[CLAMP ((int)i + k, 0, (int)n - 1)];
    gains[i] = MIN (sum / total, needs[i]);
  }
  return gains;
}

static GArray *
to_points (const double *gains, guint n, double factor)
{
  GArray *points = g_array_new (FALSE, FALSE, sizeof (DerushMasterPoint));

  for (guint i = 0; i < n; i++) {
    DerushMasterPoint point = {(i + 0.5) / 1000, gains[i] * factor};

    /* Where nothing changes, the ends are enough. */
    if (i > 0 && i + 1 < n && gains[i] == gains[i - 1] && gains[i] == gains[i + 1])
      continue;
    g_array_append_val (points, point);
  }
  return points;
}

/**
 * derush_master_plan:
 * @self: all of the sound
 * @goal: what is wanted of it
 * @gain: (out): in dB, before peaks are held down
 *
 * Returns: (transfer full) (nullable) (element-type DerushMasterPoint): the gain over time; %NULL: it is silent, or shorter
 *   than 400 ms, and stays as it is
 */
GArray *
derush_master_plan (DerushMaster *self, const DerushMasterGoal *goal, double *gain)
{
  double loudness = derush_master_get_loudness (self), most = pow (10, goal->true_peak / 20);
  g_autofree double *gains = NULL;

  if (!isfinite (loudness))
    return NULL;
  *gain = MIN (goal->loudness - loudness, goal->max_gain);
  for (guint i = 0; i < STEPS; i++) {
    double factor = pow (10, *gain / 20), missing;

    g_free (gains);
    gains = limit (self, factor, most);
    missing = goal->loudness - integrate (self, gains, factor);
    /* Against held peaks a little more gain is worth a little less loudness. */
    if (fabs (missing) < CLOSE || (missing > 0 && *gain >= goal->max_gain) || i + 1 == STEPS)
      break;
    *gain = MIN (*gain + missing, goal->max_gain);
  }
  return to_points (gains, self->peaks->len, pow (10, *gain / 20));
}
