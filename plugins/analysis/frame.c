/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "frame-private.h"
#include "picture-private.h"

#include <math.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 8
#define MAX_BLOCKS (SMALL_SIZE / BLOCK)
#define SEARCH_RANGE 12
/* A bar is what has been black for this long, in seconds: a dark scene is no letterbox. */
#define BAR_PERIOD 2.0
#define BAR_LUMA 24
#define BAR_SPREAD 12
#define MAX_BAR 0.45f
#define DARK_LUMA 32
/* Grey levels of the small picture that mean nothing. */
#define NOISE 2
/* A vector counts as motion where it explains at least this share of the difference. */
#define EXPLAINED 0.25

typedef struct {
  gint8 x;
  gint8 y;
} Vector;

/* The part of the small picture between the bars. */
typedef struct {
  guint x0, x1;
  guint y0, y1;
} Area;

struct _DerushFrameMeter {
  PictureReducer *reducer;
  SmallPicture pictures[2];
  guint current;
  guint count;
  double previous_time;
  Area previous_area;
  DerushFrameFeatures previous;
  /* Thinnest bars of this period and of the one before. */
  double period_start;
  float period_bar_x[2];
  float period_bar_y[2];
  Vector vectors[MAX_BLOCKS * MAX_BLOCKS];
  LaplacianRow laplacian[SMALL_SIZE];
};

/**
 * derush_frame_meter_new:
 *
 * Returns: (transfer full): a meter that has seen no frame
 */
DerushFrameMeter *
derush_frame_meter_new (void)
{
  DerushFrameMeter *meter = g_new0 (DerushFrameMeter, 1);

  meter->reducer = picture_reducer_new ();
  derush_frame_meter_reset (meter);
  return meter;
}

/**
 * derush_frame_meter_free:
 * @meter: (transfer full): a meter
 */
void
derush_frame_meter_free (DerushFrameMeter *meter)
{
  picture_reducer_free (meter->reducer);
  g_free (meter);
}

/**
 * derush_frame_meter_reset:
 * @meter: a meter
 *
 * Forgets the frames so far, as after a seek.
 */
void
derush_frame_meter_reset (DerushFrameMeter *meter)
{
  meter->count = 0;
  for (int i = 0; i < 2; i++)
    meter->period_bar_x[i] = meter->period_bar_y[i] = 1;
}

/* ── Black bars ─────────────────────────────────────────────────────────── */

static gboolean
line_is_black (const guint8 *samples, guint count, guint step)
{
  guint8 least = 255, most = 0;

  for (guint i = 0; i < count; i++) {
    guint8 value = samples[i * step];

    least = MIN (least, value);
    most = MAX (most, value);
  }
  return most <= BAR_LUMA && most - least <= BAR_SPREAD;
}

static guint
count_black_lines (const guint8 *first, gssize next, guint lines, guint samples, guint step)
{
  guint n = 0;

  while (n < lines && line_is_black (first + (gssize)n * next, samples, step))
    n++;
  return n;
}

/* Bars are alike on both sides; what is dark on one side only is picture. A black picture says nothing. */
static void
follow_bars (DerushFrameMeter *meter, const SmallPicture *picture, double time, float *bar_x, float *bar_y)
{
  guint w = picture->width, h = picture->height;
  const guint8 *luma = picture->luma;
  guint top = count_black_lines (luma, w, h, w, 1);

  if (meter->count == 0 || time < meter->period_start)
    meter->period_start = time;
  if (time - meter->period_start >= BAR_PERIOD) {
    meter->period_bar_x[1] = meter->period_bar_x[0];
    meter->period_bar_y[1] = meter->period_bar_y[0];
    meter->period_bar_x[0] = meter->period_bar_y[0] = 1;
    meter->period_start = time;
  }
  if (top < h) {
    guint bottom = count_black_lines (luma + (gsize)(h - 1) * w, -(gssize)w, h, w, 1);
    guint left = count_black_lines (luma, 1, w, h, w);
    guint right = count_black_lines (luma + w - 1, -1, w, h, w);

    meter->period_bar_x[0] = MIN (meter->period_bar_x[0], (float)MIN (left, right) / w);
    meter->period_bar_y[0] = MIN (meter->period_bar_y[0], (float)MIN (top, bottom) / h);
  }
  *bar_x = MIN (meter->period_bar_x[0], meter->period_bar_x[1]);
  *bar_y = MIN (meter->period_bar_y[0], meter->period_bar_y[1]);
  if (*bar_x >= 1)
    *bar_x = *bar_y = 0;
  *bar_x = MIN (*bar_x, MAX_BAR);
  *bar_y = MIN (*bar_y, MAX_BAR);
}

