/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Where files end, and where they should.
 *
 * wavparse 1.22 looks for more chunks behind the samples of a WAV file, and plays nothing at all where the last of them is
 * not whole. It also takes no notice of the byte that fills up an odd number of bytes of samples, as half of all files of
 * one channel of 8 or 24 bits have them: it misses every chunk behind it, or its own end.
 */

#include "media-private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_HEAD 8
#define MAX_CHUNKS 1000
/* Writers that cannot go back say that there is more than ever comes. */
#define STREAMED 0x7fff0000u

static guint32
le32 (const guint8 *at)
{
  return (guint32)at[0] | (guint32)at[1] << 8 | (guint32)at[2] << 16 | (guint32)at[3] << 24;
}

static gboolean
read_at (int fd, guint64 offset, guint8 *data, gsize length)
{
  return pread (fd, data, length, (off_t)offset) == (gssize)length;
}

/**
 * derush_wav_end:
 * @fd: any file
 * @size: its size
 *
 * Returns: @size, or of a WAV file whose chunks behind the samples cannot be followed, the end of the samples
 */
guint64
derush_wav_end (int fd, guint64 size)
{
  guint8 head[12];
  guint64 at = sizeof head, end = 0;

  if (!read_at (fd, 0, head, sizeof head) || memcmp (head, "RIFF", 4) != 0 || memcmp (head + 8, "WAVE", 4) != 0)
    return size;
  for (guint i = 0; i < MAX_CHUNKS && at < size; i++) {
    guint32 length;

    if (!read_at (fd, at, head, CHUNK_HEAD))
      return end ? end : size;
    length = le32 (head + 4);
    at += CHUNK_HEAD + (guint64)length + (length & 1);
    if (end && at > size)
      return end;
    /* Written as a stream: it goes to the end of the file. */
    if (!end && memcmp (head, "data", 4) == 0 && length == 0)
      return size;
    if (!end && memcmp (head, "data", 4) == 0) {
      end = at - (length & 1);
      if (end >= size)
        return size;
      if (length & 1)
        return end;
    }
  }
  return size;
}

static guint64
be (const guint8 *at, gsize n)
{
  guint64 value = 0;

  for (gsize i = 0; i < n; i++)
    value = value << 8 | at[i];
  return value;
}

/* The end of the last box of an MP4 file. */
static guint64
mp4_end (int fd, guint64 size)
{
  guint64 at = 0;

  for (guint i = 0; i < MAX_CHUNKS && at < size; i++) {
    guint8 head[16];
    guint64 length;

    if (!read_at (fd, at, head, CHUNK_HEAD))
      return 0;
    length = be (head, 4);
    if (length == 1 && read_at (fd, at, head, sizeof head))
      length = be (head + 8, 8);
    if (length < CHUNK_HEAD || length > G_MAXINT64 - at)
      return 0;
    at += length;
  }
  return at;
}

/* The end of a Matroska segment, which directly follows the head of the file. */
static guint64
matroska_end (int fd)
{
  guint8 head[64];
  guint64 at = 4;

  if (!read_at (fd, 0, head, sizeof head))
    return 0;
  for (guint i = 0; i < 2; i++) {
    guint n = 1;
    guint64 length;

    while (n < 8 && !(head[at] & 0x80 >> (n - 1)))
      n++;
    length = be (head + at, n) & ((G_GUINT64_CONSTANT (1) << (7 * n)) - 1);
    if (length == (G_GUINT64_CONSTANT (1) << (7 * n)) - 1)
      return 0;
    at += n;
    if (i == 1)
      return at + length;
    at += length;
    if (at + 12 > sizeof head || be (head + at, 4) != 0x18538067)
      return 0;
    at += 4;
  }
  return 0;
}

/**
 * derush_file_missing:
 * @fd: a film or a sound
 *
 * Returns: how many bytes less the file has than its own head says: what was not copied to its end; 0 where that is not known
 */
guint64
derush_file_missing (int fd)
{
  struct stat status;
  guint64 size = fstat (fd, &status) == 0 && S_ISREG (status.st_mode) ? (guint64)status.st_size : 0, end = 0;
  guint8 head[12];

  if (size < sizeof head || !read_at (fd, 0, head, sizeof head))
    return 0;
  if (memcmp (head + 4, "ftyp", 4) == 0)
    end = mp4_end (fd, size);
  else if (memcmp (head, "RIFF", 4) == 0 && le32 (head + 4) < STREAMED)
    end = CHUNK_HEAD + (guint64)le32 (head + 4);
  else if (be (head, 4) == 0x1a45dfa3)
    end = matroska_end (fd);
  /* A byte that fills up is often forgotten. */
  return end > size + 1 ? end - size : 0;
}
