/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <gst/base/gstbasesrc.h>

/*
 * The worker gets its input as an open file. `filesrc location=/proc/self/fd/N` opens the file once more, by a path that a
 * sandbox refuses, and `fdsrc` shares the file's offset with whoever else holds the descriptor and cannot be pulled from.
 * This source reads by pread(): demuxers may pull, nothing is opened, and the offset of the descriptor does not move.
 */

#define DERUSH_TYPE_FD_SOURCE (derush_fd_source_get_type ())
G_DECLARE_FINAL_TYPE (DerushFdSource, derush_fd_source, DERUSH, FD_SOURCE, GstBaseSrc)

struct _DerushFdSource {
  GstBaseSrc parent;
  int fd;
  guint64 end; /* what lies behind it is not shown to anybody; 0: unknown */
  guint64 overlay_offset;
  gsize overlay_length;
  guint8 overlay[8];
  guint64 bytes_read; /* atomic by GST_OBJECT_LOCK: the watchdog reads it from another thread */
};

G_DEFINE_TYPE (DerushFdSource, derush_fd_source, GST_TYPE_BASE_SRC)

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

static gboolean
derush_fd_source_get_size (GstBaseSrc *base, guint64 *size)
{
  DerushFdSource *self = DERUSH_FD_SOURCE (base);
  struct stat status;

  if (fstat (self->fd, &status) < 0 || !S_ISREG (status.st_mode))
    return FALSE;
  *size = (guint64)status.st_size;
  if (self->end > 0)
    *size = MIN (*size, self->end);
  return TRUE;
}

static gboolean
derush_fd_source_is_seekable (GstBaseSrc *base)
{
  return TRUE;
}

/* Puts the overlay over what was read of the file. */
static void
lay_over (DerushFdSource *self, guint64 offset, guint8 *data, gsize length)
{
  for (gsize i = 0; i < self->overlay_length; i++) {
    guint64 position = self->overlay_offset + i;

    if (position >= offset && position < offset + length)
      data[position - offset] = self->overlay[i];
  }
}

static GstFlowReturn
derush_fd_source_fill (GstBaseSrc *base, guint64 offset, guint length, GstBuffer *buffer)
{
  DerushFdSource *self = DERUSH_FD_SOURCE (base);
  GstMapInfo map;
  gsize done = 0;

  if (!gst_buffer_map (buffer, &map, GST_MAP_WRITE))
    return GST_FLOW_ERROR;
  while (done < length) {
    gssize n = pread (self->fd, map.data + done, length - done, offset + done);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      GST_ELEMENT_ERROR (self, RESOURCE, READ, (NULL), ("pread: %s", g_strerror (errno)));
      gst_buffer_unmap (buffer, &map);
      return GST_FLOW_ERROR;
    }
    if (n == 0)
      break;
    done += n;
  }
  lay_over (self, offset, map.data, done);
  gst_buffer_unmap (buffer, &map);
  if (done == 0 && length > 0)
    return GST_FLOW_EOS;
  gst_buffer_resize (buffer, 0, done);
  GST_BUFFER_OFFSET (buffer) = offset;
  GST_BUFFER_OFFSET_END (buffer) = offset + done;
  GST_OBJECT_LOCK (self);
  self->bytes_read += done;
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

static gboolean
derush_fd_source_query (GstBaseSrc *base, GstQuery *query)
{
  /* Stream ids are made from the source's URI; a fixed one makes them equal from the probe to every later step. */
  if (GST_QUERY_TYPE (query) == GST_QUERY_URI) {
    gst_query_set_uri (query, "fd://source");
    return TRUE;
  }
  return GST_BASE_SRC_CLASS (derush_fd_source_parent_class)->query (base, query);
}

static void
derush_fd_source_class_init (DerushFdSourceClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSrcClass *base_class = GST_BASE_SRC_CLASS (klass);

  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "File descriptor source", "Source/File",
                                         "Reads an open file from any position", "Derush");
  base_class->get_size = derush_fd_source_get_size;
  base_class->is_seekable = derush_fd_source_is_seekable;
  base_class->fill = derush_fd_source_fill;
  base_class->query = derush_fd_source_query;
}

static void
derush_fd_source_init (DerushFdSource *self)
{
  self->fd = -1;
  gst_base_src_set_blocksize (GST_BASE_SRC (self), 64 * 1024);
}

GstElement *
derush_fd_source_new (const char *name, int fd)
{
  DerushFdSource *self = g_object_new (DERUSH_TYPE_FD_SOURCE, "name", name, NULL);
  guint64 size;

  self->fd = fd;
  if (derush_fd_source_get_size (GST_BASE_SRC (self), &size))
    self->end = derush_wav_end (fd, size);
  return GST_ELEMENT (self);
}

void
derush_fd_source_set_overlay (GstElement *source, guint64 offset, const guint8 *bytes, gsize length)
{
  DerushFdSource *self = DERUSH_FD_SOURCE (source);

  g_return_if_fail (length <= sizeof self->overlay);
  self->overlay_offset = offset;
  self->overlay_length = length;
  memcpy (self->overlay, bytes, length);
}

guint64
derush_fd_source_get_bytes_read (GstElement *source)
{
  DerushFdSource *self = DERUSH_FD_SOURCE (source);
  guint64 bytes;

  GST_OBJECT_LOCK (self);
  bytes = self->bytes_read;
  GST_OBJECT_UNLOCK (self);
  return bytes;
}
