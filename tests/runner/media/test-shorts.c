/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib/gstdio.h>

#define FFMPEG "ffmpeg -v error -nostdin -y "
#define RATE 48000
#define PICTURE 96 /* bytes of 8 × 8 pixels of YUV 4:2:0 */

/*
 * A film that says of every picture which one it is, by its brightness, which differs much from its neighbours'; and a
 * click of a millisecond every half second.
 */
#define COUNTER                                                                                                        \
  "-f lavfi -i \"color=black:s=640x360:r=25:d=8,format=yuv420p,geq=lum='16+mod(N*37,200)':cb=128:cr=128\" "            \
  "-f lavfi -i \"aevalsrc='if(lt(mod(t,0.5),0.001),0.9,0)':s=48000:d=8\" "                                             \
  "-c:v libx264 -preset veryfast -crf 12 -g 50 -bf 2 -c:a pcm_s16le"
/* A box that walks from left to right. */
#define WALK                                                                                                           \
  "-f lavfi -i \"color=gray:s=640x360:r=25:d=6[b];testsrc2=s=80x160:r=25:d=6[s];[b][s]overlay=x=40+80*t:y=100\" "      \
  "-c:v libx264 -preset veryfast -pix_fmt yuv420p"

static char *directory;
static TestWorker *worker;

static char *
make (const char *name, const char *arguments)
{
  g_autofree char *said = test_shell (directory, FFMPEG "%s %s", arguments, name);

  return g_build_filename (directory, name, NULL);
}

static TestAnswer *
run (const char *film, const char *action, const char *parameters, const char *results)
{
  g_autofree char *probe = results ? NULL : test_worker_probe (worker, film, directory);

  return test_worker_run (worker, action, parameters, results ? results : probe, film, directory, 0, 90);
}

static JsonObject *
nth (TestAnswer *answer, const char *list, guint i)
{
  JsonArray *made;

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_nonnull (answer->result);
  made = derush_json_get_array (answer->result, list);
  g_assert_nonnull (made);
  g_assert_cmpuint (i, <, json_array_get_length (made));
  return json_array_get_object_element (made, i);
}

static void
read_bytes (const char *file, const char *arguments, char **bytes, gsize *length)
{
  g_autofree char *said = test_shell (directory, FFMPEG "-i %s %s plain.raw", file, arguments);
  g_autofree char *path = g_build_filename (directory, "plain.raw", NULL);

  g_assert_true (g_file_get_contents (path, bytes, length, NULL));
}

/* The pictures from @first on, @count of them, and the clicks of the time that starts at @start: within a millisecond. */
static void
assert_exact (const char *file, int first, int count, double start)
{
  g_autofree char *pictures = NULL, *sound = NULL;
  const double end = start + count / 25.0;
  gsize n_pictures, n_bytes;
  double next = ceil (start / 0.5 - 1e-6) * 0.5, quiet_until = 0;
  const gint16 *samples;

  read_bytes (file, "-map 0:v -fps_mode passthrough -vf crop=8:8:20:20 -pix_fmt yuv420p -f rawvideo", &pictures,
              &n_pictures);
  g_assert_cmpuint (n_pictures, ==, count * PICTURE);
  for (int i = 0; i < count; i++)
    g_assert_cmpint (ABS ((int)(guint8)pictures[i * PICTURE] - (16 + (first + i) * 37 % 200)), <=, 4);

  read_bytes (file, "-map 0:a -ac 1 -ar 48000 -f s16le", &sound, &n_bytes);
  samples = (const gint16 *)(gconstpointer)sound;
  for (gsize i = 0; i < n_bytes / 2; i++) {
    double time = start + (double)i / RATE;

    if (ABS (samples[i]) < 12000 || time < quiet_until)
      continue;
    g_assert_cmpfloat (fabs (time - next), <, 0.001);
    quiet_until = next + 0.1;
    next += 0.5;
  }
  /* None is missing, up to the last one before the end. */
  g_assert_cmpfloat (next, >=, end - 0.01);
  g_assert_cmpfloat ((double)n_bytes / 2 / RATE, <, count / 25.0 + 0.05);
}

/* A click within 20 ms of another one is not told from it. */
static void
assert_clicks (const char *file, const double *times, guint n_times)
{
  g_autofree char *sound = NULL;
  const gint16 *samples;
  gsize n_bytes;
  guint n = 0;

  read_bytes (file, "-map 0:a -ac 1 -ar 48000 -f s16le", &sound, &n_bytes);
  samples = (const gint16 *)(gconstpointer)sound;
  for (gsize i = 0; i < n_bytes / 2; i++) {
    double time = (double)i / RATE;

    if (ABS (samples[i]) < 10000 || (n > 0 && time < times[n - 1] + 0.02))
      continue;
    g_assert_cmpuint (n, <, n_times);
    g_assert_cmpfloat (fabs (time - times[n++]), <, 0.001);
  }
  g_assert_cmpuint (n, ==, n_times);
}

