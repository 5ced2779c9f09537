/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Texts in lines of a certain length. */

#include "subtitles/subtitles.h"

#include <string.h>

#define TAGS "<[^<>]*>|\\{\\\\[^{}]*\\}"

/**
 * derush_subtitle_line_length:
 * @line: a line of a cue
 *
 * Returns: how many characters are seen of it: without tags and commands
 */
guint
derush_subtitle_line_length (const char *line)
{
  g_autoptr (GRegex) regex = g_regex_new (TAGS, 0, 0, NULL);
  g_autofree char *plain = g_regex_replace_literal (regex, line, -1, 0, "", 0, NULL);

  return (guint)g_utf8_strlen (plain, -1);
}

/* The words of @text; a tag with blanks in it is a part of one, and what is longer than a line, as a sentence in a script
 * without blanks, is cut anywhere. */
static GPtrArray *
split_words (const char *text, guint length)
{
  g_autoptr (GRegex) regex = g_regex_new ("(?:<[^<>]*>|\\{[^{}]*\\}|[^ \\t\\n\\r])+", 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  GPtrArray *words = g_ptr_array_new_with_free_func (g_free);

  g_regex_match (regex, text, 0, &match);
  while (g_match_info_matches (match)) {
    g_autofree char *word = g_match_info_fetch (match, 0);

    for (const char *p = word; *p;) {
      glong left = g_utf8_strlen (p, -1);
      const char *end = derush_subtitle_line_length (p) <= length
                            ? p + strlen (p)
                            : g_utf8_offset_to_pointer (p, MIN (left, (glong)length));

      g_ptr_array_add (words, g_strndup (p, end - p));
      p = end;
    }
    g_match_info_next (match, NULL);
  }
  return words;
}

/* The words in as few lines of at most @length as hold them. */
static char *
fill (GPtrArray *words, guint length, guint *lines)
{
  GString *text = g_string_new (NULL);
  guint used = 0;

  *lines = 1;
  for (guint i = 0; i < words->len; i++) {
    guint word = derush_subtitle_line_length (words->pdata[i]);

    if (i > 0 && used + 1 + word > length) {
      g_string_append_c (text, '\n');
      used = 0;
      (*lines)++;
    } else if (i > 0) {
      g_string_append_c (text, ' ');
      used++;
    }
    g_string_append (text, words->pdata[i]);
    used += word;
  }
  return g_string_free (text, FALSE);
}

/**
 * derush_subtitle_wrap:
 * @text: words, with tags and commands of any format
 * @lines: how many there are to be
 * @length: how many characters a line may have
 *
 * Returns: (transfer full): @text in @lines lines that are as even as possible, or in more where one would be longer than
 *   @length
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
  for (guint limit = MAX (1, total / needed); limit <= MAX (length, total); limit++) {
    g_autofree char *even = fill (words, limit, &n);

    if (n <= needed)
      return g_steal_pointer (&even);
  }
  return g_steal_pointer (&best);
}
