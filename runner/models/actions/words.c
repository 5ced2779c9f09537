/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The words of a speech: out of what recognisers answer, joined from part to part, and without what nobody said. */

#include "models/actions/speech-private.h"

#include <math.h>
#include <string.h>

/* Two hearings of one word lie no farther apart, in seconds. */
#define SAME_TIME 0.6
/* A word in silence is none; but its times may be so much off, in seconds. */
#define SLACK 0.25
#define SILENT_SHARE 0.9
/* What recognisers say that go round in circles, and people do not. */
#define MOST_WORDS 12
#define SINGLE_REPEATS 8
#define PHRASE_REPEATS 4
/* In bytes, of a script without blanks. */
#define LONGEST_TOKEN 60
/* What an engine itself is less sure of is a guess at noise. */
#define LEAST_CONFIDENCE 0.08

static void
word_free (DerushWord *word)
{
  if (!word)
    return;
  g_free (word->text);
  g_free (word->speaker);
  g_free (word);
}

DerushWord *
derush_word_new (double start, double end, const char *text)
{
  DerushWord *word = g_new0 (DerushWord, 1);

  word->start = start;
  word->end = MAX (start, end);
  word->text = g_strdup (text);
  word->confidence = -1;
  return word;
}

GPtrArray *
derush_words_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify)word_free);
}

static DerushWord *
word_at (GPtrArray *words, guint i)
{
  return g_ptr_array_index (words, i);
}

/* ── Texts ──────────────────────────────────────────────────────────────── */

static gboolean
joins (gunichar c)
{
  switch (g_unichar_get_script (c)) {
  case G_UNICODE_SCRIPT_HAN:
  case G_UNICODE_SCRIPT_HIRAGANA:
  case G_UNICODE_SCRIPT_KATAKANA:
  case G_UNICODE_SCRIPT_THAI:
  case G_UNICODE_SCRIPT_LAO:
  case G_UNICODE_SCRIPT_KHMER:
  case G_UNICODE_SCRIPT_MYANMAR:
    return TRUE;
  default:
    return c >= 0x3000 && c <= 0x303f;
  }
}

gboolean
derush_text_needs_blank (const char *text, const char *next)
{
  const char *last;

  if (*text == '\0' || *next == '\0')
    return FALSE;
  last = g_utf8_prev_char (text + strlen (text));
  return !joins (g_utf8_get_char (last)) && !joins (g_utf8_get_char (next));
}

/* Letters and digits of a word, in small letters. */
static char *
plain (const char *text)
{
  g_autofree char *folded = g_utf8_casefold (text, -1);
  GString *result = g_string_new (NULL);

  for (const char *p = folded; *p; p = g_utf8_next_char (p))
    if (g_unichar_isalnum (g_utf8_get_char (p)))
      g_string_append_unichar (result, g_utf8_get_char (p));
  return g_string_free (result, FALSE);
}

static gboolean
same_text (const char *a, const char *b)
{
  g_autofree char *x = plain (a), *y = plain (b);

  return *x && strcmp (x, y) == 0;
}

/* ── Reading ────────────────────────────────────────────────────────────── */

static double
number_of (JsonObject *object, const char *name, double fallback)
{
  double number = derush_json_get_number (object, name, fallback);

  return isfinite (number) ? number : fallback;
}