static char *
add_result (const char *results, const char *name, JsonObject *result)
{
  g_autofree char *text = derush_json_object_to_string (result);

  g_assert_true (g_str_has_suffix (results, "}"));
  return g_strdup_printf ("%.*s,\"%s\":%s}", (int)strlen (results) - 1, results, name, text);
}

static void
shorts_are_cut_exactly (void)
{
  g_autofree char *film = make ("counter.mov", COUNTER);
  g_autofree char *probe = test_worker_probe (worker, film, directory), *results = NULL;
  g_autoptr (TestAnswer) answer =
      run (film, "shorts",
           "{\"name\":\"cut\",\"width\":180,\"height\":320,\"parts\":[{\"start\":1.48,\"end\":4.52},"
           "{\"start\":0,\"end\":1.04,\"id\":\"h2\"},{\"start\":6.96,\"end\":8}]}",
           NULL);
  g_autoptr (TestAnswer) checked = NULL;

  g_assert_cmpstr (derush_json_get_string (nth (answer, "shorts", 0), "file", ""), ==, "cut-001.mp4");
  g_assert_cmpstr (derush_json_get_string (nth (answer, "shorts", 0), "cropFile", ""), ==, "cut-001.crop.json");
  g_assert_cmpstr (derush_json_get_string (nth (answer, "shorts", 1), "id", ""), ==, "h2");
  g_assert_false (answer->falling);
  assert_exact ("cut-001.mp4", 37, 76, 1.48);
  assert_exact ("cut-002.mp4", 0, 26, 0);
  assert_exact ("cut-003.mp4", 174, 26, 6.96);
  results = add_result (probe, "shorts", answer->result);
  checked = run (film, "check", "{\"step\":\"shorts\",\"list\":\"shorts\"}", results);
  g_assert_cmpstr (checked->message, ==, NULL);
  g_assert_cmpint (derush_json_get_int (checked->result, "frames", 0), ==, 76 + 26 + 26);
}

static JsonObject *
read_path (const char *name)
{
  g_autofree char *path = g_build_filename (directory, name, NULL), *text = NULL;
  JsonObject *object;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  object = derush_json_parse_object (text, -1, NULL);
  g_assert_nonnull (object);
  return object;
}

/* With an analysis at hand and without one. */
static void
the_camera_follows_and_says_so (void)
{
  g_autofree char *film = make ("walk.mp4", WALK);
  g_autofree char *probe = test_worker_probe (worker, film, directory), *analysed = NULL;
  g_autoptr (TestAnswer) analysis = run (film, "analyse", "{}", probe);

  g_assert_nonnull (analysis->result);
  analysed = add_result (probe, "analyse", analysis->result);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (TestAnswer) answer =
        run (film, "shorts", "{\"name\":\"walk\",\"height\":320,\"parts\":[{\"start\":1,\"end\":5}]}",
             i == 0 ? analysed : probe);
    g_autoptr (JsonObject) path = NULL;
    JsonObject *first, *last;
    JsonArray *keys;

    g_assert_cmpint (derush_json_get_int (nth (answer, "shorts", 0), "width", 0), ==, 180);
    path = read_path ("walk-001.crop.json");
    g_assert_cmpint (derush_json_get_int (derush_json_get_object (path, "source"), "width", 0), ==, 640);
    keys = derush_json_get_array (path, "keyframes");
    first = json_array_get_object_element (keys, 0);
    last = json_array_get_object_element (keys, json_array_get_length (keys) - 1);
    g_assert_cmpfloat (fabs (derush_json_get_number (first, "time", -1) - 1), <, 0.05);
    g_assert_cmpfloat (fabs (derush_json_get_number (last, "time", -1) - 5), <, 0.1);
    g_assert_cmpfloat (fabs (derush_json_get_number (first, "width", 0) - 202.5), <, 0.1);
    g_assert_cmpfloat (derush_json_get_number (last, "x", 0) - derush_json_get_number (first, "x", 0), >, 150);
  }
}

static void
a_turned_film_is_cropped_upright (void)
{
  g_autofree char *plain = make ("walk.mp4", WALK);
  g_autofree char *film = make ("turned.mp4", "-i walk.mp4 -c copy -metadata:s:v rotate=90");
  g_autofree char *probe = test_worker_probe (worker, film, directory), *analysed = NULL;
  g_autoptr (TestAnswer) analysis = run (film, "analyse", "{}", probe), answer = NULL;
  g_autoptr (JsonObject) path = NULL;

  analysed = add_result (probe, "analyse", analysis->result);
  answer = run (film, "shorts", "{\"name\":\"turned\",\"height\":320,\"parts\":[{\"start\":1,\"end\":2}]}", analysed);
  g_assert_cmpint (derush_json_get_int (nth (answer, "shorts", 0), "width", 0), ==, 180);
  path = read_path ("turned-001.crop.json");
  g_assert_cmpint (derush_json_get_int (derush_json_get_object (path, "source"), "width", 0), ==, 360);
  g_assert_cmpint (derush_json_get_int (derush_json_get_object (path, "source"), "height", 0), ==, 640);
}

