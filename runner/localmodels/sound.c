/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Sound in and out: WAV by ourselves, other formats by ffmpeg, in a process that is told what the format is. */

#include "localmodels-private.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

#define WAVE_PCM 1
#define WAVE_FLOAT 3
#define WAVE_EXTENSIBLE 0xfffe
#define MAX_RATE 384000
#define MAX_CHANNELS 64
#define SINC_ZEROS 12

void
local_sound_clear (LocalSound *sound)
{
  g_clear_pointer (&sound->samples, g_free);
  sound->n = 0;
}

static guint32
le32 (const guint8 *at)
{
  return (guint32)at[0] | (guint32)at[1] << 8 | (guint32)at[2] << 16 | (guint32)at[3] << 24;
}

static guint
le16 (const guint8 *at)
{
  return (guint)at[0] | (guint)at[1] << 8;
}

/* From -1 to 1. */
static float
read_sample (const guint8 *at, guint format, guint bits)
{
  union {
    guint32 whole;
    float real;
  } bridge;

  switch (bits) {
  case 8:
    return ((float)at[0] - 128.0f) / 128.0f;
  case 16:
    return (float)(gint16)le16 (at) / 32768.0f;
  case 24:
    return (float)(gint32)((guint32)at[0] << 8 | (guint32)at[1] << 16 | (guint32)at[2] << 24) / 2147483648.0f;
  default:
    bridge.whole = le32 (at);
    if (format != WAVE_FLOAT)
      return (float)(gint32)bridge.whole / 2147483648.0f;
    return isfinite (bridge.real) ? CLAMP (bridge.real, -1.0f, 1.0f) : 0.0f;
  }
}

static gint16
to_sample (double value)
{
  return (gint16)CLAMP (lrint (value * 32768.0), -32768, 32767);
}

/**
 * local_wav_parse:
 * @data: a WAV file; one that was written as a stream may say more of its length than there is
 * @sound: (out): its channels mixed into one
 *
 * Returns: %FALSE if it is no WAV file of whole or floating samples
 */
gboolean
local_wav_parse (const guint8 *data, gsize length, LocalSound *sound, GError **error)
{
  guint format = 0, channels = 0, bits = 0, width;
  guint32 rate = 0;
  const guint8 *samples = NULL;
  gsize size = 0;

  if (length < 12 || memcmp (data, "RIFF", 4) != 0 || memcmp (data + 8, "WAVE", 4) != 0) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_audio", "file", _ ("The file is no WAV file"));
    return FALSE;
  }
  for (gsize at = 12; at + 8 <= length && !samples;) {
    gsize chunk = le32 (data + at + 4), left = length - at - 8;
    const guint8 *body = data + at + 8;

    if (memcmp (data + at, "fmt ", 4) == 0 && MIN (chunk, left) >= 16) {
      format = le16 (body);
      channels = le16 (body + 2);
      rate = le32 (body + 4);
      bits = le16 (body + 14);
      if (format == WAVE_EXTENSIBLE && MIN (chunk, left) >= 26)
        format = le16 (body + 24);
    } else if (memcmp (data + at, "data", 4) == 0) {
      samples = body;
      size = MIN (chunk, left);
    }
    at += 8 + MIN (chunk, left) + (chunk & 1);
  }
  width = bits / 8;
  if (!samples || channels < 1 || channels > MAX_CHANNELS || rate < 1000 || rate > MAX_RATE ||
      !((format == WAVE_PCM && (bits == 8 || bits == 16 || bits == 24 || bits == 32)) ||
        (format == WAVE_FLOAT && bits == 32))) {
    local_set_error (error, DERUSH_ERROR_UNSUPPORTED, "unsupported_audio", "file",
                     _ ("The WAV file has no samples of a kind that is read here: format %u, %u bits, %u channels"),
                     format, bits, channels);
    return FALSE;
  }
  sound->rate = (int)rate;
  sound->n = size / width / channels;
  sound->samples = g_new (gint16, MAX (sound->n, 1));
  for (gsize i = 0; i < sound->n; i++) {
    double sum = 0;

    for (guint c = 0; c < channels; c++)
      sum += read_sample (samples + (i * channels + c) * width, format, bits);
    sound->samples[i] = to_sample (sum / channels);
  }
  return TRUE;
}

static void
put (GByteArray *array, guint32 value, guint bytes)
{
  for (guint i = 0; i < bytes; i++) {
    guint8 byte = (guint8)(value >> (8 * i));

    g_byte_array_append (array, &byte, 1);
  }
}

static void
put_samples (GByteArray *array, const LocalSound *sound)
{
  for (gsize i = 0; i < sound->n; i++)
    put (array, (guint16)sound->samples[i], 2);
}

