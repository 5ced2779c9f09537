/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* What `rejected` may add to a return value: enough to see why a moment is not in the list. */
#define MAX_REJECTED 10
#define MAX_MILLISECONDS (604800 * 1000) /* a week */

static const Field fields[] = {
    {"maxHighlights", FIELD_INTEGER, .min = 1, .max = 100},
    {"count", FIELD_INTEGER, "maxHighlights", .min = 1, .max = 100},
    {"minDuration", FIELD_NUMBER, .min = 0.1, .max = 3600},
    {"maxDuration", FIELD_NUMBER, .min = 0.1, .max = 3600},
    {"sensitivity", FIELD_CHOICE, .choices = "low medium high"},
    {"detectionTypes", FIELD_CHOICES, .max_items = 32,
     .choices = "MOTION AUDIO SCENE_CHANGE ACTION TEXT FACE OBJECT EMOTION"},
    {"detectionType", FIELD_CHOICES, "detectionTypes", .max_items = 32,
     .choices = "MOTION AUDIO SCENE_CHANGE ACTION TEXT FACE OBJECT EMOTION"},
    {"videoDurationSecs", FIELD_ANY},
    {NULL},
};

static const char *const containers[] = {"highlightRequest", "options", NULL};
static const char *const measured[] = {"MOTION", "AUDIO", "SCENE_CHANGE", "ACTION", NULL};
static const char *const default_types[] = {"MOTION", "AUDIO", "SCENE_CHANGE", NULL};

static gboolean
has_text (JsonArray *array, const char *text)
{
  for (guint i = 0; i < json_array_get_length (array); i++)
    if (strcmp (json_array_get_string_element (array, i), text) == 0)
      return TRUE;
  return FALSE;
}

/* What is asked and measured. What is asked and not measured is said, never made up. */
static JsonArray *
check_types (JsonObject *values, Checker *checker)
{
  JsonArray *asked = derush_json_get_array (values, "detectionTypes"), *types = json_array_new ();
  g_autoptr (GPtrArray) missing = g_ptr_array_new ();

  for (guint i = 0; !asked && default_types[i]; i++)
    json_array_add_string_element (types, default_types[i]);
  for (guint i = 0; asked && i < json_array_get_length (asked); i++) {
    const char *name = json_array_get_string_element (asked, i);

    if (!g_strv_contains (measured, name)) {
      if (!g_ptr_array_find_with_equal_func (missing, name, g_str_equal, NULL))
        g_ptr_array_add (missing, (gpointer)name);
    } else if (!has_text (types, name)) {
      json_array_add_string_element (types, name);
    }
  }
  if (asked && json_array_get_length (types) == 0) {
    g_autofree char *names = NULL;

    g_ptr_array_add (missing, NULL);
    names = g_strjoinv (", ", (char **)missing->pdata);
    checker_unsupported (
        checker, checker_pointer (checker, "detectionTypes"),
        _ ("asks only for what this version of Derush does not measure (%s); it measures MOTION, AUDIO, "
           "SCENE_CHANGE and ACTION"),
        names);
    return types;
  }
  for (guint i = 0; i < missing->len; i++)
    checker_warn (checker, _ ("%s is not measured by this version of Derush"),
                  (const char *)g_ptr_array_index (missing, i));
  return types;
}

static void
check_durations (JsonObject *values, JsonObject *parameters, Checker *checker)
{
  gboolean has_min = json_object_has_member (values, "minDuration"),
           has_max = json_object_has_member (values, "maxDuration");
  double min = derush_json_get_number (values, "minDuration", 3),
         max = derush_json_get_number (values, "maxDuration", 60);

  if (has_min && has_max && min > max)
    checker_fault (checker, checker_pointer (checker, "minDuration"),
                   _ ("is %.15g, must not be more than maxDuration, which is %.15g"), min, max);
  else if (has_min)
    max = MAX (max, min);
  else
    min = MIN (min, max);
  set_seconds (parameters, "minDuration", min);
  set_seconds (parameters, "maxDuration", max);
}

static void
plan_highlight_detection (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  JsonObject *parameters;

  plan->needs_analysis = TRUE;
  plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
  plan_add_step (plan, "analyse", DERUSH_STEP_MEDIA, 0.90);
  parameters = plan_add_step (plan, "highlights", DERUSH_STEP_MEDIA, 0.05);
  json_object_set_int_member (parameters, "maxHighlights", derush_json_get_int (values, "maxHighlights", 5));
  json_object_set_string_member (parameters, "sensitivity", derush_json_get_string (values, "sensitivity", "medium"));
  json_object_set_array_member (parameters, "detectionTypes", check_types (values, checker));
  check_durations (values, parameters, checker);
}

