/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What every result store has to do, whichever database is behind it. */

#pragma once

#include "results/results-private.h"

/* Points the environment at an empty store; @name is part of no two tests. */
typedef void (*UseEmptyStore) (const char *name);
/* A second connection to that store, to look at its tables. */
typedef Database *(*OpenDatabase) (void);

/* For tests of their own with the functions below. */
void store_tests_use (UseEmptyStore use_empty_store, OpenDatabase open_database);

void store_tests_add (const char *prefix, UseEmptyStore use_empty_store, OpenDatabase open_database);

JsonObject *parse (const char *text);
DerushPlan *plan_for (const char *type, const char *data);
JsonObject *video_value (const char *path);
DerushStore *open_store (void);
void close_store (DerushStore *store);

/* The first column of the first row that @sql answers; NULL without a row. */
char *look_up (const char *sql);
void assert_count (const char *table_and_condition, gint64 expected);
