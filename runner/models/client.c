/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/retry-private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* A form as large as this may be cut off by a server that does not want it, which then looks like trouble of the network. */
#define LARGE_FORM (1 << 20)
/* How long something that an answer names may take, in ms. */
#define LONGEST_FETCH (60 * 1000)
/* How long a model may take to be loaded, in ms: it is asked for until then, however often that is. */
#define LONGEST_LOADING (300 * 1000)
/* How long a provider is left alone that has refused the key, in ms. */
#define REFUSAL (300 * 1000)

struct _ModelClient {
  ModelTransport *transport;
  ModelRecorder *recorder;
  guint attempts;
};

ModelClient *
model_client_new (DerushConfig *config, GError **error)
{
  g_autoptr (ModelClient) client = g_new0 (ModelClient, 1);

  client->attempts = derush_config_get_int (config, "DERUSH_MODEL_ATTEMPTS");
  client->recorder = model_recorder_new (config, error);
  client->transport = client->recorder ? model_transport_new (config, error) : NULL;
  return client->transport ? g_steal_pointer (&client) : NULL;
}

void
model_client_free (ModelClient *client)
{
  g_clear_pointer (&client->transport, model_transport_free);
  g_clear_pointer (&client->recorder, model_recorder_free);
  g_free (client);
}

/* Returns: whether answers come from files, and nobody is asked or paid */
gboolean
model_client_replays (ModelClient *client)
{
  return model_recorder_replays (client->recorder);
}

/* Returns: for pictures of which nobody has named a seed: left to chance, but for requests that have to be found again */
guint32
model_client_seed (ModelClient *client)
{
  return model_recorder_is_used (client->recorder) ? 0 : (guint32)g_random_int_range (0, G_MAXINT32);
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

  if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_set_error_literal (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_CANCELLED, _ ("Stopped on request"));
  } else if (cause->domain == DERUSH_MODELS_ERROR) {
    GError *copy = g_error_copy (cause);

    g_free (copy->message);
    copy->message = g_steal_pointer (&said);
    g_propagate_error (error, copy);
  } else if (g_error_matches (cause, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE))
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("Nobody that is trusted vouches for the certificate of %s at %s; see DERUSH_MODEL_CA_FILE: %s"),
                 call->provider->name, call->provider->base_url, said);
  else if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE))
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers more than can be right: %s"),
                 call->provider->name, said);
  else
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("%s cannot be reached at %s; look at its address and the network: %s"), call->provider->name,
                 call->provider->base_url, said);
}

/* ── Waiting ────────────────────────────────────────────────────────────── */

static gint64
now_ms (void)
{
  return g_get_monotonic_time () / 1000;
}

static gboolean
wait_for (ModelCall *call, gint64 delay, GError **error)
{
  GPollFD poll;
  gint64 until = now_ms () + delay, left;
  gboolean watched = g_cancellable_make_pollfd (call->cancellable, &poll);

  while (!g_cancellable_is_cancelled (call->cancellable) && (left = until - now_ms ()) > 0)
    g_poll (watched ? &poll : NULL, watched ? 1 : 0, (int)MIN (left, 60000));
  if (watched)
    g_cancellable_release_fd (call->cancellable);
  if (!g_cancellable_is_cancelled (call->cancellable))
    return TRUE;
  g_set_error_literal (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_CANCELLED, _ ("Stopped on request"));
  return FALSE;
}

/* @message: (transfer full): says for how long it makes no sense to ask again: @delay, in ms */
static void
set_wait_error (GError **error, char *message, gint64 delay)
{
  g_set_error_literal (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, message);
  derush_error_set_retry_at (error ? *error : NULL, derush_time_now_ms () + delay);
  g_free (message);
}

static gint64
in_seconds (gint64 ms)
{
  return (ms + 999) / 1000;
}

static gboolean
is_too_long (ModelCall *call, gint64 delay)
{
  return delay > MODEL_LONGEST_DELAY || now_ms () + delay >= call->deadline / 1000;
}

