/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Translation by Apertium, which is executed: pair by pair of languages, over a third one where there is no pair. */

#include "localmodels-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_TEXTS 10000
/* What Apertium's stream gives a meaning. */
#define RESERVED "\\[]{}^$/@<>"
/* Where Debian has the programs of each mode. */
#define MODES "/usr/share/apertium/modes"

/* One way from a language to another, such as `es-pt`. */
typedef struct {
  char *name;
  char *source, *target;
  char *region;  /* of the target, as in es-pt_BR */
  char *missing; /* a program that it needs and that is not there */
} Mode;

static void
mode_free (gpointer data)
{
  Mode *mode = data;

  g_free (mode->name);
  g_free (mode->source);
  g_free (mode->target);
  g_free (mode->region);
  g_free (mode->missing);
  g_free (mode);
}

/* Packages of pairs do not depend on all that they execute. */
static char *
find_missing (const char *name)
{
  g_autofree char *path = g_strdup_printf (MODES "/%s.mode", name), *text = NULL;
  g_auto (GStrv) commands = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return NULL;
  commands = g_strsplit (text, "|", -1);
  for (guint i = 0; commands[i]; i++) {
    char *command = g_strstrip (commands[i]);
    g_autofree char *found = NULL;

    command[strcspn (command, " \t\n")] = '\0';
    if (g_regex_match_simple ("^[a-z][a-z0-9-]*$", command, 0, 0) && !(found = g_find_program_in_path (command)))
      return g_strdup (command);
  }
  return NULL;
}

/* (element-type Mode): what is installed. */
static GPtrArray *
list_modes (GCancellable *cancellable, GError **error)
{
  const char *const arguments[] = {"apertium", "-l", NULL};
  g_autoptr (GBytes) output = NULL;
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  GPtrArray *modes;

  if (!local_run (arguments, NULL, &output, NULL, cancellable, error))
    return NULL;
  text = g_strndup (g_bytes_get_data (output, NULL), g_bytes_get_size (output));
  lines = g_strsplit (text, "\n", -1);
  modes = g_ptr_array_new_with_free_func (mode_free);
  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) ends = g_strsplit (g_strstrip (lines[i]), "-", -1);
    g_autofree char *source = NULL, *target = NULL;
    const char *region;
    Mode *mode;

    if (g_strv_length (ends) != 2)
      continue;
    source = local_language_normalise (ends[0]);
    target = local_language_normalise (ends[1]);
    if (!source || !target || strchr (ends[0], '_'))
      continue;
    region = strchr (ends[1], '_');
    mode = g_new0 (Mode, 1);
    mode->name = g_strdup (lines[i]);
    mode->source = g_steal_pointer (&source);
    mode->target = g_steal_pointer (&target);
    mode->region = region ? g_ascii_strdown (region + 1, -1) : NULL;
    mode->missing = find_missing (mode->name);
    g_ptr_array_add (modes, mode);
  }
  return modes;
}

/* NULL: there is none. One of the target's own region is better than one of none, and that better than one of another. */
static const Mode *
find_mode (GPtrArray *modes, const char *source, const char *target, const char *region)
{
  const Mode *best = NULL;
  int rank = 0;

  for (guint i = 0; i < modes->len; i++) {
    const Mode *mode = g_ptr_array_index (modes, i);
    int here = !mode->region ? 2 : g_strcmp0 (mode->region, region) == 0 ? 3 : 1;

    if (!mode->missing && strcmp (mode->source, source) == 0 && strcmp (mode->target, target) == 0 && here > rank) {
      best = mode;
      rank = here;
    }
  }
  return best;
}

/* One step, or two over a third language: the first in the order of the alphabet. */
static gboolean
find_route (GPtrArray *modes, const char *source, const char *target, const char *region, const Mode *route[2])
{
  route[1] = NULL;
  if ((route[0] = find_mode (modes, source, target, region)))
    return TRUE;
  for (guint i = 0; i < modes->len; i++) {
    const Mode *first = g_ptr_array_index (modes, i);

    if (first->missing || strcmp (first->source, source) != 0 ||
        !(route[1] = find_mode (modes, first->target, target, region)))
      continue;
    route[0] = find_mode (modes, source, first->target, NULL);
    return TRUE;
  }
  return FALSE;
}

