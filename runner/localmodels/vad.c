/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Where somebody speaks: louder than the noise around it, partly voiced, and changing as speech does. */

#include "localmodels-private.h"

#include <math.h>
#include <string.h>

#define HOPS_PER_SECOND 100
#define N_BANDS 10
#define FFT_SIZE 1024
#define SILENCE -80.0    /* dB; what is quieter counts as that */
#define AUDIBLE -60.0    /* dB; the loudest must be above it */
#define AROUND 500       /* hops on each side that the noise floor is measured over */
#define MIN_CONTRAST 8.0 /* dB between the floor and speech */
#define MERGE 40         /* hops; shorter pauses do not part an utterance */
#define PADDING 15       /* hops that an utterance is given on each side */
#define MIN_LENGTH 8     /* hops; what is shorter is a click */
#define MAX_LENGTH 1500  /* hops; what is longer is cut at its quietest place */

typedef struct {
  float level;   /* dB */
  float voicing; /* 0 to 1: the highest peak of the autocorrelation among the pitches of voices */
  float peaks;   /* 0 to 1: the share of the power that lies in the three strongest lines */
  float bands[N_BANDS];
} Hop;

static void
fft (float *re, float *im, guint n)
{
  for (guint i = 1, j = 0; i < n; i++) {
    guint bit = n >> 1;

    for (; j & bit; bit >>= 1)
      j ^= bit;
    j ^= bit;
    if (i < j) {
      float swap = re[i];

      re[i] = re[j];
      re[j] = swap;
      swap = im[i];
      im[i] = im[j];
      im[j] = swap;
    }
  }
  for (guint length = 2; length <= n; length <<= 1) {
    float angle = -2.0f * (float)G_PI / (float)length, step_re = cosf (angle), step_im = sinf (angle);

    for (guint i = 0; i < n; i += length) {
      float w_re = 1, w_im = 0;

      for (guint k = 0; k < length / 2; k++) {
        guint a = i + k, b = a + length / 2;
        float t_re = re[b] * w_re - im[b] * w_im, t_im = re[b] * w_im + im[b] * w_re, next = w_re * step_re;

        re[b] = re[a] - t_re;
        im[b] = im[a] - t_im;
        re[a] += t_re;
        im[a] += t_im;
        next -= w_im * step_im;
        w_im = w_re * step_im + w_im * step_re;
        w_re = next;
      }
    }
  }
}

static float
measure_peaks (const float *power, guint n)
{
  float left[FFT_SIZE / 2], total = 0, taken = 0;

  memcpy (left, power, n * sizeof (float));
  for (guint i = 0; i < n; i++)
    total += left[i];
  if (total <= 0)
    return 0;
  for (guint peak = 0; peak < 3; peak++) {
    guint best = 0;

    for (guint i = 1; i < n; i++)
      if (left[i] > left[best])
        best = i;
    for (guint i = best > 3 ? best - 3 : 0; i <= best + 3 && i < n; i++) {
      taken += left[i];
      left[i] = 0;
    }
  }
  return taken / total;
}

static void
measure_hop (const LocalSound *sound, gsize at, const float *window, guint length, Hop *hop)
{
  float re[FFT_SIZE] = {0}, im[FFT_SIZE] = {0}, power[FFT_SIZE / 2 + 1];
  float per_bin = (float)sound->rate / FFT_SIZE, sum = 0, best = 0;
  guint low = (guint)(100 / per_bin), high = MIN ((guint)(7000 / per_bin), FFT_SIZE / 2);
  guint shortest = (guint)sound->rate / 400, longest = (guint)sound->rate / 60;

  /* Pre-emphasis: what is left of the low hum of rooms would look voiced. */
  for (guint i = 0; i < length; i++) {
    float now = at + i < sound->n ? sound->samples[at + i] : 0;
    float before = at + i > 0 && at + i - 1 < sound->n ? sound->samples[at + i - 1] : 0;

    re[i] = (now - 0.95f * before) / 32768.0f * window[i];
  }
  fft (re, im, FFT_SIZE);
  for (guint i = 0; i <= FFT_SIZE / 2; i++) {
    power[i] = i < low || i > high ? 0 : re[i] * re[i] + im[i] * im[i];
    sum += power[i];
  }
  for (guint b = 0; b < N_BANDS; b++) {
    /* Equal steps of a logarithmic scale. */
    guint from = (guint)(low * powf ((float)high / (float)low, (float)b / N_BANDS));
    guint to = MAX ((guint)(low * powf ((float)high / (float)low, (float)(b + 1) / N_BANDS)), from + 1);
    float in_band = 0;

    for (guint i = from; i < to; i++)
      in_band += power[i];
    hop->bands[b] = (float)MAX (10 * log10 (in_band / (float)length * 4 / FFT_SIZE + 1e-12), SILENCE - 20);
  }
  hop->level = (float)MAX (10 * log10 (sum / (float)length * 4 / FFT_SIZE + 1e-12), SILENCE);
  hop->peaks = measure_peaks (power, FFT_SIZE / 2);
  for (guint i = 0; i < FFT_SIZE; i++) {
    re[i] = power[i <= FFT_SIZE / 2 ? i : FFT_SIZE - i];
    im[i] = 0;
  }
  fft (re, im, FFT_SIZE);
  for (guint lag = shortest; lag <= longest && lag < length && re[0] > 0; lag++) {
    /* What the window takes from a lag is given back. */
    float share = 1.0f - (float)lag / (float)length;

    if (re[lag] > re[lag - 1] && re[lag] >= re[lag + 1])
      best = MAX (best, re[lag] / re[0] / MAX (share, 0.3f));
  }
  hop->voicing = MIN (best, 1.0f);
}

