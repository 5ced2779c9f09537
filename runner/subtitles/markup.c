/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * The markup of one format as that of another: italics, bold, underlined and struck letters and the ends of lines are kept,
 * and so is every character of the text; colours, places, classes and karaoke are not. What would be markup in the other
 * format and is none here is escaped, and these escapes are read again.
 */

#include "subtitles/subtitles.h"

#include <string.h>

/* Invisible; between two characters it makes them no command: SubRip has no escapes. */
#define JOINER "\xE2\x81\xA0"
#define HARD_BLANK "\xC2\xA0"

static const char styles[] = "ibus";

typedef struct {
  GString *text;
  DerushSubtitleFormat from, to;
  gboolean on[4];
  gboolean drawing; /* of ASS: what follows are lines and curves */
} Conversion;

static gboolean
has_tags (DerushSubtitleFormat format)
{
  return format == DERUSH_SUBTITLES_SRT || format == DERUSH_SUBTITLES_VTT || format == DERUSH_SUBTITLES_JSON;
}

static void
set_style (Conversion *self, char name, gboolean on)
{
  guint i = (guint)(strchr (styles, name) - styles);

  if (self->on[i] == on)
    return;
  self->on[i] = on;
  if (self->to == DERUSH_SUBTITLES_ASS)
    g_string_append_printf (self->text, "{\\%c%d}", name, on);
  else if (has_tags (self->to) && !(self->to == DERUSH_SUBTITLES_VTT && name == 's'))
    g_string_append_printf (self->text, "<%s%c>", on ? "" : "/", name);
}

/* The last ones first: they are the inner ones, most of the time. */
static void
reset_styles (Conversion *self)
{
  for (guint i = G_N_ELEMENTS (self->on); i-- > 0;)
    set_style (self, styles[i], FALSE);
}

static void
put_break (Conversion *self)
{
  g_string_append (self->text, self->to == DERUSH_SUBTITLES_ASS ? "\\N" : "\n");
}

/* How long the tag of SubRip is that @text begins with: 0: it is none; @style: 0: of no letters that are kept */
static gsize
srt_tag (const char *text, char *style, gboolean *on)
{
  const char *p = text + 1;
  gsize length;

  *on = *p != '/';
  if (!*on)
    p++;
  *style = g_ascii_tolower (*p);
  if (*p && strchr (styles, *style) && p[1] == '>')
    return (gsize)(p + 2 - text);
  *style = 0;
  if (g_ascii_strncasecmp (p, "font", 4) != 0 || (p[4] != '>' && !g_ascii_isspace (p[4])))
    return 0;
  length = strcspn (p, "<>\n");
  return p[length] == '>' ? (gsize)(p + length + 1 - text) : 0;
}

/* One character, or an ASCII one of several bytes: @next is what the source has behind it. */
static void
put (Conversion *self, const char *p, gsize length, const char *next)
{
  if (self->drawing)
    return;
  switch (self->to) {
  case DERUSH_SUBTITLES_SRT:
    if (*p == '\\' && g_str_has_suffix (self->text->str, "{"))
      g_string_append (self->text, JOINER);
    g_string_append_len (self->text, p, (gssize)length);
    if (*p == '<')
      g_string_append (self->text, JOINER);
    return;
  case DERUSH_SUBTITLES_VTT:
    if (*p == '&')
      g_string_append (self->text, "&amp;");
    else if (*p == '<')
      g_string_append (self->text, "&lt;");
    else if (*p == '>')
      g_string_append (self->text, "&gt;");
    else
      g_string_append_len (self->text, p, (gssize)length);
    return;
  case DERUSH_SUBTITLES_ASS:
    if (*p == '{' || *p == '}')
      g_string_append_c (self->text, '\\');
    g_string_append_len (self->text, p, (gssize)length);
    if (*p == '\\' && *next && strchr ("Nnh{}", *next))
      g_string_append (self->text, JOINER);
    return;
  case DERUSH_SUBTITLES_TEXT:
  case DERUSH_SUBTITLES_JSON:
    g_string_append_len (self->text, p, (gssize)length);
    return;
  }
}

/* ── What there is at a place of the source: each returns how many bytes of it were taken, or 0 ── */

static gsize
take_srt (Conversion *self, const char *p)
{
  gboolean on;
  gsize length;
  char style;

  if ((*p == '<' || *p == '{') && g_str_has_prefix (p + 1, JOINER)) {
    put (self, p, 1, p + 1 + strlen (JOINER));
    return 1 + strlen (JOINER);
  }
  if (*p == '<' && (length = srt_tag (p, &style, &on)) > 0) {
    if (style)
      set_style (self, style, on);
    return length;
  }
  if (p[0] == '{' && p[1] == '\\') {
    length = strcspn (p, "}\n");
    return p[length] == '}' ? length + 1 : 0;
  }
  return 0;
}

