/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * One pass over a film that makes many parts of it: the film is opened, demuxed and decoded by one pipeline, and each part
 * has a pipeline of its own that is fed with what belongs to it. So a part that fails harms no other, and the film can be
 * sought over long gaps without a muxer hearing of it. Encoders open when the first picture or sound of their part comes,
 * and close when they have finished; until there is room for the next one, the decoder waits.
 */

#include "parts-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>
#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>

#define POLL (20 * G_TIME_SPAN_MILLISECOND)
/* Between key frames, as long as nobody has seen any: what most encoders do. */
#define USUAL_KEY_DISTANCE 5.0
/* To seek costs as much as to decode so many seconds, wherever key frames are. */
#define SHORTEST_GAP 0.25

enum { PICTURE, SOUND, N_STREAMS };

static const char *const holds[N_STREAMS] = {"video-in", "audio-in"};
static const char *const sinks[N_STREAMS] = {"video-sink", "audio-sink"};

typedef enum { BRANCH_WAITING, BRANCH_WANTED, BRANCH_OPEN, BRANCH_CLOSED } BranchState;

/* A part on its way. */
typedef struct {
  DerushSpan span;
  DerushPart *part;
  BranchState state; /* under the lock */
  DerushEncode *encode;
  GstAppSrc *feeds[N_STREAMS];
  gboolean complete[N_STREAMS]; /* under the lock: has been given all that it gets */
} Branch;

typedef struct _Reader Reader;

/* What the decoder gives, of one kind. */
typedef struct {
  Reader *reader;
  int kind;
  guint first;         /* under the lock: the branches before it are complete */
  gboolean ended;      /* under the lock: within this group of spans */
  GstSample *standing; /* (nullable): the picture that waits for the next one, until which it stands */
  GstClockTime standing_start, standing_end;
} Stream;

struct _Reader {
  DerushMediaJob *job;
  DerushMediaInfo *info;
  DerushMediaPipeline *pipeline;
  Stream streams[N_STREAMS];
  Branch *branches; /* in the order of their begin */
  guint n_branches;
  guint n_open;
  guint limit;
  guint threads; /* of an encoder; 0: as many as it likes */
  GMutex lock;
  GCond wanted;      /* the loop has something to do */
  GCond opened;      /* a branch is no longer wanted */
  guint group_end;   /* under the lock: branches from here on belong to a later group */
  gboolean stopping; /* under the lock */
};

/* ── From the decoder to the branches: in its threads ───────────────────── */

static void
complete (Branch *branch, int kind)
{
  branch->complete[kind] = TRUE;
  if (branch->state == BRANCH_OPEN && branch->feeds[kind])
    gst_app_src_end_of_stream (branch->feeds[kind]);
}

static void
push (Reader *reader, Branch *branch, int kind, GstBuffer *buffer, GstCaps *caps, GstClockTime time, GstClockTime end)
{
  g_autoptr (GstBuffer) copy = gst_buffer_copy (buffer);
  g_autoptr (GstSample) sample = NULL;

  GST_BUFFER_PTS (copy) = time;
  GST_BUFFER_DTS (copy) = GST_CLOCK_TIME_NONE;
  if (kind == PICTURE)
    GST_BUFFER_DURATION (copy) = end - time;
  sample = gst_sample_new (copy, caps, NULL, NULL);
  /* Waits while the encoder is busy. One that has failed is closed by the loop, which sees its error. */
  g_mutex_unlock (&reader->lock);
  gst_app_src_push_sample (branch->feeds[kind], sample);
  g_mutex_lock (&reader->lock);
}

static void
wait_until_open (Reader *reader, Branch *branch)
{
  while ((branch->state == BRANCH_WAITING || branch->state == BRANCH_WANTED) && !reader->stopping) {
    branch->state = BRANCH_WANTED;
    g_cond_signal (&reader->wanted);
    g_cond_wait (&reader->opened, &reader->lock);
  }
}

