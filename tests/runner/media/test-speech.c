/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "harness.h"
#include "media/silences-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ── Silences ───────────────────────────────────────────────────────────── */

static GArray *
find (const char *drawing, DerushSilences *silences)
{
  gsize n = strlen (drawing);
  g_autofree gint8 *levels = g_new (gint8, n + 1);

  /* `#` speech, `.` a quiet room, `_` nothing at all, `m` music */
  for (gsize i = 0; i < n; i++)
    levels[i] = drawing[i] == '#' ? -18 : drawing[i] == '.' ? -50 : drawing[i] == 'm' ? -20 : -90;
  return derush_silences_find (levels, n, 3, silences);
}

static void
test_silences (void)
{
  static const struct {
    const char *drawing, *silences;
    gboolean quiet;
  } cases[] = {
      {"", "", TRUE},
      {"____", "0-4", TRUE},
      {"####", "", FALSE},
      {"..........", "", FALSE},
      {"mmmmmmmmmm", "", FALSE},
      {"....####....####....", "0-4 8-12 16-20", FALSE},
      {"###..####.......", "9-16", FALSE},
      {"____####____####", "0-4 8-12", FALSE},
      {"mmmm____mmmm", "4-8", FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    DerushSilences silences;
    g_autoptr (GArray) found = find (cases[i].drawing, &silences);
    g_autoptr (GString) text = g_string_new (NULL);

    for (guint k = 0; k < found->len; k++) {
      DerushSilence *silence = &g_array_index (found, DerushSilence, k);

      g_string_append_printf (text, "%s%d-%d", k > 0 ? " " : "", (int)silence->start, (int)silence->end);
    }
    if (strcmp (text->str, cases[i].silences) != 0)
      g_error ("“%s”: “%s” instead of “%s”", cases[i].drawing, text->str, cases[i].silences);
    g_assert_cmpint (silences.quiet, ==, cases[i].quiet);
  }
}

/* ── The worker ─────────────────────────────────────────────────────────── */

typedef struct {
  char *directory, *films;
  TestWorker *worker;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->directory = test_directory_new ();
  fixture->films = test_directory_new ();
  fixture->worker = test_worker_new ();
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  test_worker_free (fixture->worker);
  test_directory_free (fixture->directory);
  test_directory_free (fixture->films);
}

#define shell(...) g_free (test_shell (__VA_ARGS__))

static TestAnswer *
run (Fixture *fixture, const char *file)
{
  g_autofree char *film = g_build_filename (fixture->films, file, NULL);
  g_autofree char *probe = test_worker_probe (fixture->worker, film, fixture->directory);

  return test_worker_run (fixture->worker, "speech-audio", NULL, probe, film, fixture->directory, 0, 30);
}

/* When the sound first reaches half of its peak after @from, in seconds. */
static double
onset (Fixture *fixture, double from)
{
  g_autofree char *path = g_build_filename (fixture->directory, "speech.wav", NULL), *contents = NULL;
  gsize length, n;
  const gint16 *samples;

  g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
  g_assert_cmpmem (contents, 4, "RIFF", 4);
  g_assert_cmpmem (contents + 36, 4, "data", 4);
  samples = (const gint16 *)(gconstpointer)(contents + 44);
  n = (length - 44) / 2;
  for (gsize i = (gsize)(from * 16000); i < n; i++)
    if (ABS (samples[i]) > 2000)
      return (double)i / 16000;
  return -1;
}

static void
test_times (Fixture *fixture, gconstpointer data)
{
  /* Transport streams begin at a time of their own, and Matroska at any. */
  static const struct {
    const char *file, *codec;
  } cases[] = {{"film.mkv", "flac"}, {"film.ts", "mp2 -b:a 192k"}, {"late.mkv", "flac -output_ts_offset 10"}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (TestAnswer) answer = NULL;
    g_autoptr (JsonObject) json = NULL;
    g_autofree char *path = g_build_filename (fixture->directory, "speech.json", NULL), *text = NULL;
    JsonArray *levels;

    /* Tones at 1 s and 3 s; the sound of the film begins 0.7 s after its picture. */
    g_test_message ("%s", cases[i].file);
    shell (fixture->films,
           "ffmpeg -v error -f lavfi -i testsrc=d=6:s=160x90:r=25 -itsoffset 0.7 -f lavfi -i "
           "\"aevalsrc='0.5*sin(2*PI*440*t)*(between(t,1,1.5)+between(t,3,3.5))':s=44100:c=stereo:d=4\" "
           "-map 0:v -map 1:a -c:v libx264 -preset ultrafast -c:a %s %s",
           cases[i].codec, cases[i].file);
    answer = run (fixture, cases[i].file);
    if (!answer->result)
      g_error ("%s", answer->message);
    g_assert_cmpstr (derush_json_get_string (answer->result, "file", NULL), ==, "speech.wav");
    g_assert_cmpfloat_with_epsilon (onset (fixture, 0), 1.7, 0.03);
    g_assert_cmpfloat_with_epsilon (onset (fixture, 2.5), 3.7, 0.03);
    g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
    json = derush_json_parse_object (text, -1, NULL);
    g_assert_nonnull (json);
    levels = derush_json_get_array (json, "levels");
    g_assert_cmpint (json_array_get_int_element (levels, 10), ==, -90);
    g_assert_cmpint (json_array_get_int_element (levels, 38), >, -20);
    g_assert_cmpuint (json_array_get_length (derush_json_get_array (json, "silences")), ==, 3);
  }
}

static void
test_without_sound (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *file, *sound, *said;
  } cases[] = {{"mute.mp4", "-an", "no sound"},
               {"silent.mp4", "-f lavfi -i anullsrc=r=48000:cl=stereo -shortest -c:a aac", "is silent"}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (TestAnswer) answer = NULL;

    shell (fixture->films, "ffmpeg -v error -f lavfi -i testsrc=d=2:s=160x90:r=25 %s -c:v libx264 -preset ultrafast %s",
           cases[i].sound, cases[i].file);
    answer = run (fixture, cases[i].file);
    g_assert_nonnull (answer->result);
    g_assert_false (json_object_has_member (answer->result, "file"));
    g_assert_nonnull (strstr (answer->warnings->str, cases[i].said));
  }
}

