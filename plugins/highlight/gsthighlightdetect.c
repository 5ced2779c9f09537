/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-highlightdetect
 * @title: highlightdetect
 * @short_description: finds the most interesting segments of a film
 *
 * Passes video, audio or both through, measures them, and when they have ended posts the best segments: an element
 * message named `highlightdetect`, and a TOC message with the segments as chapters (also sent downstream as an event).
 * Both come before the last EOS is passed on. Request `video_sink` and `audio_sink` as needed; `video_src` and
 * `audio_src` appear with them, and what is not linked on is measured and dropped.
 *
 * The message has these fields:
 *
 * * #GstClockTime `timestamp`: that of the last frame or block of samples
 * * #GstClockTime `stream-time`: the start of what was measured
 * * #GstClockTime `running-time`: when the last of it was due
 * * #GstClockTime `duration`: of what was measured
 * * #GstValueList of #GstStructure `highlights`, the best first, each with #GstClockTime `start` and `end` (stream
 *   time), #gdouble `score` (0 to 1), #gchararray `type` (`ACTION`, `AUDIO`, `MOTION` or `SCENE_CHANGE`), #GstStructure
 *   `signals` and #gchararray `reasons`. Each member of `signals` (`LOUDNESS`, `CROWD`, `SPEECH`, `MOTION`,
 *   `SCENE_CHANGE`) is a #GstStructure with #gdouble `value` and `weight`; their products add up to the score.
 * * #guint `rejected`: how many candidates were not good enough, too near a better one, or too many
 *
 * With #GstHighlightDetect:analysis-location, everything that was measured (per frame, per 100 ms of audio, shots) is
 * stored in one file, from which other steps can work without decoding the film again.
 *
 * A branch that begins after all others have ended leads to a second message, which replaces the first one. A flushing
 * seek begins anew. Memory grows with the film: about 45 MB per hour at 25 frames per second.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 -m filesrc location=video.mp4 ! decodebin name=d highlightdetect name=h \
 *   d. ! videoconvert ! h.video_sink h.video_src ! queue ! fakesink \
 *   d. ! audioconvert ! h.audio_sink h.audio_src ! queue ! fakesink
 * ]|
 */

#include "config.h"

#include "audiofeed.h"
#include "frameplanes.h"
#include "gsthighlightdetect.h"
#include "highlightmessage.h"

#include <glib/gi18n-lib.h>
#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_highlight_detect_debug);
#define GST_CAT_DEFAULT gst_highlight_detect_debug

#define DEFAULT_MAX_HIGHLIGHTS 5
#define DEFAULT_MIN_DURATION (3 * GST_SECOND)
#define DEFAULT_MAX_DURATION (60 * GST_SECOND)
#define DEFAULT_MIN_DISTANCE (1 * GST_SECOND)
#define DEFAULT_SENSITIVITY DERUSH_SENSITIVITY_MEDIUM
#define DEFAULT_DETECTIONS DERUSH_DETECTION_ALL
#define DEFAULT_POST_MESSAGES TRUE

#define LONGEST (24 * 3600 * GST_SECOND)

typedef struct {
  DerushHighlightOptions options;
  char *analysis_location;
  gboolean post_messages;
} Settings;

/* One branch. What is above the line belongs to its streaming thread, what is below to the lock. */
typedef struct {
  GstPad *sink;
  GstPad *src;
  GstSegment segment;
  GstVideoInfo video_info;
  gboolean has_video_info;
  DerushFrameMeter *meter;
  AudioFeed *feed;
  double last_time;

  gboolean started;
  gboolean ended;
  GstClockTime last_timestamp;
  GstClockTime last_running_time;
  double end; /* stream time in seconds */
  GstEvent *held_eos;
} Branch;

struct _GstHighlightDetect {
  GstElement parent;

  Settings settings; /* object lock */
  Branch video;
  Branch audio;

  GMutex lock; /* of all below, and of the lower part of the branches */
  GArray *frames;
  GArray *blocks;
  guint width;
  guint height;
};

