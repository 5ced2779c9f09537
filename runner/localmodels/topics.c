/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * What speakers say of their own text: that something else begins (“now let us move on to …”), what it is about, and what
 * says nothing (“thanks for watching”). The patterns are data, by language; such cue phrases are among the best signs of a
 * change of subject in speech (Passonneau and Litman, 1997).
 */

#include "text-private.h"

#include <string.h>

static GRegex *
pattern_of (const LocalText *text, const char *name)
{
  g_autofree char *pattern = local_phrase (text->language, name);

  return *pattern ? g_regex_new (pattern, G_REGEX_CASELESS | G_REGEX_OPTIMIZE, 0, NULL) : NULL;
}

/* Of each sentence, whether it is a formula and whether it turns to something else. */
void
local_mark_sentences (LocalText *text)
{
  g_autoptr (GRegex) formula = pattern_of (text, "formula"), turning = pattern_of (text, "turning");

  for (guint i = 0; i < text->sentences->len; i++) {
    LocalSentence *sentence = &g_array_index (text->sentences, LocalSentence, i);

    sentence->formula = formula && g_regex_match (formula, sentence->text, 0, NULL);
    sentence->turning = turning && g_regex_match (turning, sentence->text, 0, NULL);
  }
}

/* The topic ends with the clause, and with a word that names something. NULL: there is no such word. */
static char *
cut_topic (const LocalText *text, const LocalSentence *sentence, gsize start, gsize end)
{
  gsize last = 0, clause = start;

  while (sentence->text[clause] &&
         !g_utf8_strchr (",;:.!?()\"“”–—、。，؛،", -1, g_utf8_get_char (sentence->text + clause)))
    clause = (gsize)(g_utf8_next_char (sentence->text + clause) - sentence->text);
  for (guint i = sentence->first; i < sentence->first + sentence->n; i++) {
    const LocalWord *word = local_text_get_word (text, i);

    if (word->offset >= start && word->offset < MIN (end, clause) && word->stem != LOCAL_NO_STEM)
      last = word->offset + strlen (word->surface);
  }
  return last > start ? g_strndup (sentence->text + start, last - start) : NULL;
}

/**
 * local_announced_topic:
 * @first: the sentence to begin with
 * @n: so many sentences are looked at
 *
 * Returns: (transfer full) (nullable): what the first of them that announces something says that it is about; %NULL if none
 *     does in so many characters
 */
char *
local_announced_topic (const LocalText *text, guint first, guint n, guint characters)
{
  g_autoptr (GRegex) announce = pattern_of (text, "announce");

  for (guint i = first; announce && i < MIN (first + n, text->sentences->len); i++) {
    const LocalSentence *sentence = local_text_get_sentence (text, i);
    g_autoptr (GMatchInfo) match = NULL;
    g_autofree char *topic = NULL;
    int start, end;

    if (!g_regex_match (announce, sentence->text, 0, &match) ||
        !g_match_info_fetch_named_pos (match, "topic", &start, &end) || start < 0)
      continue;
    topic = cut_topic (text, sentence, (gsize)start, (gsize)end);
    if (topic && (guint)g_utf8_strlen (topic, -1) <= characters)
      return local_text_to_title (topic, characters);
  }
  return NULL;
}