static Hop *
measure (const LocalSound *sound, gsize *n)
{
  guint step = (guint)sound->rate / HOPS_PER_SECOND, length = MIN (step * 4, FFT_SIZE);
  g_autofree float *window = g_new (float, length);
  Hop *hops;

  for (guint i = 0; i < length; i++)
    window[i] = 0.5f - 0.5f * cosf (2 * (float)G_PI * ((float)i + 0.5f) / (float)length);
  *n = sound->n / step;
  hops = g_new0 (Hop, MAX (*n, 1));
  for (gsize i = 0; i < *n; i++) {
    gsize centre = i * step + step / 2;

    measure_hop (sound, centre > length / 2 ? centre - length / 2 : 0, window, length, &hops[i]);
  }
  return hops;
}

static int
compare_floats (gconstpointer a, gconstpointer b)
{
  float x = *(const float *)a, y = *(const float *)b;

  return x < y ? -1 : x > y;
}

static void
levels_around (const Hop *hops, gsize n, gsize at, float *floor, float *speech)
{
  gsize from = at > AROUND ? at - AROUND : 0, to = MIN (at + AROUND, n), count = to - from;
  g_autofree float *levels = g_new (float, count);

  for (gsize i = 0; i < count; i++)
    levels[i] = hops[from + i].level;
  qsort (levels, count, sizeof (float), compare_floats);
  *floor = levels[count / 10];
  *speech = levels[count - 1 - count / 20];
}

/* Which hops stand out of the noise; once speech has begun, what is quieter still belongs to it. */
static guint8 *
find_active (const Hop *hops, gsize n)
{
  guint8 *active = g_new0 (guint8, MAX (n, 1));
  float floor = 0, speech = 0, loudest, all_floor;
  gboolean on = FALSE;

  if (n == 0)
    return active;
  {
    g_autofree float *levels = g_new (float, n);

    for (gsize i = 0; i < n; i++)
      levels[i] = hops[i].level;
    qsort (levels, n, sizeof (float), compare_floats);
    all_floor = levels[n / 10];
    loudest = levels[n - 1 - n / 100];
  }
  if (loudest < AUDIBLE)
    return active;
  for (gsize i = 0; i < n; i++) {
    float contrast;

    if (i % 50 == 0)
      levels_around (hops, n, i, &floor, &speech);
    /* In a long pause nothing is speech only because it is the loudest there. */
    speech = MAX (speech, loudest - 25);
    /* Somebody may speak through all of the surroundings. */
    contrast = speech - MIN (floor, MAX (all_floor, speech - 30));
    if (contrast < MIN_CONTRAST) {
      on = FALSE;
      continue;
    }
    on = hops[i].level > speech - contrast + MAX (contrast * (on ? 0.25f : 0.4f), on ? 4.0f : 6.0f);
    active[i] = on;
  }
  return active;
}

/* Noise is not voiced, a tone lies in few lines, and both stay as they are. */
static gboolean
is_speech (const Hop *hops, const guint8 *active, gsize start, gsize end)
{
  guint n = 0, voiced = 0, lines = 0, pairs = 0;
  double change = 0;

  for (gsize i = start; i < end; i++) {
    if (!active[i])
      continue;
    n++;
    voiced += hops[i].voicing > 0.45f;
    lines += hops[i].peaks > 0.93f;
    if (i + 10 < end && active[i + 10]) {
      for (guint b = 0; b < N_BANDS; b++) {
        double now = 0, then = 0;

        for (gsize k = 0; k < 3; k++) {
          now += hops[i + k].bands[b];
          then += hops[i + 10 - k].bands[b];
        }
        change += fabs (now - then) / 3 / N_BANDS;
      }
      pairs++;
    }
  }
  return n >= MIN_LENGTH && voiced * 8 >= n && lines * 10 < n * 7 && (pairs == 0 || change / pairs > 2.5);
}

