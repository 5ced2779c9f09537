/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "lastframe-private.h"

/*
 * mp4mux 1.22 lets the edit list of a track last as long as its decoding times do. With B-frames these run behind the
 * presentation times, so that a film whose frames stand longer at its end than at its begin (as a film of variable frame
 * rate may) is cut before its last frames. The one duration that mp4mux takes as it is given is that of the last sample:
 * with the right one both spans are equal. Where the first frames stand long, the decoding times begin so early that the
 * track would last too long: what lies before the first presentation time is drawn together, in the same order.
 */

#define LONGEST_LEAD (100 * GST_MSECOND)

typedef struct {
  GstClockTime first_dts, first_pts;
  GstClockTime end; /* of the frame presented last */
} Span;

static GstClockTime
draw_near (const Span *span, GstClockTime dts)
{
  GstClockTime lead = span->first_pts > span->first_dts ? span->first_pts - span->first_dts : 0;

  if (lead <= LONGEST_LEAD || dts >= span->first_pts)
    return dts;
  return span->first_pts - gst_util_uint64_scale (span->first_pts - dts, LONGEST_LEAD, lead);
}

static GstClockTime
last_duration (const Span *span, GstClockTime dts)
{
  GstClockTime presented = span->end - span->first_pts;
  GstClockTime decoded = dts - draw_near (span, span->first_dts);

  return presented > decoded ? presented - decoded : 0;
}

static GstPadProbeReturn
mend (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Span *span = data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstClockTime dts, duration;

  if (!GST_BUFFER_DTS_IS_VALID (buffer) || !GST_BUFFER_PTS_IS_VALID (buffer) || !GST_BUFFER_DURATION_IS_VALID (buffer))
    return GST_PAD_PROBE_OK;
  if (!GST_CLOCK_TIME_IS_VALID (span->first_dts)) {
    span->first_dts = GST_BUFFER_DTS (buffer);
    span->first_pts = GST_BUFFER_PTS (buffer);
  }
  span->end = MAX (span->end, GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer));
  dts = draw_near (span, GST_BUFFER_DTS (buffer));
  duration = last_duration (span, dts);
  if (dts != GST_BUFFER_DTS (buffer) || duration > GST_BUFFER_DURATION (buffer)) {
    buffer = gst_buffer_make_writable (buffer);
    GST_BUFFER_DTS (buffer) = dts;
    GST_BUFFER_DURATION (buffer) = MAX (duration, GST_BUFFER_DURATION (buffer));
    GST_PAD_PROBE_INFO_DATA (info) = buffer;
  }
  return GST_PAD_PROBE_OK;
}

void
derush_last_frame_keep (GstElement *parser)
{
  g_autoptr (GstPad) pad = parser ? gst_element_get_static_pad (parser, "src") : NULL;
  Span *span;

  if (!pad)
    return;
  span = g_new0 (Span, 1);
  span->first_dts = span->first_pts = GST_CLOCK_TIME_NONE;
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, mend, span, g_free);
}
