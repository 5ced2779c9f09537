/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/store-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* The setting's default. */
#define OPENAI_URL "https://api.openai.com/v1"

const char *const model_task_names[MODEL_N_TASKS] = {"transcribe", "speak", "translate", "chat", "image"};

GQuark
derush_models_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark made = g_quark_from_static_string ("derush-models-error");

    derush_error_domain_register_extended (made);
    g_once_init_leave (&quark, made);
  }
  return (GQuark)quark;
}

int
model_task_find (const char *task)
{
  for (int i = 0; i < MODEL_N_TASKS; i++)
    if (g_strcmp0 (model_task_names[i], task) == 0)
      return i;
  return -1;
}

/*
 * model_data_read:
 *
 * Returns: (transfer full) (nullable): the content of a file below the folder of our data
 */
char *
model_data_read (const char *name, GError **error)
{
  const char *folder = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *path = g_build_filename (folder && *folder ? folder : DERUSH_PKGDATADIR, name, NULL);
  g_autoptr (GError) local = NULL;
  char *text = NULL;

  if (g_file_get_contents (path, &text, NULL, &local))
    return text;
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL,
               _ ("%s cannot be read; is Derush installed completely? %s"), path, local->message);
  return NULL;
}

/* ── Providers ──────────────────────────────────────────────────────────── */

static ModelProvider *
find_provider (DerushModels *models, const char *name)
{
  ModelProvider *provider;

  for (guint i = 0; i < models->providers->len; i++)
    if (strcmp (((ModelProvider *)models->providers->pdata[i])->name, name) == 0)
      return models->providers->pdata[i];
  provider = model_provider_new (models->config, name);
  if (provider)
    g_ptr_array_add (models->providers, provider);
  return provider;
}

/* Whoever has a key, or has named a server of their own, wants it to be used. */
static char *
default_providers (DerushConfig *config)
{
  GString *names = g_string_new (NULL);

  if (*derush_config_get_string (config, "OPENAI_API_KEY") ||
      strcmp (derush_config_get_string (config, "OPENAI_BASE_URL"), OPENAI_URL) != 0)
    g_string_append (names, "openai ");
  if (*derush_config_get_string (config, "HUGGINGFACE_API_KEY"))
    g_string_append (names, "huggingface ");
  if (!names->len)
    g_string_append (names, "local");
  return g_string_free (names, FALSE);
}

static GPtrArray *
read_chain (DerushModels *models, int task, GError **error)
{
  g_autofree char *upper = g_ascii_strup (model_task_names[task], -1);
  g_autofree char *setting = g_strconcat ("DERUSH_MODEL_PROVIDERS_", upper, NULL), *fallback = NULL;
  g_autoptr (GPtrArray) chain = g_ptr_array_new ();
  const char *value = derush_config_get_string (models->config, setting);
  g_auto (GStrv) names = NULL;

  if (!*value)
    value = derush_config_get_string (models->config, "DERUSH_MODEL_PROVIDERS");
  if (!*value)
    value = fallback = default_providers (models->config);
  names = g_strsplit_set (value, ", \t", -1);
  for (guint i = 0; names[i]; i++) {
    ModelProvider *provider = *names[i] ? find_provider (models, names[i]) : NULL;

    if (*names[i] && !provider) {
      g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
                   _ ("There is no provider “%s” of models: openai, huggingface or local"), names[i]);
      return NULL;
    }
    if (provider && provider->tasks[task])
      g_ptr_array_add (chain, provider);
  }
  return g_steal_pointer (&chain);
}

/**
 * derush_models_new:
 * @config: the settings
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): whom to ask; connects to nobody yet
 */
DerushModels *
derush_models_new (DerushConfig *config, GError **error)
{
  g_autoptr (DerushModels) models = g_new0 (DerushModels, 1);

  models->config = derush_config_ref (config);
  models->providers = g_ptr_array_new_with_free_func ((GDestroyNotify)model_provider_free);
  models->cache = model_cache_new (config);
  models->client = model_client_new (config, error);
  models->prices = models->client ? model_prices_new (config, error) : NULL;
  models->ledger = models->prices ? model_ledger_new (config, error) : NULL;
  if (!models->ledger)
    return NULL;
  for (int i = 0; i < MODEL_N_TASKS; i++) {
    models->chains[i] = read_chain (models, i, error);
    if (!models->chains[i])
      return NULL;
  }
  return g_steal_pointer (&models);
}

/**
 * derush_models_free:
 * @models: (transfer full): while nobody waits for an answer
 */
void
derush_models_free (DerushModels *models)
{
  for (guint i = 0; i < MODEL_N_TASKS; i++)
    g_clear_pointer (&models->chains[i], g_ptr_array_unref);
  g_clear_pointer (&models->client, model_client_free);
  g_clear_pointer (&models->cache, model_cache_free);
  g_clear_pointer (&models->prices, model_prices_free);
  g_clear_pointer (&models->ledger, model_ledger_free);
  g_clear_pointer (&models->providers, g_ptr_array_unref);
  derush_config_unref (models->config);
  g_free (models);
}

/* ── A call ─────────────────────────────────────────────────────────────── */

