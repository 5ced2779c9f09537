/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon-private.h"

G_BEGIN_DECLS

/* A job WORKFLOW_EXECUTION while this daemon holds it. */
typedef struct {
  DerushDaemon *daemon;
  DerushBullmqJob *job;
  DerushPlan *plan;
  JsonObject *data;
  DerushWorkflowRun *run;

  char *id;        /* as valid UTF-8 */
  char *store_id;  /* `<queue>:<id>` */
  char *owner;     /* how this job is called among those that have taken names */
  char *other;     /* who else has the name of this execution */
  gboolean begins; /* nobody has done anything of it before, or of this try */
  gboolean cancelled;
  guint n_missing; /* answers */
  GError *error;   /* the first of several */
} Execution;

DerushWorkflowStep *execution_get_step (Execution *self, guint step);
guint execution_get_n_steps (Execution *self);
const char *execution_get_queue (Execution *self, guint step);
JsonObject *execution_log_fields (Execution *self);
void execution_free (Execution *self);

/* ── What is next (workflow.c) ──────────────────────────────────────────── */

void execution_read_children (Execution *self);
void execution_decide (Execution *self);

/* One of n_missing answers is there; after the last one goes on with @next, unless something went wrong. */
void execution_answered (Execution *self, void (*next) (Execution *));
void execution_keep_error (Execution *self, GError *error);

/* ── Steps (workflowsteps.c) ────────────────────────────────────────────── */

/* A step's job while something is asked about it. */
typedef struct {
  Execution *self;
  guint step;
  char *queue;
  char *id;
  char *data;
} Child;

Child *child_new (Execution *self, guint step, const char *id);
void child_free (Child *child);

void execution_start_ready (Execution *self);
void execution_stop_running (Execution *self);

/* ── How it ends, or waits (workflowend.c) ──────────────────────────────── */

void execution_store (Execution *self, JsonObject *output, const char *error);

/* After these @self is gone, or will be. */
void execution_save (Execution *self);
void execution_rest (Execution *self, const GError *error);
void execution_fail (Execution *self, DerushErrorClass error_class, const char *message);

G_END_DECLS
