/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Speech to text by PocketSphinx and its model of US English. */

#include "localmodels-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <pocketsphinx.h>
#include <sphinxbase/err.h>

#define RATE 16000
/* Of a word that is insulting. */
#define SURE 0.8
/* Of acoustic scores. */
#define SCORE_SCALE 1024.0
/* The search for sounds is bounded, in beams and in what it listens to. */
#define SOUNDS "sounds"
#define SOUNDS_BEAM 1e-10
#define SOUNDS_WEIGHT 2.0
#define SOUNDS_SECONDS 30

/* What was heard in a span. */
typedef struct {
  LocalSpan span;
  int score;
} Heard;

typedef struct {
  GArray *heard; /* of Heard */
  guint n_words;
  double confidence; /* sum */
  double score;      /* acoustic, sum */
  guint n_frames;    /* of words */
} Tally;

static ps_decoder_t *
open_decoder (GError **error)
{
  g_autofree char *acoustic = g_build_filename (POCKETSPHINX_MODELS, "en-us", "en-us", NULL);
  g_autofree char *language = g_build_filename (POCKETSPHINX_MODELS, "en-us", "en-us.lm.bin", NULL);
  g_autofree char *dictionary = g_build_filename (POCKETSPHINX_MODELS, "en-us", "cmudict-en-us.dict", NULL);
  ps_decoder_t *decoder = NULL;
  cmd_ln_t *settings;

  if (!g_file_test (acoustic, G_FILE_TEST_IS_DIR) || !g_file_test (language, G_FILE_TEST_EXISTS)) {
    local_set_error (error, DERUSH_ERROR_MISSING_PLUGIN, "not_installed", "model",
                     _ ("The model of US English is not installed; install the package %s"), "pocketsphinx-en-us");
    return NULL;
  }
  err_set_logfp (NULL);
  /* The mean of the whole utterance is worth ten to twenty points on short ones. Silences are kept, or the times of the
   * words after them would be early. */
  settings = cmd_ln_init (NULL, ps_args (), TRUE, "-hmm", acoustic, "-lm", language, "-dict", dictionary, "-cmn",
                          "batch", "-remove_silence", "no", "-logfn", "/dev/null", "-allphone_ci", "yes", NULL);
  if (settings) {
    decoder = ps_init (settings);
    cmd_ln_free_r (settings);
  }
  if (!decoder)
    local_set_error (error, DERUSH_ERROR_MODEL, NULL, NULL, _ ("PocketSphinx could not read its model of US English"));
  return decoder;
}

static double
round_time (double seconds)
{
  return round (seconds * 1000) / 1000;
}

/* Fillers and the marks of the ends are no words; variants are written with a number after them. */
static char *
clean_word (const char *word)
{
  if (!g_ascii_isalnum (*word) && *word != '\'')
    return NULL;
  if (*word == 'i' && strcspn (word + 1, "('") == 0)
    return g_strdup_printf ("I%.*s", (int)strcspn (word + 1, "("), word + 1);
  return g_strndup (word, strcspn (word, "("));
}

static JsonObject *
new_word (const char *text, double start, double end, double confidence)
{
  JsonObject *word = json_object_new ();

  json_object_set_string_member (word, "word", text);
  json_object_set_double_member (word, "start", round_time (start));
  json_object_set_double_member (word, "end", round_time (end));
  json_object_set_double_member (word, "confidence", round_time (CLAMP (confidence, 0, 1)));
  return word;
}

/* A recogniser that errs so often must not put insults into the mouth of people by chance. */
static gboolean
is_doubtful (const char *word, double confidence, GHashTable *guarded)
{
  return confidence < SURE && guarded && g_hash_table_contains (guarded, word);
}