GBytes *
local_wav_write (const LocalSound *sound)
{
  GByteArray *array = g_byte_array_sized_new (44 + (guint)sound->n * 2);
  guint32 size = (guint32)(sound->n * 2);

  g_byte_array_append (array, (const guint8 *)"RIFF", 4);
  put (array, 36 + size, 4);
  g_byte_array_append (array, (const guint8 *)"WAVEfmt ", 8);
  put (array, 16, 4);
  put (array, WAVE_PCM, 2);
  put (array, 1, 2);
  put (array, (guint32)sound->rate, 4);
  put (array, (guint32)sound->rate * 2, 4);
  put (array, 2, 2);
  put (array, 16, 2);
  g_byte_array_append (array, (const guint8 *)"data", 4);
  put (array, size, 4);
  put_samples (array, sound);
  return g_byte_array_free_to_bytes (array);
}

/**
 * local_sound_resample:
 * @rate: the rate to come to
 * @result: (out): the same sound at @rate
 *
 * A sinc under a Hann window, its cut-off at the lower of the two rates. The phases repeat, so their kernels are made once.
 */
void
local_sound_resample (const LocalSound *sound, int rate, LocalSound *result)
{
  int common = sound->rate, other = rate;

  while (other) {
    int rest = common % other;

    common = other;
    other = rest;
  }
  {
    gsize up = (gsize)(rate / common), down = (gsize)(sound->rate / common);
    double cutoff = MIN (1.0, (double)rate / sound->rate) * 0.95;
    gssize half = (gssize)ceil (SINC_ZEROS / cutoff);
    gsize taps = (gsize)half * 2 + 1;
    g_autofree float *kernels = g_new (float, up *taps);

    for (gsize phase = 0; phase < up; phase++) {
      double offset = (double)phase / (double)up, sum = 0;
      float *kernel = kernels + phase * taps;

      for (gsize k = 0; k < taps; k++) {
        double x = (double)((gssize)k - half) - offset, at = x * cutoff, window = x / ((double)half + 1);
        double sinc = fabs (at) < 1e-9 ? 1.0 : sin (G_PI * at) / (G_PI * at);

        kernel[k] = (float)(fabs (window) >= 1 ? 0 : sinc * (0.5 + 0.5 * cos (G_PI * window)));
        sum += kernel[k];
      }
      for (gsize k = 0; k < taps; k++)
        kernel[k] /= (float)sum;
    }
    result->rate = rate;
    result->n = sound->n * up / down;
    result->samples = g_new (gint16, MAX (result->n, 1));
    for (gsize i = 0; i < result->n; i++) {
      gsize position = i * down, whole = position / up;
      const float *kernel = kernels + position % up * taps;
      double sum = 0;

      for (gsize k = 0; k < taps; k++) {
        gssize at = (gssize)whole + (gssize)k - half;

        if (at >= 0 && at < (gssize)sound->n)
          sum += kernel[k] * sound->samples[at];
      }
      result->samples[i] = to_sample (sum / 32768.0);
    }
  }
}

/* ffmpeg's name of the format, so that it tries no other: a playlist, say, that names files of this machine. */
static const char *
sniff (const guint8 *data, gsize length)
{
  if (length < 12)
    return NULL;
  if (memcmp (data, "RIFF", 4) == 0 && memcmp (data + 8, "WAVE", 4) == 0)
    return "wav";
  if (memcmp (data, "fLaC", 4) == 0)
    return "flac";
  if (memcmp (data, "OggS", 4) == 0)
    return "ogg";
  if (memcmp (data + 4, "ftyp", 4) == 0)
    return "mov";
  if (memcmp (data, "\x1a\x45\xdf\xa3", 4) == 0)
    return "matroska";
  if (memcmp (data, "ID3", 3) == 0)
    return "mp3";
  if (data[0] == 0xff && (data[1] & 0xf6) == 0xf0)
    return "aac";
  if (data[0] == 0xff && (data[1] & 0xe0) == 0xe0)
    return "mp3";
  return NULL;
}

