/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:analysis
 * @title: analysis
 * @short_description: frame features, shots, loudness, interest, selection and camera paths, in plain C
 *
 * What one decode of a film measures, and pure functions over it. Knows nothing of GObject, GStreamer, JSON or jobs;
 * the elements and the media worker feed it planes and samples. All times are stream time in seconds.
 *
 * Nothing here is thread-safe by itself: one object belongs to one thread at a time. Functions without an object are
 * pure and may run anywhere.
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* ── Frame features ─────────────────────────────────────────────────────── */

/** The longer side of the small picture that most features are measured on, at most, in pixels. */
#define DERUSH_SMALL_PICTURE_SIZE 160
/** The longer side of the picture that sharpness is measured on, at most, in pixels. */
#define DERUSH_SHARPNESS_PICTURE_SIZE 640
#define DERUSH_LUMA_BINS 32
#define DERUSH_CHROMA_BINS 16
#define DERUSH_GRID_COLUMNS 16
#define DERUSH_GRID_ROWS 9
#define DERUSH_CHROMA_GRID_COLUMNS 8
#define DERUSH_CHROMA_GRID_ROWS 5
/** Vertical strips of the picture that #DerushFrameFeatures has edges and change of. */
#define DERUSH_STRIP_COLUMNS 32
/** Horizontal ones. */
#define DERUSH_STRIP_ROWS 16

/**
 * DerushPlanes:
 * @data: luma, U and V; U and V may both be %NULL (grey)
 * @stride: bytes from one row to the next
 * @pixel_stride: bytes from one sample to the next within a row: 1 for planar 8 bit, 2 for the interleaved chroma of
 *   NV12 and for planar samples of more than 8 bits, 4 for the chroma of P010
 * @width: of the picture in pixels, 1..65535
 * @height: of the picture in pixels, 1..65535
 * @chroma_width: samples per row of U and V
 * @chroma_height: rows of U and V
 * @sample_bits: 8, or the bits up to the most significant one that a 16-bit little-endian sample uses (10 for
 *   I420_10LE, 16 for P010); the upper 8 of them are measured
 * @full_range: %FALSE for the usual video range (luma 16..235, chroma 16..240), which is expanded
 *
 * A picture as its planes, borrowed for the time of one call.
 */
typedef struct {
  const guint8 *data[3];
  gsize stride[3];
  guint pixel_stride[3];
  guint width;
  guint height;
  guint chroma_width;
  guint chroma_height;
  guint sample_bits;
  gboolean full_range;
} DerushPlanes;

/**
 * DerushFrameFeatures:
 * @time: stream time of the frame, in seconds
 * @bar_x: the share of the width that is a black bar on each side, 0..0.45
 * @bar_y: the share of the height that is a black bar at the top and at the bottom each, 0..0.45
 * @luma_mean: mean luma, 0 (black)..1 (white)
 * @luma_deviation: standard deviation of luma, 0..0.5
 * @histogram_distance: how much of the luma and chroma histograms differs from the previous frame, 0..1
 * @difference: mean absolute difference of luma to the previous frame, 0..1
 * @residual: the same after block motion compensation, 0..1: what motion does not explain
 * @motion: mean length of the block motion vectors, in picture lengths (longer side) per second, 0..
 * @global_motion: the part of @motion that most blocks share (pan, tilt), same unit, 0..@motion
 * @sharpness: variance of the Laplacian of luma (0..255) at up to %DERUSH_SHARPNESS_PICTURE_SIZE, 0..; below about
 *   50 a picture of ordinary texture looks soft
 * @colourfulness: by Hasler and Süsstrunk (2003), 0 (grey), 33 (moderate), 59 (quite colourful), 109 (extremely)
 * @entropy: of the luma histogram, in bits, 0 (one shade)..8
 * @clipped: share of the pixels that are crushed to black or blown to white, 0..1
 * @dark: share of the pixels that are near black, 0..1
 * @edge: mean absolute luma gradient, 0..1
 * @luma_histogram: %DERUSH_LUMA_BINS shares from black to white, 65535 is the whole picture
 * @u_histogram: %DERUSH_CHROMA_BINS shares
 * @v_histogram: %DERUSH_CHROMA_BINS shares
 * @luma_grid: mean luma of %DERUSH_GRID_ROWS × %DERUSH_GRID_COLUMNS equal cells, row by row, 0..255
 * @u_grid: mean U of %DERUSH_CHROMA_GRID_ROWS × %DERUSH_CHROMA_GRID_COLUMNS cells, 0..255, 128 is grey
 * @v_grid: mean V of the same cells
 * @edge_columns: mean luma gradient of each of %DERUSH_STRIP_COLUMNS equal strips from left to right, see
 *   derush_strip_decode()
 * @edge_rows: of %DERUSH_STRIP_ROWS strips from top to bottom
 * @change_columns: mean absolute difference of luma to the previous frame that neither the camera's motion nor noise
 *   explains, of the same strips
 * @change_rows: of the strips from top to bottom
 *
 * What is measured of one frame. Fixed in size and layout, as the analysis file stores it. Everything but the grids
 * leaves black bars out; strips in them are 0. What compares with the previous frame is 0 on the first one.
 */
