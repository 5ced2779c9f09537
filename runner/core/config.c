/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <inttypes.h>
#include <string.h>
#include <glib/gi18n-lib.h>

typedef enum {
  SETTING_STRING,
  SETTING_INT,
  SETTING_BOOLEAN,
  SETTING_PATHS,
  SETTING_CHOICE,
} SettingType;

typedef struct {
  const char *name;
  SettingType type;
  const char *fallback;
  gint64 min, max; /* of SETTING_INT */
  gboolean secret;
  const char *choices; /* of SETTING_CHOICE, with blanks between them */
} Setting;

/* The names up to WORKER_UPTIME_THRESHOLD are those of the backend that adds the jobs. */
static const Setting settings[] = {
    {"REDIS_HOST", SETTING_STRING, "127.0.0.1"},
    {"REDIS_PORT", SETTING_INT, "6379", 1, 65535},
    {"REDIS_USERNAME", SETTING_STRING, ""},
    {"REDIS_PASSWORD", SETTING_STRING, "", .secret = TRUE},
    {"REDIS_DB", SETTING_INT, "0", 0, 65535},
    {"DATABASE_URL", SETTING_STRING, "", .secret = TRUE},
    {"OPENAI_API_KEY", SETTING_STRING, "", .secret = TRUE},
    {"HUGGINGFACE_API_KEY", SETTING_STRING, "", .secret = TRUE},
    {"WORKER_VIDEO_PROCESSING_CONCURRENCY", SETTING_INT, "2", 0, 64},
    {"WORKER_AI_PROCESSING_CONCURRENCY", SETTING_INT, "3", 0, 64},
    {"WORKER_MEMORY_THRESHOLD", SETTING_INT, "1073741824", 16777216, G_MAXINT64},
    {"WORKER_UPTIME_THRESHOLD", SETTING_INT, "86400", 1, G_MAXINT32},
    {"BULLMQ_PREFIX", SETTING_STRING, "bull"},
    {"WORKER_CONCURRENCY", SETTING_INT, "1", 0, 64},
    {"WORKER_LOCK_DURATION", SETTING_INT, "30000", 100, 86400000},
    {"WORKER_STALLED_INTERVAL", SETTING_INT, "30000", 100, 86400000},
    {"WORKER_MAX_STALLED_COUNT", SETTING_INT, "1", 0, 1000},
    {"WORKER_METRICS_MAX", SETTING_INT, "0", 0, 1000000},
    {"WORKER_LIMITER_MAX", SETTING_INT, "0", 0, G_MAXINT32},
    {"WORKER_LIMITER_DURATION", SETTING_INT, "1000", 1, 86400000},
    {"DERUSH_QUEUES", SETTING_STRING, "video-processing,ai-processing"},
    {"DERUSH_ALLOWED_ROOTS", SETTING_PATHS, ""},
    {"DERUSH_OUTPUT_DIR", SETTING_STRING, ""},
    {"DERUSH_STATE_DIR", SETTING_STRING, ""},
    {"DERUSH_SCRATCH", SETTING_STRING, ""},
    {"DERUSH_CACHE", SETTING_STRING, ""},
    {"DERUSH_ALLOWED_HOSTS", SETTING_STRING, ""},
    {"DERUSH_ALLOW_HTTP", SETTING_BOOLEAN, "false"},
    {"DERUSH_HTTP_ADDRESS", SETTING_STRING, "127.0.0.1:8787"},
    {"DERUSH_HTTP_TOKEN", SETTING_STRING, "", .secret = TRUE},
    {"DERUSH_HTTP_MAX_BODY", SETTING_INT, "2097152", 1024, 268435456},
    {"DERUSH_HTTP_TIMEOUT", SETTING_INT, "20", 1, 3600},
    {"DERUSH_WEBHOOK_URL", SETTING_STRING, "", .secret = TRUE},
    {"DERUSH_WEBHOOK_SECRET", SETTING_STRING, "", .secret = TRUE},
    {"DERUSH_WEBHOOK_EVENTS", SETTING_STRING, "job.completed,job.failed,workflow.completed,workflow.failed"},
    {"DERUSH_WEBHOOK_RETRY_DELAY", SETTING_INT, "5000", 10, 3600000},
    {"DERUSH_WEBHOOK_RETRY_TIME", SETTING_INT, "86400", 0, 31536000},
    {"DERUSH_STRICT_DATA", SETTING_BOOLEAN, "false"},
    {"DERUSH_JOB_TIMEOUT", SETTING_INT, "14400", 1, 604800},
    {"DERUSH_STALL_TIMEOUT", SETTING_INT, "120", 1, 86400},
    {"DERUSH_HEARTBEAT_TIMEOUT", SETTING_INT, "20", 1, 3600},
    {"DERUSH_SHUTDOWN_TIMEOUT", SETTING_INT, "60", 0, 86400},
    {"DERUSH_WORKER_MEMORY_LIMIT", SETTING_INT, "4294967296", 16777216, G_MAXINT64},
    {"DERUSH_WORKER_CPU_LIMIT", SETTING_INT, "0", 0, G_MAXINT32},
    {"DERUSH_WORKER_FILE_LIMIT", SETTING_INT, "107374182400", 65536, G_MAXINT64},
    {"DERUSH_SANDBOX", SETTING_CHOICE, "auto", .choices = "auto required off"},
    {"DERUSH_RETENTION_OUTPUTS_DAYS", SETTING_INT, "0", 0, 36500},
    {"DERUSH_RETENTION_ROWS_DAYS", SETTING_INT, "0", 0, 36500},
    {"DERUSH_OUTPUT_QUOTA", SETTING_INT, "0", 0, G_MAXINT64},
    {"DERUSH_CACHE_QUOTA", SETTING_INT, "10737418240", 0, G_MAXINT64},
    {"DERUSH_SPOOL_LIMIT", SETTING_INT, "1073741824", 65536, G_MAXINT64},
    {"DERUSH_MIN_FREE_SPACE", SETTING_INT, "16777216", 0, G_MAXINT64},
    {"DERUSH_DISK_FLOOR", SETTING_INT, "1073741824", 0, G_MAXINT64},
    {"DERUSH_MEMORY_PRESSURE", SETTING_INT, "20", 0, 100},
    {"DERUSH_CPU_PRESSURE", SETTING_INT, "90", 0, 100},
    {"DERUSH_IO_PRESSURE", SETTING_INT, "80", 0, 100},
    {"DERUSH_JOB_MEMORY", SETTING_INT, "536870912", 33554432, G_MAXINT64},
    {"DERUSH_PROC_PATH", SETTING_STRING, "/proc"},
    {"DERUSH_CHECKPOINT_AGE", SETTING_INT, "86400", 0, 31536000},
    {"DERUSH_MAX_INPUT_BYTES", SETTING_INT, "107374182400", 1, G_MAXINT64},
    {"DERUSH_MAX_PIXELS", SETTING_INT, "36000000", 1, G_MAXINT32},
    {"DERUSH_MAX_DURATION", SETTING_INT, "43200", 1, G_MAXINT32},
    {"DERUSH_MAX_STREAMS", SETTING_INT, "64", 1, 1024},
    {"OPENAI_BASE_URL", SETTING_STRING, "https://api.openai.com/v1"},
    {"HUGGINGFACE_BASE_URL", SETTING_STRING, "https://router.huggingface.co"},
    {"DERUSH_HUGGINGFACE_BILL_TO", SETTING_STRING, ""},
    {"DERUSH_LOCAL_MODELS_URL", SETTING_STRING, ""},
    {"DERUSH_MODELS_TOKEN", SETTING_STRING, "", .secret = TRUE},
    {"DERUSH_MODEL_PROVIDERS", SETTING_STRING, ""},
    {"DERUSH_MODEL_PROVIDERS_TRANSCRIBE", SETTING_STRING, ""},
    {"DERUSH_MODEL_PROVIDERS_SPEAK", SETTING_STRING, ""},
    {"DERUSH_MODEL_PROVIDERS_TRANSLATE", SETTING_STRING, ""},
    {"DERUSH_MODEL_PROVIDERS_CHAT", SETTING_STRING, ""},
    {"DERUSH_MODEL_PROVIDERS_IMAGE", SETTING_STRING, ""},
    {"DERUSH_OPENAI_MODEL_TRANSCRIBE", SETTING_STRING, "whisper-1"},
    {"DERUSH_OPENAI_MODEL_SPEAK", SETTING_STRING, "gpt-4o-mini-tts"},
    {"DERUSH_OPENAI_MODEL_TRANSLATE", SETTING_STRING, ""},
    {"DERUSH_OPENAI_MODEL_CHAT", SETTING_STRING, "gpt-4o-mini"},
    {"DERUSH_OPENAI_MODEL_IMAGE", SETTING_STRING, "gpt-image-1"},
    {"DERUSH_OPENAI_VOICE", SETTING_STRING, ""},
    {"DERUSH_HUGGINGFACE_MODEL_TRANSCRIBE", SETTING_STRING, "openai/whisper-large-v3"},
    {"DERUSH_HUGGINGFACE_MODEL_SPEAK", SETTING_STRING, "hexgrad/Kokoro-82M"},
    {"DERUSH_HUGGINGFACE_MODEL_TRANSLATE", SETTING_STRING, "facebook/nllb-200-distilled-600M"},
    {"DERUSH_HUGGINGFACE_MODEL_CHAT", SETTING_STRING, "meta-llama/Llama-3.3-70B-Instruct"},
    {"DERUSH_HUGGINGFACE_MODEL_IMAGE", SETTING_STRING, "black-forest-labs/FLUX.1-schnell"},
    {"DERUSH_MODEL_TIMEOUT", SETTING_INT, "600", 1, 86400},
    {"DERUSH_MODEL_IDLE_TIMEOUT", SETTING_INT, "300", 1, 86400},
    {"DERUSH_MODEL_ATTEMPTS", SETTING_INT, "4", 1, 20},
    {"DERUSH_MODEL_PARK", SETTING_INT, "86400", 0, 30 * 86400},
    {"DERUSH_MODEL_CONCURRENCY", SETTING_INT, "4", 1, 64},
    {"DERUSH_MODEL_COST_JOB", SETTING_STRING, ""},
    {"DERUSH_MODEL_COST_DAY", SETTING_STRING, ""},
    {"DERUSH_PRICES", SETTING_STRING, ""},
    {"DERUSH_MODEL_CACHE_SIZE", SETTING_INT, "1073741824", 0, G_MAXINT64},
    {"DERUSH_MODEL_PROXY", SETTING_STRING, "", .secret = TRUE},
    {"DERUSH_MODEL_CA_FILE", SETTING_STRING, ""},
    {"DERUSH_MODEL_ALLOW_HTTP", SETTING_BOOLEAN, "false"},
    {"DERUSH_MODEL_RECORD", SETTING_STRING, ""},
    {"DERUSH_MODEL_REPLAY", SETTING_STRING, ""},
    {"DERUSH_LOG_LEVEL", SETTING_STRING, "info"},
    {"DERUSH_DEBUG", SETTING_STRING, ""},
};