/* The level in dBFS @at seconds. */
static int
level_at (Fixture *fixture, double at)
{
  g_autofree char *path = g_build_filename (fixture->directory, "speech.json", NULL), *text = NULL;
  g_autoptr (JsonObject) json = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  json = derush_json_parse_object (text, -1, NULL);
  g_assert_nonnull (json);
  return (int)json_array_get_int_element (derush_json_get_array (json, "levels"), (guint)(at * 20));
}

/* Tones at 1 s and 3 s, as the words of a film. */
#define WORDS "0.5*sin(2*PI*440*t)*(between(t\\,1\\,1.5)+between(t\\,3\\,3.5))"
#define MUSIC "0.1*sin(2*PI*330*t)"

static void
test_channels (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *file, *expressions, *layout;
    int pause; /* dBFS between the words, at most */
  } cases[] = {
      {"one-side.wav", WORDS "|0", "stereo", -60},
      {"inverted.wav", WORDS "|-" WORDS, "stereo", -60},
      {"stereo.wav", WORDS "+" MUSIC "|" WORDS "-" MUSIC, "stereo", -60},
      {"centre.wav", MUSIC "|" MUSIC "|" WORDS "|0|" MUSIC "|" MUSIC, "5.1", -60},
      {"no-centre.wav", WORDS "|" WORDS "|0|0|0|0", "5.1", -60},
      {"offset.wav", "0.3+" WORDS, "mono", -50},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (TestAnswer) answer = NULL;

    g_test_message ("%s", cases[i].file);
    shell (fixture->films, "ffmpeg -v error -f lavfi -i \"aevalsrc=%s:s=44100:c=%s:d=4\" %s", cases[i].expressions,
           cases[i].layout, cases[i].file);
    answer = run (fixture, cases[i].file);
    if (!answer->result)
      g_error ("%s: %s", cases[i].file, answer->message);
    g_assert_cmpstr (answer->warnings->str, ==, "");
    g_assert_cmpint (level_at (fixture, 1.25), >, -25);
    g_assert_cmpint (level_at (fixture, 3.25), >, -25);
    g_assert_cmpint (level_at (fixture, 2.25), <=, cases[i].pause);
  }
}

