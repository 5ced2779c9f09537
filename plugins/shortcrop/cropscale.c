/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cropscale.h"

#include <math.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * One pass from the source to the output: each source row that is needed is scaled across once, into 16 bits with
 * ROW_BITS of fraction, and each output row is made of the last few of them. The kernel is the cubic of Keys (1981)
 * with a = -0.6, as common bicubic scalers have it; it widens with the reduction, so that nothing aliases.
 */

#define CUBIC (-0.6)
#define WEIGHT_BITS 14
#define ROW_BITS 6

/* How one direction of one component is sampled. */
typedef struct {
  double start, step;
  guint n_out, n_in;
  guint taps;     /* a multiple of 4 */
  guint *first;   /* of the taps, per output sample */
  gint16 *weight; /* @taps per output sample; they add up to 1 << WEIGHT_BITS */
} Axis;

typedef struct {
  Axis across;
  Axis down[2]; /* of each field; only the first of a progressive frame */
} Component;

struct _CropScaler {
  Component components[GST_VIDEO_MAX_COMPONENTS];
  gint16 *rows; /* ring of scaled rows */
  gsize rows_size;
  guint8 *bytes; /* one row of the source, then one of the output, without gaps */
  gsize bytes_size;
};

CropScaler *
crop_scaler_new (void)
{
  return g_new0 (CropScaler, 1);
}

static void
axis_clear (Axis *axis)
{
  g_clear_pointer (&axis->first, g_free);
  g_clear_pointer (&axis->weight, g_free);
}

void
crop_scaler_free (CropScaler *scaler)
{
  for (guint i = 0; i < GST_VIDEO_MAX_COMPONENTS; i++) {
    axis_clear (&scaler->components[i].across);
    axis_clear (&scaler->components[i].down[0]);
    axis_clear (&scaler->components[i].down[1]);
  }
  g_free (scaler->rows);
  g_free (scaler->bytes);
  g_free (scaler);
}

/* ── Weights ────────────────────────────────────────────────────────────── */

static double
cubic (double x)
{
  x = fabs (x);
  if (x < 1)
    return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1;
  if (x < 2)
    return ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC;
  return 0;
}

/* Rounded so that they add up: the greatest takes what is left. */
static void
store_weights (gint16 *out, const double *weights, guint taps, double sum)
{
  int left = 1 << WEIGHT_BITS;
  guint greatest = 0;

  for (guint i = 0; i < taps; i++) {
    out[i] = (gint16)lrint (weights[i] / sum * (1 << WEIGHT_BITS));
    left -= out[i];
    if (weights[i] > weights[greatest])
      greatest = i;
  }
  out[greatest] += (gint16)left;
}

/* Output sample i is the source around index @start + i × @step; beyond the picture its last sample repeats. */
static void
axis_prepare (Axis *axis, double start, double step, guint n_out, guint n_in)
{
  double widening = MAX (1, step), support = 2 * widening;
  guint needed = 2 * (guint)ceil (support);
  g_autofree double *weights = NULL;

  if (axis->first && axis->start == start && axis->step == step && axis->n_out == n_out && axis->n_in == n_in)
    return;
  axis_clear (axis);
  axis->start = start;
  axis->step = step;
  axis->n_out = n_out;
  axis->n_in = n_in;
  axis->taps = (needed + 3) & ~3u;
  axis->first = g_new (guint, n_out);
  axis->weight = g_new (gint16, (gsize)n_out * axis->taps);
  weights = g_new (double, axis->taps);
  for (guint i = 0; i < n_out; i++) {
    double position = start + i * step, sum = 0;
    int from = (int)floor (position - support) + 1, last = MAX (0, (int)n_in - (int)axis->taps);
    int first = CLAMP (from, 0, last);

    memset (weights, 0, axis->taps * sizeof (double));
    for (guint k = 0; k < needed; k++) {
      int index = CLAMP (from + (int)k, 0, (int)n_in - 1) - first;
      double weight = cubic ((from + (int)k - position) / widening);

      weights[CLAMP (index, 0, (int)axis->taps - 1)] += weight;
      sum += weight;
    }
    axis->first[i] = (guint)first;
    store_weights (axis->weight + (gsize)i * axis->taps, weights, axis->taps, sum);
  }
}

/* ── Rows ───────────────────────────────────────────────────────────────── */

#ifdef __SSE2__
static inline __m128i
multiply_four (const guint8 *in, const gint16 *weight)
{
  gint32 four;

  memcpy (&four, in, 4);
  return _mm_madd_epi16 (_mm_unpacklo_epi8 (_mm_cvtsi32_si128 (four), _mm_setzero_si128 ()),
                         _mm_loadl_epi64 ((const __m128i *)weight));
}

