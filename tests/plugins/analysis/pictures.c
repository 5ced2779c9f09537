/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pictures.h"

#include <string.h>

#define OBJECTS 24
/* A scene is this many pictures wide. */
#define SCENE_WIDTHS 3

struct _Scene {
  Picture *canvas;
};

static gsize
size_of (guint width, guint height)
{
  return (gsize)width * height + 2 * (gsize)((width + 1) / 2) * ((height + 1) / 2);
}

static guint8 *
plane (const Picture *picture, guint i)
{
  gsize chroma = (gsize)((picture->width + 1) / 2) * ((picture->height + 1) / 2);

  return picture->data + (i > 0 ? (gsize)picture->width * picture->height + (i - 1) * chroma : 0);
}

static guint
plane_width (const Picture *picture, guint i)
{
  return i == 0 ? picture->width : (picture->width + 1) / 2;
}

static guint
plane_height (const Picture *picture, guint i)
{
  return i == 0 ? picture->height : (picture->height + 1) / 2;
}

Picture *
picture_new (guint width, guint height)
{
  Picture *picture = g_new (Picture, 1);

  *picture = (Picture){width, height, g_malloc (size_of (width, height))};
  picture_fill (picture, 16, 128, 128);
  return picture;
}

void
picture_free (Picture *picture)
{
  g_free (picture->data);
  g_free (picture);
}

void
picture_fill (Picture *picture, guint8 luma, guint8 u, guint8 v)
{
  guint8 values[3] = {luma, u, v};

  for (guint i = 0; i < 3; i++)
    memset (plane (picture, i), values[i], (gsize)plane_width (picture, i) * plane_height (picture, i));
}

static void
fill_rectangle (Picture *picture, guint x0, guint y0, guint x1, guint y1, const guint8 values[3])
{
  for (guint i = 0; i < 3; i++) {
    guint shift = i > 0 ? 1 : 0, w = plane_width (picture, i), h = plane_height (picture, i);

    for (guint y = y0 >> shift; y < MIN (h, y1 >> shift); y++)
      for (guint x = x0 >> shift; x < MIN (w, x1 >> shift); x++)
        plane (picture, i)[(gsize)y * w + x] = values[i];
  }
}

/* A coloured ground, objects of all sizes on it, and fine texture. */
Scene *
scene_new (guint width, guint height, guint seed)
{
  Scene *scene = g_new (Scene, 1);
  GRand *random = g_rand_new_with_seed (seed);
  guint w = width * SCENE_WIDTHS;
  guint8 ground[3] = {g_rand_int_range (random, 40, 200), g_rand_int_range (random, 90, 166),
                      g_rand_int_range (random, 90, 166)};

  scene->canvas = picture_new (w, height);
  picture_fill (scene->canvas, ground[0], ground[1], ground[2]);
  for (guint i = 0; i < OBJECTS * SCENE_WIDTHS; i++) {
    guint x = g_rand_int_range (random, 0, w), y = g_rand_int_range (random, 0, height);
    guint8 values[3] = {g_rand_int_range (random, 30, 220), g_rand_int_range (random, 80, 176),
                        g_rand_int_range (random, 80, 176)};

    fill_rectangle (scene->canvas, x, y, x + g_rand_int_range (random, 4, width / 3 + 5),
                    y + g_rand_int_range (random, 4, height / 2 + 5), values);
  }
  for (gsize i = 0; i < (gsize)w * height; i++) {
    int value = scene->canvas->data[i] + g_rand_int_range (random, -6, 7);

    scene->canvas->data[i] = CLAMP (value, 16, 235);
  }
  g_rand_free (random);
  return scene;
}

void
scene_free (Scene *scene)
{
  picture_free (scene->canvas);
  g_free (scene);
}

void
scene_show (const Scene *scene, int x, Picture *out)
{
  guint most = scene->canvas->width - out->width, from = (guint)CLAMP (x, 0, (int)most);

  for (guint i = 0; i < 3; i++) {
    guint w = plane_width (out, i), stride = plane_width (scene->canvas, i);

    for (guint y = 0; y < plane_height (out, i); y++)
      memcpy (plane (out, i) + (gsize)y * w, plane (scene->canvas, i) + (gsize)y * stride + (from >> (i > 0)), w);
  }
}

void
picture_blend (Picture *out, const Picture *a, const Picture *b, double share_of_b)
{
  for (gsize i = 0; i < size_of (out->width, out->height); i++)
    out->data[i] = (guint8)(a->data[i] * (1 - share_of_b) + b->data[i] * share_of_b + 0.5);
}

/* From the left. */
void
picture_wipe (Picture *out, const Picture *a, const Picture *b, double share_of_b)
{
  for (guint i = 0; i < 3; i++) {
    guint w = plane_width (out, i), edge = (guint)(w * share_of_b + 0.5);

    for (guint y = 0; y < plane_height (out, i); y++) {
      memcpy (plane (out, i) + (gsize)y * w, plane (b, i) + (gsize)y * w, edge);
      memcpy (plane (out, i) + (gsize)y * w + edge, plane (a, i) + (gsize)y * w + edge, w - edge);
    }
  }
}

void
picture_blur (Picture *picture, guint radius)
{
  guint w = picture->width, h = picture->height;
  g_autofree guint8 *copy = g_memdup2 (picture->data, (gsize)w * h);

  for (guint y = 0; y < h; y++) {
    for (guint x = 0; x < w; x++) {
      guint sum = 0, n = 0;

      for (guint v = y > radius ? y - radius : 0; v <= MIN (h - 1, y + radius); v++)
        for (guint u = x > radius ? x - radius : 0; u <= MIN (w - 1, x + radius); u++, n++)
          sum += copy[(gsize)v * w + u];
      picture->data[(gsize)y * w + x] = sum / n;
    }
  }
}

void
picture_add_noise (Picture *picture, guint amplitude, guint32 *state)
{
  for (gsize i = 0; i < (gsize)picture->width * picture->height; i++) {
    int value;

    *state = *state * 1664525u + 1013904223u;
    value = picture->data[i] + (int)((*state >> 16) % (2 * amplitude + 1)) - (int)amplitude;
    picture->data[i] = CLAMP (value, 16, 235);
  }
}

void
picture_letterbox (Picture *picture, guint rows)
{
  const guint8 black[3] = {16, 128, 128};

  fill_rectangle (picture, 0, 0, picture->width, rows, black);
  fill_rectangle (picture, 0, picture->height - rows, picture->width, picture->height, black);
}

DerushPlanes
picture_planes (const Picture *picture)
{
  DerushPlanes planes = {
      .width = picture->width,
      .height = picture->height,
      .chroma_width = plane_width (picture, 1),
      .chroma_height = plane_height (picture, 1),
      .sample_bits = 8,
  };

  for (guint i = 0; i < 3; i++) {
    planes.data[i] = plane (picture, i);
    planes.stride[i] = plane_width (picture, i);
    planes.pixel_stride[i] = 1;
  }
  return planes;
}
