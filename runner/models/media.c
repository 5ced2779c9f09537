/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Answers of models are looked at by their bytes: types that servers name are often wrong, and a body that was cut looks
 * whole to the HTTP library. Nothing is decoded here. */

typedef struct {
  const guint8 *data;
  gsize size;
} View;

static View
view_of (GBytes *bytes)
{
  View view;

  view.data = g_bytes_get_data (bytes, &view.size);
  return view;
}

static gboolean
starts_with (View view, gsize offset, const char *signature, gsize length)
{
  return view.size >= offset + length && memcmp (view.data + offset, signature, length) == 0;
}

static guint32
be16 (const guint8 *p)
{
  return (guint32)p[0] << 8 | p[1];
}

static guint32
be32 (const guint8 *p)
{
  return be16 (p) << 16 | be16 (p + 2);
}

static guint32
le16 (const guint8 *p)
{
  return (guint32)p[1] << 8 | p[0];
}

static guint32
le32 (const guint8 *p)
{
  return le16 (p + 2) << 16 | le16 (p);
}

/* ── Pictures ───────────────────────────────────────────────────────────── */

static gboolean
read_png (View view, int *width, int *height, gboolean *whole)
{
  gsize position = 8;

  if (view.size < 33)
    return FALSE;
  *width = be32 (view.data + 16);
  *height = be32 (view.data + 20);
  *whole = FALSE;
  while (view.size - position >= 12) {
    gsize length = be32 (view.data + position);

    if (length > view.size - position - 12)
      break;
    if (memcmp (view.data + position + 4, "IEND", 4) == 0) {
      *whole = TRUE;
      break;
    }
    position += length + 12;
  }
  return TRUE;
}

static gboolean
read_jpeg (View view, int *width, int *height, gboolean *whole)
{
  gsize position = 2, end = view.size;
  gboolean found = FALSE;

  while (position + 4 <= view.size && view.data[position] == 0xff) {
    guint8 marker = view.data[position + 1];
    gsize length = be16 (view.data + position + 2);

    if (marker == 0xff) {
      position++;
      continue;
    }
    /* Start of frame, of any kind but tables and arithmetic conditioning. */
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc &&
        position + 9 <= view.size) {
      *height = be16 (view.data + position + 5);
      *width = be16 (view.data + position + 7);
      found = TRUE;
    }
    if (marker == 0xda)
      break;
    position += 2 + length;
  }
  while (end > 0 && view.data[end - 1] == 0)
    end--;
  *whole = end >= 2 && view.data[end - 2] == 0xff && view.data[end - 1] == 0xd9;
  return found;
}

static gboolean
read_webp (View view, int *width, int *height, gboolean *whole)
{
  const guint8 *data = view.data;

  if (view.size < 30)
    return FALSE;
  *whole = (guint64)le32 (data + 4) + 8 <= view.size;
  if (memcmp (data + 12, "VP8X", 4) == 0) {
    *width = 1 + (int)(data[24] | (guint32)data[25] << 8 | (guint32)data[26] << 16);
    *height = 1 + (int)(data[27] | (guint32)data[28] << 8 | (guint32)data[29] << 16);
  } else if (memcmp (data + 12, "VP8L", 4) == 0) {
    guint32 bits = le32 (data + 21);

    *width = 1 + (int)(bits & 0x3fff);
    *height = 1 + (int)(bits >> 14 & 0x3fff);
  } else {
    *width = le16 (data + 26) & 0x3fff;
    *height = le16 (data + 28) & 0x3fff;
  }
  return TRUE;
}

/*
 * model_sniff_picture:
 * @whole: (out): whether its end is there
 *
 * Returns: (nullable): "png", "jpg" or "webp"; %NULL: it is none of them, or has no size
 */
const char *
model_sniff_picture (GBytes *bytes, int *width, int *height, gboolean *whole)
{
  View view = view_of (bytes);
  const char *type = NULL;

  *width = *height = 0;
  *whole = FALSE;
  if (starts_with (view, 0, "\x89PNG\r\n\x1a\n", 8) && read_png (view, width, height, whole))
    type = "png";
  else if (starts_with (view, 0, "\xff\xd8\xff", 3) && read_jpeg (view, width, height, whole))
    type = "jpg";
  else if (starts_with (view, 0, "RIFF", 4) && starts_with (view, 8, "WEBP", 4) &&
           read_webp (view, width, height, whole))
    type = "webp";
  return *width > 0 && *height > 0 ? type : NULL;
}

/* ── Sound ──────────────────────────────────────────────────────────────── */

