/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "fixture.h"
#include "plans.h"
#include "steps/cgroup-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <glib/gstdio.h>

/* Where a layer cannot hold, since the kernel or the container lacks it, the report has to say so; where it holds, nothing
 * may get through it. */

typedef struct {
  TestSlot test;
  char *outside;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  test_slot_set_up (&fixture->test, g_getenv ("DERUSH_CONTAINED_WORKER"));
  fixture->outside = g_build_filename (fixture->test.top, "outside", NULL);
  g_assert_true (g_file_set_contents (fixture->outside, "of another job", -1, NULL));
  g_unsetenv ("DERUSH_SANDBOX");
  g_unsetenv ("DERUSH_WORKER_MEMORY_LIMIT");
  g_unsetenv ("DERUSH_WORKER_CPU_LIMIT");
  test_slot_open (&fixture->test);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  test_slot_tear_down (&fixture->test);
  g_free (fixture->outside);
}

static DerushOutcome *
run (Fixture *fixture, const char *action, const char *parameters)
{
  DerushRunOptions options = {.job_id = "1", .attempt = 1};
  DerushPlan *plan = plan_new (fixture->test.film, fixture->test.out);

  plan_add (plan, action, action, parameters);
  return test_slot_run (&fixture->test, plan, &options);
}

static int
attempt (Fixture *fixture, const char *action)
{
  g_autofree char *parameters = g_strdup_printf ("{\"outside\":\"%s\"}", fixture->outside);
  JsonObject *results;

  run (fixture, action, parameters);
  if (!fixture->test.outcome->return_value)
    g_error ("%s: %s", action, fixture->test.outcome->message);
  results = derush_json_get_object (fixture->test.outcome->return_value, "results");
  return derush_json_get_int (derush_json_get_object (results, action), "error", -1);
}

static gboolean
layer_holds (const char *name)
{
  g_autoptr (JsonObject) report = derush_containment_get ();
  JsonObject *layer = derush_json_get_object (report, name);

  g_assert_nonnull (layer);
  if (derush_json_get_boolean (layer, "holds", FALSE))
    return TRUE;
  g_assert_cmpstr (derush_json_get_string (layer, "reason", ""), !=, "");
  g_test_message ("%s does not hold here: %s", name, derush_json_get_string (layer, "reason", ""));
  return FALSE;
}

/* A call that is beyond the layers that hold here may do as it likes. */
static void
assert_refused (Fixture *fixture, const char *layer, const char *const *actions, guint n)
{
  for (guint i = 0; i < n; i++) {
    int number = attempt (fixture, actions[i]);

    if (number == 0 && layer_holds (layer))
      g_error ("The worker could do this: %s", actions[i]);
    g_assert_cmpint (number, !=, -1);
  }
}

static void
test_system_calls (Fixture *fixture, gconstpointer data)
{
  static const char *const actions[] = {
    "socket",
    "unix-socket",
    "datagram-pair",
    "exec",
    "own-program",
    "unshare",
    "io-uring",
    "bpf",
    "symlink",
    "device",
#if !defined(__SANITIZE_ADDRESS__)
    "fork",
    "ptrace",
    "read-parent",
    "kill-parent",
#endif
  };

  for (guint i = 0; i < G_N_ELEMENTS (actions); i++) {
    int number = attempt (fixture, actions[i]);

    /* The error of the filter, not one that the call itself may have: io_uring, say, could be switched off. */
    if (layer_holds ("seccomp"))
      g_assert_cmpint (number, ==, EPERM);
  }
}

static void
test_files (Fixture *fixture, gconstpointer data)
{
  static const char *const actions[] = {"read-users",       "write-users",   "parent-memory", "parent-environment",
                                        "read-outside",     "write-outside", "write-beside",  "move-out",
                                        "truncate-outside", "remove-outside"};
  g_autofree char *text = NULL;

  /* Truncating by name is refused from the third ABI of Landlock on; seen from its number. */
  assert_refused (fixture, "landlock", actions, G_N_ELEMENTS (actions) - 2);
  if (layer_holds ("landlock")) {
    g_autoptr (JsonObject) report = derush_containment_get ();
    gint64 abi = derush_json_get_int (derush_json_get_object (report, "landlock"), "abi", 0);

    g_assert_cmpint (abi, >, 0);
    g_assert_cmpint (attempt (fixture, "remove-outside"), ==, EACCES);
    if (abi >= 3) {
      g_assert_cmpint (attempt (fixture, "truncate-outside"), ==, EACCES);
      g_assert_true (g_file_get_contents (fixture->outside, &text, NULL, NULL));
      g_assert_cmpstr (text, ==, "of another job");
    }
  }
}

