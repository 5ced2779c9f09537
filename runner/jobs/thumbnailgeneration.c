/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MIN_SIZE 16
#define MAX_SIZE 8192
#define MAX_COUNT 100
#define MAX_TIME 604800

static const Field fields[] = {
    {"count", FIELD_INTEGER, .min = 1, .max = MAX_COUNT},
    {"thumbnailCount", FIELD_INTEGER, "count", .min = 1, .max = MAX_COUNT},
    {"width", FIELD_INTEGER, .min = MIN_SIZE, .max = MAX_SIZE},
    {"height", FIELD_INTEGER, .min = MIN_SIZE, .max = MAX_SIZE},
    {"fit", FIELD_CHOICE, .choices = "contain cover fill inside=contain"},
    {"enlarge", FIELD_BOOLEAN},
    {"format", FIELD_CHOICE, .choices = "jpg png webp jpeg=jpg !avif !gif"},
    {"quality", FIELD_ANY},
    {"mode", FIELD_CHOICE, .choices = "best uniform positions"},
    {"positions", FIELD_NUMBERS, .min = 0, .max = MAX_TIME, .max_items = MAX_COUNT},
    {"position", FIELD_NUMBERS, "positions", .min = 0, .max = MAX_TIME, .max_items = MAX_COUNT},
    {"storyboard", FIELD_ANY},
    {"isPrimary", FIELD_ANY},
    {"style", FIELD_ANY},
    {"isEnhanced", FIELD_ANY},
    {NULL},
};

static const Field storyboard_fields[] = {
    {"columns", FIELD_INTEGER, .min = 1, .max = 20},
    {"rows", FIELD_INTEGER, .min = 1, .max = 20},
    {"tileWidth", FIELD_INTEGER, .min = 32, .max = 640},
    {NULL},
};

static const char *const containers[] = {"thumbnailRequest", "options", NULL};

/* 1 to 100 as encoders count, or the words that other jobs use. */
static gint64
check_quality (JsonObject *values, Checker *checker)
{
  static const struct {
    const char *name;
    gint64 quality;
  } words[] = {{"low", 60}, {"medium", 75}, {"high", 85}, {"ultra", 95}};
  JsonNode *node = json_object_get_member (values, "quality");
  const char *text = derush_json_get_string (values, "quality", NULL);
  double number = derush_json_get_number (values, "quality", 0);
  g_autofree char *value = NULL;

  if (!node || (text && *text == '\0'))
    return 85;
  for (guint i = 0; text && i < G_N_ELEMENTS (words); i++)
    if (g_ascii_strcasecmp (text, words[i].name) == 0)
      return words[i].quality;
  if (number >= 1 && number <= 100 && number == (double)(gint64)number)
    return (gint64)number;
  value = json_node_quote (node);
  checker_fault (checker, checker_pointer (checker, "quality"),
                 _ ("is %s, must be a whole number from 1 to 100, or one of low, medium, high, ultra"), value);
  return 85;
}

static const char *
check_mode (JsonObject *values, Checker *checker, JsonArray *positions)
{
  const char *mode = derush_json_get_string (values, "mode", positions ? "positions" : "best");

  if (strcmp (mode, "positions") == 0 && !positions)
    checker_fault (checker, checker_pointer (checker, "mode"), _ ("is positions, but there are no positions"));
  if (strcmp (mode, "positions") != 0 && positions)
    checker_warn (checker, _ ("%s is ignored, because the mode is %s"), checker_pointer (checker, "positions"), mode);
  return mode;
}

