/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

/*
 * Answers of servers in files, a file each: what was asked is named by its content, keys apart, so that a folder that was
 * recorded with a key is replayed without one, and without a network. The same question asked again has a number of its own;
 * a replay gives the last answer again when there is no other.
 */
struct _ModelRecorder {
  char *record, *replay; /* or NULL */
  GMutex lock;
  GHashTable *asked; /* how often, by digest */
};

static char *
folder_of (DerushConfig *config, const char *name)
{
  const char *value = derush_config_get_string (config, name);

  return *value ? g_strdup (value) : NULL;
}

ModelRecorder *
model_recorder_new (DerushConfig *config, GError **error)
{
  ModelRecorder *recorder = g_new0 (ModelRecorder, 1);

  g_mutex_init (&recorder->lock);
  recorder->asked = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  recorder->record = folder_of (config, "DERUSH_MODEL_RECORD");
  recorder->replay = folder_of (config, "DERUSH_MODEL_REPLAY");
  if (!recorder->record || g_mkdir_with_parents (recorder->record, 0700) == 0)
    return recorder;
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("DERUSH_MODEL_RECORD %s cannot be made: %s"),
               recorder->record, g_strerror (errno));
  model_recorder_free (recorder);
  return NULL;
}

void
model_recorder_free (ModelRecorder *recorder)
{
  g_free (recorder->record);
  g_free (recorder->replay);
  g_hash_table_unref (recorder->asked);
  g_mutex_clear (&recorder->lock);
  g_free (recorder);
}

/* Returns: whether answers come from files, and nobody is asked or paid */
gboolean
model_recorder_replays (ModelRecorder *recorder)
{
  return recorder->replay != NULL;
}

/* Returns: whether the same request has to be the same again */
gboolean
model_recorder_is_used (ModelRecorder *recorder)
{
  return recorder->replay || recorder->record;
}

/* ── What was asked ─────────────────────────────────────────────────────── */

/*
 * model_digest_file:
 *
 * Takes the content of a file; one that cannot be read counts as empty.
 */
void
model_digest_file (GChecksum *digest, const char *path)
{
  guint8 buffer[65536];
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gssize got;

  while (fd >= 0 && (got = read (fd, buffer, sizeof buffer)) > 0)
    g_checksum_update (digest, buffer, got);
  if (fd >= 0)
    close (fd);
}

static void
add_text (GChecksum *digest, const char *text)
{
  /* With the zero at its end: nothing runs into the next text. */
  g_checksum_update (digest, (const guchar *)(text ? text : ""), strlen (text ? text : "") + 1);
}

static char *
digest_of (ModelRequest *request)
{
  g_autoptr (GChecksum) digest = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GUri) uri = g_uri_parse (request->url, G_URI_FLAGS_NONE, NULL);

  add_text (digest, request->method);
  add_text (digest, uri ? g_uri_get_path (uri) : request->url);
  add_text (digest, uri ? g_uri_get_query (uri) : NULL);
  if (request->body)
    g_checksum_update (digest, g_bytes_get_data (request->body, NULL), g_bytes_get_size (request->body));
  for (guint i = 0; request->parts && i < request->parts->len; i++) {
    const ModelPart *part = request->parts->pdata[i];

    add_text (digest, part->name);
    add_text (digest, part->value);
    if (part->path)
      model_digest_file (digest, part->path);
  }
  return g_strdup (g_checksum_get_string (digest));
}

static guint
count (ModelRecorder *recorder, const char *digest)
{
  guint n;

  g_mutex_lock (&recorder->lock);
  n = GPOINTER_TO_UINT (g_hash_table_lookup (recorder->asked, digest));
  g_hash_table_insert (recorder->asked, g_strdup (digest), GUINT_TO_POINTER (n + 1));
  g_mutex_unlock (&recorder->lock);
  return n;
}

static char *
file_of (const char *folder, const char *digest, guint n)
{
  g_autofree char *name = g_strdup_printf ("%.32s-%u.json", digest, n);

  return g_build_filename (folder, name, NULL);
}

/* ── What was answered ──────────────────────────────────────────────────── */

