/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "stills-private.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define DEFAULT_COUNT 5
#define DEFAULT_QUALITY 85
/* Without an analysis, this many places of a film are looked at for each still, but not fewer than the second. */
#define PLACES_PER_STILL 5
#define LEAST_PLACES 20
/* What is looked at in one place, in seconds. */
#define PLACE_LENGTH 0.8
/* A film up to this many seconds is looked at as a whole. */
#define SHORT_FILM 20.0
/* The last frame of a film begins this long before its end, at least: a position of 1 means it. */
#define END_TOLERANCE 0.001

/* A frame to be made a picture of. */
typedef struct {
  double time;
  float score; /* negative: not known yet */
  guint traits;
} Choice;

typedef struct {
  DerushMediaJob *job;
  DerushStillReader *reader;
  DerushStillScale scale; /* of the frames that were measured on the way */
  guint count;
  GArray *choices; /* Choice */
} Thumbnails;

static void
thumbnails_clear (Thumbnails *self)
{
  g_clear_pointer (&self->reader, derush_still_reader_free);
  g_clear_pointer (&self->choices, g_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Thumbnails, thumbnails_clear)

static void
add_choice (Thumbnails *self, double time, float score, guint traits)
{
  Choice choice = {time, score, traits};

  g_array_append_val (self->choices, choice);
}

/* ── Best: from the analysis ────────────────────────────────────────────── */

/* Cuts are in the shots' starts, gradual transitions in their ranges. */
static DerushStillSpan *
list_transitions (const DerushAnalysis *analysis, gsize *n)
{
  DerushStillSpan *spans = g_new (DerushStillSpan, analysis->n_shots + 1);

  *n = 0;
  for (guint i = 0; i < analysis->n_shots; i++) {
    const DerushShot *shot = &analysis->shots[i];

    if (i == 0 && shot->transition == DERUSH_TRANSITION_CUT)
      continue;
    if (shot->transition == DERUSH_TRANSITION_CUT)
      spans[(*n)++] = (DerushStillSpan){shot->start, shot->start};
    else
      spans[(*n)++] = (DerushStillSpan){shot->transition_start, MAX (shot->transition_start, shot->transition_end)};
  }
  return spans;
}

static void
choose_best (Thumbnails *self, const DerushFrameFeatures *frames, gsize n_frames, const DerushStillSpan *transitions,
             gsize n_transitions, double offset)
{
  g_autofree DerushStill *stills = g_new (DerushStill, n_frames + 1);
  g_autofree gsize *chosen = g_new (gsize, self->count);
  DerushStillRequest request = {self->count, 0, 0};
  gsize n;

  derush_stills_score_film (stills, frames, n_frames, transitions, n_transitions);
  n = derush_stills_select (stills, frames, n_frames, &request, chosen);
  for (gsize i = 0; i < n; i++)
    add_choice (self, MAX (0, stills[chosen[i]].time - offset), stills[chosen[i]].score, stills[chosen[i]].traits);
}

/* The stored analysis, or the one that the step before has just made. */
static DerushAnalysisFile *
open_analysis (DerushMediaJob *job)
{
  JsonObject *made = job->results ? derush_json_get_object (job->results, "analyse") : NULL;
  const char *name = made ? derush_json_get_string (made, "file", NULL) : NULL;
  g_autofree char *path = name && *name ? derush_media_job_path (job, name, NULL) : NULL;
  DerushAnalysisFile *file = NULL;

  if (path)
    file = derush_analysis_file_open (path, NULL);
  if (!file && job->analysis.fd >= 0)
    file = derush_analysis_file_open_fd (job->analysis.fd, NULL);
  return file;
}

static gboolean
choose_by_analysis (Thumbnails *self)
{
  g_autoptr (DerushAnalysisFile) file = open_analysis (self->job);
  g_autofree DerushStillSpan *transitions = NULL;
  const DerushAnalysis *analysis;
  gsize n_transitions;

  if (!file)
    return FALSE;
  analysis = derush_analysis_file_get (file);
  transitions = list_transitions (analysis, &n_transitions);
  choose_best (self, analysis->frames, analysis->n_frames, transitions, n_transitions,
               derush_still_reader_get_offset (self->reader));
  return self->choices->len > 0;
}

/* ── Best: from samples ─────────────────────────────────────────────────── */

typedef struct {
  DerushStillMeter *meter;
  GArray *frames; /* DerushFrameFeatures */
  double start;   /* of the place; negative: no frame yet */
  double length;
} Look;

static gboolean
look_at_frame (GstSample *sample, double time, gpointer data)
{
  Look *look = data;
  DerushFrameFeatures features;

  if (look->start < 0)
    look->start = time;
  if (time - look->start > look->length)
    return FALSE;
  /* Two places may have the same key frame before them. */
  if (look->frames->len > 0 && time <= g_array_index (look->frames, DerushFrameFeatures, look->frames->len - 1).time)
    return TRUE;
  if (derush_still_meter_push (look->meter, sample, time, &features))
    g_array_append_val (look->frames, features);
  return TRUE;
}

static gboolean
choose_by_samples (Thumbnails *self, GError **error)
{
  double duration = derush_still_reader_get_duration (self->reader);
  gboolean whole = duration <= SHORT_FILM;
  guint n_places = whole ? 1 : MAX (LEAST_PLACES, self->count * PLACES_PER_STILL);
  g_autoptr (DerushStillMeter) meter = derush_still_meter_new ();
  g_autoptr (GArray) frames = g_array_new (FALSE, FALSE, sizeof (DerushFrameFeatures));
  g_autoptr (GArray) transitions = g_array_new (FALSE, FALSE, sizeof (DerushStillSpan));

  for (guint i = 0; i < n_places; i++) {
    Look look = {meter, frames, -1, whole ? G_MAXDOUBLE : PLACE_LENGTH};
    guint first = frames->len;

    derush_still_meter_reset (meter);
    if (!derush_still_reader_read (self->reader, whole ? 0 : duration * (i + 0.5) / n_places, !whole, look_at_frame,
                                   &look, error))
      return FALSE;
    /* A key frame often is the first of a shot. */
    if (!whole && frames->len > first) {
      double start = g_array_index (frames, DerushFrameFeatures, first).time;
      DerushStillSpan span = {start, start};

      g_array_append_val (transitions, span);
    }
    derush_media_job_progress (self->job, 0.5 * (i + 1) / n_places);
  }
  choose_best (self, (const DerushFrameFeatures *)(void *)frames->data, frames->len,
               (const DerushStillSpan *)(void *)transitions->data, transitions->len, 0);
  return TRUE;
}

/* ── Uniform and given positions ────────────────────────────────────────── */

static void
choose_uniform (Thumbnails *self)
{
  double duration = derush_still_reader_get_duration (self->reader);

  for (guint i = 0; i < self->count; i++)
    add_choice (self, duration * (i + 0.5) / self->count, -1, 0);
}

static gboolean
choose_positions (Thumbnails *self, JsonArray *positions, GError **error)
{
  double duration = derush_still_reader_get_duration (self->reader);

  for (guint i = 0; positions && i < json_array_get_length (positions); i++) {
    double position = json_array_get_double_element (positions, i);
    double time = position <= 1 ? position * duration : position;

    if (time > duration + END_TOLERANCE && duration > 0) {
      derush_media_job_warn (self->job, _ ("The position %.3f s was moved to the end of the film (%.3f s)"), time,
                             duration);
      time = duration;
    }
    /* What stands on the screen when the film ends is its last frame, however long its sound goes on. */
    add_choice (self, duration > 0 && time >= duration - END_TOLERANCE ? G_MAXDOUBLE : time, -1, 0);
  }
  if (self->choices->len > 0)
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("No position is given for the thumbnails"));
  return FALSE;
}

