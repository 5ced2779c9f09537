/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "../analysis/pictures.h"

#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <string.h>

#define WIDTH 192
#define HEIGHT 108
#define FRAME (GST_SECOND / 25)

typedef struct {
  GstHarness *harness;
  GstBus *bus;
  Scene *scenes[2];
  Picture *picture;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->harness = gst_harness_new ("shotdetect");
  f->bus = gst_bus_new ();
  gst_element_set_bus (f->harness->element, f->bus);
  gst_harness_set_src_caps_str (f->harness, "video/x-raw, format=I420, width=192, height=108, framerate=25/1");
  for (guint i = 0; i < 2; i++)
    f->scenes[i] = scene_new (WIDTH, HEIGHT, 40 + i);
  f->picture = picture_new (WIDTH, HEIGHT);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  gst_element_set_bus (f->harness->element, NULL);
  gst_harness_teardown (f->harness);
  gst_object_unref (f->bus);
  for (guint i = 0; i < 2; i++)
    scene_free (f->scenes[i]);
  picture_free (f->picture);
}

static GstBuffer *
make_buffer (Fixture *f, guint scene, GstClockTime timestamp)
{
  GstBuffer *buffer;

  scene_show (f->scenes[scene], 0, f->picture);
  buffer = gst_buffer_new_memdup (f->picture->data, WIDTH * HEIGHT * 3 / 2);
  GST_BUFFER_PTS (buffer) = timestamp;
  GST_BUFFER_DURATION (buffer) = FRAME;
  return buffer;
}

static void
push (Fixture *f, guint scene, GstClockTime start, guint n)
{
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (gst_harness_push (f->harness, make_buffer (f, scene, start + i * FRAME)), ==, GST_FLOW_OK);
}

static const GstStructure *
next_message (Fixture *f, GstMessage **message)
{
  while ((*message = gst_bus_pop_filtered (f->bus, GST_MESSAGE_ELEMENT))) {
    if (gst_message_has_name (*message, "shotdetect"))
      return gst_message_get_structure (*message);
    gst_message_unref (*message);
  }
  return NULL;
}

static guint
count_messages (Fixture *f)
{
  GstMessage *message;
  guint n = 0;

  while (next_message (f, &message)) {
    gst_message_unref (message);
    n++;
  }
  return n;
}

static guint64
get_time (const GstStructure *structure, const char *name)
{
  guint64 time;

  g_assert_true (gst_structure_get_uint64 (structure, name, &time));
  return time;
}

/* A file whose first timestamp is 83 ms, which its edit list maps to 0. */
static void
test_message (Fixture *f, gconstpointer data)
{
  GstClockTime first = 83 * GST_MSECOND, cut = 30 * FRAME;
  g_autoptr (GstMessage) message = NULL;
  const GstStructure *structure;
  GstSegment segment;
  double score;
  guint index;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = first;
  gst_harness_push_event (f->harness, gst_event_new_segment (&segment));
  push (f, 0, first, 30);
  push (f, 1, first + cut, 30);
  structure = next_message (f, &message);
  g_assert_nonnull (structure);
  g_assert_cmpuint (get_time (structure, "timestamp"), ==, first + cut);
  g_assert_cmpuint (get_time (structure, "stream-time"), ==, cut);
  g_assert_cmpuint (get_time (structure, "running-time"), ==, cut);
  g_assert_cmpuint (get_time (structure, "duration"), ==, FRAME);
  g_assert_cmpuint (get_time (structure, "frame"), ==, 30);
  g_assert_cmpuint (get_time (structure, "shot-start"), ==, 0);
  g_assert_cmpuint (get_time (structure, "shot-end"), ==, cut);
  g_assert_cmpuint (get_time (structure, "transition-start"), ==, cut - FRAME);
  g_assert_cmpuint (get_time (structure, "transition-end"), ==, cut);
  g_assert_cmpstr (gst_structure_get_string (structure, "transition"), ==, "cut");
  g_assert_true (gst_structure_get_uint (structure, "index", &index));
  g_assert_cmpuint (index, ==, 1);
  g_assert_true (gst_structure_get_double (structure, "score", &score));
  g_assert_cmpfloat (score, >, 1);
  g_assert_cmpuint (count_messages (f), ==, 0);
}

