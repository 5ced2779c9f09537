/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Text to speech: English by flite, other languages by espeak-ng, which is executed. */

#include "localmodels-private.h"
#include "text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <flite/flite.h>

#define MIN_SPEED 0.25
#define MAX_SPEED 4.0
/* Words per minute, and what espeak-ng can do. */
#define ESPEAK_SPEED 175
#define ESPEAK_MIN 80
#define ESPEAK_MAX 450
#define PAUSE 0.15 /* s, between sentences */

cst_voice *register_cmu_us_awb (const char *folder);
cst_voice *register_cmu_us_kal16 (const char *folder);
cst_voice *register_cmu_us_rms (const char *folder);
cst_voice *register_cmu_us_slt (const char *folder);

static const struct {
  const char *name;
  cst_voice *(*make) (const char *);
} flite_voices[] = {{"slt", register_cmu_us_slt},
                    {"rms", register_cmu_us_rms},
                    {"awb", register_cmu_us_awb},
                    {"kal16", register_cmu_us_kal16}};

static GKeyFile *
load_voices (void)
{
  static gsize loaded;

  if (g_once_init_enter (&loaded)) {
    GKeyFile *file = g_key_file_new ();
    g_autofree char *path = local_data_path ("voices.ini", NULL);

    g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL);
    g_once_init_leave (&loaded, (gsize)file);
  }
  return (GKeyFile *)loaded;
}

/**
 * derush_local_list_voices:
 *
 * Returns: (transfer full): `id`, `language` and `engine` of each voice that may be named in a request
 */
JsonArray *
derush_local_list_voices (void)
{
  JsonArray *voices = json_array_new ();
  g_auto (GStrv) names = g_key_file_get_groups (load_voices (), NULL);

  for (guint i = 0; names[i]; i++) {
    JsonObject *voice = json_object_new ();
    g_autofree char *flite = g_key_file_get_string (load_voices (), names[i], "flite", NULL);
    g_autofree char *variant = g_key_file_get_string (load_voices (), names[i], "espeak", NULL);
    g_autofree char *engine = g_strconcat ("flite-", flite, NULL);

    json_object_set_string_member (voice, "id", names[i]);
    json_object_set_string_member (voice, "name", names[i]);
    json_object_set_string_member (voice, "language", "en");
    json_object_set_string_member (voice, "engine", engine);
    json_object_set_string_member (voice, "otherLanguages", variant ? "espeak-ng" : "");
    json_array_add_object_element (voices, voice);
  }
  return voices;
}

/* flite reads ASCII. What has no likeness in it is a pause. */
static char *
to_ascii (const char *text)
{
  GString *ascii = g_string_new (NULL);

  for (const char *at = text; *at; at = g_utf8_next_char (at)) {
    g_autofree char *one = g_strndup (at, (gsize)(g_utf8_next_char (at) - at)), *like = NULL;

    if (g_ascii_isprint (*at) || g_ascii_isspace (*at)) {
      g_string_append_c (ascii, *at);
      continue;
    }
    like = g_str_to_ascii (one, "C");
    g_string_append (ascii, strcmp (like, "?") == 0 ? " " : like);
  }
  return g_string_free (ascii, FALSE);
}

static gboolean
has_words (const char *text)
{
  for (const char *at = text; *at; at = g_utf8_next_char (at))
    if (g_unichar_isalnum (g_utf8_get_char (at)))
      return TRUE;
  return FALSE;
}

static void
append (GArray *samples, const gint16 *more, gsize n)
{
  g_array_append_vals (samples, more, (guint)n);
}

