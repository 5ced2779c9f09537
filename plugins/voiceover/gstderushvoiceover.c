/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#ifdef HAVE_EBUR128
#include "gstloudness.h"
#endif
#include "gstvoiceovermix.h"

#include <glib/gi18n-lib.h>

static gboolean
plugin_init (GstPlugin *plugin)
{
  gboolean ok = FALSE;

  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
#ifdef HAVE_EBUR128
  ok |= GST_ELEMENT_REGISTER (loudness, plugin);
#endif
  ok |= GST_ELEMENT_REGISTER (voiceovermix, plugin);
  return ok;
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, derushvoiceover, "Voices over films, and loudness",
                   plugin_init, PACKAGE_VERSION, GST_LICENSE, PACKAGE_NAME, GST_PACKAGE_ORIGIN)
