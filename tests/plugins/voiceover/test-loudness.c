/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include <gst/audio/audio.h>
#include <gst/check/gstharness.h>
#include <math.h>

/* One stretch of a tone: seconds at so many dBFS, of which full scale is a sine of peak 1. */
typedef struct {
  double seconds;
  double level;
} Stretch;

static GstHarness *
new_harness (GstBus **bus)
{
  GstHarness *h = gst_harness_new ("loudness");

  *bus = gst_bus_new ();
  gst_element_set_bus (h->element, *bus);
  return h;
}

static void
set_caps (GstHarness *h, const char *format, guint rate, guint channels, guint64 mask)
{
  g_autofree char *caps = g_strdup_printf (
      "audio/x-raw,format=%s%s,layout=interleaved,rate=%u,channels=%u,channel-mask=(bitmask)0x%" G_GINT64_MODIFIER "x",
      format, G_BYTE_ORDER == G_LITTLE_ENDIAN ? "LE" : "BE", rate, channels, mask);

  gst_harness_set_src_caps_str (h, caps);
}

static void
put_sample (gpointer data, guint i, const char *format, double sample)
{
  if (g_str_equal (format, "S16"))
    ((gint16 *)data)[i] = (gint16)lrint (CLAMP (sample * 32768, -32768, 32767));
  else if (g_str_equal (format, "S32"))
    ((gint32 *)data)[i] = (gint32)lrint (CLAMP (sample * 2147483648.0, -2147483648.0, 2147483647.0));
  else if (g_str_equal (format, "F32"))
    ((float *)data)[i] = (float)sample;
  else
    ((double *)data)[i] = sample;
}

static guint
bytes_per_sample (const char *format)
{
  return g_str_equal (format, "S16") ? 2 : g_str_equal (format, "F64") ? 8 : 4;
}

/* Frames of a tone of 997 Hz at @amplitude in the channels of @mask, from the frame @first on. */
static GstBuffer *
make_tone (const char *format, guint rate, guint channels, guint64 which, double amplitude, guint64 first, guint frames)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, (gsize)frames * channels * bytes_per_sample (format), NULL);
  GstMapInfo map;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
  for (guint i = 0; i < frames; i++)
    for (guint c = 0; c < channels; c++)
      put_sample (map.data, i * channels + c, format,
                  which >> c & 1 ? amplitude * sin (2 * G_PI * 997 * (double)((first + i) % rate) / rate) : 0);
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = gst_util_uint64_scale (first, GST_SECOND, rate);
  GST_BUFFER_DURATION (buffer) = gst_util_uint64_scale (frames, GST_SECOND, rate);
  return buffer;
}

static double
amplitude_of (double decibels)
{
  return pow (10, decibels / 20);
}

static guint64
push_tone (GstHarness *h, const char *format, guint rate, guint channels, guint64 which, const Stretch *stretch,
           guint64 first)
{
  guint64 left = (guint64)(stretch->seconds * rate + 0.5);

  while (left > 0) {
    guint n = (guint)MIN (left, 4410);

    g_assert_cmpint (
        gst_harness_push (h, make_tone (format, rate, channels, which, amplitude_of (stretch->level), first, n)), ==,
        GST_FLOW_OK);
    gst_buffer_unref (gst_harness_pull (h));
    first += n;
    left -= n;
  }
  return first;
}

static GPtrArray *
take_messages (GstBus *bus)
{
  GPtrArray *structures = g_ptr_array_new_with_free_func ((GDestroyNotify)gst_structure_free);
  GstMessage *message;

  while ((message = gst_bus_pop (bus))) {
    if (gst_message_has_name (message, "ebur128-level"))
      g_ptr_array_add (structures, gst_structure_copy (gst_message_get_structure (message)));
    gst_message_unref (message);
  }
  return structures;
}

static double
number (const GstStructure *structure, const char *field)
{
  double value = NAN;

  g_assert_true (gst_structure_get_double (structure, field, &value));
  g_assert_false (isnan (value));
  return value;
}

