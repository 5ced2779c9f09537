/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"

G_BEGIN_DECLS

#define SMALL_SIZE DERUSH_SMALL_PICTURE_SIZE
#define SMALL_CHROMA_SIZE (DERUSH_SMALL_PICTURE_SIZE / 2)

/* A picture reduced by whole-number box averages, range expanded to 0..255. Rows follow one another without padding. */
typedef struct {
  guint width;
  guint height;
  guint chroma_width; /* 0: grey */
  guint chroma_height;
  guint8 luma[SMALL_SIZE * SMALL_SIZE];
  guint8 u[SMALL_CHROMA_SIZE * SMALL_CHROMA_SIZE];
  guint8 v[SMALL_CHROMA_SIZE * SMALL_CHROMA_SIZE];
} SmallPicture;

/* Sums of the Laplacian over one row of the larger picture that sharpness is measured on; one per row of the small. */
typedef struct {
  guint count;
  gint sum;
  gint64 squares;
} LaplacianRow;

typedef struct _PictureReducer PictureReducer;

PictureReducer *picture_reducer_new (void);
void picture_reducer_free (PictureReducer *reducer);
gboolean picture_reducer_reduce (PictureReducer *reducer, const DerushPlanes *planes, float bar_x, SmallPicture *small,
                                 LaplacianRow laplacian[SMALL_SIZE]);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PictureReducer, picture_reducer_free)

G_END_DECLS
