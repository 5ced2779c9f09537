/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include <gst/audio/gstaudioaggregator.h>

G_BEGIN_DECLS

/**
 * MixPrograms:
 * @count: how many program pads there are
 * @running: those of them that have not ended
 * @gap_end: the running time at which their last gap ends, or 0
 */
typedef struct {
  guint count;
  guint running;
  GstClockTime gap_end;
} MixPrograms;

MixPrograms mix_pads_look_at_programs (GstElement *element);
GstClockTime mix_pads_find_start (GstElement *element);
gboolean mix_pads_find_leading_info (GstElement *element, GstAudioInfo *info);
int mix_pads_find_rate (GstElement *element, GstPad *other_than);
gboolean mix_pads_query_program_duration (GstElement *element, GstClockTime *duration);
void mix_pads_reset (GstElement *element);
char *mix_pads_choose_name (GstElement *element, const char *prefix, const char *name);

G_END_DECLS
