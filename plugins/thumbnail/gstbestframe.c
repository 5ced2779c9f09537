/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-bestframe
 * @title: bestframe
 * @short_description: the best stills of a film
 *
 * Takes a film's frames and gives the chosen ones, unchanged in format and size and with their timestamps: sharp (by
 * the measure of the same film), well exposed, colourful, steady, unlike each other, neither black nor of one colour
 * nor in a transition or within 0.3 s of a cut. If the film has nothing better, the least bad frame is given; at least
 * one frame is pushed before EOS whenever there was one.
 *
 * With #GstBestframe:mode `best` the #GstBestframe:count best frames of the stream are pushed at its end, in the order
 * of time. With mode `window` the best frame of each #GstBestframe:interval is pushed when that time is over, which
 * suits streams without an end.
 *
 * Frames are measured on a small copy. Those that are kept for now are copied, so that no decoder runs out of buffers:
 * in mode `best` up to four times #GstBestframe:count (fewer if that would be more than 256 MiB), in mode `window` one,
 * and in both a few more while it is not known whether a cut follows.
 *
 * A flushing seek starts afresh. A new segment ends the choice of the one before.
 *
 * ## Message
 *
 * With #GstBestframe:post-messages an element message `bestframe` comes with each chosen frame:
 *
 * * #GstClockTime `timestamp`: timestamp of the frame
 * * #GstClockTime `stream-time`: position of the frame in the film
 * * #GstClockTime `running-time`: running time of the frame
 * * #GstClockTime `duration`: duration of the frame
 * * #guint `index`: number of the chosen frame, from 0
 * * #gdouble `score`: how good a still it is, 0 to 1
 * * #gdouble `sharpness`, `exposure`, `colourfulness`, `steadiness`: what the score is made of, 0 to 1; `steadiness` is
 *   -1 when the frame has no neighbour
 * * #GstValueArray of #gchararray `reasons`: in plain words, such as `sharp`, `well exposed`, `colourful`, `steady`,
 *   `unlike the others`, `black`, `dark`, `too bright`, `of one colour`, `blurred`, `moving`, `near a cut`
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 -m videotestsrc num-buffers=250 pattern=ball ! bestframe count=3 ! videoconvert ! video/x-raw,format=RGB ! jpegenc ! multifilesink location=best-%d.jpg
 * ]|
 * The three best frames of ten seconds of a test picture become JPEG files. The encoder takes YUV for full range,
 * which a film is not: hence RGB. With several sinks in one pipeline those behind bestframe and spritesheet need
 * `async=false`, as nothing reaches them for a while.
 */

#include "config.h"

#include "gstbestframe.h"
#include "stillkeeper.h"
#include "videoplanes.h"

#include <glib/gi18n-lib.h>

GST_DEBUG_CATEGORY_STATIC (gst_bestframe_debug);
#define GST_CAT_DEFAULT gst_bestframe_debug

#define DEFAULT_MODE MODE_BEST
#define DEFAULT_COUNT 5
#define DEFAULT_INTERVAL (10 * GST_SECOND)
#define DEFAULT_MIN_DISTANCE 0
#define DEFAULT_MIN_SCORE 0.0
#define DEFAULT_POST_MESSAGES TRUE

/* Seconds; doubled as the stream grows. */
#define FIRST_WINDOW 0.5
#define MAX_KEPT_BYTES (256 * 1024 * 1024)

typedef enum {
  MODE_BEST,
  MODE_WINDOW,
} Mode;

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (GST_VIDEO_FORMATS_ALL)));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (GST_VIDEO_FORMATS_ALL)));

enum {
  PROP_0,
  PROP_MODE,
  PROP_COUNT,
  PROP_INTERVAL,
  PROP_MIN_DISTANCE,
  PROP_MIN_SCORE,
  PROP_POST_MESSAGES,
};

typedef struct {
  Mode mode;
  guint count;
  GstClockTime interval;
  GstClockTime min_distance;
  gdouble min_score;
  gboolean post_messages;
} Settings;

