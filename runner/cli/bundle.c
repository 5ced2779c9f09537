/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* `derush report`: what a bug report needs, without media and secrets. */

#include "cli/cli-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <glib/gi18n.h>

#define BLOCK 512
#define DEFAULT_LINES 500
#define MAX_LINES 100000
/* What is read of a log file, from its end. */
#define MAX_LOG_BYTES (16 * 1024 * 1024)

typedef struct {
  const char *name;
  char *text;
} Part;

/* ── Secrets ────────────────────────────────────────────────────────────── */

/* Those that the settings do not know: in addresses, headers and keys that jobs or people brought. */
static char *
hide_secrets (const char *text)
{
  static const struct {
    const char *pattern, *replacement;
  } rules[] = {
      {"([a-z][a-z0-9+.-]*://[^\\s/:@\"]*):[^\\s/@\"]+@", "\\1:[redacted]@"},
      {"([?&][^=&\\s\"]*(?:signature|credential|token|secret|password|apikey|api_key|key-pair-id|policy|sig|key)=)[^&\\s\"\\\\]+",
       "\\1[redacted]"},
      {"(bearer|basic)\\s+[a-z0-9._~+/=-]{6,}", "\\1 [redacted]"},
      {"\\b(?:sk|hf|pk|ghp|xox[abp])[-_][a-z0-9_-]{8,}", "[redacted]"},
      {"((?:password|passwd|secret|token|api_?key)(?:=|\"\\s*:\\s*\"))(?!\\[redacted\\])[^\\s\",}\\\\]+",
       "\\1[redacted]"},
  };
  char *hidden = derush_log_redact (text);

  for (guint i = 0; i < G_N_ELEMENTS (rules); i++) {
    g_autoptr (GRegex) regex = g_regex_new (rules[i].pattern, G_REGEX_CASELESS | G_REGEX_OPTIMIZE, 0, NULL);
    char *next = g_regex_replace (regex, hidden, -1, 0, rules[i].replacement, 0, NULL);

    if (!next)
      continue;
    g_free (hidden);
    hidden = next;
  }
  return hidden;
}

static void
add_part (GArray *parts, const char *name, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  Part part = {.name = name, .text = hide_secrets (valid)};

  g_array_append_val (parts, part);
}

static void
clear_part (gpointer data)
{
  g_free (((Part *)data)->text);
}

/* ── Parts ──────────────────────────────────────────────────────────────── */

static char *
describe_versions (JsonObject *inventory)
{
  GString *text = g_string_new (NULL);
  g_autofree char *release = NULL, *pretty = g_get_os_info (G_OS_INFO_KEY_PRETTY_NAME),
                  *now = derush_time_to_iso8601 (derush_time_now_ms ());
  struct utsname name;

  g_string_append_printf (text, "derush %s\n", PACKAGE_VERSION);
  g_string_append_printf (text, "%s\n", derush_json_get_string (inventory, "gstreamer", "GStreamer: ?"));
  g_string_append_printf (text, "GLib %u.%u.%u\n", glib_major_version, glib_minor_version, glib_micro_version);
  g_string_append_printf (text, "system %s\n", pretty ? pretty : "?");
  if (uname (&name) == 0)
    g_string_append_printf (text, "kernel %s %s %s\n", name.sysname, name.release, name.machine);
  g_string_append_printf (text, "processors %u\n", g_get_num_processors ());
  if (g_file_get_contents ("/proc/meminfo", &release, NULL, NULL))
    g_string_append_printf (text, "%.*s\n", (int)strcspn (release, "\n"), release);
  g_string_append_printf (text, "language %s\n", g_get_language_names ()[0]);
  g_string_append_printf (text, "made %s\n", now);
  return g_string_free (text, FALSE);
}

static void
append_setting (const char *name, const char *value, const char *origin, gboolean secret, gpointer user_data)
{
  g_string_append_printf (user_data, "%s=%s (%s)\n", name, secret && *value ? "[redacted]" : value, origin);
}

