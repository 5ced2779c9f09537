/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stills-private.h"
#include "storyboard-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* Key frames are too rare when they fill less than this share of the places for tiles … */
#define ENOUGH_TILES 0.5
/* … or, in a film of up to so many seconds, which costs little to decode, not all of them. */
#define SHORT_FILM 60.0
/* When this share of all frames came through, they were not only key frames. */
#define ALL_FRAMES 0.5

/* What the messages of the pages told. */
typedef struct {
  guint tiles;
  guint first_page;
  guint last_page;
  double interval;
  double end;
} Sheet;

struct _DerushStoryboard {
  DerushMediaJob job; /* with the parameters of the storyboard */
  DerushMediaInfo *info;
  char *name;
  char *vtt_name;
  char *vtt_path;
  Sheet sheet;
};

DerushStoryboard *
derush_storyboard_new (DerushMediaJob *job, DerushMediaInfo *info, JsonObject *parameters, GError **error)
{
  g_autoptr (DerushStoryboard) self = g_new0 (DerushStoryboard, 1);

  self->job = *job;
  self->job.parameters = parameters;
  self->info = info;
  self->name = g_strdup (derush_json_get_string (parameters, "name", "storyboard"));
  self->vtt_name = g_strconcat (self->name, ".vtt", NULL);
  self->vtt_path = derush_media_job_path (job, self->vtt_name, error);
  return self->vtt_path ? g_steal_pointer (&self) : NULL;
}

void
derush_storyboard_free (DerushStoryboard *self)
{
  g_free (self->name);
  g_free (self->vtt_name);
  g_free (self->vtt_path);
  g_free (self);
}

static char *
page_name (DerushStoryboard *self, guint page)
{
  return g_strdup_printf ("%s-%03u.jpg", self->name, page);
}

void
derush_storyboard_discard (DerushStoryboard *self)
{
  const Sheet *sheet = &self->sheet;

  for (guint page = sheet->first_page; sheet->tiles > 0 && page <= sheet->last_page; page++) {
    g_autofree char *name = page_name (self, page);
    g_autofree char *path = derush_media_job_path (&self->job, name, NULL);

    if (path)
      g_unlink (path);
  }
  g_unlink (self->vtt_path);
}

static void
take_message (GstMessage *message, gpointer data)
{
  Sheet *sheet = data;
  const GstStructure *structure = gst_message_get_structure (message);
  GstClockTime time, duration, interval;
  guint page;

  if (!gst_message_has_name (message, "spritesheet") ||
      !gst_structure_get (structure, "stream-time", GST_TYPE_CLOCK_TIME, &time, "duration", GST_TYPE_CLOCK_TIME,
                          &duration, "interval", GST_TYPE_CLOCK_TIME, &interval, "page", G_TYPE_UINT, &page, NULL))
    return;
  if (sheet->tiles++ == 0)
    sheet->first_page = page;
  sheet->last_page = page;
  sheet->interval = (double)interval / GST_SECOND;
  sheet->end = (double)(time + duration) / GST_SECOND;
}

/* multifilesink makes the names of pages by printf(). */
static char *
page_pattern (DerushStoryboard *self)
{
  g_auto (GStrv) parts = g_strsplit (self->job.directory, "%", -1);
  g_autofree char *directory = g_strjoinv ("%%", parts);

  return g_strdup_printf ("%s/%s-%%03d.jpg", directory, self->name);
}

DerushMediaPipeline *
derush_storyboard_prepare (DerushStoryboard *self, const char *template_name, GError **error)
{
  static const struct {
    const char *member, *parameter;
  } parameters[] = {{"columns", "columns"}, {"rows", "rows"}, {"tileWidth", "tile-width"}, {"quality", "quality"}};
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load (template_name, error);
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  g_autofree char *url_template = g_strdup_printf ("%s-%%03u.jpg", self->name);
  g_autofree char *pattern = page_pattern (self);
  double interval = derush_json_get_number (self->job.parameters, "interval", 0);

  if (!pipeline_template)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (parameters); i++) {
    gint64 value = derush_json_get_int (self->job.parameters, parameters[i].member, 0);

    if (value > 0 && !derush_template_set_int (pipeline_template, parameters[i].parameter, value, error))
      return NULL;
  }
  if (interval > 0 && !derush_template_set_int (pipeline_template, "interval", (gint64)(interval * GST_SECOND), error))
    return NULL;
  pipeline = derush_media_pipeline_new (&self->job, self->info, pipeline_template, error);
  if (!pipeline)
    return NULL;
  g_object_set (derush_media_pipeline_get_element (pipeline, "pages"), "vtt-location", self->vtt_path, "url-template",
                url_template, NULL);
  /* The first page may come with the end of the film: a pipeline that waits for it before it plays would not end where
   * the film breaks off before. */
  g_object_set (derush_media_pipeline_get_element (pipeline, "output"), "location", pattern, "async", FALSE, NULL);
  derush_media_pipeline_expect_buffers (pipeline, "pages", "sink");
  self->sheet = (Sheet){0, 0, 0, 0, 0};
  derush_media_pipeline_set_message_func (pipeline, take_message, &self->sheet);
  return g_steal_pointer (&pipeline);
}

