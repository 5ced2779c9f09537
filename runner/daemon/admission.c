/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* How many jobs of each queue may run at once, from what was measured. Nothing is measured or done here, and the time is told.
 *
 * Jobs that run are never stopped: where fewer may run than do, none begins until enough have ended.
 *
 * - A disk below its floor: none begins until a quarter more than the floor is free.
 * - Pressure above its limit: of all queues together one job fewer than run, then one fewer every STEP, but not fewer than
 *   there are processors where these are what is waited for (fewer would leave some idle), else not fewer than one, or none
 *   where all wait for memory. From below half the limit on one more every STEP.
 * - Memory: each job that may begin is expected to take as much as the largest of its queue lately did, those that run to
 *   grow to that, and all of it has to fit into what is left. One job may run in any case: its worker has a limit of its own.
 * - What jobs really take is only seen once they run: where memory is not plentiful, those that were let in begin their work
 *   two at a time, the next ones when it is seen what these take.
 * - The length of the queue: between minimum and maximum, one more each time jobs wait while all places are taken, one fewer
 *   after each QUIET in which a place was not needed. */

#include "admission-private.h"

#define STEP 5000   /* ms */
#define QUIET 30000 /* ms */

#define EXPECTED_MIN ((gint64)32 * 1024 * 1024)

/* How much of the difference to a smaller peak is forgotten each time. */
#define FORGETTING 0.01

/* Memory is plentiful if each job could take so many times what is expected. */
#define PLENTY 2

/* What stays for everybody else. */
#define KEPT_SHARE 0.05
#define KEPT_MAX ((gint64)1024 * 1024 * 1024)

const char *
derush_admission_reason_to_string (DerushAdmissionReason reason)
{
  static const char *const names[] = {"none", "memory", "memory-pressure", "cpu-pressure", "io-pressure", "disk"};

  G_STATIC_ASSERT (G_N_ELEMENTS (names) == DERUSH_ADMISSION_N_REASONS);
  return names[reason];
}

void
derush_admission_init (DerushAdmission *self)
{
  *self = (DerushAdmission){.ceiling = G_MAXUINT};
}

/* ── The length of the queue ────────────────────────────────────────────── */

static void
scale (DerushAdmissionQueue *queue, gboolean pressed, gint64 now)
{
  guint before = queue->wanted;

  if (before == 0)
    queue->changed = now;
  queue->wanted = CLAMP (before, queue->minimum, queue->maximum);
  if (queue->waiting > 0 && queue->running >= queue->wanted) {
    if (queue->wanted < queue->maximum && before > 0 && !pressed)
      queue->wanted++;
    queue->changed = now;
  } else if (queue->running >= queue->wanted) {
    queue->changed = now;
  } else if (queue->wanted > queue->minimum && now - queue->changed >= QUIET) {
    queue->wanted--;
    queue->changed = now;
  }
}

/* ── The machine ────────────────────────────────────────────────────────── */

static void
look_at_disk (DerushAdmission *self, const DerushReadings *readings)
{
  gint64 floor = readings->disk_floor;

  if (floor <= 0)
    self->disk = FALSE;
  else if (readings->disk_free < floor)
    self->disk = TRUE;
  else if (readings->disk_free - floor >= floor / 4)
    self->disk = FALSE;
}

/* Above its limit by itself; at least half of it if it was above. */
static gboolean
is_high (double value, double limit, gboolean was)
{
  return limit > 0 && value >= (was ? limit / 2 : limit);
}

