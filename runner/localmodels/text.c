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
/* A sentence that was heard with less confidence is none; with less of the whole, nothing is. */
#define HEARD 0.35
#define CLEAR 0.4

/* A word that was hardly heard. */
typedef struct {
  double start, end; /* of the segment that it is in, in s */
  char *word;
} Doubt;

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
is_one_of (gunichar c, const char *set)
{
  return c != 0 && g_utf8_strchr (set, -1, c) != NULL;
}

static gboolean
ends_sentence (const char *text)
{
  const char *at = text + strlen (text);

  while (at > text && is_one_of (g_utf8_get_char (g_utf8_prev_char (at)), " \"')]”’»」』）"))
    at = g_utf8_prev_char (at);
  return at > text && is_one_of (g_utf8_get_char (g_utf8_prev_char (at)), ".!?…。！？؟।۔");
}

/* Scripts that put no blanks between words. */
static gboolean
is_unspaced (gunichar c)
{
  GUnicodeScript script = g_unichar_get_script (c);

  return script == G_UNICODE_SCRIPT_HAN || script == G_UNICODE_SCRIPT_HIRAGANA || script == G_UNICODE_SCRIPT_KATAKANA ||
         script == G_UNICODE_SCRIPT_THAI || script == G_UNICODE_SCRIPT_LAO || script == G_UNICODE_SCRIPT_KHMER ||
         script == G_UNICODE_SCRIPT_MYANMAR;
}

static guint
count_words (const char *text)
{
  guint n = 0, unspaced = 0;
  gboolean inside = FALSE;

  for (; *text; text = g_utf8_next_char (text)) {
    gunichar c = g_utf8_get_char (text);
    gboolean letter = g_unichar_isalnum (c) && !is_unspaced (c);

    unspaced += is_unspaced (c);
    n += letter && !inside;
    inside = letter;
  }
  return n + (unspaced + 1) / 2;
}

