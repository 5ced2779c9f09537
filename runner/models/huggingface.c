/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/*
 * Hugging Face's router: chat as OpenAI has it below /v1, the other tasks below /hf-inference/models, each in a form of its
 * own, whose answers are files, lists or addresses as it pleases the server behind it.
 */

/* Sound goes as a text inside JSON when it has parameters beside it. */
#define MAX_UPLOAD (25 << 20)
#define MAX_ANSWER (256 << 20)

static char *
router_of (ModelCall *call)
{
  char *base = g_strdup (call->provider->base_url);

  if (g_str_has_suffix (base, "/v1"))
    base[strlen (base) - strlen ("/v1")] = '\0';
  return base;
}

static ModelRequest *
model_request (ModelCall *call)
{
  g_autofree char *base = router_of (call), *model = g_uri_escape_string (call->model, "/:", FALSE);
  g_autofree char *path = g_strconcat ("/hf-inference/models/", model, NULL);
  ModelRequest *request = model_request_new ("POST", base, path);

  request->bill_to = g_strdup (call->provider->bill_to);
  request->limit = MAX_ANSWER;
  return request;
}

static ModelRequest *
request_with_inputs (ModelCall *call, const char *name, JsonNode *inputs, JsonObject *parameters)
{
  g_autoptr (JsonObject) json = json_object_new ();
  ModelRequest *request = model_request (call);

  json_object_set_member (json, name, inputs);
  if (parameters)
    json_object_set_object_member (json, "parameters", parameters);
  model_request_set_json (request, json);
  return request;
}

static JsonNode *
string_node (const char *text)
{
  return json_node_init_string (json_node_alloc (), text);
}

/* Whether the parameters, or the form of the question, may be what the server does not like. @guess: set when they are left
 * out from now on; it is forgotten when that did not help. */
static gboolean
dislikes_form (ModelCall *call, ModelQuirk quirk, gboolean *guess)
{
  guint status = call->fault.status;

  if ((status != 400 && status != 415 && status != 422 && status != 500) ||
      model_provider_has_quirk (call->provider, quirk)) {
    if (*guess)
      model_provider_remove_quirk (call->provider, quirk);
    return FALSE;
  }
  model_provider_add_quirk (call->provider, quirk);
  *guess = TRUE;
  return TRUE;
}

/* ── Speech to text ─────────────────────────────────────────────────────── */

static ModelRequest *
transcription_request (ModelCall *call, GBytes *sound)
{
  g_autofree char *base64 = NULL;
  JsonObject *parameters;
  ModelRequest *request;

  if (model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_VERBOSE)) {
    request = model_request (call);
    request->content_type = g_strdup ("audio/wav");
    request->body = g_bytes_ref (sound);
    return request;
  }
  base64 = g_base64_encode (g_bytes_get_data (sound, NULL), g_bytes_get_size (sound));
  parameters = json_object_new ();
  json_object_set_boolean_member (parameters, "return_timestamps", TRUE);
  return request_with_inputs (call, "inputs", string_node (base64), parameters);
}

/* [start, end], where the last end may be missing. */
static double
time_of (JsonArray *times, guint i, double fallback)
{
  JsonNode *node = times && json_array_get_length (times) > i ? json_array_get_element (times, i) : NULL;

  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_double (node) : fallback;
}

static JsonObject *
read_transcription (ModelCall *call, JsonObject *answer, double duration)
{
  JsonObject *result = json_object_new ();
  JsonArray *chunks = derush_json_get_array (answer, "chunks"), *segments = json_array_new ();
  const char *language = derush_json_get_string (call->request, "language", NULL);
  g_autofree char *text = g_strstrip (g_strdup (derush_json_get_string (answer, "text", "")));

  for (guint i = 0; chunks && i < json_array_get_length (chunks); i++) {
    JsonNode *node = json_array_get_element (chunks, i);
    JsonObject *chunk = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *segment;
    JsonArray *times = derush_json_get_array (chunk, "timestamp");
    g_autofree char *said = g_strstrip (g_strdup (derush_json_get_string (chunk, "text", "")));

    if (!*said)
      continue;
    segment = json_object_new ();
    json_object_set_double_member (segment, "start", time_of (times, 0, 0));
    json_object_set_double_member (segment, "end", time_of (times, 1, duration));
    json_object_set_string_member (segment, "text", said);
    json_array_add_object_element (segments, segment);
  }
  json_object_set_string_member (result, "text", text);
  if (language && *language)
    json_object_set_string_member (result, "language", language);
  else
    json_object_set_null_member (result, "language");
  json_object_set_double_member (result, "duration", duration);
  json_object_set_array_member (result, "segments", segments);
  json_object_set_array_member (result, "words", json_array_new ());
  return result;
}

