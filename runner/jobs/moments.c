/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Parts of a film that a job names: highlights that become shorts or clips. */

#include "jobs-private.h"

#include <inttypes.h>
#include <math.h>
#include <glib/gi18n-lib.h>

#define MAX_TIME 604800 /* a week */
#define MAX_ID 128

static gboolean
read_time (Checker *checker, JsonObject *item, const char *pointer, const char *name, double *time)
{
  JsonNode *node = json_object_get_member (item, name);
  GType type = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;
  g_autofree char *place = g_strdup_printf ("%s/%s", pointer, name), *value = NULL;

  if (!node || JSON_NODE_HOLDS_NULL (node)) {
    checker_fault (checker, place, _ ("is missing, must be a number of seconds"));
    return FALSE;
  }
  *time = type == G_TYPE_INT64 || type == G_TYPE_DOUBLE ? json_node_get_double (node) : NAN;
  if (*time >= 0 && *time <= MAX_TIME)
    return TRUE;
  value = json_node_quote (node);
  checker_fault (checker, place, _ ("is %s, must be a number from 0 to %d"), value, MAX_TIME);
  return FALSE;
}

/* As for ids of other things, a number is one as well. */
static char *
read_id (JsonObject *item)
{
  static const char *const names[] = {"id", "highlightId"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    JsonNode *node = json_object_get_member (item, names[i]);
    GType type = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;

    if (type == G_TYPE_STRING && *json_node_get_string (node))
      return json_node_dup_string (node);
    if (type == G_TYPE_INT64)
      return g_strdup_printf ("%" PRId64, (gint64)json_node_get_int (node));
  }
  return NULL;
}

static void
read_moment (Checker *checker, JsonNode *node, const char *pointer, JsonArray *moments)
{
  g_autofree char *id = NULL;
  JsonObject *item, *moment;
  double start, end;

  if (!JSON_NODE_HOLDS_OBJECT (node)) {
    g_autofree char *value = json_node_quote (node);

    checker_fault (checker, pointer, _ ("is %s, must be an object with startTime and endTime"), value);
    return;
  }
  item = json_node_get_object (node);
  if (!read_time (checker, item, pointer, "startTime", &start) || !read_time (checker, item, pointer, "endTime", &end))
    return;
  if (end <= start) {
    g_autofree char *place = g_strdup_printf ("%s/endTime", pointer);

    checker_fault (checker, place, _ ("is %.15g, must be more than startTime, which is %.15g"), end, start);
    return;
  }
  moment = json_object_new ();
  json_object_set_double_member (moment, "start", start);
  json_object_set_double_member (moment, "end", end);
  id = read_id (item);
  if (id && g_utf8_strlen (id, -1) <= MAX_ID)
    json_object_set_string_member (moment, "id", id);
  json_array_add_object_element (moments, moment);
}

static void
warn_of_overlap (Checker *checker, JsonArray *moments, const char *pointer)
{
  for (guint i = 1; i < json_array_get_length (moments); i++) {
    JsonObject *one = json_array_get_object_element (moments, i);

    for (guint j = 0; j < i; j++) {
      JsonObject *other = json_array_get_object_element (moments, j);

      if (derush_json_get_number (one, "start", 0) < derush_json_get_number (other, "end", 0) &&
          derush_json_get_number (other, "start", 0) < derush_json_get_number (one, "end", 0)) {
        checker_warn (checker, _ ("%s/%u and %s/%u overlap: both show the same part of the film"), pointer, j, pointer,
                      i);
        return;
      }
    }
  }
}

void
moments_fault_length (Checker *checker, const char *pointer, guint length, guint most)
{
  checker_fault (checker, pointer,
                 _ ("has %u items, may have at most %u in one job: send the others in jobs of their own"), length,
                 most);
}

JsonArray *
moments_read (Checker *checker, JsonNode *list, const char *pointer, guint count, guint most)
{
  JsonArray *moments = json_array_new (), *items;
  guint length;

  if (!JSON_NODE_HOLDS_ARRAY (list)) {
    g_autofree char *value = json_node_quote (list);

    checker_fault (checker, pointer, _ ("is %s, must be a list of objects with startTime and endTime"), value);
    return moments;
  }
  items = json_node_get_array (list);
  length = json_array_get_length (items);
  if (length == 0)
    checker_fault (checker, pointer, _ ("is an empty list: there is nothing to cut"));
  if (count > 0)
    length = MIN (length, count);
  if (length > most) {
    moments_fault_length (checker, pointer, length, most);
    return moments;
  }
  for (guint i = 0; i < length; i++) {
    g_autofree char *place = g_strdup_printf ("%s/%u", pointer, i);

    read_moment (checker, json_array_get_element (items, i), place, moments);
  }
  warn_of_overlap (checker, moments, pointer);
  return moments;
}
