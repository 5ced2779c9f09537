/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

/* A longer one is no use in a return value, which travels through Redis many times. */
#define DOWNLOAD_WEIGHT 0.1
#define MAX_METADATA 4096

#define SOURCE(name)                                                                                                   \
  {                                                                                                                    \
    name, FIELD_TEXT, "source", .max = 8192                                                                            \
  }
#define ID(name, to)                                                                                                   \
  {                                                                                                                    \
    name, FIELD_ID, to, .max = 512                                                                                     \
  }

/* What every job's data may have. */
const Field envelope_fields[] = {
    ID ("videoId", NULL),
    ID ("mediaId", "videoId"),
    ID ("id", "videoId"),
    ID ("userId", NULL),
    ID ("projectId", NULL),
    ID ("workflowId", NULL),
    ID ("executionId", "workflowId"),
    ID ("stepId", NULL),
    SOURCE ("videoUrl"),
    SOURCE ("inputUrl"),
    SOURCE ("inputPath"),
    SOURCE ("sourceUrl"),
    SOURCE ("audioUrl"),
    SOURCE ("audioPath"),
    SOURCE ("fileKey"),
    SOURCE ("key"),
    {"outputDir", FIELD_TEXT, .max = 4096},
    {"uploads", FIELD_ANY},
    {"webhookUrl", FIELD_TEXT, .max = 8192},
    {"timeoutMs", FIELD_INTEGER, .min = 1, .max = 604800000},
    {"noProgressMs", FIELD_INTEGER, .min = 1000, .max = 86400000},
    {"priority", FIELD_ANY},
    {"metadata", FIELD_ANY},
    {"type", FIELD_ANY},
    {"jobType", FIELD_ANY},
    {NULL},
};

/**
 * derush_job_source_members:
 *
 * Returns: (transfer none) (array zero-terminated=1): the members of a job's data under which it may name its source
 */
const char *const *
derush_job_source_members (void)
{
  static const char *members[G_N_ELEMENTS (envelope_fields)];
  static gsize ready;

  if (g_once_init_enter (&ready)) {
    guint n = 0;

    for (const Field *field = envelope_fields; field->name; field++)
      if (g_strcmp0 (field->to, "source") == 0)
        members[n++] = field->name;
    g_once_init_leave (&ready, 1);
  }
  return members;
}

static void
plan_step_free (DerushPlanStep *step)
{
  g_free (step->name);
  g_free (step->action);
  g_free (step->needs);
  json_object_unref (step->parameters);
  g_free (step);
}

JsonObject *
plan_add_step (DerushPlan *plan, const char *name, DerushStepWorker worker, double weight)
{
  DerushPlanStep *step = g_new0 (DerushPlanStep, 1);

  step->name = g_strdup (name);
  step->action = g_strdup (name);
  step->worker = worker;
  step->weight = weight;
  step->parameters = json_object_new ();
  g_ptr_array_add (plan->steps, step);
  return step->parameters;
}

DerushPlanStep *
plan_find_step (DerushPlan *plan, const char *name)
{
  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, i);

    if (strcmp (step->name, name) == 0)
      return step;
  }
  return NULL;
}

/* Whether @data names a source at all, if only a wrong one, which has its own fault. */
static gboolean
tries_to_name_source (JsonObject *data)
{
  for (const Field *field = envelope_fields; field->name; field++) {
    JsonNode *node = json_object_get_member (data, field->name);

    if (g_strcmp0 (field->to, "source") == 0 && node && !JSON_NODE_HOLDS_NULL (node) &&
        g_strcmp0 (derush_json_get_string (data, field->name, NULL), "") != 0)
      return TRUE;
  }
  return FALSE;
}

