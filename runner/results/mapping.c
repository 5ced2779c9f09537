/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Writes rows of ours into tables that somebody else has made. */

#include "mapping-private.h"

#include <string.h>

/* How many rows a job may have made in a table that does not say which job made them. */
#define MAX_FORGOTTEN 200

/* ── Values ─────────────────────────────────────────────────────────────── */

static gboolean
is_same (const char *one, const char *other)
{
  for (; *one && *other; one++, other++) {
    char a = *one == '-' || *one == ' ' ? '_' : g_ascii_tolower (*one),
         b = *other == '-' || *other == ' ' ? '_' : g_ascii_tolower (*other);

    if (a != b)
      return FALSE;
  }
  return *one == *other;
}

static const char *
find_label (GStrv labels, const char *value)
{
  for (guint i = 0; labels[i]; i++)
    if (is_same (labels[i], value))
      return labels[i];
  return NULL;
}

/* Returns: (nullable): what stands for @value in @column; NULL if nothing does */
const char *
mapping_get_label (Schema *schema, const char *table, const char *name, Column *column, const char *value)
{
  g_autofree char *group = g_strdup_printf ("%s.%s", table, name);
  g_auto (GStrv) keys = g_key_file_get_keys (schema->map, group, NULL, NULL);
  const char *label = NULL;

  if (!column->labels)
    return value;
  for (guint pass = 0; pass < 2 && !label; pass++) {
    for (guint i = 0; keys && keys[i] && !label; i++) {
      g_auto (GStrv) names = NULL;

      if (pass == 0 ? !is_same (keys[i], value) : strcmp (keys[i], "*") != 0)
        continue;
      names = g_key_file_get_string_list (schema->map, group, keys[i], NULL, NULL);
      for (guint k = 0; names && names[k] && !label; k++)
        label = find_label (column->labels, names[k]);
    }
    if (!label)
      label = find_label (column->labels, value);
  }
  return label;
}

/* The same text always makes the same one (RFC 4122, version 5 without a namespace). */
static char *
uuid_of (const char *text)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA1);
  guint8 digest[20];
  gsize length = sizeof digest;

  if (g_uuid_string_is_valid (text))
    return g_strdup (text);
  g_checksum_update (checksum, (const guchar *)text, -1);
  g_checksum_get_digest (checksum, digest, &length);
  return g_strdup_printf ("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", digest[0], digest[1],
                          digest[2], digest[3], digest[4], digest[5], (digest[6] & 0x0f) | 0x50, digest[7],
                          (digest[8] & 0x3f) | 0x80, digest[9], digest[10], digest[11], digest[12], digest[13],
                          digest[14], digest[15]);
}

static gboolean
is_type (Column *column, const char *type)
{
  return strcmp (column->type, type) == 0;
}

/* What a column gets that must have a value, where we have none. */
static char *
nothing_for (Column *column)
{
  if (is_type (column, "bool"))
    return g_strdup ("false");
  if (is_type (column, "json") || is_type (column, "jsonb"))
    return g_strdup ("{}");
  if (g_str_has_prefix (column->type, "timestamp"))
    return derush_time_to_iso8601 (derush_time_now_ms ());
  if (column->type[0] == '_')
    return g_strdup ("{}");
  if (g_str_has_prefix (column->type, "int") || g_str_has_prefix (column->type, "float") || is_type (column, "numeric"))
    return g_strdup ("0");
  return is_type (column, "uuid") || column->parent || column->labels ? NULL : g_strdup ("");
}