static JsonObject *
transcribe (ModelCall *call, GError **error)
{
  const char *path = derush_json_get_string (call->request, "file", "");
  g_autoptr (GMappedFile) file = NULL;
  g_autoptr (GBytes) sound = NULL;
  g_autoptr (JsonObject) answer = NULL;
  g_autoptr (GError) local = NULL;
  gboolean guess = FALSE;
  JsonObject *result;

  if (model_file_size (path) > MAX_UPLOAD) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("“%s” is larger than what a transcription takes at once: %d bytes"), path, MAX_UPLOAD);
    return NULL;
  }
  file = g_mapped_file_new (path, FALSE, &local);
  if (!file) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” cannot be sent to a model: %s"), path,
                 local->message);
    return NULL;
  }
  sound = g_mapped_file_get_bytes (file);
  for (;;) {
    g_autoptr (ModelRequest) request = transcription_request (call, sound);
    g_autoptr (GError) cause = NULL;

    answer = model_client_send_for_json (call, request, &cause);
    if (answer)
      break;
    if (dislikes_form (call, MODEL_QUIRK_NO_VERBOSE, &guess))
      continue;
    g_propagate_error (error, g_steal_pointer (&cause));
    return NULL;
  }
  if (!derush_json_get_string (answer, "text", NULL)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers a transcription without a text"),
                 call->provider->name);
    return NULL;
  }
  result = read_transcription (call, answer, model_wav_duration (path));
  model_call_take_account (call, result, answer);
  return result;
}

/* ── Files ──────────────────────────────────────────────────────────────── */

static const char *
first_text (JsonNode *node)
{
  if (node && JSON_NODE_HOLDS_ARRAY (node) && json_array_get_length (json_node_get_array (node)) > 0)
    node = json_array_get_element (json_node_get_array (node), 0);
  if (node && JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *object = json_node_get_object (node);

    return derush_json_get_string (object, "url", derush_json_get_string (object, "b64_json", NULL));
  }
  return node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
             ? json_node_get_string (node)
             : NULL;
}

/* [samples, rate], or {audio: samples, sampling_rate: rate}; the samples of each channel may be a list of their own, of which
 * the first is taken. Returns: (nullable): a WAV file */
static GBytes *
sound_of_samples (JsonNode *root)
{
  JsonArray *pair = JSON_NODE_HOLDS_ARRAY (root) ? json_node_get_array (root) : NULL, *samples;
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  JsonNode *sound = pair && json_array_get_length (pair) == 2 ? json_array_get_element (pair, 0)
                    : object                                  ? json_object_get_member (object, "audio")
                                                              : NULL;
  JsonNode *rate = pair && json_array_get_length (pair) == 2 ? json_array_get_element (pair, 1)
                   : object                                  ? json_object_get_member (object, "sampling_rate")
                                                             : NULL;
  g_autofree gint16 *values = NULL;

  if (sound && JSON_NODE_HOLDS_ARRAY (sound) && json_array_get_length (json_node_get_array (sound)) > 0 &&
      JSON_NODE_HOLDS_ARRAY (json_array_get_element (json_node_get_array (sound), 0)))
    sound = json_array_get_element (json_node_get_array (sound), 0);
  if (!sound || !rate || !JSON_NODE_HOLDS_ARRAY (sound) || !JSON_NODE_HOLDS_VALUE (rate))
    return NULL;
  samples = json_node_get_array (sound);
  values = g_new (gint16, json_array_get_length (samples) + 1);
  for (guint i = 0; i < json_array_get_length (samples); i++) {
    JsonNode *sample = json_array_get_element (samples, i);
    double value = JSON_NODE_HOLDS_VALUE (sample) ? json_node_get_double (sample) : 0;

    values[i] = (gint16)CLAMP (value * 32767, -32768, 32767);
  }
  return model_wav_new (values, json_array_get_length (samples), json_node_get_double (rate));
}

