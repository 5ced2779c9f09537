/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* SHORT_CREATION: parts of a film, cropped and scaled for a platform. The sizes and limits of platforms are data of the
 * media worker; here they are names only. */

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MIN_SIZE 16
#define MAX_SIZE 4096
#define MAX_TIME 604800 /* a week */

#define DEFAULT_COUNT 3
#define DEFAULT_DURATION 30
/* The best moment is not worth a short if it is a blink. */
#define LEAST_DURATION 3

static const Field fields[] = {
    {"startTime", FIELD_NUMBER, "start", .min = 0, .max = MAX_TIME},
    {"endTime", FIELD_NUMBER, "end", .min = 0, .max = MAX_TIME},
    {"duration", FIELD_NUMBER, .min = 0.1, .max = 3600},
    {"maxDuration", FIELD_NUMBER, "duration", .min = 0.1, .max = 3600},
    {"count", FIELD_INTEGER, .min = 1, .max = MAX_MOMENTS},
    {"highlights", FIELD_ANY},
    {"platform", FIELD_NAME, .choices = "X=TWITTER"},
    {"aspectRatio", FIELD_TEXT, .max = 64},
    {"width", FIELD_INTEGER, .min = MIN_SIZE, .max = MAX_SIZE},
    {"height", FIELD_INTEGER, .min = MIN_SIZE, .max = MAX_SIZE},
    {"quality", FIELD_CHOICE, .choices = "low medium high ultra"},
    {"format", FIELD_CHOICE, .choices = "mp4 m4v=mp4 !mov !mkv !webm !avi !gif !hls"},
    {"title", FIELD_TEXT, .max = 512},
    {"description", FIELD_TEXT, .max = 4096},
    {"addSubtitles", FIELD_BOOLEAN},
    {"subtitles", FIELD_ANY},
    {"addMusic", FIELD_BOOLEAN},
    {"addWatermark", FIELD_BOOLEAN},
    {"musicUrl", FIELD_TEXT, .max = 8192},
    {"status", FIELD_ANY},
    {"tags", FIELD_ANY},
    {NULL},
};

static const char *const containers[] = {"shortRequest", "options", NULL};

/* Which parts of the film are asked for. Returns: (transfer full) (nullable): NULL for the best ones */
static JsonArray *
read_parts (JsonObject *values, Checker *checker)
{
  JsonNode *highlights = json_object_get_member (values, "highlights");
  gboolean has_end = json_object_has_member (values, "end"), has_start = json_object_has_member (values, "start");
  double start = derush_json_get_number (values, "start", 0), end = derush_json_get_number (values, "end", 0);
  double duration = derush_json_get_number (values, "duration", 0);
  JsonArray *parts;
  JsonObject *part;

  /* What a search for highlights answers that found none: not a fault of whoever hands it on. */
  if (!has_start && !has_end && highlights && JSON_NODE_HOLDS_ARRAY (highlights) &&
      json_array_get_length (json_node_get_array (highlights)) == 0) {
    checker_warn (checker, _ ("%s is an empty list, so the best of the film is taken"),
                  checker_pointer (checker, "highlights"));
    return NULL;
  }
  if (!has_start && !has_end)
    return highlights ? moments_read (checker, highlights, checker_pointer (checker, "highlights"),
                                      (guint)derush_json_get_int (values, "count", 0), MAX_MOMENTS)
                      : NULL;
  if (highlights)
    checker_warn (checker, _ ("%s is ignored, because %s says which part is meant"),
                  checker_pointer (checker, "highlights"), checker_pointer (checker, has_start ? "start" : "end"));
  if (derush_json_get_int (values, "count", 1) > 1)
    checker_warn (checker, _ ("%s is ignored, because %s says which part is meant"), checker_pointer (checker, "count"),
                  checker_pointer (checker, has_start ? "start" : "end"));
  if (has_end && end <= start)
    checker_fault (checker, checker_pointer (checker, "end"),
                   _ ("is %.15g, must be more than startTime, which is %.15g"), end, start);
  parts = json_array_new ();
  part = json_object_new ();
  json_object_set_double_member (part, "start", start);
  if (has_end)
    json_object_set_double_member (part, "end", end);
  else
    json_object_set_double_member (part, "end", start + (duration > 0 ? duration : DEFAULT_DURATION));
  json_array_add_object_element (parts, part);
  return parts;
}

