/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Clips one after the other as one film. Each begins where the one before was cut off, for picture and sound alike, so
 * that they do not drift apart over many clips: `concat` only keeps the order, the pads carry the offsets, and `audiorate`
 * fills or drops the few samples in between. At most two clips are open at a time: the one that plays and the next; the
 * others are no more than places in the order, so that there may be many.
 */

#include "clips-private.h"
#include "mp4edits-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define POLL (100 * GST_MSECOND)
/* A film of our own making plays; if nothing moves for so long, it never will. */
#define STALL (60 * G_USEC_PER_SEC)

typedef struct {
  GstElement *pipeline;
  const char *file;
  double offset;
  GstPad *places[2];     /* picture, sound: of the concats; (nullable) */
  GstElement *queues[2]; /* while the clip is open */
  GstElement *source, *decoder;
  gint playing; /* atomic: streams that have not ended */
  int fd;
} Input;

static void
input_free (Input *input)
{
  if (input->fd >= 0)
    g_close (input->fd, NULL);
  g_clear_object (&input->places[0]);
  g_clear_object (&input->places[1]);
  g_free (input);
}

static void
on_pad_added (GstElement *decoder, GstPad *pad, gpointer user_data)
{
  Input *input = user_data;
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  const char *name = caps ? gst_structure_get_name (gst_caps_get_structure (caps, 0)) : "";
  GstElement *queue = input->queues[g_str_has_prefix (name, "video/") ? 0 : 1];
  g_autoptr (GstPad) sink = queue ? gst_element_get_static_pad (queue, "sink") : NULL;

  if (sink && !gst_pad_is_linked (sink))
    gst_pad_link (pad, sink);
}

static GstPadProbeReturn
on_event (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  Input *input = user_data;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS && g_atomic_int_dec_and_test (&input->playing))
    gst_element_post_message (
        input->pipeline,
        gst_message_new_application (GST_OBJECT (input->pipeline), gst_structure_new_empty ("derush-clip-ended")));
  return GST_PAD_PROBE_OK;
}

static void
add_place (Input *input, int kind)
{
  g_autoptr (GstElement) concat = gst_bin_get_by_name (GST_BIN (input->pipeline), kind == 0 ? "video" : "audio");

  input->places[kind] = concat ? gst_element_request_pad_simple (concat, "sink_%u") : NULL;
  if (input->places[kind])
    input->playing++;
}

/* The place of a clip in the order; its file is opened when its turn comes. */
static void
add_clip (GstElement *pipeline, const DerushClip *clip, double offset, GPtrArray *inputs)
{
  Input *input = g_new0 (Input, 1);

  g_ptr_array_add (inputs, input);
  input->pipeline = pipeline;
  input->file = clip->file;
  input->offset = offset;
  input->fd = -1;
  add_place (input, 0);
  if (clip->sound)
    add_place (input, 1);
}

static void
add_queue (Input *input, int kind)
{
  GstElement *queue = gst_element_factory_make ("queue", NULL);
  g_autoptr (GstPad) source = gst_element_get_static_pad (queue, "src");

  gst_bin_add (GST_BIN (input->pipeline), queue);
  gst_pad_set_offset (source, (gint64)(input->offset * GST_SECOND));
  gst_pad_add_probe (source, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_event, input, NULL);
  gst_pad_link (source, input->places[kind]);
  gst_element_sync_state_with_parent (queue);
  input->queues[kind] = queue;
}

