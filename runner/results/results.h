/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:results
 * @title: results
 * @short_description: the result store: jobs and assets in SQLite or PostgreSQL
 *
 * The tables are those of the backend that adds the jobs (jobs, video_formats, thumbnails, highlights, workflow_executions, …). Writing never
 * blocks the caller and never fails a job: rows are written in order by a thread of the store's own, which reconnects
 * for as long as it takes. Meanwhile they wait on disk, so that neither a crash nor a restart loses them.
 */

#pragma once

#include "core/core.h"
#include "jobs/jobs.h"

G_BEGIN_DECLS

#define DERUSH_RESULTS_ERROR (derush_results_error_quark ())
GQuark derush_results_error_quark (void);

typedef struct _DerushStore DerushStore;

/* `DATABASE_URL` empty: SQLite in `DERUSH_STATE_DIR`. Fails only for what waiting cannot mend (a bad URL, no rights). */
DerushStore *derush_store_open (DerushConfig *config, GError **error);

/* For programs that only look. */
DerushStore *derush_store_open_to_read (DerushConfig *config, GError **error);

gboolean derush_store_check (DerushConfig *config, char **description, GError **error);

gint64 derush_store_measure_spool (DerushConfig *config, gint64 *oldest);

/* Waits until everything is written, at most @timeout seconds; what is left stays on disk. */
gboolean derush_store_close (DerushStore *store, double timeout, GError **error);

/* For health: at once, from what is known; nothing waits for the database. */
JsonObject *derush_store_get_status (DerushStore *store);

/* @id: `<queue>:<job id>`; @plan may be NULL when the data was refused. */
void derush_store_job_started (DerushStore *store, const char *id, const char *job_type, DerushPlan *plan,
                               JsonObject *data, guint attempt, guint max_attempts);
void derush_store_job_progress (DerushStore *store, const char *id, int percent, const char *stage);
void derush_store_job_completed (DerushStore *store, const char *id, DerushPlan *plan, JsonObject *return_value,
                                 gint64 duration_ms);
void derush_store_job_failed (DerushStore *store, const char *id, const char *reason, gboolean will_retry,
                              gboolean cancelled, gint64 duration_ms);

/**
 * DerushStoreExecution:
 * @id: what the rows of the jobs of its steps have as `workflowId`
 * @workflow: the workflow's id
 * @job: `<queue>:<job id>`
 * @status: `RUNNING`, `COMPLETED`, `FAILED` or `CANCELLED`
 * @input: (nullable): what it runs on
 * @output: (nullable): what it returned
 * @steps: (nullable): how its steps are
 * @metadata: (nullable): the job's
 * @error: (nullable): why it failed
 * @started: in ms since 1970
 * @ended: in ms since 1970; 0: it runs
 */
typedef struct {
  const char *id;
  const char *workflow;
  const char *job;
  const char *status;
  JsonObject *input;
  JsonObject *output;
  JsonArray *steps;
  JsonNode *metadata;
  const char *error;
  gint64 started;
  gint64 ended;
} DerushStoreExecution;

void derush_store_execution (DerushStore *store, const DerushStoreExecution *execution);

/* ── What a look at Redis tells ─────────────────────────────────────────── */

/**
 * DerushStoreEnd:
 * @id: `<queue>:<job id>`
 * @job_type: (nullable): the type
 * @plan: (nullable): the plan, if its data still makes one
 * @data: (nullable): the job's data
 * @return_value: (nullable): what it returned; %NULL: it has failed
 * @reason: (nullable): why it failed
 * @cancelled: whether it was stopped on request
 * @attempts: how many there were
 * @max_attempts: how many there might have been
 * @started: of the last attempt, in ms since 1970
 * @ended: in ms since 1970
 */
typedef struct {
  const char *id;
  const char *job_type;
  DerushPlan *plan;
  JsonObject *data;
  JsonObject *return_value;
  const char *reason;
  gboolean cancelled;
  guint attempts;
  guint max_attempts;
  gint64 started;
  gint64 ended;
} DerushStoreEnd;

/* A job has ended of which there is no row, or one that does not say so; other rows stay. */
void derush_store_job_ended (DerushStore *store, const DerushStoreEnd *end);

/* Ids of rows that say that their jobs run, or will be tried again; the oldest @n at most. Blocks. */
GStrv derush_store_list_running (DerushStore *store, guint n, GError **error);

/* Those of @ids of which there is no row, or one that does not say that the job has ended. Blocks. */
GStrv derush_store_list_open (DerushStore *store, const char *const *ids, GError **error);

/* ── What jobs have left ────────────────────────────────────────────────── */

/**
 * DerushStoreFilter:
 * @video: (nullable): only those of this video
 * @user: (nullable): only those of this user
 * @ended_before: only those that had ended before, in ms since 1970; 0: all
 * @with_outputs: only those whose files have not been removed, and that belong to no workflow that runs
 * @newest_first: instead of the oldest
 * @skip: how many to leave out
 * @n: how many at most
 */
typedef struct {
  const char *video;
  const char *user;
  gint64 ended_before;
  gboolean with_outputs;
  gboolean newest_first;
  guint skip;
  guint n;
} DerushStoreFilter;

/* Rows of jobs as derush_store_get_job() gives them, with `endedAt` in ms since 1970. Blocks. */
JsonArray *derush_store_list_jobs (DerushStore *store, const DerushStoreFilter *filter, GError **error);

/* The files @paths of the job @id are gone: neither its row nor another one offers them any more. Blocks. */
gboolean derush_store_forget_outputs (DerushStore *store, const char *id, const char *const *paths, GError **error);

/* The rows of the jobs @ids go, with those of what they have made; and what else is there of @video. Blocks. */
gboolean derush_store_remove_jobs (DerushStore *store, const char *const *ids, const char *video, guint64 *n_rows,
                                   GError **error);

/* Whether the rows are in tables of a backend's, whose they are. */
gboolean derush_store_is_of_backend (DerushStore *store);

/* So that a thread may ask while the store is closed. */
DerushStore *derush_store_ref (DerushStore *store);
void derush_store_unref (DerushStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushStore, derush_store_unref)

/* For `derush status`: the row as an object, or NULL without an error when there is none. Blocks. */
JsonObject *derush_store_get_job (DerushStore *store, const char *id, GError **error);

G_END_DECLS
