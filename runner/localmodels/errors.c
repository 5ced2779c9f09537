/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Errors that carry what OpenAI's clients look at besides the message: a code and the parameter at fault. */

#include "localmodels-private.h"

typedef struct {
  char *code;
  char *parameter;
} LocalErrorPrivate;

static void
local_error_private_init (LocalErrorPrivate *details)
{
}

static void
local_error_private_copy (const LocalErrorPrivate *from, LocalErrorPrivate *to)
{
  if (!from || !to)
    return;
  to->code = g_strdup (from->code);
  to->parameter = g_strdup (from->parameter);
}

static void
local_error_private_clear (LocalErrorPrivate *details)
{
  if (!details)
    return;
  g_free (details->code);
  g_free (details->parameter);
}

GQuark local_error_quark (void);
G_DEFINE_EXTENDED_ERROR (LocalError, local_error)

/**
 * derush_localmodels_error_quark:
 *
 * Returns: the domain of the errors of the local engines; its codes are #DerushErrorClass
 */
GQuark
derush_localmodels_error_quark (void)
{
  static gsize registered;

  if (g_once_init_enter (&registered)) {
    derush_error_domain_register (local_error_quark ());
    g_once_init_leave (&registered, 1);
  }
  return local_error_quark ();
}

void
local_set_error (GError **error, DerushErrorClass error_class, const char *code, const char *parameter,
                 const char *format, ...)
{
  va_list arguments;
  LocalErrorPrivate *details;
  GError *made;

  if (!error)
    return;
  va_start (arguments, format);
  made = g_error_new_valist (DERUSH_LOCALMODELS_ERROR, error_class, format, arguments);
  va_end (arguments);
  details = local_error_get_private (made);
  if (details) {
    details->code = g_strdup (code);
    details->parameter = g_strdup (parameter);
  }
  g_propagate_error (error, made);
}

/**
 * derush_local_error_get_code:
 * @error: an error
 *
 * Returns: (nullable): the name that OpenAI's clients know @error by, such as `unsupported_language`
 */
const char *
derush_local_error_get_code (const GError *error)
{
  LocalErrorPrivate *details =
      error->domain == DERUSH_LOCALMODELS_ERROR ? local_error_get_private ((GError *)error) : NULL;

  return details ? details->code : NULL;
}

/**
 * derush_local_error_get_parameter:
 * @error: an error
 *
 * Returns: (nullable): the parameter of the request that @error is about
 */
const char *
derush_local_error_get_parameter (const GError *error)
{
  LocalErrorPrivate *details =
      error->domain == DERUSH_LOCALMODELS_ERROR ? local_error_get_private ((GError *)error) : NULL;

  return details ? details->parameter : NULL;
}