typedef struct {
  double time;
  float bar_x;
  float bar_y;
  float luma_mean;
  float luma_deviation;
  float histogram_distance;
  float difference;
  float residual;
  float motion;
  float global_motion;
  float sharpness;
  float colourfulness;
  float entropy;
  float clipped;
  float dark;
  float edge;
  float reserved;
  guint16 luma_histogram[DERUSH_LUMA_BINS];
  guint16 u_histogram[DERUSH_CHROMA_BINS];
  guint16 v_histogram[DERUSH_CHROMA_BINS];
  guint8 luma_grid[DERUSH_GRID_ROWS * DERUSH_GRID_COLUMNS];
  guint8 u_grid[DERUSH_CHROMA_GRID_ROWS * DERUSH_CHROMA_GRID_COLUMNS];
  guint8 v_grid[DERUSH_CHROMA_GRID_ROWS * DERUSH_CHROMA_GRID_COLUMNS];
  guint8 edge_columns[DERUSH_STRIP_COLUMNS];
  guint8 edge_rows[DERUSH_STRIP_ROWS];
  guint8 change_columns[DERUSH_STRIP_COLUMNS];
  guint8 change_rows[DERUSH_STRIP_ROWS];
} DerushFrameFeatures;

G_STATIC_ASSERT (sizeof (DerushFrameFeatures) == 520);

/**
 * DerushFrameMeter:
 *
 * Measures one frame after the other of one picture size.
 */
typedef struct _DerushFrameMeter DerushFrameMeter;

DerushFrameMeter *derush_frame_meter_new (void);
void derush_frame_meter_free (DerushFrameMeter *meter);
void derush_frame_meter_reset (DerushFrameMeter *meter);
gboolean derush_frame_meter_push (DerushFrameMeter *meter, const DerushPlanes *planes, double time,
                                  DerushFrameFeatures *features);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushFrameMeter, derush_frame_meter_free)

float derush_strip_decode (guint8 value);
float derush_frame_features_distance (const DerushFrameFeatures *a, const DerushFrameFeatures *b);

/* ── Stills ─────────────────────────────────────────────────────────────── */

/**
 * DerushStillTraits:
 * @DERUSH_STILL_SHARP: sharp, by the measure of its own film
 * @DERUSH_STILL_EXPOSED: well exposed: neither dark nor bright, with contrast
 * @DERUSH_STILL_COLOURFUL: colourful
 * @DERUSH_STILL_STEADY: hardly differs from its neighbours
 * @DERUSH_STILL_APART: unlike the other chosen stills; set by derush_stills_select()
 * @DERUSH_STILL_BLACK: black, or nearly so, as a title on black
 * @DERUSH_STILL_DARK: dark
 * @DERUSH_STILL_BRIGHT: washed out or blown out
 * @DERUSH_STILL_UNIFORM: of one colour
 * @DERUSH_STILL_BLURRED: blurred, by the measure of its own film
 * @DERUSH_STILL_MOVING: differs much from its neighbours
 * @DERUSH_STILL_TRANSITION: in a transition, or next to one
 *
 * Why a still has its score; see derush_still_list_reasons().
 */