static void
read_picture (JsonObject *values, JsonObject *parameters, Checker *checker)
{
  const char *aspect = derush_json_get_string (values, "aspectRatio", NULL);
  gint64 numerator, denominator;

  if (aspect && !aspect_parse (aspect, &numerator, &denominator)) {
    g_autofree char *quoted = text_quote (aspect);

    checker_fault (checker, checker_pointer (checker, "aspectRatio"),
                   _ ("is %s, must be two whole numbers such as 9:16, from 1:5 to 5:1"), quoted);
  } else if (aspect) {
    g_autofree char *usual = g_strdup_printf ("%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT, numerator, denominator);

    json_object_set_string_member (parameters, "aspectRatio", usual);
  }
  copy_member (values, "width", parameters, NULL);
  copy_member (values, "height", parameters, NULL);
}

static JsonArray *
best_types (void)
{
  JsonArray *types = json_array_new ();

  json_array_add_string_element (types, "MOTION");
  json_array_add_string_element (types, "AUDIO");
  json_array_add_string_element (types, "SCENE_CHANGE");
  return types;
}

static void
plan_best (DerushPlan *plan, JsonObject *values)
{
  double longest = derush_json_get_number (values, "duration", DEFAULT_DURATION);
  JsonObject *highlights;

  plan_add_step (plan, "analyse", DERUSH_STEP_MEDIA, 0.35);
  highlights = plan_add_step (plan, "highlights", DERUSH_STEP_MEDIA, 0.05);
  json_object_set_int_member (highlights, "maxHighlights", derush_json_get_int (values, "count", DEFAULT_COUNT));
  json_object_set_string_member (highlights, "sensitivity", "high");
  json_object_set_array_member (highlights, "detectionTypes", best_types ());
  set_seconds (highlights, "minDuration", MIN (LEAST_DURATION, longest));
  set_seconds (highlights, "maxDuration", longest);
  copy_member (values, "platform", highlights, NULL);
}

static void
plan_short_creation (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *base = plan_base_name (plan), *name = g_strdup_printf ("%s-short", base);
  JsonArray *parts = read_parts (values, checker);
  JsonObject *probe, *shorts, *check;

  checker_refuse_wishes (checker, values);
  /* A stored analysis also says where the camera goes. */
  plan->needs_analysis = TRUE;
  probe = plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
  /* What cannot be right is refused before the film is looked at for its best parts. */
  json_object_set_boolean_member (probe, "picture", TRUE);
  copy_member (values, "platform", probe, NULL);
  if (!parts)
    plan_best (plan, values);
  shorts = plan_add_step (plan, "shorts", DERUSH_STEP_MEDIA, parts ? 0.85 : 0.45);
  check = plan_add_step (plan, "check", DERUSH_STEP_MEDIA, 0.10);
  if (parts)
    json_object_set_array_member (shorts, "parts", parts);
  else
    json_object_set_int_member (shorts, "count", derush_json_get_int (values, "count", DEFAULT_COUNT));
  copy_member (values, "duration", shorts, "maxDuration");
  copy_member (values, "platform", shorts, NULL);
  read_picture (values, shorts, checker);
  json_object_set_string_member (shorts, "quality", derush_json_get_string (values, "quality", "medium"));
  json_object_set_string_member (shorts, "format", derush_json_get_string (values, "format", "mp4"));
  json_object_set_string_member (shorts, "name", name);
  if (json_object_has_member (values, "subtitles"))
    json_object_set_array_member (
        shorts, "subtitles",
        cues_read (checker, json_object_get_member (values, "subtitles"), checker_pointer (checker, "subtitles")));
  copy_member (values, "title", shorts, NULL);
  copy_member (values, "description", shorts, NULL);
  json_object_set_string_member (check, "step", "shorts");
  json_object_set_string_member (check, "list", "shorts");
}

static JsonArray *
list_made (JsonObject *results)
{
  return derush_json_get_array (derush_json_get_object (results, "shorts"), "shorts");
}

static void
short_outputs (DerushPlan *plan, JsonObject *results, GPtrArray *outputs)
{
  JsonArray *made = list_made (results);

  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonNode *item = json_array_get_element (made, i);

    if (!JSON_NODE_HOLDS_OBJECT (item))
      continue;
    outputs_add (outputs, derush_json_get_string (json_node_get_object (item), "file", NULL), "short");
    outputs_add (outputs, derush_json_get_string (json_node_get_object (item), "cropFile", NULL), "crop-path");
  }
}

