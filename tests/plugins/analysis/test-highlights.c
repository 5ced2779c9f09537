/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "analysis/analysis.h"

#include <math.h>
#include <string.h>

#define DURATION 60.0
#define FPS 25

/* A film of a minute in which little happens: someone moves a little and speaks softly. */
typedef struct {
  GArray *frames;
  GArray *audio;
  GArray *shots;
} Film;

static void
add_shot (Film *film, double start, double end)
{
  DerushShot shot = {.start = start,
                     .end = end,
                     .transition_start = MAX (0, start - 0.04),
                     .transition_end = start,
                     .first_frame = (guint32)(start * FPS + 0.5)};

  g_array_append_val (film->shots, shot);
}

static Film
make_film (double duration)
{
  Film film = {g_array_new (FALSE, TRUE, sizeof (DerushFrameFeatures)),
               g_array_new (FALSE, TRUE, sizeof (DerushAudioBlock)), g_array_new (FALSE, TRUE, sizeof (DerushShot))};

  for (guint i = 0; i < (guint)(duration * FPS + 0.5); i++) {
    DerushFrameFeatures f = {.time = (double)i / FPS, .motion = 0.02f + 0.01f * (i % 7) / 7, .luma_mean = 0.4f};

    g_array_append_val (film.frames, f);
  }
  for (guint i = 0; i < (guint)(duration * 10 + 0.5); i++) {
    DerushAudioBlock b = {.time = i / 10.0,
                          .loudness = (float)(i % 5) - 30,
                          .level = -33,
                          .peak = -20,
                          .flatness = 0.3f,
                          .least_flatness = 0.3f};

    for (guint k = 0; k < DERUSH_AUDIO_SLICES; k++)
      b.envelope[k] = -35;
    g_array_append_val (film.audio, b);
  }
  add_shot (&film, 0, duration);
  return film;
}

static void
clear_film (Film *film)
{
  g_array_unref (film->frames);
  g_array_unref (film->audio);
  g_array_unref (film->shots);
}

static DerushAnalysis
analysis_of (const Film *film)
{
  return (DerushAnalysis){.frames = (const DerushFrameFeatures *)film->frames->data,
                          .n_frames = film->frames->len,
                          .audio = (const DerushAudioBlock *)film->audio->data,
                          .n_audio = film->audio->len,
                          .shots = (const DerushShot *)film->shots->data,
                          .n_shots = film->shots->len,
                          .duration = MAX (film->frames->len / (double)FPS, film->audio->len / 10.0),
                          .width = 1280,
                          .height = 720};
}

static void
plant_loudness (Film *film, double start, double end, float loudness)
{
  for (guint i = (guint)(start * 10 + 0.5); i < (guint)(end * 10 + 0.5); i++)
    g_array_index (film->audio, DerushAudioBlock, i).loudness = loudness;
}

static void
plant_crowd (Film *film, double start, double end)
{
  for (guint i = (guint)(start * 10 + 0.5); i < (guint)(end * 10 + 0.5); i++) {
    DerushAudioBlock *b = &g_array_index (film->audio, DerushAudioBlock, i);

    b->flatness = 0.6f;
    b->least_flatness = 0.53f;
    b->loudness = -20;
  }
}

static void
plant_motion (Film *film, double start, double end, float motion)
{
  for (guint i = (guint)(start * FPS + 0.5); i < (guint)(end * FPS + 0.5); i++)
    g_array_index (film->frames, DerushFrameFeatures, i).motion = motion;
}

static void
plant_cuts (Film *film, const double *times, guint n)
{
  double duration = g_array_index (film->shots, DerushShot, film->shots->len - 1).end;

  g_array_set_size (film->shots, 0);
  add_shot (film, 0, times[0]);
  for (guint i = 0; i < n; i++)
    add_shot (film, times[i], i + 1 < n ? times[i + 1] : duration);
}