enum {
  PROP_0,
  PROP_ANALYSIS_LOCATION,
  PROP_MAX_HIGHLIGHTS,
  PROP_MIN_DURATION,
  PROP_MAX_DURATION,
  PROP_MIN_DISTANCE,
  PROP_SENSITIVITY,
  PROP_DETECTIONS,
  PROP_POST_MESSAGES,
};

#define VIDEO_CAPS GST_VIDEO_CAPS_MAKE (FRAME_PLANES_FORMATS)
#define AUDIO_CAPS                                                                                                     \
  "audio/x-raw, format=(string)" GST_AUDIO_FORMATS_ALL ", rate=(int)[1000, 768000], channels=(int)[1, 64], "           \
  "layout=(string){interleaved, non-interleaved}"

static GstStaticPadTemplate video_sink_template =
    GST_STATIC_PAD_TEMPLATE ("video_sink", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS (VIDEO_CAPS));
static GstStaticPadTemplate audio_sink_template =
    GST_STATIC_PAD_TEMPLATE ("audio_sink", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS (AUDIO_CAPS));
static GstStaticPadTemplate video_src_template =
    GST_STATIC_PAD_TEMPLATE ("video_src", GST_PAD_SRC, GST_PAD_SOMETIMES, GST_STATIC_CAPS (VIDEO_CAPS));
static GstStaticPadTemplate audio_src_template =
    GST_STATIC_PAD_TEMPLATE ("audio_src", GST_PAD_SRC, GST_PAD_SOMETIMES, GST_STATIC_CAPS (AUDIO_CAPS));

