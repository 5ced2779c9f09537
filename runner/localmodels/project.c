/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What is known, put into the form that a JSON schema asks for: properties are found by their names and the usual others. */

#include "localmodels-private.h"
#include "text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_DEPTH 24

/* Names that mean the same, in the order in which they are tried. Compared without case, `_` and `-`. */
static const char *const names[][10] = {
    {"start", "starttime", "startseconds", "from", "begin", "time", "timestamp"},
    {"end", "endtime", "endseconds", "to", "stop"},
    {"title", "name", "label", "heading", "headline", "topic", "keyword"},
    {"summary", "description", "overview", "abstract", "synopsis", "text", "content", "body", "caption"},
    {"description", "text", "content", "details", "reason"},
    {"reason", "why", "explanation", "rationale", "basis"},
    {"score", "confidence", "relevance", "importance", "weight", "probability"},
    {"tags", "keywords", "topics", "categories"},
    {"moments", "highlights", "keymoments", "bestmoments", "clips"},
    {"scenes", "frames", "shots"},
    {"people", "persons", "characters"},
    {"chapters", "sections", "timestamps"},
    {"answer", "response"},
    {"parts", "posts", "thread"},
    {"segments", "sentences", "keypoints", "quotes"},
};

typedef struct {
  JsonObject *root; /* of the schema, for its definitions */
} Projection;

static JsonNode *project (Projection *projection, JsonNode *value, JsonObject *schema, const char *path, guint depth,
                          GError **error);

static char *
plain (const char *name)
{
  GString *letters = g_string_new (NULL);

  for (; *name; name++)
    if (*name != '_' && *name != '-')
      g_string_append_c (letters, g_ascii_tolower (*name));
  return g_string_free (letters, FALSE);
}

static JsonNode *
find_member (JsonObject *object, const char *name)
{
  g_autoptr (GList) members = json_object_get_members (object);
  g_autofree char *wanted = plain (name);

  if (json_object_has_member (object, name))
    return json_object_get_member (object, name);
  for (GList *member = members; member; member = member->next) {
    g_autofree char *here = plain (member->data);

    if (strcmp (here, wanted) == 0)
      return json_object_get_member (object, member->data);
  }
  for (guint g = 0; g < G_N_ELEMENTS (names); g++) {
    gboolean meant = FALSE;

    for (guint i = 0; names[g][i] && !meant; i++)
      meant = strcmp (names[g][i], wanted) == 0;
    for (guint i = 0; meant && i < G_N_ELEMENTS (names[g]) && names[g][i]; i++)
      if (json_object_has_member (object, names[g][i]))
        return json_object_get_member (object, names[g][i]);
  }
  return NULL;
}

static JsonObject *
resolve (Projection *projection, JsonObject *schema)
{
  const char *reference = derush_json_get_string (schema, "$ref", NULL);
  JsonObject *at = projection->root;
  g_auto (GStrv) steps = NULL;

  if (!reference || !g_str_has_prefix (reference, "#/"))
    return schema;
  steps = g_strsplit (reference + 2, "/", -1);
  for (guint i = 0; steps[i] && at; i++)
    at = derush_json_get_object (at, steps[i]);
  return at ? at : schema;
}

/* Whether the schema takes values of the type; one that names none takes all. */
static gboolean
takes (JsonObject *schema, const char *type)
{
  JsonNode *node = json_object_get_member (schema, "type");

  if (!node)
    return !json_object_has_member (schema, "enum") || strcmp (type, "null") != 0;
  if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *types = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (types); i++)
      if (g_strcmp0 (json_node_get_string (json_array_get_element (types, i)), type) == 0)
        return TRUE;
    return FALSE;
  }
  return g_strcmp0 (json_node_get_string (node), type) == 0;
}

static gboolean
takes_null (JsonObject *schema)
{
  JsonArray *choices = derush_json_get_array (schema, "anyOf");

  if (!choices)
    choices = derush_json_get_array (schema, "oneOf");
  for (guint i = 0; choices && i < json_array_get_length (choices); i++)
    if (takes_null (json_array_get_object_element (choices, i)))
      return TRUE;
  return json_object_has_member (schema, "type") && takes (schema, "null");
}

static void
refuse (GError **error, const char *path)
{
  local_set_error (error, DERUSH_ERROR_UNSUPPORTED, "unsupported_property", "response_format",
                   _ ("The local heuristics have nothing for “%s” of the schema"), path);
}

static JsonNode *
string_node (const char *text)
{
  return json_node_init_string (json_node_alloc (), text);
}

/* ── Kinds of values ────────────────────────────────────────────────────── */

