/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "mixing.h"

#include <math.h>

#define RATE 48000
#define MS (RATE / 1000)

static GstElement *
new_mixer (void)
{
  GstElement *element = gst_element_factory_make ("voiceovermix", NULL);

  g_assert_nonnull (element);
  return element;
}

static double
decibels (double factor)
{
  return 20 * log10 (factor);
}

static void
assert_near (double value, double expected, double tolerance)
{
  g_assert_cmpfloat (value, >=, expected - tolerance);
  g_assert_cmpfloat (value, <=, expected + tolerance);
}

static void
assert_same (const Output *output, const float *expected, guint frames)
{
  g_assert_cmpuint (output->frames, ==, frames);
  for (guint i = 0; i < frames; i++)
    for (guint c = 0; c < output->channels; c++)
      g_assert_cmpfloat (output->samples[i * output->channels + c], ==, expected[i]);
}

typedef struct {
  const char *name;
  double duck_gain;
  guint voice_start; /* in frames */
  guint program_block;
  guint voice_block;
} DepthCase;

static const DepthCase depth_cases[] = {
    {"as-delivered", -14, RATE, 1024, 1024},      {"slightly", -3, RATE + 1, 1000, 480},
    {"deeply", -60, RATE + 239, 480, 4800},       {"in-odd-blocks", -14, RATE + 479, 37, 48000},
    {"from-the-first-sample", -14, 0, 1024, 441}, {"not-at-all", 0, RATE, 1024, 1024},
};

/* A constant program shows its gain, once the voice is taken away. */
static void
test_depth (gconstpointer data)
{
  const DepthCase *c = data;
  guint frames = 6 * RATE, end = c->voice_start + RATE, steps = 0;
  g_autofree float *program = make_level (0.5f, frames);
  g_autofree float *voice = make_tone (440, 0.25, frames, c->voice_start, end);
  const Input inputs[] = {
      {.pad = "program_0", .samples = program, .frames = frames, .block = c->program_block},
      {.pad = "voice_0", .samples = voice, .frames = frames, .block = c->voice_block},
  };
  g_autofree double *gains = g_new (double, frames);
  g_autoptr (Output) output = NULL;
  GstElement *element = new_mixer ();

  if (c->duck_gain != -14)
    g_object_set (element, "duck-gain", c->duck_gain, NULL);
  output = mix (element, NULL, inputs, 2);
  g_assert_cmpuint (output->frames, ==, frames);
  g_assert_cmpuint (output->start, ==, 0);
  for (guint i = 0; i < frames; i++)
    gains[i] = decibels (MAX (1e-9, (output->samples[i] - voice[i]) / 0.5));
  for (guint i = c->voice_start; i < end + 245 * MS; i++)
    assert_near (gains[i], c->duck_gain, 0.05);
  for (guint i = 0; i + 50 * MS < c->voice_start; i++)
    g_assert_cmpfloat (gains[i], ==, 0);
  for (guint i = end + 3 * RATE; i < frames; i++)
    assert_near (gains[i], 0, 0.001);
  for (guint i = 1; i < frames; i++)
    steps += fabs (gains[i] - gains[i - 1]) > 1.6 * -c->duck_gain / (30 * MS) + 0.01;
  g_assert_cmpuint (steps, ==, 0);
  gst_object_unref (element);
}

static void
test_untouched_without_voice (void)
{
  static const char *const formats[] = {"F32", "S16"};
  guint frames = RATE + 1234;
  g_autofree float *program = make_noise (1, frames);
  g_autofree float *silence = make_level (0, frames);

  for (guint k = 0; k < 8; k++) {
    const char *format = formats[k % 2];
    const Input inputs[] = {
        {.pad = "program_0", .samples = program, .frames = frames, .format = format, .channels = 2},
        /* No voice, a silent one, one that is a gap, one that ends at once. */
        {.pad = "voice_0",
         .samples = silence,
         .frames = k / 2 == 3 ? 0 : frames,
         .gap_to = k / 2 == 2 ? frames : 0,
         .format = format},
    };
    GstElement *element = new_mixer ();
    g_autoptr (Output) output = mix (element, NULL, inputs, k / 2 == 0 ? 1 : 2);

    g_assert_cmpuint (output->channels, ==, 2);
    g_assert_cmpint (output->format, ==, k % 2 == 0 ? GST_AUDIO_FORMAT_F32 : GST_AUDIO_FORMAT_S16);
    assert_same (output, program, frames);
    gst_object_unref (element);
  }
}