/* The template has one input, for those who run it as a line. */
static void
remove_input (GstElement *pipeline, DerushTemplate *pipeline_template)
{
  static const char *const queues[] = {"video-in", "audio-in"};
  g_autoptr (GstElement) source =
      gst_bin_get_by_name (GST_BIN (pipeline), derush_template_get_input_element (pipeline_template));
  g_autoptr (GstPad) pad = gst_element_get_static_pad (source, "src");
  g_autoptr (GstPad) peer = gst_pad_get_peer (pad);
  g_autoptr (GstElement) decoder = gst_pad_get_parent_element (peer);

  gst_bin_remove_many (GST_BIN (pipeline), source, decoder, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (queues); i++) {
    g_autoptr (GstElement) queue = gst_bin_get_by_name (GST_BIN (pipeline), queues[i]);
    g_autoptr (GstPad) end = queue ? gst_element_get_static_pad (queue, "src") : NULL;
    g_autoptr (GstPad) place = end ? gst_pad_get_peer (end) : NULL;
    g_autoptr (GstElement) concat = place ? gst_pad_get_parent_element (place) : NULL;

    if (!concat)
      continue;
    gst_bin_remove (GST_BIN (pipeline), queue);
    gst_element_release_request_pad (concat, place);
  }
}

static gboolean
open_clip (DerushMediaJob *job, Input *input, GError **error)
{
  g_autofree char *path = derush_media_job_path (job, input->file, error);
  DerushMp4Edits edits;

  if (!path)
    return FALSE;
  input->fd = g_open (path, O_RDONLY | O_CLOEXEC, 0);
  if (input->fd < 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The new film “%s” cannot be opened: %s"),
                 input->file, g_strerror (errno));
    return FALSE;
  }
  input->source = derush_fd_source_new (NULL, input->fd);
  if (derush_mp4_edits_read (input->fd, &edits))
    derush_fd_source_set_overlay (input->source, edits.offset, edits.bytes, edits.length);
  for (int kind = 0; kind < 2; kind++)
    if (input->places[kind])
      add_queue (input, kind);
  input->decoder = gst_element_factory_make ("decodebin", NULL);
  g_signal_connect (input->decoder, "pad-added", G_CALLBACK (on_pad_added), input);
  /* The pipeline may be on its way to PLAYING in a thread of its own: these two follow it once they are linked, the one
   * that chooses the scheduling first. */
  gst_element_set_locked_state (input->source, TRUE);
  gst_element_set_locked_state (input->decoder, TRUE);
  gst_bin_add_many (GST_BIN (input->pipeline), input->source, input->decoder, NULL);
  gst_element_link (input->source, input->decoder);
  gst_element_set_locked_state (input->decoder, FALSE);
  gst_element_sync_state_with_parent (input->decoder);
  gst_element_set_locked_state (input->source, FALSE);
  gst_element_sync_state_with_parent (input->source);
  return TRUE;
}

static void
close_clip (Input *input)
{
  /* Else a pipeline on its way to PLAYING could wake the source once more, which would push into a pad that pulls. */
  gst_element_set_locked_state (input->source, TRUE);
  gst_element_set_locked_state (input->decoder, TRUE);
  gst_element_set_state (input->source, GST_STATE_NULL);
  gst_element_set_state (input->decoder, GST_STATE_NULL);
  gst_bin_remove_many (GST_BIN (input->pipeline), input->source, input->decoder, NULL);
  for (int kind = 0; kind < 2; kind++) {
    GstElement *queue = g_steal_pointer (&input->queues[kind]);

    if (!queue)
      continue;
    gst_element_set_locked_state (queue, TRUE);
    gst_element_set_state (queue, GST_STATE_NULL);
    gst_bin_remove (GST_BIN (input->pipeline), queue);
  }
  g_close (input->fd, NULL);
  input->fd = -1;
}

/* Those that have ended are closed, the one that plays and the next are open. */
static gboolean
move_on (DerushMediaJob *job, GPtrArray *inputs, GError **error)
{
  guint open = 0;

  for (guint i = 0; i < inputs->len && open < 2; i++) {
    Input *input = g_ptr_array_index (inputs, i);

    if (g_atomic_int_get (&input->playing) > 0) {
      open++;
      if (!input->source && !open_clip (job, input, error))
        return FALSE;
    } else if (input->fd >= 0) {
      close_clip (input);
    }
  }
  return TRUE;
}