static gboolean
decode_by_ffmpeg (GBytes *file, const char *format, int rate, LocalSound *sound, GCancellable *cancellable,
                  GError **error)
{
  g_autofree char *path = NULL, *number = g_strdup_printf ("%d", rate);
  g_autoptr (GBytes) output = NULL;
  int fd = local_memory_file (file, error);
  gboolean done;

  if (fd < 0)
    return FALSE;
  path = g_strdup_printf ("/proc/%d/fd/%d", (int)getpid (), fd);
  {
    const char *arguments[] = {"ffmpeg", "-nostdin", "-v",   "error", "-protocol_whitelist",
                               "file",   "-f",       format, "-i",    path,
                               "-vn",    "-sn",      "-dn",  "-ac",   "1",
                               "-ar",    number,     "-f",   "s16le", "pipe:1",
                               NULL};

    done = local_run (arguments, NULL, &output, NULL, cancellable, error);
  }
  close (fd);
  if (!done) {
    if (error && *error && derush_error_get_class (*error) == DERUSH_ERROR_MODEL) {
      g_autofree char *message = g_strdup ((*error)->message);

      g_clear_error (error);
      local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_audio", "file", _ ("The sound could not be decoded: %s"),
                       message);
    }
    return FALSE;
  }
  sound->rate = rate;
  sound->n = g_bytes_get_size (output) / 2;
  sound->samples = g_new (gint16, MAX (sound->n, 1));
  for (gsize i = 0; i < sound->n; i++)
    sound->samples[i] = (gint16)le16 ((const guint8 *)g_bytes_get_data (output, NULL) + 2 * i);
  return TRUE;
}

/**
 * local_sound_decode:
 * @file: WAV, or a format that ffmpeg is asked to decode: mp3, m4a, mp4, flac, ogg, webm, aac
 * @rate: of the result
 *
 * Returns: %FALSE if @file is none of these or broken
 */
gboolean
local_sound_decode (GBytes *file, int rate, LocalSound *sound, GCancellable *cancellable, GError **error)
{
  gsize length;
  const guint8 *data = g_bytes_get_data (file, &length);
  const char *format = sniff (data, length);
  g_auto (LocalSound) read = {0};
  g_autoptr (GError) local = NULL;

  if (!format) {
    local_set_error (
        error, DERUSH_ERROR_BAD_INPUT, "unsupported_audio", "file",
        _ ("The file is no sound of a format that is read here: wav, mp3, m4a, mp4, flac, ogg, webm, aac"));
    return FALSE;
  }
  if (strcmp (format, "wav") != 0)
    return decode_by_ffmpeg (file, format, rate, sound, cancellable, error);
  if (!local_wav_parse (data, length, &read, &local)) {
    if (derush_error_get_class (local) == DERUSH_ERROR_UNSUPPORTED)
      return decode_by_ffmpeg (file, format, rate, sound, cancellable, error);
    g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
  }
  if (read.rate == rate) {
    *sound = read;
    read.samples = NULL;
  } else {
    local_sound_resample (&read, rate, sound);
  }
  return TRUE;
}

/**
 * local_sound_encode:
 * @format: wav, pcm (24000 per second, 16 bit, no header), mp3, flac, opus or aac
 *
 * Returns: (nullable): the file
 */
GBytes *
local_sound_encode (const LocalSound *sound, const char *format, GCancellable *cancellable, GError **error)
{
  static const struct {
    const char *format, *codec, *container, *rate;
  } formats[] = {{"mp3", "libmp3lame", "mp3", "24000"},
                 {"flac", "flac", "flac", NULL},
                 {"opus", "libopus", "ogg", "48000"},
                 {"aac", "aac", "adts", "24000"}};
  g_autofree char *rate = g_strdup_printf ("%d", sound->rate);
  g_autoptr (GByteArray) raw = NULL;
  g_autoptr (GBytes) input = NULL;
  GBytes *output = NULL;

  if (strcmp (format, "wav") == 0)
    return local_wav_write (sound);
  raw = g_byte_array_new ();
  if (strcmp (format, "pcm") == 0) {
    g_auto (LocalSound) at24 = {0};

    local_sound_resample (sound, 24000, &at24);
    put_samples (raw, &at24);
    return g_byte_array_free_to_bytes (g_steal_pointer (&raw));
  }
  put_samples (raw, sound);
  input = g_byte_array_free_to_bytes (g_steal_pointer (&raw));
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    const char *arguments[] = {"ffmpeg",
                               "-nostdin",
                               "-v",
                               "error",
                               "-f",
                               "s16le",
                               "-ar",
                               rate,
                               "-ac",
                               "1",
                               "-i",
                               "pipe:0",
                               "-c:a",
                               formats[i].codec,
                               "-f",
                               formats[i].container,
                               formats[i].rate ? "-ar" : "pipe:1",
                               formats[i].rate,
                               "pipe:1",
                               NULL};

    if (strcmp (formats[i].format, format) == 0)
      return local_run (arguments, input, &output, NULL, cancellable, error) ? output : NULL;
  }
  local_set_error (error, DERUSH_ERROR_BAD_INPUT, "unsupported_value", "response_format",
                   _ ("response_format is “%s”; it may be wav, pcm, mp3, flac, opus or aac"), format);
  return NULL;
}
