/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp4edits-private.h"
#include "pipeline-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <gst/video/video.h>
#include <gst/pbutils/missing-plugins.h>

#define POLL_INTERVAL (50 * GST_MSECOND)
#define DEFAULT_STALL_TIMEOUT 25.0
/* “Internal data stream error” is often followed by the message that says why. */
#define ERROR_GRACE (200 * G_TIME_SPAN_MILLISECOND)
/* After an error in the middle of a film: how long the elements may take to pass the end on by themselves. */
#define BREAK_GRACE (2 * G_TIME_SPAN_SECOND)
#define ALL_MESSAGES                                                                                                   \
  (GST_MESSAGE_ERROR | GST_MESSAGE_WARNING | GST_MESSAGE_EOS | GST_MESSAGE_ELEMENT | GST_MESSAGE_TAG |                 \
   GST_MESSAGE_TOC | GST_MESSAGE_LATENCY | GST_MESSAGE_ASYNC_DONE)

static void
counter_free (Counter *counter)
{
  g_free (counter->element);
  g_free (counter);
}

static const char *
display (DerushMediaPipeline *self)
{
  return self->job->source.display ? self->job->source.display : _ ("the film");
}

/* ── Building ───────────────────────────────────────────────────────────── */

/* Exactly the chosen streams are decoded: the others are exposed as they are, which costs nothing and links nowhere. */
static gboolean
autoplug_continue (GstElement *bin, GstPad *pad, GstCaps *caps, DerushMediaPipeline *self)
{
  g_autofree char *id = gst_pad_get_stream_id (pad);
  const char *chosen[] = {self->video_id, self->audio_id};
  gsize length = id ? strlen (id) : 0;

  if (!id)
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (chosen); i++)
    if (chosen[i] && g_str_has_prefix (chosen[i], id) && strchr ("/:", chosen[i][length]))
      return TRUE;
  return FALSE;
}

/* One thread costs about a tenth less CPU than several, and every slot has another film to decode; only pictures that one
 * thread cannot keep up with get more. */
static void
deep_element_added (GstBin *bin, GstBin *sub_bin, GstElement *element, DerushMediaPipeline *self)
{
  GstElementFactory *factory = gst_element_get_factory (element);

  if (factory && g_str_has_prefix (GST_OBJECT_NAME (factory), "avdec_") &&
      g_object_class_find_property (G_OBJECT_GET_CLASS (element), "max-threads"))
    g_object_set (element, "max-threads", self->decoder_threads, NULL);
  if (factory && gst_element_factory_list_is_type (factory, GST_ELEMENT_FACTORY_TYPE_DECODER |
                                                                GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO))
    derush_packets_watch (self, element);
  if (GST_IS_VIDEO_DECODER (element))
    derush_track_show_all (self, element);
  derush_media_name_colours (element);
}

static void
set_up_decoders (DerushMediaPipeline *self)
{
  g_autoptr (GstIterator) elements = gst_bin_iterate_recurse (GST_BIN (self->pipeline));
  g_auto (GValue) item = G_VALUE_INIT;

  while (gst_iterator_next (elements, &item) == GST_ITERATOR_OK) {
    GstElement *element = g_value_get_object (&item);
    GstElementFactory *factory = gst_element_get_factory (element);

    if (self->select_streams && factory && strcmp (GST_OBJECT_NAME (factory), "decodebin") == 0)
      g_signal_connect (element, "autoplug-continue", G_CALLBACK (autoplug_continue), self);
    g_value_reset (&item);
  }
  g_signal_connect (self->pipeline, "deep-element-added", G_CALLBACK (deep_element_added), self);
}

static gboolean
put_source (DerushMediaPipeline *self, const char *name, GError **error)
{
  g_autoptr (GstElement) placeholder = gst_bin_get_by_name (GST_BIN (self->pipeline), name);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (placeholder, "src");
  g_autoptr (GstPad) peer = gst_pad_get_peer (pad);
  DerushMp4Edits edits;

  if (!derush_media_job_require_source (self->job, error))
    return FALSE;
  gst_bin_remove (GST_BIN (self->pipeline), placeholder);
  self->source = derush_fd_source_new (name, self->job->source.fd);
  gst_bin_add (GST_BIN (self->pipeline), self->source);
  if (derush_mp4_edits_read (self->job->source.fd, &edits)) {
    derush_fd_source_set_overlay (self->source, edits.offset, edits.bytes, edits.length);
    self->edit_shift = edits.shift;
  }
  if (peer) {
    g_autoptr (GstPad) ours = gst_element_get_static_pad (self->source, "src");

    if (gst_pad_link (ours, peer) != GST_PAD_LINK_OK) {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The source of the pipeline cannot be linked"));
      return FALSE;
    }
  }
  return TRUE;
}

