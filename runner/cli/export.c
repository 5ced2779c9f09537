/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"
#include "cli/export-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <glib/gi18n.h>

static const struct {
  const char *name;
  char *(*write) (const DerushExport *self);
} formats[] = {
    {"xges", derush_export_to_xges},
    {"otio", derush_export_to_otio},
    {"edl", derush_export_to_edl},
    {"vtt", derush_export_to_vtt},
};

typedef enum {
  WHAT_BOTH,
  WHAT_SHOTS,
  WHAT_HIGHLIGHTS,
} What;

typedef struct {
  const char *format, *what, *output;
  What which;
  char *(*write) (const DerushExport *self);
} Order;

static void
on_progress (const char *step, double progress, gpointer user_data)
{
  derush_cli_progress_update (user_data, step, progress);
}

/* The return value of a job of @type for @file, or NULL after printing why there is none. */
static JsonObject *
run (DerushConfig *config, const char *type, const char *file, const char *const *assignments,
     GCancellable *cancellable)
{
  gboolean unknown_type;
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushCliJob) job = derush_cli_job_new (type, file, NULL, assignments, NULL, &unknown_type, &error);
  g_autoptr (DerushPlan) plan = job ? derush_plan_new (job->type, job->data, DERUSH_PLAN_NONE, &error) : NULL;
  g_autoptr (DerushCliProgress) progress = NULL;
  g_autoptr (DerushOutcome) outcome = NULL;

  if (!plan) {
    fprintf (stderr, "derush: %s\n", error->message);
    return NULL;
  }
  progress = derush_cli_progress_new (derush_cli_progress_style (), plan);
  outcome = derush_cli_run_plan (config, plan, cancellable, on_progress, progress);
  derush_cli_progress_end (progress, outcome->return_value != NULL);
  if (!outcome->return_value) {
    g_autofree char *described = derush_outcome_describe (outcome);

    fprintf (stderr, "derush: %s\n", described);
    return NULL;
  }
  return json_object_ref (outcome->return_value);
}

static void
add_shots (GPtrArray *ranges, JsonObject *analysis)
{
  JsonArray *shots = derush_json_get_array (analysis, "shots");

  for (guint i = 0; shots && i < json_array_get_length (shots); i++) {
    JsonObject *shot = json_array_get_object_element (shots, i);
    g_autofree char *name = g_strdup_printf (_ ("Shot %u"), i + 1);

    derush_export_add (ranges, derush_json_get_number (shot, "start", 0), derush_json_get_number (shot, "end", 0), name,
                       derush_json_get_string (shot, "transition", NULL));
  }
}

static int
compare_starts (gconstpointer a, gconstpointer b)
{
  const DerushExportRange *const *first = a, *const *second = b;

  return (*first)->start < (*second)->start ? -1 : (*first)->start > (*second)->start;
}

static void
add_highlights (GPtrArray *ranges, JsonObject *result)
{
  JsonArray *highlights = derush_json_get_array (result, "highlights");

  for (guint i = 0; highlights && i < json_array_get_length (highlights); i++) {
    JsonObject *highlight = json_array_get_object_element (highlights, i);
    g_autofree char *name =
        g_strdup_printf (_ ("Highlight %u (%s %.2f)"), i + 1, derush_json_get_string (highlight, "type", ""),
                         derush_json_get_number (highlight, "confidence", 0));

    derush_export_add (ranges, derush_json_get_number (highlight, "startTime", 0),
                       derush_json_get_number (highlight, "endTime", 0), name,
                       derush_json_get_string (highlight, "description", NULL));
  }
  g_ptr_array_sort (ranges, compare_starts);
}

/* The film's path, or what comes closest: of a film that is not a local file, the path within its URL. */
static char *
local_path (const char *file)
{
  g_autofree char *scheme = g_uri_parse_scheme (file), *path = NULL;
  g_autoptr (GUri) url = NULL;

  if (scheme && strcmp (scheme, "file") == 0)
    path = g_filename_from_uri (file, NULL, NULL);
  else if (scheme && strstr (file, "://"))
    url = g_uri_parse (file, G_URI_FLAGS_PARSE_RELAXED, NULL);
  if (url && g_uri_get_path (url)[0])
    return g_strdup (g_uri_get_path (url));
  return g_canonicalize_filename (path ? path : file, NULL);
}

/* Whether writing to @output would be the end of the film. */
static gboolean
is_same_file (const char *file, const char *output)
{
  g_autofree char *path = local_path (file);
  struct stat film, written;

  return stat (path, &film) == 0 && stat (output, &written) == 0 && film.st_dev == written.st_dev &&
         film.st_ino == written.st_ino;
}

