/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is kept of answers: the answers themselves, and what they have cost. */

#pragma once

#include "models/provider-private.h"

G_BEGIN_DECLS

typedef struct _ModelPrices ModelPrices;
typedef struct _ModelLedger ModelLedger;

/* ── models.c ── */

struct _DerushModels {
  DerushConfig *config;
  ModelClient *client;
  ModelCache *cache;
  ModelPrices *prices;
  ModelLedger *ledger;
  GPtrArray *providers;             /* of ModelProvider */
  GPtrArray *chains[MODEL_N_TASKS]; /* of ModelProvider, the first to be asked first */
};

gboolean model_provider_is_free (DerushModels *models, const ModelProvider *provider, const char *model);

/* ── cache.c ── */

ModelCache *model_cache_new (DerushConfig *config);
void model_cache_free (ModelCache *cache);
char *model_cache_key (ModelCall *call);
JsonObject *model_cache_get (ModelCache *cache, const char *key, ModelCall *call);
void model_cache_put (ModelCache *cache, const char *key, ModelCall *call, JsonObject *result);
char *model_canonical_json (JsonObject *object);

/* ── prices.c: in US dollars ── */

ModelPrices *model_prices_new (DerushConfig *config, GError **error);
void model_prices_free (ModelPrices *prices);
gboolean model_prices_know (ModelPrices *prices, const char *base_url, const char *model);
double model_prices_estimate (ModelPrices *prices, ModelCall *call);
double model_prices_cost (ModelPrices *prices, ModelCall *call, JsonObject *usage);

/* ── ledger.c ── */

/**
 * ModelEntry:
 * @id: (nullable): of the line in the ledger
 * @estimate: what it may cost; negative: nobody knows
 */
typedef struct {
  char *id;
  double estimate;
} ModelEntry;

ModelLedger *model_ledger_new (DerushConfig *config, GError **error);
void model_ledger_free (ModelLedger *ledger);
gboolean model_ledger_has_limit (ModelLedger *ledger);
gboolean model_ledger_reserve (ModelLedger *ledger, ModelCall *call, ModelEntry *entry, GError **error);
void model_ledger_settle (ModelLedger *ledger, ModelCall *call, ModelEntry *entry, const char *state, double cost,
                          JsonObject *usage);

G_END_DECLS
