/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* What one text may become when references inside of it are filled in. */
#define MAX_TEXT (1024 * 1024)

void
workflow_reference_free (WorkflowReference *reference)
{
  g_free (reference->text);
  g_strfreev (reference->words);
  g_free (reference);
}

static WorkflowReference *
reference_new (const char *text, gsize length)
{
  WorkflowReference *reference = g_new0 (WorkflowReference, 1);

  reference->text = g_strndup (text, length);
  reference->optional = g_str_has_suffix (reference->text, "?");
  if (reference->optional)
    reference->text[length - 1] = '\0';
  reference->words = g_strsplit (reference->text, ".", -1);
  return reference;
}

/*
 * Takes the next reference of a text.
 * @p: (inout): where to begin, then behind the reference
 * @before: (nullable): gets the plain text before it
 * @closed: (out): whether it ends
 *
 * Returns: (nullable): the reference, NULL at the end of the text or if it is not closed
 */
static WorkflowReference *
next_reference (const char **p, GString *before, gboolean *closed)
{
  *closed = TRUE;
  while (**p) {
    const char *end;

    if (g_str_has_prefix (*p, "$${")) {
      if (before)
        g_string_append (before, "${");
      *p += 3;
      continue;
    }
    if (!g_str_has_prefix (*p, "${")) {
      if (before)
        g_string_append_c (before, **p);
      (*p)++;
      continue;
    }
    end = strchr (*p, '}');
    *closed = end != NULL;
    if (end) {
      WorkflowReference *reference = reference_new (*p + 2, end - *p - 2);

      *p = end + 1;
      return reference;
    }
    return NULL;
  }
  return NULL;
}

static char *
pointer_to (const char *pointer, const char *name)
{
  g_auto (GStrv) tildes = g_strsplit (name, "~", -1);
  g_autofree char *once = g_strjoinv ("~0", tildes);
  g_auto (GStrv) slashes = g_strsplit (once, "/", -1);
  g_autofree char *twice = g_strjoinv ("~1", slashes);

  return g_strconcat (pointer, "/", twice, NULL);
}

static const char *
text_of (JsonNode *node)
{
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node)
                                                                                          : NULL;
}

void
workflow_references_foreach (JsonNode *node, const char *pointer, WorkflowReferenceFunc func, gpointer user_data)
{
  const char *text = text_of (node);

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObjectIter iter;
    const char *name;
    JsonNode *member;

    json_object_iter_init_ordered (&iter, json_node_get_object (node));
    while (json_object_iter_next_ordered (&iter, &name, &member)) {
      g_autofree char *inner = pointer_to (pointer, name);

      workflow_references_foreach (member, inner, func, user_data);
    }
  } else if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);

    for (guint i = 0; i < json_array_get_length (array); i++) {
      g_autofree char *inner = g_strdup_printf ("%s/%u", pointer, i);

      workflow_references_foreach (json_array_get_element (array, i), inner, func, user_data);
    }
  }
  for (;;) {
    g_autoptr (WorkflowReference) reference = NULL;
    gboolean closed = TRUE;

    if (text)
      reference = next_reference (&text, NULL, &closed);
    if (!closed)
      func (pointer, NULL, user_data);
    if (!reference)
      return;
    func (pointer, reference, user_data);
  }
}

static gboolean
append_value (GString *text, JsonNode *value, const WorkflowReference *reference, GError **error)
{
  const char *string = text_of (value);

  if (string) {
    g_string_append (text, string);
  } else if (JSON_NODE_HOLDS_NULL (value) && reference->optional) {
    return TRUE;
  } else if (JSON_NODE_HOLDS_VALUE (value)) {
    g_autofree char *written = derush_json_node_to_string (value);

    g_string_append (text, written);
  } else {
    g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("${%s} stands inside of a longer text but is neither a text, a number nor a boolean"),
                 reference->text);
    return FALSE;
  }
  if (text->len <= MAX_TEXT)
    return TRUE;
  g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The text with ${%s} becomes too long"),
               reference->text);
  return FALSE;
}