static DerushHighlights *
find (const Film *film, const DerushHighlightOptions *options)
{
  DerushAnalysis analysis = analysis_of (film);
  DerushHighlights *highlights = derush_highlights_find (&analysis, options);

  for (guint i = 0; i < highlights->chosen->len; i++) {
    const DerushHighlight *h = g_ptr_array_index (highlights->chosen, i);

    g_test_message ("%.2f to %.2f s: %.3f %s", h->start, h->end, h->score, h->type);
  }
  return highlights;
}

static const DerushHighlight *
nth (const DerushHighlights *highlights, guint i)
{
  g_assert_cmpuint (i, <, highlights->chosen->len);
  return g_ptr_array_index (highlights->chosen, i);
}

static double
overlap (const DerushHighlight *h, double start, double end)
{
  double both = MAX (0, MIN (h->end, end) - MAX (h->start, start));

  return both / (MAX (h->end, end) - MIN (h->start, start));
}

static void
test_nothing (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = find (&film, NULL);

  g_assert_cmpuint (highlights->chosen->len, ==, 0);
  clear_film (&film);
}

static void
test_black_and_silent (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;

  plant_motion (&film, 0, DURATION, 0);
  plant_loudness (&film, 0, DURATION, -70);
  highlights = find (&film, NULL);
  g_assert_cmpuint (highlights->chosen->len, ==, 0);
  g_assert_cmpuint (highlights->rejected->len, ==, 0);
  clear_film (&film);
}

static void
test_loud_passage (void)
{
  for (double start = 2; start < 50; start += 7) {
    Film film = make_film (DURATION);
    g_autoptr (DerushHighlights) highlights = NULL;

    plant_loudness (&film, start, start + 5, -14);
    highlights = find (&film, NULL);
    g_assert_cmpuint (highlights->chosen->len, ==, 1);
    g_assert_cmpfloat (overlap (nth (highlights, 0), start, start + 5), >, 0.7);
    g_assert_cmpstr (nth (highlights, 0)->type, ==, "AUDIO");
    g_assert_nonnull (strstr (nth (highlights, 0)->reasons[0], "Loud"));
    clear_film (&film);
  }
}

static void
test_motion (void)
{
  for (double start = 2; start < 50; start += 7) {
    Film film = make_film (DURATION);
    g_autoptr (DerushHighlights) highlights = NULL;

    plant_motion (&film, start, start + 5, 0.6f);
    highlights = find (&film, NULL);
    g_assert_cmpuint (highlights->chosen->len, ==, 1);
    g_assert_cmpfloat (overlap (nth (highlights, 0), start, start + 5), >, 0.7);
    g_assert_cmpstr (nth (highlights, 0)->type, ==, "MOTION");
    clear_film (&film);
  }
}

static void
test_crowd_beats_loudness_and_motion (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;

  plant_loudness (&film, 10, 15, -16);
  plant_motion (&film, 20, 25, 0.6f);
  plant_crowd (&film, 40, 45);
  highlights = find (&film, NULL);
  g_assert_cmpfloat (overlap (nth (highlights, 0), 40, 45), >, 0.7);
  clear_film (&film);
}

static void
test_soft_recording (void)
{
  for (float gain = -25; gain <= 10; gain += 5) {
    Film film = make_film (DURATION);
    g_autoptr (DerushHighlights) highlights = NULL;

    plant_loudness (&film, 10, 15, -20);
    plant_crowd (&film, 40, 45);
    for (guint i = 0; i < film.audio->len; i++)
      g_array_index (film.audio, DerushAudioBlock, i).loudness += gain;
    highlights = find (&film, NULL);
    g_assert_cmpfloat (overlap (nth (highlights, 0), 40, 45), >, 0.7);
    clear_film (&film);
  }
}

static void
test_loud_and_lively_is_action (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;

  plant_loudness (&film, 20, 26, -14);
  plant_motion (&film, 20, 26, 0.6f);
  highlights = find (&film, NULL);
  g_assert_cmpstr (nth (highlights, 0)->type, ==, "ACTION");
  g_assert_cmpuint (g_strv_length (nth (highlights, 0)->reasons), >=, 2);
  clear_film (&film);
}

