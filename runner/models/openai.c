/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* What older servers hear at once, in s: longer sound is refused, and remembered to be. */
#define SHORT_CLIP 30
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

void
model_provider_remove_quirk (ModelProvider *provider, ModelQuirk quirk)
{
  g_atomic_int_and ((guint *)&provider->quirks, ~(guint)quirk);
}

/* ── Speech to text ─────────────────────────────────────────────────────── */

static ModelRequest *
transcription_request (ModelCall *call, const char *path)
{
  ModelProvider *provider = call->provider;
  gboolean inference = model_provider_has_quirk (provider, MODEL_QUIRK_INFERENCE_PATH);
  gboolean speakers = strstr (call->model, "diarize") != NULL;
  gboolean verbose = !speakers && !model_provider_has_quirk (provider, MODEL_QUIRK_NO_VERBOSE);
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
  model_request_add_field (request, "response_format", speakers ? "diarized_json" : verbose ? "verbose_json" : "json");
  /* Of more than half a minute these models want to be told where they may cut. */
  if (speakers)
    model_request_add_field (request, "chunking_strategy", "auto");
  if (verbose && !model_provider_has_quirk (provider, MODEL_QUIRK_NO_GRANULARITY)) {
    model_request_add_field (request, "timestamp_granularities[]", "word");
    model_request_add_field (request, "timestamp_granularities[]", "segment");
  }
  if (language && *language) {
    /* Countries are not known: en, not en-GB. */
    g_autofree char *code = g_strndup (language, strcspn (language, "-_"));

    model_request_add_field (request, "language", code);
  } else if (inference || model_provider_has_quirk (provider, MODEL_QUIRK_AUTO_LANGUAGE)) {
    /* whisper.cpp takes English for granted. */
    model_request_add_field (request, "language", "auto");
  }
  if (prompt && *prompt && !speakers && !model_provider_has_quirk (provider, MODEL_QUIRK_NO_PROMPT))
    model_request_add_field (request, "prompt", prompt);
  return request;
}

/* Returns: what the server has just refused by its name; 0: it is something else, or known */
static ModelQuirk
disliked_in_transcription (ModelCall *call)
{
  const ModelFault *fault = &call->fault;
  ModelQuirk quirk = 0;

  if (fault->status != 400 && fault->status != 415 && fault->status != 422 && fault->status != 500)
    return 0;
  if (model_fault_names (fault, "timestamp_granularities"))
    quirk = MODEL_QUIRK_NO_GRANULARITY;
  else if (model_fault_names (fault, "response_format") || model_fault_names (fault, "verbose_json"))
    quirk = MODEL_QUIRK_NO_VERBOSE;
  else if (model_fault_names (fault, "prompt"))
    quirk = MODEL_QUIRK_NO_PROMPT;
  return quirk && !model_provider_has_quirk (call->provider, quirk) ? quirk : 0;
}

/* Returns: what may be the reason of a refusal that tells none; 0: nothing that has not been tried */
static ModelQuirk
guess_of_transcription (ModelCall *call)
{
  const ModelFault *fault = &call->fault;
  ModelProvider *provider = call->provider;
  ModelQuirk quirk = 0;

  if (fault->status == 404 && !provider->local && !(fault->code && strstr (fault->code, "model")) &&
      !model_fault_names (fault, "odel") && !g_str_has_prefix (provider->base_url, "https://api.openai.com"))
    quirk = MODEL_QUIRK_INFERENCE_PATH;
  /* An assertion about an odd combination that says nothing. */
  else if (fault->status == 500 && (!fault->message || strstr (fault->message, "nternal")))
    quirk = MODEL_QUIRK_NO_GRANULARITY;
  return quirk && !model_provider_has_quirk (provider, quirk) ? quirk : 0;
}

/* One step down; FALSE: there is none. What was only guessed is in @guesses, to be forgotten if it did not help. */
static gboolean
adapt_transcription (ModelCall *call, ModelQuirk *guesses)
{
  ModelQuirk quirk = disliked_in_transcription (call);

  if (!quirk) {
    quirk = guess_of_transcription (call);
    *guesses |= quirk;
  }
  model_provider_add_quirk (call->provider, quirk);
  return quirk != 0;
}

