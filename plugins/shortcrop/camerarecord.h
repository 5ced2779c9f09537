/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"

G_BEGIN_DECLS

/* The path that a camera took, shot by shot. */
typedef struct _CameraRecord CameraRecord;

CameraRecord *camera_record_new (void);
void camera_record_free (CameraRecord *record);
void camera_record_clear (CameraRecord *record);
void camera_record_add (CameraRecord *record, const DerushCameraKey *key, gboolean new_shot, double duration);
gboolean camera_record_write (CameraRecord *record, const char *path, guint source_width, guint source_height,
                              GError **error);

G_END_DECLS
