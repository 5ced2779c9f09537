/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "admission-private.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define MIB ((gint64)1024 * 1024)
#define GIB ((gint64)1024 * MIB)

static const DerushAdmissionLimits limits = {.cpu = 90, .memory = 20, .io = 80, .job_memory = 512 * MIB};

static DerushReadings
idle_machine (void)
{
  return (DerushReadings){.pressure = {0, 0, 0, 0},
                          .processors = 2,
                          .memory_total = 16 * GIB,
                          .memory_available = 12 * GIB,
                          .disk = "/films",
                          .disk_free = 100 * GIB,
                          .disk_floor = GIB};
}

/* ── One decision ───────────────────────────────────────────────────────── */

typedef struct {
  guint minimum, maximum, running, busy, waiting;
  gint64 memory, peak;
  guint allowed;
  DerushAdmissionReason reason;
} Expected;

static void
test_memory (void)
{
  static const struct {
    const char *what;
    gint64 total, available;
    Expected queues[3];
  } cases[] = {
      {"plenty: what the settings say", 16 * GIB, 12 * GIB, {{2, 2, .allowed = 2}, {3, 3, .allowed = 3}}},
      {"not known: what the settings say", -1, -1, {{2, 2, .allowed = 2}, {3, 3, .allowed = 3}}},
      {"room for three: in turn",
       0,
       1600 * MIB,
       {{4, 4, .allowed = 1, .reason = DERUSH_ADMISSION_MEMORY},
        {4, 4, .allowed = 2, .reason = DERUSH_ADMISSION_MEMORY}}},
      {"room for three: first those that have jobs",
       0,
       1600 * MIB,
       {{4, 4, .waiting = 9, .allowed = 3, .reason = DERUSH_ADMISSION_MEMORY},
        {4, 4, .allowed = 0, .reason = DERUSH_ADMISSION_MEMORY}}},
      {"a part of it is for everybody else",
       10 * GIB,
       1500 * MIB,
       {{4, 4, .allowed = 1, .reason = DERUSH_ADMISSION_MEMORY}}},
      {"jobs that run will grow",
       0,
       1100 * MIB,
       {{4, 4, .running = 2, .busy = 2, .waiting = 9, .memory = 100 * MIB, .peak = 60 * MIB, .allowed = 2,
         .reason = DERUSH_ADMISSION_MEMORY}}},
      {"jobs that run have grown",
       0,
       1100 * MIB,
       {{4, 4, .running = 2, .busy = 2, .waiting = 9, .memory = 1024 * MIB, .peak = 512 * MIB, .allowed = 4}}},
      {"a large job: the next may be as large",
       0,
       3 * GIB,
       {{4, 4, .running = 1, .busy = 1, .waiting = 9, .memory = 2 * GIB, .peak = 2 * GIB, .allowed = 2,
         .reason = DERUSH_ADMISSION_MEMORY}}},
      {"too little for those that run: nobody after one of them",
       0,
       200 * MIB,
       {{4, 4, .running = 3, .busy = 3, .waiting = 9, .memory = 1200 * MIB, .peak = 400 * MIB, .allowed = 2,
         .reason = DERUSH_ADMISSION_MEMORY}}},
      {"nothing fits and nothing runs: one, where a job waits",
       0,
       100 * MIB,
       {{2, 2, .allowed = 0, .reason = DERUSH_ADMISSION_MEMORY},
        {2, 2, .waiting = 1, .allowed = 1, .reason = DERUSH_ADMISSION_MEMORY}}},
      {"nothing fits and one runs: no other",
       0,
       100 * MIB,
       {{2, 2, .waiting = 4, .allowed = 0, .reason = DERUSH_ADMISSION_MEMORY},
        {1, 1, .running = 1, .busy = 1, .memory = 500 * MIB, .peak = 500 * MIB, .allowed = 1}}},
      {"more run than the settings have now", 0, 12 * GIB, {{2, 2, .running = 5, .waiting = 9, .allowed = 2}}},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    DerushReadings readings = idle_machine ();
    DerushAdmissionQueue queues[3] = {0};
    DerushAdmission admission;
    guint n = 0;

    readings.memory_total = cases[i].total;
    readings.memory_available = cases[i].available;
    for (; n < 3 && cases[i].queues[n].maximum > 0; n++) {
      const Expected *from = &cases[i].queues[n];

      queues[n] = (DerushAdmissionQueue){.minimum = from->minimum,
                                         .maximum = from->maximum,
                                         .running = from->running,
                                         .busy = from->busy,
                                         .waiting = from->waiting,
                                         .memory = from->memory,
                                         .peak = from->peak};
    }
    derush_admission_init (&admission);
    derush_admission_decide (&admission, &limits, &readings, queues, n, 0);
    for (guint k = 0; k < n; k++)
      if (queues[k].allowed != cases[i].queues[k].allowed || queues[k].reason != cases[i].queues[k].reason)
        g_error ("%s: queue %u has %u, %s", cases[i].what, k, queues[k].allowed,
                 derush_admission_reason_to_string (queues[k].reason));
  }
}

