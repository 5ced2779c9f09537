/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What the machine says of itself: pressure stall information, memory, control groups, disks. What it does not say is
 * replaced where something comes near, else it is not known and limits nothing. */

#include "admission-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Limits above this are none: version 1 of control groups says a very large number instead. */
#define NO_LIMIT (G_GINT64_CONSTANT (1) << 60)

static char *
read_text (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) ? text : NULL;
}

/* The number behind @name at the beginning of a line; negative: there is none. */
static gint64
find_number (const char *text, const char *name)
{
  gsize length = strlen (name);

  for (const char *line = text; line && *line; line = strchr (line, '\n'), line = line ? line + 1 : NULL)
    if (strncmp (line, name, length) == 0 && (line[length] == ' ' || line[length] == ':'))
      return g_ascii_strtoll (line + length + 1, NULL, 10);
  return -1;
}

/* ── Pressure ───────────────────────────────────────────────────────────── */

double
derush_pressure_parse (const char *text, const char *kind)
{
  g_auto (GStrv) lines = g_strsplit (text ? text : "", "\n", -1);
  gsize length = strlen (kind);

  for (guint i = 0; lines[i]; i++) {
    const char *value = strstr (lines[i], " avg10=");
    char *end;
    double share;

    if (strncmp (lines[i], kind, length) != 0 || lines[i][length] != ' ' || !value)
      continue;
    value += strlen (" avg10=");
    share = g_ascii_strtod (value, &end);
    if (end != value)
      return share;
  }
  return -1;
}

static double
read_pressure (const char *proc, const char *what, const char *kind)
{
  g_autofree char *folder = g_build_filename (proc, "pressure", NULL), *text = read_text (folder, what);

  return derush_pressure_parse (text, kind);
}

/* Without pressure stall information: the share of those that want to run that cannot. */
static double
pressure_of_load (const char *proc, guint processors)
{
  g_autofree char *text = read_text (proc, "loadavg");
  double load = text ? g_ascii_strtod (text, NULL) : -1;

  if (!text)
    return -1;
  return load > processors ? 100 * (load - processors) / load : 0;
}

/* ── Memory ─────────────────────────────────────────────────────────────── */

static gint64
read_amount (const char *folder, const char *name)
{
  g_autofree char *text = read_text (folder, name);
  gint64 amount;

  if (!text || !g_ascii_isdigit (text[0]))
    return -1;
  amount = g_ascii_strtoll (text, NULL, 10);
  return amount < NO_LIMIT ? amount : -1;
}

gint64
derush_readings_cgroup_memory (const char *group, const char *top, int version, gint64 *total)
{
  const char *limit_name = version == 1 ? "memory.limit_in_bytes" : "memory.max";
  const char *used_name = version == 1 ? "memory.usage_in_bytes" : "memory.current";
  const char *cache_name = version == 1 ? "total_inactive_file" : "inactive_file";
  g_autofree char *folder = g_strdup (group);
  gint64 least = -1;

  while (g_str_has_prefix (folder, top)) {
    gint64 limit = read_amount (folder, limit_name), used = read_amount (folder, used_name);
    char *above;

    if (limit >= 0 && used >= 0) {
      g_autofree char *text = read_text (folder, "memory.stat");
      /* The kernel takes back what it only keeps of files. */
      gint64 cache = text ? MAX (find_number (text, cache_name), 0) : 0,
             left = MAX (limit - used + MIN (cache, used), 0);

      if (least < 0 || left < least) {
        least = left;
        *total = limit;
      }
    }
    if (strcmp (folder, top) == 0)
      break;
    above = g_path_get_dirname (folder);
    g_free (folder);
    folder = above;
  }
  return least;
}

static void
take_memory (const char *proc, DerushReadings *readings)
{
  g_autofree char *self = g_build_filename (proc, "self", NULL), *text = read_text (proc, "meminfo");
  g_autofree char *membership = read_text (self, "cgroup"), *mounts = read_text (self, "mountinfo");
  g_autofree char *group = NULL, *top = NULL;
  gint64 left, total = -1;
  int version;

  readings->memory_total = text ? find_number (text, "MemTotal") : -1;
  readings->memory_available = text ? find_number (text, "MemAvailable") : -1;
  if (readings->memory_total > 0)
    readings->memory_total *= 1024;
  if (readings->memory_available > 0)
    readings->memory_available *= 1024;
  group = derush_cgroup_find (membership ? membership : "", mounts ? mounts : "", &version);
  if (!group)
    return;
  /* The same as the group of a process at the top. */
  membership = (g_free (membership), g_strdup (version == 1 ? "0:memory:/" : "0::/"));
  top = derush_cgroup_find (membership, mounts, &version);
  left = derush_readings_cgroup_memory (group, top ? top : group, version, &total);
  if (left < 0 || (readings->memory_available >= 0 && left >= readings->memory_available))
    return;
  readings->memory_available = left;
  readings->memory_total = total;
}

void
derush_readings_take (const char *proc, DerushReadings *readings)
{
  DerushPressure *pressure = &readings->pressure;

  readings->processors = g_get_num_processors ();
  pressure->cpu = read_pressure (proc, "cpu", "some");
  if (pressure->cpu < 0)
    pressure->cpu = pressure_of_load (proc, readings->processors);
  pressure->memory = read_pressure (proc, "memory", "some");
  pressure->memory_full = read_pressure (proc, "memory", "full");
  pressure->io = read_pressure (proc, "io", "full");
  take_memory (proc, readings);
}

/* ── Disks ──────────────────────────────────────────────────────────────── */

/* Of the folder, or of where it will be made. @writable: (out): whether anything can be put there */
static gboolean
look_at (const char *folder, struct statvfs *status, gboolean *writable)
{
  g_autofree char *path = g_strdup (folder);

  while (statvfs (path, status) != 0) {
    char *above = g_path_get_dirname (path);
    gboolean top = strcmp (above, path) == 0;

    g_free (path);
    path = above;
    if (top)
      return FALSE;
  }
  *writable = access (path, W_OK | X_OK) == 0;
  return status->f_blocks > 0;
}

gboolean
derush_readings_look_at_disk (DerushConfig *config, const char *folder, DerushDiskReading *reading)
{
  struct statvfs status;

  if (!look_at (folder, &status, &reading->writable))
    return FALSE;
  reading->total = (gint64)status.f_blocks * status.f_frsize;
  reading->free = (gint64)status.f_bavail * status.f_frsize;
  reading->floor = derush_disk_floor (config, reading->total);
  return TRUE;
}

void
derush_readings_take_disk (DerushConfig *config, DerushReadings *readings)
{
  static const char *const names[] = {"DERUSH_OUTPUT_DIR", "DERUSH_SCRATCH", "DERUSH_STATE_DIR"};
  gint64 wanted = derush_config_get_int (config, "DERUSH_DISK_FLOOR");

  readings->disk = NULL;
  readings->disk_free = readings->disk_floor = 0;
  for (guint i = 0; i < G_N_ELEMENTS (names) && wanted > 0; i++) {
    const char *folder = derush_config_get_string (config, names[i]);
    DerushDiskReading reading;

    if (!derush_readings_look_at_disk (config, folder, &reading))
      continue;
    /* No room at all, rather than jobs that fail one after the other. */
    if (!reading.writable)
      reading.free = 0;
    if (readings->disk && reading.free - reading.floor >= readings->disk_free - readings->disk_floor)
      continue;
    readings->disk = folder;
    readings->disk_free = reading.free;
    readings->disk_floor = reading.floor;
  }
}
