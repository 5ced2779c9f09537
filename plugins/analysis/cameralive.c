/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "camera-private.h"

#include <math.h>
#include <string.h>

/*
 * The same look at a film while it runs: the track goes as far as frames have been pushed, the camera is as far as
 * they have been popped. What lies between is what the camera knows of the future.
 */

#define N_AXES 2
#define MAX_BOXES 8
/* Grey levels per second by which the background follows the picture. */
#define BACKGROUND_RATE 10.0
/* Seconds in which the memory of global motion, and of how much a subject moves, fades. */
#define MOTION_MEMORY 1.0
#define SCALE_MEMORY 8.0
/* The shot detector has judged a frame after that many seconds. */
#define JUDGED_AFTER 0.45
/* Of two times of one frame. */
#define SAME_TIME 0.002
/* A camera this near to where it goes has arrived, in crop widths. */
#define ARRIVED 0.01
/* Seconds of one step of the camera's motion, at most. */
#define STEP 0.02

typedef struct {
  DerushFrameFeatures frame;
  DerushCameraBox boxes[MAX_BOXES];
  guint n_boxes;
  gboolean breaks; /* unlike the frame before; may be a cut, may be a flash */
  gboolean cut;
  guint8 back[N_AXES][CAMERA_POSITIONS];
  guint8 best[N_AXES];
} Entry;

typedef struct {
  float totals[N_AXES][CAMERA_POSITIONS];
  CameraBackground background;
  float scale[N_AXES];
  double global_motion;
  double time;
  guint n_frames; /* of this shot */
} Tracker;

typedef struct {
  double position;
  double speed;
  gboolean moves;
} Head;

struct _DerushCamera {
  DerushCameraOptions options;
  guint source_width, source_height;
  double width, height; /* of the crop */
  CameraAxis axes[N_AXES];
  DerushShotDetector *shots;
  DerushStillBreaks breaks;
  GQueue entries; /* of Entry, the oldest first */
  Tracker tracker;
  Head heads[N_AXES];
  double time;
  gboolean placed;
};

/**
 * derush_camera_new:
 * @source_width: in pixels
 * @source_height: in pixels
 * @options: (nullable): %NULL for the defaults
 *
 * Returns: (transfer full): a camera that has seen nothing
 */
DerushCamera *
derush_camera_new (guint source_width, guint source_height, const DerushCameraOptions *options)
{
  DerushCamera *self = g_new0 (DerushCamera, 1);

  self->source_width = MAX (1, source_width);
  self->source_height = MAX (1, source_height);
  self->shots = derush_shot_detector_new (NULL);
  g_queue_init (&self->entries);
  derush_camera_options_init (&self->options);
  derush_camera_set_options (self, options ? options : &self->options);
  return self;
}

/**
 * derush_camera_free:
 * @camera: (transfer full): a camera
 */
void
derush_camera_free (DerushCamera *camera)
{
  g_queue_clear_full (&camera->entries, g_free);
  derush_shot_detector_free (camera->shots);
  g_free (camera);
}

/**
 * derush_camera_set_options:
 * @camera: a camera
 * @options: from the next frame on; a crop of another size makes the camera look anew
 */
void
derush_camera_set_options (DerushCamera *camera, const DerushCameraOptions *options)
{
  DerushCameraOptions before = camera->options;
  gboolean resized;

  camera->options = *options;
  resized = before.aspect != options->aspect || before.pixel_aspect != options->pixel_aspect ||
            before.zoom != options->zoom || before.rest_x != options->rest_x || before.rest_y != options->rest_y;
  if (camera->width > 0 && !resized)
    return;
  derush_camera_options_get_size (options, camera->source_width, camera->source_height, &camera->width,
                                  &camera->height);
  camera_axis_init (&camera->axes[0], FALSE, camera->width / camera->source_width, options->rest_x);
  camera_axis_init (&camera->axes[1], TRUE, camera->height / camera->source_height, options->rest_y);
  for (guint axis = 0; axis < N_AXES; axis++)
    camera->heads[axis].position = camera_axis_clamp (&camera->axes[axis], camera->heads[axis].position);
}

/**
 * derush_camera_reset:
 * @camera: a camera
 *
 * Forgets everything but the options, as after a seek; frames that were not popped are gone.
 */
void
derush_camera_reset (DerushCamera *camera)
{
  g_queue_clear_full (&camera->entries, g_free);
  g_queue_init (&camera->entries);
  derush_shot_detector_reset (camera->shots);
  memset (&camera->breaks, 0, sizeof (camera->breaks));
  memset (&camera->tracker, 0, sizeof (camera->tracker));
  memset (camera->heads, 0, sizeof (camera->heads));
  camera->placed = FALSE;
}

/* ── Tracking, at the newest frame ──────────────────────────────────────── */

static void
follow_cells (float *usual, const guint8 *grid, guint n, float step)
{
  for (guint i = 0; i < n; i++)
    usual[i] += CLAMP (grid[i] - usual[i], -step, step);
}

