/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "cli/cli-private.h"
#include "bullmq/bullmq.h"
#include "results/results.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>

/* A worker may have to look through every plugin of the machine first, in s. */
#define WORKER_TIMEOUT 60
/* A folder with less room than this will be full soon. */
#define LITTLE_SPACE (G_GINT64_CONSTANT (1) << 30)

#define OK "ok"
#define WARNING "warning"
#define FAILURE "failure"

/* ── What is found ──────────────────────────────────────────────────────── */

/* @remedy: (nullable): what to do about it */
static void add (JsonArray *checks, const char *name, const char *status, const char *remedy, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

static void
add (JsonArray *checks, const char *name, const char *status, const char *remedy, const char *format, ...)
{
  JsonObject *check = json_object_new ();
  g_autofree char *message = NULL, *safe = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  safe = derush_log_redact (message);
  json_object_set_string_member (check, "name", name);
  json_object_set_string_member (check, "status", status);
  json_object_set_string_member (check, "message", safe);
  if (remedy)
    json_object_set_string_member (check, "remedy", remedy);
  json_array_add_object_element (checks, check);
}

static guint
count (JsonArray *checks, const char *status)
{
  guint n = 0;

  for (guint i = 0; i < json_array_get_length (checks); i++)
    n += g_str_equal (derush_json_get_string (json_array_get_object_element (checks, i), "status", ""), status);
  return n;
}

/* ── Settings ───────────────────────────────────────────────────────────── */

static void
count_set (const char *name, const char *value, const char *origin, gboolean secret, gpointer user_data)
{
  guint *n = user_data;

  *n += !g_str_equal (origin, "default");
}

static void
check_settings (JsonArray *checks, DerushConfig *config)
{
  g_auto (GStrv) roots = derush_config_get_paths (config, "DERUSH_ALLOWED_ROOTS");
  guint n = 0;

  derush_config_foreach (config, count_set, &n);
  add (checks, "settings", OK, NULL,
       ngettext ("%u setting differs from the default", "%u settings differ from the defaults", n), n);
  if (!roots[0])
    add (checks, "roots", WARNING, _ ("set DERUSH_ALLOWED_ROOTS to the folders of the films"),
         _ ("jobs may read and write whatever the user of derushd may"));
  for (guint i = 0; roots[i]; i++) {
    if (!g_file_test (roots[i], G_FILE_TEST_IS_DIR))
      add (checks, "roots", WARNING, _ ("make it, or take it out of DERUSH_ALLOWED_ROOTS"), _ ("there is no folder %s"),
           roots[i]);
    else
      add (checks, "roots", OK, NULL, "%s", roots[i]);
  }
}

/* ── The media worker ───────────────────────────────────────────────────── */

typedef struct {
  GMainLoop *loop;
  GSubprocess *process;
  char *output;
  char *errors;
  gboolean timed_out;
} Asked;

static void
on_said (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Asked *asked = user_data;

  g_subprocess_communicate_utf8_finish (asked->process, result, &asked->output, &asked->errors, NULL);
  g_main_loop_quit (asked->loop);
}

static gboolean
on_timeout (gpointer user_data)
{
  Asked *asked = user_data;

  asked->timed_out = TRUE;
  g_subprocess_force_exit (asked->process);
  return G_SOURCE_CONTINUE;
}

/* What the media worker finds on this machine; NULL if it does not run. */
static JsonObject *
ask_worker (DerushConfig *config, GError **error)
{
  const char *worker = g_getenv ("DERUSH_MEDIA_WORKER");
  const char *argv[] = {worker && *worker ? worker : DERUSH_LIBEXECDIR "/derush-media-worker", "--inventory", NULL};
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autofree char *registry =
      config ? g_build_filename (derush_config_get_string (config, "DERUSH_CACHE"), "gst-registry.bin", NULL) : NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autofree char *output = NULL, *errors = NULL;
  JsonObject *inventory = NULL;
  Asked asked = {0};
  guint timeout;

  /* The one that the workers use: else every plugin is looked through anew. */
  if (registry && g_file_test (registry, G_FILE_TEST_EXISTS) && !g_getenv ("GST_REGISTRY"))
    g_subprocess_launcher_setenv (launcher, "GST_REGISTRY", registry, TRUE);
  process = g_subprocess_launcher_spawnv (launcher, argv, error);
  if (!process)
    return NULL;
  asked.process = process;
  asked.loop = g_main_loop_new (NULL, FALSE);
  timeout = g_timeout_add_seconds (WORKER_TIMEOUT, on_timeout, &asked);
  g_subprocess_communicate_utf8_async (process, NULL, NULL, on_said, &asked);
  g_main_loop_run (asked.loop);
  g_source_remove (timeout);
  g_main_loop_unref (asked.loop);
  output = asked.output;
  errors = asked.errors;
  if (output && !asked.timed_out)
    inventory = derush_json_parse_object (output, -1, NULL);
  if (inventory)
    return inventory;
  g_strdelimit (errors ? g_strchomp (errors) : NULL, "\r\n", ' ');
  g_set_error (error, DERUSH_CLI_ERROR, DERUSH_ERROR_INTERNAL, "%s: %s", argv[0],
               asked.timed_out     ? _ ("it does not answer")
               : errors && *errors ? errors
                                   : _ ("it ended without an answer"));
  return NULL;
}

static void
append_name (GString *list, const char *name)
{
  g_string_append_printf (list, "%s%s", list->len > 0 ? ", " : "", name);
}

/* `apt-get install A B` for what is missing. */
static char *
describe_install (GHashTable *packages)
{
  g_autoptr (GList) names = g_list_sort (g_hash_table_get_keys (packages), (GCompareFunc)strcmp);
  GString *text;

  if (!names)
    return g_strdup (_ ("install Derush anew; GST_PLUGIN_PATH must name the folder of its plugins, if it is set"));
  text = g_string_new (_ ("install on Debian:"));
  for (GList *l = names; l; l = l->next)
    g_string_append_printf (text, " %s", (char *)l->data);
  return g_string_free (text, FALSE);
}

static void
check_elements (JsonArray *checks, JsonObject *inventory)
{
  JsonArray *elements = derush_json_get_array (inventory, "elements");
  guint n = elements ? json_array_get_length (elements) : 0;
  g_autoptr (GHashTable) packages = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GString) missing = g_string_new (NULL);
  g_autofree char *remedy = NULL;

  for (guint i = 0; i < n; i++) {
    JsonObject *element = json_array_get_object_element (elements, i);
    const char *package = derush_json_get_string (element, "package", NULL);

    if (derush_json_get_boolean (element, "found", FALSE))
      continue;
    append_name (missing, derush_json_get_string (element, "name", "?"));
    if (package)
      g_hash_table_add (packages, (char *)package);
  }
  if (missing->len == 0) {
    add (checks, "plugins", OK, NULL, _ ("%s: all %u elements of the %d pipelines are there"),
         derush_json_get_string (inventory, "gstreamer", "GStreamer"), n,
         (int)derush_json_get_int (inventory, "templates", 0));
    return;
  }
  remedy = describe_install (packages);
  add (checks, "plugins", FAILURE, remedy, _ ("the pipelines lack these elements: %s"), missing->str);
}

