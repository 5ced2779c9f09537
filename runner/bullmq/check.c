/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/connection-private.h"

#include <hiredis/hiredis.h>
#include <string.h>
#include <glib/gi18n-lib.h>

#define TIMEOUT_S 5

G_DEFINE_AUTOPTR_CLEANUP_FUNC (redisContext, redisFree)

static void
reply_free (redisReply *reply)
{
  freeReplyObject (reply);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (redisReply, reply_free)

static gboolean
fail (const DerushRedisAddress *address, const char *why, GError **error)
{
  g_autofree char *line = g_utf8_make_valid (why && *why ? why : _ ("it does not answer"), -1);

  g_strdelimit (line, "\r\n", ' ');
  g_set_error (error, DERUSH_BULLMQ_ERROR, DERUSH_ERROR_RESOURCE, _ ("Redis at %s:%u cannot be used: %s"),
               address->host, address->port, line);
  return FALSE;
}

/* Sends one command. Returns: (transfer full) (nullable): its answer, unless that is an error */
static redisReply *
ask (redisContext *context, const DerushRedisAddress *address, int n, const char **words, GError **error)
{
  g_autoptr (redisReply) reply = redisCommandArgv (context, n, words, NULL);

  if (reply && reply->type != REDIS_REPLY_ERROR)
    return g_steal_pointer (&reply);
  fail (address, reply ? reply->str : context->errstr, error);
  return NULL;
}

static gboolean
enter (redisContext *context, const DerushRedisAddress *address, GError **error)
{
  g_autofree char *db = g_strdup_printf ("%u", address->db);
  const char *select[] = {"SELECT", db};
  g_autoptr (redisReply) selected = NULL;

  if (address->password && *address->password) {
    gboolean named = address->username && *address->username;
    const char *auth[] = {"AUTH", named ? address->username : address->password, address->password};
    g_autoptr (redisReply) let_in = ask (context, address, named ? 3 : 2, auth, error);

    if (!let_in)
      return FALSE;
  }
  if (address->db == 0)
    return TRUE;
  selected = ask (context, address, 2, select, error);
  return selected != NULL;
}

/**
 * derush_redis_check:
 * @address: a Redis
 * @error: return location for an error
 *
 * Connects, enters and asks what it is. Blocks, for some seconds at most with each command.
 *
 * Returns: (transfer full) (nullable): `{version, policy, cluster, roundTripMs}`: its version as 10000 × major + 100 ×
 *   minor + patch, what it does when its memory is full (`noeviction` is what queues need), and how long a PING took
 */
JsonObject *
derush_redis_check (const DerushRedisAddress *address, GError **error)
{
  const struct timeval timeout = {.tv_sec = TIMEOUT_S};
  g_autoptr (redisContext) context = redisConnectWithTimeout (address->host, address->port, timeout);
  const char *ping[] = {"PING"}, *info[] = {"INFO"};
  g_autoptr (redisReply) pong = NULL, told = NULL;
  BullmqServer server = {0};
  JsonObject *answer;
  gint64 sent;

  if (!context || context->err != 0) {
    fail (address, context ? context->errstr : NULL, error);
    return NULL;
  }
  redisSetTimeout (context, timeout);
  if (!enter (context, address, error))
    return NULL;
  sent = g_get_monotonic_time ();
  pong = ask (context, address, 1, ping, error);
  if (!pong)
    return NULL;
  answer = json_object_new ();
  json_object_set_double_member (answer, "roundTripMs", (g_get_monotonic_time () - sent) / 1000.0);
  told = ask (context, address, 1, info, NULL);
  if (told && told->type == REDIS_REPLY_STRING) {
    bullmq_server_parse (&server, told->str);
    json_object_set_int_member (answer, "version", server.version);
    json_object_set_boolean_member (answer, "cluster", server.cluster);
    if (server.policy)
      json_object_set_string_member (answer, "policy", server.policy);
    bullmq_server_clear (&server);
  }
  return answer;
}
