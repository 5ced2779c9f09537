/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * A text spoken, as `voice.wav`: a long one in parts that end with sentences; cues each at their time, and faster where
 * they do not fit into it.
 */

#include "models/action-private.h"
#include "models/actions/speech-private.h"
#include "models/actions/text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* Of a part, in characters; the strictest provider takes 4096. */
#define LONGEST_PART 1500
/* Between parts, and around what is said, in seconds. */
#define PAUSE 0.3
#define MARGIN 0.05
/* How much faster a voice may be made to fit, and when it fits, in seconds. */
#define SLOWEST 0.8
#define FASTEST 1.35
#define TOLERANCE 0.05
#define TRIES 3
/* Of everything together, in seconds: it is held in memory. */
#define LONGEST_VOICE 14400
#define VOICE_NAME "voice.wav"
#define PART_NAME "voice-part.wav"

typedef struct {
  DerushModelJob *job;
  DerushVoice *voice; /* or %NULL, as long as nobody knows its rate */
  DerushTextTally tally;
  char *name; /* of the voice, as it was answered */
  JsonArray *cues;
} Speaker;

static void
speaker_clear (Speaker *self)
{
  g_clear_pointer (&self->voice, derush_voice_free);
  g_clear_pointer (&self->cues, json_array_unref);
  derush_text_tally_clear (&self->tally);
  g_free (self->name);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Speaker, speaker_clear)

static JsonObject *
request_of (DerushModelJob *job, const char *text, double speed)
{
  static const char *const members[] = {"voice", "language", "model"};
  JsonObject *request = json_object_new ();

  json_object_set_string_member (request, "text", text);
  for (guint i = 0; i < G_N_ELEMENTS (members); i++) {
    const char *value = derush_json_get_string (job->parameters, members[i], NULL);

    if (value)
      json_object_set_string_member (request, members[i], value);
  }
  json_object_set_double_member (request, "speed", round (speed * 1000) / 1000);
  json_object_set_string_member (request, "format", "wav");
  json_object_set_string_member (request, "file", PART_NAME);
  return request;
}

static DerushVoice *
speak (Speaker *self, const char *text, double speed, GError **error)
{
  DerushModelJob *job = self->job;
  g_autoptr (JsonObject) request = request_of (job, text, speed), answer = NULL;
  g_autofree char *path = NULL;
  DerushVoice *voice;

  answer = derush_models_call (job->models, "speak", request, &job->context, job->cancellable, error);
  if (!answer)
    return NULL;
  derush_text_tally_add (&self->tally, answer);
  if (!self->name) {
    const char *asked = derush_json_get_string (request, "voice", "");

    self->name = g_strdup (derush_json_get_string (answer, "voice", asked));
    if (*asked && !*self->name)
      derush_text_warn (job, _ ("The voice %s is ignored: “%s” of %s has one voice only"), asked,
                        derush_json_get_string (answer, "engine", ""), derush_json_get_string (answer, "provider", ""));
  }
  path = g_build_filename (job->directory, derush_json_get_string (answer, "file", PART_NAME), NULL);
  voice = derush_voice_read (path, error);
  g_unlink (path);
  if (voice)
    derush_voice_trim (voice, MARGIN);
  return voice;
}

static gboolean
append (Speaker *self, double at, const DerushVoice *voice, GError **error)
{
  if (!self->voice)
    self->voice = derush_voice_new (voice->rate);
  if (at + derush_voice_get_duration (voice) > LONGEST_VOICE) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The voice would be longer than %d s; split the text into several jobs"), LONGEST_VOICE);
    return FALSE;
  }
  derush_voice_pad (self->voice, at);
  derush_voice_add (self->voice, voice);
  return TRUE;
}

/* ── A text ─────────────────────────────────────────────────────────────── */

/* What is too long for one request, one part after the other. */
static DerushVoice *
speak_parts (Speaker *self, const char *text, double speed, double from, double to, GError **error)
{
  g_autoptr (GPtrArray) parts = derush_text_split (text, LONGEST_PART);
  g_autoptr (DerushVoice) whole = NULL;

  for (guint i = 0; i < parts->len; i++) {
    g_autoptr (DerushVoice) part = speak (self, parts->pdata[i], speed, error);

    if (!part)
      return NULL;
    if (!whole) {
      whole = g_steal_pointer (&part);
    } else {
      derush_voice_pad (whole, derush_voice_get_duration (whole) + PAUSE);
      derush_voice_add (whole, part);
    }
    derush_step_request_progress (self->job->request, from + (to - from) * (i + 1) / parts->len);
  }
  return g_steal_pointer (&whole);
}

/* ── Cues ───────────────────────────────────────────────────────────────── */

/* As fast as it has to be to last no longer than @room; the fastest try if none is. */
static DerushVoice *
speak_within (Speaker *self, const char *text, double room, double *speed, double done, GError **error)
{
  double fastest = MAX (FASTEST, *speed);

  for (guint i = 1;; i++) {
    g_autoptr (DerushVoice) voice = speak_parts (self, text, *speed, done, done, error);
    double length, faster;

    if (!voice)
      return NULL;
    length = derush_voice_get_duration (voice);
    faster = room > 0 ? CLAMP (*speed * length / room * 1.01, SLOWEST, fastest) : fastest;
    if (length <= room + TOLERANCE || i == TRIES || faster <= *speed * 1.005)
      return g_steal_pointer (&voice);
    *speed = faster;
  }
}