G_DEFINE_TYPE (GstHighlightDetect, gst_highlight_detect, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (highlightdetect, "highlightdetect", GST_RANK_NONE, GST_TYPE_HIGHLIGHT_DETECT)

#define GST_TYPE_HIGHLIGHT_SENSITIVITY (gst_highlight_sensitivity_get_type ())
static GType
gst_highlight_sensitivity_get_type (void)
{
  static gsize type;
  static const GEnumValue values[] = {
      {DERUSH_SENSITIVITY_LOW, N_ ("Only what stands out by far"), "low"},
      {DERUSH_SENSITIVITY_MEDIUM, N_ ("What stands out"), "medium"},
      {DERUSH_SENSITIVITY_HIGH, N_ ("Whatever is above the ordinary"), "high"},
      {0, NULL, NULL},
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDerushHighlightSensitivity", values));
  return type;
}

#define GST_TYPE_HIGHLIGHT_DETECTIONS (gst_highlight_detections_get_type ())
static GType
gst_highlight_detections_get_type (void)
{
  static gsize type;
  static const GFlagsValue values[] = {
      {DERUSH_DETECTION_AUDIO, N_ ("Loudness, crowds, speech"), "audio"},
      {DERUSH_DETECTION_MOTION, N_ ("Motion"), "motion"},
      {DERUSH_DETECTION_SCENE_CHANGE, N_ ("Shot changes"), "scene-change"},
      {0, NULL, NULL},
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_flags_register_static ("GstDerushHighlightDetections", values));
  return type;
}

static inline Branch *
branch_of (GstHighlightDetect *self, GstPad *pad)
{
  return gst_pad_get_element_private (pad);
}

/* ── The end ────────────────────────────────────────────────────────────── */

static void
describe_film (GstHighlightDetect *self, GArray *shots, DerushAnalysis *analysis)
{
  *analysis = (DerushAnalysis){
      .frames = (const DerushFrameFeatures *)self->frames->data,
      .n_frames = self->frames->len,
      .audio = (const DerushAudioBlock *)self->blocks->data,
      .n_audio = self->blocks->len,
      .shots = (const DerushShot *)shots->data,
      .n_shots = shots->len,
      .duration = MAX (self->video.end, self->audio.end),
      .width = self->width,
      .height = self->height,
  };
}

/* What is to be told, once the lock is free. */
typedef struct {
  GstStructure *structure;
  GstToc *toc;
  char *location;
  GError *error;
} Outcome;

static GstStructure *
message_structure (GstHighlightDetect *self, const DerushAnalysis *analysis, const DerushHighlights *highlights)
{
  const Branch *last = self->video.end > self->audio.end ? &self->video : &self->audio;
  double start = G_MAXDOUBLE;
  GstStructure *structure;

  if (analysis->n_frames > 0)
    start = analysis->frames[0].time;
  if (analysis->n_audio > 0)
    start = MIN (start, analysis->audio[0].time);
  if (start == G_MAXDOUBLE)
    start = 0;
  structure = highlight_message_structure (highlights, start, analysis->duration);
  gst_structure_set (structure, "timestamp", GST_TYPE_CLOCK_TIME, last->last_timestamp, "running-time",
                     GST_TYPE_CLOCK_TIME, last->last_running_time, NULL);
  return structure;
}

/* Stores and evaluates what was measured; called with the lock held. */
static void
conclude (GstHighlightDetect *self, Outcome *outcome)
{
  g_autoptr (GArray) shots = NULL;
  g_autoptr (DerushHighlights) highlights = NULL;
  DerushHighlightOptions options;
  DerushAnalysis analysis;

  GST_OBJECT_LOCK (self);
  options = self->settings.options;
  outcome->location = g_strdup (self->settings.analysis_location);
  GST_OBJECT_UNLOCK (self);
  options.max_duration = MAX (options.max_duration, options.min_duration);
  shots = derush_shots_find ((const DerushFrameFeatures *)self->frames->data, self->frames->len, self->video.end, NULL);
  describe_film (self, shots, &analysis);
  if (outcome->location && *outcome->location && !derush_analysis_save (&analysis, outcome->location, &outcome->error))
    return;
  highlights = derush_highlights_find (&analysis, &options);
  outcome->structure = message_structure (self, &analysis, highlights);
  outcome->toc = highlight_message_toc (highlights);
}

static void
tell (GstHighlightDetect *self, Branch *branch, Outcome *outcome)
{
  GstElement *element = GST_ELEMENT (self);
  gboolean post;

  GST_OBJECT_LOCK (self);
  post = self->settings.post_messages;
  GST_OBJECT_UNLOCK (self);
  if (outcome->error)
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE, (_ ("Could not store the analysis in %s."), outcome->location),
                       ("%s", outcome->error->message));
  if (outcome->structure && post)
    gst_element_post_message (element,
                              gst_message_new_element (GST_OBJECT (self), g_steal_pointer (&outcome->structure)));
  if (outcome->toc) {
    if (post)
      gst_element_post_message (element, gst_message_new_toc (GST_OBJECT (self), outcome->toc, FALSE));
    gst_pad_push_event (branch->src, gst_event_new_toc (outcome->toc, FALSE));
    gst_toc_unref (outcome->toc);
  }
  g_clear_pointer (&outcome->structure, gst_structure_free);
  g_clear_error (&outcome->error);
  g_free (outcome->location);
}

static gboolean
all_have_ended (GstHighlightDetect *self)
{
  return (!self->video.started || self->video.ended) && (!self->audio.started || self->audio.ended);
}

static Branch *
other_branch (GstHighlightDetect *self, Branch *branch)
{
  return branch == &self->video ? &self->audio : &self->video;
}

/* The end of a branch without a sink behind it is nothing that the pipeline waits for: the last sink's end has to. */
static gboolean
must_wait (GstHighlightDetect *self, Branch *branch)
{
  const Branch *other = other_branch (self, branch);

  return gst_pad_is_linked (branch->src) && other->sink && !other->ended && gst_pad_is_linked (other->sink) &&
         !gst_pad_is_linked (other->src);
}

static void
push_held_eos (GstHighlightDetect *self, Branch *branch)
{
  GstEvent *event;

  g_mutex_lock (&self->lock);
  event = g_steal_pointer (&branch->held_eos);
  g_mutex_unlock (&self->lock);
  if (event)
    gst_pad_push_event (branch->src, event);
}

/* Returns: whether @event is kept until the other branch has ended */
static gboolean
handle_eos (GstHighlightDetect *self, Branch *branch, GstEvent *event)
{
  Outcome outcome = {NULL};
  gboolean held;

  g_mutex_lock (&self->lock);
  if (branch->feed)
    audio_feed_finish (branch->feed, self->blocks);
  branch->started = branch->ended = TRUE;
  held = must_wait (self, branch);
  if (held)
    gst_event_replace (&branch->held_eos, event);
  else if (all_have_ended (self))
    conclude (self, &outcome);
  g_mutex_unlock (&self->lock);
  tell (self, branch, &outcome);
  if (!held)
    push_held_eos (self, other_branch (self, branch));
  return held;
}

/* ── Data ───────────────────────────────────────────────────────────────── */

/* Notes that the branch runs from here to there; %FALSE where the buffer is not shown or cannot be placed. */
static gboolean
place (GstHighlightDetect *self, Branch *branch, GstBuffer *buffer, GstClockTime *stream_time)
{
  GstClockTime timestamp = GST_BUFFER_PTS (buffer);

  if (branch->segment.format != GST_FORMAT_TIME || branch->segment.rate < 0 || !GST_CLOCK_TIME_IS_VALID (timestamp))
    return FALSE;
  *stream_time = gst_segment_to_stream_time (&branch->segment, GST_FORMAT_TIME, timestamp);
  if (!GST_CLOCK_TIME_IS_VALID (*stream_time))
    return FALSE;
  g_mutex_lock (&self->lock);
  branch->started = TRUE;
  branch->ended = FALSE;
  branch->last_timestamp = timestamp;
  branch->last_running_time = gst_segment_to_running_time (&branch->segment, GST_FORMAT_TIME, timestamp);
  branch->end = MAX (branch->end, (double)*stream_time / GST_SECOND);
  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    branch->end = MAX (branch->end, (double)(*stream_time + GST_BUFFER_DURATION (buffer)) / GST_SECOND);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static GstFlowReturn
pass_on (Branch *branch, GstBuffer *buffer)
{
  if (!gst_pad_is_linked (branch->src)) {
    gst_buffer_unref (buffer);
    return GST_FLOW_OK;
  }
  return gst_pad_push (branch->src, buffer);
}

static GstFlowReturn
gst_highlight_detect_chain_video (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (parent);
  Branch *branch = branch_of (self, pad);
  GstClockTime stream_time;
  GstVideoFrame frame;
  DerushPlanes planes;
  DerushFrameFeatures features;
  gboolean measured;

  if (!branch->has_video_info) {
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (!place (self, branch, buffer, &stream_time))
    return pass_on (branch, buffer);
  if (!gst_video_frame_map (&frame, &branch->video_info, buffer, GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("A picture could not be read.")), (NULL));
    gst_buffer_unref (buffer);
    return GST_FLOW_ERROR;
  }
  frame_planes_borrow (&frame, &planes);
  /* Time that stands still or goes back would make a film that cannot be measured. */
  branch->last_time = MAX (branch->last_time, (double)stream_time / GST_SECOND);
  measured = derush_frame_meter_push (branch->meter, &planes, branch->last_time, &features);
  gst_video_frame_unmap (&frame);
  if (measured) {
    g_mutex_lock (&self->lock);
    g_array_append_val (self->frames, features);
    g_mutex_unlock (&self->lock);
  }
  return pass_on (branch, buffer);
}

static GstFlowReturn
gst_highlight_detect_chain_audio (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (parent);
  Branch *branch = branch_of (self, pad);
  GstClockTime stream_time;
  gboolean read = TRUE;

  if (!branch->feed) {
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (branch->segment.format == GST_FORMAT_TIME && branch->segment.rate >= 0 && GST_BUFFER_PTS_IS_VALID (buffer)) {
    GstBuffer *clipped = gst_audio_buffer_clip (gst_buffer_ref (buffer), &branch->segment,
                                                GST_AUDIO_INFO_RATE (audio_feed_get_info (branch->feed)),
                                                GST_AUDIO_INFO_BPF (audio_feed_get_info (branch->feed)));

    if (clipped && place (self, branch, clipped, &stream_time)) {
      g_mutex_lock (&self->lock);
      read = audio_feed_push (branch->feed, clipped, stream_time, self->blocks);
      g_mutex_unlock (&self->lock);
    }
    gst_clear_buffer (&clipped);
  }
  if (!read) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("Audio samples could not be read.")), (NULL));
    gst_buffer_unref (buffer);
    return GST_FLOW_ERROR;
  }
  return pass_on (branch, buffer);
}