static void
add_sentence (LocalText *text, const char *said, double start, double end, double confidence)
{
  g_autofree char *clean = g_strstrip (g_strdup (said));
  LocalSentence sentence = {.start = start, .end = MAX (start, end), .confidence = confidence};

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
  g_auto (GStrv) pieces =
      g_regex_split_simple ("(?<=[.!?…؟।۔])[\"'”’»)]*\\s+|(?<=[。！？])(?![。！？」』）])\\s*|\\n+", text, 0, 0);
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
add_part (LocalText *text, const char *said, double start, double end, double confidence)
{
  g_auto (GStrv) sentences = local_split_sentences (said);
  double per_byte = (end - start) / (double)MAX (strlen (said), 1), at = start;

  for (guint i = 0; sentences[i]; i++) {
    double length = (double)strlen (sentences[i]) * per_byte;

    add_sentence (text, sentences[i], at, MIN (at + length, end), confidence);
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
doubt_clear (gpointer data)
{
  g_free (((Doubt *)data)->word);
}

static void
add_doubts (GArray *doubts, JsonArray *words, double start, double end)
{
  for (guint i = 0; words && i < json_array_get_length (words); i++) {
    JsonNode *node = json_array_get_element (words, i);

    if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING) {
      Doubt doubt = {start, end, g_utf8_strdown (json_node_get_string (node), -1)};

      g_array_append_val (doubts, doubt);
    }
  }
}

static gboolean
is_doubtful (GArray *doubts, const LocalSentence *sentence, const char *lower)
{
  for (guint i = 0; i < doubts->len; i++) {
    Doubt *doubt = &g_array_index (doubts, Doubt, i);

    if (doubt->start < sentence->end && doubt->end > sentence->start && strcmp (doubt->word, lower) == 0)
      return TRUE;
  }
  return FALSE;
}

/* What was hardly heard is not written about: that would be invention. */
static void
drop_unheard (LocalText *text)
{
  double sum = 0;
  guint all = 0;

  for (guint i = 0; i < text->sentences->len; i++) {
    guint n = count_words (local_text_get_sentence (text, i)->text);

    sum += n * local_text_get_sentence (text, i)->confidence;
    all += n;
  }
  text->unclear = all > 0 && sum / all < CLEAR;
  for (guint i = text->sentences->len; i > 0; i--) {
    LocalSentence *sentence = &g_array_index (text->sentences, LocalSentence, i - 1);

    if (!text->unclear && sentence->confidence >= HEARD)
      continue;
    g_free (sentence->text);
    g_array_remove_index (text->sentences, i - 1);
  }
}

static void
add_segments (LocalText *text, JsonArray *segments, GArray *doubts)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  g_autoptr (GString) joined = g_string_new (NULL);
  double start = 0, end = 0, heard = 0, weight = 0;

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
    guint words = count_words (joined->str), own = count_words (said);

    add_doubts (doubts, derush_json_get_array (segment, "doubtful"), from, to);
    if (words > 0 && (ends_sentence (joined->str) || words >= MAX_WORDS || (words >= FEW_WORDS && from - end >= 0.2) ||
                      from - end >= NEAR)) {
      add_part (text, joined->str, start, end, weight > 0 ? heard / weight : 1);
      g_string_truncate (joined, 0);
      heard = weight = 0;
    }
    heard += own * CLAMP (derush_json_get_number (segment, "confidence", 1), 0, 1);
    weight += own;
    if (joined->len == 0)
      start = from;
    else
      g_string_append_c (joined, ' ');
    g_string_append (joined, said);
    end = MAX (end, to);
  }
  if (joined->len > 0)
    add_part (text, joined->str, start, end, weight > 0 ? heard / weight : 1);
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

typedef struct {
  GRegex *word;
  GHashTable *function_words, *common_words; /* NULL: the language has no list */
  struct sb_stemmer *stemmer;                /* NULL: the language has none */
  GArray *doubts;
  gboolean pairs; /* words are pairs of letters that stand together */
} Splitter;

/* Marks of punctuation belong to these scripts as well: only letters count. Chinese puts nothing between words; pairs of letters are what can be compared (Nie and Ren, 1999). */
static const char word_pattern[] = "aujourd['’]hui|(?=\\p{L})\\p{Katakana}[\\p{Katakana}ー]*|(?:(?=\\p{L})\\p{Han})+|"
                                   "(?:(?=\\p{L})\\p{Hiragana})+|"
                                   "(?:(?!\\p{Han}|\\p{Hiragana}|\\p{Katakana})[\\p{L}\\p{M}\\p{N}])+"
                                   "(?:[%s\\-](?:(?!\\p{Han}|\\p{Hiragana}|\\p{Katakana})[\\p{L}\\p{M}\\p{N}])+)*";

static gboolean
is_listed (GHashTable *list, const char *word)
{
  return list && g_hash_table_contains (list, word);
}

/* In Chinese a pair with a small word in it is one. */
static gboolean
has_small_word (const Splitter *splitter, const char *lower)
{
  for (const char *at = lower; splitter->pairs && *at; at = g_utf8_next_char (at)) {
    g_autofree char *letter = g_strndup (at, (gsize)(g_utf8_next_char (at) - at));

    if (is_listed (splitter->function_words, letter))
      return TRUE;
  }
  return is_listed (splitter->function_words, lower);
}

static gboolean
has_meaning (const Splitter *splitter, const LocalSentence *sentence, const char *lower)
{
  gunichar first = g_utf8_get_char (lower);

  /* Hiragana are endings and small words; what begins with a digit is a number. */
  if (g_utf8_strlen (lower, -1) < 2 || g_unichar_isdigit (first) ||
      g_unichar_get_script (first) == G_UNICODE_SCRIPT_HIRAGANA)
    return FALSE;
  return !has_small_word (splitter, lower) && !is_doubtful (splitter->doubts, sentence, lower);
}

static void
add_word (LocalText *text, LocalSentence *sentence, const Splitter *splitter, GHashTable *seen, gsize start, gsize end)
{
  char *surface = g_strndup (sentence->text + start, end - start);
  g_autofree char *lower = g_utf8_strdown (surface, -1);
  g_auto (GStrv) halves = g_strsplit (lower, "’", -1);
  LocalWord word = {.surface = surface, .offset = start, .stem = LOCAL_NO_STEM};

  g_free (lower);
  lower = g_strjoinv ("'", halves);
  word.common = is_listed (splitter->common_words, lower);
  if (has_meaning (splitter, sentence, lower)) {
    word.stem = stem_index (text, splitter->stemmer, lower);
    g_array_index (text->count_of, guint, word.stem)++;
    if (g_hash_table_add (seen, GUINT_TO_POINTER (word.stem + 1)))
      g_array_index (text->sentences_with, guint, word.stem)++;
  }
  g_array_append_val (text->words, word);
}

static void
split_words (LocalText *text, LocalSentence *sentence, const Splitter *splitter)
{
  g_autoptr (GMatchInfo) match = NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  sentence->first = text->words->len;
  for (g_regex_match (splitter->word, sentence->text, 0, &match); g_match_info_matches (match);
       g_match_info_next (match, NULL)) {
    int start, end;
    const char *at, *last;

    g_match_info_fetch_pos (match, 0, &start, &end);
    at = sentence->text + start;
    last = sentence->text + end;
    if (!splitter->pairs || g_unichar_get_script (g_utf8_get_char (at)) != G_UNICODE_SCRIPT_HAN ||
        g_utf8_next_char (at) >= last) {
      add_word (text, sentence, splitter, seen, (gsize)start, (gsize)end);
      continue;
    }
    for (; g_utf8_next_char (at) < last; at = g_utf8_next_char (at))
      add_word (text, sentence, splitter, seen, (gsize)(at - sentence->text),
                (gsize)(g_utf8_next_char (g_utf8_next_char (at)) - sentence->text));
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
        sentence.confidence = (sentence.confidence + next->confidence) / 2;
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
  static const char *const eliding[] = {"fr", "it", "ca", NULL};
  /* “l’eau” is two words, “don't” is one. */
  g_autofree char *pattern = g_strdup_printf (word_pattern, g_strv_contains (eliding, language) ? "" : "'’");
  g_autoptr (GRegex) word = g_regex_new (pattern, G_REGEX_CASELESS, 0, NULL);
  g_autoptr (GHashTable) function_words = local_language_load_words ("stopwords", language),
                         common_words = local_language_load_words ("common", language);
  g_autoptr (GArray) doubts = g_array_new (FALSE, FALSE, sizeof (Doubt));
  Splitter splitter = {.word = word,
                       .function_words = function_words,
                       .common_words = common_words,
                       .stemmer = sb_stemmer_new (language, "UTF_8"),
                       .doubts = doubts,
                       .pairs = strcmp (language, "zh") == 0};

  text->language = g_strdup (language);
  text->duration = duration;
  text->sentences = g_array_new (FALSE, TRUE, sizeof (LocalSentence));
  text->words = g_array_new (FALSE, TRUE, sizeof (LocalWord));
  text->stems = g_ptr_array_new_with_free_func (g_free);
  text->sentences_with = g_array_new (FALSE, TRUE, sizeof (guint));
  text->count_of = g_array_new (FALSE, TRUE, sizeof (guint));
  text->index_of = g_hash_table_new (g_str_hash, g_str_equal);
  g_array_set_clear_func (doubts, doubt_clear);
  if (segments && json_array_get_length (segments) > 0) {
    add_segments (text, segments, doubts);
    drop_unheard (text);
    text->timed = TRUE;
  } else if (said) {
    g_autofree char *cut = g_strndup (said, MAX_BYTES), *valid = g_utf8_make_valid (cut, -1);

    add_part (text, valid, 0, duration, 1);
  }
  join_neighbours (text);
  for (guint i = 0; i < text->sentences->len; i++)
    split_words (text, &g_array_index (text->sentences, LocalSentence, i), &splitter);
  if (splitter.stemmer)
    sb_stemmer_delete (splitter.stemmer);
  local_mark_sentences (text);
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

gboolean
local_language_is_unspaced (const char *code)
{
  static const char *const codes[] = {"ja", "zh", "th", "lo", "km", "my", NULL};

  return g_strv_contains (codes, code);
}

/* With a capital at its beginning and a full stop at its end. */
char *
local_text_polish (const char *sentence)
{
  GString *polished = g_string_new (NULL);
  const char *end = sentence + strlen (sentence);

  while (end > sentence && is_one_of (g_utf8_get_char (g_utf8_prev_char (end)), " ,;:-、，；：،"))
    end = g_utf8_prev_char (end);
  if (end > sentence) {
    g_string_append_unichar (polished, g_unichar_toupper (g_utf8_get_char (sentence)));
    g_string_append_len (polished, g_utf8_next_char (sentence), end - g_utf8_next_char (sentence));
    if (!ends_sentence (polished->str))
      g_string_append (polished, is_unspaced (g_utf8_get_char (g_utf8_prev_char (end))) ? "。" : ".");
  }
  return g_string_free (polished, FALSE);
}

/* A capital at its beginning, no full stop at its end, and not longer than it may be. */
char *
local_text_to_title (const char *phrase, guint characters)
{
  g_autofree char *polished = local_text_polish (phrase);
  char *end = polished + strlen (polished);

  if (!g_str_has_suffix (polished, "..") && end > polished &&
      is_one_of (g_utf8_get_char (g_utf8_prev_char (end)), ".。।۔"))
    *g_utf8_prev_char (end) = '\0';
  return local_text_shorten (polished, characters);
}

/* At the end of a clause if that keeps more than half, else of a word. */
char *
local_text_shorten (const char *text, guint characters)
{
  const char *end, *word = NULL, *clause = NULL;
  g_autofree char *cut = NULL;
  char *last;

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
    else if (is_one_of (g_utf8_get_char (at), "、。，！？；،؟"))
      clause = at;
  }
  if (clause && (clause - text) * 2 > end - text)
    end = clause;
  else if (word && (word - text) * 2 > end - text)
    end = word;
  cut = g_strndup (text, (gsize)(end - text));
  last = cut + strlen (cut);
  while (last > cut && is_one_of (g_utf8_get_char (g_utf8_prev_char (last)), " ,;:、，；،")) {
    last = g_utf8_prev_char (last);
    *last = '\0';
  }
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