static void
feed (Stream *stream, GstBuffer *buffer, GstCaps *caps, GstClockTime start, GstClockTime end)
{
  Reader *reader = stream->reader;
  const int kind = stream->kind;

  g_mutex_lock (&reader->lock);
  for (guint i = stream->first; i < reader->group_end && !reader->stopping; i++) {
    Branch *branch = &reader->branches[i];

    if (branch->span.start >= end)
      break;
    if (!branch->complete[kind] && start >= branch->span.end)
      complete (branch, kind);
    if (branch->complete[kind] || branch->state == BRANCH_CLOSED) {
      if (i == stream->first)
        stream->first++;
      continue;
    }
    wait_until_open (reader, branch);
    if (branch->state == BRANCH_OPEN && branch->feeds[kind])
      push (reader, branch, kind, buffer, caps, start, end);
  }
  g_mutex_unlock (&reader->lock);
}

static void
feed_standing (Stream *stream, GstClockTime end)
{
  if (stream->standing)
    feed (stream, gst_sample_get_buffer (stream->standing), gst_sample_get_caps (stream->standing),
          stream->standing_start, end);
  g_clear_pointer (&stream->standing, gst_sample_unref);
}

static void
take_buffer (Stream *stream, GstPad *pad, GstBuffer *buffer)
{
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  const GstSegment *segment;
  GstClockTime start, end;

  if (!event || !caps)
    return;
  gst_event_parse_segment (event, &segment);
  start = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (!GST_CLOCK_TIME_IS_VALID (start))
    return;
  end = start +
        (GST_BUFFER_DURATION_IS_VALID (buffer) && GST_BUFFER_DURATION (buffer) > 0 ? GST_BUFFER_DURATION (buffer) : 1);
  if (stream->kind == PICTURE) {
    feed_standing (stream, MAX (start, stream->standing_start + 1));
    stream->standing = gst_sample_new (buffer, caps, NULL, NULL);
    stream->standing_start = start;
    stream->standing_end = end;
  } else {
    feed (stream, buffer, caps, start, end);
  }
}

static GstClockTime
end_of_group (Reader *reader)
{
  GstClockTime end = 0;

  for (guint i = 0; i < reader->group_end; i++)
    end = MAX (end, reader->branches[i].span.end);
  return MIN (end, (GstClockTime)(MAX (reader->info->duration, 0) * GST_SECOND));
}

/* Nothing more comes for this group. The last picture stands as long as somebody wants one: what is read ends with the
 * group, not with the picture. */
static void
end_stream (Stream *stream)
{
  Reader *reader = stream->reader;

  feed_standing (stream, MAX (stream->standing_end, end_of_group (reader)));
  g_mutex_lock (&reader->lock);
  stream->ended = TRUE;
  for (guint i = stream->first; i < reader->group_end; i++)
    if (!reader->branches[i].complete[stream->kind])
      complete (&reader->branches[i], stream->kind);
  g_mutex_unlock (&reader->lock);
}

static GstPadProbeReturn
watch_sink (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Stream *stream = data;

  if (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_BUFFER) {
    take_buffer (stream, pad, GST_PAD_PROBE_INFO_BUFFER (info));
  } else if (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM) {
    GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

    /* Else the decoder would copy each picture to take out the space between its lines. */
    if (GST_QUERY_TYPE (query) == GST_QUERY_ALLOCATION && stream->kind == PICTURE) {
      gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
      return GST_PAD_PROBE_HANDLED;
    }
  } else if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS) {
    end_stream (stream);
  }
  return GST_PAD_PROBE_OK;
}

/* ── Branches: in the loop's thread ─────────────────────────────────────── */

static GstPad *
hold_pad (Reader *reader, int kind)
{
  GstElement *hold = derush_media_pipeline_get_element (reader->pipeline, holds[kind]);

  return hold ? gst_element_get_static_pad (hold, "sink") : NULL;
}

