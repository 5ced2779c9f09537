/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <math.h>

#define MAX_DELAY_MS 9007199254740991.0 /* what a JavaScript number holds exactly */

gint64
bullmq_options_backoff (JsonObject *options, guint failures, double random)
{
  JsonNode *node =
      options && json_object_has_member (options, "backoff") ? json_object_get_member (options, "backoff") : NULL;
  double delay, jitter = 0, multiplier = 2;
  const char *type = "fixed";

  if (!node)
    return 0;
  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *backoff = json_node_get_object (node);

    type = derush_json_get_string (backoff, "type", "fixed");
    delay = derush_json_get_number (backoff, "delay", 0);
    jitter = CLAMP (derush_json_get_number (backoff, "jitter", 0), 0, 1);
    /* Not BullMQ's own, whose workers double. */
    multiplier = MAX (derush_json_get_number (backoff, "multiplier", 2), 1);
  } else if (JSON_NODE_HOLDS_VALUE (node)) {
    delay = json_node_get_double (node);
  } else {
    return 0;
  }
  /* A strategy that only the backend's own workers know is taken for a fixed wait. */
  if (g_strcmp0 (type, "exponential") == 0)
    delay = round (pow (multiplier, MIN (failures, 1024) - 1.0) * delay);
  if (jitter > 0)
    delay = floor (random * delay * jitter + delay * (1 - jitter));
  return isfinite (delay) && delay > 0 ? (gint64)MIN (delay, MAX_DELAY_MS) : delay > 0 ? (gint64)MAX_DELAY_MS : 0;
}

static void
pack_count (BullmqPack *pack, gint64 count)
{
  bullmq_pack_map (pack, 1);
  bullmq_pack_string (pack, "count", -1);
  bullmq_pack_int (pack, count);
}

/* What is kept of finished jobs: the job's option @name, else @fallback, else everything. */
void
bullmq_options_pack_keep (BullmqPack *pack, JsonObject *options, const char *name, JsonObject *fallback)
{
  JsonNode *node = options && json_object_has_member (options, name) ? json_object_get_member (options, name) : NULL;
  GType type = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;

  if (node && JSON_NODE_HOLDS_OBJECT (node)) {
    bullmq_pack_node (pack, node);
  } else if (type == G_TYPE_BOOLEAN) {
    pack_count (pack, json_node_get_boolean (node) ? 0 : -1);
  } else if (type == G_TYPE_INT64 || type == G_TYPE_DOUBLE) {
    pack_count (pack, json_node_get_int (node));
  } else if (fallback) {
    g_autoptr (JsonNode) whole = json_node_init_object (json_node_alloc (), fallback);

    bullmq_pack_node (pack, whole);
  } else {
    pack_count (pack, -1);
  }
}

/**
 * bullmq_options_add_trace:
 * @stacktrace: (nullable): the field of the job's hash, a JSON array of texts
 * @options: the job's options; stackTraceLimit: how many of the last traces are kept
 * @reason: why the job failed
 * @stack: (nullable): more lines
 *
 * Returns: (transfer full): the field with one trace more
 */
char *
bullmq_options_add_trace (const char *stacktrace, JsonObject *options, const char *reason, const char *stack)
{
  g_autoptr (JsonNode) old = stacktrace ? derush_json_parse (stacktrace, -1, NULL) : NULL;
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *traces = json_array_new (),
            *before = old && JSON_NODE_HOLDS_ARRAY (old) ? json_node_get_array (old) : NULL;
  g_autofree char *trace = g_strconcat ("Error: ", reason, stack && *stack ? "\n" : "", stack ? stack : "", NULL);
  guint total = (before ? json_array_get_length (before) : 0) + 1;
  gint64 limit = derush_json_get_int (options, "stackTraceLimit", -1);
  guint skip = limit >= 0 && total > limit ? total - limit : 0;

  for (guint i = skip; i + 1 < total; i++)
    json_array_add_element (traces, json_node_copy (json_array_get_element (before, i)));
  if (skip < total)
    json_array_add_string_element (traces, trace);
  json_node_take_array (node, traces);
  return derush_json_node_to_string (node);
}
