/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <errno.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <gst/pbutils/pbutils.h>

GQuark
derush_media_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-media-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

void
derush_media_missing_add (GPtrArray *missing, GstMessage *message)
{
  g_autofree char *description = gst_missing_plugin_message_get_description (message);

  if (description && !g_ptr_array_find_with_equal_func (missing, description, g_str_equal, NULL))
    g_ptr_array_add (missing, g_steal_pointer (&description));
}

static GError *
missing_error (GPtrArray *missing, const char *display)
{
  g_autoptr (GString) list = g_string_new (NULL);

  for (guint i = 0; i < missing->len; i++)
    g_string_append_printf (list, "%s%s", i ? ", " : "", (const char *)g_ptr_array_index (missing, i));
  return g_error_new (DERUSH_MEDIA_ERROR, DERUSH_ERROR_MISSING_PLUGIN,
                      _ ("Nothing installed here reads what “%s” is made of (%s); install gstreamer1.0-libav and "
                         "gstreamer1.0-plugins-bad, or convert it"),
                      display, list->str);
}

static DerushErrorClass
class_of_stream_error (int code)
{
  switch (code) {
  case GST_STREAM_ERROR_CODEC_NOT_FOUND:
    return DERUSH_ERROR_MISSING_PLUGIN;
  case GST_STREAM_ERROR_DECRYPT:
  case GST_STREAM_ERROR_DECRYPT_NOKEY:
    return DERUSH_ERROR_UNSUPPORTED;
  case GST_STREAM_ERROR_ENCODE:
    return DERUSH_ERROR_INTERNAL;
  default:
    return DERUSH_ERROR_BAD_INPUT;
  }
}

static DerushErrorClass
class_of_error (const GError *error)
{
  if (error->domain == GST_STREAM_ERROR)
    return class_of_stream_error (error->code);
  if (error->domain == GST_RESOURCE_ERROR)
    return error->code == GST_RESOURCE_ERROR_NOT_FOUND ? DERUSH_ERROR_BAD_INPUT : DERUSH_ERROR_RESOURCE;
  if (error->domain == GST_CORE_ERROR && error->code == GST_CORE_ERROR_MISSING_PLUGIN)
    return DERUSH_ERROR_MISSING_PLUGIN;
  return DERUSH_ERROR_INTERNAL;
}

/* Muxers that keep a file of their own report a failed write; only the text of the system says why. */
static gboolean
is_out_of_space (const GError *error, const char *debug)
{
  static const int numbers[] = {ENOSPC, EDQUOT, EFBIG};

  if (g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT))
    return TRUE;
  if (error->domain != GST_RESOURCE_ERROR || !debug)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (strstr (debug, g_strerror (numbers[i])))
      return TRUE;
  return FALSE;
}

/* What people can do about it; GStreamer's own words stand in the debug text. */
static const char *
advice (const GError *error, const char *debug, DerushErrorClass error_class)
{
  if (is_out_of_space (error, debug))
    return _ ("There is no space left on the disk where “%s” is worked on");
  if (g_error_matches (error, GST_STREAM_ERROR, GST_STREAM_ERROR_TYPE_NOT_FOUND) ||
      g_error_matches (error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE))
    return _ ("“%s” is no film that is known here");
  switch (error_class) {
  case DERUSH_ERROR_BAD_INPUT:
    return _ ("“%s” is damaged or no film: nothing in it could be played");
  case DERUSH_ERROR_UNSUPPORTED:
    return _ ("“%s” is encrypted; give an unprotected film");
  case DERUSH_ERROR_MISSING_PLUGIN:
    return _ ("A GStreamer element that “%s” needs is not installed");
  case DERUSH_ERROR_RESOURCE:
    return _ ("Reading “%s” or writing its results failed");
  default:
    return _ ("The pipeline for “%s” failed");
  }
}

GError *
derush_media_error_from_message (GstMessage *message, gboolean of_input, GPtrArray *missing, const char *display)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;
  DerushErrorClass error_class;
  const char *format;

  gst_message_parse_error (message, &error, &debug);
  error_class = class_of_error (error);
  /* Decoders and demuxers that fail, whatever they call it, were fed something broken. */
  if (of_input && error_class == DERUSH_ERROR_INTERNAL)
    error_class = DERUSH_ERROR_BAD_INPUT;
  /* A missing decoder shows itself as “Internal data stream error” of whatever stood before it. */
  if (missing && missing->len > 0 && error_class != DERUSH_ERROR_RESOURCE)
    return missing_error (missing, display);
  format = advice (error, debug, error_class);
  return g_error_new (DERUSH_MEDIA_ERROR, error_class, format, display);
}
