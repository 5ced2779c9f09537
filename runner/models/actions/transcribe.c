/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * What is said in the sound that the step `speech-audio` made: part by part, so that no provider's limit is reached, a
 * retry finds what was answered before, and the progress goes on.
 */

#include "models/action-private.h"
#include "models/actions/speech-private.h"
#include "models/actions/text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* Of a part, in seconds. A minute of such sound has 2 MB, a tenth of what the strictest provider takes, and even a slow
 * engine answers within the time that a step may go without progress. */
#define LONGEST_PART 60.0
/* What those get who say that this is too long: some hear half a minute at a time. */
#define SHORT_PART 28.0
/* Who speaks is known within a part only. */
#define SPEAKERS_PART 300.0
/* With more words than this only the file has them each: results are to be small. */
#define MOST_LISTED_WORDS 4000

/* Clear speech of an engine's own language is heard at 0.4 to 0.9, speech of another one below. */
#define DOUBTFUL 0.4
/* In seconds, and of the whole: with so much more in a language that no engine has than in one that is understood, the rest
 * is not asked for any more. */
#define FOREIGN_SECONDS 120.0
#define FOREIGN_SHARE 0.1

typedef struct {
  DerushModelJob *job;
  DerushSpeech *speech;
  char *wav;
  GPtrArray *words;
  GHashTable *languages; /* code → seconds, as a double */
  DerushTextTally tally;
  GArray *foreign;   /* of DerushSpan: what is said there, no engine has the language of */
  GError *refusal;   /* of the first of these */
  gboolean unheard;  /* whether nothing is told of what is said, though something is */
  double understood; /* seconds */
} Transcription;

static void
transcription_clear (Transcription *self)
{
  g_clear_pointer (&self->speech, derush_speech_free);
  g_clear_pointer (&self->words, g_ptr_array_unref);
  g_clear_pointer (&self->languages, g_hash_table_unref);
  derush_text_tally_clear (&self->tally);
  g_clear_pointer (&self->foreign, g_array_unref);
  g_clear_error (&self->refusal);
  g_free (self->wav);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Transcription, transcription_clear)

/* ── Asking ─────────────────────────────────────────────────────────────── */

/* How long each language is spoken. */
static void
note_language (Transcription *self, const char *language, const DerushPart *part)
{
  double *seconds = g_hash_table_lookup (self->languages, language);

  if (!seconds) {
    seconds = g_new0 (double, 1);
    g_hash_table_insert (self->languages, g_strdup (language), seconds);
  }
  *seconds += part->end - part->start;
}

static gboolean
wants_speakers (Transcription *self)
{
  return derush_json_get_boolean (self->job->parameters, "speakers", FALSE);
}

static JsonObject *
request_of (Transcription *self, const char *file)
{
  static const char *const members[] = {"language", "prompt", "model"};
  JsonObject *request = json_object_new ();

  json_object_set_string_member (request, "file", file);
  for (guint i = 0; i < G_N_ELEMENTS (members); i++) {
    const char *value = derush_json_get_string (self->job->parameters, members[i], NULL);

    if (value)
      json_object_set_string_member (request, members[i], value);
  }
  if (wants_speakers (self))
    json_object_set_boolean_member (request, "speakers", TRUE);
  return request;
}

/* The A of one part may be the B of the next. */
static void
name_speakers (GPtrArray *words, guint number)
{
  for (guint i = 0; number > 1 && i < words->len; i++) {
    DerushWord *word = words->pdata[i];
    char *name = word->speaker ? g_strdup_printf ("%s (%u)", word->speaker, number) : NULL;

    g_free (word->speaker);
    word->speaker = name;
  }
}

static gboolean
is_asked (Transcription *self)
{
  return *derush_json_get_string (self->job->parameters, "language", "") != '\0';
}

/* Whether nobody has the language, be it the one that was named or the one that is spoken. */
static gboolean
is_foreign (Transcription *self, const GError *error)
{
  GString *debug = self->job->context.debug;

  return derush_error_get_class (error) == DERUSH_ERROR_UNSUPPORTED && debug &&
         strstr (debug->str, "unsupported-language");
}

