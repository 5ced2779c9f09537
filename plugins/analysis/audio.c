/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "analysis/analysis.h"
#include "fft-private.h"

#include <math.h>
#include <string.h>

#ifdef HAVE_EBUR128
#include <ebur128.h>
#endif

#define SLICES DERUSH_AUDIO_SLICES
#define BANDS DERUSH_AUDIO_BANDS
/* Decibels of silence, and LUFS of what BS.1770 gates out. */
#define SILENCE (-100.0f)
#define QUIETEST (-70.0f)
/* Power of silence against a full-scale sine. */
#define LEAST_POWER 1e-10f
#define SPEECH_LOW 250.0
#define SPEECH_HIGH 3500.0
#define NOISE_LOW 400.0
#define NOISE_HIGH 7500.0
#define MAX_CHANNELS 64

static const float band_edges[BANDS + 1] = {60, 150, 300, 600, 1200, 2400, 4000, 7000, 14000};

struct _DerushAudioMeter {
  guint rate;
  guint channels;
  guint block_samples; /* of 100 ms; their sum never drifts: see next_block */
  guint fft_size;
  Spectrum *spectrum;
  float *history; /* mono: fft_size samples before the slice, then those of the slice so far */
  float *clean;   /* the samples of one slice, without what is no number */
  float *power;
  float previous_bands[BANDS];
  gboolean has_previous;
  guint64 samples; /* per channel, since the start */
  guint64 blocks;
  guint in_slice; /* samples of the slice so far */
  guint slice;
  double block_sum;
  float peak;
  double start; /* stream time of the first sample */
  DerushAudioBlock block;
  GArray *done; /* of DerushAudioBlock */
#ifdef HAVE_EBUR128
  ebur128_state *loudness;
  double recent[4]; /* energies, where libebur128 refuses the format */
#else
  double recent[4];
#endif
};

/**
 * derush_audio_meter_new:
 * @rate: samples per second and channel, 1000..768000
 * @channels: 1..64, in the order of GStreamer and WAV (the fourth of six is LFE)
 *
 * Returns: (transfer full) (nullable): a meter, %NULL if it cannot measure such audio
 */
DerushAudioMeter *
derush_audio_meter_new (guint rate, guint channels)
{
  DerushAudioMeter *meter;
  guint size = 64;

  if (rate < 1000 || rate > 768000 || channels < 1 || channels > MAX_CHANNELS)
    return NULL;
  /* About 40 ms, as speech research uses. */
  while (size * 2 <= rate * 0.05)
    size *= 2;
  meter = g_new0 (DerushAudioMeter, 1);
  meter->rate = rate;
  meter->channels = channels;
  meter->fft_size = size;
  meter->spectrum = spectrum_new (size);
  meter->history = g_new0 (float, size + rate / 10 / SLICES + 2);
  meter->power = g_new (float, size / 2);
  meter->clean = g_new (float, (rate / 10 / SLICES + 2) * channels);
  meter->done = g_array_new (FALSE, FALSE, sizeof (DerushAudioBlock));
  derush_audio_meter_reset (meter, 0);
  return meter;
}

static void
free_loudness (DerushAudioMeter *meter)
{
#ifdef HAVE_EBUR128
  if (meter->loudness)
    ebur128_destroy (&meter->loudness);
#endif
}

/**
 * derush_audio_meter_free:
 * @meter: (transfer full): a meter
 */
void
derush_audio_meter_free (DerushAudioMeter *meter)
{
  free_loudness (meter);
  spectrum_free (meter->spectrum);
  g_free (meter->history);
  g_free (meter->power);
  g_free (meter->clean);
  g_array_unref (meter->done);
  g_free (meter);
}

static void
start_block (DerushAudioMeter *meter)
{
  meter->block = (DerushAudioBlock){.time = meter->start + meter->blocks * DERUSH_AUDIO_BLOCK_DURATION};
  meter->block_sum = 0;
  meter->peak = 0;
  meter->slice = meter->in_slice = 0;
}

/**
 * derush_audio_meter_reset:
 * @meter: a meter
 * @start: stream time in seconds of the sample that comes next
 *
 * Forgets what was measured. The blocks of 100 ms begin at @start.
 */
void
derush_audio_meter_reset (DerushAudioMeter *meter, double start)
{
  meter->start = start;
  meter->samples = meter->blocks = 0;
  meter->has_previous = FALSE;
  memset (meter->history, 0, meter->fft_size * sizeof (float));
  memset (meter->recent, 0, sizeof (meter->recent));
  g_array_set_size (meter->done, 0);
  free_loudness (meter);
#ifdef HAVE_EBUR128
  meter->loudness = ebur128_init (meter->channels, meter->rate, EBUR128_MODE_M);
#endif
  start_block (meter);
}

