/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What is written, as it is to be spoken: without the marks of HTML, SSML, subtitles and Markdown, which voices would read out. */

#include "models/actions/speech-private.h"

#include <string.h>

/* In this order. Only what looks like a mark is one: “3 < 4”, “2 * 3” and “snake_case” stay. */
static const struct {
  const char *pattern, *replacement;
} rules[] = {
    {"(?s)<!--.*?-->", " "},
    {"(?is)<(script|style)\\b[^<>]*>.*?</\\1\\s*>", " "},
    /* What parts paragraphs or asks for a pause. */
    {"(?i)</?(?:p|s|br|break|div|li|h[1-6]|tr|sentence|paragraph)\\b[^<>]*>", "\n"},
    {"</?[A-Za-z][^<>]{0,300}>|<\\d\\d:\\d\\d[:.\\d]*>", ""},
    {"\\{\\\\[^{}]*\\}", ""},
    {"!?\\[([^\\[\\]]*)\\]\\([^()\\s]*\\)", "\\1"},
    {"(?m)^[ \\t]*(?:#{1,6}|[-*+•–]|>)[ \\t]+", ""},
    {"(?m)^[ \\t]*(?:[-*_=][ \\t]*){3,}$", ""},
    {"(?m)^[ \\t]*```.*$", ""},
    {"(?<![\\w*_~`])(\\*{1,3}|_{1,3}|~~|`)(?=\\S)([^\\n]+?)(?<=\\S)\\1(?![\\w*_~`])", "\\2"},
    {"\\n[ \\t]*(?:\\n[ \\t]*)+", "\n\n"},
};

static const struct {
  const char *name, *text;
} entities[] = {{"&lt;", "<"},   {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&#39;", "'"},
                {"&nbsp;", " "}, {"&lrm;", ""}, {"&rlm;", ""},    {"&amp;", "&"}};

/**
 * derush_text_to_spoken:
 * @text: as it was written
 *
 * Returns: (transfer full): what a voice is to say; empty where there is nothing but marks
 */
char *
derush_text_to_spoken (const char *text)
{
  GString *spoken = g_string_new (text);

  for (guint i = 0; i < G_N_ELEMENTS (rules); i++) {
    g_autoptr (GRegex) pattern = g_regex_new (rules[i].pattern, 0, 0, NULL);
    g_autofree char *next = g_regex_replace (pattern, spoken->str, -1, 0, rules[i].replacement, 0, NULL);

    if (next)
      g_string_assign (spoken, next);
  }
  for (guint i = 0; i < G_N_ELEMENTS (entities); i++)
    g_string_replace (spoken, entities[i].name, entities[i].text, 0);
  return g_strstrip (g_string_free (spoken, FALSE));
}
