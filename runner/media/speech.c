/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * The sound of a film for recognisers of speech: `speech.wav`, and beside it `speech.json` with its level every 50 ms and
 * its silences, by which it can be cut. Both begin where the film begins, and holes in the sound are silence in them, so
 * that their times are those of the film.
 */

#include "media-private.h"
#include "silences-private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>
#include <gst/audio/audio.h>

#define RATE 16000
/* Samples in a level. */
#define STEP (RATE / 20)
#define INTERVAL 0.05
/* Levels in a silence, at least. */
#define SHORTEST_SILENCE 5
#define HEADER 44
/* A WAV file says its length in 32 bits. */
#define MOST_SAMPLES ((G_MAXUINT32 - HEADER) / 2)
/* Times of packets are rounded; a hole is longer, in samples. */
#define LEAST_HOLE (RATE / 100)
#define WAV_NAME "speech.wav"
#define DATA_NAME "speech.json"

typedef struct {
  FILE *file;
  GByteArray *levels;
  gint16 step[STEP];
  gsize in_step;
  guint64 samples;
  double start; /* of the film, in stream time */
  int error;
} Speech;

static void
speech_clear (Speech *self)
{
  if (self->file)
    fclose (self->file);
  g_clear_pointer (&self->levels, g_byte_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Speech, speech_clear)

/* ── Samples ────────────────────────────────────────────────────────────── */

static void
end_step (Speech *self)
{
  guint8 level = (guint8)derush_level_of (self->step, self->in_step);

  g_byte_array_append (self->levels, &level, 1);
  self->in_step = 0;
}

static void
write_samples (Speech *self, const gint16 *samples, gsize n)
{
  n = (gsize)MIN ((guint64)n, MOST_SAMPLES - self->samples);
  self->samples += n;
  if (fwrite (samples, sizeof *samples, n, self->file) != n && self->error == 0)
    self->error = errno ? errno : EIO;
  for (gsize i = 0; i < n; i++) {
    self->step[self->in_step++] = samples[i];
    if (self->in_step == STEP)
      end_step (self);
  }
}

static void
write_silence (Speech *self, guint64 n)
{
  static const gint16 zeros[STEP];

  for (; n > 0 && self->error == 0 && self->samples < MOST_SAMPLES; n -= MIN (n, STEP))
    write_samples (self, zeros, (gsize)MIN (n, STEP));
}

/* Where the sound is, on the clock of the film; what comes before its beginning, or for a second time, is left out. */
static void
write_buffer (Speech *self, GstBuffer *buffer, const GstSegment *segment)
{
  GstClockTime time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  GstMapInfo map;
  gint64 place;
  gsize n, skip = 0;

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    return;
  n = map.size / sizeof (gint16);
  if (GST_CLOCK_TIME_IS_VALID (time)) {
    place = llround (((double)time / GST_SECOND - self->start) * RATE) - (gint64)self->samples;
    if (place > LEAST_HOLE)
      write_silence (self, (guint64)place);
    else if (place < -LEAST_HOLE)
      skip = (gsize)MIN ((gint64)n, -place);
  }
  write_samples (self, (const gint16 *)(gconstpointer)map.data + skip, n - skip);
  gst_buffer_unmap (buffer, &map);
}

static GstFlowReturn
on_sample (GstAppSink *sink, gpointer user_data)
{
  Speech *self = user_data;
  g_autoptr (GstSample) sample = gst_app_sink_pull_sample (sink);
  GstBuffer *buffer;

  if (!sample)
    return GST_FLOW_EOS;
  buffer = gst_audio_buffer_clip (gst_buffer_ref (gst_sample_get_buffer (sample)), gst_sample_get_segment (sample),
                                  RATE, sizeof (gint16));
  if (buffer) {
    write_buffer (self, buffer, gst_sample_get_segment (sample));
    gst_buffer_unref (buffer);
  }
  return self->error ? GST_FLOW_ERROR : GST_FLOW_OK;
}

/* ── Files ──────────────────────────────────────────────────────────────── */

static void
put32 (guint8 *at, guint32 value)
{
  for (int i = 0; i < 4; i++)
    at[i] = (guint8)(value >> (8 * i));
}

static gboolean
write_header (Speech *self)
{
  guint8 header[HEADER] = "RIFF....WAVEfmt \x10\0\0\0\1\0\1\0........\2\0\x10\0data....";
  guint32 bytes = (guint32)(self->samples * sizeof (gint16));

  put32 (header + 4, bytes + HEADER - 8);
  put32 (header + 24, RATE);
  put32 (header + 28, RATE * sizeof (gint16));
  put32 (header + 40, bytes);
  return fseek (self->file, 0, SEEK_SET) == 0 && fwrite (header, 1, HEADER, self->file) == HEADER;
}

static gboolean
set_write_error (int number, const char *path, GError **error)
{
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_RESOURCE, _ ("The sound cannot be written to %s: %s"), path,
               g_strerror (number));
  return FALSE;
}