static DerushMediaPipeline *
pipeline_new (DerushMediaJob *job, DerushMediaInfo *info, DerushTemplate *pipeline_template, gboolean fed,
              GError **error)
{
  g_autoptr (DerushMediaPipeline) self = g_new0 (DerushMediaPipeline, 1);
  g_auto (GStrv) holds = NULL;
  const char *input = derush_template_get_input_element (pipeline_template);

  g_mutex_init (&self->lock);
  self->job = job;
  self->tracks = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_track_free);
  self->counters = g_ptr_array_new_with_free_func ((GDestroyNotify)counter_free);
  self->missing = g_ptr_array_new_with_free_func (g_free);
  self->debug = g_string_new (NULL);
  self->clip_end = -1;
  self->progress_to = 1;
  self->stall_timeout = DEFAULT_STALL_TIMEOUT;
  self->decoder_threads = 1;
  self->last_key = -1;
  self->fed = fed;
  if (info) {
    if (!info->video_id)
      derush_template_drop_branch (pipeline_template, "video");
    if (!info->audio_id)
      derush_template_drop_branch (pipeline_template, "audio");
    self->select_streams = !(info->video_id && !*info->video_id) && !(info->audio_id && !*info->audio_id);
    self->video_id = g_strdup (info->video_id);
    self->audio_id = g_strdup (info->audio_id);
    self->duration = info->duration;
    self->start = info->start;
    /* mpegpsdemux says that it can seek, and then loses most of the pictures. */
    self->through =
        !info->seekable || g_str_equal (derush_json_get_string (info->object, "container", ""), "video/mpeg");
    if ((gint64)info->coded_width * info->coded_height > 2560 * 1440)
      self->decoder_threads = 4;
  }
  self->pipeline = derush_template_build (pipeline_template, error);
  if (!self->pipeline)
    return NULL;
  self->bus = gst_pipeline_get_bus (GST_PIPELINE (self->pipeline));
  holds = derush_template_get_holds (pipeline_template);
  if (fed) {
    /* What comes before the clip is dropped, and times are those of the film already. */
    self->through = TRUE;
    self->start = 0;
  }
  if (input && !(fed ? derush_feeds_put (self, input, holds, error) : put_source (self, input, error)))
    return NULL;
  set_up_decoders (self);
  for (guint i = 0; holds && holds[i]; i++)
    derush_track_add (self, holds[i]);
  return g_steal_pointer (&self);
}

DerushMediaPipeline *
derush_media_pipeline_new (DerushMediaJob *job, DerushMediaInfo *info, DerushTemplate *pipeline_template,
                           GError **error)
{
  return pipeline_new (job, info, pipeline_template, FALSE, error);
}

DerushMediaPipeline *
derush_media_pipeline_new_fed (DerushMediaJob *job, DerushMediaInfo *info, DerushTemplate *pipeline_template,
                               GError **error)
{
  return pipeline_new (job, info, pipeline_template, TRUE, error);
}

void
derush_media_pipeline_free (DerushMediaPipeline *self)
{
  if (self->pipeline)
    derush_media_pipeline_stop (self);
  g_clear_pointer (&self->tracks, g_ptr_array_unref);
  g_clear_pointer (&self->counters, g_ptr_array_unref);
  g_ptr_array_unref (self->missing);
  g_string_free (self->debug, TRUE);
  g_clear_error (&self->error);
  g_free (self->break_reason);
  g_free (self->video_id);
  g_free (self->audio_id);
  g_clear_object (&self->bus);
  g_clear_object (&self->pipeline);
  g_mutex_clear (&self->lock);
  g_free (self);
}

GstElement *
derush_media_pipeline_get_pipeline (DerushMediaPipeline *self)
{
  return self->pipeline;
}

GstElement *
derush_media_pipeline_get_element (DerushMediaPipeline *self, const char *name)
{
  g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (self->pipeline), name);

  return element; /* the pipeline holds it */
}

void
derush_media_pipeline_set_message_func (DerushMediaPipeline *self, DerushMediaMessageFunc func, gpointer user_data)
{
  self->message_func = func;
  self->message_data = user_data;
}

void
derush_media_pipeline_set_clip (DerushMediaPipeline *self, double start, double end)
{
  self->clip_start = MAX (start, 0);
  self->clip_end = end;
}

