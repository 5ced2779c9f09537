/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <sys/prctl.h>
#include <sys/resource.h>

/**
 * derush_memory_keep_private:
 *
 * For programs whose environment and settings have keys and passwords: nobody else of the same user reads this process's memory
 * or environment, and a crash leaves no core file of it, whatever the limits were and wherever the kernel sends such files.
 * Programs that it starts are not concerned, but for the limit, which they inherit.
 */
void
derush_memory_keep_private (void)
{
  struct rlimit none = {0, 0};

  /* The limit alone does not stop a program that the kernel hands core files to. */
  if (setrlimit (RLIMIT_CORE, &none) != 0)
    g_debug ("RLIMIT_CORE stays as it is");
  if (prctl (PR_SET_DUMPABLE, 0) != 0)
    g_debug ("PR_SET_DUMPABLE stays as it is");
}