/* Touched by the streaming thread, or while no data flows. */
typedef struct {
  GstSegment segment;
  GstCaps *caps;        /* of the frames that come in */
  GstCaps *pushed_caps; /* of the frames that go out */
  VideoPlanes planes;
  gboolean negotiated;
  DerushFrameMeter *meter;
  StillKeeper *keeper;
  Settings settings; /* since the first frame */
  GstClockTime next_pts;
  guint n_pushed;
  gboolean discont;
  KeptStill spare; /* mode window: the best of those below the wanted score, until one is pushed */
} State;

struct _GstBestframe {
  GstElement parent;
  GstPad *sinkpad, *srcpad;
  Settings settings; /* under the object lock */
  State state;
};

G_DEFINE_TYPE (GstBestframe, gst_bestframe, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (bestframe, "bestframe", GST_RANK_NONE, GST_TYPE_BESTFRAME)

#define TYPE_MODE (bestframe_mode_get_type ())
static GType
bestframe_mode_get_type (void)
{
  static const GEnumValue values[] = {
      {MODE_BEST, "The best frames of the whole stream, at its end", "best"},
      {MODE_WINDOW, "The best frame of each interval, when it is over", "window"},
      {0, NULL, NULL},
  };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstBestframeMode", values));
  return type;
}

/* ── What is kept ───────────────────────────────────────────────────────── */

/* A frame of its own memory in the default layout of its caps: upstream's buffers go back to their pool. */
static GstSample *
copy_frame (GstBestframe *self, GstBuffer *buffer)
{
  State *state = &self->state;
  GstVideoInfo *info = &state->planes.info;
  g_autoptr (GstBuffer) copy = gst_buffer_new_allocate (NULL, info->size, NULL);
  GstVideoFrame from, to;
  GstMeta *meta;
  gpointer iterator = NULL;

  if (copy == NULL || !gst_video_frame_map (&from, info, buffer, GST_MAP_READ))
    return NULL;
  if (!gst_video_frame_map (&to, info, copy, GST_MAP_WRITE)) {
    gst_video_frame_unmap (&from);
    return NULL;
  }
  gst_video_frame_copy (&to, &from);
  gst_video_frame_unmap (&to);
  gst_video_frame_unmap (&from);
  gst_buffer_copy_into (copy, buffer, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS | GST_BUFFER_COPY_META, 0, -1);
  while ((meta = gst_buffer_iterate_meta (copy, &iterator)) != NULL) {
    /* The one describes the memory of the original, the other holds it. */
    if (meta->info->api == GST_VIDEO_META_API_TYPE || meta->info->api == GST_PARENT_BUFFER_META_API_TYPE) {
      gst_buffer_remove_meta (copy, meta);
      iterator = NULL;
    }
  }
  return gst_sample_new (copy, state->caps, &state->segment, NULL);
}

static gpointer
keep_copy (gpointer frame, gpointer user_data)
{
  return copy_frame (user_data, frame);
}

static void
clear_spare (State *state)
{
  g_clear_pointer ((GstSample **)&state->spare.frame, gst_sample_unref);
}

static void
state_forget_frames (GstBestframe *self)
{
  State *state = &self->state;

  g_clear_pointer (&state->keeper, still_keeper_free);
  derush_frame_meter_reset (state->meter);
  clear_spare (state);
  state->next_pts = GST_CLOCK_TIME_NONE;
  state->discont = TRUE;
}

static void
state_reset (GstBestframe *self)
{
  State *state = &self->state;

  state_forget_frames (self);
  gst_clear_caps (&state->caps);
  gst_clear_caps (&state->pushed_caps);
  video_planes_clear (&state->planes);
  state->negotiated = FALSE;
  state->n_pushed = 0;
  gst_segment_init (&state->segment, GST_FORMAT_UNDEFINED);
}

static void
ensure_keeper (GstBestframe *self)
{
  State *state = &self->state;
  guint capacity = 0;
  double window;

  if (state->keeper != NULL)
    return;
  GST_OBJECT_LOCK (self);
  state->settings = self->settings;
  GST_OBJECT_UNLOCK (self);
  if (state->settings.mode == MODE_BEST) {
    gsize affordable = MAX_KEPT_BYTES / MAX (state->planes.info.size, 1);

    capacity = (guint)CLAMP (affordable, state->settings.count + 2, 4 * state->settings.count + 2);
    window = FIRST_WINDOW;
  } else {
    window = (double)state->settings.interval / GST_SECOND;
  }
  state->keeper = still_keeper_new (window, capacity, keep_copy, self, (GDestroyNotify)gst_sample_unref);
}

/* ── What is pushed ─────────────────────────────────────────────────────── */

static void
post_message (GstBestframe *self, const KeptStill *kept, GstBuffer *buffer, const GstSegment *segment)
{
  GValue reasons = G_VALUE_INIT;
  const char *words[DERUSH_STILL_MAX_REASONS];
  guint n = derush_still_list_reasons (kept->still.traits, words);
  GstStructure *structure;

  structure = gst_structure_new (
      "bestframe", "timestamp", GST_TYPE_CLOCK_TIME, GST_BUFFER_PTS (buffer), "stream-time", GST_TYPE_CLOCK_TIME,
      gst_segment_to_stream_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer)), "running-time",
      GST_TYPE_CLOCK_TIME, gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer)), "duration",
      GST_TYPE_CLOCK_TIME, GST_BUFFER_DURATION (buffer), "index", G_TYPE_UINT, self->state.n_pushed, "score",
      G_TYPE_DOUBLE, (double)kept->still.score, "sharpness", G_TYPE_DOUBLE, (double)kept->still.sharpness, "exposure",
      G_TYPE_DOUBLE, (double)kept->still.exposure, "colourfulness", G_TYPE_DOUBLE, (double)kept->still.colourfulness,
      "steadiness", G_TYPE_DOUBLE, (double)kept->still.steadiness, NULL);
  gst_value_array_init (&reasons, n);
  for (guint i = 0; i < n; i++) {
    GValue word = G_VALUE_INIT;

    g_value_init (&word, G_TYPE_STRING);
    g_value_set_static_string (&word, words[i]);
    gst_value_array_append_and_take_value (&reasons, &word);
  }
  gst_structure_take_value (structure, "reasons", &reasons);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self), structure));
}

