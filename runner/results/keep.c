/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What jobs have left: which rows tell of files, and rows that go. Everything here blocks until the writer has come to it. */

#include "store-private.h"

#include <string.h>

/* The first three have a row for a file, that is worth nothing without it. */
static const char *const asset_tables[] = {"video_formats", "thumbnails",     "shorts",
                                           "highlights",    "transcriptions", "translations"};
#define N_FILE_TABLES 3

/* ── SQL in the words of the database ───────────────────────────────────── */

static char *
spell (Database *database, const char *table, const char *column)
{
  return database->class->spell (database, table, column);
}

/* Appends SQL in which `{table}` and `{table.column}` are spelled as the database has them. */
static void
append (GString *sql, Database *database, const char *text)
{
  while (*text) {
    const char *open = strchr (text, '{'), *close = open ? strchr (open, '}') : NULL;
    g_auto (GStrv) names = NULL;
    g_autofree char *inner = NULL, *spelled = NULL;

    if (!close) {
      g_string_append (sql, text);
      return;
    }
    g_string_append_len (sql, text, open - text);
    inner = g_strndup (open + 1, close - open - 1);
    names = g_strsplit (inner, ".", 2);
    spelled = spell (database, names[0], names[1]);
    g_string_append (sql, spelled ? spelled : "NULL");
    text = close + 1;
  }
}

static gboolean
has_column (Database *database, const char *table, const char *column)
{
  g_autofree char *relation = spell (database, table, NULL), *spelled = spell (database, table, column);

  return relation && strcmp (spelled, "NULL") != 0;
}

static gboolean
execute (Database *database, const char *template, const char *const *texts, GPtrArray **rows, Failure *failure,
         GError **error)
{
  g_autoptr (GString) sql = g_string_new (NULL);
  Statement *statement;
  gboolean good;

  append (sql, database, template);
  statement = statement_new (sql->str);
  for (guint i = 0; texts && texts[i]; i++)
    statement_add_text (statement, texts[i]);
  good = database->class->execute (database, statement, rows, failure, error);
  statement_free (statement);
  return good;
}

/* ── Rows that tell of files ────────────────────────────────────────────── */

typedef struct {
  DerushStoreFilter filter;
  char *video;
  char *user;
  JsonArray *found;
} Listing;

static void
listing_free (gpointer data)
{
  Listing *listing = data;

  g_free (listing->video);
  g_free (listing->user);
  g_clear_pointer (&listing->found, json_array_unref);
  g_free (listing);
}

static gint64
time_of (JsonObject *row, const char *name)
{
  const char *text = derush_json_get_string (row, name, NULL);
  g_autoptr (GDateTime) time = text ? g_date_time_new_from_iso8601 (text, NULL) : NULL;

  return time ? g_date_time_to_unix (time) * 1000 + g_date_time_get_microsecond (time) / 1000 : 0;
}

static void
append_columns (GString *sql, Database *database)
{
  for (guint i = 0; rows_get_column (i); i++) {
    g_autofree char *column = spell (database, "jobs", rows_get_column (i));

    g_string_append_printf (sql, "%s%s", i > 0 ? ", " : "", column);
  }
}

