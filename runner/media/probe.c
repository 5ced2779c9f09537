/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <gst/pbutils/pbutils.h>
#include <gst/video/video.h>

/*
 * What is in the film, read from its headers by demuxers and parsers: no decoder is plugged, so that a small file that
 * unpacks to gigabytes is refused before it costs anything.
 */

/* Streams of one film whose first packets have not come within this time are described by what is known of them. */
#define FIRST_PACKET_TIMEOUT (1 * G_TIME_SPAN_SECOND)
/* A demuxer that reads nothing more and shows nothing has nothing to show. */
#define IDLE_TIMEOUT (2 * G_TIME_SPAN_SECOND)
#define ENCRYPTION_SEARCH (1024 * 1024)
#define PROBE_TIMEOUT (20 * G_TIME_SPAN_SECOND)

typedef struct {
  GstPad *pad;
  GstCaps *caps;
  GstTagList *tags;
  char *id;
  GstStreamFlags flags;
  GstClockTime offset; /* of the first packet, where the stream does not begin at 0 */
  GstClockTime start;  /* stream time at which the film begins */
  gboolean started;
} Stream;

typedef struct {
  const char *display;
  int fd;
  GstElement *pipeline;
  GstElement *source;
  GMutex lock;
  GPtrArray *streams;
  GstCaps *container;
  GstCaps *unknown; /* the first stream that nothing here parses */
  gboolean exposed;
  gint64 exposed_time;
  GPtrArray *missing;
  GString *debug;
} Probe;

static void
stream_free (Stream *stream)
{
  gst_object_unref (stream->pad);
  gst_clear_caps (&stream->caps);
  g_clear_pointer (&stream->tags, gst_tag_list_unref);
  g_free (stream->id);
  g_free (stream);
}

/* ── Listening to parsebin ──────────────────────────────────────────────── */

static Stream *
find_stream (Probe *probe, GstPad *pad)
{
  for (guint i = 0; i < probe->streams->len; i++) {
    Stream *stream = g_ptr_array_index (probe->streams, i);

    if (stream->pad == pad)
      return stream;
  }
  return NULL;
}

static void
take_tags (Stream *stream, GstEvent *event)
{
  GstTagList *tags, *merged;

  gst_event_parse_tag (event, &tags);
  merged = gst_tag_list_merge (stream->tags, tags, GST_TAG_MERGE_REPLACE);
  g_clear_pointer (&stream->tags, gst_tag_list_unref);
  stream->tags = merged;
}

/* Matroska counts the duration from 0, even where the first packet comes 27 hours later and plays at once. */
static void
take_segment (Stream *stream, GstEvent *event)
{
  const GstSegment *segment;

  gst_event_parse_segment (event, &segment);
  if (segment->format != GST_FORMAT_TIME)
    return;
  if (segment->time == 0 && GST_CLOCK_TIME_IS_VALID (segment->start))
    stream->offset = segment->start;
  if (GST_CLOCK_TIME_IS_VALID (segment->time))
    stream->start = segment->time;
}

static GstPadProbeReturn
watch_stream (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Probe *probe = data;
  Stream *stream;

  g_mutex_lock (&probe->lock);
  stream = find_stream (probe, pad);
  if (stream && (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM)) {
    GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);

    if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS) {
      GstCaps *caps;

      gst_event_parse_caps (event, &caps);
      if (!stream->started)
        gst_caps_replace (&stream->caps, caps);
    } else if (GST_EVENT_TYPE (event) == GST_EVENT_TAG) {
      take_tags (stream, event);
    } else if (GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT) {
      take_segment (stream, event);
    } else if (GST_EVENT_TYPE (event) == GST_EVENT_EOS || GST_EVENT_TYPE (event) == GST_EVENT_GAP) {
      stream->started = TRUE;
    }
    g_mutex_unlock (&probe->lock);
    return GST_PAD_PROBE_OK;
  }
  if (stream)
    stream->started = TRUE;
  g_mutex_unlock (&probe->lock);
  /* Nothing is wanted of the packets: dropped here, they wake no sink. */
  return GST_PAD_PROBE_DROP;
}