static void
test_limits (Fixture *fixture, gconstpointer data)
{
  g_assert_cmpint (attempt (fixture, "many-files"), ==, EMFILE);
  g_assert_cmpint (attempt (fixture, "large-file"), ==, EFBIG);
  g_assert_cmpint (attempt (fixture, "core"), ==, EPERM);
#if !defined(__SANITIZE_ADDRESS__)
  if (layer_holds ("capabilities") || layer_holds ("seccomp"))
    g_assert_cmpint (attempt (fixture, "raise-limit"), ==, EPERM);
#endif
}

static void
test_goes_on (Fixture *fixture, gconstpointer data)
{
  static const char *const actions[] = {"write-own", "map-code", "thread", "library-folder", "random"};

  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    if (attempt (fixture, actions[i]) != 0)
      g_error ("A contained worker cannot do this any more: %s", actions[i]);
}

static void
test_named (Fixture *fixture, gconstpointer data)
{
  run (fixture, "socket", "{\"fail\":true}");
  g_assert_null (fixture->test.outcome->return_value);
  if (layer_holds ("seccomp"))
    g_assert_nonnull (strstr (fixture->test.outcome->message, "system call “socket”"));
  /* The next request starts with a clean slate. */
  run (fixture, "thread", "{\"fail\":true}");
  g_assert_cmpstr (fixture->test.outcome->message, ==, "It failed");
}

static void
test_memory (Fixture *fixture, gconstpointer data)
{
  g_setenv ("DERUSH_WORKER_MEMORY_LIMIT", "300000000", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "grow", NULL);
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_nonnull (strstr (fixture->test.outcome->message, "more memory than it may"));
  g_assert_cmpint (attempt (fixture, "thread"), ==, 0);
}

/* Faster than anybody looks. */
static void
test_memory_at_once (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL, *groups = NULL;

  g_setenv ("DERUSH_WORKER_MEMORY_LIMIT", "300000000", TRUE);
  test_slot_open (&fixture->test);
  g_assert_cmpint (attempt (fixture, "thread"), ==, 0);
  path = g_strdup_printf ("/proc/%d/cgroup", (int)derush_slot_get_media_pid (fixture->test.slot));
  g_assert_true (g_file_get_contents (path, &groups, NULL, NULL));
  g_assert_cmpint (strstr (groups, "/derush-") != NULL, ==, layer_holds ("cgroup"));
  run (fixture, "burst", NULL);
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_nonnull (strstr (fixture->test.outcome->message, "more memory than it may"));
  g_assert_cmpint (attempt (fixture, "thread"), ==, 0);
}

static void
test_cpu (Fixture *fixture, gconstpointer data)
{
  GPid first;

  g_setenv ("DERUSH_WORKER_CPU_LIMIT", "1", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "spin", NULL);
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_cmpint (fixture->test.outcome->error_class, ==, DERUSH_ERROR_STALLED);
  g_assert_nonnull (strstr (fixture->test.outcome->message, "DERUSH_WORKER_CPU_LIMIT: 1 s"));
  /* The limit is that of a step, not of the worker's life. */
  g_assert_cmpint (attempt (fixture, "busy"), ==, 0);
  first = derush_slot_get_media_pid (fixture->test.slot);
  g_assert_cmpint (attempt (fixture, "busy"), ==, 0);
  g_assert_cmpint (derush_slot_get_media_pid (fixture->test.slot), ==, first);
}

static void
test_groups (void)
{
  static const char v1[] = "41 35 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                           "42 35 0:31 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
                           "43 35 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  static const char v2[] = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  static const char part[] = "30 25 0:26 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
  static const struct {
    const char *membership, *mounts, *path;
    int version;
  } cases[] = {
      {"4:memory:/a/b\n1:cpu:/\n0::/\n", v1, "/sys/fs/cgroup/memory/a/b", 1},
      {"4:cpu,memory:/\n", v1, "/sys/fs/cgroup/memory", 1},
      {"0::/system.slice/derushd.service\n", v2, "/sys/fs/cgroup/system.slice/derushd.service", 2},
      {"0::/\n", v2, "/sys/fs/cgroup", 2},
      {"7:memory:/docker/ab\n", part, "/sys/fs/cgroup/memory", 1},
      {"7:memory:/docker/ab/c\n", part, "/sys/fs/cgroup/memory/c", 1},
      {"7:memory:/docker/abc\n", part, NULL, 0},
      {"0::/../../other\n", v2, NULL, 0},
      {"4:memory:/a\n", v2, NULL, 0},
      {"", v1, NULL, 0},
      {"nonsense", "nonsense", NULL, 0},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    int version;
    g_autofree char *path = derush_cgroup_find (cases[i].membership, cases[i].mounts, &version);

    g_assert_cmpstr (path, ==, cases[i].path);
    g_assert_cmpint (version, ==, cases[i].version);
  }
}

