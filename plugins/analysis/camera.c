/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "camera-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Seconds between the samples of a path before it is simplified. */
#define PATH_STEP 0.04
/* Seconds between the samples that are split into stays and moves. */
#define TRACK_STEP 0.1
/* The longest stay or move, in samples; longer ones follow one another without a seam. */
#define LONGEST_PIECE 300
/* A move costs as much more than a stay. */
#define MOVE_FACTOR 2.5
/* How far a simplified path may be off, in source pixels. */
#define TOLERANCE 1.0

void
derush_camera_options_init (DerushCameraOptions *options)
{
  *options = (DerushCameraOptions){
      .aspect = 9.0 / 16,
      .pixel_aspect = 1,
      .zoom = 1,
      .rest_x = 0.5,
      .rest_y = 0.5,
      .smoothing = 0.8,
      .max_speed = 0.6,
      .dead_zone = 0.1,
      .follow = TRUE,
  };
}

/**
 * derush_camera_options_get_size:
 * @options: aspect and zoom
 * @source_width: in pixels
 * @source_height: in pixels
 * @width: (out): of the crop in source pixels, 1 or more
 * @height: (out): the same
 *
 * The size of the crop: the largest of its aspect that fits into the source, divided by the zoom.
 */
void
derush_camera_options_get_size (const DerushCameraOptions *options, guint source_width, guint source_height,
                                double *width, double *height)
{
  double aspect = options->aspect / options->pixel_aspect; /* in pixels */
  double w = MIN (source_width, source_height * aspect), h = w / aspect, zoom = MAX (1, options->zoom);

  *width = CLAMP (w / zoom, MIN (1, source_width), source_width);
  *height = CLAMP (h / zoom, MIN (1, source_height), source_height);
}

/* ── The subject of a shot ──────────────────────────────────────────────── */

/* The median of one cell over the shot; @cell: its offset in the features. */
static float
find_usual (const DerushFrameFeatures *frames, guint n, gsize cell)
{
  guint counts[256] = {0}, seen = 0, value = 0;

  for (guint i = 0; i < n; i++)
    counts[((const guint8 *)&frames[i])[cell]]++;
  for (; value < 255; value++) {
    seen += counts[value];
    if (2 * seen > n)
      break;
  }
  return value;
}

static void
find_background (const DerushFrameFeatures *frames, guint n, CameraBackground *background)
{
  for (guint i = 0; i < CAMERA_CELLS; i++)
    background->luma[i] = find_usual (frames, n, offsetof (DerushFrameFeatures, luma_grid) + i);
  for (guint i = 0; i < CAMERA_CHROMA_CELLS; i++) {
    background->u[i] = find_usual (frames, n, offsetof (DerushFrameFeatures, u_grid) + i);
    background->v[i] = find_usual (frames, n, offsetof (DerushFrameFeatures, v_grid) + i);
  }
}

static double
mean_global_motion (const DerushFrameFeatures *frames, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += frames[i].global_motion;
  return sum / n;
}

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *)a, y = *(const float *)b;

  return (x > y) - (x < y);
}

/* The mass that three in ten frames exceed: that of the subject when it shows. */
static float
find_scale (const CameraEvidence *evidence, guint n)
{
  g_autofree float *masses = g_new (float, n);

  for (guint i = 0; i < n; i++)
    masses[i] = evidence[i].mass;
  qsort (masses, n, sizeof (float), compare_floats);
  return masses[(n - 1) * 7 / 10];
}

/* Where the subject is in each frame of a shot; the whole shot is known. */
static void
track_subject (const CameraAxis *axis, const DerushFrameFeatures *frames, guint n, const CameraBackground *background,
               double *track)
{
  g_autofree CameraEvidence *evidence = g_new (CameraEvidence, n);
  g_autofree guint8 *back = g_malloc ((gsize)n * CAMERA_POSITIONS);
  float weight = camera_foreground_weight (mean_global_motion (frames, n)), scale;
  float totals[CAMERA_POSITIONS] = {0}, scores[CAMERA_POSITIONS];
  guint position;

  for (guint i = 0; i < n; i++) {
    camera_axis_look (axis, &frames[i], &evidence[i]);
    /* The first frame of a shot is compared with the shot before. */
    if (i == 0) {
      memset (evidence[i].change, 0, sizeof (evidence[i].change));
      evidence[i].mass = 0;
    }
    camera_axis_add_foreground (axis, &frames[i], background, weight, &evidence[i]);
  }
  scale = find_scale (evidence, n);
  for (guint i = 0; i < n; i++) {
    double duration = i + 1 < n ? frames[i + 1].time - frames[i].time : i > 0 ? frames[i].time - frames[i - 1].time : 0;

    camera_axis_score (axis, &evidence[i], scale, scores);
    camera_axis_advance (axis, totals, scores, duration, back + (gsize)i * CAMERA_POSITIONS);
  }
  position = camera_axis_get_best (axis, totals);
  for (guint i = n; i-- > 0;) {
    track[i] = camera_axis_get_position (axis, position);
    position = back[(gsize)i * CAMERA_POSITIONS + position];
  }
}

