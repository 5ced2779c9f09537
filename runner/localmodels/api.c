/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The endpoints: requests in OpenAI's shapes to what the engines take, and their answers back. */

#include "server-private.h"
#include "subtitles/subtitles.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* NULL: the call was answered. */
static JsonObject *
read_json (LocalCall *call, GBytes *body)
{
  g_autoptr (GError) error = NULL;
  gsize length;
  const char *text = g_bytes_get_data (body, &length);
  JsonObject *object = length > 0 ? derush_json_parse_object (text, (gssize)length, &error) : NULL;

  if (!object) {
    g_autofree char *message = g_strdup_printf (_ ("The body is no JSON object: %s"), error ? error->message : "–");

    local_call_refuse (call, SOUP_STATUS_BAD_REQUEST, "invalid_json", NULL, message);
  }
  return object;
}

static GPtrArray *
read_form (LocalCall *call, GBytes *body)
{
  const char *type =
      soup_message_headers_get_one (soup_server_message_get_request_headers (call->message), "Content-Type");
  g_autoptr (GError) error = NULL;
  GPtrArray *fields = local_form_parse (body, type, &error);

  if (!fields)
    local_call_fail (call, error);
  return fields;
}

/* The plain values of a form, as strings. */
static JsonObject *
get_values (GPtrArray *fields)
{
  JsonObject *values = json_object_new ();

  for (guint i = 0; i < fields->len; i++) {
    LocalField *field = g_ptr_array_index (fields, i);
    g_autofree char *text = NULL, *valid = NULL;
    gsize length = g_bytes_get_size (field->contents);

    if (!field->name || field->file_name || length > 1024 * 1024)
      continue;
    text = g_strndup (g_bytes_get_data (field->contents, NULL), length);
    valid = g_utf8_make_valid (text, -1);
    if (g_str_has_suffix (field->name, "[]")) {
      JsonArray *list = derush_json_get_array (values, field->name);

      if (!list) {
        list = json_array_new ();
        json_object_set_array_member (values, field->name, list);
      }
      json_array_add_string_element (list, valid);
    } else {
      json_object_set_string_member (values, field->name, valid);
    }
  }
  return values;
}

static void
answer_text (LocalCall *call, const char *type, char *text)
{
  g_autoptr (GBytes) body = g_bytes_new_take (text, strlen (text));

  local_call_answer (call, SOUP_STATUS_OK, type, body);
}

static void
get_health (LocalCall *call, GBytes *body)
{
  JsonObject *answer = json_object_new ();
  guint running, waiting;

  local_queue_count (local_call_get_queue (call), &running, &waiting);
  json_object_set_string_member (answer, "status", "ok");
  json_object_set_int_member (answer, "running", running);
  json_object_set_int_member (answer, "waiting", waiting);
  local_call_answer_json (call, answer);
}

static void
answer_list (LocalCall *call, const char *name, JsonArray *list)
{
  JsonObject *answer = json_object_new ();

  json_object_set_string_member (answer, "object", "list");
  json_object_set_array_member (answer, name, list);
  local_call_answer_json (call, answer);
}

static void
get_models (LocalCall *call, GBytes *body)
{
  answer_list (call, "data", derush_local_list_models ());
}

static void
get_model (LocalCall *call, GBytes *body)
{
  const char *path = g_uri_get_path (soup_server_message_get_uri (call->message)), *id = strrchr (path, '/') + 1;
  g_autoptr (JsonArray) list = derush_local_list_models ();
  g_autofree char *message = NULL;

  for (guint i = 0; i < json_array_get_length (list); i++) {
    JsonObject *model = json_array_get_object_element (list, i);

    if (strcmp (derush_json_get_string (model, "id", ""), id) == 0) {
      local_call_answer_json (call, json_object_ref (model));
      return;
    }
  }
  message = g_strdup_printf (_ ("There is no model “%s” on this machine"), id);
  local_call_refuse (call, SOUP_STATUS_NOT_FOUND, "model_not_found", "model", message);
}

