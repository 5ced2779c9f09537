/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/audio/audio.h>

G_BEGIN_DECLS

/* The same frames of programs and voices, interleaved. */
typedef struct {
  float *program;
  float *voice;
  guint frames;
  gsize allocated; /* samples */
} Sound;

void sound_reserve (Sound *sound, gsize samples);
void sound_clear (Sound *sound);
void sound_append (Sound *sound, const Sound *more, guint frames, guint channels);
void sound_drop (Sound *sound, guint frames, guint channels);
void sound_convert (Sound *sound, const GstAudioInfo *from, const GstAudioInfo *to);

G_END_DECLS
