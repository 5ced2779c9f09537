/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What goes into the decoder of the picture. It is counted here, and not what comes out: on the way to a place that was
 * sought a decoder works and gives nothing.
 */

#include "config.h"

#include "pipeline-private.h"

static double
stream_time (GstPad *pad, GstClockTime time)
{
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  const GstSegment *segment;

  if (!event || !GST_CLOCK_TIME_IS_VALID (time))
    return -1;
  gst_event_parse_segment (event, &segment);
  time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, MIN (time, segment->stop));
  return GST_CLOCK_TIME_IS_VALID (time) ? (double)time / GST_SECOND : -1;
}

static GstPadProbeReturn
thin_out (DerushMediaPipeline *self, GstPad *pad, GstBuffer *buffer)
{
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  GstClockTime end =
      GST_CLOCK_TIME_IS_VALID (pts) && GST_BUFFER_DURATION_IS_VALID (buffer) ? pts + GST_BUFFER_DURATION (buffer) : pts;

  g_mutex_lock (&self->lock);
  self->packet_end = MAX (self->packet_end, stream_time (pad, end) - self->start);
  g_mutex_unlock (&self->lock);
  if (!GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT))
    self->group_is_decoded = stream_time (pad, pts) - self->start >= self->duration - self->sparse_tail;
  else if (!self->group_is_decoded)
    return GST_PAD_PROBE_DROP;
  return GST_PAD_PROBE_OK;
}

/* How far apart the places are at which the film can be entered. */
static void
measure_distance (DerushMediaPipeline *self, GstPad *pad, GstBuffer *buffer)
{
  double time = stream_time (pad, GST_BUFFER_PTS (buffer));

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT) || time < 0)
    return;
  g_mutex_lock (&self->lock);
  if (self->last_key >= 0 && time > self->last_key) {
    self->key_distances += time - self->last_key;
    self->n_key_distances++;
  }
  self->last_key = time;
  g_mutex_unlock (&self->lock);
}

static GstPadProbeReturn
take_packet (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  DerushMediaPipeline *self = data;
  GstPadProbeReturn taken = GST_PAD_PROBE_OK;

  g_atomic_int_inc (&self->packets);
  measure_distance (self, pad, GST_PAD_PROBE_INFO_BUFFER (info));
  if (self->sparse)
    taken = thin_out (self, pad, GST_PAD_PROBE_INFO_BUFFER (info));
  if (taken == GST_PAD_PROBE_OK && self->job->decoded)
    g_atomic_int_inc (self->job->decoded);
  return taken;
}

void
derush_packets_watch (DerushMediaPipeline *self, GstElement *decoder)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (decoder, "sink");

  if (pad)
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, take_packet, self, NULL);
}