/* Whether the decoder has said what comes. */
static gboolean
is_introduced (Reader *reader)
{
  for (int kind = 0; kind < N_STREAMS; kind++) {
    g_autoptr (GstPad) pad = hold_pad (reader, kind);

    if (pad && !reader->streams[kind].ended && !gst_pad_has_current_caps (pad))
      return FALSE;
  }
  return TRUE;
}

/* The kind of picture or sound; rotation, language and titles, as the decoder has said them. */
static void
introduce (Reader *reader, int kind, GstAppSrc *feed)
{
  g_autoptr (GstPad) pad = hold_pad (reader, kind);
  g_autoptr (GstCaps) caps = pad ? gst_pad_get_current_caps (pad) : NULL;
  GstEvent *event;

  if (caps)
    gst_app_src_set_caps (feed, caps);
  for (guint i = 0; pad && (event = gst_pad_get_sticky_event (pad, GST_EVENT_TAG, i)); i++)
    gst_element_send_event (GST_ELEMENT (feed), event);
}

static DerushEncode *
open_encode (Reader *reader, Branch *branch, GError **error)
{
  DerushMediaJob ours = *reader->job;
  DerushEncode *encode;
  GstElement *encoder;

  ours.parameters = branch->part->parameters;
  ours.sound = branch->part->sound;
  encode = derush_encode_new (&ours, reader->info, TRUE, error);
  if (!encode)
    return NULL;
  encoder = derush_media_pipeline_get_element (derush_encode_get_pipeline (encode), "video-encoder");
  if (encoder && reader->threads > 0 && g_object_class_find_property (G_OBJECT_GET_CLASS (encoder), "threads"))
    g_object_set (encoder, "threads", reader->threads, NULL);
  for (int kind = 0; kind < N_STREAMS; kind++) {
    GstElement *feed = derush_media_pipeline_get_feed (derush_encode_get_pipeline (encode), holds[kind]);

    branch->feeds[kind] = feed ? GST_APP_SRC (feed) : NULL;
    if (feed)
      introduce (reader, kind, branch->feeds[kind]);
  }
  return encode;
}

static void
close_branch (Reader *reader, Branch *branch)
{
  g_mutex_lock (&reader->lock);
  branch->state = BRANCH_CLOSED;
  g_cond_broadcast (&reader->opened);
  g_mutex_unlock (&reader->lock);
  /* Stopped, it takes nothing more from a decoder that waits for it. */
  if (branch->encode)
    reader->n_open--;
  g_clear_pointer (&branch->encode, derush_encode_free);
}

static void
open_branch (Reader *reader, Branch *branch)
{
  g_autoptr (GError) failure = NULL;

  branch->encode = open_encode (reader, branch, &failure);
  if (branch->encode)
    reader->n_open++;
  if (!branch->encode || !derush_media_pipeline_start (derush_encode_get_pipeline (branch->encode), &failure)) {
    derush_media_job_set_debug (reader->job, failure->message);
    close_branch (reader, branch);
    return;
  }
  g_mutex_lock (&reader->lock);
  branch->state = BRANCH_OPEN;
  for (int kind = 0; kind < N_STREAMS; kind++)
    if (branch->complete[kind])
      complete (branch, kind);
  g_cond_broadcast (&reader->opened);
  g_mutex_unlock (&reader->lock);
}

/* %FALSE: the job was cancelled. What else goes wrong leaves the part without a result. */
static gboolean
look_after (Reader *reader, Branch *branch, GError **error)
{
  g_autoptr (GError) failure = NULL;
  gboolean ended = FALSE;

  if (derush_media_pipeline_turn (derush_encode_get_pipeline (branch->encode), 0, &ended, &failure)) {
    if (!ended)
      return TRUE;
    branch->part->result = derush_encode_finish (branch->encode, &failure);
  }
  close_branch (reader, branch);
  if (!g_cancellable_is_cancelled (reader->job->cancellable))
    return TRUE;
  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_CANCELLED, _ ("Stopped on request"));
  return FALSE;
}

