/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <errno.h>
#include <stdio.h>
#include <glib/gi18n.h>

/* A reader that has gone ends the run, as it would end any other program of a pipe. */
void
derush_cli_report_line (DerushCliReport *report, const char *line)
{
  if ((printf ("%s\n", line) < 0 || fflush (stdout) != 0) && errno == EPIPE)
    g_cancellable_cancel (report->cancellable);
}

static void
emit (DerushCliReport *report, JsonObject *event)
{
  g_autofree char *line = derush_json_object_to_string (event);

  derush_cli_report_line (report, line);
}

static JsonObject *
event_new (const char *name)
{
  JsonObject *event = json_object_new ();

  json_object_set_string_member (event, "event", name);
  return event;
}

/* Says each thing once. */
void
derush_cli_report_warning (DerushCliReport *report, const char *message)
{
  if (!report->warned)
    report->warned = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (!g_hash_table_add (report->warned, g_strdup (message)))
    return;
  if (report->json) {
    g_autoptr (JsonObject) event = event_new ("warning");

    json_object_set_string_member (event, "message", message);
    emit (report, event);
  } else {
    fprintf (stderr, _ ("derush: warning: %s\n"), message);
  }
}

static void
set_string_or_null (JsonObject *object, const char *name, const char *value)
{
  if (value)
    json_object_set_string_member (object, name, value);
  else
    json_object_set_null_member (object, name);
}

/*
 * derush_cli_report_failed:
 * @steps: (nullable): those of a workflow
 * @described: the same in one line for people
 *
 * The last line; returns the exit status.
 */
int
derush_cli_report_failed (DerushCliReport *report, DerushErrorClass error_class, const char *step, const char *input,
                          const char *message, JsonArray *steps, const char *described)
{
  if (report->json) {
    g_autoptr (JsonObject) event = event_new ("error");

    json_object_set_string_member (event, "class", derush_error_class_to_string (error_class));
    set_string_or_null (event, "step", step);
    set_string_or_null (event, "input", input);
    json_object_set_string_member (event, "message", message);
    if (report->final)
      json_object_set_boolean_member (event, "final", TRUE);
    if (report->retry_at > 0)
      json_object_set_double_member (event, "retryAt", report->retry_at / 1000.0);
    if (steps)
      json_object_set_array_member (event, "steps", json_array_ref (steps));
    emit (report, event);
  } else {
    fprintf (stderr, "derush: %s\n", described);
  }
  return DERUSH_CLI_FAILED;
}

/* The warnings and the last line; returns the exit status. */
int
derush_cli_report_completed (DerushCliReport *report, JsonObject *return_value)
{
  JsonArray *warnings = derush_json_get_array (return_value, "warnings");

  for (guint i = 0; warnings && i < json_array_get_length (warnings); i++) {
    JsonNode *warning = json_array_get_element (warnings, i);

    if (JSON_NODE_HOLDS_VALUE (warning) && json_node_get_value_type (warning) == G_TYPE_STRING)
      derush_cli_report_warning (report, json_node_get_string (warning));
  }
  if (report->json) {
    g_autoptr (JsonObject) event = event_new ("result");

    json_object_set_object_member (event, "returnvalue", json_object_ref (return_value));
    emit (report, event);
  } else {
    derush_cli_print_result (return_value);
  }
  return DERUSH_CLI_COMPLETED;
}

void
derush_cli_report_clear (DerushCliReport *report)
{
  g_clear_pointer (&report->warned, g_hash_table_unref);
  g_clear_object (&report->cancellable);
}
