/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Looks at tables that somebody else has made: what they are called, what their columns take, what is missing. */

#include "schema-private.h"
#include "mapping-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* What a column may be, for a value of each kind; an enumerated type will do for text. */
static const struct {
  const char *kind;
  const char *types;
} kinds[] = {
    {"id", " text varchar bpchar citext uuid "},
    {"text", " text varchar bpchar citext "},
    {"number", " int2 int4 int8 numeric float4 float8 "},
    {"boolean", " bool "},
    {"json", " jsonb json text "},
    {"time", " timestamp timestamptz "},
    {"texts", " _text _varchar jsonb json "},
};

static char *
quote (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "\"", -1);
  g_autofree char *doubled = g_strjoinv ("\"\"", parts);

  return g_strdup_printf ("\"%s\"", doubled);
}

static void
column_free (gpointer data)
{
  Column *column = data;

  g_free (column->name);
  g_free (column->quoted);
  g_free (column->type);
  g_strfreev (column->labels);
  g_free (column->parent);
  g_free (column->literal);
  g_free (column);
}

static void
table_free (gpointer data)
{
  Table *table = data;

  g_free (table->name);
  g_free (table->quoted);
  g_hash_table_unref (table->theirs);
  g_hash_table_unref (table->ours);
  g_ptr_array_unref (table->set);
  g_strfreev (table->keep);
  g_free (table);
}

void
schema_free (Schema *schema)
{
  if (!schema)
    return;
  g_hash_table_unref (schema->tables);
  g_key_file_unref (schema->map);
  g_free (schema->map_path);
  g_free (schema->refusal);
  g_free (schema->name);
  g_free (schema);
}

/* ── The map ────────────────────────────────────────────────────────────── */

static gboolean
load_map (Schema *schema, GError **error)
{
  const char *data = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *own = g_build_filename (g_get_user_config_dir (), "derush", "schemas", "prisma.ini", NULL),
                  *installed =
                      g_build_filename (data && *data ? data : DERUSH_PKGDATADIR, "schemas", "prisma.ini", NULL);
  g_autoptr (GError) local = NULL;

  schema->map = g_key_file_new ();
  schema->map_path = g_strdup (g_file_test (own, G_FILE_TEST_EXISTS) ? own : installed);
  if (g_key_file_load_from_file (schema->map, schema->map_path, G_KEY_FILE_NONE, &local))
    return TRUE;
  g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The file %s, which says how rows are written into the backend's tables, cannot be read: %s"),
               schema->map_path, local->message);
  return FALSE;
}

static GStrv
get_list (Schema *schema, const char *group, const char *key, const char *fallback)
{
  const char *const alone[] = {fallback, NULL};
  GStrv list = g_key_file_get_string_list (schema->map, group, key, NULL, NULL);

  return list ? list : g_strdupv ((char **)alone);
}

/* ── What is there ──────────────────────────────────────────────────────── */

static gboolean
select_rows (Database *database, const char *sql, const char *text, GPtrArray **rows, Failure *failure, GError **error)
{
  Statement *statement = statement_new (sql);
  gboolean good;

  statement_add_text (statement, text);
  good = database->class->execute (database, statement, rows, failure, error);
  statement_free (statement);
  return good;
}

#define CELL(row, i) ((const char *)g_ptr_array_index ((GPtrArray *)(row), i))

/* Returns: (element-type Table): by name: all of the schema @name */
static GHashTable *
read_tables (Database *database, const char *name, Failure *failure, GError **error)
{
  static const char columns[] =
      "SELECT c.relname, a.attname, t.typname, a.attnotnull, a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '', "
      "a.atttypmod, has_table_privilege (c.oid, 'SELECT') AND has_table_privilege (c.oid, 'INSERT') AND "
      "has_table_privilege (c.oid, 'UPDATE') AND has_table_privilege (c.oid, 'DELETE'), "
      "(SELECT string_agg (e.enumlabel, E'\\n' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid), "
      "(SELECT format ('%I FROM %I.%I WHERE %I', fa.attname, fn.nspname, fc.relname, fa.attname) "
      "FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class fc ON fc.oid = k.confrelid "
      "JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace "
      "JOIN pg_catalog.pg_attribute fa ON fa.attrelid = k.confrelid AND fa.attnum = k.confkey[1] "
      "WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.conkey = ARRAY[a.attnum] LIMIT 1) "
      "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
      "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
      "WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum";
  g_autoptr (GPtrArray) rows = NULL;
  GHashTable *tables;

  if (!select_rows (database, columns, name, &rows, failure, error))
    return NULL;
  tables = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, table_free);
  for (guint i = 0; i < rows->len; i++) {
    GPtrArray *row = rows->pdata[i];
    Table *table = g_hash_table_lookup (tables, CELL (row, 0));
    Column *column = g_new0 (Column, 1);

    if (!table) {
      g_autofree char *schema = quote (name), *relation = quote (CELL (row, 0));

      table = g_new0 (Table, 1);
      table->name = g_strdup (CELL (row, 0));
      table->quoted = g_strdup_printf ("%s.%s", schema, relation);
      table->theirs = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, column_free);
      table->ours = g_hash_table_new (g_str_hash, g_str_equal);
      table->set = g_ptr_array_new ();
      table->writable = strcmp (CELL (row, 6), "t") == 0;
      g_hash_table_insert (tables, table->name, table);
    }
    column->name = g_strdup (CELL (row, 1));
    column->quoted = quote (column->name);
    column->type = g_strdup (CELL (row, 2));
    column->not_null = strcmp (CELL (row, 3), "t") == 0;
    column->has_default = strcmp (CELL (row, 4), "t") == 0;
    column->max_length = strcmp (column->type, "varchar") == 0 || strcmp (column->type, "bpchar") == 0
                             ? (int)g_ascii_strtoll (CELL (row, 5), NULL, 10) - 4
                             : 0;
    column->labels = CELL (row, 7) ? g_strsplit (CELL (row, 7), "\n", -1) : NULL;
    column->parent = g_strdup (CELL (row, 8));
    g_hash_table_insert (table->theirs, column->name, column);
  }
  return tables;
}

