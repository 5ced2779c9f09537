/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/models.h"
#include "models/transport-private.h"

#include <string.h>
#include <libsoup/soup.h>
#include <glib/gi18n-lib.h>

#define READ_SIZE 65536
/* Of connections that are kept for the next request, in s. */
#define KEEP_TIMEOUT 30

/* libsoup's sessions belong to the thread that made them: one thread does all exchanges, others wait for it. */
struct _ModelTransport {
  GThread *thread;
  GMainContext *context;
  GMainLoop *loop;
  GHashTable *sessions; /* by origin; of the thread */
  GProxyResolver *proxy;
  GTlsDatabase *authorities;
  guint idle_timeout; /* in s */
  guint connections;
};

typedef struct {
  ModelTransport *transport;
  ModelRequest *request; /* of the thread that waits */
  GCancellable *cancellable;
  SoupMessage *message;
  GInputStream *stream;
  GByteArray *body;
  GSource *deadline;
  gboolean deadline_hit;
  gboolean refused_address;
  gboolean proxied;

  GMutex lock;
  GCond ended;
  gboolean done;
  ModelResponse *response;
  GError *error;
} Exchange;

/* ── Requests, responses ────────────────────────────────────────────────── */

static void
part_free (ModelPart *part)
{
  g_free (part->name);
  g_free (part->file_name);
  g_free (part->content_type);
  g_free (part->value);
  g_free (part->path);
  g_free (part);
}

/*
 * model_request_new:
 * @base_url: with or without a slash at its end
 * @path: with a slash at its beginning
 */
ModelRequest *
model_request_new (const char *method, const char *base_url, const char *path)
{
  ModelRequest *request = g_new0 (ModelRequest, 1);
  g_autofree char *base = g_strdup (base_url);

  while (*base && base[strlen (base) - 1] == '/')
    base[strlen (base) - 1] = '\0';
  request->method = method;
  request->url = g_strconcat (base, path, NULL);
  request->limit = 32 << 20;
  return request;
}

void
model_request_set_json (ModelRequest *request, JsonObject *json)
{
  char *text = derush_json_object_to_string (json);

  g_free (request->content_type);
  g_clear_pointer (&request->body, g_bytes_unref);
  request->content_type = g_strdup ("application/json");
  request->body = g_bytes_new_take (text, strlen (text));
}

static ModelPart *
add_part (ModelRequest *request, const char *name)
{
  ModelPart *part = g_new0 (ModelPart, 1);

  if (!request->parts)
    request->parts = g_ptr_array_new_with_free_func ((GDestroyNotify)part_free);
  part->name = g_strdup (name);
  g_ptr_array_add (request->parts, part);
  return part;
}

void
model_request_add_field (ModelRequest *request, const char *name, const char *value)
{
  add_part (request, name)->value = g_strdup (value);
}

void
model_request_add_file (ModelRequest *request, const char *name, const char *file_name, const char *content_type,
                        const char *path)
{
  ModelPart *part = add_part (request, name);

  part->file_name = g_strdup (file_name);
  part->content_type = g_strdup (content_type);
  part->path = g_strdup (path);
}

void
model_request_free (ModelRequest *request)
{
  g_free (request->url);
  if (request->key)
    explicit_bzero (request->key, strlen (request->key));
  g_free (request->key);
  g_free (request->content_type);
  g_clear_pointer (&request->body, g_bytes_unref);
  g_clear_pointer (&request->parts, g_ptr_array_unref);
  g_free (request->bill_to);
  g_free (request);
}

const char *
model_response_get_header (ModelResponse *response, const char *name)
{
  return g_hash_table_lookup (response->headers, name);
}

void
model_response_free (ModelResponse *response)
{
  g_clear_pointer (&response->headers, g_hash_table_unref);
  g_clear_pointer (&response->body, g_bytes_unref);
  g_free (response);
}

/* ── An exchange, in the thread ─────────────────────────────────────────── */

static void
exchange_clear (gpointer data)
{
  Exchange *exchange = data;

  g_clear_object (&exchange->cancellable);
  g_clear_object (&exchange->message);
  g_clear_object (&exchange->stream);
  g_clear_pointer (&exchange->body, g_byte_array_unref);
  g_clear_pointer (&exchange->response, model_response_free);
  g_clear_error (&exchange->error);
  g_mutex_clear (&exchange->lock);
  g_cond_clear (&exchange->ended);
}

static void
exchange_unref (gpointer exchange)
{
  g_atomic_rc_box_release_full (exchange, exchange_clear);
}