/* The Debian package of a pair; NULL: there is none. */
static char *
find_package (const char *source, const char *target)
{
  g_autofree char *path = local_data_path ("apertium-packages.txt", NULL), *contents = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (path, &contents, NULL, NULL))
    return NULL;
  lines = g_strsplit (contents, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) words = g_strsplit (lines[i], " ", -1);

    if (g_strv_length (words) != 3)
      continue;
    if ((strcmp (words[0], source) == 0 && strcmp (words[1], target) == 0) ||
        (strcmp (words[0], target) == 0 && strcmp (words[1], source) == 0))
      return g_strdup (words[2]);
  }
  return NULL;
}

static void
refuse_pair (GPtrArray *modes, const char *source, const char *target, GError **error)
{
  g_autofree char *package = find_package (source, target);

  for (guint i = 0; i < modes->len; i++) {
    const Mode *mode = g_ptr_array_index (modes, i);

    if (!mode->missing || strcmp (mode->source, source) != 0 ||
        (strcmp (mode->target, target) != 0 && !find_mode (modes, mode->target, target, NULL)))
      continue;
    local_set_error (error, DERUSH_ERROR_UNSUPPORTED, "unsupported_language", "target",
                     _ ("The translation from “%s” to “%s” needs a program that is not installed; install the package "
                        "that has it: %s"),
                     source, target, mode->missing);
    return;
  }
  if (package)
    local_set_error (error, DERUSH_ERROR_UNSUPPORTED, "unsupported_language", "target",
                     _ ("The translation from “%s” to “%s” is not installed; install the package %s"), source, target,
                     package);
  else
    local_set_error (error, DERUSH_ERROR_UNSUPPORTED, "unsupported_language", "target",
                     _ ("Apertium has no package that translates from “%s” to “%s”; use a remote provider"), source,
                     target);
}

static void
append_escaped (GString *stream, const char *text, gssize length)
{
  for (gssize i = 0; length < 0 ? text[i] != '\0' : i < length; i++) {
    if (strchr (RESERVED, text[i]))
      g_string_append_c (stream, '\\');
    g_string_append_c (stream, text[i]);
  }
}

static int
compare_lengths (gconstpointer a, gconstpointer b)
{
  gsize x = strlen (a), y = strlen (b);

  return x > y ? -1 : x < y;
}

/* The terms of the glossary, longest first, and what programs fill in or read: none of it is for translation. */
static GRegex *
compile_protected (JsonObject *glossary)
{
  static const char *const marks =
      "\\{\\{.*?\\}\\}|\\$?\\{[^{}\\n]*\\}|%%|%(?:\\d+\\$)?[-+0#]*\\d*(?:\\.\\d+)?(?:l{1,2}|z|h)?[sdiufgxX@]"
      "|</?[A-Za-z][^<>\\n]*>|&[a-z]+;|https?://\\S+|[\\w.+-]+@[\\w-]+\\.[\\w.-]+";
  g_autoptr (GString) pattern = g_string_new (marks);
  g_autoptr (GList) terms = glossary ? json_object_get_members (glossary) : NULL;

  terms = g_list_sort (terms, compare_lengths);
  for (GList *term = terms; term; term = term->next) {
    g_autofree char *escaped = g_regex_escape_string (term->data, -1);

    if (*escaped)
      g_string_append_printf (pattern, "|(?<![\\p{L}\\p{N}])%s(?![\\p{L}\\p{N}])", escaped);
  }
  return g_regex_new (pattern->str, G_REGEX_OPTIMIZE, 0, NULL);
}

static const char *
find_term (JsonObject *glossary, const char *found)
{
  return glossary ? derush_json_get_string (glossary, found, found) : found;
}

/* Protected parts stand in brackets, which Apertium leaves alone. */
static void
append_line (GString *stream, const char *line, GRegex *protected, JsonObject *glossary)
{
  g_autoptr (GMatchInfo) match = NULL;
  int done = 0;

  g_regex_match (protected, line, 0, &match);
  for (; g_match_info_matches (match); g_match_info_next (match, NULL)) {
    g_autofree char *found = g_match_info_fetch (match, 0);
    int start, end;

    g_match_info_fetch_pos (match, 0, &start, &end);
    append_escaped (stream, line + done, start - done);
    g_string_append_c (stream, '[');
    append_escaped (stream, find_term (glossary, found), -1);
    g_string_append_c (stream, ']');
    done = end;
  }
  append_escaped (stream, line + done, -1);
}

