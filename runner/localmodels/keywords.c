/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Key phrases: runs of words between small words as in RAKE (Rose et al., 2010), also across “of” and its like, worth what
 * they repeat, how early they come and how far they reach as in KEA (Witten et al., 1999). What stands behind an article is
 * likely a noun; phrases that are there once are trusted only where each of their words is there again.
 */

#include "localmodels-private.h"
#include "text-private.h"

#include <math.h>
#include <string.h>

#define MAX_PHRASE 3
/* Between two words of a phrase: “pain au levain”, “histoire de la ville” */
#define MAX_LINKERS 2
/* What a phrase is worth that is there once. */
#define ONCE 0.4
/* A word that never stands behind an article where the language has some; of German, that begins without a capital. */
#define NO_NOUN 0.4
/* A name is worth more than another word. */
#define NAME 1.25
/* What comes first, and what is spoken of from the beginning to the end. */
#define EARLY 1.0
#define SPREAD 0.6
/* A phrase that makes up so much of what its word is there is what is spoken of. */
#define MOST 0.6
#define MAX_LETTERS 24
#define FEW_TAGS 8
/* So short a text says nothing twice. */
#define FEW_SENTENCES 2

typedef struct {
  char *text;  /* as it stands first where it is written like a name, else first */
  guint count; /* how often */
  guint first, last;
  guint n;         /* words of a meaning */
  guint stem;      /* of the only one */
  guint inside;    /* where it begins in a sentence, and not as its first word */
  guint capitals;  /* of those, with a capital */
  gboolean common; /* has a word that by itself names nothing */
  gboolean once;   /* one of its words is nowhere else */
  gboolean name;   /* all of its words begin with a capital, within a sentence */
  double score;
} Candidate;

typedef struct {
  const LocalText *text;
  GHashTable *candidates; /* key to Candidate */
  GHashTable *linkers, *determiners;
  gboolean *nouns;  /* of each stem: whether it stands behind an article somewhere */
  gboolean written; /* whether there are capitals within sentences */
  gboolean german;  /* where nouns have them */
  guint words_before;
} Search;

static void
phrase_free (gpointer data)
{
  LocalPhrase *phrase = data;

  g_free (phrase->text);
  g_free (phrase);
}

static void
candidate_free (gpointer data)
{
  Candidate *candidate = data;

  g_free (candidate->text);
  g_free (candidate);
}

static int
compare_candidates (gconstpointer a, gconstpointer b)
{
  const Candidate *x = *(Candidate *const *)a, *y = *(Candidate *const *)b;

  if (x->score != y->score)
    return x->score > y->score ? -1 : 1;
  return strcmp (x->text, y->text);
}

static GHashTable *
list_linkers (const char *language)
{
  g_autofree char *words = local_phrase (language, "linkers");
  g_auto (GStrv) list = g_strsplit (words, " ", -1);
  GHashTable *linkers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; list[i]; i++)
    if (*list[i])
      g_hash_table_add (linkers, g_strdup (list[i]));
  return linkers;
}

static gboolean
is_listed (GHashTable *list, const LocalWord *word)
{
  g_autofree char *lower = g_utf8_strdown (word->surface, -1);

  return list && g_hash_table_contains (list, lower);
}

static gboolean
begins_with_capital (const LocalWord *word)
{
  return g_unichar_isupper (g_utf8_get_char (word->surface));
}

/* Whether punctuation stands before the word. */
static gboolean
is_parted (const LocalText *text, const LocalSentence *sentence, guint word)
{
  const LocalWord *before = local_text_get_word (text, word - 1), *here = local_text_get_word (text, word);
  gsize gap = before->offset + strlen (before->surface);

  if (here->offset <= gap)
    return FALSE;
  for (const char *at = sentence->text + gap; at < sentence->text + here->offset; at = g_utf8_next_char (at)) {
    gunichar c = g_utf8_get_char (at);

    if (!g_unichar_isspace (c) && c != '\'' && c != 0x2019)
      return TRUE;
  }
  return FALSE;
}

