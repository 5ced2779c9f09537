/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-shortcrop
 * @title: shortcrop
 * @short_description: crops to another aspect with a camera that follows the subject
 *
 * Makes a vertical (or any other) film of a wide one, or a wide one of a vertical one: crops to
 * #GstShortCrop:aspect-ratio and scales in one pass, bicubic, with positions between pixels. The crop follows what moves
 * and what differs from the background, stands still when that holds the subject or when nothing stands out, and jumps
 * only where a shot begins. It finds shots by itself, and hears of them from an upstream `shotdetect` by the serialised
 * event `derush-shot`. Subjects that others have found come as #GstVideoRegionOfInterestMeta (a parameter structure
 * with a double `confidence` weighs one).
 *
 * Caps are negotiated as by a scaler: downstream may ask for any size, which then also decides the aspect; by default
 * the output has even sizes, square pixels, and is not larger than the crop. The format does not change. Fields of
 * interlaced video are kept apart.
 *
 * Region-of-interest metas are moved into the cropped picture, those outside of it are dropped; captions and time codes
 * are kept, navigation events find their way back. The film should be upright: `videoflip video-direction=auto` first.
 *
 * A path from #GstShortCrop:path takes the place of the camera, and the path of a run can be written to
 * #GstShortCrop:path-location. Both are JSON in source pixels and seconds of stream time of the source:
 * `{"version":1,"source":{"width":1280,"height":720},"keyframes":[{"time":0,"x":437.5,"y":0,"width":405,"height":720}]}`,
 * linear in between, with two key frames at one time where a shot changes.
 *
 * ## Message
 *
 * With #GstShortCrop:post-messages an element message `shortcrop` is posted for the first frame, the first of every
 * shot and every #GstShortCrop:interval:
 *
 * * #GstClockTime `timestamp`, `stream-time`, `running-time`, `duration`: of the frame
 * * #gdouble `x`, `y`, `width`, `height`: what is cropped of it, in source pixels
 * * #gboolean `new-shot`: whether a shot begins with it
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 -m filesrc location=video.mp4 ! decodebin3 ! videoconvert ! shortcrop aspect-ratio=9/16 path-location=crop.json ! fakesink
 * ]|
 * ## A vertical timeline of GStreamer Editing Services
 * ```
 * ges-launch-1.0 --video-caps video/x-raw,width=1080,height=1920 +clip film.mp4 set-width 1080 set-height 1920 set-posx 0 set-posy 0 +effect shortcrop
 * ```
 * GES gives a clip the size that its source has, and would squash what was cropped into that: the clip needs its size
 * said, as here.
 */

#include "config.h"

#include "gstshortcrop.h"

#include "analysis/analysis.h"
#include "camerafile.h"
#include "camerarecord.h"
#include "cropscale.h"
#include "shortcropcaps.h"
#include "shortcropframes.h"
#include "shortcropsettings.h"

#include <glib/gi18n-lib.h>
#include <gst/video/navigation.h>
#include <math.h>
#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_short_crop_debug);
#define GST_CAT_DEFAULT gst_short_crop_debug

/* However long the look-ahead, no more frames than that are held. */
#define MOST_FRAMES 300
#define MAX_BOXES 8

typedef struct {
  GstBuffer *buffer;
  double time;
  gboolean watched; /* the camera has seen it */
} Held;

/* Touched by the streaming thread, or while no data flows. */
typedef struct {
  GQueue held; /* of Held, the oldest first */
  DerushFrameMeter *meter;
  DerushCamera *camera;
  CropScaler *scaler;
  GArray *path; /* of DerushCameraKey, from the file */
  guint path_width, path_height;
  GstVideoInfo in_info, out_info;
  DerushCameraKey key; /* of the frame at hand; written under the object lock */
  CameraRecord *record;
  double last_time;
  GstClockTime next_message;
  gboolean started;
} State;

