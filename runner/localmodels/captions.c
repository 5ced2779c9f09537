/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Segments as subtitles. */

#include "localmodels-private.h"

#include <math.h>

static void
append_time (GString *text, double seconds, char separator)
{
  gint64 ms = (gint64)llround (MAX (seconds, 0) * 1000);

  g_string_append_printf (text, "%02d:%02d:%02d%c%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60),
                          (int)(ms / 1000 % 60), separator, (int)(ms % 1000));
}

static void
append_segments (GString *text, JsonArray *segments, char separator, gboolean numbered)
{
  for (guint i = 0; i < json_array_get_length (segments); i++) {
    JsonObject *segment = json_array_get_object_element (segments, i);

    if (numbered)
      g_string_append_printf (text, "%u\n", i + 1);
    append_time (text, derush_json_get_number (segment, "start", 0), separator);
    g_string_append (text, " --> ");
    append_time (text, derush_json_get_number (segment, "end", 0), separator);
    g_string_append_printf (text, "\n%s\n\n", derush_json_get_string (segment, "text", ""));
  }
}

char *
local_captions_to_srt (JsonArray *segments)
{
  GString *text = g_string_new (NULL);

  append_segments (text, segments, ',', TRUE);
  return g_string_free (text, FALSE);
}

char *
local_captions_to_vtt (JsonArray *segments)
{
  GString *text = g_string_new ("WEBVTT\n\n");

  append_segments (text, segments, '.', FALSE);
  return g_string_free (text, FALSE);
}
