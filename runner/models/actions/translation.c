/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Translation of many texts: in batches, each text checked for what has to stay as it is. A text that loses some of it is
 * translated alone, then piece by piece around what has to stay, which can lose nothing.
 */

#include "models/actions/text-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* Of one request. */
#define BATCH_TEXTS 40
#define BATCH_BYTES 4000
/* A longer text is cut at the ends of sentences. */
#define TEXT_BYTES 2500
#define LINE_LENGTH 42

/* What stays as it is: of templates, of printf, tags, addresses and entities. */
#define KEPT                                                                                                           \
  "\\{\\{[^{}]*\\}\\}|\\$\\{[^{}]*\\}|\\{\\\\[^{}]*\\}|\\{[A-Za-z0-9_.$:-]*\\}|"                                       \
  "%(?:\\d+\\$)?[-+#0]*\\d*(?:\\.\\d+)?(?:ll?|h)?[sdiufxXc@](?![A-Za-z])|%%|"                                          \
  "</?[A-Za-z][^<>]*>|https?://[^\\s<>]+|&(?:[A-Za-z]+|#\\d+);"
/* What may stand around a text and is none of its business. */
#define EDGE "(?:\\s|" KEPT "|^[-–—]\\s*|[♪♫#]+)*"

typedef struct {
  guint owner; /* which of the texts it belongs to */
  char *head, *core, *tail;
  char *done; /* NULL: not translated yet */
} Unit;

typedef struct {
  DerushTranslation *translation;
  GPtrArray *units; /* Unit */
  GRegex *kept;     /* what has to stay */
  GRegex *pieces;   /* that, and the terms of the glossary */
  guint n_pending;  /* units that have to be translated */
  guint failures;   /* texts in a row that nobody translated */
} Work;

static void
unit_free (Unit *unit)
{
  g_free (unit->head);
  g_free (unit->core);
  g_free (unit->tail);
  g_free (unit->done);
  g_free (unit);
}

