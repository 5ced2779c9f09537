/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "plugins/analysis/analysis.h"

#include <math.h>

#define TABLE_BITS 12
#define TABLE_SIZE (1 << TABLE_BITS)
/* BT.2408: where a paper white lies in a picture of high dynamic range, and so what becomes the white of ours. */
#define REFERENCE_WHITE 203.0
#define HLG_PEAK 1000.0
#define HLG_GAMMA 1.2f
/* Up to here, of the white of ours, light stays as it is; above, it is compressed. */
#define KNEE 0.6f

struct _DerushToneMapper {
  gboolean hybrid;
  float linear[TABLE_SIZE];   /* of a component: light, relative to the reference white */
  guint8 encoded[TABLE_SIZE]; /* of linear light 0..1: sRGB */
};

/* SMPTE ST 2084, in cd/m². */
static double
pq_to_light (double value)
{
  const double m1 = 2610.0 / 16384, m2 = 2523.0 / 4096 * 128;
  const double c1 = 3424.0 / 4096, c2 = 2413.0 / 4096 * 32, c3 = 2392.0 / 4096 * 32;
  double power = pow (value, 1 / m2);

  return 10000 * pow (MAX (power - c1, 0) / (c2 - c3 * power), 1 / m1);
}

/* ARIB STD-B67: scene light, 0..1. */
static double
hlg_to_light (double value)
{
  const double a = 0.17883277, b = 1 - 4 * a, c = 0.5 - a * log (4 * a);

  return value <= 0.5 ? value * value / 3 : (exp ((value - c) / a) + b) / 12;
}

static double
srgb_from_light (double light)
{
  return light <= 0.0031308 ? 12.92 * light : 1.055 * pow (light, 1 / 2.4) - 0.055;
}

/**
 * derush_tone_mapper_new:
 * @transfer: how the picture is stored
 *
 * Returns: (transfer full): what makes pictures of BT.2020 primaries and high dynamic range fit for common screens
 */
DerushToneMapper *
derush_tone_mapper_new (DerushHdrTransfer transfer)
{
  DerushToneMapper *self = g_new (DerushToneMapper, 1);

  self->hybrid = transfer == DERUSH_HDR_TRANSFER_HLG;
  for (guint i = 0; i < TABLE_SIZE; i++) {
    double value = i / (TABLE_SIZE - 1.0);

    self->linear[i] = self->hybrid ? hlg_to_light (value) : pq_to_light (value) / REFERENCE_WHITE;
    self->encoded[i] = (guint8)(255 * srgb_from_light (value) + 0.5);
  }
  return self;
}

/**
 * derush_tone_mapper_free:
 * @self: (transfer full): a tone mapper
 */
void
derush_tone_mapper_free (DerushToneMapper *self)
{
  g_free (self);
}

/* Approaches 1 from the knee on, with the same slope at the knee. */
static float
compress (float light)
{
  return light <= KNEE ? light : KNEE + (1 - KNEE) * (1 - expf (-(light - KNEE) / (1 - KNEE)));
}

static guint8
encode (const DerushToneMapper *self, float light)
{
  return self->encoded[(guint)(CLAMP (light, 0.0f, 1.0f) * (TABLE_SIZE - 1) + 0.5f)];
}

/**
 * derush_tone_mapper_run:
 * @self: a tone mapper
 * @argb: (array length=n_pixels): pixels of four 16-bit components in the machine's byte order, alpha first, as the
 *   film stores them (not linear)
 * @rgba: (out caller-allocates): room for four bytes per pixel, red first, sRGB
 * @n_pixels: their number
 *
 * Light up to 60 % of the reference white of 203 cd/m² (ITU-R BT.2408) stays as it is; what is brighter is compressed
 * by the brightest component, so that hues stay. Primaries go from BT.2020 to BT.709 (ITU-R BT.2087).
 */
void
derush_tone_mapper_run (const DerushToneMapper *self, const guint16 *argb, guint8 *rgba, gsize n_pixels)
{
  for (gsize i = 0; i < n_pixels; i++, argb += 4, rgba += 4) {
    float r = self->linear[argb[1] >> (16 - TABLE_BITS)];
    float g = self->linear[argb[2] >> (16 - TABLE_BITS)];
    float b = self->linear[argb[3] >> (16 - TABLE_BITS)];
    float most;

    if (self->hybrid) {
      float luminance = 0.2627f * r + 0.6780f * g + 0.0593f * b;
      float gain = powf (MAX (luminance, 1e-6f), HLG_GAMMA - 1) * (float)(HLG_PEAK / REFERENCE_WHITE);

      r *= gain;
      g *= gain;
      b *= gain;
    }
    most = MAX (MAX (r, g), MAX (b, 1e-6f));
    if (most > KNEE) {
      float scale = compress (most) / most;

      r *= scale;
      g *= scale;
      b *= scale;
    }
    rgba[0] = encode (self, 1.6605f * r - 0.5876f * g - 0.0728f * b);
    rgba[1] = encode (self, -0.1246f * r + 1.1329f * g - 0.0083f * b);
    rgba[2] = encode (self, -0.0182f * r - 0.1006f * g + 1.1187f * b);
    rgba[3] = (guint8)(argb[0] >> 8);
  }
}