/* NULL: nothing was understood. */
static JsonObject *
decode_span (ps_decoder_t *decoder, const LocalSound *sound, const LocalSpan *span, GHashTable *guarded,
             JsonArray *words, Tally *tally)
{
  Heard heard = {.span = *span};
  double offset = (double)span->start / RATE, end = (double)span->end / RATE, log_sum = 0, sum = 0;
  logmath_t *logs = ps_get_logmath (decoder);
  g_autoptr (GString) text = g_string_new (NULL);
  JsonObject *segment;
  guint first = json_array_get_length (words), n = 0;

  if (ps_start_utt (decoder) < 0)
    return NULL;
  ps_process_raw (decoder, sound->samples + span->start, span->end - span->start, FALSE, TRUE);
  ps_end_utt (decoder);
  if (ps_get_hyp (decoder, &heard.score))
    g_array_append_val (tally->heard, heard);
  for (ps_seg_t *at = ps_seg_iter (decoder); at; at = ps_seg_next (at)) {
    g_autofree char *word = clean_word (ps_seg_word (at));
    int from, to, score;
    double confidence;

    if (!word)
      continue;
    ps_seg_frames (at, &from, &to);
    confidence = logmath_exp (logs, ps_seg_prob (at, &score, NULL, NULL));
    tally->n_words++;
    tally->n_frames += (guint)(to - from + 1);
    tally->confidence += confidence;
    tally->score += score / SCORE_SCALE;
    if (is_doubtful (word, confidence, guarded))
      continue;
    if (text->len > 0)
      g_string_append_c (text, ' ');
    else if (g_ascii_islower (*word))
      *word = g_ascii_toupper (*word);
    g_string_append (text, word);
    json_array_add_object_element (
        words, new_word (word, MIN (offset + from / 100.0, end), MIN (offset + (to + 1) / 100.0, end), confidence));
    sum += confidence;
    log_sum += log (MAX (confidence, 1e-6));
    n++;
  }
  if (n == 0)
    return NULL;
  segment = json_object_new ();
  json_object_set_double_member (segment, "start",
                                 json_object_get_double_member (json_array_get_object_element (words, first), "start"));
  json_object_set_double_member (
      segment, "end", json_object_get_double_member (json_array_get_object_element (words, first + n - 1), "end"));
  json_object_set_string_member (segment, "text", text->str);
  json_object_set_double_member (segment, "confidence", round_time (sum / n));
  json_object_set_double_member (segment, "avg_logprob", round_time (log_sum / n));
  return segment;
}

static int
compare_lengths (gconstpointer a, gconstpointer b)
{
  const Heard *x = a, *y = b;
  gsize length = x->span.end - x->span.start, other = y->span.end - y->span.start;

  return length > other ? -1 : length < other;
}

/* How much better the sounds of the longest utterances are explained by sounds than by words; for each frame. */
static double
measure_gap (ps_decoder_t *decoder, const LocalSound *sound, GArray *heard, GCancellable *cancellable)
{
  g_autofree char *model = g_build_filename (POCKETSPHINX_MODELS, "en-us", "en-us-phone.lm.bin", NULL);
  cmd_ln_t *settings = ps_get_config (decoder);
  double gap = 0;
  gsize n = 0;

  cmd_ln_set_float_r (settings, "-lw", SOUNDS_WEIGHT);
  cmd_ln_set_float_r (settings, "-beam", SOUNDS_BEAM);
  cmd_ln_set_float_r (settings, "-pbeam", SOUNDS_BEAM);
  if (!g_file_test (model, G_FILE_TEST_EXISTS) || ps_set_allphone_file (decoder, SOUNDS, model) < 0 ||
      ps_set_search (decoder, SOUNDS) < 0)
    return 0;
  g_array_sort (heard, compare_lengths);
  for (guint i = 0; i < heard->len && n < SOUNDS_SECONDS * RATE && !g_cancellable_is_cancelled (cancellable); i++) {
    const Heard *one = &g_array_index (heard, Heard, i);
    int score;

    if (ps_start_utt (decoder) < 0)
      break;
    ps_process_raw (decoder, sound->samples + one->span.start, one->span.end - one->span.start, FALSE, TRUE);
    ps_end_utt (decoder);
    if (!ps_get_hyp (decoder, &score))
      continue;
    gap += score - one->score;
    n += one->span.end - one->span.start;
  }
  return n > 0 ? gap / ((double)n * 100 / RATE) : 0;
}

