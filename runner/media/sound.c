/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * The loudness of a part of a film, brought to what a platform wants of it. The part is heard first; then the gain is tried
 * through the codec, which moves peaks, and corrected until they keep within bounds. Only sound is decoded for that.
 */

#include "pipeline-private.h"

#include <math.h>
#include <glib/gi18n-lib.h>
#include <gst/app/gstappsink.h>
#include <gst/audio/audio.h>
#include <gst/controller/gstdirectcontrolbinding.h>
#include <gst/controller/gstinterpolationcontrolsource.h>

/* AAC at usual rates raises peaks by less than this, mostly; in dB. */
#define HEADROOM 0.8
#define TRIES 4
/* Meters interpolate differently between samples. */
#define METERS 0.3
/* How near is near enough, in LU, and by how much more than the excess the bound is lowered, in dB. */
#define CLOSE 0.25
#define MARGIN 0.1
/* Longer holes in the sound are heard as silence, in seconds. */
#define LEAST_GAP 0.005

typedef struct {
  DerushMaster *master;
  GstAudioInfo info;
  gboolean negotiated;
  double first;   /* stream time of the first sample; negative: none yet */
  guint64 frames; /* heard so far */
} Listener;

void
derush_sound_free (DerushSound *sound)
{
  g_array_unref (sound->points);
  g_free (sound);
}

/* Only what lies within the cut has a stream time, and `volume` takes whatever is in its memory for the gain of a buffer that
 * begins before it. */
static GstPadProbeReturn
clip_to_segment (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  const GstSegment *segment;
  GstAudioInfo audio;

  if (!event || !caps || !gst_audio_info_from_caps (&audio, caps))
    return GST_PAD_PROBE_OK;
  gst_event_parse_segment (event, &segment);
  buffer = gst_audio_buffer_clip (buffer, segment, audio.rate, audio.bpf);
  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  return buffer ? GST_PAD_PROBE_OK : GST_PAD_PROBE_HANDLED;
}

void
derush_sound_apply (const DerushSound *sound, GstElement *volume)
{
  GstControlSource *source = gst_interpolation_control_source_new ();
  g_autoptr (GstPad) sink = gst_element_get_static_pad (volume, "sink");

  gst_pad_add_probe (sink, GST_PAD_PROBE_TYPE_BUFFER, clip_to_segment, NULL, NULL);
  g_object_set (source, "mode", GST_INTERPOLATION_MODE_LINEAR, NULL);
  /* Before its first point it has no value at all. */
  gst_timed_value_control_source_set (GST_TIMED_VALUE_CONTROL_SOURCE (source), 0,
                                      g_array_index (sound->points, DerushMasterPoint, 0).gain);
  for (guint i = 0; i < sound->points->len; i++) {
    const DerushMasterPoint *point = &g_array_index (sound->points, DerushMasterPoint, i);

    gst_timed_value_control_source_set (GST_TIMED_VALUE_CONTROL_SOURCE (source), derush_seconds_to_time (point->time),
                                        point->gain);
  }
  gst_object_add_control_binding (GST_OBJECT (volume),
                                  gst_direct_control_binding_new_absolute (GST_OBJECT (volume), "volume", source));
  gst_object_unref (source);
}

/* ── Listening ──────────────────────────────────────────────────────────── */

static void
hear_silence (Listener *self, double seconds)
{
  gsize left = (gsize)(seconds * self->info.rate), chunk = (gsize)self->info.rate / 10;
  g_autofree float *zeros = g_new0 (float, chunk *(gsize)self->info.channels);

  self->frames += left;
  for (; left > 0; left -= MIN (left, chunk))
    derush_master_add (self->master, zeros, MIN (left, chunk));
}

static void
hear (Listener *self, GstBuffer *buffer, const GstSegment *segment)
{
  GstClockTime time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  double seconds = (double)time / GST_SECOND, heard = self->first + (double)self->frames / self->info.rate;
  GstMapInfo map;

  if (!GST_CLOCK_TIME_IS_VALID (time) || !gst_buffer_map (buffer, &map, GST_MAP_READ))
    return;
  if (self->first < 0)
    self->first = seconds;
  else if (seconds - heard > LEAST_GAP)
    hear_silence (self, seconds - heard);
  derush_master_add (self->master, (const float *)(gconstpointer)map.data, map.size / (gsize)self->info.bpf);
  self->frames += map.size / (gsize)self->info.bpf;
  gst_buffer_unmap (buffer, &map);
}