static void
test_voice_keeps_its_volume (void)
{
  guint frames = RATE;
  g_autofree float *program = make_level (0, frames);
  g_autofree float *voice = make_noise (0.7f, frames);
  const Input inputs[] = {
      {.pad = "program_0", .samples = program, .frames = frames},
      {.pad = "voice_0", .samples = voice, .frames = frames, .block = 777},
  };
  GstElement *element = new_mixer ();
  g_autoptr (Output) output = mix (element, NULL, inputs, 2);

  assert_same (output, voice, frames);
  gst_object_unref (element);
}

static void
test_all_pads_add_up (void)
{
  guint frames = RATE;
  g_autofree float *a = make_level (0.125f, frames);
  g_autofree float *b = make_level (0.25f, frames);
  g_autofree float *voice = make_tone (300, 0.25, frames, 0, frames);
  const Input inputs[] = {
      {.pad = "voice_1", .samples = voice, .frames = frames},
      {.pad = "program_3", .samples = a, .frames = frames},
      {.pad = "voice_0", .samples = voice, .frames = frames},
      {.pad = "program_0", .samples = b, .frames = frames},
  };
  GstElement *element = new_mixer ();
  g_autoptr (Output) output = mix (element, NULL, inputs, 4);

  g_assert_cmpuint (output->frames, ==, frames);
  for (guint i = 0; i < frames; i++)
    assert_near (output->samples[i], 2 * voice[i] + 0.375 * pow (10, -14 / 20.0), 1e-5);
  gst_object_unref (element);
}

typedef struct {
  const char *name;
  const char *eos_on;
  guint program_frames;
  guint program_gap_from; /* up to its end */
  guint voice_frames;
  guint expected;
} LengthCase;

static const LengthCase length_cases[] = {
    {"as-long-as-the-program", "program", 50001, 50001, 20000, 50001},
    {"not-longer-for-a-voice", "program", 50001, 50001, 90000, 50001},
    {"in-whole-blocks", "program", 48000, 48000, 90000, 48000},
    {"shorter-than-a-block", "program", 100, 100, 90000, 100},
    {"shorter-than-the-look-ahead", "program", 1000, 1000, 500, 1000},
    {"with-the-gap-at-its-end", "program", 60000, 40000, 90000, 60000},
    {"as-long-as-the-voice", "all", 50001, 50001, 90001, 90001},
    {"as-long-as-the-longer-one", "all", 50001, 50001, 90, 50001},
    {"as-the-voice-without-any-program", "program", 0, 0, 30001, 30001},
};

static void
test_length (gconstpointer data)
{
  const LengthCase *c = data;
  g_autofree float *samples = make_noise (0.25f, RATE * 2);
  const Input inputs[] = {
      {.pad = "program_0",
       .samples = samples,
       .frames = c->program_frames,
       .gap_from = c->program_gap_from,
       .gap_to = c->program_frames},
      {.pad = "voice_0", .samples = samples, .frames = c->voice_frames, .block = 1500},
  };
  GstElement *element = new_mixer ();
  g_autoptr (Output) output = NULL;

  gst_util_set_object_arg (G_OBJECT (element), "eos-on", c->eos_on);
  output = mix (element, NULL, inputs, 2);
  g_assert_cmpuint (output->frames, ==, c->expected);
  g_assert_cmpuint (output->start, ==, 0);
  gst_object_unref (element);
}

/* The voice alone may be mixed as well. */
static void
test_no_program_pad (void)
{
  g_autofree float *voice = make_noise (0.25f, 30001);
  const Input input = {.pad = "voice_0", .samples = voice, .frames = 30001};
  GstElement *element = new_mixer ();
  g_autoptr (Output) output = mix (element, NULL, &input, 1);

  assert_same (output, voice, 30001);
  gst_object_unref (element);
}

