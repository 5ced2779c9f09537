/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* More than these help nobody, and a hostile job could fill logs and Redis with them. */
#define MAX_FAULTS 16
#define MAX_WARNINGS 16
#define MAX_QUOTED 60

void
checker_init (Checker *checker, DerushPlanFlags flags)
{
  memset (checker, 0, sizeof *checker);
  checker->flags = flags;
  checker->faults = g_ptr_array_new_with_free_func (g_free);
  checker->warnings = g_ptr_array_new_with_free_func (g_free);
  checker->pointers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
}

void
checker_clear (Checker *checker)
{
  g_clear_pointer (&checker->faults, g_ptr_array_unref);
  g_clear_pointer (&checker->warnings, g_ptr_array_unref);
  g_clear_pointer (&checker->pointers, g_hash_table_unref);
}

static void
add_fault (Checker *checker, const char *pointer, const char *format, va_list arguments)
{
  g_autofree char *what = g_strdup_vprintf (format, arguments);

  if (checker->faults->len < MAX_FAULTS)
    g_ptr_array_add (checker->faults, g_strdup_printf ("%s %s", *pointer ? pointer : "/", what));
  else
    checker->more_faults++;
}

void
checker_fault (Checker *checker, const char *pointer, const char *format, ...)
{
  va_list arguments;

  checker->bad_input = TRUE;
  va_start (arguments, format);
  add_fault (checker, pointer, format, arguments);
  va_end (arguments);
}

void
checker_unsupported (Checker *checker, const char *pointer, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  add_fault (checker, pointer, format, arguments);
  va_end (arguments);
}

void
checker_warn (Checker *checker, const char *format, ...)
{
  va_list arguments;

  if (checker->warnings->len >= MAX_WARNINGS) {
    checker->more_warnings++;
    return;
  }
  va_start (arguments, format);
  g_ptr_array_add (checker->warnings, g_strdup_vprintf (format, arguments));
  va_end (arguments);
}

/* Where the value that became @to was; its name if it is a default. */
const char *
checker_pointer (Checker *checker, const char *to)
{
  const char *pointer = g_hash_table_lookup (checker->pointers, to);

  return pointer ? pointer : to;
}

/* Returns: %FALSE and all faults in one line, if there are any; otherwise the warnings are complete */
gboolean
checker_finish (Checker *checker, GError **error)
{
  g_autofree char *joined = NULL;

  if (checker->faults->len == 0) {
    if (checker->more_warnings > 0)
      g_ptr_array_add (checker->warnings,
                       g_strdup_printf (_ ("%u more warnings are left out"), checker->more_warnings));
    return TRUE;
  }
  if (checker->more_faults > 0)
    g_ptr_array_add (checker->faults, g_strdup_printf (_ ("and %u more"), checker->more_faults));
  g_ptr_array_add (checker->faults, NULL);
  joined = g_strjoinv ("; ", (char **)checker->faults->pdata);
  g_set_error (error, DERUSH_JOBS_ERROR, checker->bad_input ? DERUSH_ERROR_BAD_INPUT : DERUSH_ERROR_UNSUPPORTED,
               _ ("The job's data cannot be used: %s"), joined);
  return FALSE;
}

/* One line, at most MAX_QUOTED characters: what people or attackers put into a job ends in logs and in failedReason. */
static char *
shorten (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, strnlen (text, 8 * MAX_QUOTED));
  GString *line = g_string_new (NULL);
  guint n = 0;

  for (const char *p = valid; *p; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (++n > MAX_QUOTED) {
      g_string_append (line, "…");
      break;
    }
    g_string_append_unichar (line, g_unichar_isprint (c) ? c : ' ');
  }
  return g_string_free (line, FALSE);
}

char *
text_quote (const char *text)
{
  g_autofree char *line = shorten (text);

  return g_strdup_printf (_ ("“%s”"), line);
}

char *
json_node_quote (JsonNode *node)
{
  g_autofree char *text = NULL;

  if (JSON_NODE_HOLDS_OBJECT (node))
    return g_strdup (_ ("an object"));
  if (JSON_NODE_HOLDS_ARRAY (node))
    return g_strdup (_ ("a list"));
  if (JSON_NODE_HOLDS_NULL (node))
    return g_strdup ("null");
  if (json_node_get_value_type (node) == G_TYPE_STRING) {
    text = text_quote (json_node_get_string (node));
    return g_strdup_printf (_ ("the text %s"), text);
  }
  text = derush_json_node_to_string (node);
  return shorten (text);
}

static char *
pointer_to (const char *pointer, const char *member)
{
  g_autofree char *line = shorten (member);
  g_autoptr (GString) escaped = g_string_new (line);

  g_string_replace (escaped, "~", "~0", 0);
  g_string_replace (escaped, "/", "~1", 0);
  return g_strdup_printf ("%s/%s", pointer, escaped->str);
}

static gboolean
is_number (JsonNode *node)
{
  return JSON_NODE_HOLDS_VALUE (node) &&
         (json_node_get_value_type (node) == G_TYPE_INT64 || json_node_get_value_type (node) == G_TYPE_DOUBLE);
}

