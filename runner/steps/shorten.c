/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/run-private.h"

#include <string.h>

/* BullMQ copies return values into the stream of events, so what is large goes to a file. */
#define RETURN_VALUE_MAX (16 * 1024 - 256)

static gsize
size_of (JsonNode *node)
{
  g_autofree char *text = derush_json_node_to_string (node);

  return strlen (text);
}

/* The array below @node, at most @depth objects down, that takes most room; with its parent and name. */
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
    if (!JSON_NODE_HOLDS_ARRAY (node) || json_array_get_length (json_node_get_array (node)) == 0)
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

gboolean
derush_return_value_shorten (JsonObject **value)
{
  g_autofree char *text = derush_json_object_to_string (*value);
  g_autoptr (JsonNode) node = NULL;
  JsonObject *copy;

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
    find_largest (copy, 3, &parent, &name, &largest);
    if (name)
      halve (parent, name);
    else
      drop_largest_member (copy);
  }
  json_object_unref (*value);
  *value = copy;
  return TRUE;
}
