/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MIN_SIZE 16
#define MAX_SIZE 8192
#define MAX_TIME 604800 /* a week */

/* The shorter side of what a social platform is sent, if the data says nothing of its size. */
#define SOCIAL_LINES 1080

/* The step only says what was measured before. */
#define ANALYSIS_WEIGHT 0.01

static const Field fields[] = {
    {"outputFormat", FIELD_CHOICE, "format", .choices = "mp4 m4v=mp4 !mov !mkv !webm !avi !gif !hls"},
    {"format", FIELD_CHOICE, .choices = "mp4 m4v=mp4 !mov !mkv !webm !avi !gif !hls"},
    {"quality", FIELD_CHOICE, .choices = "low medium high ultra"},
    {"resolution", FIELD_ANY},
    {"width", FIELD_INTEGER, .min = MIN_SIZE, .max = MAX_SIZE},
    {"height", FIELD_INTEGER, .min = MIN_SIZE, .max = MAX_SIZE},
    {"enlarge", FIELD_BOOLEAN},
    {"analyse", FIELD_BOOLEAN},
    {"aspectRatio", FIELD_TEXT, .max = 64},
    {"startTime", FIELD_NUMBER, "start", .min = 0, .max = MAX_TIME},
    {"endTime", FIELD_NUMBER, "end", .min = 0, .max = MAX_TIME},
    {"duration", FIELD_NUMBER, .min = 0.04, .max = MAX_TIME},
    {"outputType", FIELD_CHOICE, .choices = "reel short story ad"},
    {"addSubtitles", FIELD_BOOLEAN},
    {"addMusic", FIELD_BOOLEAN},
    {"addWatermark", FIELD_BOOLEAN},
    {"musicUrl", FIELD_TEXT, .max = 8192},
    {NULL},
};

static const char *const containers[] = {"options", "videoRequest", NULL};

void
checker_refuse_wishes (Checker *checker, JsonObject *values)
{
  static const struct {
    const char *name, *what;
  } wishes[] = {
      {"addSubtitles", N_ ("subtitles")},
      {"addMusic", N_ ("music")},
      {"addWatermark", N_ ("a watermark")},
  };

  for (guint i = 0; i < G_N_ELEMENTS (wishes); i++)
    if (derush_json_get_boolean (values, wishes[i].name, FALSE))
      checker_unsupported (checker, checker_pointer (checker, wishes[i].name),
                           _ ("is true, but this version of Derush cannot add %s to a film"), _ (wishes[i].what));
  if (json_object_has_member (values, "musicUrl") && !derush_json_get_boolean (values, "addMusic", FALSE))
    checker_warn (checker, _ ("%s is ignored, because addMusic is not true"), checker_pointer (checker, "musicUrl"));
}

static void
check_times (JsonObject *values, JsonObject *parameters, Checker *checker)
{
  gboolean has_end = json_object_has_member (values, "end"), has_duration = json_object_has_member (values, "duration");
  double start = derush_json_get_number (values, "start", 0), end = derush_json_get_number (values, "end", 0);
  double duration = derush_json_get_number (values, "duration", 0);

  if (has_end && end <= start) {
    checker_fault (checker, checker_pointer (checker, "end"),
                   _ ("is %.15g, must be more than startTime, which is %.15g"), end, start);
    return;
  }
  if (has_duration && has_end && duration < end - start)
    end = start + duration;
  else if (has_duration && !has_end)
    end = start + duration;
  if (start > 0)
    set_seconds (parameters, "start", start);
  if (has_end || has_duration)
    set_seconds (parameters, "end", end);
}

/* `720p`, `1280x720`, `original`, 720; gives what bounds the film, 0 for nothing. */
static gboolean
parse_resolution (JsonNode *node, gint64 *width, gint64 *height)
{
  static const struct {
    const char *name;
    gint64 height;
  } names[] = {
      {"original", 0},  {"source", 0},     {"auto", 0},   {"sd", 480},  {"hd", 720},  {"fhd", 1080},
      {"fullhd", 1080}, {"full-hd", 1080}, {"qhd", 1440}, {"2k", 1440}, {"4k", 2160}, {"uhd", 2160},
  };
  const char *text;
  char *end;

  *width = *height = 0;
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_INT64) {
    *height = json_node_get_int (node);
    return *height >= MIN_SIZE && *height <= MAX_SIZE;
  }
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
    return FALSE;
  text = json_node_get_string (node);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if (g_ascii_strcasecmp (text, names[i].name) == 0) {
      *height = names[i].height;
      return TRUE;
    }
  }
  if (!g_ascii_isdigit (*text))
    return FALSE;
  *height = g_ascii_strtoll (text, &end, 10);
  if (*height < MIN_SIZE || *height > MAX_SIZE)
    return FALSE;
  if (*end == '\0' || ((*end == 'p' || *end == 'P') && end[1] == '\0'))
    return TRUE;
  *width = *height;
  if ((*end != 'x' && *end != 'X') || !g_ascii_isdigit (end[1]))
    return FALSE;
  *height = g_ascii_strtoll (end + 1, &end, 10);
  return *end == '\0' && *height >= MIN_SIZE && *height <= MAX_SIZE;
}

