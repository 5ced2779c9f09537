/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stills-private.h"

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

typedef struct {
  DerushMediaJob *job;
  DerushMediaInfo *info;
  const char *name;
  char *vtt_name;
  char *vtt_path;
} Storyboard;

static void
storyboard_clear (Storyboard *self)
{
  g_clear_pointer (&self->info, derush_media_info_free);
  g_clear_pointer (&self->vtt_name, g_free);
  g_clear_pointer (&self->vtt_path, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Storyboard, storyboard_clear)

static char *
page_name (Storyboard *self, guint page)
{
  return g_strdup_printf ("%s-%03u.jpg", self->name, page);
}

static void
remove_files (Storyboard *self, const Sheet *sheet)
{
  for (guint page = sheet->first_page; sheet->tiles > 0 && page <= sheet->last_page; page++) {
    g_autofree char *name = page_name (self, page);
    g_autofree char *path = derush_media_job_path (self->job, name, NULL);

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
page_pattern (Storyboard *self)
{
  g_auto (GStrv) parts = g_strsplit (self->job->directory, "%", -1);
  g_autofree char *directory = g_strjoinv ("%%", parts);

  return g_strdup_printf ("%s/%s-%%03d.jpg", directory, self->name);
}

static DerushMediaPipeline *
prepare (Storyboard *self, GError **error)
{
  static const struct {
    const char *member, *parameter;
  } parameters[] = {{"columns", "columns"}, {"rows", "rows"}, {"tileWidth", "tile-width"}, {"quality", "quality"}};
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load ("storyboard", error);
  g_autoptr (DerushMediaPipeline) pipeline = NULL;
  g_autofree char *url_template = g_strdup_printf ("%s-%%03u.jpg", self->name);
  g_autofree char *pattern = page_pattern (self);
  double interval = derush_json_get_number (self->job->parameters, "interval", 0);

  if (!pipeline_template)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (parameters); i++) {
    gint64 value = derush_json_get_int (self->job->parameters, parameters[i].member, 0);

    if (value > 0 && !derush_template_set_int (pipeline_template, parameters[i].parameter, value, error))
      return NULL;
  }
  if (interval > 0 && !derush_template_set_int (pipeline_template, "interval", (gint64)(interval * GST_SECOND), error))
    return NULL;
  pipeline = derush_media_pipeline_new (self->job, self->info, pipeline_template, error);
  if (!pipeline)
    return NULL;
  g_object_set (derush_media_pipeline_get_element (pipeline, "pages"), "vtt-location", self->vtt_path, "url-template",
                url_template, NULL);
  /* The first page may come with the end of the film: a pipeline that waits for it before it plays would not end where
   * the film breaks off before. */
  g_object_set (derush_media_pipeline_get_element (pipeline, "output"), "location", pattern, "async", FALSE, NULL);
  derush_media_pipeline_expect_buffers (pipeline, "pages", "sink");
  return g_steal_pointer (&pipeline);
}

/* @whole: whether more than key frames came through. */
static gboolean
make (Storyboard *self, gboolean key_frames_only, Sheet *sheet, gboolean *whole, GError **error)
{
  g_autoptr (DerushMediaPipeline) pipeline = prepare (self, error);
  guint64 frames;

  *sheet = (Sheet){0, 0, 0, 0, 0};
  if (!pipeline)
    return FALSE;
  derush_media_pipeline_set_message_func (pipeline, take_message, sheet);
  derush_media_pipeline_set_key_frames_only (pipeline, key_frames_only);
  derush_media_pipeline_set_progress_range (pipeline, 0, key_frames_only ? 0.9 : 1);
  if (!derush_media_pipeline_run (pipeline, error)) {
    remove_files (self, sheet);
    return FALSE;
  }
  if (derush_media_pipeline_get_break (pipeline) && !key_frames_only)
    derush_media_job_warn (self->job, _ ("The film is damaged near %.2f s: %s"),
                           derush_media_pipeline_get_end (pipeline), derush_media_pipeline_get_break (pipeline));
  frames = derush_media_pipeline_get_buffers (pipeline, "pages");
  *whole = !key_frames_only || (self->info->fps > 0 && frames > ALL_FRAMES * self->info->fps * sheet->end);
  return TRUE;
}

static gboolean
is_sparse (const Sheet *sheet)
{
  double share = sheet->end <= SHORT_FILM ? 1 : ENOUGH_TILES;

  return sheet->tiles == 0 || sheet->tiles < share * floor (sheet->end / sheet->interval);
}

static JsonObject *
describe (Storyboard *self, const Sheet *sheet, gboolean whole)
{
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
  json_object_set_int_member (result, "columns", derush_json_get_int (self->job->parameters, "columns", 10));
  json_object_set_string_member (result, "method", whole ? "all-frames" : "key-frames");
  return result;
}

static gboolean
check_pages (Storyboard *self, const Sheet *sheet, GError **error)
{
  for (guint page = sheet->first_page; sheet->tiles > 0 && page <= sheet->last_page; page++) {
    g_autofree char *name = page_name (self, page);
    g_autofree char *path = derush_media_job_path (self->job, name, error);

    if (!path || !derush_still_picture_check (self->job, path, error)) {
      remove_files (self, sheet);
      return FALSE;
    }
  }
  return TRUE;
}

/*
 * Parameters: columns, rows, tileWidth (pixels), interval (seconds; absent: by the film's duration), quality (1 to 100),
 * name (of the files). Key frames are tried first, which takes a few hundredths of the time; where they fill less than half of
 * the places for tiles (in a short film, not all), or the film cannot be entered in the middle, every frame is decoded. `method` says which it was.
 */
JsonObject *
derush_action_storyboard (DerushMediaJob *job, GError **error)
{
  g_auto (Storyboard) self = {.job = job, .name = derush_json_get_string (job->parameters, "name", "storyboard")};
  g_autoptr (GError) failure = NULL;
  gboolean done = FALSE, whole = FALSE;
  Sheet sheet = {0, 0, 0, 0, 0};

  self.info = derush_media_job_get_info (job, error);
  if (!self.info)
    return NULL;
  self.vtt_name = g_strconcat (self.name, ".vtt", NULL);
  self.vtt_path = derush_media_job_path (job, self.vtt_name, error);
  if (!self.vtt_path)
    return NULL;
  if (!self.info->video_id) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” has no picture, only sound"),
                 job->source.display);
    return NULL;
  }
  g_clear_pointer (&self.info->audio_id, g_free); /* the template has no sound */
  if (self.info->seekable) {
    done = make (&self, TRUE, &sheet, &whole, &failure);
    if (!done && g_cancellable_is_cancelled (job->cancellable)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
    if (done && !whole && is_sparse (&sheet)) {
      remove_files (&self, &sheet);
      done = FALSE;
    }
  }
  if (!done && !make (&self, FALSE, &sheet, &whole, error))
    return NULL;
  return check_pages (&self, &sheet, error) ? describe (&self, &sheet, whole) : NULL;
}