typedef struct {
  char *value;
  char *origin;
} Held;

struct _DerushConfig {
  gatomicrefcount references;
  Held held[G_N_ELEMENTS (settings)];
};

static int
setting_index (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    if (strcmp (settings[i].name, name) == 0)
      return i;
  return -1;
}

static gboolean
parse_boolean (const char *value, gboolean *result)
{
  static const char *const yes[] = {"1", "true", "yes", "on", NULL}, *const no[] = {"",   "0",   "false",
                                                                                    "no", "off", NULL};
  g_autofree char *lower = g_ascii_strdown (value, -1);

  *result = g_strv_contains (yes, lower);
  return *result || g_strv_contains (no, lower);
}

static gboolean
check_value (const Setting *setting, const char *value, const char *origin, GError **error)
{
  g_auto (GStrv) choices = NULL;
  gint64 number;
  gboolean flag;

  switch (setting->type) {
  case SETTING_INT:
    if (g_ascii_string_to_signed (value, 10, setting->min, setting->max, &number, NULL))
      return TRUE;
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("%s is “%s” (from %s), but must be a whole number from %" PRId64 " to %" PRId64), setting->name,
                 value, _ (origin), setting->min, setting->max);
    return FALSE;
  case SETTING_BOOLEAN:
    if (parse_boolean (value, &flag))
      return TRUE;
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("%s is “%s” (from %s), but must be true or false"), setting->name, value, _ (origin));
    return FALSE;
  case SETTING_CHOICE:
    choices = g_strsplit (setting->choices, " ", -1);
    if (g_strv_contains ((const char *const *)choices, value))
      return TRUE;
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s is “%s” (from %s), but must be one of: %s"),
                 setting->name, value, _ (origin), setting->choices);
    return FALSE;
  case SETTING_STRING:
  case SETTING_PATHS:
    break;
  }
  return TRUE;
}