static void
end_exchange (Exchange *exchange, GError *error)
{
  if (exchange->deadline) {
    g_source_destroy (exchange->deadline);
    g_clear_pointer (&exchange->deadline, g_source_unref);
  }
  if (error && exchange->deadline_hit) {
    g_clear_error (&error);
    g_set_error (&error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _ ("no whole answer within %u s"),
                 exchange->request->deadline / 1000);
  } else if (error && exchange->refused_address) {
    g_clear_error (&error);
    g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, _ ("the address is not a public one"));
  }
  g_clear_object (&exchange->stream);
  g_clear_object (&exchange->message);
  g_mutex_lock (&exchange->lock);
  exchange->error = error;
  exchange->done = TRUE;
  g_cond_signal (&exchange->ended);
  g_mutex_unlock (&exchange->lock);
  exchange_unref (exchange);
}

static void
add_header (const char *name, const char *value, gpointer headers)
{
  g_hash_table_replace (headers, g_ascii_strdown (name, -1), g_strdup (value));
}

static void
on_closed (GObject *stream, GAsyncResult *result, gpointer user_data)
{
  Exchange *exchange = user_data;
  ModelResponse *response = g_new0 (ModelResponse, 1);

  g_input_stream_close_finish (G_INPUT_STREAM (stream), result, NULL);
  response->status = soup_message_get_status (exchange->message);
  response->headers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  soup_message_headers_foreach (soup_message_get_response_headers (exchange->message), add_header, response->headers);
  response->body = g_byte_array_free_to_bytes (g_steal_pointer (&exchange->body));
  exchange->response = response;
  end_exchange (exchange, NULL);
}

static void read_more (Exchange *exchange);

static void
on_read (GObject *stream, GAsyncResult *result, gpointer user_data)
{
  Exchange *exchange = user_data;
  GError *error = NULL;
  g_autoptr (GBytes) bytes = g_input_stream_read_bytes_finish (G_INPUT_STREAM (stream), result, &error);
  gsize length;
  gconstpointer data;

  if (!bytes) {
    end_exchange (exchange, error);
    return;
  }
  data = g_bytes_get_data (bytes, &length);
  if (length == 0) {
    g_input_stream_close_async (exchange->stream, G_PRIORITY_DEFAULT, exchange->cancellable, on_closed, exchange);
    return;
  }
  if (exchange->body->len + length > exchange->request->limit) {
    end_exchange (exchange, g_error_new (G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                                         _ ("the answer is longer than %zu bytes"), exchange->request->limit));
    return;
  }
  g_byte_array_append (exchange->body, data, length);
  read_more (exchange);
}

static void
read_more (Exchange *exchange)
{
  g_input_stream_read_bytes_async (exchange->stream, READ_SIZE, G_PRIORITY_DEFAULT, exchange->cancellable, on_read,
                                   exchange);
}

static void
on_sent (GObject *session, GAsyncResult *result, gpointer user_data)
{
  Exchange *exchange = user_data;
  GError *error = NULL;
  goffset length;

  exchange->stream = soup_session_send_finish (SOUP_SESSION (session), result, &error);
  if (!exchange->stream) {
    end_exchange (exchange, error);
    return;
  }
  length = soup_message_headers_get_content_length (soup_message_get_response_headers (exchange->message));
  if (length > 0 && (guint64)length > exchange->request->limit) {
    g_cancellable_cancel (exchange->cancellable);
    end_exchange (exchange, g_error_new (G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                                         _ ("the answer is longer than %zu bytes"), exchange->request->limit));
    return;
  }
  exchange->body = g_byte_array_new ();
  read_more (exchange);
}

/* Returns: whether everybody sees the same machine at the address */
gboolean
model_address_is_public (GInetAddress *address)
{
  const guint8 *bytes = g_inet_address_to_bytes (address);

  if (g_inet_address_get_is_any (address) || g_inet_address_get_is_loopback (address) ||
      g_inet_address_get_is_link_local (address) || g_inet_address_get_is_site_local (address) ||
      g_inet_address_get_is_multicast (address))
    return FALSE;
  if (g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV4)
    /* 0/8, 100.64/10 (carriers), 192.0.0/24, 198.18/15 (measurements), 240/4 */
    return bytes[0] != 0 && bytes[0] < 240 && !(bytes[0] == 100 && (bytes[1] & 0xc0) == 64) &&
           !(bytes[0] == 192 && bytes[1] == 0 && bytes[2] == 0) && !(bytes[0] == 198 && (bytes[1] & 0xfe) == 18);
  /* Only global unicast that carries no IPv4 address: 2000/3 without 6to4 and Teredo. */
  return (bytes[0] & 0xe0) == 0x20 && !(bytes[0] == 0x20 && bytes[1] == 0x02) &&
         !(bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0 && bytes[3] == 0);
}

