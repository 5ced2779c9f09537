/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/wire-private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

#define CHUNK 65536

GQuark
derush_steps_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-steps-error-quark");

    derush_error_domain_register_extended (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

/* Takes over @fd. */
DerushWire *
derush_wire_new (int fd)
{
  DerushWire *wire = g_new0 (DerushWire, 1);

  wire->fd = fd;
  g_mutex_init (&wire->lock);
  wire->received = g_byte_array_new ();
  wire->fds = g_array_new (FALSE, FALSE, sizeof (int));
  return wire;
}

void
derush_wire_free (DerushWire *wire)
{
  int fd;

  while ((fd = derush_wire_take_fd (wire)) >= 0)
    close (fd);
  close (wire->fd);
  g_array_unref (wire->fds);
  g_byte_array_unref (wire->received);
  g_mutex_clear (&wire->lock);
  g_free (wire);
}

/* The descriptors go with the first byte; a later part of the line carries none. */
static gssize
send_part (int socket, const char *data, gsize length, const int *fds, guint n_fds)
{
  union {
    char bytes[CMSG_SPACE (sizeof (int) * DERUSH_STEP_FDS_MAX)];
    struct cmsghdr align;
  } control = {0};
  struct iovec part = {.iov_base = (void *)data, .iov_len = length};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

  if (n_fds > 0) {
    struct cmsghdr *rights;

    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE (sizeof (int) * n_fds);
    rights = CMSG_FIRSTHDR (&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN (sizeof (int) * n_fds);
    memcpy (CMSG_DATA (rights), fds, sizeof (int) * n_fds);
  }
  return sendmsg (socket, &header, MSG_NOSIGNAL);
}

gboolean
derush_wire_send (DerushWire *wire, JsonObject *message, const int *fds, guint n_fds, GError **error)
{
  g_autofree char *text = derush_json_object_to_string (message);
  g_autofree char *line = g_strconcat (text, "\n", NULL);
  gsize length = strlen (line), sent = 0;
  int number = 0;

  if (length > DERUSH_STEP_LINE_MAX || n_fds > DERUSH_STEP_FDS_MAX) {
    g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
                 _ ("A message between the runner and its worker is too long: %zu bytes"), length);
    return FALSE;
  }
  g_mutex_lock (&wire->lock);
  while (sent < length) {
    gssize part = send_part (wire->fd, line + sent, length - sent, fds, sent == 0 ? n_fds : 0);

    if (part < 0 && errno == EINTR)
      continue;
    if (part < 0) {
      number = errno;
      break;
    }
    sent += part;
  }
  g_mutex_unlock (&wire->lock);
  if (sent == length)
    return TRUE;
  g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE,
               _ ("The worker and its runner can no longer talk to each other: %s"), g_strerror (number));
  return FALSE;
}

static void
keep_fds (DerushWire *wire, struct msghdr *header)
{
  for (struct cmsghdr *rights = CMSG_FIRSTHDR (header); rights; rights = CMSG_NXTHDR (header, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
      continue;
    for (gsize i = 0; i < (rights->cmsg_len - CMSG_LEN (0)) / sizeof (int); i++) {
      int fd;

      memcpy (&fd, CMSG_DATA (rights) + i * sizeof (int), sizeof (int));
      g_array_append_val (wire->fds, fd);
    }
  }
}

/* What is in the socket now, at most one chunk. */
static DerushWireStatus
read_chunk (DerushWire *wire, GError **error)
{
  union {
    char bytes[CMSG_SPACE (sizeof (int) * DERUSH_STEP_FDS_MAX)];
    struct cmsghdr align;
  } control;
  g_autofree char *chunk = g_malloc (CHUNK);
  struct iovec part = {.iov_base = chunk, .iov_len = CHUNK};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes};
  gssize length;

  header.msg_controllen = sizeof control.bytes;
  do
    length = recvmsg (wire->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return DERUSH_WIRE_AGAIN;
  if (length <= 0)
    return DERUSH_WIRE_CLOSED;
  keep_fds (wire, &header);
  if ((header.msg_flags & MSG_CTRUNC) || wire->fds->len > DERUSH_STEP_FDS_MAX) {
    g_set_error_literal (
        error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
        _ ("The protocol between the runner and its worker was broken: too many open files were sent"));
    return DERUSH_WIRE_BROKEN;
  }
  g_byte_array_append (wire->received, (guint8 *)chunk, length);
  return DERUSH_WIRE_LINE;
}

static gboolean
take_line (DerushWire *wire, char **line, gsize *length)
{
  const guint8 *start = wire->received->data;
  const guint8 *end;

  if (wire->received->len == wire->scanned)
    return FALSE;
  end = memchr (start + wire->scanned, '\n', wire->received->len - wire->scanned);
  if (!end) {
    wire->scanned = wire->received->len;
    return FALSE;
  }
  *length = end - start;
  *line = g_strndup ((const char *)start, *length);
  g_byte_array_remove_range (wire->received, 0, *length + 1);
  wire->scanned = 0;
  return TRUE;
}

/* Never blocks. */
DerushWireStatus
derush_wire_receive (DerushWire *wire, JsonObject **message, GError **error)
{
  for (;;) {
    g_autofree char *line = NULL;
    g_autoptr (GError) local = NULL;
    DerushWireStatus status;
    gsize length;

    if (take_line (wire, &line, &length)) {
      *message = derush_json_parse_object (line, length, &local);
      if (*message)
        return DERUSH_WIRE_LINE;
      g_set_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
                   _ ("The protocol between the runner and its worker was broken: %s"), local->message);
      return DERUSH_WIRE_BROKEN;
    }
    if (wire->received->len >= DERUSH_STEP_LINE_MAX) {
      g_set_error_literal (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_INTERNAL,
                           _ ("The protocol between the runner and its worker was broken: a line is too long"));
      return DERUSH_WIRE_BROKEN;
    }
    status = read_chunk (wire, error);
    if (status != DERUSH_WIRE_LINE)
      return status;
  }
}

/* The next descriptor that came, or -1. */
int
derush_wire_take_fd (DerushWire *wire)
{
  int fd;

  if (wire->fds->len == 0)
    return -1;
  fd = g_array_index (wire->fds, int, 0);
  g_array_remove_index (wire->fds, 0);
  return fd;
}
