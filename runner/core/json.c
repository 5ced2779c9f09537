/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* json-glib parses recursively: depth is bounded before it sees the text, or a job could exhaust the stack. */
static gboolean
depth_is_bounded (const char *text, gsize length)
{
  guint depth = 0;
  gboolean in_string = FALSE;

  for (gsize i = 0; i < length; i++) {
    char c = text[i];

    if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = FALSE;
    } else if (c == '"') {
      in_string = TRUE;
    } else if (c == '{' || c == '[') {
      if (++depth > DERUSH_JSON_MAX_DEPTH)
        return FALSE;
    } else if ((c == '}' || c == ']') && depth > 0) {
      depth--;
    }
  }
  return TRUE;
}

/* C strings end at U+0000: a path or name with one would silently be another. */
static gboolean
has_nul (const char *text, gsize length)
{
  gboolean in_string = FALSE;

  for (gsize i = 0; i < length; i++) {
    if (text[i] == '"')
      in_string = !in_string;
    else if (in_string && text[i] == '\\' && i + 1 < length) {
      if (length - i >= 6 && memcmp (text + i, "\\u0000", 6) == 0)
        return TRUE;
      i++;
    }
  }
  return FALSE;
}

/* A whole number of more than 64 bits, which json-glib would silently make another number of, becomes the same in
 * scientific notation, which it reads as a real one. */
static void
write_as_real (char *digits, gsize n)
{
  g_autofree char *exponent = g_strdup_printf ("e%zu", n - 1);
  gsize length = strlen (exponent);

  memmove (digits + 2, digits + 1, n - 2 - length);
  digits[1] = '.';
  memcpy (digits + n - length, exponent, length);
}

/* Returns: the length of what begins as a number at @text, and whether it is too large a whole one */
static gsize
number_at (const char *text, gsize left, gboolean negative, gboolean *large)
{
  gsize n = 0;
  gboolean whole = TRUE;
  g_autofree char *digits = NULL;

  while (n < left && (g_ascii_isalnum (text[n]) || text[n] == '.' || text[n] == '+' || text[n] == '-'))
    whole &= g_ascii_isdigit (text[n++]);
  *large = FALSE;
  if (n < 19)
    return n;
  digits = g_strdup_printf ("%s%.*s", negative ? "-" : "", (int)MIN (n, 64), text);
  *large = whole && text[0] != '0' && !g_ascii_string_to_signed (digits, 10, G_MININT64, G_MAXINT64, NULL, NULL);
  return n;
}

static char *
mend_numbers (const char *text, gsize length)
{
  gboolean in_string = FALSE, large;
  char *mended = NULL;

  for (gsize i = 0; i < length; i++) {
    gsize n;

    if (text[i] == '"')
      in_string = !in_string;
    else if (in_string && text[i] == '\\')
      i++;
    else if (!in_string && g_ascii_isdigit (text[i])) {
      n = number_at (text + i, length - i, i > 0 && text[i - 1] == '-', &large);
      if (large && !mended)
        mended = g_strndup (text, length);
      if (large)
        write_as_real (mended + i, n);
      i += n - 1;
    }
  }
  return mended;
}

static int
surrogate_at (const char *text, gsize left)
{
  if (left < 6 || text[0] != '\\' || text[1] != 'u' || g_ascii_tolower (text[2]) != 'd' ||
      !g_ascii_isxdigit (text[4]) || !g_ascii_isxdigit (text[5]))
    return 0;
  return strchr ("89abAB", text[3]) ? 1 : strchr ("cdefCDEF", text[3]) ? 2 : 0;
}

/* Half a character, as where a model was cut in the middle of one, would make the text no UTF-8: it becomes U+FFFD.
 * Returns: (transfer full) (nullable): a copy where there is something to mend */
static char *
mend_surrogates (const char *text, gsize length)
{
  char *mended = NULL;

  for (gsize i = 0; i + 1 < length; i++) {
    int half = text[i] == '\\' ? surrogate_at (text + i, length - i) : 0;

    if (half == 1 && length - i >= 12 && surrogate_at (text + i + 6, length - i - 6) == 2) {
      i += 11;
    } else if (half != 0) {
      if (!mended)
        mended = g_strndup (text, length);
      memcpy (mended + i, "\\ufffd", 6);
      i += 5;
    } else if (text[i] == '\\') {
      i++;
    }
  }
  return mended;
}

