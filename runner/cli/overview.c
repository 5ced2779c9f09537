/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* How a daemon that runs is: derush health, derush stats, and the tables of derush status. */

#include "cli/cli-private.h"

#include <stdio.h>
#include <string.h>
#include <glib/gi18n.h>

/* Cells as wide as columns of text: printf() would pad by bytes, of which accents have more than one. */
static void
add_cell (GString *text, const char *value, int width)
{
  int missing = ABS (width) - (int)g_utf8_strlen (value, -1);

  if (text->len > 0 && text->str[text->len - 1] != '\n')
    g_string_append_c (text, ' ');
  if (width < 0)
    g_string_append_printf (text, "%*s", MAX (missing, 0), "");
  g_string_append (text, value);
  if (width > 0)
    g_string_append_printf (text, "%*s", MAX (missing, 0), "");
}

static void
add_number (GString *text, gint64 value, int width)
{
  g_autofree char *cell = g_strdup_printf ("%" G_GINT64_FORMAT, value);

  add_cell (text, cell, width);
}

/* A row ends without spaces that nobody sees. */
static void
end_row (GString *text)
{
  while (text->len > 0 && text->str[text->len - 1] == ' ')
    g_string_truncate (text, text->len - 1);
  g_string_append_c (text, '\n');
}

