/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "localmodels/localmodels-private.h"

#include <math.h>
#include <string.h>

#define RATE 16000

static double
noise (guint32 *state)
{
  *state = *state * 1664525u + 1013904223u;
  return (double)(*state >> 8) / 8388608.0 - 1;
}

/* Something like syllables: a buzz through changing resonances, four times a second, with hiss in between. */
static double
voice (double t, guint32 *state)
{
  double syllable = fmod (t * 4, 1), pitch = 120 + 20 * sin (2 * G_PI * 0.7 * t), sum = 0;
  double formant = 500 + 300 * sin (2 * G_PI * 1.3 * t), other = 1500 + 700 * sin (2 * G_PI * 2.1 * t);

  if (syllable > 0.8)
    return 0.03 * noise (state);
  for (guint h = 1; h < 30; h++) {
    double f = h * pitch, gain = exp (-pow ((f - formant) / 200, 2)) + 0.5 * exp (-pow ((f - other) / 250, 2)) + 0.01;

    sum += gain * sin (2 * G_PI * h * (120 * t - 20 / (2 * G_PI * 0.7) * cos (2 * G_PI * 0.7 * t)));
  }
  return 0.15 * sum * sin (G_PI * syllable / 0.8);
}

typedef double (*Source) (double t, guint32 *state);

static double
hiss (double t, guint32 *state)
{
  return 0.3 * noise (state);
}

static double
tone (double t, guint32 *state)
{
  return 0.5 * sin (2 * G_PI * 440 * t);
}

static double
beeps (double t, guint32 *state)
{
  return fmod (t, 1) < 0.4 ? 0.5 * sin (2 * G_PI * 440 * t) : 0;
}

static double
bursts (double t, guint32 *state)
{
  return (fmod (t, 1) < 0.4 ? 0.5 : 0.005) * noise (state);
}

static double
silence (double t, guint32 *state)
{
  return 0;
}

static double
two_utterances (double t, guint32 *state)
{
  return (t > 1 && t < 3) || (t > 4.5 && t < 6) ? voice (t, state) : 0.001 * noise (state);
}

static void
fill (LocalSound *sound, Source source, double seconds)
{
  guint32 state = 1;

  sound->rate = RATE;
  sound->n = (gsize)(seconds * RATE);
  sound->samples = g_new (gint16, sound->n);
  for (gsize i = 0; i < sound->n; i++)
    sound->samples[i] = (gint16)(CLAMP (source ((double)i / RATE, &state), -1, 1) * 32767);
}

static void
test_no_speech (gconstpointer data)
{
  g_auto (LocalSound) sound = {0};
  g_autoptr (GArray) spans = NULL;

  fill (&sound, *(const Source *)data, 8);
  spans = local_find_speech (&sound);
  g_assert_cmpuint (spans->len, ==, 0);
}

static void
test_utterances (void)
{
  g_auto (LocalSound) sound = {0};
  g_autoptr (GArray) spans = NULL;
  const double starts[] = {1, 4.5}, ends[] = {3, 6};

  fill (&sound, two_utterances, 8);
  spans = local_find_speech (&sound);
  g_assert_cmpuint (spans->len, ==, 2);
  for (guint i = 0; i < 2; i++) {
    LocalSpan *span = &g_array_index (spans, LocalSpan, i);

    g_assert_cmpfloat (fabs ((double)span->start / RATE - starts[i]), <, 0.3);
    g_assert_cmpfloat (fabs ((double)span->end / RATE - ends[i]), <, 0.3);
  }
}