static gboolean
is_text (JsonNode *node)
{
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING;
}

static void
fault_of_node (Checker *checker, const char *pointer, JsonNode *node, const char *allowed)
{
  g_autofree char *value = json_node_quote (node);

  checker_fault (checker, pointer, _ ("is %s, must be %s"), value, allowed);
}

static char *
describe_range (const Field *field)
{
  gboolean whole = field->type == FIELD_INTEGER;

  return g_strdup_printf (whole ? _ ("a whole number from %.15g to %.15g") : _ ("a number from %.15g to %.15g"),
                          field->min, field->max);
}

static JsonNode *
read_number (Checker *checker, const Field *field, const char *pointer, JsonNode *node)
{
  double number = is_number (node) ? json_node_get_double (node) : NAN;
  gboolean whole = field->type == FIELD_INTEGER;
  g_autofree char *allowed = NULL;
  JsonNode *value;

  if (number >= field->min && number <= field->max && (!whole || number == floor (number))) {
    value = json_node_new (JSON_NODE_VALUE);
    if (whole)
      json_node_set_int (value, (gint64)number);
    else
      json_node_set_double (value, number);
    return value;
  }
  allowed = describe_range (field);
  fault_of_node (checker, pointer, node, allowed);
  return NULL;
}

/* The words that @choices lists as results have them: `mp4, mov`. */
static char *
describe_choices (const char *choices)
{
  g_auto (GStrv) words = g_strsplit (choices, " ", -1);
  g_autoptr (GPtrArray) shown = g_ptr_array_new ();

  for (guint i = 0; words[i]; i++)
    if (words[i][0] != '!' && !strchr (words[i], '='))
      g_ptr_array_add (shown, words[i]);
  g_ptr_array_add (shown, NULL);
  return g_strjoinv (", ", (char **)shown->pdata);
}

/* Returns: (transfer full) (nullable): the word of @choices that @text means; @unsupported if it is known but not made */
static char *
match_choice (const char *choices, const char *text, gboolean *unsupported)
{
  g_auto (GStrv) words = g_strsplit (choices, " ", -1);

  *unsupported = FALSE;
  for (guint i = 0; words[i]; i++) {
    char *word = words[i], *equals = strchr (word, '=');

    if (word[0] == '!' && g_ascii_strcasecmp (word + 1, text) == 0) {
      *unsupported = TRUE;
      return NULL;
    }
    if (equals)
      *equals = '\0';
    if (g_ascii_strcasecmp (word, text) == 0)
      return g_strdup (equals ? equals + 1 : word);
  }
  return NULL;
}

static char *
read_word (Checker *checker, const Field *field, const char *pointer, JsonNode *node)
{
  g_autofree char *allowed = describe_choices (field->choices), *sentence = NULL, *quoted = NULL, *word = NULL;
  gboolean unsupported = FALSE;

  if (is_text (node))
    word = match_choice (field->choices, json_node_get_string (node), &unsupported);
  if (word)
    return g_steal_pointer (&word);
  if (unsupported) {
    quoted = text_quote (json_node_get_string (node));
    checker_unsupported (checker, pointer, _ ("is %s, which this version of Derush does not make; it makes %s"), quoted,
                         allowed);
    return NULL;
  }
  sentence = g_strdup_printf (strstr (allowed, ", ") ? _ ("one of %s") : "%s", allowed);
  fault_of_node (checker, pointer, node, sentence);
  return NULL;
}

static JsonNode *
read_choice (Checker *checker, const Field *field, const char *pointer, JsonNode *node)
{
  g_autofree char *word = NULL;

  if (is_text (node) && json_node_get_string (node)[0] == '\0')
    return NULL;
  word = read_word (checker, field, pointer, node);
  return word ? json_node_init_string (json_node_alloc (), word) : NULL;
}

/* A name of something that only a later step can look up. */
static JsonNode *
read_name (Checker *checker, const Field *field, const char *pointer, JsonNode *node)
{
  const char *text = is_text (node) ? json_node_get_string (node) : NULL;
  g_autofree char *name = NULL;
  gboolean unsupported;

  if (text && text[0] == '\0')
    return NULL;
  if (!text || !g_regex_match_simple ("^[A-Za-z0-9_-]{1,64}\\z", text, 0, 0)) {
    fault_of_node (checker, pointer, node, _ ("a name of at most 64 letters, digits, _ and -"));
    return NULL;
  }
  name = field->choices ? match_choice (field->choices, text, &unsupported) : NULL;
  if (!name)
    name = g_ascii_strup (text, -1);
  return json_node_init_string (json_node_alloc (), name);
}

static JsonNode *
read_text (Checker *checker, const Field *field, const char *pointer, JsonNode *node)
{
  g_autofree char *allowed = NULL;
  const char *text;

  if (!is_text (node)) {
    fault_of_node (checker, pointer, node, _ ("a text"));
    return NULL;
  }
  text = json_node_get_string (node);
  if (text[0] == '\0')
    return NULL;
  if (g_utf8_strlen (text, -1) > field->max) {
    allowed = g_strdup_printf (_ ("at most %.15g characters long"), field->max);
    fault_of_node (checker, pointer, node, allowed);
    return NULL;
  }
  return json_node_copy (node);
}