static double
peak (const GstStructure *structure, const char *field, guint channel)
{
  const GValue *array = gst_structure_get_value (structure, field);
  double value;

  g_assert_true (GST_VALUE_HOLDS_ARRAY (array));
  value = g_value_get_double (gst_value_array_get_value (array, channel));
  g_assert_false (isnan (value));
  return value;
}

static GstClockTime
clock_time (const GstStructure *structure, const char *field)
{
  GstClockTime value;

  g_assert_true (gst_structure_get_clock_time (structure, field, &value));
  return value;
}

static gboolean
is_whole (const GstStructure *structure)
{
  gboolean whole;

  g_assert_true (gst_structure_get_boolean (structure, "whole", &whole));
  return whole;
}

static void
assert_near (double value, double expected, double tolerance)
{
  g_assert_cmpfloat (value, >=, expected - tolerance);
  g_assert_cmpfloat (value, <=, expected + tolerance);
}

/* The last of the messages, of which there is one for the whole. */
static const GstStructure *
whole_of (GPtrArray *messages)
{
  const GstStructure *last;

  g_assert_cmpuint (messages->len, >, 0);
  last = g_ptr_array_index (messages, messages->len - 1);
  g_assert_true (is_whole (last));
  for (guint i = 0; i + 1 < messages->len; i++)
    g_assert_false (is_whole (g_ptr_array_index (messages, i)));
  return last;
}

typedef struct {
  const char *name;
  const char *format;
  guint rate;
  guint channels;
  guint64 mask;
  guint64 which; /* channels with the tone */
  double level;
  double expected;
  gboolean dual_mono;
} ToneCase;

/* A sine of 997 Hz in one channel has its level less 3 dB, and surround channels weigh 1.41 (BS.1770). */
static const ToneCase tone_cases[] = {
    {"stereo", "F32", 48000, 2, 3, 3, -23, -23, FALSE},
    {"at-16-bits", "S16", 44100, 2, 3, 3, -23, -23, FALSE},
    {"at-32-bits", "S32", 96000, 2, 3, 3, -40, -40, FALSE},
    {"at-64-bits", "F64", 32000, 2, 3, 3, 0, 0, FALSE},
    {"left-only", "F32", 48000, 2, 3, 1, -23, -26, FALSE},
    {"mono", "F32", 48000, 1, 4, 1, -23, -26, FALSE},
    {"dual-mono", "F32", 48000, 1, 4, 1, -23, -23, TRUE},
    {"5.1-centre", "F32", 48000, 6, 0x3f, 4, -24, -27, FALSE},
    {"5.1-surround", "F32", 48000, 6, 0x3f, 0x30, -24, -22.5, FALSE},
    {"5.1-side", "F32", 48000, 6, 0xc0f, 0x30, -24, -22.5, FALSE},
    {"5.1-all", "S16", 48000, 6, 0x3f, 0x37, -24, -19.36, FALSE},
    {"7.1-rear", "F32", 48000, 8, 0xc3f, 0x30, -24, -24, FALSE},
    {"without-positions", "F32", 48000, 4, 0, 0xc, -24, -24, FALSE},
};

