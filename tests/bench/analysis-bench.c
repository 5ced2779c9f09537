/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "analysis/analysis.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/*
 * analysis-bench [WIDTH HEIGHT [FRAMES]]: CPU time of measuring frames and audio, and of what follows from it, on made
 * material. Prints one JSON object.
 */

#define PICTURES 8
#define RATE 48000

static double
cpu_seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

/* Texture that moves: more memory than a cache holds, as decoded frames are. */
static guint8 *
make_pictures (guint width, guint height)
{
  gsize size = (gsize)width * height * 3 / 2;
  guint8 *pictures = g_malloc (PICTURES * size);
  guint32 state = 1;

  for (guint n = 0; n < PICTURES; n++) {
    for (gsize i = 0; i < size; i++) {
      state = state * 1664525u + 1013904223u;
      pictures[n * size + i] = 60 + (i / 16 + 3 * n) % 100 + (state >> 28);
    }
  }
  return pictures;
}

static double
measure_frames (guint width, guint height, guint count, GArray *frames)
{
  g_autoptr (DerushFrameMeter) meter = derush_frame_meter_new ();
  g_autofree guint8 *pictures = make_pictures (width, height);
  gsize luma = (gsize)width * height, chroma = luma / 4;
  double start = cpu_seconds ();

  for (guint i = 0; i < count; i++) {
    const guint8 *data = pictures + i % PICTURES * (luma + 2 * chroma);
    DerushPlanes planes = {.data = {data, data + luma, data + luma + chroma},
                           .stride = {width, width / 2, width / 2},
                           .pixel_stride = {1, 1, 1},
                           .width = width,
                           .height = height,
                           .chroma_width = width / 2,
                           .chroma_height = height / 2,
                           .sample_bits = 8};
    DerushFrameFeatures features;

    derush_frame_meter_push (meter, &planes, i / 25.0, &features);
    g_array_append_val (frames, features);
  }
  return cpu_seconds () - start;
}

static double
measure_audio (guint seconds, GArray *blocks)
{
  g_autoptr (DerushAudioMeter) meter = derush_audio_meter_new (RATE, 2);
  g_autofree float *samples = g_new (float, 2 * RATE);
  guint32 state = 1;
  double start;

  for (guint i = 0; i < 2 * RATE; i++) {
    state = state * 1664525u + 1013904223u;
    samples[i] = ((state >> 8) / 8388608.0f - 1) * 0.1f;
  }
  start = cpu_seconds ();
  for (guint i = 0; i < seconds; i++)
    derush_audio_meter_push (meter, samples, RATE);
  derush_audio_meter_pop (meter, blocks);
  return cpu_seconds () - start;
}

int
main (int argc, char **argv)
{
  guint width = argc > 2 ? atoi (argv[1]) & ~1u : 1280, height = argc > 2 ? atoi (argv[2]) & ~1u : 720;
  guint count = argc > 3 ? atoi (argv[3]) : 500;
  g_autoptr (GArray) frames = g_array_new (FALSE, FALSE, sizeof (DerushFrameFeatures));
  g_autoptr (GArray) blocks = g_array_new (FALSE, FALSE, sizeof (DerushAudioBlock));
  g_autoptr (GArray) shots = NULL;
  g_autoptr (DerushHighlights) highlights = NULL;
  DerushAnalysis analysis;
  double video, audio, start, evaluation;

  if (width < 2 || height < 2 || width > G_MAXUINT16 || height > G_MAXUINT16 || count < 1) {
    fprintf (stderr, "usage: analysis-bench [WIDTH HEIGHT [FRAMES]]\n");
    return 2;
  }
  video = measure_frames (width, height, count, frames);
  audio = measure_audio (60, blocks);
  start = cpu_seconds ();
  shots = derush_shots_find ((const DerushFrameFeatures *)frames->data, frames->len, count / 25.0, NULL);
  analysis = (DerushAnalysis){.frames = (const DerushFrameFeatures *)frames->data,
                              .n_frames = frames->len,
                              .audio = (const DerushAudioBlock *)blocks->data,
                              .n_audio = blocks->len,
                              .shots = (const DerushShot *)shots->data,
                              .n_shots = shots->len,
                              .duration = count / 25.0,
                              .width = width,
                              .height = height};
  highlights = derush_highlights_find (&analysis, NULL);
  evaluation = cpu_seconds () - start;
  printf ("{\"width\":%u,\"height\":%u,\"frames\":%u,\"framesPerSecond\":%.0f,\"nanosecondsPerPixel\":%.4f,"
          "\"audioTimesRealTime\":%.0f,\"evaluationMicrosecondsPerFrame\":%.2f}\n",
          width, height, count, count / video, video * 1e9 / count / width / height, 60 / audio,
          evaluation * 1e6 / count);
  return 0;
}
