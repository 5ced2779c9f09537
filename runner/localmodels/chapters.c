/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Chapters after TextTiling (Hearst, 1997): where the words before a gap are least like those after it, compared with the
 * peaks on both sides. A boundary moves to the nearest cut of the film, if one is near.
 */

#include "text-private.h"

#include <math.h>
#include <string.h>

#define WINDOW 30.0 /* s on each side of a gap */
#define MIN_WINDOW 15.0
#define MIN_CHAPTER 10.0 /* s; players show none that are shorter */
#define MIN_CHAPTERS 3   /* nor fewer */
#define NEAR_CUT 2.0     /* s */
#define MAX_TITLE 60

static void
chapter_free (gpointer data)
{
  LocalChapter *chapter = data;

  g_free (chapter->title);
  g_free (chapter);
}

/* How like the words within a window before and after each gap are; a gap lies before sentence i. */
static double *
measure_gaps (const LocalText *text, double window)
{
  guint n = text->sentences->len;
  double *likeness = g_new0 (double, n + 1);

  for (guint i = 1; i < n; i++) {
    double here = local_text_get_sentence (text, i)->start;
    guint from = i, to = i, before = 0, after = 0;

    while (from > 0 && (i - from < 2 || here - local_text_get_sentence (text, from - 1)->start < window))
      from--;
    while (to < n && (to - i < 2 || local_text_get_sentence (text, to)->end - here < window))
      to++;
    for (guint k = from; k < i; k++)
      before += local_text_get_sentence (text, k)->n;
    for (guint k = i; k < to; k++)
      after += local_text_get_sentence (text, k)->n;
    likeness[i] = local_text_similarity (text, local_text_get_sentence (text, from)->first, before,
                                         local_text_get_sentence (text, i)->first, after);
  }
  return likeness;
}

static double
depth_of (const double *likeness, guint n, guint i)
{
  double left = likeness[i], right = likeness[i];

  for (guint k = i; k > 1 && likeness[k - 1] >= left; k--)
    left = likeness[k - 1];
  for (guint k = i; k + 1 < n && likeness[k + 1] >= right; k++)
    right = likeness[k + 1];
  return left + right - 2 * likeness[i];
}

static double
snap (double time, const double *cuts, guint n_cuts)
{
  double best = time, distance = NEAR_CUT;

  for (guint i = 0; i < n_cuts; i++) {
    if (fabs (cuts[i] - time) < distance) {
      distance = fabs (cuts[i] - time);
      best = cuts[i];
    }
  }
  return best;
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
  g_auto (GStrv) words = g_strsplit (phrase, " ", -1);
  guint inside = 0, all = 0;

  for (guint s = 0; s < text->sentences->len; s++) {
    const LocalSentence *sentence = local_text_get_sentence (text, s);

    for (guint i = sentence->first; i < sentence->first + sentence->n; i++) {
      const LocalWord *word = local_text_get_word (text, i);

      for (guint w = 0; words[w] && word->stem != LOCAL_NO_STEM; w++) {
        if (strcmp (words[w], word->surface) != 0)
          continue;
        /* Where it is in other forms as well counts with it. */
        all += g_array_index (text->count_of, guint, word->stem);
        inside += s >= first && s < first + n ? g_array_index (text->count_of, guint, word->stem) : 0;
      }
    }
  }
  return all > 0 ? (double)inside / all : 0;
}

/* The key phrase of the part that is most its own and that no other chapter has. */
static char *
find_title (const LocalText *text, GPtrArray *chapters, guint first, guint n)
{
  g_autoptr (GPtrArray) phrases = local_find_phrases (text, first, n);
  g_autofree char *best = NULL, *part = NULL;
  double most = 0;

  for (guint i = 0; i < phrases->len; i++) {
    LocalPhrase *phrase = g_ptr_array_index (phrases, i);
    double score = phrase->score * share_of_part (text, phrase->text, first, n);
    g_autofree char *polished = local_text_polish (phrase->text), *title = NULL;

    if (score <= most)
      continue;
    if (g_str_has_suffix (polished, "."))
      polished[strlen (polished) - 1] = '\0';
    title = local_text_shorten (polished, MAX_TITLE);
    if (!*title || is_taken (chapters, title))
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
  chapter->title = find_title (text, chapters, first, n);
  g_ptr_array_add (chapters, chapter);
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
  guint n = text->sentences->len, n_starts = 1, most;
  double duration = MAX (text->duration, n > 0 ? local_text_get_sentence (text, n - 1)->end : 0);
  g_autofree double *likeness = NULL, *depth = g_new0 (double, n + 1), *starts = g_new0 (double, n + 2);
  g_autofree guint *firsts = g_new0 (guint, n + 2);

  if (!text->timed || n < 2 * MIN_CHAPTERS || duration < MIN_CHAPTERS * MIN_CHAPTER)
    return chapters;
  likeness = measure_gaps (text, CLAMP (duration / 6, MIN_WINDOW, WINDOW));
  for (guint i = 1; i < n; i++)
    depth[i] = depth_of (likeness, n, i);
  /* About one in half a minute of a short film, in a few minutes of a long one. */
  most = (guint)CLAMP (1.5 * sqrt (duration / 15), MIN_CHAPTERS, 40);
  while (n_starts < most) {
    double best = 0, start = 0;
    guint index = 0, at = n_starts;

    for (guint i = 1; i < n; i++) {
      double here = snap (local_text_get_sentence (text, i)->start, cuts, n_cuts);
      gboolean fits = duration - here >= MIN_CHAPTER;

      for (guint k = 0; k < n_starts && fits; k++)
        fits = fabs (here - starts[k]) >= MIN_CHAPTER;
      if (fits && depth[i] > best) {
        best = depth[i];
        index = i;
        start = here;
      }
    }
    if (index == 0)
      break;
    for (; at > 0 && starts[at - 1] > start; at--) {
      starts[at] = starts[at - 1];
      firsts[at] = firsts[at - 1];
    }
    starts[at] = start;
    firsts[at] = index;
    n_starts++;
  }
  if (n_starts < MIN_CHAPTERS)
    return chapters;
  for (guint i = 0; i < n_starts; i++)
    add_chapter (text, chapters, starts[i], i + 1 < n_starts ? starts[i + 1] : duration, firsts[i],
                 (i + 1 < n_starts ? firsts[i + 1] : n) - firsts[i]);
  return chapters;
}