static char *
format_age (gint64 seconds)
{
  if (seconds >= 24 * 3600)
    return g_strdup_printf (_ ("%d d %02d:%02d"), (int)(seconds / 86400), (int)(seconds / 3600 % 24),
                            (int)(seconds / 60 % 60));
  return g_strdup_printf ("%02d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
}

/* ── Tables ─────────────────────────────────────────────────────────────── */

/*
 * derush_cli_add_counts:
 * @queues: the counts of each queue, by its name
 */
void
derush_cli_add_counts (GString *text, JsonObject *queues)
{
  static const char *const shown[] = {"waiting", "prioritized", "active", "delayed", "completed", "failed"};
  g_autoptr (GList) names = json_object_get_members (queues);

  add_cell (text, _ ("queue"), 20);
  for (guint i = 0; i < G_N_ELEMENTS (shown); i++)
    add_cell (text, shown[i], -11);
  end_row (text);
  for (GList *name = names; name; name = name->next) {
    JsonObject *counts = json_object_get_object_member (queues, name->data);
    const char *reason = derush_json_get_string (counts, "heldBack", "none");

    add_cell (text, name->data, 20);
    for (guint i = 0; i < G_N_ELEMENTS (shown); i++)
      add_number (text, derush_json_get_int (counts, shown[i], 0), -11);
    if (derush_json_get_boolean (counts, "paused", FALSE))
      add_cell (text, _ (" paused"), 0);
    else if (derush_json_get_boolean (counts, "pausedHere", FALSE))
      add_cell (text, _ (" paused in this daemon"), 0);
    if (strcmp (reason, "none") != 0)
      g_string_append_printf (text, _ (" held back: %s"), reason);
    end_row (text);
  }
}

void
derush_cli_add_workers (GString *text, JsonObject *workers)
{
  g_autoptr (GList) names = json_object_get_members (workers);

  add_cell (text, _ ("worker"), 20);
  add_cell (text, _ ("status"), 9);
  add_cell (text, "pid", -8);
  add_cell (text, _ ("memory"), -10);
  add_cell (text, _ ("uptime"), -10);
  add_cell (text, _ ("restarts"), -9);
  add_cell (text, _ (" job"), 0);
  end_row (text);
  for (GList *name = names; name; name = name->next) {
    JsonObject *worker = json_object_get_object_member (workers, name->data);
    gint64 pid = derush_json_get_int (worker, "pid", 0);
    g_autofree char *memory = g_format_size_full (derush_json_get_int (worker, "memory", 0), G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *age = format_age (derush_json_get_int (worker, "uptime", 0));
    const char *error = derush_json_get_string (worker, "error", NULL);
    g_autofree char *job = g_strconcat (" ", derush_json_get_string (worker, "currentJob", ""), NULL);

    add_cell (text, name->data, 20);
    add_cell (text, derush_json_get_string (worker, "status", ""), 9);
    if (pid > 0)
      add_number (text, pid, -8);
    else
      add_cell (text, "-", -8);
    add_cell (text, pid > 0 ? memory : "-", -10);
    add_cell (text, pid > 0 ? age : "-", -10);
    add_number (text, derush_json_get_int (worker, "restarts", 0), -9);
    add_cell (text, job, 0);
    if (derush_json_get_boolean (worker, "stopping", FALSE))
      add_cell (text, _ ("(the last one)"), 0);
    if (error)
      add_cell (text, error, 0);
    end_row (text);
  }
}

/*
 * derush_cli_add_daemon:
 * @status: what `/api/status` says
 */
void
derush_cli_add_daemon (GString *text, JsonObject *status)
{
  g_autofree char *age = format_age (derush_json_get_number (status, "uptime", 0));

  g_string_append_printf (text, _ ("derushd %s on %s, process %d, since %s"),
                          derush_json_get_string (status, "version", ""), derush_json_get_string (status, "host", ""),
                          (int)derush_json_get_int (status, "pid", 0), age);
  if (derush_json_get_boolean (status, "draining", FALSE))
    g_string_append (text, _ (", ends after its running jobs"));
  g_string_append (text, "\n");
}

/* ── derush health ──────────────────────────────────────────────────────── */

static const char *
yes_or_no (gboolean value)
{
  return value ? _ ("yes") : _ ("no");
}

static void
add_disks (GString *text, JsonObject *disk)
{
  g_autoptr (GList) names = disk ? json_object_get_members (disk) : NULL;

  for (GList *name = names; name; name = name->next) {
    JsonObject *folder = derush_json_get_object (disk, name->data);
    g_autofree char *left = g_format_size_full (derush_json_get_int (folder, "free", 0), G_FORMAT_SIZE_IEC_UNITS),
                    *floor = g_format_size_full (derush_json_get_int (folder, "floor", 0), G_FORMAT_SIZE_IEC_UNITS);

    if (folder)
      g_string_append_printf (text, _ ("disk of %s: %s free, %s are to stay free\n"),
                              derush_json_get_string (folder, "path", ""), left, floor);
  }
}

static void
add_layers (GString *text, JsonObject *containment)
{
  g_autoptr (GList) names = containment ? json_object_get_members (containment) : NULL;

  for (GList *name = names; name; name = name->next) {
    JsonObject *layer = derush_json_get_object (containment, name->data);
    const char *reason = derush_json_get_string (layer, "reason", NULL);

    if (layer)
      g_string_append_printf (text, _ ("containment, %s: %s%s%s\n"), (const char *)name->data,
                              yes_or_no (derush_json_get_boolean (layer, "holds", FALSE)), reason ? ": " : "",
                              reason ? reason : "");
  }
}

static void
add_health (GString *text, JsonObject *health)
{
  JsonObject *details = derush_json_get_object (health, "details"), *redis = derush_json_get_object (details, "redis"),
             *database = derush_json_get_object (details, "database"),
             *workers = derush_json_get_object (health, "workers");
  JsonArray *problems = derush_json_get_array (health, "problems");
  const char *status = derush_json_get_string (health, "status", "");
  gint64 spooled = derush_json_get_int (database, "spooled", 0) + derush_json_get_int (database, "waiting", 0);

  g_string_append_printf (text, "%s\n",
                          strcmp (status, "healthy") == 0    ? _ ("healthy")
                          : strcmp (status, "degraded") == 0 ? _ ("degraded: jobs are done, but somebody should look")
                                                             : _ ("unhealthy: jobs cannot be done"));
  for (guint i = 0; problems && i < json_array_get_length (problems); i++)
    g_string_append_printf (text, "- %s\n", json_array_get_string_element (problems, i));
  g_string_append_printf (text, _ ("Redis answers: %s\n"),
                          yes_or_no (derush_json_get_boolean (redis, "connected", FALSE)));
  g_string_append_printf (text, _ ("database (%s) can be written: %s\n"), derush_json_get_string (database, "kind", ""),
                          yes_or_no (derush_json_get_boolean (database, "connected", FALSE)));
  if (spooled > 0)
    g_string_append_printf (text, _ ("changes of jobs that wait for it: %d\n"), (int)spooled);
  add_disks (text, derush_json_get_object (details, "disk"));
  add_layers (text, derush_json_get_object (details, "containment"));
  g_string_append_c (text, '\n');
  if (workers)
    derush_cli_add_workers (text, workers);
}

/* @data: what is printed, as text by @add */
static int
print_data (JsonObject *data, void (*add) (GString *text, JsonObject *data), gboolean json)
{
  g_autoptr (GString) text = g_string_new (NULL);

  if (json) {
    g_autofree char *line = derush_json_object_to_string (data);

    g_string_append_printf (text, "%s\n", line);
  } else {
    add (text, data);
  }
  return fputs (text->str, stdout) >= 0 && fflush (stdout) == 0 ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}

/* Asks for @path and prints what is said. */
static int
show (GStrv given, const char *path, void (*add) (GString *text, JsonObject *data), const char *summary,
      const char *description)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (JsonObject) answer = NULL;
  g_autoptr (GError) error = NULL;
  gboolean json = FALSE;
  guint status;
  const GOptionEntry entries[] = {
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, NULL, summary, description, entries))
    return DERUSH_CLI_USAGE;
  if (arguments[1])
    return derush_cli_usage_error (given[0], _ ("“%s” is one argument too many"), arguments[1]);
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  answer = derush_cli_ask_daemon (config, "GET", path, NULL, &status, &error);
  if (!answer) {
    fprintf (stderr, "derush: %s\n", error->message);
    return DERUSH_CLI_FAILED;
  }
  return print_data (derush_json_get_object (answer, "data"), add, json) == DERUSH_CLI_COMPLETED && status < 400
             ? DERUSH_CLI_COMPLETED
             : DERUSH_CLI_FAILED;
}