static void
work_clear (Work *work)
{
  g_clear_pointer (&work->units, g_ptr_array_unref);
  g_clear_pointer (&work->kept, g_regex_unref);
  g_clear_pointer (&work->pieces, g_regex_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Work, work_clear)

/* ── Texts into units ───────────────────────────────────────────────────── */

static gboolean
has_letters (const char *text)
{
  for (const char *p = text; *p; p = g_utf8_next_char (p))
    if (g_unichar_isalpha (g_utf8_get_char (p)))
      return TRUE;
  return FALSE;
}

static gboolean
ends_sentence (gunichar c)
{
  return c == '.' || c == '!' || c == '?' || c == 0x2026 || c == 0x3002 || c == 0xFF01 || c == 0xFF1F;
}

/* Where the piece of @text ends that is asked for at once. */
static const char *
find_end (const char *text)
{
  const char *last = NULL, *blank = NULL, *p;

  if (strlen (text) <= TEXT_BYTES)
    return text + strlen (text);
  for (p = text; *p && p - text < TEXT_BYTES; p = g_utf8_next_char (p)) {
    const char *next = g_utf8_next_char (p);

    if (g_unichar_isspace (g_utf8_get_char (p)))
      blank = next;
    if (ends_sentence (g_utf8_get_char (p)) && g_unichar_isspace (g_utf8_get_char (next)))
      last = next;
  }
  return last ? last : blank ? blank : p;
}

static void
add_unit (Work *work, guint owner, const char *text, gsize length)
{
  g_autofree char *piece = g_strndup (text, length), *bare = NULL;
  g_autoptr (GRegex) edges = g_regex_new ("^(" EDGE ")(.*?)((?:\\s|" KEPT "|[♪♫#]+)*)$", G_REGEX_DOTALL, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  Unit *unit = g_new0 (Unit, 1);

  unit->owner = owner;
  if (g_regex_match (edges, piece, 0, &match)) {
    unit->head = g_match_info_fetch (match, 1);
    unit->core = g_match_info_fetch (match, 2);
    unit->tail = g_match_info_fetch (match, 3);
  } else {
    unit->head = g_strdup ("");
    unit->core = g_strdup (piece);
    unit->tail = g_strdup ("");
  }
  bare = g_regex_replace_literal (work->kept, unit->core, -1, 0, "", 0, NULL);
  if (!has_letters (bare))
    unit->done = g_strdup (unit->core);
  else
    work->n_pending++;
  g_ptr_array_add (work->units, unit);
}

static int
compare_longest (gconstpointer a, gconstpointer b)
{
  gsize one = strlen (*(const char *const *)a), two = strlen (*(const char *const *)b);

  return (two > one) - (two < one);
}

static GRegex *
piece_regex (JsonObject *glossary)
{
  g_autoptr (GString) pattern = g_string_new (KEPT);
  g_autoptr (GPtrArray) terms = g_ptr_array_new ();
  JsonObjectIter iter;
  const char *term;

  if (glossary) {
    json_object_iter_init (&iter, glossary);
    while (json_object_iter_next (&iter, &term, NULL))
      g_ptr_array_add (terms, (gpointer)term);
  }
  /* The longest first: “Blue Moon Café” before “Blue Moon”. */
  g_ptr_array_sort (terms, compare_longest);
  for (guint i = 0; i < terms->len; i++) {
    g_autofree char *escaped = g_regex_escape_string (terms->pdata[i], -1);

    g_string_append_printf (pattern, "|(?<![\\p{L}\\p{N}])(?i:%s)(?![\\p{L}\\p{N}])", escaped);
  }
  return g_regex_new (pattern->str, G_REGEX_OPTIMIZE, 0, NULL);
}

/* What a piece that has to stay becomes: itself, or the translation of the term. */
static const char *
replacement_of (Work *work, const char *piece)
{
  JsonObject *glossary = work->translation->glossary;
  JsonObjectIter iter;
  const char *term;
  g_autofree char *folded = g_utf8_casefold (piece, -1);

  if (!glossary || g_regex_match (work->kept, piece, G_REGEX_MATCH_ANCHORED, NULL))
    return piece;
  json_object_iter_init (&iter, glossary);
  while (json_object_iter_next (&iter, &term, NULL)) {
    g_autofree char *same = g_utf8_casefold (term, -1);

    if (strcmp (same, folded) == 0)
      return derush_json_get_string (glossary, term, piece);
  }
  return piece;
}

/* ── Checking ───────────────────────────────────────────────────────────── */

static GPtrArray *
list_matches (GRegex *regex, const char *text)
{
  GPtrArray *found = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GMatchInfo) match = NULL;

  g_regex_match (regex, text, 0, &match);
  while (g_match_info_matches (match)) {
    g_ptr_array_add (found, g_match_info_fetch (match, 0));
    g_match_info_next (match, NULL);
  }
  return found;
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

static gboolean
same_placeholders (Work *work, const char *source, const char *target)
{
  g_autoptr (GPtrArray) before = list_matches (work->kept, source), after = list_matches (work->kept, target);

  if (before->len != after->len)
    return FALSE;
  g_ptr_array_sort (before, compare_texts);
  g_ptr_array_sort (after, compare_texts);
  for (guint i = 0; i < before->len; i++)
    if (strcmp (before->pdata[i], after->pdata[i]) != 0)
      return FALSE;
  return TRUE;
}

static gboolean
has_terms (Work *work, const char *source, const char *target)
{
  g_autoptr (GPtrArray) pieces = NULL;
  g_autofree char *folded = g_utf8_casefold (target, -1);

  if (!work->translation->glossary)
    return TRUE;
  pieces = list_matches (work->pieces, source);
  for (guint i = 0; i < pieces->len; i++) {
    g_autofree char *wanted = g_utf8_casefold (replacement_of (work, pieces->pdata[i]), -1);

    if (!strstr (folded, wanted))
      return FALSE;
  }
  return TRUE;
}

/* Signs that only Spanish and its neighbours have before a question: rules leave them in other languages. */
static char *
tidy (Work *work, const char *text)
{
  static const char *const with_signs[] = {"es", "gl", "ast", NULL};
  g_auto (GStrv) parts = g_strsplit_set (work->translation->target, "-_", 2);
  g_autoptr (GString) tidied = g_string_new (text);

  if (!g_strv_contains (with_signs, parts[0])) {
    g_string_replace (tidied, "¿", "", 0);
    g_string_replace (tidied, "¡", "", 0);
  }
  return g_strstrip (g_strdup (tidied->str));
}

static gboolean
is_whole (Work *work, const char *source, const char *target)
{
  return target && has_letters (target) && same_placeholders (work, source, target) && has_terms (work, source, target);
}

/* ── Asking ─────────────────────────────────────────────────────────────── */

static JsonObject *
request_for (DerushTranslation *translation, GPtrArray *texts)
{
  JsonObject *request = json_object_new ();
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < texts->len; i++)
    json_array_add_string_element (list, texts->pdata[i]);
  json_object_set_array_member (request, "texts", list);
  if (translation->source)
    json_object_set_string_member (request, "source", translation->source);
  json_object_set_string_member (request, "target", translation->target);
  if (translation->formality && strcmp (translation->formality, "NEUTRAL") != 0)
    json_object_set_string_member (request, "formality", translation->formality);
  if (translation->glossary)
    json_object_set_object_member (request, "glossary", json_object_ref (translation->glossary));
  if (translation->context)
    json_object_set_string_member (request, "context", translation->context);
  if (translation->tone)
    json_object_set_string_member (request, "tone", translation->tone);
  if (translation->model)
    json_object_set_string_member (request, "model", translation->model);
  return request;
}

/* Returns: (transfer full) (nullable) (element-type utf8): as many as @texts; %NULL is what was left out */
static GPtrArray *
ask (Work *work, GPtrArray *texts, GError **error)
{
  DerushTranslation *translation = work->translation;
  g_autoptr (JsonObject) request = request_for (translation, texts), answer = NULL;
  g_autoptr (GPtrArray) translated = g_ptr_array_new_with_free_func (g_free);
  const char *source;
  JsonArray *list;

  answer = translation->ask ("translate", request, translation->ask_data, error);
  if (!answer)
    return NULL;
  derush_text_tally_add (translation->tally, answer);
  list = derush_json_get_array (answer, "texts");
  for (guint i = 0; list && i < json_array_get_length (list); i++) {
    JsonNode *node = json_array_get_element (list, i);
    gboolean text = JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING;

    g_ptr_array_add (translated, text ? tidy (work, json_node_get_string (node)) : NULL);
  }
  if (translated->len != texts->len) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("The model answered %u translations of %u texts"),
                 translated->len, texts->len);
    return NULL;
  }
  source = derush_json_get_string (answer, "source", NULL);
  if (!translation->source && source && *source) {
    translation->source = g_strdup (source);
    translation->doubtful = derush_json_get_boolean (answer, "doubtful", FALSE);
  }
  return g_steal_pointer (&translated);
}

