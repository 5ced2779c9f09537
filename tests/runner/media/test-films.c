/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define FFMPEG "ffmpeg -v error -nostdin -y "
#define X264 " -c:v libx264 -preset ultrafast -pix_fmt yuv420p "
/* Four colours that tell every rotation and flip from the others. */
#define QUARTERS                                                                                                       \
  "-f lavfi -i \"color=red:s=320x180:r=25:d=0.4,drawbox=x=160:w=160:h=90:c=green:t=fill,"                              \
  "drawbox=y=90:w=160:h=90:c=blue:t=fill,drawbox=x=160:y=90:w=160:h=90:c=yellow:t=fill\""

static char *directory;
static TestWorker *worker;

static char *
make (const char *name, const char *arguments)
{
  g_autofree char *said = test_shell (directory, FFMPEG "%s %s", arguments, name);

  return g_build_filename (directory, name, NULL);
}

static char *
write_file (const char *name, const void *contents, gssize length)
{
  char *path = g_build_filename (directory, name, NULL);

  g_assert_true (g_file_set_contents (path, contents, length, NULL));
  return path;
}

static TestAnswer *
probe (const char *source)
{
  return test_worker_run (worker, "probe", NULL, NULL, source, directory, 0, 30);
}

/* Transcodes to out.mp4. */
static TestAnswer *
transcode (const char *source, const char *parameters)
{
  g_autofree char *results = test_worker_probe (worker, source, directory);
  g_autofree char *all =
      g_strdup_printf ("{\"name\":\"out.mp4\"%s%s}", parameters ? "," : "", parameters ? parameters : "");
  TestAnswer *answer = test_worker_run (worker, "transcode", all, results, source, directory, 0, 60);

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_nonnull (answer->result);
  g_assert_false (answer->falling);
  return answer;
}

static double
ffprobe (const char *file, const char *stream, const char *entry)
{
  g_autofree char *text = test_shell (
      directory, "ffprobe -v error -count_frames -select_streams %s -show_entries stream=%s -of csv=p=0 %s | head -n1",
      stream, entry, file);

  return *g_strstrip (text) ? g_ascii_strtod (text, NULL) : -1;
}

/* The first picture, as 8 × 8 RGB by ffmpeg, which turns films upright by itself. */
static void
look (const char *file, const char *filter, guint8 pixels[192])
{
  g_autofree char *path = g_build_filename (directory, "picture.rgb", NULL);
  g_autofree char *said = test_shell (
      directory, FFMPEG "-i %s -frames:v 1 -vf \"%s%sscale=8:8:flags=area,format=rgb24\" -f rawvideo picture.rgb", file,
      filter, *filter ? "," : "");
  g_autofree char *contents = NULL;
  gsize length;

  g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
  g_assert_cmpuint (length, ==, 192);
  memcpy (pixels, contents, 192);
}

static void
assert_same_picture (const char *a, const char *filter, const char *b)
{
  guint8 first[192], second[192];
  int sum = 0;

  look (a, filter, first);
  look (b, "", second);
  for (guint i = 0; i < 192; i++)
    sum += ABS ((int)first[i] - (int)second[i]);
  /* A swapped quarter alone makes 20 and more. */
  g_assert_cmpint (sum / 192, <, 8);
}

/* ── Probing ────────────────────────────────────────────────────────────── */

static void
a_plain_film_is_described (void)
{
  g_autofree char *film = make ("plain.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i sine=r=44100:d=2" X264
                                             "-c:a aac -metadata title=Probe -metadata:s:a:0 language=fra");
  g_autoptr (TestAnswer) answer = probe (film);
  JsonObject *video, *audio;

  g_assert_nonnull (answer->result);
  video = derush_json_get_object (answer->result, "video");
  audio = derush_json_get_object (answer->result, "audio");
  g_assert_cmpstr (derush_json_get_string (answer->result, "container", ""), ==, "video/quicktime");
  g_assert_cmpfloat (fabs (derush_json_get_number (answer->result, "duration", 0) - 2), <, 0.05);
  g_assert_true (derush_json_get_boolean (answer->result, "seekable", FALSE));
  g_assert_cmpstr (derush_json_get_string (video, "codec", ""), ==, "H.264");
  g_assert_cmpint (derush_json_get_int (video, "width", 0), ==, 320);
  g_assert_cmpint (derush_json_get_int (video, "displayHeight", 0), ==, 180);
  g_assert_cmpfloat (derush_json_get_number (video, "fps", 0), ==, 25);
  g_assert_cmpint (derush_json_get_int (audio, "rate", 0), ==, 44100);
  g_assert_cmpint (derush_json_get_int (audio, "channels", 0), ==, 1);
  g_assert_cmpstr (derush_json_get_string (audio, "language", ""), ==, "fr");
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (answer->result, "tags"), "title", ""), ==, "Probe");
}

static void
rotation_and_pixel_aspect_are_described (void)
{
  g_autofree char *plain = make ("upright.mp4", "-f lavfi -i testsrc2=s=720x576:r=25:d=0.4 -vf setsar=16/11" X264);
  g_autofree char *film = make ("turned.mp4", "-i upright.mp4 -c copy -metadata:s:v rotate=90");
  g_autoptr (TestAnswer) answer = probe (film);
  JsonObject *video = derush_json_get_object (answer->result, "video");

  g_assert_cmpint (derush_json_get_int (video, "width", 0), ==, 720);
  /* Clockwise; ffmpeg counts the other way round. */
  g_assert_cmpint (derush_json_get_int (video, "rotation", 0), ==, 270);
  g_assert_cmpint (derush_json_get_int (video, "displayWidth", 0), ==, 576);
  g_assert_cmpint (derush_json_get_int (video, "displayHeight", 0), ==, 1047);
}

