/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/contain-private.h"
#include "steps/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <glib/gi18n-lib.h>

#define OPEN_FILES 1024

/* ── Landlock ───────────────────────────────────────────────────────────── */

/* As in linux/landlock.h, which on older systems lacks what newer kernels can do. */
#define NR_CREATE_RULESET 444
#define NR_ADD_RULE 445
#define NR_RESTRICT_SELF 446
#define CREATE_RULESET_VERSION 1
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR (1ULL << 7)
#define FS_MAKE_REG (1ULL << 8)
#define FS_ABI_1 ((1ULL << 13) - 1)
#define FS_REFER (1ULL << 13)     /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define NET_TCP 3ULL              /* ABI 4: bind and connect */
#define SCOPE_ALL 3ULL            /* ABI 6: abstract sockets, signals */

#define READ (FS_READ_FILE | FS_READ_DIR)
#define FILE_ONLY (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define WRITE                                                                                                          \
  (READ | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE)

struct ruleset {
  guint64 fs, net, scoped;
};

struct path_rule {
  guint64 allowed;
  gint32 parent;
} __attribute__ ((packed));

/* Libraries, their settings, fonts, and what the C library asks of the machine. No home, no user list, no host names. */
static const char *const system_paths[] = {
    "/usr",
    "/lib",
    "/lib64",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/etc/localtime",
    "/var/cache/fontconfig",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    DERUSH_PKGDATADIR,
    DERUSH_PLUGINSDIR,
    LOCALEDIR,
};

/* Variables that name files or, with colons between them, folders. */
static const char *const path_variables[] = {
    "GST_PLUGIN_PATH", "GST_PLUGIN_PATH_1_0",  "GST_PLUGIN_SYSTEM_PATH", "GST_PLUGIN_SYSTEM_PATH_1_0", "GST_REGISTRY",
    "LD_LIBRARY_PATH", "DERUSH_PIPELINES_DIR", "DERUSH_DATA_DIR",        "DERUSH_PLATFORMS_DIR",       "LOCPATH",
};

static gboolean
allow (int rules, guint64 handled, const char *path, guint64 access)
{
  int fd = open (path, O_PATH | O_CLOEXEC);
  struct path_rule rule = {.parent = fd};
  struct stat status;
  gboolean done;

  /* What is not there cannot be read either. */
  if (fd < 0)
    return TRUE;
  if (fstat (fd, &status) != 0 || !S_ISDIR (status.st_mode))
    access &= FILE_ONLY;
  rule.allowed = access & handled;
  done = syscall (NR_ADD_RULE, rules, RULE_PATH_BENEATH, &rule, 0) == 0;
  close (fd);
  return done;
}

static gboolean
allow_variables (int rules, guint64 handled)
{
  for (guint i = 0; i < G_N_ELEMENTS (path_variables); i++) {
    const char *value = g_getenv (path_variables[i]);
    g_auto (GStrv) paths = g_strsplit (value ? value : "", ":", -1);

    for (guint k = 0; paths[k]; k++)
      if (paths[k][0] == '/' && !allow (rules, handled, paths[k], READ))
        return FALSE;
  }
  return TRUE;
}

/* Everything is refused that the kernel can refuse, and then allowed where it is needed. */
static char *
contain_files (const char *folder, const char *const *readable, int *abi)
{
  struct ruleset ruleset = {.fs = FS_ABI_1};
  gsize size = sizeof (guint64);
  gboolean done;
  int rules;

  *abi = syscall (NR_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
  if (*abi < 1) {
    int number = errno;

    *abi = 0;
    return g_strdup (number == EOPNOTSUPP ? _ ("the kernel has Landlock switched off") : g_strerror (number));
  }
  ruleset.fs |= (*abi >= 2 ? FS_REFER : 0) | (*abi >= 3 ? FS_TRUNCATE : 0) | (*abi >= 5 ? FS_IOCTL_DEV : 0);
  if (*abi >= 4) {
    ruleset.net = NET_TCP;
    size = 2 * sizeof (guint64);
  }
  if (*abi >= 6) {
    ruleset.scoped = SCOPE_ALL;
    size = 3 * sizeof (guint64);
  }
  rules = syscall (NR_CREATE_RULESET, &ruleset, size, 0);
  if (rules < 0)
    return g_strdup (g_strerror (errno));
  done = allow (rules, ruleset.fs, "/dev/null", READ | FS_WRITE_FILE | FS_TRUNCATE) &&
         allow_variables (rules, ruleset.fs) && (!folder || allow (rules, ruleset.fs, folder, WRITE));
  for (guint i = 0; done && i < G_N_ELEMENTS (system_paths); i++)
    done = allow (rules, ruleset.fs, system_paths[i], READ);
  for (guint i = 0; done && readable && readable[i]; i++)
    done = allow (rules, ruleset.fs, readable[i], READ);
  done = done && syscall (NR_RESTRICT_SELF, rules, 0) == 0;
  if (!done) {
    int number = errno;

    close (rules);
    return g_strdup (g_strerror (number));
  }
  close (rules);
  return NULL;
}

/* ── The rest ───────────────────────────────────────────────────────────── */

static gboolean
lower (int resource, guint64 value)
{
  struct rlimit limit;

  if (getrlimit (resource, &limit) != 0)
    return FALSE;
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < value)
    value = limit.rlim_max;
  limit.rlim_cur = limit.rlim_max = value;
  return setrlimit (resource, &limit) == 0;
}