static gboolean
take_sticky_event (GstPad *pad, GstEvent **event, gpointer data)
{
  if (GST_EVENT_TYPE (*event) == GST_EVENT_TAG)
    take_tags (data, *event);
  else if (GST_EVENT_TYPE (*event) == GST_EVENT_SEGMENT)
    take_segment (data, *event);
  return TRUE;
}

static void
pad_added (GstElement *parsebin, GstPad *pad, Probe *probe)
{
  GstElement *sink = gst_element_factory_make ("fakesink", NULL);
  g_autoptr (GstPad) sink_pad = gst_element_get_static_pad (sink, "sink");
  g_autoptr (GstStream) gst_stream = gst_pad_get_stream (pad);
  Stream *stream = g_new0 (Stream, 1);

  stream->pad = gst_object_ref (pad);
  stream->caps = gst_pad_get_current_caps (pad);
  stream->id = gst_pad_get_stream_id (pad);
  if (gst_stream) {
    stream->flags = gst_stream_get_stream_flags (gst_stream);
    stream->tags = gst_stream_get_tags (gst_stream);
  }
  g_mutex_lock (&probe->lock);
  gst_pad_sticky_events_foreach (pad, take_sticky_event, stream);
  g_ptr_array_add (probe->streams, stream);
  g_mutex_unlock (&probe->lock);
  gst_pad_add_probe (pad,
                     GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
                     watch_stream, probe, NULL);
  g_object_set (sink, "sync", FALSE, "async", FALSE, NULL);
  gst_bin_add (GST_BIN (probe->pipeline), sink);
  gst_element_sync_state_with_parent (sink);
  gst_pad_link (pad, sink_pad);
}

static void
no_more_pads (GstElement *parsebin, Probe *probe)
{
  g_mutex_lock (&probe->lock);
  probe->exposed = TRUE;
  probe->exposed_time = g_get_monotonic_time ();
  g_mutex_unlock (&probe->lock);
}

static void
unknown_type (GstElement *parsebin, GstPad *pad, GstCaps *caps, Probe *probe)
{
  g_mutex_lock (&probe->lock);
  if (!probe->unknown && caps)
    probe->unknown = gst_caps_ref (caps);
  g_mutex_unlock (&probe->lock);
}

static void
have_type (GstElement *typefind, guint probability, GstCaps *caps, Probe *probe)
{
  g_mutex_lock (&probe->lock);
  gst_caps_replace (&probe->container, caps);
  g_mutex_unlock (&probe->lock);
}

/* ── Judging what was found ─────────────────────────────────────────────── */

static const char *
caps_name (GstCaps *caps)
{
  return caps && gst_caps_get_size (caps) > 0 ? gst_structure_get_name (gst_caps_get_structure (caps, 0)) : "";
}

static gboolean
refuse (GError **error, DerushErrorClass error_class, const char *format, const char *display)
{
  g_set_error (error, DERUSH_MEDIA_ERROR, error_class, format, display);
  return FALSE;
}

static gboolean
is_encrypted (GstCaps *caps)
{
  const char *name = caps_name (caps);

  return g_str_has_prefix (name, "application/x-cenc") || g_str_has_prefix (name, "application/x-cbcs") ||
         g_str_has_prefix (name, "application/x-webm-enc") ||
         (*name && gst_structure_has_field (gst_caps_get_structure (caps, 0), "protection-system"));
}

