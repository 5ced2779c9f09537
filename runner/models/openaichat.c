/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* Of one picture: frames are sent small. */
#define MAX_PICTURE (8 << 20)
/* How many answers there are of one question: the first, and one that was told what is wrong with it. */
#define MAX_TURNS 2

/* ── Messages ───────────────────────────────────────────────────────────── */

static JsonArray *
add_message (JsonArray *messages, const char *role, const char *text)
{
  JsonObject *message = json_object_new ();

  json_object_set_string_member (message, "role", role);
  json_object_set_string_member (message, "content", text);
  json_array_add_object_element (messages, message);
  return messages;
}

/* As data, which is the only form that every server takes. */
static JsonObject *
picture_part (const char *path, GError **error)
{
  g_autofree char *data = NULL, *base64 = NULL, *url = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) local = NULL;
  JsonObject *part, *image;
  const char *type;
  int width, height;
  gboolean whole;
  gsize length;

  if (!g_file_get_contents (path, &data, &length, &local)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” cannot be sent to a model: %s"), path,
                 local->message);
    return NULL;
  }
  bytes = g_bytes_new_static (data, length);
  type = model_sniff_picture (bytes, &width, &height, &whole);
  if (!type || !whole || length > MAX_PICTURE) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” cannot be sent to a model: %s"), path,
                 length > MAX_PICTURE ? _ ("it is too large") : _ ("it is no picture"));
    return NULL;
  }
  base64 = g_base64_encode ((const guchar *)data, length);
  url = g_strdup_printf ("data:image/%s;base64,%s", strcmp (type, "jpg") == 0 ? "jpeg" : type, base64);
  image = json_object_new ();
  json_object_set_string_member (image, "url", url);
  json_object_set_string_member (image, "detail", "low");
  part = json_object_new ();
  json_object_set_string_member (part, "type", "image_url");
  json_object_set_object_member (part, "image_url", image);
  return part;
}

static JsonObject *
text_part (const char *text)
{
  JsonObject *part = json_object_new ();

  json_object_set_string_member (part, "type", "text");
  json_object_set_string_member (part, "text", text);
  return part;
}

static gboolean
add_parts (JsonArray *messages, JsonArray *content, GError **error)
{
  g_autoptr (JsonArray) parts = json_array_new ();
  JsonObject *message;

  for (guint i = 0; i < json_array_get_length (content); i++) {
    JsonNode *node = json_array_get_element (content, i);
    JsonObject *from = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    const char *path = derush_json_get_string (from, "image", NULL);
    JsonObject *part = path ? picture_part (path, error) : text_part (derush_json_get_string (from, "text", ""));

    if (!part)
      return FALSE;
    json_array_add_object_element (parts, part);
  }
  message = json_object_new ();
  json_object_set_string_member (message, "role", "user");
  json_object_set_array_member (message, "content", g_steal_pointer (&parts));
  json_array_add_object_element (messages, message);
  return TRUE;
}

static JsonArray *
make_messages (ModelCall *call, GError **error)
{
  g_autoptr (JsonArray) messages = json_array_new ();
  const char *system = derush_json_get_string (call->request, "system", NULL);
  JsonArray *content = derush_json_get_array (call->request, "content");
  JsonObject *input = derush_json_get_object (call->request, "input");

  if (system && *system)
    add_message (messages, "system", system);
  if (content) {
    if (!add_parts (messages, content, error))
      return NULL;
  } else {
    add_message (messages, "user", derush_json_get_string (call->request, "content", ""));
  }
  /* Our own server reads what the text was made from. */
  if (input && call->provider->local) {
    g_autofree char *text = derush_json_object_to_string (input);

    add_message (messages, "user", text);
  }
  return g_steal_pointer (&messages);
}

/* ── One turn ───────────────────────────────────────────────────────────── */