/* Returns: whether a call costs nothing: as does a server on this machine, unless somebody gave it a price */
gboolean
model_provider_is_free (DerushModels *models, const ModelProvider *provider, const char *model)
{
  return provider->local || model_client_replays (models->client) ||
         (!g_str_has_prefix (provider->base_url, "https:") && model_client_is_https_or_loopback (provider->base_url) &&
          !model_prices_know (models->prices, provider->base_url, model));
}

static void
settle (DerushModels *models, ModelCall *call, ModelEntry *entry, JsonObject *result)
{
  JsonObject *usage = result ? derush_json_get_object (result, "usage") : NULL;
  double cost;

  if (result) {
    cost = model_prices_cost (models->prices, call, usage);
    if (cost >= 0)
      json_object_set_double_member (result, "cost", cost);
    model_ledger_settle (models->ledger, call, entry, "answered", cost, usage);
  } else if (call->paid == 0 && call->lost == 0) {
    model_ledger_settle (models->ledger, call, entry, "refused", 0, NULL);
  } else {
    /* Answers that were of no use are paid for, too. */
    model_ledger_settle (models->ledger, call, entry, "unknown",
                         entry->estimate >= 0 ? entry->estimate * call->paid : -1, NULL);
  }
}

static JsonObject *
pay_and_ask (DerushModels *models, ModelCall *call, GError **error)
{
  ModelEntry entry = {.estimate = model_prices_estimate (models->prices, call)};
  gboolean free_of_charge = model_provider_is_free (models, call->provider, call->model);
  JsonObject *result = NULL;

  if (free_of_charge || model_ledger_reserve (models->ledger, call, &entry, error)) {
    result = call->provider->tasks[model_task_find (call->task)](call, error);
    if (!free_of_charge)
      settle (models, call, &entry, result);
    else if (result && (call->provider->local || model_client_replays (call->client)))
      json_object_set_double_member (result, "cost", 0);
  }
  g_free (entry.id);
  return result;
}

/* Of OpenAI's own models, one tells speakers apart. */
static const char *
usual_model (const ModelProvider *provider, int task, JsonObject *request)
{
  if (task == MODEL_TASK_TRANSCRIBE && derush_json_get_boolean (request, "speakers", FALSE) &&
      g_str_has_prefix (provider->base_url, "https://api.openai.com/"))
    return "gpt-4o-transcribe-diarize";
  return provider->models[task];
}

static JsonObject *
ask_provider (DerushModels *models, ModelProvider *provider, int task, JsonObject *request,
              const DerushModelsContext *context, GCancellable *cancellable, GError **error)
{
  ModelCall call = {.client = models->client,
                    .provider = provider,
                    .task = model_task_names[task],
                    .request = request,
                    .context = context,
                    .cancellable = cancellable};
  GPtrArray *chain = models->chains[task];
  /* A model that a job names is one of the provider that it expects to answer. */
  const char *model = chain->pdata[0] == provider ? derush_json_get_string (request, "model", NULL) : NULL;
  gint64 timeout = derush_config_get_int (models->config, "DERUSH_MODEL_TIMEOUT");
  g_autofree char *key = NULL;
  JsonObject *result;

  call.model = g_strdup (model && *model ? model : usual_model (provider, task, request));
  call.deadline = g_get_monotonic_time () + timeout * G_USEC_PER_SEC;
  key = model_cache_key (&call);
  call.cache = models->cache;
  call.key = key;
  result = model_cache_get (models->cache, key, &call);
  if (result) {
    json_object_set_double_member (result, "cost", 0);
  } else if (provider->broken) {
    g_propagate_error (error, g_error_copy (provider->broken));
  } else {
    result = pay_and_ask (models, &call, error);
    if (result)
      model_cache_put (models->cache, key, &call, result);
  }
  model_fault_clear (&call.fault);
  g_free (call.request_id);
  g_free (call.model);
  return result;
}

/* What was asked of the caller is wrong for every provider; the rest another one may do better. */
static gboolean
another_may_help (const GError *error)
{
  switch (derush_error_get_class (error)) {
  case DERUSH_ERROR_BAD_INPUT:
  case DERUSH_ERROR_CANCELLED:
  case DERUSH_ERROR_INTERNAL:
    return FALSE;
  default:
    return TRUE;
  }
}

/* Of several failures the one that is over first decides when and whether another attempt makes sense. */
static gboolean
is_better_to_retry (const GError *error, const GError *other)
{
  gboolean can_retry = derush_error_can_retry (error);

  if (can_retry != derush_error_can_retry (other))
    return can_retry;
  return can_retry && derush_error_get_retry_at (error) < derush_error_get_retry_at (other);
}

