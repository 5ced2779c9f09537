/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pictures.h"

#include <math.h>
#include <string.h>

#define WIDTH 320
#define HEIGHT 180
#define FPS 25.0

/* Where the middle of a subject is in a frame, 0..1; below 0 there is none. */
typedef double (*Subject) (guint frame);

static void
draw_frame (const Scene *scene, double subject, Picture *picture)
{
  scene_show (scene, 0, picture);
  for (guint y = 40; subject >= 0 && y < 160; y++) {
    guint from = (guint)MAX (0, (subject - 0.06) * WIDTH), to = (guint)MIN (WIDTH, (subject + 0.06) * WIDTH);

    memset (picture->data + y * WIDTH + from, y % 16 < 8 ? 20 : 60, to - from);
  }
}

static GArray *
measure (const Scene *scene, Subject subject, guint n)
{
  g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  GArray *frames = g_array_new (FALSE, FALSE, sizeof (DerushFrameFeatures));

  for (guint i = 0; i < n; i++) {
    DerushFrameFeatures features;
    DerushPlanes planes;

    draw_frame (scene, subject (i), picture);
    planes = picture_planes (picture);
    g_assert_true (derush_frame_meter_push (meter, &planes, i / FPS, &features));
    g_array_append_val (frames, features);
  }
  return frames;
}

static DerushAnalysis
analysis_of (GArray *frames)
{
  return (DerushAnalysis){
      .frames = (DerushFrameFeatures *)frames->data,
      .n_frames = frames->len,
      .duration = frames->len / FPS,
      .width = WIDTH,
      .height = HEIGHT,
  };
}

static double
nobody (guint frame)
{
  return -1;
}

/* Stands, runs to the other side, stands. */
static double
runner (guint frame)
{
  return 0.2 + 0.6 * CLAMP ((frame - 75.0) / 40, 0, 1);
}

static DerushCameraKey
key_at (GArray *keys, double time)
{
  DerushCameraKey key;

  derush_camera_path_evaluate ((DerushCameraKey *)keys->data, keys->len, time, &key);
  return key;
}

static void
test_rest (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 11);
  g_autoptr (GArray) frames = measure (scene, nobody, 60), keys = NULL;
  DerushAnalysis analysis = analysis_of (frames);

  keys = derush_camera_path_compute (&analysis, 0, 2.4, NULL);
  g_assert_cmpuint (keys->len, ==, 2);
  for (guint i = 0; i < keys->len; i++) {
    const DerushCameraKey *key = &g_array_index (keys, DerushCameraKey, i);

    g_assert_cmpfloat_with_epsilon (key->x + key->width / 2, WIDTH / 2.0, 0.01);
    g_assert_cmpfloat (key->height, ==, HEIGHT);
    g_assert_cmpfloat_with_epsilon (key->width, HEIGHT * 9 / 16.0, 0.01);
  }
}

static void
test_follow (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 11);
  g_autoptr (GArray) frames = measure (scene, runner, 200), keys = NULL;
  DerushAnalysis analysis = analysis_of (frames);
  DerushCameraOptions options;
  double before = -1;

  derush_camera_options_init (&options);
  keys = derush_camera_path_compute (&analysis, 0, 8, &options);
  g_assert_cmpuint (keys->len, <, 30);
  for (guint i = 0; i < 200; i++) {
    DerushCameraKey key = key_at (keys, i / FPS);
    double subject = runner (i) * WIDTH;

    g_assert_cmpfloat (key.x, >=, 0);
    g_assert_cmpfloat (key.x + key.width, <=, WIDTH + 0.01);
    g_assert_cmpfloat (subject, >, key.x);
    g_assert_cmpfloat (subject, <, key.x + key.width);
    if (i > 0)
      g_assert_cmpfloat (fabs (key.x - before), <=, options.max_speed * WIDTH / FPS + 1);
    before = key.x;
  }
  /* It stands as long as the subject does. */
  g_assert_cmpfloat_with_epsilon (key_at (keys, 0).x, key_at (keys, 2).x, 1.5);
}

