/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What becomes of rows: said without SQL, so that it can wait on disk and be written to tables of any shape. */

#include "results-private.h"

#include <math.h>
#include <string.h>

static const char *const kinds[] = {"insert", "put", "update", "delete"};

static void
value_clear (gpointer data)
{
  parameter_clear (&((Value *)data)->parameter);
}

Change *
change_new (ChangeKind kind, const char *table)
{
  Change *change = g_new0 (Change, 1);

  change->kind = kind;
  change->table = g_intern_string (table);
  change->values = g_array_new (FALSE, TRUE, sizeof (Value));
  change->conditions = g_array_new (FALSE, TRUE, sizeof (Value));
  g_array_set_clear_func (change->values, value_clear);
  g_array_set_clear_func (change->conditions, value_clear);
  return change;
}

void
change_free (Change *change)
{
  g_array_unref (change->values);
  g_array_unref (change->conditions);
  g_free (change);
}

static Parameter *
add (GArray *values, const char *column, ParameterType type)
{
  Value value = {.column = g_intern_string (column), .parameter = {.type = type}};

  g_array_append_val (values, value);
  return &g_array_index (values, Value, values->len - 1).parameter;
}

/* Databases refuse text that is not UTF-8, and no job should lose its row for that. */
void
change_set_text (Change *change, const char *column, const char *text)
{
  add (change->values, column, PARAMETER_TEXT)->text = text ? g_utf8_make_valid (text, -1) : NULL;
}

void
change_set_integer (Change *change, const char *column, gint64 integer)
{
  add (change->values, column, PARAMETER_INTEGER)->integer = integer;
}

void
change_set_real (Change *change, const char *column, double real)
{
  add (change->values, column, PARAMETER_REAL)->real = isfinite (real) ? real : 0;
}

void
change_set_boolean (Change *change, const char *column, gboolean boolean)
{
  add (change->values, column, PARAMETER_BOOLEAN)->integer = boolean != FALSE;
}

/* @texts: (transfer full) */
void
change_set_texts (Change *change, const char *column, GStrv texts)
{
  for (guint i = 0; texts[i]; i++) {
    char *text = texts[i];

    texts[i] = g_utf8_make_valid (text, -1);
    g_free (text);
  }
  add (change->values, column, PARAMETER_TEXTS)->texts = texts;
}

void
change_where (Change *change, const char *column, const char *text)
{
  add (change->conditions, column, PARAMETER_TEXT)->text = g_utf8_make_valid (text, -1);
}

gsize
change_get_size (Change *change)
{
  gsize size = sizeof *change + (change->values->len + change->conditions->len) * sizeof (Value);

  for (guint i = 0; i < change->values->len; i++) {
    Parameter *parameter = &g_array_index (change->values, Value, i).parameter;

    size += parameter->text ? strlen (parameter->text) : 0;
    for (guint t = 0; parameter->texts && parameter->texts[t]; t++)
      size += strlen (parameter->texts[t]) + sizeof (char *);
  }
  return size;
}

/* ── On disk ────────────────────────────────────────────────────────────── */

static JsonNode *
parameter_to_json (const Parameter *parameter)
{
  JsonArray *array;
  JsonNode *node;

  switch (parameter->type) {
  case PARAMETER_TEXT:
    break;
  case PARAMETER_INTEGER:
    return json_node_init_int (json_node_alloc (), parameter->integer);
  case PARAMETER_REAL:
    return json_node_init_double (json_node_alloc (), parameter->real);
  case PARAMETER_BOOLEAN:
    return json_node_init_boolean (json_node_alloc (), parameter->integer != 0);
  case PARAMETER_TEXTS:
    array = json_array_new ();
    for (guint i = 0; parameter->texts[i]; i++)
      json_array_add_string_element (array, parameter->texts[i]);
    node = json_node_init_array (json_node_alloc (), array);
    json_array_unref (array);
    return node;
  }
  if (!parameter->text)
    return json_node_init_null (json_node_alloc ());
  return json_node_init_string (json_node_alloc (), parameter->text);
}

static JsonObject *
values_to_json (GArray *values)
{
  JsonObject *object = json_object_new ();

  for (guint i = 0; i < values->len; i++) {
    Value *value = &g_array_index (values, Value, i);

    json_object_set_member (object, value->column, parameter_to_json (&value->parameter));
  }
  return object;
}

static void
read_value (JsonObject *object, const char *name, JsonNode *node, gpointer values)
{
  GType type = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;

  if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);
    g_autoptr (GStrvBuilder) texts = g_strv_builder_new ();

    for (guint i = 0; i < json_array_get_length (array); i++)
      if (JSON_NODE_HOLDS_VALUE (json_array_get_element (array, i)))
        g_strv_builder_add (texts, json_array_get_string_element (array, i));
    add (values, name, PARAMETER_TEXTS)->texts = g_strv_builder_end (texts);
  } else if (type == G_TYPE_INT64) {
    add (values, name, PARAMETER_INTEGER)->integer = json_node_get_int (node);
  } else if (type == G_TYPE_DOUBLE) {
    add (values, name, PARAMETER_REAL)->real = json_node_get_double (node);
  } else if (type == G_TYPE_BOOLEAN) {
    add (values, name, PARAMETER_BOOLEAN)->integer = json_node_get_boolean (node);
  } else {
    add (values, name, PARAMETER_TEXT)->text = g_strdup (json_node_get_string (node));
  }
}

