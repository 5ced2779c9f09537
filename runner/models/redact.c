/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <string.h>

/* As much of a key as nobody writes by chance; of a key that is long enough to be one. */
#define PART_LENGTH 8
#define KEY_LENGTH 12

#define REDACTED "[redacted]"

static GMutex lock;
static GPtrArray *keys;

/*
 * model_redact_add_key:
 * @key: (nullable): of a provider
 *
 * From now on model_redact() knows it, and parts of it.
 */
void
model_redact_add_key (const char *key)
{
  if (!key || strlen (key) < KEY_LENGTH || !g_str_is_ascii (key))
    return;
  g_mutex_lock (&lock);
  if (!keys)
    keys = g_ptr_array_new_with_free_func (g_free);
  if (!g_ptr_array_find_with_equal_func (keys, key, g_str_equal, NULL))
    g_ptr_array_add (keys, g_strdup (key));
  g_mutex_unlock (&lock);
}

/* Returns: how much of @text is a part of @key */
static gsize
common_length (const char *text, const char *key)
{
  gsize longest = 0;

  for (const char *p = key; *p; p++) {
    gsize length = 0;

    while (p[length] && p[length] == text[length])
      length++;
    longest = MAX (longest, length);
  }
  return longest;
}

static char *
redact_parts (const char *text)
{
  GString *redacted = g_string_new (NULL);
  const char *p = text;

  g_mutex_lock (&lock);
  while (*p) {
    gsize length = 0;

    for (guint i = 0; keys && i < keys->len; i++)
      length = MAX (length, common_length (p, keys->pdata[i]));
    if (length >= PART_LENGTH) {
      g_string_append (redacted, REDACTED);
      p += length;
    } else {
      g_string_append_c (redacted, *p++);
    }
  }
  g_mutex_unlock (&lock);
  return g_string_free (redacted, FALSE);
}

/*
 * model_redact:
 *
 * Returns: (transfer full): @text without known secrets, without parts of keys and without what looks like a key: servers
 *   show a part of a wrong key
 */
char *
model_redact (const char *text)
{
  static GRegex *pattern;
  static gsize made;
  g_autofree char *known = derush_log_redact (text), *whole = NULL;

  if (g_once_init_enter (&made)) {
    pattern =
        g_regex_new ("(?i)(bearer\\s+)[^\\s\"',;]+|\\b(?:sk|hf|gsk|pk|rk)[-_][A-Za-z0-9_*.-]{6,}|"
                     "(?<=://)[^/@\\s]+@|(?<=[?&])(?:api[-_]?key|key|token|signature|sig|x-amz-[a-z-]+)=[^&\\s\"']+",
                     G_REGEX_OPTIMIZE, 0, NULL);
    g_once_init_leave (&made, 1);
  }
  whole = g_regex_replace (pattern, known, -1, 0, "\\1" REDACTED, 0, NULL);
  return redact_parts (whole);
}

/*
 * model_redact_masked:
 *
 * Returns: (transfer full): as model_redact(), and without what a server has left of a key between asterisks or dots; of what
 *   is no message of an error, this takes more than keys
 */
char *
model_redact_masked (const char *text)
{
  static GRegex *pattern;
  static gsize made;
  g_autofree char *unmasked = NULL;

  if (g_once_init_enter (&made)) {
    pattern = g_regex_new ("[A-Za-z0-9_.-]*\\*{3,}[A-Za-z0-9_*.-]*|\\b[A-Za-z0-9_-]{3,}(?:…|\\.{3,})[A-Za-z0-9_-]{3,}",
                           G_REGEX_OPTIMIZE, 0, NULL);
    g_once_init_leave (&made, 1);
  }
  unmasked = g_regex_replace (pattern, text, -1, 0, REDACTED, 0, NULL);
  return model_redact (unmasked);
}
