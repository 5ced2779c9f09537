/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/retry-private.h"
#include "models/store-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/*
 * Who is there, and what would go wrong: every provider is asked for its models, all at once and once each. A server that is
 * somebody's own may lack an endpoint or even the list: a body that no server can read is sent to those that would be used,
 * which makes nothing and costs nothing, and is refused in another way than an address that is not there.
 */

/* How long a provider may take to answer one question, and all of them, in ms. */
#define PATIENCE 3000
#define PATIENCE_IN_ALL 5000

typedef struct {
  DerushModels *models;
  ModelProvider *provider;
  GCancellable *cancellable;
  JsonObject *description;
  JsonArray *problems;
  GThread *thread;
} Question;

static const struct {
  ModelTaskId task;
  const char *path;
  const char *other; /* (nullable): beside /v1 */
} endpoints[] = {
    {MODEL_TASK_TRANSCRIBE, "/audio/transcriptions", "/inference"},
    {MODEL_TASK_SPEAK, "/audio/speech", NULL},
    {MODEL_TASK_TRANSLATE, "/chat/completions", NULL},
    {MODEL_TASK_CHAT, "/chat/completions", NULL},
    {MODEL_TASK_IMAGE, "/images/generations", NULL},
};

static gboolean
is_asked (Question *question, ModelTaskId task)
{
  return g_ptr_array_find (question->models->chains[task], question->provider, NULL);
}

static void G_GNUC_PRINTF (2, 3) add_problem (Question *question, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  json_array_add_string_element (question->problems, text);
}

/* ── Endpoints of somebody's own server ─────────────────────────────────── */

static gboolean
is_own_server (ModelProvider *provider)
{
  return !provider->local && !provider->chat_url && !g_str_has_prefix (provider->base_url, "https://api.openai.com");
}

static char *
beside_version (const char *base_url)
{
  return g_str_has_suffix (base_url, "/v1") ? g_strndup (base_url, strlen (base_url) - strlen ("/v1"))
                                            : g_strdup (base_url);
}

static gboolean
has_path (ModelCall *call, const char *base_url, const char *path)
{
  g_autoptr (ModelRequest) request = model_request_new ("POST", base_url, path);
  g_autoptr (ModelResponse) response = NULL;

  request->content_type = g_strdup ("application/json");
  request->body = g_bytes_new_static ("{", 1);
  response = model_client_ask_once (call, request, PATIENCE, NULL);
  return response && response->status != 404 && response->status != 405 && response->status != 501 &&
         !g_str_has_prefix (model_response_describe (response), "text/html");
}

/* Returns: whether there is anything at all */
static gboolean
look_for_endpoints (Question *question, ModelCall *call)
{
  g_autofree char *origin = beside_version (question->provider->base_url);
  gboolean any = FALSE, wanted = FALSE;

  for (guint i = 0; i < G_N_ELEMENTS (endpoints); i++) {
    g_autofree char *setting = NULL;
    gboolean there;

    if (!is_asked (question, endpoints[i].task))
      continue;
    wanted = TRUE;
    there = has_path (call, question->provider->base_url, endpoints[i].path) ||
            (endpoints[i].other && has_path (call, origin, endpoints[i].other));
    any |= there;
    setting = g_ascii_strup (model_task_names[endpoints[i].task], -1);
    if (!there && g_get_monotonic_time () < call->deadline)
      add_problem (question, _ ("%s: there is nothing at %s; name another provider for it: DERUSH_MODEL_PROVIDERS_%s"),
                   model_task_names[endpoints[i].task], endpoints[i].path, setting);
  }
  return any || !wanted;
}

/* ── Models ─────────────────────────────────────────────────────────────── */

/* A version after a colon may be left out, as may the folder that a file is in. */
static gboolean
is_named (const char *listed, const char *model)
{
  gsize length = strcspn (listed, ":"), wanted = strcspn (model, ":");
  const char *slash = strrchr (listed, '/');

  return strcmp (listed, model) == 0 || (slash && strcmp (slash + 1, model) == 0) ||
         ((listed[length] == '\0' || model[wanted] == '\0') && length == wanted &&
          strncmp (listed, model, length) == 0);
}

