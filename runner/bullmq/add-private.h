/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bullmq/connection-private.h"

G_BEGIN_DECLS

/* The parent of a job that is added: the key of its queue, which ends without a colon, and its own. */
typedef struct {
  const char *queue_key;
  const char *id;
  gsize id_length;
} BullmqParent;

gboolean bullmq_add_check_options (JsonObject *options, GError **error);
JsonObject *bullmq_add_stored_options (JsonObject *options);
BullmqCommand *bullmq_add_command (const char *base, const char *name, const char *data, JsonObject *options,
                                   const BullmqParent *parent);

G_END_DECLS
