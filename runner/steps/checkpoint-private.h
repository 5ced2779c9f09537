/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/* The folder of one job below DERUSH_SCRATCH, with what its finished steps left for its next attempt. */
typedef struct _DerushCheckpoint DerushCheckpoint;

/* What a finished step left. */
typedef struct {
  char *name;
  JsonObject *result;
  GPtrArray *warnings; /* of char * */
  GPtrArray *files;    /* private */
} DerushCheckpointStep;

DerushCheckpoint *derush_checkpoint_open (const char *parent, const char *job, const char *key,
                                          GCancellable *cancellable, GError **error);
/* The finished steps: (element-type DerushCheckpointStep), in their order. */
GPtrArray *derush_checkpoint_get_steps (DerushCheckpoint *checkpoint);
void derush_checkpoint_truncate (DerushCheckpoint *checkpoint, guint n_steps);
gboolean derush_checkpoint_restore (DerushCheckpoint *checkpoint, const char *directory, GError **error);
gboolean derush_checkpoint_add_step (DerushCheckpoint *checkpoint, const char *name, JsonObject *result,
                                     GPtrArray *warnings, guint first_warning, GError **error);
void derush_checkpoint_close (DerushCheckpoint *checkpoint, gboolean keep);

/* Removes the folder of a job that does not run. */
void derush_checkpoint_discard (const char *parent, const char *job);
/* Removes folders of jobs that do not run, those left longest first, until @path has @needed bytes free. */
void derush_checkpoint_make_room (const char *parent, const char *path, gint64 needed);

G_END_DECLS
