/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow-private.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_FAULTS 16
#define MAX_ID 64
#define MAX_NAME 512
#define MAX_RETRIES 100
#define MAX_DELAY 86400000  /* ms */
#define MAX_DURATION 604800 /* s */
#define MAX_MULTIPLIER 100

/* What a step weighs of which nothing is said, in seconds. */
#define DEFAULT_DURATION 60

/* Members that something reads, here or in the backends that keep definitions; others are probably misspelt. */
static const char *const known[] = {
    "id",         "name",      "description", "version",      "steps",       "retryPolicy", "estimatedTotalDuration",
    "isParallel", "isActive",  "timeout",     "tags",         "inputSchema", "metadata",    "maxConcurrentSteps",
    "createdAt",  "updatedAt", "userId",      "outputSchema", "projectId",   NULL};
static const char *const known_of_step[] = {
    "id",         "name",      "description", "jobType", "jobData", "dependencies", "estimatedDuration", "retryCount",
    "maxRetries", "onFailure", "metadata",    "status",  NULL};

GQuark
derush_workflow_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-workflow-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

/* ── Faults ─────────────────────────────────────────────────────────────── */

typedef struct {
  DerushWorkflow *workflow;
  GPtrArray *faults;
  guint more;

  GPtrArray *ancestors; /* for the references */
  guint step;
} Checker;

static void fault (Checker *checker, const char *pointer, const char *format, ...) G_GNUC_PRINTF (3, 4);

static void
fault (Checker *checker, const char *pointer, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list arguments;

  if (checker->faults->len >= MAX_FAULTS) {
    checker->more++;
    return;
  }
  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_ptr_array_add (checker->faults, g_strdup_printf ("%s %s", *pointer ? pointer : "/", text));
}

static gboolean
finish (Checker *checker, GError **error)
{
  g_autofree char *all = NULL, *more = NULL, *line = NULL;

  if (checker->faults->len == 0)
    return TRUE;
  g_ptr_array_add (checker->faults, NULL);
  all = g_strjoinv ("; ", (char **)checker->faults->pdata);
  if (checker->more > 0) {
    more = g_strdup_printf (_ ("and %u more"), checker->more);
    line = g_strconcat (all, "; ", more, NULL);
  }
  g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("The workflow cannot be used: %s"),
               line ? line : all);
  g_strdelimit ((*error)->message, "\r\n", ' ');
  return FALSE;
}

/* A value for people: shortened, in quotes if it is a text. */
static char *
quote (JsonNode *node)
{
  g_autofree char *text = NULL, *start = NULL;

  if (!node)
    return g_strdup (_ ("missing"));
  text = derush_json_node_to_string (node);
  if (g_utf8_strlen (text, -1) <= 80)
    return g_steal_pointer (&text);
  start = g_utf8_substring (text, 0, 79);
  return g_strconcat (start, "…", NULL);
}

/* ── Members ────────────────────────────────────────────────────────────── */

static gboolean
holds_nothing (JsonNode *node)
{
  return !node || JSON_NODE_HOLDS_NULL (node);
}

static char *
read_text (Checker *checker, JsonObject *object, const char *pointer, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);
  const char *text = derush_json_get_string (object, name, NULL);
  g_autofree char *inner = g_strconcat (pointer, "/", name, NULL), *value = NULL;

  if (holds_nothing (node))
    return NULL;
  if (text && g_utf8_strlen (text, -1) <= MAX_NAME)
    return g_strdup (text);
  value = quote (node);
  fault (checker, inner, _ ("is %s, must be a text of at most %d characters"), value, MAX_NAME);
  return NULL;
}

