/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One HTTP exchange: sent, read to its end, within its limits. Knows nothing of models. */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

/**
 * ModelPart:
 * @name: the form's field
 * @file_name: (nullable): of a file
 * @content_type: (nullable): of a file
 * @value: (nullable): of a field
 * @path: (nullable): of a file: what is sent
 *
 * A part of a form (multipart/form-data).
 */
typedef struct {
  char *name;
  char *file_name;
  char *content_type;
  char *value;
  char *path;
} ModelPart;

/**
 * ModelRequest:
 * @method: "GET" or "POST"
 * @url: where to
 * @key: (nullable): sent as bearer token, never shown
 * @content_type: (nullable): of @body
 * @body: (nullable): what is sent
 * @parts: (nullable) (element-type ModelPart): a form that is sent instead; its files are read while they are sent
 * @accept: (nullable): the types that are wanted
 * @bill_to: (nullable): whose account pays, at Hugging Face
 * @limit: how long an answer may be, in bytes
 * @deadline: for the whole exchange, in ms
 * @public_only: only addresses that everybody may see are connected to: for addresses that an answer names
 * @sent: (out): whether all of it has gone out, so that the server may have done what it asks for
 */
typedef struct {
  const char *method;
  char *url;
  char *key;
  char *content_type;
  GBytes *body;
  GPtrArray *parts;
  const char *accept;
  char *bill_to;
  gsize limit;
  guint deadline;
  gboolean public_only;
  gboolean sent;
} ModelRequest;

/**
 * ModelResponse:
 * @status: the HTTP status
 * @headers: (element-type utf8 utf8): by name in lower case
 * @body: the content, which may be cut: a body that ends early looks whole to the library
 */
typedef struct {
  guint status;
  GHashTable *headers;
  GBytes *body;
} ModelResponse;

typedef struct _ModelTransport ModelTransport;

ModelTransport *model_transport_new (DerushConfig *config, GError **error);
void model_transport_free (ModelTransport *transport);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ModelTransport, model_transport_free)
ModelResponse *model_transport_send (ModelTransport *transport, ModelRequest *request, GCancellable *cancellable,
                                     GError **error);

gboolean model_address_is_public (GInetAddress *address);

ModelRequest *model_request_new (const char *method, const char *base_url, const char *path);
void model_request_set_json (ModelRequest *request, JsonObject *json);
void model_request_add_field (ModelRequest *request, const char *name, const char *value);
void model_request_add_file (ModelRequest *request, const char *name, const char *file_name, const char *content_type,
                             const char *path);
void model_request_free (ModelRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ModelRequest, model_request_free)

const char *model_response_get_header (ModelResponse *response, const char *name);
void model_response_free (ModelResponse *response);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ModelResponse, model_response_free)

/* The form as a stream that reads files while it is read itself. */
GInputStream *model_form_new (GPtrArray *parts, const char *boundary, goffset *length, GError **error);
char *model_form_quote (const char *text);

G_END_DECLS