static void
follow_background (CameraBackground *background, const DerushFrameFeatures *frame, double duration)
{
  float step = (float)(BACKGROUND_RATE * duration), chroma_step = step / 2;

  follow_cells (background->luma, frame->luma_grid, CAMERA_CELLS, step);
  follow_cells (background->u, frame->u_grid, CAMERA_CHROMA_CELLS, chroma_step);
  follow_cells (background->v, frame->v_grid, CAMERA_CHROMA_CELLS, chroma_step);
}

/* As heavy as whatever moves. */
static void
add_boxes (const CameraAxis *axis, const Entry *entry, float scale, CameraEvidence *evidence)
{
  float usual = 2 * MAX (MAX (scale, evidence->mass), CAMERA_LEAST_MASS);

  for (guint i = 0; i < entry->n_boxes; i++) {
    const DerushCameraBox *box = &entry->boxes[i];
    double from = (axis->vertical ? box->y : box->x) * axis->n_strips;
    double to = from + (axis->vertical ? box->height : box->width) * axis->n_strips;

    for (guint strip = 0; to > from && strip < axis->n_strips; strip++) {
      double overlap = MIN (to, strip + 1.0) - MAX (from, strip);
      float value = overlap > 0 ? (float)(box->weight * usual * overlap / (to - from)) : 0;

      evidence->change[strip] += value;
      evidence->mass += value;
    }
  }
}

static void
track (DerushCamera *self, Entry *entry)
{
  Tracker *tracker = &self->tracker;
  const DerushFrameFeatures *frame = &entry->frame;
  double duration;

  if (entry->cut)
    memset (tracker, 0, sizeof (*tracker));
  duration = tracker->n_frames > 0 ? CLAMP (frame->time - tracker->time, 0, CAMERA_LONGEST_FRAME) : 0.04;
  if (tracker->n_frames == 0) {
    follow_background (&tracker->background, frame, 256);
  } else {
    double share = MIN (1, duration / MOTION_MEMORY);

    tracker->global_motion += share * (frame->global_motion - tracker->global_motion);
    follow_background (&tracker->background, frame, duration);
  }
  for (guint i = 0; i < N_AXES; i++) {
    const CameraAxis *axis = &self->axes[i];
    CameraEvidence evidence;
    float scores[CAMERA_POSITIONS], most;

    camera_axis_look (axis, frame, &evidence);
    if (tracker->n_frames == 0) {
      memset (evidence.change, 0, sizeof (evidence.change));
      evidence.mass = 0;
    }
    camera_axis_add_foreground (axis, frame, &tracker->background, camera_foreground_weight (tracker->global_motion),
                                &evidence);
    tracker->scale[i] = MAX (evidence.mass, tracker->scale[i] * (float)exp (-duration / SCALE_MEMORY));
    add_boxes (axis, entry, tracker->scale[i], &evidence);
    camera_axis_score (axis, &evidence, tracker->scale[i], scores);
    camera_axis_advance (axis, tracker->totals[i], scores, duration, entry->back[i]);
    entry->best[i] = (guint8)camera_axis_get_best (axis, tracker->totals[i]);
    /* So that sums of hours stay as exact as those of seconds. */
    most = tracker->totals[i][entry->best[i]];
    for (guint p = 0; p < axis->n_positions; p++)
      tracker->totals[i][p] -= most;
  }
  tracker->time = frame->time;
  tracker->n_frames++;
}

static void
track_again (DerushCamera *self, GList *from)
{
  for (GList *link = from; link; link = link->next)
    track (self, link->data);
}

/**
 * derush_camera_cut:
 * @camera: a camera
 * @time: stream time of the first frame of a new shot, in seconds
 *
 * Tells of a cut that somebody else has found. One among frames that have been popped comes too late.
 */
void
derush_camera_cut (DerushCamera *camera, double time)
{
  GList *link = camera->entries.head;
  Entry *entry;

  while (link && ((Entry *)link->data)->frame.time < time - SAME_TIME)
    link = link->next;
  if (!link)
    return;
  entry = link->data;
  /* The oldest frame is the one that was meant only if the time is its own. */
  if (entry->cut || (!link->prev && entry->frame.time > time + SAME_TIME))
    return;
  entry->cut = TRUE;
  track_again (camera, link);
}

/**
 * derush_camera_push:
 * @camera: a camera
 * @frame: the next frame
 * @boxes: (array length=n_boxes) (nullable): subjects found by others
 * @n_boxes: their number; the first eight count
 */
void
derush_camera_push (DerushCamera *camera, const DerushFrameFeatures *frame, const DerushCameraBox *boxes, guint n_boxes)
{
  Entry *entry = g_new0 (Entry, 1);
  DerushShotChange change;

  entry->frame = *frame;
  entry->n_boxes = MIN (n_boxes, MAX_BOXES);
  for (guint i = 0; i < entry->n_boxes; i++)
    entry->boxes[i] = boxes[i];
  entry->breaks = derush_still_breaks_push (&camera->breaks, frame);
  g_queue_push_tail (&camera->entries, entry);
  track (camera, entry);
  derush_shot_detector_push (camera->shots, frame);
  while (derush_shot_detector_pop (camera->shots, &change))
    derush_camera_cut (camera, change.time);
}

