/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What platforms take of text, and how a text is made to fit. */

#include "models/actions/text-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define DEFAULT_HASHTAGS 10
#define MAX_TAG 60

/* ── Limits ─────────────────────────────────────────────────────────────── */

/* Which limit of a platform's file a text of this type has to keep; the last are those without a platform. */
static const struct {
  const char *type, *key;
  guint usual;
} kinds[] = {
    {"TITLE", "title", 100},      {"HOOK", "title", 150},     {"DESCRIPTION", "description", 5000},
    {"CAPTION", "caption", 2200}, {"STORY", "caption", 2200}, {"REEL", "caption", 2200},
    {"SHORT", "caption", 2200},   {"POST", "post", 3000},     {"LIVE", "post", 3000},
    {"THREAD", "post", 280},      {"HASHTAGS", "caption", 0}, {"SCRIPT", NULL, 0},
    {"ARTICLE", NULL, 0},         {"NEWSLETTER", NULL, 0},
};

/* The user's own come first, as for the media worker. */
static char *
find_platform (const char *name)
{
  const char *own = g_getenv ("DERUSH_PLATFORMS_DIR"), *data = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *lower = g_ascii_strdown (name, -1),
                  *file = g_strconcat (g_strdelimit (lower, "_", '-'), ".ini", NULL);
  g_autofree char *mine = own && *own ? g_build_filename (own, file, NULL) : NULL;
  char *ours = g_build_filename (data && *data ? data : DERUSH_PKGDATADIR, "platforms", file, NULL);

  if (!mine || !g_file_test (mine, G_FILE_TEST_IS_REGULAR))
    return ours;
  g_free (ours);
  return g_steal_pointer (&mine);
}

static void
add_names (GPtrArray *names, const char *folder)
{
  g_autoptr (GDir) directory = folder && *folder ? g_dir_open (folder, 0, NULL) : NULL;
  const char *file;

  while (directory && (file = g_dir_read_name (directory))) {
    g_autofree char *name = g_ascii_strup (file, -1);

    if (!g_str_has_suffix (file, ".ini"))
      continue;
    name[strlen (name) - strlen (".ini")] = '\0';
    g_strdelimit (name, "-", '_');
    if (!g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL))
      g_ptr_array_add (names, g_steal_pointer (&name));
  }
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* As a job names them: `FACEBOOK, INSTAGRAM` */
static char *
list_platforms (void)
{
  const char *data = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *ours = g_build_filename (data && *data ? data : DERUSH_PKGDATADIR, "platforms", NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  add_names (names, g_getenv ("DERUSH_PLATFORMS_DIR"));
  add_names (names, ours);
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  return g_strjoinv (", ", (char **)names->pdata);
}

static guint
read_limit (GKeyFile *file, const char *key)
{
  int limit = key ? g_key_file_get_integer (file, "text", key, NULL) : 0;

  return limit > 0 ? (guint)limit : 0;
}

gboolean
derush_text_limits_load (DerushTextLimits *limits, const char *platform, const char *type, guint max, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *path = platform ? find_platform (platform) : NULL;
  g_autoptr (GError) failure = NULL;
  const char *key = NULL;

  *limits = (DerushTextLimits){0, DEFAULT_HASHTAGS};
  if (path && !g_file_test (path, G_FILE_TEST_IS_REGULAR)) {
    g_autofree char *names = list_platforms ();

    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no platform “%s”; there are: %s"),
                 platform, names);
    return FALSE;
  }
  if (path && !g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &failure)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL,
                 _ ("The file of the platform “%s” is damaged; mend it or install it again: %s"), platform,
                 failure->message);
    return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_strcmp0 (kinds[i].type, type) == 0) {
      key = kinds[i].key;
      limits->characters = path ? read_limit (file, key) : kinds[i].usual;
    }
  if (path && read_limit (file, "hashtags") > 0)
    limits->hashtags = read_limit (file, "hashtags");
  if (max > 0)
    limits->characters = limits->characters > 0 ? MIN (limits->characters, max) : max;
  return TRUE;
}