static gboolean
check_container (Probe *probe, GError **error)
{
  static const char *const playlists[] = {
      "application/x-hls",
      "application/dash+xml",
      "application/vnd.ms-sstr+xml",
      "application/sdp",
      "text/uri-list",
      "application/smil",
      "application/xspf+xml",
      "application/x-pls",
      "audio/x-mpegurl",
      "application/x-windows-media-asx",
  };
  const char *name;

  name = caps_name (probe->container);
  for (guint i = 0; i < G_N_ELEMENTS (playlists); i++)
    if (strcmp (name, playlists[i]) == 0)
      return refuse (error, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is a playlist, not a film; give the film itself"),
                     probe->display);
  if (g_str_has_prefix (name, "image/"))
    return refuse (error, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is a picture, not a film"), probe->display);
  if (g_str_has_prefix (name, "text/") || strcmp (name, "application/xml") == 0 ||
      g_str_has_prefix (name, "application/x-subtitle") || strcmp (name, "application/pdf") == 0)
    return refuse (error, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is a text, not a film"), probe->display);
  return TRUE;
}

static gboolean
has_prefix (Stream *stream, const char *prefix)
{
  return g_str_has_prefix (caps_name (stream->caps), prefix);
}

static gboolean
is_picture_stream (Stream *stream)
{
  return has_prefix (stream, "video/") || has_prefix (stream, "image/");
}

static gboolean
has_decoder (GstCaps *caps)
{
  g_autoptr (GstCaps) raw = gst_caps_from_string ("video/x-raw(ANY); audio/x-raw(ANY)");
  GList *decoders, *fitting;
  gboolean found;

  if (gst_caps_can_intersect (caps, raw))
    return TRUE;
  decoders = gst_element_factory_list_get_elements (GST_ELEMENT_FACTORY_TYPE_DECODER, GST_RANK_MARGINAL);
  fitting = gst_element_factory_list_filter (decoders, caps, GST_PAD_SINK, FALSE);
  found = fitting != NULL;
  gst_plugin_feature_list_free (fitting);
  gst_plugin_feature_list_free (decoders);
  return found;
}

/* The stream that the film means: its default one, then the first; one that can be decoded before one that cannot, and
 * moving pictures before covers. */
static Stream *
choose (Probe *probe, gboolean picture, guint *count)
{
  Stream *best = NULL;
  int best_score = -1;

  *count = 0;
  for (guint i = 0; i < probe->streams->len; i++) {
    Stream *stream = g_ptr_array_index (probe->streams, i);
    int score = 0;

    if (picture ? !is_picture_stream (stream) : !has_prefix (stream, "audio/"))
      continue;
    (*count)++;
    score += has_decoder (stream->caps) ? 8 : 0;
    score += has_prefix (stream, "image/") ? 0 : 4;
    score += stream->flags & GST_STREAM_FLAG_UNSELECT ? 0 : 2;
    score += stream->flags & GST_STREAM_FLAG_SELECT ? 1 : 0;
    if (score > best_score) {
      best = stream;
      best_score = score;
    }
  }
  return best;
}

static char *
codec_of (GstCaps *caps)
{
  char *name = gst_pb_utils_get_codec_description (caps);
  char *profile = name ? strstr (name, " (") : NULL;

  if (profile)
    *profile = '\0';
  return name ? name : g_strdup (caps_name (caps));
}

static void
add_orientation (Stream *stream, JsonObject *video, gboolean *sideways)
{
  g_autofree char *orientation = NULL;
  const char *angle;
  int rotation = 0;

  if (stream->tags)
    gst_tag_list_get_string (stream->tags, GST_TAG_IMAGE_ORIENTATION, &orientation);
  angle = orientation ? strstr (orientation, "rotate-") : NULL;
  if (angle)
    rotation = atoi (angle + strlen ("rotate-")) % 360;
  *sideways = rotation == 90 || rotation == 270;
  json_object_set_int_member (video, "rotation", rotation);
  json_object_set_boolean_member (video, "flipped", orientation && g_str_has_prefix (orientation, "flip-"));
}

static void
add_colours (GstStructure *structure, JsonObject *video)
{
  const char *colorimetry = gst_structure_get_string (structure, "colorimetry");
  const char *format = gst_structure_get_string (structure, "format");
  GstVideoColorimetry parsed;
  guint depth = 8;
  gboolean hdr =
      colorimetry && gst_video_colorimetry_from_string (&parsed, colorimetry) &&
      (parsed.transfer == GST_VIDEO_TRANSFER_SMPTE2084 || parsed.transfer == GST_VIDEO_TRANSFER_ARIB_STD_B67);

  if (!gst_structure_get_uint (structure, "bit-depth-luma", &depth) && format) {
    const GstVideoFormatInfo *info = gst_video_format_get_info (gst_video_format_from_string (format));

    if (info && GST_VIDEO_FORMAT_INFO_N_COMPONENTS (info) > 0)
      depth = GST_VIDEO_FORMAT_INFO_DEPTH (info, 0);
  }
  json_object_set_int_member (video, "bitDepth", depth);
  json_object_set_boolean_member (video, "hdr", hdr);
  if (colorimetry)
    json_object_set_string_member (video, "colorimetry", colorimetry);
}

static JsonObject *
describe_video (Stream *stream, guint count)
{
  JsonObject *video = json_object_new ();
  GstStructure *structure = gst_caps_get_structure (stream->caps, 0);
  g_autofree char *codec = codec_of (stream->caps);
  g_autofree char *caps = gst_caps_to_string (stream->caps);
  g_autofree char *aspect = NULL;
  const char *interlace = gst_structure_get_string (structure, "interlace-mode");
  int width = 0, height = 0, par_n = 1, par_d = 1, fps_n = 0, fps_d = 1;
  int display_width, display_height;
  gboolean sideways;

  gst_structure_get_int (structure, "width", &width);
  gst_structure_get_int (structure, "height", &height);
  gst_structure_get_fraction (structure, "framerate", &fps_n, &fps_d);
  gst_structure_get_fraction (structure, "pixel-aspect-ratio", &par_n, &par_d);
  if (par_n <= 0 || par_d <= 0)
    par_n = par_d = 1;
  aspect = g_strdup_printf ("%d/%d", par_n, par_d);
  display_width = (int)gst_util_uint64_scale_int_round (width, par_n, par_d);
  display_height = height;
  json_object_set_string_member (video, "id", stream->id ? stream->id : "");
  json_object_set_string_member (video, "codec", codec);
  json_object_set_string_member (video, "caps", caps);
  json_object_set_int_member (video, "width", width);
  json_object_set_int_member (video, "height", height);
  add_orientation (stream, video, &sideways);
  json_object_set_int_member (video, "displayWidth", sideways ? display_height : display_width);
  json_object_set_int_member (video, "displayHeight", sideways ? display_width : display_height);
  json_object_set_double_member (video, "fps", fps_d > 0 && fps_n > 0 ? (double)fps_n / fps_d : 0);
  json_object_set_int_member (video, "fpsNumerator", fps_n);
  json_object_set_int_member (video, "fpsDenominator", fps_d);
  json_object_set_string_member (video, "pixelAspect", aspect);
  json_object_set_boolean_member (video, "interlaced", interlace && strcmp (interlace, "progressive") != 0);
  add_colours (structure, video);
  json_object_set_int_member (video, "streams", count);
  return video;
}

static JsonObject *
describe_audio (Stream *stream, guint count)
{
  JsonObject *audio = json_object_new ();
  GstStructure *structure = gst_caps_get_structure (stream->caps, 0);
  g_autofree char *codec = codec_of (stream->caps);
  g_autofree char *language = NULL;
  int rate = 0, channels = 0;

  gst_structure_get_int (structure, "rate", &rate);
  gst_structure_get_int (structure, "channels", &channels);
  if (stream->tags)
    gst_tag_list_get_string (stream->tags, GST_TAG_LANGUAGE_CODE, &language);
  json_object_set_string_member (audio, "id", stream->id ? stream->id : "");
  json_object_set_string_member (audio, "codec", codec);
  json_object_set_string_member (audio, "caps", gst_structure_get_name (structure));
  json_object_set_int_member (audio, "rate", rate);
  json_object_set_int_member (audio, "channels", channels);
  if (language)
    json_object_set_string_member (audio, "language", language);
  json_object_set_int_member (audio, "streams", count);
  return audio;
}

static JsonObject *
describe_tags (Probe *probe)
{
  static const char *const names[] = {GST_TAG_TITLE,   GST_TAG_ARTIST,      GST_TAG_ALBUM,
                                      GST_TAG_COMMENT, GST_TAG_DESCRIPTION, GST_TAG_COPYRIGHT};
  JsonObject *tags = json_object_new ();

  for (guint i = 0; i < probe->streams->len; i++) {
    Stream *stream = g_ptr_array_index (probe->streams, i);

    for (guint j = 0; stream->tags && j < G_N_ELEMENTS (names); j++) {
      g_autofree char *text = NULL;

      if (gst_tag_list_get_string (stream->tags, names[j], &text) && strlen (text) <= 512)
        json_object_set_string_member (tags, names[j], text);
    }
  }
  return tags;
}

static double
find_duration (Probe *probe)
{
  const char *container = caps_name (probe->container);
  gboolean matroska = strstr (container, "matroska") || strstr (container, "webm");
  gint64 longest = 0, time;

  for (guint i = 0; i < probe->streams->len; i++) {
    Stream *stream = g_ptr_array_index (probe->streams, i);

    if ((is_picture_stream (stream) || has_prefix (stream, "audio/")) &&
        gst_pad_query_duration (stream->pad, GST_FORMAT_TIME, &time))
      longest = MAX (longest, matroska && time > (gint64)stream->offset ? time - (gint64)stream->offset : time);
  }
  if (longest == 0 && gst_element_query_duration (probe->pipeline, GST_FORMAT_TIME, &time))
    longest = time;
  return (double)longest / GST_SECOND;
}

/* Transport streams begin at a stream time of their own; everything else at 0. */
static double
find_start (Probe *probe)
{
  GstClockTime start = GST_CLOCK_TIME_NONE;

  for (guint i = 0; i < probe->streams->len; i++) {
    Stream *stream = g_ptr_array_index (probe->streams, i);

    if (is_picture_stream (stream) || has_prefix (stream, "audio/"))
      start = MIN (start, stream->start);
  }
  return GST_CLOCK_TIME_IS_VALID (start) ? (double)start / GST_SECOND : 0;
}

static gboolean
is_seekable (Probe *probe)
{
  g_autoptr (GstQuery) query = gst_query_new_seeking (GST_FORMAT_TIME);
  gboolean seekable = FALSE;

  for (guint i = 0; i < probe->streams->len && !seekable; i++)
    if (gst_pad_query (((Stream *)g_ptr_array_index (probe->streams, i))->pad, query))
      gst_query_parse_seeking (query, NULL, &seekable, NULL, NULL);
  return seekable;
}

static gboolean
over_limit (Probe *probe, JsonObject *limits, const char *name, double value, const char *format, GError **error)
{
  double limit = limits ? derush_json_get_number (limits, name, 0) : 0;

  if (limit <= 0 || value <= limit)
    return FALSE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, format, probe->display, value, limit);
  return TRUE;
}

static gboolean
check_video_limits (Probe *probe, JsonObject *limits, GError **error)
{
  for (guint i = 0; i < probe->streams->len; i++) {
    Stream *stream = g_ptr_array_index (probe->streams, i);
    int width = 0, height = 0;

    if (!is_picture_stream (stream))
      continue;
    gst_structure_get_int (gst_caps_get_structure (stream->caps, 0), "width", &width);
    gst_structure_get_int (gst_caps_get_structure (stream->caps, 0), "height", &height);
    if (over_limit (probe, limits, "maxPixels", (double)width * height,
                    _ ("The picture of “%s” has %.0f pixels; at most %.0f are allowed"), error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
check_streams (Probe *probe, Stream *video, Stream *audio, GError **error)
{
  for (guint i = 0; i < probe->streams->len; i++)
    if (is_encrypted (((Stream *)g_ptr_array_index (probe->streams, i))->caps))
      return refuse (error, DERUSH_ERROR_UNSUPPORTED, _ ("“%s” is encrypted; give an unprotected film"),
                     probe->display);
  if (is_encrypted (probe->unknown))
    return refuse (error, DERUSH_ERROR_UNSUPPORTED, _ ("“%s” is encrypted; give an unprotected film"), probe->display);
  if ((video && !has_decoder (video->caps)) || (!video && audio && !has_decoder (audio->caps))) {
    g_autofree char *codec = codec_of (video ? video->caps : audio->caps);

    g_set_error (
        error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_MISSING_PLUGIN,
        _ ("Nothing installed here decodes “%s” (%s); install gstreamer1.0-libav and gstreamer1.0-plugins-bad, "
           "or convert it"),
        probe->display, codec);
    return FALSE;
  }
  if (video || audio)
    return TRUE;
  if (probe->unknown) {
    g_autofree char *codec = codec_of (probe->unknown);

    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_MISSING_PLUGIN, _ ("Nothing installed here reads “%s” (%s)"),
                 probe->display, codec);
    return FALSE;
  }
  return refuse (error, DERUSH_ERROR_BAD_INPUT, _ ("“%s” holds neither a picture nor sound"), probe->display);
}

static JsonObject *
describe (Probe *probe, goffset size, JsonObject *limits, GError **error)
{
  g_autoptr (JsonObject) result = json_object_new ();
  JsonArray *warnings = json_array_new ();
  guint pictures, sounds;
  Stream *video = choose (probe, TRUE, &pictures);
  Stream *audio = choose (probe, FALSE, &sounds);
  double duration = find_duration (probe);

  json_object_set_array_member (result, "warnings", warnings);
  if (!check_streams (probe, video, audio, error) || !check_video_limits (probe, limits, error) ||
      over_limit (probe, limits, "maxStreams", probe->streams->len,
                  _ ("“%s” has %.0f streams; at most %.0f are allowed"), error) ||
      over_limit (probe, limits, "maxDuration", duration, _ ("“%s” lasts %.0f s; at most %.0f s are allowed"), error))
    return NULL;
  if (audio && !has_decoder (audio->caps)) {
    g_autofree char *codec = codec_of (audio->caps);
    g_autofree char *warning =
        g_strdup_printf (_ ("The sound is left out: nothing installed here decodes it (%s)"), codec);

    json_array_add_string_element (warnings, warning);
    audio = NULL;
  }
  json_object_set_string_member (result, "container", caps_name (probe->container));
  json_object_set_double_member (result, "duration", duration);
  json_object_set_double_member (result, "startTime", find_start (probe));
  json_object_set_int_member (result, "size", size);
  json_object_set_boolean_member (result, "seekable", is_seekable (probe));
  json_object_set_int_member (result, "bitrate", duration > 0 ? (gint64)llround ((double)size * 8 / duration) : 0);
  json_object_set_boolean_member (result, "isImage", FALSE);
  if (video)
    json_object_set_object_member (result, "video", describe_video (video, pictures));
  else
    json_object_set_null_member (result, "video");
  if (audio)
    json_object_set_object_member (result, "audio", describe_audio (audio, sounds));
  else
    json_object_set_null_member (result, "audio");
  json_object_set_int_member (result, "subtitles", MAX (0, (int)(probe->streams->len - pictures - sounds)));
  json_object_set_object_member (result, "tags", describe_tags (probe));
  return g_steal_pointer (&result);
}

/* ── Running ────────────────────────────────────────────────────────────── */

static gboolean
has_finished (Probe *probe)
{
  gboolean finished = probe->exposed;

  if (finished && g_get_monotonic_time () - probe->exposed_time > FIRST_PACKET_TIMEOUT)
    return TRUE;
  for (guint i = 0; finished && i < probe->streams->len; i++) {
    Stream *stream = g_ptr_array_index (probe->streams, i);

    if (is_picture_stream (stream) || has_prefix (stream, "audio/"))
      finished = stream->started;
  }
  return finished;
}

/* Returns whether the bus has brought the end or an error; what was found until then is still worth describing. */
static gboolean
handle_message (Probe *probe, GstMessage *message, GError **failure)
{
  g_autofree char *debug = NULL;
  g_autoptr (GError) error = NULL;

  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_ERROR:
    gst_message_parse_error (message, &error, &debug);
    g_string_append_printf (probe->debug, "%s: %s\n  %s\n", GST_MESSAGE_SRC_NAME (message), error->message,
                            debug ? debug : "");
    if (!*failure || g_error_matches (error, GST_STREAM_ERROR, GST_STREAM_ERROR_TYPE_NOT_FOUND)) {
      g_clear_error (failure);
      *failure = derush_media_error_from_message (message, TRUE, probe->missing, probe->display);
    }
    return TRUE;
  case GST_MESSAGE_EOS:
    return TRUE;
  case GST_MESSAGE_ELEMENT:
    if (gst_is_missing_plugin_message (message))
      derush_media_missing_add (probe->missing, message);
    return FALSE;
  default:
    return FALSE;
  }
}

/* qtdemux says no more than “Internal data stream error” of a film whose key it has not. */
static gboolean
mentions_encryption (Probe *probe)
{
  static const char *const schemes[] = {"schm\0\0\0\0cenc", "schm\0\0\0\0cbcs", "schm\0\0\0\0cens", "schm\0\0\0\0cbc1"};
  g_autofree char *head = g_malloc (ENCRYPTION_SEARCH);
  gssize length = pread (probe->fd, head, ENCRYPTION_SEARCH, 0);
  gboolean found = FALSE;

  for (guint i = 0; i < G_N_ELEMENTS (schemes) && length > 0; i++)
    found |= memmem (head, length, schemes[i], 12) != NULL;
  return found;
}

static gboolean
wait_for_streams (Probe *probe, GCancellable *cancellable, GError **error)
{
  g_autoptr (GstBus) bus = gst_pipeline_get_bus (GST_PIPELINE (probe->pipeline));
  g_autoptr (GError) failure = NULL;
  gint64 deadline = g_get_monotonic_time () + PROBE_TIMEOUT, idle_since = g_get_monotonic_time ();
  guint64 bytes = 0;
  gboolean finished = FALSE;

  while (!finished) {
    g_autoptr (GstMessage) message =
        gst_bus_timed_pop_filtered (bus, 5 * GST_MSECOND, GST_MESSAGE_ERROR | GST_MESSAGE_EOS | GST_MESSAGE_ELEMENT);

    if (message)
      finished = handle_message (probe, message, &failure);
    g_mutex_lock (&probe->lock);
    finished |= has_finished (probe);
    if (probe->container && !finished)
      finished = !check_container (probe, &failure);
    g_mutex_unlock (&probe->lock);
    if (g_cancellable_is_cancelled (cancellable)) {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_CANCELLED, _ ("Stopped on request"));
      return FALSE;
    }
    if (derush_fd_source_get_bytes_read (probe->source) != bytes) {
      bytes = derush_fd_source_get_bytes_read (probe->source);
      idle_since = g_get_monotonic_time ();
    }
    if (!finished && failure == NULL &&
        (g_get_monotonic_time () > deadline || g_get_monotonic_time () - idle_since > IDLE_TIMEOUT))
      return refuse (error, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is damaged: no stream was found in it in time"),
                     probe->display);
  }
  if (probe->container && !check_container (probe, error))
    return FALSE;
  if (probe->streams->len == 0 && !probe->unknown && failure) {
    if (mentions_encryption (probe))
      return refuse (error, DERUSH_ERROR_UNSUPPORTED, _ ("“%s” is encrypted; give an unprotected film"),
                     probe->display);
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  return TRUE;
}

static gboolean
build (Probe *probe, int fd, GError **error)
{
  GstElement *parsebin = gst_element_factory_make ("parsebin", NULL);
  g_autoptr (GstElement) typefind = NULL;

  probe->pipeline = gst_object_ref_sink (gst_pipeline_new ("probe"));
  probe->source = derush_fd_source_new ("source", fd);
  gst_bin_add (GST_BIN (probe->pipeline), probe->source);
  if (!parsebin) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_MISSING_PLUGIN,
                 _ ("GStreamer's own elements are not installed: install gstreamer1.0-plugins-base"));
    return FALSE;
  }
  gst_bin_add (GST_BIN (probe->pipeline), parsebin);
  gst_element_link (probe->source, parsebin);
  /* parsebin's own: one in front of it would be pulled through without looking. */
  typefind = gst_bin_get_by_name (GST_BIN (parsebin), "typefind");
  if (typefind)
    g_signal_connect (typefind, "have-type", G_CALLBACK (have_type), probe);
  g_signal_connect (parsebin, "pad-added", G_CALLBACK (pad_added), probe);
  g_signal_connect (parsebin, "no-more-pads", G_CALLBACK (no_more_pads), probe);
  g_signal_connect (parsebin, "unknown-type", G_CALLBACK (unknown_type), probe);
  return TRUE;
}

static gboolean
check_file (Probe *probe, int fd, JsonObject *limits, goffset *size, GError **error)
{
  struct stat status;

  if (fstat (fd, &status) < 0 || !S_ISREG (status.st_mode))
    return refuse (error, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is no file"), probe->display);
  if (status.st_size == 0)
    return refuse (error, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is empty"), probe->display);
  *size = status.st_size;
  return !over_limit (probe, limits, "maxBytes", (double)status.st_size,
                      _ ("“%s” has %.0f bytes; at most %.0f are allowed"), error);
}

JsonObject *
derush_media_probe (int fd, const char *display, JsonObject *limits, GCancellable *cancellable, GError **error)
{
  Probe probe = {.display = display ? display : _ ("the film"), .fd = fd};
  JsonObject *result = NULL;
  goffset size = 0;

  if (!check_file (&probe, fd, limits, &size, error))
    return NULL;
  g_mutex_init (&probe.lock);
  probe.streams = g_ptr_array_new_with_free_func ((GDestroyNotify)stream_free);
  probe.missing = g_ptr_array_new_with_free_func (g_free);
  probe.debug = g_string_new (NULL);
  if (build (&probe, fd, error)) {
    gst_element_set_state (probe.pipeline, GST_STATE_PLAYING);
    if (wait_for_streams (&probe, cancellable, error))
      result = describe (&probe, size, limits, error);
  }
  gst_element_set_state (probe.pipeline, GST_STATE_NULL);
  gst_object_unref (probe.pipeline);
  g_ptr_array_unref (probe.streams);
  g_ptr_array_unref (probe.missing);
  g_string_free (probe.debug, TRUE);
  gst_clear_caps (&probe.container);
  gst_clear_caps (&probe.unknown);
  g_mutex_clear (&probe.lock);
  return result;
}

/* Of sound that is not coded and has a rate beyond 16 bits, the times that qtdemux gives are nothing to go by, and differ from
 * run to run: most of it ends up nowhere. */
static void
warn_of_sound (DerushMediaJob *job, JsonObject *result)
{
  JsonObject *audio = derush_json_get_object (result, "audio");
  gint64 rate = derush_json_get_int (audio, "rate", 0);

  if (rate > G_MAXUINT16 && g_str_equal (derush_json_get_string (audio, "caps", ""), "audio/x-raw") &&
      g_str_equal (derush_json_get_string (result, "container", ""), "video/quicktime"))
    derush_media_job_warn (
        job,
        _ ("Sound of %d Hz without a codec can rarely be read from a file of this kind, so parts of it "
           "may be missing; convert it to 48000 Hz first"),
        (int)rate);
}

JsonObject *
derush_action_probe (DerushMediaJob *job, GError **error)
{
  g_autoptr (JsonObject) result = NULL;
  DerushPlatform platform;

  if (!derush_platform_load (&platform, derush_json_get_string (job->parameters, "platform", NULL), error) ||
      !derush_media_job_require_source (job, error))
    return NULL;
  result = derush_media_probe (job->source.fd, job->source.display, derush_json_get_object (job->parameters, "limits"),
                               job->cancellable, error);
  if (result && derush_json_get_boolean (job->parameters, "picture", FALSE) &&
      !derush_json_get_object (result, "video")) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no picture, only sound"),
                 job->source.display);
    return NULL;
  }
  if (result)
    warn_of_sound (job, result);
  return g_steal_pointer (&result);
}
