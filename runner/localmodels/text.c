/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* A text in sentences and stems. Speech that was recognised has no full stops: there, what lies between pauses counts. */

#include "localmodels-private.h"
#include "text-private.h"

#include <math.h>
#include <string.h>
#include <libstemmer.h>

#define MAX_SENTENCES 1200
#define MAX_BYTES (2 * 1024 * 1024)
/* Segments without a full stop are joined while they are shorter and closer than this. */
#define FEW_WORDS 6
#define NEAR 0.7 /* s */
#define MAX_WORDS 40

const LocalSentence *
local_text_get_sentence (const LocalText *text, guint index)
{
  return &g_array_index (text->sentences, LocalSentence, index);
}

const LocalWord *
local_text_get_word (const LocalText *text, guint index)
{
  return &g_array_index (text->words, LocalWord, index);
}

static gboolean
ends_sentence (const char *text)
{
  gsize length = strlen (text);

  while (length > 0 && strchr (" \"')]", text[length - 1]))
    length--;
  return (length > 0 && strchr (".!?", text[length - 1])) || (length > 2 && g_str_has_suffix (text, "…"));
}

static guint
count_words (const char *text)
{
  guint n = 0;
  gboolean inside = FALSE;

  for (; *text; text = g_utf8_next_char (text)) {
    gboolean letter = g_unichar_isalnum (g_utf8_get_char (text));

    n += letter && !inside;
    inside = letter;
  }
  return n;
}

static void
add_sentence (LocalText *text, const char *said, double start, double end)
{
  g_autofree char *clean = g_strstrip (g_strdup (said));
  LocalSentence sentence = {.start = start, .end = MAX (start, end)};

  if (count_words (clean) == 0)
    return;
  sentence.text = g_steal_pointer (&clean);
  g_array_append_val (text->sentences, sentence);
}

/* “Mr.” and “J.” end no sentence. */
static gboolean
ends_with_abbreviation (const char *text, GHashTable *titles)
{
  gsize length = strlen (text);
  const char *word;
  g_autofree char *lower = NULL;

  if (length < 2 || text[length - 1] != '.')
    return FALSE;
  word = strrchr (text, ' ');
  word = word ? word + 1 : text;
  lower = g_utf8_strdown (word, (gssize)(text + length - 1 - word));
  return g_utf8_strlen (lower, -1) == 1 || (titles && g_hash_table_contains (titles, lower));
}

/**
 * local_split_sentences:
 *
 * Returns: (transfer full): the sentences of @text, with their full stops; each line ends one
 */
GStrv
local_split_sentences (const char *text)
{
  g_auto (GStrv) pieces = g_regex_split_simple ("(?<=[.!?…])[\"'”’»)]*\\s+|\\n+", text, 0, 0);
  g_autoptr (GHashTable) titles = local_language_load_words ("titles", "all");
  GStrvBuilder *sentences = g_strv_builder_new ();
  g_autoptr (GString) sentence = g_string_new (NULL);
  GStrv split;

  for (guint i = 0; pieces[i]; i++) {
    g_string_append (sentence, pieces[i]);
    if (pieces[i + 1] && ends_with_abbreviation (sentence->str, titles)) {
      g_string_append_c (sentence, ' ');
      continue;
    }
    g_strv_builder_add (sentences, sentence->str);
    g_string_truncate (sentence, 0);
  }
  split = g_strv_builder_end (sentences);
  g_strv_builder_unref (sentences);
  return split;
}

/* A part may have several sentences; each has the share of the time that its letters have. */
static void
add_part (LocalText *text, const char *said, double start, double end)
{
  g_auto (GStrv) sentences = local_split_sentences (said);
  double per_byte = (end - start) / (double)MAX (strlen (said), 1), at = start;

  for (guint i = 0; sentences[i]; i++) {
    double length = (double)strlen (sentences[i]) * per_byte;

    add_sentence (text, sentences[i], at, MIN (at + length, end));
    at += length;
  }
}

static int
compare_starts (gconstpointer a, gconstpointer b)
{
  double x = derush_json_get_number (*(JsonObject *const *)a, "start", 0),
         y = derush_json_get_number (*(JsonObject *const *)b, "start", 0);

  return x < y ? -1 : x > y;
}

