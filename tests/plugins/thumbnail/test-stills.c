/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "plugins/analysis/analysis.h"
#include "plugins/thumbnail/stillkeeper.h"

#include <math.h>
#include <string.h>

#define FPS 25
#define MAX_FRAMES 2000

/* A frame as a film of ordinary quality has it; @look varies its picture. */
static DerushFrameFeatures
make_frame (double time, guint look)
{
  DerushFrameFeatures frame = {
      .time = time,
      .luma_mean = 0.45f,
      .luma_deviation = 0.2f,
      .difference = 0.005f,
      .residual = 0.003f,
      .sharpness = 400,
      .colourfulness = 40,
      .entropy = 7.2f,
      .clipped = 0.01f,
      .dark = 0.05f,
      .edge = 0.05f,
  };

  for (guint i = 0; i < DERUSH_LUMA_BINS; i++)
    frame.luma_histogram[i] = G_MAXUINT16 / DERUSH_LUMA_BINS;
  for (guint i = 0; i < sizeof (frame.luma_grid); i++)
    frame.luma_grid[i] = (guint8)(40 + (i * (look * 37 + 11) + look * 61) % 180);
  memset (frame.u_grid, (int)(100 + look * 13 % 56), sizeof (frame.u_grid));
  memset (frame.v_grid, 128, sizeof (frame.v_grid));
  return frame;
}

static void
make_blurred (DerushFrameFeatures *frame)
{
  frame->sharpness = 12;
  frame->edge = 0.01f;
}

static void
make_black (DerushFrameFeatures *frame)
{
  frame->luma_mean = frame->luma_deviation = frame->sharpness = frame->colourfulness = frame->entropy = 0;
  frame->dark = frame->clipped = 1;
  memset (frame->luma_histogram, 0, sizeof (frame->luma_histogram));
  frame->luma_histogram[0] = G_MAXUINT16;
  memset (frame->luma_grid, 0, sizeof (frame->luma_grid));
}

static void
make_title_on_black (DerushFrameFeatures *frame)
{
  make_black (frame);
  frame->luma_mean = 0.03f;
  frame->luma_deviation = 0.14f;
  frame->sharpness = 900;
  frame->entropy = 0.8f;
  frame->dark = 0.96f;
  frame->clipped = 0.95f;
}

static void
make_blown_out (DerushFrameFeatures *frame)
{
  frame->luma_mean = 0.96f;
  frame->luma_deviation = 0.08f;
  frame->entropy = 2;
  frame->clipped = 0.85f;
  frame->dark = 0;
  memset (frame->luma_histogram, 0, sizeof (frame->luma_histogram));
  frame->luma_histogram[DERUSH_LUMA_BINS - 1] = G_MAXUINT16;
}

static void
make_uniform (DerushFrameFeatures *frame)
{
  frame->luma_deviation = 0.001f;
  frame->sharpness = 0;
  frame->entropy = 0.1f;
  frame->colourfulness = 80;
  memset (frame->luma_grid, 120, sizeof (frame->luma_grid));
}

static void
make_dull (DerushFrameFeatures *frame)
{
  frame->colourfulness = 2;
}

static void
make_moving (DerushFrameFeatures *frame)
{
  frame->difference = 0.1f;
}

static gboolean
has_reason (guint traits, const char *reason)
{
  const char *reasons[DERUSH_STILL_MAX_REASONS];
  guint n = derush_still_list_reasons (traits, reasons);

  for (guint i = 0; i < n; i++)
    if (strcmp (reasons[i], reason) == 0)
      return TRUE;
  return FALSE;
}

typedef struct {
  const char *name;
  void (*spoil) (DerushFrameFeatures *frame);
  const char *reason; /* that the spoilt frame must name */
} FaultCase;

static const FaultCase fault_cases[] = {
    {"blurred", make_blurred, "blurred"},
    {"black", make_black, "black"},
    {"a-title-on-black", make_title_on_black, "black"},
    {"blown-out", make_blown_out, "too bright"},
    {"of-one-colour", make_uniform, "of one colour"},
    {"moving", make_moving, "moving"},
    {"dull", make_dull, NULL},
};

