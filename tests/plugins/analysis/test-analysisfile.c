/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "analysis/analysis.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define N_FRAMES 20
#define N_AUDIO 8
#define N_SHOTS 3

typedef struct {
  char *directory;
  char *path;
  DerushFrameFeatures frames[N_FRAMES];
  DerushAudioBlock audio[N_AUDIO];
  DerushShot shots[N_SHOTS];
  DerushAnalysis analysis;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->directory = g_dir_make_tmp ("derush-analysis-XXXXXX", NULL);
  f->path = g_build_filename (f->directory, "film.analysis", NULL);
  for (guint i = 0; i < N_FRAMES; i++) {
    f->frames[i] = (DerushFrameFeatures){.time = i / 25.0, .luma_mean = 0.5f, .sharpness = 100 + i};
    memset (f->frames[i].luma_grid, i, sizeof (f->frames[i].luma_grid));
  }
  for (guint i = 0; i < N_AUDIO; i++)
    f->audio[i] = (DerushAudioBlock){.time = i / 10.0, .loudness = -20 - (float)i};
  for (guint i = 0; i < N_SHOTS; i++)
    f->shots[i] = (DerushShot){.start = i * 0.2,
                               .end = (i + 1) * 0.2,
                               .transition_start = i * 0.2,
                               .transition_end = i * 0.2,
                               .first_frame = i * 5,
                               .transition = i};
  f->analysis = (DerushAnalysis){f->frames, N_FRAMES, f->audio, N_AUDIO, f->shots, N_SHOTS, 0.8, 1280, 720};
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_unlink (f->path);
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->directory);
  g_free (f->path);
}

static void
save (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (derush_analysis_save (&f->analysis, f->path, &error));
  g_assert_no_error (error);
}

static void
assert_same (const DerushAnalysis *a, const DerushAnalysis *b)
{
  g_assert_cmpmem (a->frames, a->n_frames * sizeof (*a->frames), b->frames, b->n_frames * sizeof (*b->frames));
  g_assert_cmpmem (a->audio, a->n_audio * sizeof (*a->audio), b->audio, b->n_audio * sizeof (*b->audio));
  g_assert_cmpmem (a->shots, a->n_shots * sizeof (*a->shots), b->shots, b->n_shots * sizeof (*b->shots));
  g_assert_cmpfloat (a->duration, ==, b->duration);
  g_assert_cmpuint (a->width, ==, b->width);
  g_assert_cmpuint (a->height, ==, b->height);
}

static void
assert_refused (const char *path, int code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (derush_analysis_file_open (path, &error));
  g_assert_error (error, DERUSH_ANALYSIS_ERROR, code);
}

static void
test_round_trip (Fixture *f, gconstpointer data)
{
  g_autoptr (DerushAnalysisFile) file = NULL;
  g_autoptr (GError) error = NULL;

  save (f);
  file = derush_analysis_file_open (f->path, &error);
  g_assert_no_error (error);
  assert_same (&f->analysis, derush_analysis_file_get (file));
}

