/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <glib/gi18n-lib.h>

/*
 * What calls have cost: DERUSH_STATE_DIR/models/YYYY-MM-DD.jsonl, a file for each day of UTC, to which all processes add lines
 * while they hold its lock. A call has a line with what it may cost before it is sent, and one with what it has cost after;
 * one without the second, whose end nobody knows, counts with the first.
 */
struct _ModelLedger {
  char *folder;
  double job_limit, day_limit; /* negative: none */
  GMutex lock;
  char *day;
  off_t position;    /* up to where the day's file has been read */
  GHashTable *calls; /* Line by id */
  double day_total;
  GHashTable *jobs; /* double by job */
};

typedef struct {
  char *job;
  double amount;
} Line;

static void
line_free (Line *line)
{
  g_free (line->job);
  g_free (line);
}

static gboolean
read_limit (DerushConfig *config, const char *name, double *limit, GError **error)
{
  const char *value = derush_config_get_string (config, name);
  char *end;

  *limit = -1;
  if (!*value)
    return TRUE;
  *limit = g_ascii_strtod (value, &end);
  if (*end == '\0' && isfinite (*limit) && *limit >= 0)
    return TRUE;
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("%s is “%s”, but must be a number of US dollars, 0 or more"), name, value);
  return FALSE;
}

ModelLedger *
model_ledger_new (DerushConfig *config, GError **error)
{
  ModelLedger *ledger = g_new0 (ModelLedger, 1);

  g_mutex_init (&ledger->lock);
  ledger->folder = g_build_filename (derush_config_get_string (config, "DERUSH_STATE_DIR"), "models", NULL);
  ledger->calls = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)line_free);
  ledger->jobs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  if (read_limit (config, "DERUSH_MODEL_COST_JOB", &ledger->job_limit, error) &&
      read_limit (config, "DERUSH_MODEL_COST_DAY", &ledger->day_limit, error))
    return ledger;
  model_ledger_free (ledger);
  return NULL;
}

void
model_ledger_free (ModelLedger *ledger)
{
  g_free (ledger->folder);
  g_free (ledger->day);
  g_hash_table_unref (ledger->calls);
  g_hash_table_unref (ledger->jobs);
  g_mutex_clear (&ledger->lock);
  g_free (ledger);
}

gboolean
model_ledger_has_limit (ModelLedger *ledger)
{
  return ledger->job_limit >= 0 || ledger->day_limit >= 0;
}

/* ── Reading ────────────────────────────────────────────────────────────── */

static double *
total_of_job (ModelLedger *ledger, const char *job)
{
  double *total = g_hash_table_lookup (ledger->jobs, job);

  if (!total) {
    total = g_new0 (double, 1);
    g_hash_table_insert (ledger->jobs, g_strdup (job), total);
  }
  return total;
}

/* @weight: 0 for another day's lines, which count for jobs alone. */
static void
count_line (ModelLedger *ledger, const char *text, gsize length, double weight)
{
  g_autoptr (JsonObject) json = derush_json_parse_object (text, length, NULL);
  const char *id = derush_json_get_string (json, "id", NULL), *job = derush_json_get_string (json, "jobId", "");
  double amount = derush_json_get_number (json, "amount", 0) + derush_json_get_number (json, "possiblyBilled", 0);
  Line *line;

  if (!id)
    return;
  line = g_hash_table_lookup (ledger->calls, id);
  if (!line) {
    line = g_new0 (Line, 1);
    line->job = g_strdup (job);
    g_hash_table_insert (ledger->calls, g_strdup (id), line);
  }
  ledger->day_total += weight * (amount - line->amount);
  *total_of_job (ledger, line->job) += amount - line->amount;
  line->amount = amount;
}

static off_t
count_lines (ModelLedger *ledger, int fd, off_t position, double weight)
{
  g_autoptr (GString) text = g_string_new (NULL);
  char buffer[65536];
  const char *start, *end;
  gssize got;

  while ((got = pread (fd, buffer, sizeof buffer, position + (off_t)text->len)) > 0)
    g_string_append_len (text, buffer, got);
  for (start = text->str; (end = memchr (start, '\n', text->str + text->len - start)); start = end + 1)
    count_line (ledger, start, end - start, weight);
  return position + (start - text->str);
}