static void
platforms_bound_size_and_length (void)
{
  g_autofree char *film =
      make ("long.mp4", "-f lavfi -i testsrc2=s=160x90:r=10:d=20 -c:v libx264 -preset ultrafast -pix_fmt yuv420p");
  static const struct {
    const char *parameters;
    int width, height;
    double duration;
    const char *warning;
  } cases[] = {
      {"\"platform\":\"INSTAGRAM_STORIES\",\"height\":160,\"parts\":[{\"start\":1,\"end\":19}]", 90, 160, 15,
       "INSTAGRAM_STORIES"},
      {"\"platform\":\"INSTAGRAM\",\"parts\":[{\"start\":1,\"end\":2}]", 1080, 1350, 1, NULL},
      {"\"platform\":\"TIKTOK\",\"aspectRatio\":\"1:1\",\"parts\":[{\"start\":1,\"end\":2}]", 1080, 1080, 1, NULL},
      {"\"parts\":[{\"start\":1,\"end\":1.5}]", 1080, 1920, 0.5, NULL},
      {"\"width\":64,\"height\":64,\"parts\":[{\"start\":18,\"end\":30}]", 64, 64, 2, "moved to the end"},
      {"\"width\":64,\"height\":64,\"maxDuration\":3,\"parts\":[{\"start\":2,\"end\":12}]", 64, 64, 3, NULL},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *parameters = g_strdup_printf ("{\"name\":\"p\",\"quality\":\"low\",%s}", cases[i].parameters);
    g_autoptr (TestAnswer) answer = run (film, "shorts", parameters, NULL);
    JsonObject *made = nth (answer, "shorts", 0);

    g_assert_cmpint (derush_json_get_int (made, "width", 0), ==, cases[i].width);
    g_assert_cmpint (derush_json_get_int (made, "height", 0), ==, cases[i].height);
    g_assert_cmpfloat (fabs (derush_json_get_number (made, "duration", 0) - cases[i].duration), <, 0.11);
    g_assert_cmpfloat (fabs (derush_json_get_number (made, "endTime", 0) -
                             derush_json_get_number (made, "startTime", 0) - cases[i].duration),
                       <, 0.001);
    if (cases[i].warning)
      g_assert_nonnull (strstr (answer->warnings->str, cases[i].warning));
    else
      g_assert_null (strstr (answer->warnings->str, "hort"));
  }
}

/* As ffmpeg measures it: integrated loudness and true peak. */
static void
measure_sound (const char *file, double *loudness, double *peak)
{
  g_autofree char *text = test_shell (
      directory,
      "ffmpeg -nostdin -i '%s' -af ebur128=peak=true -f null - 2>&1 | sed -n '/Summary/,$p' | awk '/I:|Peak:/ {print $2}'",
      file);

  g_assert_cmpint (sscanf (text, "%lf %lf", loudness, peak), ==, 2);
}

