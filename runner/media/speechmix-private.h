/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of the channels of a film is listened to for words: plain C over samples. */

#pragma once

#include <gst/audio/audio.h>

G_BEGIN_DECLS

/**
 * DerushSpeechMix:
 * @n_channels: of the film
 * @centre: the channel that films have their words in, or -1
 * @weights: of the channels in the mix; together they are 1
 *
 * Beside the mix of all channels there is a second candidate: the centre, or of two channels the half of their difference.
 */
typedef struct {
  guint n_channels;
  int centre;
  double weights[64];
} DerushSpeechMix;

void derush_speech_mix_init (DerushSpeechMix *self, const GstAudioInfo *info);

gboolean derush_speech_mix_has_other (const DerushSpeechMix *self);

/* Both candidates of one frame; without a second one @other is the mix. */
void derush_speech_mix_frame (const DerushSpeechMix *self, const gint16 *frame, double *mix, double *other);

G_END_DECLS
