/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * The one derush-models of this process: speech, text and images by engines of this machine, for those who have no key.
 * It is started with the first model step that may need it, again when it has died, and ends with the last slot.
 *
 * A thread of its own starts and watches it, since a child gets its death signal when the thread that started it ends.
 */

#include "steps/localmodels-private.h"
#include "steps/environment-private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>

#define START_TIMEOUT (60 * G_USEC_PER_SEC)
#define QUIT_GRACE (2 * G_USEC_PER_SEC)
#define RETRY_AFTER (2 * G_USEC_PER_SEC)
#define TICK_MS 200
#define LISTENING "listening "
#define LONGEST_LINE 4096

static struct {
  GMutex lock;
  GCond changed;
  guint users;
  GThread *thread; /* or NULL */
  gboolean quit;
  guint64 asked; /* how often somebody wanted it who did not find it */
  guint64 tried; /* which of these the last start was for */
  char *url;     /* or NULL: it does not run */
  char *failure; /* why its last start failed, or NULL */
  char *token;   /* of this process */
  int wakeup;    /* eventfd */
} models;

/* Of the thread. */
typedef struct {
  GPid pid;
  int output;
  GString *line;
  char *last_line;
  char *url; /* told by it */
  gboolean ended;
} Server;

void
derush_local_models_clear (DerushLocalModels *local)
{
  g_clear_pointer (&local->url, g_free);
  g_clear_pointer (&local->token, g_free);
}

/* ── Whether it is wanted ───────────────────────────────────────────────── */

typedef struct {
  gboolean named; /* somebody names providers for all tasks */
  gboolean local; /* and the local one among them, or for one task */
  gboolean remote;
  gboolean elsewhere; /* somebody else has started it */
} Wishes;

static void
read_wish (const char *name, const char *value, const char *origin, gboolean secret, gpointer user_data)
{
  Wishes *wishes = user_data;

  if (*value == '\0')
    return;
  /* Of all tasks, or of one. */
  if (g_str_has_prefix (name, "DERUSH_MODEL_PROVIDERS")) {
    g_auto (GStrv) providers = g_strsplit_set (value, ", \t", -1);

    wishes->named |= strcmp (name, "DERUSH_MODEL_PROVIDERS") == 0;
    wishes->local |= g_strv_contains ((const char *const *)providers, "local");
  } else if (strcmp (name, "OPENAI_API_KEY") == 0 || strcmp (name, "HUGGINGFACE_API_KEY") == 0 ||
             (strcmp (name, "OPENAI_BASE_URL") == 0 && strcmp (origin, "default") != 0)) {
    wishes->remote = TRUE;
  } else if (strcmp (name, "DERUSH_LOCAL_MODELS_URL") == 0) {
    wishes->elsewhere = TRUE;
  }
}

/* Whether somebody else may be asked in its place. */
static gboolean
has_others (DerushConfig *config)
{
  Wishes wishes = {0};

  derush_config_foreach (config, read_wish, &wishes);
  return wishes.remote;
}

/* Whether model steps may ask it: it is among the providers, or there is none with a key. */
gboolean
derush_local_models_wanted (DerushConfig *config)
{
  Wishes wishes = {0};

  derush_config_foreach (config, read_wish, &wishes);
  return !wishes.elsewhere && (wishes.local || (!wishes.named && !wishes.remote));
}

/* ── The process ────────────────────────────────────────────────────────── */

/* Between fork and exec: only calls that are safe there. */
static void
prepare_child (gpointer user_data)
{
  struct rlimit none = {0, 0};

  setpgid (0, 0);
  setrlimit (RLIMIT_CORE, &none);
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (getppid () != GPOINTER_TO_INT (user_data))
    _exit (126);
}

