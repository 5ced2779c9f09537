/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Sees to it that as many jobs run at once as admission.c says, and tells people when those are fewer than they have set. */

#include "admission-private.h"

#include <string.h>

#define INTERVAL 2000      /* ms */
#define DISK_INTERVAL 4000 /* ms */

/* How long nothing may have stood in the way before that is told, in ms: what comes and goes is told once. */
#define CALM 30000

typedef struct {
  DerushDaemonQueue *queue;
  char *name;
  DerushAdmissionReason told; /* what is in the log */
  gint64 lowered;             /* when there was last a reason */
} Governed;

struct _DerushDaemonGovernor {
  DerushDaemon *daemon;
  DerushDaemonMetrics *metrics;
  GArray *governed;  /* of Governed */
  GArray *decisions; /* of DerushAdmissionQueue, in the same order */
  DerushAdmission admission;
  DerushReadings readings;
  char *disk; /* what the readings point at */
  GCancellable *cancellable;
  gboolean looking; /* at the disk */
  gint64 looked;
  guint timer, next;
  GQueue held;   /* of Held: jobs that have not begun */
  GArray *young; /* of Young: those that have begun lately */
};

typedef struct {
  gpointer user_data;
  gint64 begun; /* ms */
} Young;

typedef struct {
  DerushDaemonGovernor *governor;
  guint queue;
  GSource *cancelled;
  void (*begin) (gpointer user_data);
  gpointer user_data;
} Held;

/* ── Metrics ────────────────────────────────────────────────────────────── */

static DerushMetric *
maximum_metric (void)
{
  return derush_metrics_gauge ("derush_queue_concurrency_maximum",
                               "Jobs of the queue that the settings let run here at once at most.", "queue", NULL);
}

static DerushMetric *
lowered_metric (void)
{
  return derush_metrics_gauge (
      "derush_admission_lowered",
      "Whether fewer jobs of the queue may begin for this reason than the settings allow: 1 or 0.", "queue", "reason",
      NULL);
}

static DerushMetric *
expected_metric (void)
{
  return derush_metrics_gauge ("derush_admission_job_memory_bytes",
                               "Memory that one more job of the queue is expected to take.", "queue", NULL);
}

static DerushMetric *
available_metric (void)
{
  return derush_metrics_gauge ("derush_admission_memory_available_bytes",
                               "Memory that the machine, or the control group, has left for jobs.", NULL);
}

static DerushMetric *
pressure_metric (void)
{
  return derush_metrics_gauge ("derush_admission_pressure_ratio",
                               "Share of the last 10 s in which something waited for the resource; for io: everything.",
                               "resource", NULL);
}

static void
set_pressure (const char *resource, double percent)
{
  if (percent >= 0)
    derush_metric_set (pressure_metric (), percent / 100, resource, NULL);
  else
    derush_metric_forget (pressure_metric (), resource, NULL);
}

static void
set_metrics (DerushDaemonGovernor *self)
{
  set_pressure ("cpu", self->readings.pressure.cpu);
  set_pressure ("memory", self->readings.pressure.memory);
  set_pressure ("io", self->readings.pressure.io);
  if (self->readings.memory_available >= 0)
    derush_metric_set (available_metric (), self->readings.memory_available, NULL);
  for (guint i = 0; i < self->governed->len; i++) {
    const char *name = g_array_index (self->governed, Governed, i).name;
    DerushAdmissionQueue *decision = &g_array_index (self->decisions, DerushAdmissionQueue, i);

    derush_daemon_metrics_set_concurrency (name, decision->allowed);
    derush_metric_set (maximum_metric (), decision->maximum, name, NULL);
    derush_metric_set (expected_metric (), decision->expected, name, NULL);
    for (guint reason = DERUSH_ADMISSION_FREE + 1; reason < DERUSH_ADMISSION_N_REASONS; reason++)
      derush_metric_set (lowered_metric (), decision->reason == reason, name,
                         derush_admission_reason_to_string (reason), NULL);
  }
}

/* ── The log ────────────────────────────────────────────────────────────── */

