/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pictures.h"

#include <math.h>
#include <string.h>

#define WIDTH 320
#define HEIGHT 180

static DerushFrameFeatures
measure_planes (const DerushPlanes *planes)
{
  g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
  DerushFrameFeatures features;

  g_assert_true (derush_frame_meter_push (meter, planes, 0, &features));
  return features;
}

static DerushFrameFeatures
measure (const Picture *picture)
{
  DerushPlanes planes = picture_planes (picture);

  return measure_planes (&planes);
}

static DerushFrameFeatures
push (DerushFrameMeter *meter, const Picture *picture, double time)
{
  DerushPlanes planes = picture_planes (picture);
  DerushFrameFeatures features;

  g_assert_true (derush_frame_meter_push (meter, &planes, time, &features));
  return features;
}

static void
assert_finite (const DerushFrameFeatures *f)
{
  for (const float *value = &f->bar_x; value <= &f->edge; value++)
    g_assert_true (isfinite (*value) && *value >= 0);
}

static void
test_black (void)
{
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushFrameFeatures f = measure (picture);

  g_assert_cmpfloat (f.luma_mean, ==, 0);
  g_assert_cmpfloat (f.luma_deviation, ==, 0);
  g_assert_cmpfloat (f.sharpness, ==, 0);
  g_assert_cmpfloat (f.entropy, ==, 0);
  g_assert_cmpfloat (f.colourfulness, ==, 0);
  g_assert_cmpfloat (f.dark, ==, 1);
  g_assert_cmpfloat (f.clipped, ==, 1);
  g_assert_cmpfloat (f.bar_x, ==, 0);
  g_assert_cmpfloat (f.bar_y, ==, 0);
}

static void
test_white (void)
{
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushFrameFeatures f;

  picture_fill (picture, 235, 128, 128);
  f = measure (picture);
  g_assert_cmpfloat (f.luma_mean, ==, 1);
  g_assert_cmpfloat (f.dark, ==, 0);
  g_assert_cmpfloat (f.clipped, ==, 1);
}

static void
test_blur (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 1);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  float before = G_MAXFLOAT;

  for (guint radius = 0; radius <= 3; radius++) {
    DerushFrameFeatures f;

    scene_show (scene, 0, picture);
    if (radius > 0)
      picture_blur (picture, radius);
    f = measure (picture);
    g_assert_cmpfloat (f.sharpness, <, before * 0.7f);
    before = f.sharpness;
  }
}

static void
test_colour (void)
{
  g_autoptr (Picture) grey = picture_new (WIDTH, HEIGHT), red = picture_new (WIDTH, HEIGHT);

  picture_fill (grey, 100, 128, 128);
  picture_fill (red, 81, 90, 240);
  g_assert_cmpfloat (measure (grey).colourfulness, <, 1);
  g_assert_cmpfloat (measure (red).colourfulness, >, 59);
}

static void
test_entropy (void)
{
  g_autoptr (Picture) flat = picture_new (WIDTH, HEIGHT), noise = picture_new (WIDTH, HEIGHT);
  guint32 state = 7;

  picture_fill (flat, 100, 128, 128);
  picture_fill (noise, 125, 128, 128);
  picture_add_noise (noise, 110, &state);
  g_assert_cmpfloat (measure (flat).entropy, <, 0.1);
  g_assert_cmpfloat (measure (noise).entropy, >, 5);
}

static void
test_bars (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 2);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushFrameFeatures whole, boxed;

  scene_show (scene, 0, picture);
  whole = measure (picture);
  g_assert_cmpfloat (whole.bar_y, ==, 0);
  picture_letterbox (picture, 24);
  boxed = measure (picture);
  g_assert_cmpfloat_with_epsilon (boxed.bar_y, 24.0 / HEIGHT, 0.015);
  g_assert_cmpfloat (boxed.bar_x, ==, 0);
  /* Against 27 % less, if the bars counted. */
  g_assert_cmpfloat_with_epsilon (boxed.luma_mean, whole.luma_mean, 0.1 * whole.luma_mean);
  g_assert_cmpfloat_with_epsilon (boxed.sharpness, whole.sharpness, 0.25 * whole.sharpness);
}

