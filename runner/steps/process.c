/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/cgroup-private.h"
#include "steps/contain-private.h"
#include "steps/containment-private.h"
#include "steps/environment-private.h"
#include "steps/process-private.h"
#include "steps/wire-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>

/* A worker may have to look through every plugin of the machine first. */
#define START_TIMEOUT (60 * G_USEC_PER_SEC)
/* How long a cancelled worker gets to stop its pipeline. */
#define CANCEL_GRACE (900 * 1000)
#define QUIT_GRACE (1000 * 1000)
#define TICK_MS 200
#define PING_INTERVAL (2 * G_USEC_PER_SEC)
#define IDLE_PING_INTERVAL (10 * G_USEC_PER_SEC)
#define SEND_TIMEOUT_S 5
#define KEPT_LINES 30
#define KEPT_LINE_LENGTH 400

struct _DerushProcess {
  DerushWorkerKind kind;
  GPid pid;
  DerushCgroup *cgroup; /* or %NULL */
  gint64 memory_limit;
  DerushWire *wire;
  int output; /* what it writes to stdout and stderr */
  GString *line;
  GQueue lines;                    /* the last ones, of char * */
  const DerushProcessWatch *watch; /* of the request that runs */
  gint64 started;
  gint64 next_id;
  gint64 idle_ping;      /* when one was sent that has not been answered, or 0 */
  gint64 idle_ping_next; /* when the next one is due */
  gboolean reaped;
  int status;
  gboolean closed;       /* the socket */
  gboolean output_ended; /* it closed its stderr; nothing more to poll there */
  char *refused;         /* the last system call that it was refused during the request */
};

/* ── Starting ───────────────────────────────────────────────────────────── */

typedef struct {
  DerushWorkerKind kind;
  pid_t parent;
} Child;

/* Between fork and exec: only calls that are safe there. */
static void
prepare_child (gpointer user_data)
{
  const Child *child = user_data;
  struct rlimit none = {0, 0};

  setpgid (0, 0);
  setrlimit (RLIMIT_CORE, &none);
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  /* The media worker sees to this itself, and reports it. */
  if (child->kind == DERUSH_WORKER_MODEL)
    prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (getppid () != child->parent)
    _exit (126);
}

