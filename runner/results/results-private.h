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
  char *sql;
  GArray *parameters; /* of Parameter */
} Statement;

Statement *statement_new (const char *sql);
void statement_free (Statement *statement);
void statement_add_text (Statement *statement, const char *text);
void statement_add_integer (Statement *statement, gint64 integer);
void statement_add (Statement *statement, const Parameter *parameter);
void parameter_clear (Parameter *parameter);
void parameter_copy (const Parameter *parameter, Parameter *copy);

/* ── Changes ────────────────────────────────────────────────────────────── */

/*
 * ChangeKind: what becomes of rows; each kind may be repeated
 *   CHANGE_INSERT  a new row, unless there is one of its id
 *   CHANGE_PUT     a new row, or these values in the one of its id
 *   CHANGE_UPDATE  these values in the rows that the conditions find
 *   CHANGE_DELETE  the rows go that the conditions find
 */
typedef enum {
  CHANGE_INSERT,
  CHANGE_PUT,
  CHANGE_UPDATE,
  CHANGE_DELETE,
} ChangeKind;

/* Value: of a column, by the name that it has in our own tables */
typedef struct {
  const char *column; /* interned */
  Parameter parameter;
} Value;

/* Change: what is to become of rows of a table of ours, whatever the database calls them */
typedef struct {
  ChangeKind kind;
  const char *table;  /* interned */
  GArray *values;     /* of Value */
  GArray *conditions; /* of Value: all of them hold */
} Change;

Change *change_new (ChangeKind kind, const char *table);
void change_free (Change *change);
void change_set_text (Change *change, const char *column, const char *text);
void change_set_integer (Change *change, const char *column, gint64 integer);
void change_set_real (Change *change, const char *column, double real);
void change_set_boolean (Change *change, const char *column, gboolean boolean);
void change_set_texts (Change *change, const char *column, GStrv texts);
void change_where (Change *change, const char *column, const char *text);
gsize change_get_size (Change *change);
JsonObject *change_to_json (Change *change);
Change *change_from_json (JsonObject *object);

/* What does it in our own tables. */
Statement *change_to_statement (Change *change);

/* ── Databases ──────────────────────────────────────────────────────────── */

typedef enum {
  FAILURE_WAIT,   /* the database is away, full or busy: the same again will do later */
  FAILURE_REFUSED /* this statement will never do */
} Failure;

typedef struct _Database Database;

/*
 * Database: a connection, used by one thread at a time
 *   name     as health says it
 *   remote   whether it may go away unseen, so that it is worth a question now and then
 *   connect  opens it and brings its tables up to date; @failure says whether waiting may mend an error
 *   begin    starts a transaction that can be written in
 *   run      runs SQL without parameters
 *   execute  runs a statement; if @rows is not NULL, the rows of its answer are given there
 *   change   does what @change says
 *   spell    a table of ours, or a column of it, in SQL; NULL for a column that is not there, NULL itself for a table
 *   find_job the row of the job @id as an answer of one row or none, with the columns of rows_get_column()
 *   is_newer whether the row of @table, one of our own, has been written after @time, in ms since 1970
 *   close    ends the connection, if there is one
 */
typedef struct {
  const char *name;
  gboolean remote;
  gboolean (*connect) (Database *database, Failure *failure, GError **error);
  gboolean (*begin) (Database *database, Failure *failure, GError **error);
  gboolean (*run) (Database *database, const char *sql, Failure *failure, GError **error);
  gboolean (*execute) (Database *database, Statement *statement, GPtrArray **rows, Failure *failure, GError **error);
  gboolean (*change) (Database *database, Change *change, Failure *failure, GError **error);
  char *(*spell) (Database *database, const char *table, const char *column);
  gboolean (*find_job) (Database *database, const char *id, GPtrArray **rows, Failure *failure, GError **error);
  gboolean (*is_newer) (Database *database, const char *table, const char *id, gint64 time, gboolean *newer,
                        Failure *failure, GError **error);
  void (*close) (Database *database);
  void (*free) (Database *database);
} DatabaseClass;

struct _Database {
  const DatabaseClass *class;
};

/* How `change` and `is_newer` are done in our own tables. */
gboolean database_change (Database *database, Change *change, Failure *failure, GError **error);
char *database_spell (Database *database, const char *table, const char *column);
gboolean database_find_job (Database *database, const char *id, GPtrArray **rows, Failure *failure, GError **error);
gboolean database_is_newer (Database *database, const char *table, const char *id, gint64 time, gboolean *newer,
                            Failure *failure, GError **error);

