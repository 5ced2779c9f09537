/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

void
model_provider_free (ModelProvider *provider)
{
  g_free (provider->name);
  g_free (provider->base_url);
  g_free (provider->chat_url);
  if (provider->key)
    explicit_bzero (provider->key, strlen (provider->key));
  g_free (provider->key);
  g_free (provider->bill_to);
  g_free (provider->voice);
  for (guint i = 0; i < MODEL_N_TASKS; i++)
    g_free (provider->models[i]);
  g_clear_error (&provider->broken);
  g_clear_pointer (&provider->limits, model_limits_free);
  g_free (provider);
}

static char *
secret_or_null (DerushConfig *config, const char *name)
{
  /* Files that settings are read from end with a line. */
  g_autofree char *value = g_strstrip (g_strdup (derush_config_get_string (config, name)));

  derush_log_add_secret (value);
  model_redact_add_key (value);
  return *value ? g_steal_pointer (&value) : NULL;
}

static void
read_models (ModelProvider *provider, DerushConfig *config, const char *prefix)
{
  for (guint i = 0; i < MODEL_N_TASKS; i++) {
    g_autofree char *upper = g_ascii_strup (model_task_names[i], -1), *name = g_strconcat (prefix, upper, NULL);

    provider->models[i] = g_strdup (derush_config_get_string (config, name));
  }
}

/* What people paste may be the address of one of the endpoints: only what is before it is the base. */
static char *
base_of (const char *url)
{
  static const char *const ends[] = {"/chat/completions",
                                     "/audio/transcriptions",
                                     "/audio/translations",
                                     "/audio/speech",
                                     "/images/generations",
                                     "/models",
                                     NULL};
  char *base = g_strstrip (g_strdup (url));

  while (*base && base[strlen (base) - 1] == '/')
    base[strlen (base) - 1] = '\0';
  for (guint i = 0; ends[i]; i++)
    if (g_str_has_suffix (base, ends[i]))
      base[strlen (base) - strlen (ends[i])] = '\0';
  return base;
}

/* Takes over @base: a host alone is one whose addresses begin with /v1. */
static char *
with_version (char *base)
{
  g_autoptr (GUri) uri = g_uri_parse (base, G_URI_FLAGS_NONE, NULL);
  char *whole;

  if (!uri || *g_uri_get_path (uri))
    return base;
  whole = g_strconcat (base, "/v1", NULL);
  g_free (base);
  return whole;
}

static ModelProvider *
openai_new (DerushConfig *config)
{
  ModelProvider *provider = g_new0 (ModelProvider, 1);
  const char *voice = derush_config_get_string (config, "DERUSH_OPENAI_VOICE");

  provider->name = g_strdup ("openai");
  provider->voice = *voice ? g_strdup (voice) : NULL;
  provider->base_url = with_version (base_of (derush_config_get_string (config, "OPENAI_BASE_URL")));
  provider->key = secret_or_null (config, "OPENAI_API_KEY");
  provider->tasks = model_openai_tasks;
  read_models (provider, config, "DERUSH_OPENAI_MODEL_");
  if (!*provider->models[MODEL_TASK_TRANSLATE]) {
    g_free (provider->models[MODEL_TASK_TRANSLATE]);
    provider->models[MODEL_TASK_TRANSLATE] = g_strdup (provider->models[MODEL_TASK_CHAT]);
  }
  return provider;
}

static ModelProvider *
huggingface_new (DerushConfig *config)
{
  ModelProvider *provider = g_new0 (ModelProvider, 1);
  const char *bill_to;

  provider->name = g_strdup ("huggingface");
  provider->base_url = base_of (derush_config_get_string (config, "HUGGINGFACE_BASE_URL"));
  provider->key = secret_or_null (config, "HUGGINGFACE_API_KEY");
  bill_to = derush_config_get_string (config, "DERUSH_HUGGINGFACE_BILL_TO");
  provider->bill_to = *bill_to ? g_strdup (bill_to) : NULL;
  provider->tasks = model_huggingface_tasks;
  read_models (provider, config, "DERUSH_HUGGINGFACE_MODEL_");
  provider->chat_url = g_str_has_suffix (provider->base_url, "/v1") ? g_strdup (provider->base_url)
                                                                    : g_strconcat (provider->base_url, "/v1", NULL);
  return provider;
}

static ModelProvider *
local_new (DerushConfig *config)
{
  ModelProvider *provider = g_new0 (ModelProvider, 1);

  provider->name = g_strdup ("local");
  provider->base_url = base_of (derush_config_get_string (config, "DERUSH_LOCAL_MODELS_URL"));
  provider->key = secret_or_null (config, "DERUSH_MODELS_TOKEN");
  provider->local = TRUE;
  provider->tasks = model_openai_tasks;
  for (guint i = 0; i < MODEL_N_TASKS; i++)
    provider->models[i] = g_strdup ("local");
  return provider;
}

/* What a header can carry. */
static gboolean
is_plain_text (const char *text)
{
  for (const char *p = text; *p; p++)
    if (!g_ascii_isgraph (*p))
      return FALSE;
  return TRUE;
}

static gboolean
is_plain_address (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_NONE, NULL);

  return uri && g_uri_get_host (uri) && *g_uri_get_host (uri) && !g_uri_get_userinfo (uri) && !g_uri_get_query (uri) &&
         !g_uri_get_fragment (uri);
}

/* A provider that cannot be used is kept: that it is asked for and why it fails is told when it would be used. */
static void
check_address (ModelProvider *provider, DerushConfig *config)
{
  if (!*provider->base_url)
    provider->broken = g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE,
                                    _ ("The models of this machine (“%s”) are not running"), provider->name);
  else if (!is_plain_address (provider->base_url))
    provider->broken = g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                                    _ ("The address of %s must be like https://host/v1, without a name, password or "
                                       "question mark: a key has a setting of its own"),
                                    provider->name);
  else if (provider->key && !is_plain_text (provider->key))
    provider->broken =
        g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                     _ ("The key of %s has characters that no key has; look at its setting"), provider->name);
  else if (!model_client_is_https_or_loopback (provider->base_url) &&
           !derush_config_get_boolean (config, "DERUSH_MODEL_ALLOW_HTTP"))
    provider->broken = g_error_new (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                                    _ ("%s is reached without encryption at %s; use https, or set "
                                       "DERUSH_MODEL_ALLOW_HTTP if everybody on the way is trusted"),
                                    provider->name, provider->base_url);
  if (provider->broken && *provider->base_url)
    derush_error_set_final (provider->broken);
}

/*
 * model_provider_new:
 * @name: openai, huggingface or local
 *
 * Returns: (transfer full) (nullable): the provider as the settings have it, which may be broken; %NULL: there is none of this
 *   name
 */
ModelProvider *
model_provider_new (DerushConfig *config, const char *name)
{
  ModelProvider *provider;

  if (strcmp (name, "openai") == 0)
    provider = openai_new (config);
  else if (strcmp (name, "huggingface") == 0)
    provider = huggingface_new (config);
  else if (strcmp (name, "local") == 0)
    provider = local_new (config);
  else
    return NULL;
  provider->limits = model_limits_new ();
  check_address (provider, config);
  return provider;
}