/* Everything is spoilt but one frame: that one is chosen, wherever it is. */
static void
test_fault_moves_the_answer (gconstpointer data)
{
  const FaultCase *fault = data;
  DerushFrameFeatures frames[200];
  DerushStill stills[200];
  DerushStillRequest request = {1, 0, 0};

  for (gsize good = 5; good < G_N_ELEMENTS (frames); good += 62) {
    gsize chosen;

    for (gsize i = 0; i < G_N_ELEMENTS (frames); i++) {
      frames[i] = make_frame ((double)i / FPS, 1);
      /* Some more good frames elsewhere in the film are worse by a hair: the scale of sharpness needs them. */
      if (i != good && i % 2 == 0)
        fault->spoil (&frames[i]);
      else if (i != good)
        frames[i].colourfulness -= 10;
    }
    if (fault->spoil == make_moving)
      frames[good + 1].difference = 0.005f;
    frames[good].colourfulness += 5;
    derush_stills_score_film (stills, frames, G_N_ELEMENTS (frames), NULL, 0);
    g_assert_cmpuint (derush_stills_select (stills, frames, G_N_ELEMENTS (frames), &request, &chosen), ==, 1);
    g_assert_cmpuint (chosen, ==, good);
    g_assert_cmpfloat (stills[good + (good % 2 == 0 ? 2 : 1)].score, <, stills[good].score);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (frames); i++) {
    g_assert_cmpfloat (stills[i].score, >=, 0);
    g_assert_cmpfloat (stills[i].score, <=, 1);
    if (fault->reason != NULL && i % 2 == 0 && i > 0 && i != 192) /* next to the last good one */
      g_assert_true (has_reason (stills[i].traits, fault->reason));
  }
}

static void
test_good_frame_says_why (void)
{
  DerushFrameFeatures frames[3] = {make_frame (0, 1), make_frame (0.04, 1), make_frame (0.08, 1)};
  DerushStill stills[3];

  frames[1].colourfulness = 50;
  derush_stills_score_film (stills, frames, 3, NULL, 0);
  g_assert_cmpfloat (stills[1].score, >, 0.8);
  g_assert_true (has_reason (stills[1].traits, "sharp"));
  g_assert_true (has_reason (stills[1].traits, "well exposed"));
  g_assert_true (has_reason (stills[1].traits, "colourful"));
  g_assert_true (has_reason (stills[1].traits, "steady"));
  g_assert_false (has_reason (stills[1].traits, "near a cut"));
}

static void
test_sharpness_is_of_its_own_film (void)
{
  /* What is soft in a film of 4000 is sharp in a film of 150. */
  static const float levels[] = {4000, 150};
  float sharpness[2];

  for (guint k = 0; k < 2; k++) {
    DerushFrameFeatures frames[50];
    DerushStill stills[50];

    for (guint i = 0; i < 50; i++) {
      frames[i] = make_frame (i / 25.0, 1);
      frames[i].sharpness = levels[k];
    }
    frames[20].sharpness = 150;
    derush_stills_score_film (stills, frames, 50, NULL, 0);
    sharpness[k] = stills[20].sharpness;
  }
  g_assert_cmpfloat (sharpness[0], <, 0.1);
  g_assert_cmpfloat (sharpness[1], >, 0.8);
}

static void
test_no_still_near_a_cut (void)
{
  DerushFrameFeatures frames[100];
  DerushStill stills[100];

  for (guint i = 0; i < 100; i++)
    frames[i] = make_frame (i / 25.0, i < 50 ? 1 : 2);
  frames[50].difference = 0.25f;
  frames[50].histogram_distance = 0.6f;
  derush_stills_score_film (stills, frames, 100, NULL, 0);
  for (guint i = 43; i < 57; i++)
    g_assert_true (has_reason (stills[i].traits, "near a cut"));
  g_assert_cmpfloat (stills[47].score, <, stills[20].score / 2);
  g_assert_false (has_reason (stills[40].traits, "near a cut"));
  g_assert_false (has_reason (stills[60].traits, "near a cut"));
  g_assert_cmpuint (stills[40].shot, !=, stills[60].shot);
}

