/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "interest-private.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>

/* The curve is smoothed over so many seconds to either side before its peaks are looked for. */
#define SMOOTHING 0.5
/* What rises less than this above the film's median is no peak. */
#define LEAST_RISE 0.03
/* A segment reaches down to this share of its peak, and over dips of so many seconds. */
#define REACH 0.35
#define DIP 1.0
/* An edge moves to a shot border this near, in seconds. */
#define SNAP 1.0
#define MAX_CANDIDATES 256
/* A signal this high is worth naming as a reason. */
#define WORTH_NAMING 0.25

/* How good a candidate must be: against the best one, and at all. */
static const struct {
  const char *name;
  double of_best;
  double least;
} sensitivities[] = {
    [DERUSH_SENSITIVITY_LOW] = {"low", 0.85, 0.12},
    [DERUSH_SENSITIVITY_MEDIUM] = {"medium", 0.7, 0.06},
    [DERUSH_SENSITIVITY_HIGH] = {"high", 0.4, 0.03},
};

static const struct {
  const char *name;
  DerushDetection detection;
} detections[] = {
    {"AUDIO", DERUSH_DETECTION_AUDIO},
    {"MOTION", DERUSH_DETECTION_MOTION},
    {"SCENE_CHANGE", DERUSH_DETECTION_SCENE_CHANGE},
};

/**
 * derush_detection_from_string:
 * @name: `AUDIO`, `MOTION` or `SCENE_CHANGE`
 * @detection: (out): what it stands for
 *
 * Returns: %FALSE if there is no such detection here; @detection is then untouched
 */
gboolean
derush_detection_from_string (const char *name, DerushDetection *detection)
{
  for (guint i = 0; i < G_N_ELEMENTS (detections); i++) {
    if (g_strcmp0 (name, detections[i].name) == 0) {
      *detection = detections[i].detection;
      return TRUE;
    }
  }
  return FALSE;
}

/**
 * derush_sensitivity_from_string:
 * @name: `low`, `medium` or `high`
 * @sensitivity: (out): what it stands for
 *
 * Returns: %FALSE if there is no such sensitivity; @sensitivity is then untouched
 */
gboolean
derush_sensitivity_from_string (const char *name, DerushSensitivity *sensitivity)
{
  for (guint i = 0; i < G_N_ELEMENTS (sensitivities); i++) {
    if (g_strcmp0 (name, sensitivities[i].name) == 0) {
      *sensitivity = i;
      return TRUE;
    }
  }
  return FALSE;
}

/**
 * derush_highlight_options_init:
 * @options: (out caller-allocates): filled with the defaults: at most 5 highlights of 3 to 60 s, 1 s apart, medium
 *   sensitivity, everything gone by
 */
void
derush_highlight_options_init (DerushHighlightOptions *options)
{
  *options = (DerushHighlightOptions){.max_highlights = 5,
                                      .min_duration = 3,
                                      .max_duration = 60,
                                      .min_distance = 1,
                                      .sensitivity = DERUSH_SENSITIVITY_MEDIUM,
                                      .detections = DERUSH_DETECTION_ALL};
}

static void
free_highlight (gpointer data)
{
  DerushHighlight *highlight = data;

  g_strfreev (highlight->reasons);
  g_free (highlight);
}

/**
 * derush_highlights_free:
 * @highlights: (transfer full): what derush_highlights_find() gave
 */
void
derush_highlights_free (DerushHighlights *highlights)
{
  g_ptr_array_unref (highlights->chosen);
  g_ptr_array_unref (highlights->rejected);
  g_free (highlights);
}

/* ── Segments ───────────────────────────────────────────────────────────── */

typedef struct {
  const DerushAnalysis *analysis;
  const DerushHighlightOptions *options;
  Interest *interest;
  double duration;
  float *curve;    /* smoothed */
  gboolean *taken; /* steps that belong to a candidate already */
  float ordinary;  /* the curve's median */
} Search;

typedef struct {
  guint first;
  guint end;
} Range;

static int
compare_floats (gconstpointer a, gconstpointer b)
{
  float p = *(const float *)a, q = *(const float *)b;

  return p < q ? -1 : p > q;
}

