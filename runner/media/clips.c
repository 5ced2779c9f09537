/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Clips of highlights: each a file of its own, those that cannot be made named among the others, and one film of all. */

#include "clips-private.h"
#include "parts-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* The share of the work that the clips themselves are when they are merged as well. */
#define CLIPS_SHARE 0.6

/* What is to be made of a part of the film, or why that cannot be. */
static void
plan_clip (DerushMediaJob *job, DerushMediaInfo *info, JsonObject *clip, const char *file, DerushPart *part)
{
  const double padding = derush_json_get_number (job->parameters, "padding", 0);
  double start = derush_json_get_number (clip, "start", 0), end = derush_json_get_number (clip, "end", 0);
  const char *said = derush_json_get_string (clip, "error", NULL);

  if (said) {
    g_set_error_literal (&part->error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, said);
    return;
  }
  if (info->duration > 0 && start >= info->duration) {
    g_set_error (&part->error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The start of the cut (%.3f s) lies beyond the end of “%s” (%.3f s)"), start, job->source.display,
                 info->duration);
    return;
  }
  if (info->duration > 0 && end > info->duration + 0.05)
    derush_media_job_warn (job, _ ("The end of the cut (%.3f s) was moved to the end of the film (%.3f s)"), end,
                           info->duration);
  part->parameters = json_object_new ();
  end += padding;
  if (info->duration <= 0 || end < info->duration)
    json_object_set_double_member (part->parameters, "end", end);
  json_object_set_double_member (part->parameters, "start", MAX (start - padding, 0));
  json_object_set_string_member (part->parameters, "quality",
                                 derush_json_get_string (job->parameters, "quality", "medium"));
  json_object_set_string_member (part->parameters, "format", derush_json_get_string (job->parameters, "format", "mp4"));
  json_object_set_string_member (part->parameters, "name", file);
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

/* The part of the result for one clip. */
static JsonObject *
describe_clip (DerushMediaJob *job, DerushMediaInfo *info, JsonObject *clip, guint number, const DerushPart *part)
{
  JsonObject *item;

  if (part->result) {
    item = json_object_ref (part->result);
    json_object_set_double_member (item, "startTime", derush_json_get_number (part->parameters, "start", 0));
    json_object_set_double_member (item, "endTime", derush_json_get_number (part->parameters, "end", info->duration));
  } else {
    item = name_failure (clip, part->error);
    derush_media_job_warn (job, _ ("Clip %u could not be made: %s"), number, part->error->message);
  }
  if (json_object_has_member (clip, "id"))
    json_object_set_string_member (item, "id", derush_json_get_string (clip, "id", ""));
  return item;
}

static JsonArray *
describe_clips (DerushMediaJob *job, DerushMediaInfo *info, JsonArray *parts, GArray *made, GError **error)
{
  g_autoptr (JsonArray) clips = json_array_new ();
  GError *first = NULL;
  guint n_made = 0;

  for (guint i = 0; i < made->len; i++) {
    DerushPart *part = &g_array_index (made, DerushPart, i);

    json_array_add_object_element (clips,
                                   describe_clip (job, info, json_array_get_object_element (parts, i), i + 1, part));
    n_made += part->result != NULL;
    if (!first)
      first = part->error;
  }
  if (n_made > 0)
    return g_steal_pointer (&clips);
  g_propagate_prefixed_error (error, g_error_copy (first), _ ("None of the clips could be made: "));
  return NULL;
}

static JsonArray *
cut_all (DerushMediaJob *job, DerushMediaInfo *info, JsonArray *parts, double share, GError **error)
{
  const char *base = derush_json_get_string (job->parameters, "name", "film");
  const char *format = derush_json_get_string (job->parameters, "format", "mp4");
  g_autoptr (GArray) made = g_array_new (FALSE, TRUE, sizeof (DerushPart));
  DerushMediaJob ours = *job;

  g_array_set_clear_func (made, (GDestroyNotify)derush_part_clear);
  g_array_set_size (made, json_array_get_length (parts));
  for (guint i = 0; i < made->len; i++) {
    g_autofree char *file = g_strdup_printf ("%s-clip-%03u.%s", base, i + 1, format);

    plan_clip (job, info, json_array_get_object_element (parts, i), file, &g_array_index (made, DerushPart, i));
  }
  ours.progress_left = 1 - share;
  if (!derush_parts_make (&ours, info, (DerushPart *)(gpointer)made->data, made->len, error))
    return NULL;
  return describe_clips (job, info, parts, made, error);
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