static void
platforms_hear_one_loudness (void)
{
  static const struct {
    const char *sound;
    double loudness; /* 0: stays as it is */
    const char *warning;
  } cases[] = {
      {"sine=f=300:r=48000", -14, NULL},
      /* Loud already, and clipped. */
      {"anoisesrc=c=pink:r=44100:a=1:seed=7,volume=12dB,alimiter=limit=1", -14, NULL},
      /* Quiet speech-like noise with cracks. */
      {"anoisesrc=c=pink:r=48000:a=0.2:seed=3,volume='if(lt(mod(t,1),0.01),20,1)':eval=frame", -14, NULL},
      {"sine=f=300:r=48000,volume=0.06", -30, "too quiet"},
      {"anullsrc=r=48000:cl=stereo", 0, "silent"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *name = g_strdup_printf ("loud%u.mp4", i);
    g_autofree char *options = g_strdup_printf (
        "-f lavfi -i testsrc2=s=160x90:r=25 -f lavfi -i \"%s\" -t 8 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
        cases[i].sound);
    g_autofree char *film = make (name, options);
    g_autoptr (TestAnswer) answer = run (film, "shorts",
                                         "{\"name\":\"p\",\"platform\":\"TIKTOK\",\"width\":90,\"height\":160,"
                                         "\"parts\":[{\"start\":1,\"end\":7}]}",
                                         NULL);
    JsonObject *made = nth (answer, "shorts", 0);
    double loudness, peak;

    if (cases[i].warning)
      g_assert_nonnull (strstr (answer->warnings->str, cases[i].warning));
    if (cases[i].loudness == 0) {
      g_assert_false (json_object_has_member (made, "loudness"));
      continue;
    }
    measure_sound ("p-001.mp4", &loudness, &peak);
    g_test_message ("%s: %.2f LUFS, %.2f dBTP", cases[i].sound, loudness, peak);
    g_assert_cmpfloat (fabs (loudness - cases[i].loudness), <, cases[i].warning ? 5 : 0.6);
    g_assert_cmpfloat (peak, <=, -1);
    g_assert_cmpfloat (fabs (derush_json_get_number (made, "loudness", 0) - loudness), <, 0.3);
    if (peak > -6) /* of a pure tone, the codec's own ripple is what counts */
      g_assert_cmpfloat (fabs (derush_json_get_number (made, "truePeak", 0) - peak), <, 0.6);
  }
}

static void
clips_become_one_film (void)
{
  g_autofree char *film = make ("counter.mov", COUNTER);
  g_autofree char *probe = test_worker_probe (worker, film, directory), *results = NULL, *pictures = NULL;
  g_autoptr (TestAnswer) answer = run (
      film, "clips",
      "{\"name\":\"v\",\"merge\":true,\"parts\":[{\"id\":\"a\",\"start\":1.48,\"end\":2.52},{\"id\":\"b\",\"start\":20,"
      "\"end\":21},{\"id\":\"c\",\"error\":\"no such id\"},{\"id\":\"d\",\"start\":4.48,\"end\":6.52}]}",
      NULL);
  g_autoptr (TestAnswer) checked = NULL;
  JsonObject *compilation;
  gsize length;

  assert_exact ("v-clip-001.mp4", 37, 26, 1.48);
  assert_exact ("v-clip-004.mp4", 112, 51, 4.48);
  g_assert_false (answer->falling);
  g_assert_nonnull (strstr (derush_json_get_string (nth (answer, "clips", 1), "error", ""), "beyond the end"));
  g_assert_cmpstr (derush_json_get_string (nth (answer, "clips", 2), "error", ""), ==, "no such id");
  g_assert_cmpstr (derush_json_get_string (nth (answer, "clips", 3), "id", ""), ==, "d");
  compilation = derush_json_get_object (answer->result, "compilation");
  g_assert_cmpstr (derush_json_get_string (compilation, "file", ""), ==, "v-compilation.mp4");
  g_assert_cmpfloat (fabs (derush_json_get_number (compilation, "duration", 0) - 3.08), <, 0.001);
  read_bytes ("v-compilation.mp4", "-map 0:v -fps_mode passthrough -vf crop=8:8:20:20 -pix_fmt yuv420p -f rawvideo",
              &pictures, &length);
  g_assert_cmpuint (length, ==, 77 * PICTURE);
  for (int i = 0; i < 77; i++)
    g_assert_cmpint (ABS ((int)(guint8)pictures[i * PICTURE] - (16 + (i < 26 ? 37 + i : 86 + i) * 37 % 200)), <=, 4);
  assert_clicks ("v-compilation.mp4", (const double[]){0.02, 0.52, 1.02, 1.06, 1.56, 2.06, 2.56, 3.06}, 8);
  results = add_result (probe, "clips", answer->result);
  checked = run (film, "check", "{\"step\":\"clips\",\"list\":\"clips\"}", results);
  g_assert_cmpstr (checked->message, ==, NULL);
}

static void
clips_take_padding_and_fail_together_only (void)
{
  g_autofree char *film =
      make ("silent.mp4", "-f lavfi -i testsrc2=s=160x90:r=10:d=4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p");
  g_autoptr (TestAnswer) padded = run (
      film, "clips",
      "{\"name\":\"v\",\"padding\":1,\"merge\":true,\"parts\":[{\"start\":0.5,\"end\":1},{\"start\":2,\"end\":3.5}]}",
      NULL);
  g_autoptr (TestAnswer) none = run (film, "clips", "{\"name\":\"v\",\"parts\":[{\"start\":9,\"end\":10}]}", NULL);

  g_assert_cmpfloat (derush_json_get_number (nth (padded, "clips", 0), "startTime", -1), ==, 0);
  g_assert_cmpfloat (derush_json_get_number (nth (padded, "clips", 0), "endTime", -1), ==, 2);
  g_assert_cmpfloat (fabs (derush_json_get_number (nth (padded, "clips", 1), "endTime", -1) - 4), <, 0.01);
  g_assert_cmpfloat (fabs (derush_json_get_number (nth (padded, "clips", 1), "duration", -1) - 3), <, 0.11);
  g_assert_cmpfloat (
      fabs (derush_json_get_number (derush_json_get_object (padded->result, "compilation"), "duration", 0) - 5), <,
      0.01);
  g_assert_null (none->result);
  g_assert_cmpstr (none->error_class, ==, "bad-input");
  g_assert_nonnull (strstr (none->message, "beyond the end"));
}

static gint64
decoded_frames (TestAnswer *answer)
{
  return derush_json_get_int (derush_json_get_object (answer->result, "cost"), "decodedFrames", -1);
}

/* Clips of the film `counter`, whose ids are hundredths of a second, are exact. */
static void
assert_exact_clips (TestAnswer *answer, const guint (*times)[2], guint n)
{
  for (guint i = 0; i < n; i++) {
    JsonObject *clip = nth (answer, "clips", i);
    const int first = (int)times[i][0] / 4, count = (int)(times[i][1] - times[i][0]) / 4;

    g_assert_cmpint (derush_json_get_int (clip, "frames", 0), ==, count);
    g_assert_cmpfloat (fabs (derush_json_get_number (clip, "startTime", 0) - times[i][0] / 100.0), <, 0.001);
    assert_exact (derush_json_get_string (clip, "file", ""), first, count, times[i][0] / 100.0);
  }
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (answer->result, "clips")), ==, n);
  g_assert_false (answer->falling);
}