/* Nothing is sent to a provider that is known to refuse it, or to fail. */
static gboolean
may_send (ModelCall *call, const char *endpoint, GError **error)
{
  ModelLimits *limits = call->provider->limits;
  GError *refusal = model_limits_get_refusal (limits, now_ms ());
  gint64 again, wait;

  if (refusal) {
    g_propagate_error (error, refusal);
    return FALSE;
  }
  while ((wait = model_limits_wait (limits, call->tokens, derush_time_now_ms ())) > 0) {
    if (is_too_long (call, wait)) {
      set_wait_error (error,
                      g_strdup_printf (_ ("%s takes no more requests for a while; try again in %" PRId64 " s"),
                                       call->provider->name, in_seconds (wait)),
                      wait);
      return FALSE;
    }
    if (!wait_for (call, model_retry_spread (wait, g_random_double ()), error))
      return FALSE;
  }
  if (model_limits_may_send (limits, endpoint, now_ms (), &again))
    return TRUE;
  wait = MAX (again - now_ms (), 0);
  set_wait_error (
      error,
      g_strdup_printf (_ ("%s has failed several times in a row and is left alone for a while; try again in "
                          "%" PRId64 " s"),
                       call->provider->name, in_seconds (wait)),
      wait);
  /* An attempt that has sent something is one. */
  if (call->attempts > 0)
    derush_error_set_retry_at (error ? *error : NULL, 0);
  return FALSE;
}

/* ── One attempt ────────────────────────────────────────────────────────── */

/* How it ended, and whether and when another one makes sense. */
typedef struct {
  gboolean retry;
  gboolean trouble; /* of the endpoint, not of this request */
  gboolean told;    /* the server says when to come back */
  gint64 delay;     /* in ms; -1: as we like */
  gboolean later;   /* that is too long to wait for here */
} Outcome;

static void
log_attempt (ModelCall *call, ModelRequest *request, ModelResponse *response, const GError *cause, gint64 started)
{
  g_autoptr (GUri) uri = g_uri_parse (request->url, G_URI_FLAGS_NONE, NULL);
  g_autofree char *said = cause ? model_redact (cause->message) : NULL;

  derush_log (DERUSH_LOG_DEBUG, NULL, "%s %s%s: %u, %zu bytes, %" PRId64 " ms, attempt %u, request %s%s%s",
              request->method, uri ? g_uri_get_host (uri) : "-", uri ? g_uri_get_path (uri) : "",
              response ? response->status : 0, response ? g_bytes_get_size (response->body) : 0, now_ms () - started,
              call->attempts, call->request_id ? call->request_id : "-", said ? ": " : "", said ? said : "");
}

static gboolean
is_large (ModelRequest *request)
{
  goffset size = 0;

  for (guint i = 0; request->parts && i < request->parts->len; i++) {
    const ModelPart *part = request->parts->pdata[i];

    size += part->path ? MAX (model_file_size (part->path), 0) : 0;
  }
  return size > LARGE_FORM;
}

static void
judge_transport (ModelCall *call, ModelRequest *request, const GError *cause, Outcome *outcome)
{
  gboolean closed = g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED) ||
                    g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT);

  outcome->trouble = model_retry_transport (cause);
  outcome->retry = outcome->trouble && !(closed && call->attempts > 1 && is_large (request));
  /* A connection that was kept may have been closed in the same moment: that says nothing of the server. */
  if (closed && call->attempts == 1)
    outcome->delay = 0;
}

static ModelResponse *
judge_response (ModelCall *call, ModelResponse *response, ModelComplete complete, Outcome *outcome, GError **error)
{
  const char *id = model_response_get_header (response, "x-request-id");
  g_autoptr (GError) refusal = NULL;

  g_free (call->request_id);
  call->request_id = id ? model_redact (id) : NULL;
  model_limits_read_headers (call->provider->limits, response->headers, derush_time_now_ms ());
  if (response->status >= 200 && response->status <= 299 && model_fault_hidden (response) != 0)
    response->status = model_fault_hidden (response);
  if (response->status >= 200 && response->status <= 299) {
    if (!complete || complete (call, response, error)) {
      call->paid++;
      return response;
    }
    outcome->retry = outcome->trouble = !call->hopeless;
    call->lost++;
  } else {
    model_fault_read (&call->fault, response);
    outcome->retry = model_retry_status (&call->fault, model_response_get_header (response, "x-should-retry")) &&
                     !(call->dislikes && call->dislikes (call));
    /* Too many requests are no fault of the server, nor is it one that it has just been started. */
    outcome->trouble = outcome->retry && response->status != 429 && !call->fault.loading;
    outcome->delay = model_retry_server_delay (response->headers, call->fault.estimated_time, derush_time_now_ms ());
    outcome->told = outcome->delay >= 0;
    if (response->status == 429 && outcome->told)
      model_limits_hold (call->provider->limits, derush_time_now_ms () + outcome->delay);
    refusal = model_fault_to_error (call);
    /* A server that is in trouble may be well by another attempt, whatever it says of this one. */
    if (!model_retry_status (&call->fault, NULL) && (response->status < 500 || model_fault_is_final (&call->fault)))
      derush_error_set_final (refusal);
    if (response->status == 401)
      model_limits_refuse (call->provider->limits, refusal, now_ms () + REFUSAL);
    g_propagate_error (error, g_steal_pointer (&refusal));
  }
  model_response_free (response);
  return NULL;
}

