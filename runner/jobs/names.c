/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <string.h>

/* Room for what is added to it: NAME_MAX is 255 bytes. */
#define MAX_BASE 100

/* Letters, digits, dots, dashes and underscores of @text; everything else becomes a dash. No leading dot or dash. */
static char *
safe_name (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *name = g_string_new (NULL);

  for (const char *p = valid; *p; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    gboolean good = (g_unichar_isalnum (c) && c != 0xFFFD) || c == '.' || c == '-' || c == '_';

    if (name->len + 6 > MAX_BASE)
      break;
    if (good && !(name->len == 0 && (c == '.' || c == '-')))
      g_string_append_unichar (name, c);
    else if (!good && name->len > 0 && name->str[name->len - 1] != '-')
      g_string_append_c (name, '-');
  }
  while (name->len > 0 && (name->str[name->len - 1] == '-' || name->str[name->len - 1] == '.'))
    g_string_truncate (name, name->len - 1);
  return g_string_free (name, FALSE);
}

/* As @id where that is a safe name; otherwise what is left of it, and a hash so that two ids never meet. */
char *
file_name_from_id (const char *id)
{
  g_autofree char *name = safe_name (id), *hash = NULL;

  if (strcmp (name, id) == 0)
    return g_steal_pointer (&name);
  hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, id, -1);
  return g_strdup_printf ("%s%s%.8s", name, *name ? "-" : "", hash);
}

char *
file_name_from_source (const char *source)
{
  g_autofree char *path = NULL, *base = NULL, *name = NULL;
  g_autoptr (GUri) uri = NULL;
  char *dot;

  if (g_path_is_absolute (source))
    path = g_strdup (source);
  else if ((uri = g_uri_parse (source, G_URI_FLAGS_NONE, NULL)))
    path = g_strdup (g_uri_get_path (uri));
  base = g_path_get_basename (path ? path : source);
  dot = strrchr (base, '.');
  if (dot && dot > base)
    *dot = '\0';
  name = safe_name (base);
  return *name ? g_steal_pointer (&name) : g_strdup ("film");
}

char *
plan_base_name (DerushPlan *plan)
{
  if (plan->video_id)
    return file_name_from_id (plan->video_id);
  return plan->source ? file_name_from_source (plan->source) : g_strdup ("film");
}

char *
derush_plan_get_result_name (DerushPlan *plan)
{
  g_autofree char *base = plan_base_name (plan), *type = g_ascii_strdown (plan->job_type ? plan->job_type : "job", -1);

  g_strdelimit (type, "_", '-');
  return g_strdup_printf ("%s-%s-result.json", base, type);
}