static void
test_tone (gconstpointer data)
{
  const ToneCase *c = data;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  const Stretch stretch = {5, c->level};
  const GstStructure *whole;

  g_object_set (h->element, "dual-mono", c->dual_mono, NULL);
  set_caps (h, c->format, c->rate, c->channels, c->mask);
  push_tone (h, c->format, c->rate, c->channels, c->which, &stretch, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  g_assert_cmpuint (messages->len, ==, 6);
  whole = whole_of (messages);
  assert_near (number (whole, "global-loudness"), c->expected, 0.1);
  assert_near (number (whole, "momentary-loudness"), c->expected, 0.1);
  assert_near (number (whole, "shortterm-loudness"), c->expected, 0.1);
  assert_near (number (whole, "relative-threshold"), c->expected - 10, 0.1);
  assert_near (number (whole, "loudness-range"), 0, 0.2);
  for (guint i = 0; i < c->channels; i++) {
    double expected = c->which >> i & 1 ? amplitude_of (c->level) : 0;

    assert_near (peak (whole, "sample-peak", i), expected, 0.002 * expected + 1e-4);
    assert_near (peak (whole, "true-peak", i), expected, 0.02 * expected + 1e-4);
  }
  gst_harness_teardown (h);
}

/* The LFE channel does not count, but has a peak. */
static void
test_lfe (void)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  const Stretch stretch = {2, -6};
  const GstStructure *whole;

  set_caps (h, "F32", 48000, 6, 0x3f);
  push_tone (h, "F32", 48000, 6, 8, &stretch, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  whole = whole_of (messages);
  g_assert_true (isinf (number (whole, "global-loudness")));
  assert_near (peak (whole, "sample-peak", 3), 0.5, 0.01);
  gst_harness_teardown (h);
}

typedef struct {
  const char *name;
  double expected;
  Stretch stretches[6];
} EbuCase;

/* Cases 1 to 5 of EBU Tech 3341, with their 1000 Hz at 997. */
static const EbuCase ebu_cases[] = {
    {"1", -23, {{20, -23}}},
    {"2", -33, {{20, -33}}},
    {"3", -23, {{10, -36}, {60, -23}, {10, -36}}},
    {"4", -23, {{10, -72}, {10, -36}, {60, -23}, {10, -36}, {10, -72}}},
    {"5", -23, {{20, -26}, {20.1, -20}, {20, -26}}},
};

static void
test_ebu (gconstpointer data)
{
  const EbuCase *c = data;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  guint64 at = 0;

  gst_util_set_object_arg (G_OBJECT (h->element), "mode", "global");
  set_caps (h, "F32", 48000, 2, 3);
  for (guint i = 0; i < G_N_ELEMENTS (c->stretches) && c->stretches[i].seconds > 0; i++)
    at = push_tone (h, "F32", 48000, 2, 3, &c->stretches[i], at);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  assert_near (number (whole_of (messages), "global-loudness"), c->expected, 0.1);
  gst_harness_teardown (h);
}

/* Case 1 of EBU Tech 3342: 20 s at −20, then 20 s at −30 LUFS. */
static void
test_range (void)
{
  static const Stretch stretches[] = {{20, -20}, {20, -30}};
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  guint64 at = 0;

  gst_util_set_object_arg (G_OBJECT (h->element), "mode", "loudness-range");
  set_caps (h, "F32", 48000, 2, 3);
  for (guint i = 0; i < 2; i++)
    at = push_tone (h, "F32", 48000, 2, 3, &stretches[i], at);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  assert_near (number (whole_of (messages), "loudness-range"), 10, 1);
  gst_harness_teardown (h);
}

/* A quarter of the sample rate, sampled beside its tops. */
static void
test_true_peak (void)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 48000 * sizeof (float), NULL);
  const GstStructure *whole;
  GstMapInfo map;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
  for (guint i = 0; i < 48000; i++)
    ((float *)map.data)[i] = (float)(0.5 * sin (G_PI / 2 * i + G_PI / 4));
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = 0;
  set_caps (h, "F32", 48000, 1, 4);
  gst_harness_push (h, buffer);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  whole = whole_of (messages);
  assert_near (peak (whole, "sample-peak", 0), 0.3536, 0.001);
  assert_near (20 * log10 (peak (whole, "true-peak", 0) / 0.5), 0, 0.4);
  gst_harness_teardown (h);
}

