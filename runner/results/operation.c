/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "results-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define LINE_VERSION 1

/* @changes: (transfer full) */
Operation *
operation_new (const char *table, const char *id, gint64 time, GPtrArray *changes)
{
  Operation *operation = g_new0 (Operation, 1);

  g_atomic_ref_count_init (&operation->references);
  operation->table = g_intern_string (table);
  operation->id = g_utf8_make_valid (id, -1);
  operation->time = time;
  operation->changes = changes;
  operation->since = g_get_monotonic_time ();
  operation->size = sizeof *operation + strlen (id);
  for (guint i = 0; i < changes->len; i++)
    operation->size += change_get_size (changes->pdata[i]);
  return operation;
}

/* @data: (transfer full) */
Operation *
operation_new_question (QuestionFunc func, gpointer data, GDestroyNotify destroy)
{
  Operation *operation = g_new0 (Operation, 1);

  g_atomic_ref_count_init (&operation->references);
  operation->func = func;
  operation->data = data;
  operation->destroy = destroy;
  operation->since = g_get_monotonic_time ();
  operation->size = sizeof *operation;
  return operation;
}

Operation *
operation_ref (Operation *operation)
{
  g_atomic_ref_count_inc (&operation->references);
  return operation;
}

void
operation_unref (Operation *operation)
{
  if (!g_atomic_ref_count_dec (&operation->references))
    return;
  g_free (operation->id);
  g_clear_pointer (&operation->changes, g_ptr_array_unref);
  if (operation->destroy)
    operation->destroy (operation->data);
  g_clear_error (&operation->error);
  g_free (operation);
}

/* ── On disk ────────────────────────────────────────────────────────────── */

char *
operation_to_line (Operation *operation)
{
  g_autoptr (JsonObject) object = json_object_new ();
  JsonArray *changes = json_array_new ();

  json_object_set_int_member (object, "version", LINE_VERSION);
  json_object_set_string_member (object, "table", operation->table);
  json_object_set_string_member (object, "id", operation->id);
  json_object_set_int_member (object, "time", operation->time);
  if (operation->mends)
    json_object_set_boolean_member (object, "mends", TRUE);
  for (guint i = 0; i < operation->changes->len; i++)
    json_array_add_object_element (changes, change_to_json (operation->changes->pdata[i]));
  json_object_set_array_member (object, "changes", changes);
  return derush_json_object_to_string (object);
}

/* Returns: (nullable): NULL for a line that is none */
Operation *
operation_from_line (const char *line)
{
  g_autoptr (JsonObject) object = derush_json_parse_object (line, -1, NULL);
  JsonArray *changes = object ? derush_json_get_array (object, "changes") : NULL;
  const char *table = object ? derush_json_get_string (object, "table", NULL) : NULL,
             *id = object ? derush_json_get_string (object, "id", NULL) : NULL;
  g_autoptr (GPtrArray) read = g_ptr_array_new_with_free_func ((GDestroyNotify)change_free);
  Operation *operation;

  if (!changes || !table || !id || derush_json_get_int (object, "version", 0) != LINE_VERSION ||
      (strcmp (table, "jobs") != 0 && strcmp (table, "workflow_executions") != 0))
    return NULL;
  for (guint i = 0; i < json_array_get_length (changes); i++) {
    JsonNode *node = json_array_get_element (changes, i);
    Change *change = JSON_NODE_HOLDS_OBJECT (node) ? change_from_json (json_node_get_object (node)) : NULL;

    if (!change)
      return NULL;
    g_ptr_array_add (read, change);
  }
  operation = operation_new (table, id, derush_json_get_int (object, "time", 0), g_steal_pointer (&read));
  operation->spooled = operation->replayed = TRUE;
  operation->mends = derush_json_get_boolean (object, "mends", FALSE);
  return operation;
}

/* ── In the database ────────────────────────────────────────────────────── */

gboolean
database_change (Database *database, Change *change, Failure *failure, GError **error)
{
  Statement *statement = change_to_statement (change);
  gboolean good = database->class->execute (database, statement, NULL, failure, error);

  statement_free (statement);
  return good;
}

char *
database_spell (Database *database, const char *table, const char *column)
{
  return column ? g_strdup_printf ("\"%s\"", column) : g_strdup (table);
}

gboolean
database_find_job (Database *database, const char *id, GPtrArray **rows, Failure *failure, GError **error)
{
  g_autoptr (GString) sql = g_string_new ("SELECT ");
  Statement *statement;
  gboolean good;

  for (guint i = 0; rows_get_column (i); i++)
    g_string_append_printf (sql, "%s\"%s\"", i > 0 ? ", " : "", rows_get_column (i));
  g_string_append (sql, " FROM jobs WHERE \"id\" = $1");
  statement = statement_new (sql->str);
  statement_add_text (statement, id);
  good = database->class->execute (database, statement, rows, failure, error);
  statement_free (statement);
  return good;
}

gboolean
database_is_newer (Database *database, const char *table, const char *id, gint64 time, gboolean *newer,
                   Failure *failure, GError **error)
{
  g_autofree char *sql = g_strdup_printf ("SELECT 1 FROM %s WHERE \"id\" = $1 AND \"updatedAt\" > $2", table);
  g_autofree char *date = derush_time_to_iso8601 (time);
  Statement *statement = statement_new (sql);
  g_autoptr (GPtrArray) rows = NULL;
  gboolean good;

  statement_add_text (statement, id);
  statement_add_text (statement, date);
  good = database->class->execute (database, statement, &rows, failure, error);
  statement_free (statement);
  *newer = good && rows->len > 0;
  return good;
}

gboolean
status_is_open (const char *status)
{
  static const char *const open[] = {"PROCESSING", "RUNNING", "ACTIVE", "STARTED", "DELAYED", "RETRYING",
                                     "STALLED",    "PENDING", "QUEUED", "WAITING", "CREATED"};

  for (guint i = 0; status && i < G_N_ELEMENTS (open); i++)
    if (g_ascii_strcasecmp (status, open[i]) == 0)
      return TRUE;
  return !status;
}

static gboolean
has_ended (Operation *operation, Database *database, gboolean *ended, Failure *failure, GError **error)
{
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (JsonObject) row = NULL;

  if (!database->class->find_job (database, operation->id, &rows, failure, error))
    return FALSE;
  row = rows->len > 0 ? rows_read_job (rows->pdata[0]) : NULL;
  *ended = row && !status_is_open (derush_json_get_string (row, "status", NULL));
  return TRUE;
}

gboolean
operation_write (Operation *operation, Database *database, Failure *failure, GError **error)
{
  gboolean newer = FALSE;

  if (operation->func)
    return operation->func (database, operation->data, failure, error);
  /* What has waited on disk may be older than what another daemon has written of the same job since. */
  if (operation->replayed &&
      !database->class->is_newer (database, operation->table, operation->id, operation->time, &newer, failure, error))
    return FALSE;
  if (!newer && operation->mends && !has_ended (operation, database, &newer, failure, error))
    return FALSE;
  for (guint i = 0; !newer && i < operation->changes->len; i++)
    if (!database->class->change (database, operation->changes->pdata[i], failure, error))
      return FALSE;
  return TRUE;
}
