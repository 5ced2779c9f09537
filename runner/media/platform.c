/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* Of a platform that says none: more would bring up the noise of a quiet room. */
#define DEFAULT_MAX_GAIN 20
#define DEFAULT_WIDTH 1080
#define DEFAULT_HEIGHT 1920
#define LARGEST_SIZE 8192

/* `YOUTUBE_SHORTS` → …/platforms/youtube-shorts.ini */
static char *
find_file (const char *name)
{
  const char *data = g_getenv ("DERUSH_DATA_DIR");
  g_autofree char *lower = g_ascii_strdown (name, -1);
  g_autofree char *file = g_strconcat (g_strdelimit (lower, "_", '-'), ".ini", NULL);

  return g_build_filename (data && *data ? data : DERUSH_PKGDATADIR, "platforms", file, NULL);
}

gboolean
derush_platform_load (DerushPlatform *platform, const char *name, GError **error)
{
  g_autoptr (GKeyFile) contents = g_key_file_new ();
  g_autoptr (GError) failure = NULL;
  g_autofree char *path = NULL;

  *platform = (DerushPlatform){.width = DEFAULT_WIDTH, .height = DEFAULT_HEIGHT};
  if (!name)
    return TRUE;
  path = find_file (name);
  if (!g_regex_match_simple ("^[A-Za-z0-9_-]+$", name, 0, 0) || !g_file_test (path, G_FILE_TEST_IS_REGULAR)) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no platform “%s”"), name);
    return FALSE;
  }
  if (g_key_file_load_from_file (contents, path, G_KEY_FILE_NONE, &failure)) {
    platform->width = g_key_file_get_integer (contents, "platform", "width", NULL);
    platform->height = g_key_file_get_integer (contents, "platform", "height", NULL);
    platform->max_duration = g_key_file_get_double (contents, "platform", "max-duration", NULL);
    platform->masters = g_key_file_has_key (contents, "platform", "loudness", NULL);
    platform->sound.loudness = g_key_file_get_double (contents, "platform", "loudness", NULL);
    platform->sound.true_peak = g_key_file_get_double (contents, "platform", "true-peak", NULL);
    platform->sound.max_gain = g_key_file_has_key (contents, "platform", "max-gain", NULL)
                                   ? g_key_file_get_double (contents, "platform", "max-gain", NULL)
                                   : DEFAULT_MAX_GAIN;
    if (platform->width > 0 && platform->width <= LARGEST_SIZE && platform->height > 0 &&
        platform->height <= LARGEST_SIZE && platform->max_duration >= 0 && platform->sound.loudness <= 0 &&
        platform->sound.loudness >= -70 && platform->sound.true_peak <= 0 && platform->sound.max_gain >= 0)
      return TRUE;
  }
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL,
               _ ("The file of the platform “%s” is damaged; install it again: %s"), name,
               failure ? failure->message : path);
  return FALSE;
}
