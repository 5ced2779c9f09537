/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* When which message is sent. Messages are sent by threads of their own: names are looked up and servers are waited for. */

#include "webhooks/webhooks-private.h"

#include "transfer/transfer.h"

#include <inttypes.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_WAITING 10000
#define MAX_SENDING 8
#define MAX_SENDING_TO_ONE 2
#define PATIENCE (15 * G_USEC_PER_SEC)
#define FIRST_DELAY 100      /* ms: until Redis knows that the job has ended */
#define ADOPT_INTERVAL 30    /* s */
#define LAST_PATIENCE 3000   /* ms, for those that were not tried yet when all ends */
#define COMPLAIN_AFTER 60000 /* ms between two complaints of the same kind */

struct _DerushWebhooks {
  gatomicrefcount references;
  char *url, *secret; /* NULL: there is none */
  GStrv events;
  char *base;
  gint64 first_pause, retry_time; /* ms */
  DerushAllowedHosts *hosts;      /* of jobs */
  DerushAllowedHosts *own;        /* of the settings' address */
  gboolean allow_http;

  WebhooksSpool *spool; /* NULL: nothing was to be sent yet */
  GQueue waiting;       /* of WebhooksMessage, without bodies */
  guint n_sending;
  GHashTable *sending; /* address → number */
  GThreadPool *pool;
  GCancellable *cancellable;
  GMainContext *context;
  guint timer, adopter;
  gint64 complained;
};

typedef struct {
  DerushWebhooks *webhooks;
  WebhooksMessage *message;
  gboolean delivered, over;
  GError *error;
} Attempt;

static void consider (DerushWebhooks *self);

static void
webhooks_unref (DerushWebhooks *self)
{
  if (!g_atomic_ref_count_dec (&self->references))
    return;
  g_queue_clear_full (&self->waiting, (GDestroyNotify)webhooks_message_free);
  g_clear_pointer (&self->spool, webhooks_spool_close);
  g_hash_table_unref (self->sending);
  g_clear_pointer (&self->hosts, derush_allowed_hosts_free);
  g_clear_pointer (&self->own, derush_allowed_hosts_free);
  g_object_unref (self->cancellable);
  g_main_context_unref (self->context);
  g_strfreev (self->events);
  g_free (self->url);
  g_free (self->secret);
  g_free (self->base);
  g_free (self);
}

/* ── Metrics ────────────────────────────────────────────────────────────── */

static void
count (const char *result)
{
  derush_metric_add (derush_metrics_counter ("derush_webhook_messages_total",
                                             "Messages to webhooks by what became of them: delivered, given-up, lost.",
                                             "result", NULL),
                     1, result, NULL);
}

static void
show_waiting (DerushWebhooks *self)
{
  derush_metric_set (
      derush_metrics_gauge ("derush_webhook_waiting_messages", "Messages to webhooks that were not taken yet.", NULL),
      derush_webhooks_get_n_waiting (self), NULL);
}

/* ── One attempt ────────────────────────────────────────────────────────── */

static const char *
address_of (DerushWebhooks *self, WebhooksMessage *message)
{
  return message->url ? message->url : self->url;
}

static gboolean
post (DerushWebhooks *self, WebhooksMessage *message, DerushPost *request, GError **error)
{
  gint64 now = derush_time_now_ms () / 1000;
  g_autofree char *signature = webhooks_sign (self->secret, message->id, now, message->body);
  g_autofree char *timestamp = g_strdup_printf ("%" PRId64, now);
  g_autofree char *attempt = g_strdup_printf ("%u", message->attempts + 1);
  const char *headers[] = {
      "webhook-id", message->id, "webhook-timestamp", timestamp, "webhook-signature", signature, "webhook-attempt",
      attempt,      NULL};
  gboolean done;

  request->url = address_of (self, message);
  request->hosts = message->url ? self->hosts : self->own;
  request->allow_http = message->url ? self->allow_http : FALSE;
  request->content_type = "application/json";
  request->body = g_bytes_new (message->body, strlen (message->body));
  request->headers = headers;
  request->patience = PATIENCE;
  done = derush_post_run (request, self->cancellable, error);
  g_bytes_unref (request->body);
  return done;
}

/* What nobody wants, or may have, is not offered again. */
static gboolean
is_over (DerushWebhooks *self, Attempt *attempt, guint status)
{
  DerushErrorClass error_class = derush_error_get_class (attempt->error);

  return status == 410 || error_class == DERUSH_ERROR_BAD_INPUT || error_class == DERUSH_ERROR_UNSUPPORTED ||
         derush_time_now_ms () - attempt->message->created >= self->retry_time;
}

