/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "results-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <sqlite3.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define BUSY_TIMEOUT_MS 2000

typedef struct {
  Database parent;
  char *path;
  sqlite3 *handle;
} SqliteDatabase;

static Failure
failure_of (int code)
{
  switch (code & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
  case SQLITE_FULL:
  case SQLITE_IOERR:
  case SQLITE_CANTOPEN:
  case SQLITE_NOMEM:
  case SQLITE_READONLY:
  case SQLITE_PROTOCOL:
    return FAILURE_WAIT;
  default:
    return FAILURE_REFUSED;
  }
}

static gboolean
fail (SqliteDatabase *database, int code, Failure *failure, GError **error)
{
  *failure = failure_of (code);
  g_set_error (error, DERUSH_RESULTS_ERROR, *failure == FAILURE_WAIT ? DERUSH_ERROR_RESOURCE : DERUSH_ERROR_INTERNAL,
               _ ("The result store %s cannot be written: %s"), database->path,
               database->handle ? sqlite3_errmsg (database->handle) : sqlite3_errstr (code));
  return FALSE;
}

static gboolean
sqlite_run (Database *base, const char *sql, Failure *failure, GError **error)
{
  SqliteDatabase *database = (SqliteDatabase *)base;
  int code = sqlite3_exec (database->handle, sql, NULL, NULL, NULL);

  return code == SQLITE_OK || fail (database, code, failure, error);
}

/* IMMEDIATE: a transaction that begins by reading could not become a writing one when another process has written. */
static gboolean
sqlite_begin (Database *base, Failure *failure, GError **error)
{
  return sqlite_run (base, "BEGIN IMMEDIATE", failure, error);
}

static char *
texts_to_json (GStrv texts)
{
  g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), json_array_new ());

  json_array_unref (json_node_get_array (node));
  for (guint i = 0; texts[i]; i++)
    json_array_add_string_element (json_node_get_array (node), texts[i]);
  return derush_json_node_to_string (node);
}

static void
bind (sqlite3_stmt *prepared, int i, Parameter *parameter)
{
  switch (parameter->type) {
  case PARAMETER_TEXT:
    sqlite3_bind_text (prepared, i, parameter->text, -1, SQLITE_STATIC);
    break;
  case PARAMETER_INTEGER:
  case PARAMETER_BOOLEAN:
    sqlite3_bind_int64 (prepared, i, parameter->integer);
    break;
  case PARAMETER_REAL:
    sqlite3_bind_double (prepared, i, parameter->real);
    break;
  case PARAMETER_TEXTS:
    sqlite3_bind_text (prepared, i, texts_to_json (parameter->texts), -1, g_free);
    break;
  }
}

static GPtrArray *
read_row (sqlite3_stmt *prepared)
{
  GPtrArray *row = g_ptr_array_new_with_free_func (g_free);

  for (int i = 0; i < sqlite3_column_count (prepared); i++)
    g_ptr_array_add (row, g_strdup ((const char *)sqlite3_column_text (prepared, i)));
  return row;
}

static gboolean
sqlite_execute (Database *base, Statement *statement, GPtrArray **rows, Failure *failure, GError **error)
{
  SqliteDatabase *database = (SqliteDatabase *)base;
  sqlite3_stmt *prepared = NULL;
  int code = sqlite3_prepare_v2 (database->handle, statement->sql, -1, &prepared, NULL);

  if (rows)
    *rows = NULL;
  if (code != SQLITE_OK)
    return fail (database, code, failure, error);
  for (guint i = 0; i < statement->parameters->len; i++)
    bind (prepared, i + 1, &g_array_index (statement->parameters, Parameter, i));
  if (rows)
    *rows = g_ptr_array_new_with_free_func ((GDestroyNotify)g_ptr_array_unref);
  while ((code = sqlite3_step (prepared)) == SQLITE_ROW)
    if (rows)
      g_ptr_array_add (*rows, read_row (prepared));
  if (code != SQLITE_DONE) {
    fail (database, code, failure, error);
    if (rows)
      g_clear_pointer (rows, g_ptr_array_unref);
  }
  sqlite3_finalize (prepared);
  return code == SQLITE_DONE;
}

static gboolean
apply (SqliteDatabase *database, Migration *migration, Failure *failure, GError **error)
{
  Statement *known = statement_new ("SELECT 1 FROM derush_migrations WHERE \"version\" = $1"), *note;
  g_autoptr (GPtrArray) rows = NULL;
  g_autofree char *now = derush_time_to_iso8601 (derush_time_now_ms ());
  gboolean good;

  statement_add_integer (known, migration->version);
  good = sqlite_execute (&database->parent, known, &rows, failure, error);
  statement_free (known);
  if (!good || rows->len > 0)
    return good;
  note = statement_new ("INSERT INTO derush_migrations (\"version\", \"name\", \"appliedAt\") VALUES ($1, $2, $3)");
  statement_add_integer (note, migration->version);
  statement_add_text (note, migration->name);
  statement_add_text (note, now);
  good = sqlite_run (&database->parent, migration->sql, failure, error) &&
         sqlite_execute (&database->parent, note, NULL, failure, error);
  statement_free (note);
  return good;
}