static char *
number_for (Column *column, double number, gint64 exact, gboolean is_exact)
{
  static const struct {
    const char *type;
    gint64 most;
  } types[] = {{"int2", G_MAXINT16}, {"int4", G_MAXINT32}, {"int8", G_MAXINT64}};
  char digits[G_ASCII_DTOSTR_BUF_SIZE];

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    if (!is_type (column, types[i].type))
      continue;
    if (!is_exact)
      exact = number >= (double)G_MAXINT64 ? G_MAXINT64 : (gint64)(number + (number < 0 ? -0.5 : 0.5));
    /* An unknown size is better than a wrong one; the row itself must not be lost for it. */
    if (exact > types[i].most && !column->not_null)
      return NULL;
    return g_strdup_printf ("%" G_GINT64_FORMAT, CLAMP (exact, -types[i].most, types[i].most));
  }
  return is_exact ? g_strdup_printf ("%" G_GINT64_FORMAT, exact)
                  : g_strdup (g_ascii_dtostr (digits, sizeof digits, number));
}

static char *
texts_for (Column *column, GStrv texts)
{
  g_autoptr (JsonArray) array = NULL;
  g_autoptr (JsonNode) node = NULL;

  if (column->type[0] == '_')
    return texts_to_array (texts);
  array = json_array_new ();
  for (guint i = 0; texts[i]; i++)
    json_array_add_string_element (array, texts[i]);
  node = json_node_init_array (json_node_alloc (), array);
  return derush_json_node_to_string (node);
}

/* Returns: (transfer full) (nullable): @value as @column takes it; NULL is SQL's */
static char *
value_for (Schema *schema, const char *table, Column *column, const Value *value)
{
  const Parameter *parameter = &value->parameter;

  switch (parameter->type) {
  case PARAMETER_TEXT:
    break;
  case PARAMETER_INTEGER:
    return number_for (column, 0, parameter->integer, TRUE);
  case PARAMETER_REAL:
    return number_for (column, parameter->real, 0, FALSE);
  case PARAMETER_BOOLEAN:
    return g_strdup (parameter->integer ? "true" : "false");
  case PARAMETER_TEXTS:
    return texts_for (column, parameter->texts);
  }
  if (!parameter->text)
    return NULL;
  if (column->labels)
    return g_strdup (mapping_get_label (schema, table, value->column, column, parameter->text));
  if (is_type (column, "uuid"))
    return uuid_of (parameter->text);
  if (column->max_length > 0 && g_utf8_strlen (parameter->text, -1) > column->max_length)
    return g_utf8_substring (parameter->text, 0, column->max_length);
  return g_strdup (parameter->text);
}

/* ── Statements ─────────────────────────────────────────────────────────── */

/*
 * Cell: a column and what it gets
 *   expression  in SQL, with one parameter
 */
typedef struct {
  Column *column;
  const char *ours; /* NULL: not one of ours */
  char *value;
} Cell;

static void
cell_clear (gpointer data)
{
  g_free (((Cell *)data)->value);
}

/* Their rows must refer to rows that are there: an unknown video is none, rather than the end of the row. */
static void
append_value (GString *sql, Cell *cell, Statement *statement)
{
  statement_add_text (statement, cell->value);
  if (cell->column->parent && cell->value)
    g_string_append_printf (sql, "(SELECT %s = $%u)", cell->column->parent, statement->parameters->len);
  else
    g_string_append_printf (sql, "$%u", statement->parameters->len);
}

/* @id: (nullable): what stands for the job's id */
static GArray *
cells_for (Schema *schema, Table *table, Change *change, const char *id, gboolean whole)
{
  GArray *cells = g_array_new (FALSE, TRUE, sizeof (Cell));

  g_array_set_clear_func (cells, cell_clear);
  for (guint i = 0; i < change->values->len; i++) {
    Value *value = &g_array_index (change->values, Value, i);
    Column *column = g_hash_table_lookup (table->ours, value->column);
    Cell cell = {.column = column, .ours = value->column};
    gboolean is_job = strcmp (value->column, strcmp (change->table, "jobs") == 0 ? "id" : "jobId") == 0;

    if (!column)
      continue;
    cell.value = is_job && id ? g_strdup (id) : value_for (schema, change->table, column, value);
    if (!cell.value && column->not_null && column->has_default)
      continue;
    if (!cell.value && column->not_null)
      cell.value = nothing_for (column);
    g_array_append_val (cells, cell);
  }
  for (guint i = 0; whole && i < table->set->len; i++) {
    Cell cell = {.column = table->set->pdata[i]};

    cell.value = g_strdup (cell.column->literal);
    g_array_append_val (cells, cell);
  }
  return cells;
}

