/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "transfer/transfer-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <libsoup/soup.h>

#define MAX_REDIRECTS 5
#define MAX_FUTILE 4 /* attempts in a row that get no further than those before */
#define MAX_ATTEMPTS 50
#define CHUNK (256 * 1024)
#define MIN_RATE 1024 /* bytes per second */
#define TICK 50       /* ms */

typedef struct {
  DerushDownload *options;
  GCancellable *cancellable; /* the caller's */
  char *display;
  int fd;
  gint64 received;
  gint64 length;   /* of the whole; -1 while unknown */
  char *validator; /* a strong ETag or Last-Modified */
  GChecksumType checksum_type;
  char *checksum; /* in base64, or %NULL */

  GMainContext *context;
  GCancellable *attempt; /* ends one request */
  gboolean late, stalled;
  gboolean again; /* whether the failure may pass by itself */
  gint64 window_start, window_bytes;
  gint64 space_checked;
} Transfer;

/* ── Names ──────────────────────────────────────────────────────────────── */

/**
 * derush_transfer_is_remote:
 * @source: a source as a job names it
 *
 * Returns: whether it is an `http:` or `https:` address
 */
gboolean
derush_transfer_is_remote (const char *source)
{
  return g_ascii_strncasecmp (source, "https://", 8) == 0 || g_ascii_strncasecmp (source, "http://", 7) == 0;
}

/**
 * derush_transfer_describe:
 * @url: a source as a job names it
 *
 * Returns: (transfer full): @url without what may be secret: user, password, query and fragment; a path as it is
 */
char *
derush_transfer_describe (const char *url)
{
  const char *authority, *end, *at = NULL;

  if (!derush_transfer_is_remote (url))
    return g_strdup (url);
  authority = strstr (url, "://") + 3;
  end = authority + strcspn (authority, "/?#");
  for (const char *c = authority; c < end; c++)
    if (*c == '@')
      at = c + 1;
  if (at) {
    g_autofree char *rest = g_strndup (at, strcspn (at, "?#"));

    return g_strdup_printf ("%.*s%s", (int)(authority - url), url, rest);
  }
  return g_strndup (url, strcspn (url, "?#"));
}

/* ── Waiting ────────────────────────────────────────────────────────────── */

/* Called several times a second while a request runs: libsoup's own limit only knows of silence. */
static gboolean
on_tick (gpointer user_data)
{
  Transfer *self = user_data;
  gint64 now = g_get_monotonic_time ();

  if (g_cancellable_is_cancelled (self->cancellable)) {
    g_cancellable_cancel (self->attempt);
  } else if (now >= self->options->deadline) {
    self->late = TRUE;
    g_cancellable_cancel (self->attempt);
  } else if (now >= self->window_start + self->options->stall) {
    if (self->received - self->window_bytes < self->options->stall / G_USEC_PER_SEC * MIN_RATE) {
      self->stalled = TRUE;
      g_cancellable_cancel (self->attempt);
    }
    self->window_start = now;
    self->window_bytes = self->received;
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
wait_for (Transfer *self, GAsyncResult **result)
{
  while (!*result)
    g_main_context_iteration (self->context, TRUE);
  return *result;
}

/* What a request that ended with @cause means. */
static gboolean
fail_transport (Transfer *self, GError *cause, GError **error)
{
  if (g_cancellable_set_error_if_cancelled (self->cancellable, error))
    return FALSE;
  if (self->late) {
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_STALLED,
                 _ ("%s could not be fetched within the time that the job has; give it a longer timeoutMs"),
                 self->display);
  } else if (self->stalled) {
    self->again = TRUE;
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_STALLED,
                 _ ("The server of %s sends too slowly or nothing at all"), self->display);
  } else if (cause->domain == G_TLS_ERROR) {
    g_set_error (error, DERUSH_TRANSFER_ERROR,
                 g_error_matches (cause, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE) ? DERUSH_ERROR_BAD_INPUT
                                                                                   : DERUSH_ERROR_RESOURCE,
                 _ ("No safe connection to the server of %s can be made: %s"), self->display, cause->message);
  } else {
    self->again = TRUE;
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s could not be fetched: %s"), self->display,
                 cause->message);
  }
  return FALSE;
}

/* ── File ───────────────────────────────────────────────────────────────── */

