/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Files of subtitles, such as every player reads them. */

#include "subtitles/subtitles.h"

#include <math.h>
#include <string.h>

/* ── Times ──────────────────────────────────────────────────────────────── */

static gint64
units (double seconds, int per_second)
{
  return (gint64)llround (MAX (0, seconds) * per_second);
}

static void
append_ms (GString *text, gint64 ms, char separator)
{
  g_string_append_printf (text, "%02d:%02d:%02d%c%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60),
                          (int)(ms / 1000 % 60), separator, (int)(ms % 1000));
}

static void
append_hundredths (GString *text, gint64 hundredths)
{
  g_string_append_printf (text, "%d:%02d:%02d.%02d", (int)(hundredths / 360000), (int)(hundredths / 6000 % 60),
                          (int)(hundredths / 100 % 60), (int)(hundredths % 100));
}

/* Players leave out a cue that ends when it begins. */
static void
append_timing (GString *text, const DerushSubtitle *cue, char separator)
{
  gint64 start = units (cue->start, 1000);

  append_ms (text, start, separator);
  g_string_append (text, " --> ");
  append_ms (text, MAX (units (cue->end, 1000), start + 1), separator);
}

/* ── Texts ──────────────────────────────────────────────────────────────── */

/* A blank line or an arrow would end a cue before its time. */
static char *
safe_text (const char *text)
{
  g_autoptr (GString) safe = g_string_new (NULL);

  for (const char *p = text; *p; p++)
    if (*p != '\r' && !(*p == '\n' && (safe->len == 0 || safe->str[safe->len - 1] == '\n')))
      g_string_append_c (safe, *p);
  g_string_replace (safe, "-->", "→", 0);
  return g_strchomp (g_strdup (safe->str));
}

static char *
text_for (const DerushSubtitles *subtitles, const DerushSubtitle *cue, DerushSubtitleFormat format)
{
  g_autofree char *text = subtitles->format == format ? g_strdup (cue->text)
                                                      : derush_subtitle_convert (cue->text, subtitles->format, format);

  return format == DERUSH_SUBTITLES_ASS ? g_strchomp (g_steal_pointer (&text)) : safe_text (text);
}

static char *
one_line (const char *text, const char *unwanted)
{
  return text ? g_strstrip (g_strdelimit (g_strdup (text), unwanted, ' ')) : g_strdup ("");
}

/* ── Each format ────────────────────────────────────────────────────────── */

static void
write_srt (const DerushSubtitles *subtitles, GString *file)
{
  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *text = text_for (subtitles, cue, DERUSH_SUBTITLES_SRT);

    g_string_append_printf (file, "%u\n", i + 1);
    append_timing (file, cue, ',');
    g_string_append_printf (file, "\n%s\n\n", text);
  }
}

static void
write_vtt (const DerushSubtitles *subtitles, GString *file)
{
  g_autofree char *language = one_line (subtitles->language, "\r\n");

  g_string_append (file, "WEBVTT\n");
  if (*language)
    g_string_append_printf (file, "Language: %s\n", language);
  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *text = text_for (subtitles, cue, DERUSH_SUBTITLES_VTT);

    g_string_append_c (file, '\n');
    append_timing (file, cue, '.');
    g_string_append_c (file, '\n');
    if (cue->speaker && subtitles->format != DERUSH_SUBTITLES_VTT) {
      g_autofree char *name = one_line (cue->speaker, "\r\n");
      g_autofree char *escaped = derush_subtitle_convert (name, DERUSH_SUBTITLES_TEXT, DERUSH_SUBTITLES_VTT);

      g_string_append_printf (file, "<v %s>", escaped);
    }
    g_string_append_printf (file, "%s\n", text);
  }
}

static const char ass_head[] =
    "WrapStyle: 0\nScaledBorderAndShadow: yes\nPlayResX: 1280\nPlayResY: 720\n\n"
    "[V4+ Styles]\n"
    "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    "Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, "
    "MarginV, Encoding\n"
    "Style: Default,Sans,42,&H00FFFFFF,&H000000FF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,2,1,2,60,60,40,1\n\n"
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n";

static void
write_ass (const DerushSubtitles *subtitles, GString *file)
{
  g_autofree char *title = one_line (subtitles->title, "\r\n");

  g_string_append (file, "[Script Info]\nScriptType: v4.00+\n");
  if (*title)
    g_string_append_printf (file, "Title: %s\n", title);
  g_string_append (file, ass_head);
  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    gint64 start = units (cue->start, 100), end = MAX (units (cue->end, 100), start + 1);
    g_autofree char *text = text_for (subtitles, cue, DERUSH_SUBTITLES_ASS), *name = one_line (cue->speaker, ",\r\n");

    g_string_append (file, "Dialogue: 0,");
    append_hundredths (file, start);
    g_string_append_c (file, ',');
    append_hundredths (file, end);
    g_string_append_printf (file, ",Default,%s,0,0,0,,%s\n", name, text);
  }
}

