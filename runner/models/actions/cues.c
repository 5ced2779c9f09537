/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Subtitles of words: cues that can be read in their time. */

#include "models/actions/speech-private.h"

#include <math.h>
#include <string.h>

/* As broadcasters have it: two lines of 42 characters, 17 characters a second, 7 s at most, two frames in between. */
const DerushCueLayout derush_cue_layout_default = {
    .line_length = 42, .lines = 2, .speed = 17, .longest = 7, .shortest = 1, .pause = 0.7, .gap = 0.08};

static const DerushWord *
word_at (GPtrArray *words, guint i)
{
  return g_ptr_array_index (words, i);
}

static gboolean
ends_with (const char *text, const char *const *marks)
{
  for (guint i = 0; marks[i]; i++)
    if (g_str_has_suffix (text, marks[i]))
      return TRUE;
  return FALSE;
}

static gboolean
ends_sentence (const char *text)
{
  static const char *const marks[] = {".",  "!",  "?",  "…",   "。",  "！",  "？",
                                      ".”", "!”", "?”", ".\"", "!\"", "?\"", NULL};

  return ends_with (text, marks);
}

static gboolean
ends_clause (const char *text)
{
  static const char *const marks[] = {",", ";", ":", "–", "—", "、", "，", "；", NULL};

  return ends_with (text, marks);
}

/* ── Lines ──────────────────────────────────────────────────────────────── */

/* Into as few lines as hold it, each as long as the other if possible, the first one preferably up to a comma. */
static char *
break_lines (GPtrArray *words, guint first, guint end, const DerushCueLayout *layout)
{
  GString *text = g_string_new (NULL);
  guint total = 0, used = 0, best = 0;
  double cost = HUGE_VAL;

  for (guint i = first; i < end; i++)
    total += derush_subtitle_width (word_at (words, i)->text) +
             (i > first && derush_text_needs_blank (word_at (words, i - 1)->text, word_at (words, i)->text));
  if (total > layout->line_length && layout->lines > 1) {
    for (guint i = first; i + 1 < end; i++) {
      double here, rest;

      used += derush_subtitle_width (word_at (words, i)->text) +
              (i > first && derush_text_needs_blank (word_at (words, i - 1)->text, word_at (words, i)->text));
      rest = (double)total - used;
      here = fabs (used - rest) + (MAX (used, rest) > layout->line_length ? 1000 : 0) -
             (ends_clause (word_at (words, i)->text) || ends_sentence (word_at (words, i)->text) ? 16 : 0);
      if (here < cost) {
        cost = here;
        best = i + 1;
      }
    }
  }
  for (guint i = first; i < end; i++) {
    if (i > first && i == best)
      g_string_append_c (text, '\n');
    else if (i > first && derush_text_needs_blank (text->str, word_at (words, i)->text))
      g_string_append_c (text, ' ');
    g_string_append (text, word_at (words, i)->text);
  }
  return g_string_free (text, FALSE);
}

/* Whether the words fit into a cue's lines, each word whole. */
static gboolean
fits (GPtrArray *words, guint first, guint end, const DerushCueLayout *layout)
{
  guint lines = 1, line = 0;

  for (guint i = first; i < end; i++) {
    guint blank = line > 0 && derush_text_needs_blank (word_at (words, i - 1)->text, word_at (words, i)->text);
    guint length = derush_subtitle_width (word_at (words, i)->text);

    if (line > 0 && line + blank + length > layout->line_length) {
      lines++;
      line = length;
    } else {
      line += blank + length;
    }
  }
  return lines <= layout->lines;
}

/* ── Cues ───────────────────────────────────────────────────────────────── */

/* Where the cue that begins with @first has to end. */
static guint
last_possible (GPtrArray *words, guint first, const DerushCueLayout *layout)
{
  guint end = first + 1;

  while (end < words->len) {
    const DerushWord *word = word_at (words, end), *before = word_at (words, end - 1);

    if (word->start - before->end > layout->pause || g_strcmp0 (word->speaker, before->speaker) != 0 ||
        word->end - word_at (words, first)->start > layout->longest || !fits (words, first, end + 1, layout))
      break;
    end++;
  }
  return end;
}

/* The best place up to @end: after a sentence, a clause, at a pause; late rather than early. */
static guint
best_end (GPtrArray *words, guint first, guint end)
{
  guint best = end;
  double most = -HUGE_VAL;

  if (end == words->len)
    return end;
  if (word_at (words, end)->start - word_at (words, end - 1)->end > 0.7)
    return end;
  for (guint i = first + 1; i <= end; i++) {
    const char *text = word_at (words, i - 1)->text;
    double pause = word_at (words, i)->start - word_at (words, i - 1)->end;
    double value = (double)(i - first) / (end - first) + MIN (pause, 0.7);

    value += ends_sentence (text) ? 0.9 : ends_clause (text) ? 0.45 : 0;
    if (word_at (words, i)->first)
      value += 0.3;
    if (value >= most) {
      most = value;
      best = i;
    }
  }
  return best;
}

/* A cue stays as long as it takes to read it, if the next one leaves the time. */
static void
extend (GPtrArray *cues, const DerushCueLayout *layout)
{
  for (guint i = 0; i < cues->len; i++) {
    DerushSubtitle *cue = cues->pdata[i], *next = i + 1 < cues->len ? cues->pdata[i + 1] : NULL;
    double wanted = MAX (layout->shortest, derush_subtitle_width (cue->text) / layout->speed);

    cue->end = MAX (cue->end, cue->start + MIN (wanted, layout->longest));
    /* Where words follow each other at once there is no gap rather than no cue. */
    if (next && next->start - layout->gap > cue->start)
      cue->end = MIN (cue->end, next->start - layout->gap);
    else if (next)
      cue->end = MAX (cue->start, MIN (cue->end, next->start));
  }
}

DerushSubtitles *
derush_cues_new (GPtrArray *words, const DerushCueLayout *layout)
{
  DerushSubtitles *subtitles = derush_subtitles_new (DERUSH_SUBTITLES_TEXT);

  for (guint first = 0; first < words->len;) {
    guint end = best_end (words, first, last_possible (words, first, layout));
    g_autofree char *text = break_lines (words, first, end, layout);
    DerushSubtitle *cue =
        derush_subtitles_add (subtitles, word_at (words, first)->start, word_at (words, end - 1)->end, text);

    cue->speaker = g_strdup (word_at (words, first)->speaker);
    first = end;
  }
  extend (subtitles->cues, layout);
  return subtitles;
}
