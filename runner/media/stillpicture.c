/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stills-private.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>

#define MAX_SIDE 16383
#define ENCODE_TIMEOUT (60 * G_TIME_SPAN_SECOND)
#define POLL_INTERVAL (50 * GST_MSECOND)

/* ── Layout ─────────────────────────────────────────────────────────────── */

static guint
to_side (const DerushStillPicture *picture, double length)
{
  return (guint)CLAMP (lround (length), MAX (1, (long)picture->least_side), MAX_SIDE);
}

/* The middle of the frame in the shape of the picture, in the frame's own pixels. */
static void
crop_to_shape (DerushStillLayout *layout, double shape, guint frame_width, guint frame_height, double pixel_aspect)
{
  double frame_shape = frame_width * pixel_aspect / frame_height;

  if (frame_shape > shape) {
    layout->crop_width = (guint)CLAMP (lround (frame_height * shape / pixel_aspect), 1, (long)frame_width);
    layout->crop_x = (frame_width - layout->crop_width) / 2;
  } else {
    layout->crop_height = (guint)CLAMP (lround (frame_width * pixel_aspect / shape), 1, (long)frame_height);
    layout->crop_y = (frame_height - layout->crop_height) / 2;
  }
}

/**
 * derush_still_layout_init:
 * @layout: (out): how the frame becomes the picture
 * @picture: what is wanted
 * @frame_width: of the frame, upright
 * @frame_height: of the frame, upright
 * @par_n: numerator of its pixel aspect ratio
 * @par_d: denominator of its pixel aspect ratio
 *
 * One side alone keeps the display aspect ratio. With both, `contain` fits the picture within them (one side may become
 * shorter), `cover` cuts the middle out so that they are filled, `fill` stretches. Pixels become square.
 */
void
derush_still_layout_init (DerushStillLayout *layout, const DerushStillPicture *picture, guint frame_width,
                          guint frame_height, guint par_n, guint par_d)
{
  double pixel_aspect = par_n > 0 && par_d > 0 ? (double)par_n / par_d : 1;
  double width = pixel_aspect > 1 ? frame_width * pixel_aspect : frame_width;
  double height = pixel_aspect > 1 ? frame_height : frame_height / pixel_aspect;
  double scale = 1;

  *layout = (DerushStillLayout){0, 0, 0, 0, frame_width, frame_height};
  if (picture->width > 0 && picture->height > 0 && picture->fit != DERUSH_STILL_FIT_CONTAIN) {
    if (picture->fit == DERUSH_STILL_FIT_COVER)
      crop_to_shape (layout, (double)picture->width / picture->height, frame_width, frame_height, pixel_aspect);
    layout->width = to_side (picture, picture->width);
    layout->height = to_side (picture, picture->height);
    return;
  }
  if (picture->width > 0)
    scale = picture->width / width;
  if (picture->height > 0)
    scale = picture->width > 0 ? MIN (scale, picture->height / height) : picture->height / height;
  if (!picture->enlarge)
    scale = MIN (scale, 1);
  scale = MIN (scale, MAX_SIDE / MAX (width, height));
  layout->width = to_side (picture, width * scale);
  layout->height = to_side (picture, height * scale);
}

/* ── Making ─────────────────────────────────────────────────────────────── */

static gboolean
is_hdr (const GstVideoInfo *info, DerushHdrTransfer *transfer)
{
  *transfer =
      info->colorimetry.transfer == GST_VIDEO_TRANSFER_ARIB_STD_B67 ? DERUSH_HDR_TRANSFER_HLG : DERUSH_HDR_TRANSFER_PQ;
  return info->colorimetry.transfer == GST_VIDEO_TRANSFER_ARIB_STD_B67 ||
         info->colorimetry.transfer == GST_VIDEO_TRANSFER_SMPTE2084;
}

