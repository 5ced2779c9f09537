/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/scripts-private.h"

#include <string.h>

#include "bullmq-scripts.h"

/* The number of keys is what the callers were written for: with another package the build fails, not a job. */
static const struct {
  const char *name;
  guint n_keys;
} expected[BULLMQ_N_SCRIPTS] = {
    [BULLMQ_ADD_DELAYED_JOB] = {"addDelayedJob", 6},
    [BULLMQ_ADD_LOG] = {"addLog", 2},
    [BULLMQ_ADD_PRIORITIZED_JOB] = {"addPrioritizedJob", 9},
    [BULLMQ_ADD_STANDARD_JOB] = {"addStandardJob", 9},
    [BULLMQ_EXTEND_LOCKS] = {"extendLocks", 1},
    [BULLMQ_GET_COUNTS] = {"getCounts", 1},
    [BULLMQ_GET_STATE_V2] = {"getStateV2", 8},
    [BULLMQ_MOVE_JOB_FROM_ACTIVE_TO_WAIT] = {"moveJobFromActiveToWait", 9},
    [BULLMQ_MOVE_STALLED_JOBS_TO_WAIT] = {"moveStalledJobsToWait", 9},
    [BULLMQ_MOVE_TO_ACTIVE] = {"moveToActive", 11},
    [BULLMQ_MOVE_TO_DELAYED] = {"moveToDelayed", 11},
    [BULLMQ_MOVE_TO_FINISHED] = {"moveToFinished", 14},
    [BULLMQ_MOVE_TO_WAITING_CHILDREN] = {"moveToWaitingChildren", 7},
    [BULLMQ_PAUSE] = {"pause", 7},
    [BULLMQ_PROMOTE] = {"promote", 9},
    [BULLMQ_RELEASE_PARENT_IF_NO_PENDING_DEPENDENCIES] = {"releaseParentIfNoPendingDependencies", 2},
    [BULLMQ_REMOVE_JOB] = {"removeJob", 2},
    [BULLMQ_REMOVE_UNPROCESSED_CHILDREN] = {"removeUnprocessedChildren", 2},
    [BULLMQ_REPROCESS_JOB] = {"reprocessJob", 9},
    [BULLMQ_RETRY_JOB] = {"retryJob", 11},
    [BULLMQ_UPDATE_DATA] = {"updateData", 1},
    [BULLMQ_UPDATE_JOB_SCHEDULER] = {"updateJobScheduler", 12},
    [BULLMQ_UPDATE_PROGRESS] = {"updateProgress", 3},
};

G_STATIC_ASSERT (G_N_ELEMENTS (bullmq_scripts) == BULLMQ_N_SCRIPTS);

/* The build lists the scripts in the order of the enumeration; a test compares every row with @expected. */
const BullmqScript *
bullmq_script_get (BullmqScriptId id)
{
  const BullmqScript *script = &bullmq_scripts[id];

  if (G_UNLIKELY (strcmp (script->name, expected[id].name) != 0 || script->n_keys != expected[id].n_keys))
    g_error ("The script %s of bullmq " BULLMQ_VERSION " is not the one this worker was written for", script->name);
  return script;
}

const char *
bullmq_script_version (void)
{
  return BULLMQ_VERSION;
}
