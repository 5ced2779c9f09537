/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "daemon-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* Those that are asked for anew by each job, or that are handed to whoever needs them. */
static const char *const followed[] = {
    "WORKER_VIDEO_PROCESSING_CONCURRENCY",
    "WORKER_AI_PROCESSING_CONCURRENCY",
    "WORKER_CONCURRENCY",
    "WORKER_MEMORY_THRESHOLD",
    "WORKER_UPTIME_THRESHOLD",
    "DERUSH_QUEUES",
    "DERUSH_ALLOWED_ROOTS",
    "DERUSH_OUTPUT_DIR",
    "DERUSH_STRICT_DATA",
    "DERUSH_JOB_TIMEOUT",
    "DERUSH_STALL_TIMEOUT",
    "DERUSH_HEARTBEAT_TIMEOUT",
    "DERUSH_SHUTDOWN_TIMEOUT",
    "DERUSH_WORKER_MEMORY_LIMIT",
    "DERUSH_MIN_FREE_SPACE",
    "DERUSH_DISK_FLOOR",
    "DERUSH_MEMORY_PRESSURE",
    "DERUSH_CPU_PRESSURE",
    "DERUSH_IO_PRESSURE",
    "DERUSH_JOB_MEMORY",
    "DERUSH_CHECKPOINT_AGE",
    "DERUSH_RETENTION_OUTPUTS_DAYS",
    "DERUSH_RETENTION_ROWS_DAYS",
    "DERUSH_OUTPUT_QUOTA",
    "DERUSH_CACHE_QUOTA",
    "DERUSH_MAX_INPUT_BYTES",
    "DERUSH_MAX_PIXELS",
    "DERUSH_MAX_DURATION",
    "DERUSH_MAX_STREAMS",
    "DERUSH_LOG_LEVEL",
    NULL,
};

typedef struct {
  DerushConfig *held;
  const char *fixed; /* the first one that has changed and must not */
} Comparison;

static void
compare (const char *name, const char *value, const char *origin, gboolean secret, gpointer user_data)
{
  Comparison *comparison = user_data;

  if (!comparison->fixed && !g_strv_contains (followed, name) &&
      strcmp (derush_config_get_string (comparison->held, name), value) != 0)
    comparison->fixed = name;
}

gboolean
derush_settings_can_follow (DerushConfig *held, DerushConfig *fresh, GError **error)
{
  g_autoptr (GPtrArray) before = NULL, after = NULL;
  Comparison comparison = {.held = held};
  gboolean same;

  derush_config_foreach (fresh, compare, &comparison);
  if (comparison.fixed) {
    g_set_error (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("%s has changed, which needs a restart of derushd"), comparison.fixed);
    return FALSE;
  }
  before = derush_queue_settings_new (held, error);
  after = before ? derush_queue_settings_new (fresh, error) : NULL;
  if (!after)
    return FALSE;
  same = before->len == after->len;
  for (guint i = 0; same && i < before->len; i++)
    same = strcmp (((DerushQueueSetting *)before->pdata[i])->name, ((DerushQueueSetting *)after->pdata[i])->name) == 0;
  if (!same)
    g_set_error_literal (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
                         _ ("Other queues are to be served, which needs a restart of derushd"));
  return same;
}
