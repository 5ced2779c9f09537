/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/audio/gstaudioaggregator.h>

G_BEGIN_DECLS

#define GST_TYPE_VOICEOVER_MIX (gst_voiceover_mix_get_type ())
G_DECLARE_FINAL_TYPE (GstVoiceoverMix, gst_voiceover_mix, GST, VOICEOVER_MIX, GstAudioAggregator)

GST_ELEMENT_REGISTER_DECLARE (voiceovermix);

G_END_DECLS
