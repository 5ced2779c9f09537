/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/provider-private.h"

#include <string.h>

/*
 * model_language_code:
 * @name: (nullable): "english", "en", "EN-us"
 *
 * Returns: (nullable): its code; @name, interned and in lower case, where it is a code already or unknown
 */
const char *
model_language_code (const char *name)
{
  g_autofree char *lower = NULL;
  const char *code;

  if (!name || !*name)
    return NULL;
  code = derush_language_from_name (name);
  if (code)
    return code;
  lower = g_ascii_strdown (name, -1);
  return strlen (lower) <= 16 ? g_intern_string (lower) : NULL;
}
