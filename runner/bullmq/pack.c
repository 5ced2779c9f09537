/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/pack-private.h"

#include <string.h>

void
bullmq_pack_init (BullmqPack *pack)
{
  msgpack_sbuffer_init (&pack->buffer);
  msgpack_packer_init (&pack->packer, &pack->buffer, msgpack_sbuffer_write);
}

void
bullmq_pack_clear (BullmqPack *pack)
{
  msgpack_sbuffer_destroy (&pack->buffer);
}

void
bullmq_pack_map (BullmqPack *pack, gsize members)
{
  msgpack_pack_map (&pack->packer, members);
}

void
bullmq_pack_array (BullmqPack *pack, gsize elements)
{
  msgpack_pack_array (&pack->packer, elements);
}

void
bullmq_pack_nil (BullmqPack *pack)
{
  msgpack_pack_nil (&pack->packer);
}

void
bullmq_pack_boolean (BullmqPack *pack, gboolean value)
{
  if (value)
    msgpack_pack_true (&pack->packer);
  else
    msgpack_pack_false (&pack->packer);
}

void
bullmq_pack_int (BullmqPack *pack, gint64 value)
{
  msgpack_pack_int64 (&pack->packer, value);
}

/* A %NULL @value is nil. */
void
bullmq_pack_string (BullmqPack *pack, const char *value, gssize length)
{
  if (!value) {
    bullmq_pack_nil (pack);
    return;
  }
  if (length < 0)
    length = strlen (value);
  msgpack_pack_str (&pack->packer, length);
  msgpack_pack_str_body (&pack->packer, value, length);
}

static void
pack_object (BullmqPack *pack, JsonObject *object)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  bullmq_pack_map (pack, json_object_get_size (object));
  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &name, &value)) {
    bullmq_pack_string (pack, name, -1);
    bullmq_pack_node (pack, value);
  }
}

static void
pack_value (BullmqPack *pack, JsonNode *node)
{
  GType type = json_node_get_value_type (node);

  if (type == G_TYPE_STRING)
    bullmq_pack_string (pack, json_node_get_string (node), -1);
  else if (type == G_TYPE_BOOLEAN)
    bullmq_pack_boolean (pack, json_node_get_boolean (node));
  else if (type == G_TYPE_DOUBLE)
    msgpack_pack_double (&pack->packer, json_node_get_double (node));
  else
    bullmq_pack_int (pack, json_node_get_int (node));
}

void
bullmq_pack_node (BullmqPack *pack, JsonNode *node)
{
  JsonArray *array;

  switch (json_node_get_node_type (node)) {
  case JSON_NODE_OBJECT:
    pack_object (pack, json_node_get_object (node));
    break;
  case JSON_NODE_ARRAY:
    array = json_node_get_array (node);
    bullmq_pack_array (pack, json_array_get_length (array));
    for (guint i = 0; i < json_array_get_length (array); i++)
      bullmq_pack_node (pack, json_array_get_element (array, i));
    break;
  case JSON_NODE_VALUE:
    pack_value (pack, node);
    break;
  case JSON_NODE_NULL:
    bullmq_pack_nil (pack);
    break;
  }
}
