/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/store-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* Tokens that are expected where nothing else is said. */
#define ANSWER_TOKENS 1000
#define PICTURE_TOKENS 1105
/* Text, in bytes. */
#define TOKEN_LENGTH 4

/* Groups are HOST/MODEL, where MODEL may end with *; the longest that fits holds. */
struct _ModelPrices {
  GKeyFile *own, *installed; /* or NULL */
};

static const char *const keys[] = {"input", "cached-input", "output", "second", "characters", "image", "date", NULL};

/* Per token, second, character, picture. */
typedef struct {
  gboolean known;
  double input, cached, output, second, character, image;
} Price;

static gboolean
check_file (GKeyFile *file, const char *path, GError **error)
{
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);

  for (guint i = 0; groups[i]; i++) {
    g_auto (GStrv) names = g_key_file_get_keys (file, groups[i], NULL, NULL);

    for (guint k = 0; names && names[k]; k++) {
      g_autoptr (GError) local = NULL;

      if (g_strv_contains (keys, names[k]) &&
          (strcmp (names[k], "date") == 0 ||
           (g_key_file_get_double (file, groups[i], names[k], &local) >= 0 && !local)))
        continue;
      g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s: “%s” in [%s] is no price"), path,
                   names[k], groups[i]);
      return FALSE;
    }
  }
  return TRUE;
}

static GKeyFile *
load (const char *path, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local = NULL;

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The prices in %s cannot be read: %s"), path,
                 local->message);
    return NULL;
  }
  return check_file (file, path, error) ? g_steal_pointer (&file) : NULL;
}

ModelPrices *
model_prices_new (DerushConfig *config, GError **error)
{
  ModelPrices *prices = g_new0 (ModelPrices, 1);
  const char *own = derush_config_get_string (config, "DERUSH_PRICES"), *folder = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *installed =
      g_build_filename (folder && *folder ? folder : DERUSH_PKGDATADIR, "models", "prices.ini", NULL);

  prices->installed = load (installed, error);
  if (prices->installed && *own)
    prices->own = load (own, error);
  if (prices->installed && (prices->own || !*own))
    return prices;
  model_prices_free (prices);
  return NULL;
}

void
model_prices_free (ModelPrices *prices)
{
  g_clear_pointer (&prices->own, g_key_file_unref);
  g_clear_pointer (&prices->installed, g_key_file_unref);
  g_free (prices);
}

static char *
find_group (GKeyFile *file, const char *wanted)
{
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);
  const char *best = NULL;

  for (guint i = 0; groups[i]; i++) {
    gsize length = strlen (groups[i]);
    gboolean fits = length > 0 && groups[i][length - 1] == '*' ? strncmp (wanted, groups[i], length - 1) == 0
                                                               : strcmp (wanted, groups[i]) == 0;

    if (fits && (!best || length > strlen (best)))
      best = groups[i];
  }
  return g_strdup (best);
}

static double
number (GKeyFile *file, const char *group, const char *key)
{
  return g_key_file_get_double (file, group, key, NULL);
}

static Price
find_in (GKeyFile *file, const char *wanted)
{
  g_autofree char *group = file ? find_group (file, wanted) : NULL;
  Price price = {0};

  if (!group)
    return price;
  price.known = TRUE;
  price.input = number (file, group, "input") / 1e6;
  price.cached =
      g_key_file_has_key (file, group, "cached-input", NULL) ? number (file, group, "cached-input") / 1e6 : price.input;
  price.output = number (file, group, "output") / 1e6;
  price.second = number (file, group, "second");
  price.character = number (file, group, "characters") / 1e6;
  price.image = number (file, group, "image");
  return price;
}

static Price
find_price (ModelPrices *prices, const char *base_url, const char *model)
{
  g_autoptr (GUri) uri = g_uri_parse (base_url, G_URI_FLAGS_NONE, NULL);
  g_autofree char *wanted = g_strconcat (uri ? g_uri_get_host (uri) : "", "/", model, NULL);
  Price price = find_in (prices->own, wanted);

  return price.known ? price : find_in (prices->installed, wanted);
}

/* Returns: whether there is a price for it */
gboolean
model_prices_know (ModelPrices *prices, const char *base_url, const char *model)
{
  return find_price (prices, base_url, model).known;
}

static guint64
text_length (JsonObject *request, guint *pictures)
{
  g_autoptr (JsonObject) copy = json_object_new ();
  static const char *const names[] = {"system", "content", "schema", "texts", "glossary", "prompt", NULL};
  JsonArray *content = derush_json_get_array (request, "content");
  g_autofree char *text = NULL;

  for (guint i = 0; names[i]; i++)
    if (json_object_has_member (request, names[i]))
      json_object_set_member (copy, names[i], json_node_copy (json_object_get_member (request, names[i])));
  *pictures = 0;
  for (guint i = 0; content && i < json_array_get_length (content); i++) {
    JsonNode *node = json_array_get_element (content, i);

    *pictures += JSON_NODE_HOLDS_OBJECT (node) && json_object_has_member (json_node_get_object (node), "image");
  }
  text = derush_json_object_to_string (copy);
  return strlen (text);
}

/*
 * model_prices_estimate:
 *
 * Returns: what the call will cost about; negative: there is no price. Sets the call's tokens.
 */
double
model_prices_estimate (ModelPrices *prices, ModelCall *call)
{
  Price price = find_price (prices, call->provider->base_url, call->model);
  JsonObject *request = call->request;
  guint pictures;
  guint64 text = text_length (request, &pictures);
  gint64 answer = derush_json_get_int (request, "maxTokens", ANSWER_TOKENS);
  double input = (double)text / TOKEN_LENGTH + pictures * PICTURE_TOKENS;

  switch (model_task_find (call->task)) {
  case MODEL_TASK_TRANSCRIBE:
    return price.known ? model_wav_duration (derush_json_get_string (request, "file", "")) * price.second : -1;
  case MODEL_TASK_SPEAK:
    return price.known ? (double)g_utf8_strlen (derush_json_get_string (request, "text", ""), -1) * price.character
                       : -1;
  case MODEL_TASK_IMAGE:
    return price.known ? (double)derush_json_get_int (request, "n", 1) * price.image : -1;
  case MODEL_TASK_TRANSLATE:
    answer = (gint64)input;
    break;
  default:
    break;
  }
  call->tokens = (guint64)input + answer;
  return price.known ? input * price.input + (double)answer * price.output : -1;
}

/*
 * model_prices_cost:
 * @usage: what was used
 *
 * Returns: what the call has cost; negative: there is no price
 */
double
model_prices_cost (ModelPrices *prices, ModelCall *call, JsonObject *usage)
{
  Price price = find_price (prices, call->provider->base_url, call->model);
  double input = derush_json_get_number (usage, "inputTokens", 0);
  double cached = MIN (derush_json_get_number (usage, "cachedTokens", 0), input);
  double tokens = (input - cached) * price.input + cached * price.cached +
                  derush_json_get_number (usage, "outputTokens", 0) * price.output;

  if (!price.known)
    return -1;
  /* Models that are paid by what they make and answer tokens as well are paid once. */
  if (tokens > 0)
    return tokens;
  return derush_json_get_number (usage, "seconds", 0) * price.second +
         derush_json_get_number (usage, "characters", 0) * price.character +
         derush_json_get_number (usage, "images", 0) * price.image;
}