static DerushProcess *
spawn (DerushWorkerKind kind, DerushConfig *config, const char *home, const char *const *more, GError **error)
{
  g_autofree char *path = derush_worker_program (kind);
  g_auto (GStrv) environment = derush_worker_environment (kind, config, home, more);
  Child child = {.kind = kind, .parent = getpid ()};
  const char *argv[] = {path, NULL};
  const int target = DERUSH_STEP_SOCKET_FD;
  struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
  g_autoptr (GError) local = NULL;
  DerushProcess *process;
  int ends[2], output[2];
  gboolean spawned;
  GPid pid;

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s cannot be started: %s"),
                 derush_worker_title (kind), g_strerror (errno));
    return NULL;
  }
  if (!g_unix_open_pipe (output, FD_CLOEXEC, &local)) {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s cannot be started: %s"),
                 derush_worker_title (kind), local->message);
    close (ends[0]);
    close (ends[1]);
    return NULL;
  }
  spawned = g_spawn_async_with_pipes_and_fds (home, argv, (const char *const *)environment, G_SPAWN_DO_NOT_REAP_CHILD,
                                              prepare_child, &child, -1, output[1], output[1], &ends[1], &target, 1,
                                              &pid, NULL, NULL, NULL, &local);
  close (ends[1]);
  close (output[1]);
  if (!spawned) {
    close (ends[0]);
    close (output[0]);
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
                 _ ("%s cannot be started: %s; is Derush installed completely? %s"), derush_worker_title (kind), path,
                 local->message);
    return NULL;
  }
  setsockopt (ends[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  g_unix_set_fd_nonblocking (output[0], TRUE, NULL);
  process = g_new0 (DerushProcess, 1);
  process->kind = kind;
  process->pid = pid;
  process->wire = derush_wire_new (ends[0]);
  process->output = output[0];
  process->line = g_string_new (NULL);
  g_queue_init (&process->lines);
  process->started = g_get_monotonic_time ();
  process->next_id = 1;
  return process;
}

/* ── Its output, its end ────────────────────────────────────────────────── */

static JsonObject *
log_fields (DerushProcess *process)
{
  const DerushProcessWatch *watch = process->watch;
  JsonObject *fields = json_object_new ();

  json_object_set_int_member (fields, "workerPid", process->pid);
  if (!watch)
    return fields;
  json_object_set_string_member (fields, "jobId", watch->job_id);
  json_object_set_string_member (fields, "step", watch->step);
  json_object_set_int_member (fields, "attempt", watch->attempt);
  if (watch->queue)
    json_object_set_string_member (fields, "queue", watch->queue);
  if (watch->job_type)
    json_object_set_string_member (fields, "jobType", watch->job_type);
  if (watch->workflow_id)
    json_object_set_string_member (fields, "workflowId", watch->workflow_id);
  if (watch->correlation_id)
    json_object_set_string_member (fields, "correlationId", watch->correlation_id);
  return fields;
}

/* The line may be the work of a hostile film: only what can be a name is taken from it. */
static void
note_refusal (DerushProcess *process, const char *line)
{
  const char *name = line + strlen (DERUSH_REFUSED_PREFIX);
  gsize length = strspn (name, "abcdefghijklmnopqrstuvwxyz0123456789_");

  if (length == 0 || length > 40 || name[length] != '\0')
    return;
  g_free (process->refused);
  process->refused = g_strdup (name);
  derush_log (DERUSH_LOG_WARN, log_fields (process), "The worker tried the system call %s, which is refused", name);
}

static void
keep_line (DerushProcess *process)
{
  g_autofree char *text = g_utf8_make_valid (process->line->str, process->line->len);

  g_string_truncate (process->line, 0);
  if (*text == '\0')
    return;
  if (g_str_has_prefix (text, DERUSH_REFUSED_PREFIX))
    note_refusal (process, text);
  derush_log (DERUSH_LOG_DEBUG, log_fields (process), "%s", text);
  g_queue_push_tail (&process->lines, g_steal_pointer (&text));
  if (process->lines.length > KEPT_LINES)
    g_free (g_queue_pop_head (&process->lines));
}

/* At most some chunks at a time, so that a worker that floods its stderr cannot keep the runner from its other duties. */
static void
read_output (DerushProcess *process)
{
  char chunk[8192];

  for (int round = 0; round < 16; round++) {
    gssize length = read (process->output, chunk, sizeof chunk);

    process->output_ended |= length == 0;
    if (length <= 0)
      return;
    for (gssize i = 0; i < length; i++) {
      if (chunk[i] == '\n' || chunk[i] == '\r')
        keep_line (process);
      else if (process->line->len < KEPT_LINE_LENGTH && chunk[i] != '\0')
        g_string_append_c (process->line, chunk[i]);
    }
  }
}

static char *
last_output (DerushProcess *process)
{
  GString *text = g_string_new (NULL);

  read_output (process);
  keep_line (process);
  for (GList *l = process->lines.head; l; l = l->next)
    g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", (char *)l->data);
  return g_string_free (text, FALSE);
}

static gboolean
reap (DerushProcess *process, gboolean wait)
{
  while (!process->reaped) {
    GPid pid = waitpid (process->pid, &process->status, wait ? 0 : WNOHANG);

    if (pid == process->pid || (pid < 0 && errno == ECHILD))
      process->reaped = TRUE;
    else if (pid == 0)
      return FALSE;
  }
  return TRUE;
}

static void
kill_group (DerushProcess *process)
{
  kill (-process->pid, SIGKILL);
  reap (process, TRUE);
}

static void
wait_then_kill (DerushProcess *process, gint64 grace)
{
  gint64 until = g_get_monotonic_time () + grace;

  while (!reap (process, FALSE) && g_get_monotonic_time () < until) {
    read_output (process);
    g_usleep (5000);
  }
  kill_group (process);
}

static void
set_memory_error (DerushProcess *process, gint64 amount, gint64 limit, GError **error)
{
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("%s used more memory than it may and was killed; see DERUSH_WORKER_MEMORY_LIMIT: "
                  "%" PRId64 " of %" PRId64 " bytes"),
               derush_worker_title (process->kind), amount, limit);
}