/* ── Events ─────────────────────────────────────────────────────────────── */

static void
forget (GstHighlightDetect *self, Branch *branch)
{
  g_mutex_lock (&self->lock);
  branch->started = branch->ended = FALSE;
  gst_event_replace (&branch->held_eos, NULL);
  branch->last_timestamp = branch->last_running_time = GST_CLOCK_TIME_NONE;
  branch->last_time = 0;
  branch->end = 0;
  if (branch == &self->video) {
    derush_frame_meter_reset (branch->meter);
    g_array_set_size (self->frames, 0);
  } else {
    g_autoptr (GArray) dropped = g_array_new (FALSE, FALSE, sizeof (DerushAudioBlock));

    if (branch->feed)
      audio_feed_finish (branch->feed, dropped);
    g_array_set_size (self->blocks, 0);
  }
  g_mutex_unlock (&self->lock);
}

static gboolean
take_caps (GstHighlightDetect *self, Branch *branch, GstCaps *caps)
{
  GstAudioInfo info;

  if (branch == &self->video) {
    branch->has_video_info = gst_video_info_from_caps (&branch->video_info, caps);
    if (!branch->has_video_info)
      return FALSE;
    g_mutex_lock (&self->lock);
    if (self->width == 0) {
      self->width = GST_VIDEO_INFO_WIDTH (&branch->video_info);
      self->height = GST_VIDEO_INFO_HEIGHT (&branch->video_info);
    }
    g_mutex_unlock (&self->lock);
    return TRUE;
  }
  if (!gst_audio_info_from_caps (&info, caps))
    return FALSE;
  g_mutex_lock (&self->lock);
  if (branch->feed) {
    audio_feed_finish (branch->feed, self->blocks);
    audio_feed_free (branch->feed);
  }
  branch->feed = audio_feed_new (&info);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static gboolean
gst_highlight_detect_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (parent);
  Branch *branch = branch_of (self, pad);

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_CAPS: {
    GstCaps *caps;

    gst_event_parse_caps (event, &caps);
    if (!take_caps (self, branch, caps)) {
      gst_event_unref (event);
      return FALSE;
    }
    break;
  }
  case GST_EVENT_SEGMENT:
    gst_event_copy_segment (event, &branch->segment);
    break;
  case GST_EVENT_STREAM_START:
    g_mutex_lock (&self->lock);
    branch->started = TRUE;
    branch->ended = FALSE;
    g_mutex_unlock (&self->lock);
    break;
  case GST_EVENT_FLUSH_STOP:
    gst_segment_init (&branch->segment, GST_FORMAT_UNDEFINED);
    forget (self, branch);
    break;
  case GST_EVENT_EOS:
    if (handle_eos (self, branch, event)) {
      gst_event_unref (event);
      return TRUE;
    }
    break;
  default:
    break;
  }
  /* Sticky events wait on a pad that is not linked on; that it is not is no fault of upstream. */
  return gst_pad_event_default (pad, parent, event) || !gst_pad_is_linked (branch->src);
}