typedef enum {
  DERUSH_STILL_SHARP = 1 << 0,
  DERUSH_STILL_EXPOSED = 1 << 1,
  DERUSH_STILL_COLOURFUL = 1 << 2,
  DERUSH_STILL_STEADY = 1 << 3,
  DERUSH_STILL_APART = 1 << 4,
  DERUSH_STILL_BLACK = 1 << 5,
  DERUSH_STILL_DARK = 1 << 6,
  DERUSH_STILL_BRIGHT = 1 << 7,
  DERUSH_STILL_UNIFORM = 1 << 8,
  DERUSH_STILL_BLURRED = 1 << 9,
  DERUSH_STILL_MOVING = 1 << 10,
  DERUSH_STILL_TRANSITION = 1 << 11,
} DerushStillTraits;

/** How many traits there are: room for derush_still_list_reasons(). */
#define DERUSH_STILL_MAX_REASONS 12
/** A frame this close to a cut is no still, in seconds. */
#define DERUSH_STILL_CUT_DISTANCE 0.3

/**
 * DerushStill:
 * @time: stream time in seconds
 * @score: 0..1
 * @sharpness: 0..1, 1 is the film's upper quartile and above
 * @exposure: 0..1
 * @colourfulness: 0..1
 * @steadiness: 0..1, negative when the neighbours are not known
 * @traits: #DerushStillTraits
 * @shot: number of the shot it belongs to, counted by the breaks before it
 *
 * How good a frame is as a still.
 */
typedef struct {
  double time;
  float score;
  float sharpness;
  float exposure;
  float colourfulness;
  float steadiness;
  guint traits;
  guint shot;
} DerushStill;

/**
 * DerushStillScale:
 *
 * How the sharpness of a film's frames is distributed, in bounded memory. Zeroed before the first frame.
 */
typedef struct {
  guint64 counts[96];
  guint64 total;
} DerushStillScale;

/**
 * DerushStillBreaks:
 *
 * Finds the frames where a picture breaks off (a cut, a flash), from one frame to the next. Zeroed before the first.
 */
typedef struct {
  guint count;
  double previous_time;
  float usual_difference;
} DerushStillBreaks;

/**
 * DerushStillContext:
 * @difference: the greater of the differences (0..1) to the frame before and to the frame after; negative when there
 *   are none nearby
 * @transition_distance: seconds to the nearest cut, 0 within a gradual transition, #G_MAXDOUBLE when there is none
 *
 * What surrounds a frame.
 */
typedef struct {
  float difference;
  double transition_distance;
} DerushStillContext;

/**
 * DerushStillSpan:
 * @start: stream time in seconds
 * @end: stream time in seconds; equal to @start for a cut
 *
 * A transition.
 */
typedef struct {
  double start;
  double end;
} DerushStillSpan;

/**
 * DerushStillRequest:
 * @count: how many stills are wanted
 * @min_distance: wanted distance in seconds between two of them; less where the film does not have so many otherwise.
 *   0: half of what an even distribution would have
 * @min_score: stills below are left out, unless no other is left, 0..1
 */
typedef struct {
  guint count;
  double min_distance;
  float min_score;
} DerushStillRequest;

void derush_still_scale_add (DerushStillScale *scale, const DerushFrameFeatures *frame);
float derush_still_scale_get_reference (const DerushStillScale *scale);
gboolean derush_still_breaks_push (DerushStillBreaks *breaks, const DerushFrameFeatures *frame);
void derush_still_score (DerushStill *still, const DerushFrameFeatures *frame, const DerushStillContext *context,
                         const DerushStillScale *scale);
