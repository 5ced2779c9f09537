/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The journal's own protocol: a datagram of fields, `NAME=value` or, for values of several lines, the name, their length in
 * 64 bits and the value. See systemd's “Native Journal Protocol”. */

#include "core/log-private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

gboolean
journal_is_stream (int fd, const char *stream)
{
  guint64 device, inode;
  struct stat status;

  return stream && sscanf (stream, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 && fstat (fd, &status) == 0 &&
         status.st_dev == device && status.st_ino == inode;
}

int
journal_connect (const char *path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  if (fd >= 0 && connect (fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close (fd);
    return -1;
  }
  return fd;
}

static void
append_field (GString *entry, const char *name, const char *value)
{
  guint64 length = GUINT64_TO_LE (strlen (value));

  g_string_append (entry, name);
  if (strchr (value, '\n')) {
    g_string_append_c (entry, '\n');
    g_string_append_len (entry, (const char *)&length, sizeof length);
  } else {
    g_string_append_c (entry, '=');
  }
  g_string_append (entry, value);
  g_string_append_c (entry, '\n');
}

/* `jobId` becomes DERUSH_JOB_ID. */
static char *
field_name (const char *member)
{
  GString *name = g_string_new ("DERUSH_");

  for (const char *p = member; *p; p++) {
    if (g_ascii_isupper (*p))
      g_string_append_c (name, '_');
    g_string_append_c (name, g_ascii_isalnum (*p) ? g_ascii_toupper (*p) : '_');
  }
  return g_string_free (name, FALSE);
}

static void
append_priority (GString *entry, const char *level)
{
  static const struct {
    const char *level, *priority;
  } priorities[] = {{"error", "3"}, {"warn", "4"}, {"info", "6"}, {"debug", "7"}};

  for (guint i = 0; i < G_N_ELEMENTS (priorities); i++)
    if (strcmp (priorities[i].level, level) == 0)
      append_field (entry, "PRIORITY", priorities[i].priority);
}

gboolean
journal_send (int fd, JsonObject *line)
{
  g_autoptr (GString) entry = g_string_new (NULL);
  JsonObjectIter iter;
  const char *member;
  JsonNode *value;

  append_field (entry, "MESSAGE", derush_json_get_string (line, "message", ""));
  append_priority (entry, derush_json_get_string (line, "level", "info"));
  append_field (entry, "SYSLOG_IDENTIFIER", g_get_prgname () ? g_get_prgname () : "derush");
  json_object_iter_init (&iter, line);
  while (json_object_iter_next (&iter, &member, &value)) {
    g_autofree char *name = field_name (member), *text = NULL;

    if (strcmp (member, "message") == 0 || strcmp (member, "level") == 0 || strcmp (member, "timestamp") == 0)
      continue;
    text = JSON_NODE_HOLDS_VALUE (value) && json_node_get_value_type (value) == G_TYPE_STRING
               ? json_node_dup_string (value)
               : derush_json_node_to_string (value);
    append_field (entry, name, text);
  }
  return send (fd, entry->str, entry->len, MSG_NOSIGNAL) == (gssize)entry->len;
}