/* A file may be the body itself, an address in it, text in it, or the numbers that it is made of. */
static gboolean
unwrap (ModelCall *call, ModelResponse *response, GError **error)
{
  static const char *const names[] = {"data", "output", "audio", "image", "images", "blob", NULL};
  gsize length;
  const char *text = g_bytes_get_data (response->body, &length), *found = NULL;
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (ModelResponse) fetched = NULL;
  JsonObject *json;
  GBytes *bytes;

  if (!g_str_equal (model_response_describe (response), "application/json"))
    return TRUE;
  root = derush_json_parse (text, length, NULL);
  json = root && JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  for (guint i = 0; json && names[i] && !found; i++)
    found = first_text (json_object_get_member (json, names[i]));
  bytes = root && !found ? sound_of_samples (root) : NULL;
  if (!found && !bytes)
    return TRUE;
  if (bytes) {
    /* It is made already. */
  } else if (g_str_has_prefix (found, "http://") || g_str_has_prefix (found, "https://")) {
    fetched = model_client_fetch (call, found, MAX_ANSWER, error);
    if (!fetched)
      return FALSE;
    bytes = g_bytes_ref (fetched->body);
  } else {
    guchar *data = g_base64_decode (strstr (found, ";base64,") ? strstr (found, ";base64,") + 8 : found, &length);

    bytes = g_bytes_new_take (data, length);
  }
  g_bytes_unref (response->body);
  response->body = bytes;
  return TRUE;
}

static gboolean
is_sound (ModelCall *call, ModelResponse *response, GError **error)
{
  double duration;
  gboolean whole;

  if (!unwrap (call, response, error))
    return FALSE;
  if (model_sniff_audio (response->body, &duration, &whole) && whole)
    return TRUE;
  call->hopeless = g_str_equal (model_response_describe (response), "text/html");
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no sound: %s"), call->provider->name,
               model_response_describe (response));
  return FALSE;
}

static gboolean
is_picture (ModelCall *call, ModelResponse *response, GError **error)
{
  int width, height;
  gboolean whole;

  if (!unwrap (call, response, error))
    return FALSE;
  if (model_sniff_picture (response->body, &width, &height, &whole) && whole)
    return TRUE;
  call->hopeless = g_str_equal (model_response_describe (response), "text/html");
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no picture"), call->provider->name);
  return FALSE;
}

static JsonObject *
speak (ModelCall *call, GError **error)
{
  const char *text = derush_json_get_string (call->request, "text", "");
  g_autoptr (ModelResponse) response = NULL;
  gboolean guess = FALSE;
  JsonObject *result;

  for (;;) {
    gboolean plain = model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_FORMAT);
    g_autoptr (ModelRequest) request = request_with_inputs (call, plain ? "text" : "inputs", string_node (text), NULL);
    g_autoptr (GError) cause = NULL;

    /* Most would make FLAC. */
    request->accept = g_str_equal (derush_json_get_string (call->request, "format", "wav"), "wav")
                          ? "audio/wav, audio/*;q=0.5, application/json;q=0.5"
                          : "audio/*, application/json";
    response = model_client_send (call, request, is_sound, &cause);
    if (response)
      break;
    if (dislikes_form (call, MODEL_QUIRK_NO_FORMAT, &guess))
      continue;
    g_propagate_error (error, g_steal_pointer (&cause));
    return NULL;
  }
  result = model_call_keep_sound (call, response, error);
  if (result)
    model_call_take_account_of_headers (call, result, response);
  /* A model is one voice. */
  if (result)
    json_object_set_string_member (result, "voice", "");
  return result;
}