static void
limits_are_kept (void)
{
  static const char *const limits[] = {"\"maxPixels\":1000", "\"maxBytes\":100", "\"maxDuration\":0.5",
                                       "\"maxStreams\":1"};
  g_autofree char *film =
      make ("limits.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -f lavfi -i sine=d=1" X264 "-c:a aac");

  for (guint i = 0; i < G_N_ELEMENTS (limits); i++) {
    g_autofree char *parameters = g_strdup_printf ("{\"limits\":{%s}}", limits[i]);
    g_autoptr (TestAnswer) answer = test_worker_run (worker, "probe", parameters, NULL, film, directory, 0, 30);

    g_assert_cmpstr (answer->error_class, ==, "bad-input");
    g_assert_nonnull (strstr (answer->message, "at most"));
  }
}

/* ── What is refused ────────────────────────────────────────────────────── */

static int
listen_on_loopback (guint16 *port)
{
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t length = sizeof address;

  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 8), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&address, &length), ==, 0);
  *port = ntohs (address.sin_port);
  return fd;
}

static void
assert_refused (const char *source, const char *mentions)
{
  g_autoptr (TestAnswer) answer = probe (source);

  g_assert_false (answer->died);
  g_assert_false (answer->hung);
  g_assert_cmpstr (answer->error_class, ==, "bad-input");
  g_assert_nonnull (strstr (answer->message, mentions));
  g_assert_nonnull (strstr (answer->message, source));
}

/* That it is read as a whole cannot be promised. */
static void
sound_that_cannot_be_read_is_told (void)
{
  static const struct {
    const char *name, *sound;
    gboolean told;
  } cases[] = {{"lpcm.mov", "-ar 96000 -c:a pcm_s24le", TRUE},
               {"alac.mov", "-ar 96000 -c:a alac", FALSE},
               {"sowt.mov", "-ar 48000 -c:a pcm_s16le", FALSE},
               {"high.mkv", "-ar 96000 -c:a pcm_s24le", FALSE}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *arguments =
        g_strconcat ("-f lavfi -i testsrc2=s=160x90:r=25:d=1 -f lavfi -i sine=d=1" X264, cases[i].sound, NULL);
    g_autofree char *film = make (cases[i].name, arguments);
    g_autoptr (TestAnswer) answer = test_worker_run (worker, "probe", NULL, NULL, film, directory, 0, 30);

    g_assert_cmpstr (answer->message, ==, NULL);
    g_assert_cmpint (strstr (answer->warnings->str, "96000 Hz") != NULL, ==, cases[i].told);
  }
}

static void
playlists_are_not_followed (void)
{
  guint16 port;
  int listener = listen_on_loopback (&port);
  g_autofree char *hls =
      g_strdup_printf ("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:///etc/passwd\n#EXTINF:4,\n"
                       "http://127.0.0.1:%d/x.ts\n",
                       port);
  g_autofree char *dash = g_strdup_printf (
      "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
      "mediaPresentationDuration=\"PT4S\" profiles=\"urn:mpeg:dash:profile:isoff-main:2011\"><BaseURL>http://127.0.0.1:%d/"
      "</BaseURL><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\" width=\"320\" "
      "height=\"180\" codecs=\"avc1.42c01e\"><BaseURL>x.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>\n",
      port);
  g_autofree char *sdp =
      g_strdup_printf ("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video %d RTP/AVP "
                       "96\na=rtpmap:96 H264/90000\n",
                       port);
  g_autofree char *uris = g_strdup_printf ("http://127.0.0.1:%d/x.mp4\n", port);
  g_autofree char *hls_file = write_file ("hls.mp4", hls, -1);
  g_autofree char *dash_file = write_file ("dash.mp4", dash, -1);
  g_autofree char *sdp_file = write_file ("sdp.mp4", sdp, -1);
  g_autofree char *uri_file = write_file ("uris.mp4", uris, -1);
  g_autofree char *concat_file = write_file ("concat.mp4", "ffconcat version 1.0\nfile '/etc/passwd'\n", -1);

  assert_refused (hls_file, "playlist");
  assert_refused (dash_file, "playlist");
  assert_refused (sdp_file, "playlist");
  assert_refused (uri_file, "");
  assert_refused (concat_file, "");
  g_assert_cmpint (accept4 (listener, NULL, NULL, SOCK_CLOEXEC), ==, -1);
  g_assert_cmpint (errno, ==, EAGAIN);
  close (listener);
}

static void
what_is_no_film_is_refused (void)
{
  g_autofree char *noise = g_malloc (65536);
  g_autofree char *zeros = g_malloc0 (65536);
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  g_autofree char *empty = write_file ("empty.mp4", "", 0);
  g_autofree char *text = write_file ("text.mp4", "not a film\n", -1);
  g_autofree char *film = make ("whole.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=1" X264);
  g_autofree char *said = test_shell (directory, "head -c 8000 whole.mp4 > headless.mp4");
  g_autofree char *headless = g_build_filename (directory, "headless.mp4", NULL);
  g_autofree char *noise_file = NULL;
  g_autofree char *zero_file = NULL;

  for (guint i = 0; i < 65536; i++)
    noise[i] = (char)g_rand_int (random);
  noise_file = write_file ("noise.mp4", noise, 65536);
  zero_file = write_file ("zeros.mp4", zeros, 65536);
  assert_refused (empty, "empty");
  assert_refused (text, "no film");
  assert_refused (noise_file, "");
  assert_refused (zero_file, "no film");
  assert_refused (headless, "");
  assert_refused (directory, "no file");
}

