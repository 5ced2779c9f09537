/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <stdlib.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_ANSWER (256 << 20)
#define MAX_PICTURE (64 << 20)

/* ── Sizes ──────────────────────────────────────────────────────────────── */

typedef struct {
  const char *prefix; /* of the model */
  int sizes[3][2];
} Sizes;

static const Sizes fixed_sizes[] = {
    {"gpt-image-1", {{1024, 1024}, {1536, 1024}, {1024, 1536}}},
    {"dall-e-3", {{1024, 1024}, {1792, 1024}, {1024, 1792}}},
    {"dall-e-2", {{1024, 1024}, {512, 512}, {256, 256}}},
};

static gboolean
is_dalle (ModelCall *call)
{
  return g_str_has_prefix (call->model, "dall-e");
}

/* The size that a model can make whose shape is nearest to what was asked for: what is left is cut off later. */
static char *
choose_size (ModelCall *call, int width, int height)
{
  double wanted = (double)width / height, best = G_MAXDOUBLE;
  const int *chosen = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (fixed_sizes); i++) {
    if (!g_str_has_prefix (call->model, fixed_sizes[i].prefix))
      continue;
    for (guint k = 0; k < 3; k++) {
      const int *size = fixed_sizes[i].sizes[k];
      double shape = (double)size[0] / size[1], ratio = MAX (shape / wanted, wanted / shape);

      if (ratio < best - 1e-9) {
        best = ratio;
        chosen = size;
      }
    }
  }
  if (chosen)
    return g_strdup_printf ("%dx%d", chosen[0], chosen[1]);
  if (g_str_has_prefix (call->model, "gpt-image-"))
    return g_strdup_printf ("%dx%d", CLAMP ((width + 8) / 16 * 16, 256, 3840),
                            CLAMP ((height + 8) / 16 * 16, 256, 3840));
  return g_strdup_printf ("%dx%d", width, height);
}

/* ── The request ────────────────────────────────────────────────────────── */

static gboolean
add_background (JsonObject *json, const char *path, GError **error)
{
  g_autofree char *data = NULL, *base64 = NULL;
  g_autoptr (GError) local = NULL;
  gsize length;

  if (!path || !*path)
    return TRUE;
  if (!g_file_get_contents (path, &data, &length, &local)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” cannot be sent to a model: %s"), path,
                 local->message);
    return FALSE;
  }
  base64 = g_base64_encode ((const guchar *)data, length);
  json_object_set_string_member (json, "background_image", base64);
  return TRUE;
}

/* Each family of models has its own words for it. */
static const char *
quality_for (ModelCall *call, const char *quality)
{
  gboolean high = g_str_equal (quality, "high") || g_str_equal (quality, "hd");

  if (g_str_has_prefix (call->model, "dall-e-3"))
    return high ? "hd" : "standard";
  if (g_str_has_prefix (call->model, "gpt-image-") && (high || g_str_equal (quality, "standard")))
    return high ? "high" : "medium";
  return quality;
}

static void
add_manner (ModelCall *call, JsonObject *json)
{
  const char *quality = derush_json_get_string (call->request, "quality", NULL);
  const char *style = derush_json_get_string (call->request, "style", NULL);

  if (model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_QUALITY))
    return;
  if (quality && *quality)
    json_object_set_string_member (json, "quality", quality_for (call, quality));
  if (style && *style && (g_str_equal (call->model, "dall-e-3") || call->provider->local))
    json_object_set_string_member (json, "style", style);
  /* The other models always answer the picture itself, and refuse to be told so. */
  if (is_dalle (call))
    json_object_set_string_member (json, "response_format", "b64_json");
}

static ModelRequest *
image_request (ModelCall *call, int n, int width, int height, GError **error)
{
  g_autoptr (ModelRequest) request = model_request_new ("POST", call->provider->base_url, "/images/generations");
  g_autoptr (JsonObject) json = json_object_new ();
  g_autofree char *size = choose_size (call, width, height);
  const char *title = derush_json_get_string (call->request, "title", NULL);

  json_object_set_string_member (json, "model", call->model);
  json_object_set_string_member (json, "prompt", derush_json_get_string (call->request, "prompt", ""));
  json_object_set_int_member (json, "n", n);
  if (!model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_SIZE))
    json_object_set_string_member (json, "size", size);
  add_manner (call, json);
  if (call->provider->local) {
    if (title && *title)
      json_object_set_string_member (json, "title", title);
    if (!add_background (json, derush_json_get_string (call->request, "background", NULL), error))
      return NULL;
  }
  model_request_set_json (request, json);
  request->limit = MAX_ANSWER;
  return g_steal_pointer (&request);
}