static float
to_decibels (double power)
{
  return power > 1e-10 ? MAX (SILENCE, (float)(10 * log10 (power))) : SILENCE;
}

/*
 * Spectral flatness (geometric over arithmetic mean of power) in third-octave-like groups of bins, so that the tilt of
 * the spectrum does not count; 0 is a pure tone, about 0.56 white noise. Weighted by the groups' share of amplitude.
 */
static float
flatness_of (const DerushAudioMeter *meter)
{
  double width = (double)meter->rate / meter->fft_size, weighted = 0, weights = 0;
  guint last = MIN ((guint)(NOISE_HIGH / width), meter->fft_size / 2);
  guint low = MAX (2, (guint)(NOISE_LOW / width));

  while (low + 8 <= last) {
    guint high = MIN (MAX (low + 8, low * 5 / 4), last), n = high - low;
    double logs = 0, product = 1, sum = 0, weight;

    for (guint k = low; k < high; k++) {
      double p = meter->power[k] + LEAST_POWER * 1e-3;

      /* The logarithm of the product of a few is that of each, added up. */
      product *= p;
      if ((k & 7) == 7) {
        logs += log (product);
        product = 1;
      }
      sum += p;
    }
    logs += log (product);
    weight = sqrt (sum / n);
    weighted += weight * exp (logs / n) / (sum / n);
    weights += weight;
    low = high;
  }
  return weights > 0 ? weighted / weights : 0;
}

static void
measure_spectrum (DerushAudioMeter *meter)
{
  double width = (double)meter->rate / meter->fft_size, flux = 0, speech = 0, sum = 0, moment = 0;
  guint size = meter->fft_size;
  float flatness;

  spectrum_measure (meter->spectrum, meter->history + meter->in_slice, meter->power);
  memmove (meter->history, meter->history + meter->in_slice, size * sizeof (float));
  for (guint b = 0; b < BANDS; b++) {
    guint low = MAX (1, (guint)(band_edges[b] / width)), high = MIN ((guint)(band_edges[b + 1] / width), size / 2);
    double power = 0;
    float level;

    for (guint k = low; k < high; k++)
      power += meter->power[k];
    level = to_decibels (power);
    /* Rises only, and not those out of nothing: an onset is new sound. */
    if (meter->has_previous)
      flux += MAX (0, MAX (level, -60) - MAX (meter->previous_bands[b], -60));
    meter->previous_bands[b] = level;
    meter->block.bands[b] += power / SLICES;
  }
  for (guint k = 1; k < size / 2; k++) {
    double frequency = k * width;

    if (frequency >= SPEECH_LOW && frequency <= SPEECH_HIGH)
      speech += meter->power[k];
    sum += meter->power[k];
    moment += meter->power[k] * frequency;
  }
  flatness = flatness_of (meter);
  meter->block.envelope[meter->slice] = to_decibels (speech);
  meter->block.onset = MAX (meter->block.onset, flux / BANDS);
  meter->block.flatness += flatness / SLICES;
  meter->block.least_flatness = meter->slice == 0 ? flatness : MIN (meter->block.least_flatness, flatness);
  meter->block.centroid += sum > 0 ? moment / sum / SLICES : 0;
  meter->has_previous = TRUE;
}

/* Mean square of the last 400 ms in decibels: loudness without its frequency weighting, right at 1 kHz. */
static float
level_of_400_ms (DerushAudioMeter *meter, double mean_square)
{
  double sum = 0;

  meter->recent[meter->blocks % 4] = mean_square;
  for (guint i = 0; i < 4; i++)
    sum += meter->recent[i] / 4;
  return MAX (QUIETEST, to_decibels (sum * meter->channels));
}

static void
finish_block (DerushAudioMeter *meter, guint samples)
{
  double mean_square = meter->block_sum / samples / meter->channels;
  float loudness = level_of_400_ms (meter, mean_square);

#ifdef HAVE_EBUR128
  double momentary;

  if (meter->loudness && ebur128_loudness_momentary (meter->loudness, &momentary) == EBUR128_SUCCESS)
    loudness = isfinite (momentary) ? MAX (QUIETEST, momentary) : QUIETEST;
#endif
  meter->block.loudness = loudness;
  meter->block.level = to_decibels (mean_square);
  meter->block.peak = meter->peak > 0 ? MAX (SILENCE, 20 * log10f (meter->peak)) : SILENCE;
  for (guint b = 0; b < BANDS; b++)
    meter->block.bands[b] = to_decibels (meter->block.bands[b]);
  g_array_append_val (meter->done, meter->block);
  meter->blocks++;
  start_block (meter);
}

