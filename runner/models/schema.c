/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <math.h>
#include <string.h>

/* A part of JSON Schema: what our schemas use. The first fault is told with the JSON pointer of the value, in English: the
 * model reads it. */

static gboolean check (JsonObject *schema, JsonNode *value, GString *pointer, GError **error);

static gboolean fault (GError **error, GString *pointer, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
fault (GError **error, GString *pointer, const char *format, ...)
{
  g_autofree char *text = NULL, *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  message = g_utf8_make_valid (text, -1);
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, "%s: %s", pointer->len ? pointer->str : "/", message);
  return FALSE;
}

static const char *
type_of (JsonNode *value)
{
  GType type;

  if (JSON_NODE_HOLDS_NULL (value))
    return "null";
  if (JSON_NODE_HOLDS_OBJECT (value))
    return "object";
  if (JSON_NODE_HOLDS_ARRAY (value))
    return "array";
  type = json_node_get_value_type (value);
  if (type == G_TYPE_BOOLEAN)
    return "boolean";
  if (type == G_TYPE_STRING)
    return "string";
  return type == G_TYPE_INT64 || json_node_get_double (value) == floor (json_node_get_double (value)) ? "integer"
                                                                                                      : "number";
}

static gboolean
is_type (JsonNode *value, const char *wanted)
{
  const char *type = type_of (value);

  return g_str_equal (type, wanted) || (g_str_equal (wanted, "number") && g_str_equal (type, "integer"));
}

static gboolean
check_type (JsonObject *schema, JsonNode *value, GString *pointer, GError **error)
{
  JsonArray *several = derush_json_get_array (schema, "type");
  const char *one = derush_json_get_string (schema, "type", NULL);

  if (one && !is_type (value, one))
    return fault (error, pointer, "is of type %s, must be %s", type_of (value), one);
  if (!several)
    return TRUE;
  for (guint i = 0; i < json_array_get_length (several); i++)
    if (is_type (value, json_array_get_string_element (several, i)))
      return TRUE;
  return fault (error, pointer, "is of type %s, which is not allowed here", type_of (value));
}

static gboolean
check_choice (JsonObject *schema, JsonNode *value, GString *pointer, GError **error)
{
  JsonArray *choices = derush_json_get_array (schema, "enum");
  JsonNode *constant = json_object_get_member (schema, "const");
  g_autofree char *text = NULL, *all = NULL;
  g_autoptr (JsonNode) node = NULL;

  if (constant && !json_node_equal (constant, value)) {
    text = derush_json_node_to_string (constant);
    return fault (error, pointer, "must be %s", text);
  }
  for (guint i = 0; choices && i < json_array_get_length (choices); i++)
    if (json_node_equal (json_array_get_element (choices, i), value))
      return TRUE;
  if (!choices)
    return TRUE;
  node = json_node_alloc ();
  json_node_init_array (node, choices);
  all = derush_json_node_to_string (node);
  text = derush_json_node_to_string (value);
  return fault (error, pointer, "is %.60s, must be one of %s", text, all);
}

static gboolean
check_range (JsonObject *schema, double value, const char *least, const char *most, const char *what, GString *pointer,
             GError **error)
{
  if (json_object_has_member (schema, least) && value < derush_json_get_number (schema, least, 0))
    return fault (error, pointer, "%s is %g, must be at least %g", what, value,
                  derush_json_get_number (schema, least, 0));
  if (json_object_has_member (schema, most) && value > derush_json_get_number (schema, most, 0))
    return fault (error, pointer, "%s is %g, must be at most %g", what, value,
                  derush_json_get_number (schema, most, 0));
  return TRUE;
}

static gboolean
check_number (JsonObject *schema, JsonNode *node, GString *pointer, GError **error)
{
  double value =
      json_node_get_value_type (node) == G_TYPE_INT64 ? (double)json_node_get_int (node) : json_node_get_double (node);

  if (!isfinite (value))
    return fault (error, pointer, "is no finite number");
  if (json_object_has_member (schema, "exclusiveMinimum") &&
      value <= derush_json_get_number (schema, "exclusiveMinimum", 0))
    return fault (error, pointer, "is %g, must be greater than %g", value,
                  derush_json_get_number (schema, "exclusiveMinimum", 0));
  if (json_object_has_member (schema, "exclusiveMaximum") &&
      value >= derush_json_get_number (schema, "exclusiveMaximum", 0))
    return fault (error, pointer, "is %g, must be less than %g", value,
                  derush_json_get_number (schema, "exclusiveMaximum", 0));
  return check_range (schema, value, "minimum", "maximum", "the number", pointer, error);
}

