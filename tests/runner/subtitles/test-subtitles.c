/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "subtitles/subtitles.h"

#include <math.h>
#include <string.h>

static const char srt[] = "1\n00:00:01,000 --> 00:00:02,500\nHola.\n\n2\n01:00:03,000 --> 01:00:04,000 X1:40\n<i>Una "
                          "línea</i>\ny otra.\n";
static const char vtt[] =
    "WEBVTT - a title\nLanguage: es\n\nSTYLE\n::cue { color: lime }\n\nREGION\nid:one\n\nNOTE 00:01 --> is no cue\nnor is "
    "this --> line\n\nintro\n00:01.000 --> 00:02.500 align:start\n<v Ana>Hola.\n\n00:00:03.000 --> "
    "00:00:04.000\nAdiós.\n\nNOTE end\n";
static const char ass[] =
    "[Script Info]\nTitle: x\n\n[V4+ Styles]\nStyle: Sign,Sans,20\n\n[Events]\nFormat: Layer, Start, End, Style, Name, "
    "MarginL, MarginR, MarginV, Effect, Text\nComment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,no, text\nDialogue: "
    "0,0:00:01.00,0:00:02.50,Sign,Ana,0,0,0,,{\\i1}Hola, tú{\\i0}\\Ny, yo\n";

static DerushSubtitles *
parse_bytes (const char *data, gsize length)
{
  g_autoptr (GError) error = NULL;
  DerushSubtitles *subtitles = derush_subtitles_parse (data, length, &error);

  g_assert_no_error (error);
  return subtitles;
}

static DerushSubtitles *
parse (const char *text)
{
  return parse_bytes (text, strlen (text));
}

static const DerushSubtitle *
cue (DerushSubtitles *subtitles, guint i)
{
  g_assert_cmpuint (i, <, subtitles->cues->len);
  return subtitles->cues->pdata[i];
}

/* `1-2.5 Hola.|3603-3604 Una/otra` */
static char *
describe (DerushSubtitles *subtitles)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *one = cue (subtitles, i);
    g_autofree char *line = g_strdelimit (g_strdup (one->text), "\n", '/');
    char start[G_ASCII_DTOSTR_BUF_SIZE], end[G_ASCII_DTOSTR_BUF_SIZE];

    g_ascii_formatd (start, sizeof start, "%.6g", one->start);
    g_ascii_formatd (end, sizeof end, "%.6g", one->end);
    g_string_append_printf (text, "%s%s-%s %s", i > 0 ? "|" : "", start, end, line);
  }
  return g_string_free (text, FALSE);
}

/* ── Reading ────────────────────────────────────────────────────────────── */

static void
test_round_trip (void)
{
  static const struct {
    const char *text;
    DerushSubtitleFormat format;
    guint n;
  } files[] = {
      {srt, DERUSH_SUBTITLES_SRT, 2},
      {vtt, DERUSH_SUBTITLES_VTT, 2},
      {ass, DERUSH_SUBTITLES_ASS, 1},
      {"One.\n\nTwo.\n", DERUSH_SUBTITLES_TEXT, 4},
      {"", DERUSH_SUBTITLES_TEXT, 1},
      {"WEBVTT\n", DERUSH_SUBTITLES_VTT, 0},
      {"WEBVTT\n\n00:00.000 --> 00:01.000\n\n00:01.000 --> 00:02.000\nx\n", DERUSH_SUBTITLES_VTT, 2},
  };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (DerushSubtitles) subtitles = parse (files[i].text), copy = derush_subtitles_copy (subtitles);
    g_autofree char *again = derush_subtitles_write (copy, files[i].format);

    g_assert_cmpint (subtitles->format, ==, files[i].format);
    g_assert_cmpuint (subtitles->cues->len, ==, files[i].n);
    g_assert_cmpstr (again, ==, files[i].text);
  }
}

