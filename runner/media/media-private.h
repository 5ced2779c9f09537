/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the files of the media worker share: one request as a job, probing, templates, and running a pipeline to its
 * end with progress, cancellation, a watchdog and errors of Derush's classes.
 */

#pragma once

#include "analysis/analysis.h"
#include "core/core.h"
#include "steps/steps.h"

#include <gst/gst.h>

G_BEGIN_DECLS

#define DERUSH_MEDIA_ERROR (derush_media_error_quark ())
GQuark derush_media_error_quark (void);

/* ── One request ────────────────────────────────────────────────────────── */

/**
 * DerushMediaJob:
 * @request: (nullable): where progress and warnings go; %NULL when an action runs outside the worker's protocol
 * @action: what is asked
 * @directory: (nullable): the job's folder, the only place that is written to
 * @parameters: the action's parameters
 * @results: step name → result of the steps before
 * @source: the film; its descriptor is -1 when there is none
 * @analysis: a stored analysis of the film; its descriptor is -1 when there is none
 * @cancellable: ends the action within a second
 * @progress_from: the share of the step that was done before what runs now
 * @progress_left: the share that comes after it
 * @decoded: (nullable): counts the pictures that decoders were given, atomically
 */
typedef struct {
  DerushStepRequest *request;
  const char *action;
  const char *directory;
  JsonObject *parameters;
  JsonObject *results;
  DerushStepInput source;
  DerushStepInput analysis;
  GCancellable *cancellable;
  double progress_from;
  double progress_left;
  gint *decoded;
  const struct _DerushSound *sound; /* (nullable): what the template's `level` does */
} DerushMediaJob;

/**
 * DerushMediaAction:
 *
 * Runs in a thread of its own and may block. Returns: (transfer full) (nullable): the step's result
 */
typedef JsonObject *(*DerushMediaAction) (DerushMediaJob *job, GError **error);

/* The table of actions is in actions.c; NULL: there is no such action. */
DerushMediaAction derush_media_action_find (const char *name);

JsonObject *derush_action_probe (DerushMediaJob *job, GError **error);
JsonObject *derush_action_transcode (DerushMediaJob *job, GError **error);
JsonObject *derush_action_check (DerushMediaJob *job, GError **error);
JsonObject *derush_action_analyse (DerushMediaJob *job, GError **error);
JsonObject *derush_action_highlights (DerushMediaJob *job, GError **error);
JsonObject *derush_action_shots (DerushMediaJob *job, GError **error);
JsonObject *derush_action_thumbnails (DerushMediaJob *job, GError **error);
JsonObject *derush_action_storyboard (DerushMediaJob *job, GError **error);
JsonObject *derush_action_frames (DerushMediaJob *job, GError **error);
JsonObject *derush_action_pictures (DerushMediaJob *job, GError **error);
JsonObject *derush_action_clips (DerushMediaJob *job, GError **error);
JsonObject *derush_action_shorts (DerushMediaJob *job, GError **error);
JsonObject *derush_action_speech_audio (DerushMediaJob *job, GError **error);
JsonObject *derush_action_voice_encode (DerushMediaJob *job, GError **error);
JsonObject *derush_action_voice_mix (DerushMediaJob *job, GError **error);
JsonObject *derush_action_self_test (DerushMediaJob *job, GError **error);

void derush_media_job_progress (DerushMediaJob *job, double progress);
void derush_media_job_warn (DerushMediaJob *job, const char *format, ...) G_GNUC_PRINTF (2, 3);
void derush_media_job_set_debug (DerushMediaJob *job, const char *debug);

/* @name is one path component, else the error is bad-input. Returns: (transfer full): the absolute path */
char *derush_media_job_path (DerushMediaJob *job, const char *name, GError **error);

/* What the step `analyse` measured, or the stored analysis that it accepted. */
DerushAnalysisFile *derush_media_job_open_analysis (DerushMediaJob *job, GError **error);

/* Fails with bad-input when the job has no film. */
gboolean derush_media_job_require_source (DerushMediaJob *job, GError **error);

/* ── What the film is ───────────────────────────────────────────────────── */

/**
 * DerushMediaInfo:
 * @object: the result of `probe`
 * @video_id: (nullable): the stream id of the chosen picture; %NULL without one
 * @audio_id: (nullable): the stream id of the chosen sound; %NULL without one
 * @duration: in seconds; 0: unknown
 * @start: the stream time by GStreamer at which the film begins, in seconds; pipelines subtract it, so that every film
 *   begins at 0
 * @width: upright, in square pixels
 * @height: upright, in square pixels
 * @coded_width: as stored
 * @coded_height: as stored
 * @fps: 0 when it varies or is unknown
 * @interlaced: whether fields must be joined
 * @hdr: PQ or HLG
 * @seekable: whether the film can be entered in the middle
 */
