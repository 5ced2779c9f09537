/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "alongside-private.h"
#include "brightness-private.h"
#include "clips-private.h"
#include "lastframe-private.h"
#include "mp4edits-private.h"
#include "parts-private.h"
#include "rescale-private.h"
#include "tonemap-private.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define MINIMUM_SIZE 16
#define MAXIMUM_SIZE 16384

/* A film may be this much shorter than its header says before people are told. */
#define LOST_SECONDS 0.5
#define LOST_SHARE 0.02
/* Pictures of these shapes differ by rounding only. */
#define SAME_SHAPE 0.02

/* What FFmpeg's encoder puts before the first sample of sound. */
#define AAC_PRIMING 1024

typedef struct {
  double start;
  double end; /* < 0: to the film's end */
} Cut;

static int
even (double size)
{
  /* An odd size loses a row: halves are rounded down, so that nothing grows. */
  return CLAMP (2 * (int)ceil (size / 2 - 0.5), MINIMUM_SIZE, MAXIMUM_SIZE);
}

static gboolean
parse_aspect (const char *text, int *numerator, int *denominator)
{
  return text && sscanf (text, "%d%*[:/x]%d", numerator, denominator) == 2 && *numerator > 0 && *denominator > 0;
}

/* Width or height alone bound the picture; both together say what is wanted, larger or not. */
void
derush_transcode_fit (int source_width, int source_height, const char *aspect, int bound_width, int bound_height,
                      gboolean enlarge, int *width, int *height)
{
  double w = source_width, h = source_height, scale = 1, most = enlarge ? G_MAXDOUBLE : 1;
  int numerator, denominator;

  if (parse_aspect (aspect, &numerator, &denominator)) {
    double wanted = (double)numerator / denominator;

    if (w / h > wanted)
      w = h * wanted;
    else
      h = w / wanted;
  }
  if (bound_width > 0 && bound_height > 0)
    scale = MIN (bound_width / w, bound_height / h);
  else if (bound_width > 0)
    scale = MIN (most, bound_width / w);
  else if (bound_height > 0)
    scale = MIN (most, bound_height / h);
  *width = even (w * scale);
  *height = even (h * scale);
}

GKeyFile *
derush_profile_load (const char *quality, GError **error)
{
  g_autoptr (GKeyFile) profile = g_key_file_new ();
  g_autofree char *file = g_strdup_printf ("profiles/%s.ini", quality);
  g_autofree char *path = strchr (quality, '/') ? NULL : derush_pipelines_find (file);

  if (!path) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no quality “%s”"), quality);
    return NULL;
  }
  return g_key_file_load_from_file (profile, path, G_KEY_FILE_NONE, error) ? g_steal_pointer (&profile) : NULL;
}

gboolean
derush_profile_apply (DerushTemplate *pipeline_template, const char *quality, GError **error)
{
  g_autoptr (GKeyFile) profile = derush_profile_load (quality, error);
  g_auto (GStrv) keys = NULL;

  if (!profile)
    return FALSE;
  keys = g_key_file_get_keys (profile, "parameters", NULL, error);
  if (!keys)
    return FALSE;
  for (guint i = 0; keys[i]; i++) {
    g_autofree char *value = g_key_file_get_string (profile, "parameters", keys[i], NULL);

    if (derush_template_has_parameter (pipeline_template, keys[i]) &&
        !derush_template_set_string (pipeline_template, keys[i], value, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
apply_picture (DerushTemplate *pipeline_template, DerushMediaInfo *info, JsonObject *parameters, GError **error)
{
  const char *aspect = derush_json_get_string (parameters, "aspectRatio", NULL);
  int numerator, denominator, width, height;

  if (aspect) {
    g_autofree char *fraction = NULL;

    if (!parse_aspect (aspect, &numerator, &denominator)) {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The aspect ratio “%s” is none such as 9:16"),
                   aspect);
      return FALSE;
    }
    fraction = g_strdup_printf ("%d/%d", numerator, denominator);
    if (!derush_template_set_string (pipeline_template, "aspect-ratio", fraction, error))
      return FALSE;
  }
  if (info->width <= 0 || info->height <= 0)
    return TRUE;
  derush_transcode_fit (info->width, info->height, aspect, (int)derush_json_get_int (parameters, "width", 0),
                        (int)derush_json_get_int (parameters, "height", 0),
                        derush_json_get_boolean (parameters, "enlarge", FALSE), &width, &height);
  return derush_template_set_int (pipeline_template, "width", width, error) &&
         derush_template_set_int (pipeline_template, "height", height, error);
}

/* The two rates of film and music stay; everything else becomes the nearest relative of one of them. */
int
derush_sound_rate (int rate)
{
  return rate > 0 && 44100 % rate == 0 ? 44100 : rate > 0 && rate % 44100 == 0 ? 44100 : 48000;
}

static gboolean
apply_sound (DerushTemplate *pipeline_template, DerushMediaInfo *info, GError **error)
{
  return derush_template_set_int (pipeline_template, "rate", derush_sound_rate (info->audio_rate), error) &&
         derush_template_set_int (pipeline_template, "channels", info->audio_channels == 1 ? 1 : 2, error);
}

gboolean
derush_transcode_apply (DerushTemplate *pipeline_template, DerushMediaInfo *info, JsonObject *parameters,
                        GError **error)
{
  return derush_profile_apply (pipeline_template, derush_json_get_string (parameters, "quality", "medium"), error) &&
         (!info->video_id || apply_picture (pipeline_template, info, parameters, error)) &&
         (!info->audio_id || apply_sound (pipeline_template, info, error));
}

static gboolean
find_cut (DerushMediaJob *job, DerushMediaInfo *info, Cut *cut, GError **error)
{
  cut->start = derush_json_get_number (job->parameters, "start", 0);
  cut->end = derush_json_get_number (job->parameters, "end", -1);
  if (info->duration > 0 && cut->start >= info->duration) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The start of the cut (%.3f s) lies beyond the end of “%s” (%.3f s)"), cut->start,
                 job->source.display, info->duration);
    return FALSE;
  }
  if (cut->end >= 0 && cut->end <= cut->start) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The end of the cut (%.3f s) lies before its start (%.3f s)"), cut->end, cut->start);
    return FALSE;
  }
  if (cut->end >= 0 && info->duration > 0 && cut->end > info->duration) {
    if (cut->end > info->duration + 0.05)
      derush_media_job_warn (job, _ ("The end of the cut (%.3f s) was moved to the end of the film (%.3f s)"), cut->end,
                             info->duration);
    cut->end = -1;
  }
  return TRUE;
}

