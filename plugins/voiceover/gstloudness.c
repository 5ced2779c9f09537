/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-loudness
 * @title: loudness
 * @short_description: measures loudness after EBU R 128
 *
 * Passes audio through and posts an element message named `ebur128-level` every #GstLoudness:interval, and one for the
 * whole before EOS is passed on. The measures are those of EBU R 128 and ITU-R BS.1770: blocks below −70 LUFS, and 10 LU
 * below the mean of the others, do not count for the whole.
 *
 * The fields are those of the element `ebur128level`, with times that tell until when was measured:
 *
 * * #GstClockTime `timestamp`: the timestamp of the first sample that is not measured yet
 * * #GstClockTime `stream-time`, `running-time`: the same as position in the film and as running time
 * * #GstClockTime `duration`: how long was measured since the last message, for the whole since the start
 * * #gboolean `whole`: whether this is the message for the whole
 * * #gdouble `momentary-loudness`: of the last 400 ms, in LUFS
 * * #gdouble `shortterm-loudness`: of the last 3 s, in LUFS
 * * #gdouble `global-loudness`: of all so far, in LUFS
 * * #gdouble `relative-threshold`: what counts for it, in LUFS
 * * #gdouble `loudness-range`: in LU, after EBU Tech 3342
 * * #GstValueArray of #gdouble `sample-peak`, `true-peak`: per channel since the start, as factors of full scale: 1 is
 *   0 dBFS or dBTP, and 20·log10 gives decibels. True peaks are found by oversampling to 192 kHz.
 *
 * Silence has a loudness of −∞, as has a whole that is shorter than 400 ms or nowhere above −70 LUFS; it is posted as
 * such (`isinf()`), with a relative threshold of −70 and a range of 0. No field is ever NaN: samples that are no numbers
 * count as silence.
 *
 * Gaps are silence. A flush, a new stream, another segment or other caps begin a new measurement; what was measured until
 * then is posted as a whole, except at a flush. When there was no sample, nothing is posted. With a negative rate nothing
 * is measured. The state does not grow with the duration: the whole is measured in steps of 0.1 LU.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 -m filesrc location=video.mp4 ! decodebin3 ! audioconvert ! loudness ! fakesink
 * ]|
 */

#include "config.h"

#include "gstloudness.h"

#include <ebur128.h>
#include <glib/gi18n-lib.h>
#include <math.h>

GST_DEBUG_CATEGORY_STATIC (gst_loudness_debug);
#define GST_CAT_DEFAULT gst_loudness_debug

typedef enum {
  GST_LOUDNESS_MODE_MOMENTARY = 1 << 0,
  GST_LOUDNESS_MODE_SHORT_TERM = 1 << 1,
  GST_LOUDNESS_MODE_GLOBAL = 1 << 2,
  GST_LOUDNESS_MODE_LOUDNESS_RANGE = 1 << 3,
  GST_LOUDNESS_MODE_SAMPLE_PEAK = 1 << 4,
  GST_LOUDNESS_MODE_TRUE_PEAK = 1 << 5,
} GstLoudnessMode;

#define DEFAULT_INTERVAL GST_SECOND
#define DEFAULT_POST_MESSAGES TRUE
#define DEFAULT_MODE                                                                                                   \
  (GST_LOUDNESS_MODE_MOMENTARY | GST_LOUDNESS_MODE_SHORT_TERM | GST_LOUDNESS_MODE_GLOBAL |                             \
   GST_LOUDNESS_MODE_LOUDNESS_RANGE | GST_LOUDNESS_MODE_SAMPLE_PEAK | GST_LOUDNESS_MODE_TRUE_PEAK)
#define DEFAULT_DUAL_MONO FALSE

/* After so much silence every window is empty, and more of it changes nothing. */
#define LONGEST_SILENCE 4
#define LOUDEST 1e6
#define CHUNK 1024

typedef struct {
  GstClockTime interval;
  gboolean post_messages;
  GstLoudnessMode mode;
  gboolean dual_mono;
} Settings;

typedef struct {
  ebur128_state *meter;
  GstAudioInfo info;
  GstLoudnessMode mode;
  guint64 frames;         /* since the start */
  guint64 posted;         /* of them in messages */
  guint64 silence;        /* frames since the last sample */
  GstClockTime timestamp; /* of the frame that comes next */
  gpointer chunk;         /* silence, or samples without those that are no numbers */
} State;