/* 16000 × 16000 grey in 32 KiB: a quarter of a gigabyte once decoded. */
static char *
write_huge_png (void)
{
  static const guint8 header[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0>\x80\0\0>\x80\1\0\0\0\0";
  g_autoptr (GZlibCompressor) compressor = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_ZLIB, 9);
  g_autoptr (GOutputStream) memory = g_memory_output_stream_new_resizable ();
  g_autoptr (GOutputStream) stream = g_converter_output_stream_new (memory, G_CONVERTER (compressor));
  g_autoptr (GByteArray) png = g_byte_array_new ();
  guint8 row[2001] = {0};
  guint32 length;

  for (guint i = 0; i < 16000; i++)
    g_assert_true (g_output_stream_write_all (stream, row, sizeof row, NULL, NULL, NULL));
  g_assert_true (g_output_stream_close (stream, NULL, NULL));
  length = GUINT32_TO_BE ((guint32)g_memory_output_stream_get_data_size (G_MEMORY_OUTPUT_STREAM (memory)));
  g_byte_array_append (png, header, sizeof header - 1);
  g_byte_array_append (png, (const guint8 *)"\0\0\0\0", 4);
  g_byte_array_append (png, (const guint8 *)&length, 4);
  g_byte_array_append (png, (const guint8 *)"IDAT", 4);
  g_byte_array_append (png, g_memory_output_stream_get_data (G_MEMORY_OUTPUT_STREAM (memory)),
                       GUINT32_FROM_BE (length));
  g_byte_array_append (png, (const guint8 *)"\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82", 16);
  return write_file ("huge.png", png->data, png->len);
}

static void
a_huge_picture_is_refused_before_it_is_decoded (void)
{
  static const guint8 jpeg[] =
      "\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xc0\0\x0b\x08>\x80>\x80\1\1\x11\0\xff\xda\0"
      "\x08\1\1\0\0?\0\0";
  g_autoptr (TestWorker) fresh = test_worker_new ();
  g_autofree char *png = write_huge_png ();
  g_autofree char *jpeg_file = write_file ("huge.jpg", jpeg, sizeof jpeg);
  const char *files[] = {png, jpeg_file};

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (TestAnswer) answer = test_worker_run (fresh, "probe", NULL, NULL, files[i], directory, 0, 30);

    g_assert_cmpstr (answer->error_class, ==, "bad-input");
    g_assert_nonnull (strstr (answer->message, "picture"));
  }
  g_assert_cmpint (test_worker_get_peak (fresh), <, 200);
}

static void
sound_alone_is_no_film_to_transcode (void)
{
  g_autofree char *film = make ("sound.m4a", "-f lavfi -i sine=d=1 -c:a aac");
  g_autofree char *results = test_worker_probe (worker, film, directory);
  g_autoptr (TestAnswer) answer =
      test_worker_run (worker, "transcode", "{\"name\":\"out.mp4\"}", results, film, directory, 0, 30);

  g_assert_cmpstr (answer->error_class, ==, "bad-input");
  g_assert_nonnull (strstr (answer->message, "no picture"));
}

static void
file_names_cannot_leave_the_folder (void)
{
  static const char *const names[] = {"../out.mp4", "/tmp/out.mp4", "", ".", ".."};
  g_autofree char *film = make ("names.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=0.4" X264);
  g_autofree char *results = test_worker_probe (worker, film, directory);

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *parameters = g_strdup_printf ("{\"name\":\"%s\"}", names[i]);
    g_autoptr (TestAnswer) answer = test_worker_run (worker, "transcode", parameters, results, film, directory, 0, 30);

    g_assert_cmpstr (answer->error_class, ==, "bad-input");
  }
}

/* ── Transcoding ────────────────────────────────────────────────────────── */

static const struct {
  const char *name;
  const char *arguments;
  const char *parameters;
  int width, height;
  const char *filter; /* makes of the source, by ffmpeg, what the result should look like */
} pictures[] = {
    {"as-it-is.mp4", QUARTERS X264, NULL, 320, 180, ""},
    {"odd.mp4", QUARTERS " -vf scale=321:179,setsar=1 -c:v libx264 -preset ultrafast -pix_fmt yuv444p", NULL, 320, 178,
     ""},
    {"rgb.mkv", QUARTERS " -c:v ffv1 -pix_fmt bgra", NULL, 320, 180, ""},
    {"full-range.mkv", QUARTERS " -c:v mjpeg -q:v 2 -pix_fmt yuvj420p", NULL, 320, 180, ""},
    {"ten-bits.mkv", QUARTERS " -c:v libx265 -x265-params log-level=error -preset ultrafast -pix_fmt yuv422p10le", NULL,
     320, 180, ""},
    {"wide-pixels.mp4", QUARTERS " -vf setsar=2/1" X264, NULL, 640, 180, ""},
    {"smaller.mp4", QUARTERS X264, "\"height\":90", 160, 90, ""},
    {"not-enlarged.mp4", QUARTERS X264, "\"height\":720", 320, 180, ""},
    {"enlarged.mp4", QUARTERS X264, "\"width\":640,\"height\":360", 640, 360, ""},
    {"upright-cut.mp4", QUARTERS X264, "\"aspectRatio\":\"9:16\"", 102, 180, "crop=101:180"},
    {"square.mp4", QUARTERS X264, "\"aspectRatio\":\"1:1\",\"height\":120", 120, 120, "crop=180:180"},
    {"interlaced.mp4", QUARTERS " -vf setfield=tff -flags +ildct+ilme -x264opts tff=1" X264, NULL, 320, 180, ""},
};

