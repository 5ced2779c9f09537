/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "picture-private.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Column sums are 16 bits wide: 257 rows of 255 fit. */
#define MAX_ROWS 257

struct _PictureReducer {
  guint width;
  guint8 *row;       /* one source row as 8-bit samples */
  guint16 *columns;  /* sums of the source columns */
  guint8 *middle[3]; /* the last rows of the sharpness picture */
  guint16 *middle_columns;
  guint8 luma_range[256];
  guint8 chroma_range[256];
  gboolean full_range;
};

static void
set_range (PictureReducer *self, gboolean full_range)
{
  for (int i = 0; i < 256; i++) {
    int luma = full_range ? i : ((i - 16) * 255 + 109) / 219;
    int chroma = full_range ? i : 128 + ((i - 128) * 255) / 224;

    self->luma_range[i] = CLAMP (luma, 0, 255);
    self->chroma_range[i] = CLAMP (chroma, 0, 255);
  }
  self->full_range = full_range;
}

PictureReducer *
picture_reducer_new (void)
{
  PictureReducer *self = g_new0 (PictureReducer, 1);

  set_range (self, FALSE);
  return self;
}

static void
free_rows (PictureReducer *self)
{
  g_clear_pointer (&self->row, g_free);
  g_clear_pointer (&self->columns, g_free);
  g_clear_pointer (&self->middle_columns, g_free);
  for (guint i = 0; i < G_N_ELEMENTS (self->middle); i++)
    g_clear_pointer (&self->middle[i], g_free);
}

void
picture_reducer_free (PictureReducer *self)
{
  free_rows (self);
  g_free (self);
}

static void
prepare (PictureReducer *self, guint width, gboolean full_range)
{
  if (width > self->width) {
    free_rows (self);
    self->row = g_malloc (width);
    self->columns = g_new (guint16, width);
    self->middle_columns = g_new (guint16, width);
    for (guint i = 0; i < G_N_ELEMENTS (self->middle); i++)
      self->middle[i] = g_malloc (width);
    self->width = width;
  }
  if (full_range != self->full_range)
    set_range (self, full_range);
}

/* One row as 8-bit samples: the row itself where it is so already, else a converted copy. */
static const guint8 *
fetch_row (guint8 *restrict buffer, const DerushPlanes *planes, guint plane, gsize width, gsize y)
{
  const guint8 *source = planes->data[plane] + y * planes->stride[plane];
  gsize step = planes->pixel_stride[plane];

  if (planes->sample_bits > 8) {
    guint shift = planes->sample_bits - 8;

    if (step == 2) {
      for (gsize x = 0; x < width; x++)
        buffer[x] = (source[2 * x] | source[2 * x + 1] << 8) >> shift;
    } else {
      for (gsize x = 0; x < width; x++)
        buffer[x] = (source[step * x] | source[step * x + 1] << 8) >> shift;
    }
    return buffer;
  }
  if (step == 1)
    return source;
  if (step == 2) {
    for (gsize x = 0; x < width; x++)
      buffer[x] = source[2 * x];
  } else {
    for (gsize x = 0; x < width; x++)
      buffer[x] = source[step * x];
  }
  return buffer;
}

static inline void
add_row (guint16 *restrict sums, const guint8 *restrict row, gsize width, gboolean first)
{
  if (first) {
    for (gsize x = 0; x < width; x++)
      sums[x] = row[x];
  } else {
    for (gsize x = 0; x < width; x++)
      sums[x] += row[x];
  }
}

static inline void
reduce_columns_by (guint8 *restrict out, const guint16 *restrict sums, gsize out_width, gsize factor, guint rows)
{
  float scale = 1.0f / (factor * rows);

  for (gsize x = 0; x < out_width; x++) {
    int sum = 0;

    for (gsize i = 0; i < factor; i++)
      sum += sums[x * factor + i];
    out[x] = (int)(sum * scale + 0.5f);
  }
}

