/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Where a long sound is cut for those who recognise speech in it: in its silences, and where it has none, where it is
 * softest, with an overlap by which the words are joined again. */

#include "models/actions/speech-private.h"

#include <math.h>

/* All in seconds. A longer silence is sent to nobody; so much of it stays around the words; where there is no silence,
 * so much is heard twice. */
#define LONG_SILENCE 8.0
#define MARGIN 0.4
#define OVERLAP 5.0
/* What is too short to hold a word. */
#define LEAST_PART 0.1
/* A silence in the first part of what may be sent is no place to cut. */
#define EARLIEST 0.4
/* What is looked at together, in search of the softest place. */
#define SOFT_WINDOW 0.25

DerushSpeech *
derush_speech_new (JsonObject *data)
{
  JsonArray *levels = derush_json_get_array (data, "levels"), *silences = derush_json_get_array (data, "silences");
  double rate = derush_json_get_number (data, "rate", 0), interval = derush_json_get_number (data, "interval", 0);
  DerushSpeech *speech;

  if (!levels || !silences || !(rate > 0) || !(interval > 0))
    return NULL;
  speech = g_new0 (DerushSpeech, 1);
  speech->duration = derush_json_get_number (data, "samples", 0) / rate;
  speech->interval = interval;
  speech->levels = g_array_new (FALSE, FALSE, sizeof (gint8));
  speech->silences = g_array_new (FALSE, FALSE, sizeof (DerushSpan));
  for (guint i = 0; i < json_array_get_length (levels); i++) {
    gint8 level = (gint8)CLAMP (json_array_get_int_element (levels, i), -90, 0);

    g_array_append_val (speech->levels, level);
  }
  for (guint i = 0; i < json_array_get_length (silences); i++) {
    JsonNode *item = json_array_get_element (silences, i);
    JsonArray *pair = JSON_NODE_HOLDS_ARRAY (item) ? json_node_get_array (item) : NULL;
    DerushSpan span;

    if (!pair || json_array_get_length (pair) != 2)
      continue;
    span = (DerushSpan){json_array_get_double_element (pair, 0), json_array_get_double_element (pair, 1)};
    span.end = MIN (span.end, speech->duration);
    if (span.end > span.start)
      g_array_append_val (speech->silences, span);
  }
  return speech;
}

void
derush_speech_free (DerushSpeech *speech)
{
  g_array_unref (speech->levels);
  g_array_unref (speech->silences);
  g_free (speech);
}

static const DerushSpan *
silence_at (const DerushSpeech *speech, guint i)
{
  return &g_array_index (speech->silences, DerushSpan, i);
}

double
derush_speech_silence (const DerushSpeech *speech, double start, double end)
{
  double silent = 0;

  if (!(end > start))
    return 0;
  for (guint i = 0; i < speech->silences->len; i++) {
    const DerushSpan *span = silence_at (speech, i);

    silent += MAX (0, MIN (span->end, end) - MAX (span->start, start));
  }
  return MIN (1, silent / (end - start));
}

/* The middle of the softest place between @from and @to. */
static double
softest_place (const DerushSpeech *speech, double from, double to)
{
  guint window = (guint)MAX (1, SOFT_WINDOW / speech->interval);
  guint first = (guint)(from / speech->interval), last = (guint)(to / speech->interval);
  double best = (from + to) / 2, least = HUGE_VAL;

  for (guint i = first; i + window <= MIN (last, speech->levels->len); i++) {
    double sum = 0;

    for (guint k = 0; k < window; k++)
      sum += pow (10, g_array_index (speech->levels, gint8, i + k) / 10.0);
    /* Of two alike, the later: fewer cuts. */
    if (sum <= least) {
      least = sum;
      best = (i + window / 2.0) * speech->interval;
    }
  }
  return best;
}

/* Cuts what lies between two long silences. */
static void
cut_stretch (const DerushSpeech *speech, double start, double end, double longest, GArray *parts)
{
  double overlap = 0;

  while (end - start > longest) {
    double least = start + longest * EARLIEST, most = start + longest, length = 0, cut = 0;
    DerushPart part = {.start = start, .overlap = overlap};

    for (guint i = 0; i < speech->silences->len; i++) {
      const DerushSpan *span = silence_at (speech, i);
      double middle = (span->start + span->end) / 2;

      if (middle >= least && middle <= most && span->end - span->start >= length) {
        length = span->end - span->start;
        cut = middle;
      }
    }
    if (length > 0) {
      part.end = start = cut;
      overlap = 0;
    } else {
      overlap = MIN (OVERLAP, longest / 4);
      cut = softest_place (speech, MAX (least, start + overlap), most - overlap / 2);
      part.end = cut + overlap / 2;
      start = cut - overlap / 2;
    }
    g_array_append_val (parts, part);
  }
  if (end - start >= LEAST_PART) {
    DerushPart part = {.start = start, .end = end, .overlap = overlap};

    g_array_append_val (parts, part);
  }
}

GArray *
derush_speech_cut (const DerushSpeech *speech, double longest)
{
  GArray *parts = g_array_new (FALSE, FALSE, sizeof (DerushPart));
  double start = 0;

  for (guint i = 0; i < speech->silences->len; i++) {
    const DerushSpan *span = silence_at (speech, i);
    gboolean at_edge = span->start <= start || span->end >= speech->duration - MARGIN;

    if (span->end - span->start < (at_edge ? 2 * MARGIN : LONG_SILENCE))
      continue;
    if (span->start > start)
      cut_stretch (speech, start, MIN (span->start + MARGIN, speech->duration), longest, parts);
    start = MAX (start, span->end >= speech->duration ? speech->duration : span->end - MARGIN);
  }
  cut_stretch (speech, start, speech->duration, longest, parts);
  return parts;
}

GArray *
derush_speech_cut_part (const DerushSpeech *speech, const DerushPart *part, double longest)
{
  GArray *parts = g_array_new (FALSE, FALSE, sizeof (DerushPart));

  cut_stretch (speech, part->start, part->end, longest, parts);
  if (parts->len > 0)
    g_array_index (parts, DerushPart, 0).overlap = part->overlap;
  return parts;
}
