/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Several clips as one film. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

/**
 * DerushClip:
 * @file: name in the job's folder
 * @duration: of what was cut, in seconds: the next one begins so much later
 * @sound: whether it has any
 */
typedef struct {
  const char *file;
  double duration;
  gboolean sound;
} DerushClip;

/* Plays @clips one after the other into the film @name, of the quality that the job asks for. */
gboolean derush_clips_merge (DerushMediaJob *job, DerushMediaInfo *info, const DerushClip *clips, guint n_clips,
                             const char *name, GError **error);

/* The parameters of a profile, such as `medium`. */
GKeyFile *derush_profile_load (const char *quality, GError **error);
/* Sets those of them that the template has. */
gboolean derush_profile_apply (DerushTemplate *pipeline_template, const char *quality, GError **error);

/* See transcode.c. */
int derush_sound_rate (int source_rate);
gboolean derush_sound_correct (int rate, const char *path, GError **error);

G_END_DECLS
