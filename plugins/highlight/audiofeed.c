/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "audiofeed.h"

#include <math.h>
#include <string.h>

/* Timestamps of compressed audio wander by this much without meaning it, in seconds. */
#define TOLERANCE 0.04
/* A longer gap begins anew instead of being filled with silence. */
#define LONGEST_FILLED 60.0

struct _AudioFeed {
  GstAudioInfo info;
  DerushAudioMeter *meter; /* NULL: audio that cannot be measured */
  gboolean running;
  double start;
  guint64 samples; /* since start */
  gpointer unpacked;
  float *floats;
  gsize room; /* samples of all channels that both hold */
};

AudioFeed *
audio_feed_new (const GstAudioInfo *info)
{
  AudioFeed *self = g_new0 (AudioFeed, 1);

  self->info = *info;
  self->meter = derush_audio_meter_new (GST_AUDIO_INFO_RATE (info), GST_AUDIO_INFO_CHANNELS (info));
  return self;
}

void
audio_feed_free (AudioFeed *self)
{
  g_clear_pointer (&self->meter, derush_audio_meter_free);
  g_free (self->unpacked);
  g_free (self->floats);
  g_free (self);
}

const GstAudioInfo *
audio_feed_get_info (const AudioFeed *self)
{
  return &self->info;
}

static void
make_room (AudioFeed *self, gsize samples)
{
  if (samples <= self->room)
    return;
  g_free (self->unpacked);
  g_free (self->floats);
  self->unpacked = g_new (double, samples);
  self->floats = g_new (float, samples);
  self->room = samples;
}

/* One run of samples of the stream's format to every @step-th place of @out. */
static void
unpack (AudioFeed *self, gconstpointer data, gsize samples, float *out, guint step)
{
  const GstAudioFormatInfo *format = self->info.finfo;

  format->unpack_func (format, GST_AUDIO_PACK_FLAG_NONE, self->unpacked, data, samples);
  if (format->unpack_format == GST_AUDIO_FORMAT_F64) {
    const double *values = self->unpacked;

    for (gsize i = 0; i < samples; i++)
      out[i * step] = values[i];
  } else {
    const gint32 *values = self->unpacked;

    for (gsize i = 0; i < samples; i++)
      out[i * step] = values[i] / 2147483648.0f;
  }
}

static const float *
to_floats (AudioFeed *self, const GstAudioBuffer *audio)
{
  guint channels = GST_AUDIO_INFO_CHANNELS (&self->info);

  make_room (self, audio->n_samples * channels);
  if (GST_AUDIO_BUFFER_LAYOUT (audio) == GST_AUDIO_LAYOUT_NON_INTERLEAVED) {
    for (guint c = 0; c < channels; c++)
      unpack (self, GST_AUDIO_BUFFER_PLANE_DATA (audio, c), audio->n_samples, self->floats + c, channels);
  } else {
    unpack (self, GST_AUDIO_BUFFER_PLANE_DATA (audio, 0), audio->n_samples * channels, self->floats, 1);
  }
  return self->floats;
}

static void
take_blocks (AudioFeed *self, GArray *blocks)
{
  derush_audio_meter_pop (self->meter, blocks);
}

static void
begin (AudioFeed *self, double time, GArray *blocks)
{
  if (self->running) {
    derush_audio_meter_finish (self->meter);
    take_blocks (self, blocks);
  }
  derush_audio_meter_reset (self->meter, time);
  self->start = time;
  self->samples = 0;
  self->running = TRUE;
}

/* How many samples at the beginning of what is at @time were heard already; fills gaps with silence. */
static gsize
align (AudioFeed *self, double time, GArray *blocks)
{
  guint rate = GST_AUDIO_INFO_RATE (&self->info);
  double gap;

  if (!self->running)
    begin (self, time, blocks);
  gap = time - (self->start + (double)self->samples / rate);
  if (gap > LONGEST_FILLED) {
    begin (self, time, blocks);
  } else if (gap > TOLERANCE) {
    gsize silence = (gsize)(gap * rate + 0.5);

    derush_audio_meter_push (self->meter, NULL, silence);
    self->samples += silence;
  } else if (gap < -TOLERANCE) {
    return (gsize)(-gap * rate + 0.5);
  }
  return 0;
}

/* Appends the blocks that are done to @blocks; %FALSE if the buffer could not be read. */
gboolean
audio_feed_push (AudioFeed *self, GstBuffer *buffer, GstClockTime stream_time, GArray *blocks)
{
  GstAudioBuffer audio;
  gsize heard, n_samples;
  const float *samples;

  if (!self->meter)
    return TRUE;
  if (!gst_audio_buffer_map (&audio, &self->info, buffer, GST_MAP_READ))
    return FALSE;
  n_samples = audio.n_samples;
  heard = align (self, (double)stream_time / GST_SECOND, blocks);
  if (heard < n_samples) {
    samples = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP) ? NULL : to_floats (self, &audio);
    derush_audio_meter_push (self->meter, samples ? samples + heard * GST_AUDIO_INFO_CHANNELS (&self->info) : NULL,
                             n_samples - heard);
    self->samples += n_samples - heard;
  }
  gst_audio_buffer_unmap (&audio);
  take_blocks (self, blocks);
  return TRUE;
}

void
audio_feed_finish (AudioFeed *self, GArray *blocks)
{
  if (!self->running)
    return;
  derush_audio_meter_finish (self->meter);
  take_blocks (self, blocks);
  self->running = FALSE;
}
