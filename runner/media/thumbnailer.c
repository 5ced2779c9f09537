/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * derush-thumbnailer: the picture that a file manager shows for a film, as freedesktop.org's thumbnailers make it:
 * `derush-thumbnailer -s SIZE INPUT OUTPUT`. A few key frames all over the film are looked at and the best is taken. Desktops
 * start it in a sandbox: without a network, a home, or a place to write to but OUTPUT.
 */

#include "stills-private.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/tag/tag.h>

#define DEFAULT_SIZE 256
#define MAX_SIZE 4096
/* Titles and credits stand at the ends. */
#define FIRST_PLACE 0.08
#define LAST_PLACE 0.85
#define PLACES 6
/* After so long, in µs, the best of what was seen is good enough, */
#define PATIENCE (3 * G_USEC_PER_SEC)
/* and after so many seconds something is wrong with the file. */
#define TIMEOUT 25
#define COVER_TIMEOUT (10 * GST_SECOND)
#define MAX_COVER (32 * 1024 * 1024)

/* ── Plugins ────────────────────────────────────────────────────────────── */

/*
 * What decodes the films of the .thumbnailer file: thumbnailer-plugins.txt. Beside them stands a registry of them alone, made
 * when they were installed: from within a sandbox the user's own is not to be seen, and GStreamer would look through all
 * plugins there are, for seconds. Where there is none, these are loaded by name.
 */
static const char *const plugins[] = {DERUSH_THUMBNAILER_PLUGINS};

static gboolean
init (GError **error)
{
  const char *given = g_getenv ("DERUSH_THUMBNAILER_DIR"), *folder = given ? given : DERUSH_LIBEXECDIR "/thumbnailer";
  g_autofree char *registry = g_build_filename (folder, "registry.bin", NULL);
  gboolean listed = g_file_test (registry, G_FILE_TEST_EXISTS);

  g_unsetenv ("GST_PLUGIN_PATH");
  g_unsetenv ("GST_PLUGIN_PATH_1_0");
  g_unsetenv ("GST_REGISTRY_1_0");
  if (listed) {
    g_setenv ("GST_PLUGIN_SYSTEM_PATH_1_0", folder, TRUE);
    g_setenv ("GST_REGISTRY", registry, TRUE);
  } else {
    g_setenv ("GST_REGISTRY_DISABLE", "yes", TRUE);
  }
  gst_registry_fork_set_enabled (FALSE);
  if (!gst_init_check (NULL, NULL, error))
    return FALSE;
  for (guint i = 0; !listed && i < G_N_ELEMENTS (plugins); i++) {
    g_autofree char *name = g_strdup_printf ("libgst%s.so", plugins[i]);
    g_autofree char *path = g_build_filename (GST_PLUGINS_DIR, name, NULL);
    GstPlugin *plugin = gst_plugin_load_file (path, NULL);

    if (plugin)
      gst_registry_add_plugin (gst_registry_get (), plugin);
  }
  derush_media_refuse_playlists ();
  return TRUE;
}

/* ── Films ──────────────────────────────────────────────────────────────── */

/* The best of a few key frames. */
static gboolean
choose (DerushStillReader *reader, DerushStillFrame *best, GError **error)
{
  double duration = derush_still_reader_get_duration (reader);
  gint64 start = g_get_monotonic_time ();
  DerushStillScale scale = {{0}, 0};
  g_autoptr (GError) failure = NULL;
  float most = -1;

  for (guint i = 0; i < PLACES; i++) {
    double place = FIRST_PLACE + (LAST_PLACE - FIRST_PLACE) * i / (PLACES - 1);
    g_auto (DerushStillFrame) frame = {NULL};
    DerushStill still;

    g_clear_error (&failure);
    if (!derush_still_reader_get_key_frame (reader, duration * place, &frame, &failure))
      continue;
    if (best->sample && frame.time == best->time)
      continue;
    derush_still_scale_add (&scale, &frame.features);
    derush_still_score (&still, &frame.features, &frame.context, &scale);
    if (still.score > most) {
      most = still.score;
      derush_still_frame_clear (best);
      *best = frame;
      frame.sample = NULL;
    }
    if (duration <= 0 || g_get_monotonic_time () - start > PATIENCE)
      break;
  }
  if (!best->sample)
    g_propagate_error (error, g_steal_pointer (&failure));
  return best->sample != NULL;
}

/* ── Sound with a cover ─────────────────────────────────────────────────── */

static GstSample *
take_cover (GstMessage *message)
{
  GstTagList *tags;
  GstSample *cover = NULL;

  gst_message_parse_tag (message, &tags);
  if (!gst_tag_list_get_sample_index (tags, GST_TAG_IMAGE, 0, &cover))
    gst_tag_list_get_sample_index (tags, GST_TAG_PREVIEW_IMAGE, 0, &cover);
  gst_tag_list_unref (tags);
  return cover;
}

static void
on_pad_added (GstElement *parser, GstPad *pad, gpointer user_data)
{
  GstElement *sink = gst_element_factory_make ("fakesink", NULL);
  g_autoptr (GstPad) target = gst_element_get_static_pad (sink, "sink");

  gst_bin_add (user_data, sink);
  gst_pad_link (pad, target);
  gst_element_sync_state_with_parent (sink);
}

