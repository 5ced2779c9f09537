/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "sheet.h"

#include <string.h>

#define SECOND G_GUINT64_CONSTANT (1000000000)

/* Beyond this many pages at an interval the next longer one is taken. */
#define AUTOMATIC_PAGES 3

static guint
round_to_even (double value)
{
  return MAX (2, 2 * (guint)(value / 2 + 0.5));
}

/**
 * sheet_geometry_init:
 * @geometry: (out): where to store the sizes
 * @source_width: width of the film's frames in pixels
 * @source_height: height of the film's frames in pixels
 * @par_n: numerator of the pixel aspect ratio
 * @par_d: denominator of the pixel aspect ratio
 * @columns: tiles in a row of a page
 * @rows: rows of a full page
 * @tile_width: width of a tile in pixels
 * @tile_height: height of a tile in pixels, or 0 to follow the film's display aspect ratio
 *
 * Sizes are even, so that pages can be stored with subsampled chroma. With a @tile_height the picture is fitted into
 * the tile without cropping. Rows that would make a page higher than %SHEET_MAX_SIDE are left out.
 *
 * Returns: %FALSE when a single row or a single tile is larger than %SHEET_MAX_SIDE
 */
gboolean
sheet_geometry_init (SheetGeometry *geometry, guint source_width, guint source_height, guint par_n, guint par_d,
                     guint columns, guint rows, guint tile_width, guint tile_height)
{
  double aspect;

  g_return_val_if_fail (source_width > 0 && source_height > 0 && columns > 0 && rows > 0 && tile_width > 0, FALSE);

  if (par_n == 0 || par_d == 0)
    par_n = par_d = 1;
  aspect = (double)source_width * par_n / ((double)source_height * par_d);
  geometry->columns = columns;
  geometry->tile_width = geometry->width = round_to_even (tile_width);
  geometry->x = geometry->y = 0;
  if (tile_height == 0) {
    double height = geometry->tile_width / aspect;

    if (height > SHEET_MAX_SIDE)
      return FALSE;
    geometry->tile_height = geometry->height = round_to_even (height);
  } else {
    geometry->tile_height = round_to_even (tile_height);
    geometry->height = MIN (geometry->tile_height, round_to_even (geometry->tile_width / aspect));
    geometry->width = MIN (geometry->tile_width, round_to_even (geometry->tile_height * aspect));
    geometry->x = (geometry->tile_width - geometry->width) / 4 * 2;
    geometry->y = (geometry->tile_height - geometry->height) / 4 * 2;
  }
  if ((guint64)columns * geometry->tile_width > SHEET_MAX_SIDE || geometry->tile_height > SHEET_MAX_SIDE)
    return FALSE;
  geometry->rows = MIN (rows, SHEET_MAX_SIDE / geometry->tile_height);
  return TRUE;
}

/**
 * sheet_choose_interval:
 * @duration: duration of the film in nanoseconds, or %G_MAXUINT64 when it is not known
 * @tiles_per_page: tiles on a full page
 *
 * Returns: 1, 2, 5 or 10 s: the shortest that keeps the film within three pages, at most 10 s; 5 s for an unknown
 *     duration
 */
guint64
sheet_choose_interval (guint64 duration, guint tiles_per_page)
{
  static const guint seconds[] = {1, 2, 5, 10};

  if (duration == G_MAXUINT64)
    return 5 * SECOND;
  for (guint i = 0; i < G_N_ELEMENTS (seconds); i++) {
    if (duration / (seconds[i] * SECOND) < (guint64)tiles_per_page * AUTOMATIC_PAGES)
      return seconds[i] * SECOND;
  }
  return 10 * SECOND;
}

/* Finds the one `%u` or `%0Nu` of a template; %% is not offered because names of pages have no use for it. */
static const char *
find_page_number (const char *url_template, guint *digits, gsize *length)
{
  const char *percent = strchr (url_template, '%');
  const char *end;

  if (percent == NULL)
    return NULL;
  end = percent + 1;
  *digits = 0;
  if (end[0] == '0' && g_ascii_isdigit (end[1]) && end[1] != '0') {
    *digits = (guint)g_ascii_digit_value (end[1]);
    end += 2;
  }
  if (*end != 'u' && *end != 'd')
    return NULL;
  end++;
  *length = (gsize)(end - percent);
  return percent;
}

/**
 * sheet_url_template_is_valid:
 * @url_template: a URL with exactly one `%u`, `%d` or `%0Nu` (N from 1 to 9) for the number of the page
 *
 * The template never reaches printf(), so nothing else in it has a meaning; line ends are refused because they would
 * break the WebVTT cue.
 *
 * Returns: whether sheet_expand_url() can use @url_template
 */
gboolean
sheet_url_template_is_valid (const char *url_template)
{
  const char *number;
  guint digits;
  gsize length;

  if (url_template == NULL || strpbrk (url_template, "\r\n") != NULL || strstr (url_template, "-->") != NULL)
    return FALSE;
  number = find_page_number (url_template, &digits, &length);
  return number != NULL && strchr (number + length, '%') == NULL;
}

/**
 * sheet_expand_url:
 * @url_template: a template that sheet_url_template_is_valid() accepts
 * @page: the number of the page
 *
 * Returns: (transfer full): the URL of @page
 */
char *
sheet_expand_url (const char *url_template, guint page)
{
  guint digits = 0;
  gsize length = 0;
  const char *number = find_page_number (url_template, &digits, &length);

  if (number == NULL)
    return g_strdup (url_template);
  return g_strdup_printf ("%.*s%0*u%s", (int)(number - url_template), url_template, (int)digits, page, number + length);
}

static void
append_time (GString *text, guint64 time)
{
  guint64 milliseconds = (time + SECOND / 2000) / (SECOND / 1000);

  g_string_append_printf (text, "%02" G_GUINT64_FORMAT ":%02u:%02u.%03u", milliseconds / 3600000,
                          (guint)(milliseconds / 60000 % 60), (guint)(milliseconds / 1000 % 60),
                          (guint)(milliseconds % 1000));
}

/**
 * sheet_format_vtt:
 * @cues: (array length=n_cues): the tiles in order of time
 * @n_cues: their number
 * @url_template: a template that sheet_url_template_is_valid() accepts
 *
 * Returns: (transfer full): a WebVTT text with one cue per tile, each the URL of its page with a media fragment
 *     `#xywh=X,Y,WIDTH,HEIGHT`
 */
char *
sheet_format_vtt (const SheetCue *cues, guint n_cues, const char *url_template)
{
  GString *text = g_string_new ("WEBVTT\n");

  for (guint i = 0; i < n_cues; i++) {
    g_autofree char *url = sheet_expand_url (url_template, cues[i].page);

    g_string_append_c (text, '\n');
    append_time (text, cues[i].start);
    g_string_append (text, " --> ");
    append_time (text, cues[i].end);
    g_string_append_printf (text, "\n%s#xywh=%u,%u,%u,%u\n", url, cues[i].x, cues[i].y, cues[i].width, cues[i].height);
  }
  return g_string_free (text, FALSE);
}