/* A guest or a song in another language does not keep the rest from being understood. */
static gboolean
take_refusal (Transcription *self, const DerushPart *part, GError *refusal, GError **error)
{
  DerushSpan span = {part->start, part->end};

  if (is_asked (self) || !is_foreign (self, refusal)) {
    g_propagate_error (error, refusal);
    return FALSE;
  }
  g_array_append_val (self->foreign, span);
  if (self->refusal)
    g_error_free (refusal);
  else
    self->refusal = refusal;
  return TRUE;
}

static double
foreign_seconds (Transcription *self)
{
  double seconds = 0;

  for (guint i = 0; i < self->foreign->len; i++)
    seconds += g_array_index (self->foreign, DerushSpan, i).end - g_array_index (self->foreign, DerushSpan, i).start;
  return seconds;
}

/* @most: seconds that may be more in languages that nobody has */
static gboolean
check_foreign (Transcription *self, double most, GError **error)
{
  if (!self->refusal || foreign_seconds (self) - self->understood <= most)
    return TRUE;
  g_propagate_error (error, g_error_copy (self->refusal));
  return FALSE;
}

static gboolean
hear (Transcription *self, const DerushPart *part, GError **error)
{
  g_autofree char *name = g_strdup_printf ("speech-part-%04u.wav", self->tally.n_answers + 1);
  g_autofree char *path = g_build_filename (self->job->directory, name, NULL);
  g_autoptr (JsonObject) request = request_of (self, path), answer = NULL;
  g_autoptr (GError) refusal = NULL;
  const char *language;
  GPtrArray *words;
  double confidence;

  if (!derush_wav_copy (self->wav, path, part->start, part->end, error))
    return FALSE;
  answer = derush_models_call (self->job->models, "transcribe", request, &self->job->context, self->job->cancellable,
                               &refusal);
  g_unlink (path);
  if (!answer)
    return take_refusal (self, part, g_steal_pointer (&refusal), error);
  derush_text_tally_add (&self->tally, answer);
  language = derush_json_get_string (answer, "language", "");
  words = derush_words_read (answer, self->speech, part);
  name_speakers (words, self->tally.n_answers);
  if (*language && words->len > 0)
    note_language (self, language, part);
  confidence = derush_words_get_confidence (words);
  if (words->len > 0 && (is_asked (self) || confidence < 0 || confidence >= DOUBTFUL))
    self->understood += part->end - part->start;
  derush_words_join (self->words, words, part->start, part->overlap);
  return TRUE;
}

static gboolean
transcribe_part (Transcription *self, const DerushPart *part, GError **error)
{
  g_autoptr (GArray) shorter = NULL;
  g_autoptr (GError) cause = NULL;

  if (hear (self, part, &cause))
    return TRUE;
  if (!g_error_matches (cause, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT) || part->end - part->start <= SHORT_PART) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  shorter = derush_speech_cut_part (self->speech, part, SHORT_PART);
  for (guint i = 0; i < shorter->len; i++)
    if (!hear (self, &g_array_index (shorter, DerushPart, i), error))
      return FALSE;
  return TRUE;
}

static gboolean
transcribe_parts (Transcription *self, GError **error)
{
  g_autoptr (GArray) parts = derush_speech_cut (self->speech, wants_speakers (self) ? SPEAKERS_PART : LONGEST_PART);
  double length = 0, done = 0;

  for (guint i = 0; i < parts->len; i++)
    length += g_array_index (parts, DerushPart, i).end - g_array_index (parts, DerushPart, i).start;
  for (guint i = 0; i < parts->len; i++) {
    const DerushPart *part = &g_array_index (parts, DerushPart, i);

    if (!transcribe_part (self, part, error) ||
        !check_foreign (self, MAX (FOREIGN_SECONDS, FOREIGN_SHARE * length), error))
      return FALSE;
    done += part->end - part->start;
    derush_step_request_progress (self->job->request, 0.98 * done / length);
  }
  return check_foreign (self, 0, error);
}

/* ── Answering ──────────────────────────────────────────────────────────── */

static const char *
main_language (Transcription *self)
{
  const char *asked = derush_json_get_string (self->job->parameters, "language", ""), *best = asked;
  GHashTableIter iter;
  gpointer language, seconds;
  double most = 0;

  g_hash_table_iter_init (&iter, self->languages);
  while (g_hash_table_iter_next (&iter, &language, &seconds)) {
    double length = *(double *)seconds;

    if (length > most || (length == most && strcmp (language, best) < 0)) {
      most = length;
      best = language;
    }
  }
  return best;
}

