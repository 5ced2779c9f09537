/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "plugins/thumbnail/sheet.h"

#define SECOND G_GUINT64_CONSTANT (1000000000)

typedef struct {
  const char *name;
  guint source_width, source_height, par_n, par_d;
  guint columns, rows, tile_width, tile_height;
  gboolean fits;
  guint width, height, x, y, cell_width, cell_height, used_rows;
} GeometryCase;

static const GeometryCase geometry_cases[] = {
    {"wide", 1280, 720, 1, 1, 10, 10, 160, 0, TRUE, 160, 90, 0, 0, 160, 90, 10},
    {"upright", 360, 640, 1, 1, 10, 10, 160, 0, TRUE, 160, 284, 0, 0, 160, 284, 10},
    {"odd-source", 641, 359, 1, 1, 10, 10, 160, 0, TRUE, 160, 90, 0, 0, 160, 90, 10},
    {"odd-width", 640, 360, 1, 1, 10, 10, 161, 0, TRUE, 162, 92, 0, 0, 162, 92, 10},
    {"anamorphic", 720, 576, 16, 11, 10, 10, 160, 0, TRUE, 160, 88, 0, 0, 160, 88, 10},
    {"no-aspect-known", 640, 360, 0, 0, 10, 10, 160, 0, TRUE, 160, 90, 0, 0, 160, 90, 10},
    {"ribbon", 2048, 64, 1, 1, 10, 10, 160, 0, TRUE, 160, 6, 0, 0, 160, 6, 10},
    {"tower", 64, 2048, 1, 1, 10, 10, 160, 0, TRUE, 160, 5120, 0, 0, 160, 5120, 3},
    {"tower-too-high", 2, 2048, 1, 1, 10, 10, 160, 0, FALSE, 0, 0, 0, 0, 0, 0, 0},
    {"one-pixel", 1, 1, 1, 1, 1, 1, 2, 0, TRUE, 2, 2, 0, 0, 2, 2, 1},
    {"fitted-into-a-square", 1280, 720, 1, 1, 5, 5, 100, 100, TRUE, 100, 56, 0, 22, 100, 100, 5},
    {"fitted-upright", 720, 1280, 1, 1, 5, 5, 160, 90, TRUE, 50, 90, 54, 0, 160, 90, 5},
    {"widest-page", 1280, 720, 1, 1, 102, 1, 160, 0, TRUE, 160, 90, 0, 0, 160, 90, 1},
    {"page-too-wide", 1280, 720, 1, 1, 103, 1, 160, 0, FALSE, 0, 0, 0, 0, 0, 0, 0},
    {"page-too-high-has-fewer-rows", 1280, 720, 1, 1, 1, 1000, 160, 0, TRUE, 160, 90, 0, 0, 160, 90, 182},
};

static void
test_geometry (gconstpointer data)
{
  const GeometryCase *c = data;
  SheetGeometry geometry;

  g_assert_cmpint (sheet_geometry_init (&geometry, c->source_width, c->source_height, c->par_n, c->par_d, c->columns,
                                        c->rows, c->tile_width, c->tile_height),
                   ==, c->fits);
  if (!c->fits)
    return;
  g_assert_cmpuint (geometry.width, ==, c->width);
  g_assert_cmpuint (geometry.height, ==, c->height);
  g_assert_cmpuint (geometry.x, ==, c->x);
  g_assert_cmpuint (geometry.y, ==, c->y);
  g_assert_cmpuint (geometry.tile_width, ==, c->cell_width);
  g_assert_cmpuint (geometry.tile_height, ==, c->cell_height);
  g_assert_cmpuint (geometry.rows, ==, c->used_rows);
}

static void
test_interval (void)
{
  static const struct {
    guint64 duration, interval;
  } cases[] = {
      {1, 1}, {52, 1}, {299, 1}, {301, 2}, {599, 2}, {601, 5}, {1499, 5}, {1501, 10}, {100000, 10},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpuint (sheet_choose_interval (cases[i].duration * SECOND, 100), ==, cases[i].interval * SECOND);
  g_assert_cmpuint (sheet_choose_interval (G_MAXUINT64, 100), ==, 5 * SECOND);
}

static void
test_url_templates (void)
{
  static const struct {
    const char *url_template, *url; /* NULL: refused */
  } cases[] = {
      {"storyboard-%03u.jpg", "storyboard-007.jpg"},
      {"%u", "7"},
      {"https://cdn.example/a/%d.webp?x=1&y=2", "https://cdn.example/a/7.webp?x=1&y=2"},
      {"page.jpg", NULL},
      {"%u-%u.jpg", NULL},
      {"%s.jpg", NULL},
      {"%n%u.jpg", NULL},
      {"%u%", NULL},
      {"%0999u", NULL},
      {"%*u", NULL},
      {"a\nb%u", NULL},
      {"a --> b %u", NULL},
      {NULL, NULL},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_assert_cmpint (sheet_url_template_is_valid (cases[i].url_template), ==, cases[i].url != NULL);
    if (cases[i].url != NULL) {
      g_autofree char *url = sheet_expand_url (cases[i].url_template, 7);

      g_assert_cmpstr (url, ==, cases[i].url);
    }
  }
}

static void
test_vtt (void)
{
  static const SheetCue cues[] = {
      {0, 5 * SECOND, 1, 0, 0, 160, 90},
      {5 * SECOND, 3661 * SECOND + SECOND / 2, 1, 160, 0, 160, 90},
      {3661 * SECOND + SECOND / 2, 100 * 3600 * SECOND, 2, 0, 0, 160, 90},
  };
  g_autofree char *text = sheet_format_vtt (cues, G_N_ELEMENTS (cues), "storyboard-%03u.jpg");

  g_assert_cmpstr (text, ==,
                   "WEBVTT\n"
                   "\n00:00:00.000 --> 00:00:05.000\nstoryboard-001.jpg#xywh=0,0,160,90\n"
                   "\n00:00:05.000 --> 01:01:01.500\nstoryboard-001.jpg#xywh=160,0,160,90\n"
                   "\n01:01:01.500 --> 100:00:00.000\nstoryboard-002.jpg#xywh=0,0,160,90\n");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (geometry_cases); i++) {
    g_autofree char *path = g_strdup_printf ("/thumbnail/sheet/geometry/%s", geometry_cases[i].name);

    g_test_add_data_func (path, &geometry_cases[i], test_geometry);
  }
  g_test_add_func ("/thumbnail/sheet/the-automatic-interval-follows-the-duration", test_interval);
  g_test_add_func ("/thumbnail/sheet/a-url-template-has-one-page-number-and-nothing-else", test_url_templates);
  g_test_add_func ("/thumbnail/sheet/cues-are-contiguous-and-name-page-and-place", test_vtt);
  return g_test_run ();
}
