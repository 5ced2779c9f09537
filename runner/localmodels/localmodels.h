/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:localmodels
 * @title: localmodels
 * @short_description: engines on this machine behind the interface of remote models
 *
 * Speech recognition by PocketSphinx, speech by flite and espeak-ng, translation by Apertium, and heuristics for texts and
 * title cards that are named so. The engines are plain functions that block and know nothing of HTTP; the program
 * derush-models runs each request in a process of its own, so that a crash or a cancellation is the end of one child.
 */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

#define DERUSH_LOCALMODELS_ERROR (derush_localmodels_error_quark ())
GQuark derush_localmodels_error_quark (void);

/* Of a request body, in bytes: what OpenAI takes. */
#define DERUSH_LOCALMODELS_MAX_BODY 26214400

/* What speech may be made of at once, in characters: what OpenAI takes. */
#define DERUSH_LOCALMODELS_MAX_SPEECH 4096

/**
 * DerushLocalEngine:
 * @request: the parameters
 * @input: (nullable): the file that belongs to the request
 * @output: (out) (nullable): the file that belongs to the answer
 * @cancellable: (nullable): ends the engine at its next opportunity
 * @error: return location for an error of #DERUSH_LOCALMODELS_ERROR
 *
 * Returns: (transfer full) (nullable): the answer
 */
typedef JsonObject *(*DerushLocalEngine) (JsonObject *request, GBytes *input, GBytes **output,
                                          GCancellable *cancellable, GError **error);

JsonObject *derush_local_transcribe (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable,
                                     GError **error);
JsonObject *derush_local_speak (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable,
                                GError **error);
JsonObject *derush_local_translate (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable,
                                    GError **error);
JsonObject *derush_local_extract (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable,
                                  GError **error);
JsonObject *derush_local_compose (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable,
                                  GError **error);

/* The name that OpenAI's clients know an error by, such as `unsupported_language`; and the parameter at fault. */
const char *derush_local_error_get_code (const GError *error);
const char *derush_local_error_get_parameter (const GError *error);

/* What is installed: {"voices":[…]}, {"pairs":[…]} and so on; see inventory.c. */
JsonArray *derush_local_list_models (void);
JsonArray *derush_local_list_voices (void);

typedef struct _DerushLocalServer DerushLocalServer;

DerushLocalServer *derush_local_server_new (const char *program, const char *token, guint16 port, GError **error);
void derush_local_server_free (DerushLocalServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushLocalServer, derush_local_server_free)
guint16 derush_local_server_get_port (DerushLocalServer *server);

/* The other side of what the server starts: one request from standard input, its answer to standard output. */
int derush_local_engine_main (void);

G_END_DECLS
