/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stills-private.h"

#include <math.h>
#include <glib/gi18n-lib.h>
#include <gst/app/gstappsink.h>
#include <gst/video/video.h>

#define PULL_TIMEOUT (50 * GST_MSECOND)
/* Frames are read from this long before the one that is wanted, so that its own time and its neighbours are known. */
#define LEAD 0.4
/* Times are compared with this tolerance, in seconds. */
#define TOLERANCE 0.0005
/* A duration that is beyond the end by more than this, in seconds, was counted from a late start. */
#define LATE_START 10.0
#define NEIGHBOUR_DISTANCE 0.2
#define KEY_FRAME_RANGE 0.01

struct _DerushStillReader {
  DerushMediaJob *job;
  DerushMediaInfo *info;
  DerushMediaPipeline *pipeline;
  GstAppSink *sink;
  DerushStillMeter *meter;
  gboolean seekable;
  gboolean key_frames_only; /* the decoder gets nothing else */
  double duration;
  double first;       /* time of the first frame */
  double offset;      /* of times when the film is played from its start, against those after a seek */
  double position;    /* of the last frame that was read since the pipeline was built; negative: none */
  GstSample *pending; /* read, but not given yet */
  char *break_reason;
};

/* ── The pipeline ───────────────────────────────────────────────────────── */

static double
sample_time (GstSample *sample)
{
  GstClockTime pts = GST_BUFFER_PTS (gst_sample_get_buffer (sample));
  GstClockTime time = GST_CLOCK_TIME_IS_VALID (pts)
                          ? gst_segment_to_stream_time (gst_sample_get_segment (sample), GST_FORMAT_TIME, pts)
                          : GST_CLOCK_TIME_NONE;

  return GST_CLOCK_TIME_IS_VALID (time) ? (double)time / GST_SECOND : -1;
}

static void
close_pipeline (DerushStillReader *self)
{
  g_clear_pointer (&self->pending, gst_sample_unref);
  g_clear_object (&self->sink);
  g_clear_pointer (&self->pipeline, derush_media_pipeline_free);
}

static gboolean
open_pipeline (DerushStillReader *self, GError **error)
{
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load ("stills", error);

  close_pipeline (self);
  if (!pipeline_template)
    return FALSE;
  if (self->info->audio_id) /* the template has no sound */
    g_clear_pointer (&self->info->audio_id, g_free);
  self->pipeline = derush_media_pipeline_new (self->job, self->info, pipeline_template, error);
  if (!self->pipeline)
    return FALSE;
  self->sink = GST_APP_SINK (gst_object_ref (derush_media_pipeline_get_element (self->pipeline, "frames")));
  g_object_set (self->sink, "drop", FALSE, NULL);
  derush_media_pipeline_expect_buffers (self->pipeline, "frames", "sink");
  self->position = -1;
  return derush_media_pipeline_pause (self->pipeline, error) && derush_media_pipeline_play (self->pipeline, error);
}

/* appsink wants its own sample back before the next flush. */
static GstSample *
detach (GstSample *sample)
{
  GstSample *ours = gst_sample_new (gst_sample_get_buffer (sample), gst_sample_get_caps (sample),
                                    gst_sample_get_segment (sample), NULL);

  gst_sample_unref (sample);
  return ours;
}

/* The next frame, or %NULL at the end or with an error. */
static GstSample *
pull (DerushStillReader *self, GError **error)
{
  if (self->pending)
    return g_steal_pointer (&self->pending);
  for (;;) {
    GstSample *sample = gst_app_sink_try_pull_sample (self->sink, PULL_TIMEOUT);

    if (!derush_media_pipeline_check (self->pipeline, error)) {
      g_clear_pointer (&sample, gst_sample_unref);
      return NULL;
    }
    if (sample) {
      self->position = MAX (self->position, sample_time (sample));
      return detach (sample);
    }
    if (gst_app_sink_is_eos (self->sink))
      return NULL;
    if (derush_media_pipeline_get_break (self->pipeline)) {
      if (!self->break_reason)
        self->break_reason = g_strdup (derush_media_pipeline_get_break (self->pipeline));
      return NULL;
    }
  }
}

static gboolean
note_time (GstSample *sample, double time, gpointer data)
{
  *(double *)data = time;
  return FALSE;
}

