/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/wire-private.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>

/* How long a cancelled handler gets to clean up when the runner is gone or asks the worker to quit, in ms. */
#define QUIT_GRACE 2000
/* Progress more often than this many ms is not sent. */
#define PROGRESS_INTERVAL 100

typedef struct {
  DerushWire *wire;
  DerushStepHandler handler;
  gpointer user_data;
  GMainLoop *loop;
  DerushStepRequest *current;
  gboolean quitting;
  guint grace; /* source */
  int status;
} Server;

struct _DerushStepRequest {
  Server *server;
  gint64 id;
  char *action;
  JsonObject *parameters;
  JsonObject *results;
  char *directory;
  char *job_id;
  gboolean released;
  GPtrArray *inputs; /* of DerushStepInput */
  GCancellable *cancellable;
  GThread *thread;

  GMutex lock;
  double progress;
  gint64 progress_time;
  char *debug;

  /* what the handler answered */
  JsonObject *result;
  GError *error;
};

static void
input_free (DerushStepInput *input)
{
  g_free (input->name);
  g_free (input->display);
  if (input->fd >= 0)
    close (input->fd);
  g_free (input);
}

static void
request_free (DerushStepRequest *request)
{
  g_free (request->action);
  g_clear_pointer (&request->parameters, json_object_unref);
  g_clear_pointer (&request->results, json_object_unref);
  g_free (request->directory);
  g_free (request->job_id);
  g_clear_pointer (&request->inputs, g_ptr_array_unref);
  g_clear_object (&request->cancellable);
  g_mutex_clear (&request->lock);
  g_free (request->debug);
  g_clear_pointer (&request->result, json_object_unref);
  g_clear_error (&request->error);
  g_free (request);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushStepRequest, request_free)

static JsonObject *
message_new (const char *type)
{
  JsonObject *message = json_object_new ();

  json_object_set_string_member (message, "type", type);
  return message;
}

/* Nobody is left to wait for a handler that does not heed its cancellable. */
static gboolean
on_grace_over (gpointer user_data)
{
  Server *server = user_data;

  _exit (server->status ? server->status : 1);
}

static void
quit (Server *server, int status)
{
  if (server->quitting)
    return;
  server->quitting = TRUE;
  server->status = status;
  if (server->current) {
    g_cancellable_cancel (server->current->cancellable);
    server->grace = g_timeout_add (QUIT_GRACE, on_grace_over, server);
  } else {
    g_main_loop_quit (server->loop);
  }
}

static void
send_message (Server *server, JsonObject *message)
{
  g_autoptr (GError) error = NULL;

  /* A runner that is gone shows as a closed socket in the main loop. */
  if (!derush_wire_send (server->wire, message, NULL, 0, &error))
    g_debug ("%s", error->message);
}

static JsonObject *
answer_of (DerushStepRequest *request)
{
  JsonObject *message;

  if (request->result) {
    message = message_new ("result");
    json_object_set_int_member (message, "id", request->id);
    json_object_set_object_member (message, "result", json_object_ref (request->result));
    return message;
  }
  message = message_new ("error");
  json_object_set_int_member (message, "id", request->id);
  json_object_set_string_member (message, "class",
                                 derush_error_class_to_string (derush_error_get_class (request->error)));
  json_object_set_string_member (message, "message", request->error->message);
  if (!derush_error_can_retry (request->error))
    json_object_set_boolean_member (message, "final", TRUE);
  else if (derush_error_get_retry_at (request->error) > 0)
    json_object_set_double_member (message, "retryAt", derush_error_get_retry_at (request->error) / 1000.0);
  if (request->debug)
    json_object_set_string_member (message, "debug", request->debug);
  return message;
}

static gboolean
on_handler_ended (gpointer user_data)
{
  g_autoptr (DerushStepRequest) request = user_data;
  g_autoptr (JsonObject) message = NULL;
  g_autoptr (GError) error = NULL;
  Server *server = request->server;

  g_thread_join (request->thread);
  server->current = NULL;
  message = answer_of (request);
  if (!derush_wire_send (server->wire, message, NULL, 0, &error) && request->result) {
    /* A result beyond the length of a line; if the runner is gone this fails as well, and does no harm. */
    g_clear_pointer (&request->result, json_object_unref);
    request->error = g_steal_pointer (&error);
    json_object_unref (message);
    message = answer_of (request);
    send_message (server, message);
  }
  if (server->quitting)
    g_main_loop_quit (server->loop);
  return G_SOURCE_REMOVE;
}

static gpointer
handle (gpointer user_data)
{
  DerushStepRequest *request = user_data;

  request->result = request->server->handler (request, request->server->user_data, &request->error);
  if (!request->result && !request->error)
    g_set_error (&request->error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
                 _ ("The worker ended “%s” without a result; please report this"), request->action);
  g_idle_add_full (G_PRIORITY_DEFAULT, on_handler_ended, request, NULL);
  return NULL;
}