/* Whether pages are wanted; @parameters is filled if so. True, false, or an object with their layout. */
static gboolean
check_storyboard (JsonObject *values, Checker *checker, gboolean fallback, const char *base, JsonObject *parameters)
{
  static const Field *const tables[] = {storyboard_fields, NULL};
  JsonNode *node = json_object_get_member (values, "storyboard");
  const char *pointer = checker_pointer (checker, "storyboard");
  g_autofree char *value = NULL, *name = g_strdup_printf ("%s-storyboard", base);

  json_object_set_int_member (parameters, "columns", 10);
  json_object_set_int_member (parameters, "rows", 10);
  json_object_set_int_member (parameters, "tileWidth", 160);
  json_object_set_string_member (parameters, "name", name);
  if (!node)
    return fallback;
  if (JSON_NODE_HOLDS_OBJECT (node)) {
    g_autoptr (JsonObject) layout = json_object_new ();

    checker_read (checker, json_node_get_object (node), pointer, storyboard_fields, layout);
    checker_read_rest (checker, json_node_get_object (node), pointer, tables);
    for (const Field *field = storyboard_fields; field->name; field++)
      copy_member (layout, field->name, parameters, NULL);
    return TRUE;
  }
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_BOOLEAN)
    return json_node_get_boolean (node);
  value = json_node_quote (node);
  checker_fault (checker, pointer, _ ("is %s, must be true, false or an object with columns, rows and tileWidth"),
                 value);
  return FALSE;
}

/* Members of the backend's route that change nothing in the picture. */
static void
check_route (JsonObject *values, Checker *checker)
{
  const char *style = derush_json_get_string (values, "style", "");

  if (*style && g_ascii_strcasecmp (style, "default") != 0)
    checker_warn (checker, _ ("%s is ignored: thumbnails are frames of the film as they are"),
                  checker_pointer (checker, "style"));
  if (derush_json_get_boolean (values, "isEnhanced", FALSE))
    checker_warn (checker, _ ("%s is ignored: thumbnails are frames of the film as they are"),
                  checker_pointer (checker, "isEnhanced"));
}

static void
plan_thumbnail_generation (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *base = plan_base_name (plan), *name = g_strdup_printf ("%s-thumbnail", base);
  JsonArray *positions = derush_json_get_array (values, "positions");
  const char *mode = check_mode (values, checker, positions);
  gboolean best = strcmp (mode, "best") == 0, given = strcmp (mode, "positions") == 0;
  g_autoptr (JsonObject) layout = json_object_new ();
  gboolean storyboard = check_storyboard (values, checker, !given, base, layout);
  gint64 count = derush_json_get_int (values, "count", 5);
  JsonObject *thumbnails, *analyse, *pages;

  plan->needs_analysis = best;
  plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
  if (best) {
    analyse = plan_add_step (plan, "analyse", DERUSH_STEP_MEDIA, storyboard ? 0.55 : 0.75);
    /* Where all of the film has to be decoded for both, the pages are made by the way. */
    if (storyboard) {
      pages = json_object_new ();
      copy_members (layout, pages);
      json_object_set_object_member (analyse, "storyboard", pages);
    }
  }
  thumbnails = plan_add_step (plan, "thumbnails", DERUSH_STEP_MEDIA,
                              0.95 - (best ? (storyboard ? 0.55 : 0.75) : 0) - (storyboard ? 0.20 : 0));
  if (storyboard)
    copy_members (layout, plan_add_step (plan, "storyboard", DERUSH_STEP_MEDIA, 0.20));
  if (given && positions) {
    if (json_object_has_member (values, "count") && count != json_array_get_length (positions))
      checker_warn (checker, _ ("%s is ignored: there is one thumbnail for each position"),
                    checker_pointer (checker, "count"));
    count = json_array_get_length (positions);
    json_object_set_array_member (thumbnails, "positions", json_array_ref (positions));
  }
  json_object_set_int_member (thumbnails, "count", count);
  json_object_set_string_member (thumbnails, "mode", mode);
  copy_member (values, "width", thumbnails, NULL);
  copy_member (values, "height", thumbnails, NULL);
  if (!json_object_has_member (values, "width") && !json_object_has_member (values, "height")) {
    json_object_set_int_member (thumbnails, "width", 640);
    json_object_set_boolean_member (thumbnails, "enlarge", FALSE);
  }
  copy_member (values, "enlarge", thumbnails, NULL);
  json_object_set_string_member (thumbnails, "fit", derush_json_get_string (values, "fit", "contain"));
  json_object_set_string_member (thumbnails, "format", derush_json_get_string (values, "format", "jpg"));
  json_object_set_int_member (thumbnails, "quality", check_quality (values, checker));
  json_object_set_string_member (thumbnails, "name", name);
  check_route (values, checker);
}

