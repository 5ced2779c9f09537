/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pictures.h"

#include <math.h>
#include <string.h>

#define WIDTH 192
#define HEIGHT 108
#define N_SCENES 3
#define ANY (-1)

/* A film is what its frames show. */
typedef struct {
  Scene *scenes[N_SCENES];
  Picture *a;
  Picture *b;
  guint32 noise;
} Studio;

typedef void (*ShowFunc) (Studio *studio, guint frame, double time, Picture *out);

typedef struct {
  const char *name;
  ShowFunc show;
  double fps;
  guint n_frames;
  /* Shot changes: frames between which each must lie, and its kind. */
  struct {
    guint from, to;
    int transition;
  } changes[4];
  DerushTransition opening;
} Case;

static void
show (Studio *studio, guint scene, double x, Picture *out)
{
  scene_show (studio->scenes[scene], (int)(x + 0.5), out);
}

static void
show_cut (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, frame < 40 ? 0 : 1, 0, out);
}

static void
show_cut_at_a_second_and_a_half (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, time < 1.5 - 1e-6 ? 0 : 1, 30 * time, out);
}

static void
show_two_cuts (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, frame < 40 ? 0 : frame < 60 ? 1 : 2, 0, out);
}

static void
show_to_and_fro (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, frame / 40 % 2, 0, out);
}

static void
show_blink (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, frame < 40 ? 0 : frame < 43 ? 1 : 2, 0, out);
}

static void
show_still (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
}

static void
show_pan (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 80 * time, out);
}

static void
show_fast_pan (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 180 * time, out);
}

static void
show_pan_on_twos (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, frame / 2 * 9, out);
}

static void
show_flash (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 20 * time, out);
  if (frame == 40 || frame == 41)
    picture_fill (out, 230, 128, 128);
}

static void
show_one_frame_flash (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
  if (frame == 40)
    picture_fill (out, 235, 128, 128);
}

static void
show_strobe (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
  if (frame > 20 && frame < 60 && frame % 5 < 2)
    picture_fill (out, 225, 128, 128);
}

static void
show_black_frames (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
  if (frame == 40 || frame == 41)
    picture_fill (out, 16, 128, 128);
}

static void
blend (Studio *studio, guint from, guint to, double share, double x, Picture *out)
{
  show (studio, from, x, studio->a);
  show (studio, to, x, studio->b);
  picture_blend (out, studio->a, studio->b, CLAMP (share, 0, 1));
}

static void
show_dissolve (Studio *studio, guint frame, double time, Picture *out)
{
  blend (studio, 0, 1, (frame - 39.0) / 20, 0, out);
}

static void
show_short_dissolve (Studio *studio, guint frame, double time, Picture *out)
{
  blend (studio, 0, 1, (frame - 39.0) / 8, 0, out);
}

static void
show_dissolve_of_a_pan (Studio *studio, guint frame, double time, Picture *out)
{
  blend (studio, 0, 1, (frame - 39.0) / 20, 15 * time, out);
}

static void
show_flash_in_a_dissolve (Studio *studio, guint frame, double time, Picture *out)
{
  show_dissolve (studio, frame, time, out);
  if (frame == 48 || frame == 49)
    picture_fill (out, 230, 128, 128);
}

static void
darken (Picture *out, double light, guint8 luma)
{
  g_autoptr (Picture) shade = picture_new (WIDTH, HEIGHT), copy = picture_new (WIDTH, HEIGHT);

  picture_fill (shade, luma, 128, 128);
  memcpy (copy->data, out->data, WIDTH * HEIGHT * 3 / 2);
  picture_blend (out, shade, copy, CLAMP (light, 0, 1));
}

static void
show_fade (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, frame < 55 ? 0 : 1, 0, out);
  darken (out, frame < 55 ? (50.0 - frame) / 15 : (frame - 60.0) / 15, 16);
}

static void
show_fade_through_white (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, frame < 50 ? 0 : 1, 0, out);
  darken (out, frame < 50 ? (50.0 - frame) / 10 : (frame - 50.0) / 10, 235);
}

static void
show_fade_out_at_the_end (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
  darken (out, (75.0 - frame) / 20, 16);
}