gboolean
schema_is_there (Database *database, const char *name, gboolean *there, Failure *failure, GError **error)
{
  g_autoptr (Schema) schema = g_new0 (Schema, 1);
  g_autoptr (GHashTable) found = NULL;

  *there = FALSE;
  *failure = FAILURE_REFUSED;
  schema->tables = g_hash_table_new (g_str_hash, g_str_equal);
  if (!load_map (schema, error) || !(found = read_tables (database, name, failure, error)))
    return FALSE;
  for (guint i = 0; rows_get_table (i); i++) {
    g_auto (GStrv) names = get_list (schema, rows_get_table (i), "table", rows_get_table (i));

    *there |= g_hash_table_contains (found, rows_get_table (i));
    for (guint k = 0; names[k]; k++)
      *there |= g_hash_table_contains (found, names[k]);
  }
  return TRUE;
}

/* ── Whether it will do ─────────────────────────────────────────────────── */

static gboolean refuse (Schema *schema, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
refuse (Schema *schema, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list arguments;

  va_start (arguments, format);
  what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The tables in the schema %s of the database of DATABASE_URL are not Derush’s, and rows cannot be "
                  "written into them: %s (change %s, or give DATABASE_URL another schema, such as ?schema=derush)"),
               schema->name, what, schema->map_path);
  return FALSE;
}

static const char *
types_for (const char *kind)
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (strcmp (kinds[i].kind, kind) == 0)
      return kinds[i].types;
  return "";
}

static gboolean
takes (Column *column, const char *kind)
{
  g_autofree char *word = g_strdup_printf (" %s ", column->type);

  if (column->labels)
    return strcmp (kind, "text") == 0;
  return strstr (types_for (kind), word) != NULL;
}

/* Which of their columns each of ours is. */
static gboolean
match_columns (Schema *schema, Table *table, const char *ours, const char *columns, GError **error)
{
  g_auto (GStrv) pairs = g_strsplit (columns, " ", -1), required = get_list (schema, ours, "required", NULL);

  for (guint i = 0; pairs[i]; i++) {
    char *kind = strchr (pairs[i], ':');
    g_auto (GStrv) names = NULL;
    Column *column = NULL;

    *kind++ = '\0';
    names = get_list (schema, ours, pairs[i], pairs[i]);
    for (guint k = 0; names[k] && !column; k++)
      column = g_hash_table_lookup (table->theirs, names[k]);
    if (!column && required && g_strv_contains ((const char *const *)required, pairs[i]))
      return refuse (schema, error, _ ("the table %s has no column %s"), table->name, names[0] ? names[0] : pairs[i]);
    if (!column)
      continue;
    if (!takes (column, kind))
      return refuse (schema, error, _ ("the column %s.%s is of the type %s, but must be one of:%s"), table->name,
                     column->name, column->type, types_for (kind));
    column->used = TRUE;
    g_hash_table_insert (table->ours, (gpointer)g_intern_string (pairs[i]), column);
  }
  return TRUE;
}

/* Columns that we know nothing of, and that must have a value. */
static gboolean
fill_others (Schema *schema, Table *table, const char *ours, GError **error)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, table->theirs);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Column *column = value;
    g_autofree char *key = g_strconcat ("set.", column->name, NULL);

    if (column->used)
      continue;
    column->literal = g_key_file_get_string (schema->map, ours, key, NULL);
    if (column->literal)
      g_ptr_array_add (table->set, column);
    else if (column->not_null && !column->has_default)
      return refuse (
          schema, error,
          _ ("the column %s.%s must have a value, and Derush knows none for it; “set.%s=…” would give it one"),
          table->name, column->name, column->name);
  }
  return TRUE;
}

