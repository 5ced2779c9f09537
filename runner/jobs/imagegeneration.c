/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* IMAGE_GENERATION: pictures from words, or the cover of a film over one of its frames. */

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_PROMPT 4000
#define MIN_SIZE 64
#define MAX_SIZE 4096
#define MAX_COUNT 10

static const Field fields[] = {
    {"prompt", FIELD_TEXT, .max = MAX_PROMPT},
    {"title", FIELD_TEXT, .max = 200},
    {"count", FIELD_INTEGER, .min = 1, .max = MAX_COUNT},
    {"n", FIELD_INTEGER, "count", .min = 1, .max = MAX_COUNT},
    {"width", FIELD_INTEGER, .min = MIN_SIZE, .max = MAX_SIZE},
    {"height", FIELD_INTEGER, .min = MIN_SIZE, .max = MAX_SIZE},
    {"size", FIELD_TEXT, .max = 20},
    {"quality", FIELD_CHOICE, .choices = "low medium high standard=medium hd=high ultra=high auto=medium"},
    {"style", FIELD_TEXT, .max = 200},
    {"format", FIELD_CHOICE, .choices = "png jpg webp jpeg=jpg !avif !gif !svg"},
    {"seed", FIELD_INTEGER, .min = 0, .max = 2147483647},
    {"reference", FIELD_TEXT, .max = 8192},
    {"referenceImage", FIELD_TEXT, "reference", .max = 8192},
    {"model", FIELD_TEXT, .max = 200},
    {NULL},
};

static const char *const containers[] = {"imageRequest", "options", NULL};

/* `1024x1024` instead of width and height. */
static void
read_size (JsonObject *values, gint64 *width, gint64 *height, Checker *checker)
{
  const char *size = derush_json_get_string (values, "size", NULL);
  gboolean has_width = json_object_has_member (values, "width"), has_height = json_object_has_member (values, "height");
  g_auto (GStrv) sides = size ? g_strsplit_set (size, "xX×", 3) : NULL;
  gint64 w, h;

  *width = 1280;
  *height = 720;
  if (has_width || has_height) {
    *width = derush_json_get_int (values, "width", derush_json_get_int (values, "height", 0) * 16 / 9);
    *height = derush_json_get_int (values, "height", derush_json_get_int (values, "width", 0) * 9 / 16);
    *width = CLAMP (*width, MIN_SIZE, MAX_SIZE);
    *height = CLAMP (*height, MIN_SIZE, MAX_SIZE);
    if (size)
      checker_warn (checker, _ ("%s is ignored, because %s says something else"), checker_pointer (checker, "size"),
                    checker_pointer (checker, has_width ? "width" : "height"));
    return;
  }
  if (!size || g_ascii_strcasecmp (size, "auto") == 0)
    return;
  if (g_strv_length (sides) == 2 && g_ascii_string_to_signed (sides[0], 10, MIN_SIZE, MAX_SIZE, &w, NULL) &&
      g_ascii_string_to_signed (sides[1], 10, MIN_SIZE, MAX_SIZE, &h, NULL)) {
    *width = w;
    *height = h;
  } else {
    g_autofree char *quoted = text_quote (size);

    checker_fault (checker, checker_pointer (checker, "size"),
                   _ ("is %s, must be a width and a height such as 1024x1024, each from %d to %d"), quoted, MIN_SIZE,
                   MAX_SIZE);
  }
}

