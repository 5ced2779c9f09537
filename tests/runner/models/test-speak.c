/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/action-private.h"
#include "models/actions/speech-private.h"

#include <math.h>
#include <string.h>

/* The action is run with a voice that takes a tenth of a second for each character, and says it as fast as it is told. */

#define RATE 8000
#define PER_CHARACTER 0.1

static struct {
  GPtrArray *texts;
  GPtrArray *warnings;
  double fastest;
  guint rate;
  gboolean broken;
} mouth;

void
derush_step_request_progress (DerushStepRequest *request, double progress)
{
}

void
derush_step_request_warn (DerushStepRequest *request, const char *message)
{
  g_ptr_array_add (mouth.warnings, g_strdup (message));
}

GQuark
derush_models_error_quark (void)
{
  return g_quark_from_static_string ("test");
}

JsonObject *
derush_models_call (DerushModels *models, const char *task, JsonObject *request, const DerushModelsContext *context,
                    GCancellable *cancellable, GError **error)
{
  const char *text = derush_json_get_string (request, "text", "");
  double speed = derush_json_get_number (request, "speed", 0);
  g_autofree char *path = g_build_filename (context->directory, derush_json_get_string (request, "file", ""), NULL);
  g_autoptr (DerushVoice) voice = derush_voice_new (mouth.rate);
  guint n = (guint)lround (PER_CHARACTER * g_utf8_strlen (text, -1) / speed * mouth.rate);
  JsonObject *answer;

  g_assert_cmpstr (task, ==, "speak");
  g_assert_cmpuint (g_utf8_strlen (text, -1), <=, 4096);
  g_ptr_array_add (mouth.texts, g_strdup (text));
  mouth.fastest = MAX (mouth.fastest, speed);
  for (guint i = 0; i < n; i++) {
    gint16 sample = (gint16)(i % 2 ? 8000 : -8000);

    g_array_append_val (voice->samples, sample);
  }
  if (mouth.broken)
    g_assert_true (g_file_set_contents (path, "no sound", -1, NULL));
  else
    g_assert_true (derush_voice_write (voice, path, NULL));
  answer = json_object_new ();
  json_object_set_string_member (answer, "file", derush_json_get_string (request, "file", ""));
  json_object_set_string_member (answer, "format", "wav");
  json_object_set_string_member (answer, "provider", "test");
  json_object_set_string_member (answer, "engine", "mouth");
  json_object_set_boolean_member (answer, "degraded", TRUE);
  return answer;
}

typedef struct {
  char *directory;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->directory = g_dir_make_tmp ("derush-speak-XXXXXX", NULL);
  memset (&mouth, 0, sizeof mouth);
  mouth.rate = RATE;
  mouth.texts = g_ptr_array_new_with_free_func (g_free);
  mouth.warnings = g_ptr_array_new_with_free_func (g_free);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  derush_directory_remove (fixture->directory, NULL);
  g_free (fixture->directory);
  g_ptr_array_unref (mouth.texts);
  g_ptr_array_unref (mouth.warnings);
}

static JsonObject *
speak (Fixture *fixture, JsonObject *parameters, GError **error)
{
  DerushModelJob job = {.directory = fixture->directory, .parameters = parameters};

  job.context.directory = fixture->directory;
  return derush_action_speak (&job, error);
}

static JsonObject *
speak_text (Fixture *fixture, const char *json)
{
  g_autofree char *text = g_strdelimit (g_strdup (json), "'", '"');
  g_autoptr (JsonObject) parameters = derush_json_parse_object (text, -1, NULL);
  g_autoptr (GError) error = NULL;
  JsonObject *result = speak (fixture, parameters, &error);

  g_assert_no_error (error);
  return result;
}

static DerushVoice *
spoken (Fixture *fixture)
{
  g_autofree char *path = g_build_filename (fixture->directory, "voice.wav", NULL);
  DerushVoice *voice = derush_voice_read (path, NULL);

  g_assert_nonnull (voice);
  return voice;
}

/* Whether anything is to be heard at @time. */
static gboolean
is_loud (const DerushVoice *voice, double time)
{
  return ABS (g_array_index (voice->samples, gint16, (guint)(time * voice->rate))) > 1000;
}

