/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "mixing.h"

#include <math.h>
#include <string.h>

float *
make_tone (double frequency, double amplitude, guint frames, guint from, guint to)
{
  float *samples = g_new0 (float, frames);

  for (guint i = from; i < MIN (to, frames); i++)
    samples[i] = (float)(amplitude * sin (2 * G_PI * frequency * (i - from) / 48000));
  return samples;
}

float *
make_level (float level, guint frames)
{
  float *samples = g_new (float, frames);

  for (guint i = 0; i < frames; i++)
    samples[i] = level;
  return samples;
}

/* The same every time, on the grid of 16 bits. */
float *
make_noise (float amplitude, guint frames)
{
  float *samples = g_new (float, frames);
  g_autoptr (GRand) random = g_rand_new_with_seed (7);

  for (guint i = 0; i < frames; i++)
    samples[i] = (float)((int)(g_rand_double_range (random, -amplitude, amplitude) * 32768)) / 32768;
  return samples;
}

typedef struct {
  Input input;
  GstHarness *harness;
  GThread *thread;
} Feed;

static GstBuffer *
make_buffer (const Input *input, guint from, guint n)
{
  gboolean small = g_strcmp0 (input->format, "S16") == 0;
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, (gsize)n * input->channels * (small ? 2 : 4), NULL);
  GstMapInfo map;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
  for (guint i = 0; i < n * input->channels; i++) {
    float sample = input->samples[from + i / input->channels];

    if (small)
      ((gint16 *)map.data)[i] = (gint16)lrintf (sample * 32768);
    else
      ((float *)map.data)[i] = sample;
  }
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = input->start + gst_util_uint64_scale (from, GST_SECOND, input->rate);
  GST_BUFFER_DURATION (buffer) =
      input->start + gst_util_uint64_scale (from + n, GST_SECOND, input->rate) - GST_BUFFER_PTS (buffer);
  return buffer;
}

static gpointer
feed (gpointer data)
{
  Feed *self = data;
  const Input *input = &self->input;
  guint at = 0;

  while (at < input->frames) {
    guint n = MIN (input->block, input->frames - at);

    if (at < input->gap_from)
      n = MIN (n, input->gap_from - at);
    if (at >= input->gap_from && at < input->gap_to) {
      GstClockTime from = input->start + gst_util_uint64_scale (at, GST_SECOND, input->rate);

      n = input->gap_to - at;
      gst_harness_push_event (
          self->harness,
          gst_event_new_gap (from, input->start + gst_util_uint64_scale (at + n, GST_SECOND, input->rate) - from));
    } else if (gst_harness_push (self->harness, make_buffer (input, at, n)) != GST_FLOW_OK) {
      return NULL;
    }
    at += n;
  }
  gst_harness_push_event (self->harness, gst_event_new_eos ());
  return NULL;
}

static void
take_buffer (Output *output, const GstAudioInfo *info, GstBuffer *buffer)
{
  GstMapInfo map;
  guint frames, old = output->frames * output->channels;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  frames = (guint)(map.size / (guint)GST_AUDIO_INFO_BPF (info));
  g_assert_cmpuint (frames, >, 0);
  if (output->frames == 0)
    output->start = GST_BUFFER_PTS (buffer);
  /* Neither gaps nor overlaps. */
  g_assert_cmpuint (GST_BUFFER_PTS (buffer) / 10, ==,
                    (output->start + gst_util_uint64_scale (output->frames, GST_SECOND, info->rate)) / 10);
  output->samples = g_renew (float, output->samples, old + frames * output->channels);
  for (guint i = 0; i < frames * output->channels; i++)
    output->samples[old + i] =
        output->format == GST_AUDIO_FORMAT_S16 ? ((gint16 *)map.data)[i] / 32768.0f : ((float *)map.data)[i];
  output->frames += frames;
  gst_buffer_unmap (buffer, &map);
  gst_buffer_unref (buffer);
}

/* Sends the inputs into @element until it ends, and takes what comes out, which is checked to be continuous. */
Output *
mix (GstElement *element, const char *caps, const Input *inputs, guint n_inputs)
{
  Output *output = g_new0 (Output, 1);
  GstHarness *h = gst_harness_new_with_element (element, NULL, "src");
  g_autofree Feed *feeds = g_new0 (Feed, n_inputs);
  g_autoptr (GstCaps) src_caps = NULL;
  GstAudioInfo info;
  GstEvent *event;
  GstBuffer *buffer;
  gboolean ended = FALSE;

  if (caps)
    gst_harness_set_sink_caps_str (h, caps);
  for (guint i = 0; i < n_inputs; i++) {
    Input *input = &feeds[i].input;
    g_autofree char *text = NULL;

    *input = inputs[i];
    input->format = input->format ? input->format : "F32";
    input->rate = input->rate ? input->rate : 48000;
    input->channels = input->channels ? input->channels : 1;
    input->block = input->block ? input->block : 1024;
    text = g_strdup_printf ("audio/x-raw,format=%s,layout=interleaved,rate=%u,channels=%u%s",
                            strcmp (input->format, "S16") == 0 ? GST_AUDIO_NE (S16) : GST_AUDIO_NE (F32), input->rate,
                            input->channels, input->channels == 6 ? ",channel-mask=(bitmask)0x3f" : "");
    feeds[i].harness = gst_harness_new_with_element (element, input->pad, NULL);
    gst_harness_set_src_caps_str (feeds[i].harness, text);
  }
  for (guint i = 0; i < n_inputs; i++)
    feeds[i].thread = g_thread_new (feeds[i].input.pad, feed, &feeds[i]);
  while (!ended) {
    event = gst_harness_pull_event (h);
    g_assert_nonnull (event);
    ended = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
    gst_event_unref (event);
  }
  for (guint i = 0; i < n_inputs; i++)
    g_thread_join (feeds[i].thread);
  src_caps = gst_pad_get_current_caps (h->sinkpad);
  if (src_caps) {
    g_assert_true (gst_audio_info_from_caps (&info, src_caps));
    output->channels = (guint)info.channels;
    output->format = GST_AUDIO_INFO_FORMAT (&info);
  }
  while ((buffer = gst_harness_try_pull (h)))
    take_buffer (output, &info, buffer);
  for (guint i = 0; i < n_inputs; i++)
    gst_harness_teardown (feeds[i].harness);
  gst_harness_teardown (h);
  return output;
}

void
output_free (Output *output)
{
  g_free (output->samples);
  g_free (output);
}
