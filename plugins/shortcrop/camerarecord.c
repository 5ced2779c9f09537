/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "camerarecord.h"

#include "camerafile.h"

#include <math.h>

/* How far a written path may be off, in source pixels. */
#define TOLERANCE 1.0
/* Frames of one shot that are kept before they are simplified. */
#define MOST_FRAMES 20000

struct _CameraRecord {
  GArray *keys; /* of earlier shots */
  GArray *shot; /* of this one, a key per frame */
  double end;
};

CameraRecord *
camera_record_new (void)
{
  CameraRecord *self = g_new0 (CameraRecord, 1);

  self->keys = g_array_new (FALSE, FALSE, sizeof (DerushCameraKey));
  self->shot = g_array_new (FALSE, FALSE, sizeof (DerushCameraKey));
  return self;
}

void
camera_record_free (CameraRecord *record)
{
  g_array_unref (record->keys);
  g_array_unref (record->shot);
  g_free (record);
}

void
camera_record_clear (CameraRecord *record)
{
  g_array_set_size (record->keys, 0);
  g_array_set_size (record->shot, 0);
}

static void
finish_shot (CameraRecord *self, double end)
{
  DerushCameraKey last;
  gsize n;

  if (self->shot->len == 0)
    return;
  last = g_array_index (self->shot, DerushCameraKey, self->shot->len - 1);
  last.time = MAX (last.time, end);
  g_array_append_val (self->shot, last);
  n = derush_camera_path_simplify ((DerushCameraKey *)self->shot->data, self->shot->len, TOLERANCE);
  g_array_append_vals (self->keys, self->shot->data, n);
  g_array_set_size (self->shot, 0);
}

void
camera_record_add (CameraRecord *record, const DerushCameraKey *key, gboolean new_shot, double duration)
{
  DerushCameraKey rounded = *key;

  /* Not after the first frame of the shot. */
  rounded.time = floor (key->time * 1000 + 1e-6) / 1000;
  if (new_shot)
    finish_shot (record, rounded.time);
  else if (record->shot->len >= MOST_FRAMES)
    record->shot->len =
        derush_camera_path_simplify ((DerushCameraKey *)record->shot->data, record->shot->len, TOLERANCE);
  g_array_append_val (record->shot, rounded);
  record->end = key->time + duration;
}

/* Returns: whether the path is written; one without a frame is not. */
gboolean
camera_record_write (CameraRecord *record, const char *path, guint source_width, guint source_height, GError **error)
{
  finish_shot (record, round (record->end * 1000) / 1000);
  if (record->keys->len == 0)
    return TRUE;
  return camera_file_write (path, (DerushCameraKey *)record->keys->data, record->keys->len, source_width, source_height,
                            error);
}