static gboolean
read_wav (View view, double *duration, gboolean *whole)
{
  gsize position = 12;
  guint32 rate = 0, frame = 1;

  while (view.size - position >= 8) {
    const guint8 *chunk = view.data + position;
    gsize length = le32 (chunk + 4), left = view.size - position - 8;

    if (memcmp (chunk, "fmt ", 4) == 0 && length >= 16 && left >= 16) {
      rate = le32 (chunk + 16);
      frame = MAX (le16 (chunk + 20), 1);
    } else if (memcmp (chunk, "data", 4) == 0) {
      /* A server that streams does not know the length: 0 or the largest number, where the sound goes to the end. */
      gboolean unknown = length == 0 || length >= 0x7fffff00;

      *whole = unknown ? left % frame == 0 && left > 0 : length <= left;
      *duration = rate > 0 ? (double)MIN (unknown ? left : length, left) / rate : 0;
      return rate > 0;
    }
    if (length > left)
      break;
    position += 8 + length + (length & 1);
    if (position > view.size)
      break;
  }
  return FALSE;
}

static void
put_le32 (guint8 *p, guint32 value)
{
  for (guint i = 0; i < 4; i++)
    p[i] = value >> (8 * i);
}

/*
 * model_mend_wav:
 * @bytes: of a file of any kind
 *
 * Returns: (transfer full): the same; a WAV file whose header does not know how long the sound is has been told
 */
GBytes *
model_mend_wav (GBytes *bytes)
{
  View view = view_of (bytes);
  gsize position = 12;

  if (!starts_with (view, 0, "RIFF", 4) || !starts_with (view, 8, "WAVE", 4) || view.size > G_MAXINT32)
    return g_bytes_ref (bytes);
  while (view.size - position >= 8) {
    gsize length = le32 (view.data + position + 4), left = view.size - position - 8;
    guint8 *mended;

    if (memcmp (view.data + position, "data", 4) != 0) {
      if (length > left)
        break;
      position += MIN (8 + length + (length & 1), view.size - position);
      continue;
    }
    if (length != 0 && length < 0x7fffff00)
      break;
    mended = g_memdup2 (view.data, view.size);
    put_le32 (mended + 4, view.size - 8);
    put_le32 (mended + position + 4, left);
    return g_bytes_new_take (mended, view.size);
  }
  return g_bytes_ref (bytes);
}

/*
 * model_wav_new:
 * @samples: of one channel
 *
 * Returns: (transfer full) (nullable): a file; %NULL: it would have no sound, or no sensible rate
 */
GBytes *
model_wav_new (const gint16 *samples, gsize n_samples, double rate)
{
  static const guint8 head[44] = "RIFF\0\0\0\0WAVEfmt \20\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0\2\0\20\0data";
  guint8 *file;

  if (n_samples == 0 || n_samples > G_MAXINT32 / 4 || !(rate >= 1000 && rate <= 384000))
    return NULL;
  file = g_malloc (sizeof head + 2 * n_samples);
  memcpy (file, head, sizeof head);
  put_le32 (file + 4, 36 + 2 * n_samples);
  put_le32 (file + 24, rate);
  put_le32 (file + 28, 2 * rate);
  put_le32 (file + 40, 2 * n_samples);
  for (gsize i = 0; i < n_samples; i++) {
    file[44 + 2 * i] = (guint16)samples[i] & 0xff;
    file[45 + 2 * i] = (guint16)samples[i] >> 8;
  }
  return g_bytes_new_take (file, sizeof head + 2 * n_samples);
}