static gboolean
hold (DerushConfig *config, guint i, const char *value, const char *origin, GError **error)
{
  if (!check_value (&settings[i], value, origin, error))
    return FALSE;
  g_free (config->held[i].value);
  g_free (config->held[i].origin);
  config->held[i].value = g_strdup (value);
  config->held[i].origin = g_strdup (origin);
  if (settings[i].secret)
    derush_log_add_secret (value);
  return TRUE;
}

static gboolean
load_key_file (DerushConfig *config, const char *path, gboolean required, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) read_error = NULL;
  g_auto (GStrv) keys = NULL;

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &read_error)) {
    if (!required && g_error_matches (read_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      return TRUE;
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The configuration file %s cannot be read: %s"),
                 path, read_error->message);
    return FALSE;
  }
  keys = g_key_file_get_keys (file, "derush", NULL, NULL);
  for (guint k = 0; keys && keys[k]; k++) {
    g_autofree char *value = g_key_file_get_string (file, "derush", keys[k], NULL);
    int i = setting_index (keys[k]);

    if (i < 0) {
      g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s has an unknown setting: %s"), path,
                   keys[k]);
      return FALSE;
    }
    if (!hold (config, i, value ? value : "", path, error))
      return FALSE;
  }
  return TRUE;
}

/* Folders without a setting of their own follow the XDG base directories. */
static gboolean
hold_folder (DerushConfig *config, const char *name, const char *base, const char *leaf, GError **error)
{
  guint i = setting_index (name);
  g_autofree char *path = NULL;

  if (config->held[i].value[0] != '\0')
    return TRUE;
  path = g_build_filename (base, "derush", leaf, NULL);
  return hold (config, i, path, N_ ("default"), error);
}

