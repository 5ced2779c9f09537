/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How bright the pictures of a stream are, looked at now and then: tells a black result from a black film. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

typedef struct _DerushBrightness DerushBrightness;

/* @interval: seconds between two looks. It must outlive the element's streaming. */
DerushBrightness *derush_brightness_new (double interval);
void derush_brightness_free (DerushBrightness *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushBrightness, derush_brightness_free)
void derush_brightness_watch (DerushBrightness *self, GstElement *element);

/* The mean luma of the brightest picture seen, 0 (black) to 1 (white); below 0: nothing was seen. */
double derush_brightness_get_maximum (DerushBrightness *self);

G_END_DECLS