/* A film whose shape changes on its way keeps the shape that it began with: the rest gets borders, not stretched. */
static GstPadProbeReturn
keep_shape (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  double *first = data, shape;
  GstCaps *caps;
  int width, height, numerator = 1, denominator = 1;
  GstStructure *structure;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (GST_PAD_PROBE_INFO_EVENT (info), &caps);
  structure = gst_caps_get_structure (caps, 0);
  gst_structure_get_fraction (structure, "pixel-aspect-ratio", &numerator, &denominator);
  if (!gst_structure_get_int (structure, "width", &width) || !gst_structure_get_int (structure, "height", &height) ||
      height == 0 || denominator == 0)
    return GST_PAD_PROBE_OK;
  shape = (double)width * numerator / height / denominator;
  if (*first == 0)
    *first = shape;
  else
    g_object_set (GST_PAD_PARENT (pad), "add-borders", fabs (shape / *first - 1) > SAME_SHAPE, NULL);
  return GST_PAD_PROBE_OK;
}

static void
watch_shape (GstElement *scale)
{
  g_autoptr (GstPad) pad = scale ? gst_element_get_static_pad (scale, "sink") : NULL;

  if (pad && g_object_class_find_property (G_OBJECT_GET_CLASS (scale), "add-borders"))
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, keep_shape, g_new0 (double, 1), g_free);
}