static void
set_time (JsonObject *object, const char *name, double seconds)
{
  json_object_set_double_member (object, name, round (seconds * 1000) / 1000);
}

static gboolean
speak_cue (Speaker *self, JsonObject *cue, const char *said, guint number, double done, GError **error)
{
  const char *text = derush_json_get_string (cue, "text", "");
  double start = derush_json_get_number (cue, "start", 0), end = derush_json_get_number (cue, "end", start);
  double before = self->voice ? derush_voice_get_duration (self->voice) : 0, at = MAX (start, before), finish;
  double speed = derush_json_get_number (self->job->parameters, "speed", 1);
  g_autoptr (DerushVoice) voice = speak_within (self, said, end - at, &speed, done, error);
  g_autofree char *warning = NULL;
  JsonObject *item;

  if (!voice || !append (self, at, voice, error))
    return FALSE;
  finish = derush_voice_get_duration (self->voice);
  if (finish > end + TOLERANCE) {
    warning = g_strdup_printf (_ ("Cue %u does not fit into its time: it is spoken %.2f times as fast and still ends "
                                  "%.2f s late"),
                               number, speed, finish - end);
    derush_step_request_warn (self->job->request, warning);
  }
  item = json_object_new ();
  set_time (item, "start", start);
  set_time (item, "end", end);
  json_object_set_string_member (item, "text", text);
  set_time (item, "spokenStart", at);
  set_time (item, "spokenEnd", finish);
  set_time (item, "speed", speed);
  set_time (item, "drift", at - start);
  set_time (item, "overflow", MAX (0, finish - end));
  json_array_add_object_element (self->cues, item);
  return TRUE;
}

static int
by_start (gconstpointer a, gconstpointer b)
{
  double x = derush_json_get_number (*(JsonObject **)a, "start", 0),
         y = derush_json_get_number (*(JsonObject **)b, "start", 0);

  return x < y ? -1 : x > y;
}

static gboolean
has_words (const char *text)
{
  for (; *text; text = g_utf8_next_char (text))
    if (g_unichar_isalnum (g_utf8_get_char (text)))
      return TRUE;
  return FALSE;
}

/* A text that is a file of subtitles says when each of them is to be heard. Returns: (transfer full) (nullable) */
static JsonArray *
read_cues (const char *text, GError **error)
{
  g_autoptr (DerushSubtitles) subtitles = derush_subtitles_parse (text, strlen (text), error);

  return subtitles && subtitles->format != DERUSH_SUBTITLES_TEXT ? derush_subtitles_to_json (subtitles) : NULL;
}

static gboolean
speak_cues (Speaker *self, JsonArray *list, GError **error)
{
  g_autoptr (GPtrArray) cues = g_ptr_array_new ();

  for (guint i = 0; i < json_array_get_length (list); i++)
    g_ptr_array_add (cues, json_array_get_object_element (list, i));
  g_ptr_array_sort (cues, by_start);
  for (guint i = 0; i < cues->len; i++) {
    g_autofree char *said = derush_text_to_spoken (derush_json_get_string (cues->pdata[i], "text", ""));
    double done = 0.98 * i / cues->len;

    /* Lines end where they are full, not where a voice would pause. */
    g_strdelimit (said, "\n", ' ');
    if (!has_words (said))
      continue;
    if (!speak_cue (self, cues->pdata[i], said, i + 1, done, error))
      return FALSE;
    derush_step_request_progress (self->job->request, 0.98 * (i + 1) / cues->len);
  }
  return TRUE;
}

/*
 * Parameters: text, which may be a file of subtitles, or cues `[{start, end, text}]`; voice, language, speed, model.
 */
JsonObject *
derush_action_speak (DerushModelJob *job, GError **error)
{
  JsonArray *cues = derush_json_get_array (job->parameters, "cues");
  const char *written = derush_json_get_string (job->parameters, "text", "");
  g_autofree char *text = derush_text_to_spoken (written);
  g_autoptr (JsonArray) read = NULL;
  g_autoptr (GError) wrong = NULL;
  g_autofree char *path = g_build_filename (job->directory, VOICE_NAME, NULL);
  g_auto (Speaker) self = {.job = job, .cues = json_array_new ()};
  JsonObject *result;

  self.tally.started = g_get_monotonic_time ();
  if (!cues)
    cues = read = read_cues (written, &wrong);
  if (wrong) {
    g_propagate_error (error, g_steal_pointer (&wrong));
    return NULL;
  }
  if (cues && !speak_cues (&self, cues, error))
    return NULL;
  if (!cues && has_words (text)) {
    g_autoptr (DerushVoice) voice =
        speak_parts (&self, text, derush_json_get_number (job->parameters, "speed", 1), 0, 0.98, error);

    if ((!voice && error && *error) || (voice && !append (&self, 0, voice, error)))
      return NULL;
  }
  if (!self.voice) {
    g_set_error_literal (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is nothing to be spoken"));
    return NULL;
  }
  if (!derush_voice_write (self.voice, path, error))
    return NULL;
  result = json_object_new ();
  json_object_set_string_member (result, "file", VOICE_NAME);
  set_time (result, "duration", derush_voice_get_duration (self.voice));
  json_object_set_string_member (result, "voice", self.name ? self.name : "");
  json_object_set_array_member (result, "cues", json_array_ref (self.cues));
  derush_text_tally_sign (&self.tally, result);
  return result;
}
