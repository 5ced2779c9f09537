/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Key phrases after RAKE (Rose et al., 2010): runs of words between frequent words, each word worth the words that it stands
 * with over the times that it is there. Phrases of the same stems are one; repeated ones count more.
 */

#include "localmodels-private.h"
#include "text-private.h"

#include <math.h>
#include <string.h>

#define MAX_PHRASE 3
/* What a phrase is worth that is there once. */
#define ONCE 0.4

static void
phrase_free (gpointer data)
{
  LocalPhrase *phrase = data;

  g_free (phrase->text);
  g_free (phrase);
}

static int
compare_phrases (gconstpointer a, gconstpointer b)
{
  const LocalPhrase *x = *(LocalPhrase *const *)a, *y = *(LocalPhrase *const *)b;

  if (x->score != y->score)
    return x->score > y->score ? -1 : 1;
  return strcmp (x->text, y->text);
}

/* Where a run of words that carry a meaning ends; punctuation ends it as well. */
static guint
run_end (const LocalText *text, const LocalSentence *sentence, guint from)
{
  guint end = from + 1;

  while (end < sentence->first + sentence->n && end - from < MAX_PHRASE &&
         local_text_get_word (text, end)->stem != LOCAL_NO_STEM) {
    const LocalWord *before = local_text_get_word (text, end - 1);
    gsize gap = before->offset + strlen (before->surface);

    if (strcspn (sentence->text + gap, ",;:.!?()\"“”–—/\n") < local_text_get_word (text, end)->offset - gap)
      break;
    end++;
  }
  return end;
}

static char *
key_of (const LocalText *text, guint first, guint end)
{
  GString *key = g_string_new (NULL);

  for (guint i = first; i < end; i++)
    g_string_append_printf (key, "%u ", local_text_get_word (text, i)->stem);
  return g_string_free (key, FALSE);
}

static char *
surface_of (const LocalText *text, guint first, guint end)
{
  GString *surface = g_string_new (NULL);

  for (guint i = first; i < end; i++)
    g_string_append_printf (surface, "%s%s", i > first ? " " : "", local_text_get_word (text, i)->surface);
  return g_string_free (surface, FALSE);
}

/* What the words are worth: the phrases that they stand in, and how rare they are. */
static void
add_run (const LocalText *text, GHashTable *phrases, guint first, guint end, const double *degree,
         const double *frequency)
{
  g_autofree char *key = key_of (text, first, end);
  LocalPhrase *phrase = g_hash_table_lookup (phrases, key);
  double score = 0;

  if (phrase) {
    phrase->count++;
    return;
  }
  for (guint i = first; i < end; i++) {
    guint stem = local_text_get_word (text, i)->stem;

    score += degree[stem] / frequency[stem];
  }
  phrase = g_new0 (LocalPhrase, 1);
  phrase->text = surface_of (text, first, end);
  /* By their sum alone the longest would always be the best. */
  phrase->score = score / sqrt (end - first);
  phrase->count = 1;
  g_hash_table_insert (phrases, g_steal_pointer (&key), phrase);
}

static gboolean
is_part_of (const char *small, const char *large)
{
  g_autofree char *a = g_utf8_strdown (small, -1), *b = g_utf8_strdown (large, -1);
  const char *found = strstr (b, a);

  return found && (found == b || found[-1] == ' ') && (found[strlen (a)] == '\0' || found[strlen (a)] == ' ');
}

/**
 * local_find_phrases:
 * @first_sentence: of the part that is looked at
 * @n_sentences: of it
 *
 * Returns: (element-type LocalPhrase): the key phrases, best first
 */
