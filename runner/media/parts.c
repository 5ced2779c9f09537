/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * Which parts of a film are made together. One pass over the film feeds all encoders that want what was decoded; how many
 * of them may be open at a time is a matter of memory, so where more parts than that overlap there are several passes.
 */

#include "parts-private.h"

#include "clips-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/* What all encoders of a pass together may take: a quarter of what the worker may, by default. */
#define ENCODERS_BUDGET (1024 * 1024 * 1024.0)
#define MOST_ENCODERS 12
/* x264 keeps of each picture the half-pel planes and a small copy as well; and so many that it refers to. */
#define BYTES_PER_PIXEL 4.5
#define PICTURES_KEPT 8
/* Of the film's own pictures, in the queues in front of an encoder. */
#define PICTURES_QUEUED 8
/* An encoder needs a moment to finish; and however short its part is, picture and sound of the film may come so far apart. */
#define SLACK (GST_SECOND / 4)
#define SHORTEST (2 * GST_SECOND)
/* The share of the work that is left for parts that have to be made alone. */
#define ALONE_SHARE 0.1

void
derush_part_clear (DerushPart *part)
{
  g_clear_pointer (&part->parameters, json_object_unref);
  g_clear_pointer (&part->sound, derush_sound_free);
  g_clear_pointer (&part->result, json_object_unref);
  g_clear_error (&part->error);
}

