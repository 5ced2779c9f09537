/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:http
 * @title: http
 * @short_description: the HTTP interface of a daemon: jobs, workflows, health, metrics, live events
 *
 * One server on the main loop of its thread; nothing in it waits for anything. What it is asked about jobs it asks Redis,
 * what it is asked about the daemon a table of functions. Answers are `{"success":true,"data":…}` or
 * `{"success":false,"error":"…"}`; data/openapi.json describes them all.
 */

#pragma once

#include "bullmq/bullmq.h"
#include "core/core.h"
#include "results/results.h"

G_BEGIN_DECLS

#define DERUSH_HTTP_ERROR (derush_http_error_quark ())
GQuark derush_http_error_quark (void);

/**
 * DerushHttpBackend:
 * @get_health: (transfer full): `{healthy, details:{memory, uptime, …}, workers:{NAME:{status, pid, queue, …}}}`
 * @get_status: (transfer full): the orchestrator: `{running, draining, host, pid, version, uptime, queues, workers}`
 * @get_statistics: (transfer full): `{byType, throughput, latency, failureRate, …}` of what ended in this process
 * @command_async: (nullable): what an operator can order: a verb and its arguments
 * @command_finish: (nullable): `(transfer full)`: what came of it
 *
 * What the daemon tells of itself. The first three answer at once, from what is known.
 */
typedef struct {
  JsonObject *(*get_health) (gpointer daemon);
  JsonObject *(*get_status) (gpointer daemon);
  JsonObject *(*get_statistics) (gpointer daemon);
  void (*command_async) (gpointer daemon, const char *verb, JsonObject *arguments, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data);
  JsonObject *(*command_finish) (gpointer daemon, GAsyncResult *result, GError **error);
} DerushHttpBackend;

typedef struct _DerushHttpServer DerushHttpServer;

DerushHttpServer *derush_http_server_new (DerushConfig *config, DerushStore *store, const DerushRedisAddress *address,
                                          const char *const *queues, const DerushHttpBackend *backend, gpointer daemon,
                                          GError **error);
void derush_http_server_free (DerushHttpServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushHttpServer, derush_http_server_free)
guint derush_http_server_get_port (DerushHttpServer *server);
void derush_http_server_publish (DerushHttpServer *server, const char *event, JsonObject *data);

G_END_DECLS