/* `9:16`: each number from 1 to 100, and no strip of film more than five times as long as wide. */
gboolean
aspect_parse (const char *text, gint64 *numerator, gint64 *denominator)
{
  char *end;

  if (!g_ascii_isdigit (*text))
    return FALSE;
  *numerator = g_ascii_strtoll (text, &end, 10);
  if ((*end != ':' && *end != '/') || !g_ascii_isdigit (end[1]))
    return FALSE;
  *denominator = g_ascii_strtoll (end + 1, &end, 10);
  return *end == '\0' && *numerator >= 1 && *numerator <= 100 && *denominator >= 1 && *denominator <= 100 &&
         *numerator <= 5 * *denominator && *denominator <= 5 * *numerator;
}

/* Returns: (transfer full) (nullable): the asked aspect in its usual spelling */
static char *
check_aspect (JsonObject *values, Checker *checker, gint64 *numerator, gint64 *denominator)
{
  const char *text = derush_json_get_string (values, "aspectRatio", NULL);
  const char *type = derush_json_get_string (values, "outputType", NULL);
  g_autofree char *quoted = NULL;

  if (text && (g_ascii_strcasecmp (text, "original") == 0 || g_ascii_strcasecmp (text, "source") == 0))
    return NULL;
  if (!text && type && strcmp (type, "ad") != 0)
    text = "9:16";
  if (!text)
    return NULL;
  if (aspect_parse (text, numerator, denominator))
    return g_strdup_printf ("%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT, *numerator, *denominator);
  quoted = text_quote (text);
  checker_fault (checker, checker_pointer (checker, "aspectRatio"),
                 _ ("is %s, must be two whole numbers such as 9:16, from 1:5 to 5:1, or original"), quoted);
  return NULL;
}

/* The film is measured while it is decoded for something else, for jobs that come after. A part of it would not do for them. */
static void
plan_analysis (DerushPlan *plan, JsonObject *values, JsonObject *transcode)
{
  if (!derush_json_get_boolean (values, "analyse", FALSE) || json_object_has_member (transcode, "start") ||
      json_object_has_member (transcode, "end"))
    return;
  plan->needs_analysis = TRUE;
  json_object_set_boolean_member (transcode, "analyse", TRUE);
  plan_find_step (plan, "transcode")->weight -= ANALYSIS_WEIGHT;
  json_object_set_string_member (plan_add_step (plan, "analyse", DERUSH_STEP_MEDIA, ANALYSIS_WEIGHT), "from",
                                 "transcode");
}

/* Width and height bound the result; nothing is scaled up without an explicit pair of them or `enlarge`. */
static void
check_size (JsonObject *values, JsonObject *parameters, Checker *checker, GString *name)
{
  JsonNode *resolution = json_object_get_member (values, "resolution");
  const char *type = derush_json_get_string (values, "outputType", NULL);
  gint64 width = derush_json_get_int (values, "width", 0), height = derush_json_get_int (values, "height", 0);
  gint64 asked_width = 0, asked_height = 0, numerator = 0, denominator = 0;
  g_autofree char *aspect = check_aspect (values, checker, &numerator, &denominator);

  if (resolution && !parse_resolution (resolution, &asked_width, &asked_height)) {
    g_autofree char *value = json_node_quote (resolution);

    checker_fault (checker, checker_pointer (checker, "resolution"),
                   _ ("is %s, must be lines such as 720p, a size such as 1280x720, each from %d to %d, or original"),
                   value, MIN_SIZE, MAX_SIZE);
  }
  if (width == 0 && height == 0) {
    width = asked_width;
    height = asked_height;
  }
  if (type)
    g_string_append_printf (name, "-%s", type);
  if (width > 0 && height > 0)
    g_string_append_printf (name, "-%dx%d", (int)width, (int)height);
  else if (height > 0)
    g_string_append_printf (name, "-%dp", (int)height);
  else if (width > 0)
    g_string_append_printf (name, "-%dw", (int)width);
  else if (type && !resolution)
    height = aspect && numerator < denominator ? SOCIAL_LINES * denominator / numerator : SOCIAL_LINES;
  if (aspect) {
    json_object_set_string_member (parameters, "aspectRatio", aspect);
    if (!type)
      g_string_append_printf (name, "-%dx%d", (int)numerator, (int)denominator);
  }
  if (width > 0)
    json_object_set_int_member (parameters, "width", width);
  if (height > 0)
    json_object_set_int_member (parameters, "height", MIN (height, MAX_SIZE));
  if (derush_json_get_boolean (values, "enlarge", FALSE))
    json_object_set_boolean_member (parameters, "enlarge", TRUE);
}

/* The name says how the file differs from its source, so that it can stand beside it and beside other renditions. */
static void
finish_name (GString *name, JsonObject *parameters, gsize base, const char *quality, const char *format)
{
  double start = derush_json_get_number (parameters, "start", 0), end = derush_json_get_number (parameters, "end", 0);

  if (start > 0 && end > 0)
    g_string_append_printf (name, "-%.15gs-%.15gs", start, end);
  else if (start > 0)
    g_string_append_printf (name, "-from-%.15gs", start);
  else if (end > 0)
    g_string_append_printf (name, "-%.15gs", end);
  if (name->len == base || strcmp (quality, "medium") != 0)
    g_string_append_printf (name, "-%s", quality);
  g_string_append_printf (name, ".%s", format);
}

static void
plan_video_processing (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *base = plan_base_name (plan);
  g_autoptr (GString) name = g_string_new (base);
  const char *quality = derush_json_get_string (values, "quality", "medium");
  const char *format = derush_json_get_string (values, "format", "mp4");
  JsonObject *transcode, *check;

  plan_add_step (plan, "probe", DERUSH_STEP_MEDIA, 0.05);
  transcode = plan_add_step (plan, "transcode", DERUSH_STEP_MEDIA, 0.85);
  check = plan_add_step (plan, "check", DERUSH_STEP_MEDIA, 0.10);
  checker_refuse_wishes (checker, values);
  check_times (values, transcode, checker);
  check_size (values, transcode, checker, name);
  finish_name (name, transcode, strlen (base), quality, format);
  json_object_set_string_member (transcode, "quality", quality);
  json_object_set_string_member (transcode, "format", format);
  json_object_set_string_member (transcode, "name", name->str);
  json_object_set_string_member (check, "step", "transcode");
  json_object_set_string_member (check, "file", name->str);
  plan_analysis (plan, values, transcode);
}

static void
video_outputs (DerushPlan *plan, JsonObject *results, GPtrArray *outputs)
{
  outputs_add (outputs, derush_json_get_string (derush_json_get_object (results, "transcode"), "file", NULL), "video");
}

static JsonArray *
format_rows (JsonObject *value, JsonObject *parameters)
{
  JsonArray *rows = json_array_new ();
  JsonObject *row = json_object_new ();
  g_autofree char *resolution =
      g_strdup_printf ("%" G_GINT64_FORMAT "x%" G_GINT64_FORMAT, derush_json_get_int (value, "width", 0),
                       derush_json_get_int (value, "height", 0));

  copy_member (value, "format", row, NULL);
  json_object_set_string_member (row, "quality", derush_json_get_string (parameters, "quality", "medium"));
  json_object_set_string_member (row, "resolution", resolution);
  copy_member (value, "fps", row, NULL);
  copy_member (value, "bitrate", row, NULL);
  copy_member (value, "outputPath", row, "filePath");
  copy_member (value, "size", row, "fileSize");
  copy_member (value, "duration", row, NULL);
  copy_member (value, "width", row, NULL);
  copy_member (value, "height", row, NULL);
  json_object_set_boolean_member (row, "isOptimized", TRUE);
  json_array_add_object_element (rows, row);
  return rows;
}

static void
video_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *made = derush_json_get_object (finished->results, "transcode");
  JsonObject *parameters = plan_find_step (plan, "transcode")->parameters;
  const char *file = derush_json_get_string (made, "file", NULL);
  const char *path = finished_path (finished, file), *codec = derush_json_get_string (made, "videoCodec", NULL);
  const DerushOutput *output = finished_find_output (finished, file);
  g_autofree char *uri = g_path_is_absolute (path) ? g_filename_to_uri (path, NULL, NULL) : NULL;
  JsonNode *media_id = json_object_get_member (plan->data, "mediaId");

  if (media_id && JSON_NODE_HOLDS_VALUE (media_id))
    json_object_set_member (value, "mediaId", json_copy_finite (media_id));
  json_object_set_string_member (value, "outputPath", path);
  json_object_set_string_member (value, "outputUrl", output && output->url ? output->url : uri ? uri : "");
  json_object_set_string_member (value, "thumbnailUrl", "");
  set_seconds (value, "duration", derush_json_get_number (made, "duration", 0));
  json_object_set_int_member (value, "size", output ? output->size : derush_json_get_int (made, "size", 0));
  json_object_set_string_member (
      value, "format", derush_json_get_string (made, "format", derush_json_get_string (parameters, "format", "mp4")));
  set_whole (value, "width", derush_json_get_number (made, "width", 0));
  set_whole (value, "height", derush_json_get_number (made, "height", 0));
  set_number (value, "fps", derush_json_get_number (made, "fps", 0));
  set_whole (value, "bitrate", derush_json_get_number (made, "bitrate", 0));
  json_object_set_string_member (value, "codec", codec ? codec : derush_json_get_string (made, "audioCodec", ""));
  json_object_set_string_member (value, "audioCodec", derush_json_get_string (made, "audioCodec", ""));
  json_object_set_array_member (value, "formats", format_rows (value, parameters));
}

const JobType video_processing = {
    .name = "VIDEO_PROCESSING",
    .queue = "video-processing",
    .aliases = "PROCESS_VIDEO VIDEO_PROCESS TRANSCODE TRANSCODE_VIDEO VIDEO_TRANSCODE",
    .fields = fields,
    .containers = containers,
    .needs_source = TRUE,
    .plan = plan_video_processing,
    .outputs = video_outputs,
    .returns = video_returns,
};
