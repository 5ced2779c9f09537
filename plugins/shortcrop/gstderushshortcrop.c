/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "gstshortcrop.h"

#include <glib/gi18n-lib.h>

static gboolean
plugin_init (GstPlugin *plugin)
{
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  return GST_ELEMENT_REGISTER (shortcrop, plugin);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, derushshortcrop, "Crops that follow their subject",
                   plugin_init, PACKAGE_VERSION, GST_LICENSE, PACKAGE_NAME, GST_PACKAGE_ORIGIN)
