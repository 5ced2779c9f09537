/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pipeline-private.h"

#include <math.h>
#include <string.h>
#include <gst/audio/audio.h>

#define SLIVER GST_MSECOND

/* A clip of one picture gets it twice, the second time for so long: muxers give the last picture the usual time, and a
 * stream of one picture is taken for a cover. */
#define LAST_PICTURE (40 * GST_MSECOND)

void
derush_track_free (Track *track)
{
  gst_object_unref (track->pad);
  g_clear_pointer (&track->standing, gst_buffer_unref);
  g_free (track);
}

GstClockTime
derush_seconds_to_time (double seconds)
{
  return (GstClockTime)llround (seconds * GST_SECOND);
}

/* What belongs to the clip of a picture that begins before it or ends after it; %FALSE: next to nothing. Times are
 * rounded: a sliver is not meant. */
static gboolean
clip_picture (GstPadProbeInfo *info, const GstSegment *clip)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstClockTime start = GST_BUFFER_PTS (buffer), end = GST_BUFFER_PTS (buffer);

  if (GST_BUFFER_DURATION_IS_VALID (buffer)) {
    end += GST_BUFFER_DURATION (buffer);
    if (GST_BUFFER_DURATION (buffer) < SLIVER || end < clip->start + SLIVER)
      return FALSE;
  }
  if ((start < clip->start && end == start) || (GST_CLOCK_TIME_IS_VALID (clip->stop) && start + SLIVER >= clip->stop))
    return FALSE;
  if (start >= clip->start && end <= clip->stop)
    return TRUE;
  buffer = gst_buffer_make_writable (buffer);
  GST_BUFFER_PTS (buffer) = MAX (start, clip->start);
  GST_BUFFER_DURATION (buffer) = MIN (end, clip->stop) - GST_BUFFER_PTS (buffer);
  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  return TRUE;
}

/* Passes on all of a picture but its end. Returns: (transfer full): the end */
static GstBuffer *
pass_on_twice (Track *track, GstBuffer *buffer)
{
  GstBuffer *first = gst_buffer_copy (buffer);

  GST_BUFFER_DURATION (first) -= LAST_PICTURE;
  buffer = gst_buffer_make_writable (buffer);
  GST_BUFFER_PTS (buffer) += GST_BUFFER_DURATION (first);
  GST_BUFFER_DURATION (buffer) = LAST_PICTURE;
  gst_pad_chain (track->pad, first);
  return buffer;
}

/* Whether nothing but @buffer is to be seen in the clip, and longer than a picture of a usual film. */
static gboolean
fills_clip (GstBuffer *buffer, const GstSegment *clip)
{
  return GST_CLOCK_TIME_IS_VALID (clip->stop) && GST_BUFFER_DURATION_IS_VALID (buffer) &&
         GST_BUFFER_PTS (buffer) <= clip->start + SLIVER &&
         GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer) + SLIVER >= clip->stop &&
         GST_BUFFER_DURATION (buffer) > 2 * LAST_PICTURE;
}

/* A clip that is entered where a film of variable rate stands still has its first picture from its begin on. */
static GstPadProbeReturn
begin_with_picture (Track *track, GstPadProbeInfo *info, const GstSegment *clip)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstClockTime end;

  if (track->begun || track->owner->clip_start <= 0)
    return GST_PAD_PROBE_OK;
  track->begun = TRUE;
  if (fills_clip (buffer, clip)) {
    GST_PAD_PROBE_INFO_DATA (info) = pass_on_twice (track, buffer);
    return GST_PAD_PROBE_OK;
  }
  if (GST_BUFFER_PTS (buffer) <= clip->start)
    return GST_PAD_PROBE_OK;
  end = GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer)
                                              : GST_CLOCK_TIME_NONE;
  buffer = gst_buffer_make_writable (buffer);
  GST_BUFFER_PTS (buffer) = clip->start;
  if (GST_CLOCK_TIME_IS_VALID (end))
    GST_BUFFER_DURATION (buffer) = end - clip->start;
  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  return GST_PAD_PROBE_OK;
}

