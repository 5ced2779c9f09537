/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/bullmq.h"

GQuark
derush_bullmq_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-bullmq-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

static char *
dup_unless_empty (const char *value)
{
  return value && *value ? g_strdup (value) : NULL;
}

/**
 * derush_redis_address_new_from_config:
 * @config: the settings
 *
 * Returns: (transfer full): the server that REDIS_HOST, REDIS_PORT, REDIS_USERNAME, REDIS_PASSWORD and REDIS_DB name
 */
DerushRedisAddress *
derush_redis_address_new_from_config (DerushConfig *config)
{
  DerushRedisAddress *address = g_new0 (DerushRedisAddress, 1);

  address->host = g_strdup (derush_config_get_string (config, "REDIS_HOST"));
  address->port = derush_config_get_int (config, "REDIS_PORT");
  address->username = dup_unless_empty (derush_config_get_string (config, "REDIS_USERNAME"));
  address->password = dup_unless_empty (derush_config_get_string (config, "REDIS_PASSWORD"));
  address->db = derush_config_get_int (config, "REDIS_DB");
  return address;
}

/**
 * derush_redis_address_copy:
 * @address: an address
 *
 * Returns: (transfer full): a copy, to be freed with derush_redis_address_free()
 */
DerushRedisAddress *
derush_redis_address_copy (const DerushRedisAddress *address)
{
  DerushRedisAddress *copy = g_new0 (DerushRedisAddress, 1);

  copy->host = g_strdup (address->host);
  copy->port = address->port;
  copy->username = dup_unless_empty (address->username);
  copy->password = dup_unless_empty (address->password);
  copy->db = address->db;
  return copy;
}

/**
 * derush_redis_address_free:
 * @address: (nullable) (transfer full): an address
 */
void
derush_redis_address_free (DerushRedisAddress *address)
{
  if (!address)
    return;
  g_free (address->host);
  g_free (address->username);
  g_free (address->password);
  g_free (address);
}