static char *
describe_settings (DerushConfig *config)
{
  GString *text = g_string_new (NULL);

  if (config)
    derush_config_foreach (config, append_setting, text);
  else
    g_string_append (text, "they cannot be read; see doctor.txt\n");
  return g_string_free (text, FALSE);
}

static char *
describe_plugins (JsonObject *inventory)
{
  JsonArray *plugins = derush_json_get_array (inventory, "plugins"),
            *elements = derush_json_get_array (inventory, "elements");
  GString *text = g_string_new (NULL);

  for (guint i = 0; elements && i < json_array_get_length (elements); i++) {
    JsonObject *element = json_array_get_object_element (elements, i);

    g_string_append_printf (text, "element %s: %s\n", derush_json_get_string (element, "name", "?"),
                            derush_json_get_boolean (element, "found", FALSE) ? "found" : "missing");
  }
  for (guint i = 0; plugins && i < json_array_get_length (plugins); i++) {
    JsonObject *plugin = json_array_get_object_element (plugins, i);

    g_string_append_printf (text, "plugin %s %s (%s)\n", derush_json_get_string (plugin, "name", "?"),
                            derush_json_get_string (plugin, "version", "?"),
                            derush_json_get_string (plugin, "source", "?"));
  }
  return g_string_free (text, FALSE);
}

/* The last @n lines of a log file, which may be of any size. */
static char *
read_last_lines (const char *path, guint n, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_commandline_arg (path);
  g_autoptr (GFileInputStream) stream = g_file_read (file, NULL, error);
  g_autofree char *buffer = NULL;
  gsize length = 0;
  const char *start;

  if (!stream)
    return NULL;
  if (g_seekable_can_seek (G_SEEKABLE (stream)) && g_seekable_seek (G_SEEKABLE (stream), 0, G_SEEK_END, NULL, NULL)) {
    goffset end = g_seekable_tell (G_SEEKABLE (stream));

    g_seekable_seek (G_SEEKABLE (stream), MAX (0, end - MAX_LOG_BYTES), G_SEEK_SET, NULL, NULL);
  }
  buffer = g_malloc (MAX_LOG_BYTES + 1);
  if (!g_input_stream_read_all (G_INPUT_STREAM (stream), buffer, MAX_LOG_BYTES, &length, NULL, error))
    return NULL;
  buffer[length] = '\0';
  for (start = buffer + length; start > buffer; start--)
    if (start[-1] == '\n' && start < buffer + length && n-- == 1)
      break;
  return g_strndup (start, buffer + length - start);
}

/* ── The archive ────────────────────────────────────────────────────────── */

static void
set_octal (char *field, gsize width, guint64 value)
{
  g_snprintf (field, width, "%0*" G_GINT64_MODIFIER "o", (int)width - 1, value);
}

/* A header as POSIX' ustar has it. */
static void
append_file (GByteArray *archive, const char *folder, const Part *part, gint64 time)
{
  g_autofree char *name = g_strconcat (folder, "/", part->name, NULL);
  guint8 header[BLOCK] = {0}, padding[BLOCK] = {0};
  gsize length = strlen (part->text);
  guint sum = 0;

  g_strlcpy ((char *)header, name, 100);
  set_octal ((char *)header + 100, 8, 0600);
  set_octal ((char *)header + 108, 8, 0);
  set_octal ((char *)header + 116, 8, 0);
  set_octal ((char *)header + 124, 12, length);
  set_octal ((char *)header + 136, 12, time);
  memset (header + 148, ' ', 8);
  header[156] = '0';
  memcpy (header + 257, "ustar\00000", 8);
  for (guint i = 0; i < BLOCK; i++)
    sum += header[i];
  g_snprintf ((char *)header + 148, 8, "%06o", sum);
  g_byte_array_append (archive, header, BLOCK);
  g_byte_array_append (archive, (const guint8 *)part->text, length);
  if (length % BLOCK > 0)
    g_byte_array_append (archive, padding, BLOCK - length % BLOCK);
}