static char *
surface_of (const LocalText *text, const LocalSentence *sentence, guint first, guint end)
{
  const LocalWord *from = local_text_get_word (text, first), *last = local_text_get_word (text, end - 1);

  return g_strndup (sentence->text + from->offset, last->offset + strlen (last->surface) - from->offset);
}

static char *
key_of (const Search *self, guint first, guint end)
{
  GString *key = g_string_new (NULL);

  for (guint i = first; i < end; i++)
    if (local_text_get_word (self->text, i)->stem != LOCAL_NO_STEM)
      g_string_append_printf (key, "%u ", local_text_get_word (self->text, i)->stem);
  return g_string_free (key, FALSE);
}

static void
add_candidate (Search *self, const LocalSentence *sentence, guint first, guint end)
{
  const LocalWord *word = local_text_get_word (self->text, first);
  g_autofree char *key = key_of (self, first, end);
  Candidate *candidate = g_hash_table_lookup (self->candidates, key);
  gboolean named = first > sentence->first && begins_with_capital (word);

  if (!candidate) {
    candidate = g_new0 (Candidate, 1);
    candidate->text = surface_of (self->text, sentence, first, end);
    candidate->first = first;
    candidate->stem = word->stem;
    candidate->name = named && !self->german;
    for (guint i = first; i < end; i++) {
      const LocalWord *other = local_text_get_word (self->text, i);

      if (other->stem == LOCAL_NO_STEM)
        continue;
      candidate->n++;
      candidate->name &= begins_with_capital (other);
      candidate->common |= other->common;
      candidate->once |= g_array_index (self->text->count_of, guint, other->stem) < 2;
    }
    g_hash_table_insert (self->candidates, g_steal_pointer (&key), candidate);
  } else if (named && candidate->capitals == 0) {
    g_free (candidate->text);
    candidate->text = surface_of (self->text, sentence, first, end);
  } else if (first > sentence->first && candidate->inside == 0) {
    /* Without the capital of a sentence. */
    g_free (candidate->text);
    candidate->text = surface_of (self->text, sentence, first, end);
  }
  candidate->count++;
  candidate->last = first;
  candidate->inside += first > sentence->first;
  candidate->capitals += named;
}

/* Whether a phrase neither begins nor ends with the word. */
static gboolean
is_frame (const Search *self, const LocalSentence *sentence, guint index)
{
  const LocalWord *word = local_text_get_word (self->text, index);

  return word->common && (index == sentence->first || !begins_with_capital (word));
}

/* All that begins at the word. */
static void
add_candidates (Search *self, const LocalSentence *sentence, guint first)
{
  guint n = 0, linkers = 0;

  for (guint i = first; i < sentence->first + sentence->n && n < MAX_PHRASE; i++) {
    const LocalWord *word = local_text_get_word (self->text, i);

    if (i > first && is_parted (self->text, sentence, i))
      break;
    if (word->stem == LOCAL_NO_STEM) {
      if (++linkers > MAX_LINKERS || !is_listed (self->linkers, word))
        break;
      continue;
    }
    n++;
    /* “people met” is no phrase; “New York” is one. */
    if (n == 1 || (!is_frame (self, sentence, first) && !is_frame (self, sentence, i)))
      add_candidate (self, sentence, first, i + 1);
  }
}

static void
look_at_nouns (Search *self)
{
  const LocalText *text = self->text;

  for (guint s = 0; s < text->sentences->len; s++) {
    const LocalSentence *sentence = local_text_get_sentence (text, s);

    for (guint i = sentence->first + 1; i < sentence->first + sentence->n; i++) {
      const LocalWord *word = local_text_get_word (text, i);

      self->written |= begins_with_capital (word) && word->surface[1] != '\0' && word->surface[1] != '\'';
      if (word->stem != LOCAL_NO_STEM && !is_parted (text, sentence, i) &&
          is_listed (self->determiners, local_text_get_word (text, i - 1)))
        self->nouns[word->stem] = TRUE;
    }
  }
}

