/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* A pipeline that makes something of pictures and sound that another one has decoded. */

#include "pipeline-private.h"

#include <glib/gi18n-lib.h>
#include <gst/app/gstappsrc.h>

/* Raw pictures are large, and the queue behind has some as well. */
#define PICTURES_AHEAD 2
#define SOUNDS_AHEAD 64

static GstElement *
make_feed (const char *name)
{
  GstElement *feed = gst_element_factory_make ("appsrc", name);

  g_object_set (feed, "format", GST_FORMAT_TIME, "block", TRUE, "max-bytes", (guint64)0, "max-time", (guint64)0,
                "max-buffers", (guint64)(g_str_has_prefix (name, "feed-video") ? PICTURES_AHEAD : SOUNDS_AHEAD), NULL);
  return feed;
}

gboolean
derush_feeds_put (DerushMediaPipeline *self, const char *source_name, GStrv holds, GError **error)
{
  GstBin *bin = GST_BIN (self->pipeline);
  g_autoptr (GstElement) source = gst_bin_get_by_name (bin, source_name);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (source, "src");
  g_autoptr (GstPad) peer = gst_pad_get_peer (pad);
  g_autoptr (GstElement) decoder = peer ? gst_pad_get_parent_element (peer) : NULL;

  gst_bin_remove (bin, source);
  if (decoder)
    gst_bin_remove (bin, decoder);
  for (guint i = 0; holds && holds[i]; i++) {
    g_autoptr (GstElement) hold = gst_bin_get_by_name (bin, holds[i]);
    g_autoptr (GstPad) sink = hold ? gst_element_get_static_pad (hold, "sink") : NULL;
    g_autofree char *name = g_strconcat ("feed-", holds[i], NULL);
    GstElement *feed = sink ? make_feed (name) : NULL;

    if (!feed)
      continue;
    gst_bin_add (bin, feed);
    if (!gst_element_link_pads (feed, "src", hold, "sink")) {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The source of the pipeline cannot be linked"));
      return FALSE;
    }
  }
  return TRUE;
}

GstElement *
derush_media_pipeline_get_feed (DerushMediaPipeline *self, const char *hold)
{
  g_autofree char *name = g_strconcat ("feed-", hold, NULL);

  return gst_bin_get_by_name (GST_BIN (self->pipeline), name);
}
