/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fake.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <libsoup/soup.h>

static void
end_with_parent (gpointer user_data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

static char *
read_line (int fd)
{
  GString *line = g_string_new (NULL);
  char c;

  while (read (fd, &c, 1) == 1 && c != '\n')
    g_string_append_c (line, c);
  return g_string_free (line, FALSE);
}

Fake *
fake_start (const char *program, ...)
{
  Fake *fake = g_new0 (Fake, 1);
  g_autoptr (GPtrArray) arguments = g_ptr_array_new ();
  g_autofree char *path = g_build_filename (g_getenv ("DERUSH_SOURCE_DIR"), "tests/fakes", program, NULL), *line = NULL;
  g_autoptr (GError) error = NULL;
  const char *argument;
  va_list rest;

  g_ptr_array_add (arguments, (char *)"node");
  g_ptr_array_add (arguments, path);
  va_start (rest, program);
  while ((argument = va_arg (rest, const char *)))
    g_ptr_array_add (arguments, (char *)argument);
  va_end (rest);
  g_ptr_array_add (arguments, NULL);
  g_spawn_async_with_pipes (NULL, (char **)arguments->pdata, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                            end_with_parent, NULL, &fake->pid, NULL, &fake->output, NULL, &error);
  g_assert_no_error (error);
  line = read_line (fake->output);
  g_assert_true (g_str_has_prefix (line, "listening http"));
  fake->base_url = g_strdup (line + strlen ("listening "));
  fake->folder = g_dir_make_tmp ("derush-models-XXXXXX", &error);
  g_assert_no_error (error);
  return fake;
}

void
fake_stop (Fake *fake)
{
  kill (fake->pid, SIGKILL);
  waitpid (fake->pid, NULL, 0);
  close (fake->output);
  derush_directory_remove (fake->folder, NULL);
  g_free (fake->base_url);
  g_free (fake->folder);
  g_free (fake);
}

static GBytes *
exchange (Fake *fake, const char *method, const char *path, const char *body)
{
  g_autoptr (SoupSession) session = soup_session_new_with_options ("proxy-resolver", NULL, NULL);
  g_autofree char *url = g_strndup (fake->base_url, strrchr (fake->base_url, '/') - fake->base_url);
  g_autofree char *whole = g_strconcat (url, path, NULL);
  g_autoptr (SoupMessage) message = soup_message_new (method, whole);
  g_autoptr (GError) error = NULL;
  GBytes *answer;

  if (body) {
    g_autoptr (GBytes) bytes = g_bytes_new (body, strlen (body));

    soup_message_set_request_body_from_bytes (message, "application/json", bytes);
  }
  answer = soup_session_send_and_read (session, message, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (soup_message_get_status (message), ==, 200);
  return answer;
}

void
fake_plan (Fake *fake, const char *faults)
{
  g_autoptr (GBytes) answer = exchange (fake, "POST", "/__faults", faults);
}

JsonArray *
fake_log (Fake *fake)
{
  g_autoptr (GBytes) bytes = exchange (fake, "GET", "/__log", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = derush_json_parse (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &error);

  g_assert_no_error (error);
  return json_array_ref (json_node_get_array (node));
}

JsonObject *
fake_asked (JsonArray *log, guint i)
{
  g_assert_cmpuint (i, <, json_array_get_length (log));
  return json_array_get_object_element (log, i);
}

/* 16 kHz, one channel, silent; a hole in the file system. */
char *
fake_make_sparse_speech (Fake *fake, guint32 length)
{
  guint32 header[11] = {0x46464952, 0, 0x45564157, 0x20746d66, 16, 0x00010001, 16000, 32000, 0x00100002, 0x61746164, 0};
  char *path = g_build_filename (fake->folder, "speech.wav", NULL);
  g_autoptr (GError) error = NULL;

  header[1] = 36 + length;
  header[10] = length;
  g_file_set_contents (path, (const char *)header, sizeof header, &error);
  g_assert_no_error (error);
  g_assert_cmpint (truncate (path, sizeof header + length), ==, 0);
  return path;
}

char *
fake_make_speech (Fake *fake, double seconds)
{
  return fake_make_sparse_speech (fake, (guint32)(seconds * 16000) * 2);
}

DerushConfig *
fake_config (Fake *fake, ...)
{
  g_autofree char *state = g_build_filename (fake->folder, "state", NULL);
  g_autofree char *cache = g_build_filename (fake->folder, "cache", NULL);
  g_autofree char *path = g_build_filename (fake->folder, "settings", NULL);
  g_autoptr (GKeyFile) settings = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  DerushConfig *config;
  const char *name;
  va_list rest;

  g_key_file_set_string (settings, "derush", "DERUSH_STATE_DIR", state);
  g_key_file_set_string (settings, "derush", "DERUSH_CACHE", cache);
  va_start (rest, fake);
  while ((name = va_arg (rest, const char *)))
    g_key_file_set_string (settings, "derush", name, va_arg (rest, const char *));
  va_end (rest);
  g_key_file_save_to_file (settings, path, &error);
  g_assert_no_error (error);
  g_setenv ("DERUSH_CONFIG", path, TRUE);
  config = derush_config_load (&error);
  g_assert_no_error (error);
  return config;
}

JsonObject *
fake_json (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonObject *object = derush_json_parse_object (text, -1, &error);

  g_assert_no_error (error);
  return object;
}
