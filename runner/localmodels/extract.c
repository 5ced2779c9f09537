/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The structured tasks of Derush that remote models get in prose, by heuristics that read the data itself. No language model. */

#include "localmodels-private.h"
#include "text-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

static JsonObject *
parse_input (const char *text)
{
  static const char *const members[] = {"transcript", "signals", "frames", "parameters"};
  JsonObject *input = *text == '{' ? derush_json_parse_object (text, -1, NULL) : NULL;

  for (guint i = 0; input && i < G_N_ELEMENTS (members); i++)
    if (json_object_has_member (input, members[i]))
      return input;
  g_clear_pointer (&input, json_object_unref);
  return NULL;
}

/* The last message that is data; what follows it asks for a repair. */
static JsonObject *
find_input (JsonArray *messages)
{
  for (guint i = messages ? json_array_get_length (messages) : 0; i > 0; i--) {
    JsonNode *node = json_array_get_element (messages, i - 1);
    JsonObject *message = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *input;
    JsonArray *parts;

    if (!message || strcmp (derush_json_get_string (message, "role", ""), "user") != 0)
      continue;
    if ((input = parse_input (derush_json_get_string (message, "content", ""))))
      return input;
    parts = derush_json_get_array (message, "content");
    for (guint k = parts ? json_array_get_length (parts) : 0; k > 0; k--) {
      JsonNode *part = json_array_get_element (parts, k - 1);

      if (JSON_NODE_HOLDS_OBJECT (part) &&
          (input = parse_input (derush_json_get_string (json_node_get_object (part), "text", ""))))
        return input;
    }
  }
  return NULL;
}

/**
 * derush_local_extract:
 * @request: of /v1/chat/completions: `response_format` of type `json_schema`, and `messages[]`, the last one of the user with
 *     the text of a JSON object that has `transcript`, `signals`, `frames` or `parameters`
 *
 * Returns: (nullable): `content`, the text of JSON that fits the schema, and `engine`
 */
JsonObject *
derush_local_extract (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable, GError **error)
{
  JsonObject *format = derush_json_get_object (request, "response_format"), *inner, *schema = NULL, *result;
  g_autoptr (JsonObject) data = find_input (derush_json_get_array (request, "messages")), facts = NULL;
  g_autoptr (JsonNode) whole = NULL, made = NULL;
  g_autofree char *content = NULL;

  if (format && strcmp (derush_json_get_string (format, "type", ""), "json_schema") == 0 &&
      (inner = derush_json_get_object (format, "json_schema")))
    schema = derush_json_get_object (inner, "schema");
  if (!schema || !data) {
    local_set_error (
        error, DERUSH_ERROR_UNSUPPORTED, "unsupported_task", schema ? "messages" : "response_format",
        _ ("local-extractive is no language model: it takes only the structured tasks of Derush, with a JSON "
           "schema and their data; use a remote provider for anything else"));
    return NULL;
  }
  facts = local_facts_gather (data, cancellable);
  whole = json_node_init_object (json_node_alloc (), facts);
  made = local_schema_project (whole, schema, error);
  if (!made)
    return NULL;
  content = derush_json_node_to_string (made);
  result = json_object_new ();
  json_object_set_string_member (result, "content", content);
  json_object_set_string_member (result, "engine", "local-extractive");
  return result;
}