static gboolean
is_kept (Table *table, Cell *cell)
{
  return !cell->ours || strcmp (cell->ours, "id") == 0 || strcmp (cell->ours, "createdAt") == 0 ||
         (table->keep && g_strv_contains ((const char *const *)table->keep, cell->ours));
}

static gboolean
execute (Database *database, GString *sql, Statement *statement, Failure *failure, GError **error)
{
  gboolean good;

  statement->sql = g_strdup (sql->str);
  good = database->class->execute (database, statement, NULL, failure, error);
  statement_free (statement);
  return good;
}

static gboolean
update (Schema *schema, Database *database, Table *table, Change *change, const char *id, gboolean keep,
        Failure *failure, GError **error)
{
  g_autoptr (GArray) cells = cells_for (schema, table, change, id, FALSE);
  g_autoptr (GString) sql = g_string_new (NULL);
  Statement *statement = statement_new (NULL);
  gboolean first = TRUE;

  g_string_append_printf (sql, "UPDATE %s SET ", table->quoted);
  for (guint i = 0; i < cells->len; i++) {
    Cell *cell = &g_array_index (cells, Cell, i);

    gboolean kept = keep && is_kept (table, cell);

    /* What the backend has left open is filled in all the same. */
    if (strcmp (cell->ours, "id") == 0 || (kept && (cell->column->not_null || !cell->value)))
      continue;
    g_string_append_printf (sql, "%s%s = ", first ? "" : ", ", cell->column->quoted);
    if (kept)
      g_string_append_printf (sql, "COALESCE (%s, ", cell->column->quoted);
    append_value (sql, cell, statement);
    if (kept)
      g_string_append_c (sql, ')');
    first = FALSE;
  }
  statement_add_text (statement, id);
  g_string_append_printf (sql, " WHERE %s = $%u", schema_get_column (schema, change->table, "id"),
                          statement->parameters->len);
  for (guint i = 0; i < change->conditions->len; i++) {
    Value *value = &g_array_index (change->conditions, Value, i);
    Column *column = g_hash_table_lookup (table->ours, value->column);

    if (!column || strcmp (value->column, "id") == 0)
      continue;
    {
      g_autofree char *text = value_for (schema, change->table, column, value);

      statement_add_text (statement, text);
    }
    g_string_append_printf (sql, " AND %s = $%u", column->quoted, statement->parameters->len);
  }
  if (first) {
    statement_free (statement);
    return TRUE;
  }
  return execute (database, sql, statement, failure, error);
}

static gboolean
insert (Schema *schema, Database *database, Table *table, Change *change, const char *id, Failure *failure,
        GError **error)
{
  g_autoptr (GArray) cells = cells_for (schema, table, change, id, TRUE);
  g_autoptr (GString) sql = g_string_new (NULL), values = g_string_new (NULL), conflict = g_string_new (NULL);
  Statement *statement = statement_new (NULL);

  g_string_append_printf (sql, "INSERT INTO %s (", table->quoted);
  for (guint i = 0; i < cells->len; i++) {
    Cell *cell = &g_array_index (cells, Cell, i);

    g_string_append_printf (sql, "%s%s", i > 0 ? ", " : "", cell->column->quoted);
    g_string_append (values, i > 0 ? ", " : "");
    append_value (values, cell, statement);
    if (!is_kept (table, cell))
      g_string_append_printf (conflict, "%s%s = excluded.%s", conflict->len > 0 ? ", " : "", cell->column->quoted,
                              cell->column->quoted);
  }
  g_string_append_printf (sql, ") VALUES (%s) ON CONFLICT (%s) DO ", values->str,
                          schema_get_column (schema, change->table, "id"));
  if (change->kind == CHANGE_PUT && conflict->len > 0)
    g_string_append_printf (sql, "UPDATE SET %s", conflict->str);
  else
    g_string_append (sql, "NOTHING");
  return execute (database, sql, statement, failure, error);
}

