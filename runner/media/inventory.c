/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What this machine has of what the templates and films need, for `derush doctor`. */

#include "media-private.h"

#include <string.h>

/* Made by the code, whatever the template. */
static const char *const always[] = {"appsink",  "appsrc", "capsfilter",   "decodebin",        "fakesink",
                                     "parsebin", "queue",  "videoconvert", "videoconvertscale"};

/* Debian's package of an element; those that are not here are GStreamer's own or ours. */
static const struct {
  const char *element, *package;
} packages[] = {
    {"aacparse", "gstreamer1.0-plugins-good"},
    {"aspectratiocrop", "gstreamer1.0-plugins-good"},
    {"avenc_aac", "gstreamer1.0-libav"},
    {"deinterlace", "gstreamer1.0-plugins-good"},
    {"h264parse", "gstreamer1.0-plugins-bad"},
    {"h264timestamper", "gstreamer1.0-plugins-bad"},
    {"jpegenc", "gstreamer1.0-plugins-good"},
    {"mp4mux", "gstreamer1.0-plugins-good"},
    {"multifilesink", "gstreamer1.0-plugins-good"},
    {"pngenc", "gstreamer1.0-plugins-good"},
    {"videoflip", "gstreamer1.0-plugins-good"},
    {"webpenc", "gstreamer1.0-plugins-bad"},
    {"x264enc", "gstreamer1.0-plugins-ugly"},
    {"appsink", "gstreamer1.0-plugins-base"},
    {"appsrc", "gstreamer1.0-plugins-base"},
    {"audioconvert", "gstreamer1.0-plugins-base"},
    {"audioresample", "gstreamer1.0-plugins-base"},
    {"decodebin", "gstreamer1.0-plugins-base"},
    {"parsebin", "gstreamer1.0-plugins-base"},
    {"videoconvert", "gstreamer1.0-plugins-base"},
    {"videoconvertscale", "gstreamer1.0-plugins-base"},
    {"videotestsrc", "gstreamer1.0-plugins-base"},
    {"volume", "gstreamer1.0-plugins-base"},
    {"capsfilter", "libgstreamer1.0-0"},
    {"fakesink", "libgstreamer1.0-0"},
    {"filesink", "libgstreamer1.0-0"},
    {"filesrc", "libgstreamer1.0-0"},
    {"queue", "libgstreamer1.0-0"},
};