static JsonObject *
draw (ModelCall *call, GError **error)
{
  gint64 n = CLAMP (derush_json_get_int (call->request, "n", 1), 1, 10);
  g_autoptr (JsonObject) result = json_object_new (), none = json_object_new ();
  JsonArray *images = json_array_new ();

  json_object_set_array_member (result, "images", images);
  for (gint64 i = 0; i < n; i++) {
    JsonObject *parameters;
    g_autoptr (ModelRequest) request = NULL;
    g_autoptr (ModelResponse) response = NULL;

    if (model_call_take_kept_pictures (call, images))
      continue;
    parameters = json_object_new ();
    /* What models make of sizes that are no multiple of 16 differs. */
    json_object_set_int_member (parameters, "width",
                                CLAMP (derush_json_get_int (call->request, "width", 1024) / 16 * 16, 256, 2048));
    json_object_set_int_member (parameters, "height",
                                CLAMP (derush_json_get_int (call->request, "height", 1024) / 16 * 16, 256, 2048));
    /* The same words and seed are the same picture. */
    json_object_set_int_member (parameters, "seed",
                                derush_json_get_int (call->request, "seed", model_client_seed (call->client)) + i);
    request = request_with_inputs (call, "inputs", string_node (derush_json_get_string (call->request, "prompt", "")),
                                   parameters);
    request->accept = "image/*, application/json";
    response = model_client_send (call, request, is_picture, error);
    if (!response || !model_call_keep_picture (call, response->body, images, error))
      return NULL;
    if (i + 1 < n)
      model_call_keep_pictures_made (call, images, (guint)i);
    model_call_take_account (call, result, none);
  }
  return g_steal_pointer (&result);
}

/* ── Translation ────────────────────────────────────────────────────────── */

/* What NLLB calls languages: the scripts that most of their texts are in. */
static const struct {
  const char *code, *nllb;
} nllb_codes[] = {
    {"ar", "arb_Arab"}, {"bg", "bul_Cyrl"}, {"bn", "ben_Beng"}, {"ca", "cat_Latn"}, {"cs", "ces_Latn"},
    {"da", "dan_Latn"}, {"de", "deu_Latn"}, {"el", "ell_Grek"}, {"en", "eng_Latn"}, {"es", "spa_Latn"},
    {"et", "est_Latn"}, {"fa", "pes_Arab"}, {"fi", "fin_Latn"}, {"fr", "fra_Latn"}, {"gl", "glg_Latn"},
    {"he", "heb_Hebr"}, {"hi", "hin_Deva"}, {"hr", "hrv_Latn"}, {"hu", "hun_Latn"}, {"id", "ind_Latn"},
    {"is", "isl_Latn"}, {"it", "ita_Latn"}, {"ja", "jpn_Jpan"}, {"ko", "kor_Hang"}, {"lt", "lit_Latn"},
    {"lv", "lvs_Latn"}, {"ms", "zsm_Latn"}, {"nb", "nob_Latn"}, {"nl", "nld_Latn"}, {"no", "nob_Latn"},
    {"pl", "pol_Latn"}, {"pt", "por_Latn"}, {"ro", "ron_Latn"}, {"ru", "rus_Cyrl"}, {"sk", "slk_Latn"},
    {"sl", "slv_Latn"}, {"sr", "srp_Cyrl"}, {"sv", "swe_Latn"}, {"sw", "swh_Latn"}, {"ta", "tam_Taml"},
    {"th", "tha_Thai"}, {"tr", "tur_Latn"}, {"uk", "ukr_Cyrl"}, {"ur", "urd_Arab"}, {"vi", "vie_Latn"},
    {"zh", "zho_Hans"},
};

/* Returns: (nullable): what the model calls a language; %NULL: it has none of this name */
static const char *
language_for (ModelCall *call, const char *language)
{
  g_autofree char *base = g_strndup (language, strcspn (language, "-_"));

  if (!strstr (call->model, "nllb"))
    return g_intern_string (base);
  for (guint i = 0; i < G_N_ELEMENTS (nllb_codes); i++)
    if (g_ascii_strcasecmp (nllb_codes[i].code, base) == 0)
      return nllb_codes[i].nllb;
  return NULL;
}

static JsonObject *
translate_by_chat (ModelCall *call, GError **error)
{
  ModelCall chat = *call;
  JsonObject *result;

  chat.model = call->provider->models[MODEL_TASK_CHAT];
  result = model_openai_translate (&chat, error);
  call->attempts = chat.attempts;
  call->fault = chat.fault;
  call->request_id = chat.request_id;
  call->paid = chat.paid;
  call->lost = chat.lost;
  return result;
}