/* MPEG audio: the length of a frame and of its sound, from its four bytes. */
static gsize
mpeg_frame (const guint8 *p, double *seconds)
{
  static const guint16 rates[3] = {44100, 48000, 32000};
  static const guint16 bitrates[2][16] = {
      {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},
      {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},
  };
  guint version = p[1] >> 3 & 3, layer = p[1] >> 1 & 3, bitrate = p[2] >> 4, rate = p[2] >> 2 & 3;
  guint hz, samples;

  if (p[0] != 0xff || (p[1] & 0xe0) != 0xe0 || version == 1 || layer != 1 || rate == 3)
    return 0;
  hz = rates[rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
  samples = version == 3 ? 1152 : 576;
  if (bitrates[version != 3][bitrate] == 0)
    return 0;
  *seconds = (double)samples / hz;
  return samples / 8 * bitrates[version != 3][bitrate] * 1000 / hz + (p[2] >> 1 & 1);
}

static gboolean
read_mp3 (View view, double *duration, gboolean *whole)
{
  gsize position = 0;
  guint frames = 0;

  if (starts_with (view, 0, "ID3", 3) && view.size > 10)
    position = 10 + ((gsize)(view.data[6] & 0x7f) << 21 | (gsize)(view.data[7] & 0x7f) << 14 |
                     (gsize)(view.data[8] & 0x7f) << 7 | (view.data[9] & 0x7f));
  *duration = 0;
  *whole = FALSE;
  while (position + 4 <= view.size) {
    double seconds = 0;
    gsize length = mpeg_frame (view.data + position, &seconds);

    if (length == 0)
      break;
    if (length > view.size - position)
      return frames > 0;
    position += length;
    *duration += seconds;
    frames++;
  }
  *whole = frames > 0 && (position == view.size || starts_with (view, position, "TAG", 3) || view.size - position < 4 ||
                          view.data[position] == 0);
  return frames > 0;
}

static gboolean
read_ogg (View view, double *duration, gboolean *whole)
{
  gsize position = 0;
  guint64 granule = 0, skip = 0;
  double rate = 0;

  *whole = FALSE;
  while (view.size - position >= 27 && memcmp (view.data + position, "OggS", 4) == 0) {
    const guint8 *page = view.data + position;
    gsize n = page[26], length = 27 + n;
    guint64 at = (guint64)le32 (page + 10) << 32 | le32 (page + 6);

    if (view.size - position < length)
      break;
    for (gsize i = 0; i < n; i++)
      length += page[27 + i];
    if (view.size - position < length)
      break;
    if (rate == 0 && starts_with (view, position + 27 + n, "OpusHead", 8) && length >= 27 + n + 12) {
      rate = 48000;
      skip = le16 (page + 27 + n + 10);
    } else if (rate == 0 && starts_with (view, position + 27 + n, "\x01vorbis", 7) && length >= 27 + n + 16) {
      rate = le32 (page + 27 + n + 12);
    }
    if (at != G_MAXUINT64)
      granule = at;
    *whole = (page[5] & 4) != 0;
    position += length;
  }
  *whole = *whole && position == view.size;
  *duration = rate > 0 && granule > skip ? (double)(granule - skip) / rate : 0;
  return rate > 0;
}

static gboolean
read_flac (View view, double *duration, gboolean *whole)
{
  guint32 rate;
  guint64 samples;

  if (view.size < 42)
    return FALSE;
  rate = be32 (view.data + 18) >> 12;
  samples = (guint64)(view.data[21] & 0xf) << 32 | be32 (view.data + 22);
  *duration = rate > 0 ? (double)samples / rate : 0;
  /* Its frames do not tell their length: the decoder that takes the file next sees what is missing. */
  *whole = rate > 0 && view.size > 42;
  return rate > 0;
}

/*
 * model_sniff_audio:
 * @duration: (out): in s; 0: it is not told
 * @whole: (out): whether its last frame is there
 *
 * Returns: (nullable): "wav", "mp3", "ogg" or "flac"
 */
const char *
model_sniff_audio (GBytes *bytes, double *duration, gboolean *whole)
{
  View view = view_of (bytes);

  *duration = 0;
  *whole = FALSE;
  if (starts_with (view, 0, "RIFF", 4) && starts_with (view, 8, "WAVE", 4))
    return read_wav (view, duration, whole) ? "wav" : NULL;
  if (starts_with (view, 0, "OggS", 4))
    return read_ogg (view, duration, whole) ? "ogg" : NULL;
  if (starts_with (view, 0, "fLaC", 4))
    return read_flac (view, duration, whole) ? "flac" : NULL;
  if (view.size > 4 && (starts_with (view, 0, "ID3", 3) || view.data[0] == 0xff))
    return read_mp3 (view, duration, whole) ? "mp3" : NULL;
  return NULL;
}

/*
 * model_wav_duration:
 *
 * Returns: of the sound in a file that the media worker wrote, in s; 0: it is no such file
 */
double
model_wav_duration (const char *path)
{
  guint8 head[44];
  FILE *file = fopen (path, "re");
  gsize got = file ? fread (head, 1, sizeof head, file) : 0;
  long size = 0;

  if (file && fseek (file, 0, SEEK_END) == 0)
    size = ftell (file);
  if (file)
    fclose (file);
  if (got < sizeof head || memcmp (head, "RIFF", 4) != 0 || memcmp (head + 8, "WAVE", 4) != 0 || le32 (head + 28) == 0)
    return 0;
  return (double)(size - (long)sizeof head) / le32 (head + 28);
}

/* Returns: in bytes; -1: there is none */
goffset
model_file_size (const char *path)
{
  struct stat status;

  return stat (path, &status) == 0 && S_ISREG (status.st_mode) ? status.st_size : -1;
}

/* Returns: what a body seems to be, for messages */
const char *
model_response_describe (ModelResponse *response)
{
  View view = view_of (response->body);

  while (view.size > 0 && g_ascii_isspace (view.data[0])) {
    view.data++;
    view.size--;
  }
  if (view.size == 0)
    return "empty";
  if (view.data[0] == '<')
    return "text/html";
  if (view.data[0] == '{' || view.data[0] == '[')
    return "application/json";
  return "unknown";
}
