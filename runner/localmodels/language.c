/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Names of languages, and which one a text is in. */

#include "localmodels-private.h"

#include <string.h>
#include <libexttextcat/textcat.h>

/* Shorter texts say too little, in bytes. */
#define MIN_TEXT 16
#define MAX_TEXT 4096
/* Of fewer letters libexttextcat knows little. */
#define FEW_LETTERS 50

static GKeyFile *
load_languages (void)
{
  static gsize loaded;

  if (g_once_init_enter (&loaded)) {
    GKeyFile *file = g_key_file_new ();
    g_autofree char *path = local_data_path ("languages.ini", NULL);

    g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL);
    g_once_init_leave (&loaded, (gsize)file);
  }
  return (GKeyFile *)loaded;
}

/**
 * local_language_normalise:
 * @name: a BCP 47 tag (`en-US`), an ISO 639 code of two or three letters, or an English name (`english`)
 *
 * Returns: (nullable): the code of two letters, or of three where there is none of two; %NULL if it is no language
 */
char *
local_language_normalise (const char *name)
{
  g_autofree char *lower = g_ascii_strdown (name, -1);
  g_auto (GStrv) codes = g_key_file_get_groups (load_languages (), NULL);

  g_strstrip (lower);
  for (guint i = 0; codes[i]; i++) {
    g_autofree char *english = g_key_file_get_string (load_languages (), codes[i], "name", NULL);

    if (english && g_ascii_strcasecmp (english, lower) == 0)
      return g_strdup (codes[i]);
  }
  lower[strcspn (lower, "-_")] = '\0';
  for (guint i = 0; codes[i]; i++) {
    g_auto (GStrv) others = g_key_file_get_string_list (load_languages (), codes[i], "codes", NULL, NULL);

    if (strcmp (codes[i], lower) == 0 || (others && g_strv_contains ((const char *const *)others, lower)))
      return g_strdup (codes[i]);
  }
  return strlen (lower) == 2 || strlen (lower) == 3 ? g_steal_pointer (&lower) : NULL;
}

const char *
local_language_get_english_name (const char *code)
{
  g_autofree char *name = g_key_file_get_string (load_languages (), code, "name", NULL);

  return g_intern_string (name ? name : code);
}

/**
 * local_language_load_words:
 * @folder: below data/models, such as `stopwords`
 * @code: a language
 *
 * Returns: (transfer full) (nullable): the words of the list as a set; %NULL if the language has none
 */
GHashTable *
local_language_load_words (const char *folder, const char *code)
{
  g_autofree char *name = g_strconcat (code, ".txt", NULL), *path = local_data_path (folder, name, NULL);
  g_autofree char *contents = NULL;
  g_auto (GStrv) words = NULL;
  GHashTable *list;

  if (!g_file_get_contents (path, &contents, NULL, NULL))
    return NULL;
  list = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  words = g_strsplit_set (contents, " \n", -1);
  for (guint i = 0; words[i]; i++)
    if (*words[i])
      g_hash_table_add (list, g_strdup (words[i]));
  return list;
}

/* How many of the words are among the most frequent words of the language; -1: its list is not there. */
static double
share_of_stopwords (const char *text, const char *code)
{
  g_autoptr (GHashTable) list = local_language_load_words ("stopwords", code);
  g_autofree char *lower = g_utf8_strdown (text, -1);
  g_auto (GStrv) words = g_regex_split_simple ("[^\\p{L}']+", lower, 0, 0);
  guint n = 0, found = 0;

  if (!list)
    return -1;
  for (guint i = 0; words[i]; i++) {
    if (!*words[i])
      continue;
    n++;
    found += g_hash_table_contains (list, words[i]);
  }
  return n > 0 ? (double)found / n : 0;
}

/**
 * local_language_identify:
 * @text: some sentences
 *
 * By libexttextcat, and among what that finds alike by the share of the most frequent words.
 *
 * Returns: (nullable): the code of two letters; %NULL if @text is too short or alike nothing
 */
char *
local_language_identify (const char *text)
{
  gsize length = MIN (strlen (text), MAX_TEXT);
  void *handle;
  const char *answer;
  g_auto (GStrv) found = NULL;
  char *best = NULL;
  double share = -2;

  if (length < MIN_TEXT)
    return NULL;
  while (length > 0 && (text[length] & 0xc0) == 0x80)
    length--;
  handle = special_textcat_Init (TEXTCAT_DIRECTORY "/fpdb.conf", TEXTCAT_DIRECTORY "/");
  if (!handle)
    return NULL;
  answer = textcat_Classify (handle, text, length);
  if (answer && *answer == '[')
    found = g_regex_split_simple ("[\\[\\]]+", answer, 0, 0);
  textcat_Done (handle);
  for (guint i = 0; found && found[i]; i++) {
    g_autofree char *code = *found[i] ? local_language_normalise (found[i]) : NULL;
    double here;

    if (!code)
      continue;
    here = share_of_stopwords (text, code);
    if (here > share) {
      share = here;
      g_free (best);
      best = g_steal_pointer (&code);
    }
  }
  return best;
}

/**
 * local_language_guess:
 * @text: a text of any length
 *
 * Short texts are taken for English, unless their letters say otherwise.
 *
 * Returns: (transfer full): the code of a language
 */