static JsonObject *
response_format (ModelCall *call, JsonObject *schema)
{
  JsonObject *format = json_object_new (), *inner;
  gboolean strict =
      model_schema_is_strict (schema) && !model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_STRICT);

  if (model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_SCHEMA)) {
    json_object_set_string_member (format, "type", "json_object");
    return format;
  }
  inner = json_object_new ();
  json_object_set_string_member (inner, "name", derush_json_get_string (call->request, "name", "answer"));
  json_object_set_boolean_member (inner, "strict", strict);
  json_object_set_object_member (inner, "schema", strict ? model_schema_for_strict (schema) : json_object_ref (schema));
  json_object_set_string_member (format, "type", "json_schema");
  json_object_set_object_member (format, "json_schema", inner);
  return format;
}

static void
add_limits (ModelCall *call, JsonObject *json)
{
  gint64 tokens = derush_json_get_int (call->request, "maxTokens", 0);

  if (tokens > 0)
    json_object_set_int_member (
        json,
        model_provider_has_quirk (call->provider, MODEL_QUIRK_MAX_TOKENS) ? "max_tokens" : "max_completion_tokens",
        tokens);
  if (json_object_has_member (call->request, "temperature") &&
      !model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_TEMPERATURE))
    json_object_set_double_member (json, "temperature", derush_json_get_number (call->request, "temperature", 1));
  if (json_object_has_member (call->request, "seed") && !model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_SEED))
    json_object_set_int_member (json, "seed", derush_json_get_int (call->request, "seed", 0));
}

/* A server that keeps to no schema is told what it is in words. */
static JsonArray *
messages_with_schema (ModelCall *call, JsonArray *messages, JsonObject *schema)
{
  JsonArray *all = json_array_new ();

  if (schema && model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_SCHEMA)) {
    g_autofree char *text = derush_json_object_to_string (schema);
    g_autofree char *told =
        g_strconcat ("Answer with one JSON object and nothing else. It must fit this JSON schema:\n", text, NULL);

    add_message (all, "system", told);
  }
  for (guint i = 0; i < json_array_get_length (messages); i++)
    json_array_add_element (all, json_node_copy (json_array_get_element (messages, i)));
  return all;
}

static ModelRequest *
chat_request (ModelCall *call, JsonArray *messages, JsonObject *schema)
{
  ModelRequest *request = model_request_new ("POST", model_call_chat_url (call), "/chat/completions");
  g_autoptr (JsonObject) json = json_object_new ();

  request->bill_to = g_strdup (call->provider->bill_to);
  json_object_set_string_member (json, "model", call->model);
  json_object_set_array_member (json, "messages", messages_with_schema (call, messages, schema));
  add_limits (call, json);
  if (schema && !model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_JSON))
    json_object_set_object_member (json, "response_format", response_format (call, schema));
  model_request_set_json (request, json);
  return request;
}

/* Returns: which part of the request is refused, and can be left out or said in another way; 0: none */
static ModelQuirk
disliked_in_chat (ModelCall *call)
{
  static const struct {
    const char *word;
    ModelQuirk quirk;
  } names[] = {
      {"max_completion_tokens", MODEL_QUIRK_MAX_TOKENS},
      {"temperature", MODEL_QUIRK_NO_TEMPERATURE},
      {"seed", MODEL_QUIRK_NO_SEED},
      {"Invalid schema", MODEL_QUIRK_NO_STRICT},
      {"json_schema", MODEL_QUIRK_NO_SCHEMA},
      {"response_format", MODEL_QUIRK_NO_SCHEMA},
      {"grammar", MODEL_QUIRK_NO_SCHEMA},
      {"json_object", MODEL_QUIRK_NO_JSON},
      {"response_format", MODEL_QUIRK_NO_JSON},
  };
  guint status = call->fault.status;

  if (status != 400 && status != 404 && status != 415 && status != 422 &&
      !(status == 500 && model_fault_names (&call->fault, "response_format")))
    return 0;
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (model_fault_names (&call->fault, names[i].word) && !model_provider_has_quirk (call->provider, names[i].quirk))
      return names[i].quirk;
  return 0;
}

/* A server that passes over the new name of the limit is told the old one from now on. */
static void
look_at_length (ModelCall *call, JsonObject *answer)
{
  gint64 limit = derush_json_get_int (call->request, "maxTokens", 0);
  gint64 length = derush_json_get_int (derush_json_get_object (answer, "usage"), "completion_tokens", 0);

  if (limit > 0 && length > limit)
    model_provider_add_quirk (call->provider, MODEL_QUIRK_MAX_TOKENS);
}