static gsize
take_entity (Conversion *self, const char *p)
{
  static const struct {
    const char *name, *value;
  } entities[] = {{"&amp;", "&"},
                  {"&lt;", "<"},
                  {"&gt;", ">"},
                  {"&nbsp;", HARD_BLANK},
                  {"&lrm;", "\xE2\x80\x8E"},
                  {"&rlm;", "\xE2\x80\x8F"},
                  {"&quot;", "\""},
                  {"&apos;", "'"}};
  gboolean hexadecimal = p[1] == '#' && (p[2] == 'x' || p[2] == 'X');
  char utf8[7] = "", *end;
  guint64 c;

  for (guint i = 0; i < G_N_ELEMENTS (entities); i++)
    if (g_str_has_prefix (p, entities[i].name)) {
      gsize length = strlen (entities[i].name);

      put (self, entities[i].value, strlen (entities[i].value), p + length);
      return length;
    }
  if (p[1] != '#' || !g_ascii_isxdigit (p[hexadecimal ? 3 : 2]))
    return 0;
  c = g_ascii_strtoull (p + (hexadecimal ? 3 : 2), &end, hexadecimal ? 16 : 10);
  if (*end != ';' || c < 32 || c > 0x10FFFF || !g_unichar_validate ((gunichar)c))
    return 0;
  g_unichar_to_utf8 ((gunichar)c, utf8);
  put (self, utf8, strlen (utf8), end + 1);
  return (gsize)(end + 1 - p);
}

static gsize
take_vtt (Conversion *self, const char *p)
{
  gsize length;

  if (*p == '&')
    return take_entity (self, p);
  if (*p == '<') {
    gboolean on = p[1] != '/';
    const char *name = p + (on ? 1 : 2);

    length = strcspn (p, ">");
    if (p[length] != '>' || !(g_ascii_isalnum (*name) || *name == '>' || *name == '.'))
      return 0;
    if (strchr ("ibu", *name) && strchr (".> \t\n", name[1]))
      set_style (self, *name, on);
    return length + 1;
  }
  return 0;
}

/* `{\i1\b0\p1 a comment}` */
static void
read_commands (Conversion *self, const char *commands, gsize length)
{
  for (gsize i = 0; i + 1 < length; i++) {
    if (commands[i] != '\\')
      continue;
    if (commands[i + 1] == 'p' && g_ascii_isdigit (commands[i + 2]))
      self->drawing = commands[i + 2] != '0';
    else if (strchr (styles, commands[i + 1]) && g_ascii_isdigit (commands[i + 2]))
      set_style (self, commands[i + 1], commands[i + 2] != '0');
    else if (commands[i + 1] == 'r')
      reset_styles (self);
  }
}

static gsize
take_ass (Conversion *self, const char *p)
{
  gsize length;

  if (*p == '{') {
    length = strcspn (p, "}");
    if (p[length] != '}')
      return 0;
    read_commands (self, p, length);
    return length + 1;
  }
  if (*p != '\\')
    return 0;
  if (p[1] == 'N') {
    put_break (self);
    return 2;
  }
  if (p[1] == 'n' || p[1] == 'h') {
    put (self, p[1] == 'n' ? " " : HARD_BLANK, p[1] == 'n' ? 1 : 2, p + 2);
    return 2;
  }
  if (p[1] == '{' || p[1] == '}') {
    put (self, p + 1, 1, p + 2);
    return 2;
  }
  if (g_str_has_prefix (p + 1, JOINER)) {
    put (self, p, 1, p + 1 + strlen (JOINER));
    return 1 + strlen (JOINER);
  }
  return 0;
}

static gsize
take (Conversion *self, const char *p)
{
  if (*p == '\n') {
    put_break (self);
    return 1;
  }
  switch (self->from) {
  case DERUSH_SUBTITLES_SRT:
  case DERUSH_SUBTITLES_JSON:
    return take_srt (self, p);
  case DERUSH_SUBTITLES_VTT:
    return take_vtt (self, p);
  case DERUSH_SUBTITLES_ASS:
    return take_ass (self, p);
  case DERUSH_SUBTITLES_TEXT:
    break;
  }
  return 0;
}

/* Of the joiners behind `<`, only those stay that are needed. */
static void
drop_joiners (GString *text)
{
  const gsize length = strlen (JOINER);
  gboolean on;
  char style;

  for (gsize i = 0; i < text->len; i++) {
    if (text->str[i] != '<' || !g_str_has_prefix (text->str + i + 1, JOINER))
      continue;
    g_string_erase (text, (gssize)i + 1, (gssize)length);
    if (srt_tag (text->str + i, &style, &on) > 0)
      g_string_insert (text, (gssize)i + 1, JOINER);
  }
}

/**
 * derush_subtitle_convert:
 * @text: the text of a cue
 * @from: whose markup it has
 * @to: whose it is to have
 *
 * Returns: (transfer full): the same text with the markup of @to; to %DERUSH_SUBTITLES_TEXT, what is seen of it
 */
char *
derush_subtitle_convert (const char *text, DerushSubtitleFormat from, DerushSubtitleFormat to)
{
  Conversion self = {.text = g_string_new (NULL), .from = from, .to = to};

  for (const char *p = text; *p;) {
    gsize taken = take (&self, p);

    if (taken == 0) {
      taken = (gsize)(g_utf8_next_char (p) - p);
      put (&self, p, taken, p + taken);
    }
    p += taken;
  }
  reset_styles (&self);
  if (to == DERUSH_SUBTITLES_SRT)
    drop_joiners (self.text);
  return g_string_free (self.text, FALSE);
}
