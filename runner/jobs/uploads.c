/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs/jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_TARGETS 200
#define MAX_URL 8192
#define MAX_HEADERS 20
#define MAX_HEADER 4096
#define UPLOAD_WEIGHT 0.05
#define FILE_NAME "{file}"

typedef struct {
  char *role; /* or %NULL: any */
  char *url;
  GStrv headers; /* names and values in turn, or %NULL */
} Target;

static void
target_free (Target *target)
{
  g_free (target->role);
  g_free (target->url);
  g_strfreev (target->headers);
  g_free (target);
}

/* ── Reading ────────────────────────────────────────────────────────────── */

static const Field target_fields[] = {
    {"url", FIELD_TEXT, .max = MAX_URL}, {"role", FIELD_TEXT, .max = 64}, {"headers", FIELD_ANY}, {NULL}};

/* A name that is one token (RFC 9110), and not one of those that describe the connection or the body. */
static gboolean
is_header_name (const char *name)
{
  static const char *const ours[] = {
      "Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade", "Trailer", "TE", NULL};

  for (guint i = 0; ours[i]; i++)
    if (g_ascii_strcasecmp (name, ours[i]) == 0)
      return FALSE;
  for (const char *c = name; *c; c++)
    if (!g_ascii_isalnum (*c) && !strchr ("!#$%&'*+-.^_`|~", *c))
      return FALSE;
  return *name != '\0';
}

static gboolean
is_header_value (const char *value)
{
  for (const char *c = value; *c; c++)
    if (((guchar)*c < 0x20 && *c != '\t') || (guchar)*c == 0x7f)
      return FALSE;
  return strlen (value) <= MAX_HEADER;
}

static GStrv
read_headers (Checker *checker, JsonNode *node, const char *pointer)
{
  g_autofree char *where = g_strconcat (pointer, "/headers", NULL);
  g_autoptr (GPtrArray) headers = g_ptr_array_new_with_free_func (g_free);
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  if (!node || JSON_NODE_HOLDS_NULL (node))
    return NULL;
  if (!JSON_NODE_HOLDS_OBJECT (node) || json_object_get_size (json_node_get_object (node)) > MAX_HEADERS) {
    checker_fault (checker, where, _ ("must be an object of at most %d texts"), MAX_HEADERS);
    return NULL;
  }
  json_object_iter_init (&iter, json_node_get_object (node));
  while (json_object_iter_next (&iter, &name, &value)) {
    const char *text = JSON_NODE_HOLDS_VALUE (value) ? json_node_get_string (value) : NULL;
    g_autofree char *quoted = text_quote (name);

    if (is_header_name (name) && text && is_header_value (text)) {
      g_ptr_array_add (headers, g_strdup (name));
      g_ptr_array_add (headers, g_strdup (text));
    } else {
      checker_fault (checker, where, _ ("has %s, which is no header that a job may set, or not with such a value"),
                     quoted);
    }
  }
  g_ptr_array_add (headers, NULL);
  return (GStrv)g_ptr_array_steal (headers, NULL);
}

static Target *
read_target (Checker *checker, JsonNode *node, guint number)
{
  g_autofree char *pointer = g_strdup_printf ("/uploads/%u", number), *where = NULL, *plain = NULL;
  g_autoptr (JsonObject) values = json_object_new (), alone = NULL;
  g_auto (GStrv) parts = NULL;
  const Field *tables[] = {target_fields, NULL};
  const char *url;
  Target *target;

  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING) {
    alone = json_object_new ();
    json_object_set_string_member (alone, "url", json_node_get_string (node));
  } else if (!JSON_NODE_HOLDS_OBJECT (node)) {
    checker_fault (checker, pointer, _ ("must be an address, or an object with url, and with role or headers"));
    return NULL;
  }
  checker_read (checker, alone ? alone : json_node_get_object (node), pointer, target_fields, values);
  checker_read_rest (checker, alone ? alone : json_node_get_object (node), pointer, tables);
  url = derush_json_get_string (values, "url", "");
  parts = g_strsplit (url, FILE_NAME, -1);
  plain = g_strjoinv ("file", parts);
  where = g_strconcat (pointer, "/url", NULL);
  if ((g_ascii_strncasecmp (url, "https://", 8) != 0 && g_ascii_strncasecmp (url, "http://", 7) != 0) ||
      !g_uri_is_valid (plain, G_URI_FLAGS_NONE, NULL)) {
    checker_fault (checker, where, _ ("must be a valid https: address that takes PUT"));
    return NULL;
  }
  target = g_new0 (Target, 1);
  target->url = g_strdup (url);
  target->role = g_strdup (derush_json_get_string (values, "role", NULL));
  target->headers = read_headers (checker, json_object_get_member (values, "headers"), pointer);
  return target;
}

void
plan_read_uploads (DerushPlan *plan, JsonNode *list, Checker *checker)
{
  guint n;

  if (!list || JSON_NODE_HOLDS_NULL (list))
    return;
  if (!JSON_NODE_HOLDS_ARRAY (list) || json_array_get_length (json_node_get_array (list)) > MAX_TARGETS) {
    checker_fault (checker, "/uploads", _ ("must be a list of at most %d addresses"), MAX_TARGETS);
    return;
  }
  n = json_array_get_length (json_node_get_array (list));
  if (n == 0)
    return;
  plan->uploads = g_ptr_array_new_with_free_func ((GDestroyNotify)target_free);
  plan->upload_weight = UPLOAD_WEIGHT;
  for (guint i = 0; i < n; i++) {
    Target *target = read_target (checker, json_array_get_element (json_node_get_array (list), i), i);

    if (target)
      g_ptr_array_add (plan->uploads, target);
  }
}

/* ── Assigning ──────────────────────────────────────────────────────────── */

static gboolean
takes (Target *target, DerushOutput *output, gboolean used)
{
  if (target->role && g_strcmp0 (target->role, output->role) != 0)
    return FALSE;
  return !used || strstr (target->url, FILE_NAME) != NULL;
}

static char *
address_of (Target *target, const char *file)
{
  g_auto (GStrv) parts = g_strsplit (target->url, FILE_NAME, -1);
  g_autofree char *escaped = g_uri_escape_string (file, NULL, FALSE);

  return g_strjoinv (escaped, parts);
}

/**
 * derush_plan_assign_uploads:
 * @plan: a plan
 * @outputs: (element-type DerushOutput): the files that the job has made
 * @warnings: (element-type utf8): where a file without an address is named
 *
 * Says where each of @outputs is to be sent: to the first address of its role, or of any role, that has `{file}` in it
 * or was given to no file before. A plan without addresses leaves all files as they are.
 */
void
derush_plan_assign_uploads (DerushPlan *plan, GPtrArray *outputs, GPtrArray *warnings)
{
  g_autofree gboolean *used = NULL;
  guint n = plan->uploads ? plan->uploads->len : 0;

  if (n == 0)
    return;
  used = g_new0 (gboolean, n);
  for (guint i = 0; i < outputs->len; i++) {
    DerushOutput *output = outputs->pdata[i];
    guint k = 0;

    while (k < n && !takes (plan->uploads->pdata[k], output, used[k]))
      k++;
    if (k == n) {
      g_ptr_array_add (warnings, g_strdup_printf (_ ("%s was not sent: uploads has no address left for role %s"),
                                                  output->file, output->role));
      continue;
    }
    used[k] = TRUE;
    output->upload_url = address_of (plan->uploads->pdata[k], output->file);
    output->upload_headers = g_strdupv (((Target *)plan->uploads->pdata[k])->headers);
  }
}