static Area
area_between_bars (const SmallPicture *picture, float bar_x, float bar_y)
{
  guint x = (guint)(bar_x * picture->width + 0.5f), y = (guint)(bar_y * picture->height + 0.5f);

  return (Area){x, picture->width - x, y, picture->height - y};
}

/* ── Statistics of one picture ──────────────────────────────────────────── */

/* Each value is shared between the two nearest bins, so that a slow change of light moves no whole peak at once. */
static void
fill_histogram (guint16 *out, guint bins, const guint *counts, guint total, double first, double width)
{
  double sums[DERUSH_LUMA_BINS] = {0};

  for (guint value = 0; value < 256; value++) {
    double position = CLAMP ((value - first) / width - 0.5, 0.0, bins - 1.0);
    guint bin = MIN ((guint)position, bins - 2);

    if (counts[value] > 0) {
      sums[bin] += counts[value] * (1 - (position - bin));
      sums[bin + 1] += counts[value] * (position - bin);
    }
  }
  for (guint i = 0; i < bins; i++)
    out[i] = (guint16)(sums[i] * G_MAXUINT16 / total + 0.5);
}

static void
measure_luma (const SmallPicture *picture, const Area *area, DerushFrameFeatures *f)
{
  guint counts[4][256] = {{0}}, total = (area->x1 - area->x0) * (area->y1 - area->y0);
  guint clipped = 0, dark = 0;
  double sum = 0, squares = 0, entropy = 0;

  for (guint y = area->y0; y < area->y1; y++) {
    const guint8 *row = picture->luma + y * picture->width;

    for (guint x = area->x0; x < area->x1; x++)
      counts[x & 3][row[x]]++;
  }
  for (guint i = 0; i < 256; i++) {
    guint n = counts[0][i] += counts[1][i] + counts[2][i] + counts[3][i];

    sum += (double)n * i;
    squares += (double)n * i * i;
    clipped += i <= 2 || i >= 253 ? n : 0;
    dark += i <= DARK_LUMA ? n : 0;
    if (n > 0)
      entropy -= (double)n / total * log2 ((double)n / total);
  }
  f->luma_mean = sum / total / 255;
  f->luma_deviation = sqrt (MAX (0, squares / total - (sum / total) * (sum / total))) / 255;
  f->clipped = (float)clipped / total;
  f->dark = (float)dark / total;
  f->entropy = MAX (0, entropy);
  fill_histogram (f->luma_histogram, DERUSH_LUMA_BINS, counts[0], total, 0, 256.0 / DERUSH_LUMA_BINS);
}

/*
 * Colourfulness needs R - G and (R + G) / 2 - B only. Luma cancels out of both, so the chroma planes give it (BT.601):
 * R - G = 0.344 U + 2.116 V, (R + G) / 2 - B = 0.344 V - 1.944 U.
 */
