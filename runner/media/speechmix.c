/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "speechmix-private.h"

static double
weight_of (GstAudioChannelPosition position, gboolean positioned)
{
  if (!positioned)
    return 1;
  switch (position) {
  case GST_AUDIO_CHANNEL_POSITION_FRONT_CENTER:
  case GST_AUDIO_CHANNEL_POSITION_MONO:
    return 1;
  case GST_AUDIO_CHANNEL_POSITION_FRONT_LEFT:
  case GST_AUDIO_CHANNEL_POSITION_FRONT_RIGHT:
    return G_SQRT2 / 2;
  case GST_AUDIO_CHANNEL_POSITION_LFE1:
  case GST_AUDIO_CHANNEL_POSITION_LFE2:
    return 0;
  default:
    return 0.5;
  }
}

void
derush_speech_mix_init (DerushSpeechMix *self, const GstAudioInfo *info)
{
  gboolean positioned = !GST_AUDIO_INFO_IS_UNPOSITIONED (info);
  double sum = 0;

  *self = (DerushSpeechMix){.n_channels = MIN ((guint)info->channels, G_N_ELEMENTS (self->weights)), .centre = -1};
  for (guint i = 0; i < self->n_channels; i++) {
    self->weights[i] = weight_of (info->position[i], positioned);
    sum += self->weights[i];
    if (positioned && self->n_channels > 2 && info->position[i] == GST_AUDIO_CHANNEL_POSITION_FRONT_CENTER)
      self->centre = (int)i;
  }
  for (guint i = 0; i < self->n_channels; i++)
    self->weights[i] = sum > 0 ? self->weights[i] / sum : 1.0 / self->n_channels;
}

gboolean
derush_speech_mix_has_other (const DerushSpeechMix *self)
{
  return self->centre >= 0 || self->n_channels == 2;
}

void
derush_speech_mix_frame (const DerushSpeechMix *self, const gint16 *frame, double *mix, double *other)
{
  double sum = 0;

  for (guint i = 0; i < self->n_channels; i++)
    sum += self->weights[i] * frame[i];
  *mix = *other = sum;
  if (self->centre >= 0)
    *other = frame[self->centre];
  else if (self->n_channels == 2)
    *other = (frame[0] - frame[1]) / 2.0;
}