static void
sign (JsonObject *result, ModelProvider *provider, int task, const char *reason)
{
  gboolean heuristic = provider->local && (task == MODEL_TASK_CHAT || task == MODEL_TASK_IMAGE);

  json_object_set_string_member (result, "provider", provider->name);
  if (reason) {
    json_object_set_boolean_member (result, "degraded", TRUE);
    json_object_set_string_member (result, "reason", reason);
  } else if (!json_object_has_member (result, "degraded")) {
    json_object_set_boolean_member (result, "degraded", heuristic);
    if (heuristic && !json_object_has_member (result, "reason"))
      json_object_set_string_member (
          result, "reason",
          task == MODEL_TASK_IMAGE
              ? _ ("No model is configured: rules of Derush put the picture together, no model drew it")
              : _ ("No model is configured: rules of Derush made this, no language model"));
  }
  if (!json_object_has_member (result, "cost"))
    json_object_set_null_member (result, "cost");
  if (!json_object_has_member (result, "cached"))
    json_object_set_boolean_member (result, "cached", FALSE);
}

static void
warn (const DerushModelsContext *context, ModelProvider *provider, const char *reason)
{
  g_autofree char *message =
      g_strdup_printf (_ ("%s answers in place of another provider: %s"), provider->name, reason);

  if (context && context->warn)
    context->warn (message, context->warn_data);
}

/**
 * derush_models_call:
 * @models: whom to ask
 * @task: `transcribe`, `speak`, `translate`, `chat` or `image`
 * @request: what is asked, see below
 * @context: (nullable): for whom
 * @cancellable: (nullable): ends the call within 100 ms
 * @error: return location for an error of %DERUSH_MODELS_ERROR: of class `model` for a fault of the providers, which says
 *     who, what and what to do; `bad-input` for one of the caller; `unsupported` where no engine has the language;
 *     `resource` for trouble of the network
 *
 * Asks the providers of the task one after the other. Blocks; any thread may call it, several at once as well.
 *
 * - `transcribe` {file: a WAV file of 16 kHz and one channel, language?, prompt?, speakers?, model?} answers {text, language, duration,
 *   segments[{start, end, text, confidence?, speaker?}], words[{start, end, word, confidence?}]}, times in seconds
 * - `speak` {text, voice?, language?, speed?, format: wav|mp3|flac|opus, file: a name in the directory of @context, model?}
 *   answers {file, format, voice?}: the format is the one that was made, which may be wav instead; the voice is the one
 *   that the provider was asked for, if that is another one, and empty if it has one only
 * - `translate` {texts[], source?, target, glossary?{}, formality?, tone?, context?, model?} answers {texts[]: as many, in
 *   the same order, null where the model left one out, source, doubtful?: whether the source was guessed from a text that
 *   says too little of its language}
 * - `chat` {name, system, content: a text or a list of {text} and {image: path}, schema?, input?, maxTokens?, temperature?,
 *   seed?, model?} answers {json} with a schema, {text} without
 * - `image` {prompt, n, width, height, quality?, style?, background?: path, title?, model?} answers {images[{file, width,
 *   height}]}, files in the directory of @context
 *
 * Every answer has `provider`, `engine`, `degraded`, `reason` where it is, `usage`, `cost` (a number or null) and `cached`.
 *
 * Returns: (transfer full) (nullable): the answer
 */
JsonObject *
derush_models_call (DerushModels *models, const char *task, JsonObject *request, const DerushModelsContext *context,
                    GCancellable *cancellable, GError **error)
{
  int id = model_task_find (task);
  g_autoptr (GString) reason = g_string_new (NULL);
  g_autoptr (GError) failure = NULL;
  GPtrArray *chain;

  g_return_val_if_fail (id >= 0, NULL);
  chain = models->chains[id];
  for (guint i = 0; i < chain->len; i++) {
    ModelProvider *provider = chain->pdata[i];
    g_autoptr (GError) cause = NULL;
    JsonObject *result = ask_provider (models, provider, id, request, context, cancellable, &cause);

    if (result) {
      if (reason->len)
        warn (context, provider, reason->str);
      sign (result, provider, id, reason->len ? reason->str : NULL);
      return result;
    }
    g_string_append_printf (reason, "%s%s", reason->len ? "; " : "", cause->message);
    if (!another_may_help (cause)) {
      g_propagate_error (error, g_steal_pointer (&cause));
      return NULL;
    }
    if (!failure || is_better_to_retry (cause, failure)) {
      g_clear_error (&failure);
      failure = g_steal_pointer (&cause);
    }
  }
  if (!failure)
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_UNSUPPORTED,
                 _ ("No provider for “%s” is configured; see DERUSH_MODEL_PROVIDERS"), task);
  else if (chain->len == 1)
    g_propagate_error (error, g_steal_pointer (&failure));
  else {
    g_free (failure->message);
    failure->message = g_strdup_printf (_ ("None of %u providers could help: %s"), chain->len, reason->str);
    g_propagate_error (error, g_steal_pointer (&failure));
  }
  return NULL;
}

/**
 * derush_models_forget_waits:
 * @models: whom to ask
 *
 * Providers that wanted to be left alone, failed or refused a key are asked again: somebody knows that they answer.
 */
void
derush_models_forget_waits (DerushModels *models)
{
  for (guint i = 0; i < models->providers->len; i++)
    model_limits_forget (((ModelProvider *)models->providers->pdata[i])->limits);
}

const char *
model_call_chat_url (ModelCall *call)
{
  return call->provider->chat_url ? call->provider->chat_url : call->provider->base_url;
}
