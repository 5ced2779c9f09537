/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/connection-private.h"

#include <glib-unix.h>

/* hiredis frees a context whenever it meets an error, also in the middle of a dispatch; its cleanup hook is the only
 * sign of that. The source therefore looks at its own pointer before each step, which the hook has cleared. */
typedef struct {
  GSource source;
  redisAsyncContext *context;
  gpointer tag;
  GIOCondition wanted;
} BullmqSource;

static void
want (BullmqSource *self, GIOCondition condition, gboolean on)
{
  GIOCondition wanted = on ? self->wanted | condition : self->wanted & ~condition;

  if (!self->tag || wanted == self->wanted)
    return;
  self->wanted = wanted;
  g_source_modify_unix_fd (&self->source, self->tag, wanted);
}

static void
add_read (gpointer data)
{
  want (data, G_IO_IN, TRUE);
}

static void
del_read (gpointer data)
{
  want (data, G_IO_IN, FALSE);
}

static void
add_write (gpointer data)
{
  want (data, G_IO_OUT, TRUE);
}

static void
del_write (gpointer data)
{
  want (data, G_IO_OUT, FALSE);
}

static void
cleanup (gpointer data)
{
  BullmqSource *self = data;

  self->context = NULL;
  if (self->tag) {
    g_source_remove_unix_fd (&self->source, self->tag);
    self->tag = NULL;
  }
  g_source_destroy (&self->source);
}

static gboolean
source_dispatch (GSource *source, GSourceFunc callback, gpointer user_data)
{
  BullmqSource *self = (BullmqSource *)source;
  GIOCondition ready = self->tag ? g_source_query_unix_fd (source, self->tag) : 0;

  if (self->context && ready & (G_IO_IN | G_IO_HUP | G_IO_ERR))
    redisAsyncHandleRead (self->context);
  /* Commands that the callbacks have added leave at once: the socket is nearly always writable. */
  if (self->context && self->wanted & G_IO_OUT)
    redisAsyncHandleWrite (self->context);
  return self->context ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void
source_finalize (GSource *source)
{
  BullmqSource *self = (BullmqSource *)source;

  if (self->context) {
    self->context->ev.data = NULL;
    self->context->ev.addRead = self->context->ev.delRead = NULL;
    self->context->ev.addWrite = self->context->ev.delWrite = NULL;
    self->context->ev.cleanup = NULL;
  }
}

static GSourceFuncs source_funcs = {NULL, NULL, source_dispatch, source_finalize, NULL, NULL};

/* Drives @context, whose hooks must still be free. The source destroys itself when hiredis frees the context. */
GSource *
bullmq_source_new (redisAsyncContext *context)
{
  GSource *source = g_source_new (&source_funcs, sizeof (BullmqSource));
  BullmqSource *self = (BullmqSource *)source;

  g_source_set_static_name (source, "bullmq connection");
  self->context = context;
  self->tag = g_source_add_unix_fd (source, context->c.fd, 0);
  context->ev.data = self;
  context->ev.addRead = add_read;
  context->ev.delRead = del_read;
  context->ev.addWrite = add_write;
  context->ev.delWrite = del_write;
  context->ev.cleanup = cleanup;
  return source;
}
