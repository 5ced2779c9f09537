/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "plugins/analysis/analysis.h"

#include <math.h>
#include <string.h>

#define SECONDS 10

/* A tone that swells and fades, with a crack each second: like speech, with a clap. */
static float *
make_sound (guint rate, guint channels, double level, double crack)
{
  float *samples = g_new0 (float, (gsize)rate *SECONDS *channels);

  for (guint i = 0; i < rate * SECONDS; i++) {
    double time = (double)i / rate, swell = 0.6 + 0.4 * sin (2 * G_PI * 1.3 * time);
    double value = level * swell * sin (2 * G_PI * 440 * time);

    if (fmod (time, 1) < 0.004)
      value += crack * sin (2 * G_PI * 2500 * time);
    for (guint c = 0; c < channels; c++)
      samples[i * channels + c] = (float)value;
  }
  return samples;
}

static DerushMaster *
hear (const float *samples, guint rate, guint channels)
{
  DerushMaster *master = derush_master_new (channels, rate);

  g_assert_nonnull (master);
  /* In pieces as decoders give them. */
  for (gsize done = 0, piece = 1024; done < (gsize)rate * SECONDS; done += piece) {
    piece = MIN (piece, (gsize)rate * SECONDS - done);
    derush_master_add (master, samples + done * channels, piece);
  }
  return master;
}

static double
gain_at (GArray *points, double time)
{
  const DerushMasterPoint *all = (const DerushMasterPoint *)(gconstpointer)points->data;
  guint i = 1;

  if (time <= all[0].time)
    return all[0].gain;
  while (i < points->len && all[i].time < time)
    i++;
  if (i == points->len)
    return all[i - 1].gain;
  return all[i - 1].gain + (all[i].gain - all[i - 1].gain) * (time - all[i - 1].time) / (all[i].time - all[i - 1].time);
}

static void
sound_is_brought_to_its_loudness_and_below_its_peak (void)
{
  static const struct {
    guint rate, channels;
    double level, crack, goal;
  } cases[] = {
      {48000, 2, 0.03, 0, -14},   {48000, 2, 0.03, 0.4, -14}, {44100, 1, 0.5, 0.5, -14}, {48000, 1, 0.9, 0.9, -14},
      {44100, 2, 0.05, 0.9, -16}, {22050, 2, 0.1, 0.8, -23},  {32000, 1, 0.2, 0.2, -9},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const DerushMasterGoal goal = {cases[i].goal, -1, 40};
    guint channels = cases[i].channels, rate = cases[i].rate;
    g_autofree float *samples = make_sound (rate, channels, cases[i].level, cases[i].crack);
    g_autoptr (DerushMaster) before = hear (samples, rate, channels), after = NULL;
    double gain;
    g_autoptr (GArray) points = derush_master_plan (before, &goal, &gain);

    g_assert_nonnull (points);
    for (guint k = 0; k < rate * SECONDS; k++)
      for (guint c = 0; c < channels; c++)
        samples[k * channels + c] *= (float)gain_at (points, (double)k / rate);
    after = hear (samples, rate, channels);
    g_test_message ("case %u: %.2f LUFS, %.2f dBTP", i, derush_master_get_loudness (after),
                    derush_master_get_true_peak (after));
    g_assert_cmpfloat (fabs (derush_master_get_loudness (after) - goal.loudness), <, 0.15);
    g_assert_cmpfloat (derush_master_get_true_peak (after), <, -0.85);
  }
}

/* The gain never jumps: from one millisecond to the next by a few percent at most. */
static void
the_gain_moves_smoothly (void)
{
  const DerushMasterGoal goal = {-14, -1, 40};
  g_autofree float *samples = make_sound (48000, 1, 0.05, 0.9);
  g_autoptr (DerushMaster) master = hear (samples, 48000, 1);
  double gain, least = 1e9, most = 0;
  g_autoptr (GArray) points = derush_master_plan (master, &goal, &gain);

  for (double time = 0.001; time < SECONDS; time += 0.001) {
    double before = gain_at (points, time - 0.001), now = gain_at (points, time);

    g_assert_cmpfloat (fabs (now / before - 1), <, 0.08);
    least = MIN (least, now);
    most = MAX (most, now);
  }
  g_assert_cmpfloat (most, >, 2 * least); /* it had something to hold down */
}

static void
what_is_quiet_is_not_pumped_up (void)
{
  const DerushMasterGoal goal = {-14, -1, 20};
  g_autofree float *quiet = make_sound (48000, 1, 0.001, 0), *silence = g_new0 (float, 48000 * SECONDS);
  g_autoptr (DerushMaster) whisper = hear (quiet, 48000, 1), nothing = hear (silence, 48000, 1);
  double gain = 0;
  g_autoptr (GArray) points = derush_master_plan (whisper, &goal, &gain);

  g_assert_cmpfloat (gain, ==, 20);
  g_assert_cmpfloat_with_epsilon (gain_at (points, 5), 10, 1e-6);
  g_assert_null (derush_master_plan (nothing, &goal, &gain));
  g_assert_true (isinf (derush_master_get_true_peak (nothing)));
}

static void
less_than_a_block_stays_as_it_is (void)
{
  const DerushMasterGoal goal = {-14, -1, 20};
  g_autofree float *samples = make_sound (48000, 1, 0.1, 0);
  g_autoptr (DerushMaster) master = derush_master_new (1, 48000);
  double gain;

  g_assert_null (derush_master_plan (master, &goal, &gain));
  derush_master_add (master, samples, 48000 * 39 / 100);
  g_assert_null (derush_master_plan (master, &goal, &gain));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/analysis/master/sound-is-brought-to-its-loudness-and-below-its-peak",
                   sound_is_brought_to_its_loudness_and_below_its_peak);
  g_test_add_func ("/analysis/master/the-gain-moves-smoothly", the_gain_moves_smoothly);
  g_test_add_func ("/analysis/master/what-is-quiet-is-not-pumped-up", what_is_quiet_is_not_pumped_up);
  g_test_add_func ("/analysis/master/less-than-a-block-stays-as-it-is", less_than_a_block_stays_as_it_is);
  return g_test_run ();
}
