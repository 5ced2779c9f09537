/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp4edits-private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A film that was cut without being encoded anew (by a phone, or by `ffmpeg -ss … -c copy`) begins, by its edit list, in
 * the middle of its first group of pictures. qtdemux 1.22 compares the times of the samples, which count from the begin
 * of the media, with the end of the movie, which counts from the cut: every stream then ends too early by what the edit
 * list skips. With a longer duration in the movie header they all run to their end.
 */

#define MAXIMUM_BOXES 4096
#define MAXIMUM_DEPTH 8
#define MAXIMUM_SHIFT (24 * 3600.0)
/* Times are rounded; in seconds. */
#define SLIVER 0.005

typedef struct {
  int fd;
  guint boxes;
  guint64 duration_offset; /* of mvhd's duration */
  gboolean wide;           /* 64 bit */
  guint32 movie_scale;
  guint64 duration;
  guint32 media_scale; /* of the track being read */
  gint64 media_time;   /* where its first edit begins */
  double shift;        /* the greatest of all tracks, in seconds */
  gboolean sound;      /* whether the track being read is sound */
  gboolean picture;    /* or picture */
  gint64 first_time;   /* of the first sample of that track */
  gboolean cuts_group; /* whether a picture's first edit begins behind its first sample */
  guint64 edit_offset; /* of the first edit that plays something, 0 without one */
  gboolean edit_wide;
  double priming; /* what the edit of sound is to skip, in seconds */
  gboolean patched;
} Reader;

static gboolean
read_at (Reader *reader, guint64 offset, void *data, gsize length)
{
  return pread (reader->fd, data, length, (off_t)offset) == (gssize)length;
}

static guint32
be32 (const guint8 *data)
{
  return (guint32)data[0] << 24 | (guint32)data[1] << 16 | (guint32)data[2] << 8 | data[3];
}

static guint64
be64 (const guint8 *data)
{
  return (guint64)be32 (data) << 32 | be32 (data + 4);
}

static void
read_mvhd (Reader *reader, guint64 offset)
{
  guint8 head[36];

  if (!read_at (reader, offset, head, sizeof head))
    return;
  reader->wide = head[0] == 1;
  reader->movie_scale = be32 (head + (reader->wide ? 20 : 12));
  reader->duration_offset = offset + (reader->wide ? 24 : 16);
  reader->duration = reader->wide ? be64 (head + 24) : be32 (head + 16);
}

static void
read_mdhd (Reader *reader, guint64 offset)
{
  guint8 head[24];

  if (read_at (reader, offset, head, sizeof head))
    reader->media_scale = be32 (head + (head[0] == 1 ? 20 : 12));
}

static void
read_elst (Reader *reader, guint64 offset)
{
  guint8 head[8], entry[20];
  guint64 at = offset + 8;

  if (!read_at (reader, offset, head, sizeof head))
    return;
  for (guint32 i = 0; i < MIN (be32 (head + 4), 16); i++) {
    gboolean wide = head[0] == 1;
    gsize length = wide ? 20 : 12;
    gint64 media_time;

    if (!read_at (reader, at, entry, length))
      return;
    media_time = wide ? (gint64)be64 (entry + 8) : (gint32)be32 (entry + 4);
    /* Below 0 is an empty edit: a pause before the track begins. */
    if (media_time >= 0) {
      reader->media_time = media_time;
      reader->edit_offset = at;
      reader->edit_wide = wide;
      return;
    }
    at += length;
  }
}

static void
read_hdlr (Reader *reader, guint64 offset)
{
  guint8 head[12];
  gboolean read = read_at (reader, offset, head, sizeof head);

  reader->sound = read && memcmp (head + 8, "soun", 4) == 0;
  reader->picture = read && memcmp (head + 8, "vide", 4) == 0;
}

/* The first sample is decoded at 0, and shown by so much later. */
static void
read_ctts (Reader *reader, guint64 offset)
{
  guint8 head[16];

  if (read_at (reader, offset, head, sizeof head) && be32 (head + 4) > 0)
    reader->first_time = (gint32)be32 (head + 12);
}

/* Lets the first edit begin later, and last as much shorter. */
static void
skip_priming (Reader *reader)
{
  const guint64 media = (guint64)(reader->priming * reader->media_scale + 0.5);
  const guint64 movie = (guint64)(reader->priming * reader->movie_scale + 0.5);
  const gsize width = reader->edit_wide ? 8 : 4;
  guint8 entry[16];
  guint64 duration, time;

  if (!read_at (reader, reader->edit_offset, entry, 2 * width))
    return;
  duration = reader->edit_wide ? be64 (entry) : be32 (entry);
  time = reader->edit_wide ? be64 (entry + 8) : be32 (entry + 4);
  if (time != 0 || duration <= movie)
    return;
  duration -= movie;
  for (gsize i = 0; i < width; i++) {
    entry[i] = (guint8)(duration >> (8 * (width - 1 - i)));
    entry[width + i] = (guint8)(media >> (8 * (width - 1 - i)));
  }
  reader->patched = pwrite (reader->fd, entry, 2 * width, (off_t)reader->edit_offset) == (gssize)(2 * width);
}

