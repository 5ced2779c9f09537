/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* TRANSLATION: a text, cues, a file of subtitles or what a film says, into each of the languages asked for. */

#include "models/actions/text-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

#define MAX_FILE (32 * 1024 * 1024)
/* Of the original in the result: it is the caller's own. */
#define MAX_ORIGINAL 20000

/* ── The material ───────────────────────────────────────────────────────── */

static DerushSubtitles *
read_file (DerushModelJob *job, GError **error)
{
  const DerushStepInput *source = derush_step_request_get_input (job->request, "source");
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  DerushSubtitles *subtitles;
  guint8 buffer[16384];
  gssize n = -1;

  if (!source) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_INTERNAL, _ ("The file of subtitles was not handed over"));
    return NULL;
  }
  while (bytes->len <= MAX_FILE && (n = pread (source->fd, buffer, sizeof buffer, bytes->len)) > 0)
    g_byte_array_append (bytes, buffer, (guint)n);
  if (n < 0) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE, _ ("The subtitles %s cannot be read: %s"),
                 source->display, g_strerror (errno));
    return NULL;
  }
  if (bytes->len > MAX_FILE) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The subtitles %s are longer than %d MiB; is it a film?"), source->display, MAX_FILE >> 20);
    return NULL;
  }
  g_byte_array_append (bytes, (const guint8 *)"", 1);
  subtitles = derush_subtitles_parse ((const char *)bytes->data, bytes->len - 1, error);
  if (subtitles && subtitles->encoding)
    derush_text_warn (job, _ ("The subtitles %s are not in UTF-8: they were read as %s"), source->display,
                      subtitles->encoding);
  return subtitles;
}

static DerushSubtitles *
from_cues (JsonArray *cues)
{
  DerushSubtitles *subtitles = derush_subtitles_new (DERUSH_SUBTITLES_JSON);

  for (guint i = 0; cues && i < json_array_get_length (cues); i++) {
    JsonObject *cue = json_array_get_object_element (cues, i);

    derush_subtitles_add (subtitles, derush_json_get_number (cue, "start", 0), derush_json_get_number (cue, "end", 0),
                          derush_json_get_string (cue, "text", ""))
        ->speaker = g_strdup (derush_json_get_string (cue, "speaker", NULL));
  }
  return subtitles;
}

static DerushSubtitles *
read_material (DerushModelJob *job, GError **error)
{
  JsonObject *parameters = job->parameters;
  const char *text = derush_json_get_string (parameters, "text", NULL);
  g_autoptr (JsonObject) transcript = NULL;
  JsonArray *cues;

  if (text)
    return derush_subtitles_parse (text, strlen (text), error);
  if (derush_json_get_array (parameters, "cues")) {
    if (json_array_get_length (derush_json_get_array (parameters, "cues")) == 0)
      derush_text_warn (job, "%s", _ ("There are no words, so there is nothing to translate"));
    return from_cues (derush_json_get_array (parameters, "cues"));
  }
  if (derush_json_get_boolean (parameters, "subtitles", FALSE))
    return read_file (job, error);
  /* Its cues can be read in their time; segments may last half a minute. */
  cues = derush_json_get_array (derush_json_get_object (job->results, "transcribe"), "cues");
  if (cues && json_array_get_length (cues) > 0)
    return from_cues (cues);
  transcript = derush_text_transcript (job);
  if (!transcript)
    derush_text_warn (job, "%s", _ ("Nothing is said in the film, so there is nothing to translate"));
  return from_cues (derush_json_get_array (transcript, "segments"));
}

/* ── One language ───────────────────────────────────────────────────────── */

typedef struct {
  DerushModelJob *job;
  guint language, n_languages;
} Progress;

static JsonObject *
ask (const char *task, JsonObject *request, gpointer user_data, GError **error)
{
  Progress *progress = user_data;

  return derush_text_ask (task, request, progress->job, error);
}

static void
on_progress (guint done, guint all, gpointer user_data)
{
  Progress *progress = user_data;

  if (progress->job->request)
    derush_step_request_progress (progress->job->request,
                                  (progress->language + (double)done / MAX (all, 1)) / progress->n_languages);
}

static gboolean
same_language (const char *one, const char *two)
{
  return one && two && g_ascii_strcasecmp (one, two) == 0;
}

