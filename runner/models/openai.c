/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* What OpenAI takes; a bigger body ends in a reset connection in which its answer is lost. */
#define MAX_UPLOAD (25 << 20)
#define MAX_SPEECH (256 << 20)

const ModelTask model_openai_tasks[MODEL_N_TASKS] = {
    model_openai_transcribe, model_openai_speak, model_openai_translate, model_openai_chat, model_openai_image,
};

gboolean
model_provider_has_quirk (ModelProvider *provider, ModelQuirk quirk)
{
  return (g_atomic_int_get (&provider->quirks) & (int)quirk) != 0;
}

void
model_provider_add_quirk (ModelProvider *provider, ModelQuirk quirk)
{
  g_atomic_int_or ((guint *)&provider->quirks, quirk);
}

/* ── Speech to text ─────────────────────────────────────────────────────── */

static ModelRequest *
transcription_request (ModelCall *call, const char *path)
{
  ModelProvider *provider = call->provider;
  gboolean inference = model_provider_has_quirk (provider, MODEL_QUIRK_INFERENCE_PATH);
  gboolean verbose = !model_provider_has_quirk (provider, MODEL_QUIRK_NO_VERBOSE);
  const char *language = derush_json_get_string (call->request, "language", NULL);
  const char *prompt = derush_json_get_string (call->request, "prompt", NULL);
  g_autofree char *origin = NULL;
  ModelRequest *request;

  if (inference) {
    /* The path stands beside /v1, not below it. */
    const char *v1 = g_str_has_suffix (provider->base_url, "/v1") ? strrchr (provider->base_url, '/') : NULL;

    origin = v1 ? g_strndup (provider->base_url, v1 - provider->base_url) : g_strdup (provider->base_url);
    request = model_request_new ("POST", origin, "/inference");
  } else {
    request = model_request_new ("POST", provider->base_url, "/audio/transcriptions");
  }
  model_request_add_file (request, "file", "speech.wav", "audio/wav", path);
  model_request_add_field (request, "model", call->model);
  model_request_add_field (request, "response_format", verbose ? "verbose_json" : "json");
  if (verbose && !model_provider_has_quirk (provider, MODEL_QUIRK_NO_GRANULARITY)) {
    model_request_add_field (request, "timestamp_granularities[]", "word");
    model_request_add_field (request, "timestamp_granularities[]", "segment");
  }
  if (language && *language) {
    /* Countries are not known: en, not en-GB. */
    g_autofree char *code = g_strndup (language, strcspn (language, "-_"));

    model_request_add_field (request, "language", code);
  } else if (inference) {
    /* whisper.cpp takes English for granted. */
    model_request_add_field (request, "language", "auto");
  }
  if (prompt && *prompt && !model_provider_has_quirk (provider, MODEL_QUIRK_NO_PROMPT))
    model_request_add_field (request, "prompt", prompt);
  return request;
}

/* One step down for what the server has just refused; FALSE: there is none. */
static gboolean
adapt_transcription (ModelCall *call)
{
  const ModelFault *fault = &call->fault;
  ModelProvider *provider = call->provider;
  ModelQuirk quirk = 0;

  if (fault->status == 404 && !provider->local && !model_provider_has_quirk (provider, MODEL_QUIRK_INFERENCE_PATH) &&
      !(fault->code && strstr (fault->code, "model")) && !model_fault_names (fault, "odel") &&
      !g_str_has_prefix (provider->base_url, "https://api.openai.com"))
    quirk = MODEL_QUIRK_INFERENCE_PATH;
  else if (fault->status != 400 && fault->status != 415 && fault->status != 422 && fault->status != 500)
    return FALSE;
  else if (model_fault_names (fault, "timestamp_granularities"))
    quirk = MODEL_QUIRK_NO_GRANULARITY;
  else if (model_fault_names (fault, "response_format") || model_fault_names (fault, "verbose_json"))
    quirk = MODEL_QUIRK_NO_VERBOSE;
  else if (model_fault_names (fault, "prompt"))
    quirk = MODEL_QUIRK_NO_PROMPT;
  /* speaches: an odd combination is an assertion that says nothing. */
  else if (fault->status == 500 && (!fault->message || strstr (fault->message, "nternal")))
    quirk = MODEL_QUIRK_NO_GRANULARITY;
  if (!quirk || model_provider_has_quirk (provider, quirk))
    return FALSE;
  model_provider_add_quirk (provider, quirk);
  return TRUE;
}

static double
time_of (JsonObject *object, const char *name, double scale)
{
  double value = derush_json_get_number (object, name, 0);

  return isfinite (value) && value > 0 ? value * scale : 0;
}

