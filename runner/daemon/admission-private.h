/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How many jobs may run at once: what is measured, what follows from it, and who sees to it. */

#pragma once

#include "daemon-private.h"

G_BEGIN_DECLS

/* ── Readings (readings.c) ──────────────────────────────────────────────── */

/**
 * DerushPressure:
 * @cpu: share of the last 10 s in which something waited for a processor, in %; negative: not known
 * @memory: the same for memory
 * @memory_full: share in which nothing else was done, either
 * @io: share in which everything waited for disks
 */
typedef struct {
  double cpu;
  double memory;
  double memory_full;
  double io;
} DerushPressure;

/**
 * DerushReadings:
 * @pressure: who waits for what
 * @processors: that this process may use
 * @memory_total: of the machine or of the control group, in bytes; negative: not known
 * @memory_available: what is left of it
 * @disk: (nullable): the folder whose disk is nearest to its floor, or furthest below
 * @disk_free: what is free there, in bytes
 * @disk_floor: what is to stay free there; 0: nothing
 */
typedef struct {
  DerushPressure pressure;
  guint processors;
  gint64 memory_total;
  gint64 memory_available;
  const char *disk;
  gint64 disk_free;
  gint64 disk_floor;
} DerushReadings;

/* @proc: where procfs is mounted */
void derush_readings_take (const char *proc, DerushReadings *readings);

/* In bytes; @floor: what is to stay free; @writable: whether anything can be put there. */
typedef struct {
  gint64 free;
  gint64 total;
  gint64 floor;
  gboolean writable;
} DerushDiskReading;

/* The disk of @folder, or of where it will be made; may hang as long as the disk does. */
gboolean derush_readings_look_at_disk (DerushConfig *config, const char *folder, DerushDiskReading *reading);

/* Fills in the disk; may hang as long as the disk does. */
void derush_readings_take_disk (DerushConfig *config, DerushReadings *readings);

/* What is left of a control group's memory, of those above it as well; @total gets the limit that is met first. Negative:
 * none has a limit. */
gint64 derush_readings_cgroup_memory (const char *group, const char *top, int version, gint64 *total);

/* The `avg10` of the line @kind, "some" or "full"; negative: there is none. */
double derush_pressure_parse (const char *text, const char *kind);

/* ── The decision (admission.c) ─────────────────────────────────────────── */

/**
 * DerushAdmissionReason:
 * @DERUSH_ADMISSION_FREE: as many as the settings and the queue ask for
 * @DERUSH_ADMISSION_MEMORY: the memory that is left is not enough for one more
 * @DERUSH_ADMISSION_MEMORY_PRESSURE: the machine waits for memory
 * @DERUSH_ADMISSION_CPU_PRESSURE: the machine waits for processors
 * @DERUSH_ADMISSION_IO_PRESSURE: the machine waits for disks
 * @DERUSH_ADMISSION_DISK: too little space is free
 *
 * Why fewer jobs may run than the settings allow.
 */
typedef enum {
  DERUSH_ADMISSION_FREE,
  DERUSH_ADMISSION_MEMORY,
  DERUSH_ADMISSION_MEMORY_PRESSURE,
  DERUSH_ADMISSION_CPU_PRESSURE,
  DERUSH_ADMISSION_IO_PRESSURE,
  DERUSH_ADMISSION_DISK,
  DERUSH_ADMISSION_N_REASONS,
} DerushAdmissionReason;

const char *derush_admission_reason_to_string (DerushAdmissionReason reason);

/**
 * DerushAdmissionLimits:
 * @cpu: pressure above which fewer jobs may run, in %; 0: it is not looked at
 * @memory: the same for memory
 * @io: the same for disks
 * @job_memory: what a job is expected to take before it was seen, in bytes
 */
typedef struct {
  double cpu;
  double memory;
  double io;
  gint64 job_memory;
} DerushAdmissionLimits;

/**
 * DerushAdmissionQueue:
 * @minimum: jobs at once when little is to be done
 * @maximum: when much is
 * @running: jobs that run
 * @busy: those of them that keep a worker busy
 * @waiting: jobs that could begin
 * @memory: of the busy workers together, in bytes
 * @peak: of the largest of them
 * @wanted: between @minimum and @maximum, as the queue is
 * @allowed: how many may run
 * @reason: why those are fewer than @wanted
 * @expected: what one more job is expected to take, in bytes
 * @changed: when @wanted was changed or last needed, in ms
 *
 * The last five are the decision, and what it remembers; all zero at first.
 */
typedef struct {
  guint minimum, maximum;
  guint running, busy, waiting;
  gint64 memory, peak;

  guint wanted, allowed;
  DerushAdmissionReason reason;
  gint64 expected;
  gint64 changed;
} DerushAdmissionQueue;

/**
 * DerushAdmission:
 * @disk: whether too little space is free
 * @pressed: what the machine waits for, or waited for until lately; %DERUSH_ADMISSION_FREE: nothing
 * @ceiling: while it does: jobs of all queues at once; %G_MAXUINT: no limit
 * @stepped: when @ceiling was last changed, in ms
 * @first: the queue whose turn it is
 *
 * What the decision remembers of the machine; see derush_admission_init().
 */
typedef struct {
  gboolean disk;
  DerushAdmissionReason pressed;
  guint ceiling;
  gint64 stepped;
  guint first;
} DerushAdmission;

/* Jobs that may begin within DERUSH_ADMISSION_SETTLING ms where memory is not plentiful. */
#define DERUSH_ADMISSION_YOUNG 2
#define DERUSH_ADMISSION_SETTLING 5000

void derush_admission_init (DerushAdmission *admission);
void derush_admission_decide (DerushAdmission *admission, const DerushAdmissionLimits *limits,
                              const DerushReadings *readings, DerushAdmissionQueue *queues, guint n_queues, gint64 now);
gboolean derush_admission_may_begin (const DerushReadings *readings, const DerushAdmissionQueue *queues, guint n_queues,
                                     guint queue, guint n_young);

G_END_DECLS
