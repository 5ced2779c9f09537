/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuckerOptions:
 * @threshold: from which level on a voice counts as speaking, in dBFS: root mean square over 10 ms of its loudest
 *   channel, without what is below 80 Hz; a full-scale square wave has 0
 * @duck_gain: gain of the program while the voice speaks, in dB, at most 0
 * @attack: how long the program takes to get there, in seconds
 * @hold: how long it stays there after the voice, in seconds
 * @release: how long it takes to come back, in seconds
 */
typedef struct {
  double threshold;
  double duck_gain;
  double attack;
  double hold;
  double release;
} DuckerOptions;

typedef struct _Ducker Ducker;

Ducker *ducker_new (guint rate, guint channels, double look_ahead);
void ducker_free (Ducker *ducker);
guint ducker_look_ahead (const Ducker *ducker);
void ducker_listen (Ducker *ducker, const DuckerOptions *options, const float *voice, gsize frames);
void ducker_gains (Ducker *ducker, const DuckerOptions *options, float *gains, gsize frames);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Ducker, ducker_free)

G_END_DECLS