static void
test_spoken (void)
{
  const LocalQuality clear = {.contrast = 40, .treble = -12}, noisy = {.contrast = 16, .treble = -10},
                     telephone = {.contrast = 40, .treble = -66};
  const struct {
    LocalSpoken spoken;
    gboolean suspect, foreign;
  } cases[] = {
      {{40, 0.30, 42, 31, clear}, TRUE, TRUE},       {{40, 0.30, 42, 31, noisy}, FALSE, FALSE},
      {{40, 0.30, 42, 31, telephone}, FALSE, FALSE}, {{40, 0.65, 42, 31, clear}, FALSE, FALSE}, /* surely heard */
      {{40, 0.30, 42, 25, clear}, TRUE, FALSE},  /* its sounds fit no better */
      {{40, 0.30, 35, 31, clear}, FALSE, FALSE}, /* the words fit */
      {{9, 0.30, 41, 31, clear}, FALSE, FALSE},  /* too few words for so little */
      {{9, 0.30, 45, 31, clear}, TRUE, TRUE},        {{7, 0.10, 60, 50, clear}, FALSE, FALSE},
      {{0, 0, 0, 0, clear}, FALSE, FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_assert_cmpint (local_spoken_is_suspect (&cases[i].spoken), ==, cases[i].suspect);
    g_assert_cmpint (local_spoken_is_foreign (&cases[i].spoken), ==, cases[i].foreign);
  }
}

static double
two_in_noise (double t, guint32 *state)
{
  return two_utterances (t, state) + 0.02 * noise (state);
}

/* What lies outside of the utterances does not count: a sound may begin with digital silence. */
static void
test_quality (void)
{
  const Source sources[] = {two_utterances, two_in_noise};
  LocalQuality qualities[G_N_ELEMENTS (sources)], none;
  g_autoptr (GArray) empty = g_array_new (FALSE, FALSE, sizeof (LocalSpan));

  for (guint i = 0; i < G_N_ELEMENTS (sources); i++) {
    g_auto (LocalSound) sound = {0};
    g_autoptr (GArray) spans = NULL;

    fill (&sound, sources[i], 8);
    spans = local_find_speech (&sound);
    g_assert_cmpuint (spans->len, >, 0);
    local_measure_quality (&sound, spans, &qualities[i]);
    local_measure_quality (&sound, empty, &none);
    g_assert_cmpfloat (none.contrast, ==, 0);
  }
  g_assert_cmpfloat (qualities[0].contrast, >, qualities[1].contrast + 5);
  g_assert_cmpfloat (qualities[1].treble, <, 0);
}

static void
test_nothing (void)
{
  LocalSound sound = {.rate = RATE};
  g_autoptr (GArray) spans = local_find_speech (&sound);

  g_assert_cmpuint (spans->len, ==, 0);
}

static void
test_wav (void)
{
  g_auto (LocalSound) sound = {0}, back = {0}, streamed = {0};
  g_autoptr (GBytes) file = NULL;
  g_autofree guint8 *changed = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  fill (&sound, two_utterances, 1.5);
  file = local_wav_write (&sound);
  g_assert_true (local_wav_parse (g_bytes_get_data (file, &length), length, &back, &error));
  g_assert_no_error (error);
  g_assert_cmpint (back.rate, ==, RATE);
  g_assert_cmpmem (back.samples, back.n * 2, sound.samples, sound.n * 2);
  /* As programs write it that do not know yet how long it will be. */
  changed = g_memdup2 (g_bytes_get_data (file, NULL), length);
  memset (changed + 4, 0xff, 4);
  memset (changed + 40, 0xff, 4);
  g_assert_true (local_wav_parse (changed, length, &streamed, &error));
  g_assert_cmpuint (streamed.n, ==, sound.n);
}

static void
test_broken_wav (void)
{
  static const char *const broken[] = {"", "RIFF", "RIFFxxxxWAVE", "RIFFxxxxWAVEfmt \377\377\377\377",
                                       "RIFFxxxxWAVEfmt \020\0\0\0\001\0\0\0\0\0\0\0\0\0\0\0\0\0\020\0data\0\0\0\0"};
  static const gsize lengths[] = {0, 4, 12, 20, 44};

  for (guint i = 0; i < G_N_ELEMENTS (broken); i++) {
    g_auto (LocalSound) sound = {0};
    g_autoptr (GError) error = NULL;
    g_autofree guint8 *exact = g_memdup2 (broken[i], lengths[i]);

    g_assert_false (local_wav_parse (exact, lengths[i], &sound, &error));
    g_assert_nonnull (error);
  }
}

/* The same tone at another rate. */
static void
test_resample (void)
{
  g_auto (LocalSound) sound = {0}, other = {0};
  double error = 0;

  fill (&sound, tone, 1);
  sound.rate = 22050;
  local_sound_resample (&sound, 16000, &other);
  g_assert_cmpint (other.rate, ==, 16000);
  g_assert_cmpuint (other.n, ==, 16000 * (gsize)16000 / 22050);
  for (gsize i = 200; i + 200 < other.n; i++)
    error = MAX (error, fabs (other.samples[i] / 32767.0 - 0.5 * sin (2 * G_PI * 440 * 22050.0 / 16000 * i / 16000)));
  g_assert_cmpfloat (error, <, 0.01);
}

static void
test_form (void)
{
  static const char body[] = "--xyz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n"
                             "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.wav\"\r\n"
                             "Content-Type: audio/wav\r\n\r\nRI\r\n--xyFF\0\r\n--xyz\r\n"
                             "Content-Disposition: form-data; name=\"prompt\"\r\n\r\n\r\n--xyz--\r\n";
  g_autoptr (GBytes) bytes = g_bytes_new_static (body, sizeof body - 1);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) fields = local_form_parse (bytes, "multipart/form-data; boundary=xyz", &error);
  const LocalField *file;

  g_assert_no_error (error);
  g_assert_cmpuint (fields->len, ==, 3);
  file = local_form_find (fields, "file");
  g_assert_cmpstr (file->file_name, ==, "a b.wav");
  g_assert_cmpstr (file->type, ==, "audio/wav");
  g_assert_cmpmem (g_bytes_get_data (file->contents, NULL), g_bytes_get_size (file->contents), "RI\r\n--xyFF\0", 11);
  g_assert_cmpuint (g_bytes_get_size (local_form_find (fields, "prompt")->contents), ==, 0);
  g_assert_null (local_form_find (fields, "language"));
}