/* Shows the picture that stands when the clip begins. @until: when the next one comes */
static void
show_standing (Track *track, const GstSegment *clip, GstClockTime until)
{
  GstBuffer *buffer = gst_buffer_make_writable (g_steal_pointer (&track->standing));

  GST_BUFFER_PTS (buffer) = clip->start;
  GST_BUFFER_DTS (buffer) = GST_CLOCK_TIME_NONE;
  GST_BUFFER_DURATION (buffer) = GST_CLOCK_TIME_IS_VALID (until) ? until - clip->start : GST_CLOCK_TIME_NONE;
  track->begun = TRUE;
  if (fills_clip (buffer, clip))
    buffer = pass_on_twice (track, buffer);
  gst_pad_chain (track->pad, buffer);
}

/* How long a picture stands is known only from the next one: decoders give every picture the usual time. What is fed has
 * its times from somebody who knows. Returns: whether the picture is one with which the clip may begin, and waits for the
 * next one */
static gboolean
stands_before (Track *track, GstBuffer *buffer, const GstSegment *clip)
{
  if (track->begun || track->owner->fed || track->owner->clip_start <= 0)
    return FALSE;
  if (GST_BUFFER_PTS (buffer) < clip->start + SLIVER) {
    gst_buffer_replace (&track->standing, buffer);
    return TRUE;
  }
  if (track->standing)
    show_standing (track, clip, MIN (GST_BUFFER_PTS (buffer), clip->stop));
  return FALSE;
}

static void
find_clip (DerushMediaPipeline *self, const GstSegment *segment, GstSegment *clip)
{
  *clip = *segment;
  clip->stop = GST_CLOCK_TIME_NONE;
  /* Where the film has nothing of this kind at first, the segment may begin when the clip has ended. */
  if (self->clip_end >= 0 && gst_segment_position_from_stream_time_full (
                                 segment, GST_FORMAT_TIME, derush_seconds_to_time (self->clip_end), &clip->stop) < 0)
    clip->stop = 0;
}

/* Nothing comes after the picture that stands. */
static void
end_with_standing (Track *track, const GstSegment *segment)
{
  GstSegment clip;

  if (!track->standing || track->begun)
    return;
  find_clip (track->owner, segment, &clip);
  if (!GST_CLOCK_TIME_IS_VALID (clip.stop) || clip.stop > clip.start)
    show_standing (track, &clip, clip.stop);
}

/* The demuxer is asked for a little more than the clip (see mp4edits.c), and cuts at packets; this cuts at samples. */
static GstPadProbeReturn
clip_buffer (Track *track, GstPad *pad, GstPadProbeInfo *info, const GstSegment *segment)
{
  DerushMediaPipeline *self = track->owner;
  GstSegment clip;
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstAudioInfo audio;

  find_clip (self, segment, &clip);
  if (GST_CLOCK_TIME_IS_VALID (clip.stop) && GST_BUFFER_PTS (buffer) >= clip.stop) {
    end_with_standing (track, segment);
    g_mutex_lock (&self->lock);
    track->past = TRUE;
    g_mutex_unlock (&self->lock);
    return GST_PAD_PROBE_DROP;
  }
  if (!caps || !g_str_has_prefix (gst_structure_get_name (gst_caps_get_structure (caps, 0)), "audio/x-raw") ||
      !gst_audio_info_from_caps (&audio, caps)) {
    if (stands_before (track, buffer, &clip))
      return GST_PAD_PROBE_DROP;
    return clip_picture (info, &clip) ? begin_with_picture (track, info, &clip) : GST_PAD_PROBE_DROP;
  }
  buffer = gst_audio_buffer_clip (buffer, &clip, GST_AUDIO_INFO_RATE (&audio), GST_AUDIO_INFO_BPF (&audio));
  /* The clipping function has taken the old buffer. */
  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  return buffer ? GST_PAD_PROBE_OK : GST_PAD_PROBE_HANDLED;
}