static void
test_dark_side_is_no_bar (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 2);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);

  scene_show (scene, 0, picture);
  memset (picture->data, 16, WIDTH * 60);
  g_assert_cmpfloat (measure (picture).bar_y, ==, 0);
}

static void
test_bars_do_not_dilute_changes (void)
{
  g_autoptr (Scene) a = scene_new (WIDTH, HEIGHT, 3), b = scene_new (WIDTH, HEIGHT, 4);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  float distances[2], grids[2];

  for (guint boxed = 0; boxed < 2; boxed++) {
    g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
    DerushFrameFeatures first, second;

    scene_show (a, 0, picture);
    picture_letterbox (picture, boxed * 40);
    first = push (meter, picture, 0);
    scene_show (b, 0, picture);
    picture_letterbox (picture, boxed * 40);
    second = push (meter, picture, 0.04);
    distances[boxed] = second.histogram_distance;
    grids[boxed] = derush_frame_features_distance (&first, &second);
  }
  g_assert_cmpfloat (distances[1], >, 0.8 * distances[0]);
  g_assert_cmpfloat (grids[1], >, 0.7 * grids[0]);
}

static void
test_first_frame (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 5);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushFrameFeatures f;

  scene_show (scene, 0, picture);
  f = measure (picture);
  g_assert_cmpfloat (f.difference, ==, 0);
  g_assert_cmpfloat (f.residual, ==, 0);
  g_assert_cmpfloat (f.motion, ==, 0);
  g_assert_cmpfloat (f.histogram_distance, ==, 0);
}

static void
test_still (void)
{
  g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 5);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushFrameFeatures f;

  scene_show (scene, 0, picture);
  push (meter, picture, 0);
  f = push (meter, picture, 0.04);
  g_assert_cmpfloat (f.difference, ==, 0);
  g_assert_cmpfloat (f.motion, ==, 0);
  g_assert_cmpfloat (f.histogram_distance, ==, 0);
}

/* 8 pixels of 320 each 25th of a second. */
static void
test_pan (void)
{
  g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 6);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushFrameFeatures f = {0};

  for (guint i = 0; i < 6; i++) {
    scene_show (scene, 8 * i, picture);
    f = push (meter, picture, i / 25.0);
  }
  g_assert_cmpfloat_with_epsilon (f.motion, 8.0 / WIDTH * 25, 0.2);
  g_assert_cmpfloat_with_epsilon (f.global_motion, 8.0 / WIDTH * 25, 0.1);
  g_assert_cmpfloat (f.residual, <, 0.5 * f.difference);
}

static void
test_edge_strips (void)
{
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushFrameFeatures f;
  guint busiest = 0;

  picture_fill (picture, 100, 128, 128);
  for (guint y = 60; y < 120; y++)
    memset (picture->data + y * WIDTH + 250, y % 8 < 4 ? 30 : 220, 20);
  f = measure (picture);
  for (guint i = 1; i < DERUSH_STRIP_COLUMNS; i++) {
    if (f.edge_columns[i] > f.edge_columns[busiest])
      busiest = i;
  }
  g_assert_cmpuint (busiest, >=, 250 * DERUSH_STRIP_COLUMNS / WIDTH);
  g_assert_cmpuint (busiest, <=, 270 * DERUSH_STRIP_COLUMNS / WIDTH);
  g_assert_cmpuint (f.edge_columns[busiest], >, 0);
}

static void
assert_alike (const DerushFrameFeatures *a, const DerushFrameFeatures *b, double tolerance)
{
  g_assert_cmpfloat_with_epsilon (a->luma_mean, b->luma_mean, tolerance);
  g_assert_cmpfloat_with_epsilon (a->luma_deviation, b->luma_deviation, tolerance);
  g_assert_cmpfloat_with_epsilon (a->colourfulness, b->colourfulness, 100 * tolerance);
  g_assert_cmpfloat_with_epsilon (a->sharpness, b->sharpness, 20 * tolerance * a->sharpness);
  g_assert_cmpfloat (derush_frame_features_distance (a, b), <=, tolerance);
}