static gboolean
check_string (JsonObject *schema, const char *value, GString *pointer, GError **error)
{
  const char *pattern = derush_json_get_string (schema, "pattern", NULL);

  if (pattern && !g_regex_match_simple (pattern, value, 0, 0))
    return fault (error, pointer, "does not fit the pattern %s", pattern);
  return check_range (schema, g_utf8_strlen (value, -1), "minLength", "maxLength", "the length", pointer, error);
}

static gboolean
check_in (JsonObject *schema, JsonNode *value, GString *pointer, const char *name, GError **error)
{
  gsize length = pointer->len;
  gboolean fits;

  g_string_append_c (pointer, '/');
  for (const char *p = name; *p; p++)
    g_string_append_printf (pointer, *p == '~' ? "~0" : *p == '/' ? "~1" : "%c", *p);
  fits = check (schema, value, pointer, error);
  g_string_truncate (pointer, length);
  return fits;
}

static gboolean
check_array (JsonObject *schema, JsonArray *array, GString *pointer, GError **error)
{
  JsonObject *items = derush_json_get_object (schema, "items");

  if (!check_range (schema, json_array_get_length (array), "minItems", "maxItems", "the number of items", pointer,
                    error))
    return FALSE;
  for (guint i = 0; items && i < json_array_get_length (array); i++) {
    g_autofree char *name = g_strdup_printf ("%u", i);

    if (!check_in (items, json_array_get_element (array, i), pointer, name, error))
      return FALSE;
  }
  if (!derush_json_get_boolean (schema, "uniqueItems", FALSE))
    return TRUE;
  for (guint i = 0; i < json_array_get_length (array); i++)
    for (guint k = 0; k < i; k++)
      if (json_node_equal (json_array_get_element (array, i), json_array_get_element (array, k)))
        return fault (error, pointer, "has the same item twice: %u and %u", k, i);
  return TRUE;
}

static gboolean
check_required (JsonObject *schema, JsonObject *object, GString *pointer, GError **error)
{
  JsonArray *required = derush_json_get_array (schema, "required");

  for (guint i = 0; required && i < json_array_get_length (required); i++)
    if (!json_object_has_member (object, json_array_get_string_element (required, i)))
      return fault (error, pointer, "has no “%s”", json_array_get_string_element (required, i));
  return check_range (schema, json_object_get_size (object), "minProperties", "maxProperties", "the number of members",
                      pointer, error);
}

