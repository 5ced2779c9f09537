/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* A look at the database that changes nothing there, for `derush doctor`. */

#include "results-private.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#ifdef HAVE_SQLITE
#include <sqlite3.h>
#endif
#ifdef HAVE_POSTGRESQL
#include <libpq-fe.h>
#endif

static gint64
newest_migration (const char *kind, GError **error)
{
  g_autoptr (GPtrArray) migrations = migrations_load (kind, error);

  if (!migrations)
    return -1;
  return migrations->len > 0 ? ((Migration *)migrations->pdata[migrations->len - 1])->version : 0;
}

/* What is to be said of tables of version @held, of -1: none, where @newest is ours. */
static gboolean
compare_versions (const char *what, gint64 held, gint64 newest, char **description, GError **error)
{
  if (held > newest) {
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_UNSUPPORTED,
                 _ ("The tables of %s are of version %" PRId64 ", this Derush knows %" PRId64
                    "; install the newer Derush that made them"),
                 what, held, newest);
    return FALSE;
  }
  if (held < 0)
    *description = g_strdup_printf (_ ("%s: the tables will be made when derushd starts"), what);
  else if (held < newest)
    *description = g_strdup_printf (
        _ ("%s: tables of version %" PRId64 ", to be brought to %" PRId64 " when derushd starts"), what, held, newest);
  else
    *description = g_strdup_printf (_ ("%s: tables of version %" PRId64), what, held);
  return TRUE;
}

/* ── SQLite ─────────────────────────────────────────────────────────────── */

#ifdef HAVE_SQLITE
/* The nearest folder of @path that is there. */
static char *
existing_folder (const char *path)
{
  char *folder = g_path_get_dirname (path);

  while (!g_file_test (folder, G_FILE_TEST_EXISTS) && strcmp (folder, "/") != 0 && strcmp (folder, ".") != 0) {
    char *parent = g_path_get_dirname (folder);

    g_free (folder);
    folder = parent;
  }
  return folder;
}

static gboolean
check_sqlite (const char *path, char **description, GError **error)
{
  gint64 newest = newest_migration ("sqlite", error), held = -1;
  g_autofree char *folder = existing_folder (path);
  gboolean there = g_file_test (path, G_FILE_TEST_EXISTS);
  sqlite3_stmt *statement = NULL;
  sqlite3 *handle = NULL;
  int code = SQLITE_OK;

  if (newest < 0)
    return FALSE;
  if (g_access (there ? path : folder, R_OK | W_OK) != 0 || !g_file_test (folder, G_FILE_TEST_IS_DIR)) {
    g_set_error (
        error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE,
        _ ("The result store %s cannot be written; set DERUSH_STATE_DIR to another folder, or mend its rights"), path);
    return FALSE;
  }
  if (!there)
    return compare_versions (path, -1, newest, description, error);
  code = sqlite3_open_v2 (path, &handle, SQLITE_OPEN_READONLY, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_exec (handle, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
  if (code == SQLITE_OK &&
      sqlite3_prepare_v2 (handle, "SELECT max(\"version\") FROM derush_migrations", -1, &statement, NULL) ==
          SQLITE_OK &&
      sqlite3_step (statement) == SQLITE_ROW)
    held = sqlite3_column_int64 (statement, 0);
  sqlite3_finalize (statement);
  if (code != SQLITE_OK)
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The result store %s cannot be read; move it away or set DERUSH_STATE_DIR to another folder: %s"),
                 path, handle ? sqlite3_errmsg (handle) : sqlite3_errstr (code));
  sqlite3_close_v2 (handle);
  return code == SQLITE_OK && compare_versions (path, held, newest, description, error);
}
#endif

/* ── PostgreSQL ─────────────────────────────────────────────────────────── */

#ifdef HAVE_POSTGRESQL
/* The number that @sql answers; -1 if it answers nothing. */
static gint64
ask_number (PGconn *connection, const char *sql)
{
  PGresult *result = PQexec (connection, sql);
  gint64 number = -1;

  if (PQresultStatus (result) == PGRES_TUPLES_OK && PQntuples (result) > 0 && !PQgetisnull (result, 0, 0))
    number = g_ascii_strtoll (PQgetvalue (result, 0, 0), NULL, 10);
  PQclear (result);
  return number;
}

/* The version of the tables in @schema. */
static gint64
held_in (PGconn *connection, const char *schema)
{
  char *quoted = PQescapeIdentifier (connection, schema, strlen (schema));
  g_autofree char *sql = g_strdup_printf ("SELECT max(\"version\") FROM %s.derush_migrations", quoted);

  PQfreemem (quoted);
  return ask_number (connection, sql);
}

static gboolean
check_postgresql (const char *url, char **description, GError **error)
{
  static const char *const names[] = {"fallback_application_name", "connect_timeout", "dbname", NULL};
  g_autofree char *schema = NULL, *conninfo = postgresql_url_parse (url, &schema, error), *what = NULL;
  gint64 newest = conninfo ? newest_migration ("postgresql", error) : -1, held;
  const char *const values[] = {"derush", "5", conninfo, NULL};
  gboolean good = FALSE, used = FALSE;
  PGconn *connection;

  if (newest < 0)
    return FALSE;
  connection = PQconnectdbParams (names, values, 1);
  if (PQstatus (connection) != CONNECTION_OK) {
    g_autofree char *line = g_utf8_make_valid (PQerrorMessage (connection), -1), *safe = NULL;

    g_strdelimit (g_strchomp (line), "\r\n\t", ' ');
    safe = derush_log_redact (line);
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("PostgreSQL of DATABASE_URL cannot be reached: %s"), safe);
  } else {
    held = held_in (connection, schema ? schema : "public");
    what = g_strdup_printf ("PostgreSQL %d, %s", PQserverVersion (connection) / 10000, PQdb (connection));
    if (held < 0 && !postgresql_examine (url, &used, error))
      good = FALSE;
    else if (used)
      good = (*description = g_strdup_printf (_ ("%s: the backend’s tables in the schema %s are used as they are"),
                                              what, schema ? schema : "public")) != NULL;
    else if (held < 0 &&
             ask_number (connection, "SELECT has_database_privilege (current_database (), 'CREATE')::int") == 0 &&
             ask_number (connection, "SELECT has_schema_privilege (current_schema (), 'CREATE')::int") != 1)
      g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT,
                   _ ("The user of DATABASE_URL may make no tables in the database %s; grant CREATE to it"),
                   PQdb (connection));
    else
      good = compare_versions (what, held, newest, description, error);
  }
  PQfinish (connection);
  return good;
}
#endif