static GstFlowReturn
push_kept (GstBestframe *self, const KeptStill *kept)
{
  State *state = &self->state;
  GstSample *sample = kept->frame;
  GstBuffer *buffer = gst_sample_get_buffer (sample);
  GstCaps *caps = gst_sample_get_caps (sample);

  if (state->pushed_caps == NULL || !gst_caps_is_equal (caps, state->pushed_caps)) {
    gst_caps_replace (&state->pushed_caps, caps);
    if (!gst_pad_push_event (self->srcpad, gst_event_new_caps (caps)))
      return GST_PAD_IS_FLUSHING (self->srcpad) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
  }
  if (state->settings.post_messages)
    post_message (self, kept, buffer, gst_sample_get_segment (sample));
  buffer = gst_buffer_make_writable (gst_buffer_ref (buffer));
  if (state->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  else
    GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_DISCONT);
  state->discont = FALSE;
  state->n_pushed++;
  return gst_pad_push (self->srcpad, buffer);
}

static int
compare_indices (gconstpointer a, gconstpointer b)
{
  const gsize *x = a, *y = b;

  return *x < *y ? -1 : *x > *y;
}

/* Mode `best`, at the end. */
static GstFlowReturn
push_best (GstBestframe *self)
{
  State *state = &self->state;
  guint n_kept = still_keeper_get_n_kept (state->keeper);
  DerushStillRequest request = {state->settings.count, (double)state->settings.min_distance / GST_SECOND,
                                (float)state->settings.min_score};
  g_autofree DerushStill *stills = g_new (DerushStill, n_kept + 1);
  g_autofree DerushFrameFeatures *frames = g_new (DerushFrameFeatures, n_kept + 1);
  g_autofree gsize *chosen = g_new (gsize, request.count);
  GstFlowReturn ret = GST_FLOW_OK;
  gsize n;

  for (guint i = 0; i < n_kept; i++) {
    stills[i] = still_keeper_get_kept (state->keeper, i)->still;
    frames[i] = still_keeper_get_kept (state->keeper, i)->features;
  }
  n = derush_stills_select (stills, frames, n_kept, &request, chosen);
  qsort (chosen, n, sizeof (gsize), compare_indices);
  for (gsize i = 0; i < n && ret == GST_FLOW_OK; i++) {
    KeptStill *kept = still_keeper_get_kept (state->keeper, (guint)chosen[i]);

    kept->still = stills[chosen[i]];
    ret = push_kept (self, kept);
  }
  return ret;
}