static DerushExport *
collect (const Order *order, const char *file, JsonObject *analysis, JsonObject *highlights)
{
  DerushExport *export = derush_export_new ();
  JsonObject *video = derush_json_get_object (analysis, "video");
  JsonObject *audio = derush_json_get_object (analysis, "audio");
  gint64 numerator = derush_json_get_int (video, "fpsNumerator", 0);
  gint64 denominator = derush_json_get_int (video, "fpsDenominator", 1);
  gboolean remote = strstr (file, "://") && g_uri_peek_scheme (file) && strcmp (g_uri_peek_scheme (file), "file") != 0;

  export->path = local_path (file);
  export->uri = remote ? g_strdup (file) : g_filename_to_uri (export->path, NULL, NULL);
  export->duration = derush_json_get_number (analysis, "duration", 0);
  export->width = video ? derush_json_get_int (video, "width", 0) : 0;
  export->height = video ? derush_json_get_int (video, "height", 0) : 0;
  export->sample_rate = audio ? derush_json_get_int (audio, "rate", 0) : 0;
  export->channels = audio ? derush_json_get_int (audio, "channels", 0) : 0;
  export->rate_denominator = 1;
  if (denominator > 0 && numerator >= denominator && numerator <= G_MAXINT && denominator <= G_MAXINT) {
    export->rate_numerator = numerator;
    export->rate_denominator = denominator;
  } else if (export->width > 0) {
    fprintf (stderr, _ ("derush: warning: “%s” has no constant frame rate; times are counted in 25 frames a second\n"),
             file);
  }
  if (highlights)
    add_highlights (export->clips, highlights);
  if (order->which == WHAT_BOTH && export->clips->len == 0)
    fprintf (stderr, _ ("derush: warning: nothing in “%s” stands out; its shots are exported\n"), file);
  add_shots (export->clips->len > 0 ? export->markers : export->clips, analysis);
  if (order->which == WHAT_HIGHLIGHTS)
    g_ptr_array_set_size (highlights && export->markers->len > 0 ? export->markers : export->clips, 0);
  return export;
}

static int
write_out (const Order *order, DerushExport *export)
{
  g_autofree char *text = order->write (export);
  g_autoptr (GError) error = NULL;

  if (!order->output || strcmp (order->output, "-") == 0) {
    if (fputs (text, stdout) >= 0 && fflush (stdout) == 0)
      return DERUSH_CLI_COMPLETED;
    fprintf (stderr, _ ("derush: Could not write to standard output: %s\n"), g_strerror (errno));
    return DERUSH_CLI_FAILED;
  }
  if (derush_file_write_atomically (order->output, text, -1, &error))
    return DERUSH_CLI_COMPLETED;
  fprintf (stderr, "derush: %s\n", error->message);
  return DERUSH_CLI_FAILED;
}

static gboolean
read_order (Order *order)
{
  static const char *const whats[] = {"both", "shots", "highlights"};

  if (!order->format) {
    derush_cli_usage_error ("export", "%s", _ ("to which format? --to xges, otio, edl or vtt"));
    return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (g_ascii_strcasecmp (formats[i].name, order->format) == 0)
      order->write = formats[i].write;
  if (!order->write) {
    derush_cli_usage_error ("export", _ ("“%s” is no format; there are xges, otio, edl and vtt"), order->format);
    return FALSE;
  }
  if (!order->what)
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (whats); i++)
    if (strcmp (whats[i], order->what) == 0) {
      order->which = i;
      return TRUE;
    }
  derush_cli_usage_error ("export", _ ("--what is “%s”, but must be shots, highlights or both"), order->what);
  return FALSE;
}

int
derush_cli_export (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autofree char *format = NULL, *what = NULL, *output = NULL;
  g_auto (GStrv) assignments = NULL;
  Order order = {0};
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (GCancellable) cancellable = NULL;
  g_autoptr (JsonObject) analysis = NULL, highlights = NULL;
  g_autoptr (DerushExport) export = NULL;
  const GOptionEntry entries[] = {
      {"to", 't', 0, G_OPTION_ARG_STRING, &format, N_ ("xges, otio, edl or vtt"), N_ ("FORMAT")},
      {"what", 'w', 0, G_OPTION_ARG_STRING, &what,
       N_ ("shots, highlights or both: highlights as clips, shots as marks in them (both)"), N_ ("WHAT")},
      {"param", 'p', 0, G_OPTION_ARG_STRING_ARRAY, &assignments,
       N_ ("A parameter of HIGHLIGHT_DETECTION, such as maxHighlights=10"), N_ ("NAME=VALUE")},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, N_ ("The file to write; left out: standard output"),
       N_ ("FILE")},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, _ ("FILE"),
                         _ ("Writes the shots and highlights of a film for editors: GStreamer Editing Services and "
                            "Pitivi (xges),\nOpenTimelineIO (otio), edit decision lists (edl) and chapters (vtt)."),
                         NULL, entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 2)
    return derush_cli_usage_error ("export", "%s", _ ("one FILE, please"));
  order.format = format;
  order.what = what;
  order.output = output;
  if (!read_order (&order))
    return DERUSH_CLI_USAGE;
  if (output && is_same_file (arguments[1], output))
    return derush_cli_usage_error ("export", _ ("“%s” is the film itself; name another file with -o"), output);
  config = derush_cli_load_config ();
  if (!config)
    return DERUSH_CLI_USAGE;
  cancellable = derush_cli_catch_signals ();
  analysis = run (config, "ANALYSIS", arguments[1], NULL, cancellable);
  if (analysis && order.which != WHAT_SHOTS)
    highlights = run (config, "HIGHLIGHT_DETECTION", arguments[1], (const char *const *)assignments, cancellable);
  if (!analysis || (order.which != WHAT_SHOTS && !highlights))
    return DERUSH_CLI_FAILED;
  export = collect (&order, arguments[1], analysis, highlights);
  if (export->clips->len == 0) {
    fprintf (stderr, _ ("derush: there is nothing to export: “%s” has neither shots nor anything that stands out\n"),
             arguments[1]);
    return DERUSH_CLI_FAILED;
  }
  return write_out (&order, export);
}