static void
pictures_keep_shape_and_colours (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (pictures); i++) {
    g_autofree char *film = make (pictures[i].name, pictures[i].arguments);
    g_autoptr (TestAnswer) answer = transcode (film, pictures[i].parameters);

    g_test_message ("%s", pictures[i].name);
    g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "width"), ==, pictures[i].width);
    g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "height"), ==, pictures[i].height);
    g_assert_cmpint (derush_json_get_int (answer->result, "width", 0), ==, pictures[i].width);
    g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "nb_read_frames"), ==, 10);
    assert_same_picture (film, pictures[i].filter, "out.mp4");
  }
}

static void
turned_films_become_upright (void)
{
  static const int angles[] = {90, 180, 270};
  g_autofree char *plain = make ("quarters.mp4", QUARTERS X264);

  for (guint i = 0; i < G_N_ELEMENTS (angles); i++) {
    g_autofree char *arguments = g_strdup_printf ("-i quarters.mp4 -c copy -metadata:s:v rotate=%d", angles[i]);
    g_autofree char *film = make ("turned.mp4", arguments);
    g_autoptr (TestAnswer) answer = transcode (film, NULL);
    g_autofree char *side_data =
        test_shell (directory, "ffprobe -v error -show_streams out.mp4 | grep -c rotation || true");

    g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "width"), ==, angles[i] == 180 ? 320 : 180);
    assert_same_picture (film, "", "out.mp4");
    g_assert_cmpstr (g_strstrip (side_data), ==, "0");
  }
}

static double
mean_luma (const char *file, const char *filter)
{
  g_autofree char *text = test_shell (directory,
                                      "ffprobe -v error -f lavfi \"movie=%s,%s%ssignalstats\" -read_intervals %%+#1 "
                                      "-show_entries frame_tags=lavfi.signalstats.YAVG -of csv=p=0 | head -n1",
                                      file, filter, *filter ? "," : "");

  return g_ascii_strtod (text, NULL);
}

/* Paper white, 203 cd/m², is code 573 of 1023 in PQ and looks dark grey when it is taken as it is. */
static void
high_dynamic_range_does_not_look_grey (void)
{
  static const struct {
    const char *transfer;
    int code;
  } cases[] = {{"smpte2084", 573}, {"arib-std-b67", 721}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *arguments = g_strdup_printf (
        "-f lavfi -i \"color=black:s=320x180:r=25:d=0.4,format=yuv420p10le,geq=lum='if(gt(X,160),%d,64)':cb=512:cr=512\" "
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:colorprim=bt2020:transfer=%s:colormatrix=bt2020nc "
        "-tag:v hvc1",
        cases[i].code, cases[i].transfer);
    g_autofree char *film = make ("hdr.mp4", arguments);
    g_autoptr (TestAnswer) answer = transcode (film, NULL);

    g_assert_cmpfloat (mean_luma ("out.mp4", "crop=100:100:200:40"), >, 195);
    g_assert_cmpfloat (mean_luma ("out.mp4", "crop=100:100:20:40"), <, 24);
  }
}

static void
a_change_of_shape_gets_borders (void)
{
  g_autofree char *wide = make ("wide.ts", "-f lavfi -i color=white:s=320x180:r=25:d=1" X264);
  g_autofree char *tall = make ("tall.ts", "-f lavfi -i color=white:s=240x320:r=25:d=1" X264 "-output_ts_offset 1");
  g_autofree char *said = test_shell (directory, "cat wide.ts tall.ts > both.ts");
  g_autofree char *film = g_build_filename (directory, "both.ts", NULL);
  static const char *const sizes[] = {NULL, "\"width\":320,\"height\":90", "\"height\":360,\"enlarge\":true"};

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (TestAnswer) answer = transcode (film, sizes[i]);

    g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "nb_read_frames"), ==, 50);
    g_assert_cmpfloat (mean_luma ("out.mp4", "select='gt(t,0.4)',scale=320:180,crop=20:100:0:40"), >, 200);
    g_assert_cmpfloat (mean_luma ("out.mp4", "select='gt(t,1.4)',scale=320:180,crop=20:100:0:40"), <, 30);
    g_assert_cmpfloat (mean_luma ("out.mp4", "select='gt(t,1.4)',scale=320:180,crop=60:100:130:40"), >, 200);
  }
}