static guint
scale_across_four (gint16 *out, const guint8 *in, const Axis *axis)
{
  const __m128i half = _mm_set1_epi32 (1 << (WEIGHT_BITS - ROW_BITS - 1)), zero = _mm_setzero_si128 ();
  const guint *first = axis->first;
  guint x = 0;

  for (; x + 4 <= axis->n_out; x += 4) {
    const __m128i *weight = (const __m128i *)(axis->weight + (gsize)x * 4);
    gint32 four[4];
    __m128i a, b;

    for (guint i = 0; i < 4; i++)
      memcpy (&four[i], in + first[x + i], 4);
    a = _mm_unpacklo_epi32 (_mm_cvtsi32_si128 (four[0]), _mm_cvtsi32_si128 (four[1]));
    b = _mm_unpacklo_epi32 (_mm_cvtsi32_si128 (four[2]), _mm_cvtsi32_si128 (four[3]));
    a = _mm_madd_epi16 (_mm_unpacklo_epi8 (a, zero), _mm_loadu_si128 (weight));
    b = _mm_madd_epi16 (_mm_unpacklo_epi8 (b, zero), _mm_loadu_si128 (weight + 1));
    /* The even sums, and the odd ones. */
    a = _mm_add_epi32 (
        _mm_castps_si128 (_mm_shuffle_ps (_mm_castsi128_ps (a), _mm_castsi128_ps (b), _MM_SHUFFLE (2, 0, 2, 0))),
        _mm_castps_si128 (_mm_shuffle_ps (_mm_castsi128_ps (a), _mm_castsi128_ps (b), _MM_SHUFFLE (3, 1, 3, 1))));
    a = _mm_srai_epi32 (_mm_add_epi32 (a, half), WEIGHT_BITS - ROW_BITS);
    _mm_storel_epi64 ((__m128i *)(out + x), _mm_packs_epi32 (a, a));
  }
  return x;
}

static void
scale_across (gint16 *out, const guint8 *in, const Axis *axis)
{
  const __m128i half = _mm_set1_epi32 (1 << (WEIGHT_BITS - ROW_BITS - 1));
  guint taps = axis->taps, x = taps == 4 ? scale_across_four (out, in, axis) : 0;

  for (; x + 4 <= axis->n_out; x += 4) {
    const gint16 *weight = axis->weight + (gsize)x * taps;
    __m128i s[4], a, b, sums;

    for (guint i = 0; i < 4; i++) {
      const guint8 *from = in + axis->first[x + i];

      s[i] = multiply_four (from, weight + i * taps);
      for (guint k = 4; k < taps; k += 4)
        s[i] = _mm_add_epi32 (s[i], multiply_four (from + k, weight + i * taps + k));
    }
    a = _mm_unpacklo_epi32 (s[0], s[1]);
    b = _mm_unpacklo_epi32 (s[2], s[3]);
    sums = _mm_add_epi32 (_mm_unpacklo_epi64 (a, b), _mm_unpackhi_epi64 (a, b));
    sums = _mm_srai_epi32 (_mm_add_epi32 (sums, half), WEIGHT_BITS - ROW_BITS);
    _mm_storel_epi64 ((__m128i *)(out + x), _mm_packs_epi32 (sums, sums));
  }
  for (; x < axis->n_out; x++) {
    gint32 sum = 1 << (WEIGHT_BITS - ROW_BITS - 1);

    for (guint k = 0; k < taps; k++)
      sum += in[axis->first[x] + k] * axis->weight[(gsize)x * taps + k];
    out[x] = (gint16)(sum >> (WEIGHT_BITS - ROW_BITS));
  }
}

/* Products rounded down to 16 bits: exact to a quarter of a level with the few taps of a crop that is not reduced. */
static guint
scale_down_short (guint8 *out, const gint16 *const *rows, const gint16 *weight, guint taps, guint n)
{
  const int bits = WEIGHT_BITS + ROW_BITS - 16;
  const __m128i half = _mm_set1_epi16 ((gint16)((1 << (bits - 1)) + taps / 2));
  guint x = 0;

  for (; x + 16 <= n; x += 16) {
    __m128i low = half, high = half;

    for (guint k = 0; k < taps; k++) {
      const __m128i *row = (const __m128i *)(rows[k] + x);
      __m128i w = _mm_set1_epi16 (weight[k]);

      low = _mm_add_epi16 (low, _mm_mulhi_epi16 (_mm_loadu_si128 (row), w));
      high = _mm_add_epi16 (high, _mm_mulhi_epi16 (_mm_loadu_si128 (row + 1), w));
    }
    _mm_storeu_si128 ((__m128i *)(out + x), _mm_packus_epi16 (_mm_srai_epi16 (low, bits), _mm_srai_epi16 (high, bits)));
  }
  return x;
}

