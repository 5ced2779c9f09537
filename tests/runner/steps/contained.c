/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A worker that a hostile film has taken over: it tries to get out. Each attempt returns 0 when it succeeded, and else the
 * number of the error. */

static JsonObject *parameters;
static const char *directory;

static int
result_of (long value)
{
  return value < 0 ? errno : 0;
}

static int
open_path (const char *path, int flags)
{
  int fd = open (path, flags | O_CLOEXEC, 0600), number = errno;

  if (fd < 0)
    return number;
  close (fd);
  return 0;
}

static const char *
path_of (const char *name)
{
  return derush_json_get_string (parameters, name, "/nowhere");
}

static int
try_socket (void)
{
  return result_of (socket (AF_INET, SOCK_STREAM, 0));
}

static int
try_unix_socket (void)
{
  return result_of (socket (AF_UNIX, SOCK_STREAM, 0));
}

static int
try_datagram_pair (void)
{
  int ends[2];

  return result_of (socketpair (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends));
}

static int
try_exec (void)
{
  char *const argv[] = {(char *)"true", NULL};

  return result_of (execve ("/bin/true", argv, NULL));
}

static int
try_fork (void)
{
  pid_t pid = fork ();

  if (pid == 0)
    _exit (0);
  return result_of (pid);
}

static int
try_ptrace (void)
{
  return result_of (ptrace (PTRACE_ATTACH, getppid (), NULL, NULL));
}

static int
try_read_parent (void)
{
  char byte;
  struct iovec local = {&byte, 1}, remote = {(void *)&errno, 1};

  return result_of (process_vm_readv (getppid (), &local, 1, &remote, 1, 0));
}

static int
try_kill_parent (void)
{
  return result_of (kill (getppid (), 0));
}

static int
try_unshare (void)
{
  return result_of (unshare (CLONE_NEWUSER));
}

static int
try_io_uring (void)
{
  return result_of (syscall (425, 1, NULL));
}

static int
try_bpf (void)
{
  return result_of (syscall (SYS_bpf, 0, NULL, 0));
}

static int
try_raise_limit (void)
{
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

  return result_of (setrlimit (RLIMIT_CORE, &limit));
}

static int
try_symlink (void)
{
  g_autofree char *path = g_build_filename (directory, "link", NULL);

  return result_of (symlink ("/etc/passwd", path));
}

static int
try_device (void)
{
  g_autofree char *path = g_build_filename (directory, "device", NULL);

  return result_of (mknod (path, S_IFCHR | 0600, 0x0101));
}

static int
try_read_users (void)
{
  return open_path ("/etc/passwd", O_RDONLY);
}

static int
try_write_users (void)
{
  return open_path ("/etc/passwd", O_WRONLY | O_APPEND);
}

static int
try_read_parent_memory (void)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/mem", getppid ());

  return open_path (path, O_RDWR);
}

static int
try_read_parent_environment (void)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/environ", getppid ());

  return open_path (path, O_RDONLY);
}

static int
try_read_outside (void)
{
  return open_path (path_of ("outside"), O_RDONLY);
}

static int
try_truncate_outside (void)
{
  return result_of (truncate (path_of ("outside"), 0));
}

static int
try_remove_outside (void)
{
  return result_of (unlink (path_of ("outside")));
}

static int
try_write_outside (void)
{
  g_autofree char *path = g_strconcat (path_of ("outside"), ".new", NULL);

  return open_path (path, O_WRONLY | O_CREAT);
}

static int
try_write_beside (void)
{
  g_autofree char *path = g_build_filename (directory, "..", "..", "beside", NULL);

  return open_path (path, O_WRONLY | O_CREAT);
}

static int
try_move_out (void)
{
  g_autofree char *path = g_build_filename (directory, "moved", NULL);
  g_autofree char *target = g_strconcat (path_of ("outside"), ".moved", NULL);

  open_path (path, O_WRONLY | O_CREAT);
  return result_of (rename (path, target));
}

static int
try_run_own_program (void)
{
  g_autofree char *path = g_build_filename (directory, "program", NULL);
  char *const argv[] = {path, NULL};

  if (!g_file_set_contents_full (path, "#!/bin/sh\n", -1, 0, 0700, NULL))
    return 0;
  return result_of (execve (path, argv, NULL));
}

static int
try_many_files (void)
{
  int number = 0;

  for (int i = 0; number == 0 && i < 3000; i++)
    number = result_of (dup (STDERR_FILENO));
  for (int i = 16; i < 3000; i++)
    close (i);
  return number;
}

static int
try_large_file (void)
{
  g_autofree char *path = g_build_filename (directory, "large", NULL);
  int fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  int number = result_of (pwrite (fd, "x", 1, G_GINT64_CONSTANT (1) << 50));

  close (fd);
  return number;
}

