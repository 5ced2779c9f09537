/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

GstCaps *short_crop_transform_caps (GstPadDirection direction, GstCaps *caps, GstCaps *filter);
GstCaps *short_crop_fixate_caps (GstPadDirection direction, GstCaps *caps, GstCaps *others, double aspect);

G_END_DECLS