/**
 * derush_json_parse:
 * @text: JSON text
 * @length: its length in bytes, or -1
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the value, at most %DERUSH_JSON_MAX_DEPTH levels deep and without U+0000; half a
 *   surrogate pair has become U+FFFD, and a whole number of more than 64 bits a real one
 */
JsonNode *
derush_json_parse (const char *text, gssize length, GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  g_autoptr (GError) parse_error = NULL;
  g_autofree char *numbers = NULL, *mended = NULL;
  JsonNode *root;

  if (length < 0)
    length = strlen (text);
  if (!g_utf8_validate (text, length, NULL)) {
    g_set_error_literal (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The JSON text is not valid UTF-8"));
    return NULL;
  }
  if (!depth_is_bounded (text, length)) {
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The JSON text is nested more than %d levels deep"), DERUSH_JSON_MAX_DEPTH);
    return NULL;
  }
  if (has_nul (text, length)) {
    g_set_error_literal (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT,
                         _ ("The JSON text has a text with the character U+0000, which cannot be used"));
    return NULL;
  }
  numbers = mend_numbers (text, length);
  text = numbers ? numbers : text;
  mended = mend_surrogates (text, length);
  parser = json_parser_new_immutable ();
  if (!json_parser_load_from_data (parser, mended ? mended : text, length, &parse_error)) {
    g_set_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("This is not JSON: %s"), parse_error->message);
    return NULL;
  }
  root = json_parser_steal_root (parser);
  if (!root)
    g_set_error_literal (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The JSON text is empty"));
  return root;
}

/**
 * derush_json_parse_object:
 * @text: JSON text
 * @length: its length in bytes, or -1
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the object, or %NULL if @text is anything else
 */
JsonObject *
derush_json_parse_object (const char *text, gssize length, GError **error)
{
  g_autoptr (JsonNode) node = derush_json_parse (text, length, error);

  if (!node)
    return NULL;
  if (!JSON_NODE_HOLDS_OBJECT (node)) {
    g_set_error_literal (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The JSON text is not an object"));
    return NULL;
  }
  return json_node_dup_object (node);
}

static void
write_string (GString *text, const char *string)
{
  g_autofree char *valid = g_utf8_validate (string, -1, NULL) ? NULL : g_utf8_make_valid (string, -1);

  g_string_append_c (text, '"');
  for (const char *p = valid ? valid : string; *p; p++) {
    if (*p == '"' || *p == '\\')
      g_string_append_c (text, '\\');
    if (*p == '\n')
      g_string_append (text, "\\n");
    else if ((guchar)*p < 0x20 || *p == 0x7f)
      g_string_append_printf (text, "\\u%04x", (guint)*p);
    else
      g_string_append_c (text, *p);
  }
  g_string_append_c (text, '"');
}

/* The shortest of the two usual forms that reads back as the same number. JSON knows neither infinity nor NaN. */
static void
write_double (GString *text, double number)
{
  char digits[G_ASCII_DTOSTR_BUF_SIZE];

  if (!isfinite (number)) {
    g_string_append (text, "null");
    return;
  }
  g_ascii_formatd (digits, sizeof digits, "%.15g", number);
  if (g_ascii_strtod (digits, NULL) != number)
    g_ascii_dtostr (digits, sizeof digits, number);
  g_string_append (text, digits);
  if (!strpbrk (digits, ".e"))
    g_string_append (text, ".0");
}

static void
write_value (GString *text, JsonNode *node)
{
  GType type = json_node_get_value_type (node);

  if (type == G_TYPE_STRING)
    write_string (text, json_node_get_string (node));
  else if (type == G_TYPE_DOUBLE)
    write_double (text, json_node_get_double (node));
  else if (type == G_TYPE_BOOLEAN)
    g_string_append (text, json_node_get_boolean (node) ? "true" : "false");
  else
    g_string_append_printf (text, "%" G_GINT64_FORMAT, json_node_get_int (node));
}

static void
write_node (GString *text, JsonNode *node)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;
  gsize start = text->len;

  switch (json_node_get_node_type (node)) {
  case JSON_NODE_OBJECT:
    g_string_append_c (text, '{');
    json_object_iter_init_ordered (&iter, json_node_get_object (node));
    while (json_object_iter_next_ordered (&iter, &name, &member)) {
      if (text->len > start + 1)
        g_string_append_c (text, ',');
      write_string (text, name);
      g_string_append_c (text, ':');
      write_node (text, member);
    }
    g_string_append_c (text, '}');
    break;
  case JSON_NODE_ARRAY:
    g_string_append_c (text, '[');
    for (guint i = 0; i < json_array_get_length (json_node_get_array (node)); i++) {
      if (i > 0)
        g_string_append_c (text, ',');
      write_node (text, json_array_get_element (json_node_get_array (node), i));
    }
    g_string_append_c (text, ']');
    break;
  case JSON_NODE_VALUE:
    write_value (text, node);
    break;
  case JSON_NODE_NULL:
    g_string_append (text, "null");
    break;
  }
}

/**
 * derush_json_node_to_string:
 * @node: a value
 *
 * json-glib's generator (1.6) writes numbers such as 1e+308 as `1e+308.0`, and infinity as `inf`, which no other program
 * can read; here the text is JSON whatever @node has, and what JSON cannot say is null.
 *
 * Returns: (transfer full): @node as JSON in one line
 */
char *
derush_json_node_to_string (JsonNode *node)
{
  GString *text = g_string_new (NULL);

  write_node (text, node);
  return g_string_free (text, FALSE);
}

/**
 * derush_json_object_to_string:
 * @object: an object
 *
 * Returns: (transfer full): its JSON text in one line
 */
char *
derush_json_object_to_string (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);

  json_node_set_object (node, object);
  return derush_json_node_to_string (node);
}

