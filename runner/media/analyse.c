/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "alongside-private.h"
#include "media-private.h"
#include "storyboard-private.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* ── Measuring ──────────────────────────────────────────────────────────── */

static JsonObject *
describe (const DerushAnalysis *analysis, gboolean cached)
{
  JsonObject *result = json_object_new ();

  if (!cached)
    json_object_set_string_member (result, "file", DERUSH_ANALYSIS_FILE);
  json_object_set_boolean_member (result, "cached", cached);
  json_object_set_int_member (result, "frames", analysis->n_frames);
  json_object_set_double_member (result, "duration", analysis->duration);
  return result;
}

/* The storyboard that the job wants too, if all of the film is decoded for it; %NULL without an error: it is not. */
static DerushStoryboard *
plan_storyboard (DerushMediaJob *job, DerushMediaInfo *info, GError **error)
{
  JsonObject *wanted = derush_json_get_object (job->parameters, "storyboard");

  return wanted && derush_storyboard_needs_all_frames (info) ? derush_storyboard_new (job, info, wanted, error) : NULL;
}

static DerushMediaPipeline *
prepare (DerushMediaJob *job, DerushMediaInfo *info, DerushStoryboard *storyboard, GError **error)
{
  g_autoptr (DerushTemplate) pipeline_template = NULL;

  if (storyboard)
    return derush_storyboard_prepare (storyboard, "analyse-storyboard", error);
  pipeline_template = derush_template_load ("analyse", error);
  return pipeline_template ? derush_media_pipeline_new (job, info, pipeline_template, error) : NULL;
}

/* @pages: (out) (nullable): the answer of the step `storyboard`, if its pages were made on the way */
static gboolean
measure (DerushMediaJob *job, const char *path, JsonObject **pages, GError **error)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, error);
  g_autoptr (GError) failure = NULL;
  g_autoptr (DerushStoryboard) storyboard = info ? plan_storyboard (job, info, &failure) : NULL;
  g_autoptr (DerushMediaPipeline) pipeline = info && !failure ? prepare (job, info, storyboard, error) : NULL;

  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  if (!pipeline)
    return FALSE;
  g_object_set (derush_media_pipeline_get_element (pipeline, "analyser"), "analysis-location", path, NULL);
  derush_media_pipeline_expect_buffers (pipeline, info->video_id ? "video-in" : "audio-in", "sink");
  if (derush_media_pipeline_run (pipeline, error)) {
    *pages = storyboard ? derush_storyboard_finish (storyboard, error) : NULL;
    return !storyboard || *pages;
  }
  if (storyboard)
    derush_storyboard_discard (storyboard);
  return FALSE;
}

/* From the analysis alone, so that one that was stored by another job says the same. */
static void
warn_of_missing (DerushMediaJob *job, const DerushAnalysis *analysis)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, NULL);
  double end = analysis->duration; /* of the last frame, which may stand long, or of the sound */

  if (analysis->n_frames == 0)
    derush_media_job_warn (job, _ ("The film has no picture: only its sound was measured"));
  if (analysis->n_audio == 0)
    derush_media_job_warn (job, _ ("The film has no sound: only its picture was measured"));
  if (info && info->duration - end > MAX (0.5, 0.02 * info->duration))
    derush_media_job_warn (job, _ ("Only the first %.2f s of %.2f s of the film could be read"), end, info->duration);
}

/* What another step may have measured on its way; where it has not, nobody needs it here. */
static JsonObject *
take_made (DerushMediaJob *job, GError **error)
{
  g_autofree char *path = derush_media_job_path (job, DERUSH_ANALYSIS_FILE, error);
  g_autoptr (DerushAnalysisFile) file = path ? derush_analysis_file_open (path, NULL) : NULL;

  if (!path)
    return NULL;
  return file ? describe (derush_analysis_file_get (file), FALSE) : json_object_new ();
}

