/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "harness.h"

#include <math.h>
#include <string.h>
#include <glib/gstdio.h>

#define FFMPEG "ffmpeg -v error -nostdin -y "
#define LOSSLESS " -c:v libx264 -preset ultrafast -qp 0 -pix_fmt yuv420p "
/* Frame N is grey, 8 N above black. */
#define COUNTED "-f lavfi -i \"color=black:s=64x64:r=12.5:d=2,geq=lum='16+N*8':cb=128:cr=128\" -bf 2"

static char *directory;
static TestWorker *worker;

static char *
make (const char *name, const char *arguments)
{
  g_autofree char *said = test_shell (directory, FFMPEG "%s %s", arguments, name);

  return g_build_filename (directory, name, NULL);
}

static TestAnswer *
run (const char *action, const char *source, const char *parameters, gboolean analysed)
{
  g_autofree char *results = test_worker_probe (worker, source, directory);

  if (analysed) {
    g_autoptr (TestAnswer) analysis = test_worker_run (worker, "analyse", "{}", results, source, directory, 0, 60);
    g_autoptr (JsonObject) all = derush_json_parse_object (results, -1, NULL);

    g_assert_cmpstr (analysis->message, ==, NULL);
    json_object_set_object_member (all, "analyse", json_object_ref (analysis->result));
    g_free (results);
    results = derush_json_object_to_string (all);
  }
  return test_worker_run (worker, action, parameters, results, source, directory, 0, 60);
}

static TestAnswer *
make_thumbnails (const char *source, const char *parameters)
{
  TestAnswer *answer = run ("thumbnails", source, parameters, FALSE);

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_nonnull (answer->result);
  g_assert_false (answer->falling);
  return answer;
}

static JsonObject *
thumbnail (TestAnswer *answer, guint i)
{
  JsonArray *list = derush_json_get_array (answer->result, "thumbnails");

  g_assert_nonnull (list);
  g_assert_cmpuint (json_array_get_length (list), >, i);
  return json_array_get_object_element (list, i);
}

static guint
n_thumbnails (TestAnswer *answer)
{
  return json_array_get_length (derush_json_get_array (answer->result, "thumbnails"));
}

/* The picture as @size × @size pixels, read by another program. */
static void
look (const char *file, const char *filter, guint size, guint8 *pixels)
{
  g_autofree char *path = g_build_filename (directory, "picture.rgb", NULL);
  g_autofree char *said =
      test_shell (directory,
                  FFMPEG "-i %s -frames:v 1 -vf \"%s%sscale=%u:%u:flags=area:in_range=auto,format=rgb24\" -f rawvideo "
                         "picture.rgb",
                  file, filter, *filter ? "," : "", size, size);
  g_autofree char *text = NULL;
  gsize length;

  g_assert_true (g_file_get_contents (path, &text, &length, NULL));
  g_assert_cmpuint (length, ==, (gsize)size * size * 3);
  memcpy (pixels, text, length);
}

static int
grey_of (JsonObject *item)
{
  guint8 pixels[3];

  look (derush_json_get_string (item, "file", ""), "", 1, pixels);
  return pixels[1];
}

static void
assert_number (JsonObject *item, double time, guint number)
{
  int expected = (int)(number * 8 * 255 / 219);

  g_assert_cmpfloat (fabs (derush_json_get_number (item, "time", -1) - time), <, 0.001);
  g_assert_cmpint (ABS (grey_of (item) - expected), <=, 4);
}

/* ── Which frame ────────────────────────────────────────────────────────── */

static void
test_exact_frames (gconstpointer data)
{
  g_autofree char *film = make (data, COUNTED LOSSLESS);
  g_autoptr (TestAnswer) answer = make_thumbnails (
      film, "{\"mode\":\"positions\",\"positions\":[0,0.5,1,1.3,0.999],\"format\":\"png\",\"width\":64}");

  g_assert_cmpuint (n_thumbnails (answer), ==, 5);
  assert_number (thumbnail (answer, 0), 0, 0);
  assert_number (thumbnail (answer, 1), 0.96, 12);
  assert_number (thumbnail (answer, 2), 1.92, 24);
  assert_number (thumbnail (answer, 3), 1.28, 16);
  assert_number (thumbnail (answer, 4), 1.92, 24);
  g_assert_cmpfloat (fabs (derush_json_get_number (thumbnail (answer, 1), "position", -1) - 0.48), <, 0.001);
}

