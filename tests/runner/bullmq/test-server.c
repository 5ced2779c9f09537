/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "test-server.h"

#include <signal.h>
#include <sys/prctl.h>

#define PASSWORD "of the tests"

static guint16
free_port (void)
{
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();
  guint16 port = g_socket_listener_add_any_inet_port (listener, NULL, NULL);

  g_socket_listener_close (listener);
  return port;
}

/* The server does not outlive a test that crashes. */
static void
end_with_parent (gpointer user_data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

/* Without @launch nobody answers at the address. */
void
test_server_start (TestServer *server, gboolean launch)
{
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_autoptr (GError) error = NULL;
  g_autofree char *port = NULL;

  server->folder = g_dir_make_tmp ("derush-queue-XXXXXX", NULL);
  server->address = g_new0 (DerushRedisAddress, 1);
  server->address->host = g_strdup ("localhost");
  server->address->port = free_port ();
  server->address->password = g_strdup (PASSWORD);
  server->address->db = 3;
  if (!launch)
    return;
  port = g_strdup_printf ("%u", server->address->port);
  g_subprocess_launcher_set_child_setup (launcher, end_with_parent, NULL, NULL);
  server->process =
      g_subprocess_launcher_spawn (launcher, &error, "redis-server", "--port", port, "--bind", "127.0.0.1",
                                   "--requirepass", PASSWORD, "--save", "", "--dir", server->folder, NULL);
  g_assert_no_error (error);
}

void
test_server_signal (TestServer *server, int signal)
{
  g_subprocess_send_signal (server->process, signal);
}

void
test_server_stop (TestServer *server)
{
  derush_redis_address_free (server->address);
  if (server->process) {
    test_server_signal (server, SIGCONT);
    test_server_signal (server, SIGTERM);
    g_subprocess_wait (server->process, NULL, NULL);
    g_object_unref (server->process);
  }
  g_assert_true (derush_directory_remove (server->folder, NULL));
  g_free (server->folder);
}