/* The quietest hop of the middle part. */
static gsize
find_cut (const Hop *hops, gsize start, gsize end)
{
  gsize from = start + (end - start) / 4, to = end - (end - start) / 4, best = from;
  float quietest = G_MAXFLOAT;

  for (gsize i = from; i < to; i++) {
    float sum = 0;

    for (gssize k = -5; k <= 5; k++)
      sum += hops[(gsize)((gssize)i + k)].level;
    if (sum < quietest) {
      quietest = sum;
      best = i;
    }
  }
  return best;
}

static void
add_utterance (GArray *utterances, const Hop *hops, gsize start, gsize end)
{
  if (end - start > MAX_LENGTH) {
    gsize cut = find_cut (hops, start, end);

    add_utterance (utterances, hops, start, cut);
    add_utterance (utterances, hops, cut, end);
  } else {
    LocalSpan span = {start, end};

    g_array_append_val (utterances, span);
  }
}

/**
 * local_find_speech:
 * @sound: at 16000 samples per second or so
 *
 * The noise floor is the lower tenth of the levels in five seconds on each side, the speech level the upper twentieth; what
 * lies above a share of the way between them is a sound, and a sound that is voiced, broad and changing is speech.
 *
 * Returns: (element-type LocalSpan): the utterances, each with a little of the pauses around it
 */
GArray *
local_find_speech (const LocalSound *sound)
{
  gsize n, step = (gsize)sound->rate / HOPS_PER_SECOND, last = 0;
  g_autofree Hop *hops = measure (sound, &n);
  g_autofree guint8 *active = find_active (hops, n);
  GArray *utterances = g_array_new (FALSE, FALSE, sizeof (LocalSpan));

  for (gsize i = 0; i < n; i++) {
    gsize start = i, end = i;

    if (!active[i])
      continue;
    for (gsize pause = 0; i < n && pause < MERGE; i++) {
      pause = active[i] ? 0 : pause + 1;
      if (active[i])
        end = i + 1;
    }
    i = end;
    if (end - start >= MIN_LENGTH && is_speech (hops, active, start, end))
      add_utterance (utterances, hops, start, end);
  }
  for (guint i = 0; i < utterances->len; i++) {
    LocalSpan *span = &g_array_index (utterances, LocalSpan, i);
    gsize next = i + 1 < utterances->len ? g_array_index (utterances, LocalSpan, i + 1).start : n;

    span->start = MAX (span->start > PADDING ? span->start - PADDING : 0, last);
    last = span->end = MAX (MIN (span->end + PADDING, span->end + (next - span->end) / 2), span->end);
    span->start *= step;
    span->end = MIN (span->end * step, sound->n);
  }
  return utterances;
}

/**
 * local_measure_quality:
 * @sound: at 16000 samples per second or so
 * @spans: (element-type LocalSpan): where somebody speaks
 * @quality: gets how well it can be understood, whatever is said
 */
void
local_measure_quality (const LocalSound *sound, GArray *spans, LocalQuality *quality)
{
  gsize n, n_spoken = 0, step = (gsize)sound->rate / HOPS_PER_SECOND;
  g_autofree Hop *hops = measure (sound, &n);
  g_autofree float *levels = g_new (float, MAX (n, 1)), *trebles = g_new (float, MAX (n, 1));

  *quality = (LocalQuality){0};
  for (guint s = 0; s < spans->len; s++) {
    const LocalSpan *span = &g_array_index (spans, LocalSpan, s);

    for (gsize i = span->start / step; i < n && i < span->end / step && n_spoken < n; i++) {
      levels[n_spoken] = hops[i].level;
      trebles[n_spoken++] = hops[i].bands[N_BANDS - 1];
    }
  }
  if (n_spoken == 0)
    return;
  qsort (levels, n_spoken, sizeof (float), compare_floats);
  qsort (trebles, n_spoken, sizeof (float), compare_floats);
  quality->contrast = levels[n_spoken - 1 - n_spoken / 20] - levels[n_spoken / 10];
  quality->treble = trebles[n_spoken - 1 - n_spoken / 10] - levels[n_spoken - 1 - n_spoken / 20];
}