/* What flite spells out or stumbles over, in this order. */
static const struct {
  const char *pattern, *replacement;
} readings[] = {
    {"(?i)\\b(?:https?|ftp)://(?:[^\\s/@]*@)?(?:www\\.)?([^\\s/?#:]+)(?:[/?#:][^\\s]*?)?(?=[.,;!?)\"']*(?:\\s|$))",
     "\\1"},
    {"(?i)\\bwww\\.(?=[\\w-]+\\.)", ""},
    {"(?<=[\\w])@(?=[\\w-]+\\.)", " at "},
    {"(?<=[A-Za-z]|[A-Za-z]\\d)\\.(?=(?:com|org|net|edu|gov|io|co|uk|de|fr|es|it|eu|info|tv|app|dev)\\b)", " dot "},
    {"\\b[Ii]\\.\\s?e\\.,?", "that is"},
    {"\\b[Ee]\\.\\s?g\\.,?", "for example"},
    {"(?i)\\bvs\\.", "versus"},
    {"(?i)\\betc\\.(?=\\s+[a-z,])", "et cetera"},
    {"(?<=\\d)\\s?kg\\b", " kilograms"},
    {"(?<=\\d)\\s?km/h\\b", " kilometers per hour"},
    {"(?<=\\d)\\s?km\\b", " kilometers"},
    {"(?<=\\d)\\s?cm\\b", " centimeters"},
    {"(?<=\\d)\\s?mm\\b", " millimeters"},
    {"(?<=\\d)\\s?ms\\b", " milliseconds"},
    {"(?<=\\d)\\s?°\\s?C\\b", " degrees Celsius"},
    {"(?<=\\d)\\s?°\\s?F\\b", " degrees Fahrenheit"},
    {"(\\d)\\s?€", "\\1 euros"},
    {"€\\s?(\\d+(?:[.,]\\d+)*)", "\\1 euros"},
    {"£\\s?(\\d+(?:[.,]\\d+)*)", "\\1 pounds"},
};

static char *
to_readable (const char *text)
{
  char *readable = g_strdup (text);

  for (guint i = 0; i < G_N_ELEMENTS (readings); i++) {
    g_autoptr (GRegex) pattern = g_regex_new (readings[i].pattern, 0, 0, NULL);
    char *next = g_regex_replace (pattern, readable, -1, 0, readings[i].replacement, 0, NULL);

    g_free (readable);
    readable = next;
  }
  return readable;
}

/* A text may be wrapped in lines; an empty line ends a paragraph. */
static char *
join_lines (const char *text)
{
  g_autoptr (GRegex) wraps = g_regex_new ("(?<!\\n)[ \\t]*\\r?\\n(?![ \\t\\r]*\\n)", 0, 0, NULL);

  return g_regex_replace_literal (wraps, text, -1, 0, " ", 0, NULL);
}

/* Sentence by sentence: flite takes a text as one breath. */
static gboolean
speak_by_flite (const char *text, const char *name, double speed, LocalSound *sound, GCancellable *cancellable,
                GError **error)
{
  g_autofree char *readable = to_readable (text), *all = to_ascii (readable), *ascii = join_lines (all);
  g_auto (GStrv) sentences = local_split_sentences (ascii);
  g_autoptr (GArray) samples = g_array_new (FALSE, TRUE, sizeof (gint16));
  cst_voice *voice = NULL;

  if (!has_words (all)) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_value", "language",
                     _ ("The English voices cannot read the letters of this text; name its own language, or none"));
    return FALSE;
  }
  flite_init ();
  for (guint i = 0; i < G_N_ELEMENTS (flite_voices) && !voice; i++)
    if (strcmp (flite_voices[i].name, name) == 0)
      voice = flite_voices[i].make (NULL);
  if (!voice) {
    local_set_error (error, DERUSH_ERROR_INTERNAL, NULL, "voice", _ ("flite has no voice “%s”"), name);
    return FALSE;
  }
  flite_feat_set_float (voice->features, "duration_stretch", (float)(1 / speed));
  for (guint i = 0; sentences[i] && !g_cancellable_is_cancelled (cancellable); i++) {
    cst_wave *wave;

    if (!has_words (sentences[i]) || !(wave = flite_text_to_wave (sentences[i], voice)))
      continue;
    sound->rate = wave->sample_rate;
    if (samples->len > 0)
      g_array_set_size (samples, samples->len + (guint)(PAUSE / speed * sound->rate));
    append (samples, wave->samples, (gsize)wave->num_samples);
    delete_wave (wave);
  }
  if (g_cancellable_is_cancelled (cancellable)) {
    local_set_error (error, DERUSH_ERROR_CANCELLED, NULL, NULL, _ ("Cancelled"));
    return FALSE;
  }
  sound->n = samples->len;
  sound->samples = (gint16 *)(gpointer)g_array_free (g_steal_pointer (&samples), FALSE);
  return TRUE;
}

