/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Files of subtitles whose texts are exchanged while everything else is kept: SubRip, WebVTT, ASS and plain text. */

#include "models/actions/text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_CUES 100000
#define TAGS "<[^<>]*>|\\{\\\\[^{}]*\\}"

static void
subtitle_free (DerushSubtitle *cue)
{
  g_free (cue->text);
  g_free (cue->before);
  g_free (cue);
}

DerushSubtitles *
derush_subtitles_new (DerushSubtitleFormat format)
{
  DerushSubtitles *subtitles = g_new0 (DerushSubtitles, 1);

  subtitles->format = format;
  subtitles->cues = g_ptr_array_new_with_free_func ((GDestroyNotify)subtitle_free);
  return subtitles;
}

void
derush_subtitles_free (DerushSubtitles *subtitles)
{
  g_ptr_array_unref (subtitles->cues);
  g_free (subtitles->after);
  g_free (subtitles);
}

DerushSubtitle *
derush_subtitles_add (DerushSubtitles *subtitles, double start, double end, const char *text)
{
  DerushSubtitle *cue = g_new0 (DerushSubtitle, 1);

  cue->start = start;
  cue->end = end;
  cue->text = g_strdup (text);
  g_ptr_array_add (subtitles->cues, cue);
  return cue;
}

DerushSubtitles *
derush_subtitles_copy (const DerushSubtitles *subtitles)
{
  DerushSubtitles *copy = derush_subtitles_new (subtitles->format);

  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];

    derush_subtitles_add (copy, cue->start, cue->end, cue->text)->before = g_strdup (cue->before);
  }
  copy->after = g_strdup (subtitles->after);
  return copy;
}

static const struct {
  const char *name;
  DerushSubtitleFormat format;
} formats[] = {
    {"txt", DERUSH_SUBTITLES_TEXT},
    {"srt", DERUSH_SUBTITLES_SRT},
    {"vtt", DERUSH_SUBTITLES_VTT},
    {"ass", DERUSH_SUBTITLES_ASS},
};

gboolean
derush_subtitle_format_from_string (const char *name, DerushSubtitleFormat *format)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (g_strcmp0 (formats[i].name, name) == 0) {
      *format = formats[i].format;
      return TRUE;
    }
  return FALSE;
}

const char *
derush_subtitle_format_to_string (DerushSubtitleFormat format)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (formats[i].format == format)
      return formats[i].name;
  return "txt";
}

/* ── Reading ────────────────────────────────────────────────────────────── */

/* `1:02:03,456`, `02:03.456`, `0:02:03.45` of ASS */
static gboolean
parse_time (const char *text, double *time)
{
  g_autoptr (GMatchInfo) match = NULL;
  g_autoptr (GRegex) regex = g_regex_new ("^\\s*(?:(\\d{1,4}):)?(\\d{1,2}):(\\d{1,2})[.,](\\d{1,3})", 0, 0, NULL);
  double parts[4] = {0};

  if (!g_regex_match (regex, text, 0, &match))
    return FALSE;
  for (int i = 0; i < 4; i++) {
    g_autofree char *part = g_match_info_fetch (match, i + 1);

    parts[i] = part && *part ? g_ascii_strtod (part, NULL) : 0;
    if (i == 3)
      parts[3] /= pow (10, strlen (part));
  }
  *time = parts[0] * 3600 + parts[1] * 60 + parts[2] + parts[3];
  return TRUE;
}

static gboolean
parse_timing (const char *line, double *start, double *end)
{
  const char *arrow = strstr (line, "-->");

  return arrow && parse_time (line, start) && parse_time (arrow + 3, end) && *end >= *start;
}

static gboolean
fail (GError **error, guint line, const char *text)
{
  g_autofree char *shown = g_utf8_make_valid (text, (gssize)strnlen (text, 60));

  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("Line %u of the subtitles is not as it has to be: “%s”"), line, shown);
  return FALSE;
}

static void
add_kept (DerushSubtitles *subtitles, double start, double end, const char *text, GString *before)
{
  derush_subtitles_add (subtitles, start, end, text)->before = g_strdup (before->str);
  g_string_truncate (before, 0);
}