static void
test_cut (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 11);
  g_autoptr (GArray) frames = measure (scene, runner, 200), keys = NULL;
  DerushAnalysis analysis = analysis_of (frames);
  const DerushShot shots[] = {
      {.start = 0, .end = 3.6, .first_frame = 0},
      {.start = 3.6, .end = 8, .first_frame = 90},
  };
  guint pairs = 0;

  analysis.shots = shots;
  analysis.n_shots = 2;
  keys = derush_camera_path_compute (&analysis, 1, 7, NULL);
  g_assert_cmpfloat (g_array_index (keys, DerushCameraKey, 0).time, ==, 1);
  g_assert_cmpfloat (g_array_index (keys, DerushCameraKey, keys->len - 1).time, ==, 7);
  for (guint i = 1; i < keys->len; i++) {
    const DerushCameraKey *a = &g_array_index (keys, DerushCameraKey, i - 1), *b = a + 1;

    g_assert_cmpfloat (b->time, >=, a->time);
    if (b->time == a->time) {
      g_assert_cmpfloat_with_epsilon (b->time, 3.6, 0.001);
      g_assert_cmpfloat (b->time, <=, 3.6);
      pairs++;
    }
  }
  g_assert_cmpuint (pairs, ==, 1);
}

static void
test_whole_picture (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 11);
  g_autoptr (GArray) frames = measure (scene, runner, 50), keys = NULL;
  DerushAnalysis analysis = analysis_of (frames);
  DerushCameraOptions options;

  derush_camera_options_init (&options);
  options.aspect = 16.0 / 9;
  keys = derush_camera_path_compute (&analysis, 0, 2, &options);
  g_assert_cmpuint (keys->len, ==, 2);
  g_assert_cmpfloat_with_epsilon (key_at (keys, 1).x, 0, 0.01);
  g_assert_cmpfloat_with_epsilon (key_at (keys, 1).width, WIDTH, 0.01);
}

static void
test_nothing (void)
{
  DerushAnalysis analysis = {0};
  g_autoptr (GArray) keys = derush_camera_path_compute (&analysis, 0, 1, NULL);

  g_assert_cmpuint (keys->len, ==, 0);
}

static void
test_evaluate (void)
{
  DerushCameraKey keys[] = {{1, 0, 0, 10, 20}, {2, 10, 0, 10, 20}, {2, 50, 5, 10, 20}, {4, 50, 5, 20, 40}};
  const struct {
    double time, x, width;
  } cases[] = {{0, 0, 10},  {1, 0, 10},  {1.5, 5, 10}, {1.999, 9.99, 10},
               {2, 50, 10}, {3, 50, 15}, {4, 50, 20},  {9, 50, 20}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    DerushCameraKey key;

    derush_camera_path_evaluate (keys, G_N_ELEMENTS (keys), cases[i].time, &key);
    g_assert_cmpfloat_with_epsilon (key.x, cases[i].x, 1e-9);
    g_assert_cmpfloat_with_epsilon (key.width, cases[i].width, 1e-9);
    g_assert_cmpfloat (key.time, ==, cases[i].time);
  }
}

static void
test_simplify (void)
{
  DerushCameraKey keys[200], simple[200];
  gsize n;

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    simple[i] = keys[i] = (DerushCameraKey){i / FPS, 100 * sin (i / 30.0), 0, 10, 20};
  n = derush_camera_path_simplify (simple, G_N_ELEMENTS (simple), 1);
  g_assert_cmpuint (n, <, 40);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    DerushCameraKey key;

    derush_camera_path_evaluate (simple, n, keys[i].time, &key);
    g_assert_cmpfloat (fabs (key.x - keys[i].x), <=, 1);
  }
}