/* Whether one of the open branches needs nothing more to finish. */
static gboolean
any_finishes (Reader *reader)
{
  for (guint i = 0; i < reader->group_end; i++) {
    const Branch *branch = &reader->branches[i];

    if (branch->state == BRANCH_OPEN && (branch->complete[PICTURE] || !branch->feeds[PICTURE]) &&
        (branch->complete[SOUND] || !branch->feeds[SOUND]))
      return TRUE;
  }
  return FALSE;
}

/* The next branch that a decoder waits for, if there is room for it. Picture and sound may be apart: where no open branch
 * can finish before the decoder goes on, there has to be room. */
static Branch *
wait_for_wish (Reader *reader)
{
  Branch *wish = NULL;

  g_mutex_lock (&reader->lock);
  for (guint turn = 0; !wish && turn < 2; turn++) {
    for (guint i = 0; i < reader->group_end && !wish; i++)
      if (reader->branches[i].state == BRANCH_WANTED)
        wish = &reader->branches[i];
    if (wish && ((reader->n_open >= reader->limit && any_finishes (reader)) || !is_introduced (reader)))
      wish = NULL;
    if (!wish && turn == 0)
      g_cond_wait_until (&reader->wanted, &reader->lock, g_get_monotonic_time () + POLL);
  }
  g_mutex_unlock (&reader->lock);
  return wish;
}

static gboolean
turn_branches (Reader *reader, GError **error)
{
  Branch *wish = wait_for_wish (reader);

  if (wish)
    open_branch (reader, wish);
  for (guint i = 0; i < reader->group_end; i++)
    if (reader->branches[i].encode && !look_after (reader, &reader->branches[i], error))
      return FALSE;
  return TRUE;
}

/* ── The pass ───────────────────────────────────────────────────────────── */

static gboolean
reader_open (Reader *reader, GError **error)
{
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load ("decode", error);

  reader->pipeline =
      pipeline_template ? derush_media_pipeline_new (reader->job, reader->info, pipeline_template, error) : NULL;
  if (!reader->pipeline)
    return FALSE;
  derush_media_pipeline_expect_buffers (reader->pipeline, holds[PICTURE], "sink");
  for (int kind = 0; kind < N_STREAMS; kind++) {
    GstElement *sink = derush_media_pipeline_get_element (reader->pipeline, sinks[kind]);
    g_autoptr (GstPad) pad = sink ? gst_element_get_static_pad (sink, "sink") : NULL;

    reader->streams[kind].reader = reader;
    reader->streams[kind].kind = kind;
    if (!pad)
      continue;
    /* What was sought has to come before the sink is in its state again. */
    g_object_set (sink, "async", FALSE, NULL);
    gst_pad_add_probe (
        pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM,
        watch_sink, &reader->streams[kind], NULL);
  }
  return TRUE;
}

/* The key frame before a place that is sought is half the usual distance away: a gap that is shorter is decoded through. */
static GstClockTime
gap_to_read (Reader *reader)
{
  double distance = derush_media_pipeline_get_key_distance (reader->pipeline);

  if (!derush_media_pipeline_is_seekable (reader->pipeline))
    return GST_CLOCK_TIME_NONE;
  return (GstClockTime)(MAX ((distance > 0 ? distance : USUAL_KEY_DISTANCE) / 2, SHORTEST_GAP) * GST_SECOND);
}

static void
set_group (Reader *reader, GArray *spans, guint first, guint n)
{
  GstClockTime start = g_array_index (spans, DerushSpan, first).start, end = 0;

  for (guint i = first; i < first + n; i++)
    end = MAX (end, g_array_index (spans, DerushSpan, i).end);
  g_mutex_lock (&reader->lock);
  reader->group_end = first + n;
  for (int kind = 0; kind < N_STREAMS; kind++) {
    reader->streams[kind].first = first;
    reader->streams[kind].ended = FALSE;
  }
  g_mutex_unlock (&reader->lock);
  derush_media_pipeline_set_clip (reader->pipeline, (double)start / GST_SECOND,
                                  GST_CLOCK_TIME_IS_VALID (end) ? (double)end / GST_SECOND : -1);
  derush_media_pipeline_set_progress_range (reader->pipeline, (double)first / spans->len,
                                            (double)(first + n) / spans->len);
}