static JsonObject *
object_at (JsonArray *array, guint i)
{
  JsonNode *node = json_array_get_element (array, i);

  return JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

/* Some recognisers answer punctuation as words of their own. */
static gboolean
is_closing (const char *text)
{
  static const char marks[] = ".,!?:;…)]}%”’»。、，．！？：；）」』】";

  for (; *text; text = g_utf8_next_char (text))
    if (!g_utf8_strchr (marks, -1, g_utf8_get_char (text)))
      return FALSE;
  return TRUE;
}

static void
append_closing (DerushWord *word, const char *marks)
{
  char *text = g_strconcat (word->text, marks, NULL);

  g_free (word->text);
  word->text = text;
}

static GPtrArray *
read_words (JsonArray *list, const DerushPart *part)
{
  GPtrArray *words = derush_words_new ();

  for (guint i = 0; list && i < json_array_get_length (list); i++) {
    JsonObject *object = object_at (list, i);
    g_autofree char *text = g_strdup (derush_json_get_string (object, "word", ""));
    double start = number_of (object, "start", -1), end = number_of (object, "end", -1);
    DerushWord *word;

    g_strstrip (text);
    if (!object || *text == '\0' || start < 0 || end < start)
      continue;
    if (words->len > 0 && is_closing (text)) {
      append_closing (word_at (words, words->len - 1), text);
      continue;
    }
    word = derush_word_new (part->start + start, MIN (part->start + end, part->end), text);
    word->confidence = number_of (object, "confidence", -1);
    word->speaker = g_strdup (derush_json_get_string (object, "speaker", NULL));
    g_ptr_array_add (words, word);
  }
  return words;
}

/* Where a script has no blanks, its letters, with their punctuation, are the least that a line can end behind. */
static void
split_token (const char *token, GPtrArray *tokens)
{
  const char *start = token, *p = token;

  for (gunichar before = 0; *p; before = g_utf8_get_char (p), p = g_utf8_next_char (p)) {
    gboolean forced = p - start >= LONGEST_TOKEN;

    if (!before || !derush_subtitle_may_break (before, g_utf8_get_char (p), forced))
      continue;
    g_ptr_array_add (tokens, g_strndup (start, (gsize)(p - start)));
    start = p;
  }
  g_ptr_array_add (tokens, g_strdup (start));
}

static GPtrArray *
split_text (const char *text)
{
  GPtrArray *tokens = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) parts = g_strsplit_set (text, " \t\r\n", -1);

  for (guint i = 0; parts[i]; i++)
    if (*parts[i])
      split_token (parts[i], tokens);
  return tokens;
}

/* Words whose recogniser told no times: each gets its share of the segment by its length, and none is put into silence. */
static void
estimate (GPtrArray *tokens, double start, double end, const DerushSpeech *speech, GPtrArray *words)
{
  const double step = 0.01;
  double spoken = (end - start) * (1 - derush_speech_silence (speech, start, end)), length = 0, passed = 0,
         time = start;

  for (guint i = 0; i < tokens->len; i++)
    length += (double)strlen (tokens->pdata[i]) + 1;
  for (guint i = 0; i < tokens->len; i++) {
    double share = ((double)strlen (tokens->pdata[i]) + 1) / length * spoken, from = -1;
    DerushWord *word;

    for (passed = 0; passed < share && time < end; time += step) {
      if (derush_speech_silence (speech, time, time + step) > 0.5 && spoken > 0)
        continue;
      if (from < 0)
        from = time;
      passed += step;
    }
    word = derush_word_new (from < 0 ? time : from, MIN (time, end), tokens->pdata[i]);
    word->estimated = TRUE;
    g_ptr_array_add (words, word);
  }
}

/* Words come without punctuation and capitals, segments with both. Where both have the same words, these get them. */
static void
take_spelling (GPtrArray *words, guint first, guint n, GPtrArray *tokens)
{
  if (n != tokens->len)
    return;
  for (guint i = 0; i < n; i++) {
    DerushWord *word = word_at (words, first + i);

    if (!same_text (word->text, tokens->pdata[i]))
      continue;
    g_free (word->text);
    word->text = g_strdup (tokens->pdata[i]);
  }
}

static void
mark_segment (GPtrArray *words, guint first, guint n, JsonObject *segment)
{
  double confidence = number_of (segment, "confidence", -1);
  const char *speaker = derush_json_get_string (segment, "speaker", NULL);

  for (guint i = first; i < first + n; i++) {
    DerushWord *word = word_at (words, i);

    word->first = i == first;
    if (word->confidence < 0)
      word->confidence = confidence;
    if (!word->speaker)
      word->speaker = g_strdup (speaker);
  }
}

/* A segment has the words whose middles lie within it; those between two belong to the one that they follow. */
static guint
count_within (GPtrArray *words, guint first, double until)
{
  guint n = 0;

  while (first + n < words->len && (word_at (words, first + n)->start + word_at (words, first + n)->end) / 2 < until)
    n++;
  return n;
}

