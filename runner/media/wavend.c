/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * wavparse 1.22 looks for more chunks behind the samples of a WAV file, and plays nothing at all where the last of them is
 * not whole. It also takes no notice of the byte that fills up an odd number of bytes of samples, as half of all files of
 * one channel of 8 or 24 bits have them: it misses every chunk behind it, or its own end.
 */

#include "media-private.h"

#include <string.h>
#include <unistd.h>

#define CHUNK_HEAD 8
#define MAX_CHUNKS 1000

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