int
derush_cli_health (GStrv given)
{
  return show (given, "/api/health/workers", add_health,
               _ ("Shows whether a daemon that runs can do its jobs, and what is wrong if not."),
               _ ("The daemon is asked at DERUSH_HTTP_ADDRESS, with DERUSH_HTTP_TOKEN.\nExit status: 0 healthy, or "
                  "degraded; 1 unhealthy, or nobody answers; 2 wrong usage."));
}

/* ── derush stats ───────────────────────────────────────────────────────── */

static void
add_types (GString *text, JsonObject *by_type)
{
  static const char *const states[] = {"completed", "failed", "retried", "delayed", "cancelled", "given-back", "lost"};
  g_autoptr (GList) names = by_type ? json_object_get_members (by_type) : NULL;

  add_cell (text, _ ("type"), 24);
  for (guint i = 0; i < G_N_ELEMENTS (states); i++)
    add_cell (text, states[i], -10);
  end_row (text);
  for (GList *name = names; name; name = name->next) {
    add_cell (text, name->data, 24);
    for (guint i = 0; i < G_N_ELEMENTS (states); i++)
      add_number (text, derush_json_get_int (json_object_get_object_member (by_type, name->data), states[i], 0), -10);
    end_row (text);
  }
}

static void
add_statistics (GString *text, JsonObject *statistics)
{
  JsonObject *throughput = derush_json_get_object (statistics, "throughput"),
             *latency = derush_json_get_object (statistics, "latency");
  g_autofree char *age = format_age (derush_json_get_number (statistics, "uptime", 0));

  g_string_append_printf (text, _ ("attempts of jobs that ended here, since %s\n"), age);
  add_types (text, derush_json_get_object (statistics, "byType"));
  g_string_append_printf (text, _ ("jobs per minute: %.2f; completed in the last hour: %d\n"),
                          derush_json_get_number (throughput, "jobsPerMinute", 0),
                          (int)derush_json_get_int (throughput, "lastHour", 0));
  g_string_append_printf (text, _ ("time per job: %.1f s on average, %.1f s for 95 %% at most\n"),
                          derush_json_get_number (latency, "mean", 0) / 1000,
                          derush_json_get_number (latency, "p95", 0) / 1000);
  g_string_append_printf (text, _ ("jobs that failed: %.1f %%\n"),
                          100 * derush_json_get_number (statistics, "failureRate", 0));
}

int
derush_cli_stats (GStrv given)
{
  return show (given, "/api/jobs/statistics", add_statistics, _ ("Shows what a daemon has done since it was started."),
               _ ("The daemon is asked at DERUSH_HTTP_ADDRESS, with DERUSH_HTTP_TOKEN."));
}