static double
latest_end (JsonArray *segments)
{
  double latest = 0;

  for (guint i = 0; segments && i < json_array_get_length (segments); i++) {
    JsonNode *node = json_array_get_element (segments, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      latest = MAX (latest, derush_json_get_number (json_node_get_object (node), "end", 0));
  }
  return latest;
}

static void
add_confidence (JsonObject *to, JsonObject *from)
{
  double value = derush_json_get_number (from, "confidence", -1);

  if (value < 0)
    value = derush_json_get_number (from, "probability", -1);
  if (value < 0 && json_object_has_member (from, "avg_logprob"))
    value = exp (MIN (derush_json_get_number (from, "avg_logprob", 0), 0));
  if (isfinite (value) && value >= 0 && value <= 1)
    json_object_set_double_member (to, "confidence", value);
}

static void
add_words (JsonArray *words, JsonArray *from, double scale)
{
  for (guint i = 0; from && i < json_array_get_length (from); i++) {
    JsonNode *node = json_array_get_element (from, i);
    JsonObject *word = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *one;
    g_autofree char *text =
        word ? g_strstrip (g_strdup (derush_json_get_string (word, "word", derush_json_get_string (word, "text", ""))))
             : NULL;

    if (!text || !*text)
      continue;
    one = json_object_new ();
    json_object_set_double_member (one, "start", time_of (word, "start", scale));
    json_object_set_double_member (one, "end", time_of (word, "end", scale));
    json_object_set_string_member (one, "word", text);
    add_confidence (one, word);
    json_array_add_object_element (words, one);
  }
}

static const char *const quality_members[] = {"avg_logprob", "compression_ratio", "no_speech_prob", NULL};

static void
add_segments (JsonArray *segments, JsonArray *words, JsonObject *answer, double scale)
{
  JsonArray *from = derush_json_get_array (answer, "segments"), *top = derush_json_get_array (answer, "words");

  for (guint i = 0; from && i < json_array_get_length (from); i++) {
    JsonNode *node = json_array_get_element (from, i);
    JsonObject *segment = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *one;
    g_autofree char *text = segment ? g_strstrip (g_strdup (derush_json_get_string (segment, "text", ""))) : NULL;

    if (!text || !*text)
      continue;
    one = json_object_new ();
    json_object_set_double_member (one, "start", time_of (segment, "start", scale));
    json_object_set_double_member (one, "end", time_of (segment, "end", scale));
    json_object_set_string_member (one, "text", text);
    add_confidence (one, segment);
    for (guint k = 0; quality_members[k]; k++)
      if (json_object_has_member (segment, quality_members[k]))
        json_object_set_double_member (one, quality_members[k],
                                       derush_json_get_number (segment, quality_members[k], 0));
    if (derush_json_get_string (segment, "speaker", NULL))
      json_object_set_string_member (one, "speaker", derush_json_get_string (segment, "speaker", NULL));
    json_array_add_object_element (segments, one);
    if (!top)
      add_words (words, derush_json_get_array (segment, "words"), scale);
  }
  if (top)
    add_words (words, top, scale);
}

static JsonObject *
read_transcription (ModelCall *call, JsonObject *answer, double duration)
{
  JsonObject *result = json_object_new ();
  JsonArray *segments = json_array_new (), *words = json_array_new ();
  const char *language = model_language_code (derush_json_get_string (answer, "language", NULL));
  g_autofree char *text = g_strstrip (g_strdup (derush_json_get_string (answer, "text", "")));
  double latest = latest_end (derush_json_get_array (answer, "segments"));
  /* LocalAI counts nanoseconds, others milliseconds. */
  double scale = duration > 0 && latest > 1e6 * duration ? 1e-9 : duration > 0 && latest > 100 * duration ? 1e-3 : 1;

  if (!language)
    language = derush_json_get_string (call->request, "language", NULL);
  json_object_set_string_member (result, "text", text);
  if (language)
    json_object_set_string_member (result, "language", language);
  else
    json_object_set_null_member (result, "language");
  json_object_set_double_member (result, "duration", duration > 0 ? duration : time_of (answer, "duration", 1));
  add_segments (segments, words, answer, scale);
  json_object_set_array_member (result, "segments", segments);
  json_object_set_array_member (result, "words", words);
  return result;
}

static gboolean
has_text (ModelCall *call, JsonObject *answer, GError **error)
{
  JsonNode *text = json_object_get_member (answer, "text");

  if (text && JSON_NODE_HOLDS_VALUE (text) && json_node_get_value_type (text) == G_TYPE_STRING)
    return TRUE;
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers a transcription without a text"),
               call->provider->name);
  return FALSE;
}

JsonObject *
model_openai_transcribe (ModelCall *call, GError **error)
{
  const char *path = derush_json_get_string (call->request, "file", "");
  g_autoptr (JsonObject) answer = NULL;
  double duration = model_wav_duration (path);
  goffset size = model_file_size (path);
  JsonObject *result;

  if (size > MAX_UPLOAD && !call->provider->local) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("“%s” is larger than what a transcription takes at once: %" PRId64 " of %d bytes"), path,
                 (gint64)size, MAX_UPLOAD);
    return NULL;
  }
  for (;;) {
    g_autoptr (ModelRequest) request = transcription_request (call, path);
    g_autoptr (GError) cause = NULL;

    answer = model_client_send_for_json (call, request, &cause);
    if (answer)
      break;
    if (adapt_transcription (call))
      continue;
    g_propagate_error (error, g_steal_pointer (&cause));
    return NULL;
  }
  if (!has_text (call, answer, error))
    return NULL;
  result = read_transcription (call, answer, duration);
  model_call_take_account (call, result, answer);
  return result;
}