static JsonNode *
resolve_text (const char *text, WorkflowLookupFunc lookup, gpointer user_data, GError **error)
{
  g_autoptr (GString) result = g_string_new (NULL);
  gboolean alone = g_str_has_prefix (text, "${");

  for (;;) {
    g_autoptr (WorkflowReference) reference = NULL;
    JsonNode *value;
    gboolean closed;

    reference = next_reference (&text, result, &closed);
    if (!reference)
      break;
    value = lookup (reference, user_data, error);
    if (!value)
      return NULL;
    if (alone && *text == '\0')
      return workflow_copy_node (value);
    alone = FALSE;
    if (!append_value (result, value, reference, error))
      return NULL;
  }
  return json_node_init_string (json_node_alloc (), result->str);
}

/*
 * A copy of @node that can be changed, with every reference replaced by what @lookup says. Numbers that JSON cannot
 * write, such as infinity, become null.
 */
JsonNode *
workflow_references_resolve (JsonNode *node, WorkflowLookupFunc lookup, gpointer user_data, GError **error)
{
  const char *text = text_of (node);
  JsonNode *copy;

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    g_autoptr (JsonObject) object = json_object_new ();
    JsonObjectIter iter;
    const char *name;
    JsonNode *member;

    json_object_iter_init_ordered (&iter, json_node_get_object (node));
    while (json_object_iter_next_ordered (&iter, &name, &member)) {
      JsonNode *inner = workflow_references_resolve (member, lookup, user_data, error);

      if (!inner)
        return NULL;
      json_object_set_member (object, name, inner);
    }
    return json_node_init_object (json_node_alloc (), object);
  }
  if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *from = json_node_get_array (node);
    g_autoptr (JsonArray) array = json_array_new ();

    for (guint i = 0; i < json_array_get_length (from); i++) {
      JsonNode *inner = workflow_references_resolve (json_array_get_element (from, i), lookup, user_data, error);

      if (!inner)
        return NULL;
      json_array_add_element (array, inner);
    }
    return json_node_init_array (json_node_alloc (), array);
  }
  if (text && lookup)
    return resolve_text (text, lookup, user_data, error);
  copy = json_node_copy (node);
  json_node_set_parent (copy, NULL);
  return copy;
}

JsonNode *
workflow_copy_node (JsonNode *node)
{
  return workflow_references_resolve (node, NULL, NULL, NULL);
}

static JsonNode *
element_of (JsonArray *array, const char *word)
{
  guint64 i;

  if (!g_ascii_string_to_unsigned (word, 10, 0, G_MAXUINT, &i, NULL) || i >= json_array_get_length (array))
    return NULL;
  return json_array_get_element (array, i);
}

static JsonNode *
null_node (void)
{
  static JsonNode *node;
  static gsize ready;

  if (g_once_init_enter (&ready)) {
    node = json_node_init_null (json_node_alloc ());
    g_once_init_leave (&ready, 1);
  }
  return node;
}

/*
 * workflow_reference_follow:
 * @first: the word that names a member of @object
 *
 * Returns: (transfer none) (nullable): where the rest of @reference leads
 */
JsonNode *
workflow_reference_follow (const WorkflowReference *reference, guint first, JsonObject *object, GError **error)
{
  JsonNode *node = object ? json_object_get_member (object, reference->words[first]) : NULL;

  for (guint i = first + 1; node && reference->words[i]; i++) {
    if (JSON_NODE_HOLDS_OBJECT (node))
      node = json_object_get_member (json_node_get_object (node), reference->words[i]);
    else if (JSON_NODE_HOLDS_ARRAY (node))
      node = element_of (json_node_get_array (node), reference->words[i]);
    else
      node = NULL;
  }
  if (!node && reference->optional)
    return null_node ();
  if (!node)
    g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("${%s} refers to something that is not there"), reference->text);
  return node;
}
