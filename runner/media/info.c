/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <glib/gi18n-lib.h>

static char *
stream_id (JsonObject *stream)
{
  const char *id = stream ? derush_json_get_string (stream, "id", "") : NULL;

  return g_strdup (id);
}

DerushMediaInfo *
derush_media_info_new_from_result (JsonObject *probe_result)
{
  DerushMediaInfo *info = g_new0 (DerushMediaInfo, 1);
  JsonObject *video = derush_json_get_object (probe_result, "video");
  JsonObject *audio = derush_json_get_object (probe_result, "audio");

  info->object = json_object_ref (probe_result);
  info->video_id = stream_id (video);
  info->audio_id = stream_id (audio);
  info->duration = derush_json_get_number (probe_result, "duration", 0);
  info->start = derush_json_get_number (probe_result, "startTime", 0);
  info->seekable = derush_json_get_boolean (probe_result, "seekable", TRUE);
  if (video) {
    info->coded_width = (int)derush_json_get_int (video, "width", 0);
    info->coded_height = (int)derush_json_get_int (video, "height", 0);
    info->width = (int)derush_json_get_int (video, "displayWidth", 0);
    info->height = (int)derush_json_get_int (video, "displayHeight", 0);
    info->fps = derush_json_get_number (video, "fps", 0);
    info->interlaced = derush_json_get_boolean (video, "interlaced", FALSE);
    info->hdr = derush_json_get_boolean (video, "hdr", FALSE);
  }
  if (audio) {
    info->audio_rate = (int)derush_json_get_int (audio, "rate", 0);
    info->audio_channels = (int)derush_json_get_int (audio, "channels", 0);
  }
  return info;
}

void
derush_media_info_free (DerushMediaInfo *info)
{
  json_object_unref (info->object);
  g_free (info->video_id);
  g_free (info->audio_id);
  g_free (info);
}

DerushMediaInfo *
derush_media_job_get_info (DerushMediaJob *job, GError **error)
{
  JsonObject *known = job->results ? derush_json_get_object (job->results, "probe") : NULL;
  g_autoptr (JsonObject) result = NULL;

  if (!derush_media_job_require_source (job, error))
    return NULL;
  if (known)
    result = json_object_ref (known);
  else
    result = derush_media_probe (job->source.fd, job->source.display, NULL, job->cancellable, error);
  return result ? derush_media_info_new_from_result (result) : NULL;
}
