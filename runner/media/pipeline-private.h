/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A running pipeline from the inside: pipeline.c runs it, track.c watches what comes out of the decoder. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

/* One branch as the decoder feeds it. */
typedef struct {
  DerushMediaPipeline *owner;
  GstPad *pad;
  gulong block;
  gboolean held;       /* under the owner's lock */
  gboolean ended;      /* under the owner's lock */
  gboolean past;       /* under the owner's lock: the end of the clip has come by */
  gboolean begun;      /* the first picture of the clip has passed */
  GstBuffer *standing; /* (nullable): the last picture before the clip, which stands until the next one */
  double position;
} Track;

typedef struct {
  char *element;
  gint buffers; /* atomic */
} Counter;

struct _DerushMediaPipeline {
  DerushMediaJob *job;
  GstElement *pipeline;
  GstBus *bus;
  GstElement *source;
  char *video_id;
  char *audio_id;
  gboolean select_streams;
  guint decoder_threads;
  double duration;
  double clip_start;
  double clip_end;
  double edit_shift;
  gboolean through; /* clips are cut out of the whole film, since it cannot be sought */
  gboolean fed;     /* gets pictures and sound that another pipeline has decoded */
  double start;
  gboolean key_frames_only;
  gboolean sparse;
  double sparse_tail;
  gboolean group_is_decoded; /* of the decoder's thread */
  gint packets;              /* atomic */
  double packet_end;         /* under the lock */
  double last_key;           /* under the lock; < 0: none since the last seek */
  double key_distances;      /* under the lock: the sum of … */
  guint n_key_distances;     /* … so many */
  double progress_from;
  double progress_to;
  double stall_timeout;
  DerushMediaMessageFunc message_func;
  gpointer message_data;

  GMutex lock;
  GPtrArray *tracks;
  GPtrArray *counters;

  /* Of the thread that runs the pipeline. */
  GPtrArray *missing;
  GString *debug;
  GError *error;
  gboolean error_is_vague;
  char *break_reason;
  gint64 error_time;
  gboolean end_sent;
  gboolean unlinked;
  const char *starved;
  gboolean async_done;
  gboolean ended;
  gboolean stopped;
  guint64 last_signature;
  gint64 last_change;
};

GstClockTime derush_seconds_to_time (double seconds);

/* Puts appsrc elements where the template has the film and its decoder. */
gboolean derush_feeds_put (DerushMediaPipeline *self, const char *source, GStrv holds, GError **error);

/* Watches the sink pad of the named element, if there is one. */
void derush_track_add (DerushMediaPipeline *self, const char *name);
void derush_track_show_all (DerushMediaPipeline *self, GstElement *decoder);
void derush_track_free (Track *track);

/* Watches what the decoder of the picture is given. */
void derush_packets_watch (DerushMediaPipeline *self, GstElement *decoder);

/* Every branch waits with its first buffer; see the comment on clips in pipeline.c. */
void derush_tracks_hold (DerushMediaPipeline *self);
gboolean derush_tracks_are_held (DerushMediaPipeline *self);
void derush_tracks_release (DerushMediaPipeline *self);

G_END_DECLS
