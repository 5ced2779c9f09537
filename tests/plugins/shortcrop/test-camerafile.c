/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shortcrop/camerafile.h"

#include <gio/gio.h>

static void
test_round_trip (void)
{
  const DerushCameraKey keys[] = {{0, 437.5, 0, 405, 720}, {1.25, 100.13, 12, 405, 720}, {1.25, 0, 0, 202.5, 360}};
  g_autofree char *text = camera_file_format (keys, G_N_ELEMENTS (keys), 1280, 720);
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) read = NULL;
  guint width, height;

  read = camera_file_parse (text, -1, &width, &height, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (width, ==, 1280);
  g_assert_cmpuint (height, ==, 720);
  g_assert_cmpuint (read->len, ==, G_N_ELEMENTS (keys));
  for (guint i = 0; i < read->len; i++) {
    const DerushCameraKey *key = &g_array_index (read, DerushCameraKey, i);

    g_assert_cmpfloat (key->time, ==, keys[i].time);
    g_assert_cmpfloat (key->x, ==, keys[i].x);
    g_assert_cmpfloat (key->y, ==, keys[i].y);
    g_assert_cmpfloat (key->width, ==, keys[i].width);
    g_assert_cmpfloat (key->height, ==, keys[i].height);
  }
}

#define KEY "{\"time\":0,\"x\":0,\"y\":0,\"width\":10,\"height\":10}"
#define FILE_OF(keys) "{\"version\":1,\"source\":{\"width\":20,\"height\":10},\"keyframes\":[" keys "]}"

static void
test_bad_files (void)
{
  static const char *const files[] = {
      "",
      "{",
      "[]",
      "{\"version\":2,\"keyframes\":[" KEY "]}",
      "{\"version\":1}",
      "{\"version\":1,\"source\":{\"width\":-1,\"height\":10},\"keyframes\":[" KEY "]}",
      "{\"version\":1,\"source\":7,\"keyframes\":{}}",
      FILE_OF (""),
      FILE_OF ("7"),
      FILE_OF ("{\"time\":\"0\",\"x\":0,\"y\":0,\"width\":10,\"height\":10}"),
      FILE_OF ("{\"time\":0,\"x\":0,\"y\":0,\"width\":0,\"height\":10}"),
      FILE_OF ("{\"time\":0,\"x\":1e300,\"y\":0,\"width\":10,\"height\":10}"),
      FILE_OF ("{\"time\":1,\"x\":0,\"y\":0,\"width\":10,\"height\":10}," KEY),
      FILE_OF ("{\"time\":0,\"x\":0,\"y\":0,\"width\":10,\"height\":10,\"mode\":\"spin\"}"),
  };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (GError) error = NULL;
    guint width, height;

    g_test_message ("%s", files[i]);
    g_assert_null (camera_file_parse (files[i], -1, &width, &height, &error));
    g_assert_nonnull (error);
    g_assert_cmpstr (error->message, !=, "");
  }
}

static void
test_deep_file (void)
{
  g_autofree char *text = g_strnfill (1000000, '[');
  g_autoptr (GError) error = NULL;
  guint width, height;

  g_assert_null (camera_file_parse (text, -1, &width, &height, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/camera-file/what-is-written-is-read", test_round_trip);
  g_test_add_func ("/camera-file/bad-files-are-refused", test_bad_files);
  g_test_add_func ("/camera-file/a-deep-file-is-refused", test_deep_file);
  return g_test_run ();
}