/* What is said in the part, on its own clock. */
static JsonArray *
subtitles_within (JsonArray *cues, double from, double to)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; cues && i < json_array_get_length (cues); i++) {
    JsonObject *cue = json_array_get_object_element (cues, i), *item;
    double start = MAX (derush_json_get_number (cue, "start", 0), from);
    double end = MIN (derush_json_get_number (cue, "end", 0), to);

    if (end <= start)
      continue;
    item = json_object_new ();
    set_seconds (item, "start", start - from);
    set_seconds (item, "end", end - from);
    json_object_set_string_member (item, "text", derush_json_get_string (cue, "text", ""));
    json_array_add_object_element (list, item);
  }
  return list;
}

static JsonObject *
short_row (JsonObject *made, const Finished *finished, JsonObject *parameters)
{
  const char *file = derush_json_get_string (made, "file", NULL);
  const DerushOutput *output = finished_find_output (finished, file);
  JsonObject *row = json_object_new ();

  json_object_set_string_member (row, "filePath", finished_path (finished, file));
  json_object_set_int_member (row, "fileSize", output ? output->size : 0);
  set_seconds (row, "startTime", derush_json_get_number (made, "startTime", 0));
  set_seconds (row, "endTime", derush_json_get_number (made, "endTime", 0));
  set_seconds (row, "duration", derush_json_get_number (made, "duration", 0));
  set_whole (row, "width", derush_json_get_number (made, "width", 0));
  set_whole (row, "height", derush_json_get_number (made, "height", 0));
  set_number (row, "fps", derush_json_get_number (made, "fps", 0));
  json_object_set_string_member (row, "format", derush_json_get_string (parameters, "format", "mp4"));
  json_object_set_string_member (row, "quality", derush_json_get_string (parameters, "quality", "medium"));
  json_object_set_string_member (row, "platform", derush_json_get_string (parameters, "platform", ""));
  json_object_set_string_member (row, "title", derush_json_get_string (parameters, "title", ""));
  json_object_set_string_member (
      row, "description",
      derush_json_get_string (parameters, "description", derush_json_get_string (made, "description", "")));
  json_object_set_boolean_member (row, "hasSubtitles", FALSE);
  json_object_set_boolean_member (row, "hasMusic", FALSE);
  json_object_set_array_member (row, "subtitles",
                                subtitles_within (derush_json_get_array (parameters, "subtitles"),
                                                  derush_json_get_number (made, "startTime", 0),
                                                  derush_json_get_number (made, "endTime", 0)));
  json_object_set_string_member (row, "cropPath",
                                 finished_path (finished, derush_json_get_string (made, "cropFile", NULL)));
  copy_member (made, "loudness", row, NULL);
  copy_member (made, "truePeak", row, NULL);
  copy_member (made, "id", row, "highlightId");
  return row;
}

static void
short_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *parameters = plan_find_step (plan, "shorts")->parameters;
  JsonArray *made = list_made (finished->results), *rows = json_array_new ();

  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonNode *item = json_array_get_element (made, i);

    if (JSON_NODE_HOLDS_OBJECT (item))
      json_array_add_object_element (rows, short_row (json_node_get_object (item), finished, parameters));
  }
  json_object_set_array_member (value, "shorts", rows);
}

const JobType short_creation = {
    .name = "SHORT_CREATION",
    .queue = "video-processing",
    .aliases = "CREATE_SHORT CREATE_SHORTS SHORTS",
    .fields = fields,
    .containers = containers,
    .needs_source = TRUE,
    .plan = plan_short_creation,
    .outputs = short_outputs,
    .returns = short_returns,
};
