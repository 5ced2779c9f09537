/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* In pixels: more than any picture has. */
#define UNBOUNDED 16384

static double
cpu_seconds (void)
{
  struct rusage usage;

  if (getrusage (RUSAGE_SELF, &usage) != 0)
    return 0;
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* What the step cost becomes a part of its result, so that a job can say where its time went. */
static void
add_cost (JsonObject *result, double cpu, gint decoded)
{
  JsonObject *cost = json_object_new ();

  json_object_set_double_member (cost, "cpuTime", cpu);
  json_object_set_int_member (cost, "decodedFrames", decoded);
  json_object_set_object_member (result, "cost", cost);
}

static JsonObject *
handle (DerushStepRequest *request, gpointer user_data, GError **error)
{
  const DerushStepInput *source = derush_step_request_get_input (request, "source");
  const DerushStepInput *analysis = derush_step_request_get_input (request, "analysis");
  gint decoded = 0;
  DerushMediaJob job = {
      .request = request,
      .action = derush_step_request_get_action (request),
      .directory = derush_step_request_get_directory (request),
      .parameters = derush_step_request_get_parameters (request),
      .results = derush_step_request_get_results (request),
      .source = {.fd = -1},
      .analysis = {.fd = -1},
      .cancellable = derush_step_request_get_cancellable (request),
      .decoded = &decoded,
  };
  DerushMediaAction action = derush_media_action_find (job.action);
  double before = cpu_seconds ();
  JsonObject *result;

  if (source)
    job.source = *source;
  if (analysis)
    job.analysis = *analysis;
  if (!action) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_UNSUPPORTED, _ ("The media worker has no action “%s”"),
                 job.action);
    return NULL;
  }
  result = action (&job, error);
  if (result)
    add_cost (result, cpu_seconds () - before, g_atomic_int_get (&decoded));
  return result;
}

static int
list_pipelines (void)
{
  g_autoptr (GPtrArray) names = derush_template_list ();
  int status = 0;

  for (guint i = 0; i < names->len; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushTemplate) one = derush_template_load (g_ptr_array_index (names, i), &error);

    if (one) {
      g_print ("%s\t%s\n", derush_template_get_name (one),
               derush_template_get_description (one) ? derush_template_get_description (one) : "");
    } else {
      g_printerr ("%s\n", error->message);
      status = 1;
    }
  }
  return status;
}

static const char *
find_assignment (char **assignments, const char *name)
{
  for (guint i = 0; assignments[i]; i++)
    if (g_str_has_prefix (assignments[i], name))
      return assignments[i] + strlen (name);
  return NULL;
}

/* A width or height alone keeps the shape of the picture. What is no number is refused when it is bound. */
static JsonObject *
read_picture (char **assignments)
{
  const char *width = find_assignment (assignments, "width="), *height = find_assignment (assignments, "height=");
  const char *aspect = find_assignment (assignments, "aspect-ratio=");
  JsonObject *parameters = json_object_new ();

  if (width || height) {
    json_object_set_int_member (parameters, "width", width ? g_ascii_strtoll (width, NULL, 10) : UNBOUNDED);
    json_object_set_int_member (parameters, "height", height ? g_ascii_strtoll (height, NULL, 10) : UNBOUNDED);
  }
  if (aspect && g_ascii_strtoll (aspect, NULL, 10) > 0)
    json_object_set_string_member (parameters, "aspectRatio", aspect);
  return parameters;
}

/* The branches and sizes that the worker itself would choose for this film. */
static gboolean
fit_to_film (DerushTemplate *pipeline_template, const char *path, JsonObject *parameters, GError **error)
{
  int fd = g_open (path, O_RDONLY | O_CLOEXEC, 0);
  g_autoptr (JsonObject) probe = NULL;
  g_autoptr (DerushMediaInfo) info = NULL;

  if (fd < 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” cannot be opened: %s"), path,
                 g_strerror (errno));
    return FALSE;
  }
  probe = derush_media_probe (fd, path, NULL, NULL, error);
  g_close (fd, NULL);
  if (!probe)
    return FALSE;
  info = derush_media_info_new_from_result (probe);
  if (!info->video_id)
    derush_template_drop_branch (pipeline_template, "video");
  if (!info->audio_id)
    derush_template_drop_branch (pipeline_template, "audio");
  return !g_str_has_prefix (derush_template_get_name (pipeline_template), "transcode-") ||
         derush_transcode_apply (pipeline_template, info, parameters, error);
}