static void
write_text (const DerushSubtitles *subtitles, GString *file)
{
  for (guint i = 0; i < subtitles->cues->len; i++) {
    g_autofree char *text = text_for (subtitles, subtitles->cues->pdata[i], DERUSH_SUBTITLES_TEXT);

    g_string_append_printf (file, "%s\n", text);
  }
}

/**
 * derush_subtitles_to_json:
 * @subtitles: the subtitles
 *
 * Returns: (transfer full): `[{"start","end","text","speaker"?}]`, in seconds and whole milliseconds, the texts as those
 *   of %DERUSH_SUBTITLES_JSON
 */
JsonArray *
derush_subtitles_to_json (const DerushSubtitles *subtitles)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *text = derush_subtitle_convert (cue->text, subtitles->format, DERUSH_SUBTITLES_JSON);
    JsonObject *item = json_object_new ();

    json_object_set_double_member (item, "start", (double)units (cue->start, 1000) / 1000);
    json_object_set_double_member (item, "end", (double)units (cue->end, 1000) / 1000);
    json_object_set_string_member (item, "text", text);
    if (cue->speaker)
      json_object_set_string_member (item, "speaker", cue->speaker);
    json_array_add_object_element (list, item);
  }
  return list;
}

static void
write_json (const DerushSubtitles *subtitles, GString *file)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autofree char *text = NULL;

  if (subtitles->language)
    json_object_set_string_member (object, "language", subtitles->language);
  json_object_set_array_member (object, "cues", derush_subtitles_to_json (subtitles));
  text = derush_json_object_to_string (object);
  g_string_append_printf (file, "%s\n", text);
}

/* ── The file again ─────────────────────────────────────────────────────── */

/* The head of a WebVTT file may name the language, which is another one now. */
static char *
head_for (const DerushSubtitles *subtitles, const char *before)
{
  g_autoptr (GRegex) regex = NULL;
  g_autofree char *line = NULL;

  if (subtitles->format != DERUSH_SUBTITLES_VTT || !subtitles->language)
    return g_strdup (before);
  regex = g_regex_new ("(?<=\\n)Language: *[^\\n]*", 0, 0, NULL);
  line = g_strconcat ("Language: ", subtitles->language, NULL);
  return g_regex_replace_literal (regex, before, -1, 0, line, 0, NULL);
}

static void
write_again (const DerushSubtitles *subtitles, GString *file)
{
  gboolean blocks = subtitles->format == DERUSH_SUBTITLES_SRT || subtitles->format == DERUSH_SUBTITLES_VTT;

  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *text = blocks ? safe_text (cue->text) : g_strdup (cue->text);
    g_autofree char *before = i == 0 ? head_for (subtitles, cue->before) : NULL;

    g_string_append (file, before ? before : cue->before);
    if (subtitles->format == DERUSH_SUBTITLES_ASS) {
      g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

      g_free (text);
      text = g_strjoinv ("\\N", lines);
    }
    g_string_append (file, text);
    if (blocks && *text)
      g_string_append_c (file, '\n');
  }
  g_string_append (file, subtitles->after);
}

/**
 * derush_subtitles_write:
 * @subtitles: the subtitles
 * @format: what the file is to be
 *
 * Subtitles that were read from a file of that format come out as that file was but for the texts.
 *
 * Returns: (transfer full): what to write
 */
char *
derush_subtitles_write (const DerushSubtitles *subtitles, DerushSubtitleFormat format)
{
  GString *file = g_string_new (NULL);

  if (format == subtitles->format && subtitles->after)
    write_again (subtitles, file);
  else if (format == DERUSH_SUBTITLES_SRT)
    write_srt (subtitles, file);
  else if (format == DERUSH_SUBTITLES_VTT)
    write_vtt (subtitles, file);
  else if (format == DERUSH_SUBTITLES_ASS)
    write_ass (subtitles, file);
  else if (format == DERUSH_SUBTITLES_JSON)
    write_json (subtitles, file);
  else
    write_text (subtitles, file);
  return g_string_free (file, FALSE);
}

/**
 * derush_subtitles_to_text:
 * @subtitles: the subtitles
 *
 * Returns: (transfer full): what is seen of them, a line a cue
 */
char *
derush_subtitles_to_text (const DerushSubtitles *subtitles)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *line = derush_subtitle_convert (cue->text, subtitles->format, DERUSH_SUBTITLES_TEXT);

    if (subtitles->format != DERUSH_SUBTITLES_TEXT)
      g_strdelimit (line, "\n", ' ');
    g_string_append_printf (text, "%s%s", i > 0 ? "\n" : "", line);
  }
  return g_string_free (text, FALSE);
}
