/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What a model is shown and told of a film: frames of its shots, as small pictures, and what the analysis has measured. */

#include "stills-private.h"

#include <math.h>
#include <string.h>
#include <gst/video/video.h>

#define MAX_COUNT 100
#define DEFAULT_SIZE 768
#define JPEG_QUALITY 80
/* Quieter than this is silence, in LUFS; EBU R 128's absolute gate is at -70, which few recordings ever reach. */
#define SILENCE -50.0f
#define LEAST_SILENCE 0.7
#define MAX_SILENCES 500
#define ABSOLUTE_GATE -70.0
#define RELATIVE_GATE 10.0
#define N_COLOURS 3
/* Of pixels, in JPEG with chroma of half the size. */
#define BLOCK 16u
/* Of the width or height, on each side. */
#define LEAST_BAR 0.02f
/* Two colours of a list differ by this much at least, of 0 to 255 per channel, summed. */
#define COLOUR_DISTANCE 96
/* Moderate to extreme by Hasler and Süsstrunk (2003). */
#define MOST_COLOURFUL 109.0
/* Sharper pictures than this look no sharper; see DerushFrameFeatures. */
#define SHARPEST 1000.0

static double
rounded (double value, double parts)
{
  return round (value * parts) / parts;
}

static double
milliseconds (double seconds)
{
  return round (seconds * 1000) / 1000;
}

static void
set_share (JsonObject *object, const char *name, double share)
{
  json_object_set_double_member (object, name, round (CLAMP (share, 0, 1) * 1000) / 1000);
}

/* ── Sound ──────────────────────────────────────────────────────────────── */

static double
mean_loudness (const DerushAnalysis *analysis, double gate)
{
  double sum = 0;
  guint n = 0;

  for (guint i = 0; i < analysis->n_audio; i++) {
    if (analysis->audio[i].loudness <= gate)
      continue;
    sum += pow (10, analysis->audio[i].loudness / 10);
    n++;
  }
  return n > 0 ? 10 * log10 (sum / n) : -G_MAXDOUBLE;
}

/* Integrated loudness as EBU R 128 gates it: each block is 400 ms of sound, 100 ms after the one before. */
static void
add_loudness (const DerushAnalysis *analysis, JsonObject *audio)
{
  double loose = mean_loudness (analysis, ABSOLUTE_GATE), loudness;
  float peak = -100;

  for (guint i = 0; i < analysis->n_audio; i++)
    peak = MAX (peak, analysis->audio[i].peak);
  loudness = loose > -G_MAXDOUBLE ? mean_loudness (analysis, MAX (ABSOLUTE_GATE, loose - RELATIVE_GATE)) : loose;
  if (loudness > -G_MAXDOUBLE)
    json_object_set_double_member (audio, "loudness", rounded (loudness, 10));
  else
    json_object_set_null_member (audio, "loudness");
  json_object_set_double_member (audio, "peak", rounded (peak, 10));
}

static JsonArray *
list_silences (const DerushAnalysis *analysis, double *silent)
{
  JsonArray *silences = json_array_new ();
  double end = 0;

  *silent = 0;
  for (guint i = 0; i < analysis->n_audio;) {
    guint k = i;

    while (k < analysis->n_audio && analysis->audio[k].loudness < SILENCE)
      k++;
    if (k == i) {
      i++;
      continue;
    }
    end = k < analysis->n_audio ? analysis->audio[k].time : analysis->audio[k - 1].time + DERUSH_AUDIO_BLOCK_DURATION;
    if (end - analysis->audio[i].time >= LEAST_SILENCE) {
      *silent += end - analysis->audio[i].time;
      if (json_array_get_length (silences) < MAX_SILENCES) {
        JsonObject *item = json_object_new ();

        json_object_set_double_member (item, "start", milliseconds (analysis->audio[i].time));
        json_object_set_double_member (item, "end", milliseconds (end));
        json_array_add_object_element (silences, item);
      }
    }
    i = k;
  }
  return silences;
}

