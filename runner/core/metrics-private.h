/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/* Brings the metrics of this process and of the watched ones up to date. */
void derush_metrics_collect_processes (void);

G_END_DECLS
