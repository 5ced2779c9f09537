/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What models are shown of films, and what becomes of the pictures that they make. */

#include "harness.h"

#include <string.h>

#define FFMPEG "ffmpeg -v error -nostdin -y "
#define ENCODE " -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac "

static char *directory;
static TestWorker *worker;

static char *
make (const char *name, const char *arguments)
{
  g_autofree char *said = test_shell (directory, FFMPEG "%s %s", arguments, name);

  return g_build_filename (directory, name, NULL);
}

/* Of a film that is probed and analysed first. */
static TestAnswer *
take_frames (const char *source, const char *parameters)
{
  g_autofree char *results = test_worker_probe (worker, source, directory), *both = NULL;
  g_autoptr (TestAnswer) analysis = test_worker_run (worker, "analyse", "{}", results, source, directory, 0, 60);
  g_autoptr (JsonObject) all = derush_json_parse_object (results, -1, NULL);

  g_assert_cmpstr (analysis->message, ==, NULL);
  json_object_set_object_member (all, "analyse", json_object_ref (analysis->result));
  both = derush_json_object_to_string (all);
  return test_worker_run (worker, "frames", parameters, both, source, directory, 0, 60);
}

static void
test_shots (void)
{
  g_autofree char *film = make (
      "three.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i smptebars=s=320x180:r=25:d=2 -f lavfi -i "
                   "mandelbrot=s=320x180:r=25 -f lavfi -i \"aevalsrc='if(lt(t,3),0.4*sin(2*PI*440*t),0)':d=6\" "
                   "-filter_complex '[2]trim=duration=2,setpts=PTS-STARTPTS[m];[0][1][m]concat=n=3' -map 3:a" ENCODE);
  g_autoptr (TestAnswer) answer = take_frames (film, "{\"count\":3,\"size\":200}");
  JsonObject *signals = derush_json_get_object (answer->result, "signals"), *silence;
  JsonArray *frames = derush_json_get_array (answer->result, "frames"),
            *silences = derush_json_get_array (signals, "silences");
  double before = -1;
  guint shots = 0;

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_cmpuint (json_array_get_length (frames), ==, 3);
  for (guint i = 0; i < 3; i++) {
    JsonObject *frame = json_array_get_object_element (frames, i);
    g_autofree char *size = test_shell (directory, "ffprobe -v error -show_entries stream=width,height -of csv=p=0 %s",
                                        derush_json_get_string (frame, "file", ""));

    g_assert_cmpfloat (derush_json_get_number (frame, "time", -1), >, before);
    before = derush_json_get_number (frame, "time", -1);
    g_assert_cmpfloat (before, <, 6);
    shots |= 1u << derush_json_get_int (frame, "shot", 9);
    /* Of whole blocks, in the shape of the film: what lies beyond a line is no part of the file. */
    g_assert_true (g_str_has_prefix (size, "192,108"));
    g_assert_cmpuint (json_array_get_length (derush_json_get_array (frame, "colours")), >, 0);
  }
  g_assert_cmphex (shots, ==, 7);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (signals, "shots")), ==, 3);
  g_assert_cmpuint (json_array_get_length (silences), ==, 1);
  silence = json_array_get_object_element (silences, 0);
  g_assert_cmpfloat_with_epsilon (derush_json_get_number (silence, "start", 0), 3, 0.6);
  g_assert_cmpfloat_with_epsilon (derush_json_get_number (silence, "end", 0), 6, 0.2);
  g_assert_cmpfloat (derush_json_get_number (derush_json_get_object (signals, "audio"), "loudness", 0), <, -5);
}

static void
test_colours (void)
{
  g_autofree char *film = make ("red.mp4", "-f lavfi -i color=0xC01020:s=160x90:r=10:d=2" ENCODE);
  g_autoptr (TestAnswer) answer = take_frames (film, "{\"count\":5}");
  JsonArray *frames = derush_json_get_array (answer->result, "frames");
  const char *colour;

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_cmpuint (json_array_get_length (frames), >=, 1);
  colour =
      json_array_get_string_element (derush_json_get_array (json_array_get_object_element (frames, 0), "colours"), 0);
  g_assert_true (colour[0] == '#' && (colour[1] == 'b' || colour[1] == 'c') && (colour[3] == '0' || colour[3] == '1') &&
                 (colour[5] == '1' || colour[5] == '2'));
  g_assert_false (json_object_has_member (derush_json_get_object (answer->result, "signals"), "audio"));
}

