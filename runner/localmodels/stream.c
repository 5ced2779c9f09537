/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Answers as events (text/event-stream), for clients that ask for them: the engines answer at once, so all come together. */

#include "server-private.h"

#include <string.h>

/* Of sound in one event, in bytes. */
#define SOUND_SIZE ((gsize)48 * 1024)

static void
add_event (GString *events, JsonObject *event)
{
  g_autofree char *text = derush_json_object_to_string (event);

  g_string_append_printf (events, "data: %s\n\n", text);
}

static void
answer_events (LocalCall *call, GString *events)
{
  g_autoptr (GBytes) body = g_string_free_to_bytes (events);

  local_call_answer (call, SOUP_STATUS_OK, "text/event-stream; charset=utf-8", body);
}

/* ── Chat ───────────────────────────────────────────────────────────────── */

/* What all chunks of an answer have in common. */
static JsonObject *
chunk_of (JsonObject *answer)
{
  static const char *const members[] = {"id", "created", "model", "system_fingerprint"};
  JsonObject *chunk = json_object_new ();

  for (guint i = 0; i < G_N_ELEMENTS (members); i++)
    json_object_set_member (chunk, members[i], json_node_copy (json_object_get_member (answer, members[i])));
  json_object_set_string_member (chunk, "object", "chat.completion.chunk");
  json_object_set_array_member (chunk, "choices", json_array_new ());
  return chunk;
}

/* @finish: (nullable): why it ends; takes @delta */
static void
add_delta (GString *events, JsonObject *answer, JsonObject *delta, const char *finish)
{
  g_autoptr (JsonObject) chunk = chunk_of (answer);
  JsonObject *choice = json_object_new ();

  json_object_set_int_member (choice, "index", 0);
  json_object_set_object_member (choice, "delta", delta);
  json_object_set_null_member (choice, "logprobs");
  if (finish)
    json_object_set_string_member (choice, "finish_reason", finish);
  else
    json_object_set_null_member (choice, "finish_reason");
  json_array_add_object_element (derush_json_get_array (chunk, "choices"), choice);
  add_event (events, chunk);
}

/**
 * local_stream_chat:
 * @answer: a chat.completion with one choice
 *
 * Answers it as chat.completion.chunk events, with its usage where the request wants that.
 */
void
local_stream_chat (LocalCall *call, JsonObject *answer)
{
  GString *events = g_string_new (NULL);
  JsonObject *choice = json_array_get_object_element (derush_json_get_array (answer, "choices"), 0), *delta;
  JsonObject *options = derush_json_get_object (call->request, "stream_options");

  delta = json_object_new ();
  json_object_set_string_member (delta, "role", "assistant");
  json_object_set_string_member (delta, "content", "");
  add_delta (events, answer, delta, NULL);
  delta = json_object_new ();
  json_object_set_string_member (delta, "content",
                                 derush_json_get_string (derush_json_get_object (choice, "message"), "content", ""));
  add_delta (events, answer, delta, NULL);
  add_delta (events, answer, json_object_new (), derush_json_get_string (choice, "finish_reason", "stop"));
  if (derush_json_get_boolean (options, "include_usage", FALSE)) {
    g_autoptr (JsonObject) chunk = chunk_of (answer);

    json_object_set_object_member (chunk, "usage", json_object_ref (derush_json_get_object (answer, "usage")));
    add_event (events, chunk);
  }
  g_string_append (events, "data: [DONE]\n\n");
  answer_events (call, events);
}

/* ── Transcriptions ─────────────────────────────────────────────────────── */

/**
 * local_stream_transcript:
 * @text: all of it
 * @segments: its parts
 * @usage: (transfer none): what it took
 *
 * Answers transcript.text.delta events, one for each segment, whose texts together are @text, and transcript.text.done.
 */
void
local_stream_transcript (LocalCall *call, const char *text, JsonArray *segments, JsonObject *usage)
{
  GString *events = g_string_new (NULL);
  g_autoptr (JsonObject) done = json_object_new ();
  const char *rest = text;

  for (guint i = 0; i < json_array_get_length (segments); i++) {
    const char *said = derush_json_get_string (json_array_get_object_element (segments, i), "text", "");
    const char *found = *said ? strstr (rest, said) : NULL;
    g_autoptr (JsonObject) delta = NULL;
    g_autofree char *part = NULL;

    if (!found)
      continue;
    /* With what is between it and the one before. */
    part = g_strndup (rest, (gsize)(found - rest) + strlen (said));
    rest = found + strlen (said);
    delta = json_object_new ();
    json_object_set_string_member (delta, "type", "transcript.text.delta");
    json_object_set_string_member (delta, "delta", part);
    add_event (events, delta);
  }
  json_object_set_string_member (done, "type", "transcript.text.done");
  json_object_set_string_member (done, "text", text);
  json_object_set_object_member (done, "usage", json_object_ref (usage));
  add_event (events, done);
  answer_events (call, events);
}

/* ── Speech ─────────────────────────────────────────────────────────────── */

/**
 * local_stream_speech:
 * @sound: a file
 *
 * Answers it as speech.audio.delta events in base64, and speech.audio.done.
 */
void
local_stream_speech (LocalCall *call, GBytes *sound)
{
  GString *events = g_string_new (NULL);
  g_autoptr (JsonObject) done = json_object_new ();
  JsonObject *usage = json_object_new ();
  static const char *const counts[] = {"input_tokens", "output_tokens", "total_tokens"};
  gsize length;
  const guchar *data = g_bytes_get_data (sound, &length);

  for (gsize at = 0; at < length; at += SOUND_SIZE) {
    g_autoptr (JsonObject) delta = json_object_new ();
    g_autofree char *base64 = g_base64_encode (data + at, MIN (SOUND_SIZE, length - at));

    json_object_set_string_member (delta, "type", "speech.audio.delta");
    json_object_set_string_member (delta, "audio", base64);
    add_event (events, delta);
  }
  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    json_object_set_int_member (usage, counts[i], 0);
  json_object_set_string_member (done, "type", "speech.audio.done");
  json_object_set_object_member (done, "usage", usage);
  add_event (events, done);
  answer_events (call, events);
}
