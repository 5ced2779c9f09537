/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where nobody speaks: plain C over the levels of a sound. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* In dBFS; what is below counts as this. */
#define DERUSH_SILENCE_FLOOR -90

/**
 * DerushSilences:
 * @floor: what is there between the words, in dBFS: the tenth part of the levels is below
 * @loud: what is there in the words, in dBFS: the twentieth part of the levels is above
 * @threshold: below this nobody speaks, in dBFS
 * @quiet: whether nothing at all can be heard
 */
typedef struct {
  int floor;
  int loud;
  int threshold;
  gboolean quiet;
} DerushSilences;

typedef struct {
  gsize start, end; /* levels */
} DerushSilence;

/* The level of samples of 16 bits, in dBFS. */
int derush_level_of (const gint16 *samples, gsize n_samples);

/* (element-type DerushSilence): runs of at least @shortest levels. */
GArray *derush_silences_find (const gint8 *levels, gsize n_levels, gsize shortest, DerushSilences *silences);

G_END_DECLS