static gboolean
check_size (Transfer *self, gint64 size, GError **error)
{
  if (size <= self->options->max_bytes)
    return TRUE;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("%s is too long; DERUSH_MAX_INPUT_BYTES is %" PRId64), self->display, self->options->max_bytes);
  return FALSE;
}

/* @more: bytes that are to come. */
static gboolean
check_space (Transfer *self, gint64 more, GError **error)
{
  struct statvfs status;
  gint64 available;

  if (fstatvfs (self->fd, &status) != 0)
    return TRUE;
  available = (gint64)(status.f_bavail * status.f_frsize);
  if (available - more >= self->options->min_free)
    return TRUE;
  g_set_error (
      error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
      _ ("There is too little space left for %s; make room on the disk of DERUSH_SCRATCH or change it: %" PRId64
         " MiB are free, %" PRId64 " MiB are needed"),
      self->display, available >> 20, ((more + self->options->min_free) >> 20) + 1);
  return FALSE;
}

static gboolean
write_all (Transfer *self, const guchar *data, gsize length, GError **error)
{
  while (length > 0) {
    gssize written = write (self->fd, data, length);

    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0) {
      g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("The source cannot be written to %s: %s"),
                   self->options->path, g_strerror (errno));
      return FALSE;
    }
    data += written;
    length -= written;
  }
  return TRUE;
}

static gboolean
start_over (Transfer *self, GError **error)
{
  g_clear_pointer (&self->validator, g_free);
  g_clear_pointer (&self->checksum, g_free);
  self->length = -1;
  self->received = 0;
  self->window_bytes = 0;
  self->space_checked = 0;
  if (ftruncate (self->fd, 0) == 0 && lseek (self->fd, 0, SEEK_SET) == 0)
    return TRUE;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("The source cannot be written to %s: %s"),
               self->options->path, g_strerror (errno));
  return FALSE;
}

/* ── Answers ────────────────────────────────────────────────────────────── */

static gboolean
fail_status (Transfer *self, guint status, GError **error)
{
  self->again = status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501 && status != 505);
  if (self->again)
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The server of %s cannot answer at present: HTTP status %u"), self->display, status);
  else
    g_set_error (
        error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
        _ ("The server of %s does not give it; check the address and whether its signature is still valid: HTTP "
           "status %u"),
        self->display, status);
  return FALSE;
}

/* What the server says of the whole, to be used once all is there. A checksum with a “-” is one of parts. */
static void
take_headers (Transfer *self, SoupMessageHeaders *headers)
{
  static const struct {
    const char *header;
    GChecksumType type;
  } sums[] = {{"x-amz-checksum-sha256", G_CHECKSUM_SHA256},
              {"x-amz-checksum-sha1", G_CHECKSUM_SHA1},
              {"Content-MD5", G_CHECKSUM_MD5}};
  const char *tag = soup_message_headers_get_one (headers, "ETag");

  if (soup_message_headers_get_encoding (headers) == SOUP_ENCODING_CONTENT_LENGTH)
    self->length = soup_message_headers_get_content_length (headers);
  if (tag && !g_str_has_prefix (tag, "W/"))
    self->validator = g_strdup (tag);
  else
    self->validator = g_strdup (soup_message_headers_get_one (headers, "Last-Modified"));
  for (guint i = 0; i < G_N_ELEMENTS (sums) && !self->checksum; i++) {
    const char *sum = soup_message_headers_get_one (headers, sums[i].header);

    if (sum && !strchr (sum, '-')) {
      self->checksum = g_strdup (sum);
      self->checksum_type = sums[i].type;
    }
  }
}

/* Whether what follows is to be written where the last attempt ended, or at the start. */
static gboolean
place_answer (Transfer *self, SoupMessage *message, GError **error)
{
  SoupMessageHeaders *headers = soup_message_get_response_headers (message);
  guint status = soup_message_get_status (message);
  goffset start, end, total;

  if (status == SOUP_STATUS_PARTIAL_CONTENT && self->received > 0) {
    if (soup_message_headers_get_content_range (headers, &start, &end, &total) && start == self->received &&
        (total < 0 || self->length < 0 || total == self->length)) {
      if (self->length < 0)
        self->length = total;
      return TRUE;
    }
  } else if (status == SOUP_STATUS_OK) {
    if (!start_over (self, error))
      return FALSE;
    take_headers (self, headers);
    return self->length < 0 || (check_size (self, self->length, error) && check_space (self, self->length, error));
  } else if (status != SOUP_STATUS_PARTIAL_CONTENT && status != SOUP_STATUS_REQUESTED_RANGE_NOT_SATISFIABLE) {
    return fail_status (self, status, error);
  }
  self->again = TRUE;
  if (start_over (self, error))
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The server of %s sent another part than the one asked for"), self->display);
  return FALSE;
}

