/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "gstbestframe.h"
#include "gstspritesheet.h"

#include <glib/gi18n-lib.h>

static gboolean
plugin_init (GstPlugin *plugin)
{
  gboolean ok = FALSE;

  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  ok |= GST_ELEMENT_REGISTER (bestframe, plugin);
  ok |= GST_ELEMENT_REGISTER (spritesheet, plugin);
  return ok;
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, derushthumbnail, "Chosen stills and storyboards of a film",
                   plugin_init, PACKAGE_VERSION, GST_LICENSE, PACKAGE_NAME, GST_PACKAGE_ORIGIN)