static JsonObject *
first_choice (JsonObject *answer)
{
  JsonArray *choices = derush_json_get_array (answer, "choices");
  JsonNode *node = choices && json_array_get_length (choices) > 0 ? json_array_get_element (choices, 0) : NULL;

  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

/* Returns: (transfer full) (nullable): a text, or the texts of a list of parts */
static char *
content_of (JsonObject *message)
{
  JsonArray *parts = derush_json_get_array (message, "content");
  GString *text;

  if (!parts)
    return g_strdup (derush_json_get_string (message, "content", NULL));
  text = g_string_new (NULL);
  for (guint i = 0; i < json_array_get_length (parts); i++) {
    JsonNode *node = json_array_get_element (parts, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      g_string_append (text, derush_json_get_string (json_node_get_object (node), "text", ""));
  }
  return g_string_free (text, FALSE);
}

/* What the model said; an answer that was refused, filtered or cut is an error that its status does not tell. */
static char *
read_choice (ModelCall *call, JsonObject *answer, GError **error)
{
  JsonObject *choice = first_choice (answer), *message = derush_json_get_object (choice, "message");
  const char *ended = derush_json_get_string (choice, "finish_reason", "");
  const char *refusal = derush_json_get_string (message, "refusal", NULL);
  g_autofree char *content = content_of (message);

  if (refusal && *refusal) {
    g_autofree char *said = model_redact (refusal);

    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s declined to answer: %s"), call->provider->name,
                 said);
  } else if (strcmp (ended, "content_filter") == 0) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("%s held its answer back: its filter does not allow it"), call->provider->name);
  } else if (strcmp (ended, "length") == 0) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("The answer of %s is cut: it is longer than maxTokens allows"), call->provider->name);
  } else if (!content) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers without a text"), call->provider->name);
  } else {
    return model_chat_strip (content);
  }
  /* What was not allowed will not be, and what is too long will be again. */
  if ((refusal && *refusal) || g_strv_contains ((const char *const[]){"content_filter", "length", NULL}, ended))
    derush_error_set_final (error ? *error : NULL);
  return NULL;
}

/*
 * model_chat_strip:
 *
 * Returns: (transfer full): @content without what a model thought aloud and without the fence around JSON
 */
char *
model_chat_strip (const char *content)
{
  g_autoptr (GString) text = g_string_new (content);
  char *start, *end;

  while ((start = strstr (text->str, "<think>")) && (end = strstr (start, "</think>")))
    g_string_erase (text, start - text->str, end + strlen ("</think>") - start);
  /* Some templates open the thought themselves. */
  end = strstr (text->str, "</think>");
  if (end)
    g_string_erase (text, 0, end + strlen ("</think>") - text->str);
  g_strstrip (text->str);
  if (g_str_has_prefix (text->str, "```") && g_str_has_suffix (text->str, "```") && strlen (text->str) > 6) {
    const char *line = strchr (text->str, '\n');

    if (line)
      return g_strstrip (g_strndup (line + 1, strlen (line + 1) - 3));
  }
  return g_strdup (text->str);
}

static char *
ask (ModelCall *call, JsonArray *messages, JsonObject *schema, JsonObject **answer, GError **error)
{
  gboolean swapped = FALSE;

  call->dislikes = disliked_in_chat;
  for (;;) {
    g_autoptr (ModelRequest) request = chat_request (call, messages, schema);
    g_autoptr (GError) cause = NULL;
    ModelQuirk quirk;

    g_clear_pointer (answer, json_object_unref);
    *answer = model_client_send_for_json (call, request, &cause);
    if (*answer) {
      look_at_length (call, *answer);
      return read_choice (call, *answer, error);
    }
    quirk = disliked_in_chat (call);
    model_provider_add_quirk (call->provider, quirk);
    if (!quirk && !swapped && g_strcmp0 (call->fault.parameter, "max_tokens") == 0) {
      model_provider_remove_quirk (call->provider, MODEL_QUIRK_MAX_TOKENS);
      swapped = TRUE;
      continue;
    }
    if (quirk)
      continue;
    g_propagate_error (error, g_steal_pointer (&cause));
    return NULL;
  }
}