/* ── The camera, at the oldest frame ────────────────────────────────────── */

/* Where the subject is from the oldest frame on, as far as the future is known and of use. */
static void
find_goals (DerushCamera *self, double goals[N_AXES])
{
  const Entry *oldest = g_queue_peek_head (&self->entries);
  double horizon = oldest->frame.time + self->options.smoothing, sums[N_AXES] = {0};
  GList *last = self->entries.head;
  guint8 positions[N_AXES];
  guint n = 0;

  while (last->next && !((Entry *)last->next->data)->cut)
    last = last->next;
  memcpy (positions, ((Entry *)last->data)->best, sizeof (positions));
  for (GList *link = last; link; link = link->prev) {
    const Entry *entry = link->data;

    if (entry->frame.time <= horizon) {
      for (guint i = 0; i < N_AXES; i++)
        sums[i] += camera_axis_get_position (&self->axes[i], positions[i]);
      n++;
    }
    for (guint i = 0; i < N_AXES; i++)
      positions[i] = entry->back[i][positions[i]];
  }
  for (guint i = 0; i < N_AXES; i++)
    goals[i] = n > 0 ? sums[i] / n : self->heads[i].position;
}

/* A critically damped spring with bounded force and speed, that brakes in time. */
static void
move_head (Head *head, double goal, double duration, const DerushCameraOptions *options)
{
  double most = options->max_speed, smoothing = MAX (options->smoothing, 2 * STEP);
  double force = 2 * most / smoothing, rate = 4 / smoothing;

  while (duration > 0) {
    double step = MIN (duration, STEP), way = goal - head->position, braked;

    head->speed += step * CLAMP (rate * rate * way - 2 * rate * head->speed, -force, force);
    braked = MIN (most, sqrt (2 * force * fabs (way)));
    head->speed = CLAMP (head->speed, -braked, braked);
    head->position += step * head->speed;
    duration -= step;
  }
}

static void
advance_head (Head *head, const CameraAxis *axis, double goal, double rest, double duration,
              const DerushCameraOptions *options)
{
  double way = fabs (goal - head->position) / axis->size;
  gboolean rests = fabs (head->position - rest) < 1e-6;

  if (!head->moves && way > options->dead_zone * (rests ? CAMERA_REST_ZONES : 1))
    head->moves = TRUE;
  if (!head->moves)
    return;
  move_head (head, goal, duration, options);
  if (fabs (goal - head->position) < ARRIVED * axis->size && fabs (head->speed) < ARRIVED * axis->size) {
    head->moves = FALSE;
    head->speed = 0;
  }
}

/**
 * derush_camera_get_pending:
 * @camera: a camera
 *
 * Returns: how many frames have been pushed and not popped
 */
guint
derush_camera_get_pending (DerushCamera *camera)
{
  return camera->entries.length;
}

/**
 * derush_camera_pop:
 * @camera: a camera
 * @key: (out caller-allocates): what to crop of the oldest frame that was not popped
 * @new_shot: (out) (optional): whether a shot begins with it
 *
 * The more frames have been pushed beyond it, the better: with half a second of them, every cut is known, and the
 * camera moves with its subject instead of after it.
 *
 * Returns: %FALSE if there is none
 */
gboolean
derush_camera_pop (DerushCamera *camera, DerushCameraKey *key, gboolean *new_shot)
{
  Entry *entry = g_queue_peek_head (&camera->entries);
  const Entry *newest = g_queue_peek_tail (&camera->entries);
  double goals[N_AXES], time;

  if (!entry)
    return FALSE;
  if (entry->breaks && !entry->cut && newest->frame.time - entry->frame.time < JUDGED_AFTER) {
    entry->cut = TRUE;
    track_again (camera, camera->entries.head);
  }
  time = entry->frame.time;
  if (camera->options.follow) {
    find_goals (camera, goals);
  } else {
    goals[0] = camera->options.rest_x;
    goals[1] = camera->options.rest_y;
  }
  for (guint i = 0; i < N_AXES; i++) {
    Head *head = &camera->heads[i];
    double goal = camera_axis_clamp (&camera->axes[i], goals[i]);
    double rest = camera_axis_clamp (&camera->axes[i], i == 0 ? camera->options.rest_x : camera->options.rest_y);

    if (entry->cut || !camera->placed) {
      gboolean near_rest = fabs (goal - rest) <= CAMERA_REST_ZONES * camera->options.dead_zone * camera->axes[i].size;

      *head = (Head){near_rest ? rest : goal, 0, FALSE};
    } else {
      advance_head (head, &camera->axes[i], goal, rest, MAX (0, time - camera->time), &camera->options);
    }
    head->position = camera_axis_clamp (&camera->axes[i], head->position);
  }
  if (new_shot)
    *new_shot = entry->cut || !camera->placed;
  *key = (DerushCameraKey){time, camera->heads[0].position * camera->source_width - camera->width / 2,
                           camera->heads[1].position * camera->source_height - camera->height / 2, camera->width,
                           camera->height};
  camera->placed = TRUE;
  camera->time = time;
  g_free (g_queue_pop_head (&camera->entries));
  return TRUE;
}
