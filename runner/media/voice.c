/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Voices: one that a model made is encoded as the job asks for, or mixed into the sound of a film, which makes room for
 * it. What the mix is to be as loud as is found out on the mix itself.
 */

#include "clips-private.h"
#include "mp4edits-private.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define MIX_NAME "voice-mix.wav"
#define SCRATCH_NAME "voice.faststart"
/* Shares of the progress: the mix, listening to it, the film. */
#define MIXED 0.35
#define HEARD 0.6
/* What is nearly silent stays so, in dB. */
#define MOST_GAIN 20
#define TRUE_PEAK -1.0
/* Of what the templates encode, per second. */
#define RATE 48000
/* Than the film, in seconds: the end of a voice is silence. */
#define LONGER 0.2

typedef struct {
  DerushMediaJob *job;
  char *voice;       /* the file with the voice */
  char *mix;         /* the file with what is to be heard: the voice, or the film and the voice */
  DerushSound *gain; /* or %NULL */
} Voice;

static void
voice_clear (Voice *self)
{
  g_free (self->voice);
  g_free (self->mix);
  g_clear_pointer (&self->gain, derush_sound_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Voice, voice_clear)

/* A file of the step that spoke. */
static gboolean
find_voice (Voice *self, GError **error)
{
  JsonObject *spoken = derush_json_get_object (self->job->results, "speak");

  self->voice = derush_media_job_path (self->job, derush_json_get_string (spoken, "file", ""), error);
  return self->voice != NULL;
}

/* @job, but for a sound of its own folder in the place of the film. */
static gboolean
open_as_source (DerushMediaJob *job, const char *path, DerushMediaJob *ours, GError **error)
{
  *ours = *job;
  ours->source.display = (char *)path;
  ours->source.fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (ours->source.fd >= 0)
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The voice %s cannot be read: %s"), path,
               g_strerror (errno));
  return FALSE;
}

static gboolean
set_file (DerushMediaJob *job, DerushTemplate *pipeline_template, const char *parameter, const char *name,
          GError **error)
{
  g_autofree char *path = derush_media_job_path (job, name, error);

  return path && (!derush_template_has_parameter (pipeline_template, parameter) ||
                  derush_template_set_string (pipeline_template, parameter, path, error));
}

/* Plays @pipeline_template into the file @name of the job's folder. */
static gboolean
play (DerushMediaJob *job, DerushMediaInfo *info, DerushTemplate *pipeline_template, const DerushSound *gain,
      const char *name, double *end, GError **error)
{
  g_autofree char *path = derush_media_job_path (job, name, error), *scratch = NULL;
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  GstElement *level;
  gboolean success;

  if (!path || !derush_template_set_output (pipeline_template, path, error) ||
      !set_file (job, pipeline_template, "faststart-file", SCRATCH_NAME, error))
    return FALSE;
  pipeline = derush_media_pipeline_new (job, info, pipeline_template, error);
  if (!pipeline)
    return FALSE;
  level = derush_media_pipeline_get_element (pipeline, "level");
  if (gain && level)
    derush_sound_apply (gain, level);
  derush_media_pipeline_expect_buffers (pipeline, "output", "sink");
  success = derush_media_pipeline_run (pipeline, error);
  if (end)
    *end = derush_media_pipeline_get_end (pipeline);
  scratch = derush_media_job_path (job, SCRATCH_NAME, NULL);
  g_unlink (scratch);
  if (success && derush_media_pipeline_get_element (pipeline, "audio-encoder"))
    success = derush_sound_correct (RATE, path, error);
  if (!success)
    g_unlink (path);
  return success;
}

/* ── Sounds ─────────────────────────────────────────────────────────────── */

/* @path as a sound of the format that is asked for. */
static JsonObject *
encode (DerushMediaJob *job, const char *path, const DerushSound *gain, const char *format, const char *base,
        GError **error)
{
  g_autofree char *template_name = g_strconcat ("voice-", format, NULL),
                  *name = g_strdup_printf ("%s.%s", base, format);
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load (template_name, error);
  g_autoptr (DerushMediaInfo) info = NULL;
  g_autoptr (JsonObject) probe = NULL;
  DerushMediaJob ours;
  JsonObject *result = NULL;

  if (!pipeline_template || !open_as_source (job, path, &ours, error))
    return NULL;
  probe = derush_media_probe (ours.source.fd, path, NULL, job->cancellable, error);
  info = probe ? derush_media_info_new_from_result (probe) : NULL;
  if (info && play (&ours, info, pipeline_template, gain, name, NULL, error)) {
    result = json_object_new ();
    json_object_set_string_member (result, "file", name);
    json_object_set_string_member (result, "format", format);
    json_object_set_double_member (result, "duration", info->duration);
  }
  close (ours.source.fd);
  return result;
}

/*
 * Parameters: format (mp3, m4a, opus, flac, wav), name (of the file, without its extension).
 */
JsonObject *
derush_action_voice_encode (DerushMediaJob *job, GError **error)
{
  g_auto (Voice) self = {.job = job};

  if (!find_voice (&self, error))
    return NULL;
  return encode (job, self.voice, NULL, derush_json_get_string (job->parameters, "format", "mp3"),
                 derush_json_get_string (job->parameters, "name", "voice"), error);
}

/* ── Mixes ──────────────────────────────────────────────────────────────── */