static gboolean
adapt_image (ModelCall *call)
{
  static const struct {
    const char *word;
    ModelQuirk quirk;
  } names[] = {
      {"quality", MODEL_QUIRK_NO_QUALITY},
      {"style", MODEL_QUIRK_NO_QUALITY},
      {"response_format", MODEL_QUIRK_NO_QUALITY},
      {"size", MODEL_QUIRK_NO_SIZE},
  };

  if (call->fault.status != 400 && call->fault.status != 422)
    return FALSE;
  /* The name is part of many words. */
  if (g_strcmp0 (call->fault.parameter, "n") == 0 &&
      !model_provider_has_quirk (call->provider, MODEL_QUIRK_SINGLE_IMAGE)) {
    model_provider_add_quirk (call->provider, MODEL_QUIRK_SINGLE_IMAGE);
    return TRUE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (model_fault_names (&call->fault, names[i].word) && !model_provider_has_quirk (call->provider, names[i].quirk)) {
      model_provider_add_quirk (call->provider, names[i].quirk);
      return TRUE;
    }
  return FALSE;
}

/* ── The answer ─────────────────────────────────────────────────────────── */

/*
 * model_call_keep_picture:
 * @images: gets {file, width, height}
 *
 * Looks at the bytes, and writes them to a file of the call's directory.
 */
gboolean
model_call_keep_picture (ModelCall *call, GBytes *bytes, JsonArray *images, GError **error)
{
  g_autofree char *name = NULL, *path = NULL;
  gsize length;
  const char *data = g_bytes_get_data (bytes, &length), *type;
  JsonObject *image;
  int width, height;
  gboolean whole;

  type = model_sniff_picture (bytes, &width, &height, &whole);
  if (!type || !whole) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 type ? _ ("The picture that %s answered is not all there") : _ ("%s answers no picture"),
                 call->provider->name);
    return FALSE;
  }
  name = g_strdup_printf ("image-%u.%s", json_array_get_length (images) + 1, type);
  path = model_call_output_path (call, name, error);
  if (!path || !derush_file_write_atomically (path, data, length, error))
    return FALSE;
  image = json_object_new ();
  json_object_set_string_member (image, "file", name);
  json_object_set_int_member (image, "width", width);
  json_object_set_int_member (image, "height", height);
  json_array_add_object_element (images, image);
  return TRUE;
}

static GBytes *
bytes_of (ModelCall *call, JsonObject *one, GError **error)
{
  const char *base64 = derush_json_get_string (one, "b64_json", NULL), *url = derush_json_get_string (one, "url", NULL);
  g_autoptr (ModelResponse) response = NULL;
  guchar *data;
  gsize length;

  /* Some servers write the picture as an address of its own data. */
  if (!base64 && url && g_str_has_prefix (url, "data:") && strstr (url, ";base64,"))
    base64 = strstr (url, ";base64,") + strlen (";base64,");
  if (base64) {
    data = g_base64_decode (base64, &length);
    return g_bytes_new_take (data, length);
  }
  if (!url) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no picture"), call->provider->name);
    return NULL;
  }
  response = model_client_fetch (call, url, MAX_PICTURE, error);
  return response ? g_bytes_ref (response->body) : NULL;
}

/*
 * model_call_keep_pictures:
 * @data: (nullable): objects with `b64_json` or `url`
 */
gboolean
model_call_keep_pictures (ModelCall *call, JsonArray *data, JsonArray *images, GError **error)
{
  for (guint i = 0; data && i < json_array_get_length (data); i++) {
    JsonNode *node = json_array_get_element (data, i);
    g_autoptr (GBytes) bytes =
        bytes_of (call, JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, error);
    const char *drawn;

    if (!bytes || !model_call_keep_picture (call, bytes, images, error))
      return FALSE;
    drawn = derush_json_get_string (json_node_get_object (node), "revised_prompt", "");
    if (*drawn)
      json_object_set_string_member (json_array_get_object_element (images, json_array_get_length (images) - 1),
                                     "revisedPrompt", drawn);
  }
  if (data && json_array_get_length (data) > 0)
    return TRUE;
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no picture"), call->provider->name);
  return FALSE;
}

static JsonObject *
ask (ModelCall *call, int n, int width, int height, GError **error)
{
  for (;;) {
    gboolean single = model_provider_has_quirk (call->provider, MODEL_QUIRK_SINGLE_IMAGE);
    g_autoptr (ModelRequest) request = image_request (call, single ? 1 : n, width, height, error);
    g_autoptr (GError) cause = NULL;
    JsonObject *answer;

    if (!request)
      return NULL;
    answer = model_client_send_for_json (call, request, &cause);
    if (answer)
      return answer;
    if (adapt_image (call))
      continue;
    g_propagate_error (error, g_steal_pointer (&cause));
    return NULL;
  }
}

JsonObject *
model_openai_image (ModelCall *call, GError **error)
{
  int n = CLAMP (derush_json_get_int (call->request, "n", 1), 1, 10);
  int width = derush_json_get_int (call->request, "width", 1024),
      height = derush_json_get_int (call->request, "height", 1024);
  g_autoptr (JsonObject) result = json_object_new ();
  JsonArray *images = json_array_new ();

  json_object_set_array_member (result, "images", images);
  while ((int)json_array_get_length (images) < n) {
    /* This one makes a single picture at a time; servers that heed no n are asked again as well. */
    guint before = json_array_get_length (images);
    int wanted = g_str_equal (call->model, "dall-e-3") ? 1 : n - (int)before;
    g_autoptr (JsonObject) answer = NULL;

    if (model_call_take_kept_pictures (call, images))
      continue;
    answer = ask (call, wanted, width, height, error);
    if (!answer || !model_call_keep_pictures (call, derush_json_get_array (answer, "data"), images, error))
      return NULL;
    if ((int)json_array_get_length (images) < n)
      model_call_keep_pictures_made (call, images, before);
    model_call_take_account (call, result, answer);
  }
  /* Some make more than they are asked for. */
  while ((int)json_array_get_length (images) > n)
    json_array_remove_element (images, json_array_get_length (images) - 1);
  return g_steal_pointer (&result);
}