/* ── Pictures ───────────────────────────────────────────────────────────── */

static void
score_frame (Thumbnails *self, const DerushStillFrame *frame, DerushStill *still)
{
  derush_still_scale_add (&self->scale, &frame->features);
  derush_still_score (still, &frame->features, &frame->context, &self->scale);
}

/* An evenly spaced still may give way a little where the film is black. */
static gboolean
avoid_black (Thumbnails *self, DerushStillFrame *frame, double spacing, GError **error)
{
  static const double offsets[] = {0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.4, -0.4};
  double time = frame->time;
  DerushStill still;

  score_frame (self, frame, &still);
  for (guint i = 0; i < G_N_ELEMENTS (offsets); i++) {
    g_auto (DerushStillFrame) other = {NULL};

    if (!(still.traits & (DERUSH_STILL_BLACK | DERUSH_STILL_UNIFORM)))
      break;
    if (!derush_still_reader_get_frame (self->reader, MAX (0, time + offsets[i] * spacing), &other, error))
      return FALSE;
    score_frame (self, &other, &still);
    if (!(still.traits & (DERUSH_STILL_BLACK | DERUSH_STILL_UNIFORM))) {
      derush_still_frame_clear (frame);
      *frame = other;
      other.sample = NULL;
    }
  }
  return TRUE;
}

