/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:webhooks
 * @title: webhooks
 * @short_description: telling other servers that jobs have ended
 *
 * A message is a POST of JSON, signed as Standard Webhooks has it: `webhook-id`, `webhook-timestamp` and `webhook-signature`,
 * HMAC-SHA256 over `ID.TIMESTAMP.BODY`. It is on disk before it is sent, sent again with growing pauses until a server has
 * taken it, and gone on with after a restart. It may come more than once, always with the same id.
 */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

#define DERUSH_WEBHOOKS_ERROR (derush_webhooks_error_quark ())
GQuark derush_webhooks_error_quark (void);

typedef struct _DerushWebhooks DerushWebhooks;

DerushWebhooks *derush_webhooks_new (DerushConfig *config, GError **error);
void derush_webhooks_free (DerushWebhooks *webhooks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushWebhooks, derush_webhooks_free)
gboolean derush_webhooks_wants (DerushWebhooks *webhooks, const char *event);
void derush_webhooks_send (DerushWebhooks *webhooks, const char *url, const char *event, JsonObject *data);
guint derush_webhooks_get_n_waiting (DerushWebhooks *webhooks);

G_END_DECLS
