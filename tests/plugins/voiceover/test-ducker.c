/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "voiceover/ducker.h"

#include <math.h>

#define RATE 48000
#define MS (RATE / 1000)

static const DuckerOptions defaults = {-40, -14, 0.03, 0.25, 0.45};

static float *
tone (double frequency, double amplitude, guint frames, guint from, guint to)
{
  float *samples = g_new0 (float, frames);

  for (guint i = from; i < MIN (to, frames); i++)
    samples[i] = (float)(amplitude * sin (2 * G_PI * frequency * (i - from) / RATE));
  return samples;
}

/* The gains in decibels for a voice of one channel, in blocks as an element would ask for them. */
static double *
duck (const DuckerOptions *options, double look_ahead, const float *voice, guint frames, guint block)
{
  g_autoptr (Ducker) ducker = ducker_new (RATE, 1, look_ahead);
  g_autofree float *gains = g_new0 (float, frames);
  double *decibels = g_new (double, frames);
  guint ahead = ducker_look_ahead (ducker), played = 0;

  for (guint heard = 0; heard < frames;) {
    guint n = MIN (block, frames - heard), ready;

    ducker_listen (ducker, options, voice ? voice + heard : NULL, n);
    heard += n;
    ready = heard > ahead ? heard - ahead - played : 0;
    ducker_gains (ducker, options, gains + played, ready);
    played += ready;
  }
  ducker_gains (ducker, options, gains + played, frames - played);
  for (guint i = 0; i < frames; i++)
    decibels[i] = 20 * log10 (gains[i]);
  return decibels;
}

static void
assert_near (double value, double expected, double tolerance)
{
  g_assert_cmpfloat (value, >=, expected - tolerance);
  g_assert_cmpfloat (value, <=, expected + tolerance);
}

/* Wherever it begins, and however quiet it is, the voice finds room. */
static void
test_depth_at_the_first_sample (void)
{
  static const guint starts[] = {0, 1, 480, 1000, 2400, 9600, 9617, 9648};
  static const double amplitudes[] = {0.016, 0.1, 1.0};
  static const guint blocks[] = {480, 441, 4096};

  for (guint k = 0; k < G_N_ELEMENTS (starts); k++) {
    for (guint a = 0; a < G_N_ELEMENTS (amplitudes); a++) {
      g_autofree float *voice = tone (300, amplitudes[a], RATE, starts[k], RATE);
      g_autofree double *gains = duck (&defaults, 0.05, voice, RATE, blocks[(k + a) % 3]);

      for (guint i = starts[k]; i < RATE; i++)
        assert_near (gains[i], -14, 0.001);
      for (guint i = 0; i + 50 * MS < starts[k]; i++)
        g_assert_cmpfloat (gains[i], ==, 0);
    }
  }
}

static void
test_short_look_ahead_shortens_the_attack (void)
{
  static const double look_aheads[] = {0.002, 0.005, 0.012, 0.02, 0.5};

  for (guint k = 0; k < G_N_ELEMENTS (look_aheads); k++) {
    g_autofree float *voice = tone (1000, 0.2, RATE, 30000, RATE);
    g_autofree double *gains = duck (&defaults, look_aheads[k], voice, RATE, 480);

    assert_near (gains[30000], -14, 0.001);
    g_assert_cmpfloat (gains[30000 - (guint)(look_aheads[k] * RATE) - 1], ==, 0);
  }
}

static void
test_without_look_ahead_the_attack_follows (void)
{
  g_autofree float *voice = tone (1000, 0.2, RATE, 9600, RATE);
  g_autofree double *gains = duck (&defaults, 0, voice, RATE, 480);

  g_assert_cmpfloat (gains[9599], ==, 0);
  assert_near (gains[9600 + 45 * MS], -14, 0.001);
}