static gboolean
get_frame (Thumbnails *self, const Choice *choice, DerushStillFrame *frame, gboolean uniform, GError **error)
{
  double duration = derush_still_reader_get_duration (self->reader);
  double time = choice->time;

  if (time == G_MAXDOUBLE)
    return derush_still_reader_get_last_frame (self->reader, frame, error);
  if (!derush_still_reader_get_frame (self->reader, time, frame, error))
    return FALSE;
  return !uniform || avoid_black (self, frame, duration / self->count, error);
}

static DerushStillPicture
read_picture (JsonObject *parameters, const char *format)
{
  const char *fit = derush_json_get_string (parameters, "fit", "contain");

  return (DerushStillPicture){
      .width = (guint)derush_json_get_int (parameters, "width", 0),
      .height = (guint)derush_json_get_int (parameters, "height", 0),
      .least_side = strcmp (format, "webp") == 0 ? 16 : 1,
      .enlarge = derush_json_get_boolean (parameters, "enlarge", TRUE),
      .fit = strcmp (fit, "cover") == 0  ? DERUSH_STILL_FIT_COVER
             : strcmp (fit, "fill") == 0 ? DERUSH_STILL_FIT_FILL
                                         : DERUSH_STILL_FIT_CONTAIN,
      .alpha = strcmp (format, "jpg") != 0,
  };
}

static void
describe (JsonObject *item, const Choice *choice, double duration, GstSample *picture, const char *path)
{
  GstStructure *structure = gst_caps_get_structure (gst_sample_get_caps (picture), 0);
  const char *reasons[DERUSH_STILL_MAX_REASONS];
  guint n = derush_still_list_reasons (choice->traits, reasons);
  JsonArray *list = json_array_new ();
  int width = 0, height = 0;
  GStatBuf status;

  gst_structure_get (structure, "width", G_TYPE_INT, &width, "height", G_TYPE_INT, &height, NULL);
  for (guint i = 0; i < n; i++)
    json_array_add_string_element (list, reasons[i]);
  json_object_set_double_member (item, "time", choice->time);
  json_object_set_double_member (item, "position", duration > 0 ? CLAMP (choice->time / duration, 0, 1) : 0);
  json_object_set_int_member (item, "width", width);
  json_object_set_int_member (item, "height", height);
  json_object_set_int_member (item, "fileSize", g_stat (path, &status) == 0 ? status.st_size : 0);
  json_object_set_double_member (item, "score", round (choice->score * 10000) / 10000);
  json_object_set_array_member (item, "reasons", list);
}

