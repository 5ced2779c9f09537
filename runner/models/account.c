/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <string.h>

static void
add_number (JsonObject *usage, const char *name, double amount)
{
  if (amount <= 0)
    return;
  amount += derush_json_get_number (usage, name, 0);
  if (amount == (double)(gint64)amount)
    json_object_set_int_member (usage, name, (gint64)amount);
  else
    json_object_set_double_member (usage, name, amount);
}

static double
number_of (JsonObject *object, const char *name, const char *other)
{
  double value = derush_json_get_number (object, name, 0);

  return value > 0 ? value : derush_json_get_number (object, other, 0);
}

static JsonObject *
usage_of (JsonObject *result)
{
  if (!derush_json_get_object (result, "usage"))
    json_object_set_object_member (result, "usage", json_object_new ());
  return derush_json_get_object (result, "usage");
}

/* What is paid for without being counted by the server. */
static void
add_request (ModelCall *call, JsonObject *usage)
{
  int task = model_task_find (call->task);

  if (task == MODEL_TASK_SPEAK)
    add_number (usage, "characters", g_utf8_strlen (derush_json_get_string (call->request, "text", ""), -1));
  else if (task == MODEL_TASK_TRANSCRIBE && !json_object_has_member (usage, "seconds"))
    add_number (usage, "seconds", model_wav_duration (derush_json_get_string (call->request, "file", "")));
}

static void
copy_text (JsonObject *to, const char *name, const char *text)
{
  if (text && *text)
    json_object_set_string_member (to, name, text);
}

/*
 * model_call_take_account:
 * @result: gets engine, usage, and what the engine says of itself: degraded, reason
 * @answer: of the server; of several answers the usage is added up
 */
void
model_call_take_account (ModelCall *call, JsonObject *result, JsonObject *answer)
{
  JsonObject *usage = usage_of (result), *told = derush_json_get_object (answer, "usage");
  JsonObject *details = derush_json_get_object (told, "prompt_tokens_details");
  JsonArray *data = derush_json_get_array (answer, "data");
  const char *engine = derush_json_get_string (answer, "engine", derush_json_get_string (answer, "model", call->model));

  add_number (usage, "inputTokens", number_of (told, "prompt_tokens", "input_tokens"));
  add_number (usage, "outputTokens", number_of (told, "completion_tokens", "output_tokens"));
  add_number (usage, "cachedTokens", derush_json_get_number (details, "cached_tokens", 0));
  add_number (usage, "seconds", derush_json_get_number (told, "seconds", 0));
  if (model_task_find (call->task) == MODEL_TASK_IMAGE)
    add_number (usage, "images", data ? json_array_get_length (data) : 1);
  add_request (call, usage);
  copy_text (result, "engine", *engine ? engine : call->model);
  if (json_object_has_member (answer, "degraded"))
    json_object_set_boolean_member (result, "degraded", derush_json_get_boolean (answer, "degraded", FALSE));
  copy_text (result, "reason", derush_json_get_string (answer, "reason", NULL));
  /* Of our own server: what it did otherwise than it was asked. */
  if (call->provider->local)
    copy_text (result, "warning", derush_json_get_string (answer, "warning", NULL));
}

/*
 * model_call_take_account_of_headers:
 *
 * As model_call_take_account(), of an answer that is a file: our own server tells of its engine in headers.
 */
void
model_call_take_account_of_headers (ModelCall *call, JsonObject *result, ModelResponse *response)
{
  const char *engine = model_response_get_header (response, "x-derush-engine");
  const char *degraded = model_response_get_header (response, "x-derush-degraded");

  add_request (call, usage_of (result));
  copy_text (result, "engine", engine && *engine ? engine : call->model);
  if (degraded)
    json_object_set_boolean_member (result, "degraded", g_str_equal (degraded, "true"));
  copy_text (result, "reason", model_response_get_header (response, "x-derush-reason"));
}