static gboolean
on_attempted (gpointer user_data)
{
  Attempt *attempt = user_data;
  DerushWebhooks *self = attempt->webhooks;
  WebhooksMessage *message = attempt->message;
  const char *address = address_of (self, message);
  g_autofree char *display = derush_transfer_describe (address ? address : "");
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (self->sending, address ? address : ""));

  self->n_sending--;
  if (n > 1)
    g_hash_table_insert (self->sending, g_strdup (address ? address : ""), GUINT_TO_POINTER (n - 1));
  else
    g_hash_table_remove (self->sending, address ? address : "");
  if (attempt->delivered) {
    count ("delivered");
    derush_log (DERUSH_LOG_DEBUG, NULL, "%s %s was told to %s", message->event, message->id, display);
  } else if (attempt->over) {
    count ("given-up");
    derush_log (DERUSH_LOG_ERROR, NULL, "%s %s is not told any more: %s", message->event, message->id,
                attempt->error->message);
  } else {
    if (message->attempts == 1)
      derush_log (DERUSH_LOG_WARN, NULL, "%s %s will be told again later: %s", message->event, message->id,
                  attempt->error->message);
    g_queue_push_tail (&self->waiting, g_steal_pointer (&attempt->message));
  }
  show_waiting (self);
  if (!g_cancellable_is_cancelled (self->cancellable))
    consider (self);
  return G_SOURCE_REMOVE;
}

static void
attempt_free (gpointer data)
{
  Attempt *attempt = data;

  g_clear_pointer (&attempt->message, webhooks_message_free);
  g_clear_error (&attempt->error);
  webhooks_unref (attempt->webhooks);
  g_free (attempt);
}

/* In a thread. */
static void
run_attempt (gpointer data, gpointer user_data)
{
  Attempt *attempt = data;
  DerushWebhooks *self = attempt->webhooks;
  g_autoptr (GSource) source = g_idle_source_new ();
  g_autoptr (WebhooksMessage) message = NULL;
  DerushPost request = {0};

  if (!g_cancellable_set_error_if_cancelled (self->cancellable, &attempt->error))
    message = webhooks_spool_read (self->spool, attempt->message->id, &attempt->error);
  if (message && !address_of (self, message))
    g_set_error_literal (&attempt->error, DERUSH_WEBHOOKS_ERROR, DERUSH_ERROR_BAD_INPUT,
                         _ ("DERUSH_WEBHOOK_URL is not set any more"));
  else if (message)
    attempt->delivered = post (self, message, &request, &attempt->error);
  if (attempt->delivered) {
    webhooks_spool_remove (self->spool, message->id);
  } else if (!g_cancellable_is_cancelled (self->cancellable)) {
    attempt->message->attempts++;
    attempt->message->due = derush_time_now_ms () + webhooks_pause (self->first_pause, attempt->message->attempts,
                                                                    request.retry_after, g_random_double ());
    attempt->over = !message || is_over (self, attempt, request.status);
    if (attempt->over) {
      webhooks_spool_remove (self->spool, attempt->message->id);
    } else {
      message->attempts = attempt->message->attempts;
      message->due = attempt->message->due;
      webhooks_spool_write (self->spool, message, NULL);
    }
  }
  g_source_set_callback (source, on_attempted, attempt, attempt_free);
  g_source_attach (source, self->context);
}

/* ── When ───────────────────────────────────────────────────────────────── */

static gboolean
on_timer (gpointer user_data)
{
  DerushWebhooks *self = user_data;

  self->timer = 0;
  consider (self);
  return G_SOURCE_REMOVE;
}

static gboolean
may_be_sent (DerushWebhooks *self, WebhooksMessage *message)
{
  const char *address = address_of (self, message);

  return self->n_sending < MAX_SENDING &&
         GPOINTER_TO_UINT (g_hash_table_lookup (self->sending, address ? address : "")) < MAX_SENDING_TO_ONE;
}

static void
start_attempt (DerushWebhooks *self, WebhooksMessage *message)
{
  Attempt *attempt = g_new0 (Attempt, 1);
  char *address = g_strdup (address_of (self, message) ? address_of (self, message) : "");

  g_atomic_ref_count_inc (&self->references);
  attempt->webhooks = self;
  attempt->message = message;
  self->n_sending++;
  g_hash_table_insert (self->sending, address,
                       GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (self->sending, address)) + 1));
  g_thread_pool_push (self->pool, attempt, NULL);
}