/* The address that is being used, not one that was looked up before: a name may change in between. */
static void
on_network_event (SoupMessage *message, GSocketClientEvent event, GIOStream *connection, gpointer user_data)
{
  Exchange *exchange = user_data;
  g_autoptr (GSocketAddress) address = NULL;

  if ((event != G_SOCKET_CLIENT_CONNECTING && event != G_SOCKET_CLIENT_CONNECTED) ||
      !G_IS_SOCKET_CONNECTION (connection))
    return;
  address = g_socket_connection_get_remote_address (G_SOCKET_CONNECTION (connection), NULL);
  if (G_IS_INET_SOCKET_ADDRESS (address) &&
      model_address_is_public (g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address))))
    return;
  exchange->refused_address = TRUE;
  g_cancellable_cancel (exchange->cancellable);
}

static gboolean
on_deadline (gpointer user_data)
{
  Exchange *exchange = user_data;

  exchange->deadline_hit = TRUE;
  g_cancellable_cancel (exchange->cancellable);
  return G_SOURCE_REMOVE;
}

static gboolean
is_loopback (const char *host)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);

  return strcmp (host, "localhost") == 0 || (address && g_inet_address_get_is_loopback (address));
}

static SoupSession *
session_for (ModelTransport *transport, GUri *uri, gboolean public_only)
{
  /* Connections that were not checked must not be used again by a request that wants the check. */
  char *origin = g_strdup_printf ("%s%s://%s:%d", public_only ? "public " : "", g_uri_get_scheme (uri),
                                  g_uri_get_host (uri), g_uri_get_port (uri));
  SoupSession *session = g_hash_table_lookup (transport->sessions, origin);

  if (session) {
    g_free (origin);
    return session;
  }
  session = soup_session_new_with_options ("timeout", transport->idle_timeout, "idle-timeout", KEEP_TIMEOUT,
                                           "max-conns", (int)transport->connections, "max-conns-per-host",
                                           (int)transport->connections, "user-agent", "Derush/" PACKAGE_VERSION, NULL);
  /* Keys are sent by us alone, and stay out of whatever a server asks for. */
  soup_session_remove_feature_by_type (session, SOUP_TYPE_AUTH_MANAGER);
  soup_session_remove_feature_by_type (session, SOUP_TYPE_CONTENT_SNIFFER);
  /* What is on this machine is reached without the proxy that the environment may name. */
  if (is_loopback (g_uri_get_host (uri)))
    soup_session_set_proxy_resolver (session, NULL);
  else if (transport->proxy)
    soup_session_set_proxy_resolver (session, transport->proxy);
  if (transport->authorities)
    soup_session_set_tls_database (session, transport->authorities);
  g_hash_table_insert (transport->sessions, origin, session);
  return session;
}

static gboolean
set_body (SoupMessage *message, ModelRequest *request, GError **error)
{
  g_autofree char *boundary = NULL, *content_type = NULL, *unique = NULL;
  g_autoptr (GInputStream) form = NULL;
  goffset length;

  if (!request->parts) {
    if (request->body)
      soup_message_set_request_body_from_bytes (message, request->content_type, request->body);
    return TRUE;
  }
  unique = g_uuid_string_random ();
  boundary = g_strconcat ("derush-", unique, NULL);
  content_type = g_strconcat ("multipart/form-data; boundary=", boundary, NULL);
  form = model_form_new (request->parts, boundary, &length, error);
  if (!form)
    return FALSE;
  soup_message_set_request_body (message, content_type, form, length);
  return TRUE;
}

/* A connection that was closed while it waited makes libsoup send the message anew: the form has to begin again. */
static void
on_restarted (SoupMessage *message, gpointer user_data)
{
  Exchange *exchange = user_data;
  g_autoptr (GError) error = NULL;

  if (exchange->request->parts && !set_body (message, exchange->request, &error))
    g_cancellable_cancel (exchange->cancellable);
}

