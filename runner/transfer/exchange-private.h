/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transfer/transfer-private.h"

#include <libsoup/soup.h>

G_BEGIN_DECLS

typedef struct _Exchange Exchange;

/* @own_origin: whether @uri is the address that was given, not one that a redirect has led to. */
typedef SoupMessage *(*ExchangeMessage) (Exchange *exchange, GUri *uri, gboolean own_origin);
typedef gboolean (*ExchangeAnswer) (Exchange *exchange, SoupMessage *message, GInputStream *body, GError **error);

/* One address and the requests that are made to it: what a download and an upload have in common. The owner sets the
 * members of the first part. */
struct _Exchange {
  const char *url;
  gboolean upload;  /* for the words of the errors, and for what redirects may ask for */
  gboolean message; /* what is sent is no file */
  DerushAllowedHosts *hosts;
  gboolean allow_http;
  gint64 deadline;           /* by the monotonic clock, in µs, of all attempts together */
  gint64 stall;              /* µs within which at least 1 KiB/s on average must move */
  GCancellable *cancellable; /* never %NULL */
  ExchangeMessage new_message;
  ExchangeAnswer take_answer;
  gpointer owner;

  char *display;
  gint64 moved;          /* bytes of the body: from the start of the file */
  gboolean again;        /* whether the failure of the last attempt may pass by itself */
  GCancellable *attempt; /* ends one request */
  GMainContext *context;
  gboolean late, stalled;
  gint64 window_start, window_bytes;
};

void exchange_open (Exchange *exchange);
void exchange_close (Exchange *exchange);

/* One request with all its limits, and those that it is redirected to. */
gboolean exchange_attempt (Exchange *exchange, GError **error);

/* Waits between attempts; the longer, the more of them were in vain. */
gboolean exchange_pause (Exchange *exchange, guint futile, GError **error);

/* What it means that an operation ended with @cause. */
gboolean exchange_fail (Exchange *exchange, GError *cause, GError **error);

/* Reads the next part of an answer's body. Returns: its length, 0 at the end, -1 on failure */
gssize exchange_read (Exchange *exchange, GInputStream *body, void *buffer, gsize size, GError **error);

/* Whether a status says that the same request may succeed later. */
gboolean exchange_status_may_pass (guint status);

/* A request as they all are; the credentials of an address are for its own origin only. */
SoupMessage *exchange_message_new (const char *method, GUri *uri, gboolean own_origin);

G_END_DECLS