static void
show_opening_fade (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
  darken (out, (frame - 5.0) / 25, 16);
}

static void
show_wipe (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, studio->a);
  show (studio, 1, 0, studio->b);
  picture_wipe (out, studio->a, studio->b, CLAMP ((frame - 39.0) / 15, 0, 1));
}

static void
show_letterboxed_dark_cut (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, frame < 40 ? 0 : 1, 0, out);
  darken (out, 0.25, 16);
  picture_letterbox (out, 20);
}

static void
show_light_change (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
  darken (out, 1 - CLAMP ((frame - 40.0) / 25, 0, 0.35), 16);
}

/* From one frame to the next, as when a lamp goes on. */
static void
show_light_switch (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
  if (frame < 40)
    darken (out, 0.6, 16);
}

/* A caption appears on a still scene. */
static void
show_caption (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, 0, 0, out);
  if (frame >= 40)
    memset (out->data + WIDTH * 84, 200, WIDTH * 16);
}

static void
show_very_dark_cut (Studio *studio, guint frame, double time, Picture *out)
{
  show (studio, frame < 40 ? 0 : 1, 0, out);
  darken (out, 0.12, 16);
}

static void
show_black (Studio *studio, guint frame, double time, Picture *out)
{
  picture_fill (out, 16, 128, 128);
}

static const Case cases[] = {
    {"a-cut-is-found-at-its-frame", show_cut, 25, 80, {{40, 40, DERUSH_TRANSITION_CUT}}},
    {"a-cut-is-found-at-60-frames-a-second",
     show_cut_at_a_second_and_a_half,
     60,
     180,
     {{90, 90, DERUSH_TRANSITION_CUT}}},
    {"a-cut-is-found-at-12-frames-a-second",
     show_cut_at_a_second_and_a_half,
     12,
     40,
     {{18, 18, DERUSH_TRANSITION_CUT}}},
    {"two-cuts-are-found", show_two_cuts, 25, 100, {{40, 40, DERUSH_TRANSITION_CUT}, {60, 60, DERUSH_TRANSITION_CUT}}},
    {"of-two-cuts-too-near-one-is-reported", show_blink, 25, 80, {{40, 43, DERUSH_TRANSITION_CUT}}},
    {"a-dark-letterboxed-cut-is-found", show_letterboxed_dark_cut, 25, 80, {{40, 40, DERUSH_TRANSITION_CUT}}},
    {"a-still-has-no-cut", show_still, 25, 100, {{0}}},
    {"a-pan-is-no-cut", show_pan, 25, 100, {{0}}},
    {"a-fast-pan-is-no-cut", show_fast_pan, 25, 50, {{0}}},
    {"a-pan-on-twos-is-no-cut", show_pan_on_twos, 24, 60, {{0}}},
    {"a-flash-is-no-cut", show_flash, 25, 80, {{0}}},
    {"a-flash-of-one-frame-is-no-cut", show_one_frame_flash, 25, 80, {{0}}},
    {"a-strobe-is-no-cut", show_strobe, 25, 90, {{0}}},
    {"black-frames-are-no-cut", show_black_frames, 25, 80, {{0}}},
    {"a-change-of-light-is-no-cut", show_light_change, 25, 100, {{0}}},
    {"a-lamp-that-goes-on-is-no-cut", show_light_switch, 25, 80, {{0}}},
    {"a-caption-is-no-cut", show_caption, 25, 80, {{0}}},
    {"a-very-dark-cut-is-found", show_very_dark_cut, 25, 80, {{40, 40, DERUSH_TRANSITION_CUT}}},
    {"a-black-film-is-one-shot", show_black, 25, 80, {{0}}},
    {"a-dissolve-is-found", show_dissolve, 25, 120, {{40, 60, DERUSH_TRANSITION_DISSOLVE}}},
    {"a-short-dissolve-is-found", show_short_dissolve, 25, 100, {{40, 47, DERUSH_TRANSITION_DISSOLVE}}},
    {"a-dissolve-between-moving-scenes-is-found", show_dissolve_of_a_pan, 25, 120, {{40, 60, ANY}}},
    {"a-flash-in-a-dissolve-is-no-cut", show_flash_in_a_dissolve, 25, 120, {{40, 60, DERUSH_TRANSITION_DISSOLVE}}},
    {"a-fade-through-black-is-found",
     show_fade,
     25,
     140,
     {{46, 52, DERUSH_TRANSITION_FADE_OUT}, {58, 66, DERUSH_TRANSITION_FADE_IN}}},
    {"a-fade-through-white-is-found", show_fade_through_white, 25, 120, {{48, 56, DERUSH_TRANSITION_FADE_IN}}},
    {"a-fade-out-at-the-end-begins-no-shot", show_fade_out_at_the_end, 25, 90, {{0}}},
    {"an-opening-fade-is-how-the-film-begins", show_opening_fade, 25, 120, {{0}}, DERUSH_TRANSITION_FADE_IN},
    {"a-wipe-is-found", show_wipe, 25, 120, {{40, 55, DERUSH_TRANSITION_WIPE}}},
};