/* Mode `window`: what is over, or everything at the end. */
static GstFlowReturn
push_windows (GstBestframe *self, gboolean at_end)
{
  State *state = &self->state;
  GstFlowReturn ret = GST_FLOW_OK;

  while (ret == GST_FLOW_OK && still_keeper_get_n_kept (state->keeper) > 0 &&
         (at_end || still_keeper_is_settled (state->keeper, 0))) {
    KeptStill kept;

    still_keeper_take (state->keeper, 0, &kept);
    if (kept.still.score >= state->settings.min_score) {
      ret = push_kept (self, &kept);
    } else if (state->n_pushed == 0 && (state->spare.frame == NULL || kept.still.score > state->spare.still.score)) {
      clear_spare (state);
      state->spare = kept;
      continue;
    }
    gst_sample_unref (kept.frame);
  }
  if (state->n_pushed > 0) {
    clear_spare (state);
  } else if (at_end && state->spare.frame != NULL && ret == GST_FLOW_OK) {
    ret = push_kept (self, &state->spare);
    clear_spare (state);
  }
  return ret;
}

/* Ends the choice among the frames so far. */
static GstFlowReturn
drain (GstBestframe *self)
{
  State *state = &self->state;
  GstFlowReturn ret = GST_FLOW_OK;

  if (state->keeper != NULL) {
    still_keeper_finish (state->keeper);
    ret = state->settings.mode == MODE_BEST ? push_best (self) : push_windows (self, TRUE);
  }
  state_forget_frames (self);
  return ret;
}

/* ── Data flow ──────────────────────────────────────────────────────────── */

static GstFlowReturn
gst_bestframe_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstBestframe *self = GST_BESTFRAME (parent);
  State *state = &self->state;
  g_autoptr (GstBuffer) owned = buffer;
  GstVideoInfo *info = &state->planes.info;
  GstClockTime pts = GST_BUFFER_PTS (buffer), duration = GST_BUFFER_DURATION (buffer), time;
  DerushFrameFeatures features;

  if (!state->negotiated)
    return GST_FLOW_NOT_NEGOTIATED;
  if (state->segment.format != GST_FORMAT_TIME) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("The film's frames carry no time.")), ("segment is not in time"));
    return GST_FLOW_ERROR;
  }
  if (!GST_CLOCK_TIME_IS_VALID (duration))
    duration = info->fps_n > 0 ? gst_util_uint64_scale (GST_SECOND, (guint64)info->fps_d, (guint64)info->fps_n) : 0;
  if (!GST_CLOCK_TIME_IS_VALID (pts)) {
    pts = GST_CLOCK_TIME_IS_VALID (state->next_pts) ? state->next_pts : state->segment.start;
    buffer = owned = gst_buffer_make_writable (g_steal_pointer (&owned));
    GST_BUFFER_PTS (buffer) = pts;
  }
  state->next_pts = pts + duration;
  if (!gst_segment_clip (&state->segment, GST_FORMAT_TIME, pts, pts + duration, &time, NULL))
    return GST_FLOW_OK;
  time = gst_segment_to_stream_time (&state->segment, GST_FORMAT_TIME, time);
  if (!GST_CLOCK_TIME_IS_VALID (time))
    return GST_FLOW_OK;

  if (!video_planes_measure (&state->planes, buffer, (double)time / GST_SECOND, state->meter, &features)) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("A frame of the film could not be read.")), (NULL));
    return GST_FLOW_ERROR;
  }
  ensure_keeper (self);
  still_keeper_push (state->keeper, &features, buffer);
  return state->settings.mode == MODE_WINDOW ? push_windows (self, FALSE) : GST_FLOW_OK;
}

static gboolean
set_caps (GstBestframe *self, GstCaps *caps)
{
  State *state = &self->state;
  GstVideoInfo info;

  if (!gst_video_info_from_caps (&info, caps))
    return FALSE;
  if (!video_planes_init (&state->planes, &info)) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("Frames of this kind cannot be measured.")),
                       ("%" GST_PTR_FORMAT, caps));
    return FALSE;
  }
  if (state->negotiated)
    derush_frame_meter_reset (state->meter);
  gst_caps_replace (&state->caps, caps);
  state->negotiated = TRUE;
  /* Later caps go out with the first frame that is chosen of theirs. */
  if (state->pushed_caps != NULL)
    return TRUE;
  gst_caps_replace (&state->pushed_caps, caps);
  return gst_pad_push_event (self->srcpad, gst_event_new_caps (caps));
}