JsonObject *
derush_action_analyse (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushAnalysisFile) file = NULL;
  g_autoptr (GError) failure = NULL;
  g_autofree char *path = NULL;
  JsonObject *pages = NULL, *result;

  if (derush_json_get_string (job->parameters, "from", NULL))
    return take_made (job, error);
  if (job->analysis.fd >= 0) {
    file = derush_analysis_file_open_fd (job->analysis.fd, &failure);
    if (file) {
      warn_of_missing (job, derush_analysis_file_get (file));
      return describe (derush_analysis_file_get (file), TRUE);
    }
    /* An old version or a damaged file: what is measured now takes its place. */
    derush_media_job_set_debug (job, failure->message);
    g_clear_error (&failure);
  }
  path = derush_media_job_path (job, DERUSH_ANALYSIS_FILE, error);
  if (!path)
    return NULL;
  if (!measure (job, path, &pages, error)) {
    g_unlink (path);
    return NULL;
  }
  file = derush_analysis_file_open (path, &failure);
  if (!file) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The analysis of “%s” was not stored: %s"),
                 job->source.display, failure->message);
    g_clear_pointer (&pages, json_object_unref);
    return NULL;
  }
  warn_of_missing (job, derush_analysis_file_get (file));
  result = describe (derush_analysis_file_get (file), FALSE);
  if (pages)
    json_object_set_object_member (result, "storyboard", pages);
  return result;
}

DerushAnalysisFile *
derush_media_job_open_analysis (DerushMediaJob *job, GError **error)
{
  JsonObject *made = job->results ? derush_json_get_object (job->results, "analyse") : NULL;
  const char *name = derush_json_get_string (made, "file", NULL);
  g_autofree char *path = name ? derush_media_job_path (job, name, error) : NULL;
  g_autoptr (GError) failure = NULL;
  DerushAnalysisFile *file = NULL;

  if (name && !path)
    return NULL;
  if (path)
    file = derush_analysis_file_open (path, &failure);
  else if (job->analysis.fd >= 0)
    file = derush_analysis_file_open_fd (job->analysis.fd, &failure);
  if (!file)
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The analysis of “%s” cannot be read: %s"),
                 job->source.display ? job->source.display : _ ("the film"),
                 failure ? failure->message : _ ("none was made"));
  return file;
}

/* ── Shots ──────────────────────────────────────────────────────────────── */

static double
to_milliseconds (double seconds)
{
  return round (seconds * 1000) / 1000;
}

JsonObject *
derush_action_shots (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushAnalysisFile) file = derush_media_job_open_analysis (job, error);
  const DerushAnalysis *analysis = file ? derush_analysis_file_get (file) : NULL;
  JsonArray *shots;
  JsonObject *result;

  if (!analysis)
    return NULL;
  shots = json_array_new ();
  for (guint i = 0; i < analysis->n_shots; i++) {
    const DerushShot *shot = &analysis->shots[i];
    JsonObject *item = json_object_new ();

    json_object_set_double_member (item, "start", to_milliseconds (shot->start));
    json_object_set_double_member (item, "end", to_milliseconds (shot->end));
    json_object_set_int_member (item, "firstFrame", shot->first_frame);
    json_object_set_string_member (item, "transition",
                                   derush_transition_to_string ((DerushTransition)shot->transition));
    json_array_add_object_element (shots, item);
  }
  result = json_object_new ();
  json_object_set_double_member (result, "duration", to_milliseconds (analysis->duration));
  json_object_set_int_member (result, "frames", analysis->n_frames);
  json_object_set_array_member (result, "shots", shots);
  return result;
}

/* ── Highlights ─────────────────────────────────────────────────────────── */

static gboolean
read_options (DerushMediaJob *job, DerushHighlightOptions *options, GError **error)
{
  JsonArray *types = derush_json_get_array (job->parameters, "detectionTypes");
  DerushPlatform platform;
  const char *sensitivity = derush_json_get_string (job->parameters, "sensitivity", "medium");

  derush_highlight_options_init (options);
  options->max_highlights = (guint)derush_json_get_int (job->parameters, "maxHighlights", options->max_highlights);
  options->min_duration = derush_json_get_number (job->parameters, "minDuration", options->min_duration);
  options->max_duration = derush_json_get_number (job->parameters, "maxDuration", options->max_duration);
  if (!derush_platform_load (&platform, derush_json_get_string (job->parameters, "platform", NULL), error))
    return FALSE;
  if (platform.max_duration > 0) {
    options->max_duration = MIN (options->max_duration, platform.max_duration);
    options->min_duration = MIN (options->min_duration, options->max_duration);
  }
  if (!derush_sensitivity_from_string (sensitivity, &options->sensitivity)) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no sensitivity “%s”"), sensitivity);
    return FALSE;
  }
  if (types && json_array_get_length (types) > 0)
    options->detections = 0;
  for (guint i = 0; types && i < json_array_get_length (types); i++) {
    JsonNode *node = json_array_get_element (types, i);
    const char *name = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
    DerushDetection detection;

    if (g_strcmp0 (name, "ACTION") == 0) {
      options->detections |= DERUSH_DETECTION_ALL;
    } else if (name && derush_detection_from_string (name, &detection)) {
      options->detections |= detection;
    } else {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no detection type “%s”"),
                   name ? name : "");
      return FALSE;
    }
  }
  return TRUE;
}