static void
measure_chroma (const SmallPicture *picture, const Area *area, DerushFrameFeatures *f)
{
  guint u_counts[256] = {0}, v_counts[256] = {0};
  guint x0, x1, y0, y1, total;
  gint64 u = 0, v = 0, uu = 0, vv = 0, uv = 0;
  double mean_rg, mean_yb, var_rg, var_yb, mu, mv, cuu, cvv, cuv;

  if (picture->chroma_width == 0) {
    f->u_histogram[DERUSH_CHROMA_BINS / 2] = f->v_histogram[DERUSH_CHROMA_BINS / 2] = G_MAXUINT16;
    return;
  }
  x0 = area->x0 * picture->chroma_width / picture->width;
  x1 = MAX (x0 + 1, area->x1 * picture->chroma_width / picture->width);
  y0 = area->y0 * picture->chroma_height / picture->height;
  y1 = MAX (y0 + 1, area->y1 * picture->chroma_height / picture->height);
  total = (x1 - x0) * (y1 - y0);
  for (guint y = y0; y < y1; y++) {
    const guint8 *u_row = picture->u + y * picture->chroma_width, *v_row = picture->v + y * picture->chroma_width;

    for (guint x = x0; x < x1; x++) {
      int du = u_row[x] - 128, dv = v_row[x] - 128;

      u_counts[u_row[x]]++;
      v_counts[v_row[x]]++;
      u += du;
      v += dv;
      uu += du * du;
      vv += dv * dv;
      uv += du * dv;
    }
  }
  mu = (double)u / total;
  mv = (double)v / total;
  cuu = (double)uu / total - mu * mu;
  cvv = (double)vv / total - mv * mv;
  cuv = (double)uv / total - mu * mv;
  mean_rg = 0.344 * mu + 2.116 * mv;
  mean_yb = 0.344 * mv - 1.944 * mu;
  var_rg = 0.344 * 0.344 * cuu + 2.116 * 2.116 * cvv + 2 * 0.344 * 2.116 * cuv;
  var_yb = 0.344 * 0.344 * cvv + 1.944 * 1.944 * cuu - 2 * 0.344 * 1.944 * cuv;
  f->colourfulness = sqrt (MAX (0, var_rg + var_yb)) + 0.3 * hypot (mean_rg, mean_yb);
  /* Few films have chroma beyond 64..192; the end bins take what there is. */
  fill_histogram (f->u_histogram, DERUSH_CHROMA_BINS, u_counts, total, 64, 128.0 / DERUSH_CHROMA_BINS);
  fill_histogram (f->v_histogram, DERUSH_CHROMA_BINS, v_counts, total, 64, 128.0 / DERUSH_CHROMA_BINS);
}

static void
fill_grid (guint8 *out, guint columns, guint rows, const guint8 *samples, guint width, guint height)
{
  for (guint row = 0; row < rows; row++) {
    guint y0 = row * height / rows, y1 = MAX (y0 + 1, (row + 1) * height / rows);

    for (guint column = 0; column < columns; column++) {
      guint x0 = column * width / columns, x1 = MAX (x0 + 1, (column + 1) * width / columns);
      guint sum = 0, count = (x1 - x0) * (y1 - y0);

      for (guint y = y0; y < y1; y++)
        for (guint x = x0; x < x1; x++)
          sum += samples[y * width + x];
      out[row * columns + column] = (sum + count / 2) / count;
    }
  }
}

static void
measure_grids (const SmallPicture *picture, DerushFrameFeatures *f)
{
  fill_grid (f->luma_grid, DERUSH_GRID_COLUMNS, DERUSH_GRID_ROWS, picture->luma, picture->width, picture->height);
  if (picture->chroma_width == 0) {
    memset (f->u_grid, 128, sizeof (f->u_grid));
    memset (f->v_grid, 128, sizeof (f->v_grid));
    return;
  }
  fill_grid (f->u_grid, DERUSH_CHROMA_GRID_COLUMNS, DERUSH_CHROMA_GRID_ROWS, picture->u, picture->chroma_width,
             picture->chroma_height);
  fill_grid (f->v_grid, DERUSH_CHROMA_GRID_COLUMNS, DERUSH_CHROMA_GRID_ROWS, picture->v, picture->chroma_width,
             picture->chroma_height);
}

static void
measure_sharpness (const LaplacianRow *rows, const Area *area, gboolean full_range, DerushFrameFeatures *f)
{
  gint64 sum = 0, squares = 0, count = 0;
  guint margin = area->y0 > 0 ? 1 : 0;
  double scale = full_range ? 1 : (255.0 / 219) * (255.0 / 219), mean;

  for (guint y = area->y0 + margin; y + margin < area->y1; y++) {
    sum += rows[y].sum;
    squares += rows[y].squares;
    count += rows[y].count;
  }
  if (count == 0)
    return;
  mean = (double)sum / count;
  f->sharpness = scale * MAX (0, (double)squares / count - mean * mean);
}

/**
 * derush_strip_decode:
 * @value: of a strip, as #DerushFrameFeatures has it
 *
 * Returns: the mean it stands for, in grey levels, 0..255
 */
