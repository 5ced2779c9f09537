/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* json-glib parses recursively: depth is bounded before it sees the text, or a job could exhaust the stack. */
static gboolean
depth_is_bounded (const char *text, gsize length)
{
  guint depth = 0;
  gboolean in_string = FALSE;

  for (gsize i = 0; i < length; i++) {
    char c = text[i];

    if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = FALSE;
    } else if (c == '"') {
      in_string = TRUE;
    } else if (c == '{' || c == '[') {
      if (++depth > DERUSH_JSON_MAX_DEPTH)
        return FALSE;
    } else if ((c == '}' || c == ']') && depth > 0) {
      depth--;
    }
  }
  return TRUE;
}

/**
 * derush_json_parse:
 * @text: JSON text
 * @length: its length in bytes, or -1
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the value, at most %DERUSH_JSON_MAX_DEPTH levels deep
 */
JsonNode *
derush_json_parse (const char *text, gssize length, GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  g_autoptr (GError) parse_error = NULL;
  JsonNode *root;

  if (length < 0)
    length = strlen (text);
  if (!g_utf8_validate (text, length, NULL)) {
    g_set_error_literal (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The JSON text is not valid UTF-8"));
    return NULL;
  }
  if (!depth_is_bounded (text, length)) {
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The JSON text is nested more than %d levels deep"), DERUSH_JSON_MAX_DEPTH);
    return NULL;
  }
  parser = json_parser_new_immutable ();
  if (!json_parser_load_from_data (parser, text, length, &parse_error)) {
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("This is not JSON: %s"), parse_error->message);
    return NULL;
  }
  root = json_parser_steal_root (parser);
  if (!root)
    g_set_error_literal (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The JSON text is empty"));
  return root;
}

/**
 * derush_json_parse_object:
 * @text: JSON text
 * @length: its length in bytes, or -1
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the object, or %NULL if @text is anything else
 */
JsonObject *
derush_json_parse_object (const char *text, gssize length, GError **error)
{
  g_autoptr (JsonNode) node = derush_json_parse (text, length, error);

  if (!node)
    return NULL;
  if (!JSON_NODE_HOLDS_OBJECT (node)) {
    g_set_error_literal (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The JSON text is not an object"));
    return NULL;
  }
  return json_node_dup_object (node);
}

char *
derush_json_node_to_string (JsonNode *node)
{
  g_autoptr (JsonGenerator) generator = json_generator_new ();

  json_generator_set_root (generator, node);
  return json_generator_to_data (generator, NULL);
}

char *
derush_json_object_to_string (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);

  json_node_set_object (node, object);
  return derush_json_node_to_string (node);
}

static JsonNode *
value_of_type (JsonObject *object, const char *name, GType type)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  return node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == type ? node : NULL;
}

/**
 * derush_json_get_string:
 * @object: (nullable): an object
 * @name: a member's name
 * @fallback: (nullable): what to return when the member is missing or no string
 */
const char *
derush_json_get_string (JsonObject *object, const char *name, const char *fallback)
{
  JsonNode *node = value_of_type (object, name, G_TYPE_STRING);

  return node ? json_node_get_string (node) : fallback;
}

double
derush_json_get_number (JsonObject *object, const char *name, double fallback)
{
  JsonNode *node = value_of_type (object, name, G_TYPE_DOUBLE);

  if (!node)
    node = value_of_type (object, name, G_TYPE_INT64);
  return node ? json_node_get_double (node) : fallback;
}

gint64
derush_json_get_int (JsonObject *object, const char *name, gint64 fallback)
{
  double number = derush_json_get_number (object, name, NAN);

  if (value_of_type (object, name, G_TYPE_INT64))
    return json_object_get_int_member (object, name);
  return isnan (number) || fabs (number) > 9007199254740992.0 ? fallback : (gint64)number;
}

gboolean
derush_json_get_boolean (JsonObject *object, const char *name, gboolean fallback)
{
  JsonNode *node = value_of_type (object, name, G_TYPE_BOOLEAN);

  return node ? json_node_get_boolean (node) : fallback;
}

/**
 * derush_json_get_object:
 * @object: (nullable): an object
 * @name: a member's name
 *
 * Returns: (transfer none) (nullable): the member if it is an object
 */
JsonObject *
derush_json_get_object (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

/**
 * derush_json_get_array:
 * @object: (nullable): an object
 * @name: a member's name
 *
 * Returns: (transfer none) (nullable): the member if it is an array
 */
JsonArray *
derush_json_get_array (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  return node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}
