/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "transfer/transfer-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

GQuark
derush_transfer_error_quark (void)
{
  static gsize quark = 0;

  if (g_once_init_enter (&quark)) {
    GQuark registered = g_quark_from_static_string ("derush-transfer-error");

    derush_error_domain_register (registered);
    g_once_init_leave (&quark, registered);
  }
  return quark;
}

/* ── Names ──────────────────────────────────────────────────────────────── */

/**
 * derush_transfer_is_remote:
 * @source: a source as a job names it
 *
 * Returns: whether it is an `http:` or `https:` address
 */
gboolean
derush_transfer_is_remote (const char *source)
{
  return g_ascii_strncasecmp (source, "https://", 8) == 0 || g_ascii_strncasecmp (source, "http://", 7) == 0;
}

/**
 * derush_transfer_describe:
 * @url: a source as a job names it
 *
 * Returns: (transfer full): @url without what may be secret: user, password, query and fragment; a path as it is
 */
char *
derush_transfer_describe (const char *url)
{
  const char *authority, *end, *at = NULL;

  if (!derush_transfer_is_remote (url))
    return g_strdup (url);
  authority = strstr (url, "://") + 3;
  end = authority + strcspn (authority, "/?#");
  for (const char *c = authority; c < end; c++)
    if (*c == '@')
      at = c + 1;
  if (at) {
    g_autofree char *rest = g_strndup (at, strcspn (at, "?#"));

    return g_strdup_printf ("%.*s%s", (int)(authority - url), url, rest);
  }
  return g_strndup (url, strcspn (url, "?#"));
}

/* ── Which addresses are public ─────────────────────────────────────────── */

/* IANA's registries of special-purpose addresses, and the one address outside of them that a cloud (Azure) gives its
 * metadata. Of IPv6, only what IANA has given out as global unicast is reached at all; the exceptions within are here. */
static const char *const refused_networks[] = {
    "0.0.0.0/8",      "10.0.0.0/8",    "100.64.0.0/10",   "127.0.0.0/8",    "168.63.129.16/32",
    "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4",    "2001::/23",     "2001:db8::/32",   "2002::/16",      "3fff::/20",
};

static gboolean
is_in (GInetAddress *address, const char *network)
{
  g_autoptr (GInetAddressMask) mask = g_inet_address_mask_new_from_string (network, NULL);

  return mask && g_inet_address_get_family (address) == g_inet_address_mask_get_family (mask) &&
         g_inet_address_mask_matches (mask, address);
}

/* The IPv4 address that @address stands for, by mapping or by NAT64. */
static GInetAddress *
unwrap (GInetAddress *address)
{
  if (g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV6 &&
      (is_in (address, "::ffff:0:0/96") || is_in (address, "64:ff9b::/96")))
    return g_inet_address_new_from_bytes (g_inet_address_to_bytes (address) + 12, G_SOCKET_FAMILY_IPV4);
  return g_object_ref (address);
}

/**
 * derush_transfer_may_reach:
 * @address: an address
 *
 * Returns: whether it is a public one: neither private, loopback, link-local, unique-local, multicast nor reserved, and
 *   no metadata service of a cloud; an IPv4 address within an IPv6 one is judged by itself
 */
gboolean
derush_transfer_may_reach (GInetAddress *address)
{
  g_autoptr (GInetAddress) real = unwrap (address);

  if (g_inet_address_get_family (real) == G_SOCKET_FAMILY_IPV6 && !is_in (real, "2000::/3"))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (refused_networks); i++)
    if (is_in (real, refused_networks[i]))
      return FALSE;
  return TRUE;
}

/* ── Which others are allowed ───────────────────────────────────────────── */

struct _DerushAllowedHosts {
  GPtrArray *names;    /* in lower case; one that begins with a dot stands for all below it */
  GPtrArray *networks; /* of GInetAddressMask */
};

/**
 * derush_allowed_hosts_new:
 * @setting: names, `*.` and a domain, addresses and networks (`10.1.0.0/16`), with commas between them
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): what may be reached though it is not public
 */
DerushAllowedHosts *
derush_allowed_hosts_new (const char *setting, GError **error)
{
  g_autoptr (DerushAllowedHosts) hosts = g_new0 (DerushAllowedHosts, 1);
  g_auto (GStrv) entries = g_strsplit (setting, ",", -1);

  hosts->names = g_ptr_array_new_with_free_func (g_free);
  hosts->networks = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; entries[i]; i++) {
    char *entry = g_strstrip (entries[i]);
    GInetAddressMask *mask = g_inet_address_mask_new_from_string (entry, NULL);

    if (*entry == '\0')
      continue;
    if (mask) {
      g_ptr_array_add (hosts->networks, mask);
    } else if (strpbrk (entry, "/:@ ?#")) {
      g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
                   _ ("DERUSH_ALLOWED_HOSTS has “%s”, but must list names, addresses or networks such as 10.1.0.0/16"),
                   entry);
      return NULL;
    } else {
      g_ptr_array_add (hosts->names, g_ascii_strdown (entry[0] == '*' ? entry + 1 : entry, -1));
    }
  }
  return g_steal_pointer (&hosts);
}

void
derush_allowed_hosts_free (DerushAllowedHosts *hosts)
{
  g_ptr_array_unref (hosts->names);
  g_ptr_array_unref (hosts->networks);
  g_free (hosts);
}

gboolean
derush_allowed_hosts_has_name (DerushAllowedHosts *hosts, const char *name)
{
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (guint i = 0; i < hosts->names->len; i++) {
    const char *allowed = hosts->names->pdata[i];

    if (strcmp (lower, allowed) == 0 || (allowed[0] == '.' && g_str_has_suffix (lower, allowed)))
      return TRUE;
  }
  return FALSE;
}

