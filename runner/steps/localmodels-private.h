/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "steps/steps.h"

G_BEGIN_DECLS

/* Where derush-models listens, and what it wants to hear; both NULL where nobody needs it. */
typedef struct {
  char *url;
  char *token;
} DerushLocalModels;

void derush_local_models_clear (DerushLocalModels *local);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (DerushLocalModels, derush_local_models_clear)

/* The server ends with the last reference. */
void derush_local_models_ref (void);
void derush_local_models_unref (void);

gboolean derush_local_models_wanted (DerushConfig *config);
gboolean derush_local_models_start (DerushConfig *config, DerushLocalModels *local, GCancellable *cancellable,
                                    GError **error);

G_END_DECLS
