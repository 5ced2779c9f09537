/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tables that somebody else has made, and how rows of ours are written into them. */

#pragma once

#include "results-private.h"

G_BEGIN_DECLS

typedef struct _Schema Schema;

/* How they are spelled in SQL, and who says so. */
Schema *schema_load (Database *database, const char *name, Failure *failure, GError **error);
void schema_free (Schema *schema);

gboolean schema_check_own (Database *database, const char *name, Failure *failure, GError **error);

/* Whether there are tables in the schema @name that rows of ours could be meant for. */
gboolean schema_is_there (Database *database, const char *name, gboolean *there, Failure *failure, GError **error);

/* In SQL: a table or column of ours; NULL if there is none. */
const char *schema_get_table (Schema *schema, const char *table);
const char *schema_get_column (Schema *schema, const char *table, const char *column);

/* What stands for a value of ours in a column of an enumerated type; NULL if nothing does. */
const char *schema_get_label (Schema *schema, const char *table, const char *column, const char *value);

/* The row of the job that we call @id: the one of BullMQ's id alone, if the backend has made it, else the one that is ours. */
gboolean schema_find_job (Schema *schema, Database *database, const char *id, char **found, gboolean *there,
                          Failure *failure, GError **error);

gboolean schema_is_newer (Schema *schema, Database *database, const char *table, const char *id, gint64 time,
                          gboolean *newer, Failure *failure, GError **error);
char *schema_spell_column (Schema *schema, const char *table, const char *name);
gboolean schema_change (Schema *schema, Database *database, Change *change, Failure *failure, GError **error);

G_END_DECLS