static void
test_intervals (void)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  const Stretch stretch = {1.1, -20};

  g_object_set (h->element, "interval", 250 * GST_MSECOND, NULL);
  set_caps (h, "F32", 48000, 2, 3);
  push_tone (h, "F32", 48000, 2, 3, &stretch, 0);
  g_assert_cmpuint (gst_bus_have_pending (bus), ==, TRUE);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  g_assert_cmpuint (messages->len, ==, 5);
  for (guint i = 0; i < 5; i++) {
    const GstStructure *message = g_ptr_array_index (messages, i);
    GstClockTime until = i < 4 ? (i + 1) * 250 * GST_MSECOND : 1100 * GST_MSECOND;

    g_assert_cmpuint (clock_time (message, "timestamp") / 10 + 1, >=, until / 10);
    g_assert_cmpuint (clock_time (message, "timestamp") / 10, <=, until / 10);
    g_assert_cmpuint (clock_time (message, "duration"), ==, i < 4 ? 250 * GST_MSECOND : until);
    g_assert_cmpint (is_whole (message), ==, i == 4);
  }
  gst_harness_teardown (h);
}

static void
test_positions (void)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  const Stretch stretch = {1, -20};
  const GstStructure *message;
  GstSegment segment;

  set_caps (h, "F32", 48000, 2, 3);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = 100000 * GST_SECOND;
  segment.time = 10 * GST_SECOND;
  segment.base = 5 * GST_SECOND;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push_tone (h, "F32", 48000, 2, 3, &stretch, G_GUINT64_CONSTANT (4800000000));
  messages = take_messages (bus);
  g_assert_cmpuint (messages->len, ==, 1);
  message = g_ptr_array_index (messages, 0);
  g_assert_cmpuint ((clock_time (message, "timestamp") + 5) / 10, ==, 100001 * (GST_SECOND / 10));
  g_assert_cmpuint ((clock_time (message, "stream-time") + 5) / 10, ==, 11 * (GST_SECOND / 10));
  g_assert_cmpuint ((clock_time (message, "running-time") + 5) / 10, ==, 6 * (GST_SECOND / 10));
  gst_harness_teardown (h);
}

static void
test_silence (void)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  const Stretch stretch = {2, -1000};

  set_caps (h, "F32", 48000, 2, 3);
  push_tone (h, "F32", 48000, 2, 3, &stretch, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  g_assert_cmpuint (messages->len, ==, 3);
  for (guint i = 0; i < messages->len; i++) {
    const GstStructure *message = g_ptr_array_index (messages, i);

    g_assert_cmpint (isinf (number (message, "global-loudness")), ==, -1);
    g_assert_cmpint (isinf (number (message, "momentary-loudness")), ==, -1);
    g_assert_cmpint (isinf (number (message, "shortterm-loudness")), ==, -1);
    g_assert_cmpfloat (number (message, "relative-threshold"), ==, -70);
    g_assert_cmpfloat (number (message, "loudness-range"), ==, 0);
    g_assert_cmpfloat (peak (message, "sample-peak", 1), ==, 0);
    g_assert_cmpfloat (peak (message, "true-peak", 1), ==, 0);
  }
  gst_harness_teardown (h);
}

static void
test_no_numbers (void)
{
  static const char *const formats[] = {"F32", "F64"};
  static const double bad[] = {NAN, INFINITY, -INFINITY, 1e30};

  for (guint k = 0; k < 8; k++) {
    g_autoptr (GstBus) bus = NULL;
    g_autoptr (GPtrArray) messages = NULL;
    GstHarness *h = new_harness (&bus);
    const Stretch stretch = {3, -23};
    GstBuffer *buffer;
    GstMapInfo map;
    const char *format = formats[k % 2];

    set_caps (h, format, 48000, 2, 3);
    buffer = make_tone (format, 48000, 2, 3, 0.01, 0, 100);
    g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
    put_sample (map.data, 77, format, bad[k / 2]);
    gst_buffer_unmap (buffer, &map);
    gst_harness_push (h, buffer);
    push_tone (h, format, 48000, 2, 3, &stretch, 100);
    gst_harness_push_event (h, gst_event_new_eos ());
    messages = take_messages (bus);
    assert_near (number (whole_of (messages), "global-loudness"), -23, 0.1);
    assert_near (peak (whole_of (messages), "true-peak", 1), amplitude_of (-23), 0.003);
    gst_harness_teardown (h);
  }
}

