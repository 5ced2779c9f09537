/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* How the daemon is, from what is known: nothing here waits for a database or a disk. */

#include "admission-private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

/* How often the disks are looked at, in s, and how long one may take to answer, in µs. */
#define DISK_INTERVAL 5
#define DISK_PATIENCE (30 * G_USEC_PER_SEC)

/* A queue none of whose workers starts after so many attempts cannot do its jobs. */
#define FAILED_STARTS 3

/* ── Disks ──────────────────────────────────────────────────────────────── */

static const struct {
  const char *name;
  const char *setting;
} folders[] = {
    {"outputs", "DERUSH_OUTPUT_DIR"},
    {"state", "DERUSH_STATE_DIR"},
    {"scratch", "DERUSH_SCRATCH"},
};

typedef struct {
  gboolean known;
  DerushDiskReading reading;
} Space;

struct _DerushDaemonDisk {
  DerushDaemon *daemon;
  guint timer;
  gint64 asked; /* monotonic, in µs; 0: nothing is asked */
  Space spaces[G_N_ELEMENTS (folders)];
  GCancellable *cancellable;
};

typedef struct {
  DerushConfig *config;
  Space spaces[G_N_ELEMENTS (folders)];
} Look;

static void
look_free (gpointer data)
{
  Look *look = data;

  derush_config_unref (look->config);
  g_free (look);
}

static void
measure_all (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Look *look = data;

  for (guint i = 0; i < G_N_ELEMENTS (folders); i++)
    look->spaces[i].known = derush_readings_look_at_disk (
        look->config, derush_config_get_string (look->config, folders[i].setting), &look->spaces[i].reading);
  g_task_return_boolean (task, TRUE);
}

static void
on_measured (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Look *look = g_task_get_task_data (G_TASK (result));
  DerushDaemonDisk *disk = user_data;

  if (g_cancellable_is_cancelled (g_task_get_cancellable (G_TASK (result))))
    return;
  disk->asked = 0;
  memcpy (disk->spaces, look->spaces, sizeof disk->spaces);
}

static gboolean
look (gpointer user_data)
{
  DerushDaemonDisk *disk = user_data;
  g_autoptr (GTask) task = NULL;
  Look *look;

  if (disk->asked)
    return G_SOURCE_CONTINUE;
  disk->asked = g_get_monotonic_time ();
  look = g_new0 (Look, 1);
  look->config = derush_config_ref (disk->daemon->config);
  task = g_task_new (NULL, disk->cancellable, on_measured, disk);
  g_task_set_task_data (task, look, look_free);
  g_task_run_in_thread (task, measure_all);
  return G_SOURCE_CONTINUE;
}

DerushDaemonDisk *
derush_daemon_disk_new (DerushDaemon *daemon)
{
  DerushDaemonDisk *disk = g_new0 (DerushDaemonDisk, 1);

  disk->daemon = daemon;
  disk->cancellable = g_cancellable_new ();
  look (disk);
  disk->timer = g_timeout_add_seconds (DISK_INTERVAL, look, disk);
  return disk;
}

void
derush_daemon_disk_free (DerushDaemonDisk *disk)
{
  g_clear_handle_id (&disk->timer, g_source_remove);
  g_cancellable_cancel (disk->cancellable);
  g_object_unref (disk->cancellable);
  g_free (disk);
}

/* ── Workers ────────────────────────────────────────────────────────────── */

static void
add_worker (const DerushDaemonWorker *worker, gpointer user_data)
{
  JsonObject *said = json_object_new ();

  json_object_set_string_member (said, "status", worker->state);
  json_object_set_string_member (said, "queue", worker->queue);
  json_object_set_int_member (said, "restarts", worker->slot.restarts);
  json_object_set_int_member (said, "failedStarts", worker->slot.failed_starts);
  if (worker->slot.pid > 0 || worker->slot.model_pid > 0) {
    /* One that runs models may never have needed the other process. */
    json_object_set_int_member (said, "pid", worker->slot.pid > 0 ? worker->slot.pid : worker->slot.model_pid);
    if (worker->slot.model_pid > 0)
      json_object_set_int_member (said, "modelPid", worker->slot.model_pid);
    json_object_set_int_member (said, "memory", worker->slot.memory);
    json_object_set_int_member (said, "uptime", worker->slot.age);
  }
  if (worker->slot.heartbeat > 0) {
    g_autofree char *heard = derush_time_to_iso8601 (worker->slot.heartbeat);

    json_object_set_string_member (said, "lastHeartbeat", heard);
  }
  if (worker->job)
    json_object_set_string_member (said, "currentJob", worker->job);
  if (worker->stopping)
    json_object_set_boolean_member (said, "stopping", TRUE);
  if (worker->error)
    json_object_set_string_member (said, "error", worker->error);
  json_object_set_object_member (user_data, worker->name, said);
}

JsonObject *
derush_daemon_describe_workers (GPtrArray *queues)
{
  JsonObject *workers = json_object_new ();

  for (guint i = 0; i < queues->len; i++)
    derush_daemon_queue_foreach_worker (queues->pdata[i], add_worker, workers);
  return workers;
}

/* ── What is wrong ──────────────────────────────────────────────────────── */

typedef struct {
  JsonArray *problems;
  gboolean unhealthy;
} Verdict;

/* @severe: no job can be done well until it is mended. */
static void G_GNUC_PRINTF (3, 4) find_fault (Verdict *verdict, gboolean severe, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  /* What pages somebody comes first. */
  if (severe && !verdict->unhealthy && json_array_get_length (verdict->problems) > 0) {
    JsonArray *all = json_array_new ();

    json_array_add_string_element (all, text);
    for (guint i = 0; i < json_array_get_length (verdict->problems); i++)
      json_array_add_string_element (all, json_array_get_string_element (verdict->problems, i));
    json_array_unref (verdict->problems);
    verdict->problems = all;
  } else {
    json_array_add_string_element (verdict->problems, text);
  }
  verdict->unhealthy |= severe;
}

