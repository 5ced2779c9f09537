/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* How long the steps of each workflow took lately: a small JSON file, `{"WORKFLOW":{"STEP":[seconds, …]}}`. */

#include "workflow/workflow-private.h"

#include <stdlib.h>
#include <string.h>

/* The median of so many runs is used, and so many workflows are remembered. */
#define MAX_RUNS 9
#define MAX_WORKFLOWS 200
#define MAX_BYTES (4 * 1024 * 1024)

static JsonObject *
read_learned (const char *path)
{
  g_autofree char *text = NULL;
  gsize length;
  JsonObject *learned = NULL;

  /* What cannot be read is learned anew. */
  if (g_file_get_contents (path, &text, &length, NULL) && length <= MAX_BYTES)
    learned = derush_json_parse_object (text, length, NULL);
  return learned;
}

static JsonArray *
times_of (JsonObject *learned, const char *workflow, const char *step)
{
  return derush_json_get_array (derush_json_get_object (learned, workflow), step);
}

static int
compare_numbers (gconstpointer a, gconstpointer b)
{
  double one = *(const double *)a, other = *(const double *)b;

  return one < other ? -1 : one > other;
}

static double
number_at (JsonArray *array, guint i)
{
  JsonNode *node = json_array_get_element (array, i);

  return JSON_NODE_HOLDS_VALUE (node) ? json_node_get_double (node) : 0;
}

/* 0: nothing is known. */
static double
median_of (JsonArray *times)
{
  double values[MAX_RUNS];
  guint n = 0;

  for (guint i = 0; times && i < json_array_get_length (times) && n < MAX_RUNS; i++) {
    double value = number_at (times, i);

    if (value > 0)
      values[n++] = value;
  }
  if (n == 0)
    return 0;
  qsort (values, n, sizeof *values, compare_numbers);
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/**
 * derush_workflow_recall:
 * @path: the file
 * @workflow: a workflow
 *
 * Replaces the estimated durations of steps by what they took in the last runs: the median, so that one odd film does
 * not count. Steps that never ran are to the others as the definition says.
 */
void
derush_workflow_recall (const char *path, DerushWorkflow *workflow)
{
  g_autoptr (JsonObject) learned = read_learned (path);
  double known = 0, estimated = 0, scale;

  for (guint i = 0; i < workflow->steps->len; i++) {
    DerushWorkflowStep *step = workflow->steps->pdata[i];
    double median = median_of (times_of (learned, workflow->id, step->id));

    known += median;
    estimated += median > 0 ? step->estimated_duration : 0;
  }
  if (known <= 0)
    return;
  /* What never ran is to the rest as the definition says. */
  scale = estimated > 0 ? known / estimated : 1;
  for (guint i = 0; i < workflow->steps->len; i++) {
    DerushWorkflowStep *step = workflow->steps->pdata[i];
    double median = median_of (times_of (learned, workflow->id, step->id));

    step->estimated_duration = median > 0 ? median : step->estimated_duration * scale;
  }
}

static void
add_time (JsonObject *steps, const char *id, double seconds)
{
  JsonArray *before = derush_json_get_array (steps, id), *times = json_array_new ();
  guint n = before ? json_array_get_length (before) : 0;

  for (guint i = n >= MAX_RUNS ? n - MAX_RUNS + 1 : 0; i < n; i++)
    json_array_add_double_element (times, number_at (before, i));
  json_array_add_double_element (times, seconds);
  json_object_set_array_member (steps, id, times);
}

/* A copy whose members can be replaced; the oldest workflow goes when there are too many. */
static JsonObject *
copy_without (JsonObject *learned, const char *workflow)
{
  JsonObject *copy = json_object_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;
  guint n = learned ? json_object_get_size (learned) : 0, skip = n >= MAX_WORKFLOWS ? n - MAX_WORKFLOWS + 1 : 0;

  if (!learned)
    return copy;
  json_object_iter_init_ordered (&iter, learned);
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    if (skip > 0) {
      skip--;
      continue;
    }
    if (strcmp (name, workflow) != 0)
      json_object_set_member (copy, name, workflow_copy_node (node));
  }
  return copy;
}

/**
 * derush_workflow_learn:
 * @path: the file; it is made if it is missing
 * @run: a run that has ended
 *
 * Remembers how long those steps took that have completed.
 */
void
derush_workflow_learn (const char *path, DerushWorkflowRun *run)
{
  g_autoptr (JsonObject) learned = read_learned (path);
  g_autoptr (JsonObject) all = copy_without (learned, run->workflow->id);
  JsonObject *before = derush_json_get_object (learned, run->workflow->id), *steps = json_object_new ();
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  json_object_set_object_member (all, run->workflow->id, steps);
  for (guint i = 0; i < run->workflow->steps->len; i++) {
    DerushWorkflowStep *definition = run->workflow->steps->pdata[i];
    WorkflowStepState *step = &run->steps[i];

    if (before && json_object_has_member (before, definition->id))
      json_object_set_member (steps, definition->id,
                              workflow_copy_node (json_object_get_member (before, definition->id)));
    if (step->status == DERUSH_WORKFLOW_STEP_COMPLETED && step->processing_time > 0)
      add_time (steps, definition->id, step->processing_time / 1000.0);
  }
  text = derush_json_object_to_string (all);
  if (!derush_file_write_atomically (path, text, -1, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "How long the steps of workflows take could not be kept: %s", error->message);
}