static void
test_reading (void)
{
  static const struct {
    const char *text, *cues;
  } files[] = {
      {srt, "1-2.5 Hola.|3603-3604 <i>Una línea</i>/y otra."},
      {vtt, "1-2.5 <v Ana>Hola.|3-4 Adiós."},
      {ass, "1-2.5 {\\i1}Hola, tú{\\i0}/y, yo"},
      /* Windows, an old Mac, and what was converted twice. */
      {"\xEF\xBB\xBF"
       "1\r\n00:00:01,5 --> 00:00:02,000\r\nHi\r\nyou\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nBye\r\n",
       "1.5-2 Hi/you|3-4 Bye"},
      {"1\r00:00:01,000 --> 00:00:02,000\rHi\r\r2\r00:00:03,000 --> 00:00:04,000\rBye\r", "1-2 Hi|3-4 Bye"},
      {"1\r\r\n00:00:01,000 --> 00:00:02,000\r\r\nHi\r\r\nyou\r\r\n\r\r\n", "1-2 Hi/you"},
      /* Without numbers, blank lines or blanks; points for commas, no fractions, short and long times. */
      {"00:00:01,000 --> 00:00:02,000\nHi\n\n00:00:03,000 --> 00:00:04,000\nBye\n", "1-2 Hi|3-4 Bye"},
      {"1\n00:00:01,000 --> 00:00:02,000\nHi\n2\n00:00:03,000 --> 00:00:04,000\n42\n3\n00:00:05,000 --> "
       "00:00:06,000\nBye",
       "1-2 Hi|3-4 42|5-6 Bye"},
      {"1\n00:00:01.000-->00:00:02.25\nHi\n", "1-2.25 Hi"},
      {"1\n00:00:01 --> 00:02\nHi\n", "1-2 Hi"},
      {"1\n100:00:00,000 --> 123:00:00,000\nHi\n", "360000-442800 Hi"},
      {"\n\n  1 \n 0:0:1,000 --> 0:0:2,000 \nHi\n", "1-2 Hi"},
      /* Cues without a text, texts with blank lines, and cues at one time. */
      {"1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n", "1-2 |3-4 Bye"},
      {"1\n00:00:01,000 --> 00:00:02,000\n\n\n", "1-2 "},
      {"1\n00:00:01,000 --> 00:00:02,000\n\nHi\n \nyou\n\n2\n00:00:01,000 --> 00:00:04,000\nBye\n",
       "1-2 Hi//you|1-4 Bye"},
      {"1\n00:00:05,000 --> 00:00:06,000\nlate\n\n2\n00:00:01,000 --> 00:00:09,000\nearly\n", "5-6 late|1-9 early"},
      /* Signatures before the first cue. */
      {"Made by somebody\n\n1\n00:00:01,000 --> 00:00:02,000\nHi\n", "1-2 Hi"},
      {"WEBVTT\n00:01.000 --> 00:02.000\nHi\n\nNOTEBOOK\n00:03.000 --> 00:04.000\nBye\n", "1-2 Hi|3-4 Bye"},
      {"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n1\n00:00:01.000 --> 00:00:02.000 line:90%\nHi\n",
       "1-2 Hi"},
      /* SSA, whose fields are others, and other orders. */
      {"; of an editor\n[Script Info]\nScriptType: v4.00\n[Events]\nFormat: Marked, Start, End, Style, Name, MarginL, "
       "MarginR, MarginV, Effect, Text\nDialogue: Marked=0,0:00:01.00,0:00:02.00,Default,,0,0,0,,Hi, you\n",
       "1-2 Hi, you"},
      {"[Script Info]\n\n[events]\nFormat: Start, End, Text\nDialogue: 0:00:01.50,0:00:02.00,a,b\\Nc\n[Fonts]\nDialogue: "
       "no\n",
       "1.5-2 a,b/c"},
      /* Transcripts. */
      {"{\"text\":\"Hi you\",\"language\":\"en\",\"segments\":[{\"start\":1,\"end\":4,\"text\":\"Hi you\"}],\"cues\":"
       "[{\"start\":1,\"end\":2.5,\"text\":\"Hi\"},{\"startTime\":3,\"endTime\":4,\"text\":\"you\"}]}",
       "1-2.5 Hi|3-4 you"},
      {" [ {\"start\":0,\"end\":1,\"text\":\"Hi\"} ]", "0-1 Hi"},
      {"[]", ""},
      /* No subtitles at all. */
      {"[Applause] 1\n{name} --> you", "0-0 [Applause] 1|0-0 {name} --> you"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (DerushSubtitles) subtitles = parse (files[i].text);
    g_autofree char *cues = describe (subtitles);

    g_assert_cmpstr (cues, ==, files[i].cues);
  }
}

static void
test_speakers (void)
{
  g_autoptr (DerushSubtitles) one = parse (vtt), two = parse (ass),
                              three = parse ("[{\"start\":0,\"end\":1,\"text\":\"x\",\"speaker\":\"Ana\"}]");
  g_autofree char *as_ass = derush_subtitles_write (one, DERUSH_SUBTITLES_ASS),
                  *as_vtt = derush_subtitles_write (two, DERUSH_SUBTITLES_VTT),
                  *as_json = derush_subtitles_write (three, DERUSH_SUBTITLES_JSON);

  g_assert_nonnull (strstr (as_ass, "\nDialogue: 0,0:00:01.00,0:00:02.50,Default,Ana,0,0,0,,Hola.\n"));
  g_assert_cmpstr (as_vtt, ==, "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<v Ana><i>Hola, tú</i>\ny, yo\n");
  g_assert_nonnull (strstr (as_json, "\"speaker\":\"Ana\""));
}

static void
test_encodings (void)
{
  static const char *const wide[] = {"UTF-16LE", "UTF-16BE"}, *const marks[] = {"\xFF\xFE", "\xFE\xFF"};
  static const char text[] = "1\n00:00:01,000 --> 00:00:02,000\n¿Quién? œ\n";

  for (guint i = 0; i < 2 * G_N_ELEMENTS (wide); i++) {
    gsize length;
    g_autofree char *bytes = g_convert (text, -1, wide[i / 2], "UTF-8", NULL, &length, NULL);
    g_autoptr (GByteArray) file = g_byte_array_new ();
    g_autoptr (DerushSubtitles) subtitles = NULL;

    if (i % 2)
      g_byte_array_append (file, (const guint8 *)marks[i / 2], 2);
    g_byte_array_append (file, (const guint8 *)bytes, (guint)length);
    subtitles = parse_bytes ((const char *)file->data, file->len);
    g_assert_cmpstr (cue (subtitles, 0)->text, ==, "¿Quién? œ");
    g_assert_null (subtitles->encoding);
  }
  {
    g_autofree char *bytes = g_convert (text, -1, "WINDOWS-1252", "UTF-8", NULL, NULL, NULL);
    g_autoptr (DerushSubtitles) subtitles = parse (bytes);

    g_assert_cmpstr (cue (subtitles, 0)->text, ==, "¿Quién? œ");
    g_assert_cmpstr (subtitles->encoding, ==, "Windows-1252");
  }
}

static void
test_broken_files (void)
{
  static const struct {
    const char *text, *says;
    gsize length;
  } files[] = {
      {"1\n00:00:01,000 --> later\nHi\n", "Line 2", 0},
      {"1\n00:00:05,000 --> 00:00:02,000\nHi\n", "Line 2", 0},
      {"1\n00:00:01,000 --> 00:00:02,000\nHi\n\n2\n00:00:99999999999999,000 --> 00:00:02,000\nx\n", "Line 6", 0},
      {"WEBVTT\n\n00:01.000 --> x\n", "Line 3", 0},
      {"WEBVTT\n\n-1:01.000 --> 00:02.000\nx\n", "Line 3", 0},
      {"[Events]\nFormat:\nDialogue: 0,0:00:01.00,0:00:02.00,x\n", "Line 3", 0},
      {"[Events]\nFormat: Start\nDialogue: 0:00:01.00\n", "Line 3", 0},
      {"[Events]\nDialogue: 0,0:00:01.00\n", "Line 2", 0},
      {"[Events]\nDialogue:\n", "Line 2", 0},
      {"{\"cues\":7}", "no list of cues", 0},
      {"{\"cues\":[", "JSON", 0},
      {"[{\"start\":2,\"end\":1,\"text\":\"x\"}]", "Cue 1", 0},
      {"[{\"start\":1e300,\"end\":1e301,\"text\":\"x\"}]", "Cue 1", 0},
      {"[{\"start\":1,\"end\":2}]", "Cue 1", 0},
      {"[[]]", NULL, 0},
      /* Cyrillic in Windows-1251, a picture, and half a letter of UTF-16. */
      {"1\n00:00:01,000 --> 00:00:02,000\n\xCF\xF0\xE8\xE2\xE5\xF2, \xEC\xE8\xF0, \xEA\xE0\xEA \xE4\xE5\xEB\xE0\n",
       "UTF-8", 0},
      {"\x89PNG\r\n\x1A\n\0\0\0\rIHDR", "no text at all", 16},
      {"\xFF\xFE\x31\0\x0A", "UTF-16", 5},
  };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushSubtitles) subtitles =
        derush_subtitles_parse (files[i].text, files[i].length ? files[i].length : strlen (files[i].text), &error);

    if (!files[i].says)
      continue;
    g_assert_null (subtitles);
    g_assert_error (error, DERUSH_SUBTITLES_ERROR, DERUSH_ERROR_BAD_INPUT);
    g_assert_null (strchr (error->message, '\n'));
    if (!strstr (error->message, files[i].says))
      g_error ("“%s” does not say “%s”", error->message, files[i].says);
  }
}