static gboolean
check_object (JsonObject *schema, JsonObject *object, GString *pointer, GError **error)
{
  JsonObject *properties = derush_json_get_object (schema, "properties");
  JsonObject *others = derush_json_get_object (schema, "additionalProperties");
  gboolean open = others || derush_json_get_boolean (schema, "additionalProperties", TRUE);
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  if (!check_required (schema, object, pointer, error))
    return FALSE;
  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &name, &value)) {
    JsonObject *property = derush_json_get_object (properties, name);

    if (!property && !open && !(properties && json_object_has_member (properties, name)))
      return fault (error, pointer, "has “%.60s”, which is not allowed", name);
    if (!property)
      property = others;
    if (property && !check_in (property, value, pointer, name, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
check_any (JsonArray *choices, JsonNode *value, GString *pointer, GError **error)
{
  g_autoptr (GError) first = NULL;

  for (guint i = 0; choices && i < json_array_get_length (choices); i++) {
    JsonNode *node = json_array_get_element (choices, i);

    if (JSON_NODE_HOLDS_OBJECT (node) && check (json_node_get_object (node), value, pointer, first ? NULL : &first))
      return TRUE;
  }
  if (!first)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&first));
  return FALSE;
}

static gboolean
check (JsonObject *schema, JsonNode *value, GString *pointer, GError **error)
{
  if (!check_type (schema, value, pointer, error) || !check_choice (schema, value, pointer, error) ||
      !check_any (derush_json_get_array (schema, "anyOf"), value, pointer, error))
    return FALSE;
  if (JSON_NODE_HOLDS_OBJECT (value))
    return check_object (schema, json_node_get_object (value), pointer, error);
  if (JSON_NODE_HOLDS_ARRAY (value))
    return check_array (schema, json_node_get_array (value), pointer, error);
  if (is_type (value, "string"))
    return check_string (schema, json_node_get_string (value), pointer, error);
  return !is_type (value, "number") || check_number (schema, value, pointer, error);
}

/*
 * model_schema_check:
 * @schema: with type, enum, const, anyOf, properties, required, additionalProperties, minProperties, maxProperties, items,
 *     minItems, maxItems, uniqueItems, minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, pattern;
 *     others are not looked at
 * @error: of class model, with the JSON pointer of the first value that does not fit
 *
 * Returns: whether @value fits @schema
 */
gboolean
model_schema_check (JsonObject *schema, JsonNode *value, GError **error)
{
  g_autoptr (GString) pointer = g_string_new (NULL);

  return check (schema, value, pointer, error);
}

/* In strict mode OpenAI takes objects only that are closed and whose members are all required. */
static gboolean
is_strict_object (JsonObject *schema)
{
  JsonObject *properties = derush_json_get_object (schema, "properties");
  JsonArray *required = derush_json_get_array (schema, "required");

  return properties && json_object_has_member (schema, "additionalProperties") &&
         !derush_json_get_boolean (schema, "additionalProperties", TRUE) && required &&
         json_array_get_length (required) == json_object_get_size (properties);
}

/*
 * model_schema_is_strict:
 *
 * Returns: whether @schema may be sent with `"strict": true`
 */
gboolean
model_schema_is_strict (JsonObject *schema)
{
  JsonObject *properties = derush_json_get_object (schema, "properties");
  JsonObject *items = derush_json_get_object (schema, "items");
  JsonObjectIter iter;
  JsonNode *value;

  if (g_strcmp0 (derush_json_get_string (schema, "type", NULL), "object") == 0 && !is_strict_object (schema))
    return FALSE;
  if (items && !model_schema_is_strict (items))
    return FALSE;
  if (!properties)
    return TRUE;
  json_object_iter_init (&iter, properties);
  while (json_object_iter_next (&iter, NULL, &value))
    if (JSON_NODE_HOLDS_OBJECT (value) && !model_schema_is_strict (json_node_get_object (value)))
      return FALSE;
  return TRUE;
}

static JsonNode *
strict_node (JsonNode *node, gboolean names)
{
  JsonNode *copy;
  JsonArray *array;

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    static const char *const unknown[] = {"minLength",     "maxLength", "uniqueItems", "minProperties",
                                          "maxProperties", "default",   "examples",    "title",
                                          "$schema",       "$comment",  NULL};
    JsonObject *object = json_object_new ();
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    json_object_iter_init (&iter, json_node_get_object (node));
    /* What is below `properties` are names of the answer, not words of the schema. */
    while (json_object_iter_next (&iter, &name, &value))
      if (names || !g_strv_contains (unknown, name))
        json_object_set_member (object, name, strict_node (value, !names && g_str_equal (name, "properties")));
    copy = json_node_alloc ();
    json_node_init (copy, JSON_NODE_OBJECT);
    json_node_take_object (copy, object);
    return copy;
  }
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return json_node_copy (node);
  array = json_array_new ();
  for (guint i = 0; i < json_array_get_length (json_node_get_array (node)); i++)
    json_array_add_element (array, strict_node (json_array_get_element (json_node_get_array (node), i), FALSE));
  copy = json_node_alloc ();
  json_node_init (copy, JSON_NODE_ARRAY);
  json_node_take_array (copy, array);
  return copy;
}

/*
 * model_schema_for_strict:
 *
 * Returns: (transfer full): @schema without what strict mode refuses; model_schema_check() looks at it in any case
 */
JsonObject *
model_schema_for_strict (JsonObject *schema)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), schema);
  g_autoptr (JsonNode) strict = strict_node (node, FALSE);

  return json_node_dup_object (strict);
}
