/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/transport-private.h"
#include "models/models.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <glib/gi18n-lib.h>

/* A piece of the form: bytes, or a whole file. */
typedef struct {
  GBytes *bytes;
  int fd;
  goffset length;
} Piece;

typedef struct {
  GInputStream parent;
  GArray *pieces; /* of Piece */
  guint current;
  goffset position; /* in the current piece */
} ModelForm;

typedef struct {
  GInputStreamClass parent_class;
} ModelFormClass;

GType model_form_get_type (void);

G_DEFINE_TYPE (ModelForm, model_form, G_TYPE_INPUT_STREAM)

static gssize
read_piece (const Piece *piece, goffset position, void *buffer, gsize count, GError **error)
{
  gssize got;

  if (piece->bytes) {
    memcpy (buffer, (const char *)g_bytes_get_data (piece->bytes, NULL) + position, count);
    return count;
  }
  do {
    got = pread (piece->fd, buffer, count, position);
  } while (got < 0 && errno == EINTR);
  if (got < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s", g_strerror (errno));
  else if (got == 0)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _ ("The file became shorter while it was sent"));
  return got > 0 ? got : -1;
}

static gssize
model_form_read (GInputStream *stream, void *buffer, gsize count, GCancellable *cancellable, GError **error)
{
  ModelForm *self = (ModelForm *)stream;

  while (self->current < self->pieces->len) {
    const Piece *piece = &g_array_index (self->pieces, Piece, self->current);
    goffset left = piece->length - self->position;
    gssize got;

    if (left == 0) {
      self->current++;
      self->position = 0;
      continue;
    }
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return -1;
    got = read_piece (piece, self->position, buffer, MIN ((goffset)count, left), error);
    if (got > 0)
      self->position += got;
    return got;
  }
  return 0;
}

static void
piece_clear (gpointer data)
{
  Piece *piece = data;

  g_clear_pointer (&piece->bytes, g_bytes_unref);
  if (piece->fd >= 0)
    close (piece->fd);
}

static void
model_form_finalize (GObject *object)
{
  g_array_unref (((ModelForm *)object)->pieces);
  G_OBJECT_CLASS (model_form_parent_class)->finalize (object);
}

static void
model_form_class_init (ModelFormClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = model_form_finalize;
  G_INPUT_STREAM_CLASS (klass)->read_fn = model_form_read;
}

static void
model_form_init (ModelForm *self)
{
  self->pieces = g_array_new (FALSE, TRUE, sizeof (Piece));
  g_array_set_clear_func (self->pieces, piece_clear);
}

static void
add_text (ModelForm *self, char *text)
{
  Piece piece = {.fd = -1, .length = strlen (text)};

  piece.bytes = g_bytes_new_take (text, piece.length);
  g_array_append_val (self->pieces, piece);
}

static gboolean
add_file (ModelForm *self, const char *path, GError **error)
{
  Piece piece = {.fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY)};
  struct stat status;

  if (piece.fd < 0 || fstat (piece.fd, &status) != 0 || !S_ISREG (status.st_mode)) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” cannot be sent to a model: %s"), path,
                 piece.fd < 0 ? g_strerror (errno) : _ ("it is no file"));
    if (piece.fd >= 0)
      close (piece.fd);
    return FALSE;
  }
  piece.length = status.st_size;
  g_array_append_val (self->pieces, piece);
  return TRUE;
}

/* RFC 7578 with the escapes of browsers, which every server reads. */
char *
model_form_quote (const char *text)
{
  GString *quoted = g_string_new (NULL);

  for (const char *p = text; *p; p++) {
    if (*p == '"')
      g_string_append (quoted, "%22");
    else if (*p == '\r')
      g_string_append (quoted, "%0D");
    else if (*p == '\n')
      g_string_append (quoted, "%0A");
    else
      g_string_append_c (quoted, *p);
  }
  return g_string_free (quoted, FALSE);
}

static char *
head_of (const ModelPart *part, const char *boundary)
{
  g_autofree char *name = model_form_quote (part->name);
  g_autofree char *file_name = part->file_name ? model_form_quote (part->file_name) : NULL;
  GString *head = g_string_new (NULL);

  g_string_append_printf (head, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, name);
  if (file_name)
    g_string_append_printf (head, "; filename=\"%s\"\r\nContent-Type: %s", file_name, part->content_type);
  g_string_append (head, "\r\n\r\n");
  if (part->value)
    g_string_append (head, part->value);
  return g_string_free (head, FALSE);
}

/*
 * model_form_new:
 * @parts: (element-type ModelPart): what it consists of
 * @boundary: stands between them
 * @length: (out): in bytes
 *
 * Returns: (transfer full) (nullable): the form; of its files only what is just being sent is in memory
 */
GInputStream *
model_form_new (GPtrArray *parts, const char *boundary, goffset *length, GError **error)
{
  g_autoptr (GInputStream) stream = g_object_new (model_form_get_type (), NULL);
  ModelForm *self = (ModelForm *)stream;

  for (guint i = 0; i < parts->len; i++) {
    const ModelPart *part = parts->pdata[i];

    add_text (self, head_of (part, boundary));
    if (part->path && !add_file (self, part->path, error))
      return NULL;
    add_text (self, g_strdup ("\r\n"));
  }
  add_text (self, g_strdup_printf ("--%s--\r\n", boundary));
  *length = 0;
  for (guint i = 0; i < self->pieces->len; i++)
    *length += g_array_index (self->pieces, Piece, i).length;
  return g_steal_pointer (&stream);
}
