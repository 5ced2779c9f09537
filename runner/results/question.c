/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What is asked of the rows. Everything here blocks until the writer has come to it. */

#include "store-private.h"

#include <string.h>

typedef struct {
  guint n;
  GStrv asked;
  GPtrArray *found; /* of texts */
} Ids;

static void
ids_free (gpointer data)
{
  Ids *ids = data;

  g_strfreev (ids->asked);
  g_clear_pointer (&ids->found, g_ptr_array_unref);
  g_free (ids);
}

static void
begin (Ids *ids)
{
  g_clear_pointer (&ids->found, g_ptr_array_unref);
  ids->found = g_ptr_array_new_with_free_func (g_free);
}

static GStrv
ask_for_ids (DerushStore *store, QuestionFunc func, Ids *ids, GError **error)
{
  Operation *operation = operation_new_question (func, ids, ids_free);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  gboolean good = store_ask (store, operation, error);

  for (guint i = 0; good && i < ids->found->len; i++)
    g_strv_builder_add (builder, ids->found->pdata[i]);
  operation_unref (operation);
  return good ? g_strv_builder_end (builder) : NULL;
}

static gboolean
list_running (Database *database, gpointer data, Failure *failure, GError **error)
{
  Ids *ids = data;
  g_autofree char *table = database->class->spell (database, "jobs", NULL),
                  *id = database->class->spell (database, "jobs", "id"),
                  *status = database->class->spell (database, "jobs", "status"),
                  *updated = database->class->spell (database, "jobs", "updatedAt"), *sql = NULL;
  g_autoptr (GPtrArray) rows = NULL;
  Statement *statement;
  gboolean good;

  begin (ids);
  sql = g_strdup_printf ("SELECT CAST(%s AS TEXT) FROM %s WHERE UPPER(CAST(%s AS TEXT)) IN ('PROCESSING', 'RUNNING', "
                         "'ACTIVE', 'DELAYED', 'RETRYING', 'STALLED') ORDER BY %s LIMIT %u",
                         id, table, status, updated, ids->n);
  statement = statement_new (sql);
  good = database->class->execute (database, statement, &rows, failure, error);
  statement_free (statement);
  for (guint i = 0; good && i < rows->len; i++)
    g_ptr_array_add (ids->found, g_strdup (g_ptr_array_index ((GPtrArray *)rows->pdata[i], 0)));
  return good;
}

GStrv
derush_store_list_running (DerushStore *store, guint n, GError **error)
{
  Ids *ids = g_new0 (Ids, 1);

  ids->n = n;
  return ask_for_ids (store, list_running, ids, error);
}

static gboolean
list_open (Database *database, gpointer data, Failure *failure, GError **error)
{
  Ids *ids = data;

  begin (ids);
  for (guint i = 0; ids->asked[i]; i++) {
    g_autoptr (GPtrArray) rows = NULL;
    g_autoptr (JsonObject) row = NULL;

    if (!database->class->find_job (database, ids->asked[i], &rows, failure, error))
      return FALSE;
    row = rows->len > 0 ? rows_read_job (rows->pdata[0]) : NULL;
    if (!row || status_is_open (derush_json_get_string (row, "status", NULL)))
      g_ptr_array_add (ids->found, g_strdup (ids->asked[i]));
  }
  return TRUE;
}

GStrv
derush_store_list_open (DerushStore *store, const char *const *asked, GError **error)
{
  Ids *ids = g_new0 (Ids, 1);

  ids->asked = g_strdupv ((char **)asked);
  return ask_for_ids (store, list_open, ids, error);
}