/* ── Decisions in a row ─────────────────────────────────────────────────── */

typedef struct {
  const char *what;
  gint64 at; /* s */
  DerushPressure pressure;
  gint64 disk_free;
  guint running, busy, waiting;
  guint allowed;
  DerushAdmissionReason reason;
} Moment;

static void
play (const Moment *moments, guint n, guint minimum, guint maximum)
{
  DerushAdmissionQueue queue = {.minimum = minimum, .maximum = maximum};
  DerushAdmission admission;

  derush_admission_init (&admission);
  for (guint i = 0; i < n; i++) {
    const Moment *moment = &moments[i];
    DerushReadings readings = idle_machine ();

    readings.pressure = moment->pressure;
    if (moment->disk_free)
      readings.disk_free = moment->disk_free;
    queue.running = moment->running;
    queue.busy = moment->busy;
    queue.waiting = moment->waiting;
    queue.memory = queue.peak = 0;
    derush_admission_decide (&admission, &limits, &readings, &queue, 1, moment->at * 1000);
    if (queue.allowed != moment->allowed || queue.reason != moment->reason)
      g_error ("%" G_GINT64_FORMAT " s, %s: %u allowed, %s", moment->at, moment->what, queue.allowed,
               derush_admission_reason_to_string (queue.reason));
  }
}

static void
test_disk (void)
{
  static const Moment moments[] = {
      {"room", 0, .disk_free = 2 * GIB, .running = 2, .allowed = 3},
      {"below the floor", 2, .disk_free = 900 * MIB, .running = 2, .waiting = 5, .allowed = 0,
       .reason = DERUSH_ADMISSION_DISK},
      {"a little above", 4, .disk_free = 1100 * MIB, .waiting = 5, .allowed = 0, .reason = DERUSH_ADMISSION_DISK},
      {"well above", 6, .disk_free = 1300 * MIB, .waiting = 5, .allowed = 3},
      {"a little above again", 8, .disk_free = 1100 * MIB, .running = 3, .allowed = 3},
  };

  play (moments, G_N_ELEMENTS (moments), 3, 3);
}

static void
test_memory_pressure (void)
{
  static const DerushPressure high = {0, 30, 5, 0}, lower = {0, 12, 0, 0}, low = {0, 4, 0, 0}, stuck = {0, 60, 40, 0};
  static const Moment moments[] = {
      {"quiet", 0, .running = 4, .busy = 4, .waiting = 9, .allowed = 4},
      {"high: one fewer", 2, high, 0, 4, 4, 9, 3, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"not yet another: four still run", 8, high, 0, 4, 4, 9, 3, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"another one fewer", 10, high, 0, 3, 3, 9, 2, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"too soon for the next", 12, high, 0, 2, 2, 9, 2, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"and one", 16, high, 0, 2, 2, 9, 1, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"never none", 30, high, 0, 1, 1, 9, 1, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"but when all wait for memory", 36, stuck, 0, 1, 1, 9, 0, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"below the limit, not below half of it", 60, lower, 0, 0, 0, 9, 0, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"low: one more", 62, low, 0, 0, 0, 9, 1, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"too soon", 64, low, 0, 1, 1, 9, 1, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"one more", 68, low, 0, 1, 1, 9, 2, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"one more", 74, low, 0, 2, 2, 9, 3, DERUSH_ADMISSION_MEMORY_PRESSURE},
      {"all", 80, low, 0, 3, 3, 9, 4, DERUSH_ADMISSION_FREE},
  };

  play (moments, G_N_ELEMENTS (moments), 4, 4);
}