static double
read_number (Checker *checker, JsonObject *object, const char *pointer, const char *name, double min, double max,
             gboolean whole, double fallback)
{
  JsonNode *node = json_object_get_member (object, name);
  double number = derush_json_get_number (object, name, NAN);
  g_autofree char *inner = g_strconcat (pointer, "/", name, NULL), *value = NULL;

  if (holds_nothing (node))
    return fallback;
  if (number >= min && number <= max && (!whole || floor (number) == number))
    return number;
  value = quote (node);
  if (whole)
    fault (checker, inner, _ ("is %s, must be a whole number from %.15g to %.15g"), value, min, max);
  else
    fault (checker, inner, _ ("is %s, must be a number from %.15g to %.15g"), value, min, max);
  return fallback;
}

static char *
read_id (Checker *checker, JsonObject *object, const char *pointer)
{
  JsonNode *node = json_object_get_member (object, "id");
  const char *text = derush_json_get_string (object, "id", NULL);
  g_autofree char *inner = g_strconcat (pointer, "/id", NULL), *value = NULL;
  gsize length = text ? strspn (text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-") : 0;

  if (text && length > 0 && length <= MAX_ID && text[length] == '\0')
    return g_strdup (text);
  value = quote (node);
  fault (checker, inner, _ ("is %s, must be a text of letters, digits, “_” and “-”, %d of them at most"), value,
         MAX_ID);
  return NULL;
}

static void
check_known (Checker *checker, JsonObject *object, const char *pointer, const char *const *names)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &name, &node))
    if (!g_strv_contains (names, name) && checker->workflow->warnings->len < MAX_FAULTS)
      g_ptr_array_add (
          checker->workflow->warnings,
          g_strdup_printf (_ ("%s/%.80s of the workflow is ignored, because it means nothing there"), pointer, name));
}

/* ── Steps ──────────────────────────────────────────────────────────────── */

static void
step_free (DerushWorkflowStep *step)
{
  g_free (step->id);
  g_free (step->job_type);
  g_clear_pointer (&step->job_data, json_object_unref);
  g_array_unref (step->dependencies);
  g_array_unref (step->references);
  g_free (step);
}

static char *
read_job_type (Checker *checker, JsonObject *object, const char *pointer)
{
  const char *text = derush_json_get_string (object, "jobType", NULL);
  g_autofree char *inner = g_strconcat (pointer, "/jobType", NULL), *value = NULL, *types = NULL, *type = NULL;

  type = text && *text ? derush_job_type_from_name (text, NULL) : NULL;
  if (g_strcmp0 (type, "WORKFLOW_EXECUTION") == 0 || g_strcmp0 (type, "WORKFLOW_STEP") == 0) {
    fault (checker, inner, _ ("is %s, but a workflow cannot be a step of a workflow"), type);
    return NULL;
  }
  if (type)
    return g_steal_pointer (&type);
  value = quote (json_object_get_member (object, "jobType"));
  types = g_strjoinv (", ", (char **)derush_job_types ());
  fault (checker, inner, _ ("is %s, must be one of %s"), value, types);
  return NULL;
}

static gboolean
read_on_failure (Checker *checker, JsonObject *object, const char *pointer)
{
  JsonNode *node = json_object_get_member (object, "onFailure");
  const char *text = derush_json_get_string (object, "onFailure", NULL);
  g_autofree char *inner = g_strconcat (pointer, "/onFailure", NULL), *value = NULL;

  if (holds_nothing (node) || (text && g_ascii_strcasecmp (text, "fail") == 0))
    return FALSE;
  if (text && g_ascii_strcasecmp (text, "skip") == 0)
    return TRUE;
  value = quote (node);
  fault (checker, inner, _ ("is %s, must be fail or skip"), value);
  return FALSE;
}