static char *
ask_alone (Work *work, const char *text, GError **error)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new (), translated = NULL;

  g_ptr_array_add (texts, (gpointer)text);
  translated = ask (work, texts, error);
  return translated ? g_strdup (translated->pdata[0]) : NULL;
}

static GPtrArray *
ask_units (Work *work, Unit *const *units, guint n, GError **error)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new ();

  for (guint i = 0; i < n; i++)
    g_ptr_array_add (texts, units[i]->core);
  return ask (work, texts, error);
}

/* ── Piece by piece ─────────────────────────────────────────────────────── */

/* A blank at the edge of a piece stays there, whatever the model makes of it. */
static void
append_between (GString *text, const char *source, const char *translated)
{
  const char *p = source, *end = source + strlen (source);

  while (*p && g_unichar_isspace (g_utf8_get_char (p)))
    p = g_utf8_next_char (p);
  g_string_append_len (text, source, p - source);
  g_string_append (text, translated);
  while (end > p && g_ascii_isspace (end[-1]))
    end--;
  g_string_append (text, end);
}

static char *
translate_pieces (Work *work, const char *text, GError **error)
{
  g_autoptr (GPtrArray) between = g_ptr_array_new_with_free_func (g_free), sent = g_ptr_array_new (), got = NULL,
                        kept = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GMatchInfo) match = NULL;
  g_autoptr (GString) joined = g_string_new (NULL);
  int from = 0, start, end;
  guint next = 0;

  g_regex_match (work->pieces, text, 0, &match);
  while (g_match_info_matches (match) && g_match_info_fetch_pos (match, 0, &start, &end)) {
    g_ptr_array_add (between, g_strndup (text + from, start - from));
    g_ptr_array_add (kept, g_match_info_fetch (match, 0));
    from = end;
    g_match_info_next (match, NULL);
  }
  g_ptr_array_add (between, g_strdup (text + from));
  for (guint i = 0; i < between->len; i++)
    if (has_letters (between->pdata[i]))
      g_ptr_array_add (sent, between->pdata[i]);
  if (sent->len > 0 && !(got = ask (work, sent, error)))
    return NULL;
  for (guint i = 0; got && i < got->len; i++)
    if (!got->pdata[i])
      return g_strdup ("");
  for (guint i = 0; i < between->len; i++) {
    if (has_letters (between->pdata[i]))
      append_between (joined, between->pdata[i], got->pdata[next++]);
    else
      g_string_append (joined, between->pdata[i]);
    if (i < kept->len)
      g_string_append (joined, replacement_of (work, kept->pdata[i]));
  }
  return g_strdup (joined->str);
}