struct _GstShortCrop {
  GstVideoFilter parent;
  ShortCropSettings settings; /* object lock */
  State state;
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (CROP_SCALE_FORMATS)));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (CROP_SCALE_FORMATS)));

G_DEFINE_TYPE (GstShortCrop, gst_short_crop, GST_TYPE_VIDEO_FILTER)
GST_ELEMENT_REGISTER_DEFINE (shortcrop, "shortcrop", GST_RANK_NONE, GST_TYPE_SHORT_CROP)

#define parent_trans_class GST_BASE_TRANSFORM_CLASS (gst_short_crop_parent_class)

static ShortCropSettings
get_settings (GstShortCrop *self)
{
  ShortCropSettings settings;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  GST_OBJECT_UNLOCK (self);
  /* These belong to others. */
  settings.path = settings.path_location = NULL;
  return settings;
}

/* The aspect that the output has decides, so that nothing is distorted. */
static void
fill_options (GstShortCrop *self, const ShortCropSettings *settings, DerushCameraOptions *options)
{
  const State *state = &self->state;

  derush_camera_options_init (options);
  options->aspect = (double)state->out_info.width / state->out_info.height;
  options->pixel_aspect = (double)state->in_info.par_n / state->in_info.par_d;
  options->zoom = settings->zoom;
  options->rest_x = settings->x;
  options->rest_y = settings->y;
  options->smoothing = (double)settings->smoothing / GST_SECOND;
  options->max_speed = settings->max_speed;
  options->dead_zone = settings->dead_zone;
}

/* ── The path that was taken ────────────────────────────────────────────── */

static void
write_record (GstShortCrop *self)
{
  State *state = &self->state;
  g_autofree char *location = NULL;
  g_autoptr (GError) failure = NULL;

  GST_OBJECT_LOCK (self);
  location = g_strdup (self->settings.path_location);
  GST_OBJECT_UNLOCK (self);
  if (!location)
    return;
  if (!camera_record_write (state->record, location, state->in_info.width, state->in_info.height, &failure))
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE, (_ ("Could not write the crop path.")),
                       ("%s: %s", location, failure->message));
}

/* ── What to crop ───────────────────────────────────────────────────────── */

static void
keep_inside (DerushCameraKey *key, double source_width, double source_height, double aspect)
{
  double x = key->x + key->width / 2, y = key->y + key->height / 2;

  key->width = MIN (MIN (key->width, key->height * aspect), MIN (source_width, source_height * aspect));
  key->height = key->width / aspect;
  key->x = CLAMP (x - key->width / 2, 0, MAX (0, source_width - key->width));
  key->y = CLAMP (y - key->height / 2, 0, MAX (0, source_height - key->height));
}

static void
find_key (GstShortCrop *self, const Held *held, const ShortCropSettings *settings, gboolean *new_shot)
{
  State *state = &self->state;
  double width = state->in_info.width, height = state->in_info.height;
  DerushCameraOptions options;
  DerushCameraKey key;

  *new_shot = !state->started;
  fill_options (self, settings, &options);
  if (state->path) {
    double scale_x = state->path_width > 0 ? width / state->path_width : 1;
    double scale_y = state->path_height > 0 ? height / state->path_height : 1;

    derush_camera_path_evaluate ((DerushCameraKey *)state->path->data, state->path->len, held->time, &key);
    key = (DerushCameraKey){held->time, key.x * scale_x, key.y * scale_y, key.width * scale_x, key.height * scale_y};
    for (guint i = 1; state->started && i < state->path->len; i++) {
      double time = g_array_index (state->path, DerushCameraKey, i).time;

      if (time > held->time)
        break;
      if (time > state->last_time && time == g_array_index (state->path, DerushCameraKey, i - 1).time)
        *new_shot = TRUE;
    }
  } else if (!held->watched || !derush_camera_pop (state->camera, &key, new_shot)) {
    double w, h;

    derush_camera_options_get_size (&options, width, height, &w, &h);
    key = (DerushCameraKey){held->time, settings->x * width - w / 2, settings->y * height - h / 2, w, h};
  }
  keep_inside (&key, width, height, options.aspect / options.pixel_aspect);
  GST_OBJECT_LOCK (self);
  state->key = key;
  GST_OBJECT_UNLOCK (self);
  state->last_time = held->time;
  state->started = TRUE;
}

