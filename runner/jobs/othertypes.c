/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* SELF_TEST, for operators and tests, and ANALYSIS, which `derush analysis` runs. */

#include "jobs-private.h"

#include <glib/gi18n-lib.h>

static const Field self_test_fields[] = {
    {"do", FIELD_CHOICE, .choices = "ok fail"},
    {"durationMs", FIELD_INTEGER, .min = 0, .max = 3600000},
    {NULL},
};

static void
plan_self_test (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  const char *outcome = derush_json_get_string (values, "do", NULL);
  gint64 duration = derush_json_get_int (values, "durationMs", 0);
  JsonObject *parameters;

  if (!outcome) {
    if (checker->faults->len == 0)
      checker_fault (checker, "/do", _ ("is missing, must be one of ok, fail"));
    return;
  }
  parameters = plan_add_step (plan, "self-test", duration > 0 ? DERUSH_STEP_MEDIA : DERUSH_STEP_DAEMON, 1);
  json_object_set_string_member (parameters, "do", outcome);
  json_object_set_int_member (parameters, "durationMs", duration);
}

static void
self_test_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *result = derush_json_get_object (finished->results, "self-test");

  json_object_set_string_member (value, "done", derush_json_get_string (result, "done", "ok"));
}

const JobType self_test = {
    .name = "SELF_TEST",
    .queue = "video-processing",
    .aliases = "",
    .fields = self_test_fields,
    .labels = TRUE,
    .plan = plan_self_test,
    .returns = self_test_returns,
};

static const Field analysis_fields[] = {{NULL}};

static void
plan_analysis (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  plan->needs_analysis = TRUE;
  plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
  plan_add_step (plan, "analyse", DERUSH_STEP_MEDIA, 0.90);
  plan_add_step (plan, "shots", DERUSH_STEP_MEDIA, 0.05);
}

/* What an editor has to know of the film: the picture upright and in square pixels, its rate, and the sound. */
static void
describe_streams (const Finished *finished, JsonObject *value)
{
  JsonObject *probe = derush_json_get_object (finished->results, "probe");
  JsonObject *video = derush_json_get_object (probe, "video"), *audio = derush_json_get_object (probe, "audio");

  if (video) {
    JsonObject *picture = json_object_new ();

    copy_member (video, "displayWidth", picture, "width");
    copy_member (video, "displayHeight", picture, "height");
    copy_member (video, "fpsNumerator", picture, NULL);
    copy_member (video, "fpsDenominator", picture, NULL);
    json_object_set_object_member (value, "video", picture);
  }
  if (audio) {
    JsonObject *sound = json_object_new ();

    copy_member (audio, "rate", sound, NULL);
    copy_member (audio, "channels", sound, NULL);
    json_object_set_object_member (value, "audio", sound);
  }
}

static void
analysis_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *result = derush_json_get_object (finished->results, "shots");

  if (derush_json_get_array (result, "shots"))
    copy_member (result, "shots", value, NULL);
  set_seconds (value, "duration", derush_json_get_number (result, "duration", 0));
  set_whole (value, "frames", derush_json_get_number (result, "frames", 0));
  if (!derush_json_get_array (value, "shots"))
    json_object_set_array_member (value, "shots", json_array_new ());
  describe_streams (finished, value);
  json_object_set_string_member (value, "analysisPath", finished->analysis_path ? finished->analysis_path : "");
}

const JobType analysis = {
    .name = "ANALYSIS",
    .queue = "video-processing",
    .aliases = "",
    .fields = analysis_fields,
    .needs_source = TRUE,
    .plan = plan_analysis,
    .returns = analysis_returns,
};
