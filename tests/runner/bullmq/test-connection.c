/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/connection-private.h"

#include <string.h>
#include <sys/socket.h>

/* A server that answers as it is told: one list of answers per connection, the greeting's included. */
#define RESET "reset"    /* close at once, so that the client's next write fails */
#define SILENCE "silent" /* answer nothing until the client goes away */

typedef struct {
  GSocketListener *listener;
  GThread *thread;
  GCancellable *ending;
  const char *const (*sessions)[8];
  guint n_sessions;
  GPtrArray *heard; /* of @thread until it has ended: the first words of the commands */
  DerushRedisAddress *address;
  BullmqConnection *connection;
  guint n_ready, n_answers, n_lost, n_resent, n_errors;
  char *text;
} Fixture;

static char *
read_command (GSocket *socket, redisReader *reader)
{
  void *reply = NULL;
  char buffer[4096];
  char *word;

  while (redisReaderGetReply (reader, &reply) == REDIS_OK && !reply) {
    gssize n = g_socket_receive (socket, buffer, sizeof buffer, NULL, NULL);

    if (n <= 0)
      return NULL;
    redisReaderFeed (reader, buffer, n);
  }
  word = g_strdup (((redisReply *)reply)->element[0]->str);
  freeReplyObject (reply);
  return word;
}

