/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Engines in processes: as many at once as there are processors, the others wait; who hangs up ends his. */

#include "server-private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>

#define MAX_WAITING 64
#define MAX_SECONDS 7200
#define RETRY_AFTER "5"

struct _LocalQueue {
  char *program;
  guint parallel;
  GQueue waiting; /* of LocalJob */
  GQueue running;
};

typedef struct _LocalJob {
  LocalQueue *queue;
  LocalCall *call; /* NULL: nobody waits for it any more */
  GBytes *input;
  GSubprocess *process;
  guint timer;
  guint watch; /* of the client's connection */
} LocalJob;

static void start_next (LocalQueue *queue);

static void
job_free (LocalJob *job)
{
  g_clear_handle_id (&job->timer, g_source_remove);
  g_clear_handle_id (&job->watch, g_source_remove);
  g_clear_pointer (&job->input, g_bytes_unref);
  g_clear_object (&job->process);
  g_free (job);
}

/* With the programs that it has started itself. */
static void
kill_process (LocalJob *job)
{
  const char *pid = job->process ? g_subprocess_get_identifier (job->process) : NULL;

  if (!pid)
    return;
  kill (-(pid_t)g_ascii_strtoll (pid, NULL, 10), SIGKILL);
  g_subprocess_force_exit (job->process);
}

static void
leave_call (LocalJob *job)
{
  g_clear_handle_id (&job->watch, g_source_remove);
  if (job->call)
    job->call->job = NULL;
  job->call = NULL;
}

void
local_call_abandon (LocalCall *call)
{
  LocalJob *job = call->job;

  if (!job)
    return;
  leave_call (job);
  if (job->process) {
    kill_process (job);
  } else {
    g_queue_remove (&job->queue->waiting, job);
    job_free (job);
  }
}

static gboolean
on_client (int fd, GIOCondition condition, gpointer user_data)
{
  LocalJob *job = user_data;
  LocalCall *call = job->call;
  char byte;
  gssize n = recv (fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  job->watch = 0;
  /* What follows on the same connection waits for its turn. */
  if (n > 0)
    return G_SOURCE_REMOVE;
  local_call_abandon (call);
  /* A message that is paused is not watched by libsoup: its connection is closed when it has been answered. */
  local_call_refuse (call, SOUP_STATUS_SERVICE_UNAVAILABLE, "cancelled", NULL, _ ("Nobody waits for the answer"));
  return G_SOURCE_REMOVE;
}

static gboolean
on_too_long (gpointer user_data)
{
  LocalJob *job = user_data;

  job->timer = 0;
  kill_process (job);
  return G_SOURCE_REMOVE;
}

static void
hand_over (LocalCall *call, GBytes *said)
{
  gsize length;
  const char *data = g_bytes_get_data (said, &length), *end = length > 0 ? memchr (data, '\n', length) : NULL;
  g_autoptr (JsonObject) answer = end ? derush_json_parse_object (data, end - data, NULL) : NULL;
  JsonObject *result = answer ? derush_json_get_object (answer, "result") : NULL;
  JsonObject *fault = answer ? derush_json_get_object (answer, "error") : NULL;
  g_autoptr (GBytes) output = NULL;

  if (result) {
    output = g_bytes_new_from_bytes (said, (gsize)(end + 1 - data), length - (gsize)(end + 1 - data));
    call->answer (call, result, output);
  } else if (fault) {
    g_autoptr (GError) error = NULL;
    DerushErrorClass error_class = DERUSH_ERROR_INTERNAL;

    derush_error_class_from_string (derush_json_get_string (fault, "class", ""), &error_class);
    local_set_error (&error, error_class, derush_json_get_string (fault, "code", NULL),
                     derush_json_get_string (fault, "param", NULL), "%s",
                     derush_json_get_string (fault, "message", ""));
    local_call_fail (call, error);
  } else {
    local_call_refuse (call, SOUP_STATUS_INTERNAL_SERVER_ERROR, "engine_crashed", NULL,
                       _ ("The engine ended without an answer"));
  }
}

static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LocalJob *job = user_data;
  LocalQueue *queue = job->queue;
  LocalCall *call = job->call;
  g_autoptr (GBytes) said = NULL;
  g_autoptr (GError) error = NULL;
  gboolean done = g_subprocess_communicate_finish (G_SUBPROCESS (source), result, &said, NULL, &error) && said;

  leave_call (job);
  if (call && done)
    hand_over (call, said);
  else if (call)
    local_call_refuse (call, SOUP_STATUS_INTERNAL_SERVER_ERROR, "engine_crashed", NULL,
                       _ ("The engine ended without an answer"));
  if (queue) {
    g_queue_remove (&queue->running, job);
    start_next (queue);
  }
  job_free (job);
}