static Studio
open_studio (guint seed)
{
  Studio studio = {.a = picture_new (WIDTH, HEIGHT), .b = picture_new (WIDTH, HEIGHT), .noise = seed};

  for (guint i = 0; i < N_SCENES; i++)
    studio.scenes[i] = scene_new (WIDTH, HEIGHT, 100 * seed + i);
  return studio;
}

static void
close_studio (Studio *studio)
{
  for (guint i = 0; i < N_SCENES; i++)
    scene_free (studio->scenes[i]);
  picture_free (studio->a);
  picture_free (studio->b);
}

/* With a little noise, as every camera has. */
static GArray *
shoot (Studio *studio, ShowFunc func, guint n_frames, const double *times, double fps)
{
  GArray *frames = g_array_new (FALSE, FALSE, sizeof (DerushFrameFeatures));
  g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);

  for (guint i = 0; i < n_frames; i++) {
    double time = times ? times[i] : i / fps;
    DerushPlanes planes = picture_planes (picture);
    DerushFrameFeatures features;

    func (studio, i, time, picture);
    picture_add_noise (picture, 2, &studio->noise);
    g_assert_true (derush_frame_meter_push (meter, &planes, time, &features));
    g_array_append_val (frames, features);
  }
  return frames;
}

static GArray *
find_shots (GArray *frames, double duration)
{
  return derush_shots_find ((const DerushFrameFeatures *)frames->data, frames->len, duration, NULL);
}

static void
assert_whole (GArray *shots, double start, double end)
{
  g_assert_cmpuint (shots->len, >, 0);
  g_assert_cmpfloat (g_array_index (shots, DerushShot, 0).start, ==, start);
  g_assert_cmpuint (g_array_index (shots, DerushShot, 0).first_frame, ==, 0);
  for (guint i = 1; i < shots->len; i++)
    g_assert_cmpfloat (g_array_index (shots, DerushShot, i).start, ==, g_array_index (shots, DerushShot, i - 1).end);
  g_assert_cmpfloat (g_array_index (shots, DerushShot, shots->len - 1).end, ==, end);
}

static void
print_shots (GArray *shots)
{
  for (guint i = 0; i < shots->len; i++) {
    const DerushShot *shot = &g_array_index (shots, DerushShot, i);

    g_test_message ("frame %u: %s, score %.2f, %.2f to %.2f s", shot->first_frame,
                    derush_transition_to_string (shot->transition), shot->score, shot->transition_start,
                    shot->transition_end);
  }
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;

  for (guint seed = 1; seed <= 4; seed++) {
    Studio studio = open_studio (seed);
    g_autoptr (GArray) frames = shoot (&studio, c->show, c->n_frames, NULL, c->fps);
    g_autoptr (GArray) shots = find_shots (frames, c->n_frames / c->fps);
    guint expected = 0;

    print_shots (shots);
    assert_whole (shots, 0, c->n_frames / c->fps);
    while (expected < G_N_ELEMENTS (c->changes) && c->changes[expected].to > 0)
      expected++;
    g_assert_cmpuint (shots->len, ==, expected + 1);
    g_assert_cmpuint (g_array_index (shots, DerushShot, 0).transition, ==, c->opening);
    for (guint i = 0; i < expected; i++) {
      const DerushShot *shot = &g_array_index (shots, DerushShot, i + 1);

      g_assert_cmpuint (shot->first_frame, >=, c->changes[i].from);
      g_assert_cmpuint (shot->first_frame, <=, c->changes[i].to);
      if (c->changes[i].transition != ANY)
        g_assert_cmpint (shot->transition, ==, c->changes[i].transition);
      g_assert_cmpfloat (shot->start, ==, g_array_index (frames, DerushFrameFeatures, shot->first_frame).time);
      g_assert_cmpfloat (shot->transition_start, <, shot->start);
      g_assert_cmpfloat (shot->transition_end, >=, shot->start);
    }
    close_studio (&studio);
  }
}

