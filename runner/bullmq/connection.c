/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/connection-private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <glib/gi18n-lib.h>

#define CONNECT_TIMEOUT_MS 5000
#define RECONNECT_FIRST_MS 100
#define RECONNECT_LAST_MS 5000
#define REFUSED_FIRST_MS 100
#define REFUSED_LAST_MS 2000
/* A peer that vanished without a word is noticed after this: by the kernel for what was sent, by probes when idle. */
#define SILENCE_TIMEOUT_MS 20000

typedef enum {
  STATE_CLOSED,
  STATE_RESOLVING,
  STATE_CONNECTING,
  STATE_GREETING,
  STATE_READY,
  STATE_PAUSING, /* until the next attempt */
} State;

struct _BullmqConnection {
  grefcount references;
  GMainContext *loop;
  DerushRedisAddress *address;
  char *client_name;
  BullmqConnectionFunc func;
  gpointer user_data;

  State state;
  redisAsyncContext *context;
  GSource *source;
  GCancellable *resolving;
  GList *addresses, *next_address;
  GSource *timer;    /* end of the connect timeout or of the pause */
  GSource *watchdog; /* fires when the oldest command has waited too long */
  GSource *retry;    /* sends again what the server was too busy for */
  guint attempts;    /* since the last answered command */
  gboolean in_trouble;
  char *trouble;
  gboolean quiet;

  GQueue pending; /* not sent yet */
  GQueue sent;    /* in the order in which the answers will come */
  GQueue refused; /* wait for @retry */
};

static void connect_next (BullmqConnection *self);

static void
connection_unref (BullmqConnection *self)
{
  if (!g_ref_count_dec (&self->references))
    return;
  if (self->addresses)
    g_resolver_free_addresses (self->addresses);
  g_main_context_unref (self->loop);
  derush_redis_address_free (self->address);
  g_free (self->client_name);
  g_free (self->trouble);
  g_free (self);
}

/* ── Answers ────────────────────────────────────────────────────────────── */

static void
answer (BullmqCommand *command, redisReply *reply, const GError *error, gboolean lost)
{
  BullmqAnswer said = {reply, error, lost, command->resent};

  if (command->func)
    command->func (&said, command->user_data);
  bullmq_command_free (command);
}

static void
answer_without_reply (BullmqConnection *self, BullmqCommand *command, DerushErrorClass error_class)
{
  g_autoptr (GError) error =
      g_error_new (DERUSH_BULLMQ_ERROR, error_class, _ ("Redis at %s:%u does not answer: %s"), self->address->host,
                   self->address->port, self->trouble ? self->trouble : _ ("the connection is closed"));

  answer (command, NULL, error, TRUE);
}

/* ── Losing the connection ──────────────────────────────────────────────── */

