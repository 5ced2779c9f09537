/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-shotdetect
 * @title: shotdetect
 * @short_description: finds cuts, fades, dissolves and wipes
 *
 * Passes video through and posts an element message named `shotdetect` for every shot change. Flashes are no shot
 * changes. Buffers are not held back: the message of a cut is posted about 0.4 seconds of the film later, that of a
 * gradual transition up to 4 seconds after its end, the last ones before EOS is passed on. Messages come in the order
 * of time. The first shot begins without a message, and the last one runs from the last message to the end.
 *
 * The message describes the first frame of the new shot (within a gradual transition, the frame from which on the new
 * picture outweighs the old one):
 *
 * * #GstClockTime `timestamp`: its timestamp
 * * #GstClockTime `stream-time`: its position in the film
 * * #GstClockTime `running-time`: its running time
 * * #GstClockTime `duration`: its duration, or %GST_CLOCK_TIME_NONE
 * * #guint64 `frame`: its number, counted from 0 since the start or the last seek
 * * #guint `index`: number of the new shot; the shot before the first change has number 0
 * * #gchararray `transition`: how the new shot begins: `cut`, `fade-in`, `fade-out`, `dissolve` or `wipe`
 * * #GstClockTime `transition-start`, `transition-end`: stream time of the last frame of the old shot alone and of the
 *   first frame of the new shot alone
 * * #GstClockTime `shot-start`, `shot-end`: stream time of the shot that ends here
 * * #gdouble `score`: how sure; 1 is just enough to be reported
 *
 * Every shot change goes downstream as well, as a serialised custom event `derush-shot` with the fields `stream-time`,
 * `transition` and `index`, for elements that hold frames back, as `shortcrop` does.
 *
 * Positions to be shown or stored are stream times: the timestamps of a file need not start at 0. After a seek, the
 * first frame is the first of a film. With a negative rate nothing is measured.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 -m filesrc location=video.mp4 ! decodebin3 ! videoconvert ! shotdetect ! fakesink
 * ]|
 */

#include "config.h"

#include "frameplanes.h"
#include "gstshotdetect.h"

#include <glib/gi18n-lib.h>
#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_shot_detect_debug);
#define GST_CAT_DEFAULT gst_shot_detect_debug

#define DEFAULT_THRESHOLD 2.5
#define DEFAULT_MIN_SCORE 0.2
#define DEFAULT_MIN_DURATION (250 * GST_MSECOND)
#define DEFAULT_TRANSITIONS DERUSH_ALL_TRANSITIONS
#define DEFAULT_POST_MESSAGES TRUE

/* A change is reported this long after it at most. */
#define LONGEST_DELAY (30 * GST_SECOND)

typedef struct {
  DerushShotOptions options;
  gboolean post_messages;
} Settings;

typedef struct {
  GstClockTime timestamp;
  GstClockTime stream_time;
  GstClockTime running_time;
  GstClockTime duration;
} Stamps;

typedef struct {
  DerushFrameMeter *meter;
  DerushShotDetector *detector;
  GArray *stamps;      /* of Stamps: of the frames a change may still be reported for */
  guint64 first_stamp; /* the number of the first of them since the detector was reset */
  guint64 first_frame; /* frames before the detector was reset */
  guint index;
  GstClockTime shot_start;
} State;

struct _GstShotDetect {
  GstVideoFilter parent;

  Settings settings; /* object lock */
  State state;       /* streaming thread */
};

enum {
  PROP_0,
  PROP_THRESHOLD,
  PROP_MIN_SCORE,
  PROP_MIN_DURATION,
  PROP_TRANSITIONS,
  PROP_POST_MESSAGES,
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (FRAME_PLANES_FORMATS)));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (FRAME_PLANES_FORMATS)));

G_DEFINE_TYPE (GstShotDetect, gst_shot_detect, GST_TYPE_VIDEO_FILTER)
GST_ELEMENT_REGISTER_DEFINE (shotdetect, "shotdetect", GST_RANK_NONE, GST_TYPE_SHOT_DETECT)

#define GST_TYPE_SHOT_TRANSITIONS (gst_shot_transitions_get_type ())
static GType
gst_shot_transitions_get_type (void)
{
  static gsize type;
  static const GFlagsValue values[] = {
      {1 << DERUSH_TRANSITION_CUT, N_ ("Cuts"), "cut"},
      {1 << DERUSH_TRANSITION_FADE_IN, N_ ("Fades from black or white"), "fade-in"},
      {1 << DERUSH_TRANSITION_FADE_OUT, N_ ("Fades to black or white"), "fade-out"},
      {1 << DERUSH_TRANSITION_DISSOLVE, N_ ("Dissolves"), "dissolve"},
      {1 << DERUSH_TRANSITION_WIPE, N_ ("Wipes"), "wipe"},
      {0, NULL, NULL},
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_flags_register_static ("GstDerushShotTransitions", values));
  return type;
}