void
derush_media_pipeline_set_key_frames_only (DerushMediaPipeline *self, gboolean key_frames_only)
{
  self->key_frames_only = key_frames_only;
}

void
derush_media_pipeline_set_sparse (DerushMediaPipeline *self, double tail)
{
  self->sparse = TRUE;
  self->sparse_tail = tail;
}

guint64
derush_media_pipeline_get_packets (DerushMediaPipeline *self)
{
  return (guint)g_atomic_int_get (&self->packets);
}

void
derush_media_pipeline_set_progress_range (DerushMediaPipeline *self, double from, double to)
{
  self->progress_from = from;
  self->progress_to = to;
}

void
derush_media_pipeline_set_duration (DerushMediaPipeline *self, double seconds)
{
  self->duration = seconds;
}

void
derush_media_pipeline_set_stall_timeout (DerushMediaPipeline *self, double seconds)
{
  self->stall_timeout = seconds;
}

static GstPadProbeReturn
count_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Counter *counter = data;

  g_atomic_int_inc (&counter->buffers);
  return GST_PAD_PROBE_OK;
}

void
derush_media_pipeline_expect_buffers (DerushMediaPipeline *self, const char *element_name, const char *pad_name)
{
  GstElement *element = derush_media_pipeline_get_element (self, element_name);
  g_autoptr (GstPad) pad = element ? gst_element_get_static_pad (element, pad_name) : NULL;
  Counter *counter;

  if (!pad)
    return;
  counter = g_new0 (Counter, 1);
  counter->element = g_strdup (element_name);
  g_ptr_array_add (self->counters, counter);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST, count_buffer, counter, NULL);
}

guint64
derush_media_pipeline_get_buffers (DerushMediaPipeline *self, const char *element)
{
  for (guint i = 0; i < self->counters->len; i++) {
    Counter *counter = g_ptr_array_index (self->counters, i);

    if (strcmp (counter->element, element) == 0)
      return (guint)g_atomic_int_get (&counter->buffers);
  }
  return 0;
}

double
derush_media_pipeline_get_end (DerushMediaPipeline *self)
{
  double end = 0;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->tracks->len; i++)
    end = MAX (end, ((Track *)g_ptr_array_index (self->tracks, i))->position);
  if (self->sparse)
    end = MAX (end, self->packet_end);
  g_mutex_unlock (&self->lock);
  return end;
}

gboolean
derush_media_pipeline_is_seekable (DerushMediaPipeline *self)
{
  return !self->through;
}

double
derush_media_pipeline_get_key_distance (DerushMediaPipeline *self)
{
  double distance;

  g_mutex_lock (&self->lock);
  distance = self->n_key_distances > 0 ? self->key_distances / self->n_key_distances : 0;
  g_mutex_unlock (&self->lock);
  return distance;
}

const char *
derush_media_pipeline_get_break (DerushMediaPipeline *self)
{
  return self->break_reason;
}

gboolean
derush_media_pipeline_is_unlinked (DerushMediaPipeline *self)
{
  return self->unlinked;
}

const char *
derush_media_pipeline_get_starved (DerushMediaPipeline *self)
{
  return self->starved;
}

/* ── Stopping ───────────────────────────────────────────────────────────── */

void
derush_media_pipeline_stop (DerushMediaPipeline *self)
{
  if (self->stopped)
    return;
  self->stopped = TRUE;
  if (derush_element_stop (self->pipeline, !self->ended))
    return;
  g_warning ("the pipeline did not stop");
  /* Its streaming threads still use what hangs on it. */
  gst_object_ref (self->pipeline);
  self->tracks = g_ptr_array_new ();
  self->counters = g_ptr_array_new ();
}

/* ── Messages ───────────────────────────────────────────────────────────── */

static gboolean
is_of_input (DerushMediaPipeline *self, GstObject *object)
{
  GstObject *parent = GST_OBJECT_PARENT (object);

  if (object == GST_OBJECT (self->source))
    return TRUE;
  /* Everything within a bin of the pipeline was plugged by decodebin or parsebin. */
  return parent && parent != GST_OBJECT (self->pipeline);
}

static gboolean
anything_counted (DerushMediaPipeline *self)
{
  for (guint i = 0; i < self->counters->len; i++)
    if (g_atomic_int_get (&((Counter *)g_ptr_array_index (self->counters, i))->buffers) > 0)
      return TRUE;
  return FALSE;
}

