/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rescale-private.h"

#include <math.h>
#include <glib/gi18n-lib.h>

/* Pictures of these shapes differ by rounding only. */
#define SAME_SHAPE 0.02

typedef struct {
  GstElement *size; /* what is asked of the scaler … */
  GstCaps *wanted;  /* … of pictures of the first shape */
  double shape;     /* 0: none yet */
} Rescale;

static void
rescale_free (gpointer data)
{
  Rescale *rescale = data;

  gst_caps_unref (rescale->wanted);
  g_free (rescale);
}

/* Pictures of another shape would be cropped to the first one: they pass as they are, and the scaler behind gives them
 * borders. */
static GstPadProbeReturn
watch_shape (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Rescale *rescale = data;
  int width, height, numerator = 1, denominator = 1;
  g_autoptr (GstCaps) same = NULL;
  GstStructure *structure;
  GstCaps *caps;
  double shape;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (GST_PAD_PROBE_INFO_EVENT (info), &caps);
  structure = gst_caps_get_structure (caps, 0);
  gst_structure_get_fraction (structure, "pixel-aspect-ratio", &numerator, &denominator);
  if (!gst_structure_get_int (structure, "width", &width) || !gst_structure_get_int (structure, "height", &height) ||
      height <= 0 || denominator <= 0)
    return GST_PAD_PROBE_OK;
  shape = (double)width * numerator / height / denominator;
  if (rescale->shape == 0)
    rescale->shape = shape;
  same = gst_caps_new_simple ("video/x-raw", "width", G_TYPE_INT, width, "height", G_TYPE_INT, height,
                              "pixel-aspect-ratio", GST_TYPE_FRACTION, numerator, denominator, NULL);
  g_object_set (rescale->size, "caps", fabs (shape / rescale->shape - 1) > SAME_SHAPE ? same : rescale->wanted, NULL);
  return GST_PAD_PROBE_OK;
}

/* 8 bits, square pixels, frames: other pictures keep to the scaler that can do everything. */
static gboolean
is_plain (DerushMediaInfo *info)
{
  JsonObject *video = derush_json_get_object (info->object, "video");

  return !info->interlaced && !info->hdr && derush_json_get_int (video, "bitDepth", 8) == 8 &&
         ((info->coded_width == info->width && info->coded_height == info->height) ||
          (info->coded_width == info->height && info->coded_height == info->width));
}

static GstElement *
make_scaler (void)
{
  GstElement *scaler = gst_element_factory_make ("shortcrop", "rescaler");

  if (scaler) {
    gst_util_set_object_arg (G_OBJECT (scaler), "mode", "fixed");
    g_object_set (scaler, "post-messages", FALSE, NULL);
  }
  return scaler;
}

gboolean
derush_rescale_insert (DerushMediaPipeline *pipeline, DerushMediaInfo *info, int width, int height, GError **error)
{
  GstElement *bin = derush_media_pipeline_get_pipeline (pipeline);
  GstElement *crop = derush_media_pipeline_get_element (pipeline, "crop");
  GstElement *scale = derush_media_pipeline_get_element (pipeline, "scale");
  GstElement *scaler, *size;
  g_autoptr (GstCaps) caps = NULL;
  g_autoptr (GstPad) pad = NULL;
  Rescale *rescale;

  if (!crop || !scale || !info->video_id || !is_plain (info) || (width == info->width && height == info->height))
    return TRUE;
  scaler = make_scaler ();
  size = gst_element_factory_make ("capsfilter", NULL);
  if (!scaler || !size) {
    g_clear_pointer (&scaler, gst_object_unref);
    g_clear_pointer (&size, gst_object_unref);
    return TRUE;
  }
  caps = gst_caps_new_simple ("video/x-raw", "width", G_TYPE_INT, width, "height", G_TYPE_INT, height,
                              "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, NULL);
  g_object_set (size, "caps", caps, NULL);
  gst_element_unlink (crop, scale);
  gst_bin_add_many (GST_BIN (bin), scaler, size, NULL);
  if (!gst_element_link_many (crop, scaler, size, scale, NULL)) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The scaler cannot be linked"));
    return FALSE;
  }
  rescale = g_new0 (Rescale, 1);
  rescale->size = size;
  rescale->wanted = g_steal_pointer (&caps);
  pad = gst_element_get_static_pad (scaler, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, watch_shape, rescale, rescale_free);
  return TRUE;
}
