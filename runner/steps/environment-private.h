/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "steps/process-private.h"

G_BEGIN_DECLS

/* How people read it, at the beginning of a sentence. */
const char *derush_worker_title (DerushWorkerKind kind);

/* Where its program is. Returns: (transfer full) */
char *derush_worker_program (DerushWorkerKind kind);

/* What it is started with. Returns: (transfer full) */
GStrv derush_worker_environment (DerushWorkerKind kind, DerushConfig *config, const char *home,
                                 const char *const *more);

/* What a program of ours is handed of this process's own environment, secrets never. Returns: (transfer full) */
GStrv derush_environment_pass (const char *const *names, const char *const *prefixes);

G_END_DECLS