static void
test_late_start (void)
{
  g_autofree char *film = make ("late.mkv", COUNTED LOSSLESS "-output_ts_offset 100000");
  g_autoptr (TestAnswer) answer =
      make_thumbnails (film, "{\"mode\":\"positions\",\"positions\":[0.5,1],\"format\":\"png\"}");

  g_assert_cmpint (ABS (grey_of (thumbnail (answer, 0)) - 12 * 8 * 255 / 219), <=, 14);
  g_assert_cmpint (ABS (grey_of (thumbnail (answer, 1)) - 24 * 8 * 255 / 219), <=, 4);
  g_assert_cmpfloat (derush_json_get_number (thumbnail (answer, 1), "time", -1), <, 2.1);
}

/* Its demuxer lands behind where it was asked to go. */
static void
test_program_stream (void)
{
  g_autofree char *film =
      make ("stream.mpg", "-f lavfi -i \"color=black:s=64x64:r=25:d=2,geq=lum='16+N*4':cb=128:cr=128\" "
                          "-c:v mpeg2video -q:v 1 -bf 0");
  g_autoptr (TestAnswer) answer =
      make_thumbnails (film, "{\"mode\":\"positions\",\"positions\":[0,1],\"format\":\"png\"}");

  g_assert_cmpfloat (derush_json_get_number (thumbnail (answer, 0), "time", -1), <, 0.001);
  g_assert_cmpint (grey_of (thumbnail (answer, 0)), <=, 6);
  g_assert_cmpint (grey_of (thumbnail (answer, 1)), >=, 49 * 4 * 255 / 219 - 6);
}

static void
test_beyond_the_end (void)
{
  g_autofree char *film = make ("end.mp4", COUNTED LOSSLESS);
  g_autoptr (TestAnswer) answer =
      make_thumbnails (film, "{\"mode\":\"positions\",\"positions\":[7],\"format\":\"png\"}");

  assert_number (thumbnail (answer, 0), 1.92, 24);
  g_assert_nonnull (strstr (answer->warnings->str, "7.000"));
}

static void
test_one_frame (void)
{
  g_autofree char *film = make ("one.mp4", "-f lavfi -i testsrc2=s=160x90:r=25:d=0.04 -frames:v 1" LOSSLESS);
  g_autoptr (TestAnswer) answer = make_thumbnails (film, "{\"count\":3}");

  g_assert_cmpuint (n_thumbnails (answer), ==, 1);
  g_assert_true (*answer->warnings->str != '\0');
}

/* Three seconds of picture between three seconds of black each. */
static void
test_never_black (gconstpointer data)
{
  gboolean analysed = GPOINTER_TO_INT (data);
  g_autofree char *film = make ("between.mp4", "-f lavfi -i color=black:s=320x180:r=25:d=3 -f lavfi -i "
                                               "testsrc2=s=320x180:r=25:d=3 -f lavfi -i color=black:s=320x180:r=25:d=3 "
                                               "-filter_complex concat=n=3 -c:v libx264 -preset ultrafast");
  g_autoptr (TestAnswer) answer = run ("thumbnails", film, "{\"count\":4}", analysed);

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_cmpuint (n_thumbnails (answer), ==, 4);
  for (guint i = 0; i < 4; i++) {
    JsonObject *item = thumbnail (answer, i);
    double time = derush_json_get_number (item, "time", -1);

    /* Nor within 0.3 s of the cuts. */
    g_assert_cmpfloat (time, >=, 3.28);
    g_assert_cmpfloat (time, <=, 5.72);
    g_assert_cmpfloat (derush_json_get_number (item, "score", 0), >, 0.5);
    g_assert_cmpuint (json_array_get_length (derush_json_get_array (item, "reasons")), >, 0);
    for (guint k = 0; k < i; k++)
      g_assert_cmpfloat (fabs (derush_json_get_number (thumbnail (answer, k), "time", -1) - time), >, 0.1);
  }
}

static void
test_all_black (void)
{
  g_autofree char *film = make ("black.mp4", "-f lavfi -i color=black:s=320x180:r=25:d=2" LOSSLESS);
  g_autoptr (TestAnswer) answer = make_thumbnails (film, "{\"count\":2}");

  g_assert_cmpuint (n_thumbnails (answer), ==, 2);
  g_assert_cmpfloat (derush_json_get_number (thumbnail (answer, 0), "score", 1), <, 0.05);
  g_assert_cmpstr (json_array_get_string_element (derush_json_get_array (thumbnail (answer, 0), "reasons"), 0), ==,
                   "black");
}