static void
test_no_still_in_a_dissolve (void)
{
  DerushFrameFeatures frames[100];
  DerushStill stills[100];
  DerushStillSpan dissolve = {1.0, 2.0};

  for (guint i = 0; i < 100; i++)
    frames[i] = make_frame (i / 25.0, 1);
  derush_stills_score_film (stills, frames, 100, &dissolve, 1);
  for (guint i = 19; i <= 56; i++)
    g_assert_true (has_reason (stills[i].traits, "near a cut"));
  g_assert_false (has_reason (stills[15].traits, "near a cut"));
  g_assert_false (has_reason (stills[60].traits, "near a cut"));
}

static void
test_stills_are_apart (void)
{
  /* Ten shots of 4 s; the best frames are all in the first. */
  g_autofree DerushFrameFeatures *frames = g_new (DerushFrameFeatures, 1000);
  g_autofree DerushStill *stills = g_new (DerushStill, 1000);
  DerushStillRequest request = {5, 0, 0};
  gsize chosen[5];

  for (guint i = 0; i < 1000; i++) {
    frames[i] = make_frame (i / 25.0, i / 100);
    if (i % 100 == 0 && i > 0) {
      frames[i].difference = 0.2f;
      frames[i].histogram_distance = 0.5f;
    }
    if (i < 100)
      frames[i].colourfulness = 60;
  }
  derush_stills_score_film (stills, frames, 1000, NULL, 0);
  g_assert_cmpuint (derush_stills_select (stills, frames, 1000, &request, chosen), ==, 5);
  g_assert_cmpuint (chosen[0], <, 100);
  for (guint i = 0; i < 5; i++) {
    g_assert_true (has_reason (stills[chosen[i]].traits, "unlike the others"));
    for (guint k = 0; k < i; k++) {
      g_assert_cmpuint (stills[chosen[i]].shot, !=, stills[chosen[k]].shot);
      g_assert_cmpfloat (fabs (stills[chosen[i]].time - stills[chosen[k]].time), >=, 4);
    }
  }
}

typedef struct {
  const char *name;
  guint n_frames, n_good; /* the rest is black */
  guint count;
  guint expected;
} CountCase;

static const CountCase count_cases[] = {
    {"one-frame", 1, 1, 5, 1},
    {"a-film-shorter-than-asked", 3, 3, 5, 3},
    {"all-black", 100, 0, 5, 5},
    {"one-black-frame", 1, 0, 5, 1},
    {"one-good-frame-in-the-black", 500, 1, 5, 1},
    {"a-good-second-in-the-black", 500, 25, 5, 5},
    {"no-frame", 0, 0, 5, 0},
};

static void
test_count (gconstpointer data)
{
  const CountCase *c = data;
  DerushFrameFeatures frames[500];
  DerushStill stills[500];
  DerushStillRequest request = {c->count, 0, 0};
  gsize chosen[10], n;

  for (guint i = 0; i < c->n_frames; i++) {
    frames[i] = make_frame (i / 25.0, 1);
    if (i < c->n_frames / 2 || i >= c->n_frames / 2 + MAX (c->n_good, c->n_good == c->n_frames ? c->n_frames : 0))
      if (c->n_good < c->n_frames)
        make_black (&frames[i]);
  }
  derush_stills_score_film (stills, frames, c->n_frames, NULL, 0);
  n = derush_stills_select (stills, frames, c->n_frames, &request, chosen);
  g_assert_cmpuint (n, ==, c->expected);
  for (gsize i = 0; i < n; i++) {
    if (c->n_good > 0)
      g_assert_false (has_reason (stills[chosen[i]].traits, "black"));
    else
      g_assert_cmpfloat (stills[chosen[i]].score, <, 0.1);
    for (gsize k = 0; k < i; k++)
      g_assert_cmpuint (chosen[i], !=, chosen[k]);
  }
}

