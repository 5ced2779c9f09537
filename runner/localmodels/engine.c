/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * One request in a process of its own. Standard input has a line of JSON, {"engine","request"}, then the file that belongs
 * to it; standard output a line of JSON, {"result"} or {"error":{"class","code","param","message"}}, then the file.
 */

#include "localmodels-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

/* Of what a server of ours sends. */
#define MAX_REQUEST ((gsize)4 * DERUSH_LOCALMODELS_MAX_BODY)

static const struct {
  const char *name;
  DerushLocalEngine run;
} engines[] = {{"transcribe", derush_local_transcribe},
               {"speak", derush_local_speak},
               {"translate", derush_local_translate},
               {"extract", derush_local_extract},
               {"compose", derush_local_compose}};

static GBytes *
read_all (int fd)
{
  g_autoptr (GByteArray) all = g_byte_array_new ();
  guint8 buffer[65536];
  gssize n;

  while ((n = read (fd, buffer, sizeof buffer)) != 0) {
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 || all->len + (gsize)n > MAX_REQUEST)
      return NULL;
    g_byte_array_append (all, buffer, (guint)n);
  }
  return g_byte_array_free_to_bytes (g_steal_pointer (&all));
}

static JsonObject *
describe_error (const GError *error)
{
  JsonObject *said = json_object_new ();
  const char *code = derush_local_error_get_code (error), *parameter = derush_local_error_get_parameter (error);

  json_object_set_string_member (said, "class", derush_error_class_to_string (derush_error_get_class (error)));
  json_object_set_string_member (said, "message", error->message);
  if (code)
    json_object_set_string_member (said, "code", code);
  if (parameter)
    json_object_set_string_member (said, "param", parameter);
  return said;
}

static JsonObject *
run (GBytes *all, GBytes **output, GError **error)
{
  gsize length;
  const char *data = g_bytes_get_data (all, &length), *end = length > 0 ? memchr (data, '\n', length) : NULL;
  g_autoptr (JsonObject) asked = end ? derush_json_parse_object (data, end - data, error) : NULL;
  g_autoptr (GBytes) input = NULL;
  const char *name;

  if (!asked) {
    if (error && !*error)
      local_set_error (error, DERUSH_ERROR_INTERNAL, NULL, NULL, _ ("The engine got no request"));
    return NULL;
  }
  if ((gsize)(end + 1 - data) < length)
    input = g_bytes_new_from_bytes (all, (gsize)(end + 1 - data), length - (gsize)(end + 1 - data));
  name = derush_json_get_string (asked, "engine", "");
  for (guint i = 0; i < G_N_ELEMENTS (engines); i++)
    if (strcmp (engines[i].name, name) == 0)
      return engines[i].run (derush_json_get_object (asked, "request"), input, output, NULL, error);
  local_set_error (error, DERUSH_ERROR_INTERNAL, NULL, NULL, _ ("There is no engine “%s”"), name);
  return NULL;
}

/**
 * derush_local_engine_main:
 *
 * Returns: the exit status of the process; an engine that fails has answered, which is a success
 */
int
derush_local_engine_main (void)
{
  g_autoptr (GBytes) all = read_all (STDIN_FILENO), output = NULL;
  g_autoptr (JsonObject) answer = json_object_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;
  JsonObject *result = NULL;
  int answers = dup (STDOUT_FILENO);

  /* Libraries that print would spoil the answer. */
  if (answers < 0 || dup2 (STDERR_FILENO, STDOUT_FILENO) < 0)
    return 1;
  if (all)
    result = run (all, &output, &error);
  else
    local_set_error (&error, DERUSH_ERROR_RESOURCE, NULL, NULL, _ ("The engine could not read its request"));
  json_object_set_object_member (answer, result ? "result" : "error", result ? result : describe_error (error));
  line = derush_json_object_to_string (answer);
  if (!derush_write_all (answers, line, strlen (line)) || !derush_write_all (answers, "\n", 1))
    return 1;
  if (output && !derush_write_all (answers, g_bytes_get_data (output, NULL), g_bytes_get_size (output)))
    return 1;
  close (answers);
  return 0;
}