static void
set_cpu_error (DerushProcess *process, gint64 limit, GError **error)
{
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_STALLED,
               _ ("%s used more processor time than it may and was killed; see DERUSH_WORKER_CPU_LIMIT: "
                  "%" PRId64 " s"),
               derush_worker_title (process->kind), limit / G_USEC_PER_SEC);
}

static void
set_death_error (DerushProcess *process, GError **error)
{
  /* The socket closes a moment before the process can be waited for. */
  wait_then_kill (process, CANCEL_GRACE);
  if (WIFSIGNALED (process->status) && WTERMSIG (process->status) == SIGKILL && process->cgroup &&
      derush_cgroup_was_full (process->cgroup))
    set_memory_error (process, process->memory_limit, process->memory_limit, error);
  else if (WIFSIGNALED (process->status) && WTERMSIG (process->status) == SIGXCPU && process->watch)
    set_cpu_error (process, process->watch->cpu_limit, error);
  else if (WIFSIGNALED (process->status))
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s was killed by signal %d (%s)"),
                 derush_worker_title (process->kind), WTERMSIG (process->status),
                 g_strsignal (WTERMSIG (process->status)));
  else
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s ended unexpectedly with status %d"),
                 derush_worker_title (process->kind), WEXITSTATUS (process->status));
}

/* ── Waiting ────────────────────────────────────────────────────────────── */

static void
wait_for_something (DerushProcess *process, GCancellable *cancellable, int timeout_ms)
{
  GPollFD fds[3];
  guint n = derush_process_get_pollfds (process, fds);
  gboolean watched = cancellable && g_cancellable_make_pollfd (cancellable, &fds[n]);

  g_poll (fds, watched ? n + 1 : n, timeout_ms);
  if (watched)
    g_cancellable_release_fd (cancellable);
  read_output (process);
  reap (process, FALSE);
}

/* The one layer that the worker cannot see to itself. Without it the runner's own watch over the memory has to do. */
static void
add_cgroup (JsonObject *containment, DerushProcess *process, const char *reason)
{
  JsonObject *layer = json_object_new ();

  json_object_set_boolean_member (layer, "holds", process->cgroup != NULL);
  if (process->cgroup)
    json_object_set_int_member (layer, "version", derush_cgroup_get_version (process->cgroup));
  else
    json_object_set_string_member (layer, "reason", reason);
  json_object_set_object_member (containment, "cgroup", layer);
}

/* The model worker decodes nothing that came from outside, and needs the network. */
static gboolean
accept_containment (DerushProcess *process, DerushConfig *config, JsonObject *containment, const char *reason,
                    GError **error)
{
  g_autoptr (JsonObject) none = json_object_new ();

  if (process->kind == DERUSH_WORKER_MODEL)
    return TRUE;
  add_cgroup (containment ? containment : none, process, reason);
  return derush_containment_accept (config, containment ? containment : none, error);
}

/**
 * derush_process_start:
 * @kind: which worker
 * @config: the settings
 * @home: the worker's private folder
 * @more: (nullable) (array zero-terminated=1): more variables for it, names and values in turn
 * @cancellable: (nullable): ends the waiting
 * @debug: (out): what the worker wrote, if it failed
 * @error: return location for an error
 *
 * Starts a worker and waits until it is ready.
 */
