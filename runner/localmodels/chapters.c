/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Chapters: the parts in which the words are most likely to have been drawn each from a stock of their own (Utiyama and
 * Isahara, 2001), found for each number of parts by dynamic programming. That somebody says that something else begins, a
 * pause and a cut of the film speak for a boundary.
 */

#include "text-private.h"

#include <math.h>
#include <string.h>

#define MIN_CHAPTER 10.0 /* s; players show none that are shorter */
#define MAX_LEAST 45.0   /* s; in long films, shorter ones are a nuisance */
#define MIN_CHAPTERS 3   /* nor do they show fewer */
#define MAX_CHAPTERS 40
/* A chapter may begin with a cut so much before what is said, or after it has begun, in s. */
#define BEFORE 2.0
#define AFTER 0.5
#define PAUSE 0.7 /* s */
/* What a sign is worth, of what a boundary costs. */
#define TURNING 0.9
#define PAUSED 0.15
#define CUT 0.2
/* Of a part that is quite short for the film, at most. */
#define SHORTNESS 0.5
#define MAX_TITLE 60
/* Where a chapter says what it is about. */
#define ANNOUNCING 2

static void
chapter_free (gpointer data)
{
  LocalChapter *chapter = data;

  g_free (chapter->title);
  g_free (chapter);
}

/* How many units the words of a part cost: cost[from * n + to - 1]. */
static float *
measure_parts (const LocalText *text)
{
  guint n = text->sentences->len, vocabulary = text->stems->len;
  float *cost = g_new0 (float, (gsize)n *n + 1);
  g_autofree guint *counts = g_new0 (guint, vocabulary + 1);

  for (guint from = 0; from < n; from++) {
    double sum = 0;
    guint words = 0;

    memset (counts, 0, vocabulary * sizeof (guint));
    for (guint to = from; to < n; to++) {
      const LocalSentence *sentence = local_text_get_sentence (text, to);

      for (guint i = sentence->first; i < sentence->first + sentence->n; i++) {
        const LocalWord *word = local_text_get_word (text, i);
        guint count;

        if (word->stem == LOCAL_NO_STEM || word->common)
          continue;
        count = counts[word->stem]++;
        sum += (count + 1) * log (count + 2) - count * log (count + 1);
        words++;
      }
      cost[(gsize)from * n + to] = (float)(words * log (words + vocabulary) - sum);
    }
  }
  return cost;
}

static gboolean
begins_with_cut (double time, const double *cuts, guint n_cuts, double *cut)
{
  double distance = G_MAXDOUBLE;

  for (guint i = 0; i < n_cuts; i++) {
    if (cuts[i] <= 0 || cuts[i] < time - BEFORE || cuts[i] > time + AFTER || fabs (cuts[i] - time) >= distance)
      continue;
    distance = fabs (cuts[i] - time);
    *cut = cuts[i];
  }
  return distance < G_MAXDOUBLE;
}

static gboolean
is_taken (GPtrArray *chapters, const char *title)
{
  for (guint i = 0; i < chapters->len; i++) {
    LocalChapter *chapter = g_ptr_array_index (chapters, i);
    g_autofree char *a = g_utf8_casefold (chapter->title, -1), *b = g_utf8_casefold (title, -1);

    if (strcmp (a, b) == 0)
      return TRUE;
  }
  return FALSE;
}

/* How many of the places where the words of the phrase are in the text lie in the part: 0 to 1. */
static double
share_of_part (const LocalText *text, const char *phrase, guint first, guint n)
{
  g_autofree char *lower = g_utf8_strdown (phrase, -1);
  g_auto (GStrv) words = g_strsplit_set (lower, " '-", -1);
  guint inside = 0, all = 0;

  for (guint s = 0; s < text->sentences->len; s++) {
    const LocalSentence *sentence = local_text_get_sentence (text, s);

    for (guint i = sentence->first; i < sentence->first + sentence->n; i++) {
      const LocalWord *word = local_text_get_word (text, i);
      g_autofree char *here = g_utf8_strdown (word->surface, -1);

      for (guint w = 0; words[w] && word->stem != LOCAL_NO_STEM; w++) {
        if (strcmp (words[w], here) != 0)
          continue;
        /* Where it is in other forms as well counts with it. */
        all += g_array_index (text->count_of, guint, word->stem);
        inside += s >= first && s < first + n ? g_array_index (text->count_of, guint, word->stem) : 0;
      }
    }
  }
  return all > 0 ? (double)inside / all : 0;
}

/* What is announced at its beginning; else the key phrase of the part that is most its own and that no other chapter has. */
static char *
find_title (const LocalText *text, GPtrArray *chapters, guint first, guint n, gboolean *announced)
{
  g_autoptr (GPtrArray) phrases = local_find_phrases (text, first, n);
  g_autofree char *best = local_announced_topic (text, first, MIN (n, ANNOUNCING), MAX_TITLE), *part = NULL;
  double most = 0;

  *announced = best && !is_taken (chapters, best);
  if (*announced)
    return g_steal_pointer (&best);
  g_clear_pointer (&best, g_free);
  for (guint i = 0; i < phrases->len; i++) {
    LocalPhrase *phrase = g_ptr_array_index (phrases, i);
    double score = phrase->score * share_of_part (text, phrase->text, first, n);
    g_autofree char *title = local_text_to_title (phrase->text, MAX_TITLE);

    if (score <= most || !*title || is_taken (chapters, title))
      continue;
    most = score;
    g_free (best);
    best = g_steal_pointer (&title);
  }
  if (best)
    return g_steal_pointer (&best);
  part = local_phrase (text->language, "part");
  return g_strdup_printf ("%s %u", part, chapters->len + 1);
}