/* Sends what is due, and comes back when more is. */
static void
consider (DerushWebhooks *self)
{
  gint64 now = derush_time_now_ms (), next = G_MAXINT64;
  GList *link = self->waiting.head;

  g_clear_handle_id (&self->timer, g_source_remove);
  while (link) {
    WebhooksMessage *message = link->data;
    GList *following = link->next;

    if (message->due > now) {
      next = MIN (next, message->due);
    } else if (may_be_sent (self, message)) {
      g_queue_delete_link (&self->waiting, link);
      start_attempt (self, message);
    }
    link = following;
  }
  if (next < G_MAXINT64)
    self->timer = g_timeout_add (MIN (next - now, 60000) + 1, on_timer, self);
}

/* ── The spool ──────────────────────────────────────────────────────────── */

static void
adopt (DerushWebhooks *self)
{
  g_autoptr (GPtrArray) adopted = webhooks_spool_adopt (self->spool);

  if (adopted->len == 0)
    return;
  derush_log (DERUSH_LOG_INFO, NULL, "%u messages to webhooks were left by a derushd that has ended; they are sent now",
              adopted->len);
  for (guint i = 0; i < adopted->len; i++)
    g_queue_push_tail (&self->waiting, adopted->pdata[i]);
  g_ptr_array_set_free_func (adopted, NULL);
  show_waiting (self);
  consider (self);
}

static gboolean
on_adopt (gpointer user_data)
{
  adopt (user_data);
  return G_SOURCE_CONTINUE;
}

static gboolean
open_spool (DerushWebhooks *self, GError **error)
{
  if (self->spool)
    return TRUE;
  self->spool = webhooks_spool_open (self->base, error);
  if (!self->spool)
    return FALSE;
  self->adopter = g_timeout_add_seconds (ADOPT_INTERVAL, on_adopt, self);
  adopt (self);
  return TRUE;
}

static void
drop_oldest (DerushWebhooks *self)
{
  gint64 now = derush_time_now_ms ();

  while (self->waiting.length >= MAX_WAITING) {
    g_autoptr (WebhooksMessage) oldest = g_queue_pop_head (&self->waiting);

    webhooks_spool_remove (self->spool, oldest->id);
    count ("lost");
    if (now - self->complained < COMPLAIN_AFTER)
      continue;
    self->complained = now;
    derush_log (DERUSH_LOG_ERROR, NULL,
                "More than %d messages wait for webhooks that do not answer: the oldest are lost", MAX_WAITING);
  }
}

/* ── From outside ───────────────────────────────────────────────────────── */

static gboolean
read_address (DerushWebhooks *self, DerushConfig *config, GError **error)
{
  const char *url = derush_config_get_string (config, "DERUSH_WEBHOOK_URL"),
             *secret = derush_config_get_string (config, "DERUSH_WEBHOOK_SECRET");
  g_autoptr (GUri) uri = *url ? g_uri_parse (url, G_URI_FLAGS_NONE, NULL) : NULL;
  const char *host = uri ? g_uri_get_host (uri) : NULL;

  self->secret = *secret ? g_strdup (secret) : NULL;
  if (*url == '\0')
    return TRUE;
  if (!host || *host == '\0' || !derush_transfer_is_remote (url)) {
    g_set_error_literal (error, DERUSH_WEBHOOKS_ERROR, DERUSH_ERROR_BAD_INPUT,
                         _ ("DERUSH_WEBHOOK_URL is no http: or https: address"));
    return FALSE;
  }
  if (!self->secret) {
    g_set_error_literal (error, DERUSH_WEBHOOKS_ERROR, DERUSH_ERROR_BAD_INPUT,
                         _ ("DERUSH_WEBHOOK_URL needs DERUSH_WEBHOOK_SECRET, which messages are signed with"));
    return FALSE;
  }
  self->url = g_strdup (url);
  /* Who sets it may mean a server of the own network. */
  self->own = derush_allowed_hosts_new (host, error);
  return self->own != NULL;
}

/**
 * derush_webhooks_new:
 * @config: the settings: `DERUSH_WEBHOOK_URL`, `DERUSH_WEBHOOK_SECRET`, `DERUSH_WEBHOOK_EVENTS`, …
 * @error: return location for an error of class bad input, or resource: the folder for what is not sent yet cannot be used
 *
 * Returns: (transfer full) (nullable): who tells other servers of the ends of jobs; goes on with what was left before
 */