static void
test_hold_and_release (void)
{
  guint frames = 4 * RATE, end = 2 * RATE;
  g_autofree float *voice = tone (300, 0.2, frames, RATE, end);
  g_autofree double *gains = duck (&defaults, 0.05, voice, frames, 480);

  for (guint i = RATE; i < end + 245 * MS; i++)
    assert_near (gains[i], -14, 0.001);
  for (guint i = end; i + 1 < frames; i++)
    g_assert_cmpfloat (gains[i + 1], >=, gains[i]);
  for (guint i = end + 715 * MS; i < frames; i++)
    g_assert_cmpfloat (gains[i], ==, 0);
  assert_near (gains[end + 480 * MS], -7, 1);
}

/* Stops and the pauses between words are shorter than the hold. */
static void
test_pauses_do_not_pump (void)
{
  guint frames = 3 * RATE;
  g_autofree float *voice = tone (300, 0.2, frames, RATE, 2 * RATE);
  g_autofree double *gains = NULL;

  for (guint i = RATE + 300 * MS; i < RATE + 540 * MS; i++)
    voice[i] = 0;
  gains = duck (&defaults, 0.05, voice, frames, 480);
  for (guint i = RATE; i < 2 * RATE; i++)
    assert_near (gains[i], -14, 0.001);
}

/* A voice that returns during the release is met as one that begins. */
static void
test_return_during_release (void)
{
  guint frames = 3 * RATE, back = RATE + 500 * MS;
  g_autofree float *voice = tone (300, 0.2, frames, 0, RATE);
  g_autofree double *gains = NULL;

  for (guint i = back; i < frames; i++)
    voice[i] = (float)(0.2 * sin (2 * G_PI * 300 * (i - back) / RATE));
  gains = duck (&defaults, 0.05, voice, frames, 480);
  g_assert_cmpfloat (gains[back - 51 * MS], >, -11);
  assert_near (gains[back], -14, 0.001);
}

/* The steepest part of an eased change is half as steep again as its mean. */
static void
test_no_clicks (void)
{
  static const double depths[] = {-3, -14, -60};

  for (guint k = 0; k < G_N_ELEMENTS (depths); k++) {
    DuckerOptions options = defaults;
    g_autofree float *voice = tone (300, 0.2, 3 * RATE, RATE, RATE + 300 * MS);
    g_autofree double *gains = NULL;
    double steepest = 0;

    options.duck_gain = depths[k];
    gains = duck (&options, 0.05, voice, 3 * RATE, 480);
    for (guint i = 0; i + 1 < 3 * RATE; i++)
      steepest = MAX (steepest, fabs (gains[i + 1] - gains[i]));
    g_assert_cmpfloat (steepest, >, 0);
    g_assert_cmpfloat (steepest, <=, 1.51 * -depths[k] / (30 * MS));
  }
}

typedef struct {
  double frequency;
  double amplitude;
  double offset;
  gboolean ducks;
} Sound;

static void
test_what_is_a_voice (void)
{
  static const Sound sounds[] = {
      {300, 0.0148, 0, TRUE}, /* −39.6 dBFS */
      {300, 0.0135, 0, FALSE}, {20, 0.1, 0, FALSE}, {300, 0, 0, FALSE}, {300, 0.001, 0.3, FALSE}, {150, 0.05, 0, TRUE},
  };

  for (guint k = 0; k < G_N_ELEMENTS (sounds); k++) {
    g_autofree float *voice = tone (sounds[k].frequency, sounds[k].amplitude, 3 * RATE, 0, 3 * RATE);
    g_autofree double *gains = NULL;

    for (guint i = 0; i < 3 * RATE; i++)
      voice[i] += (float)sounds[k].offset;
    gains = duck (&defaults, 0.05, voice, 3 * RATE, 480);
    /* The first second shows how the sound is switched on. */
    for (guint i = 3 * RATE / 2; i < 3 * RATE; i++)
      assert_near (gains[i], sounds[k].ducks ? -14 : 0, 0.001);
  }
}

static void
test_either_channel_is_heard (void)
{
  for (guint channel = 0; channel < 2; channel++) {
    g_autoptr (Ducker) ducker = ducker_new (RATE, 2, 0.05);
    g_autofree float *voice = g_new0 (float, 2 * RATE);
    g_autofree float *gains = g_new (float, RATE);

    for (guint i = 0; i < RATE; i++)
      voice[2 * i + channel] = 0.0148f * sinf (i * 0.05f);
    ducker_listen (ducker, &defaults, voice, RATE);
    ducker_gains (ducker, &defaults, gains, RATE);
    assert_near (20 * log10 (gains[RATE / 2]), -14, 0.001);
  }
}

