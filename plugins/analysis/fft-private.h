/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Power spectrum of windowed real samples, for powers of two. */
typedef struct _Spectrum Spectrum;

Spectrum *spectrum_new (guint size);
void spectrum_free (Spectrum *self);
void spectrum_measure (Spectrum *self, const float *samples, float *power);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Spectrum, spectrum_free)

G_END_DECLS