static const struct {
  const char *name;
  const char *arguments;
  double duration;
  int frames;
  int rate, channels; /* of the result */
} films[] = {
    {"mono.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i sine=r=48000:d=2" X264 "-c:a aac", 2, 50, 48000,
     1},
    {"stereo.mov",
     "-f lavfi -i testsrc2=s=320x180:r=30:d=1 -f lavfi -i anoisesrc=r=44100:d=1:a=0.1 -ac 2" X264 "-c:a pcm_s16le", 1,
     30, 44100, 2},
    {"surround.mkv",
     "-f lavfi -i testsrc2=s=320x180:r=24:d=1 -f lavfi -i \"sine=r=48000:d=1,pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0\"" X264
     "-c:a ac3",
     1, 24, 48000, 2},
    {"telephone.mkv", "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -f lavfi -i sine=r=8000:d=1" X264 "-c:a pcm_s16le", 1,
     25, 48000, 1},
    {"silent.webm", "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -c:v libvpx -deadline realtime -cpu-used 8", 1, 25, 0, 0},
    {"stream.ts", "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i sine=r=48000:d=2" X264 "-c:a aac", 2, 50, 48000,
     1},
    {"fragments.mp4",
     "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i sine=r=48000:d=2" X264
     "-c:a aac -movflags +frag_keyframe+empty_moov+default_base_moof",
     2, 50, 48000, 1},
    {"slow.mp4", "-f lavfi -i testsrc2=s=320x180:r=1:d=8" X264, 8, 8, 0, 0},
    {"fast.mp4", "-f lavfi -i testsrc2=s=320x180:r=240:d=0.5" X264, 0.5, 120, 0, 0},
    {"single.mp4", "-f lavfi -i testsrc2=s=320x180:r=25 -frames:v 1" X264, 0.04, 1, 0, 0},
    {"b-frames.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -c:v libx264 -bf 3 -pix_fmt yuv420p", 2, 50, 0, 0},
    /* Frames stand longer at its end than at its begin. */
    {"variable-rate.mkv",
     "-f lavfi -i testsrc2=s=320x180:r=24:d=6 -vf \"select='not(mod(n,3))+lt(n,40)'\" -vsync vfr -c:v libx264 -bf 3 -pix_fmt "
     "yuv420p",
     5.917, 74, 0, 0},
    {"slow-begin.mkv",
     "-f lavfi -i testsrc2=s=320x180:r=24:d=6 -vf \"select='eq(n,0)+gt(n,80)'\" -vsync vfr -c:v libx264 -bf 3 -pix_fmt yuv420p",
     6, 64, 0, 0},
    {"late-sound.mp4",
     "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -itsoffset 0.7 -f lavfi -i sine=r=48000:d=1" X264 "-c:a aac", 2, 50,
     48000, 1},
};

static void
no_frame_and_no_second_is_lost (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (films); i++) {
    g_autofree char *film = make (films[i].name, films[i].arguments);
    g_autoptr (TestAnswer) answer = transcode (film, NULL);
    g_autofree char *results = derush_json_object_to_string (answer->result);
    g_autofree char *all = g_strdup_printf ("{\"transcode\":%s}", results);
    g_autoptr (TestAnswer) check =
        test_worker_run (worker, "check", "{\"file\":\"out.mp4\"}", all, NULL, directory, 0, 60);

    g_test_message ("%s", films[i].name);
    g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "nb_read_frames"), ==, films[i].frames);
    g_assert_cmpint (derush_json_get_int (answer->result, "frames", 0), ==, films[i].frames);
    g_assert_cmpfloat (fabs (derush_json_get_number (answer->result, "duration", 0) - films[i].duration), <, 0.09);
    if (films[i].rate) {
      g_assert_cmpint ((int)ffprobe ("out.mp4", "a", "sample_rate"), ==, films[i].rate);
      g_assert_cmpint ((int)ffprobe ("out.mp4", "a", "channels"), ==, films[i].channels);
    } else {
      g_assert_cmpfloat (ffprobe ("out.mp4", "a", "sample_rate"), ==, -1);
    }
    g_assert_cmpstr (check->message, ==, NULL);
    g_assert_cmpint (derush_json_get_int (check->result, "frames", 0), ==, films[i].frames);
    g_assert_cmpstr (answer->warnings->str, ==, films[i].rate ? "" : "The film has no sound\n");
  }
}

/* A flash and a beep at 1 s, the sound 0.7 s late in the file of its own. */
static void
sound_stays_with_the_picture (void)
{
  g_autofree char *film = make (
      "sync.mp4",
      "-f lavfi -i \"color=black:s=320x180:r=25:d=2,drawbox=c=white:t=fill:enable='between(t,0.99,1.11)'\" "
      "-itsoffset 0.7 -f lavfi -i \"aevalsrc='sin(2*PI*1000*t)*between(t,0.3,0.42)':s=48000:d=1.3\"" X264 "-c:a aac");
  static const char *const cuts[] = {NULL, "\"start\":0.8", "\"start\":0.5,\"end\":1.5"};

  for (guint i = 0; i < G_N_ELEMENTS (cuts); i++) {
    g_autoptr (TestAnswer) answer = transcode (film, cuts[i]);
    g_autofree char *flash = test_shell (
        directory, "ffprobe -v error -f lavfi \"movie=out.mp4,signalstats\" -show_entries "
                   "frame=pts_time:frame_tags=lavfi.signalstats.YAVG -of csv=p=0 | awk -F, '$2>100{print $1;exit}'");
    g_autofree char *beep = test_shell (
        directory, "ffmpeg -v error -nostdin -i out.mp4 -af "
                   "\"asetnsamples=240,astats=metadata=1:reset=1,ametadata=print:key=lavfi.astats.Overall.Peak_"
                   "level:file=-\" -f null - | awk '/pts_time/{split($3,a,\":\");t=a[2]} "
                   "/Peak_level/{split($0,b,\"=\"); if (b[2]!=\"-inf\" && b[2]>-20){print t;exit}}'");

    g_assert_cmpint (strlen (flash), >, 0);
    g_assert_cmpint (strlen (beep), >, 0);
    g_assert_cmpfloat (fabs (g_ascii_strtod (flash, NULL) - g_ascii_strtod (beep, NULL)), <, 0.045);
  }
}

