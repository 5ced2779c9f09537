/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <string.h>
#include <unistd.h>
#include <glib/gi18n.h>

void
derush_cli_job_free (DerushCliJob *job)
{
  g_free (job->type);
  g_clear_pointer (&job->data, json_object_unref);
  g_free (job->input);
  g_free (job);
}

static gboolean
is_url (const char *input)
{
  g_autofree char *scheme = g_uri_parse_scheme (input);

  return scheme && (strstr (input, "://") || strcmp (scheme, "file") == 0);
}

static JsonNode *
copy_node (JsonNode *node)
{
  JsonNode *copy;

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *object = json_object_new ();
    JsonObjectIter iter;
    const char *name;
    JsonNode *member;

    json_object_iter_init_ordered (&iter, json_node_get_object (node));
    while (json_object_iter_next_ordered (&iter, &name, &member))
      json_object_set_member (object, name, copy_node (member));
    copy = json_node_new (JSON_NODE_OBJECT);
    json_node_take_object (copy, object);
  } else if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *from = json_node_get_array (node), *array = json_array_new ();

    for (guint i = 0; i < json_array_get_length (from); i++)
      json_array_add_element (array, copy_node (json_array_get_element (from, i)));
    copy = json_node_new (JSON_NODE_ARRAY);
    json_node_take_array (copy, array);
  } else {
    copy = json_node_copy (node);
  }
  return copy;
}

/* What the parser gives is immutable; assignments change it. */
static JsonObject *
copy_object (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT), copy = NULL;

  json_node_set_object (node, object);
  copy = copy_node (node);
  return json_node_dup_object (copy);
}

/* By its descriptor: /dev/stdin cannot be opened when it is a socket. */
static gboolean
read_standard_input (char **text, gsize *length, GError **error)
{
  g_autoptr (GIOChannel) channel = g_io_channel_unix_new (STDIN_FILENO);

  return g_io_channel_set_encoding (channel, NULL, error) == G_IO_STATUS_NORMAL &&
         g_io_channel_read_to_end (channel, text, length, error) == G_IO_STATUS_NORMAL;
}

static JsonObject *
read_data (const char *file, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) read_error = NULL;
  g_autoptr (JsonObject) object = NULL;
  gsize length;

  if (!file)
    return json_object_new ();
  if (strcmp (file, "-") == 0 ? !read_standard_input (&text, &length, &read_error)
                              : !g_file_get_contents (file, &text, &length, &read_error)) {
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("the job's data cannot be read: %s"),
                 read_error->message);
    return NULL;
  }
  object = derush_json_parse_object (text, length, &read_error);
  if (!object) {
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("the job's data in %s cannot be used: %s"), file,
                 read_error->message);
    return NULL;
  }
  return copy_object (object);
}

static gboolean
set_path (JsonObject *data, const char *member, const char *path, GError **error)
{
  g_autofree char *absolute = is_url (path) ? g_strdup (path) : g_canonicalize_filename (path, NULL);

  if (!g_utf8_validate (absolute, -1, NULL)) {
    g_autofree char *shown = g_filename_display_name (path);

    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("the name “%s” is not valid UTF-8, which a job's data must be; rename it or make a link to it"),
                 shown);
    return FALSE;
  }
  json_object_set_string_member (data, member, absolute);
  return TRUE;
}

static gboolean
assign (JsonObject *data, const char *type, const char *assignment, GError **error)
{
  const char *sign = strchr (assignment, '=');

  if (!sign || sign == assignment) {
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“-p %s” is not NAME=VALUE, such as -p count=5"),
                 assignment);
    return FALSE;
  }
  if (!g_utf8_validate (assignment, -1, NULL)) {
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("the value of “%.*s” is not valid UTF-8"),
                 (int)(sign - assignment), assignment);
    return FALSE;
  }
  return derush_job_data_set (data, type, assignment, error);
}

/*
 * derush_cli_job_new:
 * @type: as typed: in any case, with hyphens or underscores
 * @input: (nullable): path or URL; %NULL or `-` for none
 * @output_dir: (nullable): where the files go
 * @assignments: (nullable) (array zero-terminated=1): NAME=VALUE
 * @data_file: (nullable): a file with the job's data, `-` for standard input
 * @unknown_type: (out): whether @type was the fault
 *
 * Returns: (nullable): the job; every fault is one of usage
 */
DerushCliJob *
derush_cli_job_new (const char *type, const char *input, const char *output_dir, const char *const *assignments,
                    const char *data_file, gboolean *unknown_type, GError **error)
{
  g_autoptr (DerushCliJob) job = g_new0 (DerushCliJob, 1);

  *unknown_type = FALSE;
  job->data = read_data (data_file, error);
  if (!job->data)
    return NULL;
  job->type = derush_job_type_from_name (type, NULL);
  if (!job->type) {
    g_autofree char *known = g_strjoinv (", ", (GStrv)derush_job_types ());

    *unknown_type = TRUE;
    g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("there is no job type “%s”; there are %s"), type,
                 known);
    return NULL;
  }
  if (input && strcmp (input, "-") != 0) {
    const char *const *sources = derush_job_source_members ();

    /* What the command line says takes the place of them all. */
    for (guint i = 0; sources[i]; i++)
      json_object_remove_member (job->data, sources[i]);
    if (!set_path (job->data, "videoUrl", input, error))
      return NULL;
    job->input = g_strdup (input);
  }
  if (output_dir && !set_path (job->data, "outputDir", output_dir, error))
    return NULL;
  for (guint i = 0; assignments && assignments[i]; i++)
    if (!assign (job->data, job->type, assignments[i], error))
      return NULL;
  return g_steal_pointer (&job);
}
