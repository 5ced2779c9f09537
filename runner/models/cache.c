/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/store-private.h"

#include <errno.h>
#include <string.h>
#include <utime.h>
#include <sys/stat.h>
#include <glib/gstdio.h>

/*
 * Answers that were whole and fitted, by everything that they follow from: who was asked, which model, what, and the content
 * of the files that went with it. DERUSH_CACHE/models/KE/KEY.json is the answer, KEY-N its Nth file; the answer is written
 * last, and what has not been used for longest goes first when there is too much.
 */
struct _ModelCache {
  char *folder; /* or NULL: nothing is kept */
  guint64 limit;
  GMutex lock;
  guint64 size; /* about, of what is there */
  guint puts;
};

/* When there is too much, as much goes that this part of the limit is left. */
#define LEFT_AFTER_SWEEP 0.8
#define PUTS_BETWEEN_SWEEPS 50

ModelCache *
model_cache_new (DerushConfig *config)
{
  ModelCache *cache = g_new0 (ModelCache, 1);
  /* Recordings have to be complete, and replays have to come from them. */
  gboolean recorded = *derush_config_get_string (config, "DERUSH_MODEL_RECORD") ||
                      *derush_config_get_string (config, "DERUSH_MODEL_REPLAY");

  g_mutex_init (&cache->lock);
  cache->limit = derush_config_get_int (config, "DERUSH_MODEL_CACHE_SIZE");
  if (cache->limit > 0 && !recorded)
    cache->folder = g_build_filename (derush_config_get_string (config, "DERUSH_CACHE"), "models", NULL);
  return cache;
}

void
model_cache_free (ModelCache *cache)
{
  g_free (cache->folder);
  g_mutex_clear (&cache->lock);
  g_free (cache);
}

/* ── Keys ───────────────────────────────────────────────────────────────── */

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (a, b);
}

static JsonNode *sort_node (JsonNode *node);

static JsonObject *
sort_object (JsonObject *object)
{
  JsonObject *sorted = json_object_new ();
  g_autoptr (GList) names = g_list_sort (json_object_get_members (object), compare_names);

  for (GList *l = names; l; l = l->next)
    json_object_set_member (sorted, l->data, sort_node (json_object_get_member (object, l->data)));
  return sorted;
}

static JsonNode *
sort_node (JsonNode *node)
{
  JsonNode *sorted;
  JsonArray *array;

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    sorted = json_node_alloc ();
    json_node_init_object (sorted, NULL);
    json_node_take_object (sorted, sort_object (json_node_get_object (node)));
    return sorted;
  }
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return json_node_copy (node);
  array = json_array_new ();
  for (guint i = 0; i < json_array_get_length (json_node_get_array (node)); i++)
    json_array_add_element (array, sort_node (json_array_get_element (json_node_get_array (node), i)));
  sorted = json_node_alloc ();
  json_node_init_array (sorted, NULL);
  json_node_take_array (sorted, array);
  return sorted;
}

/* Returns: (transfer full): JSON that is the same for the same members in whatever order */
char *
model_canonical_json (JsonObject *object)
{
  g_autoptr (JsonObject) sorted = sort_object (object);

  return derush_json_object_to_string (sorted);
}

static char *
digest_file (const char *path)
{
  g_autoptr (GChecksum) digest = g_checksum_new (G_CHECKSUM_SHA256);

  model_digest_file (digest, path);
  return g_strdup (g_checksum_get_string (digest));
}

static void
replace_by_digest (JsonObject *object, const char *name)
{
  const char *path = derush_json_get_string (object, name, NULL);
  g_autofree char *digest = path ? digest_file (path) : NULL;

  if (digest)
    json_object_set_string_member (object, name, digest);
}

/* What is asked, with files by their content: paths differ from job to job. */
static JsonObject *
request_by_content (ModelCall *call)
{
  g_autofree char *text = derush_json_object_to_string (call->request);
  g_autoptr (JsonNode) node = derush_json_parse (text, -1, NULL);
  /* The parser's objects cannot be changed. */
  JsonObject *request = node ? sort_object (json_node_get_object (node)) : json_object_new ();
  JsonArray *content = derush_json_get_array (request, "content");

  if (g_str_equal (call->task, "speak"))
    json_object_remove_member (request, "file");
  else
    replace_by_digest (request, "file");
  replace_by_digest (request, "background");
  for (guint i = 0; content && i < json_array_get_length (content); i++) {
    JsonNode *part = json_array_get_element (content, i);

    if (JSON_NODE_HOLDS_OBJECT (part))
      replace_by_digest (json_node_get_object (part), "image");
  }
  return request;
}

/* Whether another answer may be wanted the next time: then only a retry of the same job gets it again. */
static gboolean
is_left_to_chance (ModelCall *call)
{
  if (json_object_has_member (call->request, "seed"))
    return FALSE;
  return g_str_equal (call->task, "image") ||
         (g_str_equal (call->task, "chat") && derush_json_get_number (call->request, "temperature", 1) > 0);
}

