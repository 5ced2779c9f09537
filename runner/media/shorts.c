/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Shorts: parts of the film, each a file of its own, cropped around what moves. Where an analysis of the film is at hand,
 * the camera's path is planned from it; otherwise the camera finds its way while the part is decoded. In both cases the
 * path stands beside the short.
 */

#include "parts-private.h"

#include "plugins/shortcrop/camerafile.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define LARGEST_SIDE 4096
/* A film of up to so many seconds is a short by itself. */
#define WHOLE_FILM 30
/* By so much a time may be off by rounding alone. */
#define ROUNDING 0.05
/* The share of the work that camera and sound are before anything is made. */
#define PLAN_SHARE 0.1

typedef struct {
  double start, end;
  const char *id;
  const char *description;
} Part;

typedef struct {
  DerushMediaJob *job;
  DerushMediaInfo *info;
  DerushPlatform platform;
  const char *platform_name;
  GArray *parts; /* of Part */
  DerushAnalysisFile *analysis;
  int width, height;
} Shorts;

static void
shorts_clear (Shorts *self)
{
  g_clear_pointer (&self->info, derush_media_info_free);
  g_clear_pointer (&self->parts, g_array_unref);
  g_clear_pointer (&self->analysis, derush_analysis_file_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Shorts, shorts_clear)

/* ── Which parts ────────────────────────────────────────────────────────── */

/* As asked, within the film and what the platform takes. */
static gboolean
add_part (Shorts *self, Part part, GError **error)
{
  guint number = self->parts->len + 1;
  double film = self->info->duration, longest = derush_json_get_number (self->job->parameters, "maxDuration", 0);

  if (film > 0 && part.start >= film) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The start of short %u (%.3f s) lies beyond the end of “%s” (%.3f s)"), number, part.start,
                 self->job->source.display, film);
    return FALSE;
  }
  if (longest > 0)
    part.end = MIN (part.end, part.start + longest);
  if (self->platform.max_duration > 0 && part.end - part.start > self->platform.max_duration + 1e-6) {
    if (film <= 0 || film - part.start > self->platform.max_duration)
      derush_media_job_warn (self->job, _ ("Short %u was shortened from %.2f s to %.2f s, the most that %s takes"),
                             number, part.end - part.start, self->platform.max_duration, self->platform_name);
    part.end = part.start + self->platform.max_duration;
  }
  if (film > 0 && part.end > film) {
    if (part.end > film + ROUNDING)
      derush_media_job_warn (self->job, _ ("The end of short %u (%.3f s) was moved to the end of the film (%.3f s)"),
                             number, part.end, film);
    part.end = film;
  }
  g_array_append_val (self->parts, part);
  return TRUE;
}

static gboolean
add_given (Shorts *self, JsonArray *given, GError **error)
{
  for (guint i = 0; i < json_array_get_length (given); i++) {
    JsonObject *item = json_array_get_object_element (given, i);
    const Part part = {derush_json_get_number (item, "start", 0), derush_json_get_number (item, "end", 0),
                       derush_json_get_string (item, "id", NULL), NULL};

    if (!add_part (self, part, error))
      return FALSE;
  }
  return TRUE;
}

/* As many as were asked for, or a word about it. */
static void
warn_of_few (Shorts *self)
{
  gint64 count = derush_json_get_int (self->job->parameters, "count", 0);

  if (self->parts->len < count)
    derush_media_job_warn (self->job, _ ("%d shorts were asked for, but what stands out in the film is enough for %u"),
                           (int)count, self->parts->len);
}

static gboolean
add_best (Shorts *self, GError **error)
{
  JsonObject *result = self->job->results ? derush_json_get_object (self->job->results, "highlights") : NULL;
  JsonArray *found = derush_json_get_array (result, "highlights");
  double longest = derush_json_get_number (self->job->parameters, "maxDuration", WHOLE_FILM);

  for (guint i = 0; found && i < json_array_get_length (found); i++) {
    JsonObject *item = json_array_get_object_element (found, i);
    const Part part = {derush_json_get_number (item, "startTime", 0), derush_json_get_number (item, "endTime", 0), NULL,
                       derush_json_get_string (item, "description", NULL)};

    if (!add_part (self, part, error))
      return FALSE;
  }
  if (self->parts->len > 0)
    warn_of_few (self);
  if (self->parts->len == 0 && self->info->duration > 0 && self->info->duration <= longest) {
    const Part whole = {0, self->info->duration, NULL, NULL};

    derush_media_job_warn (self->job, _ ("Nothing in the film stands out: the short is the whole of it"));
    return add_part (self, whole, error);
  }
  return TRUE;
}

static gboolean
find_parts (Shorts *self, GError **error)
{
  JsonArray *given = derush_json_get_array (self->job->parameters, "parts");

  self->parts = g_array_new (FALSE, FALSE, sizeof (Part));
  if (given ? !add_given (self, given, error) : !add_best (self, error))
    return FALSE;
  if (self->parts->len > 0)
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("Nothing in “%s” stands out enough for a short; name the part with startTime and endTime"),
               self->job->source.display);
  return FALSE;
}