static void
test_no_number_is_silence (void)
{
  g_autofree float *voice = tone (300, 0.2, RATE, RATE / 2, RATE);
  g_autofree double *gains = NULL;

  voice[1000] = NAN;
  voice[2000] = INFINITY;
  voice[3000] = -1e30f;
  gains = duck (&defaults, 0.05, voice, RATE, 480);
  for (guint i = 0; i < RATE / 2 - 50 * MS; i++)
    g_assert_cmpfloat (gains[i], ==, 0);
  assert_near (gains[RATE / 2], -14, 0.001);
}

/* Silence without samples keeps the time as silence with samples does. */
static void
test_absent_samples_are_silence (void)
{
  g_autofree float *voice = tone (300, 0.2, 2 * RATE, RATE + 17, 2 * RATE);
  g_autoptr (Ducker) a = ducker_new (RATE, 1, 0.05);
  g_autoptr (Ducker) b = ducker_new (RATE, 1, 0.05);
  g_autofree float *x = g_new (float, 2 * RATE);
  g_autofree float *y = g_new (float, 2 * RATE);

  ducker_listen (a, &defaults, voice, 2 * RATE);
  ducker_gains (a, &defaults, x, 2 * RATE);
  for (guint i = 0; i < RATE + 17; i += 1)
    ducker_listen (b, &defaults, NULL, 1);
  ducker_listen (b, &defaults, voice + RATE + 17, RATE - 17);
  ducker_gains (b, &defaults, y, 2 * RATE);
  g_assert_cmpmem (x, 2 * RATE * sizeof (float), y, 2 * RATE * sizeof (float));
}

static void
test_depth_may_change (void)
{
  g_autofree float *voice = tone (300, 0.2, RATE, 0, RATE);
  g_autoptr (Ducker) ducker = ducker_new (RATE, 1, 0.05);
  g_autofree float *gains = g_new (float, RATE);
  DuckerOptions options = defaults;

  ducker_listen (ducker, &options, voice, RATE);
  ducker_gains (ducker, &options, gains, RATE / 2);
  options.duck_gain = -26;
  ducker_gains (ducker, &options, gains + RATE / 2, RATE / 2);
  for (guint i = 1; i < RATE; i++)
    g_assert_cmpfloat (fabs (20 * log10 (gains[i] / gains[i - 1])), <, 0.01);
  assert_near (20 * log10 (gains[RATE - 1]), -26, 0.001);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ducker/the-depth-is-reached-at-the-first-sample-of-the-voice", test_depth_at_the_first_sample);
  g_test_add_func ("/ducker/a-short-look-ahead-shortens-the-attack", test_short_look_ahead_shortens_the_attack);
  g_test_add_func ("/ducker/without-look-ahead-the-attack-follows-the-voice",
                   test_without_look_ahead_the_attack_follows);
  g_test_add_func ("/ducker/the-program-stays-down-for-the-hold-and-is-back-after-the-release", test_hold_and_release);
  g_test_add_func ("/ducker/pauses-shorter-than-the-hold-do-not-pump", test_pauses_do_not_pump);
  g_test_add_func ("/ducker/a-voice-that-returns-during-the-release-finds-the-depth", test_return_during_release);
  g_test_add_func ("/ducker/the-gain-has-no-clicks", test_no_clicks);
  g_test_add_func ("/ducker/rumble-offset-and-noise-below-the-threshold-are-no-voice", test_what_is_a_voice);
  g_test_add_func ("/ducker/a-voice-in-either-channel-is-heard", test_either_channel_is_heard);
  g_test_add_func ("/ducker/samples-that-are-no-numbers-are-silence", test_no_number_is_silence);
  g_test_add_func ("/ducker/absent-samples-are-silence", test_absent_samples_are_silence);
  g_test_add_func ("/ducker/a-changed-depth-is-followed-smoothly", test_depth_may_change);
  return g_test_run ();
}
