/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What an analysis by a model says, by its meaning: whether its times can be, and what becomes of its moments. */

#include "models/actions/text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* Times of a film's end are rounded. */
#define TOLERANCE 0.5
/* Two parts are one when they share this much of the shorter one. */
#define SAME 0.5
/* What a model says, and what was measured, count the same. */
#define MODEL_WEIGHT 0.5

/* ── Does it make sense? ────────────────────────────────────────────────── */

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  if (error)
    *error = g_error_new_valist (DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, format, arguments);
  va_end (arguments);
  return FALSE;
}

static gboolean
is_asked (JsonArray *types, const char *name)
{
  for (guint i = 0; types && i < json_array_get_length (types); i++)
    if (g_strcmp0 (json_array_get_string_element (types, i), name) == 0)
      return TRUE;
  return FALSE;
}

static JsonObject *
item_of (JsonArray *list, guint i)
{
  JsonNode *node = json_array_get_element (list, i);

  return JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static guint
length_of (JsonArray *list)
{
  return list ? json_array_get_length (list) : 0;
}

static gboolean
check_chapters (JsonArray *chapters, double duration, GError **error)
{
  double before = -1;

  for (guint i = 0; i < length_of (chapters); i++) {
    JsonObject *chapter = item_of (chapters, i);
    double start = derush_json_get_number (chapter, "start", -1);

    if (i == 0 && start != 0)
      return refuse (error, _ ("chapters[0].start is %.3f, must be 0"), start);
    if (start <= before)
      return refuse (error, _ ("chapters[%u].start is %.3f, must be more than that of the chapter before, %.3f"), i,
                     start, before);
    if (duration > 0 && start >= duration)
      return refuse (error, _ ("chapters[%u].start is %.3f, but the film ends at %.3f"), i, start, duration);
    if (!*derush_json_get_string (chapter, "title", ""))
      return refuse (error, _ ("chapters[%u].title is empty"), i);
    before = start;
  }
  return TRUE;
}

static gboolean
check_moments (JsonArray *moments, double duration, GError **error)
{
  double before = 0;

  for (guint i = 0; i < length_of (moments); i++) {
    JsonObject *moment = item_of (moments, i);
    double start = derush_json_get_number (moment, "start", -1), end = derush_json_get_number (moment, "end", -1);

    if (end <= start)
      return refuse (error, _ ("moments[%u].end is %.3f, must be more than its start, %.3f"), i, end, start);
    if (start < before)
      return refuse (error, _ ("moments[%u].start is %.3f, must not be before that of the moment before, %.3f"), i,
                     start, before);
    if (duration > 0 && end > duration + TOLERANCE)
      return refuse (error, _ ("moments[%u].end is %.3f, but the film ends at %.3f"), i, end, duration);
    before = start;
  }
  return TRUE;
}

gboolean
derush_analysis_check (JsonObject *analysis, double duration, JsonArray *types, GError **error)
{
  JsonArray *scenes = derush_json_get_array (analysis, "scenes");

  if (!check_chapters (derush_json_get_array (analysis, "chapters"), duration, error) ||
      !check_moments (derush_json_get_array (analysis, "moments"), duration, error))
    return FALSE;
  for (guint i = 0; i < length_of (scenes); i++) {
    double time = derush_json_get_number (item_of (scenes, i), "time", -1);

    if (time < 0 || (duration > 0 && time > duration + TOLERANCE))
      return refuse (error, _ ("scenes[%u].time is %.3f, but the film ends at %.3f"), i, time, duration);
  }
  if (is_asked (types, "summary") && !*derush_json_get_string (analysis, "summary", ""))
    return refuse (error, _ ("summary is empty"));
  return TRUE;
}

/* ── Highlights ─────────────────────────────────────────────────────────── */

static double
overlap (double start, double end, JsonObject *other)
{
  double from = derush_json_get_number (other, "startTime", 0), to = derush_json_get_number (other, "endTime", 0);
  double shorter = MIN (end - start, to - from);

  return shorter > 0 ? MAX (0, MIN (end, to) - MAX (start, from)) / shorter : 0;
}

static JsonObject *
signal_new (double value, double weight)
{
  JsonObject *signal = json_object_new ();

  json_object_set_double_member (signal, "value", value);
  json_object_set_double_member (signal, "weight", weight);
  return signal;
}

/* The confidence stays the weighted sum of the named signals. */
static void
add_signals (JsonObject *signals, JsonObject *measured, double share)
{
  JsonObject *from = derush_json_get_object (derush_json_get_object (measured, "metadata"), "signals");
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (!from)
    return;
  json_object_iter_init_ordered (&iter, from);
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    JsonObject *signal = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

    json_object_set_object_member (
        signals, name,
        signal_new (derush_json_get_number (signal, "value", 0), derush_json_get_number (signal, "weight", 0) * share));
  }
}