static void
serve (Fixture *fixture, GSocket *socket, const char *const *answers)
{
  redisReader *reader = redisReaderCreate ();
  struct linger at_once = {1, 0};
  char *word;

  while (*answers && (word = read_command (socket, reader))) {
    g_ptr_array_add (fixture->heard, word);
    if (g_str_equal (*answers, RESET)) {
      setsockopt (g_socket_get_fd (socket), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      break;
    }
    if (g_str_equal (*answers, SILENCE))
      continue;
    g_socket_send (socket, *answers, strlen (*answers), NULL, NULL);
    /* An answer and the end in one: the client reads the first while its next write already fails. */
    if (g_str_has_suffix (*answers, "+last\r\n")) {
      setsockopt (g_socket_get_fd (socket), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      break;
    }
    answers++;
  }
  redisReaderFree (reader);
  g_socket_close (socket, NULL);
}

static gpointer
server_thread (gpointer data)
{
  Fixture *fixture = data;

  for (guint i = 0; i < fixture->n_sessions; i++) {
    g_autoptr (GSocketConnection) connection =
        g_socket_listener_accept (fixture->listener, NULL, fixture->ending, NULL);

    if (!connection)
      break;
    serve (fixture, g_socket_connection_get_socket (connection), fixture->sessions[i]);
  }
  return NULL;
}

static void
on_state (BullmqConnection *connection, gboolean ready, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->n_ready += ready;
}

static void
begin (Fixture *fixture, const char *const (*sessions)[8], guint n_sessions)
{
  fixture->sessions = sessions;
  fixture->n_sessions = n_sessions;
  fixture->heard = g_ptr_array_new_with_free_func (g_free);
  fixture->ending = g_cancellable_new ();
  fixture->listener = g_socket_listener_new ();
  fixture->address = g_new0 (DerushRedisAddress, 1);
  fixture->address->host = g_strdup ("127.0.0.1");
  fixture->address->port = g_socket_listener_add_any_inet_port (fixture->listener, NULL, NULL);
  fixture->thread = g_thread_new ("server", server_thread, fixture);
  fixture->connection = bullmq_connection_new (fixture->address, NULL, on_state, fixture);
  bullmq_connection_open (fixture->connection);
}

static void
end (Fixture *fixture)
{
  bullmq_connection_close (fixture->connection);
  /* The client may have needed fewer connections than there are sessions. */
  g_cancellable_cancel (fixture->ending);
  g_clear_pointer (&fixture->thread, g_thread_join);
  g_object_unref (fixture->ending);
  g_ptr_array_unref (fixture->heard);
  g_object_unref (fixture->listener);
  derush_redis_address_free (fixture->address);
  g_free (fixture->text);
}

static void
on_answer (const BullmqAnswer *said, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->n_answers++;
  fixture->n_lost += said->lost;
  fixture->n_resent += said->resent;
  fixture->n_errors += said->error != NULL;
  if (said->reply && said->reply->str) {
    g_free (fixture->text);
    fixture->text = g_strdup (said->reply->str);
  }
}

static void
send_command (Fixture *fixture, BullmqCommandFlags flags)
{
  bullmq_connection_send (fixture->connection, bullmq_command_new_script (BULLMQ_GET_COUNTS), flags, on_answer,
                          fixture);
}

static void
wait_for_answers (Fixture *fixture, guint n)
{
  while (fixture->n_answers < n)
    g_main_context_iteration (NULL, TRUE);
}

static guint
times_heard (Fixture *fixture, const char *word)
{
  guint n = 0;

  g_thread_join (g_steal_pointer (&fixture->thread));
  for (guint i = 0; i < fixture->heard->len; i++)
    n += g_str_equal (fixture->heard->pdata[i], word);
  return n;
}

static void
test_answer (void)
{
  static const char *const sessions[][8] = {{"+PONG\r\n", "+hello\r\n"}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_NONE);
  wait_for_answers (&fixture, 1);
  g_assert_cmpstr (fixture.text, ==, "hello");
  g_assert_cmpuint (fixture.n_errors + fixture.n_resent + fixture.n_lost, ==, 0);
  end (&fixture);
}

static void
test_resend (void)
{
  static const char *const sessions[][8] = {
      {"+PONG\r\n", RESET}, {RESET}, {"+PONG\r\n", RESET}, {"+PONG\r\n", "+hello\r\n"}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_RESEND);
  wait_for_answers (&fixture, 1);
  g_assert_cmpstr (fixture.text, ==, "hello");
  g_assert_cmpuint (fixture.n_resent, ==, 1);
  g_assert_cmpuint (fixture.n_ready, ==, 3);
  end (&fixture);
}

static void
test_lost (void)
{
  static const char *const sessions[][8] = {{"+PONG\r\n", RESET}, {"+PONG\r\n", "+hello\r\n"}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_NONE);
  wait_for_answers (&fixture, 1);
  g_assert_cmpuint (fixture.n_lost, ==, 1);
  send_command (&fixture, BULLMQ_COMMAND_NONE);
  wait_for_answers (&fixture, 2);
  g_assert_cmpstr (fixture.text, ==, "hello");
  end (&fixture);
}

static void
test_not_usable (void)
{
  static const char *const sessions[][8] = {
      {"-LOADING Redis is loading the dataset in memory\r\n", SILENCE},
      {"+PONG\r\n", "-READONLY You can't write against a read only replica.\r\n", SILENCE},
      {"+PONG\r\n", "+hello\r\n"}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_RESEND);
  wait_for_answers (&fixture, 1);
  g_assert_cmpstr (fixture.text, ==, "hello");
  end (&fixture);
}

static void
test_busy (void)
{
  static const char *const sessions[][8] = {
      {"+PONG\r\n", "-BUSY Redis is busy running a script.\r\n", "-OOM command not allowed\r\n", "+hello\r\n"}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_RESEND);
  wait_for_answers (&fixture, 1);
  g_assert_cmpstr (fixture.text, ==, "hello");
  g_assert_cmpuint (fixture.n_resent, ==, 0);
  end (&fixture);
}

static void
test_error (void)
{
  static const char *const sessions[][8] = {{"+PONG\r\n", "-ERR no such thing\r\n", "-BUSY script\r\n"}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_RESEND);
  send_command (&fixture, BULLMQ_COMMAND_NONE);
  wait_for_answers (&fixture, 2);
  g_assert_cmpuint (fixture.n_errors, ==, 2);
  g_assert_cmpuint (fixture.n_lost, ==, 0);
  end (&fixture);
}

static void
test_load (void)
{
  static const char *const sessions[][8] = {
      {"+PONG\r\n", "-NOSCRIPT No matching script.\r\n", "$1\r\nx\r\n", "+hello\r\n"}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_NONE);
  wait_for_answers (&fixture, 1);
  g_assert_cmpstr (fixture.text, ==, "hello");
  g_assert_cmpuint (times_heard (&fixture, "SCRIPT"), ==, 1);
  end (&fixture);
}

static void
test_silence (void)
{
  static const char *const sessions[][8] = {{"+PONG\r\n", SILENCE}, {"+PONG\r\n", "+hello\r\n"}};
  Fixture fixture = {0};
  BullmqCommand *command = bullmq_command_new ("ECHO");

  command->patience = 50 * 1000;
  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  bullmq_connection_send (fixture.connection, command, BULLMQ_COMMAND_RESEND, on_answer, &fixture);
  wait_for_answers (&fixture, 1);
  g_assert_cmpstr (fixture.text, ==, "hello");
  g_assert_cmpuint (fixture.n_resent, ==, 1);
  end (&fixture);
}

/* hiredis frees its context in the middle of a dispatch here; its own adapter for GLib then reads freed memory. */
static void
test_reset_while_writing (void)
{
  static const char *const sessions[][8] = {
      {"+PONG\r\n", "+last\r\n"}, {"+PONG\r\n", "+last\r\n"}, {"+PONG\r\n", "+last\r\n"}, {"+PONG\r\n", "+last\r\n"},
      {"+PONG\r\n", "+last\r\n"}, {"+PONG\r\n", "+last\r\n"}, {"+PONG\r\n", "+last\r\n"}, {"+PONG\r\n", "+last\r\n"}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  for (guint i = 0; i < G_N_ELEMENTS (sessions); i++) {
    guint before = fixture.n_answers;

    send_command (&fixture, BULLMQ_COMMAND_NONE);
    wait_for_answers (&fixture, before + 1);
    while (!bullmq_connection_is_ready (fixture.connection) && i + 1 < G_N_ELEMENTS (sessions))
      g_main_context_iteration (NULL, TRUE);
  }
  end (&fixture);
}

static void
test_withdraw (void)
{
  static const char *const sessions[][8] = {{RESET}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_RESEND);
  bullmq_connection_withdraw (fixture.connection, &fixture);
  g_assert_cmpuint (fixture.n_errors, ==, 1);
  g_assert_cmpuint (bullmq_connection_get_n_waiting (fixture.connection), ==, 0);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  end (&fixture);
}

static void
test_close (void)
{
  static const char *const sessions[][8] = {{"+PONG\r\n", SILENCE}};
  Fixture fixture = {0};

  begin (&fixture, sessions, G_N_ELEMENTS (sessions));
  send_command (&fixture, BULLMQ_COMMAND_RESEND);
  while (!bullmq_connection_is_ready (fixture.connection))
    g_main_context_iteration (NULL, TRUE);
  send_command (&fixture, BULLMQ_COMMAND_NONE);
  end (&fixture);
  g_assert_cmpuint (fixture.n_answers, ==, 2);
  g_assert_cmpuint (fixture.n_errors, ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
  g_test_add_func ("/bullmq/connection/brings-answers", test_answer);
  g_test_add_func ("/bullmq/connection/sends-again-what-must-be-answered", test_resend);
  g_test_add_func ("/bullmq/connection/tells-of-answers-that-are-lost", test_lost);
  g_test_add_func ("/bullmq/connection/comes-back-to-a-server-that-is-not-usable-yet", test_not_usable);
  g_test_add_func ("/bullmq/connection/tries-a-busy-server-again", test_busy);
  g_test_add_func ("/bullmq/connection/passes-errors-on", test_error);
  g_test_add_func ("/bullmq/connection/loads-a-script-that-is-not-known", test_load);
  g_test_add_func ("/bullmq/connection/leaves-a-server-that-is-silent", test_silence);
  g_test_add_func ("/bullmq/connection/survives-a-reset-while-writing", test_reset_while_writing);
  g_test_add_func ("/bullmq/connection/withdraws-what-was-not-sent", test_withdraw);
  g_test_add_func ("/bullmq/connection/answers-everything-when-closed", test_close);
  return g_test_run ();
}