static void
test_cpu_pressure (void)
{
  static const DerushPressure high = {99, 0, 0, 0}, low = {30, 0, 0, 0};
  static const Moment moments[] = {
      {"two processors, two jobs: as it should be", 0, high, 0, 2, 2, 9, 5, DERUSH_ADMISSION_FREE},
      {"five that only wait", 2, high, 0, 5, 0, 9, 5, DERUSH_ADMISSION_FREE},
      {"five that work", 4, high, 0, 5, 5, 9, 4, DERUSH_ADMISSION_CPU_PRESSURE},
      {"four", 10, high, 0, 4, 4, 9, 3, DERUSH_ADMISSION_CPU_PRESSURE},
      {"three", 16, high, 0, 3, 3, 9, 2, DERUSH_ADMISSION_CPU_PRESSURE},
      {"no fewer than processors", 30, high, 0, 2, 2, 9, 2, DERUSH_ADMISSION_CPU_PRESSURE},
      {"low", 40, low, 0, 2, 2, 9, 3, DERUSH_ADMISSION_CPU_PRESSURE},
      {"low", 46, low, 0, 3, 3, 9, 4, DERUSH_ADMISSION_CPU_PRESSURE},
      {"low", 52, low, 0, 4, 4, 9, 5, DERUSH_ADMISSION_FREE},
  };

  play (moments, G_N_ELEMENTS (moments), 5, 5);
}

static void
test_scaling (void)
{
  static const DerushPressure high = {99, 0, 0, 0};
  static const Moment moments[] = {
      {"at first", 0, .waiting = 9, .allowed = 1},
      {"jobs wait and its place is taken", 2, .running = 1, .busy = 1, .waiting = 8, .allowed = 2},
      {"the new place is not yet taken", 4, .running = 1, .busy = 1, .waiting = 8, .allowed = 2},
      {"and more", 6, .running = 2, .busy = 2, .waiting = 7, .allowed = 3},
      {"and the most", 8, .running = 3, .busy = 3, .waiting = 6, .allowed = 4},
      {"no more than that", 10, .running = 4, .busy = 4, .waiting = 5, .allowed = 4},
      {"nobody waits, all are busy", 60, .running = 4, .busy = 4, .allowed = 4},
      {"fewer are needed, but only lately", 80, .running = 3, .busy = 3, .allowed = 4},
      {"one goes", 92, .running = 3, .busy = 3, .allowed = 3},
      {"and after a while the next", 122, .running = 1, .busy = 1, .allowed = 2},
      {"not at once", 124, .allowed = 2},
      {"no fewer than the least", 160, .allowed = 1},
      {"no fewer than the least", 200, .allowed = 1},
      {"a new storm", 202, .running = 1, .busy = 1, .waiting = 50, .allowed = 2},
      {"under pressure", 204, high, 0, 3, 3, 50, 2, DERUSH_ADMISSION_CPU_PRESSURE},
      {"it does not grow", 206, high, 0, 2, 2, 50, 2, DERUSH_ADMISSION_CPU_PRESSURE},
  };

  play (moments, G_N_ELEMENTS (moments), 1, 4);
}

