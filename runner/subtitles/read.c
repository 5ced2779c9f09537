/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Files of subtitles as people have them: with and without numbers, blank lines and byte order marks, of any system and of
 * several encodings. What is no text of a cue is kept as it is, so that the file can be written again.
 */

#include "subtitles/subtitles.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_CUES 500000
#define MAX_HOURS 9999

/* ── Encodings ──────────────────────────────────────────────────────────── */

static char *
fail_encoding (GError **error, const char *reason)
{
  g_set_error (error, DERUSH_SUBTITLES_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The subtitles are not written in UTF-8; convert the file first: %s"), reason);
  return NULL;
}

/* Letters beyond ASCII stand alone in Western European texts, and are never these five. */
static gboolean
looks_western (const guint8 *data, gsize length)
{
  gsize high = 0, beside = 0;

  for (gsize i = 0; i < length; i++) {
    if (data[i] == 0x81 || data[i] == 0x8D || data[i] == 0x8F || data[i] == 0x90 || data[i] == 0x9D)
      return FALSE;
    if ((data[i] < 0x20 && !g_ascii_isspace (data[i])) || data[i] == 0x7F)
      return FALSE;
    if (data[i] < 0x80)
      continue;
    high++;
    beside += i > 0 && data[i - 1] >= 0x80;
  }
  return beside * 4 <= high;
}

/* UTF-16 without its mark has a zero in every second byte, or nearly. */
static const char *
guess_utf16 (const guint8 *data, gsize length)
{
  gsize even = 0, odd = 0, looked = MIN (length, 4096) / 2 * 2;

  for (gsize i = 0; i < looked; i += 2) {
    even += data[i] == 0;
    odd += data[i + 1] == 0;
  }
  if (odd * 4 > looked && even == 0)
    return "UTF-16LE";
  return even * 4 > looked && odd == 0 ? "UTF-16BE" : NULL;
}

static char *
to_utf8 (const char *data, gsize length, const char **encoding, GError **error)
{
  const char *wide = NULL;
  gsize mark = 0;
  char *text;

  if (length >= 2 && memcmp (data, "\xFF\xFE", 2) == 0)
    wide = "UTF-16LE", mark = 2;
  else if (length >= 2 && memcmp (data, "\xFE\xFF", 2) == 0)
    wide = "UTF-16BE", mark = 2;
  else if (memchr (data, '\0', length))
    wide = guess_utf16 ((const guint8 *)data, length);
  if (wide) {
    text = g_convert (data + mark, (gssize)(length - mark), "UTF-8", wide, NULL, NULL, NULL);
    return text ? text : fail_encoding (error, _ ("it looks like UTF-16, and is broken"));
  }
  if (length >= 3 && memcmp (data, "\xEF\xBB\xBF", 3) == 0)
    mark = 3;
  if (memchr (data, '\0', length))
    return fail_encoding (error, _ ("it is no text at all"));
  if (g_utf8_validate_len (data + mark, length - mark, NULL))
    return g_strndup (data + mark, length - mark);
  if (!looks_western ((const guint8 *)data, length))
    return fail_encoding (error, _ ("what it is written in cannot be told"));
  *encoding = "Windows-1252";
  text = g_convert (data, (gssize)length, "UTF-8", "WINDOWS-1252", NULL, NULL, NULL);
  return text ? text : fail_encoding (error, _ ("what it is written in cannot be told"));
}

/* ── Lines ──────────────────────────────────────────────────────────────── */

/* The lines of @text, in place, as they are ended on any system; \r\r\n is what a file gets that was converted twice. */
static GPtrArray *
split_lines (char *text)
{
  GPtrArray *lines = g_ptr_array_new ();
  char *p = text;

  for (;;) {
    char *end = p + strcspn (p, "\r\n");
    gsize length = 0;

    g_ptr_array_add (lines, p);
    if (!*end)
      break;
    if (*end == '\n')
      length = 1;
    else if (g_str_has_prefix (end, "\r\r\n"))
      length = 3;
    else
      length = end[1] == '\n' ? 2 : 1;
    *end = '\0';
    p = end + length;
  }
  g_ptr_array_add (lines, NULL);
  return lines;
}

static gboolean
is_blank (const char *line)
{
  return line[strspn (line, " \t")] == '\0';
}

/* Digits alone, as they number the cues. */
static gboolean
is_number (const char *line)
{
  gsize blanks = strspn (line, " \t"), digits = strspn (line + blanks, "0123456789");

  return digits > 0 && is_blank (line + blanks + digits);
}

static const char *
read_digits (const char *p, guint most, guint *value)
{
  guint n = 0;

  for (*value = 0; n < most && g_ascii_isdigit (p[n]); n++)
    *value = *value * 10 + (guint)g_ascii_digit_value (p[n]);
  return n > 0 && !g_ascii_isdigit (p[n]) ? p + n : NULL;
}

/* `1:02:03,456`, `02:03.456`, `0:02:03.45` of ASS, `02:03`. Returns: (nullable): what stands behind it */
static const char *
parse_time (const char *text, double *time)
{
  guint parts[3] = {0}, n = 0;
  double fraction = 0;
  const char *p = text + strspn (text, " \t");

  for (; n < 3; n++) {
    p = read_digits (p, 4, &parts[n]);
    if (!p)
      return NULL;
    if (*p != ':')
      break;
    p++;
  }
  if (n == 3 || n == 0)
    return NULL;
  if ((*p == '.' || *p == ',') && g_ascii_isdigit (p[1])) {
    double unit = 0.1;

    for (p++; g_ascii_isdigit (*p); p++, unit /= 10)
      fraction += g_ascii_digit_value (*p) * unit;
  }
  if (parts[n] > 99 || (n == 2 && parts[1] > 99))
    return NULL;
  *time = (n == 2 ? parts[0] * 3600.0 + parts[1] * 60.0 : parts[0] * 60.0) + parts[n] + fraction;
  return p;
}

static gboolean
parse_timing (const char *line, double *start, double *end)
{
  const char *p = parse_time (line, start);

  if (!p)
    return FALSE;
  p += strspn (p, " \t");
  if (!g_str_has_prefix (p, "-->"))
    return FALSE;
  p = parse_time (p + 3, end);
  return p && (*p == '\0' || *p == ' ' || *p == '\t') && *end >= *start;
}

static gboolean
is_timing (const char *line)
{
  double start, end;

  return parse_timing (line, &start, &end);
}

static gboolean
fail (GError **error, guint line, const char *text)
{
  g_autofree char *shown = g_utf8_make_valid (text, (gssize)strnlen (text, 60));

  g_set_error (error, DERUSH_SUBTITLES_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("Line %u of the subtitles is not as it has to be: “%s”"), line, shown);
  return FALSE;
}

static DerushSubtitle *
add_kept (DerushSubtitles *subtitles, double start, double end, const char *text, GString *before)
{
  DerushSubtitle *cue = derush_subtitles_add (subtitles, start, end, text);

  cue->before = g_strdup (before->str);
  g_string_truncate (before, 0);
  return cue;
}

/* ── SubRip and WebVTT ──────────────────────────────────────────────────── */

static gboolean
begins_cue (GPtrArray *lines, guint i)
{
  const char *line = lines->pdata[i], *next = lines->pdata[i + 1];

  return is_timing (line) || (is_number (line) && next && is_timing (next));
}

/* Whether the text of a cue of SubRip goes on behind the blank lines from @i on, as it does in careless files. */
static gboolean
goes_on (GPtrArray *lines, guint i)
{
  while (lines->pdata[i] && is_blank (lines->pdata[i]))
    i++;
  return lines->pdata[i] && !begins_cue (lines, i) && !strstr (lines->pdata[i], "-->") &&
         !(lines->pdata[i + 1] && strstr (lines->pdata[i + 1], "-->"));
}

/* The lines of the text from @i on, up to the end of the cue. Returns: the line behind them */
static guint
read_text (DerushSubtitleFormat format, GPtrArray *lines, guint i, GString *text)
{
  guint blanks = 0;

  g_string_truncate (text, 0);
  for (; lines->pdata[i]; i++) {
    const char *line = lines->pdata[i];

    if (format == DERUSH_SUBTITLES_SRT ? is_blank (line) : *line == '\0') {
      if (format != DERUSH_SUBTITLES_SRT || !goes_on (lines, i))
        break;
      blanks++;
      continue;
    }
    /* A number is a part of the text as long as no times follow it. */
    if (begins_cue (lines, i))
      break;
    if (text->len > 0)
      g_string_append (text, blanks > 0 ? "\n\n" : "\n");
    g_string_append (text, line);
    blanks = 0;
  }
  return i;
}

/* Whose lines may hold anything, up to the next blank one. */
static gboolean
begins_block (const char *line)
{
  static const char *const names[] = {"NOTE", "STYLE", "REGION"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_has_prefix (line, names[i]) && strchr (" \t", line[strlen (names[i])]))
      return TRUE;
  return FALSE;
}

/* `<v Ana>` */
static char *
find_speaker (const char *text)
{
  const char *name = g_str_has_prefix (text, "<v") ? text + 2 : NULL, *end = name ? strchr (name, '>') : NULL;
  g_autofree char *speaker = NULL;

  if (!end || !strchr (" \t.", *name))
    return NULL;
  name += strcspn (name, " \t>");
  speaker = g_strstrip (g_strndup (name, (gsize)(end - name)));
  return *speaker ? derush_subtitle_convert (speaker, DERUSH_SUBTITLES_VTT, DERUSH_SUBTITLES_TEXT) : NULL;
}

/* Cues are what lines of times begin; what stands between them is kept as it is. */
static gboolean
parse_blocks (DerushSubtitles *subtitles, GPtrArray *lines, GError **error)
{
  gboolean vtt = subtitles->format == DERUSH_SUBTITLES_VTT, block = FALSE;
  g_autoptr (GString) before = g_string_new (NULL), text = g_string_new (NULL);

  for (guint i = 0; lines->pdata[i];) {
    const char *line = lines->pdata[i];
    double start, end;

    block = vtt && *line && (block || begins_block (line));
    if (block || !strstr (line, "-->")) {
      g_string_append_printf (before, "%s\n", line);
      i++;
      continue;
    }
    if (!parse_timing (line, &start, &end) || subtitles->cues->len >= MAX_CUES)
      return fail (error, i + 1, line);
    g_string_append_printf (before, "%s\n", line);
    i++;
    i = read_text (subtitles->format, lines, i, text);
    add_kept (subtitles, start, end, text->str, before)->speaker = vtt ? find_speaker (text->str) : NULL;
  }
  /* A file of text ends with the end of a line, behind which there is no other. */
  if (before->len > 0)
    g_string_truncate (before, before->len - 1);
  subtitles->after = g_strdup (before->str);
  return TRUE;
}

/* ── ASS ────────────────────────────────────────────────────────────────── */

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

typedef struct {
  guint n, start, end, name;
} Fields;

/* The text is all that is behind the other fields: it may have commas. */
static gboolean
parse_dialogue (DerushSubtitles *subtitles, const char *line, const Fields *fields, GString *before)
{
  g_auto (GStrv) values = g_strsplit (strchr (line, ':') + 1, ",", (int)fields->n);
  g_autoptr (GString) text = NULL;
  DerushSubtitle *cue;
  double start, end;

  if (g_strv_length (values) < fields->n || fields->start >= fields->n || fields->end >= fields->n ||
      !parse_time (values[fields->start], &start) || !parse_time (values[fields->end], &end) || end < start ||
      subtitles->cues->len >= MAX_CUES)
    return FALSE;
  text = g_string_new (values[fields->n - 1]);
  g_string_append_len (before, line, (gssize)(strlen (line) - text->len));
  g_string_replace (text, "\\N", "\n", 0);
  cue = add_kept (subtitles, start, end, text->str, before);
  if (fields->name < fields->n - 1 && *g_strstrip (values[fields->name]))
    cue->speaker = g_strdup (values[fields->name]);
  return TRUE;
}

static gboolean
parse_ass (DerushSubtitles *subtitles, GPtrArray *lines, GError **error)
{
  g_autoptr (GString) before = g_string_new (NULL);
  Fields fields = {.n = 10, .start = 1, .end = 2, .name = 4};
  gboolean events = FALSE;

  for (guint i = 0; lines->pdata[i]; i++) {
    const char *line = lines->pdata[i], *line_end = lines->pdata[i + 1] ? "\n" : "";

    if (line[0] == '[')
      events = g_ascii_strncasecmp (line, "[Events]", 8) == 0;
    if (events && g_str_has_prefix (line, "Format:")) {
      fields.start = find_field (line, "Start", &fields.n);
      fields.end = find_field (line, "End", &fields.n);
      fields.name = find_field (line, "Name", &fields.n);
    }
    if (!events || !g_str_has_prefix (line, "Dialogue:"))
      g_string_append (before, line);
    else if (!parse_dialogue (subtitles, line, &fields, before))
      return fail (error, i + 1, line);
    g_string_append (before, line_end);
  }
  subtitles->after = g_strdup (before->str);
  return TRUE;
}

/* ── JSON and plain text ────────────────────────────────────────────────── */

static double
number_of (JsonObject *object, const char *name, const char *other)
{
  return derush_json_get_number (object, name, derush_json_get_number (object, other, NAN));
}

/* What TRANSCRIPTION writes and answers, and lists of cues. Returns: (nullable): the list */
static JsonArray *
find_cues (JsonNode *root)
{
  static const char *const names[] = {"cues", "segments", "timestamps"};
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;

  if (JSON_NODE_HOLDS_ARRAY (root))
    return json_node_get_array (root);
  for (guint i = 0; object && i < G_N_ELEMENTS (names); i++)
    if (derush_json_get_array (object, names[i]))
      return derush_json_get_array (object, names[i]);
  return NULL;
}

static gboolean
parse_json (DerushSubtitles *subtitles, const char *text, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (JsonNode) root = derush_json_parse (text, -1, &local);
  JsonArray *cues = root ? find_cues (root) : NULL;

  if (!cues) {
    g_set_error (error, DERUSH_SUBTITLES_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The subtitles are JSON that has no list of cues: %s"), local ? local->message : "cues, segments");
    return FALSE;
  }
  for (guint i = 0; i < json_array_get_length (cues); i++) {
    JsonNode *node = json_array_get_element (cues, i);
    JsonObject *cue = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    const char *words = cue ? derush_json_get_string (cue, "text", NULL) : NULL;
    double start = cue ? number_of (cue, "start", "startTime") : NAN,
           end = cue ? number_of (cue, "end", "endTime") : NAN;

    if (!words || !(start >= 0) || !(end >= start) || end > MAX_HOURS * 3600.0 || i >= MAX_CUES) {
      g_set_error (error, DERUSH_SUBTITLES_ERROR, DERUSH_ERROR_BAD_INPUT,
                   _ ("Cue %u of the subtitles must have start and end in seconds, start first, and a text"), i + 1);
      return FALSE;
    }
    derush_subtitles_add (subtitles, start, end, words)->speaker =
        g_strdup (derush_json_get_string (cue, "speaker", NULL));
  }
  if (JSON_NODE_HOLDS_OBJECT (root))
    subtitles->language = g_strdup (derush_json_get_string (json_node_get_object (root), "language", NULL));
  return TRUE;
}

static void
parse_text (DerushSubtitles *subtitles, GPtrArray *lines)
{
  g_autoptr (GString) before = g_string_new (NULL);

  for (guint i = 0; lines->pdata[i]; i++) {
    add_kept (subtitles, 0, 0, lines->pdata[i], before);
    g_string_append (before, "\n");
  }
  subtitles->after = g_strdup ("");
}

/* ── Any ────────────────────────────────────────────────────────────────── */

/* `[Applause]` and `{name}` begin texts, and are no JSON. */
static gboolean
looks_like_json (const char *text)
{
  const char *first = text + strspn (text, " \t\r\n"),
             *second = *first ? first + 1 + strspn (first + 1, " \t\r\n") : first;

  return (*first == '{' && (*second == '"' || *second == '}')) || (*first == '[' && (*second == '{' || *second == ']'));
}

/* What comes first tells: anything may stand in a text. */
static DerushSubtitleFormat
guess_format (GPtrArray *lines)
{
  const char *first = lines->pdata[0];

  if (g_str_has_prefix (first, "WEBVTT") && (!first[6] || strchr (" \t", first[6])))
    return DERUSH_SUBTITLES_VTT;
  for (guint i = 0; lines->pdata[i]; i++) {
    const char *line = lines->pdata[i], *next = lines->pdata[i + 1];

    if (g_ascii_strncasecmp (line, "[Script Info]", 13) == 0 || g_ascii_strncasecmp (line, "[Events]", 8) == 0)
      return DERUSH_SUBTITLES_ASS;
    /* Times that are wrong are an error rather than a text. */
    if (is_timing (line) || (is_number (line) && next && strstr (next, "-->")))
      return DERUSH_SUBTITLES_SRT;
  }
  return DERUSH_SUBTITLES_TEXT;
}

/**
 * derush_subtitles_parse:
 * @data: what a file has, or a text
 * @length: its length in bytes
 * @error: return location
 *
 * The format and the encoding are found out: UTF-8, UTF-16, and Windows-1252 (and with it Latin-1) where a text looks
 * like one. Whatever is in none of the formats is %DERUSH_SUBTITLES_TEXT.
 *
 * Returns: (transfer full): the subtitles; %NULL and %DERUSH_ERROR_BAD_INPUT, which names the line, if they cannot be read
 */
DerushSubtitles *
derush_subtitles_parse (const char *data, gsize length, GError **error)
{
  g_autoptr (DerushSubtitles) subtitles = NULL;
  g_autoptr (GPtrArray) lines = NULL;
  g_autofree char *text = NULL;
  const char *encoding = NULL;
  gboolean good = TRUE;

  text = to_utf8 (data, length, &encoding, error);
  if (!text)
    return NULL;
  if (looks_like_json (text)) {
    subtitles = derush_subtitles_new (DERUSH_SUBTITLES_JSON);
    subtitles->encoding = encoding;
    return parse_json (subtitles, text, error) ? g_steal_pointer (&subtitles) : NULL;
  }
  lines = split_lines (text);
  subtitles = derush_subtitles_new (guess_format (lines));
  subtitles->encoding = encoding;
  switch (subtitles->format) {
  case DERUSH_SUBTITLES_SRT:
  case DERUSH_SUBTITLES_VTT:
    good = parse_blocks (subtitles, lines, error);
    break;
  case DERUSH_SUBTITLES_ASS:
    good = parse_ass (subtitles, lines, error);
    break;
  case DERUSH_SUBTITLES_JSON:
  case DERUSH_SUBTITLES_TEXT:
    parse_text (subtitles, lines);
    break;
  }
  return good ? g_steal_pointer (&subtitles) : NULL;
}
