/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/wire-private.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  GSubprocess *process;
  DerushWire *wire;
} Worker;

static JsonObject *
receive (Worker *worker)
{
  for (;;) {
    g_autoptr (GError) error = NULL;
    JsonObject *message = NULL;
    struct pollfd ready = {.fd = worker->wire->fd, .events = POLLIN};

    switch (derush_wire_receive (worker->wire, &message, &error)) {
    case DERUSH_WIRE_LINE:
      return message;
    case DERUSH_WIRE_AGAIN:
      poll (&ready, 1, -1);
      break;
    default:
      return NULL;
    }
  }
}

static void
worker_start (Worker *worker, gconstpointer data)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) ready = NULL;
  int ends[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
  g_subprocess_launcher_take_fd (launcher, ends[1], DERUSH_STEP_SOCKET_FD);
  worker->process = g_subprocess_launcher_spawn (launcher, &error, g_getenv ("DERUSH_TEST_WORKER"), NULL);
  g_assert_no_error (error);
  worker->wire = derush_wire_new (ends[0]);
  g_subprocess_launcher_close (launcher);
  ready = receive (worker);
  g_assert_cmpstr (derush_json_get_string (ready, "type", NULL), ==, "ready");
  g_assert_cmpint (derush_json_get_int (ready, "version", 0), ==, DERUSH_STEP_VERSION);
}

static void
worker_stop (Worker *worker, gconstpointer data)
{
  g_clear_pointer (&worker->wire, derush_wire_free);
  g_subprocess_wait (worker->process, NULL, NULL);
  g_clear_object (&worker->process);
}

static void
send_text (Worker *worker, const char *text, const int *fds, guint n_fds)
{
  g_autoptr (JsonObject) message = derush_json_parse_object (text, -1, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (message);
  derush_wire_send (worker->wire, message, fds, n_fds, &error);
  g_assert_no_error (error);
}

static JsonObject *
receive_type (Worker *worker, const char *type)
{
  for (;;) {
    JsonObject *message = receive (worker);

    if (!message || strcmp (derush_json_get_string (message, "type", ""), type) == 0)
      return message;
    json_object_unref (message);
  }
}

static void
test_result (Worker *worker, gconstpointer data)
{
  g_autoptr (JsonObject) answer = NULL;

  send_text (worker, "{\"type\":\"run\",\"id\":7,\"action\":\"ok\",\"directory\":\"/tmp\",\"parameters\":{}}", NULL, 0);
  answer = receive (worker);
  g_assert_cmpstr (derush_json_get_string (answer, "type", NULL), ==, "result");
  g_assert_cmpint (derush_json_get_int (answer, "id", 0), ==, 7);
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (answer, "result"), "action", NULL), ==, "ok");
}

static void
test_descriptor (Worker *worker, gconstpointer data)
{
  g_autofree char *path = NULL;
  g_autoptr (JsonObject) first = NULL, second = NULL;
  const char *run = "{\"type\":\"run\",\"id\":1,\"action\":\"read\",\"directory\":\"/tmp\",\"parameters\":{},"
                    "\"inputs\":[{\"name\":\"source\",\"display\":\"a film\"}]}";
  int fd = g_file_open_tmp (NULL, &path, NULL);

  g_assert_cmpint (write (fd, "hello", 5), ==, 5);
  send_text (worker, run, &fd, 1);
  first = receive (worker);
  send_text (worker, run, &fd, 1);
  second = receive (worker);
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (first, "result"), "text", NULL), ==, "hello");
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (second, "result"), "text", NULL), ==, "hello");
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (first, "result"), "display", NULL), ==, "a film");
  close (fd);
  unlink (path);
}

static void
test_ping_while_busy (Worker *worker, gconstpointer data)
{
  g_autoptr (JsonObject) answer = NULL;

  send_text (worker, "{\"type\":\"run\",\"id\":1,\"action\":\"hang\",\"directory\":\"/tmp\"}", NULL, 0);
  send_text (worker, "{\"type\":\"ping\",\"id\":5}", NULL, 0);
  answer = receive (worker);
  g_assert_cmpstr (derush_json_get_string (answer, "type", NULL), ==, "pong");
  g_assert_cmpint (derush_json_get_int (answer, "id", 0), ==, 5);
}

static void
test_cancel (Worker *worker, gconstpointer data)
{
  g_autoptr (JsonObject) answer = NULL;

  send_text (worker,
             "{\"type\":\"run\",\"id\":1,\"action\":\"slow\",\"directory\":\"/tmp\",\"parameters\":{\"seconds\":600}}",
             NULL, 0);
  json_object_unref (receive_type (worker, "progress"));
  send_text (worker, "{\"type\":\"cancel\",\"id\":1}", NULL, 0);
  answer = receive_type (worker, "error");
  g_assert_cmpstr (derush_json_get_string (answer, "class", NULL), ==, "cancelled");
  unlink ("/tmp/out.txt");
}

