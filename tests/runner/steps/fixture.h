/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A slot whose settings are those of a folder of its own, and one run on it. */

#pragma once

#include "steps/steps.h"

typedef struct {
  char *top, *out, *scratch, *film;
  DerushConfig *config;
  DerushSlot *slot;

  /* of the last run */
  DerushOutcome *outcome;
  GCancellable *cancellable;
} TestSlot;

/* Makes the folder, a file that stands for a film, and what the environment says; the slot is yet to be opened. @worker:
 * the program that media steps run in */
void test_slot_set_up (TestSlot *self, const char *worker);
/* Opens the slot anew, with what the environment says now. */
void test_slot_open (TestSlot *self);
void test_slot_tear_down (TestSlot *self);

/* Both take over @plan; the first does not wait for the outcome. */
void test_slot_start (TestSlot *self, DerushPlan *plan, const DerushRunOptions *options);
DerushOutcome *test_slot_run (TestSlot *self, DerushPlan *plan, const DerushRunOptions *options);