static void
test_sound_alone (void)
{
  g_autofree char *sound = make ("tone.wav", "-f lavfi -i sine=d=2");
  g_autoptr (TestAnswer) answer = take_frames (sound, "{\"count\":5}");
  JsonObject *signals = derush_json_get_object (answer->result, "signals");

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (answer->result, "frames")), ==, 0);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (signals, "shots")), ==, 0);
  g_assert_nonnull (derush_json_get_object (signals, "audio"));
}

static void
test_picture (void)
{
  g_autofree char *picture = make ("source.png", "-f lavfi -i testsrc2=s=320x180 -frames:v 1");
  g_autofree char *sound = make ("sound.png", "-f lavfi -i sine=d=1 -f wav");
  g_autoptr (TestAnswer) answer = test_worker_run (worker, "frames", "{\"count\":1,\"size\":1280,\"picture\":true}",
                                                   "{}", picture, directory, 0, 60);
  g_autoptr (TestAnswer) none =
      test_worker_run (worker, "frames", "{\"count\":1,\"size\":1280,\"picture\":true}", "{}", sound, directory, 0, 60);

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_cmpuint (json_array_get_length (derush_json_get_array (answer->result, "frames")), ==, 1);
  g_assert_cmpstr (none->error_class, ==, "bad-input");
}

static void
test_made_pictures (void)
{
  g_autofree char *square = make ("image-1.png", "-f lavfi -i testsrc2=s=256x256 -frames:v 1");
  g_autofree char *jpeg = make ("image-2.jpg", "-f lavfi -i testsrc2=s=640x360 -frames:v 1");
  g_autofree char *damaged = g_build_filename (directory, "image-3.png", NULL);
  g_autoptr (TestAnswer) answer = NULL, none = NULL;
  JsonArray *images;

  g_assert_true (g_file_set_contents (damaged, "\x89PNG\r\n\x1a\n not a picture", -1, NULL));
  answer = test_worker_run (worker, "pictures", "{\"width\":320,\"height\":180,\"format\":\"png\",\"name\":\"mine\"}",
                            "{\"image\":{\"images\":[{\"file\":\"image-1.png\"},{\"file\":\"image-2.jpg\"},"
                            "{\"file\":\"image-3.png\"},{\"file\":\"../passwd\"}]}}",
                            NULL, directory, 0, 60);
  g_assert_cmpstr (answer->message, ==, NULL);
  images = derush_json_get_array (answer->result, "images");
  g_assert_cmpuint (json_array_get_length (images), ==, 2);
  for (guint i = 0; i < 2; i++) {
    const char *file = derush_json_get_string (json_array_get_object_element (images, i), "file", "");
    g_autofree char *size =
        test_shell (directory, "ffprobe -v error -show_entries stream=codec_name,width,height -of csv=p=0 %s", file);

    g_assert_cmpstr (g_strstrip (size), ==, "png,320,180");
  }
  g_assert_nonnull (strstr (answer->warnings->str, "Picture 3 "));
  g_assert_nonnull (strstr (answer->warnings->str, "Picture 4 "));
  none = test_worker_run (worker, "pictures", "{\"width\":320,\"height\":180,\"format\":\"png\",\"name\":\"mine\"}",
                          "{\"image\":{\"images\":[{\"file\":\"image-3.png\"}]}}", NULL, directory, 0, 60);
  g_assert_cmpstr (none->error_class, ==, "model");
}

int
main (int argc, char *argv[])
{
  int status;

  g_test_init (&argc, &argv, NULL);
  directory = test_directory_new ();
  worker = test_worker_new ();
  g_test_add_func ("/media/frames/one-of-each-shot-with-what-is-measured", test_shots);
  g_test_add_func ("/media/frames/their-colours-and-no-sound-where-there-is-none", test_colours);
  g_test_add_func ("/media/frames/sound-alone-has-none", test_sound_alone);
  g_test_add_func ("/media/frames/a-picture-is-its-own", test_picture);
  g_test_add_func ("/media/pictures/are-decoded-and-brought-to-size-and-damaged-ones-said", test_made_pictures);
  status = g_test_run ();
  test_worker_free (worker);
  test_directory_free (directory);
  return status;
}
