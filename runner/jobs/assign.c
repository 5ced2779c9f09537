/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_PARTS 16
#define MAX_NAME 256

/* A number as JSON spells it: what else begins with a digit, such as 9:16, is text. */
static gboolean
looks_like_number (const char *text)
{
  const char *p = text;
  gsize digits;

  if (*p == '-')
    p++;
  digits = strspn (p, "0123456789");
  if (digits == 0 || (digits > 1 && *p == '0'))
    return FALSE;
  p += digits;
  if (*p == '.') {
    digits = strspn (p + 1, "0123456789");
    if (digits == 0)
      return FALSE;
    p += 1 + digits;
  }
  if (*p == 'e' || *p == 'E') {
    p++;
    if (*p == '+' || *p == '-')
      p++;
    digits = strspn (p, "0123456789");
    if (digits == 0)
      return FALSE;
    p += digits;
  }
  return *p == '\0';
}

/* @field: (nullable): what the type's table says of it; a text stays one even if it looks like something else. */
static JsonNode *
value_of (const Field *field, const char *text)
{
  gboolean is_text = field && (field->type == FIELD_TEXT || field->type == FIELD_NAME || field->type == FIELD_CHOICE ||
                               field->type == FIELD_ID);
  JsonNode *node = NULL;

  if (!is_text && (looks_like_number (text) || strcmp (text, "true") == 0 || strcmp (text, "false") == 0 ||
                   text[0] == '{' || text[0] == '['))
    node = derush_json_parse (text, -1, NULL);
  if (node) {
    JsonNode *copy = json_copy_finite (node);

    json_node_unref (node);
    return copy;
  }
  return json_node_init_string (json_node_alloc (), text);
}

/* The member @name of @object as an object that can be changed; made if it is missing. */
static JsonObject *
enter (JsonObject *object, const char *name, GError **error)
{
  JsonNode *node = json_object_get_member (object, name), *copy;
  JsonObject *child;

  if (node && !JSON_NODE_HOLDS_NULL (node)) {
    g_autofree char *value = NULL;

    if (JSON_NODE_HOLDS_OBJECT (node)) {
      child = json_node_get_object (node);
      if (!json_object_is_immutable (child))
        return child;
      copy = json_copy_finite (node);
      json_object_set_member (object, name, copy);
      return json_node_get_object (copy);
    }
    value = json_node_quote (node);
    g_set_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s is %s, so nothing can be set inside of it"),
                 name, value);
    return NULL;
  }
  child = json_object_new ();
  json_object_set_object_member (object, name, child);
  return child;
}

static gboolean
check_parts (GStrv parts, const char *assignment, GError **error)
{
  g_autofree char *quoted = text_quote (assignment);

  for (guint i = 0; parts[i]; i++) {
    if (parts[i][0] == '\0' || strlen (parts[i]) > MAX_NAME || i >= MAX_PARTS) {
      g_set_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT,
                   _ ("%s is no NAME=VALUE: names are separated by single dots, %d of them at most"), quoted,
                   MAX_PARTS);
      return FALSE;
    }
  }
  return TRUE;
}

/* The members of @more go into the object @name of @data, whose other members stay. */
static gboolean
merge (JsonObject *data, const char *name, JsonObject *more, GError **error)
{
  JsonObjectIter iter;
  const char *member;
  JsonNode *value;
  JsonObject *object = enter (data, name, error);

  if (!object)
    return FALSE;
  json_object_iter_init (&iter, more);
  while (json_object_iter_next (&iter, &member, &value))
    json_object_set_member (object, member, json_node_copy (value));
  return TRUE;
}

/**
 * derush_job_data_set:
 * @data: the job's data; must not be immutable
 * @job_type: (nullable): the type of the job
 * @assignment: `NAME=VALUE`; a dotted name is a member inside of others
 * @error: return location for an error
 *
 * Sets one member of @data. A VALUE that is a JSON number, boolean, list or object is taken as such unless @job_type
 * wants a text there; everything else is text. What belongs into the request object of @job_type, such as
 * `thumbnailRequest`, may be named without it; such an object given as a whole is added to what was set before.
 *
 * Returns: %FALSE if @assignment is none, or @data has something else where an object would have to be
 */
gboolean
derush_job_data_set (JsonObject *data, const char *job_type, const char *assignment, GError **error)
{
  const char *equals = strchr (assignment, '=');
  const JobType *type = job_type_find (job_type);
  g_autofree char *name = equals ? g_strndup (assignment, equals - assignment) : NULL, *quoted = NULL;
  g_auto (GStrv) parts = NULL;
  g_autoptr (JsonNode) value = NULL;
  const Field *field;
  gboolean is_container;
  guint last;

  if (!equals || equals == assignment || !g_utf8_validate (assignment, -1, NULL)) {
    quoted = text_quote (assignment);
    g_set_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s is no NAME=VALUE"), quoted);
    return FALSE;
  }
  parts = g_strsplit (name, ".", MAX_PARTS + 2);
  if (!check_parts (parts, assignment, error))
    return FALSE;
  last = g_strv_length (parts) - 1;
  is_container = last == 0 && type && type->containers && g_strv_contains (type->containers, parts[0]);
  field = type ? field_find (type->fields, parts[0]) : NULL;
  if (field && type->containers && !(data = enter (data, type->containers[0], error)))
    return FALSE;
  if (!field && last == 0)
    field = field_find (envelope_fields, parts[0]);
  else if (last == 1 && type && type->containers && g_strv_contains (type->containers, parts[0]))
    field = field_find (type->fields, parts[1]);
  else if (last > 0)
    field = NULL;
  for (guint i = 0; i < last; i++)
    if (!(data = enter (data, parts[i], error)))
      return FALSE;
  value = value_of (field, equals + 1);
  if (is_container && JSON_NODE_HOLDS_OBJECT (value) && derush_json_get_object (data, parts[0]))
    return merge (data, parts[0], json_node_get_object (value), error);
  json_object_set_member (data, parts[last], g_steal_pointer (&value));
  return TRUE;
}
