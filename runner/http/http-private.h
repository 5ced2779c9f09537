/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inside of the room: the server, one request, and who answers what. */

#pragma once

#include "http/http.h"

#include <libsoup/soup.h>

G_BEGIN_DECLS

typedef struct _HttpWatch HttpWatch;
typedef struct _HttpEvents HttpEvents;

struct _DerushHttpServer {
  SoupServer *soup;
  DerushRedisAddress *address;
  DerushConfig *config;
  GStrv queues;
  const DerushHttpBackend *backend;
  gpointer daemon;
  GHashTable *clients; /* queue name → DerushBullmqQueue */
  DerushBullmqControl *control;
  HttpWatch *watch;
  HttpEvents *events;
  GHashTable *connections; /* of SoupServerMessage: what is being read or answered */
  GHashTable *idle;        /* GSocket → timer: connections between two requests */
  guint max_connections;
  char *token; /* NULL: everybody may */
  gsize max_body;
  guint timeout; /* in s */
  guint n_requests;
};

/* ── One request ────────────────────────────────────────────────────────── */

typedef struct {
  grefcount references;
  DerushHttpServer *server; /* NULL: freed meanwhile */
  SoupServerMessage *message;
  GHashTable *query;
  char **arguments; /* what the path has in place of `:name` */
  gboolean answered, paused, gone;
} HttpRequest;

HttpRequest *http_request_ref (HttpRequest *request);
void http_request_unref (HttpRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HttpRequest, http_request_unref)

const char *http_request_get_query (HttpRequest *request, const char *name);
JsonObject *http_request_get_object (HttpRequest *request);

/* Each request is ended by one of these. @data: (transfer full). */
void http_request_answer (HttpRequest *request, guint status, JsonNode *data);
void http_request_answer_object (HttpRequest *request, guint status, JsonObject *data);
void http_request_answer_text (HttpRequest *request, guint status, const char *type, const char *text, gssize length);
void http_request_refuse (HttpRequest *request, guint status, const char *format, ...) G_GNUC_PRINTF (3, 4);
void http_request_fail (HttpRequest *request, const GError *error);

/* Takes the message from the request, to answer it in pieces. */
SoupServerMessage *http_request_take (HttpRequest *request);

DerushBullmqQueue *http_server_get_queue (DerushHttpServer *server, const char *name);

/* FALSE: Redis is silent, and the request was answered so. */
gboolean http_request_needs_redis (HttpRequest *request);

/* ── Routes (route.c) ───────────────────────────────────────────────────── */

typedef void (*HttpHandler) (HttpRequest *request);

typedef struct {
  const char *method;
  const char *path; /* `/api/jobs/:id/logs` */
  HttpHandler handler;
  gboolean open; /* without a token, too */
} HttpRoute;

typedef enum {
  HTTP_ROUTE_FOUND,
  HTTP_ROUTE_UNKNOWN,
  HTTP_ROUTE_OTHER_METHOD,
} HttpRouteResult;

/* @path: as it came, still encoded; @arguments: (out) (optional): decoded; @allowed: (out) (optional): methods that it has */
HttpRouteResult http_route_find (const HttpRoute *routes, const char *method, const char *path, const HttpRoute **route,
                                 char ***arguments, char **allowed);

/* In a time that does not depend on where they differ. */
gboolean http_token_matches (const char *token, const char *header);
/* `host:port`; %TRUE with *@off for `off`. */
gboolean http_address_parse (const char *text, char **host, guint16 *port, gboolean *off, GError **error);

/* ── Who answers what ───────────────────────────────────────────────────── */

void http_jobs_add (HttpRequest *request);
void http_jobs_get (HttpRequest *request);
void http_jobs_cancel (HttpRequest *request);
void http_jobs_retry (HttpRequest *request);
void http_jobs_get_logs (HttpRequest *request);

void http_workflows_execute (HttpRequest *request);
void http_workflows_list (HttpRequest *request);
void http_workflows_get (HttpRequest *request);
void http_workflows_cancel (HttpRequest *request);
void http_workflows_get_templates (HttpRequest *request);
void http_workflows_get_statistics (HttpRequest *request);

void http_videos_purge (HttpRequest *request);
void http_users_purge (HttpRequest *request);
void http_workers_restart (HttpRequest *request);
void http_workers_start (HttpRequest *request);
void http_workers_stop (HttpRequest *request);
void http_workers_stop_after_job (HttpRequest *request);
void http_queues_pause (HttpRequest *request);
void http_queues_resume (HttpRequest *request);
void http_orchestrator_pause (HttpRequest *request);
void http_orchestrator_resume (HttpRequest *request);
void http_orchestrator_drain (HttpRequest *request);
void http_orchestrator_stop (HttpRequest *request);
void http_orchestrator_reload (HttpRequest *request);

/* Looks for a job in the queues, or in @queue only; NULL: there is none, or an error. */
typedef void (*HttpJobFunc) (HttpRequest *request, const char *queue, JsonObject *job, const GError *error,
                             gpointer user_data);
void http_find_job (HttpRequest *request, const char *queue, const char *id, HttpJobFunc func, gpointer user_data);
const char *http_status_of_job (JsonObject *job);
gboolean http_is_id (const char *text);

/* ── What is known of Redis (watch.c) ───────────────────────────────────── */

HttpWatch *http_watch_new (DerushHttpServer *server);
void http_watch_free (HttpWatch *watch);
gboolean http_watch_is_silent (HttpWatch *watch);
JsonObject *http_watch_get_counts (HttpWatch *watch);
JsonObject *http_watch_get_redis (HttpWatch *watch);

/* ── Server-Sent Events (events.c) ──────────────────────────────────────── */

HttpEvents *http_events_new (DerushHttpServer *server);
void http_events_free (HttpEvents *events);
void http_events_publish (HttpEvents *events, const char *event, JsonObject *data);
void http_events_serve (HttpRequest *request);

/* What a client says that it has heard, `ID,ID,…` in the order of @n_queues queues; NULL: it does not say that. */
GStrv http_events_parse_position (const char *text, guint n_queues);
/* As strcmp(), for ids of entries of streams: `MILLISECONDS-NUMBER`. */
int http_events_compare (const char *a, const char *b);

G_END_DECLS
