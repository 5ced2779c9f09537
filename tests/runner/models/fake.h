/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fakes of model servers (tests/fakes), started for a test. */

#pragma once

#include "models/models.h"

/* A fake that runs, and a folder for what is made with it. */
typedef struct {
  GPid pid;
  int output;
  char *base_url; /* with /v1 */
  char *folder;
} Fake;

Fake *fake_start (const char *program, ...) G_GNUC_NULL_TERMINATED;
void fake_stop (Fake *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fake, fake_stop)

/* @faults: a JSON list; the log begins anew */
void fake_plan (Fake *fake, const char *faults);
JsonArray *fake_log (Fake *fake);
JsonObject *fake_asked (JsonArray *log, guint i);
char *fake_make_sparse_speech (Fake *fake, guint32 length);
char *fake_make_speech (Fake *fake, double seconds);

/* Settings from the defaults and pairs of a name and a value, not from the environment of the test. */
DerushConfig *fake_config (Fake *fake, ...) G_GNUC_NULL_TERMINATED;
JsonObject *fake_json (const char *text);