static gboolean
is_listed (JsonArray *list, const char *model)
{
  for (guint i = 0; i < json_array_get_length (list); i++) {
    JsonNode *node = json_array_get_element (list, i);
    JsonObject *one = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

    if (is_named (derush_json_get_string (one, "id", ""), model))
      return TRUE;
  }
  return FALSE;
}

/* Hugging Face lists what its chat serves alone. */
static void
look_for_models (Question *question, JsonArray *list)
{
  ModelProvider *provider = question->provider;

  if (provider->local || json_array_get_length (list) == 0)
    return;
  for (guint i = 0; i < MODEL_N_TASKS; i++)
    if (is_asked (question, i) && (!provider->chat_url || i == MODEL_TASK_CHAT) &&
        !is_listed (list, provider->models[i]))
      add_problem (question, _ ("%s: “%s” is not among its models"), model_task_names[i], provider->models[i]);
}

static void
look_for_prices (Question *question)
{
  ModelProvider *provider = question->provider;

  if (!model_ledger_has_limit (question->models->ledger) || provider->local)
    return;
  for (guint i = 0; i < MODEL_N_TASKS; i++)
    if (is_asked (question, i) && !model_provider_is_free (question->models, provider, provider->models[i]) &&
        !model_prices_know (question->models->prices, provider->base_url, provider->models[i]))
      add_problem (question,
                   _ ("%s: what “%s” costs is unknown, so it is not asked while there is a limit; give it a price in "
                      "the file of DERUSH_PRICES"),
                   model_task_names[i], provider->models[i]);
}

/* ── One provider ───────────────────────────────────────────────────────── */

static JsonObject *
read_list (ModelCall *call, ModelResponse *response, GError **error)
{
  gsize length;
  const char *text = g_bytes_get_data (response->body, &length);
  JsonObject *json = length > 0 ? derush_json_parse_object (text, (gssize)length, NULL) : NULL;

  if (!json && g_str_has_prefix (model_response_describe (response), "text/html"))
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("%s answers a web page, so its address is wrong: %s"), call->provider->name,
                 call->provider->base_url);
  else if (!json)
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no whole JSON object: %s"),
                 call->provider->name, model_response_describe (response));
  return json;
}

static gboolean
has_no_list (ModelResponse *response)
{
  return response->status == 404 || response->status == 405 || response->status == 501;
}

/* Returns: whether it answers */
static gboolean
ask (Question *question, ModelCall *call, GError **error)
{
  ModelProvider *provider = question->provider;
  g_autoptr (ModelRequest) request = model_request_new ("GET", model_call_chat_url (call), "/models");
  g_autoptr (ModelResponse) response = model_client_ask_once (call, request, PATIENCE, error);
  g_autoptr (JsonObject) list = NULL;

  if (!response)
    return FALSE;
  if (response->status >= 200 && response->status <= 299) {
    JsonArray *available;

    list = read_list (call, response, error);
    available = derush_json_get_array (list, "data");
    if (available) {
      json_object_set_array_member (question->description, "available", json_array_ref (available));
      look_for_models (question, available);
    }
    if (list && is_own_server (provider))
      look_for_endpoints (question, call);
    return list != NULL;
  }
  /* Servers for one task may have no list of models. */
  if (has_no_list (response) && is_own_server (provider)) {
    if (look_for_endpoints (question, call))
      return TRUE;
    json_array_unref (question->problems);
    question->problems = json_array_new ();
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("%s has nothing of what is asked for below this address, which usually ends with /v1: %s"),
                 provider->name, provider->base_url);
    return FALSE;
  }
  model_fault_read (&call->fault, response);
  call->model = (char *)"/models";
  g_propagate_error (error, model_fault_to_error (call));
  return FALSE;
}