/* Time passes in gaps, however long, and what was loud goes out of the windows. */
static void
test_gaps (void)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  const Stretch stretch = {2, -23};
  const GstStructure *whole;
  guint64 at;

  g_object_set (h->element, "interval", 60 * GST_SECOND, NULL);
  set_caps (h, "F32", 48000, 2, 3);
  at = push_tone (h, "F32", 48000, 2, 3, &stretch, 0);
  gst_harness_push_event (h, gst_event_new_gap (2 * GST_SECOND, 3600 * GST_SECOND));
  at += G_GUINT64_CONSTANT (3600) * 48000;
  {
    GstBuffer *flagged = make_tone ("F32", 48000, 2, 3, 1, at, 48000);

    GST_BUFFER_FLAG_SET (flagged, GST_BUFFER_FLAG_GAP);
    gst_harness_push (h, flagged);
  }
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  g_assert_cmpuint (messages->len, ==, 61);
  whole = whole_of (messages);
  g_assert_cmpuint (clock_time (whole, "duration"), ==, 3603 * GST_SECOND);
  g_assert_cmpuint (clock_time (whole, "timestamp"), ==, 3603 * GST_SECOND);
  assert_near (number (whole, "global-loudness"), -23, 0.5);
  g_assert_true (isinf (number (whole, "momentary-loudness")));
  assert_near (peak (whole, "sample-peak", 0), amplitude_of (-23), 0.001);
  gst_harness_teardown (h);
}

static void
test_flush (void)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  const Stretch loud = {1, -3}, quiet = {1, -33};
  GstSegment segment;

  set_caps (h, "F32", 48000, 2, 3);
  push_tone (h, "F32", 48000, 2, 3, &loud, 0);
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push_tone (h, "F32", 48000, 2, 3, &quiet, 48000);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  g_assert_cmpuint (messages->len, ==, 3);
  assert_near (number (whole_of (messages), "global-loudness"), -33, 0.1);
  gst_harness_teardown (h);
}

/* What was measured until the caps or the segment changed is a whole. */
static void
test_new_measurements (void)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GPtrArray) messages = NULL;
  GstHarness *h = new_harness (&bus);
  const Stretch first = {1, -13}, second = {1, -23}, third = {1, -33};
  GstSegment segment;
  guint whole = 0;

  g_object_set (h->element, "interval", 10 * GST_SECOND, NULL);
  set_caps (h, "F32", 48000, 2, 3);
  push_tone (h, "F32", 48000, 2, 3, &first, 0);
  set_caps (h, "S16", 44100, 1, 4);
  push_tone (h, "S16", 44100, 1, 1, &second, 44100);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = 5 * GST_SECOND;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  push_tone (h, "S16", 44100, 1, 1, &third, 0);
  gst_harness_push_event (h, gst_event_new_eos ());
  messages = take_messages (bus);
  for (guint i = 0; i < messages->len; i++) {
    g_assert_true (is_whole (g_ptr_array_index (messages, i)));
    assert_near (number (g_ptr_array_index (messages, i), "global-loudness"), i == 0 ? -13 : i == 1 ? -26 : -36, 0.1);
    whole++;
  }
  g_assert_cmpuint (whole, ==, 3);
  gst_harness_teardown (h);
}

