/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/* A folder of this process alone, below DERUSH_SCRATCH; gone with it, or with the next one after a crash. */
typedef struct {
  char *path;
  char *home; /* HOME, TMPDIR and working directory of the slot's worker */
  int lock;
} DerushScratch;

DerushScratch *derush_scratch_new (const char *parent, GError **error);
void derush_scratch_free (DerushScratch *scratch);
gboolean derush_scratch_is_there (DerushScratch *scratch);
char *derush_scratch_add_folder (DerushScratch *scratch, const char *name, GError **error);

/* Free bytes on the file system of @path, or -1. */
gint64 derush_disk_free (const char *path);

G_END_DECLS