/**
 * derush_config_load:
 * @error: return location for an error
 *
 * Reads the settings: the environment first, then the file named by `DERUSH_CONFIG` or, without it,
 * `/etc/derush/derush.conf` and `derush/derush.conf` in the user's configuration folder (group `derush`, the same names),
 * then the defaults. Values of secret settings are from then on redacted in logs.
 *
 * Returns: (transfer full) (nullable): the settings, or %NULL if one of them is out of its range or a file cannot be
 *   read; the message names the setting, its value and what is allowed
 */
DerushConfig *
derush_config_load (GError **error)
{
  g_autoptr (DerushConfig) config = g_new0 (DerushConfig, 1);
  const char *named = g_getenv ("DERUSH_CONFIG");
  g_autofree char *user = g_build_filename (g_get_user_config_dir (), "derush", "derush.conf", NULL);

  g_atomic_ref_count_init (&config->references);
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    if (!hold (config, i, settings[i].fallback, N_ ("default"), error))
      return NULL;
  if (named && *named) {
    if (!load_key_file (config, named, TRUE, error))
      return NULL;
  } else if (!load_key_file (config, "/etc/derush/derush.conf", FALSE, error) ||
             !load_key_file (config, user, FALSE, error)) {
    return NULL;
  }
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++) {
    const char *value = g_getenv (settings[i].name);

    /* An empty variable is an unset one, as in compose files that pass every variable on. */
    if (value && *value && !hold (config, i, value, N_ ("environment"), error))
      return NULL;
  }
  if (!hold_folder (config, "DERUSH_OUTPUT_DIR", g_get_user_data_dir (), "outputs", error) ||
      !hold_folder (config, "DERUSH_STATE_DIR", g_get_user_state_dir (), NULL, error) ||
      !hold_folder (config, "DERUSH_CACHE", g_get_user_cache_dir (), NULL, error) ||
      !hold_folder (config, "DERUSH_SCRATCH", g_get_user_cache_dir (), "scratch", error))
    return NULL;
  derush_log_set_debug (derush_config_get_string (config, "DERUSH_DEBUG"));
  return g_steal_pointer (&config);
}

