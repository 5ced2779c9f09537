/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/* A job's source, open for reading. */
typedef struct {
  char *path; /* with every link resolved */
  int fd;
  gint64 size;
} DerushSource;

DerushSource *derush_source_open (const char *name, const char *const *roots, GError **error);
void derush_source_free (DerushSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushSource, derush_source_free)

char *derush_source_get_fingerprint (DerushSource *source, GCancellable *cancellable, GError **error);

/* An absolute path or a `file:` URI as a path. */
char *derush_local_path (const char *name, GError **error);

G_END_DECLS