/* ── The path of the camera ─────────────────────────────────────────────── */

static double
track_at (const DerushFrameFeatures *frames, const double *track, guint n, double time, guint *hint)
{
  while (*hint + 1 < n && frames[*hint + 1].time <= time)
    ++*hint;
  return track[*hint];
}

/* Sums over the samples so far, for fits in constant time. */
typedef struct {
  double y, yy, xy;
} Sums;

typedef struct {
  double cost;
  guint start;
  double mean;
  double slope;
} Piece;

/*
 * Splits samples into stays and moves of constant speed, as few as are close enough: the least sum of squared
 * distances and of a price per piece.
 */
static void
split_track (double *samples, guint n, double size, double dead_zone)
{
  g_autofree Sums *sums = g_new0 (Sums, n + 1);
  g_autofree Piece *pieces = g_new0 (Piece, n + 1);
  /* As much as three seconds at the edge of the dead zone. */
  double price = MAX (1e-6, 3 * dead_zone * dead_zone);

  for (guint i = 0; i < n; i++) {
    double y = (samples[i] - 0.5) / size;

    sums[i + 1] = (Sums){sums[i].y + y, sums[i].yy + y * y, sums[i].xy + y * i};
  }
  for (guint end = 1; end <= n; end++) {
    Piece *best = &pieces[end];

    best->cost = G_MAXDOUBLE;
    for (guint start = end > LONGEST_PIECE ? end - LONGEST_PIECE : 0; start < end; start++) {
      guint count = end - start;
      double y = sums[end].y - sums[start].y, mean = y / count;
      double stay = MAX (0, sums[end].yy - sums[start].yy - y * mean), cost = pieces[start].cost + price;

      if (cost + stay * TRACK_STEP < best->cost)
        *best = (Piece){cost + stay * TRACK_STEP, start, mean, 0};
      if (count >= 3) {
        double covariance = sums[end].xy - sums[start].xy - (start + (count - 1) / 2.0) * y;
        double variance = (double)count * ((double)count * count - 1) / 12;
        double move = MAX (0, stay - covariance * covariance / variance);

        cost += (MOVE_FACTOR - 1) * price;
        if (cost + move * TRACK_STEP < best->cost)
          *best = (Piece){cost + move * TRACK_STEP, start, mean, covariance / variance};
      }
    }
  }
  for (guint end = n; end > 0; end = pieces[end].start) {
    const Piece *piece = &pieces[end];

    for (guint i = piece->start; i < end; i++)
      samples[i] = 0.5 + size * (piece->mean + piece->slope * (i - (piece->start + (end - piece->start - 1) / 2.0)));
  }
}

/* A crop that rests holds the subject well enough all the time. */
static gboolean
rest_is_enough (const double *track, guint n, double rest, double tolerance)
{
  guint outside = 0;

  for (guint i = 0; i < n; i++)
    outside += fabs (track[i] - rest) > tolerance;
  return outside * 10 <= n;
}

/* The middle between the least path above and the greatest path below that keep to the speed. */
static void
limit_speed (double *path, guint n, double step)
{
  g_autofree double *above = g_memdup2 (path, n * sizeof (double));

  for (guint i = 1; i < n; i++) {
    above[i] = MAX (above[i], above[i - 1] - step);
    path[i] = MIN (path[i], path[i - 1] + step);
  }
  for (guint i = n - 1; i-- > 0;) {
    above[i] = MAX (above[i], above[i + 1] - step);
    path[i] = MIN (path[i], path[i + 1] + step);
  }
  for (guint i = 0; i < n; i++)
    path[i] = (path[i] + above[i]) / 2;
}

/* A moving mean; beyond the ends the path stands. */
static void
smooth_path (double *path, guint n, guint radius)
{
  g_autofree double *sums = g_new (double, n + 1);

  sums[0] = 0;
  for (guint i = 0; i < n; i++)
    sums[i + 1] = sums[i] + path[i];
  for (guint i = 0; radius > 0 && i < n; i++) {
    guint from = i > radius ? i - radius : 0, to = MIN (n, i + radius + 1);
    double before = radius > i ? radius - i : 0, after = i + radius + 1 > n ? i + radius + 1 - n : 0;

    path[i] = (sums[to] - sums[from] + before * sums[1] + after * (sums[n] - sums[n - 1])) / (2 * radius + 1);
  }
}

