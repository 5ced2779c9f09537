/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * TextRank (Mihalcea and Tarau, 2004): a sentence counts for as much as the sentences that are like it, likeness being the
 * cosine of their TF-IDF vectors. The choice is by maximal marginal relevance (Carbonell and Goldstein, 1998).
 */

#include "text-private.h"

#include <math.h>
#include <string.h>

#define DAMPING 0.85
#define ROUNDS 40
/* How much likeness to what was chosen already takes away. */
#define AGAINST_REPEATS 0.5
/* What is as like as this has been said. */
#define SAME 0.98
/* What a wish adds to the sentences that speak of it, beside their rank. */
#define WISH 1.0

/* Above all ranks. */
#define FIRST 2.0
/* The sentences that may say what the whole is about. */
#define OPENING 3
#define LONG_SENTENCE 160
/* What likeness counts for between the beginning and the end of a text, and how many surroundings one has. */
#define FAR 0.3
#define SURROUNDINGS 6.0
#define MOST_OF_ANSWER 0.6
#define FORMULA 0.15
#define ANNOUNCEMENT 0.5
/* Confidence from which on nothing, and below which all is taken away. */
#define HEARD_WELL 0.7
#define UNHEARD 0.3

/* How many of the wish's stems a sentence has, by weight: 0 to 1. */
static double
share_of_wish (const LocalText *text, const LocalSentence *sentence, const LocalText *wish)
{
  double all = 0, found = 0;

  for (guint w = 0; w < wish->stems->len; w++) {
    guint stem = GPOINTER_TO_UINT (g_hash_table_lookup (text->index_of, g_ptr_array_index (wish->stems, w)));
    double weight;

    if (stem == 0)
      continue;
    weight = local_text_weight (text, stem - 1);
    all += weight;
    for (guint i = sentence->first; i < sentence->first + sentence->n; i++) {
      if (local_text_get_word (text, i)->stem == stem - 1) {
        found += weight;
        break;
      }
    }
  }
  return all > 0 ? found / all : 0;
}

/* A row for each sentence: its stems and their weights, of length 1. */
typedef struct {
  guint sentence;
  float weight;
} Posting;

static GPtrArray *
make_postings (const LocalText *text)
{
  GPtrArray *postings = g_ptr_array_new_with_free_func ((GDestroyNotify)g_array_unref);

  for (guint i = 0; i < text->stems->len; i++)
    g_ptr_array_add (postings, g_array_new (FALSE, FALSE, sizeof (Posting)));
  for (guint s = 0; s < text->sentences->len; s++) {
    const LocalSentence *sentence = local_text_get_sentence (text, s);
    double length = 0;
    guint first = sentence->first, end = first + sentence->n;

    for (guint pass = 0; pass < 2; pass++) {
      for (guint i = first; i < end; i++) {
        guint stem = local_text_get_word (text, i)->stem, count = 0;
        double weight;

        if (stem == LOCAL_NO_STEM)
          continue;
        for (guint k = first; k < end; k++) {
          if (local_text_get_word (text, k)->stem != stem)
            continue;
          /* Once for each stem: at its first place. */
          if (k < i) {
            count = 0;
            break;
          }
          count++;
        }
        if (count == 0)
          continue;
        weight = count * local_text_weight (text, stem);
        if (pass == 0) {
          length += weight * weight;
        } else {
          Posting posting = {s, (float)(weight / sqrt (length))};

          g_array_append_val (g_ptr_array_index (postings, stem), posting);
        }
      }
    }
  }
  return postings;
}

/**
 * local_rank_sentences:
 * @wish: (nullable): what the reader wants to know of
 *
 * Returns: (transfer full) (array): a rank from 0 to 1 for each sentence
 */