static gboolean
write_archive (const char *path, const char *folder, GArray *parts, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_commandline_arg (path);
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GZlibCompressor) gzip = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP, 9);
  g_autoptr (GFileOutputStream) stream = NULL;
  g_autoptr (GOutputStream) packed = NULL;
  guint8 end[2 * BLOCK] = {0};

  for (guint i = 0; i < parts->len; i++)
    append_file (archive, folder, &g_array_index (parts, Part, i), derush_time_now_ms () / 1000);
  g_byte_array_append (archive, end, sizeof end);
  stream = g_file_create (file, G_FILE_CREATE_PRIVATE, NULL, error);
  if (!stream)
    return FALSE;
  packed = g_converter_output_stream_new (G_OUTPUT_STREAM (stream), G_CONVERTER (gzip));
  if (g_output_stream_write_all (packed, archive->data, archive->len, NULL, NULL, error) &&
      g_output_stream_close (packed, NULL, error))
    return TRUE;
  g_file_delete (file, NULL, NULL);
  return FALSE;
}

static void
print_parts (GArray *parts)
{
  for (guint i = 0; i < parts->len; i++) {
    const Part *part = &g_array_index (parts, Part, i);

    printf ("%s── %s ──\n%s", i > 0 ? "\n" : "", part->name, part->text);
  }
}

/* ── The command ────────────────────────────────────────────────────────── */

static gboolean
gather (GArray *parts, const char *log, int lines, GError **error)
{
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (JsonObject) inventory = NULL, examination = NULL;
  g_autofree char *said = NULL;

  /* First of all: from now on the secrets of the settings are known, and can be hidden. */
  examination = derush_cli_examine (&config, &inventory);
  {
    g_autofree char *versions = describe_versions (inventory), *settings = describe_settings (config),
                    *doctor = derush_cli_describe_examination (examination), *plugins = describe_plugins (inventory);

    add_part (parts, "versions.txt", versions);
    add_part (parts, "settings.txt", settings);
    add_part (parts, "doctor.txt", doctor);
    add_part (parts, "plugins.txt", plugins);
  }
  if (!log)
    return TRUE;
  said = read_last_lines (log, lines, error);
  if (said)
    add_part (parts, "log.txt", said);
  return said != NULL;
}

int
derush_cli_report (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autofree char *output = NULL, *log = NULL, *folder = NULL;
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autoptr (GArray) parts = g_array_new (FALSE, FALSE, sizeof (Part));
  g_autoptr (GError) error = NULL;
  gboolean text = FALSE;
  int lines = DEFAULT_LINES;
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, N_ ("Where it goes, instead of the current folder"),
       N_ ("FILE")},
      {"log", 0, 0, G_OPTION_ARG_FILENAME, &log, N_ ("Add the end of a log of derushd"), N_ ("FILE")},
      {"lines", 0, 0, G_OPTION_ARG_INT, &lines, N_ ("How many lines of it (500)"), N_ ("N")},
      {"text", 0, 0, G_OPTION_ARG_NONE, &text, N_ ("Print it instead of making a file"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, NULL,
                         _ ("Gathers what a bug report needs: versions, settings, what “derush doctor” finds, plugins, "
                            "the end of a log. There are no films and no secrets in it."),
                         _ ("Please read it before you give it away: names of files and of jobs are in it."), entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 1)
    return derush_cli_usage_error ("report", "%s", _ ("no arguments, please"));
  if (lines < 1 || lines > MAX_LINES)
    return derush_cli_usage_error ("report", _ ("--lines must be from 1 to %d"), MAX_LINES);
  g_array_set_clear_func (parts, clear_part);
  if (!gather (parts, log, lines, &error)) {
    fprintf (stderr, "derush: %s\n", error->message);
    return DERUSH_CLI_FAILED;
  }
  if (text) {
    print_parts (parts);
    return DERUSH_CLI_COMPLETED;
  }
  folder = g_date_time_format (now, "derush-report-%Y%m%d-%H%M%S");
  if (!output)
    output = g_strconcat (folder, ".tar.gz", NULL);
  if (!write_archive (output, folder, parts, &error)) {
    fprintf (stderr, _ ("derush: the report %s cannot be written: %s\n"), output, error->message);
    return DERUSH_CLI_FAILED;
  }
  puts (output);
  return DERUSH_CLI_COMPLETED;
}
