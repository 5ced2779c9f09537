/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Texts in lines of a certain length, in scripts with and without blanks between words. */

#include "subtitles/subtitles.h"

#include <string.h>

/* ── Scripts ────────────────────────────────────────────────────────────── */

/* Neither of them begins a line, as Japanese and Chinese have it; nor does any mark. */
static const char never_first[] =
    "。、，．・！？：；）」』】〉》〕］｝”’…‥ー〜々ゝゞぁぃぅぇぉっゃゅょァィゥェォッャュョ.,!?:;)]}%";
/* None of them ends one. */
static const char never_last[] = "（「『【〈《〔［｛“‘([{";

static gboolean
is_one_of (gunichar c, const char *set)
{
  return g_utf8_strchr (set, -1, c) != NULL;
}

/* Whose words are written without blanks, and whose lines may end behind nearly every letter. */
static gboolean
is_ideographic (gunichar c)
{
  GUnicodeScript script = g_unichar_get_script (c);

  return script == G_UNICODE_SCRIPT_HAN || script == G_UNICODE_SCRIPT_HIRAGANA || script == G_UNICODE_SCRIPT_KATAKANA ||
         (c >= 0x3000 && c <= 0x303F) || (c >= 0xFF00 && c <= 0xFFEF);
}

/* The same without blanks, but with long words: these are cut only where a line has no other end. */
static gboolean
is_without_blanks (gunichar c)
{
  GUnicodeScript script = g_unichar_get_script (c);

  return script == G_UNICODE_SCRIPT_THAI || script == G_UNICODE_SCRIPT_LAO || script == G_UNICODE_SCRIPT_KHMER ||
         script == G_UNICODE_SCRIPT_MYANMAR;
}

/* Vowels that are written behind their consonant, or before it, but are no marks. */
static gboolean
is_vowel_behind (gunichar c)
{
  return (c >= 0x0E30 && c <= 0x0E3A) || c == 0x0E45 || c == 0x0E46 || (c >= 0x0EB0 && c <= 0x0EBD) || c == 0x0EC6;
}

static gboolean
is_vowel_before (gunichar c)
{
  return (c >= 0x0E40 && c <= 0x0E44) || (c >= 0x0EC0 && c <= 0x0EC4);
}

/**
 * derush_subtitle_may_break:
 * @before: a letter
 * @after: the next one
 * @forced: whether a word has to be cut, because it is longer than a line
 *
 * Returns: whether a line may end between the two without a blank
 */
gboolean
derush_subtitle_may_break (gunichar before, gunichar after, gboolean forced)
{
  gboolean can = is_ideographic (before) || is_ideographic (after) ||
                 (forced && (is_without_blanks (before) || is_without_blanks (after)));

  return can && !g_unichar_ismark (after) && !g_unichar_iszerowidth (after) && !is_vowel_behind (after) &&
         !is_vowel_before (before) && !is_one_of (after, never_first) && !is_one_of (before, never_last);
}

/**
 * derush_subtitle_width:
 * @text: a text without markup
 *
 * Returns: how many columns it takes: two for an ideograph, none for a mark above or below another letter
 */
guint
derush_subtitle_width (const char *text)
{
  guint width = 0;

  for (const char *p = text; *p; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (!g_unichar_iszerowidth (c) && c != '\n')
      width += g_unichar_iswide (c) ? 2 : 1;
  }
  return width;
}

/* ── Words ──────────────────────────────────────────────────────────────── */

typedef struct {
  GString *text;
  guint width;
  gboolean glued; /* no blank stands before it */
} Word;

static Word *
add_word (GPtrArray *words, gboolean glued)
{
  Word *word = g_new0 (Word, 1);

  word->text = g_string_new (NULL);
  word->glued = glued;
  g_ptr_array_add (words, word);
  return word;
}

static void
word_free (Word *word)
{
  g_string_free (word->text, TRUE);
  g_free (word);
}

/* How long the tag, command or placeholder is that @p begins with; 0: none. @seen: whether it is a placeholder */
static gsize
find_unit (const char *p, gboolean *seen)
{
  gsize length;

  *seen = FALSE;
  if (*p == '<' && (g_ascii_isalnum (p[1]) || p[1] == '/')) {
    length = 1 + strcspn (p + 1, "<>");
    return p[length] == '>' ? length + 1 : 0;
  }
  if (*p == '{') {
    *seen = p[1] != '\\';
    length = 1 + strcspn (p + 1, "{}");
    return p[length] == '}' ? length + 1 : 0;
  }
  return 0;
}