void derush_stills_score_film (DerushStill *stills, const DerushFrameFeatures *frames, gsize n_frames,
                               const DerushStillSpan *transitions, gsize n_transitions);
gsize derush_stills_select (DerushStill *stills, const DerushFrameFeatures *frames, gsize n_stills,
                            const DerushStillRequest *request, gsize *chosen);
guint derush_still_list_reasons (guint traits, const char *reasons[DERUSH_STILL_MAX_REASONS]);

/* ── Pictures of high dynamic range ─────────────────────────────────────── */

/**
 * DerushHdrTransfer:
 * @DERUSH_HDR_TRANSFER_PQ: SMPTE ST 2084, of HDR10
 * @DERUSH_HDR_TRANSFER_HLG: ARIB STD-B67
 *
 * How a picture of high dynamic range is stored.
 */
typedef enum {
  DERUSH_HDR_TRANSFER_PQ,
  DERUSH_HDR_TRANSFER_HLG,
} DerushHdrTransfer;

typedef struct _DerushToneMapper DerushToneMapper;

DerushToneMapper *derush_tone_mapper_new (DerushHdrTransfer transfer);
void derush_tone_mapper_free (DerushToneMapper *self);
void derush_tone_mapper_run (const DerushToneMapper *self, const guint16 *argb, guint8 *rgba, gsize n_pixels);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushToneMapper, derush_tone_mapper_free)

/* ── Shots ──────────────────────────────────────────────────────────────── */

/**
 * DerushTransition:
 * @DERUSH_TRANSITION_CUT: from one frame to the next
 * @DERUSH_TRANSITION_FADE_IN: rises from a black or white picture
 * @DERUSH_TRANSITION_FADE_OUT: begins where the picture before has sunk into black or white
 * @DERUSH_TRANSITION_DISSOLVE: one picture is blended into the next
 * @DERUSH_TRANSITION_WIPE: the next picture takes the place of the one before part by part
 *
 * How a shot begins. The first shot of a film begins with a cut, or with the fade-in that opens it.
 */
typedef enum {
  DERUSH_TRANSITION_CUT,
  DERUSH_TRANSITION_FADE_IN,
  DERUSH_TRANSITION_FADE_OUT,
  DERUSH_TRANSITION_DISSOLVE,
  DERUSH_TRANSITION_WIPE,
} DerushTransition;

#define DERUSH_N_TRANSITIONS (DERUSH_TRANSITION_WIPE + 1)

const char *derush_transition_to_string (DerushTransition transition);

/**
 * DerushShotChange:
 * @time: stream time of the first frame of the new shot; within a gradual transition, of the frame from which on the
 *   new picture outweighs the old one
 * @frame: number of that frame since the detector was new or reset, from 0
 * @transition: how the new shot begins
 * @score: how sure: 1 is just enough to be reported
 * @transition_start: stream time of the last frame that shows the old shot alone
 * @transition_end: stream time of the first frame that shows the new shot alone
 */
typedef struct {
  double time;
  guint64 frame;
  DerushTransition transition;
  float score;
  double transition_start;
  double transition_end;
} DerushShotChange;

/**
 * DerushShot:
 * @start: stream time of the first frame, in seconds
 * @end: stream time where the next shot starts, or the end of the film
 * @transition_start: where the transition into this shot starts
 * @transition_end: where the transition into this shot ends
 * @first_frame: number of the first frame, from 0
 * @transition: a #DerushTransition
 * @score: of the change into this shot, as in #DerushShotChange; 0 for the first shot
 * @reserved: 0
 */
typedef struct {
  double start;
  double end;
  double transition_start;
  double transition_end;
  guint32 first_frame;
  guint32 transition;
  float score;
  float reserved;
} DerushShot;

G_STATIC_ASSERT (sizeof (DerushShot) == 48);

