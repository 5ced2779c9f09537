/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Every shape of ../shared/jobs/jobs.json is planned, or refused as something for a later version. */

#include "jobs-test.h"
#include "jobs/jobs-private.h"

#include <string.h>

/* The ids in the file stand for those that a detection of the same video returned. */
static void
fill_in_ids (GString *text)
{
  g_autoptr (JsonObject) data =
      derush_json_parse_object ("{\"videoId\":\"v1\",\"videoUrl\":\"/films/film.mp4\"}", -1, NULL);
  g_autoptr (DerushPlan) detection = derush_plan_new ("HIGHLIGHT_DETECTION", data, DERUSH_PLAN_NONE, NULL);
  g_autofree char *one = highlight_id (detection, 10, 16), *two = highlight_id (detection, 60, 65);
  g_autofree char *ids = g_strdup_printf ("\"highlightIds\":[\"%s\",\"%s\"]", one, two);

  g_string_replace (text, "\"highlightIds\":[\"h1\",\"h2\"]", ids, 0);
}

static JsonObject *
data_of (JsonNode *node)
{
  g_autofree char *text = derush_json_node_to_string (node);
  g_autoptr (GString) filled = g_string_new (text);

  fill_in_ids (filled);
  g_string_replace (filled, "$FILM", "/films/film.mp4", 0);
  g_string_replace (filled, "$AUDIO", "/films/sound.wav", 0);
  g_string_replace (filled, "$OUT", "/out", 0);
  return derush_json_parse_object (filled->str, -1, NULL);
}

static void
check_shape (const char *type, const char *name, JsonNode *node, JsonObject *returns)
{
  g_autoptr (JsonObject) data = data_of (node), results = json_object_new (), value = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushPlan) plan = derush_plan_new (name, data, DERUSH_PLAN_STRICT, &error);
  g_autoptr (GList) members = json_object_get_members (returns);

  if (!plan && g_error_matches (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_UNSUPPORTED) &&
      g_str_has_prefix (error->message, type))
    return;
  g_assert_no_error (error);
  g_assert_cmpstr (plan->job_type, ==, type);
  /* What a workflow is made on, and returns, is for those who run its steps. */
  if (strcmp (type, "WORKFLOW_EXECUTION") == 0)
    return;
  g_assert_cmpuint (plan->steps->len, >, 0);
  value = derush_plan_return_value (plan, results, NULL, NULL, NULL, 0);
  for (GList *m = members; m; m = m->next) {
    JsonNode *made = json_object_get_member (value, m->data), *wanted = json_object_get_member (returns, m->data);

    if (!made)
      g_error ("%s: there is no %s", type, (char *)m->data);
    if (JSON_NODE_HOLDS_ARRAY (wanted))
      g_assert_true (JSON_NODE_HOLDS_ARRAY (made));
    if (JSON_NODE_HOLDS_OBJECT (wanted))
      g_assert_true (JSON_NODE_HOLDS_OBJECT (made));
  }
}

static void
test_shapes (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("DERUSH_SHARED"), "jobs", "jobs.json", NULL), *text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) all = NULL;
  JsonObjectIter iter;
  const char *type;
  JsonNode *node;
  guint n = 0;

  g_assert_true (g_file_get_contents (path, &text, NULL, &error));
  all = derush_json_parse_object (text, -1, &error);
  g_assert_no_error (error);
  json_object_iter_init (&iter, all);
  while (json_object_iter_next (&iter, &type, &node)) {
    JsonObject *job;
    JsonArray *also;

    if (!JSON_NODE_HOLDS_OBJECT (node))
      continue;
    job = json_node_get_object (node);
    also = derush_json_get_array (job, "also");
    g_assert_cmpstr (derush_job_type_get_queue (type), ==, json_object_get_string_member (job, "queue"));
    check_shape (type, json_object_get_string_member (job, "name"), json_object_get_member (job, "data"),
                 json_object_get_object_member (job, "returns"));
    for (guint i = 0; also && i < json_array_get_length (also); i++)
      check_shape (type, json_object_get_string_member (job, "name"), json_array_get_element (also, i),
                   json_object_get_object_member (job, "returns"));
    n++;
  }
  g_assert_cmpuint (n, >=, 12);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/jobs/shared/every-shape-that-backends-send-is-understood", test_shapes);
  return g_test_run ();
}