/* ── Fitting ────────────────────────────────────────────────────────────── */

char *
derush_text_cut (const char *text, guint characters)
{
  const char *end, *p;

  if ((guint)g_utf8_strlen (text, -1) <= characters)
    return g_strdup (text);
  /* Room for the sign that something is missing. */
  end = g_utf8_offset_to_pointer (text, characters > 0 ? characters - 1 : 0);
  for (p = end; p > text && !g_unichar_isspace (g_utf8_get_char (p)); p = g_utf8_prev_char (p))
    ;
  /* One word that is longer than all of it, or a script without blanks. */
  if (p - text < (end - text) / 2)
    p = end;
  while (p > text) {
    const char *before = g_utf8_prev_char (p);
    gunichar c = g_utf8_get_char (before);

    if (!g_unichar_isspace (c) && c != ',' && c != ';' && c != ':' && c != '-')
      break;
    p = before;
  }
  {
    g_autofree char *head = g_strndup (text, p - text);

    return characters > 0 ? g_strconcat (head, "…", NULL) : g_strdup ("");
  }
}

/* Letters, digits and what joins them; nothing else is a part of a tag anywhere. */
static char *
tag_of (const char *text)
{
  g_autoptr (GString) tag = g_string_new ("#");

  for (const char *p = text; *p && tag->len < MAX_TAG; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (g_unichar_isalnum (c) || g_unichar_ismark (c) || c == '_')
      g_string_append_unichar (tag, c);
  }
  return tag->len > 1 ? g_strdup (tag->str) : NULL;
}

static void
add_tags (JsonArray *tags, GHashTable *seen, JsonArray *from, guint max)
{
  for (guint i = 0; from && i < json_array_get_length (from) && json_array_get_length (tags) < max; i++) {
    JsonNode *node = json_array_get_element (from, i);
    g_autofree char *tag = NULL, *folded = NULL;

    if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
      continue;
    tag = tag_of (json_node_get_string (node));
    if (!tag)
      continue;
    folded = g_utf8_casefold (tag, -1);
    if (g_hash_table_add (seen, g_steal_pointer (&folded)))
      json_array_add_string_element (tags, tag);
  }
}

JsonArray *
derush_text_hashtags (JsonArray *first, JsonArray *more, guint max)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  JsonArray *tags = json_array_new ();

  add_tags (tags, seen, first, max);
  add_tags (tags, seen, more, max);
  return tags;
}

/* ── Chapters ───────────────────────────────────────────────────────────── */

static double
time_of_line (const char *line)
{
  g_autoptr (GRegex) regex = g_regex_new ("^\\s*(?:(\\d{1,2}):)?(\\d{1,3}):(\\d{2})(?!\\d)", 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  double time = 0;

  if (!g_regex_match (regex, line, 0, &match))
    return -1;
  for (int i = 1; i <= 3; i++) {
    g_autofree char *part = g_match_info_fetch (match, i);

    time = time * 60 + (part && *part ? g_ascii_strtod (part, NULL) : 0);
  }
  return time;
}

gboolean
derush_text_chapters_check (const char *text, double duration, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  double before = -1;

  for (guint i = 0; lines[i]; i++) {
    double time = time_of_line (lines[i]);
    g_autofree char *line = NULL;

    if (time < 0)
      continue;
    line = derush_text_cut (lines[i], 60);
    if (before < 0 && time > 0) {
      g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                   _ ("The first chapter must begin at 0:00, but it is “%s”"), line);
      return FALSE;
    }
    if (time <= before) {
      g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                   _ ("The times of chapters must ascend, but “%s” does not begin after the one before"), line);
      return FALSE;
    }
    if (duration > 0 && time >= duration) {
      g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                   _ ("The chapter “%s” begins after the end of the film, at %.1f s"), line, duration);
      return FALSE;
    }
    before = time;
  }
  return TRUE;
}
