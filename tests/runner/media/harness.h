/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A real media worker at the other end of its socket, and small films made with ffmpeg. */

#pragma once

#include "core/core.h"

#include <glib.h>

typedef struct _TestWorker TestWorker;

TestWorker *test_worker_new (void);
void test_worker_free (TestWorker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestWorker, test_worker_free)

/* The most memory that the worker has held so far, in MiB. */
int test_worker_get_peak (TestWorker *worker);

/**
 * TestAnswer:
 * @result: (nullable): of a step that succeeded
 * @error_class: (nullable): of a step that failed
 * @message: (nullable): of a step that failed
 * @died: the worker is gone
 * @hung: there was no answer within the time allowed
 * @warnings: all warnings, joined by newlines
 * @progress: how many distinct values came
 * @falling: whether the progress ever fell
 */
typedef struct {
  JsonObject *result;
  char *error_class;
  char *message;
  gboolean died;
  gboolean hung;
  GString *warnings;
  guint progress;
  gboolean falling;
} TestAnswer;

void test_answer_free (TestAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestAnswer, test_answer_free)

/* @parameters, @results: JSON texts (nullable). @cancel_after: progress messages before it is cancelled; 0: never. */
TestAnswer *test_worker_run (TestWorker *worker, const char *action, const char *parameters, const char *results,
                             const char *source, const char *directory, guint cancel_after, guint timeout);

/* {"probe":…} of @source, as the steps after the probe get it; the probe must succeed. */
char *test_worker_probe (TestWorker *worker, const char *source, const char *directory);

char *test_directory_new (void);
void test_directory_free (char *directory);

/* Runs a shell command in @directory; it must succeed. Returns: (transfer full): what it printed */
char *test_shell (const char *directory, const char *format, ...) G_GNUC_PRINTF (2, 3);
