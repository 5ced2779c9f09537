/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * GstVoiceoverMixPad:
 *
 * A program or a voice of #voiceovermix. Takes any sample format and channels, which are converted; the sample rate
 * must be that of the other pads.
 */

#include "config.h"

#include "gstvoiceovermixpad.h"

#include <glib/gi18n-lib.h>

#define DEFAULT_VOLUME 1.0
#define DEFAULT_MUTE FALSE

struct _GstVoiceoverMixPad {
  GstAudioAggregatorConvertPad parent;

  /* object lock */
  double volume;
  gboolean mute;
  GstClockTime gap_end;

  /* streaming thread */
  float applied_volume; /* negative before the first samples */
};

enum {
  PROP_0,
  PROP_VOLUME,
  PROP_MUTE,
};

G_DEFINE_TYPE (GstVoiceoverMixPad, gst_voiceover_mix_pad, GST_TYPE_AUDIO_AGGREGATOR_CONVERT_PAD)

/* Whether this is a voice, not a program. */
gboolean
gst_voiceover_mix_pad_is_voice (GstVoiceoverMixPad *pad)
{
  return g_str_has_prefix (GST_PAD_TEMPLATE_NAME_TEMPLATE (GST_PAD_PAD_TEMPLATE (pad)), "voice");
}

/* The base class says nothing of gaps, but they belong to a program. */
void
gst_voiceover_mix_pad_note_gap (GstVoiceoverMixPad *pad, const GstBuffer *buffer)
{
  GstClockTime end;

  if (!GST_BUFFER_PTS_IS_VALID (buffer) || !GST_BUFFER_DURATION_IS_VALID (buffer))
    return;
  GST_OBJECT_LOCK (pad);
  end = gst_segment_to_running_time (&GST_AGGREGATOR_PAD (pad)->segment, GST_FORMAT_TIME,
                                     GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer));
  if (GST_CLOCK_TIME_IS_VALID (end) && (!GST_CLOCK_TIME_IS_VALID (pad->gap_end) || end > pad->gap_end))
    pad->gap_end = end;
  GST_OBJECT_UNLOCK (pad);
}

/* The running time at which the last gap ends, or %GST_CLOCK_TIME_NONE. */
GstClockTime
gst_voiceover_mix_pad_get_gap_end (GstVoiceoverMixPad *pad)
{
  GstClockTime end;

  GST_OBJECT_LOCK (pad);
  end = pad->gap_end;
  GST_OBJECT_UNLOCK (pad);
  return end;
}

void
gst_voiceover_mix_pad_reset (GstVoiceoverMixPad *pad)
{
  GST_OBJECT_LOCK (pad);
  pad->gap_end = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (pad);
  pad->applied_volume = -1;
}

/* Adds samples in the format of the output, which @info describes. A change of volume is spread over all of them. */
void
gst_voiceover_mix_pad_add (GstVoiceoverMixPad *pad, const GstAudioInfo *info, gconstpointer samples, float *sum,
                           guint frames)
{
  guint channels = GST_AUDIO_INFO_CHANNELS (info);
  float volume, from, step;

  GST_OBJECT_LOCK (pad);
  volume = pad->mute ? 0 : (float)pad->volume;
  GST_OBJECT_UNLOCK (pad);
  from = pad->applied_volume >= 0 ? pad->applied_volume : volume;
  pad->applied_volume = volume;
  step = (volume - from) / frames;
  for (guint i = 0; i < frames; i++) {
    float factor = step == 0 ? volume : from + step * (i + 1);

    if (GST_AUDIO_INFO_FORMAT (info) == GST_AUDIO_FORMAT_S16)
      for (guint c = 0; c < channels; c++)
        sum[i * channels + c] += factor * ((const gint16 *)samples)[i * channels + c] / 32768;
    else
      for (guint c = 0; c < channels; c++)
        sum[i * channels + c] += factor * ((const float *)samples)[i * channels + c];
  }
}

static void
gst_voiceover_mix_pad_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstVoiceoverMixPad *pad = GST_VOICEOVER_MIX_PAD (object);

  GST_OBJECT_LOCK (pad);
  switch (id) {
  case PROP_VOLUME:
    pad->volume = g_value_get_double (value);
    break;
  case PROP_MUTE:
    pad->mute = g_value_get_boolean (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (pad);
}

static void
gst_voiceover_mix_pad_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstVoiceoverMixPad *pad = GST_VOICEOVER_MIX_PAD (object);

  GST_OBJECT_LOCK (pad);
  switch (id) {
  case PROP_VOLUME:
    g_value_set_double (value, pad->volume);
    break;
  case PROP_MUTE:
    g_value_set_boolean (value, pad->mute);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (pad);
}

static void
gst_voiceover_mix_pad_class_init (GstVoiceoverMixPadClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_CONTROLLABLE | GST_PARAM_MUTABLE_PLAYING;

  object_class->set_property = gst_voiceover_mix_pad_set_property;
  object_class->get_property = gst_voiceover_mix_pad_get_property;

  /**
   * GstVoiceoverMixPad:volume:
   *
   * Factor of the samples; 1 leaves them as they are. A voice is heard by the ducking at this volume.
   */
  g_object_class_install_property (object_class, PROP_VOLUME,
                                   g_param_spec_double ("volume", _ ("Volume"),
                                                        _ ("Volume of this pad (factor, 0 to 10)"), 0, 10,
                                                        DEFAULT_VOLUME, flags));
  /**
   * GstVoiceoverMixPad:mute:
   *
   * Whether this pad is silent. A silent voice ducks nothing.
   */
  g_object_class_install_property (
      object_class, PROP_MUTE, g_param_spec_boolean ("mute", _ ("Mute"), _ ("Silence this pad"), DEFAULT_MUTE, flags));
}

static void
gst_voiceover_mix_pad_init (GstVoiceoverMixPad *pad)
{
  pad->volume = DEFAULT_VOLUME;
  pad->mute = DEFAULT_MUTE;
  gst_voiceover_mix_pad_reset (pad);
}