static Server *
spawn (char **failure)
{
  static const char *const names[] = {"HOME", "TMPDIR", "XDG_DATA_DIRS", NULL};
  g_autofree char *path = derush_local_models_program ();
  g_auto (GStrv) environment = derush_environment_pass (names, NULL);
  const char *argv[] = {path, NULL};
  g_autoptr (GError) error = NULL;
  Server *server;
  int output[2];
  GPid pid;

  environment = g_environ_setenv (environment, "DERUSH_MODELS_TOKEN", models.token, TRUE);
  if (!g_unix_open_pipe (output, FD_CLOEXEC, &error)) {
    *failure = g_strdup_printf (_ ("The server of local models cannot be started: %s"), error->message);
    return NULL;
  }
  if (!g_spawn_async_with_pipes_and_fds (NULL, argv, (const char *const *)environment, G_SPAWN_DO_NOT_REAP_CHILD,
                                         prepare_child, GINT_TO_POINTER (getpid ()), -1, output[1], output[1], NULL,
                                         NULL, 0, &pid, NULL, NULL, NULL, &error)) {
    close (output[0]);
    close (output[1]);
    *failure =
        g_strdup_printf (_ ("The server of local models %s cannot be started; is Derush installed completely? %s"),
                         path, error->message);
    return NULL;
  }
  close (output[1]);
  g_unix_set_fd_nonblocking (output[0], TRUE, NULL);
  server = g_new0 (Server, 1);
  server->pid = pid;
  server->output = output[0];
  server->line = g_string_new (NULL);
  return server;
}

static void
take_line (Server *server)
{
  g_autofree char *text = g_utf8_make_valid (server->line->str, server->line->len);

  g_string_truncate (server->line, 0);
  if (*text == '\0')
    return;
  if (!server->url && g_str_has_prefix (text, LISTENING)) {
    server->url = g_strstrip (g_strdup (text + strlen (LISTENING)));
    return;
  }
  derush_log (DERUSH_LOG_DEBUG, NULL, "%s", text);
  g_free (server->last_line);
  server->last_line = g_steal_pointer (&text);
}

static void
read_output (Server *server)
{
  char chunk[4096];
  gssize length;

  while ((length = read (server->output, chunk, sizeof chunk)) > 0) {
    for (gssize i = 0; i < length; i++) {
      if (chunk[i] == '\n')
        take_line (server);
      else if (server->line->len < LONGEST_LINE && chunk[i] != '\0')
        g_string_append_c (server->line, chunk[i]);
    }
  }
  if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
    server->ended = TRUE;
}

static void
server_free (Server *server)
{
  gint64 until = g_get_monotonic_time () + QUIT_GRACE;
  int status;

  kill (-server->pid, SIGTERM);
  while (waitpid (server->pid, &status, WNOHANG) == 0 && g_get_monotonic_time () < until)
    g_usleep (5000);
  /* What it started may outlive it. */
  if (kill (-server->pid, SIGKILL) == 0)
    waitpid (server->pid, &status, 0);
  close (server->output);
  g_string_free (server->line, TRUE);
  g_free (server->last_line);
  g_free (server->url);
  g_free (server);
}

/* ── Watching it ────────────────────────────────────────────────────────── */

static gboolean
shall_quit (void)
{
  gboolean quit;

  g_mutex_lock (&models.lock);
  quit = models.quit;
  g_mutex_unlock (&models.lock);
  return quit;
}

static void
wait_for_output (Server *server, int timeout_ms)
{
  GPollFD fds[2] = {{.fd = models.wakeup, .events = G_IO_IN}, {.fd = server->output, .events = G_IO_IN}};
  guint64 count;

  g_poll (fds, 2, timeout_ms);
  if ((fds[0].revents & G_IO_IN) && read (models.wakeup, &count, sizeof count) < 0 && errno != EAGAIN)
    g_warning ("%s", g_strerror (errno));
  read_output (server);
}

static Server *
start (char **failure)
{
  gint64 until = g_get_monotonic_time () + START_TIMEOUT;
  Server *server = spawn (failure);

  while (server && !server->url) {
    wait_for_output (server, TICK_MS);
    if (server->url)
      break;
    if (server->ended)
      *failure = g_strdup_printf (_ ("The server of local models does not start%s%s"), server->last_line ? ": " : "",
                                  server->last_line ? server->last_line : "");
    else if (g_get_monotonic_time () > until)
      *failure = g_strdup_printf (_ ("The server of local models was not ready after %d s"),
                                  (int)(START_TIMEOUT / G_USEC_PER_SEC));
    if (*failure || shall_quit ())
      g_clear_pointer (&server, server_free);
  }
  return server;
}

static void
tell (guint64 asked, const char *url, const char *failure)
{
  g_mutex_lock (&models.lock);
  g_free (models.url);
  g_free (models.failure);
  models.url = g_strdup (url);
  models.failure = g_strdup (failure);
  models.tried = asked;
  g_cond_broadcast (&models.changed);
  g_mutex_unlock (&models.lock);
}