/**
 * DerushShotOptions:
 * @threshold: by which factor a change must exceed those of the frames around it to be a cut, 1..100
 * @min_score: the least change that can be a cut, 0 (none)..1 (nothing in common)
 * @min_duration: seconds between two changes, at least, 0..
 * @transitions: the transitions to report, a sum of `1 << DERUSH_TRANSITION_…`
 */
typedef struct {
  double threshold;
  double min_score;
  double min_duration;
  guint transitions;
} DerushShotOptions;

/** Every transition, for #DerushShotOptions. */
#define DERUSH_ALL_TRANSITIONS ((1u << DERUSH_N_TRANSITIONS) - 1)

void derush_shot_options_init (DerushShotOptions *options);

/**
 * DerushShotDetector:
 *
 * Finds shot changes while a film runs.
 */
typedef struct _DerushShotDetector DerushShotDetector;

DerushShotDetector *derush_shot_detector_new (const DerushShotOptions *options);
void derush_shot_detector_free (DerushShotDetector *detector);
void derush_shot_detector_set_options (DerushShotDetector *detector, const DerushShotOptions *options);
void derush_shot_detector_reset (DerushShotDetector *detector);
void derush_shot_detector_push (DerushShotDetector *detector, const DerushFrameFeatures *features);
void derush_shot_detector_finish (DerushShotDetector *detector);
gboolean derush_shot_detector_pop (DerushShotDetector *detector, DerushShotChange *change);
gboolean derush_shot_detector_opens_with_fade (DerushShotDetector *detector);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushShotDetector, derush_shot_detector_free)

GArray *derush_shots_find (const DerushFrameFeatures *frames, guint n_frames, double duration,
                           const DerushShotOptions *options);

/* ── Audio ──────────────────────────────────────────────────────────────── */

/** Seconds of one #DerushAudioBlock. */
#define DERUSH_AUDIO_BLOCK_DURATION 0.1
#define DERUSH_AUDIO_SLICES 4
#define DERUSH_AUDIO_BANDS 8

/**
 * DerushAudioBlock:
 * @time: stream time of the first sample, in seconds
 * @loudness: momentary loudness (EBU R128: of the 400 ms up to the end of the block) in LUFS, -70 (or less)..; without
 *   libebur128 the same without its frequency weighting
 * @level: mean square in dBFS, -100 (silence)..0
 * @peak: greatest sample in dBFS, -100 (silence)..
 * @onset: greatest rise of the bands from one quarter to the next, mean over the bands, in decibels, 0..
 * @flatness: how noise-like, whatever the tilt of the spectrum: 0 (tones), about 0.56 (noise)
 * @least_flatness: of the four quarters of the block, the least flatness
 * @centroid: of the spectrum, in Hz
 * @envelope: power of what speech uses (250..3500 Hz) in the four quarters of the block, in dB, -100..
 * @bands: power of the bands that end at 150, 300, 600, 1200, 2400, 4000, 7000 and 14000 Hz, in dB, -100..
 *
 * What is measured of 100 ms of audio. Fixed in size and layout, as the analysis file stores it.
 */
typedef struct {
  double time;
  float loudness;
  float level;
  float peak;
  float onset;
  float flatness;
  float least_flatness;
  float centroid;
  float reserved;
  float envelope[DERUSH_AUDIO_SLICES];
  float bands[DERUSH_AUDIO_BANDS];
} DerushAudioBlock;

G_STATIC_ASSERT (sizeof (DerushAudioBlock) == 88);

/**
 * DerushAudioMeter:
 *
 * Measures the audio of a film in blocks of 100 ms.
 */
typedef struct _DerushAudioMeter DerushAudioMeter;

DerushAudioMeter *derush_audio_meter_new (guint rate, guint channels);
void derush_audio_meter_free (DerushAudioMeter *meter);
void derush_audio_meter_reset (DerushAudioMeter *meter, double start);
void derush_audio_meter_push (DerushAudioMeter *meter, const float *samples, gsize frames);
void derush_audio_meter_finish (DerushAudioMeter *meter);
void derush_audio_meter_pop (DerushAudioMeter *meter, GArray *blocks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushAudioMeter, derush_audio_meter_free)