static void
fill_curve (Search *s)
{
  const Interest *interest = s->interest;
  g_autofree double *sums = g_new0 (double, interest->n + 1);
  g_autofree float *sorted = NULL;
  guint around = MAX (1, (guint)(SMOOTHING / interest->step + 0.5));

  for (guint i = 0; i < interest->n; i++) {
    double value = 0;

    for (guint k = 0; k < DERUSH_N_SIGNALS; k++)
      value += interest->weights[k] * interest->values[k][i];
    sums[i + 1] = sums[i] + value;
  }
  for (guint i = 0; i < interest->n; i++) {
    guint first = i > around ? i - around : 0, end = MIN (i + around + 1, interest->n);

    s->curve[i] = (sums[end] - sums[first]) / (end - first);
  }
  sorted = g_memdup2 (s->curve, interest->n * sizeof (float));
  qsort (sorted, interest->n, sizeof (float), compare_floats);
  s->ordinary = sorted[interest->n / 2];
}

/* From the peak on in one direction, as long as the curve stays above the level, over short dips too. */
static guint
reach (const Search *s, guint peak, int direction, float level)
{
  guint last = peak, dip = 0, longest_dip = (guint)(DIP / s->interest->step + 0.5);

  for (guint i = peak; i < s->interest->n && !s->taken[i]; i += direction) {
    if (s->curve[i] >= level) {
      last = i;
      dip = 0;
    } else if (++dip > longest_dip) {
      break;
    }
    if (direction < 0 && i == 0)
      break;
  }
  return last;
}

/* The stretch of @length steps within @within where the curve is highest in sum. */
static Range
best_stretch (const Search *s, Range within, guint length)
{
  Range best = {within.first, within.first + length};
  double sum = 0, most;

  for (guint i = best.first; i < best.end; i++)
    sum += s->curve[i];
  most = sum;
  for (guint first = within.first + 1; first + length <= within.end; first++) {
    sum += s->curve[first + length - 1] - s->curve[first - 1];
    if (sum > most + 1e-6) {
      most = sum;
      best = (Range){first, first + length};
    }
  }
  return best;
}

/* The steps around @range that belong to no candidate. */
static Range
free_stretch (const Search *s, Range range)
{
  while (range.first > 0 && !s->taken[range.first - 1])
    range.first--;
  while (range.end < s->interest->n && !s->taken[range.end])
    range.end++;
  return range;
}

/* Brings a range to a length asked for; %FALSE if other candidates leave too little room. */
static gboolean
fit_length (const Search *s, Range *range)
{
  guint n = s->interest->n, length = range->end - range->first;
  guint least = MIN (n, (guint)ceil (s->options->min_duration / s->interest->step - 0.01));
  guint most = MAX (MAX (1, least), (guint)MIN (n, s->options->max_duration / s->interest->step + 0.01));

  if (length > most) {
    *range = best_stretch (s, *range, most);
  } else if (length < least) {
    Range room = free_stretch (s, *range);

    if (room.end - room.first < least)
      return FALSE;
    room.first = MAX (room.first, range->end > least ? range->end - least : 0);
    room.end = MIN (room.end, range->first + least);
    if (room.end - room.first < least)
      room = free_stretch (s, *range);
    *range = best_stretch (s, room, least);
  }
  return TRUE;
}

/* The border nearest to @time; shots begin after a gradual transition and end before it. */
static double
snap (const Search *s, double time, gboolean to_start)
{
  double best = to_start ? 0 : s->duration;
  const DerushShot *shots = s->analysis->shots;

  for (guint i = 1; i < s->analysis->n_shots; i++) {
    gboolean cut = shots[i].transition == DERUSH_TRANSITION_CUT;
    double border = cut ? shots[i].start : to_start ? shots[i].transition_end : shots[i].transition_start;

    if (fabs (border - time) < fabs (best - time))
      best = border;
  }
  return fabs (best - time) <= SNAP ? best : time;
}

static double
to_milliseconds (double time)
{
  return round (time * 1000) / 1000;
}

static void
snap_edges (const Search *s, double *start, double *end)
{
  double least = MIN (s->options->min_duration, s->duration) - 0.001, most = s->options->max_duration + 0.001;
  double snapped_start = snap (s, *start, TRUE), snapped_end = snap (s, *end, FALSE);

  if (snapped_end - snapped_start >= least && snapped_end - snapped_start <= most) {
    *start = snapped_start;
    *end = snapped_end;
  } else if (*end - snapped_start >= least && *end - snapped_start <= most) {
    *start = snapped_start;
  } else if (snapped_end - *start >= least && snapped_end - *start <= most) {
    *end = snapped_end;
  }
  *start = to_milliseconds (CLAMP (*start, 0, s->duration));
  *end = to_milliseconds (CLAMP (*end, *start, s->duration));
}

