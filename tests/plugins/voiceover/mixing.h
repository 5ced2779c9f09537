/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/audio/audio.h>
#include <gst/check/gstharness.h>

G_BEGIN_DECLS

/* What is sent into one pad; pads are fed by threads of their own. */
typedef struct {
  const char *pad;
  const char *format; /* F32 where it is %NULL, or S16 */
  guint channels;     /* all of them have the same samples; 1 where it is 0 */
  guint rate;         /* 48000 where it is 0 */
  const float *samples;
  guint frames;
  GstClockTime start; /* timestamp of the first sample */
  guint gap_from;     /* frames that are sent as a gap */
  guint gap_to;
  guint block; /* frames per buffer, 1024 where it is 0 */
} Input;

/* What came out. */
typedef struct {
  float *samples; /* interleaved */
  guint frames;
  guint channels;
  GstAudioFormat format;
  GstClockTime start;
} Output;

float *make_tone (double frequency, double amplitude, guint frames, guint from, guint to);
float *make_level (float level, guint frames);
float *make_noise (float amplitude, guint frames);
Output *mix (GstElement *element, const char *caps, const Input *inputs, guint n_inputs);
void output_free (Output *output);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Output, output_free)

G_END_DECLS