/* ── With a schema ──────────────────────────────────────────────────────── */

/* Returns: (transfer full) (nullable): what stands in the first fence of an answer that has words around it */
static char *
fenced_in (const char *text)
{
  const char *fence = strstr (text, "```"), *line = fence ? strchr (fence, '\n') : NULL;
  const char *end = line ? strstr (line, "```") : NULL;

  return end ? g_strndup (line + 1, end - line - 1) : NULL;
}

static JsonNode *
check_answer (ModelCall *call, const char *text, JsonObject *schema, GError **error)
{
  g_autofree char *fenced = *text == '{' ? NULL : fenced_in (text);
  g_autoptr (JsonNode) json = derush_json_parse (fenced ? fenced : text, -1, error);

  if (!json || !model_schema_check (schema, json, error))
    return NULL;
  if (call->context && call->context->check && !call->context->check (json, call->context->check_data, error))
    return NULL;
  return g_steal_pointer (&json);
}

static JsonObject *
ask_for_json (ModelCall *call, JsonArray *messages, JsonObject *schema, GError **error)
{
  g_autoptr (JsonObject) answer = NULL, result = json_object_new ();
  g_autoptr (GError) wrong = NULL;

  for (guint turn = 0; turn < MAX_TURNS; turn++) {
    g_autofree char *text = ask (call, messages, schema, &answer, error), *told = NULL;
    JsonNode *json;

    if (!text)
      return NULL;
    model_call_take_account (call, result, answer);
    g_clear_error (&wrong);
    json = check_answer (call, text, schema, &wrong);
    if (json) {
      json_object_set_member (result, "json", json);
      return g_steal_pointer (&result);
    }
    told = g_strdup_printf ("This answer cannot be used: %s. Answer again with the whole corrected JSON object and "
                            "nothing else.",
                            wrong->message);
    add_message (add_message (messages, "assistant", text), "user", told);
  }
  model_call_debug (call, "%s", wrong->message);
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
               _ ("The answer of %s does not have the form that was asked for, after a correction too: %s"),
               call->provider->name, wrong->message);
  return NULL;
}

JsonObject *
model_openai_chat (ModelCall *call, GError **error)
{
  g_autoptr (JsonArray) messages = make_messages (call, error);
  g_autoptr (JsonObject) answer = NULL;
  g_autofree char *text = NULL;
  JsonObject *schema = derush_json_get_object (call->request, "schema"), *result;

  if (!messages)
    return NULL;
  if (schema)
    return ask_for_json (call, messages, schema, error);
  text = ask (call, messages, NULL, &answer, error);
  if (!text)
    return NULL;
  result = json_object_new ();
  json_object_set_string_member (result, "text", text);
  model_call_take_account (call, result, answer);
  return result;
}

/* ── Translation ────────────────────────────────────────────────────────── */

static gboolean
check_texts (ModelCall *call, JsonArray *texts, guint n, GError **error)
{
  if (texts && json_array_get_length (texts) == n)
    return TRUE;
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers %u translations of %u texts"),
               call->provider->name, texts ? json_array_get_length (texts) : 0, n);
  return FALSE;
}

static void
copy_member (JsonObject *to, JsonObject *from, const char *name)
{
  JsonNode *node = json_object_get_member (from, name);

  if (node && !JSON_NODE_HOLDS_NULL (node))
    json_object_set_member (to, name, json_node_copy (node));
}

/* Our own server has an address for it. */
static JsonObject *
translate_locally (ModelCall *call, GError **error)
{
  static const char *const members[] = {"texts", "source", "target", "glossary", "formality", NULL};
  g_autoptr (ModelRequest) request = model_request_new ("POST", call->provider->base_url, "/translate");
  g_autoptr (JsonObject) json = json_object_new (), answer = NULL;
  JsonArray *texts = derush_json_get_array (call->request, "texts");
  JsonObject *result;

  for (guint i = 0; members[i]; i++)
    copy_member (json, call->request, members[i]);
  model_request_set_json (request, json);
  answer = model_client_send_for_json (call, request, error);
  if (!answer || !check_texts (call, derush_json_get_array (answer, "texts"), json_array_get_length (texts), error))
    return NULL;
  result = json_object_new ();
  copy_member (result, answer, "texts");
  copy_member (result, answer, "source");
  copy_member (result, answer, "doubtful");
  model_call_take_account (call, result, answer);
  return result;
}