double *
local_rank_sentences (const LocalText *text, const LocalText *wish)
{
  guint n = text->sentences->len;
  g_autofree float *likeness = g_new0 (float, (gsize)n *n + 1);
  g_autofree double *next = g_new (double, n + 1), *degree = g_new0 (double, n + 1);
  g_autoptr (GPtrArray) postings = make_postings (text);
  double *ranks = g_new (double, n + 1), most = 0;

  for (guint stem = 0; stem < postings->len; stem++) {
    GArray *list = g_ptr_array_index (postings, stem);

    for (guint a = 0; a < list->len; a++) {
      for (guint b = 0; b < list->len; b++) {
        Posting *x = &g_array_index (list, Posting, a), *y = &g_array_index (list, Posting, b);

        if (a != b)
          likeness[(gsize)x->sentence * n + y->sentence] += x->weight * y->weight;
      }
    }
  }
  for (guint a = 0; a < n; a++) {
    ranks[a] = 1;
    for (guint b = 0; b < n; b++) {
      /* A sentence stands for those around it before it stands for the others. */
      likeness[(gsize)a * n + b] *= (float)(FAR + (1 - FAR) * exp (-fabs ((double)a - b) * SURROUNDINGS / n));
      degree[a] += likeness[(gsize)a * n + b];
    }
  }
  for (guint round = 0; round < ROUNDS; round++) {
    for (guint a = 0; a < n; a++) {
      double sum = 0;

      for (guint b = 0; b < n; b++)
        if (degree[b] > 0)
          sum += likeness[(gsize)b * n + a] / degree[b] * ranks[b];
      next[a] = 1 - DAMPING + DAMPING * sum;
    }
    memcpy (ranks, next, n * sizeof (double));
  }
  for (guint a = 0; a < n; a++) {
    const LocalSentence *sentence = local_text_get_sentence (text, a);
    guint content = 0;

    for (guint i = sentence->first; i < sentence->first + sentence->n; i++)
      content += local_text_get_word (text, i)->stem != LOCAL_NO_STEM;
    /* Speakers say at the beginning what they will speak of; two words say nothing. */
    ranks[a] *= 1 + 0.25 * exp (-3.0 * a / n);
    ranks[a] *= MIN (content, 5) / 5.0;
    /* What thanks or announces says less; what was hardly heard may never have been said. */
    ranks[a] *= sentence->formula ? FORMULA : sentence->turning ? ANNOUNCEMENT : 1;
    ranks[a] *= CLAMP ((sentence->confidence - UNHEARD) / (HEARD_WELL - UNHEARD), 0.05, 1);
    most = MAX (most, ranks[a]);
  }
  for (guint a = 0; a < n; a++) {
    ranks[a] = most > 0 ? ranks[a] / most : 0;
    if (wish)
      ranks[a] = (ranks[a] + WISH * share_of_wish (text, local_text_get_sentence (text, a), wish)) / (1 + WISH);
  }
  return ranks;
}

static int
compare_indices (gconstpointer a, gconstpointer b)
{
  guint x = *(const guint *)a, y = *(const guint *)b;

  return x < y ? -1 : x > y;
}

/**
 * local_choose_sentences:
 * @n: at most so many
 * @characters: which are together at most so long
 *
 * Returns: (element-type guint): the best of them that do not say the same, in the order of the text
 */
GArray *
local_choose_sentences (const LocalText *text, const double *ranks, guint n, guint characters)
{
  GArray *chosen = g_array_new (FALSE, FALSE, sizeof (guint));
  guint total = text->sentences->len, used = 0;
  g_autofree gboolean *done = g_new0 (gboolean, total + 1);

  while (chosen->len < n) {
    double best = -1;
    guint index = 0, length;

    for (guint i = 0; i < total; i++) {
      const LocalSentence *sentence = local_text_get_sentence (text, i);
      double repeats = 0, value;

      if (done[i] || ranks[i] <= 0)
        continue;
      for (guint k = 0; k < chosen->len && ranks[i] > best; k++) {
        const LocalSentence *other = local_text_get_sentence (text, g_array_index (chosen, guint, k));

        repeats = MAX (repeats, local_text_similarity (text, sentence->first, sentence->n, other->first, other->n));
      }
      value = ranks[i] - AGAINST_REPEATS * repeats;
      if (repeats < SAME && value > best) {
        best = value;
        index = i;
      }
    }
    if (best < 0)
      break;
    done[index] = TRUE;
    length = (guint)g_utf8_strlen (local_text_get_sentence (text, index)->text, -1) + 2;
    if (used + length > characters)
      continue;
    used += length;
    g_array_append_val (chosen, index);
  }
  g_array_sort (chosen, compare_indices);
  return chosen;
}

