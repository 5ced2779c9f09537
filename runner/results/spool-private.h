/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines that wait on disk, in order. */

#pragma once

#include "results/results.h"

G_BEGIN_DECLS

typedef struct _Spool Spool;

/*
 * SpoolSize: what waits
 *   oldest  when the oldest of it was written, in ms since 1970; 0 if nothing waits
 */
typedef struct {
  guint64 operations;
  gint64 bytes;
  gint64 oldest;
} SpoolSize;

Spool *spool_open (const char *top, gint64 limit, GError **error);
void spool_free (Spool *spool);
SpoolSize spool_get_size (Spool *spool); /* never waits for the disk */
const char *spool_get_folder (Spool *spool);
gboolean spool_append (Spool *spool, GPtrArray *lines, guint64 *lost, GError **error);
GPtrArray *spool_peek (Spool *spool, guint n);
void spool_consume (Spool *spool, const char *first, guint n);

G_END_DECLS