/* What is said to the model besides the request. */
static void
add_prompt (JsonObject *all, const char *name)
{
  g_autofree char *prompt = model_data_read (name, NULL);

  json_object_set_string_member (all, "prompt", prompt ? prompt : "");
}

/* Returns: (transfer full): what the answer is kept under */
char *
model_cache_key (ModelCall *call)
{
  g_autoptr (JsonObject) all = json_object_new ();
  g_autofree char *text = NULL;

  json_object_set_string_member (all, "version", PACKAGE_VERSION);
  json_object_set_string_member (all, "provider", call->provider->name);
  if (!call->provider->local)
    json_object_set_string_member (all, "baseUrl", call->provider->base_url);
  json_object_set_string_member (all, "task", call->task);
  json_object_set_string_member (all, "model", call->model);
  json_object_set_object_member (all, "request", request_by_content (call));
  if (g_str_equal (call->task, "translate") && !call->provider->local)
    add_prompt (all, "models/prompts/translate-texts.txt");
  if (g_str_equal (call->task, "speak") && call->provider->voice)
    json_object_set_string_member (all, "voice", call->provider->voice);
  if (is_left_to_chance (call) && call->context && call->context->job_id)
    json_object_set_string_member (all, "job", call->context->job_id);
  text = model_canonical_json (all);
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
}

static char *
path_of (ModelCache *cache, const char *key, const char *end)
{
  char start[3] = {key[0], key[1], '\0'};
  g_autofree char *name = g_strconcat (key, end, NULL);

  return g_build_filename (cache->folder, start, name, NULL);
}

/* ── Files of answers ───────────────────────────────────────────────────── */

typedef gboolean (*FileFunc) (const char *kept, const char *made);

static gboolean
copy_file (const char *from, const char *to)
{
  g_autoptr (GMappedFile) file = g_mapped_file_new (from, FALSE, NULL);

  return file && g_mapped_file_get_length (file) > 0 &&
         derush_file_write_atomically (to, g_mapped_file_get_contents (file), g_mapped_file_get_length (file), NULL);
}

static gboolean
take_out (const char *kept, const char *made)
{
  return copy_file (kept, made) && g_utime (kept, NULL) == 0;
}

static gboolean
put_in (const char *kept, const char *made)
{
  return copy_file (made, kept);
}

static gboolean
for_file (ModelCache *cache, const char *key, guint n, ModelCall *call, const char *name, FileFunc func)
{
  g_autofree char *end = g_strdup_printf ("-%u", n), *kept = path_of (cache, key, end);
  g_autofree char *made = model_call_output_path (call, name, NULL);

  return made && func (kept, made);
}

static gboolean
for_files (ModelCache *cache, const char *key, ModelCall *call, JsonObject *result, FileFunc func)
{
  JsonArray *images = derush_json_get_array (result, "images");
  const char *file = derush_json_get_string (result, "file", NULL);

  if (file && !for_file (cache, key, 0, call, file, func))
    return FALSE;
  for (guint i = 0; images && i < json_array_get_length (images); i++)
    if (!for_file (cache, key, i, call,
                   derush_json_get_string (json_array_get_object_element (images, i), "file", NULL), func))
      return FALSE;
  return TRUE;
}

/*
 * model_cache_get:
 *
 * Returns: (transfer full) (nullable): the answer that is kept, its files written to the directory of the call
 */
JsonObject *
model_cache_get (ModelCache *cache, const char *key, ModelCall *call)
{
  g_autofree char *path = cache->folder ? path_of (cache, key, ".json") : NULL, *text = NULL;
  g_autoptr (JsonObject) parsed = NULL, result = NULL;
  JsonNode *json;

  if (!path || !g_file_get_contents (path, &text, NULL, NULL))
    return NULL;
  parsed = derush_json_parse_object (text, -1, NULL);
  if (!parsed)
    return NULL;
  result = sort_object (parsed);
  if (derush_json_get_string (result, "file", NULL))
    json_object_set_string_member (result, "file", derush_json_get_string (call->request, "file", ""));
  if (!for_files (cache, key, call, result, take_out))
    return NULL;
  json = json_object_get_member (result, "json");
  /* What makes sense is up to the caller, who may know better by now. */
  if (json && call->context && call->context->check && !call->context->check (json, call->context->check_data, NULL))
    return NULL;
  g_utime (path, NULL);
  json_object_set_boolean_member (result, "cached", TRUE);
  return g_steal_pointer (&result);
}

/* ── Room ───────────────────────────────────────────────────────────────── */

typedef struct {
  char *path;
  gint64 time;
  guint64 size;
} Kept;

static void
kept_free (Kept *kept)
{
  g_free (kept->path);
  g_free (kept);
}

