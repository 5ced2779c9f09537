/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When a request is sent again, and when none is sent at all. Pure: time is given, nothing is sent here. */

#pragma once

#include "models/provider-private.h"

G_BEGIN_DECLS

/* A delay longer than this is not waited for, in ms. */
#define MODEL_LONGEST_DELAY (120 * 1000)

gboolean model_retry_status (const ModelFault *fault, const char *should_retry);
gboolean model_retry_transport (const GError *error);
gint64 model_retry_parse_duration (const char *text, gint64 now);
gint64 model_retry_server_delay (GHashTable *headers, double estimated_time, gint64 now);
gint64 model_retry_own_delay (guint attempt, double random);
gint64 model_retry_spread (gint64 delay, double random);

/* ── What a provider has been like lately ───────────────────────────────── */

gint64 model_limits_wait (ModelLimits *limits, guint64 tokens, gint64 now);
gboolean model_limits_may_send (ModelLimits *limits, const char *endpoint, gint64 now, gint64 *again);
void model_limits_succeeded (ModelLimits *limits, const char *endpoint);
void model_limits_failed (ModelLimits *limits, const char *endpoint, gint64 now);
void model_limits_answered (ModelLimits *limits, const char *endpoint);
void model_limits_gave_up (ModelLimits *limits, const char *endpoint);
void model_limits_read_headers (ModelLimits *limits, GHashTable *headers, gint64 now);
void model_limits_hold (ModelLimits *limits, gint64 until);
void model_limits_refuse (ModelLimits *limits, const GError *error, gint64 until);
GError *model_limits_get_refusal (ModelLimits *limits, gint64 now);
gboolean model_limits_take_retry (ModelLimits *limits, gint64 now);

G_END_DECLS