static void
test_failure (Worker *worker, gconstpointer data)
{
  g_autoptr (JsonObject) answer = NULL;

  send_text (worker,
             "{\"type\":\"run\",\"id\":1,\"action\":\"fail\",\"directory\":\"/nowhere\",\"parameters\":{\"class\":"
             "\"bad-input\"}}",
             NULL, 0);
  answer = receive (worker);
  g_assert_cmpstr (derush_json_get_string (answer, "type", NULL), ==, "error");
  g_assert_cmpstr (derush_json_get_string (answer, "class", NULL), ==, "bad-input");
  g_assert_cmpstr (derush_json_get_string (answer, "message", NULL), ==, "It went wrong on purpose");
  g_assert_cmpstr (derush_json_get_string (answer, "debug", NULL), ==, "element0: 42");
}

static void
test_huge_result (Worker *worker, gconstpointer data)
{
  g_autoptr (JsonObject) answer = NULL;

  send_text (worker, "{\"type\":\"run\",\"id\":1,\"action\":\"huge-result\",\"directory\":\"/tmp\"}", NULL, 0);
  answer = receive (worker);
  g_assert_cmpstr (derush_json_get_string (answer, "type", NULL), ==, "error");
  g_assert_cmpstr (derush_json_get_string (answer, "class", NULL), ==, "internal");
}

static void
test_quit (Worker *worker, gconstpointer data)
{
  send_text (
      worker,
      "{\"type\":\"run\",\"id\":1,\"action\":\"silent\",\"directory\":\"/tmp\",\"parameters\":{\"seconds\":600}}", NULL,
      0);
  send_text (worker, "{\"type\":\"quit\"}", NULL, 0);
  g_subprocess_wait (worker->process, NULL, NULL);
  g_assert_cmpint (g_subprocess_get_exit_status (worker->process), ==, 0);
}

static void
test_closed (Worker *worker, gconstpointer data)
{
  send_text (worker, "{\"type\":\"run\",\"id\":1,\"action\":\"hang\",\"directory\":\"/tmp\"}", NULL, 0);
  shutdown (worker->wire->fd, SHUT_RDWR);
  g_subprocess_wait (worker->process, NULL, NULL);
  g_assert_true (g_subprocess_get_if_exited (worker->process));
}

static void
test_hostile (Worker *worker, gconstpointer data)
{
  const char *text = data;

  if (*text) {
    g_assert_cmpint (send (worker->wire->fd, text, strlen (text), MSG_NOSIGNAL), >, 0);
  } else {
    g_autofree char *junk = g_strnfill (DERUSH_STEP_LINE_MAX * 2, '{');
    gsize sent = 0;
    gssize part;

    while (sent < DERUSH_STEP_LINE_MAX * 2 &&
           (part = send (worker->wire->fd, junk, DERUSH_STEP_LINE_MAX * 2 - sent, MSG_NOSIGNAL)) > 0)
      sent += part;
  }
  g_subprocess_wait (worker->process, NULL, NULL);
  g_assert_true (g_subprocess_get_if_exited (worker->process));
  g_assert_cmpint (g_subprocess_get_exit_status (worker->process), ==, 1);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name, *text;
  } hostile[] = {
      {"no-json", "hello\n"},
      {"no-object", "[]\n"},
      {"unknown-type", "{\"type\":\"explode\"}\n"},
      {"not-utf8", "{\"type\":\"\xff\"}\n"},
      {"missing-descriptor",
       "{\"type\":\"run\",\"id\":1,\"action\":\"read\",\"directory\":\"/tmp\",\"inputs\":[{}]}\n"},
      {"relative-folder", "{\"type\":\"run\",\"id\":1,\"action\":\"ok\",\"directory\":\"tmp\"}\n"},
      {"two-at-once", "{\"type\":\"run\",\"id\":1,\"action\":\"silent\",\"directory\":\"/tmp\"}\n"
                      "{\"type\":\"run\",\"id\":2,\"action\":\"ok\",\"directory\":\"/tmp\"}\n"},
      {"endless", ""},
  };

  g_test_init (&argc, &argv, NULL);
#define ADD(path, test) g_test_add ("/steps/server/" path, Worker, NULL, worker_start, test, worker_stop)
  ADD ("a-request-is-answered-by-its-result", test_result);
  ADD ("an-input-arrives-open-and-rewound", test_descriptor);
  ADD ("a-ping-is-answered-while-a-handler-blocks", test_ping_while_busy);
  ADD ("a-cancelled-handler-ends-with-class-cancelled", test_cancel);
  ADD ("a-failure-keeps-class-message-and-debug", test_failure);
  ADD ("a-result-beyond-a-line-is-an-error", test_huge_result);
  ADD ("quit-ends-with-status-0", test_quit);
  ADD ("a-closed-socket-ends-a-hanging-worker", test_closed);
  for (guint i = 0; i < G_N_ELEMENTS (hostile); i++) {
    g_autofree char *path = g_strconcat ("/steps/server/a-hostile-line-ends-the-worker/", hostile[i].name, NULL);

    g_test_add (path, Worker, hostile[i].text, worker_start, test_hostile, worker_stop);
  }
  return g_test_run ();
}