static JsonNode *
read_id (Checker *checker, const Field *field, const char *pointer, JsonNode *node)
{
  g_autofree char *text = NULL;

  if (is_number (node) && isfinite (json_node_get_double (node))) {
    text = derush_json_node_to_string (node);
    return json_node_init_string (json_node_alloc (), text);
  }
  if (!is_text (node)) {
    fault_of_node (checker, pointer, node, _ ("a text or a number"));
    return NULL;
  }
  return read_text (checker, field, pointer, node);
}

/* A list, or one item alone that stands for a list of one. */
static JsonNode *
read_list (Checker *checker, const Field *field, const char *pointer, JsonNode *node)
{
  gboolean words = field->type == FIELD_CHOICES;
  JsonArray *items = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  guint length = items ? json_array_get_length (items) : 1;
  g_autoptr (JsonArray) read = json_array_new ();
  gboolean good = TRUE;

  if (!items && !(words ? is_text (node) : is_number (node))) {
    fault_of_node (checker, pointer, node, words ? _ ("a list of texts") : _ ("a list of numbers"));
    return NULL;
  }
  if (length > field->max_items) {
    checker_fault (checker, pointer, _ ("has %u items, may have %u at most"), length, field->max_items);
    return NULL;
  }
  for (guint i = 0; i < length; i++) {
    JsonNode *item = items ? json_array_get_element (items, i) : node, *value = NULL;
    g_autofree char *place = items ? g_strdup_printf ("%s/%u", pointer, i) : g_strdup (pointer);

    if (words) {
      g_autofree char *word = read_word (checker, field, place, item);

      value = word ? json_node_init_string (json_node_alloc (), word) : NULL;
    } else {
      value = read_number (checker, field, place, item);
    }
    if (value)
      json_array_add_element (read, value);
    good &= value != NULL;
  }
  return good && length > 0 ? json_node_init_array (json_node_alloc (), read) : NULL;
}

static JsonNode *
read_field (Checker *checker, const Field *field, const char *pointer, JsonNode *node)
{
  switch (field->type) {
  case FIELD_NUMBER:
  case FIELD_INTEGER:
    return read_number (checker, field, pointer, node);
  case FIELD_BOOLEAN:
    if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_BOOLEAN)
      return json_node_copy (node);
    fault_of_node (checker, pointer, node, _ ("true or false"));
    return NULL;
  case FIELD_TEXT:
    return read_text (checker, field, pointer, node);
  case FIELD_ID:
    return read_id (checker, field, pointer, node);
  case FIELD_NAME:
    return read_name (checker, field, pointer, node);
  case FIELD_CHOICE:
    return read_choice (checker, field, pointer, node);
  case FIELD_CHOICES:
  case FIELD_NUMBERS:
    return read_list (checker, field, pointer, node);
  case FIELD_ANY:
    break;
  }
  return json_node_copy (node);
}

void
checker_read (Checker *checker, JsonObject *object, const char *pointer, const Field *table, JsonObject *values)
{
  for (const Field *field = table; field->name; field++) {
    JsonNode *node = json_object_get_member (object, field->name);
    const char *to = field->to ? field->to : field->name;
    g_autoptr (JsonNode) value = NULL;
    g_autofree char *place = NULL;
    JsonNode *earlier;

    if (!node || JSON_NODE_HOLDS_NULL (node))
      continue;
    place = pointer_to (pointer, field->name);
    value = read_field (checker, field, place, node);
    if (!value)
      continue;
    earlier = json_object_get_member (values, to);
    if (!earlier) {
      g_hash_table_insert (checker->pointers, g_strdup (to), g_steal_pointer (&place));
      json_object_set_member (values, to, g_steal_pointer (&value));
    } else if (!json_node_equal (earlier, value)) {
      checker_warn (checker, _ ("%s is ignored, because %s says something else"), place, checker_pointer (checker, to));
    }
  }
}

const Field *
field_find (const Field *table, const char *name)
{
  for (const Field *field = table; field && field->name; field++)
    if (strcmp (field->name, name) == 0)
      return field;
  return NULL;
}

void
checker_read_rest (Checker *checker, JsonObject *object, const char *pointer, const Field *const *tables)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    g_autofree char *place = NULL;
    gboolean known = FALSE;

    for (guint t = 0; tables[t]; t++)
      known |= field_find (tables[t], name) != NULL;
    if (known || JSON_NODE_HOLDS_NULL (node))
      continue;
    place = pointer_to (pointer, name);
    if (checker->flags & DERUSH_PLAN_STRICT)
      checker_fault (checker, place, _ ("is not a member that this job type knows"));
    else
      checker_warn (checker, _ ("%s is ignored: this job type knows no such member"), place);
  }
}
