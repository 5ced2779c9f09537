/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* IMAGE_GENERATION: pictures from words, over a frame of a film where there is one. */

#include "models/actions/text-private.h"

#include <errno.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

static void
copy (JsonObject *from, const char *name, JsonObject *to)
{
  JsonNode *node = json_object_get_member (from, name);

  if (node)
    json_object_set_member (to, name, json_node_copy (node));
}

/* What is to stand on the picture, where the prompt says so: in quotes, or behind “saying” and the like. */
static char *
title_of (const char *prompt)
{
  g_autoptr (GRegex) regex =
      g_regex_new ("[“\"«]\\s*([^“”\"«»]{1,200}?)\\s*[”\"»]|\\b(?:saying|that says|that reads|titled|entitled|with the "
                   "(?:words|title|text))\\s+(.{1,200}?)[.!]?$",
                   G_REGEX_CASELESS, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree char *quoted = NULL;

  if (!g_regex_match (regex, prompt, 0, &match))
    return NULL;
  quoted = g_match_info_fetch (match, 1);
  return *quoted ? g_steal_pointer (&quoted) : g_match_info_fetch (match, 2);
}

static JsonObject *
make_request (DerushModelJob *job, guint n, const char *frame)
{
  static const char *const same[] = {"prompt", "width", "height", "quality", "style", "title", "seed", "model"};
  JsonObject *request = json_object_new ();
  g_autofree char *path = frame ? g_build_filename (job->directory, frame, NULL) : NULL;
  g_autofree char *title = title_of (derush_json_get_string (job->parameters, "prompt", ""));

  if (title)
    json_object_set_string_member (request, "title", title);
  for (guint i = 0; i < G_N_ELEMENTS (same); i++)
    copy (job->parameters, same[i], request);
  json_object_set_int_member (request, "n", n);
  if (path)
    json_object_set_string_member (request, "background", path);
  return request;
}

/* Each answer counts its files from 1. Returns: (transfer full) (nullable): the image under a name of its own */
static JsonObject *
take_image (DerushModelJob *job, JsonObject *made, guint number, GError **error)
{
  const char *file = derush_json_get_string (made, "file", ""), *dot = strrchr (file, '.');
  g_autofree char *name = g_strdup_printf ("made-%u%s", number, dot ? dot : "");
  g_autofree char *from = g_build_filename (job->directory, file, NULL),
                  *to = g_build_filename (job->directory, name, NULL);
  JsonObject *image;

  if (g_rename (from, to) != 0) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL, _ ("The image %s is missing: %s"), file,
                 g_strerror (errno));
    return NULL;
  }
  image = json_object_new ();
  copy (made, "width", image);
  copy (made, "height", image);
  copy (made, "revisedPrompt", image);
  json_object_set_string_member (image, "file", name);
  return image;
}

static gboolean
add_images (DerushModelJob *job, guint n, JsonObject *frame, JsonArray *images, DerushTextTally *tally, GError **error)
{
  const char *file = frame ? derush_json_get_string (frame, "file", NULL) : NULL;
  g_autoptr (JsonObject) request = make_request (job, n, file), answer = NULL;
  JsonArray *made;

  answer = derush_text_ask ("image", request, job, error);
  if (!answer)
    return FALSE;
  derush_text_tally_add (tally, answer);
  /* The same for each picture: once. */
  if (json_array_get_length (images) == 0 && *derush_json_get_string (answer, "warning", ""))
    derush_text_warn (job, "%s", derush_json_get_string (answer, "warning", ""));
  made = derush_json_get_array (answer, "images");
  for (guint i = 0; made && i < json_array_get_length (made); i++) {
    JsonObject *image =
        take_image (job, json_array_get_object_element (made, i), json_array_get_length (images) + 1, error);

    if (!image)
      return FALSE;
    if (frame)
      copy (frame, "time", image);
    json_array_add_object_element (images, image);
  }
  return TRUE;
}

/* A provider that has made some images has not failed: fewer come with a warning. */
static gboolean
is_partial (DerushModelJob *job, JsonArray *images, GError **failure)
{
  if (json_array_get_length (images) == 0 || g_cancellable_is_cancelled (job->cancellable))
    return FALSE;
  derush_text_warn (job, _ ("Not all images could be made: %s"), (*failure)->message);
  g_clear_error (failure);
  return TRUE;
}

/*
 * Parameters: prompt, count, width, height, quality, title, style, seed, model. Of a film each image is made over another
 * frame, the best first.
 */
JsonObject *
derush_action_image (DerushModelJob *job, GError **error)
{
  guint count = (guint)CLAMP (derush_json_get_int (job->parameters, "count", 1), 1, 10);
  JsonArray *frames = derush_json_get_array (derush_json_get_object (job->results, "frames"), "frames");
  guint n_frames = frames ? json_array_get_length (frames) : 0;
  g_auto (DerushTextTally) tally = {.started = g_get_monotonic_time ()};
  g_autoptr (JsonArray) images = json_array_new ();
  g_autoptr (GError) failure = NULL;
  JsonObject *result;

  if (n_frames == 0)
    add_images (job, count, NULL, images, &tally, &failure);
  for (guint i = 0; n_frames > 0 && i < count && !failure; i++)
    add_images (job, 1, json_array_get_object_element (frames, i % n_frames), images, &tally, &failure);
  if (failure && !is_partial (job, images, &failure)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (json_array_get_length (images) < count)
    derush_text_warn (job, _ ("%u of %u images were made"), json_array_get_length (images), count);
  result = json_object_new ();
  json_object_set_array_member (result, "images", g_steal_pointer (&images));
  derush_text_tally_sign (&tally, result);
  return result;
}