char *
highlight_id (DerushPlan *plan, double start, double end)
{
  const gint64 from = llround (start * 1000), to = llround (end * 1000);
  g_autofree char *text = g_strdup_printf ("%s\n%" G_GINT64_FORMAT "\n%" G_GINT64_FORMAT,
                                           plan->video_id ? plan->video_id : plan->source, from, to);
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);

  return g_strdup_printf ("h%.12s-%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT, hash, from, to);
}

gboolean
highlight_id_parse (DerushPlan *plan, const char *id, double *start, double *end)
{
  g_autofree char *same = NULL;
  g_auto (GStrv) parts = g_strsplit (id, "-", 4);
  guint64 from, to;

  if (g_strv_length (parts) != 3 || !g_ascii_string_to_unsigned (parts[1], 10, 0, MAX_MILLISECONDS, &from, NULL) ||
      !g_ascii_string_to_unsigned (parts[2], 10, 0, MAX_MILLISECONDS, &to, NULL) || to <= from)
    return FALSE;
  *start = (double)from / 1000;
  *end = (double)to / 1000;
  same = highlight_id (plan, *start, *end);
  return strcmp (same, id) == 0;
}

static void
ensure_array (JsonObject *object, const char *name)
{
  if (!derush_json_get_array (object, name))
    json_object_set_array_member (object, name, json_array_new ());
}

JsonObject *
highlight_row (DerushPlan *plan, JsonObject *found, guint rank)
{
  double start = derush_json_get_number (found, "startTime", 0), end = derush_json_get_number (found, "endTime", 0);
  g_autofree char *id = highlight_id (plan, start, end);
  JsonObject *row = json_object_new (), *metadata = json_object_new ();

  json_object_set_string_member (row, "id", id);
  json_object_set_int_member (row, "rank", rank);
  set_seconds (row, "startTime", start);
  set_seconds (row, "endTime", end);
  set_seconds (row, "duration", end - start);
  json_object_set_string_member (row, "type", derush_json_get_string (found, "type", "ACTION"));
  json_object_set_null_member (row, "confidence");
  copy_member (found, "confidence", row, NULL);
  json_object_set_string_member (row, "description", derush_json_get_string (found, "description", ""));
  copy_member (found, "tags", row, NULL);
  ensure_array (row, "tags");
  if (derush_json_get_object (found, "metadata"))
    copy_members (derush_json_get_object (found, "metadata"), metadata);
  if (!derush_json_get_object (metadata, "signals"))
    json_object_set_object_member (metadata, "signals", json_object_new ());
  ensure_array (metadata, "reasons");
  json_object_set_object_member (row, "metadata", metadata);
  return row;
}

static void
highlight_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *result = derush_json_get_object (finished->results, "highlights");
  JsonArray *found = derush_json_get_array (result, "highlights"), *rows = json_array_new ();
  JsonArray *left = derush_json_get_array (result, "rejected"), *rejected = json_array_new ();

  for (guint i = 0; found && i < json_array_get_length (found); i++) {
    JsonNode *item = json_array_get_element (found, i);

    if (JSON_NODE_HOLDS_OBJECT (item))
      json_array_add_object_element (rows, highlight_row (plan, json_node_get_object (item), i + 1));
  }
  for (guint i = 0; left && i < MIN (json_array_get_length (left), MAX_REJECTED); i++)
    json_array_add_element (rejected, json_copy_finite (json_array_get_element (left, i)));
  json_object_set_array_member (value, "highlights", rows);
  json_object_set_array_member (value, "rejected", rejected);
  json_object_set_string_member (value, "analysisPath", finished->analysis_path ? finished->analysis_path : "");
}

const JobType highlight_detection = {
    .name = "HIGHLIGHT_DETECTION",
    .queue = "video-processing",
    .aliases = "DETECT_HIGHLIGHTS HIGHLIGHTS HIGHLIGHT",
    .fields = fields,
    .containers = containers,
    .needs_source = TRUE,
    .plan = plan_highlight_detection,
    .returns = highlight_returns,
};