/* How many pictures x264 looks at before it writes the first one, by its presets. */
static guint
lookahead (const char *preset)
{
  static const struct {
    const char *preset;
    guint pictures;
  } table[] = {
      {"ultrafast", 0}, {"superfast", 0}, {"veryfast", 10}, {"faster", 20}, {"fast", 30}, {"medium", 40}, {"slow", 50},
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    if (g_strcmp0 (preset, table[i].preset) == 0)
      return table[i].pictures;
  return 60;
}

guint
derush_spans_limit (int width, int height, int source_width, int source_height, const char *preset)
{
  const double made = BYTES_PER_PIXEL * width * height * (lookahead (preset) + PICTURES_KEPT);
  const double queued = 1.5 * source_width * source_height * PICTURES_QUEUED;

  return made + queued > 0 ? (guint)CLAMP (ENCODERS_BUDGET / (made + queued), 1, MOST_ENCODERS) : 1;
}

static GstClockTime
closed_at (const DerushSpan *span)
{
  return GST_CLOCK_TIME_IS_VALID (span->end) ? MAX (span->end + SLACK, span->start + SHORTEST) : GST_CLOCK_TIME_NONE;
}

GArray *
derush_spans_take (GArray *spans, guint limit)
{
  GArray *taken = g_array_new (FALSE, FALSE, sizeof (DerushSpan)),
         *left = g_array_new (FALSE, FALSE, sizeof (DerushSpan));
  GstClockTime open[MOST_ENCODERS];
  guint n_open = 0;

  limit = CLAMP (limit, 1, MOST_ENCODERS);
  for (guint i = 0; i < spans->len; i++) {
    const DerushSpan *span = &g_array_index (spans, DerushSpan, i);
    guint still = 0;

    for (guint j = 0; j < n_open; j++)
      if (open[j] > span->start)
        open[still++] = open[j];
    n_open = still;
    if (n_open == limit) {
      g_array_append_val (left, *span);
      continue;
    }
    open[n_open++] = closed_at (span);
    g_array_append_val (taken, *span);
  }
  g_array_set_size (spans, 0);
  g_array_append_vals (spans, left->data, left->len);
  g_array_unref (left);
  return taken;
}

guint
derush_spans_group (GArray *spans, guint first, GstClockTime gap)
{
  GstClockTime end = g_array_index (spans, DerushSpan, first).end;
  guint i;

  for (i = first + 1; i < spans->len && GST_CLOCK_TIME_IS_VALID (end); i++) {
    const DerushSpan *span = &g_array_index (spans, DerushSpan, i);

    if (GST_CLOCK_TIME_IS_VALID (gap) && span->start > end && span->start - end > gap)
      return i - first;
    end = MAX (end, span->end);
  }
  /* What plays to the end of the film leaves nothing to jump over. */
  return GST_CLOCK_TIME_IS_VALID (end) ? i - first : spans->len - first;
}

guint
derush_spans_overlap (GArray *spans)
{
  guint most = 0;

  for (guint i = 0; i < spans->len; i++) {
    GstClockTime start = g_array_index (spans, DerushSpan, i).start;
    guint n = 0;

    for (guint j = i + 1; j-- > 0 && i - j < MOST_ENCODERS * MOST_ENCODERS;)
      n += g_array_index (spans, DerushSpan, j).end > start;
    most = MAX (most, n);
  }
  return most;
}

static int
compare_spans (gconstpointer a, gconstpointer b)
{
  const DerushSpan *one = a, *other = b;

  return one->start != other->start ? (one->start < other->start ? -1 : 1) : one->index < other->index ? -1 : 1;
}

static GArray *
list_spans (DerushPart *parts, guint n_parts)
{
  GArray *spans = g_array_new (FALSE, FALSE, sizeof (DerushSpan));

  for (guint i = 0; i < n_parts; i++) {
    DerushSpan span = {0, GST_CLOCK_TIME_NONE, i};

    if (!parts[i].parameters || parts[i].error)
      continue;
    span.start = (GstClockTime)llround (derush_json_get_number (parts[i].parameters, "start", 0) * GST_SECOND);
    if (json_object_has_member (parts[i].parameters, "end"))
      span.end = (GstClockTime)llround (derush_json_get_number (parts[i].parameters, "end", 0) * GST_SECOND);
    g_array_append_val (spans, span);
  }
  g_array_sort (spans, compare_spans);
  return spans;
}

static guint
find_limit (DerushMediaInfo *info, const DerushPart *part)
{
  g_autoptr (GKeyFile) profile =
      derush_profile_load (derush_json_get_string (part->parameters, "quality", "medium"), NULL);
  g_autofree char *preset = profile ? g_key_file_get_string (profile, "parameters", "preset", NULL) : NULL;

  return derush_spans_limit ((int)derush_json_get_int (part->parameters, "width", info->width),
                             (int)derush_json_get_int (part->parameters, "height", info->height), info->coded_width,
                             info->coded_height, preset);
}

static gboolean
make_together (DerushMediaJob *job, DerushMediaInfo *info, DerushPart *parts, GArray *spans, GError **error)
{
  const guint n = spans->len;
  const guint limit = find_limit (info, &parts[g_array_index (spans, DerushSpan, 0).index]);
  const double whole = 1 - job->progress_from - job->progress_left;

  while (spans->len > 0) {
    DerushMediaJob ours = *job;
    g_autoptr (GArray) taken = NULL;

    ours.progress_from += whole * (1 - ALONE_SHARE) * (n - spans->len) / n;
    taken = derush_spans_take (spans, limit);
    ours.progress_left += whole * (ALONE_SHARE + (1 - ALONE_SHARE) * spans->len / n);
    if (!derush_spans_read (&ours, info, taken, parts, limit, error))
      return FALSE;
  }
  return TRUE;
}

/* What is wrong with one part only; everything else ends the job. */
static gboolean
is_of_part (const GError *error)
{
  DerushErrorClass class = derush_error_get_class (error);

  return class == DERUSH_ERROR_BAD_INPUT || class == DERUSH_ERROR_INTERNAL;
}

static gboolean
make_alone (DerushMediaJob *job, DerushPart *part, GError **error)
{
  DerushMediaJob ours = *job;

  ours.parameters = part->parameters;
  ours.sound = part->sound;
  part->result = derush_action_transcode (&ours, &part->error);
  if (part->result || (is_of_part (part->error) && !g_cancellable_is_cancelled (job->cancellable)))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&part->error));
  return FALSE;
}

gboolean
derush_parts_make (DerushMediaJob *job, DerushMediaInfo *info, DerushPart *parts, guint n_parts, GError **error)
{
  g_autoptr (GArray) spans = list_spans (parts, n_parts);
  const gboolean together = spans->len > 1;
  const double whole = 1 - job->progress_from - job->progress_left, share = together ? ALONE_SHARE : 1;
  guint left = 0, n = 0;

  if (together && !make_together (job, info, parts, spans, error))
    return FALSE;
  if (together && !info->audio_id)
    derush_media_job_warn (job, _ ("The film has no sound"));
  for (guint i = 0; i < n_parts; i++)
    left += parts[i].parameters && !parts[i].error && !parts[i].result;
  for (guint i = 0; i < n_parts; i++) {
    DerushMediaJob ours = *job;

    if (!parts[i].parameters || parts[i].error || parts[i].result)
      continue;
    ours.progress_from = 1 - job->progress_left - whole * share * (left - n) / left;
    ours.progress_left += whole * share * (left - n - 1) / left;
    n++;
    if (!make_alone (&ours, &parts[i], error))
      return FALSE;
  }
  return TRUE;
}