/* The same picture in other layouts of memory. */
static void
test_layouts (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 8);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  guint chroma = WIDTH / 2 * (HEIGHT / 2);
  g_autofree guint8 *interleaved = g_malloc (2 * chroma);
  g_autofree guint16 *words = g_new (guint16, WIDTH * HEIGHT), *high = g_new (guint16, WIDTH * HEIGHT),
                     *u = g_new (guint16, chroma), *v = g_new (guint16, chroma), *uv = g_new (guint16, 2 * chroma);
  DerushPlanes planes, nv12, ten, p010;
  DerushFrameFeatures f, g;

  scene_show (scene, 0, picture);
  planes = picture_planes (picture);
  f = measure_planes (&planes);
  for (guint i = 0; i < chroma; i++) {
    interleaved[2 * i] = planes.data[1][i];
    interleaved[2 * i + 1] = planes.data[2][i];
    u[i] = planes.data[1][i] << 2;
    v[i] = planes.data[2][i] << 2;
    uv[2 * i] = planes.data[1][i] << 8;
    uv[2 * i + 1] = planes.data[2][i] << 8;
  }
  for (guint i = 0; i < WIDTH * HEIGHT; i++) {
    words[i] = (planes.data[0][i] << 2) + 3;
    high[i] = planes.data[0][i] << 8;
  }
  nv12 = planes;
  nv12.data[1] = interleaved;
  nv12.data[2] = interleaved + 1;
  nv12.stride[1] = nv12.stride[2] = WIDTH;
  nv12.pixel_stride[1] = nv12.pixel_stride[2] = 2;
  g = measure_planes (&nv12);
  g_assert_cmpmem (&f, sizeof (f), &g, sizeof (g));
  ten = planes;
  ten.sample_bits = 10;
  ten.data[0] = (const guint8 *)words;
  ten.data[1] = (const guint8 *)u;
  ten.data[2] = (const guint8 *)v;
  for (guint i = 0; i < 3; i++) {
    ten.stride[i] *= 2;
    ten.pixel_stride[i] = 2;
  }
  g = measure_planes (&ten);
  g_assert_cmpmem (&f, sizeof (f), &g, sizeof (g));
  p010 = ten;
  p010.sample_bits = 16;
  p010.data[0] = (const guint8 *)high;
  p010.data[1] = (const guint8 *)uv;
  p010.data[2] = (const guint8 *)(uv + 1);
  p010.stride[1] = p010.stride[2] = 2 * WIDTH;
  p010.pixel_stride[1] = p010.pixel_stride[2] = 4;
  g = measure_planes (&p010);
  g_assert_cmpmem (&f, sizeof (f), &g, sizeof (g));
}

static void
test_grey (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 8);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushPlanes planes;
  DerushFrameFeatures f, g;

  scene_show (scene, 0, picture);
  f = measure (picture);
  planes = picture_planes (picture);
  planes.data[1] = planes.data[2] = NULL;
  g = measure_planes (&planes);
  g_assert_cmpfloat (g.colourfulness, ==, 0);
  g_assert_cmpfloat (g.luma_mean, ==, f.luma_mean);
  g_assert_cmpfloat (g.sharpness, ==, f.sharpness);
}

static void
test_full_range (void)
{
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 9);
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushPlanes planes;
  DerushFrameFeatures f, g;

  scene_show (scene, 0, picture);
  f = measure (picture);
  for (guint i = 0; i < WIDTH * HEIGHT; i++)
    picture->data[i] = (picture->data[i] - 16) * 255 / 219;
  for (guint i = WIDTH * HEIGHT; i < WIDTH * HEIGHT * 3 / 2; i++)
    picture->data[i] = 128 + (picture->data[i] - 128) * 255 / 224;
  planes = picture_planes (picture);
  planes.full_range = TRUE;
  g = measure_planes (&planes);
  assert_alike (&f, &g, 0.01);
}

