/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "transfer/exchange-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

#define MAX_FUTILE 4 /* attempts in a row that get no further than those before */
#define MAX_ATTEMPTS 50
#define CHUNK (256 * 1024)

typedef struct {
  Exchange exchange;
  DerushDownload *options;
  int fd;
  gint64 length;   /* of the whole; -1 while unknown */
  char *validator; /* a strong ETag or Last-Modified */
  GChecksumType checksum_type;
  char *checksum; /* in base64, or %NULL */
  gint64 space_checked;
} Transfer;

/* ── File ───────────────────────────────────────────────────────────────── */

static gboolean
check_size (Transfer *self, gint64 size, GError **error)
{
  if (size <= self->options->max_bytes)
    return TRUE;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("%s is too long; DERUSH_MAX_INPUT_BYTES is %" PRId64), self->exchange.display,
               self->options->max_bytes);
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
      self->exchange.display, available >> 20, ((more + self->options->min_free) >> 20) + 1);
  return FALSE;
}

static gboolean
write_all (Transfer *self, const guchar *data, gsize length, GError **error)
{
  if (derush_write_all (self->fd, data, length))
    return TRUE;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("The source cannot be written to %s: %s"),
               self->options->path, g_strerror (errno));
  return FALSE;
}

static gboolean
start_over (Transfer *self, GError **error)
{
  g_clear_pointer (&self->validator, g_free);
  g_clear_pointer (&self->checksum, g_free);
  self->length = -1;
  self->exchange.moved = 0;
  self->exchange.window_bytes = 0;
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
  self->exchange.again = exchange_status_may_pass (status);
  if (self->exchange.again)
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The server of %s cannot answer at present: HTTP status %u"), self->exchange.display, status);
  else
    g_set_error (
        error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
        _ ("The server of %s does not give it; check the address and whether its signature is still valid: HTTP "
           "status %u"),
        self->exchange.display, status);
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

  if (status == SOUP_STATUS_PARTIAL_CONTENT && self->exchange.moved > 0) {
    if (soup_message_headers_get_content_range (headers, &start, &end, &total) && start == self->exchange.moved &&
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
  self->exchange.again = TRUE;
  if (start_over (self, error))
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The server of %s sent another part than the one asked for"), self->exchange.display);
  return FALSE;
}

static gboolean
read_body (Transfer *self, GInputStream *body, GError **error)
{
  g_autofree guchar *chunk = g_malloc (CHUNK);

  for (;;) {
    gssize length = exchange_read (&self->exchange, body, chunk, CHUNK, error);

    if (length < 0)
      return FALSE;
    if (length == 0)
      break;
    if (!check_size (self, self->exchange.moved + length, error))
      return FALSE;
    if (self->exchange.moved + length > self->space_checked) {
      if (!check_space (self, length, error))
        return FALSE;
      self->space_checked = self->exchange.moved + 16 * CHUNK;
    }
    if (!write_all (self, chunk, length, error))
      return FALSE;
    self->exchange.moved += length;
    if (self->options->progress && self->length > 0)
      self->options->progress (MIN ((double)self->exchange.moved / self->length, 1), self->options->user_data);
  }
  if (self->length < 0 || self->exchange.moved == self->length)
    return TRUE;
  self->exchange.again = TRUE;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The server of %s ended too early: %" PRId64 " of %" PRId64 " bytes came"), self->exchange.display,
               self->exchange.moved, self->length);
  return FALSE;
}

static SoupMessage *
new_message (Exchange *exchange, GUri *uri, gboolean own_origin)
{
  Transfer *self = exchange->owner;
  SoupMessage *message = exchange_message_new (SOUP_METHOD_GET, uri, own_origin);
  SoupMessageHeaders *headers = soup_message_get_request_headers (message);

  if (exchange->moved > 0) {
    soup_message_headers_set_range (headers, exchange->moved, -1);
    soup_message_headers_replace (headers, "If-Range", self->validator);
  }
  return message;
}

static gboolean
take_answer (Exchange *exchange, SoupMessage *message, GInputStream *body, GError **error)
{
  Transfer *self = exchange->owner;

  return place_answer (self, message, error) && read_body (self, body, error);
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
    if (g_cancellable_set_error_if_cancelled (self->exchange.cancellable, error))
      return FALSE;
    g_checksum_update (checksum, chunk, length);
  }
  g_checksum_get_digest (checksum, digest, &size);
  found = g_base64_encode (digest, size);
  if (strcmp (found, self->checksum) == 0)
    return TRUE;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("%s was damaged on its way: its checksum is not the one that the server gives"),
               self->exchange.display);
  return FALSE;
}

static gboolean
run (Transfer *self, GError **error)
{
  gint64 most = 0;
  guint futile = 0;

  for (guint attempts = 1;; attempts++) {
    g_autoptr (GError) local = NULL;

    if (exchange_attempt (&self->exchange, &local))
      return verify (self, error);
    futile = self->exchange.moved > most ? 0 : futile + 1;
    most = MAX (most, self->exchange.moved);
    if (!self->exchange.again || futile == MAX_FUTILE || attempts == MAX_ATTEMPTS) {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
    derush_log (DERUSH_LOG_DEBUG, NULL, "%s (will be tried again)", local->message);
    if (!self->validator && !start_over (self, error))
      return FALSE;
    if (!exchange_pause (&self->exchange, futile, error))
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
  Transfer self = {.exchange = {.url = download->url,
                                .hosts = download->hosts,
                                .allow_http = download->allow_http,
                                .deadline = download->deadline,
                                .stall = download->stall,
                                .cancellable = own,
                                .new_message = new_message,
                                .take_answer = take_answer,
                                .owner = &self},
                   .options = download,
                   .length = -1};
  gboolean done = FALSE;

  self.fd = open (download->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (self.fd < 0) {
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("The source cannot be written to %s: %s"),
                 download->path, g_strerror (errno));
    return FALSE;
  }
  exchange_open (&self.exchange);
  done = run (&self, error);
  exchange_close (&self.exchange);
  download->complete = self.length >= 0;
  close (self.fd);
  if (!done)
    unlink (download->path);
  g_free (self.validator);
  g_free (self.checksum);
  return done;
}
