/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fft-private.h"

#include <math.h>

struct _Spectrum {
  guint size;
  float *window;  /* Hann */
  float *cosines; /* of the split into even and odd samples */
  float *sines;
  float *stage_cosines; /* of the stages of the half-size transform, one after the other */
  float *stage_sines;
  guint *order; /* bit-reversed indices of the half-size transform */
  float *re;
  float *im;
};

Spectrum *
spectrum_new (guint size)
{
  Spectrum *self = g_new0 (Spectrum, 1);
  guint half = size / 2, bits = 0;

  g_return_val_if_fail (size >= 4 && (size & (size - 1)) == 0, NULL);
  while ((1u << bits) < half)
    bits++;
  self->size = size;
  self->window = g_new (float, size);
  self->cosines = g_new (float, half);
  self->sines = g_new (float, half);
  self->stage_cosines = g_new (float, half);
  self->stage_sines = g_new (float, half);
  self->order = g_new0 (guint, half);
  self->re = g_new (float, half);
  self->im = g_new (float, half);
  for (guint i = 0; i < size; i++)
    self->window[i] = 0.5 - 0.5 * cos (2 * G_PI * i / size);
  for (guint i = 0; i < half; i++) {
    self->cosines[i] = cos (2 * G_PI * i / size);
    self->sines[i] = sin (2 * G_PI * i / size);
    for (guint b = 0; b < bits; b++)
      self->order[i] |= ((i >> b) & 1) << (bits - 1 - b);
  }
  for (guint length = 2, at = 0; length <= half; at += length / 2, length *= 2) {
    for (guint k = 0; k < length / 2; k++) {
      self->stage_cosines[at + k] = cos (2 * G_PI * k / length);
      self->stage_sines[at + k] = sin (2 * G_PI * k / length);
    }
  }
  return self;
}

void
spectrum_free (Spectrum *self)
{
  g_free (self->window);
  g_free (self->cosines);
  g_free (self->sines);
  g_free (self->stage_cosines);
  g_free (self->stage_sines);
  g_free (self->order);
  g_free (self->re);
  g_free (self->im);
  g_free (self);
}

static void
join_halves (float *restrict a_re, float *restrict a_im, float *restrict b_re, float *restrict b_im,
             const float *restrict c, const float *restrict s, gsize n)
{
  for (gsize k = 0; k < n; k++) {
    float re = b_re[k] * c[k] + b_im[k] * s[k], im = b_im[k] * c[k] - b_re[k] * s[k];

    b_re[k] = a_re[k] - re;
    b_im[k] = a_im[k] - im;
    a_re[k] += re;
    a_im[k] += im;
  }
}

/* Radix 2, decimation in time, on size / 2 complex values: even samples are the real parts, odd ones the imaginary. */
static void
transform (Spectrum *self, const float *samples)
{
  guint half = self->size / 2;

  for (guint i = 0; i < half; i++) {
    guint from = self->order[i];

    self->re[i] = samples[2 * from] * self->window[2 * from];
    self->im[i] = samples[2 * from + 1] * self->window[2 * from + 1];
  }
  for (guint length = 2, at = 0; length <= half; at += length / 2, length *= 2) {
    for (guint start = 0; start < half; start += length)
      join_halves (self->re + start, self->im + start, self->re + start + length / 2, self->im + start + length / 2,
                   self->stage_cosines + at, self->stage_sines + at, length / 2);
  }
}

/* @power receives size / 2 values, from 0 Hz to just below half the rate; a sine of amplitude 1 peaks at 1. */
void
spectrum_measure (Spectrum *self, const float *samples, float *power)
{
  guint half = self->size / 2;
  float scale = 16.0f / ((float)self->size * self->size);

  transform (self, samples);
  power[0] = (self->re[0] + self->im[0]) * (self->re[0] + self->im[0]) * scale;
  for (guint k = 1; k < half; k++) {
    guint m = half - k;
    float even_re = (self->re[k] + self->re[m]) / 2, even_im = (self->im[k] - self->im[m]) / 2;
    float odd_re = (self->im[k] + self->im[m]) / 2, odd_im = (self->re[m] - self->re[k]) / 2;
    float c = self->cosines[k], s = -self->sines[k];
    float re = even_re + odd_re * c - odd_im * s, im = even_im + odd_re * s + odd_im * c;

    power[k] = (re * re + im * im) * scale;
  }
}