static void
test_descriptor (Fixture *f, gconstpointer data)
{
  g_autoptr (DerushAnalysisFile) file = NULL;
  g_autoptr (GError) error = NULL;
  int fd;

  save (f);
  fd = open (f->path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  g_unlink (f->path);
  file = derush_analysis_file_open_fd (fd, &error);
  g_assert_no_error (error);
  close (fd);
  assert_same (&f->analysis, derush_analysis_file_get (file));
}

static void
test_empty_film (Fixture *f, gconstpointer data)
{
  g_autoptr (DerushAnalysisFile) file = NULL;
  g_autoptr (GError) error = NULL;

  f->analysis = (DerushAnalysis){NULL};
  save (f);
  file = derush_analysis_file_open (f->path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (derush_analysis_file_get (file)->n_frames, ==, 0);
}

static void
test_cut (Fixture *f, gconstpointer data)
{
  g_autofree char *contents = NULL;
  gsize size;

  save (f);
  g_assert_true (g_file_get_contents (f->path, &contents, &size, NULL));
  for (gsize length = 0; length < size; length += length < 100 ? 1 : 97) {
    g_assert_true (g_file_set_contents (f->path, contents, length, NULL));
    assert_refused (f->path, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS);
  }
}

static void
test_longer (Fixture *f, gconstpointer data)
{
  g_autofree char *contents = NULL, *longer = NULL;
  gsize size;

  save (f);
  g_assert_true (g_file_get_contents (f->path, &contents, &size, NULL));
  longer = g_malloc0 (size + 8);
  memcpy (longer, contents, size);
  g_assert_true (g_file_set_contents (f->path, longer, size + 8, NULL));
  assert_refused (f->path, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS);
}

static void
test_damage (Fixture *f, gconstpointer data)
{
  g_autofree char *contents = NULL;
  gsize size;

  save (f);
  g_assert_true (g_file_get_contents (f->path, &contents, &size, NULL));
  for (gsize i = 0; i < size; i += i < 80 ? 1 : 101) {
    g_autoptr (GError) error = NULL;

    for (guint bit = 0; bit < 8; bit += 7) {
      contents[i] ^= 1 << bit;
      g_assert_true (g_file_set_contents (f->path, contents, size, NULL));
      g_assert_null (derush_analysis_file_open (f->path, &error));
      g_assert_true (g_error_matches (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS) ||
                     g_error_matches (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_VERSION));
      g_clear_error (&error);
      contents[i] ^= 1 << bit;
    }
  }
}

/* Files that are whole, but hold what no film can. */
static void
test_hostile (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 13; i++) {
    tear_down (f, NULL);
    set_up (f, NULL);
    switch (i) {
    case 0:
      f->frames[3].time = NAN;
      break;
    case 1:
      f->frames[3].time = 1e300;
      break;
    case 2:
      f->frames[3].time = -1;
      break;
    case 3:
      f->frames[3].time = 0;
      break;
    case 4:
      f->frames[3].motion = INFINITY;
      break;
    case 5:
      f->frames[3].bar_x = 0.5f;
      break;
    case 6:
      f->audio[2].loudness = NAN;
      break;
    case 7:
      f->audio[2].time = INFINITY;
      break;
    case 8:
      f->shots[1].first_frame = N_FRAMES;
      break;
    case 9:
      f->shots[1].transition = DERUSH_N_TRANSITIONS;
      break;
    case 10:
      f->shots[1].end = -1;
      break;
    case 11:
      f->frames[3].motion = 1e30f;
      break;
    default:
      f->analysis.duration = 1e12;
    }
    save (f);
    assert_refused (f->path, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS);
  }
}

static void
test_other_files (Fixture *f, gconstpointer data)
{
  GRand *random = g_rand_new_with_seed (1);
  char noise[4096];

  for (guint i = 0; i < sizeof (noise); i++)
    noise[i] = (char)g_rand_int (random);
  g_rand_free (random);
  assert_refused (f->path, DERUSH_ANALYSIS_ERROR_IO);
  assert_refused (f->directory, DERUSH_ANALYSIS_ERROR_IO);
  g_assert_true (g_file_set_contents (f->path, noise, sizeof (noise), NULL));
  assert_refused (f->path, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS);
  g_assert_true (g_file_set_contents (f->path, "", 0, NULL));
  assert_refused (f->path, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS);
}

static void
test_version (Fixture *f, gconstpointer data)
{
  g_autofree char *contents = NULL;
  gsize size;

  save (f);
  g_assert_true (g_file_get_contents (f->path, &contents, &size, NULL));
  contents[8]++;
  g_assert_true (g_file_set_contents (f->path, contents, size, NULL));
  assert_refused (f->path, DERUSH_ANALYSIS_ERROR_VERSION);
}

static void
test_not_writable (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->directory, "none", "film.analysis", NULL);
  g_autoptr (GError) error = NULL;
  int full = open ("/dev/full", O_WRONLY | O_CLOEXEC);

  g_assert_false (derush_analysis_save (&f->analysis, path, &error));
  g_assert_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_IO);
  g_clear_error (&error);
  g_assert_cmpint (full, >=, 0);
  g_assert_false (derush_analysis_write (&f->analysis, full, &error));
  g_assert_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_IO);
  close (full);
}

/* A folder of that name cannot be replaced; nothing is left beside it. */
static void
test_leaves_nothing (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir (f->path, 0700), ==, 0);
  g_assert_false (derush_analysis_save (&f->analysis, f->path, &error));
  g_assert_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_IO);
  g_assert_cmpint (g_rmdir (f->path), ==, 0);
}

static void
add (const char *path, void (*func) (Fixture *, gconstpointer))
{
  g_test_add (path, Fixture, NULL, set_up, func, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("/analysis/file/what-is-stored-comes-back", test_round_trip);
  add ("/analysis/file/a-descriptor-is-enough", test_descriptor);
  add ("/analysis/file/a-film-without-anything-is-stored", test_empty_film);
  add ("/analysis/file/a-cut-file-is-refused", test_cut);
  add ("/analysis/file/a-longer-file-is-refused", test_longer);
  add ("/analysis/file/a-damaged-file-is-refused", test_damage);
  add ("/analysis/file/impossible-contents-are-refused", test_hostile);
  add ("/analysis/file/other-files-are-refused", test_other_files);
  add ("/analysis/file/another-version-is-refused", test_version);
  add ("/analysis/file/what-cannot-be-written-is-an-error", test_not_writable);
  add ("/analysis/file/a-failure-leaves-nothing-behind", test_leaves_nothing);
  return g_test_run ();
}