/* Of a film that has no sound, or whose own is not wanted, the voice alone is heard. */
static gboolean
mix (Voice *self, DerushMediaInfo *info, GError **error)
{
  g_autoptr (DerushMediaInfo) sound_only = derush_media_info_new_from_result (info->object);
  g_autoptr (DerushTemplate) pipeline_template = NULL;
  DerushMediaJob ours = *self->job;

  if (!info->audio_id || !derush_json_get_boolean (self->job->parameters, "keepBackground", TRUE)) {
    self->mix = g_strdup (self->voice);
    return TRUE;
  }
  pipeline_template = derush_template_load ("voice-mix", error);
  self->mix = derush_media_job_path (self->job, MIX_NAME, error);
  g_clear_pointer (&sound_only->video_id, g_free);
  ours.progress_left = 1 - MIXED;
  return pipeline_template && self->mix &&
         derush_template_set_string (pipeline_template, "voice", self->voice, error) &&
         derush_template_set_double (pipeline_template, "duck-gain",
                                     derush_json_get_number (self->job->parameters, "duckGain", -14), error) &&
         play (&ours, sound_only, pipeline_template, NULL, MIX_NAME, NULL, error);
}

/* As loud as is asked for, by a number or by a platform. */
static gboolean
find_gain (Voice *self, GError **error)
{
  JsonObject *parameters = self->job->parameters;
  const char *name = derush_json_get_string (parameters, "platform", NULL);
  DerushMasterGoal goal = {
      .loudness = derush_json_get_number (parameters, "targetLufs", 0), .true_peak = TRUE_PEAK, .max_gain = MOST_GAIN};
  g_autoptr (DerushMediaInfo) info = NULL;
  g_autoptr (JsonObject) probe = NULL;
  g_autoptr (GError) local = NULL;
  DerushPlatform platform;
  DerushMediaJob ours;

  if (!json_object_has_member (parameters, "targetLufs")) {
    if (!name)
      return TRUE;
    if (!derush_platform_load (&platform, name, error))
      return FALSE;
    if (!platform.masters)
      return TRUE;
    goal = platform.sound;
  }
  if (!open_as_source (self->job, self->mix, &ours, error))
    return FALSE;
  probe = derush_media_probe (ours.source.fd, self->mix, NULL, self->job->cancellable, &local);
  info = probe ? derush_media_info_new_from_result (probe) : NULL;
  if (info)
    self->gain = derush_sound_master (&ours, info, &goal, 0, -1, _ ("The film with the voice"), &local);
  close (ours.source.fd);
  if (!local)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* A picture that has to be turned for watching, or that an edit list lets begin in the middle of a group, is encoded anew; so
 * are those of containers such as AVI, which do not say when pictures are shown that are not in the order of their packets. */
static gboolean
can_copy (DerushMediaJob *job, DerushMediaInfo *info)
{
  static const char *const timed[] = {"video/quicktime", "video/x-matroska", "video/webm",
                                      "video/mpegts",    "video/x-flv",      NULL};
  JsonObject *video = derush_json_get_object (info->object, "video");
  DerushMp4Edits edits;

  return g_strv_contains (timed, derush_json_get_string (info->object, "container", "")) &&
         g_str_has_prefix (derush_json_get_string (video, "caps", ""), "video/x-h264") &&
         derush_json_get_int (video, "rotation", 0) == 0 && !derush_json_get_boolean (video, "flipped", FALSE) &&
         !(derush_mp4_edits_read (job->source.fd, &edits) && edits.cuts_group);
}

static JsonObject *
make_film (Voice *self, DerushMediaInfo *info, const char *base, GError **error)
{
  g_autofree char *name = g_strconcat (base, ".mp4", NULL);
  gboolean copied = can_copy (self->job, info);
  g_autoptr (DerushMediaInfo) picture_only = derush_media_info_new_from_result (info->object);
  g_autoptr (DerushTemplate) pipeline_template =
      derush_template_load (copied ? "voice-film-h264" : "voice-film", error);
  DerushMediaJob ours = *self->job;
  JsonObject *result;

  g_clear_pointer (&picture_only->audio_id, g_free);
  ours.progress_from = HEARD;
  if (!pipeline_template || !derush_template_set_string (pipeline_template, "voice", self->mix, error) ||
      !play (&ours, picture_only, pipeline_template, self->gain, name, NULL, error))
    return NULL;
  result = json_object_new ();
  json_object_set_string_member (result, "file", name);
  json_object_set_string_member (result, "format", "mp4");
  json_object_set_double_member (result, "duration", info->duration);
  json_object_set_boolean_member (result, "pictureCopied", copied);
  return result;
}

/*
 * Parameters: duckGain in dB, keepBackground, targetLufs or platform, format (of a sound), name (of the file, without its
 * extension). Of a film a film is made, of a sound a sound.
 */
JsonObject *
derush_action_voice_mix (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, error);
  const char *base = derush_json_get_string (job->parameters, "name", "voice-mix");
  g_auto (Voice) self = {.job = job};
  double length = derush_json_get_number (derush_json_get_object (job->results, "speak"), "duration", 0);
  JsonObject *result;

  if (info && info->duration > 0 && length > info->duration + LONGER)
    derush_media_job_warn (job, _ ("The voice lasts %.1f s, but “%s” only %.1f s"), length, job->source.display,
                           info->duration);
  if (!info || !find_voice (&self, error) || !mix (&self, info, error) || !find_gain (&self, error))
    return NULL;
  derush_media_job_progress (job, HEARD);
  result = info->video_id ? make_film (&self, info, base, error)
                          : encode (job, self.mix, self.gain, derush_json_get_string (job->parameters, "format", "mp3"),
                                    base, error);
  if (strcmp (self.mix, self.voice) != 0)
    g_unlink (self.mix);
  if (result && self.gain) {
    json_object_set_double_member (result, "loudness", round (self.gain->loudness * 100) / 100);
    json_object_set_double_member (result, "truePeak", round (self.gain->true_peak * 100) / 100);
  }
  return result;
}
