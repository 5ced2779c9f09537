/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "analysis/analysis.h"

#include <math.h>
#include <string.h>

typedef double (*SoundFunc) (double time, guint32 *state);

static double
random_sample (guint32 *state)
{
  *state = *state * 1664525u + 1013904223u;
  return (*state >> 8) / 8388608.0 - 1;
}

static double
silence (double time, guint32 *state)
{
  return 0;
}

static double
tone (double time, guint32 *state)
{
  return pow (10, -23 / 20.0) * sin (2 * G_PI * 997 * time);
}

static double
noise (double time, guint32 *state)
{
  return 0.1 * random_sample (state);
}

/* A pulse train through two resonances, in syllables of a quarter of a second with hissing between them. */
static double
speech (double time, guint32 *state)
{
  double phase = fmod (time, 0.25), pulse = 0;

  if (phase < 0.15) {
    for (guint k = 1; k < 30; k++)
      pulse += sin (2 * G_PI * 130 * k * time) / (1 + fabs (130.0 * k - 700) / 400);
    return 0.05 * pulse * sin (G_PI * phase / 0.15);
  }
  return phase < 0.2 ? 0.01 * random_sample (state) : 0;
}

static double
chord (double time, guint32 *state)
{
  return 0.1 * (sin (2 * G_PI * 220 * time) + sin (2 * G_PI * 277.2 * time) + sin (2 * G_PI * 329.6 * time) +
                0.4 * sin (2 * G_PI * 880 * time) + 0.2 * sin (2 * G_PI * 1760 * time));
}

static GArray *
measure (SoundFunc func, guint rate, guint channels, double seconds, guint chunk)
{
  GArray *blocks = g_array_new (FALSE, FALSE, sizeof (DerushAudioBlock));
  g_autoptr (DerushAudioMeter) meter = derush_audio_meter_new (rate, channels);
  guint frames = (guint)(seconds * rate + 0.5);
  g_autofree float *samples = g_new (float, (gsize)frames *channels);
  guint32 state = 1;

  for (guint i = 0; i < frames; i++) {
    float value = func ((double)i / rate, &state);

    for (guint c = 0; c < channels; c++)
      samples[i * channels + c] = value;
  }
  for (guint i = 0; i < frames; i += chunk)
    derush_audio_meter_push (meter, samples + (gsize)i * channels, MIN (chunk, frames - i));
  derush_audio_meter_finish (meter);
  derush_audio_meter_pop (meter, blocks);
  return blocks;
}

static const DerushAudioBlock *
block (GArray *blocks, guint i)
{
  g_assert_cmpuint (i, <, blocks->len);
  return &g_array_index (blocks, DerushAudioBlock, i);
}

/* EBU Tech 3341: 1 kHz in both channels at -23 dBFS is -23 LUFS. */
static void
test_loudness (void)
{
  static const guint rates[] = {8000, 22050, 44100, 48000, 96000};

  for (guint i = 0; i < G_N_ELEMENTS (rates); i++) {
    g_autoptr (GArray) blocks = measure (tone, rates[i], 2, 2, 1000);

    g_assert_cmpfloat_with_epsilon (block (blocks, 10)->loudness, -23, 0.3);
    g_assert_cmpfloat_with_epsilon (block (blocks, 10)->level, -26, 0.1);
    g_assert_cmpfloat_with_epsilon (block (blocks, 10)->peak, -23, 0.1);
  }
}

static void
test_silence (void)
{
  g_autoptr (GArray) blocks = measure (silence, 48000, 2, 1, 4800);
  float likes_speech[10], likes_crowd[10];

  g_assert_cmpuint (blocks->len, ==, 10);
  derush_audio_likeness (block (blocks, 0), blocks->len, likes_speech, likes_crowd);
  for (guint i = 0; i < 10; i++) {
    g_assert_cmpfloat (block (blocks, i)->loudness, ==, -70);
    g_assert_cmpfloat (block (blocks, i)->level, ==, -100);
    g_assert_cmpfloat (block (blocks, i)->peak, ==, -100);
    g_assert_cmpfloat (block (blocks, i)->onset, ==, 0);
    g_assert_cmpfloat (likes_speech[i], ==, 0);
    g_assert_cmpfloat (likes_crowd[i], ==, 0);
  }
}

static void
test_noise_and_tones (void)
{
  static const guint rates[] = {16000, 44100, 48000, 96000};

  for (guint i = 0; i < G_N_ELEMENTS (rates); i++) {
    g_autoptr (GArray) noisy = measure (noise, rates[i], 1, 1, 777), tonal = measure (chord, rates[i], 1, 1, 777);

    g_assert_cmpfloat (block (noisy, 5)->flatness, >, 0.45);
    g_assert_cmpfloat (block (tonal, 5)->flatness, <, 0.25);
  }
}

static const struct {
  const char *name;
  SoundFunc func;
  double speech[2];
  double crowd[2];
} likes[] = {
    {"speech-sounds-like-speech", speech, {0.6, 1}, {0, 0.1}},
    {"steady-noise-sounds-like-a-crowd", noise, {0, 0.1}, {0.6, 1}},
    {"a-chord-sounds-like-neither", chord, {0, 0.2}, {0, 0.1}},
};