/* What the client looks at; cookies and the like stay out. */
static gboolean
is_kept (const char *header)
{
  return g_str_has_prefix (header, "x-ratelimit-") || g_str_has_prefix (header, "x-derush-") ||
         g_str_equal (header, "content-type") || g_str_has_prefix (header, "retry-after") ||
         g_str_equal (header, "x-should-retry") || g_str_equal (header, "x-request-id");
}

static void
keep (ModelRecorder *recorder, ModelRequest *request, const char *digest, guint n, ModelResponse *response)
{
  g_autofree char *path = file_of (recorder->record, digest, n), *text = NULL, *body = NULL, *redacted = NULL;
  g_autoptr (JsonObject) json = json_object_new ();
  g_autoptr (GError) error = NULL;
  JsonObject *headers = json_object_new ();
  GHashTableIter iter;
  gpointer name, value;
  const char *data;
  gsize length;

  g_hash_table_iter_init (&iter, response->headers);
  while (g_hash_table_iter_next (&iter, &name, &value))
    if (is_kept (name))
      json_object_set_string_member (headers, name, value);
  data = g_bytes_get_data (response->body, &length);
  /* Texts stay texts, so that what is secret in them is found. */
  if (length > 0 && g_utf8_validate (data, length, NULL))
    json_object_set_string_member (json, "text", body = g_strndup (data, length));
  else
    json_object_set_string_member (json, "body", body = g_base64_encode ((const guchar *)data, length));
  json_object_set_string_member (json, "method", request->method);
  json_object_set_string_member (json, "url", request->url);
  json_object_set_int_member (json, "status", response->status);
  json_object_set_object_member (json, "headers", headers);
  text = derush_json_object_to_string (json);
  redacted = model_redact (text);
  if (!derush_file_write_atomically (path, redacted, -1, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "An answer could not be recorded: %s", error->message);
}

static ModelResponse *
give_again (ModelRecorder *recorder, ModelRequest *request, const char *digest, guint n, GError **error)
{
  g_autofree char *path = NULL, *text = NULL;
  g_autoptr (JsonObject) json = NULL;
  JsonObject *headers;
  JsonObjectIter iter;
  ModelResponse *response;
  const char *name;
  JsonNode *value;
  gsize length;
  guchar *body;

  do {
    g_free (path);
    path = file_of (recorder->replay, digest, n);
  } while (!g_file_get_contents (path, &text, NULL, NULL) && n-- > 0);
  json = text ? derush_json_parse_object (text, -1, NULL) : NULL;
  if (!json) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("DERUSH_MODEL_REPLAY %s has no answer to this request: %s"), recorder->replay, request->url);
    derush_error_set_final (error ? *error : NULL);
    return NULL;
  }
  response = g_new0 (ModelResponse, 1);
  response->status = derush_json_get_int (json, "status", 0);
  response->headers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  headers = derush_json_get_object (json, "headers");
  if (headers) {
    json_object_iter_init (&iter, headers);
    while (json_object_iter_next (&iter, &name, &value))
      g_hash_table_insert (response->headers, g_strdup (name), g_strdup (json_node_get_string (value)));
  }
  name = derush_json_get_string (json, "text", NULL);
  body = name ? (guchar *)g_strdup (name) : g_base64_decode (derush_json_get_string (json, "body", ""), &length);
  response->body = g_bytes_new_take (body, name ? strlen (name) : length);
  return response;
}

/*
 * model_recorder_send:
 *
 * model_transport_send(), unless answers are replayed; what comes is kept where it is to be recorded
 */
ModelResponse *
model_recorder_send (ModelRecorder *recorder, ModelTransport *transport, ModelRequest *request,
                     GCancellable *cancellable, GError **error)
{
  g_autofree char *digest = recorder->record || recorder->replay ? digest_of (request) : NULL;
  guint n = digest ? count (recorder, digest) : 0;
  ModelResponse *response;

  if (recorder->replay)
    return give_again (recorder, request, digest, n, error);
  response = model_transport_send (transport, request, cancellable, error);
  if (response && recorder->record)
    keep (recorder, request, digest, n, response);
  return response;
}
