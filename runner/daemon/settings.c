/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "daemon-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define CONCURRENCY_MAX 64

GQuark
derush_daemon_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-daemon-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

void
derush_queue_setting_free (DerushQueueSetting *setting)
{
  g_free (setting->name);
  g_free (setting);
}

static gint64
default_concurrency (DerushConfig *config, const char *name)
{
  if (strcmp (name, "video-processing") == 0)
    return derush_config_get_int (config, "WORKER_VIDEO_PROCESSING_CONCURRENCY");
  if (strcmp (name, "ai-processing") == 0)
    return derush_config_get_int (config, "WORKER_AI_PROCESSING_CONCURRENCY");
  return derush_config_get_int (config, "WORKER_CONCURRENCY");
}

/* `NAME` or `NAME=N`. */
/* `4`, or `1-4`. */
static gboolean
parse_concurrency (const char *text, guint64 *minimum, guint64 *maximum)
{
  g_auto (GStrv) parts = g_strsplit (text, "-", -1);
  guint n_parts = g_strv_length (parts);

  if (n_parts < 1 || n_parts > 2)
    return FALSE;
  for (guint i = 0; i < n_parts; i++)
    g_strstrip (parts[i]);
  return g_ascii_string_to_unsigned (parts[0], 10, 1, CONCURRENCY_MAX, minimum, NULL) &&
         g_ascii_string_to_unsigned (parts[n_parts - 1], 10, *minimum, CONCURRENCY_MAX, maximum, NULL);
}

static gboolean
parse_queue (DerushConfig *config, const char *text, GPtrArray *settings, GError **error)
{
  const char *equals = strrchr (text, '=');
  g_autofree char *name = equals ? g_strndup (text, equals - text) : g_strdup (text);
  DerushQueueSetting *setting;
  guint64 concurrency, minimum;

  g_strstrip (name);
  if (*name == '\0' || strchr (name, ':')) {
    g_set_error (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("DERUSH_QUEUES has “%s”, which is no queue's name"), text);
    return FALSE;
  }
  for (guint i = 0; i < settings->len; i++)
    if (strcmp (((DerushQueueSetting *)settings->pdata[i])->name, name) == 0) {
      g_set_error (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("DERUSH_QUEUES names %s twice"), name);
      return FALSE;
    }
  if (!equals) {
    concurrency = minimum = default_concurrency (config, name);
  } else if (!parse_concurrency (equals + 1, &minimum, &concurrency)) {
    g_set_error (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("DERUSH_QUEUES has “%s”; behind the equals sign must be a number of jobs at once from 1 to %d, or "
                    "two such as 1-4: the least and the most"),
                 text, CONCURRENCY_MAX);
    return FALSE;
  }
  if (concurrency == 0)
    return TRUE;
  setting = g_new0 (DerushQueueSetting, 1);
  setting->name = g_steal_pointer (&name);
  setting->minimum = minimum;
  setting->concurrency = concurrency;
  g_ptr_array_add (settings, setting);
  return TRUE;
}

GPtrArray *
derush_queue_settings_new (DerushConfig *config, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (derush_config_get_string (config, "DERUSH_QUEUES"), ",", -1);
  g_autoptr (GPtrArray) settings = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_queue_setting_free);

  for (guint i = 0; parts[i]; i++) {
    g_strstrip (parts[i]);
    if (parts[i][0] != '\0' && !parse_queue (config, parts[i], settings, error))
      return NULL;
  }
  if (settings->len > 0)
    return g_steal_pointer (&settings);
  g_set_error_literal (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT,
                       _ ("There is no queue to serve; name one in DERUSH_QUEUES and give it a concurrency above 0"));
  return NULL;
}
