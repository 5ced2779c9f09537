/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/cgroup-private.h"
#include "steps/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define PREFIX "derush-"
#define SUPERVISOR "derush-supervisor"

struct _DerushCgroup {
  int version;
  char *path;
};

/* Of this process; found once, since with version 2 it moves to a group below. */
typedef struct {
  int version;
  char *path;
  char *reason; /* why there is none */
} Base;

/* ── Finding ────────────────────────────────────────────────────────────── */

static gboolean
has_word (const char *list, const char *separators, const char *word)
{
  g_auto (GStrv) words = g_strsplit_set (list, separators, -1);

  return g_strv_contains ((const char *const *)words, word);
}

/* `ID:CONTROLLERS:PATH`; of version 2 the controllers are empty. */
static char *
find_membership (const char *membership, int version)
{
  g_auto (GStrv) lines = g_strsplit (membership, "\n", -1);

  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) fields = g_strsplit (lines[i], ":", 3);

    if (g_strv_length (fields) == 3 && (version == 1 ? has_word (fields[1], ",", "memory") : fields[1][0] == '\0'))
      return g_strdup (fields[2]);
  }
  return NULL;
}

/* `… ROOT MOUNTPOINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS`. A container sees a part of the tree only. */
static char *
find_mounted (const char *mounts, int version, const char *path)
{
  g_auto (GStrv) lines = g_strsplit (mounts, "\n", -1);

  for (guint i = 0; lines[i]; i++) {
    const char *dash = strstr (lines[i], " - ");
    g_auto (GStrv) fields = dash ? g_strsplit (lines[i], " ", -1) : NULL;
    g_auto (GStrv) kind = dash ? g_strsplit (dash + 3, " ", 3) : NULL;
    const char *root;
    gsize length;

    if (!dash || g_strv_length (fields) < 6 || g_strv_length (kind) < 3 ||
        strcmp (kind[0], version == 1 ? "cgroup" : "cgroup2") != 0 ||
        (version == 1 && !has_word (kind[2], ",", "memory")))
      continue;
    root = fields[3];
    length = strcmp (root, "/") == 0 ? 0 : strlen (root);
    if (strncmp (path, root, length) == 0 && (path[length] == '/' || path[length] == '\0') && !strstr (path, ".."))
      return g_build_filename (fields[4], path + length, NULL);
  }
  return NULL;
}

char *
derush_cgroup_find (const char *membership, const char *mounts, int *version)
{
  for (*version = 1; *version <= 2; (*version)++) {
    g_autofree char *path = find_membership (membership, *version);
    char *mounted = path ? find_mounted (mounts, *version, path) : NULL;

    if (mounted) {
      char *slash = mounted + strlen (mounted);

      while (slash > mounted + 1 && slash[-1] == '/')
        *--slash = '\0';
      return mounted;
    }
  }
  *version = 0;
  return NULL;
}

/* ── The group of this process ──────────────────────────────────────────── */

static gboolean
write_value (const char *folder, const char *name, const char *format, gint64 value)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  char text[32];
  int fd = open (path, O_WRONLY | O_CLOEXEC), length, number;
  gboolean done;

  if (fd < 0)
    return FALSE;
  length = g_snprintf (text, sizeof text, format, value);
  done = write (fd, text, length) == length;
  number = errno;
  close (fd);
  errno = number;
  return done;
}

static char *
read_text (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) ? text : NULL;
}

/* Below systemd each group has one writer: systemd, unless it has handed the group over. */
static gboolean
is_ours (const char *path)
{
  static const char *const marks[] = {"user.delegate", "trusted.delegate"};
  char value[4] = "";

  if (!g_file_test ("/run/systemd/system", G_FILE_TEST_IS_DIR))
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (marks); i++)
    if (getxattr (path, marks[i], value, sizeof value) > 0 && value[0] == '1')
      return TRUE;
  return FALSE;
}

