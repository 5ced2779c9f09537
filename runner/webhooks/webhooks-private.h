/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inside of the room: signatures, pauses, and the messages on disk. */

#pragma once

#include "webhooks/webhooks.h"

G_BEGIN_DECLS

/* ── Pure functions (sign.c) ────────────────────────────────────────────── */

/* `v1,…` of Standard Webhooks. @secret: `whsec_` and base64, or any text. */
char *webhooks_sign (const char *secret, const char *id, gint64 timestamp, const char *body);

/* In ms, before the attempt that follows @attempts attempts; @random: 0 to 1. */
gint64 webhooks_pause (gint64 first, guint attempts, guint64 asked_s, double random);

/* FALSE: @text names an event that there is not. */
gboolean webhooks_parse_events (const char *text, GStrv *events, GError **error);

/* ── One message (spool.c) ──────────────────────────────────────────────── */

/**
 * WebhooksMessage:
 * @id: of the message, whichever attempt it is
 * @event: such as `job.completed`
 * @url: (nullable): where to; %NULL: to the one of the settings
 * @body: (nullable): what is signed and sent; %NULL while it is only on disk
 * @created: in ms since 1970
 * @due: when it is to be sent next, in ms since 1970
 * @attempts: those that were in vain
 */
typedef struct {
  char *id;
  char *event;
  char *url;
  char *body;
  gint64 created;
  gint64 due;
  guint attempts;
} WebhooksMessage;

void webhooks_message_free (WebhooksMessage *message);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WebhooksMessage, webhooks_message_free)

/* Messages on disk, in a folder that is locked as long as this process lives. */
typedef struct _WebhooksSpool WebhooksSpool;

WebhooksSpool *webhooks_spool_open (const char *folder, GError **error);
void webhooks_spool_close (WebhooksSpool *spool);
gboolean webhooks_spool_write (WebhooksSpool *spool, WebhooksMessage *message, GError **error);
WebhooksMessage *webhooks_spool_read (WebhooksSpool *spool, const char *id, GError **error);
void webhooks_spool_remove (WebhooksSpool *spool, const char *id);

/* Takes over what processes that have ended have left: (element-type WebhooksMessage), without bodies. */
GPtrArray *webhooks_spool_adopt (WebhooksSpool *spool);

G_END_DECLS