GPtrArray *
local_find_phrases (const LocalText *text, guint first_sentence, guint n_sentences)
{
  g_autofree double *degree = g_new0 (double, text->stems->len + 1), *frequency = g_new0 (double, text->stems->len + 1);
  g_autoptr (GHashTable) phrases = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (phrase_free);
  GPtrArray *found = g_ptr_array_new_with_free_func (phrase_free);
  GHashTableIter iter;
  gpointer value;

  for (guint pass = 0; pass < 2; pass++) {
    for (guint s = first_sentence; s < first_sentence + n_sentences; s++) {
      const LocalSentence *sentence = local_text_get_sentence (text, s);

      for (guint i = sentence->first; i < sentence->first + sentence->n;) {
        guint end;

        if (local_text_get_word (text, i)->stem == LOCAL_NO_STEM) {
          i++;
          continue;
        }
        end = run_end (text, sentence, i);
        for (guint k = i; k < end; k++) {
          guint stem = local_text_get_word (text, k)->stem;

          if (pass == 0) {
            degree[stem] += end - i;
            frequency[stem]++;
          } else if (end - i > 1) {
            /* Words alone are candidates as well: they are what repeats. */
            add_run (text, phrases, k, k + 1, degree, frequency);
          }
        }
        if (pass == 1)
          add_run (text, phrases, i, end, degree, frequency);
        i = end;
      }
    }
  }
  g_hash_table_iter_init (&iter, phrases);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    LocalPhrase *phrase = value;

    /* Once is chance, above all in speech that was recognised; twice is a subject. */
    phrase->score *= phrase->count > 1 ? 1 + 1.5 * log2 (phrase->count) : ONCE;
    g_ptr_array_add (all, phrase);
  }
  g_ptr_array_sort (all, compare_phrases);
  for (guint i = 0; i < all->len; i++) {
    LocalPhrase *phrase = g_ptr_array_index (all, i);
    gboolean repeated = FALSE;

    for (guint k = 0; k < found->len && !repeated; k++) {
      LocalPhrase *other = g_ptr_array_index (found, k);

      repeated = is_part_of (phrase->text, other->text) || is_part_of (other->text, phrase->text);
    }
    if (!repeated) {
      LocalPhrase *copy = g_memdup2 (phrase, sizeof *phrase);

      copy->text = g_strdup (phrase->text);
      g_ptr_array_add (found, copy);
    }
  }
  return found;
}

/* Whoever is named with a title, such as “Mr. Dashwood”. */
GPtrArray *
local_find_people (const LocalText *text)
{
  g_autoptr (GHashTable) titles = local_language_load_words ("titles", "all");
  GPtrArray *people = g_ptr_array_new_with_free_func (g_free);

  for (guint s = 0; titles && s < text->sentences->len; s++) {
    const LocalSentence *sentence = local_text_get_sentence (text, s);

    for (guint i = sentence->first; i + 1 < sentence->first + sentence->n; i++) {
      g_autofree char *lower = g_utf8_strdown (local_text_get_word (text, i)->surface, -1);
      g_autoptr (GString) name = g_string_new (NULL);
      guint end = i + 1;

      if (!g_hash_table_contains (titles, lower))
        continue;
      while (end < sentence->first + sentence->n && end < i + 3 &&
             local_text_get_word (text, end)->stem != LOCAL_NO_STEM &&
             (end == i + 1 || g_unichar_isupper (g_utf8_get_char (local_text_get_word (text, end)->surface))))
        end++;
      if (end == i + 1)
        continue;
      for (guint k = i; k < end; k++) {
        const char *surface = local_text_get_word (text, k)->surface;

        if (k > i)
          g_string_append_c (name, ' ');
        g_string_append_unichar (name, g_unichar_toupper (g_utf8_get_char (surface)));
        g_string_append (name, g_utf8_next_char (surface));
      }
      if (!g_ptr_array_find_with_equal_func (people, name->str, g_str_equal, NULL))
        g_ptr_array_add (people, g_strdup (name->str));
    }
  }
  return people;
}

/* “north wind” becomes #NorthWind; what has no letter becomes NULL. */
char *
local_make_hashtag (const char *phrase)
{
  g_autoptr (GString) tag = g_string_new ("#");
  gboolean start = TRUE, several = strchr (phrase, ' ') != NULL;

  for (const char *at = phrase; *at; at = g_utf8_next_char (at)) {
    gunichar letter = g_utf8_get_char (at);

    if (g_unichar_isalnum (letter))
      g_string_append_unichar (tag, start && several ? g_unichar_toupper (letter)
                                    : several        ? letter
                                                     : g_unichar_tolower (letter));
    start = !g_unichar_isalnum (letter);
  }
  return tag->len > 1 ? g_string_free (g_steal_pointer (&tag), FALSE) : NULL;
}