static guint
scale_down_long (guint8 *out, const gint16 *const *rows, const gint16 *weight, guint taps, guint n)
{
  const __m128i half = _mm_set1_epi32 (1 << (WEIGHT_BITS + ROW_BITS - 1));
  guint x = 0;

  for (; x + 8 <= n; x += 8) {
    __m128i low = half, high = half;

    for (guint k = 0; k < taps; k += 2) {
      __m128i a = _mm_loadu_si128 ((const __m128i *)(rows[k] + x));
      __m128i b = _mm_loadu_si128 ((const __m128i *)(rows[k + 1] + x));
      __m128i w = _mm_set1_epi32 ((guint16)weight[k] | (gint32)((guint32)(guint16)weight[k + 1] << 16));

      low = _mm_add_epi32 (low, _mm_madd_epi16 (_mm_unpacklo_epi16 (a, b), w));
      high = _mm_add_epi32 (high, _mm_madd_epi16 (_mm_unpackhi_epi16 (a, b), w));
    }
    low = _mm_packs_epi32 (_mm_srai_epi32 (low, WEIGHT_BITS + ROW_BITS), _mm_srai_epi32 (high, WEIGHT_BITS + ROW_BITS));
    _mm_storel_epi64 ((__m128i *)(out + x), _mm_packus_epi16 (low, low));
  }
  return x;
}

static guint
scale_down_fast (guint8 *out, const gint16 *const *rows, const gint16 *weight, guint taps, guint n)
{
  return taps == 4 ? scale_down_short (out, rows, weight, 4, n) : scale_down_long (out, rows, weight, taps, n);
}
#else
static void
scale_across (gint16 *out, const guint8 *in, const Axis *axis)
{
  for (guint x = 0; x < axis->n_out; x++) {
    const gint16 *weight = axis->weight + (gsize)x * axis->taps;
    gint32 sum = 1 << (WEIGHT_BITS - ROW_BITS - 1);

    for (guint k = 0; k < axis->taps; k++)
      sum += in[axis->first[x] + k] * weight[k];
    out[x] = (gint16)(sum >> (WEIGHT_BITS - ROW_BITS));
  }
}

static guint
scale_down_fast (guint8 *out, const gint16 *const *rows, const gint16 *weight, guint taps, guint n)
{
  return 0;
}
#endif

static void
scale_down (guint8 *out, const gint16 *const *rows, const gint16 *weight, guint taps, guint n)
{
  for (guint x = scale_down_fast (out, rows, weight, taps, n); x < n; x++) {
    gint32 sum = 1 << (WEIGHT_BITS + ROW_BITS - 1);

    for (guint k = 0; k < taps; k++)
      sum += rows[k][x] * weight[k];
    sum >>= WEIGHT_BITS + ROW_BITS;
    out[x] = (guint8)CLAMP (sum, 0, 255);
  }
}

/* ── Components ─────────────────────────────────────────────────────────── */

/* Samples as they lie in a frame. */
typedef struct {
  guint8 *data;
  gssize stride;
  guint gap; /* from one sample to the next */
  guint width, height;
} Samples;

static const guint8 *
fetch_row (const Samples *in, guint y, guint least_width, guint8 *buffer)
{
  const guint8 *row = in->data + (gssize)y * in->stride;

  if (in->gap == 1 && in->width >= least_width)
    return row;
  for (guint x = 0; x < in->width; x++)
    buffer[x] = row[(gsize)x * in->gap];
  /* The weights there are 0. */
  if (in->width < least_width)
    memset (buffer + in->width, 0, least_width - in->width);
  return buffer;
}

static void
scale_samples (CropScaler *self, const Samples *in, const Samples *out, const Axis *across, const Axis *down)
{
  gsize row_length = (across->n_out + 15) & ~15u, in_length = MAX (in->width, across->taps) + 16;
  gsize rows_size = row_length * down->taps, bytes_size = in_length + out->width + 16;
  g_autofree const gint16 **rows = g_new (const gint16 *, down->taps);
  guint done = 0; /* rows up to this one are in the ring, or not needed */

  if (self->rows_size < rows_size) {
    g_free (self->rows);
    self->rows = g_new0 (gint16, rows_size);
    self->rows_size = rows_size;
  }
  if (self->bytes_size < bytes_size) {
    g_free (self->bytes);
    self->bytes = g_malloc (bytes_size);
    self->bytes_size = bytes_size;
  }
  for (guint y = 0; y < out->height; y++) {
    guint first = down->first[y];
    guint8 *to = out->data + (gssize)y * out->stride, *line = out->gap == 1 ? to : self->bytes + in_length;

    for (done = MAX (done, first); done < first + down->taps && done < in->height; done++)
      scale_across (self->rows + (done % down->taps) * row_length, fetch_row (in, done, across->taps, self->bytes),
                    across);
    /* A picture of fewer rows than taps: the weights beyond are 0. */
    for (guint k = 0; k < down->taps; k++)
      rows[k] = self->rows + (MIN (first + k, in->height - 1) % down->taps) * row_length;
    scale_down (line, rows, down->weight + (gsize)y * down->taps, down->taps, across->n_out);
    for (guint x = 0; out->gap > 1 && x < out->width; x++)
      to[(gsize)x * out->gap] = line[x];
  }
}