float
derush_strip_decode (guint8 value)
{
  return value * value * (1.0f / 256);
}

/* Square roots: what changes a little in a small place is to be seen, and what changes much needs no precision. */
static void
fill_strips (guint8 *strips, guint n_strips, const guint *sums, guint size, guint across)
{
  for (guint i = 0; i < n_strips; i++) {
    guint from = i * size / n_strips, to = MAX (from + 1, (i + 1) * size / n_strips), sum = 0;

    for (guint j = from; j < to; j++)
      sum += sums[j];
    strips[i] = (guint8)MIN (255, 16 * sqrtf ((float)sum / ((to - from) * across)) + 0.5f);
  }
}

/* Edges per strip, and the mean gradient. */
static void
measure_edges (const SmallPicture *picture, const Area *area, DerushFrameFeatures *f)
{
  guint columns[SMALL_SIZE] = {0}, rows[SMALL_SIZE] = {0}, w = picture->width;
  guint64 edges = 0;
  gsize first = area->x0, last = area->x1 - 1;

  for (gsize y = area->y0; y + 1 < area->y1; y++) {
    const guint8 *row = picture->luma + y * w, *below = row + w;
    guint sum = 0;

    for (gsize x = first; x < last; x++) {
      guint edge = ABS (row[x] - row[x + 1]) + ABS (row[x] - below[x]);

      columns[x] += edge;
      sum += edge;
    }
    rows[y] = sum;
    edges += sum;
  }
  f->edge = (double)edges / (2.0 * 255 * (area->x1 - area->x0) * (area->y1 - area->y0));
  fill_strips (f->edge_columns, DERUSH_STRIP_COLUMNS, columns, picture->width, 2 * picture->height);
  fill_strips (f->edge_rows, DERUSH_STRIP_ROWS, rows, picture->height, 2 * picture->width);
}

/* What differs from the previous picture where the camera's motion would have it. */
static void
measure_change (const SmallPicture *picture, const SmallPicture *previous, const Area *area, Vector motion,
                DerushFrameFeatures *f)
{
  guint columns[SMALL_SIZE] = {0}, rows[SMALL_SIZE] = {0}, w = picture->width;
  guint x0 = area->x0 + MAX (0, -motion.x), x1 = area->x1 - MAX (0, motion.x);
  guint y0 = area->y0 + MAX (0, -motion.y), y1 = area->y1 - MAX (0, motion.y);

  for (guint y = y0; y < y1; y++) {
    const guint8 *row = picture->luma + y * w, *before = previous->luma + ((int)y + motion.y) * (int)w + motion.x;
    guint sum = 0;

    for (guint x = x0; x < x1; x++) {
      guint change = ABS (row[x] - before[x]);

      change -= MIN (change, NOISE);
      columns[x] += change;
      sum += change;
    }
    rows[y] = sum;
  }
  fill_strips (f->change_columns, DERUSH_STRIP_COLUMNS, columns, picture->width, picture->height);
  fill_strips (f->change_rows, DERUSH_STRIP_ROWS, rows, picture->height, picture->width);
}

/* ── Comparison with the previous picture ───────────────────────────────── */

static double
histogram_distance (const guint16 *a, const guint16 *b, guint bins)
{
  guint sum = 0;

  for (guint i = 0; i < bins; i++)
    sum += ABS (a[i] - b[i]);
  return sum / (2.0 * G_MAXUINT16);
}

static float
distance_of_histograms (const DerushFrameFeatures *a, const DerushFrameFeatures *b)
{
  double luma = histogram_distance (a->luma_histogram, b->luma_histogram, DERUSH_LUMA_BINS);
  double u = histogram_distance (a->u_histogram, b->u_histogram, DERUSH_CHROMA_BINS);
  double v = histogram_distance (a->v_histogram, b->v_histogram, DERUSH_CHROMA_BINS);

  return MIN (1, MAX (luma, (luma + u + v) / 3));
}