/* Blocks that blank lines separate: those with a line of times are cues, others are kept as they are. */
static gboolean
parse_blocks (DerushSubtitles *subtitles, GStrv lines, GError **error)
{
  g_autoptr (GString) before = g_string_new (NULL), text = g_string_new (NULL);
  gboolean comment = FALSE;

  for (guint i = 0; lines[i];) {
    double start, end;

    /* The lines of a comment may hold anything. */
    comment = *lines[i] && (comment || g_str_has_prefix (lines[i], "NOTE"));
    if (comment || !strstr (lines[i], "-->")) {
      g_string_append_printf (before, "%s\n", lines[i++]);
      continue;
    }
    if (!parse_timing (lines[i], &start, &end) || subtitles->cues->len >= MAX_CUES)
      return fail (error, i + 1, lines[i]);
    g_string_append_printf (before, "%s\n", lines[i++]);
    g_string_truncate (text, 0);
    for (; lines[i] && *lines[i]; i++)
      g_string_append_printf (text, "%s%s", text->len > 0 ? "\n" : "", lines[i]);
    add_kept (subtitles, start, end, text->str, before);
  }
  /* A file of text ends with the end of a line, behind which there is no other. */
  if (before->len > 0)
    g_string_truncate (before, before->len - 1);
  subtitles->after = g_strdup (before->str);
  return TRUE;
}

/* What of a line `Dialogue: …` is its text: all that is behind the other fields. */
static const char *
text_of_dialogue (const char *line, guint fields)
{
  const char *p = strchr (line, ':') + 1;

  for (guint i = 1; p && i < fields; i++) {
    p = strchr (p, ',');
    p = p ? p + 1 : NULL;
  }
  return p;
}

static guint
find_field (const char *format, const char *name, guint *n)
{
  g_auto (GStrv) names = g_strsplit (strchr (format, ':') + 1, ",", -1);
  guint found = G_MAXUINT;

  for (*n = 0; names[*n]; (*n)++)
    if (g_ascii_strcasecmp (g_strstrip (names[*n]), name) == 0)
      found = *n;
  return found;
}

static gboolean
parse_ass (DerushSubtitles *subtitles, GStrv lines, GError **error)
{
  g_autoptr (GString) before = g_string_new (NULL);
  guint n_fields = 10, start_field = 1, end_field = 2;
  gboolean events = FALSE;

  for (guint i = 0; lines[i]; i++) {
    const char *line_end = lines[i + 1] ? "\n" : "", *text;
    g_auto (GStrv) fields = NULL;
    g_autoptr (GString) plain = NULL;
    double start, end;

    if (lines[i][0] == '[')
      events = g_ascii_strncasecmp (lines[i], "[Events]", 8) == 0;
    if (events && g_str_has_prefix (lines[i], "Format:")) {
      start_field = find_field (lines[i], "Start", &n_fields);
      end_field = find_field (lines[i], "End", &n_fields);
    }
    if (!events || !g_str_has_prefix (lines[i], "Dialogue:")) {
      g_string_append_printf (before, "%s%s", lines[i], line_end);
      continue;
    }
    text = text_of_dialogue (lines[i], n_fields);
    fields = g_strsplit (strchr (lines[i], ':') + 1, ",", (int)n_fields);
    if (!text || start_field >= n_fields || end_field >= n_fields || !parse_time (fields[start_field], &start) ||
        !parse_time (fields[end_field], &end) || end < start || subtitles->cues->len >= MAX_CUES)
      return fail (error, i + 1, lines[i]);
    g_string_append_len (before, lines[i], text - lines[i]);
    plain = g_string_new (text);
    g_string_replace (plain, "\\N", "\n", 0);
    add_kept (subtitles, start, end, plain->str, before);
    g_string_append (before, line_end);
  }
  subtitles->after = g_strdup (before->str);
  return TRUE;
}