static void
test_broken_forms (void)
{
  static const char *const bodies[] = {
      "", "--xyz", "--xyz\r\n", "--xyz\r\nA: b\r\n\r\ncut off", "no boundary at all", "--xyz\r\nA: b\r\n--xyz--"};

  for (guint i = 0; i < G_N_ELEMENTS (bodies); i++) {
    gsize length = strlen (bodies[i]);
    g_autoptr (GBytes) bytes = g_bytes_new_take (g_memdup2 (bodies[i], length), length);
    g_autoptr (GError) error = NULL;

    g_assert_null (local_form_parse (bytes, "multipart/form-data; boundary=\"xyz\"", &error));
    g_assert_error (error, DERUSH_LOCALMODELS_ERROR, DERUSH_ERROR_BAD_INPUT);
    g_clear_error (&error);
    g_assert_null (local_form_parse (bytes, "application/json", &error));
    g_assert_nonnull (error);
  }
}

/* Whatever is changed, cut out or put in: a form is read within its bounds or refused, and its contents lie in the body. */
static void
test_rubbish_forms (void)
{
  static const char *const pieces[] = {"\r\n",
                                       "--xyz",
                                       "--xyz--",
                                       "\r\n--xyz",
                                       "\r\n\r\n",
                                       "name=\"file\"",
                                       ":",
                                       ";",
                                       "\"",
                                       "filename=\"",
                                       "Content-Disposition: form-data; ",
                                       "\\",
                                       "=",
                                       "xy"};
  GRand *rand = g_rand_new_with_seed (7);

  for (guint i = 0; i < 20000; i++) {
    g_autoptr (GByteArray) body = g_byte_array_new ();
    g_autoptr (GBytes) bytes = NULL;
    g_autoptr (GPtrArray) fields = NULL;
    g_autoptr (GError) error = NULL;
    const guint8 *start;
    gsize length;

    if (g_rand_boolean (rand))
      g_byte_array_append (body, (const guint8 *)"--xyz\r\n", 7);
    for (gint k = g_rand_int_range (rand, 0, 20); k > 0; k--) {
      const char *piece = pieces[g_rand_int_range (rand, 0, G_N_ELEMENTS (pieces))];
      guint8 byte = (guint8)g_rand_int_range (rand, 0, 256);

      if (g_rand_int_range (rand, 0, 8) == 0)
        g_byte_array_append (body, &byte, 1);
      else
        g_byte_array_append (body, (const guint8 *)piece, (guint)strlen (piece));
    }
    bytes = g_byte_array_free_to_bytes (g_steal_pointer (&body));
    start = g_bytes_get_data (bytes, &length);
    fields = local_form_parse (bytes, "multipart/form-data; boundary=xyz", &error);
    g_assert_true ((fields == NULL) == (error != NULL));
    for (guint k = 0; fields && k < fields->len; k++) {
      LocalField *field = g_ptr_array_index (fields, k);
      gsize size;
      const guint8 *contents = g_bytes_get_data (field->contents, &size);

      g_assert_true (size == 0 || (contents >= start && contents + size <= start + length));
    }
  }
  g_rand_free (rand);
}

