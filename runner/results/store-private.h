/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store and its threads. */

#pragma once

#include "results-private.h"
#include "spool-private.h"

G_BEGIN_DECLS

/*
 * Two threads: one writes to the database; the other to the disk what has to wait for the first one. Operations are taken
 * in order: what is on disk first, then what is in memory.
 */
struct _DerushStore {
  gatomicrefcount references;
  guint collector;
  Database *database; /* of the writer, once it runs */
  Spool *spool;       /* NULL: without one */
  GMutex lock;
  GCond changed;
  /* Under the lock: */
  guint threads; /* that run */
  GQueue waiting;
  GHashTable *progress; /* job id → link of its waiting progress */
  gsize waiting_bytes;
  GPtrArray *writing; /* operations that the writer has taken from memory; NULL: none */
  gboolean replaying; /* the writer is at operations from disk */
  gboolean spooling;  /* the spooler has operations that are neither in memory nor on disk */
  guint64 dropped;
  gint64 last_time;   /* of an operation: a clock that is set back does not make later ones older */
  gint64 asking;      /* since when the writer waits for the database, monotonic; 0: it does not */
  gboolean stopping;  /* end when everything is written */
  gboolean abandoned; /* end now */
  char *trouble;      /* why the database is not written, if it is not */
  char *last_trouble; /* why it is not written, or was not the last time */
  char *spool_trouble;
};

SpoolSize store_get_spool_size (DerushStore *store);
DerushMetric *store_lost_operations (void);
void store_collect_metrics (gpointer store);
void store_enqueue (DerushStore *store, Operation *operation);
gint64 store_next_time (DerushStore *store);
gboolean store_ask (DerushStore *store, Operation *operation, GError **error);
void store_set_trouble (DerushStore *store, const char *trouble);
void store_unref (DerushStore *store);
gpointer store_spool_thread (gpointer store);
gpointer store_write_thread (gpointer store);

/* With the lock: */
gboolean store_is_up (DerushStore *store);
guint store_count_in_memory (DerushStore *store);
gboolean store_wants_spool (Operation *operation);
gint64 store_spool_time (DerushStore *store);
gboolean store_spool (DerushStore *store);
void store_forget_spooled (DerushStore *store);

G_END_DECLS