static void
test_uniform_steps_aside (void)
{
  g_autofree char *film = make ("aside.mp4", "-f lavfi -i \"testsrc2=s=320x180:r=25:d=8,drawbox=c=black:t=fill:"
                                             "enable='between(t,1.7,2.3)'\" -c:v libx264 -preset ultrafast");
  g_autoptr (TestAnswer) answer = make_thumbnails (film, "{\"count\":2,\"mode\":\"uniform\"}");
  double time = derush_json_get_number (thumbnail (answer, 0), "time", -1);

  g_assert_true (time < 1.7 || time > 2.3);
  g_assert_cmpfloat (time, >, 0);
  g_assert_cmpfloat (time, <, 4);
  g_assert_cmpfloat (fabs (derush_json_get_number (thumbnail (answer, 1), "time", -1) - 6), <, 0.001);
}

/* ── What picture ───────────────────────────────────────────────────────── */

typedef struct {
  const char *name;
  const char *film; /* filters */
  const char *parameters;
  guint width, height;
} SizeCase;

static const SizeCase size_cases[] = {
    {"width-alone", "s=320x180", "\"width\":160", 160, 90},
    {"height-alone", "s=320x180", "\"height\":45", 80, 45},
    {"neither", "s=320x180", "\"count\":1", 320, 180},
    {"larger-than-the-film", "s=320x180", "\"width\":640", 640, 360},
    {"not-enlarged", "s=320x180", "\"width\":640,\"enlarge\":false", 320, 180},
    {"contain", "s=320x180", "\"width\":100,\"height\":100,\"fit\":\"contain\"", 100, 56},
    {"cover", "s=320x180", "\"width\":100,\"height\":100,\"fit\":\"cover\"", 100, 100},
    {"fill", "s=320x180", "\"width\":100,\"height\":100,\"fit\":\"fill\"", 100, 100},
    {"square-pixels", "s=360x288,setsar=16/11", "\"height\":288", 524, 288},
    {"odd", "s=641x359", "\"count\":1", 641, 359},
    {"odd-webp", "s=641x359", "\"count\":1,\"format\":\"webp\"", 641, 359},
    {"a-ribbon-as-webp", "s=640x20", "\"width\":160,\"format\":\"webp\"", 160, 16},
};

static void
test_sizes (gconstpointer data)
{
  const SizeCase *c = data;
  g_autofree char *arguments =
      g_strdup_printf ("-f lavfi -i testsrc=r=25:d=0.2:%s -c:v libx264 -preset ultrafast -pix_fmt yuv444p", c->film);
  g_autofree char *film = make ("size.mp4", arguments);
  g_autofree char *parameters = g_strdup_printf ("{\"mode\":\"positions\",\"positions\":[0],%s}", c->parameters);
  g_autoptr (TestAnswer) answer = make_thumbnails (film, parameters);
  JsonObject *item = thumbnail (answer, 0);
  g_autofree char *size = test_shell (directory, "ffprobe -v error -show_entries stream=width,height -of csv=p=0 %s",
                                      derush_json_get_string (item, "file", ""));
  g_autofree char *expected = g_strdup_printf ("%u,%u", c->width, c->height);
  GStatBuf status;
  g_autofree char *path = g_build_filename (directory, derush_json_get_string (item, "file", ""), NULL);

  g_assert_cmpint (derush_json_get_int (item, "width", 0), ==, c->width);
  g_assert_cmpint (derush_json_get_int (item, "height", 0), ==, c->height);
  g_assert_cmpstr (g_strstrip (size), ==, expected);
  g_assert_cmpint (g_stat (path, &status), ==, 0);
  g_assert_cmpint (derush_json_get_int (item, "fileSize", 0), ==, status.st_size);
}

/* Cover cuts the sides off, fill squeezes them in: the film has a white stripe at its left and right edge. */
static void
test_cover_cuts (void)
{
  g_autofree char *film =
      make ("sides.mp4", "-f lavfi -i \"color=black:s=320x160:r=25:d=0.2,drawbox=w=60:c=white:t=fill,"
                         "drawbox=x=260:w=60:c=white:t=fill\"" LOSSLESS);
  static const struct {
    const char *fit;
    gboolean white;
  } cases[] = {{"cover", FALSE}, {"fill", TRUE}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *parameters = g_strdup_printf ("{\"mode\":\"positions\",\"positions\":[0],\"format\":\"png\","
                                                   "\"width\":80,\"height\":80,\"fit\":\"%s\"}",
                                                   cases[i].fit);
    g_autoptr (TestAnswer) answer = make_thumbnails (film, parameters);
    guint8 pixels[8 * 8 * 3];

    look (derush_json_get_string (thumbnail (answer, 0), "file", ""), "", 8, pixels);
    g_assert_cmpint (pixels[0] > 200, ==, cases[i].white);
    g_assert_cmpint (pixels[7 * 3] > 200, ==, cases[i].white);
    g_assert_cmpint (pixels[4 * 3], <, 40);
  }
}