/* How much of the time sounds like speech, doubts counted by their weight. */
static double
speech_share (const DerushAnalysis *analysis)
{
  g_autofree float *speech = g_new0 (float, analysis->n_audio), *crowd = g_new0 (float, analysis->n_audio);
  double sum = 0;

  derush_audio_likeness (analysis->audio, analysis->n_audio, speech, crowd);
  for (guint i = 0; i < analysis->n_audio; i++)
    sum += speech[i];
  return sum / analysis->n_audio;
}

static void
add_sound (const DerushAnalysis *analysis, JsonObject *signals)
{
  JsonObject *audio;
  JsonArray *silences;
  double length, silent, speech;

  if (analysis->n_audio == 0)
    return;
  audio = json_object_new ();
  length = analysis->n_audio * DERUSH_AUDIO_BLOCK_DURATION;
  silences = list_silences (analysis, &silent);
  speech = speech_share (analysis);
  add_loudness (analysis, audio);
  set_share (audio, "speech", speech);
  set_share (audio, "silence", silent / length);
  json_object_set_int_member (audio, "silences", json_array_get_length (silences));
  json_object_set_object_member (signals, "audio", audio);
  json_object_set_array_member (signals, "silences", silences);
  set_share (signals, "speech", speech);
}

/* ── Shots and highlights ───────────────────────────────────────────────── */

static void
add_shots (const DerushAnalysis *analysis, JsonObject *signals)
{
  JsonArray *shots = json_array_new ();

  for (guint i = 0; i < analysis->n_shots; i++) {
    const DerushShot *shot = &analysis->shots[i];
    JsonObject *item = json_object_new ();

    json_object_set_double_member (item, "start", milliseconds (shot->start));
    json_object_set_double_member (item, "end", milliseconds (shot->end));
    json_object_set_string_member (item, "transition",
                                   derush_transition_to_string ((DerushTransition)shot->transition));
    json_array_add_object_element (shots, item);
  }
  json_object_set_array_member (signals, "shots", shots);
}

/* How much moves, and how bright and colourful the film is as a whole. */
static void
add_picture (const DerushAnalysis *analysis, JsonObject *signals)
{
  double luma = 0, motion = 0, colours = 0;
  JsonObject *picture;

  if (analysis->n_frames == 0)
    return;
  for (guint i = 0; i < analysis->n_frames; i++) {
    luma += analysis->frames[i].luma_mean;
    motion += analysis->frames[i].motion;
    colours += analysis->frames[i].colourfulness;
  }
  picture = json_object_new ();
  set_share (picture, "luma", luma / analysis->n_frames);
  json_object_set_double_member (picture, "motion", rounded (motion / analysis->n_frames, 1000));
  set_share (picture, "saturation", colours / analysis->n_frames / MOST_COLOURFUL);
  json_object_set_object_member (signals, "picture", picture);
}

static JsonObject *
describe_signals (DerushMediaJob *job, const DerushAnalysis *analysis)
{
  JsonArray *found = derush_json_get_array (job->results ? derush_json_get_object (job->results, "highlights") : NULL,
                                            "highlights"),
            *highlights = json_array_new ();
  JsonObject *signals = json_object_new ();

  json_object_set_double_member (signals, "duration", milliseconds (analysis->duration));
  add_shots (analysis, signals);
  add_picture (analysis, signals);
  for (guint i = 0; found && i < json_array_get_length (found); i++) {
    JsonObject *highlight = json_array_get_object_element (found, i), *item = json_object_new (),
               *metadata = derush_json_get_object (highlight, "metadata");
    JsonArray *reasons = derush_json_get_array (metadata, "reasons");

    json_object_set_double_member (item, "start", derush_json_get_number (highlight, "startTime", 0));
    json_object_set_double_member (item, "end", derush_json_get_number (highlight, "endTime", 0));
    json_object_set_double_member (item, "score", derush_json_get_number (highlight, "confidence", 0));
    json_object_set_array_member (item, "reasons", reasons ? json_array_ref (reasons) : json_array_new ());
    json_array_add_object_element (highlights, item);
  }
  json_object_set_array_member (signals, "highlights", highlights);
  add_sound (analysis, signals);
  return signals;
}

/* ── Frames ─────────────────────────────────────────────────────────────── */

