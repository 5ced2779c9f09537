/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/audio/gstaudioaggregator.h>

G_BEGIN_DECLS

#define GST_TYPE_VOICEOVER_MIX_PAD (gst_voiceover_mix_pad_get_type ())
G_DECLARE_FINAL_TYPE (GstVoiceoverMixPad, gst_voiceover_mix_pad, GST, VOICEOVER_MIX_PAD, GstAudioAggregatorConvertPad)

gboolean gst_voiceover_mix_pad_is_voice (GstVoiceoverMixPad *pad);
void gst_voiceover_mix_pad_note_gap (GstVoiceoverMixPad *pad, const GstBuffer *buffer);
GstClockTime gst_voiceover_mix_pad_get_gap_end (GstVoiceoverMixPad *pad);
void gst_voiceover_mix_pad_reset (GstVoiceoverMixPad *pad);
void gst_voiceover_mix_pad_add (GstVoiceoverMixPad *pad, const GstAudioInfo *info, gconstpointer samples, float *sum,
                                guint frames);

G_END_DECLS
