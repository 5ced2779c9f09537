/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/* Takes the report of a worker: keeps it, warns once of what is missing, and refuses it where DERUSH_SANDBOX says so. */
gboolean derush_containment_accept (DerushConfig *config, JsonObject *report, GError **error);

G_END_DECLS