/* Returns FALSE when the thread is to end. */
static gboolean
wait_for_need (guint64 *asked)
{
  gboolean needed;

  g_mutex_lock (&models.lock);
  while (!models.quit && models.asked == models.tried)
    g_cond_wait (&models.changed, &models.lock);
  needed = !models.quit;
  *asked = models.asked;
  g_mutex_unlock (&models.lock);
  return needed;
}

static gpointer
watch_thread (gpointer user_data)
{
  gint64 not_before = 0;
  guint64 asked;

  while (wait_for_need (&asked)) {
    g_autofree char *failure = NULL;
    Server *server;

    /* One that dies as soon as it runs must not be started without end. */
    while (g_get_monotonic_time () < not_before && !shall_quit ())
      g_usleep (10000);
    server = start (&failure);
    not_before = g_get_monotonic_time () + RETRY_AFTER;
    tell (asked, server ? server->url : NULL, failure);
    if (!server)
      continue;
    derush_log (DERUSH_LOG_DEBUG, NULL, "Started derush-models %d", server->pid);
    while (!server->ended && !shall_quit ())
      wait_for_output (server, -1);
    if (server->ended && !shall_quit ())
      derush_log (DERUSH_LOG_WARN, NULL, "derush-models has ended; it is started again when it is needed: %s",
                  server->last_line ? server->last_line : "-");
    tell (asked, NULL, NULL);
    server_free (server);
  }
  return NULL;
}

/* ── Interface ──────────────────────────────────────────────────────────── */

void
derush_local_models_ref (void)
{
  g_mutex_lock (&models.lock);
  models.users++;
  g_mutex_unlock (&models.lock);
}

static void
wake (void)
{
  guint64 one = 1;

  if (write (models.wakeup, &one, sizeof one) < 0)
    g_warning ("%s", g_strerror (errno));
}

void
derush_local_models_unref (void)
{
  GThread *thread = NULL;

  g_mutex_lock (&models.lock);
  if (--models.users == 0 && models.thread) {
    thread = g_steal_pointer (&models.thread);
    models.quit = TRUE;
    g_cond_broadcast (&models.changed);
    wake ();
  }
  g_mutex_unlock (&models.lock);
  if (!thread)
    return;
  g_thread_join (thread);
  close (models.wakeup);
  g_clear_pointer (&models.failure, g_free);
  g_clear_pointer (&models.token, g_free);
}

static char *
random_token (void)
{
  GString *token = g_string_new (NULL);
  guint8 bytes[32] = {0};

  while (getrandom (bytes, sizeof bytes, 0) != sizeof bytes)
    g_debug ("%s", g_strerror (errno));
  for (guint i = 0; i < sizeof bytes; i++)
    g_string_append_printf (token, "%02x", bytes[i]);
  return g_string_free (token, FALSE);
}

/* With the lock held. */
static void
ensure_thread (void)
{
  if (models.thread)
    return;
  models.quit = FALSE;
  models.token = random_token ();
  derush_log_add_secret (models.token);
  models.wakeup = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  models.thread = g_thread_new ("local models", watch_thread, NULL);
}

/*
 * derush_local_models_start:
 * @config: the settings
 * @local: (out caller-allocates): where it is; nothing if it is not wanted
 * @cancellable: (nullable): ends the waiting
 * @error: return location for an error
 *
 * Waits until it runs. The caller has a reference. Where there are other providers as well, that it does not start is a
 * warning: they are asked without it.
 */
gboolean
derush_local_models_start (DerushConfig *config, DerushLocalModels *local, GCancellable *cancellable, GError **error)
{
  gboolean others = FALSE;
  guint64 ticket;

  if (!derush_local_models_wanted (config))
    return TRUE;
  g_mutex_lock (&models.lock);
  ensure_thread ();
  ticket = models.url ? 0 : ++models.asked;
  g_cond_broadcast (&models.changed);
  while (!models.url && models.tried < ticket && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait_until (&models.changed, &models.lock, g_get_monotonic_time () + TICK_MS * 1000);
  if (models.url) {
    local->url = g_strdup (models.url);
    local->token = g_strdup (models.token);
  } else if (!g_cancellable_set_error_if_cancelled (cancellable, error)) {
    const char *failure = models.failure ? models.failure : _ ("The server of local models has ended");

    others = has_others (config);
    if (others)
      derush_log (DERUSH_LOG_WARN, NULL, "%s", failure);
    else
      g_set_error_literal (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE, failure);
  }
  g_mutex_unlock (&models.lock);
  return local->url != NULL || others;
}
