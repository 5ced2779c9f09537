/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Asks Redis again and again how the queues are, so that health is known while Redis hangs. */

#include "http-private.h"

#include <string.h>

#define INTERVAL 1    /* s */
#define PATIENCE 2000 /* ms without an answer after which Redis counts as gone */

typedef struct {
  HttpWatch *watch;
  char *name;
  JsonObject *counts; /* NULL: not known yet */
  gint64 asked;       /* monotonic, in µs; 0: nothing is asked */
} Watched;

struct _HttpWatch {
  grefcount references;
  DerushHttpServer *server; /* NULL: ended */
  GPtrArray *queues;
  guint timer;
  gint64 answered, began; /* monotonic, in µs */
  double round_trip;      /* ms; below 0: never */
  gboolean failed;        /* the last question */
};

static void
watched_free (gpointer data)
{
  Watched *watched = data;

  g_free (watched->name);
  g_clear_pointer (&watched->counts, json_object_unref);
  g_free (watched);
}

static void
watch_unref (HttpWatch *self)
{
  if (!g_ref_count_dec (&self->references))
    return;
  g_ptr_array_unref (self->queues);
  g_free (self);
}

/* BullMQ's names beside those of the backend: a queue's jobs that wait with a priority wait, too. */
static JsonObject *
describe (JsonObject *counts)
{
  static const char *const states[] = {"active", "completed", "failed", "delayed", "prioritized", "waiting-children"};
  JsonObject *said = json_object_new ();

  json_object_set_int_member (
      said, "waiting", derush_json_get_int (counts, "waiting", 0) + derush_json_get_int (counts, "prioritized", 0));
  for (guint i = 0; i < G_N_ELEMENTS (states); i++)
    json_object_set_int_member (said, states[i], derush_json_get_int (counts, states[i], 0));
  json_object_set_int_member (said, "total", derush_json_get_int (counts, "total", 0));
  json_object_set_boolean_member (said, "paused", derush_json_get_boolean (counts, "paused", FALSE));
  return said;
}

static void
take_counts (Watched *watched, JsonObject *counts)
{
  HttpWatch *self = watched->watch;
  g_autoptr (JsonObject) said = describe (counts);
  g_autofree char *before = watched->counts ? derush_json_object_to_string (watched->counts) : NULL,
                  *now = derush_json_object_to_string (said);

  if (g_strcmp0 (before, now) == 0)
    return;
  g_clear_pointer (&watched->counts, json_object_unref);
  watched->counts = json_object_ref (said);
  if (before) {
    g_autoptr (JsonObject) event = json_object_new ();

    json_object_set_string_member (event, "queue", watched->name);
    json_object_set_object_member (event, "counts", json_object_ref (said));
    http_events_publish (self->server->events, "queue", event);
  }
}

static void
on_counts (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Watched *watched = user_data;
  HttpWatch *self = watched->watch;
  g_autoptr (JsonObject) counts = NULL;
  gint64 asked = watched->asked;

  watched->asked = 0;
  if (self->server) {
    counts = derush_bullmq_queue_get_counts_finish (http_server_get_queue (self->server, watched->name), result, NULL);
    self->failed = !counts;
  }
  if (counts) {
    self->answered = g_get_monotonic_time ();
    self->round_trip = (self->answered - asked) / 1000.0;
    take_counts (watched, counts);
  }
  watch_unref (self);
}

static gboolean
look (gpointer user_data)
{
  HttpWatch *self = user_data;

  for (guint i = 0; i < self->queues->len; i++) {
    Watched *watched = self->queues->pdata[i];

    if (watched->asked)
      continue;
    watched->asked = g_get_monotonic_time ();
    g_ref_count_inc (&self->references);
    derush_bullmq_queue_get_counts_async (http_server_get_queue (self->server, watched->name), NULL, on_counts,
                                          watched);
  }
  return G_SOURCE_CONTINUE;
}

HttpWatch *
http_watch_new (DerushHttpServer *server)
{
  HttpWatch *self = g_new0 (HttpWatch, 1);

  g_ref_count_init (&self->references);
  self->server = server;
  self->round_trip = -1;
  self->began = g_get_monotonic_time ();
  self->queues = g_ptr_array_new_with_free_func (watched_free);
  for (guint i = 0; server->queues[i]; i++) {
    Watched *watched = g_new0 (Watched, 1);

    watched->watch = self;
    watched->name = g_strdup (server->queues[i]);
    g_ptr_array_add (self->queues, watched);
  }
  look (self);
  self->timer = g_timeout_add_seconds (INTERVAL, look, self);
  return self;
}

void
http_watch_free (HttpWatch *self)
{
  g_clear_handle_id (&self->timer, g_source_remove);
  self->server = NULL;
  watch_unref (self);
}

gboolean
http_watch_is_silent (HttpWatch *self)
{
  return self->failed || g_get_monotonic_time () - (self->answered ? self->answered : self->began) > PATIENCE * 1000;
}

JsonObject *
http_watch_get_counts (HttpWatch *self)
{
  JsonObject *all = json_object_new ();

  for (guint i = 0; i < self->queues->len; i++) {
    Watched *watched = self->queues->pdata[i];

    if (watched->counts)
      json_object_set_object_member (all, watched->name, json_object_ref (watched->counts));
  }
  return all;
}

JsonObject *
http_watch_get_redis (HttpWatch *self)
{
  JsonObject *redis = json_object_new ();

  json_object_set_boolean_member (redis, "connected", self->answered && !http_watch_is_silent (self));
  if (self->round_trip >= 0)
    json_object_set_double_member (redis, "roundTripMs", self->round_trip);
  if (self->answered)
    json_object_set_int_member (redis, "lastAnswerMs", (g_get_monotonic_time () - self->answered) / 1000);
  return redis;
}