/* Positions of the crop's centre every PATH_STEP from the first frame on. */
static double *
plan_axis (const CameraAxis *axis, const DerushFrameFeatures *frames, guint n, const CameraBackground *background,
           double rest, double duration, guint n_path, const DerushCameraOptions *options)
{
  double *path = g_new (double, n_path);
  guint n_samples = MAX (1, (guint)(duration / TRACK_STEP + 0.5)), hint = 0;
  g_autofree double *track = NULL, *samples = NULL;

  rest = camera_axis_clamp (axis, rest);
  if (axis->n_positions > 1 && options->follow) {
    track = g_new (double, n);
    track_subject (axis, frames, n, background, track);
  }
  if (!track || rest_is_enough (track, n, rest, CAMERA_REST_ZONES * options->dead_zone * axis->size)) {
    for (guint i = 0; i < n_path; i++)
      path[i] = rest;
    return path;
  }
  samples = g_new (double, n_samples);
  for (guint i = 0; i < n_samples; i++)
    samples[i] = track_at (frames, track, n, frames[0].time + (i + 0.5) * TRACK_STEP, &hint);
  split_track (samples, n_samples, axis->size, options->dead_zone);
  for (guint i = 0; i < n_path; i++)
    path[i] = camera_axis_clamp (axis, samples[MIN (n_samples - 1, (guint)(i * PATH_STEP / TRACK_STEP))]);
  limit_speed (path, n_path, options->max_speed * PATH_STEP);
  smooth_path (path, n_path, (guint)(options->smoothing / PATH_STEP / 2 + 0.5));
  return path;
}

static double
to_hundredths (double value)
{
  return round (value * 100) / 100;
}

/* @start, @end: the part of the shot that is wanted. */
static void
add_shot (GArray *keys, const DerushFrameFeatures *frames, guint n, double shot_end, double start, double end,
          double source_width, double source_height, const DerushCameraOptions *options)
{
  CameraAxis columns, rows;
  double width, height, duration = MAX (0, shot_end - frames[0].time);
  guint n_path = (guint)(duration / PATH_STEP) + 2;
  g_autofree double *x = NULL, *y = NULL;
  g_autoptr (GArray) shot = g_array_new (FALSE, FALSE, sizeof (DerushCameraKey));
  CameraBackground background;
  gsize n_keys;

  derush_camera_options_get_size (options, source_width, source_height, &width, &height);
  camera_axis_init (&columns, FALSE, width / source_width, options->rest_x);
  camera_axis_init (&rows, TRUE, height / source_height, options->rest_y);
  find_background (frames, n, &background);
  x = plan_axis (&columns, frames, n, &background, options->rest_x, duration, n_path, options);
  y = plan_axis (&rows, frames, n, &background, options->rest_y, duration, n_path, options);
  for (guint i = 0; i < n_path; i++) {
    DerushCameraKey key = {frames[0].time + i * PATH_STEP, to_hundredths (x[i] * source_width - width / 2),
                           to_hundredths (y[i] * source_height - height / 2), width, height};

    g_array_append_val (shot, key);
  }
  n_keys = derush_camera_path_simplify ((DerushCameraKey *)shot->data, shot->len, TOLERANCE);
  for (gsize i = 0; i < n_keys + 2; i++) {
    DerushCameraKey key;

    if (i == 0 || i == n_keys + 1) {
      derush_camera_path_evaluate ((DerushCameraKey *)shot->data, n_keys, i == 0 ? start : end, &key);
      key.x = to_hundredths (key.x);
      key.y = to_hundredths (key.y);
    } else {
      key = g_array_index (shot, DerushCameraKey, i - 1);
      key.time = round (key.time * 1000) / 1000;
      if (key.time < start + PATH_STEP / 2 || key.time > end - PATH_STEP / 2)
        continue;
    }
    g_array_append_val (keys, key);
  }
}

/* So that a rounded time is not after the first frame of the shot. */
static double
to_milliseconds_before (double time)
{
  return floor (time * 1000 + 1e-6) / 1000;
}

/**
 * derush_camera_path_compute:
 * @analysis: of a film with frames
 * @start: stream time in seconds
 * @end: stream time in seconds, above @start
 * @options: (nullable): %NULL for the defaults
 *
 * Plans the path of a crop that follows what moves, per shot: it stands where standing holds the subject, moves with
 * bounded speed and acceleration where not, rests when nothing stands out, and never moves from one shot to the next.
 * The shots around @start and @end are looked at as a whole.
 *
 * Returns: (transfer full) (element-type DerushCameraKey): from @start to @end in the order of time, with two keys at
 *   one time between shots; empty if the film has no picture
 */
