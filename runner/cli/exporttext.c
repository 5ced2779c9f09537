/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The formats that are lines of text: edit decision lists (CMX 3600) and WebVTT. */

#include "cli/export-private.h"
#include "subtitles/subtitles.h"

#include <math.h>
#include <string.h>

/* CMX 3600 knows names of eight letters and figures. */
#define REEL_LENGTH 8

static char *
one_line (const char *text)
{
  char *line = g_strdup (text);

  g_strdelimit (line, "\r\n\v\f", ' ');
  return line;
}

static char *
reel_of (const char *path)
{
  g_autofree char *base = g_path_get_basename (path);
  GString *reel = g_string_new (NULL);

  for (const char *c = base; *c && *c != '.' && reel->len < REEL_LENGTH; c++)
    if (g_ascii_isalnum (*c))
      g_string_append_c (reel, g_ascii_toupper (*c));
  if (reel->len == 0)
    g_string_assign (reel, "AX");
  return g_string_free (reel, FALSE);
}

static char *
timecode (const DerushExport *self, gint64 frame)
{
  return derush_export_timecode (self->rate_numerator, self->rate_denominator, frame);
}

char *
derush_export_to_edl (const DerushExport *self)
{
  const char *tracks = self->width == 0 ? "AA" : self->sample_rate == 0 ? "V" : "AA/V";
  g_autofree char *base = g_path_get_basename (self->path), *title = one_line (base), *reel = reel_of (self->path);
  g_autofree char *hour = timecode (self, derush_export_to_frame (self, 3600));
  GString *text = g_string_new (NULL);
  /* A programme begins at one o'clock. At drop-frame rates that is an exact number of frames only by counting. */
  gint64 rate = self->rate_numerator > 0 ? llround ((double)self->rate_numerator / self->rate_denominator) : 25;
  gboolean drop = strchr (hour, ';') != NULL;
  gint64 record = drop ? rate * 3600 - 54 * (rate / 15) : rate * 3600;

  g_string_append_printf (text, "TITLE: %s\nFCM: %s\n", title, drop ? "DROP FRAME" : "NON-DROP FRAME");
  for (guint i = 0; i < self->clips->len; i++) {
    const DerushExportRange *clip = self->clips->pdata[i];
    gint64 in = derush_export_to_frame (self, clip->start);
    gint64 out = MAX (in + 1, derush_export_to_frame (self, clip->end));
    g_autofree char *source_in = timecode (self, in), *source_out = timecode (self, out);
    g_autofree char *record_in = timecode (self, record), *record_out = timecode (self, record + out - in);
    g_autofree char *name = one_line (clip->name), *comment = clip->comment ? one_line (clip->comment) : NULL;

    g_string_append_printf (text, "\n%03u  %-8s %-5s C        %s %s %s %s\n* FROM CLIP NAME: %s\n* COMMENT: %s%s%s\n",
                            i + 1, reel, tracks, source_in, source_out, record_in, record_out, title, name,
                            comment ? ": " : "", comment ? comment : "");
    for (guint k = 0; k < self->markers->len; k++) {
      const DerushExportRange *marker = self->markers->pdata[k];
      gint64 at = derush_export_to_frame (self, marker->start);

      if (at >= in && at < out) {
        g_autofree char *position = timecode (self, record + at - in), *label = one_line (marker->name);

        g_string_append_printf (text, "* LOC: %s GREEN   %s\n", position, label);
      }
    }
    record += out - in;
  }
  return g_string_free (text, FALSE);
}

/* ── WebVTT ─────────────────────────────────────────────────────────────── */

static int
compare_starts (gconstpointer a, gconstpointer b)
{
  const DerushExportRange *const *first = a, *const *second = b;

  return (*first)->start < (*second)->start ? -1 : (*first)->start > (*second)->start;
}

char *
derush_export_to_vtt (const DerushExport *self)
{
  g_autoptr (DerushSubtitles) subtitles = derush_subtitles_new (DERUSH_SUBTITLES_TEXT);
  g_autoptr (GPtrArray) cues = g_ptr_array_new ();

  g_ptr_array_extend (cues, self->clips, NULL, NULL);
  g_ptr_array_extend (cues, self->markers, NULL, NULL);
  g_ptr_array_sort (cues, compare_starts);
  for (guint i = 0; i < cues->len; i++) {
    const DerushExportRange *cue = cues->pdata[i];
    g_autofree char *name = one_line (cue->name), *comment = cue->comment ? one_line (cue->comment) : NULL;
    g_autofree char *text = g_strconcat (name, comment ? ": " : NULL, comment, NULL);

    derush_subtitles_add (subtitles, cue->start, cue->end, text);
  }
  return derush_subtitles_write (subtitles, DERUSH_SUBTITLES_VTT);
}
