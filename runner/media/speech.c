/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * The sound of a film for recognisers of speech: `speech.wav`, and beside it `speech.json` with its level every 50 ms and
 * its silences, by which it can be cut. Both begin where the film begins, and holes in the sound are silence in them, so
 * that their times are those of the film.
 *
 * The channels are mixed into one. Where that would extinguish what is in both of two, their difference is taken instead,
 * and where the words of a film stand clearer in its centre channel, that one.
 */

#include "media-private.h"
#include "silences-private.h"
#include "speechmix-private.h"

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
#define OTHER_NAME "speech-other.wav"
#define DATA_NAME "speech.json"
/* What lies below is no speech, but rumble, or an offset of the zero line; in Hz. */
#define LOWEST 40.0
/* By how much the channels have to extinguish each other for their difference to be taken, as a ratio of powers. */
#define EXTINCTION 10.0
/* In dBFS and dB: how loud a centre channel that has the words is, how far below the mix of all it may be, and by how much
 * more its words have to stand out of its pauses. */
#define LEAST_CENTRE -50
#define MOST_BELOW 12
#define CLEARER 3

/* What may become the file: all channels together, or another choice of them. */
typedef struct {
  FILE *file;
  char *path;
  GByteArray *levels;
  gint16 step[STEP];
  gsize in_step;
  guint64 samples;
  double power;
  double before; /* the sample before, and what became of it */
  double filtered;
} Track;

typedef struct {
  DerushMediaJob *job;
  Track mix, other; /* the latter without a file where there is no choice */
  DerushSpeechMix channels;
  GstCaps *caps; /* that @channels are of; %NULL before the first sample */
  gboolean own_clock;
  int error;
} Speech;

static void
track_clear (Track *track)
{
  if (track->file)
    fclose (track->file);
  g_clear_pointer (&track->levels, g_byte_array_unref);
  g_free (track->path);
}

static void
speech_clear (Speech *self)
{
  if (self->other.path)
    g_unlink (self->other.path);
  track_clear (&self->mix);
  track_clear (&self->other);
  gst_clear_caps (&self->caps);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Speech, speech_clear)

/* ── Samples ────────────────────────────────────────────────────────────── */

static gboolean
track_open (Track *track, DerushMediaJob *job, const char *name, GError **error)
{
  static const guint8 nothing[HEADER];

  track->path = derush_media_job_path (job, name, error);
  if (!track->path)
    return FALSE;
  track->levels = g_byte_array_new ();
  track->file = g_fopen (track->path, "wbe");
  if (track->file && fwrite (nothing, 1, HEADER, track->file) == HEADER)
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_RESOURCE, _ ("The sound cannot be written to %s: %s"),
               track->path, g_strerror (errno));
  return FALSE;
}

static void
end_step (Track *track)
{
  guint8 level = (guint8)derush_level_of (track->step, track->in_step);

  g_byte_array_append (track->levels, &level, 1);
  track->in_step = 0;
}

/* A whole step goes to the file at once. */
static gboolean
track_flush (Track *track)
{
  gsize n = track->in_step;

  if (n == 0)
    return TRUE;
  end_step (track);
  track->samples += n;
  return fwrite (track->step, sizeof *track->step, n, track->file) == n;
}

static gboolean
track_add (Track *track, double sample)
{
  double share = 1 / (1 + 2 * G_PI * LOWEST / RATE);

  track->filtered = share * (track->filtered + sample - track->before);
  track->before = sample;
  track->power += track->filtered * track->filtered;
  track->step[track->in_step++] = (gint16)CLAMP (lrint (track->filtered), -32768, 32767);
  return track->in_step < STEP || track_flush (track);
}

static guint64
count (Speech *self)
{
  return self->mix.samples + self->mix.in_step;
}

static void
add (Speech *self, double mix, double other)
{
  if (self->error == 0 && (!track_add (&self->mix, mix) || (self->other.file && !track_add (&self->other, other))))
    self->error = errno ? errno : EIO;
}

static void
write_frames (Speech *self, const gint16 *frames, gsize n)
{
  n = (gsize)MIN ((guint64)n, MOST_SAMPLES - count (self));
  for (gsize i = 0; i < n && self->error == 0; i++) {
    double mix, other;

    derush_speech_mix_frame (&self->channels, frames + i * self->channels.n_channels, &mix, &other);
    add (self, mix, other);
  }
}

static void
write_silence (Speech *self, guint64 n)
{
  for (; n > 0 && self->error == 0 && count (self) < MOST_SAMPLES; n--)
    add (self, 0, 0);
}

/* Where the sound is, on the clock of the film; what comes before its beginning, or for a second time, is left out. The
 * samples of a sound alone are its clock: it may have no better one. */
static void
write_buffer (Speech *self, GstBuffer *buffer, const GstSegment *segment)
{
  GstClockTime time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  gsize size = sizeof (gint16) * self->channels.n_channels, n, skip = 0;
  GstMapInfo map;
  gint64 place;

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    return;
  n = map.size / size;
  if (GST_CLOCK_TIME_IS_VALID (time)) {
    place = llround ((double)time / GST_SECOND * RATE) - (gint64)count (self);
    if (place > LEAST_HOLE)
      write_silence (self, (guint64)place);
    else if (place < -LEAST_HOLE && (!self->own_clock || count (self) == 0))
      skip = (gsize)MIN ((gint64)n, -place);
  }
  write_frames (self, (const gint16 *)(gconstpointer)map.data + skip * self->channels.n_channels, n - skip);
  gst_buffer_unmap (buffer, &map);
}