/* Tags and commands belong to what they stand before; those that end something, to what they stand behind. */
static GPtrArray *
split_words (const char *text, guint length)
{
  GPtrArray *words = g_ptr_array_new_with_free_func ((GDestroyNotify)word_free);
  g_autoptr (GString) pending = g_string_new (NULL);
  Word *word = NULL;
  gunichar before = 0;

  for (const char *p = text; *p;) {
    gunichar c = g_utf8_get_char (p);
    gboolean seen, blank = strchr (" \t\n\r", *p) != NULL;
    gsize unit = blank ? 0 : find_unit (p, &seen), bytes = unit ? unit : (gsize)(g_utf8_next_char (p) - p);
    g_autofree char *piece = g_strndup (p, bytes);
    guint width = unit && !seen ? 0 : derush_subtitle_width (piece);

    p += bytes;
    if (unit && !seen) {
      g_string_append (word && piece[1] == '/' ? word->text : pending, piece);
      continue;
    }
    if (blank) {
      if (word)
        g_string_append (word->text, pending->str), g_string_truncate (pending, 0);
      word = NULL;
      before = 0;
      continue;
    }
    if (!word)
      word = add_word (words, FALSE);
    else if (!unit && before && derush_subtitle_may_break (before, c, word->width + width > length))
      word = add_word (words, TRUE);
    g_string_append_printf (word->text, "%s%s", pending->str, piece);
    g_string_truncate (pending, 0);
    word->width += width;
    before = unit ? 0 : c;
  }
  if (pending->len > 0)
    g_string_append (word ? word->text : add_word (words, words->len == 0)->text, pending->str);
  return words;
}

/* ── Lines ──────────────────────────────────────────────────────────────── */

/**
 * derush_subtitle_line_length:
 * @line: a line of a cue
 *
 * Returns: how many columns are seen of it: without tags and commands
 */
guint
derush_subtitle_line_length (const char *line)
{
  guint length = 0;

  for (const char *p = line; *p;) {
    gboolean seen;
    gsize unit = find_unit (p, &seen), bytes = unit ? unit : (gsize)(g_utf8_next_char (p) - p);

    if (!unit || seen) {
      g_autofree char *piece = g_strndup (p, bytes);

      length += derush_subtitle_width (piece);
    }
    p += bytes;
  }
  return length;
}

/* The words in as few lines of at most @length as hold them. */
static char *
fill (GPtrArray *words, guint length, guint *lines)
{
  GString *text = g_string_new (NULL);
  guint used = 0;

  *lines = 1;
  for (guint i = 0; i < words->len; i++) {
    const Word *word = words->pdata[i];
    guint blank = i > 0 && !word->glued;

    if (i > 0 && used > 0 && used + blank + word->width > length) {
      g_string_append_c (text, '\n');
      used = 0;
      (*lines)++;
    } else if (blank) {
      g_string_append_c (text, ' ');
      used++;
    }
    g_string_append (text, word->text->str);
    used += word->width;
  }
  return g_string_free (text, FALSE);
}

/**
 * derush_subtitle_wrap:
 * @text: words, with tags and commands of any format
 * @lines: how many there are to be
 * @length: how many columns a line may have
 *
 * Returns: (transfer full): @text in @lines lines that are as even as possible, or in more where one would be longer than
 *   @length. Only what cannot be cut, such as an address, makes a longer line.
 */
char *
derush_subtitle_wrap (const char *text, guint lines, guint length)
{
  g_autoptr (GPtrArray) words = split_words (text, length);
  g_autofree char *best = NULL;
  guint total = derush_subtitle_line_length (text), needed, n;

  best = fill (words, length, &needed);
  needed = MAX (needed, MIN (lines, words->len));
  if (needed <= 1)
    return g_steal_pointer (&best);
  /* The shortest lines that make no more of them are the most even ones. */
  for (guint limit = MAX (1, total / needed); limit <= length; limit++) {
    g_autofree char *even = fill (words, limit, &n);

    if (n <= needed)
      return g_steal_pointer (&even);
  }
  return g_steal_pointer (&best);
}