/* The commonest case (720p) in one go: means of 2x2. */
static void
reduce_two_rows (guint8 *restrict out, const guint8 *restrict upper, const guint8 *restrict lower, gsize out_width)
{
  gsize x = 0;

#ifdef __SSE2__
  const __m128i low_bytes = _mm_set1_epi16 (0x00ff), two = _mm_set1_epi16 (2);

  for (; x + 16 <= out_width; x += 16) {
    __m128i halves[2];

    for (guint i = 0; i < 2; i++) {
      __m128i a = _mm_loadu_si128 ((const __m128i *)(upper + 2 * x) + i);
      __m128i b = _mm_loadu_si128 ((const __m128i *)(lower + 2 * x) + i);
      __m128i sum = _mm_add_epi16 (_mm_add_epi16 (_mm_and_si128 (a, low_bytes), _mm_srli_epi16 (a, 8)),
                                   _mm_add_epi16 (_mm_and_si128 (b, low_bytes), _mm_srli_epi16 (b, 8)));

      halves[i] = _mm_srli_epi16 (_mm_add_epi16 (sum, two), 2);
    }
    _mm_storeu_si128 ((__m128i *)(out + x), _mm_packus_epi16 (halves[0], halves[1]));
  }
#endif
  for (; x < out_width; x++)
    out[x] = (upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1] + 2) >> 2;
}

/* A constant factor lets the compiler unroll the inner loop. */
static void
reduce_columns (guint8 *out, const guint16 *sums, guint out_width, guint factor, guint rows)
{
  switch (factor) {
  case 1:
    reduce_columns_by (out, sums, out_width, 1, rows);
    break;
  case 2:
    reduce_columns_by (out, sums, out_width, 2, rows);
    break;
  case 3:
    reduce_columns_by (out, sums, out_width, 3, rows);
    break;
  case 4:
    reduce_columns_by (out, sums, out_width, 4, rows);
    break;
  case 6:
    reduce_columns_by (out, sums, out_width, 6, rows);
    break;
  case 8:
    reduce_columns_by (out, sums, out_width, 8, rows);
    break;
  default:
    reduce_columns_by (out, sums, out_width, factor, rows);
  }
}

static void
add_laplacian (LaplacianRow *total, const guint8 *above, const guint8 *row, const guint8 *below, gsize from, gsize to)
{
  gint sum = 0, squares = 0;

  for (gsize x = from; x < to; x++) {
    gint16 value = 4 * row[x] - row[x - 1] - row[x + 1] - above[x] - below[x];

    sum += value;
    squares += (int)value * value;
  }
  total->count += to - from;
  total->sum += sum;
  total->squares += squares;
}

static void
apply_range (guint8 *samples, guint count, const guint8 range[256])
{
  for (guint i = 0; i < count; i++)
    samples[i] = range[samples[i]];
}

/* Row @y of the sharpness picture; one of the source where it is no larger. */
static const guint8 *
middle_row (PictureReducer *self, const DerushPlanes *planes, guint y, guint width, guint factor_x, guint factor_y)
{
  guint8 *out = self->middle[y % 3];

  if (factor_x == 1 && factor_y == 1)
    return fetch_row (out, planes, 0, planes->width, y);
  if (factor_x == 2 && factor_y == 2 && planes->sample_bits == 8 && planes->pixel_stride[0] == 1) {
    const guint8 *upper = planes->data[0] + 2 * y * planes->stride[0];

    reduce_two_rows (out, upper, upper + planes->stride[0], width);
    return out;
  }
  for (guint i = 0; i < factor_y; i++) {
    const guint8 *row = fetch_row (self->row, planes, 0, planes->width, y * factor_y + i);

    add_row (self->columns, row, width * factor_x, i == 0);
  }
  reduce_columns (out, self->columns, width, factor_x, factor_y);
  return out;
}