/* The sample at which block @n ends: a tenth of a second need not be a whole number of samples. */
static guint64
end_of_block (const DerushAudioMeter *meter, guint64 n)
{
  return (n + 1) * meter->rate / 10;
}

static guint
samples_to_slice (const DerushAudioMeter *meter)
{
  guint64 start = meter->blocks * meter->rate / 10, end = end_of_block (meter, meter->blocks);

  return start + (end - start) * (meter->slice + 1) / SLICES - meter->samples;
}

/* Keeps samples until their slice is whole, without what is no number or absurd. */
static void
take_samples (DerushAudioMeter *meter, const float *samples, gsize frames)
{
  gsize count = frames * meter->channels;
  float *clean = meter->clean + (gsize)meter->in_slice * meter->channels;

  if (samples) {
    for (gsize i = 0; i < count; i++)
      clean[i] = fabsf (samples[i]) < 1000 ? samples[i] : 0;
  } else {
    memset (clean, 0, count * sizeof (float));
  }
  meter->in_slice += frames;
  meter->samples += frames;
}

/* Adds up the squares and finds the peak. */
static void
measure_level (DerushAudioMeter *meter)
{
  gsize count = (gsize)meter->in_slice * meter->channels;
  float peaks[4] = {0}, squares[4] = {0};
  const float *clean = meter->clean;

  for (gsize i = 0; i + 4 <= count; i += 4) {
    for (gsize k = 0; k < 4; k++) {
      float level = fabsf (clean[i + k]);

      squares[k] += level * level;
      peaks[k] = level > peaks[k] ? level : peaks[k];
    }
  }
  for (gsize i = count & ~(gsize)3; i < count; i++) {
    squares[0] += clean[i] * clean[i];
    peaks[0] = MAX (peaks[0], fabsf (clean[i]));
  }
  for (gsize k = 0; k < 4; k++) {
    meter->block_sum += squares[k];
    meter->peak = MAX (meter->peak, peaks[k]);
  }
}

static void
mix_to_mono (DerushAudioMeter *meter)
{
  float *mono = meter->history + meter->fft_size;
  const float *clean = meter->clean;
  gsize channels = meter->channels;

  if (channels == 2) {
    for (gsize i = 0; i < meter->in_slice; i++)
      mono[i] = (clean[2 * i] + clean[2 * i + 1]) / 2;
    return;
  }
  for (gsize i = 0; i < meter->in_slice; i++) {
    float sum = 0;

    for (gsize c = 0; c < channels; c++)
      sum += clean[i * channels + c];
    mono[i] = sum / channels;
  }
}

static void
finish_slice (DerushAudioMeter *meter)
{
  measure_level (meter);
  mix_to_mono (meter);
#ifdef HAVE_EBUR128
  if (meter->loudness)
    ebur128_add_frames_float (meter->loudness, meter->clean, meter->in_slice);
#endif
  measure_spectrum (meter);
  meter->in_slice = 0;
  if (++meter->slice == SLICES)
    finish_block (meter, end_of_block (meter, meter->blocks) - meter->blocks * meter->rate / 10);
}

/**
 * derush_audio_meter_push:
 * @meter: a meter
 * @samples: (nullable): interleaved samples, full scale ±1; %NULL is silence
 * @frames: samples per channel
 *
 * Measures samples that follow those of before without a gap.
 */
void
derush_audio_meter_push (DerushAudioMeter *meter, const float *samples, gsize frames)
{
  while (frames > 0) {
    guint due = samples_to_slice (meter), count = MIN (due, frames);

    take_samples (meter, samples, count);
    if (samples)
      samples += (gsize)count * meter->channels;
    frames -= count;
    if (count < due)
      return;
    finish_slice (meter);
  }
}

/**
 * derush_audio_meter_finish:
 * @meter: a meter
 *
 * Ends the last block if at least half of it is there. To go on, reset first.
 */
void
derush_audio_meter_finish (DerushAudioMeter *meter)
{
  guint64 end = end_of_block (meter, meter->blocks), start = meter->blocks * meter->rate / 10;

  if (meter->samples - start >= (end - start + 1) / 2)
    derush_audio_meter_push (meter, NULL, end - meter->samples);
}

/**
 * derush_audio_meter_pop:
 * @meter: a meter
 * @blocks: (element-type DerushAudioBlock): where to append the blocks that are done
 *
 * Moves the blocks that are done.
 */
void
derush_audio_meter_pop (DerushAudioMeter *meter, GArray *blocks)
{
  g_array_append_vals (blocks, meter->done->data, meter->done->len);
  g_array_set_size (meter->done, 0);
}