/* ── Text to speech ─────────────────────────────────────────────────────── */

/* A voice has to be named: this one all servers of that kind know. */
static const char *
voice_of (ModelCall *call)
{
  const char *voice = derush_json_get_string (call->request, "voice", NULL);

  return voice && *voice ? voice : "alloy";
}

static ModelRequest *
speech_request (ModelCall *call, const char *format)
{
  ModelRequest *request = model_request_new ("POST", call->provider->base_url, "/audio/speech");
  g_autoptr (JsonObject) json = json_object_new ();
  const char *language = derush_json_get_string (call->request, "language", NULL);
  double speed = derush_json_get_number (call->request, "speed", 1);

  json_object_set_string_member (json, "model", call->model);
  json_object_set_string_member (json, "input", derush_json_get_string (call->request, "text", ""));
  json_object_set_string_member (json, "voice", voice_of (call));
  json_object_set_string_member (json, "response_format", format);
  if (speed != 1)
    json_object_set_double_member (json, "speed", CLAMP (speed, 0.25, 4));
  /* Only our own server knows the member, others refuse what they do not know. */
  if (call->provider->local && language && *language)
    json_object_set_string_member (json, "language", language);
  model_request_set_json (request, json);
  request->accept = "audio/*, application/json";
  request->limit = MAX_SPEECH;
  return request;
}

/* 15 characters a second are read; a third to three times as many by voices and languages we know. */
static gboolean
is_whole_speech (ModelCall *call, ModelResponse *response, GError **error)
{
  double duration, expected = g_utf8_strlen (derush_json_get_string (call->request, "text", ""), -1) / 15.0 /
                              CLAMP (derush_json_get_number (call->request, "speed", 1), 0.25, 4);
  gboolean whole;
  const char *type = model_sniff_audio (response->body, &duration, &whole);

  call->hopeless = !type && g_str_equal (model_response_describe (response), "text/html");
  if (!type)
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no sound: %s"), call->provider->name,
                 model_response_describe (response));
  else if (!whole || (duration > 0 && duration < 0.3 * expected - 1) || (duration == 0 && strcmp (type, "flac") != 0))
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("The sound that %s answered is not all there: %.2f s"), call->provider->name, duration);
  else
    return TRUE;
  return FALSE;
}

static gboolean
adapt_speech (ModelCall *call)
{
  if ((call->fault.status != 400 && call->fault.status != 422) ||
      !model_fault_names (&call->fault, "response_format") ||
      model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_FORMAT))
    return FALSE;
  model_provider_add_quirk (call->provider, MODEL_QUIRK_NO_FORMAT);
  return TRUE;
}

/*
 * model_call_keep_sound:
 *
 * Returns: (transfer full) (nullable): {file, format}, after the sound was written under the name that was asked for
 */
JsonObject *
model_call_keep_sound (ModelCall *call, ModelResponse *response, GError **error)
{
  const char *name = derush_json_get_string (call->request, "file", NULL);
  g_autofree char *path = model_call_output_path (call, name, error);
  JsonObject *result;
  double duration;
  gboolean whole;
  g_autoptr (GBytes) bytes = model_mend_wav (response->body);
  gsize length;
  const char *data = g_bytes_get_data (bytes, &length), *type = model_sniff_audio (bytes, &duration, &whole);

  /* Whoever asks for WAV reads the samples: nothing is decoded here. */
  if (strcmp (type, "wav") != 0 && strcmp (derush_json_get_string (call->request, "format", "wav"), "wav") == 0) {
    g_set_error (
        error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
        _ ("“%s” of %s makes sound of a kind that cannot be used here; choose another model, or another provider "
           "of voices: %s"),
        call->model, call->provider->name, type);
    return NULL;
  }
  if (!path || !derush_file_write_atomically (path, data, length, error))
    return NULL;
  result = json_object_new ();
  json_object_set_string_member (result, "file", name);
  json_object_set_string_member (result, "format", g_str_equal (type, "ogg") ? "opus" : type);
  return result;
}

JsonObject *
model_openai_speak (ModelCall *call, GError **error)
{
  const char *format = derush_json_get_string (call->request, "format", "wav");
  g_autoptr (ModelResponse) response = NULL;
  JsonObject *result;

  if (model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_FORMAT))
    format = "wav";
  for (;;) {
    g_autoptr (ModelRequest) request = speech_request (call, format);
    g_autoptr (GError) cause = NULL;

    response = model_client_send (call, request, is_whole_speech, &cause);
    if (response)
      break;
    if (adapt_speech (call)) {
      format = "wav";
      continue;
    }
    g_propagate_error (error, g_steal_pointer (&cause));
    return NULL;
  }
  result = model_call_keep_sound (call, response, error);
  if (result)
    model_call_take_account_of_headers (call, result, response);
  /* The engines of this machine are the voices themselves, whatever name they were asked by. */
  if (result && !call->provider->local)
    json_object_set_string_member (result, "voice", voice_of (call));
  return result;
}
