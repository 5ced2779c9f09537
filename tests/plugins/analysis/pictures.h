/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"

G_BEGIN_DECLS

/* Made pictures of known content, in I420. */
typedef struct {
  guint width;
  guint height;
  guint8 *data; /* luma, then U, then V, without padding */
} Picture;

Picture *picture_new (guint width, guint height);
void picture_free (Picture *picture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Picture, picture_free)

/* What a camera can look at: @seed decides everything about it. Wider than the pictures taken of it. */
typedef struct _Scene Scene;

Scene *scene_new (guint width, guint height, guint seed);
void scene_free (Scene *scene);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)
void scene_show (const Scene *scene, int x, Picture *out);

void picture_fill (Picture *picture, guint8 luma, guint8 u, guint8 v);
void picture_blend (Picture *out, const Picture *a, const Picture *b, double share_of_b);
void picture_wipe (Picture *out, const Picture *a, const Picture *b, double share_of_b);
void picture_blur (Picture *picture, guint radius);
void picture_add_noise (Picture *picture, guint amplitude, guint32 *state);
void picture_letterbox (Picture *picture, guint rows);
DerushPlanes picture_planes (const Picture *picture);

G_END_DECLS