/* What films come in: a machine that lacks an essential one can do hardly any job. */
static const struct {
  const char *name, *caps;
  GstElementFactoryListType type;
  gboolean essential;
  const char *package;
} formats[] = {
    {"MP4", "video/quicktime", GST_ELEMENT_FACTORY_TYPE_DEMUXER, TRUE, "gstreamer1.0-plugins-good"},
    {"Matroska", "video/x-matroska", GST_ELEMENT_FACTORY_TYPE_DEMUXER, FALSE, "gstreamer1.0-plugins-good"},
    {"WebM", "video/webm", GST_ELEMENT_FACTORY_TYPE_DEMUXER, FALSE, "gstreamer1.0-plugins-good"},
    {"AVI", "video/x-msvideo", GST_ELEMENT_FACTORY_TYPE_DEMUXER, FALSE, "gstreamer1.0-plugins-good"},
    {"MPEG-TS", "video/mpegts", GST_ELEMENT_FACTORY_TYPE_DEMUXER, FALSE, "gstreamer1.0-plugins-bad"},
    {"H.264", "video/x-h264", GST_ELEMENT_FACTORY_TYPE_DECODER, TRUE, "gstreamer1.0-libav"},
    {"H.265", "video/x-h265", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-libav"},
    {"VP8", "video/x-vp8", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-plugins-good"},
    {"VP9", "video/x-vp9", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-plugins-good"},
    {"AV1", "video/x-av1", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-libav"},
    {"MPEG-2", "video/mpeg,mpegversion=2,systemstream=false", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE,
     "gstreamer1.0-libav"},
    {"ProRes", "video/x-prores", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-libav"},
    {"AAC", "audio/mpeg,mpegversion=4", GST_ELEMENT_FACTORY_TYPE_DECODER, TRUE, "gstreamer1.0-libav"},
    {"MP3", "audio/mpeg,mpegversion=1,layer=3", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-libav"},
    {"Opus", "audio/x-opus", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-plugins-base"},
    {"Vorbis", "audio/x-vorbis", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-plugins-base"},
    {"FLAC", "audio/x-flac", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-plugins-good"},
    {"AC-3", "audio/x-ac3", GST_ELEMENT_FACTORY_TYPE_DECODER, FALSE, "gstreamer1.0-libav"},
};

static const char *
package_of (const char *element)
{
  for (guint i = 0; i < G_N_ELEMENTS (packages); i++)
    if (strcmp (packages[i].element, element) == 0)
      return packages[i].package;
  return NULL;
}

static gboolean
exists (const char *element)
{
  g_autoptr (GstElementFactory) factory = gst_element_factory_find (element);

  return factory != NULL;
}

/* ── Elements of the templates ──────────────────────────────────────────── */

static gboolean
is_element (const char *word)
{
  for (const char *p = word; *p; p++)
    if (!g_ascii_isalnum (*p) && *p != '_' && *p != '-')
      return FALSE;
  return g_ascii_isalpha (word[0]);
}

/* @elements: name → GPtrArray of templates' names */
static void
add_element (GHashTable *elements, const char *name, const char *used_by)
{
  GPtrArray *users = g_hash_table_lookup (elements, name);

  if (!users) {
    users = g_ptr_array_new_with_free_func (g_free);
    g_hash_table_insert (elements, g_strdup (name), users);
  }
  if (!g_ptr_array_find_with_equal_func (users, used_by, g_str_equal, NULL))
    g_ptr_array_add (users, g_strdup (used_by));
}

/* An element stands where a chain begins and behind each `!`; `name.` and caps have other characters. */
static void
add_elements_of (GHashTable *elements, const char *pipeline)
{
  g_autofree char *file = g_strconcat (pipeline, ".gst", NULL), *path = derush_pipelines_find (file), *text = NULL;
  g_auto (GStrv) lines = NULL;
  gboolean expected = TRUE;

  if (!path || !g_file_get_contents (path, &text, NULL, NULL))
    return;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) words = NULL;

    g_strstrip (lines[i]);
    if (lines[i][0] == '#')
      continue;
    if (lines[i][0] == '\0')
      expected = TRUE;
    words = g_strsplit_set (lines[i], " \t", -1);
    for (guint k = 0; words[k]; k++) {
      if (words[k][0] == '\0')
        continue;
      if (expected && is_element (words[k]))
        add_element (elements, words[k], pipeline);
      expected = strcmp (words[k], "!") == 0;
    }
  }
}

static JsonArray *
list_elements (void)
{
  g_autoptr (GHashTable) elements =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
  g_autoptr (GPtrArray) templates = derush_template_list ();
  g_autoptr (GList) names = NULL;
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < templates->len; i++)
    add_elements_of (elements, templates->pdata[i]);
  for (guint i = 0; i < G_N_ELEMENTS (always); i++)
    add_element (elements, always[i], "derush-media-worker");
  names = g_list_sort (g_hash_table_get_keys (elements), (GCompareFunc)strcmp);
  for (GList *l = names; l; l = l->next) {
    GPtrArray *users = g_hash_table_lookup (elements, l->data);
    JsonObject *element = json_object_new ();
    JsonArray *used_by = json_array_new ();

    for (guint i = 0; i < users->len; i++)
      json_array_add_string_element (used_by, users->pdata[i]);
    json_object_set_string_member (element, "name", l->data);
    json_object_set_boolean_member (element, "found", exists (l->data));
    json_object_set_array_member (element, "usedBy", used_by);
    if (package_of (l->data))
      json_object_set_string_member (element, "package", package_of (l->data));
    json_array_add_object_element (list, element);
  }
  return list;
}

/* ── Formats of films ───────────────────────────────────────────────────── */

static char *
find_for_caps (GstElementFactoryListType type, const char *description)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (description);
  GList *all = gst_element_factory_list_get_elements (type, GST_RANK_MARGINAL);
  GList *good = gst_element_factory_list_filter (all, caps, GST_PAD_SINK, FALSE);
  char *name = good ? g_strdup (GST_OBJECT_NAME (good->data)) : NULL;

  gst_plugin_feature_list_free (good);
  gst_plugin_feature_list_free (all);
  return name;
}

static JsonArray *
list_formats (void)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    JsonObject *format = json_object_new ();
    g_autofree char *element = find_for_caps (formats[i].type, formats[i].caps);

    json_object_set_string_member (format, "name", formats[i].name);
    json_object_set_boolean_member (format, "found", element != NULL);
    if (element)
      json_object_set_string_member (format, "element", element);
    json_object_set_boolean_member (format, "essential", formats[i].essential);
    json_object_set_string_member (format, "package", formats[i].package);
    json_array_add_object_element (list, format);
  }
  return list;
}

static JsonArray *
list_plugins (void)
{
  GList *plugins = gst_registry_get_plugin_list (gst_registry_get ());
  JsonArray *list = json_array_new ();

  for (GList *l = plugins; l; l = l->next) {
    GstPlugin *plugin = l->data;
    JsonObject *object = json_object_new ();

    json_object_set_string_member (object, "name", gst_plugin_get_name (plugin));
    json_object_set_string_member (object, "version", gst_plugin_get_version (plugin));
    json_object_set_string_member (object, "source", gst_plugin_get_source (plugin));
    json_array_add_object_element (list, object);
  }
  gst_plugin_list_free (plugins);
  return list;
}

/*
 * derush_media_inventory:
 *
 * Returns: (transfer full): `{version, gstreamer, templates, elements[{name, found, usedBy[], package}],
 *   formats[{name, found, element, essential, package}], plugins[{name, version, source}]}`
 */
JsonObject *
derush_media_inventory (void)
{
  JsonObject *inventory = json_object_new ();
  g_autofree char *gstreamer = gst_version_string ();
  g_autoptr (GPtrArray) templates = derush_template_list ();

  json_object_set_string_member (inventory, "version", PACKAGE_VERSION);
  json_object_set_string_member (inventory, "gstreamer", gstreamer);
  json_object_set_int_member (inventory, "templates", templates->len);
  json_object_set_array_member (inventory, "elements", list_elements ());
  json_object_set_array_member (inventory, "formats", list_formats ());
  json_object_set_array_member (inventory, "plugins", list_plugins ());
  return inventory;
}
