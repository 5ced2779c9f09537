/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "transfer/exchange-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_REDIRECTS 5
#define MIN_RATE 1024 /* bytes per second */
#define TICK 50       /* ms */

/* ── Waiting ────────────────────────────────────────────────────────────── */

/* Called several times a second while a request runs: libsoup's own limit only knows of silence. */
static gboolean
on_tick (gpointer user_data)
{
  Exchange *self = user_data;
  gint64 now = g_get_monotonic_time ();

  if (g_cancellable_is_cancelled (self->cancellable)) {
    g_cancellable_cancel (self->attempt);
  } else if (now >= self->deadline) {
    self->late = TRUE;
    g_cancellable_cancel (self->attempt);
  } else if (now >= self->window_start + self->stall) {
    if (self->moved - self->window_bytes < self->stall / G_USEC_PER_SEC * MIN_RATE) {
      self->stalled = TRUE;
      g_cancellable_cancel (self->attempt);
    }
    self->window_start = now;
    self->window_bytes = self->moved;
  }
  return G_SOURCE_CONTINUE;
}

static void
on_cancelled (GCancellable *theirs, gpointer ours)
{
  g_cancellable_cancel (ours);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **)user_data = g_object_ref (result);
}

static GAsyncResult *
wait_for (Exchange *self, GAsyncResult **result)
{
  while (!*result)
    g_main_context_iteration (self->context, TRUE);
  return *result;
}

static void
fail_late (Exchange *self, GError **error)
{
  if (self->message)
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_STALLED, _ ("The server of %s does not answer"),
                 self->display);
  else if (self->upload)
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_STALLED,
                 _ ("Nothing more could be sent to %s within the time that the job has; give it a longer timeoutMs"),
                 self->display);
  else
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_STALLED,
                 _ ("%s could not be fetched within the time that the job has; give it a longer timeoutMs"),
                 self->display);
}

static void
fail_stalled (Exchange *self, GError **error)
{
  self->again = TRUE;
  if (self->upload)
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_STALLED,
                 _ ("The server of %s takes the file too slowly or does not answer"), self->display);
  else
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_STALLED,
                 _ ("The server of %s sends too slowly or nothing at all"), self->display);
}

static void
fail_broken (Exchange *self, GError *cause, GError **error)
{
  self->again = TRUE;
  if (self->message)
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s could not be reached: %s"), self->display,
                 cause->message);
  else if (self->upload)
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The file could not be sent to %s; the server may be away, or refuse the address or the size: %s"),
                 self->display, cause->message);
  else
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s could not be fetched: %s"), self->display,
                 cause->message);
}

gboolean
exchange_fail (Exchange *self, GError *cause, GError **error)
{
  if (g_cancellable_set_error_if_cancelled (self->cancellable, error))
    return FALSE;
  if (self->late)
    fail_late (self, error);
  else if (self->stalled)
    fail_stalled (self, error);
  else if (cause->domain == G_TLS_ERROR)
    g_set_error (error, DERUSH_TRANSFER_ERROR,
                 g_error_matches (cause, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE) ? DERUSH_ERROR_BAD_INPUT
                                                                                   : DERUSH_ERROR_RESOURCE,
                 _ ("No safe connection to the server of %s can be made: %s"), self->display, cause->message);
  else
    fail_broken (self, cause, error);
  return FALSE;
}

gssize
exchange_read (Exchange *self, GInputStream *body, void *buffer, gsize size, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) local = NULL;
  gssize length;

  g_input_stream_read_async (body, buffer, size, G_PRIORITY_DEFAULT, self->attempt, on_result, &result);
  length = g_input_stream_read_finish (body, wait_for (self, &result), &local);
  if (length < 0)
    exchange_fail (self, local, error);
  return length;
}

