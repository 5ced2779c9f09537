/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/containment-private.h"
#include "steps/process-private.h"
#include "steps/scratch-private.h"
#include "steps/steps.h"

#include <string.h>
#include <glib/gi18n-lib.h>

const char *const derush_containment_layers[] = {"no-new-privileges", "seccomp", "landlock",
                                                 "capabilities",      "limits",  NULL};

static GMutex last_lock;
static char *last; /* as text, which threads can share */
static gboolean warned;

/* The layers that do not hold, with the reasons, or %NULL. */
static char *
list_missing (JsonObject *report)
{
  g_autoptr (GString) missing = g_string_new (NULL);

  for (guint i = 0; derush_containment_layers[i]; i++) {
    JsonObject *layer = derush_json_get_object (report, derush_containment_layers[i]);

    if (derush_json_get_boolean (layer, "holds", FALSE))
      continue;
    g_string_append_printf (missing, "%s%s (%s)", missing->len > 0 ? ", " : "", derush_containment_layers[i],
                            derush_json_get_string (layer, "reason", "?"));
  }
  g_strdelimit (missing->str, "\r\n", ' ');
  return missing->len > 0 ? g_strdup (missing->str) : NULL;
}

/* Whether a worker that reports this may be given work. */
gboolean
derush_containment_accept (DerushConfig *config, JsonObject *report, GError **error)
{
  g_autofree char *missing = list_missing (report);
  const char *mode = derush_config_get_string (config, "DERUSH_SANDBOX");
  gboolean first;

  g_mutex_lock (&last_lock);
  g_free (last);
  last = derush_json_object_to_string (report);
  first = missing && !warned;
  warned |= missing != NULL;
  g_mutex_unlock (&last_lock);
  if (!missing)
    return TRUE;
  if (strcmp (mode, "required") == 0) {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("The media worker cannot be contained as DERUSH_SANDBOX=required asks; use another kernel or "
                    "container, or set it to auto. Missing: %s"),
                 missing);
    return FALSE;
  }
  if (first && strcmp (mode, "off") == 0)
    derush_log (DERUSH_LOG_WARN, NULL, "DERUSH_SANDBOX is off: a hostile film may do whatever this user may");
  else if (first)
    derush_log (DERUSH_LOG_WARN, NULL,
                "MEDIA WORKERS ARE NOT FULLY CONTAINED: a hostile film may do more than it should. "
                "Missing: %s",
                missing);
  return TRUE;
}

/**
 * derush_containment_get:
 *
 * Returns: (transfer full) (nullable): what holds of the containment of the media worker that this process started last,
 *   by the names of the layers (`{"seccomp": {"holds": true}, …}`); %NULL as long as none has started
 */
JsonObject *
derush_containment_get (void)
{
  JsonObject *report;

  g_mutex_lock (&last_lock);
  report = last ? derush_json_parse_object (last, -1, NULL) : NULL;
  g_mutex_unlock (&last_lock);
  return report;
}

/**
 * derush_containment_probe:
 * @config: the settings
 * @error: return location for an error
 *
 * Starts a media worker, asks it which layers of its containment hold, and ends it. Blocks.
 *
 * Returns: (transfer full) (nullable): as derush_containment_get(); %NULL if the worker does not start, or if
 *   `DERUSH_SANDBOX` is `required` and a layer is missing
 */
JsonObject *
derush_containment_probe (DerushConfig *config, GError **error)
{
  DerushScratch *scratch = derush_scratch_new (derush_config_get_string (config, "DERUSH_SCRATCH"), error);
  DerushProcess *process;
  JsonObject *report = NULL;
  g_autofree char *debug = NULL;

  if (!scratch)
    return NULL;
  process = derush_process_start (DERUSH_WORKER_MEDIA, config, scratch->home, NULL, NULL, &debug, error);
  if (process) {
    report = derush_containment_get ();
    derush_process_free (process);
  }
  derush_scratch_free (scratch);
  return report;
}