/* MPEG-TS: played from its start, the first frame is at 0.7 s or so; after a seek to 0 the same frame is at 0. */
static gboolean
find_offset (DerushStillReader *self, GError **error)
{
  double played = sample_time (self->pending), sought = -1;

  if (!self->seekable || played < 0.02)
    return TRUE;
  if (!derush_still_reader_read (self, 0, FALSE, note_time, &sought, error))
    return FALSE;
  if (sought >= 0)
    self->offset = played - sought;
  return TRUE;
}

/* Demuxers that count the duration from timestamp 0 although the film starts later say too much. */
static void
correct_duration (DerushStillReader *self, GstSample *first)
{
  const GstSegment *segment = gst_sample_get_segment (first);
  double late = segment->start > segment->time ? (double)(segment->start - segment->time) / GST_SECOND : 0;

  if (late > LATE_START && self->duration > late)
    self->duration -= late;
}

DerushStillReader *
derush_still_reader_new (DerushMediaJob *job, DerushMediaInfo *info, GError **error)
{
  g_autoptr (DerushStillReader) self = g_new0 (DerushStillReader, 1);

  self->job = job;
  self->info = info;
  self->seekable = info->seekable;
  self->duration = info->duration;
  self->meter = derush_still_meter_new ();
  if (!info->video_id) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no picture, only sound"),
                 job->source.display);
    return NULL;
  }
  if (!open_pipeline (self, error))
    return NULL;
  self->pending = pull (self, error);
  if (!self->pending) {
    if (!error || !*error)
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("Not one picture of “%s” could be decoded"),
                   job->source.display);
    return NULL;
  }
  self->first = MAX (0, sample_time (self->pending));
  correct_duration (self, self->pending);
  if (!find_offset (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
derush_still_reader_free (DerushStillReader *self)
{
  close_pipeline (self);
  derush_still_meter_free (self->meter);
  g_free (self->break_reason);
  g_free (self);
}

double
derush_still_reader_get_duration (DerushStillReader *self)
{
  return self->duration;
}

double
derush_still_reader_get_offset (DerushStillReader *self)
{
  return self->offset;
}

const char *
derush_still_reader_get_break (DerushStillReader *self)
{
  return self->break_reason;
}

/* ── Reading ────────────────────────────────────────────────────────────── */

/* So that the next frame is one at or shortly before @from. Films that cannot be entered in the middle are read from the
 * start; what lies before is dropped by the caller. */
static gboolean
go_to (DerushStillReader *self, double from, gboolean from_key_frame, GError **error)
{
  GstSeekFlags flags = from_key_frame ? GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_BEFORE : GST_SEEK_FLAG_ACCURATE;
  g_autoptr (GError) failure = NULL;
  double to = -1;

  if (self->key_frames_only) {
    flags |= GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_TRICKMODE_KEY_UNITS;
    /* Else the ones behind it would be decoded as well, before anybody asks for them. */
    to = from + KEY_FRAME_RANGE;
  }
  if (self->seekable) {
    g_clear_pointer (&self->pending, gst_sample_unref);
    if (derush_media_pipeline_seek (self->pipeline, flags, from, to, &failure))
      return TRUE;
    if (g_cancellable_is_cancelled (self->job->cancellable)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
    self->seekable = FALSE;
    return open_pipeline (self, error);
  }
  return self->position <= from || open_pipeline (self, error);
}

gboolean
derush_still_reader_read (DerushStillReader *self, double from, gboolean from_key_frame, DerushStillFrameFunc func,
                          gpointer user_data, GError **error)
{
  GError *failure = NULL;
  GstSample *sample;

  if (!go_to (self, from, from_key_frame, error))
    return FALSE;
  while ((sample = pull (self, &failure))) {
    double time = sample_time (sample);
    GstClockTime duration = GST_BUFFER_DURATION (gst_sample_get_buffer (sample));
    double end = time + (GST_CLOCK_TIME_IS_VALID (duration) ? (double)duration / GST_SECOND : 0);
    gboolean more = TRUE;

    if (time >= 0 && (self->seekable || end >= from))
      more = func (sample, time, user_data);
    if (!more && !self->seekable)
      self->pending = sample; /* who reads on from here may want it once more */
    else
      gst_sample_unref (sample);
    if (!more)
      return TRUE;
  }
  if (failure)
    g_propagate_error (error, failure);
  return !failure;
}

void
derush_still_frame_clear (DerushStillFrame *frame)
{
  g_clear_pointer (&frame->sample, gst_sample_unref);
}

typedef struct {
  DerushStillReader *reader;
  double wanted;
  DerushStillFrame *frame;
  DerushStillBreaks breaks;
  double last_break;
} Search;

static gboolean
search_frame (GstSample *sample, double time, gpointer data)
{
  Search *search = data;
  DerushStillFrame *frame = search->frame;
  gboolean beyond = time > search->wanted + TOLERANCE && frame->sample != NULL;
  gboolean is_neighbour = frame->sample != NULL && time - frame->time <= NEIGHBOUR_DISTANCE;
  DerushFrameFeatures features;
  gboolean is_break;

  if (!derush_still_meter_push (search->reader->meter, sample, time, &features))
    return TRUE;
  is_break = derush_still_breaks_push (&search->breaks, &features);
  if (is_break)
    search->last_break = time;
  if (beyond) {
    if (is_neighbour)
      frame->context.difference = MAX (frame->context.difference, features.difference);
    if (is_break)
      frame->context.transition_distance = 0;
    return FALSE;
  }
  derush_still_frame_clear (frame);
  frame->sample = gst_sample_ref (sample);
  frame->time = time;
  frame->features = features;
  frame->context.difference = is_neighbour ? features.difference : -1;
  frame->context.transition_distance = time - search->last_break;
  return TRUE;
}

static gboolean
search (DerushStillReader *self, double from, double wanted, DerushStillFrame *frame, GError **error)
{
  Search data = {self, wanted, frame, {0, 0, 0}, -G_MAXDOUBLE};

  derush_still_frame_clear (frame);
  derush_still_meter_reset (self->meter);
  return derush_still_reader_read (self, from, FALSE, search_frame, &data, error);
}

/* Some demuxers (MPEG-PS) land behind where they were asked to go. */
static gboolean
is_late (DerushStillReader *self, const DerushStillFrame *frame, double wanted)
{
  return frame->time > MAX (wanted, self->first) + TOLERANCE;
}

/* Without a seek. */
static gboolean
search_from_start (DerushStillReader *self, double wanted, DerushStillFrame *frame, GError **error)
{
  gboolean seekable = self->seekable, ok;

  self->seekable = FALSE;
  ok = open_pipeline (self, error) && search (self, 0, wanted, frame, error);
  self->seekable = seekable;
  return ok;
}

/* The frame at @wanted, looked for from shortly before @near on. */
static gboolean
find_frame (DerushStillReader *self, double wanted, double near, DerushStillFrame *frame, GError **error)
{
  const double leads[] = {LEAD, 2, 10, 60, G_MAXDOUBLE};
  double from = near;

  for (guint i = 0; i < G_N_ELEMENTS (leads) && from > 0; i++) {
    from = MAX (0, near - leads[i]);
    if (!search (self, from, wanted, frame, error))
      return FALSE;
    if (!frame->sample || is_late (self, frame, wanted))
      continue;
    /* A frame that began before what was read has lost its own time. */
    if (from <= 0 || frame->time > from + TOLERANCE || !self->seekable || i == 2)
      return TRUE;
  }
  if (!search_from_start (self, wanted, frame, error))
    return FALSE;
  if (frame->sample)
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no picture at %.3f s or before"),
               self->job->source.display, near);
  return FALSE;
}

gboolean
derush_still_reader_get_frame (DerushStillReader *self, double time, DerushStillFrame *frame, GError **error)
{
  return find_frame (self, time, time, frame, error);
}

static gboolean
take_frame (GstSample *sample, double time, gpointer data)
{
  DerushStillFrame *frame = data;

  frame->sample = gst_sample_ref (sample);
  frame->time = time;
  frame->context = (DerushStillContext){-1, G_MAXDOUBLE};
  return FALSE;
}

gboolean
derush_still_reader_get_key_frame (DerushStillReader *self, double time, DerushStillFrame *frame, GError **error)
{
  gboolean read;

  derush_still_frame_clear (frame);
  derush_still_meter_reset (self->meter);
  self->key_frames_only = TRUE;
  read = derush_still_reader_read (self, time, TRUE, take_frame, frame, error);
  self->key_frames_only = FALSE;
  if (!read)
    return FALSE;
  if (frame->sample && derush_still_meter_push (self->meter, frame->sample, frame->time, &frame->features))
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no picture at %.3f s or before"),
               self->job->source.display, time);
  return FALSE;
}

gboolean
derush_still_reader_get_last_frame (DerushStillReader *self, DerushStillFrame *frame, GError **error)
{
  return find_frame (self, G_MAXDOUBLE, self->duration, frame, error);
}

/* ── Measuring ──────────────────────────────────────────────────────────── */

struct _DerushStillMeter {
  DerushFrameMeter *meter;
  GstCaps *caps;
  GstVideoInfo info;
  GstVideoInfo small_info;
  GstVideoConverter *converter;
  GstBuffer *small;
};

DerushStillMeter *
derush_still_meter_new (void)
{
  DerushStillMeter *self = g_new0 (DerushStillMeter, 1);

  self->meter = derush_frame_meter_new ();
  return self;
}

static void
forget_caps (DerushStillMeter *self)
{
  gst_clear_caps (&self->caps);
  g_clear_pointer (&self->converter, gst_video_converter_free);
  gst_clear_buffer (&self->small);
}

void
derush_still_meter_free (DerushStillMeter *self)
{
  forget_caps (self);
  derush_frame_meter_free (self->meter);
  g_free (self);
}

void
derush_still_meter_reset (DerushStillMeter *self)
{
  derush_frame_meter_reset (self->meter);
}

/* A few frames only are measured here: one conversion to the largest picture that is looked at serves all formats. */
static gboolean
take_caps (DerushStillMeter *self, GstCaps *caps)
{
  GstVideoInfo from;
  double scale;

  if (self->caps && gst_caps_is_equal (caps, self->caps))
    return TRUE;
  forget_caps (self);
  if (!gst_video_info_from_caps (&self->info, caps))
    return FALSE;
  from = self->info;
  from.interlace_mode = GST_VIDEO_INTERLACE_MODE_PROGRESSIVE;
  scale = MIN (1, (double)DERUSH_SHARPNESS_PICTURE_SIZE / MAX (from.width, from.height));
  if (!gst_video_info_set_format (&self->small_info, GST_VIDEO_FORMAT_I420, MAX (1, (guint)(from.width * scale)),
                                  MAX (1, (guint)(from.height * scale))))
    return FALSE;
  self->small_info.fps_n = from.fps_n;
  self->small_info.fps_d = from.fps_d;
  self->converter = gst_video_converter_new (&from, &self->small_info, NULL);
  self->small = gst_buffer_new_allocate (NULL, self->small_info.size, NULL);
  if (!self->converter)
    return FALSE;
  self->caps = gst_caps_ref (caps);
  return TRUE;
}

gboolean
derush_still_meter_push (DerushStillMeter *self, GstSample *sample, double time, DerushFrameFeatures *features)
{
  GstVideoFrame from, small;
  DerushPlanes planes = {0};
  gboolean ok;

  if (!take_caps (self, gst_sample_get_caps (sample)) ||
      !gst_video_frame_map (&from, &self->info, gst_sample_get_buffer (sample), GST_MAP_READ))
    return FALSE;
  if (!gst_video_frame_map (&small, &self->small_info, self->small, GST_MAP_READWRITE)) {
    gst_video_frame_unmap (&from);
    return FALSE;
  }
  from.flags &= ~GST_VIDEO_FRAME_FLAG_INTERLACED; /* as the converter was told */
  gst_video_converter_frame (self->converter, &from, &small);
  gst_video_frame_unmap (&from);
  for (guint i = 0; i < 3; i++) {
    planes.data[i] = GST_VIDEO_FRAME_PLANE_DATA (&small, i);
    planes.stride[i] = (gsize)GST_VIDEO_FRAME_PLANE_STRIDE (&small, i);
    planes.pixel_stride[i] = 1;
  }
  planes.width = (guint)GST_VIDEO_FRAME_WIDTH (&small);
  planes.height = (guint)GST_VIDEO_FRAME_HEIGHT (&small);
  planes.chroma_width = (guint)GST_VIDEO_FRAME_COMP_WIDTH (&small, 1);
  planes.chroma_height = (guint)GST_VIDEO_FRAME_COMP_HEIGHT (&small, 1);
  planes.sample_bits = 8;
  ok = derush_frame_meter_push (self->meter, &planes, time, features);
  gst_video_frame_unmap (&small);
  return ok;
}