/* A proxy looks names up itself, and its own address says nothing: only what is written as an address is seen then. */
static gboolean
may_be_fetched (Exchange *exchange, GUri *uri)
{
  GProxyResolver *resolver = exchange->transport->proxy ? exchange->transport->proxy : g_proxy_resolver_get_default ();
  g_auto (GStrv) proxies = g_proxy_resolver_lookup (resolver, exchange->request->url, exchange->cancellable, NULL);
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (g_uri_get_host (uri));

  exchange->proxied =
      !is_loopback (g_uri_get_host (uri)) && proxies && proxies[0] && strcmp (proxies[0], "direct://") != 0;
  return address ? model_address_is_public (address) : g_ascii_strcasecmp (g_uri_get_host (uri), "localhost") != 0;
}

static void
on_wrote_body (SoupMessage *message, gpointer user_data)
{
  ((Exchange *)user_data)->request->sent = TRUE;
}

static gboolean
start_exchange (gpointer user_data)
{
  Exchange *exchange = g_atomic_rc_box_acquire (user_data);
  ModelRequest *request = exchange->request;
  g_autoptr (GUri) uri = g_uri_parse (request->url, SOUP_HTTP_URI_FLAGS, NULL);
  SoupMessageHeaders *headers;
  GError *error = NULL;

  if (!uri || !g_uri_get_host (uri)) {
    end_exchange (exchange,
                  g_error_new (G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, _ ("“%s” is no address"), request->url));
    return G_SOURCE_REMOVE;
  }
  exchange->message = soup_message_new_from_uri (request->method, uri);
  headers = soup_message_get_request_headers (exchange->message);
  /* POST would get a new connection each time; what is really sent twice is decided by our own rules. */
  soup_message_set_flags (exchange->message, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_IDEMPOTENT);
  if (request->key) {
    g_autofree char *bearer = g_strconcat ("Bearer ", request->key, NULL);

    soup_message_headers_replace (headers, "Authorization", bearer);
    explicit_bzero (bearer, strlen (bearer));
  }
  soup_message_headers_replace (headers, "Accept", request->accept ? request->accept : "application/json");
  if (request->bill_to)
    soup_message_headers_replace (headers, "X-HF-Bill-To", request->bill_to);
  if (!set_body (exchange->message, request, &error)) {
    end_exchange (exchange, error);
    return G_SOURCE_REMOVE;
  }
  g_signal_connect (exchange->message, "restarted", G_CALLBACK (on_restarted), exchange);
  g_signal_connect (exchange->message, "wrote-body", G_CALLBACK (on_wrote_body), exchange);
  if (request->public_only && !may_be_fetched (exchange, uri)) {
    exchange->refused_address = TRUE;
    end_exchange (exchange, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, ""));
    return G_SOURCE_REMOVE;
  }
  if (request->public_only && !exchange->proxied)
    g_signal_connect (exchange->message, "network-event", G_CALLBACK (on_network_event), exchange);
  exchange->deadline = g_timeout_source_new (request->deadline ? request->deadline : G_MAXINT32);
  g_source_set_callback (exchange->deadline, on_deadline, exchange, NULL);
  g_source_attach (exchange->deadline, exchange->transport->context);
  soup_session_send_async (session_for (exchange->transport, uri, request->public_only), exchange->message,
                           G_PRIORITY_DEFAULT, exchange->cancellable, on_sent, exchange);
  return G_SOURCE_REMOVE;
}

/* ── The threads that wait ──────────────────────────────────────────────── */

static gboolean
cancel_exchange (gpointer user_data)
{
  g_cancellable_cancel (((Exchange *)user_data)->cancellable);
  return G_SOURCE_REMOVE;
}

static void
invoke (Exchange *exchange, GSourceFunc function)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, function, g_atomic_rc_box_acquire (exchange), exchange_unref);
  g_source_attach (source, exchange->transport->context);
}

static void
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  invoke (user_data, cancel_exchange);
}

/*
 * model_transport_send:
 *
 * Sends one request and waits for the whole answer; any thread. Redirects are not followed.
 *
 * Returns: (transfer full) (nullable): the answer, of whatever status, or %NULL: errors of GIO, `G_IO_ERROR_CANCELLED`
 *   only when @cancellable was cancelled, `G_IO_ERROR_TIMED_OUT` after the deadline or without a byte for the idle timeout
 */
