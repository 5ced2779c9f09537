/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "shortcropsettings.h"

#include <glib/gi18n-lib.h>

#define DEFAULT_ASPECT_N 9
#define DEFAULT_ASPECT_D 16
#define DEFAULT_MODE SHORT_CROP_AUTO
#define DEFAULT_X 0.5
#define DEFAULT_Y 0.5
#define DEFAULT_ZOOM 1.0
#define DEFAULT_SMOOTHING (800 * GST_MSECOND)
#define DEFAULT_MAX_SPEED 0.6
#define DEFAULT_DEAD_ZONE 0.1
#define DEFAULT_LOOKAHEAD (500 * GST_MSECOND)
#define DEFAULT_POST_MESSAGES TRUE
#define DEFAULT_INTERVAL GST_SECOND

GType
gst_short_crop_mode_get_type (void)
{
  static gsize type;
  static const GEnumValue values[] = {
      {SHORT_CROP_AUTO, N_ ("Follow the subject"), "auto"},
      {SHORT_CROP_FIXED, N_ ("Stay at x, y and zoom"), "fixed"},
      {0, NULL, NULL},
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDerushShortCropMode", values));
  return type;
}

void
short_crop_settings_init (ShortCropSettings *settings)
{
  *settings = (ShortCropSettings){
      .aspect_n = DEFAULT_ASPECT_N,
      .aspect_d = DEFAULT_ASPECT_D,
      .mode = DEFAULT_MODE,
      .x = DEFAULT_X,
      .y = DEFAULT_Y,
      .zoom = DEFAULT_ZOOM,
      .smoothing = DEFAULT_SMOOTHING,
      .max_speed = DEFAULT_MAX_SPEED,
      .dead_zone = DEFAULT_DEAD_ZONE,
      .lookahead = DEFAULT_LOOKAHEAD,
      .post_messages = DEFAULT_POST_MESSAGES,
      .interval = DEFAULT_INTERVAL,
  };
}

void
short_crop_settings_clear (ShortCropSettings *settings)
{
  g_clear_pointer (&settings->path, g_free);
  g_clear_pointer (&settings->path_location, g_free);
}

/* Returns: whether there is such a property */
gboolean
short_crop_settings_set (ShortCropSettings *settings, guint id, const GValue *value)
{
  switch (id) {
  case SHORT_CROP_PROP_ASPECT_RATIO:
    settings->aspect_n = gst_value_get_fraction_numerator (value);
    settings->aspect_d = gst_value_get_fraction_denominator (value);
    break;
  case SHORT_CROP_PROP_MODE:
    settings->mode = g_value_get_enum (value);
    break;
  case SHORT_CROP_PROP_X:
    settings->x = g_value_get_double (value);
    break;
  case SHORT_CROP_PROP_Y:
    settings->y = g_value_get_double (value);
    break;
  case SHORT_CROP_PROP_ZOOM:
    settings->zoom = g_value_get_double (value);
    break;
  case SHORT_CROP_PROP_SMOOTHING:
    settings->smoothing = g_value_get_uint64 (value);
    break;
  case SHORT_CROP_PROP_MAX_SPEED:
    settings->max_speed = g_value_get_double (value);
    break;
  case SHORT_CROP_PROP_DEAD_ZONE:
    settings->dead_zone = g_value_get_double (value);
    break;
  case SHORT_CROP_PROP_LOOKAHEAD:
    settings->lookahead = g_value_get_uint64 (value);
    break;
  case SHORT_CROP_PROP_PATH:
    g_free (settings->path);
    settings->path = g_value_dup_string (value);
    break;
  case SHORT_CROP_PROP_PATH_LOCATION:
    g_free (settings->path_location);
    settings->path_location = g_value_dup_string (value);
    break;
  case SHORT_CROP_PROP_POST_MESSAGES:
    settings->post_messages = g_value_get_boolean (value);
    break;
  case SHORT_CROP_PROP_INTERVAL:
    settings->interval = g_value_get_uint64 (value);
    break;
  default:
    return FALSE;
  }
  return TRUE;
}

gboolean
short_crop_settings_get (const ShortCropSettings *settings, guint id, GValue *value)
{
  switch (id) {
  case SHORT_CROP_PROP_ASPECT_RATIO:
    gst_value_set_fraction (value, settings->aspect_n, settings->aspect_d);
    break;
  case SHORT_CROP_PROP_MODE:
    g_value_set_enum (value, settings->mode);
    break;
  case SHORT_CROP_PROP_X:
    g_value_set_double (value, settings->x);
    break;
  case SHORT_CROP_PROP_Y:
    g_value_set_double (value, settings->y);
    break;
  case SHORT_CROP_PROP_ZOOM:
    g_value_set_double (value, settings->zoom);
    break;
  case SHORT_CROP_PROP_SMOOTHING:
    g_value_set_uint64 (value, settings->smoothing);
    break;
  case SHORT_CROP_PROP_MAX_SPEED:
    g_value_set_double (value, settings->max_speed);
    break;
  case SHORT_CROP_PROP_DEAD_ZONE:
    g_value_set_double (value, settings->dead_zone);
    break;
  case SHORT_CROP_PROP_LOOKAHEAD:
    g_value_set_uint64 (value, settings->lookahead);
    break;
  case SHORT_CROP_PROP_PATH:
    g_value_set_string (value, settings->path);
    break;
  case SHORT_CROP_PROP_PATH_LOCATION:
    g_value_set_string (value, settings->path_location);
    break;
  case SHORT_CROP_PROP_POST_MESSAGES:
    g_value_set_boolean (value, settings->post_messages);
    break;
  case SHORT_CROP_PROP_INTERVAL:
    g_value_set_uint64 (value, settings->interval);
    break;
  default:
    return FALSE;
  }
  return TRUE;
}

void
short_crop_settings_install (GObjectClass *object_class)
{
  const GParamFlags any = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
  const GParamFlags playing = any | GST_PARAM_MUTABLE_PLAYING, ready = any | GST_PARAM_MUTABLE_READY;
  const GParamFlags controllable = playing | GST_PARAM_CONTROLLABLE;

  /**
   * GstShortCrop:aspect-ratio:
   *
   * Width by height of the output as it is displayed, where downstream leaves the choice.
   */
  g_object_class_install_property (
      object_class, SHORT_CROP_PROP_ASPECT_RATIO,
      gst_param_spec_fraction ("aspect-ratio", _ ("Aspect ratio"),
                               _ ("Width by height of the output, unless downstream decides"), 1, 100, 100, 1,
                               DEFAULT_ASPECT_N, DEFAULT_ASPECT_D, playing));
  /**
   * GstShortCrop:mode:
   *
   * Whether to follow the subject, or to stay at #GstShortCrop:x and #GstShortCrop:y.
   */
  g_object_class_install_property (object_class, SHORT_CROP_PROP_MODE,
                                   g_param_spec_enum ("mode", _ ("Mode"), _ ("How the crop is placed"),
                                                      GST_TYPE_SHORT_CROP_MODE, DEFAULT_MODE, playing));
  /**
   * GstShortCrop:x:
   *
   * Where the centre of the crop is, as far as the crop fits: in the mode `fixed` always, else when there is nothing
   * to follow.
   */
  g_object_class_install_property (object_class, SHORT_CROP_PROP_X,
                                   g_param_spec_double ("x", _ ("X"),
                                                        _ ("Centre of the resting crop (0 left, to 1 right)"), 0, 1,
                                                        DEFAULT_X, controllable));
  /**
   * GstShortCrop:y:
   *
   * As #GstShortCrop:x, from top to bottom.
   */
  g_object_class_install_property (object_class, SHORT_CROP_PROP_Y,
                                   g_param_spec_double ("y", _ ("Y"),
                                                        _ ("Centre of the resting crop (0 top, to 1 bottom)"), 0, 1,
                                                        DEFAULT_Y, controllable));
  /**
   * GstShortCrop:zoom:
   *
   * By how much the crop is smaller than the largest one that fits.
   */
  g_object_class_install_property (
      object_class, SHORT_CROP_PROP_ZOOM,
      g_param_spec_double ("zoom", _ ("Zoom"),
                           _ ("How much smaller the crop is than the largest one (factor, 1 to 20)"), 1, 20,
                           DEFAULT_ZOOM, controllable));
  /**
   * GstShortCrop:smoothing:
   *
   * How long the camera takes to get up to speed and to stop.
   */
  g_object_class_install_property (object_class, SHORT_CROP_PROP_SMOOTHING,
                                   g_param_spec_uint64 ("smoothing", _ ("Smoothing"),
                                                        _ ("How long a change of speed takes (nanoseconds)"), 0,
                                                        10 * GST_SECOND, DEFAULT_SMOOTHING, playing));
  /**
   * GstShortCrop:max-speed:
   *
   * How fast the camera moves at most.
   */
  g_object_class_install_property (object_class, SHORT_CROP_PROP_MAX_SPEED,
                                   g_param_spec_double ("max-speed", _ ("Greatest speed"),
                                                        _ ("Of the crop (source widths per second)"), 0.01, 5,
                                                        DEFAULT_MAX_SPEED, playing));
  /**
   * GstShortCrop:dead-zone:
   *
   * How far the subject may be off the middle of the crop without the camera moving.
   */
  g_object_class_install_property (object_class, SHORT_CROP_PROP_DEAD_ZONE,
                                   g_param_spec_double ("dead-zone", _ ("Dead zone"),
                                                        _ ("How far the subject may be off the middle (crop widths)"),
                                                        0, 0.5, DEFAULT_DEAD_ZONE, playing));
  /**
   * GstShortCrop:lookahead:
   *
   * How far the camera sees into the future, which is how long frames are held (never more than 300 of them); reported
   * as latency. From half a second on every cut is known in time.
   */
  g_object_class_install_property (
      object_class, SHORT_CROP_PROP_LOOKAHEAD,
      g_param_spec_uint64 ("lookahead", _ ("Look-ahead"),
                           _ ("How long frames are held to see what follows (nanoseconds)"), 0, 10 * GST_SECOND,
                           DEFAULT_LOOKAHEAD, playing));
  /**
   * GstShortCrop:path:
   *
   * Name of a crop path file to go by.
   */
  g_object_class_install_property (
      object_class, SHORT_CROP_PROP_PATH,
      g_param_spec_string ("path", _ ("Path"), _ ("Crop path file (JSON) to go by instead of a camera"), NULL, ready));
  /**
   * GstShortCrop:path-location:
   *
   * Name of a file that the crop path is written to at the end of the stream.
   */
  g_object_class_install_property (object_class, SHORT_CROP_PROP_PATH_LOCATION,
                                   g_param_spec_string ("path-location", _ ("Path location"),
                                                        _ ("File to write the crop path to at the end (JSON)"), NULL,
                                                        ready));
  /**
   * GstShortCrop:post-messages:
   *
   * Whether to tell what is cropped.
   */
  g_object_class_install_property (object_class, SHORT_CROP_PROP_POST_MESSAGES,
                                   g_param_spec_boolean ("post-messages", _ ("Post messages"),
                                                         _ ("Post messages of what is cropped"), DEFAULT_POST_MESSAGES,
                                                         playing));
  /**
   * GstShortCrop:interval:
   *
   * Time between two messages; 0 for one per frame.
   */
  g_object_class_install_property (
      object_class, SHORT_CROP_PROP_INTERVAL,
      g_param_spec_uint64 ("interval", _ ("Interval"), _ ("Time between two messages, 0 for every frame (nanoseconds)"),
                           0, 3600 * GST_SECOND, DEFAULT_INTERVAL, playing));
}