DerushProcess *
derush_process_start (DerushWorkerKind kind, DerushConfig *config, const char *home, const char *const *more,
                      GCancellable *cancellable, char **debug, GError **error)
{
  g_autoptr (DerushProcess) process = spawn (kind, config, home, more, error);
  g_autofree char *reason = NULL;

  if (!process)
    return NULL;
  process->memory_limit = derush_config_get_int (config, "DERUSH_WORKER_MEMORY_LIMIT");
  if (strcmp (derush_config_get_string (config, "DERUSH_SANDBOX"), "off") == 0)
    reason = g_strdup (_ ("switched off by DERUSH_SANDBOX"));
  else
    process->cgroup = derush_cgroup_new (process->pid, process->memory_limit, &reason);
  for (;;) {
    g_autoptr (JsonObject) message = NULL;
    DerushWireStatus status = derush_wire_receive (process->wire, &message, error);

    if (status == DERUSH_WIRE_LINE) {
      if (g_strcmp0 (derush_json_get_string (message, "type", NULL), "ready") == 0 &&
          derush_json_get_int (message, "version", 0) == DERUSH_STEP_VERSION) {
        if (accept_containment (process, config, derush_json_get_object (message, "containment"), reason, error))
          return g_steal_pointer (&process);
        break;
      }
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
                   _ ("%s is of another version than its runner; install Derush anew"), derush_worker_title (kind));
      break;
    }
    if (status == DERUSH_WIRE_BROKEN)
      break;
    if (status == DERUSH_WIRE_CLOSED || process->reaped) {
      g_autoptr (GError) death = NULL;

      set_death_error (process, &death);
      *debug = last_output (process);
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s does not start: %s%s%s"),
                   derush_worker_title (kind), death->message, process->lines.tail ? ": " : "",
                   process->lines.tail ? (char *)process->lines.tail->data : "");
      return NULL;
    }
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      break;
    if (g_get_monotonic_time () > process->started + START_TIMEOUT) {
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s was not ready after %d s"),
                   derush_worker_title (kind), (int)(START_TIMEOUT / G_USEC_PER_SEC));
      break;
    }
    wait_for_something (process, cancellable, TICK_MS);
  }
  kill_group (process);
  *debug = last_output (process);
  return NULL;
}

/**
 * derush_process_free:
 * @process: a worker
 *
 * Asks it to quit, kills it and all that it started if it does not, and forgets it.
 */
void
derush_process_free (DerushProcess *process)
{
  if (!process->reaped) {
    g_autoptr (JsonObject) quit = json_object_new ();

    json_object_set_string_member (quit, "type", "quit");
    derush_wire_send (process->wire, quit, NULL, 0, NULL);
    wait_then_kill (process, QUIT_GRACE);
  }
  derush_wire_free (process->wire);
  close (process->output);
  g_clear_pointer (&process->cgroup, derush_cgroup_free);
  g_string_free (process->line, TRUE);
  g_queue_clear_full (&process->lines, g_free);
  g_free (process->refused);
  g_free (process);
}

GPid
derush_process_get_pid (DerushProcess *process)
{
  return process->pid;
}

gint64
derush_process_get_memory (DerushProcess *process)
{
  return derush_process_memory_of (process->pid);
}

/* What the process @pid has in memory, in bytes; 0 if there is none. */
gint64
derush_process_memory_of (GPid pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/statm", pid);
  g_autofree char *text = NULL;
  long long size, resident = 0;

  if (!g_file_get_contents (path, &text, NULL, NULL) || sscanf (text, "%lld %lld", &size, &resident) != 2)
    return 0;
  return resident * sysconf (_SC_PAGESIZE);
}