typedef struct {
  JsonObject *object;
  char *video_id;
  char *audio_id;
  double duration;
  double start;
  int width;
  int height;
  int coded_width;
  int coded_height;
  double fps;
  int audio_rate;
  int audio_channels;
  gboolean interlaced;
  gboolean hdr;
  gboolean seekable;
} DerushMediaInfo;

/* The result of the step `probe` if the job has it, else the film is probed now. */
DerushMediaInfo *derush_media_job_get_info (DerushMediaJob *job, GError **error);
DerushMediaInfo *derush_media_info_new_from_result (JsonObject *probe_result);
void derush_media_info_free (DerushMediaInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushMediaInfo, derush_media_info_free)

/* @display: how messages call the film. @limits: (nullable): {maxBytes, maxPixels, maxDuration, maxStreams}. No decoder
 * is plugged. */
JsonObject *derush_media_probe (int fd, const char *display, JsonObject *limits, GCancellable *cancellable,
                                GError **error);

/* ── Templates ──────────────────────────────────────────────────────────── */

typedef struct _DerushTemplate DerushTemplate;

/* Every template by name: (element-type utf8). */
GPtrArray *derush_template_list (void);
DerushTemplate *derush_template_load (const char *name, GError **error);
void derush_template_free (DerushTemplate *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushTemplate, derush_template_free)
const char *derush_template_get_name (DerushTemplate *self);
const char *derush_template_get_description (DerushTemplate *self);

/* Gives a parameter its value: a JSON string, number or boolean, checked against the template's type and range. */
gboolean derush_template_set (DerushTemplate *self, const char *parameter, JsonNode *value, GError **error);
gboolean derush_template_set_string (DerushTemplate *self, const char *parameter, const char *value, GError **error);
gboolean derush_template_set_int (DerushTemplate *self, const char *parameter, gint64 value, GError **error);
gboolean derush_template_set_double (DerushTemplate *self, const char *parameter, double value, GError **error);
gboolean derush_template_has_parameter (DerushTemplate *self, const char *parameter);

/* Where the template's input and output go, for the printed line only: the worker itself uses descriptors. */
gboolean derush_template_set_input (DerushTemplate *self, const char *path, GError **error);
gboolean derush_template_set_output (DerushTemplate *self, const char *path, GError **error);

/* Leaves out the branch `audio` or `video` (chains of elements that the contract names). */
void derush_template_drop_branch (DerushTemplate *self, const char *branch);

/* The parsed pipeline with everything bound. Returns: (transfer full) (nullable) */
GstElement *derush_template_build (DerushTemplate *self, GError **error);

/* What the contract says about the template's elements; names may be NULL. */
const char *derush_template_get_input_element (DerushTemplate *self);
const char *derush_template_get_output_element (DerushTemplate *self);
GStrv derush_template_get_holds (DerushTemplate *self);

/* Returns: (transfer full) (nullable): the path of a file of the pipelines folders, such as profiles/medium.ini */
char *derush_pipelines_find (const char *file);

/* A line for a POSIX shell that runs the same pipeline under gst-launch-1.0. */
char *derush_template_print (DerushTemplate *self, GError **error);

/* ── Pipelines ──────────────────────────────────────────────────────────── */

typedef struct _DerushMediaPipeline DerushMediaPipeline;

/* Called in the thread of derush_media_pipeline_run() for element, tag and TOC messages. */
typedef void (*DerushMediaMessageFunc) (GstMessage *message, gpointer user_data);

/**
 * derush_media_pipeline_new:
 * @job: whose film is read, whose progress is reported, whose cancellable ends the run
 * @info: (nullable): of the film: branches without a stream are left out, exactly the chosen streams are decoded
 * @pipeline_template: with its parameters set
 * @error: return location for an error
 *
 * Builds the pipeline and puts the film's descriptor where the template says filesrc.
 *
 * Returns: (transfer full) (nullable): a pipeline in state NULL
 */
DerushMediaPipeline *derush_media_pipeline_new (DerushMediaJob *job, DerushMediaInfo *info,
                                                DerushTemplate *pipeline_template, GError **error);