/* What the head of a WebVTT file says of its language is true no more. */
static char *
name_language (const char *text, const char *language)
{
  g_autoptr (GRegex) regex = g_regex_new ("\\A(WEBVTT[^\n]*\n(?:[^\n]+\n)*?Language:)[^\n]*", 0, 0, NULL);
  g_autofree char *head = g_strdup_printf ("\\1 %s", language);

  return g_regex_replace (regex, text, -1, 0, head, 0, NULL);
}

static gboolean
write_file (DerushModelJob *job, DerushSubtitles *subtitles, const char *language, JsonObject *item, GError **error)
{
  const char *asked = derush_json_get_string (job->parameters, "format", NULL);
  DerushSubtitleFormat format = subtitles->format;
  g_autofree char *name = NULL, *path = NULL, *written = NULL, *text = NULL;

  if (asked)
    derush_subtitle_format_from_string (asked, &format);
  else if (!derush_json_get_boolean (job->parameters, "subtitles", FALSE))
    return TRUE;
  name = g_strdup_printf ("%s.%s.%s", derush_json_get_string (job->parameters, "name", "translation"), language,
                          derush_subtitle_format_to_string (format));
  path = g_build_filename (job->directory, name, NULL);
  written = derush_subtitles_write (subtitles, format);
  text = name_language (written, language);
  if (!derush_file_write_atomically (path, text, -1, error))
    return FALSE;
  json_object_set_string_member (item, "file", name);
  return TRUE;
}

/* Whoever sends subtitles as a text gets such a text back; of files and cues, the words. */
static char *
text_of (DerushModelJob *job, const DerushSubtitles *subtitles)
{
  return derush_json_get_string (job->parameters, "text", NULL) ? derush_subtitles_write (subtitles, subtitles->format)
                                                                : derush_subtitles_to_text (subtitles);
}

static JsonObject *
translate_into (DerushModelJob *job, const DerushSubtitles *material, const char *target,
                DerushTranslation *translation, GError **error)
{
  g_autoptr (DerushSubtitles) subtitles = derush_subtitles_copy (material);
  g_autoptr (JsonObject) item = json_object_new ();
  g_autofree char *text = NULL;
  gboolean found_out = !translation->source;
  double confidence = 1;

  g_free (subtitles->language);
  subtitles->language = g_strdup (target);
  translation->target = target;
  translation->n_texts = translation->intact = translation->kept = 0;
  if (same_language (translation->source, target)) {
    derush_text_warn (job, _ ("The text is in the language %s already and stays as it is"), target);
  } else {
    if (!derush_translate_subtitles (translation, subtitles,
                                     (guint)derush_json_get_int (job->parameters, "maxLineLength", 0), error))
      return NULL;
    if (translation->n_texts > 0)
      confidence = (double)translation->intact / translation->n_texts;
  }
  if (found_out && translation->doubtful)
    derush_text_warn (job, _ ("The text is short and was taken for one in the language %s; name it in sourceLanguage"),
                      translation->source);
  if (found_out && same_language (translation->source, target))
    derush_text_warn (job, _ ("The text is in the language %s already and stays as it is"), target);
  if (translation->kept > 0)
    derush_text_warn (job, _ ("%u of %u texts could not be translated into %s and stay as they were"),
                      translation->kept, translation->n_texts, target);
  text = text_of (job, subtitles);
  json_object_set_string_member (item, "targetLanguage", target);
  json_object_set_string_member (item, "text", text);
  json_object_set_int_member (item, "cues", material->format == DERUSH_SUBTITLES_TEXT ? 0 : material->cues->len);
  json_object_set_double_member (item, "confidence", confidence);
  if (translation->n_texts > 0 && translation->tally->last_engine)
    json_object_set_string_member (item, "model", translation->tally->last_engine);
  if (!write_file (job, subtitles, target, item, error))
    return NULL;
  return g_steal_pointer (&item);
}

static char *
original_of (DerushModelJob *job, const DerushSubtitles *material)
{
  g_autofree char *text = text_of (job, material);

  return derush_text_cut (text, MAX_ORIGINAL);
}

/* Rules know nothing of them. */
static void
warn_of_wishes (DerushModelJob *job, const DerushTextTally *tally)
{
  static const char *const wishes[] = {"formality", "tone", "context"};
  g_auto (GStrv) providers = tally->provider ? g_strsplit (tally->provider, ", ", -1) : NULL;

  if (!providers || !g_strv_contains ((const char *const *)providers, "local"))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (wishes); i++) {
    const char *wish = derush_json_get_string (job->parameters, wishes[i], "");

    if (*wish && strcmp (wish, "NEUTRAL") != 0)
      derush_text_warn (job, _ ("%s is ignored: “%s” of %s translates by rules"), wishes[i], tally->last_engine,
                        "local");
  }
}

