/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "transfer/exchange-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_ANSWER (16 * 1024)

typedef struct {
  Exchange exchange;
  DerushPost *options;
} Transfer;

static SoupMessage *
new_message (Exchange *exchange, GUri *uri, gboolean own_origin)
{
  Transfer *self = exchange->owner;
  SoupMessage *message = exchange_message_new (SOUP_METHOD_POST, uri, own_origin);
  SoupMessageHeaders *headers = soup_message_get_request_headers (message);

  soup_message_set_request_body_from_bytes (message, self->options->content_type, self->options->body);
  for (guint i = 0; own_origin && self->options->headers && self->options->headers[i]; i += 2)
    soup_message_headers_replace (headers, self->options->headers[i], self->options->headers[i + 1]);
  return message;
}

/* What the server says beside its status is read, so that the connection ends in order, and not told: it may be anything. */
static gboolean
take_answer (Exchange *exchange, SoupMessage *message, GInputStream *body, GError **error)
{
  Transfer *self = exchange->owner;
  const char *later = soup_message_headers_get_one (soup_message_get_response_headers (message), "Retry-After");
  g_autofree char *chunk = g_malloc (MAX_ANSWER);
  gssize length = 0, more;

  while (length < MAX_ANSWER && (more = exchange_read (exchange, body, chunk, MAX_ANSWER, NULL)) > 0)
    length += more;
  self->options->status = soup_message_get_status (message);
  if (self->options->status >= 200 && self->options->status < 300)
    return TRUE;
  if (later && !g_ascii_string_to_unsigned (later, 10, 0, G_MAXINT32, &self->options->retry_after, NULL))
    self->options->retry_after = 0;
  g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The server of %s did not take the message: HTTP status %u"), exchange->display,
               self->options->status);
  return FALSE;
}

/**
 * derush_post_run:
 * @post: what, where to and how
 * @cancellable: (nullable): ends it within a tenth of a second
 * @error: return location for an error
 *
 * Sends a message with POST, once; blocks.
 *
 * Returns: whether the server has taken it: status 200 to 299
 */
gboolean
derush_post_run (DerushPost *post, GCancellable *cancellable, GError **error)
{
  g_autoptr (GCancellable) own = cancellable ? g_object_ref (cancellable) : g_cancellable_new ();
  gint64 deadline = g_get_monotonic_time () + post->patience;
  Transfer self = {.exchange = {.url = post->url,
                                .upload = TRUE,
                                .message = TRUE,
                                .hosts = post->hosts,
                                .allow_http = post->allow_http,
                                .deadline = deadline,
                                .stall = post->patience * 2,
                                .cancellable = own,
                                .new_message = new_message,
                                .take_answer = take_answer,
                                .owner = &self},
                   .options = post};
  gboolean done;

  post->status = 0;
  post->retry_after = 0;
  exchange_open (&self.exchange);
  done = exchange_attempt (&self.exchange, error);
  exchange_close (&self.exchange);
  return done;
}