/* Black is black and white is white in every format, as other programs read them. */
static void
test_levels (gconstpointer data)
{
  const char *format = data;
  g_autofree char *film = make ("levels.mp4", "-f lavfi -i \"color=black:s=320x180:r=25:d=0.2,drawbox=w=160:c=white:t="
                                              "fill\"" LOSSLESS);
  g_autofree char *parameters =
      g_strdup_printf ("{\"mode\":\"positions\",\"positions\":[0],\"format\":\"%s\",\"quality\":95}", format);
  g_autoptr (TestAnswer) answer = make_thumbnails (film, parameters);
  guint8 pixels[8 * 8 * 3];

  g_assert_cmpstr (derush_json_get_string (thumbnail (answer, 0), "format", ""), ==, format);
  look (derush_json_get_string (thumbnail (answer, 0), "file", ""), "", 8, pixels);
  g_assert_cmpint (pixels[3], >=, 252);
  g_assert_cmpint (pixels[6 * 3], <=, 3);
}

/* As ffmpeg shows the film, which turns it upright and keeps its colours. */
static void
test_upright (gconstpointer data)
{
  int rotation = GPOINTER_TO_INT (data);
  g_autofree char *straight =
      make ("straight.mp4", "-f lavfi -i \"color=red:s=320x180:r=25:d=0.4,drawbox=x=160:w=160:h=90:c=lime:t=fill,"
                            "drawbox=y=90:w=160:h=90:c=blue:t=fill,drawbox=x=160:y=90:w=160:h=90:c=yellow:t=fill\""
                            " -c:v libx264 -preset ultrafast -crf 1 -pix_fmt yuv420p");
  g_autofree char *arguments = g_strdup_printf ("-i straight.mp4 -c copy -metadata:s:v rotate=%d", rotation);
  g_autofree char *film = make ("turned.mp4", arguments);
  g_autoptr (TestAnswer) answer =
      make_thumbnails (film, "{\"mode\":\"positions\",\"positions\":[0],\"format\":\"png\"}");
  JsonObject *item = thumbnail (answer, 0);
  guint8 ours[8 * 8 * 3], theirs[8 * 8 * 3];

  g_assert_cmpint (derush_json_get_int (item, "width", 0), ==, rotation == 180 ? 320 : 180);
  g_assert_cmpint (derush_json_get_int (item, "height", 0), ==, rotation == 180 ? 180 : 320);
  look (derush_json_get_string (item, "file", ""), "", 8, ours);
  look ("turned.mp4", "", 8, theirs);
  for (guint i = 0; i < sizeof (ours); i++) {
    guint x = i / 3 % 8, y = i / 24;

    if (x % 4 == 1 && y % 4 == 1) /* the middle of a quarter */
      g_assert_cmpint (ABS (ours[i] - theirs[i]), <=, 8);
  }
}

static void
test_high_dynamic_range (void)
{
  g_autofree char *film =
      make ("hdr.mp4", "-f lavfi -i \"color=black:s=64x64:r=25:d=0.2,format=yuv420p10le,geq=lum=397:cb=512:cr=512\" "
                       "-c:v libx264 -preset ultrafast -qp 0 -pix_fmt yuv420p10le -color_trc smpte2084 "
                       "-color_primaries bt2020 -colorspace bt2020nc");
  g_autoptr (TestAnswer) answer =
      make_thumbnails (film, "{\"mode\":\"positions\",\"positions\":[0],\"format\":\"png\"}");
  int grey = grey_of (thumbnail (answer, 0));

  /* 26 cd/m² is the middle grey of a film whose white is 203; untouched it would be 97. */
  g_assert_cmpint (grey, >=, 100);
  g_assert_cmpint (grey, <=, 125);
}

/* ── Storyboards ────────────────────────────────────────────────────────── */

