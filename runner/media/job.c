/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

static const struct {
  const char *name;
  DerushMediaAction action;
} actions[] = {
    {"probe", derush_action_probe},           {"transcode", derush_action_transcode},
    {"check", derush_action_check},           {"analyse", derush_action_analyse},
    {"highlights", derush_action_highlights}, {"shots", derush_action_shots},
    {"thumbnails", derush_action_thumbnails}, {"storyboard", derush_action_storyboard},
    {"shorts", derush_action_shorts},         {"clips", derush_action_clips},
    {"frames", derush_action_frames},         {"pictures", derush_action_pictures},
    {"self-test", derush_action_self_test},   {"speech-audio", derush_action_speech_audio},
    {"voice-mix", derush_action_voice_mix},   {"voice-encode", derush_action_voice_encode},
};

DerushMediaAction
derush_media_action_find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    if (g_strcmp0 (actions[i].name, name) == 0)
      return actions[i].action;
  return NULL;
}

void
derush_media_job_init_source (DerushMediaJob *job, int fd, const char *display)
{
  job->source.name = (char *)"source";
  job->source.display = (char *)display;
  job->source.fd = fd;
}

void
derush_media_job_progress (DerushMediaJob *job, double progress)
{
  if (job->request)
    derush_step_request_progress (job->request, job->progress_from + (1 - job->progress_from - job->progress_left) *
                                                                         CLAMP (progress, 0, 1));
}

void
derush_media_job_warn (DerushMediaJob *job, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  if (job->request)
    derush_step_request_warn (job->request, message);
}

void
derush_media_job_set_debug (DerushMediaJob *job, const char *debug)
{
  if (job->request)
    derush_step_request_set_debug (job->request, debug);
}

char *
derush_media_job_path (DerushMediaJob *job, const char *name, GError **error)
{
  if (!name || *name == '\0' || strchr (name, '/') || strcmp (name, ".") == 0 || strcmp (name, "..") == 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is no file name"), name ? name : "");
    return NULL;
  }
  if (!job->directory || !g_path_is_absolute (job->directory)) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The job has no folder to write to"));
    return NULL;
  }
  return g_build_filename (job->directory, name, NULL);
}

gboolean
derush_media_job_require_source (DerushMediaJob *job, GError **error)
{
  if (job->source.fd >= 0)
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The step “%s” needs a film, and the job names none"), job->action);
  return FALSE;
}
