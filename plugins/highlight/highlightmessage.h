/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "analysis/analysis.h"
#include <gst/gst.h>

G_BEGIN_DECLS

GstStructure *highlight_message_structure (const DerushHighlights *highlights, double start, double end);
GstToc *highlight_message_toc (const DerushHighlights *highlights);

G_END_DECLS