/* One language that nobody has takes nothing from the others. */
static gboolean
translate_into_all (DerushModelJob *job, const DerushSubtitles *material, JsonArray *targets,
                    DerushTranslation *translation, Progress *progress, JsonObject *result, GError **error)
{
  g_autoptr (JsonArray) made = json_array_new (), failed = json_array_new ();
  g_autoptr (GError) first = NULL;

  for (; progress->language < progress->n_languages; progress->language++) {
    const char *target = json_array_get_string_element (targets, progress->language);
    g_autoptr (GError) failure = NULL;
    JsonObject *item = translate_into (job, material, target, translation, &failure), *reason;

    if (item) {
      json_array_add_object_element (made, item);
      continue;
    }
    if (derush_error_get_class (failure) != DERUSH_ERROR_UNSUPPORTED) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
    reason = json_object_new ();
    json_object_set_string_member (reason, "targetLanguage", target);
    json_object_set_string_member (reason, "error", failure->message);
    json_array_add_object_element (failed, reason);
    if (!first)
      first = g_steal_pointer (&failure);
  }
  if (json_array_get_length (made) == 0 && first) {
    g_propagate_error (error, g_steal_pointer (&first));
    return FALSE;
  }
  for (guint i = 0; i < json_array_get_length (failed); i++) {
    JsonObject *reason = json_array_get_object_element (failed, i);

    derush_text_warn (job, _ ("There is no translation into %s: %s"),
                      derush_json_get_string (reason, "targetLanguage", ""),
                      derush_json_get_string (reason, "error", ""));
  }
  json_object_set_array_member (result, "translations", g_steal_pointer (&made));
  json_object_set_array_member (result, "failed", g_steal_pointer (&failed));
  return TRUE;
}

/*
 * Parameters: one of text, cues, subtitles (the source is a file of them) and film (the step `transcribe` has its speech);
 * targetLanguages, sourceLanguage, formality, glossary, context, tone, maxLineLength, format (of files; none is written
 * for a text without it), name (of the files, before language and format), model.
 */
JsonObject *
derush_action_translate (DerushModelJob *job, GError **error)
{
  JsonObject *parameters = job->parameters;
  JsonArray *targets = derush_json_get_array (parameters, "targetLanguages");
  g_autoptr (DerushSubtitles) material = read_material (job, error);
  g_auto (DerushTextTally) tally = {.started = g_get_monotonic_time ()};
  g_autoptr (JsonObject) result = json_object_new ();
  g_autofree char *source = g_strdup (derush_json_get_string (parameters, "sourceLanguage", NULL)), *original = NULL;
  Progress progress = {job, 0, targets ? json_array_get_length (targets) : 0};
  DerushTranslation translation = {.formality = derush_json_get_string (parameters, "formality", "NEUTRAL"),
                                   .glossary = derush_json_get_object (parameters, "glossary"),
                                   .context = derush_json_get_string (parameters, "context", NULL),
                                   .tone = derush_json_get_string (parameters, "tone", NULL),
                                   .model = derush_json_get_string (parameters, "model", NULL),
                                   .ask = ask,
                                   .ask_data = &progress,
                                   .progress = on_progress,
                                   .tally = &tally};
  gboolean good;

  if (!material)
    return NULL;
  if (!source && derush_json_get_boolean (parameters, "film", FALSE))
    source = g_strdup (derush_json_get_string (derush_json_get_object (job->results, "transcribe"), "language", NULL));
  if (!source && material->language && *material->language)
    source = g_strdup (material->language);
  translation.source = g_steal_pointer (&source);
  good = translate_into_all (job, material, targets, &translation, &progress, result, error);
  source = g_steal_pointer (&translation.source);
  if (!good)
    return NULL;
  warn_of_wishes (job, &tally);
  original = original_of (job, material);
  json_object_set_string_member (result, "originalText", original);
  json_object_set_string_member (result, "sourceLanguage", source ? source : "");
  derush_text_tally_sign (&tally, result);
  return g_steal_pointer (&result);
}
