/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Clips one after the other as one film. Each begins where the one before was cut off, for picture and sound alike, so
 * that they do not drift apart over many clips: `concat` only keeps the order, the pads carry the offsets, and `audiorate`
 * fills or drops the few samples in between. At most two clips are open at a time: the one that plays and the next.
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

#define QUEUE "queue max-size-buffers=0 max-size-time=0 max-size-bytes=268435456"

typedef struct {
  GstElement *pipeline;
  const char *file;
  GstElement *video; /* where the picture of one clip goes */
  GstElement *audio; /* (nullable) */
  GstElement *source, *decoder;
  gint playing; /* atomic: streams that have not ended */
  int fd;
} Input;

static void
input_free (Input *input)
{
  if (input->fd >= 0)
    g_close (input->fd, NULL);
  g_free (input);
}

static void
on_pad_added (GstElement *decoder, GstPad *pad, gpointer user_data)
{
  Input *input = user_data;
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  const char *name = caps ? gst_structure_get_name (gst_caps_get_structure (caps, 0)) : "";
  GstElement *queue = g_str_has_prefix (name, "video/") ? input->video : input->audio;
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

static GstElement *
add_queue (Input *input, const char *name, double offset)
{
  GstElement *pipeline = input->pipeline;
  g_autoptr (GstElement) concat = gst_bin_get_by_name (GST_BIN (pipeline), name);
  GstElement *queue = gst_element_factory_make ("queue", NULL);
  g_autoptr (GstPad) source = gst_element_get_static_pad (queue, "src");

  gst_bin_add (GST_BIN (pipeline), queue);
  gst_pad_set_offset (source, (gint64)(offset * GST_SECOND));
  gst_pad_add_probe (source, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_event, input, NULL);
  input->playing++;
  gst_element_link (queue, concat);
  return queue;
}

/* The place of a clip in the order; its file is opened when its turn comes. */
static void
add_clip (GstElement *pipeline, const DerushClip *clip, double offset, GPtrArray *inputs)
{
  Input *input = g_new0 (Input, 1);

  g_ptr_array_add (inputs, input);
  input->pipeline = pipeline;
  input->file = clip->file;
  input->fd = -1;
  input->video = add_queue (input, "video", offset);
  if (clip->sound)
    input->audio = add_queue (input, "audio", offset);
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

static char *
describe (DerushMediaJob *job, DerushMediaInfo *info, gboolean sound, GError **error)
{
  g_autoptr (GKeyFile) profile =
      derush_profile_load (derush_json_get_string (job->parameters, "quality", "medium"), error);
  g_autofree char *preset = profile ? g_key_file_get_string (profile, "parameters", "preset", NULL) : NULL;
  GString *text;

  if (!profile)
    return NULL;
  text = g_string_new ("mp4mux name=mux faststart=true ! filesink name=output ");
  g_string_append_printf (
      text,
      "concat name=video adjust-base=false ! identity single-segment=true ! queue max-size-buffers=6 max-size-bytes=0 "
      "max-size-time=0 ! videoconvert ! video/x-raw,format=I420,pixel-aspect-ratio=1/1 ! x264enc pass=qual "
      "quantizer=%d vbv-buf-capacity=0 speed-preset=%s ! h264parse ! " QUEUE " ! mux. ",
      g_key_file_get_integer (profile, "parameters", "crf", NULL), preset ? preset : "veryfast");
  if (sound)
    g_string_append_printf (
        text,
        "concat name=audio adjust-base=false ! identity single-segment=true ! audioconvert ! audioresample ! audiorate "
        "! audio/x-raw,rate=%d,channels=%d ! queue ! avenc_aac bitrate=%d ! aacparse ! " QUEUE " ! mux. ",
        derush_sound_rate (info->audio_rate), info->audio_channels == 1 ? 1 : 2,
        g_key_file_get_integer (profile, "parameters", "audio-bitrate", NULL));
  return g_string_free (text, FALSE);
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
  g_autofree char *path = derush_media_job_path (job, name, error), *text = NULL, *scratch = NULL;
  g_autoptr (GstElement) pipeline = NULL, output = NULL, mux = NULL;
  gboolean sound = FALSE, success;
  double offset = 0;

  for (guint i = 0; i < n_clips; i++)
    sound |= clips[i].sound;
  text = path ? describe (job, info, sound, error) : NULL;
  pipeline = text ? gst_parse_launch (text, error) : NULL;
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
