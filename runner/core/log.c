/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/log-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A shorter secret would turn up in ordinary words and redact them. */
#define SECRET_MIN_LENGTH 4

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static int threshold = DERUSH_LOG_INFO;
static const char *debug_patterns; /* kept for as long as the process lives: other threads read it */
static GMutex lock;
static GPtrArray *secrets; /* the longest first: one may be a part of another */

/**
 * derush_log_set_level:
 * @level: the least important level that is still written
 */
void
derush_log_set_level (DerushLogLevel level)
{
  g_atomic_int_set (&threshold, level);
}

/* ── What is debugged ───────────────────────────────────────────────────── */

/* `../runner/bullmq/keeper.c` is `derush:bullmq:keeper`. */
static char *
namespace_of (const char *file)
{
  g_autofree char *base = g_path_get_basename (file), *folder = g_path_get_dirname (file),
                  *room = g_path_get_basename (folder);
  char *dot = strrchr (base, '.');

  if (dot)
    *dot = '\0';
  return g_strconcat ("derush:", room, ":", base, NULL);
}

/* A pattern means what is below it as well. */
static gboolean
pattern_matches (const char *pattern, const char *name)
{
  g_autofree char *below = g_strconcat (pattern, ":*", NULL);

  return g_pattern_match_simple (pattern, name) || g_pattern_match_simple (below, name);
}

gboolean
log_patterns_match (const char *patterns, const char *file)
{
  g_auto (GStrv) words = g_strsplit_set (patterns, ", \t", -1);
  g_autofree char *name = namespace_of (file);
  gboolean matches = FALSE;

  for (guint i = 0; words[i]; i++) {
    if (words[i][0] == '-' && pattern_matches (words[i] + 1, name))
      return FALSE;
    matches |= words[i][0] != '\0' && words[i][0] != '-' && pattern_matches (words[i], name);
  }
  return matches;
}

/**
 * derush_log_set_debug:
 * @patterns: (nullable): what is written of level debug whatever derush_log_set_level() says: names such as
 *   `derush:bullmq` or `derush:steps:process`, separated by commas or spaces, `*` for any characters, a minus sign in front
 *   of what is not wanted. Empty: those of the environment variable `DEBUG`, which Node programs share.
 */
void
derush_log_set_debug (const char *patterns)
{
  const char *shared = g_getenv ("DEBUG");
  const char *wanted = patterns && *patterns ? patterns : shared;

  g_atomic_pointer_set (&debug_patterns, wanted && *wanted ? g_intern_string (wanted) : NULL);
}

static gboolean
is_wanted (DerushLogLevel level, const char *file)
{
  const char *patterns;

  if ((int)level <= g_atomic_int_get (&threshold))
    return TRUE;
  patterns = level == DERUSH_LOG_DEBUG ? g_atomic_pointer_get (&debug_patterns) : NULL;
  return patterns && log_patterns_match (patterns, file);
}

/* ── Secrets ────────────────────────────────────────────────────────────── */

/* The password inside a URL such as postgresql://user:password@host/db, or NULL. */
static char *
password_of_url (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_PARSE_RELAXED, NULL);

  return uri ? g_strdup (g_uri_get_password (uri)) : NULL;
}

static int
compare_lengths (gconstpointer a, gconstpointer b)
{
  gsize length_a = strlen (*(const char *const *)a), length_b = strlen (*(const char *const *)b);

  return (length_a < length_b) - (length_a > length_b);
}

static void
keep_secret (const char *secret)
{
  if (strlen (secret) < SECRET_MIN_LENGTH || g_ptr_array_find_with_equal_func (secrets, secret, g_str_equal, NULL))
    return;
  g_ptr_array_add (secrets, g_strdup (secret));
  g_ptr_array_sort (secrets, compare_lengths);
}

/* As it stands in a text, in JSON and in an address. */
static void
keep_forms (const char *secret)
{
  g_autoptr (JsonNode) node = json_node_init_string (json_node_alloc (), secret);
  g_autofree char *quoted = derush_json_node_to_string (node), *inside = g_strndup (quoted + 1, strlen (quoted) - 2),
                  *escaped = g_uri_escape_string (secret, NULL, FALSE);

  keep_secret (secret);
  keep_secret (inside);
  keep_secret (escaped);
}