static void
reduce_luma (PictureReducer *self, const DerushPlanes *planes, float bar_x, SmallPicture *small,
             LaplacianRow *laplacian)
{
  guint longer = MAX (planes->width, planes->height);
  guint first = (longer + DERUSH_SHARPNESS_PICTURE_SIZE - 1) / DERUSH_SHARPNESS_PICTURE_SIZE;
  guint first_x = MIN (first, planes->width), first_y = MIN (first, planes->height);
  guint middle_width = planes->width / first_x, middle_height = planes->height / first_y;
  guint second = (MAX (middle_width, middle_height) + SMALL_SIZE - 1) / SMALL_SIZE;
  guint second_x = MIN (second, middle_width), second_y = MIN (second, middle_height);
  guint skipped = (guint)(bar_x * middle_width) + (bar_x > 0 ? 2 * second_x : 0);
  guint from = 1 + skipped, to = middle_width > 2 + 2 * skipped ? middle_width - 1 - skipped : from;
  const guint8 *rows[3] = {NULL};

  small->width = middle_width / second_x;
  small->height = middle_height / second_y;
  memset (laplacian, 0, SMALL_SIZE * sizeof (LaplacianRow));
  for (guint y = 0; y < small->height * second_y; y++) {
    guint within = y % second_y;

    rows[y % 3] = middle_row (self, planes, y, middle_width, first_x, first_y);
    add_row (self->middle_columns, rows[y % 3], small->width * second_x, within == 0);
    if (within == second_y - 1)
      reduce_columns (small->luma + y / second_y * small->width, self->middle_columns, small->width, second_x,
                      second_y);
    /* One row in each row of the small picture is enough. */
    if (y >= 2 && (y - 1) % second_y == second_y / 2)
      add_laplacian (&laplacian[(y - 1) / second_y], rows[(y - 2) % 3], rows[(y - 1) % 3], rows[y % 3], from, to);
  }
  apply_range (small->luma, small->width * small->height, self->luma_range);
}

static void
reduce_chroma (PictureReducer *self, const DerushPlanes *planes, SmallPicture *small)
{
  guint longer = MAX (planes->chroma_width, planes->chroma_height);
  guint factor = (longer + SMALL_CHROMA_SIZE - 1) / SMALL_CHROMA_SIZE;
  guint factor_x = MIN (factor, planes->chroma_width), factor_y = MIN (factor, planes->chroma_height);

  small->chroma_width = planes->chroma_width / factor_x;
  small->chroma_height = planes->chroma_height / factor_y;
  for (guint plane = 1; plane < 3; plane++) {
    guint8 *out = plane == 1 ? small->u : small->v;

    for (guint y = 0; y < small->chroma_height; y++) {
      /* Every second row of a large box: chroma is smooth, and its rows cost as much to read as luma's. */
      guint step = MAX (factor_y >= 4 ? 2 : 1, (factor_y + MAX_ROWS - 1) / MAX_ROWS), rows = 0;

      for (guint i = 0; i < factor_y; i += step, rows++) {
        const guint8 *row = fetch_row (self->row, planes, plane, planes->chroma_width, y * factor_y + i);

        add_row (self->columns, row, small->chroma_width * factor_x, i == 0);
      }
      reduce_columns (out + y * small->chroma_width, self->columns, small->chroma_width, factor_x, rows);
    }
    apply_range (out, small->chroma_width * small->chroma_height, self->chroma_range);
  }
}

static gboolean
planes_are_usable (const DerushPlanes *planes)
{
  guint sample_bytes = planes->sample_bits > 8 ? 2 : 1;

  if (!planes->data[0] || planes->width < 1 || planes->height < 1 || planes->width > G_MAXUINT16 ||
      planes->height > G_MAXUINT16 || planes->sample_bits < 8 || planes->sample_bits > 16 ||
      planes->pixel_stride[0] < sample_bytes)
    return FALSE;
  if (!planes->data[1] || !planes->data[2])
    return TRUE;
  return planes->chroma_width >= 1 && planes->chroma_height >= 1 && planes->chroma_width <= planes->width &&
         planes->chroma_height <= planes->height && planes->pixel_stride[1] >= sample_bytes &&
         planes->pixel_stride[2] >= sample_bytes;
}

/*
 * Reads every luma row once and leaves the small picture and, per row of it, the Laplacian of the sharpness picture
 * between the black bars at left and right.
 */
gboolean
picture_reducer_reduce (PictureReducer *self, const DerushPlanes *planes, float bar_x, SmallPicture *small,
                        LaplacianRow laplacian[SMALL_SIZE])
{
  if (!planes_are_usable (planes))
    return FALSE;
  prepare (self, planes->width, planes->full_range);
  reduce_luma (self, planes, bar_x, small, laplacian);
  small->chroma_width = small->chroma_height = 0;
  if (planes->data[1] && planes->data[2])
    reduce_chroma (self, planes, small);
  return TRUE;
}