static void
look_at_pressure (DerushAdmission *self, const DerushAdmissionLimits *limits, const DerushReadings *readings,
                  guint running, guint busy, guint wanted, gint64 now)
{
  const DerushPressure *pressure = &readings->pressure;
  /* Jobs that only wait for something do not press; and one job a processor is what processors are for. */
  gboolean cpu_matters = busy > readings->processors;
  DerushAdmissionReason above = DERUSH_ADMISSION_FREE;
  gboolean still;
  guint least;

  if (is_high (pressure->memory, limits->memory, FALSE))
    above = DERUSH_ADMISSION_MEMORY_PRESSURE;
  else if (is_high (pressure->io, limits->io, FALSE))
    above = DERUSH_ADMISSION_IO_PRESSURE;
  else if (cpu_matters && is_high (pressure->cpu, limits->cpu, FALSE))
    above = DERUSH_ADMISSION_CPU_PRESSURE;

  if (above != DERUSH_ADMISSION_FREE) {
    least = above == DERUSH_ADMISSION_CPU_PRESSURE ? MAX (readings->processors, 1)
            : above == DERUSH_ADMISSION_MEMORY_PRESSURE && is_high (pressure->memory_full, limits->memory, FALSE) ? 0
                                                                                                                  : 1;
    if (self->pressed == DERUSH_ADMISSION_FREE) {
      self->ceiling = MAX (MIN (running, wanted), least + 1) - 1;
      self->stepped = now;
    } else if (now - self->stepped >= STEP && running <= self->ceiling) {
      self->ceiling = MAX (self->ceiling, least + 1) - 1;
      self->stepped = now;
    }
    self->pressed = above;
    return;
  }
  if (self->pressed == DERUSH_ADMISSION_FREE)
    return;
  still = self->pressed == DERUSH_ADMISSION_MEMORY_PRESSURE ? is_high (pressure->memory, limits->memory, TRUE)
          : self->pressed == DERUSH_ADMISSION_IO_PRESSURE   ? is_high (pressure->io, limits->io, TRUE)
                                                            : is_high (pressure->cpu, limits->cpu, TRUE);
  if (still || now - self->stepped < STEP)
    return;
  self->ceiling++;
  self->stepped = now;
  if (self->ceiling < wanted)
    return;
  self->ceiling = G_MAXUINT;
  self->pressed = DERUSH_ADMISSION_FREE;
}

/* ── Memory ─────────────────────────────────────────────────────────────── */

static void
learn (DerushAdmissionQueue *queue, const DerushAdmissionLimits *limits)
{
  if (queue->expected == 0)
    queue->expected = MAX (limits->job_memory, EXPECTED_MIN);
  if (queue->busy == 0)
    return;
  if (queue->peak > queue->expected)
    queue->expected = queue->peak;
  else
    queue->expected -= (queue->expected - MAX (queue->peak, EXPECTED_MIN)) * FORGETTING;
  queue->expected = MAX (queue->expected, EXPECTED_MIN);
}

/* What is left of memory that is known. */
static gint64
usable_memory (const DerushReadings *readings)
{
  return readings->memory_available - MIN ((gint64)(MAX (readings->memory_total, 0) * KEPT_SHARE), KEPT_MAX);
}

/* What is left when the jobs that run have grown as large as expected. */
static gint64
spare_memory (const DerushReadings *readings, const DerushAdmissionQueue *queues, guint n_queues)
{
  gint64 spare;

  if (readings->memory_available < 0)
    return G_MAXINT64;
  spare = usable_memory (readings);
  for (guint i = 0; i < n_queues; i++)
    spare -= MAX (queues[i].running * queues[i].expected - queues[i].memory, 0);
  return spare;
}

/**
 * derush_admission_may_begin:
 * @readings: of the machine
 * @queues: (array length=n_queues): as they were at the last decision
 * @n_queues: how many there are
 * @queue: the one of a job that was let in and has not begun its work
 * @n_young: jobs that have begun theirs within the last %DERUSH_ADMISSION_SETTLING ms, and not ended
 *
 * Returns: whether it may begin
 */
gboolean
derush_admission_may_begin (const DerushReadings *readings, const DerushAdmissionQueue *queues, guint n_queues,
                            guint queue, guint n_young)
{
  gint64 spare, worst = 0;
  guint busy = n_young;

  if (readings->memory_available < 0)
    return TRUE;
  spare = usable_memory (readings);
  for (guint i = 0; i < n_queues; i++) {
    worst += PLENTY * queues[i].maximum * queues[i].expected - queues[i].memory;
    busy += queues[i].busy;
  }
  if (worst <= spare || busy == 0)
    return TRUE;
  if (n_young >= DERUSH_ADMISSION_YOUNG)
    return FALSE;
  for (guint i = 0; i < n_queues; i++)
    spare -= MAX (queues[i].busy * queues[i].expected - queues[i].memory, 0);
  /* It may not be among those that were counted as busy yet. */
  return spare >= (n_young + 1) * queues[queue].expected;
}

/* ── All of it ──────────────────────────────────────────────────────────── */