static char *
day_of (gint64 ms)
{
  g_autofree char *time = derush_time_to_iso8601 (ms);

  return g_strndup (time, strlen ("YYYY-MM-DD"));
}

static char *
file_of (ModelLedger *ledger, const char *day)
{
  g_autofree char *name = g_strconcat (day, ".jsonl", NULL);

  return g_build_filename (ledger->folder, name, NULL);
}

/* A job may have begun the day before. */
static void
begin_day (ModelLedger *ledger, const char *day, gint64 now)
{
  g_autofree char *before = day_of (now - 24 * 3600 * (gint64)1000), *path = file_of (ledger, before);
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  g_hash_table_remove_all (ledger->calls);
  g_hash_table_remove_all (ledger->jobs);
  if (fd >= 0) {
    count_lines (ledger, fd, 0, 0);
    close (fd);
  }
  g_free (ledger->day);
  ledger->day = g_strdup (day);
  ledger->day_total = 0;
  ledger->position = 0;
}

/* Opens and locks the file of today, and reads what others have added. */
static int
open_today (ModelLedger *ledger, GError **error)
{
  gint64 now = derush_time_now_ms ();
  g_autofree char *day = day_of (now), *path = file_of (ledger, day);
  int fd;

  g_mkdir_with_parents (ledger->folder, 0700);
  fd = open (path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 || flock (fd, LOCK_EX) != 0) {
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE, _ ("What models cost cannot be written to %s: %s"),
                 path, g_strerror (errno));
    if (fd >= 0)
      close (fd);
    return -1;
  }
  if (g_strcmp0 (day, ledger->day) != 0)
    begin_day (ledger, day, now);
  ledger->position = count_lines (ledger, fd, ledger->position, 1);
  return fd;
}

/* ── Writing ────────────────────────────────────────────────────────────── */

static const char *
job_of (ModelCall *call)
{
  return call->context && call->context->job_id ? call->context->job_id : "";
}

static void
set_amount (JsonObject *json, const char *name, double amount)
{
  if (amount >= 0)
    json_object_set_double_member (json, name, amount);
  else
    json_object_set_null_member (json, name);
}

static gboolean
write_line (int fd, JsonObject *json, GError **error)
{
  g_autofree char *text = derush_json_object_to_string (json), *redacted = model_redact (text);
  g_autofree char *line = g_strconcat (redacted, "\n", NULL);
  gsize length = strlen (line);
  off_t end = lseek (fd, 0, SEEK_END);
  gssize written;
  char last = '\n';
  int cause;

  /* What a process that was killed has left must not spoil the next line. */
  if (end > 0 && pread (fd, &last, 1, end - 1) == 1 && last != '\n' && write (fd, "\n", 1) == 1)
    end++;
  do {
    written = write (fd, line, length);
  } while (written < 0 && errno == EINTR);
  if (written == (gssize)length)
    return TRUE;
  cause = written < 0 ? errno : ENOSPC;
  if (written > 0 && ftruncate (fd, end) != 0)
    g_debug ("%s", g_strerror (errno));
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE, _ ("What models cost cannot be written: %s"),
               g_strerror (cause));
  return FALSE;
}

static JsonObject *
line_of (ModelCall *call, ModelEntry *entry, const char *state)
{
  JsonObject *json = json_object_new ();
  g_autofree char *now = derush_time_to_iso8601 (derush_time_now_ms ());

  json_object_set_string_member (json, "timestamp", now);
  json_object_set_string_member (json, "id", entry->id);
  json_object_set_string_member (json, "jobId", job_of (call));
  json_object_set_string_member (json, "task", call->task);
  json_object_set_string_member (json, "provider", call->provider->name);
  json_object_set_string_member (json, "model", call->model);
  json_object_set_string_member (json, "state", state);
  return json;
}

