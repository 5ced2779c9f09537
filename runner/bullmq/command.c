/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/connection-private.h"

#include <string.h>

/* Room in front of the arguments for "*<their number>\r\n". */
#define HEADER_ROOM 16
#define DEFAULT_PATIENCE (15 * G_TIME_SPAN_SECOND)

BullmqCommand *
bullmq_command_new (const char *name)
{
  BullmqCommand *command = g_new0 (BullmqCommand, 1);

  command->text = g_string_sized_new (512);
  g_string_set_size (command->text, HEADER_ROOM);
  command->patience = DEFAULT_PATIENCE;
  bullmq_command_add (command, name, -1);
  return command;
}

/* EVALSHA of @script; its keys and then its arguments are still to be added. */
BullmqCommand *
bullmq_command_new_script (BullmqScriptId id)
{
  BullmqCommand *command = bullmq_command_new ("EVALSHA");

  command->script = bullmq_script_get (id);
  bullmq_command_add (command, command->script->sha1, -1);
  bullmq_command_add_int (command, command->script->n_keys);
  return command;
}

void
bullmq_command_free (BullmqCommand *command)
{
  g_string_free (command->text, TRUE);
  g_free (command);
}

static void
begin_argument (BullmqCommand *command, gsize length)
{
  char head[32];
  int n = g_snprintf (head, sizeof head, "$%" G_GSIZE_FORMAT "\r\n", length);

  g_string_append_len (command->text, head, n);
  command->n_arguments++;
}

void
bullmq_command_add (BullmqCommand *command, const void *bytes, gssize length)
{
  if (length < 0)
    length = strlen (bytes);
  begin_argument (command, length);
  g_string_append_len (command->text, bytes, length);
  g_string_append_len (command->text, "\r\n", 2);
}

void
bullmq_command_add_int (BullmqCommand *command, gint64 value)
{
  char text[24];
  int n = g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, value);

  bullmq_command_add (command, text, n);
}

/* The queue's base key and @name, which may be a job's id of any bytes, as one argument. */
void
bullmq_command_add_key (BullmqCommand *command, const char *base, const char *name, gssize length)
{
  gsize base_length = strlen (base);

  if (length < 0)
    length = strlen (name);
  begin_argument (command, base_length + length);
  g_string_append_len (command->text, base, base_length);
  g_string_append_len (command->text, name, length);
  g_string_append_len (command->text, "\r\n", 2);
}

void
bullmq_command_add_keys (BullmqCommand *command, const char *base, const char *const *names)
{
  for (guint i = 0; names[i]; i++)
    bullmq_command_add_key (command, base, names[i], -1);
}

const char *
bullmq_command_format (BullmqCommand *command, gsize *length)
{
  char head[HEADER_ROOM + 1];
  int n = g_snprintf (head, sizeof head, "*%u\r\n", command->n_arguments);

  memcpy (command->text->str + HEADER_ROOM - n, head, n);
  *length = command->text->len - HEADER_ROOM + n;
  return command->text->str + HEADER_ROOM - n;
}