typedef struct {
  double time;
  guint frame; /* its number in the analysis */
} Choice;

static int
compare_choices (gconstpointer a, gconstpointer b)
{
  const Choice *one = a, *two = b;

  return (one->time > two->time) - (one->time < two->time);
}

/* Of a shot that none was chosen of; -1: there is none, or nothing but black. */
static gssize
best_of_another_shot (const DerushStill *stills, guint n_stills, const gsize *chosen, gsize n)
{
  gssize best = -1;

  for (guint i = 0; i < n_stills; i++) {
    gboolean taken = (stills[i].traits & (DERUSH_STILL_BLACK | DERUSH_STILL_TRANSITION)) != 0;

    for (gsize k = 0; k < n && !taken; k++)
      taken = stills[chosen[k]].shot == stills[i].shot;
    if (!taken && (best < 0 || stills[i].score > stills[best].score))
      best = (gssize)i;
  }
  return best;
}

/* A second still of a shot gives way to one of a shot that has none: slides are all alike as pictures, and say other things. */
static void
spread_over_shots (const DerushStill *stills, guint n_stills, gsize *chosen, gsize n)
{
  for (gsize i = 1; i < n; i++) {
    gboolean again = FALSE;
    gssize other;

    for (gsize k = 0; k < i && !again; k++)
      again = stills[chosen[k]].shot == stills[chosen[i]].shot;
    other = again ? best_of_another_shot (stills, n_stills, chosen, n) : -1;
    if (other >= 0)
      chosen[i] = (gsize)other;
  }
}

/* The best stills of the film, apart from each other: one of each shot where there are as many shots as frames wanted. */
static GArray *
choose (const DerushAnalysis *analysis, guint count)
{
  GArray *choices = g_array_new (FALSE, FALSE, sizeof (Choice));
  g_autofree DerushStill *stills = g_new (DerushStill, analysis->n_frames + 1);
  g_autofree DerushStillSpan *spans = g_new (DerushStillSpan, analysis->n_shots + 1);
  g_autofree gsize *chosen = g_new (gsize, count + 1);
  DerushStillRequest request = {count, 0, 0};
  gsize n_spans = 0, n;

  for (guint i = 1; i < analysis->n_shots; i++) {
    const DerushShot *shot = &analysis->shots[i];
    gboolean cut = shot->transition == DERUSH_TRANSITION_CUT;

    spans[n_spans++] = (DerushStillSpan){cut ? shot->start : shot->transition_start,
                                         cut ? shot->start : MAX (shot->transition_start, shot->transition_end)};
  }
  derush_stills_score_film (stills, analysis->frames, analysis->n_frames, spans, n_spans);
  n = derush_stills_select (stills, analysis->frames, analysis->n_frames, &request, chosen);
  spread_over_shots (stills, analysis->n_frames, chosen, n);
  for (gsize i = 0; i < n; i++) {
    Choice choice = {stills[chosen[i]].time, (guint)chosen[i]};

    g_array_append_val (choices, choice);
  }
  return choices;
}

static gboolean
is_apart (const guint *colours, guint n, guint colour)
{
  for (guint i = 0; i < n; i++) {
    int distance = ABS ((int)(colours[i] >> 16) - (int)(colour >> 16)) +
                   ABS ((int)(colours[i] >> 8 & 255) - (int)(colour >> 8 & 255)) +
                   ABS ((int)(colours[i] & 255) - (int)(colour & 255));

    if (distance < COLOUR_DISTANCE)
      return FALSE;
  }
  return TRUE;
}

