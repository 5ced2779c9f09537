/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "jobs/jobs.h"
#include "transfer/transfer.h"

G_BEGIN_DECLS

/* What is said of a job's transfers: how far they are, 0 to 1, and until when they may take. */
typedef struct {
  DerushConfig *config;
  DerushPlan *plan;
  gint64 deadline; /* by the monotonic clock, in µs */
  DerushTransferProgress progress;
  gpointer user_data;
  GCancellable *cancellable;
} DerushNetwork;

/* Fetches the plan's source into the file @path. @complete: whether it is known to be whole. */
gboolean derush_network_fetch (const DerushNetwork *network, const char *path, gboolean *complete, GError **error);

/* Sends those of @outputs (of DerushOutput) in @directory that have an address. @failed: the name of the one that could
 * not be sent. */
gboolean derush_network_send (const DerushNetwork *network, GPtrArray *outputs, const char *directory,
                              const char **failed, GError **error);

G_END_DECLS