static void
clear_source (GSource **source)
{
  if (!*source)
    return;
  g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
arm (BullmqConnection *self, GSource **source, guint milliseconds, GSourceFunc func)
{
  clear_source (source);
  *source = g_timeout_source_new (milliseconds);
  g_source_set_callback (*source, func, self, NULL);
  g_source_attach (*source, self->loop);
}

/* Lets go of hiredis' context; @freed: hiredis frees it itself, as it is in the middle of telling of an error. */
static void
drop_context (BullmqConnection *self, gboolean freed)
{
  redisAsyncContext *context = g_steal_pointer (&self->context);

  if (!context)
    return;
  context->data = NULL;
  if (!freed)
    redisAsyncFree (context);
  g_clear_pointer (&self->source, g_source_unref);
}

static gboolean
reconnect (gpointer user_data)
{
  BullmqConnection *self = user_data;

  clear_source (&self->timer);
  connect_next (self);
  return G_SOURCE_REMOVE;
}

static void
pause_before_next (BullmqConnection *self)
{
  guint pause = MIN (RECONNECT_FIRST_MS << MIN (self->attempts, 8), RECONNECT_LAST_MS);

  self->state = STATE_PAUSING;
  if (self->next_address) {
    connect_next (self);
    return;
  }
  self->attempts++;
  /* Jitter keeps many workers from coming back in step. */
  arm (self, &self->timer, pause / 2 + g_random_int_range (0, pause / 2 + 1), reconnect);
}

/* One line when the trouble begins, not one per attempt. */
static void
note_trouble (BullmqConnection *self, const char *trouble)
{
  if (g_strcmp0 (self->trouble, trouble) != 0) {
    g_free (self->trouble);
    self->trouble = g_strdup (trouble);
    derush_log (self->in_trouble || self->quiet ? DERUSH_LOG_DEBUG : DERUSH_LOG_WARN, NULL,
                "No connection to Redis at %s:%u, trying until it answers: %s", self->address->host,
                self->address->port, trouble);
  }
  self->in_trouble = TRUE;
}

static void
connection_lost (BullmqConnection *self, const char *trouble, gboolean freed)
{
  gboolean was_ready = self->state == STATE_READY;
  GQueue sent = self->sent, unanswered = G_QUEUE_INIT;
  BullmqCommand *command;

  if (self->state == STATE_CLOSED || self->state == STATE_PAUSING)
    return;
  g_ref_count_inc (&self->references);
  note_trouble (self, trouble);
  g_queue_init (&self->sent);
  drop_context (self, freed);
  clear_source (&self->timer);
  g_source_set_ready_time (self->watchdog, -1);
  while ((command = g_queue_pop_tail (&sent))) {
    if (command->flags & BULLMQ_COMMAND_RESEND) {
      command->resent = TRUE;
      g_queue_push_head (&self->pending, command);
    } else {
      g_queue_push_head (&unanswered, command);
    }
  }
  pause_before_next (self);
  if (was_ready && self->func)
    self->func (self, FALSE, self->user_data);
  while ((command = g_queue_pop_head (&unanswered)))
    answer_without_reply (self, command, DERUSH_ERROR_RESOURCE);
  connection_unref (self);
}

/* ── Sending ────────────────────────────────────────────────────────────── */

static gboolean
watch (gpointer user_data)
{
  BullmqConnection *self = user_data;
  BullmqCommand *oldest = g_queue_peek_head (&self->sent);

  if (!oldest)
    g_source_set_ready_time (self->watchdog, -1);
  else if (oldest->deadline > g_get_monotonic_time ())
    g_source_set_ready_time (self->watchdog, oldest->deadline);
  else
    connection_lost (self, _ ("no answer in time"), FALSE);
  return G_SOURCE_CONTINUE;
}

static void on_reply (redisAsyncContext *context, void *data, void *user_data);

static void
send_now (BullmqConnection *self, BullmqCommand *command)
{
  gsize length;
  const char *text = bullmq_command_format (command, &length);

  if (redisAsyncFormattedCommand (self->context, on_reply, command, text, length) != REDIS_OK) {
    g_queue_push_head (&self->pending, command);
    return;
  }
  command->deadline = g_get_monotonic_time () + command->patience;
  g_queue_push_tail (&self->sent, command);
  if (self->sent.length == 1)
    g_source_set_ready_time (self->watchdog, command->deadline);
}

static void
flush (BullmqConnection *self)
{
  while (self->state == STATE_READY && self->context && !g_queue_is_empty (&self->pending)) {
    guint before = self->pending.length;

    send_now (self, g_queue_pop_head (&self->pending));
    if (self->pending.length == before)
      return;
  }
}

static gboolean
send_refused (gpointer user_data)
{
  BullmqConnection *self = user_data;
  BullmqCommand *command;

  clear_source (&self->retry);
  while ((command = g_queue_pop_head (&self->refused)))
    g_queue_push_tail (&self->pending, command);
  flush (self);
  return G_SOURCE_REMOVE;
}

static void
send_later (BullmqConnection *self, BullmqCommand *command)
{
  guint pause = MIN (REFUSED_FIRST_MS << MIN (command->refusals, 6), REFUSED_LAST_MS);

  command->refusals++;
  g_queue_push_tail (&self->refused, command);
  if (!self->retry)
    arm (self, &self->retry, pause, send_refused);
}

static void
load_script (BullmqConnection *self, const BullmqScript *script)
{
  BullmqCommand *load = bullmq_command_new ("SCRIPT");

  bullmq_command_add (load, "LOAD", -1);
  bullmq_command_add (load, script->text, script->length);
  send_now (self, load);
}

/* ── Replies ────────────────────────────────────────────────────────────── */

typedef enum {
  REPLY_GOOD,
  REPLY_NOSCRIPT,
  REPLY_BUSY,     /* the server will take the command later */
  REPLY_UNUSABLE, /* this server cannot take it in its state: come back to it, or to its successor */
  REPLY_ERROR,
} ReplyClass;

static ReplyClass
classify (const redisReply *reply)
{
  static const char *const unusable[] = {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "UNBLOCKED",
                                         "MOVED",   "ASK",      "NOAUTH",     "NOREPLICAS",  NULL};
  static const char *const busy[] = {"BUSY", "OOM", "MISCONF", "TRYAGAIN", NULL};
  g_autofree char *word = NULL;

  if (reply->type != REDIS_REPLY_ERROR)
    return REPLY_GOOD;
  word = g_strndup (reply->str, strcspn (reply->str, " "));
  if (g_str_equal (word, "NOSCRIPT"))
    return REPLY_NOSCRIPT;
  if (g_strv_contains (unusable, word))
    return REPLY_UNUSABLE;
  if (g_strv_contains (busy, word))
    return REPLY_BUSY;
  return REPLY_ERROR;
}

static void
answer_with_error (BullmqConnection *self, BullmqCommand *command, const redisReply *reply)
{
  g_autoptr (GError) error =
      g_error_new (DERUSH_BULLMQ_ERROR, DERUSH_ERROR_INTERNAL, _ ("Redis at %s:%u refuses %s: %s"), self->address->host,
                   self->address->port, command->script ? command->script->name : _ ("a command"), reply->str);

  answer (command, NULL, error, FALSE);
}

static void
on_reply (redisAsyncContext *context, void *data, void *user_data)
{
  BullmqConnection *self = context->data;
  redisReply *reply = data;
  BullmqCommand *command;

  /* Without a reply the connection is being torn down; connection_lost() sees to the commands. */
  if (!self || !reply)
    return;
  command = g_queue_pop_head (&self->sent);
  g_ref_count_inc (&self->references);
  switch (classify (reply)) {
  case REPLY_GOOD:
    if (self->state == STATE_READY)
      self->attempts = 0;
    answer (command, reply, NULL, FALSE);
    break;
  case REPLY_NOSCRIPT:
    if (command->script && self->context) {
      load_script (self, command->script);
      send_now (self, command);
    } else {
      answer_with_error (self, command, reply);
    }
    break;
  case REPLY_BUSY:
    if (command->flags & BULLMQ_COMMAND_RESEND) {
      if (command->refusals == 0)
        derush_log (DERUSH_LOG_WARN, NULL, "Redis at %s:%u cannot take a command now, trying again: %s",
                    self->address->host, self->address->port, reply->str);
      send_later (self, command);
    } else {
      answer_with_error (self, command, reply);
    }
    break;
  case REPLY_UNUSABLE:
    g_queue_push_head (&self->sent, command);
    connection_lost (self, reply->str, FALSE);
    break;
  case REPLY_ERROR:
    answer_with_error (self, command, reply);
    break;
  }
  connection_unref (self);
}

/* ── Connecting ─────────────────────────────────────────────────────────── */

static void
on_greeting (const BullmqAnswer *said, gpointer user_data)
{
  BullmqConnection *self = user_data;

  if (said->error && !said->lost && self->state == STATE_GREETING) {
    /* Older servers without a password say so to a client that has one; that is no reason to stay away. */
    if (strstr (said->error->message, "no password is set"))
      return;
    connection_lost (self, said->error->message, FALSE);
  }
}

static void
on_greeted (const BullmqAnswer *said, gpointer user_data)
{
  BullmqConnection *self = user_data;

  on_greeting (said, user_data);
  if (said->error || self->state != STATE_GREETING)
    return;
  clear_source (&self->timer);
  self->state = STATE_READY;
  if (self->in_trouble)
    derush_log (self->quiet ? DERUSH_LOG_DEBUG : DERUSH_LOG_INFO, NULL, "Connected to Redis at %s:%u",
                self->address->host, self->address->port);
  self->in_trouble = FALSE;
  g_clear_pointer (&self->trouble, g_free);
  /* From now on the answers to commands say how well it goes; the next loss starts with the first address again. */
  self->next_address = NULL;
  flush (self);
  if (self->func && self->state == STATE_READY)
    self->func (self, TRUE, self->user_data);
}

static void
greet (BullmqConnection *self, BullmqCommand *command, BullmqAnswerFunc func)
{
  command->func = func;
  command->user_data = self;
  send_now (self, command);
}

static void
set_socket_options (int fd)
{
  int on = 1, seconds = SILENCE_TIMEOUT_MS / 2000, probes = 3;
  guint timeout = SILENCE_TIMEOUT_MS;

  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  setsockopt (fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

static void
on_connect (const redisAsyncContext *context, int status)
{
  BullmqConnection *self = context->data;
  BullmqCommand *command;

  if (!self)
    return;
  if (status != REDIS_OK) {
    connection_lost (self, context->errstr && *context->errstr ? context->errstr : g_strerror (errno), TRUE);
    return;
  }
  self->state = STATE_GREETING;
  set_socket_options (context->c.fd);
  if (self->address->password) {
    command = bullmq_command_new ("AUTH");
    if (self->address->username)
      bullmq_command_add (command, self->address->username, -1);
    bullmq_command_add (command, self->address->password, -1);
    greet (self, command, on_greeting);
  }
  if (self->address->db != 0) {
    command = bullmq_command_new ("SELECT");
    bullmq_command_add_int (command, self->address->db);
    greet (self, command, on_greeting);
  }
  if (self->client_name) {
    /* Managed servers may refuse it; then only the count of workers is wrong. */
    command = bullmq_command_new ("CLIENT");
    bullmq_command_add (command, "SETNAME", -1);
    bullmq_command_add (command, self->client_name, -1);
    greet (self, command, NULL);
  }
  greet (self, bullmq_command_new ("PING"), on_greeted);
}

static void
on_disconnect (const redisAsyncContext *context, int status)
{
  BullmqConnection *self = context->data;

  if (self)
    connection_lost (self, context->errstr && *context->errstr ? context->errstr : _ ("the server closed it"), TRUE);
}

static gboolean
on_connect_timeout (gpointer user_data)
{
  BullmqConnection *self = user_data;

  clear_source (&self->timer);
  connection_lost (self, _ ("no connection in time"), FALSE);
  return G_SOURCE_REMOVE;
}

static void
connect_to (BullmqConnection *self, const char *ip)
{
  redisAsyncContext *context = redisAsyncConnect (ip, self->address->port);

  self->state = STATE_CONNECTING;
  if (!context || context->err) {
    g_autofree char *trouble = g_strdup (context ? context->errstr : g_strerror (ENOMEM));

    if (context)
      redisAsyncFree (context);
    connection_lost (self, trouble, FALSE);
    return;
  }
  self->context = context;
  context->data = self;
  fcntl (context->c.fd, F_SETFD, FD_CLOEXEC);
  self->source = bullmq_source_new (context);
  g_source_attach (self->source, self->loop);
  arm (self, &self->timer, CONNECT_TIMEOUT_MS, on_connect_timeout);
  redisAsyncSetDisconnectCallback (context, on_disconnect);
  redisAsyncSetConnectCallback (context, on_connect);
}

static void
on_resolved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BullmqConnection *self = user_data;
  g_autoptr (GError) error = NULL;
  GList *addresses = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, &error);

  if (self->state == STATE_RESOLVING) {
    g_clear_object (&self->resolving);
    if (addresses) {
      self->addresses = self->next_address = g_steal_pointer (&addresses);
      connect_next (self);
    } else {
      connection_lost (self, error->message, FALSE);
    }
  }
  if (addresses)
    g_resolver_free_addresses (addresses);
  connection_unref (self);
}

/* Tries the host's next address, or asks anew for its addresses: behind a name the server may have moved. */
static void
connect_next (BullmqConnection *self)
{
  g_autoptr (GResolver) resolver = NULL;

  if (self->next_address) {
    g_autofree char *ip = g_inet_address_to_string (self->next_address->data);

    self->next_address = self->next_address->next;
    connect_to (self, ip);
    return;
  }
  if (self->addresses)
    g_resolver_free_addresses (g_steal_pointer (&self->addresses));
  if (g_hostname_is_ip_address (self->address->host)) {
    connect_to (self, self->address->host);
    return;
  }
  self->state = STATE_RESOLVING;
  self->resolving = g_cancellable_new ();
  resolver = g_resolver_get_default ();
  g_ref_count_inc (&self->references);
  g_resolver_lookup_by_name_async (resolver, self->address->host, self->resolving, on_resolved, self);
}

/* ── Interface ──────────────────────────────────────────────────────────── */

/* A GSource without a time or descriptor of its own; g_source_set_ready_time() wakes it. */
static gboolean
dispatch_ready_time (GSource *source, GSourceFunc callback, gpointer user_data)
{
  return callback (user_data);
}

static GSourceFuncs ready_time_funcs = {NULL, NULL, dispatch_ready_time, NULL, NULL, NULL};

/* hiredis writes with write(2), so a peer that went away would end the process. A handler of the program stays. */
static void
ignore_sigpipe (void)
{
  struct sigaction current;

  if (sigaction (SIGPIPE, NULL, &current) == 0 && current.sa_handler == SIG_DFL) {
    current.sa_handler = SIG_IGN;
    sigaction (SIGPIPE, &current, NULL);
  }
}

/**
 * bullmq_connection_new:
 * @address: the server
 * @client_name: (nullable): the name that CLIENT LIST shows
 * @func: (nullable): told when the connection comes and goes
 * @user_data: for @func
 *
 * A connection that, once opened, comes back by itself for ever. It and all its callbacks belong to the thread-default
 * main context of the caller.
 */
BullmqConnection *
bullmq_connection_new (const DerushRedisAddress *address, const char *client_name, BullmqConnectionFunc func,
                       gpointer user_data)
{
  BullmqConnection *self = g_new0 (BullmqConnection, 1);

  ignore_sigpipe ();
  g_ref_count_init (&self->references);
  self->loop = g_main_context_ref_thread_default ();
  self->address = derush_redis_address_copy (address);
  self->client_name = g_strdup (client_name);
  self->func = func;
  self->user_data = user_data;
  self->watchdog = g_source_new (&ready_time_funcs, sizeof (GSource));
  g_source_set_callback (self->watchdog, watch, self, NULL);
  g_source_attach (self->watchdog, self->loop);
  return self;
}

/* For connections that come and go together with another one, which speaks for all. */
void
bullmq_connection_set_quiet (BullmqConnection *self)
{
  self->quiet = TRUE;
}

void
bullmq_connection_open (BullmqConnection *self)
{
  g_return_if_fail (self->state == STATE_CLOSED);
  connect_next (self);
}

static void
answer_all (BullmqConnection *self, GQueue *queue)
{
  GQueue commands = *queue;
  BullmqCommand *command;

  g_queue_init (queue);
  while ((command = g_queue_pop_head (&commands)))
    answer_without_reply (self, command, DERUSH_ERROR_CANCELLED);
}

/* Ends the connection and frees it; commands without an answer get an error of class cancelled. */
void
bullmq_connection_close (BullmqConnection *self)
{
  if (!self)
    return;
  self->func = NULL;
  /* The last commands of a worker that ends at once still leave, as far as the socket takes them. */
  if (self->state == STATE_READY && !(self->context->c.flags & REDIS_IN_CALLBACK))
    redisAsyncHandleWrite (self->context);
  self->state = STATE_CLOSED;
  if (self->resolving)
    g_cancellable_cancel (self->resolving);
  g_clear_object (&self->resolving);
  drop_context (self, FALSE);
  clear_source (&self->timer);
  clear_source (&self->retry);
  clear_source (&self->watchdog);
  answer_all (self, &self->sent);
  answer_all (self, &self->refused);
  answer_all (self, &self->pending);
  connection_unref (self);
}

/* Sends @command, of which it takes possession, now or when the connection is there; @func is called exactly once. */
void
bullmq_connection_send (BullmqConnection *self, BullmqCommand *command, BullmqCommandFlags flags, BullmqAnswerFunc func,
                        gpointer user_data)
{
  command->flags = flags;
  command->func = func;
  command->user_data = user_data;
  g_queue_push_tail (&self->pending, command);
  flush (self);
}

static GQueue
take_matching (GQueue *queue, gpointer user_data)
{
  GQueue taken = G_QUEUE_INIT;

  for (GList *link = queue->head, *next; link; link = next) {
    next = link->next;
    if (((BullmqCommand *)link->data)->user_data != user_data)
      continue;
    g_queue_unlink (queue, link);
    g_queue_push_tail_link (&taken, link);
  }
  return taken;
}

/* Ends the commands of @user_data that the server has not got yet with an error; they will not be sent. */
void
bullmq_connection_withdraw (BullmqConnection *self, gpointer user_data)
{
  GQueue pending = take_matching (&self->pending, user_data), refused = take_matching (&self->refused, user_data);
  BullmqCommand *command;

  while ((command = g_queue_pop_head (&pending)) || (command = g_queue_pop_head (&refused)))
    answer_without_reply (self, command, DERUSH_ERROR_RESOURCE);
}

gboolean
bullmq_connection_is_ready (BullmqConnection *self)
{
  return self && self->state == STATE_READY;
}

/* How many commands have no answer yet. */
guint
bullmq_connection_get_n_waiting (BullmqConnection *self)
{
  return self->pending.length + self->sent.length + self->refused.length;
}
