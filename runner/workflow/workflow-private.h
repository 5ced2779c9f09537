/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inside of the room: references in texts, and the order of a graph. */

#pragma once

#include "workflow/workflow.h"

G_BEGIN_DECLS

/* What `${…}` says: the words between the dots. */
typedef struct {
  char *text;
  GStrv words;
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

/* A copy that can be changed. */
JsonNode *workflow_copy_node (JsonNode *node);

/* The ids of a cycle, first and last the same, or NULL. */
char *workflow_graph_find_cycle (GPtrArray *steps);
/* For each step, (element-type GByteArray), whether it depends on each other one, if only by way of others. */
GPtrArray *workflow_graph_get_ancestors (GPtrArray *steps);

G_END_DECLS