static void
add_segments (LocalText *text, JsonArray *segments)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  g_autoptr (GString) joined = g_string_new (NULL);
  double start = 0, end = 0;

  for (guint i = 0; i < json_array_get_length (segments); i++) {
    JsonNode *node = json_array_get_element (segments, i);

    if (JSON_NODE_HOLDS_OBJECT (node))
      g_ptr_array_add (sorted, json_node_get_object (node));
  }
  g_ptr_array_sort (sorted, compare_starts);
  for (guint i = 0; i < sorted->len; i++) {
    JsonObject *segment = g_ptr_array_index (sorted, i);
    const char *said = derush_json_get_string (segment, "text", "");
    double from = derush_json_get_number (segment, "start", end), to = derush_json_get_number (segment, "end", from);
    guint words = count_words (joined->str);

    if (words > 0 && (ends_sentence (joined->str) || words >= MAX_WORDS || (words >= FEW_WORDS && from - end >= 0.2) ||
                      from - end >= NEAR)) {
      add_part (text, joined->str, start, end);
      g_string_truncate (joined, 0);
    }
    if (joined->len == 0)
      start = from;
    else
      g_string_append_c (joined, ' ');
    g_string_append (joined, said);
    end = MAX (end, to);
  }
  if (joined->len > 0)
    add_part (text, joined->str, start, end);
}

static guint
stem_index (LocalText *text, struct sb_stemmer *stemmer, const char *word)
{
  const sb_symbol *stem =
      stemmer ? sb_stemmer_stem (stemmer, (const sb_symbol *)word, (int)strlen (word)) : (const sb_symbol *)word;
  guint index = GPOINTER_TO_UINT (g_hash_table_lookup (text->index_of, stem)), zero = 0;
  char *kept;

  if (index > 0)
    return index - 1;
  kept = g_strdup ((const char *)stem);
  g_ptr_array_add (text->stems, kept);
  g_array_append_val (text->sentences_with, zero);
  g_array_append_val (text->count_of, zero);
  g_hash_table_insert (text->index_of, kept, GUINT_TO_POINTER (text->stems->len));
  return text->stems->len - 1;
}

static void
split_words (LocalText *text, LocalSentence *sentence, GRegex *word_regex, GHashTable *stopwords,
             struct sb_stemmer *stemmer)
{
  g_autoptr (GMatchInfo) match = NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  sentence->first = text->words->len;
  for (g_regex_match (word_regex, sentence->text, 0, &match); g_match_info_matches (match);
       g_match_info_next (match, NULL)) {
    g_autofree char *found = g_match_info_fetch (match, 0), *lower = g_utf8_strdown (found, -1);
    LocalWord word = {.stem = LOCAL_NO_STEM};
    g_auto (GStrv) halves = g_strsplit (lower, "’", -1);
    int start, end;

    g_free (lower);
    lower = g_strjoinv ("'", halves);
    g_match_info_fetch_pos (match, 0, &start, &end);
    word.offset = (gsize)start;
    if (!(stopwords && g_hash_table_contains (stopwords, lower)) && g_utf8_strlen (lower, -1) > 1 &&
        !g_ascii_isdigit (*lower)) {
      word.stem = stem_index (text, stemmer, lower);
      g_array_index (text->count_of, guint, word.stem)++;
      if (g_hash_table_add (seen, GUINT_TO_POINTER (word.stem + 1)))
        g_array_index (text->sentences_with, guint, word.stem)++;
    }
    word.surface = g_steal_pointer (&found);
    g_array_append_val (text->words, word);
  }
  sentence->n = text->words->len - sentence->first;
}