/* Whether what was heard is English as far as can be told. */
static gboolean
check_language (ps_decoder_t *decoder, const LocalSound *sound, GArray *spans, Tally *tally, GCancellable *cancellable,
                GError **error)
{
  LocalSpoken spoken = {.n_words = tally->n_words};

  if (tally->n_words == 0)
    return TRUE;
  spoken.confidence = tally->confidence / tally->n_words;
  spoken.cost = -tally->score / tally->n_frames;
  local_measure_quality (sound, spans, &spoken.quality);
  if (local_spoken_is_suspect (&spoken))
    spoken.gap = measure_gap (decoder, sound, tally->heard, cancellable);
  g_debug ("%u words, confidence %.2f, cost %.1f, gap %.1f, contrast %.0f dB, treble %.0f dB", spoken.n_words,
           spoken.confidence, spoken.cost, spoken.gap, spoken.quality.contrast, spoken.quality.treble);
  if (!local_spoken_is_foreign (&spoken))
    return TRUE;
  local_set_error (error, DERUSH_ERROR_UNSUPPORTED, "unsupported_language", "language",
                   _ ("The speech seems not to be English, and the local recognition knows no other language; give the "
                      "language “en” if it is, or set up a provider that knows its language: %u words, confidence "
                      "%.2f, cost %.1f, gap %.1f"),
                   spoken.n_words, spoken.confidence, spoken.cost, spoken.gap);
  return FALSE;
}

/**
 * derush_local_transcribe:
 * @request: `language` (en, or absent)
 * @input: sound
 *
 * Every utterance that local_find_speech() finds is decoded as a whole. Without a language what is clearly not English is
 * an error, `unsupported_language`.
 *
 * Returns: (nullable): `text`, `language`, `duration` (s), `segments[{start,end,text,confidence,avg_logprob}]`,
 *     `words[{word,start,end,confidence}]`
 */
JsonObject *
derush_local_transcribe (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable, GError **error)
{
  const char *asked = derush_json_get_string (request, "language", "");
  g_autofree char *language = local_language_normalise (asked);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GHashTable) guarded = local_language_load_words ("guarded", "en");
  g_autoptr (GArray) spans = NULL;
  g_auto (LocalSound) sound = {0};
  g_autoptr (GArray) heard = g_array_new (FALSE, FALSE, sizeof (Heard));
  Tally tally = {.heard = heard};
  JsonArray *segments, *words;
  ps_decoder_t *decoder = NULL;
  JsonObject *result;
  gboolean known = TRUE;

  if (*asked && g_strcmp0 (language, "en") != 0) {
    local_set_error (error, DERUSH_ERROR_UNSUPPORTED, "unsupported_language", "language",
                     _ ("The local speech recognition knows English only, not “%s”"), asked);
    return NULL;
  }
  if (!input) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "missing_required_parameter", "file", _ ("“file” is missing"));
    return NULL;
  }
  if (!local_sound_decode (input, RATE, &sound, cancellable, error))
    return NULL;
  spans = local_find_speech (&sound);
  if (spans->len > 0 && !(decoder = open_decoder (error)))
    return NULL;
  segments = json_array_new ();
  words = json_array_new ();
  for (guint i = 0; i < spans->len && !g_cancellable_is_cancelled (cancellable); i++) {
    JsonObject *segment = decode_span (decoder, &sound, &g_array_index (spans, LocalSpan, i), guarded, words, &tally);

    if (!segment)
      continue;
    g_string_append_printf (text, "%s%s", text->len > 0 ? " " : "", json_object_get_string_member (segment, "text"));
    json_array_add_object_element (segments, segment);
  }
  if (decoder && !*asked && !g_cancellable_is_cancelled (cancellable))
    known = check_language (decoder, &sound, spans, &tally, cancellable, error);
  if (decoder)
    ps_free (decoder);
  result = json_object_new ();
  json_object_set_string_member (result, "text", text->str);
  json_object_set_string_member (result, "language", "en");
  json_object_set_double_member (result, "duration", round_time ((double)sound.n / RATE));
  json_object_set_array_member (result, "segments", segments);
  json_object_set_array_member (result, "words", words);
  if (!known) {
    g_clear_pointer (&result, json_object_unref);
  } else if (g_cancellable_is_cancelled (cancellable)) {
    g_clear_pointer (&result, json_object_unref);
    local_set_error (error, DERUSH_ERROR_CANCELLED, NULL, NULL, _ ("Cancelled"));
  }
  return result;
}
