/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/export-private.h"

#include <inttypes.h>
#include <math.h>

/* What Europe's editors count in; only for films that have no rate of their own. */
#define FALLBACK_RATE 25

static void
range_free (DerushExportRange *range)
{
  g_free (range->name);
  g_free (range->comment);
  g_free (range);
}

DerushExport *
derush_export_new (void)
{
  DerushExport *self = g_new0 (DerushExport, 1);

  self->clips = g_ptr_array_new_with_free_func ((GDestroyNotify)range_free);
  self->markers = g_ptr_array_new_with_free_func ((GDestroyNotify)range_free);
  return self;
}

void
derush_export_free (DerushExport *self)
{
  g_free (self->path);
  g_free (self->uri);
  g_ptr_array_unref (self->clips);
  g_ptr_array_unref (self->markers);
  g_free (self);
}

void
derush_export_add (GPtrArray *ranges, double start, double end, const char *name, const char *comment)
{
  DerushExportRange *range = g_new0 (DerushExportRange, 1);

  range->start = start;
  range->end = end;
  range->name = g_strdup (name);
  range->comment = g_strdup (comment);
  g_ptr_array_add (ranges, range);
}

gint64
derush_export_to_frame (const DerushExport *self, double seconds)
{
  double rate = self->rate_numerator > 0 ? (double)self->rate_numerator / self->rate_denominator : FALLBACK_RATE;

  return llround (seconds * rate);
}

char *
derush_export_timecode (int rate_numerator, int rate_denominator, gint64 frame)
{
  gint64 rate = rate_numerator > 0 ? llround ((double)rate_numerator / rate_denominator) : FALLBACK_RATE;
  gboolean drop = rate_numerator > 0 && rate_numerator % rate_denominator != 0 && rate % 30 == 0;

  if (drop) {
    /* The first numbers of each minute are left out, but for every tenth: SMPTE 12M. */
    gint64 dropped = rate / 15, minute = rate * 60 - dropped, ten = minute * 10 + dropped;
    gint64 tens = frame / ten, rest = frame % ten;

    frame += tens * dropped * 9;
    if (rest >= rate * 60)
      frame += dropped * (1 + (rest - rate * 60) / minute);
  }
  return g_strdup_printf ("%02" PRId64 ":%02" PRId64 ":%02" PRId64 "%c%02" PRId64, frame / (rate * 3600) % 24,
                          frame / (rate * 60) % 60, frame / rate % 60, drop ? ';' : ':', frame % rate);
}