static gboolean
gst_bestframe_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstBestframe *self = GST_BESTFRAME (parent);
  State *state = &self->state;

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_CAPS: {
    GstCaps *caps;
    gboolean ok;

    gst_event_parse_caps (event, &caps);
    ok = set_caps (self, caps);
    gst_event_unref (event);
    return ok;
  }
  case GST_EVENT_SEGMENT: {
    const GstSegment *segment;

    gst_event_parse_segment (event, &segment);
    if (state->segment.format != GST_FORMAT_UNDEFINED && !gst_segment_is_equal (segment, &state->segment))
      drain (self);
    gst_segment_copy_into (segment, &state->segment);
    break;
  }
  case GST_EVENT_GAP:
    /* There is nothing to say about time between chosen frames. */
    gst_event_unref (event);
    return TRUE;
  case GST_EVENT_FLUSH_STOP:
    state_forget_frames (self);
    state->n_pushed = 0;
    gst_segment_init (&state->segment, GST_FORMAT_UNDEFINED);
    break;
  case GST_EVENT_EOS:
    drain (self);
    break;
  default:
    break;
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
gst_bestframe_sink_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  switch (GST_QUERY_TYPE (query)) {
  case GST_QUERY_ALLOCATION:
    /* Frames are read where they are, whatever their layout. */
    gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
    return TRUE;
  case GST_QUERY_CAPS: {
    /* What goes out is what came in. */
    GstCaps *filter, *template = gst_pad_get_pad_template_caps (pad), *caps;

    gst_query_parse_caps (query, &filter);
    caps = gst_pad_peer_query_caps (GST_BESTFRAME (parent)->srcpad, template);
    gst_caps_unref (template);
    if (filter != NULL) {
      GstCaps *filtered = gst_caps_intersect_full (filter, caps, GST_CAPS_INTERSECT_FIRST);

      gst_caps_unref (caps);
      caps = filtered;
    }
    gst_query_set_caps_result (query, caps);
    gst_caps_unref (caps);
    return TRUE;
  }
  default:
    return gst_pad_query_default (pad, parent, query);
  }
}

