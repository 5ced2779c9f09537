/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* Of a text that is no JSON. */
#define TEXT_LENGTH 300
/* When to ask again whether a model is loaded, where nobody says how long it takes, in s. */
#define LOADING_TIME 2
/* An error is no longer than that. */
#define HIDDEN_LENGTH 65536

static char *
member_as_text (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  if (!node || !JSON_NODE_HOLDS_VALUE (node))
    return NULL;
  if (json_node_get_value_type (node) == G_TYPE_STRING)
    return g_strdup (json_node_get_string (node));
  return derush_json_node_to_string (node);
}

/* FastAPI: [{"loc":["body","voice"],"msg":"field required"}] */
static char *
read_list (JsonArray *array, char **parameter)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (array) && i < 3; i++) {
    JsonNode *node = json_array_get_element (array, i);
    JsonObject *one = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    JsonArray *loc = derush_json_get_array (one, "loc");
    JsonNode *last =
        loc && json_array_get_length (loc) > 0 ? json_array_get_element (loc, json_array_get_length (loc) - 1) : NULL;
    g_autofree char *message = one ? member_as_text (one, "msg") : NULL;

    if (!message && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
      message = g_strdup (json_node_get_string (node));
    if (!message)
      continue;
    if (text->len)
      g_string_append (text, "; ");
    if (last && JSON_NODE_HOLDS_VALUE (last) && json_node_get_value_type (last) == G_TYPE_STRING) {
      if (!*parameter)
        *parameter = g_strdup (json_node_get_string (last));
      g_string_append_printf (text, "%s: ", json_node_get_string (last));
    }
    g_string_append (text, message);
  }
  return g_string_free (text, FALSE);
}

static void
read_object (ModelFault *fault, JsonObject *object)
{
  fault->code = member_as_text (object, "code");
  if (!fault->code)
    fault->code = member_as_text (object, "type");
  fault->parameter = member_as_text (object, "param");
  fault->message = member_as_text (object, "message");
  if (!fault->message)
    fault->message = member_as_text (object, "error");
}

/* error.message, error, detail, detail[].msg, detail.message, message: servers agree on nothing. */
static void
read_json (ModelFault *fault, JsonObject *root)
{
  static const char *const names[] = {"error", "detail", NULL};

  fault->estimated_time = derush_json_get_number (root, "estimated_time", 0);
  for (guint i = 0; names[i] && !fault->message; i++) {
    if (derush_json_get_object (root, names[i]))
      read_object (fault, derush_json_get_object (root, names[i]));
    else if (derush_json_get_array (root, names[i]))
      fault->message = read_list (derush_json_get_array (root, names[i]), &fault->parameter);
    else
      fault->message = member_as_text (root, names[i]);
  }
  if (!fault->message)
    read_object (fault, root);
}

/* What a stranger wrote is shown on one line, without control characters and secrets. */
static char *
clean (const char *text, gsize length)
{
  g_autofree char *valid = g_utf8_make_valid (text, MIN (length, 4 * TEXT_LENGTH)), *redacted = NULL;
  GString *line = g_string_new (NULL);

  for (const char *p = valid; *p && g_utf8_strlen (line->str, -1) < TEXT_LENGTH; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (g_unichar_isspace (c) || g_unichar_iscntrl (c)) {
      if (line->len && line->str[line->len - 1] != ' ')
        g_string_append_c (line, ' ');
    } else {
      g_string_append_unichar (line, c);
    }
  }
  redacted = model_redact_masked (line->str);
  g_string_assign (line, redacted);
  return g_strchomp (g_string_free (line, FALSE));
}

static void
clean_in_place (char **text)
{
  char *cleaned = *text ? clean (*text, strlen (*text)) : NULL;

  g_free (*text);
  *text = cleaned;
}

void
model_fault_clear (ModelFault *fault)
{
  g_clear_pointer (&fault->code, g_free);
  g_clear_pointer (&fault->parameter, g_free);
  g_clear_pointer (&fault->message, g_free);
  fault->status = 0;
  fault->estimated_time = 0;
  fault->loading = FALSE;
}

/*
 * model_fault_read:
 * @fault: gets what @response says
 * @response: of a status that is no success
 */
void
model_fault_read (ModelFault *fault, ModelResponse *response)
{
  gsize length;
  const char *text = g_bytes_get_data (response->body, &length);
  g_autoptr (JsonObject) root = length > 0 ? derush_json_parse_object (text, length, NULL) : NULL;

  model_fault_clear (fault);
  fault->status = response->status;
  if (root)
    read_json (fault, root);
  else if (length > 0)
    fault->message = g_strndup (text, MIN (length, 4 * TEXT_LENGTH));
  fault->loading = fault->status == 503 &&
                   (fault->estimated_time > 0 ||
                    (fault->message && (strstr (fault->message, "loading") || strstr (fault->message, "Loading"))));
  if (fault->loading && !(fault->estimated_time > 0))
    fault->estimated_time = LOADING_TIME;
  clean_in_place (&fault->message);
  clean_in_place (&fault->code);
  clean_in_place (&fault->parameter);
}