static gboolean
check_statuses (Schema *schema, const char *ours, const char *const *statuses, GError **error)
{
  Table *table = g_hash_table_lookup (schema->tables, ours);
  Column *column = table ? g_hash_table_lookup (table->ours, "status") : NULL;

  for (guint i = 0; column && statuses[i]; i++)
    if (!mapping_get_label (schema, ours, "status", column, statuses[i]))
      return refuse (schema, error, _ ("the type of the column %s.%s has no value for “%s”"), table->name, column->name,
                     statuses[i]);
  return TRUE;
}

/* One that has a name of ours. */
static const char *
any_table (GHashTable *found)
{
  for (guint i = 0; rows_get_table (i); i++)
    if (g_hash_table_contains (found, rows_get_table (i)))
      return rows_get_table (i);
  return "";
}

static gboolean
match_table (Schema *schema, GHashTable *found, guint i, GError **error)
{
  const char *ours = rows_get_table (i);
  g_auto (GStrv) names = get_list (schema, ours, "table", ours);
  Table *table = NULL;

  for (guint k = 0; names[k] && !table; k++)
    table = g_hash_table_lookup (found, names[k]);
  if (!table && !g_key_file_get_boolean (schema->map, ours, "optional", NULL))
    return refuse (schema, error, _ ("there is a table %s, but no table %s"), any_table (found),
                   names[0] ? names[0] : ours);
  if (!table)
    return TRUE;
  if (!table->writable)
    return refuse (schema, error, _ ("the user of DATABASE_URL may not read and write the table %s"), table->name);
  if (!match_columns (schema, table, ours, rows_get_table_columns (i), error) ||
      !fill_others (schema, table, ours, error))
    return FALSE;
  table->keep = get_list (schema, ours, "keep", NULL);
  g_hash_table_steal (found, table->name);
  g_hash_table_insert (schema->tables, (gpointer)ours, table);
  return TRUE;
}

/*
 * schema_load:
 * @name: of the schema
 *
 * Returns: (nullable): how rows are written into the tables there; NULL with a @failure that waiting cannot mend if they will
 *   not do
 */
Schema *
schema_load (Database *database, const char *name, Failure *failure, GError **error)
{
  static const char *const jobs[] = {"PROCESSING", "COMPLETED", "FAILED", "CANCELLED", "DELAYED", NULL},
                           *const executions[] = {"RUNNING", "COMPLETED", "FAILED", "CANCELLED", NULL};
  g_autoptr (Schema) schema = g_new0 (Schema, 1);
  g_autoptr (GHashTable) found = NULL;

  schema->name = g_strdup (name);
  schema->tables = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, table_free);
  *failure = FAILURE_REFUSED;
  if (!load_map (schema, error) || !(found = read_tables (database, name, failure, error)))
    return NULL;
  *failure = FAILURE_REFUSED;
  for (guint i = 0; rows_get_table (i); i++)
    if (!match_table (schema, found, i, error))
      return NULL;
  if (!check_statuses (schema, "jobs", jobs, error) ||
      !check_statuses (schema, "workflow_executions", executions, error))
    return NULL;
  return g_steal_pointer (&schema);
}

/* Whether our own tables have all the columns that are written: somebody may have changed them. */
gboolean
schema_check_own (Database *database, const char *name, Failure *failure, GError **error)
{
  g_autoptr (GHashTable) found = read_tables (database, name, failure, error);

  for (guint i = 0; found && rows_get_table (i); i++) {
    g_auto (GStrv) pairs = g_strsplit (rows_get_table_columns (i), " ", -1);
    Table *table = g_hash_table_lookup (found, rows_get_table (i));

    for (guint k = 0; pairs[k]; k++) {
      *strchr (pairs[k], ':') = '\0';
      if (table && g_hash_table_contains (table->theirs, pairs[k]))
        continue;
      *failure = FAILURE_REFUSED;
      g_set_error (
          error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT,
          _ ("Derush’s own table %s has no column %s any more; restore it, or give DATABASE_URL another schema "
             "(?schema=…)"),
          rows_get_table (i), pairs[k]);
      return FALSE;
    }
  }
  return found != NULL;
}

const char *
schema_get_table (Schema *schema, const char *table)
{
  Table *found = g_hash_table_lookup (schema->tables, table);

  return found ? found->quoted : NULL;
}

const char *
schema_get_column (Schema *schema, const char *table, const char *name)
{
  Table *found = g_hash_table_lookup (schema->tables, table);
  Column *column = found ? g_hash_table_lookup (found->ours, name) : NULL;

  return column ? column->quoted : NULL;
}

const char *
schema_get_label (Schema *schema, const char *table, const char *name, const char *value)
{
  Table *found = g_hash_table_lookup (schema->tables, table);
  Column *column = found ? g_hash_table_lookup (found->ours, name) : NULL;

  return column ? mapping_get_label (schema, table, name, column, value) : NULL;
}