static void
add_chapter (const LocalText *text, GPtrArray *chapters, double start, double end, guint first, guint n)
{
  LocalChapter *chapter = g_new0 (LocalChapter, 1);

  chapter->start = start;
  chapter->end = end;
  chapter->title = find_title (text, chapters, first, n, &chapter->announced);
  g_ptr_array_add (chapters, chapter);
}

typedef struct {
  const LocalText *text;
  double duration, least; /* s */
  double unit;            /* what a boundary costs */
  double *starts;         /* of a chapter that begins with the sentence */
  double *signs;          /* what speaks for it */
  float *cost;            /* of parts */
} Search;

static void
look_for_signs (Search *self, const double *cuts, guint n_cuts)
{
  guint n = self->text->sentences->len;

  for (guint i = 1; i < n; i++) {
    const LocalSentence *sentence = local_text_get_sentence (self->text, i);
    double cut = 0, pause = sentence->start - local_text_get_sentence (self->text, i - 1)->end;

    self->starts[i] = sentence->start;
    if (sentence->turning)
      self->signs[i] += TURNING;
    if (pause >= PAUSE)
      self->signs[i] += PAUSED * MIN (pause / PAUSE, 3);
    if (begins_with_cut (sentence->start, cuts, n_cuts, &cut)) {
      self->starts[i] = cut;
      self->signs[i] += CUT;
    }
  }
}

/* Of a part from one sentence to before another. */
static double
cost_of (const Search *self, guint from, guint to)
{
  guint n = self->text->sentences->len;
  double end = to < n ? self->starts[to] : self->duration, length = end - self->starts[from],
         comfortable = 2 * self->least;

  if (length < self->least)
    return G_MAXDOUBLE;
  return self->cost[(gsize)from * n + to - 1] + self->unit * (1 - (from > 0 ? self->signs[from] : 1)) +
         (length < comfortable ? self->unit * SHORTNESS * (comfortable - length) / self->least : 0);
}

/* The sentences that the best parts begin with, of each number of parts; the number is that of the cheapest, three at least. */
static guint
divide (const Search *self, guint most, guint *firsts)
{
  guint n = self->text->sentences->len, best = 0;
  g_autofree double *costs = g_new (double, (gsize)(most + 1) * (n + 1));
  g_autofree guint *before = g_new0 (guint, (gsize)(most + 1) * (n + 1));

  for (guint k = 0; k <= most; k++)
    for (guint i = 0; i <= n; i++)
      costs[(gsize)k * (n + 1) + i] = k == 0 && i == 0 ? 0 : G_MAXDOUBLE;
  for (guint k = 1; k <= most; k++) {
    for (guint to = 1; to <= n; to++) {
      double *here = &costs[(gsize)k * (n + 1) + to];

      for (guint from = k - 1; from < to; from++) {
        double until = costs[(gsize)(k - 1) * (n + 1) + from], cost;

        if (until == G_MAXDOUBLE)
          continue;
        cost = cost_of (self, from, to);
        if (cost == G_MAXDOUBLE || until + cost >= *here)
          continue;
        *here = until + cost;
        before[(gsize)k * (n + 1) + to] = from;
      }
    }
    if (k >= MIN_CHAPTERS && costs[(gsize)k * (n + 1) + n] < G_MAXDOUBLE &&
        (best == 0 || costs[(gsize)k * (n + 1) + n] < costs[(gsize)best * (n + 1) + n]))
      best = k;
  }
  for (guint k = best, at = n; k > 0; k--) {
    at = before[(gsize)k * (n + 1) + at];
    firsts[k - 1] = at;
  }
  return best;
}

/**
 * local_find_chapters:
 * @cuts: times where a chapter would begin well, ascending, in s
 *
 * Returns: (element-type LocalChapter): none, or at least three of at least ten seconds, the first at 0
 */
GPtrArray *
local_find_chapters (const LocalText *text, const double *cuts, guint n_cuts)
{
  GPtrArray *chapters = g_ptr_array_new_with_free_func (chapter_free);
  guint n = text->sentences->len, found, most;
  double duration = MAX (text->duration, n > 0 ? local_text_get_sentence (text, n - 1)->end : 0);
  g_autofree double *starts = g_new0 (double, n + 1), *signs = g_new0 (double, n + 1);
  g_autofree float *cost = NULL;
  g_autofree guint *firsts = NULL;
  Search search = {.text = text, .duration = duration, .starts = starts, .signs = signs};

  if (!text->timed || n < 2 * MIN_CHAPTERS || duration < MIN_CHAPTERS * MIN_CHAPTER)
    return chapters;
  /* About one in half a minute of a short film, in a few minutes of a long one. */
  most = (guint)CLAMP (1.5 * sqrt (duration / 15), MIN_CHAPTERS, MAX_CHAPTERS);
  search.least = CLAMP (duration / 60, MIN_CHAPTER, MAX_LEAST);
  search.unit = log (MAX (text->words->len, 3));
  search.cost = cost = measure_parts (text);
  look_for_signs (&search, cuts, n_cuts);
  firsts = g_new0 (guint, most + 1);
  found = divide (&search, most, firsts);
  for (guint i = 0; i < found; i++)
    add_chapter (text, chapters, starts[firsts[i]], i + 1 < found ? starts[firsts[i + 1]] : duration, firsts[i],
                 (i + 1 < found ? firsts[i + 1] : n) - firsts[i]);
  return chapters;
}
