/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "transfer/exchange-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <gio/gunixinputstream.h>
#include <glib/gi18n-lib.h>

#define MAX_ATTEMPTS 5
#define MAX_ANSWER (64 * 1024)
#define CHUNK (64 * 1024)

typedef struct {
  Exchange exchange;
  DerushUpload *options;
  int fd;
  gint64 length;
  char *md5; /* in base64 */
} Transfer;

static gboolean
fail_to_read (Transfer *self, int number, GError **error)
{
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("The finished file %s cannot be read: %s"),
               self->options->path, g_strerror (number));
  return FALSE;
}

/* Content-MD5 (RFC 1864) is what object stores check without having signed it. */
static gboolean
measure (Transfer *self, GError **error)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_MD5);
  g_autofree guchar *chunk = g_malloc (CHUNK);
  guint8 digest[16];
  gsize size = sizeof digest;
  gssize length;

  for (gint64 at = 0; (length = pread (self->fd, chunk, CHUNK, at)) > 0; at += length) {
    if (g_cancellable_set_error_if_cancelled (self->exchange.cancellable, error))
      return FALSE;
    g_checksum_update (checksum, chunk, length);
    self->length = at + length;
  }
  if (length < 0)
    return fail_to_read (self, errno, error);
  g_checksum_get_digest (checksum, digest, &size);
  self->md5 = g_base64_encode (digest, size);
  return TRUE;
}

static void
on_wrote (SoupMessage *message, guint size, gpointer user_data)
{
  Transfer *self = user_data;

  self->exchange.moved += size;
  if (self->options->progress && self->length > 0)
    self->options->progress (MIN ((double)self->exchange.moved / self->length, 1), self->options->user_data);
}

static SoupMessage *
new_message (Exchange *exchange, GUri *uri, gboolean own_origin)
{
  Transfer *self = exchange->owner;
  SoupMessage *message = exchange_message_new (SOUP_METHOD_PUT, uri, own_origin);
  SoupMessageHeaders *headers = soup_message_get_request_headers (message);
  g_autoptr (GInputStream) body = g_unix_input_stream_new (self->fd, FALSE);

  lseek (self->fd, 0, SEEK_SET);
  exchange->moved = exchange->window_bytes = 0;
  soup_message_set_request_body (message, self->options->content_type, body, self->length);
  soup_message_headers_replace (headers, "Content-MD5", self->md5);
  for (guint i = 0; own_origin && self->options->headers && self->options->headers[i]; i += 2)
    soup_message_headers_replace (headers, self->options->headers[i], self->options->headers[i + 1]);
  g_signal_connect (message, "wrote-body-data", G_CALLBACK (on_wrote), self);
  return message;
}

/* What the server says of an error is read, so that the connection ends in order, and not told: it may be anything. */
static gboolean
take_answer (Exchange *exchange, SoupMessage *message, GInputStream *body, GError **error)
{
  guint status = soup_message_get_status (message);
  g_autofree char *chunk = g_malloc (MAX_ANSWER);
  gssize length = 0, more;

  while (length < MAX_ANSWER && (more = exchange_read (exchange, body, chunk, MAX_ANSWER, NULL)) > 0)
    length += more;
  if (status >= 200 && status < 300)
    return TRUE;
  exchange->again = exchange_status_may_pass (status);
  if (exchange->again)
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The server of %s cannot answer at present: HTTP status %u"), exchange->display, status);
  else
    g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The server of %s does not take the file; check the address, and whether its signature is still "
                    "valid and meant for PUT: HTTP status %u"),
                 exchange->display, status);
  return FALSE;
}

static gboolean
run (Transfer *self, GError **error)
{
  if (!measure (self, error))
    return FALSE;
  for (guint attempts = 1;; attempts++) {
    g_autoptr (GError) local = NULL;

    if (exchange_attempt (&self->exchange, &local))
      return TRUE;
    if (!self->exchange.again || attempts == MAX_ATTEMPTS) {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
    derush_log (DERUSH_LOG_DEBUG, NULL, "%s (will be tried again)", local->message);
    if (!exchange_pause (&self->exchange, attempts, error))
      return FALSE;
  }
}

/**
 * derush_upload_run:
 * @upload: what, where to and how
 * @cancellable: (nullable): ends it within a tenth of a second
 * @error: return location for an error
 *
 * Sends a file with PUT, with its length and its MD5 for the server to check; blocks. A connection that breaks and a
 * server that is overloaded are tried again a few times, from the start: with PUT, the last one counts.
 *
 * Returns: whether the server has taken the file
 */
gboolean
derush_upload_run (DerushUpload *upload, GCancellable *cancellable, GError **error)
{
  g_autoptr (GCancellable) own = cancellable ? g_object_ref (cancellable) : g_cancellable_new ();
  Transfer self = {.exchange = {.url = upload->url,
                                .upload = TRUE,
                                .hosts = upload->hosts,
                                .allow_http = upload->allow_http,
                                .deadline = upload->deadline,
                                .stall = upload->stall,
                                .cancellable = own,
                                .new_message = new_message,
                                .take_answer = take_answer,
                                .owner = &self},
                   .options = upload};
  gboolean done;

  self.fd = open (upload->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (self.fd < 0)
    return fail_to_read (&self, errno, error);
  exchange_open (&self.exchange);
  done = run (&self, error);
  exchange_close (&self.exchange);
  close (self.fd);
  g_free (self.md5);
  return done;
}