static void
get_voices (LocalCall *call, GBytes *body)
{
  answer_list (call, "voices", derush_local_list_voices ());
}

/* Of a form, whose values are texts. */
static gboolean
is_true (JsonObject *values, const char *name)
{
  return g_ascii_strcasecmp (derush_json_get_string (values, name, "false"), "true") == 0;
}

/* ── Transcriptions ─────────────────────────────────────────────────────── */

static gboolean
wants_words (JsonObject *request)
{
  JsonArray *granularities = derush_json_get_array (request, "timestamp_granularities[]");

  for (guint i = 0; granularities && i < json_array_get_length (granularities); i++)
    if (strcmp (json_array_get_string_element (granularities, i), "word") == 0)
      return TRUE;
  return FALSE;
}

/* With all the members that Whisper's segments have. */
static JsonArray *
shape_segments (JsonArray *segments)
{
  JsonArray *shaped = json_array_new ();

  for (guint i = 0; i < json_array_get_length (segments); i++) {
    JsonObject *segment = json_object_ref (json_array_get_object_element (segments, i));

    json_object_set_int_member (segment, "id", i);
    json_object_set_int_member (segment, "seek", 0);
    json_object_set_array_member (segment, "tokens", json_array_new ());
    json_object_set_double_member (segment, "temperature", 0);
    json_object_set_double_member (segment, "compression_ratio", 1);
    json_object_set_double_member (segment, "no_speech_prob", 0);
    json_array_add_object_element (shaped, segment);
  }
  return shaped;
}

static void
answer_subtitles (LocalCall *call, const char *type, JsonArray *segments, DerushSubtitleFormat format)
{
  g_autoptr (DerushSubtitles) subtitles = derush_subtitles_new (DERUSH_SUBTITLES_TEXT);

  for (guint i = 0; i < json_array_get_length (segments); i++) {
    JsonObject *segment = json_array_get_object_element (segments, i);

    derush_subtitles_add (subtitles, derush_json_get_number (segment, "start", 0),
                          derush_json_get_number (segment, "end", 0), derush_json_get_string (segment, "text", ""));
  }
  answer_text (call, type, derush_subtitles_write (subtitles, format));
}

static void
answer_transcription (LocalCall *call, JsonObject *result, GBytes *output)
{
  const char *format = derush_json_get_string (call->request, "response_format", "json");
  const char *language = derush_json_get_string (result, "language", "en");
  JsonArray *segments = derush_json_get_array (result, "segments");
  JsonObject *answer, *usage;

  local_call_set_engine (call, "pocketsphinx-en-us");
  if (strcmp (format, "text") == 0) {
    answer_text (call, "text/plain; charset=utf-8",
                 g_strconcat (derush_json_get_string (result, "text", ""), "\n", NULL));
    return;
  }
  if (strcmp (format, "srt") == 0) {
    answer_subtitles (call, "application/x-subrip; charset=utf-8", segments, DERUSH_SUBTITLES_SRT);
    return;
  }
  if (strcmp (format, "vtt") == 0) {
    answer_subtitles (call, "text/vtt; charset=utf-8", segments, DERUSH_SUBTITLES_VTT);
    return;
  }
  usage = json_object_new ();
  json_object_set_string_member (usage, "type", "duration");
  json_object_set_double_member (usage, "seconds", derush_json_get_number (result, "duration", 0));
  if (is_true (call->request, "stream")) {
    local_stream_transcript (call, derush_json_get_string (result, "text", ""), segments, usage);
    json_object_unref (usage);
    return;
  }
  answer = json_object_new ();
  json_object_set_string_member (answer, "text", derush_json_get_string (result, "text", ""));
  if (strcmp (format, "verbose_json") == 0) {
    json_object_set_string_member (answer, "task", "transcribe");
    json_object_set_string_member (answer, "language", local_language_get_english_name (language));
    json_object_set_double_member (answer, "duration", derush_json_get_number (result, "duration", 0));
    json_object_set_array_member (answer, "segments", shape_segments (segments));
    if (wants_words (call->request))
      json_object_set_array_member (answer, "words", json_array_ref (derush_json_get_array (result, "words")));
  }
  json_object_set_string_member (answer, "model", "pocketsphinx-en-us");
  json_object_set_object_member (answer, "usage", usage);
  local_call_answer_json (call, answer);
}

