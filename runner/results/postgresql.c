/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "schema-private.h"

#include <string.h>
#include <libpq-fe.h>
#include <glib/gi18n-lib.h>

/* How long a statement may take, in µs. */
#define ANSWER_PATIENCE (30 * G_TIME_SPAN_SECOND)

typedef struct {
  Database parent;
  char *conninfo;
  char *asked_schema;
  char *schema;
  Schema *theirs; /* how to write into tables of another program; NULL: they are ours */
  PGconn *connection;
} PostgresqlDatabase;

/* ── The URL ────────────────────────────────────────────────────────────── */

static gboolean
is_libpq_parameter (const char *name)
{
  PQconninfoOption *options = PQconndefaults ();
  gboolean found = strcmp (name, "ssl") == 0;

  for (PQconninfoOption *option = options; option && option->keyword; option++)
    found |= strcmp (option->keyword, name) == 0;
  PQconninfoFree (options);
  return found;
}

/* libpq looks at the port only when it connects, and then answers as if nobody were there. */
static gboolean
ports_are_valid (PQconninfoOption *options)
{
  for (PQconninfoOption *option = options; option->keyword; option++) {
    g_auto (GStrv) ports = NULL;

    if (strcmp (option->keyword, "port") != 0 || !option->val)
      continue;
    ports = g_strsplit (option->val, ",", -1);
    for (guint i = 0; ports[i]; i++)
      if (*ports[i] && !g_ascii_string_to_unsigned (ports[i], 10, 1, 65535, NULL, NULL))
        return FALSE;
  }
  return TRUE;
}

/*
 * postgresql_url_parse:
 *
 * libpq refuses a URL with a parameter that it does not know, and Prisma's URLs have some: `schema` is kept apart, what
 * only concerns Prisma (`connection_limit`, `pgbouncer`, …) goes.
 */
char *
postgresql_url_parse (const char *url, char **schema, GError **error)
{
  const char *query = strchr (url, '?');
  g_autoptr (GString) conninfo = g_string_new_len (url, query ? query - url : (gssize)strlen (url));
  g_auto (GStrv) pairs = g_strsplit (query ? query + 1 : "", "&", -1);
  PQconninfoOption *parsed;
  gboolean first = TRUE;
  char *why = NULL;

  *schema = NULL;
  for (guint i = 0; pairs[i]; i++) {
    const char *equals = strchr (pairs[i], '=');
    g_autofree char *name = equals ? g_strndup (pairs[i], equals - pairs[i]) : NULL;

    if (!name)
      continue;
    if (strcmp (name, "schema") == 0) {
      g_free (*schema);
      *schema = g_uri_unescape_string (equals + 1, NULL);
    } else if (is_libpq_parameter (name)) {
      g_string_append_printf (conninfo, "%c%s", first ? '?' : '&', pairs[i]);
      first = FALSE;
    }
  }
  if (*schema && **schema == '\0')
    g_clear_pointer (schema, g_free);
  parsed = PQconninfoParse (conninfo->str, &why);
  if (!parsed || !ports_are_valid (parsed)) {
    g_autofree char *line =
        why ? g_strdelimit (g_strchomp (g_strdup (why)), "\n", ' ') : g_strdup (_ ("the port is not a number"));
    g_autofree char *safe = derush_log_redact (line);

    PQfreemem (why);
    PQconninfoFree (parsed);
    g_clear_pointer (schema, g_free);
    g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("DATABASE_URL is not a PostgreSQL address such as postgresql://user:password@host/database: %s"),
                 safe);
    return NULL;
  }
  PQconninfoFree (parsed);
  return g_string_free (g_steal_pointer (&conninfo), FALSE);
}

/* ── Errors ─────────────────────────────────────────────────────────────── */

/* One line of libpq's or the server's message. */
static char *
one_line (const char *message)
{
  g_autofree char *text = g_utf8_make_valid (message ? message : "", -1);

  return g_strdelimit (g_strstrip (g_steal_pointer (&text)), "\n\t", ' ');
}