static double
member (JsonObject *result, guint cue, const char *name)
{
  return derush_json_get_number (json_array_get_object_element (derush_json_get_array (result, "cues"), cue), name, -1);
}

static void
test_cues (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = speak_text (fixture, "{'cues':[{'start':6,'end':8,'text':'abcdefghijklmnopqrstuvwx'},"
                                                       "{'start':1,'end':3,'text':'abcdefghij'}]}");
  g_autoptr (DerushVoice) voice = spoken (fixture);

  /* In the order of their times: a second of text in two; then 2.4 s in 2. */
  g_assert_cmpfloat_with_epsilon (member (result, 0, "spokenStart"), 1, 0.001);
  g_assert_cmpfloat_with_epsilon (member (result, 0, "spokenEnd"), 2, 0.01);
  g_assert_cmpfloat_with_epsilon (member (result, 0, "speed"), 1, 0.001);
  g_assert_cmpfloat_with_epsilon (member (result, 1, "spokenStart"), 6, 0.001);
  g_assert_cmpfloat (member (result, 1, "spokenEnd"), <=, 8.05);
  g_assert_cmpfloat (member (result, 1, "speed"), >, 1.15);
  g_assert_cmpfloat (member (result, 1, "speed"), <, 1.3);
  g_assert_cmpuint (mouth.warnings->len, ==, 0);
  g_assert_false (is_loud (voice, 0.9));
  g_assert_true (is_loud (voice, 1.1));
  g_assert_false (is_loud (voice, 2.2));
  g_assert_true (is_loud (voice, 6.1));
  g_assert_true (derush_json_get_boolean (result, "degraded", FALSE));
  g_assert_cmpstr (derush_json_get_string (result, "engine", NULL), ==, "mouth");
}

static void
test_subtitles (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result =
      speak_text (fixture, "{'text':'1\\n00:00:01,000 --> 00:00:03,000\\n<i>abcde</i>\\n{\\\\an8}fghi\\n\\n2\\n"
                           "00:00:06,000 --> 00:00:08,000\\njk\\n'}");

  g_assert_cmpuint (mouth.texts->len, ==, 2);
  g_assert_cmpstr (mouth.texts->pdata[0], ==, "abcde fghi");
  g_assert_cmpfloat_with_epsilon (member (result, 0, "spokenStart"), 1, 0.001);
  g_assert_cmpfloat_with_epsilon (member (result, 1, "spokenStart"), 6, 0.001);
}

static void
test_overflow (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) result = speak_text (
      fixture, "{'cues':[{'start':0,'end':1,'text':'abcdefghijabcdefghij'},{'start':1.2,'end':4,'text':'abcde'}]}");

  /* 2 s in 1: 1.35 times as fast it still takes 1.48 s, and the next one has to wait. */
  g_assert_cmpfloat (mouth.fastest, <=, 1.35);
  g_assert_cmpfloat_with_epsilon (member (result, 0, "overflow"), 0.48, 0.02);
  g_assert_cmpfloat_with_epsilon (member (result, 1, "drift"), 0.28, 0.02);
  g_assert_cmpfloat (member (result, 1, "overflow"), ==, 0);
  g_assert_cmpuint (mouth.warnings->len, ==, 1);
  g_assert_nonnull (strstr (mouth.warnings->pdata[0], "Cue 1"));
}

static void
test_long_text (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) parameters = json_object_new (), result = NULL;
  g_autoptr (GString) text = g_string_new (NULL), again = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 400; i++)
    g_string_append_printf (text, "%sThis is sentence %u.", i > 0 ? " " : "", i);
  json_object_set_string_member (parameters, "text", text->str);
  json_object_set_double_member (parameters, "speed", 4);
  result = speak (fixture, parameters, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mouth.texts->len, >, 4);
  for (guint i = 0; i < mouth.texts->len; i++) {
    g_assert_true (g_str_has_suffix (mouth.texts->pdata[i], "."));
    g_string_append_printf (again, "%s%s", i > 0 ? " " : "", (char *)mouth.texts->pdata[i]);
  }
  g_assert_cmpstr (again->str, ==, text->str);
  g_assert_cmpfloat_with_epsilon (
      derush_json_get_number (result, "duration", 0),
      (double)(text->len - (mouth.texts->len - 1)) * PER_CHARACTER / 4 + 0.3 * (mouth.texts->len - 1), 0.2);
}