#ifdef HAVE_SQLITE
Database *sqlite_database_new (const char *path);
#endif
#ifdef HAVE_POSTGRESQL
Database *postgresql_database_new (const char *url, GError **error);
#endif

#ifdef HAVE_POSTGRESQL
/* A list as PostgreSQL writes it. */
char *texts_to_array (GStrv texts);

/*
 * postgresql_examine:
 * @schema: (nullable): the one that was asked for
 *
 * Returns: whether there are tables of another program that rows can be written into, which @used says, or none; FALSE with
 *   an error if they cannot
 */
gboolean postgresql_examine (const char *url, gboolean *used, GError **error);
#endif

/* For tests: the connection string for libpq and the schema that a URL as Prisma writes it means. */
char *postgresql_url_parse (const char *url, char **schema, GError **error);

/* ── Operations ─────────────────────────────────────────────────────────── */

typedef gboolean (*QuestionFunc) (Database *database, gpointer data, Failure *failure, GError **error);

/*
 * Operation: what belongs together, written in one transaction
 *   table     of @id, the row that it is about
 *   time      when it happened, in ms since 1970
 *   progress  whether a newer one of the same job may take its place
 *   func      of a question, which has no changes: called with @data where the database can be used
 *   error     of a question, once it is @done
 *   since     when it began to wait, monotonic
 *   spooled   whether it is on disk
 *   replayed  whether it is read from disk
 *   mends     whether it is only for a job whose row does not say that it has ended
 */
typedef struct {
  gatomicrefcount references;
  const char *table;
  char *id;
  gint64 time;
  gboolean progress;
  GPtrArray *changes;
  gsize size;
  QuestionFunc func;
  gpointer data;
  GDestroyNotify destroy;
  gboolean done;
  GError *error;
  gint64 since;
  gboolean spooled;
  gboolean replayed;
  gboolean mends;
} Operation;

Operation *operation_new (const char *table, const char *id, gint64 time, GPtrArray *changes);
Operation *operation_new_question (QuestionFunc func, gpointer data, GDestroyNotify destroy);
Operation *operation_ref (Operation *operation);
void operation_unref (Operation *operation);
char *operation_to_line (Operation *operation);
Operation *operation_from_line (const char *line);

/* Does it, in a transaction that is begun. */
gboolean operation_write (Operation *operation, Database *database, Failure *failure, GError **error);

/* ── Migrations ─────────────────────────────────────────────────────────── */

typedef struct {
  gint64 version;
  char *name;
  char *sql;
} Migration;

/* Returns: (element-type Migration): those of data/migrations/@kind, in order */
GPtrArray *migrations_load (const char *kind, GError **error);

/* Whether a row of that status is of a job that has not ended, whoever has written it. */
gboolean status_is_open (const char *status);

/* ── Rows ───────────────────────────────────────────────────────────────── */

/* Each returns a list of Change that belongs into one transaction; @now in ms since 1970. */
GPtrArray *rows_started (const char *id, const char *job_type, DerushPlan *plan, JsonObject *data, guint attempt,
                         guint max_attempts, gint64 now);
GPtrArray *rows_progress (const char *id, int percent, const char *stage, gint64 now);
GPtrArray *rows_completed (const char *id, DerushPlan *plan, JsonObject *return_value, gint64 duration_ms, gint64 now);
GPtrArray *rows_failed (const char *id, const char *reason, gboolean will_retry, gboolean cancelled, gint64 duration_ms,
                        gint64 now);
GPtrArray *rows_ended (const DerushStoreEnd *end);
GPtrArray *rows_execution (const DerushStoreExecution *execution, gint64 now);
/* What a job has made gets ids that a second run of the same job makes again. */
char *rows_asset_id (const char *job_id, const char *table, guint i);

/* The tables that are written; NULL after the last; and their columns: `NAME:KIND NAME:KIND …` */
const char *rows_get_table (guint i);
const char *rows_get_table_columns (guint i);

/* The columns of jobs, in the order in which rows_read_job() wants them; NULL after the last. */
const char *rows_get_column (guint i);
JsonObject *rows_read_job (GPtrArray *row);

G_END_DECLS
