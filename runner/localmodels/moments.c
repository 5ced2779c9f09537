/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What is worth showing alone: the most eventful parts that were measured, and the sentences that say most. */

#include "localmodels-private.h"
#include "text-private.h"

#include <math.h>
#include <string.h>

#define MIN_MOMENT 3.0  /* s */
#define MAX_MOMENT 30.0 /* s */
#define LEAD 0.3        /* s before and after what is said */
#define MAX_TITLE 60
#define MAX_QUOTE 160
/* A sentence alone says less about a film than what was seen and heard to happen. */
#define SPOKEN 0.8
/* Below it only a few are shown. */
#define LOW 0.35
#define FEW 3
/* So many words of a list are half trusted. */
#define FEW_WORDS 3.0

static void
moment_free (gpointer data)
{
  LocalMoment *moment = data;

  g_free (moment->title);
  g_free (moment->reason);
  g_free (moment);
}

/* Which of the sentences that are said there says most; NULL: nothing is said. */
static char *
title_of (const LocalText *text, const double *ranks, double start, double end)
{
  guint best = 0;
  double most = -1;

  for (guint i = 0; text->timed && i < text->sentences->len; i++) {
    const LocalSentence *sentence = local_text_get_sentence (text, i);
    double centre = (sentence->start + sentence->end) / 2;

    if (centre < start || centre >= end || sentence->formula || ranks[i] <= most)
      continue;
    most = ranks[i];
    best = i;
  }
  return most < 0 ? NULL : local_text_to_title (local_text_get_sentence (text, best)->text, MAX_TITLE);
}

static char *
join_reasons (JsonArray *reasons)
{
  GString *joined = g_string_new (NULL);

  for (guint i = 0; reasons && i < json_array_get_length (reasons); i++) {
    JsonNode *reason = json_array_get_element (reasons, i);

    if (json_node_get_value_type (reason) == G_TYPE_STRING)
      g_string_append_printf (joined, "%s%s", joined->len > 0 ? ", " : "", json_node_get_string (reason));
  }
  return g_string_free (joined, FALSE);
}

static gboolean
overlaps (GPtrArray *moments, double start, double end)
{
  for (guint i = 0; i < moments->len; i++) {
    LocalMoment *moment = g_ptr_array_index (moments, i);
    double common = MIN (end, moment->end) - MAX (start, moment->start);

    if (common > 0.3 * MIN (end - start, moment->end - moment->start))
      return TRUE;
  }
  return FALSE;
}

static void
add_highlights (const LocalText *text, const double *ranks, JsonArray *highlights, GPtrArray *moments)
{
  for (guint i = 0; highlights && i < json_array_get_length (highlights); i++) {
    JsonNode *node = json_array_get_element (highlights, i);
    JsonObject *highlight = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    LocalMoment *moment;
    double start, end;

    if (!highlight)
      continue;
    start = MAX (derush_json_get_number (highlight, "start", derush_json_get_number (highlight, "startTime", -1)), 0);
    end = derush_json_get_number (highlight, "end", derush_json_get_number (highlight, "endTime", 0));
    if (text->duration > 0)
      end = MIN (end, text->duration);
    if (end - start <= 0 || overlaps (moments, start, end))
      continue;
    moment = g_new0 (LocalMoment, 1);
    moment->start = start;
    moment->end = end;
    moment->score = CLAMP (
        derush_json_get_number (highlight, "score", derush_json_get_number (highlight, "confidence", 0.5)), 0, 1);
    moment->reason = join_reasons (derush_json_get_array (highlight, "reasons"));
    moment->title = title_of (text, ranks, start, end);
    if (!moment->title || !*moment->title) {
      g_free (moment->title);
      moment->title = local_phrase (text->language, "highlight");
    }
    if (!*moment->reason) {
      g_free (moment->reason);
      moment->reason = local_phrase (text->language, "eventful");
    }
    g_ptr_array_add (moments, moment);
  }
}

static void
add_sentences (const LocalText *text, const double *ranks, GPtrArray *moments, guint most)
{
  g_autoptr (GArray) chosen = local_choose_sentences (text, ranks, most, G_MAXUINT / 2);
  g_autofree char *said = local_phrase (text->language, "said");

  for (guint i = 0; text->timed && i < chosen->len; i++) {
    guint index = g_array_index (chosen, guint, i);
    const LocalSentence *sentence = local_text_get_sentence (text, index);
    double start = MAX (sentence->start - LEAD, 0), end = sentence->end + LEAD;
    g_autofree char *quote = NULL;
    LocalMoment *moment;

    if (end - start < MIN_MOMENT)
      end = start + MIN_MOMENT;
    end = MIN (end, start + MAX_MOMENT);
    if (text->duration > 0) {
      end = MIN (end, text->duration);
      start = MAX (MIN (start, end - MIN_MOMENT), 0);
    }
    if (end <= start || overlaps (moments, start, end))
      continue;
    quote = local_text_shorten (sentence->text, MAX_QUOTE);
    moment = g_new0 (LocalMoment, 1);
    moment->start = start;
    moment->end = end;
    moment->score = SPOKEN * ranks[index];
    moment->title = local_text_to_title (sentence->text, MAX_TITLE);
    moment->reason = g_strdup_printf ("%s “%s”", said, quote);
    g_ptr_array_add (moments, moment);
  }
}