/* Whether @source names something that a runner can open. A relative path depends on who reads it, so it is none. */
void
plan_set_source (DerushPlan *plan, const char *source, const char *pointer, Checker *checker)
{
  g_autofree char *scheme = NULL, *quoted = NULL;

  g_free (plan->source);
  plan->source = g_strdup (source);
  if (g_path_is_absolute (source))
    return;
  quoted = text_quote (source);
  scheme = g_uri_parse_scheme (source);
  if (scheme && (g_ascii_strcasecmp (scheme, "https") == 0 || g_ascii_strcasecmp (scheme, "http") == 0) &&
      strncmp (source + strlen (scheme), "://", 3) == 0) {
    plan->download_weight = DOWNLOAD_WEIGHT;
    if (g_uri_is_valid (source, G_URI_FLAGS_NONE, NULL))
      return;
    checker_fault (checker, pointer, _ ("is %s, which is not a valid address"), quoted);
  } else if (scheme && g_ascii_strcasecmp (scheme, "file") == 0) {
    /* file://HOST/… names another machine's file; what backends write unescaped is for the runner to open. */
    if (g_str_has_prefix (source + 5, "///") || g_ascii_strncasecmp (source + 5, "//localhost/", 12) == 0 ||
        (source[5] == '/' && source[6] != '/'))
      return;
    checker_fault (checker, pointer, _ ("is %s, must be file:// and an absolute path"), quoted);
  } else if (scheme && g_ascii_strcasecmp (scheme, "s3") == 0) {
    checker_unsupported (
        checker, pointer,
        _ ("is %s, which this version of Derush does not fetch; use an absolute path or an https: address"), quoted);
  } else {
    checker_fault (checker, pointer, _ ("is %s, must be an absolute path, a file: or an https: address"), quoted);
  }
}

static void
check_source (DerushPlan *plan, JsonObject *values, Checker *checker, gboolean needed)
{
  const char *source = derush_json_get_string (values, "source", NULL);

  if (source)
    plan_set_source (plan, source, checker_pointer (checker, "source"), checker);
  else if (needed && !tries_to_name_source (plan->data))
    checker_fault (checker, "/videoUrl",
                   _ ("is missing: name the film as an absolute path, a file: or an https: address "
                      "(videoUrl, inputUrl, inputPath or sourceUrl)"));
}

static void
check_output_dir (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  const char *folder = derush_json_get_string (values, "outputDir", NULL);
  g_autofree char *path = NULL, *quoted = NULL, *host = NULL;

  if (!folder)
    return;
  if (g_ascii_strncasecmp (folder, "file:", 5) == 0)
    path = g_filename_from_uri (folder, &host, NULL);
  else if (g_path_is_absolute (folder))
    path = g_strdup (folder);
  if (path && (!host || g_ascii_strcasecmp (host, "localhost") == 0)) {
    plan->output_dir = g_steal_pointer (&path);
    return;
  }
  quoted = text_quote (folder);
  checker_fault (checker, "/outputDir", _ ("is %s, must be an absolute path"), quoted);
}

static void
check_metadata (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  JsonNode *metadata = json_object_get_member (values, "metadata");
  g_autofree char *text = NULL;

  if (!metadata)
    return;
  text = derush_json_node_to_string (metadata);
  if (strlen (text) <= MAX_METADATA)
    plan->metadata = json_copy_finite (metadata);
  else
    checker_warn (checker, _ ("/metadata is not repeated in the result: it is longer than %d bytes"), MAX_METADATA);
}

static void
check_type_member (const JobType *type, JsonObject *data, Checker *checker)
{
  const char *said = derush_json_get_string (data, "type", NULL);
  const JobType *other = job_type_find (said);

  if (other && other != type && !field_find (type->fields, "type"))
    checker_warn (checker, _ ("/type says %s, but the job's name says %s, which counts"), other->name, type->name);
}