/* Whatever happens to a file, it is read or refused. */
static void
test_damage (void)
{
  static const char *const files[] = {srt, vtt, ass, "[{\"start\":0,\"end\":1,\"text\":\"<i>x</i> {\\\\an8}\"}]"};
  guint32 state = 1;

  for (guint round = 0; round < 4000; round++) {
    const char *file = files[round % G_N_ELEMENTS (files)];
    gsize length = strlen (file);
    g_autofree char *bytes = g_memdup2 (file, length);
    g_autoptr (DerushSubtitles) subtitles = NULL;

    for (guint i = 0; i < 1 + round % 6; i++) {
      state = state * 1664525 + 1013904223;
      bytes[state % length] = round % 3 == 0 ? (char)(state >> 16) : "<>{}\\&;,:-\n 0[N"[(state >> 20) % 15];
    }
    subtitles = derush_subtitles_parse (bytes, length - state % 7, NULL);
    for (DerushSubtitleFormat format = DERUSH_SUBTITLES_TEXT; subtitles && format <= DERUSH_SUBTITLES_JSON; format++) {
      g_autofree char *text = derush_subtitles_write (subtitles, format);

      g_assert_true (g_utf8_validate (text, -1, NULL));
    }
  }
}

static void
test_large_file (void)
{
  g_autoptr (GString) file = g_string_new (NULL);
  g_autoptr (DerushSubtitles) subtitles = NULL;
  g_autofree char *again = NULL;
  guint n = 0;

  for (; file->len < 20000000; n++)
    g_string_append_printf (
        file, "%u\n%02u:%02u:%02u,%03u --> %02u:%02u:%02u,%03u\nWhat is said in cue %u\nof a long file\n\n", n + 1,
        n / 3600, n / 60 % 60, n % 60, n % 1000, n / 3600, n / 60 % 60, n % 60, 999, n);
  subtitles = parse_bytes (file->str, file->len);
  g_assert_cmpuint (subtitles->cues->len, ==, n);
  again = derush_subtitles_write (subtitles, DERUSH_SUBTITLES_SRT);
  g_assert_cmpuint (strlen (again), ==, file->len);
  g_assert_true (strcmp (again, file->str) == 0);
}