static void
test_scene_changes (void)
{
  static const double cuts[] = {30, 30.6, 31.2, 31.8, 32.4, 33, 33.6, 34.2, 34.8};
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;

  plant_cuts (&film, cuts, G_N_ELEMENTS (cuts));
  highlights = find (&film, NULL);
  g_assert_cmpfloat (overlap (nth (highlights, 0), 29, 36), >, 0.5);
  g_assert_cmpstr (nth (highlights, 0)->type, ==, "SCENE_CHANGE");
  clear_film (&film);
}

static void
test_score_is_the_sum (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;
  GPtrArray *lists[2];

  plant_loudness (&film, 10, 15, -16);
  plant_motion (&film, 20, 28, 0.6f);
  plant_crowd (&film, 40, 45);
  highlights = find (&film, NULL);
  lists[0] = highlights->chosen;
  lists[1] = highlights->rejected;
  for (guint k = 0; k < 2; k++) {
    for (guint i = 0; i < lists[k]->len; i++) {
      const DerushHighlight *h = g_ptr_array_index (lists[k], i);
      double sum = 0, weights = 0;

      for (guint n = 0; n < DERUSH_N_SIGNALS; n++) {
        g_assert_cmpfloat (h->values[n], >=, 0);
        g_assert_cmpfloat (h->values[n], <=, 1);
        sum += h->weights[n] * h->values[n];
        weights += h->weights[n];
      }
      g_assert_cmpfloat (sum, ==, h->score);
      g_assert_cmpfloat_with_epsilon (weights, 1, 1e-9);
      g_assert_cmpuint (g_strv_length (h->reasons), >, 0);
    }
  }
  clear_film (&film);
}

static void
test_no_audio (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;

  g_array_set_size (film.audio, 0);
  plant_motion (&film, 20, 26, 0.6f);
  highlights = find (&film, NULL);
  g_assert_cmpfloat (overlap (nth (highlights, 0), 20, 26), >, 0.7);
  g_assert_cmpfloat (nth (highlights, 0)->weights[DERUSH_SIGNAL_LOUDNESS], ==, 0);
  clear_film (&film);
}

static void
test_no_video (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;

  g_array_set_size (film.frames, 0);
  g_array_set_size (film.shots, 0);
  plant_loudness (&film, 20, 26, -12);
  highlights = find (&film, NULL);
  g_assert_cmpfloat (overlap (nth (highlights, 0), 20, 26), >, 0.7);
  g_assert_cmpfloat (nth (highlights, 0)->weights[DERUSH_SIGNAL_MOTION], ==, 0);
  clear_film (&film);
}

static void
test_edges_snap_to_shots (void)
{
  static const double cuts[] = {20.4, 26.2};
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;

  plant_cuts (&film, cuts, G_N_ELEMENTS (cuts));
  plant_loudness (&film, 20.8, 25.9, -12);
  highlights = find (&film, NULL);
  g_assert_cmpfloat (nth (highlights, 0)->start, ==, 20.4);
  g_assert_cmpfloat_with_epsilon (nth (highlights, 0)->end, 26.2, 1e-9);
  clear_film (&film);
}

static void
test_lengths_and_distances (void)
{
  static const struct {
    double least, most, distance;
  } limits[] = {{3, 60, 1}, {8, 10, 1}, {0.5, 2, 0}, {1, 1, 5}, {20, 30, 0}, {59, 60, 0}, {100, 200, 0}};

  for (guint i = 0; i < G_N_ELEMENTS (limits); i++) {
    Film film = make_film (DURATION);
    g_autoptr (DerushHighlights) highlights = NULL;
    DerushHighlightOptions options;

    derush_highlight_options_init (&options);
    options.max_highlights = 10;
    options.min_duration = limits[i].least;
    options.max_duration = limits[i].most;
    options.min_distance = limits[i].distance;
    options.sensitivity = DERUSH_SENSITIVITY_HIGH;
    for (double start = 1; start < 55; start += 9)
      plant_loudness (&film, start, start + 4, -20 + start / 10);
    plant_motion (&film, 30, 31, 0.5f);
    highlights = find (&film, &options);
    g_assert_cmpuint (highlights->chosen->len, >, 0);
    for (guint k = 0; k < highlights->chosen->len; k++) {
      const DerushHighlight *h = nth (highlights, k);

      g_assert_cmpfloat (h->start, >=, 0);
      g_assert_cmpfloat (h->end, <=, DURATION);
      g_assert_cmpfloat (h->end - h->start, >=, MIN (limits[i].least, DURATION) - 0.01);
      g_assert_cmpfloat (h->end - h->start, <=, limits[i].most + 0.01);
      for (guint j = 0; j < k; j++) {
        const DerushHighlight *other = nth (highlights, j);

        g_assert_true (h->start >= other->end + limits[i].distance - 1e-9 ||
                       h->end <= other->start - limits[i].distance + 1e-9);
        g_assert_cmpfloat (h->score, <=, other->score);
      }
    }
    clear_film (&film);
  }
}