static void
test_late_voice (void)
{
  guint frames = 2 * RATE, late = RATE / 2;
  g_autofree float *program = make_level (0.5f, frames);
  g_autofree float *voice = make_tone (440, 0.25, RATE, 0, RATE);
  /* By its timestamps, after a gap, and by the offset of its pad. */
  const Input voices[] = {
      {.pad = "voice_0", .samples = voice, .frames = RATE, .start = GST_SECOND / 2},
      {.pad = "voice_0", .samples = voice, .frames = RATE},
  };

  for (guint k = 0; k < 2; k++) {
    const Input inputs[] = {voices[k], {.pad = "program_0", .samples = program, .frames = frames}};
    GstElement *element = new_mixer ();
    g_autoptr (Output) output = NULL;

    if (k == 1) {
      g_autoptr (GstPad) pad = gst_element_request_pad_simple (element, "voice_0");

      gst_pad_set_offset (pad, GST_SECOND / 2);
    }
    output = mix (element, NULL, inputs, 2);
    g_assert_cmpuint (output->frames, ==, frames);
    for (guint i = 0; i + 50 * MS < late; i++)
      g_assert_cmpfloat (output->samples[i], ==, 0.5);
    for (guint i = 0; i < RATE; i++)
      assert_near (output->samples[late + i], voice[i] + 0.5 * pow (10, -14 / 20.0), 1e-4);
    gst_object_unref (element);
  }
}

static void
test_gap_in_voice (void)
{
  guint frames = 4 * RATE;
  g_autofree float *program = make_level (0.5f, frames);
  g_autofree float *voice = make_tone (440, 0.25, frames, 0, frames);
  const Input inputs[] = {
      {.pad = "program_0", .samples = program, .frames = frames},
      {.pad = "voice_0", .samples = voice, .frames = frames, .gap_from = RATE, .gap_to = 3 * RATE},
  };
  GstElement *element = new_mixer ();
  g_autoptr (Output) output = mix (element, NULL, inputs, 2);

  assert_near (output->samples[RATE - 1], voice[RATE - 1] + 0.5 * pow (10, -14 / 20.0), 1e-4);
  for (guint i = 2 * RATE; i < 3 * RATE - 50 * MS; i++)
    g_assert_cmpfloat (output->samples[i], ==, 0.5);
  assert_near (output->samples[3 * RATE], voice[3 * RATE] + 0.5 * pow (10, -14 / 20.0), 1e-4);
  gst_object_unref (element);
}

/* A film that starts late keeps its timestamps; silence in front of it is an option. */
static void
test_start (void)
{
  g_autofree float *program = make_noise (0.5f, RATE);

  for (guint k = 0; k < 2; k++) {
    const Input inputs[] = {
        {.pad = "voice_0", .samples = program, .frames = 100, .start = 3 * GST_SECOND},
        {.pad = "program_0", .samples = program, .frames = RATE, .start = 2 * GST_SECOND},
    };
    GstElement *element = new_mixer ();
    g_autoptr (Output) output = NULL;

    if (k == 1)
      gst_util_set_object_arg (G_OBJECT (element), "start-time-selection", "zero");
    output = mix (element, NULL, inputs, 2);
    g_assert_cmpuint (output->start, ==, k == 0 ? 2 * GST_SECOND : 0);
    g_assert_cmpuint (output->frames, ==, k == 0 ? RATE : 3 * RATE);
    for (guint i = 0; i < RATE / 2; i++)
      g_assert_cmpfloat (output->samples[(k == 0 ? 0 : 2 * RATE) + i], ==, program[i]);
    gst_object_unref (element);
  }
}