/* @times: hundredths of a second */
static char *
list_parts (const char *name, const guint (*times)[2], guint n)
{
  GString *text = g_string_new (NULL);

  g_string_printf (text, "{\"name\":\"%s\",\"parts\":[", name);
  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "%s{\"start\":%u.%02u,\"end\":%u.%02u}", i > 0 ? "," : "", times[i][0] / 100,
                            times[i][0] % 100, times[i][1] / 100, times[i][1] % 100);
  g_string_append (text, "]}");
  return g_string_free (text, FALSE);
}

/* Ten clips of two seconds, each 0.4 s after the one before, in another order than that of their times. */
static void
clips_that_overlap_are_decoded_once (void)
{
  g_autofree char *film = make ("counter.mov", COUNTER), *parameters = NULL;
  g_autoptr (TestAnswer) answer = NULL;
  guint times[10][2];

  for (guint i = 0; i < 10; i++) {
    times[i][0] = 148 + 40 * (i * 7 % 10);
    times[i][1] = times[i][0] + 200;
  }
  parameters = list_parts ("o", times, 10);
  answer = run (film, "clips", parameters, NULL);
  assert_exact_clips (answer, times, 10);
  g_test_message ("%d pictures decoded", (int)decoded_frames (answer));
  /* From the key frame at 0 to the last end at 7.08 s, and a few that are decoded ahead; each alone, they are 700. */
  g_assert_cmpint (decoded_frames (answer), >=, 140);
  g_assert_cmpint (decoded_frames (answer), <=, 177 + 20);
}

/* More than may be open at a time: there are as few passes as possible. */
static void
many_clips_of_one_moment_are_made_in_few_passes (void)
{
  g_autofree char *film = make ("counter.mov", COUNTER), *parameters = NULL;
  g_autoptr (TestAnswer) answer = NULL;
  guint times[30][2];

  for (guint i = 0; i < 30; i++) {
    times[i][0] = 204 + 4 * (i % 5);
    times[i][1] = 300;
  }
  parameters = list_parts ("m", times, 30);
  answer = run (film, "clips", parameters, NULL);
  assert_exact_clips (answer, times, 30);
  g_assert_cmpint (decoded_frames (answer), <=, 3 * (25 + 20));
}

/* It is entered again where that saves decoding, and once for clips near each other. */
static void
gaps_between_clips_are_jumped_over (void)
{
  static const guint times[][2] = {{640, 720}, {20, 60}, {680, 780}, {100, 140}};
  g_autofree char *film = make ("counter.mov", COUNTER), *parameters = list_parts ("g", times, 4);
  g_autoptr (TestAnswer) answer = run (film, "clips", parameters, NULL);

  assert_exact_clips (answer, times, 4);
  g_test_message ("%d pictures decoded", (int)decoded_frames (answer));
  g_assert_cmpint (decoded_frames (answer), <=, 35 + 45 + 2 * 20);
}

/* MPEG program streams cannot be sought. */
static void
a_film_that_cannot_be_entered_is_decoded_once (void)
{
  g_autofree char *film = make (
      "through.mpg", "-f lavfi -i testsrc2=s=160x90:r=25:d=8 -f lavfi -i sine=r=48000:d=8 -c:v mpeg2video -f mpeg");
  g_autoptr (TestAnswer) answer = run (
      film, "clips",
      "{\"name\":\"t\",\"parts\":[{\"start\":6,\"end\":7},{\"start\":1,\"end\":2},{\"start\":1.52,\"end\":3}]}", NULL);

  g_assert_cmpint (derush_json_get_int (nth (answer, "clips", 0), "frames", 0), ==, 25);
  g_assert_cmpint (derush_json_get_int (nth (answer, "clips", 1), "frames", 0), ==, 25);
  g_assert_cmpint (derush_json_get_int (nth (answer, "clips", 2), "frames", 0), ==, 37);
  g_assert_cmpint (decoded_frames (answer), <=, 200);
}