/* One channel of 8 or 24 bits and an odd number of samples: a byte fills up the chunk, and others may follow. */
static void
test_odd_wav (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *file, *codec;
    const char *tail;
  } cases[] = {{"odd8.wav", "pcm_u8", ""},
               {"odd24.wav", "pcm_s24le", ""},
               {"tail.wav", "pcm_u8", "LIST\\004\\000\\000\\000INFO"},
               {"half-a-chunk.wav", "pcm_s16le", "LIST\\377\\000\\000\\000INFO"}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (TestAnswer) answer = NULL;

    g_test_message ("%s", cases[i].file);
    shell (fixture->films,
           "ffmpeg -v error -f lavfi -i \"aevalsrc=" WORDS ":s=11025:d=4\" -af atrim=end_sample=44099 -c:a %s "
           "-fflags +bitexact %s && printf '%s' >> %s",
           cases[i].codec, cases[i].file, cases[i].tail, cases[i].file);
    answer = run (fixture, cases[i].file);
    if (!answer->result)
      g_error ("%s: %s", cases[i].file, answer->message);
    g_assert_cmpfloat_with_epsilon (onset (fixture, 0), 1, 0.02);
    g_assert_cmpfloat_with_epsilon (onset (fixture, 2.5), 3, 0.02);
    g_assert_cmpfloat_with_epsilon (derush_json_get_number (answer->result, "duration", 0), 4, 0.02);
  }
}

/* A transcript of half a film must not look like that of the whole. */
static void
test_cut_off (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *file, *options;
  } cases[] = {{"film.mp4", "-c:a aac -movflags +faststart"}, {"film.mkv", "-c:a aac"}, {"film.wav", "-vn"}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (guint cut = 0; cut < 2; cut++) {
      g_autoptr (TestAnswer) answer = NULL;

      g_test_message ("%s, %s", cases[i].file, cut ? "cut off" : "whole");
      if (cut)
        shell (fixture->films, "truncate -s $(($(stat -c %%s %s) * 7 / 10)) %s", cases[i].file, cases[i].file);
      else
        shell (fixture->films,
               "ffmpeg -v error -f lavfi -i testsrc=d=6:s=160x90:r=25 -f lavfi -i sine=d=6 -c:v libx264 -preset "
               "ultrafast %s %s",
               cases[i].options, cases[i].file);
      answer = run (fixture, cases[i].file);
      if (!answer->result)
        g_error ("%s: %s", cases[i].file, answer->message);
      g_assert_cmpint (strstr (answer->warnings->str, "is cut off") != NULL, ==, cut);
    }
}

/* The pictures of an H.264 film stay as and where they are, and its sound with them, whatever it is in: Matroska does not say
 * when pictures are decoded, and an edit list may begin within a group of them. */