/* The same without the film and its decoder: pictures and sound come through derush_media_pipeline_get_feed(), with the
 * stream times of the film. */
DerushMediaPipeline *derush_media_pipeline_new_fed (DerushMediaJob *job, DerushMediaInfo *info,
                                                    DerushTemplate *pipeline_template, GError **error);
void derush_media_pipeline_free (DerushMediaPipeline *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushMediaPipeline, derush_media_pipeline_free)

GstElement *derush_media_pipeline_get_pipeline (DerushMediaPipeline *self);

/* Returns: (transfer none) (nullable): %NULL when its branch was left out */
GstElement *derush_media_pipeline_get_element (DerushMediaPipeline *self, const char *name);

void derush_media_pipeline_set_message_func (DerushMediaPipeline *self, DerushMediaMessageFunc func,
                                             gpointer user_data);

/* Only this part of the film, frame-exact, in seconds; @end < 0: to its end. Before run(). */
void derush_media_pipeline_set_clip (DerushMediaPipeline *self, double start, double end);

/* Decodes key frames only, where the demuxer can leave the others out; it then jumps over them in the file. Before
 * run(). */
void derush_media_pipeline_set_key_frames_only (DerushMediaPipeline *self, gboolean key_frames_only);

/* Reads every packet of the picture, but decodes only key frames, and whole groups of pictures where they begin within the
 * last @tail seconds. The end and the number of pictures are then those of the packets. Before run(). */
void derush_media_pipeline_set_sparse (DerushMediaPipeline *self, double tail);
guint64 derush_media_pipeline_get_packets (DerushMediaPipeline *self);

/* The share of the step's progress that run() covers; 0 to 1 by default. */
void derush_media_pipeline_set_progress_range (DerushMediaPipeline *self, double from, double to);

/* How long the run lasts, in seconds, where no film says it; for the progress. */
void derush_media_pipeline_set_duration (DerushMediaPipeline *self, double seconds);

/* What a run without progress of position and bytes may last, in seconds. */
void derush_media_pipeline_set_stall_timeout (DerushMediaPipeline *self, double seconds);

/* Counts the buffers that reach this pad of a named element; zero of them at the end is a bad-input error. */
void derush_media_pipeline_expect_buffers (DerushMediaPipeline *self, const char *element, const char *pad);
guint64 derush_media_pipeline_get_buffers (DerushMediaPipeline *self, const char *element);

/* To EOS. On return the pipeline is in state NULL and its files are closed. A film that breaks off in the middle is no
 * error as long as something was made of it: see derush_media_pipeline_get_end(). */
gboolean derush_media_pipeline_run (DerushMediaPipeline *self, GError **error);

/*
 * The same in turns, for those that have several pipelines to look after. After the end of a clip, another one may be set
 * and started: the film is then entered at another place, where that is possible. A turn waits for @timeout at most;
 * %FALSE: it failed, and has to be stopped like one that has ended.
 */
gboolean derush_media_pipeline_start (DerushMediaPipeline *self, GError **error);
gboolean derush_media_pipeline_turn (DerushMediaPipeline *self, GstClockTime timeout, gboolean *ended, GError **error);

/* Whether the film can be entered in the middle. */
gboolean derush_media_pipeline_is_seekable (DerushMediaPipeline *self);

/* The mean time between the key frames that were read so far, in seconds; 0: unknown. */
double derush_media_pipeline_get_key_distance (DerushMediaPipeline *self);

/* Of a pipeline that is fed: (transfer full) (nullable): the appsrc in front of a named element that holds buffers. */
GstElement *derush_media_pipeline_get_feed (DerushMediaPipeline *self, const char *hold);

/* The stream time up to which the film was read, in seconds, as far as it was seen. */
double derush_media_pipeline_get_end (DerushMediaPipeline *self);

/* (nullable): what went wrong in a film that broke off in the middle, for the warning. */
const char *derush_media_pipeline_get_break (DerushMediaPipeline *self);

/* Whether a chosen stream found no decoder; run() has failed then. */
gboolean derush_media_pipeline_is_unlinked (DerushMediaPipeline *self);

/* (nullable): the element that run() failed for because no buffer had reached it. */
const char *derush_media_pipeline_get_starved (DerushMediaPipeline *self);

/* For actions that seek by themselves (stills): to PAUSED, and with every seek until the sinks have their frame again.
 * @start, @stop in seconds of stream time; @stop < 0: to the end. */