static void read_boxes (Reader *reader, guint64 offset, guint64 end, guint depth);

static void
read_track (Reader *reader, guint64 offset, guint64 end, guint depth)
{
  double shift;

  reader->media_scale = 0;
  reader->media_time = 0;
  reader->edit_offset = 0;
  reader->sound = reader->picture = FALSE;
  reader->first_time = 0;
  read_boxes (reader, offset, end, depth);
  if (reader->media_scale == 0)
    return;
  if (reader->priming > 0 && reader->sound && reader->edit_offset > 0 && reader->movie_scale > 0)
    skip_priming (reader);
  shift = (double)reader->media_time / reader->media_scale;
  if (reader->picture && (double)(reader->media_time - reader->first_time) > SLIVER * reader->media_scale)
    reader->cuts_group = TRUE;
  if (shift <= MAXIMUM_SHIFT)
    reader->shift = MAX (reader->shift, shift);
}

static void
read_boxes (Reader *reader, guint64 offset, guint64 end, guint depth)
{
  while (offset + 8 <= end && reader->boxes++ < MAXIMUM_BOXES && depth < MAXIMUM_DEPTH) {
    guint8 head[16];
    guint64 size, header = 8;

    if (!read_at (reader, offset, head, 8))
      return;
    size = be32 (head);
    if (size == 1) {
      if (!read_at (reader, offset, head, 16))
        return;
      size = be64 (head + 8);
      header = 16;
    } else if (size == 0) {
      size = end - offset;
    }
    if (size < header || size > end - offset)
      return;
    if (memcmp (head + 4, "moov", 4) == 0 || memcmp (head + 4, "edts", 4) == 0 || memcmp (head + 4, "mdia", 4) == 0 ||
        memcmp (head + 4, "minf", 4) == 0 || memcmp (head + 4, "stbl", 4) == 0)
      read_boxes (reader, offset + header, offset + size, depth + 1);
    else if (memcmp (head + 4, "trak", 4) == 0)
      read_track (reader, offset + header, offset + size, depth + 1);
    else if (memcmp (head + 4, "mvhd", 4) == 0)
      read_mvhd (reader, offset + header);
    else if (memcmp (head + 4, "mdhd", 4) == 0)
      read_mdhd (reader, offset + header);
    else if (memcmp (head + 4, "hdlr", 4) == 0)
      read_hdlr (reader, offset + header);
    else if (memcmp (head + 4, "ctts", 4) == 0)
      read_ctts (reader, offset + header);
    else if (memcmp (head + 4, "elst", 4) == 0)
      read_elst (reader, offset + header);
    offset += size;
  }
}

gboolean
derush_mp4_edits_read (int fd, DerushMp4Edits *edits)
{
  Reader reader = {.fd = fd};
  struct stat status;
  off_t size = fstat (fd, &status) == 0 ? status.st_size : 0;
  guint8 head[8];
  guint64 duration;

  memset (edits, 0, sizeof *edits);
  if (size <= 8 || !read_at (&reader, 0, head, sizeof head) ||
      (memcmp (head + 4, "ftyp", 4) != 0 && memcmp (head + 4, "moov", 4) != 0 && memcmp (head + 4, "mdat", 4) != 0 &&
       memcmp (head + 4, "wide", 4) != 0 && memcmp (head + 4, "free", 4) != 0 && memcmp (head + 4, "skip", 4) != 0))
    return FALSE;
  read_boxes (&reader, 0, (guint64)size, 0);
  if (reader.shift <= 0 || reader.movie_scale == 0 || reader.duration == 0)
    return FALSE;
  duration = reader.duration + (guint64)(reader.shift * reader.movie_scale) + 1;
  edits->shift = reader.shift;
  edits->cuts_group = reader.cuts_group;
  edits->offset = reader.duration_offset;
  edits->length = reader.wide ? 8 : 4;
  if (!reader.wide && duration >= G_MAXUINT32)
    return FALSE;
  for (guint i = 0; i < edits->length; i++)
    edits->bytes[i] = (guint8)(duration >> (8 * (edits->length - 1 - i)));
  return TRUE;
}

gboolean
derush_mp4_edits_skip_priming (int fd, double seconds)
{
  Reader reader = {.fd = fd, .priming = seconds};
  struct stat status;

  if (fstat (fd, &status) != 0)
    return FALSE;
  read_boxes (&reader, 0, (guint64)status.st_size, 0);
  return reader.patched;
}