static gboolean
convert (const GstVideoInfo *info, GstBuffer *buffer, const DerushStillLayout *layout, GstVideoInfo *new_info,
         GstBuffer *new_buffer)
{
  GstVideoInfo from_info = *info;
  GstVideoFrame from, to;
  GstVideoConverter *converter;
  gboolean ok = FALSE;

  from_info.interlace_mode = GST_VIDEO_INTERLACE_MODE_PROGRESSIVE;
  new_info->fps_n = from_info.fps_n;
  new_info->fps_d = from_info.fps_d;
  converter = gst_video_converter_new (
      &from_info, new_info,
      gst_structure_new ("options", GST_VIDEO_CONVERTER_OPT_SRC_X, G_TYPE_INT, (int)layout->crop_x,
                         GST_VIDEO_CONVERTER_OPT_SRC_Y, G_TYPE_INT, (int)layout->crop_y,
                         GST_VIDEO_CONVERTER_OPT_SRC_WIDTH, G_TYPE_INT, (int)layout->crop_width,
                         GST_VIDEO_CONVERTER_OPT_SRC_HEIGHT, G_TYPE_INT, (int)layout->crop_height,
                         GST_VIDEO_CONVERTER_OPT_RESAMPLER_METHOD, GST_TYPE_VIDEO_RESAMPLER_METHOD,
                         GST_VIDEO_RESAMPLER_METHOD_LANCZOS, NULL));
  if (!converter)
    return FALSE;
  if (gst_video_frame_map (&from, info, buffer, GST_MAP_READ)) {
    if (gst_video_frame_map (&to, new_info, new_buffer, GST_MAP_WRITE)) {
      from.flags &= ~GST_VIDEO_FRAME_FLAG_INTERLACED;
      gst_video_converter_frame (converter, &from, &to);
      gst_video_frame_unmap (&to);
      ok = TRUE;
    }
    gst_video_frame_unmap (&from);
  }
  gst_video_converter_free (converter);
  return ok;
}

/*
 * From Y'CbCr to R'G'B', in place, of pixels of four 16-bit components. GStreamer's own conversion takes 16-bit chroma for
 * half a step more than it was in 8 bits, and greys get a tint; in 8 bits it is in a hurry, and white becomes 254.
 */
static void
decode_colours (const GstVideoInfo *info, guint16 *pixels, gsize n_pixels)
{
  int offset[GST_VIDEO_MAX_COMPONENTS], range[GST_VIDEO_MAX_COMPONENTS];
  float most = (float)((1u << GST_VIDEO_INFO_COMP_DEPTH (info, 0)) - 1) / 65535;
  double kr = 0.299, kb = 0.114;

  gst_video_color_range_offsets (info->colorimetry.range, info->finfo, offset, range);
  gst_video_color_matrix_get_Kr_Kb (info->colorimetry.matrix, &kr, &kb);
  for (gsize i = 0; i < n_pixels; i++, pixels += 4) {
    float y = (pixels[1] * most - offset[0]) / range[0];
    float u = (pixels[2] * most - offset[1]) / range[1];
    float v = (pixels[3] * most - offset[2]) / range[2];
    float r = y + 2 * (1 - (float)kr) * v, b = y + 2 * (1 - (float)kb) * u;
    float g = (y - (float)kr * r - (float)kb * b) / (1 - (float)kr - (float)kb);

    pixels[1] = (guint16)(CLAMP (r, 0.0f, 1.0f) * 65535 + 0.5f);
    pixels[2] = (guint16)(CLAMP (g, 0.0f, 1.0f) * 65535 + 0.5f);
    pixels[3] = (guint16)(CLAMP (b, 0.0f, 1.0f) * 65535 + 0.5f);
  }
}

/* @mapper: (nullable): of a film of high dynamic range. Gives RGBA. */
static void
flatten_row (const DerushToneMapper *mapper, const guint16 *argb, guint8 *rgba, gsize n_pixels)
{
  if (mapper) {
    derush_tone_mapper_run (mapper, argb, rgba, n_pixels);
    return;
  }
  for (gsize i = 0; i < n_pixels; i++, argb += 4, rgba += 4)
    for (guint c = 0; c < 4; c++)
      rgba[c] = (guint8)((argb[(c + 1) % 4] * 255u + 32767) / 65535);
}