static gboolean
take_inputs (Server *server, DerushStepRequest *request, JsonArray *inputs)
{
  for (guint i = 0; inputs && i < json_array_get_length (inputs); i++) {
    JsonNode *node = json_array_get_element (inputs, i);
    JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    const char *name = derush_json_get_string (object, "name", NULL);
    DerushStepInput *input;
    int fd = derush_wire_take_fd (server->wire);

    if (fd < 0)
      return FALSE;
    input = g_new0 (DerushStepInput, 1);
    input->fd = fd;
    input->name = g_strdup (name ? name : "");
    input->display = g_strdup (derush_json_get_string (object, "display", input->name));
    g_ptr_array_add (request->inputs, input);
    if (!name || lseek (fd, 0, SEEK_SET) != 0)
      return FALSE;
  }
  return TRUE;
}

static JsonObject *
object_or_empty (JsonObject *message, const char *name)
{
  JsonObject *object = derush_json_get_object (message, name);

  return object ? json_object_ref (object) : json_object_new ();
}

static gboolean
start_request (Server *server, JsonObject *message)
{
  g_autoptr (DerushStepRequest) request = g_new0 (DerushStepRequest, 1);
  const char *action = derush_json_get_string (message, "action", NULL);
  const char *directory = derush_json_get_string (message, "directory", NULL);

  g_mutex_init (&request->lock);
  request->server = server;
  request->progress = -1;
  request->id = derush_json_get_int (message, "id", -1);
  request->inputs = g_ptr_array_new_with_free_func ((GDestroyNotify)input_free);
  request->cancellable = g_cancellable_new ();
  if (!take_inputs (server, request, derush_json_get_array (message, "inputs")))
    return FALSE;
  if (server->current || request->id < 0 || !action || !directory || !g_path_is_absolute (directory))
    return FALSE;
  request->action = g_strdup (action);
  request->directory = g_strdup (directory);
  request->job_id = g_strdup (derush_json_get_string (message, "job", ""));
  request->released = derush_json_get_boolean (message, "released", FALSE);
  request->parameters = object_or_empty (message, "parameters");
  request->results = object_or_empty (message, "results");
  server->current = request;
  request->thread = g_thread_new ("step", handle, request);
  g_steal_pointer (&request);
  return TRUE;
}

static gboolean
obey (Server *server, JsonObject *message)
{
  const char *type = derush_json_get_string (message, "type", "");

  if (strcmp (type, "run") == 0)
    return server->quitting || start_request (server, message);
  if (strcmp (type, "cancel") == 0) {
    if (server->current && server->current->id == derush_json_get_int (message, "id", -1))
      g_cancellable_cancel (server->current->cancellable);
    return TRUE;
  }
  if (strcmp (type, "ping") == 0) {
    g_autoptr (JsonObject) pong = message_new ("pong");

    json_object_set_int_member (pong, "id", derush_json_get_int (message, "id", 0));
    send_message (server, pong);
    return TRUE;
  }
  if (strcmp (type, "quit") == 0) {
    quit (server, 0);
    return TRUE;
  }
  return FALSE;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  Server *server = user_data;

  for (;;) {
    g_autoptr (JsonObject) message = NULL;
    g_autoptr (GError) error = NULL;

    switch (derush_wire_receive (server->wire, &message, &error)) {
    case DERUSH_WIRE_AGAIN:
      return G_SOURCE_CONTINUE;
    case DERUSH_WIRE_CLOSED:
      quit (server, 0);
      return G_SOURCE_REMOVE;
    case DERUSH_WIRE_BROKEN:
      fprintf (stderr, "%s\n", error->message);
      quit (server, 1);
      return G_SOURCE_REMOVE;
    case DERUSH_WIRE_LINE:
      if (!obey (server, message)) {
        fprintf (stderr, "The protocol between the runner and its worker was broken: a “%s” that must not come here\n",
                 derush_json_get_string (message, "type", "?"));
        quit (server, 1);
        return G_SOURCE_REMOVE;
      }
    }
  }
}

/**
 * derush_step_server_run:
 * @socket_fd: the worker's end of the socket pair, %DERUSH_STEP_SOCKET_FD in a process that a slot started; taken over
 * @containment: (nullable): what derush_contain_self() has said, for the runner
 * @handler: (scope call): does what is asked, in a thread of its own
 * @user_data: for @handler
 *
 * Serves requests on the default main context until the runner asks the worker to quit or closes the socket; then
 * cancels what is running. A handler that does not end soon after that ends the process, too.
 *
 * Returns: the exit status of the process: 0, or 1 after the protocol was broken
 */