/* ── Messages ───────────────────────────────────────────────────────────── */

static void
send_change (GstShotDetect *self, const DerushShotChange *change, GstClockTime stream_time)
{
  GstStructure *structure = gst_structure_new (
      "derush-shot", "stream-time", GST_TYPE_CLOCK_TIME, stream_time, "transition", G_TYPE_STRING,
      derush_transition_to_string (change->transition), "index", G_TYPE_UINT, self->state.index, NULL);

  gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (self), gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM, structure));
}

static void
post_change (GstShotDetect *self, const DerushShotChange *change)
{
  State *state = &self->state;
  const Stamps *stamps;
  gboolean post;

  if (change->frame < state->first_stamp || change->frame - state->first_stamp >= state->stamps->len)
    return;
  stamps = &g_array_index (state->stamps, Stamps, change->frame - state->first_stamp);
  state->index++;
  send_change (self, change, stamps->stream_time);
  GST_OBJECT_LOCK (self);
  post = self->settings.post_messages;
  GST_OBJECT_UNLOCK (self);
  if (post) {
    GstStructure *structure = gst_structure_new (
        "shotdetect", "timestamp", GST_TYPE_CLOCK_TIME, stamps->timestamp, "stream-time", GST_TYPE_CLOCK_TIME,
        stamps->stream_time, "running-time", GST_TYPE_CLOCK_TIME, stamps->running_time, "duration", GST_TYPE_CLOCK_TIME,
        stamps->duration, "frame", G_TYPE_UINT64, state->first_frame + change->frame, "index", G_TYPE_UINT,
        state->index, "transition", G_TYPE_STRING, derush_transition_to_string (change->transition), "transition-start",
        GST_TYPE_CLOCK_TIME, (GstClockTime)(change->transition_start * GST_SECOND + 0.5), "transition-end",
        GST_TYPE_CLOCK_TIME, (GstClockTime)(change->transition_end * GST_SECOND + 0.5), "shot-start",
        GST_TYPE_CLOCK_TIME, state->shot_start, "shot-end", GST_TYPE_CLOCK_TIME, stamps->stream_time, "score",
        G_TYPE_DOUBLE, (double)change->score, NULL);

    gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self), structure));
  }
  state->shot_start = stamps->stream_time;
}

static void
post_known_changes (GstShotDetect *self)
{
  DerushShotChange change;

  while (derush_shot_detector_pop (self->state.detector, &change))
    post_change (self, &change);
}

/* ── State ──────────────────────────────────────────────────────────────── */

static void
forget_frames (GstShotDetect *self)
{
  State *state = &self->state;

  derush_frame_meter_reset (state->meter);
  derush_shot_detector_reset (state->detector);
  g_array_set_size (state->stamps, 0);
  state->first_stamp = 0;
}

/* Reports what is known of the frames so far; the next one may be anything, but is counted on. */
static void
conclude (GstShotDetect *self)
{
  State *state = &self->state;

  if (!state->detector)
    return;
  derush_shot_detector_finish (state->detector);
  post_known_changes (self);
  state->first_frame += state->first_stamp + state->stamps->len;
  forget_frames (self);
}

static void
start_again (GstShotDetect *self)
{
  State *state = &self->state;

  forget_frames (self);
  state->first_frame = 0;
  state->index = 0;
  state->shot_start = GST_CLOCK_TIME_NONE;
}

static gboolean
gst_shot_detect_start (GstBaseTransform *trans)
{
  GstShotDetect *self = GST_SHOT_DETECT (trans);

  self->state.meter = derush_frame_meter_new ();
  self->state.detector = derush_shot_detector_new (NULL);
  self->state.stamps = g_array_new (FALSE, FALSE, sizeof (Stamps));
  start_again (self);
  return TRUE;
}

static gboolean
gst_shot_detect_stop (GstBaseTransform *trans)
{
  GstShotDetect *self = GST_SHOT_DETECT (trans);

  g_clear_pointer (&self->state.meter, derush_frame_meter_free);
  g_clear_pointer (&self->state.detector, derush_shot_detector_free);
  g_clear_pointer (&self->state.stamps, g_array_unref);
  return TRUE;
}

