/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"
#include <gst/audio/audio.h>

G_BEGIN_DECLS

/* Feeds buffers of any raw format to an audio meter, gaps and overlaps evened out by their stream time. */
typedef struct _AudioFeed AudioFeed;

AudioFeed *audio_feed_new (const GstAudioInfo *info);
void audio_feed_free (AudioFeed *self);
const GstAudioInfo *audio_feed_get_info (const AudioFeed *self);
gboolean audio_feed_push (AudioFeed *self, GstBuffer *buffer, GstClockTime stream_time, GArray *blocks);
void audio_feed_finish (AudioFeed *self, GArray *blocks);

G_END_DECLS