static void
test_buffers_pass (Fixture *f, gconstpointer data)
{
  GstBuffer *in = make_buffer (f, 0, 0), *out;

  gst_buffer_ref (in);
  g_assert_cmpint (gst_harness_push (f->harness, in), ==, GST_FLOW_OK);
  out = gst_harness_pull (f->harness);
  g_assert_true (in == out);
  gst_buffer_unref (in);
  gst_buffer_unref (out);
}

/* The last cut is known to be one only when nothing follows. */
static void
test_before_eos (Fixture *f, gconstpointer data)
{
  push (f, 0, 0, 30);
  push (f, 1, 30 * FRAME, 4);
  g_assert_cmpuint (count_messages (f), ==, 0);
  g_assert_true (gst_harness_push_event (f->harness, gst_event_new_eos ()));
  g_assert_cmpuint (count_messages (f), ==, 1);
}

/* An element behind hears of the cut in the stream, whether or not messages are posted. */
static void
test_event (Fixture *f, gconstpointer data)
{
  GstEvent *event;
  guint n = 0;

  g_object_set (f->harness->element, "post-messages", FALSE, NULL);
  push (f, 0, 0, 30);
  push (f, 1, 30 * FRAME, 30);
  while ((event = gst_harness_try_pull_event (f->harness))) {
    if (gst_event_has_name (event, "derush-shot")) {
      g_assert_cmpuint (get_time (gst_event_get_structure (event), "stream-time"), ==, 30 * FRAME);
      n++;
    }
    gst_event_unref (event);
  }
  g_assert_cmpuint (n, ==, 1);
}

static void
test_no_messages (Fixture *f, gconstpointer data)
{
  g_object_set (f->harness->element, "post-messages", FALSE, NULL);
  push (f, 0, 0, 30);
  push (f, 1, 30 * FRAME, 30);
  gst_harness_push_event (f->harness, gst_event_new_eos ());
  g_assert_cmpuint (count_messages (f), ==, 0);
}

static void
test_transitions (Fixture *f, gconstpointer data)
{
  gst_util_set_object_arg (G_OBJECT (f->harness->element), "transitions", "dissolve+wipe");
  push (f, 0, 0, 30);
  push (f, 1, 30 * FRAME, 30);
  gst_harness_push_event (f->harness, gst_event_new_eos ());
  g_assert_cmpuint (count_messages (f), ==, 0);
}

/* What comes after a seek has nothing to do with what was before. */
static void
test_flush (Fixture *f, gconstpointer data)
{
  g_autoptr (GstMessage) message = NULL;
  const GstStructure *structure;
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  push (f, 0, 0, 30);
  gst_harness_push_event (f->harness, gst_event_new_flush_start ());
  gst_harness_push_event (f->harness, gst_event_new_flush_stop (TRUE));
  segment.start = segment.time = segment.position = 10 * GST_SECOND;
  gst_harness_push_event (f->harness, gst_event_new_segment (&segment));
  push (f, 1, 10 * GST_SECOND, 30);
  push (f, 0, 10 * GST_SECOND + 30 * FRAME, 30);
  structure = next_message (f, &message);
  g_assert_nonnull (structure);
  g_assert_cmpuint (get_time (structure, "stream-time"), ==, 10 * GST_SECOND + 30 * FRAME);
  g_assert_cmpuint (get_time (structure, "frame"), ==, 30);
  g_assert_cmpuint (get_time (structure, "shot-start"), ==, 10 * GST_SECOND);
  g_assert_cmpuint (count_messages (f), ==, 0);
}

/* Frames that are missing may hide anything; the count goes on. */
static void
test_discont (Fixture *f, gconstpointer data)
{
  GstBuffer *buffer;
  g_autoptr (GstMessage) message = NULL;
  const GstStructure *structure;

  push (f, 0, 0, 30);
  buffer = make_buffer (f, 1, 30 * FRAME);
  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (f->harness, buffer);
  push (f, 1, 31 * FRAME, 29);
  push (f, 0, 60 * FRAME, 30);
  structure = next_message (f, &message);
  g_assert_nonnull (structure);
  g_assert_cmpuint (get_time (structure, "frame"), ==, 60);
  g_assert_cmpuint (count_messages (f), ==, 0);
}