DerushWebhooks *
derush_webhooks_new (DerushConfig *config, GError **error)
{
  DerushWebhooks *self = g_new0 (DerushWebhooks, 1);

  g_atomic_ref_count_init (&self->references);
  self->cancellable = g_cancellable_new ();
  self->context = g_main_context_ref_thread_default ();
  self->sending = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->base = g_build_filename (derush_config_get_string (config, "DERUSH_STATE_DIR"), "webhooks", NULL);
  self->first_pause = derush_config_get_int (config, "DERUSH_WEBHOOK_RETRY_DELAY");
  self->retry_time = derush_config_get_int (config, "DERUSH_WEBHOOK_RETRY_TIME") * 1000;
  self->allow_http = derush_config_get_boolean (config, "DERUSH_ALLOW_HTTP");
  self->pool = g_thread_pool_new (run_attempt, NULL, MAX_SENDING, FALSE, NULL);
  self->hosts = derush_allowed_hosts_new (derush_config_get_string (config, "DERUSH_ALLOWED_HOSTS"), error);
  if (self->hosts &&
      webhooks_parse_events (derush_config_get_string (config, "DERUSH_WEBHOOK_EVENTS"), &self->events, error) &&
      read_address (self, config, error) &&
      ((!self->url && !g_file_test (self->base, G_FILE_TEST_IS_DIR)) || open_spool (self, error)))
    return self;
  derush_webhooks_free (self);
  return NULL;
}

static gboolean
on_last_patience_over (gpointer user_data)
{
  *(gboolean *)user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static gboolean
has_untried (DerushWebhooks *self)
{
  if (self->n_sending > 0)
    return TRUE;
  for (GList *link = self->waiting.head; link; link = link->next)
    if (((WebhooksMessage *)link->data)->attempts == 0)
      return TRUE;
  return FALSE;
}

/**
 * derush_webhooks_free:
 * @webhooks: (nullable): who tells
 *
 * Messages that were never tried get a moment; what is left is on disk, for the next process.
 */
void
derush_webhooks_free (DerushWebhooks *self)
{
  g_autoptr (GSource) patience = NULL;
  gboolean over = FALSE;

  if (!self)
    return;
  patience = g_timeout_source_new (LAST_PATIENCE);
  g_source_set_callback (patience, on_last_patience_over, &over, NULL);
  g_source_attach (patience, self->context);
  while (!over && has_untried (self))
    g_main_context_iteration (self->context, TRUE);
  g_source_destroy (patience);
  g_cancellable_cancel (self->cancellable);
  g_thread_pool_free (self->pool, FALSE, TRUE);
  while (self->n_sending > 0)
    g_main_context_iteration (self->context, TRUE);
  g_clear_handle_id (&self->timer, g_source_remove);
  g_clear_handle_id (&self->adopter, g_source_remove);
  webhooks_unref (self);
}

/**
 * derush_webhooks_wants:
 * @webhooks: who tells
 * @event: such as `job.completed`
 *
 * Returns: whether the server of the settings is to be told of such events
 */
gboolean
derush_webhooks_wants (DerushWebhooks *self, const char *event)
{
  return self->url && g_strv_contains ((const char *const *)self->events, event);
}

/**
 * derush_webhooks_send:
 * @webhooks: who tells
 * @url: (nullable): where to, as a job asks for it; %NULL: to the server of the settings
 * @event: such as `job.completed`
 * @data: more about it
 *
 * Tells of something, later and as often as it takes.
 */
void
derush_webhooks_send (DerushWebhooks *self, const char *url, const char *event, JsonObject *data)
{
  g_autoptr (WebhooksMessage) message = g_new0 (WebhooksMessage, 1);
  g_autofree char *uuid = g_uuid_string_random (), *time = NULL;
  g_autoptr (JsonObject) body = json_object_new ();
  g_autoptr (GError) error = NULL;

  if (!self->secret) {
    derush_log (DERUSH_LOG_WARN, NULL, "%s is not told to the webhookUrl of the job: DERUSH_WEBHOOK_SECRET is not set",
                event);
    count ("lost");
    return;
  }
  message->id = g_strconcat ("msg_", uuid, NULL);
  message->event = g_strdup (event);
  message->url = g_strdup (url);
  message->created = derush_time_now_ms ();
  message->due = message->created + FIRST_DELAY;
  time = derush_time_to_iso8601 (message->created);
  json_object_set_string_member (body, "id", message->id);
  json_object_set_string_member (body, "type", event);
  json_object_set_string_member (body, "timestamp", time);
  json_object_set_object_member (body, "data", json_object_ref (data));
  message->body = derush_json_object_to_string (body);
  if (!open_spool (self, &error) || !webhooks_spool_write (self->spool, message, &error)) {
    derush_log (DERUSH_LOG_ERROR, NULL, "%s", error->message);
    count ("lost");
    return;
  }
  g_clear_pointer (&message->body, g_free);
  drop_oldest (self);
  g_queue_push_tail (&self->waiting, g_steal_pointer (&message));
  show_waiting (self);
  consider (self);
}

/**
 * derush_webhooks_get_n_waiting:
 * @webhooks: who tells
 *
 * Returns: how many messages were not taken yet
 */
guint
derush_webhooks_get_n_waiting (DerushWebhooks *self)
{
  return self->waiting.length + self->n_sending;
}