/* The picture that a file of sound has in its tags. */
static GstSample *
find_cover (int fd)
{
  g_autoptr (GstElement) pipeline = gst_object_ref_sink (gst_pipeline_new (NULL));
  GstElement *source = derush_fd_source_new (NULL, fd), *parser = gst_element_factory_make ("parsebin", NULL);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstSample *cover = NULL;

  if (!parser) {
    gst_object_unref (source);
    return NULL;
  }
  gst_bin_add_many (GST_BIN (pipeline), source, parser, NULL);
  gst_element_link (source, parser);
  g_signal_connect (parser, "pad-added", G_CALLBACK (on_pad_added), pipeline);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  while (!cover) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (
        bus, COVER_TIMEOUT, GST_MESSAGE_TAG | GST_MESSAGE_ERROR | GST_MESSAGE_ASYNC_DONE | GST_MESSAGE_EOS);

    if (!message || GST_MESSAGE_TYPE (message) != GST_MESSAGE_TAG)
      break;
    cover = take_cover (message);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return cover;
}

/* The cover as a frame; %NULL: there is none that can be read. */
static GstSample *
read_cover (int fd)
{
  g_autoptr (GstSample) cover = find_cover (fd);
  GstBuffer *buffer = cover ? gst_sample_get_buffer (cover) : NULL;
  g_autoptr (GstElement) pipeline = NULL, source = NULL, sink = NULL;
  GstSample *frame;

  if (!buffer || gst_buffer_get_size (buffer) > MAX_COVER)
    return NULL;
  pipeline = gst_parse_launch ("appsrc name=source ! decodebin ! videoconvert ! appsink name=sink sync=false", NULL);
  if (!pipeline)
    return NULL;
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_app_src_push_sample (GST_APP_SRC (source), cover);
  gst_app_src_end_of_stream (GST_APP_SRC (source));
  frame = gst_app_sink_try_pull_sample (GST_APP_SINK (sink), COVER_TIMEOUT);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return frame;
}

/* ── From file to file ──────────────────────────────────────────────────── */

static GstSample *
find_picture (DerushMediaJob *job, GError **error)
{
  g_autoptr (DerushMediaInfo) info = derush_media_job_get_info (job, error);
  g_autoptr (DerushStillReader) reader = NULL;
  g_auto (DerushStillFrame) frame = {NULL};
  GstSample *cover;

  if (info && !info->video_id && (cover = read_cover (job->source.fd)))
    return cover;
  reader = info ? derush_still_reader_new (job, info, error) : NULL;
  if (!reader || !choose (reader, &frame, error))
    return NULL;
  return g_steal_pointer (&frame.sample);
}

static gboolean
make (DerushMediaJob *job, guint size, const char *output, GError **error)
{
  g_autoptr (GstSample) found = find_picture (job, error), picture = NULL;
  const DerushStillPicture wanted = {.width = size, .height = size, .least_side = 1, .alpha = TRUE};
  g_autofree char *partial = g_strconcat (output, ".part", NULL);

  picture = found ? derush_still_picture_make (&wanted, found, error) : NULL;
  if (!picture || !derush_still_picture_write (job, picture, "png", 0, partial, error))
    return FALSE;
  if (g_rename (partial, output) == 0)
    return TRUE;
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_RESOURCE, _ ("The picture “%s” could not be written: %s"),
               output, g_strerror (errno));
  g_unlink (partial);
  return FALSE;
}

static char *
to_path (const char *word, GError **error)
{
  g_autofree char *scheme = g_uri_parse_scheme (word);

  if (!scheme)
    return g_strdup (word);
  if (strcmp (scheme, "file") == 0)
    return g_filename_from_uri (word, NULL, error);
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_UNSUPPORTED, _ ("“%s” is no file of this computer"), word);
  return NULL;
}

static gboolean
run (const char *input, guint size, const char *output, GError **error)
{
  g_autofree char *path = to_path (input, error);
  DerushMediaJob job = {.action = "thumbnail", .source = {.fd = -1}, .analysis = {.fd = -1}};
  g_autofree char *name = path ? g_path_get_basename (path) : NULL;
  int fd;

  if (!path)
    return FALSE;
  fd = g_open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
  if (fd < 0) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("“%s” cannot be opened: %s"), path,
                 g_strerror (errno));
    return FALSE;
  }
  derush_media_job_init_source (&job, fd, name);
  job.cancellable = g_cancellable_new ();
  if (!init (error))
    return FALSE;
  return make (&job, size, output, error);
}

int
main (int argc, char **argv)
{
  int size = DEFAULT_SIZE;
  gboolean version = FALSE;
  g_autoptr (GError) error = NULL;
  const GOptionEntry entries[] = {
      {"size", 's', 0, G_OPTION_ARG_INT, &size, N_ ("Longer side of the picture, in pixels (256)"), N_ ("SIZE")},
      {"version", 'V', 0, G_OPTION_ARG_NONE, &version, N_ ("Print the version and exit"), NULL},
      {NULL},
  };
  g_autoptr (GOptionContext) context = g_option_context_new (_ ("INPUT OUTPUT"));

  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  g_option_context_set_translation_domain (context, GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  g_option_context_set_summary (context, _ ("Makes the picture that a file manager shows for a film."));
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("derush-thumbnailer: %s\n", error->message);
    return 2;
  }
  if (version) {
    g_print ("derush-thumbnailer %s\n", PACKAGE_VERSION);
    return 0;
  }
  if (argc != 3 || size < 1 || size > MAX_SIZE) {
    g_printerr (_ ("Usage: derush-thumbnailer [-s SIZE] INPUT OUTPUT, SIZE from 1 to %d\n"), MAX_SIZE);
    return 2;
  }
  alarm (TIMEOUT);
  if (!run (argv[1], (guint)size, argv[2], &error)) {
    g_printerr ("derush-thumbnailer: %s\n", error->message);
    return 1;
  }
  /* The pipelines are at rest: taking down the libraries in order takes longer than the kernel does. */
  _exit (0);
}
