/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "picture-private.h"

#include <string.h>

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
fetch_row (guint8 *buffer, const DerushPlanes *planes, guint plane, guint width, guint y)
{
  const guint8 *source = planes->data[plane] + y * planes->stride[plane];
  guint step = planes->pixel_stride[plane];

  if (planes->sample_bits > 8) {
    guint shift = planes->sample_bits - 8;

    if (step == 2) {
      for (guint x = 0; x < width; x++)
        buffer[x] = (source[2 * x] | source[2 * x + 1] << 8) >> shift;
    } else {
      for (guint x = 0; x < width; x++)
        buffer[x] = (source[step * x] | source[step * x + 1] << 8) >> shift;
    }
    return buffer;
  }
  if (step == 1)
    return source;
  if (step == 2) {
    for (guint x = 0; x < width; x++)
      buffer[x] = source[2 * x];
  } else {
    for (guint x = 0; x < width; x++)
      buffer[x] = source[step * x];
  }
  return buffer;
}

static inline void
add_row (guint16 *restrict sums, const guint8 *restrict row, guint width, gboolean first)
{
  if (first) {
    for (guint x = 0; x < width; x++)
      sums[x] = row[x];
  } else {
    for (guint x = 0; x < width; x++)
      sums[x] += row[x];
  }
}

static inline void
reduce_columns_by (guint8 *restrict out, const guint16 *restrict sums, guint out_width, guint factor, guint rows)
{
  float scale = 1.0f / (factor * rows);

  for (guint x = 0; x < out_width; x++) {
    guint sum = 0;

    for (guint i = 0; i < factor; i++)
      sum += sums[x * factor + i];
    out[x] = (int)(sum * scale + 0.5f);
  }
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
add_laplacian (LaplacianRow *total, const guint8 *above, const guint8 *row, const guint8 *below, guint from, guint to)
{
  gint sum = 0, squares = 0;

  for (guint x = from; x < to; x++) {
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

    for (guint i = 0; i < first_y; i++) {
      const guint8 *row =
          fetch_row (first == 1 ? self->middle[y % 3] : self->row, planes, 0, planes->width, y * first_y + i);

      if (first == 1)
        rows[y % 3] = row;
      else
        add_row (self->columns, row, middle_width * first_x, i == 0);
    }
    if (first > 1) {
      reduce_columns (self->middle[y % 3], self->columns, middle_width, first_x, first_y);
      rows[y % 3] = self->middle[y % 3];
    }
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
