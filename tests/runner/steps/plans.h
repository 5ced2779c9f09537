/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "jobs/jobs.h"

DerushPlan *plan_new (const char *source, const char *output_dir);
void plan_add (DerushPlan *plan, const char *name, const char *action, const char *parameters);