/* Covers in the tags would become a second picture stream of the result. */
static void
drop_pictures (GstPadProbeInfo *info)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  GstTagList *tags, *kept;

  gst_event_parse_tag (event, &tags);
  if (gst_tag_list_get_tag_size (tags, GST_TAG_IMAGE) == 0 &&
      gst_tag_list_get_tag_size (tags, GST_TAG_PREVIEW_IMAGE) == 0)
    return;
  kept = gst_tag_list_copy (tags);
  gst_tag_list_remove_tag (kept, GST_TAG_IMAGE);
  gst_tag_list_remove_tag (kept, GST_TAG_PREVIEW_IMAGE);
  GST_PAD_PROBE_INFO_DATA (info) = gst_event_new_tag (kept);
  gst_event_unref (event);
}

/* A decoder drops what it believes to lie before its segment, so also a picture that still stands when a clip begins. So it
 * is given a segment that begins with the film, in which everything keeps its running time (by the offset) and its stream
 * time; what watches the track takes that back. */
static GstPadProbeReturn
widen_segment (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  DerushMediaPipeline *self = data;
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info), *widened;
  GstSegment segment;
  GstClockTime more;

  if (GST_EVENT_TYPE (event) != GST_EVENT_SEGMENT || self->through || self->key_frames_only || self->clip_start <= 0)
    return GST_PAD_PROBE_OK;
  gst_event_copy_segment (event, &segment);
  if (segment.format != GST_FORMAT_TIME || segment.rate <= 0 || segment.offset != 0 ||
      !GST_CLOCK_TIME_IS_VALID (segment.time))
    return GST_PAD_PROBE_OK;
  more = MIN (segment.start, segment.time);
  segment.start -= more;
  segment.time -= more;
  segment.offset = more;
  widened = gst_event_new_segment (&segment);
  gst_event_set_seqnum (widened, gst_event_get_seqnum (event));
  GST_PAD_PROBE_INFO_DATA (info) = widened;
  gst_event_unref (event);
  return GST_PAD_PROBE_OK;
}

static void
undo_show_all (GstSegment *segment)
{
  segment->start += segment->offset;
  segment->time += segment->offset;
  segment->position = MAX (segment->position, segment->start);
  segment->offset = 0;
}

void
derush_track_show_all (DerushMediaPipeline *self, GstElement *decoder)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (decoder, "sink");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, widen_segment, self, NULL);
}

/* So that the film begins at stream time 0, whatever its container says. */
static void
shift_segment (DerushMediaPipeline *self, GstPadProbeInfo *info)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info), *shifted;
  GstClockTime start = derush_seconds_to_time (self->start);
  GstSegment segment;

  gst_event_copy_segment (event, &segment);
  if (segment.format != GST_FORMAT_TIME || !GST_CLOCK_TIME_IS_VALID (segment.time))
    return;
  undo_show_all (&segment);
  segment.time = segment.time > start ? segment.time - start : 0;
  if (self->through) {
    GstClockTime clip_start = derush_seconds_to_time (self->clip_start);
    GstClockTime position = gst_segment_position_from_stream_time (&segment, GST_FORMAT_TIME, clip_start);

    /* Nobody has sought: what comes before the clip is decoded and dropped, and the clip plays at once. */
    if (GST_CLOCK_TIME_IS_VALID (position) && clip_start > segment.time) {
      segment.start = segment.position = position;
      segment.time = clip_start;
    }
  }
  shifted = gst_event_new_segment (&segment);
  gst_event_set_seqnum (shifted, gst_event_get_seqnum (event));
  GST_PAD_PROBE_INFO_DATA (info) = shifted;
  gst_event_unref (event);
}

