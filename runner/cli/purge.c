/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Removes what there is of a video or a user, through the daemon. */

#include "cli/cli-private.h"

#include <inttypes.h>
#include <stdio.h>
#include <glib/gi18n.h>

static void
print_said (JsonObject *said)
{
  JsonArray *files = derush_json_get_array (said, "files"), *kept = derush_json_get_array (said, "kept");
  gboolean dry = derush_json_get_boolean (said, "dryRun", FALSE);
  g_autofree char *size = g_format_size (derush_json_get_int (said, "bytes", 0));

  for (guint i = 0; files && i < json_array_get_length (files); i++)
    printf (dry ? _ ("would remove %s\n") : _ ("removed %s\n"), json_array_get_string_element (files, i));
  for (guint i = 0; kept && i < json_array_get_length (kept); i++) {
    JsonObject *file = json_array_get_object_element (kept, i);

    printf (_ ("kept %s: %s\n"), derush_json_get_string (file, "path", ""),
            derush_json_get_string (file, "reason", ""));
  }
  printf (dry ? _ ("Would remove %u files (%s), %" PRId64 " analyses, %" PRId64 " rows and %" PRId64 " jobs in Redis\n")
              : _ ("Removed %u files (%s), %" PRId64 " analyses, %" PRId64 " rows and %" PRId64 " jobs in Redis\n"),
          files ? json_array_get_length (files) : 0, size, derush_json_get_int (said, "analyses", 0),
          derush_json_get_int (said, "rows", 0), derush_json_get_int (said, "redisJobs", 0));
}

int
derush_cli_purge (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autofree char *video = NULL, *user = NULL, *escaped = NULL, *path = NULL;
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (GError) error = NULL;
  gboolean dry_run = FALSE, json = FALSE, again;
  const GOptionEntry entries[] = {
      {"video", 0, 0, G_OPTION_ARG_STRING, &video, N_ ("Of this video"), N_ ("ID")},
      {"user", 0, 0, G_OPTION_ARG_STRING, &user, N_ ("Of this user"), N_ ("ID")},
      {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, N_ ("Only say what would be removed"), NULL},
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (
          &arguments, NULL,
          _ ("Removes what there is of a video or a user: the files that jobs made, analyses, checkpoints, "
             "rows, and jobs that have ended. Sources stay."),
          _ ("The daemon is asked at DERUSH_HTTP_ADDRESS, with DERUSH_HTTP_TOKEN. Nothing is removed while a "
             "job of it has not ended.\nExit status: 0 done, 1 failed, 2 wrong usage."),
          entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 1)
    return derush_cli_usage_error ("purge", _ ("“%s” is one argument too many"), arguments[1]);
  if (!video == !user || (video && !*video) || (user && !*user))
    return derush_cli_usage_error ("purge", "%s", _ ("either --video ID or --user ID, please"));
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  escaped = g_uri_escape_string (video ? video : user, NULL, FALSE);
  path = g_strdup_printf ("/api/%s/%s%s", video ? "videos" : "users", escaped, dry_run ? "?dryRun=true" : "");
  /* One request removes only so much. */
  do {
    g_autoptr (JsonObject) answer = derush_cli_ask_daemon (config, "DELETE", path, NULL, NULL, &error);
    JsonObject *said = answer ? derush_json_get_object (answer, "data") : NULL;

    if (!said) {
      fprintf (stderr, "derush: %s\n", error ? error->message : "");
      return DERUSH_CLI_FAILED;
    }
    if (json) {
      g_autofree char *text = derush_json_object_to_string (said);

      puts (text);
    } else {
      print_said (said);
    }
    again = !dry_run && !derush_json_get_boolean (said, "complete", TRUE);
  } while (again);
  return fflush (stdout) == 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}
