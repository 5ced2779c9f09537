/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define FRAMES_PER_SECOND 25

JsonObject *
derush_action_self_test (DerushMediaJob *job, GError **error)
{
  gint64 duration = derush_json_get_int (job->parameters, "durationMs", 0);
  const char *outcome = derush_json_get_string (job->parameters, "do", "");
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load ("self-test", error);
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  JsonObject *result;

  if (!pipeline_template ||
      !derush_template_set_int (pipeline_template, "frames", MAX (1, duration * FRAMES_PER_SECOND / 1000), error))
    return NULL;
  pipeline = derush_media_pipeline_new (job, NULL, pipeline_template, error);
  if (!pipeline)
    return NULL;
  derush_media_pipeline_set_duration (pipeline, (double)duration / 1000);
  derush_media_pipeline_expect_buffers (pipeline, "sink", "sink");
  if (!derush_media_pipeline_run (pipeline, error))
    return NULL;
  if (strcmp (outcome, "ok") != 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The self-test failed, as it was asked to"));
    return NULL;
  }
  result = json_object_new ();
  json_object_set_string_member (result, "done", "ok");
  json_object_set_int_member (result, "frames", (gint64)derush_media_pipeline_get_buffers (pipeline, "sink"));
  return result;
}
