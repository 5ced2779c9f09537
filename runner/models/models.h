/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:models
 * @title: models
 * @short_description: speech, text and images from remote models and from local engines
 *
 * A task is sent to the first provider that can do it, with retries, a cache, a price limit and checks of the answer; where
 * that provider fails, the next one is asked, and the answer says so. Linked by the model worker alone.
 */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

#define DERUSH_MODELS_ERROR (derush_models_error_quark ())
GQuark derush_models_error_quark (void);

typedef struct _DerushModels DerushModels;

/**
 * DerushModelsCheck:
 * @json: an answer that fits its schema
 * @user_data: from #DerushModelsContext
 * @error: return location for an error, whose message is shown to the model so that it can repair its answer
 *
 * Returns: whether the answer makes sense beyond its shape: times that ascend, identifiers that exist
 */
typedef gboolean (*DerushModelsCheck) (JsonNode *json, gpointer user_data, GError **error);

/**
 * DerushModelsContext:
 * @directory: (nullable): where files that are answered are written
 * @job_id: (nullable): whose money is spent: for the cap per job and the ledger
 * @check: (nullable): of the task `chat` with a schema
 * @check_data: for @check
 * @warn: (nullable): is told one line when an answer does not come from the provider that was to give it
 * @warn_data: for @warn
 * @debug: (nullable): gets details of a failure: status, request id, `unsupported-language`
 */
typedef struct {
  const char *directory;
  const char *job_id;
  DerushModelsCheck check;
  gpointer check_data;
  void (*warn) (const char *message, gpointer user_data);
  gpointer warn_data;
  GString *debug;
} DerushModelsContext;

DerushModels *derush_models_new (DerushConfig *config, GError **error);
void derush_models_free (DerushModels *models);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushModels, derush_models_free)

JsonObject *derush_models_call (DerushModels *models, const char *task, JsonObject *request,
                                const DerushModelsContext *context, GCancellable *cancellable, GError **error);
void derush_models_forget_waits (DerushModels *models);
JsonObject *derush_models_list (DerushModels *models, GCancellable *cancellable, GError **error);

G_END_DECLS