struct _GstLoudness {
  GstAudioFilter parent;

  Settings settings; /* object lock */
  State state;       /* streaming thread */
};

enum {
  PROP_0,
  PROP_INTERVAL,
  PROP_POST_MESSAGES,
  PROP_MODE,
  PROP_DUAL_MONO,
};

#define CAPS                                                                                                           \
  "audio/x-raw, format = (string) { " GST_AUDIO_NE (F32) ", " GST_AUDIO_NE (S16) ", " GST_AUDIO_NE (                   \
      S32) ", " GST_AUDIO_NE (F64) " }, "                                                                              \
                                   "layout = (string) interleaved, rate = (int) [ 1000, 768000 ], channels = (int) [ " \
                                   "1, 64 ]"

G_DEFINE_TYPE (GstLoudness, gst_loudness, GST_TYPE_AUDIO_FILTER)
GST_ELEMENT_REGISTER_DEFINE (loudness, "loudness", GST_RANK_NONE, GST_TYPE_LOUDNESS)

#define GST_TYPE_LOUDNESS_MODE (gst_loudness_mode_get_type ())
static GType
gst_loudness_mode_get_type (void)
{
  static gsize type;
  static const GFlagsValue values[] = {
      {GST_LOUDNESS_MODE_MOMENTARY, N_ ("Loudness of the last 400 ms"), "momentary"},
      {GST_LOUDNESS_MODE_SHORT_TERM, N_ ("Loudness of the last 3 s"), "short-term"},
      {GST_LOUDNESS_MODE_GLOBAL, N_ ("Loudness of the whole and its relative threshold"), "global"},
      {GST_LOUDNESS_MODE_LOUDNESS_RANGE, N_ ("Loudness range"), "loudness-range"},
      {GST_LOUDNESS_MODE_SAMPLE_PEAK, N_ ("Largest samples"), "sample-peak"},
      {GST_LOUDNESS_MODE_TRUE_PEAK, N_ ("Largest values between samples"), "true-peak"},
      {0, NULL, NULL},
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_flags_register_static ("GstDerushLoudnessMode", values));
  return type;
}

static Settings
get_settings (GstLoudness *self)
{
  Settings settings;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  GST_OBJECT_UNLOCK (self);
  return settings;
}

/* ── Messages ───────────────────────────────────────────────────────────── */

static void
take_double (GstStructure *structure, const char *field, int result, double value)
{
  if (result == EBUR128_SUCCESS && !isnan (value))
    gst_structure_set (structure, field, G_TYPE_DOUBLE, value, NULL);
}

static void
take_peaks (State *state, GstStructure *structure, const char *field, int (*peak) (ebur128_state *, guint, double *))
{
  GValue array = G_VALUE_INIT;

  g_value_init (&array, GST_TYPE_ARRAY);
  for (int c = 0; c < GST_AUDIO_INFO_CHANNELS (&state->info); c++) {
    GValue value = G_VALUE_INIT;
    double number = 0;

    g_value_init (&value, G_TYPE_DOUBLE);
    if (peak (state->meter, c, &number) == EBUR128_SUCCESS && isfinite (number))
      g_value_set_double (&value, number);
    gst_value_array_append_and_take_value (&array, &value);
  }
  gst_structure_take_value (structure, field, &array);
}

static void
add_measures (State *state, GstStructure *structure)
{
  double value = 0;
  int result;

  if (state->mode & GST_LOUDNESS_MODE_MOMENTARY) {
    result = ebur128_loudness_momentary (state->meter, &value);
    take_double (structure, "momentary-loudness", result, value);
  }
  if (state->mode & GST_LOUDNESS_MODE_SHORT_TERM) {
    result = ebur128_loudness_shortterm (state->meter, &value);
    take_double (structure, "shortterm-loudness", result, value);
  }
  if (state->mode & GST_LOUDNESS_MODE_GLOBAL) {
    result = ebur128_loudness_global (state->meter, &value);
    take_double (structure, "global-loudness", result, value);
    result = ebur128_relative_threshold (state->meter, &value);
    take_double (structure, "relative-threshold", result, value);
  }
  if (state->mode & GST_LOUDNESS_MODE_LOUDNESS_RANGE) {
    result = ebur128_loudness_range (state->meter, &value);
    take_double (structure, "loudness-range", result, value);
  }
  if (state->mode & GST_LOUDNESS_MODE_SAMPLE_PEAK)
    take_peaks (state, structure, "sample-peak", ebur128_sample_peak);
  if (state->mode & GST_LOUDNESS_MODE_TRUE_PEAK)
    take_peaks (state, structure, "true-peak", ebur128_true_peak);
}

