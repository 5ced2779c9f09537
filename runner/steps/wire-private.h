/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "steps/steps.h"

G_BEGIN_DECLS

#define DERUSH_STEP_VERSION 1
#define DERUSH_STEP_LINE_MAX (4 * 1024 * 1024)
#define DERUSH_STEP_FDS_MAX 16

typedef enum {
  DERUSH_WIRE_LINE,   /* a whole line */
  DERUSH_WIRE_AGAIN,  /* nothing more for now */
  DERUSH_WIRE_CLOSED, /* the other end is gone */
  DERUSH_WIRE_BROKEN, /* the other end does not keep to the protocol; see the error */
} DerushWireStatus;

/* One end of the socket pair. Sending may be done by any thread, receiving by one. */
typedef struct {
  int fd;
  GMutex lock;
  GByteArray *received;
  gsize scanned;
  GArray *fds; /* received and not yet taken, in order */
} DerushWire;

DerushWire *derush_wire_new (int fd);
void derush_wire_free (DerushWire *wire);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushWire, derush_wire_free)

gboolean derush_wire_send (DerushWire *wire, JsonObject *message, const int *fds, guint n_fds, GError **error);
DerushWireStatus derush_wire_receive (DerushWire *wire, JsonObject **message, GError **error);
int derush_wire_take_fd (DerushWire *wire);

G_END_DECLS