void derush_audio_likeness (const DerushAudioBlock *blocks, guint n_blocks, float *speech, float *crowd);

/* ── Bringing sound to a loudness ───────────────────────────────────────── */

/**
 * DerushMasterGoal:
 * @loudness: integrated loudness (EBU R 128) that the sound is brought to, in LUFS
 * @true_peak: what no peak between samples may exceed, in dBTP
 * @max_gain: the most that it is made louder, in dB: what is nearly silent stays so
 */
typedef struct {
  double loudness;
  double true_peak;
  double max_gain;
} DerushMasterGoal;

/**
 * DerushMasterPoint:
 * @time: seconds since the first sample
 * @gain: factor; linear between two points
 */
typedef struct {
  double time;
  double gain;
} DerushMasterPoint;

typedef struct _DerushMaster DerushMaster;

DerushMaster *derush_master_new (guint channels, guint rate);
void derush_master_free (DerushMaster *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushMaster, derush_master_free)
void derush_master_add (DerushMaster *self, const float *samples, gsize n_frames);
double derush_master_get_loudness (DerushMaster *self);
double derush_master_get_true_peak (DerushMaster *self);
GArray *derush_master_plan (DerushMaster *self, const DerushMasterGoal *goal, double *gain);

/* ── The analysis of a film ─────────────────────────────────────────────── */

/**
 * DerushAnalysis:
 * @frames: (nullable) (array length=n_frames): in the order of time; none without video
 * @n_frames: their number
 * @audio: (nullable) (array length=n_audio): in the order of time; none without audio
 * @n_audio: their number
 * @shots: (nullable) (array length=n_shots): in the order of time
 * @n_shots: their number
 * @duration: of the film, in seconds
 * @width: of the source picture in pixels, 0 without video
 * @height: of the source picture in pixels, 0 without video
 *
 * Everything that was measured of one film, borrowed from wherever it lies.
 */
typedef struct {
  const DerushFrameFeatures *frames;
  guint n_frames;
  const DerushAudioBlock *audio;
  guint n_audio;
  const DerushShot *shots;
  guint n_shots;
  double duration;
  guint width;
  guint height;
} DerushAnalysis;

/**
 * DerushAnalysisError:
 * @DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS: the file is no analysis file, or not a whole one: measure the film again
 * @DERUSH_ANALYSIS_ERROR_VERSION: an analysis file of another version: measure the film again
 * @DERUSH_ANALYSIS_ERROR_IO: the file cannot be read or written
 */
typedef enum {
  DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS,
  DERUSH_ANALYSIS_ERROR_VERSION,
  DERUSH_ANALYSIS_ERROR_IO,
} DerushAnalysisError;

#define DERUSH_ANALYSIS_ERROR (derush_analysis_error_quark ())
GQuark derush_analysis_error_quark (void);

/** Of the analysis file; changes with the layout or the meaning of what is stored. */
#define DERUSH_ANALYSIS_VERSION 2

gboolean derush_analysis_write (const DerushAnalysis *analysis, int fd, GError **error);
gboolean derush_analysis_save (const DerushAnalysis *analysis, const char *path, GError **error);

/**
 * DerushAnalysisFile:
 *
 * An analysis file, mapped into memory.
 */
typedef struct _DerushAnalysisFile DerushAnalysisFile;

DerushAnalysisFile *derush_analysis_file_open (const char *path, GError **error);
DerushAnalysisFile *derush_analysis_file_open_fd (int fd, GError **error);
const DerushAnalysis *derush_analysis_file_get (DerushAnalysisFile *file);
void derush_analysis_file_free (DerushAnalysisFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushAnalysisFile, derush_analysis_file_free)

/* ── Camera paths ───────────────────────────────────────────────────────── */