static JsonObject *
make_thumbnail (Thumbnails *self, guint i, gboolean uniform, GError **error)
{
  JsonObject *parameters = self->job->parameters;
  const char *format = derush_json_get_string (parameters, "format", "jpg");
  DerushStillPicture wanted = read_picture (parameters, format);
  Choice *choice = &g_array_index (self->choices, Choice, i);
  g_auto (DerushStillFrame) frame = {NULL};
  g_autofree char *name =
      g_strdup_printf ("%s-%03u.%s", derush_json_get_string (parameters, "name", "thumbnail"), i + 1, format);
  g_autofree char *path = derush_media_job_path (self->job, name, error);
  g_autoptr (GstSample) picture = NULL;
  JsonObject *item;

  if (!path || !get_frame (self, choice, &frame, uniform, error))
    return NULL;
  if (choice->score < 0) {
    DerushStill still;

    score_frame (self, &frame, &still);
    choice->score = still.score;
    choice->traits = still.traits;
  }
  choice->time = frame.time;
  picture = derush_still_picture_make (&wanted, frame.sample, error);
  if (!picture ||
      !derush_still_picture_write (self->job, picture, format,
                                   (int)derush_json_get_int (parameters, "quality", DEFAULT_QUALITY), path, error))
    return NULL;
  item = json_object_new ();
  json_object_set_string_member (item, "file", name);
  json_object_set_string_member (item, "format", format);
  describe (item, choice, derush_still_reader_get_duration (self->reader), picture, path);
  return item;
}

/* Nothing half-made is left of a job that fails. */
static void
remove_files (DerushMediaJob *job, JsonArray *items)
{
  for (guint i = 0; i < json_array_get_length (items); i++) {
    g_autofree char *path = derush_media_job_path (
        job, json_object_get_string_member (json_array_get_object_element (items, i), "file"), NULL);

    if (path)
      g_unlink (path);
  }
}

static JsonArray *
make_thumbnails (Thumbnails *self, gboolean uniform, double progress, GError **error)
{
  g_autoptr (JsonArray) items = json_array_new ();

  for (guint i = 0; i < self->choices->len; i++) {
    JsonObject *item = make_thumbnail (self, i, uniform, error);

    if (!item) {
      remove_files (self->job, items);
      return NULL;
    }
    json_array_add_object_element (items, item);
    derush_media_job_progress (self->job, progress + (1 - progress) * (i + 1) / self->choices->len);
  }
  return g_steal_pointer (&items);
}

/*
 * Parameters: count, width, height, fit (contain, cover, fill), enlarge, format (jpg, png, webp), quality (1 to 100), mode
 * (best, uniform, positions), positions (up to 1 a share of the film, above it seconds), name (of the files, before
 * their number). In mode best, the first thumbnail is the best; in the others they come in the order asked for.
 */
JsonObject *
derush_action_thumbnails (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, error);
  const char *mode = derush_json_get_string (job->parameters, "mode", "best");
  g_auto (Thumbnails) self = {.job = job};
  gboolean uniform = strcmp (mode, "uniform") == 0, best = strcmp (mode, "best") == 0, by_samples = FALSE;
  JsonArray *items;
  JsonObject *result;

  if (!info)
    return NULL;
  self.count = (guint)CLAMP (derush_json_get_int (job->parameters, "count", DEFAULT_COUNT), 1, 1000);
  self.choices = g_array_new (FALSE, FALSE, sizeof (Choice));
  self.reader = derush_still_reader_new (job, info, error);
  if (!self.reader)
    return NULL;
  if (uniform) {
    choose_uniform (&self);
  } else if (!best) {
    if (!choose_positions (&self, derush_json_get_array (job->parameters, "positions"), error))
      return NULL;
  } else if (!choose_by_analysis (&self)) {
    by_samples = TRUE;
    if (!choose_by_samples (&self, error))
      return NULL;
  }
  items = make_thumbnails (&self, uniform, by_samples ? 0.5 : 0, error);
  if (!items)
    return NULL;
  if (best && self.choices->len < self.count)
    derush_media_job_warn (job, _ ("The film has only %u different pictures for the %u thumbnails wanted"),
                           self.choices->len, self.count);
  if (derush_still_reader_get_break (self.reader))
    derush_media_job_warn (job, _ ("The film is damaged: %s"), derush_still_reader_get_break (self.reader));
  result = json_object_new ();
  json_object_set_array_member (result, "thumbnails", items);
  return result;
}
