/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The crop path file, used by the element and by the media worker:
 *
 *   {"version":1,"source":{"width":1280,"height":720},"keyframes":[{"time":0,"x":437.5,"y":0,"width":405,"height":720}]}
 *
 * Times are stream time of the source in seconds, the rest is in source pixels. Linear in between; of two key frames
 * at one time, the second holds from then on. A key frame may carry a mode; `crop` is the one that is known.
 */
#include "config.h"

#include "camerafile.h"

#include <gio/gio.h>
#include <glib/gi18n-lib.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define VERSION 1
#define LARGEST_FILE (64 * 1024 * 1024)
/* The format needs four. */
#define MAX_DEPTH 16

static gboolean
depth_is_bounded (const char *text, gsize length)
{
  gboolean quoted = FALSE;
  guint depth = 0;

  for (gsize i = 0; i < length; i++) {
    char c = text[i];

    if (quoted) {
      if (c == '\\')
        i++;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = TRUE;
    } else if (c == '[' || c == '{') {
      if (++depth > MAX_DEPTH)
        return FALSE;
    } else if (depth > 0 && (c == ']' || c == '}')) {
      depth--;
    }
  }
  return TRUE;
}

static gboolean
get_number (JsonObject *object, const char *name, double *value)
{
  JsonNode *node = object ? json_object_get_member (object, name) : NULL;
  GType type = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;

  if (type != G_TYPE_INT64 && type != G_TYPE_DOUBLE)
    return FALSE;
  *value = json_node_get_double (node);
  return isfinite (*value);
}

static JsonObject *
get_object (JsonNode *node)
{
  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static gboolean
read_key (JsonNode *node, guint index, double after, DerushCameraKey *key, GError **error)
{
  JsonObject *object = get_object (node);
  JsonNode *mode = object ? json_object_get_member (object, "mode") : NULL;
  const char *name = mode && JSON_NODE_HOLDS_VALUE (mode) && json_node_get_value_type (mode) == G_TYPE_STRING
                         ? json_node_get_string (mode)
                         : NULL;

  if (!get_number (object, "time", &key->time) || !get_number (object, "x", &key->x) ||
      !get_number (object, "y", &key->y) || !get_number (object, "width", &key->width) ||
      !get_number (object, "height", &key->height) || key->width <= 0 || key->height <= 0 ||
      MAX (MAX (fabs (key->x), fabs (key->y)), MAX (key->width, key->height)) > 1e6) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                 _ ("Key frame %u of the crop path needs the numbers time, x, y, width and height."), index);
    return FALSE;
  }
  if (key->time < after) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                 _ ("Key frame %u of the crop path is earlier than the one before it."), index);
    return FALSE;
  }
  if (mode && g_strcmp0 (name, "crop") != 0) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _ ("Key frame %u of the crop path has an unknown mode."),
                 index);
    return FALSE;
  }
  return TRUE;
}

/*
 * Returns: (transfer full) (element-type DerushCameraKey): one key or more, in the order of time; @source_width and
 * @source_height are 0 if the file does not say them
 */
GArray *
camera_file_parse (const char *text, gssize length, guint *source_width, guint *source_height, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GArray) keys = g_array_new (FALSE, FALSE, sizeof (DerushCameraKey));
  g_autoptr (GError) failure = NULL;
  JsonObject *root, *source;
  JsonNode *list;
  JsonArray *items;
  double version, width = 0, height = 0, after = -G_MAXDOUBLE;

  if (length < 0)
    length = (gssize)strlen (text);
  if (!depth_is_bounded (text, (gsize)length) || !json_parser_load_from_data (parser, text, length, &failure)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _ ("The crop path is no JSON: %s"),
                 failure ? failure->message : _ ("it is nested too deeply"));
    return NULL;
  }
  root = get_object (json_parser_get_root (parser));
  if (!get_number (root, "version", &version) || version != VERSION) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _ ("The crop path has no version 1."));
    return NULL;
  }
  source = get_object (json_object_get_member (root, "source"));
  if (source && (!get_number (source, "width", &width) || !get_number (source, "height", &height) || width < 1 ||
                 height < 1 || MAX (width, height) > G_MAXUINT16)) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                         _ ("The crop path's source needs a width and a height in pixels."));
    return NULL;
  }
  list = json_object_get_member (root, "keyframes");
  items = list && JSON_NODE_HOLDS_ARRAY (list) ? json_node_get_array (list) : NULL;
  if (!items || json_array_get_length (items) == 0) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _ ("The crop path has no key frames."));
    return NULL;
  }
  for (guint i = 0; i < json_array_get_length (items); i++) {
    DerushCameraKey key;

    if (!read_key (json_array_get_element (items, i), i, after, &key, error))
      return NULL;
    after = key.time;
    g_array_append_val (keys, key);
  }
  *source_width = (guint)width;
  *source_height = (guint)height;
  return g_steal_pointer (&keys);
}

GArray *
camera_file_read (const char *path, guint *source_width, guint *source_height, GError **error)
{
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, error);

  if (!file)
    return NULL;
  if (g_mapped_file_get_length (file) == 0 || g_mapped_file_get_length (file) > LARGEST_FILE) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _ ("The crop path is empty or too large: %s"), path);
    return NULL;
  }
  return camera_file_parse (g_mapped_file_get_contents (file), (gssize)g_mapped_file_get_length (file), source_width,
                            source_height, error);
}

static void
append_number (GString *text, const char *name, double value, const char *format)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  char *end;

  g_ascii_formatd (number, sizeof (number), format, value);
  end = number + strlen (number);
  while (end[-1] == '0')
    *--end = '\0';
  if (end[-1] == '.')
    *--end = '\0';
  g_string_append_printf (text, "\"%s\": %s", name, strcmp (number, "-0") == 0 ? "0" : number);
}

/* Returns: (transfer full): one key frame a line, to be read and edited by hand. */
char *
camera_file_format (const DerushCameraKey *keys, gsize n_keys, guint source_width, guint source_height)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text,
                          "{\n  \"version\": %d,\n  \"source\": {\"width\": %u, \"height\": %u},\n  \"keyframes\": [",
                          VERSION, source_width, source_height);
  for (gsize i = 0; i < n_keys; i++) {
    g_string_append (text, i > 0 ? ",\n    {" : "\n    {");
    append_number (text, "time", keys[i].time, "%.3f");
    g_string_append (text, ", ");
    append_number (text, "x", keys[i].x, "%.2f");
    g_string_append (text, ", ");
    append_number (text, "y", keys[i].y, "%.2f");
    g_string_append (text, ", ");
    append_number (text, "width", keys[i].width, "%.2f");
    g_string_append (text, ", ");
    append_number (text, "height", keys[i].height, "%.2f");
    g_string_append (text, "}");
  }
  g_string_append (text, "\n  ]\n}\n");
  return g_string_free (text, FALSE);
}

gboolean
camera_file_write (const char *path, const DerushCameraKey *keys, gsize n_keys, guint source_width, guint source_height,
                   GError **error)
{
  g_autofree char *text = camera_file_format (keys, n_keys, source_width, source_height);

  return g_file_set_contents (path, text, -1, error);
}