static ModelResponse *
send_once (ModelCall *call, ModelRequest *request, ModelComplete complete, Outcome *outcome, GError **error)
{
  gint64 started = now_ms (), left = call->deadline / 1000 - started;
  g_autoptr (GError) cause = NULL;
  ModelResponse *response;

  model_fault_clear (&call->fault);
  call->hopeless = FALSE;
  request->deadline = CLAMP (left, 1, G_MAXINT32);
  call->attempts++;
  response = model_recorder_send (call->client->recorder, call->client->transport, request, call->cancellable, &cause);
  log_attempt (call, request, response, cause, started);
  if (response)
    return judge_response (call, response, complete, outcome, error);
  if (request->sent)
    call->lost++;
  judge_transport (call, request, cause, outcome);
  set_transport_error (call, cause, error);
  return NULL;
}

/* ── Several attempts ───────────────────────────────────────────────────── */

static gboolean
wait_for_next (ModelCall *call, guint attempt, gint64 started, Outcome *outcome, GError **error)
{
  gboolean loading = call->fault.loading && now_ms () < started + LONGEST_LOADING;
  double random = g_random_double ();
  gint64 delay = outcome->delay >= 0 ? outcome->delay : model_retry_own_delay (attempt, random);

  if (!outcome->retry)
    return FALSE;
  outcome->later = outcome->told && is_too_long (call, delay);
  if ((attempt >= call->client->attempts && !loading) || is_too_long (call, delay)) {
    model_call_debug (call, "retry after %" PRId64 " s", in_seconds (delay));
    return FALSE;
  }
  if (!outcome->told && !model_limits_take_retry (call->provider->limits, now_ms ())) {
    model_call_debug (call, "no retry: the budget is used up");
    return FALSE;
  }
  if (delay == 0)
    return TRUE;
  return wait_for (call, outcome->told ? model_retry_spread (delay, random) : delay, error);
}

/* The server itself has said when. */
static void
put_off (GError *error, gint64 delay)
{
  g_autofree char *said = g_steal_pointer (&error->message);

  error->message = g_strdup_printf (_ ("%s (it wants to be left alone for %" PRId64 " s)"), said, in_seconds (delay));
  derush_error_set_retry_at (error, derush_time_now_ms () + delay);
}

static char *
endpoint_of (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_NONE, NULL);

  return g_strdup (uri ? g_uri_get_path (uri) : "");
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
  g_autofree char *endpoint = endpoint_of (request->url);
  ModelLimits *limits = call->provider->limits;
  gint64 started = now_ms ();

  g_free (request->key);
  request->key = g_strdup (call->provider->key);
  for (guint attempt = 1;; attempt++) {
    Outcome outcome = {.delay = -1};
    g_autoptr (GError) cause = NULL, stopped = NULL;
    ModelResponse *response;

    if (!may_send (call, endpoint, error))
      return NULL;
    response = send_once (call, request, complete, &outcome, &cause);
    if (response) {
      model_limits_succeeded (limits, endpoint);
      return response;
    }
    if (outcome.trouble)
      model_limits_failed (limits, endpoint, now_ms ());
    else if (call->fault.status != 0)
      model_limits_answered (limits, endpoint);
    else
      model_limits_gave_up (limits, endpoint);
    if (wait_for_next (call, attempt, started, &outcome, &stopped))
      continue;
    if (outcome.later)
      put_off (cause, outcome.delay);
    g_propagate_error (error, stopped ? g_steal_pointer (&stopped) : g_steal_pointer (&cause));
    return NULL;
  }
}