/* An engine that knows one language takes every sound for it: what it then hears are words that it hardly believes itself. */
static void
warn_of_guesses (Transcription *self)
{
  double confidence = derush_words_get_confidence (self->words);
  g_autofree char *message = NULL;

  if (is_asked (self) || confidence < 0 || confidence >= DOUBTFUL)
    return;
  message = g_strdup_printf (_ ("The words are doubtful, at a confidence of %.2f: they were taken for the language %s; "
                                "give the job's language if it is another"),
                             confidence, main_language (self));
  derush_step_request_warn (self->job->request, message);
}

static void
warn_of_foreign (Transcription *self)
{
  g_autoptr (GString) times = g_string_new (NULL);
  g_autofree char *message = NULL;

  for (guint i = 0; i < self->foreign->len; i++)
    g_string_append_printf (times, "%s%.1f–%.1f s", i > 0 ? ", " : "",
                            g_array_index (self->foreign, DerushSpan, i).start,
                            g_array_index (self->foreign, DerushSpan, i).end);
  if (self->foreign->len == 0)
    return;
  message = g_strdup_printf (_ ("Parts were left out, because no engine has their language: %s; %s"), times->str,
                             self->refusal->message);
  derush_step_request_warn (self->job->request, message);
}

static JsonArray *
list_speakers (GPtrArray *words)
{
  JsonArray *speakers = json_array_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < words->len; i++) {
    const DerushWord *word = words->pdata[i];

    if (word->speaker && g_hash_table_add (seen, word->speaker))
      json_array_add_string_element (speakers, word->speaker);
  }
  return speakers;
}

static gboolean
knows_speakers (GPtrArray *words)
{
  for (guint i = 0; i < words->len; i++)
    if (((DerushWord *)words->pdata[i])->speaker)
      return TRUE;
  return FALSE;
}

/* What the result and the JSON file have in common. */
static JsonObject *
describe (Transcription *self, gboolean with_words)
{
  JsonObject *object = json_object_new ();
  g_autofree char *text = derush_words_to_text (self->words);
  double confidence = derush_words_get_confidence (self->words);

  json_object_set_string_member (object, "text", text);
  json_object_set_string_member (object, "language", main_language (self));
  json_object_set_double_member (object, "duration", round (self->speech->duration * 1000) / 1000);
  json_object_set_string_member (object, "engine", self->tally.engine ? self->tally.engine : "");
  json_object_set_string_member (object, "provider", self->tally.provider ? self->tally.provider : "");
  json_object_set_double_member (object, "confidence", confidence < 0 ? 0 : round (confidence * 10000) / 10000);
  json_object_set_array_member (object, "speakers", list_speakers (self->words));
  json_object_set_array_member (object, "segments", derush_words_to_segments (self->words, with_words));
  return object;
}

static gboolean
write_file (Transcription *self, JsonObject *files, const char *extension, const char *text, GError **error)
{
  g_autofree char *name =
      g_strdup_printf ("%s.%s", derush_json_get_string (self->job->parameters, "name", "transcript"), extension);
  g_autofree char *path = g_build_filename (self->job->directory, name, NULL);

  json_object_set_string_member (files, extension, name);
  return derush_file_write_atomically (path, text, -1, error);
}

static gboolean
write_files (Transcription *self, DerushSubtitles *cues, JsonObject *files, GError **error)
{
  static const DerushSubtitleFormat formats[] = {DERUSH_SUBTITLES_SRT, DERUSH_SUBTITLES_VTT, DERUSH_SUBTITLES_ASS};
  g_autoptr (JsonObject) whole = describe (self, TRUE);
  g_autofree char *json = NULL, *plain = derush_words_to_text (self->words);
  g_autofree char *text = g_strdup_printf ("%s%s", plain, *plain ? "\n" : "");

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *written = derush_subtitles_write (cues, formats[i]);

    if (!write_file (self, files, derush_subtitle_format_to_string (formats[i]), written, error))
      return FALSE;
  }
  json_object_set_array_member (whole, "cues", derush_subtitles_to_json (cues));
  json = derush_json_object_to_string (whole);
  return write_file (self, files, "json", json, error) && write_file (self, files, "txt", text, error);
}