static inline guint
block_difference (const guint8 *a, const guint8 *b, guint stride)
{
#ifdef __SSE2__
  __m128i sum = _mm_setzero_si128 ();

  for (guint y = 0; y < BLOCK; y += 2) {
    __m128i p = _mm_loadl_epi64 ((const __m128i *)(a + y * stride));
    __m128i q = _mm_loadl_epi64 ((const __m128i *)(b + y * stride));

    p = _mm_unpacklo_epi64 (p, _mm_loadl_epi64 ((const __m128i *)(a + (y + 1) * stride)));
    q = _mm_unpacklo_epi64 (q, _mm_loadl_epi64 ((const __m128i *)(b + (y + 1) * stride)));
    sum = _mm_add_epi64 (sum, _mm_sad_epu8 (p, q));
  }
  return _mm_cvtsi128_si32 (sum) + _mm_extract_epi16 (sum, 4);
#else
  guint sum = 0;

  for (guint y = 0; y < BLOCK; y++)
    for (guint x = 0; x < BLOCK; x++)
      sum += ABS (a[y * stride + x] - b[y * stride + x]);
  return sum;
#endif
}

typedef struct {
  const guint8 *block;
  const SmallPicture *previous;
  const Area *area;
  guint x, y;
  Vector best;
  guint best_cost;
  guint best_difference;
} Search;

static gboolean
try_vector (Search *s, int dx, int dy)
{
  int x = (int)s->x + dx, y = (int)s->y + dy;
  guint difference, cost;

  if (ABS (dx) > SEARCH_RANGE || ABS (dy) > SEARCH_RANGE || x < (int)s->area->x0 || y < (int)s->area->y0 ||
      x + BLOCK > (int)s->area->x1 || y + BLOCK > (int)s->area->y1)
    return FALSE;
  difference = block_difference (s->block, s->previous->luma + y * s->previous->width + x, s->previous->width);
  cost = difference + 4 * (ABS (dx) + ABS (dy));
  if (cost >= s->best_cost)
    return FALSE;
  s->best = (Vector){dx, dy};
  s->best_cost = cost;
  s->best_difference = difference;
  return TRUE;
}

/* From the best of the neighbours' vectors downhill, in the manner of the small diamond search. */
static void
search_block (Search *s, Vector left, Vector above, Vector before)
{
  gboolean better = TRUE;

  try_vector (s, left.x, left.y);
  try_vector (s, above.x, above.y);
  try_vector (s, before.x, before.y);
  for (int step = 2; step >= 1; step--) {
    better = TRUE;
    for (guint i = 0; better && i < SEARCH_RANGE; i++) {
      Vector centre = s->best;

      better = try_vector (s, centre.x + step, centre.y);
      better |= try_vector (s, centre.x - step, centre.y);
      better |= try_vector (s, centre.x, centre.y + step);
      better |= try_vector (s, centre.x, centre.y - step);
    }
  }
}

static int
median_component (const int *counts, guint total)
{
  guint seen = 0;

  for (int i = -SEARCH_RANGE; i <= SEARCH_RANGE; i++) {
    seen += counts[i + SEARCH_RANGE];
    if (2 * seen > total)
      return i;
  }
  return 0;
}

/* Returns what most blocks share. */
static Vector
measure_motion (DerushFrameMeter *meter, const SmallPicture *picture, const SmallPicture *previous, const Area *area,
                double duration, DerushFrameFeatures *f)
{
  guint columns = (area->x1 - area->x0) / BLOCK, rows = (area->y1 - area->y0) / BLOCK, blocks = columns * rows;
  int x_counts[2 * SEARCH_RANGE + 1] = {0}, y_counts[2 * SEARCH_RANGE + 1] = {0};
  guint moving = 0;
  guint64 difference = 0, residual = 0;
  double length = 0, unit = duration * MAX (picture->width, picture->height);
  Vector global = {0, 0};

  for (guint row = 0; row < rows; row++) {
    for (guint column = 0; column < columns; column++) {
      Vector *vector = &meter->vectors[row * MAX_BLOCKS + column];
      Search s = {.previous = previous, .area = area, .x = area->x0 + column * BLOCK, .y = area->y0 + row * BLOCK};
      guint still;

      s.block = picture->luma + s.y * picture->width + s.x;
      still = block_difference (s.block, previous->luma + s.y * previous->width + s.x, picture->width);
      s.best_cost = s.best_difference = still;
      /* Two grey levels: noise. */
      if (still > 2 * BLOCK * BLOCK) {
        search_block (&s, column > 0 ? vector[-1] : (Vector){0, 0}, row > 0 ? vector[-MAX_BLOCKS] : (Vector){0, 0},
                      *vector);
        /* What explains little is no motion but something new. */
        if (s.best_difference > (1 - EXPLAINED) * still)
          s.best = (Vector){0, 0};
        x_counts[s.best.x + SEARCH_RANGE]++;
        y_counts[s.best.y + SEARCH_RANGE]++;
        moving++;
      }
      *vector = s.best;
      difference += still;
      residual += s.best_difference;
      length += hypot (s.best.x, s.best.y);
    }
  }
  if (blocks == 0)
    return global;
  f->difference = difference / (255.0 * BLOCK * BLOCK * blocks);
  f->residual = residual / (255.0 * BLOCK * BLOCK * blocks);
  f->motion = length / blocks / unit;
  if (moving * 2 > blocks)
    global = (Vector){median_component (x_counts, moving), median_component (y_counts, moving)};
  f->global_motion = MIN (hypot (global.x, global.y) / unit, f->motion);
  return global;
}