/**
 * local_rank_by_parts:
 * @chapters: (element-type LocalChapter): maybe none
 * @n: so many sentences will be chosen
 *
 * Returns: (transfer full) (array): the ranks, with the sentence that announces the whole and the best one of each chapter
 *     before all others, as far as there is room for all of these
 */
double *
local_rank_by_parts (const LocalText *text, const double *ranks, GPtrArray *chapters, guint n)
{
  double *parts = g_memdup2 (ranks, (text->sentences->len + 1) * sizeof (double));

  for (guint c = 0; c < chapters->len && chapters->len <= n; c++) {
    LocalChapter *chapter = g_ptr_array_index (chapters, c);
    double most = 0;
    guint best = 0;

    for (guint i = 0; i < text->sentences->len; i++) {
      const LocalSentence *sentence = local_text_get_sentence (text, i);
      double centre = (sentence->start + sentence->end) / 2;

      if (centre < chapter->start || centre >= chapter->end || ranks[i] <= most)
        continue;
      most = ranks[i];
      best = i;
    }
    if (most > 0)
      parts[best] += FIRST;
  }
  for (guint i = 0; i < MIN (OPENING, text->sentences->len) && n > chapters->len; i++) {
    g_autofree char *topic = local_announced_topic (text, i, 1, LONG_SENTENCE);

    if (!topic || g_utf8_strlen (local_text_get_sentence (text, i)->text, -1) > LONG_SENTENCE)
      continue;
    parts[i] += FIRST;
    break;
  }
  return parts;
}

char *
local_summarise (const LocalText *text, const double *ranks, guint n, guint characters)
{
  g_autoptr (GArray) chosen = local_choose_sentences (text, ranks, n, characters);
  GString *summary = g_string_new (NULL);

  for (guint i = 0; i < chosen->len; i++) {
    g_autofree char *polished =
        local_text_polish (local_text_get_sentence (text, g_array_index (chosen, guint, i))->text);

    g_string_append_printf (summary, "%s%s", i > 0 ? " " : "", polished);
  }
  /* Not one of them is short enough: the beginning of the best. */
  if (chosen->len == 0 && text->sentences->len > 0) {
    guint best = 0;
    g_autofree char *cut = NULL;

    for (guint i = 1; i < text->sentences->len; i++)
      if (ranks[i] > ranks[best])
        best = i;
    cut = local_text_shorten (local_text_get_sentence (text, best)->text, characters);
    g_string_append (summary, cut);
  }
  return g_string_free (summary, FALSE);
}

/**
 * local_answer:
 *
 * Returns: (transfer full): what the text says with the words of the question; empty if it has none of them
 */
char *
local_answer (const LocalText *text, const LocalText *question)
{
  g_autofree double *ranks = g_new0 (double, text->sentences->len + 1);
  double most = 0;

  for (guint i = 0; i < text->sentences->len; i++) {
    ranks[i] = share_of_wish (text, local_text_get_sentence (text, i), question);
    most = MAX (most, ranks[i]);
  }
  /* One word of many is no answer where another sentence has more of them. */
  for (guint i = 0; i < text->sentences->len; i++)
    if (ranks[i] < MOST_OF_ANSWER * most)
      ranks[i] = 0;
  for (guint i = 0; i < text->sentences->len; i++)
    if (ranks[i] > 0)
      return local_summarise (text, ranks, 2, 600);
  return g_strdup ("");
}
