/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/audio/gstaudiofilter.h>

G_BEGIN_DECLS

#define GST_TYPE_LOUDNESS (gst_loudness_get_type ())
G_DECLARE_FINAL_TYPE (GstLoudness, gst_loudness, GST, LOUDNESS, GstAudioFilter)

GST_ELEMENT_REGISTER_DECLARE (loudness);

G_END_DECLS