static int
compare_scores (gconstpointer a, gconstpointer b)
{
  const LocalMoment *x = *(LocalMoment *const *)a, *y = *(LocalMoment *const *)b;

  if (x->score != y->score)
    return x->score > y->score ? -1 : 1;
  return x->start < y->start ? -1 : x->start > y->start;
}

static int
compare_times (gconstpointer a, gconstpointer b)
{
  const LocalMoment *x = *(LocalMoment *const *)a, *y = *(LocalMoment *const *)b;

  return x->start < y->start ? -1 : x->start > y->start;
}

/**
 * local_find_moments:
 * @highlights: (nullable): `start`, `end`, `score`, `reasons[]` of what was measured
 * @most_spoken: so many at most for what is said alone
 * @most: so many at most
 *
 * Returns: (element-type LocalMoment): the best ones, in the order of their times
 */
GPtrArray *
local_find_moments (const LocalText *text, const double *ranks, JsonArray *highlights, guint most_spoken, guint most)
{
  GPtrArray *moments = g_ptr_array_new_with_free_func (moment_free);

  add_highlights (text, ranks, highlights, moments);
  add_sentences (text, ranks, moments, MIN (most_spoken, most));
  g_ptr_array_sort (moments, compare_scores);
  while (moments->len > most ||
         (moments->len > FEW && ((LocalMoment *)g_ptr_array_index (moments, moments->len - 1))->score < LOW))
    g_ptr_array_set_size (moments, (int)moments->len - 1);
  g_ptr_array_sort (moments, compare_times);
  for (guint i = 1; i < moments->len; i++) {
    LocalMoment *before = g_ptr_array_index (moments, i - 1), *moment = g_ptr_array_index (moments, i);

    if (moment->start < before->end && before->end < moment->end)
      moment->start = before->end;
  }
  return moments;
}

/* ── Sentiment ──────────────────────────────────────────────────────────── */

static gboolean
negates (const LocalText *text, guint first, guint word)
{
  static const char *const words[] = {"not",   "no",    "never",   "don't",   "didn't", "isn't",  "wasn't",
                                      "won't", "can't", "doesn't", "without", "pas",    "jamais", "sans",
                                      "nicht", "kein",  "keine",   "ohne",    "nunca",  "sin",    "non",
                                      "mai",   "senza", "não",     "sem",     NULL};

  for (guint i = word > first + 3 ? word - 3 : first; i < word; i++) {
    g_autofree char *lower = g_utf8_strdown (local_text_get_word (text, i)->surface, -1);

    if (g_strv_contains (words, lower))
      return TRUE;
  }
  return FALSE;
}

/**
 * local_measure_sentiment:
 *
 * Counts the words of a list of positive and negative ones; a negation shortly before turns a word around.
 */
void
local_measure_sentiment (const LocalText *text, LocalSentiment *sentiment)
{
  g_autofree char *name = g_strconcat (text->language, ".txt", NULL), *path = local_data_path ("sentiment", name, NULL);
  g_autofree char *contents = NULL;
  g_autoptr (GHashTable) values = g_hash_table_new (g_str_hash, g_str_equal);
  g_auto (GStrv) lines = NULL;
  double sum = 0, all;

  memset (sentiment, 0, sizeof *sentiment);
  if (!g_file_get_contents (path, &contents, NULL, NULL))
    return;
  sentiment->listed = TRUE;
  lines = g_strsplit (contents, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    char *value = strrchr (lines[i], ' ');

    if (!value || *lines[i] == '#')
      continue;
    *value++ = '\0';
    g_hash_table_insert (values, lines[i], GINT_TO_POINTER ((int)g_ascii_strtoll (value, NULL, 10)));
  }
  for (guint s = 0; s < text->sentences->len; s++) {
    const LocalSentence *sentence = local_text_get_sentence (text, s);

    for (guint i = sentence->first; i < sentence->first + sentence->n; i++) {
      g_autofree char *lower = g_utf8_strdown (local_text_get_word (text, i)->surface, -1);
      int value = GPOINTER_TO_INT (g_hash_table_lookup (values, lower));

      if (value == 0)
        continue;
      if (negates (text, sentence->first, i))
        value = -value;
      sentiment->found++;
      sum += value;
      sentiment->positive += MAX (value, 0);
      sentiment->negative += MAX (-value, 0);
    }
  }
  /* The balance of both, trusted the more the more words there are; as a sum alone, long texts would all be extreme. */
  all = sentiment->positive + sentiment->negative;
  sentiment->score = sentiment->found > 1 ? sum / all * sentiment->found / (sentiment->found + FEW_WORDS) : 0;
}