/**
 * derush_log_add_secret:
 * @secret: (nullable): a value that must never be written, be it plain, in JSON or in an address; of a URL its password
 *   is kept secret as well
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
  keep_forms (secret);
  if (password)
    keep_forms (password);
  g_mutex_unlock (&lock);
}

/* Whoever has a signed address has what it leads to. */
static char *
redact_addresses (const char *text)
{
  static gsize user, query;
  g_autofree char *without_user = NULL;

  if (!strstr (text, "://"))
    return g_strdup (text);
  if (g_once_init_enter (&user))
    g_once_init_leave (&user, (gsize)g_regex_new ("(https?://)[^\\s/?#\"]*@", G_REGEX_RAW | G_REGEX_CASELESS, 0, NULL));
  if (g_once_init_enter (&query))
    g_once_init_leave (&query, (gsize)g_regex_new ("(https?://[^\\s?#\"]*)\\?[^\\s\"\\xe2]+",
                                                   G_REGEX_RAW | G_REGEX_CASELESS, 0, NULL));
  without_user = g_regex_replace ((GRegex *)user, text, -1, 0, "\\1[redacted]@", 0, NULL);
  return g_regex_replace ((GRegex *)query, without_user ? without_user : text, -1, 0, "\\1?[redacted]", 0, NULL);
}

/**
 * derush_log_redact:
 * @text: (nullable): a text for people or logs
 *
 * Returns: (transfer full) (nullable): @text with every known secret replaced, and users, passwords and queries of
 *   addresses
 */
char *
derush_log_redact (const char *text)
{
  g_autoptr (GString) string = NULL;
  g_autofree char *plain = NULL;

  if (!text)
    return NULL;
  plain = redact_addresses (text);
  string = g_string_new (plain ? plain : text);
  g_mutex_lock (&lock);
  for (guint i = 0; secrets && i < secrets->len; i++)
    g_string_replace (string, secrets->pdata[i], "[redacted]", 0);
  g_mutex_unlock (&lock);
  return g_string_free (g_steal_pointer (&string), FALSE);
}

/* ── Lines ──────────────────────────────────────────────────────────────── */

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

/* The journal's socket, if stderr leads there; -1: it does not. */
static int
journal (void)
{
  static gsize known;
  static int fd;

  if (g_once_init_enter (&known)) {
    fd = journal_is_stream (STDERR_FILENO, g_getenv ("JOURNAL_STREAM")) ? journal_connect (JOURNAL_SOCKET) : -1;
    g_once_init_leave (&known, 1);
  }
  return fd;
}

static gboolean
write_to_journal (const char *text)
{
  g_autoptr (JsonObject) line = journal () >= 0 ? derush_json_parse_object (text, -1, NULL) : NULL;

  return line && journal_send (journal (), line);
}

/**
 * derush_log:
 * @level: how important it is
 * @fields: (transfer full) (nullable): more members of the line: jobId, jobType, queue, step, attempt, workflowId,
 *   correlationId, processingTime, result
 * @...: the message, as for printf(), and its arguments
 *
 * Writes one JSON line to stderr: level, message, timestamp, then @fields. Known secrets are replaced by value. Where stderr
 * is the journal, it gets an entry with the message and the members as fields (`DERUSH_JOB_ID`, …). Lines of level debug have
 * a `namespace` that tells where they are from.
 */

/**
 * derush_log_at:
 * @file: what derush_log() sets to the source file
 * @level: how important it is
 * @fields: (transfer full) (nullable): more members of the line
 * @format: the message, as for printf()
 * @...: its arguments
 *
 * What derush_log() calls.
 */
void
derush_log_at (const char *file, DerushLogLevel level, JsonObject *fields, const char *format, ...)
{
  g_autoptr (JsonObject) line = NULL, extra = fields;
  g_autofree char *message = NULL, *now = NULL, *text = NULL, *redacted = NULL, *whole = NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;
  va_list args;

  if (!is_wanted (level, file))
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
  if (level == DERUSH_LOG_DEBUG) {
    g_autofree char *from = namespace_of (file);

    json_object_set_string_member (line, "namespace", from);
  }
  text = derush_json_object_to_string (line);
  redacted = derush_log_redact (text);
  if (write_to_journal (redacted))
    return;
  whole = g_strconcat (redacted, "\n", NULL);
  write_line (whole, strlen (whole));
}