/**
 * derush_config_ref:
 * @config: a configuration
 *
 * Returns: (transfer full): @config
 */
DerushConfig *
derush_config_ref (DerushConfig *config)
{
  g_atomic_ref_count_inc (&config->references);
  return config;
}

/**
 * derush_config_unref:
 * @config: (transfer full): a configuration
 */
void
derush_config_unref (DerushConfig *config)
{
  if (!g_atomic_ref_count_dec (&config->references))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++) {
    g_free (config->held[i].value);
    g_free (config->held[i].origin);
  }
  g_free (config);
}

/**
 * derush_config_get_string:
 * @config: the settings
 * @name: a setting's name
 *
 * Returns: (transfer none): its value as text; empty where nothing is set. It is an error to ask for an unknown name.
 */
const char *
derush_config_get_string (DerushConfig *config, const char *name)
{
  int i = setting_index (name);

  g_return_val_if_fail (i >= 0, "");
  return config->held[i].value;
}

/**
 * derush_config_is_default:
 * @config: the settings
 * @name: a setting's name
 *
 * Returns: whether nobody has set it
 */
gboolean
derush_config_is_default (DerushConfig *config, const char *name)
{
  int i = setting_index (name);

  g_return_val_if_fail (i >= 0, FALSE);
  return g_str_equal (config->held[i].origin, "default");
}

/**
 * derush_config_get_int:
 * @config: a configuration
 * @name: a setting that is a whole number
 *
 * Returns: its value, which was checked when the configuration was read
 */
gint64
derush_config_get_int (DerushConfig *config, const char *name)
{
  return g_ascii_strtoll (derush_config_get_string (config, name), NULL, 10);
}

/**
 * derush_config_get_boolean:
 * @config: a configuration
 * @name: a setting that is on or off
 *
 * Returns: its value
 */
gboolean
derush_config_get_boolean (DerushConfig *config, const char *name)
{
  gboolean flag = FALSE;

  parse_boolean (derush_config_get_string (config, name), &flag);
  return flag;
}

/**
 * derush_config_get_paths:
 * @config: the settings
 * @name: a setting that holds paths separated by colons
 *
 * Returns: (transfer full): the paths without empty ones
 */
GStrv
derush_config_get_paths (DerushConfig *config, const char *name)
{
  g_auto (GStrv) parts = g_strsplit (derush_config_get_string (config, name), ":", -1);
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();

  for (guint i = 0; parts[i]; i++)
    if (parts[i][0] != '\0')
      g_strv_builder_add (paths, parts[i]);
  return g_strv_builder_end (paths);
}

/**
 * derush_config_foreach:
 * @config: the settings
 * @func: (scope call): called for each setting with its name, value, where the value is from, and whether it is secret
 * @user_data: for @func
 */
void
derush_config_foreach (DerushConfig *config, DerushConfigFunc func, gpointer user_data)
{
  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    func (settings[i].name, config->held[i].value, config->held[i].origin, settings[i].secret, user_data);
}