static gboolean
apply_crop (DerushTemplate *pipeline_template, JsonObject *parameters, GError **error)
{
  static const char *const names[] = {"crop-path", "crop-path-location"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    const char *path = derush_json_get_string (parameters, names[i], NULL);

    if (path && !derush_template_set_string (pipeline_template, names[i], path, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
rescale (DerushMediaPipeline *pipeline, DerushMediaJob *job, DerushMediaInfo *info, GError **error)
{
  GstElement *size = derush_media_pipeline_get_element (pipeline, "size");
  g_autoptr (GstCaps) caps = NULL;
  int width, height;

  if (!size || derush_json_get_string (job->parameters, "aspectRatio", NULL))
    return TRUE;
  g_object_get (size, "caps", &caps, NULL);
  if (!gst_structure_get (gst_caps_get_structure (caps, 0), "width", G_TYPE_INT, &width, "height", G_TYPE_INT, &height,
                          NULL))
    return TRUE;
  return derush_rescale_insert (pipeline, info, width, height, error);
}

static DerushMediaPipeline *
prepare (DerushMediaJob *job, DerushMediaInfo *info, const Cut *cut, const char *path, gboolean fed, GError **error)
{
  g_autofree char *name = g_strdup_printf ("%s-%s", derush_json_get_string (job->parameters, "template", "transcode"),
                                           derush_json_get_string (job->parameters, "format", "mp4"));
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load (name, error);
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  g_autofree char *scratch = g_strconcat (path, ".faststart", NULL);
  GstElement *mux, *output;

  if (!pipeline_template || !derush_transcode_apply (pipeline_template, info, job->parameters, error) ||
      !apply_crop (pipeline_template, job->parameters, error))
    return NULL;
  pipeline = fed ? derush_media_pipeline_new_fed (job, info, pipeline_template, error)
                 : derush_media_pipeline_new (job, info, pipeline_template, error);
  if (!pipeline || !derush_tone_map_insert (pipeline, info, "scale", "size", error) ||
      !derush_alongside_insert (pipeline, job, info, error) || !rescale (pipeline, job, info, error))
    return NULL;
  output = derush_media_pipeline_get_element (pipeline, derush_template_get_output_element (pipeline_template));
  g_object_set (output, "location", path, NULL);
  mux = derush_media_pipeline_get_element (pipeline, "mux");
  if (mux && g_object_class_find_property (G_OBJECT_GET_CLASS (mux), "faststart-file"))
    g_object_set (mux, "faststart-file", scratch, NULL);
  if (job->sound && derush_media_pipeline_get_element (pipeline, "level"))
    derush_sound_apply (job->sound, derush_media_pipeline_get_element (pipeline, "level"));
  watch_shape (derush_media_pipeline_get_element (pipeline, "scale"));
  derush_last_frame_keep (derush_media_pipeline_get_element (pipeline, "video-parser"));
  derush_media_pipeline_expect_buffers (pipeline, "video-out", "sink");
  derush_media_pipeline_expect_buffers (pipeline, "audio-out", "sink");
  if (cut->start > 0 || cut->end >= 0)
    derush_media_pipeline_set_clip (pipeline, cut->start, cut->end);
  return g_steal_pointer (&pipeline);
}

static void
warn_of_loss (DerushMediaJob *job, DerushMediaInfo *info, DerushMediaPipeline *pipeline, const Cut *cut)
{
  double end = derush_media_pipeline_get_end (pipeline);
  double wanted = cut->end >= 0 ? cut->end : info->duration;

  if (wanted - end > MAX (LOST_SECONDS, LOST_SHARE * wanted))
    derush_media_job_warn (job, _ ("The film breaks off at %.2f s; the last %.2f s could not be read"), end,
                           wanted - end);
  else if (derush_media_pipeline_get_break (pipeline))
    derush_media_job_warn (job, _ ("The film is damaged near %.2f s: %s"), end,
                           derush_media_pipeline_get_break (pipeline));
}

gboolean
derush_sound_correct (int rate, const char *path, GError **error)
{
  int fd = g_open (path, O_RDWR | O_CLOEXEC, 0);

  if (fd < 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_RESOURCE, _ ("The new film “%s” cannot be opened: %s"), path,
                 g_strerror (errno));
    return FALSE;
  }
  derush_mp4_edits_skip_priming (fd, (double)AAC_PRIMING / rate);
  g_close (fd, NULL);
  return TRUE;
}

static gboolean
correct_sound (DerushMediaInfo *info, DerushMediaPipeline *pipeline, const char *path, GError **error)
{
  GstElement *encoder = info->audio_id ? derush_media_pipeline_get_element (pipeline, "audio-encoder") : NULL;
  GstElementFactory *factory = encoder ? gst_element_get_factory (encoder) : NULL;

  return !factory || strcmp (GST_OBJECT_NAME (factory), "avenc_aac") != 0 ||
         derush_sound_correct (derush_sound_rate (info->audio_rate), path, error);
}

/* What was really written, by its own headers. */
static JsonObject *
describe (const char *path, const char *name, const char *format, guint64 frames, double brightness, GError **error)
{
  int fd = g_open (path, O_RDONLY | O_CLOEXEC, 0);
  g_autoptr (JsonObject) probe = fd >= 0 ? derush_media_probe (fd, name, NULL, NULL, error) : NULL;
  g_autoptr (DerushMediaInfo) info = probe ? derush_media_info_new_from_result (probe) : NULL;
  JsonObject *result = NULL;

  if (fd >= 0)
    g_close (fd, NULL);
  else
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_RESOURCE, _ ("The new film “%s” cannot be opened: %s"), name,
                 g_strerror (errno));
  if (!info)
    return NULL;
  result = json_object_new ();
  json_object_set_string_member (result, "file", name);
  json_object_set_int_member (result, "width", info->width);
  json_object_set_int_member (result, "height", info->height);
  json_object_set_double_member (result, "duration", info->duration);
  json_object_set_double_member (result, "fps",
                                 info->fps > 0 || info->duration <= 0 ? info->fps : (double)frames / info->duration);
  json_object_set_int_member (result, "bitrate", derush_json_get_int (probe, "bitrate", 0));
  json_object_set_int_member (result, "size", derush_json_get_int (probe, "size", 0));
  json_object_set_string_member (result, "videoCodec",
                                 derush_json_get_string (derush_json_get_object (probe, "video"), "codec", ""));
  if (info->audio_id)
    json_object_set_string_member (result, "audioCodec",
                                   derush_json_get_string (derush_json_get_object (probe, "audio"), "codec", ""));
  else
    json_object_set_null_member (result, "audioCodec");
  json_object_set_string_member (result, "format", format);
  json_object_set_int_member (result, "frames", (gint64)frames);
  json_object_set_double_member (result, "brightness", brightness);
  return result;
}

struct _DerushEncode {
  DerushMediaJob job;
  DerushMediaInfo *info;
  Cut cut;
  char *path;
  DerushBrightness *brightness;
  DerushMediaPipeline *pipeline;
  gboolean finished;
};

DerushEncode *
derush_encode_new (const DerushMediaJob *job, DerushMediaInfo *info, gboolean fed, GError **error)
{
  g_autoptr (DerushEncode) self = g_new0 (DerushEncode, 1);

  self->job = *job;
  self->info = info;
  if (!find_cut (&self->job, info, &self->cut, error))
    return NULL;
  self->path = derush_media_job_path (&self->job, derush_json_get_string (job->parameters, "name", "film.mp4"), error);
  if (!self->path)
    return NULL;
  self->pipeline = prepare (&self->job, info, &self->cut, self->path, fed, error);
  if (!self->pipeline)
    return NULL;
  self->brightness = derush_brightness_new (1);
  derush_brightness_watch (self->brightness, derush_media_pipeline_get_element (self->pipeline, "video-in"));
  return g_steal_pointer (&self);
}

void
derush_encode_free (DerushEncode *self)
{
  g_autofree char *scratch = self->path ? g_strconcat (self->path, ".faststart", NULL) : NULL;

  g_clear_pointer (&self->pipeline, derush_media_pipeline_free);
  g_clear_pointer (&self->brightness, derush_brightness_free);
  if (scratch)
    g_unlink (scratch);
  if (self->path && !self->finished)
    g_unlink (self->path);
  g_free (self->path);
  g_free (self);
}

DerushMediaPipeline *
derush_encode_get_pipeline (DerushEncode *self)
{
  return self->pipeline;
}

JsonObject *
derush_encode_finish (DerushEncode *self, GError **error)
{
  JsonObject *parameters = self->job.parameters, *result;

  derush_media_pipeline_stop (self->pipeline);
  if (!correct_sound (self->info, self->pipeline, self->path, error))
    return NULL;
  warn_of_loss (&self->job, self->info, self->pipeline, &self->cut);
  result = describe (self->path, derush_json_get_string (parameters, "name", "film.mp4"),
                     derush_json_get_string (parameters, "format", "mp4"),
                     derush_media_pipeline_get_buffers (self->pipeline, "video-out"),
                     derush_brightness_get_maximum (self->brightness), error);
  self->finished = result != NULL;
  return result;
}

static JsonObject *
encode (DerushMediaJob *job, DerushMediaInfo *info, gboolean *sound_failed, GError **error)
{
  g_autoptr (DerushEncode) self = derush_encode_new (job, info, FALSE, error);

  if (!self)
    return NULL;
  if (!derush_media_pipeline_run (self->pipeline, error)) {
    *sound_failed =
        info->audio_id && (derush_media_pipeline_is_unlinked (self->pipeline) ||
                           g_strcmp0 (derush_media_pipeline_get_starved (self->pipeline), "audio-out") == 0);
    return NULL;
  }
  return derush_encode_finish (self, error);
}

JsonObject *
derush_action_transcode (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, error);
  g_autoptr (GError) failure = NULL;
  gboolean sound_failed = FALSE;
  JsonObject *result;

  if (!info)
    return NULL;
  if (!info->video_id) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no picture, only sound"),
                 job->source.display);
    return NULL;
  }
  result = encode (job, info, &sound_failed, &failure);
  if (!result && sound_failed) {
    derush_media_job_warn (job, _ ("The sound is left out: nothing of it could be decoded here"));
    g_clear_pointer (&info->audio_id, g_free);
    g_clear_error (&failure);
    result = encode (job, info, &sound_failed, &failure);
  }
  if (result && !info->audio_id && !sound_failed)
    derush_media_job_warn (job, _ ("The film has no sound"));
  if (!result)
    g_propagate_error (error, g_steal_pointer (&failure));
  return result;
}
