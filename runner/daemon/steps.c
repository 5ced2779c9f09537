/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What a job knows that is a step of a workflow: where it was put, and how far the whole is. */

#include "daemon-private.h"

#include <string.h>

/*
 * Steps of the kind that workflows themselves are go where the workflow came from, which somebody serves; others to the
 * queue of their type.
 */
const char *
derush_daemon_route (const char *queue, const char *job_type)
{
  const char *usual = derush_job_type_get_queue (job_type);

  return g_strcmp0 (usual, derush_job_type_get_queue ("WORKFLOW_EXECUTION")) == 0 ? queue : usual;
}

/* ── Why a step failed ──────────────────────────────────────────────────── */

#define CLASS "class: "

char *
derush_daemon_step_describe_class (DerushErrorClass error_class, const char *debug)
{
  return g_strconcat (CLASS, derush_error_class_to_string (error_class), debug ? "\n" : NULL, debug, NULL);
}

/*
 * @job: (nullable): as derush_bullmq_queue_get_job_finish() has it
 *
 * Returns: %FALSE if it does not say, as when a worker of the backend's own ran it
 */
gboolean
derush_daemon_step_read_class (JsonObject *job, DerushErrorClass *error_class)
{
  JsonArray *stacks = derush_json_get_array (job, "stacktrace");
  guint n = stacks ? json_array_get_length (stacks) : 0;
  JsonNode *last = n > 0 ? json_array_get_element (stacks, n - 1) : NULL;
  const char *text = last && JSON_NODE_HOLDS_VALUE (last) ? json_node_get_string (last) : NULL, *line;
  g_autofree char *name = NULL;

  line = text ? strstr (text, "\n    " CLASS) : NULL;
  if (!line)
    return FALSE;
  line += strlen ("\n    " CLASS);
  name = g_strndup (line, strcspn (line, "\n"));
  return derush_error_class_from_string (name, error_class);
}

/* ── How far the whole is ───────────────────────────────────────────────── */

/* Of the job of a workflow: 0 to 1. */
double
derush_daemon_workflow_read_progress (JsonObject *job)
{
  JsonObject *progress = derush_json_get_object (job, "progress");

  return CLAMP (derush_json_get_number (progress, "progress", 0) / 100, 0, 1);
}

typedef struct {
  DerushDaemon *daemon;
  char *queue;
  char *id;
  char *step;
  JsonObject *state;
  double before;        /* the progress that was told last */
  GHashTable *progress; /* step's id → double, of those that run */
  guint n_missing;
} Report;

typedef struct {
  Report *report;
  DerushBullmqQueue *queue;
  char *step;
} Question;

static void
report_free (Report *report)
{
  g_free (report->queue);
  g_free (report->id);
  g_free (report->step);
  g_clear_pointer (&report->state, json_object_unref);
  g_hash_table_unref (report->progress);
  g_free (report);
}

static double
look_up (const char *step, JsonObject *saved, gpointer user_data)
{
  Report *report = user_data;
  double *progress = g_hash_table_lookup (report->progress, step);

  return progress ? *progress : 0;
}

static void
answered (Report *report)
{
  DerushWorkflowProgress progress;
  g_autoptr (JsonObject) object = NULL;
  g_autofree char *text = NULL, *store_id = NULL;

  if (--report->n_missing > 0)
    return;
  if (derush_workflow_saved_get_progress (report->state, derush_time_now_ms (), look_up, report, &progress)) {
    progress.progress = MAX (progress.progress, report->before);
    object = derush_workflow_progress_to_json (&progress, report->id, report->step);
    text = derush_json_object_to_string (object);
    store_id = g_strdup_printf ("%s:%s", report->queue, report->id);
    derush_bullmq_control_set_progress (report->daemon->control, report->queue, report->id, text);
    derush_store_job_progress (report->daemon->store, store_id, (int)(progress.progress * 100), report->step);
  }
  report_free (report);
}

static void
on_step (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Question *question = user_data;
  Report *report = question->report;
  g_autoptr (JsonObject) job = derush_bullmq_queue_get_job_finish (question->queue, result, NULL);
  double *progress = g_new (double, 1);

  *progress = g_strcmp0 (derush_json_get_string (job, "state", NULL), "completed") == 0
                  ? 1
                  : derush_json_get_number (job, "progress", 0) / 100;
  g_hash_table_insert (report->progress, question->step, progress);
  g_free (question);
  answered (report);
}

static void
ask_step (Report *report, const char *step, JsonObject *saved)
{
  const char *queue = derush_json_get_string (saved, "queue", NULL),
             *id = derush_json_get_string (saved, "jobId", NULL);
  Question *question;

  if (!queue || !id || g_strcmp0 (derush_json_get_string (saved, "status", NULL), "RUNNING") != 0)
    return;
  question = g_new0 (Question, 1);
  question->report = report;
  question->queue = derush_daemon_get_queue (report->daemon, queue);
  question->step = g_strdup (step);
  report->n_missing++;
  derush_bullmq_queue_get_job_async (question->queue, id, NULL, on_step, question);
}

static void
on_workflow (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Report *report = user_data;
  g_autoptr (JsonObject) job =
      derush_bullmq_queue_get_job_finish (derush_daemon_get_queue (report->daemon, report->queue), result, NULL);
  JsonObject *state = derush_json_get_object (derush_json_get_object (job, "data"), DERUSH_WORKFLOW_STATE),
             *steps = derush_json_get_object (state, "steps");
  JsonObjectIter iter;
  const char *id;
  JsonNode *node;

  /* While somebody decides what is next, that one says how far it is. */
  if (!steps || g_strcmp0 (derush_json_get_string (job, "state", NULL), "waiting-children") != 0) {
    report_free (report);
    return;
  }
  report->state = json_object_ref (state);
  report->before = derush_daemon_workflow_read_progress (job);
  report->n_missing = 1;
  json_object_iter_init (&iter, steps);
  while (json_object_iter_next (&iter, &id, &node))
    if (JSON_NODE_HOLDS_OBJECT (node))
      ask_step (report, id, json_node_get_object (node));
  answered (report);
}

void
derush_daemon_workflow_report (DerushDaemon *daemon, DerushBullmqJob *step)
{
  g_autofree char *queue = NULL, *id = NULL;
  Report *report;

  if (!derush_bullmq_job_get_parent (step, &queue, &id))
    return;
  report = g_new0 (Report, 1);
  report->daemon = daemon;
  report->queue = g_steal_pointer (&queue);
  report->id = g_steal_pointer (&id);
  report->step = g_strdup (derush_json_get_string (derush_bullmq_job_get_opts (step), DERUSH_STEP_OPTION, NULL));
  report->progress = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  derush_bullmq_queue_get_job_async (derush_daemon_get_queue (daemon, report->queue), report->id, NULL, on_workflow,
                                     report);
}