static gboolean
read_body (Transfer *self, GInputStream *body, GError **error)
{
  g_autofree guchar *chunk = g_malloc (CHUNK);

  for (;;) {
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (GError) local = NULL;
    gssize length;

    g_input_stream_read_async (body, chunk, CHUNK, G_PRIORITY_DEFAULT, self->attempt, on_result, &result);
    length = g_input_stream_read_finish (body, wait_for (self, &result), &local);
    if (length < 0)
      return fail_transport (self, local, error);
    if (length == 0)
      break;
    if (!check_size (self, self->received + length, error))
      return FALSE;
    if (self->received + length > self->space_checked) {
      if (!check_space (self, length, error))
        return FALSE;
      self->space_checked = self->received + 16 * CHUNK;
    }
    if (!write_all (self, chunk, length, error))
      return FALSE;
    self->received += length;
    if (self->options->progress && self->length > 0)
      self->options->progress (MIN ((double)self->received / self->length, 1), self->options->user_data);
  }
  if (self->length < 0 || self->received == self->length)
    return TRUE;
  self->again = TRUE;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The server of %s ended too early: %" PRId64 " of %" PRId64 " bytes came"), self->display,
               self->received, self->length);
  return FALSE;
}

/* ── Requests ───────────────────────────────────────────────────────────── */

