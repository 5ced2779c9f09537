/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "analysis/analysis.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <string.h>

/* Films with annotations, in the folder that DERUSH_SHARED names, and the scorers beside them. */

typedef struct {
  char *directory;
  char *analysis;
  char *answer;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->directory = g_dir_make_tmp ("derush-films-XXXXXX", NULL);
  f->analysis = g_build_filename (f->directory, "film.analysis", NULL);
  f->answer = g_build_filename (f->directory, "answer.json", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_unlink (f->analysis);
  g_unlink (f->answer);
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->directory);
  g_free (f->analysis);
  g_free (f->answer);
}

static char *
shared_file (const char *name, const char *suffix)
{
  g_autofree char *base = g_strconcat (name, suffix, NULL);

  return g_build_filename (g_getenv ("DERUSH_SHARED"), "media", base, NULL);
}

static DerushAnalysisFile *
measure (Fixture *f, const char *name, gboolean has_audio)
{
  g_autofree char *film = shared_file (name, ".mp4");
  g_autofree char *line =
      g_strdup_printf ("filesrc location=%s ! decodebin name=d highlightdetect name=h analysis-location=%s "
                       "d. ! queue ! videoconvert ! h.video_sink d. ! queue ! audioconvert ! h.audio_sink "
                       "h.video_src ! fakesink h.audio_src ! fakesink",
                       film, f->analysis);
  g_autofree char *silent = g_strdup_printf (
      "filesrc location=%s ! decodebin ! videoconvert ! highlightdetect analysis-location=%s ! fakesink", film,
      f->analysis);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (has_audio ? line : silent, &error);
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  DerushAnalysisFile *file;

  g_assert_no_error (error);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 200 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_nonnull (message);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
  file = derush_analysis_file_open (f->analysis, &error);
  g_assert_no_error (error);
  return file;
}

static char *
score (Fixture *f, const char *scorer, const char *name, const char *suffix, GString *answer)
{
  g_autofree char *script = shared_file (scorer, ".py"), *truth = shared_file (name, suffix);
  const char *arguments[] = {"python3", script, truth, f->answer, NULL};
  g_autoptr (GError) error = NULL;
  char *output = NULL;
  int status;

  g_assert_true (g_file_set_contents (f->answer, answer->str, answer->len, NULL));
  g_assert_true (
      g_spawn_sync (NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, NULL, &status, &error));
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
  g_test_message ("%s: %s", name, output);
  return output;
}

static double
figure (const char *output, const char *name)
{
  g_autofree char *key = g_strdup_printf ("\"%s\": ", name);
  const char *found = strstr (output, key);

  g_assert_nonnull (found);
  return g_ascii_strtod (found + strlen (key), NULL);
}

static const struct {
  const char *name;
  gboolean has_audio;
  double least;
} shot_films[] = {
    {"agent327_480", TRUE, 0.85},
    {"sintel_trailer-720p", TRUE, 0.75},
    {"constructed_shots_dev", FALSE, 0.75},
};

static void
test_shots (Fixture *f, gconstpointer data)
{
  guint n = GPOINTER_TO_UINT (data);
  g_autoptr (DerushAnalysisFile) file = measure (f, shot_films[n].name, shot_films[n].has_audio);
  const DerushAnalysis *analysis = derush_analysis_file_get (file);
  g_autoptr (GString) answer = g_string_new ("[");
  g_autofree char *output = NULL;

  for (guint i = 1; i < analysis->n_shots; i++)
    g_string_append_printf (answer, "%s%u", i > 1 ? "," : "", analysis->shots[i].first_frame);
  g_string_append_c (answer, ']');
  output = score (f, "score_shots", shot_films[n].name, ".shots.json", answer);
  g_assert_cmpfloat (figure (output, "f1"), >=, shot_films[n].least);
  g_assert_cmpfloat (figure (output, "flashes_fired"), ==, 0);
}

static void
test_highlights (Fixture *f, gconstpointer data)
{
  const char *name = "constructed_highlights_dev";
  g_autoptr (DerushAnalysisFile) file = measure (f, name, TRUE);

  for (guint most = 5; most <= 20; most += 15) {
    g_autoptr (DerushHighlights) highlights = NULL;
    g_autoptr (GString) answer = g_string_new ("[");
    g_autofree char *output = NULL;
    DerushHighlightOptions options;

    derush_highlight_options_init (&options);
    options.max_highlights = most;
    highlights = derush_highlights_find (derush_analysis_file_get (file), &options);
    for (guint i = 0; i < highlights->chosen->len; i++) {
      const DerushHighlight *h = g_ptr_array_index (highlights->chosen, i);

      g_string_append_printf (answer, "%s[%.3f,%.3f]", i > 0 ? "," : "", h->start, h->end);
    }
    g_string_append_c (answer, ']');
    output = score (f, "score_highlights", name, ".highlights.json", answer);
    g_assert_cmpfloat (figure (output, "precision"), >=, 0.8);
    g_assert_cmpfloat (figure (output, "recall"), >=, 0.8);
    if (most == 5)
      g_assert_nonnull (strstr (output, "\"decoys_fired\": []"));
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  if (!g_getenv ("DERUSH_SHARED"))
    g_error ("DERUSH_SHARED names no folder with annotated films");
  for (guint i = 0; i < G_N_ELEMENTS (shot_films); i++) {
    g_autofree char *path = g_strdup_printf ("/films/the-shots-of-%s-are-found", shot_films[i].name);

    g_test_add (path, Fixture, GUINT_TO_POINTER (i), set_up, test_shots, tear_down);
  }
  g_test_add ("/films/events-win-over-decoys", Fixture, NULL, set_up, test_highlights, tear_down);
  return g_test_run ();
}