gboolean
exchange_status_may_pass (guint status)
{
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

/* ── Requests ───────────────────────────────────────────────────────────── */

static gboolean
check_scheme (Exchange *self, GUri *uri, GError **error)
{
  const char *host = g_uri_get_host (uri);
  g_autoptr (GInetAddress) address = host ? g_inet_address_new_from_string (host) : NULL;

  if (!host || *host == '\0') {
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s names no host"), self->display);
    return FALSE;
  }
  if (strcmp (g_uri_get_scheme (uri), "https") == 0)
    return TRUE;
  if (strcmp (g_uri_get_scheme (uri), "http") == 0 &&
      (self->allow_http || derush_allowed_hosts_has_name (self->hosts, host) ||
       (address && derush_allowed_hosts_has_address (self->hosts, address))))
    return TRUE;
  g_set_error (
      error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_UNSUPPORTED,
      _ ("%s leads to %s://%s, which is not used; take an https: address, set DERUSH_ALLOW_HTTP, or add the host "
         "to DERUSH_ALLOWED_HOSTS"),
      self->display, g_uri_get_scheme (uri), host);
  return FALSE;
}

/* A session for one host whose addresses are settled, without a proxy, which would resolve the name anew. */
static SoupSession *
new_session (GSocketConnectable *host)
{
  SoupSession *session =
      g_object_new (SOUP_TYPE_SESSION, "remote-connectable", host, "proxy-resolver", NULL, "timeout", 0, "user-agent",
                    "Derush/" PACKAGE_VERSION, "max-conns", 1, "max-conns-per-host", 1, NULL);

  soup_session_remove_feature_by_type (session, SOUP_TYPE_CONTENT_DECODER);
  soup_session_remove_feature_by_type (session, SOUP_TYPE_AUTH_MANAGER);
  return session;
}

/* The next address, if the answer is a redirect. */
static gboolean
follow (Exchange *self, SoupMessage *message, GUri **uri, GError **error)
{
  const char *location = soup_message_headers_get_one (soup_message_get_response_headers (message), "Location");
  g_autoptr (GUri) next = location ? g_uri_parse_relative (*uri, location, SOUP_HTTP_URI_FLAGS, NULL) : NULL;

  if (!next) {
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The server of %s redirects to no valid address"), self->display);
    return FALSE;
  }
  g_uri_unref (*uri);
  *uri = g_steal_pointer (&next);
  return TRUE;
}

/* With 301 to 303 a client may turn what it sends into a question: an upload follows only those that forbid it. */
static gboolean
is_redirect (Exchange *self, guint status)
{
  return status == 307 || status == 308 || (!self->upload && (status == 301 || status == 302 || status == 303));
}

/* Sends one request. Returns: the body of the answer */
static GInputStream *
send_request (Exchange *self, SoupSession *session, SoupMessage *message, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) local = NULL;
  GInputStream *body;

  soup_session_send_async (session, message, G_PRIORITY_DEFAULT, self->attempt, on_result, &result);
  body = soup_session_send_finish (session, wait_for (self, &result), &local);
  if (!body)
    exchange_fail (self, local, error);
  return body;
}

static GSocketConnectable *
resolve (Exchange *self, GUri *uri, GError **error)
{
  g_autoptr (GError) local = NULL;
  GSocketConnectable *host =
      transfer_resolve (g_uri_get_host (uri), g_uri_get_port (uri), self->hosts, self->attempt, &local);

  if (!host && local->domain == DERUSH_TRANSFER_ERROR) {
    self->again = derush_error_get_class (local) == DERUSH_ERROR_RESOURCE;
    g_propagate_error (error, g_steal_pointer (&local));
  } else if (!host) {
    exchange_fail (self, local, error);
  }
  return host;
}

