/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "daemon-private.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>

static void
test_socket (gconstpointer abstract)
{
  g_autofree char *folder = g_dir_make_tmp ("derush-notify-XXXXXX", NULL),
                  *path = g_build_filename (folder, "socket", NULL), *name = g_strdup (path);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char text[64] = {0};
  int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (GPOINTER_TO_INT (abstract))
    name[0] = '@';
  memcpy (address.sun_path, name, strlen (name));
  if (GPOINTER_TO_INT (abstract))
    address.sun_path[0] = '\0';
  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, offsetof (struct sockaddr_un, sun_path) + strlen (name)), ==,
                   0);
  g_setenv ("NOTIFY_SOCKET", name, TRUE);
  derush_daemon_notify ("READY=1\nSTATUS=here");
  g_assert_cmpint (recv (fd, text, sizeof text - 1, 0), ==, 19);
  g_assert_cmpstr (text, ==, "READY=1\nSTATUS=here");
  close (fd);
  g_unlink (path);
  g_rmdir (folder);
}

/* Nobody listens, or the name is none: nothing happens. */
static void
test_nobody (void)
{
  g_autofree char *long_name = g_strnfill (200, 'x');
  const char *const names[] = {"", "/", "relative", "/nowhere/at/all", long_name};

  g_unsetenv ("NOTIFY_SOCKET");
  derush_daemon_notify ("READY=1");
  long_name[0] = '/';
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_setenv ("NOTIFY_SOCKET", names[i], TRUE);
    derush_daemon_notify ("READY=1");
  }
}

static void
test_watchdog (void)
{
  g_autofree char *own = g_strdup_printf ("%d", (int)getpid ());
  const struct {
    const char *usec, *pid;
    guint interval;
  } cases[] = {
      {NULL, NULL, 0}, {"30000000", NULL, 15000}, {"30000000", own, 15000}, {"30000000", "1", 0},
      {"0", own, 0},   {"soon", own, 0},          {"1000", own, 1},         {"30000000", "me", 0},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_unsetenv ("WATCHDOG_USEC");
    g_unsetenv ("WATCHDOG_PID");
    if (cases[i].usec)
      g_setenv ("WATCHDOG_USEC", cases[i].usec, TRUE);
    if (cases[i].pid)
      g_setenv ("WATCHDOG_PID", cases[i].pid, TRUE);
    g_assert_cmpuint (derush_daemon_watchdog_interval (), ==, cases[i].interval);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/daemon/notify/systemd-hears-it", GINT_TO_POINTER (FALSE), test_socket);
  g_test_add_data_func ("/daemon/notify/by-an-abstract-name-too", GINT_TO_POINTER (TRUE), test_socket);
  g_test_add_func ("/daemon/notify/without-systemd-nothing-happens", test_nobody);
  g_test_add_func ("/daemon/notify/the-watchdog-is-fed-twice-as-often-as-it-wants", test_watchdog);
  return g_test_run ();
}