static double
judge (const Search *self, const Candidate *candidate, guint n_words)
{
  double place = (double)(candidate->first - self->words_before) / MAX (n_words, 1),
         reach = (double)(candidate->last - candidate->first) / MAX (n_words, 1);
  double score = candidate->count > 1 ? 1 + log2 (candidate->count) : ONCE;

  /* Longer ones say more, but not by their length alone. */
  score *= 0.5 + 0.5 * sqrt (candidate->n);
  score *= 1 + EARLY * (1 - place) + SPREAD * reach;
  if (self->german && self->written)
    return candidate->capitals == 0 && candidate->n == 1 ? score * NO_NOUN : score;
  if (candidate->capitals > 0 && candidate->capitals == candidate->inside)
    return score * NAME;
  if (self->determiners && candidate->n == 1 && !self->nouns[candidate->stem])
    return score * NO_NOUN;
  return score;
}

static gboolean
is_worth_a_look (const Candidate *candidate, gboolean few)
{
  if (candidate->n == 1)
    return !candidate->common && g_utf8_strlen (candidate->text, -1) <= MAX_LETTERS;
  /* Once is chance, above all in speech that was recognised; twice is a subject. */
  return candidate->count > 1 || candidate->name || (!candidate->common && (few || !candidate->once));
}

static gboolean
is_part_of (const char *small, const char *large)
{
  g_autofree char *a = g_utf8_casefold (small, -1), *b = g_utf8_casefold (large, -1);
  const char *found = strstr (b, a);

  /* In scripts without blanks, words touch. */
  if (found && g_unichar_get_script (g_utf8_get_char (a)) == G_UNICODE_SCRIPT_HAN)
    return TRUE;
  return found && (found == b || !g_ascii_isalnum (found[-1])) && !g_ascii_isalnum (found[strlen (a)]);
}

/* Whether one of them says what the other does. */
static gboolean
are_alike (const Candidate *candidate, const Candidate *better)
{
  if (is_part_of (candidate->text, better->text))
    return candidate->n > 1 || better->count >= MOST * candidate->count;
  return is_part_of (better->text, candidate->text) && (better->n > 1 || candidate->count < 2);
}

/* A word that is mostly there in one phrase stands behind that. */
static void
give_way (GPtrArray *all)
{
  for (guint i = 0; i < all->len; i++) {
    Candidate *word = g_ptr_array_index (all, i);

    for (guint k = 0; word->n == 1 && k < all->len; k++) {
      Candidate *phrase = g_ptr_array_index (all, k);

      if (phrase->n > 1 && phrase->count > 1 && phrase->count >= MOST * word->count &&
          is_part_of (word->text, phrase->text))
        word->score = MIN (word->score, 0.99 * phrase->score);
    }
  }
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
  g_autofree gboolean *nouns = g_new0 (gboolean, text->stems->len + 1);
  g_autoptr (GHashTable) candidates = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, candidate_free);
  g_autoptr (GHashTable) linkers = list_linkers (text->language),
                         determiners = local_language_load_words ("determiners", text->language);
  g_autoptr (GPtrArray) all = g_ptr_array_new (), chosen = g_ptr_array_new ();
  GPtrArray *found = g_ptr_array_new_with_free_func (phrase_free);
  Search self = {.text = text,
                 .candidates = candidates,
                 .linkers = linkers,
                 .determiners = determiners,
                 .nouns = nouns,
                 .german = strcmp (text->language, "de") == 0};
  guint n_words = 0;
  GHashTableIter iter;
  gpointer value;

  look_at_nouns (&self);
  for (guint s = first_sentence; s < MIN (first_sentence + n_sentences, text->sentences->len); s++) {
    const LocalSentence *sentence = local_text_get_sentence (text, s);

    if (s == first_sentence)
      self.words_before = sentence->first;
    n_words += sentence->n;
    for (guint i = sentence->first; !sentence->formula && i < sentence->first + sentence->n; i++)
      if (local_text_get_word (text, i)->stem != LOCAL_NO_STEM)
        add_candidates (&self, sentence, i);
  }
  g_hash_table_iter_init (&iter, candidates);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Candidate *candidate = value;

    if (!is_worth_a_look (candidate, text->sentences->len <= FEW_SENTENCES))
      continue;
    candidate->score = judge (&self, candidate, n_words);
    g_ptr_array_add (all, candidate);
  }
  g_ptr_array_sort (all, compare_candidates);
  give_way (all);
  g_ptr_array_sort (all, compare_candidates);
  for (guint i = 0; i < all->len; i++) {
    Candidate *candidate = g_ptr_array_index (all, i);
    gboolean repeated = FALSE;
    LocalPhrase *phrase;

    for (guint k = 0; k < chosen->len && !repeated; k++)
      repeated = are_alike (candidate, g_ptr_array_index (chosen, k));
    if (repeated)
      continue;
    g_ptr_array_add (chosen, candidate);
    phrase = g_new0 (LocalPhrase, 1);
    /* The capital of a sentence is none of the word. */
    phrase->text =
        candidate->inside == 0 && !self.german ? g_utf8_strdown (candidate->text, -1) : g_strdup (candidate->text);
    phrase->score = candidate->score;
    phrase->count = candidate->count;
    g_ptr_array_add (found, phrase);
  }
  return found;
}

