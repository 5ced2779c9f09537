/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shortcropcaps.h"

#include <math.h>

/* Any size becomes any size; pixels become square. */
GstCaps *
short_crop_transform_caps (GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
  GstCaps *result = gst_caps_new_empty ();

  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    GstStructure *structure = gst_structure_copy (gst_caps_get_structure (caps, i));

    gst_structure_set (structure, "width", GST_TYPE_INT_RANGE, 1, G_MAXINT, "height", GST_TYPE_INT_RANGE, 1, G_MAXINT,
                       NULL);
    if (direction == GST_PAD_SINK)
      gst_structure_set (structure, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, NULL);
    else
      gst_structure_remove_field (structure, "pixel-aspect-ratio");
    result =
        gst_caps_merge_structure_full (result, structure, gst_caps_features_copy (gst_caps_get_features (caps, i)));
  }
  if (filter) {
    GstCaps *both = gst_caps_intersect_full (filter, result, GST_CAPS_INTERSECT_FIRST);

    gst_caps_unref (result);
    result = both;
  }
  return result;
}

static int
to_even (double size)
{
  return MAX (2, 2 * (int)floor (size / 2 + 0.5));
}

/* The size of the largest crop of the aspect, in square pixels, not larger than the source in either direction. */
static void
propose_size (const GstStructure *source, double aspect, double *width, double *height)
{
  int w = 2, h = 2, n = 1, d = 1;
  double pixel_aspect, crop;

  gst_structure_get_int (source, "width", &w);
  gst_structure_get_int (source, "height", &h);
  gst_structure_get_fraction (source, "pixel-aspect-ratio", &n, &d);
  pixel_aspect = n > 0 && d > 0 ? (double)n / d : 1;
  crop = MIN (w, h * aspect / pixel_aspect); /* in pixels of the source */
  *width = MIN (crop, crop * pixel_aspect);
  *height = *width / aspect;
}

/* @others: (transfer full): of the other pad. Returns: (transfer full): fixed caps */
GstCaps *
short_crop_fixate_caps (GstPadDirection direction, GstCaps *caps, GstCaps *others, double aspect)
{
  const GstStructure *source = gst_caps_get_structure (caps, 0);
  GstStructure *target;
  double width, height;
  int fixed;

  others = gst_caps_make_writable (gst_caps_truncate (others));
  target = gst_caps_get_structure (others, 0);
  if (direction == GST_PAD_SRC) {
    int w = 0, h = 0;

    /* What to ask a source for: enough for the output. */
    gst_structure_get_int (source, "width", &w);
    gst_structure_get_int (source, "height", &h);
    gst_structure_fixate_field_nearest_int (target, "width", MAX (w, 1));
    gst_structure_fixate_field_nearest_int (target, "height", MAX (h, 1));
    return gst_caps_fixate (others);
  }
  propose_size (source, aspect, &width, &height);
  if (gst_structure_get_int (target, "width", &fixed))
    height = fixed / aspect;
  else if (gst_structure_get_int (target, "height", &fixed))
    width = fixed * aspect;
  gst_structure_fixate_field_nearest_int (target, "width", to_even (width));
  gst_structure_fixate_field_nearest_int (target, "height", to_even (height));
  return gst_caps_fixate (others);
}
