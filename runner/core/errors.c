/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <string.h>

static const char *const class_names[] = {
    [DERUSH_ERROR_BAD_INPUT] = "bad-input",
    [DERUSH_ERROR_UNSUPPORTED] = "unsupported",
    [DERUSH_ERROR_MISSING_PLUGIN] = "missing-plugin",
    [DERUSH_ERROR_RESOURCE] = "resource",
    [DERUSH_ERROR_MODEL] = "model",
    [DERUSH_ERROR_STALLED] = "stalled",
    [DERUSH_ERROR_CANCELLED] = "cancelled",
    [DERUSH_ERROR_INTERNAL] = "internal",
};

typedef struct {
  GQuark quark;
  gboolean extended;
} Domain;

static GMutex domains_lock;
static GArray *domains; /* of Domain */

/* What an error of an extended domain says of another attempt, besides its class. */
typedef struct {
  gboolean final;
  gint64 retry_at; /* in ms since 1970; 0: any time */
} Verdict;

GQuark
derush_core_error_quark (void)
{
  static gsize quark;

  if (g_once_init_enter (&quark)) {
    GQuark q = g_quark_from_static_string ("derush-core-error-quark");

    derush_error_domain_register (q);
    g_once_init_leave (&quark, q);
  }
  return (GQuark)quark;
}

/**
 * derush_error_class_to_string:
 * @error_class: a class
 *
 * Returns: (transfer none): its name in logs, results and messages, such as `bad-input`
 */
const char *
derush_error_class_to_string (DerushErrorClass error_class)
{
  g_return_val_if_fail ((guint)error_class < G_N_ELEMENTS (class_names), "internal");
  return class_names[error_class];
}

/**
 * derush_error_class_from_string:
 * @name: (nullable): a class name, as derush_error_class_to_string() gives it
 * @error_class: (out): the class
 *
 * Returns: %FALSE if no class has that name; @error_class is then untouched
 */
gboolean
derush_error_class_from_string (const char *name, DerushErrorClass *error_class)
{
  for (guint i = 0; name && i < G_N_ELEMENTS (class_names); i++) {
    if (strcmp (name, class_names[i]) == 0) {
      *error_class = i;
      return TRUE;
    }
  }
  return FALSE;
}

/**
 * derush_error_class_can_retry:
 * @error_class: a class
 *
 * Returns: whether another attempt at the same job may end differently
 */
gboolean
derush_error_class_can_retry (DerushErrorClass error_class)
{
  switch (error_class) {
  case DERUSH_ERROR_RESOURCE:
  case DERUSH_ERROR_MODEL:
  case DERUSH_ERROR_STALLED:
  case DERUSH_ERROR_INTERNAL:
    return TRUE;
  default:
    return FALSE;
  }
}

static void
add_domain (Domain domain)
{
  g_mutex_lock (&domains_lock);
  if (!domains)
    domains = g_array_new (FALSE, FALSE, sizeof (Domain));
  g_array_append_val (domains, domain);
  g_mutex_unlock (&domains_lock);
}

static gboolean
find_domain (GQuark quark, Domain *found)
{
  gboolean known = FALSE;

  g_mutex_lock (&domains_lock);
  for (guint i = 0; domains && i < domains->len && !known; i++) {
    *found = g_array_index (domains, Domain, i);
    known = found->quark == quark;
  }
  g_mutex_unlock (&domains_lock);
  return known;
}

/* Where GLib keeps it, as in G_DEFINE_EXTENDED_ERROR(). */
static Verdict *
verdict_of (const GError *error)
{
  const gsize unit = 2 * sizeof (gsize), size = (sizeof (Verdict) + (unit - 1)) & -unit;

  return (Verdict *)((guint8 *)error - size);
}

static Verdict *
find_verdict (const GError *error)
{
  Domain domain;

  return error && find_domain (error->domain, &domain) && domain.extended ? verdict_of (error) : NULL;
}

/**
 * derush_error_domain_register:
 * @domain: the error domain of a room, whose codes are #DerushErrorClass
 *
 * Lets derush_error_get_class() read the codes of @domain. Call it where the quark is made.
 */
