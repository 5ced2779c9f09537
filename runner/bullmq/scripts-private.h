/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  BULLMQ_ADD_DELAYED_JOB,
  BULLMQ_ADD_LOG,
  BULLMQ_ADD_PRIORITIZED_JOB,
  BULLMQ_ADD_STANDARD_JOB,
  BULLMQ_EXTEND_LOCKS,
  BULLMQ_GET_COUNTS,
  BULLMQ_GET_STATE_V2,
  BULLMQ_MOVE_JOB_FROM_ACTIVE_TO_WAIT,
  BULLMQ_MOVE_STALLED_JOBS_TO_WAIT,
  BULLMQ_MOVE_TO_ACTIVE,
  BULLMQ_MOVE_TO_DELAYED,
  BULLMQ_MOVE_TO_FINISHED,
  BULLMQ_MOVE_TO_WAITING_CHILDREN,
  BULLMQ_PAUSE,
  BULLMQ_PROMOTE,
  BULLMQ_RELEASE_PARENT_IF_NO_PENDING_DEPENDENCIES,
  BULLMQ_REMOVE_JOB,
  BULLMQ_REMOVE_UNPROCESSED_CHILDREN,
  BULLMQ_REPROCESS_JOB,
  BULLMQ_RETRY_JOB,
  BULLMQ_UPDATE_DATA,
  BULLMQ_UPDATE_JOB_SCHEDULER,
  BULLMQ_UPDATE_PROGRESS,
  BULLMQ_N_SCRIPTS,
} BullmqScriptId;

/* A Lua script of the npm package: @n_keys of its arguments are keys, @sha1 is what EVALSHA wants. */
typedef struct {
  const char *name;
  guint n_keys;
  const char *sha1;
  const char *text;
  gsize length;
} BullmqScript;

const BullmqScript *bullmq_script_get (BullmqScriptId id);
const char *bullmq_script_version (void);

G_END_DECLS