static Samples
take_samples (const GstVideoFrame *frame, guint component, guint field, guint fields)
{
  return (Samples){
      .data = (guint8 *)GST_VIDEO_FRAME_COMP_DATA (frame, component) +
              (gssize)field * GST_VIDEO_FRAME_COMP_STRIDE (frame, component),
      .stride = (gssize)GST_VIDEO_FRAME_COMP_STRIDE (frame, component) * fields,
      .gap = GST_VIDEO_FRAME_COMP_PSTRIDE (frame, component),
      .width = GST_VIDEO_FRAME_COMP_WIDTH (frame, component),
      .height = (GST_VIDEO_FRAME_COMP_HEIGHT (frame, component) + fields - 1 - field) / fields,
  };
}

/* Where the first sample of a component lies in a group of luma samples, as far as one luma sample is wide. */
static double
first_sample (guint subsampling, gboolean cosited)
{
  return cosited ? 0.5 : (1 << subsampling) / 2.0;
}

static void
scale_component (CropScaler *self, guint component, const GstVideoFrame *in, GstVideoFrame *out, double x, double y,
                 double width, double height, guint fields)
{
  const GstVideoFormatInfo *format = in->info.finfo;
  GstVideoChromaSite site = in->info.chroma_site;
  guint sub_x = GST_VIDEO_FORMAT_INFO_W_SUB (format, component),
        sub_y = GST_VIDEO_FORMAT_INFO_H_SUB (format, component);
  double ratio_x = width / GST_VIDEO_FRAME_WIDTH (out), ratio_y = height / GST_VIDEO_FRAME_HEIGHT (out);
  /* What MPEG-2 and its successors have where nothing is said. */
  gboolean cosited_x = sub_x > 0 && (site == GST_VIDEO_CHROMA_SITE_UNKNOWN || (site & GST_VIDEO_CHROMA_SITE_H_COSITED));
  gboolean cosited_y = sub_y > 0 && (site & GST_VIDEO_CHROMA_SITE_V_COSITED);
  double first_x = first_sample (sub_x, cosited_x), first_y = first_sample (sub_y, cosited_y);
  Component *scaling = &self->components[component];

  for (guint field = 0; field < fields; field++) {
    Samples from = take_samples (in, component, field, fields), to = take_samples (out, component, field, fields);
    /* A field is a picture of half the height, which lies half a row off. */
    double top = fields == 1 ? y : (y + (field + 0.5) * (ratio_y - 1)) / 2 + 0.5 - 0.5 * ratio_y;

    if (from.height == 0 || to.height == 0)
      continue;
    axis_prepare (&scaling->across, (x + first_x * ratio_x - first_x) / (1 << sub_x), ratio_x, to.width, from.width);
    axis_prepare (&scaling->down[field], (top + first_y * ratio_y - first_y) / (1 << sub_y), ratio_y, to.height,
                  from.height);
    scale_samples (self, &from, &to, &scaling->across, &scaling->down[field]);
  }
}

/*
 * Makes the whole of @out of the rectangle of @in, which may lie between pixels. Both have the same format, one of
 * CROP_SCALE_FORMATS; the fields of interlaced frames are kept apart.
 */
void
crop_scaler_run (CropScaler *scaler, const GstVideoFrame *in, GstVideoFrame *out, double x, double y, double width,
                 double height)
{
  guint n = GST_VIDEO_FRAME_N_COMPONENTS (in);
  guint fields = GST_VIDEO_FRAME_IS_INTERLACED (in) && GST_VIDEO_FRAME_HEIGHT (in) > 2 ? 2 : 1;

  /* What is padding to us may be alpha to others. */
  if (n == 3 && GST_VIDEO_FRAME_COMP_PSTRIDE (in, 0) == 4)
    memset (GST_VIDEO_FRAME_PLANE_DATA (out, 0), 255,
            (gsize)GST_VIDEO_FRAME_PLANE_STRIDE (out, 0) * GST_VIDEO_FRAME_HEIGHT (out));
  for (guint i = 0; i < n; i++)
    scale_component (scaler, i, in, out, x, y, width, height, fields);
}
