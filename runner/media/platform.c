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

/* The user's own come first. */
static void
list_folders (char *folders[3])
{
  const char *own = g_getenv ("DERUSH_PLATFORMS_DIR"), *data = g_getenv ("DERUSH_DATA_DIR");
  guint n = 0;

  if (own && *own)
    folders[n++] = g_strdup (own);
  folders[n++] = g_build_filename (data && *data ? data : DERUSH_PKGDATADIR, "platforms", NULL);
  folders[n] = NULL;
}

/* `YOUTUBE_SHORTS` → …/platforms/youtube-shorts.ini; %NULL: there is none */
static char *
find_file (char *const *folders, const char *name)
{
  g_autofree char *lower = g_ascii_strdown (name, -1);
  g_autofree char *file = g_strconcat (g_strdelimit (lower, "_", '-'), ".ini", NULL);

  if (!g_regex_match_simple ("^[A-Za-z0-9_-]+\\z", name, 0, 0))
    return NULL;
  for (guint i = 0; folders[i]; i++) {
    g_autofree char *path = g_build_filename (folders[i], file, NULL);

    if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
      return g_steal_pointer (&path);
  }
  return NULL;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* As a job names them: `FACEBOOK, INSTAGRAM` */
static char *
list_names (char *const *folders)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; folders[i]; i++) {
    g_autoptr (GDir) directory = g_dir_open (folders[i], 0, NULL);
    const char *file;

    while (directory && (file = g_dir_read_name (directory))) {
      g_autofree char *name = g_ascii_strup (file, -1);

      if (!g_str_has_suffix (file, ".ini"))
        continue;
      name[strlen (name) - strlen (".ini")] = '\0';
      g_strdelimit (name, "-", '_');
      if (!g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL))
        g_ptr_array_add (names, g_steal_pointer (&name));
    }
  }
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  return g_strjoinv (", ", (char **)names->pdata);
}

gboolean
derush_platform_load (DerushPlatform *platform, const char *name, GError **error)
{
  g_autoptr (GKeyFile) contents = g_key_file_new ();
  g_autoptr (GError) failure = NULL;
  g_autofree char *path = NULL, *names = NULL;
  char *folders[3];

  *platform = (DerushPlatform){.width = DEFAULT_WIDTH, .height = DEFAULT_HEIGHT};
  if (!name)
    return TRUE;
  list_folders (folders);
  path = find_file (folders, name);
  if (!path)
    names = list_names (folders);
  for (guint i = 0; folders[i]; i++)
    g_free (folders[i]);
  if (!path) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no platform “%s”; there are: %s"),
                 name, names);
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
               _ ("The file of the platform “%s” is damaged; mend it or install it again: %s: %s"), name, path,
               failure ? failure->message : _ ("a size or a limit is missing or out of range"));
  return FALSE;
}