/* ── The picture ────────────────────────────────────────────────────────── */

static int
to_even (double size)
{
  return CLAMP (2 * (int)round (size / 2), 16, LARGEST_SIDE);
}

/* An explicit size or shape wins over the platform's; of another shape, the shorter side is the platform's shorter one. */
static gboolean
find_size (Shorts *self, GError **error)
{
  JsonObject *parameters = self->job->parameters;
  const char *text = derush_json_get_string (parameters, "aspectRatio", NULL);
  double width = (double)derush_json_get_int (parameters, "width", 0),
         height = (double)derush_json_get_int (parameters, "height", 0);
  double aspect = (double)self->platform.width / self->platform.height;
  double shorter = MIN (self->platform.width, self->platform.height);
  int numerator, denominator;

  if (text) {
    if (sscanf (text, "%d:%d", &numerator, &denominator) != 2 || numerator <= 0 || denominator <= 0) {
      g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The aspect ratio “%s” is none such as 9:16"),
                   text);
      return FALSE;
    }
    aspect = (double)numerator / denominator;
  }
  if (width > 0 && height <= 0) {
    height = width / aspect;
  } else if (height > 0 && width <= 0) {
    width = height * aspect;
  } else if (width > 0 && text) {
    /* Both bound the shape that is asked for. */
    double fitting = MIN (width, height * aspect);

    width = fitting;
    height = fitting / aspect;
  } else if (width <= 0) {
    width = aspect < 1 ? shorter : shorter * aspect;
    height = aspect < 1 ? shorter / aspect : shorter;
  }
  self->width = to_even (width);
  self->height = to_even (height);
  return TRUE;
}

/* The size that an analysis has is that of the picture as it is stored. */
static gboolean
is_turned (DerushMediaInfo *info)
{
  JsonObject *video = derush_json_get_object (info->object, "video");

  return derush_json_get_int (video, "rotation", 0) != 0 || derush_json_get_boolean (video, "flipped", FALSE);
}

static gboolean
open_analysis (Shorts *self)
{
  g_autoptr (GError) failure = NULL;
  const DerushAnalysis *analysis;

  if (self->job->analysis.fd < 0 && !(self->job->results && derush_json_get_object (self->job->results, "analyse")))
    return FALSE;
  self->analysis = derush_media_job_open_analysis (self->job, &failure);
  if (!self->analysis) {
    derush_media_job_set_debug (self->job, failure->message);
    return FALSE;
  }
  analysis = derush_analysis_file_get (self->analysis);
  return analysis->n_frames > 0 && analysis->width > 0 && analysis->height > 0 && !is_turned (self->info);
}

/* The camera's path by the analysis, in the pixels of the film. */
static gboolean
plan_camera (Shorts *self, const Part *part, const char *path, GError **error)
{
  const DerushAnalysis *analysis = derush_analysis_file_get (self->analysis);
  g_autoptr (GArray) keys = NULL;
  DerushCameraOptions options;

  derush_camera_options_init (&options);
  options.aspect = (double)self->width / self->height;
  options.pixel_aspect =
      ((double)self->info->width / self->info->height) / ((double)analysis->width / analysis->height);
  keys = derush_camera_path_compute (analysis, part->start, part->end, &options);
  if (keys->len == 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL,
                 _ ("The analysis of “%s” says nothing of the time from %.3f s to %.3f s"), self->job->source.display,
                 part->start, part->end);
    return FALSE;
  }
  return camera_file_write (path, (const DerushCameraKey *)(gconstpointer)keys->data, keys->len, analysis->width,
                            analysis->height, error);
}

/* ── Making them ────────────────────────────────────────────────────────── */

static JsonObject *
make_parameters (Shorts *self, const Part *part, const char *file, const char *crop_path)
{
  JsonObject *parameters = json_object_new ();
  g_autofree char *aspect = g_strdup_printf ("%d:%d", self->width, self->height);

  json_object_set_string_member (parameters, "template", "short");
  json_object_set_string_member (parameters, "format", derush_json_get_string (self->job->parameters, "format", "mp4"));
  json_object_set_string_member (parameters, "quality",
                                 derush_json_get_string (self->job->parameters, "quality", "medium"));
  json_object_set_string_member (parameters, "aspectRatio", aspect);
  json_object_set_int_member (parameters, "width", self->width);
  json_object_set_int_member (parameters, "height", self->height);
  json_object_set_double_member (parameters, "start", part->start);
  if (self->info->duration <= 0 || part->end < self->info->duration)
    json_object_set_double_member (parameters, "end", part->end);
  json_object_set_string_member (parameters, "name", file);
  json_object_set_string_member (parameters, self->analysis ? "crop-path" : "crop-path-location", crop_path);
  return parameters;
}