typedef struct {
  DerushAdmission *admission;
  DerushAdmissionQueue *queues;
  guint n_queues;
  guint total; /* jobs that run or may begin */
  gint64 spare;
} Round;

/* One place for the queue, if it wants one and it may have one. */
static gboolean
grant (Round *round, DerushAdmissionQueue *queue)
{
  if (queue->allowed >= queue->wanted)
    return FALSE;
  if (round->total >= round->admission->ceiling) {
    queue->reason = round->admission->pressed;
    return FALSE;
  }
  if (round->spare < queue->expected) {
    queue->reason = DERUSH_ADMISSION_MEMORY;
    return FALSE;
  }
  round->spare -= queue->expected;
  round->total++;
  queue->allowed++;
  return TRUE;
}

/* The places of jobs that run and that nobody may have after them. */
static void
take_back (Round *round)
{
  gint64 spare = round->spare;
  guint total = 0;

  for (guint i = 0; i < round->n_queues; i++)
    total += round->queues[i].allowed;
  while (total > round->admission->ceiling || (spare < 0 && total > 1)) {
    DerushAdmissionQueue *most = &round->queues[0];

    for (guint i = 1; i < round->n_queues; i++)
      if (round->queues[i].allowed > most->allowed)
        most = &round->queues[i];
    most->reason = total > round->admission->ceiling ? round->admission->pressed : DERUSH_ADMISSION_MEMORY;
    most->allowed--;
    spare += most->expected;
    total--;
  }
}

/* In turn; @waiting: only as many as there are jobs that wait. */
static void
grant_all (Round *round, gboolean waiting)
{
  gboolean more = TRUE;

  while (more) {
    more = FALSE;
    for (guint i = 0; i < round->n_queues; i++) {
      DerushAdmissionQueue *queue = &round->queues[(round->admission->first + i) % round->n_queues];

      if (!waiting || queue->allowed < queue->running + queue->waiting)
        more |= grant (round, queue);
    }
  }
}

/* Nothing runs and nothing fits: the first that waits may, or whose turn it is. */
static void
grant_one (Round *round)
{
  DerushAdmissionQueue *one = &round->queues[round->admission->first];

  for (guint i = 0; i < round->n_queues; i++) {
    DerushAdmissionQueue *queue = &round->queues[(round->admission->first + i) % round->n_queues];

    if (queue->waiting > 0) {
      one = queue;
      break;
    }
  }
  one->allowed = 1;
  if (one->allowed >= one->wanted)
    one->reason = DERUSH_ADMISSION_FREE;
}

/**
 * derush_admission_decide:
 * @admission: what is remembered of the last time
 * @limits: the settings
 * @readings: of the machine
 * @queues: (array length=n_queues): the queues as they are, and what is remembered of them; gets how many may run
 * @n_queues: how many there are, at least one
 * @now: in ms, from any beginning
 */
void
derush_admission_decide (DerushAdmission *self, const DerushAdmissionLimits *limits, const DerushReadings *readings,
                         DerushAdmissionQueue *queues, guint n_queues, gint64 now)
{
  Round round = {self, queues, n_queues, 0, 0};
  guint busy = 0, wanted = 0;

  for (guint i = 0; i < n_queues; i++) {
    scale (&queues[i], self->disk || self->pressed != DERUSH_ADMISSION_FREE, now);
    learn (&queues[i], limits);
    busy += queues[i].busy;
    wanted += queues[i].wanted;
    round.total += queues[i].running;
  }
  look_at_disk (self, readings);
  look_at_pressure (self, limits, readings, round.total, busy, wanted, now);
  if (self->disk) {
    for (guint i = 0; i < n_queues; i++) {
      queues[i].allowed = 0;
      queues[i].reason = DERUSH_ADMISSION_DISK;
    }
    return;
  }
  round.spare = spare_memory (readings, queues, n_queues);
  self->first = (self->first + 1) % n_queues;
  for (guint i = 0; i < n_queues; i++) {
    queues[i].allowed = MIN (queues[i].running, queues[i].wanted);
    queues[i].reason = DERUSH_ADMISSION_FREE;
  }
  take_back (&round);
  grant_all (&round, TRUE);
  grant_all (&round, FALSE);
  if (round.total == 0 && self->ceiling > 0)
    grant_one (&round);
}