static Failure
failure_of_state (const char *state)
{
  /* connection, resources, transaction rolled back, object in use, operator intervention, system */
  static const char *const waiting[] = {"08", "53", "40", "55", "57", "58", NULL};

  for (guint i = 0; state && waiting[i]; i++)
    if (strncmp (state, waiting[i], 2) == 0)
      return FAILURE_WAIT;
  return state && strcmp (state, "25006") != 0 ? FAILURE_REFUSED : FAILURE_WAIT; /* read-only: a standby */
}

/*
 * The answer to what was sent; NULL if none came in time. libpq by itself would wait for ever for a server that is there and
 * says nothing, as one whose disk hangs.
 */
static PGresult *
take_result (PostgresqlDatabase *database)
{
  gint64 until = g_get_monotonic_time () + ANSWER_PATIENCE;
  PGresult *last = NULL, *result;

  for (;;) {
    GPollFD fd = {.fd = PQsocket (database->connection), .events = G_IO_IN};
    gint64 left = until - g_get_monotonic_time ();

    if (!PQisBusy (database->connection)) {
      if (!(result = PQgetResult (database->connection)))
        return last;
      /* Of several statements the last one's, unless an earlier one has failed. */
      if (!last || PQresultStatus (last) != PGRES_FATAL_ERROR) {
        PQclear (last);
        last = result;
      } else {
        PQclear (result);
      }
      continue;
    }
    if (fd.fd < 0 || left <= 0 || g_poll (&fd, 1, left / 1000 + 1) < 0 || !PQconsumeInput (database->connection))
      break;
  }
  PQclear (last);
  return NULL;
}

static gboolean
check_result (PostgresqlDatabase *database, PGresult *result, Failure *failure, GError **error)
{
  ExecStatusType status = PQresultStatus (result);
  g_autofree char *message = NULL;
  gboolean silent = !result && PQstatus (database->connection) == CONNECTION_OK;
  const char *primary;

  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
    return TRUE;
  *failure = !result || PQstatus (database->connection) != CONNECTION_OK
                 ? FAILURE_WAIT
                 : failure_of_state (PQresultErrorField (result, PG_DIAG_SQLSTATE));
  /* Without its details, which repeat the row: a job's data has addresses that open its files. */
  primary = PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY);
  message = one_line (primary ? primary : silent ? _ ("it does not answer") : PQerrorMessage (database->connection));
  g_set_error (error, DERUSH_RESULTS_ERROR, *failure == FAILURE_WAIT ? DERUSH_ERROR_RESOURCE : DERUSH_ERROR_INTERNAL,
               _ ("PostgreSQL did not take what was to be stored: %s"), message);
  return FALSE;
}

/* ── Statements ─────────────────────────────────────────────────────────── */

static gboolean
postgresql_run (Database *base, const char *sql, Failure *failure, GError **error)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;
  PGresult *result = PQsendQuery (database->connection, sql) ? take_result (database) : NULL;
  gboolean good = check_result (database, result, failure, error);

  PQclear (result);
  return good;
}

/* The search path is set for each transaction, not for the session: a pooler may give every transaction another one. */
static gboolean
postgresql_begin (Database *base, Failure *failure, GError **error)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;
  char *quoted = PQescapeIdentifier (database->connection, database->schema, strlen (database->schema));
  g_autofree char *sql = g_strdup_printf ("BEGIN; SET LOCAL search_path TO %s", quoted ? quoted : "\"\"");

  PQfreemem (quoted);
  return postgresql_run (base, sql, failure, error);
}

char *
texts_to_array (GStrv texts)
{
  GString *array = g_string_new ("{");

  for (guint i = 0; texts[i]; i++) {
    g_string_append (array, i > 0 ? ",\"" : "\"");
    for (const char *p = texts[i]; *p; p++) {
      if (*p == '"' || *p == '\\')
        g_string_append_c (array, '\\');
      g_string_append_c (array, *p);
    }
    g_string_append_c (array, '"');
  }
  g_string_append_c (array, '}');
  return g_string_free (array, FALSE);
}

