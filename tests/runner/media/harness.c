/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "harness.h"

#include "steps/wire-private.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib-unix.h>
#include <glib/gstdio.h>

struct _TestWorker {
  GPid pid;
  DerushWire *wire;
  gint64 last_id;
};

TestWorker *
test_worker_new (void)
{
  TestWorker *worker = g_new0 (TestWorker, 1);
  const char *argv[] = {g_getenv ("DERUSH_MEDIA_WORKER"), NULL};
  g_auto (GStrv) environment = g_environ_setenv (g_get_environ (), "DERUSH_WORKER_FOLDER", g_get_tmp_dir (), TRUE);
  g_autoptr (GError) error = NULL;
  int pair[2], target = DERUSH_STEP_SOCKET_FD;

  /* It contains itself, as below a slot, whose folder is here that of all tests. */
  g_assert_nonnull (argv[0]);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  g_spawn_async_with_pipes_and_fds (NULL, argv, (const char *const *)environment, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                    -1, -1, -1, &pair[1], &target, 1, &worker->pid, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  close (pair[1]);
  g_assert_true (g_unix_set_fd_nonblocking (pair[0], TRUE, NULL));
  worker->wire = derush_wire_new (pair[0]);
  return worker;
}

void
test_worker_free (TestWorker *worker)
{
  derush_wire_free (worker->wire);
  kill (worker->pid, SIGKILL);
  waitpid (worker->pid, NULL, 0);
  g_free (worker);
}

int
test_worker_get_peak (TestWorker *worker)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/status", worker->pid);
  g_autofree char *status = NULL;
  const char *line;

  g_assert_true (g_file_get_contents (path, &status, NULL, NULL));
  line = strstr (status, "VmHWM:");
  g_assert_nonnull (line);
  return (int)(g_ascii_strtoll (line + strlen ("VmHWM:"), NULL, 10) / 1024);
}

void
test_answer_free (TestAnswer *answer)
{
  g_clear_pointer (&answer->result, json_object_unref);
  g_free (answer->error_class);
  g_free (answer->message);
  g_string_free (answer->warnings, TRUE);
  g_free (answer);
}

static JsonObject *
parse_or_empty (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonObject *object = derush_json_parse_object (text ? text : "{}", -1, &error);

  g_assert_no_error (error);
  return object;
}

/* Returns: %FALSE when the answer is complete, one way or the other */
static gboolean
take_message (TestAnswer *answer, JsonObject *message, double *last)
{
  const char *type = derush_json_get_string (message, "type", "");
  double progress = derush_json_get_number (message, "progress", 0);

  if (strcmp (type, "progress") == 0) {
    answer->progress += progress != *last;
    answer->falling |= progress < *last;
    *last = progress;
  } else if (strcmp (type, "warning") == 0) {
    g_string_append_printf (answer->warnings, "%s\n", derush_json_get_string (message, "message", ""));
  } else if (strcmp (type, "result") == 0) {
    answer->result = json_object_ref (derush_json_get_object (message, "result"));
    return FALSE;
  } else if (strcmp (type, "error") == 0) {
    answer->error_class = g_strdup (derush_json_get_string (message, "class", ""));
    answer->message = g_strdup (derush_json_get_string (message, "message", ""));
    return FALSE;
  }
  return TRUE;
}

static void
send_cancel (TestWorker *worker)
{
  g_autoptr (JsonObject) message = json_object_new ();

  json_object_set_string_member (message, "type", "cancel");
  json_object_set_int_member (message, "id", worker->last_id);
  derush_wire_send (worker->wire, message, NULL, 0, NULL);
}

static void
wait_for_answer (TestWorker *worker, TestAnswer *answer, guint cancel_after, guint timeout)
{
  gint64 deadline = g_get_monotonic_time () + timeout * G_TIME_SPAN_SECOND;
  double last = 0;

  for (;;) {
    g_autoptr (JsonObject) message = NULL;
    DerushWireStatus status = derush_wire_receive (worker->wire, &message, NULL);

    if (status == DERUSH_WIRE_LINE) {
      if (!take_message (answer, message, &last))
        return;
      if (cancel_after > 0 && answer->progress >= cancel_after) {
        send_cancel (worker);
        cancel_after = 0;
      }
    } else if (status == DERUSH_WIRE_AGAIN) {
      GPollFD poll_fd = {worker->wire->fd, G_IO_IN, 0};

      if (g_get_monotonic_time () > deadline) {
        answer->hung = TRUE;
        return;
      }
      g_poll (&poll_fd, 1, 100);
    } else {
      answer->died = TRUE;
      return;
    }
  }
}

TestAnswer *
test_worker_run (TestWorker *worker, const char *action, const char *parameters, const char *results,
                 const char *source, const char *directory, guint cancel_after, guint timeout)
{
  TestAnswer *answer = g_new0 (TestAnswer, 1);
  g_autoptr (JsonObject) message = json_object_new ();
  JsonArray *inputs = json_array_new ();
  int fd = source ? g_open (source, O_RDONLY | O_CLOEXEC, 0) : -1;

  answer->warnings = g_string_new (NULL);
  json_object_set_string_member (message, "type", "run");
  json_object_set_int_member (message, "id", ++worker->last_id);
  json_object_set_string_member (message, "action", action);
  json_object_set_object_member (message, "parameters", parse_or_empty (parameters));
  json_object_set_object_member (message, "results", parse_or_empty (results));
  json_object_set_string_member (message, "directory", directory);
  json_object_set_array_member (message, "inputs", inputs);
  if (source) {
    JsonObject *input = json_object_new ();

    g_assert_cmpint (fd, >=, 0);
    json_object_set_string_member (input, "name", "source");
    json_object_set_string_member (input, "display", source);
    json_array_add_object_element (inputs, input);
  }
  if (!derush_wire_send (worker->wire, message, &fd, source ? 1 : 0, NULL))
    answer->died = TRUE;
  if (fd >= 0)
    close (fd);
  if (!answer->died)
    wait_for_answer (worker, answer, cancel_after, timeout);
  return answer;
}

char *
test_worker_probe (TestWorker *worker, const char *source, const char *directory)
{
  g_autoptr (TestAnswer) answer = test_worker_run (worker, "probe", NULL, NULL, source, directory, 0, 30);
  g_autofree char *text = NULL;

  g_assert_cmpstr (answer->message, ==, NULL);
  g_assert_nonnull (answer->result);
  text = derush_json_object_to_string (answer->result);
  return g_strdup_printf ("{\"probe\":%s}", text);
}

char *
test_directory_new (void)
{
  g_autoptr (GError) error = NULL;
  char *directory = g_dir_make_tmp ("derush-media-XXXXXX", &error);

  g_assert_no_error (error);
  return directory;
}

void
test_directory_free (char *directory)
{
  derush_directory_remove (directory, NULL);
  g_free (directory);
}

char *
test_shell (const char *directory, const char *format, ...)
{
  g_autofree char *command = NULL;
  g_autoptr (GError) error = NULL;
  const char *argv[] = {"sh", "-c", NULL, NULL};
  char *output = NULL;
  int status;
  va_list arguments;

  va_start (arguments, format);
  command = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  argv[2] = command;
  g_spawn_sync (directory, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, NULL, &status, &error);
  g_assert_no_error (error);
  if (!g_spawn_check_wait_status (status, &error))
    g_error ("%s: %s", command, error->message);
  return output;
}