static void
note_debug (DerushMediaPipeline *self, GstMessage *message, const GError *error, const char *debug)
{
  if (self->debug->len < 8192)
    g_string_append_printf (self->debug, "%s: %s (%s %d)%s%s\n", GST_MESSAGE_SRC_NAME (message), error->message,
                            g_quark_to_string (error->domain), error->code, debug ? "\n  " : "", debug ? debug : "");
}

static void
take_error (DerushMediaPipeline *self, GstMessage *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;
  gboolean vague;

  gst_message_parse_error (message, &error, &debug);
  note_debug (self, message, error, debug);
  /* A film that breaks off: what came before it is worth keeping. */
  if (!self->error && is_of_input (self, GST_MESSAGE_SRC (message)) && anything_counted (self) &&
      (error->domain == GST_STREAM_ERROR || g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ))) {
    if (!self->break_reason) {
      self->break_reason = g_strdup (error->message);
      self->error_time = g_get_monotonic_time ();
    }
    return;
  }
  vague = g_error_matches (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED);
  if (!self->error || (self->error_is_vague && !vague)) {
    if (!self->error)
      self->error_time = g_get_monotonic_time ();
    g_clear_error (&self->error);
    self->error = derush_media_error_from_message (message, is_of_input (self, GST_MESSAGE_SRC (message)),
                                                   self->missing, display (self));
    self->error_is_vague = vague;
  }
}

static void
take_warning (DerushMediaPipeline *self, GstMessage *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;

  gst_message_parse_warning (message, &error, &debug);
  note_debug (self, message, error, debug);
  /* A chosen stream that no decoder took: its branch would wait for ever. */
  if (strstr (error->message, "Delayed linking failed") && !self->error) {
    self->unlinked = TRUE;
    self->error_time = g_get_monotonic_time ();
    self->error =
        g_error_new (DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                     _ ("A stream of “%s” could not be decoded: it is damaged or of an unknown kind"), display (self));
  }
}

static void
handle_message (DerushMediaPipeline *self, GstMessage *message)
{
  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_ERROR:
    take_error (self, message);
    break;
  case GST_MESSAGE_WARNING:
    take_warning (self, message);
    break;
  case GST_MESSAGE_LATENCY:
    gst_bin_recalculate_latency (GST_BIN (self->pipeline));
    break;
  case GST_MESSAGE_ASYNC_DONE:
    self->async_done = TRUE;
    break;
  case GST_MESSAGE_EOS:
    self->ended = TRUE;
    break;
  case GST_MESSAGE_ELEMENT:
    if (gst_is_missing_plugin_message (message))
      derush_media_missing_add (self->missing, message);
  /* fall through */
  default:
    if (self->message_func)
      self->message_func (message, self->message_data);
    break;
  }
}

/* ── Progress and the watchdog ──────────────────────────────────────────── */

static double
position (DerushMediaPipeline *self)
{
  double lowest = -1;
  gint64 time;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->tracks->len; i++) {
    Track *track = g_ptr_array_index (self->tracks, i);

    if (!track->ended && (lowest < 0 || track->position < lowest))
      lowest = track->position;
  }
  g_mutex_unlock (&self->lock);
  if (self->tracks->len > 0)
    return lowest < 0 ? derush_media_pipeline_get_end (self) : lowest;
  return gst_element_query_position (self->pipeline, GST_FORMAT_TIME, &time) ? (double)time / GST_SECOND : 0;
}

static void
report_progress (DerushMediaPipeline *self)
{
  double end = self->clip_end >= 0 ? self->clip_end : self->duration;
  double fraction;

  if (end <= self->clip_start || self->fed)
    return;
  fraction = CLAMP ((position (self) - self->clip_start) / (end - self->clip_start), 0, 1);
  derush_media_job_progress (self->job, self->progress_from + fraction * (self->progress_to - self->progress_from));
}

static gboolean
has_stalled (DerushMediaPipeline *self)
{
  guint64 signature = self->source ? derush_fd_source_get_bytes_read (self->source) : 0;
  gint64 now = g_get_monotonic_time ();
  gint64 time;

  signature += (guint64)(derush_media_pipeline_get_end (self) * 1e6);
  for (guint i = 0; i < self->counters->len; i++)
    signature += g_atomic_int_get (&((Counter *)g_ptr_array_index (self->counters, i))->buffers);
  if (gst_element_query_position (self->pipeline, GST_FORMAT_TIME, &time))
    signature += time;
  if (signature != self->last_signature || self->last_change == 0) {
    self->last_signature = signature;
    self->last_change = now;
  }
  return now - self->last_change > self->stall_timeout * G_TIME_SPAN_SECOND;
}