static void
check_formats (JsonArray *checks, JsonObject *inventory)
{
  JsonArray *formats = derush_json_get_array (inventory, "formats");
  g_autoptr (GHashTable) packages = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GString) found = g_string_new (NULL), missing = g_string_new (NULL);
  g_autofree char *remedy = NULL;
  gboolean essential = FALSE;

  for (guint i = 0; formats && i < json_array_get_length (formats); i++) {
    JsonObject *format = json_array_get_object_element (formats, i);
    gboolean there = derush_json_get_boolean (format, "found", FALSE);

    append_name (there ? found : missing, derush_json_get_string (format, "name", "?"));
    if (!there) {
      essential |= derush_json_get_boolean (format, "essential", FALSE);
      g_hash_table_add (packages, (char *)derush_json_get_string (format, "package", "?"));
    }
  }
  if (found->len > 0)
    add (checks, "formats", OK, NULL, _ ("films may be in %s"), found->str);
  if (missing->len == 0)
    return;
  remedy = describe_install (packages);
  add (checks, "formats", essential ? FAILURE : WARNING, remedy, _ ("films cannot be read if they are in %s"),
       missing->str);
}

static JsonObject *
check_worker (JsonArray *checks, DerushConfig *config)
{
  g_autoptr (GError) error = NULL;
  JsonObject *inventory = ask_worker (config, &error);
  const char *version;

  if (!inventory) {
    add (checks, "worker", FAILURE, _ ("install Derush completely"), _ ("the media worker does not run: %s"),
         error->message);
    return NULL;
  }
  version = derush_json_get_string (inventory, "version", "?");
  if (g_str_equal (version, PACKAGE_VERSION))
    add (checks, "worker", OK, NULL, _ ("the media worker runs, version %s"), version);
  else
    add (checks, "worker", FAILURE, _ ("install Derush anew"),
         _ ("the media worker is of version %s, this program of %s"), version, PACKAGE_VERSION);
  check_elements (checks, inventory);
  check_formats (checks, inventory);
  return inventory;
}

