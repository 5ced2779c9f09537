/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Subtitles: SubRip, WebVTT, ASS, plain text and lists of cues in JSON, read and written. */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/* Its codes are DerushErrorClass. */
#define DERUSH_SUBTITLES_ERROR (derush_subtitles_error_quark ())
GQuark derush_subtitles_error_quark (void);

/**
 * DerushSubtitleFormat:
 * @DERUSH_SUBTITLES_TEXT: no markup at all, a cue a line
 * @DERUSH_SUBTITLES_SRT: SubRip, with the tags `<i>`, `<b>`, `<u>`, `<s>` and `<font>`, and commands as `{\an8}`
 * @DERUSH_SUBTITLES_VTT: WebVTT, with tags and entities
 * @DERUSH_SUBTITLES_ASS: Advanced SubStation Alpha and its ancestor SSA, with commands in braces
 * @DERUSH_SUBTITLES_JSON: `{"cues":[{"start","end","text","speaker"?}]}`, in seconds; the texts may have SubRip's tags
 */
typedef enum {
  DERUSH_SUBTITLES_TEXT,
  DERUSH_SUBTITLES_SRT,
  DERUSH_SUBTITLES_VTT,
  DERUSH_SUBTITLES_ASS,
  DERUSH_SUBTITLES_JSON,
} DerushSubtitleFormat;

/**
 * DerushSubtitle:
 * @start: in seconds
 * @end: in seconds
 * @text: its lines, separated by \n, with the markup of the format
 * @speaker: (nullable): who says it
 * @before: (nullable): what the file has before the text, as it is
 */
typedef struct {
  double start, end;
  char *text;
  char *speaker;
  char *before;
} DerushSubtitle;

/**
 * DerushSubtitles:
 * @format: of the texts, and of the file that they were read from
 * @cues: (element-type DerushSubtitle): in the order of the file
 * @language: (nullable): its code, which files tell where their format can
 * @title: (nullable): likewise
 * @encoding: (nullable): what the file was written in, if neither UTF-8 nor UTF-16: a guess
 * @after: (nullable): what the file has behind the last cue; %NULL if there is no file
 */
typedef struct {
  DerushSubtitleFormat format;
  GPtrArray *cues;
  char *language, *title;
  const char *encoding;
  char *after;
} DerushSubtitles;

DerushSubtitles *derush_subtitles_new (DerushSubtitleFormat format);
DerushSubtitles *derush_subtitles_copy (const DerushSubtitles *subtitles);
void derush_subtitles_free (DerushSubtitles *subtitles);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushSubtitles, derush_subtitles_free)

DerushSubtitle *derush_subtitles_add (DerushSubtitles *subtitles, double start, double end, const char *text);

gboolean derush_subtitle_format_from_string (const char *name, DerushSubtitleFormat *format);
const char *derush_subtitle_format_to_string (DerushSubtitleFormat format);

DerushSubtitles *derush_subtitles_parse (const char *data, gsize length, GError **error);
char *derush_subtitles_write (const DerushSubtitles *subtitles, DerushSubtitleFormat format);

JsonArray *derush_subtitles_to_json (const DerushSubtitles *subtitles);
char *derush_subtitles_to_text (const DerushSubtitles *subtitles);

char *derush_subtitle_convert (const char *text, DerushSubtitleFormat from, DerushSubtitleFormat to);

gboolean derush_subtitle_may_break (gunichar before, gunichar after, gboolean forced);
guint derush_subtitle_width (const char *text);
guint derush_subtitle_line_length (const char *line);
char *derush_subtitle_wrap (const char *text, guint lines, guint length);

G_END_DECLS