static void
test_max_highlights (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;
  DerushHighlightOptions options;

  derush_highlight_options_init (&options);
  options.max_highlights = 2;
  for (double start = 1; start < 55; start += 12)
    plant_loudness (&film, start, start + 4, -14);
  highlights = find (&film, &options);
  g_assert_cmpuint (highlights->chosen->len, ==, 2);
  g_assert_cmpuint (highlights->rejected->len, >=, 3);
  g_assert_nonnull (strstr (((DerushHighlight *)g_ptr_array_index (highlights->rejected, 0))->reasons[0], "2"));
  clear_film (&film);
}

static void
test_sensitivity (void)
{
  Film film = make_film (DURATION);
  DerushHighlightOptions options;
  guint found[3];

  derush_highlight_options_init (&options);
  options.max_highlights = 20;
  plant_crowd (&film, 2, 7);
  plant_loudness (&film, 12, 17, -10);
  plant_loudness (&film, 22, 27, -18);
  plant_loudness (&film, 32, 37, -22);
  plant_motion (&film, 42, 47, 0.3f);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (DerushHighlights) highlights = NULL;

    options.sensitivity = i;
    highlights = find (&film, &options);
    found[i] = highlights->chosen->len;
  }
  g_assert_cmpuint (found[DERUSH_SENSITIVITY_LOW], >, 0);
  g_assert_cmpuint (found[DERUSH_SENSITIVITY_LOW], <=, found[DERUSH_SENSITIVITY_MEDIUM]);
  g_assert_cmpuint (found[DERUSH_SENSITIVITY_MEDIUM], <=, found[DERUSH_SENSITIVITY_HIGH]);
  g_assert_cmpuint (found[DERUSH_SENSITIVITY_LOW], <, found[DERUSH_SENSITIVITY_HIGH]);
  clear_film (&film);
}

static void
test_detections (void)
{
  Film film = make_film (DURATION);
  DerushHighlightOptions options;

  derush_highlight_options_init (&options);
  plant_loudness (&film, 10, 15, -14);
  plant_motion (&film, 40, 45, 0.6f);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (DerushHighlights) highlights = NULL;

    options.detections = i == 0 ? DERUSH_DETECTION_AUDIO : DERUSH_DETECTION_MOTION;
    highlights = find (&film, &options);
    g_assert_cmpuint (highlights->chosen->len, ==, 1);
    g_assert_cmpfloat (overlap (nth (highlights, 0), i == 0 ? 10 : 40, i == 0 ? 15 : 45), >, 0.7);
  }
  clear_film (&film);
}

static void
test_deterministic (void)
{
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) first = NULL, second = NULL;

  for (double start = 1; start < 55; start += 12)
    plant_loudness (&film, start, start + 4, -14);
  first = find (&film, NULL);
  second = find (&film, NULL);
  g_assert_cmpuint (first->chosen->len, ==, second->chosen->len);
  for (guint i = 0; i < first->chosen->len; i++) {
    g_assert_cmpfloat (nth (first, i)->start, ==, nth (second, i)->start);
    g_assert_cmpfloat (nth (first, i)->score, ==, nth (second, i)->score);
  }
  clear_film (&film);
}