static void
post_transcriptions (LocalCall *call, GBytes *body)
{
  static const char *const formats[] = {"json", "text", "srt", "vtt", "verbose_json", NULL};
  g_autoptr (GPtrArray) fields = read_form (call, body);
  const LocalField *file;
  JsonObject *request;

  if (!fields)
    return;
  request = get_values (fields);
  file = local_form_find (fields, "file");
  if (!g_strv_contains (formats, derush_json_get_string (request, "response_format", "json"))) {
    local_call_refuse (call, SOUP_STATUS_BAD_REQUEST, "unsupported_value", "response_format",
                       _ ("response_format may be json, text, srt, vtt or verbose_json"));
    json_object_unref (request);
    return;
  }
  if (!file || !file->file_name) {
    local_call_refuse (call, SOUP_STATUS_BAD_REQUEST, "missing_required_parameter", "file", _ ("“file” is missing"));
    json_object_unref (request);
    return;
  }
  local_call_run (call, "transcribe", request, file->contents, answer_transcription);
}

/* ── Speech ─────────────────────────────────────────────────────────────── */

static void
answer_speech (LocalCall *call, JsonObject *result, GBytes *output)
{
  static const char *const types[][2] = {{"mp3", "audio/mpeg"}, {"wav", "audio/wav"}, {"flac", "audio/flac"},
                                         {"opus", "audio/ogg"}, {"aac", "audio/aac"}, {"pcm", "audio/pcm"}};
  const char *format = derush_json_get_string (result, "format", "");

  local_call_set_engine (call, derush_json_get_string (result, "engine", ""));
  if (strcmp (derush_json_get_string (call->request, "stream_format", "audio"), "sse") == 0) {
    local_stream_speech (call, output);
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (strcmp (types[i][0], format) == 0)
      local_call_answer (call, SOUP_STATUS_OK, types[i][1], output);
}

static void
post_speech (LocalCall *call, GBytes *body)
{
  JsonObject *request = read_json (call, body);

  if (request)
    local_call_run (call, "speak", request, NULL, answer_speech);
}

/* ── Translation ────────────────────────────────────────────────────────── */

static void
answer_as_it_is (LocalCall *call, JsonObject *result, GBytes *output)
{
  local_call_set_engine (call, derush_json_get_string (result, "engine", ""));
  local_call_answer_json (call, json_object_ref (result));
}

static void
post_translate (LocalCall *call, GBytes *body)
{
  JsonObject *request = read_json (call, body);

  if (request)
    local_call_run (call, "translate", request, NULL, answer_as_it_is);
}

/* ── Chat ───────────────────────────────────────────────────────────────── */

static void
answer_chat (LocalCall *call, JsonObject *result, GBytes *output)
{
  static const char *const counts[] = {"prompt_tokens", "completion_tokens", "total_tokens"};
  JsonObject *answer = json_object_new (), *choice = json_object_new (), *message = json_object_new (),
             *usage = json_object_new ();
  JsonArray *choices = json_array_new ();
  g_autofree char *id = g_uuid_string_random (), *named = g_strconcat ("chatcmpl-", id, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    json_object_set_int_member (usage, counts[i], 0);
  json_object_set_string_member (message, "role", "assistant");
  json_object_set_string_member (message, "content", derush_json_get_string (result, "content", ""));
  json_object_set_null_member (message, "refusal");
  json_object_set_int_member (choice, "index", 0);
  json_object_set_object_member (choice, "message", message);
  json_object_set_null_member (choice, "logprobs");
  json_object_set_string_member (choice, "finish_reason", "stop");
  json_array_add_object_element (choices, choice);
  json_object_set_string_member (answer, "id", named);
  json_object_set_string_member (answer, "object", "chat.completion");
  json_object_set_int_member (answer, "created", g_get_real_time () / G_USEC_PER_SEC);
  json_object_set_string_member (answer, "model", derush_json_get_string (result, "engine", "local-extractive"));
  json_object_set_string_member (answer, "system_fingerprint", "heuristic-v1");
  json_object_set_array_member (answer, "choices", choices);
  json_object_set_object_member (answer, "usage", usage);
  local_call_set_engine (call, derush_json_get_string (result, "engine", "local-extractive"));
  if (derush_json_get_boolean (call->request, "stream", FALSE)) {
    local_stream_chat (call, answer);
    json_object_unref (answer);
  } else {
    local_call_answer_json (call, answer);
  }
}

static void
post_chat (LocalCall *call, GBytes *body)
{
  JsonObject *request = read_json (call, body);

  if (request)
    local_call_run (call, "extract", request, NULL, answer_chat);
}

/* ── Images ─────────────────────────────────────────────────────────────── */

static void
answer_images (LocalCall *call, JsonObject *result, GBytes *output)
{
  JsonObject *answer = json_object_ref (result);

  json_object_set_int_member (answer, "created", g_get_real_time () / G_USEC_PER_SEC);
  local_call_set_engine (call, "local-composer");
  local_call_answer_json (call, answer);
}

static void
post_image_generations (LocalCall *call, GBytes *body)
{
  JsonObject *request = read_json (call, body);

  if (request && derush_json_get_boolean (request, "stream", FALSE)) {
    local_call_refuse (call, SOUP_STATUS_BAD_REQUEST, "unsupported_value", "stream",
                       _ ("Pictures do not come in parts: leave “stream” out"));
    json_object_unref (request);
  } else if (request) {
    local_call_run (call, "compose", request, NULL, answer_images);
  }
}

static void
post_image_edits (LocalCall *call, GBytes *body)
{
  g_autoptr (GPtrArray) fields = read_form (call, body);
  const LocalField *image = NULL;
  JsonObject *request;

  if (!fields)
    return;
  request = get_values (fields);
  if (!(image = local_form_find (fields, "image")) && !(image = local_form_find (fields, "image[]"))) {
    local_call_refuse (call, SOUP_STATUS_BAD_REQUEST, "missing_required_parameter", "image", _ ("“image” is missing"));
    json_object_unref (request);
    return;
  }
  local_call_run (call, "compose", request, image->contents, answer_images);
}

static const LocalRoute routes[] = {
    {"GET", "/health", get_health, .open = TRUE},
    {"GET", "/v1/models", get_models},
    {"GET", "/v1/models/", get_model},
    {"GET", "/v1/audio/voices", get_voices},
    {"POST", "/v1/audio/transcriptions", post_transcriptions},
    {"POST", "/v1/audio/speech", post_speech},
    {"POST", "/v1/translate", post_translate},
    {"POST", "/v1/chat/completions", post_chat},
    {"POST", "/v1/images/generations", post_image_generations},
    {"POST", "/v1/images/edits", post_image_edits},
};

const LocalRoute *
local_route_find (const char *method, const char *path, gboolean *other_method)
{
  *other_method = FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (routes); i++) {
    gsize length = strlen (routes[i].path);
    /* What ends with a slash is followed by a name. */
    gboolean named = routes[i].path[length - 1] == '/' && strncmp (routes[i].path, path, length) == 0 &&
                     path[length] != '\0' && !strchr (path + length, '/');

    if (!named && strcmp (routes[i].path, path) != 0)
      continue;
    if (strcmp (routes[i].method, method) == 0)
      return &routes[i];
    *other_method = TRUE;
  }
  return NULL;
}
