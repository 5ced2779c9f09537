/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "workflow/workflow-private.h"

static const DerushWorkflowStep *
step_at (GPtrArray *steps, guint i)
{
  return g_ptr_array_index (steps, i);
}

/*
 * Takes away, again and again, the steps whose dependencies are all gone. What is left when none can be taken holds a
 * cycle, and each of it depends on another that is left: going from one to the next comes back to where one has been.
 */
char *
workflow_graph_find_cycle (GPtrArray *steps)
{
  g_autofree gboolean *gone = g_new0 (gboolean, steps->len);
  g_autofree guint *seen = g_new0 (guint, steps->len);
  g_autoptr (GPtrArray) way = g_ptr_array_new ();
  guint left = steps->len, current = 0, number = 0;
  gboolean changed = TRUE;

  while (changed) {
    changed = FALSE;
    for (guint i = 0; i < steps->len; i++) {
      GArray *dependencies = step_at (steps, i)->dependencies;
      gboolean waits = FALSE;

      for (guint d = 0; d < dependencies->len; d++)
        waits |= !gone[g_array_index (dependencies, guint, d)];
      if (gone[i] || waits)
        continue;
      gone[i] = changed = TRUE;
      left--;
    }
  }
  if (left == 0)
    return NULL;
  while (gone[current])
    current++;
  while (seen[current] == 0) {
    GArray *dependencies = step_at (steps, current)->dependencies;

    seen[current] = ++number;
    g_ptr_array_add (way, step_at (steps, current)->id);
    for (guint d = 0; d < dependencies->len; d++) {
      if (!gone[g_array_index (dependencies, guint, d)]) {
        current = g_array_index (dependencies, guint, d);
        break;
      }
    }
  }
  g_ptr_array_add (way, step_at (steps, current)->id);
  g_ptr_array_add (way, NULL);
  return g_strjoinv (" → ", (char **)way->pdata + seen[current] - 1);
}

static void
mark (GPtrArray *steps, guint step, guint8 *marks)
{
  GArray *dependencies = step_at (steps, step)->dependencies;

  for (guint d = 0; d < dependencies->len; d++) {
    guint on = g_array_index (dependencies, guint, d);

    if (marks[on])
      continue;
    marks[on] = 1;
    mark (steps, on, marks);
  }
}

GPtrArray *
workflow_graph_get_ancestors (GPtrArray *steps)
{
  GPtrArray *all = g_ptr_array_new_with_free_func ((GDestroyNotify)g_byte_array_unref);

  for (guint i = 0; i < steps->len; i++) {
    GByteArray *marks = g_byte_array_new ();

    g_byte_array_set_size (marks, steps->len);
    for (guint j = 0; j < steps->len; j++)
      marks->data[j] = 0;
    mark (steps, i, marks->data);
    g_ptr_array_add (all, marks);
  }
  return all;
}
