/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What systemd is told (sd_notify(3)); a library for one datagram would be one more thing that can break. */

#include "daemon-private.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* @text: assignments, one a line, such as `READY=1`. Does nothing where nobody listens. */
void
derush_daemon_notify (const char *text)
{
  const char *path = g_getenv ("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  gsize length = path ? strlen (path) : 0;
  int fd;

  if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
    return;
  memcpy (address.sun_path, path, length);
  if (path[0] == '@')
    address.sun_path[0] = '\0';
  fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  if (sendto (fd, text, strlen (text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
              offsetof (struct sockaddr_un, sun_path) + length) < 0)
    derush_log (DERUSH_LOG_DEBUG, NULL, "systemd was not told %s: %s", text, g_strerror (errno));
  close (fd);
}

/* How often systemd wants to hear WATCHDOG=1, in ms; half of what it waits. 0: it does not. */
guint
derush_daemon_watchdog_interval (void)
{
  const char *pid = g_getenv ("WATCHDOG_PID"), *microseconds = g_getenv ("WATCHDOG_USEC");
  guint64 value, process;

  if (!microseconds || !g_ascii_string_to_unsigned (microseconds, 10, 1, G_MAXINT64, &value, NULL))
    return 0;
  if (pid && (!g_ascii_string_to_unsigned (pid, 10, 1, G_MAXINT, &process, NULL) || (pid_t)process != getpid ()))
    return 0;
  return CLAMP (value / 2000, 1, G_MAXINT);
}