/* The rows of a job that a table does not name are known by their ids. */
static gboolean
forget (Schema *schema, Database *database, Table *table, Change *change, const char *id, Failure *failure,
        GError **error)
{
  Column *job = g_hash_table_lookup (table->ours, "jobId"), *own = g_hash_table_lookup (table->ours, "id");
  g_autoptr (GString) sql = g_string_new (NULL);
  Statement *statement = statement_new (NULL);
  const char *job_id = g_array_index (change->conditions, Value, 0).parameter.text;
  gint64 first = change->values->len > 0 ? g_array_index (change->values, Value, 0).parameter.integer : 0;

  if (job) {
    statement_add_text (statement, id);
    g_string_append_printf (sql, "DELETE FROM %s WHERE %s = $1", table->quoted, job->quoted);
    return execute (database, sql, statement, failure, error);
  }
  g_string_append_printf (sql, "DELETE FROM %s WHERE %s IN (", table->quoted, own->quoted);
  for (guint i = 0; i < MAX_FORGOTTEN; i++) {
    g_autofree char *asset = rows_asset_id (job_id, change->table, first + i),
                    *spelled = is_type (own, "uuid") ? uuid_of (asset) : g_strdup (asset);

    statement_add_text (statement, spelled);
    g_string_append_printf (sql, "%s$%u", i > 0 ? ", " : "", i + 1);
  }
  g_string_append_c (sql, ')');
  return execute (database, sql, statement, failure, error);
}

/* ── Rows ───────────────────────────────────────────────────────────────── */

gboolean
schema_find_job (Schema *schema, Database *database, const char *id, char **found, gboolean *there, Failure *failure,
                 GError **error)
{
  Table *table = g_hash_table_lookup (schema->tables, "jobs");
  Column *column = g_hash_table_lookup (table->ours, "id");
  const char *colon = strchr (id, ':');
  g_autofree char *own = is_type (column, "uuid") ? uuid_of (id) : g_strdup (id),
                  *sql = g_strdup_printf ("SELECT %s::text FROM %s WHERE %s::text IN ($1, $2) ORDER BY %s::text = $3",
                                          column->quoted, table->quoted, column->quoted, column->quoted);
  Statement *statement = statement_new (sql);
  g_autoptr (GPtrArray) rows = NULL;
  gboolean good;

  statement_add_text (statement, own);
  statement_add_text (statement, colon ? colon + 1 : id);
  statement_add_text (statement, own);
  good = database->class->execute (database, statement, &rows, failure, error);
  statement_free (statement);
  if (!good)
    return FALSE;
  *there = rows->len > 0;
  *found = *there ? g_strdup (g_ptr_array_index ((GPtrArray *)rows->pdata[0], 0)) : g_steal_pointer (&own);
  return TRUE;
}

gboolean
schema_is_newer (Schema *schema, Database *database, const char *table, const char *id, gint64 time, gboolean *newer,
                 Failure *failure, GError **error)
{
  Table *found = g_hash_table_lookup (schema->tables, table);
  Column *updated = found ? g_hash_table_lookup (found->ours, "updatedAt") : NULL;
  g_autofree char *date = derush_time_to_iso8601 (time), *own = NULL, *sql = NULL;
  g_autoptr (GPtrArray) rows = NULL;
  Statement *statement;
  gboolean there = FALSE, good;

  *newer = FALSE;
  if (!updated)
    return TRUE;
  if (strcmp (table, "jobs") != 0)
    own = g_strdup (id);
  else if (!schema_find_job (schema, database, id, &own, &there, failure, error))
    return FALSE;
  sql = g_strdup_printf ("SELECT 1 FROM %s WHERE %s::text = $1 AND %s > $2", found->quoted,
                         schema_get_column (schema, table, "id"), updated->quoted);
  statement = statement_new (sql);
  statement_add_text (statement, own);
  statement_add_text (statement, date);
  good = database->class->execute (database, statement, &rows, failure, error);
  statement_free (statement);
  *newer = good && rows->len > 0;
  return good;
}