static GstClockTime
to_time (const State *state, guint64 frames)
{
  return gst_util_uint64_scale (frames, GST_SECOND, GST_AUDIO_INFO_RATE (&state->info));
}

static void
post (GstLoudness *self, gboolean whole)
{
  State *state = &self->state;
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  GstClockTime stream_time = GST_CLOCK_TIME_NONE, running_time = GST_CLOCK_TIME_NONE;
  guint64 since = whole ? 0 : state->posted;
  GstStructure *structure;

  if (!get_settings (self).post_messages)
    return;
  if (segment->format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID (state->timestamp)) {
    /* Rounding may set the end behind the segment. */
    GstClockTime end =
        GST_CLOCK_TIME_IS_VALID (segment->stop) ? MIN (state->timestamp, segment->stop) : state->timestamp;

    stream_time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, end);
    running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, end);
  }
  structure = gst_structure_new (
      "ebur128-level", "timestamp", GST_TYPE_CLOCK_TIME, state->timestamp, "stream-time", GST_TYPE_CLOCK_TIME,
      stream_time, "running-time", GST_TYPE_CLOCK_TIME, running_time, "duration", GST_TYPE_CLOCK_TIME,
      to_time (state, state->frames) - to_time (state, since), "whole", G_TYPE_BOOLEAN, whole, NULL);
  add_measures (state, structure);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self), structure));
}

/* ── State ──────────────────────────────────────────────────────────────── */

static int
channel_type (GstAudioChannelPosition position, gboolean has_sides)
{
  switch (position) {
  case GST_AUDIO_CHANNEL_POSITION_FRONT_LEFT:
    return EBUR128_LEFT;
  case GST_AUDIO_CHANNEL_POSITION_FRONT_RIGHT:
    return EBUR128_RIGHT;
  case GST_AUDIO_CHANNEL_POSITION_LFE1:
  case GST_AUDIO_CHANNEL_POSITION_LFE2:
  case GST_AUDIO_CHANNEL_POSITION_INVALID:
    return EBUR128_UNUSED;
  /* The surround channels of 5.1, by whichever name, stand at 110 degrees; those at the back of 7.1 at 135. */
  case GST_AUDIO_CHANNEL_POSITION_REAR_LEFT:
    return has_sides ? EBUR128_Mp135 : EBUR128_LEFT_SURROUND;
  case GST_AUDIO_CHANNEL_POSITION_REAR_RIGHT:
    return has_sides ? EBUR128_Mm135 : EBUR128_RIGHT_SURROUND;
  case GST_AUDIO_CHANNEL_POSITION_SIDE_LEFT:
    return EBUR128_Mp090;
  case GST_AUDIO_CHANNEL_POSITION_SIDE_RIGHT:
    return EBUR128_Mm090;
  case GST_AUDIO_CHANNEL_POSITION_SURROUND_LEFT:
    return EBUR128_LEFT_SURROUND;
  case GST_AUDIO_CHANNEL_POSITION_SURROUND_RIGHT:
    return EBUR128_RIGHT_SURROUND;
  case GST_AUDIO_CHANNEL_POSITION_WIDE_LEFT:
    return EBUR128_Mp060;
  case GST_AUDIO_CHANNEL_POSITION_WIDE_RIGHT:
    return EBUR128_Mm060;
  default:
    /* Everything else has a weight of 1: in front, at the back, above, below, and channels without a position. */
    return EBUR128_CENTER;
  }
}

static void
map_channels (State *state, gboolean dual_mono)
{
  const GstAudioInfo *info = &state->info;
  gboolean has_sides = FALSE;

  for (int c = 0; c < info->channels; c++)
    if (info->position[c] == GST_AUDIO_CHANNEL_POSITION_SIDE_LEFT ||
        info->position[c] == GST_AUDIO_CHANNEL_POSITION_SIDE_RIGHT)
      has_sides = TRUE;
  for (int c = 0; c < info->channels; c++) {
    int type = GST_AUDIO_INFO_IS_UNPOSITIONED (info) ? EBUR128_CENTER : channel_type (info->position[c], has_sides);

    if (info->channels == 1)
      type = dual_mono ? EBUR128_DUAL_MONO : EBUR128_CENTER;
    ebur128_set_channel (state->meter, c, type);
  }
}