/* A cut at each of many places, between many scenes, at any rate. */
static void
test_any_cut (void)
{
  static const double rates[] = {12, 15, 23.976, 25, 29.97, 50, 60};
  GRand *random = g_rand_new_with_seed (3);

  for (guint n = 0; n < 40; n++) {
    double fps = rates[n % G_N_ELEMENTS (rates)];
    g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
    g_autoptr (DerushShotDetector) detector = derush_shot_detector_new (NULL);
    g_autoptr (Scene) before = scene_new (WIDTH, HEIGHT, 1000 + 2 * n), after = scene_new (WIDTH, HEIGHT, 1001 + 2 * n);
    g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
    guint length = (guint)(3 * fps), cut = g_rand_int_range (random, (int)fps, (int)(2 * fps)), found = 0;
    DerushShotChange change;

    for (guint i = 0; i < length; i++) {
      DerushPlanes planes = picture_planes (picture);
      DerushFrameFeatures features;

      scene_show (i < cut ? before : after, (int)(20 * i / fps), picture);
      g_assert_true (derush_frame_meter_push (meter, &planes, i / fps, &features));
      derush_shot_detector_push (detector, &features);
    }
    derush_shot_detector_finish (detector);
    while (derush_shot_detector_pop (detector, &change)) {
      g_assert_cmpuint (change.frame, ==, cut);
      found++;
    }
    g_assert_cmpuint (found, ==, 1);
  }
  g_rand_free (random);
}

static void
test_variable_rate (void)
{
  Studio studio = open_studio (5);
  GRand *random = g_rand_new_with_seed (4);
  double times[120], time = 2;
  guint cut = 0;

  for (guint i = 0; i < G_N_ELEMENTS (times); i++) {
    times[i] = time;
    time += g_rand_double_range (random, 0.01, 0.1);
  }
  for (guint i = 0; i < G_N_ELEMENTS (times); i++)
    times[i] = (times[i] - 2) * 3 / (time - 2);
  while (times[cut] < 1.5 - 1e-6)
    cut++;
  {
    g_autoptr (GArray) frames = shoot (&studio, show_cut_at_a_second_and_a_half, G_N_ELEMENTS (times), times, 0);
    g_autoptr (GArray) shots = find_shots (frames, 3);

    g_assert_cmpuint (shots->len, ==, 2);
    g_assert_cmpuint (g_array_index (shots, DerushShot, 1).first_frame, ==, cut);
    g_assert_cmpfloat (g_array_index (shots, DerushShot, 1).start, ==, times[cut]);
  }
  g_rand_free (random);
  close_studio (&studio);
}

static void
test_stream_and_list_agree (void)
{
  Studio studio = open_studio (6);
  g_autoptr (GArray) frames = shoot (&studio, show_fade, 140, NULL, 25);
  g_autoptr (GArray) shots = find_shots (frames, 140 / 25.0);
  g_autoptr (DerushShotDetector) detector = derush_shot_detector_new (NULL);
  DerushShotChange change;
  guint n = 0;

  for (guint round = 0; round < 2; round++) {
    n = 0;
    for (guint i = 0; i < frames->len; i++) {
      derush_shot_detector_push (detector, &g_array_index (frames, DerushFrameFeatures, i));
      while (derush_shot_detector_pop (detector, &change))
        g_assert_cmpuint (change.frame, ==, g_array_index (shots, DerushShot, ++n).first_frame);
    }
    derush_shot_detector_finish (detector);
    while (derush_shot_detector_pop (detector, &change))
      g_assert_cmpuint (change.frame, ==, g_array_index (shots, DerushShot, ++n).first_frame);
    g_assert_cmpuint (n, ==, shots->len - 1);
    derush_shot_detector_reset (detector);
  }
  close_studio (&studio);
}