/* ── Writing ────────────────────────────────────────────────────────────── */

/* What is written can be read, and is the same: whatever the texts are, in every format. */
static void
test_any_text (void)
{
  static const char *const texts[] = {"Hi.",
                                      "Tom & Jerry < Spike > Tyke",
                                      "<i>is no tag</i> </b> <font color=\"red\">",
                                      "a <3 b, c<d, x</y",
                                      "&amp; &lt; &#65; &nbsp;",
                                      "{name} {\\an8} \\{x\\} {",
                                      "C:\\News\\host\\N\\h \\",
                                      "commas, more, and; semicolons: 0,1",
                                      "two\nlines",
                                      "多い\nもの",
                                      "مرحبا بالعالم، {name}",
                                      "♪ la ♪",
                                      "1",
                                      "NOTE this\nSTYLE",
                                      "- Who?\n- Me.",
                                      "00:00:01,000",
                                      "Dialogue: 0,x",
                                      "[Events]"};
  static const DerushSubtitleFormat formats[] = {DERUSH_SUBTITLES_SRT, DERUSH_SUBTITLES_VTT, DERUSH_SUBTITLES_ASS};
  g_autoptr (DerushSubtitles) subtitles = derush_subtitles_new (DERUSH_SUBTITLES_TEXT);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    derush_subtitles_add (subtitles, i * 1.2345678, i * 1.2345678 + 1.0007, texts[i]);
  for (guint k = 0; k < G_N_ELEMENTS (formats); k++) {
    g_autofree char *file = derush_subtitles_write (subtitles, formats[k]);
    g_autoptr (DerushSubtitles) again = parse (file);
    double exact = formats[k] == DERUSH_SUBTITLES_ASS ? 0.0051 : 0.00051;

    g_assert_cmpint (again->format, ==, formats[k]);
    g_assert_cmpuint (again->cues->len, ==, G_N_ELEMENTS (texts));
    for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
      g_autofree char *seen = derush_subtitle_convert (cue (again, i)->text, formats[k], DERUSH_SUBTITLES_TEXT);

      g_assert_cmpstr (seen, ==, texts[i]);
      g_assert_cmpfloat_with_epsilon (cue (again, i)->start, cue (subtitles, i)->start, exact);
      g_assert_cmpfloat_with_epsilon (cue (again, i)->end, cue (subtitles, i)->end, exact);
    }
  }
}