/* Where the sound has ended already, clips have none, and the others are not harmed. */
static void
a_clip_that_fails_among_others_is_made_alone (void)
{
  g_autofree char *film =
      make ("early.mov", "-f lavfi -i testsrc2=s=160x90:r=25:d=8 -f lavfi -i sine=r=48000:d=3 -c:v libx264 -preset "
                         "ultrafast -pix_fmt yuv420p -c:a pcm_s16le");
  g_autoptr (TestAnswer) answer = run (
      film, "clips",
      "{\"name\":\"e\",\"parts\":[{\"start\":1,\"end\":2},{\"start\":5,\"end\":6},{\"start\":1.4,\"end\":2.4}]}", NULL);

  for (guint i = 0; i < 3; i++) {
    g_assert_cmpint (derush_json_get_int (nth (answer, "clips", i), "frames", 0), ==, 25);
    g_assert_cmpstr (derush_json_get_string (nth (answer, "clips", i), "audioCodec", "none"), ==,
                     i == 1 ? "none" : "MPEG-4 AAC");
  }
  g_assert_nonnull (strstr (answer->warnings->str, "sound is left out"));
}

static void
clips_of_a_turned_film_stand_upright (void)
{
  g_autofree char *plain = make ("walk.mp4", WALK);
  g_autofree char *film = make ("turned.mp4", "-i walk.mp4 -c copy -metadata:s:v rotate=90");
  g_autoptr (TestAnswer) answer =
      run (film, "clips", "{\"name\":\"u\",\"parts\":[{\"start\":1,\"end\":2},{\"start\":1.52,\"end\":3}]}", NULL);

  for (guint i = 0; i < 2; i++) {
    g_assert_cmpint (derush_json_get_int (nth (answer, "clips", i), "width", 0), ==, 360);
    g_assert_cmpint (derush_json_get_int (nth (answer, "clips", i), "height", 0), ==, 640);
  }
  g_assert_nonnull (strstr (answer->warnings->str, "no sound"));
}

/* Frames of which some stand for long, with and without saying so. */
static void
clips_of_a_film_of_variable_rate_are_what_they_are_alone (void)
{
  static const char *const films[] = {"uneven.mkv", "uneven.mp4"};
  static const guint times[][2] = {{20, 500}, {330, 650}, {400, 500}, {430, 480}};

  for (guint i = 0; i < G_N_ELEMENTS (films); i++) {
    g_autofree char *film = make (films[i], "-f lavfi -i testsrc2=s=160x90:r=25:d=8 -vf "
                                            "\"select='not(mod(n,25))+lt(n,40)'\" -fps_mode vfr -c:v libx264 "
                                            "-preset ultrafast -pix_fmt yuv420p");
    g_autofree char *parameters = list_parts ("r", times, 4);
    g_autoptr (TestAnswer) together = run (film, "clips", parameters, NULL);

    for (guint j = 0; j < 4; j++) {
      g_autofree char *one = list_parts ("s", times + j, 1);
      g_autoptr (TestAnswer) alone = run (film, "clips", one, NULL);
      JsonObject *made = nth (together, "clips", j), *same = nth (alone, "clips", 0);

      g_assert_cmpint (derush_json_get_int (made, "frames", -1), ==, derush_json_get_int (same, "frames", 0));
      g_assert_cmpint (derush_json_get_int (made, "frames", -1), >, 0);
      g_assert_cmpfloat (
          fabs (derush_json_get_number (made, "duration", 0) - derush_json_get_number (same, "duration", 0)), <, 0.001);
      /* The last two are one picture, which has to last. */
      if (j >= 2)
        g_assert_cmpfloat (fabs (derush_json_get_number (made, "duration", 0) - (times[j][1] - times[j][0]) / 100.0), <,
                           0.05);
    }
  }
}

static void
clips_can_be_cancelled (void)
{
  g_autofree char *film = make ("large.mp4", "-f lavfi -i testsrc2=s=1280x720:r=25:d=20 -c:v libx264 -preset ultrafast "
                                             "-pix_fmt yuv420p");
  g_autofree char *probe = test_worker_probe (worker, film, directory);
  g_autoptr (TestAnswer) answer = test_worker_run (
      worker, "clips",
      "{\"name\":\"c\",\"quality\":\"ultra\",\"parts\":[{\"start\":1,\"end\":18},{\"start\":2,\"end\":19},{\"start\":3,"
      "\"end\":20}]}",
      probe, film, directory, 2, 60);
  g_autofree char *left = test_shell (directory, "ls c-clip* 2>/dev/null | wc -l");

  g_assert_cmpstr (answer->error_class, ==, "cancelled");
  g_assert_cmpint (atoi (left), ==, 0);
}