char *
local_language_guess (const char *text)
{
  static const struct {
    GUnicodeScript script;
    const char *code;
  } scripts[] = {
      {G_UNICODE_SCRIPT_CYRILLIC, "ru"}, {G_UNICODE_SCRIPT_GREEK, "el"},    {G_UNICODE_SCRIPT_ARABIC, "ar"},
      {G_UNICODE_SCRIPT_HEBREW, "he"},   {G_UNICODE_SCRIPT_HIRAGANA, "ja"}, {G_UNICODE_SCRIPT_KATAKANA, "ja"},
      {G_UNICODE_SCRIPT_HANGUL, "ko"},   {G_UNICODE_SCRIPT_HAN, "zh"},      {G_UNICODE_SCRIPT_DEVANAGARI, "hi"},
      {G_UNICODE_SCRIPT_BENGALI, "bn"},  {G_UNICODE_SCRIPT_TAMIL, "ta"},    {G_UNICODE_SCRIPT_TELUGU, "te"},
      {G_UNICODE_SCRIPT_ARMENIAN, "hy"}, {G_UNICODE_SCRIPT_GEORGIAN, "ka"}, {G_UNICODE_SCRIPT_THAI, "th"}};
  g_autofree char *found = local_language_identify (text);
  const char *by_script = NULL;
  guint latin = 0, accented = 0, other = 0;

  for (const char *at = text; *at; at = g_utf8_next_char (at)) {
    GUnicodeScript script = g_unichar_get_script (g_utf8_get_char (at));

    latin += script == G_UNICODE_SCRIPT_LATIN;
    accented += script == G_UNICODE_SCRIPT_LATIN && !g_ascii_isalpha (*at);
    for (guint i = 0; i < G_N_ELEMENTS (scripts); i++) {
      if (scripts[i].script != script)
        continue;
      other++;
      /* Japanese is written with Han as well. */
      if (!by_script || strcmp (by_script, "zh") == 0)
        by_script = scripts[i].code;
    }
  }
  if (other > latin)
    return found && g_key_file_has_group (load_languages (), found) ? g_steal_pointer (&found) : g_strdup (by_script);
  /* Names and numbers are alike many languages: another one than English has to show its own small words. */
  if (found && share_of_stopwords (text, found) > MAX (share_of_stopwords (text, "en"), 0.1))
    return g_steal_pointer (&found);
  /* Of a language whose small words are not known here its letters tell: Polish, say, has them in every second word. */
  if (found && latin >= FEW_LETTERS / 2 && accented * 25 >= latin && share_of_stopwords (text, found) < 0)
    return g_steal_pointer (&found);
  return g_strdup ("en");
}

/* How much the words and letters of a short text are those of a language: 1 for its most frequent words, less for others. */
static double
judge_short (const char *text, const char *code)
{
  g_autoptr (GHashTable) list = local_language_load_words ("stopwords", code);
  g_autofree char *lower = g_utf8_strdown (text, -1);
  g_autofree char *letters = g_key_file_get_string (load_languages (), code, "letters", NULL);
  g_auto (GStrv) words = g_regex_split_simple ("[^\\p{L}'¿¡·]+", lower, 0, 0);
  double sum = 0;
  guint n = 0;

  for (guint i = 0; words[i]; i++) {
    const char *word = words[i];
    gboolean own = FALSE, foreign = FALSE;

    n += *word != '\0';
    for (const char *p = word; letters && *p; p = g_utf8_next_char (p)) {
      gunichar c = g_utf8_get_char (p);
      gboolean known = c < 0x80 || g_utf8_strchr (letters, -1, c);

      own |= known && c >= 0x80;
      foreign |= !known;
    }
    sum += foreign ? -1 : list && g_hash_table_contains (list, word) ? 1 : own ? 0.5 : 0;
  }
  return n > 0 ? sum / n : 0;
}

/**
 * local_language_guess_among:
 * @text: a text of any length
 * @codes: (element-type utf8): the languages that a short text may be in, the likeliest first
 * @sure: (out): %FALSE if @text says too little
 *
 * Returns: (transfer full): the code of a language
 */
char *
local_language_guess_among (const char *text, GPtrArray *codes, gboolean *sure)
{
  char *guess = local_language_guess (text);
  GUnicodeScript script = G_UNICODE_SCRIPT_COMMON;
  gboolean likely;
  guint n = 0;
  double best;

  for (const char *p = text; *p; p = g_utf8_next_char (p)) {
    if (!g_unichar_isalpha (g_utf8_get_char (p)))
      continue;
    n++;
    script = g_unichar_get_script (g_utf8_get_char (p));
  }
  *sure = n >= FEW_LETTERS && (script != G_UNICODE_SCRIPT_LATIN || share_of_stopwords (text, guess) > 0.1);
  if (*sure || script != G_UNICODE_SCRIPT_LATIN)
    return guess;
  best = judge_short (text, guess);
  likely = g_ptr_array_find_with_equal_func (codes, guess, g_str_equal, NULL);
  for (guint i = 0; i < codes->len; i++) {
    double here = judge_short (text, g_ptr_array_index (codes, i));

    if (here <= 0 || here < best || (likely && here == best))
      continue;
    best = here;
    likely = TRUE;
    g_free (guess);
    guess = g_strdup (g_ptr_array_index (codes, i));
  }
  return guess;
}