static void
test_faults (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *parameters;
    gboolean broken;
    DerushErrorClass error_class;
  } cases[] = {
      {"{\"text\":\" \"}", FALSE, DERUSH_ERROR_BAD_INPUT},
      {"{\"cues\":[{\"start\":1,\"end\":2,\"text\":\" \"}]}", FALSE, DERUSH_ERROR_BAD_INPUT},
      {"{\"cues\":[{\"start\":90000,\"end\":90001,\"text\":\"late\"}]}", FALSE, DERUSH_ERROR_BAD_INPUT},
      {"{\"text\":\"Hello.\"}", TRUE, DERUSH_ERROR_MODEL},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (JsonObject) parameters = derush_json_parse_object (cases[i].parameters, -1, NULL);
    g_autoptr (GError) error = NULL;

    mouth.broken = cases[i].broken;
    g_assert_null (speak (fixture, parameters, &error));
    g_assert_nonnull (error);
    g_assert_cmpint (error->code, ==, (int)cases[i].error_class);
  }
}

/* What other servers send: stereo, of unknown length, with chunks that nobody needs. */
static void
test_wav (Fixture *fixture, gconstpointer data)
{
  static const guint8 wav[] =
      "RIFF\xff\xff\xff\xffWAVELIST\4\0\0\0abcdfmt \x10\0\0\0\1\0\2\0\x80\xbb\0\0\0\xee\2\0\4\0\x10\0"
      "data\xff\xff\xff\xff\x10\0\x20\0\x30\0\x50\0";
  g_autofree char *path = g_build_filename (fixture->directory, "other.wav", NULL);
  g_autoptr (DerushVoice) voice = NULL, slow = derush_voice_new (24000);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, (const char *)wav, sizeof wav - 1, NULL));
  voice = derush_voice_read (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (voice->rate, ==, 48000);
  g_assert_cmpuint (voice->samples->len, ==, 2);
  g_assert_cmpint (g_array_index (voice->samples, gint16, 0), ==, 0x18);
  g_assert_cmpint (g_array_index (voice->samples, gint16, 1), ==, 0x40);
  derush_voice_add (slow, voice);
  g_assert_cmpuint (slow->samples->len, ==, 1);
  for (gsize length = 0; length < sizeof wav - 9; length++) {
    g_autoptr (DerushVoice) part = NULL;

    g_assert_true (g_file_set_contents (path, (const char *)wav, (gssize)length, NULL));
    part = derush_voice_read (path, NULL);
    g_assert_true (!part || part->samples->len == 0);
  }
}

static void
test_marks (void)
{
  static const struct {
    const char *written, *spoken;
  } cases[] = {
      {"<speak>Hello <break time=\"1s\"/><b>world</b> &amp; friends.</speak>", "Hello \nworld & friends."},
      {"<v Bob>Well, <i>now</i></v>", "Well, now"},
      {"# A *bold* `step`\n- **one**\n- [two](https://example.com/a)", "A bold step\none\ntwo"},
      {"3 < 4, 2 * 3 * 4 and snake_case_name stay, as does a<b.",
       "3 < 4, 2 * 3 * 4 and snake_case_name stay, as does a<b."},
      {"{\\an8}On top", "On top"},
      {"Tom &lt;3 Jerry", "Tom <3 Jerry"},
      {"<!-- a note -->", ""},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *spoken = derush_text_to_spoken (cases[i].written);

    g_assert_cmpstr (spoken, ==, cases[i].spoken);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, test) g_test_add ("/models/speak/" path, Fixture, NULL, set_up, test, tear_down)
  ADD ("cues-are-spoken-in-their-times-and-faster-where-they-have-to-be", test_cues);
  ADD ("a-text-that-is-a-file-of-subtitles-is-spoken-in-its-times", test_subtitles);
  ADD ("a-cue-that-does-not-fit-is-told-and-the-next-one-waits", test_overflow);
  ADD ("a-long-text-is-spoken-in-parts-that-end-with-sentences", test_long_text);
  ADD ("nothing-to-say-and-no-sound-are-faults", test_faults);
  ADD ("wav-files-of-others-are-read", test_wav);
  g_test_add_func ("/models/speak/marks-are-not-read-out", test_marks);
  return g_test_run ();
}