/* The most frequent colours of an RGB picture: means of 16×16×16 cells, the fullest first. */
static JsonArray *
list_colours (GstSample *picture)
{
  JsonArray *list = json_array_new ();
  g_autofree guint64 *sums = g_new0 (guint64, 4096 * 4);
  guint colours[N_COLOURS], n = 0;
  GstVideoInfo info;
  GstVideoFrame frame;

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (picture)) ||
      !gst_video_frame_map (&frame, &info, gst_sample_get_buffer (picture), GST_MAP_READ))
    return list;
  for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT (&frame); y++) {
    for (int x = 0; x < GST_VIDEO_FRAME_WIDTH (&frame); x++) {
      guint64 *cell = sums;
      guint8 value[3];

      for (guint c = 0; c < 3; c++)
        value[c] = ((const guint8 *)GST_VIDEO_FRAME_COMP_DATA (
            &frame, c))[y * GST_VIDEO_FRAME_COMP_STRIDE (&frame, c) + x * GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c)];
      cell += 4 * ((value[0] >> 4) << 8 | (value[1] >> 4) << 4 | value[2] >> 4);
      cell[3]++;
      for (guint c = 0; c < 3; c++)
        cell[c] += value[c];
    }
  }
  gst_video_frame_unmap (&frame);
  while (n < N_COLOURS) {
    guint64 *fullest = NULL;
    guint colour;

    for (guint i = 0; i < 4096; i++)
      if (sums[4 * i + 3] > (fullest ? fullest[3] : 0))
        fullest = sums + 4 * i;
    if (!fullest)
      break;
    colour = (guint)(fullest[0] / fullest[3] << 16 | fullest[1] / fullest[3] << 8 | fullest[2] / fullest[3]);
    fullest[3] = 0;
    if (is_apart (colours, n, colour)) {
      g_autofree char *text = g_strdup_printf ("#%06x", colour);

      colours[n++] = colour;
      json_array_add_string_element (list, text);
    }
  }
  return list;
}

static int
shot_of (const DerushAnalysis *analysis, double time)
{
  for (guint i = analysis->n_shots; i > 0; i--)
    if (time >= analysis->shots[i - 1].start)
      return (int)i - 1;
  return 0;
}

/*
 * Without the black bars that the film has: the middle of the frame in the shape of what is in it. Its width is that of whole
 * blocks: jpegenc fills the last one with whatever lies behind a line, and the same film would never be the same question.
 */
static void
choose_shape (DerushStillPicture *wanted, GstSample *sample, const DerushFrameFeatures *features)
{
  DerushStillLayout layout;
  GstVideoInfo info;
  double x = features->bar_x < LEAST_BAR ? 0 : features->bar_x, y = features->bar_y < LEAST_BAR ? 0 : features->bar_y;
  double width;

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample)))
    return;
  derush_still_layout_init (&layout, wanted, (guint)GST_VIDEO_INFO_WIDTH (&info), (guint)GST_VIDEO_INFO_HEIGHT (&info),
                            (guint)GST_VIDEO_INFO_PAR_N (&info), (guint)GST_VIDEO_INFO_PAR_D (&info));
  width = layout.width * (1 - 2 * x);
  wanted->width = MAX (BLOCK, (guint)width / BLOCK * BLOCK);
  wanted->height = MAX (BLOCK, (guint)(layout.height * (1 - 2 * y) * wanted->width / MAX (width, 1)));
  wanted->fit = DERUSH_STILL_FIT_COVER;
}

static JsonObject *
write_frame (DerushMediaJob *job, GstSample *sample, const DerushFrameFeatures *features, guint number, GError **error)
{
  guint size = (guint)CLAMP (derush_json_get_int (job->parameters, "size", DEFAULT_SIZE), 16, 8192);
  DerushStillPicture wanted = {size, size, 1, FALSE, DERUSH_STILL_FIT_CONTAIN, FALSE};
  g_autofree char *name = g_strdup_printf ("frame-%03u.jpg", number), *path = derush_media_job_path (job, name, error);
  g_autoptr (GstSample) picture = NULL;
  JsonObject *item;
  int width = 0, height = 0;

  if (!path)
    return NULL;
  choose_shape (&wanted, sample, features);
  picture = derush_still_picture_make (&wanted, sample, error);
  if (!picture || !derush_still_picture_write (job, picture, "jpg", JPEG_QUALITY, path, error))
    return NULL;
  gst_structure_get (gst_caps_get_structure (gst_sample_get_caps (picture), 0), "width", G_TYPE_INT, &width, "height",
                     G_TYPE_INT, &height, NULL);
  item = json_object_new ();
  json_object_set_string_member (item, "file", name);
  json_object_set_int_member (item, "width", width);
  json_object_set_int_member (item, "height", height);
  set_share (item, "luma", features->luma_mean);
  set_share (item, "contrast", features->luma_deviation * 2);
  set_share (item, "sharpness", sqrt (features->sharpness / SHARPEST));
  set_share (item, "saturation", features->colourfulness / MOST_COLOURFUL);
  json_object_set_array_member (item, "colours", list_colours (picture));
  return item;
}

