/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Clips of highlights: each a file of its own, those that cannot be made named among the others, and one film of all. */

#include "clips-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* The share of the work that the clips themselves are when they are merged as well. */
#define CLIPS_SHARE 0.6

/* What is wrong with one clip only; everything else ends the job. */
static gboolean
is_of_clip (const GError *error)
{
  DerushErrorClass class = derush_error_get_class (error);

  return class == DERUSH_ERROR_BAD_INPUT || class == DERUSH_ERROR_INTERNAL;
}

static JsonObject *
cut (DerushMediaJob *job, DerushMediaInfo *info, JsonObject *part, const char *file, GError **error)
{
  g_autoptr (JsonObject) parameters = json_object_new ();
  const double padding = derush_json_get_number (job->parameters, "padding", 0);
  double start = derush_json_get_number (part, "start", 0), end = derush_json_get_number (part, "end", 0);
  const char *said = derush_json_get_string (part, "error", NULL);
  DerushMediaJob ours = *job;
  JsonObject *made;

  if (said || (info->duration > 0 && start >= info->duration)) {
    if (said)
      g_set_error_literal (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, said);
    else
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                   _ ("The start of the cut (%.3f s) lies beyond the end of “%s” (%.3f s)"), start, job->source.display,
                   info->duration);
    return NULL;
  }
  if (info->duration > 0 && end > info->duration + 0.05)
    derush_media_job_warn (job, _ ("The end of the cut (%.3f s) was moved to the end of the film (%.3f s)"), end,
                           info->duration);
  start = MAX (start - padding, 0);
  end += padding;
  if (info->duration > 0 && end >= info->duration)
    end = info->duration;
  else
    json_object_set_double_member (parameters, "end", end);
  json_object_set_double_member (parameters, "start", start);
  json_object_set_string_member (parameters, "quality", derush_json_get_string (job->parameters, "quality", "medium"));
  json_object_set_string_member (parameters, "format", derush_json_get_string (job->parameters, "format", "mp4"));
  json_object_set_string_member (parameters, "name", file);
  ours.parameters = parameters;
  made = derush_action_transcode (&ours, error);
  if (!made)
    return NULL;
  json_object_set_double_member (made, "startTime", start);
  json_object_set_double_member (made, "endTime", end);
  return made;
}

static JsonObject *
name_failure (JsonObject *part, const GError *failure)
{
  JsonObject *item = json_object_new ();

  json_object_set_double_member (item, "startTime", derush_json_get_number (part, "start", 0));
  json_object_set_double_member (item, "endTime", derush_json_get_number (part, "end", 0));
  json_object_set_string_member (item, "error", failure->message);
  return item;
}

static JsonObject *
merge (DerushMediaJob *job, DerushMediaInfo *info, JsonArray *clips, GError **error)
{
  g_autofree DerushClip *list = g_new0 (DerushClip, json_array_get_length (clips));
  g_autofree char *name =
      g_strdup_printf ("%s-compilation.%s", derush_json_get_string (job->parameters, "name", "film"),
                       derush_json_get_string (job->parameters, "format", "mp4"));
  DerushMediaJob ours = *job;
  JsonObject *result;
  double duration = 0;
  guint n = 0;

  for (guint i = 0; i < json_array_get_length (clips); i++) {
    JsonObject *item = json_array_get_object_element (clips, i);

    if (!json_object_has_member (item, "file"))
      continue;
    list[n].file = derush_json_get_string (item, "file", NULL);
    list[n].duration = derush_json_get_number (item, "endTime", 0) - derush_json_get_number (item, "startTime", 0);
    /* The next one begins with a frame of its own. */
    if (info->fps > 0)
      list[n].duration =
          MAX (ceil (list[n].duration * info->fps - 0.01), (double)derush_json_get_int (item, "frames", 0)) / info->fps;
    list[n].sound = derush_json_get_string (item, "audioCodec", NULL) != NULL;
    duration += list[n++].duration;
  }
  ours.progress_from = CLIPS_SHARE;
  if (!derush_clips_merge (&ours, info, list, n, name, error))
    return NULL;
  result = json_object_new ();
  json_object_set_string_member (result, "file", name);
  json_object_set_double_member (result, "duration", duration);
  return result;
}

static JsonArray *
cut_all (DerushMediaJob *job, DerushMediaInfo *info, JsonArray *parts, double share, GError **error)
{
  const char *base = derush_json_get_string (job->parameters, "name", "film");
  const char *format = derush_json_get_string (job->parameters, "format", "mp4");
  g_autoptr (JsonArray) clips = json_array_new ();
  g_autoptr (GError) first = NULL;
  guint n = json_array_get_length (parts), made = 0;

  for (guint i = 0; i < n; i++) {
    JsonObject *part = json_array_get_object_element (parts, i), *item;
    g_autofree char *file = g_strdup_printf ("%s-clip-%03u.%s", base, i + 1, format);
    g_autoptr (GError) failure = NULL;
    DerushMediaJob ours = *job;

    ours.progress_from = share * i / n;
    ours.progress_left = 1 - share * (i + 1) / n;
    item = cut (&ours, info, part, file, &failure);
    if (!item && (!is_of_clip (failure) || g_cancellable_is_cancelled (job->cancellable))) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
    if (item) {
      made++;
    } else {
      item = name_failure (part, failure);
      derush_media_job_warn (job, _ ("Clip %u could not be made: %s"), i + 1, failure->message);
      if (!first)
        first = g_steal_pointer (&failure);
    }
    if (json_object_has_member (part, "id"))
      json_object_set_string_member (item, "id", derush_json_get_string (part, "id", ""));
    json_array_add_object_element (clips, item);
  }
  if (made > 0)
    return g_steal_pointer (&clips);
  if (first)
    g_propagate_prefixed_error (error, g_steal_pointer (&first), _ ("None of the clips could be made: "));
  return NULL;
}

JsonObject *
derush_action_clips (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, error);
  JsonArray *parts = derush_json_get_array (job->parameters, "parts");
  const gboolean merged = derush_json_get_boolean (job->parameters, "merge", FALSE);
  g_autoptr (JsonArray) clips = NULL;
  JsonObject *result, *compilation = NULL;

  if (!info)
    return NULL;
  if (!info->video_id || !parts || json_array_get_length (parts) == 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                 info->video_id ? _ ("There is no part of “%s” to cut") : _ ("“%s” has no picture, only sound"),
                 job->source.display);
    return NULL;
  }
  clips = cut_all (job, info, parts, merged ? CLIPS_SHARE : 1, error);
  if (!clips)
    return NULL;
  if (merged) {
    compilation = merge (job, info, clips, error);
    if (!compilation)
      return NULL;
  }
  result = json_object_new ();
  json_object_set_array_member (result, "clips", g_steal_pointer (&clips));
  if (compilation)
    json_object_set_object_member (result, "compilation", compilation);
  return result;
}