static gboolean
has_column (SqliteDatabase *database, const char *table, const char *column, gboolean *has, Failure *failure,
            GError **error)
{
  Statement *statement = statement_new ("SELECT 1 FROM pragma_table_info($1) WHERE name = $2");
  g_autoptr (GPtrArray) rows = NULL;
  gboolean good;

  statement_add_text (statement, table);
  statement_add_text (statement, column);
  good = sqlite_execute (&database->parent, statement, &rows, failure, error);
  statement_free (statement);
  *has = good && rows->len > 0;
  return good;
}

/* Whether the tables have all the columns that are written: the file may be another program's. */
static gboolean
check_tables (SqliteDatabase *database, Failure *failure, GError **error)
{
  for (guint i = 0; rows_get_table (i); i++) {
    g_auto (GStrv) pairs = g_strsplit (rows_get_table_columns (i), " ", -1);

    for (guint k = 0; pairs[k]; k++) {
      gboolean has;

      *strchr (pairs[k], ':') = '\0';
      if (!has_column (database, rows_get_table (i), pairs[k], &has, failure, error))
        return FALSE;
      if (has)
        continue;
      *failure = FAILURE_REFUSED;
      g_set_error (
          error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT,
          _ ("The table %s of the result store %s has no column %s; move the file away, or set DERUSH_STATE_DIR "
             "to another folder"),
          rows_get_table (i), database->path, pairs[k]);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
migrate (SqliteDatabase *database, Failure *failure, GError **error)
{
  g_autoptr (GPtrArray) migrations = migrations_load ("sqlite", error);

  *failure = FAILURE_REFUSED;
  if (!migrations || !sqlite_begin (&database->parent, failure, error))
    return FALSE;
  if (!sqlite_run (&database->parent,
                   "CREATE TABLE IF NOT EXISTS derush_migrations (\"version\" INTEGER PRIMARY KEY, \"name\" TEXT, "
                   "\"appliedAt\" TEXT)",
                   failure, error))
    return FALSE;
  for (guint i = 0; i < migrations->len; i++)
    if (!apply (database, g_ptr_array_index (migrations, i), failure, error))
      return FALSE;
  return check_tables (database, failure, error) && sqlite_run (&database->parent, "COMMIT", failure, error);
}

/* Jobs name files and people, so nobody else may read them: SQLite gives its other files the mode of the first. */
static gboolean
make_private (SqliteDatabase *database, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (database->path);
  int fd;

  if (g_mkdir_with_parents (folder, 0700) != 0) {
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The folder of the result store, %s, cannot be made (set DERUSH_STATE_DIR to another): %s"), folder,
                 g_strerror (errno));
    return FALSE;
  }
  fd = g_open (database->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) {
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The result store %s cannot be opened (set DERUSH_STATE_DIR to another folder): %s"),
                 database->path, g_strerror (errno));
    return FALSE;
  }
  close (fd);
  return TRUE;
}

static void
sqlite_close (Database *base)
{
  SqliteDatabase *database = (SqliteDatabase *)base;

  g_clear_pointer (&database->handle, sqlite3_close_v2);
}

static gboolean
sqlite_connect (Database *base, Failure *failure, GError **error)
{
  SqliteDatabase *database = (SqliteDatabase *)base;
  int code;

  *failure = FAILURE_REFUSED;
  if (!make_private (database, error))
    return FALSE;
  code = sqlite3_open_v2 (database->path, &database->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
  if (code != SQLITE_OK) {
    fail (database, code, failure, error);
    sqlite_close (base);
    return FALSE;
  }
  sqlite3_busy_timeout (database->handle, BUSY_TIMEOUT_MS);
  if (sqlite_run (base, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", failure, error) &&
      migrate (database, failure, error))
    return TRUE;
  sqlite_close (base);
  return FALSE;
}

static void
sqlite_free (Database *base)
{
  SqliteDatabase *database = (SqliteDatabase *)base;

  sqlite_close (base);
  g_free (database->path);
  g_free (database);
}

Database *
sqlite_database_new (const char *path)
{
  static const DatabaseClass class = {
      .name = "sqlite",
      .connect = sqlite_connect,
      .begin = sqlite_begin,
      .run = sqlite_run,
      .execute = sqlite_execute,
      .change = database_change,
      .spell = database_spell,
      .find_job = database_find_job,
      .is_newer = database_is_newer,
      .close = sqlite_close,
      .free = sqlite_free,
  };
  SqliteDatabase *database = g_new0 (SqliteDatabase, 1);

  database->parent.class = &class;
  database->path = g_strdup (path);
  return &database->parent;
}