static JsonObject *
finish (Transcription *self, guint removed, GError **error)
{
  g_autoptr (DerushSubtitles) cues = derush_cues_new (self->words, &derush_cue_layout_default);
  g_autoptr (JsonObject) files = json_object_new ();
  JsonObject *result;

  cues->language = g_strdup (main_language (self));
  cues->title = g_strdup (derush_json_get_string (self->job->parameters, "name", NULL));
  if (cues->title && !write_files (self, cues, files, error))
    return NULL;
  result = describe (self, self->words->len <= MOST_LISTED_WORDS);
  json_object_set_array_member (result, "cues", derush_subtitles_to_json (cues));
  json_object_set_object_member (result, "files", g_steal_pointer (&files));
  json_object_set_int_member (result, "parts", self->tally.n_answers);
  json_object_set_int_member (result, "removedWords", removed);
  if (self->unheard)
    json_object_set_boolean_member (result, "unheard", TRUE);
  derush_text_tally_sign (&self->tally, result);
  return result;
}

static DerushSpeech *
read_speech (DerushModelJob *job, JsonObject *sound, GError **error)
{
  g_autofree char *path =
                      g_build_filename (job->directory, derush_json_get_string (sound, "data", "speech.json"), NULL),
                  *text = NULL;
  g_autoptr (JsonObject) data = NULL;
  DerushSpeech *speech = NULL;

  if (g_file_get_contents (path, &text, NULL, NULL))
    data = derush_json_parse_object (text, -1, NULL);
  if (data)
    speech = derush_speech_new (data);
  if (!speech)
    g_set_error_literal (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL,
                         _ ("The step “speech-audio” left no description of the sound"));
  return speech;
}

/*
 * Where the text is only a part of what was asked for, the rest is done without it.
 *
 * Returns: whether to go on with the words that there are
 */
static gboolean
do_without (Transcription *self, GError *failure, GError **error)
{
  g_autofree char *message = NULL;

  if (!derush_json_get_boolean (self->job->parameters, "optional", FALSE) || !is_foreign (self, failure)) {
    g_propagate_error (error, failure);
    return FALSE;
  }
  message = g_strdup_printf (_ ("What is said is left out (unsupported-language): %s"), failure->message);
  derush_step_request_warn (self->job->request, message);
  g_error_free (failure);
  self->unheard = TRUE;
  g_ptr_array_set_size (self->words, 0);
  g_hash_table_remove_all (self->languages);
  return TRUE;
}

/*
 * Parameters: language, prompt, model, name, which the files begin with (without it there are none), and optional: whether
 * a language that no engine has is an empty text and a warning. Needs the result of `speech-audio`.
 */
JsonObject *
derush_action_transcribe (DerushModelJob *job, GError **error)
{
  JsonObject *sound = derush_json_get_object (job->results, "speech-audio");
  g_auto (Transcription) self = {.job = job, .tally = {.started = g_get_monotonic_time ()}};
  g_autoptr (GError) failure = NULL;
  guint removed;

  self.speech = read_speech (job, sound, error);
  if (!self.speech)
    return NULL;
  self.wav = g_build_filename (job->directory, derush_json_get_string (sound, "file", "speech.wav"), NULL);
  self.words = derush_words_new ();
  self.languages = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self.foreign = g_array_new (FALSE, FALSE, sizeof (DerushSpan));
  if (!transcribe_parts (&self, &failure))
    return do_without (&self, g_steal_pointer (&failure), error) ? finish (&self, 0, error) : NULL;
  warn_of_foreign (&self);
  removed = derush_words_filter (self.words, self.speech);
  if (self.words->len == 0)
    derush_step_request_warn (job->request, _ ("No words were recognised in the sound"));
  else
    warn_of_guesses (&self);
  if (self.words->len > 0 && wants_speakers (&self) && !knows_speakers (self.words))
    derush_step_request_warn (job->request,
                              _ ("Who speaks is not known: no engine that was asked tells speakers apart"));
  else if (wants_speakers (&self) && self.tally.n_answers > 1)
    derush_step_request_warn (job->request, _ ("Speakers are told apart within parts of the sound: the same one has "
                                               "another name in each of them"));
  return finish (&self, removed, error);
}