static JsonObject *
describe_signals (const DerushHighlight *highlight)
{
  JsonObject *signals = json_object_new ();

  for (guint i = 0; i < DERUSH_N_SIGNALS; i++) {
    JsonObject *signal;

    if (highlight->weights[i] <= 0)
      continue;
    signal = json_object_new ();
    json_object_set_double_member (signal, "value", highlight->values[i]);
    json_object_set_double_member (signal, "weight", highlight->weights[i]);
    json_object_set_object_member (signals, derush_signal_to_string ((DerushSignal)i), signal);
  }
  return signals;
}

static JsonArray *
list_reasons (const DerushHighlight *highlight)
{
  JsonArray *reasons = json_array_new ();

  for (guint i = 0; highlight->reasons && highlight->reasons[i]; i++)
    json_array_add_string_element (reasons, highlight->reasons[i]);
  return reasons;
}

/* The signals that carry the score, in small letters as tags are. */
static JsonArray *
list_tags (const DerushHighlight *highlight)
{
  JsonArray *tags = json_array_new ();

  for (guint i = 0; i < DERUSH_N_SIGNALS; i++) {
    g_autofree char *tag = NULL;

    if (highlight->score <= 0 || highlight->values[i] * highlight->weights[i] < 0.25 * highlight->score)
      continue;
    tag = g_ascii_strdown (derush_signal_to_string ((DerushSignal)i), -1);
    g_strdelimit (tag, "_", '-');
    json_array_add_string_element (tags, tag);
  }
  return tags;
}

static JsonObject *
describe_highlight (const DerushHighlight *highlight)
{
  JsonObject *item = json_object_new ();
  JsonObject *metadata = json_object_new ();
  g_autofree char *description = highlight->reasons ? g_strjoinv (", ", highlight->reasons) : g_strdup ("");

  json_object_set_double_member (item, "startTime", to_milliseconds (highlight->start));
  json_object_set_double_member (item, "endTime", to_milliseconds (highlight->end));
  json_object_set_double_member (item, "duration", to_milliseconds (highlight->end - highlight->start));
  json_object_set_string_member (item, "type", highlight->type ? highlight->type : "ACTION");
  json_object_set_double_member (item, "confidence", highlight->score);
  json_object_set_string_member (item, "description", description);
  json_object_set_array_member (item, "tags", list_tags (highlight));
  json_object_set_object_member (metadata, "signals", describe_signals (highlight));
  json_object_set_array_member (metadata, "reasons", list_reasons (highlight));
  json_object_set_object_member (item, "metadata", metadata);
  return item;
}

static JsonArray *
describe_all (GPtrArray *highlights)
{
  JsonArray *items = json_array_new ();

  for (guint i = 0; i < highlights->len; i++)
    json_array_add_object_element (items, describe_highlight (g_ptr_array_index (highlights, i)));
  return items;
}

JsonObject *
derush_action_highlights (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushAnalysisFile) file = derush_media_job_open_analysis (job, error);
  g_autoptr (DerushHighlights) highlights = NULL;
  DerushHighlightOptions options;
  JsonObject *result;

  if (!file || !read_options (job, &options, error))
    return NULL;
  highlights = derush_highlights_find (derush_analysis_file_get (file), &options);
  result = json_object_new ();
  json_object_set_array_member (result, "highlights", describe_all (highlights->chosen));
  json_object_set_array_member (result, "rejected", describe_all (highlights->rejected));
  return result;
}
