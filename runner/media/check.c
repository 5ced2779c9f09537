/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "brightness-private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* Mean luma: a film that was brighter than the first and became darker than the second has lost its picture. */
#define BRIGHT 0.08
#define BLACK 0.02
#define DURATION_TOLERANCE 0.25
/* The end is what is missing where something went wrong: what begins in so many last seconds is decoded as a whole. */
#define TAIL 3.0

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error_literal (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, message);
  return FALSE;
}

/* What the step in question made, if that is a list of films. */
static JsonArray *
list_of (DerushMediaJob *job)
{
  const char *list = derush_json_get_string (job->parameters, "list", NULL);
  JsonObject *step =
      job->results
          ? derush_json_get_object (job->results, derush_json_get_string (job->parameters, "step", "transcode"))
          : NULL;

  return list ? derush_json_get_array (step, list) : NULL;
}

/* The result of the step that made @file, for comparison. */
static JsonObject *
find_maker (DerushMediaJob *job, const char *file)
{
  JsonArray *made = list_of (job);
  g_autoptr (GList) names = job->results ? json_object_get_members (job->results) : NULL;

  for (GList *name = names; name; name = name->next) {
    JsonObject *result = derush_json_get_object (job->results, name->data);

    if (g_strcmp0 (derush_json_get_string (result, "file", NULL), file) == 0)
      return result;
  }
  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonObject *item = json_array_get_object_element (made, i);

    if (g_strcmp0 (derush_json_get_string (item, "file", NULL), file) == 0)
      return item;
  }
  return NULL;
}

/* What was found in a new film. */
typedef struct {
  guint64 frames;
  double end;
  double brightness;
} Found;

static gboolean
is_black (JsonObject *made, const Found *found)
{
  return derush_json_get_number (made, "brightness", 0) > BRIGHT && found->brightness >= 0 && found->brightness < BLACK;
}

static gboolean
compare (JsonObject *made, DerushMediaInfo *info, const Found *found, const char *file, GError **error)
{
  double duration = derush_json_get_number (made, "duration", 0);
  gint64 expected = derush_json_get_int (made, "frames", -1);

  if (fabs (duration - found->end) > DURATION_TOLERANCE + (info->fps > 0 ? 1 / info->fps : 0.1))
    return refuse (error, _ ("The new film “%s” lasts %.2f s by its header but plays for %.2f s"), file, duration,
                   found->end);
  if (expected >= 0 && ABS (expected - (gint64)found->frames) > 1)
    return refuse (error, _ ("The new film “%s” has %" PRId64 " pictures, but %" PRId64 " were written"), file,
                   (gint64)found->frames, expected);
  if (is_black (made, found))
    return refuse (error, _ ("The new film “%s” is black, but its source is not"), file);
  return TRUE;
}

/* H.264 and H.265 have one picture in each packet. */
static gboolean
has_picture_in_each_packet (DerushMediaInfo *info)
{
  const char *caps = derush_json_get_string (derush_json_get_object (info->object, "video"), "caps", "");

  return g_str_has_prefix (caps, "video/x-h264") || g_str_has_prefix (caps, "video/x-h265");
}

static gboolean
play (DerushMediaJob *job, DerushMediaInfo *info, const char *file, gboolean sparse, Found *found, GError **error)
{
  g_autoptr (DerushBrightness) brightness = derush_brightness_new (sparse ? 0 : 1);
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load ("decode", error);
  g_autoptr (DerushMediaPipeline) pipeline =
      pipeline_template ? derush_media_pipeline_new (job, info, pipeline_template, error) : NULL;

  if (!pipeline)
    return FALSE;
  if (sparse)
    derush_media_pipeline_set_sparse (pipeline, TAIL);
  derush_media_pipeline_expect_buffers (pipeline, "video-sink", "sink");
  derush_media_pipeline_expect_buffers (pipeline, "audio-sink", "sink");
  derush_brightness_watch (brightness, derush_media_pipeline_get_element (pipeline, "video-in"));
  if (!derush_media_pipeline_run (pipeline, error))
    return FALSE;
  found->frames = sparse ? derush_media_pipeline_get_packets (pipeline)
                         : derush_media_pipeline_get_buffers (pipeline, "video-sink");
  found->end = derush_media_pipeline_get_end (pipeline);
  found->brightness = derush_brightness_get_maximum (brightness);
  return !derush_media_pipeline_get_break (pipeline) ||
         refuse (error, _ ("The new film “%s” does not play to its end: %s"), file,
                 derush_media_pipeline_get_break (pipeline));
}