static GstElement *
build (DerushMediaJob *job, DerushMediaInfo *info, gboolean sound, GError **error)
{
  g_autofree char *name = g_strdup_printf ("compilation-%s", derush_json_get_string (job->parameters, "format", "mp4"));
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load (name, error);
  GstElement *pipeline;

  if (!pipeline_template)
    return NULL;
  if (!sound)
    derush_template_drop_branch (pipeline_template, "audio");
  if (!derush_profile_apply (pipeline_template, derush_json_get_string (job->parameters, "quality", "medium"), error) ||
      (sound && (!derush_template_set_int (pipeline_template, "rate", derush_sound_rate (info->audio_rate), error) ||
                 !derush_template_set_int (pipeline_template, "channels", info->audio_channels == 1 ? 1 : 2, error))))
    return NULL;
  pipeline = derush_template_build (pipeline_template, error);
  if (pipeline)
    remove_input (pipeline, pipeline_template);
  return pipeline;
}

static gboolean
run (DerushMediaJob *job, GstElement *pipeline, GPtrArray *inputs, double duration, const char *name, GError **error)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gint64 position, last = -1, moved = g_get_monotonic_time ();

  if (!move_on (job, inputs, error))
    return FALSE;
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (!g_cancellable_set_error_if_cancelled (job->cancellable, error)) {
    g_autoptr (GstMessage) message =
        gst_bus_timed_pop_filtered (bus, POLL, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_APPLICATION);

    if (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
      return TRUE;
    if (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_APPLICATION) {
      if (!move_on (job, inputs, error))
        return FALSE;
    } else if (message) {
      g_autoptr (GError) failure = NULL;

      gst_message_parse_error (message, &failure, NULL);
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The clips could not be put into “%s”: %s"),
                   name, failure->message);
      return FALSE;
    }
    if (gst_element_query_position (pipeline, GST_FORMAT_TIME, &position) && position != last) {
      last = position;
      moved = g_get_monotonic_time ();
      derush_media_job_progress (job, duration > 0 ? (double)position / GST_SECOND / duration : 0);
    }
    if (g_get_monotonic_time () - moved > STALL) {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The clips could not be put into “%s”: %s"),
                   name, _ ("nothing moves any more"));
      return FALSE;
    }
  }
  return FALSE;
}

gboolean
derush_clips_merge (DerushMediaJob *job, DerushMediaInfo *info, const DerushClip *clips, guint n_clips,
                    const char *name, GError **error)
{
  g_autoptr (GPtrArray) inputs = g_ptr_array_new_with_free_func ((GDestroyNotify)input_free);
  g_autofree char *path = derush_media_job_path (job, name, error), *scratch = NULL;
  g_autoptr (GstElement) pipeline = NULL, output = NULL, mux = NULL;
  gboolean sound = FALSE, success;
  double offset = 0;

  for (guint i = 0; i < n_clips; i++)
    sound |= clips[i].sound;
  pipeline = path ? build (job, info, sound, error) : NULL;
  if (!pipeline)
    return FALSE;
  scratch = g_strconcat (path, ".faststart", NULL);
  output = gst_bin_get_by_name (GST_BIN (pipeline), "output");
  mux = gst_bin_get_by_name (GST_BIN (pipeline), "mux");
  g_object_set (output, "location", path, NULL);
  g_object_set (mux, "faststart-file", scratch, NULL);
  for (guint i = 0; i < n_clips; i++) {
    add_clip (pipeline, &clips[i], offset, inputs);
    offset += clips[i].duration;
  }
  success = run (job, pipeline, inputs, offset, name, error);
  derush_element_stop (pipeline, !success);
  g_unlink (scratch);
  if (success && sound)
    success = derush_sound_correct (derush_sound_rate (info->audio_rate), path, error);
  if (!success)
    g_unlink (path);
  return success;
}
