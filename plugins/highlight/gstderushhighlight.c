/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "gsthighlightdetect.h"
#include "gstshotdetect.h"

#include <glib/gi18n-lib.h>

static gboolean
plugin_init (GstPlugin *plugin)
{
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  return GST_ELEMENT_REGISTER (shotdetect, plugin) & GST_ELEMENT_REGISTER (highlightdetect, plugin);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, derushhighlight, "Shots and highlights of a film", plugin_init,
                   PACKAGE_VERSION, GST_LICENSE, PACKAGE_NAME, GST_PACKAGE_ORIGIN)