static GstFlowReturn
on_sample (GstAppSink *sink, gpointer user_data)
{
  Listener *self = user_data;
  g_autoptr (GstSample) sample = gst_app_sink_pull_sample (sink);
  GstSegment *segment = sample ? gst_sample_get_segment (sample) : NULL;
  GstBuffer *buffer;

  if (!sample)
    return GST_FLOW_EOS;
  if (!self->negotiated) {
    self->negotiated = gst_audio_info_from_caps (&self->info, gst_sample_get_caps (sample));
    if (self->negotiated)
      self->master = derush_master_new ((guint)self->info.channels, (guint)self->info.rate);
  }
  if (!self->master)
    return GST_FLOW_NOT_NEGOTIATED;
  /* What lies before and behind the cut is clipped by encoders as well. */
  buffer =
      gst_audio_buffer_clip (gst_buffer_ref (gst_sample_get_buffer (sample)), segment, self->info.rate, self->info.bpf);
  if (buffer) {
    hear (self, buffer, segment);
    gst_buffer_unref (buffer);
  }
  return GST_FLOW_OK;
}

static gboolean
listen (DerushMediaJob *job, DerushMediaInfo *info, const char *name, const DerushSound *gain, double start, double end,
        Listener *self, GError **error)
{
  g_autoptr (DerushMediaInfo) sound_only = derush_media_info_new_from_result (info->object);
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load (name, error);
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  GstAppSinkCallbacks callbacks = {.new_sample = on_sample};
  DerushMediaJob ours = *job;

  ours.request = NULL; /* its progress is none of the step's */
  g_clear_pointer (&sound_only->video_id, g_free);
  *self = (Listener){.first = -1};
  if (!pipeline_template || !derush_transcode_apply (pipeline_template, sound_only, job->parameters, error))
    return FALSE;
  pipeline = derush_media_pipeline_new (&ours, sound_only, pipeline_template, error);
  if (!pipeline)
    return FALSE;
  if (gain)
    derush_sound_apply (gain, derush_media_pipeline_get_element (pipeline, "level"));
  gst_app_sink_set_callbacks (GST_APP_SINK (derush_media_pipeline_get_element (pipeline, "samples")), &callbacks, self,
                              NULL);
  if (start > 0 || end >= 0)
    derush_media_pipeline_set_clip (pipeline, start, end);
  return derush_media_pipeline_run (pipeline, error);
}

/* ── Mastering ──────────────────────────────────────────────────────────── */

static DerushSound *
plan (const Listener *heard, const DerushMasterGoal *goal, double *gain)
{
  DerushSound *sound = g_new0 (DerushSound, 1);

  sound->points = derush_master_plan (heard->master, goal, gain);
  for (guint i = 0; i < sound->points->len; i++)
    g_array_index (sound->points, DerushMasterPoint, i).time += heard->first;
  return sound;
}

/* The gain that fits what the codec makes of it. */
static DerushSound *
try_out (DerushMediaJob *job, DerushMediaInfo *info, const Listener *heard, const DerushMasterGoal *goal, double start,
         double end, double *gain, GError **error)
{
  DerushMasterGoal aim = *goal;

  aim.true_peak -= HEADROOM;
  for (guint i = 0;; i++) {
    g_autoptr (DerushSound) sound = plan (heard, &aim, gain);
    Listener coded;
    double excess, missing;
    gboolean success = listen (job, info, "sound-aac", sound, start, end, &coded, error);

    if (success && coded.master) {
      sound->loudness = derush_master_get_loudness (coded.master);
      sound->true_peak = derush_master_get_true_peak (coded.master);
    }
    g_clear_pointer (&coded.master, derush_master_free);
    if (!success)
      return NULL;
    excess = sound->true_peak - (goal->true_peak - METERS);
    missing = *gain < goal->max_gain ? goal->loudness - sound->loudness : 0;
    if (i + 1 == TRIES || (excess <= 0 && !(fabs (missing) > CLOSE)))
      return g_steal_pointer (&sound);
    if (excess > 0)
      aim.true_peak -= excess + MARGIN;
    aim.loudness += missing;
  }
}

DerushSound *
derush_sound_master (DerushMediaJob *job, DerushMediaInfo *info, const DerushMasterGoal *goal, double start, double end,
                     const char *what, GError **error)
{
  Listener heard;
  DerushSound *sound = NULL;
  double loudness, gain = 0;

  if (!listen (job, info, "sound", NULL, start, end, &heard, error)) {
    g_clear_pointer (&heard.master, derush_master_free);
    return NULL;
  }
  loudness = heard.master ? derush_master_get_loudness (heard.master) : -HUGE_VAL;
  if (!isfinite (loudness))
    derush_media_job_warn (job, _ ("%s is silent, so its loudness stays as it is"), what);
  else
    sound = try_out (job, info, &heard, goal, start, end, &gain, error);
  if (sound && loudness + goal->max_gain < goal->loudness)
    derush_media_job_warn (job, _ ("%s is too quiet for %.1f LUFS: it was made %.1f dB louder, to %.1f LUFS"), what,
                           goal->loudness, gain, sound->loudness);
  g_clear_pointer (&heard.master, derush_master_free);
  return sound;
}