static void
test_arrows_and_blank_lines (void)
{
  g_autoptr (DerushSubtitles) subtitles = derush_subtitles_new (DERUSH_SUBTITLES_TEXT), again = NULL;
  g_autofree char *as_srt = NULL, *as_vtt = NULL;

  derush_subtitles_add (subtitles, 1, 2, "\n00:00:03,000 --> 00:00:04,000\n\n\r\nno cue\n");
  as_srt = derush_subtitles_write (subtitles, DERUSH_SUBTITLES_SRT);
  as_vtt = derush_subtitles_write (subtitles, DERUSH_SUBTITLES_VTT);
  g_assert_cmpstr (as_srt, ==, "1\n00:00:01,000 --> 00:00:02,000\n00:00:03,000 → 00:00:04,000\nno cue\n\n");
  g_assert_cmpstr (as_vtt, ==, "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n00:00:03,000 --&gt; 00:00:04,000\nno cue\n");
  again = parse (as_vtt);
  g_assert_cmpuint (again->cues->len, ==, 1);
}

static void
test_times (void)
{
  static const struct {
    double start, end;
    const char *srt, *ass;
  } cases[] = {
      {0, 1, "00:00:00,000 --> 00:00:01,000", ",0:00:00.00,0:00:01.00,"},
      {0.0004, 0.9996, "00:00:00,000 --> 00:00:01,000", ",0:00:00.00,0:00:01.00,"},
      {59.9996, 3599.9999, "00:01:00,000 --> 01:00:00,000", ",0:01:00.00,1:00:00.00,"},
      {1.004, 1.005001, "00:00:01,004 --> 00:00:01,005", ",0:00:01.00,0:00:01.01,"},
      {360000, 360001.5, "100:00:00,000 --> 100:00:01,500", ",100:00:00.00,100:00:01.50,"},
      /* Nothing is shown for no time. */
      {2, 2, "00:00:02,000 --> 00:00:02,001", ",0:00:02.00,0:00:02.01,"},
      {-1, 1, "00:00:00,000 --> 00:00:01,000", ",0:00:00.00,0:00:01.00,"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DerushSubtitles) subtitles = derush_subtitles_new (DERUSH_SUBTITLES_TEXT);
    g_autofree char *as_srt = NULL, *as_ass = NULL;
    g_auto (GStrv) lines = NULL;

    derush_subtitles_add (subtitles, cases[i].start, cases[i].end, "x");
    as_srt = derush_subtitles_write (subtitles, DERUSH_SUBTITLES_SRT);
    as_ass = derush_subtitles_write (subtitles, DERUSH_SUBTITLES_ASS);
    lines = g_strsplit (as_srt, "\n", -1);
    g_assert_cmpstr (lines[1], ==, cases[i].srt);
    g_assert_nonnull (strstr (as_ass, cases[i].ass));
  }
}