/**
 * DerushCameraOptions:
 * @aspect: width by height of the crop as it is displayed, 0.01..100
 * @pixel_aspect: width by height of a pixel of the source, above 0; 1 where pixels are square
 * @zoom: by how much the crop is smaller than the largest one that fits, 1..
 * @rest_x: where the centre of the crop rests when there is nothing to follow, 0 (left)..1 (right); as far as it fits
 * @rest_y: the same, 0 (top)..1 (bottom)
 * @smoothing: seconds over which speed changes, 0..
 * @max_speed: of the crop, in source widths (heights) per second, above 0
 * @dead_zone: how far, in crop widths (heights), the subject may be off the middle without the crop moving, 0..0.5
 * @follow: %FALSE: the crop rests all the time
 */
typedef struct {
  double aspect;
  double pixel_aspect;
  double zoom;
  double rest_x;
  double rest_y;
  double smoothing;
  double max_speed;
  double dead_zone;
  gboolean follow;
} DerushCameraOptions;

void derush_camera_options_init (DerushCameraOptions *options);
void derush_camera_options_get_size (const DerushCameraOptions *options, guint source_width, guint source_height,
                                     double *width, double *height);

/**
 * DerushCameraKey:
 * @time: stream time of the source in seconds
 * @x: left edge in source pixels, with fractions
 * @y: top edge
 * @width: in source pixels, with fractions
 * @height: in source pixels
 *
 * A key frame of a camera path: what to crop at a time. Linear in between; the first and the last hold outside. Of
 * two keys at one time, the second holds from that time on.
 */
typedef struct {
  double time;
  double x;
  double y;
  double width;
  double height;
} DerushCameraKey;

GArray *derush_camera_path_compute (const DerushAnalysis *analysis, double start, double end,
                                    const DerushCameraOptions *options);
void derush_camera_path_evaluate (const DerushCameraKey *keys, gsize n_keys, double time, DerushCameraKey *key);
gsize derush_camera_path_simplify (DerushCameraKey *keys, gsize n_keys, double tolerance);

/**
 * DerushCameraBox:
 * @x: left edge, as a fraction of the picture, 0..1
 * @y: top edge
 * @width: 0..1
 * @height: 0..1
 * @weight: how sure, 0..; a subject seen in the usual way has 1
 *
 * Where somebody else has found a subject.
 */
typedef struct {
  double x;
  double y;
  double width;
  double height;
  double weight;
} DerushCameraBox;

/**
 * DerushCamera:
 *
 * Follows the subject while a film runs.
 */
typedef struct _DerushCamera DerushCamera;

DerushCamera *derush_camera_new (guint source_width, guint source_height, const DerushCameraOptions *options);
void derush_camera_free (DerushCamera *camera);
void derush_camera_set_options (DerushCamera *camera, const DerushCameraOptions *options);
void derush_camera_reset (DerushCamera *camera);
void derush_camera_push (DerushCamera *camera, const DerushFrameFeatures *frame, const DerushCameraBox *boxes,
                         guint n_boxes);
void derush_camera_cut (DerushCamera *camera, double time);
guint derush_camera_get_pending (DerushCamera *camera);
gboolean derush_camera_pop (DerushCamera *camera, DerushCameraKey *key, gboolean *new_shot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushCamera, derush_camera_free)

/* ── Interest and highlights ────────────────────────────────────────────── */

/**
 * DerushSignal:
 * @DERUSH_SIGNAL_LOUDNESS: louder than the film is otherwise
 * @DERUSH_SIGNAL_CROWD: sustained noise of many, as cheering and applause
 * @DERUSH_SIGNAL_SPEECH: someone speaks
 * @DERUSH_SIGNAL_MOTION: more motion than the film has otherwise
 * @DERUSH_SIGNAL_SCENE_CHANGE: many shot changes
 *
 * What makes a moment interesting. Each is 0..1 at each moment.
 */
typedef enum {
  DERUSH_SIGNAL_LOUDNESS,
  DERUSH_SIGNAL_CROWD,
  DERUSH_SIGNAL_SPEECH,
  DERUSH_SIGNAL_MOTION,
  DERUSH_SIGNAL_SCENE_CHANGE,
} DerushSignal;