static void
compare (DerushFrameMeter *meter, const SmallPicture *picture, const SmallPicture *previous, const Area *area,
         DerushFrameFeatures *f)
{
  DerushFrameFeatures before = meter->previous;
  double duration = f->time - meter->previous_time;
  Vector motion;

  /* The bars have moved, so the old histograms are of another area. */
  if (memcmp (area, &meter->previous_area, sizeof (*area)) != 0) {
    measure_luma (previous, area, &before);
    measure_chroma (previous, area, &before);
  }
  f->histogram_distance = distance_of_histograms (f, &before);
  motion = measure_motion (meter, picture, previous, area, duration > 0 ? CLAMP (duration, 1.0 / 240, 1) : 1, f);
  measure_change (picture, previous, area, motion, f);
}

/**
 * derush_frame_meter_push:
 * @meter: a meter
 * @planes: the frame
 * @time: its stream time in seconds
 * @features: (out caller-allocates): what was measured
 *
 * Measures the next frame. A frame of another size than the one before is measured as a first one. Of the planes,
 * every luma sample is read once.
 *
 * Returns: %FALSE, with @features zeroed, if @planes cannot be a picture (no luma, no size, strides of nothing)
 */
gboolean
derush_frame_meter_push (DerushFrameMeter *meter, const DerushPlanes *planes, double time,
                         DerushFrameFeatures *features)
{
  SmallPicture *picture = &meter->pictures[meter->current ^ 1];
  const SmallPicture *previous = &meter->pictures[meter->current];
  Area area;

  memset (features, 0, sizeof (*features));
  if (!picture_reducer_reduce (meter->reducer, planes, meter->count > 0 ? meter->previous.bar_x : 0, picture,
                               meter->laplacian))
    return FALSE;
  if (meter->count > 0 && (picture->width != previous->width || picture->height != previous->height ||
                           picture->chroma_width != previous->chroma_width))
    derush_frame_meter_reset (meter);
  if (meter->count == 0)
    memset (meter->vectors, 0, sizeof (meter->vectors));
  features->time = time;
  follow_bars (meter, picture, time, &features->bar_x, &features->bar_y);
  area = area_between_bars (picture, features->bar_x, features->bar_y);
  measure_luma (picture, &area, features);
  measure_chroma (picture, &area, features);
  measure_grids (picture, features);
  measure_sharpness (meter->laplacian, &area, planes->full_range, features);
  measure_edges (picture, &area, features);
  if (meter->count > 0)
    compare (meter, picture, previous, &area, features);
  meter->current ^= 1;
  meter->count++;
  meter->previous_time = time;
  meter->previous_area = area;
  meter->previous = *features;
  return TRUE;
}

/* The rows and columns of a grid that no bar touches. */
static Area
cells_between_bars (guint columns, guint rows, float bar_x, float bar_y)
{
  guint x = (guint)ceilf (bar_x * columns - 0.01f), y = (guint)ceilf (bar_y * rows - 0.01f);

  x = MIN (x, (columns - 1) / 2);
  y = MIN (y, (rows - 1) / 2);
  return (Area){x, columns - x, y, rows - y};
}

