/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef enum {
  SHORT_CROP_AUTO,
  SHORT_CROP_FIXED,
} ShortCropMode;

typedef struct {
  int aspect_n, aspect_d;
  ShortCropMode mode;
  double x, y, zoom;
  GstClockTime smoothing;
  double max_speed, dead_zone;
  GstClockTime lookahead;
  gboolean post_messages;
  GstClockTime interval;
  char *path, *path_location;
} ShortCropSettings;

typedef enum {
  SHORT_CROP_PROP_0,
  SHORT_CROP_PROP_ASPECT_RATIO,
  SHORT_CROP_PROP_MODE,
  SHORT_CROP_PROP_X,
  SHORT_CROP_PROP_Y,
  SHORT_CROP_PROP_ZOOM,
  SHORT_CROP_PROP_SMOOTHING,
  SHORT_CROP_PROP_MAX_SPEED,
  SHORT_CROP_PROP_DEAD_ZONE,
  SHORT_CROP_PROP_LOOKAHEAD,
  SHORT_CROP_PROP_PATH,
  SHORT_CROP_PROP_PATH_LOCATION,
  SHORT_CROP_PROP_POST_MESSAGES,
  SHORT_CROP_PROP_INTERVAL,
} ShortCropProperty;

#define GST_TYPE_SHORT_CROP_MODE (gst_short_crop_mode_get_type ())
GType gst_short_crop_mode_get_type (void);

void short_crop_settings_init (ShortCropSettings *settings);
void short_crop_settings_clear (ShortCropSettings *settings);
gboolean short_crop_settings_set (ShortCropSettings *settings, guint id, const GValue *value);
gboolean short_crop_settings_get (const ShortCropSettings *settings, guint id, GValue *value);
void short_crop_settings_install (GObjectClass *object_class);

G_END_DECLS
