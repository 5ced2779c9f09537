/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What is asked of a daemon that runs, over HTTP at DERUSH_HTTP_ADDRESS. */

#include "cli/cli-private.h"

#include <string.h>
#include <glib/gi18n.h>
#include <libsoup/soup.h>

/* How long the daemon may take to answer, in s. */
#define PATIENCE 10
#define DEFAULT_PORT 8787

/* An address that means all of the machine's own is asked at the one that is always there. */
static char *
base_of (DerushConfig *config, GError **error)
{
  const char *text = derush_config_get_string (config, "DERUSH_HTTP_ADDRESS");
  g_autoptr (GSocketConnectable) address = NULL;
  g_autoptr (GError) local = NULL;
  const char *host;

  if (strcmp (text, "off") == 0) {
    g_set_error_literal (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT,
                         _ ("DERUSH_HTTP_ADDRESS is off, so no daemon can be asked"));
    return NULL;
  }
  address = g_network_address_parse (text, DEFAULT_PORT, &local);
  if (!address) {
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("DERUSH_HTTP_ADDRESS is “%s”, not host:port"),
                 text);
    return NULL;
  }
  host = g_network_address_get_hostname (G_NETWORK_ADDRESS (address));
  if (strcmp (host, "0.0.0.0") == 0)
    host = "127.0.0.1";
  else if (strcmp (host, "::") == 0)
    host = "::1";
  return g_strdup_printf (strchr (host, ':') ? "http://[%s]:%u" : "http://%s:%u", host,
                          g_network_address_get_port (G_NETWORK_ADDRESS (address)));
}

static SoupMessage *
message_new (DerushConfig *config, const char *method, const char *url, JsonObject *body)
{
  const char *token = derush_config_get_string (config, "DERUSH_HTTP_TOKEN");
  SoupMessage *message = soup_message_new (method, url);

  if (message && *token) {
    g_autofree char *value = g_strconcat ("Bearer ", token, NULL);

    soup_message_headers_replace (soup_message_get_request_headers (message), "Authorization", value);
  }
  if (message && body) {
    g_autofree char *text = derush_json_object_to_string (body);
    g_autoptr (GBytes) bytes = g_bytes_new (text, strlen (text));

    soup_message_set_request_body_from_bytes (message, "application/json", bytes);
  }
  return message;
}

/*
 * derush_cli_ask_daemon:
 * @config: the settings
 * @method: `GET`, `POST` or `DELETE`
 * @path: such as `/api/status`
 * @body: (nullable): what is sent
 * @status: (out) (optional): of HTTP; 0: nobody answered
 * @error: return location for an error: nobody answers, or refuses
 *
 * Returns: (transfer full) (nullable): the whole answer: `{success, data}`, and with a status of 503 that has data, too
 */
JsonObject *
derush_cli_ask_daemon (DerushConfig *config, const char *method, const char *path, JsonObject *body, guint *status,
                       GError **error)
{
  g_autofree char *base = base_of (config, error), *url = base ? g_strconcat (base, path, NULL) : NULL;
  g_autoptr (SoupSession) session = NULL;
  g_autoptr (SoupMessage) message = url ? message_new (config, method, url, body) : NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) local = NULL;
  g_autoptr (JsonObject) answer = NULL;
  guint code;

  if (status)
    *status = 0;
  if (!base)
    return NULL;
  if (message) {
    session = soup_session_new_with_options ("timeout", PATIENCE, "proxy-resolver", NULL, NULL);
    bytes = soup_session_send_and_read (session, message, NULL, &local);
  }
  if (!bytes) {
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("no daemon answers at %s; start derushd, or set DERUSH_HTTP_ADDRESS as it has it: %s"), base,
                 local ? local->message : "");
    return NULL;
  }
  code = soup_message_get_status (message);
  if (status)
    *status = code;
  answer = derush_json_parse_object (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), NULL);
  if (answer && (code < 400 || derush_json_get_object (answer, "data")))
    return g_steal_pointer (&answer);
  if (code == SOUP_STATUS_UNAUTHORIZED)
    g_set_error_literal (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT,
                         _ ("the daemon wants another token; set DERUSH_HTTP_TOKEN as it has it"));
  else if (answer)
    g_set_error_literal (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, derush_json_get_string (answer, "error", ""));
  else
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s answers, but is no derushd: status %u"), base,
                 code);
  return NULL;
}