static void
post_key (GstShortCrop *self, GstBuffer *buffer, const ShortCropSettings *settings, gboolean new_shot)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  const DerushCameraKey *key = &self->state.key;
  GstClockTime timestamp = GST_BUFFER_PTS (buffer), stream_time, running_time;

  if (!settings->post_messages || !GST_CLOCK_TIME_IS_VALID (timestamp))
    return;
  stream_time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, timestamp);
  running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, timestamp);
  if (!new_shot && GST_CLOCK_TIME_IS_VALID (self->state.next_message) && GST_CLOCK_TIME_IS_VALID (running_time) &&
      running_time < self->state.next_message)
    return;
  self->state.next_message = GST_CLOCK_TIME_IS_VALID (running_time) ? running_time + settings->interval : 0;
  gst_element_post_message (
      GST_ELEMENT (self),
      gst_message_new_element (
          GST_OBJECT (self),
          gst_structure_new ("shortcrop", "timestamp", GST_TYPE_CLOCK_TIME, timestamp, "stream-time",
                             GST_TYPE_CLOCK_TIME, stream_time, "running-time", GST_TYPE_CLOCK_TIME, running_time,
                             "duration", GST_TYPE_CLOCK_TIME, GST_BUFFER_DURATION (buffer), "x", G_TYPE_DOUBLE, key->x,
                             "y", G_TYPE_DOUBLE, key->y, "width", G_TYPE_DOUBLE, key->width, "height", G_TYPE_DOUBLE,
                             key->height, "new-shot", G_TYPE_BOOLEAN, new_shot, NULL)));
}

/* ── Looking at frames ──────────────────────────────────────────────────── */

static gboolean
watch (GstShortCrop *self, GstBuffer *buffer, double time, const ShortCropSettings *settings)
{
  State *state = &self->state;
  DerushCameraBox boxes[MAX_BOXES];
  DerushFrameFeatures features;
  DerushCameraOptions options;
  DerushPlanes planes;
  GstVideoFrame frame;
  gboolean measured;

  if (!gst_video_frame_map (&frame, &state->in_info, buffer, GST_MAP_READ | GST_VIDEO_FRAME_MAP_FLAG_NO_REF))
    return FALSE;
  short_crop_borrow_planes (&frame, &planes);
  measured = derush_frame_meter_push (state->meter, &planes, time, &features);
  gst_video_frame_unmap (&frame);
  if (!measured)
    return FALSE;
  fill_options (self, settings, &options);
  derush_camera_set_options (state->camera, &options);
  derush_camera_push (state->camera, &features, boxes,
                      short_crop_read_boxes (buffer, &state->in_info, boxes, MAX_BOXES));
  return TRUE;
}

static double
time_of (GstShortCrop *self, GstBuffer *buffer)
{
  State *state = &self->state;
  const Held *newest = g_queue_peek_tail (&state->held);
  guint64 time;
  int sign = 0;

  if (GST_BUFFER_PTS_IS_VALID (buffer))
    sign = gst_segment_to_stream_time_full (&GST_BASE_TRANSFORM (self)->segment, GST_FORMAT_TIME,
                                            GST_BUFFER_PTS (buffer), &time);
  if (sign != 0)
    return sign * ((double)time / GST_SECOND);
  /* A stream that has no times still goes on. */
  return newest ? newest->time + 0.04 : state->started ? state->last_time + 0.04 : 0;
}