static char *
explain (DerushDaemonGovernor *self, DerushAdmissionQueue *decision)
{
  const DerushReadings *readings = &self->readings;
  g_autofree char *one = g_format_size_full (decision->expected, G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *left = g_format_size_full (MAX (readings->memory_available, 0), G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *here = g_format_size_full (readings->disk_free, G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *floor = g_format_size_full (readings->disk_floor, G_FORMAT_SIZE_IEC_UNITS);

  switch (decision->reason) {
  case DERUSH_ADMISSION_MEMORY:
    return g_strdup_printf ("%s of memory are left, and a job is expected to take %s", left, one);
  case DERUSH_ADMISSION_MEMORY_PRESSURE:
    return g_strdup_printf ("the machine waits for memory %.0f %% of the time", readings->pressure.memory);
  case DERUSH_ADMISSION_CPU_PRESSURE:
    return g_strdup_printf ("there are too few processors %.0f %% of the time", readings->pressure.cpu);
  case DERUSH_ADMISSION_IO_PRESSURE:
    return g_strdup_printf ("the machine waits for disks %.0f %% of the time", readings->pressure.io);
  case DERUSH_ADMISSION_DISK:
    return g_strdup_printf ("%s are free for %s, and %s are to stay free (DERUSH_DISK_FLOOR); make room", here,
                            readings->disk, floor);
  case DERUSH_ADMISSION_FREE:
  case DERUSH_ADMISSION_N_REASONS:
    break;
  }
  return g_strdup ("nothing stands in the way");
}

static void
tell (DerushDaemonGovernor *self, Governed *governed, DerushAdmissionQueue *decision, gint64 now)
{
  g_autofree char *why = NULL;
  JsonObject *fields;

  if (decision->reason != DERUSH_ADMISSION_FREE)
    governed->lowered = now;
  else if (now - governed->lowered < CALM && governed->told != DERUSH_ADMISSION_DISK)
    return;
  if (decision->reason == governed->told)
    return;
  governed->told = decision->reason;
  fields = json_object_new ();
  json_object_set_string_member (fields, "queue", governed->name);
  json_object_set_string_member (fields, "reason", derush_admission_reason_to_string (decision->reason));
  why = explain (self, decision);
  if (decision->reason == DERUSH_ADMISSION_FREE)
    derush_log (DERUSH_LOG_INFO, fields, "The queue %s has %u jobs at once again", governed->name, decision->wanted);
  else
    derush_log (DERUSH_LOG_WARN, fields, "The queue %s has %u jobs at once instead of %u: %s", governed->name,
                decision->allowed, decision->wanted, why);
}

/* ── Jobs that have not begun ───────────────────────────────────────────── */

static gboolean
may_begin (DerushDaemonGovernor *self, guint queue)
{
  gint64 now = g_get_monotonic_time () / 1000;

  for (guint i = self->young->len; i > 0; i--)
    if (now - g_array_index (self->young, Young, i - 1).begun >= DERUSH_ADMISSION_SETTLING)
      g_array_remove_index_fast (self->young, i - 1);
  return derush_admission_may_begin (&self->readings, (const DerushAdmissionQueue *)self->decisions->data,
                                     self->decisions->len, queue, self->young->len);
}

static void
note_begin (DerushDaemonGovernor *self, gpointer user_data)
{
  Young young = {user_data, g_get_monotonic_time () / 1000};

  g_array_append_val (self->young, young);
}

static void
let_begin (Held *held)
{
  DerushDaemonGovernor *self = held->governor;

  g_queue_remove (&self->held, held);
  g_source_destroy (held->cancelled);
  g_source_unref (held->cancelled);
  note_begin (self, held->user_data);
  held->begin (held->user_data);
  g_free (held);
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer held)
{
  let_begin (held);
  return G_SOURCE_REMOVE;
}

static void
let_some_begin (DerushDaemonGovernor *self)
{
  Held *held;

  while ((held = g_queue_peek_head (&self->held)) && may_begin (self, held->queue))
    let_begin (held);
}

void
derush_daemon_governor_enter (DerushDaemonGovernor *self, DerushDaemonQueue *queue, GCancellable *cancellable,
                              void (*begin) (gpointer user_data), gpointer user_data)
{
  Held *held;
  guint n = 0;

  /* At a forced end. */
  if (!self) {
    begin (user_data);
    return;
  }
  while (g_array_index (self->governed, Governed, n).queue != queue)
    n++;
  if (g_queue_is_empty (&self->held) && may_begin (self, n)) {
    note_begin (self, user_data);
    begin (user_data);
    return;
  }
  held = g_new0 (Held, 1);
  held->governor = self;
  held->queue = n;
  held->begin = begin;
  held->user_data = user_data;
  held->cancelled = g_cancellable_source_new (cancellable);
  g_source_set_callback (held->cancelled, G_SOURCE_FUNC (on_cancelled), held, NULL);
  g_source_attach (held->cancelled, NULL);
  g_queue_push_tail (&self->held, held);
  derush_log (DERUSH_LOG_DEBUG, NULL, "A job of %s begins when it is seen how much memory those before it take",
              g_array_index (self->governed, Governed, n).name);
}

static gboolean
on_place_free (gpointer user_data)
{
  DerushDaemonGovernor *self = user_data;

  self->next = 0;
  let_some_begin (self);
  return G_SOURCE_REMOVE;
}

void
derush_daemon_governor_leave (DerushDaemonGovernor *self, gpointer user_data)
{
  for (guint i = self ? self->young->len : 0; i > 0; i--)
    if (g_array_index (self->young, Young, i - 1).user_data == user_data)
      g_array_remove_index_fast (self->young, i - 1);
  /* Its slot is free a moment later. */
  if (self && !self->next)
    self->next = g_idle_add (on_place_free, self);
}

/* ── Looking and deciding ───────────────────────────────────────────────── */

typedef struct {
  DerushConfig *config;
  DerushReadings readings;
  char *disk;
} DiskLook;

static void
disk_look_free (gpointer data)
{
  DiskLook *look = data;

  derush_config_unref (look->config);
  g_free (look->disk);
  g_free (look);
}

static void
look_at_disk_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  DiskLook *look = data;

  derush_readings_take_disk (look->config, &look->readings);
  look->disk = g_strdup (look->readings.disk);
  g_task_return_boolean (task, TRUE);
}

static void
take_disk (DerushDaemonGovernor *self, DiskLook *look)
{
  g_free (self->disk);
  self->disk = g_steal_pointer (&look->disk);
  self->readings.disk = self->disk;
  self->readings.disk_free = look->readings.disk_free;
  self->readings.disk_floor = look->readings.disk_floor;
}

static void
on_disk_looked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = G_TASK (result);
  DerushDaemonGovernor *self = user_data;

  /* Cancelled: the governor is gone. */
  if (!g_task_propagate_boolean (task, NULL))
    return;
  self->looking = FALSE;
  take_disk (self, g_task_get_task_data (task));
}

static void
decide (DerushDaemonGovernor *self)
{
  DerushConfig *config = self->daemon->config;
  DerushAdmissionLimits limits = {
      .cpu = derush_config_get_int (config, "DERUSH_CPU_PRESSURE"),
      .memory = derush_config_get_int (config, "DERUSH_MEMORY_PRESSURE"),
      .io = derush_config_get_int (config, "DERUSH_IO_PRESSURE"),
      .job_memory = derush_config_get_int (config, "DERUSH_JOB_MEMORY"),
  };
  gint64 now = g_get_monotonic_time () / 1000;

  derush_readings_take (derush_config_get_string (config, "DERUSH_PROC_PATH"), &self->readings);
  for (guint i = 0; i < self->governed->len; i++) {
    Governed *governed = &g_array_index (self->governed, Governed, i);
    DerushAdmissionQueue *decision = &g_array_index (self->decisions, DerushAdmissionQueue, i);

    derush_daemon_queue_measure (governed->queue, &decision->running, &decision->busy, &decision->memory,
                                 &decision->peak);
    decision->waiting = derush_daemon_metrics_get_waiting (self->metrics, governed->name);
  }
  derush_admission_decide (&self->admission, &limits, &self->readings, (DerushAdmissionQueue *)self->decisions->data,
                           self->decisions->len, now);
  for (guint i = 0; i < self->governed->len; i++) {
    Governed *governed = &g_array_index (self->governed, Governed, i);
    DerushAdmissionQueue *decision = &g_array_index (self->decisions, DerushAdmissionQueue, i);
    /* Workers that do nothing stay for the next jobs as long as nothing needs their memory. */
    gboolean needed =
        decision->reason == DERUSH_ADMISSION_MEMORY || decision->reason == DERUSH_ADMISSION_MEMORY_PRESSURE;

    derush_daemon_queue_set_concurrency (governed->queue, decision->allowed);
    derush_daemon_queue_trim (governed->queue, needed ? decision->allowed : decision->wanted);
    tell (self, governed, decision, now);
  }
  set_metrics (self);
  let_some_begin (self);
}

static gboolean
on_timer (gpointer user_data)
{
  DerushDaemonGovernor *self = user_data;
  gint64 now = g_get_monotonic_time () / 1000;

  /* While a disk hangs, one look waits for it and what was last known counts. */
  if (!self->looking && now - self->looked >= DISK_INTERVAL) {
    g_autoptr (GTask) task = g_task_new (NULL, self->cancellable, on_disk_looked, self);
    DiskLook *look = g_new0 (DiskLook, 1);

    look->config = derush_config_ref (self->daemon->config);
    g_task_set_task_data (task, look, disk_look_free);
    self->looking = TRUE;
    self->looked = now;
    g_task_run_in_thread (task, look_at_disk_in_thread);
  }
  decide (self);
  return G_SOURCE_CONTINUE;
}

/* ── From outside ───────────────────────────────────────────────────────── */

static void
set_settings (DerushDaemonGovernor *self, GPtrArray *settings)
{
  for (guint i = 0; i < settings->len; i++) {
    DerushQueueSetting *setting = settings->pdata[i];
    DerushAdmissionQueue *decision = &g_array_index (self->decisions, DerushAdmissionQueue, i);

    decision->minimum = setting->minimum;
    decision->maximum = setting->concurrency;
  }
}

DerushDaemonGovernor *
derush_daemon_governor_new (DerushDaemon *daemon, GPtrArray *queues, GPtrArray *settings, DerushDaemonMetrics *metrics)
{
  DerushDaemonGovernor *self = g_new0 (DerushDaemonGovernor, 1);
  DiskLook look = {.config = daemon->config};

  self->daemon = daemon;
  self->metrics = metrics;
  self->cancellable = g_cancellable_new ();
  self->young = g_array_new (FALSE, FALSE, sizeof (Young));
  self->governed = g_array_new (FALSE, TRUE, sizeof (Governed));
  self->decisions = g_array_new (FALSE, TRUE, sizeof (DerushAdmissionQueue));
  g_array_set_size (self->decisions, queues->len);
  for (guint i = 0; i < queues->len; i++) {
    Governed governed = {.queue = queues->pdata[i], .name = g_strdup (derush_daemon_queue_get_name (queues->pdata[i]))};

    g_array_append_val (self->governed, governed);
  }
  set_settings (self, settings);
  derush_admission_init (&self->admission);
  /* Before the first job, and not after it. */
  derush_readings_take_disk (look.config, &look.readings);
  look.disk = g_strdup (look.readings.disk);
  take_disk (self, &look);
  decide (self);
  self->timer = g_timeout_add (INTERVAL, on_timer, self);
  return self;
}

void
derush_daemon_governor_reload (DerushDaemonGovernor *self, GPtrArray *settings)
{
  set_settings (self, settings);
  decide (self);
}

static JsonObject *
describe_queue (DerushAdmissionQueue *decision)
{
  JsonObject *said = json_object_new ();

  json_object_set_int_member (said, "minimum", decision->minimum);
  json_object_set_int_member (said, "maximum", decision->maximum);
  json_object_set_int_member (said, "allowed", decision->allowed);
  json_object_set_int_member (said, "running", decision->running);
  json_object_set_int_member (said, "waiting", decision->waiting);
  json_object_set_int_member (said, "jobMemory", decision->expected);
  json_object_set_string_member (said, "reason", derush_admission_reason_to_string (decision->reason));
  return said;
}

static void
add_known (JsonObject *object, const char *name, double value)
{
  if (value >= 0)
    json_object_set_double_member (object, name, value);
}

/* `{held, queues:{NAME:{minimum, maximum, allowed, running, waiting, jobMemory, reason}}, pressure:{cpu, memory, io},
 * memoryAvailable, disk:{folder, free, floor}}`, without what is not known. */
JsonObject *
derush_daemon_governor_describe (DerushDaemonGovernor *self)
{
  JsonObject *said = json_object_new (), *queues = json_object_new (), *pressure = json_object_new ();

  for (guint i = 0; i < self->governed->len; i++)
    json_object_set_object_member (queues, g_array_index (self->governed, Governed, i).name,
                                   describe_queue (&g_array_index (self->decisions, DerushAdmissionQueue, i)));
  add_known (pressure, "cpu", self->readings.pressure.cpu);
  add_known (pressure, "memory", self->readings.pressure.memory);
  add_known (pressure, "io", self->readings.pressure.io);
  json_object_set_object_member (said, "queues", queues);
  json_object_set_object_member (said, "pressure", pressure);
  json_object_set_int_member (said, "held", self->held.length);
  if (self->readings.memory_available >= 0)
    json_object_set_int_member (said, "memoryAvailable", self->readings.memory_available);
  if (self->disk) {
    JsonObject *disk = json_object_new ();

    json_object_set_string_member (disk, "folder", self->disk);
    json_object_set_int_member (disk, "free", self->readings.disk_free);
    json_object_set_int_member (disk, "floor", self->readings.disk_floor);
    json_object_set_object_member (said, "disk", disk);
  }
  return said;
}

void
derush_daemon_governor_free (DerushDaemonGovernor *self)
{
  g_source_remove (self->timer);
  while (!g_queue_is_empty (&self->held))
    let_begin (g_queue_peek_head (&self->held));
  g_clear_handle_id (&self->next, g_source_remove);
  g_cancellable_cancel (self->cancellable);
  g_object_unref (self->cancellable);
  for (guint i = 0; i < self->governed->len; i++)
    g_free (g_array_index (self->governed, Governed, i).name);
  g_array_unref (self->young);
  g_array_unref (self->governed);
  g_array_unref (self->decisions);
  g_free (self->disk);
  g_free (self);
}
