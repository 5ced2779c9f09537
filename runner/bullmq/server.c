/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/connection-private.h"

#include <stdio.h>
#include <string.h>

#define MIN_VERSION 50000
#define GOOD_VERSION 60200

static char *
info_value (const char *info, const char *name)
{
  g_autofree char *key = g_strdup_printf ("\n%s:", name);
  const char *found = strstr (info, key);

  if (!found)
    return NULL;
  found += strlen (key);
  return g_strndup (found, strcspn (found, "\r\n"));
}

/* Reads what INFO answers; what is missing there is taken for good. */
void
bullmq_server_parse (BullmqServer *server, const char *info)
{
  g_autofree char *version = info_value (info, "redis_version"), *cluster = info_value (info, "cluster_enabled"),
                  *dragonfly = info_value (info, "dragonfly_version");
  guint major = 0, minor = 0, patch = 0;

  memset (server, 0, sizeof *server);
  if (version && sscanf (version, "%u.%u.%u", &major, &minor, &patch) >= 2)
    server->version = major * 10000 + minor * 100 + patch;
  server->policy = info_value (info, "maxmemory_policy");
  server->evicts = server->policy && !g_str_equal (server->policy, "noeviction");
  server->cluster = cluster && g_str_equal (cluster, "1");
  server->dragonfly = dragonfly != NULL;
}

void
bullmq_server_clear (BullmqServer *server)
{
  g_clear_pointer (&server->policy, g_free);
}

/* Tells operators in the log what will go wrong on this server for the queue with the keys @base. */
void
bullmq_server_warn (const BullmqServer *server, const char *base)
{
  if (server->version != 0 && server->version < MIN_VERSION)
    derush_log (DERUSH_LOG_ERROR, NULL,
                "This Redis is older than 5.0, which BullMQ's scripts do not run on; update it");
  else if (server->version != 0 && server->version < GOOD_VERSION)
    derush_log (DERUSH_LOG_WARN, NULL, "This Redis is older than 6.2; BullMQ recommends a newer one");
  if (server->evicts)
    derush_log (DERUSH_LOG_WARN, NULL,
                "This Redis may throw jobs away when its memory is full: its maxmemory-policy is %s, but should be "
                "noeviction",
                server->policy);
  if (server->cluster && !strchr (base, '{'))
    derush_log (DERUSH_LOG_ERROR, NULL,
                "This Redis is a cluster: it needs a prefix or queue name in braces, such as BULLMQ_PREFIX={bull}");
  if (server->dragonfly)
    derush_log (DERUSH_LOG_WARN, NULL,
                "This server is Dragonfly: it needs --default_lua_flags=allow-undeclared-keys, or --lock_on_hashtags "
                "with queue names in braces");
}

/* How far the clock of this machine is ahead of the server's, in ms: @reply is that to TIME, asked at @asked. */
gint64
bullmq_server_skew (const redisReply *reply, gint64 asked, gint64 answered)
{
  gint64 theirs, skew;

  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str || !reply->element[1]->str)
    return 0;
  theirs = g_ascii_strtoll (reply->element[0]->str, NULL, 10) * 1000 +
           g_ascii_strtoll (reply->element[1]->str, NULL, 10) / 1000;
  skew = (asked + answered) / 2 - theirs;
  /* A slow answer says nothing about clocks. */
  return ABS (skew) > answered - asked ? skew : 0;
}
