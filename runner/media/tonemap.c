/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "tonemap-private.h"

#include <glib/gi18n-lib.h>
#include <gst/video/gstvideofilter.h>

/*
 * A film of high dynamic range played as if it were none looks grey. videoconvert can change transfer functions, but to it
 * the peak of 10000 cd/m² is white, and everything else nearly black; this element compresses what is brighter than paper.
 * It works on the picture of the new size, where it costs least.
 */

#define DERUSH_TYPE_TONE_MAP (derush_tone_map_get_type ())
G_DECLARE_FINAL_TYPE (DerushToneMap, derush_tone_map, DERUSH, TONE_MAP, GstVideoFilter)

struct _DerushToneMap {
  GstVideoFilter parent;
  DerushToneMapper *mapper;
};

G_DEFINE_TYPE (DerushToneMap, derush_tone_map, GST_TYPE_VIDEO_FILTER)

#if G_BYTE_ORDER == G_LITTLE_ENDIAN
#define DEEP_FORMAT "ARGB64_LE"
#else
#define DEEP_FORMAT "ARGB64_BE"
#endif

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (DEEP_FORMAT)));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE ("RGBA")));

static GstCaps *
derush_tone_map_transform_caps (GstBaseTransform *base, GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
  GstCaps *other = gst_caps_copy (caps);

  for (guint i = 0; i < gst_caps_get_size (other); i++) {
    GstStructure *structure = gst_caps_get_structure (other, i);

    gst_structure_set (structure, "format", G_TYPE_STRING, direction == GST_PAD_SINK ? "RGBA" : DEEP_FORMAT, NULL);
    gst_structure_remove_fields (structure, "colorimetry", "chroma-site", NULL);
    if (direction == GST_PAD_SINK)
      gst_structure_set (structure, "colorimetry", G_TYPE_STRING, "sRGB", NULL);
  }
  if (filter) {
    GstCaps *narrowed = gst_caps_intersect_full (filter, other, GST_CAPS_INTERSECT_FIRST);

    gst_caps_unref (other);
    return narrowed;
  }
  return other;
}

static GstFlowReturn
derush_tone_map_transform_frame (GstVideoFilter *filter, GstVideoFrame *in, GstVideoFrame *out)
{
  DerushToneMap *self = DERUSH_TONE_MAP (filter);
  const guint8 *source = GST_VIDEO_FRAME_PLANE_DATA (in, 0);
  guint8 *target = GST_VIDEO_FRAME_PLANE_DATA (out, 0);

  for (int row = 0; row < GST_VIDEO_FRAME_HEIGHT (in); row++)
    derush_tone_mapper_run (
        self->mapper, (const guint16 *)(gconstpointer)(source + (gsize)row * GST_VIDEO_FRAME_PLANE_STRIDE (in, 0)),
        target + (gsize)row * GST_VIDEO_FRAME_PLANE_STRIDE (out, 0), GST_VIDEO_FRAME_WIDTH (in));
  return GST_FLOW_OK;
}

static void
derush_tone_map_finalize (GObject *object)
{
  g_clear_pointer (&DERUSH_TONE_MAP (object)->mapper, derush_tone_mapper_free);
  G_OBJECT_CLASS (derush_tone_map_parent_class)->finalize (object);
}

static void
derush_tone_map_class_init (DerushToneMapClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = derush_tone_map_finalize;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Tone mapper", "Filter/Effect/Video",
                                         "Makes pictures of high dynamic range fit for common screens", "Derush");
  GST_BASE_TRANSFORM_CLASS (klass)->transform_caps = derush_tone_map_transform_caps;
  GST_VIDEO_FILTER_CLASS (klass)->transform_frame = derush_tone_map_transform_frame;
}

static void
derush_tone_map_init (DerushToneMap *self)
{
}

static gboolean
find_transfer (DerushMediaInfo *info, DerushHdrTransfer *transfer)
{
  JsonObject *video = derush_json_get_object (info->object, "video");
  GstVideoColorimetry colorimetry;

  if (!info->hdr ||
      !gst_video_colorimetry_from_string (&colorimetry, derush_json_get_string (video, "colorimetry", "")))
    return FALSE;
  *transfer =
      colorimetry.transfer == GST_VIDEO_TRANSFER_ARIB_STD_B67 ? DERUSH_HDR_TRANSFER_HLG : DERUSH_HDR_TRANSFER_PQ;
  return TRUE;
}

/* The size that the template wants of the picture, as caps of the deep format. */
static GstCaps *
deep_caps (GstElement *size)
{
  g_autoptr (GstCaps) wanted = NULL;
  GstCaps *caps = gst_caps_new_empty_simple ("video/x-raw");

  g_object_get (size, "caps", &wanted, NULL);
  for (guint i = 0; i < 3; i++) {
    static const char *const fields[] = {"width", "height", "pixel-aspect-ratio"};
    const GValue *value = gst_structure_get_value (gst_caps_get_structure (wanted, 0), fields[i]);

    if (value)
      gst_caps_set_value (caps, fields[i], value);
  }
  gst_caps_set_simple (caps, "format", G_TYPE_STRING, DEEP_FORMAT, NULL);
  return caps;
}

gboolean
derush_tone_map_insert (DerushMediaPipeline *pipeline, DerushMediaInfo *info, const char *scale_name,
                        const char *size_name, GError **error)
{
  GstElement *bin = derush_media_pipeline_get_pipeline (pipeline);
  GstElement *scale = derush_media_pipeline_get_element (pipeline, scale_name);
  GstElement *size = derush_media_pipeline_get_element (pipeline, size_name);
  GstElement *filter, *map, *convert;
  g_autoptr (GstCaps) caps = NULL;
  DerushHdrTransfer transfer;

  if (!scale || !size || !find_transfer (info, &transfer))
    return TRUE;
  map = g_object_new (DERUSH_TYPE_TONE_MAP, NULL);
  DERUSH_TONE_MAP (map)->mapper = derush_tone_mapper_new (transfer);
  filter = gst_element_factory_make ("capsfilter", NULL);
  convert = gst_element_factory_make ("videoconvert", NULL);
  caps = deep_caps (size);
  g_object_set (filter, "caps", caps, NULL);
  gst_element_unlink (scale, size);
  gst_bin_add_many (GST_BIN (bin), filter, map, convert, NULL);
  if (!gst_element_link_many (scale, filter, map, convert, size, NULL)) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The tone mapping cannot be linked"));
    return FALSE;
  }
  return TRUE;
}
