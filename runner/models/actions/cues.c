/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Subtitles of words: cues that can be read in their time, and the files of them. */

#include "models/actions/speech-private.h"

#include <math.h>
#include <string.h>

/* As broadcasters have it: two lines of 42 characters, 17 characters a second, 7 s at most, two frames in between. */
const DerushCueLayout derush_cue_layout_default = {
    .line_length = 42, .lines = 2, .speed = 17, .longest = 7, .shortest = 1, .pause = 0.7, .gap = 0.08};

static void
cue_free (DerushCue *cue)
{
  g_free (cue->text);
  g_free (cue->speaker);
  g_free (cue);
}

static const DerushWord *
word_at (GPtrArray *words, guint i)
{
  return g_ptr_array_index (words, i);
}

static guint
length_of (const char *text)
{
  return (guint)g_utf8_strlen (text, -1);
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
    total += length_of (word_at (words, i)->text) +
             (i > first && derush_text_needs_blank (word_at (words, i - 1)->text, word_at (words, i)->text));
  if (total > layout->line_length && layout->lines > 1) {
    for (guint i = first; i + 1 < end; i++) {
      double here, rest;

      used += length_of (word_at (words, i)->text) +
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
    guint length = length_of (word_at (words, i)->text);

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

static guint
count_characters (const char *text)
{
  guint n = 0;

  for (const char *p = text; *p; p = g_utf8_next_char (p))
    n += *p != '\n';
  return n;
}

/* A cue stays as long as it takes to read it, if the next one leaves the time. */
static void
extend (GPtrArray *cues, const DerushCueLayout *layout)
{
  for (guint i = 0; i < cues->len; i++) {
    DerushCue *cue = cues->pdata[i], *next = i + 1 < cues->len ? cues->pdata[i + 1] : NULL;
    double wanted = MAX (layout->shortest, count_characters (cue->text) / layout->speed);

    cue->end = MAX (cue->end, cue->start + MIN (wanted, layout->longest));
    if (next)
      cue->end = MAX (cue->start, MIN (cue->end, next->start - layout->gap));
  }
}

GPtrArray *
derush_cues_new (GPtrArray *words, const DerushCueLayout *layout)
{
  GPtrArray *cues = g_ptr_array_new_with_free_func ((GDestroyNotify)cue_free);

  for (guint first = 0; first < words->len;) {
    guint end = best_end (words, first, last_possible (words, first, layout));
    DerushCue *cue = g_new0 (DerushCue, 1);

    cue->start = word_at (words, first)->start;
    cue->end = word_at (words, end - 1)->end;
    cue->text = break_lines (words, first, end, layout);
    cue->speaker = g_strdup (word_at (words, first)->speaker);
    g_ptr_array_add (cues, cue);
    first = end;
  }
  extend (cues, layout);
  return cues;
}

/* ── Files ──────────────────────────────────────────────────────────────── */

static void
append_time (GString *text, double seconds, char separator)
{
  gint64 ms = (gint64)llround (MAX (0, seconds) * 1000);

  g_string_append_printf (text, "%02d:%02d:%02d%c%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60),
                          (int)(ms / 1000 % 60), separator, (int)(ms % 1000));
}

char *
derush_cues_to_srt (GPtrArray *cues)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < cues->len; i++) {
    const DerushCue *cue = cues->pdata[i];

    g_string_append_printf (text, "%u\n", i + 1);
    append_time (text, cue->start, ',');
    g_string_append (text, " --> ");
    append_time (text, cue->end, ',');
    g_string_append_printf (text, "\n%s\n\n", cue->text);
  }
  return g_string_free (text, FALSE);
}

/* `&`, `<` and `>` would be taken for markup. */
static void
append_escaped (GString *text, const char *plain)
{
  for (const char *p = plain; *p; p++) {
    if (*p == '&')
      g_string_append (text, "&amp;");
    else if (*p == '<')
      g_string_append (text, "&lt;");
    else if (*p == '>')
      g_string_append (text, "&gt;");
    else
      g_string_append_c (text, *p);
  }
}

char *
derush_cues_to_vtt (GPtrArray *cues, const char *language)
{
  GString *text = g_string_new ("WEBVTT\n");

  if (language && *language)
    g_string_append_printf (text, "Language: %s\n", language);
  for (guint i = 0; i < cues->len; i++) {
    const DerushCue *cue = cues->pdata[i];

    g_string_append_c (text, '\n');
    append_time (text, cue->start, '.');
    g_string_append (text, " --> ");
    append_time (text, cue->end, '.');
    g_string_append_c (text, '\n');
    if (cue->speaker) {
      g_string_append (text, "<v ");
      append_escaped (text, cue->speaker);
      g_string_append_c (text, '>');
    }
    append_escaped (text, cue->text);
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}

static void
append_ass_time (GString *text, double seconds)
{
  gint64 hundredths = (gint64)llround (MAX (0, seconds) * 100);

  g_string_append_printf (text, "%d:%02d:%02d.%02d", (int)(hundredths / 360000), (int)(hundredths / 6000 % 60),
                          (int)(hundredths / 100 % 60), (int)(hundredths % 100));
}

/* Braces begin commands. */
static void
append_ass_text (GString *text, const char *plain)
{
  for (const char *p = plain; *p; p++) {
    if (*p == '\n')
      g_string_append (text, "\\N");
    else if (*p == '{')
      g_string_append_c (text, '(');
    else if (*p == '}')
      g_string_append_c (text, ')');
    else if (*p == '\\')
      g_string_append_c (text, '/');
    else
      g_string_append_c (text, *p);
  }
}

char *
derush_cues_to_ass (GPtrArray *cues, const char *title)
{
  GString *text = g_string_new ("[Script Info]\nScriptType: v4.00+\nTitle: ");

  append_ass_text (text, title);
  g_string_append (text,
                   "\nWrapStyle: 0\nScaledBorderAndShadow: yes\nPlayResX: 1280\nPlayResY: 720\n\n"
                   "[V4+ Styles]\n"
                   "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, "
                   "Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, "
                   "Alignment, MarginL, MarginR, MarginV, Encoding\n"
                   "Style: Default,Sans,42,&H00FFFFFF,&H000000FF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,2,1,2,60,"
                   "60,40,1\n\n"
                   "[Events]\n"
                   "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n");
  for (guint i = 0; i < cues->len; i++) {
    const DerushCue *cue = cues->pdata[i];
    g_autofree char *name = g_strdelimit (g_strdup (cue->speaker ? cue->speaker : ""), ",\r\n", ' ');

    g_string_append (text, "Dialogue: 0,");
    append_ass_time (text, cue->start);
    g_string_append_c (text, ',');
    append_ass_time (text, cue->end);
    g_string_append_printf (text, ",Default,%s,0,0,0,,", name);
    append_ass_text (text, cue->text);
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}