/* So many that comparing each with each would take minutes: neighbours become one. */
static void
join_neighbours (LocalText *text)
{
  while (text->sentences->len > MAX_SENTENCES) {
    GArray *joined = g_array_new (FALSE, TRUE, sizeof (LocalSentence));

    for (guint i = 0; i < text->sentences->len; i += 2) {
      LocalSentence sentence = g_array_index (text->sentences, LocalSentence, i);

      if (i + 1 < text->sentences->len) {
        LocalSentence *next = &g_array_index (text->sentences, LocalSentence, i + 1);
        char *both = g_strdup_printf ("%s %s", sentence.text, next->text);

        g_free (sentence.text);
        g_free (next->text);
        sentence.text = both;
        sentence.end = next->end;
      }
      g_array_append_val (joined, sentence);
    }
    g_array_unref (text->sentences);
    text->sentences = joined;
  }
}

/**
 * local_text_new:
 * @said: (nullable): the text as a whole
 * @segments: (nullable): `start`, `end` and `text` of its parts; they win over @said
 * @language: its code
 * @duration: of the film, in s; 0: unknown
 *
 * Returns: (transfer full): the text in sentences and words
 */
LocalText *
local_text_new (const char *said, JsonArray *segments, const char *language, double duration)
{
  LocalText *text = g_new0 (LocalText, 1);
  g_autoptr (GRegex) words = g_regex_new ("[\\p{L}\\p{N}]+(?:['’\\-][\\p{L}\\p{N}]+)*", 0, 0, NULL);
  g_autoptr (GHashTable) stopwords = local_language_load_words ("stopwords", language);
  struct sb_stemmer *stemmer = sb_stemmer_new (language, "UTF_8");

  text->language = g_strdup (language);
  text->duration = duration;
  text->sentences = g_array_new (FALSE, TRUE, sizeof (LocalSentence));
  text->words = g_array_new (FALSE, TRUE, sizeof (LocalWord));
  text->stems = g_ptr_array_new_with_free_func (g_free);
  text->sentences_with = g_array_new (FALSE, TRUE, sizeof (guint));
  text->count_of = g_array_new (FALSE, TRUE, sizeof (guint));
  text->index_of = g_hash_table_new (g_str_hash, g_str_equal);
  if (segments && json_array_get_length (segments) > 0) {
    add_segments (text, segments);
    text->timed = TRUE;
  } else if (said) {
    g_autofree char *cut = g_strndup (said, MAX_BYTES), *valid = g_utf8_make_valid (cut, -1);

    add_part (text, valid, 0, duration);
  }
  join_neighbours (text);
  for (guint i = 0; i < text->sentences->len; i++)
    split_words (text, &g_array_index (text->sentences, LocalSentence, i), words, stopwords, stemmer);
  if (stemmer)
    sb_stemmer_delete (stemmer);
  return text;
}

void
local_text_free (LocalText *text)
{
  for (guint i = 0; i < text->sentences->len; i++)
    g_free (g_array_index (text->sentences, LocalSentence, i).text);
  for (guint i = 0; i < text->words->len; i++)
    g_free (g_array_index (text->words, LocalWord, i).surface);
  g_array_unref (text->sentences);
  g_array_unref (text->words);
  g_hash_table_unref (text->index_of);
  g_ptr_array_unref (text->stems);
  g_array_unref (text->sentences_with);
  g_array_unref (text->count_of);
  g_free (text->language);
  g_free (text);
}

/* Inverse document frequency, a sentence being a document. */
double
local_text_weight (const LocalText *text, guint stem)
{
  return log (1 + (double)text->sentences->len / MAX (g_array_index (text->sentences_with, guint, stem), 1));
}

static GHashTable *
count_stems (const LocalText *text, guint first, guint n)
{
  GHashTable *counts = g_hash_table_new (NULL, NULL);

  for (guint i = first; i < first + n; i++) {
    gpointer key = GUINT_TO_POINTER (local_text_get_word (text, i)->stem);

    if (local_text_get_word (text, i)->stem != LOCAL_NO_STEM)
      g_hash_table_insert (counts, key, GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (counts, key)) + 1));
  }
  return counts;
}

/**
 * local_text_similarity:
 *
 * Returns: the cosine between two runs of words, weighted by TF-IDF: 0 to 1
 */