/* "Maximum clip duration (30s) exceeded.", "audio duration 1500 seconds is longer than 1400 seconds" */
static gboolean
is_too_long (const ModelFault *fault)
{
  return (fault->status == 400 || fault->status == 413 || fault->status == 422) && fault->message &&
         ((strstr (fault->message, "duration") &&
           (strstr (fault->message, "exceed") || strstr (fault->message, "longer"))) ||
          fault->status == 413);
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

static const char *
text_of_word (JsonNode *node)
{
  JsonObject *word = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

  return word ? derush_json_get_string (word, "word", derush_json_get_string (word, "text", "")) : "";
}

/* whisper.cpp lists tokens, which are parts of words: where some begin with a blank, the others go on with the word before
 * them, unless their script has no blanks. */
static gboolean
are_tokens (JsonArray *from)
{
  for (guint i = 0; i < json_array_get_length (from); i++)
    if (text_of_word (json_array_get_element (from, i))[0] == ' ')
      return TRUE;
  return FALSE;
}

static void
go_on_with_word (JsonArray *words, const char *text, double end)
{
  JsonObject *last = json_array_get_object_element (words, json_array_get_length (words) - 1);
  g_autofree char *whole = g_strconcat (derush_json_get_string (last, "word", ""), text, NULL);

  json_object_set_string_member (last, "word", whole);
  json_object_set_double_member (last, "end", MAX (end, derush_json_get_number (last, "end", 0)));
}

static void
add_words (JsonArray *words, JsonArray *from, double scale)
{
  gboolean tokens = from && are_tokens (from);
  guint first = json_array_get_length (words);

  for (guint i = 0; from && i < json_array_get_length (from); i++) {
    JsonNode *node = json_array_get_element (from, i);
    JsonObject *word = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL, *one;
    g_autofree char *text = g_strdup (text_of_word (node));
    gboolean goes_on = tokens && *text && *text != ' ' && !g_unichar_iswide (g_utf8_get_char (text)) &&
                       json_array_get_length (words) > first;

    if (!*g_strstrip (text))
      continue;
    if (goes_on) {
      go_on_with_word (words, text, time_of (word, "end", scale));
      continue;
    }
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

/* Words inside of segments alone: whisper.cpp, which takes every sound for English when it is told no language. */
static gboolean
took_english_for_granted (ModelCall *call, JsonObject *answer)
{
  const char *language = derush_json_get_string (call->request, "language", NULL);
  JsonArray *segments = derush_json_get_array (answer, "segments");
  JsonNode *first = segments && json_array_get_length (segments) > 0 ? json_array_get_element (segments, 0) : NULL;

  return !(language && *language) && !json_object_has_member (answer, "words") && first &&
         JSON_NODE_HOLDS_OBJECT (first) && json_object_has_member (json_node_get_object (first), "words") &&
         !json_object_has_member (json_node_get_object (first), "seek") &&
         !model_provider_has_quirk (call->provider, MODEL_QUIRK_INFERENCE_PATH) &&
         !model_provider_has_quirk (call->provider, MODEL_QUIRK_AUTO_LANGUAGE);
}

/* Returns: an answer, whatever had to be left out of the request for it */
static JsonObject *
ask_for_transcription (ModelCall *call, const char *path, GError **error)
{
  ModelQuirk guesses = 0;

  for (;;) {
    g_autoptr (ModelRequest) request = transcription_request (call, path);
    g_autoptr (GError) cause = NULL;
    JsonObject *answer;

    call->dislikes = disliked_in_transcription;
    answer = model_client_send_for_json (call, request, &cause);
    if (answer)
      return answer;
    if (adapt_transcription (call, &guesses))
      continue;
    model_provider_remove_quirk (call->provider, guesses);
    g_propagate_error (error, g_steal_pointer (&cause));
    return NULL;
  }
}

static void
set_too_long (ModelCall *call, const char *path, GError **error)
{
  model_call_debug (call, "too-long");
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("“%s” is longer than what %s hears at once: %.1f s"), path, call->provider->name,
               model_wav_duration (path));
}

/* Asks once more when the answer shows that the question could have been better. */
static JsonObject *
transcribe (ModelCall *call, const char *path, GError **error)
{
  g_autoptr (JsonObject) answer = ask_for_transcription (call, path, error), again = NULL;

  if (!answer || !took_english_for_granted (call, answer))
    return g_steal_pointer (&answer);
  model_provider_add_quirk (call->provider, MODEL_QUIRK_AUTO_LANGUAGE);
  again = ask_for_transcription (call, path, NULL);
  if (again)
    return g_steal_pointer (&again);
  model_provider_remove_quirk (call->provider, MODEL_QUIRK_AUTO_LANGUAGE);
  return g_steal_pointer (&answer);
}

JsonObject *
model_openai_transcribe (ModelCall *call, GError **error)
{
  const char *path = derush_json_get_string (call->request, "file", "");
  g_autoptr (JsonObject) answer = NULL;
  g_autoptr (GError) cause = NULL;
  double duration = model_wav_duration (path);
  goffset size = model_file_size (path);
  JsonObject *result;

  if (size > MAX_UPLOAD && !call->provider->local) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("“%s” is larger than what a transcription takes at once: %" PRId64 " of %d bytes"), path,
                 (gint64)size, MAX_UPLOAD);
    return NULL;
  }
  if (duration > SHORT_CLIP && model_provider_has_quirk (call->provider, MODEL_QUIRK_SHORT_CLIPS)) {
    set_too_long (call, path, error);
    return NULL;
  }
  answer = transcribe (call, path, &cause);
  if (!answer && duration > SHORT_CLIP && is_too_long (&call->fault)) {
    model_provider_add_quirk (call->provider, MODEL_QUIRK_SHORT_CLIPS);
    set_too_long (call, path, error);
    return NULL;
  }
  if (!answer) {
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

/* A voice has to be named: this one nearly all servers of that kind know. The others have one that needs no name. */
static const char *
voice_of (ModelCall *call)
{
  const char *voice = derush_json_get_string (call->request, "voice", NULL);

  if (voice && *voice)
    return voice;
  if (call->provider->voice)
    return call->provider->voice;
  return model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_VOICE) ? "" : "alloy";
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
  if (*voice_of (call))
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

static ModelQuirk
disliked_in_speech (ModelCall *call)
{
  const char *voice = derush_json_get_string (call->request, "voice", NULL);
  ModelQuirk quirk = 0;

  if (call->fault.status != 400 && call->fault.status != 422 && call->fault.status != 500)
    return 0;
  if (model_fault_names (&call->fault, "response_format"))
    quirk = MODEL_QUIRK_NO_FORMAT;
  /* Who has none of OpenAI's voices may have one of its own for those who name none. */
  else if (!(voice && *voice) && !call->provider->voice &&
           (model_fault_names (&call->fault, "voice") || model_fault_names (&call->fault, "Voice")))
    quirk = MODEL_QUIRK_NO_VOICE;
  return quirk && !model_provider_has_quirk (call->provider, quirk) ? quirk : 0;
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
  g_autoptr (ModelResponse) response = NULL;
  g_autoptr (GError) voiceless = NULL;
  JsonObject *result;

  call->dislikes = disliked_in_speech;
  for (;;) {
    gboolean plain = model_provider_has_quirk (call->provider, MODEL_QUIRK_NO_FORMAT);
    g_autoptr (ModelRequest) request =
        speech_request (call, plain ? "wav" : derush_json_get_string (call->request, "format", "wav"));
    g_autoptr (GError) cause = NULL;
    ModelQuirk quirk;

    response = model_client_send (call, request, is_whole_speech, &cause);
    if (response)
      break;
    quirk = disliked_in_speech (call);
    model_provider_add_quirk (call->provider, quirk);
    if (quirk == MODEL_QUIRK_NO_VOICE)
      voiceless = g_steal_pointer (&cause);
    if (quirk)
      continue;
    /* That it wants a voice says less than which ones it has. */
    if (voiceless) {
      model_provider_remove_quirk (call->provider, MODEL_QUIRK_NO_VOICE);
      g_clear_error (&cause);
      cause = g_steal_pointer (&voiceless);
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