static void
test_heads (void)
{
  g_autoptr (DerushSubtitles) subtitles = derush_subtitles_new (DERUSH_SUBTITLES_TEXT), read = parse (vtt);
  g_autofree char *as_vtt = NULL, *as_ass = NULL, *again = NULL;
  DerushSubtitle *one = derush_subtitles_add (subtitles, 1, 2, "x");

  subtitles->language = g_strdup ("pt-BR");
  subtitles->title = g_strdup ("A\ntitle");
  one->speaker = g_strdup ("Ann, <the> first");
  as_vtt = derush_subtitles_write (subtitles, DERUSH_SUBTITLES_VTT);
  as_ass = derush_subtitles_write (subtitles, DERUSH_SUBTITLES_ASS);
  g_assert_cmpstr (as_vtt, ==,
                   "WEBVTT\nLanguage: pt-BR\n\n00:00:01.000 --> 00:00:02.000\n<v Ann, &lt;the&gt; first>x\n");
  g_assert_true (g_str_has_prefix (as_ass, "[Script Info]\nScriptType: v4.00+\nTitle: A title\n"));
  g_assert_nonnull (strstr (as_ass, "\nPlayResX: 1280\nPlayResY: 720\n"));
  g_assert_nonnull (strstr (as_ass, "\n[V4+ Styles]\nFormat: Name, Fontname"));
  g_assert_nonnull (strstr (as_ass, "\nDialogue: 0,0:00:01.00,0:00:02.00,Default,Ann  <the> first,0,0,0,,x\n"));
  /* A file in another language says so. */
  read->language = g_strdup ("pt");
  again = derush_subtitles_write (read, DERUSH_SUBTITLES_VTT);
  g_assert_true (g_str_has_prefix (again, "WEBVTT - a title\nLanguage: pt\n\nSTYLE\n"));
}

/* ── Markup ─────────────────────────────────────────────────────────────── */