gboolean
derush_allowed_hosts_has_address (DerushAllowedHosts *hosts, GInetAddress *address)
{
  g_autoptr (GInetAddress) real = unwrap (address);

  for (guint i = 0; i < hosts->networks->len; i++) {
    GInetAddressMask *mask = hosts->networks->pdata[i];

    if (g_inet_address_mask_get_family (mask) == g_inet_address_get_family (real) &&
        g_inet_address_mask_matches (mask, real))
      return TRUE;
  }
  return FALSE;
}

/* ── A host whose addresses are settled ─────────────────────────────────── */

/* A GNetworkAddress, because the certificate is checked against the name of one; but it enumerates only what it holds. */
typedef struct {
  GNetworkAddress parent;
  GList *addresses;
} SettledHost;
typedef GNetworkAddressClass SettledHostClass;

typedef struct {
  GSocketAddressEnumerator parent;
  SettledHost *host;
  GList *next;
} SettledAddresses;
typedef GSocketAddressEnumeratorClass SettledAddressesClass;

GType settled_addresses_get_type (void);
GType settled_host_get_type (void);
static void settled_host_connectable_init (GSocketConnectableIface *iface);

G_DEFINE_TYPE (SettledAddresses, settled_addresses, G_TYPE_SOCKET_ADDRESS_ENUMERATOR)
G_DEFINE_TYPE_WITH_CODE (SettledHost, settled_host, G_TYPE_NETWORK_ADDRESS,
                         G_IMPLEMENT_INTERFACE (G_TYPE_SOCKET_CONNECTABLE, settled_host_connectable_init))

static GSocketAddress *
settled_addresses_next (GSocketAddressEnumerator *enumerator, GCancellable *cancellable, GError **error)
{
  SettledAddresses *self = (SettledAddresses *)enumerator;
  g_autoptr (GInetSocketAddress) socket_address = NULL;
  GInetAddress *address;

  if (g_cancellable_set_error_if_cancelled (cancellable, error) || !self->next)
    return NULL;
  address = self->next->data;
  self->next = self->next->next;
  return g_inet_socket_address_new (address, g_network_address_get_port (&self->host->parent));
}

static void
settled_addresses_finalize (GObject *object)
{
  g_object_unref (((SettledAddresses *)object)->host);
  G_OBJECT_CLASS (settled_addresses_parent_class)->finalize (object);
}

static void
settled_addresses_class_init (SettledAddressesClass *class)
{
  G_OBJECT_CLASS (class)->finalize = settled_addresses_finalize;
  class->next = settled_addresses_next;
}

static void
settled_addresses_init (SettledAddresses *self)
{
}

static GSocketAddressEnumerator *
settled_host_enumerate (GSocketConnectable *connectable)
{
  SettledAddresses *enumerator = g_object_new (settled_addresses_get_type (), NULL);

  enumerator->host = g_object_ref ((SettledHost *)connectable);
  enumerator->next = enumerator->host->addresses;
  return (GSocketAddressEnumerator *)enumerator;
}

static void
settled_host_connectable_init (GSocketConnectableIface *iface)
{
  iface->enumerate = settled_host_enumerate;
  iface->proxy_enumerate = settled_host_enumerate;
}

static void
settled_host_finalize (GObject *object)
{
  g_resolver_free_addresses (((SettledHost *)object)->addresses);
  G_OBJECT_CLASS (settled_host_parent_class)->finalize (object);
}

static void
settled_host_class_init (SettledHostClass *class)
{
  G_OBJECT_CLASS (class)->finalize = settled_host_finalize;
}

static void
settled_host_init (SettledHost *self)
{
}

/* One address that may not be reached is enough to refuse the host: which of them a connection takes is left to chance. */
static gboolean
check_addresses (const char *host, GList *addresses, DerushAllowedHosts *hosts, GError **error)
{
  if (derush_allowed_hosts_has_name (hosts, host))
    return TRUE;
  for (GList *link = addresses; link; link = link->next) {
    if (!derush_transfer_may_reach (link->data) && !derush_allowed_hosts_has_address (hosts, link->data)) {
      g_autofree char *address = g_inet_address_to_string (link->data);

      g_set_error (
          error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_BAD_INPUT,
          _ ("%s is in a private or reserved network (%s), from which nothing is fetched; if it is meant, add it "
             "to DERUSH_ALLOWED_HOSTS"),
          host, address);
      return FALSE;
    }
  }
  return TRUE;
}

GSocketConnectable *
transfer_resolve (const char *host, guint16 port, DerushAllowedHosts *hosts, GCancellable *cancellable, GError **error)
{
  g_autoptr (GResolver) resolver = g_resolver_get_default ();
  g_autoptr (GError) local = NULL;
  GList *addresses = g_resolver_lookup_by_name (resolver, host, cancellable, &local);
  SettledHost *settled;

  if (!addresses) {
    if (!g_cancellable_set_error_if_cancelled (cancellable, error))
      g_set_error (error, DERUSH_TRANSFER_ERROR, DERUSH_ERROR_RESOURCE, _ ("The host %s cannot be found: %s"), host,
                   local->message);
    return NULL;
  }
  if (!check_addresses (host, addresses, hosts, error)) {
    g_resolver_free_addresses (addresses);
    return NULL;
  }
  settled = g_object_new (settled_host_get_type (), "hostname", host, "port", (guint)port, NULL);
  settled->addresses = addresses;
  return G_SOCKET_CONNECTABLE (settled);
}
