/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <glib/gi18n.h>

/* The templates and what they bind belong to the media worker, which alone links GStreamer: it becomes this process. */
int
derush_cli_pipeline (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) command = NULL;
  const char *worker = g_getenv ("DERUSH_MEDIA_WORKER");

  if (!derush_cli_parse (&arguments, _ ("[NAME] [source=FILE] [PARAMETER=VALUE…]"),
                         _ ("Prints the line that gst-launch-1.0 runs for a template; without NAME, lists them."),
                         _ ("Example: derush pipeline transcode-mp4 source=film.mp4 crf=20"), NULL))
    return DERUSH_CLI_USAGE;
  if (!worker || !*worker)
    worker = DERUSH_LIBEXECDIR "/derush-media-worker";
  g_strv_builder_add_many (builder, worker, arguments[1] ? "--print-pipeline" : "--list-pipelines", NULL);
  g_strv_builder_addv (builder, (const char **)arguments + 1);
  command = g_strv_builder_end (builder);
  execv (worker, command);
  fprintf (stderr, _ ("derush: the media worker %s cannot be started: %s\n"), worker, g_strerror (errno));
  return DERUSH_CLI_FAILED;
}