/* Whether the programs are there that jobs of speech, text and images are done by. */
static void
check_models (JsonArray *checks)
{
  const struct {
    char *path;
    const char *missing;
  } programs[] = {
      {derush_model_worker_program (), _ ("jobs of speech, text and images cannot run: there is no program %s")},
      {derush_local_models_program (), _ ("such jobs cannot run without a key: there is no program %s")},
  };

  for (guint i = 0; i < G_N_ELEMENTS (programs); i++) {
    if (g_file_test (programs[i].path, G_FILE_TEST_IS_EXECUTABLE))
      add (checks, "models", OK, NULL, _ ("%s is there"), programs[i].path);
    else
      add (checks, "models", FAILURE, _ ("install Derush completely"), programs[i].missing, programs[i].path);
    g_free (programs[i].path);
  }
}

/* Which layers keep a hostile film from doing more than being decoded. */
static void
check_containment (JsonArray *checks, DerushConfig *config)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) report = derush_containment_probe (config, &error);
  g_autoptr (GString) held = g_string_new (NULL);

  if (!report) {
    add (checks, "containment", FAILURE, _ ("mend the worker first, or see DERUSH_SANDBOX"), "%s",
         error ? error->message : _ ("the worker does not say"));
    return;
  }
  for (guint i = 0; derush_containment_layers[i]; i++) {
    const char *name = derush_containment_layers[i];
    JsonObject *layer = derush_json_get_object (report, name);

    if (derush_json_get_boolean (layer, "holds", FALSE))
      append_name (held, name);
    else
      add (checks, "containment", WARNING, _ ("use a newer kernel, or a container that allows it"),
           _ ("%s does not hold: %s"), name, derush_json_get_string (layer, "reason", "?"));
  }
  if (held->len > 0)
    add (checks, "containment", OK, NULL, _ ("media workers are contained by %s"), held->str);
}

/* ── Redis and the database ─────────────────────────────────────────────── */

static void
check_redis (JsonArray *checks, DerushConfig *config)
{
  g_autoptr (DerushRedisAddress) address = derush_redis_address_new_from_config (config);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) server = derush_redis_check (address, &error);
  const char *policy;
  int version;

  if (!server) {
    add (checks, "redis", FAILURE, _ ("start it, or set REDIS_HOST, REDIS_PORT, REDIS_USERNAME and REDIS_PASSWORD"),
         "%s", error->message);
    return;
  }
  version = derush_json_get_int (server, "version", 0);
  policy = derush_json_get_string (server, "policy", "noeviction");
  add (checks, "redis", OK, NULL, _ ("Redis %d.%d.%d at %s:%u answers in %.1f ms"), version / 10000,
       version / 100 % 100, version % 100, address->host, address->port,
       derush_json_get_number (server, "roundTripMs", 0));
  if (derush_json_get_boolean (server, "cluster", FALSE))
    add (checks, "redis", FAILURE, _ ("use a Redis that is no cluster"), _ ("this Redis is a node of a cluster"));
  if (version > 0 && version < 50000)
    add (checks, "redis", FAILURE, _ ("install Redis 6.2 or newer"), _ ("BullMQ needs Redis 5 at least"));
  else if (version > 0 && version < 60200)
    add (checks, "redis", WARNING, _ ("install Redis 6.2 or newer"), _ ("BullMQ recommends Redis 6.2 or newer"));
  if (!g_str_equal (policy, "noeviction"))
    add (checks, "redis", WARNING, _ ("set maxmemory-policy noeviction in redis.conf"),
         _ ("when its memory is full this Redis throws jobs away: %s"), policy);
}