static void
cuts_are_exact (void)
{
  g_autofree char *film =
      make ("cuts.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i sine=r=48000:d=4 -c:v libx264 "
                        "-g 50 -bf 2 -preset veryfast -pix_fmt yuv420p -c:a aac");
  g_autofree char *copied = make ("copied.mp4", "-ss 1.2 -i cuts.mp4 -c copy");
  static const struct {
    const char *parameters;
    double start;
    int frames;
  } cases[] = {{"\"start\":0.52,\"end\":1.52", 0.52, 25}, {"\"start\":3", 3, 25}, {"\"end\":0.4", 0, 10}};
  g_autoptr (TestAnswer) whole = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (TestAnswer) answer = transcode (film, cases[i].parameters);
    g_autofree char *filter = g_strdup_printf ("select='gte(t,%g-0.01)'", cases[i].start);

    g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "nb_read_frames"), ==, cases[i].frames);
    g_assert_cmpfloat (fabs (ffprobe ("out.mp4", "a", "duration") - cases[i].frames / 25.0), <, 0.03);
    assert_same_picture ("cuts.mp4", filter, "out.mp4");
  }
  {
    /* What cannot be sought well is cut while it passes. */
    g_autofree char *program =
        make ("program.mpg", "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i sine=r=48000:d=4 "
                             "-c:v mpeg2video -q:v 2 -c:a mp2");
    g_autoptr (TestAnswer) answer = transcode (program, "\"start\":1,\"end\":2");

    g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "nb_read_frames"), ==, 25);
    g_assert_cmpfloat (fabs (ffprobe ("out.mp4", "a", "duration") - 1), <, 0.03);
    assert_same_picture ("program.mpg", "select='gte(t,0.99)'", "out.mp4");
  }
  /* Its edit list begins in the middle of a group of pictures. */
  whole = transcode (copied, NULL);
  g_assert_cmpfloat (fabs (derush_json_get_number (whole->result, "duration", 0) - 2.8), <, 0.1);
  g_assert_cmpfloat (fabs (ffprobe ("out.mp4", "a", "duration") - 2.8), <, 0.1);
}

static void
bad_cuts_are_named (void)
{
  g_autofree char *film = make ("short.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=1" X264);
  g_autofree char *results = test_worker_probe (worker, film, directory);
  g_autoptr (TestAnswer) beyond =
      test_worker_run (worker, "transcode", "{\"name\":\"out.mp4\",\"start\":5}", results, film, directory, 0, 30);
  g_autoptr (TestAnswer) clamped = transcode (film, "\"end\":9");

  g_assert_cmpstr (beyond->error_class, ==, "bad-input");
  g_assert_nonnull (strstr (beyond->message, "beyond the end"));
  g_assert_nonnull (strstr (clamped->warnings->str, "moved to the end"));
  g_assert_cmpint (derush_json_get_int (clamped->result, "frames", 0), ==, 25);
}

static void
the_header_comes_first (void)
{
  g_autofree char *film =
      make ("header.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -f lavfi -i sine=d=1" X264 "-c:a aac");
  g_autoptr (TestAnswer) answer = transcode (film, NULL);
  g_autofree char *path = g_build_filename (directory, "out.mp4", NULL);
  g_autofree char *leftover = g_build_filename (directory, "out.mp4.faststart", NULL);
  g_autofree char *contents = NULL;
  gsize length;
  const char *moov, *mdat;

  g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
  moov = memmem (contents, length, "moov", 4);
  mdat = memmem (contents, length, "mdat", 4);
  g_assert_true (moov && mdat && moov < mdat);
  g_assert_false (g_file_test (leftover, G_FILE_TEST_EXISTS));
}

static void
half_a_film_is_worth_a_warning (void)
{
  g_autofree char *film = make ("entire.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=6 -f lavfi -i sine=d=6" X264
                                              "-c:a aac -movflags +faststart");
  g_autofree char *said = test_shell (directory, "head -c $(( $(stat -c %%s entire.mp4) / 2 )) entire.mp4 > half.mp4");
  g_autofree char *half = g_build_filename (directory, "half.mp4", NULL);
  g_autoptr (TestAnswer) answer = transcode (half, NULL);
  double duration = derush_json_get_number (answer->result, "duration", 0);

  g_assert_cmpfloat (duration, >, 2);
  g_assert_cmpfloat (duration, <, 4);
  g_assert_nonnull (strstr (answer->warnings->str, "breaks off"));
}

/* A short film is left to the analysis, which makes its storyboard on the way. */
static void
what_is_measured_on_the_way_is_what_the_analysis_measures (void)
{
  static const struct {
    const char *name, *seconds;
    gboolean measured;
  } tried[] = {{"minute.mp4", "64", TRUE}, {"moment.mp4", "4", FALSE}};
  g_autofree char *path = g_build_filename (directory, "analysis.derush", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (tried); i++) {
    g_autofree char *input =
        g_strdup_printf ("-f lavfi -i testsrc2=s=160x90:r=5:d=%s -f lavfi -i sine=r=16000:d=%s" X264 "-c:a aac",
                         tried[i].seconds, tried[i].seconds);
    g_autofree char *film = make (tried[i].name, input);
    g_autofree char *results = test_worker_probe (worker, film, directory), *on_the_way = NULL, *alone = NULL;
    g_autoptr (TestAnswer) made = transcode (film, "\"height\":180,\"enlarge\":true,\"analyse\":true"), taken = NULL,
                           analysed = NULL;
    gsize lengths[2] = {0, 0};

    taken = test_worker_run (worker, "analyse", "{\"from\":\"transcode\"}", results, film, directory, 0, 60);
    g_assert_cmpstr (taken->message, ==, NULL);
    g_assert_cmpint (derush_json_get_int (taken->result, "frames", 0), ==, tried[i].measured ? 64 * 5 : 0);
    g_assert_cmpint (g_file_get_contents (path, &on_the_way, &lengths[0], NULL), ==, tried[i].measured);
    analysed = test_worker_run (worker, "analyse", "{}", results, film, directory, 0, 60);
    g_assert_cmpstr (analysed->message, ==, NULL);
    g_assert_true (g_file_get_contents (path, &alone, &lengths[1], NULL));
    if (tried[i].measured)
      g_assert_cmpmem (on_the_way, lengths[0], alone, lengths[1]);
    g_unlink (path);
  }
}

