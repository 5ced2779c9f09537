/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <stdarg.h>
#include <string.h>
#include <glib/gi18n-lib.h>

struct _ModelClient {
  ModelTransport *transport;
};

ModelClient *
model_client_new (DerushConfig *config, GError **error)
{
  g_autoptr (ModelClient) client = g_new0 (ModelClient, 1);

  client->transport = model_transport_new (config, error);
  return client->transport ? g_steal_pointer (&client) : NULL;
}

void
model_client_free (ModelClient *client)
{
  g_clear_pointer (&client->transport, model_transport_free);
  g_free (client);
}

void
model_call_debug (ModelCall *call, const char *format, ...)
{
  va_list arguments;

  if (!call->context || !call->context->debug)
    return;
  if (call->context->debug->len)
    g_string_append_c (call->context->debug, '\n');
  va_start (arguments, format);
  g_string_append_vprintf (call->context->debug, format, arguments);
  va_end (arguments);
}

static void
set_transport_error (ModelCall *call, const GError *cause, GError **error)
{
  g_autofree char *said = model_redact (cause->message);

  if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_set_error_literal (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_CANCELLED, _ ("Stopped on request"));
  else if (cause->domain == DERUSH_MODELS_ERROR)
    g_set_error_literal (error, cause->domain, cause->code, said);
  else
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("%s cannot be reached at %s; look at its address and the network: %s"), call->provider->name,
                 call->provider->base_url, said);
}

/*
 * model_client_send:
 * @call: what for
 * @request: (transfer none): may be sent several times
 * @complete: (nullable): whether a success is all there
 *
 * Returns: (transfer full) (nullable): an answer of status 200 to 299
 */
ModelResponse *
model_client_send (ModelCall *call, ModelRequest *request, ModelComplete complete, GError **error)
{
  g_autoptr (ModelResponse) response = NULL;
  g_autoptr (GError) cause = NULL;
  gint64 left = (call->deadline - g_get_monotonic_time ()) / 1000;

  model_fault_clear (&call->fault);
  g_free (request->key);
  request->key = g_strdup (call->provider->key);
  request->deadline = CLAMP (left, 1, G_MAXINT32);
  call->attempts++;
  response = model_transport_send (call->client->transport, request, call->cancellable, &cause);
  if (!response) {
    set_transport_error (call, cause, error);
    return NULL;
  }
  g_free (call->request_id);
  call->request_id = g_strdup (model_response_get_header (response, "x-request-id"));
  if (response->status < 200 || response->status > 299) {
    model_fault_read (&call->fault, response);
    g_propagate_error (error, model_fault_to_error (call));
    return NULL;
  }
  if (complete && !complete (call, response, error))
    return NULL;
  return g_steal_pointer (&response);
}

static JsonObject *
parse (ModelCall *call, ModelResponse *response, GError **error)
{
  gsize length;
  const char *text = g_bytes_get_data (response->body, &length);
  g_autoptr (GError) cause = NULL;
  JsonObject *json = length > 0 ? derush_json_parse_object (text, length, &cause) : NULL;
  gsize start = 0;

  if (json)
    return json;
  while (start < length && g_ascii_isspace (text[start]))
    start++;
  if (start < length && text[start] == '<')
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("%s answers a web page, so its address is wrong: %s"), call->provider->name,
                 call->provider->base_url);
  else
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no whole JSON object: %s"),
                 call->provider->name, cause ? cause->message : _ ("it is empty"));
  return NULL;
}

static gboolean
is_json (ModelCall *call, ModelResponse *response, GError **error)
{
  g_autoptr (JsonObject) json = parse (call, response, error);

  return json != NULL;
}

/*
 * model_client_send_for_json:
 *
 * Returns: (transfer full) (nullable): the object that was answered
 */
JsonObject *
model_client_send_for_json (ModelCall *call, ModelRequest *request, GError **error)
{
  g_autoptr (ModelResponse) response = model_client_send (call, request, is_json, error);

  return response ? parse (call, response, error) : NULL;
}

/*
 * model_client_is_https_or_loopback:
 *
 * Returns: whether a key may be sent there
 */
gboolean
model_client_is_https_or_loopback (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_NONE, NULL);
  g_autoptr (GInetAddress) address = NULL;

  if (!uri || !g_uri_get_host (uri))
    return FALSE;
  if (strcmp (g_uri_get_scheme (uri), "https") == 0)
    return TRUE;
  address = g_inet_address_new_from_string (g_uri_get_host (uri));
  return strcmp (g_uri_get_scheme (uri), "http") == 0 &&
         (strcmp (g_uri_get_host (uri), "localhost") == 0 || (address && g_inet_address_get_is_loopback (address)));
}

/*
 * model_client_fetch:
 * @url: an address that an answer named
 *
 * Without a key, from public addresses only, unless the provider itself is on this machine.
 */
ModelResponse *
model_client_fetch (ModelCall *call, const char *url, gsize limit, GError **error)
{
  g_autoptr (ModelRequest) request = model_request_new ("GET", url, "");
  g_autoptr (ModelResponse) response = NULL;
  g_autoptr (GError) cause = NULL;
  gboolean near = !g_str_has_prefix (call->provider->base_url, "https:") &&
                  model_client_is_https_or_loopback (call->provider->base_url);

  if (!g_str_has_prefix (url, "https://") && !(near && model_client_is_https_or_loopback (url))) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s names an address that is not safe to fetch"),
                 call->provider->name);
    return NULL;
  }
  request->public_only = !near;
  request->accept = "*/*";
  request->limit = limit;
  request->deadline = 60000;
  response = model_transport_send (call->client->transport, request, call->cancellable, &cause);
  if (!response) {
    set_transport_error (call, cause, error);
    return NULL;
  }
  if (response->status != 200) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("What %s made cannot be fetched from the address that it named: status %u"), call->provider->name,
                 response->status);
    return NULL;
  }
  return g_steal_pointer (&response);
}

/*
 * model_call_output_path:
 * @name: of a file
 *
 * Returns: (transfer full) (nullable): where to write it
 */
char *
model_call_output_path (ModelCall *call, const char *name, GError **error)
{
  if (!call->context || !call->context->directory || !name || !*name || strchr (name, '/') || name[0] == '.') {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL, _ ("“%s” is no name for a file of this step"),
                 name ? name : "");
    return NULL;
  }
  return g_build_filename (call->context->directory, name, NULL);
}