static void
shorts_that_overlap_are_decoded_once (void)
{
  g_autofree char *film = make ("counter.mov", COUNTER);
  g_autoptr (TestAnswer) answer =
      run (film, "shorts",
           "{\"name\":\"w\",\"width\":180,\"height\":320,\"platform\":\"TIKTOK\",\"parts\":[{\"start\":3,\"end\":6},"
           "{\"start\":2,\"end\":5},{\"start\":2.52,\"end\":5.52},{\"start\":2.04,\"end\":6}]}",
           NULL);

  for (guint i = 0; i < 4; i++)
    g_assert_cmpint (derush_json_get_int (nth (answer, "shorts", i), "frames", 0), ==, i < 3 ? 75 : 99);
  g_assert_false (answer->falling);
  /* Two seconds at most to the key frame, four that are shown, and a few that are decoded ahead. */
  g_assert_cmpint (decoded_frames (answer), <=, 50 + 100 + 20);
}

/* By a file of the user's alone; of the same name as one of ours, it wins. */
static void
platforms_of_the_user_are_platforms (void)
{
  static const char text[] = "[platform]\nwidth=64\nheight=128\nmax-duration=1.5\n";
  const char *folder = g_getenv ("DERUSH_PLATFORMS_DIR");
  static const char *const files[] = {"my-wall.ini", "snapchat.ini", "torn.ini"};
  static const char *const names[] = {"MY_WALL", "SNAPCHAT"};
  g_autofree char *film =
      make ("own.mp4", "-f lavfi -i testsrc2=s=160x90:r=10:d=3 -c:v libx264 -preset ultrafast -pix_fmt yuv420p");
  g_autoptr (TestAnswer) none = NULL, torn = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = g_build_filename (folder, files[i], NULL);

    g_assert_true (g_file_set_contents (path, i < 2 ? text : "[platform]\nwidth=0\n", -1, NULL));
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *parameters =
        g_strdup_printf ("{\"name\":\"o\",\"platform\":\"%s\",\"parts\":[{\"start\":0,\"end\":2.5}]}", names[i]);
    g_autoptr (TestAnswer) answer = run (film, "shorts", parameters, NULL);

    g_assert_cmpint (derush_json_get_int (nth (answer, "shorts", 0), "width", 0), ==, 64);
    g_assert_cmpint (derush_json_get_int (nth (answer, "shorts", 0), "height", 0), ==, 128);
    g_assert_cmpfloat (fabs (derush_json_get_number (nth (answer, "shorts", 0), "duration", 0) - 1.5), <, 0.11);
  }
  none = test_worker_run (worker, "probe", "{\"platform\":\"MYSPACE\"}", NULL, film, directory, 0, 30);
  g_assert_cmpstr (none->error_class, ==, "bad-input");
  g_assert_nonnull (strstr (none->message, "MYSPACE"));
  g_assert_nonnull (strstr (none->message, "MY_WALL"));
  g_assert_nonnull (strstr (none->message, "TIKTOK"));
  torn = test_worker_run (worker, "probe", "{\"platform\":\"TORN\"}", NULL, film, directory, 0, 30);
  g_assert_nonnull (torn->message);
  g_assert_nonnull (strstr (torn->message, "torn.ini"));
}

/* Sound that begins 1.5 s late: one part has all of it, one a rest and one nothing. */
static void
sound_may_begin_after_the_picture (void)
{
  g_autofree char *plain = make ("counter.mov", COUNTER);
  g_autofree char *film = make ("late.mov", "-i counter.mov -itsoffset 1.5 -i counter.mov -map 0:v -map 1:a -c copy");
  static const int frames[] = {50, 50, 20};

  for (guint i = 0; i < 2; i++) {
    g_autofree char *parameters =
        g_strdup_printf ("{\"name\":\"l\",%s\"parts\":[{\"start\":1,\"end\":3},"
                         "{\"start\":2,\"end\":4},{\"start\":0.2,\"end\":1}]}",
                         i == 0 ? "\"width\":90,\"height\":160,\"platform\":\"TIKTOK\"," : "");
    g_autoptr (TestAnswer) answer = run (film, i == 0 ? "shorts" : "clips", parameters, NULL);

    for (guint k = 0; k < G_N_ELEMENTS (frames); k++) {
      JsonObject *made = nth (answer, i == 0 ? "shorts" : "clips", k);

      g_assert_cmpint (derush_json_get_int (made, "frames", 0), ==, frames[k]);
      g_assert_cmpfloat (fabs (derush_json_get_number (made, "duration", 0) - frames[k] / 25.0), <, 0.05);
      g_assert_cmpstr (derush_json_get_string (made, "audioCodec", "none"), ==, k == 2 ? "none" : "MPEG-4 AAC");
    }
  }
  assert_exact ("l-clip-002.mp4", 50, 50, 2);
}