static void
test_short_films (void)
{
  static const double durations[] = {0, 0.04, 0.1, 0.5, 1, 2, 2.9, 3.1};

  for (guint i = 0; i < G_N_ELEMENTS (durations); i++) {
    Film film = make_film (durations[i]);
    g_autoptr (DerushHighlights) highlights = NULL;

    if (durations[i] >= 1) {
      plant_loudness (&film, durations[i] / 2, durations[i], -10);
      plant_motion (&film, durations[i] / 2, durations[i], 0.5f);
    }
    if (durations[i] == 0)
      g_array_set_size (film.shots, 0);
    highlights = find (&film, NULL);
    for (guint k = 0; k < highlights->chosen->len; k++)
      g_assert_cmpfloat (nth (highlights, k)->end, <=, durations[i] + 0.1);
    clear_film (&film);
  }
}

/* Cuts are jumps, not motion. */
static void
test_cuts_are_no_motion (void)
{
  static const double cuts[] = {30};
  Film film = make_film (DURATION);
  g_autoptr (DerushHighlights) highlights = NULL;

  plant_cuts (&film, cuts, 1);
  g_array_index (film.frames, DerushFrameFeatures, 30 * FPS).motion = 5;
  highlights = find (&film, NULL);
  g_assert_cmpuint (highlights->chosen->len, ==, 0);
  clear_film (&film);
}

static void
test_names (void)
{
  DerushDetection detection;
  DerushSensitivity sensitivity;

  g_assert_true (derush_detection_from_string ("MOTION", &detection));
  g_assert_cmpint (detection, ==, DERUSH_DETECTION_MOTION);
  g_assert_false (derush_detection_from_string ("FACE", &detection));
  g_assert_false (derush_detection_from_string (NULL, &detection));
  g_assert_true (derush_sensitivity_from_string ("high", &sensitivity));
  g_assert_cmpint (sensitivity, ==, DERUSH_SENSITIVITY_HIGH);
  g_assert_false (derush_sensitivity_from_string ("HIGH", &sensitivity));
  g_assert_cmpstr (derush_signal_to_string (DERUSH_SIGNAL_SCENE_CHANGE), ==, "SCENE_CHANGE");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/analysis/highlights/an-even-film-has-none", test_nothing);
  g_test_add_func ("/analysis/highlights/a-black-and-silent-film-has-none", test_black_and_silent);
  g_test_add_func ("/analysis/highlights/a-loud-passage-is-one", test_loud_passage);
  g_test_add_func ("/analysis/highlights/motion-is-one", test_motion);
  g_test_add_func ("/analysis/highlights/a-crowd-beats-loudness-and-motion", test_crowd_beats_loudness_and_motion);
  g_test_add_func ("/analysis/highlights/how-softly-a-film-was-recorded-does-not-matter", test_soft_recording);
  g_test_add_func ("/analysis/highlights/loud-and-lively-is-action", test_loud_and_lively_is_action);
  g_test_add_func ("/analysis/highlights/fast-editing-is-one", test_scene_changes);
  g_test_add_func ("/analysis/highlights/the-score-is-the-sum-of-its-signals", test_score_is_the_sum);
  g_test_add_func ("/analysis/highlights/video-alone-is-enough", test_no_audio);
  g_test_add_func ("/analysis/highlights/audio-alone-is-enough", test_no_video);
  g_test_add_func ("/analysis/highlights/edges-snap-to-shots", test_edges_snap_to_shots);
  g_test_add_func ("/analysis/highlights/lengths-and-distances-hold", test_lengths_and_distances);
  g_test_add_func ("/analysis/highlights/no-more-than-asked-for", test_max_highlights);
  g_test_add_func ("/analysis/highlights/more-sensitive-finds-more", test_sensitivity);
  g_test_add_func ("/analysis/highlights/only-what-was-asked-for-counts", test_detections);
  g_test_add_func ("/analysis/highlights/the-same-film-gives-the-same-answer", test_deterministic);
  g_test_add_func ("/analysis/highlights/short-films-do-no-harm", test_short_films);
  g_test_add_func ("/analysis/highlights/cuts-are-no-motion", test_cuts_are_no_motion);
  g_test_add_func ("/analysis/highlights/names-are-those-of-the-jobs", test_names);
  return g_test_run ();
}