static void
test_voice_in_film (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *file, *make;
    gboolean copied;
    double beep;
  } cases[] = {{"film.mp4", "", TRUE, 1},
               {"film.mkv", "ffmpeg -v error -i film.mp4 -c copy film.mkv", TRUE, 1.021},
               {"film.ts", "ffmpeg -v error -i film.mp4 -c copy film.ts", TRUE, 1},
               {"film.avi", "ffmpeg -v error -i film.mp4 -c:v copy -c:a mp2 film.avi", FALSE, 1},
               {"cut.mp4", "ffmpeg -v error -ss 1.2 -i film.mp4 -c copy cut.mp4", FALSE, 0.8}};
  static const char listing[] = "ffprobe -v error -select_streams v -show_entries frame=pts_time -of csv=p=0 %s | "
                                "awk -F, '$1!=\"\"{if(!n++)f=$1; l=$1} END {printf \"%%d %%.2f\", n, l-f}'";

  /* A beep every second, and a voice that says nothing. */
  shell (fixture->films, "ffmpeg -v error -f lavfi -i testsrc2=d=4:s=160x90:r=25 -f lavfi -i "
                         "\"aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.05)*gt(t,0.5)':s=48000:c=stereo:d=4\" "
                         "-c:v libx264 -preset veryfast -bf 3 -g 100 -c:a aac -b:a 192k film.mp4");
  shell (fixture->directory, "ffmpeg -v error -f lavfi -i anullsrc=r=16000:cl=mono -t 1 -c:a pcm_s16le voice.wav");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (TestAnswer) answer = NULL;
    g_autofree char *film = g_build_filename (fixture->films, cases[i].file, NULL), *probe = NULL, *results = NULL;
    g_autofree char *before = NULL, *after = NULL, *beep = NULL;

    g_test_message ("%s", cases[i].file);
    shell (fixture->films, "true %s%s", *cases[i].make ? "&& " : "", cases[i].make);
    probe = test_worker_probe (fixture->worker, film, fixture->directory);
    results =
        g_strdup_printf ("%.*s,\"speak\":{\"file\":\"voice.wav\",\"duration\":1}}", (int)strlen (probe) - 1, probe);
    answer =
        test_worker_run (fixture->worker, "voice-mix", "{\"name\":\"mix\"}", results, film, fixture->directory, 0, 60);
    if (!answer->result)
      g_error ("%s: %s", cases[i].file, answer->message);
    g_assert_cmpint (derush_json_get_boolean (answer->result, "pictureCopied", FALSE), ==, cases[i].copied);
    after = test_shell (fixture->directory, listing, "mix.mp4");
    if (cases[i].copied) {
      before = test_shell (fixture->films, listing, cases[i].file);
      g_assert_cmpint (atoi (after), ==, atoi (before));
      g_assert_cmpfloat_with_epsilon (g_ascii_strtod (strchr (after, ' '), NULL),
                                      g_ascii_strtod (strchr (before, ' '), NULL), 0.03);
    } else {
      g_assert_cmpint (atoi (after), >=, 69);
    }
    beep = test_shell (fixture->directory, "ffmpeg -i mix.mp4 -af silencedetect=n=-20dB:d=0.2 -f null - 2>&1 | "
                                           "sed -n 's/.*silence_end: \\([0-9.]*\\).*/\\1/p' | head -1");
    g_assert_cmpfloat_with_epsilon (g_ascii_strtod (beep, NULL), cases[i].beep, 0.012);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/media/silences/are-what-lies-well-below-the-words", test_silences);
  g_test_add ("/media/speech/has-the-times-of-the-film", Fixture, NULL, set_up, test_times, tear_down);
  g_test_add ("/media/speech/a-film-without-sound-has-none-which-is-no-fault", Fixture, NULL, set_up,
              test_without_sound, tear_down);
  g_test_add ("/media/speech/is-what-is-said-whatever-channels-it-is-in", Fixture, NULL, set_up, test_channels,
              tear_down);
  g_test_add ("/media/speech/is-read-from-files-with-an-odd-number-of-bytes", Fixture, NULL, set_up, test_odd_wav,
              tear_down);
  g_test_add ("/media/speech/of-a-file-that-is-cut-off-is-told-to-be", Fixture, NULL, set_up, test_cut_off, tear_down);
  g_test_add ("/media/voice/leaves-the-pictures-of-a-film-where-they-are", Fixture, NULL, set_up, test_voice_in_film,
              tear_down);
  return g_test_run ();
}
