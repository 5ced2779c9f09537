/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "gstvoiceovermixpad.h"
#include "mixpads.h"

#include <string.h>

static gboolean
look_at_program (GstElement *element, GstPad *pad, gpointer data)
{
  MixPrograms *programs = data;
  GstClockTime gap_end;

  if (gst_voiceover_mix_pad_is_voice (GST_VOICEOVER_MIX_PAD (pad)))
    return TRUE;
  programs->count++;
  if (!gst_aggregator_pad_is_eos (GST_AGGREGATOR_PAD (pad)))
    programs->running++;
  gap_end = gst_voiceover_mix_pad_get_gap_end (GST_VOICEOVER_MIX_PAD (pad));
  if (GST_CLOCK_TIME_IS_VALID (gap_end))
    programs->gap_end = MAX (programs->gap_end, gap_end);
  return TRUE;
}

MixPrograms
mix_pads_look_at_programs (GstElement *element)
{
  MixPrograms programs = {0};

  gst_element_foreach_sink_pad (element, look_at_program, &programs);
  return programs;
}

static gboolean
look_at_start (GstElement *element, GstPad *pad, gpointer data)
{
  GstClockTime *start = data, time;
  GstBuffer *buffer = gst_aggregator_pad_peek_buffer (GST_AGGREGATOR_PAD (pad));

  if (!buffer)
    return TRUE;
  GST_OBJECT_LOCK (pad);
  time = gst_segment_to_running_time (&GST_AGGREGATOR_PAD (pad)->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  GST_OBJECT_UNLOCK (pad);
  if (GST_CLOCK_TIME_IS_VALID (time) && (!GST_CLOCK_TIME_IS_VALID (*start) || time < *start))
    *start = time;
  gst_buffer_unref (buffer);
  return TRUE;
}

/* The earliest running time of what waits on the pads, or %GST_CLOCK_TIME_NONE. */
GstClockTime
mix_pads_find_start (GstElement *element)
{
  GstClockTime start = GST_CLOCK_TIME_NONE;

  gst_element_foreach_sink_pad (element, look_at_start, &start);
  return start;
}

static gboolean
find_leading_info (GstElement *element, GstPad *pad, gpointer data)
{
  GstAudioInfo *info = data;
  gboolean program = !gst_voiceover_mix_pad_is_voice (GST_VOICEOVER_MIX_PAD (pad)), known;

  GST_OBJECT_LOCK (pad);
  known = GST_AUDIO_INFO_IS_VALID (&GST_AUDIO_AGGREGATOR_PAD (pad)->info);
  if (known && (program || !GST_AUDIO_INFO_IS_VALID (info)))
    *info = GST_AUDIO_AGGREGATOR_PAD (pad)->info;
  GST_OBJECT_UNLOCK (pad);
  return !(program && known);
}

/* What the first program is, or the first voice where no program is known. */
gboolean
mix_pads_find_leading_info (GstElement *element, GstAudioInfo *info)
{
  gst_audio_info_init (info);
  gst_element_foreach_sink_pad (element, find_leading_info, info);
  return GST_AUDIO_INFO_IS_VALID (info);
}

typedef struct {
  GstPad *other_than;
  int rate;
} KnownRate;

static gboolean
find_rate (GstElement *element, GstPad *pad, gpointer data)
{
  KnownRate *known = data;

  if (pad == known->other_than)
    return TRUE;
  GST_OBJECT_LOCK (pad);
  if (GST_AUDIO_INFO_IS_VALID (&GST_AUDIO_AGGREGATOR_PAD (pad)->info))
    known->rate = GST_AUDIO_INFO_RATE (&GST_AUDIO_AGGREGATOR_PAD (pad)->info);
  GST_OBJECT_UNLOCK (pad);
  return known->rate == 0;
}

/* The sample rate of another pad, or 0 if none is known. */
int
mix_pads_find_rate (GstElement *element, GstPad *other_than)
{
  KnownRate known = {other_than, 0};

  gst_element_foreach_sink_pad (element, find_rate, &known);
  return known.rate;
}

typedef struct {
  gboolean any;
  gboolean known;
  gint64 longest;
} Durations;

static gboolean
ask_duration (GstElement *element, GstPad *pad, gpointer data)
{
  Durations *durations = data;
  gint64 duration = -1;

  if (gst_voiceover_mix_pad_is_voice (GST_VOICEOVER_MIX_PAD (pad)))
    return TRUE;
  durations->any = TRUE;
  if (gst_pad_peer_query_duration (pad, GST_FORMAT_TIME, &duration) && duration >= 0)
    durations->longest = MAX (durations->longest, duration);
  else
    durations->known = FALSE;
  return TRUE;
}

/* Whether there are programs; @duration is that of the longest, or %GST_CLOCK_TIME_NONE if one of them does not know. */
gboolean
mix_pads_query_program_duration (GstElement *element, GstClockTime *duration)
{
  Durations durations = {FALSE, TRUE, 0};

  gst_element_foreach_sink_pad (element, ask_duration, &durations);
  *duration = durations.known ? (GstClockTime)durations.longest : GST_CLOCK_TIME_NONE;
  return durations.any;
}

static gboolean
reset_pad (GstElement *element, GstPad *pad, gpointer data)
{
  gst_voiceover_mix_pad_reset (GST_VOICEOVER_MIX_PAD (pad));
  return TRUE;
}

void
mix_pads_reset (GstElement *element)
{
  gst_element_foreach_sink_pad (element, reset_pad, NULL);
}

/* The name that was asked for, or @prefix with the next free number; %NULL if they do not go together. */
char *
mix_pads_choose_name (GstElement *element, const char *prefix, const char *name)
{
  if (name && !strchr (name, '%'))
    return g_str_has_prefix (name, prefix) ? g_strdup (name) : NULL;
  for (guint i = 0;; i++) {
    g_autofree char *candidate = g_strdup_printf ("%s%u", prefix, i);
    g_autoptr (GstPad) pad = gst_element_get_static_pad (element, candidate);

    if (!pad)
      return g_steal_pointer (&candidate);
  }
}
