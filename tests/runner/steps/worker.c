/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/steps.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* A worker without media: does what its tests need, the good and the bad. */

static void
say (int fd, const char *text)
{
  if (write (fd, text, strlen (text)) < 0)
    perror ("write");
}

static void
sleep_cancellably (DerushStepRequest *request, double seconds, gboolean progress)
{
  GCancellable *cancellable = derush_step_request_get_cancellable (request);
  int parts = seconds * 100;

  for (int i = 0; i < parts && !g_cancellable_is_cancelled (cancellable); i++) {
    g_usleep (10000);
    if (progress)
      derush_step_request_progress (request, (i + 1.0) / parts);
  }
}

static gboolean
write_file (DerushStepRequest *request, const char *name, const char *text, GError **error)
{
  g_autofree char *path = g_build_filename (derush_step_request_get_directory (request), name, NULL);

  return g_file_set_contents (path, text, -1, error);
}

static JsonObject *
read_input (DerushStepRequest *request, GError **error)
{
  const DerushStepInput *input = derush_step_request_get_input (request, "source");
  g_autofree char *text = g_malloc0 (4097);
  JsonObject *result = json_object_new ();

  if (input && read (input->fd, text, 4096) >= 0) {
    json_object_set_string_member (result, "text", g_utf8_validate (text, -1, NULL) ? text : "");
    json_object_set_string_member (result, "display", input->display);
  }
  return result;
}