static void
run_live (GArray *frames, guint ahead, double *x, gboolean *new_shots)
{
  g_autoptr (DerushCamera) camera = derush_camera_new (WIDTH, HEIGHT, NULL);
  DerushCameraKey key;
  guint n = 0;

  for (guint i = 0; i < frames->len; i++) {
    derush_camera_push (camera, &g_array_index (frames, DerushFrameFeatures, i), NULL, 0);
    if (derush_camera_get_pending (camera) > ahead && derush_camera_pop (camera, &key, &new_shots[n]))
      x[n++] = key.x;
  }
  while (derush_camera_pop (camera, &key, &new_shots[n]))
    x[n++] = key.x;
  g_assert_cmpuint (n, ==, frames->len);
}

static void
test_live (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 11);
  g_autoptr (GArray) frames = measure (scene, runner, 200);
  const guint aheads[] = {0, 12, 25};

  for (guint a = 0; a < G_N_ELEMENTS (aheads); a++) {
    gboolean new_shots[200];
    double x[200];

    run_live (frames, aheads[a], x, new_shots);
    g_assert_true (new_shots[0]);
    for (guint i = 1; i < 200; i++) {
      g_assert_false (new_shots[i]);
      g_assert_cmpfloat (fabs (x[i] - x[i - 1]), <=, 0.6 * WIDTH / FPS + 0.01);
    }
    /* It has come after. */
    g_assert_cmpfloat (x[199], <, 0.8 * WIDTH);
    g_assert_cmpfloat (x[199] + HEIGHT * 9 / 16.0, >, 0.8 * WIDTH);
  }
}

static void
test_live_cut (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 11);
  g_autoptr (GArray) frames = measure (scene, runner, 60);
  g_autoptr (DerushCamera) camera = derush_camera_new (WIDTH, HEIGHT, NULL);
  DerushCameraKey key;
  gboolean new_shot;

  for (guint i = 0; i < 60; i++)
    derush_camera_push (camera, &g_array_index (frames, DerushFrameFeatures, i), NULL, 0);
  derush_camera_cut (camera, 30 / FPS);
  for (guint i = 0; i < 60; i++) {
    g_assert_true (derush_camera_pop (camera, &key, &new_shot));
    g_assert_cmpint (new_shot, ==, i == 0 || i == 30);
  }
  g_assert_false (derush_camera_pop (camera, &key, &new_shot));
}

/* Nothing moves, but somebody has found a face. */
static void
test_live_box (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 11);
  g_autoptr (GArray) frames = measure (scene, nobody, 100);
  g_autoptr (DerushCamera) camera = derush_camera_new (WIDTH, HEIGHT, NULL);
  const DerushCameraBox box = {0.75, 0.3, 0.1, 0.2, 1};
  DerushCameraKey key = {0};

  for (guint i = 0; i < frames->len; i++) {
    derush_camera_push (camera, &g_array_index (frames, DerushFrameFeatures, i), &box, 1);
    g_assert_true (derush_camera_pop (camera, &key, NULL));
  }
  g_assert_cmpfloat (key.x, <, 0.75 * WIDTH);
  g_assert_cmpfloat (key.x + key.width, >, 0.85 * WIDTH);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/analysis/camera/rests-when-nothing-happens", test_rest);
  g_test_add_func ("/analysis/camera/keeps-its-subject-in-the-crop", test_follow);
  g_test_add_func ("/analysis/camera/a-shot-change-has-two-keys", test_cut);
  g_test_add_func ("/analysis/camera/the-whole-picture-stands", test_whole_picture);
  g_test_add_func ("/analysis/camera/no-picture-no-path", test_nothing);
  g_test_add_func ("/analysis/camera/keys-are-joined-by-lines", test_evaluate);
  g_test_add_func ("/analysis/camera/fewer-keys-stay-near", test_simplify);
  g_test_add_func ("/analysis/camera/live/comes-after-its-subject-without-a-jump", test_live);
  g_test_add_func ("/analysis/camera/live/begins-anew-at-a-cut", test_live_cut);
  g_test_add_func ("/analysis/camera/live/a-box-is-a-subject", test_live_box);
  return g_test_run ();
}