/* As loud as the platform plays it. */
static gboolean
master_sound (Shorts *self, guint index, DerushPart *part, GError **error)
{
  DerushMediaJob ours = *self->job;
  g_autofree char *what = NULL;
  g_autoptr (GError) failure = NULL;

  if (!self->platform.masters || !self->info->audio_id)
    return TRUE;
  ours.parameters = part->parameters;
  what = g_strdup_printf (_ ("Short %u"), index + 1);
  part->sound =
      derush_sound_master (&ours, self->info, &self->platform.sound, g_array_index (self->parts, Part, index).start,
                           derush_json_get_number (part->parameters, "end", -1), what, &failure);
  if (!failure)
    return TRUE;
  g_propagate_prefixed_error (error, g_steal_pointer (&failure), _ ("Short %u: "), index + 1);
  return FALSE;
}

static char *
crop_file (Shorts *self, guint index)
{
  return g_strdup_printf ("%s-%03u.crop.json", derush_json_get_string (self->job->parameters, "name", "short"),
                          index + 1);
}

static gboolean
plan_short (Shorts *self, guint index, DerushPart *part, GError **error)
{
  const Part *wanted = &g_array_index (self->parts, Part, index);
  g_autofree char *file =
      g_strdup_printf ("%s-%03u.%s", derush_json_get_string (self->job->parameters, "name", "short"), index + 1,
                       derush_json_get_string (self->job->parameters, "format", "mp4"));
  g_autofree char *crop_name = crop_file (self, index);
  g_autofree char *crop_path = derush_media_job_path (self->job, crop_name, error);

  if (!crop_path || (self->analysis && !plan_camera (self, wanted, crop_path, error)))
    return FALSE;
  part->parameters = make_parameters (self, wanted, file, crop_path);
  return master_sound (self, index, part, error);
}

static JsonObject *
describe_short (Shorts *self, guint index, const DerushPart *part)
{
  const Part *wanted = &g_array_index (self->parts, Part, index);
  g_autofree char *crop_name = crop_file (self, index);
  JsonObject *made = json_object_ref (part->result);

  json_object_set_double_member (made, "startTime", wanted->start);
  json_object_set_double_member (made, "endTime", wanted->end);
  json_object_set_string_member (made, "cropFile", crop_name);
  if (part->sound) {
    json_object_set_double_member (made, "loudness", round (part->sound->loudness * 100) / 100);
    json_object_set_double_member (made, "truePeak", round (part->sound->true_peak * 100) / 100);
  }
  if (wanted->id)
    json_object_set_string_member (made, "id", wanted->id);
  if (wanted->description)
    json_object_set_string_member (made, "description", wanted->description);
  return made;
}

/* The film is decoded once for all shorts; one that cannot be made fails them all. */
static JsonObject *
make_all (Shorts *self, GError **error)
{
  g_autoptr (JsonArray) shorts = json_array_new ();
  g_autoptr (GArray) parts = g_array_new (FALSE, TRUE, sizeof (DerushPart));
  DerushMediaJob ours = *self->job;
  JsonObject *result;

  g_array_set_clear_func (parts, (GDestroyNotify)derush_part_clear);
  g_array_set_size (parts, self->parts->len);
  for (guint i = 0; i < parts->len; i++) {
    if (!plan_short (self, i, &g_array_index (parts, DerushPart, i), error))
      return NULL;
    derush_media_job_progress (self->job, PLAN_SHARE * (i + 1) / parts->len);
  }
  ours.progress_from += PLAN_SHARE * (1 - ours.progress_from - ours.progress_left);
  if (!derush_parts_make (&ours, self->info, (DerushPart *)(gpointer)parts->data, parts->len, error))
    return NULL;
  for (guint i = 0; i < parts->len; i++) {
    DerushPart *part = &g_array_index (parts, DerushPart, i);

    if (!part->result) {
      g_propagate_prefixed_error (error, g_steal_pointer (&part->error), _ ("Short %u: "), i + 1);
      return NULL;
    }
    json_array_add_object_element (shorts, describe_short (self, i, part));
  }
  result = json_object_new ();
  json_object_set_array_member (result, "shorts", g_steal_pointer (&shorts));
  return result;
}

JsonObject *
derush_action_shorts (DerushMediaJob *job, GError **error)
{
  g_auto (Shorts) self = {.job = job};

  self.info = derush_media_job_get_info (job, error);
  if (!self.info)
    return NULL;
  if (!self.info->video_id) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no picture, only sound"),
                 job->source.display);
    return NULL;
  }
  self.platform_name = derush_json_get_string (job->parameters, "platform", NULL);
  if (!derush_platform_load (&self.platform, self.platform_name, error) || !find_size (&self, error) ||
      !find_parts (&self, error))
    return NULL;
  if (!open_analysis (&self))
    g_clear_pointer (&self.analysis, derush_analysis_file_free);
  return make_all (&self, error);
}