/* With version 2 a group that hands memory on to groups below has no processes itself: this one steps aside. */
static gboolean
hand_on (const char *path)
{
  g_autofree char *controllers = read_text (path, "cgroup.controllers");
  g_autofree char *handed_on = read_text (path, "cgroup.subtree_control");
  g_autofree char *aside = g_build_filename (path, SUPERVISOR, NULL);

  if (handed_on && has_word (handed_on, " \n", "memory"))
    return TRUE;
  errno = EOPNOTSUPP;
  if (!controllers || !has_word (controllers, " \n", "memory"))
    return FALSE;
  if (write_value (path, "cgroup.subtree_control", "+memory", 0))
    return TRUE;
  if (errno != EBUSY || (g_mkdir (aside, 0755) != 0 && errno != EEXIST))
    return FALSE;
  return write_value (aside, "cgroup.procs", "%" PRId64, getpid ()) &&
         write_value (path, "cgroup.subtree_control", "+memory", 0);
}

/* Groups of daemons that were killed. Those that hold a process cannot be removed. */
static void
sweep (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *folder = g_build_filename (path, name, NULL);
    int daemon;

    if (sscanf (name, PREFIX "%d-", &daemon) == 1 && kill (daemon, 0) != 0 && errno == ESRCH)
      g_rmdir (folder);
  }
}

static gpointer
find_base (gpointer data)
{
  Base *base = g_new0 (Base, 1);
  g_autofree char *membership = read_text ("/proc/self", "cgroup"), *mounts = read_text ("/proc/self", "mountinfo");

  base->path = derush_cgroup_find (membership ? membership : "", mounts ? mounts : "", &base->version);
  if (!base->path)
    base->reason = g_strdup (_ ("no control groups that account for memory are mounted"));
  else if (!is_ours (base->path))
    base->reason = g_strdup (_ ("systemd has not handed its control group over; set Delegate=memory in the unit"));
  else if (base->version == 2 && !hand_on (base->path))
    base->reason = g_strdup (g_strerror (errno));
  else
    sweep (base->path);
  return base;
}

/* ── The group of a worker ──────────────────────────────────────────────── */

/* Even a process that has just ended may still be in it for a moment. */
static void
remove_group (const char *path)
{
  for (int tries = 0; g_rmdir (path) != 0 && errno == EBUSY && tries < 20; tries++)
    g_usleep (5000);
}

DerushCgroup *
derush_cgroup_new (GPid pid, gint64 memory_limit, char **reason)
{
  static GOnce once = G_ONCE_INIT;
  const Base *base = g_once (&once, find_base, NULL);
  g_autofree char *name = g_strdup_printf (PREFIX "%d-%d", (int)getpid (), (int)pid);
  DerushCgroup *cgroup;

  if (base->reason) {
    *reason = g_strdup (base->reason);
    return NULL;
  }
  cgroup = g_new0 (DerushCgroup, 1);
  cgroup->version = base->version;
  cgroup->path = g_build_filename (base->path, name, NULL);
  if (g_mkdir (cgroup->path, 0755) == 0 &&
      write_value (cgroup->path, base->version == 1 ? "memory.limit_in_bytes" : "memory.max", "%" PRId64,
                   memory_limit) &&
      write_value (cgroup->path, "cgroup.procs", "%" PRId64, pid))
    return cgroup;
  *reason = g_strdup (g_strerror (errno));
  derush_cgroup_free (cgroup);
  return NULL;
}

int
derush_cgroup_get_version (DerushCgroup *cgroup)
{
  return cgroup->version;
}

gboolean
derush_cgroup_was_full (DerushCgroup *cgroup)
{
  g_autofree char *text = read_text (cgroup->path, cgroup->version == 1 ? "memory.oom_control" : "memory.events");
  const char *killed = text ? strstr (text, "oom_kill ") : NULL;

  return killed && g_ascii_strtoll (killed + strlen ("oom_kill "), NULL, 10) > 0;
}

void
derush_cgroup_free (DerushCgroup *cgroup)
{
  remove_group (cgroup->path);
  g_free (cgroup->path);
  g_free (cgroup);
}
