/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "webhooks/webhooks-private.h"

#include <inttypes.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_PAUSE (3600 * 1000) /* ms */
#define PREFIX "whsec_"

GQuark
derush_webhooks_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-webhooks-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

static GBytes *
key_of (const char *secret)
{
  gsize length;
  guchar *key;

  if (!g_str_has_prefix (secret, PREFIX))
    return g_bytes_new (secret, strlen (secret));
  key = g_base64_decode (secret + strlen (PREFIX), &length);
  return g_bytes_new_take (key, length);
}

char *
webhooks_sign (const char *secret, const char *id, gint64 timestamp, const char *body)
{
  g_autoptr (GBytes) key = key_of (secret);
  g_autofree char *begin = g_strdup_printf ("%s.%" PRId64 ".", id, timestamp), *encoded = NULL;
  g_autoptr (GHmac) hmac = NULL;
  guint8 digest[32];
  gsize length;
  const guchar *bytes = g_bytes_get_data (key, &length);

  hmac = g_hmac_new (G_CHECKSUM_SHA256, bytes ? bytes : (const guchar *)"", length);
  g_hmac_update (hmac, (const guchar *)begin, -1);
  g_hmac_update (hmac, (const guchar *)body, -1);
  length = sizeof digest;
  g_hmac_get_digest (hmac, digest, &length);
  encoded = g_base64_encode (digest, length);
  return g_strconcat ("v1,", encoded, NULL);
}

gint64
webhooks_pause (gint64 first, guint attempts, guint64 asked_s, double random)
{
  gint64 pause = first;

  for (guint i = 1; i < attempts && pause < MAX_PAUSE; i++)
    pause *= 2;
  /* Not all at once when a server is back. */
  pause = MIN (pause, MAX_PAUSE) * (1 + random / 4);
  return MAX (pause, (gint64)MIN (asked_s, MAX_PAUSE / 1000) * 1000);
}

gboolean
webhooks_parse_events (const char *text, GStrv *events, GError **error)
{
  static const char *const known[] = {"job.completed", "job.failed", "workflow.completed", "workflow.failed", NULL};
  g_auto (GStrv) names = g_strsplit (text, ",", -1);

  for (guint i = 0; names[i]; i++) {
    g_strstrip (names[i]);
    if (*names[i] == '\0' || g_strv_contains (known, names[i]))
      continue;
    g_set_error (error, DERUSH_WEBHOOKS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("DERUSH_WEBHOOK_EVENTS has “%s”, but may only have job.completed, job.failed, workflow.completed "
                    "and workflow.failed"),
                 names[i]);
    return FALSE;
  }
  *events = g_steal_pointer (&names);
  return TRUE;
}