static gboolean
listen (DerushMediaJob *job, DerushMediaInfo *info, Speech *self, const char *path, GError **error)
{
  g_autoptr (DerushMediaInfo) sound_only = derush_media_info_new_from_result (info->object);
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load ("speech", error);
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  GstAppSinkCallbacks callbacks = {.new_sample = on_sample};
  gboolean success;

  g_clear_pointer (&sound_only->video_id, g_free);
  if (!pipeline_template)
    return FALSE;
  pipeline = derush_media_pipeline_new (job, sound_only, pipeline_template, error);
  if (!pipeline)
    return FALSE;
  gst_app_sink_set_callbacks (GST_APP_SINK (derush_media_pipeline_get_element (pipeline, "samples")), &callbacks, self,
                              NULL);
  derush_media_pipeline_expect_buffers (pipeline, "samples", "sink");
  success = derush_media_pipeline_run (pipeline, error);
  if (self->error) {
    g_clear_error (error);
    return set_write_error (self->error, path, error);
  }
  if (success && derush_media_pipeline_get_break (pipeline))
    derush_media_job_warn (job, _ ("The film is damaged: %s"), derush_media_pipeline_get_break (pipeline));
  return success;
}

static JsonArray *
list_silences (GArray *silences)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < silences->len; i++) {
    const DerushSilence *silence = &g_array_index (silences, DerushSilence, i);
    JsonArray *item = json_array_new ();

    json_array_add_double_element (item, round ((double)silence->start * INTERVAL * 100) / 100);
    json_array_add_double_element (item, round ((double)silence->end * INTERVAL * 100) / 100);
    json_array_add_array_element (list, item);
  }
  return list;
}

/* By hand: the levels of a long film are a million numbers. */
static gboolean
write_data (DerushMediaJob *job, const Speech *self, GArray *silences, const DerushSilences *found, GError **error)
{
  g_autofree char *path = derush_media_job_path (job, DATA_NAME, error), *list_text = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  JsonArray *list = list_silences (silences);
  g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), list);

  json_array_unref (list);
  if (!path)
    return FALSE;
  list_text = derush_json_node_to_string (node);
  g_string_printf (text,
                   "{\"version\":1,\"rate\":%d,\"samples\":%" G_GUINT64_FORMAT
                   ",\"interval\":0.05,\"floor\":%d,\"threshold\":%d,\"silences\":%s,\"levels\":[",
                   RATE, self->samples, found->floor, found->threshold, list_text);
  for (guint i = 0; i < self->levels->len; i++)
    g_string_append_printf (text, "%s%d", i > 0 ? "," : "", (gint8)self->levels->data[i]);
  g_string_append (text, "]}\n");
  return derush_file_write_atomically (path, text->str, (gssize)text->len, error);
}

static JsonObject *
describe (const Speech *self, const DerushSilences *found)
{
  JsonObject *result = json_object_new ();

  if (!found->quiet) {
    json_object_set_string_member (result, "file", WAV_NAME);
    json_object_set_string_member (result, "data", DATA_NAME);
  }
  json_object_set_boolean_member (result, "audio", TRUE);
  json_object_set_boolean_member (result, "quiet", found->quiet);
  json_object_set_double_member (result, "duration", (double)self->samples / RATE);
  return result;
}

/*
 * Parameter: requireAudio. Without sound, which is a fault only then, or where nothing is to be heard, there is no `file`
 * in the result, and a warning.
 */
JsonObject *
derush_action_speech_audio (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, error);
  g_autofree char *path = NULL;
  g_auto (Speech) self = {NULL};
  g_autoptr (GArray) silences = NULL;
  DerushSilences found;
  static const guint8 nothing[HEADER];

  if (!info)
    return NULL;
  if (!info->audio_id) {
    JsonObject *result;

    if (derush_json_get_boolean (job->parameters, "requireAudio", FALSE)) {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no sound, which the job asks for"),
                   job->source.display);
      return NULL;
    }
    result = json_object_new ();

    derush_media_job_warn (job, _ ("“%s” has no sound, so nothing is said in it"), job->source.display);
    json_object_set_boolean_member (result, "audio", FALSE);
    json_object_set_boolean_member (result, "quiet", TRUE);
    json_object_set_double_member (result, "duration", info->duration);
    return result;
  }
  path = derush_media_job_path (job, WAV_NAME, error);
  if (!path)
    return NULL;
  self.levels = g_byte_array_new ();
  self.start = info->start;
  self.file = g_fopen (path, "wbe");
  if (!self.file || fwrite (nothing, 1, HEADER, self.file) != HEADER) {
    set_write_error (errno, path, error);
    return NULL;
  }
  if (!listen (job, info, &self, path, error))
    return NULL;
  if (self.in_step > 0)
    end_step (&self);
  if (!write_header (&self) || fflush (self.file) != 0) {
    set_write_error (errno, path, error);
    return NULL;
  }
  silences = derush_silences_find ((const gint8 *)self.levels->data, self.levels->len, SHORTEST_SILENCE, &found);
  if (found.quiet)
    derush_media_job_warn (job, _ ("“%s” is silent, so nothing is said in it"), job->source.display);
  else if (!write_data (job, &self, silences, &found, error))
    return NULL;
  return describe (&self, &found);
}
