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

static GMutex domains_lock;
static GArray *domains;

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

/**
 * derush_error_domain_register:
 * @domain: the error domain of a room, whose codes are #DerushErrorClass
 *
 * Lets derush_error_get_class() read the codes of @domain. Call it where the quark is made.
 */
void
derush_error_domain_register (GQuark domain)
{
  g_mutex_lock (&domains_lock);
  if (!domains)
    domains = g_array_new (FALSE, FALSE, sizeof (GQuark));
  g_array_append_val (domains, domain);
  g_mutex_unlock (&domains_lock);
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
  gboolean ours = FALSE;

  g_mutex_lock (&domains_lock);
  for (guint i = 0; domains && i < domains->len; i++)
    ours |= g_array_index (domains, GQuark, i) == error->domain;
  g_mutex_unlock (&domains_lock);
  if (ours)
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