/* ── Data ───────────────────────────────────────────────────────────────── */

static void
remember_stamps (State *state, const Stamps *stamps)
{
  guint old = 0;

  g_array_append_val (state->stamps, *stamps);
  if (state->stamps->len % 256 != 0)
    return;
  while (g_array_index (state->stamps, Stamps, old).stream_time + LONGEST_DELAY < stamps->stream_time)
    old++;
  g_array_remove_range (state->stamps, 0, old);
  state->first_stamp += old;
}

static GstFlowReturn
gst_shot_detect_transform_frame_ip (GstVideoFilter *filter, GstVideoFrame *frame)
{
  GstShotDetect *self = GST_SHOT_DETECT (filter);
  State *state = &self->state;
  const GstSegment *segment = &GST_BASE_TRANSFORM (filter)->segment;
  GstBuffer *buffer = frame->buffer;
  GstClockTime timestamp = GST_BUFFER_PTS (buffer);
  Stamps stamps = {timestamp, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE, GST_BUFFER_DURATION (buffer)};
  DerushPlanes planes;
  DerushFrameFeatures features;
  DerushShotOptions options;

  if (!GST_CLOCK_TIME_IS_VALID (timestamp) || segment->rate < 0)
    return GST_FLOW_OK;
  stamps.stream_time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, timestamp);
  stamps.running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, timestamp);
  /* Outside the segment: never shown. */
  if (!GST_CLOCK_TIME_IS_VALID (stamps.stream_time))
    return GST_FLOW_OK;
  if (GST_BUFFER_IS_DISCONT (buffer) && state->stamps->len > 0)
    conclude (self);
  frame_planes_borrow (frame, &planes);
  if (!derush_frame_meter_push (state->meter, &planes, (double)stamps.stream_time / GST_SECOND, &features)) {
    GST_LOG_OBJECT (self, "picture of %ux%u cannot be measured", planes.width, planes.height);
    return GST_FLOW_OK;
  }
  if (!GST_CLOCK_TIME_IS_VALID (state->shot_start))
    state->shot_start = stamps.stream_time;
  remember_stamps (state, &stamps);
  GST_OBJECT_LOCK (self);
  options = self->settings.options;
  GST_OBJECT_UNLOCK (self);
  derush_shot_detector_set_options (state->detector, &options);
  derush_shot_detector_push (state->detector, &features);
  post_known_changes (self);
  return GST_FLOW_OK;
}

static gboolean
gst_shot_detect_set_info (GstVideoFilter *filter, GstCaps *incaps, GstVideoInfo *in_info, GstCaps *outcaps,
                          GstVideoInfo *out_info)
{
  conclude (GST_SHOT_DETECT (filter));
  return TRUE;
}

static gboolean
gst_shot_detect_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstShotDetect *self = GST_SHOT_DETECT (trans);

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_EOS:
    conclude (self);
    break;
  case GST_EVENT_FLUSH_STOP:
  case GST_EVENT_STREAM_START:
    if (self->state.detector)
      start_again (self);
    break;
  case GST_EVENT_SEGMENT: {
    const GstSegment *segment;

    gst_event_parse_segment (event, &segment);
    if (!gst_segment_is_equal (segment, &trans->segment))
      conclude (self);
    break;
  }
  default:
    break;
  }
  return GST_BASE_TRANSFORM_CLASS (gst_shot_detect_parent_class)->sink_event (trans, event);
}

/* ── Properties ─────────────────────────────────────────────────────────── */