/* The channels of a broadcast may change. */
static gboolean
set_caps (Speech *self, GstCaps *caps)
{
  gboolean first = self->caps == NULL;
  GstAudioInfo info;

  if (!caps || (self->caps && gst_caps_is_equal (self->caps, caps)))
    return caps != NULL;
  if (!gst_audio_info_from_caps (&info, caps))
    return FALSE;
  gst_caps_replace (&self->caps, caps);
  derush_speech_mix_init (&self->channels, &info);
  if (first && derush_speech_mix_has_other (&self->channels) && !track_open (&self->other, self->job, OTHER_NAME, NULL))
    self->error = errno ? errno : EIO;
  return self->error == 0;
}

static GstFlowReturn
on_sample (GstAppSink *sink, gpointer user_data)
{
  Speech *self = user_data;
  g_autoptr (GstSample) sample = gst_app_sink_pull_sample (sink);
  GstBuffer *buffer;

  if (!sample)
    return GST_FLOW_EOS;
  if (!set_caps (self, gst_sample_get_caps (sample)))
    return GST_FLOW_ERROR;
  buffer = gst_audio_buffer_clip (gst_buffer_ref (gst_sample_get_buffer (sample)), gst_sample_get_segment (sample),
                                  RATE, (int)(sizeof (gint16) * self->channels.n_channels));
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
write_header (const Track *track)
{
  guint8 header[HEADER] = "RIFF....WAVEfmt \x10\0\0\0\1\0\1\0........\2\0\x10\0data....";
  guint32 bytes = (guint32)(track->samples * sizeof (gint16));

  put32 (header + 4, bytes + HEADER - 8);
  put32 (header + 24, RATE);
  put32 (header + 28, RATE * sizeof (gint16));
  put32 (header + 40, bytes);
  return fseek (track->file, 0, SEEK_SET) == 0 && fwrite (header, 1, HEADER, track->file) == HEADER &&
         fflush (track->file) == 0;
}

static gboolean
set_write_error (int number, const char *path, GError **error)
{
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_RESOURCE, _ ("The sound cannot be written to %s: %s"), path,
               g_strerror (number));
  return FALSE;
}

static gboolean
listen (DerushMediaJob *job, DerushMediaInfo *info, Speech *self, GError **error)
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
    return set_write_error (self->error, self->mix.path, error);
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
write_data (DerushMediaJob *job, const Track *self, GArray *silences, const DerushSilences *found, GError **error)
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
describe (const Track *self, const DerushSilences *found)
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

static DerushSilences
look_at (const Track *track)
{
  DerushSilences found;

  g_array_unref (
      derush_silences_find ((const gint8 *)track->levels->data, track->levels->len, SHORTEST_SILENCE, &found));
  return found;
}

static gboolean
is_other_better (const Speech *self)
{
  DerushSilences mix = look_at (&self->mix), other = look_at (&self->other);

  if (self->channels.centre < 0)
    return self->other.power > EXTINCTION * self->mix.power;
  return other.loud >= LEAST_CENTRE && other.loud >= mix.loud - MOST_BELOW &&
         other.loud - other.floor >= mix.loud - mix.floor + CLEARER;
}

/* Leaves in @mix what was chosen, and its file under the name that others know. */
static gboolean
finish (Speech *self, GError **error)
{
  if (!track_flush (&self->mix) || (self->other.file && !track_flush (&self->other)))
    return set_write_error (errno, self->mix.path, error);
  if (self->other.file && is_other_better (self)) {
    Track chosen = self->other;

    if (g_rename (chosen.path, self->mix.path) != 0)
      return set_write_error (errno, self->mix.path, error);
    self->other = (Track){NULL};
    g_free (chosen.path);
    chosen.path = g_steal_pointer (&self->mix.path);
    track_clear (&self->mix);
    self->mix = chosen;
  }
  return write_header (&self->mix) || set_write_error (errno, self->mix.path, error);
}

/*
 * Parameter: requireAudio. Without sound, which is a fault only then, or where nothing is to be heard, there is no `file`
 * in the result, and a warning.
 */
JsonObject *
derush_action_speech_audio (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, error);
  g_auto (Speech) self = {NULL};
  g_autoptr (GArray) silences = NULL;
  DerushSilences found;

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
  self.job = job;
  self.own_clock = info->video_id == NULL;
  if (!track_open (&self.mix, job, WAV_NAME, error) || !listen (job, info, &self, error))
    return NULL;
  if (!finish (&self, error))
    return NULL;
  if (derush_file_missing (job->source.fd) > 0)
    derush_media_job_warn (
        job, _ ("“%s” is cut off: the file is shorter than it says, and what is said after %.2f s is missing"),
        job->source.display, (double)self.mix.samples / RATE);
  silences =
      derush_silences_find ((const gint8 *)self.mix.levels->data, self.mix.levels->len, SHORTEST_SILENCE, &found);
  if (found.quiet)
    derush_media_job_warn (job, _ ("“%s” is silent, so nothing is said in it"), job->source.display);
  else if (!write_data (job, &self.mix, silences, &found, error))
    return NULL;
  return describe (&self.mix, &found);
}