static void
hold (GstShortCrop *self, GstBuffer *buffer, const ShortCropSettings *settings)
{
  Held *held = g_new0 (Held, 1);

  held->buffer = buffer;
  held->time = time_of (self, buffer);
  if (!self->state.path && settings->mode == SHORT_CROP_AUTO)
    held->watched = watch (self, buffer, held->time, settings);
  g_queue_push_tail (&self->state.held, held);
}

static void
held_free (gpointer data)
{
  Held *held = data;

  gst_clear_buffer (&held->buffer);
  g_free (held);
}

static void
forget_frames (GstShortCrop *self)
{
  State *state = &self->state;

  g_queue_clear_full (&state->held, held_free);
  g_queue_init (&state->held);
  if (state->meter)
    derush_frame_meter_reset (state->meter);
  if (state->camera)
    derush_camera_reset (state->camera);
  state->started = FALSE;
  state->next_message = GST_CLOCK_TIME_NONE;
}

/* ── Data ───────────────────────────────────────────────────────────────── */

/* The oldest frame, cropped. */
static GstFlowReturn
produce (GstShortCrop *self, GstBuffer **out)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM (self);
  Held *held = g_queue_pop_head (&self->state.held);
  GstBuffer *buffer = g_steal_pointer (&held->buffer);
  GstClockTime duration = GST_BUFFER_DURATION (buffer);
  ShortCropSettings settings;
  gboolean new_shot;

  if (held->time >= 0)
    gst_object_sync_values (GST_OBJECT (self), (GstClockTime)(held->time * GST_SECOND + 0.5));
  settings = get_settings (self);
  find_key (self, held, &settings, &new_shot);
  post_key (self, buffer, &settings, new_shot);
  camera_record_add (self->state.record, &self->state.key, new_shot,
                     GST_CLOCK_TIME_IS_VALID (duration) ? (double)duration / GST_SECOND : 0);
  held_free (held);
  trans->queued_buf = buffer;
  return parent_trans_class->generate_output (trans, out);
}

static gboolean
is_due (GstShortCrop *self, const ShortCropSettings *settings)
{
  const Held *oldest = g_queue_peek_head (&self->state.held), *newest = g_queue_peek_tail (&self->state.held);

  if (!oldest)
    return FALSE;
  return !oldest->watched || !GST_BUFFER_PTS_IS_VALID (oldest->buffer) || GST_BASE_TRANSFORM (self)->segment.rate < 0 ||
         self->state.held.length >= MOST_FRAMES || (newest->time - oldest->time) * GST_SECOND >= settings->lookahead;
}

static GstFlowReturn
gst_short_crop_generate_output (GstBaseTransform *trans, GstBuffer **out)
{
  GstShortCrop *self = GST_SHORT_CROP (trans);
  ShortCropSettings settings;

  *out = NULL;
  if (gst_base_transform_is_passthrough (trans))
    return parent_trans_class->generate_output (trans, out);
  settings = get_settings (self);
  if (trans->queued_buf)
    hold (self, g_steal_pointer (&trans->queued_buf), &settings);
  return is_due (self, &settings) ? produce (self, out) : GST_FLOW_OK;
}

static GstFlowReturn
push_held_frames (GstShortCrop *self)
{
  GstBaseTransform *trans = GST_BASE_TRANSFORM (self);
  GstFlowReturn flow = GST_FLOW_OK;

  while (flow == GST_FLOW_OK && self->state.held.length > 0) {
    GstBuffer *out = NULL;

    flow = produce (self, &out);
    if (flow == GST_FLOW_OK && out)
      flow = gst_pad_push (trans->srcpad, out);
    else if (out)
      gst_buffer_unref (out);
  }
  return flow;
}

static GstFlowReturn
gst_short_crop_transform_frame (GstVideoFilter *filter, GstVideoFrame *in, GstVideoFrame *out)
{
  State *state = &GST_SHORT_CROP (filter)->state;

  crop_scaler_run (state->scaler, in, out, state->key.x, state->key.y, state->key.width, state->key.height);
  return GST_FLOW_OK;
}