GArray *
derush_camera_path_compute (const DerushAnalysis *analysis, double start, double end,
                            const DerushCameraOptions *options)
{
  GArray *keys = g_array_new (FALSE, FALSE, sizeof (DerushCameraKey));
  guint n_shots = MAX (1, analysis->n_shots);
  DerushCameraOptions defaults;

  if (!options) {
    derush_camera_options_init (&defaults);
    options = &defaults;
  }
  if (analysis->n_frames == 0 || analysis->width == 0 || analysis->height == 0 || !(end > start))
    return keys;
  for (guint i = 0; i < n_shots; i++) {
    guint first = i > 0 ? analysis->shots[i].first_frame : 0;
    gboolean last = i + 1 >= analysis->n_shots;
    guint next = last ? analysis->n_frames : MIN (analysis->shots[i + 1].first_frame, analysis->n_frames);
    double shot_start = i == 0 ? start : to_milliseconds_before (analysis->frames[MIN (first, next)].time);
    double shot_end = last ? MAX (end, analysis->frames[analysis->n_frames - 1].time)
                           : to_milliseconds_before (analysis->frames[MIN (next, analysis->n_frames - 1)].time);

    if (first >= next || shot_end <= start || shot_start >= end)
      continue;
    add_shot (keys, analysis->frames + first, next - first, shot_end, MAX (start, shot_start), MIN (end, shot_end),
              analysis->width, analysis->height, options);
  }
  return keys;
}

/* ── Keys ───────────────────────────────────────────────────────────────── */

/**
 * derush_camera_path_evaluate:
 * @keys: (array length=n_keys): in the order of time
 * @n_keys: 1 or more
 * @time: stream time in seconds
 * @key: (out caller-allocates): what to crop then
 */
void
derush_camera_path_evaluate (const DerushCameraKey *keys, gsize n_keys, double time, DerushCameraKey *key)
{
  gsize low = 0, high = n_keys;
  const DerushCameraKey *a, *b;
  double share;

  while (low < high) {
    gsize middle = low + (high - low) / 2;

    if (keys[middle].time <= time)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0 || low == n_keys) {
    *key = keys[low == 0 ? 0 : n_keys - 1];
    key->time = time;
    return;
  }
  a = &keys[low - 1];
  b = &keys[low];
  share = (time - a->time) / (b->time - a->time);
  *key = (DerushCameraKey){time, a->x + (b->x - a->x) * share, a->y + (b->y - a->y) * share,
                           a->width + (b->width - a->width) * share, a->height + (b->height - a->height) * share};
}

static double
distance_from_line (const DerushCameraKey *keys, gsize first, gsize last, gsize i)
{
  double span = keys[last].time - keys[first].time;
  double share = span > 0 ? (keys[i].time - keys[first].time) / span : 0;
  double x = keys[first].x + (keys[last].x - keys[first].x) * share;
  double y = keys[first].y + (keys[last].y - keys[first].y) * share;
  double width = keys[first].width + (keys[last].width - keys[first].width) * share;
  double height = keys[first].height + (keys[last].height - keys[first].height) * share;

  return MAX (MAX (fabs (keys[i].x - x), fabs (keys[i].y - y)),
              MAX (fabs (keys[i].width - width), fabs (keys[i].height - height)));
}

/**
 * derush_camera_path_simplify:
 * @keys: (array length=n_keys) (inout): in the order of time, within one shot
 * @n_keys: their number
 * @tolerance: how far the path may be off then, in pixels
 *
 * Leaves out keys that hardly matter (Ramer, Douglas and Peucker). The first and the last stay.
 *
 * Returns: how many are left
 */
gsize
derush_camera_path_simplify (DerushCameraKey *keys, gsize n_keys, double tolerance)
{
  g_autoptr (GArray) spans = NULL;
  g_autofree gboolean *kept = NULL;
  gsize left = 0, first, last;

  if (n_keys < 3)
    return n_keys;
  spans = g_array_new (FALSE, FALSE, sizeof (gsize));
  kept = g_new0 (gboolean, n_keys);
  first = 0;
  last = n_keys - 1;
  kept[first] = kept[last] = TRUE;
  g_array_append_val (spans, first);
  g_array_append_val (spans, last);
  while (spans->len > 0) {
    double most = tolerance;
    gsize middle = 0;

    last = g_array_index (spans, gsize, spans->len - 1);
    first = g_array_index (spans, gsize, spans->len - 2);
    g_array_set_size (spans, spans->len - 2);
    for (gsize i = first + 1; i < last; i++) {
      double distance = distance_from_line (keys, first, last, i);

      if (distance > most) {
        most = distance;
        middle = i;
      }
    }
    if (middle == 0)
      continue;
    kept[middle] = TRUE;
    g_array_append_val (spans, first);
    g_array_append_val (spans, middle);
    g_array_append_val (spans, middle);
    g_array_append_val (spans, last);
  }
  for (gsize i = 0; i < n_keys; i++) {
    if (kept[i])
      keys[left++] = keys[i];
  }
  return left;
}