/* In µs, of all its threads; 0 once it has ended. */
static gint64
derush_process_get_cpu_time (DerushProcess *process)
{
  struct timespec time;
  clockid_t clock;

  if (process->reaped || clock_getcpuclockid (process->pid, &clock) != 0 || clock_gettime (clock, &time) != 0)
    return 0;
  return (gint64)time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

gint64
derush_process_get_age (DerushProcess *process)
{
  return g_get_monotonic_time () - process->started;
}

gboolean
derush_process_is_alive (DerushProcess *process)
{
  return !process->reaped && !process->closed;
}

guint
derush_process_get_pollfds (DerushProcess *process, GPollFD *fds)
{
  fds[0] = (GPollFD){.fd = process->wire->fd, .events = G_IO_IN};
  fds[1] = (GPollFD){.fd = process->output, .events = G_IO_IN};
  return process->output_ended ? 1 : 2;
}

/* Returns: whether it said anything */
gboolean
derush_process_look (DerushProcess *process)
{
  g_autoptr (JsonObject) message = NULL;

  read_output (process);
  reap (process, FALSE);
  /* Nothing is to be said while no request runs, but for an answer that comes late. */
  switch (derush_wire_receive (process->wire, &message, NULL)) {
  case DERUSH_WIRE_AGAIN:
    return FALSE;
  case DERUSH_WIRE_LINE:
    process->idle_ping = 0;
    return TRUE;
  default:
    process->closed = TRUE;
    return FALSE;
  }
}

/* ── While it idles ─────────────────────────────────────────────────────── */

static void
send_short (DerushProcess *process, const char *type, gint64 id)
{
  g_autoptr (JsonObject) message = json_object_new ();

  json_object_set_string_member (message, "type", type);
  json_object_set_int_member (message, "id", id);
  derush_wire_send (process->wire, message, NULL, 0, NULL);
}

static void
set_silence_error (DerushProcess *process, gint64 heartbeat, GError **error)
{
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, _ ("%s did not answer for %d s and was killed"),
               derush_worker_title (process->kind), (int)(heartbeat / G_USEC_PER_SEC));
}

gboolean
derush_process_check_idle (DerushProcess *process, gint64 heartbeat, gint64 memory_limit, GError **error)
{
  gint64 now = g_get_monotonic_time (), memory;

  if (!derush_process_is_alive (process))
    return TRUE;
  if (process->idle_ping && now > process->idle_ping + heartbeat) {
    kill_group (process);
    set_silence_error (process, heartbeat, error);
    return FALSE;
  }
  if (!process->idle_ping && now >= process->idle_ping_next) {
    process->idle_ping = now;
    process->idle_ping_next = now + IDLE_PING_INTERVAL;
    send_short (process, "ping", 0);
  }
  memory = derush_process_get_memory (process);
  if (memory <= memory_limit)
    return TRUE;
  kill_group (process);
  set_memory_error (process, memory, memory_limit, error);
  return FALSE;
}

/* ── A request ──────────────────────────────────────────────────────────── */

typedef struct {
  DerushProcess *process;
  const DerushProcessWatch *watch;
  gint64 id;
  double progress;
  gint64 progress_time; /* when it last rose */
  gint64 ping_sent;     /* 0: none is under way */
  gint64 ping_next;
  gint64 memory_next;
  gint64 cpu_limit;  /* of the whole process */
  gint64 stop_until; /* once stopping: when to kill */
  GError *reason;    /* why it is stopped */
} Request;

static void
stop (Request *request, GError *reason)
{
  if (request->reason) {
    g_error_free (reason);
    return;
  }
  request->reason = reason;
  request->stop_until = g_get_monotonic_time () + CANCEL_GRACE;
  send_short (request->process, "cancel", request->id);
}

/* Kills the worker when it is beyond help. */
static gboolean
keep_watch (Request *request, GError **error)
{
  const DerushProcessWatch *watch = request->watch;
  gint64 now = g_get_monotonic_time (), memory;

  if (!request->reason && g_cancellable_is_cancelled (watch->cancellable))
    stop (request, g_error_new_literal (DERUSH_STEPS_ERROR, DERUSH_ERROR_CANCELLED, _ ("The job was cancelled")));
  if (!request->reason && watch->deadline && now > watch->deadline)
    stop (request,
          g_error_new_literal (DERUSH_STEPS_ERROR, DERUSH_ERROR_STALLED,
                               _ ("The job took longer than it may; raise its timeout or DERUSH_JOB_TIMEOUT")));
  if (!request->reason && now > request->progress_time + watch->stall)
    stop (request,
          g_error_new (
              DERUSH_STEPS_ERROR, DERUSH_ERROR_STALLED,
              _ ("No progress for %d s; if the machine is only slow, raise noProgressMs or DERUSH_STALL_TIMEOUT"),
              (int)(watch->stall / G_USEC_PER_SEC)));
  if (request->reason && now > request->stop_until) {
    kill_group (request->process);
    g_propagate_error (error, g_steal_pointer (&request->reason));
    return FALSE;
  }
  if (request->ping_sent && now > request->ping_sent + watch->heartbeat) {
    kill_group (request->process);
    set_silence_error (request->process, watch->heartbeat, error);
    return FALSE;
  }
  if (!request->ping_sent && now >= request->ping_next) {
    request->ping_sent = now;
    send_short (request->process, "ping", request->id);
  }
  if (now < request->memory_next)
    return TRUE;
  request->memory_next = now + G_USEC_PER_SEC / 2;
  memory = derush_process_get_memory (request->process);
  if (memory > watch->memory_limit) {
    kill_group (request->process);
    set_memory_error (request->process, memory, watch->memory_limit, error);
    return FALSE;
  }
  if (derush_process_get_cpu_time (request->process) > request->cpu_limit) {
    kill_group (request->process);
    set_cpu_error (request->process, watch->cpu_limit, error);
    return FALSE;
  }
  return TRUE;
}