static void
check_database (JsonArray *checks, DerushConfig *config)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *description = NULL;

  if (derush_store_check (config, &description, &error))
    add (checks, "database", OK, NULL, "%s", description);
  else
    add (checks, "database", FAILURE, _ ("start it, or set DATABASE_URL; without one results are kept in SQLite"), "%s",
         error->message);
}

/* Rows that no process may be about to write. */
static void
check_spool (JsonArray *checks, DerushConfig *config)
{
  gint64 oldest, bytes = derush_store_measure_spool (config, &oldest);
  g_autofree char *amount = g_format_size (bytes), *since = NULL;

  if (bytes == 0) {
    add (checks, "spool", OK, NULL, _ ("no rows wait for the database"));
    return;
  }
  since = derush_time_to_iso8601 (oldest * 1000);
  add (checks, "spool", WARNING, _ ("make the database reachable; derushd writes them then, or when it starts"),
       _ ("%s of rows have waited for the database since %s"), amount, since);
}

/* ── Disk ───────────────────────────────────────────────────────────────── */

static void
check_folder (JsonArray *checks, DerushConfig *config, const char *setting)
{
  const char *folder = derush_config_get_string (config, setting);
  gint64 least = derush_config_get_int (config, "DERUSH_MIN_FREE_SPACE"), bytes;
  g_autofree char *there = g_strdup (folder), *amount = NULL, *remedy = NULL;
  struct statvfs status;

  while (!g_file_test (there, G_FILE_TEST_EXISTS) && strlen (there) > 1) {
    char *parent = g_path_get_dirname (there);

    g_free (there);
    there = parent;
  }
  if (!g_file_test (there, G_FILE_TEST_IS_DIR) || g_access (there, W_OK | X_OK) != 0) {
    remedy = g_strdup_printf (_ ("set %s to another folder, or mend its rights"), setting);
    add (checks, "disk", FAILURE, remedy, _ ("%s cannot be written"), folder);
    return;
  }
  if (statvfs (there, &status) != 0) {
    add (checks, "disk", WARNING, NULL, _ ("the free space of %s is not known"), folder);
    return;
  }
  bytes = (gint64)status.f_bavail * status.f_frsize;
  amount = g_format_size (bytes);
  remedy = g_strdup_printf (_ ("make room, or set %s to another folder"), setting);
  if (bytes < least)
    add (checks, "disk", FAILURE, remedy, _ ("%s has %s left, less than DERUSH_MIN_FREE_SPACE: no job will start"),
         folder, amount);
  else if (strcmp (setting, "DERUSH_CACHE") != 0 &&
           bytes < derush_disk_floor (config, (gint64)status.f_blocks * status.f_frsize))
    add (checks, "disk", FAILURE, remedy,
         _ ("%s has %s left, less than DERUSH_DISK_FLOOR: jobs wait until there is more"), folder, amount);
  else if (bytes < LITTLE_SPACE)
    add (checks, "disk", WARNING, remedy, _ ("%s has only %s left"), folder, amount);
  else
    add (checks, "disk", OK, NULL, _ ("%s has %s left"), folder, amount);
}

/* ── All of it ──────────────────────────────────────────────────────────── */

/*
 * derush_cli_examine:
 * @config: (out) (nullable): the settings, if they can be used
 * @inventory: (out) (nullable): what the media worker has found
 *
 * Returns: (transfer full): `{healthy, version, checks[{name, status, message, remedy}]}`
 */
