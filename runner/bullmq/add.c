/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/add-private.h"

#include "bullmq/pack-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_PRIORITY 2097151

static gboolean
bad_option (GError **error, const char *text)
{
  g_set_error_literal (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_BAD_INPUT, text);
  return FALSE;
}

static gboolean
is_integer (const char *id)
{
  return *id != '\0' && strspn (*id == '-' ? id + 1 : id, "0123456789") == strlen (*id == '-' ? id + 1 : id) &&
         !(id[0] == '0' && id[1] != '\0');
}

/* Whether BullMQ takes these @options of `queue.add()`. */
gboolean
bullmq_add_check_options (JsonObject *options, GError **error)
{
  static const char *const about_parents[] = {"failParentOnFailure", "continueParentOnFailure",
                                              "ignoreDependencyOnFailure", "removeDependencyOnFailure"};
  const char *id = derush_json_get_string (options, "jobId", NULL);
  double priority = derush_json_get_number (options, "priority", 0);
  JsonObject *deduplication = derush_json_get_object (options, "deduplication");
  guint n_about_parents = 0;

  if (id && (is_integer (id) || strchr (id, ':')))
    return bad_option (error, _ ("The option jobId must not be a whole number nor contain a colon"));
  if (priority != floor (priority) || priority < 0 || priority > MAX_PRIORITY)
    return bad_option (error, _ ("The option priority must be a whole number from 0 to 2097151"));
  if (deduplication && !derush_json_get_string (deduplication, "id", NULL))
    return bad_option (error, _ ("The option deduplication needs an id"));
  if (options && (json_object_has_member (options, "parent") || json_object_has_member (options, "repeat")))
    return bad_option (error, _ ("The options parent and repeat are not for single jobs"));
  for (guint i = 0; i < G_N_ELEMENTS (about_parents); i++)
    n_about_parents += derush_json_get_boolean (options, about_parents[i], FALSE);
  if (n_about_parents > 1)
    return bad_option (error, _ ("Only one of the options about what a failure does to the parent can be set"));
  return TRUE;
}

static const char *
stored_name (const char *name)
{
  static const char *const names[][2] = {
      {"deduplication", "de"},
      {"failParentOnFailure", "fpof"},
      {"continueParentOnFailure", "cpof"},
      {"ignoreDependencyOnFailure", "idof"},
      {"removeDependencyOnFailure", "rdof"},
      {"keepLogs", "kl"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (name, names[i][0]))
      return names[i][1];
  return name;
}

/* The @options with the names that the job's hash has for them. */
JsonObject *
bullmq_add_stored_options (JsonObject *options)
{
  JsonObject *stored = json_object_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  json_object_set_int_member (stored, "attempts", 0);
  if (!options)
    return stored;
  json_object_iter_init (&iter, options);
  while (json_object_iter_next (&iter, &name, &value)) {
    if (g_str_equal (name, "backoff") && JSON_NODE_HOLDS_VALUE (value)) {
      JsonObject *backoff = json_object_new ();

      json_object_set_string_member (backoff, "type", "fixed");
      json_object_set_member (backoff, "delay", json_node_copy (value));
      json_object_set_object_member (stored, name, backoff);
    } else if (!JSON_NODE_HOLDS_NULL (value)) {
      json_object_set_member (stored, stored_name (name), json_node_copy (value));
    }
  }
  return stored;
}

static void
pack_parent (BullmqPack *pack, const BullmqParent *parent, JsonObject *options)
{
  static const char *const flags[] = {"fpof", "rdof", "idof", "cpof"};
  g_autoptr (GString) key = g_string_new (parent->queue_key);
  guint n_flags = 0;

  g_string_append_c (key, ':');
  g_string_append_len (key, parent->id, parent->id_length);
  bullmq_pack_string (pack, key->str, key->len);
  g_string_append (key, ":dependencies");
  bullmq_pack_string (pack, key->str, key->len);
  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    n_flags += derush_json_get_boolean (options, flags[i], FALSE);
  bullmq_pack_map (pack, 2 + n_flags);
  bullmq_pack_string (pack, "id", -1);
  bullmq_pack_string (pack, parent->id, parent->id_length);
  bullmq_pack_string (pack, "queueKey", -1);
  bullmq_pack_string (pack, parent->queue_key, -1);
  for (guint i = 0; i < G_N_ELEMENTS (flags); i++) {
    if (!derush_json_get_boolean (options, flags[i], FALSE))
      continue;
    bullmq_pack_string (pack, flags[i], -1);
    bullmq_pack_boolean (pack, TRUE);
  }
}

static void
pack_arguments (BullmqPack *pack, const char *base, const char *name, JsonObject *options, const BullmqParent *parent)
{
  const char *deduplication = derush_json_get_string (derush_json_get_object (options, "de"), "id", NULL);
  g_autofree char *key = deduplication ? g_strconcat (base, "de:", deduplication, NULL) : NULL;

  bullmq_pack_array (pack, 10);
  bullmq_pack_string (pack, base, -1);
  bullmq_pack_string (pack, derush_json_get_string (options, "jobId", ""), -1);
  bullmq_pack_string (pack, name, -1);
  bullmq_pack_int (pack, derush_json_get_int (options, "timestamp", derush_time_now_ms ()));
  if (parent)
    pack_parent (pack, parent, options);
  else
    for (guint i = 0; i < 3; i++)
      bullmq_pack_nil (pack);
  bullmq_pack_nil (pack); /* no job scheduler */
  bullmq_pack_string (pack, key, -1);
  bullmq_pack_nil (pack); /* the parent need not be released: it is active, or there is none */
}

/**
 * bullmq_add_command:
 * @base: what every key of the queue begins with, and a colon
 * @name: the job's name
 * @data: its data, JSON
 * @options: from bullmq_add_stored_options()
 * @parent: (nullable): whose child it becomes
 *
 * Returns: (transfer full): the script for a job with these options; it answers the job's id, or an error code
 */
BullmqCommand *
bullmq_add_command (const char *base, const char *name, const char *data, JsonObject *options,
                    const BullmqParent *parent)
{
  static const char *const standard[] = {"wait",    "paused", "meta",   "id",     "completed",
                                         "delayed", "active", "events", "marker", NULL};
  static const char *const delayed[] = {"marker", "meta", "id", "delayed", "completed", "events", NULL};
  static const char *const prioritized[] = {"marker",    "meta",   "id",     "prioritized", "delayed",
                                            "completed", "active", "events", "pc",          NULL};
  gboolean delay = derush_json_get_number (options, "delay", 0) > 0,
           priority = derush_json_get_number (options, "priority", 0) > 0;
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), options);
  BullmqCommand *command = bullmq_command_new_script (delay      ? BULLMQ_ADD_DELAYED_JOB
                                                      : priority ? BULLMQ_ADD_PRIORITIZED_JOB
                                                                 : BULLMQ_ADD_STANDARD_JOB);
  g_auto (BullmqPack) arguments = {0}, packed = {0};

  bullmq_pack_init (&arguments);
  bullmq_pack_init (&packed);
  pack_arguments (&arguments, base, name, options, parent);
  bullmq_pack_node (&packed, node);
  bullmq_command_add_keys (command, base, delay ? delayed : priority ? prioritized : standard);
  bullmq_command_add (command, arguments.buffer.data, arguments.buffer.size);
  bullmq_command_add (command, data, -1);
  bullmq_command_add (command, packed.buffer.data, packed.buffer.size);
  return command;
}