static void
sound_alone_is_refused_by_the_probe (void)
{
  g_autofree char *sound = make ("sound.m4a", "-f lavfi -i sine=r=48000:d=3 -c:a aac");
  g_autoptr (TestAnswer) answer =
      test_worker_run (worker, "probe", "{\"picture\":true}", NULL, sound, directory, 0, 30);

  g_assert_cmpstr (answer->error_class, ==, "bad-input");
  g_assert_nonnull (strstr (answer->message, "no picture"));
}

static void
what_cannot_be_a_short_is_refused (void)
{
  g_autofree char *sound = make ("sound.m4a", "-f lavfi -i sine=r=48000:d=3 -c:a aac");
  g_autofree char *film =
      make ("tiny.mp4", "-f lavfi -i testsrc2=s=160x90:r=10:d=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p");
  const struct {
    const char *film, *parameters, *said;
  } cases[] = {
      {sound, "{\"parts\":[{\"start\":1,\"end\":2}]}", "no picture"},
      {film, "{\"parts\":[{\"start\":5,\"end\":6}]}", "beyond the end"},
      {film, "{\"parts\":[{\"start\":0,\"end\":1},{\"start\":2.5,\"end\":6}]}", "short 2"},
      {film, "{\"platform\":\"../tiktok\",\"parts\":[{\"start\":0,\"end\":1}]}", "no platform"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (TestAnswer) answer = run (cases[i].film, "shorts", cases[i].parameters, NULL);

    g_assert_null (answer->result);
    g_assert_cmpstr (answer->error_class, ==, "bad-input");
    g_assert_nonnull (strstr (answer->message, cases[i].said));
  }
}

int
main (int argc, char *argv[])
{
  g_autofree char *own_platforms = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  directory = test_directory_new ();
  own_platforms = g_build_filename (directory, "platforms", NULL);
  g_assert_cmpint (g_mkdir (own_platforms, 0700), ==, 0);
  g_setenv ("DERUSH_PLATFORMS_DIR", own_platforms, TRUE);
  worker = test_worker_new ();
  g_test_add_func ("/media/shorts/picture-and-sound-are-cut-exactly", shorts_are_cut_exactly);
  g_test_add_func ("/media/shorts/the-camera-follows-and-says-where-it-was", the_camera_follows_and_says_so);
  g_test_add_func ("/media/shorts/a-turned-film-is-cropped-upright", a_turned_film_is_cropped_upright);
  g_test_add_func ("/media/shorts/platforms-bound-size-and-length", platforms_bound_size_and_length);
  g_test_add_func ("/media/shorts/platforms-hear-one-loudness", platforms_hear_one_loudness);
  g_test_add_func ("/media/shorts/platforms-of-the-user-are-platforms", platforms_of_the_user_are_platforms);
  g_test_add_func ("/media/shorts/sound-may-begin-after-the-picture", sound_may_begin_after_the_picture);
  g_test_add_func ("/media/shorts/sound-alone-is-refused-by-the-probe", sound_alone_is_refused_by_the_probe);
  g_test_add_func ("/media/clips/clips-become-one-film", clips_become_one_film);
  g_test_add_func ("/media/clips/they-take-padding-and-fail-together-only", clips_take_padding_and_fail_together_only);
  g_test_add_func ("/media/clips/those-that-overlap-are-decoded-once", clips_that_overlap_are_decoded_once);
  g_test_add_func ("/media/shorts/those-that-overlap-are-decoded-once", shorts_that_overlap_are_decoded_once);
  g_test_add_func ("/media/clips/many-of-one-moment-are-made-in-few-passes",
                   many_clips_of_one_moment_are_made_in_few_passes);
  g_test_add_func ("/media/clips/gaps-between-them-are-jumped-over", gaps_between_clips_are_jumped_over);
  g_test_add_func ("/media/clips/a-film-that-cannot-be-entered-is-decoded-once",
                   a_film_that_cannot_be_entered_is_decoded_once);
  g_test_add_func ("/media/clips/one-that-fails-among-others-is-made-alone",
                   a_clip_that_fails_among_others_is_made_alone);
  g_test_add_func ("/media/clips/those-of-a-turned-film-stand-upright", clips_of_a_turned_film_stand_upright);
  g_test_add_func ("/media/clips/those-of-a-film-of-variable-rate-are-what-they-are-alone",
                   clips_of_a_film_of_variable_rate_are_what_they_are_alone);
  g_test_add_func ("/media/clips/they-can-be-cancelled", clips_can_be_cancelled);
  g_test_add_func ("/media/shorts/what-cannot-be-a-short-is-refused", what_cannot_be_a_short_is_refused);
  status = g_test_run ();
  test_worker_free (worker);
  test_directory_free (directory);
  return status;
}