int
derush_step_server_run (int socket_fd, JsonObject *containment, DerushStepHandler handler, gpointer user_data)
{
  g_autoptr (DerushWire) wire = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (JsonObject) ready = message_new ("ready");
  g_autoptr (GError) error = NULL;
  Server server = {.handler = handler, .user_data = user_data, .loop = loop};
  guint source;

  if (fcntl (socket_fd, F_SETFD, FD_CLOEXEC) != 0) {
    fprintf (stderr, "This program is started by derush or derushd and cannot be used alone: descriptor %d: %s\n",
             socket_fd, g_strerror (errno));
    return 2;
  }
  wire = derush_wire_new (socket_fd);
  server.wire = wire;
  signal (SIGPIPE, SIG_IGN);
  json_object_set_int_member (ready, "version", DERUSH_STEP_VERSION);
  if (containment)
    json_object_set_object_member (ready, "containment", json_object_ref (containment));
  if (!derush_wire_send (wire, ready, NULL, 0, &error)) {
    fprintf (stderr, "%s\n", error->message);
    return 1;
  }
  source = g_unix_fd_add (socket_fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, &server);
  g_main_loop_run (loop);
  if (g_main_context_find_source_by_id (NULL, source))
    g_source_remove (source);
  g_clear_handle_id (&server.grace, g_source_remove);
  return server.status;
}

/**
 * derush_step_request_get_action:
 * @request: a request
 *
 * Returns: (transfer none): what is to be done, such as `transcode`
 */
const char *
derush_step_request_get_action (DerushStepRequest *request)
{
  return request->action;
}

/**
 * derush_step_request_get_parameters:
 * @request: a request
 *
 * Returns: (transfer none): the parameters of the step
 */
JsonObject *
derush_step_request_get_parameters (DerushStepRequest *request)
{
  return request->parameters;
}

/**
 * derush_step_request_get_results:
 * @request: a request
 *
 * Returns: (transfer none): what the steps before have answered, by their names
 */
JsonObject *
derush_step_request_get_results (DerushStepRequest *request)
{
  return request->results;
}

/**
 * derush_step_request_get_directory:
 * @request: a request
 *
 * Returns: (transfer none): the one folder that the step may write to
 */
const char *
derush_step_request_get_directory (DerushStepRequest *request)
{
  return request->directory;
}

/**
 * derush_step_request_get_job_id:
 * @request: a request
 *
 * Returns: (transfer none): the job that the step belongs to, for whom costs are counted and logs are written; empty if
 *   the runner did not say
 */
const char *
derush_step_request_get_job_id (DerushStepRequest *request)
{
  return request->job_id;
}

/**
 * derush_step_request_is_released:
 * @request: a request
 *
 * Returns: whether somebody lets the job run before the time that an error of an earlier attempt named
 */
gboolean
derush_step_request_is_released (DerushStepRequest *request)
{
  return request->released;
}

/**
 * derush_step_request_get_input:
 * @request: a request
 * @name: an input's name, such as `source`
 *
 * Returns: (transfer none) (nullable): the input, or %NULL if the runner sent none of that name
 */
const DerushStepInput *
derush_step_request_get_input (DerushStepRequest *request, const char *name)
{
  for (guint i = 0; i < request->inputs->len; i++) {
    DerushStepInput *input = request->inputs->pdata[i];

    if (strcmp (input->name, name) == 0)
      return input;
  }
  return NULL;
}

/**
 * derush_step_request_get_cancellable:
 * @request: a request
 *
 * Returns: (transfer none): cancelled when the runner wants the step to stop
 */
GCancellable *
derush_step_request_get_cancellable (DerushStepRequest *request)
{
  return request->cancellable;
}

/**
 * derush_step_request_progress:
 * @request: a request
 * @progress: of this step, 0 to 1
 *
 * Tells the runner. May be called from any thread while the handler runs, as often as one likes; what is not above the
 * last value, or follows it too soon, is dropped.
 */
void
derush_step_request_progress (DerushStepRequest *request, double progress)
{
  g_autoptr (JsonObject) message = NULL;
  gint64 now = g_get_monotonic_time ();
  gboolean worth;

  if (isnan (progress))
    return;
  progress = CLAMP (progress, 0, 1);
  g_mutex_lock (&request->lock);
  worth = progress > request->progress && (progress == 1 || now >= request->progress_time + PROGRESS_INTERVAL * 1000);
  if (worth) {
    request->progress = progress;
    request->progress_time = now;
  }
  g_mutex_unlock (&request->lock);
  if (!worth)
    return;
  message = message_new ("progress");
  json_object_set_int_member (message, "id", request->id);
  json_object_set_double_member (message, "progress", progress);
  send_message (request->server, message);
}

/**
 * derush_step_request_warn:
 * @request: a request
 * @message: one line for people: what was ignored, changed or is missing
 */
void
derush_step_request_warn (DerushStepRequest *request, const char *message)
{
  g_autoptr (JsonObject) line = message_new ("warning");

  json_object_set_int_member (line, "id", request->id);
  json_object_set_string_member (line, "message", message);
  send_message (request->server, line);
}

/**
 * derush_step_request_set_debug:
 * @request: a request
 * @debug: (nullable): what the log is to say beside the error
 *
 * Users do not see it.
 */
void
derush_step_request_set_debug (DerushStepRequest *request, const char *debug)
{
  g_mutex_lock (&request->lock);
  g_free (request->debug);
  request->debug = g_strdup (debug);
  g_mutex_unlock (&request->lock);
}