static void
test_min_score_leaves_out (void)
{
  DerushFrameFeatures frames[100];
  DerushStill stills[100];
  DerushStillRequest request = {5, 0, 0.9f};
  gsize chosen[5];

  for (guint i = 0; i < 100; i++) {
    frames[i] = make_frame (i / 25.0, 1);
    frames[i].colourfulness = i == 30 || i == 80 ? 60 : 5;
  }
  derush_stills_score_film (stills, frames, 100, NULL, 0);
  g_assert_cmpuint (derush_stills_select (stills, frames, 100, &request, chosen), ==, 2);
  request.min_score = 1;
  g_assert_cmpuint (derush_stills_select (stills, frames, 100, &request, chosen), >=, 1);
}

/* ── The keeper ─────────────────────────────────────────────────────────── */

static guint n_copies, n_alive, most_alive;

static gpointer
copy_number (gpointer frame, gpointer user_data)
{
  n_copies++;
  n_alive++;
  most_alive = MAX (most_alive, n_alive);
  return g_memdup2 (frame, sizeof (guint));
}

static void
free_number (gpointer frame)
{
  n_alive--;
  g_free (frame);
}

static void
test_keeper_is_bounded (void)
{
  StillKeeper *keeper = still_keeper_new (0.5, 12, copy_number, NULL, free_number);

  n_copies = n_alive = most_alive = 0;
  /* An hour at one frame in 40 ms, with ever better frames: the worst case for the number of copies. */
  for (guint i = 0; i < 90000; i++) {
    DerushFrameFeatures frame = make_frame (i / 25.0, i / 500);

    frame.colourfulness = 20 + (float)(i % 500) / 25;
    if (i == 44444)
      frame.colourfulness = 60;
    still_keeper_push (keeper, &frame, &i);
  }
  still_keeper_finish (keeper);
  g_assert_cmpuint (most_alive, <=, 12 + 6);
  g_assert_cmpuint (still_keeper_get_n_kept (keeper), <=, 12);
  g_assert_cmpuint (still_keeper_get_n_kept (keeper), >=, 6);
  {
    gboolean found = FALSE;

    for (guint i = 0; i < still_keeper_get_n_kept (keeper); i++)
      found |= *(guint *)still_keeper_get_kept (keeper, i)->frame == 44444;
    g_assert_true (found);
  }
  still_keeper_free (keeper);
  g_assert_cmpuint (n_alive, ==, 0);
}

static void
test_keeper_looks_ahead (void)
{
  /* The best frame of its window is cut off right after: a lesser one, well before, is kept. */
  g_autoptr (StillKeeper) keeper = still_keeper_new (10, 0, copy_number, NULL, free_number);
  guint kept;

  for (guint i = 0; i < 100; i++) {
    DerushFrameFeatures frame = make_frame (i / 25.0, i < 60 ? 1 : 2);

    frame.colourfulness = i >= 55 && i < 60 ? 60 : i == 30 ? 45 : 40;
    if (i == 60) {
      frame.difference = 0.2f;
      frame.histogram_distance = 0.5f;
    }
    still_keeper_push (keeper, &frame, &i);
  }
  still_keeper_finish (keeper);
  g_assert_cmpuint (still_keeper_get_n_kept (keeper), ==, 1);
  kept = *(guint *)still_keeper_get_kept (keeper, 0)->frame;
  g_assert_cmpuint (kept, ==, 30);
}

/* ── High dynamic range ─────────────────────────────────────────────────── */

typedef struct {
  const char *name;
  DerushHdrTransfer transfer;
  double r, g, b; /* as stored, 0..1 */
  guint8 least[3], most[3];
} ToneCase;