GPtrArray *
derush_words_read (JsonObject *answer, const DerushSpeech *speech, const DerushPart *part)
{
  JsonArray *segments = derush_json_get_array (answer, "segments");
  guint n_segments = segments ? json_array_get_length (segments) : 0, first = 0;
  g_autoptr (GPtrArray) timed = read_words (derush_json_get_array (answer, "words"), part);
  GPtrArray *words = derush_words_new ();

  if (n_segments == 0 && timed->len == 0) {
    g_autoptr (GPtrArray) tokens = split_text (derush_json_get_string (answer, "text", ""));

    estimate (tokens, part->start, part->end, speech, words);
    mark_segment (words, 0, words->len, answer);
    return words;
  }
  if (n_segments == 0) {
    g_autoptr (GPtrArray) tokens = split_text (derush_json_get_string (answer, "text", ""));

    take_spelling (timed, 0, timed->len, tokens);
    mark_segment (timed, 0, timed->len, NULL);
    g_ptr_array_unref (words);
    return g_steal_pointer (&timed);
  }
  for (guint i = 0; i < n_segments; i++) {
    JsonObject *segment = object_at (segments, i), *next = i + 1 < n_segments ? object_at (segments, i + 1) : NULL;
    g_autoptr (GPtrArray) tokens = split_text (derush_json_get_string (segment, "text", ""));
    double start = part->start + MAX (0, number_of (segment, "start", 0));
    double end = MIN (part->end, part->start + number_of (segment, "end", 0));
    guint n = count_within (timed, first, next ? part->start + number_of (next, "start", G_MAXDOUBLE) : G_MAXDOUBLE);
    guint before = words->len;

    if (n > 0) {
      take_spelling (timed, first, n, tokens);
      for (guint k = 0; k < n; k++)
        g_ptr_array_add (words, g_steal_pointer (&timed->pdata[first + k]));
      first += n;
    } else if (end > start) {
      estimate (tokens, start, end, speech, words);
    }
    mark_segment (words, before, words->len - before, segment);
  }
  return words;
}

/* ── Joining ────────────────────────────────────────────────────────────── */

static double
middle (const DerushWord *word)
{
  return (word->start + word->end) / 2;
}

/*
 * Both hearings have the words of the overlap, each unsure at its edge. Past a word that both have, nearest to the middle,
 * the later one is believed; if they have none in common, past the middle.
 */
void
derush_words_join (GPtrArray *words, GPtrArray *next, double start, double overlap)
{
  double centre = start + overlap / 2, nearest = HUGE_VAL;
  guint keep = words->len, from = 0;

  if (overlap > 0) {
    while (keep > 0 && middle (word_at (words, keep - 1)) >= centre)
      keep--;
    while (from < next->len && middle (word_at (next, from)) < centre)
      from++;
    for (guint i = words->len; i-- > 0 && word_at (words, i)->end > start - SAME_TIME;) {
      for (guint k = 0; k < next->len && word_at (next, k)->start < start + overlap + SAME_TIME; k++) {
        DerushWord *a = word_at (words, i), *b = word_at (next, k);
        double distance = fabs ((middle (a) + middle (b)) / 2 - centre);

        if (fabs (middle (a) - middle (b)) > SAME_TIME || distance >= nearest || !same_text (a->text, b->text))
          continue;
        nearest = distance;
        keep = i + 1;
        from = k + 1;
      }
    }
    g_ptr_array_set_size (words, (int)keep);
  }
  /* A segment that was begun goes on. */
  if (words->len == 0 && from < next->len)
    word_at (next, from)->first = TRUE;
  for (guint i = from; i < next->len; i++)
    g_ptr_array_add (words, g_steal_pointer (&next->pdata[i]));
  g_ptr_array_unref (next);
}

/* ── What nobody said ───────────────────────────────────────────────────── */

static void
remove_range (GPtrArray *words, guint first, guint n)
{
  gboolean begins = FALSE;

  for (guint i = first; i < first + n; i++)
    begins |= word_at (words, i)->first;
  g_ptr_array_remove_range (words, first, n);
  if (begins && first < words->len)
    word_at (words, first)->first = TRUE;
}

static guint
remove_silent (GPtrArray *words, const DerushSpeech *speech)
{
  guint removed = 0;

  for (guint i = words->len; i-- > 0;) {
    const DerushWord *word = word_at (words, i);

    if (derush_speech_silence (speech, word->start - SLACK, word->end + SLACK) < SILENT_SHARE)
      continue;
    remove_range (words, i, 1);
    removed++;
  }
  return removed;
}

/* Segments that their engine does not believe in. */
static guint
remove_guesses (GPtrArray *words)
{
  guint removed = 0, end = words->len;

  for (guint i = words->len; i-- > 0;) {
    double sum = 0;
    guint n = end - i;

    if (i > 0 && !word_at (words, i)->first)
      continue;
    for (guint k = i; k < end; k++)
      sum += word_at (words, k)->confidence < 0 ? 1 : word_at (words, k)->confidence;
    if (sum / n < LEAST_CONFIDENCE) {
      remove_range (words, i, n);
      removed += n;
    }
    end = i;
  }
  return removed;
}