static void
test_learning (void)
{
  DerushReadings readings = idle_machine ();
  DerushAdmissionQueue queue = {.minimum = 8, .maximum = 8};
  DerushAdmission admission;

  derush_admission_init (&admission);
  readings.memory_total = 0;
  readings.memory_available = 1024 * MIB;
  derush_admission_decide (&admission, &limits, &readings, &queue, 1, 0);
  g_assert_cmpuint (queue.allowed, ==, 2);
  /* Small jobs for a while: more of them fit. */
  for (guint i = 1; i < 600; i++) {
    queue.running = queue.busy = 1;
    queue.memory = queue.peak = 100 * MIB;
    derush_admission_decide (&admission, &limits, &readings, &queue, 1, i * 2000);
  }
  g_assert_cmpuint (queue.allowed, ==, 8);
  g_assert_cmpint (queue.expected, <, 105 * MIB);
  /* One large one, and it is remembered when it has gone. */
  queue.memory = queue.peak = 900 * MIB;
  derush_admission_decide (&admission, &limits, &readings, &queue, 1, 1200000);
  queue.memory = queue.peak = 0;
  queue.running = queue.busy = 0;
  derush_admission_decide (&admission, &limits, &readings, &queue, 1, 1202000);
  g_assert_cmpuint (queue.allowed, ==, 1);
}

static void
test_beginning (void)
{
  static const struct {
    const char *what;
    gint64 available;
    guint running, busy, n_young;
    gint64 memory;
    gboolean may;
  } cases[] = {
      {"plenty: all at once", 10 * GIB, 4, 3, 3, 0, TRUE},
      {"not known: all at once", -1, 4, 3, 3, 0, TRUE},
      {"little, and nothing runs", 100 * MIB, 1, 0, 0, 0, TRUE},
      {"the second of those that begin", 3 * GIB, 2, 0, 1, 0, TRUE},
      {"the third of them", 3 * GIB, 3, 2, 2, 100 * MIB, FALSE},
      {"the third, when the first two are known", 3 * GIB, 3, 2, 0, 800 * MIB, TRUE},
      {"those that run will grow into what is left", 600 * MIB, 3, 2, 0, 600 * MIB, FALSE},
      {"those that run are as large as all", 600 * MIB, 3, 2, 0, 1024 * MIB, TRUE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    DerushReadings readings = idle_machine ();
    DerushAdmissionQueue queue = {.minimum = 4,
                                  .maximum = 4,
                                  .running = cases[i].running,
                                  .busy = cases[i].busy,
                                  .memory = cases[i].memory,
                                  .expected = 512 * MIB};

    readings.memory_total = 0;
    readings.memory_available = cases[i].available;
    if (derush_admission_may_begin (&readings, &queue, 1, 0, cases[i].n_young) != cases[i].may)
      g_error ("%s", cases[i].what);
  }
}

/* However jobs come, grow and go: what those that were let in can take at most fits into the machine. */
static void
test_storm (void)
{
  enum { QUEUES = 3, STEPS = 4000 };

  static const gint64 sizes[QUEUES] = {400 * MIB, 700 * MIB, 150 * MIB};
  const gint64 machine = 4 * GIB;
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  DerushAdmissionQueue queues[QUEUES] = {0};
  gint64 grown[QUEUES][64] = {{0}};
  DerushAdmission admission;
  guint begun = 0;

  derush_admission_init (&admission);
  for (guint q = 0; q < QUEUES; q++)
    queues[q].minimum = queues[q].maximum = 16;
  for (guint step = 0; step < STEPS; step++) {
    DerushReadings readings = idle_machine ();
    gint64 used = 200 * MIB;

    for (guint q = 0; q < QUEUES; q++) {
      DerushAdmissionQueue *queue = &queues[q];

      queue->memory = queue->peak = 0;
      for (guint i = 0; i < queue->running; i++) {
        grown[q][i] = MIN (grown[q][i] + g_rand_int_range (random, 1, 200) * MIB, sizes[q]);
        if (g_rand_int_range (random, 0, 12) == 0) {
          grown[q][i] = grown[q][queue->running - 1];
          queue->running--;
        }
      }
      for (guint i = 0; i < queue->running; i++) {
        queue->memory += grown[q][i];
        queue->peak = MAX (queue->peak, grown[q][i]);
      }
      used += queue->memory;
      queue->busy = queue->running;
      queue->waiting = 50;
    }
    g_assert_cmpint (used, <, machine);
    readings.memory_total = machine;
    readings.memory_available = machine - used;
    derush_admission_decide (&admission, &limits, &readings, queues, QUEUES, step * 2000);
    for (guint q = 0; q < QUEUES; q++)
      while (queues[q].running < queues[q].allowed) {
        grown[q][queues[q].running++] = 20 * MIB;
        begun++;
      }
  }
  /* And the machine is not left idle. */
  g_assert_cmpuint (begun, >, STEPS / 3);
}

/* ── Readings ───────────────────────────────────────────────────────────── */

static void
test_pressure_files (void)
{
  static const char both[] = "some avg10=1.50 avg60=0.28 avg300=0.21 total=110819528\n"
                             "full avg10=0.25 avg60=0.01 avg300=0.08 total=39369926\n";

  g_assert_cmpfloat (derush_pressure_parse (both, "some"), ==, 1.5);
  g_assert_cmpfloat (derush_pressure_parse (both, "full"), ==, 0.25);
  g_assert_cmpfloat (derush_pressure_parse ("some avg10=7 total=1", "full"), <, 0);
  g_assert_cmpfloat (derush_pressure_parse ("some avg10= total=1", "some"), <, 0);
  g_assert_cmpfloat (derush_pressure_parse ("", "some"), <, 0);
  g_assert_cmpfloat (derush_pressure_parse (NULL, "some"), <, 0);
}

static void
put (const char *folder, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (folder, name, NULL), *parent = g_path_get_dirname (path);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir_with_parents (parent, 0700), ==, 0);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *below = g_build_filename (path, name, NULL);

    remove_tree (below);
  }
  g_remove (path);
}