/* ── Pads ───────────────────────────────────────────────────────────────── */

/* Each sink leads to its own source only. */
static GstIterator *
gst_highlight_detect_iterate_internal_links (GstPad *pad, GstObject *parent)
{
  Branch *branch = branch_of (GST_HIGHLIGHT_DETECT (parent), pad);
  GValue value = G_VALUE_INIT;
  GstIterator *iterator;
  GstPad *other;

  if (!branch)
    return NULL;
  other = pad == branch->sink ? branch->src : branch->sink;
  if (!other)
    return NULL;
  g_value_init (&value, GST_TYPE_PAD);
  g_value_set_object (&value, other);
  iterator = gst_iterator_new_single (GST_TYPE_PAD, &value);
  g_value_unset (&value);
  return iterator;
}

static GstPad *
gst_highlight_detect_request_new_pad (GstElement *element, GstPadTemplate *template, const char *name,
                                      const GstCaps *caps)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (element);
  gboolean is_video = g_strcmp0 (GST_PAD_TEMPLATE_NAME_TEMPLATE (template), "video_sink") == 0;
  Branch *branch = is_video ? &self->video : &self->audio;

  if (branch->sink) {
    GST_WARNING_OBJECT (self, "%s is in use", GST_PAD_NAME (branch->sink));
    return NULL;
  }
  branch->sink = gst_pad_new_from_static_template (is_video ? &video_sink_template : &audio_sink_template,
                                                   is_video ? "video_sink" : "audio_sink");
  branch->src = gst_pad_new_from_static_template (is_video ? &video_src_template : &audio_src_template,
                                                  is_video ? "video_src" : "audio_src");
  gst_pad_set_element_private (branch->sink, branch);
  gst_pad_set_element_private (branch->src, branch);
  gst_pad_set_chain_function (
      branch->sink, GST_DEBUG_FUNCPTR (is_video ? gst_highlight_detect_chain_video : gst_highlight_detect_chain_audio));
  gst_pad_set_event_function (branch->sink, GST_DEBUG_FUNCPTR (gst_highlight_detect_sink_event));
  gst_pad_set_iterate_internal_links_function (branch->sink,
                                               GST_DEBUG_FUNCPTR (gst_highlight_detect_iterate_internal_links));
  gst_pad_set_iterate_internal_links_function (branch->src,
                                               GST_DEBUG_FUNCPTR (gst_highlight_detect_iterate_internal_links));
  GST_PAD_SET_PROXY_CAPS (branch->sink);
  GST_PAD_SET_PROXY_ALLOCATION (branch->sink);
  GST_PAD_SET_PROXY_SCHEDULING (branch->sink);
  GST_PAD_SET_PROXY_CAPS (branch->src);
  GST_PAD_SET_PROXY_SCHEDULING (branch->src);
  forget (self, branch);
  gst_segment_init (&branch->segment, GST_FORMAT_UNDEFINED);
  if (GST_STATE (element) > GST_STATE_READY) {
    gst_pad_set_active (branch->src, TRUE);
    gst_pad_set_active (branch->sink, TRUE);
  }
  gst_element_add_pad (element, branch->src);
  gst_element_add_pad (element, branch->sink);
  return branch->sink;
}