static void
plan_image_generation (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  const char *reference = derush_json_get_string (values, "reference", NULL);
  const char *prompt = derush_json_get_string (values, "prompt", NULL),
             *title = derush_json_get_string (values, "title", NULL);
  g_autofree char *base = NULL, *name = NULL;
  JsonObject *frames, *image, *pictures;
  gint64 width, height;

  if (reference)
    plan_set_source (plan, reference, checker_pointer (checker, "reference"), checker);
  if (!prompt && !title)
    checker_fault (checker, "/prompt", _ ("is missing: say what the picture is to show, or give a title"));
  base = plan->video_id || plan->source ? plan_base_name (plan) : g_strdup ("derush");
  name = g_strconcat (base, "-image", NULL);
  read_size (values, &width, &height, checker);
  if (plan->source) {
    plan->needs_analysis = !reference;
    if (!reference) {
      plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
      plan_add_step (plan, "analyse", DERUSH_STEP_MEDIA, 0.45);
    }
    frames = plan_add_step (plan, "frames", DERUSH_STEP_MEDIA, reference ? 0.1 : 0.05);
    if (reference)
      json_object_set_boolean_member (frames, "picture", TRUE);
    json_object_set_int_member (frames, "count", derush_json_get_int (values, "count", 1));
    json_object_set_int_member (frames, "size", MAX (width, height));
    json_object_set_boolean_member (frames, "best", TRUE);
  }
  image = plan_add_step (plan, "image", DERUSH_STEP_MODEL, reference ? 0.8 : plan->source ? 0.35 : 0.9);
  json_object_set_string_member (image, "prompt", prompt ? prompt : title);
  json_object_set_int_member (image, "count", derush_json_get_int (values, "count", 1));
  json_object_set_int_member (image, "width", width);
  json_object_set_int_member (image, "height", height);
  json_object_set_string_member (image, "quality", derush_json_get_string (values, "quality", "medium"));
  copy_member (values, "title", image, NULL);
  copy_member (values, "style", image, NULL);
  copy_member (values, "seed", image, NULL);
  copy_member (values, "model", image, NULL);
  pictures = plan_add_step (plan, "pictures", DERUSH_STEP_MEDIA, 0.1);
  json_object_set_int_member (pictures, "width", width);
  json_object_set_int_member (pictures, "height", height);
  json_object_set_string_member (pictures, "format", derush_json_get_string (values, "format", "png"));
  json_object_set_string_member (pictures, "name", name);
}

static void
image_outputs (DerushPlan *plan, JsonObject *results, GPtrArray *outputs)
{
  JsonArray *made = derush_json_get_array (derush_json_get_object (results, "pictures"), "images");

  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonNode *item = json_array_get_element (made, i);

    if (JSON_NODE_HOLDS_OBJECT (item))
      outputs_add (outputs, derush_json_get_string (json_node_get_object (item), "file", NULL), "image");
  }
}

static JsonObject *
image_row (DerushPlan *plan, JsonObject *made, const Finished *finished, JsonObject *metadata)
{
  static const char *const echoed[] = {"quality", "style", "seed"};
  JsonObject *parameters = plan_find_step (plan, "image")->parameters;
  const char *file = derush_json_get_string (made, "file", ""), *path = finished_path (finished, file);
  const DerushOutput *output = finished_find_output (finished, file);
  g_autofree char *url = *path ? g_filename_to_uri (path, NULL, NULL) : NULL,
                  *id = g_strndup (file, strcspn (file, "."));
  JsonObject *row = json_object_new (), *own = json_object_new ();

  json_object_set_string_member (row, "id", id);
  json_object_set_string_member (row, "filePath", path);
  json_object_set_string_member (row, "url", url ? url : "");
  json_object_set_string_member (row, "filename", file);
  set_whole (row, "width", derush_json_get_number (made, "width", 0));
  set_whole (row, "height", derush_json_get_number (made, "height", 0));
  json_object_set_string_member (row, "format", derush_json_get_string (made, "format", "png"));
  json_object_set_int_member (row, "size", output ? output->size : 0);
  copy_members (metadata, own);
  json_object_set_string_member (own, "prompt", derush_json_get_string (parameters, "prompt", ""));
  json_object_set_string_member (own, "style", "");
  for (guint i = 0; i < G_N_ELEMENTS (echoed); i++)
    copy_member (parameters, echoed[i], own, NULL);
  copy_member (made, "revisedPrompt", own, NULL);
  copy_member (made, "time", own, NULL);
  json_object_set_object_member (row, "metadata", own);
  return row;
}

static void
image_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *result = derush_json_get_object (finished->results, "image");
  JsonArray *made = derush_json_get_array (derush_json_get_object (finished->results, "pictures"), "images");
  g_autoptr (JsonObject) metadata = model_metadata (result);
  JsonArray *rows = json_array_new ();

  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonNode *item = json_array_get_element (made, i);

    if (JSON_NODE_HOLDS_OBJECT (item))
      json_array_add_object_element (rows, image_row (plan, json_node_get_object (item), finished, metadata));
  }
  json_object_set_array_member (value, "images", rows);
  json_object_set_object_member (value, "metadata", g_steal_pointer (&metadata));
}

const JobType image_generation = {
    .name = "IMAGE_GENERATION",
    .queue = "ai-processing",
    .aliases = "GENERATE_IMAGE GENERATE_IMAGES",
    .fields = fields,
    .containers = containers,
    .plan = plan_image_generation,
    .outputs = image_outputs,
    .returns = image_returns,
};