static void
test_channels_of_the_program (void)
{
  static const guint channels[] = {1, 2, 6};
  g_autofree float *program = make_level (0.25f, RATE);
  g_autofree float *voice = make_tone (440, 0.25, RATE, 0, RATE);

  for (guint k = 0; k < 9; k++) {
    const Input inputs[] = {
        {.pad = "voice_0", .samples = voice, .frames = RATE, .channels = channels[k / 3], .format = "S16"},
        {.pad = "program_0", .samples = program, .frames = RATE, .channels = channels[k % 3]},
    };
    GstElement *element = new_mixer ();
    g_autoptr (Output) output = mix (element, NULL, inputs, 2);
    double energy = 0;

    g_assert_cmpuint (output->channels, ==, channels[k % 3]);
    g_assert_cmpint (output->format, ==, GST_AUDIO_FORMAT_F32);
    g_assert_cmpuint (output->frames, ==, RATE);
    for (guint i = 0; i < RATE * output->channels; i++) {
      double rest = output->samples[i] - 0.25 * pow (10, -14 / 20.0);

      energy += rest * rest;
    }
    g_assert_cmpfloat (energy / RATE, >, 0.01);
    gst_object_unref (element);
  }
}

static void
test_sixteen_bits_are_limited (void)
{
  g_autofree float *program = make_level (0.75f, RATE);
  g_autofree float *voice = make_level (0.75f, RATE);
  const Input inputs[] = {
      {.pad = "program_0", .samples = program, .frames = RATE},
      {.pad = "voice_0", .samples = voice, .frames = RATE},
  };
  GstElement *element = new_mixer ();
  g_autoptr (Output) output = NULL;

  g_object_set (element, "duck-gain", 0.0, NULL);
  output = mix (element, "audio/x-raw,format=" GST_AUDIO_NE (S16), inputs, 2);
  g_assert_cmpint (output->format, ==, GST_AUDIO_FORMAT_S16);
  for (guint i = 0; i < RATE; i++)
    g_assert_cmpfloat (output->samples[i], ==, 32767 / 32768.0f);
  gst_object_unref (element);
}

static void
test_volume_and_mute (void)
{
  g_autofree float *program = make_level (0.5f, RATE);
  g_autofree float *voice = make_tone (440, 0.25, RATE, 0, RATE);
  const Input inputs[] = {
      {.pad = "program_0", .samples = program, .frames = RATE},
      {.pad = "voice_0", .samples = voice, .frames = RATE},
  };

  for (guint k = 0; k < 2; k++) {
    GstElement *element = new_mixer ();
    g_autoptr (Output) output = NULL;
    g_autoptr (GstPad) program_pad = gst_element_request_pad_simple (element, "program_0");
    g_autoptr (GstPad) voice_pad = gst_element_request_pad_simple (element, "voice_0");

    gst_child_proxy_set (GST_CHILD_PROXY (element), "program_0::volume", 0.5, NULL);
    if (k == 0)
      gst_child_proxy_set (GST_CHILD_PROXY (element), "voice_0::volume", 2.0, NULL);
    else
      gst_child_proxy_set (GST_CHILD_PROXY (element), "voice_0::mute", TRUE, NULL);
    output = mix (element, NULL, inputs, 2);
    for (guint i = 0; i < RATE; i++)
      assert_near (output->samples[i], k == 0 ? 2 * voice[i] + 0.25 * pow (10, -14 / 20.0) : 0.25, 1e-5);
    gst_object_unref (element);
  }
}

/* One broken sample spoils itself, not what follows. */
static void
test_no_numbers (void)
{
  g_autofree float *program = make_level (0.5f, 2 * RATE);
  g_autofree float *voice = make_level (0, 2 * RATE);
  const Input inputs[] = {
      {.pad = "program_0", .samples = program, .frames = 2 * RATE},
      {.pad = "voice_0", .samples = voice, .frames = 2 * RATE},
  };
  GstElement *element = new_mixer ();
  g_autoptr (Output) output = NULL;

  voice[1000] = NAN;
  program[2000] = INFINITY;
  output = mix (element, NULL, inputs, 2);
  for (guint i = 0; i < 2 * RATE; i++)
    if (i != 1000 && i != 2000)
      g_assert_cmpfloat (output->samples[i], ==, 0.5);
  gst_object_unref (element);
}

