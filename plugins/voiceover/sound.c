/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "sound.h"

#include <string.h>

/* Makes room for so many samples, keeping those there are. */
void
sound_reserve (Sound *sound, gsize samples)
{
  if (samples <= sound->allocated)
    return;
  sound->allocated = MAX (samples, sound->allocated * 2);
  sound->program = g_renew (float, sound->program, sound->allocated);
  sound->voice = g_renew (float, sound->voice, sound->allocated);
}

void
sound_clear (Sound *sound)
{
  g_free (sound->program);
  g_free (sound->voice);
  *sound = (Sound){0};
}

/* @more must not be the same sound. */
void
sound_append (Sound *sound, const Sound *more, guint frames, guint channels)
{
  gsize old = (gsize)sound->frames * channels, n = (gsize)frames * channels;

  sound_reserve (sound, old + n);
  memcpy (sound->program + old, more->program, n * sizeof (float));
  memcpy (sound->voice + old, more->voice, n * sizeof (float));
  sound->frames += frames;
}

/* Takes the first frames away. */
void
sound_drop (Sound *sound, guint frames, guint channels)
{
  gsize n = (gsize)frames * channels, rest = (gsize)(sound->frames - frames) * channels;

  memmove (sound->program, sound->program + n, rest * sizeof (float));
  memmove (sound->voice, sound->voice + n, rest * sizeof (float));
  sound->frames -= frames;
}

/* Changes the channels of what there is; what cannot be converted becomes silence. */
void
sound_convert (Sound *sound, const GstAudioInfo *from, const GstAudioInfo *to)
{
  GstAudioInfo in, out;
  Sound converted = {0};
  GstAudioConverter *converter;

  gst_audio_info_set_format (&in, GST_AUDIO_FORMAT_F32, from->rate, from->channels, from->position);
  gst_audio_info_set_format (&out, GST_AUDIO_FORMAT_F32, from->rate, to->channels, to->position);
  in.flags = from->flags;
  out.flags = to->flags;
  sound_reserve (&converted, (gsize)sound->frames * to->channels);
  memset (converted.program, 0, converted.allocated * sizeof (float));
  memset (converted.voice, 0, converted.allocated * sizeof (float));
  converted.frames = sound->frames;
  converter = gst_audio_converter_new (GST_AUDIO_CONVERTER_FLAG_NONE, &in, &out, NULL);
  if (converter && sound->frames > 0) {
    gpointer planes[][2] = {{sound->program, converted.program}, {sound->voice, converted.voice}};

    for (guint i = 0; i < 2; i++)
      gst_audio_converter_samples (converter, GST_AUDIO_CONVERTER_FLAG_NONE, &planes[i][0], sound->frames,
                                   &planes[i][1], sound->frames);
  }
  g_clear_pointer (&converter, gst_audio_converter_free);
  sound_clear (sound);
  *sound = converted;
}
