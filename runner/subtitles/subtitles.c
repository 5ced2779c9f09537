/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "subtitles/subtitles.h"

GQuark
derush_subtitles_error_quark (void)
{
  static gsize quark = 0;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-subtitles-error");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return quark;
}

static void
subtitle_free (DerushSubtitle *cue)
{
  g_free (cue->text);
  g_free (cue->speaker);
  g_free (cue->before);
  g_free (cue);
}

/**
 * derush_subtitles_new:
 * @format: whose markup the texts will have
 *
 * Returns: (transfer full): subtitles without a cue
 */
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
  g_free (subtitles->language);
  g_free (subtitles->title);
  g_free (subtitles->after);
  g_free (subtitles);
}

/**
 * derush_subtitles_add:
 * @subtitles: the subtitles
 * @start: in seconds
 * @end: in seconds
 * @text: its lines, separated by \n, with the markup of the format
 *
 * Returns: (transfer none): the new cue, the last one
 */
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
    DerushSubtitle *added = derush_subtitles_add (copy, cue->start, cue->end, cue->text);

    added->before = g_strdup (cue->before);
    added->speaker = g_strdup (cue->speaker);
  }
  copy->language = g_strdup (subtitles->language);
  copy->title = g_strdup (subtitles->title);
  copy->encoding = subtitles->encoding;
  copy->after = g_strdup (subtitles->after);
  return copy;
}

static const struct {
  const char *name;
  DerushSubtitleFormat format;
} formats[] = {
    {"txt", DERUSH_SUBTITLES_TEXT}, {"srt", DERUSH_SUBTITLES_SRT},   {"vtt", DERUSH_SUBTITLES_VTT},
    {"ass", DERUSH_SUBTITLES_ASS},  {"json", DERUSH_SUBTITLES_JSON},
};

/**
 * derush_subtitle_format_from_string:
 * @name: (nullable): `txt`, `srt`, `vtt`, `ass`, `json`
 * @format: (out): the format, if there is one of that name
 *
 * Returns: whether there is
 */
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

/**
 * derush_subtitle_format_to_string:
 * @format: a format
 *
 * Returns: what files of it are called behind their last dot
 */
const char *
derush_subtitle_format_to_string (DerushSubtitleFormat format)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (formats[i].format == format)
      return formats[i].name;
  return "txt";
}