static gboolean
same_phrase (GPtrArray *plains, guint a, guint b, guint n)
{
  if (b + n > plains->len)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (strcmp (plains->pdata[a + i], plains->pdata[b + i]) != 0)
      return FALSE;
  return TRUE;
}

static guint
remove_circles (GPtrArray *words)
{
  g_autoptr (GPtrArray) plains = g_ptr_array_new_with_free_func (g_free);
  guint removed = 0;

  for (guint i = 0; i < words->len; i++)
    g_ptr_array_add (plains, plain (word_at (words, i)->text));
  for (guint i = 0; i < words->len; i++) {
    for (guint n = 1; n <= MOST_WORDS && i + n < words->len; n++) {
      guint repeats = 1;

      while (same_phrase (plains, i, i + repeats * n, n))
        repeats++;
      if (repeats < (n == 1 ? SINGLE_REPEATS : PHRASE_REPEATS))
        continue;
      remove_range (words, i + n, (repeats - 1) * n);
      g_ptr_array_remove_range (plains, i + n, (repeats - 1) * n);
      removed += (repeats - 1) * n;
      break;
    }
  }
  return removed;
}

guint
derush_words_filter (GPtrArray *words, const DerushSpeech *speech)
{
  guint removed = remove_silent (words, speech);

  removed += remove_guesses (words);
  return removed + remove_circles (words);
}

/* ── What they become ───────────────────────────────────────────────────── */

char *
derush_words_to_text (GPtrArray *words)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < words->len; i++) {
    if (derush_text_needs_blank (text->str, word_at (words, i)->text))
      g_string_append_c (text, ' ');
    g_string_append (text, word_at (words, i)->text);
  }
  return g_string_free (text, FALSE);
}

/* Negative if it is not known of any. */
double
derush_words_get_confidence (GPtrArray *words)
{
  double sum = 0;
  guint n = 0;

  for (guint i = 0; i < words->len; i++) {
    if (word_at (words, i)->confidence < 0)
      continue;
    sum += MIN (1, word_at (words, i)->confidence);
    n++;
  }
  return n > 0 ? sum / n : -1;
}

static void
set_time (JsonObject *object, const char *name, double seconds)
{
  json_object_set_double_member (object, name, round (seconds * 1000) / 1000);
}

static void
set_confidence (JsonObject *object, double confidence)
{
  if (confidence >= 0)
    json_object_set_double_member (object, "confidence", round (confidence * 10000) / 10000);
}

static JsonObject *
segment_of (GPtrArray *words, guint first, guint end, gboolean with_words)
{
  g_autoptr (GPtrArray) own = g_ptr_array_new ();
  JsonObject *segment = json_object_new ();
  JsonArray *list = json_array_new ();
  g_autofree char *text = NULL;

  for (guint i = first; i < end; i++) {
    const DerushWord *word = word_at (words, i);
    JsonObject *item;

    g_ptr_array_add (own, (gpointer)word);
    if (!with_words || word->estimated)
      continue;
    item = json_object_new ();
    set_time (item, "start", word->start);
    set_time (item, "end", word->end);
    json_object_set_string_member (item, "word", word->text);
    set_confidence (item, word->confidence);
    json_array_add_object_element (list, item);
  }
  text = derush_words_to_text (own);
  set_time (segment, "start", word_at (words, first)->start);
  set_time (segment, "end", word_at (words, end - 1)->end);
  json_object_set_string_member (segment, "text", text);
  if (word_at (words, first)->speaker)
    json_object_set_string_member (segment, "speaker", word_at (words, first)->speaker);
  set_confidence (segment, derush_words_get_confidence (own));
  json_object_set_array_member (segment, "words", list);
  return segment;
}

JsonArray *
derush_words_to_segments (GPtrArray *words, gboolean with_words)
{
  JsonArray *segments = json_array_new ();
  guint first = 0;

  for (guint i = 1; i <= words->len; i++) {
    if (i < words->len && !word_at (words, i)->first &&
        g_strcmp0 (word_at (words, i)->speaker, word_at (words, i - 1)->speaker) == 0)
      continue;
    json_array_add_object_element (segments, segment_of (words, first, i, with_words));
    first = i;
  }
  return segments;
}
