/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <string.h>

/* BullMQ's job schedulers have no process of their own: whoever fetches one iteration adds the next one first. */

static gint64
time_member (JsonObject *object, const char *name)
{
  const char *text = derush_json_get_string (object, name, NULL);
  g_autoptr (GTimeZone) utc = NULL;
  g_autoptr (GDateTime) time = NULL;

  if (!text)
    return derush_json_get_int (object, name, 0);
  utc = g_time_zone_new_utc ();
  time = g_date_time_new_from_iso8601 (text, utc);
  return time ? g_date_time_to_unix (time) * 1000 + g_date_time_get_microsecond (time) / 1000 : 0;
}

static JsonObject *
copy_object (JsonObject *object)
{
  JsonObject *copy = json_object_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &name, &value))
    json_object_set_member (copy, name, json_node_copy (value));
  return copy;
}

static void
set_time (JsonObject *object, const char *name)
{
  gint64 time = time_member (object, name);

  if (time > 0)
    json_object_set_int_member (object, name, time);
  else if (json_object_has_member (object, name))
    json_object_remove_member (object, name);
}

/* The options of the next iteration; @next is 0 for `every`, where the script computes time and id. */
static JsonObject *
next_options (DerushBullmqJob *job, JsonObject *repeat, gint64 count, gint64 next, gint64 now)
{
  JsonObject *options = copy_object (job->opts), *repeated = copy_object (repeat);
  gint64 offset = derush_json_get_int (repeat, "every", 0) > 0 ? derush_json_get_int (repeat, "offset", 0) : 0;

  if (json_object_has_member (repeated, "immediately"))
    json_object_remove_member (repeated, "immediately");
  if (json_object_has_member (repeated, "offset"))
    json_object_remove_member (repeated, "offset");
  if (offset != 0)
    json_object_set_int_member (repeated, "offset", offset);
  json_object_set_int_member (repeated, "count", count);
  set_time (repeated, "startDate");
  set_time (repeated, "endDate");
  json_object_set_object_member (options, "repeat", repeated);
  json_object_set_string_member (options, "repeatJobKey", job->scheduler);
  json_object_set_int_member (options, "timestamp", now);
  if (!json_object_has_member (options, "attempts"))
    json_object_set_int_member (options, "attempts", 0);
  if (next > 0) {
    g_autofree char *id = g_strdup_printf ("repeat:%s:%" G_GINT64_FORMAT, job->scheduler, next);

    json_object_set_string_member (options, "jobId", id);
    json_object_set_int_member (options, "delay", MAX (next - now, 0));
    json_object_set_int_member (options, "prevMillis", next);
  } else if (json_object_has_member (options, "prevMillis")) {
    json_object_remove_member (options, "prevMillis");
  }
  return options;
}

static void
on_advanced (const BullmqAnswer *said, gpointer user_data)
{
  g_autoptr (DerushBullmqJob) job = user_data;
  DerushBullmqWorker *worker = job->worker;

  if (!worker || worker->freed)
    return;
  if (said->error && !said->lost)
    bullmq_worker_log (worker, DERUSH_LOG_ERROR, job, "The next run of the job scheduler %s could not be added: %s",
                       job->scheduler, said->error->message);
  bullmq_worker_ref (worker);
  if (job->lost) {
    job->ended = TRUE;
    bullmq_worker_release (worker, job);
    bullmq_worker_check_closed (worker);
    bullmq_fetch_pump (worker);
  } else if (worker->closing || worker->paused) {
    job->ended = TRUE;
    bullmq_finish_give_back (job);
  } else {
    bullmq_fetch_run (worker, job);
  }
  bullmq_worker_unref (worker);
}

static void
send_update (DerushBullmqWorker *worker, DerushBullmqJob *job, JsonObject *options, gint64 next, gint64 now)
{
  static const char *const first_keys[] = {"repeat", "delayed", "wait",   "paused", "meta", "prioritized",
                                           "marker", "id",      "events", "pc",     NULL};
  BullmqCommand *command = bullmq_command_new_script (BULLMQ_UPDATE_JOB_SCHEDULER);
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), options);
  g_auto (BullmqPack) packed = {0};

  bullmq_pack_init (&packed);
  bullmq_pack_node (&packed, node);
  bullmq_command_add_keys (command, worker->base, first_keys);
  bullmq_job_add_key (job, command, "");
  bullmq_command_add_key (command, worker->base, "active", -1);
  if (next > 0)
    bullmq_command_add_int (command, next);
  else
    bullmq_command_add (command, "", 0);
  bullmq_command_add (command, job->scheduler, -1);
  bullmq_command_add (command, job->data ? job->data : "{}", -1);
  bullmq_command_add (command, packed.buffer.data, packed.buffer.size);
  bullmq_command_add_int (command, now);
  bullmq_command_add (command, worker->base, -1);
  bullmq_command_add (command, job->id, job->id_length);
  bullmq_connection_send (worker->commands, command, BULLMQ_COMMAND_RESEND, on_advanced, derush_bullmq_job_ref (job));
}

/* Adds the iteration after @job, then runs @job. */
void
bullmq_scheduler_advance (DerushBullmqWorker *worker, DerushBullmqJob *job)
{
  JsonObject *repeat = derush_json_get_object (job->opts, "repeat");
  const char *pattern = derush_json_get_string (repeat, "pattern", NULL);
  gint64 now = derush_time_now_ms (), count = derush_json_get_int (repeat, "count", 0) + 1,
         limit = derush_json_get_int (repeat, "limit", G_MAXINT64), end = time_member (repeat, "endDate"), next = 0;
  g_autoptr (JsonObject) options = NULL;

  if (!repeat || count > limit || (end > 0 && now > end)) {
    bullmq_fetch_run (worker, job);
    return;
  }
  if (pattern) {
    gint64 after = MAX (MAX (now, derush_json_get_int (job->opts, "prevMillis", 0)), time_member (repeat, "startDate"));

    next = bullmq_cron_next (pattern, derush_json_get_string (repeat, "tz", NULL), after);
    if (next < 0) {
      bullmq_worker_log (worker, DERUSH_LOG_ERROR, job,
                         "The job scheduler %s ends here: its pattern “%s” names no further time that can be computed",
                         job->scheduler, pattern);
      bullmq_fetch_run (worker, job);
      return;
    }
  }
  options = next_options (job, repeat, count, next, now);
  send_update (worker, job, options, next, now);
}