static GstStateChangeReturn
gst_bestframe_change_state (GstElement *element, GstStateChange transition)
{
  GstStateChangeReturn ret = GST_ELEMENT_CLASS (gst_bestframe_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    state_reset (GST_BESTFRAME (element));
  return ret;
}

/* ── Object ─────────────────────────────────────────────────────────────── */

static void
gst_bestframe_set_property (GObject *object, guint property_id, const GValue *value, GParamSpec *pspec)
{
  GstBestframe *self = GST_BESTFRAME (object);

  GST_OBJECT_LOCK (self);
  switch (property_id) {
  case PROP_MODE:
    self->settings.mode = (Mode)g_value_get_enum (value);
    break;
  case PROP_COUNT:
    self->settings.count = g_value_get_uint (value);
    break;
  case PROP_INTERVAL:
    self->settings.interval = g_value_get_uint64 (value);
    break;
  case PROP_MIN_DISTANCE:
    self->settings.min_distance = g_value_get_uint64 (value);
    break;
  case PROP_MIN_SCORE:
    self->settings.min_score = g_value_get_double (value);
    break;
  case PROP_POST_MESSAGES:
    self->settings.post_messages = g_value_get_boolean (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_bestframe_get_property (GObject *object, guint property_id, GValue *value, GParamSpec *pspec)
{
  GstBestframe *self = GST_BESTFRAME (object);

  GST_OBJECT_LOCK (self);
  switch (property_id) {
  case PROP_MODE:
    g_value_set_enum (value, (gint)self->settings.mode);
    break;
  case PROP_COUNT:
    g_value_set_uint (value, self->settings.count);
    break;
  case PROP_INTERVAL:
    g_value_set_uint64 (value, self->settings.interval);
    break;
  case PROP_MIN_DISTANCE:
    g_value_set_uint64 (value, self->settings.min_distance);
    break;
  case PROP_MIN_SCORE:
    g_value_set_double (value, self->settings.min_score);
    break;
  case PROP_POST_MESSAGES:
    g_value_set_boolean (value, self->settings.post_messages);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_bestframe_finalize (GObject *object)
{
  GstBestframe *self = GST_BESTFRAME (object);

  state_reset (self);
  derush_frame_meter_free (self->state.meter);
  G_OBJECT_CLASS (gst_bestframe_parent_class)->finalize (object);
}

static void
gst_bestframe_class_init (GstBestframeClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  const GParamFlags ready = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  GST_DEBUG_CATEGORY_INIT (gst_bestframe_debug, "bestframe", 0, "best stills");

  object_class->set_property = gst_bestframe_set_property;
  object_class->get_property = gst_bestframe_get_property;
  object_class->finalize = gst_bestframe_finalize;

  /**
   * GstBestframe:mode:
   *
   * Whether to choose from the whole stream (`best`) or from each interval (`window`).
   */
  g_object_class_install_property (object_class, PROP_MODE,
                                   g_param_spec_enum ("mode", _ ("Mode"), _ ("What to choose the best frames from"),
                                                      TYPE_MODE, DEFAULT_MODE, ready));
  /**
   * GstBestframe:count:
   *
   * How many frames to choose in mode `best`, 1 to 100. Fewer where the stream does not have so many.
   */
  g_object_class_install_property (
      object_class, PROP_COUNT,
      g_param_spec_uint ("count", _ ("Count"), _ ("Frames to choose in mode `best`"), 1, 100, DEFAULT_COUNT, ready));
  /**
   * GstBestframe:interval:
   *
   * In mode `window`, the time in nanoseconds of which the best frame is pushed.
   */
  g_object_class_install_property (object_class, PROP_INTERVAL,
                                   g_param_spec_uint64 ("interval", _ ("Interval"),
                                                        _ ("Length of a window in mode `window` (nanoseconds)"),
                                                        GST_MSECOND, G_MAXINT64, DEFAULT_INTERVAL, ready));
  /**
   * GstBestframe:min-distance:
   *
   * In mode `best`, the wanted time in nanoseconds between two frames; less where the stream has no other frames. 0 is
   * half of what an even distribution would have.
   */
  g_object_class_install_property (
      object_class, PROP_MIN_DISTANCE,
      g_param_spec_uint64 ("min-distance", _ ("Minimum distance"),
                           _ ("Wanted time between two frames in mode `best` (nanoseconds); 0 chooses by the duration"),
                           0, G_MAXINT64, DEFAULT_MIN_DISTANCE, ready));
  /**
   * GstBestframe:min-score:
   *
   * Frames of a lower score, 0 to 1, are not pushed, unless none at all would be.
   */
  g_object_class_install_property (
      object_class, PROP_MIN_SCORE,
      g_param_spec_double ("min-score", _ ("Minimum score"),
                           _ ("Push no frame of a lower score (0 to 1) unless it is the only one"), 0, 1,
                           DEFAULT_MIN_SCORE, ready));
  /**
   * GstBestframe:post-messages:
   *
   * Whether to post a message with each chosen frame.
   */
  g_object_class_install_property (object_class, PROP_POST_MESSAGES,
                                   g_param_spec_boolean ("post-messages", _ ("Post messages"),
                                                         _ ("Post a `bestframe` message with each chosen frame"),
                                                         DEFAULT_POST_MESSAGES, ready));

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Best frames", "Filter/Analyzer/Video",
                                         "Chooses the best stills of a film", "Derush");
  gst_type_mark_as_plugin_api (TYPE_MODE, 0);
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_bestframe_change_state);
}

static void
gst_bestframe_init (GstBestframe *self)
{
  self->settings = (Settings){
      DEFAULT_MODE, DEFAULT_COUNT, DEFAULT_INTERVAL, DEFAULT_MIN_DISTANCE, DEFAULT_MIN_SCORE, DEFAULT_POST_MESSAGES,
  };
  self->state.meter = derush_frame_meter_new ();
  state_reset (self);

  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_bestframe_chain));
  gst_pad_set_event_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_bestframe_sink_event));
  gst_pad_set_query_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_bestframe_sink_query));
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);
  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