/* Cues without a gap from 0 to @end, one per tile. */
static void
check_vtt (guint tiles, double end)
{
  g_autofree char *path = g_build_filename (directory, "storyboard.vtt", NULL);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  double last = 0;
  guint n = 0;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_true (g_str_has_prefix (text, "WEBVTT\n"));
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    guint h1, m1, s1, f1, h2, m2, s2, f2;

    if (sscanf (lines[i], "%u:%u:%u.%u --> %u:%u:%u.%u", &h1, &m1, &s1, &f1, &h2, &m2, &s2, &f2) != 8)
      continue;
    g_assert_cmpfloat (fabs (h1 * 3600 + m1 * 60 + s1 + f1 / 1000.0 - last), <, 0.001);
    last = h2 * 3600 + m2 * 60 + s2 + f2 / 1000.0;
    g_assert_true (g_str_has_prefix (lines[i + 1], "storyboard-001.jpg#xywh="));
    n++;
  }
  g_assert_cmpuint (n, ==, tiles);
  g_assert_cmpfloat (fabs (last - end), <, 0.05);
}

typedef struct {
  const char *name;
  guint seconds;
  guint group; /* frames from one key frame to the next */
  const char *parameters;
  const char *method;
  guint tiles;
} BoardCase;

static const BoardCase board_cases[] = {
    {"key-frames-are-enough", 8, 5, "{}", "key-frames", 8},
    {"key-frames-are-too-rare", 8, 1000, "{}", "all-frames", 8},
    {"a-wider-interval", 12, 15, "{\"interval\":3}", "key-frames", 4},
    {"in-a-long-film-half-of-the-places-will-do", 90, 7, "{\"interval\":1}", "key-frames", 65},
    {"in-a-long-film-fewer-will-not", 90, 20, "{\"interval\":1}", "all-frames", 90},
};

static void
test_storyboard (gconstpointer data)
{
  const BoardCase *c = data;
  g_autofree char *arguments = g_strdup_printf (
      "-f lavfi -i testsrc2=s=160x90:r=5:d=%u -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g %u -sc_threshold 0",
      c->seconds, c->group);
  g_autofree char *film = make ("board.mp4", arguments);
  g_autoptr (TestAnswer) answer = run ("storyboard", film, c->parameters, FALSE);
  JsonArray *pages;
  g_autofree char *size = NULL;
  g_autofree char *expected = g_strdup_printf ("1600,%u", (c->tiles + 9) / 10 * 90);

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_false (answer->falling);
  g_assert_cmpstr (derush_json_get_string (answer->result, "method", ""), ==, c->method);
  g_assert_cmpint (derush_json_get_int (answer->result, "tiles", 0), ==, c->tiles);
  g_assert_cmpstr (derush_json_get_string (answer->result, "vtt", ""), ==, "storyboard.vtt");
  pages = derush_json_get_array (answer->result, "pages");
  g_assert_cmpuint (json_array_get_length (pages), ==, 1);
  g_assert_cmpstr (json_array_get_string_element (pages, 0), ==, "storyboard-001.jpg");
  size = test_shell (directory, "ffprobe -v error -show_entries stream=width,height -of csv=p=0 storyboard-001.jpg");
  g_assert_cmpstr (g_strstrip (size), ==, expected);
  check_vtt (c->tiles, c->seconds);
}

static void
test_tiles_show_their_time (void)
{
  g_autofree char *film = make ("greys.mp4", "-f lavfi -i \"color=black:s=64x64:r=5:d=20,geq=lum='16+floor(N/5)*10':"
                                             "cb=128:cr=128\"" LOSSLESS);
  g_autoptr (TestAnswer) answer = run ("storyboard", film, "{\"columns\":5,\"rows\":2,\"tileWidth\":32}", FALSE);
  JsonArray *pages = derush_json_get_array (answer->result, "pages");

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_cmpuint (json_array_get_length (pages), ==, 2);
  for (guint k = 0; k < 20; k++) {
    g_autofree char *filter = g_strdup_printf ("crop=16:16:%u:%u", k % 5 * 32 + 8, k % 10 / 5 * 32 + 8);
    guint8 pixels[3];

    look (json_array_get_string_element (pages, k / 10), filter, 1, pixels);
    g_assert_cmpint (ABS (pixels[0] - (int)(k * 10 * 255 / 219)), <=, 4);
  }
}

/* ── Bad films ──────────────────────────────────────────────────────────── */