static void
read_step (Checker *checker, JsonNode *node, guint i, double max_retries)
{
  g_autofree char *pointer = g_strdup_printf ("/steps/%u", i), *value = NULL;
  DerushWorkflowStep *step = g_new0 (DerushWorkflowStep, 1);
  JsonObject *object;
  JsonNode *data;

  step->dependencies = g_array_new (FALSE, FALSE, sizeof (guint));
  step->references = g_array_new (FALSE, FALSE, sizeof (guint));
  g_ptr_array_add (checker->workflow->steps, step);
  if (!JSON_NODE_HOLDS_OBJECT (node)) {
    value = quote (node);
    fault (checker, pointer, _ ("is %s, must be an object"), value);
    step->job_data = json_object_new ();
    return;
  }
  object = json_node_get_object (node);
  step->id = read_id (checker, object, pointer);
  step->job_type = read_job_type (checker, object, pointer);
  data = json_object_get_member (object, "jobData");
  if (!holds_nothing (data) && !JSON_NODE_HOLDS_OBJECT (data)) {
    g_autofree char *inner = g_strconcat (pointer, "/jobData", NULL);

    value = quote (data);
    fault (checker, inner, _ ("is %s, must be an object"), value);
  }
  step->job_data = data && JSON_NODE_HOLDS_OBJECT (data) ? json_node_dup_object (data) : json_object_new ();
  step->estimated_duration =
      read_number (checker, object, pointer, "estimatedDuration", 0, MAX_DURATION, FALSE, DEFAULT_DURATION);
  step->max_retries = read_number (checker, object, pointer, "maxRetries", 0, MAX_RETRIES, TRUE, max_retries);
  step->skip_on_failure = read_on_failure (checker, object, pointer);
  check_known (checker, object, pointer, known_of_step);
}

static void
add_index (GArray *array, guint index)
{
  for (guint i = 0; i < array->len; i++)
    if (g_array_index (array, guint, i) == index)
      return;
  g_array_append_val (array, index);
}

static void
read_dependencies (Checker *checker, JsonObject *object, guint i)
{
  JsonNode *node = json_object_get_member (object, "dependencies");
  g_autofree char *pointer = g_strdup_printf ("/steps/%u/dependencies", i);
  DerushWorkflowStep *step = checker->workflow->steps->pdata[i];
  JsonArray *array;

  if (holds_nothing (node))
    return;
  if (!JSON_NODE_HOLDS_ARRAY (node)) {
    g_autofree char *value = quote (node);

    fault (checker, pointer, _ ("is %s, must be a list of ids of steps"), value);
    return;
  }
  array = json_node_get_array (node);
  for (guint d = 0; d < json_array_get_length (array); d++) {
    JsonNode *element = json_array_get_element (array, d);
    gboolean is_text = JSON_NODE_HOLDS_VALUE (element) && json_node_get_value_type (element) == G_TYPE_STRING;
    g_autofree char *inner = g_strdup_printf ("%s/%u", pointer, d), *value = NULL;
    guint index;

    if (is_text && derush_workflow_find_step (checker->workflow, json_node_get_string (element), &index)) {
      add_index (step->dependencies, index);
      continue;
    }
    value = quote (element);
    fault (checker, inner, _ ("is %s, which is no step of this workflow"), value);
  }
}

static void
check_ids (Checker *checker)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < checker->workflow->steps->len; i++) {
    DerushWorkflowStep *step = checker->workflow->steps->pdata[i];
    g_autofree char *pointer = g_strdup_printf ("/steps/%u/id", i);

    if (step->id && g_hash_table_contains (seen, step->id))
      fault (checker, pointer, _ ("is “%s”, as that of step %u is; ids are unique"), step->id,
             GPOINTER_TO_UINT (g_hash_table_lookup (seen, step->id)));
    else if (step->id)
      g_hash_table_insert (seen, step->id, GUINT_TO_POINTER (i));
  }
}

/* ── References ─────────────────────────────────────────────────────────── */