static char *
parameter_to_text (Parameter *parameter)
{
  char digits[G_ASCII_DTOSTR_BUF_SIZE];

  switch (parameter->type) {
  case PARAMETER_TEXT:
    break;
  case PARAMETER_INTEGER:
    return g_strdup_printf ("%" G_GINT64_FORMAT, parameter->integer);
  case PARAMETER_BOOLEAN:
    return g_strdup (parameter->integer ? "true" : "false");
  case PARAMETER_REAL:
    return g_strdup (g_ascii_dtostr (digits, sizeof digits, parameter->real));
  case PARAMETER_TEXTS:
    return texts_to_array (parameter->texts);
  }
  return g_strdup (parameter->text);
}

static GPtrArray *
read_rows (PGresult *result)
{
  GPtrArray *rows = g_ptr_array_new_with_free_func ((GDestroyNotify)g_ptr_array_unref);

  for (int i = 0; i < PQntuples (result); i++) {
    GPtrArray *row = g_ptr_array_new_with_free_func (g_free);

    for (int k = 0; k < PQnfields (result); k++)
      g_ptr_array_add (row, PQgetisnull (result, i, k) ? NULL : g_strdup (PQgetvalue (result, i, k)));
    g_ptr_array_add (rows, row);
  }
  return rows;
}

static gboolean
postgresql_execute (Database *base, Statement *statement, GPtrArray **rows, Failure *failure, GError **error)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free);
  PGresult *result;
  gboolean good;

  for (guint i = 0; i < statement->parameters->len; i++)
    g_ptr_array_add (values, parameter_to_text (&g_array_index (statement->parameters, Parameter, i)));
  result = PQsendQueryParams (database->connection, statement->sql, values->len, NULL,
                              (const char *const *)values->pdata, NULL, NULL, 0)
               ? take_result (database)
               : NULL;
  good = check_result (database, result, failure, error);
  if (rows)
    *rows = good ? read_rows (result) : NULL;
  PQclear (result);
  return good;
}

static gboolean
ask (PostgresqlDatabase *database, const char *sql, const char *text, gboolean *answer, Failure *failure,
     GError **error)
{
  Statement *statement = statement_new (sql);
  g_autoptr (GPtrArray) rows = NULL;
  gboolean good;

  statement_add_text (statement, text);
  good = postgresql_execute (&database->parent, statement, &rows, failure, error);
  statement_free (statement);
  *answer = good && rows->len > 0;
  return good;
}

/* ── Tables ─────────────────────────────────────────────────────────────── */

static gboolean
choose_schema (PostgresqlDatabase *database, Failure *failure, GError **error)
{
  const char *asked = database->asked_schema ? database->asked_schema : "public";
  gboolean ours = FALSE, theirs = FALSE;

  g_clear_pointer (&database->theirs, schema_free);
  g_free (database->schema);
  database->schema = g_strdup (asked);
  if (!ask (database, "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'derush_migrations'",
            asked, &ours, failure, error))
    return FALSE;
  if (ours)
    return TRUE;
  if (!schema_is_there (&database->parent, asked, &theirs, failure, error))
    return FALSE;
  return !theirs || (database->theirs = schema_load (&database->parent, asked, failure, error));
}

static gboolean
ensure_schema (PostgresqlDatabase *database, Failure *failure, GError **error)
{
  g_autofree char *sql = NULL;
  gboolean there;
  char *quoted;

  if (!ask (database, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", database->schema, &there, failure,
            error))
    return FALSE;
  if (there)
    return TRUE;
  quoted = PQescapeIdentifier (database->connection, database->schema, strlen (database->schema));
  sql = g_strdup_printf ("CREATE SCHEMA IF NOT EXISTS %s", quoted ? quoted : "\"\"");
  PQfreemem (quoted);
  return postgresql_run (&database->parent, sql, failure, error);
}