static void
test_sound_alone (void)
{
  g_autofree char *film = make ("sound.m4a", "-f lavfi -i sine=d=1 -c:a aac");
  static const char *const actions[] = {"thumbnails", "storyboard"};

  for (guint i = 0; i < G_N_ELEMENTS (actions); i++) {
    g_autoptr (TestAnswer) answer = run (actions[i], film, "{}", FALSE);

    g_assert_null (answer->result);
    g_assert_cmpstr (answer->error_class, ==, "bad-input");
    g_assert_nonnull (strstr (answer->message, "sound.m4a"));
  }
}

static void
test_broken_off (void)
{
  g_autofree char *whole = make ("whole.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -c:v libx264 -preset ultrafast "
                                              "-g 25 -movflags +faststart");
  g_autofree char *said = test_shell (directory, "head -c $(( $(stat -c %%s whole.mp4) / 2 )) whole.mp4 > half.mp4");
  g_autofree char *film = g_build_filename (directory, "half.mp4", NULL);
  g_autoptr (TestAnswer) answer = make_thumbnails (film, "{\"mode\":\"positions\",\"positions\":[0,1]}");
  g_autoptr (TestAnswer) board = run ("storyboard", film, "{}", FALSE);

  g_assert_cmpuint (n_thumbnails (answer), ==, 2);
  g_assert_cmpfloat (derush_json_get_number (thumbnail (answer, 1), "time", -1), >, 1);
  g_assert_cmpstr (board->message, ==, NULL);
  g_assert_cmpint (derush_json_get_int (board->result, "tiles", 0), >=, 2);
}

int
main (int argc, char **argv)
{
  static const char *const containers[] = {"counted.mp4", "counted.mkv", "counted.mov"};
  static const char *const formats[] = {"jpg", "png", "webp"};
  int status;

  g_test_init (&argc, &argv, NULL);
  directory = test_directory_new ();
  worker = test_worker_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (containers); i++) {
    g_autofree char *path = g_strdup_printf ("/media/thumbnails/positions-give-exact-frames/%s", containers[i]);

    g_test_add_data_func (path, containers[i], test_exact_frames);
  }
  g_test_add_func ("/media/thumbnails/a-film-that-starts-at-27-hours", test_late_start);
  g_test_add_func ("/media/thumbnails/a-program-stream", test_program_stream);
  g_test_add_func ("/media/thumbnails/a-position-beyond-the-end-is-moved-with-a-warning", test_beyond_the_end);
  g_test_add_func ("/media/thumbnails/one-frame-gives-one-thumbnail", test_one_frame);
  g_test_add_data_func ("/media/thumbnails/never-black/from-samples", GINT_TO_POINTER (FALSE), test_never_black);
  g_test_add_data_func ("/media/thumbnails/never-black/from-the-analysis", GINT_TO_POINTER (TRUE), test_never_black);
  g_test_add_func ("/media/thumbnails/a-black-film-has-black-thumbnails-of-low-score", test_all_black);
  g_test_add_func ("/media/thumbnails/evenly-spaced-ones-step-aside-from-black", test_uniform_steps_aside);
  for (gsize i = 0; i < G_N_ELEMENTS (size_cases); i++) {
    g_autofree char *path = g_strdup_printf ("/media/thumbnails/size/%s", size_cases[i].name);

    g_test_add_data_func (path, &size_cases[i], test_sizes);
  }
  g_test_add_func ("/media/thumbnails/cover-cuts-and-fill-squeezes", test_cover_cuts);
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *path = g_strdup_printf ("/media/thumbnails/black-and-white-stay/%s", formats[i]);

    g_test_add_data_func (path, formats[i], test_levels);
  }
  for (int rotation = 90; rotation <= 270; rotation += 90) {
    g_autofree char *path = g_strdup_printf ("/media/thumbnails/upright/%d", rotation);

    g_test_add_data_func (path, GINT_TO_POINTER (rotation), test_upright);
  }
  g_test_add_func ("/media/thumbnails/high-dynamic-range-is-brought-to-standard", test_high_dynamic_range);
  for (gsize i = 0; i < G_N_ELEMENTS (board_cases); i++) {
    g_autofree char *path = g_strdup_printf ("/media/storyboard/%s", board_cases[i].name);

    g_test_add_data_func (path, &board_cases[i], test_storyboard);
  }
  g_test_add_func ("/media/storyboard/tiles-show-their-time", test_tiles_show_their_time);
  g_test_add_func ("/media/stills/sound-alone-is-refused", test_sound_alone);
  g_test_add_func ("/media/stills/a-film-that-breaks-off-gives-what-it-has", test_broken_off);
  status = g_test_run ();
  test_worker_free (worker);
  test_directory_free (directory);
  return status;
}