static gboolean
request (Exchange *self, GError **error)
{
  g_autoptr (GUri) uri = g_uri_parse (self->url, SOUP_HTTP_URI_FLAGS, NULL);

  if (!uri) {
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s is not a valid address"), self->display);
    return FALSE;
  }
  for (guint hops = 0; hops <= MAX_REDIRECTS; hops++) {
    g_autoptr (GSocketConnectable) host = NULL;
    g_autoptr (SoupSession) session = NULL;
    g_autoptr (SoupMessage) message = NULL;
    g_autoptr (GInputStream) body = NULL;
    gboolean done;

    if (!check_scheme (self, uri, error))
      return FALSE;
    host = resolve (self, uri, error);
    if (!host)
      return FALSE;
    session = new_session (host);
    message = self->new_message (self, uri, hops == 0);
    body = send_request (self, session, message, error);
    if (!body)
      return FALSE;
    if (!is_redirect (self, soup_message_get_status (message))) {
      done = self->take_answer (self, message, body, error);
      soup_session_abort (session);
      return done;
    }
    soup_session_abort (session);
    if (!follow (self, message, &uri, error))
      return FALSE;
  }
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The server of %s redirects more than %d times"), self->display, MAX_REDIRECTS);
  return FALSE;
}

gboolean
exchange_attempt (Exchange *self, GError **error)
{
  g_autoptr (GSource) tick = g_timeout_source_new (TICK);
  gulong handler;
  gboolean done;

  self->attempt = g_cancellable_new ();
  self->again = self->late = self->stalled = FALSE;
  self->window_start = g_get_monotonic_time ();
  self->window_bytes = self->moved;
  handler = g_cancellable_connect (self->cancellable, G_CALLBACK (on_cancelled), g_object_ref (self->attempt),
                                   g_object_unref);
  g_source_set_callback (tick, on_tick, self, NULL);
  g_source_attach (tick, self->context);
  done = request (self, error);
  g_source_destroy (tick);
  g_cancellable_disconnect (self->cancellable, handler);
  g_clear_object (&self->attempt);
  return done;
}

gboolean
exchange_pause (Exchange *self, guint futile, GError **error)
{
  gint64 until = g_get_monotonic_time () + (G_USEC_PER_SEC / 5 << MIN (futile, 5));

  while (g_get_monotonic_time () < MIN (until, self->deadline)) {
    GPollFD fd;
    gboolean watched = g_cancellable_make_pollfd (self->cancellable, &fd);

    g_poll (&fd, watched ? 1 : 0, (until - g_get_monotonic_time ()) / 1000 + 1);
    if (watched)
      g_cancellable_release_fd (self->cancellable);
    if (g_cancellable_set_error_if_cancelled (self->cancellable, error))
      return FALSE;
  }
  return TRUE;
}

/* User and password of the address go with the first request: libsoup would send them only when it is asked to. */
static void
set_credentials (SoupMessage *message, GUri *uri)
{
  g_autofree char *pair = NULL, *encoded = NULL, *value = NULL;

  if (!g_uri_get_user (uri))
    return;
  pair = g_strdup_printf ("%s:%s", g_uri_get_user (uri), g_uri_get_password (uri) ? g_uri_get_password (uri) : "");
  encoded = g_base64_encode ((guchar *)pair, strlen (pair));
  value = g_strconcat ("Basic ", encoded, NULL);
  soup_message_headers_replace (soup_message_get_request_headers (message), "Authorization", value);
}

SoupMessage *
exchange_message_new (const char *method, GUri *uri, gboolean own_origin)
{
  g_autoptr (GUri) bare =
      soup_uri_copy (uri, SOUP_URI_USER, NULL, SOUP_URI_PASSWORD, NULL, SOUP_URI_FRAGMENT, NULL, SOUP_URI_NONE);
  SoupMessage *message = soup_message_new_from_uri (method, bare);

  soup_message_add_flags (message, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_DO_NOT_USE_AUTH_CACHE);
  soup_message_headers_replace (soup_message_get_request_headers (message), "Accept-Encoding", "identity");
  if (own_origin)
    set_credentials (message, uri);
  return message;
}

void
exchange_open (Exchange *self)
{
  self->display = derush_transfer_describe (self->url);
  self->context = g_main_context_new ();
  g_main_context_push_thread_default (self->context);
}

void
exchange_close (Exchange *self)
{
  while (g_main_context_iteration (self->context, FALSE))
    ;
  g_main_context_pop_thread_default (self->context);
  g_main_context_unref (self->context);
  g_free (self->display);
}
