/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* multipart/form-data, read without a copy of its files. */

#include "localmodels-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_FIELDS 64
#define MAX_FIELD_HEADERS 8192

static void
field_free (gpointer data)
{
  LocalField *field = data;

  g_free (field->name);
  g_free (field->file_name);
  g_free (field->type);
  g_clear_pointer (&field->contents, g_bytes_unref);
  g_free (field);
}

static void
read_headers (LocalField *field, const char *text, gsize length)
{
  g_autofree char *copy = g_strndup (text, length), *valid = g_utf8_make_valid (copy, -1);
  g_auto (GStrv) lines = g_strsplit (valid, "\r\n", -1);

  for (guint i = 0; lines[i]; i++) {
    char *value = strchr (lines[i], ':');

    if (!value)
      continue;
    *value++ = '\0';
    while (*value == ' ' || *value == '\t')
      value++;
    if (g_ascii_strcasecmp (lines[i], "Content-Type") == 0) {
      g_free (field->type);
      field->type = g_strdup (value);
    } else if (g_ascii_strcasecmp (lines[i], "Content-Disposition") == 0) {
      const char *rest = strchr (value, ';');
      g_autoptr (GHashTable) parameters = rest ? soup_header_parse_semi_param_list (rest + 1) : NULL;

      if (!parameters)
        continue;
      g_free (field->name);
      g_free (field->file_name);
      field->name = g_strdup (g_hash_table_lookup (parameters, "name"));
      field->file_name = g_strdup (g_hash_table_lookup (parameters, "filename"));
    }
  }
}

/**
 * local_form_parse:
 * @body: of the request
 * @content_type: of the request, with its boundary
 *
 * Returns: (nullable) (element-type LocalField): the fields in their order
 */
GPtrArray *
local_form_parse (GBytes *body, const char *content_type, GError **error)
{
  g_autoptr (GPtrArray) fields = g_ptr_array_new_with_free_func (field_free);
  g_autoptr (GHashTable) parameters = NULL;
  g_autofree char *delimiter = NULL;
  gsize length, size;
  const char *data = g_bytes_get_data (body, &length), *end = data + length, *at, *rest;

  rest = content_type ? strchr (content_type, ';') : NULL;
  if (rest && g_ascii_strncasecmp (content_type, "multipart/form-data", 19) == 0)
    parameters = soup_header_parse_param_list (rest + 1);
  if (parameters && g_hash_table_lookup (parameters, "boundary"))
    delimiter = g_strconcat ("\r\n--", g_hash_table_lookup (parameters, "boundary"), NULL);
  if (parameters)
    soup_header_free_param_list (g_steal_pointer (&parameters));
  if (!delimiter) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_request", NULL,
                     _ ("The body must be multipart/form-data with a boundary"));
    return NULL;
  }
  size = strlen (delimiter);
  /* The first one has no line before it. */
  at = length >= size - 2 && memcmp (data, delimiter + 2, size - 2) == 0 ? data + size - 2 : NULL;
  while (at) {
    const char *headers, *contents, *next;
    LocalField *field;

    if (end - at >= 2 && memcmp (at, "--", 2) == 0)
      return g_steal_pointer (&fields);
    headers = memmem (at, (gsize)(end - at), "\r\n", 2);
    contents = headers ? memmem (headers, MIN ((gsize)(end - headers), MAX_FIELD_HEADERS), "\r\n\r\n", 4) : NULL;
    next = contents ? memmem (contents + 2, (gsize)(end - contents - 2), delimiter, size) : NULL;
    if (!next || fields->len >= MAX_FIELDS)
      break;
    field = g_new0 (LocalField, 1);
    g_ptr_array_add (fields, field);
    read_headers (field, headers + 2, (gsize)MAX (contents - headers - 2, 0));
    contents += 4;
    field->contents =
        g_bytes_new_from_bytes (body, (gsize)(contents - data), next > contents ? (gsize)(next - contents) : 0);
    at = next + size;
  }
  local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_request", NULL,
                   _ ("The parts of the form are broken or end too early"));
  return NULL;
}

const LocalField *
local_form_find (GPtrArray *fields, const char *name)
{
  for (guint i = 0; i < fields->len; i++) {
    LocalField *field = g_ptr_array_index (fields, i);

    if (g_strcmp0 (field->name, name) == 0)
      return field;
  }
  return NULL;
}
