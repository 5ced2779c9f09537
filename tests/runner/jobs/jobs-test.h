/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Data for tests in C: JSON in single quotes. */

#pragma once

#include "jobs/jobs.h"

static inline JsonObject *
data_from (const char *text)
{
  g_autofree char *json = g_strdelimit (g_strdup (text), "'", '"');
  g_autoptr (GError) error = NULL;
  JsonObject *object = derush_json_parse_object (json, -1, &error);

  g_assert_no_error (error);
  return object;
}

static inline DerushPlan *
plan_from (const char *name, const char *text)
{
  g_autoptr (JsonObject) data = data_from (text);
  g_autoptr (GError) error = NULL;
  DerushPlan *plan = derush_plan_new (name, data, DERUSH_PLAN_NONE, &error);

  g_assert_no_error (error);
  return plan;
}

static inline JsonObject *
parameters_of (DerushPlan *plan, const char *name)
{
  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, i);

    if (g_strcmp0 (step->name, name) == 0)
      return step->parameters;
  }
  g_assert_not_reached ();
}

static inline void
assert_same_json (JsonObject *object, const char *expected)
{
  g_autoptr (JsonObject) wanted = data_from (expected);
  g_autoptr (JsonNode) a = json_node_init_object (json_node_alloc (), object);
  g_autoptr (JsonNode) b = json_node_init_object (json_node_alloc (), wanted);
  g_autofree char *text = derush_json_object_to_string (object);

  if (!json_node_equal (a, b))
    g_error ("expected %s, got %s", expected, text);
}