JsonObject *
derush_cli_examine (DerushConfig **config, JsonObject **inventory)
{
  static const char *const folders[] = {"DERUSH_OUTPUT_DIR", "DERUSH_STATE_DIR", "DERUSH_SCRATCH", "DERUSH_CACHE"};
  JsonObject *answer = json_object_new ();
  JsonArray *checks = json_array_new ();
  g_autoptr (GError) error = NULL;

  *config = derush_config_load (&error);
  derush_log_set_level (DERUSH_LOG_ERROR);
  if (*config)
    check_settings (checks, *config);
  else
    add (checks, "settings", FAILURE, _ ("see “man derushd” for what each setting may be"), "%s", error->message);
  *inventory = check_worker (checks, *config);
  check_models (checks);
  if (*config) {
    if (*inventory)
      check_containment (checks, *config);
    check_redis (checks, *config);
    check_database (checks, *config);
    check_spool (checks, *config);
    for (guint i = 0; i < G_N_ELEMENTS (folders); i++)
      check_folder (checks, *config, folders[i]);
  }
  json_object_set_boolean_member (answer, "healthy", count (checks, FAILURE) == 0);
  json_object_set_string_member (answer, "version", PACKAGE_VERSION);
  json_object_set_array_member (answer, "checks", checks);
  return answer;
}

static const char *
shown_status (const char *status)
{
  return g_str_equal (status, OK) ? _ ("ok") : g_str_equal (status, WARNING) ? _ ("warning") : _ ("failure");
}

/* As people read it: a line for each check, and one below it for what to do. */
char *
derush_cli_describe_examination (JsonObject *examination)
{
  JsonArray *checks = derush_json_get_array (examination, "checks");
  GString *text = g_string_new (NULL);
  guint failures = count (checks, FAILURE), warnings = count (checks, WARNING);

  for (guint i = 0; i < json_array_get_length (checks); i++) {
    JsonObject *check = json_array_get_object_element (checks, i);
    const char *status = shown_status (derush_json_get_string (check, "status", "")),
               *name = derush_json_get_string (check, "name", ""),
               *remedy = derush_json_get_string (check, "remedy", NULL);

    g_string_append_printf (text, "%s%*s  %-12s %s\n", status, (int)MAX (0, 14 - g_utf8_strlen (status, -1)), "", name,
                            derush_json_get_string (check, "message", ""));
    if (remedy)
      g_string_append_printf (text, "%*s→ %s\n", 29, "", remedy);
  }
  if (failures + warnings == 0) {
    g_string_append_printf (text, "\n%s\n", _ ("Everything is in order."));
  } else {
    g_string_append_c (text, '\n');
    g_string_append_printf (text, ngettext ("%u failure, ", "%u failures, ", failures), failures);
    g_string_append_printf (text, ngettext ("%u warning", "%u warnings", warnings), warnings);
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}

int
derush_cli_doctor (GStrv given)
{
  g_auto (GStrv) arguments = g_strdupv (given);
  g_autoptr (DerushConfig) config = NULL;
  g_autoptr (JsonObject) inventory = NULL, examination = NULL;
  g_autofree char *text = NULL;
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, N_ ("Print one JSON object"), NULL},
      G_OPTION_ENTRY_NULL,
  };

  if (!derush_cli_parse (&arguments, NULL,
                         _ ("Looks whether this machine has what jobs need: settings, plugins and codecs, Redis, the "
                            "database, disks. Says of each what to do."),
                         _ ("Ends with 0 if there is no failure, else with 1. Nothing is changed."), entries))
    return DERUSH_CLI_USAGE;
  if (g_strv_length (arguments) != 1)
    return derush_cli_usage_error ("doctor", "%s", _ ("no arguments, please"));
  examination = derush_cli_examine (&config, &inventory);
  if (json) {
    text = derush_json_object_to_string (examination);
    puts (text);
  } else {
    text = derush_cli_describe_examination (examination);
    fputs (text, stdout);
  }
  return derush_json_get_boolean (examination, "healthy", FALSE) ? DERUSH_CLI_COMPLETED : DERUSH_CLI_FAILED;
}
