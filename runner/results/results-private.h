/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inside of the room: statements, the databases that take them, and the rows that jobs become. */

#pragma once

#include "results/results.h"

G_BEGIN_DECLS

/* ── Statements ─────────────────────────────────────────────────────────── */

typedef enum {
  PARAMETER_TEXT,
  PARAMETER_INTEGER,
  PARAMETER_REAL,
  PARAMETER_BOOLEAN,
  PARAMETER_TEXTS, /* a list of texts */
} ParameterType;

/*
 * Parameter: a value of a statement
 *   text     of PARAMETER_TEXT; NULL is SQL's NULL
 *   texts    of PARAMETER_TEXTS
 */
typedef struct {
  ParameterType type;
  char *text;
  gint64 integer;
  double real;
  GStrv texts;
} Parameter;

/* Statement: SQL that both databases understand, with $1, $2, … each used once, in order */
typedef struct {
  const char *sql;
  GArray *parameters; /* of Parameter */
} Statement;

Statement *statement_new (const char *sql);
void statement_free (Statement *statement);
void statement_add_text (Statement *statement, const char *text);
void statement_add_integer (Statement *statement, gint64 integer);
void statement_add_real (Statement *statement, double real);
void statement_add_boolean (Statement *statement, gboolean boolean);
void statement_add_texts (Statement *statement, GStrv texts);
gsize statement_get_size (Statement *statement);

/* ── Databases ──────────────────────────────────────────────────────────── */

typedef enum {
  FAILURE_WAIT,   /* the database is away, full or busy: the same again will do later */
  FAILURE_REFUSED /* this statement will never do */
} Failure;

typedef struct _Database Database;

/*
 * Database: a connection, used by one thread at a time
 *   name     as health says it
 *   connect  opens it and brings its tables up to date; @failure says whether waiting may mend an error
 *   begin    starts a transaction that can be written in
 *   run      runs SQL without parameters
 *   execute  runs a statement; if @row is not NULL, the first row of its answer is given there, NULL without one
 *   close    ends the connection, if there is one
 */
typedef struct {
  const char *name;
  gboolean (*connect) (Database *database, Failure *failure, GError **error);
  gboolean (*begin) (Database *database, Failure *failure, GError **error);
  gboolean (*run) (Database *database, const char *sql, Failure *failure, GError **error);
  gboolean (*execute) (Database *database, Statement *statement, GPtrArray **row, Failure *failure, GError **error);
  void (*close) (Database *database);
  void (*free) (Database *database);
} DatabaseClass;

struct _Database {
  const DatabaseClass *class;
};

#ifdef HAVE_SQLITE
Database *sqlite_database_new (const char *path);
#endif
#ifdef HAVE_POSTGRESQL
Database *postgresql_database_new (const char *url, GError **error);
#endif

/* For tests: the connection string for libpq and the schema that a URL as Prisma writes it means. */
char *postgresql_url_parse (const char *url, char **schema, GError **error);

/* ── Migrations ─────────────────────────────────────────────────────────── */

typedef struct {
  gint64 version;
  char *name;
  char *sql;
} Migration;

/* Returns: (element-type Migration): those of data/migrations/@kind, in order */
GPtrArray *migrations_load (const char *kind, GError **error);

/* ── Rows ───────────────────────────────────────────────────────────────── */

/* Each returns a list of Statement that belongs into one transaction. */
GPtrArray *rows_started (const char *id, const char *job_type, DerushPlan *plan, JsonObject *data, guint attempt,
                         guint max_attempts);
GPtrArray *rows_progress (const char *id, int percent, const char *stage);
GPtrArray *rows_completed (const char *id, DerushPlan *plan, JsonObject *return_value, gint64 duration_ms);
GPtrArray *rows_failed (const char *id, const char *reason, gboolean will_retry, gboolean cancelled,
                        gint64 duration_ms);
GPtrArray *rows_execution (const DerushStoreExecution *execution);
Statement *rows_select_job (const char *id);
JsonObject *rows_read_job (GPtrArray *row);

G_END_DECLS
