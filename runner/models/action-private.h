/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the actions of the model worker share. Each has a file in actions/ and a line in the table of worker.c. */

#pragma once

#include "models/models.h"
#include "steps/steps.h"

G_BEGIN_DECLS

/**
 * DerushModelJob:
 * @request: what is asked: for progress and warnings
 * @action: its name
 * @directory: the only place to write
 * @parameters: of the step
 * @results: of the plan's earlier steps, by name
 * @cancellable: ends derush_models_call() within 100 ms
 * @models: whom to ask
 * @context: ready for derush_models_call(); a copy takes a check
 */
typedef struct {
  DerushStepRequest *request;
  const char *action;
  const char *directory;
  JsonObject *parameters;
  JsonObject *results;
  GCancellable *cancellable;
  DerushModels *models;
  DerushModelsContext context;
} DerushModelJob;

/* Returns: (transfer full) (nullable): the step's result */
typedef JsonObject *(*DerushModelAction) (DerushModelJob *job, GError **error);

JsonObject *derush_action_transcribe (DerushModelJob *job, GError **error);
JsonObject *derush_action_speak (DerushModelJob *job, GError **error);

DerushModelAction derush_model_action_find (const char *name);
JsonObject *derush_model_worker_handle (DerushStepRequest *request, gpointer models, GError **error);

G_END_DECLS
