/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <string.h>

#define VIDEO_QUEUE "video-processing"

GQuark
derush_jobs_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-jobs-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

static const JobType workflow_step = {"WORKFLOW_STEP", VIDEO_QUEUE, ""};

static const JobType *const types[] = {
    &video_processing,
    &thumbnail_generation,
    &highlight_detection,
    &short_creation,
    &highlight_clip_creation,
    &ai_analysis,
    &content_generation,
    &image_generation,
    &transcription,
    &translation,
    &voiceover,
    &workflow_execution,
    &workflow_step,
    &self_test,
    &analysis, /* what `derush analysis` runs: known, but not listed */
};

#define N_LISTED (G_N_ELEMENTS (types) - 1)

/* `process-video`, `processVideo`, `Process video` → `PROCESS_VIDEO` */
static char *
normalise (const char *name)
{
  GString *result = g_string_new (NULL);

  for (const char *p = name; *p; p++) {
    if (*p == '-' || *p == ' ' || *p == '.' || *p == ':') {
      g_string_append_c (result, '_');
      continue;
    }
    if (p > name && g_ascii_isupper (*p) && g_ascii_islower (p[-1]))
      g_string_append_c (result, '_');
    g_string_append_c (result, g_ascii_toupper (*p));
  }
  return g_string_free (result, FALSE);
}

const JobType *
job_type_find (const char *name)
{
  g_autofree char *normal = NULL;

  if (!name || strlen (name) > 64)
    return NULL;
  normal = normalise (name);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_auto (GStrv) aliases = NULL;

    if (strcmp (types[i]->name, normal) == 0)
      return types[i];
    aliases = g_strsplit (types[i]->aliases, " ", -1);
    if (*normal && g_strv_contains ((const char *const *)aliases, normal))
      return types[i];
  }
  return NULL;
}

/**
 * derush_job_type_from_name:
 * @job_name: (nullable): the name that the job was added under
 * @data: (nullable): the job's data
 *
 * The type is what the job's name says, in any of the spellings that backends use (`VIDEO_PROCESSING`,
 * `video-processing`, `processVideo`); if it says nothing, it is `type` or `jobType` of the data.
 *
 * Returns: (transfer full) (nullable): the type's name in upper snake case, or %NULL if neither names a type
 */
char *
derush_job_type_from_name (const char *job_name, JsonObject *data)
{
  const JobType *type = job_type_find (job_name);

  if (!type)
    type = job_type_find (derush_json_get_string (data, "type", NULL));
  if (!type)
    type = job_type_find (derush_json_get_string (data, "jobType", NULL));
  return type ? g_strdup (type->name) : NULL;
}

/**
 * derush_job_type_get_queue:
 * @job_type: a type
 *
 * Returns: (transfer none) (nullable): the queue that jobs of @job_type are added to unless someone says otherwise;
 *   %NULL if there is no such type
 */
const char *
derush_job_type_get_queue (const char *job_type)
{
  const JobType *type = job_type_find (job_type);

  return type ? type->queue : NULL;
}

/**
 * derush_job_types:
 *
 * Returns: (transfer none) (array zero-terminated=1): the types that a queue may bring, those included that this
 *   version has no plan for
 */
const char *const *
derush_job_types (void)
{
  static const char *names[N_LISTED + 1];
  static gsize ready;

  if (g_once_init_enter (&ready)) {
    for (guint i = 0; i < N_LISTED; i++)
      names[i] = types[i]->name;
    g_once_init_leave (&ready, 1);
  }
  return names;
}
