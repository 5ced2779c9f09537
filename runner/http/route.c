/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Which request goes where: pure functions. */

#include "http-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

GQuark
derush_http_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-http-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

static GStrv
match (const char *pattern, const char *path)
{
  g_auto (GStrv) wanted = g_strsplit (pattern, "/", -1), given = g_strsplit (path, "/", -1);
  g_autoptr (GStrvBuilder) arguments = g_strv_builder_new ();

  if (g_strv_length (wanted) != g_strv_length (given))
    return NULL;
  for (guint i = 0; wanted[i]; i++) {
    g_autofree char *decoded = NULL;

    if (wanted[i][0] != ':') {
      if (strcmp (wanted[i], given[i]) != 0)
        return NULL;
      continue;
    }
    decoded = g_uri_unescape_string (given[i], NULL);
    if (!decoded || *decoded == '\0' || !g_utf8_validate (decoded, -1, NULL))
      return NULL;
    g_strv_builder_add (arguments, decoded);
  }
  return g_strv_builder_end (arguments);
}

HttpRouteResult
http_route_find (const HttpRoute *routes, const char *method, const char *path, const HttpRoute **route,
                 char ***arguments, char **allowed)
{
  g_autoptr (GString) methods = g_string_new (NULL);

  *route = NULL;
  for (const HttpRoute *candidate = routes; candidate->path; candidate++) {
    g_auto (GStrv) found = match (candidate->path, path);

    if (!found)
      continue;
    if (strcmp (candidate->method, method) == 0 ||
        (strcmp (method, "HEAD") == 0 && strcmp (candidate->method, "GET") == 0)) {
      *route = candidate;
      if (arguments)
        *arguments = g_steal_pointer (&found);
      return HTTP_ROUTE_FOUND;
    }
    /* `/api/workflows/:id` must not speak for `/api/workflows/templates`, which stands before it. */
    if (methods->len == 0)
      g_string_append (methods, candidate->method);
  }
  if (methods->len == 0)
    return HTTP_ROUTE_UNKNOWN;
  if (allowed)
    *allowed = g_strdup (methods->str);
  return HTTP_ROUTE_OTHER_METHOD;
}

gboolean
http_token_matches (const char *token, const char *header)
{
  g_autoptr (GChecksum) wanted = g_checksum_new (G_CHECKSUM_SHA256), given = g_checksum_new (G_CHECKSUM_SHA256);
  guint8 a[32], b[32], difference = 0;
  gsize length = sizeof a;

  if (!header || g_ascii_strncasecmp (header, "Bearer ", 7) != 0)
    return FALSE;
  g_checksum_update (wanted, (const guchar *)token, -1);
  g_checksum_update (given, (const guchar *)header + 7, -1);
  g_checksum_get_digest (wanted, a, &length);
  g_checksum_get_digest (given, b, &length);
  for (guint i = 0; i < sizeof a; i++)
    difference |= a[i] ^ b[i];
  return difference == 0;
}

gboolean
http_address_parse (const char *text, char **host, guint16 *port, gboolean *off, GError **error)
{
  const char *colon = strrchr (text, ':');
  g_autofree char *name = NULL;
  guint64 number;

  *off = g_ascii_strcasecmp (text, "off") == 0;
  if (*off)
    return TRUE;
  name = colon ? g_strndup (text, colon - text) : NULL;
  if (name && g_str_has_prefix (name, "[") && g_str_has_suffix (name, "]")) {
    g_autofree char *inner = g_strndup (name + 1, strlen (name) - 2);

    g_free (name);
    name = g_steal_pointer (&inner);
  }
  if (name && g_ascii_strcasecmp (name, "localhost") == 0) {
    g_free (name);
    name = g_strdup ("127.0.0.1");
  }
  if (!name || !g_hostname_is_ip_address (name) ||
      !g_ascii_string_to_unsigned (colon + 1, 10, 0, 65535, &number, NULL)) {
    g_set_error (error, DERUSH_HTTP_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("DERUSH_HTTP_ADDRESS is “%s”, but must be an IP address, a colon and a port, or off"), text);
    return FALSE;
  }
  *host = g_steal_pointer (&name);
  *port = number;
  return TRUE;
}