#define DERUSH_N_SIGNALS (DERUSH_SIGNAL_SCENE_CHANGE + 1)

const char *derush_signal_to_string (DerushSignal signal);

/**
 * DerushDetection:
 * @DERUSH_DETECTION_AUDIO: by %DERUSH_SIGNAL_LOUDNESS, %DERUSH_SIGNAL_CROWD and %DERUSH_SIGNAL_SPEECH
 * @DERUSH_DETECTION_MOTION: by %DERUSH_SIGNAL_MOTION
 * @DERUSH_DETECTION_SCENE_CHANGE: by %DERUSH_SIGNAL_SCENE_CHANGE
 * @DERUSH_DETECTION_ALL: by all of them
 *
 * What to go by.
 */
typedef enum {
  DERUSH_DETECTION_AUDIO = 1 << 0,
  DERUSH_DETECTION_MOTION = 1 << 1,
  DERUSH_DETECTION_SCENE_CHANGE = 1 << 2,
  DERUSH_DETECTION_ALL = (1 << 3) - 1,
} DerushDetection;

gboolean derush_detection_from_string (const char *name, DerushDetection *detection);

/**
 * DerushSensitivity:
 * @DERUSH_SENSITIVITY_LOW: only what stands out by far
 * @DERUSH_SENSITIVITY_MEDIUM: what stands out
 * @DERUSH_SENSITIVITY_HIGH: whatever is above the ordinary
 */
typedef enum {
  DERUSH_SENSITIVITY_LOW,
  DERUSH_SENSITIVITY_MEDIUM,
  DERUSH_SENSITIVITY_HIGH,
} DerushSensitivity;

gboolean derush_sensitivity_from_string (const char *name, DerushSensitivity *sensitivity);

/**
 * DerushHighlightOptions:
 * @max_highlights: how many at most, 1..
 * @min_duration: of a highlight in seconds; a film that is shorter is one candidate
 * @max_duration: of a highlight in seconds, not below @min_duration
 * @min_distance: seconds between two highlights, 0..
 * @sensitivity: how much must a highlight stand out
 * @detections: what to go by, a sum of #DerushDetection, not 0
 */
typedef struct {
  guint max_highlights;
  double min_duration;
  double max_duration;
  double min_distance;
  DerushSensitivity sensitivity;
  guint detections;
} DerushHighlightOptions;

void derush_highlight_options_init (DerushHighlightOptions *options);

/**
 * DerushHighlight:
 * @start: stream time in seconds
 * @end: stream time in seconds
 * @score: the sum of @weights times @values, 0..1
 * @values: of each #DerushSignal, the mean over the segment, 0..1
 * @weights: of each #DerushSignal; they add up to 1, and are 0 for what was not measured or not asked for
 * @type: (nullable): `ACTION`, `AUDIO`, `MOTION` or `SCENE_CHANGE`, by what contributed most; constant
 * @reasons: (array zero-terminated=1): in plain words, the weightiest first; of a rejected candidate, why it was
 *   rejected
 *
 * A segment of the film, chosen or rejected.
 */
typedef struct {
  double start;
  double end;
  double score;
  double values[DERUSH_N_SIGNALS];
  double weights[DERUSH_N_SIGNALS];
  const char *type;
  GStrv reasons;
} DerushHighlight;

/**
 * DerushHighlights:
 * @chosen: (element-type DerushHighlight): the best first
 * @rejected: (element-type DerushHighlight): the other candidates, the best first
 */
typedef struct {
  GPtrArray *chosen;
  GPtrArray *rejected;
} DerushHighlights;

DerushHighlights *derush_highlights_find (const DerushAnalysis *analysis, const DerushHighlightOptions *options);
void derush_highlights_free (DerushHighlights *highlights);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushHighlights, derush_highlights_free)

G_END_DECLS