static void
gst_shot_detect_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstShotDetect *self = GST_SHOT_DETECT (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_THRESHOLD:
    self->settings.options.threshold = g_value_get_double (value);
    break;
  case PROP_MIN_SCORE:
    self->settings.options.min_score = g_value_get_double (value);
    break;
  case PROP_MIN_DURATION:
    self->settings.options.min_duration = (double)g_value_get_uint64 (value) / GST_SECOND;
    break;
  case PROP_TRANSITIONS:
    self->settings.options.transitions = g_value_get_flags (value);
    break;
  case PROP_POST_MESSAGES:
    self->settings.post_messages = g_value_get_boolean (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_shot_detect_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstShotDetect *self = GST_SHOT_DETECT (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_THRESHOLD:
    g_value_set_double (value, self->settings.options.threshold);
    break;
  case PROP_MIN_SCORE:
    g_value_set_double (value, self->settings.options.min_score);
    break;
  case PROP_MIN_DURATION:
    g_value_set_uint64 (value, (guint64)(self->settings.options.min_duration * GST_SECOND + 0.5));
    break;
  case PROP_TRANSITIONS:
    g_value_set_flags (value, self->settings.options.transitions);
    break;
  case PROP_POST_MESSAGES:
    g_value_set_boolean (value, self->settings.post_messages);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_shot_detect_class_init (GstShotDetectClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans_class = GST_BASE_TRANSFORM_CLASS (klass);
  GstVideoFilterClass *filter_class = GST_VIDEO_FILTER_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  GST_DEBUG_CATEGORY_INIT (gst_shot_detect_debug, "shotdetect", 0, "shot detection");
  object_class->set_property = gst_shot_detect_set_property;
  object_class->get_property = gst_shot_detect_get_property;

  /**
   * GstShotDetect:threshold:
   *
   * By which factor the change from one frame to the next must exceed the median change around it (0.25 seconds to
   * either side) to be a cut. Higher values find fewer cuts in scenes full of motion.
   */
  g_object_class_install_property (
      object_class, PROP_THRESHOLD,
      g_param_spec_double ("threshold", _ ("Threshold"),
                           _ ("How often a cut's change exceeds the changes around it (factor, 1 to 100)"), 1, 100,
                           DEFAULT_THRESHOLD, flags));
  /**
   * GstShotDetect:min-score:
   *
   * The least change that can be a cut, from 0 (none) to 1 (nothing in common).
   */
  g_object_class_install_property (
      object_class, PROP_MIN_SCORE,
      g_param_spec_double ("min-score", _ ("Least score"),
                           _ ("The least change that can be a cut (0 none, to 1 nothing in common)"), 0, 1,
                           DEFAULT_MIN_SCORE, flags));
  /**
   * GstShotDetect:min-duration:
   *
   * The shortest shot, in nanoseconds: of two changes nearer than that, the first one is reported.
   */
  g_object_class_install_property (object_class, PROP_MIN_DURATION,
                                   g_param_spec_uint64 ("min-duration", _ ("Least duration"),
                                                        _ ("The shortest shot (nanoseconds)"), 0, 3600 * GST_SECOND,
                                                        DEFAULT_MIN_DURATION, flags));
  /**
   * GstShotDetect:transitions:
   *
   * The kinds of shot changes to report.
   */
  g_object_class_install_property (object_class, PROP_TRANSITIONS,
                                   g_param_spec_flags ("transitions", _ ("Transitions"),
                                                       _ ("The kinds of shot changes to report"),
                                                       GST_TYPE_SHOT_TRANSITIONS, DEFAULT_TRANSITIONS, flags));
  /**
   * GstShotDetect:post-messages:
   *
   * Whether to post a message for every shot change.
   */
  g_object_class_install_property (object_class, PROP_POST_MESSAGES,
                                   g_param_spec_boolean ("post-messages", _ ("Post messages"),
                                                         _ ("Post a message for every shot change"),
                                                         DEFAULT_POST_MESSAGES, flags));

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Shot detector", "Filter/Analyzer/Video",
                                         "Finds cuts, fades, dissolves and wipes", "Derush");
  gst_type_mark_as_plugin_api (GST_TYPE_SHOT_TRANSITIONS, 0);

  trans_class->start = GST_DEBUG_FUNCPTR (gst_shot_detect_start);
  trans_class->stop = GST_DEBUG_FUNCPTR (gst_shot_detect_stop);
  trans_class->sink_event = GST_DEBUG_FUNCPTR (gst_shot_detect_sink_event);
  trans_class->passthrough_on_same_caps = TRUE;
  trans_class->transform_ip_on_passthrough = TRUE;
  filter_class->set_info = GST_DEBUG_FUNCPTR (gst_shot_detect_set_info);
  filter_class->transform_frame_ip = GST_DEBUG_FUNCPTR (gst_shot_detect_transform_frame_ip);
}

static void
gst_shot_detect_init (GstShotDetect *self)
{
  derush_shot_options_init (&self->settings.options);
  self->settings.options.threshold = DEFAULT_THRESHOLD;
  self->settings.options.min_score = DEFAULT_MIN_SCORE;
  self->settings.options.min_duration = (double)DEFAULT_MIN_DURATION / GST_SECOND;
  self->settings.options.transitions = DEFAULT_TRANSITIONS;
  self->settings.post_messages = DEFAULT_POST_MESSAGES;
  gst_base_transform_set_qos_enabled (GST_BASE_TRANSFORM (self), FALSE);
}