/* How many of the first phrases are tags: what is there again, and of the rest only a few. */
guint
local_count_good_phrases (GPtrArray *phrases, guint most)
{
  guint n = 0;

  while (n < MIN (phrases->len, most) && (n < FEW_TAGS || ((LocalPhrase *)g_ptr_array_index (phrases, n))->count > 1))
    n++;
  return n;
}

static gboolean
has_capitals (const LocalText *text)
{
  for (guint s = 0; s < text->sentences->len; s++) {
    const LocalSentence *sentence = local_text_get_sentence (text, s);

    for (guint i = sentence->first + 1; i < sentence->first + sentence->n; i++)
      if (begins_with_capital (local_text_get_word (text, i)) && local_text_get_word (text, i)->stem != LOCAL_NO_STEM)
        return TRUE;
  }
  return FALSE;
}

/* Whoever is named with a title, such as “Mr. Dashwood”. Recognised speech has no capitals: “a general idea” is nobody
 * there, so that only titles count which are nothing else. */
GPtrArray *
local_find_people (const LocalText *text)
{
  gboolean written = has_capitals (text);
  g_autoptr (GHashTable) titles = local_language_load_words ("titles", written ? "all" : "spoken");
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
             ((end == i + 1 && !written) ||
              g_unichar_isupper (g_utf8_get_char (local_text_get_word (text, end)->surface))))
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

/* “north wind” becomes #NorthWind; scripts without capitals put a stroke between; what has no letter becomes NULL. */
char *
local_make_hashtag (const char *phrase)
{
  g_autoptr (GString) tag = g_string_new ("#");
  g_autofree char *upper = g_utf8_strup (phrase, -1), *lower = g_utf8_strdown (phrase, -1);
  gboolean start = TRUE, several = strpbrk (phrase, " -'") != NULL, cased = strcmp (upper, lower) != 0;

  for (const char *at = phrase; *at; at = g_utf8_next_char (at)) {
    gunichar letter = g_utf8_get_char (at);

    if (start && several && !cased && tag->len > 1 && g_unichar_isalnum (letter))
      g_string_append_c (tag, '_');
    if (g_unichar_isalnum (letter) || g_unichar_ismark (letter))
      g_string_append_unichar (tag, start && several ? g_unichar_toupper (letter)
                                    : several        ? letter
                                                     : g_unichar_tolower (letter));
    start = !g_unichar_isalnum (letter) && !g_unichar_ismark (letter);
  }
  return tag->len > 1 ? g_string_free (g_steal_pointer (&tag), FALSE) : NULL;
}
