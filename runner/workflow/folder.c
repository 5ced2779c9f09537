/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

/* Definitions that have a name lie beside the templates of pipelines. */
static GPtrArray *
search_path (void)
{
  const char *override = g_getenv ("DERUSH_PIPELINES_DIR");
  GPtrArray *folders = g_ptr_array_new_with_free_func (g_free);

  if (override && *override) {
    g_auto (GStrv) words = g_strsplit (override, ":", -1);

    for (guint i = 0; words[i]; i++)
      if (*words[i])
        g_ptr_array_add (folders, g_build_filename (words[i], "workflows", NULL));
  }
  g_ptr_array_add (folders, g_build_filename (DERUSH_PKGDATADIR, "pipelines", "workflows", NULL));
  return folders;
}

/* Opened without waiting, and looked at before it is read: it might be a pipe, a device or far too long. */
static char *
read_file (const char *path, gsize *length, GError **error)
{
  g_autofree char *text = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info;
  int reason = errno;

  if (fd < 0 || fstat (fd, &info) != 0) {
    g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The definition of the workflow cannot be read: %s: %s"), path, g_strerror (reason));
    goto fail;
  }
  if (!S_ISREG (info.st_mode)) {
    g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The definition of the workflow cannot be read: %s is not a file"), path);
    goto fail;
  }
  if (info.st_size > DERUSH_WORKFLOW_MAX_BYTES) {
    g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The definition of the workflow in %s is too long: it has %" PRId64 " bytes, %d are allowed"), path,
                 (int64_t)info.st_size, DERUSH_WORKFLOW_MAX_BYTES);
    goto fail;
  }
  text = g_malloc (info.st_size + 1);
  *length = 0;
  while (*length < (gsize)info.st_size) {
    gssize n = read (fd, text + *length, info.st_size - *length);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    *length += n;
  }
  text[*length] = '\0';
  close (fd);
  return g_steal_pointer (&text);

fail:
  if (fd >= 0)
    close (fd);
  return NULL;
}

static DerushWorkflow *
load_file (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize length;
  DerushWorkflow *workflow;

  text = read_file (path, &length, error);
  if (!text)
    return NULL;
  workflow = derush_workflow_parse (text, length, error);
  if (workflow)
    workflow->path = g_strdup (path);
  else
    g_prefix_error (error, "%s: ", path);
  return workflow;
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* Every definition file: (element-type utf8), sorted within each folder. */
static GPtrArray *
list_files (void)
{
  g_autoptr (GPtrArray) folders = search_path ();
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < folders->len; i++) {
    g_autoptr (GDir) folder = g_dir_open (folders->pdata[i], 0, NULL);
    g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
    const char *name;

    while (folder && (name = g_dir_read_name (folder)))
      if (g_str_has_suffix (name, ".json"))
        g_ptr_array_add (names, g_strdup (name));
    g_ptr_array_sort (names, compare_texts);
    for (guint k = 0; k < names->len; k++)
      g_ptr_array_add (paths, g_build_filename (folders->pdata[i], names->pdata[k], NULL));
  }
  return paths;
}

static DerushWorkflow *
find_id (GPtrArray *workflows, const char *id)
{
  for (guint i = 0; i < workflows->len; i++)
    if (strcmp (((DerushWorkflow *)workflows->pdata[i])->id, id) == 0)
      return workflows->pdata[i];
  return NULL;
}

static gboolean
share_folder (const char *a, const char *b)
{
  g_autofree char *one = g_path_get_dirname (a), *other = g_path_get_dirname (b);

  return strcmp (one, other) == 0;
}

/**
 * derush_workflow_list:
 * @faults: (nullable) (element-type utf8): gets a line for each definition that cannot be used
 *
 * A folder earlier in the search path hides what later ones have under the same id; two of one id in one folder are a
 * fault.
 *
 * Returns: (transfer full) (element-type DerushWorkflow): the definitions that can be run by name
 */
GPtrArray *
derush_workflow_list (GPtrArray *faults)
{
  g_autoptr (GPtrArray) paths = list_files ();
  GPtrArray *workflows = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_workflow_unref);

  for (guint i = 0; i < paths->len; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushWorkflow) workflow = load_file (paths->pdata[i], &error);
    DerushWorkflow *same = workflow ? find_id (workflows, workflow->id) : NULL;

    if (!same && workflow) {
      g_ptr_array_add (workflows, g_steal_pointer (&workflow));
    } else if (!faults) {
      continue;
    } else if (!workflow) {
      g_ptr_array_add (faults, g_strdup (error->message));
    } else if (share_folder (same->path, workflow->path)) {
      g_ptr_array_add (faults, g_strdup_printf (_ ("two workflows have the id “%s”: %s and %s"), workflow->id,
                                                same->path, workflow->path));
    }
  }
  return workflows;
}

static DerushWorkflow *
load_id (const char *id, GError **error)
{
  g_autoptr (GPtrArray) faults = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) workflows = derush_workflow_list (faults), ids = g_ptr_array_new ();
  DerushWorkflow *workflow = find_id (workflows, id);
  g_autofree char *known = NULL, *quoted = g_strdup_printf ("“%s”", id), *file = g_strdup_printf ("/%s.json", id);

  for (guint i = 0; i < faults->len; i++) {
    const char *fault = faults->pdata[i];

    /* That of the definition itself, or of its double. */
    if (workflow ? strstr (fault, quoted) && strstr (fault, workflow->path) : strstr (fault, file) != NULL) {
      g_set_error_literal (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT, fault);
      return NULL;
    }
  }
  if (workflow)
    return derush_workflow_ref (workflow);
  for (guint i = 0; i < workflows->len; i++)
    g_ptr_array_add (ids, ((DerushWorkflow *)workflows->pdata[i])->id);
  g_ptr_array_add (ids, NULL);
  known = g_strjoinv (", ", (char **)ids->pdata);
  g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("There is no workflow “%s”, nor a file of that name; there are: %s"), id, known);
  return NULL;
}

/**
 * derush_workflow_load:
 * @name: the id of a workflow that is installed, or the path of a definition: it has a slash or ends with `.json`
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the workflow
 */
DerushWorkflow *
derush_workflow_load (const char *name, GError **error)
{
  if (strchr (name, '/') || g_str_has_suffix (name, ".json"))
    return load_file (name, error);
  return load_id (name, error);
}