static gboolean
list_jobs (Database *database, gpointer data, Failure *failure, GError **error)
{
  Listing *listing = data;
  const DerushStoreFilter *filter = &listing->filter;
  g_autoptr (GString) sql = g_string_new ("SELECT ");
  g_autoptr (GPtrArray) rows = NULL;
  g_autofree char *before = filter->ended_before > 0 ? derush_time_to_iso8601 (filter->ended_before) : NULL;
  Statement *statement = statement_new (NULL);
  gboolean good;

  g_clear_pointer (&listing->found, json_array_unref);
  listing->found = json_array_new ();
  append_columns (sql, database);
  append (sql, database, " FROM {jobs} WHERE 1 = 1");
  if (listing->video) {
    statement_add_text (statement, listing->video);
    append (sql, database, " AND CAST({jobs.videoId} AS TEXT) = $");
    g_string_append_printf (sql, "%u", statement->parameters->len);
  }
  if (listing->user) {
    statement_add_text (statement, listing->user);
    append (sql, database, " AND CAST({jobs.userId} AS TEXT) = $");
    g_string_append_printf (sql, "%u", statement->parameters->len);
  }
  if (before) {
    statement_add_text (statement, before);
    append (sql, database, " AND {jobs.completedAt} < $");
    g_string_append_printf (sql, "%u", statement->parameters->len);
  }
  if (filter->with_outputs) {
    append (sql, database,
            " AND {jobs.output} IS NOT NULL AND CAST({jobs.output} AS TEXT) NOT LIKE '%outputsRemoved%'");
    if (has_column (database, "workflow_executions", "id"))
      append (sql, database,
              " AND ({jobs.workflowId} IS NULL OR CAST({jobs.workflowId} AS TEXT) NOT IN (SELECT "
              "CAST({workflow_executions.id} AS TEXT) FROM {workflow_executions} WHERE "
              "UPPER(CAST({workflow_executions.status} AS TEXT)) IN ('RUNNING', 'PROCESSING')))");
  }
  append (sql, database, " ORDER BY {jobs.completedAt}");
  g_string_append_printf (sql, "%s LIMIT %u OFFSET %u", filter->newest_first ? " DESC" : "", filter->n, filter->skip);
  g_free (statement->sql);
  statement->sql = g_strdup (sql->str);
  good = database->class->execute (database, statement, &rows, failure, error);
  statement_free (statement);
  for (guint i = 0; good && i < rows->len; i++) {
    JsonObject *row = rows_read_job (rows->pdata[i]);

    json_object_set_int_member (row, "endedAt", time_of (row, "completedAt"));
    json_array_add_object_element (listing->found, row);
  }
  return good;
}

JsonArray *
derush_store_list_jobs (DerushStore *store, const DerushStoreFilter *filter, GError **error)
{
  Listing *listing = g_new0 (Listing, 1);
  Operation *operation = operation_new_question (list_jobs, listing, listing_free);
  JsonArray *found = NULL;

  listing->filter = *filter;
  listing->video = g_strdup (filter->video);
  listing->user = g_strdup (filter->user);
  if (store_ask (store, operation, error))
    found = json_array_ref (listing->found);
  operation_unref (operation);
  return found;
}

/* ── Files that are gone ────────────────────────────────────────────────── */

typedef struct {
  char *id;
  GStrv texts;
  char *video;
  guint64 n_rows;
} Removal;

static void
removal_free (gpointer data)
{
  Removal *removal = data;

  g_free (removal->id);
  g_strfreev (removal->texts);
  g_free (removal->video);
  g_free (removal);
}

static gboolean
forget_outputs (Database *database, gpointer data, Failure *failure, GError **error)
{
  Removal *removal = data;
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (JsonObject) row = NULL;
  g_autofree char *now = derush_time_to_iso8601 (derush_time_now_ms ()), *text = NULL;
  JsonObject *output;

  for (guint t = 0; t < N_FILE_TABLES; t++) {
    g_autofree char *sql =
        g_strdup_printf ("DELETE FROM {%s} WHERE {%s.filePath} = $1", asset_tables[t], asset_tables[t]);

    for (guint i = 0; has_column (database, asset_tables[t], "filePath") && removal->texts[i]; i++) {
      const char *const values[] = {removal->texts[i], NULL};

      if (!execute (database, sql, values, NULL, failure, error))
        return FALSE;
    }
  }
  if (!database->class->find_job (database, removal->id, &rows, failure, error))
    return FALSE;
  row = rows->len > 0 ? rows_read_job (rows->pdata[0]) : NULL;
  output = row ? derush_json_get_object (row, "output") : NULL;
  if (!output)
    return TRUE;
  json_object_set_string_member (output, "outputsRemoved", now);
  text = derush_json_object_to_string (output);
  {
    const char *const values[] = {text, derush_json_get_string (row, "id", ""), NULL};

    return execute (database, "UPDATE {jobs} SET {jobs.output} = $1 WHERE CAST({jobs.id} AS TEXT) = $2", values, NULL,
                    failure, error);
  }
}