static gboolean
apply (PostgresqlDatabase *database, Migration *migration, Failure *failure, GError **error)
{
  g_autofree char *version = g_strdup_printf ("%" G_GINT64_FORMAT, migration->version);
  g_autofree char *now = derush_time_to_iso8601 (derush_time_now_ms ());
  gboolean known;
  Statement *note;
  gboolean good;

  if (!ask (database, "SELECT 1 FROM derush_migrations WHERE \"version\" = $1", version, &known, failure, error))
    return FALSE;
  if (known)
    return TRUE;
  note = statement_new ("INSERT INTO derush_migrations (\"version\", \"name\", \"appliedAt\") VALUES ($1, $2, $3)");
  statement_add_integer (note, migration->version);
  statement_add_text (note, migration->name);
  statement_add_text (note, now);
  good = postgresql_run (&database->parent, migration->sql, failure, error) &&
         postgresql_execute (&database->parent, note, NULL, failure, error);
  statement_free (note);
  return good;
}

/* The lock keeps two stores that start at once from making the same tables; it ends with the transaction. */
static gboolean
migrate (PostgresqlDatabase *database, Failure *failure, GError **error)
{
  g_autoptr (GPtrArray) migrations = migrations_load ("postgresql", error);
  Database *base = &database->parent;
  gboolean there;

  *failure = FAILURE_REFUSED;
  if (!migrations || !postgresql_run (base, "BEGIN; SELECT pg_advisory_xact_lock(7235419206)", failure, error) ||
      !choose_schema (database, failure, error))
    return FALSE;
  if (database->theirs)
    return postgresql_run (base, "COMMIT", failure, error);
  if (!ensure_schema (database, failure, error) || !postgresql_run (base, "COMMIT", failure, error) ||
      !postgresql_begin (base, failure, error) ||
      !postgresql_run (base, "SELECT pg_advisory_xact_lock(7235419206)", failure, error) ||
      !ask (database, "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'derush_migrations'",
            database->schema, &there, failure, error))
    return FALSE;
  if (!there && !postgresql_run (base,
                                 "CREATE TABLE derush_migrations (\"version\" BIGINT PRIMARY KEY, \"name\" TEXT, "
                                 "\"appliedAt\" TIMESTAMP(3))",
                                 failure, error))
    return FALSE;
  for (guint i = 0; i < migrations->len; i++)
    if (!apply (database, g_ptr_array_index (migrations, i), failure, error))
      return FALSE;
  return schema_check_own (base, database->schema, failure, error) && postgresql_run (base, "COMMIT", failure, error);
}

/* ── Rows ───────────────────────────────────────────────────────────────── */

static gboolean
postgresql_change (Database *base, Change *change, Failure *failure, GError **error)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;

  return database->theirs ? schema_change (database->theirs, base, change, failure, error)
                          : database_change (base, change, failure, error);
}

static char *
postgresql_spell (Database *base, const char *table, const char *column)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;

  if (!database->theirs)
    return database_spell (base, table, column);
  return column ? schema_spell_column (database->theirs, table, column)
                : g_strdup (schema_get_table (database->theirs, table));
}

static gboolean
postgresql_find_job (Database *base, const char *id, GPtrArray **rows, Failure *failure, GError **error)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;
  g_autoptr (GString) sql = g_string_new ("SELECT ");
  g_autofree char *own = NULL;
  Statement *statement;
  gboolean there, good;

  if (!database->theirs)
    return database_find_job (base, id, rows, failure, error);
  if (!schema_find_job (database->theirs, base, id, &own, &there, failure, error))
    return FALSE;
  for (guint i = 0; rows_get_column (i); i++) {
    g_autofree char *column = schema_spell_column (database->theirs, "jobs", rows_get_column (i));

    g_string_append_printf (sql, "%s%s", i > 0 ? ", " : "", column);
  }
  g_string_append_printf (sql, " FROM %s WHERE %s::text = $1", schema_get_table (database->theirs, "jobs"),
                          schema_get_column (database->theirs, "jobs", "id"));
  statement = statement_new (sql->str);
  statement_add_text (statement, own);
  good = postgresql_execute (base, statement, rows, failure, error);
  statement_free (statement);
  return good;
}