static void
test_other_rate (void)
{
  g_autoptr (GstElement) element = new_mixer ();
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;
  g_autofree float *samples = make_level (0, RATE);
  const Input inputs[] = {
      {.pad = "program_0", .samples = samples, .frames = RATE},
      {.pad = "voice_0", .samples = samples, .frames = RATE, .rate = 44100},
  };
  GstHarness *h = gst_harness_new_with_element (element, NULL, "src");
  GstHarness *pads[2];

  gst_element_set_bus (element, bus);
  for (guint i = 0; i < 2; i++) {
    pads[i] = gst_harness_new_with_element (element, inputs[i].pad, NULL);
    gst_harness_set_src_caps_str (pads[i], i == 0
                                               ? "audio/x-raw,format=F32LE,layout=interleaved,rate=48000,channels=1"
                                               : "audio/x-raw,format=F32LE,layout=interleaved,rate=44100,channels=1");
  }
  message = gst_bus_timed_pop_filtered (bus, 20 * GST_SECOND, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, &debug);
  g_assert_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT);
  g_assert_nonnull (strstr (debug, "44100"));
  g_assert_nonnull (strstr (debug, "48000"));
  gst_element_set_bus (element, NULL);
  for (guint i = 0; i < 2; i++)
    gst_harness_teardown (pads[i]);
  gst_harness_teardown (h);
}

static GstClockTime
latency_of (guint look_ahead)
{
  g_autoptr (GstElement) element = new_mixer ();
  GstHarness *h;
  GstHarness *program;
  GstClockTime latency;

  g_object_set (element, "look-ahead", look_ahead, NULL);
  h = gst_harness_new_with_element (element, NULL, "src");
  program = gst_harness_new_with_element (element, "program_0", NULL);
  gst_harness_set_upstream_latency (program, 20 * GST_MSECOND);
  gst_harness_set_src_caps_str (program, "audio/x-raw,format=F32LE,layout=interleaved,rate=48000,channels=1");
  latency = gst_harness_query_latency (h);
  gst_harness_teardown (program);
  gst_harness_teardown (h);
  return latency;
}

static void
test_latency (void)
{
  g_assert_cmpuint (latency_of (200) - latency_of (0), ==, 200 * GST_MSECOND);
}

static GstPadProbeReturn
note_first (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstClockTime *first = data;

  if (!GST_CLOCK_TIME_IS_VALID (*first))
    *first = GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

static void
wait_for (GstElement *pipeline, GstMessageType type)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, 20 * GST_SECOND, type | GST_MESSAGE_ERROR);

  g_assert_nonnull (message);
  g_assert_true (GST_MESSAGE_TYPE (message) & type);
}

