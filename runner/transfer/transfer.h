/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:transfer
 * @title: transfer
 * @short_description: bringing in sources and sending files over HTTP without opening the own network to whoever adds jobs
 *
 * Workers do not link this: they have no network. An address is checked after its name was resolved, and the connection
 * goes to the very address that was checked; redirects are followed one by one, each checked like the first.
 */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

#define DERUSH_TRANSFER_ERROR (derush_transfer_error_quark ())
GQuark derush_transfer_error_quark (void);

gboolean derush_transfer_is_remote (const char *source);
char *derush_transfer_describe (const char *url);
gboolean derush_transfer_may_reach (GInetAddress *address);

typedef struct _DerushAllowedHosts DerushAllowedHosts;
DerushAllowedHosts *derush_allowed_hosts_new (const char *setting, GError **error);
void derush_allowed_hosts_free (DerushAllowedHosts *hosts);
gboolean derush_allowed_hosts_has_name (DerushAllowedHosts *hosts, const char *name);
gboolean derush_allowed_hosts_has_address (DerushAllowedHosts *hosts, GInetAddress *address);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushAllowedHosts, derush_allowed_hosts_free)

/**
 * DerushTransferProgress:
 * @progress: 0 to 1; stays 0 while the length is unknown
 * @user_data: from #DerushDownload
 */
typedef void (*DerushTransferProgress) (double progress, gpointer user_data);

/**
 * DerushDownload:
 * @url: `https:`, or `http:` where that is allowed
 * @path: the file to write; it does not exist yet
 * @hosts: what may be reached though it is private, also by `http:`
 * @allow_http: whether `http:` may be used with any host
 * @max_bytes: a longer source is refused
 * @min_free: bytes that stay free on the disk of @path
 * @deadline: by the monotonic clock, in µs, for all attempts together
 * @stall: µs within which at least 1 KiB/s on average must arrive
 * @progress: (nullable): called from within derush_download_run()
 * @user_data: for @progress
 * @complete: (out): whether the server had said how long the source is, so that it is known to be whole
 */
typedef struct {
  const char *url;
  const char *path;
  DerushAllowedHosts *hosts;
  gboolean allow_http;
  gint64 max_bytes;
  gint64 min_free;
  gint64 deadline;
  gint64 stall;
  DerushTransferProgress progress;
  gpointer user_data;
  gboolean complete;
} DerushDownload;

gboolean derush_download_run (DerushDownload *download, GCancellable *cancellable, GError **error);

/**
 * DerushUpload:
 * @url: `https:`, or `http:` where that is allowed
 * @path: the file to send
 * @content_type: its media type
 * @headers: (nullable) (array zero-terminated=1): names and values in turn, sent to the address itself only
 * @hosts: what may be reached though it is private, also by `http:`
 * @allow_http: whether `http:` may be used with any host
 * @deadline: by the monotonic clock, in µs, for all attempts together
 * @stall: µs within which at least 1 KiB/s on average must be taken
 * @progress: (nullable): called from within derush_upload_run(), with 0 to 1; falls when the file is sent again
 * @user_data: for @progress
 */
typedef struct {
  const char *url;
  const char *path;
  const char *content_type;
  const char *const *headers;
  DerushAllowedHosts *hosts;
  gboolean allow_http;
  gint64 deadline;
  gint64 stall;
  DerushTransferProgress progress;
  gpointer user_data;
} DerushUpload;

gboolean derush_upload_run (DerushUpload *upload, GCancellable *cancellable, GError **error);

/**
 * DerushPost:
 * @url: `https:`, or `http:` where that is allowed
 * @hosts: what may be reached though it is private, also by `http:`
 * @allow_http: whether `http:` may be used with any host
 * @content_type: of @body
 * @body: what is sent
 * @headers: (nullable) (array zero-terminated=1): names and values in turn; not for another origin that a redirect leads to
 * @patience: µs from the beginning to the end
 * @status: (out): what the server said; 0: nothing
 * @retry_after: (out): in s, what it asked for; 0: nothing
 */
typedef struct {
  const char *url;
  DerushAllowedHosts *hosts;
  gboolean allow_http;
  const char *content_type;
  GBytes *body;
  const char *const *headers;
  gint64 patience;
  guint status;
  guint64 retry_after;
} DerushPost;

gboolean derush_post_run (DerushPost *post, GCancellable *cancellable, GError **error);

G_END_DECLS
