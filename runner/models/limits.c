/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/retry-private.h"

#include <string.h>

/*
 * Of this process alone: what other workers learn of a provider they learn from its answers as well, each from one of its own at
 * most where it has to be left alone, and a provider that was mended is not avoided by those that start then.
 */

/* A circuit opens after this many failures of an endpoint in a row, first for as long, at most for as long, in ms. */
#define FAILURES 5
#define OPEN_FIRST (30 * 1000)
#define OPEN_MOST (300 * 1000)
/* Requests that are sent again come out of a budget: it is full at first, grows with each success and with time, so that a
 * provider in trouble does not get many times the requests that it gets in good times. */
#define BUDGET 10.0
#define BUDGET_PER_SUCCESS 0.1
#define BUDGET_PER_MS (1 / 30000.0)

typedef struct {
  guint failures;
  gint64 open_until; /* 0: closed */
  gint64 open_for;
  gboolean probing; /* the one request that finds out whether it is well again */
} Circuit;

typedef struct {
  gboolean known;
  double remaining;
  gint64 reset; /* when it is full again */
} Bucket;

struct _ModelLimits {
  GMutex lock;
  GHashTable *circuits; /* by endpoint */
  double budget;
  gint64 budget_time;
  Bucket requests, tokens;
  GError *refusal; /* of the key */
  gint64 refused_until;
};

ModelLimits *
model_limits_new (void)
{
  ModelLimits *limits = g_new0 (ModelLimits, 1);

  g_mutex_init (&limits->lock);
  limits->circuits = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  limits->budget = BUDGET;
  return limits;
}

void
model_limits_free (ModelLimits *limits)
{
  g_hash_table_unref (limits->circuits);
  g_clear_error (&limits->refusal);
  g_mutex_clear (&limits->lock);
  g_free (limits);
}

/* What was learned of when not to ask. */
void
model_limits_forget (ModelLimits *limits)
{
  g_mutex_lock (&limits->lock);
  g_hash_table_remove_all (limits->circuits);
  limits->requests.known = limits->tokens.known = FALSE;
  g_clear_error (&limits->refusal);
  g_mutex_unlock (&limits->lock);
}

static Circuit *
circuit_of (ModelLimits *limits, const char *endpoint)
{
  Circuit *circuit = g_hash_table_lookup (limits->circuits, endpoint);

  if (!circuit) {
    circuit = g_new0 (Circuit, 1);
    g_hash_table_insert (limits->circuits, g_strdup (endpoint), circuit);
  }
  return circuit;
}

/*
 * model_limits_may_send:
 * @now: in ms, of any clock that does not go back
 * @again: (out): when it may be tried again
 *
 * Returns: whether the endpoint is not known to be in trouble. After a pause one request is let through; who got %TRUE has to
 *   say how it ended.
 */
gboolean
model_limits_may_send (ModelLimits *limits, const char *endpoint, gint64 now, gint64 *again)
{
  Circuit *circuit;
  gboolean may;

  g_mutex_lock (&limits->lock);
  circuit = circuit_of (limits, endpoint);
  may = circuit->open_until == 0 || (now >= circuit->open_until && !circuit->probing);
  *again = circuit->open_until;
  if (may && circuit->open_until != 0)
    circuit->probing = TRUE;
  g_mutex_unlock (&limits->lock);
  return may;
}

void
model_limits_succeeded (ModelLimits *limits, const char *endpoint)
{
  Circuit *circuit;

  g_mutex_lock (&limits->lock);
  circuit = circuit_of (limits, endpoint);
  memset (circuit, 0, sizeof *circuit);
  limits->budget = MIN (limits->budget + BUDGET_PER_SUCCESS, BUDGET);
  g_mutex_unlock (&limits->lock);
}

/* Of a kind that another request may meet as well: what a request itself brought upon it does not count. */
void
model_limits_failed (ModelLimits *limits, const char *endpoint, gint64 now)
{
  Circuit *circuit;

  g_mutex_lock (&limits->lock);
  circuit = circuit_of (limits, endpoint);
  circuit->failures++;
  if (circuit->probing || (circuit->open_until == 0 && circuit->failures >= FAILURES)) {
    circuit->open_for = circuit->open_for == 0 ? OPEN_FIRST : MIN (2 * circuit->open_for, OPEN_MOST);
    circuit->open_until = now + circuit->open_for;
    circuit->probing = FALSE;
  }
  g_mutex_unlock (&limits->lock);
}

