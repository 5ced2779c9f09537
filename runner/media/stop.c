/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <string.h>

#define STOP_TIMEOUT (5 * G_TIME_SPAN_SECOND)

typedef struct {
  gatomicrefcount references;
  GstElement *pipeline;
  gboolean at_once;
  GMutex lock;
  GCond cond;
  gboolean done;
} Stopper;

static void
stopper_unref (Stopper *stopper)
{
  if (!g_atomic_ref_count_dec (&stopper->references))
    return;
  gst_object_unref (stopper->pipeline);
  g_mutex_clear (&stopper->lock);
  g_cond_clear (&stopper->cond);
  g_free (stopper);
}

static GstPadProbeReturn
drop_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  return GST_PAD_PROBE_DROP;
}

/* Encoders first finish the pictures that they have taken in, which can take seconds; flushed, they forget them. */
static void
flush_encoders (GstElement *pipeline)
{
  g_autoptr (GstIterator) elements = gst_bin_iterate_recurse (GST_BIN (pipeline));
  g_auto (GValue) item = G_VALUE_INIT;

  while (gst_iterator_next (elements, &item) == GST_ITERATOR_OK) {
    GstElement *element = g_value_get_object (&item);
    const char *klass = gst_element_get_metadata (element, GST_ELEMENT_METADATA_KLASS);

    if (klass && strstr (klass, "Encoder")) {
      g_autoptr (GstPad) pad = gst_element_get_static_pad (element, "sink");
      g_autoptr (GstPad) before = pad ? gst_pad_get_peer (pad) : NULL;
      g_autoptr (GstPad) src = gst_element_get_static_pad (element, "src");

      if (pad && before && src) {
        /* Nothing comes in or out any more: it would come without the segment that the flush forgets. */
        gst_pad_add_probe (before, GST_PAD_PROBE_TYPE_BUFFER, drop_buffer, NULL, NULL);
        gst_pad_add_probe (src, GST_PAD_PROBE_TYPE_BUFFER, drop_buffer, NULL, NULL);
        gst_pad_send_event (pad, gst_event_new_flush_start ());
        gst_pad_send_event (pad, gst_event_new_flush_stop (TRUE));
      }
    }
    g_value_reset (&item);
  }
}

static gpointer
stop_in_thread (gpointer data)
{
  Stopper *stopper = data;

  if (stopper->at_once)
    flush_encoders (stopper->pipeline);
  gst_element_set_state (stopper->pipeline, GST_STATE_NULL);
  g_mutex_lock (&stopper->lock);
  stopper->done = TRUE;
  g_cond_signal (&stopper->cond);
  g_mutex_unlock (&stopper->lock);
  stopper_unref (stopper);
  return NULL;
}

/* An element that does not stop must not hold the worker: the thread that waits for it is left behind, and whoever
 * started the worker replaces it when it does not answer. */
gboolean
derush_element_stop (GstElement *pipeline, gboolean at_once)
{
  Stopper *stopper = g_new0 (Stopper, 1);
  gint64 deadline = g_get_monotonic_time () + STOP_TIMEOUT;
  gboolean done;

  g_atomic_ref_count_init (&stopper->references);
  g_atomic_ref_count_inc (&stopper->references);
  stopper->pipeline = gst_object_ref (pipeline);
  stopper->at_once = at_once;
  g_mutex_init (&stopper->lock);
  g_cond_init (&stopper->cond);
  g_thread_unref (g_thread_new ("stop", stop_in_thread, stopper));
  g_mutex_lock (&stopper->lock);
  while (!stopper->done && g_cond_wait_until (&stopper->cond, &stopper->lock, deadline))
    ;
  done = stopper->done;
  g_mutex_unlock (&stopper->lock);
  stopper_unref (stopper);
  return done;
}