static gpointer
describe (gpointer user_data)
{
  Question *question = user_data;
  ModelProvider *provider = question->provider;
  ModelCall call = {.client = question->models->client,
                    .provider = provider,
                    .task = "models",
                    .model = (char *)"",
                    .cancellable = question->cancellable,
                    .deadline = g_get_monotonic_time () + PATIENCE_IN_ALL * 1000};
  g_autoptr (GError) error = NULL;
  gboolean answers = FALSE;

  if (provider->broken)
    error = g_error_copy (provider->broken);
  else
    answers = ask (question, &call, &error);
  /* Their lists are for everybody, their models are not. */
  if (answers && !provider->key && !provider->local && !is_own_server (provider))
    add_problem (question, _ ("there is no key: set %s"), model_provider_key_setting (provider));
  look_for_prices (question);
  json_object_set_boolean_member (question->description, "answers", answers);
  if (error)
    json_object_set_string_member (question->description, "error", error->message);
  model_fault_clear (&call.fault);
  g_free (call.request_id);
  return NULL;
}

static Question *
question_new (DerushModels *models, ModelProvider *provider, GCancellable *cancellable)
{
  Question *question = g_new0 (Question, 1);
  JsonArray *tasks = json_array_new ();
  JsonObject *settings = json_object_new ();
  g_autofree char *shown = model_redact (provider->base_url);

  question->models = models;
  question->provider = provider;
  question->cancellable = cancellable;
  question->description = json_object_new ();
  question->problems = json_array_new ();
  json_object_set_string_member (question->description, "provider", provider->name);
  json_object_set_string_member (question->description, "baseUrl", shown);
  json_object_set_boolean_member (question->description, "key", provider->key != NULL);
  for (int i = 0; i < MODEL_N_TASKS; i++) {
    if (!is_asked (question, i))
      continue;
    json_array_add_string_element (tasks, model_task_names[i]);
    json_object_set_string_member (settings, model_task_names[i], provider->models[i]);
  }
  json_object_set_array_member (question->description, "tasks", tasks);
  json_object_set_object_member (question->description, "models", settings);
  question->thread = g_thread_new ("ask", describe, question);
  return question;
}

/* Waits for the answer. */
static JsonObject *
question_end (Question *question)
{
  JsonObject *description = question->description;

  g_thread_join (question->thread);
  json_object_set_array_member (description, "problems", question->problems);
  g_free (question);
  return description;
}

static JsonObject *
describe_order (DerushModels *models)
{
  JsonObject *order = json_object_new ();

  for (int i = 0; i < MODEL_N_TASKS; i++) {
    JsonArray *names = json_array_new ();

    for (guint k = 0; k < models->chains[i]->len; k++)
      json_array_add_string_element (names, ((ModelProvider *)models->chains[i]->pdata[k])->name);
    json_object_set_array_member (order, model_task_names[i], names);
  }
  return order;
}

/**
 * derush_models_list:
 * @models: whom to ask
 * @cancellable: (nullable): ends it
 * @error: return location for an error: cancelled
 *
 * Asks every provider once, all at the same time, for no longer than 5 s.
 *
 * Returns: (transfer full) (nullable): {tasks{}: the providers of each task in their order, providers[{provider, baseUrl,
 *   key: whether there is one, tasks[], models{}, answers, available[]?, error?, problems[]: what would go wrong}]}
 */
JsonObject *
derush_models_list (DerushModels *models, GCancellable *cancellable, GError **error)
{
  JsonObject *list = json_object_new ();
  JsonArray *providers = json_array_new ();
  g_autoptr (GPtrArray) questions = g_ptr_array_new ();

  for (guint i = 0; i < models->providers->len; i++)
    g_ptr_array_add (questions, question_new (models, models->providers->pdata[i], cancellable));
  for (guint i = 0; i < questions->len; i++)
    json_array_add_object_element (providers, question_end (questions->pdata[i]));
  json_object_set_object_member (list, "tasks", describe_order (models));
  json_object_set_array_member (list, "providers", providers);
  if (!g_cancellable_is_cancelled (cancellable))
    return list;
  json_object_unref (list);
  g_set_error_literal (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_CANCELLED, _ ("Stopped on request"));
  return NULL;
}
