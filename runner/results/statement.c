/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "results-private.h"

#include <stdlib.h>
#include <string.h>
#include <glib/gi18n-lib.h>

GQuark
derush_results_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-results-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

void
parameter_clear (Parameter *parameter)
{
  g_free (parameter->text);
  g_strfreev (parameter->texts);
}

Statement *
statement_new (const char *sql)
{
  Statement *statement = g_new0 (Statement, 1);

  statement->sql = g_strdup (sql);
  statement->parameters = g_array_new (FALSE, TRUE, sizeof (Parameter));
  g_array_set_clear_func (statement->parameters, (GDestroyNotify)parameter_clear);
  return statement;
}

void
statement_free (Statement *statement)
{
  g_array_unref (statement->parameters);
  g_free (statement->sql);
  g_free (statement);
}

static Parameter *
add (Statement *statement, ParameterType type)
{
  g_array_set_size (statement->parameters, statement->parameters->len + 1);
  g_array_index (statement->parameters, Parameter, statement->parameters->len - 1).type = type;
  return &g_array_index (statement->parameters, Parameter, statement->parameters->len - 1);
}

/* Databases refuse text that is not UTF-8, and no job should lose its row for that. */
void
statement_add_text (Statement *statement, const char *text)
{
  add (statement, PARAMETER_TEXT)->text = text ? g_utf8_make_valid (text, -1) : NULL;
}

void
statement_add_integer (Statement *statement, gint64 integer)
{
  add (statement, PARAMETER_INTEGER)->integer = integer;
}

void
parameter_copy (const Parameter *parameter, Parameter *copy)
{
  *copy = *parameter;
  copy->text = g_strdup (parameter->text);
  copy->texts = g_strdupv (parameter->texts);
}

void
statement_add (Statement *statement, const Parameter *parameter)
{
  parameter_copy (parameter, add (statement, parameter->type));
}

static void
migration_free (Migration *migration)
{
  g_free (migration->name);
  g_free (migration->sql);
  g_free (migration);
}

static int
compare_migrations (gconstpointer a, gconstpointer b)
{
  const Migration *one = *(const Migration *const *)a, *other = *(const Migration *const *)b;

  return (one->version > other->version) - (one->version < other->version);
}

GPtrArray *
migrations_load (const char *kind, GError **error)
{
  const char *data = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *folder = g_build_filename (data && *data ? data : DERUSH_PKGDATADIR, "migrations", kind, NULL);
  g_autoptr (GPtrArray) migrations = g_ptr_array_new_with_free_func ((GDestroyNotify)migration_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, error);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    Migration *migration;

    if (!g_str_has_suffix (name, ".sql") || !g_ascii_isdigit (name[0]))
      continue;
    migration = g_new0 (Migration, 1);
    migration->version = strtol (name, NULL, 10);
    migration->name = g_strdup (name);
    g_ptr_array_add (migrations, migration);
    if (!g_file_get_contents (path, &migration->sql, NULL, error)) {
      g_prefix_error (error, _ ("The result store's tables cannot be made: "));
      return NULL;
    }
  }
  if (!dir || migrations->len == 0) {
    if (dir)
      g_set_error (error, DERUSH_RESULTS_ERROR, DERUSH_ERROR_INTERNAL, _ ("%s has no migrations; reinstall Derush"),
                   folder);
    else
      g_prefix_error (error, _ ("The result store's tables cannot be made: "));
    return NULL;
  }
  g_ptr_array_sort (migrations, compare_migrations);
  return g_steal_pointer (&migrations);
}
