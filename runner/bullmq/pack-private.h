/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/core.h"

#include <msgpack.h>

G_BEGIN_DECLS

/* MessagePack as the library inside Redis reads it: text is `str`, never `bin`; no extensions. */
typedef struct {
  msgpack_sbuffer buffer;
  msgpack_packer packer;
} BullmqPack;

void bullmq_pack_init (BullmqPack *pack);
void bullmq_pack_clear (BullmqPack *pack);
void bullmq_pack_map (BullmqPack *pack, gsize members);
void bullmq_pack_array (BullmqPack *pack, gsize elements);
void bullmq_pack_nil (BullmqPack *pack);
void bullmq_pack_boolean (BullmqPack *pack, gboolean value);
void bullmq_pack_int (BullmqPack *pack, gint64 value);
void bullmq_pack_string (BullmqPack *pack, const char *value, gssize length);
void bullmq_pack_node (BullmqPack *pack, JsonNode *node);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (BullmqPack, bullmq_pack_clear)

G_END_DECLS