static int
try_core (void)
{
  struct rlimit limit;

  return getrlimit (RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 ? EPERM : 0;
}

/* ── What has to go on working ──────────────────────────────────────────── */

static int
try_write_own (void)
{
  g_autofree char *path = g_build_filename (directory, "own", NULL);
  g_autofree char *other = g_build_filename (g_get_tmp_dir (), "other", NULL);

  if (!g_file_set_contents (path, "own", -1, NULL))
    return EIO;
  return result_of (rename (path, other));
}

/* As ORC does. */
static int
try_map_code (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("TMPDIR"), "code.XXXXXX", NULL);
  int fd = mkostemp (path, O_CLOEXEC), number = errno;
  void *code;

  if (fd < 0)
    return number;
  unlink (path);
  number = result_of (ftruncate (fd, 4096));
  code = mmap (NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  close (fd);
  return number ? number : code == MAP_FAILED ? errno : 0;
}

static void *
end_at_once (void *data)
{
  return data;
}

static int
try_thread (void)
{
  pthread_t thread;
  int number = pthread_create (&thread, NULL, end_at_once, NULL);

  return number ? number : pthread_join (thread, NULL);
}

static int
try_read_library_folder (void)
{
  return open_path ("/usr/lib", O_RDONLY | O_DIRECTORY);
}

static int
try_random (void)
{
  return open_path ("/dev/urandom", O_RDONLY);
}

static const struct {
  const char *name;
  int (*attempt) (void);
} attempts[] = {
    {"socket", try_socket},
    {"unix-socket", try_unix_socket},
    {"datagram-pair", try_datagram_pair},
    {"exec", try_exec},
    {"fork", try_fork},
    {"ptrace", try_ptrace},
    {"read-parent", try_read_parent},
    {"kill-parent", try_kill_parent},
    {"unshare", try_unshare},
    {"io-uring", try_io_uring},
    {"bpf", try_bpf},
    {"raise-limit", try_raise_limit},
    {"symlink", try_symlink},
    {"device", try_device},
    {"read-users", try_read_users},
    {"write-users", try_write_users},
    {"parent-memory", try_read_parent_memory},
    {"parent-environment", try_read_parent_environment},
    {"read-outside", try_read_outside},
    {"truncate-outside", try_truncate_outside},
    {"remove-outside", try_remove_outside},
    {"write-outside", try_write_outside},
    {"write-beside", try_write_beside},
    {"move-out", try_move_out},
    {"own-program", try_run_own_program},
    {"many-files", try_many_files},
    {"large-file", try_large_file},
    {"core", try_core},
    {"write-own", try_write_own},
    {"map-code", try_map_code},
    {"thread", try_thread},
    {"library-folder", try_read_library_folder},
    {"random", try_random},
};

static void
grow (GCancellable *cancellable)
{
  while (!g_cancellable_is_cancelled (cancellable)) {
    const gsize size = 16 * 1024 * 1024;
    char *memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset (memory, 1, size);
    g_usleep (2000);
  }
}

/* More than anybody lets it have, as fast as it can; then it waits, to be found with it. */
static void
burst (GCancellable *cancellable)
{
  for (int i = 0; i < 40; i++) {
    const gsize size = 16 * 1024 * 1024;

    memset (mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, size);
  }
  while (!g_cancellable_is_cancelled (cancellable))
    g_usleep (10000);
}

static int
be_busy (void)
{
  clock_t end = clock () + CLOCKS_PER_SEC * 6 / 10;

  while (clock () < end)
    ;
  return 0;
}

static JsonObject *
handle (DerushStepRequest *request, gpointer user_data, GError **error)
{
  const char *action = derush_step_request_get_action (request);
  JsonObject *result = json_object_new ();

  parameters = derush_step_request_get_parameters (request);
  directory = derush_step_request_get_directory (request);
  if (strcmp (action, "grow") == 0)
    grow (derush_step_request_get_cancellable (request));
  if (strcmp (action, "burst") == 0)
    burst (derush_step_request_get_cancellable (request));
  if (strcmp (action, "busy") == 0)
    json_object_set_int_member (result, "error", be_busy ());
  if (strcmp (action, "spin") == 0)
    for (;;)
      ;
  for (guint i = 0; i < G_N_ELEMENTS (attempts); i++)
    if (strcmp (action, attempts[i].name) == 0)
      json_object_set_int_member (result, "error", attempts[i].attempt ());
  if (!derush_json_get_boolean (parameters, "fail", FALSE))
    return result;
  json_object_unref (result);
  g_set_error_literal (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL, "It failed");
  return NULL;
}

int
main (int argc, char **argv)
{
  g_autoptr (JsonObject) containment = derush_contain_self (g_getenv ("DERUSH_WORKER_FOLDER"), NULL);

  return derush_step_server_run (DERUSH_STEP_SOCKET_FD, containment, handle, NULL);
}
