/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <gst/video/video.h>

/* The caps with the colours that GStreamer guesses for them, or %NULL when they name their own. */
static GstCaps *
name_colours (GstCaps *caps)
{
  g_autofree char *colorimetry = NULL;
  GstVideoInfo info;
  GstCaps *named;

  if (gst_structure_has_field (gst_caps_get_structure (caps, 0), "colorimetry") ||
      !gst_video_info_from_caps (&info, caps) || !GST_VIDEO_INFO_IS_YUV (&info))
    return NULL;
  colorimetry = gst_video_colorimetry_to_string (&info.colorimetry);
  if (!colorimetry)
    return NULL;
  named = gst_caps_copy (caps);
  gst_caps_set_simple (named, "colorimetry", G_TYPE_STRING, colorimetry, NULL);
  return named;
}

static GstPadProbeReturn
replace_caps (GstPad *pad, GstPadProbeInfo *probe_info, gpointer data)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (probe_info);
  g_autoptr (GstCaps) named = NULL;
  GstEvent *replacement;
  GstCaps *caps;

  if (GST_EVENT_TYPE (event) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (event, &caps);
  named = name_colours (caps);
  if (!named)
    return GST_PAD_PROBE_OK;
  replacement = gst_event_new_caps (named);
  gst_event_set_seqnum (replacement, gst_event_get_seqnum (event));
  GST_PAD_PROBE_INFO_DATA (probe_info) = replacement;
  gst_event_unref (event);
  return GST_PAD_PROBE_OK;
}

/*
 * A film that does not say by which matrix its colours are stored is guessed by its size, and every element guesses anew: a
 * film that is turned or scaled would change its colours. So the guess is made once, from the size as decoded.
 */
void
derush_media_name_colours (GstElement *element)
{
  GstElementFactory *factory = gst_element_get_factory (element);
  g_autoptr (GstPad) pad = NULL;

  if (!factory || !gst_element_factory_list_is_type (factory, GST_ELEMENT_FACTORY_TYPE_DECODER) ||
      !gst_element_factory_list_is_type (factory,
                                         GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO | GST_ELEMENT_FACTORY_TYPE_MEDIA_IMAGE))
    return;
  pad = gst_element_get_static_pad (element, "src");
  if (pad)
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, replace_caps, NULL, NULL);
}
