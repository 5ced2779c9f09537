/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"

G_BEGIN_DECLS

GArray *camera_file_parse (const char *text, gssize length, guint *source_width, guint *source_height, GError **error);
GArray *camera_file_read (const char *path, guint *source_width, guint *source_height, GError **error);
char *camera_file_format (const DerushCameraKey *keys, gsize n_keys, guint source_width, guint source_height);
gboolean camera_file_write (const char *path, const DerushCameraKey *keys, gsize n_keys, guint source_width,
                            guint source_height, GError **error);

G_END_DECLS