static void
list_folder (const char *folder, GPtrArray *list)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    struct stat status;

    if (lstat (path, &status) != 0)
      continue;
    if (S_ISDIR (status.st_mode)) {
      list_folder (path, list);
    } else if (S_ISREG (status.st_mode)) {
      Kept *kept = g_new (Kept, 1);

      kept->path = g_strdup (path);
      kept->time = status.st_mtim.tv_sec * G_USEC_PER_SEC + status.st_mtim.tv_nsec / 1000;
      kept->size = status.st_size;
      g_ptr_array_add (list, kept);
    }
  }
}

static int
compare_times (gconstpointer a, gconstpointer b)
{
  const Kept *one = *(Kept *const *)a, *other = *(Kept *const *)b;

  return (one->time > other->time) - (one->time < other->time);
}

/* An answer whose files went before it is a miss, and is made anew. */
static void
sweep (ModelCache *cache)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify)kept_free);

  list_folder (cache->folder, list);
  cache->size = 0;
  for (guint i = 0; i < list->len; i++)
    cache->size += ((Kept *)list->pdata[i])->size;
  if (cache->size <= cache->limit)
    return;
  g_ptr_array_sort (list, compare_times);
  for (guint i = 0; i < list->len && (double)cache->size > LEFT_AFTER_SWEEP * (double)cache->limit; i++) {
    const Kept *kept = list->pdata[i];

    if (g_unlink (kept->path) == 0)
      cache->size -= MIN (kept->size, cache->size);
  }
}

static guint64
size_of (ModelCache *cache, const char *key, JsonObject *result, gsize length)
{
  JsonArray *images = derush_json_get_array (result, "images");
  guint n = images ? json_array_get_length (images) : derush_json_get_string (result, "file", NULL) ? 1 : 0;
  guint64 size = length;

  for (guint i = 0; i < n; i++) {
    g_autofree char *end = g_strdup_printf ("-%u", i), *path = path_of (cache, key, end);

    size += MAX (model_file_size (path), 0);
  }
  return size;
}

/*
 * model_cache_put:
 * @result: whole and checked
 *
 * Keeps an answer; that it could not be kept is no reason to fail.
 */
void
model_cache_put (ModelCache *cache, const char *key, ModelCall *call, JsonObject *result)
{
  g_autofree char *path = cache->folder ? path_of (cache, key, ".json") : NULL, *folder = NULL, *text = NULL;
  g_autoptr (GError) error = NULL;

  if (!path)
    return;
  folder = g_path_get_dirname (path);
  text = derush_json_object_to_string (result);
  if (g_mkdir_with_parents (folder, 0700) != 0 || !for_files (cache, key, call, result, put_in) ||
      !derush_file_write_atomically (path, text, -1, &error)) {
    derush_log (DERUSH_LOG_WARN, NULL, "An answer could not be kept in %s: %s", cache->folder,
                error ? error->message : g_strerror (errno));
    return;
  }
  g_mutex_lock (&cache->lock);
  cache->size += size_of (cache, key, result, strlen (text));
  /* Other processes put theirs there too. */
  if (cache->puts++ % PUTS_BETWEEN_SWEEPS == 0 || cache->size > cache->limit)
    sweep (cache);
  g_mutex_unlock (&cache->lock);
}

/* ── Pictures that are asked for one by one ─────────────────────────────── */

static char *
part_key (ModelCall *call, guint first)
{
  g_autofree char *text = g_strdup_printf ("%s/%u", call->key, first);

  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
}

/*
 * model_call_take_kept_pictures:
 * @images: those that there are already; gets more
 *
 * Takes what an attempt that failed later has paid for.
 *
 * Returns: whether there was something
 */
gboolean
model_call_take_kept_pictures (ModelCall *call, JsonArray *images)
{
  g_autofree char *key = call->cache ? part_key (call, json_array_get_length (images)) : NULL;
  g_autoptr (JsonObject) part = key ? model_cache_get (call->cache, key, call) : NULL;
  JsonArray *kept = part ? derush_json_get_array (part, "images") : NULL;
  guint n = kept ? json_array_get_length (kept) : 0;

  for (guint i = 0; i < n; i++)
    json_array_add_element (images, json_node_copy (json_array_get_element (kept, i)));
  return n > 0;
}

/*
 * model_call_keep_pictures_made:
 * @images: those that there are
 * @first: which of them the last answer begins with
 */
void
model_call_keep_pictures_made (ModelCall *call, JsonArray *images, guint first)
{
  g_autofree char *key = call->cache ? part_key (call, first) : NULL;
  g_autoptr (JsonObject) part = json_object_new ();
  JsonArray *made = json_array_new ();

  for (guint i = first; i < json_array_get_length (images); i++)
    json_array_add_element (made, json_node_copy (json_array_get_element (images, i)));
  json_object_set_array_member (part, "images", made);
  if (key)
    model_cache_put (call->cache, key, call, part);
}