static JsonObject *
make_frame (DerushMediaJob *job, DerushStillReader *reader, const DerushAnalysis *analysis, const Choice *choice,
            guint number, GError **error)
{
  double time = MAX (0, choice->time - derush_still_reader_get_offset (reader));
  g_auto (DerushStillFrame) frame = {NULL};
  JsonObject *item;

  if (!derush_still_reader_get_frame (reader, time, &frame, error))
    return NULL;
  item = write_frame (job, frame.sample, &analysis->frames[choice->frame], number, error);
  if (!item)
    return NULL;
  json_object_set_double_member (item, "time", milliseconds (frame.time));
  json_object_set_int_member (item, "shot", shot_of (analysis, choice->time));
  return item;
}

/* The source is a picture, and its own only frame. */
static JsonObject *
take_picture (DerushMediaJob *job, GError **error)
{
  g_autoptr (GstSample) sample = NULL;
  g_autoptr (DerushStillMeter) meter = derush_still_meter_new ();
  DerushFrameFeatures features = {0};
  JsonObject *result, *item;
  JsonArray *frames;

  if (!derush_media_job_require_source (job, error))
    return NULL;
  sample = derush_still_picture_read (job, job->source.fd, job->source.display, error);
  if (!sample)
    return NULL;
  derush_still_meter_push (meter, sample, 0, &features);
  item = write_frame (job, sample, &features, 1, error);
  if (!item)
    return NULL;
  frames = json_array_new ();
  json_array_add_object_element (frames, item);
  result = json_object_new ();
  json_object_set_array_member (result, "frames", frames);
  json_object_set_object_member (result, "signals", json_object_new ());
  return result;
}

static JsonArray *
make_frames (DerushMediaJob *job, DerushMediaInfo *info, const DerushAnalysis *analysis, GError **error)
{
  guint count = (guint)CLAMP (derush_json_get_int (job->parameters, "count", 0), 0, MAX_COUNT);
  g_autoptr (JsonArray) items = json_array_new ();
  g_autoptr (DerushStillReader) reader = NULL;
  g_autoptr (GArray) choices = NULL;

  if (count == 0 || !info->video_id || analysis->n_frames == 0)
    return g_steal_pointer (&items);
  reader = derush_still_reader_new (job, info, error);
  if (!reader)
    return NULL;
  choices = choose (analysis, count);
  if (!derush_json_get_boolean (job->parameters, "best", FALSE))
    g_array_sort (choices, compare_choices);
  for (guint i = 0; i < choices->len; i++) {
    JsonObject *item = make_frame (job, reader, analysis, &g_array_index (choices, Choice, i), i + 1, error);

    if (!item)
      return NULL;
    json_array_add_object_element (items, item);
    derush_media_job_progress (job, (double)(i + 1) / choices->len);
  }
  return g_steal_pointer (&items);
}

/*
 * Parameters: count (of frames, 0 to 100), size (of their longer side at most, in pixels), best (the best one first, else
 * in the order of their times), picture (the source is one, and no film). A film without a picture has none.
 */
JsonObject *
derush_action_frames (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushMediaInfo) info = NULL;
  g_autoptr (DerushAnalysisFile) file = NULL;
  JsonObject *result;
  JsonArray *frames;

  if (derush_json_get_boolean (job->parameters, "picture", FALSE))
    return take_picture (job, error);
  info = derush_media_job_get_info (job, error);
  file = info ? derush_media_job_open_analysis (job, error) : NULL;
  if (!file)
    return NULL;
  frames = make_frames (job, info, derush_analysis_file_get (file), error);
  if (!frames)
    return NULL;
  result = json_object_new ();
  json_object_set_array_member (result, "frames", frames);
  json_object_set_object_member (result, "signals", describe_signals (job, derush_analysis_file_get (file)));
  return result;
}
