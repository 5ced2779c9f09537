/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "silences-private.h"

#include <math.h>
#include <string.h>

/* All in dBFS or dB. What is below AUDIBLE is heard by nobody; between MOST and it lies every threshold; a sound whose
 * loud and soft parts are less than RANGE apart, such as music or noise, has no pauses that could be told. */
#define AUDIBLE -60
#define MOST -30
#define RANGE 12
#define ABOVE_FLOOR 6

int
derush_level_of (const gint16 *samples, gsize n_samples)
{
  double sum = 0;

  for (gsize i = 0; i < n_samples; i++)
    sum += (double)samples[i] * samples[i];
  if (n_samples == 0 || sum <= 0)
    return DERUSH_SILENCE_FLOOR;
  return (int)fmax (DERUSH_SILENCE_FLOOR, round (10 * log10 (sum / n_samples / (32768.0 * 32768.0))));
}

/* The level that @share of all are below. */
static int
quantile (const gsize *histogram, gsize n_levels, double share)
{
  gsize seen = 0;

  for (int level = DERUSH_SILENCE_FLOOR; level <= 0; level++) {
    seen += histogram[level - DERUSH_SILENCE_FLOOR];
    if ((double)seen > share * (double)n_levels)
      return level;
  }
  return 0;
}

GArray *
derush_silences_find (const gint8 *levels, gsize n_levels, gsize shortest, DerushSilences *silences)
{
  gsize histogram[1 - DERUSH_SILENCE_FLOOR] = {0};
  GArray *found = g_array_new (FALSE, FALSE, sizeof (DerushSilence));
  gsize start = 0;

  for (gsize i = 0; i < n_levels; i++)
    histogram[CLAMP (levels[i], DERUSH_SILENCE_FLOOR, 0) - DERUSH_SILENCE_FLOOR]++;
  silences->floor = n_levels > 0 ? quantile (histogram, n_levels, 0.10) : DERUSH_SILENCE_FLOOR;
  silences->loud = n_levels > 0 ? quantile (histogram, n_levels, 0.95) : DERUSH_SILENCE_FLOOR;
  silences->threshold = AUDIBLE;
  if (silences->loud - silences->floor >= RANGE)
    silences->threshold = CLAMP (silences->floor + ABOVE_FLOOR, AUDIBLE, MOST);
  silences->quiet = TRUE;
  for (gsize i = 0; i <= n_levels; i++) {
    if (i < n_levels && levels[i] >= AUDIBLE)
      silences->quiet = FALSE;
    if (i < n_levels && levels[i] < silences->threshold)
      continue;
    if (i - start >= MAX (shortest, 1)) {
      DerushSilence silence = {start, i};

      g_array_append_val (found, silence);
    }
    start = i + 1;
  }
  return found;
}
