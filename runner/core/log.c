/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A shorter secret would turn up in ordinary words and redact them. */
#define SECRET_MIN_LENGTH 4

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static DerushLogLevel threshold = DERUSH_LOG_INFO;
static GMutex lock;
static GPtrArray *secrets;

/**
 * derush_log_set_level:
 * @level: the least important level that is still written
 */
void
derush_log_set_level (DerushLogLevel level)
{
  threshold = level;
}

/* The password inside a URL such as postgresql://user:password@host/db, or NULL. */
static char *
password_of_url (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_PARSE_RELAXED, NULL);

  return uri ? g_strdup (g_uri_get_password (uri)) : NULL;
}

/**
 * derush_log_add_secret:
 * @secret: (nullable): a value that must never be written; of a URL its password is kept secret as well
 */
void
derush_log_add_secret (const char *secret)
{
  g_autofree char *password = NULL;

  if (!secret || strlen (secret) < SECRET_MIN_LENGTH)
    return;
  password = password_of_url (secret);
  g_mutex_lock (&lock);
  if (!secrets)
    secrets = g_ptr_array_new_with_free_func (g_free);
  if (!g_ptr_array_find_with_equal_func (secrets, secret, g_str_equal, NULL)) {
    g_ptr_array_add (secrets, g_strdup (secret));
    if (password && strlen (password) >= SECRET_MIN_LENGTH)
      g_ptr_array_add (secrets, g_steal_pointer (&password));
  }
  g_mutex_unlock (&lock);
}

/**
 * derush_log_redact:
 * @text: (nullable): a text for people or logs
 *
 * Returns: (transfer full) (nullable): @text with every known secret replaced
 */
char *
derush_log_redact (const char *text)
{
  g_autoptr (GString) string = NULL;

  if (!text)
    return NULL;
  string = g_string_new (text);
  g_mutex_lock (&lock);
  for (guint i = 0; secrets && i < secrets->len; i++)
    g_string_replace (string, secrets->pdata[i], "[redacted]", 0);
  g_mutex_unlock (&lock);
  return g_string_free (g_steal_pointer (&string), FALSE);
}

static void
write_line (const char *line, gsize length)
{
  while (length > 0) {
    gssize written = write (STDERR_FILENO, line, length);

    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return;
    line += written;
    length -= written;
  }
}

/**
 * derush_log:
 * @level: how important it is
 * @fields: (transfer full) (nullable): more members of the line: jobId, jobType, queue, step, attempt, workflowId,
 *   processingTime, result
 * @format: the message, as for printf()
 * @...: its arguments
 *
 * Writes one JSON line to stderr: level, message, timestamp, then @fields. Known secrets are replaced by value.
 */
void
derush_log (DerushLogLevel level, JsonObject *fields, const char *format, ...)
{
  g_autoptr (JsonObject) line = NULL, extra = fields;
  g_autofree char *message = NULL, *now = NULL, *text = NULL, *redacted = NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;
  va_list args;

  if (level > threshold)
    return;
  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  now = derush_time_to_iso8601 (derush_time_now_ms ());
  line = json_object_new ();
  json_object_set_string_member (line, "level", level_names[level]);
  json_object_set_string_member (line, "message", message);
  json_object_set_string_member (line, "timestamp", now);
  if (extra) {
    json_object_iter_init (&iter, extra);
    while (json_object_iter_next (&iter, &name, &value))
      json_object_set_member (line, name, json_node_copy (value));
  }
  text = derush_json_object_to_string (line);
  redacted = derush_log_redact (text);
  g_autofree char *whole = g_strconcat (redacted, "\n", NULL);
  write_line (whole, strlen (whole));
}
