/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "localmodels-private.h"

G_BEGIN_DECLS

typedef struct _LocalCall LocalCall;

/* What becomes of an engine's answer. */
typedef void (*LocalAnswer) (LocalCall *call, JsonObject *result, GBytes *output);

/* A request from its headers to its answer. */
struct _LocalCall {
  DerushLocalServer *server;
  SoupServerMessage *message;
  const struct _LocalRoute *route;
  gsize received;
  gboolean refused;
  gboolean paused;
  /* What was asked, as the answer needs it. */
  JsonObject *request;
  LocalAnswer answer;
  struct _LocalJob *job;
};

typedef struct _LocalRoute {
  const char *method;
  const char *path;
  void (*handle) (LocalCall *call, GBytes *body);
  gboolean open; /* needs no token */
} LocalRoute;

const LocalRoute *local_route_find (const char *method, const char *path, gboolean *other_method);

/* ── Answers ────────────────────────────────────────────────────────────── */

void local_call_answer (LocalCall *call, guint status, const char *type, GBytes *body);
void local_call_answer_json (LocalCall *call, JsonObject *answer);
void local_call_refuse (LocalCall *call, guint status, const char *code, const char *parameter, const char *message);
void local_call_fail (LocalCall *call, const GError *error);
void local_call_set_engine (LocalCall *call, const char *engine);

/* ── Answers as events ──────────────────────────────────────────────────── */

void local_stream_chat (LocalCall *call, JsonObject *answer);
void local_stream_transcript (LocalCall *call, const char *text, JsonArray *segments, JsonObject *usage);
void local_stream_speech (LocalCall *call, GBytes *sound);

/* ── Engines ────────────────────────────────────────────────────────────── */

typedef struct _LocalQueue LocalQueue;

LocalQueue *local_queue_new (const char *program);
void local_queue_free (LocalQueue *queue);
void local_queue_count (LocalQueue *queue, guint *running, guint *waiting);

/* Takes @request; the call is answered later. */
void local_call_run (LocalCall *call, const char *engine, JsonObject *request, GBytes *input, LocalAnswer answer);
void local_call_abandon (LocalCall *call);
LocalQueue *local_call_get_queue (LocalCall *call);

G_END_DECLS