static void
test_options (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  g_autoptr (GPtrArray) messages = NULL;
  const Stretch stretch = {1, -23};
  const GstStructure *message;
  guint64 at;

  gst_util_set_object_arg (G_OBJECT (h->element), "mode", "momentary+sample-peak");
  g_object_set (h->element, "post-messages", FALSE, NULL);
  set_caps (h, "F32", 48000, 2, 3);
  at = push_tone (h, "F32", 48000, 2, 3, &stretch, 0);
  g_assert_false (gst_bus_have_pending (bus));
  g_object_set (h->element, "post-messages", TRUE, NULL);
  push_tone (h, "F32", 48000, 2, 3, &stretch, at);
  messages = take_messages (bus);
  g_assert_cmpuint (messages->len, ==, 1);
  message = g_ptr_array_index (messages, 0);
  assert_near (number (message, "momentary-loudness"), -23, 0.1);
  g_assert_true (gst_structure_has_field (message, "sample-peak"));
  g_assert_false (gst_structure_has_field (message, "true-peak"));
  g_assert_false (gst_structure_has_field (message, "global-loudness"));
  g_assert_false (gst_structure_has_field (message, "shortterm-loudness"));
  g_assert_false (gst_structure_has_field (message, "loudness-range"));
  gst_harness_teardown (h);
}

static void
test_passes_through (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  GstBuffer *buffer, *out;

  set_caps (h, "F32", 48000, 2, 3);
  buffer = make_tone ("F32", 48000, 2, 3, 0.5, 0, 999);
  gst_harness_push (h, gst_buffer_ref (buffer));
  out = gst_harness_pull (h);
  g_assert_true (out == buffer);
  gst_buffer_unref (out);
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
}

static void
test_no_sample (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);

  set_caps (h, "F32", 48000, 2, 3);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_false (gst_bus_have_pending (bus));
  gst_harness_teardown (h);
}

static GstPadProbeReturn
note_eos (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS)
    *(gboolean *)data = gst_bus_have_pending (GST_ELEMENT_BUS (GST_PAD_PARENT (pad)));
  return GST_PAD_PROBE_OK;
}

static void
test_whole_before_eos (void)
{
  g_autoptr (GstBus) bus = NULL;
  GstHarness *h = new_harness (&bus);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (h->element, "src");
  const Stretch stretch = {0.5, -23};
  gboolean posted = FALSE;

  set_caps (h, "F32", 48000, 2, 3);
  push_tone (h, "F32", 48000, 2, 3, &stretch, 0);
  g_assert_null (gst_bus_peek (bus));
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, note_eos, &posted, NULL);
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_true (posted);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tone_cases); i++) {
    g_autofree char *path = g_strconcat ("/loudness/a-tone-has-its-level/", tone_cases[i].name, NULL);

    g_test_add_data_func (path, &tone_cases[i], test_tone);
  }
  for (guint i = 0; i < G_N_ELEMENTS (ebu_cases); i++) {
    g_autofree char *path = g_strconcat ("/loudness/as-in-ebu-tech-3341/", ebu_cases[i].name, NULL);

    g_test_add_data_func (path, &ebu_cases[i], test_ebu);
  }
  g_test_add_func ("/loudness/the-range-is-as-in-ebu-tech-3342", test_range);
  g_test_add_func ("/loudness/the-lfe-channel-does-not-count", test_lfe);
  g_test_add_func ("/loudness/true-peaks-lie-between-samples", test_true_peak);
  g_test_add_func ("/loudness/messages-come-every-interval-and-for-the-whole", test_intervals);
  g_test_add_func ("/loudness/positions-are-stream-time", test_positions);
  g_test_add_func ("/loudness/silence-is-minus-infinity", test_silence);
  g_test_add_func ("/loudness/samples-that-are-no-numbers-are-silence", test_no_numbers);
  g_test_add_func ("/loudness/gaps-are-silence", test_gaps);
  g_test_add_func ("/loudness/a-flush-starts-afresh", test_flush);
  g_test_add_func ("/loudness/other-caps-and-segments-begin-a-new-measurement", test_new_measurements);
  g_test_add_func ("/loudness/only-what-was-asked-for-is-posted", test_options);
  g_test_add_func ("/loudness/buffers-pass-untouched", test_passes_through);
  g_test_add_func ("/loudness/without-a-sample-nothing-is-posted", test_no_sample);
  g_test_add_func ("/loudness/the-whole-is-posted-before-the-end", test_whole_before_eos);
  return g_test_run ();
}
