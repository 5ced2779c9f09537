/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"

#include <math.h>
#include <stdio.h>
#include <glib/gi18n.h>

/* m:ss.t, or h:mm:ss.t from an hour on. */
char *
derush_cli_format_time (double seconds)
{
  gint64 tenths = llround (MAX (seconds, 0) * 10);
  gint64 minutes = tenths / 600;
  int rest = tenths % 600;

  if (minutes >= 60)
    return g_strdup_printf ("%" G_GINT64_FORMAT ":%02d:%02d.%d", minutes / 60, (int)(minutes % 60), rest / 10,
                            rest % 10);
  return g_strdup_printf ("%" G_GINT64_FORMAT ":%02d.%d", minutes, rest / 10, rest % 10);
}

static void
print_files (JsonArray *outputs)
{
  for (guint i = 0; outputs && i < json_array_get_length (outputs); i++) {
    JsonNode *node = json_array_get_element (outputs, i);
    JsonObject *output = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    const char *path = derush_json_get_string (output, "path", NULL);
    g_autofree char *size = NULL;

    if (!path)
      continue;
    size = g_format_size (MAX (derush_json_get_int (output, "size", 0), 0));
    printf ("%-12s %10s  %s\n", derush_json_get_string (output, "role", ""), size, path);
  }
}

static void
print_highlights (JsonArray *highlights)
{
  if (!highlights)
    return;
  if (json_array_get_length (highlights) == 0)
    puts (_ ("No highlights found."));
  for (guint i = 0; i < json_array_get_length (highlights); i++) {
    JsonNode *node = json_array_get_element (highlights, i);
    JsonObject *highlight = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    g_autofree char *start = derush_cli_format_time (derush_json_get_number (highlight, "startTime", 0));
    g_autofree char *end = derush_cli_format_time (derush_json_get_number (highlight, "endTime", 0));

    printf ("%3u. %9s – %-9s %-12s %.2f  %s\n", i + 1, start, end, derush_json_get_string (highlight, "type", ""),
            derush_json_get_number (highlight, "confidence", 0), derush_json_get_string (highlight, "description", ""));
  }
}

/* The files that were made, one a line with its absolute path, and what else can be said in words. */
void
derush_cli_print_result (JsonObject *return_value)
{
  const char *text = derush_json_get_string (return_value, "text", NULL);
  const char *analysis = derush_json_get_string (return_value, "analysisPath", NULL);

  print_files (derush_json_get_array (return_value, "outputs"));
  print_highlights (derush_json_get_array (return_value, "highlights"));
  if (analysis && *analysis)
    printf ("%-12s %10s  %s\n", "analysis", "", analysis);
  if (text && *text)
    puts (text);
}