/* Begins a new measurement in the same format. */
static void
start_again (GstLoudness *self)
{
  State *state = &self->state;
  Settings settings = get_settings (self);
  int mode = EBUR128_MODE_HISTOGRAM | EBUR128_MODE_M;

  if (state->meter)
    ebur128_destroy (&state->meter);
  state->frames = state->posted = state->silence = 0;
  state->timestamp = GST_CLOCK_TIME_NONE;
  state->mode = settings.mode;
  if (!GST_AUDIO_INFO_IS_VALID (&state->info))
    return;
  if (settings.mode & GST_LOUDNESS_MODE_SHORT_TERM)
    mode |= EBUR128_MODE_S;
  if (settings.mode & GST_LOUDNESS_MODE_GLOBAL)
    mode |= EBUR128_MODE_I;
  if (settings.mode & GST_LOUDNESS_MODE_LOUDNESS_RANGE)
    mode |= EBUR128_MODE_LRA;
  if (settings.mode & GST_LOUDNESS_MODE_SAMPLE_PEAK)
    mode |= EBUR128_MODE_SAMPLE_PEAK;
  if (settings.mode & GST_LOUDNESS_MODE_TRUE_PEAK)
    mode |= EBUR128_MODE_TRUE_PEAK;
  state->meter = ebur128_init (state->info.channels, state->info.rate, mode);
  if (state->meter)
    map_channels (state, settings.dual_mono);
}

/* Says what is known of the sound so far. */
static void
conclude (GstLoudness *self)
{
  if (self->state.meter && self->state.frames > 0)
    post (self, TRUE);
  start_again (self);
}

static gboolean
gst_loudness_stop (GstBaseTransform *trans)
{
  GstLoudness *self = GST_LOUDNESS (trans);

  gst_audio_info_init (&self->state.info);
  start_again (self);
  g_clear_pointer (&self->state.chunk, g_free);
  return TRUE;
}

static gboolean
gst_loudness_setup (GstAudioFilter *filter, const GstAudioInfo *info)
{
  GstLoudness *self = GST_LOUDNESS (filter);
  State *state = &self->state;

  if (state->meter && gst_audio_info_is_equal (info, &state->info))
    return TRUE;
  conclude (self);
  state->info = *info;
  g_free (state->chunk);
  state->chunk = g_malloc0 ((gsize)CHUNK * GST_AUDIO_INFO_BPF (info));
  start_again (self);
  if (!state->meter) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("The loudness of this sound cannot be measured: convert it first")),
                       ("%d channels at %d Hz", info->channels, info->rate));
    return FALSE;
  }
  return TRUE;
}

/* ── Data ───────────────────────────────────────────────────────────────── */

static void
add_frames (State *state, gconstpointer samples, gsize frames)
{
  switch (GST_AUDIO_INFO_FORMAT (&state->info)) {
  case GST_AUDIO_FORMAT_S16:
    ebur128_add_frames_short (state->meter, samples, frames);
    break;
  case GST_AUDIO_FORMAT_S32:
    ebur128_add_frames_int (state->meter, samples, frames);
    break;
  case GST_AUDIO_FORMAT_F32:
    ebur128_add_frames_float (state->meter, samples, frames);
    break;
  default:
    ebur128_add_frames_double (state->meter, samples, frames);
  }
}

/* One sample that is no number would spoil all that follow: the filters remember it. */
static gconstpointer
clean (State *state, gconstpointer samples, gsize frames)
{
  gsize n = frames * state->info.channels;

  if (GST_AUDIO_INFO_FORMAT (&state->info) == GST_AUDIO_FORMAT_F32) {
    const float *in = samples;
    float *out = state->chunk;

    for (gsize i = 0; i < n; i++)
      out[i] = fabsf (in[i]) < LOUDEST ? in[i] : 0;
    return out;
  }
  if (GST_AUDIO_INFO_FORMAT (&state->info) == GST_AUDIO_FORMAT_F64) {
    const double *in = samples;
    double *out = state->chunk;

    for (gsize i = 0; i < n; i++)
      out[i] = fabs (in[i]) < LOUDEST ? in[i] : 0;
    return out;
  }
  return samples;
}