/* After a seek the sound begins there, without what waited before. */
static void
test_seek (void)
{
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("voiceovermix name=mix ! audio/x-raw,rate=48000 ! fakesink name=sink sync=false "
                        "audiotestsrc num-buffers=400 ! mix.program_0 audiotestsrc num-buffers=400 ! mix.voice_0",
                        NULL);
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");
  GstClockTime first = GST_CLOCK_TIME_NONE;

  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  wait_for (pipeline, GST_MESSAGE_ASYNC_DONE);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, note_first, &first, NULL);
  g_assert_true (gst_element_seek_simple (pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE,
                                          3 * GST_SECOND));
  wait_for (pipeline, GST_MESSAGE_ASYNC_DONE);
  g_assert_cmpuint (first, ==, 3 * GST_SECOND);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  wait_for (pipeline, GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* A pipeline may be run again. */
static void
test_again (void)
{
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("voiceovermix name=mix duck-gain=-18 voice_0::offset=500000000 voice_0::volume=1.2 ! fakesink "
                        "audiotestsrc num-buffers=50 ! mix.program_0 audiotestsrc num-buffers=20 ! mix.voice_0",
                        NULL);

  g_assert_nonnull (pipeline);
  for (guint i = 0; i < 3; i++) {
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    wait_for (pipeline, GST_MESSAGE_EOS);
    gst_element_set_state (pipeline, GST_STATE_NULL);
  }
}

static void
test_live (void)
{
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "voiceovermix name=mix ! audio/x-raw,rate=48000 ! fakesink sync=true "
      "audiotestsrc is-live=true num-buffers=20 ! mix.program_0 audiotestsrc is-live=true num-buffers=10 ! mix.voice_0",
      NULL);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  wait_for (pipeline, GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

static GstPadProbeReturn
change_caps (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstElement *filter = data;

  if (GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info)) >= GST_SECOND) {
    gst_util_set_object_arg (G_OBJECT (filter), "caps", "audio/x-raw,rate=48000,channels=2");
    return GST_PAD_PROBE_REMOVE;
  }
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
count_frames (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  guint64 *frames = data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  GstAudioInfo audio;

  g_assert_true (gst_audio_info_from_caps (&audio, caps));
  g_assert_cmpuint (GST_BUFFER_PTS (buffer) / 10, ==, gst_util_uint64_scale (*frames, GST_SECOND, 48000) / 10);
  *frames += gst_buffer_get_size (buffer) / (guint)GST_AUDIO_INFO_BPF (&audio);
  return GST_PAD_PROBE_OK;
}

/* Downstream may ask for other channels in the middle; no frame is lost. */
static void
test_renegotiation (void)
{
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "voiceovermix name=mix ! capsfilter name=filter caps=audio/x-raw,rate=48000,channels=1 ! fakesink name=sink "
      "audiotestsrc num-buffers=100 samplesperbuffer=1000 ! audio/x-raw,format=F32LE,rate=48000 ! mix.program_0 "
      "audiotestsrc num-buffers=100 samplesperbuffer=1000 ! audio/x-raw,format=F32LE,rate=48000 ! mix.voice_0",
      NULL);
  g_autoptr (GstElement) filter = gst_bin_get_by_name (GST_BIN (pipeline), "filter");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");
  guint64 frames = 0;

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, count_frames, &frames, NULL);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, change_caps, filter, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  wait_for (pipeline, GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_cmpuint (frames, ==, 100000);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (depth_cases); i++) {
    g_autofree char *path =
        g_strconcat ("/voiceovermix/the-program-is-down-at-the-first-sample/", depth_cases[i].name, NULL);

    g_test_add_data_func (path, &depth_cases[i], test_depth);
  }
  for (guint i = 0; i < G_N_ELEMENTS (length_cases); i++) {
    g_autofree char *path = g_strconcat ("/voiceovermix/the-output-is/", length_cases[i].name, NULL);

    g_test_add_data_func (path, &length_cases[i], test_length);
  }
  g_test_add_func ("/voiceovermix/without-a-voice-no-sample-changes", test_untouched_without_voice);
  g_test_add_func ("/voiceovermix/the-voice-keeps-its-volume", test_voice_keeps_its_volume);
  g_test_add_func ("/voiceovermix/several-programs-and-voices-add-up", test_all_pads_add_up);
  g_test_add_func ("/voiceovermix/a-voice-needs-no-program", test_no_program_pad);
  g_test_add_func ("/voiceovermix/a-late-voice-stays-late", test_late_voice);
  g_test_add_func ("/voiceovermix/a-gap-in-the-voice-is-silence", test_gap_in_voice);
  g_test_add_func ("/voiceovermix/the-output-starts-where-the-first-input-does", test_start);
  g_test_add_func ("/voiceovermix/channels-are-those-of-the-program", test_channels_of_the_program);
  g_test_add_func ("/voiceovermix/sixteen-bits-are-limited-to-their-range", test_sixteen_bits_are_limited);
  g_test_add_func ("/voiceovermix/pads-have-a-volume-and-can-be-muted", test_volume_and_mute);
  g_test_add_func ("/voiceovermix/samples-that-are-no-numbers-spoil-nothing-else", test_no_numbers);
  g_test_add_func ("/voiceovermix/another-sample-rate-is-refused-by-name", test_other_rate);
  g_test_add_func ("/voiceovermix/the-look-ahead-adds-to-the-latency", test_latency);
  g_test_add_func ("/voiceovermix/a-seek-starts-afresh", test_seek);
  g_test_add_func ("/voiceovermix/a-pipeline-runs-again", test_again);
  g_test_add_func ("/voiceovermix/live-sources-come-to-their-end", test_live);
  g_test_add_func ("/voiceovermix/other-channels-in-the-middle-lose-no-frame", test_renegotiation);
  return g_test_run ();
}