/* What nobody has to ask again for: the job ends, or no text at all can be translated. */
static gboolean
is_final (Work *work, const GError *error)
{
  return derush_error_get_class (error) != DERUSH_ERROR_MODEL || derush_error_get_retry_at (error) > 0 ||
         work->failures >= 2;
}

/* The text alone: as a whole, then in pieces, then as it was. Returns: FALSE if there is no sense in going on */
static gboolean
repair (Work *work, Unit *unit, gboolean again, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autofree char *text = again ? ask_alone (work, unit->core, &failure) : NULL;

  if (!failure && !is_whole (work, unit->core, text) && g_regex_match (work->pieces, unit->core, 0, NULL)) {
    g_free (text);
    text = translate_pieces (work, unit->core, &failure);
  }
  if (!failure && is_whole (work, unit->core, text)) {
    unit->done = g_steal_pointer (&text);
    work->failures = 0;
    return TRUE;
  }
  if (failure) {
    work->failures++;
    if (is_final (work, failure)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  }
  work->translation->kept++;
  unit->done = g_strdup (unit->core);
  return TRUE;
}

/* ── Batches ────────────────────────────────────────────────────────────── */

static gboolean translate_batch (Work *work, Unit *const *units, guint n, GError **error);

/* An answer that is cut, refused for one of its texts or misses some: the halves are asked for, down to that text. */
static gboolean
translate_halves (Work *work, Unit *const *units, guint n, GError *failure, GError **error)
{
  if (n == 1 && work->n_pending > 1) {
    gboolean final;

    work->failures++;
    final = is_final (work, failure);
    if (final) {
      g_propagate_error (error, failure);
      return FALSE;
    }
    g_error_free (failure);
    return repair (work, units[0], FALSE, error);
  }
  if (n == 1 || is_final (work, failure)) {
    g_propagate_error (error, failure);
    return FALSE;
  }
  g_error_free (failure);
  return translate_batch (work, units, n / 2, error) && translate_batch (work, units + n / 2, n - n / 2, error);
}

/* Takes what kept everything. Returns: (transfer container) (element-type Unit): the others */
static GPtrArray *
take_whole (Work *work, Unit *const *units, guint n, GPtrArray *translated)
{
  GPtrArray *others = g_ptr_array_new ();

  for (guint i = 0; i < n; i++) {
    if (is_whole (work, units[i]->core, translated->pdata[i]))
      units[i]->done = g_strdup (translated->pdata[i]);
    else
      g_ptr_array_add (others, units[i]);
  }
  return others;
}

/* Only the texts that were left out, or lost something, are asked for again: together, then alone. */
static gboolean
translate_batch (Work *work, Unit *const *units, guint n, GError **error)
{
  g_autoptr (GPtrArray) translated = NULL, others = NULL, again = NULL, left = NULL;
  GError *failure = NULL;

  translated = ask_units (work, units, n, &failure);
  if (!translated)
    return translate_halves (work, units, n, failure, error);
  others = take_whole (work, units, n, translated);
  work->translation->intact += n - others->len;
  if (others->len < n)
    work->failures = 0;
  if (others->len > 1 && others->len < n) {
    again = ask_units (work, (Unit **)others->pdata, others->len, &failure);
    if (!again && is_final (work, failure)) {
      g_propagate_error (error, failure);
      return FALSE;
    }
    g_clear_error (&failure);
  }
  left = again ? take_whole (work, (Unit **)others->pdata, others->len, again) : g_ptr_array_ref (others);
  for (guint i = 0; i < left->len; i++)
    if (!repair (work, left->pdata[i], n > 1, error))
      return FALSE;
  return TRUE;
}

static gboolean
translate_units (Work *work, GError **error)
{
  DerushTranslation *translation = work->translation;
  g_autoptr (GPtrArray) batch = g_ptr_array_new ();
  gsize bytes = 0;

  for (guint i = 0; i < work->units->len; i++) {
    Unit *unit = work->units->pdata[i];

    if (!unit->done) {
      g_ptr_array_add (batch, unit);
      bytes += strlen (unit->core);
    }
    if (batch->len > 0 && (batch->len >= BATCH_TEXTS || bytes >= BATCH_BYTES || i + 1 == work->units->len)) {
      if (!translate_batch (work, (Unit **)batch->pdata, batch->len, error))
        return FALSE;
      g_ptr_array_set_size (batch, 0);
      bytes = 0;
      if (translation->progress)
        translation->progress (i + 1, work->units->len, translation->ask_data);
    }
  }
  return TRUE;
}

GPtrArray *
derush_translate_texts (DerushTranslation *translation, GPtrArray *texts, GError **error)
{
  g_auto (Work) work = {.translation = translation,
                        .units = g_ptr_array_new_with_free_func ((GDestroyNotify)unit_free),
                        .kept = g_regex_new (KEPT, G_REGEX_OPTIMIZE, 0, NULL),
                        .pieces = piece_regex (translation->glossary)};
  g_autoptr (GPtrArray) joined = NULL;

  for (guint i = 0; i < texts->len; i++) {
    const char *p = texts->pdata[i];

    do {
      const char *end = find_end (p);

      add_unit (&work, i, p, end - p);
      p = end;
    } while (*p);
  }
  translation->n_texts += work.n_pending;
  if (!translate_units (&work, error))
    return NULL;
  joined = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0, u = 0; i < texts->len; i++) {
    g_autoptr (GString) text = g_string_new (NULL);

    for (; u < work.units->len && ((Unit *)work.units->pdata[u])->owner == i; u++) {
      const Unit *unit = work.units->pdata[u];

      g_string_append_printf (text, "%s%s%s", unit->head, unit->done, unit->tail);
    }
    g_ptr_array_add (joined, g_strdup (text->str));
  }
  return g_steal_pointer (&joined);
}

