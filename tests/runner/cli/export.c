/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/export-private.h"

#include <string.h>

static void
timecodes_count_as_smpte_does (void)
{
  static const struct {
    int numerator, denominator;
    gint64 frame;
    const char *text;
  } cases[] = {
      {24, 1, 0, "00:00:00:00"},
      {24, 1, 24 * 3661 + 23, "01:01:01:23"},
      {24000, 1001, 24 * 60, "00:01:00:00"},
      {25, 1, 25 * 86399 + 24, "23:59:59:24"},
      {25, 1, 25 * 86400, "00:00:00:00"},
      {30, 1, 1800, "00:01:00:00"},
      /* The numbers 0 and 1 of a minute are left out, but for each tenth. */
      {30000, 1001, 1799, "00:00:59;29"},
      {30000, 1001, 1800, "00:01:00;02"},
      {30000, 1001, 3597, "00:01:59;29"},
      {30000, 1001, 3598, "00:02:00;02"},
      {30000, 1001, 17981, "00:09:59;29"},
      {30000, 1001, 17982, "00:10:00;00"},
      {30000, 1001, 17982 + 1800, "00:11:00;02"},
      {30000, 1001, 107892, "01:00:00;00"},
      {60000, 1001, 3599, "00:00:59;59"},
      {60000, 1001, 3600, "00:01:00;04"},
      {60000, 1001, 35964, "00:10:00;00"},
      {0, 1, 26, "00:00:01:01"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = derush_export_timecode (cases[i].numerator, cases[i].denominator, cases[i].frame);

    g_assert_cmpstr (text, ==, cases[i].text);
  }
}

/* No number comes twice and none is skipped but those that drop-frame counting leaves out. */
static void
drop_frame_timecodes_ascend_for_a_day (void)
{
  g_autofree char *before = derush_export_timecode (30000, 1001, 0);

  for (gint64 frame = 1; frame < 107892 * 2; frame++) {
    char *text = derush_export_timecode (30000, 1001, frame);

    g_assert_cmpstr (before, <, text);
    g_assert_false (g_str_has_suffix (text, ":00;00") && text[4] != '0');
    g_free (before);
    before = text;
  }
}

static DerushExport *
film_new (int numerator, int denominator)
{
  DerushExport *film = derush_export_new ();

  film->path = g_strdup ("/films/My 100% \"best\" & été.mp4");
  film->uri = g_filename_to_uri (film->path, NULL, NULL);
  film->duration = 60;
  film->rate_numerator = numerator;
  film->rate_denominator = denominator;
  film->width = 1280;
  film->height = 720;
  film->sample_rate = 48000;
  film->channels = 2;
  derush_export_add (film->clips, 5, 8, "First <one>", "two\nlines");
  derush_export_add (film->clips, 20.5, 21.25, "Second", NULL);
  derush_export_add (film->markers, 4, 6, "Shot 1", "cut");
  derush_export_add (film->markers, 6, 20.75, "Shot 2", "cut");
  derush_export_add (film->markers, 20.75, 60, "Shot 3", "dissolve");
  return film;
}

static void
decision_lists_play_the_clips_one_after_the_other (void)
{
  g_autoptr (DerushExport) film = film_new (25, 1), silent = film_new (30000, 1001), sound = film_new (0, 1);
  g_autofree char *text = derush_export_to_edl (film), *drop = NULL, *heard = NULL;

  g_assert_nonnull (strstr (text, "FCM: NON-DROP FRAME\n"));
  g_assert_nonnull (strstr (text, "\n001  MY100BES AA/V  C        00:00:05:00 00:00:08:00 01:00:00:00 01:00:03:00\n"));
  g_assert_nonnull (strstr (text, "\n* LOC: 01:00:01:00 GREEN   Shot 2\n"));
  g_assert_nonnull (strstr (text, "\n002  MY100BES AA/V  C        00:00:20:13 00:00:21:06 01:00:03:00 01:00:03:18\n"));
  g_assert_nonnull (strstr (text, "\n* LOC: 01:00:03:06 GREEN   Shot 3\n"));
  g_assert_nonnull (strstr (text, "First <one>: two lines\n"));
  g_assert_null (strstr (text, "Shot 1"));
  silent->sample_rate = 0;
  drop = derush_export_to_edl (silent);
  g_assert_nonnull (strstr (drop, "FCM: DROP FRAME\n"));
  g_assert_nonnull (strstr (drop, "MY100BES V     C        00:00:05;00 00:00:08;00 01:00:00;00 01:00:03;00\n"));
  sound->width = 0;
  heard = derush_export_to_edl (sound);
  g_assert_nonnull (strstr (heard, "MY100BES AA    C  "));
}

static void
decision_lists_go_on_after_999_events (void)
{
  g_autoptr (DerushExport) film = film_new (25, 1);
  g_autofree char *text = NULL;

  for (guint i = 0; i < 1000; i++)
    derush_export_add (film->clips, i * .04, i * .04, "a frame", NULL);
  text = derush_export_to_edl (film);
  g_assert_nonnull (strstr (text, "\n1002  MY100BES"));
  /* A clip is never shorter than one frame. */
  g_assert_nonnull (strstr (text, " 00:00:39:24 00:00:40:00 "));
}

static void
timelines_are_json_of_the_right_schemas (void)
{
  g_autoptr (DerushExport) film = film_new (30000, 1001);
  g_autofree char *text = derush_export_to_otio (film);
  g_autoptr (JsonObject) timeline = derush_json_parse_object (text, -1, NULL);
  JsonArray *tracks, *clips, *markers;
  JsonObject *clip, *range;

  g_assert_nonnull (timeline);
  g_assert_cmpstr (json_object_get_string_member (timeline, "OTIO_SCHEMA"), ==, "Timeline.1");
  tracks = json_object_get_array_member (json_object_get_object_member (timeline, "tracks"), "children");
  g_assert_cmpuint (json_array_get_length (tracks), ==, 2);
  clips = json_object_get_array_member (json_array_get_object_element (tracks, 1), "children");
  g_assert_cmpuint (json_array_get_length (clips), ==, 2);
  clip = json_array_get_object_element (clips, 0);
  g_assert_cmpstr (
      json_object_get_string_member (json_object_get_object_member (clip, "media_reference"), "target_url"), ==,
      "file:///films/My%20100%25%20%22best%22%20&%20%C3%A9t%C3%A9.mp4");
  range = json_object_get_object_member (clip, "source_range");
  g_assert_cmpfloat (json_object_get_double_member (json_object_get_object_member (range, "start_time"), "value"), ==,
                     150);
  g_assert_cmpfloat_with_epsilon (
      json_object_get_double_member (json_object_get_object_member (range, "start_time"), "rate"), 29.97002997, 1e-8);
  g_assert_cmpfloat (json_object_get_double_member (json_object_get_object_member (range, "duration"), "value"), ==,
                     90);
  markers = json_object_get_array_member (clip, "markers");
  g_assert_cmpuint (json_array_get_length (markers), ==, 1);
  g_assert_cmpstr (json_object_get_string_member (json_array_get_object_element (markers, 0), "name"), ==, "Shot 2");
}

static void
projects_are_xml_whatever_the_names (void)
{
  g_autoptr (DerushExport) film = film_new (24000, 1001);
  g_autofree char *text = derush_export_to_xges (film);
  const GMarkupParser none = {NULL};
  GMarkupParseContext *context = g_markup_parse_context_new (&none, 0, NULL, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_markup_parse_context_parse (context, text, -1, &error));
  g_assert_true (g_markup_parse_context_end_parse (context, &error));
  g_assert_no_error (error);
  g_markup_parse_context_free (context);
  /* 72 frames of 1001/24000 s: the second clip begins where the first ends. */
  g_assert_nonnull (strstr (text, "start='0' duration='3003000000'"));
  g_assert_nonnull (strstr (text, "start='3003000000'"));
  g_assert_nonnull (strstr (text, "framerate\\=\\(fraction\\)24000\\/1001"));
}

static void
cues_ascend_and_are_escaped (void)
{
  g_autoptr (DerushExport) film = film_new (25, 1);
  g_autofree char *text = derush_export_to_vtt (film);

  g_assert_true (g_str_has_prefix (text, "WEBVTT\n\n00:00:04.000 --> 00:00:06.000\nShot 1: cut\n\n00:00:05.000"));
  g_assert_nonnull (strstr (text, "\nFirst &lt;one&gt;: two lines\n"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/export/timecodes-count-as-smpte-does", timecodes_count_as_smpte_does);
  g_test_add_func ("/export/drop-frame-timecodes-ascend", drop_frame_timecodes_ascend_for_a_day);
  g_test_add_func ("/export/decision-lists-play-the-clips-one-after-the-other",
                   decision_lists_play_the_clips_one_after_the_other);
  g_test_add_func ("/export/decision-lists-go-on-after-999-events", decision_lists_go_on_after_999_events);
  g_test_add_func ("/export/timelines-are-json-of-the-right-schemas", timelines_are_json_of_the_right_schemas);
  g_test_add_func ("/export/projects-are-xml-whatever-the-names", projects_are_xml_whatever_the_names);
  g_test_add_func ("/export/cues-ascend-and-are-escaped", cues_ascend_and_are_escaped);
  return g_test_run ();
}