/*
 * model_client_ask_once:
 * @patience: how long an answer may take, in ms; no longer than the call may
 *
 * For who wants to know how the provider is: whatever is known of it, it is asked, and once.
 *
 * Returns: (transfer full) (nullable): its answer, of any status
 */
ModelResponse *
model_client_ask_once (ModelCall *call, ModelRequest *request, guint patience, GError **error)
{
  g_autoptr (GError) cause = NULL;
  ModelResponse *response;

  g_free (request->key);
  request->key = g_strdup (call->provider->key);
  request->deadline = CLAMP (call->deadline / 1000 - now_ms (), 1, (gint64)patience);
  response = model_recorder_send (call->client->recorder, call->client->transport, request, call->cancellable, &cause);
  if (!response)
    set_transport_error (call, cause, error);
  return response;
}

/* ── JSON ───────────────────────────────────────────────────────────────── */

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
  if (start < length && text[start] == '<') {
    call->hopeless = TRUE;
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("%s answers a web page, so its address is wrong: %s"), call->provider->name,
                 call->provider->base_url);
  } else {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s answers no whole JSON object: %s"),
                 call->provider->name, cause ? cause->message : _ ("it is empty"));
  }
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

static int
port_of (GUri *uri)
{
  int port = g_uri_get_port (uri);

  return port > 0 ? port : strcmp (g_uri_get_scheme (uri), "https") == 0 ? 443 : 80;
}

/*
 * model_client_is_same_server:
 *
 * Returns: whether both addresses are of one scheme, host and port
 */
gboolean
model_client_is_same_server (const char *url, const char *base_url)
{
  g_autoptr (GUri) one = g_uri_parse (url, G_URI_FLAGS_NONE, NULL),
                   two = g_uri_parse (base_url, G_URI_FLAGS_NONE, NULL);

  return one && two && g_uri_get_host (one) && *g_uri_get_host (one) && g_uri_get_host (two) &&
         strcmp (g_uri_get_scheme (one), g_uri_get_scheme (two)) == 0 &&
         g_ascii_strcasecmp (g_uri_get_host (one), g_uri_get_host (two)) == 0 && port_of (one) == port_of (two);
}

static gboolean
may_fetch_again (ModelCall *call, guint attempt, ModelResponse *response, const GError *cause)
{
  const ModelFault fault = {.status = response ? response->status : 0};

  return attempt < call->client->attempts && now_ms () < call->deadline / 1000 &&
         (response ? model_retry_status (&fault, NULL) : model_retry_transport (cause));
}

/*
 * model_client_fetch:
 * @url: an address that an answer named
 *
 * Without a key, from public addresses only, unless the provider itself is on this machine, or it is one of the provider's
 * own, whose settings have said that it is trusted.
 */
ModelResponse *
model_client_fetch (ModelCall *call, const char *url, gsize limit, GError **error)
{
  g_autoptr (ModelRequest) request = model_request_new ("GET", url, "");
  g_autoptr (ModelResponse) response = NULL;
  g_autoptr (GError) cause = NULL;
  gboolean near = !g_str_has_prefix (call->provider->base_url, "https:") &&
                  model_client_is_https_or_loopback (call->provider->base_url);
  gboolean own = model_client_is_same_server (url, call->provider->base_url);

  if (!own && !g_str_has_prefix (url, "https://") && !(near && model_client_is_https_or_loopback (url))) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("%s names an address that is not safe to fetch"),
                 call->provider->name);
    return NULL;
  }
  request->public_only = !near && !own;
  request->accept = "*/*";
  request->limit = limit;
  /* What is fetched is paid for already: it is not given up at the first trouble. */
  for (guint attempt = 1;; attempt++) {
    g_clear_error (&cause);
    g_clear_pointer (&response, model_response_free);
    request->deadline = CLAMP (call->deadline / 1000 - now_ms (), 1, LONGEST_FETCH);
    response =
        model_recorder_send (call->client->recorder, call->client->transport, request, call->cancellable, &cause);
    if (!may_fetch_again (call, attempt, response, cause))
      break;
    if (!wait_for (call, model_retry_own_delay (attempt, g_random_double ()), error))
      return NULL;
  }
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