static char *
set_limits (void)
{
  const char *file_limit = g_getenv (DERUSH_WORKER_FILE_LIMIT);
  guint64 bytes = file_limit ? g_ascii_strtoull (file_limit, NULL, 10) : 0;

  /* A file that grows too large is then a failed write with a name, not a death. */
  signal (SIGXFSZ, SIG_IGN);
  if (lower (RLIMIT_CORE, 0) && lower (RLIMIT_NOFILE, OPEN_FILES) && (bytes == 0 || lower (RLIMIT_FSIZE, bytes)))
    return NULL;
  return g_strdup (g_strerror (errno));
}

static char *
drop_capabilities (void)
{
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {{0}, {0}};

  return syscall (SYS_capset, &header, none) == 0 ? NULL : g_strdup (g_strerror (errno));
}

/* Landlock and capabilities are of a thread, and inherited by those that it starts. */
static guint
count_threads (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  guint count = 0;

  while (dir && g_dir_read_name (dir))
    count++;
  return count;
}

static JsonObject *
add_layer (JsonObject *report, const char *name, char *reason)
{
  JsonObject *layer = json_object_new ();

  json_object_set_boolean_member (layer, "holds", reason == NULL);
  if (reason)
    json_object_set_string_member (layer, "reason", reason);
  json_object_set_object_member (report, name, layer);
  g_free (reason);
  return layer;
}

/**
 * derush_contain_self:
 * @folder: (nullable): the one folder that may be written to, with everything below it
 * @readable: (nullable) (array zero-terminated=1): files and folders that may be read beside those of the system
 *
 * Takes from this process what a program that decodes a hostile film must not have: new rights (`no_new_privs`), system
 * calls beyond those that decoding needs (seccomp), files (Landlock), capabilities, and files and descriptors without
 * limit. Descriptors that are open stay usable. To be called before there is a second thread, after everything that has
 * to start a program. A layer that this kernel or this container does not offer is left out, and said so. With
 * `DERUSH_SANDBOX=off` in the environment nothing is done.
 *
 * A call that is refused fails with EPERM, and its name is written to the standard error once.
 *
 * Returns: (transfer full): what holds, by the names of the layers: `{"holds": true}` or `{"holds": false, "reason": "…"}`
 */
JsonObject *
derush_contain_self (const char *folder, const char *const *readable)
{
  JsonObject *report = json_object_new ();
  g_autofree char *threads = NULL, *reason = NULL;
  guint n_threads = count_threads ();
  int abi = 0;

  if (g_strcmp0 (g_getenv ("DERUSH_SANDBOX"), "off") == 0) {
    for (guint i = 0; derush_containment_layers[i]; i++)
      add_layer (report, derush_containment_layers[i], g_strdup (_ ("switched off by DERUSH_SANDBOX")));
    return report;
  }
  if (n_threads > 1)
    threads = g_strdup_printf (_ ("other threads run already: %u"), n_threads - 1);
  add_layer (report, "limits", set_limits ());
  add_layer (report, "no-new-privileges",
             prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? NULL : g_strdup (g_strerror (errno)));
  reason = contain_files (folder, readable, &abi);
  if (!reason)
    reason = g_strdup (threads);
  json_object_set_int_member (add_layer (report, "landlock", g_steal_pointer (&reason)), "abi", abi);
  reason = drop_capabilities ();
  if (!reason)
    reason = g_strdup (threads);
  add_layer (report, "capabilities", g_steal_pointer (&reason));
  add_layer (report, "seccomp", derush_contain_system_calls ());
  return report;
}