static const char *
type_of (const DerushHighlight *h)
{
  double motion = h->values[DERUSH_SIGNAL_MOTION] * h->weights[DERUSH_SIGNAL_MOTION];
  double changes = h->values[DERUSH_SIGNAL_SCENE_CHANGE] * h->weights[DERUSH_SIGNAL_SCENE_CHANGE];
  double audio = h->score - motion - changes;

  if (MIN (audio, motion) >= 0.25 * h->score)
    return "ACTION";
  if (audio >= motion && audio >= changes)
    return "AUDIO";
  return motion >= changes ? "MOTION" : "SCENE_CHANGE";
}

static guint
step_of (const Search *s, double time)
{
  return MIN (s->interest->n - 1, (guint)(time / s->interest->step + 0.5));
}

static DerushHighlight *
make_highlight (const Search *s, Range range)
{
  const Interest *interest = s->interest;
  DerushHighlight *h = g_new0 (DerushHighlight, 1);
  guint first, end;

  h->start = range.first * interest->step;
  h->end = MIN (range.end * interest->step, s->duration);
  snap_edges (s, &h->start, &h->end);
  first = MIN (interest->n - 1, (guint)(h->start / interest->step + 0.5));
  end = CLAMP ((guint)(h->end / interest->step + 0.5), first + 1, interest->n);
  for (guint k = 0; k < DERUSH_N_SIGNALS; k++) {
    h->weights[k] = interest->weights[k];
    h->values[k] = CLAMP (interest_mean (interest->values[k], first, end), 0, 1);
    h->score += h->weights[k] * h->values[k];
  }
  h->type = type_of (h);
  return h;
}

/* ── Reasons ────────────────────────────────────────────────────────────── */

static guint
count_changes (const DerushAnalysis *analysis, double start, double end)
{
  guint n = 0;

  for (guint i = 1; i < analysis->n_shots; i++)
    n += analysis->shots[i].start > start && analysis->shots[i].start < end;
  return n;
}

static char *
reason_for (const Search *s, const DerushHighlight *h, DerushSignal signal)
{
  const Interest *interest = s->interest;
  guint first = MIN (interest->n - 1, (guint)(h->start / interest->step + 0.5));
  guint end = CLAMP ((guint)(h->end / interest->step + 0.5), first + 1, interest->n), changes;

  switch (signal) {
  case DERUSH_SIGNAL_LOUDNESS:
    return g_strdup_printf (_ ("Loud: %.0f LUFS, half of the film is below %.0f LUFS"),
                            interest_mean (interest->loudness, first, end), interest->median_loudness);
  case DERUSH_SIGNAL_CROWD:
    return g_strdup (_ ("Steady noise as of a crowd, cheering or applauding"));
  case DERUSH_SIGNAL_SPEECH:
    return g_strdup (_ ("Someone speaks"));
  case DERUSH_SIGNAL_MOTION:
    return g_strdup_printf (_ ("Lively: things move %.2f picture widths per second, in half of the film below %.2f"),
                            interest_mean (interest->motion, first, end), interest->median_motion);
  case DERUSH_SIGNAL_SCENE_CHANGE:
    changes = count_changes (s->analysis, h->start, h->end);
    return g_strdup_printf (
        g_dngettext (GETTEXT_PACKAGE, "Fast editing: %u shot change", "Fast editing: %u shot changes", changes),
        changes);
  default:
    g_assert_not_reached ();
  }
}

static GStrv
reasons_for (const Search *s, const DerushHighlight *h)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  gboolean named[DERUSH_N_SIGNALS] = {FALSE};

  for (guint n = 0; n < DERUSH_N_SIGNALS; n++) {
    g_autofree char *reason = NULL;
    int best = -1;

    for (guint k = 0; k < DERUSH_N_SIGNALS; k++) {
      if (!named[k] && (best < 0 || h->weights[k] * h->values[k] > h->weights[best] * h->values[best]))
        best = k;
    }
    if (best < 0 || h->weights[best] * h->values[best] <= 0 || (n > 0 && h->values[best] < WORTH_NAMING))
      break;
    named[best] = TRUE;
    reason = reason_for (s, h, best);
    g_strv_builder_add (builder, reason);
  }
  return g_strv_builder_end (builder);
}

/* ── Choice ─────────────────────────────────────────────────────────────── */

static int
compare_highlights (gconstpointer a, gconstpointer b)
{
  const DerushHighlight *p = *(DerushHighlight *const *)a, *q = *(DerushHighlight *const *)b;

  if (p->score != q->score)
    return p->score < q->score ? 1 : -1;
  return p->start < q->start ? -1 : p->start > q->start;
}

