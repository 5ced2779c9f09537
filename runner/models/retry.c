/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/retry-private.h"

#include <math.h>
#include <string.h>
#include <libsoup/soup.h>

/* A model that is being loaded is waited for at least and at most that long at a time, in s. */
#define LOADING_LEAST 1
#define LOADING_MOST 60
/* Numbers from here on are a time since 1970, in s or ms. */
#define EPOCH 1e9
#define EPOCH_MS 1e12

/*
 * model_retry_status:
 * @fault: what the answer says
 * @should_retry: (nullable): the server's own word, `true` or `false`
 *
 * Returns: whether the request may be sent again
 */
gboolean
model_retry_status (const ModelFault *fault, const char *should_retry)
{
  guint status = fault->status;

  if (model_fault_is_final (fault) || g_strcmp0 (should_retry, "false") == 0)
    return FALSE;
  if (g_strcmp0 (should_retry, "true") == 0)
    return TRUE;
  switch (status) {
  case 408:
  case 409:
  case 425:
  case 429:
  case 500:
  case 502:
  case 503:
  case 504:
    return TRUE;
  default:
    return status >= 520 && status <= 529;
  }
}

/*
 * model_retry_transport:
 *
 * Returns: whether what went wrong before there was an answer may go well the next time; a certificate that is not trusted
 *   or a name that does not exist will not
 */
gboolean
model_retry_transport (const GError *error)
{
  if (error->domain == G_RESOLVER_ERROR)
    return error->code == G_RESOLVER_ERROR_TEMPORARY_FAILURE;
  if (error->domain == G_TLS_ERROR)
    return error->code == G_TLS_ERROR_EOF;
  if (error->domain != G_IO_ERROR)
    return FALSE;
  switch (error->code) {
  case G_IO_ERROR_CONNECTION_CLOSED:
  case G_IO_ERROR_CONNECTION_REFUSED:
  case G_IO_ERROR_PARTIAL_INPUT:
  case G_IO_ERROR_TIMED_OUT:
  case G_IO_ERROR_HOST_UNREACHABLE:
  case G_IO_ERROR_NETWORK_UNREACHABLE:
  case G_IO_ERROR_PROXY_FAILED:
    return TRUE;
  default:
    return FALSE;
  }
}

/* ── Delays ─────────────────────────────────────────────────────────────── */

static double
unit_of (const char **p)
{
  static const struct {
    const char *name;
    double ms;
  } units[] = {{"ms", 1}, {"us", 1e-3}, {"µs", 1e-3}, {"ns", 1e-6}, {"s", 1e3}, {"m", 6e4}, {"h", 36e5}, {"d", 864e5}};

  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    if (g_str_has_prefix (*p, units[i].name)) {
      *p += strlen (units[i].name);
      return units[i].ms;
    }
  return 0;
}

/*
 * model_retry_parse_duration:
 * @text: "20ms", "1.2s", "6m0s", "12" in seconds, or a time since 1970 in s or ms
 * @now: in ms since 1970
 *
 * Returns: in ms, rounded up; -1: it is none of these
 */
gint64
model_retry_parse_duration (const char *text, gint64 now)
{
  const char *p = text;
  double total = 0;

  while (g_ascii_isspace (*p))
    p++;
  if (!*p)
    return -1;
  while (*p) {
    char *end;
    double number = g_ascii_isdigit (*p) ? g_ascii_strtod (p, &end) : -1, unit;

    if (number < 0 || !isfinite (number))
      return -1;
    p = end;
    if (*p == '\0' && total == 0) {
      if (number >= EPOCH)
        return MAX ((gint64)ceil (number >= EPOCH_MS ? number : number * 1000) - now, 0);
      return (gint64)ceil (number * 1000);
    }
    unit = unit_of (&p);
    if (unit == 0)
      return -1;
    total += number * unit;
  }
  return total < 1e15 ? (gint64)ceil (total) : -1;
}

static gint64
parse_retry_after (const char *text, gint64 now)
{
  g_autoptr (GDateTime) date = NULL;
  gint64 delay = model_retry_parse_duration (text, now);

  if (delay >= 0)
    return delay;
  date = soup_date_time_new_from_http_string (text);
  return date ? MAX (g_date_time_to_unix (date) * 1000 - now, 0) : -1;
}

/* Of the kind that is used up: requests, tokens. */
static gint64
exhausted_delay (GHashTable *headers, const char *kind, gint64 now)
{
  g_autofree char *remaining = g_strconcat ("x-ratelimit-remaining-", kind, NULL);
  g_autofree char *reset = g_strconcat ("x-ratelimit-reset-", kind, NULL);
  const char *left = g_hash_table_lookup (headers, remaining), *until = g_hash_table_lookup (headers, reset);

  if (!left || !until || g_ascii_strtod (left, NULL) > 0)
    return -1;
  return model_retry_parse_duration (until, now);
}

/*
 * model_retry_server_delay:
 * @headers: of the answer
 * @estimated_time: after which a model will have been loaded, in s; 0: it does not say
 * @now: in ms since 1970
 *
 * Returns: how long the server wants to be left alone, in ms; -1: it does not say
 */
gint64
model_retry_server_delay (GHashTable *headers, double estimated_time, gint64 now)
{
  const char *ms = g_hash_table_lookup (headers, "retry-after-ms");
  const char *after = g_hash_table_lookup (headers, "retry-after");
  const char *plain = g_hash_table_lookup (headers, "ratelimit-reset");
  char *end = NULL;
  double number = ms ? g_ascii_strtod (ms, &end) : -1;
  gint64 delay = -1;

  if (ms && end != ms && number >= 0 && number < 1e12)
    return (gint64)ceil (number);
  if (after)
    delay = parse_retry_after (after, now);
  if (delay >= 0)
    return delay;
  delay = MAX (exhausted_delay (headers, "requests", now), exhausted_delay (headers, "tokens", now));
  if (delay < 0 && plain)
    delay = model_retry_parse_duration (plain, now);
  if (delay < 0 && estimated_time > 0)
    delay = (gint64)ceil (CLAMP (estimated_time, LOADING_LEAST, LOADING_MOST) * 1000);
  return delay;
}

/*
 * model_retry_own_delay:
 * @attempt: which one has failed, from 1
 * @random: from 0 to 1
 *
 * Returns: in ms: all of what doubles from 0.5 s to 30 s is left to chance, so that many who failed together do not come
 *   back together
 */
gint64
model_retry_own_delay (guint attempt, double random)
{
  return (gint64)(random * MIN (30000.0, 500.0 * pow (2, attempt)));
}

/*
 * model_retry_spread:
 * @delay: after which the server takes requests again, in ms
 * @random: from 0 to 1
 *
 * Returns: in ms: never earlier, and up to a tenth and a second later: several processes have been told the same
 */
gint64
model_retry_spread (gint64 delay, double random)
{
  return delay + (gint64)(random * MIN (1000.0, (double)delay / 10));
}