/* ── Metas ──────────────────────────────────────────────────────────────── */

static gboolean
gst_short_crop_transform_meta (GstBaseTransform *trans, GstBuffer *out, GstMeta *meta, GstBuffer *in)
{
  const State *state = &GST_SHORT_CROP (trans)->state;

  if (meta->info->api == GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE) {
    short_crop_copy_region (out, (const GstVideoRegionOfInterestMeta *)meta, &state->key, &state->out_info);
    return FALSE;
  }
  if (meta->info->api == GST_VIDEO_CROP_META_API_TYPE)
    return FALSE;
  return parent_trans_class->transform_meta (trans, out, meta, in);
}

/* ── Caps, events, queries ──────────────────────────────────────────────── */

static GstCaps *
gst_short_crop_transform_caps (GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
  return short_crop_transform_caps (direction, caps, filter);
}

static GstCaps *
gst_short_crop_fixate_caps (GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps, GstCaps *others)
{
  ShortCropSettings settings = get_settings (GST_SHORT_CROP (trans));

  return short_crop_fixate_caps (direction, caps, others, (double)settings.aspect_n / settings.aspect_d);
}

/* The whole picture as it is: nothing to do, as long as nobody zooms or wants to have it in writing. */
static gboolean
can_pass_through (GstShortCrop *self)
{
  const GstVideoInfo *in = &self->state.in_info, *out = &self->state.out_info;
  gboolean plain;

  GST_OBJECT_LOCK (self);
  plain = self->settings.zoom == 1 && !self->settings.path_location;
  GST_OBJECT_UNLOCK (self);
  return plain && in->width == out->width && in->height == out->height && in->par_n == in->par_d && !self->state.path &&
         !gst_object_has_active_control_bindings (GST_OBJECT (self));
}

static gboolean
gst_short_crop_set_info (GstVideoFilter *filter, GstCaps *in_caps, GstVideoInfo *in_info, GstCaps *out_caps,
                         GstVideoInfo *out_info)
{
  GstShortCrop *self = GST_SHORT_CROP (filter);
  State *state = &self->state;
  ShortCropSettings settings = get_settings (self);
  DerushCameraOptions options;
  gboolean resized = state->in_info.width != in_info->width || state->in_info.height != in_info->height ||
                     state->out_info.width != out_info->width || state->out_info.height != out_info->height ||
                     state->in_info.par_n != in_info->par_n || state->in_info.par_d != in_info->par_d;

  GST_OBJECT_LOCK (self);
  state->in_info = *in_info;
  state->out_info = *out_info;
  state->key = (DerushCameraKey){0, 0, 0, in_info->width, in_info->height};
  GST_OBJECT_UNLOCK (self);
  if (resized || !state->camera) {
    /* Positions are in source pixels: those of another size say nothing. */
    camera_record_clear (state->record);
    fill_options (self, &settings, &options);
    g_clear_pointer (&state->camera, derush_camera_free);
    state->camera = derush_camera_new (in_info->width, in_info->height, &options);
    derush_frame_meter_reset (state->meter);
    state->started = FALSE;
  }
  gst_base_transform_set_passthrough (GST_BASE_TRANSFORM (self), can_pass_through (self));
  return TRUE;
}

static void
hear_of_shot (GstShortCrop *self, const GstStructure *structure)
{
  GstClockTime time;

  if (self->state.camera && gst_structure_get_clock_time (structure, "stream-time", &time) &&
      GST_CLOCK_TIME_IS_VALID (time))
    derush_camera_cut (self->state.camera, (double)time / GST_SECOND);
}