static void
measure (State *state, const guint8 *samples, guint64 frames)
{
  gsize bpf = GST_AUDIO_INFO_BPF (&state->info);

  while (frames > 0) {
    gsize n = MIN (frames, CHUNK);

    if (samples) {
      add_frames (state, clean (state, samples, n), n);
      state->silence = 0;
      samples += n * bpf;
    } else {
      if (state->silence >= (guint64)LONGEST_SILENCE * state->info.rate)
        return;
      memset (state->chunk, 0, n * bpf);
      add_frames (state, state->chunk, n);
      state->silence += n;
    }
    frames -= n;
  }
}

/* Measures @frames, or silence where @samples is %NULL, and posts whenever an interval is full. */
static void
take (GstLoudness *self, const guint8 *samples, guint64 frames)
{
  State *state = &self->state;
  GstClockTime timestamp = state->timestamp;
  guint64 taken = 0;

  while (taken < frames) {
    guint64 interval = MAX (1, gst_util_uint64_scale (get_settings (self).interval, state->info.rate, GST_SECOND));
    guint64 since = state->frames - state->posted;
    guint64 n = MIN (frames - taken, interval > since ? interval - since : 1);

    measure (state, samples ? samples + taken * GST_AUDIO_INFO_BPF (&state->info) : NULL, n);
    taken += n;
    state->frames += n;
    if (GST_CLOCK_TIME_IS_VALID (timestamp))
      state->timestamp = timestamp + to_time (state, taken);
    if (state->frames - state->posted >= interval) {
      post (self, FALSE);
      state->posted = state->frames;
    }
  }
}

static GstFlowReturn
gst_loudness_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstLoudness *self = GST_LOUDNESS (trans);
  State *state = &self->state;
  guint64 frames;
  GstMapInfo map;

  if (!state->meter || trans->segment.rate < 0)
    return GST_FLOW_OK;
  frames = gst_buffer_get_size (buffer) / GST_AUDIO_INFO_BPF (&state->info);
  if (GST_BUFFER_PTS_IS_VALID (buffer))
    state->timestamp = GST_BUFFER_PTS (buffer);
  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP)) {
    take (self, NULL, frames);
  } else if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    take (self, map.data, frames);
    gst_buffer_unmap (buffer, &map);
  } else {
    GST_ELEMENT_ERROR (self, RESOURCE, READ, (_ ("The sound cannot be read: its memory is not accessible")), (NULL));
    return GST_FLOW_ERROR;
  }
  return GST_FLOW_OK;
}

static void
take_gap (GstLoudness *self, GstEvent *event)
{
  GstClockTime timestamp, duration;

  if (!self->state.meter || GST_BASE_TRANSFORM (self)->segment.rate < 0)
    return;
  gst_event_parse_gap (event, &timestamp, &duration);
  if (!GST_CLOCK_TIME_IS_VALID (duration))
    return;
  self->state.timestamp = timestamp;
  take (self, NULL, gst_util_uint64_scale_round (duration, self->state.info.rate, GST_SECOND));
}

static gboolean
gst_loudness_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstLoudness *self = GST_LOUDNESS (trans);

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_EOS:
  case GST_EVENT_STREAM_START:
    conclude (self);
    break;
  case GST_EVENT_FLUSH_STOP:
    start_again (self);
    break;
  case GST_EVENT_SEGMENT: {
    const GstSegment *segment;

    gst_event_parse_segment (event, &segment);
    if (!gst_segment_is_equal (segment, &trans->segment))
      conclude (self);
    break;
  }
  case GST_EVENT_GAP:
    take_gap (self, event);
    break;
  default:
    break;
  }
  return GST_BASE_TRANSFORM_CLASS (gst_loudness_parent_class)->sink_event (trans, event);
}

/* ── Properties ─────────────────────────────────────────────────────────── */