JsonObject *
change_to_json (Change *change)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "do", kinds[change->kind]);
  json_object_set_string_member (object, "table", change->table);
  json_object_set_object_member (object, "values", values_to_json (change->values));
  json_object_set_object_member (object, "where", values_to_json (change->conditions));
  return object;
}

static gboolean
is_name (const char *text)
{
  return *text && strspn (text, "_" G_CSET_A_2_Z G_CSET_a_2_z) == strlen (text);
}

static gboolean
are_names (GArray *values)
{
  for (guint i = 0; i < values->len; i++)
    if (!is_name (g_array_index (values, Value, i).column))
      return FALSE;
  return TRUE;
}

/* Returns: (nullable): NULL for what is none */
Change *
change_from_json (JsonObject *object)
{
  const char *kind = derush_json_get_string (object, "do", ""), *table = derush_json_get_string (object, "table", NULL);
  JsonObject *values = derush_json_get_object (object, "values"), *where = derush_json_get_object (object, "where");
  Change *change;

  for (guint i = 0; table && values && where && i < G_N_ELEMENTS (kinds); i++) {
    if (strcmp (kind, kinds[i]) != 0)
      continue;
    change = change_new (i, table);
    json_object_foreach_member (values, read_value, change->values);
    json_object_foreach_member (where, read_value, change->conditions);
    if (is_name (table) && are_names (change->values) && are_names (change->conditions))
      return change;
    change_free (change);
    return NULL;
  }
  return NULL;
}

/* ── In our own tables ──────────────────────────────────────────────────── */

static void
append_conditions (GString *sql, Change *change, Statement *statement)
{
  for (guint i = 0; i < change->conditions->len; i++) {
    Value *value = &g_array_index (change->conditions, Value, i);

    statement_add (statement, &value->parameter);
    g_string_append_printf (sql, "%s\"%s\" = $%u", i > 0 ? " AND " : " WHERE ", value->column,
                            statement->parameters->len);
  }
}

static void
append_insert (GString *sql, Change *change, Statement *statement)
{
  g_autoptr (GString) values = g_string_new (NULL);

  g_string_append_printf (sql, "INSERT INTO %s (", change->table);
  for (guint i = 0; i < change->values->len; i++) {
    Value *value = &g_array_index (change->values, Value, i);

    statement_add (statement, &value->parameter);
    g_string_append_printf (sql, "%s\"%s\"", i > 0 ? ", " : "", value->column);
    g_string_append_printf (values, "%s$%u", i > 0 ? ", " : "", statement->parameters->len);
  }
  g_string_append_printf (sql, ") VALUES (%s) ON CONFLICT (\"id\") DO ", values->str);
}

static void
append_conflict (GString *sql, Change *change)
{
  gboolean first = TRUE;

  g_string_append (sql, "UPDATE SET ");
  for (guint i = 0; i < change->values->len; i++) {
    const char *column = g_array_index (change->values, Value, i).column;

    if (strcmp (column, "id") == 0)
      continue;
    if (strcmp (column, "createdAt") != 0)
      g_string_append_printf (sql, "%s\"%s\" = excluded.\"%s\"", first ? "" : ", ", column, column);
    else if (strcmp (change->table, "jobs") == 0)
      g_string_append_printf (sql,
                              "%s\"createdAt\" = CASE WHEN excluded.\"retryCount\" > 0 THEN jobs.\"createdAt\" ELSE "
                              "excluded.\"createdAt\" END",
                              first ? "" : ", ");
    else
      continue;
    first = FALSE;
  }
}

Statement *
change_to_statement (Change *change)
{
  Statement *statement = statement_new (NULL);
  g_autoptr (GString) sql = g_string_new (NULL);

  switch (change->kind) {
  case CHANGE_INSERT:
    append_insert (sql, change, statement);
    g_string_append (sql, "NOTHING");
    break;
  case CHANGE_PUT:
    append_insert (sql, change, statement);
    append_conflict (sql, change);
    break;
  case CHANGE_UPDATE:
    g_string_append_printf (sql, "UPDATE %s SET ", change->table);
    for (guint i = 0; i < change->values->len; i++) {
      Value *value = &g_array_index (change->values, Value, i);

      statement_add (statement, &value->parameter);
      g_string_append_printf (sql, "%s\"%s\" = $%u", i > 0 ? ", " : "", value->column, statement->parameters->len);
    }
    append_conditions (sql, change, statement);
    break;
  case CHANGE_DELETE:
    g_string_append_printf (sql, "DELETE FROM %s", change->table);
    append_conditions (sql, change, statement);
    break;
  }
  statement->sql = g_strdup (sql->str);
  return statement;
}