static gboolean
make_pixels (const GstVideoInfo *info, GstBuffer *source, const DerushStillLayout *layout, guint8 *rgba)
{
  gboolean yuv = GST_VIDEO_INFO_IS_YUV (info);
  DerushHdrTransfer transfer;
  g_autoptr (DerushToneMapper) mapper = is_hdr (info, &transfer) ? derush_tone_mapper_new (transfer) : NULL;
  g_autoptr (GstBuffer) deep = NULL;
  GstVideoInfo deep_info;
  GstVideoFrame frame;

  gst_video_info_set_format (&deep_info, yuv ? GST_VIDEO_FORMAT_AYUV64 : GST_VIDEO_FORMAT_ARGB64, layout->width,
                             layout->height);
  if (yuv)
    deep_info.colorimetry = info->colorimetry;
  deep = gst_buffer_new_allocate (NULL, deep_info.size, NULL);
  if (!convert (info, source, layout, &deep_info, deep) ||
      !gst_video_frame_map (&frame, &deep_info, deep, GST_MAP_READWRITE))
    return FALSE;
  for (guint y = 0; y < layout->height; y++, rgba += (gsize)layout->width * 4) {
    guint16 *row = (guint16 *)(gpointer)((guint8 *)frame.data[0] + (gsize)y * (gsize)frame.info.stride[0]);

    if (yuv)
      decode_colours (info, row, layout->width);
    flatten_row (mapper, row, rgba, layout->width);
  }
  gst_video_frame_unmap (&frame);
  return TRUE;
}

/* RGBA as it is, or laid on black as RGB. */
static GstBuffer *
pack (const GstVideoInfo *info, const guint8 *rgba)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, info->size, NULL);
  gboolean alpha = GST_VIDEO_INFO_HAS_ALPHA (info);
  GstVideoFrame frame;

  if (!gst_video_frame_map (&frame, info, buffer, GST_MAP_WRITE)) {
    gst_buffer_unref (buffer);
    return NULL;
  }
  for (int y = 0; y < info->height; y++) {
    guint8 *target = (guint8 *)frame.data[0] + (gsize)y * (gsize)frame.info.stride[0];

    for (int x = 0; x < info->width; x++, rgba += 4, target += alpha ? 4 : 3) {
      if (alpha)
        memcpy (target, rgba, 4);
      else
        for (guint c = 0; c < 3; c++)
          target[c] = (guint8)((rgba[c] * rgba[3] + 127) / 255);
    }
  }
  gst_video_frame_unmap (&frame);
  return buffer;
}

static GstSample *
refuse (GError **error)
{
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("A frame of the film could not be made a picture"));
  return NULL;
}

GstSample *
derush_still_picture_make (const DerushStillPicture *picture, GstSample *frame, GError **error)
{
  GstVideoInfo info, new_info;
  DerushStillLayout layout;
  g_autofree guint8 *rgba = NULL;
  g_autoptr (GstBuffer) buffer = NULL;
  g_autoptr (GstCaps) caps = NULL;

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (frame)))
    return refuse (error);
  derush_still_layout_init (&layout, picture, (guint)info.width, (guint)info.height, (guint)info.par_n,
                            (guint)info.par_d);
  rgba = g_malloc ((gsize)layout.width * layout.height * 4);
  if (!gst_video_info_set_format (
          &new_info, GST_VIDEO_INFO_HAS_ALPHA (&info) && picture->alpha ? GST_VIDEO_FORMAT_RGBA : GST_VIDEO_FORMAT_RGB,
          layout.width, layout.height) ||
      !make_pixels (&info, gst_sample_get_buffer (frame), &layout, rgba))
    return refuse (error);
  buffer = pack (&new_info, rgba);
  if (!buffer)
    return refuse (error);
  new_info.fps_n = 0;
  new_info.fps_d = 1;
  caps = gst_video_info_to_caps (&new_info);
  GST_BUFFER_PTS (buffer) = 0;
  return gst_sample_new (buffer, caps, NULL, NULL);
}

/* ── Writing ────────────────────────────────────────────────────────────── */

/* The template reads a picture file; ours comes from memory. */
static GstElement *
replace_reader (GstElement *pipeline)
{
  GstElement *source = gst_element_factory_make ("appsrc", "picture");
  g_autoptr (GstElement) levels = gst_bin_get_by_name (GST_BIN (pipeline), "levels");
  g_autoptr (GstElement) decode = gst_bin_get_by_name (GST_BIN (pipeline), "decode");
  g_autoptr (GstElement) file = gst_bin_get_by_name (GST_BIN (pipeline), "source");

  if (!source || !levels || !decode || !file) {
    g_clear_object (&source);
    return NULL;
  }
  gst_bin_remove (GST_BIN (pipeline), decode);
  gst_bin_remove (GST_BIN (pipeline), file);
  g_object_set (source, "format", GST_FORMAT_TIME, NULL);
  gst_bin_add (GST_BIN (pipeline), source);
  return gst_element_link (source, levels) ? source : NULL;
}