static void
test_markup (void)
{
  static const struct {
    DerushSubtitleFormat from;
    const char *text;
    DerushSubtitleFormat to;
    const char *converted;
  } cases[] = {
      {DERUSH_SUBTITLES_SRT, "<i>a</i> & <B>b</B>", DERUSH_SUBTITLES_VTT, "<i>a</i> &amp; <b>b</b>"},
      {DERUSH_SUBTITLES_SRT, "<font color=\"red\">a</font> {\\an8}b <unk>", DERUSH_SUBTITLES_VTT, "a b &lt;unk&gt;"},
      {DERUSH_SUBTITLES_SRT, "<i>a\nb", DERUSH_SUBTITLES_ASS, "{\\i1}a\\Nb{\\i0}"},
      {DERUSH_SUBTITLES_SRT, "<s>a</s> {name}", DERUSH_SUBTITLES_ASS, "{\\s1}a{\\s0} \\{name\\}"},
      {DERUSH_SUBTITLES_SRT, "<u>a</u>", DERUSH_SUBTITLES_TEXT, "a"},
      {DERUSH_SUBTITLES_VTT, "<v.loud Ana Ruiz>Tom &amp; <i.x>Jerry</i> &lt;3&nbsp;&#x41;&#66; &unknown;",
       DERUSH_SUBTITLES_SRT,
       "Tom & <i>Jerry</i> <3\xC2\xA0"
       "AB &unknown;"},
      {DERUSH_SUBTITLES_VTT, "<c.red>a</c><00:00:01.000> <lang en>b</lang> 1 < 2", DERUSH_SUBTITLES_SRT, "a b 1 < 2"},
      {DERUSH_SUBTITLES_VTT, "&lt;i&gt;", DERUSH_SUBTITLES_TEXT, "<i>"},
      {DERUSH_SUBTITLES_VTT, "{\\an8} &#0; &#xFFFFFFFF; &#;", DERUSH_SUBTITLES_TEXT, "{\\an8} &#0; &#xFFFFFFFF; &#;"},
      {DERUSH_SUBTITLES_ASS, "{\\i1\\b1\\c&HFF&}a{\\r} b\\hc\\nd", DERUSH_SUBTITLES_SRT,
       "<i><b>a</b></i> b\xC2\xA0"
       "c d"},
      {DERUSH_SUBTITLES_ASS, "{\\p1}m 0 0 l 9 9{\\p0}{a comment}x{\\pos(1,2)}", DERUSH_SUBTITLES_VTT, "x"},
      {DERUSH_SUBTITLES_ASS, "{\\k20}Hel{\\k30}lo {open", DERUSH_SUBTITLES_SRT, "Hello {open"},
      {DERUSH_SUBTITLES_JSON, "<i>a</i> {name} <b", DERUSH_SUBTITLES_VTT, "<i>a</i> {name} &lt;b"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *converted = derush_subtitle_convert (cases[i].text, cases[i].from, cases[i].to);

    g_assert_cmpstr (converted, ==, cases[i].converted);
  }
}

static void
test_lines (void)
{
  static const struct {
    const char *text;
    guint lines, length;
    const char *wrapped;
  } cases[] = {
      {"one two three four", 1, 42, "one two three four"},
      {"one two three four", 2, 42, "one two\nthree four"},
      {"one two three four", 1, 10, "one two\nthree four"},
      {"one", 2, 42, "one"},
      {"<i>one two</i> three", 2, 9, "<i>one two</i>\nthree"},
      {"<font color=\"red\">one</font> two", 1, 7, "<font color=\"red\">one</font> two"},
      {"月が青い夜に犬が眠る", 1, 12, "月が青い夜\nに犬が眠る"},
      /* No line begins with what ends a sentence, or ends with what begins one. */
      {"月が青い。「犬」が眠る", 1, 8, "月が青\nい。\n「犬」\nが眠る"},
      {"<i>月が青い</i>夜に犬", 2, 12, "<i>月が青い</i>\n夜に犬"},
      {"月が青い夜に犬が眠る", 2, 42, "月が青い夜\nに犬が眠る"},
      /* Words of scripts without blanks are cut when there is no other way, addresses never, and marks take no room. */
      {"สวัสดีครับ ผมชื่อสมชาย", 1, 10, "สวัสดีครับ\nผมชื่อสมชาย"},
      {"ผมชื่อสมชายผมชื่อสมชาย", 1, 10, "ผมชื่อสมชายผ\nมชื่อสมชาย"},
      {"see https://a.example/a/long/address", 1, 12, "see\nhttps://a.example/a/long/address"},
      {"{a name} two", 1, 8, "{a name}\ntwo"},
      {"مرحبا بالعالم الجميل", 2, 42, "مرحبا بالعالم\nالجميل"},
      {"", 2, 42, ""},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *wrapped = derush_subtitle_wrap (cases[i].text, cases[i].lines, cases[i].length);

    g_assert_cmpstr (wrapped, ==, cases[i].wrapped);
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/subtitles/a-file-is-written-as-it-was-read", test_round_trip);
  g_test_add_func ("/subtitles/files-of-every-make-are-read", test_reading);
  g_test_add_func ("/subtitles/speakers-are-kept-in-other-formats", test_speakers);
  g_test_add_func ("/subtitles/encodings-are-found-out", test_encodings);
  g_test_add_func ("/subtitles/a-broken-file-is-refused-by-its-line", test_broken_files);
  g_test_add_func ("/subtitles/a-damaged-file-is-read-or-refused", test_damage);
  g_test_add_func ("/subtitles/a-file-of-20-megabytes-is-read", test_large_file);
  g_test_add_func ("/subtitles/any-text-comes-back-from-every-format", test_any_text);
  g_test_add_func ("/subtitles/arrows-and-blank-lines-end-no-cue", test_arrows_and_blank_lines);
  g_test_add_func ("/subtitles/times-are-rounded-as-the-format-counts", test_times);
  g_test_add_func ("/subtitles/heads-name-language-title-and-speakers", test_heads);
  g_test_add_func ("/subtitles/markup-of-one-format-becomes-that-of-another", test_markup);
  g_test_add_func ("/subtitles/lines-are-even-and-not-too-long", test_lines);
  return g_test_run ();
}
