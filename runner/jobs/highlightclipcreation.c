/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* HIGHLIGHT_CLIP_CREATION: clips of given highlights, or of those that HIGHLIGHT_DETECTION found in the same film. */

#include "jobs-private.h"

#include <glib/gi18n-lib.h>

#define MAX_PADDING 60

static const Field fields[] = {
    {"highlights", FIELD_ANY},
    {"highlightIds", FIELD_ANY},
    {"padding", FIELD_NUMBER, .min = 0, .max = MAX_PADDING},
    {"merge", FIELD_BOOLEAN},
    {"quality", FIELD_CHOICE, .choices = "low medium high ultra"},
    {"format", FIELD_CHOICE, .choices = "mp4 m4v=mp4 !mov !mkv !webm !avi !gif !hls"},
    {NULL},
};

static const char *const containers[] = {"clipRequest", "options", NULL};

static JsonObject *
part_of_id (DerushPlan *plan, const char *id, guint *known)
{
  JsonObject *part = json_object_new ();
  double start, end;

  json_object_set_string_member (part, "id", id);
  if (!highlight_id_parse (plan, id, &start, &end)) {
    json_object_set_string_member (part, "error",
                                   _ ("This is no id of a highlight that was found in this film under this videoId"));
    return part;
  }
  json_object_set_double_member (part, "start", start);
  json_object_set_double_member (part, "end", end);
  ++*known;
  return part;
}

static JsonArray *
read_ids (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  JsonNode *node = json_object_get_member (values, "highlightIds");
  const char *pointer = checker_pointer (checker, "highlightIds");
  JsonArray *items = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL, *parts = json_array_new ();
  guint n = items ? json_array_get_length (items) : 0, known = 0;

  if (!items) {
    g_autofree char *value = json_node_quote (node);

    checker_fault (checker, pointer, _ ("is %s, must be a list of ids"), value);
  } else if (n == 0) {
    checker_fault (checker, pointer, _ ("is an empty list: there is nothing to cut"));
  } else if (n > MAX_CLIPS) {
    moments_fault_length (checker, pointer, n, MAX_CLIPS);
    n = 0;
  }
  for (guint i = 0; i < n; i++) {
    const char *id = string_element (items, i);
    g_autofree char *place = NULL, *value = NULL;

    if (id && *id && g_utf8_strlen (id, -1) <= 128) {
      json_array_add_object_element (parts, part_of_id (plan, id, &known));
      continue;
    }
    place = g_strdup_printf ("%s/%u", pointer, i);
    value = json_node_quote (json_array_get_element (items, i));
    checker_fault (checker, place, _ ("is %s, must be an id"), value);
  }
  if (known == 0 && json_array_get_length (parts) > 0)
    checker_fault (checker, pointer, _ ("names no highlight that was found in this film under this videoId"));
  return parts;
}

static JsonArray *
read_parts (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  JsonNode *highlights = json_object_get_member (values, "highlights");
  gboolean has_ids = json_object_has_member (values, "highlightIds");

  if (highlights) {
    if (has_ids)
      checker_warn (checker, _ ("%s is ignored, because %s says which part is meant"),
                    checker_pointer (checker, "highlightIds"), checker_pointer (checker, "highlights"));
    return moments_read (checker, highlights, checker_pointer (checker, "highlights"), 0, MAX_CLIPS);
  }
  if (has_ids)
    return read_ids (plan, values, checker);
  checker_fault (checker, "/highlights", _ ("is missing: name the parts as highlights or highlightIds"));
  return json_array_new ();
}

static void
plan_clips (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *base = plan_base_name (plan);
  JsonObject *clips, *check;

  plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
  clips = plan_add_step (plan, "clips", DERUSH_STEP_MEDIA, 0.85);
  check = plan_add_step (plan, "check", DERUSH_STEP_MEDIA, 0.10);
  json_object_set_array_member (clips, "parts", read_parts (plan, values, checker));
  set_seconds (clips, "padding", derush_json_get_number (values, "padding", 0));
  json_object_set_boolean_member (clips, "merge", derush_json_get_boolean (values, "merge", FALSE));
  json_object_set_string_member (clips, "quality", derush_json_get_string (values, "quality", "medium"));
  json_object_set_string_member (clips, "format", derush_json_get_string (values, "format", "mp4"));
  json_object_set_string_member (clips, "name", base);
  json_object_set_string_member (check, "step", "clips");
  json_object_set_string_member (check, "list", "clips");
}

static JsonObject *
nth_object (JsonArray *array, guint i)
{
  JsonNode *node = json_array_get_element (array, i);

  return JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static void
clip_outputs (DerushPlan *plan, JsonObject *results, GPtrArray *outputs)
{
  JsonObject *result = derush_json_get_object (results, "clips");
  JsonArray *made = derush_json_get_array (result, "clips");

  for (guint i = 0; made && i < json_array_get_length (made); i++)
    outputs_add (outputs, derush_json_get_string (nth_object (made, i), "file", NULL), "clip");
  outputs_add (outputs, derush_json_get_string (derush_json_get_object (result, "compilation"), "file", NULL),
               "compilation");
}

static JsonObject *
clip_row (JsonObject *made, const Finished *finished)
{
  const char *file = derush_json_get_string (made, "file", NULL);
  const DerushOutput *output = finished_find_output (finished, file);
  JsonObject *row = json_object_new ();

  json_object_set_string_member (row, "highlightId", derush_json_get_string (made, "id", ""));
  json_object_set_string_member (row, "filePath", finished_path (finished, file));
  set_seconds (row, "startTime", derush_json_get_number (made, "startTime", 0));
  set_seconds (row, "endTime", derush_json_get_number (made, "endTime", 0));
  set_seconds (row, "duration", derush_json_get_number (made, "duration", 0));
  json_object_set_int_member (row, "fileSize", output ? output->size : 0);
  copy_member (made, "error", row, NULL);
  return row;
}

static void
clip_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *result = derush_json_get_object (finished->results, "clips");
  JsonObject *merged = derush_json_get_object (result, "compilation"), *compilation = json_object_new ();
  JsonArray *made = derush_json_get_array (result, "clips"), *rows = json_array_new ();
  const char *file = derush_json_get_string (merged, "file", NULL);
  const DerushOutput *output = finished_find_output (finished, file);

  for (guint i = 0; made && i < json_array_get_length (made); i++)
    json_array_add_object_element (rows, clip_row (nth_object (made, i), finished));
  json_object_set_array_member (value, "clips", rows);
  json_object_set_string_member (compilation, "filePath", finished_path (finished, file));
  set_seconds (compilation, "duration", derush_json_get_number (merged, "duration", 0));
  json_object_set_int_member (compilation, "fileSize", output ? output->size : 0);
  json_object_set_object_member (value, "compilation", compilation);
}

const JobType highlight_clip_creation = {
    .name = "HIGHLIGHT_CLIP_CREATION",
    .queue = "video-processing",
    .aliases = "CREATE_HIGHLIGHT_CLIPS HIGHLIGHT_CLIPS",
    .fields = fields,
    .containers = containers,
    .needs_source = TRUE,
    .plan = plan_clips,
    .outputs = clip_outputs,
    .returns = clip_returns,
};
