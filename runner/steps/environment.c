/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What the programs that a slot starts are given: which file, and which variables. Only the model worker gets keys, and
 * only those of models. */

#include "steps/environment-private.h"
#include "steps/contain-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

const char *
derush_worker_title (DerushWorkerKind kind)
{
  return kind == DERUSH_WORKER_MODEL ? _ ("The model worker") : _ ("The media worker");
}

char *
derush_worker_program (DerushWorkerKind kind)
{
  const char *path = g_getenv (kind == DERUSH_WORKER_MODEL ? "DERUSH_MODEL_WORKER" : "DERUSH_MEDIA_WORKER");

  if (path && *path)
    return g_strdup (path);
  return g_build_filename (DERUSH_LIBEXECDIR,
                           kind == DERUSH_WORKER_MODEL ? "derush-model-worker" : "derush-media-worker", NULL);
}

/**
 * derush_model_worker_program:
 *
 * Returns: (transfer full): the file of the model worker: `DERUSH_MODEL_WORKER`, else the installed one
 */
char *
derush_model_worker_program (void)
{
  return derush_worker_program (DERUSH_WORKER_MODEL);
}

/**
 * derush_local_models_program:
 *
 * Returns: (transfer full): the file of the server of local engines: `DERUSH_LOCAL_MODELS`, else the installed one
 */
char *
derush_local_models_program (void)
{
  const char *path = g_getenv ("DERUSH_LOCAL_MODELS");

  return path && *path ? g_strdup (path) : g_build_filename (DERUSH_LIBEXECDIR, "derush-models", NULL);
}

static const char *const common_names[] = {"PATH",
                                           "LANG",
                                           "LANGUAGE",
                                           "LOCPATH",
                                           "TZ",
                                           "LD_LIBRARY_PATH",
                                           "DERUSH_PIPELINES_DIR",
                                           "DERUSH_DATA_DIR",
                                           "ASAN_OPTIONS",
                                           "LSAN_OPTIONS",
                                           "UBSAN_OPTIONS",
                                           NULL};

static gboolean
has_prefix (const char *name, const char *const *prefixes)
{
  for (guint i = 0; prefixes && prefixes[i]; i++)
    if (g_str_has_prefix (name, prefixes[i]))
      return TRUE;
  return FALSE;
}

/**
 * derush_environment_pass:
 * @names: (nullable) (array zero-terminated=1): variables besides those that every program gets
 * @prefixes: (nullable) (array zero-terminated=1): with what others begin
 *
 * Returns: (transfer full): the named variables of this process
 */
GStrv
derush_environment_pass (const char *const *names, const char *const *prefixes)
{
  g_auto (GStrv) all = g_listenv ();
  GStrv environment = g_new0 (char *, 1);

  for (guint i = 0; all[i]; i++)
    if (g_strv_contains (common_names, all[i]) || g_str_has_prefix (all[i], "LC_") || has_prefix (all[i], prefixes) ||
        (names && g_strv_contains (names, all[i])))
      environment = g_environ_setenv (environment, all[i], g_getenv (all[i]), TRUE);
  return environment;
}

/* Files of the user's own, which a worker with another HOME would not find. */
static GStrv
set_own_folder (GStrv environment, const char *variable, const char *name)
{
  const char *folder = g_getenv (variable);
  g_autofree char *usual = g_build_filename (g_get_user_config_dir (), "derush", name, NULL);

  return g_environ_setenv (environment, variable, folder && *folder ? folder : usual, TRUE);
}