static char *
value_to_text (JsonNode *value)
{
  static const char *const members[] = {"label", "title", "text", "description", "name"};

  if (JSON_NODE_HOLDS_OBJECT (value)) {
    for (guint i = 0; i < G_N_ELEMENTS (members); i++) {
      const char *text = derush_json_get_string (json_node_get_object (value), members[i], NULL);

      if (text)
        return g_strdup (text);
    }
    return NULL;
  }
  if (JSON_NODE_HOLDS_ARRAY (value)) {
    g_autoptr (GString) joined = g_string_new (NULL);
    JsonArray *items = json_node_get_array (value);

    for (guint i = 0; i < json_array_get_length (items); i++) {
      g_autofree char *item = value_to_text (json_array_get_element (items, i));

      if (item)
        g_string_append_printf (joined, "%s%s", joined->len > 0 ? ", " : "", item);
    }
    return g_strdup (joined->str);
  }
  if (json_node_get_value_type (value) == G_TYPE_STRING)
    return g_strdup (json_node_get_string (value));
  if (json_node_get_value_type (value) == G_TYPE_DOUBLE) {
    guint whole = (guint)MAX (json_node_get_double (value), 0);

    return g_strdup_printf ("%02u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return NULL;
}

static JsonNode *
choose (JsonArray *choices, const char *text)
{
  static const char *const neutral[] = {"unknown", "other", "none", "neutral", "general"};

  for (guint i = 0; i < json_array_get_length (choices); i++) {
    JsonNode *choice = json_array_get_element (choices, i);

    if (text && json_node_get_value_type (choice) == G_TYPE_STRING &&
        g_ascii_strcasecmp (json_node_get_string (choice), text) == 0)
      return json_node_copy (choice);
  }
  for (guint k = 0; k < G_N_ELEMENTS (neutral); k++) {
    for (guint i = 0; i < json_array_get_length (choices); i++) {
      JsonNode *choice = json_array_get_element (choices, i);

      if (json_node_get_value_type (choice) == G_TYPE_STRING &&
          g_ascii_strcasecmp (json_node_get_string (choice), neutral[k]) == 0)
        return json_node_copy (choice);
    }
  }
  return NULL;
}

static JsonNode *
project_string (JsonNode *value, JsonObject *schema)
{
  g_autofree char *text = value_to_text (value), *fitting = NULL;
  JsonArray *choices = derush_json_get_array (schema, "enum");
  const char *pattern = derush_json_get_string (schema, "pattern", NULL);
  gint64 most = derush_json_get_int (schema, "maxLength", G_MAXINT32);

  if (choices)
    return choose (choices, text);
  if (!text)
    return NULL;
  fitting = local_text_shorten (text, (guint)CLAMP (most, 0, G_MAXINT32));
  if (g_utf8_strlen (fitting, -1) < derush_json_get_int (schema, "minLength", 0))
    return NULL;
  if (pattern && !g_regex_match_simple (pattern, fitting, 0, 0))
    return NULL;
  return string_node (fitting);
}

static JsonNode *
project_number (JsonNode *value, JsonObject *schema, gboolean whole)
{
  double number;

  if (JSON_NODE_HOLDS_OBJECT (value) && json_object_has_member (json_node_get_object (value), "score"))
    value = json_object_get_member (json_node_get_object (value), "score");
  if (!JSON_NODE_HOLDS_VALUE (value) ||
      (json_node_get_value_type (value) != G_TYPE_DOUBLE && json_node_get_value_type (value) != G_TYPE_INT64))
    return NULL;
  number = json_node_get_double (value);
  number = CLAMP (number, derush_json_get_number (schema, "minimum", -G_MAXDOUBLE),
                  derush_json_get_number (schema, "maximum", G_MAXDOUBLE));
  if (whole)
    return json_node_init_int (json_node_alloc (), llround (number));
  return json_node_init_double (json_node_alloc (), round (number * 1000) / 1000);
}

static JsonNode *
project_array (Projection *projection, JsonNode *value, JsonObject *schema, const char *path, guint depth,
               GError **error)
{
  g_autoptr (JsonArray) items = json_array_new ();
  JsonObject *item_schema = derush_json_get_object (schema, "items");
  gint64 most = derush_json_get_int (schema, "maxItems", G_MAXINT32);
  g_autofree char *below = g_strconcat (path, "[]", NULL);
  JsonArray *values;

  if (!JSON_NODE_HOLDS_ARRAY (value))
    return NULL;
  values = json_node_get_array (value);
  for (guint i = 0; i < json_array_get_length (values) && (gint64)json_array_get_length (items) < most; i++) {
    JsonNode *item = json_array_get_element (values, i), *made;

    if (!item_schema) {
      json_array_add_element (items, json_node_copy (item));
      continue;
    }
    made = project (projection, item, item_schema, below, depth + 1, error);
    if (!made)
      return NULL;
    json_array_add_element (items, made);
  }
  if ((gint64)json_array_get_length (items) < derush_json_get_int (schema, "minItems", 0))
    return NULL;
  return json_node_init_array (json_node_alloc (), items);
}

static gboolean
is_required (JsonObject *schema, const char *name)
{
  JsonArray *required = derush_json_get_array (schema, "required");

  for (guint i = 0; required && i < json_array_get_length (required); i++)
    if (g_strcmp0 (json_node_get_string (json_array_get_element (required, i)), name) == 0)
      return TRUE;
  return FALSE;
}

static JsonNode *
project_object (Projection *projection, JsonNode *value, JsonObject *schema, const char *path, guint depth,
                GError **error)
{
  g_autoptr (JsonObject) made = json_object_new (), wrapped = NULL;
  JsonObject *properties = derush_json_get_object (schema, "properties"), *from;
  g_autoptr (GList) members = properties ? json_object_get_members (properties) : NULL;

  if (JSON_NODE_HOLDS_OBJECT (value)) {
    from = json_node_get_object (value);
  } else {
    g_autofree char *text = value_to_text (value);

    /* A topic alone where one with its properties is asked for. */
    from = wrapped = json_object_new ();
    if (!text)
      return NULL;
    json_object_set_string_member (wrapped, "title", text);
    json_object_set_string_member (wrapped, "text", text);
  }
  for (GList *member = members; member; member = member->next) {
    const char *name = member->data;
    JsonObject *below = derush_json_get_object (properties, name);
    g_autofree char *inner = *path ? g_strdup_printf ("%s.%s", path, name) : g_strdup (name);
    JsonNode *found = find_member (from, name), *node;
    g_autoptr (GError) local = NULL;

    if (!below)
      continue;
    below = resolve (projection, below);
    /* An object that only groups what is known. */
    if (!found && takes (below, "object") && json_object_has_member (below, "properties")) {
      g_autoptr (JsonNode) whole = json_node_init_object (json_node_alloc (), from);

      node = project (projection, whole, below, inner, depth + 1, &local);
    } else {
      node = found || json_object_has_member (below, "const")
                 ? project (projection, found, below, inner, depth + 1, &local)
                 : NULL;
    }
    if (node) {
      json_object_set_member (made, name, node);
    } else if (takes_null (below)) {
      json_object_set_null_member (made, name);
    } else if (is_required (schema, name)) {
      if (local)
        g_propagate_error (error, g_steal_pointer (&local));
      else
        refuse (error, inner);
      return NULL;
    }
  }
  return json_node_init_object (json_node_alloc (), made);
}

static JsonNode *
project (Projection *projection, JsonNode *value, JsonObject *schema, const char *path, guint depth, GError **error)
{
  JsonArray *choices;
  JsonNode *made = NULL;
  g_autoptr (GError) local = NULL;

  schema = resolve (projection, schema);
  if (depth > MAX_DEPTH) {
    refuse (error, path);
    return NULL;
  }
  if (json_object_has_member (schema, "const"))
    return json_node_copy (json_object_get_member (schema, "const"));
  choices = derush_json_get_array (schema, "anyOf");
  if (!choices)
    choices = derush_json_get_array (schema, "oneOf");
  for (guint i = 0; choices && i < json_array_get_length (choices) && !made; i++) {
    JsonNode *choice = json_array_get_element (choices, i);

    if (JSON_NODE_HOLDS_OBJECT (choice))
      made = project (projection, value, json_node_get_object (choice), path, depth + 1, NULL);
  }
  if (made)
    return made;
  if (!value) {
    refuse (error, path);
    return NULL;
  }
  if (!made && JSON_NODE_HOLDS_ARRAY (value) && takes (schema, "array"))
    made = project_array (projection, value, schema, path, depth, &local);
  if (!made && !local && takes (schema, "object") &&
      (json_object_has_member (schema, "properties") || JSON_NODE_HOLDS_OBJECT (value)))
    made = project_object (projection, value, schema, path, depth, &local);
  if (!made && !local && (takes (schema, "number") || takes (schema, "integer")))
    made = project_number (value, schema, !takes (schema, "number"));
  if (!made && !local && takes (schema, "string"))
    made = project_string (value, schema);
  if (!made && takes_null (schema))
    return json_node_init_null (json_node_alloc ());
  if (!made && local)
    g_propagate_error (error, g_steal_pointer (&local));
  else if (!made)
    refuse (error, path);
  return made;
}

/**
 * local_schema_project:
 * @facts: an object with all that is known
 * @schema: what is asked for
 *
 * Returns: (nullable): what of @facts the schema has properties for, in its form; an error of class unsupported names a
 *     property that is required and unknown
 */
JsonNode *
local_schema_project (JsonNode *facts, JsonObject *schema, GError **error)
{
  Projection projection = {.root = schema};

  return project (&projection, facts, schema, "", 0, error);
}