static void
check_reference (const char *pointer, const WorkflowReference *reference, gpointer user_data)
{
  Checker *checker = user_data;
  DerushWorkflowStep *step = checker->workflow->steps->pdata[checker->step];
  GByteArray *ancestors = checker->ancestors->pdata[checker->step];
  guint n, index;

  if (!reference) {
    fault (checker, pointer, _ ("has a “${” without its “}”; “$${” stands for one that is meant as it is"));
    return;
  }
  n = g_strv_length (reference->words);
  for (guint i = 0; i < n; i++)
    if (reference->words[i][0] == '\0')
      n = 0;
  if (n >= 2 && strcmp (reference->words[0], "input") == 0)
    return;
  if (n < 3 || strcmp (reference->words[0], "steps") != 0) {
    fault (checker, pointer, _ ("refers to ${%.80s}, must be ${input.MEMBER} or ${steps.STEP.MEMBER}"),
           reference->text);
    return;
  }
  if (!derush_workflow_find_step (checker->workflow, reference->words[1], &index)) {
    fault (checker, pointer, _ ("refers to ${%.80s}, but there is no step “%.80s”"), reference->text,
           reference->words[1]);
    return;
  }
  if (!ancestors->data[index]) {
    fault (checker, pointer, _ ("refers to ${%.80s}, but step “%s” is not among the dependencies"), reference->text,
           reference->words[1]);
    return;
  }
  if (!reference->optional)
    add_index (step->references, index);
}

static void
check_references (Checker *checker)
{
  checker->ancestors = workflow_graph_get_ancestors (checker->workflow->steps);
  for (guint i = 0; i < checker->workflow->steps->len; i++) {
    DerushWorkflowStep *step = checker->workflow->steps->pdata[i];
    g_autofree char *pointer = g_strdup_printf ("/steps/%u/jobData", i);
    g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), step->job_data);

    checker->step = i;
    workflow_references_foreach (node, pointer, check_reference, checker);
  }
  g_clear_pointer (&checker->ancestors, g_ptr_array_unref);
}

/* ── Definitions ────────────────────────────────────────────────────────── */

static void
read_steps (Checker *checker, JsonObject *definition, double max_retries)
{
  JsonNode *node = json_object_get_member (definition, "steps");
  JsonArray *array = derush_json_get_array (definition, "steps");
  guint n = array ? json_array_get_length (array) : 0;
  g_autofree char *cycle = NULL;

  if (n == 0 || n > DERUSH_WORKFLOW_MAX_STEPS) {
    g_autofree char *value = array ? g_strdup_printf (_ ("a list of %u"), n) : quote (node);

    fault (checker, "/steps", _ ("is %s, must be a list of 1 to %d steps"), value, DERUSH_WORKFLOW_MAX_STEPS);
    return;
  }
  for (guint i = 0; i < n; i++)
    read_step (checker, json_array_get_element (array, i), i, max_retries);
  check_ids (checker);
  for (guint i = 0; i < n; i++)
    if (JSON_NODE_HOLDS_OBJECT (json_array_get_element (array, i)))
      read_dependencies (checker, json_array_get_object_element (array, i), i);
  cycle = workflow_graph_find_cycle (checker->workflow->steps);
  if (cycle)
    fault (checker, "/steps", _ ("have a cycle of dependencies: %s"), cycle);
  else
    check_references (checker);
}

static double
read_policy (Checker *checker, JsonObject *definition)
{
  DerushWorkflow *workflow = checker->workflow;
  JsonNode *node = json_object_get_member (definition, "retryPolicy");
  g_autoptr (JsonObject) none = json_object_new ();
  JsonObject *policy = none;

  if (!holds_nothing (node) && JSON_NODE_HOLDS_OBJECT (node)) {
    policy = json_node_get_object (node);
  } else if (!holds_nothing (node)) {
    g_autofree char *value = quote (node);

    fault (checker, "/retryPolicy", _ ("is %s, must be an object"), value);
  }
  workflow->retry_delay = read_number (checker, policy, "/retryPolicy", "retryDelay", 0, MAX_DELAY, TRUE, 5000);
  workflow->backoff_multiplier =
      read_number (checker, policy, "/retryPolicy", "backoffMultiplier", 1, MAX_MULTIPLIER, FALSE, 2);
  return read_number (checker, policy, "/retryPolicy", "maxRetries", 0, MAX_RETRIES, TRUE, 3);
}

/**
 * derush_workflow_new:
 * @definition: the definition
 * @error: return location for an error
 *
 * Checks @definition. The message of the error lists every fault with the JSON pointer of where it is.
 *
 * Returns: (transfer full) (nullable): the workflow
 */
