/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/network-private.h"

#include <string.h>

/* What the files that jobs make are called in media types; the desktop's database need not be there. */
static const char *const media_types[][2] = {
    {".mp4", "video/mp4"},
    {".mov", "video/quicktime"},
    {".webm", "video/webm"},
    {".mkv", "video/x-matroska"},
    {".jpg", "image/jpeg"},
    {".png", "image/png"},
    {".webp", "image/webp"},
    {".vtt", "text/vtt"},
    {".srt", "application/x-subrip"},
    {".ass", "text/x-ssa"},
    {".txt", "text/plain; charset=utf-8"},
    {".json", "application/json"},
    {".wav", "audio/wav"},
    {".mp3", "audio/mpeg"},
    {".m4a", "audio/mp4"},
    {".flac", "audio/flac"},
    {".opus", "audio/ogg"},
    {".ogg", "audio/ogg"},
};

static const char *
media_type_of (const char *file)
{
  for (guint i = 0; i < G_N_ELEMENTS (media_types); i++)
    if (g_str_has_suffix (file, media_types[i][0]))
      return media_types[i][1];
  return "application/octet-stream";
}

static gint64
stall_of (const DerushNetwork *network)
{
  return network->plan->no_progress > 0
             ? network->plan->no_progress * 1000
             : derush_config_get_int (network->config, "DERUSH_STALL_TIMEOUT") * G_USEC_PER_SEC;
}

gboolean
derush_network_fetch (const DerushNetwork *network, const char *path, gboolean *complete, GError **error)
{
  DerushConfig *config = network->config;
  g_autoptr (DerushAllowedHosts) hosts =
      derush_allowed_hosts_new (derush_config_get_string (config, "DERUSH_ALLOWED_HOSTS"), error);
  DerushDownload download = {
      .url = network->plan->source,
      .path = path,
      .hosts = hosts,
      .allow_http = derush_config_get_boolean (config, "DERUSH_ALLOW_HTTP"),
      .max_bytes = derush_config_get_int (config, "DERUSH_MAX_INPUT_BYTES"),
      .min_free = derush_config_get_int (config, "DERUSH_MIN_FREE_SPACE"),
      .deadline = network->deadline,
      .stall = stall_of (network),
      .progress = network->progress,
      .user_data = network->user_data,
  };

  if (!hosts || !derush_download_run (&download, network->cancellable, error))
    return FALSE;
  *complete = download.complete;
  return TRUE;
}

typedef struct {
  const DerushNetwork *network;
  gint64 sent, all; /* bytes */
  gint64 size;      /* of the file that is being sent */
} Sending;

static void
on_progress (double progress, gpointer user_data)
{
  Sending *sending = user_data;

  if (sending->all > 0)
    sending->network->progress ((sending->sent + progress * sending->size) / sending->all, sending->network->user_data);
}

gboolean
derush_network_send (const DerushNetwork *network, GPtrArray *outputs, const char *directory, const char **failed,
                     GError **error)
{
  DerushConfig *config = network->config;
  g_autoptr (DerushAllowedHosts) hosts =
      derush_allowed_hosts_new (derush_config_get_string (config, "DERUSH_ALLOWED_HOSTS"), error);
  Sending sending = {.network = network};

  if (!hosts)
    return FALSE;
  for (guint i = 0; i < outputs->len; i++)
    if (((DerushOutput *)outputs->pdata[i])->upload_url)
      sending.all += ((DerushOutput *)outputs->pdata[i])->size;
  for (guint i = 0; i < outputs->len; i++) {
    DerushOutput *output = outputs->pdata[i];
    g_autofree char *path = g_build_filename (directory, output->file, NULL);
    DerushUpload upload = {
        .url = output->upload_url,
        .path = path,
        .content_type = media_type_of (output->file),
        .headers = (const char *const *)output->upload_headers,
        .hosts = hosts,
        .allow_http = derush_config_get_boolean (config, "DERUSH_ALLOW_HTTP"),
        .deadline = network->deadline,
        .stall = stall_of (network),
        .progress = on_progress,
        .user_data = &sending,
    };

    if (!output->upload_url)
      continue;
    sending.size = output->size;
    if (!derush_upload_run (&upload, network->cancellable, error)) {
      *failed = output->file;
      return FALSE;
    }
    sending.sent += output->size;
    output->url = derush_transfer_describe (output->upload_url);
  }
  return TRUE;
}