static gboolean
take_assignment (DerushTemplate *pipeline_template, const char *assignment, GError **error)
{
  const char *equals = strchr (assignment, '=');
  g_autofree char *name = equals ? g_strndup (assignment, equals - assignment) : NULL;

  if (!name) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” is not of the form NAME=VALUE"),
                 assignment);
    return FALSE;
  }
  if (strcmp (name, "source") == 0)
    return derush_template_set_input (pipeline_template, equals + 1, error);
  if (strcmp (name, "output") == 0)
    return derush_template_set_output (pipeline_template, equals + 1, error);
  return derush_template_set_string (pipeline_template, name, equals + 1, error);
}

static char *
print_pipeline (const char *name, char **assignments, GError **error)
{
  g_autoptr (DerushTemplate) pipeline_template = derush_template_load (name, error);
  g_autoptr (JsonObject) parameters = read_picture (assignments);
  const char *source = find_assignment (assignments, "source=");

  if (!pipeline_template || (source && !fit_to_film (pipeline_template, source, parameters, error)))
    return NULL;
  for (guint i = 0; assignments[i]; i++)
    if (!take_assignment (pipeline_template, assignments[i], error))
      return NULL;
  return derush_template_print (pipeline_template, error);
}

/* Installed plugins may be anywhere. */
static GStrv
list_plugin_folders (void)
{
  g_autoptr (GHashTable) folders = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GList *plugins = gst_registry_get_plugin_list (gst_registry_get ());
  g_autoptr (GStrvBuilder) list = g_strv_builder_new ();
  GHashTableIter iter;
  gpointer folder;

  for (GList *l = plugins; l; l = l->next)
    if (gst_plugin_get_filename (l->data))
      g_hash_table_add (folders, g_path_get_dirname (gst_plugin_get_filename (l->data)));
  gst_plugin_list_free (plugins);
  g_hash_table_iter_init (&iter, folders);
  while (g_hash_table_iter_next (&iter, &folder, NULL))
    g_strv_builder_add (list, folder);
  return g_strv_builder_end (list);
}

/* GStreamer is initialised by now: it looks through its plugins in another process, which cannot be started any more. */
static int
serve (void)
{
  g_auto (GStrv) folders = list_plugin_folders ();
  g_autoptr (JsonObject) containment =
      derush_contain_self (g_getenv ("DERUSH_WORKER_FOLDER"), (const char *const *)folders);

  return derush_step_server_run (DERUSH_STEP_SOCKET_FD, containment, handle, NULL);
}

static int
usage (void)
{
  g_printerr (_ ("Usage: derush-media-worker --print-pipeline NAME [source=FILE] [output=FILE] [PARAMETER=VALUE]…\n"
                 "       derush-media-worker --list-pipelines\n"
                 "       derush-media-worker --inventory | --version\n"
                 "Without arguments it takes its work from a socket: derushd and derush start it.\n"));
  return 2;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;

  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  if (!derush_media_init (NULL, NULL, &error)) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  if (argc == 1)
    return serve ();
  if (strcmp (argv[1], "--version") == 0) {
    g_print ("derush-media-worker %s\n", PACKAGE_VERSION);
    return 0;
  }
  if (strcmp (argv[1], "--inventory") == 0) {
    g_autoptr (JsonObject) inventory = derush_media_inventory ();
    g_autofree char *text = derush_json_object_to_string (inventory);

    g_print ("%s\n", text);
    return 0;
  }
  if (strcmp (argv[1], "--list-pipelines") == 0)
    return list_pipelines ();
  if (strcmp (argv[1], "--print-pipeline") != 0 || argc < 3)
    return usage ();
  line = print_pipeline (argv[2], argv + 3, &error);
  if (!line) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  g_print ("%s\n", line);
  return 0;
}