/* Whoever runs the job tells that address of its end. */
static void
check_webhook (JsonObject *values, Checker *checker)
{
  const char *url = derush_json_get_string (values, "webhookUrl", NULL);

  if (url && ((g_ascii_strncasecmp (url, "https://", 8) != 0 && g_ascii_strncasecmp (url, "http://", 7) != 0) ||
              !g_uri_is_valid (url, G_URI_FLAGS_NONE, NULL)))
    checker_fault (checker, "/webhookUrl", _ ("must be a valid https: address that takes POST"));
}

static void
check_envelope (DerushPlan *plan, const JobType *type, JsonObject *values, Checker *checker)
{
  plan->video_id = g_strdup (derush_json_get_string (values, "videoId", NULL));
  plan->user_id = g_strdup (derush_json_get_string (values, "userId", NULL));
  plan->project_id = g_strdup (derush_json_get_string (values, "projectId", NULL));
  plan->workflow_id = g_strdup (derush_json_get_string (values, "workflowId", NULL));
  plan->timeout = (derush_json_get_int (values, "timeoutMs", 0) + 999) / 1000;
  plan->no_progress = derush_json_get_int (values, "noProgressMs", 0);
  check_source (plan, values, checker, type->needs_source);
  check_output_dir (plan, values, checker);
  check_webhook (values, checker);
  plan_read_uploads (plan, json_object_get_member (values, "uploads"), checker);
  check_metadata (plan, values, checker);
  check_type_member (type, plan->data, checker);
}

/* The members of the envelope, without those that mean something else to the type. */
static void
read_envelope (const JobType *type, JsonObject *data, JsonObject *values, Checker *checker)
{
  g_autoptr (JsonObject) common = NULL;

  if (!type->own_ids) {
    checker_read (checker, data, "", envelope_fields, values);
    return;
  }
  common = json_object_new ();
  copy_members (data, common);
  json_object_remove_member (common, "workflowId");
  json_object_remove_member (common, "executionId");
  checker_read (checker, common, "", envelope_fields, values);
}

/* The type's own members: those in its containers first, which say more than the same ones beside them. */
static void
read_values (const JobType *type, JsonObject *data, JsonObject *values, Checker *checker)
{
  Field *containers = g_newa (Field, 8);
  const Field *tables[] = {envelope_fields, type->fields, containers, NULL}, *own[] = {type->fields, NULL};
  g_autoptr (JsonObject) own_members = NULL;
  guint n = 0;

  memset (containers, 0, 8 * sizeof (Field));
  for (; type->containers && type->containers[n]; n++) {
    const char *name = type->containers[n];
    JsonNode *node = json_object_get_member (data, name);
    g_autofree char *pointer = g_strdup_printf ("/%s", name);

    containers[n].name = name;
    if (!node || JSON_NODE_HOLDS_NULL (node))
      continue;
    if (!JSON_NODE_HOLDS_OBJECT (node)) {
      g_autofree char *value = json_node_quote (node);

      checker_fault (checker, pointer, _ ("is %s, must be an object"), value);
      continue;
    }
    checker_read (checker, json_node_get_object (node), pointer, type->fields, values);
    checker_read_rest (checker, json_node_get_object (node), pointer, own);
  }
  read_envelope (type, data, values, checker);
  /* `type` is the job's where it names a job type, and may be a member of the type's own otherwise. */
  if (job_type_find (derush_json_get_string (data, "type", NULL)) == type) {
    own_members = json_object_new ();
    copy_members (data, own_members);
    json_object_remove_member (own_members, "type");
  }
  checker_read (checker, own_members ? own_members : data, "", type->fields, values);
  if (!type->labels)
    checker_read_rest (checker, data, "", tables);
}

static const JobType *
type_of_job (const char *job_name, JsonObject *data, GError **error)
{
  g_autofree char *name = derush_job_type_from_name (job_name, data), *quoted = NULL, *known = NULL;
  const char *said;

  if (name)
    return job_type_find (name);
  said = derush_json_get_string (data, "type", job_name);
  quoted = text_quote (said ? said : "");
  known = g_strjoinv (", ", (char **)derush_job_types ());
  g_set_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("%s is no job type; the types are %s"), quoted,
               known);
  return NULL;
}