/*
 * model_fault_hidden:
 * @response: of a status that is a success
 *
 * Returns: the status that fits where a server, or one between, answers an error as a success: its code, else 400; 0: it is
 *   no error
 */
guint
model_fault_hidden (ModelResponse *response)
{
  static const char *const contents[] = {"choices", "data", "text", "texts", "segments", "chunks", NULL};
  gsize length;
  const char *text = g_bytes_get_data (response->body, &length);
  g_autoptr (JsonObject) root = NULL;
  gint64 code;

  if (length == 0 || length > HIDDEN_LENGTH || text[0] != '{')
    return 0;
  root = derush_json_parse_object (text, length, NULL);
  if (!root || !json_object_has_member (root, "error") || json_object_get_null_member (root, "error"))
    return 0;
  for (guint i = 0; contents[i]; i++)
    if (json_object_has_member (root, contents[i]))
      return 0;
  code = derush_json_get_int (derush_json_get_object (root, "error"), "code", 400);
  return code >= 400 && code <= 599 ? (guint)code : 400;
}

/*
 * model_fault_names:
 *
 * Returns: whether the server's message is about @word, a member of the request
 */
gboolean
model_fault_names (const ModelFault *fault, const char *word)
{
  if (g_strcmp0 (fault->parameter, word) == 0)
    return TRUE;
  return fault->message && strstr (fault->message, word) != NULL;
}

static gboolean
is_quota (const ModelFault *fault)
{
  static const char *const codes[] = {"insufficient_quota", "billing_hard_limit_reached", "quota_exceeded",
                                      "billing_not_active", NULL};

  return fault->status == 402 || (fault->code && g_strv_contains (codes, fault->code));
}

/*
 * model_fault_is_final:
 *
 * Returns: whether the same request would be refused again, though the status says that it may be repeated
 */
gboolean
model_fault_is_final (const ModelFault *fault)
{
  return is_quota (fault);
}

static gboolean
is_language (const ModelFault *fault)
{
  return fault->code &&
         (strcmp (fault->code, "unsupported_language") == 0 || strcmp (fault->code, "unsupported-language") == 0);
}

/* Returns: which setting has the key */
const char *
model_provider_key_setting (const ModelProvider *provider)
{
  if (provider->local)
    return "DERUSH_MODELS_TOKEN";
  return strcmp (provider->name, "huggingface") == 0 ? "HUGGINGFACE_API_KEY" : "OPENAI_API_KEY";
}

/* A voice that the job names; not all servers say which member of the request it is. */
static gboolean
is_voice (ModelCall *call)
{
  const ModelFault *fault = &call->fault;
  const char *voice = call->request ? derush_json_get_string (call->request, "voice", "") : "";

  return (fault->status == 400 || fault->status == 404 || fault->status == 422) && *voice &&
         g_str_equal (call->task, model_task_names[MODEL_TASK_SPEAK]) &&
         (model_fault_names (fault, "voice") || model_fault_names (fault, "Voice"));
}

/*
 * model_fault_to_error:
 *
 * Returns: (transfer full): who refused, what it said, and what to do
 */
GError *
model_fault_to_error (ModelCall *call)
{
  const ModelFault *fault = &call->fault;
  const char *name = call->provider->name, *said = fault->message && *fault->message ? fault->message : "-";

  model_call_debug (call, "%s: status %u, code %s, request %s", name, fault->status, fault->code ? fault->code : "-",
                    call->request_id ? call->request_id : "-");
  if (is_language (fault)) {
    model_call_debug (call, "unsupported-language: %s", said);
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_UNSUPPORTED, _ ("%s has no engine for this language: %s"),
                        name, said);
  }
  /* Asked again it would refuse again. */
  if (is_voice (call))
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s has no such voice: %s"), name, said);
  if (is_quota (fault))
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                        _ ("The account at %s has no credit left; add some, or use another provider: %s"), name, said);
  if (fault->status == 401 && !call->provider->key)
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s wants a key, and there is none: set %s"), name,
                        model_provider_key_setting (call->provider));
  switch (fault->status) {
  case 401:
  case 403:
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                        _ ("%s refuses the key; look at its setting and what it may do: %s"), name, said);
  case 404:
  case 410:
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                        _ ("%s does not know the model “%s” or this address; look at its settings: %s"), name,
                        call->model, said);
  case 413:
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s does not take so much at once: %s"), name,
                        said);
  case 429:
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                        _ ("%s has had too many requests; try again later: %s"), name, said);
  default:
    break;
  }
  if (fault->status >= 300 && fault->status < 400)
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                        _ ("%s sends us elsewhere, where no key is sent; correct its address in the settings"), name);
  if (fault->status >= 500)
    return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s fails with status %u; try again later: %s"),
                        name, fault->status, said);
  return g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s refuses the request with status %u: %s"), name,
                      fault->status, said);
}