static void
test_control_groups (void)
{
  g_autofree char *top = g_dir_make_tmp ("derush-XXXXXX", NULL), *group = g_build_filename (top, "a/b", NULL);
  gint64 total = 0;

  put (group, "memory.max", "max\n");
  put (group, "memory.current", "1000\n");
  g_assert_cmpint (derush_readings_cgroup_memory (group, top, 2, &total), <, 0);
  /* The limit of the group above; what is kept of files can be had back. */
  put (top, "a/memory.max", "1000000\n");
  put (top, "a/memory.current", "700000\n");
  put (top, "a/memory.stat", "anon 1\nfile 2\ninactive_file 200000\nactive_file 7\n");
  g_assert_cmpint (derush_readings_cgroup_memory (group, top, 2, &total), ==, 500000);
  g_assert_cmpint (total, ==, 1000000);
  /* Its own, which is met first. */
  put (group, "memory.max", "1200\n");
  g_assert_cmpint (derush_readings_cgroup_memory (group, top, 2, &total), ==, 200);
  g_assert_cmpint (total, ==, 1200);
  /* Version 1. */
  put (group, "memory.limit_in_bytes", "9223372036854771712\n");
  put (group, "memory.usage_in_bytes", "5000\n");
  g_assert_cmpint (derush_readings_cgroup_memory (group, top, 1, &total), <, 0);
  put (group, "memory.limit_in_bytes", "6000\n");
  g_assert_cmpint (derush_readings_cgroup_memory (group, top, 1, &total), ==, 1000);
  remove_tree (top);
}

static void
test_proc (void)
{
  g_autofree char *proc = g_dir_make_tmp ("derush-XXXXXX", NULL), *busy = NULL;
  DerushReadings readings = {0};

  /* Nothing is known. */
  derush_readings_take (proc, &readings);
  g_assert_cmpfloat (readings.pressure.cpu, <, 0);
  g_assert_cmpfloat (readings.pressure.memory, <, 0);
  g_assert_cmpint (readings.memory_available, <, 0);
  /* No pressure stall information: the load stands in for it. */
  busy = g_strdup_printf ("%u.00 1.00 1.00 3/99 1234\n", 4 * g_get_num_processors ());
  put (proc, "loadavg", busy);
  put (proc, "meminfo", "MemTotal:       16000 kB\nMemFree:          100 kB\nMemAvailable:    8000 kB\n");
  derush_readings_take (proc, &readings);
  g_assert_cmpfloat_with_epsilon (readings.pressure.cpu, 75, 0.01);
  g_assert_cmpfloat (readings.pressure.memory, <, 0);
  g_assert_cmpint (readings.memory_total, ==, 16000 * 1024);
  g_assert_cmpint (readings.memory_available, ==, 8000 * 1024);
  /* A kernel that has it. */
  put (proc, "pressure/cpu", "some avg10=12.00 avg60=0.00 avg300=0.00 total=1\n");
  put (proc, "pressure/memory", "some avg10=5.00 avg60=0 avg300=0 total=1\nfull avg10=3.00 avg60=0 avg300=0 total=1\n");
  put (proc, "pressure/io", "some avg10=50.00 avg60=0 avg300=0 total=1\nfull avg10=40.00 avg60=0 avg300=0 total=1\n");
  derush_readings_take (proc, &readings);
  g_assert_cmpfloat (readings.pressure.cpu, ==, 12);
  g_assert_cmpfloat (readings.pressure.memory, ==, 5);
  g_assert_cmpfloat (readings.pressure.memory_full, ==, 3);
  g_assert_cmpfloat (readings.pressure.io, ==, 40);
  remove_tree (proc);
}