/* One line, whatever the worker wrote. */
static char *
one_line (const char *text)
{
  char *line = g_strdup (text);

  g_strdelimit (line, "\r\n\t", ' ');
  return g_strstrip (line);
}

static gboolean
break_protocol (Request *request, GError **error)
{
  kill_group (request->process);
  g_clear_error (error);
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
               _ ("%s did not keep to the protocol between it and its runner, and was killed; please report this"),
               derush_worker_title (request->process->kind));
  return FALSE;
}

/* A time that no calendar has is none. */
#define LATEST 1e11

static void
set_step_error (JsonObject *message, DerushErrorClass error_class, const char *line, GError **error)
{
  double retry_at = derush_json_get_number (message, "retryAt", 0);
  GError *failure = g_error_new_literal (DERUSH_STEPS_ERROR, error_class, line);

  if (derush_json_get_boolean (message, "final", FALSE))
    derush_error_set_final (failure);
  else if (retry_at > 0 && retry_at < LATEST)
    derush_error_set_retry_at (failure, (gint64)(retry_at * 1000));
  g_propagate_error (error, failure);
}

/* Returns FALSE when the request has ended: by @result, or by @error. */
static gboolean
take_message (Request *request, JsonObject *message, JsonObject **result, char **debug, GError **error)
{
  const char *type = derush_json_get_string (message, "type", "");
  const char *text = derush_json_get_string (message, "message", "");

  request->watch->heard (request->watch->user_data);
  if (strcmp (type, "pong") == 0) {
    request->ping_sent = 0;
    request->ping_next = g_get_monotonic_time () + PING_INTERVAL;
    return TRUE;
  }
  if (derush_json_get_int (message, "id", -1) != request->id)
    return strcmp (type, "progress") == 0 || strcmp (type, "warning") == 0 || break_protocol (request, error);
  if (strcmp (type, "progress") == 0) {
    double progress = CLAMP (derush_json_get_number (message, "progress", 0), 0, 1);

    if (progress > request->progress) {
      request->progress = progress;
      request->progress_time = g_get_monotonic_time ();
      request->watch->progress (progress, request->watch->user_data);
    }
    return TRUE;
  }
  if (strcmp (type, "warning") == 0) {
    g_autofree char *line = one_line (text);

    request->watch->warning (line, request->watch->user_data);
    return TRUE;
  }
  if (strcmp (type, "result") == 0 && derush_json_get_object (message, "result")) {
    if (request->reason)
      g_propagate_error (error, g_steal_pointer (&request->reason));
    else
      *result = json_object_ref (derush_json_get_object (message, "result"));
    return FALSE;
  }
  if (strcmp (type, "error") == 0) {
    DerushErrorClass error_class = DERUSH_ERROR_INTERNAL;
    g_autofree char *line = one_line (text);

    derush_error_class_from_string (derush_json_get_string (message, "class", NULL), &error_class);
    *debug = g_strdup (derush_json_get_string (message, "debug", NULL));
    if (request->reason)
      g_propagate_error (error, g_steal_pointer (&request->reason));
    else
      set_step_error (message, error_class, line, error);
    return FALSE;
  }
  return break_protocol (request, error);
}