static void
thumbnail_outputs (DerushPlan *plan, JsonObject *results, GPtrArray *outputs)
{
  JsonObject *storyboard = derush_json_get_object (results, "storyboard");
  JsonArray *made = derush_json_get_array (derush_json_get_object (results, "thumbnails"), "thumbnails");
  JsonArray *pages = derush_json_get_array (storyboard, "pages");

  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonNode *item = json_array_get_element (made, i);

    if (JSON_NODE_HOLDS_OBJECT (item))
      outputs_add (outputs, derush_json_get_string (json_node_get_object (item), "file", NULL), "thumbnail");
  }
  for (guint i = 0; pages && i < json_array_get_length (pages); i++)
    outputs_add (outputs, string_element (pages, i), "storyboard");
  outputs_add (outputs, derush_json_get_string (storyboard, "vtt", NULL), "vtt");
}

static JsonObject *
thumbnail_row (JsonObject *made, const Finished *finished, JsonObject *parameters)
{
  const char *file = derush_json_get_string (made, "file", NULL);
  const DerushOutput *output = finished_find_output (finished, file);
  JsonObject *row = json_object_new ();

  json_object_set_string_member (row, "filePath", finished_path (finished, file));
  set_seconds (row, "time", derush_json_get_number (made, "time", 0));
  set_number (row, "position", CLAMP (derush_json_get_number (made, "position", 0), 0, 1));
  set_whole (row, "width", derush_json_get_number (made, "width", 0));
  set_whole (row, "height", derush_json_get_number (made, "height", 0));
  json_object_set_int_member (row, "fileSize", output ? output->size : 0);
  json_object_set_string_member (row, "format", derush_json_get_string (parameters, "format", "jpg"));
  set_number (row, "score", derush_json_get_number (made, "score", 0));
  if (derush_json_get_array (made, "reasons"))
    copy_member (made, "reasons", row, NULL);
  else
    json_object_set_array_member (row, "reasons", json_array_new ());
  return row;
}

static void
thumbnail_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *parameters = plan_find_step (plan, "thumbnails")->parameters;
  JsonArray *made = derush_json_get_array (derush_json_get_object (finished->results, "thumbnails"), "thumbnails");
  JsonObject *pages_made = derush_json_get_object (finished->results, "storyboard"), *storyboard = json_object_new ();
  JsonArray *files = derush_json_get_array (pages_made, "pages"), *rows = json_array_new (), *pages = json_array_new ();
  const char *vtt = derush_json_get_string (pages_made, "vtt", NULL);

  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonNode *item = json_array_get_element (made, i);

    if (JSON_NODE_HOLDS_OBJECT (item))
      json_array_add_object_element (rows, thumbnail_row (json_node_get_object (item), finished, parameters));
  }
  for (guint i = 0; files && i < json_array_get_length (files); i++)
    json_array_add_string_element (pages, finished_path (finished, string_element (files, i)));
  json_object_set_array_member (storyboard, "pages", pages);
  json_object_set_string_member (storyboard, "vtt", finished_path (finished, vtt));
  json_object_set_array_member (value, "thumbnails", rows);
  json_object_set_object_member (value, "storyboard", storyboard);
  if (finished->analysis_path)
    json_object_set_string_member (value, "analysisPath", finished->analysis_path);
}

const JobType thumbnail_generation = {
    .name = "THUMBNAIL_GENERATION",
    .queue = "video-processing",
    .aliases = "GENERATE_THUMBNAIL GENERATE_THUMBNAILS THUMBNAIL THUMBNAILS",
    .fields = fields,
    .containers = containers,
    .needs_source = TRUE,
    .plan = plan_thumbnail_generation,
    .outputs = thumbnail_outputs,
    .returns = thumbnail_returns,
};