/* Every packet is read; of the pictures, key frames and the end are decoded: what else an encoder writes can only be missing,
 * which shows in their number. Key frames may all be black where a film fades in: then all of it is looked at. */
static JsonObject *
decode (DerushMediaJob *job, const char *file, GError **error)
{
  g_autoptr (JsonObject) probe = derush_media_probe (job->source.fd, file, NULL, job->cancellable, error);
  g_autoptr (DerushMediaInfo) info = probe ? derush_media_info_new_from_result (probe) : NULL;
  JsonObject *made = find_maker (job, file);
  gboolean sparse = info && has_picture_in_each_packet (info);
  JsonObject *result;
  Found found;

  if (!info || !play (job, info, file, sparse, &found, error))
    return NULL;
  if (sparse && made && is_black (made, &found) && !play (job, info, file, FALSE, &found, error))
    return NULL;
  if (made && !compare (made, info, &found, file, error))
    return NULL;
  result = json_object_new ();
  json_object_set_boolean_member (result, "ok", TRUE);
  json_object_set_int_member (result, "frames", (gint64)found.frames);
  json_object_set_double_member (result, "duration", found.end);
  return result;
}

static JsonObject *
check_file (DerushMediaJob *job, const char *file, GError **error)
{
  g_autofree char *path = derush_media_job_path (job, file, error);
  DerushMediaJob ours = *job;
  JsonObject *result;

  if (!path)
    return NULL;
  derush_media_job_init_source (&ours, g_open (path, O_RDONLY | O_CLOEXEC, 0), file);
  if (ours.source.fd < 0) {
    refuse (error, _ ("The new film “%s” cannot be opened: %s"), file, g_strerror (errno));
    return NULL;
  }
  result = decode (&ours, file, error);
  g_close (ours.source.fd, NULL);
  /* Whatever is wrong with a film of our own making is not the fault of who sent the job. */
  if (error && *error && derush_error_get_class (*error) == DERUSH_ERROR_BAD_INPUT) {
    (*error)->domain = DERUSH_MEDIA_ERROR;
    (*error)->code = DERUSH_ERROR_INTERNAL;
  }
  return result;
}

static JsonObject *
check_list (DerushMediaJob *job, JsonArray *made, GError **error)
{
  JsonObject *step =
      derush_json_get_object (job->results, derush_json_get_string (job->parameters, "step", "transcode"));
  JsonObject *merged = derush_json_get_object (step, "compilation");
  guint n = json_array_get_length (made);
  gint64 frames = 0;
  double duration = 0;
  JsonObject *result;

  for (guint i = 0; i < n; i++) {
    const char *file = derush_json_get_string (json_array_get_object_element (made, i), "file", NULL);
    g_autoptr (JsonObject) checked = NULL;
    DerushMediaJob ours = *job;

    if (!file)
      continue;
    ours.progress_from = (double)i / n;
    ours.progress_left = 1 - (i + 1.0) / n;
    checked = check_file (&ours, file, error);
    if (!checked)
      return NULL;
    frames += derush_json_get_int (checked, "frames", 0);
    duration += derush_json_get_number (checked, "duration", 0);
  }
  if (merged && derush_json_get_string (merged, "file", NULL)) {
    g_autoptr (JsonObject) checked = check_file (job, derush_json_get_string (merged, "file", NULL), error);

    if (!checked)
      return NULL;
  }
  result = json_object_new ();
  json_object_set_boolean_member (result, "ok", TRUE);
  json_object_set_int_member (result, "frames", frames);
  json_object_set_double_member (result, "duration", duration);
  return result;
}

JsonObject *
derush_action_check (DerushMediaJob *job, GError **error)
{
  JsonObject *transcode = job->results ? derush_json_get_object (job->results, "transcode") : NULL;
  const char *file = derush_json_get_string (job->parameters, "file", NULL);
  JsonArray *made = list_of (job);

  if (made)
    return check_list (job, made, error);
  if (!file && transcode)
    file = derush_json_get_string (transcode, "file", NULL);
  return check_file (job, file, error);
}