static void
add_differences (const guint8 *a, const guint8 *b, guint columns, const Area *area, double *mean, double *square)
{
  guint sum = 0, squares = 0, count = (area->x1 - area->x0) * (area->y1 - area->y0);

  for (guint y = area->y0; y < area->y1; y++) {
    for (guint i = y * columns + area->x0; i < y * columns + area->x1; i++) {
      int d = a[i] - b[i];

      sum += ABS (d);
      squares += d * d;
    }
  }
  *mean += sum / (255.0 * count);
  *square += squares / (255.0 * 255.0 * count);
}

void
frame_features_distances (const DerushFrameFeatures *a, const DerushFrameFeatures *b, float *sum, float *length)
{
  float bar_x = MIN (a->bar_x, b->bar_x), bar_y = MIN (a->bar_y, b->bar_y);
  Area luma = cells_between_bars (DERUSH_GRID_COLUMNS, DERUSH_GRID_ROWS, bar_x, bar_y);
  Area chroma = cells_between_bars (DERUSH_CHROMA_GRID_COLUMNS, DERUSH_CHROMA_GRID_ROWS, bar_x, bar_y);
  double mean = 0, square = 0;

  add_differences (a->luma_grid, b->luma_grid, DERUSH_GRID_COLUMNS, &luma, &mean, &square);
  add_differences (a->u_grid, b->u_grid, DERUSH_CHROMA_GRID_COLUMNS, &chroma, &mean, &square);
  add_differences (a->v_grid, b->v_grid, DERUSH_CHROMA_GRID_COLUMNS, &chroma, &mean, &square);
  *sum = mean;
  *length = sqrt (square);
}

/* Correlation of the layout of luma, -1..1; 0 where one of the pictures has none. */
float
frame_features_correlation (const DerushFrameFeatures *a, const DerushFrameFeatures *b)
{
  Area area =
      cells_between_bars (DERUSH_GRID_COLUMNS, DERUSH_GRID_ROWS, MIN (a->bar_x, b->bar_x), MIN (a->bar_y, b->bar_y));
  gint64 n = 0, sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
  double vaa, vbb, vab;

  for (guint y = area.y0; y < area.y1; y++) {
    for (guint i = y * DERUSH_GRID_COLUMNS + area.x0; i < y * DERUSH_GRID_COLUMNS + area.x1; i++) {
      int p = a->luma_grid[i], q = b->luma_grid[i];

      n++;
      sa += p;
      sb += q;
      saa += p * p;
      sbb += q * q;
      sab += p * q;
    }
  }
  vaa = (double)saa / n - ((double)sa / n) * ((double)sa / n);
  vbb = (double)sbb / n - ((double)sb / n) * ((double)sb / n);
  vab = (double)sab / n - ((double)sa / n) * ((double)sb / n);
  /* Four grey levels squared: below that a layout is noise. */
  return vab / (sqrt (MAX (0, vaa) * MAX (0, vbb)) + 4);
}

/*
 * How much of what is to be seen in either picture the difference is spread over: 1 all of it evenly, near 0 a small
 * part. What is black in both does not count.
 */
float
frame_features_spread (const DerushFrameFeatures *a, const DerushFrameFeatures *b)
{
  gint64 n = 0, sum = 0, squares = 0;

  for (guint i = 0; i < sizeof (a->luma_grid); i++) {
    int d = a->luma_grid[i] - b->luma_grid[i];

    if (MAX (a->luma_grid[i], b->luma_grid[i]) <= BAR_LUMA)
      continue;
    n++;
    sum += ABS (d);
    squares += d * d;
  }
  return squares > 0 ? (double)sum * sum / ((double)n * squares) : 1;
}

/**
 * derush_frame_features_distance:
 * @a: a frame
 * @b: any other frame of the same film
 *
 * Compares the layout of two pictures by their grids, black bars left out.
 *
 * Returns: mean absolute difference of the cells, the means of luma, U and V summed: 0 (alike)..3, seldom above 1
 */
float
derush_frame_features_distance (const DerushFrameFeatures *a, const DerushFrameFeatures *b)
{
  float sum, length;

  frame_features_distances (a, b, &sum, &length);
  return sum;
}