static gboolean
speak_by_espeak (const char *text, const char *language, const char *variant, double speed, LocalSound *sound,
                 GCancellable *cancellable, GError **error)
{
  g_autofree char *voice = variant ? g_strdup_printf ("%s+%s", language, variant) : g_strdup (language);
  g_autofree char *words = g_strdup_printf ("%d", (int)CLAMP (lround (ESPEAK_SPEED * speed), ESPEAK_MIN, ESPEAK_MAX));
  const char *const arguments[] = {"espeak-ng", "-v", voice, "-s", words, "-b", "1", "--stdin", "--stdout", NULL};
  g_autoptr (GBytes) input = g_bytes_new (text, strlen (text)), output = NULL;
  g_autoptr (GError) local = NULL;
  gsize length;
  const guint8 *data;

  if (!local_run (arguments, input, &output, NULL, cancellable, &local)) {
    if (derush_error_get_class (local) == DERUSH_ERROR_MODEL)
      local_set_error (error, DERUSH_ERROR_UNSUPPORTED, "unsupported_language", "language",
                       _ ("The local speech has no voice for “%s”: %s"), language, local->message);
    else
      g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
  }
  data = g_bytes_get_data (output, &length);
  return local_wav_parse (data, length, sound, error);
}

/* Some languages have a name of their own in espeak-ng. */
static char *
espeak_language (const char *asked, const char *code)
{
  g_autofree char *lower = g_ascii_strdown (asked, -1);

  g_strdelimit (lower, "_", '-');
  if (strcmp (code, "zh") == 0)
    return g_strdup ("cmn");
  if (strcmp (code, "no") == 0)
    return g_strdup ("nb");
  if (strcmp (lower, "pt-br") == 0 || strcmp (lower, "es-419") == 0 || strcmp (lower, "fr-be") == 0 ||
      strcmp (lower, "fr-ch") == 0)
    return g_steal_pointer (&lower);
  return g_strdup (code);
}

/**
 * derush_local_speak:
 * @request: `input`, `voice`, `language` (that of the text, if absent), `speed` 0.25 to 4, `response_format` (mp3)
 * @output: (out): the sound file
 *
 * Returns: (nullable): `engine`, `language`, `format`, `duration` (s)
 */
JsonObject *
derush_local_speak (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable, GError **error)
{
  const char *text = derush_json_get_string (request, "input", NULL);
  g_autofree char *voice = g_ascii_strdown (derush_json_get_string (request, "voice", "alloy"), -1);
  const char *asked = derush_json_get_string (request, "language", "");
  const char *format = derush_json_get_string (request, "response_format", "mp3");
  double speed = derush_json_get_number (request, "speed", 1);
  g_autofree char *language = NULL, *flite = NULL, *variant = NULL, *engine = NULL;
  static const char *const formats[] = {"wav", "pcm", "mp3", "flac", "opus", "aac", NULL};
  g_auto (LocalSound) sound = {0};
  JsonObject *result;
  gboolean done;

  if (!text || !has_words (text)) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "missing_required_parameter", "input",
                     _ ("“input” has no words to be spoken"));
    return NULL;
  }
  if (g_utf8_strlen (text, -1) > DERUSH_LOCALMODELS_MAX_SPEECH) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "string_above_max_length", "input",
                     _ ("“input” is longer than %d characters"), DERUSH_LOCALMODELS_MAX_SPEECH);
    return NULL;
  }
  if (!(speed >= MIN_SPEED && speed <= MAX_SPEED)) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_value", "speed", _ ("“speed” must be from 0.25 to 4"));
    return NULL;
  }
  if (!g_strv_contains (formats, format)) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "unsupported_value", "response_format",
                     _ ("response_format is “%s”; it may be wav, pcm, mp3, flac, opus or aac"), format);
    return NULL;
  }
  if (!g_key_file_has_group (load_voices (), voice)) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "unsupported_value", "voice",
                     _ ("There is no local voice “%s”; /v1/audio/voices lists them"), voice);
    return NULL;
  }
  flite = g_key_file_get_string (load_voices (), voice, "flite", NULL);
  variant = g_key_file_get_string (load_voices (), voice, "espeak", NULL);
  language = *asked ? local_language_normalise (asked) : local_language_guess (text);
  if (!language) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_value", "language", _ ("“%s” is no language"), asked);
    return NULL;
  }
  if (strcmp (language, "en") == 0) {
    engine = g_strconcat ("flite-", flite, NULL);
    done = speak_by_flite (text, flite, speed, &sound, cancellable, error);
  } else {
    g_autofree char *name = espeak_language (asked, language);

    engine = g_strconcat ("espeak-ng-", name, NULL);
    done = speak_by_espeak (text, name, variant, speed, &sound, cancellable, error);
  }
  if (!done || !(*output = local_sound_encode (&sound, format, cancellable, error)))
    return NULL;
  result = json_object_new ();
  json_object_set_string_member (result, "engine", engine);
  json_object_set_string_member (result, "language", language);
  json_object_set_string_member (result, "format", format);
  json_object_set_double_member (result, "duration", sound.rate > 0 ? (double)sound.n / sound.rate : 0);
  return result;
}