typedef struct {
  guint workers, running, stopped, failing, beyond;
  char *name, *error; /* of the first one that fails */
} Tally;

static void
tally (const DerushDaemonWorker *worker, gpointer user_data)
{
  Tally *sum = user_data;

  sum->workers++;
  sum->running += worker->slot.pid > 0 || worker->slot.model_pid > 0;
  sum->stopped += strcmp (worker->state, "stopped") == 0;
  if (strcmp (worker->state, "failing") != 0)
    return;
  sum->failing++;
  sum->beyond += worker->slot.failed_starts >= FAILED_STARTS;
  if (sum->name)
    return;
  sum->name = g_strdup (worker->name);
  sum->error = g_strdup (worker->error ? worker->error : "");
}

static void
judge_queue (Verdict *verdict, DerushDaemonQueue *queue)
{
  const char *name = derush_daemon_queue_get_name (queue);
  Tally sum = {0};

  derush_daemon_queue_foreach_worker (queue, tally, &sum);
  if (sum.beyond > 0 && sum.running == 0)
    find_fault (verdict, TRUE, _ ("No worker of the queue %s can be started: %s"), name, sum.error);
  else if (sum.failing > 0)
    find_fault (verdict, FALSE, _ ("The worker %s cannot be started: %s"), sum.name, sum.error);
  else if (sum.workers > 0 && sum.stopped == sum.workers)
    find_fault (verdict, FALSE, _ ("All workers of the queue %s were stopped"), name);
  g_free (sum.name);
  g_free (sum.error);
}

/* Rows wait for it, and jobs go on. */
static JsonObject *
describe_database (Verdict *verdict, DerushStore *store)
{
  JsonObject *database = derush_store_get_status (store);
  const char *why = derush_json_get_string (database, "lastError", "");

  json_object_set_string_member (database, "kind", derush_json_get_string (database, "backend", ""));
  if (store && !derush_json_get_boolean (database, "connected", FALSE))
    find_fault (verdict, FALSE, _ ("The database cannot be written, so results wait for it: %s"), why);
  return database;
}

static JsonObject *
describe_disk (Verdict *verdict, DerushDaemonDisk *disk)
{
  JsonObject *said = json_object_new ();

  for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
    const Space *space = &disk->spaces[i];
    const char *path = derush_config_get_string (disk->daemon->config, folders[i].setting);
    JsonObject *folder;

    if (!space->known)
      continue;
    folder = json_object_new ();
    json_object_set_string_member (folder, "path", path);
    json_object_set_int_member (folder, "free", space->reading.free);
    json_object_set_int_member (folder, "total", space->reading.total);
    json_object_set_int_member (folder, "floor", space->reading.floor);
    json_object_set_boolean_member (folder, "belowFloor", space->reading.free < space->reading.floor);
    json_object_set_boolean_member (folder, "writable", space->reading.writable);
    json_object_set_object_member (said, folders[i].name, folder);
    if (!space->reading.writable)
      find_fault (verdict, TRUE, _ ("%s cannot be written; is its disk read-only, or does it belong to somebody else?"),
                  path);
    else if (space->reading.free < space->reading.floor)
      find_fault (verdict, TRUE, _ ("%s has only %" PRId64 " MiB free, less than DERUSH_DISK_FLOOR"), path,
                  (int64_t)(space->reading.free >> 20));
  }
  if (disk->asked && g_get_monotonic_time () - disk->asked > DISK_PATIENCE)
    find_fault (verdict, TRUE, _ ("The disk of DERUSH_OUTPUT_DIR, DERUSH_STATE_DIR or DERUSH_SCRATCH does not answer"));
  return said;
}

/* Of this process, in bytes; 0: not known. */
static gint64
resident_memory (void)
{
  g_autofree char *text = NULL;
  long long size, resident;

  if (!g_file_get_contents ("/proc/self/statm", &text, NULL, NULL) || sscanf (text, "%lld %lld", &size, &resident) != 2)
    return 0;
  return resident * sysconf (_SC_PAGESIZE);
}

JsonObject *
derush_daemon_get_health (DerushDaemon *daemon, GPtrArray *queues, DerushDaemonDisk *disk, double uptime)
{
  JsonObject *health = json_object_new (), *details = json_object_new (), *memory = json_object_new (),
             *containment = derush_containment_get ();
  Verdict verdict = {.problems = json_array_new ()};

  json_object_set_int_member (memory, "rss", resident_memory ());
  json_object_set_object_member (details, "memory", memory);
  json_object_set_double_member (details, "uptime", uptime);
  for (guint i = 0; i < queues->len; i++)
    judge_queue (&verdict, queues->pdata[i]);
  json_object_set_object_member (details, "database", describe_database (&verdict, daemon->store));
  json_object_set_object_member (details, "disk", describe_disk (&verdict, disk));
  if (containment)
    json_object_set_object_member (details, "containment", containment);
  json_object_set_object_member (details, "admission", derush_daemon_governor_describe (daemon->governor));
  json_object_set_boolean_member (health, "healthy", !verdict.unhealthy);
  json_object_set_string_member (health, "status",
                                 verdict.unhealthy                              ? "unhealthy"
                                 : json_array_get_length (verdict.problems) > 0 ? "degraded"
                                                                                : "healthy");
  json_object_set_array_member (health, "problems", verdict.problems);
  json_object_set_object_member (health, "details", details);
  json_object_set_object_member (health, "workers", derush_daemon_describe_workers (queues));
  return health;
}
