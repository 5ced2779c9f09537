/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inside of the room: references in texts, and the order of a graph. */

#pragma once

#include "workflow/workflow.h"

G_BEGIN_DECLS

/* What `${…}` says: the words between the dots. With a `?` at its end it may lead nowhere, and then is null. */
typedef struct {
  char *text;
  GStrv words;
  gboolean optional;
} WorkflowReference;

void workflow_reference_free (WorkflowReference *reference);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WorkflowReference, workflow_reference_free)

/* Called for each reference of a value; @reference is NULL where one is not closed. */
typedef void (*WorkflowReferenceFunc) (const char *pointer, const WorkflowReference *reference, gpointer user_data);
void workflow_references_foreach (JsonNode *node, const char *pointer, WorkflowReferenceFunc func, gpointer user_data);

/* The value that @reference names; (transfer none). */
typedef JsonNode *(*WorkflowLookupFunc) (const WorkflowReference *reference, gpointer user_data, GError **error);
JsonNode *workflow_references_resolve (JsonNode *node, WorkflowLookupFunc lookup, gpointer user_data, GError **error);
JsonNode *workflow_reference_follow (const WorkflowReference *reference, guint first, JsonObject *object,
                                     GError **error);

/* A run's own view of its steps. */
typedef struct {
  DerushWorkflowStatus status;
  char *job_id;
  char *queue; /* of that job */
  guint attempts;
  double progress; /* of the attempt that runs */
  gint64 started;
  gint64 processing_time;
  gint64 not_before; /* of the next attempt */
  char *error;       /* why it failed or was skipped */
  gboolean has_class;
  DerushErrorClass error_class;
  JsonObject *return_value;
} WorkflowStepState;

struct _DerushWorkflowRun {
  DerushWorkflow *workflow;
  JsonObject *input;
  char *execution_id;
  gint64 started;
  WorkflowStepState *steps;
  double progress; /* the highest so far */
  gboolean has_failed;
  guint failed_step;
  gboolean cancelled;
  guint round; /* how often the whole has been tried again */
};

/* A copy that can be changed. */
JsonNode *workflow_copy_node (JsonNode *node);

/* The ids of a cycle, first and last the same, or NULL. */
char *workflow_graph_find_cycle (GPtrArray *steps);
/* For each step, (element-type GByteArray), whether it depends on each other one, if only by way of others. */
GPtrArray *workflow_graph_get_ancestors (GPtrArray *steps);

G_END_DECLS
