/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/check/gstharness.h>
#include <gst/video/video.h>

G_BEGIN_DECLS

/* What a test draws. */
typedef enum {
  PATTERN_TEXTURE, /* sharp, colourful, mid grey on average */
  PATTERN_BLURRED, /* the same without detail */
  PATTERN_BLACK,
  PATTERN_BLOWN_OUT,
  PATTERN_PLAIN, /* one colour: luma is the variant */
} Pattern;

char *make_caps_string (const char *format, guint width, guint height, const char *rest);
GstBuffer *make_frame (const char *format, guint width, guint height, Pattern pattern, guint variant, GstClockTime pts,
                       GstClockTime duration);
GstHarness *harness_new_with_bus (const char *element, GstBus **bus);
GPtrArray *take_messages (GstBus *bus, const char *name);

G_END_DECLS