/* The columns of the row of a job, by the names of ours, in SQL: NULL where theirs has none. */
char *
schema_spell_column (Schema *schema, const char *table, const char *name)
{
  Table *found = g_hash_table_lookup (schema->tables, table);
  Column *column = found ? g_hash_table_lookup (found->ours, name) : NULL;

  if (!column)
    return g_strdup ("NULL");
  return g_strdup_printf (is_type (column, "timestamptz") ? "(%s AT TIME ZONE 'UTC')" : "%s", column->quoted);
}

static const char *
text_of (GArray *values, const char *column)
{
  for (guint i = 0; i < values->len; i++)
    if (strcmp (g_array_index (values, Value, i).column, column) == 0)
      return g_array_index (values, Value, i).parameter.text;
  return NULL;
}

static gboolean
change_row (Schema *schema, Database *database, Table *table, Change *change, Failure *failure, GError **error)
{
  gboolean of_jobs = strcmp (change->table, "jobs") == 0, there = FALSE;
  const char *job = text_of (change->values, of_jobs ? "id" : "jobId");
  g_autofree char *id = NULL;

  if (!job)
    job = text_of (change->conditions, of_jobs ? "id" : "jobId");
  if (job && !schema_find_job (schema, database, job, &id, &there, failure, error))
    return FALSE;
  switch (change->kind) {
  case CHANGE_INSERT:
    return (of_jobs && there) || insert (schema, database, table, change, id, failure, error);
  case CHANGE_PUT:
    return of_jobs && there ? update (schema, database, table, change, id, TRUE, failure, error)
                            : insert (schema, database, table, change, id, failure, error);
  case CHANGE_UPDATE:
    return update (schema, database, table, change, id, FALSE, failure, error);
  case CHANGE_DELETE:
    break;
  }
  return forget (schema, database, table, change, id, failure, error);
}

static DerushMetric *
refused_rows (void)
{
  return derush_metrics_counter ("derush_store_refused_rows_total",
                                 "Rows that the tables of the backend did not take, by table.", "table", NULL);
}

/* A row that their tables refuse is left out alone: the rest of what the job has made is worth having. */
gboolean
schema_change (Schema *schema, Database *database, Change *change, Failure *failure, GError **error)
{
  Table *table = g_hash_table_lookup (schema->tables, change->table);
  g_autoptr (GError) refused = NULL;

  if (!table)
    return TRUE;
  if (!database->class->run (database, "SAVEPOINT row", failure, error))
    return FALSE;
  if (change_row (schema, database, table, change, failure, &refused))
    return database->class->run (database, "RELEASE SAVEPOINT row", failure, error);
  if (*failure == FAILURE_WAIT) {
    g_propagate_error (error, g_steal_pointer (&refused));
    return FALSE;
  }
  derush_metric_add (refused_rows (), 1, change->table, NULL);
  /* Many jobs may be refused for the same reason. */
  if (g_strcmp0 (schema->refusal, refused->message) != 0) {
    derush_log (DERUSH_LOG_WARN, NULL,
                "The backend's table %s does not take a row (those that follow are not told): %s", table->name,
                refused->message);
    g_free (schema->refusal);
    schema->refusal = g_strdup (refused->message);
  }
  return database->class->run (database, "ROLLBACK TO SAVEPOINT row", failure, error) &&
         database->class->run (database, "RELEASE SAVEPOINT row", failure, error);
}