/* Each text has a number, so that what a model leaves out or doubles moves none of the others. */
static JsonArray *
number_texts (JsonArray *texts)
{
  JsonArray *numbered = json_array_new ();

  for (guint i = 0; i < json_array_get_length (texts); i++) {
    JsonObject *item = json_object_new ();

    json_object_set_int_member (item, "id", i + 1);
    json_object_set_string_member (item, "text", json_array_get_string_element (texts, i));
    json_array_add_object_element (numbered, item);
  }
  return numbered;
}

/* Returns: (transfer full): @n texts in their order, %NULL where there is none; @found: how many there are */
static JsonArray *
order_texts (JsonArray *numbered, guint n, guint *found)
{
  g_autofree const char **texts = g_new0 (const char *, n);
  JsonArray *ordered = json_array_new ();

  *found = 0;
  for (guint i = 0; i < json_array_get_length (numbered); i++) {
    JsonObject *item = json_array_get_object_element (numbered, i);
    gint64 id = derush_json_get_int (item, "id", 0);

    if (id >= 1 && id <= n && !texts[id - 1]) {
      texts[id - 1] = derush_json_get_string (item, "text", NULL);
      *found += texts[id - 1] != NULL;
    }
  }
  for (guint i = 0; i < n; i++) {
    if (texts[i])
      json_array_add_string_element (ordered, texts[i]);
    else
      json_array_add_null_element (ordered);
  }
  return ordered;
}

static const char translation_schema[] =
    "{\"type\":\"object\",\"properties\":{\"source\":{\"type\":\"string\"},\"translations\":{\"type\":\"array\",\"items\":"
    "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"},\"text\":{\"type\":\"string\"}},\"required\":"
    "[\"id\",\"text\"],\"additionalProperties\":false}}},\"required\":[\"source\",\"translations\"],"
    "\"additionalProperties\":false}";

JsonObject *
model_openai_translate (ModelCall *call, GError **error)
{
  static const char *const members[] = {"source", "target", "glossary", "formality", "tone", "context", NULL};
  JsonArray *texts = derush_json_get_array (call->request, "texts");
  g_autoptr (JsonObject) question = NULL, content = NULL, answer = NULL, result = NULL;
  g_autofree char *prompt = NULL, *text = NULL;
  ModelCall chat = *call;
  guint n = json_array_get_length (texts), found;
  JsonArray *ordered;
  JsonObject *json;

  if (call->provider->local)
    return translate_locally (call, error);
  prompt = model_data_read ("models/prompts/translate-texts.txt", error);
  if (!prompt)
    return NULL;
  content = json_object_new ();
  for (guint i = 0; members[i]; i++)
    copy_member (content, call->request, members[i]);
  json_object_set_array_member (content, "texts", number_texts (texts));
  text = derush_json_object_to_string (content);
  question = json_object_new ();
  json_object_set_string_member (question, "name", "translation");
  json_object_set_string_member (question, "system", prompt);
  json_object_set_string_member (question, "content", text);
  json_object_set_object_member (question, "schema", derush_json_parse_object (translation_schema, -1, NULL));
  chat.request = question;
  answer = model_openai_chat (&chat, error);
  call->attempts = chat.attempts;
  call->paid = chat.paid;
  call->lost = chat.lost;
  call->fault = chat.fault;
  call->request_id = chat.request_id;
  if (!answer)
    return NULL;
  json = derush_json_get_object (answer, "json");
  ordered = order_texts (derush_json_get_array (json, "translations"), n, &found);
  result = json_object_new ();
  json_object_set_array_member (result, "texts", ordered);
  if (n > 0 && found == 0) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers %u translations of %u texts"),
                 call->provider->name, 0, n);
    return NULL;
  }
  json_object_set_string_member (result, "source", model_language_code (derush_json_get_string (json, "source", "")));
  copy_member (result, answer, "engine");
  copy_member (result, answer, "usage");
  return g_steal_pointer (&result);
}