/* The lines of all texts, one sentence end after each with its number, so that each is found again. */
static gboolean
run_mode (const Mode *mode, char **lines, guint n, GRegex *protected, JsonObject *glossary, GCancellable *cancellable,
          GError **error)
{
  const char *const arguments[] = {"apertium", "-u", "-f", "none", mode->name, NULL};
  g_autoptr (GString) stream = g_string_new (NULL), line = g_string_new (NULL);
  g_autoptr (GBytes) input = NULL, output = NULL;
  const char *data;
  gsize length;
  guint next = 0;

  for (guint i = 0; i < n; i++) {
    append_line (stream, lines[i], protected, glossary);
    g_string_append_printf (stream, ".[][\n%u\n]", i);
  }
  input = g_bytes_new (stream->str, stream->len);
  if (!local_run (arguments, input, &output, NULL, cancellable, error))
    return FALSE;
  data = g_bytes_get_data (output, &length);
  for (gsize i = 0; i < length; i++) {
    if (data[i] == '\\' && i + 1 < length) {
      g_string_append_c (line, data[++i]);
    } else if (data[i] == '[' && i + 1 < length && data[i + 1] == '\n') {
      guint64 number = g_ascii_strtoull (data + i + 2, NULL, 10);

      /* The sentence end that was added. */
      if (line->len > 0 && line->str[line->len - 1] == '.')
        g_string_truncate (line, line->len - 1);
      if (number != next)
        break;
      g_free (lines[next]);
      lines[next++] = g_strdup (line->str);
      g_string_truncate (line, 0);
      while (i < length && data[i] != ']')
        i++;
    } else if (data[i] != '[' && data[i] != ']') {
      g_string_append_c (line, data[i]);
    }
  }
  if (next == n)
    return TRUE;
  local_set_error (error, DERUSH_ERROR_MODEL, NULL, NULL, _ ("Apertium answered with %u of %u lines"), next, n);
  return FALSE;
}

static gboolean
has_letters (const char *text)
{
  for (const char *at = text; *at; at = g_utf8_next_char (at))
    if (g_unichar_isalpha (g_utf8_get_char (at)))
      return TRUE;
  return FALSE;
}

static gboolean
translate_all (JsonArray *texts, const Mode *const route[2], JsonObject *glossary, JsonArray *results,
               GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GRegex) marks = compile_protected (NULL), with_terms = compile_protected (glossary);
  guint n = json_array_get_length (texts), next = 0;

  for (guint i = 0; i < n; i++) {
    g_auto (GStrv) parts = g_strsplit (json_array_get_string_element (texts, i), "\n", -1);

    for (guint p = 0; parts[p]; p++)
      if (has_letters (parts[p]))
        g_ptr_array_add (lines, g_strdup (parts[p]));
  }
  for (guint step = 0; step < 2 && route[step] && lines->len > 0; step++)
    /* The terms are those of the target: they come with the last step, or they would be translated themselves. */
    if (!run_mode (route[step], (char **)lines->pdata, lines->len, step == 0 ? with_terms : marks,
                   step == 0 ? glossary : NULL, cancellable, error))
      return FALSE;
  for (guint i = 0; i < n; i++) {
    g_auto (GStrv) parts = g_strsplit (json_array_get_string_element (texts, i), "\n", -1);
    g_autofree char *joined = NULL;

    for (guint p = 0; parts[p]; p++) {
      if (!has_letters (parts[p]))
        continue;
      g_free (parts[p]);
      parts[p] = g_strdup (g_ptr_array_index (lines, next++));
    }
    joined = g_strjoinv ("\n", parts);
    json_array_add_string_element (results, joined);
  }
  return TRUE;
}

/* The words of the request that are no strings, or too many of them. */
static gboolean
check_texts (JsonArray *texts, GError **error)
{
  gboolean good = texts && json_array_get_length (texts) <= MAX_TEXTS;

  for (guint i = 0; good && i < json_array_get_length (texts); i++)
    good = json_node_get_value_type (json_array_get_element (texts, i)) == G_TYPE_STRING;
  if (!good)
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_type", "texts",
                     _ ("“texts” must be a list of at most %d strings"), MAX_TEXTS);
  return good;
}