gboolean derush_media_pipeline_pause (DerushMediaPipeline *self, GError **error);
gboolean derush_media_pipeline_seek (DerushMediaPipeline *self, GstSeekFlags flags, double start, double stop,
                                     GError **error);
gboolean derush_media_pipeline_play (DerushMediaPipeline *self, GError **error);
void derush_media_pipeline_stop (DerushMediaPipeline *self);

/* %FALSE with the error that the bus has, or because the job was cancelled. Does not wait. For loops that pull from an
 * appsink: gst_app_sink_try_pull_sample() with a short timeout, then this. */
gboolean derush_media_pipeline_check (DerushMediaPipeline *self, GError **error);

/* If @element decodes pictures: what it gives says by which matrix its colours are stored. */
void derush_media_name_colours (GstElement *element);

/* ── Platforms ──────────────────────────────────────────────────────────── */

/**
 * DerushPlatform:
 * @width: of a film made for it, in pixels
 * @height: in pixels
 * @max_duration: in seconds; 0: no limit
 *
 * What a platform wants, by its file in data/platforms.
 */
typedef struct {
  int width;
  int height;
  double max_duration;
  gboolean masters; /* whether sound is brought to @loudness */
  DerushMasterGoal sound;
} DerushPlatform;

/* @name: (nullable): such as YOUTUBE_SHORTS; %NULL: 1080 × 1920 of any length */
gboolean derush_platform_load (DerushPlatform *platform, const char *name, GError **error);

/* ── Sound as platforms want it ─────────────────────────────────────────── */

/**
 * DerushSound:
 * @loudness: of what comes out of the codec, in LUFS
 * @true_peak: of the same, in dBTP
 * @points: (element-type DerushMasterPoint): the gain; times are stream times
 */
typedef struct _DerushSound {
  double loudness;
  double true_peak;
  GArray *points;
} DerushSound;

void derush_sound_free (DerushSound *sound);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushSound, derush_sound_free)

/* Listens to a part of the film, and to what the codec makes of it. @what: how warnings call the part. %NULL without an
 * error: there is nothing to bring to a loudness. */
DerushSound *derush_sound_master (DerushMediaJob *job, DerushMediaInfo *info, const DerushMasterGoal *goal,
                                  double start, double end, const char *what, GError **error);

/* Lets the element `volume` follow the gain. */
void derush_sound_apply (const DerushSound *sound, GstElement *volume);

/* ── Transcoding ────────────────────────────────────────────────────────── */

/* Sets quality, size, shape and sound as the parameters of `transcode` ask for them. */
gboolean derush_transcode_apply (DerushTemplate *pipeline_template, DerushMediaInfo *info, JsonObject *parameters,
                                 GError **error);

/* The even size of the new picture; @aspect (nullable): W:H cut out of the middle; a bound of 0 is none;
 * @enlarge: whether one bound alone may make the picture larger than the film. */
void derush_transcode_fit (int source_width, int source_height, const char *aspect, int bound_width, int bound_height,
                           gboolean enlarge, int *width, int *height);

/* ── The worker's process ───────────────────────────────────────────────── */

/* gst_init(), our elements, no playlists and no network. */
JsonObject *derush_media_inventory (void);
gboolean derush_media_init (int *argc, char ***argv, GError **error);
void derush_media_refuse_playlists (void);

/* A source that reads a descriptor by pread(): see source.c. */
GstElement *derush_fd_source_new (const char *name, int fd);
/* Up to 8 bytes that take the place of the file's own at @offset; before the source starts. */
void derush_fd_source_set_overlay (GstElement *source, guint64 offset, const guint8 *bytes, gsize length);
guint64 derush_fd_source_get_bytes_read (GstElement *source);
/* Where that source ends a file of @size bytes: see fileend.c. */
guint64 derush_wav_end (int fd, guint64 size);
/* By how many bytes a file is shorter than its head says; 0 where that is not known. */
guint64 derush_file_missing (int fd);

/* To state NULL; %FALSE when that takes too long. @at_once: encoders forget what they have taken in. */
gboolean derush_element_stop (GstElement *pipeline, gboolean at_once);

/* The error of a bus message as one of ours; @of_input: its element reads, parses or decodes the film. */
GError *derush_media_error_from_message (GstMessage *message, gboolean of_input, GPtrArray *missing,
                                         const char *display);
void derush_media_missing_add (GPtrArray *missing, GstMessage *message);

/* JSON of an action run outside the protocol: tests and `--print-pipeline`. */
void derush_media_job_init_source (DerushMediaJob *job, int fd, const char *display);

G_END_DECLS