ModelResponse *
model_transport_send (ModelTransport *transport, ModelRequest *request, GCancellable *cancellable, GError **error)
{
  Exchange *exchange;
  ModelResponse *response;
  gulong handler = 0;

  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  exchange = g_atomic_rc_box_new0 (Exchange);
  exchange->transport = transport;
  exchange->request = request;
  request->sent = FALSE;
  exchange->cancellable = g_cancellable_new ();
  g_mutex_init (&exchange->lock);
  g_cond_init (&exchange->ended);
  invoke (exchange, start_exchange);
  if (cancellable)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), exchange, NULL);
  g_mutex_lock (&exchange->lock);
  while (!exchange->done)
    g_cond_wait (&exchange->ended, &exchange->lock);
  g_mutex_unlock (&exchange->lock);
  g_cancellable_disconnect (cancellable, handler);
  response = g_steal_pointer (&exchange->response);
  if (!response)
    g_propagate_error (error, g_steal_pointer (&exchange->error));
  exchange_unref (exchange);
  return response;
}

static gpointer
run_network (gpointer user_data)
{
  ModelTransport *transport = user_data;

  g_main_context_push_thread_default (transport->context);
  transport->sessions = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  g_main_loop_run (transport->loop);
  g_clear_pointer (&transport->sessions, g_hash_table_unref);
  /* What closing the connections has left to do. */
  while (g_main_context_iteration (transport->context, FALSE))
    ;
  g_main_context_pop_thread_default (transport->context);
  return NULL;
}

/* Networks, hosts and, with what is below them, domains: as other programs understand no_proxy. */
static char **
direct_hosts (void)
{
  const char *lower = g_getenv ("no_proxy"), *upper = g_getenv ("NO_PROXY");
  g_auto (GStrv) named = g_strsplit_set (lower ? lower : upper ? upper : "", ", \t", -1);
  GPtrArray *hosts = g_ptr_array_new ();

  g_ptr_array_add (hosts, g_strdup ("localhost"));
  g_ptr_array_add (hosts, g_strdup ("127.0.0.0/8"));
  g_ptr_array_add (hosts, g_strdup ("::1"));
  for (guint i = 0; named[i]; i++) {
    if (!*named[i])
      continue;
    g_ptr_array_add (hosts, g_strdup (named[i]));
    if (g_ascii_isalpha (named[i][0]))
      g_ptr_array_add (hosts, g_strconcat (".", named[i], NULL));
  }
  g_ptr_array_add (hosts, NULL);
  return (char **)g_ptr_array_free (hosts, FALSE);
}

static gboolean
is_everything_direct (char **hosts)
{
  return g_strv_contains ((const char *const *)hosts, "*");
}

static gboolean
set_trust (ModelTransport *transport, DerushConfig *config, GError **error)
{
  const char *file = derush_config_get_string (config, "DERUSH_MODEL_CA_FILE");
  const char *proxy = derush_config_get_string (config, "DERUSH_MODEL_PROXY");
  g_auto (GStrv) direct = direct_hosts ();
  g_autoptr (GError) local = NULL;

  if (*proxy)
    transport->proxy = g_simple_proxy_resolver_new (is_everything_direct (direct) ? NULL : proxy, direct);
  if (!*file)
    return TRUE;
  transport->authorities = g_tls_file_database_new (file, &local);
  if (transport->authorities)
    return TRUE;
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("DERUSH_MODEL_CA_FILE %s cannot be used: %s"),
               file, local->message);
  return FALSE;
}

ModelTransport *
model_transport_new (DerushConfig *config, GError **error)
{
  g_autoptr (ModelTransport) transport = g_new0 (ModelTransport, 1);

  transport->idle_timeout = derush_config_get_int (config, "DERUSH_MODEL_IDLE_TIMEOUT");
  transport->connections = derush_config_get_int (config, "DERUSH_MODEL_CONCURRENCY");
  if (!set_trust (transport, config, error))
    return NULL;
  transport->context = g_main_context_new ();
  transport->loop = g_main_loop_new (transport->context, FALSE);
  transport->thread = g_thread_new ("network", run_network, transport);
  return g_steal_pointer (&transport);
}

static gboolean
on_quit (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

void
model_transport_free (ModelTransport *transport)
{
  if (transport->thread) {
    g_autoptr (GSource) source = g_idle_source_new ();

    g_source_set_callback (source, on_quit, transport->loop, NULL);
    g_source_attach (source, transport->context);
    g_thread_join (transport->thread);
  }
  g_clear_pointer (&transport->loop, g_main_loop_unref);
  g_clear_pointer (&transport->context, g_main_context_unref);
  g_clear_object (&transport->proxy);
  g_clear_object (&transport->authorities);
  g_free (transport);
}
