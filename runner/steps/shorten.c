/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/run-private.h"

#include <string.h>

/* BullMQ copies return values into the stream of events, so what is large goes to a file. */
#define RETURN_VALUE_MAX (16 * 1024 - 256)

/* Bytes: a path or a name is never cut. */
#define TEXT_MIN 4096

static gsize
size_of (JsonNode *node)
{
  g_autofree char *text = derush_json_node_to_string (node);

  return strlen (text);
}

/* Whether it can be halved and still be of use. */
static gboolean
can_be_halved (JsonNode *node)
{
  if (JSON_NODE_HOLDS_ARRAY (node))
    return json_array_get_length (json_node_get_array (node)) > 0;
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING &&
         strlen (json_node_get_string (node)) > TEXT_MIN;
}

/* The list or text below @node, at most @depth objects down, that takes most room; with its parent and name. */
static void
find_largest (JsonObject *object, guint depth, JsonObject **parent, const char **name, gsize *largest)
{
  JsonObjectIter iter;
  const char *member;
  JsonNode *node;

  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &member, &node)) {
    gsize size;

    if (JSON_NODE_HOLDS_OBJECT (node) && depth > 0)
      find_largest (json_node_get_object (node), depth - 1, parent, name, largest);
    if (!can_be_halved (node))
      continue;
    size = size_of (node);
    if (size > *largest) {
      *largest = size;
      *parent = object;
      *name = member;
    }
  }
}

static void
halve_text (JsonObject *parent, const char *name)
{
  const char *text = json_object_get_string_member (parent, name);
  g_autofree char *half = g_utf8_substring (text, 0, g_utf8_strlen (text, -1) / 2),
                  *cut = g_strconcat (half, "…", NULL), *copy = g_strdup (name);

  json_object_set_string_member (parent, copy, cut);
}

static void
halve (JsonObject *parent, const char *name)
{
  JsonArray *all = json_object_get_array_member (parent, name), *kept = json_array_new ();
  g_autofree char *copy = g_strdup (name);

  for (guint i = 0; i < json_array_get_length (all) / 2; i++)
    json_array_add_element (kept, json_node_copy (json_array_get_element (all, i)));
  json_object_set_array_member (parent, copy, kept);
}

static void
drop_largest_member (JsonObject *object)
{
  JsonObjectIter iter;
  const char *member;
  g_autofree char *largest_name = NULL;
  JsonNode *node;
  gsize largest = 0;

  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &member, &node)) {
    gsize size = size_of (node);

    if (size > largest) {
      largest = size;
      g_free (largest_name);
      largest_name = g_strdup (member);
    }
  }
  if (largest_name)
    json_object_set_null_member (object, largest_name);
}

static void
remove_from_items (JsonObject *object, const char *list, const char *member)
{
  JsonArray *items = derush_json_get_array (object, list);

  for (guint i = 0; items && i < json_array_get_length (items); i++) {
    JsonNode *item = json_array_get_element (items, i);

    if (JSON_NODE_HOLDS_OBJECT (item) && json_object_has_member (json_node_get_object (item), member))
      json_object_set_null_member (json_node_get_object (item), member);
  }
}

/* Thumbnails name their files themselves. */
static void
drop_outputs_of_thumbnails (JsonObject *object)
{
  JsonArray *items = derush_json_get_array (object, "outputs"), *kept;

  if (!items || !derush_json_get_array (object, "thumbnails"))
    return;
  kept = json_array_new ();
  for (guint i = 0; i < json_array_get_length (items); i++) {
    JsonNode *item = json_array_get_element (items, i);

    if (JSON_NODE_HOLDS_OBJECT (item) &&
        g_strcmp0 (derush_json_get_string (json_node_get_object (item), "role", NULL), "thumbnail") != 0)
      json_array_add_element (kept, json_node_copy (item));
  }
  json_object_set_array_member (object, "outputs", kept);
}

/* Before a list loses items: what can be done without, in the order in which it is missed least. */
static gboolean
drop_details (JsonObject *object, guint step)
{
  switch (step) {
  case 0:
    if (derush_json_get_array (object, "rejected"))
      json_object_set_array_member (object, "rejected", json_array_new ());
    return TRUE;
  case 1:
    remove_from_items (object, "outputs", "sha256");
    return TRUE;
  case 2:
    drop_outputs_of_thumbnails (object);
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
derush_return_value_shorten (JsonObject **value)
{
  g_autofree char *text = derush_json_object_to_string (*value);
  g_autoptr (JsonNode) node = NULL;
  JsonObject *copy;
  guint step = 0;

  if (strlen (text) <= RETURN_VALUE_MAX)
    return FALSE;
  /* A deep copy of its own, as the members may be shared and sealed. */
  node = json_from_string (text, NULL);
  copy = json_node_dup_object (node);
  for (;;) {
    g_autofree char *now = derush_json_object_to_string (copy);
    JsonObject *parent = NULL;
    const char *name = NULL;
    gsize largest = 64;

    if (strlen (now) <= RETURN_VALUE_MAX)
      break;
    if (drop_details (copy, step++))
      continue;
    find_largest (copy, 3, &parent, &name, &largest);
    if (name && JSON_NODE_HOLDS_ARRAY (json_object_get_member (parent, name)))
      halve (parent, name);
    else if (name)
      halve_text (parent, name);
    else
      drop_largest_member (copy);
  }
  json_object_unref (*value);
  *value = copy;
  return TRUE;
}