static gboolean
postgresql_is_newer (Database *base, const char *table, const char *id, gint64 time, gboolean *newer, Failure *failure,
                     GError **error)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;

  return database->theirs ? schema_is_newer (database->theirs, base, table, id, time, newer, failure, error)
                          : database_is_newer (base, table, id, time, newer, failure, error);
}

/* ── The connection ─────────────────────────────────────────────────────── */

static void
ignore_notice (void *data, const PGresult *result)
{
}

static void
postgresql_close (Database *base)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;

  g_clear_pointer (&database->connection, PQfinish);
}

/* What cannot be tried will never do. A server that answers and still refuses will refuse for ever, unless it is just full or starting. */
static gboolean
connection_failed (PostgresqlDatabase *database, Failure *failure, GError **error)
{
  g_autofree char *line = one_line (PQerrorMessage (database->connection)), *safe = derush_log_redact (line);
  PGPing ping = PQping (database->conninfo);
  gboolean answers = ping == PQPING_OK || ping == PQPING_NO_ATTEMPT;

  *failure =
      answers && !strstr (line, "too many") && !strstr (line, "connection slots") ? FAILURE_REFUSED : FAILURE_WAIT;
  g_set_error (error, DERUSH_RESULTS_ERROR, *failure == FAILURE_WAIT ? DERUSH_ERROR_RESOURCE : DERUSH_ERROR_BAD_INPUT,
               _ ("PostgreSQL of DATABASE_URL cannot be reached: %s"), safe);
  postgresql_close (&database->parent);
  return FALSE;
}

static gboolean
reach (PostgresqlDatabase *database, Failure *failure, GError **error)
{
  /* What the URL says comes later and wins. Without the last ones a lost network would hold a write for hours. */
  static const char *const names[] = {"fallback_application_name", "client_encoding", "connect_timeout",
                                      "tcp_user_timeout",          "dbname",          NULL};
  const char *const values[] = {"derush", "UTF8", "5", "15000", database->conninfo, NULL};

  database->connection = PQconnectdbParams (names, values, 1);
  if (PQstatus (database->connection) != CONNECTION_OK)
    return connection_failed (database, failure, error);
  PQsetNoticeReceiver (database->connection, ignore_notice, NULL);
  return TRUE;
}

static gboolean
postgresql_connect (Database *base, Failure *failure, GError **error)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;

  if (!reach (database, failure, error))
    return FALSE;
  if (migrate (database, failure, error))
    return TRUE;
  postgresql_close (base);
  return FALSE;
}

static void
postgresql_free (Database *base)
{
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;

  postgresql_close (base);
  g_clear_pointer (&database->theirs, schema_free);
  g_free (database->conninfo);
  g_free (database->asked_schema);
  g_free (database->schema);
  g_free (database);
}

Database *
postgresql_database_new (const char *url, GError **error)
{
  static const DatabaseClass class = {
      .name = "postgresql",
      .remote = TRUE,
      .connect = postgresql_connect,
      .begin = postgresql_begin,
      .run = postgresql_run,
      .execute = postgresql_execute,
      .change = postgresql_change,
      .spell = postgresql_spell,
      .find_job = postgresql_find_job,
      .is_newer = postgresql_is_newer,
      .close = postgresql_close,
      .free = postgresql_free,
  };
  g_autofree char *schema = NULL, *conninfo = postgresql_url_parse (url, &schema, error);
  PostgresqlDatabase *database;

  if (!conninfo)
    return NULL;
  database = g_new0 (PostgresqlDatabase, 1);
  database->parent.class = &class;
  database->conninfo = g_steal_pointer (&conninfo);
  database->asked_schema = g_steal_pointer (&schema);
  return &database->parent;
}

gboolean
postgresql_examine (const char *url, gboolean *used, GError **error)
{
  Database *base = postgresql_database_new (url, error);
  PostgresqlDatabase *database = (PostgresqlDatabase *)base;
  Failure failure;
  gboolean good;

  if (!base)
    return FALSE;
  good = reach (database, &failure, error) && choose_schema (database, &failure, error);
  *used = database->theirs != NULL;
  base->class->free (base);
  return good;
}