DerushWorkflow *
derush_workflow_new (JsonObject *definition, GError **error)
{
  g_autoptr (DerushWorkflow) workflow = g_new0 (DerushWorkflow, 1);
  g_autoptr (GPtrArray) faults = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) fault_error = NULL;
  Checker checker = {.workflow = workflow, .faults = faults};
  double max_retries;

  g_atomic_ref_count_init (&workflow->reference_count);
  workflow->steps = g_ptr_array_new_with_free_func ((GDestroyNotify)step_free);
  workflow->warnings = g_ptr_array_new_with_free_func (g_free);
  workflow->definition = json_object_ref (definition);
  workflow->id = read_id (&checker, definition, "");
  workflow->name = read_text (&checker, definition, "", "name");
  workflow->description = read_text (&checker, definition, "", "description");
  workflow->max_concurrent_steps =
      read_number (&checker, definition, "", "maxConcurrentSteps", 1, DERUSH_WORKFLOW_MAX_STEPS, TRUE, 0);
  max_retries = read_policy (&checker, definition);
  read_steps (&checker, definition, max_retries);
  check_known (&checker, definition, "", known);
  if (!finish (&checker, &fault_error)) {
    g_propagate_error (error, g_steal_pointer (&fault_error));
    return NULL;
  }
  if (!workflow->name)
    workflow->name = g_strdup (workflow->id);
  return g_steal_pointer (&workflow);
}

/**
 * derush_workflow_parse:
 * @text: a definition as JSON
 * @length: its length in bytes, or -1
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the workflow
 */
DerushWorkflow *
derush_workflow_parse (const char *text, gssize length, GError **error)
{
  g_autoptr (JsonObject) definition = NULL;

  if (length < 0)
    length = strlen (text);
  if (length > DERUSH_WORKFLOW_MAX_BYTES) {
    g_set_error (error, DERUSH_WORKFLOW_ERROR, DERUSH_ERROR_BAD_INPUT,
                 _ ("The definition of the workflow is too long: it has %zd bytes, %d are allowed"), length,
                 DERUSH_WORKFLOW_MAX_BYTES);
    return NULL;
  }
  definition = derush_json_parse_object (text, length, error);
  return definition ? derush_workflow_new (definition, error) : NULL;
}

DerushWorkflow *
derush_workflow_ref (DerushWorkflow *workflow)
{
  g_atomic_ref_count_inc (&workflow->reference_count);
  return workflow;
}

void
derush_workflow_unref (DerushWorkflow *workflow)
{
  if (!g_atomic_ref_count_dec (&workflow->reference_count))
    return;
  g_free (workflow->id);
  g_free (workflow->name);
  g_free (workflow->description);
  g_free (workflow->path);
  g_ptr_array_unref (workflow->steps);
  g_ptr_array_unref (workflow->warnings);
  json_object_unref (workflow->definition);
  g_free (workflow);
}

/**
 * derush_workflow_find_step:
 * @workflow: a workflow
 * @id: the id of a step
 * @index: (out) (optional): its index
 *
 * Returns: whether there is one
 */
gboolean
derush_workflow_find_step (DerushWorkflow *workflow, const char *id, guint *index)
{
  for (guint i = 0; i < workflow->steps->len; i++) {
    if (g_strcmp0 (((DerushWorkflowStep *)workflow->steps->pdata[i])->id, id) != 0)
      continue;
    if (index)
      *index = i;
    return TRUE;
  }
  return FALSE;
}

/**
 * derush_workflow_get_estimated_duration:
 * @workflow: a workflow
 *
 * Returns: seconds that its steps take one after the other
 */
double
derush_workflow_get_estimated_duration (DerushWorkflow *workflow)
{
  double sum = 0;

  for (guint i = 0; i < workflow->steps->len; i++)
    sum += ((DerushWorkflowStep *)workflow->steps->pdata[i])->estimated_duration;
  return sum;
}
