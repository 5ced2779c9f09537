/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <gst/gst.h>
#include <string.h>

/* What `gst-inspect-1.0` shows of our elements is complete. */

static gboolean
is_number (const GParamSpec *pspec)
{
  return G_IS_PARAM_SPEC_INT (pspec) || G_IS_PARAM_SPEC_UINT (pspec) || G_IS_PARAM_SPEC_INT64 (pspec) ||
         G_IS_PARAM_SPEC_UINT64 (pspec) || G_IS_PARAM_SPEC_FLOAT (pspec) || G_IS_PARAM_SPEC_DOUBLE (pspec);
}

/* A number that may be anything has no range worth the name. */
static gboolean
has_range (GParamSpec *pspec)
{
  if (G_IS_PARAM_SPEC_UINT64 (pspec))
    return G_PARAM_SPEC_UINT64 (pspec)->minimum < G_PARAM_SPEC_UINT64 (pspec)->maximum;
  if (G_IS_PARAM_SPEC_DOUBLE (pspec))
    return G_PARAM_SPEC_DOUBLE (pspec)->minimum > -G_MAXDOUBLE && G_PARAM_SPEC_DOUBLE (pspec)->maximum < G_MAXDOUBLE;
  if (G_IS_PARAM_SPEC_FLOAT (pspec))
    return G_PARAM_SPEC_FLOAT (pspec)->minimum > -G_MAXFLOAT && G_PARAM_SPEC_FLOAT (pspec)->maximum < G_MAXFLOAT;
  return TRUE;
}

static void
check_property (GParamSpec *pspec)
{
  const char *nick = g_param_spec_get_nick (pspec), *blurb = g_param_spec_get_blurb (pspec);

  g_test_message ("%s: %s", pspec->name, blurb);
  g_assert_nonnull (nick);
  g_assert_cmpstr (nick, !=, "");
  g_assert_nonnull (blurb);
  g_assert_cmpstr (blurb, !=, pspec->name);
  g_assert_cmpuint (strlen (blurb), >, 10);
  if (pspec->flags & G_PARAM_WRITABLE)
    g_assert_true (pspec->flags & (GST_PARAM_MUTABLE_READY | GST_PARAM_MUTABLE_PAUSED | GST_PARAM_MUTABLE_PLAYING |
                                   GST_PARAM_CONTROLLABLE));
  if (is_number (pspec))
    g_assert_true (has_range (pspec));
  /* Times are nanoseconds everywhere; what is no count says what it is in. */
  if (G_IS_PARAM_SPEC_UINT64 (pspec) || G_IS_PARAM_SPEC_INT64 (pspec))
    g_assert_nonnull (strstr (blurb, "nanoseconds"));
  if (G_IS_PARAM_SPEC_DOUBLE (pspec) || G_IS_PARAM_SPEC_FLOAT (pspec))
    g_assert_nonnull (strchr (blurb, '('));
}

static void
test_element (gconstpointer data)
{
  g_autoptr (GstElement) element = gst_element_factory_make (data, NULL);
  GstElementFactory *factory;
  g_autofree GParamSpec **properties = NULL;
  guint n, own = 0;

  g_assert_nonnull (element);
  factory = gst_element_get_factory (element);
  g_assert_cmpuint (gst_plugin_feature_get_rank (GST_PLUGIN_FEATURE (factory)), ==, GST_RANK_NONE);
  for (guint i = 0; i < 4; i++) {
    static const char *const keys[] = {GST_ELEMENT_METADATA_LONGNAME, GST_ELEMENT_METADATA_KLASS,
                                       GST_ELEMENT_METADATA_DESCRIPTION, GST_ELEMENT_METADATA_AUTHOR};
    const char *value = gst_element_factory_get_metadata (factory, keys[i]);

    g_assert_nonnull (value);
    g_assert_cmpstr (value, !=, "");
  }
  g_assert_nonnull (strchr (gst_element_factory_get_metadata (factory, GST_ELEMENT_METADATA_KLASS), '/'));
  properties = g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);
  for (guint i = 0; i < n; i++) {
    if (properties[i]->owner_type != G_OBJECT_TYPE (element))
      continue;
    check_property (properties[i]);
    own++;
  }
  g_assert_cmpuint (own, >, 0);
  /* A mixer changes sound and says nothing; whatever measures or chooses posts messages. */
  if (!strstr (gst_element_factory_get_metadata (factory, GST_ELEMENT_METADATA_KLASS), "Mixer"))
    g_assert_nonnull (g_object_class_find_property (G_OBJECT_GET_CLASS (element), "post-messages"));
}

int
main (int argc, char **argv)
{
  g_autolist (GstPlugin) plugins = NULL;
  guint n = 0;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  plugins = gst_registry_get_plugin_list (gst_registry_get ());
  for (GList *p = plugins; p; p = p->next) {
    const char *name = gst_plugin_get_name (p->data);
    g_autolist (GstPluginFeature) features = NULL;

    if (!g_str_has_prefix (name, "derush"))
      continue;
    features = gst_registry_get_feature_list_by_plugin (gst_registry_get (), name);
    for (GList *f = features; f; f = f->next) {
      g_autofree char *path = g_strdup_printf ("/properties/%s-is-documented", GST_OBJECT_NAME (f->data));

      if (!GST_IS_ELEMENT_FACTORY (f->data))
        continue;
      g_test_add_data_func_full (path, g_strdup (GST_OBJECT_NAME (f->data)), test_element, g_free);
      n++;
    }
  }
  g_assert_cmpuint (n, >, 0);
  return g_test_run ();
}