static gboolean
fail (DerushMediaPipeline *self, GError *failure, GError **error)
{
  if (self->debug->len > 0)
    derush_media_job_set_debug (self->job, self->debug->str);
  g_propagate_error (error, failure);
  return FALSE;
}

static GError *
stalled_error (DerushMediaPipeline *self)
{
  if (self->missing->len > 0)
    return g_error_new (DERUSH_MEDIA_ERROR, DERUSH_ERROR_MISSING_PLUGIN,
                        _ ("Nothing installed here decodes a stream of “%s” (%s)"), display (self),
                        (const char *)g_ptr_array_index (self->missing, 0));
  return g_error_new (DERUSH_MEDIA_ERROR, DERUSH_ERROR_STALLED,
                      _ ("Nothing of “%s” was processed for %.0f seconds; it may be damaged at %.1f s"), display (self),
                      self->stall_timeout, derush_media_pipeline_get_end (self));
}

/* Ends the branches of a film that broke off, where its elements have not done so. */
static void
send_end (DerushMediaPipeline *self)
{
  self->end_sent = TRUE;
  for (guint i = 0; i < self->tracks->len; i++)
    gst_pad_send_event (((Track *)g_ptr_array_index (self->tracks, i))->pad, gst_event_new_eos ());
}

static gboolean
all_past (DerushMediaPipeline *self)
{
  gboolean past = self->tracks->len > 0;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->tracks->len; i++) {
    Track *track = g_ptr_array_index (self->tracks, i);

    past &= track->past || track->ended;
  }
  g_mutex_unlock (&self->lock);
  return past;
}

gboolean
derush_media_pipeline_check (DerushMediaPipeline *self, GError **error)
{
  GstMessage *message;

  while ((message = gst_bus_pop_filtered (self->bus, ALL_MESSAGES))) {
    handle_message (self, message);
    gst_message_unref (message);
  }
  if (g_cancellable_is_cancelled (self->job->cancellable))
    return fail (self, g_error_new (DERUSH_MEDIA_ERROR, DERUSH_ERROR_CANCELLED, _ ("Stopped on request")), error);
  if (self->error && (!self->error_is_vague || g_get_monotonic_time () - self->error_time > ERROR_GRACE))
    return fail (self, g_error_copy (self->error), error);
  if (has_stalled (self))
    return fail (self, stalled_error (self), error);
  return TRUE;
}

/* One turn of the loop. */
static gboolean
iterate (DerushMediaPipeline *self, GstClockTime timeout, GError **error)
{
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (self->bus, timeout, ALL_MESSAGES);

  if (message)
    handle_message (self, message);
  if (!derush_media_pipeline_check (self, error))
    return FALSE;
  if (self->break_reason && !self->end_sent && g_get_monotonic_time () - self->error_time > BREAK_GRACE)
    send_end (self);
  if (self->through && !self->fed && !self->end_sent && all_past (self))
    send_end (self);
  report_progress (self);
  return TRUE;
}

/* ── Clips ──────────────────────────────────────────────────────────────── */

/*
 * A flushing seek after data has reached a muxer breaks the file. So every branch is held before its first queue while
 * the film prerolls, the decoder is sought, and only what comes after the flush is let through.
 */

static gboolean
wait_until_held (DerushMediaPipeline *self, GError **error)
{
  while (!derush_tracks_are_held (self)) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (self->bus, 5 * GST_MSECOND, ALL_MESSAGES);

    if (message)
      handle_message (self, message);
    if (!derush_media_pipeline_check (self, error))
      return FALSE;
  }
  return TRUE;
}

static GstEvent *
seek_event (DerushMediaPipeline *self, GstSeekFlags flags, double start, double stop)
{
  return gst_event_new_seek (1.0, GST_FORMAT_TIME, flags, GST_SEEK_TYPE_SET,
                             derush_seconds_to_time (start + self->start),
                             stop >= 0 ? GST_SEEK_TYPE_SET : GST_SEEK_TYPE_NONE,
                             stop >= 0 ? derush_seconds_to_time (stop + self->start) : GST_CLOCK_TIME_NONE);
}