static JsonNode *
value_of_type (JsonObject *object, const char *name, GType type)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  return node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == type ? node : NULL;
}

/**
 * derush_json_get_string:
 * @object: (nullable): an object
 * @name: a member's name
 * @fallback: (nullable): what to return when the member is missing or no string
 */
const char *
derush_json_get_string (JsonObject *object, const char *name, const char *fallback)
{
  JsonNode *node = value_of_type (object, name, G_TYPE_STRING);

  return node ? json_node_get_string (node) : fallback;
}

/**
 * derush_json_get_number:
 * @object: an object
 * @name: a member
 * @fallback: if it is missing or no number
 *
 * Returns: the number
 */
double
derush_json_get_number (JsonObject *object, const char *name, double fallback)
{
  JsonNode *node = value_of_type (object, name, G_TYPE_DOUBLE);

  if (!node)
    node = value_of_type (object, name, G_TYPE_INT64);
  return node ? json_node_get_double (node) : fallback;
}

/**
 * derush_json_get_int:
 * @object: an object
 * @name: a member
 * @fallback: if it is missing, no number, or beyond ±2^53
 *
 * Returns: the number without its fraction
 */
gint64
derush_json_get_int (JsonObject *object, const char *name, gint64 fallback)
{
  double number = derush_json_get_number (object, name, NAN);

  if (value_of_type (object, name, G_TYPE_INT64))
    return json_object_get_int_member (object, name);
  return isnan (number) || fabs (number) > 9007199254740992.0 ? fallback : (gint64)number;
}

/**
 * derush_json_get_boolean:
 * @object: an object
 * @name: a member
 * @fallback: if it is missing or no boolean
 *
 * Returns: the value
 */
gboolean
derush_json_get_boolean (JsonObject *object, const char *name, gboolean fallback)
{
  JsonNode *node = value_of_type (object, name, G_TYPE_BOOLEAN);

  return node ? json_node_get_boolean (node) : fallback;
}

/**
 * derush_json_get_object:
 * @object: (nullable): an object
 * @name: a member's name
 *
 * Returns: (transfer none) (nullable): the member if it is an object
 */
JsonObject *
derush_json_get_object (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

/**
 * derush_json_get_array:
 * @object: (nullable): an object
 * @name: a member's name
 *
 * Returns: (transfer none) (nullable): the member if it is an array
 */
JsonArray *
derush_json_get_array (JsonObject *object, const char *name)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;

  return node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}