static void
test_required (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) report = NULL, refused = NULL;

  g_setenv ("DERUSH_SANDBOX", "required", TRUE);
  g_setenv ("DERUSH_MEDIA_WORKER", g_getenv ("DERUSH_TEST_WORKER"), TRUE);
  test_slot_open (&fixture->test);
  refused = derush_containment_probe (fixture->test.config, &error);
  g_assert_null (refused);
  g_assert_error (error, DERUSH_STEPS_ERROR, DERUSH_ERROR_RESOURCE);
  for (guint i = 0; derush_containment_layers[i]; i++)
    g_assert_nonnull (strstr (error->message, derush_containment_layers[i]));
  run (fixture, "ok", NULL);
  g_assert_null (fixture->test.outcome->return_value);
  g_assert_nonnull (strstr (fixture->test.outcome->message, "DERUSH_SANDBOX"));
  g_setenv ("DERUSH_SANDBOX", "auto", TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "ok", NULL);
  g_assert_nonnull (fixture->test.outcome->return_value);
}

static void
test_off (Fixture *fixture, gconstpointer data)
{
  g_setenv ("DERUSH_SANDBOX", "off", TRUE);
  test_slot_open (&fixture->test);
  g_assert_cmpint (attempt (fixture, "read-outside"), ==, 0);
  g_assert_cmpint (attempt (fixture, "unix-socket"), ==, 0);
  for (guint i = 0; derush_containment_layers[i]; i++)
    g_assert_false (layer_holds (derush_containment_layers[i]));
}

/* The real one, and by the kernel's own account. */
static void
test_media_worker (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) report = NULL;
  g_autofree char *path = NULL, *status = NULL;

  attempt (fixture, "thread");
  report = derush_containment_get ();
  g_setenv ("DERUSH_MEDIA_WORKER", data, TRUE);
  test_slot_open (&fixture->test);
  run (fixture, "no-such-action", NULL);
  g_assert_cmpint (fixture->test.outcome->error_class, ==, DERUSH_ERROR_UNSUPPORTED);
  for (guint i = 0; derush_containment_layers[i]; i++)
    g_assert_cmpint (
        layer_holds (derush_containment_layers[i]), ==,
        derush_json_get_boolean (derush_json_get_object (report, derush_containment_layers[i]), "holds", FALSE));
  path = g_strdup_printf ("/proc/%d/status", (int)derush_slot_get_media_pid (fixture->test.slot));
  g_assert_true (g_file_get_contents (path, &status, NULL, NULL));
  g_assert_nonnull (strstr (status, "NoNewPrivs:\t1"));
  if (layer_holds ("capabilities"))
    g_assert_nonnull (strstr (status, "CapEff:\t0000000000000000"));
  if (layer_holds ("seccomp"))
    g_assert_nonnull (strstr (status, "Seccomp:\t2"));
}

int
main (int argc, char **argv)
{
  const char *media_worker = g_strdup (g_getenv ("DERUSH_MEDIA_WORKER"));

  g_test_init (&argc, &argv, NULL);
  derush_log_set_level (DERUSH_LOG_ERROR);
#define ADD(path, test) g_test_add ("/steps/containment/" path, Fixture, media_worker, set_up, test, tear_down)
  ADD ("no-system-call-leads-out", test_system_calls);
  ADD ("no-file-beyond-the-jobs-own-is-touched-or-seen", test_files);
  ADD ("files-descriptors-and-cores-are-limited", test_limits);
  ADD ("what-decoding-needs-goes-on-working", test_goes_on);
  ADD ("a-refused-system-call-is-named-in-the-failure", test_named);
  ADD ("a-worker-that-grows-is-killed-and-the-next-job-completes", test_memory);
  ADD ("a-worker-that-grows-at-once-does-not-get-far", test_memory_at_once);
  ADD ("processor-time-is-limited-step-by-step", test_cpu);
  g_test_add_func ("/steps/containment/the-control-group-of-a-process-is-found", test_groups);
  ADD ("a-worker-without-containment-is-refused-where-it-is-required", test_required);
  ADD ("off-means-off-and-says-so", test_off);
  ADD ("the-media-worker-contains-itself", test_media_worker);
  return g_test_run ();
}