static JsonObject *
environment (DerushStepRequest *request)
{
  struct rlimit core;
  JsonObject *result = json_object_new ();
  g_auto (GStrv) names = g_get_environ ();
  g_autofree char *cwd = g_get_current_dir ();
  JsonArray *open_fds = json_array_new (), *list = json_array_new ();

  for (guint i = 0; names[i]; i++)
    json_array_add_string_element (list, names[i]);
  for (int fd = 0; fd < 1024; fd++)
    if (fcntl (fd, F_GETFD) >= 0) {
      g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
      g_autofree char *target = g_file_read_link (link, NULL);

      json_array_add_string_element (open_fds, target ? target : "?");
    }
  json_object_set_array_member (result, "environment", list);
  json_object_set_array_member (result, "fds", open_fds);
  json_object_set_string_member (result, "cwd", cwd);
  json_object_set_int_member (result, "group", getpgrp ());
  json_object_set_int_member (result, "pid", getpid ());
  json_object_set_string_member (result, "job", derush_step_request_get_job_id (request));
  json_object_set_int_member (result, "noNewPrivileges", prctl (PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  if (getrlimit (RLIMIT_CORE, &core) == 0)
    json_object_set_int_member (result, "coreLimit", core.rlim_max);
  return result;
}

static JsonObject *
handle (DerushStepRequest *request, gpointer user_data, GError **error)
{
  const char *action = derush_step_request_get_action (request);
  JsonObject *parameters = derush_step_request_get_parameters (request);
  double seconds = derush_json_get_number (parameters, "seconds", 0.5);
  const char *file = derush_json_get_string (parameters, "file", "out.txt");
  JsonObject *result;

  if (strcmp (action, "read") == 0)
    return read_input (request, error);
  if (strcmp (action, "environment") == 0)
    return environment (request);
  if (strcmp (action, "crash") == 0) {
    say (STDERR_FILENO, "about to crash\n");
    /* A sanitizer would turn the signal into an exit status. */
    signal (SIGSEGV, SIG_DFL);
    raise (SIGSEGV);
  }
  if (strcmp (action, "exit") == 0)
    _exit (3);
  if (strcmp (action, "hang") == 0)
    for (;;)
      sleep (1000);
  if (strcmp (action, "stop") == 0)
    raise (SIGSTOP);
  if (strcmp (action, "noise") == 0) {
    for (int i = 0; i < 20000; i++)
      say (STDERR_FILENO, "noise noise noise noise noise noise noise noise noise noise\n");
    say (STDOUT_FILENO, "\xff\xfe no text, no newline");
  }
  if (strcmp (action, "long-line") == 0) {
    g_autofree char *junk = g_strnfill (8 * 1024 * 1024, 'x');

    while (write (DERUSH_STEP_SOCKET_FD, junk, 8 * 1024 * 1024) > 0)
      ;
    sleep_cancellably (request, 5, FALSE);
  }
  if (strcmp (action, "no-json") == 0) {
    say (DERUSH_STEP_SOCKET_FD, "hello\n");
    sleep_cancellably (request, 5, FALSE);
  }
  if (strcmp (action, "huge-result") == 0) {
    g_autofree char *junk = g_strnfill (6 * 1024 * 1024, 'x');

    result = json_object_new ();
    json_object_set_string_member (result, "junk", junk);
    return result;
  }
  if (strcmp (action, "grow") == 0) {
    gsize size = derush_json_get_int (parameters, "bytes", 0);
    char *memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset (memory, 1, size);
    sleep_cancellably (request, seconds, TRUE);
  }
  if (strcmp (action, "silent") == 0)
    sleep_cancellably (request, seconds, FALSE);
  if (strcmp (action, "slow") == 0) {
    if (!write_file (request, file, "half", error))
      return NULL;
    sleep_cancellably (request, seconds, TRUE);
    if (g_cancellable_set_error_if_cancelled (derush_step_request_get_cancellable (request), error))
      return NULL;
  }
  if (strcmp (action, "fail") == 0) {
    DerushErrorClass error_class = DERUSH_ERROR_INTERNAL;

    derush_error_class_from_string (derush_json_get_string (parameters, "class", NULL), &error_class);
    write_file (request, file, "half", NULL);
    derush_step_request_set_debug (request, "element0: 42");
    g_set_error (error, DERUSH_STEPS_ERROR, error_class, "It went wrong on purpose");
    if (derush_json_get_boolean (parameters, "final", FALSE))
      derush_error_set_final (error ? *error : NULL);
    if (json_object_has_member (parameters, "retryAt"))
      derush_error_set_retry_at (error ? *error : NULL, derush_json_get_int (parameters, "retryAt", 0));
    return NULL;
  }
  /* Fails until @path is there. */
  if (strcmp (action, "gate") == 0 &&
      !g_file_test (derush_json_get_string (parameters, "path", ""), G_FILE_TEST_EXISTS)) {
    DerushErrorClass error_class = DERUSH_ERROR_RESOURCE;

    derush_error_class_from_string (derush_json_get_string (parameters, "class", NULL), &error_class);
    write_file (request, "half.txt", "half", NULL);
    if (derush_json_get_boolean (parameters, "hang", FALSE)) {
      /* Later than the last report: what comes sooner is left out. */
      sleep_cancellably (request, 0.2, FALSE);
      derush_step_request_progress (request, 0.5);
      sleep_cancellably (request, 600, FALSE);
    }
    g_set_error (error, DERUSH_STEPS_ERROR, error_class, "The gate is closed");
    return NULL;
  }
  if (strcmp (action, "full") == 0) {
    int fd = open ("/dev/full", O_WRONLY | O_CLOEXEC);

    if (write (fd, "x", 1) < 0) {
      close (fd);
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, "No space left for %s", file);
      return NULL;
    }
  }
  if (derush_json_get_boolean (parameters, "warn", FALSE))
    derush_step_request_warn (request, "a warning");
  result = json_object_new ();
  if (strcmp (action, "link") == 0) {
    g_autofree char *path = g_build_filename (derush_step_request_get_directory (request), file, NULL);

    if (symlink ("/etc/passwd", path) != 0)
      perror ("symlink");
    json_object_set_string_member (result, "file", file);
  }
  if (strcmp (action, "list") == 0) {
    JsonArray *list = json_array_new ();

    for (int i = 0; i < 5000; i++)
      json_array_add_int_element (list, i);
    json_object_set_array_member (result, "list", list);
  }
  json_object_set_boolean_member (result, "analysis", derush_step_request_get_input (request, "analysis") != NULL);
  if (strcmp (action, "write") == 0 || strcmp (action, "slow") == 0) {
    if (!write_file (request, file, derush_json_get_string (parameters, "text", "contents"), error)) {
      json_object_unref (result);
      return NULL;
    }
    json_object_set_string_member (result, "file", file);
  }
  json_object_set_int_member (result, "pid", getpid ());
  json_object_set_string_member (result, "action", action);
  return result;
}

int
main (int argc, char **argv)
{
  return derush_step_server_run (DERUSH_STEP_SOCKET_FD, NULL, handle, NULL);
}