static void
a_spoiled_result_is_found_out (void)
{
  g_autofree char *film = make ("good.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=4" X264);
  g_autoptr (TestAnswer) answer = transcode (film, NULL);
  g_autofree char *made = derush_json_object_to_string (answer->result);
  g_autofree char *results = g_strdup_printf ("{\"transcode\":%s}", made);
  static const char *const spoil[] = {
      "head -c $(( $(stat -c %%s out.mp4) * 2 / 3 )) out.mp4 > spoiled && mv spoiled out.mp4",
      FFMPEG "-f lavfi -i testsrc2=s=320x180:r=25:d=2" X264 "out.mp4",
      FFMPEG "-f lavfi -i color=black:s=320x180:r=25:d=4" X264 "out.mp4",
      "rm out.mp4",
  };

  for (guint i = 0; i < G_N_ELEMENTS (spoil); i++) {
    g_autofree char *said = test_shell (directory, spoil[i], NULL);
    g_autoptr (TestAnswer) check =
        test_worker_run (worker, "check", "{\"file\":\"out.mp4\"}", results, NULL, directory, 0, 60);

    g_assert_cmpstr (check->error_class, ==, "internal");
  }
}

/* ── The worker itself ──────────────────────────────────────────────────── */

static void
the_self_test_ends_as_asked (void)
{
  g_autoptr (TestAnswer) fine =
      test_worker_run (worker, "self-test", "{\"durationMs\":1500,\"do\":\"ok\"}", NULL, NULL, directory, 0, 30);
  g_autoptr (TestAnswer) failed =
      test_worker_run (worker, "self-test", "{\"durationMs\":100,\"do\":\"fail\"}", NULL, NULL, directory, 0, 30);

  g_assert_cmpstr (derush_json_get_string (fine->result, "done", ""), ==, "ok");
  g_assert_cmpuint (fine->progress, >=, 4);
  g_assert_false (fine->falling);
  g_assert_cmpstr (failed->error_class, ==, "internal");
}

static void
what_is_cancelled_stops_and_the_next_request_runs (void)
{
  g_autofree char *film =
      make ("long.mp4", "-f lavfi -i testsrc2=s=1280x720:r=25:d=20 -f lavfi -i sine=d=20" X264 "-c:a aac");
  g_autofree char *results = test_worker_probe (worker, film, directory);
  g_autofree char *path = g_build_filename (directory, "out.mp4", NULL);
  g_autoptr (TestAnswer) cancelled = test_worker_run (
      worker, "transcode", "{\"name\":\"out.mp4\",\"quality\":\"ultra\"}", results, film, directory, 1, 60);
  g_autoptr (TestAnswer) next =
      test_worker_run (worker, "self-test", "{\"durationMs\":60000,\"do\":\"ok\"}", NULL, NULL, directory, 1, 30);
  g_autoptr (TestAnswer) last = probe (film);

  g_assert_cmpstr (cancelled->error_class, ==, "cancelled");
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_cmpstr (next->error_class, ==, "cancelled");
  g_assert_nonnull (last->result);
}

static void
an_unknown_action_is_unsupported (void)
{
  g_autoptr (TestAnswer) answer = test_worker_run (worker, "nosuch", NULL, NULL, NULL, directory, 0, 30);
  g_autoptr (TestAnswer) sourceless = test_worker_run (worker, "probe", NULL, NULL, NULL, directory, 0, 30);

  g_assert_cmpstr (answer->error_class, ==, "unsupported");
  g_assert_cmpstr (sourceless->error_class, ==, "bad-input");
}

static void
highlights_and_shots_come_from_one_analysis (void)
{
  g_autofree char *film = make (
      "shots.mp4",
      "-f lavfi -i testsrc2=s=320x180:r=25:d=3 -f lavfi -i mandelbrot=s=320x180:r=25 -f lavfi -i "
      "sine=r=48000:d=6 -filter_complex \"[1]trim=duration=3[m];[0][m]concat=n=2[v]\" -map \"[v]\" -map 2 -t 6" X264
      "-c:a aac");
  g_autofree char *results = test_worker_probe (worker, film, directory);
  g_autoptr (TestAnswer) analysis = test_worker_run (worker, "analyse", NULL, results, film, directory, 0, 60);
  g_autofree char *made = NULL;
  g_autofree char *all = NULL;
  g_autoptr (TestAnswer) shots = NULL;
  g_autoptr (TestAnswer) highlights = NULL;
  JsonArray *list;

  g_assert_cmpstr (analysis->message, ==, NULL);
  g_assert_cmpint (derush_json_get_int (analysis->result, "frames", 0), ==, 150);
  made = derush_json_object_to_string (analysis->result);
  all = g_strdup_printf ("{\"analyse\":%s}", made);
  shots = test_worker_run (worker, "shots", NULL, all, film, directory, 0, 30);
  list = derush_json_get_array (shots->result, "shots");
  g_assert_cmpuint (json_array_get_length (list), ==, 2);
  g_assert_cmpint (derush_json_get_int (json_array_get_object_element (list, 1), "firstFrame", 0), ==, 75);
  highlights = test_worker_run (worker, "highlights", "{\"maxHighlights\":2,\"sensitivity\":\"high\"}", all, film,
                                directory, 0, 30);
  g_assert_nonnull (derush_json_get_array (highlights->result, "highlights"));
}