static void
test_outside_the_segment (Fixture *f, gconstpointer data)
{
  g_autoptr (GstMessage) message = NULL;
  const GstStructure *structure;
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = 10 * FRAME;
  gst_harness_push_event (f->harness, gst_event_new_segment (&segment));
  push (f, 1, 0, 10);
  push (f, 0, 10 * FRAME, 30);
  push (f, 1, 40 * FRAME, 30);
  structure = next_message (f, &message);
  g_assert_nonnull (structure);
  g_assert_cmpuint (get_time (structure, "frame"), ==, 30);
  g_assert_cmpuint (count_messages (f), ==, 0);
}

static void
test_no_timestamps (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 60; i++)
    gst_harness_push (f->harness, make_buffer (f, i / 30, GST_CLOCK_TIME_NONE));
  gst_harness_push_event (f->harness, gst_event_new_eos ());
  g_assert_cmpuint (count_messages (f), ==, 0);
  g_assert_cmpuint (gst_harness_buffers_received (f->harness), ==, 60);
}

static void
test_size_change (Fixture *f, gconstpointer data)
{
  push (f, 0, 0, 30);
  gst_harness_set_src_caps_str (f->harness, "video/x-raw, format=I420, width=96, height=216, framerate=25/1");
  push (f, 1, 30 * FRAME, 30);
  gst_harness_push_event (f->harness, gst_event_new_eos ());
  g_assert_cmpuint (count_messages (f), ==, 0);
  g_assert_cmpuint (gst_harness_buffers_received (f->harness), ==, 60);
}

static void
check_format (const char *format)
{
  Fixture f;
  g_autofree char *line = g_strdup_printf ("videoconvert ! video/x-raw,format=%s ! shotdetect name=s", format);

  set_up (&f, NULL);
  gst_harness_teardown (f.harness);
  f.harness = gst_harness_new_parse (line);
  gst_element_set_bus (f.harness->element, f.bus);
  gst_harness_set_src_caps_str (f.harness, "video/x-raw, format=I420, width=192, height=108, framerate=25/1");
  push (&f, 0, 0, 20);
  push (&f, 1, 20 * FRAME, 20);
  g_assert_true (gst_harness_push_event (f.harness, gst_event_new_eos ()));
  g_test_message ("%s", format);
  g_assert_cmpuint (count_messages (&f), ==, 1);
  tear_down (&f, NULL);
}

static void
test_formats (void)
{
  g_autoptr (GstElementFactory) factory = gst_element_factory_find ("shotdetect");
  const GList *templates = gst_element_factory_get_static_pad_templates (factory);
  g_autoptr (GstCaps) caps = gst_static_pad_template_get_caps (templates->data);
  const GValue *formats = gst_structure_get_value (gst_caps_get_structure (caps, 0), "format");

  g_assert_cmpuint (gst_value_list_get_size (formats), >, 10);
  for (guint i = 0; i < gst_value_list_get_size (formats); i++)
    check_format (g_value_get_string (gst_value_list_get_value (formats, i)));
}

static void
add (const char *path, void (*func) (Fixture *, gconstpointer))
{
  g_test_add (path, Fixture, NULL, set_up, func, tear_down);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  add ("/shotdetect/a-message-tells-where-the-new-shot-starts-in-the-film", test_message);
  add ("/shotdetect/buffers-pass-unchanged", test_buffers_pass);
  add ("/shotdetect/the-last-changes-are-posted-before-eos", test_before_eos);
  add ("/shotdetect/a-cut-is-an-event-downstream", test_event);
  add ("/shotdetect/no-messages-if-not-wanted", test_no_messages);
  add ("/shotdetect/only-the-transitions-asked-for", test_transitions);
  add ("/shotdetect/a-seek-begins-anew", test_flush);
  add ("/shotdetect/a-discontinuity-is-no-cut", test_discont);
  add ("/shotdetect/what-is-not-shown-does-not-count", test_outside_the_segment);
  add ("/shotdetect/without-timestamps-buffers-pass", test_no_timestamps);
  add ("/shotdetect/another-size-is-no-cut", test_size_change);
  g_test_add_func ("/shotdetect/every-format-is-measured", test_formats);
  return g_test_run ();
}
