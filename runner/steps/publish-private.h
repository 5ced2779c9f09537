/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "jobs/jobs.h"

G_BEGIN_DECLS

/* Where a job's files go: made as they are needed, unmade when nothing was put there. */
typedef struct {
  char *path;
  GPtrArray *made; /* of char *: the folders that did not exist, outermost first */
} DerushOutputFolder;

DerushOutputFolder *derush_output_folder_open (DerushConfig *config, DerushPlan *plan, const char *job_id,
                                               const char *const *roots, GError **error);
/* Puts all of @outputs (of DerushOutput) from @directory there, or none. */
gboolean derush_output_folder_publish (DerushOutputFolder *folder, GPtrArray *outputs, const char *directory,
                                       GCancellable *cancellable, GError **error);
/* Removes the folders that were made for it and are still empty. */
void derush_output_folder_close (DerushOutputFolder *folder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushOutputFolder, derush_output_folder_close)

/* Fills in size, SHA-256 and the path that each file of @outputs (of DerushOutput) is going to have. */
gboolean derush_outputs_measure (GPtrArray *outputs, const char *directory, const char *target,
                                 GCancellable *cancellable, GError **error);

/* One component of a path made from an id. */
char *derush_name_sanitise (const char *name);

G_END_DECLS