/* ── Subtitles ──────────────────────────────────────────────────────────── */

/* Two people speak: each has a line. */
static gboolean
is_dialogue (GStrv lines)
{
  for (guint i = 0; lines[i]; i++)
    if (!g_regex_match_simple ("^\\s*(?:<[^<>]*>|\\{\\\\[^{}]*\\})*\\s*[-–—]", lines[i], 0, 0))
      return FALSE;
  return lines[0] && lines[1];
}

static guint
longest_line (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  guint longest = 0;

  for (guint i = 0; lines[i]; i++)
    longest = MAX (longest, derush_subtitle_line_length (lines[i]));
  return longest;
}

static int
compare_lengths (gconstpointer a, gconstpointer b)
{
  guint one = *(const guint *)a, two = *(const guint *)b;

  return (one > two) - (one < two);
}

/* What nearly every cue keeps to: some line that is far longer is an accident. */
static guint
usual_length (const DerushSubtitles *subtitles)
{
  g_autoptr (GArray) lengths = g_array_new (FALSE, FALSE, sizeof (guint));
  guint n = subtitles->cues->len;

  for (guint i = 0; i < n; i++) {
    guint length = longest_line (((DerushSubtitle *)subtitles->cues->pdata[i])->text);

    g_array_append_val (lengths, length);
  }
  g_array_sort (lengths, compare_lengths);
  return n > 0 ? MAX (LINE_LENGTH, g_array_index (lengths, guint, (19 * (n - 1) + 19) / 20)) : LINE_LENGTH;
}