static void
parse_text (DerushSubtitles *subtitles, GStrv lines)
{
  g_autoptr (GString) before = g_string_new (NULL);

  for (guint i = 0; lines[i]; i++) {
    add_kept (subtitles, 0, 0, lines[i], before);
    g_string_append (before, "\n");
  }
  subtitles->after = g_strdup ("");
}

static DerushSubtitleFormat
guess_format (const char *text)
{
  if (g_str_has_prefix (text, "WEBVTT"))
    return DERUSH_SUBTITLES_VTT;
  if (g_str_has_prefix (text, "[Script Info]") || strstr (text, "\n[Events]"))
    return DERUSH_SUBTITLES_ASS;
  if (g_regex_match_simple ("^\\s*(?:\\d+\\s*\\n)?\\s*\\d{1,4}:\\d{1,2}(?::\\d{1,2})?[.,]\\d{1,3}\\s*-->", text, 0, 0))
    return DERUSH_SUBTITLES_SRT;
  return DERUSH_SUBTITLES_TEXT;
}

DerushSubtitles *
derush_subtitles_parse (const char *text, gsize length, GError **error)
{
  g_autoptr (DerushSubtitles) subtitles = NULL;
  g_autoptr (GString) whole = NULL;
  g_auto (GStrv) lines = NULL;
  gboolean good = TRUE;

  if (!g_utf8_validate_len (text, length, NULL)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The subtitles are not written in UTF-8; convert the file first"));
    return NULL;
  }
  whole = g_string_new_len (text, (gssize)length);
  if (g_str_has_prefix (whole->str, "\xEF\xBB\xBF"))
    g_string_erase (whole, 0, 3);
  g_string_replace (whole, "\r\n", "\n", 0);
  g_string_replace (whole, "\r", "\n", 0);
  subtitles = derush_subtitles_new (guess_format (whole->str));
  lines = g_strsplit (whole->str, "\n", -1);
  switch (subtitles->format) {
  case DERUSH_SUBTITLES_SRT:
  case DERUSH_SUBTITLES_VTT:
    good = parse_blocks (subtitles, lines, error);
    break;
  case DERUSH_SUBTITLES_ASS:
    good = parse_ass (subtitles, lines, error);
    break;
  case DERUSH_SUBTITLES_TEXT:
    parse_text (subtitles, lines);
    break;
  }
  return good ? g_steal_pointer (&subtitles) : NULL;
}

/* ── Writing ────────────────────────────────────────────────────────────── */

/* A blank line or an arrow would end a cue before its time. */
static char *
safe_text (const char *text)
{
  g_autoptr (GString) safe = g_string_new (text);

  g_string_replace (safe, "\r", "", 0);
  while (g_string_replace (safe, "\n\n", "\n", 0) > 0)
    ;
  g_string_replace (safe, "-->", "→", 0);
  return g_strstrip (g_strdup (safe->str));
}

static void
append_time (GString *text, double seconds, char separator)
{
  gint64 ms = (gint64)llround (MAX (0, seconds) * 1000);

  g_string_append_printf (text, "%02d:%02d:%02d%c%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60),
                          (int)(ms / 1000 % 60), separator, (int)(ms % 1000));
}

static void
append_ass_time (GString *text, double seconds)
{
  gint64 hundredths = (gint64)llround (MAX (0, seconds) * 100);

  g_string_append_printf (text, "%d:%02d:%02d.%02d", (int)(hundredths / 360000), (int)(hundredths / 6000 % 60),
                          (int)(hundredths / 100 % 60), (int)(hundredths % 100));
}

/* Tags of one format are none of another; italics and the like are the same in SubRip and WebVTT. */
static char *
text_for (const char *text, DerushSubtitleFormat from, DerushSubtitleFormat to)
{
  gboolean alike = from != DERUSH_SUBTITLES_ASS && (to == DERUSH_SUBTITLES_SRT || to == DERUSH_SUBTITLES_VTT);
  g_autoptr (GRegex) regex =
      g_regex_new (alike ? "</?(?:c|v|lang|ruby|rt)[\\s.>][^<>]*>?|<\\d[^<>]*>" : TAGS, 0, 0, NULL);

  return from == to ? g_strdup (text) : g_regex_replace_literal (regex, text, -1, 0, "", 0, NULL);
}