/* The request was refused for its own sake, or came too early: the endpoint is well. */
void
model_limits_answered (ModelLimits *limits, const char *endpoint)
{
  g_mutex_lock (&limits->lock);
  memset (circuit_of (limits, endpoint), 0, sizeof (Circuit));
  g_mutex_unlock (&limits->lock);
}

/* The request ended without saying anything of the endpoint: it was cancelled. */
void
model_limits_gave_up (ModelLimits *limits, const char *endpoint)
{
  g_mutex_lock (&limits->lock);
  circuit_of (limits, endpoint)->probing = FALSE;
  g_mutex_unlock (&limits->lock);
}

/* A key that is refused is refused for every request: the provider is left alone for a while. */
void
model_limits_refuse (ModelLimits *limits, const GError *error, gint64 until)
{
  g_mutex_lock (&limits->lock);
  g_clear_error (&limits->refusal);
  limits->refusal = g_error_copy (error);
  limits->refused_until = until;
  g_mutex_unlock (&limits->lock);
}

/* Returns: (transfer full) (nullable): why the key cannot be used now */
GError *
model_limits_get_refusal (ModelLimits *limits, gint64 now)
{
  GError *refusal;

  g_mutex_lock (&limits->lock);
  if (limits->refusal && now >= limits->refused_until)
    g_clear_error (&limits->refusal);
  refusal = limits->refusal ? g_error_copy (limits->refusal) : NULL;
  g_mutex_unlock (&limits->lock);
  return refusal;
}

/* Returns: whether one more request may be sent again */
gboolean
model_limits_take_retry (ModelLimits *limits, gint64 now)
{
  gboolean may;

  g_mutex_lock (&limits->lock);
  if (limits->budget_time > 0 && now > limits->budget_time)
    limits->budget = MIN (limits->budget + BUDGET_PER_MS * (double)(now - limits->budget_time), BUDGET);
  limits->budget_time = now;
  may = limits->budget >= 1;
  if (may)
    limits->budget -= 1;
  g_mutex_unlock (&limits->lock);
  return may;
}

/* ── What the server still takes ────────────────────────────────────────── */

static void
read_bucket (Bucket *bucket, GHashTable *headers, const char *kind, gint64 now)
{
  g_autofree char *remaining = g_strconcat ("x-ratelimit-remaining-", kind, NULL);
  g_autofree char *reset = g_strconcat ("x-ratelimit-reset-", kind, NULL);
  const char *left = g_hash_table_lookup (headers, remaining), *until = g_hash_table_lookup (headers, reset);
  gint64 delay = until ? model_retry_parse_duration (until, now) : -1;

  if (!left || delay < 0)
    return;
  bucket->known = TRUE;
  bucket->remaining = g_ascii_strtod (left, NULL);
  bucket->reset = now + MIN (delay, MODEL_LONGEST_DELAY);
}

/*
 * model_limits_read_headers:
 * @headers: of an answer
 * @now: in ms since 1970
 */
void
model_limits_read_headers (ModelLimits *limits, GHashTable *headers, gint64 now)
{
  g_mutex_lock (&limits->lock);
  read_bucket (&limits->requests, headers, "requests", now);
  read_bucket (&limits->tokens, headers, "tokens", now);
  g_mutex_unlock (&limits->lock);
}

/* @until: when the server takes requests again, in ms since 1970 */
void
model_limits_hold (ModelLimits *limits, gint64 until)
{
  g_mutex_lock (&limits->lock);
  limits->requests.known = TRUE;
  limits->requests.remaining = 0;
  limits->requests.reset = until;
  g_mutex_unlock (&limits->lock);
}

static gint64
take (Bucket *bucket, double amount, gint64 now)
{
  if (!bucket->known)
    return 0;
  if (now >= bucket->reset) {
    bucket->known = FALSE;
    return 0;
  }
  if (bucket->remaining < amount)
    return bucket->reset - now;
  bucket->remaining -= amount;
  return 0;
}

/*
 * model_limits_wait:
 * @tokens: what the request will take, estimated
 * @now: in ms since 1970
 *
 * Takes a request and its tokens out of what the server has said that it takes.
 *
 * Returns: how long to wait before asking again, in ms; 0: it may be sent
 */
gint64
model_limits_wait (ModelLimits *limits, guint64 tokens, gint64 now)
{
  gint64 wait;

  g_mutex_lock (&limits->lock);
  wait = take (&limits->requests, 1, now);
  if (wait == 0)
    wait = take (&limits->tokens, (double)tokens, now);
  g_mutex_unlock (&limits->lock);
  return wait;
}
