/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/* The control group of one worker: its memory, with what the kernel keeps for it, is limited there. */
typedef struct _DerushCgroup DerushCgroup;

/* NULL with @reason where there is none to be had. */
DerushCgroup *derush_cgroup_new (GPid pid, gint64 memory_limit, char **reason);
int derush_cgroup_get_version (DerushCgroup *cgroup);
/* Whether the kernel has killed a process in it for its memory. */
gboolean derush_cgroup_was_full (DerushCgroup *cgroup);
/* After its process has ended. */
void derush_cgroup_free (DerushCgroup *cgroup);

G_END_DECLS