/**
 * derush_plan_new:
 * @job_name: (nullable): the name that the job was added under
 * @data: (nullable): the job's data; nothing stands for an empty object
 * @flags: how to read it
 * @error: return location for an error
 *
 * Checks @data and says what is to be done. The message of the error is one line that lists every fault: the JSON
 * pointer of the member, what is wrong with it and what is allowed. Its class is %DERUSH_ERROR_UNSUPPORTED if all that
 * is wrong is beyond what this version does, else %DERUSH_ERROR_BAD_INPUT.
 *
 * Returns: (transfer full) (nullable): the plan
 */
DerushPlan *
derush_plan_new (const char *job_name, JsonObject *data, DerushPlanFlags flags, GError **error)
{
  g_autoptr (DerushPlan) plan = NULL;
  g_autoptr (JsonObject) values = json_object_new ();
  g_auto (Checker) checker = {0};
  const JobType *type = type_of_job (job_name, data, error);

  if (!type)
    return NULL;
  if (!type->plan) {
    g_set_error (
        error, DERUSH_JOBS_ERROR, DERUSH_ERROR_UNSUPPORTED,
        _ ("%s is not available in this version of Derush; leave it out, or let a worker of your own serve it"),
        type->name);
    return NULL;
  }
  checker_init (&checker, flags);
  plan = g_new0 (DerushPlan, 1);
  g_atomic_ref_count_init (&plan->references);
  plan->job_type = g_strdup (type->name);
  plan->steps = g_ptr_array_new_with_free_func ((GDestroyNotify)plan_step_free);
  plan->data = data ? json_object_ref (data) : json_object_new ();
  read_values (type, plan->data, values, &checker);
  check_envelope (plan, type, values, &checker);
  type->plan (plan, values, &checker);
  for (guint i = 0; i < plan->steps->len; i++)
    ((DerushPlanStep *)plan->steps->pdata[i])->weight *= 1 - plan->download_weight - plan->upload_weight;
  if (!checker_finish (&checker, error))
    return NULL;
  plan->warnings = g_steal_pointer (&checker.warnings);
  return g_steal_pointer (&plan);
}

/**
 * derush_plan_ref:
 * @plan: a plan
 *
 * Returns: (transfer full): @plan
 */
DerushPlan *
derush_plan_ref (DerushPlan *plan)
{
  g_atomic_ref_count_inc (&plan->references);
  return plan;
}

/**
 * derush_plan_unref:
 * @plan: (transfer full): a plan
 */
void
derush_plan_unref (DerushPlan *plan)
{
  if (!g_atomic_ref_count_dec (&plan->references))
    return;
  g_free (plan->job_type);
  g_free (plan->video_id);
  g_free (plan->user_id);
  g_free (plan->project_id);
  g_free (plan->workflow_id);
  g_free (plan->source);
  g_free (plan->output_dir);
  g_clear_pointer (&plan->metadata, json_node_unref);
  g_clear_pointer (&plan->steps, g_ptr_array_unref);
  g_clear_pointer (&plan->uploads, g_ptr_array_unref);
  g_clear_pointer (&plan->warnings, g_ptr_array_unref);
  g_clear_pointer (&plan->data, json_object_unref);
  g_free (plan);
}

/**
 * derush_plan_get_correlation_id:
 * @plan: a plan
 *
 * Returns: (nullable): what the log lines of everything that belongs together have in common: `metadata.correlationId` of
 *   the job's data, else the workflow's run; %NULL if the job stands alone
 */
const char *
derush_plan_get_correlation_id (DerushPlan *plan)
{
  JsonObject *metadata =
      plan->metadata && JSON_NODE_HOLDS_OBJECT (plan->metadata) ? json_node_get_object (plan->metadata) : NULL;

  return derush_json_get_string (metadata, "correlationId", plan->workflow_id);
}
