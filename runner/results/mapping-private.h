/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inside of what is known of somebody else's tables. */

#pragma once

#include "schema-private.h"

G_BEGIN_DECLS

/*
 * Column: of theirs
 *   labels   of an enumerated type
 *   parent   `COLUMN FROM TABLE WHERE COLUMN` of what it refers to
 *   literal  what it always gets
 *   used     whether a column of ours is written into it
 */
typedef struct {
  char *name;
  char *quoted;
  char *type;
  gboolean not_null;
  gboolean has_default;
  int max_length;
  GStrv labels;
  char *parent;
  char *literal;
  gboolean used;
} Column;

/*
 * Table: of theirs
 *   theirs  their columns, by name
 *   ours    the same, by what we call them
 *   set     columns that always get the same
 *   keep    names of ours: what stays in a row that is there
 */
typedef struct {
  char *name;
  char *quoted;
  gboolean writable;
  GHashTable *theirs;
  GHashTable *ours;
  GPtrArray *set;
  GStrv keep;
} Table;

struct _Schema {
  char *name;
  char *map_path;
  GKeyFile *map;
  GHashTable *tables; /* by what we call them */
  char *refusal;      /* the last one that was told */
};
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Schema, schema_free)

const char *mapping_get_label (Schema *schema, const char *table, const char *name, Column *column, const char *value);

G_END_DECLS