static GPtrArray *
find_candidates (Search *s)
{
  GPtrArray *candidates = g_ptr_array_new_with_free_func (free_highlight);
  guint n = s->interest->n;

  while (candidates->len < MAX_CANDIDATES) {
    guint peak = n;
    float level;
    Range range;
    gboolean fits;

    for (guint i = 0; i < n; i++) {
      if (!s->taken[i] && (peak == n || s->curve[i] > s->curve[peak]))
        peak = i;
    }
    if (peak == n || s->curve[peak] - s->ordinary < LEAST_RISE)
      break;
    level = s->ordinary + REACH * (s->curve[peak] - s->ordinary);
    range = (Range){reach (s, peak, -1, level), reach (s, peak, 1, level) + 1};
    fits = fit_length (s, &range);
    if (fits) {
      DerushHighlight *h = make_highlight (s, range);

      g_ptr_array_add (candidates, h);
      range.first = MIN (range.first, step_of (s, h->start));
      range.end = MAX (range.end, step_of (s, h->end) + 1);
    }
    for (guint i = range.first; i < range.end; i++)
      s->taken[i] = TRUE;
  }
  g_ptr_array_sort (candidates, compare_highlights);
  return candidates;
}

static const DerushHighlight *
find_near (GPtrArray *chosen, const DerushHighlight *candidate, double distance)
{
  for (guint i = 0; i < chosen->len; i++) {
    const DerushHighlight *h = g_ptr_array_index (chosen, i);

    if (candidate->start < h->end + distance && candidate->end > h->start - distance)
      return h;
  }
  return NULL;
}

static void
reject (DerushHighlights *result, DerushHighlight *candidate, char *reason)
{
  candidate->reasons = g_new0 (char *, 2);
  candidate->reasons[0] = reason;
  g_ptr_array_add (result->rejected, candidate);
}

static void
choose (const Search *s, GPtrArray *candidates, DerushHighlights *result)
{
  double threshold = sensitivities[s->options->sensitivity].least;

  if (candidates->len > 0) {
    const DerushHighlight *best = g_ptr_array_index (candidates, 0);

    threshold = MAX (threshold, sensitivities[s->options->sensitivity].of_best * best->score);
  }
  while (candidates->len > 0) {
    DerushHighlight *candidate = g_ptr_array_steal_index (candidates, 0);
    const DerushHighlight *near_one = find_near (result->chosen, candidate, s->options->min_distance);

    if (candidate->score < threshold) {
      reject (result, candidate,
              g_strdup_printf (_ ("Stands out too little: a score of %.2f, below %.2f"), candidate->score, threshold));
    } else if (near_one) {
      reject (result, candidate,
              g_strdup_printf (_ ("Too near a better one, at %.1f s to %.1f s"), near_one->start, near_one->end));
    } else if (result->chosen->len >= s->options->max_highlights) {
      reject (result, candidate, g_strdup_printf (_ ("No more than %u were asked for"), s->options->max_highlights));
    } else {
      candidate->reasons = reasons_for (s, candidate);
      g_ptr_array_add (result->chosen, candidate);
    }
  }
}

/**
 * derush_highlights_find:
 * @analysis: a film, with video, audio or both
 * @options: (nullable): what to look for; %NULL for the defaults
 *
 * Finds the most interesting segments. The interest of each tenth of a second is the weighted sum of its signals;
 * around its peaks segments are laid, fitted to the lengths asked for and to shot borders within a second, and scored
 * by the mean of each signal over them. A pure function: the same film and options give the same answer.
 *
 * A film in which nothing stands out, as a black and silent one, has none; that is no error.
 *
 * Returns: (transfer full): the segments chosen, and the others with the reason why not
 */
DerushHighlights *
derush_highlights_find (const DerushAnalysis *analysis, const DerushHighlightOptions *options)
{
  DerushHighlights *result = g_new0 (DerushHighlights, 1);
  DerushHighlightOptions defaults;
  Search s = {.analysis = analysis, .options = options ? options : &defaults};
  g_autoptr (GPtrArray) candidates = NULL;

  derush_highlight_options_init (&defaults);
  result->chosen = g_ptr_array_new_with_free_func (free_highlight);
  result->rejected = g_ptr_array_new_with_free_func (free_highlight);
  g_return_val_if_fail ((guint)s.options->sensitivity < G_N_ELEMENTS (sensitivities), result);
  s.interest = interest_new (analysis, s.options->detections);
  if (s.interest->n > 0) {
    s.duration = MAX (analysis->duration, s.interest->step * (s.interest->n - 1));
    s.curve = g_new (float, s.interest->n);
    s.taken = g_new0 (gboolean, s.interest->n);
    fill_curve (&s);
    candidates = find_candidates (&s);
    choose (&s, candidates, result);
  }
  g_free (s.curve);
  g_free (s.taken);
  interest_free (s.interest);
  return result;
}