static void
test_disk_floor (void)
{
  g_autofree char *folder = g_dir_make_tmp ("derush-XXXXXX", NULL),
                  *missing = g_build_filename (folder, "not/yet", NULL);
  DerushReadings readings = {0};
  g_autoptr (DerushConfig) usual = NULL, high = NULL, off = NULL;

  g_setenv ("DERUSH_OUTPUT_DIR", missing, TRUE);
  usual = derush_config_load (NULL);
  derush_readings_take_disk (usual, &readings);
  g_assert_cmpint (readings.disk_floor, >, 0);
  g_assert_cmpint (readings.disk_floor, <=, GIB);
  /* What the operator says counts, also where it is more than there is. */
  g_setenv ("DERUSH_DISK_FLOOR", "4611686018427387904", TRUE);
  high = derush_config_load (NULL);
  derush_readings_take_disk (high, &readings);
  g_assert_cmpint (readings.disk_floor, ==, GIB * GIB * 4);
  g_assert_cmpint (readings.disk_free, <, readings.disk_floor);
  g_setenv ("DERUSH_DISK_FLOOR", "0", TRUE);
  off = derush_config_load (NULL);
  derush_readings_take_disk (off, &readings);
  g_assert_cmpint (readings.disk_floor, ==, 0);
  g_unsetenv ("DERUSH_DISK_FLOOR");
  remove_tree (folder);
}

int
main (int argc, char **argv)
{
  g_autofree char *settings = NULL;
  int fd, status;

  g_test_init (&argc, &argv, NULL);
  fd = g_file_open_tmp ("derush-XXXXXX.conf", &settings, NULL);
  close (fd);
  g_setenv ("DERUSH_CONFIG", settings, TRUE);
  g_test_add_func ("/daemon/admission/no-more-jobs-begin-than-memory-is-left-for", test_memory);
  g_test_add_func ("/daemon/admission/none-begins-while-a-disk-is-below-its-floor", test_disk);
  g_test_add_func ("/daemon/admission/memory-pressure-lowers-step-by-step-and-rises-when-it-is-well-below",
                   test_memory_pressure);
  g_test_add_func ("/daemon/admission/cpu-pressure-leaves-a-job-for-each-processor", test_cpu_pressure);
  g_test_add_func ("/daemon/admission/places-follow-the-queue-between-least-and-most", test_scaling);
  g_test_add_func ("/daemon/admission/what-a-job-takes-is-learned", test_learning);
  g_test_add_func ("/daemon/admission/jobs-begin-two-at-a-time-where-memory-is-not-plentiful", test_beginning);
  g_test_add_func ("/daemon/admission/a-storm-of-mixed-jobs-fits-into-memory", test_storm);
  g_test_add_func ("/daemon/readings/pressure-stall-information-is-read", test_pressure_files);
  g_test_add_func ("/daemon/readings/limits-of-control-groups-count", test_control_groups);
  g_test_add_func ("/daemon/readings/what-procfs-lacks-is-not-known", test_proc);
  g_test_add_func ("/daemon/readings/a-floor-is-a-share-of-small-disks-unless-it-was-set", test_disk_floor);
  status = g_test_run ();
  g_unlink (settings);
  return status;
}