static JsonArray *
read_texts (JsonNode *answer)
{
  JsonArray *list = JSON_NODE_HOLDS_ARRAY (answer) ? json_node_get_array (answer) : NULL, *texts = json_array_new ();

  for (guint i = 0; list && i < json_array_get_length (list); i++) {
    JsonNode *node = json_array_get_element (list, i);
    /* A list of one for each text, or a list of lists. */
    JsonArray *inner = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

    if (inner && json_array_get_length (inner) > 0)
      node = json_array_get_element (inner, 0);
    if (JSON_NODE_HOLDS_OBJECT (node) && derush_json_get_string (json_node_get_object (node), "translation_text", NULL))
      json_array_add_string_element (texts,
                                     derush_json_get_string (json_node_get_object (node), "translation_text", NULL));
  }
  return texts;
}

static gboolean
is_json (ModelCall *call, ModelResponse *response, GError **error)
{
  gsize length;
  const char *text = g_bytes_get_data (response->body, &length);
  g_autoptr (GError) cause = NULL;
  g_autoptr (JsonNode) node = derush_json_parse (length > 0 ? text : "", length, &cause);

  if (node)
    return TRUE;
  call->hopeless = g_str_equal (model_response_describe (response), "text/html");
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no whole JSON: %s"), call->provider->name,
               cause->message);
  return FALSE;
}

static ModelRequest *
translation_request (ModelCall *call, const char *source, const char *target)
{
  JsonNode *inputs = json_node_init_array (json_node_alloc (), derush_json_get_array (call->request, "texts"));
  JsonObject *parameters = NULL;

  /* Models of Opus have their languages in their name. */
  if (!strstr (call->model, "opus-mt")) {
    parameters = json_object_new ();
    json_object_set_string_member (parameters, "src_lang", source);
    json_object_set_string_member (parameters, "tgt_lang", target);
  }
  return request_with_inputs (call, "inputs", inputs, parameters);
}

/* Which models are served changes from month to month. */
static gboolean
is_not_served (ModelCall *call)
{
  guint status = call->fault.status;

  return status == 400 || status == 404 || status == 410 || status == 422;
}

/* Translation models take no wishes, and have to be told the source: what they cannot do is asked of a chat model. */
static JsonObject *
translate (ModelCall *call, GError **error)
{
  const char *from = derush_json_get_string (call->request, "source", ""),
             *to = derush_json_get_string (call->request, "target", "");
  const char *source = *from ? language_for (call, from) : NULL, *target = language_for (call, to);
  JsonArray *texts = derush_json_get_array (call->request, "texts");
  g_autoptr (ModelRequest) request = NULL;
  g_autoptr (ModelResponse) response = NULL;
  g_autoptr (JsonArray) translated = NULL;
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (JsonObject) none = json_object_new ();
  g_autoptr (GError) cause = NULL;
  JsonObject *result;

  if (!source || !target || model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_TRANSLATION) ||
      derush_json_get_object (call->request, "glossary") || derush_json_get_string (call->request, "formality", NULL) ||
      derush_json_get_string (call->request, "tone", NULL) || derush_json_get_string (call->request, "context", NULL))
    return translate_by_chat (call, error);
  request = translation_request (call, source, target);
  response = model_client_send (call, request, is_json, &cause);
  if (!response && is_not_served (call)) {
    model_provider_add_quirk (call->provider, MODEL_QUIRK_NO_TRANSLATION);
    return translate_by_chat (call, error);
  }
  if (!response) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return NULL;
  }
  node = derush_json_parse (g_bytes_get_data (response->body, NULL), g_bytes_get_size (response->body), error);
  translated = node ? read_texts (node) : NULL;
  if (!translated || json_array_get_length (translated) != json_array_get_length (texts)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers %u translations of %u texts"),
                 call->provider->name, translated ? json_array_get_length (translated) : 0,
                 json_array_get_length (texts));
    return NULL;
  }
  result = json_object_new ();
  json_object_set_array_member (result, "texts", g_steal_pointer (&translated));
  json_object_set_string_member (result, "source", from);
  model_call_take_account (call, result, none);
  return result;
}

const ModelTask model_huggingface_tasks[MODEL_N_TASKS] = {
    transcribe, speak, translate, model_openai_chat, draw,
};