static gboolean
check_scheme (Transfer *self, GUri *uri, GError **error)
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
      (self->options->allow_http || derush_allowed_hosts_has_name (self->options->hosts, host) ||
       (address && derush_allowed_hosts_has_address (self->options->hosts, address))))
    return TRUE;
  g_set_error (
      error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_UNSUPPORTED,
      _ ("%s leads to %s://%s, which is not fetched; use an https: address, set DERUSH_ALLOW_HTTP, or add the host "
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

static SoupMessage *
new_message (Transfer *self, GUri *uri, gboolean own_origin)
{
  g_autoptr (GUri) bare =
      soup_uri_copy (uri, SOUP_URI_USER, NULL, SOUP_URI_PASSWORD, NULL, SOUP_URI_FRAGMENT, NULL, SOUP_URI_NONE);
  SoupMessage *message = soup_message_new_from_uri (SOUP_METHOD_GET, bare);
  SoupMessageHeaders *headers = soup_message_get_request_headers (message);

  soup_message_add_flags (message, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_DO_NOT_USE_AUTH_CACHE);
  soup_message_headers_replace (headers, "Accept-Encoding", "identity");
  if (own_origin && g_uri_get_user (uri)) {
    g_autofree char *pair =
        g_strdup_printf ("%s:%s", g_uri_get_user (uri), g_uri_get_password (uri) ? g_uri_get_password (uri) : "");
    g_autofree char *encoded = g_base64_encode ((guchar *)pair, strlen (pair));
    g_autofree char *value = g_strconcat ("Basic ", encoded, NULL);

    soup_message_headers_replace (headers, "Authorization", value);
  }
  if (self->received > 0) {
    soup_message_headers_set_range (headers, self->received, -1);
    soup_message_headers_replace (headers, "If-Range", self->validator);
  }
  return message;
}

/* The next address, if the answer is a redirect. */
static gboolean
follow (Transfer *self, SoupMessage *message, GUri **uri, GError **error)
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

static gboolean
is_redirect (guint status)
{
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static gboolean
request (Transfer *self, GError **error)
{
  g_autoptr (GUri) uri = g_uri_parse (self->options->url, SOUP_HTTP_URI_FLAGS, NULL);

  if (!uri) {
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s is not a valid address"), self->display);
    return FALSE;
  }
  for (guint hops = 0; hops <= MAX_REDIRECTS; hops++) {
    g_autoptr (GSocketConnectable) host = NULL;
    g_autoptr (SoupSession) session = NULL;
    g_autoptr (SoupMessage) message = NULL;
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (GInputStream) body = NULL;
    g_autoptr (GError) local = NULL;
    gboolean done;

    if (!check_scheme (self, uri, error))
      return FALSE;
    host = transfer_resolve (g_uri_get_host (uri), g_uri_get_port (uri), self->options->hosts, self->attempt, &local);
    if (!host && local->domain == DERUSH_TRANSFER_ERROR) {
      self->again = derush_error_get_class (local) == DERUSH_ERROR_RESOURCE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
    if (!host)
      return fail_transport (self, local, error);
    session = new_session (host);
    message = new_message (self, uri, hops == 0);
    soup_session_send_async (session, message, G_PRIORITY_DEFAULT, self->attempt, on_result, &result);
    body = soup_session_send_finish (session, wait_for (self, &result), &local);
    if (!body)
      return fail_transport (self, local, error);
    if (!is_redirect (soup_message_get_status (message))) {
      done = place_answer (self, message, error) && read_body (self, body, error);
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

/* One request with all its limits. */
static gboolean
attempt (Transfer *self, GError **error)
{
  g_autoptr (GSource) tick = g_timeout_source_new (TICK);
  gulong handler;
  gboolean done;

  self->attempt = g_cancellable_new ();
  self->again = self->late = self->stalled = FALSE;
  self->window_start = g_get_monotonic_time ();
  self->window_bytes = self->received;
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

/* Between attempts. */
static gboolean
pause_for (Transfer *self, gint64 until, GError **error)
{
  while (g_get_monotonic_time () < MIN (until, self->options->deadline)) {
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

static gboolean
verify (Transfer *self, GError **error)
{
  g_autoptr (GChecksum) checksum = NULL;
  g_autofree guchar *chunk = g_malloc (CHUNK);
  g_autofree char *found = NULL;
  guint8 digest[64];
  gsize size = sizeof digest;
  gssize length;

  if (!self->checksum)
    return TRUE;
  checksum = g_checksum_new (self->checksum_type);
  for (gint64 at = 0; (length = pread (self->fd, chunk, CHUNK, at)) > 0; at += length) {
    if (g_cancellable_set_error_if_cancelled (self->cancellable, error))
      return FALSE;
    g_checksum_update (checksum, chunk, length);
  }
  g_checksum_get_digest (checksum, digest, &size);
  found = g_base64_encode (digest, size);
  if (strcmp (found, self->checksum) == 0)
    return TRUE;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("%s was damaged on its way: its checksum is not the one that the server gives"), self->display);
  return FALSE;
}

static gboolean
run (Transfer *self, GError **error)
{
  gint64 most = 0;
  guint futile = 0;

  for (guint attempts = 1;; attempts++) {
    g_autoptr (GError) local = NULL;

    if (attempt (self, &local))
      return verify (self, error);
    futile = self->received > most ? 0 : futile + 1;
    most = MAX (most, self->received);
    if (!self->again || futile == MAX_FUTILE || attempts == MAX_ATTEMPTS) {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
    derush_log (DERUSH_LOG_DEBUG, NULL, "%s (will be tried again)", local->message);
    if (!self->validator && !start_over (self, error))
      return FALSE;
    if (!pause_for (self, g_get_monotonic_time () + (G_USEC_PER_SEC / 5 << MIN (futile, 5)), error))
      return FALSE;
  }
}

/**
 * derush_download_run:
 * @download: what and how
 * @cancellable: (nullable): ends it within a tenth of a second
 * @error: return location for an error
 *
 * Fetches a file; blocks. A connection that breaks, and a server that is overloaded, are tried again a few times with
 * growing pauses, and go on where they were if the server can do that and the file has not changed meanwhile. A failure
 * leaves no file behind.
 *
 * Returns: whether the file is there
 */
gboolean
derush_download_run (DerushDownload *download, GCancellable *cancellable, GError **error)
{
  g_autoptr (GCancellable) own = cancellable ? g_object_ref (cancellable) : g_cancellable_new ();
  Transfer self = {.options = download, .cancellable = own, .length = -1};
  gboolean done = FALSE;

  self.fd = open (download->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (self.fd < 0) {
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("The source cannot be written to %s: %s"),
                 download->path, g_strerror (errno));
    return FALSE;
  }
  self.display = derush_transfer_describe (download->url);
  self.context = g_main_context_new ();
  g_main_context_push_thread_default (self.context);
  done = run (&self, error);
  while (g_main_context_iteration (self.context, FALSE))
    ;
  g_main_context_pop_thread_default (self.context);
  g_main_context_unref (self.context);
  download->complete = self.length >= 0;
  close (self.fd);
  if (!done)
    unlink (download->path);
  g_free (self.display);
  g_free (self.validator);
  g_free (self.checksum);
  return done;
}
