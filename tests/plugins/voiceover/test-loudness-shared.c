/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include <gst/gst.h>

/* The gate at −70 LUFS, by the test sequence of ITU-R BS.2217 that is made for it. */
static void
test_absolute_gate (void)
{
  g_autofree char *path =
      g_build_filename (g_getenv ("DERUSH_SHARED"), "media", "loudness", "1770-2_Comp_AbsGateTest.wav", NULL);
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("filesrc name=source ! wavparse ! audioconvert ! loudness ! fakesink", NULL);
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  double loudness = 0;
  gboolean ended = FALSE;

  g_object_set (source, "location", path, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (!ended) {
    g_autoptr (GstMessage) message =
        gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR);

    g_assert_nonnull (message);
    g_assert_cmpint (GST_MESSAGE_TYPE (message), !=, GST_MESSAGE_ERROR);
    if (gst_message_has_name (message, "ebur128-level"))
      g_assert_true (gst_structure_get_double (gst_message_get_structure (message), "global-loudness", &loudness));
    ended = GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS;
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_cmpfloat (loudness, >=, -69.6);
  g_assert_cmpfloat (loudness, <=, -69.4);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/loudness/the-absolute-gate-is-that-of-bs.1770", test_absolute_gate);
  return g_test_run ();
}
