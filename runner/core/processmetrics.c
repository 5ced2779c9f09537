/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/metrics-private.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What Linux says of a process in /proc/PID/stat. */
typedef struct {
  double cpu;      /* s */
  double resident; /* bytes */
  double virtual_memory;
  double started; /* s since 1970 */
} Usage;

/*
 * Watched: a process that has a place, such as a slot
 *   pid   0 while there is none
 *   last  its CPU seconds when it was last seen, for it may be gone before anybody looks again
 *   spent CPU seconds of those that were there before
 */
typedef struct {
  GPid pid;
  double last;
  double spent;
} Watched;

static GMutex lock;
static GHashTable *watched; /* name → Watched */

static double
boot_time (void)
{
  static gsize known;
  static double seconds;

  if (g_once_init_enter (&known)) {
    g_autofree char *text = NULL;
    const char *line = NULL;

    if (g_file_get_contents ("/proc/stat", &text, NULL, NULL))
      line = strstr (text, "\nbtime ");
    seconds = line ? g_ascii_strtod (line + strlen ("\nbtime "), NULL) : 0;
    g_once_init_leave (&known, 1);
  }
  return seconds;
}

static gboolean
read_usage (GPid pid, Usage *usage)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", pid);
  g_autofree char *text = NULL;
  g_auto (GStrv) fields = NULL;
  double ticks = sysconf (_SC_CLK_TCK);
  const char *rest;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  /* The name in parentheses may hold spaces and parentheses. What follows starts with field 3. */
  rest = strrchr (text, ')');
  fields = rest ? g_strsplit (rest + 2, " ", -1) : NULL;
  if (!fields || g_strv_length (fields) < 22)
    return FALSE;
  usage->cpu = (g_ascii_strtod (fields[11], NULL) + g_ascii_strtod (fields[12], NULL)) / ticks;
  usage->started = boot_time () + g_ascii_strtod (fields[19], NULL) / ticks;
  usage->virtual_memory = g_ascii_strtod (fields[20], NULL);
  usage->resident = g_ascii_strtod (fields[21], NULL) * sysconf (_SC_PAGESIZE);
  return TRUE;
}

static guint
count_open_files (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;

  while (dir && g_dir_read_name (dir))
    count++;
  /* One is the folder's own. */
  return count > 0 ? count - 1 : 0;
}

static void
collect_self (void)
{
  struct rlimit files;
  Usage usage;

  if (read_usage (getpid (), &usage)) {
    derush_metric_set (
        derush_metrics_counter ("process_cpu_seconds_total", "CPU time that this process has used, in seconds.", NULL),
        usage.cpu, NULL);
    derush_metric_set (
        derush_metrics_gauge ("process_resident_memory_bytes", "Memory that this process holds, in bytes.", NULL),
        usage.resident, NULL);
    derush_metric_set (
        derush_metrics_gauge ("process_virtual_memory_bytes", "Address space of this process, in bytes.", NULL),
        usage.virtual_memory, NULL);
    derush_metric_set (derush_metrics_gauge ("process_start_time_seconds",
                                             "When this process was started, in seconds since 1970.", NULL),
                       usage.started, NULL);
  }
  derush_metric_set (derush_metrics_gauge ("process_open_fds", "File descriptors that this process has open.", NULL),
                     count_open_files (), NULL);
  if (getrlimit (RLIMIT_NOFILE, &files) == 0)
    derush_metric_set (
        derush_metrics_gauge ("process_max_fds", "File descriptors that this process may have open.", NULL),
        files.rlim_cur, NULL);
  derush_metric_set (
      derush_metrics_gauge ("derush_build_info", "Always 1; its label tells the version.", "version", NULL), 1,
      PACKAGE_VERSION, NULL);
}

static DerushMetric *
worker_cpu (void)
{
  return derush_metrics_counter ("derush_worker_cpu_seconds_total",
                                 "CPU time that the worker and those before it in its place have used, in seconds.",
                                 "worker", NULL);
}

static DerushMetric *
worker_memory (void)
{
  return derush_metrics_gauge ("derush_worker_resident_memory_bytes", "Memory that the worker holds, in bytes.",
                               "worker", NULL);
}

static DerushMetric *
worker_up (void)
{
  return derush_metrics_gauge ("derush_worker_up", "Whether the worker's process runs: 1 or 0.", "worker", NULL);
}

static void
collect_watched (const char *name, Watched *process)
{
  Usage usage = {0};
  gboolean runs = process->pid > 0 && read_usage (process->pid, &usage);

  if (runs)
    process->last = usage.cpu;
  derush_metric_set (worker_cpu (), process->spent + process->last, name, NULL);
  derush_metric_set (worker_memory (), usage.resident, name, NULL);
  derush_metric_set (worker_up (), runs, name, NULL);
}

void
derush_metrics_collect_processes (void)
{
  GHashTableIter iter;
  gpointer name, process;

  collect_self ();
  g_mutex_lock (&lock);
  if (watched) {
    g_hash_table_iter_init (&iter, watched);
    while (g_hash_table_iter_next (&iter, &name, &process))
      collect_watched (name, process);
  }
  g_mutex_unlock (&lock);
}

/**
 * derush_metrics_watch_process:
 * @worker: the name of its place, which stays when the process is replaced
 * @pid: the process that is there from now on; 0: none. Call it with 0 before the old process is waited for, else its
 *   last CPU seconds are not known.
 *
 * Shows the CPU time and memory of a worker as `derush_worker_…{worker}`, and counts how often it was started.
 */
void
derush_metrics_watch_process (const char *worker, GPid pid)
{
  DerushMetric *starts = derush_metrics_counter ("derush_worker_starts_total",
                                                 "How often a process was started for the worker.", "worker", NULL);
  Watched *process;
  Usage usage;

  g_mutex_lock (&lock);
  if (!watched)
    watched = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  process = g_hash_table_lookup (watched, worker);
  if (!process) {
    process = g_new0 (Watched, 1);
    g_hash_table_insert (watched, g_strdup (worker), process);
  }
  if (process->pid > 0 && read_usage (process->pid, &usage))
    process->last = usage.cpu;
  process->spent += process->last;
  process->last = 0;
  process->pid = pid;
  g_mutex_unlock (&lock);
  if (pid > 0)
    derush_metric_add (starts, 1, worker, NULL);
}

/**
 * derush_metrics_unwatch_process:
 * @worker: the name of a place that is given up
 */
void
derush_metrics_unwatch_process (const char *worker)
{
  g_mutex_lock (&lock);
  if (watched)
    g_hash_table_remove (watched, worker);
  g_mutex_unlock (&lock);
  derush_metric_forget (worker_memory (), worker, NULL);
  derush_metric_forget (worker_up (), worker, NULL);
}