static void
test_transitions_asked_for (void)
{
  Studio studio = open_studio (7);
  g_autoptr (GArray) frames = shoot (&studio, show_cut, 80, NULL, 25);
  g_autoptr (GArray) shots = NULL;
  DerushShotOptions options;

  derush_shot_options_init (&options);
  options.transitions = 1u << DERUSH_TRANSITION_DISSOLVE;
  shots = derush_shots_find ((const DerushFrameFeatures *)frames->data, frames->len, 3.2, &options);
  g_assert_cmpuint (shots->len, ==, 1);
  close_studio (&studio);
}

static void
test_min_duration (void)
{
  Studio studio = open_studio (8);
  g_autoptr (GArray) frames = shoot (&studio, show_two_cuts, 100, NULL, 25);
  g_autoptr (GArray) shots = NULL;
  DerushShotOptions options;

  derush_shot_options_init (&options);
  options.min_duration = 1;
  shots = derush_shots_find ((const DerushFrameFeatures *)frames->data, frames->len, 4, &options);
  g_assert_cmpuint (shots->len, ==, 2);
  g_assert_cmpuint (g_array_index (shots, DerushShot, 1).first_frame, ==, 40);
  close_studio (&studio);
}

static void
test_few_frames (void)
{
  Studio studio = open_studio (9);

  for (guint n = 0; n <= 4; n++) {
    g_autoptr (GArray) frames = shoot (&studio, show_still, n, NULL, 25);
    g_autoptr (GArray) shots = find_shots (frames, n / 25.0);

    g_assert_cmpuint (shots->len, ==, n > 0 ? 1 : 0);
    if (n > 0)
      assert_whole (shots, 0, n / 25.0);
  }
  close_studio (&studio);
}

/* An hour and a half, to see that nothing is lost when old frames are dropped. */
static void
test_long_film (void)
{
  Studio studio = open_studio (10);
  g_autoptr (GArray) frames = shoot (&studio, show_to_and_fro, 160, NULL, 25);
  g_autoptr (DerushShotDetector) detector = derush_shot_detector_new (NULL);
  guint found = 0, rounds = 1700;
  DerushShotChange change;

  /* From the first cut to before the third: what follows the last of these frames is like the first of them. */
  for (guint i = 0; i < rounds * 80; i++) {
    DerushFrameFeatures features = g_array_index (frames, DerushFrameFeatures, 40 + i % 80);

    features.time = i / 25.0;
    derush_shot_detector_push (detector, &features);
    while (derush_shot_detector_pop (detector, &change))
      g_assert_cmpuint (change.frame, ==, ++found * 40);
  }
  derush_shot_detector_finish (detector);
  while (derush_shot_detector_pop (detector, &change))
    g_assert_cmpuint (change.frame, ==, ++found * 40);
  g_assert_cmpuint (found, ==, 2 * rounds - 1);
  close_studio (&studio);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat ("/analysis/shots/", cases[i].name, NULL);

    g_test_add_data_func (path, &cases[i], test_case);
  }
  g_test_add_func ("/analysis/shots/a-cut-is-found-wherever-it-is", test_any_cut);
  g_test_add_func ("/analysis/shots/a-cut-is-found-at-variable-rate", test_variable_rate);
  g_test_add_func ("/analysis/shots/stream-and-list-agree", test_stream_and_list_agree);
  g_test_add_func ("/analysis/shots/only-what-was-asked-for-is-reported", test_transitions_asked_for);
  g_test_add_func ("/analysis/shots/shots-have-a-least-duration", test_min_duration);
  g_test_add_func ("/analysis/shots/few-frames-are-one-shot", test_few_frames);
  g_test_add_func ("/analysis/shots/a-long-film-keeps-its-frame-numbers", test_long_film);
  return g_test_run ();
}