static gboolean
check_limit (ModelCall *call, const char *setting, double limit, double spent, double estimate, GError **error)
{
  if (limit < 0 || (estimate >= 0 && spent + estimate <= limit))
    return TRUE;
  if (estimate < 0)
    g_set_error (
        error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
        _ ("What “%s” of %s costs is unknown, so %s cannot be kept; give it a price in the file of DERUSH_PRICES"),
        call->model, call->provider->name, setting);
  else
    g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL,
                 _ ("This would cost about %.4f US dollars, but only %.4f of %s are left: %.4f"), estimate,
                 MAX (limit - spent, 0), setting, limit);
  return FALSE;
}

#define DAY (24 * 3600 * G_GINT64_CONSTANT (1000))

/* What does not fit into this day may fit into the next one, of UTC as the ledger's are; nothing else helps. */
static void
judge_limit (ModelLedger *ledger, double estimate, gboolean of_day, GError *error)
{
  if (of_day && estimate >= 0 && estimate <= ledger->day_limit)
    derush_error_set_retry_at (error, (derush_time_now_ms () / DAY + 1) * DAY);
  else
    derush_error_set_final (error);
}

static gboolean
check_limits (ModelLedger *ledger, ModelCall *call, double estimate, GError **error)
{
  g_autoptr (GError) refusal = NULL;
  double spent = *total_of_job (ledger, job_of (call));
  gboolean of_job = check_limit (call, "DERUSH_MODEL_COST_JOB", ledger->job_limit, spent, estimate, &refusal);

  if (of_job && check_limit (call, "DERUSH_MODEL_COST_DAY", ledger->day_limit, ledger->day_total, estimate, &refusal))
    return TRUE;
  judge_limit (ledger, estimate, of_job, refusal);
  g_propagate_error (error, g_steal_pointer (&refusal));
  return FALSE;
}

/*
 * model_ledger_reserve:
 * @entry: its estimate; gets the id of its line
 * @error: of class model: the call would cost more than it may
 *
 * Asks whether the call may be paid, and writes down that it is going to be sent.
 */
gboolean
model_ledger_reserve (ModelLedger *ledger, ModelCall *call, ModelEntry *entry, GError **error)
{
  g_autoptr (JsonObject) line = NULL;
  g_autoptr (GError) local = NULL;
  gboolean may = FALSE;
  int fd;

  entry->id = g_uuid_string_random ();
  g_mutex_lock (&ledger->lock);
  fd = open_today (ledger, &local);
  if (fd >= 0) {
    line = line_of (call, entry, "sent");
    set_amount (line, "amount", entry->estimate);
    may = check_limits (ledger, call, entry->estimate, error) && write_line (fd, line, error);
    close (fd);
  } else if (ledger->job_limit < 0 && ledger->day_limit < 0) {
    /* Who has set no limit can do without the account. */
    derush_log (DERUSH_LOG_WARN, NULL, "%s", local->message);
    may = TRUE;
  } else {
    g_propagate_error (error, g_steal_pointer (&local));
  }
  g_mutex_unlock (&ledger->lock);
  return may;
}

/*
 * model_ledger_settle:
 * @state: "answered", "refused", or "unknown": it may have been paid for
 * @cost: negative: nobody knows
 * @usage: (nullable): what it follows from
 */
void
model_ledger_settle (ModelLedger *ledger, ModelCall *call, ModelEntry *entry, const char *state, double cost,
                     JsonObject *usage)
{
  g_autoptr (JsonObject) line = line_of (call, entry, state);
  g_autoptr (GError) error = NULL;
  int fd;

  set_amount (line, "amount", cost);
  json_object_set_int_member (line, "attempts", call->attempts);
  if (call->lost > 0 && entry->estimate > 0)
    json_object_set_double_member (line, "possiblyBilled", call->lost * entry->estimate);
  if (call->request_id)
    json_object_set_string_member (line, "requestId", call->request_id);
  if (usage)
    json_object_set_object_member (line, "usage", json_object_ref (usage));
  g_mutex_lock (&ledger->lock);
  fd = open_today (ledger, &error);
  if (fd < 0 || !write_line (fd, line, &error))
    derush_log (DERUSH_LOG_WARN, NULL, "%s", error->message);
  if (fd >= 0)
    close (fd);
  g_mutex_unlock (&ledger->lock);
}