/* Of ASS: lines and curves are no words. */
static gboolean
is_drawing (const DerushSubtitles *subtitles, const DerushSubtitle *cue)
{
  return subtitles->format == DERUSH_SUBTITLES_ASS && g_regex_match_simple ("\\{[^{}]*\\\\p[1-9]", cue->text, 0, 0);
}

/* Entities would be asked for as if they were placeholders; what they stand for is a letter like any other. */
static char *
open_entities (const DerushSubtitles *subtitles, const char *text)
{
  static const char *const entities[][2] = {
      {"&nbsp;", "\xC2\xA0"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&apos;", "'"}, {"&amp;", "&"}};
  g_autoptr (GString) opened = g_string_new (text);

  for (guint i = 0; subtitles->format == DERUSH_SUBTITLES_VTT && i < G_N_ELEMENTS (entities); i++)
    g_string_replace (opened, entities[i][0], entities[i][1], 0);
  return g_strdup (opened->str);
}

static char *
close_entities (const DerushSubtitles *subtitles, const char *text)
{
  g_autoptr (GRegex) bare = NULL, angle = NULL;
  g_autofree char *closed = NULL;

  if (subtitles->format != DERUSH_SUBTITLES_VTT)
    return g_strdup (text);
  bare = g_regex_new ("&(?!(?:lt|gt|lrm|rlm|#\\d+);)", 0, 0, NULL);
  angle = g_regex_new ("<(?!/?[A-Za-z][^<>]*>|[\\d:.]+>)", 0, 0, NULL);
  closed = g_regex_replace_literal (bare, text, -1, 0, "&amp;", 0, NULL);
  return g_regex_replace_literal (angle, closed, -1, 0, "&lt;", 0, NULL);
}

gboolean
derush_translate_subtitles (DerushTranslation *translation, DerushSubtitles *subtitles, guint length, GError **error)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free), translated = NULL;
  gboolean plain = subtitles->format == DERUSH_SUBTITLES_TEXT;
  guint next = 0, usual = 0;

  if (length == 0)
    usual = usual_length (subtitles);
  for (guint i = 0; i < subtitles->cues->len; i++) {
    const DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_autofree char *opened = open_entities (subtitles, cue->text);
    g_auto (GStrv) lines = g_strsplit (opened, "\n", -1);

    if (is_drawing (subtitles, cue))
      continue;
    if (is_dialogue (lines))
      for (guint k = 0; lines[k]; k++)
        g_ptr_array_add (texts, g_strdup (lines[k]));
    else
      g_ptr_array_add (texts, g_strjoinv (" ", lines));
  }
  translated = derush_translate_texts (translation, texts, error);
  if (!translated)
    return FALSE;
  for (guint i = 0; i < subtitles->cues->len; i++) {
    DerushSubtitle *cue = subtitles->cues->pdata[i];
    g_auto (GStrv) lines = g_strsplit (cue->text, "\n", -1);
    guint n = g_strv_length (lines), limit = length > 0 ? length : MAX (usual, longest_line (cue->text));
    g_autoptr (GString) text = g_string_new (NULL);

    if (is_drawing (subtitles, cue))
      continue;
    if (is_dialogue (lines)) {
      for (guint k = 0; k < n; k++) {
        g_autofree char *line = derush_subtitle_wrap (translated->pdata[next++], 1, limit);

        g_string_append_printf (text, "%s%s", k > 0 ? "\n" : "", line);
      }
    } else if (plain || !*cue->text) {
      g_string_append (text, translated->pdata[next++]);
    } else {
      g_autofree char *wrapped = derush_subtitle_wrap (translated->pdata[next++], n, limit);

      g_string_append (text, wrapped);
    }
    g_free (cue->text);
    cue->text = close_entities (subtitles, text->str);
  }
  return TRUE;
}