/* @whole: whether more than key frames came through. */
static gboolean
make (DerushStoryboard *self, gboolean key_frames_only, gboolean *whole, GError **error)
{
  g_autoptr (DerushMediaPipeline) pipeline = derush_storyboard_prepare (self, "storyboard", error);
  guint64 frames;

  if (!pipeline)
    return FALSE;
  derush_media_pipeline_set_key_frames_only (pipeline, key_frames_only);
  derush_media_pipeline_set_progress_range (pipeline, 0, key_frames_only ? 0.9 : 1);
  if (!derush_media_pipeline_run (pipeline, error)) {
    derush_storyboard_discard (self);
    return FALSE;
  }
  if (derush_media_pipeline_get_break (pipeline) && !key_frames_only)
    derush_media_job_warn (&self->job, _ ("The film is damaged near %.2f s: %s"),
                           derush_media_pipeline_get_end (pipeline), derush_media_pipeline_get_break (pipeline));
  frames = derush_media_pipeline_get_buffers (pipeline, "pages");
  *whole = !key_frames_only || (self->info->fps > 0 && frames > ALL_FRAMES * self->info->fps * self->sheet.end);
  return TRUE;
}

static gboolean
is_sparse (const Sheet *sheet)
{
  double share = sheet->end <= SHORT_FILM ? 1 : ENOUGH_TILES;

  return sheet->tiles == 0 || sheet->tiles < share * floor (sheet->end / sheet->interval);
}

static JsonObject *
describe (DerushStoryboard *self, gboolean whole)
{
  const Sheet *sheet = &self->sheet;
  JsonObject *result = json_object_new ();
  JsonArray *pages = json_array_new ();

  for (guint page = sheet->first_page; sheet->tiles > 0 && page <= sheet->last_page; page++) {
    g_autofree char *name = page_name (self, page);

    json_array_add_string_element (pages, name);
  }
  json_object_set_array_member (result, "pages", pages);
  json_object_set_string_member (result, "vtt", self->vtt_name);
  json_object_set_double_member (result, "interval", sheet->interval);
  json_object_set_int_member (result, "tiles", sheet->tiles);
  json_object_set_int_member (result, "columns", derush_json_get_int (self->job.parameters, "columns", 10));
  json_object_set_string_member (result, "method", whole ? "all-frames" : "key-frames");
  return result;
}

static gboolean
check_pages (DerushStoryboard *self, GError **error)
{
  const Sheet *sheet = &self->sheet;

  for (guint page = sheet->first_page; sheet->tiles > 0 && page <= sheet->last_page; page++) {
    g_autofree char *name = page_name (self, page);
    g_autofree char *path = derush_media_job_path (&self->job, name, error);

    if (!path || !derush_still_picture_check (&self->job, path, error)) {
      derush_storyboard_discard (self);
      return FALSE;
    }
  }
  return TRUE;
}

JsonObject *
derush_storyboard_finish (DerushStoryboard *self, GError **error)
{
  return check_pages (self, error) ? describe (self, TRUE) : NULL;
}

/* Where the step before has decoded the film, it may have made the pages on the way. */
static JsonObject *
find_made (DerushMediaJob *job)
{
  JsonObject *analyse = job->results ? derush_json_get_object (job->results, "analyse") : NULL;
  JsonObject *made = derush_json_get_object (analyse, "storyboard");
  JsonArray *pages = derush_json_get_array (made, "pages");

  for (guint i = 0; pages && i < json_array_get_length (pages); i++) {
    g_autofree char *path = derush_media_job_path (job, json_array_get_string_element (pages, i), NULL);

    if (!path || !g_file_test (path, G_FILE_TEST_IS_REGULAR))
      return NULL;
  }
  return made;
}

/* A copy, without what the step before says of itself. */
static JsonObject *
copy_made (JsonObject *made)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), made);
  g_autofree char *text = json_to_string (node, FALSE);

  return derush_json_parse_object (text, -1, NULL);
}

gboolean
derush_storyboard_needs_all_frames (DerushMediaInfo *info)
{
  return info->video_id && !info->interlaced && info->duration > 0 && info->duration <= SHORT_FILM;
}

/*
 * Parameters: columns, rows, tileWidth (pixels), interval (seconds; absent: by the film's duration), quality (1 to 100),
 * name (of the files). Key frames are tried first, which takes a few hundredths of the time; where they fill less than half of
 * the places for tiles (in a short film, not all), or the film cannot be entered in the middle, every frame is decoded. `method` says which it was.
 * The analysis of a short film makes the pages on its way.
 */
JsonObject *
derush_action_storyboard (DerushMediaJob *job, GError **error)
{
  JsonObject *made = find_made (job);
  g_autoptr (DerushMediaInfo) info = made ? NULL : derush_media_job_get_info (job, error);
  g_autoptr (DerushStoryboard) self = info ? derush_storyboard_new (job, info, job->parameters, error) : NULL;
  g_autoptr (GError) failure = NULL;
  gboolean done = FALSE, whole = FALSE;

  if (made)
    return copy_made (made);
  if (!self)
    return NULL;
  if (!info->video_id) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no picture, only sound"),
                 job->source.display);
    return NULL;
  }
  g_clear_pointer (&info->audio_id, g_free); /* the template has no sound */
  if (info->seekable) {
    done = make (self, TRUE, &whole, &failure);
    if (!done && g_cancellable_is_cancelled (job->cancellable)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
    if (done && !whole && is_sparse (&self->sheet)) {
      derush_storyboard_discard (self);
      done = FALSE;
    }
  }
  if (!done && !make (self, FALSE, &whole, error))
    return NULL;
  return check_pages (self, error) ? describe (self, whole) : NULL;
}