static void
gst_highlight_detect_release_pad (GstElement *element, GstPad *pad)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (element);
  Branch *branch = branch_of (self, pad);
  GstPad *sink = branch->sink, *src = branch->src;

  gst_pad_set_active (sink, FALSE);
  gst_pad_set_active (src, FALSE);
  forget (self, branch);
  branch->sink = branch->src = NULL;
  push_held_eos (self, other_branch (self, branch));
  gst_element_remove_pad (element, sink);
  gst_element_remove_pad (element, src);
}

static GstStateChangeReturn
gst_highlight_detect_change_state (GstElement *element, GstStateChange transition)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (element);
  GstStateChangeReturn ret = GST_ELEMENT_CLASS (gst_highlight_detect_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    forget (self, &self->video);
    forget (self, &self->audio);
    self->video.has_video_info = FALSE;
    self->width = self->height = 0;
    g_clear_pointer (&self->audio.feed, audio_feed_free);
  }
  return ret;
}

/* ── Properties ─────────────────────────────────────────────────────────── */

static double
to_seconds (const GValue *value)
{
  return (double)g_value_get_uint64 (value) / GST_SECOND;
}

static guint64
from_seconds (double seconds)
{
  return (guint64)(seconds * GST_SECOND + 0.5);
}

static void
gst_highlight_detect_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (object);
  Settings *settings = &self->settings;

  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_ANALYSIS_LOCATION:
    g_free (settings->analysis_location);
    settings->analysis_location = g_value_dup_string (value);
    break;
  case PROP_MAX_HIGHLIGHTS:
    settings->options.max_highlights = g_value_get_uint (value);
    break;
  case PROP_MIN_DURATION:
    settings->options.min_duration = to_seconds (value);
    break;
  case PROP_MAX_DURATION:
    settings->options.max_duration = to_seconds (value);
    break;
  case PROP_MIN_DISTANCE:
    settings->options.min_distance = to_seconds (value);
    break;
  case PROP_SENSITIVITY:
    settings->options.sensitivity = g_value_get_enum (value);
    break;
  case PROP_DETECTIONS:
    settings->options.detections = g_value_get_flags (value);
    break;
  case PROP_POST_MESSAGES:
    settings->post_messages = g_value_get_boolean (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_highlight_detect_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (object);
  const Settings *settings = &self->settings;

  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_ANALYSIS_LOCATION:
    g_value_set_string (value, settings->analysis_location);
    break;
  case PROP_MAX_HIGHLIGHTS:
    g_value_set_uint (value, settings->options.max_highlights);
    break;
  case PROP_MIN_DURATION:
    g_value_set_uint64 (value, from_seconds (settings->options.min_duration));
    break;
  case PROP_MAX_DURATION:
    g_value_set_uint64 (value, from_seconds (settings->options.max_duration));
    break;
  case PROP_MIN_DISTANCE:
    g_value_set_uint64 (value, from_seconds (settings->options.min_distance));
    break;
  case PROP_SENSITIVITY:
    g_value_set_enum (value, settings->options.sensitivity);
    break;
  case PROP_DETECTIONS:
    g_value_set_flags (value, settings->options.detections);
    break;
  case PROP_POST_MESSAGES:
    g_value_set_boolean (value, settings->post_messages);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_highlight_detect_finalize (GObject *object)
{
  GstHighlightDetect *self = GST_HIGHLIGHT_DETECT (object);

  derush_frame_meter_free (self->video.meter);
  g_clear_pointer (&self->audio.feed, audio_feed_free);
  g_array_unref (self->frames);
  g_array_unref (self->blocks);
  g_free (self->settings.analysis_location);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (gst_highlight_detect_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  /**
   * GstHighlightDetect:analysis-location:
   *
   * Where to store what was measured, at the end. The file appears under this name when it is whole.
   */
  g_object_class_install_property (
      object_class, PROP_ANALYSIS_LOCATION,
      g_param_spec_string ("analysis-location", _ ("Analysis location"),
                           _ ("Name of the file to store the analysis in at the end (none: do not store it)"), NULL,
                           flags));
  /**
   * GstHighlightDetect:max-highlights:
   *
   * How many segments at most.
   */
  g_object_class_install_property (object_class, PROP_MAX_HIGHLIGHTS,
                                   g_param_spec_uint ("max-highlights", _ ("Most highlights"),
                                                      _ ("How many segments at most (1 to 1000)"), 1, 1000,
                                                      DEFAULT_MAX_HIGHLIGHTS, flags));
  /**
   * GstHighlightDetect:min-duration:
   *
   * The shortest segment, in nanoseconds.
   */
  g_object_class_install_property (object_class, PROP_MIN_DURATION,
                                   g_param_spec_uint64 ("min-duration", _ ("Least duration"),
                                                        _ ("The shortest segment (nanoseconds)"), GST_SECOND / 10,
                                                        LONGEST, DEFAULT_MIN_DURATION, flags));
  /**
   * GstHighlightDetect:max-duration:
   *
   * The longest segment, in nanoseconds; less than the shortest counts as that.
   */
  g_object_class_install_property (object_class, PROP_MAX_DURATION,
                                   g_param_spec_uint64 ("max-duration", _ ("Greatest duration"),
                                                        _ ("The longest segment (nanoseconds)"), GST_SECOND / 10,
                                                        LONGEST, DEFAULT_MAX_DURATION, flags));
  /**
   * GstHighlightDetect:min-distance:
   *
   * How far segments are apart at least, in nanoseconds.
   */
  g_object_class_install_property (object_class, PROP_MIN_DISTANCE,
                                   g_param_spec_uint64 ("min-distance", _ ("Least distance"),
                                                        _ ("How far segments are apart at least (nanoseconds)"), 0,
                                                        LONGEST, DEFAULT_MIN_DISTANCE, flags));
  /**
   * GstHighlightDetect:sensitivity:
   *
   * How little must stand out to be a highlight.
   */
  g_object_class_install_property (object_class, PROP_SENSITIVITY,
                                   g_param_spec_enum ("sensitivity", _ ("Sensitivity"),
                                                      _ ("How little must stand out to be a highlight"),
                                                      GST_TYPE_HIGHLIGHT_SENSITIVITY, DEFAULT_SENSITIVITY, flags));
  /**
   * GstHighlightDetect:detections:
   *
   * What to go by.
   */
  g_object_class_install_property (object_class, PROP_DETECTIONS,
                                   g_param_spec_flags ("detections", _ ("Detections"), _ ("What to go by"),
                                                       GST_TYPE_HIGHLIGHT_DETECTIONS, DEFAULT_DETECTIONS, flags));
  /**
   * GstHighlightDetect:post-messages:
   *
   * Whether to post the segments as messages.
   */
  g_object_class_install_property (object_class, PROP_POST_MESSAGES,
                                   g_param_spec_boolean ("post-messages", _ ("Post messages"),
                                                         _ ("Post the segments as messages at the end"),
                                                         DEFAULT_POST_MESSAGES, flags));
}

static void
gst_highlight_detect_class_init (GstHighlightDetectClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_highlight_detect_debug, "highlightdetect", 0, "highlight detection");
  object_class->set_property = gst_highlight_detect_set_property;
  object_class->get_property = gst_highlight_detect_get_property;
  object_class->finalize = gst_highlight_detect_finalize;
  install_properties (object_class);
  gst_element_class_add_static_pad_template (element_class, &video_sink_template);
  gst_element_class_add_static_pad_template (element_class, &audio_sink_template);
  gst_element_class_add_static_pad_template (element_class, &video_src_template);
  gst_element_class_add_static_pad_template (element_class, &audio_src_template);
  gst_element_class_set_static_metadata (element_class, "Highlight detector", "Filter/Analyzer/Video/Audio",
                                         "Finds the most interesting segments of a film", "Derush");
  gst_type_mark_as_plugin_api (GST_TYPE_HIGHLIGHT_SENSITIVITY, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_HIGHLIGHT_DETECTIONS, 0);
  element_class->request_new_pad = GST_DEBUG_FUNCPTR (gst_highlight_detect_request_new_pad);
  element_class->release_pad = GST_DEBUG_FUNCPTR (gst_highlight_detect_release_pad);
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_highlight_detect_change_state);
}

static void
gst_highlight_detect_init (GstHighlightDetect *self)
{
  derush_highlight_options_init (&self->settings.options);
  self->settings.options.max_highlights = DEFAULT_MAX_HIGHLIGHTS;
  self->settings.options.min_duration = (double)DEFAULT_MIN_DURATION / GST_SECOND;
  self->settings.options.max_duration = (double)DEFAULT_MAX_DURATION / GST_SECOND;
  self->settings.options.min_distance = (double)DEFAULT_MIN_DISTANCE / GST_SECOND;
  self->settings.options.sensitivity = DEFAULT_SENSITIVITY;
  self->settings.options.detections = DEFAULT_DETECTIONS;
  self->settings.post_messages = DEFAULT_POST_MESSAGES;
  g_mutex_init (&self->lock);
  self->frames = g_array_new (FALSE, FALSE, sizeof (DerushFrameFeatures));
  self->blocks = g_array_new (FALSE, FALSE, sizeof (DerushAudioBlock));
  self->video.meter = derush_frame_meter_new ();
  self->video.last_timestamp = self->video.last_running_time = GST_CLOCK_TIME_NONE;
  self->audio.last_timestamp = self->audio.last_running_time = GST_CLOCK_TIME_NONE;
}