static gboolean
seek_while_held (DerushMediaPipeline *self, GError **error)
{
  GstSeekFlags flags;
  Track *first;

  derush_tracks_hold (self);
  /* One that has ended before forgets in this state that its sinks have had their end. */
  gst_element_set_state (self->pipeline, GST_STATE_PAUSED);
  if (self->tracks->len == 0 || !wait_until_held (self, error))
    return self->tracks->len == 0;
  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->tracks->len; i++) {
    Track *track = g_ptr_array_index (self->tracks, i);

    track->held = track->ended = FALSE;
    track->position = 0;
  }
  self->last_key = -1;
  g_mutex_unlock (&self->lock);
  first = g_ptr_array_index (self->tracks, 0);
  flags = GST_SEEK_FLAG_FLUSH | (self->key_frames_only ? GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_TRICKMODE_KEY_UNITS
                                                       : GST_SEEK_FLAG_ACCURATE);
  if (!gst_pad_push_event (first->pad, seek_event (self, flags, self->clip_start,
                                                   self->clip_end >= 0 ? self->clip_end + self->edit_shift : -1))) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("“%s” cannot be cut: it cannot be entered in the middle; convert it as a whole first"),
                 display (self));
    return FALSE;
  }
  if (!wait_until_held (self, error))
    return FALSE;
  derush_tracks_release (self);
  return TRUE;
}

/* ── Running ────────────────────────────────────────────────────────────── */

gboolean
derush_media_pipeline_start (DerushMediaPipeline *self, GError **error)
{
  gboolean clipped = (self->clip_start > 0 || self->clip_end >= 0) && !self->through;

  self->ended = FALSE;
  self->last_change = 0;
  if ((clipped || self->key_frames_only) && !seek_while_held (self, error))
    return FALSE;
  /* A failure to change state is on the bus with its cause. */
  gst_element_set_state (self->pipeline, GST_STATE_PLAYING);
  return TRUE;
}

static gboolean
check_end (DerushMediaPipeline *self, GError **error)
{
  if (self->error)
    return fail (self, g_error_copy (self->error), error);
  for (guint i = 0; i < self->counters->len; i++) {
    Counter *counter = g_ptr_array_index (self->counters, i);

    if (counter->buffers > 0)
      continue;
    self->starved = counter->element;
    return fail (self,
                 g_error_new (DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                              _ ("Not one picture or sound of “%s” could be decoded (%s)"), display (self),
                              counter->element),
                 error);
  }
  return TRUE;
}

gboolean
derush_media_pipeline_turn (DerushMediaPipeline *self, GstClockTime timeout, gboolean *ended, GError **error)
{
  if (!self->ended && !iterate (self, timeout, error))
    return FALSE;
  *ended = self->ended;
  return !self->ended || check_end (self, error);
}

static gboolean
run (DerushMediaPipeline *self, GError **error)
{
  gboolean ended = FALSE;

  if (!derush_media_pipeline_start (self, error))
    return FALSE;
  while (!ended)
    if (!derush_media_pipeline_turn (self, POLL_INTERVAL, &ended, error))
      return FALSE;
  return TRUE;
}

gboolean
derush_media_pipeline_run (DerushMediaPipeline *self, GError **error)
{
  gboolean success = run (self, error);

  derush_tracks_release (self);
  derush_media_pipeline_stop (self);
  if (success)
    derush_media_job_progress (self->job, self->progress_to);
  return success;
}

static gboolean
wait_async_done (DerushMediaPipeline *self, GError **error)
{
  /* The end of the film is an answer too. */
  while (!self->async_done && !self->ended) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (self->bus, POLL_INTERVAL, ALL_MESSAGES);

    if (message)
      handle_message (self, message);
    if (!derush_media_pipeline_check (self, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
derush_media_pipeline_pause (DerushMediaPipeline *self, GError **error)
{
  self->async_done = self->ended = FALSE;
  if (gst_element_set_state (self->pipeline, GST_STATE_PAUSED) == GST_STATE_CHANGE_SUCCESS)
    return TRUE;
  return wait_async_done (self, error);
}

gboolean
derush_media_pipeline_seek (DerushMediaPipeline *self, GstSeekFlags flags, double start, double stop, GError **error)
{
  self->async_done = self->ended = FALSE;
  if (!gst_element_send_event (self->pipeline, seek_event (self, flags | GST_SEEK_FLAG_FLUSH, start, stop))) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” cannot be entered at %.3f s"),
                 display (self), start);
    return FALSE;
  }
  return wait_async_done (self, error);
}

gboolean
derush_media_pipeline_play (DerushMediaPipeline *self, GError **error)
{
  gst_element_set_state (self->pipeline, GST_STATE_PLAYING);
  return derush_media_pipeline_check (self, error);
}