static void
test_likeness (gconstpointer data)
{
  guint n = GPOINTER_TO_UINT (data);
  static const guint rates[] = {16000, 44100, 48000};

  for (guint r = 0; r < G_N_ELEMENTS (rates); r++) {
    g_autoptr (GArray) blocks = measure (likes[n].func, rates[r], 2, 4, 1024);
    g_autofree float *likes_speech = g_new (float, blocks->len), *likes_crowd = g_new (float, blocks->len);

    derush_audio_likeness (block (blocks, 0), blocks->len, likes_speech, likes_crowd);
    for (guint i = 10; i < 30; i++) {
      g_assert_cmpfloat (likes_speech[i], >=, likes[n].speech[0]);
      g_assert_cmpfloat (likes_speech[i], <=, likes[n].speech[1]);
      g_assert_cmpfloat (likes_crowd[i], >=, likes[n].crowd[0]);
      g_assert_cmpfloat (likes_crowd[i], <=, likes[n].crowd[1]);
    }
  }
}

static double
late_noise (double time, guint32 *state)
{
  return time < 1.05 ? 0 : 0.2 * random_sample (state);
}

static void
test_onset (void)
{
  g_autoptr (GArray) blocks = measure (late_noise, 48000, 1, 2, 512);

  for (guint i = 0; i < blocks->len; i++) {
    if (i == 10)
      g_assert_cmpfloat (block (blocks, i)->onset, >, 10);
    else if (i != 11)
      g_assert_cmpfloat (block (blocks, i)->onset, <, 10);
  }
}

/* 22050 / 10 and 11025 / 10 are no whole numbers; after an hour the blocks still lie where they should. */
static void
test_no_drift (void)
{
  g_autoptr (DerushAudioMeter) meter = derush_audio_meter_new (11025, 1);
  g_autoptr (GArray) blocks = g_array_new (FALSE, FALSE, sizeof (DerushAudioBlock));

  derush_audio_meter_reset (meter, 3);
  derush_audio_meter_push (meter, NULL, 11025 * 600);
  derush_audio_meter_pop (meter, blocks);
  g_assert_cmpuint (blocks->len, ==, 6000);
  g_assert_cmpfloat_with_epsilon (block (blocks, 5999)->time, 3 + 599.9, 1e-6);
}

static void
test_chunks (void)
{
  g_autoptr (GArray) whole = measure (speech, 44100, 2, 2, 1 << 30), parts = measure (speech, 44100, 2, 2, 1),
                     odd = measure (speech, 44100, 2, 2, 1111);

  g_assert_cmpmem (whole->data, whole->len * sizeof (DerushAudioBlock), parts->data,
                   parts->len * sizeof (DerushAudioBlock));
  g_assert_cmpmem (whole->data, whole->len * sizeof (DerushAudioBlock), odd->data,
                   odd->len * sizeof (DerushAudioBlock));
}

static void
test_last_block (void)
{
  g_autoptr (GArray) most = measure (noise, 48000, 1, 0.16, 100), less = measure (noise, 48000, 1, 0.14, 100),
                     none = measure (noise, 48000, 1, 0.01, 100);

  g_assert_cmpuint (most->len, ==, 2);
  g_assert_cmpuint (less->len, ==, 1);
  g_assert_cmpuint (none->len, ==, 0);
}

static double
hostile (double time, guint32 *state)
{
  guint n = (guint)(time * 1000) % 5;

  return n == 0 ? NAN : n == 1 ? INFINITY : n == 2 ? 1e30 : n == 3 ? -INFINITY : 0.1;
}

static void
test_hostile_samples (void)
{
  g_autoptr (GArray) blocks = measure (hostile, 48000, 6, 1, 1000);

  for (guint i = 0; i < blocks->len; i++) {
    for (const float *value = &block (blocks, i)->loudness; value <= &block (blocks, i)->bands[7]; value++)
      g_assert_true (isfinite (*value));
  }
}

static void
test_formats (void)
{
  static const struct {
    guint rate, channels;
    gboolean fits;
  } formats[] = {{1000, 1, TRUE}, {8000, 1, TRUE},   {48000, 8, TRUE},   {768000, 2, TRUE}, {48000, 64, TRUE},
                 {999, 1, FALSE}, {48000, 0, FALSE}, {48000, 65, FALSE}, {0, 2, FALSE},     {G_MAXUINT, 2, FALSE}};

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autoptr (DerushAudioMeter) meter = derush_audio_meter_new (formats[i].rate, formats[i].channels);

    g_assert_cmpint (meter != NULL, ==, formats[i].fits);
    if (meter) {
      g_autoptr (GArray) blocks = measure (noise, formats[i].rate, formats[i].channels, 0.5, 100);

      g_assert_cmpuint (blocks->len, ==, 5);
      g_assert_cmpfloat (block (blocks, 4)->level, >, -40);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/analysis/audio/loudness-is-that-of-r128", test_loudness);
  g_test_add_func ("/analysis/audio/silence-is-silent", test_silence);
  g_test_add_func ("/analysis/audio/noise-is-flat-and-tones-are-not", test_noise_and_tones);
  for (guint i = 0; i < G_N_ELEMENTS (likes); i++) {
    g_autofree char *path = g_strconcat ("/analysis/audio/", likes[i].name, NULL);

    g_test_add_data_func (path, GUINT_TO_POINTER (i), test_likeness);
  }
  g_test_add_func ("/analysis/audio/an-onset-is-where-sound-begins", test_onset);
  g_test_add_func ("/analysis/audio/blocks-do-not-drift", test_no_drift);
  g_test_add_func ("/analysis/audio/the-size-of-buffers-does-not-matter", test_chunks);
  g_test_add_func ("/analysis/audio/half-a-block-counts", test_last_block);
  g_test_add_func ("/analysis/audio/what-is-no-number-is-silence", test_hostile_samples);
  g_test_add_func ("/analysis/audio/odd-formats-are-measured-or-refused", test_formats);
  return g_test_run ();
}
