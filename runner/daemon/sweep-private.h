/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What goes: by itself, or with a video or user. */

#pragma once

#include "daemon-private.h"

G_BEGIN_DECLS

/*
 * DerushSweep: what is removed, and what was
 *   roots    the folders of the jobs; NULL: no limit
 *   in_use   paths that jobs name which have not ended
 *   dry_run  whether it is only said what would go
 *   forget   whether rows are told that their files are gone
 *   files    (nullable): paths of what is gone
 *   kept     (nullable): {path, reason} of what is not
 */
typedef struct {
  DerushConfig *config;
  DerushStore *store;
  GStrv roots;
  GHashTable *in_use;
  gboolean dry_run;
  gboolean forget;
  guint64 n_files;
  guint64 n_bytes;
  JsonArray *files;
  JsonArray *kept;
} DerushSweep;

DerushSweep *derush_sweep_new (DerushConfig *config, DerushStore *store, GStrv roots);
void derush_sweep_free (DerushSweep *sweep);

/* All of these block. */
gboolean derush_sweep_note_use (DerushSweep *sweep, GError **error);
gboolean derush_sweep_outputs (DerushSweep *sweep, JsonObject *row, gboolean *told, GError **error);
gint64 derush_sweep_size_of (JsonObject *row);
gboolean derush_sweep_is_analysis (const char *name);

G_END_DECLS
