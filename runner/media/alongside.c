/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "alongside-private.h"
#include "storyboard-private.h"

#include <glib/gi18n-lib.h>

/* A stored analysis need not be made again; the storyboard of a short film wants to be made together with it; and whatever
 * is converted before it is encoded would be measured otherwise than by `analyse`. */
static gboolean
is_wanted (DerushMediaJob *job, DerushMediaInfo *info)
{
  JsonObject *video = derush_json_get_object (info->object, "video");

  return derush_json_get_boolean (job->parameters, "analyse", FALSE) && job->analysis.fd < 0 && info->video_id &&
         !info->interlaced && !info->hdr && derush_json_get_int (video, "bitDepth", 8) == 8 &&
         !derush_storyboard_needs_all_frames (info);
}

/* Between @before and what comes after it. */
static gboolean
insert (GstElement *analyser, GstElement *before, const char *sink_name, const char *src_name)
{
  g_autoptr (GstPad) from = gst_element_get_static_pad (before, "src");
  g_autoptr (GstPad) to = gst_pad_get_peer (from);
  g_autoptr (GstPad) sink = gst_element_request_pad_simple (analyser, sink_name);
  g_autoptr (GstPad) src = gst_element_get_static_pad (analyser, src_name);

  return to && sink && src && gst_pad_unlink (from, to) && gst_pad_link (from, sink) == GST_PAD_LINK_OK &&
         gst_pad_link (src, to) == GST_PAD_LINK_OK;
}

static gboolean
insert_all (GstElement *bin, GstElement *analyser, GstElement *picture, GstElement *sound)
{
  GstElement *samples;
  g_autoptr (GstPad) from = NULL, to = NULL;

  gst_bin_add (GST_BIN (bin), analyser);
  if (!picture || !insert (analyser, picture, "video_sink", "video_src"))
    return FALSE;
  if (!sound)
    return TRUE;
  samples = gst_element_factory_make ("audioconvert", NULL);
  from = gst_element_get_static_pad (sound, "src");
  to = gst_pad_get_peer (from);
  if (!samples || !to || !gst_bin_add (GST_BIN (bin), samples) || !gst_pad_unlink (from, to) ||
      !gst_element_link (sound, samples))
    return FALSE;
  g_clear_object (&from);
  from = gst_element_get_static_pad (samples, "src");
  return gst_pad_link (from, to) == GST_PAD_LINK_OK && insert (analyser, samples, "audio_sink", "audio_src");
}

gboolean
derush_alongside_insert (DerushMediaPipeline *pipeline, DerushMediaJob *job, DerushMediaInfo *info, GError **error)
{
  g_autofree char *path = NULL;
  GstElement *analyser;

  if (!is_wanted (job, info))
    return TRUE;
  path = derush_media_job_path (job, DERUSH_ANALYSIS_FILE, error);
  if (!path)
    return FALSE;
  analyser = gst_element_factory_make ("highlightdetect", NULL);
  if (analyser)
    g_object_set (analyser, "analysis-location", path, NULL);
  if (analyser && insert_all (derush_media_pipeline_get_pipeline (pipeline), analyser,
                              derush_media_pipeline_get_element (pipeline, "upright"),
                              derush_media_pipeline_get_element (pipeline, "audio-in")))
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The analysis cannot be linked"));
  return FALSE;
}