double
local_text_similarity (const LocalText *text, guint a_first, guint a_n, guint b_first, guint b_n)
{
  g_autoptr (GHashTable) a = count_stems (text, a_first, a_n), b = count_stems (text, b_first, b_n);
  double dot = 0, a_length = 0, b_length = 0;
  GHashTableIter iter;
  gpointer stem, count;

  g_hash_table_iter_init (&iter, a);
  while (g_hash_table_iter_next (&iter, &stem, &count)) {
    double weight = local_text_weight (text, GPOINTER_TO_UINT (stem)), here = GPOINTER_TO_UINT (count) * weight;

    a_length += here * here;
    dot += here * GPOINTER_TO_UINT (g_hash_table_lookup (b, stem)) * weight;
  }
  g_hash_table_iter_init (&iter, b);
  while (g_hash_table_iter_next (&iter, &stem, &count)) {
    double here = GPOINTER_TO_UINT (count) * local_text_weight (text, GPOINTER_TO_UINT (stem));

    b_length += here * here;
  }
  return a_length > 0 && b_length > 0 ? dot / sqrt (a_length * b_length) : 0;
}

/* With a capital at its beginning and a full stop at its end. */
char *
local_text_polish (const char *sentence)
{
  gunichar first = g_utf8_get_char (sentence);
  GString *polished = g_string_new (NULL);

  if (*sentence) {
    g_string_append_unichar (polished, g_unichar_toupper (first));
    g_string_append (polished, g_utf8_next_char (sentence));
  }
  while (polished->len > 0 && strchr (" ,;:-", polished->str[polished->len - 1]))
    g_string_truncate (polished, polished->len - 1);
  if (polished->len > 0 && !ends_sentence (polished->str))
    g_string_append_c (polished, '.');
  return g_string_free (polished, FALSE);
}

/* At the end of a clause if that keeps more than half, else of a word. */
char *
local_text_shorten (const char *text, guint characters)
{
  const char *end, *word = NULL, *clause = NULL;
  g_autofree char *cut = NULL;
  gsize length;

  if ((gulong)g_utf8_strlen (text, -1) <= characters)
    return g_strdup (text);
  if (characters == 0)
    return g_strdup ("");
  end = g_utf8_offset_to_pointer (text, characters - 1);
  for (const char *at = text; at < end; at = g_utf8_next_char (at)) {
    if (*at == ' ')
      word = at;
    if (strchr (",;:.!?", *at) && at[1] == ' ')
      clause = at;
  }
  if (clause && (clause - text) * 2 > end - text)
    end = clause;
  else if (word && (word - text) * 2 > end - text)
    end = word;
  cut = g_strndup (text, (gsize)(end - text));
  length = strlen (cut);
  while (length > 0 && strchr (" ,;:", cut[length - 1]))
    cut[--length] = '\0';
  return g_strconcat (cut, clause == end && clause ? "" : "…", NULL);
}

static GKeyFile *
load_phrases (void)
{
  GKeyFile *file = g_key_file_new ();
  g_autofree char *path = local_data_path ("phrases.ini", NULL);

  g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL);
  return file;
}

char *
local_phrase (const char *language, const char *name)
{
  g_autoptr (GKeyFile) file = load_phrases ();
  char *found;

  found = g_key_file_get_string (file, language, name, NULL);
  if (!found)
    found = g_key_file_get_string (file, "en", name, NULL);
  return found ? found : g_strdup (name);
}

/* The form of the phrase for @n things, with their number. */
char *
local_phrase_of_number (const char *language, const char *name, guint n)
{
  g_autoptr (GKeyFile) file = load_phrases ();
  const char *group = g_key_file_has_key (file, language, name, NULL) ? language : "en";
  g_autofree char *forms = g_key_file_get_string (file, group, name, NULL), *number = g_strdup_printf ("%u", n);
  g_auto (GStrv) singular = g_key_file_get_string_list (file, group, "one", NULL, NULL),
                 both = forms ? g_strsplit (forms, "|", 2) : NULL;
  gboolean one = singular && g_strv_contains ((const char *const *)singular, number);
  g_autoptr (GString) text = g_string_new (!both || !both[0] ? name : one || !both[1] ? both[0] : both[1]);

  g_string_replace (text, "{n}", number, 0);
  return g_strdup (text->str);
}