static gboolean
wait_for_end (DerushMediaJob *job, GstElement *pipeline, const char *path, GError **error)
{
  g_autoptr (GstBus) bus = gst_pipeline_get_bus (GST_PIPELINE (pipeline));
  gint64 deadline = g_get_monotonic_time () + ENCODE_TIMEOUT;

  while (g_get_monotonic_time () < deadline) {
    g_autoptr (GstMessage) message =
        gst_bus_timed_pop_filtered (bus, POLL_INTERVAL, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);

    if (g_cancellable_set_error_if_cancelled (job->cancellable, NULL)) {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_CANCELLED, _ ("Stopped on request"));
      return FALSE;
    }
    if (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
      return TRUE;
    if (message) {
      g_autoptr (GError) failure = NULL;
      g_autofree char *debug = NULL;
      g_autofree char *name = g_path_get_basename (path);

      gst_message_parse_error (message, &failure, &debug);
      derush_media_job_set_debug (job, debug);
      g_set_error (error, DERUSH_MEDIA_ERROR,
                   failure->domain == GST_RESOURCE_ERROR ? DERUSH_ERROR_RESOURCE : DERUSH_ERROR_INTERNAL,
                   _ ("The picture “%s” could not be written: %s"), name, failure->message);
      return FALSE;
    }
  }
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_STALLED, _ ("Writing a picture took too long"));
  return FALSE;
}

/* A picture that was written is read once more before anybody gets it. */
gboolean
derush_still_picture_check (DerushMediaJob *job, const char *path, GError **error)
{
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load ("decode", error);
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  g_autoptr (GError) failure = NULL;
  g_autofree char *name = g_path_get_basename (path);
  DerushMediaJob ours = *job;
  gboolean ok = FALSE;

  if (!pipeline_template)
    return FALSE;
  ours.request = NULL; /* its progress is none of the step's */
  derush_media_job_init_source (&ours, g_open (path, O_RDONLY | O_CLOEXEC, 0), name);
  if (ours.source.fd < 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The picture “%s” cannot be read again: %s"),
                 name, g_strerror (errno));
    return FALSE;
  }
  derush_template_drop_branch (pipeline_template, "audio");
  pipeline = derush_media_pipeline_new (&ours, NULL, pipeline_template, &failure);
  if (pipeline) {
    derush_media_pipeline_expect_buffers (pipeline, "video-sink", "sink");
    ok = derush_media_pipeline_run (pipeline, &failure) && !derush_media_pipeline_get_break (pipeline);
  }
  g_clear_pointer (&pipeline, derush_media_pipeline_free);
  g_close (ours.source.fd, NULL);
  if (!ok && g_error_matches (failure, DERUSH_MEDIA_ERROR, DERUSH_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&failure));
  else if (!ok)
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The picture “%s” cannot be read again: %s"),
                 name, failure ? failure->message : _ ("it is damaged"));
  return ok;
}

gboolean
derush_still_picture_write (DerushMediaJob *job, GstSample *picture, const char *format, int quality, const char *path,
                            GError **error)
{
  g_autofree char *name = g_strdup_printf ("still-%s", format);
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load (name, error);
  g_autoptr (GstElement) pipeline = NULL;
  GstElement *source;
  gboolean ok;

  if (!pipeline_template)
    return FALSE;
  if (derush_template_has_parameter (pipeline_template, "quality") &&
      !derush_template_set_int (pipeline_template, "quality", quality, error))
    return FALSE;
  if (!derush_template_set_output (pipeline_template, path, error))
    return FALSE;
  pipeline = derush_template_build (pipeline_template, error);
  if (!pipeline)
    return FALSE;
  {
    g_autoptr (GstElement) output =
        gst_bin_get_by_name (GST_BIN (pipeline), derush_template_get_output_element (pipeline_template));

    g_object_set (output, "location", path, NULL);
  }
  source = replace_reader (pipeline);
  if (!source) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The template “%s” is not as it was shipped"),
                 name);
    return FALSE;
  }
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_app_src_push_sample (GST_APP_SRC (source), picture);
  gst_app_src_end_of_stream (GST_APP_SRC (source));
  ok = wait_for_end (job, pipeline, path, error);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  ok = ok && derush_still_picture_check (job, path, error);
  if (!ok)
    g_unlink (path);
  return ok;
}