void
derush_error_domain_register (GQuark domain)
{
  add_domain ((Domain){domain, FALSE});
}

static void
verdict_init (GError *error)
{
}

static void
verdict_copy (const GError *from, GError *to)
{
  *verdict_of (to) = *verdict_of (from);
}

static void
verdict_clear (GError *error)
{
}

/**
 * derush_error_domain_register_extended:
 * @domain: the error domain of a room, that nobody else extends
 *
 * As derush_error_domain_register(), for errors that say more of another attempt than their class does: see
 * derush_error_set_final() and derush_error_set_retry_at().
 */
void
derush_error_domain_register_extended (GQuark domain)
{
  g_error_domain_register (g_quark_to_string (domain), sizeof (Verdict), verdict_init, verdict_copy, verdict_clear);
  add_domain ((Domain){domain, TRUE});
}

static DerushErrorClass
class_of_io_error (int code)
{
  switch (code) {
  case G_IO_ERROR_CANCELLED:
    return DERUSH_ERROR_CANCELLED;
  case G_IO_ERROR_NOT_FOUND:
  case G_IO_ERROR_INVALID_DATA:
  case G_IO_ERROR_INVALID_ARGUMENT:
  case G_IO_ERROR_INVALID_FILENAME:
  case G_IO_ERROR_IS_DIRECTORY:
  case G_IO_ERROR_NOT_REGULAR_FILE:
    return DERUSH_ERROR_BAD_INPUT;
  case G_IO_ERROR_NOT_SUPPORTED:
    return DERUSH_ERROR_UNSUPPORTED;
  default:
    return DERUSH_ERROR_RESOURCE;
  }
}

/**
 * derush_error_get_class:
 * @error: an error of any domain
 *
 * Returns: its class. Errors of GIO and of #GFileError are placed by their code, those of unknown domains are internal.
 */
DerushErrorClass
derush_error_get_class (const GError *error)
{
  Domain domain;

  if (find_domain (error->domain, &domain))
    return error->code;
  if (error->domain == G_IO_ERROR)
    return class_of_io_error (error->code);
  if (error->domain == JSON_PARSER_ERROR)
    return DERUSH_ERROR_BAD_INPUT;
  if (error->domain == G_FILE_ERROR)
    return error->code == G_FILE_ERROR_NOENT || error->code == G_FILE_ERROR_ISDIR ? DERUSH_ERROR_BAD_INPUT
                                                                                  : DERUSH_ERROR_RESOURCE;
  return DERUSH_ERROR_INTERNAL;
}

/**
 * derush_error_set_final:
 * @error: (nullable): an error of an extended domain
 *
 * Another attempt would fail in the same way, though one at an error of its class may help.
 */
void
derush_error_set_final (GError *error)
{
  Verdict *verdict = find_verdict (error);

  if (verdict)
    verdict->final = TRUE;
}

/**
 * derush_error_set_retry_at:
 * @error: (nullable): an error of an extended domain
 * @retry_at: in ms since 1970
 *
 * An attempt before that time would fail in the same way.
 */
void
derush_error_set_retry_at (GError *error, gint64 retry_at)
{
  Verdict *verdict = find_verdict (error);

  if (verdict)
    verdict->retry_at = retry_at;
}

/**
 * derush_error_can_retry:
 * @error: an error of any domain
 *
 * Returns: whether another attempt at the same job may end differently
 */
gboolean
derush_error_can_retry (const GError *error)
{
  Verdict *verdict = find_verdict (error);

  return derush_error_class_can_retry (derush_error_get_class (error)) && !(verdict && verdict->final);
}

/**
 * derush_error_get_retry_at:
 * @error: an error of any domain
 *
 * Returns: before when another attempt makes no sense, in ms since 1970; 0: it does not say
 */
gint64
derush_error_get_retry_at (const GError *error)
{
  Verdict *verdict = find_verdict (error);

  return verdict ? verdict->retry_at : 0;
}
