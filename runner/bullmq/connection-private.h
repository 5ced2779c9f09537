/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bullmq/bullmq.h"
#include "bullmq/scripts-private.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

G_BEGIN_DECLS

/* ── Commands ───────────────────────────────────────────────────────────── */

/**
 * BullmqAnswer:
 * @reply: (nullable): what the server said; %NULL with an error
 * @error: (nullable): an error reply, or that there is no answer
 * @lost: there is no answer because the connection went away: the server may have run the command or not
 * @resent: the command was sent more than once, so an earlier one may have run
 */
typedef struct {
  redisReply *reply;
  const GError *error;
  gboolean lost;
  gboolean resent;
} BullmqAnswer;

typedef void (*BullmqAnswerFunc) (const BullmqAnswer *answer, gpointer user_data);

typedef enum {
  BULLMQ_COMMAND_NONE = 0,
  BULLMQ_COMMAND_RESEND = 1 << 0, /* again after a reconnect, until it is answered */
} BullmqCommandFlags;

typedef struct {
  GString *text; /* the arguments in Redis' protocol, behind room for their number */
  guint n_arguments;
  const BullmqScript *script; /* NULL: a plain command */
  BullmqCommandFlags flags;
  gint64 patience; /* µs from sending to the answer */
  gint64 deadline; /* monotonic time; set when it is sent */
  guint refusals;  /* how often the server was too busy for it */
  gboolean resent;
  BullmqAnswerFunc func;
  gpointer user_data;
} BullmqCommand;

BullmqCommand *bullmq_command_new (const char *name);
BullmqCommand *bullmq_command_new_script (BullmqScriptId script);
void bullmq_command_free (BullmqCommand *command);
void bullmq_command_add (BullmqCommand *command, const void *bytes, gssize length);
void bullmq_command_add_int (BullmqCommand *command, gint64 value);
void bullmq_command_add_key (BullmqCommand *command, const char *base, const char *name, gssize length);
void bullmq_command_add_keys (BullmqCommand *command, const char *base, const char *const *names);
const char *bullmq_command_format (BullmqCommand *command, gsize *length);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BullmqCommand, bullmq_command_free)

/* Lets a job go on that waits for its children, though some of them may not have ended (control.c). */
BullmqCommand *bullmq_command_new_wake (const char *prefix, const char *queue, const char *id);

/* ── Connection ─────────────────────────────────────────────────────────── */

typedef struct _BullmqConnection BullmqConnection;

/* Called with TRUE when commands can be sent, after those that waited were, and with FALSE when the connection is gone. */
typedef void (*BullmqConnectionFunc) (BullmqConnection *connection, gboolean ready, gpointer user_data);

BullmqConnection *bullmq_connection_new (const DerushRedisAddress *address, const char *client_name,
                                         BullmqConnectionFunc func, gpointer user_data);
void bullmq_connection_set_quiet (BullmqConnection *connection);
void bullmq_connection_open (BullmqConnection *connection);
void bullmq_connection_close (BullmqConnection *connection);
void bullmq_connection_send (BullmqConnection *connection, BullmqCommand *command, BullmqCommandFlags flags,
                             BullmqAnswerFunc func, gpointer user_data);
void bullmq_connection_withdraw (BullmqConnection *connection, gpointer user_data);
gboolean bullmq_connection_is_ready (BullmqConnection *connection);
guint bullmq_connection_get_n_waiting (BullmqConnection *connection);

/* ── The source that drives hiredis ─────────────────────────────────────── */

GSource *bullmq_source_new (redisAsyncContext *context);

/* ── What a server says about itself ────────────────────────────────────── */

typedef struct {
  guint version; /* 70015 is 7.0.15; 0: unknown */
  gboolean evicts;
  gboolean cluster;
  gboolean dragonfly;
  char *policy;
} BullmqServer;

void bullmq_server_parse (BullmqServer *server, const char *info);
void bullmq_server_clear (BullmqServer *server);
void bullmq_server_warn (const BullmqServer *server, const char *base);
gint64 bullmq_server_skew (const redisReply *reply, gint64 asked, gint64 answered);

G_END_DECLS
