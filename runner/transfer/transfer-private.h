/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transfer/transfer.h"

G_BEGIN_DECLS

/* A connectable that leads to addresses which were checked, and nowhere else. */
GSocketConnectable *transfer_resolve (const char *host, guint16 port, DerushAllowedHosts *hosts,
                                      GCancellable *cancellable, GError **error);

G_END_DECLS