static GStrv
set_of_media (GStrv environment, DerushConfig *config, const char *home)
{
  const char *plugins = g_getenv ("GST_PLUGIN_PATH");
  g_autofree char *folder = g_path_get_dirname (home);
  g_autofree char *path =
      plugins && *plugins ? g_strconcat (plugins, ":", DERUSH_PLUGINSDIR, NULL) : g_strdup (DERUSH_PLUGINSDIR);

  environment = g_environ_setenv (environment, "GST_PLUGIN_PATH", path, TRUE);
  environment =
      g_environ_setenv (environment, "DERUSH_SANDBOX", derush_config_get_string (config, "DERUSH_SANDBOX"), TRUE);
  environment = g_environ_setenv (environment, DERUSH_WORKER_FOLDER, folder, TRUE);
  environment = g_environ_setenv (environment, DERUSH_WORKER_FILE_LIMIT,
                                  derush_config_get_string (config, "DERUSH_WORKER_FILE_LIMIT"), TRUE);
  environment = set_own_folder (environment, "DERUSH_PLATFORMS_DIR", "platforms");
  if (!g_environ_getenv (environment, "GST_REGISTRY")) {
    /* With a HOME of its own every worker would look through all plugins again. */
    const char *cache = derush_config_get_string (config, "DERUSH_CACHE");
    g_autofree char *registry = g_build_filename (cache, "gst-registry.bin", NULL);

    g_mkdir_with_parents (cache, 0700);
    environment = g_environ_setenv (environment, "GST_REGISTRY", registry, TRUE);
  }
  return environment;
}

/* The settings come from this process, wherever it has them from: the worker has another HOME, and so another
 * configuration file, and other folders. */
static void
set_setting (const char *name, const char *value, const char *origin, gboolean secret, gpointer user_data)
{
  static const char *const folders[] = {"DERUSH_STATE_DIR", "DERUSH_CACHE", NULL};
  static const char *const names[] = {"DERUSH_PRICES", "DERUSH_LOG_LEVEL", "DERUSH_DEBUG", "DERUSH_LOCAL_MODELS_URL",
                                      NULL};
  static const char *const prefixes[] = {"OPENAI_",        "HUGGINGFACE_",        "DERUSH_MODEL",
                                         "DERUSH_OPENAI_", "DERUSH_HUGGINGFACE_", NULL};
  /* The worker has a folder of its own, from which a relative name would lead elsewhere. */
  static const char *const paths[] = {"DERUSH_MODEL_RECORD", "DERUSH_MODEL_REPLAY", "DERUSH_MODEL_CA_FILE",
                                      "DERUSH_PRICES", NULL};
  GStrv *environment = user_data;
  g_autofree char *path = NULL;

  if (*value == '\0')
    return;
  if (g_strv_contains (paths, name))
    value = path = g_canonicalize_filename (value, NULL);
  if (g_strv_contains (folders, name) ||
      (strcmp (origin, "default") != 0 && (g_strv_contains (names, name) || has_prefix (name, prefixes))))
    *environment = g_environ_setenv (*environment, name, value, TRUE);
}

static GStrv
set_of_model (GStrv environment, DerushConfig *config, const char *const *more)
{
  derush_config_foreach (config, set_setting, &environment);
  environment = set_own_folder (environment, "DERUSH_PLATFORMS_DIR", "platforms");
  environment = set_own_folder (environment, "DERUSH_MODELS_DIR", "models");
  for (guint i = 0; more && more[i] && more[i + 1]; i += 2)
    environment = g_environ_setenv (environment, more[i], more[i + 1], TRUE);
  return environment;
}

/**
 * derush_worker_environment:
 * @kind: which worker
 * @config: the settings
 * @home: its private folder
 * @more: (nullable) (array zero-terminated=1): names and values in turn, for the model worker
 *
 * Returns: (transfer full): its environment
 */
GStrv
derush_worker_environment (DerushWorkerKind kind, DerushConfig *config, const char *home, const char *const *more)
{
  static const char *const media[] = {"GST_", "ORC_", NULL};
  static const char *const proxies[] = {"http_proxy",    "https_proxy",  "all_proxy",     "no_proxy",
                                        "HTTP_PROXY",    "HTTPS_PROXY",  "ALL_PROXY",     "NO_PROXY",
                                        "SSL_CERT_FILE", "SSL_CERT_DIR", "DERUSH_CONFIG", NULL};
  GStrv environment =
      kind == DERUSH_WORKER_MODEL ? derush_environment_pass (proxies, NULL) : derush_environment_pass (NULL, media);

  environment = g_environ_setenv (environment, "HOME", home, TRUE);
  environment = g_environ_setenv (environment, "TMPDIR", home, TRUE);
  return kind == DERUSH_WORKER_MODEL ? set_of_model (environment, config, more)
                                     : set_of_media (environment, config, home);
}