static const char ass_head[] =
    "[Script Info]\nScriptType: v4.00+\nWrapStyle: 0\nScaledBorderAndShadow: yes\nPlayResX: 1280\nPlayResY: 720\n\n"
    "[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, "
    "Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, "
    "MarginR, MarginV, Encoding\n"
    "Style: Default,Sans,42,&H00FFFFFF,&H000000FF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,2,1,2,60,60,40,1\n\n"
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n";

static void
append_cue (GString *file, const DerushSubtitle *cue, guint number, const char *text, DerushSubtitleFormat format)
{
  g_autoptr (GString) broken = NULL;

  switch (format) {
  case DERUSH_SUBTITLES_TEXT:
    g_string_append_printf (file, "%s\n", text);
    break;
  case DERUSH_SUBTITLES_SRT:
  case DERUSH_SUBTITLES_VTT:
    if (format == DERUSH_SUBTITLES_SRT)
      g_string_append_printf (file, "%u\n", number);
    append_time (file, cue->start, format == DERUSH_SUBTITLES_SRT ? ',' : '.');
    g_string_append (file, " --> ");
    append_time (file, cue->end, format == DERUSH_SUBTITLES_SRT ? ',' : '.');
    g_string_append_printf (file, "\n%s\n\n", text);
    break;
  case DERUSH_SUBTITLES_ASS:
    broken = g_string_new (text);
    g_string_replace (broken, "\n", "\\N", 0);
    g_string_append (file, "Dialogue: 0,");
    append_ass_time (file, cue->start);
    g_string_append_c (file, ',');
    append_ass_time (file, cue->end);
    g_string_append_printf (file, ",Default,,0,0,0,,%s\n", broken->str);
    break;
  }
}

static char *
write_same (const DerushSubtitles *subtitles)
{
  gboolean blocks = subtitles->format == DERUSH_SUBTITLES_SRT || subtitles->format == DERUSH_SUBTITLES_VTT;
  GString *file = g_string_new (NULL);

  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *safe = subtitles->format == DERUSH_SUBTITLES_TEXT ? g_strdup (cue->text) : safe_text (cue->text);
    g_autoptr (GString) text = g_string_new (safe);

    if (subtitles->format == DERUSH_SUBTITLES_ASS)
      g_string_replace (text, "\n", "\\N", 0);
    g_string_append (file, cue->before);
    g_string_append (file, text->str);
    if (blocks && text->len > 0)
      g_string_append_c (file, '\n');
  }
  g_string_append (file, subtitles->after);
  return g_string_free (file, FALSE);
}

char *
derush_subtitles_write (const DerushSubtitles *subtitles, DerushSubtitleFormat format)
{
  GString *file;

  if (format == subtitles->format && subtitles->after)
    return write_same (subtitles);
  file = g_string_new (format == DERUSH_SUBTITLES_VTT ? "WEBVTT\n\n" : format == DERUSH_SUBTITLES_ASS ? ass_head : "");
  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *safe = safe_text (cue->text), *text = text_for (safe, subtitles->format, format);

    append_cue (file, cue, i + 1, text, format);
  }
  return g_string_free (file, FALSE);
}

char *
derush_subtitles_to_text (const DerushSubtitles *subtitles)
{
  g_autoptr (GRegex) regex = g_regex_new (TAGS, 0, 0, NULL);
  gboolean plain = subtitles->format == DERUSH_SUBTITLES_TEXT;
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *line =
        plain ? g_strdup (cue->text) : g_regex_replace_literal (regex, cue->text, -1, 0, "", 0, NULL);

    if (!plain)
      g_strdelimit (line, "\n", ' ');
    g_string_append_printf (text, "%s%s", i > 0 ? "\n" : "", line);
  }
  return g_string_free (text, FALSE);
}

/* ── Lines ──────────────────────────────────────────────────────────────── */

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
  g_autoptr (GRegex) regex = g_regex_new ("(?:<[^<>]*>|\\{[^{}]*\\}|\\S)+", 0, 0, NULL);
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