static JsonObject *
converse (Request *request, char **debug, GError **error)
{
  DerushProcess *process = request->process;

  for (;;) {
    g_autoptr (JsonObject) message = NULL, result = NULL;

    switch (derush_wire_receive (process->wire, &message, error)) {
    case DERUSH_WIRE_LINE:
      if (!take_message (request, message, &result, debug, error))
        return g_steal_pointer (&result);
      /* A worker that talks without end must not keep the watch from being kept. */
      if (!keep_watch (request, error))
        return NULL;
      continue;
    case DERUSH_WIRE_BROKEN:
      break_protocol (request, error);
      return NULL;
    case DERUSH_WIRE_CLOSED:
      if (request->reason) {
        kill_group (process);
        g_propagate_error (error, g_steal_pointer (&request->reason));
      } else {
        set_death_error (process, error);
      }
      return NULL;
    case DERUSH_WIRE_AGAIN:
      if (!keep_watch (request, error))
        return NULL;
      wait_for_something (process, request->reason ? NULL : request->watch->cancellable,
                          request->reason ? 20 : TICK_MS);
    }
  }
}

/* The kernel keeps the limit as well, should this process not come to it. The worker itself cannot raise it. */
static void
limit_cpu_time (Request *request)
{
  struct rlimit limit;

  request->cpu_limit = derush_process_get_cpu_time (request->process) + request->watch->cpu_limit;
  if (request->process->reaped || prlimit (request->process->pid, RLIMIT_CPU, NULL, &limit) != 0)
    return;
  limit.rlim_cur = MIN (limit.rlim_max, (rlim_t)(request->cpu_limit / G_USEC_PER_SEC + 2));
  if (prlimit (request->process->pid, RLIMIT_CPU, &limit, NULL) != 0)
    g_debug ("RLIMIT_CPU: %s", g_strerror (errno));
}

static void
describe_failure (DerushProcess *process, char **debug, GError **error)
{
  g_autofree char *output = last_output (process);

  if (!*debug)
    *debug = g_steal_pointer (&output);
  if (process->refused && error && *error && (*error)->code != DERUSH_ERROR_CANCELLED) {
    char *message =
        g_strdup_printf (_ ("%s (the worker was refused the system call “%s”)"), (*error)->message, process->refused);

    g_free ((*error)->message);
    (*error)->message = message;
  }
}

/**
 * derush_process_request:
 * @process: a worker that is alive
 * @request: the `run` message without its id
 * @fds: the inputs, in order
 * @n_fds: how many
 * @watch: limits and callbacks
 * @debug: (out) (nullable): details of a failure
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the step's result. After an error derush_process_is_alive() says whether the
 *   worker can be used again.
 */
JsonObject *
derush_process_request (DerushProcess *process, JsonObject *message, const int *fds, guint n_fds,
                        const DerushProcessWatch *watch, char **debug, GError **error)
{
  gint64 now = g_get_monotonic_time ();
  Request request = {.process = process,
                     .watch = watch,
                     .id = process->next_id++,
                     .progress_time = now,
                     .ping_next = now + PING_INTERVAL};
  g_autoptr (GError) local = NULL;
  JsonObject *result;

  process->idle_ping = 0;
  process->idle_ping_next = now + IDLE_PING_INTERVAL;
  g_queue_clear_full (&process->lines, g_free);
  g_clear_pointer (&process->refused, g_free);
  json_object_set_int_member (message, "id", request.id);
  if (!derush_wire_send (process->wire, message, fds, n_fds, &local)) {
    if (local->code == DERUSH_ERROR_INTERNAL) {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
    set_death_error (process, error);
    describe_failure (process, debug, error);
    return NULL;
  }
  process->watch = watch;
  limit_cpu_time (&request);
  result = converse (&request, debug, error);
  g_clear_error (&request.reason);
  if (!result)
    describe_failure (process, debug, error);
  process->watch = NULL;
  return result;
}