static void
test_sizes (void)
{
  static const struct {
    guint width, height;
  } sizes[] = {{1, 1},   {2, 3},     {3, 2},       {7, 5},      {8, 8},    {17, 160},  {160, 17},
               {161, 9}, {641, 359}, {1920, 1080}, {720, 1280}, {1, 4000}, {40000, 2}, {65535, 1}};

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
    g_autoptr (Picture) picture = picture_new (sizes[i].width, sizes[i].height);
    guint32 state = i;

    picture_fill (picture, 120, 100, 150);
    for (guint n = 0; n < 3; n++) {
      DerushFrameFeatures f;

      picture_add_noise (picture, 40, &state);
      f = push (meter, picture, n / 25.0);
      assert_finite (&f);
    }
  }
}

static void
test_size_change (void)
{
  g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
  g_autoptr (Scene) scene = scene_new (WIDTH, HEIGHT, 10);
  g_autoptr (Picture) large = picture_new (WIDTH, HEIGHT), small = picture_new (100, 100);
  DerushFrameFeatures f;

  scene_show (scene, 0, large);
  push (meter, large, 0);
  picture_fill (small, 200, 128, 128);
  f = push (meter, small, 0.04);
  g_assert_cmpfloat (f.difference, ==, 0);
  f = push (meter, large, 0.08);
  g_assert_cmpfloat (f.difference, ==, 0);
}

static void
test_unusable (void)
{
  g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
  g_autoptr (Picture) picture = picture_new (WIDTH, HEIGHT);
  DerushFrameFeatures f;

  for (guint i = 0; i < 7; i++) {
    DerushPlanes planes = picture_planes (picture);

    switch (i) {
    case 0:
      planes.data[0] = NULL;
      break;
    case 1:
      planes.width = 0;
      break;
    case 2:
      planes.height = 65536;
      break;
    case 3:
      planes.sample_bits = 7;
      break;
    case 4:
      planes.pixel_stride[0] = 0;
      break;
    case 5:
      planes.chroma_width = 0;
      break;
    default:
      planes.sample_bits = 10;
    }
    memset (&f, 0xff, sizeof (f));
    g_assert_false (derush_frame_meter_push (meter, &planes, 0, &f));
    g_assert_cmpfloat (f.sharpness, ==, 0);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/analysis/frames/black-has-nothing-in-it", test_black);
  g_test_add_func ("/analysis/frames/white-is-full-light", test_white);
  g_test_add_func ("/analysis/frames/blur-lowers-sharpness", test_blur);
  g_test_add_func ("/analysis/frames/colour-is-told-from-grey", test_colour);
  g_test_add_func ("/analysis/frames/noise-has-more-entropy-than-a-wall", test_entropy);
  g_test_add_func ("/analysis/frames/bars-are-found-and-left-out", test_bars);
  g_test_add_func ("/analysis/frames/a-dark-side-is-no-bar", test_dark_side_is_no_bar);
  g_test_add_func ("/analysis/frames/bars-do-not-dilute-changes", test_bars_do_not_dilute_changes);
  g_test_add_func ("/analysis/frames/the-first-frame-differs-from-nothing", test_first_frame);
  g_test_add_func ("/analysis/frames/a-still-does-not-move", test_still);
  g_test_add_func ("/analysis/frames/a-pan-moves-by-its-speed", test_pan);
  g_test_add_func ("/analysis/frames/the-busy-strip-has-the-edges", test_edge_strips);
  g_test_add_func ("/analysis/frames/layouts-of-memory-do-not-matter", test_layouts);
  g_test_add_func ("/analysis/frames/grey-pictures-are-measured-too", test_grey);
  g_test_add_func ("/analysis/frames/full-range-is-the-same-picture", test_full_range);
  g_test_add_func ("/analysis/frames/any-size-is-measured", test_sizes);
  g_test_add_func ("/analysis/frames/another-size-begins-anew", test_size_change);
  g_test_add_func ("/analysis/frames/what-is-no-picture-is-refused", test_unusable);
  return g_test_run ();
}
