/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fixture.h"

#include <glib/gstdio.h>

void
test_slot_set_up (TestSlot *self, const char *worker)
{
  g_autofree char *cache = NULL, *settings = NULL;

  self->top = g_dir_make_tmp ("derush-slot-XXXXXX", NULL);
  self->out = g_build_filename (self->top, "out", NULL);
  self->scratch = g_build_filename (self->top, "scratch", NULL);
  self->film = g_build_filename (self->top, "film.mp4", NULL);
  cache = g_build_filename (self->top, "cache", NULL);
  settings = g_build_filename (self->top, "derush.conf", NULL);
  g_assert_true (g_file_set_contents (self->film, "a film", -1, NULL));
  g_assert_true (g_file_set_contents (settings, "", -1, NULL));
  g_setenv ("DERUSH_CONFIG", settings, TRUE);
  g_setenv ("DERUSH_SCRATCH", self->scratch, TRUE);
  g_setenv ("DERUSH_CACHE", cache, TRUE);
  g_setenv ("DERUSH_MEDIA_WORKER", worker, TRUE);
  g_setenv ("DERUSH_MIN_FREE_SPACE", "0", TRUE);
}

void
test_slot_open (TestSlot *self)
{
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&self->slot, derush_slot_free);
  g_clear_pointer (&self->config, derush_config_unref);
  self->config = derush_config_load (&error);
  g_assert_no_error (error);
  self->slot = derush_slot_new (self->config, "test");
}

void
test_slot_tear_down (TestSlot *self)
{
  g_clear_pointer (&self->slot, derush_slot_free);
  g_clear_pointer (&self->outcome, derush_outcome_free);
  g_clear_object (&self->cancellable);
  derush_config_unref (self->config);
  derush_directory_remove (self->top, NULL);
  g_free (self->top);
  g_free (self->out);
  g_free (self->scratch);
  g_free (self->film);
}

static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  TestSlot *self = user_data;

  self->outcome = derush_slot_run_finish (self->slot, result);
}

void
test_slot_start (TestSlot *self, DerushPlan *plan, const DerushRunOptions *options)
{
  g_clear_pointer (&self->outcome, derush_outcome_free);
  g_clear_object (&self->cancellable);
  self->cancellable = g_cancellable_new ();
  derush_slot_run_async (self->slot, plan, options, self->cancellable, on_ended, self);
  derush_plan_unref (plan);
}

DerushOutcome *
test_slot_run (TestSlot *self, DerushPlan *plan, const DerushRunOptions *options)
{
  test_slot_start (self, plan, options);
  while (!self->outcome)
    g_main_context_iteration (NULL, TRUE);
  return self->outcome;
}
