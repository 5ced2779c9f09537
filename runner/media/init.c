/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <glib/gi18n-lib.h>

/* A playlist names files and addresses of its own: whoever sends one would choose what this process opens. */
static const char *const refused_features[] = {
    "hlsdemux",     "hlsdemux2",    "dashdemux",      "dashdemux2",     "mssdemux",     "mssdemux2",
    "sdpdemux",     "rtspsrc",      "souphttpsrc",    "curlhttpsrc",    "neonhttpsrc",  "rtmpsrc",
    "rtmp2src",     "udpsrc",       "tcpclientsrc",   "srtsrc",         "ristsrc",      "rtpsrc",
    "giosrc",       "gnomevfssrc",  "dvdreadsrc",     "avdemux_concat", "avdemux_hls",  "avdemux_applehttp",
    "avdemux_sdp",  "avdemux_rtsp", "avdemux_image2", "playlistdemux",  "uridecodebin", "uridecodebin3",
    "urisourcebin",
};

void
derush_media_refuse_playlists (void)
{
  GstRegistry *registry = gst_registry_get ();

  for (guint i = 0; i < G_N_ELEMENTS (refused_features); i++) {
    g_autoptr (GstPluginFeature) feature = gst_registry_lookup_feature (registry, refused_features[i]);

    if (feature)
      gst_plugin_feature_set_rank (feature, GST_RANK_NONE);
  }
}

gboolean
derush_media_init (int *argc, char ***argv, GError **error)
{
  const char *path = g_getenv ("GST_PLUGIN_PATH");
  g_autofree char *home = g_strdup (g_getenv ("HOME"));
  gboolean ready;

  if (g_file_test (DERUSH_PLUGINSDIR, G_FILE_TEST_IS_DIR)) {
    g_autofree char *joined =
        path && *path ? g_strconcat (path, ":", DERUSH_PLUGINSDIR, NULL) : g_strdup (DERUSH_PLUGINSDIR);

    g_setenv ("GST_PLUGIN_PATH", joined, TRUE);
  }
  /* LADSPA, LV2, frei0r and libvisual look below HOME, so the registry is checked anew when it changes, and every worker
   * has a HOME of its own. */
  g_setenv ("HOME", "/nonexistent", TRUE);
  ready = gst_init_check (argc, argv, error);
  if (home)
    g_setenv ("HOME", home, TRUE);
  else
    g_unsetenv ("HOME");
  if (!ready)
    return FALSE;
  derush_media_refuse_playlists ();
  return TRUE;
}