/* Nothing moves between 0.5 s and 4 s: what is seen then is the twelfth picture. */
static void
a_cut_in_a_pause_begins_with_a_picture (void)
{
  g_autofree char *film =
      make ("pause.mkv", "-f lavfi -i testsrc2=s=320x180:r=24:d=6 -f lavfi -i sine=r=48000:d=6 -vf "
                         "\"select='lt(n,12)+gt(n,95)'\" -vsync vfr -c:v libx264 -bf 3 -pix_fmt yuv420p -c:a aac");
  g_autoptr (TestAnswer) answer = transcode (film, "\"start\":2,\"end\":4.5");

  g_assert_cmpint (derush_json_get_int (answer->result, "frames", 0), ==, 13);
  g_assert_cmpint ((int)ffprobe ("out.mp4", "v", "nb_read_frames"), ==, 13);
  g_assert_cmpfloat (ffprobe ("out.mp4", "v", "start_time"), <, 0.05);
  g_assert_cmpfloat (fabs (derush_json_get_number (answer->result, "duration", 0) - 2.5), <, 0.1);
}

/* The last frame of the first film stands for a second; the second film breaks off. */
static void
only_what_is_missing_is_said_to_be_missing (void)
{
  g_autofree char *whole = make ("whole.mp4", "-f lavfi -i testsrc2=s=320x180:r=1:d=5" X264);
  g_autofree char *half = make ("half.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=8" X264 "-g 25 -movflags faststart");
  g_autofree char *said = test_shell (directory, "truncate -s $(($(stat -c %%s half.mp4) / 2)) half.mp4");
  const char *const films_here[] = {whole, half};

  for (guint i = 0; i < G_N_ELEMENTS (films_here); i++) {
    g_autofree char *results = test_worker_probe (worker, films_here[i], directory);
    g_autoptr (TestAnswer) answer = test_worker_run (worker, "analyse", NULL, results, films_here[i], directory, 0, 60);

    g_assert_cmpstr (answer->message, ==, NULL);
    g_assert_cmpint (strstr (answer->warnings->str, "Only the first") != NULL, ==, i == 1);
  }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  directory = test_directory_new ();
  worker = test_worker_new ();
  g_test_add_func ("/media/probe/a-plain-film-is-described", a_plain_film_is_described);
  g_test_add_func ("/media/probe/rotation-and-pixel-aspect-are-described", rotation_and_pixel_aspect_are_described);
  g_test_add_func ("/media/probe/limits-are-kept", limits_are_kept);
  g_test_add_func ("/media/probe/sound-that-cannot-be-read-is-told", sound_that_cannot_be_read_is_told);
  g_test_add_func ("/media/probe/playlists-are-not-followed", playlists_are_not_followed);
  g_test_add_func ("/media/probe/what-is-no-film-is-refused", what_is_no_film_is_refused);
  g_test_add_func ("/media/probe/a-huge-picture-is-refused-before-it-is-decoded",
                   a_huge_picture_is_refused_before_it_is_decoded);
  g_test_add_func ("/media/transcode/sound-alone-is-no-film", sound_alone_is_no_film_to_transcode);
  g_test_add_func ("/media/transcode/file-names-cannot-leave-the-folder", file_names_cannot_leave_the_folder);
  g_test_add_func ("/media/transcode/pictures-keep-shape-and-colours", pictures_keep_shape_and_colours);
  g_test_add_func ("/media/transcode/turned-films-become-upright", turned_films_become_upright);
  g_test_add_func ("/media/transcode/high-dynamic-range-does-not-look-grey", high_dynamic_range_does_not_look_grey);
  g_test_add_func ("/media/transcode/a-change-of-shape-gets-borders", a_change_of_shape_gets_borders);
  g_test_add_func ("/media/transcode/no-frame-and-no-second-is-lost", no_frame_and_no_second_is_lost);
  g_test_add_func ("/media/transcode/sound-stays-with-the-picture", sound_stays_with_the_picture);
  g_test_add_func ("/media/transcode/cuts-are-exact", cuts_are_exact);
  g_test_add_func ("/media/transcode/a-cut-in-a-pause-begins-with-a-picture", a_cut_in_a_pause_begins_with_a_picture);
  g_test_add_func ("/media/transcode/bad-cuts-are-named", bad_cuts_are_named);
  g_test_add_func ("/media/transcode/the-header-comes-first", the_header_comes_first);
  g_test_add_func ("/media/transcode/half-a-film-is-worth-a-warning", half_a_film_is_worth_a_warning);
  g_test_add_func ("/media/transcode/what-is-measured-on-the-way-is-what-the-analysis-measures",
                   what_is_measured_on_the_way_is_what_the_analysis_measures);
  g_test_add_func ("/media/check/a-spoiled-result-is-found-out", a_spoiled_result_is_found_out);
  g_test_add_func ("/media/worker/the-self-test-ends-as-asked", the_self_test_ends_as_asked);
  g_test_add_func ("/media/worker/what-is-cancelled-stops-and-the-next-request-runs",
                   what_is_cancelled_stops_and_the_next_request_runs);
  g_test_add_func ("/media/worker/an-unknown-action-is-unsupported", an_unknown_action_is_unsupported);
  g_test_add_func ("/media/analysis/only-what-is-missing-is-said-to-be-missing",
                   only_what_is_missing_is_said_to_be_missing);
  g_test_add_func ("/media/analysis/highlights-and-shots-come-from-one-analysis",
                   highlights_and_shots_come_from_one_analysis);
  status = g_test_run ();
  test_worker_free (worker);
  test_directory_free (directory);
  return status;
}
