/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The pictures that a model has made: decoded, brought to the size that was asked for, and written anew, so that what is
 * published is a picture and nothing else. */

#include "stills-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>

#define JPEG_QUALITY 90
#define PULL_TIMEOUT (50 * GST_MSECOND)

/* The first picture of a file that is no film. */
GstSample *
derush_still_picture_read (DerushMediaJob *job, int fd, const char *display, GError **error)
{
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load ("stills", error);
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  g_autoptr (GError) failure = NULL;
  DerushMediaJob ours = *job;
  GstSample *sample = NULL;

  if (!pipeline_template)
    return NULL;
  ours.request = NULL; /* its progress is none of the step's */
  derush_media_job_init_source (&ours, fd, display);
  pipeline = derush_media_pipeline_new (&ours, NULL, pipeline_template, error);
  if (!pipeline)
    return NULL;
  derush_media_pipeline_expect_buffers (pipeline, "frames", "sink");
  if (derush_media_pipeline_pause (pipeline, &failure) && derush_media_pipeline_play (pipeline, &failure)) {
    GstAppSink *sink = GST_APP_SINK (derush_media_pipeline_get_element (pipeline, "frames"));

    do
      sample = gst_app_sink_try_pull_sample (sink, PULL_TIMEOUT);
    while (!sample && !gst_app_sink_is_eos (sink) && derush_media_pipeline_check (pipeline, &failure) &&
           !derush_media_pipeline_get_break (pipeline));
  }
  if (sample) {
    GstSample *own = gst_sample_new (gst_sample_get_buffer (sample), gst_sample_get_caps (sample),
                                     gst_sample_get_segment (sample), NULL);

    gst_sample_unref (sample);
    return own;
  }
  if (g_error_matches (failure, DERUSH_MEDIA_ERROR, DERUSH_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is no picture that can be decoded: %s"),
                 display, failure ? failure->message : _ ("it is damaged"));
  return NULL;
}

static GstSample *
read_picture (DerushMediaJob *job, const char *name, const DerushStillPicture *wanted, GError **error)
{
  g_autofree char *path = derush_media_job_path (job, name, error);
  int fd = path ? g_open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0) : -1;
  g_autoptr (GstSample) sample = NULL;

  if (!path)
    return NULL;
  if (fd < 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_MODEL, _ ("The picture “%s” is missing: %s"), name,
                 g_strerror (errno));
    return NULL;
  }
  sample = derush_still_picture_read (job, fd, name, error);
  g_close (fd, NULL);
  return sample ? derush_still_picture_make (wanted, sample, error) : NULL;
}

static JsonObject *
take_picture (DerushMediaJob *job, JsonObject *made, guint number, GError **error)
{
  JsonObject *parameters = job->parameters, *item;
  const char *format = derush_json_get_string (parameters, "format", "png");
  DerushStillPicture wanted = {(guint)derush_json_get_int (parameters, "width", 0),
                               (guint)derush_json_get_int (parameters, "height", 0),
                               16,
                               TRUE,
                               DERUSH_STILL_FIT_COVER,
                               g_strcmp0 (format, "jpg") != 0};
  g_autofree char *name =
      g_strdup_printf ("%s-%03u.%s", derush_json_get_string (parameters, "name", "image"), number, format);
  g_autofree char *path = derush_media_job_path (job, name, error);
  g_autoptr (GstSample) picture = NULL;
  int width = 0, height = 0;

  if (!path)
    return NULL;
  picture = read_picture (job, derush_json_get_string (made, "file", ""), &wanted, error);
  if (!picture || !derush_still_picture_write (job, picture, format, JPEG_QUALITY, path, error))
    return NULL;
  gst_structure_get (gst_caps_get_structure (gst_sample_get_caps (picture), 0), "width", G_TYPE_INT, &width, "height",
                     G_TYPE_INT, &height, NULL);
  item = json_object_new ();
  json_object_set_string_member (item, "file", name);
  json_object_set_string_member (item, "format", format);
  json_object_set_int_member (item, "width", width);
  json_object_set_int_member (item, "height", height);
  if (json_object_has_member (made, "revisedPrompt"))
    json_object_set_string_member (item, "revisedPrompt", derush_json_get_string (made, "revisedPrompt", ""));
  if (json_object_has_member (made, "time"))
    json_object_set_double_member (item, "time", derush_json_get_number (made, "time", 0));
  return item;
}

/*
 * Parameters: width, height, format (png, jpg, webp), name (of the files, before their number). Takes the files that the
 * step `image` lists; one that is none costs a warning as long as another is left.
 */
JsonObject *
derush_action_pictures (DerushMediaJob *job, GError **error)
{
  JsonArray *made =
      derush_json_get_array (job->results ? derush_json_get_object (job->results, "image") : NULL, "images");
  g_autoptr (JsonArray) items = json_array_new ();
  g_autoptr (GError) first = NULL;
  guint n = made ? json_array_get_length (made) : 0;
  JsonObject *result;

  for (guint i = 0; i < n; i++) {
    g_autoptr (GError) failure = NULL;
    JsonObject *item = take_picture (job, json_array_get_object_element (made, i), i + 1, &failure);

    if (item) {
      json_array_add_object_element (items, item);
    } else if (g_error_matches (failure, DERUSH_MEDIA_ERROR, DERUSH_ERROR_CANCELLED)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    } else {
      derush_media_job_warn (job, _ ("Picture %u of the model cannot be used: %s"), i + 1, failure->message);
      if (!first)
        first = g_steal_pointer (&failure);
    }
    derush_media_job_progress (job, (double)(i + 1) / n);
  }
  if (json_array_get_length (items) == 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_MODEL, _ ("The model made no picture that can be used: %s"),
                 first ? first->message : _ ("it made none"));
    return NULL;
  }
  result = json_object_new ();
  json_object_set_array_member (result, "images", g_steal_pointer (&items));
  return result;
}