static void
add_code (GPtrArray *codes, const char *code)
{
  if (!g_ptr_array_find_with_equal_func (codes, code, g_str_equal, NULL))
    g_ptr_array_add (codes, (gpointer)code);
}

/* What can be translated into the target is likelier than what cannot. */
static char *
guess_source (JsonArray *texts, GPtrArray *modes, const char *target, const char *region, gboolean *sure)
{
  g_autoptr (GString) all = g_string_new (NULL);
  g_autoptr (GPtrArray) codes = g_ptr_array_new ();
  const Mode *route[2];

  for (guint i = 0; i < modes->len; i++) {
    const char *source = ((const Mode *)g_ptr_array_index (modes, i))->source;

    if (strcmp (source, target) != 0 && find_route (modes, source, target, region, route))
      add_code (codes, source);
  }
  add_code (codes, target);
  for (guint i = 0; i < modes->len; i++)
    add_code (codes, ((const Mode *)g_ptr_array_index (modes, i))->source);
  for (guint i = 0; i < json_array_get_length (texts) && all->len < 8192; i++)
    g_string_append_printf (all, "%s\n", json_array_get_string_element (texts, i));
  return local_language_guess_among (all->str, codes, sure);
}

/**
 * derush_local_translate:
 * @request: `texts[]`, `source` (that of the texts, if absent), `target`, `glossary{TERM: TRANSLATION}`
 *
 * Lines and placeholders such as `{name}`, `%s` or `<b>` stay where they are in number and form.
 *
 * Returns: (nullable): `texts[]`, as many as were asked, `source`, `target`, `engine`, `pivot` if there was a language in
 *     between, and `doubtful` if the source was guessed from a text that says too little of its language
 */
JsonObject *
derush_local_translate (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable, GError **error)
{
  JsonArray *texts = derush_json_get_array (request, "texts");
  const char *asked = derush_json_get_string (request, "source", ""),
             *wanted = derush_json_get_string (request, "target", "");
  g_autofree char *source = NULL, *target = local_language_normalise (wanted), *region = NULL, *engine = NULL;
  g_autoptr (JsonArray) results = json_array_new ();
  g_autoptr (GPtrArray) modes = NULL;
  const Mode *route[2];
  JsonObject *result;
  gboolean guessed = !*asked || g_ascii_strcasecmp (asked, "auto") == 0, sure = TRUE;

  if (!check_texts (texts, error))
    return NULL;
  if (!guessed)
    source = local_language_normalise (asked);
  if ((!guessed && !source) || !*wanted || !target) {
    gboolean named = guessed || source;

    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_value", named ? "target" : "source",
                     _ ("“%s” is no language"), named ? wanted : asked);
    return NULL;
  }
  if (strpbrk (wanted, "-_"))
    region = g_ascii_strdown (strpbrk (wanted, "-_") + 1, -1);
  if (guessed) {
    modes = list_modes (cancellable, error);
    if (!modes)
      return NULL;
    source = guess_source (texts, modes, target, region, &sure);
  }
  if (strcmp (source, target) == 0) {
    engine = g_strdup ("none");
    json_array_unref (g_steal_pointer (&results));
    results = json_array_ref (texts);
  } else {
    if (!modes && !(modes = list_modes (cancellable, error)))
      return NULL;
    if (!find_route (modes, source, target, region, route)) {
      refuse_pair (modes, source, target, error);
      return NULL;
    }
    if (!translate_all (texts, route, derush_json_get_object (request, "glossary"), results, cancellable, error))
      return NULL;
    engine = route[1] ? g_strdup_printf ("apertium-%s+%s", route[0]->name, route[1]->name)
                      : g_strdup_printf ("apertium-%s", route[0]->name);
  }
  result = json_object_new ();
  json_object_set_array_member (result, "texts", g_steal_pointer (&results));
  json_object_set_string_member (result, "source", source);
  json_object_set_string_member (result, "target", target);
  json_object_set_string_member (result, "engine", engine);
  if (!sure)
    json_object_set_boolean_member (result, "doubtful", TRUE);
  if (strcmp (source, target) != 0 && route[1])
    json_object_set_string_member (result, "pivot", route[0]->target);
  return result;
}