static const char *
text_of (JsonArray *list, guint i)
{
  JsonNode *node = json_array_get_element (list, i);

  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node)
                                                                                          : NULL;
}

static void
add_texts (JsonArray *to, JsonArray *from)
{
  for (guint i = 0; i < length_of (from); i++)
    if (text_of (from, i))
      json_array_add_string_element (to, text_of (from, i));
}

/* Whether @reason only repeats what was measured, as rules in the place of a model do. */
static gboolean
repeats (const char *reason, JsonArray *measured)
{
  gsize length = 0;

  for (guint i = 0; i < length_of (measured); i++)
    if (text_of (measured, i) && strstr (reason, text_of (measured, i)))
      length += strlen (text_of (measured, i)) + 2;
  return length > 0 && length + 2 >= strlen (reason);
}

static JsonObject *
highlight_from (JsonObject *moment, JsonObject *measured, double duration)
{
  double start = derush_json_get_number (moment, "start", 0), end = derush_json_get_number (moment, "end", 0),
         score = CLAMP (derush_json_get_number (moment, "score", 0), 0, 1);
  const char *title = derush_json_get_string (moment, "title", ""),
             *reason = derush_json_get_string (moment, "reason", "");
  JsonObject *highlight = json_object_new (), *metadata = json_object_new (), *signals = json_object_new ();
  JsonArray *reasons = json_array_new (), *tags = json_array_new (),
            *said = derush_json_get_array (derush_json_get_object (measured, "metadata"), "reasons");
  double share = measured ? MODEL_WEIGHT : 1;

  if (duration > 0)
    end = MIN (end, duration);
  json_object_set_object_member (signals, "CONTENT", signal_new (score, share));
  json_array_add_string_element (tags, "content");
  if (*reason && !repeats (reason, said))
    json_array_add_string_element (reasons, reason);
  if (measured) {
    add_signals (signals, measured, 1 - MODEL_WEIGHT);
    add_texts (reasons, said);
    add_texts (tags, derush_json_get_array (measured, "tags"));
    score = MODEL_WEIGHT * score + (1 - MODEL_WEIGHT) * derush_json_get_number (measured, "confidence", 0);
  }
  json_object_set_double_member (highlight, "startTime", start);
  json_object_set_double_member (highlight, "endTime", end);
  json_object_set_double_member (highlight, "duration", end - start);
  json_object_set_string_member (highlight, "type", derush_json_get_string (measured, "type", "ACTION"));
  json_object_set_double_member (highlight, "confidence", score);
  json_object_set_string_member (highlight, "description", *title ? title : reason);
  json_object_set_array_member (highlight, "tags", tags);
  json_object_set_object_member (metadata, "signals", signals);
  json_object_set_array_member (metadata, "reasons", reasons);
  json_object_set_object_member (highlight, "metadata", metadata);
  return highlight;
}

static int
compare_confidence (gconstpointer a, gconstpointer b)
{
  JsonObject *one = *(JsonObject *const *)a, *two = *(JsonObject *const *)b;
  double first = derush_json_get_number (one, "confidence", 0), second = derush_json_get_number (two, "confidence", 0);

  if (first != second)
    return first < second ? 1 : -1;
  first = derush_json_get_number (one, "startTime", 0);
  second = derush_json_get_number (two, "startTime", 0);
  return (first > second) - (first < second);
}

static gboolean
is_taken (GPtrArray *all, double start, double end)
{
  for (guint i = 0; i < all->len; i++)
    if (overlap (start, end, all->pdata[i]) >= SAME)
      return TRUE;
  return FALSE;
}

JsonArray *
derush_moments_merge (JsonArray *moments, JsonArray *measured, double duration, guint max)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify)json_object_unref);
  JsonArray *merged = json_array_new ();

  for (guint i = 0; i < length_of (moments); i++) {
    JsonObject *moment = item_of (moments, i), *same = NULL;
    double start = derush_json_get_number (moment, "start", 0), end = derush_json_get_number (moment, "end", 0),
           most = SAME;

    if (!moment || end <= start || is_taken (all, start, end))
      continue;
    for (guint k = 0; k < length_of (measured); k++) {
      JsonObject *other = item_of (measured, k);
      double shared = other ? overlap (start, end, other) : 0;

      if (shared >= most) {
        most = shared;
        same = other;
      }
    }
    g_ptr_array_add (all, highlight_from (moment, same, duration));
  }
  for (guint k = 0; k < length_of (measured); k++) {
    JsonObject *other = item_of (measured, k);

    if (other &&
        !is_taken (all, derush_json_get_number (other, "startTime", 0), derush_json_get_number (other, "endTime", 0)))
      g_ptr_array_add (all, json_object_ref (other));
  }
  g_ptr_array_sort (all, compare_confidence);
  for (guint i = 0; i < MIN (all->len, max); i++)
    json_array_add_object_element (merged, json_object_ref (all->pdata[i]));
  return merged;
}