static gboolean
gst_short_crop_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstShortCrop *self = GST_SHORT_CROP (trans);
  const GstSegment *segment;

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_EOS:
    push_held_frames (self);
    write_record (self);
    break;
  case GST_EVENT_FLUSH_STOP:
    forget_frames (self);
    camera_record_clear (self->state.record);
    break;
  case GST_EVENT_STREAM_START:
  case GST_EVENT_CAPS:
  case GST_EVENT_GAP:
    push_held_frames (self);
    break;
  case GST_EVENT_SEGMENT:
    gst_event_parse_segment (event, &segment);
    push_held_frames (self);
    /* The same film goes on only if nothing else begins. */
    if (!gst_segment_is_equal (segment, &trans->segment))
      forget_frames (self);
    break;
  case GST_EVENT_CUSTOM_DOWNSTREAM:
    if (gst_event_has_name (event, "derush-shot"))
      hear_of_shot (self, gst_event_get_structure (event));
    break;
  default:
    break;
  }
  return parent_trans_class->sink_event (trans, event);
}

static gboolean
gst_short_crop_src_event (GstBaseTransform *trans, GstEvent *event)
{
  GstShortCrop *self = GST_SHORT_CROP (trans);
  double x, y;

  if (GST_EVENT_TYPE (event) == GST_EVENT_NAVIGATION && !gst_base_transform_is_passthrough (trans) &&
      gst_navigation_event_get_coordinates (event, &x, &y)) {
    GST_OBJECT_LOCK (self);
    if (self->state.out_info.width > 0 && self->state.out_info.height > 0) {
      x = self->state.key.x + x * self->state.key.width / self->state.out_info.width;
      y = self->state.key.y + y * self->state.key.height / self->state.out_info.height;
    }
    GST_OBJECT_UNLOCK (self);
    event = gst_event_make_writable (event);
    gst_navigation_event_set_coordinates (event, x, y);
  }
  return parent_trans_class->src_event (trans, event);
}

static gboolean
gst_short_crop_query (GstBaseTransform *trans, GstPadDirection direction, GstQuery *query)
{
  GstShortCrop *self = GST_SHORT_CROP (trans);
  GstClockTime least, most;
  gboolean live;

  if (!parent_trans_class->query (trans, direction, query))
    return FALSE;
  if (GST_QUERY_TYPE (query) == GST_QUERY_LATENCY && direction == GST_PAD_SRC &&
      !gst_base_transform_is_passthrough (trans)) {
    ShortCropSettings settings = get_settings (self);

    if (settings.mode == SHORT_CROP_AUTO && !self->state.path) {
      gst_query_parse_latency (query, &live, &least, &most);
      least += settings.lookahead;
      if (GST_CLOCK_TIME_IS_VALID (most))
        most += settings.lookahead;
      gst_query_set_latency (query, live, least, most);
    }
  }
  return TRUE;
}

static gboolean
gst_short_crop_start (GstBaseTransform *trans)
{
  GstShortCrop *self = GST_SHORT_CROP (trans);
  State *state = &self->state;
  g_autofree char *path = NULL;
  g_autoptr (GError) failure = NULL;

  GST_OBJECT_LOCK (self);
  path = g_strdup (self->settings.path);
  GST_OBJECT_UNLOCK (self);
  if (path) {
    state->path = camera_file_read (path, &state->path_width, &state->path_height, &failure);
    if (!state->path) {
      GST_ELEMENT_ERROR (self, RESOURCE, OPEN_READ, (_ ("Could not read the crop path: %s"), failure->message),
                         ("%s", path));
      return FALSE;
    }
  }
  gst_video_info_init (&state->in_info);
  gst_video_info_init (&state->out_info);
  state->meter = derush_frame_meter_new ();
  state->scaler = crop_scaler_new ();
  state->record = camera_record_new ();
  state->started = FALSE;
  state->next_message = GST_CLOCK_TIME_NONE;
  return TRUE;
}