gboolean
derush_store_forget_outputs (DerushStore *store, const char *id, const char *const *paths, GError **error)
{
  Removal *removal = g_new0 (Removal, 1);
  Operation *operation = operation_new_question (forget_outputs, removal, removal_free);
  gboolean good;

  removal->id = g_strdup (id);
  removal->texts = g_strdupv ((char **)paths);
  good = store_ask (store, operation, error);
  operation_unref (operation);
  return good;
}

/* ── Rows that go ───────────────────────────────────────────────────────── */

static gboolean
remove_where (Database *database, const char *table, const char *column, const char *text, guint64 *n, Failure *failure,
              GError **error)
{
  const char *const values[] = {text, NULL};
  g_autofree char *count = NULL, *sql = NULL;
  g_autoptr (GPtrArray) rows = NULL;

  if (!text || !has_column (database, table, column))
    return TRUE;
  count = g_strdup_printf ("SELECT count(*) FROM {%s} WHERE CAST({%s.%s} AS TEXT) = $1", table, table, column);
  sql = g_strdup_printf ("DELETE FROM {%s} WHERE CAST({%s.%s} AS TEXT) = $1", table, table, column);
  if (!execute (database, count, values, &rows, failure, error) ||
      !execute (database, sql, values, NULL, failure, error))
    return FALSE;
  *n += g_ascii_strtoull (g_ptr_array_index ((GPtrArray *)rows->pdata[0], 0), NULL, 10);
  return TRUE;
}

static gboolean
remove_jobs (Database *database, gpointer data, Failure *failure, GError **error)
{
  Removal *removal = data;

  removal->n_rows = 0;
  for (guint t = 0; t < G_N_ELEMENTS (asset_tables); t++) {
    if (!remove_where (database, asset_tables[t], "videoId", removal->video, &removal->n_rows, failure, error))
      return FALSE;
    for (guint i = 0; removal->texts[i]; i++)
      if (!remove_where (database, asset_tables[t], "jobId", removal->texts[i], &removal->n_rows, failure, error))
        return FALSE;
  }
  for (guint i = 0; removal->texts[i]; i++)
    if (!remove_where (database, "workflow_executions", "jobId", removal->texts[i], &removal->n_rows, failure, error) ||
        !remove_where (database, "jobs", "id", removal->texts[i], &removal->n_rows, failure, error))
      return FALSE;
  return TRUE;
}

gboolean
derush_store_remove_jobs (DerushStore *store, const char *const *ids, const char *video, guint64 *n_rows,
                          GError **error)
{
  Removal *removal = g_new0 (Removal, 1);
  Operation *operation = operation_new_question (remove_jobs, removal, removal_free);
  gboolean good;

  removal->texts = g_strdupv ((char **)ids);
  removal->video = g_strdup (video);
  good = store_ask (store, operation, error);
  *n_rows = good ? removal->n_rows : 0;
  operation_unref (operation);
  return good;
}

static gboolean
look_whose (Database *database, gpointer data, Failure *failure, GError **error)
{
  g_autofree char *table = spell (database, "jobs", NULL);

  *(gboolean *)data = strcmp (table, "jobs") != 0;
  return TRUE;
}

gboolean
derush_store_is_of_backend (DerushStore *store)
{
  gboolean *theirs = g_new0 (gboolean, 1);
  Operation *operation = operation_new_question (look_whose, theirs, g_free);
  gboolean answer = store_ask (store, operation, NULL) && *theirs;

  operation_unref (operation);
  return answer;
}