static void
test_languages (void)
{
  static const struct {
    const char *text, *language;
  } texts[] = {
      {"The museum opens at nine in the morning and closes at six in the evening.", "en"},
      {"El museo abre a las nueve de la mañana y cierra a las seis de la tarde.", "es"},
      {"Le musée ouvre à neuf heures du matin et ferme à six heures du soir.", "fr"},
      {"Das Museum öffnet um neun Uhr morgens und schließt um sechs Uhr abends.", "de"},
      {"O museu abre às nove da manhã e fecha às seis da tarde, mas não aos domingos.", "pt"},
      {"Il museo apre alle nove del mattino e chiude alle sei del pomeriggio.", "it"},
      {"Музей открывается в девять часов утра и закрывается в шесть вечера.", "ru"},
      {"Hi!", "en"},
      {"", "en"},
  };
  static const char *const names[][2] = {{"EN-us", "en"}, {"eng", "en"}, {"English", "en"}, {"pt_BR", "pt"},
                                         {"por", "pt"},   {"zho", "zh"}, {"spanish", "es"}};

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *found = local_language_guess (texts[i].text);

    g_assert_cmpstr (found, ==, texts[i].language);
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *code = local_language_normalise (names[i][0]);

    g_assert_cmpstr (code, ==, names[i][1]);
  }
  g_assert_null (local_language_normalise ("klingonese"));
}

static void
test_short_texts (void)
{
  static const struct {
    const char *text, *language;
    gboolean sure;
  } texts[] = {
      {"Buenos días a todos", "es", FALSE},
      {"¿Qué tal?", "es", FALSE},
      {"El perro duerme", "es", FALSE},
      {"Bonjour à tous", "fr", FALSE},
      {"Je ne sais pas", "fr", FALSE},
      {"Bom dia, não sei", "pt", FALSE},
      {"Non lo so", "it", FALSE},
      {"The dog sleeps", "en", FALSE},
      {"Big red balloon", "en", FALSE},
      {"42", "en", FALSE},
      {"Доброе утро", "ru", FALSE},
      {"El museo abre a las nueve de la mañana y cierra a las seis de la tarde.", "es", TRUE},
      {"The museum opens at nine in the morning and closes at six in the evening.", "en", TRUE},
  };
  static const char *const likely[] = {"en", "es", "fr", "it", "pt"};
  g_autoptr (GPtrArray) codes = g_ptr_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (likely); i++)
    g_ptr_array_add (codes, (gpointer)likely[i]);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    gboolean sure;
    g_autofree char *found = local_language_guess_among (texts[i].text, codes, &sure);

    g_test_message ("%s", texts[i].text);
    g_assert_cmpstr (found, ==, texts[i].language);
    g_assert_true (sure == texts[i].sure);
  }
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    Source source;
  } others[] = {{"/localmodels/vad/noise-is-no-speech", hiss},
                {"/localmodels/vad/a-tone-is-no-speech", tone},
                {"/localmodels/vad/beeps-are-no-speech", beeps},
                {"/localmodels/vad/bursts-of-noise-are-no-speech", bursts},
                {"/localmodels/vad/silence-is-no-speech", silence}};

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    g_test_add_data_func (others[i].path, &others[i].source, test_no_speech);
  g_test_add_func ("/localmodels/vad/two-utterances-are-found-where-they-are", test_utterances);
  g_test_add_func ("/localmodels/vad/no-samples-are-no-speech", test_nothing);
  g_test_add_func ("/localmodels/vad/noise-takes-contrast-from-speech", test_quality);
  g_test_add_func ("/localmodels/spoken/only-clear-speech-that-fits-badly-is-foreign", test_spoken);
  g_test_add_func ("/localmodels/wav/what-is-written-reads-the-same", test_wav);
  g_test_add_func ("/localmodels/wav/broken-headers-are-errors", test_broken_wav);
  g_test_add_func ("/localmodels/wav/a-tone-keeps-its-pitch-at-another-rate", test_resample);
  g_test_add_func ("/localmodels/form/fields-and-files-are-read-exactly", test_form);
  g_test_add_func ("/localmodels/form/what-is-cut-off-is-an-error", test_broken_forms);
  g_test_add_func ("/localmodels/form/rubbish-in-forms-is-read-within-its-bounds", test_rubbish_forms);
  g_test_add_func ("/localmodels/language/texts-and-names-are-known", test_languages);
  g_test_add_func ("/localmodels/languages/short-texts-are-told-by-their-small-words-and-letters", test_short_texts);
  return g_test_run ();
}