static GstPadProbeReturn
watch_track (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Track *track = data;
  g_autoptr (GstEvent) segment_event = NULL;
  const GstSegment *segment;
  GstBuffer *buffer;
  GstClockTime time, stream_time;

  if (GST_PAD_PROBE_INFO_TYPE (info) & (GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH)) {
    GstEventType type = GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info));

    if (type == GST_EVENT_TAG)
      drop_pictures (info);
    if (type == GST_EVENT_SEGMENT)
      shift_segment (track->owner, info);
    if (type == GST_EVENT_FLUSH_STOP) {
      track->begun = FALSE;
      g_clear_pointer (&track->standing, gst_buffer_unref);
    }
    if (type == GST_EVENT_EOS && (segment_event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0))) {
      gst_event_parse_segment (segment_event, &segment);
      end_with_standing (track, segment);
    }
    if (type == GST_EVENT_EOS || type == GST_EVENT_FLUSH_STOP) {
      g_mutex_lock (&track->owner->lock);
      track->ended = type == GST_EVENT_EOS;
      g_mutex_unlock (&track->owner->lock);
    }
    return GST_PAD_PROBE_OK;
  }
  buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  segment_event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  /* A picture or sound without a time belongs nowhere, and muxers give up over it. */
  if (!GST_BUFFER_PTS_IS_VALID (buffer))
    return GST_PAD_PROBE_DROP;
  if (!segment_event)
    return GST_PAD_PROBE_OK;
  gst_event_parse_segment (segment_event, &segment);
  if (track->owner->clip_end >= 0 || track->owner->through) {
    GstPadProbeReturn clipped = clip_buffer (track, pad, info, segment);

    if (clipped != GST_PAD_PROBE_OK)
      return clipped;
  }
  buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  time = GST_BUFFER_PTS (buffer);
  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    time += GST_BUFFER_DURATION (buffer);
  stream_time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, MIN (time, segment->stop));
  if (GST_CLOCK_TIME_IS_VALID (stream_time)) {
    g_mutex_lock (&track->owner->lock);
    track->position = MAX (track->position, (double)stream_time / GST_SECOND);
    g_mutex_unlock (&track->owner->lock);
  }
  return GST_PAD_PROBE_OK;
}

void
derush_track_add (DerushMediaPipeline *self, const char *name)
{
  g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (self->pipeline), name);
  Track *track;

  if (!element)
    return;
  track = g_new0 (Track, 1);
  track->owner = self;
  track->pad = gst_element_get_static_pad (element, "sink");
  gst_pad_add_probe (track->pad,
                     GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
                     watch_track, track, NULL);
  g_ptr_array_add (self->tracks, track);
}

/* Where the film has nothing of this kind yet, the demuxer says so, and a sink prerolls with that as with a buffer: what
 * comes behind it would then wait for a pipeline that waits for it. */
static GstPadProbeReturn
hold_data (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Track *track = data;

  if (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM &&
      GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_GAP)
    return GST_PAD_PROBE_PASS;
  g_mutex_lock (&track->owner->lock);
  track->held = TRUE;
  g_mutex_unlock (&track->owner->lock);
  return GST_PAD_PROBE_OK;
}

gboolean
derush_tracks_are_held (DerushMediaPipeline *self)
{
  gboolean held = TRUE;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->tracks->len; i++) {
    Track *track = g_ptr_array_index (self->tracks, i);

    held &= track->held || track->ended;
  }
  g_mutex_unlock (&self->lock);
  return held;
}

void
derush_tracks_hold (DerushMediaPipeline *self)
{
  for (guint i = 0; i < self->tracks->len; i++) {
    Track *track = g_ptr_array_index (self->tracks, i);

    track->block = gst_pad_add_probe (track->pad,
                                      GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER |
                                          GST_PAD_PROBE_TYPE_BUFFER_LIST | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
                                      hold_data, track, NULL);
  }
}

void
derush_tracks_release (DerushMediaPipeline *self)
{
  for (guint i = 0; i < self->tracks->len; i++) {
    Track *track = g_ptr_array_index (self->tracks, i);

    if (track->block)
      gst_pad_remove_probe (track->pad, track->block);
    track->block = 0;
  }
}