static const ToneCase tone_cases[] = {
    {"pq-black", DERUSH_HDR_TRANSFER_PQ, 0, 0, 0, {0, 0, 0}, {0, 0, 0}},
    /* 203 cd/m², a sheet of paper: near white, with room above. */
    {"pq-paper-white", DERUSH_HDR_TRANSFER_PQ, 0.58, 0.58, 0.58, {215, 215, 215}, {245, 245, 245}},
    /* 26 cd/m², middle grey. */
    {"pq-middle-grey", DERUSH_HDR_TRANSFER_PQ, 0.38, 0.38, 0.38, {95, 95, 95}, {125, 125, 125}},
    {"pq-sun", DERUSH_HDR_TRANSFER_PQ, 1, 1, 1, {253, 253, 253}, {255, 255, 255}},
    {"pq-saturated-red", DERUSH_HDR_TRANSFER_PQ, 0.55, 0, 0, {200, 0, 0}, {255, 10, 10}},
    {"hlg-paper-white", DERUSH_HDR_TRANSFER_HLG, 0.75, 0.75, 0.75, {215, 215, 215}, {245, 245, 245}},
    {"hlg-middle-grey", DERUSH_HDR_TRANSFER_HLG, 0.38, 0.38, 0.38, {95, 95, 95}, {130, 130, 130}},
};

static void
test_tone (gconstpointer data)
{
  const ToneCase *c = data;
  g_autoptr (DerushToneMapper) mapper = derush_tone_mapper_new (c->transfer);
  guint16 argb[4] = {65535, (guint16)(c->r * 65535), (guint16)(c->g * 65535), (guint16)(c->b * 65535)};
  guint8 rgba[4];

  derush_tone_mapper_run (mapper, argb, rgba, 1);
  for (guint i = 0; i < 3; i++) {
    g_assert_cmpuint (rgba[i], >=, c->least[i]);
    g_assert_cmpuint (rgba[i], <=, c->most[i]);
  }
  g_assert_cmpuint (rgba[3], ==, 255);
}

static void
test_tones_stay_in_order (void)
{
  static const DerushHdrTransfer transfers[] = {DERUSH_HDR_TRANSFER_PQ, DERUSH_HDR_TRANSFER_HLG};

  for (guint k = 0; k < 2; k++) {
    g_autoptr (DerushToneMapper) mapper = derush_tone_mapper_new (transfers[k]);
    guint8 last = 0;

    for (guint i = 0; i < 65536; i += 16) {
      guint16 argb[4] = {65535, (guint16)i, (guint16)i, (guint16)i};
      guint8 rgba[4];

      derush_tone_mapper_run (mapper, argb, rgba, 1);
      g_assert_cmpuint (rgba[1], >=, last);
      last = rgba[1];
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (fault_cases); i++) {
    g_autofree char *path = g_strdup_printf ("/analysis/stills/no-frame-is-chosen-that-is/%s", fault_cases[i].name);

    g_test_add_data_func (path, &fault_cases[i], test_fault_moves_the_answer);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (count_cases); i++) {
    g_autofree char *path = g_strdup_printf ("/analysis/stills/how-many/%s", count_cases[i].name);

    g_test_add_data_func (path, &count_cases[i], test_count);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (tone_cases); i++) {
    g_autofree char *path = g_strdup_printf ("/analysis/tone/%s", tone_cases[i].name);

    g_test_add_data_func (path, &tone_cases[i], test_tone);
  }
  g_test_add_func ("/analysis/tone/brighter-stays-brighter", test_tones_stay_in_order);
  g_test_add_func ("/analysis/stills/a-good-frame-says-why", test_good_frame_says_why);
  g_test_add_func ("/analysis/stills/sharpness-is-by-the-measure-of-its-own-film", test_sharpness_is_of_its_own_film);
  g_test_add_func ("/analysis/stills/none-near-a-cut", test_no_still_near_a_cut);
  g_test_add_func ("/analysis/stills/none-in-a-dissolve", test_no_still_in_a_dissolve);
  g_test_add_func ("/analysis/stills/apart-in-time-and-shot", test_stills_are_apart);
  g_test_add_func ("/analysis/stills/a-minimum-score-leaves-out-but-never-all", test_min_score_leaves_out);
  g_test_add_func ("/thumbnail/keeper/memory-is-bounded-and-the-best-survives", test_keeper_is_bounded);
  g_test_add_func ("/thumbnail/keeper/a-frame-before-a-cut-gives-way", test_keeper_looks_ahead);
  return g_test_run ();
}