static gboolean
gst_short_crop_stop (GstBaseTransform *trans)
{
  GstShortCrop *self = GST_SHORT_CROP (trans);
  State *state = &self->state;

  g_queue_clear_full (&state->held, held_free);
  g_queue_init (&state->held);
  g_clear_pointer (&state->meter, derush_frame_meter_free);
  g_clear_pointer (&state->camera, derush_camera_free);
  g_clear_pointer (&state->scaler, crop_scaler_free);
  g_clear_pointer (&state->path, g_array_unref);
  g_clear_pointer (&state->record, camera_record_free);
  return TRUE;
}

/* ── Properties ─────────────────────────────────────────────────────────── */

/* What follows from a new value, without the lock. */
static void
apply_property (GstShortCrop *self, guint id)
{
  switch (id) {
  case SHORT_CROP_PROP_ASPECT_RATIO:
    gst_base_transform_reconfigure_src (GST_BASE_TRANSFORM (self));
    break;
  case SHORT_CROP_PROP_ZOOM:
    /* A picture that passed through as a whole no longer does. */
    if (self->settings.zoom != 1)
      gst_base_transform_set_passthrough (GST_BASE_TRANSFORM (self), FALSE);
    break;
  case SHORT_CROP_PROP_LOOKAHEAD:
    gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
    break;
  default:
    break;
  }
}

static void
gst_short_crop_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstShortCrop *self = GST_SHORT_CROP (object);
  gboolean known;

  GST_OBJECT_LOCK (self);
  known = short_crop_settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (known)
    apply_property (self, id);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_short_crop_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstShortCrop *self = GST_SHORT_CROP (object);
  gboolean known;

  GST_OBJECT_LOCK (self);
  known = short_crop_settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_short_crop_finalize (GObject *object)
{
  GstShortCrop *self = GST_SHORT_CROP (object);

  short_crop_settings_clear (&self->settings);
  G_OBJECT_CLASS (gst_short_crop_parent_class)->finalize (object);
}

static void
gst_short_crop_class_init (GstShortCropClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans_class = GST_BASE_TRANSFORM_CLASS (klass);
  GstVideoFilterClass *filter_class = GST_VIDEO_FILTER_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_short_crop_debug, "shortcrop", 0, "crop that follows its subject");
  object_class->set_property = gst_short_crop_set_property;
  object_class->get_property = gst_short_crop_get_property;
  object_class->finalize = gst_short_crop_finalize;
  short_crop_settings_install (object_class);
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Subject-following crop", "Filter/Effect/Video/Scaler",
                                         "Crops to another aspect ratio and follows the subject", "Derush");
  gst_type_mark_as_plugin_api (GST_TYPE_SHORT_CROP_MODE, 0);

  trans_class->start = GST_DEBUG_FUNCPTR (gst_short_crop_start);
  trans_class->stop = GST_DEBUG_FUNCPTR (gst_short_crop_stop);
  trans_class->transform_caps = GST_DEBUG_FUNCPTR (gst_short_crop_transform_caps);
  trans_class->fixate_caps = GST_DEBUG_FUNCPTR (gst_short_crop_fixate_caps);
  trans_class->sink_event = GST_DEBUG_FUNCPTR (gst_short_crop_sink_event);
  trans_class->src_event = GST_DEBUG_FUNCPTR (gst_short_crop_src_event);
  trans_class->query = GST_DEBUG_FUNCPTR (gst_short_crop_query);
  trans_class->generate_output = GST_DEBUG_FUNCPTR (gst_short_crop_generate_output);
  trans_class->transform_meta = GST_DEBUG_FUNCPTR (gst_short_crop_transform_meta);
  trans_class->passthrough_on_same_caps = FALSE;
  trans_class->transform_ip_on_passthrough = FALSE;
  filter_class->set_info = GST_DEBUG_FUNCPTR (gst_short_crop_set_info);
  filter_class->transform_frame = GST_DEBUG_FUNCPTR (gst_short_crop_transform_frame);
}

static void
gst_short_crop_init (GstShortCrop *self)
{
  short_crop_settings_init (&self->settings);
  g_queue_init (&self->state.held);
}