/* @read: (out): whether the film could be read up to the end of the group. %FALSE: the job was cancelled. */
static gboolean
read_group (Reader *reader, gboolean *read, GError **error)
{
  g_autoptr (GError) failure = NULL;
  gboolean ended = FALSE;

  *read = derush_media_pipeline_start (reader->pipeline, &failure);
  while (*read && !ended) {
    if (!turn_branches (reader, error))
      return FALSE;
    *read = derush_media_pipeline_turn (reader->pipeline, 0, &ended, &failure);
  }
  *read = *read && !derush_media_pipeline_get_break (reader->pipeline);
  if (failure && g_cancellable_is_cancelled (reader->job->cancellable)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (failure)
    for (guint i = 0; i < reader->n_branches; i++)
      if (reader->branches[i].encode)
        close_branch (reader, &reader->branches[i]);
  return TRUE;
}

static gboolean
read_groups (Reader *reader, GArray *spans, GError **error)
{
  gboolean read = TRUE;

  for (guint i = 0, n; i < spans->len && read; i += n) {
    n = derush_spans_group (spans, i, gap_to_read (reader));
    set_group (reader, spans, i, n);
    if (!read_group (reader, &read, error))
      return FALSE;
  }
  while (reader->n_open > 0)
    if (!turn_branches (reader, error))
      return FALSE;
  return TRUE;
}

static void
reader_close (Reader *reader)
{
  g_mutex_lock (&reader->lock);
  reader->stopping = TRUE;
  g_cond_broadcast (&reader->opened);
  g_mutex_unlock (&reader->lock);
  for (guint i = 0; i < reader->n_branches; i++)
    if (reader->branches[i].encode)
      close_branch (reader, &reader->branches[i]);
  g_clear_pointer (&reader->pipeline, derush_media_pipeline_free);
  for (guint i = 0; i < reader->n_branches; i++)
    for (int kind = 0; kind < N_STREAMS; kind++)
      g_clear_object (&reader->branches[i].feeds[kind]);
  g_clear_pointer (&reader->streams[PICTURE].standing, gst_sample_unref);
  g_free (reader->branches);
  g_mutex_clear (&reader->lock);
  g_cond_clear (&reader->wanted);
  g_cond_clear (&reader->opened);
}

gboolean
derush_spans_read (DerushMediaJob *job, DerushMediaInfo *info, GArray *spans, DerushPart *parts, guint limit,
                   GError **error)
{
  Reader reader = {.job = job, .info = info, .limit = limit, .n_branches = spans->len};
  const guint overlap = derush_spans_overlap (spans);
  g_autoptr (GError) failure = NULL;
  gboolean success = TRUE;

  g_mutex_init (&reader.lock);
  g_cond_init (&reader.wanted);
  g_cond_init (&reader.opened);
  /* As many threads as one encoder would take by itself, shared by those that run at a time. */
  if (overlap > 1)
    reader.threads = MAX ((3 * g_get_num_processors () / 2 + overlap - 1) / overlap, 1);
  reader.branches = g_new0 (Branch, spans->len);
  for (guint i = 0; i < spans->len; i++) {
    reader.branches[i].span = g_array_index (spans, DerushSpan, i);
    reader.branches[i].part = &parts[reader.branches[i].span.index];
  }
  if (reader_open (&reader, &failure))
    success = read_groups (&reader, spans, error);
  else
    derush_media_job_set_debug (job, failure->message);
  reader_close (&reader);
  return success;
}