/**
 * derush_store_measure_spool:
 * @config: the settings
 * @oldest: (out): when the oldest of it was written, in seconds since 1970
 *
 * Returns: how many bytes of rows wait on disk for the database, of this process and of all others
 */
gint64
derush_store_measure_spool (DerushConfig *config, gint64 *oldest)
{
  g_autofree char *top = g_build_filename (derush_config_get_string (config, "DERUSH_STATE_DIR"), "spool", NULL);
  g_autoptr (GDir) folders = g_dir_open (top, 0, NULL);
  const char *folder, *name;
  gint64 bytes = 0;

  *oldest = G_MAXINT64;
  while (folders && (folder = g_dir_read_name (folders))) {
    g_autofree char *path = g_build_filename (top, folder, NULL);
    g_autoptr (GDir) files = g_dir_open (path, 0, NULL);

    while (files && (name = g_dir_read_name (files))) {
      g_autofree char *file = g_build_filename (path, name, NULL);
      GStatBuf status;

      if (!g_str_has_suffix (name, ".jsonl") || g_stat (file, &status) != 0)
        continue;
      bytes += status.st_size;
      *oldest = MIN (*oldest, (gint64)status.st_mtime);
    }
  }
  return bytes;
}

/**
 * derush_store_check:
 * @config: the settings
 * @description: (out): what is there, in one line
 * @error: return location for an error
 *
 * Whether derush_store_open() would succeed, without making or changing anything. Blocks.
 *
 * Returns: %FALSE if the database cannot be used; @error says why and what to do
 */
gboolean
derush_store_check (DerushConfig *config, char **description, GError **error)
{
  const char *url = derush_config_get_string (config, "DATABASE_URL");
  g_autofree char *path =
      g_build_filename (derush_config_get_string (config, "DERUSH_STATE_DIR"), "derush.sqlite", NULL);

#ifdef HAVE_SQLITE
  if (*url == '\0')
    return check_sqlite (path, description, error);
#endif
#ifdef HAVE_POSTGRESQL
  if (*url != '\0')
    return check_postgresql (url, description, error);
#endif
  g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_UNSUPPORTED,
               _ ("This Derush was built without %s; build it with that, or set DATABASE_URL to what it has"),
               *url ? "PostgreSQL" : "SQLite");
  return FALSE;
}