static void
gst_loudness_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstLoudness *self = GST_LOUDNESS (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_INTERVAL:
    self->settings.interval = g_value_get_uint64 (value);
    break;
  case PROP_POST_MESSAGES:
    self->settings.post_messages = g_value_get_boolean (value);
    break;
  case PROP_MODE:
    self->settings.mode = g_value_get_flags (value);
    break;
  case PROP_DUAL_MONO:
    self->settings.dual_mono = g_value_get_boolean (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_loudness_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  Settings settings = get_settings (GST_LOUDNESS (object));

  switch (id) {
  case PROP_INTERVAL:
    g_value_set_uint64 (value, settings.interval);
    break;
  case PROP_POST_MESSAGES:
    g_value_set_boolean (value, settings.post_messages);
    break;
  case PROP_MODE:
    g_value_set_flags (value, settings.mode);
    break;
  case PROP_DUAL_MONO:
    g_value_set_boolean (value, settings.dual_mono);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_loudness_class_init (GstLoudnessClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans_class = GST_BASE_TRANSFORM_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS);

  GST_DEBUG_CATEGORY_INIT (gst_loudness_debug, "loudness", 0, "loudness");
  object_class->set_property = gst_loudness_set_property;
  object_class->get_property = gst_loudness_get_property;

  /**
   * GstLoudness:interval:
   *
   * How much sound there is from one message to the next, in nanoseconds. Loudness itself is measured in steps of 100 ms.
   */
  g_object_class_install_property (
      object_class, PROP_INTERVAL,
      g_param_spec_uint64 ("interval", _ ("Interval"),
                           _ ("Sound from one message to the next (nanoseconds, 1000000 to 3600000000000)"),
                           GST_MSECOND, 3600 * GST_SECOND, DEFAULT_INTERVAL, flags | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstLoudness:post-messages:
   *
   * Whether to post messages.
   */
  g_object_class_install_property (object_class, PROP_POST_MESSAGES,
                                   g_param_spec_boolean ("post-messages", _ ("Post messages"),
                                                         _ ("Post a message every interval and for the whole"),
                                                         DEFAULT_POST_MESSAGES, flags | GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstLoudness:mode:
   *
   * What is measured; the fields of the others are not in the messages. True peaks cost the most time.
   */
  g_object_class_install_property (object_class, PROP_MODE,
                                   g_param_spec_flags ("mode", _ ("Mode"), _ ("What is measured"),
                                                       GST_TYPE_LOUDNESS_MODE, DEFAULT_MODE,
                                                       flags | GST_PARAM_MUTABLE_READY));
  /**
   * GstLoudness:dual-mono:
   *
   * Whether one channel counts twice, as it is heard from two loudspeakers: 3 LU more. BS.1770 counts it once.
   */
  g_object_class_install_property (object_class, PROP_DUAL_MONO,
                                   g_param_spec_boolean ("dual-mono", _ ("Dual mono"),
                                                         _ ("Count a single channel as two loudspeakers"),
                                                         DEFAULT_DUAL_MONO, flags | GST_PARAM_MUTABLE_READY));

  gst_audio_filter_class_add_pad_templates (GST_AUDIO_FILTER_CLASS (klass), caps);
  gst_element_class_set_static_metadata (element_class, "Loudness meter", "Filter/Analyzer/Audio",
                                         "Measures loudness after EBU R 128", "The Derush authors");
  gst_type_mark_as_plugin_api (GST_TYPE_LOUDNESS_MODE, 0);

  trans_class->stop = GST_DEBUG_FUNCPTR (gst_loudness_stop);
  trans_class->sink_event = GST_DEBUG_FUNCPTR (gst_loudness_sink_event);
  trans_class->transform_ip = GST_DEBUG_FUNCPTR (gst_loudness_transform_ip);
  trans_class->passthrough_on_same_caps = TRUE;
  trans_class->transform_ip_on_passthrough = TRUE;
  GST_AUDIO_FILTER_CLASS (klass)->setup = GST_DEBUG_FUNCPTR (gst_loudness_setup);
}

static void
gst_loudness_init (GstLoudness *self)
{
  self->settings = (Settings){DEFAULT_INTERVAL, DEFAULT_POST_MESSAGES, DEFAULT_MODE, DEFAULT_DUAL_MONO};
  gst_audio_info_init (&self->state.info);
  self->state.timestamp = GST_CLOCK_TIME_NONE;
  gst_base_transform_set_qos_enabled (GST_BASE_TRANSFORM (self), FALSE);
}