/* Between fork and exec. */
static void
set_up_child (gpointer user_data)
{
  setpgid (0, 0);
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

static void
start (LocalJob *job)
{
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  g_autoptr (GError) error = NULL;
  LocalCall *call = job->call;

  g_subprocess_launcher_unsetenv (launcher, "DERUSH_MODELS_TOKEN");
  g_subprocess_launcher_set_child_setup (launcher, set_up_child, NULL, NULL);
  job->process = g_subprocess_launcher_spawn (launcher, &error, job->queue->program, "--engine", NULL);
  if (!job->process) {
    leave_call (job);
    g_queue_remove (&job->queue->running, job);
    job_free (job);
    local_call_refuse (call, SOUP_STATUS_SERVICE_UNAVAILABLE, "resource", NULL, error->message);
    return;
  }
  job->timer = g_timeout_add_seconds (MAX_SECONDS, on_too_long, job);
  g_subprocess_communicate_async (job->process, job->input, NULL, on_ended, job);
  g_clear_pointer (&job->input, g_bytes_unref);
}

static void
start_next (LocalQueue *queue)
{
  while (queue->running.length < queue->parallel && queue->waiting.length > 0) {
    LocalJob *job = g_queue_pop_head (&queue->waiting);

    g_queue_push_tail (&queue->running, job);
    start (job);
  }
}

void
local_call_run (LocalCall *call, const char *engine, JsonObject *request, GBytes *input, LocalAnswer answer)
{
  LocalQueue *queue = local_call_get_queue (call);
  g_autoptr (JsonObject) asked = json_object_new ();
  g_autofree char *line = NULL;
  GByteArray *all;
  GSocket *socket;
  LocalJob *job;

  call->answer = answer;
  call->request = json_object_ref (request);
  json_object_set_string_member (asked, "engine", engine);
  json_object_set_object_member (asked, "request", request);
  if (queue->waiting.length >= MAX_WAITING) {
    soup_message_headers_replace (soup_server_message_get_response_headers (call->message), "Retry-After", RETRY_AFTER);
    local_call_refuse (call, SOUP_STATUS_SERVICE_UNAVAILABLE, "overloaded", NULL,
                       _ ("Too many requests wait for the local engines"));
    return;
  }
  line = derush_json_object_to_string (asked);
  all = g_byte_array_new ();
  g_byte_array_append (all, (const guint8 *)line, (guint)strlen (line));
  g_byte_array_append (all, (const guint8 *)"\n", 1);
  if (input)
    g_byte_array_append (all, g_bytes_get_data (input, NULL), (guint)g_bytes_get_size (input));
  job = call->job = g_new0 (LocalJob, 1);
  job->queue = queue;
  job->call = call;
  job->input = g_byte_array_free_to_bytes (all);
  socket = soup_server_message_get_socket (call->message);
  if (socket)
    job->watch = g_unix_fd_add (g_socket_get_fd (socket), G_IO_IN | G_IO_HUP | G_IO_ERR, on_client, job);
  g_queue_push_tail (&queue->waiting, job);
  start_next (queue);
}

LocalQueue *
local_queue_new (const char *program)
{
  LocalQueue *queue = g_new0 (LocalQueue, 1);

  queue->program = g_strdup (program);
  queue->parallel = MAX (g_get_num_processors (), 1);
  g_queue_init (&queue->waiting);
  g_queue_init (&queue->running);
  return queue;
}

/* What still runs is killed; its job goes when the main context sees its end, if it does. */
void
local_queue_free (LocalQueue *queue)
{
  LocalJob *job;

  while ((job = g_queue_pop_head (&queue->waiting))) {
    leave_call (job);
    job_free (job);
  }
  while ((job = g_queue_pop_head (&queue->running))) {
    leave_call (job);
    job->queue = NULL;
    kill_process (job);
  }
  g_free (queue->program);
  g_free (queue);
}

void
local_queue_count (LocalQueue *queue, guint *running, guint *waiting)
{
  *running = queue->running.length;
  *waiting = queue->waiting.length;
}
